"""Linear regression: the fit, against scikit-learn's LinearRegression and statsmodels' OLS."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LinearRegression

from ancestral import LinearGaussian
from benchmarks.timing import Row, Timer

SHAPES = ((442, 10), (100_000, 20), (200_000, 50))
TINY = ((60, 3),)


def rows(timer: Timer) -> Iterator[Row]:
    """scikit-learn gives coefficients alone; statsmodels and ours errors and likelihood too."""
    for n, d in TINY if timer.tiny else SHAPES:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, d)) + 5.0
        y = X @ rng.normal(size=d) + rng.normal(size=n)
        case = f"fit, {n:,} x {d}"
        ours, theirs = LinearGaussian().fit(X, y), LinearRegression().fit(X, y)
        gap = np.abs(ours.coef_ - theirs.coef_).max()
        yield timer.race(
            case,
            lambda X=X, y=y: LinearGaussian().fit(X, y),
            "LinearRegression.fit",
            lambda X=X, y=y: LinearRegression().fit(X, y),
            note=f"coefficients differ by {gap:.1e} at most",
        )
        if importlib.util.find_spec("statsmodels") is None:
            continue
        yield timer.race(
            case,
            lambda X=X, y=y: LinearGaussian().fit(X, y),
            "statsmodels OLS, fit, bse and llf",
            lambda X=X, y=y: ols(X, y),
        )


def ols(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return statsmodels' standard errors and log-likelihood."""
    import statsmodels.api as sm

    result = sm.OLS(y, sm.add_constant(X)).fit()
    return result.bse, result.llf
