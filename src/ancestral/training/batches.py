"""Training by batches, from parts that together are larger than memory.

Parts come one after another, in an order drawn anew for each pass over all of them; a part's rows
are cut into batches, in an order drawn for it. Each row has a key, drawn by a seed and the number
of its part: the same at each look. Rows whose keys lie below the share to be held out are not
trained on. Training is judged, after each part, by a sample of rows that stays the same: those of
the highest keys, and of the lowest where rows are held out.

Where all rows fit in a bounded memory they are gathered, and the fit is that of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import ModelError
from ancestral.training.parts import Part, Parts

Data = tuple[NDArray, ...]
T = TypeVar("T")
GATHERED = 64 << 20  # bytes of rows that are gathered
STEP_BYTES = 1 << 30  # of a step over all rows, where the caller names no batch size
BATCH = 1024  # rows of a step, where such a one would take more
JUDGED = 1 << 14  # rows by which training is judged
CONDENSED_AT_ONCE = 1 << 16  # rows
OBJECT = 64  # bytes of a text, or another object, and of what points to it


# ---- all rows, where they are few ----------------------------------------------------------------


def gathered(
    parts: Parts[Part], most: int, condensed: Callable[[Data], Data] | None = None
) -> Data | None:
    """Return the data of all parts in their order; None where they take more than `most` bytes.

    Whole numbers are held as narrowly as they go. `condensed` makes fewer rows of many, equal ones
    counted, say: it is asked only where they are too many as they are.
    """
    kept, size = list[Data](), 0
    for part in parts:
        kept.append(tuple(map(narrow, part.data)))  # copies: the next part may overwrite this
        size += _n_bytes(kept[-1])
        if size > most and condensed is not None:
            kept = list(map(condensed, _blocks(_joined(kept))))
            if sum(map(_n_bytes, kept)) <= most // 2:
                kept = [condensed(_joined(kept))]
            size = sum(map(_n_bytes, kept))
            if size > most // 2:  # soon as many again
                return None
        elif size > most:
            return None
    whole = _joined(kept)
    return tuple(a.astype(np.int64, copy=False) if a.dtype.kind == "i" else a for a in whole)


def _blocks(data: Data) -> Iterator[Data]:
    """Yield some rows after the other."""
    for start in range(0, len(data[0]), CONDENSED_AT_ONCE):
        yield tuple(a[start : start + CONDENSED_AT_ONCE] for a in data)


def _joined(kept: list[Data]) -> Data:
    """Return arrays end to end."""
    return tuple(
        np.concatenate(arrays) if len(kept) > 1 else arrays[0] for arrays in zip(*kept, strict=True)
    )


def narrow(values: NDArray) -> NDArray:
    """Return a copy of integers in the fewest bytes that hold them; of other values as they are."""
    if values.dtype.kind != "i" or not values.size:
        return values.copy()
    farthest = max(int(values.max()), ~int(values.min()))
    return values.astype(np.min_scalar_type(~farthest))


def _n_bytes(data: Data) -> int:
    return sum(a.size * OBJECT if a.dtype.kind == "O" else a.nbytes for a in data)


# ---- a first look --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """Which rows of a part are held out, and which are in the sample, by their keys.

    Parameters
    ----------
    seed : int
    share : float
        Of the rows, to be held out.
    """

    seed: int
    share: float

    def keys(self, part: Part) -> NDArray[np.float64]:
        """Return a number from 0 to 1 for each row."""
        return np.random.default_rng([self.seed, part.number]).random(len(part.data[0]))

    def trained(self, part: Part) -> Data:
        """Return the rows of a part that are trained on."""
        if not self.share:
            return part.data
        kept = self.keys(part) >= self.share
        return tuple(a[kept] for a in part.data)


@dataclass(frozen=True)
class Sample:
    """The rows of the lowest keys, at most so many, by rising keys: merged by `+`."""

    keys: NDArray[np.float64]
    data: Data
    most: int

    @classmethod
    def of(cls, keys: NDArray[np.float64], data: Data, most: int) -> Sample:
        kept = np.argsort(keys, kind="stable")[:most]
        return cls(keys[kept], tuple(a[kept] for a in data), most)

    def __add__(self, other: Sample) -> Sample:
        pairs = zip(self.data, other.data, strict=True)
        data = tuple(np.concatenate(pair) for pair in pairs)
        return Sample.of(np.concatenate([self.keys, other.keys]), data, self.most)


@dataclass(frozen=True)
class Seen(Generic[T]):
    """What a first look at all parts finds: merged by `+`.

    Parameters
    ----------
    numbers : tuple of int
        Of the parts.
    n_rows : int
        That are trained on.
    sample, held_out : Sample
        Of these, and of the others.
    own : object
        What else the model looks for.
    """

    numbers: tuple[int, ...]
    n_rows: int
    sample: Sample
    held_out: Sample
    own: T

    def __add__(self, other: Seen[T]) -> Seen[T]:
        return Seen(
            self.numbers + other.numbers,
            self.n_rows + other.n_rows,
            self.sample + other.sample,
            self.held_out + other.held_out,
            self.own + other.own,  # type: ignore[operator]
        )

    def refuse_too_few(self, share: float) -> None:
        """Raise ModelError where no row is held out, or fewer than 2 are trained on."""
        n_out = len(self.held_out.keys)
        if share and (not n_out or self.n_rows < 2):
            raise ModelError(
                f"validation_fraction={share:g} holds out {n_out} rows and leaves {self.n_rows}. "
                "Change it, or add rows."
            )


@dataclass(frozen=True)
class FirstLook(Generic[T]):
    """The first look at a part; `own` is given the part and its rows that are trained on."""

    draw: Draw
    own: Callable[[Part, Data], T]

    def __call__(self, part: Part) -> Seen[T]:
        keys, share = self.draw.keys(part), self.draw.share
        out = keys < share
        held = tuple(a[out] for a in part.data)
        rest = self.draw.trained(part)
        return Seen(
            (part.number,),
            len(rest[0]),
            Sample.of(1 - keys[~out], rest, JUDGED),
            Sample.of(keys[out], held, JUDGED),
            self.own(part, rest),
        )


# ---- one part after another ----------------------------------------------------------------------


class Feed:
    """Parts to train on, one after another, in an order drawn anew for each pass over all.

    It is their own order where parts are not reached at random, as what a callable yields.

    Parameters
    ----------
    parts : Parts
        Each as the arrays that are trained on.
    numbers : sequence of int
        Of the parts.
    n_rows : int
        Of all.
    """

    def __init__(self, parts: Parts[Data], numbers: Sequence[int], n_rows: int) -> None:
        self.parts, self.numbers, self.n_rows = parts, list(numbers), n_rows
        self._coming: Iterator[Data] | None = None

    def next(self, left: list[int], rng: np.random.Generator) -> tuple[Data, list[int]]:
        """Return the next part that has rows, and the parts of this pass over all from it on.

        `left` are those from the part on that came last.
        """
        while True:
            left = left[1:]
            if not left:
                self._coming = None
                left = (
                    rng.permutation(self.numbers).tolist() if self.parts.at_random else self.numbers
                )
            data = self.resumed(left) if self._coming is None else next(self._coming)
            if len(data[0]):
                return data, left

    def resumed(self, left: list[int]) -> Data:
        """Return the first of these parts; the others come next."""
        self._coming = self.parts.in_order(left)
        return next(self._coming)
