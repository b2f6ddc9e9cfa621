"""Conditional probability tables as data: the rows of reachable prefixes, to and from dense arrays.

    table_i[x_1, ..., x_{i-1}, :] = p(x_i | x_1 ... x_{i-1})

Of the K_1 x ... x K_i cells of the i-th dense table almost all belong to prefixes of probability
zero. `Tables` keeps one row per *reachable* prefix (context), and reads no other. What is here
needs NumPy alone: reading tables from a file loads no model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import as_numbers
from ancestral.errors import DataError, DataTypeError, ModelError

MAX_DENSE_BYTES = 4 << 30
SUM_TOLERANCE = 1e-6
logger = logging.getLogger("ancestral")


@dataclass(frozen=True, eq=False, repr=False)
class Tables:
    """Conditional probability tables, stored for reachable contexts only.

    Parameters
    ----------
    contexts : tuple of ndarray
        The i-th, of shape (n_i, i), holds the contexts: the prefixes x_1 ... x_i of positive
        probability, in lexicographic order, as levels 0, 1, ... The first has shape (1, 0).
    probabilities : tuple of ndarray
        The i-th, of shape (n_i, K_i): row r is `p(x_{i+1} = level | contexts[i][r])`.

    Examples
    --------
    >>> Tables.from_dense([[0.9, 0.1], [[0.9, 0.1], [0.1, 0.9]]])
    Tables(2 variables, 3 reachable contexts)
    """

    contexts: tuple[NDArray[np.intp], ...]
    probabilities: tuple[NDArray[np.float64], ...]

    def __repr__(self) -> str:
        n_contexts = sum(len(table) for table in self.probabilities)
        return f"Tables({len(self.probabilities)} variables, {n_contexts} reachable contexts)"

    @classmethod
    def from_dense(cls, tables: Sequence[ArrayLike]) -> Tables:
        """Keep the reachable rows of dense tables.

        Parameters
        ----------
        tables : list of array-like
            The i-th of shape (K_1, ..., K_i); its last axis sums to one wherever the prefix is
            reachable. Rows of unreachable prefixes are never read and may be NaN.

        Raises
        ------
        DataError
            For a table of the wrong shape, or a reachable row that holds NaN or a negative number,
            or that does not sum to one. Sums that differ from one by at most 1e-6 are rescaled.

        Returns
        -------
        Tables

        Examples
        --------
        >>> tables = Tables.from_dense([[1.0, 0.0], [[0.5, 0.5], [np.nan, np.nan]]])
        >>> tables.n_contexts, tables.n_dense_cells  # the prefix x_1 = 1 cannot occur
        (2, 6)
        """
        if not isinstance(tables, Sequence | np.ndarray) or isinstance(tables, str):
            raise DataTypeError(
                f"tables must be a list of arrays, one per variable; got {type(tables).__name__}."
            )
        if len(tables) == 0:
            raise DataError("the list of tables is empty: give one table per variable.")
        contexts: list[NDArray[np.intp]] = []
        probabilities: list[NDArray[np.float64]] = []
        prefixes = np.zeros((1, 0), np.intp)
        levels: tuple[int, ...] = ()
        scaled: list[int] = []
        for i, given in enumerate(tables):
            table = as_numbers(given, name=f"table {i}")
            if table.ndim != i + 1 or table.shape[:-1] != levels:
                wanted = "".join(f"{k}, " for k in levels)
                raise DataError(
                    f"table {i} has shape {table.shape}; expected ({wanted}K): one axis for each "
                    "earlier variable, then its own levels. Are tables missing or out of order?"
                )
            rows = table[tuple(prefixes.T)].reshape(len(prefixes), -1).astype(np.float64)
            checked = checked_rows(rows, i, prefixes)
            if not np.array_equal(checked, rows):
                scaled.append(i)
            contexts.append(prefixes)
            probabilities.append(checked)
            prefixes = extend_prefixes(prefixes, checked)
            levels = table.shape
        if scaled:
            logger.info(
                "%d of %d tables had rows that sum to one only nearly, the first table %d: scaled.",
                len(scaled),
                len(tables),
                scaled[0],
            )
        return cls(tuple(contexts), tuple(probabilities))

    def to_dense(self) -> list[NDArray[np.float64]]:
        """Return the dense tables, with NaN in the rows of unreachable prefixes.

        Raises
        ------
        ModelError
            When they would take more than 4 GiB.

        Returns
        -------
        list of ndarray
            The i-th of shape (K_1, ..., K_i).

        Examples
        --------
        >>> Tables.from_dense([[1.0, 0.0], [[0.5, 0.5], [np.nan, np.nan]]]).to_dense()[1]
        array([[0.5, 0.5],
               [nan, nan]])
        """
        if 8 * self.n_dense_cells > MAX_DENSE_BYTES:
            raise ModelError(
                f"the dense tables have {self.n_dense_cells} cells, "
                f"{8 * self.n_dense_cells / 2**30:.1f} GiB; the limit is 4 GiB. "
                "Use contexts and probabilities, which hold only the reachable rows."
            )
        dense = []
        for i, (prefixes, rows) in enumerate(zip(self.contexts, self.probabilities)):
            table = np.full(self.n_levels[: i + 1], np.nan)
            table[tuple(prefixes.T)] = rows if i else rows[0]
            dense.append(table)
        return dense

    @property
    def n_levels(self) -> tuple[int, ...]:
        """Number of levels of each variable."""
        return tuple(rows.shape[1] for rows in self.probabilities)

    @property
    def n_contexts(self) -> int:
        """Number of reachable prefixes, the empty one included."""
        return sum(len(rows) for rows in self.probabilities)

    @property
    def n_dense_cells(self) -> int:
        """Number of cells of the dense tables."""
        cells, total = 1, 0
        for k in self.n_levels:
            cells *= k
            total += cells
        return total


def checked_rows(
    rows: NDArray[np.float64], table: int, prefixes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return reachable rows that sum to one; DataError at the first that is no distribution."""
    total = rows.sum(axis=1)
    wrong = ~((rows >= 0).all(axis=1) & (np.abs(total - 1) <= SUM_TOLERANCE))
    if wrong.any():
        r = int(np.flatnonzero(wrong)[0])
        where = f"table {table}, prefix {tuple(int(x) for x in prefixes[r])}"
        raise DataError(f"{where}: {_wrong_row(rows[r], float(total[r]))}")
    # Rounding of the last bit is left alone, so that exact tables stay exact.
    return np.where(np.abs(total - 1) < 1e-12, 1.0, 1 / total)[:, None] * rows


def _wrong_row(row: NDArray[np.float64], total: float) -> str:
    """Word what is wrong with the probabilities of a prefix that can be reached, and the mend."""
    shown = ", ".join(f"{p:g}" for p in row[:4]) + (", ..." if len(row) > 4 else "")
    odd = ~((row >= 0) & np.isfinite(row))
    if odd.any():
        level = int(np.argmax(odd))
        return (
            f"level {level} of the row [{shown}] is {row[level]:g}; a prefix that can be reached "
            "needs probabilities. Mend the row, or make its prefix impossible."
        )
    mend = "Divide it by its sum." if total else "Mend the row, or make its prefix impossible."
    return f"the row [{shown}] sums to {total:.9g}, and probabilities sum to 1. {mend}"


def extend_prefixes(prefixes: NDArray[np.intp], rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the prefixes, one value longer, that have positive probability, in order."""
    parent, level = np.nonzero(rows)
    return np.column_stack([prefixes[parent], level])
