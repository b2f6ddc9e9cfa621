"""Parts that Dask's workers read and look at: what travels are descriptions, parameters and sums.

What a look needs (the parameters of a pass) is sent once for each pass, not with each part. Parts
that are looked at twice stay with the workers where these have room for them, and are read again
otherwise. A worker that ends takes nothing with it: its parts are read by the others.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple

from ancestral._checks.numbers import within_memory
from ancestral._extras import import_extra
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
from ancestral.streaming.dask_workers import STATISTICS, cluster_of, computed
from ancestral.streaming.identity import identity_of
from ancestral.streaming.local import other_rows
from ancestral.streaming.source import Chunk, Source, needs_again
from ancestral.training.parts import BRANCHES, Part, Parts

KEPT_SHARE = 0.25  # of the workers' memory, that the rows of parts which stay there may take
SUM_SHARE = 1 / 32  # of a worker's memory, that a sum may take: several meet where they are added
Found = tuple[Any, "Columns | None", dict[int, "int | None"]]


class Work:
    """The parts of one fit on workers, and what is known of them.

    Parameters
    ----------
    model : Model
        That is fitted: given the columns of the parts after the first look.
    source : Source
    roles : Roles
    client : distributed.Client, optional
    """

    def __init__(self, model: Any, source: Source, roles: Roles, client: Any) -> None:
        from sklearn.base import clone

        if not source.again:
            raise needs_again("fit_dask")
        self.model, self.source, self.roles, self.client = model, source, roles, client
        self.checker = clone(model)
        self.pieces = list(listed(source))
        if not self.pieces:
            raise DataError(NO_CHUNKS)
        self.columns: Columns | None = None
        self.seen: dict[int, int | None] | None = None  # rows of each part

    def total(self, look: Callable[[Any], Any], parts: Sequence[Any], *, anew: bool) -> Any:
        """Return the sum of a look over parts: descriptions, or what was made of them."""
        found = computed(self._tree(look, parts, anew=anew), self.client)
        if isinstance(found, Columns):  # some part has them in another order: once more, in this
            self.columns = found
            found = computed(self._tree(look, parts, anew=anew), self.client)
        total, columns, sizes = found
        if total is None:
            raise DataError(NO_CHUNKS)
        if self.columns is None or self.seen is None:
            self.columns = self.columns or columns
            self.model._take_columns(self.columns.width)
            self.seen = sizes
        elif anew and sizes != self.seen:
            number = next(k for k in {**sizes, **self.seen} if sizes.get(k) != self.seen.get(k))
            raise other_rows(
                f"{self.seen.get(number)} rows in part {number}", f"{sizes.get(number)}"
            )
        return total

    def _tree(self, look: Callable[[Any], Any], parts: Sequence[Any], *, anew: bool) -> Any:
        """Return the delayed sum."""
        delayed = import_extra("dask", "fit_dask", "dask").delayed
        work, merge = (delayed(task, pure=False) for task in (looked, merged))
        token = os.urandom(8).hex()
        how = delayed(self._how(look), pure=False, name=f"look-{token}")
        level = []
        for number, (piece, part) in enumerate(zip(self.pieces, parts)):
            place = Place.of_piece(number, piece)
            what = _description(part) if anew else part
            level.append(
                work(how, what, place, anew, dask_key_name=f"{STATISTICS}-{number}-{token}")
            )
        while len(level) > 1:
            level = [merge(level[i : i + BRANCHES]) for i in range(0, len(level), BRANCHES)]
        return level[0]

    def _how(self, look: Any) -> How:
        """Return what travels once for all parts."""
        starts: dict[int, int | None] = {}
        start: int | None = 0
        for number, n in sorted((self.seen or {}).items()):
            starts[number] = start
            start = None if start is None or n is None else start + n
        return How(look, self.checker, self.roles, self.columns, starts)

    def memory_limits(self) -> list[int]:
        """Return the bytes that each worker may take; none where there are no workers, or no
        limits.
        """
        if (cluster := cluster_of(self.client)) is None:
            return []
        limits = [int(w["memory_limit"]) for w in cluster.scheduler_info()["workers"].values()]
        return limits if all(limits) else []

    def kept(self, makes: tuple[Callable[[Any], Any], ...]) -> list[Any] | None:
        """Return what is made of each part, held by the workers; None where they lack the room."""
        cluster, n_bytes, limits = (
            cluster_of(self.client),
            self.source.n_bytes,
            self.memory_limits(),
        )
        if not limits or n_bytes is None or n_bytes > KEPT_SHARE * sum(limits):
            return None
        delayed = import_extra("dask", "fit_dask", "dask").delayed
        work, token = delayed(made, pure=False), os.urandom(8).hex()
        how = delayed(self._how(makes), pure=False, name=f"make-{token}")
        parts = [
            work(how, _description(piece), Place.of_piece(i, piece),
                 dask_key_name=f"{STATISTICS}-{i}-kept-{token}")
            for i, piece in enumerate(self.pieces)
        ]  # fmt: skip
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")
            return list(cluster.persist(parts))


def _description(piece: Any) -> Any:
    """Return what travels of a part: a delayed chunk is computed where it is looked at."""
    return (piece.value, True) if isinstance(piece, Chunk) else (piece, False)


class How(NamedTuple):
    """What a pass sends: the look, how a part is checked, and where parts begin, where known."""

    look: Any
    model: Any
    roles: Roles
    columns: Columns | None
    starts: dict[int, int | None]


def read_part(
    how: How, what: tuple[Any, bool], place: Place
) -> tuple[Part | None, Any, int | None]:
    """Return a part, checked by a model of its own, its columns and how many rows it has.

    None where it has no rows.
    """
    from sklearn.base import clone

    model = clone(how.model)  # threads of one process share what they are given
    if how.columns is not None:
        model._take_columns(how.columns.width)
    chunk, is_read = what
    if not is_read:
        chunk = read(chunk, place)
    with in_part(place):
        given = how.roles.given(model, chunk)
    n = n_rows(given[0])
    if is_empty(given):
        return None, None, n
    if how.columns is None:
        how.roles.remember(model, chunk)
    data, columns = checked(model, given, place, how.columns)
    return Part(data, model, place.part, how.starts.get(place.part)), columns, n


def looked(how: How, what: Any, place: Place, anew: bool) -> Found:  # noqa: FBT001
    """Return what a look at one part gives, on one BLAS thread: workers are the parallelism.

    None, its columns and its number of rows, where none of these counts.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), memory_given_back():
        columns, sizes = None, {}
        part = what
        if anew:
            part, columns, n = read_part(how, what, place)
            sizes = {place.part: n}
        if part is None:
            return None, None, sizes
        with in_part(place):
            return within_memory(SMALLER_CHUNKS)(how.look)(part), columns, sizes


def made(how: How, what: Any, place: Place) -> Any:
    """Return what is made of one part; None where it has no rows."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), memory_given_back():
        part, _, _ = read_part(how, what, place)
        if part is None:
            return None
        with in_part(place):
            for make in how.look:
                part = within_memory(SMALLER_CHUNKS)(make)(part)
        return part


def merged(parts: Sequence[Found | Columns]) -> Found | Columns:
    """Sum what looks at parts gave; the columns must be those of the first.

    Its columns alone where a part has them in another order: sums are taken by place.
    """
    found = [part for part in parts if not isinstance(part, Columns)]
    every = [part if isinstance(part, Columns) else part[1] for part in parts]
    known = [columns for columns in every if columns is not None]
    first = next((one for one in known if one.names is not None), known[0] if known else None)
    if first is not None and (
        not all(first.same_order(other) for other in known) or len(found) < len(parts)
    ):
        return first
    total: Any = None
    sizes: dict[int, int | None] = {}
    for statistics, columns, more in found:
        sizes |= more
        if statistics is not None:
            with in_part(Place(columns.part if columns else min(more, default=0))):
                total = statistics if total is None else total + statistics
    return total, first, sizes


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Give memory that a part took back to the system: a worker that seems full is paused."""
    yield
    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.default_memory_pool().release_unused()
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


class There(Parts[Any]):
    """Parts that workers read and look at.

    Parameters
    ----------
    work : Work
    makes : tuple of callable
        What is made of a checked part, one after the other.
    """

    def __init__(self, work: Work, makes: tuple[Callable[[Any], Any], ...] = ()) -> None:
        self.work, self.makes = work, makes
        self.held: list[Any] | None = None
        self.n_looks = 0

    @property
    def n_rows(self) -> int | None:
        """How many rows there are, where the source tells."""
        return self.work.source.n_rows

    @property
    def room(self) -> int | None:
        """How many bytes a sum may take on the smallest worker."""
        limits = self.work.memory_limits()
        return None if not limits else int(SUM_SHARE * min(limits))

    def total(self, look: Callable[[Any], Any]) -> Any:
        """Return the sum of what a look gives for each part."""
        self.n_looks += 1
        if self.n_looks == 2:
            self.held = self.work.kept(self.makes)
        if self.held is not None:
            return self.work.total(look, self.held, anew=False)
        look = After(self.makes, look) if self.makes else look
        return self.work.total(look, self.work.pieces, anew=True)

    def __iter__(self) -> Iterator[Any]:
        raise DataError("parts on workers have no order here: they are summed, not walked.")

    def in_order(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Raise DataError: who walks parts has them here."""
        return iter(self)

    def spread(self) -> AbstractContextManager[Any]:
        """Let what joblib does at once be done by the workers, where there is a cluster."""
        import joblib

        client = cluster_of(self.work.client)
        return nullcontext() if client is None else joblib.parallel_config("dask", client=client)

    def prepared(self, make: Callable[[Any], Any]) -> There:
        """Return the same parts, each as what is made of it."""
        return There(self.work, (*self.makes, make))

    @property
    def identity(self) -> str:
        """What tells these data from others."""
        work = self.work
        return identity_of(There(work), work.source, work.roles, work.columns)


class After:
    """A look at what is made of a part."""

    def __init__(self, makes: tuple[Callable[[Any], Any], ...], look: Callable[[Any], Any]) -> None:
        self.makes, self.look = makes, look

    def __call__(self, part: Any) -> Any:
        for make in self.makes:
            part = make(part)
        return self.look(part)
