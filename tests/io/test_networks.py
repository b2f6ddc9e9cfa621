"""Networks as people and programs write them: each reads as its author meant, or says why not."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import io as scipy_io
from scipy import sparse

from ancestral import Graph, read_graphs
from ancestral.errors import AncestralWarning, DataError, FormatError
from ancestral.io import from_frames, from_igraph, from_networkx, read_adjacency, read_edge_list

networkx = pytest.importorskip("networkx")
KARATE = networkx.karate_club_graph()
E = networkx.to_numpy_array(KARATE, weight=None).astype(int)
KEPT: dict[str, Any] = {"weights": "binarise", "multiple": "merge", "loops": "drop"}


def put(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def links(graph: Graph) -> set[tuple[str, str]]:
    names = graph.node_names or [str(k) for k in range(graph.n_nodes)]
    return {(names[a], names[b]) for a, b in zip(*graph.edges(), strict=True)}


# ---- files that others wrote -----------------------------------------------------------------


def test_each_file_of_others_reads_as_its_author_expects(data: Path) -> None:
    folder = data / "graphs" / "files"
    if not folder.is_dir():
        pytest.skip("graphs/files is absent")
    novel = read_edge_list(
        folder / "asoiaf-book1-edges.csv", folder / "asoiaf-book1-nodes.csv", **KEPT,
        attributes=[],
    )  # fmt: skip
    assert (novel.n_nodes, novel.n_edges, novel.directed) == (187, 684, False)
    assert "Nan" in novel.node_names  # a person
    books = read_edge_list(
        folder / "mw-political-books-edges.csv", folder / "mw-political-books-nodes.csv", **KEPT
    )
    assert (books.n_nodes, books.n_edges) == (105, 441)
    assert books.node_names[0] == "1000 Years for Revenge"
    assert books.attribute("political_ideology").levels == ("conservative", "liberal", "neutral")
    for name, nodes, edges, first in (
        ("lesmis.gml", 77, 254, "Myriel"),
        ("mw-political-books-network.graphml", 105, 441, "Bush vs. the Beltway"),
    ):
        (graph,) = read_graphs(folder / name, **KEPT)
        assert (graph.n_nodes, graph.n_edges, graph.node_names[0]) == (nodes, edges, first)
    (graph,) = read_graphs(folder / "polbooks.gml", **KEPT)
    assert graph.attribute("value").levels == ("c", "l", "n")
    (graph,) = read_graphs(folder / "ig-weighted.gml", **KEPT)
    assert graph.attribute("value").to_list() == [1.23, 4.87e-5] and graph.n_edges == 1


@pytest.mark.parametrize("kind", ["gml", "gml.gz", "edgelist", "weighted", "igraph.gml"])
def test_files_of_networkx_and_igraph(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"karate.{kind}"
    if kind == "igraph.gml":
        igraph = pytest.importorskip("igraph")
        igraph.Graph.from_networkx(KARATE).write_gml(str(path))
    elif kind == "edgelist":
        networkx.write_edgelist(KARATE, path)
    elif kind == "weighted":
        networkx.write_weighted_edgelist(KARATE, path)
    else:
        networkx.write_gml(KARATE, tmp_path / "k.gml")
        raw = (tmp_path / "k.gml").read_bytes()
        path.write_bytes(gzip.compress(raw) if kind.endswith("gz") else raw)
    (graph,) = read_graphs(path, **KEPT)
    assert {frozenset(pair) for pair in links(graph)} == {
        frozenset((str(u), str(v))) for u, v in KARATE.edges
    }
    if "gml" in kind:
        clubs = [KARATE.nodes[k]["club"] for k in KARATE]
        assert graph.attribute("club").to_list() == clubs and graph.attribute_names == ("club",)


GML = """Creator "someone"
# a comment
graph [ comment "x" directed 1
  node [ id -1 name "caf&#233;" age 1.5e1 graphics [ x 1.0 fill "red" [ ] ] ]
  node [ id 2 name "é" age NAN age 7 ]
  edge [ source -1 target 2 value 3 ] edge [ source -1 target 2 ]
]"""


def test_gml_as_programs_write_it(tmp_path: Path) -> None:
    text = GML.replace(" [ ]", "")
    for encoding in ("utf-8", "latin-1"):
        (graph,) = read_graphs(put(tmp_path, "g.gml", text, encoding), **KEPT)
        assert graph.directed and links(graph) == {("café", "é")}
        assert graph.attribute("age").to_list() == [15.0, None]
    with pytest.warns(AncestralWarning, match="1 repeated links are merged"):
        read_graphs(tmp_path / "g.gml", weights="binarise")
    with pytest.raises(DataError, match='linked more than once, and multiple="refuse"'):
        read_graphs(tmp_path / "g.gml", weights="binarise", multiple="refuse")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GML, "where a key belongs"),
        ("graph [ node [ id 1 ]", "ends within a list"),
        ("graph [ node [ id 1 ] ] ]", "a ] too much"),
        ('graph [ node [ id 1 label "x ] ]', "a text without its end"),
        ("graph [ " + "a [ " * 99 + "] " * 99 + "]", "nested more than 32 deep"),
    ],
)
def test_gml_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FormatError, match=says.replace("]", r"\]")):
        read_graphs(put(tmp_path, "g.gml", text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("graph [ node [ label 1 ] ]", "node id None is missing"),
        ("graph [ node [ id 1 ] node [ id 1 ] ]", "node id '1' is missing or used twice"),
        ("graph [ node [ id 1 ] edge [ source 1 ] ]", "lacks an end"),
        ("graph [ node [ id 1 ] edge [ source 1 target 7 ] ]", "leads to node '7', not there"),
        ("graph [ ]", "has no nodes"),
    ],
)
def test_gml_that_is_no_graph_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_graphs(put(tmp_path, "g.gml", text))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "a.net",
            "*Vertices 2\n1 'a'\n",
            r"Pajek.*from_networkx\(networkx.read_pajek\('a.net'\)\)",
        ),
        ("a.gexf", "<?xml version='1.0'?><gexf/>", r"GEXF.*networkx.read_gexf"),
        ("a.dot", "digraph { a -> b }", "DOT.*read_dot"),
        ("a.json", '{"nodes": [], "links": []}', "JSON.*node_link_graph"),
        ("a.txt", "DL n=3 format=fullmatrix\ndata:\n", r"UCINET DL.*igraph.Graph.Read_DL"),
    ],
)
def test_other_kinds_are_refused_with_the_line_that_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, says: str
) -> None:
    if name.endswith("gexf"):
        pytest.importorskip("defusedxml")
    put(tmp_path, name, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=says):
        read_graphs(name)


# ---- tables ----------------------------------------------------------------------------------

SAME = {("a", "b"), ("b", "c")}


@pytest.mark.parametrize(
    "text",
    [
        "source,target\na,b\nb,c\n",
        "Source;Target;Type;Weight\na;b;Undirected;1\nb;c;Undirected;1\n",
        "from\tto\ra\tb\rb\tc\r",
        "from\tto\r\na\tb\r\nb\tc\r\n",
        "# two lines\n# of comment\na b\nb   c\n",
        "a,b\nb,c\nc,b\nb,a\n",
        '"","from","to","weight"\n"1","a","b",1\n"2","b","c",1\n',
        "\ufefffrom,to\na,b\nb,c\n",
        "FromNodeId\tToNodeId\na\tb\nb\tc\n",
        "year,source,target,book\n1,a,b,x\n2,b,c,x\n",
        "a b {'weight': 1}\nb c {}\n",
        "a|b\nb|c\n",
        ",a,b,c\na,0,1,0\nb,1,0,1\nc,0,1,0\n",
        '"a" "b" "c"\n"a" 0 1 0\n"b" 1 0 1\n"c" 0 1 0\n',
        ";c;a;b\na;0;0;1\nb;1;1;0\nc;0;0;1\n",
        "a,b,c\n0,1,0\n1,0,1\n0,1,0\n",
        ",a,b,c\na,,,\nb,1,,\nc,0,1,\n",
    ],
)
def test_links_and_adjacencies_in_whatever_table(tmp_path: Path, text: str) -> None:
    header = False if "source" not in text.lower() and text.startswith("a,b\nb,c") else None
    path = put(tmp_path, "g.csv", text)
    (graph,) = read_graphs(path)
    assert not graph.directed and graph.unknown is None and graph.n_features == 0
    assert {frozenset(pair) for pair in links(graph)} == {frozenset(pair) for pair in SAME}
    if not text.startswith((",", ";", '"a"')) and "0,1,0" not in text:
        assert read_edge_list(path, header=header).n_edges == 2


def test_a_table_of_few_numbers_may_be_either(tmp_path: Path) -> None:
    path = put(tmp_path, "g.csv", "0,1,0\n1,0,1\n0,1,0\n")
    with pytest.raises(DataError, match=r"call io\.read_adjacency or io\.read_edge_list"):
        read_graphs(path)
    assert read_adjacency(path).n_edges == 2
    with pytest.raises(DataError, match="no square table of numbers"):
        read_adjacency(put(tmp_path, "e.csv", "from,to\na,b\n"))


def test_directions_of_tables(tmp_path: Path) -> None:
    path = put(tmp_path, "g.csv", "from,to\na,b\nb,a\nb,c\n")
    with pytest.warns(AncestralWarning, match="1 stand in both directions.*directed=True"):
        assert links(read_edge_list(path)) == SAME
    directed = read_edge_list(path, directed=True)
    assert links(directed) == {("a", "b"), ("b", "a"), ("b", "c")}
    assert links(read_edge_list(path, directed="intersection")) == {("a", "b")}
    said = put(tmp_path, "s.csv", "Source,Target,Type\na,b,Directed\nb,c,Undirected\n")
    with pytest.warns(AncestralWarning, match="1 links without a direction lead both ways"):
        assert links(read_edge_list(said)) == {("a", "b"), ("b", "c"), ("c", "b")}
    assert links(read_edge_list(said, directed="union", header=True)) == SAME
    with pytest.raises(DataError, match='its links are directed, and directed="refuse"'):
        read_edge_list(said, directed="refuse")
    with pytest.raises(DataError, match="directed must be one of 'keep', 'union'"):
        read_edge_list(said, directed="both")


def test_what_is_not_kept_is_said_once_and_refused_on_request(tmp_path: Path) -> None:
    text = "from,to,weight\na,b,2\na,a,1\nb,a,1\nb,c,0\nc,a,NA\n"
    path = put(tmp_path, "g.csv", text)
    with pytest.warns(AncestralWarning) as said:
        graph = read_edge_list(path)
    assert len(said) == 1
    text = str(said[0].message)
    for part in (
        "weights are not kept",
        "1 of 0 are none",
        "1 dyads without a weight are unknown",
        "1 links of a node with itself are dropped",
        "1 repeated links are merged",
    ):
        assert part in text
    assert links(graph) == {("a", "b")} and graph.n_unknown == 1
    for option, says in (("weights", "the weight 2"), ("loops", "edge to itself"),
                         ("multiple", "more than once")):  # fmt: skip
        with pytest.raises(DataError, match=says):
            read_edge_list(path, **{**KEPT, option: "refuse"})


def test_unknown_dyads_are_named_by_pairs_or_by_a_file(tmp_path: Path) -> None:
    path = put(tmp_path, "g.csv", "from,to\na,b\nb,c\n")
    by_pairs = read_edge_list(path, unknown=[("c", "a"), ("d", "a")])
    hidden = put(tmp_path, "u.csv", "from,to\nc,a\nd,a\n")
    for graph in (by_pairs, read_edge_list(path, unknown=hidden)):
        assert graph.node_names == ("a", "b", "c", "d") and graph.n_unknown == 2
    with pytest.raises(DataError, match="joins a node with itself"):
        read_edge_list(path, unknown=[("a", "a")])


def test_ids_are_found_in_their_column_and_whatever_their_type(tmp_path: Path) -> None:
    edges = put(tmp_path, "e.csv", "source,target\nann,bob\nbob,eve\n")
    nodes = put(tmp_path, "n.csv", "age;id\n1,5;ann\n2,5;bob\n;eve\n")
    graph = read_edge_list(edges, nodes)
    assert graph.node_names == ("ann", "bob", "eve")
    assert graph.attribute("age").to_list() == [1.5, 2.5, None]
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"id": ["1", "2", "3"], "g": ["x", None, "x"]})
    for ends in ([1, 2], [1.0, 2.0], ["1", "2.0"]):
        frame = pd.DataFrame({"from": ends, "to": ["2", "3"] if ends[0] == "1" else [2, 3]})
        graph = from_frames(frame, table)
        assert links(graph) == {("1", "2"), ("2", "3")}
        assert graph.attribute("g").to_list() == ["x", None, "x"]


def test_words_beside_numbers_are_said(tmp_path: Path) -> None:
    edges = put(tmp_path, "e.csv", "source,target\na,b\nb,c\n")
    nodes = put(tmp_path, "n.csv", "id,age,smokes\na,3,TRUE\nb,unknown,FALSE\nc,4,\n")
    with pytest.warns(AncestralWarning, match=r"'age' holds words beside numbers \('unknown' of"):
        graph = read_edge_list(edges, nodes)
    assert graph.attribute("age").levels == ("3", "4", "unknown")
    assert graph.attribute("smokes").to_list() == [1.0, 0.0, None]


# ---- matrices --------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_matrix_market(tmp_path: Path, directed: bool, dense: bool) -> None:
    A = np.triu(E) if directed else E
    matrix = A if dense else sparse.coo_array(A)
    scipy_io.mmwrite(tmp_path / "k.mtx", matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        (graph,) = read_graphs(tmp_path / "k.mtx")
    assert graph.directed is directed
    np.testing.assert_array_equal(graph.to_dense(), A)
    union = read_adjacency(tmp_path / "k.mtx", directed="union")
    np.testing.assert_array_equal(union.to_dense(), E)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%%MatrixMarket matrix coordinate real general\n999999999 999999999 1\n1 1 1\n", "cannot"),
        ("%%MatrixMarket matrix array real general\n99999 99999\n1\n", "cannot hold"),
        ("%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 1\n", "'complex'"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n", "1 entries where"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 3 1\n", "outside of rows"),
        ("%%MatrixMarket matrix coordinate pattern general\n2 3 1\n1 3\n", "2 rows and 3 columns"),
        ("%%MatrixMarket matrix coordinate real general\n", "line of sizes"),
    ],
)
def test_matrices_that_are_none_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises((DataError, FormatError), match=says):
        read_graphs(put(tmp_path, "g.mtx", text))


# ---- other libraries -------------------------------------------------------------------------


def test_graphs_in_memory_keep_directions_names_and_gaps() -> None:
    theirs = networkx.MultiDiGraph([("a", "b"), ("a", "b"), ("b", "b"), ("b", "c")])
    theirs.nodes["a"]["age"], theirs.nodes["b"]["town"] = 7, "x"
    with pytest.warns(AncestralWarning, match=r"itself are dropped; 1 repeated links are merged"):
        graph = from_networkx(theirs)
    assert graph.directed and links(graph) == SAME
    assert graph.attribute("age").to_list() == [7, None, None]
    assert graph.attribute("town").to_list() == [None, "x", None]
    igraph = pytest.importorskip("igraph")
    other = igraph.Graph.from_networkx(networkx.DiGraph(SAME))
    assert links(from_igraph(other)) == SAME
    weighted = networkx.Graph()
    weighted.add_edge("a", "b", weight=0)
    weighted.add_edge("b", "c", weight=None)
    weighted.add_edge("a", "c", weight=2.5)
    with pytest.warns(AncestralWarning, match="1 of 0 are none; 1 dyads without"):
        graph = from_networkx(weighted)
    assert {frozenset(pair) for pair in links(graph)} == {frozenset("ac")}


TABLES_OF_OTHERS = {
    "numbers of nodes as R and pandas spell floats": (
        "from,to\n1,2\n2,3\n", "id,sex\n1.0,F\n2.0,M\n3.0,F\n", ["1.0", "2.0", "3.0"],
    ),
    "a column of ids beside one that holds the same numbers": (
        "from,to\n1,2\n2,3\n", "age,id\n3,1\n2,2\n1,3\n", ["1", "2", "3"],
    ),
    "names of rows without a head, as write.table of R has them": (
        '"from" "to" "weight"\n"1" "a" "b" 1\n"2" "b" "c" 1\n', None, ["a", "b", "c"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("edges", "nodes", "names"), TABLES_OF_OTHERS.values(), ids=list(TABLES_OF_OTHERS)
)
def test_tables_as_other_programs_write_them(
    edges: str, nodes: str | None, names: list[str], tmp_path: Path
) -> None:
    one, two = tmp_path / "edges.txt", tmp_path / "nodes.txt"
    one.write_text(edges)
    two.write_text(nodes or "")
    graph = read_edge_list(one, two if nodes else None)
    assert graph.node_names == tuple(names)
    np.testing.assert_array_equal(graph.to_dense(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])


def test_a_line_with_a_cell_too_many_is_no_row_name(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    for text in ("from,to\na,b\na,b,c\n", "from,to\na,b,c\n", "from,to\na,b,3\nc,d,4\n"):
        path.write_text(text)
        with pytest.raises(FormatError, match="3 cells where the first has 2"):
            read_edge_list(path)


def test_an_adjacency_whose_columns_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "ties.csv"
    path.write_text("0,1,2\n0,1,0\n1,0,1\n0,1,0\n")  # pandas, index=False
    assert read_adjacency(path).n_edges == 2


def test_rows_of_a_frame_are_named_by_their_index() -> None:
    pd = pytest.importorskip("pandas")
    people = pd.DataFrame({"sex": ["F", "M", "F"]}, index=["a", "b", "c"])
    graph = from_frames(pd.DataFrame({"from": ["a", "c"], "to": ["b", "b"]}), people)
    assert graph.node_names == ("a", "b", "c")
    assert graph.attribute_names == ("sex",)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("# x\ny 1\n# y\nz 1\n", "from_igraph"),
        ("/* Created by igraph */\ngraph {\n  0 -- 1;\n}\n", "read_dot"),
    ],
    ids=["LGL", "DOT"],
)
def test_kinds_of_igraph_are_named(text: str, mend: str, tmp_path: Path) -> None:
    (tmp_path / "graph").write_text(text)
    with pytest.raises(FormatError, match=mend):
        read_graphs(tmp_path / "graph")


def test_unknown_pairs_are_ids_of_whatever_type(tmp_path: Path) -> None:
    edges = put(tmp_path, "e.csv", "from,to\n1,2\n2,3\n")
    nodes = put(tmp_path, "n.csv", "id,age\n1,5\n2,6\n3,8\n")
    for unknown in ([(1, 3)], [("3", 1.0)], put(tmp_path, "u.csv", "from,to\n1.0,3.0\n")):
        for table in (nodes, None):
            graph = read_edge_list(edges, table, unknown=unknown)
            assert graph.n_nodes == 3
            assert [ends.tolist() for ends in graph.unknown_dyads()] == [[0], [2]]
    for wrong in ([3], [("1",)], ["13"], [(["1"], "3")], 7):
        with pytest.raises(DataError, match="unknown must be"):
            read_edge_list(edges, nodes, unknown=wrong)


@pytest.mark.parametrize("directed", ["keep", True])
def test_links_said_to_have_no_direction_lead_both_ways(tmp_path: Path, directed: Any) -> None:
    path = put(tmp_path, "e.csv", "Source,Target,Type\na,b,Undirected\nb,c,Directed\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        graph = read_edge_list(path, directed=directed)
    assert links(graph) == {("a", "b"), ("b", "a"), ("b", "c")}


def test_measurements_are_no_links(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "height,weight,age\n1.5,60.5,30\n1.75,81,41\n")
    for read in (read_graphs, read_edge_list):
        with pytest.raises(DataError, match="lists no links"):
            read(path)
    assert read_edge_list(path, ends=("height", "age"), weights="binarise").n_edges == 2
