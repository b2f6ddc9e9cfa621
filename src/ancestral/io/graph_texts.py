"""Graphs in files of text: GML, Matrix Market, and tables of links or of an adjacency.

What a file is, its content says. Kinds that are not read here are refused with the line that reads
them by networkx or igraph, whose parsers know no caps.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.errors import DataError, FormatError
from ancestral.io.assembling import MAX_BYTES, names_for
from ancestral.io.dialect import Dialect
from ancestral.io.edge_lists import links_of
from ancestral.io.gml import is_gml, parse_gml
from ancestral.io.graph_tables import table_in
from ancestral.io.kinds import recognise
from ancestral.io.links import BINARISE, DROP, KEEP, MERGE, Choices
from ancestral.io.matrices import Matrix, matrix_as_links, parse_matrix_market, table_as_matrix
from ancestral.io.parsed import Parsed
from ancestral.io.sources import PathLike, Source

if TYPE_CHECKING:
    from ancestral.graph.graph import Graph

_OTHERS = (
    (r"\*(vertices|network)\b", "Pajek", "networkx", "networkx.read_pajek({})"),
    (r"dl\b", "UCINET DL", "igraph", "igraph.Graph.Read_DL({})"),
    (r"leda\.graph", "LEDA", "networkx", "networkx.read_leda({})"),
    (r">>graph6<<", "graph6", "networkx", "networkx.read_graph6({})"),
    (r">>sparse6<<", "sparse6", "networkx", "networkx.read_sparse6({})"),
    (
        r"(strict\s+)?(di)?graph\b[^\[]*\{",
        "DOT",
        "networkx",
        "networkx.nx_pydot.read_dot({})",
    ),
    (r"# \S+\n(?:[^#\n]+\n)+# ", "LGL", "igraph", "igraph.Graph.Read_Lgl({})"),
    (r"[\[{]", "JSON", "networkx", "networkx.node_link_graph(json.load(open({})))"),
    (r"nodedef\s*>", "GDF", "networkx", "(after saving it as GraphML in Gephi)"),
)
FEWEST_SQUARE = 4  # lines and columns of numbers alone, from which on a table is a matrix


def read_text(source: Source, choices: Choices) -> Any:
    """Return what a source of text holds: a list of `Parsed`, or the Graph of a matrix."""
    raw, name = source.read_all(), source.name
    if raw.startswith(b"%%MatrixMarket"):
        return graph_of(parse_matrix_market(raw, name), choices, name)
    text = _decoded(raw)
    if is_gml(text):
        return parse_gml(text, name)
    refuse_others(text, name)
    first, rows, dialect = table_in(raw, name, blanks=True)
    cells = [line for _, line in rows]
    matrix = table_as_matrix(first, cells, dialect)
    if matrix is not None and (matrix.names or len(cells) >= FEWEST_SQUARE - 1):
        return graph_of(matrix, choices, name)
    if matrix is not None and len(first) != 2:
        raise DataError(
            f"{name}: is a table of {len(first)} lines of {len(first)} numbers, which may be an "
            "adjacency or links with weights: call io.read_adjacency or io.read_edge_list."
        )
    links, _ = links_of(first, rows, name)
    nodes: dict[str, dict[str, Any]] = {node: {} for pair in links.ends for node in pair}
    return [Parsed(name, nodes, links)]


@within_memory(SMALLER_FILE)
def read_adjacency(
    path: PathLike,
    *,
    directed: str | bool = KEEP,
    loops: str = DROP,
    weights: str = BINARISE,
    max_bytes: int = MAX_BYTES,
    sep: str | None = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
) -> Graph:
    """Read a graph from its adjacency matrix.

    Parameters
    ----------
    path : str or path-like
        A square table of numbers as text, or a Matrix Market file, gzipped or not. The names of the
        nodes may be in the first line and the first column, or in the first line only. An empty
        cell off the diagonal, or NA, is an unknown dyad. If the matrix is not symmetric, links lead
        from the node of the row to that of the column.
    directed, loops, weights
        As for `read_graphs`.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    sep, decimal, encoding : str
        As for `read_edge_list`.

    Returns
    -------
    Graph
        It has no features. `Graph(nodes, graph.to_dense(unknown=numpy.nan),
        directed=graph.directed)` adds them. The rows of `nodes` must be in the order of the matrix,
        which is that of `node_names`. For a dataframe whose index holds the names, give
        `nodes.loc[list(graph.node_names)]`.

    Raises
    ------
    FormatError
        When the file is neither a table of text nor a matrix.
    DataError
        When it is not square, or holds words; when an option is "refuse" and the file holds what it
        refuses.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "ties.csv"
    >>> _ = path.write_text(",ann,bob,eve\\nann,0,1,NA\\nbob,1,0,0\\neve,NA,0,0\\n")
    >>> graph = read_adjacency(path)
    >>> graph.node_names, graph.n_edges, graph.n_unknown
    (('ann', 'bob', 'eve'), 1, 1)
    """
    choices = Choices(directed, MERGE, loops, weights)
    chosen = Dialect(sep or ",", decimal or ("." if sep != "." else ","), None, encoding)
    with Source(path, max_bytes=max_bytes) as source:
        recognise(source, ("text",), is_text="encoding" in chosen.chosen)
        raw, name = source.read_all(), source.name
    if raw.startswith(b"%%MatrixMarket"):
        return graph_of(parse_matrix_market(raw, name), choices, name)
    refuse_others(_decoded(raw), name)
    first, rows, dialect = table_in(raw, name, (sep, decimal, None, encoding), blanks=True)
    matrix = table_as_matrix(first, [line for _, line in rows], dialect, fewest_counted=2)
    if matrix is None:
        raise DataError(
            f"{name}: is no square table of numbers: it has {len(first)} columns and "
            f"{len(rows)} lines below the first. Names are in the first line and the first column, "
            "the same in both. Links in lines are read by io.read_edge_list."
        )
    return graph_of(matrix, choices, name)


def graph_of(matrix: Matrix, choices: Choices, name: str) -> Graph:
    """Return the graph of a matrix, without features."""
    from ancestral.graph.graph import Graph

    made = matrix_as_links(matrix, choices, name)
    try:
        names = None if matrix.names is None else names_for({one: {} for one in matrix.names})[0]
        graph = Graph(None, made.adjacency, node_names=names, directed=made.directed)
    except DataError as error:
        raise type(error)(f"{name}: {error}") from None
    graph = graph if made.unknown is None else graph.replaced(unknown=made.unknown)
    return graph if made.how is None else graph.undirected(made.how)


def refuse_others(text: str, name: str) -> None:
    """Raise FormatError for a kind that is read elsewhere, with the line that reads it."""
    head = re.sub(r"(?m)^\s*(%|//).*$|(?s:^\s*/\*.*?\*/)", "", text[:20_000])
    head = head.lstrip("\ufeff \t\r\n").lower().replace("\r\n", "\n")
    for pattern, kind, library, line in _OTHERS:
        if re.match(pattern, head):
            call = line.format(repr(name))
            how = f"ancestral.io.from_{library}({call})" if "(after" not in call else call
            raise FormatError(
                f"{name}: is {kind}, which is not read here. {library} reads it: {how}."
            )


def _decoded(raw: bytes) -> str:
    """Return bytes as text; those that are not UTF-8 as Latin-1."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
