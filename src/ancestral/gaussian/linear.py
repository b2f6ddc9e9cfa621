"""Linear-Gaussian regression.

    y | x ~ N(w . x + b, sigma^2)

Maximum likelihood (Bishop PRML 3.1.1): (w, b) minimise the sum of squares, whatever sigma^2 is;
then sigma^2 is the mean squared residual (divisor n). Solved from Moments of [X, y] held as a
root R with R^T R the centred scatter: min |R_x w - R_y| by Householder QR, and b from the means,
so that neither squaring nor large means lose digits.
Symbols: w coef_, b intercept_, sigma^2 noise_variance_.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import check_integer, one_sample_message
from ancestral.base import ConditionalDensity, FromStatistics, MaximumLikelihood
from ancestral.errors import AncestralWarning, ModelError
from ancestral.statistics import Moments

EPS = float(np.finfo(np.float64).eps)


class LinearGaussian(MaximumLikelihood, FromStatistics, ConditionalDensity):
    """Linear regression with normal noise, by maximum likelihood.

    Parameters
    ----------
    fit_intercept : bool
        False forces the line through the origin.
    degree : int
        Each column enters as x, x^2, ..., x^degree (no products of columns).

    Attributes
    ----------
    coef_ : ndarray of shape (n_features * degree,)
        w: all first powers, then all squares, and so on.
    intercept_ : float
        b; 0.0 without intercept.
    noise_variance_ : float
        sigma^2 with divisor n: the maximum of the likelihood.
    residual_std_ : float
        The residual standard deviation with divisor n - p, p counting coefficients and intercept.
    standard_errors_ : ndarray of shape (p,)
        Of the intercept (first, where there is one) and of `coef_`, from `residual_std_`; nan for
        a coefficient that the data do not identify.
    log_likelihood_ : float
        Of the training data at the maximum, in nats; inf when sigma^2 is 0.
    rank_ : int
        Columns that are linearly independent.
    n_parameters_ : int
        rank_, the intercept, and sigma^2.

    Notes
    -----
    A column that repeats others exactly gets the coefficient 0, after a warning that names it;
    predictions and likelihood do not depend on that choice.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eq. 3.15 and 3.21.

    Examples
    --------
    >>> model = LinearGaussian().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.5])
    >>> model.coef_.round(3), round(model.intercept_, 3), round(model.noise_variance_, 4)
    (array([2.25]), 0.917, 0.0139)
    """

    def __init__(self, fit_intercept: bool = True, degree: int = 1) -> None:  # noqa: FBT001, FBT002 - as scikit-learn spells it
        self.fit_intercept = fit_intercept
        self.degree = degree

    # ---- fit --------------------------------------------------------------------------------

    def _statistics(self, X: NDArray, y: NDArray) -> Moments:  # type: ignore[override]
        return Moments.of(np.column_stack([self._features(X), y]), root=True)

    def _fit(self, X: NDArray, y: NDArray) -> None:
        self._solve(self._statistics(X, y))

    def _solve(self, statistics: Moments) -> None:
        n, p = statistics.count, statistics.n_features - 1
        _refuse_too_few_rows(n, p + self.fit_intercept)
        least = _least_squares(statistics, centred=self.fit_intercept)
        if least.total_y <= (EPS * abs(statistics.mean[-1])) ** 2 * n:
            raise ModelError(
                f"y is constant ({statistics.mean[-1]:g}): sigma^2 = 0 and the likelihood is "
                "unbounded. Give targets that vary."
            )
        self._warn_of_collinear(least.dependent)
        exact = least.is_exact
        if exact:
            warnings.warn(
                "the fit is exact (zero residual): sigma^2 = 0, so density, aic, bic and sample "
                "are refused; the coefficients stand.",
                AncestralWarning,
                stacklevel=5,
            )
        residual = 0.0 if exact else least.residual
        free = n - least.rank - self.fit_intercept
        self.coef_ = least.coef
        self.rank_ = least.rank
        self.noise_variance_ = residual / n
        self.residual_std_ = float(np.sqrt(residual / free)) if free else 0.0
        unit = np.sqrt(least.unit_variances)
        mean = statistics.mean[:-1]
        if self.fit_intercept:
            self.intercept_ = float(statistics.mean[-1] - mean @ least.coef)
            unit = np.concatenate([[np.sqrt(1 / n + least.leverage(mean))], unit])
        else:
            self.intercept_ = 0.0
        self.standard_errors_ = self.residual_std_ * unit
        with np.errstate(divide="ignore"):
            log_variance = float(np.log(self.noise_variance_))
        self.log_likelihood_ = -0.5 * n * (np.log(2 * np.pi) + log_variance + 1)

    def _warn_of_collinear(self, dependent: list[int]) -> None:
        """Warn once, naming the columns that the others already hold."""
        if not dependent:
            return
        names = ", ".join(self._column_name(j) for j in dependent[:8])
        more = ", ..." if len(dependent) > 8 else ""
        warnings.warn(
            f"exactly collinear with earlier columns{' and the intercept' * self.fit_intercept}: "
            f"{names}{more}. Their coefficients are set to 0; predictions and likelihood stand.",
            AncestralWarning,
            stacklevel=6,
        )

    def _column_name(self, j: int) -> str:
        """Return a feature's name, with its power."""
        power, column = divmod(j, self.n_features_in_)
        names = getattr(self, "feature_names_in_", None)
        name = f"column {column}" if names is None else repr(str(names[column]))
        return name if power == 0 else f"{name}^{power + 1}"

    # ---- use --------------------------------------------------------------------------------

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Identified coefficients, the intercept, and sigma^2."""
        return self.rank_ + bool(self.fit_intercept) + 1

    def _predict(self, X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = self._features(X) @ self.coef_ + self.intercept_
        return mean, np.full(len(X), np.sqrt(self.noise_variance_))

    def _features(self, X: NDArray) -> NDArray[np.float64]:
        """Return the columns x, x^2, ..., x^degree, shape (n, d * degree)."""
        degree = check_integer(self.degree, "degree", minimum=1)
        return X if degree == 1 else np.hstack([X**k for k in range(1, degree + 1)])

    def _refuse_zero_variance(self) -> None:
        if self.noise_variance_ == 0:
            raise ModelError(
                "sigma^2 = 0 (the fit was exact): the density is unbounded. "
                "Use predict, or fit to data that scatter about the line."
            )

    def _check_state(self) -> None:
        d = self.n_features_in_ * check_integer(self.degree, "degree", minimum=1)
        if self.coef_.shape != (d,) or not np.isfinite([*self.coef_, self.intercept_]).all():
            raise ValueError("coefficients must be finite, one per column")
        if not 0 <= self.noise_variance_ < np.inf:
            raise ValueError("the noise variance must be finite and not negative")


@dataclass(frozen=True)
class _LeastSquares:
    """Solution of min |R_x w - R_y| over the independent columns."""

    coef: NDArray[np.float64]  # (p,), 0 where dependent
    dependent: list[int]
    residual: float  # sum of squared residuals
    total_y: float  # sum of squares of (centred) y
    is_exact: bool  # the residual is rounding alone
    kept: NDArray[np.intp]
    inverse_root: NDArray[np.float64]  # T with T T^T = (R_x^T R_x)^-1 over kept columns

    @property
    def rank(self) -> int:
        return len(self.kept)

    @property
    def unit_variances(self) -> NDArray[np.float64]:
        """Var(w_j) / sigma^2, nan where not identified; shape (p,)."""
        variances = np.full(len(self.coef), np.nan)
        variances[self.kept] = (self.inverse_root**2).sum(axis=1)
        return variances

    def leverage(self, mean: NDArray[np.float64]) -> float:
        """Return mean^T (R_x^T R_x)^-1 mean over the kept columns."""
        return float(((mean[self.kept] @ self.inverse_root) ** 2).sum())


def _least_squares(statistics: Moments, *, centred: bool) -> _LeastSquares:
    """Solve the least-squares problem of a root of [X, y] by column-scaled QR."""
    root = statistics.root
    if root is None:  # a scatter was merged in: its Cholesky-like root by eigenvectors
        values, U = np.linalg.eigh(statistics.as_scatter())
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * U.T
    if not centred:
        root = np.vstack([root, np.sqrt(statistics.count) * statistics.mean])
    A, target = root[:, :-1], root[:, -1]
    size = np.sqrt(np.einsum("ij,ij->j", A, A))
    # A column that is constant up to rounding is a multiple of the intercept.
    floor = 8 * EPS * np.sqrt(statistics.count) * np.abs(statistics.mean[:-1]) * centred
    scale = np.where(size > floor, size, 0.0)
    kept = _independent(A, scale)
    coef = np.zeros(A.shape[1])
    Q, T = np.linalg.qr(A[:, kept] / scale[kept])
    solution = np.linalg.solve(T, Q.T @ target)  # T is triangular
    coef[kept] = solution / scale[kept]
    misfit = target - A @ coef
    residual = float(misfit @ misfit)
    rms = np.sqrt(statistics.mean**2 + np.einsum("ij,ij->j", root, root) / statistics.count)
    rounding = 16 * EPS * (rms[-1] + np.abs(coef) @ rms[:-1])
    return _LeastSquares(
        coef=coef,
        dependent=[j for j in range(A.shape[1]) if j not in set(kept.tolist())],
        residual=residual,
        total_y=float(target @ target),
        is_exact=bool(np.sqrt(residual / statistics.count) <= rounding),
        kept=kept,
        inverse_root=np.linalg.inv(T) / scale[kept][:, None],
    )


def _independent(A: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the columns that are no combination of earlier ones, to rounding."""
    candidates = np.flatnonzero(scale)
    if not len(candidates):
        return candidates
    R = np.linalg.qr(A[:, candidates] / scale[candidates], mode="r")
    height = np.zeros(len(candidates))
    height[: len(R)] = np.abs(np.diag(R))
    return candidates[height > 32 * EPS * max(A.shape)]


def _refuse_too_few_rows(n: int, p: int) -> None:
    """Raise ModelError when coefficients outnumber rows."""
    if n < p or n < 2:
        raise ModelError(
            one_sample_message(n, max(p, 2), f"there are {p} coefficients to find")
            + " Drop columns or add rows."
        )
