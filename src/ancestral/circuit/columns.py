"""The columns of a table: what kind each is, and its values as numbers that a circuit reads.

    continuous     numbers in their own unit; dates as days since 1970, durations as days
    categorical    levels, as their codes 0, 1, ...; binary: two of them
    count          whole numbers from 0

NaN is missing in each. Numbers are continuous where a column holds more than `MOST_LEVELS`
different ones, or more than two that are not all whole, or that do not repeat twice on average.
Text of which nearly every row has its own (names, ids) says nothing about other rows, and is left
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import Where, shown
from ancestral._checks.declared import Declared, declared
from ancestral._checks.frames import Form, labels_of
from ancestral._checks.missing import missing_mask
from ancestral.circuit import notes, scales, seen
from ancestral.circuit.leaves import Scale
from ancestral.circuit.seen import MOST_TEXTS, Given, Seen, SeenColumn
from ancestral.circuit.values import (
    codes_among,
    floats_of,
    kind_of,
    moments_of,
    numbers_of,
    objects_of,
)
from ancestral.errors import DataError, DataTypeError, ModelError

KINDS = ("continuous", "categorical", "binary", "count")
MOST_LEVELS = 16  # different numbers that are levels; with more a column is continuous
MOST_COUNT = 1 << 31  # the largest count


@dataclass(frozen=True)
class Column:
    """What is known of one column.

    Parameters
    ----------
    name : str or int
    place : int
        Among all columns of the table, those left out as well.
    kind : {"continuous", "categorical", "binary", "count"}
    of : {"number", "text", "boolean", "date", "duration"}
        What its values are.
    levels : ndarray
        Of a categorical or binary column, by their codes; else empty.
    scale : Scale or None
        Of a continuous column.
    grid : float
        What its values are multiples of, in its unit; 0 for none.
    atoms : ndarray
        Values of a continuous column that have a probability of their own, rising.
    """

    name: Any
    place: int
    kind: str
    of: str
    levels: NDArray
    scale: Scale | None
    grid: float
    atoms: NDArray[np.float64]

    @property
    def has_levels(self) -> bool:
        """Whether its values are codes of levels."""
        return self.kind in ("categorical", "binary")

    @property
    def n_rows(self) -> int:
        """Rows of its table of probabilities: levels, or atoms and all else; none of counts."""
        return len(self.levels) if self.kind != "continuous" else len(self.atoms) + 1

    # ---- values and their codes -------------------------------------------------------------

    def encode(self, values: NDArray, name: str = "X", rows: Any = None) -> NDArray[np.float64]:
        """Return values as float64, NaN where missing.

        Raises
        ------
        DataError
            For a value that the column cannot hold, with its place.
        """
        of, plain = kind_of(values, self._where(name))
        if self.of != of and len(plain) and not missing_mask(plain).all():
            plain = self._as_own_kind(values, plain, of, name)
        if self.has_levels:
            return self._codes(plain, name)
        found = numbers_of(plain, self.of, self._where(name))
        self._refuse_infinite(found, name)
        if self.kind == "count":
            odd = self._are_no_counts(found)
            if odd.any():
                self._refuse(found, odd, name, _NO_COUNT)
        return found

    def encode_seen(
        self, seen: SeenColumn, numbers: NDArray[np.float64], *, in_order: bool
    ) -> NDArray[np.float64]:
        """Return what a first look saw of values as `encode` gives it.

        `in_order` tells whether the places among them are the numbers of rows.
        """
        if not self.has_levels:
            odd = self._are_no_counts(numbers) if self.kind == "count" else np.zeros(0, bool)
            if in_order and odd.any():
                self._refuse(numbers, odd, "X", _NO_COUNT)
            return numbers if not odd.any() else np.where(odd, np.nan, numbers)
        pair = {seen.of, self.of}
        if len(pair) > 1 and pair != {"number", "boolean"}:
            self._refuse_kind(seen.first[0], seen.place, seen.of, "X")
        held = objects_of(seen.levels or (), seen.of)
        levels = self.levels.astype(np.int64) if self.of == "boolean" else self.levels
        is_text = seen.of == "text"
        codes = codes_among(held if is_text else held.astype(np.float64), levels)
        if (codes < 0).any():
            k = int(np.argmax(codes < 0))
            at = np.flatnonzero(numbers == (k if is_text else float(held[k])))
            self._refuse_unseen(held[k], int(at[0]) if in_order and len(at) else None, "X")
        if is_text:
            codes = np.r_[codes, np.nan]
            return codes[np.where(np.isnan(numbers), len(held), numbers).astype(np.intp)]
        return codes_among(numbers, levels)

    def decode(self, codes: NDArray[np.float64]) -> NDArray:
        """Return what codes stand for: numbers, or objects with None where missing."""
        if self.of in ("date", "duration"):
            return moments_of(codes, self.of)
        if not self.has_levels:
            return codes
        gaps = np.isnan(codes)
        if self.of == "number":
            known = self.levels.astype(np.float64)[np.where(gaps, 0, codes).astype(np.intp)]
            return np.where(gaps, np.nan, known)
        held = np.empty(len(self.levels) + 1, dtype=object)
        held[:-1] = self.levels.tolist()
        return held[np.where(gaps, len(self.levels), codes).astype(np.intp)]

    def _where(self, name: str) -> Where:
        of = "" if name == "X" else f" of {name}"
        return Where(f"column {self.name!r}{of}")

    def _as_own_kind(self, values: NDArray, plain: NDArray, of: str, name: str) -> NDArray:
        """Return values of another kind than those of the fit as these, where that is the same."""
        if {of, self.of} != {"number", "boolean"}:
            i = int(np.argmin(missing_mask(values)))
            self._refuse_kind(values[i], f"row {i}", of, name)
        whole = floats_of(plain, self._where(name))
        if self.of == "number":
            return whole
        found = np.full(len(whole), None, dtype=object)
        for i, value in enumerate(whole.tolist()):
            found[i] = bool(value) if value in (0.0, 1.0) else value if value == value else None
        return found

    def _refuse_kind(self, value: Any, place: str, of: str, name: str) -> NoReturn:
        """Raise DataTypeError for a value of another kind than those of the column."""
        mend = "Give it as fit was given it, or name it in column_types and fit again."
        if self.of == "boolean":
            mend = "Give True or False."
        elif self.has_levels and self.of != "text":
            mend = f"Its levels are {self.of}s, such as {self.levels[0]}. Give one of them."
        raise DataTypeError(
            f"{name} holds {shown(value)} at {place}, column {self.name!r}, which is {of}, where "
            f"fit was given {self.of}s. {mend}"
        )

    def _codes(self, plain: NDArray, name: str) -> NDArray[np.float64]:
        """Return the codes of levels."""
        codes = codes_among(plain, self.levels)
        if (codes < 0).any():
            i = int(np.argmax(codes < 0))
            self._refuse_unseen(plain[i], i, name)
        return codes

    def _refuse_unseen(self, value: Any, row: int | None, name: str) -> NoReturn:
        """Raise DataError for a value that is no level."""
        place = f"column {self.name!r}" if row is None else self._place(row)
        some = ", ".join(str(k) for k in self.levels[:6]) + ", ..." * (len(self.levels) > 6)
        if self.of == "boolean" and len(self.levels) == 2:
            raise DataError(
                f"{name} holds {shown(value)} at {place}, which has booleans: give True or False."
            )
        more = ""
        if self.of == "number":
            more = ', or name it "count" or "continuous" in column_types where new values come'
        raise DataError(
            f"{name} holds {shown(value)} at {place}, a level not seen in fit; "
            f"that column has the levels {some}. Recode it, fit to rows that hold it, or "
            "declare it before: in categories=, or as a category of the column's type"
            f"{more}."
        )

    @staticmethod
    def _are_no_counts(found: NDArray[np.float64]) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            return (found < 0) | (found > np.floor(found)) | (found > MOST_COUNT)

    def _place(self, row: int) -> str:
        return f"row {row}, column {self.name!r}"

    def _refuse_infinite(self, found: NDArray, name: str) -> None:
        infinite = np.isinf(found)
        if infinite.any():
            self._refuse(found, infinite, name, "infinity cannot be modelled: drop or clip it")

    def _refuse(self, found: NDArray, odd: NDArray, name: str, mend: str) -> None:
        i = int(np.argmax(odd))
        raise DataError(f"{name} holds {found[i]:g} at {self._place(i)}; {mend}.")

    # ---- kept in files, and shown -----------------------------------------------------------

    def as_plain(self) -> dict[str, Any]:
        """Return it as plain values and arrays."""
        held = {part.name: getattr(self, part.name) for part in fields(self)}
        if self.scale is not None:
            held["scale"] = {p.name: getattr(self.scale, p.name) for p in fields(Scale)}
        return held

    @classmethod
    def of_plain(cls, held: dict[str, Any]) -> Column:
        """Undo `as_plain`; raise ValueError for what is no column."""
        if set(held) != {part.name for part in fields(cls)}:
            raise ValueError("it has no whole columns")
        scale = held["scale"]
        column = cls(**{**held, "scale": None if scale is None else Scale(**scale)})
        good = column.kind in KINDS and type(column.place) is int and column.place >= 0
        good = good and (column.has_levels == (len(column.levels) > 0))
        good = good and (column.scale is not None) == (column.kind == "continuous")
        if column.scale is not None:
            one = column.scale
            held_numbers = (one.unit, one.centre, one.spread, column.grid)
            good = good and bool(np.isfinite(held_numbers).all())
            good = good and one.unit > 0 and one.spread > 0
            good = good and one.kind in ("identity", "log", "asinh")
        atoms = np.asarray(column.atoms)
        good = good and atoms.ndim == 1 and atoms.dtype.kind == "f"
        good = good and bool(np.isfinite(atoms).all() and (np.diff(atoms) > 0).all())
        if not good:
            raise ValueError(f"column {column.name!r} is none")
        return column

    def __str__(self) -> str:
        if self.kind == "continuous":
            kind = cast(Scale, self.scale).kind
            more = "" if kind == "identity" else f", {kind}"
            more += f", {len(self.atoms)} atoms" if len(self.atoms) > 1 else ""
            more += f", {self.atoms[0]:.6g} an atom" if len(self.atoms) == 1 else ""
            of = "" if self.of == "number" else f" {self.of}"
            return f"continuous{of}{more}"
        if self.kind == "count":
            return "count"
        some = ", ".join(map(str, self.levels[:3].tolist())) + ", ..." * (len(self.levels) > 3)
        return f"{self.kind}: {some}"


_NO_COUNT = (
    f"a count is a whole number from 0 to {MOST_COUNT}. Name another type in column_types, such as "
    '"continuous"'
)


# ---- learning ------------------------------------------------------------------------------------


def learn(
    columns: list[NDArray],
    *,
    names: Any,
    form: Form | None,
    column_types: Any,
    categories: Any,
    weights: NDArray[np.float64] | None,
) -> tuple[list[Column], NDArray[np.float64], list[Any]]:
    """Return the columns of a table, its encoded rows (n, d) and the names of those left out."""
    found = look(Given(columns, form), weights, names, column_types, categories)
    learnt, left_out = settled(found, names, column_types, categories)
    return learnt, encoded(found, learnt), left_out


def look(
    given: Given,
    weights: NDArray[np.float64] | None,
    names: Any,
    column_types: Any,
    categories: Any,
    part: int = 0,
    n_rows: int | None = None,
    room: int | None = None,
) -> Seen:
    """Return what is seen of some rows, as far as `settled` wants it."""
    d = len(given.columns)
    labels = labels_of(given.form, names, d)
    asked = _asked(column_types, labels)
    levels = declared(categories, given.form, names, d, missing=False)
    most = [
        MOST_TEXTS
        if asked.get(j) in ("categorical", "binary") or levels[j] is not None
        else MOST_LEVELS
        for j in range(d)
    ]
    return seen.look(given, weights, labels, most, part, n_rows, room)


def settled(
    found: Seen, names: Any, column_types: Any, categories: Any
) -> tuple[list[Column], list[Any]]:
    """Return the columns that are modelled, and the names of those left out, given all parts."""
    labels = [one.label for one in found.columns]
    asked = _asked(column_types, labels)
    levels = declared(categories, found.form, names, len(labels), missing=False)
    columns: list[Column] = []
    left_out: list[Any] = []
    told: list[SeenColumn] = []
    weights = found.sample.standing
    for j, one in enumerate(found.columns):
        column = _column(one, j, asked.get(j), levels[j])
        if j not in asked and levels[j] is None and one.of == "text" and one.meaning:
            told.append(one)
        if column is None:
            left_out.append(one.label)
            continue
        if column.kind == "continuous":
            values = found.sample.table[:, j]
            known = ~np.isnan(values) & (weights > 0)
            distinct, inverse = np.unique(
                np.r_[one.low, values[known], one.high], return_inverse=True
            )
            held = np.bincount(inverse[1:-1], weights[known], len(distinct)).astype(np.float64)
            scale, grid, atoms = scales.learn(distinct, held)
            column = replace(column, scale=scale, grid=grid, atoms=atoms)
        columns.append(column)
    meant = [one.label for one in told]
    notes.of_left_out([label for label in left_out if label not in meant])
    notes.of_texts(told, left_out)
    if not columns:
        raise DataError(
            "every column is left out, because it holds names or ids: give other columns too."
        )
    return columns, left_out


def encoded(found: Seen, columns: list[Column]) -> NDArray[np.float64]:
    """Return the rows of the sample as `Column.encode` gives them, (m, d)."""
    table = np.empty((len(found.sample.table), len(columns)))
    in_order = found.sample.keys is None
    for j, column in enumerate(columns):
        one = found.columns[column.place]
        table[:, j] = column.encode_seen(
            one, found.sample.table[:, column.place], in_order=in_order
        )
    return table


def _asked(column_types: Any, labels: list[Any]) -> dict[int, str]:
    """Return the kinds that the caller names, by the places of columns."""
    if column_types is None or (isinstance(column_types, str) and column_types == "auto"):
        return {}
    if isinstance(column_types, Mapping):
        place = {label: j for j, label in enumerate(labels)}
        for name in column_types:
            if name not in place:
                known = ", ".join(map(repr, labels[:8])) + ", ..." * (len(labels) > 8)
                raise DataError(
                    f"column_types names {name!r}, which is no column of X: those are {known}."
                )
        pairs = {place[name]: kind for name, kind in column_types.items()}
    elif isinstance(column_types, str) or not isinstance(column_types, Iterable):
        raise ModelError(
            f'column_types must be "auto", a mapping of names to types or a list with the type of '
            f"each column; got {shown(column_types)}."
        )
    else:
        given = list(column_types)
        if len(given) != len(labels):
            raise DataError(
                f"column_types has {len(given)} entries, and X has {len(labels)} columns: give "
                'the type of each, "auto" for those to be found.'
            )
        pairs = dict(enumerate(given))
    for j, kind in pairs.items():
        if kind not in (*KINDS, "auto", None):
            raise ModelError(
                f"column_types says {shown(kind)} of column {labels[j]!r}: give one of "
                f"{', '.join(map(repr, KINDS))}."
            )
    return {j: kind for j, kind in pairs.items() if kind not in ("auto", None)}


def _column(seen: SeenColumn, j: int, asked: str | None, levels: Declared | None) -> Column | None:
    """Return a column without its scale; None for one to leave out."""
    label, of = seen.label, seen.of
    if not of:
        raise DataError(f"column {label!r} is all missing: nothing can be learnt of it. Drop it.")
    nothing = np.empty(0)
    made = Column(label, j, "continuous", of, nothing, None, 0.0, nothing)
    if of in ("date", "duration"):
        if asked not in (None, "continuous"):
            raise ModelError(
                f'column {label!r} holds {of}s, and column_types says {asked!r}: only "continuous" '
                "takes these. Turn it into text or numbers first."
            )
        if levels is not None and not levels.by_type:
            raise ModelError(
                f"categories names levels of column {label!r}, which holds {of}s: these have no "
                "levels. Leave it out of categories, or turn the column into text first."
            )
        return made
    if asked in ("continuous", "count") and levels is not None and not levels.by_type:
        raise ModelError(
            f"categories names levels of column {label!r}, and column_types says {asked!r}, which "
            'has no levels. Leave it out of one of them, or pass "categorical".'
        )
    if asked in ("continuous", "count"):
        if of == "text":
            raise DataTypeError(
                f"column {label!r} holds text ({shown(seen.first[0])} at {seen.place}), and "
                f"column_types says {asked!r}: give numbers, or say "
                '"categorical".'
            )
        return replace(made, kind=asked, of="number")
    if seen.levels is None and (asked is not None or levels is not None):
        raise DataError(
            f"column {label!r} has more than {MOST_TEXTS:,} different values, too many for levels: "
            "leave it out, or group them."
        )
    if levels is not None:
        return _with_levels(made, levels.with_seen(objects_of(seen.levels or (), of)), asked)
    if of == "boolean":
        return _with_levels(made, np.array([False, True]), asked)
    if of == "text":
        if seen.levels is None or (asked is None and are_names(len(seen.levels), seen.weight)):
            return None
        return _with_levels(made, np.array(seen.levels, dtype=object), asked)
    distinct = np.array(seen.levels or (), np.float64)
    whole = bool((distinct == np.floor(distinct)).all())
    if asked is None and not (
        seen.levels is not None and _are_levels(len(distinct), seen.weight, whole=whole)
    ):
        return made
    if np.isin(distinct, (0.0, 1.0)).all():
        distinct = np.array([0.0, 1.0])
    held = whole and bool((np.abs(distinct) < 2.0**63).all())  # by an integer of 64 bits
    return _with_levels(made, distinct.astype(np.int64) if held else distinct, asked)


def are_names(n_distinct: int, n: float) -> bool:
    """Tell whether so many different texts among n are names or ids."""
    return (n_distinct > MOST_LEVELS and n_distinct > 0.8 * n) or (
        n_distinct > 100 and n_distinct > 0.5 * n
    )


def _are_levels(n_distinct: int, n: float, *, whole: bool) -> bool:
    """Tell whether so many different numbers among n are levels."""
    if n_distinct <= 2:
        return True
    # Of fractions there may be others, and of whole numbers that hardly repeat.
    return whole and n_distinct <= min(MOST_LEVELS, n / 2)


def _with_levels(column: Column, levels: NDArray, asked: str | None) -> Column:
    if asked == "binary" and len(levels) > 2:
        raise DataError(
            f"column {column.name!r} has {len(levels)} levels, and column_types says 'binary': "
            'say "categorical".'
        )
    kind = asked or ("binary" if len(levels) == 2 else "categorical")
    of = {"b": "boolean", "O": "text", "U": "text"}.get(levels.dtype.kind, "number")
    return replace(column, kind=kind, of=of, levels=levels)
