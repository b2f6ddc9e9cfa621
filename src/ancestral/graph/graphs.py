"""Graphs with node features: the type, its checks, and lists of them.

    G = (X, E),   X of shape (n, m),   E of shape (n, n), 0 or 1, symmetric

Only pairs i < j of different nodes are modelled, so the diagonal of E is ignored. Small graphs hold
E as an array; graphs of more than `DENSE_NODES` nodes hold it sparse when it was given so, and a
million nodes then cost what their edges cost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._checks.columns import names_of
from ancestral._checks.numbers import MAX_SAMPLE_BYTES, as_numbers, refuse_non_finite, warn
from ancestral._numerics.threads import (
    LEAST_NUMBERS,
    blocks_of,
    even_parts,
    in_threads,
    n_threads,
)
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.graph.labels import aligned

logger = logging.getLogger("ancestral")

LARGEST_FEATURE = 1e70  # the information sums squares of inner products, fourth powers of features
BLOCK_BYTES = 1 << 18  # of an adjacency, looked at at once
SQUARE = 256  # rows and columns of a matrix of bytes, of which two squares fit the cache
FEW = 128  # bytes for each link, above which links are sorted sooner than bytes are compared
DENSE_NODES = 2_000  # up to here an adjacency is an array, whatever it was given as


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """An undirected graph with a row of features for each node.

    Parameters
    ----------
    features : array-like of shape (n_nodes, n_features)
    adjacency : array-like or scipy.sparse matrix of shape (n_nodes, n_nodes)
        0 or 1 and symmetric. The diagonal, if it is not zero, is ignored: only pairs of
        different nodes have a probability. A sparse matrix of more than 2,000 nodes stays sparse
        (`scipy.sparse.csr_array`, int8, sorted); anything else becomes an int8 array. Dataframes
        that label their rows are read in the order of the features' labels.
    feature_names : sequence of str, optional
        One for each column of `features`; those of a dataframe when not given.

    Raises
    ------
    DataError
        When the shapes do not fit, or an entry is not 0 or 1, or the matrix is not symmetric.

    Examples
    --------
    >>> g = Graph([[0.1, 0.2], [0.3, -0.5], [1.0, 0.0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    >>> g.n_nodes, g.n_edges
    (3, 1)
    """

    features: NDArray[np.float64]
    adjacency: Any
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        X = checked_features(self.features)
        if not len(X):
            raise DataError("features have no rows: a graph without nodes is no graph. Drop it.")
        E = _checked_adjacency(aligned(self.features, self.adjacency), X)
        named = column_names(self.features) if self.feature_names is None else self.feature_names
        vars(self).update(features=X, adjacency=E)
        if named is not None:
            names = tuple(str(name) for name in named)
            if len(names) != X.shape[1]:
                raise DataError(
                    f"feature_names has {len(names)} names for {X.shape[1]} features per node: "
                    "give one for each."
                )
            object.__setattr__(self, "feature_names", names)

    def __repr__(self) -> str:
        width = self.features.shape[1]
        return f"Graph({self.n_nodes} nodes with {width} features, {self.n_edges} edges)"

    @classmethod
    def of_checked(
        cls,
        features: NDArray[np.float64],
        adjacency: Any,
        feature_names: tuple[str, ...] | None = None,
    ) -> Graph:
        """Return a graph of parts made by this package, unchecked: checks of millions add up."""
        graph = object.__new__(cls)
        vars(graph).update(features=features, adjacency=adjacency, feature_names=feature_names)
        return graph

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.features)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of different nodes (dyads)."""
        return self.n_nodes * (self.n_nodes - 1) // 2

    @property
    def n_edges(self) -> int:
        """Number of edges between different nodes."""
        if self.is_sparse:
            return int(self.adjacency.nnz - self.adjacency.diagonal().sum()) // 2
        total, loops = np.count_nonzero(self.adjacency), np.count_nonzero(self.adjacency.diagonal())
        return int(total - loops) // 2

    @property
    def is_sparse(self) -> bool:
        """Tell whether `adjacency` is a scipy.sparse array."""
        return sparse.issparse(self.adjacency)

    @property
    def density(self) -> float:
        """Share of node pairs that are linked (nan without a pair)."""
        return self.n_edges / self.n_pairs if self.n_pairs else float("nan")

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Edges of each node, shape (n_nodes,)."""
        total = np.asarray(self.adjacency.sum(axis=1, dtype=np.int64)).ravel()
        return total - self.adjacency.diagonal().astype(np.int64)

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the two ends i < j of every edge, ordered by i, then j."""
        if self.is_sparse:
            upper = sparse.triu(self.adjacency, 1, format="csr")
            rows = np.repeat(np.arange(self.n_nodes), np.diff(upper.indptr))
            return rows, upper.indices.astype(np.int64)
        places = np.flatnonzero(np.ravel(self.adjacency).view(np.bool_))
        i = places // self.n_nodes
        j = places - i * self.n_nodes
        upper = i < j
        return i[upper], j[upper]

    def to_dense(self) -> NDArray[np.int8]:
        """Return the adjacency as an array, refused where it would not fit in memory."""
        if self.is_sparse:
            mend = "Keep it sparse: see Graph.adjacency and Graph.edges."
            refuse_large(self.n_nodes, matrices=1, what="a dense adjacency", mend=mend)
            dense: NDArray[np.int8] = self.adjacency.toarray()
            return dense
        array: NDArray[np.int8] = self.adjacency
        return array

    def to_sparse(self) -> sparse.csr_array:
        """Return the adjacency as a sorted CSR array with an empty diagonal."""
        i, j = self.edges()
        return symmetric(i, j, self.n_nodes)


def symmetric(i: NDArray, j: NDArray, n_nodes: int) -> sparse.csr_array:
    """Return the sorted 0/1 CSR adjacency of edges whose ends are i and j, each edge given once."""
    ones = np.ones(2 * len(i), np.int8)
    ends = (np.concatenate([i, j]), np.concatenate([j, i]))
    adjacency = sparse.csr_array((ones, ends), shape=(n_nodes, n_nodes))
    adjacency.sort_indices()
    return adjacency


def repeated_edge(i: NDArray, j: NDArray, n_nodes: int) -> tuple[int, int] | None:
    """Return the ends of an edge that stands more than once among ends i < j, or None."""
    codes = np.sort(i * n_nodes + j)
    again = codes[1:][codes[1:] == codes[:-1]]
    return divmod(int(again[0]), n_nodes) if len(again) else None


def column_names(table: Any) -> list[str] | None:
    """Return the names of a dataframe's columns; None where it has none, or they are numbers."""
    if isinstance(table, np.ndarray) or getattr(table, "columns", None) is None:
        return None
    names = names_of(table)
    return names if names and all(isinstance(name, str) for name in names) else None


def checked_features(features: Any) -> NDArray[np.float64]:
    """Return features as float64, shape (n, m); DataError where inner products would overflow."""
    if type(features) is np.ndarray and features.dtype == np.float64 and features.ndim == 2:
        X = features.copy()
    else:
        X = as_numbers(features, name="features", ndim=2).astype(np.float64, order="C")
    if np.abs(X).max(initial=0.0) <= LARGEST_FEATURE:  # and none is NaN
        return X
    refuse_non_finite(X, name="features")
    if np.abs(X).max(initial=0.0) > LARGEST_FEATURE:
        i, j = (int(k) for k in np.argwhere(np.abs(X) > LARGEST_FEATURE)[0])
        raise DataError(
            f"features holds {X[i, j]:g} at row {i}, column {j}: the squares of inner products "
            "overflow float64. Rescale the features, for example to [-1, 1]."
        )
    return X


def _checked_adjacency(E: Any, X: NDArray[np.float64]) -> NDArray[np.int8] | sparse.csr_array:
    """Return E as int8, an array or sparse by its size; raise DataError if it is no adjacency."""
    n_nodes = len(X)
    if type(E) is not np.ndarray and type(E).__module__.startswith("networkx"):
        raise DataTypeError(
            "adjacency is a networkx graph, whose nodes have an order of their own: give a "
            "matrix in the order of the features, networkx.to_numpy_array(graph, nodelist)."
        )
    if sparse.issparse(E):
        if E.shape != (n_nodes, n_nodes):
            _refuse_shape(E.shape, n_nodes)
        if n_nodes > DENSE_NODES:
            return _checked_sparse(E)
        if E.format == "csr" and E.has_canonical_format and bool((E.data == 1).all()):
            E = E.astype(np.int8)  # dense, it is of bytes
        E = E.toarray()
    if type(E) is not np.ndarray or E.dtype.kind not in "biuf" or E.ndim != 2:
        E = as_numbers(E, name="adjacency", ndim=2)
    if E.shape != (n_nodes, n_nodes):
        _refuse_shape(E.shape, n_nodes)
    links = _links(E)
    if links is None:
        wrong = (E != 0) & (E != 1)
        i, j = (int(k) for k in np.argwhere(wrong)[0])
        raise _entry_error(E[i, j], i, j, is_swapped=_is_adjacency(X))
    if not _is_symmetric(links):
        i, j = (int(k) for k in np.argwhere(links != links.T)[0])
        _refuse_uneven(i, j, E[i, j], E[j, i])
    return links.view(np.int8)


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


def _checked_sparse(E: Any) -> sparse.csr_array:
    """Return a large sparse adjacency in canonical form, never made dense."""
    if E.dtype.kind not in "biuf":
        raise DataTypeError(f"adjacency holds {E.dtype} values; real numbers are wanted.")
    E = sparse.csr_array(E, copy=True)
    E.sum_duplicates()
    E.eliminate_zeros()
    wrong = E.data != 1
    if wrong.any():
        place = int(np.argmax(wrong))
        i, j = _row_of(E, place), int(E.indices[place])
        raise _entry_error(E.data[place], i, j)
    across = E.T.tocsr()  # sorted, like E
    if not (np.array_equal(E.indptr, across.indptr) and np.array_equal(E.indices, across.indices)):
        one_way = (E - E.multiply(across)).tocsr()
        one_way.eliminate_zeros()
        i, j = _row_of(one_way, 0), int(one_way.indices[0])
        _refuse_uneven(i, j, 1, 0)
    return E.astype(np.int8)


def _is_adjacency(X: NDArray[np.float64]) -> bool:
    """Tell whether features could be an adjacency: square, symmetric, 0 or 1."""
    return X.shape[0] == X.shape[1] and bool(((X == 0) | (X == 1)).all() and (X == X.T).all())


def _entry_error(value: Any, i: int, j: int, *, is_swapped: bool = False) -> DataError:
    """Return the error for an entry that is neither 0 nor 1."""
    if is_swapped:
        mend = "The features look like an adjacency: are the two swapped?"
    elif value != value:
        mend = "Drop the graph, or decide whether that pair is linked."
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


def _refuse_uneven(i: int, j: int, there: float, back: float) -> None:
    """Raise DataError for two entries that should be equal."""
    raise DataError(
        f"adjacency is not symmetric: ({i}, {j}) is {there:g}, ({j}, {i}) is {back:g}. "
        "Symmetrise it, for example with numpy.maximum(E, E.T)."
    )


def refuse_large(n_nodes: int, *, matrices: int, what: str, mend: str) -> None:
    """Raise ModelError when so many dense (n_nodes, n_nodes) float64 matrices pass MAX_BYTES."""
    needed = 8 * matrices * n_nodes * n_nodes
    if needed > MAX_SAMPLE_BYTES:
        raise ModelError(
            f"{what} of {n_nodes} nodes needs {needed / 2**30:.1f} GiB, over the limit of "
            f"{MAX_SAMPLE_BYTES >> 30} GiB. {mend}"
        )


def as_graphs(
    graphs: Any, *, n_features: int | None = None, feature_names: Sequence[str] | None = None
) -> list[Graph]:
    """Return a list of `Graph` from graphs, (features, adjacency) tuples, or one of either.

    Parameters
    ----------
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either
    n_features : int, optional
        The width of a model's features; that of the first graph when not given.
    feature_names : sequence of str, optional
        Those of a model; those of the first graph that has names when not given. Graphs whose
        names stand in another order are brought into this one; those without names are taken as
        they are.

    Raises
    ------
    DataError
        Naming the graph's index: not a graph, swapped, of another feature width, or of features
        of other names.
    """
    if isinstance(graphs, Graph) or _is_pair(graphs) or library_of(graphs):
        graphs = [graphs]
    try:
        items = list(graphs)
    except TypeError:
        raise DataTypeError(
            "graphs must be a list of Graph or of (features, adjacency); "
            f"got {type(graphs).__name__}."
        ) from None
    if not items:
        raise DataError("graphs is empty: give at least one graph.")
    result = [_as_graph(item, index) for index, item in enumerate(items)]
    wanted = result[0].features.shape[1] if n_features is None else n_features
    for index, graph in enumerate(result):
        if graph.features.shape[1] != wanted:
            raise DataError(
                f"graph {index} has {graph.features.shape[1]} features per node where {wanted} "
                "are expected. Every graph needs the same features."
            )
    names = tuple(feature_names or next((g.feature_names for g in result if g.feature_names), ()))
    source = "the model was fitted to" if feature_names else "another graph has"
    return [_by_name(graph, k, names, source) for k, graph in enumerate(result)]


def _by_name(graph: Graph, index: int, names: tuple[str, ...], source: str) -> Graph:
    """Return the graph with its features in the order of these names; DataError for others."""
    own = graph.feature_names
    if not names or own is None or own == names:
        return graph
    if len({*names}) < len(names) or {*own} != {*names}:
        odd = next((name for name in own if name not in names), own[-1])
        raise DataError(
            f"graph {index} has the features {_listed(own)} where {source} {_listed(names)}: "
            f"{odd!r} is another. Give the same columns, in any order, or arrays without names to "
            "have them taken by their place."
        )
    columns = [own.index(name) for name in names]
    features = np.ascontiguousarray(graph.features[:, columns])
    return Graph.of_checked(features, graph.adjacency, names)


def _listed(names: Sequence[str]) -> str:
    """Return some names, quoted."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(repr(name) for name in names[:6]) + more


def _is_pair(item: Any) -> bool:
    """Tell a single (features, adjacency) pair of arrays from a list of graphs."""
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and not any(isinstance(part, Graph | tuple) for part in item)
        and all(_ndim(part) == 2 for part in item)
    )


def library_of(item: Any) -> str:
    """Return "networkx" or "igraph" for their graphs, else ""."""
    homes = (base.__module__.partition(".")[0] for base in type(item).__mro__)
    return next((home for home in homes if home in ("networkx", "igraph")), "")


def _ndim(part: Any) -> int:
    """Return the number of dimensions, of sparse matrices and ragged lists too."""
    try:
        return len(_shape(part))
    except ValueError:  # ragged
        return 1 + max(_ndim(row) for row in part)


def _shape(part: Any) -> tuple[int, ...]:
    """Return the shape, of sparse matrices too."""
    if type(part) is np.ndarray or sparse.issparse(part):
        return part.shape
    return np.shape(part)


def _as_graph(item: Any, index: int) -> Graph:
    """Return one graph, its index named in any error."""
    if isinstance(item, Graph):
        return item
    if not isinstance(item, list | tuple) or len(item) != 2:
        library, kind = library_of(item), type(item).__name__
        mend = "give a Graph or (features, adjacency)"
        if library:
            kind, mend = f"{library} {kind}", f"{mend}: ancestral.io.from_{library} makes one"
        raise DataError(f"graph {index} is a {kind}; {mend}.")
    X, E = item
    if _looks_swapped(X, E):
        raise DataError(
            f"graph {index} looks like (adjacency, features): shapes {_shape(X)} and "
            f"{_shape(E)}. Give (features, adjacency)."
        )
    try:
        return Graph(X, E)
    except DataTypeError as error:
        raise DataTypeError(f"graph {index}: {error}") from None
    except DataError as error:
        raise DataError(f"graph {index}: {error}") from None


def _looks_swapped(X: Any, E: Any) -> bool:
    """Tell whether the first is a square 0/1 matrix and the second cannot be one."""
    try:
        first, second = _shape(X), _shape(E)
    except ValueError:  # ragged: to be named where it is read
        return False
    return (
        len(first) == 2 == len(second)
        and first[0] == first[1] == second[0]
        and second[0] != second[1]
    )


def warn_of_odd_graphs(graphs: Sequence[Graph]) -> None:
    """Warn of graphs without a pair of nodes."""
    single = sum(g.n_nodes == 1 for g in graphs)
    if single:
        warn(
            f"{single} of {len(graphs)} graphs have a single node and so no pair: they say "
            "nothing about a and b."
        )


def say_ignored_loops(graphs: Sequence[Graph]) -> None:
    """Log once that diagonal entries are ignored: a fact about real data, no warning."""
    if not logger.isEnabledFor(logging.INFO):
        return
    loops = sum(bool(g.adjacency.diagonal().any()) for g in graphs)
    if loops:
        logger.info(
            "%d of %d graphs have ones on the diagonal of the adjacency; they are ignored: only "
            "pairs of different nodes have a probability.",
            loops,
            len(graphs),
        )
