"""Linear-Gaussian regression.

    y | x ~ N(w . x + b, sigma^2)

Maximum likelihood (Bishop PRML 3.1.1): (w, b) minimise the sum of squares, whatever sigma^2 is;
then sigma^2 is the mean squared residual (divisor n). The sum of squares is solved from `Moments`
of [X, y] (`sums`, `least_squares`); `fit`, which has the rows, then takes the steps over them that
the digits want (`digits`, `refinement`). Small and kind data take one QR alone (`plain`). With
several targets the noise is N(0, Sigma) and w, b solve each target alone.
Weights omega are precisions: the noise variance of row i is sigma^2 / omega_i, sigma^2 that of a
row of weight 1 (as every row is that has no weight), and sums are weighted by omega.
Symbols: w coef_, b intercept_, sigma^2 noise_variance_, Sigma noise_covariance_.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral._checks.columns import names_of
from ancestral._checks.numbers import (
    FEWER_ROWS,
    check_integer,
    one_sample_message,
    warn,
    within_memory,
)
from ancestral._numerics import double_double as dd
from ancestral.base import ConditionalLikelihood, FromStatistics, lock_of
from ancestral.errors import DataError, ModelError
from ancestral.gaussian import costs
from ancestral.gaussian.linear.digits import (
    few_carry_all,
    has_digits,
    one_step_is_enough,
    squared_too_much,
)
from ancestral.gaussian.linear.fitted import DERIVED, Derived, Fit, PlainFit, log_determinant_of
from ancestral.gaussian.linear.inference import FAR, LineInference, feature_name
from ancestral.gaussian.linear.least_norm import solve_least_norm
from ancestral.gaussian.linear.least_squares import (
    EPS,
    Solution,
    lengths,
    refuse_constant_targets,
    refuse_unheld,
    solve,
)
from ancestral.gaussian.linear.plain import Plain, plain
from ancestral.gaussian.linear.refinement import Rows, polish, refine
from ancestral.gaussian.linear.sums import LineStatistics, over_power_of_four, threads_of

Float = NDArray[np.float64]
LOST = 1e-8  # relative error of a coefficient from statistics that deserves a warning
ONE = 1  # the degree of nearly all
ROUGH = 1e-11  # of sigma: what rounding may take from a residual before it is found more exactly


class LinearGaussian(ConditionalLikelihood, FromStatistics, LineInference):
    """Linear regression with normal noise, by maximum likelihood.

    Parameters
    ----------
    fit_intercept : bool
        False forces the line through the origin.
    degree : int
        Each column is used as x, x^2, ..., x^degree (without products of columns).

    Attributes
    ----------
    coef_ : ndarray of shape (n_features * degree,) or (n_targets, n_features * degree)
        w: all first powers, then all squares, and so on.
    intercept_ : float or ndarray of shape (n_targets,)
        b; 0.0 without intercept.
    noise_variance_ : float or ndarray of shape (n_targets,)
        sigma^2 with divisor n, the maximum-likelihood estimate, in squared units of y. With weights
        it is that of a row of weight 1: the mean of weight times squared residual.
    noise_covariance_ : ndarray of shape (n_targets, n_targets)
        Sigma, the covariance of the noise; only with several targets.
    residual_std_ : float or ndarray of shape (n_targets,)
        The residual standard deviation (of a row of weight 1), with divisor n - p. Here p is the
        number of coefficients and intercept. nan if n is p or less.
    standard_errors_ : ndarray of shape (p,) or (n_targets, p)
        Standard errors of the intercept (first, if there is one) and of `coef_`, from
        `residual_std_`. nan for a coefficient that the data do not determine, and for all if n is p
        or less.
    log_likelihood_ : float
        Log-likelihood of the training data, in nats: the sum of `log_density` over the rows of the
        fit, with their weights. inf if sigma^2 is 0.
    r_squared_ : float or ndarray of shape (n_targets,)
        Share of the (weighted) variation of y about its mean that the model explains; without
        intercept, of the variation about zero.
    rank_ : int
        The number of linearly independent features.
    degrees_of_freedom_ : int
        n - p.
    n_samples_ : int
        The number of rows of weight above 0.
    condition_number_ : float
        Condition number of the centred features, each scaled to length one.
    feature_means_ : ndarray of shape (n_features * degree,)
        The means by which the features are centred; zeros without intercept.
    inverse_root_ : ndarray of shape (p, r)
        T, where T T^T is a covariance divided by sigma^2: that of the fitted mean at
        `feature_means_` (first, if there is an intercept) and of `coef_`.
    span_, span_scale_ : ndarray of shape (n_features * degree, rank_) and (n_features * degree,)
        Only with fewer rows than coefficients: an orthonormal basis of the centred rows of the fit,
        after their columns are divided by `span_scale_`.
    aliases_ : ndarray of shape (n_features * degree, m)
        For each of m columns that repeat others, the combination of centred features that is 0. It
        is scaled so that rounding gives at most 1 at the rows of the fit.
    n_parameters_ : int
        The number of coefficients that the data determine, of intercepts, and of the free entries
        of sigma^2 or Sigma.

    Notes
    -----
    A column that is a linear combination of earlier columns gets the coefficient 0, and a warning
    names it. At new rows with the same linear relation, predictions and likelihood do not depend on
    this choice. At other rows the data do not determine the mean: a warning names the column, and
    intervals are nan. With fewer rows than coefficients, the solution with the least norm is taken,
    with a warning. There are then no standard errors, and no density if the fit is exact. A warning
    tells which new rows are no combination of the rows of the fit.

    `fit` gives at least 12 correct digits of everything that the data determine, if the data have
    fewer than 100,000 numbers, or if their scaled condition number is below 1e3 or above 1e5;
    otherwise at least 10. It reads the rows again as often as this needs. `partial_fit` and
    `ancestral.streaming` keep only statistics, and lose about log10 of the condition number of 16
    digits; a warning tells when fewer than 8 digits are left. The cost is O(n p^2).

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eq. 3.15 and 3.21.

    Examples
    --------
    >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.5])
    >>> model.coef_.round(3), round(model.intercept_, 3), round(model.noise_variance_, 4)
    (array([2.25]), 0.917, 0.0139)
    """

    _fields: tuple[str, ...] = (
        "n_samples_", "degrees_of_freedom_", "rank_", "condition_number_", "log_likelihood_",
        "feature_means_", "aliases_", "inverse_root_", "span_", "span_scale_", "coef_",
        "intercept_", "noise_variance_", "noise_covariance_", "residual_std_", "r_squared_",
        "standard_errors_",
    )  # fmt: skip
    _target_names: list[Any] | None = None  # of what partial_fit has seen
    feature_means_: Any = Derived()
    condition_number_: Any = Derived()
    inverse_root_: Any = Derived()
    log_likelihood_: Any = Derived()
    r_squared_: Any = Derived()
    residual_std_: Any = Derived()
    span_: Any = Derived()
    span_scale_: Any = Derived()
    standard_errors_: Any = Derived()

    def __init__(self, fit_intercept: bool = True, degree: int = 1) -> None:  # noqa: FBT001, FBT002 - as scikit-learn spells it
        self.fit_intercept = fit_intercept
        self.degree = degree

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    # ---- fit --------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit p(y | x) to pairs.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), optional
            Precisions: the variance of a row of weight w is `noise_variance_` / w. If all weights
            are doubled, `noise_variance_` doubles, and coefficients, standard errors and likelihood
            stay the same. Rows of weight 0 are left out. Weights are not counts: n and n - p count
            rows. To count a row twice, repeat it.

        Returns
        -------
        self

        Raises
        ------
        DataError
            For text, NaN or infinity, for X and y of different lengths, and for negative weights.
        ModelError
            When y is constant: the likelihood is unbounded.

        Examples
        --------
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [1.1, 2.9, 5.1, 6.9])
        >>> model.coef_.round(2), round(model.intercept_, 2)
        (array([1.96]), 1.06)
        """
        return self._fit_anew(X, y, sample_weight)

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[np.float64], ...]:
        plain = sample_weight is None and self.degree == 1  # sums then show what is not finite
        return self._check_chunk(X, y, sample_weight, reset=True, finite=not plain)

    @property
    def _names_of_inputs(self) -> Any:
        return vars(self).get("feature_names_in_")

    def _statistics(self, X: NDArray, y: NDArray, weights: NDArray | None = None) -> LineStatistics:
        return LineStatistics.of(X, y, weights, self._features, names=self._names_of_inputs)

    def _fit(self, X: NDArray, y: NDArray, weights: NDArray | None = None) -> None:
        plainly = weights is None and y.ndim == 1 and self._checked_degree() == 1
        with threads_of(X.size, X.shape[1]):
            if plainly and costs.plain_pays(len(X), X.shape[1] + 2):
                found = plain(X, y, centred=bool(self.fit_intercept))
                if found is not None:
                    self._set_plain(found)
                    return
            self._fit_closely(X, y, weights)

    def _fit_closely(self, X: NDArray, y: NDArray, weights: NDArray | None) -> None:
        """Fit by statistics, and by the steps over the rows that their solution wants."""
        names = self._names_of_inputs
        statistics = LineStatistics.of(X, y, weights, self._features, mended=True, names=names)
        found = self._solved(statistics)
        if squared_too_much(found, statistics):
            statistics = LineStatistics.of_rows(X, y, weights, self._features, names)
            found = self._solved(statistics)
        self._refuse_undetermined(found, statistics)
        uneven = few_carry_all(weights, X.size * self._checked_degree())
        if found.basis is None and (uneven or not has_digits(found, statistics)):
            if weights is not None:
                weights, _ = over_power_of_four(weights)
            rows = Rows(X, y.reshape(len(y), -1), weights, self._checked_degree(), found)
            found = self._with_digits(rows, sure=uneven)
        self._set(found, statistics)

    def _with_digits(self, rows: Rows, *, sure: bool) -> Solution:
        """Return the solution after as many steps over the rows as its digits want, or all."""
        if not sure and one_step_is_enough(rows.found, rows.X.size * rows.degree):
            return polish(rows)
        found, converged = refine(rows)
        if not converged:
            warn(
                "the columns are so nearly collinear (condition number "
                f"{found.condition:.1e}) that float64 cannot tell their coefficients apart. "
                "Drop some, or lower the degree."
            )
        return found

    @within_memory(FEWER_ROWS)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Add a chunk of rows to what earlier calls gave, and solve again.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), optional
            Precisions, as `fit` takes them.

        Returns
        -------
        self
            Fitted once there are more rows than coefficients.

        Notes
        -----
        Statistics are kept, not rows. So the model agrees with that of `fit` to about 16 -
        log10(`condition_number_`) digits; a warning tells when fewer than 8 are left. Calls from
        several threads wait for each other, and each chunk counts.

        Examples
        --------
        >>> model = LinearGaussian().partial_fit([[0.0], [1.0]], [1.1, 2.9])
        >>> model.partial_fit([[2.0], [3.0]], [5.1, 6.9]).coef_.round(2)
        array([1.96])
        """
        with lock_of(self):
            names, known = names_of(y), self._target_names if self._seen is not None else None
            if None not in (names, known) and names != known:
                raise DataError(
                    f"y names its columns {names}, and an earlier chunk {known}: give the same "
                    "targets in the same order."
                )
            self._add(X, y, sample_weight)
            self._remember(_target_names=known if names is None else names)
        return self

    def _is_enough(self, statistics: LineStatistics) -> bool:
        return statistics.count > statistics.n_inputs + bool(self.fit_intercept)

    def _solve(self, statistics: LineStatistics) -> None:
        found = self._solved(statistics)
        self._refuse_undetermined(found, statistics)
        if found.lost > LOST and not found.is_exact.any():
            warn(
                "sums of statistics keep about "
                f"{max(0, int(-np.log10(found.lost)))} digits of some coefficients (condition "
                f"number {found.condition:.1e}). Give all rows to fit at once to get every digit."
            )
        self._set(found, statistics)

    def _solved(self, statistics: LineStatistics) -> Solution:
        """Return the solution from statistics."""
        n, p, centred = statistics.count, statistics.n_inputs, bool(self.fit_intercept)
        if n < 2:
            raise ModelError(
                one_sample_message(n, 2, "one row leaves no scatter to learn") + " Add rows."
            )
        if n < p + centred:
            return solve_least_norm(statistics, centred=centred)
        return solve(statistics, centred=centred, rounded_features=self._checked_degree() > 1)

    def _refuse_undetermined(self, found: Solution, statistics: LineStatistics) -> None:
        """Refuse, or warn of, what the data do not determine."""
        if not found.is_regular:
            refuse_constant_targets(found, statistics.moments.mean[statistics.n_inputs :])
            refuse_unheld(found)
            if found.basis is None:
                self._warn_of_collinear(found.dependent)

    def _set(self, found: Solution, statistics: LineStatistics) -> None:
        """Set the fitted attributes; those that cost are found when they are read."""
        fit = Fit(found, statistics)
        n, wanted = statistics.count, statistics.n_inputs + int(found.centred)
        variances = fit.covariance.diagonal()
        if not found.is_regular or statistics.exponent:
            _refuse_unheld_variance(variances, np.diag(fit.held))
        if n < wanted:
            exact = " The fit is exact: density, aic, bic and sample are refused."
            warn(
                f"{n} rows cannot determine {wanted} coefficients: of all that fit best, those of "
                "least norm are kept, without standard errors. Drop columns or add rows."
                f"{exact * bool(fit.unbounded.any())}"
            )
        elif fit.unbounded.any():
            why = (
                "the residuals are as small as the rounding of the data, so sigma^2 cannot be "
                "told from 0"
                if fit.free
                else "there are as many coefficients as rows, so sigma^2 and standard errors do "
                "not exist"
            )
            warn(
                f"the fit is exact (zero residual): {why}. Density, aic, bic and sample are "
                "refused; the coefficients stand."
            )
        elif len(variances) > 1 and np.isinf(fit.log_determinant):
            warn(
                f"the residuals of the {len(variances)} targets are linearly dependent: Sigma is "
                "singular, so density, aic, bic and sample are refused; all other results are "
                "right."
            )
        self._take(fit, found.coef, found.intercept, found.rank)
        self.aliases_ = found.aliases

    def _set_plain(self, found: Plain) -> None:
        """Set the fitted attributes of a plain fit."""
        W, p = found.parameters[:, None], len(found.own) - int(found.centred)
        self._take(PlainFit(found), W[-p:], W[0] if found.centred else np.zeros(1), p)
        self.aliases_ = np.zeros((p, 0))

    def _take(self, fit: Fit, coef: Float, intercept: Float, rank: int) -> None:
        """Set what any fit learns at once, (p, k) and (k,); what costs is found when it is read."""
        self._kept_fit = fit
        self.degrees_of_freedom_, self.rank_ = fit.free, rank
        self.n_samples_ = fit.free + rank + bool(self.fit_intercept)
        if fit.has_table:
            self.coef_, self.intercept_ = np.ascontiguousarray(coef.T), intercept
            self.noise_variance_ = fit.covariance.diagonal().copy()
            self.noise_covariance_ = fit.covariance.copy()
        else:
            self.coef_, self.intercept_ = coef[:, 0], float(intercept[0])
            self.noise_variance_ = float(fit.covariance[0, 0])

    def _fitted_state(self) -> dict[str, Any]:
        held = vars(self)
        derived = {name for name in DERIVED if hasattr(self, name)}
        return {
            name: getattr(self, name)
            for name in self._declared()
            if name in held or name in derived
        }

    def _warn_of_collinear(self, dependent: list[int]) -> None:
        """Warn once, naming the columns that the others already hold."""
        if not dependent:
            return
        names = ", ".join(self._column_name(j) for j in dependent[:8])
        more = ", ..." if len(dependent) > 8 else ""
        warn(
            f"exactly collinear with earlier columns{' and the intercept' * self.fit_intercept}: "
            f"{names}{more}. Their coefficients are set to 0; the likelihood does not change, nor "
            "do predictions at rows that are collinear too."
        )

    def _column_name(self, j: int) -> str:
        """Return a feature's name, with its power."""
        power, column = divmod(j, self.n_features_in_)
        name = feature_name(self, column)
        return name if power == 0 else f"{name}^{power + 1}"

    # ---- use --------------------------------------------------------------------------------

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Identified coefficients, intercepts, and the entries of sigma^2 or Sigma."""
        k = np.size(self.noise_variance_)
        return k * (self.rank_ + bool(self.fit_intercept)) + k * (k + 1) // 2

    def _warn_of_undetermined(self, X: NDArray[np.float64]) -> None:
        super()._warn_of_undetermined(X)
        if not hasattr(self, "span_"):
            return
        F, means, scale = self._features(X), self.feature_means_, self.span_scale_
        z = (F - means) / scale
        left = lengths((z - (z @ self.span_) @ self.span_.T).T)
        rounding = lengths(((np.abs(F) + np.abs(means)) / scale).T) + F.shape[1]
        outside = left > FAR * lengths(z.T) + 64 * EPS * rounding
        if outside.any():
            warn(
                f"row {int(np.argmax(outside))}, among {int(outside.sum())} of these {len(X)}, is "
                f"no combination of the {self.n_samples_} rows of the fit, which are fewer than "
                "the coefficients: they do not determine the mean there. Drop columns, or fit to "
                "more rows."
            )

    def _predict(self, X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = self._features(X) @ self.coef_.T + self.intercept_
        return mean, np.broadcast_to(np.sqrt(self.noise_variance_), mean.shape).copy()

    def _residual(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        mean: NDArray[np.float64],
        std: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return y less its mean, in twice the digits where sums far above sigma cancel."""
        residual = y - mean
        F, slopes = self._features(X), np.atleast_2d(self.coef_)
        sizes = dd.sizes_of(F, slopes.T) + np.abs(self.intercept_)  # (n, k)
        sizes += np.abs(y).reshape(len(X), -1)
        spread = np.sqrt(self.noise_variance_) if y.ndim == 1 else np.diag(self._noise_root)
        limit = ROUGH / (EPS * (F.shape[1] + 2 * self.degree)) * spread
        rough = (sizes > limit).any(axis=1)
        if rough.any():
            found = dd.line_less(
                X[rough],
                slopes.T,
                np.atleast_1d(self.intercept_),
                y[rough].reshape(-1, len(slopes)),
                degree=self.degree,
            )
            residual[rough] = -found.reshape(residual[rough].shape)
        return residual

    def _log_normal(
        self, X: NDArray[np.float64], residual: NDArray[np.float64], std: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if residual.ndim == 1:
            return super()._log_normal(X, residual, std)
        L = self._noise_root
        z = np.linalg.solve(L, residual.T)  # (k, n)
        constant = residual.shape[1] * np.log(2 * np.pi) + 2 * np.log(np.diag(L)).sum()
        return -0.5 * (constant + np.einsum("ki,ki->i", z, z))

    def _noise(self, std: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        if not np.ndim(self.noise_variance_):
            return super()._noise(std, rng)
        return rng.normal(size=std.shape) @ self._noise_root.T

    @property
    def _noise_root(self) -> NDArray[np.float64]:
        """L with L L^T = Sigma, shape (n_targets, n_targets)."""
        return np.asarray(np.linalg.cholesky(self.noise_covariance_), np.float64)

    def _checked_degree(self) -> int:
        if self.degree is ONE:
            return ONE
        return check_integer(self.degree, "degree", minimum=1)

    def _features(self, X: NDArray) -> NDArray[np.float64]:
        """Return the columns x, x^2, ..., x^degree, shape (n, d * degree)."""
        degree = self._checked_degree()
        if degree == 1:
            return X
        with np.errstate(over="ignore"):
            features = np.hstack([X**k for k in range(1, degree + 1)])
        if not np.isfinite(features[:, -X.shape[1] :]).all():
            raise DataError(
                f"X reaches {np.abs(X).max():g}: its power {degree} overflows float64. Divide "
                "the columns by their size first."
            )
        return features

    def _refuse_zero_variance(self) -> None:
        if np.isinf(self.log_likelihood_) or not np.all(self.noise_variance_):
            raise ModelError(
                "sigma^2 = 0 (the fit was exact) or Sigma is singular: the density is unbounded. "
                "Use predict, or fit to data that scatter about the line."
            )

    def _check_state(self) -> None:
        d = self.n_features_in_ * self._checked_degree()
        if not hasattr(self, "aliases_"):  # of a file from before they were kept
            self.aliases_ = np.zeros((d, 0))
        if hasattr(self, "span_") and (
            self.span_.ndim != 2 or len(self.span_) != d or self.span_scale_.shape != (d,)
        ):
            raise ValueError("a span must have one row per column")
        if self.aliases_.ndim != 2 or len(self.aliases_) != d:
            raise ValueError("aliases must have one row per column")
        k = np.shape(self.noise_variance_)
        if self.coef_.shape != (*k, d) or np.shape(self.intercept_) != k:
            raise ValueError("coefficients must be one per column and target")
        if not (np.isfinite(self.coef_).all() and np.isfinite(self.intercept_).all()):
            raise ValueError("coefficients must be finite")
        if not (np.isfinite(self.noise_variance_).all() and np.min(self.noise_variance_) >= 0):
            raise ValueError("the noise variance must be finite and not negative")
        if k and self.noise_covariance_.shape != k * 2:
            raise ValueError("the noise covariance must be square in the targets")
        covariance = self.noise_covariance_ if k else np.array([[self.noise_variance_]])
        unbounded = bool(np.isneginf(log_determinant_of(covariance)))
        if not (np.isposinf if unbounded else np.isfinite)(self.log_likelihood_):
            raise ValueError("the log-likelihood must be infinite where sigma^2 is 0, only there")


def _refuse_unheld_variance(variance: NDArray, held: NDArray) -> None:
    """Raise DataError where the variance of a row of weight 1 has no place in float64."""
    tiny = np.finfo(np.float64).tiny
    for value in variance[(held > 0) & ~((variance >= tiny) & (variance < np.inf))]:
        raise DataError(
            f"sigma^2 of a row of weight 1 is {value:.3g}, which float64 does not hold. Divide "
            "sample_weight by a constant, or rescale y."
        )
