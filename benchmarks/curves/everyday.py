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
BOOTSTRAPPED = (200, 5)
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
    """Fits of rows drawn with replacement, and the spread of their coefficients."""
    n, d = BOOTSTRAPPED
    X, y = gaussian.line(n, d)
    picks = np.random.default_rng(0).integers(0, n, (fits, n))

    def ours() -> Any:
        return np.std([LinearGaussian().fit(X[i], y[i]).coef_ for i in picks], axis=0)

    peers: dict[str, Task] = {}
    if importlib.util.find_spec("statsmodels") is not None:
        import statsmodels.api as sm

        A = np.column_stack([np.ones(n), X])

        def loop() -> Any:
            return np.std([sm.OLS(y[i], A[i]).fit().params[1:] for i in picks], axis=0)

        peers["statsmodels OLS in the same loop"] = loop
    return Tasks(ours, peers, lambda: [X[i].T @ X[i] for i in picks])


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


BOOTSTRAP = Curve(
    "LinearGaussian",
    "bootstrap, 200 x 5",
    bootstrap,
    (10, 100, 1_000),
    "as many XᵀX",
    unit="fits",
    aims=(Aim("statsmodels OLS in the same loop", 3.0, since=1_000),),
    limit=8.0,
)
CURVES = [*_frames("log_density", _models(), scored), *_frames("fit", FITTED, fitted)]
