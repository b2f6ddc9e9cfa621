"""Both ways of drawing, and the switch between them, give the same exact distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ancestral import TabularAutoregressive
from ancestral.autoregressive import costs, sampling
from tests.test_contract import fits

SPACE = np.indices((2, 3, 2)).reshape(3, -1).T


@pytest.fixture(scope="module")
def model() -> TabularAutoregressive:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, k, size=40) for k in (2, 3, 2)])
    return TabularAutoregressive(smoothing=0.3).fit(X)


@pytest.mark.parametrize("crowded", [0.0, 0.1, 0.5, 10.0])
def test_rows_fit_the_density_wherever_the_switch_falls(
    model: TabularAutoregressive, monkeypatch: pytest.MonkeyPatch, crowded: float
) -> None:
    """400 repeats of 12 draws, pooled: stepped from the start, part of the way, or never."""
    monkeypatch.setattr(costs, "CROWDED", crowded)
    rng = np.random.default_rng(1)
    drawn = np.concatenate([model.sample(12, random_state=rng) for _ in range(400)])
    codes = [tuple(row) for row in SPACE.tolist()]
    counts = np.array([(drawn == code).all(axis=1).sum() for code in codes])
    assert fits(counts, np.exp(model.log_density(SPACE)))


@pytest.mark.parametrize("crowded", [0.0, 0.3, 10.0])
def test_draws_are_independent(
    model: TabularAutoregressive, monkeypatch: pytest.MonkeyPatch, crowded: float
) -> None:
    """How often one row comes in 12 draws is binomial, and so is whether it is the last."""
    monkeypatch.setattr(costs, "CROWDED", crowded)
    target = SPACE[np.argmax(model.log_density(SPACE))]
    p = float(np.exp(model.log_density(target[None])[0]))
    rng = np.random.default_rng(2)
    hits = np.array(
        [(model.sample(12, random_state=rng) == target).all(axis=1) for _ in range(400)]
    )
    binomial = stats.binom.pmf(np.arange(13), 12, p)
    assert fits(np.bincount(hits.sum(axis=1), minlength=13), binomial)
    for place in (0, 11):  # shuffled: no place is favoured
        assert fits(np.bincount(hits[:, place], minlength=2), np.array([1 - p, p]))


def test_possible_rows_that_are_listed_are_split_at_once() -> None:
    X = [[0, 0], [0, 1], [0, 1], [1, 1]]
    model, smoothed = TabularAutoregressive().fit(X), TabularAutoregressive(1.0).fit(X)
    rows, p = model._listed()
    np.testing.assert_array_equal(rows, model.support_)
    np.testing.assert_allclose(p, [0.25, 0.5, 0.25])
    assert smoothed._listed() is None
    assert model.fit([[0, 1], [0, 1]])._listed()[0].tolist() == [[0, 1]]  # not the old list
    many = TabularAutoregressive().fit(np.random.default_rng(0).integers(0, 2, size=(9000, 16)))
    assert many._listed() is None
    assert len(many.sample(100, random_state=0)) == 100


def test_an_impossible_level_is_never_drawn() -> None:
    class Lowest(np.random.Generator):
        def random(self, size=None):
            return np.zeros(size)

    log_p = np.log(np.array([[1e-300, 1.0, 1.0], [1.0, 1.0, 1e-300]]) / 2)
    log_p[log_p < -100] = -np.inf
    drawn = sampling._draw_levels(log_p, Lowest(np.random.PCG64(0)))
    np.testing.assert_array_equal(drawn, [1, 0])
    many = sampling._draw_levels(np.tile(log_p, (5000, 1)), np.random.default_rng(0))
    assert not (many[::2] == 0).any() and not (many[1::2] == 2).any()
