"""Sequential Monte Carlo against enumeration: unbiased, honest about its error, exact at last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits

from ancestral import ChainAutoregressive, TabularAutoregressive
from ancestral.autoregressive import sampling, smc
from ancestral.autoregressive.sequential import Sequential
from ancestral.errors import ModelError
from tests.test_contract import FALSE_ALARM, fits
from tests.zoo import BITS, ZOO, Entry

D = 16
STEPPED = pytest.mark.parametrize(
    "entry", [e for e in ZOO if isinstance(e.make(), Sequential)], ids=lambda e: e.name
)


class Unforgetting(TabularAutoregressive):
    """Tables that are walked as a network is: no prefix is like another."""

    _forgets = False

    def _forgotten(self, state: Any) -> None:
        return None


@pytest.fixture(scope="module")
def model() -> TabularAutoregressive:
    """16 variables that lean on each other, so that late values say much about early ones."""
    rng = np.random.default_rng(0)
    X = np.cumsum(rng.random((300, D)) < 0.3, axis=1) % 2
    return Unforgetting(smoothing=0.2).fit(X)


@pytest.fixture(scope="module")
def row() -> np.ndarray:
    row = np.full(D, np.nan)
    row[[3, 13, 15]] = 1, 0, 1
    return row


def possible_given(row: np.ndarray) -> np.ndarray:
    """Return every row that has the known values."""
    space = np.indices((2,) * len(row)).reshape(len(row), -1).T
    known = ~np.isnan(row)
    return space[(space[:, known] == row[known]).all(axis=1)]


@STEPPED
def test_where_all_completions_fit_it_is_exact(entry: Entry) -> None:
    model, X = entry.fit(), np.asarray(entry.data[0])
    rows = X[:4].astype(object)
    rows[:, 0] = np.nan
    values, errors = model.log_evidence(rows, random_state=0)
    np.testing.assert_allclose(values, model.log_density(rows), rtol=1e-12)
    assert (errors == 0).all()
    np.testing.assert_array_equal(model.log_density(rows, method="smc", random_state=0), values)


def test_the_estimate_is_unbiased_and_its_error_honest(
    model: TabularAutoregressive, row: np.ndarray
) -> None:
    """Over 250 runs with few particles: the mean by a z-test, the spread within a factor of 1.3."""
    rows = np.tile(row, (250, 1))
    values, errors = model.log_evidence(rows, n_particles=16, random_state=1)
    assert (errors > 0).all()
    ratios = np.exp(values - model.log_density(row[None])[0])
    z = (ratios.mean() - 1) / (ratios.std(ddof=1) / np.sqrt(len(ratios)))
    assert abs(z) < stats.norm.isf(FALSE_ALARM / 2)
    assert 1 / 1.3 < np.sqrt((errors**2).mean()) / values.std() < 1.3


def test_more_particles_err_less(model: TabularAutoregressive, row: np.ndarray) -> None:
    few, many = (model.log_evidence(row[None], n_particles=n, random_state=2)[1] for n in (16, 256))
    assert many < few / 2


def test_thinning_keeps_every_expected_weight() -> None:
    """20,000 thinnings of ten weights to four: mean weights by z-tests; the largest untouched.

    Beside them stands an owner of three weights, which are few enough, and one of ten others.
    """
    rng = np.random.default_rng(3)
    log_w = np.log(np.array([9.0, 5.0, 1.0, 0.8, 0.6, 0.5, 0.5, 0.3, 0.2, 0.1]))
    promise = np.concatenate([log_w, [0.0, -5.0, -1.0], log_w[::-1] - 3.0])
    owner = np.repeat([0, 1, 2], [10, 3, 10])
    total, square = np.zeros(23), np.zeros(23)
    for _ in range(20_000):
        kept, log_odds = smc.thin(promise, owner, 4, rng)
        n_kept = np.bincount(owner[kept])
        assert n_kept[1] == 3 and (n_kept <= 4).all()
        assert {0, 1, 10, 11, 12, 21, 22} <= set(kept.tolist())
        weights = np.zeros(23)
        weights[kept] = np.exp(promise[kept] - log_odds)
        total, square = total + weights, square + weights**2
    mean = total / 20_000
    error = np.sqrt(np.maximum(square / 20_000 - mean**2, 1e-20) / 20_000)
    assert (np.abs(mean - np.exp(promise)) < stats.norm.isf(FALSE_ALARM / 40) * error + 1e-9).all()


def test_draws_approach_the_conditional(model: TabularAutoregressive, row: np.ndarray) -> None:
    """Independent particle sets, one draw from each, against the exact conditional."""
    known = row.copy()
    known[[0, 1, 2, 4]] = 0, 1, 1, 1  # 2^8 completions are left, and 8 to a run
    possible = possible_given(known)
    p = np.exp(model.log_density(possible))
    rng = np.random.default_rng(4)
    codes = possible @ (1 << np.arange(D))
    counts = dict.fromkeys(codes.tolist(), 0)
    levels, ahead = model._encode(known[None], missing=True), smc.Lookahead(model, rng)
    for _ in range(400):
        walk = smc.run(model, levels, 8, rng, ahead).walk
        drawn, _ = sampling.sample_on(walk, 1, rng)
        counts[int(drawn[0] @ (1 << np.arange(D)))] += 1
    assert fits(np.array(list(counts.values())), p / p.sum())


def test_what_enumeration_refuses_can_be_estimated() -> None:
    """A last bit known after 25 unknown ones, against tables that are walked exactly."""
    X = np.eye(26, dtype=int)
    model, exact = (make(smoothing=1.0).fit(X) for make in (Unforgetting, TabularAutoregressive))
    late = np.full((1, 26), np.nan)
    late[0, 25] = 1
    with pytest.raises(ModelError, match=r'25 unknown variables .* method="smc"'):
        model.log_density(late)
    value, error = model.log_evidence(late, n_particles=64, random_state=0)
    assert error[0] > 0 and abs(value - exact.log_density(late))[0] < 5 * error[0]
    given = np.full(26, np.nan)
    given[20:] = 0
    drawn = model.sample(50, given=given, method="smc", n_particles=64, random_state=0)
    assert (drawn[:, 20:] == 0).all()


def test_imputing_finds_the_most_probable_completion(
    model: TabularAutoregressive, row: np.ndarray
) -> None:
    possible = possible_given(row)
    best = possible[np.argmax(model.log_density(possible))]
    whole = np.resize(BITS[0], D)
    filled = model.impute(np.stack([row, whole.astype(float)]))
    np.testing.assert_array_equal(filled, [best, whole])
    np.testing.assert_array_equal(model.impute(row[None], method="smc", random_state=0), best[None])


def test_a_complete_row_has_no_error(model: TabularAutoregressive) -> None:
    X = np.zeros((2, D))
    values, errors = model.log_evidence(X)
    np.testing.assert_array_equal(values, model.log_density(X))
    assert (errors == 0).all()


def test_an_impossible_condition_is_said() -> None:
    model = TabularAutoregressive().fit([[0, 0, 1], [1, 1, 0]])
    row = [np.nan, 1, 1]
    assert model.log_evidence([row])[0][0] == -np.inf
    with pytest.raises(ModelError, match="probability 0 under this model"):
        model.sample(2, given=row, method="smc")
    with pytest.raises(ModelError, match="row 0 have probability 0"):
        model.impute([row])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, r: m.log_density([r], method="gibbs"), "method must be"),
        (lambda m, r: m.log_density([r], n_particles=100), "n_particles has no effect"),
        (lambda m, r: m.log_density([r], random_state=1), "random_state has no effect"),
        (lambda m, r: m.log_density([r], method="smc", n_particles=3), "n_particles must be"),
        (lambda m, r: m.sample(2, method="smc"), "without given, draws are exact"),
        (lambda m, r: m.sample(2, given=r, n_particles=64), "n_particles has no effect"),
        (lambda m, r: m.impute([r], random_state=1), "random_state has no effect"),
    ],
)
def test_options_without_effect_are_refused(call: Any, message: str) -> None:
    model = TabularAutoregressive().fit([[0, 0], [1, 1]])
    with pytest.raises(ModelError, match=message):
        call(model, [0, np.nan])


# ---- the law: errors are as large as is said ---------------------------------------------------

UNKNOWN: dict[str, Any] = {  # 16 of 64 pixels
    "anywhere": lambda rng: rng.choice(64, 16, replace=False),
    "the upper quarter": lambda rng: np.arange(16),
    "a square": lambda rng: (
        rng.integers(0, 5) * 8 + rng.integers(0, 5) + (8 * np.arange(4)[:, None] + np.arange(4))
    ).ravel(),
}


@pytest.mark.parametrize("where", UNKNOWN)
def test_particles_under_a_chain_err_as_they_say(where: str, long: bool, note: Any) -> None:
    """Held-out digits, 16 pixels unknown, 256 particles: at most 3% beyond four standard errors.

    Against enumeration: 200 rows with --long; else 24, of which at most one may be beyond, with 12
    of the pixels unknown and 64 particles.
    """
    n, n_unknown, n_particles = (200, 16, 256) if long else (24, 12, 64)
    X = (load_digits().data >= 8).astype(int)
    X = X[np.random.default_rng(0).permutation(len(X))]
    model = ChainAutoregressive("logistic", random_state=0).fit(X[:1500])
    rows, rng = X[1500 : 1500 + n].astype(float), np.random.default_rng(1)
    for row in rows:
        row[UNKNOWN[where](rng)[:n_unknown]] = np.nan
    exact = model.log_density(rows)
    values, errors = model.log_evidence(rows, n_particles=n_particles, random_state=0)
    off = np.abs(values - exact)
    beyond = off > 4 * errors + 1e-9
    note(
        f"particles, {where}: beyond 4 standard errors, root mean square",
        f"{beyond.mean():.1%}, {np.sqrt((off**2).mean()):.4f} nats",
    )
    assert beyond.mean() <= (0.03 if long else 1 / n)
    assert np.sqrt((off**2).mean()) < 0.1
