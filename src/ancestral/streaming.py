"""Fit from chunks, from files larger than memory, and on a cluster.

A model with sufficient statistics needs its data only once and only in parts: each part's
statistics are summed by `+`, and the sum is solved as `fit` would. Files are read by offset, not
mapped: mapped pages count as the process's own memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._files import as_path, open_regular, shown
from ancestral._tables import unlike_names
from ancestral._threads import summed
from ancestral._validation import check_integer, within_memory
from ancestral.base import ConditionalDensity, FromStatistics
from ancestral.errors import DataError, FormatError, MissingExtraError, ModelError
from ancestral.io.npy import read_header, rows_at

CHUNK_BYTES = 32 << 20
PART = "part"  # which part a sum of statistics begins with
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
        taken one at a time. Empty ones, and those whose weights are all zero, count for nothing.

    Returns
    -------
    model
        The same object, fitted as `fit` would on all rows at once.

    Raises
    ------
    ModelError
        When the model has no sufficient statistics.
    DataError
        When there are no chunks with rows, their columns differ, or targets are missing.

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
    from_file = slices is not None
    given = _iterated(chunks) if slices is None else (part.read() for part in slices)
    rest = ((i, chunk) for i, chunk in enumerate(given) if not _is_empty(model, chunk))

    def sum_of(new: M) -> Any:
        total = _first_statistics(new, rest)
        if from_file:
            checked = (_checked_chunk(new, chunk, reset=False, part=i) for i, chunk in rest)
            return summed(lambda data: new._statistics(*data), checked, total)
        for i, chunk in rest:  # one at a time: what yields them may write each over the last
            with _in_part(i):
                total = total + new._statistics(*_checked_chunk(new, chunk, reset=False))
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
    """
    for part in _slices((NpyTable.of(path),), rows):
        yield part.read()


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
    """

    path: str
    dtype: str
    n_rows: int
    width: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> NpyTable:
        """Read a file's header and check it against the file's size."""
        name = shown(as_path(path))
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                dtype, fortran, shape = read_header(file.read, name)
                offset = file.tell()
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
        return cls(os.fspath(path), dtype.str, shape[0], shape[1:], offset)

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
            flat = rows_at(file, shown(self.path), offset, np.dtype(self.dtype), count)
        return flat.reshape(stop - start, *self.width)


@dataclass(frozen=True)
class _Slice:
    """The same rows of one file, or of several that belong together."""

    tables: tuple[NpyTable, ...]
    start: int
    stop: int

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
        Paths name .npy files of rows: the workers read them by offset, so only file names and
        numbers travel. A conditional model takes a tuple (X, y) or (X, y, sample_weight) of any
        of these, or a list of such tuples. Parts without rows count for nothing.
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
        When the model has no sufficient statistics, or `rows` is no integer of 1 or more.
    """
    _refuse_without_statistics(model)
    try:
        import dask
    except ImportError:
        raise MissingExtraError('fit_dask needs dask: pip install "ancestral[dask]".') from None
    from sklearn.base import clone

    parts = _delayed_chunks(model, source, rows)
    if not parts:
        raise DataError(NO_CHUNKS)
    work = dask.delayed(_worker_statistics, pure=False)
    level = [work(clone(model), part, i) for i, part in enumerate(parts)]
    merge = dask.delayed(_merge, pure=False)
    while len(level) > 1:
        level = [merge(level[i : i + 4]) for i in range(0, len(level), 4)]
    found = dask.compute(level[0])[0] if client is None else client.compute(level[0]).result()
    if found is None:
        raise DataError(NO_CHUNKS)
    total, columns = found

    def sum_of(new: M) -> Any:
        new._take_columns(columns)
        return total

    return model._fit_sum(sum_of)


def _delayed_chunks(model: Any, source: Any, rows: int | None) -> list[Any]:
    """Return what each task reads: a slice of files, or a delayed part of collections."""
    if hasattr(source, "to_delayed"):
        return _blocks(source)
    if (slices := _slices_of_files(model, source, rows)) is not None:
        return slices
    parts: list[Any] = []
    for item in [source] if _is_tuple_of_collections(model, source) else _iterated(source):
        if _is_tuple_of_collections(model, item):
            parts += _blocks_together(item)
        else:
            slices = _slices_of_files(model, item, rows)
            parts += [item] if slices is None else slices
    return parts


def _is_tuple_of_collections(model: Any, source: Any) -> bool:
    """Tell whether this is (X, y) or (X, y, weights) of Dask arrays or dataframes."""
    pair = isinstance(source, tuple) and isinstance(model, ConditionalDensity)
    return pair and all(hasattr(part, "to_delayed") for part in source)


def _blocks(collection: Any) -> list[Any]:
    """Return the delayed parts of a Dask array, whole rows in each, or of a dataframe."""
    _refuse_items(collection)
    if not hasattr(collection, "to_dask_array") and collection.ndim > 1:
        collection = collection.rechunk({1: -1})
    return list(np.ravel(collection.to_delayed()))


def _refuse_items(collection: Any) -> None:
    """Raise DataError for a Dask collection that has no rows, such as a Bag."""
    if not hasattr(collection, "to_dask_array") and not hasattr(collection, "shape"):
        raise DataError(
            f"a Dask {type(collection).__name__} holds items, not rows of numbers. Give a Dask "
            "array or dataframe, as bag.to_dataframe() makes one, or a list of delayed chunks."
        )


def _blocks_together(collections: tuple[Any, ...]) -> list[Any]:
    """Return tuples of the delayed parts of Dask collections whose rows belong together."""
    for collection in collections:
        _refuse_items(collection)
    X, arrays = collections[0], not any(hasattr(part, "to_dask_array") for part in collections)
    if arrays and all(part.shape[0] == X.shape[0] for part in collections):  # and known
        collections = tuple(part.rechunk({0: X.chunks[0]}) for part in collections)
    blocks = [_blocks(part) for part in collections]
    if len({len(parts) for parts in blocks}) > 1:
        raise DataError(
            f"X, y and weights come in {[len(parts) for parts in blocks]} parts, or differ in "
            "their rows: give parts of the same rows in each."
        )
    return list(zip(*blocks))


def _worker_statistics(model: Any, part: Any, i: int) -> tuple[Any, Any] | None:
    """Return one part's statistics, on one BLAS thread: workers are the parallelism.

    None where it has no rows.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        part = part.read() if isinstance(part, _Slice) else part
        if _is_empty(model, part):
            return None
        with _in_part(i):
            statistics = model._statistics(*_checked_chunk(model, part, reset=True))
    return statistics, model._columns() | {PART: i}


def _merge(parts: Iterable[tuple[Any, Any] | None]) -> tuple[Any, Any] | None:
    """Sum statistics of parts; the columns must be those of the first."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    widths = {part[1].get("n_features_in_", part[1].get("n_features_")) for part in found}
    if len(widths) > 1:
        raise DataError(f"chunks differ in their number of columns: {sorted(widths)}.")
    first = found[0][1]
    for _, other in found[1:]:
        _refuse_other_names(first, other)
    total = found[0][0]
    for statistics, other in found[1:]:
        with _in_part(other[PART]):
            total = total + statistics
    return total, first


def _refuse_other_names(first: dict[str, Any], other: dict[str, Any]) -> None:
    """Raise DataError where two parts name their columns otherwise: sums are taken by place."""
    one, two = (part.get("feature_names_in_") for part in (first, other))
    if one is None and two is None:
        return
    if one is None or two is None:
        bare, named = (first, other) if one is None else (other, first)
        raise DataError(
            f"part {bare[PART]} has no names of columns and part {named[PART]} has: name them in "
            "every part, or in none."
        )
    if (mend := unlike_names(one, two)) is not None:
        raise DataError(
            f"part {other[PART]}: The feature names should match those of part {first[PART]}.\n"
            f"{mend.replace('list(model.feature_names_in_)', repr([*map(str, one)]))}"
        )


def _first_statistics(model: Any, chunks: Iterator[tuple[int, Any]]) -> Any:
    """Return the statistics of the first chunk, whose columns the others must have."""
    for i, chunk in chunks:
        with _in_part(i):
            return model._statistics(*_checked_chunk(model, chunk, reset=True))
    raise DataError(NO_CHUNKS)


@contextmanager
def _in_part(i: int) -> Iterator[None]:
    """Name the part in which an error was found."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"part {i}: {error}") from None


def _iterated(source: Any) -> Iterator[Any]:
    """Return an iterator over chunks; a table is one chunk, not an iterable of several."""
    if hasattr(source, "columns") or hasattr(source, "schema"):
        raise DataError(
            f"chunks is one {type(source).__name__}, and an iterable of chunks is wanted: give "
            "[X], or [(X, y)] for a conditional model."
        )
    try:
        return iter(source)
    except TypeError:
        raise DataError(
            f"chunks must come as an iterable of arrays, or be a path; got {source!r}. "
            "Give [X] for a single array."
        ) from None


def _parts_of(model: Any, chunk: Any) -> tuple[Any, ...]:
    """Return the arguments of `fit` that a chunk holds."""
    sizes = (2, 3) if isinstance(model, ConditionalDensity) else (2,)
    return chunk if isinstance(chunk, tuple) and len(chunk) in sizes else (chunk, None)


def _is_empty(model: Any, chunk: Any) -> bool:
    """Tell whether a chunk has no rows, or none of a weight above zero."""
    X, _, *weights = _parts_of(model, chunk)
    n_rows = X.shape[:1] if hasattr(X, "shape") else (len(X),) if hasattr(X, "__len__") else ()
    return n_rows == (0,) or any(w is not None and np.size(w) and not np.any(w) for w in weights)


def _without_targets(model: Any, seen: str) -> str:
    """Word the error for rows that come without targets."""
    return (
        f"{type(model).__name__} learns y given X, and {seen} brings no targets. Give each chunk "
        'as (X, y) or (X, y, sample_weight), or a tuple of such files: ("X.npy", "y.npy").'
    )


def _checked_chunk(
    model: Any, chunk: Any, *, reset: bool, part: int | None = None
) -> tuple[Any, ...]:
    """Return one chunk checked as `fit` would."""
    if part is not None:
        with _in_part(part):
            return _checked_chunk(model, chunk, reset=reset)
    parts = _parts_of(model, chunk)
    if isinstance(model, ConditionalDensity) and parts[1] is None:
        raise DataError(_without_targets(model, f"a chunk of type {type(chunk).__name__}"))
    checked: tuple[Any, ...] = model._check_chunk(*parts, reset=reset)
    return checked


def _refuse_without_statistics(model: Any) -> None:
    """Raise ModelError for a model whose fit is no sum of statistics."""
    if not isinstance(model, FromStatistics):
        raise ModelError(
            f"{type(model).__name__} has no sufficient statistics: its fit needs all rows at once."
        )
