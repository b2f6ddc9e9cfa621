"""Problem 4: the linear-Gaussian model, checked against least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import chi2

from ancestral._checks.numbers import finite
from ancestral.inputs import Sources
from ancestral.io import Pairs
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
    ones = np.column_stack([np.ones(len(y)), X])
    residual = y - model.predict(X)
    return {
        "n": len(y),
        "n_inputs": X.shape[1],
        "target": pairs.target,
        "rank": model.rank_,
        "exact": not _has_density(model),
        "weights": _weights(model, pairs),
        "degrees_of_freedom": int(model.degrees_of_freedom_),
        "condition_number": finite(float(model.condition_number_)),
        "noise_variance": float(model.noise_variance_),
        "mean_squared_error": float(np.mean(residual**2)),
        "residual_std": float(model.residual_std_),
        "r2": model.score(X, y),
        "n_parameters": model.n_parameters_,
        **_likelihoods(model, X, y),
        **_least_squares_gaps(model, ones, y),
        **_breusch_pagan(ones, residual, exact=not _has_density(model)),
    }


def _has_density(model: Any) -> bool:
    """Tell whether any residual is left: an exact fit has no density."""
    return bool(model.noise_variance_ > 0)


def _weights(model: Any, pairs: Pairs) -> list[dict[str, Any]]:
    """Return every weight with its errors and interval; None where there are none."""
    from ancestral.gaussian.linear.summary import p_values

    n_weights = len(pairs.names) + 1
    nothing = np.full(n_weights, math.nan)
    robust, values, low, high = nothing, nothing, nothing, nothing
    if _has_density(model):
        robust = model.robust_standard_errors(pairs.X, pairs.y)
        low, high = model.coefficient_intervals()
        estimates = np.array([model.intercept_, *model.coef_])
        values = p_values(estimates, model.standard_errors_, model.degrees_of_freedom_)
    return [
        {
            "name": name,
            "weight": float(weight),
            "standard_error": finite(error),
            "robust_error": finite(hc3),
            "t": finite(float(weight) / float(error)) if error > 0 else None,
            "p": finite(p),
            "low": finite(start),
            "high": finite(end),
        }
        for name, weight, error, hc3, p, start, end in zip(
            ["intercept", *pairs.names],
            [model.intercept_, *model.coef_],
            model.standard_errors_,
            robust,
            values,
            low,
            high,
            strict=True,
        )
    ]


def _likelihoods(model: Any, X: Any, y: Any) -> dict[str, float | None]:
    if not _has_density(model):
        return {"log_likelihood": None, "aic": None, "bic": None}
    return {
        "log_likelihood": float(model.log_density(X, y).sum()),
        "aic": model.aic(X, y),
        "bic": model.bic(X, y),
    }


def _least_squares_gaps(model: Any, ones: Any, y: Any) -> dict[str, float | None]:
    """Return how far another solver's weights are, where they are unique, and its predictions."""
    weights = np.array([model.intercept_, *model.coef_])
    least_squares, *_ = np.linalg.lstsq(ones, y, rcond=None)
    unique = model.rank_ == len(weights) - 1
    size = float(np.abs(weights).max()) or 1.0
    spread = float(np.ptp(y)) or 1.0
    return {
        "least_squares_gap": float(np.abs(least_squares - weights).max()) / size
        if unique
        else None,
        "prediction_gap": float(np.abs(ones @ (least_squares - weights)).max()) / spread,
    }


def _breusch_pagan(ones: Any, residual: Any, *, exact: bool) -> dict[str, Any]:
    """Return Koenker's form of the statistic, n R^2 of the squared residuals, and its degrees."""
    degrees = int(np.linalg.matrix_rank(ones)) - 1
    squared = residual**2
    spread = float(((squared - squared.mean()) ** 2).sum())
    if exact or degrees < 1 or spread == 0:
        return {"breusch_pagan": None, "breusch_pagan_degrees": degrees, "breusch_pagan_p": None}
    fitted = ones @ np.linalg.lstsq(ones, squared, rcond=None)[0]
    statistic = float(len(squared) * (1 - ((squared - fitted) ** 2).sum() / spread))
    return {
        "breusch_pagan": statistic,
        "breusch_pagan_degrees": degrees,
        "breusch_pagan_p": float(chi2.sf(statistic, degrees)),
    }


def _about_line(line: Any, one: Pairs) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "line_n": len(one.y),
        "line_exact": not _has_density(line),
        "line_slope": float(line.coef_[0]),
        "line_intercept": float(line.intercept_),
        "line_std": float(np.sqrt(line.noise_variance_)),
        "line_within_two": None,
        "line_within_95": None,
        "line_mean_width": None,
        "line_new_width": None,
    }
    if _has_density(line):
        mean, std = line.predict(one.X, return_std=True)
        low, high = line.prediction_interval(one.X)
        numbers["line_within_two"] = float(np.mean(np.abs(one.y - mean) <= 2 * std))
        at = one.X.mean(axis=0, keepdims=True)
        widths = [
            np.diff(f(at), axis=0) for f in (line.confidence_interval, line.prediction_interval)
        ]
        numbers["line_centre"] = float(at[0, 0])
        numbers["line_mean_width"], numbers["line_new_width"] = (float(w.squeeze()) for w in widths)
        numbers["line_within_95"] = float(np.mean((low <= one.y) & (one.y <= high)))
    return numbers
