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

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import Opened, Where, as_floats, shown
from ancestral._checks.dates import are_dates, are_texts_of_dates, as_microseconds, moments
from ancestral._checks.declared import Declared, declared
from ancestral._checks.frames import Form, labels_of
from ancestral._checks.missing import is_missing, missing_mask
from ancestral.circuit import notes, scales
from ancestral.circuit.leaves import Scale
from ancestral.errors import DataError, DataTypeError, ModelError

KINDS = ("continuous", "categorical", "binary", "count")
MOST_LEVELS = 16  # different numbers that are levels; with more a column is continuous
DAY = 86_400 * 10**6  # microseconds
MOST_COUNT = 1 << 31  # the largest count
# The least and the most days: years 1 to 9999 of the calendar, which every library holds.
DAYS = {"date": (-719_162.0, 2_932_897.0 - 1 / 86_400), "duration": (-1e8, 1e8)}


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
        of, plain = _plain(values, self._where(name))
        if self.of != of and len(plain) and not missing_mask(plain).all():
            plain = self._as_own_kind(values, plain, of, name)
        if self.has_levels:
            return self._codes(plain, name)
        found = _numbers(plain, self.of, self._where(name))
        self._refuse_infinite(found, name)
        if self.kind == "count":
            with np.errstate(invalid="ignore"):
                odd = (found < 0) | (found > np.floor(found)) | (found > MOST_COUNT)
            if odd.any():
                self._refuse(found, odd, name, _NO_COUNT)
        return found

    def decode(self, codes: NDArray[np.float64]) -> NDArray:
        """Return what codes stand for: numbers, or objects with None where missing."""
        if self.of in ("date", "duration"):
            return _moments_of(codes, self.of)
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
        pair = {of, self.of}
        if pair == {"number", "boolean"}:
            if self.of == "number":
                return _floats(plain, self._where(name))
            whole = _floats(plain, self._where(name))
            found = np.full(len(whole), None, dtype=object)
            for i, value in enumerate(whole.tolist()):
                found[i] = bool(value) if value in (0.0, 1.0) else value if value == value else None
            return found
        gaps = missing_mask(values)
        i = int(np.argmin(gaps))
        mend = "Give it as fit was given it, or name it in column_types and fit again."
        if self.of == "boolean":
            mend = "Give True or False."
        elif self.has_levels and self.of != "text":
            mend = f"Its levels are {self.of}s, such as {self.levels[0]}. Give one of them."
        raise DataTypeError(
            f"{name} holds {shown(values[i])} at {self._place(i)}, which is {of}, where fit was "
            f"given {self.of}s. {mend}"
        )

    def _codes(self, plain: NDArray, name: str) -> NDArray[np.float64]:
        """Return the codes of levels."""
        codes = _codes_among(plain, self.levels)
        if (codes < 0).any():
            i = int(np.argmax(codes < 0))
            some = ", ".join(str(k) for k in self.levels[:6]) + ", ..." * (len(self.levels) > 6)
            more = ""
            if self.of == "boolean" and len(self.levels) == 2:
                raise DataError(
                    f"{name} holds {shown(plain[i])} at {self._place(i)}, which has booleans: give "
                    "True or False."
                )
            if self.of == "number":
                more = ', or name it "count" or "continuous" in column_types where new values come'
            raise DataError(
                f"{name} holds {shown(plain[i])} at {self._place(i)}, a level not seen in fit; "
                f"that column has the levels {some}. Recode it, fit to rows that hold it, or "
                "declare it before: in categories=, or as a category of the column's type"
                f"{more}."
            )
        return codes

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
    labels = labels_of(form, names, len(columns))
    asked = _asked(column_types, labels)
    levels = declared(categories, form, names, len(columns), missing=False)
    counts = np.ones(len(columns[0])) if weights is None else weights
    found: list[Column] = []
    encoded: list[NDArray[np.float64]] = []
    left_out, texts_of_dates = [], []
    for j, (values, label) in enumerate(zip(columns, labels, strict=True)):
        column = _column(values, j, label, asked.get(j), levels[j], counts)
        if j not in asked and levels[j] is None and are_texts_of_dates(values):
            texts_of_dates.append(label)
        if column is None:
            left_out.append(label)
            continue
        codes = column.encode(values)
        if column.kind == "continuous":
            known = ~np.isnan(codes) & (counts > 0)
            distinct, inverse = np.unique(codes[known], return_inverse=True)
            held = np.bincount(inverse, counts[known], len(distinct)).astype(np.float64)
            scale, grid, atoms = scales.learn(distinct, held)
            column = replace(column, scale=scale, grid=grid, atoms=atoms)
        found.append(column)
        encoded.append(codes)
    notes.of_left_out(left_out)
    notes.of_texts_of_dates(texts_of_dates)
    if not found:
        raise DataError("every column is left out as names or ids: give others beside them.")
    table = np.empty((len(counts), len(found)))
    for j, codes in enumerate(encoded):
        table[:, j] = codes
    return found, table, left_out


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


def _column(
    values: NDArray,
    j: int,
    label: Any,
    asked: str | None,
    levels: Declared | None,
    counts: NDArray[np.float64],
) -> Column | None:
    """Return a column without its scale; None for one to leave out."""
    where = Where(f"column {label!r}")
    of, plain = _plain(values, where)
    known = ~missing_mask(plain) & (counts > 0)
    if not known.any():
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
                f"categories names levels of column {label!r}, which holds {of}s: these have none. "
                "Leave it out of categories, or turn the column into text first."
            )
        return made
    if asked in ("continuous", "count") and levels is not None and not levels.by_type:
        raise ModelError(
            f"categories names levels of column {label!r}, and column_types says {asked!r}, which "
            'has none. Leave it out of one of them, or say "categorical".'
        )
    if asked in ("continuous", "count"):
        if of == "text":
            raise DataTypeError(
                f"column {label!r} holds text ({shown(plain[np.argmax(known)])} at row "
                f"{int(np.argmax(known))}), and column_types says {asked!r}: give numbers, or say "
                '"categorical".'
            )
        return replace(made, kind=asked, of="number")
    if levels is not None:
        seen = levels.with_seen(_objects_of(plain[known], of))
        return _with_levels(made, seen, asked)
    if of == "boolean":
        return _with_levels(made, np.array([False, True]), asked)
    if of == "text":
        seen = np.array(sorted(set(plain[known].tolist())), dtype=object)
        n = float(counts[known].sum())
        if asked is None and _are_names(len(seen), n):
            return None
        return _with_levels(made, seen, asked)
    numbers = _floats(plain, where)
    distinct = np.unique(numbers[known])
    made._refuse_infinite(numbers, "X")
    whole = bool((distinct == np.floor(distinct)).all())
    if asked is None and not _are_levels(len(distinct), float(counts[known].sum()), whole=whole):
        return made
    if np.isin(distinct, (0.0, 1.0)).all():
        distinct = np.array([0.0, 1.0])
    held = whole and bool((np.abs(distinct) < 2.0**63).all())  # by an integer of 64 bits
    return _with_levels(made, distinct.astype(np.int64) if held else distinct, asked)


def _are_names(n_distinct: int, n: float) -> bool:
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


# ---- values of any container ---------------------------------------------------------------------


def _plain(values: NDArray, where: Where) -> tuple[str, NDArray]:
    """Return what kind of values a column holds, and these as numpy holds that kind."""
    kind = values.dtype.kind
    if kind in "iuf":
        return "number", values
    if kind in "bU":
        return ("boolean" if kind == "b" else "text"), values
    if kind in "Mm":
        return ("date" if kind == "M" else "duration"), values
    if kind != "O":
        return "number", as_floats(Opened(values, None, len(values)), where.name)  # refuses it
    gaps = missing_mask(values)
    known = values[~gaps].tolist()
    kinds = set(map(type, known))
    if not kinds:
        return "number", np.full(len(values), np.nan)
    if all(issubclass(one, str) for one in kinds):
        held = _with_none(values, gaps)
        for i in np.flatnonzero([type(one) not in (str, type(None)) for one in held]).tolist():
            held[i] = str.__str__(held[i])  # members of an enumeration of text are their text
        return "text", held
    if kinds <= {bool, np.bool_}:
        return "boolean", _with_none(values, gaps)
    if all(issubclass(one, dt.timedelta | np.timedelta64) for one in kinds):
        found = np.full(len(values), np.timedelta64("NaT"), "m8[us]")
        found[~gaps] = np.array(known, dtype="m8[us]")
        return "duration", found
    if are_dates(known):
        return "date", moments(values.tolist(), where.name)
    texts = np.array([isinstance(value, str) for value in values])
    if texts.any() and not (texts | gaps).all():
        i, k = int(np.argmax(texts)), int(np.argmin(texts | gaps))
        raise DataError(
            f"{where.name} holds {shown(values[i])} at row {i} and {shown(values[k])} at row {k}: "
            "text and other values in one column. Make each column of one kind."
        )
    return "number", _floats(values, where)


def _with_none(values: NDArray, gaps: NDArray[np.bool_]) -> NDArray:
    """Return objects with None where missing."""
    found = values.copy()
    found[gaps] = None
    return found


def _floats(values: NDArray, where: Where) -> NDArray[np.float64]:
    if values.dtype.kind == "O":
        values = np.where(missing_mask(values), np.nan, values)
    found = as_floats(Opened(values, None, len(values)), where.name)
    return found.astype(np.float64) + 0.0  # no -0


def _numbers(plain: NDArray, of: str, where: Where) -> NDArray[np.float64]:
    """Return numbers, or days of dates and durations."""
    if of not in ("date", "duration"):
        return _floats(plain, where)
    if plain.dtype.kind not in "Mm":  # all missing
        return np.full(len(plain), np.nan)
    whole = as_microseconds(plain, where.name) if of == "date" else plain.astype("m8[us]")
    days = np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / DAY)
    low, high = DAYS[of]
    if (odd := (days < low) | (days > high)).any():
        i = int(np.argmax(odd))
        raise DataError(
            f"{where.name} holds {shown(plain[i])} at row {i}: dates of the years 1 to 9999 and "
            "durations up to 100 million days are modelled. Mark it as missing."
        )
    return days


def _moments_of(days: NDArray[np.float64], of: str) -> NDArray:
    """Return days as dates or durations, to the microsecond."""
    gaps = np.isnan(days)
    days = np.clip(days, *DAYS[of])
    whole = np.rint(np.where(gaps, 0.0, days) * DAY).astype(np.int64)
    found = whole.astype("M8[us]" if of == "date" else "m8[us]")
    found[gaps] = "NaT"
    return found


def _objects_of(known: NDArray, of: str) -> NDArray:
    """Return known values as levels are held: text, booleans or whole numbers."""
    if of == "text":
        return known.astype(object)
    if of == "boolean":
        return known.astype(bool)
    numbers = known.astype(np.float64)
    return numbers.astype(np.int64) if (numbers == np.floor(numbers)).all() else numbers


def _codes_among(plain: NDArray, levels: NDArray) -> NDArray[np.float64]:
    """Return the code of each value, NaN where missing and -1 where it is no level."""
    if levels.dtype.kind in "if" and plain.dtype.kind in "iuf":
        order = np.argsort(levels, kind="stable")
        rising = levels[order].astype(np.float64)
        values = plain.astype(np.float64)
        place = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
        codes = np.where(rising[place] == values, order[place].astype(np.float64), -1.0)
        return np.where(np.isnan(values), np.nan, codes)
    if plain.dtype.kind == "b" and levels.dtype.kind == "b" and levels.tolist() == [False, True]:
        return plain.astype(np.float64)
    codes_of: dict[Any, float] = {level: float(k) for k, level in enumerate(levels.tolist())}
    held = plain.tolist()
    codes = np.array([codes_of.get(value, -1.0) for value in held])
    for i in np.flatnonzero(codes < 0).tolist():
        if is_missing(held[i]):
            codes[i] = np.nan
    return codes
