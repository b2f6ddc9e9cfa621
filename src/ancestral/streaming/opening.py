"""Whatever a caller hands over, as a source: paths, chunks, generators, callables, collections."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from ancestral._checks.containers import shown as in_short
from ancestral.base import ConditionalDensity, GraphDensity
from ancestral.errors import DataError
from ancestral.streaming.blocks import blocks_of, is_collection
from ancestral.streaming.checking import n_rows, without_targets
from ancestral.streaming.npy import NpyRows
from ancestral.streaming.source import Anew, Chunk, Chunks, Joined, Once, Piece, Source
from ancestral.streaming.sources.paths import source_of_paths
from ancestral.training.parts import digest_of


class Opening:
    """Opens what a caller hands over for one model.

    Parameters
    ----------
    model : Model
    rows : int, optional
        In each part of a file.
    columns : sequence of str, optional
        That are read of files with names.
    delayed : bool
        Whether collections of Dask are taken, block by block.
    like : Model, optional
        Fitted: says what columns of files hold, and those that it does not know are kept.
    """

    def __init__(
        self,
        model: Any,
        *,
        rows: int | None = None,
        columns: Sequence[str] | None = None,
        delayed: bool = False,
        like: Any = None,
    ) -> None:
        self.conditional = isinstance(model, ConditionalDensity)
        self.of_graphs = isinstance(model, GraphDensity)
        self.model, self.rows, self.columns, self.delayed = model, rows, columns, delayed
        self.like = like
        self.chosen = False  # whether columns were

    def chosen_source(self, data: Any) -> Source:
        """Return the source; DataError where `columns` were named, and none can be chosen."""
        found = self.source(data)
        if self.columns is not None and not self.chosen:
            raise DataError(
                "columns= chooses columns of Parquet and CSV files. Leave it out, and give chunks "
                "with only these columns."
            )
        return found

    def source(self, data: Any) -> Source:
        """Return the source of anything that `fit_chunks` takes."""
        if isinstance(data, Source):
            return data
        if (found := self._of_paths(data)) is not None:
            return found
        if self._is_collection(data):
            return Chunks(self._blocks(data, whole=True))
        if callable(data) and not hasattr(data, "__dask_graph__") and not isinstance(data, type):
            return Anew(lambda: self._pieces(iterated(data())))
        items = iterated(data)
        if items is data:
            return Once(self._pieces(items))
        if not isinstance(data, list | tuple):
            return Anew(lambda: self._pieces(iterated(data)))
        if data and all(map(_is_path, data)):
            if isinstance(data[0], tuple):
                return Joined([self.source(paths) for paths in data])
            return self._joined(list(data))
        return Chunks(list(self._pieces(items)), lambda: _digest_of(data))

    def _joined(self, paths: list[Any]) -> Source:
        """Return the source of several files."""
        if all(map(_is_npy, paths)) and not self.of_graphs:
            if self.conditional:
                raise DataError(without_targets(self.model, f"the path {os.fspath(paths[0])!r}"))
            return Joined([NpyRows.of_paths([path], self.rows) for path in paths])
        self.chosen = True
        return source_of_paths(
            paths, columns=self.columns, rows=self.rows, graphs=self.of_graphs, like=self.like
        )

    def _of_paths(self, data: Any) -> Source | None:
        """Return the source of a path, or of one each for X, y and weights; None for others."""
        together = isinstance(data, tuple) and self.conditional
        paths = data if together else (data,)
        if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
            return None
        if together and not all(map(_is_npy, paths)):
            raise DataError(
                f"files of X, y and weights beside each other must be .npy; got {in_short(data)}. "
                "Give one file with names, and target=."
            )
        if not together:
            return self._joined([data])
        if len(paths) not in (2, 3):
            raise DataError(without_targets(self.model, f"the path {os.fspath(paths[0])!r}"))
        return NpyRows.of_paths(paths, self.rows)

    def _pieces(self, items: Iterable[Any]) -> Iterator[Piece]:
        """Yield chunks, and the parts of files and collections that are named among them."""
        counted = not (self.of_graphs or self.delayed)
        start = 0 if counted else None
        for item in items:
            if (source := self._of_paths(item)) is not None:
                yield from source.parts()
                start = None
            elif self._is_collection(item):
                yield from self._blocks(item, whole=False)
                start = None
            else:
                X = item[0] if isinstance(item, tuple) and len(item) in (2, 3) else item
                n = n_rows(X) if counted else None
                yield Chunk(item, start, n_rows=n, n_bytes=_n_bytes(item))
                start = None if start is None or n is None else start + n

    def _is_collection(self, data: Any) -> bool:
        """Tell whether this is one of Dask's, or (X, y) or (X, y, weights) of such."""
        if isinstance(data, tuple) and self.conditional and data:
            return all(map(is_collection, data))
        return is_collection(data)

    def _blocks(self, data: Any, *, whole: bool) -> list[Piece]:
        if not self.delayed:
            kind = type(data[0] if isinstance(data, tuple) else data).__name__
            raise DataError(f"chunks is a Dask {kind}: use fit_dask.")
        return blocks_of(data if isinstance(data, tuple) else (data,), starts=whole)


def iterated(data: Any) -> Iterator[Any]:
    """Return an iterator over chunks; a table is one chunk, not an iterable of several."""
    is_table = isinstance(data, np.ndarray) and data.ndim < 3 and data.dtype != object
    if hasattr(data, "columns") or hasattr(data, "schema") or is_table:
        raise DataError(
            f"chunks is one {type(data).__name__}, not an iterable of chunks: give "
            "[X], or [(X, y)] for a conditional model."
        )
    try:
        if isinstance(data, str | bytes | Mapping):
            raise TypeError
        return iter(data)
    except TypeError:
        raise DataError(
            f"chunks must come as an iterable of arrays, or be a path; got {in_short(data)}. "
            "Give [X] for a single array."
        ) from None


def _is_path(item: Any) -> bool:
    """Tell whether this is a path, or a tuple of them."""
    parts = item if isinstance(item, tuple) and item else (item,)
    return all(isinstance(part, str | os.PathLike) for part in parts)


def _is_npy(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of one .npy file here."""
    text = os.fspath(path)
    if "://" in text or any(mark in text for mark in "*?[") or os.path.isdir(text):
        return False
    return PurePath(text).suffix.lower() == ".npy"


def _n_bytes(item: Any) -> int | None:
    sizes = [
        getattr(part, "nbytes", None) for part in (item if isinstance(item, tuple) else (item,))
    ]
    known = [size for size in sizes if isinstance(size, int)]
    return sum(known) if len(known) == len(sizes) else None


def _digest_of(data: Sequence[Any]) -> str:
    """Return what tells chunks of arrays from others; "" where they are no arrays."""
    parts = [part for item in data for part in (item if isinstance(item, tuple) else (item,))]
    return digest_of(parts) if all(isinstance(part, np.ndarray) for part in parts) else ""
