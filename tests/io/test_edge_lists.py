"""Graphs from tables of edges and nodes, from igraph, and by their edges; named categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from ancestral import Graph, InnerProductGraph, read_graphs
from ancestral.errors import AncestralWarning, DataError, DataTypeError, FormatError
from ancestral.graph.edges.sampling import sample_edges
from ancestral.io import (
    from_frames,
    from_igraph,
    from_networkx,
    read_edge_list,
    write_graphs,
)

NODES = "id,age,sex,grade\nann,15,F,7\nbob,16,M,12\n10,17,F,8\n2,15,F,7\n"
EDGES = "one,two\nann,bob\n2,10\nbob,2\n"


def write(folder: Path, nodes: str = NODES, edges: str = EDGES) -> tuple[Path, Path]:
    paths = folder / "edges.csv", folder / "nodes.csv"
    for path, text in zip(paths, (edges, nodes), strict=True):
        path.write_text(text, "utf-8")
    return paths


def test_nodes_keep_the_order_of_their_table_and_categories_their_names(tmp_path: Path) -> None:
    graph = read_edge_list(*write(tmp_path), categorical=["sex", "grade"])
    assert graph.feature_names == ("age", "sex=F", "sex=M", "grade=7", "grade=8", "grade=12")
    np.testing.assert_array_equal(
        graph.features,
        [
            [15, 1, 0, 1, 0, 0],
            [16, 0, 1, 0, 0, 1],
            [17, 1, 0, 0, 1, 0],
            [15, 1, 0, 1, 0, 0],
        ],
    )
    i, j = graph.edges()
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 3), (2, 3)]


def test_whole_numbers_are_one_level_however_a_file_writes_them(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,grade\na,9.0\nb,9\nc,10.0\nd,9.5\n")
    (tmp_path / "edges.csv").write_text("a,b\n")
    graph = read_edge_list(tmp_path / "edges.csv", tmp_path / "nodes.csv", categorical=["grade"])
    assert graph.feature_names == ("grade=9", "grade=9.5", "grade=10")


def test_chosen_attributes_come_in_their_order(tmp_path: Path) -> None:
    graph = read_edge_list(*write(tmp_path), attributes=["grade", "age"])
    assert graph.feature_names == ("grade", "age")
    np.testing.assert_array_equal(graph.features[:, 0], [7, 12, 8, 7])
    by_age = read_edge_list(
        *write(tmp_path, edges="15,16\n", nodes="x,key\n1,15\n2,16\n"), key="key"
    )
    np.testing.assert_array_equal(by_age.features, [[1], [2]])
    assert by_age.n_edges == 1  # a first line of two ids is an edge, not names


BAD_TABLES = [
    ({"edges": "a,b\nann,eve\n"}, DataError, "an edge leads to node 'eve', not there"),
    ({"edges": "a,b,w\nann,bob,1\n"}, DataError, "which two hold the ids of the"),
    ({"edges": "a,b\nann\n"}, FormatError, "line 2 has 1 cells where the first has 2"),
    ({"nodes": NODES + "ann,1,F,7\n"}, DataError, "line 6 gives node 'ann' a second time"),
    ({"nodes": NODES + ",1,F,7\n"}, DataError, "line 6 has no id in column 'id'"),
    ({"nodes": "id,x,x\n1,2,3\n"}, FormatError, "columns 2 and 3 are both named 'x'"),
    ({"nodes": NODES + "eve,1,F\n"}, FormatError, "line 6 has 3 cells where the first has 4"),
]


@pytest.mark.parametrize(("texts", "kind", "message"), BAD_TABLES)
def test_bad_tables_are_named(
    tmp_path: Path, texts: dict[str, str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_edge_list(*write(tmp_path, **texts), categorical=["sex"])


def test_text_keeps_its_levels_and_numbers_are_no_groups_by_themselves(tmp_path: Path) -> None:
    paths = write(tmp_path)
    graph = read_edge_list(*paths)
    assert graph.attribute_names == ("age", "sex", "grade")
    assert graph.feature_names == ("age", "sex=F", "sex=M", "grade")
    assert graph.attribute("sex").to_list() == ["F", "M", "F", "F"]
    assert graph.node_names == ("ann", "bob", "10", "2")
    with pytest.raises(DataError, match="categorical attribute 'race' is none of age, sex"):
        read_edge_list(*paths, categorical=["race"])
    with pytest.raises(DataError, match="has no column 'name'; it has id, age"):
        read_edge_list(*paths, key="name")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_any_dataframe_will_do(tmp_path: Path, library: str) -> None:
    frames = pytest.importorskip(library)
    wanted = read_edge_list(*write(tmp_path), categorical=["sex"])
    nodes = frames.DataFrame(
        {"id": ["ann", "bob", "10", "2"], "age": [15, 16, 17, 15], "sex": list("FMFF"),
         "grade": [7, 12, 8, 7]}
    )  # fmt: skip
    edges = frames.DataFrame({"one": ["ann", "2", "bob"], "two": ["bob", "10", "2"]})
    graph = from_frames(edges, nodes, categorical=["sex"])
    np.testing.assert_array_equal(graph.features, wanted.features)
    np.testing.assert_array_equal(graph.adjacency, wanted.adjacency)
    assert graph.feature_names == wanted.feature_names
    again = frames.DataFrame({"id": ["ann", "ann"], "age": [1, 2]})
    with pytest.raises(DataError, match="gives node 'ann' a second time"):
        from_frames(edges, again)


def test_frames_that_are_none_are_named() -> None:
    pandas = pytest.importorskip("pandas")
    nodes = pandas.DataFrame({"id": ["a", "b"], "age": [15.0, 16.5]})
    with pytest.raises(DataTypeError, match="edges must be a dataframe; got a list"):
        from_frames([("a", "b")], nodes)
    with pytest.raises(DataError, match="which two hold the ids of the ends"):
        from_frames(pandas.DataFrame({"one": ["a"]}), nodes)
    edges = pandas.DataFrame({"one": ["a"], "two": ["b"]})
    names = from_frames(edges, nodes, categorical=["age"]).feature_names
    assert names == ("age=15", "age=16.5")  # whole numbers lose their point
    many = pandas.DataFrame({"id": range(1_001), "age": range(1_001)})
    none = pandas.DataFrame({"one": [0], "two": [1]})
    with pytest.raises(DataError, match="'age' has 1001 levels, over the limit of 1000: group"):
        from_frames(none, many, categorical=["age"])


def graphs_of(library: str) -> tuple[Any, Any]:
    """Return the same graph twice: of the library, and how it is read."""
    module = pytest.importorskip(library)
    if library == "networkx":
        graph = module.Graph([("a", "b"), ("b", "c")])
        module.set_node_attributes(graph, dict(zip("abc", [1.0, 2.0, 3.0])), "x")
        module.set_node_attributes(graph, dict(zip("abc", "FMF")), "sex")
        return graph, from_networkx
    graph = module.Graph(edges=[(0, 1), (1, 2)])
    graph.vs["x"], graph.vs["sex"] = [1.0, 2.0, 3.0], list("FMF")
    return graph, from_igraph


@pytest.mark.parametrize("library", ["networkx", "igraph"])
def test_graphs_of_other_libraries(library: str) -> None:
    theirs, convert = graphs_of(library)
    graph = convert(theirs, categorical=["sex"])
    assert graph.feature_names == ("x", "sex=F", "sex=M")
    np.testing.assert_array_equal(graph.features, [[1, 1, 0], [2, 0, 1], [3, 1, 0]])
    np.testing.assert_array_equal(graph.adjacency, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert convert(theirs, ["x"]).feature_names == ("x",)


def test_odd_igraphs_are_named() -> None:
    igraph = pytest.importorskip("igraph")
    with pytest.raises(DataError, match=r"links are directed, and directed=\"refuse\""):
        from_igraph(igraph.Graph(edges=[(0, 1)], directed=True), directed="refuse")
    assert from_igraph(igraph.Graph(edges=[(0, 1)])).features.shape == (2, 0)
    twice = igraph.Graph(edges=[(0, 1), (1, 0)], vertex_attrs={"x": [1, 2]})
    with pytest.raises(DataError, match="linked more than once"):
        from_igraph(twice, multiple="refuse")
    with pytest.warns(AncestralWarning, match="1 repeated links are merged"):
        assert from_igraph(twice).n_edges == 1
    with pytest.raises(DataError, match="an igraph graph is wanted; got a list"):
        from_igraph([])


def test_large_graphs_stay_sparse_through_files_and_libraries(tmp_path: Path) -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (2_300, 2))
    graph = Graph(X, sample_edges(X, 4.0, -8.0, random_state=0))
    small = Graph(X[:5], np.zeros((5, 5)))
    again, tiny = read_graphs(write_graphs(tmp_path / "g.npz", [graph, small]))
    assert again.is_sparse
    assert (again.adjacency != graph.adjacency).nnz == 0
    np.testing.assert_array_equal(again.features, X)
    np.testing.assert_array_equal(tiny.adjacency, small.adjacency)
    igraph = pytest.importorskip("igraph")
    theirs = igraph.Graph(n=2_300, edges=np.stack(graph.edges(), axis=1).tolist())
    theirs.vs["x"], theirs.vs["y"] = X[:, 0].tolist(), X[:, 1].tolist()
    back = from_igraph(theirs, attributes=["x", "y"])
    assert back.is_sparse
    assert (back.adjacency != graph.adjacency).nnz == 0


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (np.array([[0, 5]]), "row 0 joins 0 and 5; two different nodes of 0 to 4"),
        (np.array([[0, 1], [2, 2]]), "row 1 joins 2 and 2"),
        (np.array([[-1, 2]]), "row 0 joins -1 and 2"),
        (np.array([[0.0, 1.0]]), "whole numbers"),
        (np.array([0, 1]), "whole numbers"),
        (np.array([[0, 1], [1, 0]]), "nodes 0 and 1 are linked more than once"),
        (np.array([[0, 1]] * 256 + [[0, 2]]), "nodes 0 and 1 are linked more than once"),
        (np.array([[3, 4]] * 257), "nodes 3 and 4 are linked more than once"),
    ],
)
def test_bad_edges_in_an_archive_are_named(tmp_path: Path, edges: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "g.npz", features_0=np.zeros((5, 1)), edges_0=edges)
    with pytest.raises(DataError, match=message):
        read_graphs(tmp_path / "g.npz")


def test_graphs_that_name_their_features_differently_do_not_go_together() -> None:
    E = sparse.csr_array(np.eye(3) * 0)
    one = Graph(np.eye(3), E, feature_names=("a", "b", "c"))
    two = Graph(np.eye(3), E, feature_names=("a", "c", "d"))
    with pytest.raises(DataError, match=r"graph 1 has the features 'a', 'c', 'd' .* 'd' is"):
        InnerProductGraph().fit([one, two])
    with pytest.raises(DataError, match="2 names for 3 features"):
        Graph(np.eye(3), E, feature_names=("a", "b"))


TWO = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="r" for="node" attr.name="race" attr.type="string"/>
<graph edgedefault="undirected"><node id="a"><data key="r">W</data></node>
<node id="b"><data key="r">B</data></node><edge source="a" target="b"/></graph>
<graph edgedefault="undirected"><node id="a"><data key="r">W</data></node>
<node id="b"><data key="r">H</data></node></graph></graphml>"""


def test_graphs_of_one_file_have_the_levels_of_them_all(tmp_path: Path) -> None:
    pytest.importorskip("defusedxml", reason="GraphML is an extra")
    path = tmp_path / "two.graphml"
    path.write_text(TWO)
    one, two = read_graphs(path, categorical=["race"])
    assert one.feature_names == two.feature_names == ("race=B", "race=H", "race=W")
    np.testing.assert_array_equal(one.features, [[0, 0, 1], [1, 0, 0]])
    wider = read_graphs(path, categorical={"race": ["A", "B", "H", "W"]})
    assert wider[1].feature_names == ("race=A", "race=B", "race=H", "race=W")
    with pytest.raises(DataError, match="'b' has 'race' = 'H', none of the levels given: B, W"):
        read_graphs(path, categorical={"race": ["W", "B"]})


def test_names_of_features_are_written_with_the_graphs(tmp_path: Path) -> None:
    X, E = np.eye(3)[:, :2], np.zeros((3, 3))
    path = write_graphs(tmp_path / "g.npz", [Graph(X, E, ("age", "sex=F")), (X, E)])
    assert [graph.feature_names for graph in read_graphs(path)] == [("age", "sex=F")] * 2
    assert read_graphs(write_graphs(path, Graph(X, E)))[0].feature_names is None
    np.savez(path, features=X, adjacency=E, feature_names=np.arange(2))
    with pytest.raises(FormatError, match="'feature_names' must hold one text for each feature"):
        read_graphs(path)


# ---- the first line of an edge list: names, or an edge ---------------------------------------

PEOPLE = "id,age\nalice,15\nbob,16\ncarol,17\n3,15\n4,16\n5,15\n"


def first_line(
    folder: Path, edges: str, caplog: pytest.LogCaptureFixture, **options: Any
) -> tuple[int, list[str]]:
    """Return how many edges were read, and what was said."""
    caplog.clear()
    with caplog.at_level("INFO", logger="ancestral"):
        graph = read_edge_list(*write(folder, PEOPLE, edges), **options)
    return graph.n_edges, [record.getMessage() for record in caplog.records]


NAMES = """source,target Source,Target from,to FROM,TO a,b u,v from_id,to_id source-node,target-node
node1,node2 id_1,id_2 src,dst ego,alter "from","to" """


@pytest.mark.parametrize("names", NAMES.split())
def test_known_names_are_taken_for_names_and_said(
    tmp_path: Path, names: str, caplog: pytest.LogCaptureFixture
) -> None:
    n_edges, said = first_line(tmp_path, f"{names}\nalice,bob\n", caplog)
    assert n_edges == 1
    assert len(said) == 1
    assert "edges.csv: its first line" in said[0] and "was taken for names" in said[0]
    assert "header=False" in said[0]


def test_words_over_numbers_are_taken_for_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    n_edges, said = first_line(tmp_path, "pupil,friend\n3,4\n4,5\n", caplog)
    assert n_edges == 2 and "'pupil', 'friend', was taken for names" in said[0]


@pytest.mark.parametrize("edges", ["alice,bob\nbob,carol\n", "3,4\n4,5\n", "alice,3\n4,5\n"])
def test_two_ids_are_an_edge_and_said(
    tmp_path: Path, edges: str, caplog: pytest.LogCaptureFixture
) -> None:
    n_edges, said = first_line(tmp_path, edges, caplog)
    assert n_edges == 2
    assert len(said) == 1 and "was taken for an edge (header=True: names)" in said[0]


@pytest.mark.parametrize("line", ["alise,bop", "Alice,Bob", "x1,x2", "pupil,friend", "6,7"])
def test_a_first_line_that_may_be_either_is_asked_about(tmp_path: Path, line: str) -> None:
    paths = write(tmp_path, PEOPLE, f"{line}\nalice,bob\n")
    with pytest.raises(DataError, match=r"may hold names or an edge.*header=True.*header=False"):
        read_edge_list(*paths)
    assert read_edge_list(*paths, header=True).n_edges == 1
    with pytest.raises(DataError, match=f"an edge leads to node '{line.split(',')[0]}', not there"):
        read_edge_list(*paths, header=False)


def test_ids_that_are_names_of_ends_are_asked_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = "id,age\nsource,1\ntarget,2\na,3\nb,4\n"
    paths = write(tmp_path, nodes, "source,target\na,b\n")
    with pytest.raises(DataError, match="ids of nodes, and names of ends, too"):
        read_edge_list(*paths)
    assert read_edge_list(*paths, header=True).n_edges == 1
    assert read_edge_list(*paths, header=False).n_edges == 2
    assert read_edge_list(*write(tmp_path, nodes, "a,b\nsource,target\n")).n_edges == 2


def test_what_was_asked_for_is_not_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert first_line(tmp_path, "from,to\nalice,bob\n", caplog, header=True) == (1, [])
    assert first_line(tmp_path, "alice,bob\nbob,carol\n", caplog, header=False) == (2, [])
    assert first_line(tmp_path, "p,q,w\nalice,bob,1\n", caplog, ends=("p", "q")) == (1, [])
    assert first_line(tmp_path, "alice,bob\nbob,carol\n", caplog, header=True)[0] == 1


def test_a_header_and_its_options_must_agree(tmp_path: Path) -> None:
    paths = write(tmp_path, PEOPLE, "p,q,w\nalice,bob,1\n")
    with pytest.raises(DataError, match="header=False says that there are no names"):
        read_edge_list(*paths, ends=("p", "q"), header=False)
    with pytest.raises(DataError, match="header='infer' must be True, False or None"):
        read_edge_list(*paths, header="infer")
    paths = write(tmp_path, PEOPLE, "alice,bob,1\nbob,carol,1\n")
    with pytest.raises(DataError, match="has 3 columns without names"):
        read_edge_list(*paths, header=False)
    with pytest.raises(DataError, match="which two hold the ids of the ends"):
        read_edge_list(*paths)


def test_a_table_of_nodes_without_names_is_refused(tmp_path: Path) -> None:
    for line in ("ann,15", "7,3", 'ann,"1,5"', "ann,1_500"):
        paths = write(tmp_path, f"{line}\nalice,15\nbob,16\n", "from,to\nalice,bob\n")
        with pytest.raises(DataError, match="first line must name the columns, and holds"):
            read_edge_list(*paths)
    for line in ("id,0,1", "id,1,2", "id,0"):  # as pandas numbers columns
        rest = ",15" * line.count(",")
        paths = write(tmp_path, f"{line}\nalice{rest}\nbob{rest}\n", "from,to\nalice,bob\n")
        assert read_edge_list(*paths).n_edges == 1
    paths = write(tmp_path, "id,2010\nalice,15\nbob,16\n", "from,to\nalice,bob\n")
    assert read_edge_list(*paths, header=True).feature_names == ("2010",)


@pytest.mark.parametrize("seed", range(20))
def test_no_edge_is_lost_to_a_first_line(tmp_path: Path, seed: int) -> None:
    """Of nodes named at random, every edge is read, or the file is asked about."""
    rng = np.random.default_rng(seed)
    words = ["from", "to", "source", "target", "a", "b", "id", "1", "2", "0", "ann", "u", "v"]
    ids = rng.permutation(words)[: rng.integers(3, 9)].tolist()
    pairs = [(u, v) for k, u in enumerate(ids) for v in ids[:k]]
    pairs = [pairs[k] for k in rng.permutation(len(pairs))[: rng.integers(1, 4)]]
    nodes = "key,age\n" + "".join(f"{name},1\n" for name in ids)
    paths = write(tmp_path, nodes, "".join(f"{u},{v}\n" for u, v in pairs))
    if {pairs[0]} <= {("from", "to"), ("source", "target")}:
        with pytest.raises(DataError, match="header=False"):
            read_edge_list(*paths)
    else:
        assert read_edge_list(*paths).n_edges == len(pairs)
    assert read_edge_list(*paths, header=False).n_edges == len(pairs)


def test_edges_and_nodes_of_another_dialect(tmp_path: Path) -> None:
    edges, nodes = tmp_path / "e.csv", tmp_path / "n.csv"
    edges.write_bytes("von;from\njosé;zoë\nzoë;1.000\n".replace("von", "to").encode("latin-1"))
    nodes.write_bytes("id;höhe;haus\njosé;1,5;1.000\nzoë;1.234,5;x\n1.000;2;y\n".encode("latin-1"))
    options = {"sep": ";", "decimal": ",", "thousands": ".", "encoding": "latin-1"}
    graph = read_edge_list(edges, nodes, categorical=["haus"], ends=("to", "from"), **options)
    assert graph.feature_names[0] == "höhe"
    assert set(graph.feature_names[1:]) == {"haus=1000", "haus=x", "haus=y"}
    assert graph.features[:, 0].tolist() == [1.5, 1234.5, 2.0]
    assert graph.n_edges == 2
    nodes.write_bytes("id;höhe\njosé;1.5\nzoë;2\n1.000;2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"'höhe' = .*1\.5.*a number is wanted"):
        read_edge_list(edges, nodes, ends=("to", "from"), **options)
    with pytest.raises(FormatError, match="encoding='latin-1'"):
        read_edge_list(edges, nodes, sep=";")
