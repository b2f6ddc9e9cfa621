"""A graph from two tables: its edges, two ids in a row, and its nodes, an id and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ancestral._checks.containers import EXACT
from ancestral._checks.missing import is_missing, is_missing_text
from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.io.attributes import (
    ROW_NAMES,
    Categorical,
    without_missing_text,
)
from ancestral.io.files import PathLike, Source
from ancestral.io.graphs import MAX_BYTES, assemble
from ancestral.io.kinds import recognise
from ancestral.io.text import parse_cells, refuse_duplicates

if TYPE_CHECKING:
    from ancestral.graph.graphs import Graph

# Names of the two columns of ids, in small letters.
ENDS = (
    ("source", "target"),
    ("from", "to"),
    ("src", "dst"),
    ("src", "tgt"),
    ("sender", "receiver"),
    ("tail", "head"),
    ("ego", "alter"),
    ("start", "end"),
    ("node1", "node2"),
    ("node_1", "node_2"),
    ("id1", "id2"),
    ("id_1", "id_2"),
    ("one", "two"),
    ("u", "v"),
    ("i", "j"),
)
KEYS = ("id", "node", "node_id", "name", "vertex", "key", "label")


@within_memory(SMALLER_FILE)
def read_edge_list(
    edges: PathLike,
    nodes: PathLike,
    *,
    key: str | None = None,
    ends: tuple[str, str] | None = None,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
    max_bytes: int = MAX_BYTES,
) -> Graph:
    """Read a graph from a `.csv` of edges and a `.csv` of nodes, gzipped or not.

    Parameters
    ----------
    edges : str or path-like
        Two columns: the ids of the two ends of each edge, each edge once, in any order. A first
        line of names is told by its not being two ids. Of more columns, those named source and
        target, from and to, or alike.
    nodes : str or path-like
        A line of names, then one line for each node: its id and its attributes.
    key : str, optional
        The column of ids in `nodes`; the first when not given, row numbers aside.
    ends : tuple of str, optional
        The two columns of `edges` that hold the ids of the ends, where names do not tell.
    attributes : sequence of str, optional
        Which columns are the features, in this order; all but ids and what programs write to draw
        nodes when not given.
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
        if is_missing_text(node):
            raise DataError(
                f"{nodes}: line {line} has no id in column {names[at]!r}, but {node!r}. "
                "Give it one."
            )
        if node in table:
            raise DataError(f"{nodes}: line {line} gives node {node!r} a second time.")
        held = {name: cell for k, (name, cell) in enumerate(zip(names, cells)) if k != at}
        table[node] = without_missing_text(held)
    first, pairs = _cells(edges, max_bytes)
    if ends is None and len(first) == 2 and (first[0] in table or first[1] in table):
        one, two = 0, 1  # ids already: there is no line of names
        pairs.insert(0, (1, first))
    else:
        one, two = _ends(first, ends, str(edges))
    for line, cells in pairs:
        if is_missing_text(cells[one]) or is_missing_text(cells[two]):
            raise DataError(
                f"{edges}: line {line} joins {cells[one]!r} and {cells[two]!r}: an id is missing. "
                "Drop the line."
            )
    joined = [(cells[one], cells[two]) for _, cells in pairs]
    return assemble(table, joined, attributes, str(edges), categorical=categorical)


def from_frames(
    edges: Any,
    nodes: Any,
    *,
    key: str | None = None,
    ends: tuple[str, str] | None = None,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
) -> Graph:
    """Return a graph from a dataframe of edges and a dataframe of nodes.

    Parameters
    ----------
    edges : dataframe
        Two of its columns hold the ids of the two ends of each edge: its only two, or those named
        source and target, from and to, or alike.
    nodes : dataframe
        A row for each node.
    key, ends, attributes, categorical
        As for `read_edge_list`.

    Returns
    -------
    Graph

    Raises
    ------
    DataError
        When columns of ids are not told by their names, an id is missing, comes twice or leads
        nowhere, or an attribute is missing.

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
    table: dict[Any, dict[str, Any]] = {}
    for k, node in enumerate(ids):
        _refuse_id(node, f"nodes: row {k}")
        if node in table:
            raise DataError(f"nodes: {node!r} stands there a second time: ids must differ.")
        table[node] = {name: values[k] for name, values in columns.items()}
    held = _columns(edges, "edges")
    one, two = _ends(list(held), ends, "edges")
    joined = list(zip(*(list(held.values())[k] for k in (one, two)), strict=True))
    for k, pair in enumerate(joined):
        for node in pair:
            _refuse_id(node, f"edges: row {k}")
    return assemble(table, joined, attributes, "graph", categorical=categorical)


def _refuse_id(node: Any, place: str) -> None:
    """Raise DataError for an id that is missing, that is none, or that float64 has rounded."""
    if is_missing(node):
        raise DataError(f"{place} has no id, but {node!r}: drop it, or give it one.")
    if isinstance(node, float) and abs(node) >= EXACT:
        raise DataError(
            f"{place} has the id {node!r}, a float64, which holds only some of the whole numbers "
            "beyond 2^53: read the column of ids as integers or as text."
        )
    try:
        hash(node)
    except TypeError:
        raise DataTypeError(
            f"{place} has a {type(node).__name__} for an id; a number or text is wanted."
        ) from None


def _ends(names: list[str], ends: tuple[str, str] | None, name: str) -> tuple[int, int]:
    """Return which two columns hold the ids of the ends; DataError where names do not tell."""
    if ends is not None:
        wanted = [ends] if isinstance(ends, str) else list(ends)
        absent = [key for key in wanted if key not in names]
        if len(wanted) != 2 or absent:
            raise DataError(
                f"{name}: ends must name two of its columns {', '.join(names)}; got {ends!r}."
            )
        return names.index(wanted[0]), names.index(wanted[1])
    low = [column.strip().lower() for column in names]
    left = [k for k, column in enumerate(low) if column not in ROW_NAMES]
    if len(left) == 2:
        return left[0], left[1]
    found = [pair for pair in ENDS if low.count(pair[0]) == low.count(pair[1]) == 1]
    if len(found) == 1:
        return low.index(found[0][0]), low.index(found[0][1])
    raise DataError(
        f"{name}: has the columns {', '.join(map(repr, names))}, and which two hold the ids of the "
        "ends of each edge is not clear. Two columns are wanted, or two named source and target, "
        'or from and to; else pass ends=("...", "...").'
    )


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
        if names[0].strip().lower() not in ROW_NAMES:
            return 0
        ids = [k for k, column in enumerate(names) if column.strip().lower() in KEYS]
        if len(ids) == 1:
            return ids[0]
        raise DataError(
            f"{name}: its first column, {names[0]!r}, numbers the rows, and which of "
            f"{', '.join(names[1:])} holds the ids is not clear: pass key=..."
        )
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
