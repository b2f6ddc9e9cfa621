"""Linear-Gaussian regression whose noise depends on the inputs.

    y | x ~ N(w . x + b, exp(v . x + c))

Maximum likelihood by Newton's steps, or quasi-Newton ones from Fisher's information. With r_i the
residuals and h_i = v . x_i + c,

    log L          = -1/2 sum_i [ log 2 pi + h_i + r_i^2 exp(-h_i) ]
    d log L / dw   = sum_i x_i r_i exp(-h_i)            I_ww = sum_i x_i x_i^T exp(-h_i)
    d log L / dv   = 1/2 sum_i x_i (r_i^2 exp(-h_i) - 1)   I_vv = 1/2 sum_i x_i x_i^T

and I_wv = 0: Fisher's scoring takes the steps of mean and variance side by side, weighted least
squares for (w, b), least squares of the squared standardised residuals for (v, c). With few rows
for each column it takes hundreds. Where second derivatives cost less than the passes that they save
(`costs`), steps are Newton's: the blocks above with what is observed, sum x_i x_i^T r_i exp(-h_i)
between mean and variance and 1/2 sum x_i x_i^T r_i^2 exp(-h_i). Else they are Fisher's, and near
the maximum those of limited-memory BFGS, which starts from Fisher's and learns the rest from the
gradients alone. The first step leads from least squares to Harvey's regression of the log squared
residuals, where that is likelier. Each step is a pass of `training.passes`, halved until the
likelihood rises. The columns are made orthonormal first (T of `least_squares`), so that I_vv is
half the identity.
Weights omega are precisions: row i has the variance exp(h_i) / omega_i, so that r_i and x_i above
come times sqrt(omega_i) where the mean is concerned, and h_i is the log variance of a row of
precision 1.
Symbols: w coef_, b intercept_, v variance_coef_, c variance_intercept_; in orthonormal columns
Q and S of mean and log variance, alpha and gamma.
References: Harvey (1976), Econometrica 44(3); Aitkin (1987), Applied Statistics 36(3); Nocedal
(1980), Mathematics of Computation 35, on limited-memory BFGS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ancestral._checks.numbers import (
    check_integer,
    check_level,
    check_number,
    check_weights,
    one_sample_message,
    warn,
)
from ancestral._numerics import double_double as dd
from ancestral._numerics.triangles import solved
from ancestral._printed import Block, Summary, Table
from ancestral.base import ConditionalLikelihood, FromParts, over_root
from ancestral.errors import ModelError
from ancestral.gaussian.climb import FromSlopes
from ancestral.gaussian.linear.inference import Interval, Line, feature_name
from ancestral.gaussian.linear.least_squares import (
    EPS,
    Solution,
    lengths,
    refuse_constant_targets,
    refuse_unheld,
    solve,
)
from ancestral.gaussian.linear.summary import (
    FORMATS,
    coefficient_columns,
    criteria,
    p_values,
    terms_of,
)
from ancestral.gaussian.linear.sums import LineStatistics, over_four_to, threads_of
from ancestral.gaussian.orthonormal import (
    back,
    exact_height_at_zero,
    height_at_zero,
    of_least_squares,
    rows_of,
)
from ancestral.gaussian.slopes import Vanishing, Weights, exact_root, in_blocks
from ancestral.training.parts import Held, Part, Parts
from ancestral.training.passes import passes_of

Float = NDArray[np.float64]
LOG_4, LARGEST_LOG = log(4.0), 709.0
DIGITS = 1e-12  # of the likelihood, that rounding the parameters may take
ROUGH = 1e-11  # of sigma, or of a log variance: more lost to rounding is found more exactly


class HeteroscedasticGaussian(FromSlopes, ConditionalLikelihood, FromParts, Line):
    """Linear regression with normal noise whose log variance is linear too.

    Parameters
    ----------
    fit_intercept : bool
        False forces the mean through the origin. The log variance always has an intercept.
    max_iter : int
        The most steps.
    tol : float
        The fit stops when the next step would move every parameter by less than this number of
        standard errors.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        w, the coefficients of the mean.
    intercept_ : float
        b; 0.0 without intercept.
    variance_coef_ : ndarray of shape (n_features,)
        v, the coefficients of the log variance. If x_j rises by one unit, the variance is
        multiplied by exp(v_j).
    variance_intercept_ : float
        c; with weights, that of a row of weight 1. -inf if the fit is exact.
    standard_errors_ : ndarray of shape (p,)
        Standard errors of the mean's intercept (first, if there is one) and of `coef_`, from the
        Fisher information. nan for a coefficient that the data do not determine.
    variance_standard_errors_ : ndarray of shape (n_features + 1,)
        Standard errors of `variance_intercept_` and of `variance_coef_`, found in the same way.
    log_likelihood_ : float
        Log-likelihood of the training data, in nats: the sum of `log_density` over the rows of the
        fit, with their weights. inf if it has no bound.
    history_ : list of float
        The log-likelihood before each step and at the end.
    n_iter_ : int
    n_parameters_ : int
        The number of coefficients that the data determine, of mean and log variance, and their
        intercepts.
    n_samples_ : int
    rank_ : int
        Features that are linearly independent.
    column_means_ : ndarray of shape (n_features,)
    feature_means_, inverse_root_, aliases_ : ndarray
        As those of `LinearGaussian`, but with the covariance itself instead of the covariance
        divided by sigma^2.

    Notes
    -----
    A step costs O(n m), or O(n m^2) if the Fisher information is computed anew; m is n_features.
    The likelihood has no bound if some rows can be fitted exactly while the variance goes to 0 at
    these rows alone. This can happen with few rows for each column. The fit then stops with a
    warning, and the density is refused. The standard errors are valid for large samples.

    References
    ----------
    Harvey (1976), Estimating regression models with multiplicative heteroscedasticity,
    Econometrica 44(3), eq. 8-12.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-1, 1, size=(2000, 1))
    >>> y = 3 * x[:, 0] + np.exp(x[:, 0]) * rng.normal(size=2000)  # log variance 2 x
    >>> model = HeteroscedasticGaussian().fit(x, y)
    >>> model.coef_.round(1), model.variance_coef_.round(1)
    (array([3.]), array([2.]))
    """

    _fields: tuple[str, ...] = (
        "aliases_", "column_means_", "n_samples_", "rank_", "n_parameters_", "history_", "n_iter_",
        "intercept_", "coef_", "standard_errors_", "feature_means_", "inverse_root_",
        "variance_coef_", "variance_intercept_", "log_likelihood_", "variance_standard_errors_",
    )  # fmt: skip

    def __init__(
        self,
        fit_intercept: bool = True,  # noqa: FBT001, FBT002 - as scikit-learn spells it
        *,
        max_iter: int = 200,
        tol: float = 1e-6,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    # ---- fit --------------------------------------------------------------------------------

    def _fit(self, *data: NDArray) -> None:
        X = data[0]
        with threads_of(X.size, X.shape[1] + 1):
            self._fit_parts(Held.whole(self, data))

    def _fit_parts(self, parts: Parts[Part], **options: Any) -> None:
        """Set what is learnt: least squares first, then the climb, with options of `passes_of`."""
        max_iter = check_integer(self.max_iter, "max_iter", minimum=1)
        check_number(self.tol, "tol", minimum=0.0)
        summed = parts.total(Summed.of)
        n, unit = summed.plain.count, summed.weighted.exponent
        mean, variance = self._start(summed)
        self.aliases_, self.column_means_ = variance.aliases, variance.means
        self.n_samples_, self.rank_ = n, mean.rank
        self.n_parameters_ = mean.inverse_root.shape[1] + variance.inverse_root.shape[1]
        free = n - mean.inverse_root.shape[1]
        if mean.is_exact[0] or not free:
            why = (
                "the residuals are as small as the rounding of the data, so the variance cannot "
                "be told from 0"
                if free
                else "there are as many coefficients as rows, so variance and standard errors do "
                "not exist"
            )
            warn(
                f"the fit is exact (zero residual): {why}. Density, aic, bic and sample are "
                "refused; the mean's coefficients stand."
            )
            self._set_unbounded(mean, 0.0, errors=0.0 if free else np.nan)
            return
        centre = float(mean.target_means[0])
        floor = 2 * log(16 * EPS * max(summed.high - centre, centre - summed.low))
        held = isinstance(parts, Held)  # else they are formed from files at each look
        form = partial(rows_of, mean=mean, variance=variance, unit=unit, floor=floor, held=held)
        rows = parts.prepared(form)
        start = float(mean.residual[0, 0] / n)
        try:
            with passes_of(self, parts, **options) as run:
                first = self._first(rows, n, of_least_squares(mean), log(start))
                found = run.climb(self, rows, first, tol=0.0, max_iter=max_iter + 1)
        except Vanishing as vanishing:
            warn(
                f"the likelihood is unbounded: the variance at row {vanishing.row} goes to 0 while "
                "the mean fits that row exactly. The fit of least squares with one variance is "
                "kept; "
                "density, aic, bic and sample are refused. Drop columns or add rows."
            )
            self._set_unbounded(mean, float(np.ldexp(start, 2 * unit)), unit=unit)
            return
        found.warn_if_cut_short(max_iter)
        at, end = self._polished(found)
        root = exact_root(rows, at, end)
        M = solved(root, np.eye(len(root)))  # M M^T is its covariance
        self.history_, self.n_iter_ = found.history, len(found.history) - 1
        of_mean, of_variance = mean.inverse_root @ at.alpha, variance.inverse_root @ at.gamma
        self._set_lines(mean, of_mean, variance, of_variance, unit, height_at_zero)
        self._set_errors(mean, lengths((back(mean) @ M).T))
        self.inverse_root_ = mean.inverse_root @ M
        highest = -0.5 * (end.least[0] + floor)  # half the log of the largest precision
        largest = max(summed.high, -summed.low)
        moved = self._most_moved(mean, variance, at, root, highest, largest)
        if not moved <= DIGITS:
            self._set_lines(mean, of_mean, variance, of_variance, unit, exact_height_at_zero)
            # To first order by the slope that is left at the maximum, and to second.
            if not moved * (moved + next(at.ways(end)).size / sqrt(n)) <= DIGITS:
                total = parts.total(partial(self._log_likelihood, unit=unit))
                if abs(total - self.history_[-1]) > DIGITS * abs(total):
                    self.history_[-1] = total
        self.log_likelihood_ = self.history_[-1]
        self.variance_standard_errors_ = sqrt(2.0) * variance.unit_errors

    def _most_moved(
        self,
        mean: Solution,
        columns: Solution,
        at: Weights,
        root: Float,
        highest: float,
        target: float,
    ) -> float:
        """Return by how much rounding the parameters may move a row, in standard deviations."""
        p = len(self.coef_)
        far = np.abs(columns.means) + sqrt(at.longest) * columns.spread[:p]  # of any row
        of_mean = float(far @ np.abs(self.coef_)) + abs(self.intercept_) + target
        of_variance = float(far @ np.abs(self.variance_coef_)) + abs(self.variance_intercept_)
        # Where Q begins with a constant, the mean precision says as much by Cauchy and Schwarz,
        # since the squared residuals times the precisions are 1 on average.
        largest = exp(highest) if highest < LARGEST_LOG else np.inf
        if mean.centred:
            share = mean.weight / self.n_samples_
            largest = min(largest, sqrt(share * float(root[:, 0] @ root[:, 0])))
        return EPS * (p + 2) * (of_variance + of_mean * largest)

    def _log_likelihood(self, part: Part, unit: int) -> float:
        """Return that of a part at the parameters as they are held."""
        X, y, *rest = part.data
        weights = over_four_to(unit, rest[0]) if rest else np.ones(len(y))

        def of(block: slice) -> float:
            mean, std = self._predict(X[block])
            root = np.ldexp(np.sqrt(weights[block]), unit)
            residual = self._residual(X[block], y[block], mean, std) * root
            return float((self._log_normal(X[block], residual, std) + np.log(root)).sum())

        return sum(in_blocks(of, len(y), X.shape[1]))

    def _set_lines(
        self,
        mean: Solution,
        of_mean: Float,
        variance: Solution,
        of_variance: Float,
        unit: int,
        at_zero: Callable[[Solution, Float, Float | float], tuple[float, Float]],
    ) -> None:
        """Set the coefficients, of slopes and of the heights at the columns' means."""
        self.intercept_, self.coef_ = at_zero(mean, of_mean, mean.target_means)
        height, self.variance_coef_ = at_zero(variance, of_variance, 0.0)
        self.variance_intercept_ = height + unit * LOG_4

    def _set_errors(self, mean: Solution, errors: Float) -> None:
        self.standard_errors_ = _unless_dependent(errors, mean)
        self.feature_means_ = mean.means

    def _set_unbounded(
        self, mean: Solution, variance: float, *, errors: float | None = None, unit: int = 0
    ) -> None:
        """Set the attributes of a fit that has no density: least squares with one variance."""
        p = len(mean.coef)
        std = np.sqrt(variance) if errors is None else errors
        root = np.ldexp(mean.inverse_root, -unit)
        own = std * lengths(np.ldexp(back(mean), -unit).T)
        self._set_errors(mean, own)
        self.intercept_, self.coef_ = float(mean.intercept[0]), mean.coef[:, 0]
        self.inverse_root_ = std * root
        self.variance_coef_ = np.zeros(p)
        with np.errstate(divide="ignore"):
            self.variance_intercept_ = float(np.log(variance))
        self.variance_standard_errors_ = np.full(1 + p, np.nan)
        self.history_, self.n_iter_, self.log_likelihood_ = [np.inf], 0, np.inf

    def _start(self, summed: Summed) -> tuple[Solution, Solution]:
        """Return least squares of y, and the same with an intercept for the log variance."""
        n, p = summed.plain.count, summed.plain.n_inputs
        least = max(2, p + bool(self.fit_intercept))
        if n < least:
            raise ModelError(
                one_sample_message(n, least, f"the mean has {least} coefficients to find")
                + " Drop columns or add rows."
            )
        mean = variance = solve(summed.plain, centred=True, rounded_features=False)
        if summed.weighted is not summed.plain or not self.fit_intercept:
            centred = bool(self.fit_intercept)
            mean = solve(summed.weighted, centred=centred, rounded_features=False)
        refuse_constant_targets(mean, summed.weighted.moments.mean[p:])
        dependent = sorted({*mean.dependent, *variance.dependent})
        if dependent:
            warn(
                "exactly collinear with earlier columns and the intercept: "
                f"{', '.join(self._column_name(j) for j in dependent[:8])}"
                f"{', ...' * (len(dependent) > 8)}. Their coefficients are set to 0; the "
                "likelihood does not change, nor do predictions at rows that are collinear too."
            )
        refuse_unheld(mean)
        return mean, variance

    # ---- use --------------------------------------------------------------------------------

    def _features(self, X: NDArray) -> Float:
        return X

    @property
    def _centres(self) -> Float:
        return self.column_means_

    def _column_name(self, j: int) -> str:
        return feature_name(self, j)

    def _predict(self, X: NDArray) -> tuple[Float, Float]:
        mean = X @ self.coef_ + self.intercept_
        return mean, np.exp(0.5 * self._log_variance(X))  # far out, float64 holds its log only

    def _log_variance(self, X: NDArray) -> Float:
        h = X @ self.variance_coef_ + self.variance_intercept_
        sizes = dd.sizes_of(X, self.variance_coef_) + np.abs(self.variance_intercept_)
        rough = np.isfinite(sizes) & (EPS * (X.shape[1] + 2) * sizes > ROUGH)
        if rough.any():  # terms far above their sum cancel
            slopes, c = self.variance_coef_[:, None], np.array([self.variance_intercept_])
            h[rough] = dd.line_less(X[rough], slopes, c)[:, 0]
        return h

    def _residual(self, X: Float, y: Float, mean: Float, std: Float) -> Float:
        """Return y less its mean, in twice the digits where sums far above sigma cancel."""
        residual = y - mean
        sizes = dd.sizes_of(X, self.coef_) + abs(self.intercept_) + np.abs(y)
        rough = EPS * (X.shape[1] + 2) * sizes > ROUGH * std
        if rough.any():
            slopes, b = self.coef_[:, None], np.array([self.intercept_])
            residual[rough] = -dd.line_less(X[rough], slopes, b, y[rough, None])[:, 0]
        return residual

    def _log_normal(self, X: Float, residual: Float, std: Float) -> Float:
        log_variance = self._log_variance(X)
        with np.errstate(divide="ignore", over="ignore"):  # a residual of 0; a density of 0
            squares = np.exp(2 * np.log(np.abs(residual)) - log_variance)
        return -0.5 * (np.log(2 * np.pi) + log_variance + squares)

    def _refuse_zero_variance(self) -> None:
        if np.isinf(self.log_likelihood_):
            raise ModelError(
                "the density is unbounded: the variance is 0, at all rows or at some. "
                "Use predict, or fit to data that scatter about the line."
            )

    def confidence_interval(self, X: ArrayLike, level: float = 0.95) -> Interval:
        """Return an interval for the mean of y given each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        level : float
            Probability, above 0 and below 1, that an interval covers the mean in large samples.

        Returns
        -------
        low, high : ndarray of shape (n_samples,)
            In the units of y.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 400)
        >>> y = 2 * x + rng.normal(size=400) * np.exp(x - 1)
        >>> model = HeteroscedasticGaussian().fit(x[:, None], y)
        >>> low, high = model.confidence_interval([[0.0], [3.0]])
        >>> bool(high[0] - low[0] < high[1] - low[1])  # wider where the noise is larger
        True
        """
        return self._interval(X, level, own_noise=False)

    def prediction_interval(
        self, X: ArrayLike, level: float = 0.95, sample_weight: ArrayLike | None = None
    ) -> Interval:
        """Return an interval for one new y given each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        level : float
            Probability, above 0 and below 1, that an interval covers a new y in large samples.
        sample_weight : array-like of shape (n_samples,), optional
            Precisions of the new y, as `fit` takes them; 1 when not given.

        Returns
        -------
        low, high : ndarray of shape (n_samples,)
            In the units of y: predict(X) ± z * sqrt(sigma(x)^2 / weight + the mean's own
            variance). nan, with a warning, at rows where the data do not determine the mean.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 400)
        >>> y = 2 * x + rng.normal(size=400) * np.exp(x - 1)
        >>> model = HeteroscedasticGaussian().fit(x[:, None], y)
        >>> low, high = model.prediction_interval([[0.0], [3.0]])
        >>> bool(high[0] - low[0] < high[1] - low[1])
        True
        """
        return self._interval(X, level, own_noise=True, sample_weight=sample_weight)

    def _interval(
        self,
        X: ArrayLike,
        level: float,
        *,
        own_noise: bool,
        sample_weight: ArrayLike | None = None,
    ) -> Interval:
        rows = self._check_inputs(X)
        mean, std = self._predicted(rows)
        own = std if own_noise else np.zeros_like(std)
        noise = over_root(own, check_weights(sample_weight, len(rows)))
        spread = np.hypot(noise, lengths((self._at_rows(rows) @ self.inverse_root_).T))
        spread[self._broken_aliases(rows).any(axis=1)] = np.nan
        half = _quantile(level) * spread
        return mean - half, mean + half

    def coefficient_intervals(self, level: float = 0.95) -> Interval:
        """Return an interval for the mean's intercept (if there is one) and coefficients.

        Parameters
        ----------
        level : float
            Probability, above 0 and below 1, of covering the true value in large samples.

        Returns
        -------
        low, high : ndarray of shape (p,)
            nan for coefficients that the data do not determine.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 400)
        >>> y = 2 * x + rng.normal(size=400) * np.exp(x - 1)
        >>> model = HeteroscedasticGaussian().fit(x[:, None], y)
        >>> low, high = model.coefficient_intervals()
        >>> bool(low[1] < 2 < high[1])
        True
        """
        self._check_fitted()
        half = _quantile(level) * self.standard_errors_
        values = np.r_[[self.intercept_] * bool(self.fit_intercept), self.coef_]
        return values - half, values + half

    def variance_intervals(self, level: float = 0.95) -> Interval:
        """Return an interval for the log variance's intercept and coefficients.

        Parameters
        ----------
        level : float
            Probability, above 0 and below 1, of covering the true value in large samples.

        Returns
        -------
        low, high : ndarray of shape (n_features + 1,)
            nan for coefficients that the data do not determine.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 400)
        >>> y = 2 * x + rng.normal(size=400) * np.exp(x - 1)
        >>> model = HeteroscedasticGaussian().fit(x[:, None], y)
        >>> low, high = model.variance_intervals()
        >>> bool(low[1] < 2 < high[1])  # log variance 2 x - 2
        True
        """
        self._check_fitted()
        half = _quantile(level) * self.variance_standard_errors_
        values = np.r_[self.variance_intercept_, self.variance_coef_]
        return values - half, values + half

    def summary(self, level: float = 0.95) -> Summary:
        """Return two tables to print: the coefficients of the mean, and those of the log variance.

        Parameters
        ----------
        level : float
            Probability of the intervals.

        Returns
        -------
        Summary
            Text, which a notebook shows as a table; `to_frame()` has all digits.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 400)
        >>> y = 2 * x + rng.normal(size=400) * np.exp(x - 1)
        >>> model = HeteroscedasticGaussian().fit(x[:, None], y)
        >>> len(model.summary().to_frame())  # intercept and slope, of mean and log variance
        4
        """
        self._check_fitted()
        names = terms_of(self)
        mean = ["intercept"] * bool(self.fit_intercept) + names
        height = [self.intercept_] * bool(self.fit_intercept)
        blocks = [
            Block(coefficient_columns(terms, values, errors, interval, p, level), title)
            for title, terms, values, interval, errors in (
                (
                    "mean",
                    mean,
                    np.r_[height, self.coef_],
                    self.coefficient_intervals(level),
                    self.standard_errors_,
                ),
                (
                    "log variance",
                    ["intercept", *names],
                    np.r_[self.variance_intercept_, self.variance_coef_],
                    self.variance_intervals(level),
                    self.variance_standard_errors_,
                ),
            )
            for p in [p_values(values, errors, np.inf)]
        ]
        above = [
            "HeteroscedasticGaussian: y | x ~ N(w . x + b, exp(v . x + c))",
            f"{self.n_samples_} rows, {self.rank_} independent column{'s' * (self.rank_ != 1)}, "
            f"{self.n_iter_} steps",
        ]
        below = ["", criteria(self)]
        return Summary(Table(blocks, above, below, FORMATS, "of", ".6g"))

    def _check_state(self) -> None:
        d = (self.n_features_in_,)
        if not hasattr(self, "aliases_"):  # of a file from before they were kept
            self.aliases_, self.column_means_ = np.zeros((*d, 0)), np.zeros(d)
        if self.aliases_.ndim != 2 or len(self.aliases_) != d[0] or self.column_means_.shape != d:
            raise ValueError("aliases must have one row per column")
        if self.coef_.shape != d or self.variance_coef_.shape != d:
            raise ValueError("coefficients must be one per column")
        finite = [*self.coef_, *self.variance_coef_, self.intercept_]
        if not np.isfinite(finite).all() or not self.variance_intercept_ < np.inf:
            raise ValueError("coefficients must be finite")
        errors = [*self.standard_errors_, *self.variance_standard_errors_]
        unbounded = bool(np.isnan(self.variance_standard_errors_).all())
        if not (np.isposinf if unbounded else np.isfinite)(self.log_likelihood_):
            raise ValueError("the log-likelihood must be infinite where unbounded, only there")
        if not unbounded and not np.isfinite(self.variance_intercept_):
            raise ValueError("the variance must be above 0")
        if not unbounded and self.n_parameters_ != np.isfinite(errors).sum():
            raise ValueError("the number of parameters must be that of the identified ones")


# ---- helpers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summed:
    """What least squares wants of some rows, and the extremes of their targets."""

    plain: LineStatistics
    weighted: LineStatistics  # the same object where there are no weights
    low: float
    high: float

    @classmethod
    def of(cls, part: Part) -> Summed:
        """Return that of a part."""
        X, y, *rest = part.data
        weighted = plain = LineStatistics.of(X, y, None, _same)
        if rest:
            weighted = LineStatistics.of(X, y, rest[0], _same)
        return cls(plain, weighted, float(np.minimum.reduce(y)), float(np.maximum.reduce(y)))

    def __add__(self, other: Summed) -> Summed:
        weighted = plain = self.plain + other.plain
        if self.weighted is not self.plain:
            weighted = self.weighted + other.weighted
        return Summed(plain, weighted, min(self.low, other.low), max(self.high, other.high))


def _same(X: Float) -> Float:
    return X


def _quantile(level: float) -> float:
    """Return the normal's half width, in standard errors."""
    return float(ndtri(0.5 + check_level(level) / 2))


def _unless_dependent(errors: Float, found: Solution) -> Float:
    """Return standard errors, nan where a coefficient is not identified."""
    if found.rank < len(found.coef):
        errors[[int(found.centred) + j for j in found.dependent]] = np.nan
    return errors
