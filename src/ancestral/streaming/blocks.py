"""Collections of Dask, as parts: delayed blocks of whole rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ancestral.errors import DataError
from ancestral.streaming.source import Chunk, Piece


def blocks_of(collections: tuple[Any, ...], *, starts: bool) -> list[Piece]:
    """Return the parts of a collection, or of several whose rows belong together."""
    blocks, sizes = _blocks_together(collections), _sizes(collections[0])
    if sizes is None or len(sizes) != len(blocks):
        return [Chunk(block) for block in blocks]
    places = np.cumsum([0, *sizes]).tolist()
    width = 8 * sum(math.prod(collection.shape[1:]) for collection in collections)
    return [
        Chunk(block, start if starts else None, n_rows=n, n_bytes=n * width)
        for block, start, n in zip(blocks, places, sizes)
    ]


def is_collection(source: Any) -> bool:
    """Tell whether this is a Dask array, dataframe, or the like; a delayed value is none."""
    return hasattr(type(source), "to_delayed")


def _is_frame(collection: Any) -> bool:
    return hasattr(collection, "to_dask_array")


def _sizes(collection: Any) -> list[int] | None:
    """Return the rows of each part of a Dask array; None where they are not known."""
    if _is_frame(collection) or not all(size == size for size in collection.chunks[0]):
        return None
    return [int(size) for size in collection.chunks[0]]


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
