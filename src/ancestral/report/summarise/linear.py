"""Problem 4: the linear-Gaussian model, checked against least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import chi2

from ancestral.io import Pairs
from ancestral.report.sources import Sources
from ancestral.report.summarise.summary import Summary


def summarise_linear(sources: Sources) -> Summary:
    """Return the fit on all inputs and the fit on one."""
    from ancestral import LinearGaussian

    pairs, one = sources.regression.data, sources.line.data
    model = LinearGaussian().fit(pairs.X, pairs.y)
    line = LinearGaussian().fit(one.X, one.y)
    numbers = {
        **_about_fit(model, pairs),
        **_about_line(line, one),
        "line_sentence": sources.line.sentence,
    }
    return Summary({"linear": model, "line": line}, numbers, {"line": one})


def _about_fit(model: Any, pairs: Pairs) -> dict[str, Any]:
    X, y = pairs.X, pairs.y
    weights = np.array([model.intercept_, *model.coef_])
    ones = np.column_stack([np.ones(len(y)), X])
    least_squares, *_ = np.linalg.lstsq(ones, y, rcond=None)
    residual = y - model.predict(X)
    statistic, degrees = _breusch_pagan(ones, residual)
    return {
        "n": len(y),
        "n_inputs": X.shape[1],
        "target": pairs.target,
        "weights": [
            {
                "name": name,
                "weight": float(weight),
                "standard_error": _finite(error),
                "robust_error": _finite(robust),
                "low": _finite(low),
                "high": _finite(high),
            }
            for name, weight, error, robust, low, high in zip(
                ["intercept", *pairs.names],
                weights,
                model.standard_errors_,
                model.robust_standard_errors(X, y),
                *model.coefficient_intervals(),
                strict=True,
            )
        ],
        "noise_variance": float(model.noise_variance_),
        "mean_squared_error": float(np.mean(residual**2)),
        "residual_std": float(model.residual_std_),
        "log_likelihood": float(model.log_density(X, y).sum()),
        "r2": model.score(X, y),
        "aic": model.aic(X, y),
        "bic": model.bic(X, y),
        "n_parameters": model.n_parameters_,
        "least_squares_gap": float(np.abs(least_squares - weights).max() / np.abs(weights).max()),
        "breusch_pagan": statistic,
        "breusch_pagan_p": float(chi2.sf(statistic, degrees)),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _breusch_pagan(ones: Any, residual: Any) -> tuple[float, int]:
    """Return Koenker's form of the statistic, n R^2 of the squared residuals, and its degrees."""
    squared = residual**2
    fitted = ones @ np.linalg.lstsq(ones, squared, rcond=None)[0]
    spread = ((squared - squared.mean()) ** 2).sum()
    r2 = 1 - ((squared - fitted) ** 2).sum() / spread if spread > 0 else 0.0
    return float(len(squared) * r2), max(1, int(np.linalg.matrix_rank(ones)) - 1)


def _about_line(line: Any, one: Pairs) -> dict[str, Any]:
    mean, std = line.predict(one.X, return_std=True)
    low, high = line.prediction_interval(one.X)
    return {
        "line_n": len(one.y),
        "line_slope": float(line.coef_[0]),
        "line_intercept": float(line.intercept_),
        "line_std": float(np.sqrt(line.noise_variance_)),
        "line_within_two": float(np.mean(np.abs(one.y - mean) <= 2 * std)),
        "line_within_95": float(np.mean((low <= one.y) & (one.y <= high))),
    }
