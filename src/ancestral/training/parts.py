"""Data in parts: what a fit sees of them, whether they stand in memory, in files or on workers.

A fit asks for sums: `total(look)` is look(part) + look(part) + ... over all parts. Where the parts
are, and who looks, it does not know. The sums are added as a tree of four branches, in the order of
the parts, so that one machine and many give the same bits.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np

T = TypeVar("T")
P = TypeVar("P")
Q = TypeVar("Q")
S = TypeVar("S")
BRANCHES = 4  # sums that are added at once


class Part(NamedTuple):
    """Some rows, checked.

    Parameters
    ----------
    data : tuple
        What the model's check made of them: rows, targets, weights, as its `_fit` takes them.
    model : Model
        That checked them, and knows their columns: on a worker, one of its parameters there.
    number : int
        Of the part, from 0.
    start : int, optional
        Number of its first row among all, where that is known.
    """

    data: tuple[Any, ...]
    model: Any
    number: int = 0
    start: int | None = 0


class Parts(ABC, Generic[P]):
    """Parts of data that can be looked at again, unless `again` is false.

    What comes of a part by `prepared` takes its place: arrays in another form, say.
    """

    again: bool = True

    @property
    def n_rows(self) -> int | None:
        """How many rows there are, where that is known before any is looked at."""
        return None

    @property
    def room(self) -> int | None:
        """How many bytes a sum may take where it is made; None where nothing bounds it."""
        return None

    @property
    def at_random(self) -> bool:
        """Whether any part is reached without those before it."""
        return False

    @abstractmethod
    def total(self, look: Callable[[P], S]) -> S:
        """Return the sum of what a look gives for each part.

        `look` may be sent to other processes: it is pickled, with all that it holds. It may be
        called by several threads at once.
        """

    @abstractmethod
    def __iter__(self) -> Iterator[P]:
        """Yield the parts in their order, each here and one at a time."""

    @abstractmethod
    def in_order(self, numbers: Sequence[int]) -> Iterator[P]:
        """Yield parts, here and one at a time, given by their numbers: rising ones where parts
        are not reached at random.
        """

    @abstractmethod
    def prepared(self, make: Callable[[P], Q]) -> Parts[Q]:
        """Return the same parts, each as what is made of it: once in memory, else at each look."""

    def spread(self) -> AbstractContextManager[Any]:
        """Let what joblib does at once be done where the parts are, meanwhile."""
        return nullcontext()

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells these data from others, for checkpoints."""


class Held(Parts[P]):
    """Parts that stand in memory.

    Parameters
    ----------
    parts : sequence
        Each at the place of its number.
    identity : callable, optional
        Gives that of the data.
    """

    def __init__(self, parts: Sequence[P], identity: Callable[[], str] | None = None) -> None:
        self.parts, self._identity = parts, identity or (lambda: "")

    @classmethod
    def whole(cls, model: Any, data: tuple[Any, ...]) -> Held[Part]:
        """Return checked data as one part."""
        return Held([Part(data, model)], lambda: digest_of(data))

    def total(self, look: Callable[[P], S]) -> S:
        """Return the sum of what a look gives for each part."""
        return added(map(look, self.parts))

    def __iter__(self) -> Iterator[P]:
        return iter(self.parts)

    @property
    def at_random(self) -> bool:
        """Whether any part is reached without those before it."""
        return True

    def in_order(self, numbers: Sequence[int]) -> Iterator[P]:
        """Yield parts by their numbers."""
        return (self.parts[number] for number in numbers)

    def prepared(self, make: Callable[[P], Q]) -> Held[Q]:
        """Return what is made of each part."""
        return Held([make(part) for part in self.parts], self._identity)

    @property
    def identity(self) -> str:
        """What tells these data from others."""
        return self._identity()


@dataclass(frozen=True)
class Look:
    """A look at a part with some parameters: what travels to wherever the part is."""

    model: Any  # with `_statistics(part, parameters)`
    parameters: Any

    def __call__(self, part: Any) -> Any:
        return self.model._statistics(part, self.parameters)


def added(sums: Iterable[S]) -> S:
    """Return the sum, by a tree of four branches: as `Adding` and workers make it."""
    adding: Adding[S] = Adding()
    for one in sums:
        adding.take(one)
    return adding.total()


class Adding(Generic[S]):
    """A sum by a tree of four branches, that holds few of its terms at once.

    None is a term that adds nothing, and has its place in the tree.
    """

    def __init__(self) -> None:
        self.levels: list[list[S | None]] = []

    def take(self, term: S | None) -> None:
        """Add one more term."""
        for level in self.levels:
            level.append(term)
            if len(level) < BRANCHES:
                return
            term = _sum_of(level)
            level.clear()
        self.levels.append([term])

    def total(self) -> S:
        """Return the sum; ValueError where there were no terms."""
        rest: list[S | None] = []
        for level in self.levels:
            if terms := [*level, *rest]:
                rest = [_sum_of(terms)]
        if not rest or rest[0] is None:
            raise ValueError("a sum of no parts")
        return rest[0]


def _sum_of(terms: Sequence[S | None]) -> S | None:
    """Return the sum of those that are there."""
    there = [term for term in terms if term is not None]
    return reduce(add, there) if there else None


def digest_of(data: Sequence[Any]) -> str:
    """Return what tells arrays from others: the SHA-256 of their shapes, types and bytes."""
    digest = hashlib.sha256()
    for part in data:
        if part is not None:
            values = cast("np.ndarray[Any, Any]", np.asarray(part))
            digest.update(f"{values.shape} {values.dtype};".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
