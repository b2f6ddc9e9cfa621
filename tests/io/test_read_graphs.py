"""Graphs from pickles, .npz, GraphML and networkx (B49 to B66)."""

import gzip
import pickle
import sys
import time

import numpy as np
import pytest

from ancestral import InnerProductGraph
from ancestral.errors import DataError, DataTypeError, FormatError, MissingExtraError
from ancestral.io import from_networkx, read_graphs
from tests.io.hostile_files import edge, graphml, node
from tests.trust.files import put

RNG = np.random.default_rng(0)


def make(n=5, m=3):
    E = np.triu(RNG.integers(0, 2, (n, n)), 1)
    return RNG.uniform(-1, 1, (n, m)), E + E.T


def same(graphs, pairs):
    assert len(graphs) == len(pairs)
    for graph, (X, E) in zip(graphs, pairs):
        np.testing.assert_array_equal(graph.features, X)
        np.testing.assert_array_equal(graph.adjacency, E)


def dump(folder, value):
    path = folder / "g.pkl"
    path.write_bytes(pickle.dumps(value))
    return path


def test_pickles_of_tuples(tmp_path):
    pairs = [make(5), make(2), make(8)]
    same(read_graphs(dump(tmp_path, pairs)), pairs)
    same(read_graphs(dump(tmp_path, [list(pair) for pair in pairs])), pairs)
    same(read_graphs(dump(tmp_path, tuple(pairs[:2]))), pairs[:2])
    same(read_graphs(dump(tmp_path, pairs[0])), pairs[:1])


def test_npz_single_stacked_numbered(tmp_path):
    path = tmp_path / "g.npz"
    pairs = [make() for _ in range(12)]
    np.savez(path, features=pairs[0][0], adjacency=pairs[0][1])
    same(read_graphs(path), pairs[:1])
    np.savez(path, features=[X for X, _ in pairs], adjacency=[E for _, E in pairs])
    same(read_graphs(path), pairs)
    named = {f"features_{i}": X for i, (X, _) in enumerate(pairs)}
    np.savez(path, **named, **{f"adjacency_{i}": E for i, (_, E) in enumerate(pairs)})
    same(read_graphs(path), pairs)
    for arrays in (
        {"features": pairs[0][0]},
        {"features_0": pairs[0][0], "adjacency_1": pairs[0][1]},
        {"X": pairs[0][0], "E": pairs[0][1]},
        {},
    ):
        np.savez(path, **arrays)
        with pytest.raises(FormatError, match="wanted"):
            read_graphs(path)


PUPILS = {
    "edges": np.array([[2, 0], [1, 3]]),
    "age": np.array([11.5, 12.0, 13.0, 12.5]),
    "place": np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 0.0], [0.0, 0.0]]),
    "house": np.array(["red", "blue", "red", "grün"]),
    "n": np.array(4),
    "na": np.array(["False"] * 4),
    "vertex.names": np.array(["1", "2", "3", "4"]),
}


def test_npz_of_edges_and_node_attributes(tmp_path):
    path = tmp_path / "g.npz"
    np.savez(path, **PUPILS)
    (graph,) = read_graphs(path, categorical=["house"])
    assert graph.feature_names == (
        "age", "place[0]", "place[1]", "house=blue", "house=grün", "house=red",
    )  # fmt: skip
    np.testing.assert_array_equal(graph.features[:, 0], PUPILS["age"])
    np.testing.assert_array_equal(graph.features[:, 5], [1, 0, 1, 0])
    assert sorted(zip(*graph.edges())) == [(0, 2), (1, 3)]
    (graph,) = read_graphs(path, attributes=["house", "age"], categorical="house")
    assert graph.feature_names == ("house=blue", "house=grün", "house=red", "age")
    np.savez(path, features=PUPILS["place"], edges=PUPILS["edges"])
    (graph,) = read_graphs(path)
    np.testing.assert_array_equal(graph.features, PUPILS["place"])
    assert graph.n_edges == 2


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({}, {"attributes": ["weight"]}, "no array 'weight'; it has edges, age, place, house"),
        ({}, {"attributes": ["n"]}, "one value per node is wanted"),
        ({"age": np.arange(5.0)}, {"categorical": ["house"]}, r"age \(5\), place \(4\)"),
        ({"edges": np.array([[0, 4]])}, {"attributes": ["age"]}, "row 0 joins 0 and 4"),
        ({"edges": np.array([[1, 1]])}, {"attributes": ["age"]}, "row 0 joins 1 and 1"),
        ({"edges": np.array([["0", "1"]])}, {"attributes": ["age"]}, "text"),
        (
            {"age": np.array([1.0, np.inf, 2.0, 3.0])},
            {"attributes": ["age"]},
            r"node 1 has 'age' = \[inf\]",
        ),
    ],
)
def test_npz_of_edges_that_are_no_graph(tmp_path, change, settings, message):
    path = tmp_path / "g.npz"
    np.savez(path, **{**PUPILS, **change})
    with pytest.raises(DataError, match=message):
        read_graphs(path, **settings)


def test_text_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "g.npz"
    beyond = np.frombuffer(np.array([0x110000, 65], np.uint32).tobytes(), "<U1")
    np.savez(path, edges=np.array([[0, 1]]), house=beyond)
    with pytest.raises(FormatError, match="'house' is no text"):
        read_graphs(path, categorical=["house"])


def test_a_school_of_pupils_in_groups(data):
    """Logistic regression on how many of race, grade and sex two pupils share (statsmodels)."""
    sm = pytest.importorskip("statsmodels.api")
    names = ["Race", "Grade", "Sex"]
    (graph,) = read_graphs(data / "graphs" / "faux_magnolia_high.npz", categorical=names)
    assert (graph.n_nodes, graph.n_edges, graph.features.shape[1]) == (1461, 974, 14)
    assert all(name.split("=")[0] in names for name in graph.feature_names)
    alike = np.rint(graph.features @ graph.features.T).astype(int)
    pairs = np.bincount(alike[np.triu_indices(1461, 1)], minlength=4)
    linked = np.bincount(alike[graph.edges()], minlength=4)
    design = np.column_stack([np.arange(4), np.ones(4)])
    rival = sm.GLM(np.column_stack([linked, pairs - linked]), design, sm.families.Binomial())
    found = rival.fit(tol=1e-14)
    model = InnerProductGraph().fit(graph)
    np.testing.assert_allclose([model.slope_, model.intercept_], found.params, rtol=1e-7)
    np.testing.assert_allclose(model.standard_errors_, found.bse, rtol=1e-5)


def test_B66_features_and_adjacency_swapped(tmp_path):
    X, E = make()
    square = (RNG.uniform(-1, 1, (5, 5)), E)
    for pairs in ([(E, X)], [(X, E), (E, X)], [square[::-1]]):
        with pytest.raises(DataError, match="swapped"):
            read_graphs(dump(tmp_path, pairs))
    read_graphs(dump(tmp_path, [square, (E.astype(float), E)]))


@pytest.mark.parametrize("kind", ["asymmetric", "valued", "nan", "rows", "list", "triple", "flat"])
def test_B49_to_B60_errors_name_the_graph(tmp_path, kind):
    X, E = make()
    bad_E, bad_X = E.astype(float), X.copy()
    bad_E[0, 1] = {"asymmetric": 1 - E[0, 1], "valued": 0.3}.get(kind, E[0, 1])
    bad_X[2, 1] = np.nan if kind == "nan" else 0
    bad = {"rows": (X[:4], E), "list": (X.tolist(), E), "triple": (X, E, E), "flat": X}
    pairs = [(X, E), (X, E), bad.get(kind, (bad_X, bad_E))]
    with pytest.raises(DataError, match="graph 2"):
        read_graphs(dump(tmp_path, pairs))


@pytest.mark.parametrize("value", [[], {}, 3, np.zeros(3), [1, 2]])
def test_other_contents(tmp_path, value):
    with pytest.raises(DataError, match=r"wanted|no graphs"):
        read_graphs(dump(tmp_path, value))


def test_the_course_classrooms_load_as_they_are(course):
    graphs = read_graphs(course / "classroom_graphs.pkl")
    assert len(graphs) == 100
    assert {g.features.shape for g in graphs} == {(15, 3)}
    assert {g.adjacency.shape for g in graphs} == {(15, 15)}
    diagonal = [int(np.trace(g.adjacency)) for g in graphs]
    assert min(diagonal) == 5 and max(diagonal) == 13


# -- GraphML and networkx ------------------------------------------------------------------------


def test_graphml_of_networkx_comes_back(tmp_path):
    networkx = pytest.importorskip("networkx")
    pytest.importorskip("defusedxml")
    graph = networkx.gnp_random_graph(12, 0.3, seed=1)
    for k in graph:
        graph.nodes[k].update(a=float(RNG.uniform()), b=int(RNG.integers(5)))
    networkx.write_graphml(graph, tmp_path / "g.graphml")
    (tmp_path / "g.graphml.gz").write_bytes(gzip.compress((tmp_path / "g.graphml").read_bytes()))
    direct = from_networkx(graph)
    np.testing.assert_array_equal(direct.adjacency, networkx.to_numpy_array(graph))
    for name in ("g.graphml", "g.graphml.gz"):
        (read,) = read_graphs(tmp_path / name)
        np.testing.assert_array_equal(read.features, direct.features)
        np.testing.assert_array_equal(read.adjacency, direct.adjacency)
    (one,) = read_graphs(tmp_path / "g.graphml", attributes=["b"])
    np.testing.assert_array_equal(one.features, direct.features[:, 1:])


def test_B64_order_is_keyed_by_id(tmp_path):
    pytest.importorskip("defusedxml")
    nodes = node("10", 0) + node("2", 1) + node("1", 2)
    (graph,) = read_graphs(put(tmp_path, "g.graphml", graphml(edge("10", "2") + nodes)))
    assert graph.features.ravel().tolist() == [0, 1, 2]
    assert graph.adjacency.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_networkx_graphs_that_are_none():
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(3)
    assert from_networkx(graph).features.shape == (3, 0)
    networkx.set_node_attributes(graph, {0: [0.1, 0.2], 1: [0.3, 0.4], 2: [0.5, 0.6]}, "v")
    assert from_networkx(graph).features.shape == (3, 2)
    graph.nodes[2]["v"] = [1.0]
    with pytest.raises(DataError, match="differ in their number"):
        from_networkx(graph)
    with pytest.raises(DataError, match="directed"):
        from_networkx(networkx.DiGraph([(0, 1)]), directed="refuse")
    multi = networkx.MultiGraph([(0, 1), (0, 1)])
    networkx.set_node_attributes(multi, 1.0, "x")
    with pytest.raises(DataError, match="more than once"):
        from_networkx(multi, multiple="refuse")
    with pytest.raises(DataTypeError, match="networkx graph is wanted"):
        from_networkx([1, 2])


def test_stacks_that_do_not_go_together_are_named(tmp_path):
    path = tmp_path / "g.npz"
    X, E = make()
    np.savez(path, features=[X, X], adjacency=E)
    with pytest.raises(DataError, match=r"stacked features \(2, 5, 3\) and adjacency \(5, 5\)"):
        read_graphs(path)
    np.savez(path, features=np.zeros((5, 0)), adjacency=E)
    with pytest.raises(DataError, match="nothing to model"):
        read_graphs(path)
    np.savez(path, features=X, adjacency=E)
    for word in ("attributes", "categorical"):
        with pytest.raises(DataError, match=f"{word}= chooses among named attributes"):
            read_graphs(path, **{word: ["x"]})


def test_graphml_takes_defaults_and_passes_over_what_it_does_not_need(tmp_path):
    pytest.importorskip("defusedxml")
    keys = (
        '<key id="d0" for="node" attr.name="x"><default>0.5</default></key>'
        '<key id="d1" for="edge" attr.name="weight"/>'
    )
    more = "<desc/>" + node("a", 2).replace("</node>", "<desc/></node>") + '<node id="b"/>'
    path = put(tmp_path, "g.graphml", graphml(more + edge("a", "b"), keys=keys))
    (graph,) = read_graphs(path)
    assert graph.features.ravel().tolist() == [2, 0.5] and graph.n_edges == 1


def test_without_defusedxml_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ancestral\[graphs\]"'):
        read_graphs(put(tmp_path, "g.graphml", graphml(node("a"))))


@pytest.mark.parametrize(
    "long",
    [
        b"<!-- " + b"<" * (2 << 20) + b" -->",
        b"<![CDATA[" + b"<" * (2 << 20) + b"]]>",
        b" " * (2 << 20),
    ],
    ids=["comment", "CDATA", "space"],
)
def test_texts_that_would_take_gigabytes_are_refused_unparsed(tmp_path, long):
    pytest.importorskip("defusedxml", reason="GraphML is an extra")
    path = tmp_path / "g.graphml"
    path.write_bytes(b"<graphml><graph>" + long + b"</graph></graphml>")
    with pytest.raises(FormatError, match=r"text or comment of more than|XML tags and"):
        read_graphs(path)


def test_texts_just_short_of_too_long_are_looked_through_once(tmp_path):
    pytest.importorskip("defusedxml", reason="GraphML is an extra")
    path = tmp_path / "g.graphml"
    path.write_bytes(b"<graphml>" + (b" " * 1_000_000 + b"<a/>") * 4)
    start = time.process_time()
    with pytest.raises(FormatError, match="malformed XML"):
        read_graphs(path)
    assert time.process_time() - start < 2  # looked through from every byte it takes an hour
