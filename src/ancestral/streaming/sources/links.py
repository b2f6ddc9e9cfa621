"""One graph by blocks of its links: nodes in memory, links in files that are read part by part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ancestral._arrays import to_host
from ancestral._checks.columns import names_of
from ancestral._checks.containers import shown
from ancestral._checks.numbers import warn
from ancestral.errors import DataError, DataTypeError
from ancestral.graph.graph import Graph
from ancestral.graph.link_blocks import LinkBlock
from ancestral.io.edge_heads import ENDS
from ancestral.io.edge_weights import NOT_KEPT, WEIGHTS, numbers_in, weights_among
from ancestral.streaming.checking import column_of
from ancestral.streaming.columns import in_order
from ancestral.streaming.opening import Opening
from ancestral.streaming.source import Piece, Source

Index = NDArray[np.int64]


class Nodes:
    """The nodes of a graph, and their numbers by their names.

    A process that is sent them with several parts has them but once; where they come of a file,
    what travels is how they are read.

    Parameters
    ----------
    graph : Graph
        Without links.
    read : callable, optional
        Gives the graph anew.
    """

    def __init__(self, graph: Graph, read: Callable[[], Graph] | None = None) -> None:
        self.graph, self.read, self.token = graph, read, os.urandom(16)
        _here[self.token] = self

    def __reduce__(self) -> Any:
        return _nodes_here, (self.token, self.read, self.graph if self.read is None else None)

    @cached_property
    def by_name(self) -> dict[Any, int]:
        """Numbers of nodes by their names."""
        return {name: k for k, name in enumerate(self.graph.node_names or ())}

    @cached_property
    def by_number(self) -> dict[Any, int] | None:
        """The same by whole numbers that are names; None where some name is none."""
        names = self.graph.node_names
        if names is None or not all(name.lstrip("-").isdecimal() for name in names):
            return None
        return {int(name): k for k, name in enumerate(names)}

    def places(self, values: NDArray[Any], what: str) -> Index:
        """Return the numbers of nodes that a column names; DataError for what is none."""
        n = self.graph.n_nodes
        if values.dtype.kind == "f":
            whole = np.isfinite(values) & (values == np.floor(values))
            if not whole.all():
                self._refuse(values, ~whole, what)
            values = values.astype(np.int64)
        if values.dtype.kind in "iu" and self.by_number is None:
            wrong = (values < 0) | (values >= n)
            if wrong.any():
                self._refuse(values, wrong, what)
            return values.astype(np.int64)
        held = self.by_name if values.dtype.kind not in "iu" else self.by_number or {}
        try:
            found = np.fromiter(
                map(held.get, values.tolist(), repeat(-1)), np.int64, count=len(values)
            )
        except TypeError:
            raise DataTypeError(
                f"{what} holds {shown(values[0])}: give numbers or names of nodes."
            ) from None
        if (found < 0).any():
            self._refuse(values, found < 0, what)
        return found

    def _refuse(self, values: NDArray[Any], wrong: NDArray[np.bool_], what: str) -> None:
        """Raise DataError for the first of some values, which names no node."""
        row, names = int(np.argmax(wrong)), self.graph.node_names
        value = values[row].item() if hasattr(values[row], "item") else values[row]
        if value is None or value != value:
            raise DataError(f"{what} is missing at row {row}: a link has two ends.")
        if names is None:
            known = (
                f"they are numbered from 0 to {self.graph.n_nodes - 1}, and have no names. If a "
                "column of nodes holds them, name it: key=..."
            )
        else:
            known = f"they are {', '.join(map(repr, names[:6]))}{', ...' * (len(names) > 6)}"
        raise DataError(f"{what} holds {shown(value)} at row {row}, which is no node: {known}.")


_here: WeakValueDictionary[bytes, Nodes] = WeakValueDictionary()
_lock = Lock()


@lru_cache(2)  # so that they stay between two parts
def _held(nodes: Nodes) -> Nodes:
    return nodes


def _nodes_here(token: bytes, read: Callable[[], Graph] | None, graph: Graph | None) -> Nodes:
    """Return the nodes that this process has, or now gets."""
    with _lock:
        found = _here.get(token)
        if found is None:
            found = Nodes(graph if read is None else read(), read)  # type: ignore[arg-type]
            found.token = token
            _here[token] = found
    return _held(found)


@dataclass(frozen=True)
class Table:
    """Nodes in files: how they are read.

    Parameters
    ----------
    pieces : tuple of Piece
    key : str or None
    directed : bool
    """

    pieces: tuple[Piece, ...]
    key: str | None
    directed: bool

    def __call__(self) -> Graph:
        """Return a graph without links."""
        parts = [piece.read() for piece in self.pieces]
        if isinstance(parts[0], np.ndarray):
            return _graph_of(np.concatenate(parts), self.key, directed=self.directed)
        import pyarrow as pa

        return _graph_of(pa.concat_tables(parts), self.key, directed=self.directed)


@dataclass(frozen=True)
class Links:
    """Some links of a graph, read when they are asked for.

    Parameters
    ----------
    nodes : Nodes
    piece : Piece
        Rows that begin with, or have by name, the two ends of links.
    ends : tuple of str, optional
        Names of these columns.
    weight : str, optional
        Name of the column of weights.
    """

    nodes: Nodes
    piece: Piece
    ends: tuple[str, str] | None
    weight: str | None = None

    @property
    def n_rows(self) -> int | None:
        """How many links there are."""
        return self.piece.n_rows

    @property
    def n_bytes(self) -> int | None:
        """About how much memory they take."""
        return None if self.n_rows is None else 16 * self.n_rows

    @property
    def start(self) -> int | None:
        """Number of the first in what holds them."""
        return self.piece.start

    @property
    def of(self) -> str:
        """What holds them."""
        return self.piece.of

    def read(self) -> LinkBlock:
        """Return the links by the numbers of their nodes."""
        chunk = self.piece.read()
        ends = _columns(chunk, self.ends)
        i, j = (self.nodes.places(column, what) for _, what, column in ends)
        links = _linked(chunk, [name for name, _, _ in ends], self.weight, first=not self.start)
        if links is None:
            return LinkBlock(self.nodes.graph, i, j, self.start, self.of)
        rows = np.flatnonzero(links)
        return LinkBlock(self.nodes.graph, i[rows], j[rows], self.start, self.of, rows)


class GraphByBlocks(Source):
    """A graph whose links are read in parts.

    Parameters
    ----------
    nodes : Nodes
    links : Source
    ends : tuple of str, optional
    weight : str, optional
    """

    def __init__(
        self,
        nodes: Nodes,
        links: Source,
        ends: tuple[str, str] | None,
        weight: str | None = None,
    ) -> None:
        self.nodes, self.links, self.ends, self.weight = nodes, links, ends, weight
        self.again, self.fresh = links.again, links.fresh

    def parts(self) -> Iterable[Piece]:
        """Return the links in parts."""
        made = (Links(self.nodes, piece, self.ends, self.weight) for piece in self.links.parts())
        return list(made) if self.again and self.fresh else made

    @property
    def _weighed(self) -> tuple[str, ...]:
        return () if self.weight is None else (self.weight,)

    @property
    def identity(self) -> str:
        """What tells this graph from others."""
        digest = hashlib.sha256(self.links.identity.encode())
        digest.update(repr((self.ends, self.nodes.graph.directed, *self._weighed)).encode())
        digest.update(repr(self.nodes.graph.node_names).encode())
        digest.update(np.ascontiguousarray(self.nodes.graph.numbers).data)
        return digest.hexdigest()


def graph_by_blocks(
    nodes: Any,
    links: Any,
    *,
    directed: bool = False,
    key: str | None = None,
    ends: Sequence[str] | None = None,
    weight: str | None = None,
    block: int | None = None,
) -> Source:
    """Return one graph whose links are read in parts, for `fit_chunks` and `fit_dask`.

    Parameters
    ----------
    nodes : array-like or dataframe of shape (n_nodes, n_features), path-like, or Graph
        The attributes of all nodes, which are kept in memory. If this is a path, each worker reads
        it. The row labels of a dataframe are the names of the nodes. The links of a `Graph` are
        ignored.
    links : path-like, list of path-like, Source, or chunks
        Parquet or CSV files of links, a folder of them, or chunks as for `fit_chunks`: tables in
        which each row is a link, or arrays of shape (n_links, 2). The ends of a link are names of
        nodes, or numbers from 0. If all names are whole numbers, numbers are names.
    directed : bool
        True if links lead from the first end to the second. Links without a direction are given
        once, with the ends in any order.
    key : str, optional
        The column of `nodes` that holds their names.
    ends : pair of str, optional
        The two columns of `links` that hold the ends. By default those with names such as source
        and target, or from and to; else the first two.
    weight : str, optional
        The column of `links` that holds weights: any number but 0 is a link. By default the first
        column of numbers that is called weight, weights, value, count, strength, frequency or tie,
        in this order, in small letters or capitals. Gaps are refused, since a graph in parts has no
        unknown dyads. If no column holds weights, every row is a link; a warning names columns of
        numbers with a 0 or a gap. If `ends` is given, other columns of files are not read.
    block : int, optional
        The number of links that are read from a file at a time; by default about 32 MiB of them.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        When `nodes` is no table of attributes, or has no column `key`. When the links are read: for
        a repeated link, a link of a node with itself, an end that is no node, a missing weight, or
        a column `weight` that is not there. The message names the part and the row.

    Notes
    -----
    `DyadicGraph` and `InnerProductGraph` are fitted to it as to the whole graph. Memory is
    proportional to the number of nodes, plus about four million links. If there are more links,
    repeated links are found in further passes. Sums over all pairs of nodes are computed in this
    process, even if workers read the links. But if the dyads of a `DyadicGraph` are of more than a
    billion kinds, each part computes a share of the sums, so that the workers share them.

    Examples
    --------
    >>> import numpy as np
    >>> from ancestral import DyadicGraph, streaming
    >>> rng = np.random.default_rng(0)
    >>> age = rng.integers(20, 60, 100)
    >>> i, j = np.triu_indices(100, 1)
    >>> linked = rng.random(len(i)) < np.exp(-abs(age[i] - age[j]) / 20)
    >>> links = np.c_[i, j][linked]
    >>> graph = streaming.graph_by_blocks(age[:, None], np.array_split(links, 3))
    >>> model = streaming.fit_chunks(DyadicGraph(["absdiff:0"]), graph)
    >>> model.n_edges_ == len(links), bool(model.coef_[0] < 0)
    (True, True)
    """
    if ends is not None:
        named = [ends] if isinstance(ends, str) else list(ends)
        if len(named) != 2:
            raise DataError(f"ends={ends!r} must be two names: of the columns of both ends.")
        ends = named[0], named[1]
    if names_of(links) is not None or isinstance(links, np.ndarray):
        links = [links]
    if weight is not None and not isinstance(weight, str):
        raise DataError(f"weight must be the name of the column of weights; got {weight!r}.")
    opened = _opened(links, ends, weight, block)
    return GraphByBlocks(_nodes_of(nodes, key, directed=directed), opened, ends, weight)


def _opened(
    links: Any, ends: tuple[str, str] | None, weight: str | None, block: int | None
) -> Source:
    """Return the source of links; of files with named ends only these and the weights are read."""
    if ends is None or weight is not None:
        return Opening(None, rows=block).source(links)
    found = Opening(None, rows=block, columns=ends).source(links)
    paths = links if isinstance(links, list) else [links]
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        return found
    try:
        names = getattr(getattr(Opening(None).source(links), "schema", None), "names", [])
    except DataError:  # of a column that is not needed
        return found
    also = [name for name in names if name.strip().lower() in WEIGHTS and name not in ends]
    return Opening(None, rows=block, columns=[*ends, *also]).source(links) if also else found


def _nodes_of(nodes: Any, key: str | None, *, directed: bool) -> Nodes:
    """Return nodes in memory, or of a file."""
    if isinstance(nodes, str | os.PathLike):
        read = Table(tuple(Opening(None).source(nodes).parts()), key, directed)
        return Nodes(read(), read)
    return Nodes(_graph_of(nodes, key, directed=directed))


def _graph_of(nodes: Any, key: str | None, *, directed: bool) -> Graph:
    """Return a graph without links."""
    if isinstance(nodes, Graph):
        if key is not None:
            raise DataError(f"key={key!r} names a column of a table, and nodes is a Graph.")
        n = nodes.n_nodes
        return nodes.replaced(adjacency=_no_links(n), unknown=None, directed=directed)
    names = None
    if key is not None:
        columns = names_of(nodes) or []
        if key not in columns:
            known = ", ".join(map(repr, columns[:8])) if columns else "no names of columns"
            raise DataError(f"key={key!r} is no column of nodes, which has {known}.")
        names = np.asarray(column_of(nodes, key)).tolist()
        nodes = in_order(nodes, [k for k, name in enumerate(columns) if name != key])
    if not hasattr(nodes, "__len__") or isinstance(nodes, bytes) or getattr(nodes, "ndim", 1) == 0:
        raise DataTypeError(
            f"nodes must be a table of attributes, a path or a Graph; got {shown(nodes)}."
        )
    n = len(nodes)
    graph = Graph(nodes, _no_links(n), node_names=names, directed=directed)
    return graph.replaced(adjacency=_no_links(n))


def _no_links(n: int) -> sparse.csr_array:
    return sparse.csr_array((n, n), dtype=np.int8)


def _columns(chunk: Any, ends: tuple[str, str] | None) -> list[tuple[Any, str, NDArray[Any]]]:
    """Return of both columns of ends their name, what they are called in messages, and ids."""
    names = names_of(chunk)
    if names is None:
        table = np.asarray(to_host(chunk))
        if table.ndim != 2 or table.shape[1] != 2:
            raise DataError(
                f"links come as an array of shape {table.shape}: give two columns, the ends of "
                "each link."
            )
        return [(k, f"column {k}", table[:, k]) for k in range(2)]
    chosen = ends or _ends_among(names)
    for name in chosen:
        if name not in names:
            known = ", ".join(map(repr, names[:8]))
            raise DataError(f"ends={ends!r}: links have no column {name!r}; they have {known}.")
    return [(name, f"column {name!r}", np.asarray(column_of(chunk, name))) for name in chosen]


def _linked(
    chunk: Any, ends: Sequence[Any], asked: str | None, *, first: bool
) -> NDArray[np.bool_] | None:
    """Return which rows are links by their weights; None where there are none.

    What is to be told is told of the `first` part alone.
    """
    names = names_of(chunk)
    if names is None:
        if asked is not None:
            raise DataError(f"weight={asked!r} names a column, and links come as an array.")
        return None
    beside = {str(name): np.asarray(column_of(chunk, name)) for name in names if name not in ends}
    numeric = {name: held for name, held in beside.items() if held.dtype.kind in "biuf"}
    by_name = {name.strip().lower(): name for name in reversed(numeric)}
    name = asked or next((by_name[word] for word in WEIGHTS if word in by_name), None)
    if name is None or name not in beside:
        said: list[str] = []
        lists = {one: held.tolist() for one, held in numeric.items()} if first or asked else {}
        weights_among(lists, asked, "links", said)
        if said:
            warn(f"links: {'; '.join(said)}.")
        return None
    held = beside[name]
    found = held if name in numeric else np.array(numbers_in(held.tolist()) or (), np.float64)
    if len(found) < len(held):
        weights_among({name: held.tolist()}, name, "links", [])  # says which is no number
        found = np.full(len(held), np.nan)
    gaps = np.isnan(found)
    if gaps.any():
        raise DataError(
            f"column {name!r} of weights is missing at row {int(np.argmax(gaps))}: a graph in "
            "parts has no unknown dyads. Leave the row out, or write 0 for no link."
        )
    if first and (found != 1).any():
        warn(f"links: {NOT_KEPT}.")
    return found != 0


def _ends_among(names: Sequence[Any]) -> tuple[Any, Any]:
    """Return the names of the columns of ends, by what they are called or by their place."""
    small = {str(name).lower(): name for name in names}
    for one, two in ENDS:
        if one in small and two in small:
            return small[one], small[two]
    if len(names) < 2:
        raise DataError(f"links have the column {names[0]!r} alone: a link has two ends.")
    return names[0], names[1]
