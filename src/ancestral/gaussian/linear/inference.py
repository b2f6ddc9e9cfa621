"""What a fit says of its parameters: quantiles, robust standard errors, a table to print."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ancestral._checks.numbers import (
    FEWER_ROWS,
    as_generator,
    check_integer,
    check_level,
    check_weights,
    warn,
    within_memory,
)
from ancestral._numerics.threads import blocks_of
from ancestral.base import ConditionalDensity, over_root
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.linear.least_squares import EPS, lengths

Float = NDArray[np.float64]
Interval = tuple[Float, Float]
DRAWN = 1 << 22  # counts, or sums, of draws that are held at once
SINGULAR = 1e-5  # a pivot of what is orthonormal in all rows: below it a draw lacks a direction
FAR = 1e-10  # of its terms: more than this left of a combination that was 0 in the fit is not 0


class Line(ConditionalDensity):
    """A mean that is linear in features, some of which may repeat others.

    An author also writes `_features(X)` and `_column_name(j)`.
    """

    fit_intercept: bool
    feature_means_: Float
    aliases_: Float

    @abstractmethod
    def _features(self, X: NDArray) -> Float:
        """Return the columns that the coefficients multiply, shape (n, p)."""

    @abstractmethod
    def _column_name(self, j: int) -> str:
        """Return the name of column j of the features."""

    @property
    def _centres(self) -> Float:
        """Return what the features are less in `aliases_`, shape (p,)."""
        return self.feature_means_

    def _broken_aliases(self, X: NDArray) -> NDArray[np.bool_]:
        """Tell which combinations that were 0 in the fit are not so at rows, shape (n, m)."""
        if not self.aliases_.shape[1]:
            return np.zeros((len(X), 0), dtype=bool)
        F, sizes = self._features(X), np.abs(self.aliases_)
        with np.errstate(over="ignore", invalid="ignore"):
            centred = F - self._centres
            left = np.abs(centred @ self.aliases_)
            rounding = 64 * EPS * ((np.abs(F) + np.abs(self._centres)) @ sizes)
            return ~(left <= 1 + rounding + FAR * (np.abs(centred) @ sizes))

    def _warn_of_undetermined(self, X: Float) -> None:
        broken = self._broken_aliases(X)
        for k in np.flatnonzero(broken.any(axis=0)):
            # The column that was left out is the last of its combination.
            name = self._column_name(int(np.flatnonzero(self.aliases_[:, k])[-1]))
            warn(
                f"row {int(np.argmax(broken[:, k]))} breaks a collinearity that held in the fit: "
                f"{name} repeated earlier columns there and is left out, and at "
                f"{int(broken[:, k].sum())} of these {len(X)} rows it does not. The data do not "
                "determine the mean there: intervals are nan. Drop the column, or fit to rows in "
                "which it varies by itself."
            )

    def _at_rows(self, X: NDArray) -> Float:
        """Return 1 (with an intercept) and the centred features, shape (n, q)."""
        A = self._features(X) - self.feature_means_
        return np.column_stack([np.ones(len(A)), A]) if self.fit_intercept else A


class LineInference(Line):
    """A line's intervals, robust standard errors and summary, from what its `fit` learnt."""

    coef_: Float
    intercept_: Any  # a float, or one per target, as the next three
    noise_variance_: Any
    residual_std_: Any
    r_squared_: Any
    standard_errors_: Float
    inverse_root_: Float
    log_likelihood_: float
    condition_number_: float
    n_samples_: int
    degrees_of_freedom_: int
    rank_: int

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
            of freedom and h the row's leverage. Exact for normal noise whose variance is known up
            to a factor, as the weights of the fit say. nan, after a warning, where the data do not
            determine the mean.

        Raises
        ------
        ModelError
            For another level, or when there are no degrees of freedom.
        """
        return self._interval(X, level, own_noise=0.0)

    def prediction_interval(
        self, X: ArrayLike, level: float = 0.95, sample_weight: ArrayLike | None = None
    ) -> Interval:
        """Return an interval for one new y given each row.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        level : float
            Probability, above 0 and below 1, that an interval covers a new y.
        sample_weight : array-like of shape (n_samples,), optional
            Precisions of the new y, as `fit` takes them; 1 when not given. A weight of 0 has no
            bounds.

        Returns
        -------
        low, high : ndarray of shape (n_samples,) or (n_samples, n_targets)
            In the units of y: predict(X) -+ t * residual_std_ * sqrt(1 / weight + h). nan, after a
            warning, where the data do not determine the mean.

        Raises
        ------
        ModelError
            For another level, or when there are no degrees of freedom.
        """
        return self._interval(X, level, own_noise=1.0, sample_weight=sample_weight)

    def _interval(
        self,
        X: ArrayLike,
        level: float,
        *,
        own_noise: float,
        sample_weight: ArrayLike | None = None,
    ) -> Interval:
        rows = self._check_inputs(X)
        mean, _ = self._predicted(rows)
        weights = check_weights(sample_weight, len(rows))
        own = over_root(np.full(len(rows), own_noise), weights)
        # Lengths, not squares: of weights of any size neither overflows.
        spread = np.hypot(own, lengths(self._whitened(rows).T))
        spread[self._broken_aliases(rows).any(axis=1)] = np.nan
        t = t_quantile(level, self.degrees_of_freedom_)
        half = t * (
            np.outer(spread, self.residual_std_) if mean.ndim == 2 else spread * self.residual_std_
        )
        return mean - half, mean + half

    def _whitened(self, X: NDArray) -> NDArray[np.float64]:
        """Return rows whose squared lengths are leverages, shape (n, r)."""
        return self._at_rows(X) @ self.inverse_root_

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
        whitened, residual = self._rows_of_fit(X, y, sample_weight)
        found = hc3_standard_errors(whitened, residual, self._coefficient_root)
        found[:, np.isnan(np.atleast_2d(self.standard_errors_)[0])] = np.nan
        return found if np.ndim(self.noise_variance_) else found[0]

    @within_memory(FEWER_ROWS)
    def bootstrap(
        self,
        X: ArrayLike,
        y: ArrayLike,
        n_draws: int = 1000,
        *,
        sample_weight: ArrayLike | None = None,
        random_state: Any = None,
    ) -> NDArray[np.float64]:
        """Return intercept and coefficients of fits to rows that are drawn with replacement.

        Parameters
        ----------
        X, y, sample_weight
            The rows that the model was fitted to: drawn together, as many as there are.
        n_draws : int
            1 or more.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_draws, p) or (n_draws, n_targets, p)
            In the order of `standard_errors_`: the intercept first, where there is one. nan, after
            a warning, for draws whose rows do not determine the coefficients.

        Raises
        ------
        DataError
            For other rows than the model was fitted to.
        ModelError
            For another `n_draws`, or when the fit had fewer rows than coefficients.

        Notes
        -----
        The same to 9 digits or more as a loop of `fit(X[i], y[i])` with i =
        `rng.integers(n, size=n)`, at a fraction of its time: of rows that are made orthonormal
        once, the sums of all draws are one product. The cost is O(n_draws n p^2).

        References
        ----------
        Freedman (1981), Bootstrapping regression models, Annals of Statistics 9 (its correlation
        model, which holds whatever the variances are).

        Examples
        --------
        >>> from ancestral import LinearGaussian, datasets
        >>> X, y, _ = datasets.line()
        >>> draws = LinearGaussian().fit(X, y).bootstrap(X, y, random_state=0)
        >>> low, high = np.percentile(draws, [2.5, 97.5], axis=0)
        """
        n_draws = check_integer(n_draws, "n_draws", minimum=1)
        rng = as_generator(random_state)
        self._check_fitted()
        if np.isnan(self.inverse_root_).any():
            raise ModelError(
                f"the {self.n_samples_} rows of the fit do not determine the coefficients: no draw "
                "of them does. Drop columns or add rows."
            )
        whitened, residual = self._rows_of_fit(X, y, sample_weight)
        moves = resampled(whitened, residual, n_draws, rng)
        lost = int(np.isnan(moves).any(axis=(1, 2)).sum())
        if lost:
            warn(
                f"{lost} of the {n_draws} draws hold too few different rows to determine the "
                "coefficients: they are nan. Leave them out, drop columns or add rows."
            )
        found = np.atleast_2d(self._parameters) + np.moveaxis(self._coefficient_root @ moves, 1, 2)
        return found if np.ndim(self.noise_variance_) else found[:, 0]

    def _rows_of_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Float, Float]:
        """Return the rows of the fit, made orthonormal, (n, r), and their residuals, (n, k)."""
        self._check_fitted()
        extra = () if sample_weight is None else (sample_weight,)
        rows, target, *weights = self._check_chunk(X, y, *extra, reset=False)
        if len(rows) != self.n_samples_:
            raise DataError(
                f"the model was fitted to {self.n_samples_} rows, these are {len(rows)}: "
                "give the rows of fit."
            )
        mean, _ = self._predicted(rows)
        root = np.sqrt(weights[0]) if weights else np.ones(len(rows))
        whitened = self._whitened(rows) * root[:, None]
        residual = (target.reshape(mean.shape) - mean).reshape(len(rows), -1) * root[:, None]
        self._refuse_other_rows(rows, whitened, residual, float(root.max()))
        return whitened, residual

    def _refuse_other_rows(
        self, X: NDArray, whitened: Float, residual: Float, largest: float
    ) -> None:
        """Raise DataError where moments of the rows are not those of the fit, up to rounding."""
        slack = 1e-6 + 1e5 * EPS * self.condition_number_
        with np.errstate(over="ignore", invalid="ignore"):  # of rows very far out
            gram = whitened.T @ whitened  # the identity, for the rows of fit
        if not (np.abs(gram - np.eye(len(gram))) <= slack).all():
            raise DataError(
                "X or the weights are not those that the model was fitted to: their moments "
                "differ. Give the rows and weights of fit."
            )
        seen = lengths(residual) / np.sqrt(len(residual))
        noise = np.sqrt(np.atleast_1d(self.noise_variance_))
        terms = np.abs(self.coef_) @ np.abs(self._features(X)).mean(axis=0)
        rounding = 1e-12 * largest * (np.abs(self.intercept_) + terms)
        wrong = np.flatnonzero(np.abs(seen - noise) > slack * noise + rounding)
        if len(wrong):
            j = int(wrong[0])
            raise DataError(
                f"y is not what the model was fitted to: its root mean squared residual is "
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


def t_quantile(level: float, degrees_of_freedom: int) -> float:
    """Return the half width, in standard errors, of an interval of this probability."""
    level = check_level(level)
    if degrees_of_freedom < 1:
        raise ModelError(
            "there are as many coefficients as rows, or more: no degrees of freedom are left to "
            "judge the noise by. Add rows or drop columns."
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
    scaled, size = residual / slack[:, None], lengths(root.T)
    unit = root / np.where(size > 0, size, 1.0)[:, None]  # squares neither over- nor underflow
    errors = np.empty((residual.shape[1], len(root)))
    for j, r in enumerate(scaled.T):
        largest = np.abs(r).max() or 1.0
        spread = whitened * (r / largest)[:, None]
        square = np.einsum("pi,ij,pj->p", unit, spread.T @ spread, unit)
        errors[j] = np.sqrt(square) * size * largest
    return errors


def resampled(Q: Float, residual: Float, n_draws: int, rng: np.random.Generator) -> Float:
    """Return (Q^T C Q)^-1 Q^T C R for draws of rows, C their counts; shape (n_draws, r, k).

    Parameters
    ----------
    Q : ndarray of shape (n, r)
        Orthonormal columns, so that the systems of draws are well-conditioned.
    residual : ndarray of shape (n, k)
        R.
    """
    (n, r), k = Q.shape, residual.shape[1]
    i, j = np.triu_indices(r)
    width = len(i) + r * k
    at_once = max(1, min(n_draws, DRAWN // n, DRAWN // width))
    found = np.empty((n_draws, r, k))
    for start in range(0, n_draws, at_once):
        m = min(at_once, n_draws - start)
        drawn = rng.integers(n, size=(m, n)) + n * np.arange(m)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=m * n).reshape(m, n).astype(np.float64)
        sums = np.zeros((m, width))
        for part in blocks_of(slice(0, n), max(64, DRAWN // (8 * width))):
            A, R = Q[part], residual[part]
            products = (A[:, :, None] * R[:, None, :]).reshape(len(A), r * k)
            sums += counts[:, part] @ np.hstack([A[:, i] * A[:, j], products])
        gram = np.empty((m, r, r))
        gram[:, i, j] = gram[:, j, i] = sums[:, : len(i)]
        found[start : start + m] = _solved(gram, sums[:, len(i) :].reshape(m, r, k))
    return found


def _solved(gram: Float, right: Float) -> Float:
    """Return the solutions of systems, nan for those that are singular to rounding."""
    try:
        pivots = np.linalg.cholesky(gram).diagonal(axis1=1, axis2=2)
    except np.linalg.LinAlgError:
        if len(gram) > 1:
            return np.concatenate([_solved(g[None], b[None]) for g, b in zip(gram, right)])
        return np.full_like(right, np.nan)
    found, whole = np.full_like(right, np.nan), pivots.min(axis=1) > SINGULAR
    found[whole] = np.linalg.solve(gram[whole], right[whole])
    return found


# ---- the table --------------------------------------------------------------------------------


def summary_of_line(model: LineInference, level: float, robust: Any) -> str:
    """Return the table of a linear fit, one block for each target."""
    estimates, errors = np.atleast_2d(model._parameters), np.atleast_2d(model.standard_errors_)
    low = high = np.full(errors.shape, np.nan)
    if model.degrees_of_freedom_ > 0:
        low, high = (np.atleast_2d(x) for x in model.coefficient_intervals(level))
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
            f"sigma {np.sqrt(sigma[j]):.6g} (divisor n), "
            f"{_number(std[j]).replace('nan', '-')} (divisor n - p); "
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
