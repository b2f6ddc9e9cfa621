"""The table of a linear fit: coefficients with their tests, and what is said of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ancestral._printed import Block, Table
from ancestral.errors import DataError
from ancestral.gaussian.linear.least_squares import lengths
from ancestral.gaussian.linear.robust import Robust, t_quantile

Float = NDArray[np.float64]


def table_of_line(model: Any, level: float, extra: Any, robust: Robust | None) -> Table:
    """Return the table of a linear fit, one block for each target."""
    estimates, own = np.atleast_2d(model._parameters), np.atleast_2d(model.standard_errors_)
    free = model.degrees_of_freedom_ if robust is None else robust.free
    errors = own if robust is None else np.atleast_2d(robust.errors(model))
    beside = None if extra is None else np.atleast_2d(np.asarray(extra, dtype=np.float64))
    if beside is not None and beside.shape != errors.shape:
        raise DataError(
            f"robust must have shape {np.shape(model.standard_errors_)}; got {np.shape(extra)}. "
            "Pass what robust_standard_errors returned."
        )
    names = ["intercept"] * bool(model.fit_intercept) + terms_of(model)
    k, n, left = model.rank_, model.n_samples_, model.degrees_of_freedom_
    above = [
        f"{type(model).__name__}: y | x ~ N(w . x + b, sigma^2)",
        f"{n} rows, {k} independent column{'s' * (k != 1)}, {left} degrees of freedom, "
        f"condition number {model.condition_number_:.3g}",
    ]
    if robust is not None:
        groups = f", {robust.free + 1} groups" * (robust.home is not None)
        above.append(f"standard errors, tests and intervals: {robust.cov_type}{groups}")
    sigma, std, fit = (
        np.atleast_1d(v) for v in (model.noise_variance_, model.residual_std_, model.r_squared_)
    )
    F, blocks, several = f_tests(model, robust), [], model.coef_.ndim == 2
    half = t_quantile(level, free) * errors if free > 0 else np.full(errors.shape, np.nan)
    for j, estimate in enumerate(estimates):
        columns = coefficient_columns(
            names,
            estimate,
            errors[j],
            (estimate - half[j], estimate + half[j]),
            p_values(estimate, errors[j], free),
            level,
            None if beside is None else beside[j],
        )
        adjusted = 1 - (1 - fit[j]) * (n - bool(model.fit_intercept)) / left if left else np.nan
        lines = [
            f"sigma {np.sqrt(sigma[j]):.6g} (divisor n), {_number(std[j])} (divisor n - p); "
            f"R^2 {fit[j]:.6f}, adjusted {_number(adjusted, '.6f')}"
        ]
        if not np.isnan(F[j]):
            p = float(stats.f.sf(F[j], k, free))
            lines.append(f"F({k}, {free}) {F[j]:.6g}, P(>F) {p:.2g}")
        blocks.append(Block(columns, f"target {j}" * several, lines))
    return Table(blocks, above, ["", criteria(model)], FORMATS, "target", ".6g")


def criteria(model: Any) -> str:
    """Return one line with the likelihood and the two criteria."""
    log_likelihood, n_parameters = model.log_likelihood_, model.n_parameters_
    if np.isinf(log_likelihood):
        return "the fit is exact: the likelihood is unbounded"
    aic = 2 * n_parameters - 2 * log_likelihood
    bic = n_parameters * np.log(model.n_samples_) - 2 * log_likelihood
    return f"log-likelihood {log_likelihood:.6g} nats, AIC {aic:.6g}, BIC {bic:.6g}"


def p_values(estimates: Float, errors: Float, degrees_of_freedom: float) -> Float:
    """Return two-sided probabilities of so large a ratio if the parameter were 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * stats.t.sf(np.abs(estimates / errors), degrees_of_freedom))


def coefficient_columns(
    names: list[str],
    estimates: Float,
    errors: Float,
    interval: tuple[Float, Float],
    p: Float,
    level: float,
    robust: Float | None = None,
) -> dict[str, Any]:
    """Return the columns of a table of parameters; nan stands where nothing is identified."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimates / errors
    return {
        "": names,
        "estimate": estimates,
        "std. error": errors,
        **({} if robust is None else {"HC3": robust}),
        "t": t,
        "P(>|t|)": p,
        f"{100 * level:g}% from": interval[0],
        "to": interval[1],
    }


FORMATS = {"t": ".2f", "P(>|t|)": ".2g"}


def _number(value: float, how: str = ".6g") -> str:
    return "-" if np.isnan(value) else f"{value:{how}}"


def terms_of(model: Any) -> list[str]:
    """Return what a table calls the coefficients: names of columns, with their powers."""
    d, names = model.n_features_in_, getattr(model, "feature_names_in_", None)
    own = [f"column {j}" if names is None else str(names[j]) for j in range(d)]
    powers = np.shape(model.coef_)[-1] // d
    return [name + f"^{k + 1}" * bool(k) for k in range(powers) for name in own]


def f_tests(model: Any, robust: Robust | None) -> Float:
    """Return F of all coefficients but the intercept at once, shape (n_targets,); nan for none."""
    k, free = model.rank_, model.degrees_of_freedom_
    r_squared = np.atleast_1d(model.r_squared_)
    found = np.full(len(r_squared), np.nan)
    if k < 1 or free < 1:
        return found
    std = np.atleast_1d(model.residual_std_)
    if robust is None:
        left = 1 - r_squared
        by_share = left * model.condition_number_ >= 1  # else 1 - R^2 has fewer digits than angles
        with np.errstate(divide="ignore"):
            found[by_share] = (r_squared[by_share] / k) / (left[by_share] / free)
        if by_share.all():
            return found
    along = _along(model)  # (n_targets, r)
    for j, theta in enumerate(along):
        if robust is not None:
            scores, largest = robust.spread(j)
            scores = scores[:, scores.shape[1] - len(theta) :]
            lengths_of, V = np.linalg.svd(scores, full_matrices=False)[1:]
            if len(lengths_of) == k and lengths_of[-1] > 1e-10 * lengths_of[0]:
                found[j] = float((((V @ theta) / lengths_of / largest) ** 2).sum()) / k
        elif not by_share[j] and std[j] > 0:
            found[j] = float(((theta / std[j]) ** 2).sum()) / k
    return found


def _along(model: Any) -> Float:
    """Return the coefficients along orthonormal columns, shape (n_targets, rank)."""
    start = int(bool(model.fit_intercept))
    T = model.inverse_root_[start:, start:]
    size = lengths(T.T)
    kept = size > 0
    slopes = np.atleast_2d(model.coef_)[:, kept] / size[kept]
    return np.asarray(np.linalg.lstsq(T[kept] / size[kept][:, None], slopes.T, rcond=None)[0].T)
