"""Graphs as they come to the model: forms that are taken, forms that are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import Graph, InnerProductGraph
from ancestral.errors import AncestralError, DataError, DataTypeError
from ancestral.graph.inner_product import as_graphs
from tests.graph.simulated import some_graphs

# ---- graphs as they come -------------------------------------------------------------------------


def test_graphs_may_come_in_many_forms() -> None:
    graphs = some_graphs()
    plain = InnerProductGraph().fit(graphs)
    forms = [
        [(g.features, g.adjacency) for g in graphs],
        [[g.features.tolist(), g.adjacency.tolist()] for g in graphs],
        tuple(graphs),
        tuple([g.features, g.adjacency] for g in graphs),
        (g for g in graphs),
        [(g.features.astype(">f8"), g.adjacency.astype(float)) for g in graphs],
        [(np.asfortranarray(g.features), g.adjacency) for g in graphs],
    ]
    for form in forms:
        assert InnerProductGraph().fit(form).slope_ == plain.slope_
    alone = max(graphs, key=lambda g: g.n_nodes)
    for one in (alone, (alone.features, alone.adjacency)):
        assert plain.log_density(one).shape == (1,)
        assert plain.log_density(one)[0] == plain.log_density([alone])[0]


# ---- refusals ------------------------------------------------------------------------------------

FEATURES = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
EDGES = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ([], "graphs is empty"),
        (None, "graphs must be a list of Graph .* got NoneType"),
        (3, "got int"),
        ([(FEATURES,)], "graph 0 is a tuple"),
        ([(FEATURES, None)], "graph 0: adjacency"),
        ("graphs.pkl", "graph 0 is a str"),
        (([[0.1, 0.2], [0.3], [0.5, 0.6]], EDGES), "graph 0: features is ragged"),
        ((FEATURES, [[0, 1, 0], [1, 0], [0, 0, 0]]), "graph 0: adjacency is ragged"),
    ],
)
def test_what_is_no_list_of_graphs_is_named(graphs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        InnerProductGraph().fit(graphs)


def test_a_graph_as_adjacency_is_told_how_to_give_its_matrix() -> None:
    pandas = pytest.importorskip("pandas")
    graph = Graph(None, EDGES, node_names=["ann", "bob", "cyd"])
    people = pandas.DataFrame({"age": [3.0, 1.0, 2.0]}, index=["cyd", "ann", "bob"])
    for features in (people, None):
        with pytest.raises(DataTypeError, match=r"to_dense.*frame\.loc\[list\(graph.node_names"):
            Graph(features, graph)
    mended = Graph(people.loc[list(graph.node_names or ())], graph.to_dense(unknown=np.nan))
    assert mended.node_names == graph.node_names and mended.features.ravel().tolist() == [1, 2, 3]
    assert mended.edges()[0].tolist() == [0] and mended.edges()[1].tolist() == [1]


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
