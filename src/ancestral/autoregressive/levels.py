"""Rows of discrete values, and the levels behind them.

Every discrete model works with *levels*: integer codes 0 .. K_i - 1 into `categories_[i]`, the
sorted values of variable i that `fit` saw. Here values become levels and levels values, and what
is no level (a fraction, an unseen value) is named with its place.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral._tables import check_table
from ancestral._validation import describe_place, first_text
from ancestral.base import Density
from ancestral.errors import DataError

MISSING = -1
_LEVELS = (bool, np.bool_, int, np.integer, float, np.floating, str)
_BINARISE = "Binarise grey pixels with X >= 0.5."


class DiscreteDensity(Density):
    """A density over rows of discrete values.

    An author writes `_fit_levels(levels)` beside what a `Density` wants.

    Attributes
    ----------
    categories_ : list of ndarray
        The sorted levels of each variable. One that holds no other values than zeros and ones, or
        booleans, is binary, also where it is constant.
    """

    categories_: list[NDArray]
    n_features_in_: int
    _fields: frozenset[str] | None = None  # names of fitted values, where only they may be restored

    def _fit(self, X: NDArray) -> None:
        """Learn the levels, then the model."""
        X = whole_numbers(X)
        self.categories_ = learn_categories(X)
        self._fit_levels(self._encode(X))

    @abstractmethod
    def _fit_levels(self, levels: NDArray[np.intp]) -> None:
        """Fit to level codes of shape (n, d)."""

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        return check_table(self, X, reset=reset, missing=not reset, numeric=False)

    def _encode(self, X: NDArray, *, missing: bool = False, name: str = "X") -> NDArray[np.intp]:
        """Return the level codes of X, shape (n, d); MISSING where NaN is allowed and found."""
        codes = np.empty(X.shape, np.intp)
        for j, known in enumerate(self.categories_):
            column = X[:, j]
            gap = _is_missing(column) if missing else np.zeros(len(column), bool)
            filled = np.where(gap, known[0], column) if gap.any() else column
            filled = _comparable(filled, known, name)
            place = np.minimum(np.searchsorted(known, filled), len(known) - 1)
            wrong = known[place] != filled
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                pixel = _pixel(j, X.shape[1])
                where = f"{describe_place((i, j))}{pixel}"
                raise DataError(_unknown_level(X[i, j], where, known, name, image=bool(pixel)))
            codes[:, j] = np.where(gap, MISSING, place)
        return codes

    def _decode(self, levels: NDArray[np.intp]) -> NDArray:
        """Return the values behind level codes, in the common dtype of the categories."""
        first = self.categories_[0]
        if all(known is first for known in self.categories_):  # as binary tables have it
            return np.take(first, levels)
        dtypes = {known.dtype for known in self.categories_}
        dtype = dtypes.pop() if len(dtypes) == 1 else np.result_type(*self.categories_)
        values = np.empty(levels.shape, dtype)
        for j, known in enumerate(self.categories_):
            values[:, j] = known[levels[:, j]]
        return values

    def _check_state(self) -> None:
        self._refuse_unknown_values()
        if len(self.categories_) != self.n_features_in_:
            raise ValueError("one set of categories per variable is wanted")
        for known in self.categories_:
            if known.ndim != 1 or not len(known) or not (known[1:] > known[:-1]).all():
                raise ValueError("categories must be sorted and distinct")

    def _refuse_unknown_values(self) -> None:
        """Raise ValueError for a restored value that `fit` never sets."""
        if self._fields is None:
            return
        common = {
            "categories_",
            "n_features_in_",
            "feature_names_in_",
            *self.get_params(deep=False),
        }
        if unknown := {*vars(self)} - self._fields - common:
            raise ValueError(f"{min(unknown)!r} is no fitted value")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.positive_only = False
        return tags


def whole_numbers(X: NDArray) -> NDArray:
    """Return X with whole floats made integers; DataError at the first value that is no level."""
    _refuse_fractions(X)
    return X if X.dtype.kind in "bUSO" else X.astype(np.int64)


def learn_categories(X: NDArray) -> list[NDArray]:
    """Return each column's sorted levels; one of zeros and ones is binary, also where constant.

    A flag that is constant in the data, or a pixel, is still one that could be on or off.
    """
    binary = np.array([0, 1], X.dtype) if X.dtype.kind in "biu" else None  # one for all columns
    return [_levels_of(X[:, j], binary) for j in range(X.shape[1])]


def _levels_of(column: NDArray, binary: NDArray | None) -> NDArray:
    """Return a column's sorted levels."""
    if binary is not None:
        return binary if ((column == 0) | (column == 1)).all() else np.unique(column)
    known = np.unique(column)
    if known.dtype.kind == "O" and not isinstance(known[0], str) and known[0] in (0, 1):
        kind = type(known[0])
        if all(value in (0, 1) for value in known):
            known = np.array([kind(0), kind(1)], object)
    return known


def _refuse_fractions(X: NDArray) -> None:
    """Raise DataError at the first value that is no whole number of 64 bits."""
    if X.dtype.kind == "O":
        _refuse_odd_objects(X)
        return
    if X.dtype.kind == "f":
        wrong = np.floor(X) != X
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            raise DataError(
                f"X holds {X[i, j]:g} at {describe_place((i, j))}{_pixel(j, X.shape[1])}, which is "
                f"no whole number: levels are integers, booleans or text. {_BINARISE}"
            )
    if X.dtype.kind == "f" or X.dtype == np.uint64:
        wrong = (X >= 2.0**63) | (X < -(2.0**63))
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            raise DataError(_too_large(X[i, j], describe_place((i, j))))


def _refuse_odd_objects(X: NDArray) -> None:
    """Raise DataError at the first object that is no level, or of another kind than its column."""
    for (i, j), value in np.ndenumerate(X):
        where = describe_place((i, j))
        if value is None:
            raise DataError(f"X holds None (NaN) at {where}; drop or recode it.")
        if isinstance(value, float | np.floating) and not float(value).is_integer():
            seen = "NaN" if np.isnan(value) else f"{value:g}"
            raise DataError(
                f"X holds {seen} at {where}; levels are integers, booleans or text. "
                "Drop or recode it."
            )
        if isinstance(value, str) != isinstance(X[0, j], str):
            raise DataError(
                f"X holds {value!r} at {where} where row 0 holds {X[0, j]!r}: text and numbers "
                "cannot be ordered. Make each column of one kind."
            )
        if not isinstance(value, _LEVELS):
            raise DataError(
                f"X holds {value!r} at {where}, a {type(value).__name__}; levels are integers, "
                "booleans or text. Recode it."
            )
        if not isinstance(value, str) and not -(2**63) <= value < 2**63:
            raise DataError(_too_large(value, where))


def _too_large(value: Any, where: str) -> str:
    """Word the error for a whole number that 64 bits do not hold."""
    return (
        f"X holds {value!s} at {where}, which is no integer of 64 bits. "
        "Recode the levels, or give them as text."
    )


def _pixel(j: int, width: int) -> str:
    """Return where column j is in a square image, if the table can be of square images."""
    side = round(width**0.5)
    return f" (pixel at row {j // side}, column {j % side})" if side * side == width > 4 else ""


def _is_missing(column: NDArray) -> NDArray[np.bool_]:
    """Return where a column holds NaN or None."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "O":
        return np.array([v is None or (isinstance(v, float) and v != v) for v in column], bool)
    return np.zeros(len(column), bool)


def _comparable(column: NDArray, known: NDArray, name: str) -> NDArray:
    """Return a column in a dtype that can be sorted among the known levels."""
    objects = known.dtype.kind == "O"
    if known.dtype.kind in "US" or isinstance(known[0], str):
        alike = column.dtype.kind == known.dtype.kind and not objects
        return column if alike else column.astype(str)
    holds_text = column.dtype.kind not in "biuf"
    if objects and holds_text:  # else whole numbers beyond 2^53 would lose digits
        holds_text = any(isinstance(value, str) for value in column)
    if holds_text:
        try:
            return column.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"{name} holds {first_text(column)} where the levels are numbers, "
                f"such as {known[0]}."
            ) from None
    return column


def _unknown_level(value: Any, where: str, known: NDArray, name: str, *, image: bool) -> str:
    """Word the error for a level that was not seen in `fit`, of an image perhaps."""
    shown = ", ".join(str(k) for k in known[:6]) + (", ..." if len(known) > 6 else "")
    mend = "Recode it, or fit to rows that hold it."
    if known.dtype.kind in "biu" and np.array_equal(known, [0, 1]):
        if 0 < float(value) < 1:
            mend = _BINARISE
        elif image and 1 < float(value) < 256:
            mend = f"Binarise pixels of 0 to 255 with {name} > 127."
    return (
        f"{name} holds {value!s} at {where}, a level not seen in fit; "
        f"that column has the levels {shown}. {mend}"
    )
