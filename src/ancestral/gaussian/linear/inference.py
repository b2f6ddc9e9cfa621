"""What a fit says of its parameters: intervals, robust standard errors, bootstrap, a summary."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import (
    FEWER_ROWS,
    as_generator,
    check_integer,
    check_weights,
    warn,
    within_memory,
)
from ancestral._numerics.threads import blocks_of
from ancestral._printed import Summary
from ancestral.base import ConditionalDensity, over_root
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.linear.least_squares import EPS, lengths
from ancestral.gaussian.linear.robust import COV_TYPES, Robust, homes_of, t_quantile
from ancestral.gaussian.linear.summary import table_of_line

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
            In the units of y: predict(X) ± t * residual_std_ * sqrt(h), with the quantile t of
            Student's distribution with n - p degrees of freedom, and h the leverage of the row.
            Exact for normal noise whose variances are known up to one factor, by the weights of the
            fit. nan, with a warning, at rows where the data do not determine the mean.

        Raises
        ------
        ModelError
            For a `level` outside 0 to 1, or when there are no degrees of freedom.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 50)
        >>> model = LinearGaussian().fit(x[:, None], 2 * x + rng.normal(size=50))
        >>> low, high = model.confidence_interval([[1.5]])
        >>> bool(low[0] < model.predict([[1.5]])[0] < high[0])
        True
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
            Precisions of the new y, as `fit` takes them; 1 when not given. A weight of 0 gives an
            interval without bounds.

        Returns
        -------
        low, high : ndarray of shape (n_samples,) or (n_samples, n_targets)
            In the units of y: predict(X) ± t * residual_std_ * sqrt(1 / weight + h). nan, with a
            warning, at rows where the data do not determine the mean.

        Raises
        ------
        ModelError
            For a `level` outside 0 to 1, or when there are no degrees of freedom.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 50)
        >>> model = LinearGaussian().fit(x[:, None], 2 * x + rng.normal(size=50))
        >>> mean, new = model.confidence_interval([[1.5]]), model.prediction_interval([[1.5]])
        >>> bool(new[1] - new[0] > mean[1] - mean[0])  # a new y varies about its mean
        True
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
        """Return an interval for the intercept (first, if there is one) and each coefficient.

        Parameters
        ----------
        level : float
            Probability, above 0 and below 1, that an interval covers the true value.

        Returns
        -------
        low, high : ndarray of shape (p,) or (n_targets, p)
            From Student's t with n - p degrees of freedom. nan for coefficients that the data do
            not determine.

        Raises
        ------
        ModelError
            For a `level` outside 0 to 1, or when there are no degrees of freedom.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 50)
        >>> model = LinearGaussian().fit(x[:, None], 2 * x + rng.normal(size=50))
        >>> low, high = model.coefficient_intervals()
        >>> bool(low[1] < 2 < high[1])  # intercept first
        True
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

    @within_memory(FEWER_ROWS)
    def robust_standard_errors(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        cov_type: str = "HC3",
        groups: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return standard errors that stay valid when the noise variance differs between rows.

        Parameters
        ----------
        X, y, sample_weight
            The rows that the model was fitted to.
        cov_type : {"HC0", "HC1", "HC2", "HC3", "cluster"}
            How the variances are estimated from squared residuals. "cluster" also allows correlated
            noise between rows of the same group.
        groups : array-like of shape (n_samples,)
            Only with "cluster": the group of each row, as integers, text or dates.

        Returns
        -------
        ndarray of shape (p,) or (n_targets, p)
            As `standard_errors_`. HC3: the roots of the diagonal of
            (A^T A)^-1 A^T diag(r_i / (1 - h_i))^2 A (A^T A)^-1.

        Raises
        ------
        DataError
            For rows that are not those of the fit, or a missing group.
        ModelError
            With HC2 or HC3, when a row has leverage 1, because a coefficient describes this row
            alone. With HC1 or "cluster", when there are no degrees of freedom. With "cluster", when
            there is only one group. For an unknown `cov_type`.

        References
        ----------
        MacKinnon & White (1985), Journal of Econometrics 29, eq. 12 (HC3).
        Cameron & Miller (2015), A practitioner's guide to cluster-robust inference, Journal of
        Human Resources 50, eq. 10-12.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(0, 3, 50)
        >>> y = 2 * x + x * rng.normal(size=50)
        >>> LinearGaussian().fit(x[:, None], y).robust_standard_errors(x[:, None], y).shape
        (2,)
        """
        return self._robust(X, y, sample_weight, cov_type, groups).errors(self)

    def _robust(
        self, X: ArrayLike, y: ArrayLike, sample_weight: Any, cov_type: str, groups: Any
    ) -> Robust:
        """Return what the rows of the fit say of the coefficients' covariance."""
        if not isinstance(cov_type, str) or cov_type not in COV_TYPES[1:]:
            names = ", ".join(map(repr, COV_TYPES[1:]))
            raise ModelError(f"cov_type must be one of {names}; got {cov_type!r}.")
        if (groups is None) == (cov_type == "cluster"):
            raise ModelError(
                'cov_type="cluster" needs groups=, one per row.'
                if groups is None
                else f'groups have no effect with cov_type={cov_type!r}: pass cov_type="cluster".'
            )
        whitened, residual = self._rows_of_fit(X, y, sample_weight)
        home = None if groups is None else homes_of(groups, self.n_samples_, sample_weight)
        return Robust(whitened, residual, cov_type, home, self.degrees_of_freedom_)

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
            The rows that the model was fitted to. Each draw takes as many whole rows as there are.
        n_draws : int
            1 or more.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        ndarray of shape (n_draws, p) or (n_draws, n_targets, p)
            In the order of `standard_errors_`: the intercept first, if there is one. nan, with a
            warning, for draws whose rows do not determine the coefficients.

        Raises
        ------
        DataError
            For rows that are not those of the fit.
        ModelError
            For an `n_draws` below 1, or when the fit had fewer rows than coefficients.

        Notes
        -----
        The result agrees to 9 digits or more with a loop of `fit(X[i], y[i])` where i =
        `rng.integers(n, size=n)`, but takes a fraction of the time: the rows are made orthonormal
        once, and one matrix product then gives the sums of all draws. The cost is O(n_draws n p^2).

        References
        ----------
        Freedman (1981), Bootstrapping regression models, Annals of Statistics 9 (its correlation
        model, which is valid for any variances).

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

    def summary(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        cov_type: str = "nonrobust",
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        level: float = 0.95,
        robust: ArrayLike | None = None,
    ) -> Summary:
        """Return a table of the fit to print: coefficients, standard errors, tests and intervals.

        Parameters
        ----------
        X, y, sample_weight
            The rows that the model was fitted to; only if `cov_type` is not "nonrobust".
        cov_type : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}
            Which standard errors, tests and intervals are shown: "nonrobust" assumes one noise
            variance for all rows; the others are those of `robust_standard_errors`.
        groups : array-like of shape (n_samples,)
            With cov_type="cluster": the group of each row.
        level : float
            Probability of the intervals.
        robust : array-like, optional
            What `robust_standard_errors` returned. The table then shows it as a further column.

        Returns
        -------
        Summary
            Text, which a notebook shows as a table; `to_frame()` has all digits.

        Raises
        ------
        DataError, ModelError
            As `robust_standard_errors`. Also for X without a robust `cov_type`, or a robust
            `cov_type` without X.

        Notes
        -----
        t and F have n - p degrees of freedom; with "cluster", one less than the number of groups. F
        tests all coefficients except the intercept together, with the covariance of `cov_type`.
        Adjusted R^2 is 1 - (1 - R^2) (n - 1) / (n - p), with n in place of n - 1 if there is no
        intercept. AIC and BIC count sigma^2 as a parameter.

        Examples
        --------
        >>> from ancestral import LinearGaussian
        >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.5, 7.0])
        >>> print(model.summary())
        LinearGaussian: y | x ~ N(w . x + b, sigma^2)
        4 rows, 1 independent column, 2 degrees of freedom, condition number 1
        ...
        """
        self._check_fitted()
        if cov_type == "nonrobust":
            if not all(given is None for given in (X, y, groups, sample_weight)):
                raise ModelError(
                    "X, y, sample_weight and groups have no effect with standard errors of one "
                    'noise variance: pass cov_type="HC3" or another robust one too, or none of '
                    "them. To change the level, pass level=."
                )
            return Summary(table_of_line(self, level, robust, None))
        if X is None or y is None:
            raise ModelError(
                f"cov_type={cov_type!r} needs the residuals: pass the rows of the fit too, "
                "summary(X, y, cov_type=...)."
            )
        found = self._robust(X, y, sample_weight, cov_type, groups)
        return Summary(table_of_line(self, level, robust, found))


def feature_name(model: Any, j: int) -> str:
    """Return what a message calls column j of X."""
    names = getattr(model, "feature_names_in_", None)
    return f"column {j}" if names is None else repr(str(names[j]))


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
