"""Graphs whose features are not asked for: forms that are taken, and those refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from ancestral import Graph
from ancestral import LatentPositionGraph as Latent
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.graph.latent.adjacencies import as_adjacencies
from tests.graph.latent.test_model import simulated

pytestmark = pytest.mark.usefixtures("loops")


def test_every_form_of_a_graph_is_the_same_graph() -> None:
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    pd = pytest.importorskip("pandas")
    _, A = simulated(40)
    looped = A + np.eye(40, dtype=int)
    forms: list[Any] = [
        A, looped, A.astype(bool), A.tolist(), pd.DataFrame(A), sparse.coo_matrix(A),
        sparse.csc_array(A), networkx.from_numpy_array(A), networkx.MultiGraph(
            networkx.from_numpy_array(A)), igraph.Graph.Adjacency(A.tolist(), mode="undirected"),
        Graph(np.ones((40, 2)), A), (np.ones((40, 2)), A), [A], [Graph(np.ones((40, 2)), A)],
        A[None], Graph(np.ones((40, 1)), looped),
    ]  # fmt: skip
    for form in forms:
        ((found,), _) = as_adjacencies(form)
        np.testing.assert_array_equal(found.toarray(), A)


def test_nodes_of_a_library_keep_their_order() -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph()
    graph.add_nodes_from(["z", "b", "a"])
    graph.add_edge("a", "z")
    np.testing.assert_array_equal(
        as_adjacencies(graph)[0][0].toarray(), [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    )


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        (np.ones((5, 3)), r"got a ndarray of shape \(5, 3\), which is no square matrix"),
        (np.triu(np.ones((4, 4)), 1), "not symmetric"),
        (2 * (1 - np.eye(3)), "entries must be 0 or 1"),
        (np.full((3, 3), np.nan), "no dyad is known"),
        ([[0, 1], [1]], "ragged"),
        ([], "empty"),
        (None, "got NoneType"),
        ("graph.npz", "got str"),
        ({"a": 1}, "got dict"),
        ([np.zeros((3, 3)), np.zeros((4, 4))], "graph 1 has 4 nodes where 3 are expected"),
        ([np.zeros((3, 3)), np.ones((3, 2))], "graph 1: .*no square matrix"),
    ],
)
def test_what_is_no_graph_is_refused(graphs: Any, message: str) -> None:
    with pytest.raises((DataError, DataTypeError), match=message):
        Latent(1).fit(graphs)


def test_directed_and_multiple_links_are_refused() -> None:
    networkx = pytest.importorskip("networkx")
    with pytest.raises(DataError, match="directed"):
        Latent(1).fit(networkx.DiGraph([(0, 1)]))
    with pytest.raises(DataError, match="node 0 and node 1 are linked more than once"):
        Latent(1).fit(networkx.MultiGraph([(0, 1), (1, 0), (1, 2)]))
    for times in (256, 257):  # 0 and 1, could counts of links overflow eight bits
        with pytest.raises(DataError, match="node 1 and node 2 are linked more than once"):
            Latent(1).fit(networkx.MultiGraph([(0, 1), *[(1, 2)] * times]))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components must be an integer, 1 or more; got 0"),
        ({"n_components": 2.0}, "n_components"),
        ({"n_components": 40}, r"below the number of nodes; got 40 with 40 nodes. Pass .*=39"),
        ({"l2": -1}, "l2 must be"),
        ({"tol": 0}, "tol must be"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_parameters_that_cannot_be_are_named(parameters: dict[str, Any], message: str) -> None:
    _, A = simulated(40)
    with pytest.raises(ModelError, match=message):
        Latent(**parameters).fit(A)


def test_dataframes_are_read_in_the_order_of_the_first() -> None:
    pd = pytest.importorskip("pandas")
    names = ["a", "b", "c", "d"]
    E = np.zeros((4, 4), int)
    E[0, 1] = E[1, 0] = E[2, 3] = E[3, 2] = 1
    first = pd.DataFrame(E, index=names, columns=names)
    other = ["c", "a", "d", "b"]
    (one, two), labels = as_adjacencies([first, first.loc[other, other]])
    assert labels == names
    assert (one != two).nnz == 0


def test_labels_that_only_count_say_nothing() -> None:
    pd = pytest.importorskip("pandas")
    E = np.zeros((3, 3), int)
    E[0, 1] = E[1, 0] = 1
    counted = pd.DataFrame(np.eye(3), index=[0, 1, 2])
    named = pd.DataFrame(E, index=list("cab"), columns=list("cab"))
    assert Graph(counted, named).adjacency[0, 1] == 1
    shuffled = pd.DataFrame(E, index=[2, 0, 1], columns=[2, 0, 1])  # by place or by number?
    with pytest.raises(DataError, match="number the nodes in different orders: 2 at 0"):
        Graph(counted, shuffled)
