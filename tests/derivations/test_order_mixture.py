"""The steps of docs/models/order_mixture.md, a test each, by the number of the page.

Identities are checked with symbols (sympy). What the model computes is compared in float64.
"""

from __future__ import annotations

from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy.special import logsumexp

from ancestral import OrderMixture, TabularAutoregressive
from ancestral.autoregressive import search
from tests.test_contract import fits

Float = NDArray[np.float64]
SIZES = (2, 3, 2, 2)
SPACE = np.indices(SIZES).reshape(4, -1).T  # all 24 rows
KNOWN = np.array([np.nan, 2.0, np.nan, 1.0])
ALIKE = (np.isnan(KNOWN) | (KNOWN == SPACE)).all(axis=1)  # rows with the known values
a, b, c = sp.symbols("a b c", positive=True)


@pytest.fixture(scope="module")
def rows() -> NDArray[np.intp]:
    """Rows of four columns that depend on each other."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 60)
    second = (first + (rng.random(60) < 0.4) + (rng.random(60) < 0.3)) % 3
    third = (second > 0) ^ (rng.random(60) < 0.2)
    return np.column_stack([first, second, third, first ^ (rng.random(60) < 0.3)]).astype(int)


@pytest.fixture(scope="module")
def model(rows: NDArray[np.intp]) -> OrderMixture:
    smooth = TabularAutoregressive(smoothing=0.5)
    return OrderMixture(smooth, n_orders=5, random_state=0).fit(rows)


def of_members(model: OrderMixture, X: NDArray) -> Float:
    """Return log p_j of rows, shape (J, n)."""
    pairs = zip(model.members_, model.orders_, strict=True)
    return np.stack([member.log_density(X[:, order]) for member, order in pairs])


def test_step_1_the_mean_is_a_density(model: OrderMixture) -> None:
    each = of_members(model, SPACE)
    np.testing.assert_allclose(np.exp(each).sum(axis=1), 1, rtol=1e-12)
    mean = np.exp(each).mean(axis=0)
    assert mean.sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(model.log_density(SPACE), np.log(mean), rtol=1e-12)
    np.testing.assert_allclose(logsumexp(each, axis=0) - np.log(5), np.log(mean), rtol=1e-12)


def test_step_2_the_fit_raises_a_lower_bound(model: OrderMixture, rows: NDArray[np.intp]) -> None:
    t = sp.Symbol("t", positive=True)
    assert sp.diff(sp.log(t), t, 2) == -1 / t**2
    for X in (rows, SPACE):
        assert model.score(X) >= of_members(model, X).mean()
        assert (model.log_density(X) >= of_members(model, X).mean(axis=0) - 1e-12).all()
    # Each member is the fit of its order by itself.
    for member, order in zip(model.members_, model.orders_, strict=True):
        alone = TabularAutoregressive(smoothing=0.5).fit(rows[:, order])
        np.testing.assert_array_equal(
            alone.log_density(SPACE[:, order]), member.log_density(SPACE[:, order])
        )


def test_step_3_what_is_gained(model: OrderMixture) -> None:
    p = (a, b, c)
    r = [one / sum(p) for one in p]
    gained = sp.log(sum(p) / 3) - sum(map(sp.log, p)) / 3
    kl = sum(sp.log(sp.Rational(1, 3) / one) / 3 for one in r)
    assert sp.simplify(sp.expand_log(gained - kl, force=True)) == 0
    each = of_members(model, SPACE)
    r = np.exp(each - logsumexp(each, axis=0))
    gained = model.log_density(SPACE) - each.mean(axis=0)
    np.testing.assert_allclose(gained, (np.log(1 / 5 / r) / 5).sum(axis=0), atol=1e-12)
    best = each.max(axis=0)
    assert (model.log_density(SPACE) <= best + 1e-12).all()
    assert (model.log_density(SPACE) >= best - np.log(5) - 1e-12).all()


def test_step_4_more_orders(rows: NDArray[np.intp]) -> None:
    without = [(b + c) / 2, (a + c) / 2, (a + b) / 2]
    assert sp.simplify(sum(without) / 3 - (a + b + c) / 3) == 0
    every = OrderMixture(TabularAutoregressive(smoothing=0.5), orders=list(permutations(range(4))))
    log_p = of_members(every.fit(rows), SPACE)[::4]  # six of the orders, as if there were no others
    expected = [
        np.mean([logsumexp(log_p[list(js)], axis=0) for js in product(range(6), repeat=J)], axis=0)
        - np.log(J)
        for J in (1, 2, 3, 4)
    ]
    for fewer, more in pairwise(expected):
        assert (more >= fewer - 1e-12).all()
    assert (expected[1] > expected[0]).any()
    limit = logsumexp(log_p, axis=0) - np.log(6)
    assert (limit >= expected[-1] - 1e-12).all()


def test_step_5_tables_gain_only_with_smoothing(
    model: OrderMixture, rows: NDArray[np.intp]
) -> None:
    n, n1, n12, n123 = sp.symbols("n n1 n12 n123", positive=True)
    assert n1 / n * (n12 / n1) * (n123 / n12) == n123 / n
    counted = OrderMixture(TabularAutoregressive(), n_orders=5, random_state=0).fit(rows)
    seen, counts = np.unique(rows, axis=0, return_counts=True)
    for log_p in (*of_members(counted, seen), counted.log_density(seen)):
        np.testing.assert_allclose(np.exp(log_p), counts / 60, rtol=1e-12)
    assert np.ptp(of_members(model, SPACE), axis=0).max() > 0.1  # smoothed: they differ


def test_step_6_draws(model: OrderMixture) -> None:
    drawn = model.sample(20_000, random_state=0)
    place = np.ravel_multi_index(drawn.T, SIZES)
    assert fits(np.bincount(place, minlength=24), np.exp(model.log_density(SPACE)))


def test_step_7_known_values(model: OrderMixture) -> None:
    p = np.exp(model.log_density(SPACE))
    each = np.exp(of_members(model, SPACE))
    known = each[:, ALIKE].sum(axis=1)  # p_j(known)
    assert np.exp(model.log_density([KNOWN]))[0] == pytest.approx(known.mean(), rel=1e-12)
    r = known / known.sum()
    given = (r[:, None] * each[:, ALIKE] / known[:, None]).sum(axis=0)
    np.testing.assert_allclose(given, p[ALIKE] / p[ALIKE].sum(), rtol=1e-12)
    for j, found in model.marginals([KNOWN]).items():
        levels = np.bincount(SPACE[ALIKE, j], given, SIZES[j])
        np.testing.assert_allclose(found[0], levels, rtol=1e-10, atol=1e-15)
    drawn = model.sample(10_000, given=KNOWN, random_state=0)
    place = {tuple(row): k for k, row in enumerate(SPACE[ALIKE].tolist())}
    counts = np.bincount([place[tuple(row)] for row in drawn.tolist()], minlength=len(place))
    assert fits(counts, given)


@pytest.mark.parametrize(("m", "n_known"), [(5, 1), (5, 2), (6, 4), (4, 4)])
def test_step_8_what_it_costs_to_know(m: int, n_known: int) -> None:
    before = []
    for places in combinations(range(m), n_known):  # of the known columns, all alike probable
        last = max(places)
        before.append(last + 1 - n_known)
    assert sp.Rational(sum(before), len(before)) == sp.Rational(
        (m - n_known) * n_known, n_known + 1
    )


def test_step_9_the_most_probable_completion(model: OrderMixture) -> None:
    p = np.exp(model.log_density(SPACE))
    each = np.exp(of_members(model, SPACE))
    best = SPACE[ALIKE][p[ALIKE].argmax()]
    np.testing.assert_array_equal(model.impute([KNOWN])[0], best)
    levels = np.where(np.isnan(KNOWN), -1, KNOWN).astype(np.intp)
    lists, lowest = set[tuple[int, ...]](), []
    for member, order in zip(model.members_, model.orders_, strict=True):
        found, log_p, _ = search.most_probable_levels(member, 2, levels[order])
        lists |= set(map(tuple, found[:, np.argsort(order)].tolist()))
        lowest.append(np.exp(log_p[-1]))
    others = [k for k in np.flatnonzero(ALIKE) if tuple(SPACE[k].tolist()) not in lists]
    assert others
    assert (each[:, others] <= np.array(lowest)[:, None] + 1e-15).all()
    assert (p[others] <= np.mean(lowest) + 1e-15).all()
