"""Linear regression on large data: the fit, its statistics in chunks, and robust errors.

At full size this takes about three minutes, nearly all of it the peers'.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from sklearn.linear_model import LinearRegression, SGDRegressor

from ancestral import LinearGaussian, streaming
from benchmarks.timing import Row, Timer

SHAPE, TINY = (1_000_000, 50), (300, 3)
WIDE, AT_MOST = (500, 150), 4  # few rows of many columns; times the peer's
CHUNK = 50_000
AIMS = {"LinearRegression.fit": 10, "statsmodels OLS, fit and bse": 30}


def rows(timer: Timer) -> Iterator[Row]:
    """scikit-learn gives coefficients alone; statsmodels and ours standard errors too."""
    n, d = TINY if timer.tiny else SHAPE
    X, y = data(n, d)
    timer = replace(timer, repeats=min(timer.repeats, 5))
    model, peer = LinearGaussian().fit(X, y), LinearRegression().fit(X, y)
    gap = np.abs(model.coef_ - peer.coef_).max()
    row = timer.race(
        f"fit, {n:,} x {d}",
        lambda: LinearGaussian().fit(X, y),
        "LinearRegression.fit",
        lambda: LinearRegression().fit(X, y),
        note=f"coefficients differ by {gap:.1e} at most",
    )
    yield with_verdict(row)
    n_wide, d_wide = (60, 20) if timer.tiny else WIDE
    U, v = data(n_wide, d_wide)
    row = timer.race(
        f"fit, {n_wide:,} x {d_wide}",
        lambda: LinearGaussian().fit(U, v),
        "LinearRegression.fit",
        lambda: LinearRegression().fit(U, v),
    )
    times = 1 / row.ratio
    verdict = "met" if times <= AT_MOST else "MISSED"
    yield replace(row, note=f"{times:.1f} times the peer; aim {AT_MOST} at most: {verdict}")
    if importlib.util.find_spec("statsmodels") is not None:
        import statsmodels.api as sm

        A = sm.add_constant(X)
        few = replace(timer, repeats=min(timer.repeats, 3))
        row = few.race(
            f"fit, {n:,} x {d}",
            lambda: LinearGaussian().fit(X, y),
            "statsmodels OLS, fit and bse",
            lambda: sm.OLS(y, A).fit().bse,
            note="the peer is given its column of ones",
        )
        yield with_verdict(row)
        m = n // 10
        some = LinearGaussian().fit(X[:m], y[:m])
        result = sm.OLS(y[:m], A[:m]).fit()
        gap = np.abs(some.robust_standard_errors(X[:m], y[:m]) / result.HC3_se - 1).max()
        yield timer.race(
            f"fit and HC3, {m:,} x {d}",
            lambda: LinearGaussian().fit(X[:m], y[:m]).robust_standard_errors(X[:m], y[:m]),
            "statsmodels OLS, HC3_se",
            lambda: sm.OLS(y[:m], A[:m]).fit().HC3_se,
            note=f"they differ by {gap:.1e} of themselves at most",
        )
    if importlib.util.find_spec("statsmodels") is not None:
        yield resampling(timer)
    yield timer.race(
        f"fit_chunks of {CHUNK:,} rows, {n:,} x {d}",
        lambda: streaming.fit_chunks(LinearGaussian(), chunks(X, y)),
        "SGDRegressor.partial_fit, one pass",
        lambda: descend(X, y),
        note="ours is the exact fit; the peer has not converged after one pass",
    )


def resampling(timer: Timer) -> Row:
    """Race bootstrap against the loop that a user of statsmodels writes."""
    import statsmodels.api as sm

    n_draws, (n, d) = (10, (40, 2)) if timer.tiny else (1000, (200, 5))
    X, y = data(n, d)
    A = sm.add_constant(X)

    def loop() -> np.ndarray:
        rng = np.random.default_rng(0)
        rows = (rng.integers(n, size=n) for _ in range(n_draws))
        return np.array([sm.OLS(y[i], A[i]).fit().params for i in rows])

    def ours() -> np.ndarray:
        return LinearGaussian().fit(X, y).bootstrap(X, y, n_draws, random_state=0)

    gap = np.abs(ours() - loop()).max()
    note = f"the same draws; coefficients differ by {gap:.1e} at most"
    return timer.race(
        f"bootstrap, {n_draws:,} fits of {n} x {d}", ours, "OLS in a loop", loop, note=note
    )


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw columns with a mean, and a target with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 5.0
    return X, X @ rng.normal(size=d) + rng.normal(size=n)


def chunks(X: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows in parts."""
    for start in range(0, len(X), CHUNK):
        yield X[start : start + CHUNK], y[start : start + CHUNK]


def descend(X: np.ndarray, y: np.ndarray) -> SGDRegressor:
    """Give each part once to stochastic gradient descent."""
    model = SGDRegressor(random_state=0)
    for part, target in chunks(X, y):
        model.partial_fit(part - 5.0, target)
    return model


def with_verdict(row: Row) -> Row:
    """Return the row with what was aimed at, and whether it was met."""
    aim = AIMS[row.peer]
    verdict = "met" if row.ratio >= aim else "MISSED"
    note = f"{row.ratio:.1f} times as fast; aim {aim}: {verdict}; {row.note}"
    return replace(row, note=note)
