"""Who is linked with whom: matrices of 0 and 1, and which of their dyads nobody observed.

A dyad is a pair of different nodes, ordered where links have a direction. NaN in an adjacency, or
a masked entry, says that nobody looked: such a dyad is 0 in the adjacency and 1 in a sparse matrix
of the unknown ones, which is None where all are known. The diagonal counts for nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._checks.numbers import as_numbers
from ancestral._numerics.threads import (
    LEAST_NUMBERS,
    blocks_of,
    even_parts,
    in_threads,
    n_threads,
)
from ancestral.errors import DataError, DataTypeError

BLOCK_BYTES = 1 << 18  # of an adjacency, looked at at once
SQUARE = 256  # rows and columns of a matrix of bytes, of which two squares fit the cache
FEW = 128  # bytes for each link, above which links are sorted sooner than bytes are compared
DENSE_NODES = 2_000  # up to here an adjacency is an array, whatever it was given as


def checked_adjacency(
    E: Any, n_nodes: int, *, directed: bool = False, is_swapped: bool = False
) -> tuple[Any, sparse.csr_array | None]:
    """Return E as int8, an array or sparse by its size, and its unknown dyads.

    Parameters
    ----------
    E : array-like or scipy.sparse matrix of shape (n_nodes, n_nodes)
    n_nodes : int
    directed : bool
        Links have a direction, so that E need not be symmetric.
    is_swapped : bool
        The features that came with it look like an adjacency: for messages.

    Raises
    ------
    DataError
        When it is no adjacency.
    """
    if type(E) is not np.ndarray and type(E).__module__.startswith("networkx"):
        raise DataTypeError(
            "adjacency is a networkx graph, whose nodes have an order of their own: give a "
            "matrix in the order of the features, networkx.to_numpy_array(graph, nodelist)."
        )
    if sparse.issparse(E):
        if E.shape != (n_nodes, n_nodes):
            _refuse_shape(E.shape, n_nodes)
        if n_nodes > DENSE_NODES:
            return _checked_sparse(E, directed=directed)
        if E.format == "csr" and E.has_canonical_format and bool((E.data == 1).all()):
            E = E.astype(np.int8)  # dense, it is of bytes
        E = E.toarray()
    if type(E) is not np.ndarray or E.dtype.kind not in "biuf" or E.ndim != 2:
        E = as_numbers(E, name="adjacency", ndim=2)
    if E.shape != (n_nodes, n_nodes):
        _refuse_shape(E.shape, n_nodes)
    unknown, links = None, _links(E)
    if links is None and E.dtype.kind == "f":
        gaps = np.isnan(E)
        if gaps.any():
            E = np.where(gaps, 0, E)
            links = _links(E)
            np.fill_diagonal(gaps, 0)
            unknown = sparse.csr_array(gaps.view(np.int8)) if gaps.any() else None
    if links is None:
        i, j = (int(k) for k in np.argwhere((E != 0) & (E != 1))[0])
        raise _entry_error(E[i, j], i, j, is_swapped=is_swapped)
    if not directed and not _is_symmetric(links):
        i, j = (int(k) for k in np.argwhere(links != links.T)[0])
        _refuse_uneven(E, unknown, i, j)
    if not directed and unknown is not None:
        _refuse_one_sided(E, unknown)
    return links.view(np.int8), unknown


def _links(E: NDArray) -> NDArray[np.bool_] | None:
    """Return where a matrix is 1; None where it is neither 0 nor 1 anywhere."""
    links = np.empty(E.shape, np.bool_)
    if E.dtype == np.bool_:
        links[:] = E
        return links

    def is_one_or_zero(block: slice) -> bool:
        ones = np.equal(E[block], 1, out=links[block])
        if E.itemsize == 1:
            return bool(np.count_nonzero(E[block]) == np.count_nonzero(ones))
        return bool(np.count_nonzero(E[block] == 0) + np.count_nonzero(ones) == ones.size)

    if E.nbytes <= BLOCK_BYTES:
        return links if is_one_or_zero(slice(None)) else None

    def is_binary(part: slice) -> bool:
        rows = max(1, BLOCK_BYTES // (len(E) * E.itemsize))
        return all(map(is_one_or_zero, blocks_of(part, rows)))  # in cache

    parts = even_parts(len(E), n_threads() if E.size >= LEAST_NUMBERS else 1)
    return links if all(in_threads(is_binary, parts, E.size)) else None


def _is_symmetric(links: NDArray[np.bool_]) -> bool:
    """Tell whether a square matrix of bytes is its own transpose.

    Few links are sorted by their other end; many are compared, a pair of squares at a time.
    """
    n = len(links)
    if n <= SQUARE:
        return links.tobytes() == links.T.tobytes()
    if FEW * np.count_nonzero(links) < links.size:
        places = np.flatnonzero(links)
        i = places // n
        return np.array_equal(np.sort((places - i * n) * n + i), places)

    def is_even(part: slice) -> bool:
        return all(
            np.array_equal(links[rows, columns], links[columns, rows].T)
            for rows in blocks_of(part, SQUARE)
            for columns in blocks_of(slice(rows.start, n), SQUARE)
        )

    parts = blocks_of(slice(0, n), SQUARE)
    return all(in_threads(is_even, parts, links.size))


def _checked_sparse(E: Any, *, directed: bool) -> tuple[sparse.csr_array, sparse.csr_array | None]:
    """Return a large sparse adjacency in canonical form, never made dense, and what is unknown."""
    if E.dtype.kind not in "biuf":
        raise DataTypeError(f"adjacency holds {E.dtype} values; real numbers are needed.")
    E = sparse.csr_array(E, copy=True)
    E.sum_duplicates()
    unknown = None
    if E.dtype.kind == "f" and (gaps := np.isnan(E.data)).any():
        unknown = without_loops(_of_places(E, gaps))
        E.data[gaps] = 0
    E.eliminate_zeros()
    wrong = E.data != 1
    if wrong.any():
        place = int(np.argmax(wrong))
        i, j = _row_of(E, place), int(E.indices[place])
        raise _entry_error(E.data[place], i, j)
    if not directed:
        place_of = _first_one_sided(E)
        if place_of is not None:
            _refuse_uneven(E, unknown, *place_of)
        if unknown is not None:
            _refuse_one_sided(E, unknown)
    return E.astype(np.int8), unknown


def _of_places(E: sparse.csr_array, held: NDArray[np.bool_]) -> sparse.csr_array:
    """Return the 0/1 matrix of some of the stored entries."""
    rows = np.repeat(np.arange(E.shape[0]), np.diff(E.indptr))[held]
    ones = np.ones(len(rows), np.int8)
    return sparse.csr_array((ones, (rows, E.indices[held])), shape=E.shape)


def without_loops(unknown: sparse.csr_array) -> sparse.csr_array | None:
    """Return unknown dyads in canonical form, without a diagonal; None where none is left."""
    unknown = sparse.csr_array(unknown, dtype=np.int8)
    if unknown.diagonal().any():
        unknown.setdiag(0)
    unknown.eliminate_zeros()
    unknown.sort_indices()
    return unknown if unknown.nnz else None


def _first_one_sided(E: sparse.csr_array) -> tuple[int, int] | None:
    """Return the first entry of a 0/1 matrix whose counterpart is 0; None if it is symmetric."""
    across = E.T.tocsr()  # sorted, like E
    if np.array_equal(E.indptr, across.indptr) and np.array_equal(E.indices, across.indices):
        return None
    one_way = (E - E.multiply(across)).tocsr()
    one_way.eliminate_zeros()
    return _row_of(one_way, 0), int(one_way.indices[0])


def ends_of(matrix: Any, *, directed: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of the ones of a 0/1 matrix off its diagonal, row by row.

    Of symmetric ones (not `directed`) those above the diagonal, each once.
    """
    if sparse.issparse(matrix):
        n = matrix.shape[0]
        i = np.repeat(np.arange(n), np.diff(matrix.indptr))
        j = matrix.indices.astype(np.int64)
    else:
        n = len(matrix)
        places = np.flatnonzero(np.ravel(matrix).view(np.bool_))
        i = places // n
        j = places - i * n
    kept = i != j if directed else i < j
    return i[kept], j[kept]


def symmetric(i: NDArray, j: NDArray, n_nodes: int) -> sparse.csr_array:
    """Return the sorted 0/1 CSR adjacency of edges whose ends are i and j, each edge given once."""
    return one_way(np.concatenate([i, j]), np.concatenate([j, i]), n_nodes)


def one_way(i: NDArray, j: NDArray, n_nodes: int) -> sparse.csr_array:
    """Return the sorted 0/1 CSR adjacency of links from i to j, each given once."""
    adjacency = sparse.csr_array((np.ones(len(i), np.int8), (i, j)), shape=(n_nodes, n_nodes))
    adjacency.sort_indices()
    return adjacency


def repeated_edge(i: NDArray, j: NDArray, n_nodes: int) -> tuple[int, int] | None:
    """Return the ends of a link that stands more than once among its ends, or None.

    Ends i < j where links have no direction.
    """
    codes = np.sort(i * n_nodes + j)
    again = codes[1:][codes[1:] == codes[:-1]]
    return divmod(int(again[0]), n_nodes) if len(again) else None


def is_adjacency(X: NDArray[np.float64]) -> bool:
    """Tell whether features could be an adjacency: square, symmetric, 0 or 1."""
    return X.shape[0] == X.shape[1] and bool(((X == 0) | (X == 1)).all() and (X == X.T).all())


def _entry_error(value: Any, i: int, j: int, *, is_swapped: bool = False) -> DataError:
    """Return the error for an entry that is neither 0 nor 1."""
    if is_swapped:
        mend = "The features look like an adjacency: are the two swapped?"
    elif i == j:
        mend = "The diagonal is not modelled: set it to 0."
    else:
        mend = "Threshold weights, for example E >= 0.5."
    return DataError(f"adjacency holds {value} at ({i}, {j}); entries must be 0 or 1. {mend}")


def _row_of(E: sparse.csr_array, place: int) -> int:
    """Return the row in which a stored entry stands."""
    return int(np.searchsorted(E.indptr, place, side="right")) - 1


def _refuse_shape(shape: tuple[int, ...], n_nodes: int) -> None:
    """Raise DataError for an adjacency of another shape."""
    mend = (
        "Are features and adjacency swapped?"
        if shape[0] == n_nodes
        else "Give each node one row of both."
    )
    raise DataError(
        f"features have {n_nodes} rows, so adjacency must have shape ({n_nodes}, {n_nodes}); "
        f"got {shape}. {mend}"
    )


def _refuse_uneven(E: Any, unknown: sparse.csr_array | None, i: int, j: int) -> None:
    """Raise DataError for two entries that should be equal."""
    if unknown is not None and (unknown[i, j] or unknown[j, i]):
        _refuse_half_known(E, unknown, i, j)
    raise DataError(
        f"adjacency is not symmetric: ({i}, {j}) is {E[i, j]:g}, ({j}, {i}) is {E[j, i]:g}. "
        "Pass directed=True if links have a direction; else symmetrise it, for example with "
        "numpy.maximum(E, E.T)."
    )


def _refuse_one_sided(E: Any, unknown: sparse.csr_array) -> None:
    """Raise DataError for a dyad that is known on one side."""
    place = _first_one_sided(unknown)
    if place is not None:
        _refuse_half_known(E, unknown, *place)


def _refuse_half_known(E: Any, unknown: sparse.csr_array, i: int, j: int) -> None:
    one, two = ("NaN" if unknown[a, b] else f"{E[a, b]:g}" for a, b in ((i, j), (j, i)))
    raise DataError(
        f"adjacency says {one} at ({i}, {j}) and {two} at ({j}, {i}): without a direction a dyad "
        "is known or unknown on both sides. Write the known value, or NaN, in both places, or pass "
        "directed=True if links have a direction."
    )
