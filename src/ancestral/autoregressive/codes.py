"""Values to the codes of their levels: all columns at once, where levels are whole numbers.

Numbers are looked up in one table over the range of each column's levels, or are their own codes;
short texts are packed into numbers first; objects are looked up one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import EXACT
from ancestral._numerics.packing import Packing
from ancestral.autoregressive import costs

MISSING = -1
LEVELS = (bool, np.bool_, int, np.integer, float, np.floating, str)


class Coding:
    """How values become level codes, for all columns at once where levels are whole numbers.

    Parameters
    ----------
    categories : list of ndarray
        The levels of each column, in any order.
    """

    def __init__(self, categories: list[NDArray]) -> None:
        self.categories = categories

    @cached_property
    def _orders(self) -> dict[int, NDArray[np.intp]]:
        """The order of a column's levels from low to high, where they are declared in another."""
        return {
            j: np.argsort(known)
            for j, known in enumerate(self.categories)
            if known.dtype.kind in "biuU" and not (known[1:] > known[:-1]).all()
        }

    @cached_property
    def _sorted(self) -> list[NDArray]:
        """The levels of each column from low to high; objects as they are."""
        orders = self._orders
        return [
            known[orders[j]] if j in orders else known for j, known in enumerate(self.categories)
        ]

    @cached_property
    def is_shared(self) -> bool:
        """Whether all columns have the same levels."""
        first = self.categories[0]
        return all(
            known is first or (known.dtype == first.dtype and np.array_equal(known, first))
            for known in self.categories
        )

    @cached_property
    def _numbers(self) -> Places | None:
        """Where levels stand among numbers; None unless all are numbers that float64 holds."""
        for known in self._sorted:
            if known.dtype.kind not in "biu":
                return None
            if max(abs(int(known[0])), abs(int(known[-1]))) > EXACT:
                return None
        return Places.of([known.astype(np.int64) for known in self._sorted])

    @cached_property
    def _packing(self) -> Packing | None:
        """The packing of all levels, where they are short texts of numpy's."""
        kinds = {known.dtype.kind for known in self.categories}
        return Packing.of(self.categories) if kinds == {"U"} else None

    @cached_property
    def _texts(self) -> Places | None:
        """Where levels stand among packed texts."""
        packing = self._packing
        if packing is None:
            return None
        return Places.of([packing.packed(known) for known in self._sorted])

    @cached_property
    def _place_of(self) -> list[dict[Any, int]]:
        """Each level's code by its value, column by column."""
        if self.is_shared:
            one = {level: code for code, level in enumerate(self.categories[0].tolist())}
            return [one] * len(self.categories)
        return [
            {level: code for code, level in enumerate(known.tolist())} for known in self.categories
        ]

    def codes(self, X: NDArray) -> tuple[NDArray[np.intp], bool]:
        """Return the codes of X, MISSING where a value is no level; and whether none is.

        Text is no number, and no integer is rounded on the way.
        """
        if X.dtype.kind == "O":
            return self._codes_of_objects(X)
        codes, whole = self._places(X)
        if self._orders:
            codes = codes.copy()
        for j, order in self._orders.items():
            codes[:, j] = np.where(codes[:, j] == MISSING, MISSING, order[codes[:, j]])
        return codes, whole

    def _places(self, X: NDArray) -> tuple[NDArray[np.intp], bool]:
        """Return the places of numbers or texts among sorted levels, MISSING where none."""
        kind = X.dtype.kind
        if kind in "bif" or (kind == "u" and X.dtype.itemsize < 8):
            if (numbers := self._numbers) is not None:
                whole = truncated(X)
                return numbers.codes(whole, whole != X if kind == "f" else None)
        elif kind == "U" and (packing := self._packing) and (texts := self._texts):
            return texts.codes(packing.packed(X), None)
        codes = np.empty(X.shape, np.intp)
        for j, known in enumerate(self._sorted):
            codes[:, j] = _codes(X[:, j], known)
        return codes, bool((codes != MISSING).all())

    def _codes_of_objects(self, X: NDArray) -> tuple[NDArray[np.intp], bool]:
        """Return the codes of objects, column by column unless the columns' levels are the same."""
        try:
            if self.is_shared:
                get = self._place_of[0].__getitem__
                return np.fromiter(map(get, X.ravel().tolist()), np.intp, X.size).reshape(
                    X.shape
                ), True
            codes = np.empty(X.shape, np.intp)
            for j, place_of in enumerate(self._place_of):
                column = map(place_of.__getitem__, X[:, j].tolist())
                codes[:, j] = np.fromiter(column, np.intp, len(X))
            return codes, True
        except (KeyError, TypeError):  # of what is no level, or has no hash
            pass
        codes = np.empty(X.shape, np.intp)
        for j, place_of in enumerate(self._place_of):
            codes[:, j] = _found_in(place_of, X[:, j].tolist())
        return codes, bool((codes != MISSING).all())


@dataclass(frozen=True)
class Places:
    """Where the whole numbers of each column's levels stand.

    Parameters
    ----------
    known : list of ndarray
        The sorted levels of each column.
    low, spans : ndarray of shape (d,)
        The lowest level, and how many numbers lie from there to the highest.
    table : ndarray, optional
        The code of each of these numbers, column after column, MISSING where it is no level; none
        where every number is one, or where they are too many.
    """

    known: list[NDArray[np.int64]]
    low: NDArray[np.int64] | None
    spans: NDArray[np.uint64]
    table: NDArray[np.intp] | None
    start: NDArray[np.intp]
    is_dense: bool

    @classmethod
    def of(cls, known: list[NDArray[np.int64]]) -> Places:
        low = np.array([levels[0] for levels in known])
        spans = [int(levels[-1]) - int(levels[0]) + 1 for levels in known]
        start = np.cumsum([0, *spans[:-1]]) if sum(spans) < 1 << 62 else np.zeros(len(known), int)
        table, dense = None, spans == [len(levels) for levels in known]
        if not dense and costs.levels_by_table(sum(spans), 0):
            table = np.full(sum(spans), MISSING)
            for first, levels in zip(start.tolist(), known):
                table[first + levels - levels[0]] = np.arange(len(levels))
        sizes = np.array(spans, np.uint64)
        same = sizes[:1] if (sizes == sizes[0]).all() else sizes
        return cls(known, low if low.any() else None, same, table, start, dense)

    def codes(
        self, X: NDArray[np.int64], odd: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.intp], bool]:
        """Return the codes of numbers, MISSING where they are no level, or odd; whether none is."""
        if not (self.is_dense or self.table is not None):
            return self._searched(X, odd)
        from_low = X if self.low is None else X - self.low  # may wrap around: then far outside
        outside = from_low.view(np.uint64) >= self.spans
        if odd is not None:
            outside |= odd
        whole = not outside.any()
        if self.table is not None:
            from_low = from_low if whole else np.where(outside, 0, from_low)
            codes = self.table.take(from_low + self.start)
            if not whole:
                codes[outside] = MISSING
            return codes, whole and not (codes == MISSING).any()
        if whole:
            return from_low, True
        return np.where(outside, MISSING, from_low), False

    def _searched(
        self, X: NDArray[np.int64], odd: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.intp], bool]:
        codes = np.empty(X.shape, np.intp)
        for j, known in enumerate(self.known):
            codes[:, j] = _sought(X[:, j], known)
        if odd is not None:
            codes[odd] = MISSING
        return codes, bool((codes != MISSING).all())


def _codes(column: NDArray, known: NDArray) -> NDArray[np.intp]:
    """Return the places of a column's values among sorted levels, MISSING where they have none.

    Text is no number, and no integer is rounded on the way.
    """
    if known.dtype.kind in "biuU" and not (known[1:] > known[:-1]).all():  # declared in any order
        order = np.argsort(known)
        place = _codes(column, known[order])
        return np.where(place == MISSING, MISSING, order[place])
    alike = {column.dtype.kind, known.dtype.kind} <= set("biuf")
    if alike and column.dtype != known.dtype:
        alike = max(abs(int(known[0])), abs(int(known[-1]))) <= EXACT
    if alike or column.dtype.kind == known.dtype.kind == "U":
        return _sought(column, known)
    place_of = {level: code for code, level in enumerate(known.tolist())}
    return _found_in(place_of, column.tolist())


def _sought(column: NDArray, known: NDArray) -> NDArray[np.intp]:
    """Return the places of values among sorted levels, MISSING where they have none."""
    place = np.minimum(np.searchsorted(known, column), len(known) - 1)
    return np.where(known[place] == column, place, MISSING)


def _found_in(place_of: dict[Any, int], values: list[Any]) -> NDArray[np.intp]:
    """Return the code of each value, MISSING where it is no level."""
    try:
        found = [place_of.get(value, MISSING) for value in values]
    except TypeError:  # lists, and other things without a hash
        found = [place_of.get(v, MISSING) if isinstance(v, LEVELS) else MISSING for v in values]
    return np.array(found, np.intp)


def truncated(X: NDArray) -> NDArray[np.int64]:
    """Return numbers without their fractions; what 64 bits do not hold becomes another number."""
    if X.dtype.kind != "f":
        return X.astype(np.int64, copy=False)
    with np.errstate(invalid="ignore"):
        return X.astype(np.int64, copy=False)
