"""A graph from two tables: its edges, two ids in a row, and its nodes, an id and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ancestral._validation import SMALLER_FILE, within_memory
from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.io.attributes import Categorical
from ancestral.io.files import PathLike, Source
from ancestral.io.graphs import MAX_BYTES, assemble
from ancestral.io.kinds import recognise
from ancestral.io.text import parse_cells, refuse_duplicates

if TYPE_CHECKING:
    from ancestral.graph.graphs import Graph


@within_memory(SMALLER_FILE)
def read_edge_list(
    edges: PathLike,
    nodes: PathLike,
    *,
    key: str | None = None,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
    max_bytes: int = MAX_BYTES,
) -> Graph:
    """Read a graph from a `.csv` of edges and a `.csv` of nodes, gzipped or not.

    Parameters
    ----------
    edges : str or path-like
        Two columns: the ids of the two ends of each edge, each edge once, in any order. A first
        line of names is told by its not being two ids.
    nodes : str or path-like
        A line of names, then one line for each node: its id and its attributes.
    key : str, optional
        The column of ids in `nodes`; the first when not given.
    attributes : sequence of str, optional
        Which columns are the features, in this order; all but the ids when not given.
    categorical : sequence of str, or mapping of str to levels
        Which of these are groups: each level becomes a feature of 0 and 1.
    max_bytes : int
        Refuse a compressed file that expands further, in bytes (default 512 MiB).

    Returns
    -------
    Graph
        Nodes in the order of their table; `feature_names` as "age" or "Race=White". More than
        2,000 nodes make the adjacency sparse.

    Raises
    ------
    FormatError
        When a file is no such table.
    DataError
        When an edge leads nowhere, to its own start, or comes twice, or an id or an attribute is
        missing, naming the line or the node.
    """
    names, rows = _cells(nodes, max_bytes)
    refuse_duplicates(names, str(nodes))
    at = _column(names, key, str(nodes))
    table: dict[str, dict[str, Any]] = {}
    for line, cells in rows:
        node = cells[at]
        if not node:
            raise DataError(f"{nodes}: line {line} has no id in column {names[at]!r}.")
        if node in table:
            raise DataError(f"{nodes}: line {line} gives node {node!r} a second time.")
        table[node] = {name: cell for k, (name, cell) in enumerate(zip(names, cells)) if k != at}
    first, pairs = _cells(edges, max_bytes)
    if len(first) != 2:
        raise DataError(
            f"{edges}: has {len(first)} columns; two are wanted, the ids of the ends of each edge."
        )
    ends = [(cells[0], cells[1]) for _, cells in pairs]
    if first[0] in table or first[1] in table:
        ends.insert(0, (first[0], first[1]))
    return assemble(table, ends, attributes, str(edges), categorical=categorical)


def from_frames(
    edges: Any,
    nodes: Any,
    *,
    key: str | None = None,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
) -> Graph:
    """Return a graph from a dataframe of edges and a dataframe of nodes.

    Parameters
    ----------
    edges : dataframe
        Its first two columns hold the ids of the two ends of each edge.
    nodes : dataframe
        A row for each node.
    key, attributes, categorical
        As for `read_edge_list`.

    Returns
    -------
    Graph

    Examples
    --------
    >>> import pandas
    >>> nodes = pandas.DataFrame({"id": ["a", "b"], "grade": [7, 8], "sex": ["F", "M"]})
    >>> edges = pandas.DataFrame({"one": ["b"], "two": ["a"]})
    >>> from_frames(edges, nodes, categorical=["sex"]).feature_names
    ('grade', 'sex=F', 'sex=M')
    """
    columns = _columns(nodes, "nodes")
    names = list(columns)
    ids = columns.pop(names[_column(names, key, "nodes")])
    if len(set(ids)) < len(ids):
        twice = next(node for k, node in enumerate(ids) if node in set(ids[:k]))
        raise DataError(f"nodes: {twice!r} stands there a second time: ids must differ.")
    table = {
        node: {name: values[k] for name, values in columns.items()} for k, node in enumerate(ids)
    }
    ends = list(_columns(edges, "edges").values())
    if len(ends) < 2:
        raise DataError(f"edges has {len(ends)} columns; two are wanted, the ids of the ends.")
    return assemble(table, list(zip(*ends[:2])), attributes, "graph", categorical=categorical)


def _cells(path: PathLike, max_bytes: int) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the first line of a CSV, and number and cells of the others."""
    with Source(path, max_bytes=max_bytes) as source:
        recognise(source, ("text",))
        raw, name = source.read_all(), source.name
    (_, first), *rows = parse_cells(raw, name)
    for line, cells in rows:
        if len(cells) != len(first):
            raise FormatError(
                f"{name}: line {line} has {len(cells)} cells where the first has {len(first)}."
            )
    return first, rows


def _column(names: list[str], key: str | None, name: str) -> int:
    """Return which column holds the ids."""
    if key is None:
        return 0
    if key not in names:
        raise DataError(f"{name}: has no column {key!r}; it has {', '.join(names)}.")
    return names.index(key)


def _columns(frame: Any, name: str) -> dict[str, list[Any]]:
    """Return the columns of any dataframe as lists."""
    import narwhals as nw

    native = nw.from_native(frame, eager_only=True, pass_through=True)
    if not isinstance(native, nw.DataFrame):
        raise DataTypeError(f"{name} must be a dataframe; got a {type(frame).__name__}.")
    return {str(column): native[column].to_list() for column in native.columns}
