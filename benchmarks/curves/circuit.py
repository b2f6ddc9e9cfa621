"""Curves of the hidden tree: its fit, and what is asked of rows of which half is unknown."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from ancestral import LatentTree
from benchmarks.curves.curve import Aim, Curve, Tasks

Array = NDArray[np.float64]
STATES, TRAINED_ON = 32, 2_000
ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
IMPUTER = "IterativeImputer"
PRODUCTS = "k x k products, float64"


def table(n: int, d: int) -> Array:
    """Return columns of numbers that hang on one another, a tenth of their cells missing."""
    rng = np.random.default_rng([n, d])
    X = np.cumsum(rng.normal(size=(n, d)), axis=1)
    X[rng.random((n, d)) < 0.1] = np.nan
    return X


def bits(n: int, d: int) -> Array:
    """Return columns of 0 and 1 that hang on one another."""
    rng = np.random.default_rng([n, d])
    return (np.cumsum(rng.random((n, d)) < 0.2, axis=1) % 2).astype(np.float64)


def half_known(n: int, d: int) -> Array:
    return np.where(np.random.default_rng(n).random((n, d)) < 0.5, np.nan, bits(n, d))


@cache
def fitted(d: int) -> LatentTree:
    return LatentTree(STATES, 1, n_sweeps=5, random_state=0).fit(bits(TRAINED_ON, d))


def products(n: int, d: int) -> Any:
    """Return what a sweep cannot do without: one matrix product a column."""
    messages, transition = np.ones((n, STATES)), np.full((STATES, STATES), 1 / STATES)
    return lambda: [messages @ transition for _ in range(d)]


def fit(n: int, d: int) -> Tasks:
    """One tree of eight states, ten sweeps; scikit-learn's imputer of ten rounds beside it."""
    X = table(n, d)

    def theirs() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return IterativeImputer(random_state=0).fit(X)

    def ours() -> Any:
        return LatentTree(8, 1, n_sweeps=10, max_iter=0, random_state=0).fit(X)

    return Tasks(ours, {f"{IMPUTER}.fit": theirs}, lambda: np.nan_to_num(X).T @ np.nan_to_num(X))


def log_density(n: int, d: int) -> Tasks:
    model, X = fitted(d), half_known(n, d)
    return Tasks(lambda: model.log_density(X), {}, products(n, d))


def marginals(n: int, d: int) -> Tasks:
    model, X = fitted(d), half_known(n, d)
    return Tasks(lambda: model.marginals(X), {}, products(n, 2 * d))


def sample(n: int, d: int) -> Tasks:
    model, rng = fitted(d), np.random.default_rng(0)
    return Tasks(lambda: model.sample(n, random_state=rng), {}, lambda: rng.random((n, d)))


def sample_given(n: int, d: int) -> Tasks:
    """Draws given a row of which half is known."""
    model, rng = fitted(d), np.random.default_rng(0)
    row = half_known(1, d)[0]
    return Tasks(
        lambda: model.sample(n, given=row, random_state=rng), {}, lambda: rng.random((n, d))
    )


TWENTY = Aim("", seconds=0.2, since=10_000, until=10_000, together="20 µs a row, half unknown")
CURVES = [
    Curve("LatentTree", "fit", fit, (100, 1_000, 10_000, 100_000), "X.T @ X", (10,),
          same=False, limit=8.0, note="the imputer fits a regression for each column"),
    Curve("LatentTree", "log_density, with gaps", log_density, ROWS, PRODUCTS, (16, 69),
          aims=(TWENTY,)),
    Curve("LatentTree", "marginals, with gaps", marginals, ROWS[:-1], PRODUCTS, (69,)),
    Curve("LatentTree", "sample", sample, ROWS, "uniform numbers", (69,)),
    Curve("LatentTree", "sample given half a row", sample_given, ROWS, "uniform numbers", (69,)),
]  # fmt: skip
