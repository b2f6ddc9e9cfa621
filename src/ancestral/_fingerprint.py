"""A short text that tells the data of one fit from those of another."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_VALUES = 1 << 17  # hashed of each part: rows evenly spaced, the first among them
MOST_GRAPHS = 256
MOST_NODES = 200  # of a graph whose every link is looked at


def fingerprint(*data: Any) -> str:
    """Return the SHA-256 of shapes and values, the same whatever dtype or memory order holds them.

    Parameters
    ----------
    *data : ndarray of shape (n,) or (n, d), list of graphs, or None
        Checked by the model. Of more than 2**17 values, rows evenly spaced are looked at: that
        tells data sets apart, not one changed value in a large one.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in data:
        if isinstance(part, list):
            _add_graphs(digest, part)
        elif part is not None:
            _add(digest, part)
    return digest.hexdigest()


def checked_fingerprint(text: str) -> str:
    """Return a fingerprint that a file names, or the "" of none; raise ValueError for another."""
    if text and not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("what it names as the data's fingerprint is none")
    return text


def _add(digest: Any, values: Any) -> None:
    """Hash an array's shape, and its values as float64 or as text."""
    from ancestral import _arrays  # scikit-learn's: reading a model file does without

    shape = tuple(values.shape)
    digest.update(f"{shape};".encode())
    width = max(1, int(np.prod(shape[1:])))
    step = max(1, -(-shape[0] * width // MOST_VALUES)) if shape else 1
    digest.update(_bytes_of(_arrays.to_host(values[::step, ...])))


def _bytes_of(values: NDArray) -> bytes:
    if values.dtype.kind in "OUS":
        return "\x1f".join(map(str, values.ravel().tolist())).encode("utf-8", "surrogatepass")
    numbers = np.ascontiguousarray(values, "<f8") + 0.0  # one zero
    if values.dtype.kind in "iu" and values.size and np.abs(numbers).max() > 1 << 53:
        return str(values.ravel().tolist()).encode()  # what float64 would round
    numbers[np.isnan(numbers)] = np.nan  # one NaN
    return numbers.tobytes()


def _add_graphs(digest: Any, graphs: list[Any]) -> None:
    """Hash how many graphs there are, and the features and links of some of them."""
    chosen = graphs[:: -(-len(graphs) // MOST_GRAPHS)]
    digest.update(f"{len(graphs)} graphs;{[len(graph.features) for graph in chosen]};".encode())
    _add(digest, np.concatenate([graph.features.ravel() for graph in chosen]))
    _add(digest, np.concatenate([_links_of(graph.adjacency) for graph in chosen]))


def _links_of(adjacency: Any) -> NDArray:
    """Return the entries of a small adjacency, the degrees of a large one."""
    if adjacency.shape[0] > MOST_NODES:
        return np.asarray(adjacency.sum(axis=0)).ravel()
    return (adjacency.toarray() if hasattr(adjacency, "toarray") else adjacency).ravel()
