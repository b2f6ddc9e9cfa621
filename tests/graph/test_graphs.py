"""Graphs as they come to the model: forms that are taken, forms that are refused by name."""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from ancestral import Graph, InnerProductGraph
from ancestral.errors import AncestralError, AncestralWarning, DataError, ModelError
from ancestral.graph.inner_product import InnerProducts, as_graphs
from tests.graph.simulated import by_pairs, some_graphs

# ---- graphs as they come -------------------------------------------------------------------------


def test_the_courses_diagonal_is_ignored_and_said_once(
    classrooms: list[Graph], caplog: pytest.LogCaptureFixture
) -> None:
    assert all(np.diag(g.adjacency).any() for g in classrooms)
    with caplog.at_level(logging.INFO, logger="ancestral"), warnings.catch_warnings():
        warnings.simplefilter("error")
        model = InnerProductGraph().fit(classrooms)
    records = [r for r in caplog.records if "diagonal" in r.message]
    assert [r.levelno for r in records] == [logging.INFO]
    assert "100 of 100 graphs have ones on the diagonal" in records[0].message
    clean = [Graph(g.features, g.adjacency * (1 - np.eye(15, dtype=int))) for g in classrooms]
    caplog.clear()
    assert InnerProductGraph().fit(clean).slope_ == model.slope_
    np.testing.assert_array_equal(model.log_density(clean), model.log_density(classrooms))
    assert [g.n_edges for g in clean] == [g.n_edges for g in classrooms]
    assert not caplog.records


def test_a_diagonal_of_other_values_is_refused() -> None:
    with pytest.raises(DataError, match=r"adjacency holds 2 at \(1, 1\)"):
        Graph([[0.1], [0.2]], [[0, 1], [1, 2]])


def test_graphs_may_come_in_many_forms() -> None:
    graphs = some_graphs()
    plain = InnerProductGraph().fit(graphs)
    pd = pytest.importorskip("pandas")
    forms = [
        [(g.features, g.adjacency) for g in graphs],
        [[g.features.tolist(), g.adjacency.tolist()] for g in graphs],
        tuple(graphs),
        (g for g in graphs),
        [(g.features, sparse.csr_matrix(g.adjacency)) for g in graphs],
        [(g.features, sparse.coo_array(g.adjacency)) for g in graphs],
        [(pd.DataFrame(g.features), pd.DataFrame(g.adjacency)) for g in graphs],
        [(g.features, g.adjacency.astype(bool)) for g in graphs],
        [(g.features.astype(">f8"), g.adjacency.astype(float)) for g in graphs],
        [(np.asfortranarray(g.features), g.adjacency) for g in graphs],
    ]
    for form in forms:
        assert InnerProductGraph().fit(form).slope_ == plain.slope_
    alone = max(graphs, key=lambda g: g.n_nodes)
    for one in (alone, (alone.features, alone.adjacency)):
        assert plain.log_density(one).shape == (1,)
        assert plain.log_density(one)[0] == plain.log_density([alone])[0]


def test_isolated_nodes_and_differing_sizes_are_ordinary() -> None:
    graphs = some_graphs()
    assert len({g.n_nodes for g in graphs}) > 2
    lonely = Graph(np.vstack([graphs[0].features, [[0.5, 0.5, 0.5]]]),
                   np.pad(graphs[0].adjacency, (0, 1)))  # fmt: skip
    model = InnerProductGraph().fit([lonely, *graphs[1:]])
    s, e = by_pairs([lonely, *graphs[1:]])
    assert model.n_pairs_ == len(s) == len(e)


def test_graphs_of_one_node_have_no_pair_and_are_said_to() -> None:
    graphs = some_graphs()
    single = Graph([[0.1, 0.2, 0.3]], [[0]])
    with pytest.warns(AncestralWarning, match="2 of 14 graphs have a single node") as caught:
        model = InnerProductGraph().fit([*graphs, single, single])
    assert len(caught) == 1
    assert model.slope_ == InnerProductGraph().fit(graphs).slope_
    assert model.log_density(single)[0] == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ModelError, match="no pairs of nodes"):
            InnerProductGraph().fit([single])
    with pytest.raises(DataError, match=r"graph 1: features have no rows"):
        InnerProductGraph().fit([graphs[0], (np.zeros((0, 3)), np.zeros((0, 0)))])


@pytest.mark.parametrize("size", [3.0, 1e6])
def test_features_beyond_one_are_fitted_and_said_to_be(size: float) -> None:
    graphs = some_graphs()
    plain = InnerProductGraph().fit(graphs)
    largest = max(np.abs(g.features).max() for g in graphs)
    scaled = [Graph(g.features * size / largest, g.adjacency) for g in graphs]
    with pytest.warns(AncestralWarning, match=re.escape(f"reach {size:g} in size")) as caught:
        model = InnerProductGraph().fit(scaled)
    assert len(caught) == 1
    assert model.slope_ * (size / largest) ** 2 == pytest.approx(plain.slope_, rel=1e-9)
    assert model.intercept_ == pytest.approx(plain.intercept_, rel=1e-9)


def test_whole_numbers_are_multiplied_as_float64() -> None:
    X = np.full((2, 1), 2**20, dtype=np.int32)
    graph = Graph(X, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(InnerProducts.of([graph]).edges, [2.0**40])


# ---- refusals ------------------------------------------------------------------------------------

FEATURES = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
EDGES = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def edges_with(value: Any, *, mirrored: bool = True) -> list[list[Any]]:
    rows: list[list[Any]] = [[0, 1, value], [1, 0, 0], [value if mirrored else 0, 0, 0]]
    return rows


BAD_GRAPHS = [
    (FEATURES, edges_with(1, mirrored=False), r"not symmetric: \(0, 2\) is 1, \(2, 0\) is 0"),
    (FEATURES, edges_with(0.3), r"adjacency holds 0.3 at \(0, 2\); entries must be 0 or 1"),
    (FEATURES, edges_with(2), r"adjacency holds 2 at \(0, 2\)"),
    (FEATURES, edges_with(-1), r"adjacency holds -1 at \(0, 2\)"),
    (FEATURES, edges_with(float("nan")), r"adjacency holds nan at \(0, 2\)"),
    (FEATURES, [[0, 1], [1, 0]], r"3 rows, so adjacency must have shape \(3, 3\); got \(2, 2\)"),
    (FEATURES[:2], EDGES, r"2 rows, so adjacency must have shape \(2, 2\); got \(3, 3\)"),
    (FEATURES, [0, 1, 0], r"adjacency must have 2 dimensions; got shape \(3,\)"),
    ([0.1, 0.2, 0.3], EDGES, r"features must have 2 dimensions; got shape \(3,\)"),
    ([[0.1], [np.nan], [0.2]], EDGES, "features holds NaN at row 1, column 0"),
    ([[0.1], [0.3], [-np.inf]], EDGES, "features holds -inf at row 2, column 0"),
    ([["a"], ["b"], ["c"]], EDGES, "features holds 'a' at row 0, column 0"),
    ([[0.1], [0.2, 0.3], [0.4]], EDGES, "features is ragged"),
    (FEATURES, [["no", "yes", "no"]] * 3, "adjacency holds 'no' at row 0, column 0"),
    (EDGES, FEATURES, r"looks like \(adjacency, features\)|swapped"),
    (np.zeros((3, 2), complex), EDGES, "features holds complex128 values"),
]


@pytest.mark.parametrize(("X", "E", "message"), BAD_GRAPHS)
def test_bad_graphs_are_named_with_their_place(X: Any, E: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Graph(X, E)
    with pytest.raises(DataError, match=rf"graph 1.*({message})"):
        InnerProductGraph().fit([(FEATURES, EDGES), (X, E)])


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ([], "graphs is empty"),
        (None, "graphs must be a list of Graph .* got NoneType"),
        (3, "got int"),
        ([np.eye(3)], "graph 0 is a ndarray"),
        ([(FEATURES,)], "graph 0 is a tuple"),
        ([(FEATURES, EDGES), ([[0.1]] * 3, EDGES)], "graph 1 has 1 features .* where 2"),
        ([(FEATURES, None)], "graph 0: adjacency"),
        ("graphs.pkl", "graph 0 is a str"),
    ],
)
def test_what_is_no_list_of_graphs_is_named(graphs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        InnerProductGraph().fit(graphs)


def test_a_networkx_graph_is_named() -> None:
    nx = pytest.importorskip("networkx")
    with pytest.raises(DataError, match=r"graph 0 is a networkx Graph; give a Graph"):
        InnerProductGraph().fit([nx.path_graph(3)])
    with pytest.raises(DataError, match=r"graph 0 is a networkx DiGraph; .*io.from_networkx"):
        InnerProductGraph().fit(nx.DiGraph([(0, 1)]))
    with pytest.raises(DataError, match=r"graph 0: adjacency is a networkx graph"):
        InnerProductGraph().fit([(FEATURES, nx.path_graph(3))])


def test_another_width_at_scoring_is_refused(fitted: InnerProductGraph) -> None:
    with pytest.raises(DataError, match="graph 0 has 2 features per node where 3 are expected"):
        fitted.log_density([(FEATURES, EDGES)])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lbfgs"}, 'solver must be "newton" or "gradient_ascent"; got \'lbfgs\''),
        ({"solver": None}, "solver must be"),
        ({"max_iter": 0}, "max_iter must be an integer, 1 or more"),
        ({"max_iter": 2.0}, "max_iter"),
        ({"solver": "gradient_ascent", "tol": 0.0}, "tol must be a number, above 0"),
        ({"solver": "gradient_ascent", "tol": np.nan}, "tol must be a number"),
        ({"solver": "gradient_ascent", "random_state": -1}, "random_state must be 0 or more"),
        ({"solver": "gradient_ascent", "random_state": "a"}, "random_state must be"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(AncestralError, match=message):
        InnerProductGraph(**parameters).fit(some_graphs())


def test_as_graphs_leaves_graphs_as_they_are() -> None:
    graphs = some_graphs(3)
    assert all(a is b for a, b in zip(as_graphs(graphs), graphs, strict=True))
