"""Graphs with node features: the type, and its checks.

    G = (X, E),   X of shape (n, m),   E of shape (n, n), 0 or 1, symmetric

Only pairs i < j of different nodes are modelled, so the diagonal of E is ignored; of graphs whose
links have a direction, all ordered pairs. Dyads that nobody observed are kept beside E, in which
they are 0. Small graphs hold E as an array; graphs of more than `DENSE_NODES` nodes hold it sparse
when it was given so, and a million nodes then cost what their edges cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._checks.columns import names_of
from ancestral._checks.numbers import MAX_SAMPLE_BYTES, as_numbers, refuse_non_finite
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.graph.adjacency import (
    DENSE_NODES,
    checked_adjacency,
    ends_of,
    is_adjacency,
    one_way,
    symmetric,
    without_loops,
)
from ancestral.graph.attributes import (
    Attribute,
    attributes_of,
    indicated,
    refuse_absent,
    replace_name,
)
from ancestral.graph.labels import aligned, named, names_of_nodes, places_of

LARGEST_FEATURE = 1e70  # the information sums squares of inner products, fourth powers of features


class Graph:
    """A graph: nodes with attributes, and the links between them.

    Parameters
    ----------
    features : array-like or dataframe of shape (n_nodes, n_features), or None
        The attributes of the nodes; None if there are none. A column of text or of a categorical
        type becomes one indicator (0 or 1) in `features` for each of its levels. In columns with
        names some values may be missing; a model refuses them if it uses the column.
    adjacency : array-like or scipy.sparse matrix of shape (n_nodes, n_nodes)
        1 for a link and 0 for none; symmetric unless `directed`. NaN, or a masked entry, marks an
        unknown dyad (a pair that nobody observed); without directions it must be on both sides of
        the diagonal. The diagonal is ignored: only pairs of different nodes have a probability. A
        sparse matrix of more than 2,000 nodes stays sparse (`scipy.sparse.csr_array`, int8,
        sorted); anything else becomes an int8 array with 0 for unknown dyads. A dataframe with
        labels of rows is read in the order of the labels of the features.
    feature_names : sequence of str, optional
        One name for each column of `features`; by default the column names of a dataframe.
    node_names : sequence, optional
        One name for each node, all different, kept as text. By default the row labels of a
        dataframe, unless these are only 0, 1, 2, ...
    directed : bool
        True if links have a direction: from the node of the row to the node of the column.
    pair_features : mapping of str to matrices of shape (n_nodes, n_nodes), optional
        Numbers for each dyad, such as a distance; symmetric unless `directed`, NaN where missing.

    Attributes
    ----------
    features : ndarray of shape (n_nodes, n_features), float64
    adjacency : ndarray or csr_array of shape (n_nodes, n_nodes), int8
        0 for unknown dyads.
    unknown : csr_array of shape (n_nodes, n_nodes), int8, or None
        1 for unknown dyads; None if all are known.
    feature_names, node_names : tuple of str, or None
    directed : bool
    pair_features : dict of str to ndarray or csr_array, float64

    Raises
    ------
    DataError
        When shapes do not fit, or an entry is not 0, 1 or unknown; without directions, when the
        matrix is not symmetric or a dyad is known on one side only; when names repeat.

    Examples
    --------
    >>> g = Graph([[0.1, 0.2], [0.3, -0.5], [1.0, 0.0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    >>> g.n_nodes, g.n_edges
    (3, 1)
    >>> nan = float("nan")
    >>> g = Graph(None, [[0, 1, nan], [0, 0, 0], [1, 0, 0]], node_names="abc", directed=True)
    >>> g.n_pairs, g.n_unknown
    (5, 1)
    """

    adjacency: Any
    unknown: sparse.csr_array | None
    feature_names: tuple[str, ...] | None
    node_names: tuple[str, ...] | None
    directed: bool
    pair_features: dict[str, Any]
    _columns: tuple[Attribute, ...] | None  # where they are more than numbers
    _has_gaps: bool  # values of features that are missing

    def __init__(
        self,
        features: Any,
        adjacency: Any,
        feature_names: Sequence[str] | None = None,
        *,
        node_names: Sequence[Any] | None = None,
        directed: bool = False,
        pair_features: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(directed, bool | np.bool_):
            raise DataTypeError(f"directed must be True or False; got {directed!r}.")
        if isinstance(adjacency, Graph):
            raise DataTypeError(
                f"adjacency is a {adjacency!r}, whose nodes have an order of their own: give a "
                "matrix, graph.to_dense(unknown=numpy.nan), with features whose rows are in the "
                "order of graph.node_names: frame.loc[list(graph.node_names)], where its index "
                "holds the names."
            )
        self._take_features(features, adjacency, feature_names)
        n_nodes = self.n_nodes
        if not n_nodes:
            raise DataError("features have no rows: a graph needs at least one node. Drop it.")
        names = names_of_nodes(features, adjacency, node_names, n_nodes)
        ordered = aligned(features, adjacency) if node_names is None else named(names, adjacency)
        X = vars(self).get("features")
        E, unknown = checked_adjacency(
            ordered, n_nodes, directed=bool(directed), is_swapped=X is not None and is_adjacency(X)
        )
        vars(self).update(adjacency=E, unknown=unknown, node_names=names, directed=bool(directed))
        pairs = {
            str(name): _checked_pairs(matrix, names, n_nodes, f"pair_features[{name!r}]", directed)
            for name, matrix in dict(pair_features or {}).items()
        }
        vars(self).update(pair_features=pairs)

    def _take_features(self, features: Any, adjacency: Any, names: Any) -> None:
        """Store checked features and their names."""
        columns: tuple[Attribute, ...] | None = None
        if features is None:
            features = np.zeros((_rows_of(adjacency), 0))
        elif isinstance(features, tuple) and features and isinstance(features[0], Attribute):
            columns = features
        elif type(features) is not np.ndarray:
            columns = attributes_of(features)
        held = column_names(features) if names is None else names
        named_so = None if held is None else tuple(str(name) for name in held)
        if columns is not None:
            if named_so is not None:
                if len(named_so) != len(columns):
                    _refuse_names(len(named_so), len(columns))
                columns = tuple(map(replace_name, columns, named_so))
            for one in columns:
                if one.levels is None:
                    checked_features(one.values[:, None], [one.name], missing=True)
            if any(one.levels is not None for one in columns):
                of_columns = tuple(name for one in columns for name in one.columns)
                vars(self).update(n_nodes=len(columns[0].values), n_features=len(of_columns))
                vars(self).update(feature_names=of_columns, _columns=columns)
                vars(self).update(_has_gaps=any(one.missing.any() for one in columns))
                return
            named_so = tuple(one.name for one in columns)
            features = np.stack([one.values for one in columns], axis=1)
        X = checked_features(features, named_so, missing=named_so is not None)
        if named_so is not None and len(named_so) != X.shape[1]:
            _refuse_names(len(named_so), X.shape[1])
        vars(self).update(features=X, n_nodes=len(X), n_features=X.shape[1])
        gaps = named_so is not None and bool(np.isnan(X).any())
        vars(self).update(feature_names=named_so, _columns=None, _has_gaps=gaps)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Graph does not change: make another with another {name}.")

    def __repr__(self) -> str:
        links = "arcs" if self.directed else "edges"
        more = f", {self.n_unknown} unknown dyads" if self.n_unknown else ""
        width = self.n_features
        return f"Graph({self.n_nodes} nodes with {width} features, {self.n_edges} {links}{more})"

    @classmethod
    def of_checked(
        cls,
        features: NDArray[np.float64],
        adjacency: Any,
        feature_names: tuple[str, ...] | None = None,
        *,
        unknown: sparse.csr_array | None = None,
        node_names: tuple[str, ...] | None = None,
        directed: bool = False,
    ) -> Graph:
        """Return a graph of parts that this package made, without checks, to save time.

        Parameters
        ----------
        features, adjacency, feature_names, unknown, node_names, directed
            As the attributes of a Graph.

        Returns
        -------
        Graph

        Examples
        --------
        >>> graph = Graph(np.zeros((2, 1)), [[0, 1], [1, 0]])
        >>> Graph.of_checked(graph.features, graph.to_sparse()).n_edges
        1
        """
        graph = object.__new__(cls)
        vars(graph).update(
            features=features,
            adjacency=adjacency,
            feature_names=feature_names,
            unknown=unknown,
            node_names=node_names,
            directed=directed,
            pair_features={},
            n_nodes=len(features),
            n_features=features.shape[1],
            _columns=None,
            _has_gaps=False,
        )
        return graph

    def replaced(self, **parts: Any) -> Graph:
        """Return the same graph with some attributes replaced, without checks.

        Parameters
        ----------
        **parts : new values, by the names of attributes

        Returns
        -------
        Graph

        Examples
        --------
        >>> graph = Graph(np.zeros((2, 1)), [[0, 1], [1, 0]])
        >>> graph.replaced(node_names=("ann", "bob")).node_names
        ('ann', 'bob')
        """
        graph = object.__new__(Graph)
        vars(graph).update(vars(self))
        if "_columns" in parts:
            vars(graph).pop("features", None)
            names = tuple(name for one in parts["_columns"] for name in one.columns)
            vars(graph).update(feature_names=names, n_features=len(names))
        vars(graph).update(parts)
        return graph

    # ---- nodes -------------------------------------------------------------------------------

    n_nodes: int
    n_features: int

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """The features as one matrix, levels as indicators, NaN where missing."""
        return np.concatenate([one.spread() for one in self._columns or ()], axis=1)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The attributes as one matrix, levels as their places, shape (n_nodes, n_attributes)."""
        if self._columns is None:
            return self.features
        return np.stack([one.values.astype(np.float64) for one in self._columns], axis=1)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of what nodes carry: of the columns as they were given, levels not spread."""
        if self._columns is not None:
            return tuple(one.name for one in self._columns)
        return self.feature_names or ()

    @property
    def has_levels(self) -> bool:
        """Tell whether some attribute was given as text."""
        return self._columns is not None

    def attribute(self, name: str) -> Attribute:
        """Return an attribute of the nodes by its name.

        Parameters
        ----------
        name : str
            The name of a column as it was given, such as "house", also if `features` holds
            indicators "house=Stark" and so on of its levels.

        Returns
        -------
        Attribute

        Raises
        ------
        DataError
            When no attribute has this name.

        Examples
        --------
        >>> graph = Graph([[0.0], [1.0], [2.0]], np.zeros((3, 3)), feature_names=["age"])
        >>> graph.attribute("age")
        Attribute(name='age', values=array([0., 1., 2.]), levels=None)
        """
        for one in self._columns or ():
            if one.name == name:
                return one
        names = self.feature_names or ()
        if name in names:
            return Attribute(name, self.features[:, names.index(name)])
        if self._columns is None and (one_of := indicated(name, names, self.features)) is not None:
            return one_of
        refuse_absent(name, self.attribute_names)
        raise AssertionError  # refuse_absent has raised

    # ---- dyads -------------------------------------------------------------------------------

    @property
    def n_dyads(self) -> int:
        """Number of pairs of different nodes, ordered ones where links have a direction."""
        return self.n_nodes * (self.n_nodes - 1) // (1 if self.directed else 2)

    @property
    def n_unknown(self) -> int:
        """Number of dyads that nobody observed."""
        if self.unknown is None:
            return 0
        return int(self.unknown.nnz) // (1 if self.directed else 2)

    @property
    def n_pairs(self) -> int:
        """Number of dyads that were observed: of all, where none is unknown."""
        return self.n_dyads - self.n_unknown

    @property
    def n_edges(self) -> int:
        """Number of links between different nodes."""
        both = 1 if self.directed else 2
        if self.is_sparse:
            return int(self.adjacency.nnz - self.adjacency.diagonal().sum()) // both
        total, loops = np.count_nonzero(self.adjacency), np.count_nonzero(self.adjacency.diagonal())
        return int(total - loops) // both

    @property
    def is_sparse(self) -> bool:
        """Tell whether `adjacency` is a scipy.sparse array."""
        return sparse.issparse(self.adjacency)

    @property
    def density(self) -> float:
        """Share of observed dyads that are linked (nan without one)."""
        return self.n_edges / self.n_pairs if self.n_pairs else float("nan")

    @property
    def out_degrees(self) -> NDArray[np.int64]:
        """Links that lead from each node, shape (n_nodes,); its degree without directions."""
        total = np.asarray(self.adjacency.sum(axis=1, dtype=np.int64)).ravel()
        return total - self.adjacency.diagonal().astype(np.int64)

    @property
    def in_degrees(self) -> NDArray[np.int64]:
        """Links that lead to each node, shape (n_nodes,); its degree without directions."""
        if not self.directed:
            return self.out_degrees
        total = np.asarray(self.adjacency.sum(axis=0, dtype=np.int64)).ravel()
        return total - self.adjacency.diagonal().astype(np.int64)

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Links of each node, shape (n_nodes,): those to it and those from it, if directed."""
        return self.out_degrees + self.in_degrees if self.directed else self.out_degrees

    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the two nodes of every link, sorted by the first node, then by the second.

        Without directions i < j; with directions each link leads from i to j.

        Returns
        -------
        i, j : ndarray of shape (n_edges,)

        Examples
        --------
        >>> graph = Graph(np.zeros((3, 1)), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
        >>> i, j = graph.edges()
        >>> list(zip(i.tolist(), j.tolist()))
        [(0, 1), (1, 2)]
        """
        return ends_of(self.adjacency, directed=self.directed)

    def unknown_dyads(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the two nodes of every unknown dyad, in the order of `edges`.

        Returns
        -------
        i, j : ndarray of shape (n_unknown,)

        Examples
        --------
        >>> graph = Graph(np.zeros((3, 1)), [[0, 1, np.nan], [1, 0, 1], [np.nan, 1, 0]])
        >>> i, j = graph.unknown_dyads()
        >>> list(zip(i.tolist(), j.tolist()))
        [(0, 2)]
        """
        if self.unknown is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return ends_of(self.unknown, directed=self.directed)

    def with_unknown(self, dyads: Any) -> Graph:
        """Return the same graph with these dyads unknown, whether they are linked or not.

        Parameters
        ----------
        dyads : sequence of pairs of nodes
            By names, or by numbers from 0. Without directions give each dyad once, in any order.

        Returns
        -------
        Graph

        Raises
        ------
        DataError
            For an unknown node, or a node paired with itself.

        Examples
        --------
        >>> graph = Graph(np.zeros((3, 1)), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
        >>> graph.with_unknown([(0, 2)]).to_dense(unknown=np.nan)
        array([[ 0.,  1., nan],
               [ 1.,  0.,  1.],
               [nan,  1.,  0.]])
        """
        i, j = self.ends_of_dyads(dyads)
        made = (one_way if self.directed else symmetric)(i, j, self.n_nodes)
        unknown = made if self.unknown is None else made + self.unknown
        unknown = without_loops((unknown != 0).astype(np.int8))
        if unknown is None:
            return self
        if self.is_sparse:
            E = sparse.csr_array(self.adjacency - self.adjacency.multiply(unknown))
            E.eliminate_zeros()
            E.sort_indices()
        else:
            E = self.adjacency.copy()
            E[np.repeat(np.arange(self.n_nodes), np.diff(unknown.indptr)), unknown.indices] = 0
        return self.replaced(adjacency=E, unknown=unknown)

    def ends_of_dyads(self, dyads: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the two nodes of dyads given by names or numbers, in the order of `edges`.

        Raises
        ------
        DataError
            For an unknown node, or a node paired with itself.

        Parameters
        ----------
        dyads : sequence of pairs of nodes
            By names, or by numbers from 0.

        Returns
        -------
        i, j : ndarray of shape (n_dyads,)

        Examples
        --------
        >>> graph = Graph(np.zeros((3, 1)), np.zeros((3, 3)), node_names=["ann", "bob", "cid"])
        >>> i, j = graph.ends_of_dyads([("cid", "ann")])
        >>> i.tolist(), j.tolist()
        ([0], [2])
        """
        i, j = places_of(list(dyads), self.node_names, self.n_nodes)
        if not self.directed:
            i, j = np.minimum(i, j), np.maximum(i, j)
        codes = np.unique(i * self.n_nodes + j)
        return codes // self.n_nodes, codes % self.n_nodes

    def undirected(self, how: str = "union") -> Graph:
        """Return the graph without directions.

        Parameters
        ----------
        how : {"union", "intersection"}
            "union" links two nodes if a link leads in at least one direction; "intersection" if
            links lead in both. A dyad is unknown if the known directions do not decide this.

        Returns
        -------
        Graph

        Examples
        --------
        >>> graph = Graph(np.zeros((2, 1)), [[0, 1], [0, 0]], directed=True)
        >>> graph.undirected().n_edges, graph.undirected("intersection").n_edges
        (1, 0)
        """
        if how not in ("union", "intersection"):
            raise ModelError(f'how must be "union" or "intersection"; got {how!r}.')
        if not self.directed:
            return self
        E = self.to_sparse().astype(np.int32)
        gaps = sparse.csr_array(E.shape, dtype=np.int32) if self.unknown is None else self.unknown
        gaps = gaps.astype(np.int32)
        if how == "union":
            links = ((E + E.T) > 0).astype(np.int8)
            open_ = ((gaps + gaps.T) > 0).astype(np.int8)
            open_ = open_ - open_.multiply(links)
        else:
            links = E.multiply(E.T).astype(np.int8)
            possible = E + gaps  # 1 where linked, or not known not to be
            open_ = possible.multiply(possible.T).astype(np.int8) - links
        links, unknown = sparse.csr_array(links), without_loops(open_)
        links.eliminate_zeros()
        links.sort_indices()
        pairs = {name: _both_ways(matrix) for name, matrix in self.pair_features.items()}
        return self.replaced(
            adjacency=links if self.n_nodes > DENSE_NODES else links.toarray(),
            unknown=unknown,
            directed=False,
            pair_features={name: matrix for name, matrix in pairs.items() if matrix is not None},
        )

    def to_dense(self, *, unknown: float | None = None) -> NDArray[Any]:
        """Return the adjacency as an array.

        Parameters
        ----------
        unknown : float, optional
            The value of unknown dyads, such as NaN; the array is then float64. By default 0, in an
            array of int8.

        Returns
        -------
        ndarray of shape (n_nodes, n_nodes)

        Raises
        ------
        ModelError
            When the array would not fit in memory.

        Examples
        --------
        >>> Graph(np.zeros((2, 1)), [[0, 1], [1, 0]]).to_dense()
        array([[0, 1],
               [1, 0]], dtype=int8)
        """
        if self.is_sparse:
            mend = "Keep it sparse: see Graph.adjacency and Graph.edges."
            refuse_large(self.n_nodes, matrices=1, what="a dense adjacency", mend=mend)
        array: NDArray[Any] = self.adjacency.toarray() if self.is_sparse else self.adjacency
        if unknown is None:
            return array
        array = array.astype(np.float64)
        if self.unknown is not None:
            rows = np.repeat(np.arange(self.n_nodes), np.diff(self.unknown.indptr))
            array[rows, self.unknown.indices] = unknown
        return array

    def to_sparse(self) -> sparse.csr_array:
        """Return the adjacency as a sorted CSR array with an empty diagonal.

        Returns
        -------
        scipy.sparse.csr_array of shape (n_nodes, n_nodes)

        Examples
        --------
        >>> Graph(np.zeros((2, 1)), [[0, 1], [1, 0]]).to_sparse().nnz
        2
        """
        i, j = self.edges()
        return (one_way if self.directed else symmetric)(i, j, self.n_nodes)


def _refuse_names(count: int, width: int) -> None:
    """Raise DataError for another number of names than of features."""
    raise DataError(
        f"feature_names has {count} names for {width} features per node: give one for each."
    )


def _rows_of(adjacency: Any) -> int:
    """Return the number of rows of an adjacency, whatever holds it."""
    shape = shape_of(adjacency)
    return shape[0] if shape else 0


def _checked_pairs(
    matrix: Any,
    names: tuple[str, ...] | None,
    n_nodes: int,
    what: str,
    directed: bool,  # noqa: FBT001
) -> Any:
    """Return what is known of dyads as float64, an array or sparse by its size."""
    matrix = named(names, matrix, what)
    if sparse.issparse(matrix):
        made = sparse.csr_array(matrix, dtype=np.float64)
        values, shape = made.data, made.shape
        made = made if n_nodes > DENSE_NODES else made.toarray()
    else:
        made = as_numbers(matrix, name=what, ndim=2).astype(np.float64)
        values, shape = made, made.shape
    if shape != (n_nodes, n_nodes):
        raise DataError(
            f"{what} has shape {shape} where the graph has {n_nodes} nodes: it must be a matrix "
            f"with one row and one column for each node, ({n_nodes}, {n_nodes})."
        )
    if np.isinf(values).any():
        raise DataError(f"{what} holds infinity: drop it, or write NaN where the value is unknown.")
    if not directed and not _is_even(made):
        raise DataError(
            f"{what} is not symmetric, and without a direction a dyad has one value: give "
            "(A + A.T) / 2 or the like, or pass directed=True if links have a direction."
        )
    return made


def _is_even(matrix: Any) -> bool:
    """Tell whether a matrix is its own transpose, NaN equal to NaN."""
    if sparse.issparse(matrix):
        one, two = matrix.tocsr(), matrix.T.tocsr()
        one.sort_indices()
        two.sort_indices()
        if one.nnz != two.nnz or not np.array_equal(one.indices, two.indices):
            return False
        return np.array_equal(one.data, two.data, equal_nan=True)
    return np.array_equal(matrix, matrix.T, equal_nan=True)


def _both_ways(matrix: Any) -> Any:
    """Return what is known of dyads where it is the same both ways, else None."""
    return matrix if _is_even(matrix) else None


def column_names(table: Any) -> list[str] | None:
    """Return the names of a dataframe's columns; None where it has none, or they are numbers."""
    if isinstance(table, np.ndarray) or getattr(table, "columns", None) is None:
        return None
    names = names_of(table)
    return names if names and all(isinstance(name, str) for name in names) else None


def checked_features(
    features: Any, names: Any = None, *, missing: bool = False
) -> NDArray[np.float64]:
    """Return features as float64, shape (n, m); DataError where inner products would overflow.

    NaN is refused unless `missing`.
    """
    if type(features) is np.ndarray and features.dtype == np.float64 and features.ndim == 2:
        X = features.copy()
    else:
        X = as_numbers(features, name="features", ndim=2).astype(np.float64, order="C")
    if np.abs(X).max(initial=0.0) <= LARGEST_FEATURE:  # and none is NaN
        return X
    refuse_non_finite(X, name="features", names=names, missing=missing)
    large = np.nan_to_num(np.abs(X)) > LARGEST_FEATURE
    if large.any():
        i, j = (int(k) for k in np.argwhere(large)[0])
        raise DataError(
            f"features holds {X[i, j]:g} at row {i}, column {j}: the squares of inner products "
            "overflow float64. Rescale the features, for example to [-1, 1]."
        )
    return X


def refuse_large(n_nodes: int, *, matrices: int, what: str, mend: str) -> None:
    """Raise ModelError when so many dense (n_nodes, n_nodes) float64 matrices pass MAX_BYTES."""
    needed = 8 * matrices * n_nodes * n_nodes
    if needed > MAX_SAMPLE_BYTES:
        raise ModelError(
            f"{what} of {n_nodes} nodes needs {needed / 2**30:.1f} GiB, over the limit of "
            f"{MAX_SAMPLE_BYTES >> 30} GiB. {mend}"
        )


def shape_of(part: Any) -> tuple[int, ...]:
    """Return the shape, of sparse matrices too."""
    if type(part) is np.ndarray or sparse.issparse(part):
        return part.shape
    return np.shape(part)
