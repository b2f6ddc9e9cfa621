"""Rows of discrete values, and the levels behind them.

Every discrete model works with *levels*: integer codes 0 .. K_i - 1 into `categories_[i]`, the
sorted values of variable i that `fit` saw. Here values become levels and levels values, and what
is no level (a fraction, an unseen value) is named with its place.
"""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral._checks.columns import check_row, check_table
from ancestral._checks.containers import EXACT, describe_place, shown
from ancestral._checks.missing import is_missing, missing_mask, seen_missing
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
    _fields: tuple[str, ...] = ("categories_",)

    def _fit(self, X: NDArray, **options: Any) -> None:
        """Learn the levels, then the model."""
        X = whole_numbers(X, getattr(self, "feature_names_in_", None))
        self.categories_ = learn_categories(X)
        self._fit_levels(self._encode(X), **options)

    @abstractmethod
    def _fit_levels(self, *levels: Any, **options: Any) -> None:
        """Fit to one array of level codes of shape (n, d), with the options of `fit`."""

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        return check_table(self, X, reset=reset, missing=not reset, numeric=False)

    def _check_given(self, given: Any) -> NDArray:
        return check_row(self, given, numeric=False)

    def _encode_given(self, given: Any) -> NDArray[np.intp]:
        """Return the level codes of one partly known row, MISSING where unknown."""
        return self._encode(self._check_given(given)[None], missing=True, name="given")[0]

    def _encode(self, X: NDArray, *, missing: bool = False, name: str = "X") -> NDArray[np.intp]:
        """Return the level codes of X, shape (n, d); MISSING where NaN is allowed and found."""
        codes = np.empty(X.shape, np.intp)
        for j, known in enumerate(self.categories_):
            column = X[:, j]
            codes[:, j] = _codes(column, known)
            wrong = codes[:, j] == MISSING
            if missing and wrong.any():
                wrong &= ~missing_mask(column)
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                pixel = _pixel(j, X.shape[1])
                names = getattr(self, "feature_names_in_", None)
                where = f"{describe_place((i, j), names)}{pixel}"
                raise DataError(_unknown_level(X[i, j], where, known, name, image=bool(pixel)))
        return codes

    def _decode(self, levels: NDArray[np.intp]) -> NDArray:
        """Return the values behind level codes, in the common dtype of the categories."""
        first = self.categories_[0]
        if all(known is first for known in self.categories_):  # as binary tables have it
            return np.take(first, levels)
        kinds = {known.dtype.kind.replace("u", "i") for known in self.categories_}
        # Text beside numbers, and booleans beside both, stay what they are.
        dtype = np.result_type(*self.categories_) if len(kinds) == 1 else np.dtype(object)
        values = np.empty(levels.shape, dtype)
        for j, known in enumerate(self.categories_):
            values[:, j] = known[levels[:, j]]
        return values

    def _check_state(self) -> None:
        if len(self.categories_) != self.n_features_in_:
            raise ValueError("one set of categories per variable is wanted")
        for known in self.categories_:
            if known.ndim != 1 or not len(known) or not (known[1:] > known[:-1]).all():
                raise ValueError("categories must be sorted and distinct")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.positive_only = False
        return tags


def whole_numbers(X: NDArray, names: Any = None) -> NDArray:
    """Return X with whole floats made integers; DataError at the first value that is no level."""
    _refuse_fractions(X, names)
    return X if X.dtype.kind in "bUO" else X.astype(np.int64)


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
    known = _levels_of_objects(column) if column.dtype.kind == "O" else np.unique(column)
    if known.dtype.kind in "bi" and ((known == 0) | (known == 1)).all():
        return np.array([0, 1], known.dtype)
    return known


def _levels_of_objects(column: NDArray) -> NDArray:
    """Return the sorted levels of a column of text, of booleans or of integers, in their dtype."""
    try:
        levels = sorted(set(column.tolist()))
    except TypeError:
        raise DataError(
            "X mixes text and numbers in one column, which cannot be ordered. "
            "Make each column of one kind."
        ) from None
    if isinstance(levels[0], str):
        return np.array(levels, dtype=object)
    booleans = all(isinstance(value, bool) for value in column.tolist())
    return np.array(levels, dtype=bool if booleans else np.int64)


def _refuse_fractions(X: NDArray, names: Any = None) -> None:
    """Raise DataError at the first value that is no whole number of 64 bits."""
    if X.dtype.kind == "O":
        _refuse_odd_objects(X, names)
        return
    if X.dtype.kind == "f":
        wrong = np.floor(X) != X
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            where = f"{describe_place((i, j), names)}{_pixel(j, X.shape[1])}"
            raise DataError(
                f"X holds {X[i, j]:g} at {where}, which is no whole number: levels are integers, "
                f"booleans or text. {_BINARISE}"
            )
    if X.dtype.kind == "f" or X.dtype == np.uint64:
        wrong = (X >= 2.0**63) | (X < -(2.0**63))
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            raise DataError(_too_large(X[i, j], describe_place((i, j), names)))


def _refuse_odd_objects(X: NDArray, names: Any = None) -> None:
    """Raise DataError at the first object that is no level, or of another kind than its column."""
    for j, column in enumerate(X.T):
        kinds = set(map(type, column))
        if kinds == {str} or kinds == {bool}:
            continue
        for i, value in enumerate(column):
            where = describe_place((i, j), names)
            if is_missing(value):
                raise DataError(f"X holds {seen_missing(value)} at {where}; drop or recode it.")
            if isinstance(value, float | np.floating) and not float(value).is_integer():
                raise DataError(
                    f"X holds {value:g} at {where}; levels are integers, booleans or text. "
                    "Drop or recode it."
                )
            if isinstance(value, str) != isinstance(column[0], str):
                raise DataError(
                    f"X holds {shown(value)} at {where} where row 0 holds {shown(column[0])}: text "
                    "and numbers cannot be ordered. Make each column of one kind."
                )
            if not isinstance(value, _LEVELS) or isinstance(value, np.timedelta64):
                raise DataError(
                    f"X holds {shown(value)} at {where}, a {type(value).__name__}; levels are "
                    "integers, booleans or text. Recode it."
                )
            if not isinstance(value, str) and not -(2**63) <= int(value) < 2**63:
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


def _codes(column: NDArray, known: NDArray) -> NDArray[np.intp]:
    """Return the places of a column's values among the known levels, MISSING where they have none.

    Text is no number, and no integer is rounded on the way.
    """
    alike = {column.dtype.kind, known.dtype.kind} <= set("biuf")
    if alike and column.dtype != known.dtype:
        alike = max(abs(int(known[0])), abs(int(known[-1]))) <= EXACT
    if alike or column.dtype.kind == known.dtype.kind == "U":
        place = np.minimum(np.searchsorted(known, column), len(known) - 1)
        return np.where(known[place] == column, place, MISSING)
    place_of = {level: code for code, level in enumerate(known.tolist())}
    values = column.tolist()
    try:
        found = [place_of.get(value, MISSING) for value in values]
    except TypeError:  # lists, and other things without a hash
        found = [place_of.get(v, MISSING) if isinstance(v, _LEVELS) else MISSING for v in values]
    return np.array(found, np.intp)


def _unknown_level(value: Any, where: str, known: NDArray, name: str, *, image: bool) -> str:
    """Word the error for a level that was not seen in `fit`, of an image perhaps."""
    levels = ", ".join(str(k) for k in known[:6]) + (", ..." if len(known) > 6 else "")
    mend = "Recode it, or fit to rows that hold it."
    if isinstance(value, str | bytes) and not isinstance(known[0], str):
        return (
            f"{name} holds {shown(value)} at {where}, which is text, where the levels are numbers, "
            f"such as {known[0]}. Give a number."
        )
    if isinstance(value, Real) and known.dtype.kind in "biu" and np.array_equal(known, [0, 1]):
        if 0 < float(value) < 1:
            mend = _BINARISE
        elif image and 1 < float(value) < 256:
            mend = f"Binarise pixels of 0 to 255 with {name} > 127."
    seen = value if isinstance(value, str | Real) else shown(value)
    return (
        f"{name} holds {seen!s} at {where}, a level not seen in fit; "
        f"that column has the levels {levels}. {mend}"
    )
