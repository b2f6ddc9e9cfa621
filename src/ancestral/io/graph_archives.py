"""Graphs in an `.npz`: what `write_graphs` writes, and what people put together themselves.

    features_k, adjacency_k | edges_k       of graph k, and beside them, where a graph has it,
    node_names_k, unknown_k, directed_k     names of nodes, unknown dyads, a single True
    pair_k_p, pairs_k_p                     what is known of dyads: a matrix, or rows (i, j, value)
    feature_names, texts, pair_names        of all graphs; texts are attributes that have levels

A single graph may stand without its number, and many of one size as stacks. Features of levels are
indicators, named "house=Stark".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.io.links import AS_THEY_ARE, Choices
from ancestral.io.npy import Archive

if TYPE_CHECKING:
    from ancestral.graph.graph import Graph

NAMES, TEXTS, PAIRS = "feature_names", "texts", "pair_names"
_NUMBERED = re.compile(r"(features|adjacency|edges)_(\d+)", re.ASCII)
_BESIDE = re.compile(r"(node_names|unknown|directed)_(\d+)|(pairs?)_(\d+)_(\d+)", re.ASCII)


def read_archive(archive: Archive, choices: Choices) -> list[Graph]:
    """Return the graphs of an .npz: single, stacked or numbered."""
    names, texts = _texts_in(archive, NAMES), _texts_in(archive, TEXTS)
    parts = _stacks(archive)
    made = []
    for i, X, E in parts:
        name = archive.name if len(parts) == 1 else f"{archive.name}: graph {i}"
        beside = _beside(archive, i, len(X), name)
        unknown = beside.pop("unknown", None)
        if E is None:
            E = _adjacency_of(
                archive.read(f"edges_{i}" if f"edges_{i}" in archive.keys else "edges"),
                len(X),
                f"{name}: edges",
                directed=bool(beside.get("directed", False)),
            )
        is_own = f"features_{i}" in archive.keys
        graph = make_graph(X, E, name, names, choices=choices, is_own=is_own, **beside)
        if texts:
            graph = _with_texts(graph, texts, name)
        made.append(graph if unknown is None else graph.with_unknown(unknown))
    return made


def arrays_of(graphs: Sequence[Graph]) -> dict[str, NDArray]:
    """Return the arrays that hold graphs of common features."""
    arrays: dict[str, NDArray] = {}
    names = next((graph.feature_names for graph in graphs if graph.feature_names), None)
    if names is not None:
        arrays[NAMES] = np.array(names)
    texts = [one.name for one in graphs[0]._columns or () if one.levels is not None]
    if texts:
        arrays[TEXTS] = np.array(texts)
    pairs = list(dict.fromkeys(name for graph in graphs for name in graph.pair_features))
    if pairs:
        arrays[PAIRS] = np.array(pairs)
    for k, graph in enumerate(graphs):
        arrays[f"features_{k}"] = np.asarray(graph.features)
        if graph.is_sparse:
            arrays[f"edges_{k}"] = np.stack(graph.edges(), axis=1)
        else:
            arrays[f"adjacency_{k}"] = np.asarray(graph.adjacency)
        if graph.node_names is not None:
            arrays[f"node_names_{k}"] = np.array(graph.node_names)
        if graph.unknown is not None:
            arrays[f"unknown_{k}"] = np.stack(graph.unknown_dyads(), axis=1)
        if graph.directed:
            arrays[f"directed_{k}"] = np.array([True])
        for name, matrix in graph.pair_features.items():
            p = pairs.index(name)
            if isinstance(matrix, np.ndarray):
                arrays[f"pair_{k}_{p}"] = matrix
            else:
                coo = matrix.tocoo()
                i, j = coo.coords if hasattr(coo, "coords") else (coo.row, coo.col)
                arrays[f"pairs_{k}_{p}"] = np.stack([i, j, coo.data], axis=1)
    return arrays


def make_graph(
    X: Any,
    E: Any,
    name: str,
    names: Sequence[str] | None = None,
    *,
    choices: Choices = AS_THEY_ARE,
    is_own: bool = False,
    **beside: Any,
) -> Graph:
    """Return the checked graph, its features named; errors carry the name."""
    from scipy import sparse

    from ancestral.graph.graph import Graph

    for part, array in (("features", X), ("adjacency", E)):
        if not isinstance(array, np.ndarray) and not (part == "adjacency" and sparse.issparse(E)):
            raise DataTypeError(f"{name}: {part} is a {type(array).__name__}, not an array.")
    if isinstance(E, np.ndarray) and _swapped(X, E):
        raise DataError(
            f"{name}: features and adjacency are swapped: got shapes {X.shape} and {E.shape}, "
            "(adjacency, features). Give (features, adjacency)."
        )
    if len(X.shape) == 2 and (len(X) == 0 or (0 in X.shape and not is_own)):
        raise DataError(f"{name}: has features of shape {X.shape}: there is nothing to model.")
    how = choices.directed if choices.directed in ("union", "intersection") else None
    has_way = beside.pop("directed", False) or choices.directed is True or how is not None
    if has_way and choices.directed in (False, "refuse"):
        raise DataError(f"{name}: is directed, and directed={choices.directed!r}.")
    try:
        made = Graph(X, E, names and tuple(names), directed=bool(has_way), **beside)
    except DataError as error:
        raise type(error)(f"{name}: {error}") from None
    return made if how is None else made.undirected(str(how))


def _swapped(X: NDArray, E: NDArray) -> bool:
    """Tell whether the first is an adjacency and the second is not."""
    return _is_adjacency(X) and len(E) == len(X) and E.ndim == 2 and not _is_adjacency(E)


def _is_adjacency(A: NDArray) -> bool:
    square = A.ndim == 2 and A.shape[0] == A.shape[1]
    return square and bool(np.isin(A, (0, 1)).all() and (A == A.T).all())


def _with_texts(graph: Graph, texts: Sequence[str], name: str) -> Graph:
    """Return a graph with the attributes of these names read from their indicators."""
    from ancestral.graph.attributes import Attribute, indicated

    columns: list[Attribute] = []
    names = graph.feature_names or ()
    for k, feature in enumerate(names):
        text = next((one for one in texts if feature.startswith(f"{one}=")), None)
        if text is None:
            columns.append(Attribute(feature, graph.features[:, k].copy()))
        elif not any(one.name == text for one in columns):
            found = indicated(text, names, graph.features)
            if found is None:
                raise FormatError(f"{name}: the features of {text!r} are no indicators of levels.")
            columns.append(found)
    return graph.replaced(_columns=tuple(columns))


def _beside(archive: Archive, i: int, n_nodes: int, name: str) -> dict[str, Any]:
    """Return what an .npz holds beside the features and links of a graph."""
    found: dict[str, Any] = {}
    if f"node_names_{i}" in archive.keys:
        found["node_names"] = _texts_in(archive, f"node_names_{i}")
    if f"directed_{i}" in archive.keys:
        found["directed"] = bool(np.ravel(archive.read(f"directed_{i}"))[:1].any())
    if f"unknown_{i}" in archive.keys:
        found["unknown"] = checked_ends(archive.read(f"unknown_{i}"), n_nodes, f"{name}: unknown")
    pairs = {}
    for p, pair in enumerate(_texts_in(archive, PAIRS) or ()):
        if f"pair_{i}_{p}" in archive.keys:
            pairs[pair] = archive.read(f"pair_{i}_{p}")
        elif f"pairs_{i}_{p}" in archive.keys:
            pairs[pair] = _of_rows(archive.read(f"pairs_{i}_{p}"), n_nodes, f"{name}: {pair!r}")
    return found | ({"pair_features": pairs} if pairs else {})


def _of_rows(rows: NDArray, n_nodes: int, name: str) -> Any:
    """Return the sparse matrix of rows (i, j, value)."""
    from scipy import sparse

    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind != "f":
        raise FormatError(f"{name}: expected rows (i, j, value) of float64; got {rows.shape}.")
    i, j = rows[:, :2].T
    if len(rows) and not (min(i.min(), j.min()) >= 0 and max(i.max(), j.max()) < n_nodes):
        raise FormatError(f"{name}: a row names an unknown node.")
    ends = i.astype(np.int64), j.astype(np.int64)
    return sparse.csr_array((rows[:, 2], ends), shape=(n_nodes, n_nodes))


def _texts_in(archive: Archive, key: str) -> list[str] | None:
    """Return the texts that an .npz holds under a key, if any."""
    if key not in archive.keys:
        return None
    names = archive.read_values(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        what = "feature" if key == NAMES else "of them"
        raise FormatError(f"{archive.name}: {key!r} must hold one text for each {what}.")
    return names


def _stacks(archive: Archive) -> list[tuple[int, NDArray, Any]]:
    """Return number, features and adjacency of each graph; None for one that stands as edges."""
    beside = {key for key in archive.keys if _BESIDE.fullmatch(key)}
    keys = set(archive.keys) - {NAMES, TEXTS, PAIRS} - beside
    if keys == {"features", "edges"}:
        return [(0, archive.read("features"), None)]
    if keys == {"features", "adjacency"}:
        X, E = archive.read("features"), archive.read("adjacency")
        if X.ndim == 3 or E.ndim == 3:
            if X.ndim != E.ndim or len(X) != len(E) or len(X) == 0:
                raise DataError(
                    f"{archive.name}: stacked features {X.shape} and adjacency {E.shape} do not "
                    "fit together; expected (n_graphs, n, m) and (n_graphs, n, n)."
                )
            return [(i, x, e) for i, (x, e) in enumerate(zip(X, E))]
        return [(0, X, E)]
    matches = [_NUMBERED.fullmatch(key) for key in keys]
    numbers = sorted({int(match[2]) for match in matches if match})
    second = {i: f"edges_{i}" if f"edges_{i}" in keys else f"adjacency_{i}" for i in numbers}
    wanted = {f"features_{i}" for i in numbers} | set(second.values())
    if not keys or keys != wanted:
        odd = sorted(keys ^ wanted)[:6]
        raise FormatError(
            f"{archive.name}: arrays named features and adjacency (or edges), features_0 and "
            "adjacency_0 (or edges_0) and so on, or edges and node attributes, are wanted; look at "
            f"{', '.join(odd) if odd else 'its lack of arrays'}."
        )
    return [
        (
            i,
            archive.read(f"features_{i}"),
            None if second[i].startswith("edges") else archive.read(second[i]),
        )
        for i in numbers
    ]


def _adjacency_of(edges: NDArray, n_nodes: int, name: str, *, directed: bool) -> Any:
    """Return the sparse adjacency of rows of two node numbers, each edge once."""
    from ancestral.graph.adjacency import one_way, repeated_edge, symmetric

    ends = checked_ends(edges, n_nodes, name)
    i, j = ends.T if directed else np.sort(ends, axis=1).T
    twice = repeated_edge(i, j, n_nodes)
    if twice is not None:
        u, v = twice
        raise DataError(f"{name}: nodes {u} and {v} are linked more than once: keep one edge.")
    return (one_way if directed else symmetric)(i, j, n_nodes)


def checked_ends(edges: NDArray, n_nodes: int, name: str) -> NDArray[np.int64]:
    """Return rows of two node numbers; refuse what is no edge, naming its row."""
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        raise DataError(
            f"{name}: expected whole numbers of shape (n_edges, 2); got {edges.dtype} "
            f"{edges.shape}."
        )
    ends = edges.astype(np.int64)
    i, j = ends.T
    wrong = (ends < 0).any(axis=1) | (ends >= n_nodes).any(axis=1) | (i == j)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{name}: row {row} joins {edges[row, 0]} and {edges[row, 1]}; two different nodes of "
            f"0 to {n_nodes - 1} are wanted."
        )
    return ends
