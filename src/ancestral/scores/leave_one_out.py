"""Each row scored by a model that was fitted to all the others.

    code length of row i = -log2 p(x_i | all rows but i), in bits,

beside the code lengths of three plain models, so that what only memorises is seen to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._printed import Printed, Table, one_table
from ancestral.autoregressive.levels import learn_categories
from ancestral.errors import DataError
from ancestral.scores.floors import rows_of_levels
from ancestral.statistics import distinct_rows


@dataclass(frozen=True, repr=False)
class LeaveOneOut(Printed):
    """Bits that a left-out row needs, for each model and each baseline.

    Parameters
    ----------
    names : list of str
        The models as given, then the baselines "uniform", "independent" and "smoothed tables".
    bits : ndarray of shape (n_names,)
        Mean code length -log2 p of a left-out row.
    standard_errors : ndarray of shape (n_names,), in bits
    rows : ndarray of shape (n_names, n_samples)
        The code length of each row, in bits.

    Examples
    --------
    >>> found = leave_one_out({}, np.eye(8, dtype=int))
    >>> len(found.to_frame()) > 0
    True
    """

    names: list[str]
    bits: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    rows: NDArray[np.float64]

    def _table(self) -> Table:
        columns = {"model": self.names, "bits": self.bits, "std. error": self.standard_errors}
        return one_table(columns, "mean code length of a row that was left out", self.verdict)

    @property
    def verdict(self) -> str:
        """Say in one sentence what the code lengths show, at two standard errors."""
        n_models = len(self.names) - len(BASELINES)
        uniform = self.names.index("uniform")
        best = int(np.argmin(self.bits))
        if not self._is_shorter(best, uniform):
            return (
                f"Nothing generalises: a left-out row takes {self.bits[best]:.2f} bits by "
                f"{self.names[best]!r}, no clear gain on {self.bits[uniform]:.2f} by guessing."
            )
        learnt = n_models + int(np.argmin(self.bits[n_models:]))
        if n_models == 0:
            return (
                f"{self.names[learnt]!r} generalises: {self.bits[learnt]:.2f} bits for a left-out "
                f"row, guessing {self.bits[uniform]:.2f}."
            )
        model = int(np.argmin(self.bits[:n_models]))
        if self._is_shorter(model, learnt):
            return (
                f"{self.names[model]!r} generalises: {self.bits[model]:.2f} bits for a left-out "
                f"row, against {self.bits[learnt]:.2f} by {self.names[learnt]!r}."
            )
        return (
            f"No model beats the baselines, of which {self.names[learnt]!r} takes the least, "
            f"{self.bits[learnt]:.2f} bits for a left-out row; guessing takes "
            f"{self.bits[uniform]:.2f}."
        )

    def _is_shorter(self, one: int, other: int) -> bool:
        """Tell whether one code is shorter than another by two standard errors, row by row."""
        if not np.isfinite(self.rows[one]).all():
            return False
        gain = self.rows[other] - self.rows[one]
        if np.isinf(gain).any():
            return True
        return bool(gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(len(gain)))


def leave_one_out(
    models: Mapping[str, Any], X: ArrayLike, *, n_jobs: int | None = None
) -> LeaveOneOut:
    """Return the bits that each row needs under models fitted to all other rows.

    Parameters
    ----------
    models : dict of name to model of discrete rows
        Each model is cloned and fitted once for each distinct row. An empty dict gives the
        baselines alone.
    X : array-like of shape (n_samples, n_features)
        Integers, booleans or text; two rows or more.
    n_jobs : int, optional
        The number of fits at the same time, by joblib.

    Returns
    -------
    LeaveOneOut
        The models and three baselines. "uniform": every combination of the levels in X has the same
        probability. "independent": each variable by its own counts plus 1/2 for each level.
        "smoothed tables": each variable given all variables before it, by counts plus 1/2.

    Raises
    ------
    DataError
        For fewer than two rows, for data that are no table, or for values that cannot be levels.

    Notes
    -----
    A row with a level that no other row has needs infinitely many bits under a model. The baselines
    know all levels, so their bits are finite.

    References
    ----------
    Dawid (1984), Statistical theory: the prequential approach, JRSS A 147(2).

    Examples
    --------
    >>> leave_one_out({}, np.eye(8, dtype=int)).bits.round(2)
    array([8.  , 6.1 , 8.21])
    """
    import joblib

    rows = rows_of_levels(X)
    n = len(rows)
    if n < 2:
        raise DataError(f"X has {n} row: two or more are needed to leave one out.")
    categories = learn_categories(rows)
    levels = np.stack(
        [np.searchsorted(known, rows[:, j]) for j, known in enumerate(categories)], axis=1
    )
    _, place = distinct_rows(levels)
    _, firsts = np.unique(place, return_index=True)  # without either of two equal rows, the same
    lengths = [
        np.array(
            joblib.Parallel(n_jobs=n_jobs)(
                joblib.delayed(_left_out_log_density)(model, rows, i) for i in firsts
            )
        )[place]
        for model in models.values()
    ]
    n_levels = [len(known) for known in categories]
    lengths += [baseline(levels, n_levels) for baseline in BASELINES.values()]
    bits = -np.stack(lengths) / np.log(2) + 0.0  # no minus zero
    with np.errstate(invalid="ignore"):  # inf - inf where a model finds a row impossible
        errors = bits.std(axis=1, ddof=1) / np.sqrt(n)
    return LeaveOneOut([*models, *BASELINES], bits.mean(axis=1), errors, bits)


def _left_out_log_density(model: Any, rows: NDArray, i: int) -> float:
    """Return log p of row i by a clone of the model fitted to the others."""
    from sklearn.base import clone

    others = np.delete(rows, i, axis=0)
    fitted = clone(model).fit(others)
    for known, value in zip(fitted.categories_, rows[i]):
        if value not in known:
            return -np.inf
    return float(fitted.log_density(rows[i : i + 1])[0])


def _uniform(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float64]:
    return np.full(len(levels), -np.log(n_levels).sum())


def _independent(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float64]:
    """Return each row's log p by the margins of the others, half a count added to each level."""
    total = np.zeros(len(levels))
    for j, k in enumerate(n_levels):
        count = np.bincount(levels[:, j], minlength=k)[levels[:, j]] - 1
        total += np.log((count + HALF) / (len(levels) - 1 + HALF * k))
    return total


def _smoothed_tables(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float64]:
    """Return each row's log p by the others' counts of prefixes, half a count added."""
    total = np.zeros(len(levels))
    prefix, n_same = np.zeros(len(levels), np.intp), np.full(len(levels), len(levels))
    for j, k in enumerate(n_levels):
        _, prefix, counts = np.unique(
            prefix * k + levels[:, j], return_inverse=True, return_counts=True
        )
        longer = counts[prefix]
        total += np.log((longer - 1 + HALF) / (n_same - 1 + HALF * k))
        n_same = longer
    return total


HALF = 0.5  # Krichevsky & Trofimov's addition to every count
BASELINES = {
    "uniform": _uniform,
    "independent": _independent,
    "smoothed tables": _smoothed_tables,
}
