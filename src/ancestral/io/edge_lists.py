"""A graph from two tables: its edges, two ids in a row, and its nodes, an id and attributes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ancestral._checks.containers import EXACT, opened
from ancestral._checks.frames import declared_levels, form_of
from ancestral._checks.missing import is_missing, is_missing_text
from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.errors import DataError, DataTypeError, FormatError
from ancestral.graph.attributes import word_of
from ancestral.io.assembling import LEVELS, MAX_BYTES, assemble
from ancestral.io.attributes import ROW_NAMES, Categorical
from ancestral.io.csv import refuse_duplicates
from ancestral.io.dialect import Dialect, spellings_of
from ancestral.io.edge_heads import (
    KEYS,
    KEYS_ALONE,
    column_of_ids,
    ends_among,
    is_named,
    listed,
    weighs,
)
from ancestral.io.graph_tables import Marks, table_of
from ancestral.io.links import BINARISE, DROP, KEEP, MERGE, Choices, Links
from ancestral.io.numbers import number_in
from ancestral.io.sources import PathLike

if TYPE_CHECKING:
    from ancestral.graph.graphs import Graph

# What programs write where there is no id; "Nan" and "Na" are names.
NO_ID = frozenset({"", "NA", "NaN", "nan", "NAN", "N/A", "n/a", "null", "NULL"})
_WHOLE = re.compile(r"\d+\.0+", re.ASCII)
_log = logging.getLogger(__name__)


@within_memory(SMALLER_FILE)
def read_edge_list(
    edges: PathLike,
    nodes: PathLike | None = None,
    *,
    key: str | None = None,
    ends: tuple[str, str] | None = None,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
    header: bool | None = None,
    unknown: Any = None,
    directed: str | bool = KEEP,
    multiple: str = MERGE,
    loops: str = DROP,
    weights: str = BINARISE,
    weight: str | None = None,
    max_bytes: int = MAX_BYTES,
    sep: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str = "utf-8",
) -> Graph:
    """Read a graph from a table of its links and, optionally, a table of its nodes.

    Parameters
    ----------
    edges : str or path-like
        A table of links, gzipped or not. Two columns hold the ids of the two ends of each link: the
        only two columns, or those with names such as source and target, or from and to. A column
        may hold weights (see `weight`). A column named type that holds only "Directed" and
        "Undirected" tells which links have a direction. Other columns are ignored.
    nodes : str or path-like, optional
        A table of nodes, gzipped or not: a line of names, then one line for each node, with its id
        and its attributes. Without it, the nodes are those with a link, in the order in which they
        first occur.
    key : str, optional
        The column of ids in `nodes`. By default the first column (a column of row numbers is
        skipped), or the one column that holds the ids of all ends.
    ends : tuple of str, optional
        The two columns of `edges` that hold the ids of the ends, if this is not clear from their
        names.
    attributes : sequence of str, optional
        The columns of `nodes` to use as attributes, in this order. By default all, except ids and
        columns that programs write to draw nodes. Text is read as levels; empty cells and NA are
        missing.
    categorical : sequence of str, or mapping of str to levels
        Attributes whose numbers are codes of groups: each level becomes a feature of 0 and 1.
    header : bool, optional
        Whether the first line of `edges` holds names. By default it is read as an edge if it holds
        the id of a node, and as names if they are usual names (such as source and target, or from
        and to) or if the columns below hold numbers. The choice is logged (INFO). A line that may
        be either is refused. The first line of `nodes` always holds names; with True, these may be
        numbers.
    unknown : str, path-like, or sequence of pairs of ids, optional
        The unknown dyads: pairs of ids, or a file of pairs in the form of `edges`.
    directed, multiple, loops, weights
        As for `read_graphs`. Links without a stated direction have none, unless `directed` is True.
    weight : str, optional
        The column of `edges` that holds weights, as in weight="hours": any number but 0 is a link,
        0 is none, and a gap is an unknown dyad. By default the first column of numbers (or of true
        and false) that is called weight, weights, value, count, strength, frequency or tie, in this
        order, in small letters or capitals. If no column holds weights, every line is a link; a
        warning names columns of numbers with a 0 or a gap.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    sep, decimal, thousands, encoding : str
        The format of both files, as for `read_array`. By default the separator is a tab, a
        semicolon or a comma, whichever the first lines have, or else spaces. With semicolons, the
        decimal mark is a comma if no number has a point. Lines before the table that begin with #
        or % are comments. Ids are text, and are not changed.

    Returns
    -------
    Graph
        Nodes are in the order of their table. Their names are their ids; if these are numbers and
        there is a column of labels, their names are the labels. The adjacency is sparse if there
        are more than 2,000 nodes.

    Raises
    ------
    FormatError
        When a file is not a table of this form.
    DataError
        When an end of a link is no node, or an id is missing; the message names the line or the
        node. When it is not clear whether the first line holds names. When an option is "refuse"
        and the file holds what it refuses. When the column `weight` is not there. When `weights` is
        given, and no column holds weights, but others may (see `read_graphs`).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "nodes.csv").write_text("id,age\\nann,7\\nbob,8\\neve,7\\n")
    >>> _ = (folder / "edges.csv").write_text("ann,bob\\nbob,eve\\n")
    >>> read_edge_list(folder / "edges.csv", folder / "nodes.csv").n_edges
    2
    """
    if header not in (None, True, False):
        raise DataError(f"header={header!r} must be True, False or None.")
    choices = Choices(directed, multiple, loops, weights, weight)
    marks = sep, decimal, thousands, encoding
    if (ends, weight) != (None, None) and header is False:
        names = f"ends={ends!r}" if ends is not None else f"weight={weight!r}"
        raise DataError(
            f"{edges}: {names} names columns, and header=False says that there are no names: "
            "leave one out."
        )
    columns = None if nodes is None else _node_table(nodes, max_bytes, marks, header=header)
    first, rows, _ = table_of(edges, max_bytes, marks, blanks=True)
    known = None if columns is None else {cell for column in columns.values() for cell in column}
    links, where = links_of(first, rows, str(edges), known, ends=ends, header=header, weight=weight)
    hidden: Any = _pairs_in(unknown) if _is_pairs(unknown) else None
    if unknown is not None and hidden is None:
        one, lines, _ = table_of(unknown, max_bytes, marks, blanks=True)
        hidden = links_of(one, lines, str(unknown), known, header=header)[0].ends
    table = _keyed(columns, key, links, hidden, str(nodes), where)
    return assemble(
        table,
        links,
        attributes,
        str(edges),
        categorical=categorical,
        choices=choices,
        unknown=hidden,
    )


def _pairs_in(unknown: Any) -> list[tuple[Any, Any]]:
    """Return pairs of ids as tuples; refuse what is none."""
    try:
        listed_so = list(unknown)
        pairs = [tuple(pair) for pair in listed_so]
        is_known = all(len(pair) == 2 for pair in {*pairs})  # and their ids can be looked up
        is_known &= not any(isinstance(pair, str) for pair in listed_so)
    except TypeError:
        is_known = False
    if not is_known:
        raise DataError(
            "unknown must be the name of a file, or pairs of ids such as [('ann', 'bob')]; got "
            f"{str(unknown)[:60]!r}."
        )
    return pairs


def _is_pairs(unknown: Any) -> bool:
    """Tell pairs of ids from the name of a file."""
    return unknown is not None and not isinstance(unknown, str | os.PathLike)


def from_frames(
    edges: Any,
    nodes: Any = None,
    *,
    key: str | None = None,
    ends: tuple[str, str] | None = None,
    attributes: Sequence[str] | None = None,
    categorical: Categorical = (),
    unknown: Any = None,
    directed: str | bool = KEEP,
    multiple: str = MERGE,
    loops: str = DROP,
    weights: str = BINARISE,
    weight: str | None = None,
) -> Graph:
    """Return a graph from a dataframe of links and a dataframe of nodes.

    Parameters
    ----------
    edges : dataframe
        Two of its columns hold the ids of the two ends of each link: its only two, or those with
        names such as source and target, or from and to. Columns of weights and of types are read
        as by `read_edge_list`.
    nodes : dataframe, optional
        One row for each node.
    key, ends, attributes, categorical, directed, multiple, loops, weights, weight
        As for `read_edge_list`.
    unknown : sequence of pairs of ids, optional
        The unknown dyads.

    Returns
    -------
    Graph

    Raises
    ------
    DataError
        When the columns of ids are not clear from their names; when an id is missing, repeated or
        unknown; when an option is "refuse" and the tables hold what it refuses.

    Examples
    --------
    >>> import pandas
    >>> nodes = pandas.DataFrame({"id": ["a", "b"], "grade": [7, 8], "sex": ["F", "M"]})
    >>> edges = pandas.DataFrame({"one": ["b"], "two": ["a"]})
    >>> from_frames(edges, nodes).feature_names
    ('grade', 'sex=F', 'sex=M')
    """
    choices = Choices(directed, multiple, loops, weights, weight)
    held = _columns(edges, "edges")
    one, two = ends_among(list(held), ends, "edges", weight)
    columns = list(held.values())
    joined = list(zip(columns[one], columns[two], strict=True))
    for k, pair in enumerate(joined):
        for node in pair:
            _refuse_id(node, f"edges: row {k}")
    links = Links(joined)
    _beside(links, {name: values for k, (name, values) in enumerate(held.items())
                    if k not in (one, two)})  # fmt: skip
    of_nodes = None
    if nodes is not None:
        of_nodes = _columns(nodes, "nodes")
        if key is None and (labels := _labels(nodes, joined, of_nodes)) is not None:
            of_nodes = {"": labels, **of_nodes}
            key = ""
        names = list(of_nodes)
        for k, node in enumerate(of_nodes[names[column_of_ids(names, key, "nodes")]]):
            _refuse_id(node, f"nodes: row {k}")
    hidden = None if unknown is None else _pairs_in(unknown)
    table = _keyed(of_nodes, key, links, hidden, "nodes", "edges")
    return assemble(
        table,
        links,
        attributes,
        "graph",
        categorical=categorical,
        choices=choices,
        unknown=hidden,
        levels=_declared(nodes),
    )


def _declared(nodes: Any) -> dict[str, Any] | None:
    """Return the levels of a frame's categorical columns, or what `to_frames` noted of all."""
    if nodes is None:
        return None
    if noted := getattr(nodes, "attrs", {}).get(LEVELS):
        return dict(noted)
    found = opened(nodes, "nodes")
    names = [str(name) for name in found.names or ()]
    declared = declared_levels(form_of(nodes, names), len(names))
    return {
        name: [word_of(level) for level in levels.tolist()]
        for name, levels in zip(names, declared, strict=True)
        if levels is not None
    }


# ---- tables of text ----------------------------------------------------------------------------


def _node_table(
    path: PathLike, max_bytes: int, marks: Marks, *, header: bool | None
) -> dict[str, list[Any]]:
    """Return the columns of a table of nodes, numbers as Python spells them but for ids."""
    names, rows, dialect = table_of(path, max_bytes, marks)
    name = str(path)
    if not header:
        _refuse_data(names, name, dialect)
    refuse_duplicates(names, name)
    columns: dict[str, list[Any]] = {one: [] for one in names}
    for line, cells in rows:
        if len(cells) != len(names):
            raise FormatError(
                f"{name}: line {line} has {len(cells)} cells where the first has {len(names)}."
            )
        for one, cell in zip(names, cells, strict=True):
            columns[one].append(_Cell(cell, line, dialect))
    return columns


class _Cell(str):
    """A cell of a file, with its line and how it spells numbers."""

    __slots__ = ("dialect", "line")
    line: int
    dialect: Dialect

    def __new__(cls, text: str, line: int, dialect: Dialect) -> _Cell:
        made = super().__new__(cls, text)
        made.line, made.dialect = line, dialect
        return made


def links_of(
    first: list[str],
    rows: list[tuple[int, list[str]]],
    name: str,
    known: set[str] | None = None,
    *,
    ends: tuple[str, str] | None = None,
    header: bool | None = None,
    weight: str | None = None,
) -> tuple[Links, str]:
    """Return the links that a table of text lists, and how its lines are told in messages."""
    named = header or ends is not None or weight is not None
    guessed = header is None and not named
    if guessed:
        named = is_named(first, [cells for _, cells in rows], known, name)
    heads = first
    if named:
        one, two = ends_among(first, ends, name, weight)
    elif len(first) == 2 or weighs([first, *(cells for _, cells in rows)]):
        one, two = 0, 1
        heads = ["", "", "weight", *[""] * len(first)][: len(first)]
        rows = [(1, first), *rows]
    else:
        raise DataError(
            f"{name}: has {len(first)} columns without names, and it is not clear which two hold "
            "the ids of the ends: add a line of names, or keep two columns."
        )
    for line, cells in rows:
        if cells[one] in NO_ID or cells[two] in NO_ID:
            raise DataError(
                f"{name}: line {line} joins {cells[one]!r} and {cells[two]!r}: an id is missing. "
                "Drop the line."
            )
    if ends is None:
        _refuse_decimals([(line, cells[k]) for line, cells in rows for k in (one, two)], name)
    if guessed:
        taken = "names (header=False: an edge)" if named else "an edge (header=True: names)"
        _log.info("%s: its first line, %s, was taken for %s", name, listed(first), taken)
    links = Links([(cells[one], cells[two]) for _, cells in rows])
    others = {
        head: [None if is_missing_text(cells[k]) else cells[k] for _, cells in rows]
        for k, head in enumerate(heads)
        if k not in (one, two)
    }
    _beside(links, others)
    return links, name


def _refuse_decimals(cells: list[tuple[int, str]], name: str) -> None:
    """Raise DataError where ids are numbers, and one has a fraction: they measure something."""
    odd = None
    for line, cell in cells:
        number = number_in(cell)
        if number is None:
            return
        if odd is None and not float(number).is_integer():
            odd = line, cell
    if odd is not None:
        raise DataError(
            f"{name}: line {odd[0]} has the id {odd[1]!r}, and all ids are numbers: this "
            "looks like a table of measurements, which lists no links. Pass "
            'ends=("...", "...") if these are ids.'
        )


def _beside(links: Links, columns: dict[str, list[Any]]) -> None:
    """Set what links have beside their ends, and their directions, where a column says them."""
    links.columns = columns
    for head, values in columns.items():
        known = [value for value in values if not is_missing(value)]
        if head.strip().lower() == "type" and known:
            words = {str(value).strip().lower() for value in known}
            if words <= {"directed", "undirected"}:
                links.directed = [str(v).strip().lower() == "directed" for v in values]


# ---- ids ---------------------------------------------------------------------------------------


def _keyed(
    columns: dict[str, list[Any]] | None,
    key: str | None,
    links: Links,
    hidden: list[Any] | None,
    name: str,
    edges: str,
) -> dict[Any, dict[str, Any]]:
    """Return nodes by their ids, which links and unknown pairs are brought to."""
    if columns is None:
        table: dict[Any, dict[str, Any]] = {node: {} for pair in links.ends for node in pair}
        _as_text(table, links, hidden)
        return table | {node: {} for pair in hidden or () for node in pair}
    names = list(columns)
    at = column_of_ids(names, key, name)
    wanted = {node for pair in links.ends for node in pair}
    is_id = names[at].strip().lower() in (*KEYS, *ROW_NAMES)
    of_ids = [k for k, one in enumerate(names) if one.strip().lower() in KEYS_ALONE]
    if key is None and not is_id and len(of_ids) == 1 and wanted <= {*columns[names[of_ids[0]]]}:
        at = of_ids[0]
        _log.info("%s: the column %r holds the ids of all links", name, names[at])
    elif key is None and not wanted <= {*columns[names[at]]}:
        others = [k for k, one in enumerate(names) if k != at and wanted <= {*columns[one]}]
        if len(others) == 1 and len({*columns[names[others[0]]]}) == len(columns[names[at]]):
            at = others[0]
            _log.info("%s: the column %r holds the ids of all links", name, names[at])
    ids = columns[names[at]]
    table = {}
    others_of = {one: values for k, (one, values) in enumerate(columns.items()) if k != at}
    for k, node in enumerate(ids):
        where = f"line {node.line}" if isinstance(node, _Cell) else f"row {k}"
        if is_missing(node) or (isinstance(node, _Cell) and node in NO_ID):
            raise DataError(
                f"{name}: {where} has no id in column {names[at]!r}, but {node!r}. Give it one."
            )
        if node in table:
            raise DataError(
                f"{name}: {where} gives node {str(node)!r} a second time: ids must differ."
            )
        table[str(node) if isinstance(node, _Cell) else node] = {
            one: _spelt(values[k]) for one, values in others_of.items()
        }
    if not {node for pair in [*links.ends, *(hidden or ())] for node in pair} <= {*table}:
        _as_text(table, links, hidden)
    return table


def _as_text(table: dict[Any, dict[str, Any]], links: Links, hidden: list[Any] | None) -> None:
    """Bring ids of links and unknown pairs to those of nodes, the same but for their types."""

    def text_of(node: Any) -> str:
        text = word_of(node)
        return text.partition(".")[0] if _WHOLE.fullmatch(text) else text

    texts = {text_of(node): node for node in table}
    if len(texts) < len(table):
        return

    def found(node: Any) -> Any:
        return node if node in table else texts.get(text_of(node), node)

    links.ends = [(found(u), found(v)) for u, v in links.ends]
    if hidden is not None:
        hidden[:] = [tuple(map(found, pair)) for pair in hidden]


def _spelt(cell: Any) -> Any:
    """Return an attribute, its number as Python spells it; None where it is missing."""
    if not isinstance(cell, _Cell):
        return cell
    if is_missing_text(cell):
        return None
    if cell.dialect.is_plain:
        return str(cell)
    return cell.dialect.spelt(str(cell)) or _not_plain(str(cell))


def _refuse_id(node: Any, place: str) -> None:
    """Raise DataError for an id that is missing, that is none, or that float64 has rounded."""
    if is_missing(node):
        raise DataError(f"{place} has no id, but {node!r}: drop it, or give it one.")
    if isinstance(node, float) and abs(node) >= EXACT:
        raise DataError(
            f"{place} has the id {node!r}, a float64, which cannot hold every whole number beyond "
            "2^53: read the column of ids as integers or as text."
        )
    try:
        hash(node)
    except TypeError:
        raise DataTypeError(
            f"{place} has a {type(node).__name__} for an id; it must be a number or text."
        ) from None


def _refuse_data(names: list[str], name: str, dialect: Dialect) -> None:
    """Refuse a first line of nodes that holds numbers, but for those that only count columns."""
    numbers = [n for n in names if dialect.number_in(n) is not None or spellings_of(n)]
    if numbers and numbers not in ([str(k) for k in range(i, i + len(numbers))] for i in (0, 1)):
        raise DataError(
            f"{name}: its first line must name the columns, and holds {numbers[0]!r}, a number: "
            "put a line of names before the first node, or pass header=True if these are names."
        )


def _not_plain(cell: str) -> str:
    """Return a cell that is no number in its dialect so that it is none in any."""
    return cell if number_in(cell) is None else repr(cell)


def _labels(frame: Any, pairs: Sequence[Any], columns: dict[str, list[Any]]) -> list[Any] | None:
    """Return the labels of a frame's rows where they, and no column, hold the ids of all ends."""
    labels = list(getattr(frame, "index", ())) if hasattr(frame, "loc") else []
    wanted = {node for pair in pairs for node in pair}
    if not labels or "" in columns or not wanted <= {*labels}:
        return None
    return None if any(wanted <= {*values} for values in columns.values()) else labels


def _columns(frame: Any, name: str) -> dict[str, list[Any]]:
    """Return the columns of any dataframe as lists."""
    import narwhals as nw

    native = nw.from_native(frame, eager_only=True, pass_through=True)
    if not isinstance(native, nw.DataFrame):
        raise DataTypeError(f"{name} must be a dataframe; got a {type(frame).__name__}.")
    return {str(column): native[column].to_list() for column in native.columns}
