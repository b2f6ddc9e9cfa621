"""Graphs with text, names, directions and matrices of dyads: what goes in comes out."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ancestral import Graph, InnerProductGraph, LatentPositionGraph
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.graph.graphs import as_graphs

E = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])
ARCS = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]])


def table(house=("a", "b", None, "a"), age=(1.0, 2.0, 3.0, np.nan)):
    return pd.DataFrame({"house": list(house), "age": list(age)}, index=list("wxyz"))


def test_text_keeps_levels_and_gaps_and_is_spread_only_in_features() -> None:
    graph = Graph(table(), E)
    assert graph.attribute_names == ("house", "age") and graph.node_names == tuple("wxyz")
    house = graph.attribute("house")
    assert house.levels == ("a", "b") and house.values.tolist() == [0, 1, -1, 0]
    assert house.to_list() == ["a", "b", None, "a"]
    assert graph.attribute("age").to_list() == [1, 2, 3, None]
    assert graph.feature_names == ("house=a", "house=b", "age")
    nan = np.nan
    spread = [[1, 0, 1], [0, 1, 2], [nan, nan, 3], [1, 0, nan]]
    np.testing.assert_array_equal(graph.features, spread)
    with pytest.raises(DataError, match="no attribute 'sex': it has 'house', 'age'"):
        graph.attribute("sex")


def test_declared_levels_stay_in_their_order_and_unused() -> None:
    kind = pd.CategoricalDtype(["c", "b", "a"], ordered=True)
    graph = Graph(table().astype({"house": kind}), E)
    assert graph.attribute("house").levels == ("c", "b", "a")
    numbers = pd.Categorical([3, 1, None, 3], [3, 2, 1])
    levels = Graph(table().assign(house=numbers), E).attribute("house")
    assert levels.levels == ("3", "2", "1") and levels.to_list() == ["3", "1", None, "3"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_every_frame_of_text_is_read_alike(library: str) -> None:
    frames = pytest.importorskip(library)
    columns = {"house": ["a", "b", None, "a"], "age": [1.0, 2.0, 3.0, None]}
    made = frames.table(columns) if library == "pyarrow" else frames.DataFrame(columns)
    graph = Graph(made, E)
    assert graph.attribute("house").to_list() == ["a", "b", None, "a"]
    assert graph.attribute("age").to_list() == [1, 2, 3, None]


def test_many_levels_cost_nothing_until_they_are_spread() -> None:
    n = 60_000
    names = pd.DataFrame({"name": [f"p{k}" for k in range(n)], "x": np.zeros(n)})
    graph = Graph(names, sparse.csr_array((n, n)))
    assert len(graph.attribute("name").levels) == n
    with pytest.raises(DataError, match=r"attribute 'name' has 60,000 levels.*GiB"):
        _ = graph.features


def test_graphs_share_their_levels() -> None:
    one, two = Graph(table("abab", [1, 2, 3, 4]), E), Graph(table("accb", [1, 2, 3, 4]), E)
    checked = as_graphs([one, two])
    assert {graph.feature_names for graph in checked} == {
        ("house=a", "house=b", "house=c", "age")
    }  # fmt: skip
    model = InnerProductGraph(l2=1).fit([one, two])
    assert np.isfinite(model.log_density([one, two])).all()
    assert model.log_density([one])[0] == model.log_density([one, two])[0]
    with pytest.raises(DataError, match=r"'house' is 'd' for a node, a level that was not in"):
        model.log_density([Graph(table("abad", [1, 2, 3, 4]), E)])
    swapped = table("abab", [1, 2, 3, 4])[["age", "house"]]
    assert model.log_density([Graph(swapped, E)])[0] == pytest.approx(model.log_density([one])[0])


def test_indicators_are_the_attribute_that_they_came_from() -> None:
    spread = Graph(Graph(table(age=[1, 2, 3, 4]), E).features, E, ["house=a", "house=b", "age"])
    assert spread.attribute("house").to_list() == ["a", "b", None, "a"]
    both = Graph([[1, 1.0]] * 4, E, ["house=a", "house=b"])
    with pytest.raises(DataError, match="no attribute 'house'"):
        both.attribute("house")


def test_links_with_a_direction_are_kept_and_merged_on_request() -> None:
    graph = Graph(None, ARCS, directed=True, node_names="abcd")
    assert (graph.n_dyads, graph.n_pairs, graph.n_edges) == (12, 12, 4)
    assert [*zip(*graph.edges(), strict=True)] == [(0, 1), (1, 2), (2, 1), (3, 0)]
    assert graph.out_degrees.tolist() == [1, 1, 1, 1] and graph.in_degrees.tolist() == [1, 2, 1, 0]
    assert "4 arcs" in repr(graph)
    union, both = graph.undirected(), graph.undirected("intersection")
    assert (union.n_edges, both.n_edges) == (3, 1) and union.node_names == graph.node_names
    with pytest.raises(ModelError, match='"union" or "intersection"'):
        graph.undirected("both")
    with pytest.raises(DataError, match=r"not symmetric.*directed=True"):
        Graph(None, ARCS)
    with pytest.raises(DataTypeError, match="directed must be True or False"):
        Graph(None, ARCS, directed="yes")


def test_unknown_dyads_are_unknown_where_the_directions_do_not_tell() -> None:
    nan = np.nan
    A = [[0, 1, nan, 0], [nan, 0, 0, nan], [0, nan, 0, 1], [0, nan, 1, 0]]
    graph = Graph(None, A, directed=True)
    union, both = graph.undirected(), graph.undirected("intersection")
    U, B = (one.to_dense(unknown=nan) for one in (union, both))
    wanted = {(0, 1): (1, nan), (0, 2): (nan, 0), (0, 3): (0, 0), (1, 2): (nan, 0),
              (1, 3): (nan, nan), (2, 3): (1, 1)}  # fmt: skip
    for (i, j), (in_union, in_both) in wanted.items():
        np.testing.assert_array_equal([U[i, j], B[i, j]], [in_union, in_both])


def test_models_without_a_direction_name_the_union() -> None:
    X = np.random.default_rng(0).normal(size=(4, 2))
    graph = Graph(X, ARCS, directed=True)
    for model in (InnerProductGraph(), LatentPositionGraph(1, l2=1)):
        with pytest.raises(
            DataError, match=r'is directed.*directed="union".*undirected\("union"\)'
        ):
            model.fit([graph])
    InnerProductGraph(l2=1).fit([graph.undirected()])


def test_names_are_given_taken_and_checked() -> None:
    assert Graph(table(), E, node_names=[4, 3, 2, 1.5]).node_names == ("4", "3", "2", "1.5")
    assert Graph(None, pd.DataFrame(E, list("abcd"), list("abcd"))).node_names == tuple("abcd")
    assert Graph(np.zeros((4, 1)), E).node_names is None
    order = list("zyxw")
    turned = pd.DataFrame(E[::-1, ::-1], order, order)
    np.testing.assert_array_equal(Graph(table(), turned).adjacency, E)
    np.testing.assert_array_equal(Graph(None, turned, node_names="wxyz").adjacency, E)
    for names, says in (("abc", "3 names for 4 nodes"), ("abca", "'a' more than once")):
        with pytest.raises(DataError, match=says):
            Graph(None, E, node_names=names)
    with pytest.raises(DataError, match="name the same nodes in different orders"):
        Graph(table(), E, node_names=order)


def test_what_is_known_of_dyads_is_a_matrix_by_name() -> None:
    D = np.arange(16.0).reshape(4, 4)
    D = D + D.T
    labelled = pd.DataFrame(D[::-1, ::-1], list("zyxw"), list("zyxw"))
    graph = Graph(table(), E, pair_features={"distance": labelled, "late": np.full((4, 4), np.nan)})
    np.testing.assert_array_equal(graph.pair_features["distance"], D)
    for matrix, says in (
        (np.zeros((3, 3)), r"pair_features\['d'\] has shape \(3, 3\) where the graph has 4"),
        (np.triu(D), "is not symmetric"),
        (np.full((4, 4), np.inf), "holds infinity"),
        ([["a"] * 4] * 4, "'a' at row 0"),
    ):
        with pytest.raises((DataError, DataTypeError), match=says):
            Graph(table(), E, pair_features={"d": matrix})
    Graph(table(), E, pair_features={"d": np.triu(D)}, directed=True)


def test_a_graph_does_not_change_and_is_copied_whole() -> None:
    graph = Graph(table(), E, pair_features={"d": E * 2.0}).with_unknown([("w", "x")])
    with pytest.raises(AttributeError, match="does not change"):
        graph.adjacency = E
    for copied in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), copy.copy(graph)):
        assert copied.node_names == graph.node_names and copied.n_unknown == 1
        assert copied.attribute("house").to_list() == graph.attribute("house").to_list()
        np.testing.assert_array_equal(copied.features, graph.features)


def test_gaps_are_refused_in_arrays_without_names_and_where_a_model_uses_them() -> None:
    with pytest.raises(DataError, match="NaN"):
        Graph([[np.nan]] * 4, E)
    graph = Graph(table(), E)
    with pytest.raises(DataError, match="the attribute 'house' of node 'y' is missing"):
        InnerProductGraph().fit([graph])
    LatentPositionGraph(1, l2=1).fit(graph)


def test_links_alone_are_refused_where_features_are_needed() -> None:
    with pytest.raises(DataError, match=r"no features.*LatentPositionGraph"):
        InnerProductGraph().fit(Graph(None, E))
    assert LatentPositionGraph(1, l2=1).fit(Graph(None, E)).positions_.shape == (4, 1)
