"""Fit from chunks, from files larger than memory, and on a cluster.

A model with sufficient statistics needs its data only once and only in parts: each part's
statistics are summed by `+`, and the sum is solved as `fit` would. Files are read by offset, not
mapped: mapped pages count as the process's own memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._model import WIDTHS
from ancestral._threads import summed
from ancestral._validation import check_integer, within_memory
from ancestral.base import ConditionalDensity, FromStatistics, unchanged_by_errors
from ancestral.errors import DataError, FormatError, MissingExtraError, ModelError
from ancestral.io.npy import read_header

CHUNK_BYTES = 32 << 20
SMALLER_CHUNKS = "Give smaller chunks, or fewer columns."
M = TypeVar("M", bound=FromStatistics)


@within_memory(SMALLER_CHUNKS)
def fit_chunks(model: M, chunks: Any) -> M:
    """Fit a model to data that come in parts.

    Parameters
    ----------
    model : PPCA, LinearGaussian, TabularAutoregressive or InnerProductGraph
        Any model with sufficient statistics.
    chunks : iterable, or path-like
        Arrays of shape (n_i, n_features) for densities, pairs (X, y) or triples
        (X, y, sample_weight) for conditional models, lists of graphs for graph models; or the
        path of a .npy file of rows, read by offset, some 32 MiB at a time and at most six such
        parts ahead. Chunks of an iterable are taken one at a time.

    Returns
    -------
    model
        The same object, fitted as `fit` would on all rows at once.

    Raises
    ------
    ModelError
        When the model has no sufficient statistics.
    DataError
        When there are no chunks, or their columns differ.

    Examples
    --------
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> model = fit_chunks(PPCA(2), (X[i : i + 70] for i in range(0, 300, 70)))
    >>> bool(np.isclose(model.score(X), PPCA(2).fit(X).score(X), rtol=1e-12))
    True
    """
    _refuse_without_statistics(model)
    from_file = isinstance(chunks, str | os.PathLike)
    rest = read_chunks(chunks) if from_file else iter(chunks)
    with unchanged_by_errors(model):
        total = _first_statistics(model, rest)
        checked = (_checked_chunk(model, chunk, reset=False) for chunk in rest)
        if from_file:
            total = summed(lambda data: model._statistics(*data), checked, total)
        else:  # one at a time: what yields them may write each over the last
            for data in checked:
                total = total + model._statistics(*data)
        model._seen = None
        model._solve(total)
    return model


def read_chunks(path: str | os.PathLike[str], rows: int | None = None) -> Iterator[NDArray]:
    """Yield the rows of a .npy file in parts, reading each by its offset.

    Parameters
    ----------
    path : path-like
        A C-ordered 2-D array of numbers.
    rows : int, optional
        Rows per part; about 32 MiB of them when not given.

    Yields
    ------
    ndarray of shape (rows, n_features)

    Raises
    ------
    FormatError
        When the file is no such .npy, is damaged, or is shorter than its header says.
    DataTypeError
        When it holds what `read_array` refuses: text, objects, complex numbers, long doubles.
    ModelError
        When `rows` is no integer of 1 or more.
    """
    table = NpyTable.of(path)
    for start, stop in table.parts(rows):
        yield table.read(start, stop)


@dataclass(frozen=True)
class NpyTable:
    """Where the rows of a .npy file stand: enough to read any of them by offset.

    Parameters
    ----------
    path : str
    dtype : str
    n_rows, n_columns : int
    offset : int
        Bytes before the first row.
    """

    path: str
    dtype: str
    n_rows: int
    n_columns: int
    offset: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> NpyTable:
        """Read a file's header and check it against the file's size."""
        name = Path(path)
        if not name.is_file():
            raise FormatError(f"{name}: no such file. Name a .npy file of rows.")
        try:
            with open(name, "rb") as file:
                dtype, fortran, shape = read_header(file.read, str(name))
                offset = file.tell()
        except OSError as error:
            raise FormatError(f"{name}: cannot be read ({error.strerror}).") from None
        if len(shape) != 2 or fortran:
            raise FormatError(
                f"{name}: holds shape {shape}, {dtype}{', Fortran order' * fortran}; rows of a "
                "2-D, C-ordered array of numbers are wanted. Save numpy.ascontiguousarray(X)."
            )
        promised = offset + shape[0] * shape[1] * dtype.itemsize
        if name.stat().st_size < promised:
            raise FormatError(
                f"{name}: its header promises {promised} bytes, the file has "
                f"{name.stat().st_size}: copy it again."
            )
        return cls(str(name), dtype.str, shape[0], shape[1], offset)

    def parts(self, rows: int | None) -> Iterator[tuple[int, int]]:
        """Yield the ends of parts of so many rows each; of about 32 MiB where None."""
        if rows is None:
            step = max(1, CHUNK_BYTES // max(1, self.n_columns * np.dtype(self.dtype).itemsize))
        else:
            step = check_integer(rows, "rows", minimum=1)
        for start in range(0, self.n_rows, step):
            yield start, min(start + step, self.n_rows)

    def read(self, start: int, stop: int) -> NDArray:
        """Return rows start to stop."""
        dtype = np.dtype(self.dtype)
        flat = np.fromfile(
            self.path,
            dtype=dtype,
            count=(stop - start) * self.n_columns,
            offset=self.offset + start * self.n_columns * dtype.itemsize,
        )
        if flat.size != (stop - start) * self.n_columns:
            raise FormatError(f"{self.path}: ended while being read; was it changed?")
        return flat.reshape(stop - start, self.n_columns)


@within_memory(SMALLER_CHUNKS)
def fit_dask(model: M, source: Any, *, rows: int | None = None, client: Any = None) -> M:
    """Fit a model with Dask: statistics in the workers, merged as a tree, solved here.

    Parameters
    ----------
    model : any model with sufficient statistics
    source : path-like, list of path-like, dask array, dask dataframe, or list of delayed chunks
        Paths name .npy files of rows: the workers read them by offset, so only file names and
        numbers travel. A conditional model takes (X, y) pairs as delayed chunks.
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

    parts = _delayed_chunks(source, rows)
    if not parts:
        raise DataError("there are no chunks: give at least one array of rows.")
    work = dask.delayed(_worker_statistics, pure=False)
    level = [work(clone(model), part) for part in parts]
    merge = dask.delayed(_merge, pure=False)
    while len(level) > 1:
        level = [merge(level[i : i + 4]) for i in range(0, len(level), 4)]
    if client is not None:
        total, width = client.compute(level[0]).result()
    else:
        ((total, width),) = dask.compute(level[0])
    with unchanged_by_errors(model):
        _remember_width(model, width)
        model._seen = None
        model._solve(total)
    return model


def _delayed_chunks(source: Any, rows: int | None) -> list[Any]:
    """Return what each task reads: a slice of a file, or a delayed part of a collection."""
    if isinstance(source, str | os.PathLike):
        source = [source]
    if hasattr(source, "to_dask_array"):  # a dataframe
        return list(source.to_delayed())
    if hasattr(source, "to_delayed"):  # an array: whole rows in each block
        return list(source.rechunk({1: -1}).to_delayed().ravel())
    parts: list[Any] = []
    for item in source:
        if isinstance(item, str | os.PathLike):
            table = NpyTable.of(item)
            parts += [(table, start, stop) for start, stop in table.parts(rows)]
        else:
            parts.append(item)
    return parts


def _worker_statistics(model: Any, part: Any) -> tuple[Any, Any]:
    """Return one part's statistics, on one BLAS thread: workers are the parallelism."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        if isinstance(part, tuple) and isinstance(part[0], NpyTable):
            table, start, stop = part
            part = table.read(start, stop)
        statistics = model._statistics(*_checked_chunk(model, part, reset=True))
    return statistics, {k: getattr(model, k) for k in WIDTHS if hasattr(model, k)}


def _remember_width(model: Any, width: dict[str, Any]) -> None:
    """Give the model what a fit would have learnt of the columns."""
    for name, value in width.items():
        setattr(model, name, value)


def _merge(parts: Iterable[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Sum statistics of parts; the columns must be those of the first."""
    parts = list(parts)
    widths = {part[1].get("n_features_in_", part[1].get("n_features_")) for part in parts}
    if len(widths) > 1:
        raise DataError(f"chunks differ in their number of columns: {sorted(widths)}.")
    return reduce(add, (part[0] for part in parts)), parts[0][1]


def _first_statistics(model: Any, chunks: Iterator[Any]) -> Any:
    """Return the statistics of the first chunk, whose columns the others must have."""
    for chunk in chunks:
        return model._statistics(*_checked_chunk(model, chunk, reset=True))
    raise DataError("there are no chunks: give at least one array of rows.")


def _checked_chunk(model: Any, chunk: Any, *, reset: bool) -> tuple[Any, ...]:
    """Return one chunk checked as `fit` would."""
    sizes = (2, 3) if isinstance(model, ConditionalDensity) else (2,)
    parts = chunk if isinstance(chunk, tuple) and len(chunk) in sizes else (chunk, None)
    checked: tuple[Any, ...] = model._check_chunk(*parts, reset=reset)
    return checked


def _refuse_without_statistics(model: Any) -> None:
    """Raise ModelError for a model whose fit is no sum of statistics."""
    if not isinstance(model, FromStatistics):
        raise ModelError(
            f"{type(model).__name__} has no sufficient statistics: its fit needs all rows at once."
        )
