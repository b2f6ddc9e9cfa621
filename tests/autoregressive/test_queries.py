"""Completions and marginals: refused before work, walked in parts, by particles and by members."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ancestral import ChainAutoregressive, LSTMAutoregressive, OrderMixture, TabularAutoregressive
from ancestral.autoregressive import marginals, orders
from ancestral.errors import ModelError

rng = np.random.default_rng(0)
Z = rng.random((300, 1)) < 0.5
BITS = (rng.random((300, 8)) < np.where(Z, 0.8, 0.25)).astype(int)
SPACE = np.array(list(itertools.product((0, 1), repeat=8)))
HOLES = np.full((3, 8), np.nan)
HOLES[0, [1, 6]], HOLES[1, 7] = 1.0, 0.0


def chain() -> Any:
    return ChainAutoregressive("logistic", n_components=2, random_state=0).fit(BITS)


def mixture(model: Any = None) -> Any:
    made = TabularAutoregressive(smoothing=0.5) if model is None else model
    return OrderMixture(made, n_orders=3, random_state=0).fit(BITS)


def enumerated(model: Any, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    agrees = (np.isnan(row) | (row == SPACE)).all(axis=1)
    p = np.exp(model.log_density(SPACE[agrees]))
    return SPACE[agrees], p / p.sum()


@pytest.mark.parametrize("held", [2, 7, 40])
@pytest.mark.parametrize("make", [chain, mixture, lambda: TabularAutoregressive(0.5).fit(BITS)])
def test_walks_in_parts_give_what_one_walk_gives(make: Any, held: int, monkeypatch: Any) -> None:
    model = make()
    whole = model.marginals(HOLES)
    monkeypatch.setattr(marginals, "HELD", held)
    monkeypatch.setattr(marginals, "ROWS_AT_ONCE", 2)
    for j, p in model.marginals(HOLES).items():
        np.testing.assert_allclose(p, whole[j], rtol=1e-12, atol=1e-15)
    for i, row in enumerate(HOLES):
        rows, p = enumerated(model, row)
        wanted = (p[:, None] * rows).sum(axis=0)
        np.testing.assert_allclose([whole[j][i, 1] for j in range(8)], wanted, rtol=1e-9)
    # 40,000 draws of a probability: five standard errors, passed by chance once in a million.
    drawn = model.impute_draws(HOLES, 40_000, random_state=0).mean(axis=0)
    p = np.stack([whole[j][:, 1] for j in range(8)], axis=1)
    assert (np.abs(drawn - p) <= 5 * np.sqrt(p * (1 - p) / 40_000) + 1e-12).all()


def test_complete_rows_come_back_and_are_not_written_to() -> None:
    model, rows = chain(), BITS.copy()
    rows.flags.writeable = False
    np.testing.assert_array_equal(model.impute(rows), BITS)
    np.testing.assert_array_equal(model.impute_draws(rows, 2), np.stack([BITS, BITS]))
    assert set(np.unique(model.marginals(rows)[3])) == {0.0, 1.0}


def test_too_much_is_refused_before_any_work() -> None:
    wide = ChainAutoregressive("marginal", n_components=0, random_state=0)
    wide.fit(np.random.default_rng(0).integers(0, 2, (50, 60)))
    row = np.full((1, 60), np.nan)
    with pytest.raises(ModelError, match=r"60 unknown variables .*method=\"smc\""):
        wide.marginals(row)
    row[0, 0] = 1.0  # a beginning: draws and the density cost nothing, marginals are still sums
    assert wide.impute_draws(row, 3, random_state=0).shape == (3, 1, 60)
    row[0, -1] = 1.0
    with pytest.raises(ModelError, match=r"58 unknown variables .*method=\"smc\""):
        wide.impute_draws(row, 3)
    p = wide.marginals(row, method="smc", random_state=0)  # independent columns: as in the fit
    free = wide.sample(4000, random_state=0).mean(axis=0)
    assert abs(p[30][0, 1] - free[30]) < 0.1
    with pytest.raises(ModelError, match="n_particles has no effect"):
        wide.marginals(row, n_particles=99)


def test_tables_need_no_limit() -> None:
    """Hundreds of unknown values, by the stored contexts alone."""
    X = np.random.default_rng(1).integers(0, 2, (40, 300))
    model = TabularAutoregressive(smoothing=0.5).fit(X)
    row = np.full((1, 300), np.nan)
    row[0, 299] = 1.0
    p = model.marginals(row)
    assert all(one.sum() == pytest.approx(1.0) for one in p.values())
    drawn = model.impute_draws(np.repeat(row, 2, axis=0), 2000, random_state=0)
    mean = drawn.mean(axis=(0, 1))
    wanted = np.array([p[j][0, 1] for j in range(300)])
    # 4,000 draws of 300 probabilities: 5.5 standard errors, exceeded once in 10^5 runs.
    assert (np.abs(mean - wanted) <= 5.5 * np.sqrt(wanted * (1 - wanted) / 4000) + 1e-12).all()


@pytest.mark.parametrize(
    "make", [chain, lambda: mixture(ChainAutoregressive("logistic", n_components=0))]
)
def test_particles_come_near(make: Any, monkeypatch: Any) -> None:
    """With fewer particles than completions; bounds of 0.1 are many of their standard errors."""
    model = make()
    exact = model.marginals(HOLES)
    found = model.marginals(HOLES, method="smc", n_particles=16, random_state=0)
    drawn = model.impute_draws(HOLES, 2000, method="smc", n_particles=16, random_state=0)
    for j in range(8):
        assert np.abs(found[j] - exact[j]).max() < 0.1
        assert np.abs(drawn[:, :, j].mean(axis=0) - exact[j][:, 1]).max() < 0.1
    assert not np.isnan(model.impute(HOLES, method="smc", n_particles=16, random_state=0)).any()


def test_impossible_rows_are_named() -> None:
    X = [[0, 0, 0], [0, 1, 1], [1, 1, 0]]
    rows = np.array([[0, 0, np.nan], [1, 0, np.nan]])
    members = OrderMixture(TabularAutoregressive(), n_orders=2, random_state=0)
    for model in (TabularAutoregressive().fit(X), members.fit(X)):
        for ask in (model.marginals, model.impute, model.impute_draws):
            with pytest.raises(ModelError, match="row 1 have probability 0"):
                ask(rows)
        with pytest.raises(ModelError, match="nothing to draw"):
            model.sample(given=rows[1])
        assert model.impute_draws(rows[:1], 0).shape == (0, 1, 3)


# ---- a mixture of orders -------------------------------------------------------------------------


@pytest.mark.parametrize("few", [1, 1 << 12])
def test_the_best_completion_of_a_mixture_is_proven(few: int, monkeypatch: Any) -> None:
    """Listed whole, or from the members' own lists by the threshold."""
    monkeypatch.setattr(orders, "FEW", few)
    model = mixture()
    for row, filled in zip(HOLES, model.impute(HOLES), strict=True):
        rows, p = enumerated(model, row)
        assert p[(rows == filled).all(axis=1)] == pytest.approx(p.max(), rel=1e-9)


def test_a_flat_mixture_says_that_none_is_proven(monkeypatch: Any) -> None:
    monkeypatch.setattr(orders, "FEW", 1)
    monkeypatch.setattr(orders, "MOST_LISTED", 15)
    with pytest.raises(ModelError, match=r"none is proven .*method=\"smc\""):
        mixture().impute(HOLES[2:])


def test_what_a_mixture_cannot_it_does_not_offer() -> None:
    model = mixture()
    assert not any(hasattr(model, name) for name in ("compress", "decompress", "most_probable"))


def test_members_are_weighed_by_their_evidence() -> None:
    """Two members that rule out what the other says: only one explains what is given."""
    model = OrderMixture(TabularAutoregressive(), orders=[[0, 1], [1, 0]], random_state=0)
    model.fit([[0, 0], [1, 1]])
    one, other = model.members_
    one.probabilities_, other.probabilities_ = (
        [np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])],  # x_0 = 0, x_1 free
        [np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]])],  # x_1 = 1, x_0 = 1
    )
    for member in model.members_:
        member._set_trie(member.probabilities_)
    p = model.marginals([[np.nan, 1.0]])[0][0]
    # evidence 1/2 and 1: weights 1/3 and 2/3
    np.testing.assert_allclose(p, [1 / 3, 2 / 3])
    drawn = model.impute_draws([[np.nan, 1.0]], 9000, random_state=0)[:, 0, 0]
    assert abs(drawn.mean() - 2 / 3) < 5 * np.sqrt(2 / 9 / 9000)  # once in a million
    assert model.impute([[np.nan, 1.0]]).tolist() == [[1, 1]]


def test_networks_condition_too() -> None:
    pytest.importorskip("torch")
    model = LSTMAutoregressive(4, 1, max_steps=30, random_state=0).fit(BITS)
    for i, row in enumerate(HOLES):
        rows, p = enumerated(model, row)
        found = model.marginals(HOLES)
        wanted = (p[:, None] * rows).sum(axis=0)
        np.testing.assert_allclose([found[j][i, 1] for j in range(8)], wanted, rtol=1e-9)
