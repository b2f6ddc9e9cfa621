"""A graph from two tables: its edges, two ids in a row, and its nodes, an id and attributes."""

from __future__ import annotations

import logging
import re
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
from ancestral.io.csv import parse_cells, refuse_duplicates
from ancestral.io.dialect import Dialect, spellings_of
from ancestral.io.graphs import MAX_BYTES, assemble
from ancestral.io.kinds import recognise
from ancestral.io.numbers import number_in
from ancestral.io.sources import PathLike, Source

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
_log = logging.getLogger(__name__)

# Beside these, where two columns are all there are, and words that say no more than "id" does.
_LETTERS = (("a", "b"), ("p", "q"), ("s", "t"), ("u", "v"), ("x", "y"), ("i", "j"))
_FILLERS = frozenset({"id", "node", "vertex", "name"})
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
    header: bool | None = None,
    max_bytes: int = MAX_BYTES,
    sep: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
) -> Graph:
    """Read a graph from a `.csv` of edges and a `.csv` of nodes, gzipped or not.

    Parameters
    ----------
    edges : str or path-like
        Two columns: the ids of the two ends of each edge, each edge once, in any order. Of more
        columns, those named source and target, from and to, or alike.
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
    header : bool, optional
        Whether the first line of `edges` holds names. When not given, it is an edge if it holds the
        id of a node, and names if they are known ones (source and target, from and to, or alike) or
        if its words stand over columns of numbers; whichever it is gets logged (INFO). A line that
        may be either is refused. `nodes` always has names in its first line; with True, they may be
        numbers.
    max_bytes : int
        Refuse a compressed file that expands further, in bytes (default 512 MiB).
    sep, decimal, thousands, encoding : str
        How both files spell their cells, as for `read_array`. Ids are text, and stay as they are.

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
        missing, naming the line or the node; when it is not clear whether a first line holds names.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "nodes.csv").write_text("id,age\\nann,7\\nbob,8\\neve,7\\n")
    >>> _ = (folder / "edges.csv").write_text("ann,bob\\nbob,eve\\n")
    >>> read_edge_list(folder / "edges.csv", folder / "nodes.csv").n_edges
    2
    """
    dialect = Dialect(sep, decimal, thousands, encoding)
    if header not in (None, True, False):
        raise DataError(f"header={header!r} must be True, False or None.")
    names, rows = _cells(nodes, max_bytes, dialect)
    if not header:
        _refuse_data(names, str(nodes), dialect)
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
        table[node] = without_missing_text(_spelt(held, dialect))
    first, pairs = _cells(edges, max_bytes, dialect)
    named = header or ends is not None
    if named and header is False:
        raise DataError(
            f"{edges}: ends={ends!r} names columns, and header=False says that there are no names: "
            "leave one out."
        )
    if header is None and not named:
        named = _is_named(first, [cells for _, cells in pairs], table, str(edges))
        taken = "names (header=False: an edge)" if named else "an edge (header=True: names)"
        _log.info("%s: its first line, %s, was taken for %s", edges, _listed(first), taken)
    if named:
        one, two = _ends(first, ends, str(edges))
    elif len(first) == 2:
        one, two = 0, 1
        pairs.insert(0, (1, first))
    else:
        raise DataError(
            f"{edges}: has {len(first)} columns without names, and which two hold the ids of the "
            "ends is not clear: give it a line of names, or leave two columns."
        )
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


def _is_named(first: list[str], rows: list[list[str]], table: dict[str, Any], name: str) -> bool:
    """Tell a first line of names from an edge; DataError where it may be either."""
    if len(first) != 2:
        return True  # which columns hold the ends, names alone can tell
    low = [cell.lower() for cell in first]
    bare = [" ".join(w for w in re.split(r"[\W_]+", cell) if w not in _FILLERS) for cell in low]
    letters = tuple(low) in _LETTERS
    known = letters or tuple(low) in ENDS or tuple(bare) in (*ENDS, *_LETTERS)
    ids = [cell in table for cell in first]
    if any(ids) and (letters or not (all(ids) and known)):
        return False
    numbers = rows and all(cell.isdecimal() for cells in rows for cell in cells)
    words = not any(cell.isdecimal() or is_missing_text(cell) for cell in first)
    if not any(ids) and (known or (numbers and words)):
        return True
    which = "ids of nodes, and names of ends, too" if all(ids) else "no ids of nodes"
    raise DataError(
        f"{name}: its first line, {first[0]!r}, {first[1]!r}, may hold names or an edge; they are "
        f"{which}. Pass header=True if they are names, header=False if they are an edge."
    )


def _listed(cells: list[str]) -> str:
    return ", ".join(map(repr, cells[:20])) + ", ..." * (len(cells) > 20)


def _refuse_data(names: list[str], name: str, dialect: Dialect) -> None:
    """Refuse a first line of nodes that holds numbers, but for those that only count columns."""
    numbers = [n for n in names if dialect.number_in(n) is not None or spellings_of(n)]
    if numbers and numbers not in ([str(k) for k in range(i, i + len(numbers))] for i in (0, 1)):
        raise DataError(
            f"{name}: its first line must name the columns, and holds {numbers[0]!r}, a number: "
            "put a line of names before the first node, or pass header=True if these are names."
        )


def _spelt(held: dict[str, str], dialect: Dialect) -> dict[str, str]:
    """Return a node's attributes with their numbers as Python spells them."""
    if dialect.is_plain:
        return held
    return {key: dialect.spelt(cell) or _not_plain(cell) for key, cell in held.items()}


def _not_plain(cell: str) -> str:
    """Return a cell that is no number in its dialect so that it is none in any."""
    return cell if number_in(cell) is None else repr(cell)


def _cells(
    path: PathLike, max_bytes: int, dialect: Dialect
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the first line of a CSV, and number and cells of the others."""
    with Source(path, max_bytes=max_bytes) as source:
        recognise(source, ("text",), is_text="encoding" in dialect.chosen)
        raw, name = source.read_all(), source.name
    (_, first), *rows = parse_cells(raw, name, dialect)
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
