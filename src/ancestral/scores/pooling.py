"""Estimates from several imputed tables as one estimate, by Rubin's rules.

    Q = mean of Q_k,   U = mean of s_k^2,   B = sum (Q_k - Q)^2 / (m - 1)
    T = U + (1 + 1/m) B,   (estimate - Q) / sqrt(T) ~ t with nu degrees of freedom

for k = 1 .. m tables, each analysed as if it were complete: Q_k an estimate, s_k its standard
error. With lambda = (1 + 1/m) B / T the share of the variance that the gaps brought, and nu_0 the
degrees of freedom of the analysis of a complete table (Barnard & Rubin 1999):

    nu = 1 / (1/nu_m + 1/nu_o),   nu_m = (m - 1) / lambda^2
    nu_o = (nu_0 + 1) / (nu_0 + 3) nu_0 (1 - lambda)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.columns import names_of
from ancestral._checks.numbers import as_numbers, check_level, refuse_non_finite
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import DataError, ModelError

_MEND = "an analysis that found no number is not pooled: mend it, or leave its table out"


@dataclass(frozen=True, repr=False)
class Pooled(Printed):
    """Estimates pooled over imputed tables, shown as a table; `to_frame()` returns a dataframe.

    Parameters
    ----------
    names : list of str
    estimates : ndarray of shape (k,)
        The means over the tables.
    standard_errors : ndarray of shape (k,)
        Square roots of the total variances.
    degrees_of_freedom : ndarray of shape (k,)
        Degrees of freedom of Student's t; inf if the estimates do not differ between tables and
        `residual_df` was not given.
    low, high : ndarray of shape (k,)
        The ends of the intervals.
    within, between : ndarray of shape (k,)
        Mean variance of an estimate on a complete table, and the variance between tables.
    missing_information : ndarray of shape (k,)
        The fraction of the information about each estimate that is lost by the gaps: (r + 2 / (nu +
        3)) / (r + 1) with r = (1 + 1/m) B / U, for m tables, B = between, U = within and nu =
        degrees_of_freedom.
    level : float
        The probability of the intervals.
    n_tables : int

    Examples
    --------
    >>> pooled = pool([[1.0], [1.2]], [[0.1], [0.1]])
    >>> pooled.estimates
    array([1.1])
    """

    names: list[str]
    estimates: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    degrees_of_freedom: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    within: NDArray[np.float64]
    between: NDArray[np.float64]
    missing_information: NDArray[np.float64]
    level: float
    n_tables: int

    def _table(self) -> Table:
        columns = {
            "": self.names,
            "estimate": self.estimates,
            "std. error": self.standard_errors,
            "df": self.degrees_of_freedom,
            "low": self.low,
            "high": self.high,
            "missing inf.": self.missing_information,
        }
        above = f"pooled over {self.n_tables} tables; low and high hold {100 * self.level:g}%"
        return one_table(columns, above)


def pool(
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    *,
    residual_df: float | None = None,
    level: float = 0.95,
) -> Pooled:
    """Pool estimates from imputed tables by Rubin's rules.

    Draw several tables with `impute_draws`, analyse each of them as if it were complete, and pass
    the results to `pool`. Its standard errors include the uncertainty from the gaps. If the gaps
    are filled once, by `impute`, standard errors are too small.

    Parameters
    ----------
    estimates : array-like or dataframe of shape (n_tables,) or (n_tables, n_estimates)
        The estimates from each table; two tables or more, often twenty.
    standard_errors : array-like of the same shape
        The standard error of each estimate on its table, above 0.
    residual_df : float, optional
        Degrees of freedom of the analysis of one complete table, such as n - p of a regression. If
        not given, the table is assumed to be large, and intervals from small tables are too short.
    level : float
        The probability of the intervals.

    Returns
    -------
    Pooled

    Raises
    ------
    DataError
        For fewer than two tables, for estimates and standard errors of different shapes, for
        numbers that are not finite, and for standard errors of 0 or less.
    ModelError
        For a level outside 0 to 1, or `residual_df` of zero or less.

    Notes
    -----
    The rules assume that estimates from a complete table are close to normally distributed. So pool
    the logarithm of an odds ratio or of a variance, or Fisher's z of a correlation, and transform
    the result back.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, sections 3.1 and 3.3.
    Barnard & Rubin (1999), Small-sample degrees of freedom with multiple imputation, Biometrika
    86(4), eq. 3.

    Examples
    --------
    >>> pool([10.2, 9.7, 10.4], [0.50, 0.52, 0.49], residual_df=98)
    pooled over 3 tables; low and high hold 95%
    <BLANKLINE>
       estimate  std. error      df     low    high  missing inf.
    0      10.1     0.65332  10.002  8.6443  11.556       0.49745
    """
    (Q, names), (S, others) = (
        _by_table(estimates, "estimates"),
        _by_table(standard_errors, "standard_errors"),
    )
    if names is not None and others is not None and names != others:
        raise DataError(
            f"estimates are of {', '.join(names)}, standard_errors of {', '.join(others)}: give "
            "both in the same order, under the same names."
        )
    if Q.ndim not in (1, 2) or Q.shape != S.shape:
        raise DataError(
            f"estimates has shape {Q.shape} and standard_errors {S.shape}: both are one row for "
            "each imputed table, (n_tables,) or (n_tables, n_estimates)."
        )
    m = len(Q)
    if m < 2:
        raise DataError(
            f"estimates of {m} table{'s' * (m != 1)}: the spread between tables is needed. Draw "
            "two or more, as by impute_draws(X, 20)."
        )
    Q, S = Q.reshape(m, -1), S.reshape(m, -1)
    refuse_non_finite(Q, name="estimates", mend=_MEND)
    refuse_non_finite(S, name="standard_errors", mend=_MEND)
    if (S <= 0).any():
        k, j = (int(i) for i in np.argwhere(S <= 0)[0])
        raise DataError(
            f"standard_errors holds {S[k, j]:g} for table {k}, estimate {j}: it must be above "
            "zero. An estimate without its own standard error cannot be pooled by these rules."
        )
    nu_0 = np.inf if residual_df is None else _positive(residual_df)
    return _pooled(Q, S, names or [str(j) for j in range(Q.shape[1])], nu_0, check_level(level))


def _by_table(values: Any, name: str) -> tuple[NDArray[np.float64], list[str] | None]:
    """Return one row of numbers for each table, and their names where they have any."""
    names = names_of(values)
    if isinstance(values, list | tuple) and values:
        indices = [list(one.index) for one in values if hasattr(one, "iloc")]
        if len(indices) == len(values):  # series, as of coefficients
            if any(index != indices[0] for index in indices):
                raise DataError(
                    f"{name} are of other things from table to table: {indices[0]} of the first. "
                    "Give the same estimates of each, in the same order."
                )
            names = indices[0]
    rows = as_numbers(values, name=name).astype(np.float64)
    named = names is not None and len(names) == (rows.shape[1] if rows.ndim == 2 else 1)
    return rows, [str(one) for one in names] if named and names is not None else None


def _positive(residual_df: Any) -> float:
    value = as_numbers(residual_df, name="residual_df")
    if value.ndim or not value > 0:
        raise ModelError(f"residual_df must be a number above 0; got {residual_df!r}.")
    return float(value)


def _pooled(
    Q: NDArray[np.float64], S: NDArray[np.float64], names: list[str], nu_0: float, level: float
) -> Pooled:
    from scipy.stats import t as student

    m = len(Q)
    unit = S.max(axis=0)  # squares of what is measured in it neither overflow nor vanish
    within = ((S / unit) ** 2).mean(axis=0)
    mean = Q[0] + (Q - Q[0]).mean(axis=0)  # exact where all tables agree
    between = (((Q - mean) / unit) ** 2).sum(axis=0) / (m - 1)
    added = (1 + 1 / m) * between
    total = within + added
    share, increase = added / total, added / within
    left = within / total  # 1 - share, which cancels
    nu_o = nu_0 if np.isinf(nu_0) else (nu_0 + 1) / (nu_0 + 3) * nu_0
    with np.errstate(divide="ignore"):
        nu = 1 / (share**2 / (m - 1) + 1 / (nu_o * left))  # inf where tables are large and agree
    error = np.sqrt(total) * unit
    half = student.ppf((1 + level) / 2, nu) * error
    with np.errstate(over="ignore", under="ignore"):  # of variances; the errors are held
        variances = within * unit**2, between * unit**2
    return Pooled(
        names=names,
        estimates=mean,
        standard_errors=error,
        degrees_of_freedom=nu,
        low=mean - half,
        high=mean + half,
        within=variances[0],
        between=variances[1],
        missing_information=(increase + 2 / (nu + 3)) / (increase + 1),
        level=level,
        n_tables=m,
    )
