"""Tables of nodes and edges as programs write them: gaps, ids, drawings, row names, large ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import Graph, InnerProductGraph
from ancestral.errors import AncestralWarning, DataError
from ancestral.io import from_frames, from_igraph, from_networkx, read_edge_list, read_graphs

pandas = pytest.importorskip("pandas")
EDGES = pandas.DataFrame({"source": ["a"], "target": ["b"]})


def people(**columns: Any) -> Any:
    return pandas.DataFrame({"id": ["a", "b", "c"], "age": [7.0, 8.0, 9.0], **columns})


# ---- missing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gap", [None, np.nan, np.float32("nan"), pandas.NA, pandas.NaT, np.datetime64("NaT")]
)
def test_a_missing_value_is_no_level_no_number_and_no_end(gap: Any) -> None:
    house = np.array(["red", gap, "red"], object)
    graph = from_frames(EDGES, people(house=house), categorical=["house"])
    assert graph.attribute("house").to_list() == ["red", None, "red"]
    refused_where_used(graph, "house", "b")
    graph = from_frames(EDGES, people(height=np.array([1.0, gap, 2.0], object)))
    assert graph.attribute("height").to_list() == [1.0, None, 2.0]
    refused_where_used(graph, "height", "b")
    ends = pandas.DataFrame({"from": ["a", "b"], "to": np.array(["b", gap], object)})
    with pytest.raises(DataError, match="edges: row 1 has no id"):
        from_frames(ends, people())
    nodes = pandas.DataFrame({"id": np.array(["a", "b", gap], object), "age": [7.0, 8.0, 9.0]})
    with pytest.raises(DataError, match="nodes: row 2 has no id"):
        from_frames(EDGES, nodes)


def refused_where_used(graph: Graph, attribute: str, node: str) -> None:
    """A model of all features refuses a missing one by its name and node's."""
    with pytest.raises(DataError, match=f"the attribute '{attribute}' of node '{node}' is missing"):
        InnerProductGraph().fit(graph)


def test_nullable_columns_may_have_a_gap() -> None:
    nodes = people(grade=pandas.array([1, None, 3], dtype="Int64"))
    refused_where_used(from_frames(EDGES, nodes), "grade", "b")
    words = people(house=pandas.array(["x", None, "y"], dtype="string"))
    refused_where_used(from_frames(EDGES, words, categorical=["house"]), "house", "b")


@pytest.mark.parametrize("text", ["NA", "NaN", "null", "N/A", "", "nan"])
def test_what_files_write_for_missing_is_missing(tmp_path: Path, text: str) -> None:
    edges, nodes = tmp_path / "e.csv", tmp_path / "n.csv"
    edges.write_text("from,to\na,b\n")
    nodes.write_text(f"id,house,age\na,red,1\nb,{text},2\nc,red,3\n")
    refused_where_used(read_edge_list(edges, nodes, categorical=["house"]), "house", "b")
    nodes.write_text(f"id,age\na,1\nb,{text}\n")
    refused_where_used(read_edge_list(edges, nodes), "age", "b")
    nodes.write_text("id,age\na,1\nb,2\n")
    edges.write_text(f"from,to\na,b\na,{text}\n")
    with pytest.raises(DataError, match=r"line 3 joins .*an id is missing"):
        read_edge_list(edges, nodes)
    edges.write_text("from,to\na,b\n")
    nodes.write_text(f"id,age\na,1\n{text},2\n")
    with pytest.raises(DataError, match="line 3 has no id"):
        read_edge_list(edges, nodes)


def test_words_of_a_frame_that_only_look_missing_are_levels() -> None:
    graph = from_frames(EDGES, people(land=["NA", "SE", "NA"]), categorical=["land"])
    assert graph.feature_names == ("age", "land=NA", "land=SE")


# ---- ids and drawings --------------------------------------------------------------------------


def test_ids_and_drawings_are_left_out_and_named() -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(4)
    for k in graph:
        drawn = {"x": k * 1.0, "y": 2.0, "size": 10.0, "r": 255, "g": 0, "b": k}
        graph.nodes[k].update(id=k, label=str(k), _nx_name=k, age=7.0 + k, **drawn)
    with pytest.warns(AncestralWarning, match="left out.*'id'") as said:
        found = from_networkx(graph)
    assert found.feature_names == ("age",)
    text = str(said[0].message)
    assert all(f"'{name}'" in text for name in ("x", "y", "size", "r", "g", "b"))
    assert "label" not in text and "_nx_name" not in text  # they are the ids of the nodes
    chosen = from_networkx(graph, attributes=["age", "size"])
    assert chosen.feature_names == ("age", "size")


def test_a_graph_through_igraph_gains_no_feature() -> None:
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    graph = networkx.karate_club_graph()
    club = from_networkx(graph, weights="binarise")
    back = from_igraph(igraph.Graph.from_networkx(graph), weights="binarise")
    assert back.feature_names == club.feature_names
    np.testing.assert_array_equal(back.features, club.features)


def test_nothing_but_ids_and_drawings_is_said() -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(3)
    networkx.set_node_attributes(graph, {k: {"x": 1.0, "y": k, "id": k} for k in graph})
    with pytest.warns(AncestralWarning, match=r"left out as ids.*attributes=\[...\]"):
        assert from_networkx(graph).features.shape == (3, 0)
    networkx.set_node_attributes(graph, {k: {"x": 1.0, "y": k, "x1": 0.5} for k in graph})
    alone = networkx.path_graph(3)
    networkx.set_node_attributes(alone, {k: 0.5 * k for k in alone}, "x")
    assert from_networkx(alone).feature_names == ("x",)  # one x is no place on a page


# ---- which columns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("source", "target"), ("from", "to"), ("From", "To"), ("Source", "Target")]
)
def test_ends_are_told_by_their_names(tmp_path: Path, names: tuple[str, str]) -> None:
    one, two = names
    edges = pandas.DataFrame({"weight": [1, 2], two: ["b", "c"], one: ["a", "b"]})
    wanted = [(0, 1), (1, 2)]
    graph = from_frames(edges, people(), weights="binarise")
    assert list(zip(*graph.edges(), strict=True)) == wanted
    edges.to_csv(tmp_path / "e.csv", index=False)
    people().to_csv(tmp_path / "n.csv", index=False)
    with pytest.warns(AncestralWarning, match="weights are not kept: any but 0 is a link"):
        read = read_edge_list(tmp_path / "e.csv", tmp_path / "n.csv")
    with pytest.raises(DataError, match='has the weight 2, and weights="refuse"'):
        read_edge_list(tmp_path / "e.csv", tmp_path / "n.csv", weights="refuse")
    assert list(zip(*read.edges(), strict=True)) == wanted


def test_row_names_are_no_ends_and_no_features() -> None:
    nodes = pandas.DataFrame({"id": [1, 2, 3], "age": [7.0, 8.0, 9.0]})
    edges = pandas.DataFrame({"Unnamed: 0": [1, 2], "from": [1, 2], "to": [2, 3]})
    graph = from_frames(edges, nodes)
    assert list(zip(*graph.edges(), strict=True)) == [(0, 1), (1, 2)]
    plain = edges.rename(columns={"from": "V1", "to": "V2"})
    assert from_frames(plain, nodes).n_edges == 2  # row names aside, there are two
    nodes.insert(0, "Unnamed: 0", [1, 2, 3])
    with pytest.warns(AncestralWarning, match="'Unnamed: 0'"):
        assert from_frames(edges, nodes).feature_names == ("age",)
    with pytest.raises(DataError, match="pass key="):
        from_frames(edges, nodes.rename(columns={"id": "pupil"}))


def test_columns_that_do_not_tell_are_asked_about() -> None:
    edges = pandas.DataFrame({"row": [1, 2], "p": ["a", "b"], "q": ["b", "c"]})
    with pytest.raises(DataError, match=r"'row', 'p', 'q'.*pass ends="):
        from_frames(edges, people())
    assert from_frames(edges, people(), ends=("p", "q")).n_edges == 2
    both = pandas.DataFrame({"source": ["a"], "target": ["b"], "from": ["a"], "to": ["c"]})
    with pytest.raises(DataError, match="not clear"):
        from_frames(both, people())
    with pytest.raises(DataError, match="ends must name two"):
        from_frames(both, people(), ends=("source", "nowhere"))


# ---- large ids, many nodes ---------------------------------------------------------------------


def test_large_ids_are_never_rounded() -> None:
    ids = [2**60, 2**60 + 1, 2**60 + 2]
    nodes = pandas.DataFrame({"id": ids, "age": [7.0, 8.0, 9.0]})
    edges = pandas.DataFrame({"from": [ids[0]], "to": [ids[1]]})
    assert list(zip(*from_frames(edges, nodes).edges(), strict=True)) == [(0, 1)]
    nullable = edges.astype("Int64")
    assert list(zip(*from_frames(nullable, nodes).edges(), strict=True)) == [(0, 1)]
    with pytest.raises(DataError, match="beyond 2\\^53"):
        from_frames(edges.astype(float), nodes)
    with pytest.raises(DataError, match="float64 rounds"):
        from_frames(edges, nodes.assign(account=ids))
    groups = from_frames(edges, nodes.assign(account=ids), categorical=["account"])
    assert groups.feature_names == ("age", *(f"account={k}" for k in ids))


def test_large_numbers_in_files_are_not_rounded(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("from,to\n1,2\n")
    (tmp_path / "n.csv").write_text(f"id,account\n1,{2**53 + 1}\n2,5\n")
    with pytest.raises(DataError, match="float64 rounds"):
        read_edge_list(tmp_path / "e.csv", tmp_path / "n.csv")


def test_a_late_second_id_is_found_at_once() -> None:
    """A law of counts and no clock: each id is looked up, never searched for in those before."""
    looked: list[int] = []

    class Counted(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            looked.append(1)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    n = 3_000
    names = [Counted(f"n{k}") for k in range(n)] + [Counted(f"n{n - 1}")]
    nodes = pandas.DataFrame({"id": pandas.Series(names, dtype=object), "age": np.ones(n + 1)})
    with pytest.raises(DataError, match=r"n2999.*a second time"):
        from_frames(EDGES, nodes)
    assert len(looked) < 10 * n


def test_graphml_of_a_drawing_program(tmp_path: Path) -> None:
    pytest.importorskip("defusedxml", reason="GraphML is an extra")
    keys = "".join(
        f'<key id="{k}" for="node" attr.name="{k}" attr.type="double"/>'
        for k in ("size", "r", "g", "b", "x", "y", "age")
    )
    node = '<node id="{}"><data key="size">9</data><data key="r">1</data><data key="g">2</data>'
    node += '<data key="b">3</data><data key="x">4</data><data key="y">5</data>'
    node += '<data key="age">{}</data></node>'
    text = f'<graphml>{keys}<graph edgedefault="undirected">{node.format("a", 7)}'
    text += f'{node.format("b", 8)}<edge source="a" target="b"/></graph></graphml>'
    path = tmp_path / "gephi.graphml"
    path.write_text(text)
    with pytest.warns(AncestralWarning, match="'size', 'r', 'g', 'b', 'x', 'y'"):
        (graph,) = read_graphs(path)
    assert graph.feature_names == ("age",)
    path.write_text(text.replace(">8<", ">NA<"))
    with pytest.warns(AncestralWarning):
        refused_where_used(read_graphs(path)[0], "age", "b")


@pytest.mark.parametrize("text", ["1_000", "\uff11\uff12", "9007199254740993.0"])
def test_one_rule_for_numbers_as_text_in_tables_of_nodes(tmp_path, text):
    (tmp_path / "n.csv").write_text(f"id,account\na,{text}\nb,5\n")
    (tmp_path / "e.csv").write_text("a,b\n")
    files = tmp_path / "e.csv", tmp_path / "n.csv"
    with pytest.raises(DataError, match=r"a number is wanted|float64 rounds"):
        read_edge_list(*files)
    assert len(read_edge_list(*files, categorical=["account"]).feature_names) == 2


def test_whole_numbers_of_npz_graphs_are_not_rounded(tmp_path):
    big = np.array([2**53 + 1, 2**53 + 2])
    edges = np.array([[0, 1]])
    np.savez(tmp_path / "a.npz", account=big, edges=edges)
    with pytest.raises(DataError, match="float64 rounds"):
        read_graphs(tmp_path / "a.npz")
    assert len(read_graphs(tmp_path / "a.npz", categorical=["account"])[0].feature_names) == 2
    np.savez(tmp_path / "b.npz", features=big[:, None], edges=edges)
    with pytest.raises(DataError, match="9007199254740993"):
        read_graphs(tmp_path / "b.npz")
