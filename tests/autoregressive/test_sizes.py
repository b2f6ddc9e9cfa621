"""Whatever the number of rows, and by whichever method, a model gives the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ancestral import ChainAutoregressive, TabularAutoregressive
from ancestral.autoregressive import costs
from ancestral.autoregressive.chain import linear as linear_module
from ancestral.autoregressive.steps import Stepped, Walk
from tests.test_contract import fits

SIZES = (1, 2, 15, 16, 17, 64, 1000, 20_000)
MODELS = {
    "tables": TabularAutoregressive(0.3),
    "unsmoothed": TabularAutoregressive(),
    "logistic": ChainAutoregressive("logistic", n_components=0, n_raced=1, random_state=0),
    "mixture": ChainAutoregressive("logistic", n_components=3, n_raced=1, random_state=0),
    "estimator": ChainAutoregressive(LogisticRegression(), random_state=0),
}


def table(n: int = 300) -> np.ndarray:
    """Return rows of two, three and ten levels, each hanging on those before, and a constant."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, n)
    second = (first + rng.integers(0, 2, n)) % 3
    third = (second * 3 + rng.integers(0, 3, n)) % 10
    last = (first ^ (rng.random(n) < 0.2)).astype(int)
    return np.column_stack([first, second, np.full(n, 7), third, last, third % 2])


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param].fit(table())


def test_a_row_scores_the_same_bits_beside_any_others(model: Any) -> None:
    X = table()
    one = np.concatenate([model.log_density(X[i : i + 1]) for i in range(40)])
    for n in SIZES:
        rows = X[np.arange(n) % 40]
        np.testing.assert_array_equal(model.log_density(rows), one[np.arange(n) % 40])


def test_scores_are_those_of_the_steps(model: Any) -> None:
    """Also of beginnings: what is unknown at the end sums to one."""
    levels = model._encode(table())
    levels[np.arange(6) >= np.random.default_rng(0).integers(0, 7, len(levels))[:, None]] = -1
    np.testing.assert_allclose(
        model._log_density_levels(levels), Stepped._log_density_levels(model, levels), atol=1e-7
    )


@pytest.mark.parametrize("end", [1, 3, 6])
def test_a_walk_that_follows_is_one_that_branched(model: Any, end: int) -> None:
    known = model._encode(table()[:20])
    known[:, end:] = -1
    followed, branched = Walk(model, known), Walk(model, known)
    followed.follow()
    for _ in range(end):
        branched.branch()
    np.testing.assert_allclose(followed.log_p, branched.log_p, atol=1e-7)
    np.testing.assert_array_equal(followed.rows(), branched.rows())
    np.testing.assert_array_equal(followed.owner, branched.owner)
    if end < 6:
        np.testing.assert_allclose(followed.conditionals(), branched.conditionals(), atol=1e-7)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("n", [1, 4, 40])
def test_few_draws_and_many_fit_the_density(model: Any, n: int, given: bool) -> None:
    """Draws pooled over many calls; a right sampler fails for one seed in 10,000."""
    rng = np.random.default_rng(n)
    levels = [len(known) for known in model.categories_]
    space = np.indices(levels).reshape(6, -1).T
    p = np.exp(model._log_density_levels(space))
    row = None
    if given:
        row = np.full(6, np.nan)
        row[:2] = [1, 2]
        p = np.where((space[:, 0] == 1) & (space[:, 1] == 2), p, 0.0)
    drawn = [model.sample(n, given=row, random_state=rng) for _ in range(min(4000 // n, 400))]
    codes = model._encode(np.concatenate(drawn))
    place = np.ravel_multi_index(tuple(codes.T), levels)
    kept = p > 0
    counts = np.bincount(place, minlength=len(p))
    assert not counts[~kept].any()
    assert fits(counts[kept], p[kept] / p.sum())


def test_by_value_and_by_column_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X = table()
    for name in ("tables", "unsmoothed", "logistic"):
        model = MODELS[name].fit(X)
        wanted = model.log_density(X[:30]), model.sample(9, random_state=3)
        with monkeypatch.context() as patch:
            patch.setattr(costs, "VALUE", 1e9)
            patch.setattr(costs, "DRAW", 0.0)
            patch.setattr(costs, "CHAIN_VALUES", 1)
            assert np.array_equal(model.log_density(X[:30]), wanted[0])
            assert np.array_equal(model.sample(9, random_state=3), wanted[1])


def test_draws_beside_a_mixture_are_those_of_its_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """By value, by column, and with components' weights that are always made anew."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 400)[:, None]  # rows of three kinds, which the mixture tells apart
    X = np.column_stack([kind == rng.integers(0, 4, (400, 4)), kind + rng.integers(0, 2, (400, 2))])
    model = ChainAutoregressive("logistic", n_components=3, n_raced=1, random_state=0).fit(X)
    linear = model._linear
    assert linear.is_all and linear.mixed is not None and set(model._n_levels) > {2}
    space = np.indices(model._n_levels).reshape(6, -1).T
    p = np.exp(model._log_density_levels(space))
    for vanishing in (linear_module.VANISHING, 2.0 * model.n_components):
        monkeypatch.setattr(linear_module, "VANISHING", vanishing)
        drawn = []
        for mixed in (0, 1e9):
            monkeypatch.setattr(costs, "MIXED", mixed)
            rows = np.tile(space[-1], (20_000, 1))
            assert model._draw_on(rows, 0, np.random.default_rng(1))
            drawn.append(rows)
        # The product of one row rounds in another way than that of many, in the last bits.
        assert (drawn[0] != drawn[1]).any(axis=1).mean() < 1e-3
        place = np.ravel_multi_index(tuple(drawn[0].T), model._n_levels)
        assert fits(np.bincount(place, minlength=len(p)), p / p.sum())


def test_reading_rows_changes_none_of_them() -> None:
    X = table()
    X.flags.writeable = False
    model = MODELS["tables"].fit(X)
    assert np.array_equal(model.impute(X), X)
    assert np.isfinite(model.log_density(X)).all()


@pytest.mark.parametrize("dtype", ["U", object, np.int8, np.uint64, np.float64, bool])
def test_levels_of_any_kind_are_coded_alike(dtype: Any) -> None:
    codes = table()[:, [0, 4, 5]]
    X = np.array(["no", "yes"])[codes] if dtype in ("U", object) else codes
    X = X.astype(dtype) if dtype != "U" else X
    model, plain = TabularAutoregressive(0.5).fit(X), TabularAutoregressive(0.5).fit(codes)
    np.testing.assert_array_equal(model._encode(X), codes)
    np.testing.assert_array_equal(model.log_density(X), plain.log_density(codes))
    np.testing.assert_array_equal(model._decode(codes), X)
