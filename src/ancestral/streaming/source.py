"""What data can be read from: parts with a cheap description, read when they are asked for.

A *source* lists its parts, as often as it is asked, and each part can be read at any time, here or
on a worker: to that end a part is a small description (a path and a range of rows) and not the rows
themselves. A generator, which yields its chunks but once, is a source that says so.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ancestral.errors import DataError

PART_BYTES = 32 << 20  # of the rows of a part, about


@runtime_checkable
class Piece(Protocol):
    """One part of a source: a small description that can be sent to a worker, which reads its rows.

    Parameters
    ----------
    n_rows, n_bytes : int or None
        The number of rows, and about how much memory they take, if known.
    start : int or None
        Number of the first row among the rows of `of`, if known.
    of : str
        The name of what holds the rows: "all", or a path.
    """

    @property
    def n_rows(self) -> int | None: ...
    @property
    def n_bytes(self) -> int | None: ...
    @property
    def start(self) -> int | None: ...
    @property
    def of(self) -> str: ...

    def read(self) -> Any:
        """Return an array, a dataframe, a tuple (X, y) or (X, y, weights), or a list of graphs.

        Returns
        -------
        ndarray, dataframe, tuple or list

        Examples
        --------
        >>> import numpy as np
        >>> from ancestral.streaming.source import Chunk
        >>> Chunk(np.eye(2)).read().shape
        (2, 2)
        """


class Source(ABC):
    """Data in parts, each of which has a small description and is read when it is needed.

    Write a subclass with `parts()` to use your own data with every function of
    `ancestral.streaming`. `again` is False if the parts can be read only once. `fresh` is False if
    reading a part may overwrite the part before it. `identity` identifies the data: a fit goes on
    from its checkpoints only with data of the same identity. `named` lists the paths, folders and
    patterns from which the parts are read; no output may be written there.

    Examples
    --------
    >>> import numpy as np
    >>> from ancestral import PPCA
    >>> from ancestral.streaming import Source, fit_chunks
    >>> class Drawn:  # one part: anything with these five, that can be pickled
    ...     n_rows, n_bytes, start, of = 1000, 24_000, None, "all"
    ...     def __init__(self, seed):
    ...         self.seed = seed
    ...     def read(self):
    ...         return np.random.default_rng(self.seed).normal(size=(1000, 3)) * [2.0, 1.0, 1.0]
    >>> class Draws(Source):
    ...     def parts(self):
    ...         return [Drawn(seed) for seed in range(5)]
    >>> fit_chunks(PPCA(1), Draws()).n_samples_
    5000
    """

    again: bool = True
    fresh: bool = True
    named: Sequence[Any] = ()

    @abstractmethod
    def parts(self) -> Iterable[Piece]:
        """Return the parts, in the same order each time.

        Returns
        -------
        iterable of Piece

        Examples
        --------
        >>> from ancestral.streaming.source import Chunk, Chunks
        >>> [part.n_rows for part in Chunks([Chunk([[0.0], [1.0]], n_rows=2)]).parts()]
        [2]
        """

    @property
    def identity(self) -> str:
        """What tells these data from others."""
        return ""

    @property
    def n_bytes(self) -> int | None:
        """About how much memory all parts take, where each tells."""
        return self._sum(lambda part: part.n_bytes)

    @property
    def n_rows(self) -> int | None:
        """How many rows all parts have, where each tells."""
        return self._sum(lambda part: part.n_rows)

    def _sum(self, of: Callable[[Piece], int | None]) -> int | None:
        sizes = [of(part) for part in self.parts()] if self.again and self.fresh else [None]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


@dataclass(frozen=True)
class Chunk:
    """A part that is in memory already, or what makes it: a delayed value of Dask."""

    value: Any
    start: int | None = None
    of: str = "all"
    n_rows: int | None = None
    n_bytes: int | None = None

    def read(self) -> Any:
        """Return the rows."""
        return self.value


class Chunks(Source):
    """Chunks in memory, in a sequence; what is a file among them is read by its parts.

    Parameters
    ----------
    pieces : sequence
    identity : callable, optional
    """

    def __init__(self, pieces: Sequence[Piece], identity: Callable[[], str] | None = None) -> None:
        self.pieces, self._identity = pieces, identity

    def parts(self) -> Sequence[Piece]:
        """Return the chunks."""
        return self.pieces

    @property
    def identity(self) -> str:
        """What tells these chunks from others, where that is known."""
        return "" if self._identity is None else self._identity()


class Once(Source):
    """Chunks of an iterator, which are there but once."""

    again = fresh = False

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self.pieces = pieces

    def parts(self) -> Iterator[Piece]:
        """Return the chunks that are left."""
        return self.pieces


class Anew(Source):
    """Chunks that a callable yields anew each time."""

    fresh = False

    def __init__(self, make: Callable[[], Iterator[Piece]]) -> None:
        self.make = make

    def parts(self) -> Iterator[Piece]:
        """Return the chunks of another call."""
        return self.make()


class Joined(Source):
    """Several sources, one after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.named = [name for source in sources for name in source.named]

    def parts(self) -> list[Piece]:
        """Return the parts of each."""
        return [part for source in self.sources for part in source.parts()]

    @property
    def identity(self) -> str:
        """What tells these data from others."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(f"{source.identity};".encode())
        return digest.hexdigest()


def needs_again(name: str) -> DataError:
    """Return the error for chunks that are there but once, and a fit that looks several times."""
    return DataError(
        f"{name} looks at its data several times, and these chunks can be read only once: an "
        "iterator is empty after its first pass. Give a list of chunks, a path, or a callable that "
        "yields the chunks anew, such as `lambda: chunks(path)`."
    )
