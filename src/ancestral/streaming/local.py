"""Parts that are read and looked at on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ancestral._checks.numbers import within_memory
from ancestral._numerics.threads import ahead
from ancestral.errors import DataError
from ancestral.streaming.checking import (
    NO_CHUNKS,
    SMALLER_CHUNKS,
    Roles,
    checked,
    is_empty,
    listed,
    n_rows,
    read,
)
from ancestral.streaming.columns import Columns, Place, in_part
from ancestral.streaming.identity import identity_of
from ancestral.streaming.progress import rows_shown
from ancestral.streaming.source import Piece, Source, needs_again
from ancestral.training.parts import Adding, Part, Parts

Q = TypeVar("Q")
Unchecked = Callable[[], Part]  # checks a part that was read: on whatever thread looks at it
KEPT_BYTES = 64 << 20  # what is looked at twice stays in memory, where its rows take no more


class Reading:
    """Reads and checks the parts of a source for one fit; what it saw the first time must be there
    again the next.

    Parameters
    ----------
    model : Model
        Checks the parts, and remembers their columns.
    source : Source
    roles : Roles
    verbose : bool
        Whether looks are shown, unless the model shows its passes.
    """

    def __init__(self, model: Any, source: Source, roles: Roles, *, verbose: bool = False) -> None:
        self.model, self.source, self.roles = model, source, roles
        self.verbose = verbose and not getattr(model, "verbose", False)
        self.n_looks = 0
        self.sizes: dict[int, int] = {}  # rows of each part
        self.columns: Columns | None = None
        self.seen: list[int | None] | None = None  # rows in each part, after a first look
        self.began = False

    def __iter__(self) -> Iterator[tuple[Place, Unchecked | None]]:
        """Yield the parts; None for those without rows."""
        if self.began and not self.source.again:
            raise needs_again(type(self.model).__name__)
        self.began = True
        sizes: list[int | None] = []
        start: int | None = 0
        for number, piece in enumerate(listed(self.source)):
            place, part, n = self._read(number, piece, start)
            sizes.append(n)
            yield place, part
            start = None if start is None or n is None else start + n
        if self.columns is None:
            raise DataError(NO_CHUNKS)
        if self.seen is not None and len(sizes) != len(self.seen):
            raise other_rows(f"{len(self.seen)} parts", f"{len(sizes)}")
        self.seen = sizes

    def shown(self) -> AbstractContextManager[Callable[[int], None]]:
        """Give a function that is told of the rows of one more look."""
        self.n_looks += 1
        name = f"{type(self.model).__name__} look {self.n_looks}:"
        n_rows = self.source.n_rows if self.verbose else None
        return rows_shown(name, n_rows, shown=self.verbose)

    def in_order(self, numbers: Sequence[int]) -> Iterator[tuple[Place, Unchecked]]:
        """Yield parts that have rows by their numbers, which rise where they are passed over."""
        pieces = self.source.parts()
        if not isinstance(pieces, Sequence):
            coming = iter(self)
            for number in numbers:
                place, part = next(one for one in coming if one[0].part == number)
                if part is None:
                    raise other_rows(f"rows in part {number}", "none")
                yield place, part
            return
        for number in numbers:
            place, part, _ = self._read(number, pieces[number], None)
            if part is None:
                raise other_rows(f"rows in part {number}", "none")
            yield place, part

    def _read(
        self, number: int, piece: Piece, start: int | None
    ) -> tuple[Place, Unchecked | None, int | None]:
        """Return where a part is, what checks it where it has rows, and how many."""
        place = Place.of_piece(number, piece)
        chunk = read(piece, place)
        with in_part(place):
            given = self.roles.given(self.model, chunk)
        n = n_rows(given[0])
        self._refuse_other(number, n)
        self.sizes[number] = n or 0
        if is_empty(given):
            return place, None, n
        model = self.model
        if self.columns is None:  # the first, which the others must be like
            self.roles.remember(model, chunk)
            data, self.columns = checked(model, given, place, None)
            first = Part(data, model, number, start)
            return place, lambda: first, n
        like = self.columns

        def check() -> Part:
            return Part(checked(model, given, place, like)[0], model, number, start)

        return place, check, n

    def _refuse_other(self, number: int, n: int | None) -> None:
        """Raise DataError where a part has more or fewer rows than it had the first time."""
        if self.seen is None:
            return
        if number >= len(self.seen):
            raise other_rows(f"{len(self.seen)} parts", "more")
        if n != self.seen[number]:
            raise other_rows(f"{self.seen[number]} rows in part {number}", f"{n}")


def other_rows(before: str, now: str) -> DataError:
    """Return the error for data that change between two passes."""
    return DataError(
        f"the data changed between two passes: {before} before, {now} now. Give the same rows in "
        "the same parts each time they are read."
    )


class Here(Parts[Any]):
    """Parts that are read here, some ahead of the looks at them.

    Parameters
    ----------
    reading : Reading
    makes : tuple of callable
        What is made of a checked part, one after the other.
    """

    def __init__(self, reading: Reading, makes: tuple[Callable[[Any], Any], ...] = ()) -> None:
        self.reading, self.makes = reading, makes
        self.again = reading.source.again
        self.kept: list[tuple[Place, Any]] | None = None
        self.n_looks = 0

    def total(self, look: Callable[[Any], Any]) -> Any:
        """Return the sum of what a look gives for each part."""
        self.n_looks += 1
        if self.n_looks == 2 and self._may_be_kept():
            self.kept = list(self._made(self.reading))

        def task(item: tuple[Place, Any]) -> tuple[Place, Any]:
            place, part = item
            if part is None:
                return item
            if self.kept is None:
                part = part()
            with in_part(place):
                if self.kept is None:
                    part = self._make(part)
                return place, within_memory(SMALLER_CHUNKS)(look)(part)

        items = iter(self.reading) if self.kept is None else iter(self.kept)
        # What reuses its memory for the next chunk has them looked at one at a time.
        fresh = self.reading.source.fresh or self.kept is not None
        adding: Adding[Any] = Adding()
        with self.reading.shown() as show:
            for place, found in ahead(task, items) if fresh else map(task, items):
                with in_part(place):
                    adding.take(found)
                show(self.reading.sizes[place.part])
        return adding.total()

    def __iter__(self) -> Iterator[Any]:
        for _, part in self._made(self.reading) if self.kept is None else self.kept:
            if part is not None:
                yield part

    @property
    def n_rows(self) -> int | None:
        """How many rows there are, where the source tells."""
        return self.reading.source.n_rows

    @property
    def at_random(self) -> bool:
        """Whether any part is reached without those before it."""
        return self.again and isinstance(self.reading.source.parts(), Sequence)

    def in_order(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield parts by their numbers."""
        for _, part in self._made(self.reading.in_order(numbers)):
            yield part

    def prepared(self, make: Callable[[Any], Any]) -> Here:
        """Return the same parts, each as what is made of it."""
        if not self.again:
            raise needs_again(type(self.reading.model).__name__)
        return Here(self.reading, (*self.makes, make))

    @property
    def identity(self) -> str:
        """What tells these data from others."""
        reading = self.reading
        return identity_of(Here(reading), reading.source, reading.roles, reading.columns)

    def _make(self, part: Any) -> Any:
        for make in self.makes:
            part = make(part)
        return part

    def _made(self, read: Iterable[tuple[Place, Unchecked | None]]) -> Iterator[tuple[Place, Any]]:
        for place, check in read:
            part = None if check is None else check()
            with in_part(place):
                yield place, part and within_memory(SMALLER_CHUNKS)(self._make)(part)

    def _may_be_kept(self) -> bool:
        """Tell whether all parts may stay in memory."""
        n_bytes = self.reading.source.n_bytes
        return n_bytes is not None and n_bytes <= KEPT_BYTES
