"""What is written for other programs comes back the same: nodes, attributes, links, gaps."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from ancestral import Graph, io, read_graphs
from ancestral.errors import AncestralWarning, DataError, SaveError
from ancestral.io import (
    from_frames,
    from_igraph,
    from_networkx,
    read_edge_list,
    to_frames,
    to_igraph,
    to_networkx,
    write_edge_list,
    write_graphs,
)

pandas = pytest.importorskip("pandas")
NAMES = ["Ann Lee", "bob", 'Zoë "Z"', "d<e>&", "5", "six,seven", "8;9"]


def graph_of(*, directed: bool = False, unknown: bool = False, named: bool = True, seed: int = 0):
    """Text, declared levels in an order of their own, numbers with all digits, and gaps."""
    rng = np.random.default_rng(seed)
    n = len(NAMES)
    E = (rng.random((n, n)) < 0.4).astype(float)
    if unknown:
        E[rng.random((n, n)) < 0.2] = np.nan
    if not directed:
        E = np.triu(E, 1)
        E = E + E.T
    np.fill_diagonal(E, 0)
    house = pandas.Categorical(
        ["red", "blue", None, "red", "blue", "red", "red"], ["red", "green", "blue"]
    )
    table = pandas.DataFrame(
        {"age": [15, 16.25, np.nan, 1 / 3, 1e-300, 7, -2], "house": house, "town": list("abcabca")}
    )
    return Graph(table, E, node_names=NAMES if named else None, directed=directed)


def assert_same(one: Graph, two: Graph, *, levels: bool = True) -> None:
    assert (one.node_names, one.directed) == (two.node_names, two.directed)
    assert np.array_equal(
        one.to_dense(unknown=np.nan), two.to_dense(unknown=np.nan), equal_nan=True
    )
    assert one.attribute_names == two.attribute_names
    for name in one.attribute_names:
        assert one.attribute(name).to_list() == two.attribute(name).to_list()
        assert not levels or one.attribute(name).levels == two.attribute(name).levels
    if levels:
        assert one.feature_names == two.feature_names
        assert np.array_equal(one.features, two.features, equal_nan=True)


EVERY = [
    {"directed": d, "unknown": u, "named": n}
    for d in (False, True)
    for u in (False, True)
    for n in (False, True)
]


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("way", ["networkx", "igraph", "frames", "graphml", "npz", "csv", "tsv"])
def test_a_round_trip_is_the_identity(tmp_path: Path, kind: dict, way: str) -> None:
    graph = graph_of(**kind)
    levels = way not in ("csv", "tsv")  # a table of text holds no order of levels
    with warnings.catch_warnings():
        warnings.simplefilter("error" if not kind["unknown"] else "ignore", AncestralWarning)
        warnings.filterwarnings("ignore", ".*left out as ids.*'Label'", AncestralWarning)
        if way == "networkx":
            pytest.importorskip("networkx")
            back = from_networkx(to_networkx(graph))
        elif way == "igraph":
            pytest.importorskip("igraph")
            back = from_igraph(to_igraph(graph))
        elif way == "frames":
            back = from_frames(*to_frames(graph))
            levels = False
        elif way in ("csv", "tsv"):
            paths = tmp_path / f"e.{way}", tmp_path / f"n.{way}"
            write_edge_list(*paths, graph)
            back = read_edge_list(*paths)
        else:
            (back,) = read_graphs(write_graphs(tmp_path / f"g.{way}", graph))
    assert_same(graph, back, levels=levels)


def test_many_graphs_share_a_file(tmp_path: Path) -> None:
    graphs = [graph_of(seed=k, unknown=k == 1) for k in range(3)]
    for ending in ("npz", "graphml"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AncestralWarning)
            found = read_graphs(write_graphs(tmp_path / f"g.{ending}", graphs))
        for one, two in zip(graphs, found, strict=True):
            assert_same(one, two)


@pytest.mark.parametrize("directed", [False, True])
def test_an_npz_keeps_what_is_known_of_dyads_and_large_graphs(tmp_path, directed) -> None:
    rng = np.random.default_rng(0)
    D = rng.normal(size=(4, 4))
    D = D if directed else D + D.T
    E = np.zeros((4, 4))
    graph = Graph(None, E, directed=directed, node_names="abcd", pair_features={"distance": D})
    (back,) = read_graphs(write_graphs(tmp_path / "g.npz", graph))
    np.testing.assert_array_equal(back.pair_features["distance"], D)
    with pytest.warns(AncestralWarning, match=r"known of dyads \('distance'\) is left out"):
        write_graphs(tmp_path / "g.graphml", graph)
    sparse = pytest.importorskip("scipy.sparse")
    n = 2_500
    i, j = rng.integers(0, n, (2, 5_000))
    A = sparse.coo_array((np.ones(5_000), (i, j)), shape=(n, n)).tocsr()
    A = ((A if directed else A + A.T) > 0).astype(float).tocsr()
    A.setdiag(0)
    A.eliminate_zeros()
    large = Graph(np.arange(n)[:, None], A, directed=directed).with_unknown([(0, 1), (7, 3)])
    (back,) = read_graphs(write_graphs(tmp_path / "g.npz", large))
    assert back.is_sparse and (back.adjacency != large.adjacency).nnz == 0
    assert np.array_equal(back.unknown_dyads(), large.unknown_dyads())
    assert back.directed is directed


def test_other_programs_see_plain_graphs(tmp_path: Path) -> None:
    """networkx and igraph open the GraphML: ids, labels, attributes of types, known links."""
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    graph = graph_of(directed=True, unknown=True)
    path = write_graphs(tmp_path / "g.graphml", graph)
    theirs = networkx.read_graphml(path)
    assert theirs.is_directed() and list(theirs) == NAMES
    assert theirs.number_of_edges() == graph.n_edges
    assert theirs.nodes["bob"] == {"label": "bob", "age": 16.25, "house": "blue", "town": "b"}
    assert "age" not in theirs.nodes['Zoë "Z"']
    other = igraph.Graph.Read_GraphML(str(path))
    assert other.ecount() == graph.n_edges and other.vs["label"] == NAMES
    edges, nodes = to_frames(graph_of())
    assert list(edges.columns) == ["Source", "Target", "Type"] and set(edges.Type) == {"Undirected"}
    assert list(nodes.columns) == ["Id", "Label", "age", "house", "town"]
    assert list(nodes.house.cat.categories) == ["red", "green", "blue"]


def test_draws_are_written_with_their_names(tmp_path: Path) -> None:
    from ancestral import InnerProductGraph

    rng = np.random.default_rng(0)
    table = pandas.DataFrame(rng.normal(size=(12, 2)), list("abcdefghijkl"), ["x", "y z"])
    E = np.triu(rng.random((12, 12)) < 0.4, 1)
    graph = Graph(table, E | E.T)
    (draw,) = InnerProductGraph().fit(graph).sample(features=graph, random_state=0)
    assert draw.node_names == graph.node_names and draw.feature_names == ("x", "y z")
    (back,) = read_graphs(write_graphs(tmp_path / "d.graphml", draw))
    assert_same(draw, back)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    graph = graph_of()
    with pytest.raises(SaveError, match=r"as \.npz or \.graphml.*write_edge_list"):
        write_graphs(tmp_path / "g.gml", graph)
    with pytest.raises(SaveError, match=r"tables are written as \.csv or \.tsv"):
        write_edge_list(tmp_path / "e.xlsx", tmp_path / "n.csv", graph)
    with pytest.raises(DataError, match="expected one graph; got 2"):
        to_networkx([graph, graph])
    bell = Graph(None, np.zeros((2, 2)), node_names=["a\x07", "b"])
    with pytest.raises(DataError, match=r"the character '\\x07', which XML has not"):
        write_graphs(tmp_path / "g.graphml", bell)
    taken = Graph(pandas.DataFrame({"Label": [1.0, 2.0]}), np.zeros((2, 2)))
    with pytest.raises(DataError, match="an attribute is named 'Label'"):
        to_frames(taken)


KEPT = {
    "a column of coordinates": {"x": [0.5, 1.5, 2.0], "y": [1.0, 0.0, 3.0]},
    "what programs draw with": {"size": [1.0, 2.0, 2.0], "color": ["red", "blue", "red"]},
    "words that look like numbers": {"room": ["1", "3", "1"], "is": ["true", "false", "true"]},
    "gaps in the first row": {"a": [None, 1.0, 2.0], "b": ["u", "v", None], "c": [1.0, 2.0, 3.0]},
    "nothing but gaps": {"void": [float("nan")] * 3, "age": [1.0, 2.0, 4.0]},
    "labels": {"title": ["p", "q", "r"]},
}
WAYS = {
    "networkx": lambda g, _: io.from_networkx(io.to_networkx(g)),
    "igraph": lambda g, _: io.from_igraph(io.to_igraph(g)),
    "frames": lambda g, _: io.from_frames(*io.to_frames(g)),
    "graphml": lambda g, path: read_graphs(io.write_graphs(path / "g.graphml", [g]))[0],
}


@pytest.mark.parametrize("names", [None, ["n0", "n1", "n2"], ["07", "11", "13"]])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", KEPT)
def test_whatever_attributes_are_called_they_come_back(
    what: str, way: str, names: list[str] | None, tmp_path: Path
) -> None:
    for module in ("pandas", way.replace("frames", "pandas").replace("graphml", "defusedxml")):
        pytest.importorskip(module)
    import pandas as pd

    E = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]])
    graph = Graph(pd.DataFrame(KEPT[what]), E, node_names=names, directed=True)
    back = WAYS[way](graph, tmp_path)
    assert back.attribute_names == graph.attribute_names
    assert back.feature_names == graph.feature_names
    assert back.node_names == graph.node_names
    for name in graph.attribute_names:
        assert back.attribute(name).to_list() == graph.attribute(name).to_list()
    np.testing.assert_array_equal(back.to_dense(), E)


def test_a_table_says_which_attributes_it_does_not_keep(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    features = pd.DataFrame({"room": ["1", "3"], "size": [1.0, 2.0], "age": [3.0, 4.0]})
    graph = Graph(features, [[0, 1], [1, 0]])
    paths = tmp_path / "e.csv", tmp_path / "n.csv"
    with pytest.warns(AncestralWarning, match="'room', 'size' will be left out"):
        io.write_edge_list(*paths, graph)
    chosen = {"attributes": ["room", "size", "age"], "categorical": ["room"]}
    assert io.read_edge_list(*paths, **chosen).feature_names == graph.feature_names


def test_a_graph_without_features_is_kept_by_an_npz(tmp_path: Path) -> None:
    graph = Graph(None, [[0, 1], [1, 0]])
    assert read_graphs(io.write_graphs(tmp_path / "g.npz", [graph]))[0].n_features == 0


def test_igraph_has_one_place_for_names() -> None:
    pytest.importorskip("igraph")
    graph = Graph([[1.0], [2.0]], [[0, 1], [1, 0]], ["name"], node_names=["a", "b"])
    with pytest.raises(DataError, match="rename it"):
        io.to_igraph(graph)
