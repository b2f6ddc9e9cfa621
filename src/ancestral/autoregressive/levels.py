"""Rows of discrete values, and the levels behind them.

Every discrete model works with *levels*: integer codes 0 .. K_i - 1 into `categories_[i]`, the
sorted values of variable i that `fit` saw, or those that were declared, in their order. Here
values become levels and levels values, and what is no level (a fraction, an unseen value) is named
with its place.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral._checks.columns import check_row, check_table
from ancestral._checks.containers import describe_place, shown
from ancestral._checks.declared import Declared, declared, plain, with_missing
from ancestral._checks.frames import labels_of
from ancestral._checks.missing import is_missing, missing_mask, seen_missing
from ancestral._numerics.packing import Packing
from ancestral.autoregressive import costs
from ancestral.autoregressive.codes import LEVELS, MISSING, Coding, truncated
from ancestral.base import Density
from ancestral.errors import DataError
from ancestral.statistics import refuse_text_beside_numbers

FOUND_AT_ONCE = 1 << 16  # rows
_BINARISE = "Binarise grey pixels with X >= 0.5."


class DiscreteDensity(Density):
    """A density over rows of discrete values.

    An author writes `_fit_levels(levels)` beside what a `Density` wants.

    Attributes
    ----------
    categories_ : list of ndarray
        The levels of each variable: as declared, by `categories=` or by a dataframe's categorical
        type, or else sorted. A variable that holds no other values than zeros and ones, or
        booleans, is binary, also where it is constant.
    """

    categories_: list[NDArray]
    n_features_in_: int
    _fields: tuple[str, ...] = ("categories_",)
    _face = "discrete"
    _counts_missing = False  # whether a missing answer is a level
    _mend_of_missing = "drop or impute it, or fit LatentTree, which takes missing values"

    def _fit(self, X: NDArray, **options: Any) -> None:
        """Learn the levels, then the model."""
        X = self._rows_of_levels(X)
        self.categories_ = self._categories_of(X)
        self._fit_levels(self._encode(X), **options)

    def _rows_of_levels(self, X: NDArray) -> NDArray:
        """Return rows of a fit, whole floats made integers; refuse what is, or can be, no level."""
        names = getattr(self, "feature_names_in_", None)
        X = whole_numbers(X, names, None if self._counts_missing else self._mend_of_missing)
        for j, declaration in enumerate(self._declared_levels(X.shape[1])):
            if declaration is None or declaration.by_type:  # a column holds what its type declares
                continue
            levels = declaration.levels
            codes, _ = Coding([levels]).codes(X[:, [j]])
            odd = np.flatnonzero(codes[:, 0] == MISSING)
            odd = odd[~missing_mask(X[odd, j])]
            if len(odd):
                i = int(odd[0])
                where, known = describe_place((i, j), names), _some(levels)
                raise DataError(
                    f"X holds {shown(X[i, j])} at {where}, a level that is not declared; that "
                    f"column declares the levels {known}. Recode it, or declare it with them: in "
                    "categories=, or as a category of the column's type."
                )
        return X

    def _declared_levels(self, width: int) -> list[Declared | None]:
        """Return the levels that are declared of each column, None where they are to be learnt."""
        return declared(
            getattr(self, "categories", None),
            self._frame_in,
            getattr(self, "feature_names_in_", None),
            width,
            missing=self._counts_missing,
        )

    def _categories_of(self, X: NDArray) -> list[NDArray]:
        """Return the levels of each column, declared or else learnt."""
        found = learn_categories(X, self._declared_levels(X.shape[1]))
        if not self._counts_missing or X.dtype != object:
            return found
        return [
            with_missing(levels) if None in column and None not in levels.tolist() else levels
            for levels, column in zip(found, X.T.tolist(), strict=True)
        ]

    @abstractmethod
    def _fit_levels(self, *levels: Any, **options: Any) -> None:
        """Fit to one array of level codes of shape (n, d), with the options of `fit`."""

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        if self._counts_missing:
            return _missing_as_none(check_table(self, X, reset=reset, missing=True, numeric=False))
        mend = self._mend_of_missing
        return check_table(self, X, reset=reset, missing=not reset, numeric=False, mend=mend)

    def _check_given(self, given: Any) -> NDArray:
        row = check_row(self, given, numeric=False)
        if not (self._counts_missing and isinstance(given, Mapping)):
            return row
        row = row.astype(object)  # what is named is known: None is the level of missing answers
        labels = labels_of(
            self._frame_in, getattr(self, "feature_names_in_", None), self.n_features_in_
        )
        row[[labels.index(name) for name, value in given.items() if is_missing(value)]] = None
        return row

    def _encode_given(self, given: Any) -> NDArray[np.intp]:
        """Return the level codes of one partly known row, MISSING where unknown."""
        return self._encode(self._check_given(given)[None], missing=True, name="given")[0]

    def _encode(self, X: NDArray, *, missing: bool = False, name: str = "X") -> NDArray[np.intp]:
        """Return the level codes of X, shape (n, d); MISSING where NaN is allowed and found.

        They may be X itself.
        """
        codes, whole = self._coding.codes(X)
        if whole:
            return codes
        wrong = codes == MISSING
        if missing:
            wrong &= ~missing_mask(X)
        for j in np.flatnonzero(wrong.any(axis=0)).tolist():
            i = int(np.flatnonzero(wrong[:, j])[0])
            pixel = _pixel(j, X.shape[1])
            names = getattr(self, "feature_names_in_", None)
            where = f"{describe_place((i, j), names)}{pixel}"
            known = self.categories_[j]
            raise DataError(_unknown_level(X[i, j], where, known, name, image=bool(pixel)))
        return codes

    @property
    def _coding(self) -> Coding:
        """How values become codes; made once for each set of categories, as it stands now."""
        kept, now = {} if self._derived is None else self._derived, self.categories_
        held: Coding | None = kept.get("coding")
        same = held is not None and len(held.categories) == len(now)
        if held is None or not (same and all(map(is_, held.categories, now))):
            held = kept["coding"] = Coding(list(now))
        return held

    def _decode(self, levels: NDArray[np.intp]) -> NDArray:
        """Return the values behind level codes, in the common dtype of the categories."""
        if self._coding.is_shared:  # as binary tables have it
            return np.take(self.categories_[0], levels)
        kinds = {known.dtype.kind.replace("u", "i") for known in self.categories_}
        # Text beside numbers, and booleans beside both, stay what they are.
        dtype = np.result_type(*self.categories_) if len(kinds) == 1 else np.dtype(object)
        values = np.empty(levels.shape, dtype)
        for j, known in enumerate(self.categories_):
            values[:, j] = known[levels[:, j]]
        return values

    def _kept_params(self) -> dict[str, Any]:
        params = super()._kept_params()
        return (
            params | {"categories": plain(params["categories"])}
            if "categories" in params
            else params
        )

    def _framed(self, rows: Any, like: Any = None, kept: Any = None) -> Any:
        if self._frame_in is None and self._counts_missing and rows.dtype == object:
            numbers = all(
                not isinstance(level, str) for known in self.categories_ for level in known.tolist()
            )
            return rows.astype(np.float64) if numbers else rows  # None is NaN among numbers
        return super()._framed(rows, like, kept)

    def _check_state(self) -> None:
        if len(self.categories_) != self.n_features_in_:
            raise ValueError("one set of categories per variable is wanted")
        for known in self.categories_:
            levels = known.tolist()
            if known.ndim != 1 or not levels or len(set(levels)) < len(levels):
                raise ValueError("categories must be one or more, and distinct")
            whole = levels[:-1] if levels[-1] is None else levels
            if None in whole or len({isinstance(level, str) for level in whole}) > 1:
                raise ValueError("categories are of one kind, and None is the last of them")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.positive_only = False
        tags.input_tags.allow_nan = self._counts_missing
        return tags


@dataclass(frozen=True)
class SeenLevels:
    """The distinct values of each column of some rows: merged by `+`.

    Parameters
    ----------
    table : ndarray of shape (n, d)
        Each column's, of which the first is repeated where others have more.
    """

    table: NDArray

    @classmethod
    def of(cls, X: NDArray) -> SeenLevels:
        """Return those of rows of levels."""
        columns: list[Any] = (
            [list(dict.fromkeys(column)) for column in X.T.tolist()]
            if X.dtype.kind == "O"
            else _distinct(X)
        )
        table = np.empty((max(map(len, columns)), X.shape[1]), X.dtype)
        for j, known in enumerate(columns):
            table[:, j] = known[0]
            table[: len(known), j] = known
        return cls(table)

    def __add__(self, other: SeenLevels) -> SeenLevels:
        refuse_text_beside_numbers(self.table, other.table)
        return SeenLevels.of(np.concatenate([self.table, other.table]))


def whole_numbers(X: NDArray, names: Any = None, mend: str | None = "drop or recode it") -> NDArray:
    """Return X with whole floats made integers; DataError at the first value that is no level.

    `mend` says what to do about a missing value; with None it is a level.
    """
    if X.dtype.kind in "if":
        whole = truncated(X)
        if X.dtype.kind == "i" or (whole == X).all():
            return whole
    _refuse_fractions(X, names, mend)
    return X if X.dtype.kind in "bUO" else X.astype(np.int64)


def learn_categories(X: NDArray, declared: list[Declared | None] | None = None) -> list[NDArray]:
    """Return each column's levels: as declared, or else sorted.

    A column of zeros and ones is binary, also where it is constant: a flag that is constant in the
    data, or a pixel, is still one that could be on or off.
    """
    if declared is None or all(levels is None for levels in declared):
        return _learnt(X)
    open_ = [j for j, levels in enumerate(declared) if levels is None]
    learnt = iter(_learnt(X[:, open_]))
    return [
        next(learnt) if one is None else one.with_seen(X[:, j]) for j, one in enumerate(declared)
    ]


def _learnt(X: NDArray) -> list[NDArray]:
    """Return each column's sorted levels."""
    if X.dtype.kind in "biu":
        return _levels_of_numbers(X)
    if X.dtype.kind == "U" and len(X):
        return _distinct(X)
    return [_levels_of(X[:, j]) for j in range(X.shape[1])]


def _distinct(X: NDArray) -> list[NDArray]:
    """Return the sorted distinct values of columns of text, of integers or of booleans."""
    if X.dtype.kind in "iu":
        return _found(X)
    if X.dtype.kind == "U" and (packing := Packing.of([X])):
        return [packing.unpacked(known) for known in _found(packing.packed(X))]
    return [np.unique(column) for column in X.T]


def _missing_as_none(X: NDArray) -> NDArray:
    """Return rows with None where they are missing: as objects, where anything is."""
    gaps = missing_mask(X)
    if not gaps.any():
        return X
    rows = X.astype(object)
    rows[gaps] = None
    return rows


def _levels_of_numbers(X: NDArray) -> list[NDArray]:
    """Return the sorted levels of columns of integers, or of booleans."""
    binary = np.array([0, 1], X.dtype)  # one for all columns
    if X.dtype.kind == "b" or not len(X):
        return [binary] * X.shape[1]
    low, high = X.min(axis=0), X.max(axis=0)
    others = np.flatnonzero((low < 0) | (high > 1))
    known = [binary] * X.shape[1]
    if len(others):
        whole = len(others) == X.shape[1]
        for j, levels in zip(others.tolist(), _found(X if whole else X[:, others])):
            known[j] = levels
    return known


def _found(X: NDArray) -> list[NDArray]:
    """Return the sorted distinct integers of each column."""
    low, high = X.min(axis=0), X.max(axis=0)
    spans = [int(b) - int(a) + 1 for a, b in zip(low, high)]
    if X.dtype == np.uint64 or not costs.levels_by_table(sum(spans), X.size):
        return [np.unique(X[:, j]) for j in range(X.shape[1])]
    start = np.cumsum([0, *spans])
    seen = np.zeros(start[-1], bool)
    for i in range(0, len(X), FOUND_AT_ONCE):  # their places take eight bytes each
        seen[(X[i : i + FOUND_AT_ONCE] - low.astype(np.int64)) + start[:-1]] = True
    return [
        (low[j] + np.flatnonzero(seen[start[j] : start[j + 1]])).astype(X.dtype)
        for j in range(len(spans))
    ]


def _levels_of(column: NDArray) -> NDArray:
    """Return the sorted levels of a column of text, or of objects."""
    known = _levels_of_objects(column) if column.dtype.kind == "O" else np.unique(column)
    if known.dtype.kind in "bi" and ((known == 0) | (known == 1)).all():
        return np.array([0, 1], known.dtype)
    return known


def _levels_of_objects(column: NDArray) -> NDArray:
    """Return the sorted levels of a column of text, of booleans or of integers, in their dtype."""
    values = set(column.tolist())
    if None in values:  # a missing answer, which counts as a level here
        whole = np.array([value for value in column.tolist() if value is not None], dtype=object)
        if not len(whole):
            return np.array([None], dtype=object)
        return with_missing(_levels_of(whole))
    try:
        levels = sorted(values)
    except TypeError:
        raise DataError(
            "X mixes text and numbers in one column, which cannot be ordered. "
            "Make each column of one kind."
        ) from None
    if isinstance(levels[0], str):
        return np.array(levels, dtype=object)
    booleans = all(isinstance(value, bool) for value in column.tolist())
    return np.array(levels, dtype=bool if booleans else np.int64)


def _refuse_fractions(X: NDArray, names: Any, mend: str | None) -> None:
    """Raise DataError at the first value that is no whole number of 64 bits."""
    if X.dtype.kind == "O":
        _refuse_odd_objects(X, names, mend)
        return
    if X.dtype.kind == "f":
        wrong = np.floor(X) != X
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            where = f"{describe_place((i, j), names)}{_pixel(j, X.shape[1])}"
            if mend is not None and np.isnan(X[i, j]):
                raise DataError(f"X holds NaN at {where}; {mend}.")
            raise DataError(
                f"X holds {X[i, j]:g} at {where}, which is no whole number: levels are integers, "
                f"booleans or text. {_BINARISE}"
            )
    if X.dtype.kind == "f" or X.dtype == np.uint64:
        wrong = (X >= 2.0**63) | (X < -(2.0**63))
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            raise DataError(_too_large(X[i, j], describe_place((i, j), names)))


def _refuse_odd_objects(X: NDArray, names: Any, mend: str | None) -> None:
    """Raise DataError at the first object that is no level, or of another kind than its column."""
    for j, column in enumerate(X.T):
        kinds = set(map(type, column))
        if kinds == {str} or kinds == {bool}:
            continue
        first: Any = None
        for i, value in enumerate(column):
            where = describe_place((i, j), names)
            if is_missing(value):
                if mend is None:
                    continue
                raise DataError(f"X holds {seen_missing(value)} at {where}; {mend}.")
            first = value if first is None else first
            if isinstance(value, float | np.floating) and not float(value).is_integer():
                raise DataError(
                    f"X holds {value:g} at {where}; levels are integers, booleans or text. "
                    "Drop or recode it."
                )
            if isinstance(value, str) != isinstance(first, str):
                row = 0 if column[0] is first else "one before"
                raise DataError(
                    f"X holds {shown(value)} at {where} where row {row} holds {shown(first)}: text "
                    "and numbers cannot be ordered. Make each column of one kind."
                )
            if not isinstance(value, LEVELS) or isinstance(value, np.timedelta64):
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


def _some(levels: NDArray) -> str:
    """Return levels as a message lists them, cut where they are many."""
    return ", ".join(str(k) for k in levels[:6]) + (", ..." if len(levels) > 6 else "")


def _unknown_level(value: Any, where: str, known: NDArray, name: str, *, image: bool) -> str:
    """Word the error for a level that was not seen in `fit`, of an image perhaps."""
    levels = _some(known)
    if isinstance(value, np.ndarray) and value.ndim == 0:  # which held it as one object
        value = value.item()
    if isinstance(value, tuple | list | set | frozenset | dict | slice | range | np.ndarray):
        return f"{name} holds {shown(value)} at {where}, which is no level: give one of {levels}."
    mend = (
        "Recode it, fit to rows that hold it, or declare it before: in categories=, or as a "
        "category of the column's type."
    )
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
