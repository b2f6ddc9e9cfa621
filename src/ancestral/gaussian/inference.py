"""What a fit says of its parameters: quantiles, robust standard errors, a table to print."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ancestral._validation import check_number
from ancestral.base import ConditionalDensity
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.least_squares import EPS

Float = NDArray[np.float64]
Interval = tuple[Float, Float]


class LineInference(ConditionalDensity):
    """A line's intervals, robust standard errors and summary, from what its `fit` learnt.

    An author also writes `_features(X)` and `_column_name(j)`.
    """

    fit_intercept: bool
    coef_: Float
    intercept_: Any  # a float, or one per target, as the next three
    noise_variance_: Any
    residual_std_: Any
    r_squared_: Any
    standard_errors_: Float
    feature_means_: Float
    inverse_root_: Float
    log_likelihood_: float
    condition_number_: float
    n_samples_: int
    degrees_of_freedom_: int
    rank_: int

    @abstractmethod
    def _features(self, X: NDArray) -> Float:
        """Return the columns that the coefficients multiply, shape (n, p)."""

    @abstractmethod
    def _column_name(self, j: int) -> str:
        """Return the name of column j of the features."""

    def confidence_interval(self, X: ArrayLike, level: float = 0.95) -> Interval:
        """Return an interval for the mean of y given each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        level : float
            Probability, above 0 and below 1, that an interval covers the mean.

        Returns
        -------
        low, high : ndarray of shape (n_samples,) or (n_samples, n_targets)
            In the units of y: predict(X) -+ t * residual_std_ * sqrt(h), with t of n - p degrees
            of freedom and h the row's leverage. Exact for normal noise of equal variance.

        Raises
        ------
        ModelError
            For another level, or when there are no degrees of freedom.
        """
        return self._interval(X, level, own_noise=0.0)

    def prediction_interval(self, X: ArrayLike, level: float = 0.95) -> Interval:
        """Return an interval for one new y given each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        level : float
            Probability, above 0 and below 1, that an interval covers a new y (of weight one).

        Returns
        -------
        low, high : ndarray of shape (n_samples,) or (n_samples, n_targets)
            In the units of y: predict(X) -+ t * residual_std_ * sqrt(1 + h).

        Raises
        ------
        ModelError
            For another level, or when there are no degrees of freedom.
        """
        return self._interval(X, level, own_noise=1.0)

    def _interval(self, X: ArrayLike, level: float, *, own_noise: float) -> Interval:
        rows = self._check_inputs(X)
        mean, _ = self._predict(rows)
        spread = np.sqrt(own_noise + (self._whitened(rows) ** 2).sum(axis=1))
        t = t_quantile(level, self.degrees_of_freedom_)
        half = t * (
            np.outer(spread, self.residual_std_) if mean.ndim == 2 else spread * self.residual_std_
        )
        return mean - half, mean + half

    def _whitened(self, X: NDArray) -> NDArray[np.float64]:
        """Return rows whose squared lengths are leverages, shape (n, r)."""
        A = self._features(X) - self.feature_means_
        if self.fit_intercept:
            A = np.column_stack([np.ones(len(A)), A])
        return A @ self.inverse_root_

    def coefficient_intervals(self, level: float = 0.95) -> Interval:
        """Return an interval for the intercept (first, where there is one) and each coefficient.

        Parameters
        ----------
        level : float
            Probability, above 0 and below 1, that an interval covers the true value.

        Returns
        -------
        low, high : ndarray of shape (p,) or (n_targets, p)
            From Student's t with n - p degrees of freedom; nan where not identified.

        Raises
        ------
        ModelError
            For another level, or when there are no degrees of freedom.
        """
        self._check_fitted()
        half = t_quantile(level, self.degrees_of_freedom_) * self.standard_errors_
        return self._parameters - half, self._parameters + half

    @property
    def _parameters(self) -> NDArray[np.float64]:
        """Intercept, where there is one, and coefficients, shape (p,) or (n_targets, p)."""
        if not self.fit_intercept:
            return self.coef_
        return np.concatenate([np.asarray(self.intercept_)[..., None], self.coef_], axis=-1)

    def robust_standard_errors(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return standard errors that hold when the noise variance differs between rows (HC3).

        Parameters
        ----------
        X, y, sample_weight
            The rows that the model was fitted to.

        Returns
        -------
        ndarray of shape (p,) or (n_targets, p)
            As `standard_errors_`: the roots of the diagonal of
            (A^T A)^-1 A^T diag(r_i / (1 - h_i))^2 A (A^T A)^-1.

        Raises
        ------
        DataError
            For other rows than the model was fitted to.
        ModelError
            When a row has leverage 1: a coefficient exists for it alone.

        References
        ----------
        MacKinnon & White (1985), Journal of Econometrics 29, eq. 12 (HC3).
        """
        self._check_fitted()
        extra = () if sample_weight is None else (sample_weight,)
        rows, target, *weights = self._check_chunk(X, y, *extra, reset=False)
        if len(rows) != self.n_samples_:
            raise DataError(
                f"the model was fitted to {self.n_samples_} rows, these are {len(rows)}: "
                "give the rows of fit."
            )
        mean, _ = self._predict(rows)
        root = np.sqrt(weights[0] / weights[0].mean()) if weights else np.ones(len(rows))
        whitened = self._whitened(rows) * root[:, None]
        residual = (target.reshape(mean.shape) - mean).reshape(len(rows), -1) * root[:, None]
        self._refuse_other_rows(rows, whitened, residual)
        found = hc3_standard_errors(whitened, residual, self._coefficient_root)
        found[:, np.isnan(np.atleast_2d(self.standard_errors_)[0])] = np.nan
        return found[0] if mean.ndim == 1 else found

    def _refuse_other_rows(self, X: NDArray, whitened: Float, residual: Float) -> None:
        """Raise DataError where moments of the rows are not those of the fit, up to rounding."""
        slack = 1e-6 + 1e5 * EPS * self.condition_number_
        gram = whitened.T @ whitened  # the identity, for the rows of fit
        if (np.abs(gram - np.eye(len(gram))) > slack).any():
            raise DataError(
                "X or the weights are not those that the model was fitted to: their moments "
                "differ. Give the rows and weights of fit."
            )
        seen, noise = (residual**2).mean(axis=0), np.atleast_1d(self.noise_variance_)
        terms = np.abs(self.coef_) @ np.abs(self._features(X)).mean(axis=0)
        rounding = 1e-12 * (np.abs(self.intercept_) + terms)
        wrong = np.flatnonzero(np.abs(seen - noise) > slack * noise + rounding**2)
        if len(wrong):
            j = int(wrong[0])
            raise DataError(
                f"y is not what the model was fitted to: its mean squared residual is "
                f"{seen[j]:.6g}, that of fit {noise[j]:.6g}. Give the rows of fit, in one order."
            )

    @property
    def _coefficient_root(self) -> NDArray[np.float64]:
        """G, with G G^T the covariance over sigma^2 of intercept and coefficients."""
        G = self.inverse_root_.copy()
        if self.fit_intercept:
            G[0] -= self.feature_means_ @ G[1:]
        return G

    def summary(self, level: float = 0.95, robust: ArrayLike | None = None) -> str:
        """Return a table of the fit, to be printed.

        Parameters
        ----------
        level : float
            Of the intervals.
        robust : array-like, optional
            What `robust_standard_errors` returned: a further column.

        Returns
        -------
        str

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.5, 7.0])
        >>> print(model.summary())
        LinearGaussian: y | x ~ N(w . x + b, sigma^2)
        4 rows, 1 independent columns, 2 degrees of freedom, condition number 1
        ...
        """
        self._check_fitted()
        return summary_of_line(self, level, robust)


def feature_name(model: Any, j: int) -> str:
    """Return what to call column j of X."""
    names = getattr(model, "feature_names_in_", None)
    return f"column {j}" if names is None else repr(str(names[j]))


def checked_level(level: Any) -> float:
    """Return the probability of an interval, strictly between 0 and 1."""
    if not 0 < check_number(level, "level") < 1:
        raise ModelError(f"level must be above 0 and below 1; got {level!r}. Pass 0.95, not 95.")
    return float(level)


def t_quantile(level: float, degrees_of_freedom: int) -> float:
    """Return the half width, in standard errors, of an interval of this probability."""
    level = checked_level(level)
    if degrees_of_freedom < 1:
        raise ModelError(
            "there are as many coefficients as rows: no degrees of freedom are left to judge "
            "the noise by. Add rows or drop columns."
        )
    return float(stats.t.isf((1 - level) / 2, degrees_of_freedom))


def hc3_standard_errors(whitened: Float, residual: Float, root: Float) -> Float:
    """Return robust standard errors, shape (k, p).

    Parameters
    ----------
    whitened : ndarray of shape (n, r)
        Q = A T, whose rows' squared lengths are the leverages.
    residual : ndarray of shape (n, k)
    root : ndarray of shape (p, r)
        G, with G G^T the parameters' covariance over sigma^2.
    """
    slack = 1 - (whitened**2).sum(axis=1)
    lone = np.flatnonzero(slack <= 1e-10)
    if len(lone):
        raise ModelError(
            f"row {lone[0]} has leverage 1: a coefficient exists for it alone, so that its "
            "residual says nothing and HC3 is not defined. Drop the row or its column."
        )
    scaled = residual / slack[:, None]
    errors = np.empty((residual.shape[1], len(root)))
    for j, r in enumerate(scaled.T):
        spread = whitened * r[:, None]
        errors[j] = np.sqrt(np.einsum("pi,ij,pj->p", root, spread.T @ spread, root))
    return errors


# ---- the table --------------------------------------------------------------------------------


def summary_of_line(model: LineInference, level: float, robust: Any) -> str:
    """Return the table of a linear fit, one block for each target."""
    low, high = (np.atleast_2d(x) for x in model.coefficient_intervals(level))
    estimates, errors = np.atleast_2d(model._parameters), np.atleast_2d(model.standard_errors_)
    hc3 = None if robust is None else np.atleast_2d(np.asarray(robust, dtype=np.float64))
    if hc3 is not None and hc3.shape != errors.shape:
        raise DataError(
            f"robust must have shape {np.shape(model.standard_errors_)}; got {np.shape(robust)}. "
            "Pass what robust_standard_errors returned."
        )
    names = ["intercept"] * bool(model.fit_intercept)
    names += [model._column_name(j) for j in range(model.coef_.shape[-1])]
    free = model.degrees_of_freedom_
    lines = [
        f"{type(model).__name__}: y | x ~ N(w . x + b, sigma^2)",
        f"{model.n_samples_} rows, {model.rank_} independent columns, {free} degrees of freedom, "
        f"condition number {model.condition_number_:.3g}",
    ]
    several = model.coef_.ndim == 2
    sigma, std, fit = (
        np.atleast_1d(v) for v in (model.noise_variance_, model.residual_std_, model.r_squared_)
    )
    for j in range(len(estimates)):
        lines += ["", f"target {j}"] if several else [""]
        lines += coefficient_table(
            names,
            estimates[j],
            errors[j],
            (low[j], high[j]),
            p_values(estimates[j], errors[j], free),
            level,
            None if hc3 is None else hc3[j],
        )
        lines.append(
            f"sigma {np.sqrt(sigma[j]):.6g} (divisor n), {std[j]:.6g} (divisor n - p); "
            f"R^2 {fit[j]:.6f}"
        )
    lines += ["", criteria(model)]
    return "\n".join(lines)


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


def coefficient_table(
    names: list[str],
    estimates: Float,
    errors: Float,
    interval: tuple[Float, Float],
    p: Float,
    level: float,
    robust: Float | None = None,
) -> list[str]:
    """Return the lines of a table of parameters; "-" stands where nothing is identified."""
    heads = ["", "estimate", "std. error", *(["HC3"] if robust is not None else []), "t"]
    heads += ["P(>|t|)", f"{100 * level:g}% from", "to"]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimates / errors
    columns = [estimates, errors, *([robust] if robust is not None else [])]
    rows = [
        [name, *map(_number, [c[j] for c in columns]), f"{t[j]:.2f}", f"{p[j]:.2g}"]
        + [_number(bound[j]) for bound in interval]
        for j, name in enumerate(names)
    ]
    table = [heads, *([cell.replace("nan", "-") for cell in row] for row in rows)]
    widths = [max(len(row[c]) for row in table) for c in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if c == 0 else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in table
    ]


def _number(value: float) -> str:
    return f"{value:.6g}"
