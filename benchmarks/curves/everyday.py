"""Curves of what is done all day: dataframes handed in, and fits by the thousand."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ancestral import (
    PPCA,
    ChainAutoregressive,
    HeteroscedasticGaussian,
    LinearGaussian,
    OrderMixture,
    PPCAMixture,
    TabularAutoregressive,
)
from benchmarks.curves import autoregressive, gaussian
from benchmarks.curves.curve import Aim, Curve, Tasks
from benchmarks.curves.judge import FRAME
from benchmarks.timing import Task

SIZES = (100, 1_000, 10_000, 100_000)
OLS = "statsmodels OLS in a loop"
RESAMPLED = (200, 5)
COLUMNS = 10
ARRAY = "an array"
FRAMES = [name for name in ("pandas", "polars") if importlib.util.find_spec(name)]


@cache
def _models() -> dict[str, tuple[Callable[[], Any], bool]]:
    """Return how each model is made, and whether its rows are levels."""
    return {
        "TabularAutoregressive": (TabularAutoregressive, True),
        "ChainAutoregressive": (lambda: ChainAutoregressive("logistic", random_state=0), True),
        "LSTMAutoregressive": (lambda: autoregressive.lstm(3), True),
        "OrderMixture": (lambda: OrderMixture(autoregressive.smooth(), random_state=0), True),
        "PPCA": (lambda: PPCA(2), False),
        "PPCAMixture": (lambda: PPCAMixture(2, 1, n_starts=1, random_state=0), False),
        "LinearGaussian": (LinearGaussian, False),
        "HeteroscedasticGaussian": (HeteroscedasticGaussian, False),
        "NeuralGaussian": (lambda: gaussian.network(max_steps=20, patience=20), False),
    }


CONDITIONAL = ("LinearGaussian", "HeteroscedasticGaussian", "NeuralGaussian")
FITTED = ("TabularAutoregressive", "PPCA", "LinearGaussian")  # where the fit is little work


def _data(model: str, n: int, d: int) -> tuple[np.ndarray, ...]:
    if model in CONDITIONAL:
        return gaussian.line(n, d)
    if _models()[model][1]:
        seen = autoregressive.bits(100, d)
        return (autoregressive.among(seen, n),)
    return (gaussian.table(n, d),)


def _frame(library: str, X: np.ndarray) -> Any:
    """Return a dataframe of one block of memory per column."""
    names = [f"c{j}" for j in range(X.shape[1])]
    columns = {name: np.ascontiguousarray(X[:, j]) for j, name in enumerate(names)}
    return importlib.import_module(library).DataFrame(columns)


@cache
def _fitted(model: str, library: str, d: int) -> Any:
    X, *y = _data(model, 100, d)
    return _models()[model][0]().fit(_frame(library, X) if library else X, *y)


def scored(model: str, library: str) -> Callable[[int, int], Tasks]:
    def make(n: int, d: int) -> Tasks:
        X, *y = _data(model, n, d)
        frame, named, plain = _frame(library, X), _fitted(model, library, d), _fitted(model, "", d)
        return Tasks(
            lambda: named.log_density(frame, *y), {ARRAY: lambda: plain.log_density(X, *y)}
        )

    return make


def fitted(model: str, library: str) -> Callable[[int, int], Tasks]:
    def make(n: int, d: int) -> Tasks:
        X, *y = _data(model, n, d)
        frame, new = _frame(library, X), _models()[model][0]
        return Tasks(lambda: new().fit(frame, *y), {ARRAY: lambda: new().fit(X, *y)})

    return make


def bootstrap(fits: int, _: int) -> Tasks:
    """The spread of coefficients over fits to rows drawn with replacement, in one call."""
    n, d = RESAMPLED
    X, y = gaussian.line(n, d)

    def ours() -> Any:
        return LinearGaussian().fit(X, y).bootstrap(X, y, fits, random_state=0).std(axis=0)

    return Tasks(ours, _loops(X, y, fits), None)


def loop(fits: int, _: int) -> Tasks:
    """The same by a plain loop of fits: what cross-validation and fits by group come to."""
    n, d = RESAMPLED
    X, y = gaussian.line(n, d)

    def ours() -> Any:
        rng, found = np.random.default_rng(0), []
        for _ in range(fits):
            i = rng.integers(n, size=n)
            model = LinearGaussian().fit(X[i], y[i])
            found.append(np.r_[model.intercept_, model.coef_])
        return np.std(found, axis=0)

    return Tasks(ours, _loops(X, y, fits), lambda: [X.T @ X for _ in range(fits)])


def _loops(X: np.ndarray, y: np.ndarray, fits: int) -> dict[str, Task]:
    if importlib.util.find_spec("statsmodels") is None:
        return {}
    import statsmodels.api as sm

    A, n = np.column_stack([np.ones(len(X)), X]), len(X)

    def theirs() -> Any:
        rng, found = np.random.default_rng(0), []
        for _ in range(fits):
            i = rng.integers(n, size=n)
            found.append(sm.OLS(y[i], A[i]).fit().params)
        return np.std(found, axis=0)

    return {OLS: theirs}


def _frames(work: str, models: Any, make: Any) -> list[Curve]:
    return [
        Curve(
            model,
            f"{work}, {library} in",
            make(model, library),
            SIZES,
            "",
            (COLUMNS,),
            aims=(Aim(ARRAY, 1 / 1.5, since=1_000, together=FRAME),),
            same=work == "log_density",
        )
        for model in models
        for library in FRAMES
    ]


RESAMPLING = [
    Curve(
        "LinearGaussian",
        "bootstrap, 200 x 5",
        bootstrap,
        (10, 100, 1_000),
        "",
        unit="fits",
        aims=(Aim(OLS, 3.0, since=1_000),),
        limit=8.0,
    ),
    Curve(
        "LinearGaussian",
        "fits in a loop, 200 x 5",
        loop,
        (10, 100, 1_000),
        "as many XᵀX",
        unit="fits",
        limit=8.0,
    ),
]
CURVES = [*_frames("log_density", _models(), scored), *_frames("fit", FITTED, fitted)]
