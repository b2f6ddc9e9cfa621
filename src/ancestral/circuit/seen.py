"""What a first look at a table sees of each column, and a sample of its rows: merged by `+`.

    columns   what kind of values, how many are known, the least and the largest number, the
              distinct values (of numbers no more than could be levels), whether texts are dates
    rows      all, where they are few; else a sample: those with the smallest u / max(1, w / 8),
              u a hash of the row's values, which is uniform on (0, 1), and w its weight

Rows that differ in nothing are one of their joint weight, and none that is heavy is left out
(Duffield, Lund & Thorup 2007, priority sampling). The hash knows neither the place of a row nor its
part: the sample is that of the whole table, in whatever parts and order this comes, but for rows
that stand in several parts with a weight above 8, of which some may count for less. Of a source
that tells beforehand that its rows are very many, each part takes its own by chance first, so that
little travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import Where, shown
from ancestral._checks.frames import Form
from ancestral._checks.joined_frames import joined_form
from ancestral._checks.texts import meaning_of
from ancestral.circuit.values import Plain, plain_of
from ancestral.errors import AncestralError, DataError, DataTypeError
from ancestral.training.parts import added

MOST_TEXTS = 100_000  # distinct values of a column that may be levels
SAMPLE_CELLS = 50_000_000  # of the rows of a sample
LIGHT = 8.0  # weight up to which chance alone says whether a row is in the sample
SAMPLE_ROWS = 20_000  # of a sample, where there are so many columns that it has more cells
MANY = 4  # samples whose rows are so many that a part gives only what it may have in one
TAKEN = 1.5  # samples that they are together
BLOCK_CELLS = 1 << 22  # that are looked at at once


class Given:
    """The columns of a table as they came, and the form of its dataframe.

    Parameters
    ----------
    columns : list of ndarray of shape (n,)
    form : dict, optional
    """

    def __init__(self, columns: list[NDArray], form: Form | None = None) -> None:
        self.columns, self.form = columns, form

    def __len__(self) -> int:
        return len(self.columns[0])

    def take(self, which: Any) -> Given:
        """Return some of the rows."""
        return Given([values[which] for values in self.columns], self.form)


# ---- columns -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeenColumn:
    """What is seen of a column.

    Parameters
    ----------
    label : str or int
    of : str
        What its values are; "" where none is known.
    first : tuple
        The first known value, its row and its part.
    weight : float
        Of the rows where it is known.
    low, high : float
        The least and the largest of its numbers.
    levels : tuple, or None
        The distinct values, rising: texts, or numbers; None where they are more than `most`.
    most : int
    meaning : str
        What all texts are, by `meaning_of`; "" for any other.
    """

    label: Any
    of: str = ""
    first: tuple[Any, int, int] = (None, 0, 0)
    weight: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    levels: tuple[Any, ...] | None = ()
    most: int = MOST_TEXTS
    meaning: str = ""

    def __add__(self, other: SeenColumn) -> SeenColumn:
        if not (self.of and other.of):
            return self if self.of else other
        levels = None
        if self.levels is not None and other.levels is not None:
            levels = self.levels
            if levels != other.levels:
                levels = tuple(sorted({*levels, *other.levels}))
        most = max(self.most, other.most)
        return SeenColumn(
            self.label,
            self._of_both(other),
            self.first,
            self.weight + other.weight,
            min(self.low, other.low),
            max(self.high, other.high),
            None if levels is not None and len(levels) > most else levels,
            most,
            self.meaning if self.meaning == other.meaning else "",
        )

    def _of_both(self, other: SeenColumn) -> str:
        """Return what the values of both are; DataTypeError where they are not of one kind."""
        if self.of == other.of:
            return self.of
        if {self.of, other.of} == {"number", "boolean"}:
            return "number"
        part, before = other.first[2], self.first[2]
        raise DataTypeError(
            f"column {self.label!r} holds {other.of}s in part {part}, such as "
            f"{shown(other.first[0])}, and {self.of}s in part {before}, such as "
            f"{shown(self.first[0])}. Make it of one kind in every part."
        )

    @property
    def place(self) -> str:
        """Where the first known value stands."""
        _, row, part = self.first
        return f"row {row}" if part == 0 else f"row {row} of part {part}"


def _seen_column(
    label: Any,
    values: NDArray,
    found: Plain,
    weights: NDArray[np.float64] | None,
    most: int,
    place: tuple[int, int],
) -> SeenColumn:
    """Return what is seen of a column of some rows; `place` is that of the first row."""
    numbers = found.numbers
    known = ~np.isnan(numbers)
    most = most if found.texts is None else MOST_TEXTS
    if not known.any():
        return SeenColumn(label, most=most)
    row = int(np.argmax(known))
    held = numbers[known]
    if found.texts is None:
        infinite = np.isinf(held)
        if infinite.any():
            i = int(np.flatnonzero(known)[np.argmax(infinite)])
            raise DataError(
                f"X holds {numbers[i]:g} at row {i}, column {label!r}; infinity cannot be "
                "modelled: drop or clip it."
            )
    levels = found.texts
    if levels is None:
        head = np.unique(held[: 4 * most + 64])
        some = head if len(head) > most or len(head) == len(held) else np.unique(held)
        levels = some.tolist() if len(some) <= most else None
    return SeenColumn(
        label,
        found.of,
        (values[row], row + place[0], place[1]),
        float(known.sum() if weights is None else weights[known].sum()),
        float(held.min()),
        float(held.max()),
        None if levels is None or len(levels) > most else tuple(levels),
        most,
        "" if found.texts is None else meaning_of(found.texts),
    )


# ---- rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Rows, or a sample of them.

    Parameters
    ----------
    table : ndarray of shape (m, d)
        As `Plain` has numbers.
    weights : ndarray of shape (m,)
    keys : ndarray of uint64, optional
        Hashes of the rows, where some were left out or merged.
    bound : float
        u / max(1, w / 8) of all rows of the sample is below it, of no other; inf where all are in.
    share : float
        Of all rows, that were looked at for the sample: drawn by chance, where these are many.
    """

    table: NDArray[np.float64]
    weights: NDArray[np.float64]
    keys: NDArray[np.uint64] | None = None
    bound: float = np.inf
    share: float = 1.0

    @property
    def is_whole(self) -> bool:
        """Whether it holds all rows."""
        return self.bound == np.inf and self.share == 1.0

    @property
    def standing(self) -> NDArray[np.float64]:
        """The weights by which it stands for all rows, as if these were no more."""
        if self.bound == np.inf:
            return self.weights
        found = np.maximum(np.minimum(self.weights, LIGHT), self.weights * self.bound)
        return found * max(1.0, len(found) / found.sum())

    def keyed(self, of_texts: Sequence[NDArray[np.uint64] | None]) -> Sample:
        """Return the sample with its keys, given hashes of the texts of each column."""
        if self.keys is not None:
            return self
        keys = np.zeros(len(self.table), np.uint64)
        for values, hashes in zip(self.table.T, of_texts, strict=True):
            keys = mixed(keys, _hashed(values, hashes))
        return replace(self, keys=keys)

    def cut(self, most: int) -> Sample:
        """Return so many rows at most, equal ones merged, in the order of their keys."""
        if self.keys is None:
            return self
        order = np.argsort(self.keys, kind="stable")
        keys = self.keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
        weights = np.add.reduceat(self.weights[order], starts)
        order, keys, bound = order[starts], keys[starts], self.bound
        chance = (keys.astype(np.float64) + 0.5) * 2.0**-64 / np.maximum(weights / LIGHT, 1.0)
        if len(keys) > most:
            bound = min(bound, float(np.partition(chance, most)[most]))
        kept = chance < bound
        return Sample(self.table[order[kept]], weights[kept], keys[kept], bound, self.share)

    def __add__(self, other: Sample) -> Sample:
        table = np.concatenate([self.table, other.table])
        weights = np.concatenate([self.weights, other.weights])
        keys = None
        if self.keys is not None and other.keys is not None:
            keys = np.concatenate([self.keys, other.keys])
        return Sample(table, weights, keys, min(self.bound, other.bound), self.share)


def mixed(keys: NDArray[np.uint64], more: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return keys of 64 bits that differ where either differs, but once in 2^64 pairs."""
    with np.errstate(over="ignore"):
        keys = (keys ^ more) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(32)
        keys = (keys + np.uint64(0x632BE59BD9B4E019)) * np.uint64(0xD6E8FEB86659FD93)
        return keys ^ (keys >> np.uint64(29))


def _hashed(values: NDArray[np.float64], of_texts: NDArray[np.uint64] | None) -> NDArray[np.uint64]:
    """Return hashes of the values of a column: those of texts, or the bits of numbers."""
    gaps = np.isnan(values)
    if of_texts is None:
        found = np.ascontiguousarray(values).view(np.uint64)
    else:
        found = of_texts[np.where(gaps, 0, values).astype(np.intp)]
    return np.where(gaps, np.uint64(0x7FF8000000000000), found)


def _hashes_of_texts(columns: Sequence[SeenColumn]) -> list[NDArray[np.uint64] | None]:
    """Return a hash of each text of each column, the same on every machine."""
    return [_hashes_of(one.levels or ("",)) if one.of == "text" else None for one in columns]


def _hashes_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    held = [text.encode("utf-8", "surrogatepass") for text in texts]
    found = b"".join(hashlib.blake2b(one, digest_size=8).digest() for one in held)
    return np.frombuffer(found, "<u8").astype(np.uint64)


# ---- both ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What is seen of some rows, and with `+` what is seen of more.

    Parameters
    ----------
    columns : tuple of SeenColumn
    sample : Sample
        In it, texts are their places among the levels of their columns.
    weight : float
        Of all rows.
    form : dict, optional
        Of the dataframe that they stand in.
    most : int
        Rows of the sample.
    """

    columns: tuple[SeenColumn, ...]
    sample: Sample
    weight: float
    form: Form | None
    most: int

    def __add__(self, other: Seen) -> Seen:
        pairs = list(zip(self.columns, other.columns, strict=True))
        columns = tuple(one + two for one, two in pairs)
        one, two = self._recoded(columns), other._recoded(columns)
        is_short = one.keys is two.keys is None and len(one.table) + len(two.table) <= self.most
        if not is_short and (one.keys is None or two.keys is None):
            hashes = _hashes_of_texts(columns)
            one, two = one.keyed(hashes), two.keyed(hashes)
        form = joined_form(self.form, other.form, [(bool(a.of), bool(b.of)) for a, b in pairs])
        sample = (one + two).cut(self.most)
        return Seen(columns, sample, self.weight + other.weight, form, self.most)

    def _recoded(self, columns: tuple[SeenColumn, ...]) -> Sample:
        """Return the sample with texts as their places among the levels of more rows."""
        table = self.sample.table
        for j, (own, joint) in enumerate(zip(self.columns, columns, strict=True)):
            if own.of != "text" or own.levels == joint.levels:
                continue
            if table is self.sample.table:
                table = table.copy()
            gaps = np.isnan(table[:, j])
            if own.levels is None or joint.levels is None:  # names, or refused
                table[:, j] = np.nan
                continue
            place = {text: float(k) for k, text in enumerate(joint.levels)}
            places = np.array([place[text] for text in own.levels])
            table[~gaps, j] = places[table[~gaps, j].astype(np.intp)]
        return replace(self.sample, table=table)


def look(
    given: Given,
    weights: NDArray[np.float64] | None,
    labels: Sequence[Any],
    most_levels: Sequence[int],
    part: int = 0,
    n_rows: int | None = None,
    room: int | None = None,
) -> Seen:
    """Return what is seen of the columns of a table, so many levels of each and a sample of rows.

    `n_rows` are those of all parts, where that is known; `room` the bytes that a sum may take.

    Raises
    ------
    DataError
        For a column of mixed kinds and infinite numbers, with their rows.
    """
    n, d = len(given), len(labels)
    cells = SAMPLE_CELLS if room is None else min(SAMPLE_CELLS, room // 8)
    most = max(SAMPLE_ROWS, cells // d)
    size = max(1, BLOCK_CELLS // d)
    share = 1.0 if (n_rows or 0) < MANY * most else TAKEN * most / (n_rows or 1)

    def of(start: int, stop: int) -> Seen:
        some = None if weights is None else weights[start:stop]
        table = np.empty((stop - start, d))
        columns = []
        for j, (label, values) in enumerate(zip(labels, given.columns, strict=True)):
            held = values[start:stop]
            found = plain_of(held, Where(f"column {label!r}"))
            table[:, j] = found.numbers
            place = start, part
            columns.append(_seen_column(label, held, found, some, most_levels[j], place))
        counts = np.ones(stop - start) if some is None else some
        weight = float(counts.sum())
        if share < 1:
            kept = np.random.default_rng([part, start]).random(len(counts)) < share
            table, counts = table[kept], counts[kept]
        sample = Sample(table, counts, share=share)
        if len(table) > most:
            sample = sample.keyed(_hashes_of_texts(columns)).cut(most)
        return Seen(tuple(columns), sample, weight, given.form, most)

    if n <= size:
        return of(0, n)
    try:
        return added(of(start, min(start + size, n)) for start in range(0, n, size))
    except AncestralError:
        of(0, n)  # which tells the row among all
        raise
