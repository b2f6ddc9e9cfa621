"""Fit from chunks, from files larger than memory, and on a cluster.

A model with sufficient statistics needs its data only once and only in parts: each part's
statistics are summed by `+`, and the sum is solved as `fit` would. Files are read by offset, not
mapped: mapped pages count as the process's own memory.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import shown as in_short
from ancestral._checks.numbers import check_integer, within_memory
from ancestral._extras import import_extra
from ancestral._files import as_path, open_regular, shown
from ancestral._numerics.threads import summed
from ancestral.base import ConditionalDensity, FromStatistics, GraphDensity
from ancestral.errors import DataError, FormatError, ModelError
from ancestral.io.npy import read_header, rows_at
from ancestral.streaming.dask_workers import STATISTICS, computed
from ancestral.streaming.parts import Columns, Place, in_part

__all__ = ["fit_chunks", "fit_dask", "read_chunks"]

CHUNK_BYTES = 32 << 20
NO_CHUNKS = "there are no chunks with rows: give at least one array of rows."
SMALLER_CHUNKS = "Give smaller chunks, or fewer columns."
M = TypeVar("M", bound=FromStatistics)


@within_memory(SMALLER_CHUNKS)
def fit_chunks(model: M, chunks: Any) -> M:
    """Fit a model to data that come in parts.

    Parameters
    ----------
    model : PPCA, LinearGaussian, TabularAutoregressive or InnerProductGraph
        Any model with sufficient statistics.
    chunks : iterable, path-like, or tuple of path-like
        Arrays of shape (n_i, n_features) for densities, pairs (X, y) or triples
        (X, y, sample_weight) for conditional models, lists of graphs for graph models; or the
        path of a .npy file of rows (a pair or triple of paths for conditional models), read by
        offset, some 32 MiB at a time and at most six such parts ahead. Chunks of an iterable are
        taken one at a time; it may hold such paths too. Empty ones, and those whose weights are all
        zero, count for nothing. Columns that have names are matched by name, in the order of the
        first part.

    Returns
    -------
    model
        The same object, fitted as `fit` would on all rows at once.

    Raises
    ------
    ModelError
        When the model has no sufficient statistics.
    DataError
        When there are no chunks with rows, a part has other columns than the first (more, fewer,
        of other names, or text where the first has numbers), or targets are missing. What a part
        holds that cannot be taken is named with the part and its row.
    FormatError
        When a file cannot be read, or is changed while it is.

    Examples
    --------
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> model = fit_chunks(PPCA(2), (X[i : i + 70] for i in range(0, 300, 70)))
    >>> bool(np.isclose(model.score(X), PPCA(2).fit(X).score(X), rtol=1e-12))
    True
    """
    _refuse_without_statistics(model)
    slices = _slices_of_files(model, chunks, None)
    given = _chunks(model, chunks) if slices is None else _read(slices)
    rest = ((place, chunk) for place, chunk in given if not _is_empty(model, chunk))

    def sum_of(new: M) -> Any:
        total, columns = _first_statistics(new, rest)
        if slices is not None:
            checked = (
                (place, _checked_chunk(new, chunk, place, columns)[0]) for place, chunk in rest
            )
            return summed(lambda part: _statistics_of(new, *part), checked, total)
        for place, chunk in rest:  # one at a time: what yields them may write each over the last
            data, _ = _checked_chunk(new, chunk, place, columns)
            statistics = _statistics_of(new, place, data)
            with in_part(place):
                total = total + statistics
        return total

    return model._fit_sum(sum_of)


def read_chunks(path: str | os.PathLike[str], rows: int | None = None) -> Iterator[NDArray]:
    """Yield the rows of a .npy file in parts, reading each by its offset.

    Parameters
    ----------
    path : path-like
        A C-ordered array of numbers, 2-D, or 1-D for targets or weights.
    rows : int, optional
        Rows per part; about 32 MiB of them when not given.

    Yields
    ------
    ndarray of shape (rows, n_features) or (rows,)

    Raises
    ------
    FormatError
        When the file is no such .npy, is damaged, or is shorter than its header says.
    DataTypeError
        When it holds what `read_array` refuses: text, objects, complex numbers, long doubles.
    ModelError
        When `rows` is no integer of 1 or more.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.npy"
    >>> np.save(path, np.ones((5, 2)))
    >>> sum(len(chunk) for chunk in read_chunks(path))
    5
    """
    for _, chunk in _read(_slices((NpyTable.of(path),), rows)):
        yield chunk


SAMPLED = 64 << 10  # bytes at either end of a file, by which two are told apart
SAMPLES, SAMPLE = 14, 4 << 10  # and between them


@dataclass(frozen=True)
class Identity:
    """What a file was when it was first opened: where, how large, when written, and a digest.

    Parameters
    ----------
    place : tuple of int
        Device and number of the file.
    n_bytes : int
    written : int
        Nanoseconds.
    digest : str
        SHA-256 of its first and last 64 KiB, and of 14 pieces of 4 KiB between.
    """

    place: tuple[int, int]
    n_bytes: int
    written: int
    digest: str

    @classmethod
    def of(cls, file: IO[bytes]) -> Identity:
        """Return that of an open file, whose position is left where it is."""
        status = os.fstat(file.fileno())
        return cls(
            (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns, _digest(file)
        )

    def unlike(self, file: IO[bytes]) -> str | None:
        """Say why an open file is not this one, nor a copy of it; None where it is."""
        status = os.fstat(file.fileno())
        place = status.st_dev, status.st_ino
        if (place, status.st_size, status.st_mtime_ns) == (self.place, self.n_bytes, self.written):
            return None
        if place == self.place:
            return "was changed while it was read. Call again when nothing writes to it."
        if status.st_size != self.n_bytes or _digest(file) != self.digest:
            return (
                f"is another file, on {platform.node() or 'this machine'}, than the one that was "
                "opened first. Give a path that leads to the same file on every machine."
            )
        return None


def _digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of pieces of a file that tell it from others of its size."""
    at, size = file.tell(), os.fstat(file.fileno()).st_size
    found = hashlib.sha256()
    inner = [size * i // (SAMPLES + 1) for i in range(1, SAMPLES + 1)] if size > 4 * SAMPLED else []
    for start, n in (
        (0, SAMPLED),
        *((start, SAMPLE) for start in inner),
        (size - SAMPLED, SAMPLED),
    ):
        file.seek(max(0, start))
        found.update(file.read(n))
    file.seek(at)
    return found.hexdigest()


@dataclass(frozen=True)
class NpyTable:
    """Where the rows of a .npy file stand: enough to read any of them by offset.

    Parameters
    ----------
    path : str
    dtype : str
    n_rows : int
    width : tuple of int
        (n_columns,), or () of a 1-D array.
    offset : int
        Bytes before the first row.
    seen : Identity, optional
        What the file was when its header was read: it must be that file, or an equal one, when
        rows are read, on whatever machine.
    """

    path: str
    dtype: str
    n_rows: int
    width: tuple[int, ...]
    offset: int
    seen: Identity | None = None

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> NpyTable:
        """Read a file's header and check it against the file's size."""
        name = shown(as_path(path))
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                dtype, fortran, shape = read_header(file.read, name)
                offset = file.tell()
                seen = Identity.of(file)
                path = os.path.abspath(path)  # workers have another folder
            except OSError as error:
                raise FormatError(f"{name}: cannot be read ({error.strerror}).") from None
        fortran = fortran and len(shape) > 1
        if len(shape) not in (1, 2) or fortran:
            mend = "numpy.ascontiguousarray(X)" if fortran else "one row of numbers per sample"
            raise FormatError(
                f"{name}: holds shape {shape}, {dtype}{', Fortran order' * fortran}; rows of a "
                f"1-D or 2-D, C-ordered array of numbers are wanted. Save {mend}."
            )
        if 0 in shape[1:]:
            raise FormatError(f"{name}: holds shape {shape}: rows without columns are no data.")
        promised = offset + math.prod(shape) * dtype.itemsize
        if size < promised:
            raise FormatError(
                f"{name}: its header promises {promised} bytes, the file has {size}: copy it again."
            )
        return cls(path, dtype.str, shape[0], shape[1:], offset, seen)

    @property
    def default_rows(self) -> int:
        """Rows that make about 32 MiB."""
        return max(1, CHUNK_BYTES // max(1, self._row_bytes))

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.width) * np.dtype(self.dtype).itemsize

    def read(self, start: int, stop: int) -> NDArray:
        """Return rows start to stop."""
        count = (stop - start) * math.prod(self.width)
        offset = self.offset + start * self._row_bytes
        with open_regular(self.path) as file:
            if self.seen is not None and (why := self.seen.unlike(file)):
                raise FormatError(f"{shown(self.path)}: {why}")
            flat = rows_at(file, shown(self.path), offset, np.dtype(self.dtype), count)
        return flat.reshape(stop - start, *self.width)


@dataclass(frozen=True)
class _Slice:
    """The same rows of one file, or of several that belong together."""

    tables: tuple[NpyTable, ...]
    start: int
    stop: int

    def place(self, part: int) -> Place:
        """Return where these rows stand, as part number so many."""
        of = "the files" if len(self.tables) > 1 else shown(self.tables[0].path)
        return Place(part, self.start, of)

    def read(self) -> Any:
        """Return the rows of one file, a tuple of those of several."""
        parts = tuple(table.read(self.start, self.stop) for table in self.tables)
        return parts if len(parts) > 1 else parts[0]


def _slices(tables: tuple[NpyTable, ...], rows: int | None) -> list[_Slice]:
    """Cut files of one length into parts of so many rows, or of about 32 MiB."""
    n = tables[0].n_rows
    if rows is None:
        step = min(table.default_rows for table in tables)
    else:
        step = check_integer(rows, "rows", minimum=1)
    return [_Slice(tables, start, min(start + step, n)) for start in range(0, n, step)]


def _slices_of_files(model: Any, source: Any, rows: int | None) -> list[_Slice] | None:
    """Return the parts of a file, or of one each for X, y and weights; None for what is no path."""
    conditional = isinstance(model, ConditionalDensity)
    paths = source if isinstance(source, tuple) and conditional else (source,)
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        return None
    if conditional and len(paths) not in (2, 3):
        raise DataError(_without_targets(model, f"the path {os.fspath(paths[0])!r}"))
    tables = tuple(NpyTable.of(path) for path in paths)
    for table in tables[1:]:
        if table.n_rows != tables[0].n_rows:
            raise DataError(
                f"{tables[0].path} has {tables[0].n_rows} rows, {table.path} has {table.n_rows}: "
                "give files of one row per sample."
            )
    return _slices(tables, rows)


@within_memory(SMALLER_CHUNKS)
def fit_dask(model: M, source: Any, *, rows: int | None = None, client: Any = None) -> M:
    """Fit a model with Dask: statistics in the workers, merged as a tree, solved here.

    Parameters
    ----------
    model : any model with sufficient statistics
    source : path-like, list of path-like, dask array, dask dataframe, or list of delayed chunks
        Paths name .npy files of rows: the workers read them by offset, so only absolute names
        and numbers travel; each checks that it sees the file that is seen here, or a copy. A
        conditional model takes a tuple (X, y) or (X, y, sample_weight) of any of these, or a list
        of such tuples. Parts without rows count for nothing, and columns that have names are
        matched by name.
    rows : int, optional
        Rows per task for files; about 32 MiB of them when not given.
    client : distributed.Client, optional
        Where to run; otherwise wherever `dask.compute` does.

    Returns
    -------
    model
        The same object, fitted.

    Raises
    ------
    MissingExtraError
        Without dask: pip install "ancestral[dask]".
    ModelError
        When the model has no sufficient statistics, or `rows` is no integer of 1 or more; when a
        part ends the process that works on it, or the cluster is gone.
    DataError
        As `fit_chunks`, or when what makes a part raises an error.
    FormatError
        When a worker cannot read a file, or sees another one by that path.

    Notes
    -----
    Where a part has its columns in another order than the first, all parts are made and summed a
    second time, in that order. Ctrl-C cancels the work.

    Examples
    --------
    >>> import dask.array as da
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(200, 3)) * [3.0, 1.0, 1.0]
    >>> model = fit_dask(PPCA(1), da.from_array(X, chunks=(50, 3)))
    >>> bool(np.isclose(model.noise_variance_, PPCA(1).fit(X).noise_variance_))
    True
    """
    _refuse_without_statistics(model)
    delayed = import_extra("dask", "fit_dask", "dask").delayed
    from sklearn.base import clone

    parts = _delayed_chunks(model, source, rows)
    if not parts:
        raise DataError(NO_CHUNKS)
    model_of_parts = clone(model)
    found = computed(_sum_of(delayed, model_of_parts, parts, None), client)
    if isinstance(found, Columns):  # some part has them in another order: once more, in this one
        found = computed(_sum_of(delayed, model_of_parts, parts, found), client)
    if found is None:
        raise DataError(NO_CHUNKS)
    total, columns = found

    def sum_of(new: M) -> Any:
        new._take_columns(columns.width)
        return total

    return model._fit_sum(sum_of)


def _sum_of(delayed: Any, model: Any, parts: list[tuple[Place, Any]], like: Columns | None) -> Any:
    """Return the delayed sum of statistics of parts, and their columns."""
    work, merge = (delayed(task, pure=False) for task in (_worker_statistics, _merge))
    token = os.urandom(8).hex()
    level = [
        work(model, part, place, like, dask_key_name=f"{STATISTICS}-{place.part}-{token}")
        for place, part in parts
    ]
    while len(level) > 1:
        level = [merge(level[i : i + 4]) for i in range(0, len(level), 4)]
    return level[0]


def _delayed_chunks(model: Any, source: Any, rows: int | None) -> list[tuple[Place, Any]]:
    """Return what each task reads: a slice of files, or a delayed part of collections."""
    slices = _slices_of_files(model, source, rows)
    if slices is not None:
        return [(part.place(i), part) for i, part in enumerate(slices)]
    whole = _is_collection(source) or _is_tuple_of_collections(model, source)
    parts: list[tuple[Place, Any]] = []
    for item in [source] if whole else _iterated(source):
        slices = _slices_of_files(model, item, rows)
        if slices is not None:
            parts += [(part.place(len(parts) + i), part) for i, part in enumerate(slices)]
        elif _is_collection(item) or _is_tuple_of_collections(model, item):
            blocks = _blocks_together(item if isinstance(item, tuple) else (item,))
            starts = _starts(item[0] if isinstance(item, tuple) else item) if whole else None
            parts += [
                (Place(len(parts) + i, starts[i] if starts else None), block)
                for i, block in enumerate(blocks)
            ]
        else:
            parts.append((Place(len(parts)), item))
    return parts


def _is_collection(source: Any) -> bool:
    """Tell whether this is a Dask array, dataframe, or the like; a delayed value is none."""
    return hasattr(type(source), "to_delayed")


def _is_tuple_of_collections(model: Any, source: Any) -> bool:
    """Tell whether this is (X, y) or (X, y, weights) of Dask arrays or dataframes."""
    pair = isinstance(source, tuple) and isinstance(model, ConditionalDensity)
    return pair and all(_is_collection(part) for part in source)


def _is_frame(collection: Any) -> bool:
    return hasattr(collection, "to_dask_array")


def _starts(collection: Any) -> list[int] | None:
    """Return the first row of each part of a Dask array; None where that is not known."""
    if _is_frame(collection) or not all(size == size for size in collection.chunks[0]):
        return None
    return [sum(collection.chunks[0][:i]) for i in range(len(collection.chunks[0]))]


def _blocks(collection: Any) -> list[Any]:
    """Return the delayed parts of a Dask array, whole rows in each, or of a dataframe."""
    if not _is_frame(collection) and collection.ndim > 1:
        collection = collection.rechunk(dict.fromkeys(range(1, collection.ndim), -1))
    return list(np.ravel(collection.to_delayed()))


def _refuse_items(collection: Any) -> None:
    """Raise DataError for a Dask collection that has no rows, such as a Bag."""
    if not _is_frame(collection) and not hasattr(collection, "shape"):
        raise DataError(
            f"a Dask {type(collection).__name__} holds items, not rows of numbers. Give a Dask "
            "array or dataframe, as bag.to_dataframe() makes one, or a list of delayed chunks."
        )
    if not _is_frame(collection) and not collection.shape:
        raise DataError("a Dask array without dimensions holds no rows: give one of rows.")


def _blocks_together(collections: tuple[Any, ...]) -> list[Any]:
    """Return the delayed parts of a collection, or tuples of those whose rows belong together."""
    for collection in collections:
        _refuse_items(collection)
    X = collections[0]
    if len(collections) == 1:
        return _blocks(X)
    arrays = not any(map(_is_frame, collections))
    if arrays and all(part.shape[0] == X.shape[0] for part in collections):  # and known
        collections = tuple(part.rechunk({0: X.chunks[0]}) for part in collections)
    blocks = [_blocks(part) for part in collections]
    if len({len(parts) for parts in blocks}) > 1:
        raise DataError(
            f"X, y and weights come in {[len(parts) for parts in blocks]} parts, or differ in "
            "their rows: give parts of the same rows in each."
        )
    return list(zip(*blocks))


Found = tuple[Any, Columns]


def _worker_statistics(model: Any, part: Any, place: Place, like: Columns | None) -> Found | None:
    """Return one part's statistics, on one BLAS thread: workers are the parallelism.

    None where it has no rows.
    """
    from sklearn.base import clone
    from threadpoolctl import threadpool_limits

    model = clone(model)  # threads of one process share what they are given
    if like is not None:
        model._take_columns(like.width)
    with threadpool_limits(1):
        if isinstance(part, _Slice):
            with in_part(place):
                part = within_memory(SMALLER_CHUNKS)(part.read)()
        if _is_empty(model, part):
            return None
        data, columns = _checked_chunk(model, part, place, like)
        return _statistics_of(model, place, data), columns


def _merge(parts: Sequence[Found | Columns | None]) -> Found | Columns | None:
    """Sum statistics of parts; the columns must be those of the first.

    Its columns alone where a part has them in another order: sums are taken by place.
    """
    given = [part for part in parts if part is not None]
    if not given:
        return None
    found = [part for part in given if not isinstance(part, Columns)]
    all_columns = [part if isinstance(part, Columns) else part[1] for part in given]
    first = next((one for one in all_columns if one.names is not None), all_columns[0])
    if not all(first.same_order(other) for other in all_columns) or len(found) < len(given):
        return first
    total = found[0][0]
    for statistics, columns in found[1:]:
        with in_part(Place(columns.part)):
            total = total + statistics
    return total, first


def _statistics_of(model: Any, place: Place, data: tuple[Any, ...]) -> Any:
    """Return the statistics of one checked part."""
    with in_part(place):
        return within_memory(SMALLER_CHUNKS)(model._statistics)(*data)


def _first_statistics(model: Any, chunks: Iterator[tuple[Place, Any]]) -> Found:
    """Return the statistics of the first chunk, and its columns, which the others must have."""
    for place, chunk in chunks:
        data, columns = _checked_chunk(model, chunk, place, None)
        return _statistics_of(model, place, data), columns
    raise DataError(NO_CHUNKS)


def _read(slices: list[_Slice], first: int = 0) -> Iterator[tuple[Place, Any]]:
    """Yield the parts of files, numbered from the first."""
    for i, piece in enumerate(slices, first):
        with in_part(piece.place(i)):
            chunk = piece.read()
        yield piece.place(i), chunk


def _chunks(model: Any, source: Any) -> Iterator[tuple[Place, Any]]:
    """Yield chunks of an iterable, and the parts of files that it names."""
    if _is_collection(source):
        raise DataError(
            f"chunks is a Dask {type(source).__name__}: fit_dask fits to it where it is."
        )
    part, start = 0, None if isinstance(model, GraphDensity) else 0
    for item in _iterated(source):
        slices = _slices_of_files(model, item, None)
        if slices is not None:
            yield from _read(slices, part)
            part, start = part + len(slices), None
            continue
        yield Place(part, start), item
        n_rows = _n_rows(_parts_of(model, item)[0])
        part, start = part + 1, None if start is None or n_rows is None else start + n_rows


def _iterated(source: Any) -> Iterator[Any]:
    """Return an iterator over chunks; a table is one chunk, not an iterable of several."""
    is_table = isinstance(source, np.ndarray) and source.ndim < 3 and source.dtype != object
    if hasattr(source, "columns") or hasattr(source, "schema") or is_table:
        raise DataError(
            f"chunks is one {type(source).__name__}, and an iterable of chunks is wanted: give "
            "[X], or [(X, y)] for a conditional model."
        )
    try:
        if isinstance(source, str | bytes | Mapping):
            raise TypeError
        return iter(source)
    except TypeError:
        raise DataError(
            f"chunks must come as an iterable of arrays, or be a path; got {in_short(source)}. "
            "Give [X] for a single array."
        ) from None


def _parts_of(model: Any, chunk: Any) -> tuple[Any, ...]:
    """Return the arguments of `fit` that a chunk holds."""
    sizes = (2, 3) if isinstance(model, ConditionalDensity) else (2,)
    return chunk if isinstance(chunk, tuple) and len(chunk) in sizes else (chunk, None)


def _n_rows(X: Any) -> int | None:
    """Return the number of rows of what is given as X; None where it does not tell."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple):
        return shape[0] if shape else None
    return len(X) if hasattr(X, "__len__") else None


def _is_empty(model: Any, chunk: Any) -> bool:
    """Tell whether a chunk has no rows, or none of a weight above zero."""
    X, _, *weights = _parts_of(model, chunk)
    return _n_rows(X) == 0 or any(w is not None and np.size(w) and not np.any(w) for w in weights)


def _without_targets(model: Any, seen: str) -> str:
    """Word the error for rows that come without targets."""
    return (
        f"{type(model).__name__} learns y given X, and {seen} brings no targets. Give each chunk "
        'as (X, y) or (X, y, sample_weight), or a tuple of such files: ("X.npy", "y.npy").'
    )


def _checked_chunk(
    model: Any, chunk: Any, place: Place, like: Columns | None
) -> tuple[tuple[Any, ...], Columns]:
    """Return one chunk checked as `fit` would, in the order of these columns, and its own."""
    given = _parts_of(model, chunk)
    if isinstance(model, ConditionalDensity) and given[1] is None:
        raise DataError(_without_targets(model, f"a chunk of type {type(chunk).__name__}"))
    if like is not None:
        given = like.takes(place.part, given)
    with in_part(place):
        data = within_memory(SMALLER_CHUNKS)(model._check_chunk)(*given, reset=like is None)
    columns = Columns.of(model, place.part, given, data)
    if like is not None:
        like.refuse_other_kinds(columns)
    return data, columns


def _refuse_without_statistics(model: Any) -> None:
    """Raise ModelError for a model whose fit is no sum of statistics."""
    if not isinstance(model, FromStatistics):
        raise ModelError(
            f"{type(model).__name__} has no sufficient statistics: its fit needs all rows at once. "
            f"{getattr(model, '_where_memory_is_short', 'Give a model that has them.')}"
        )
