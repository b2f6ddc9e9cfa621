"""Ranked tables of dyads, and scores of those that a fit did not see."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ancestral import DyadicGraph, Graph, InnerProductGraph, datasets, scores
from ancestral.base import GraphDensity
from ancestral.errors import DataError, ModelError
from ancestral.graph.predictions import held_out

NAMES = [f"person {k}" for k in range(15)]


@pytest.fixture(scope="module")
def fitted():
    first, *others = datasets.classrooms(30, random_state=0)
    graph = Graph(first.features, first.adjacency, node_names=NAMES)
    return InnerProductGraph().fit(others), graph


def test_unknown_dyads_are_ranked_by_their_probability_and_named(fitted):
    model, graph = fitted
    hidden = graph.with_unknown([("person 3", "person 1"), (0, 7), (12, 4)])
    table = model.predict_edges(hidden)
    assert list(table.columns) == ["source", "target", "probability"]
    p = model.probabilities(graph)
    for source, target, value in table.itertuples(index=False):
        assert value == pytest.approx(p[NAMES.index(source), NAMES.index(target)])
    pairs = {frozenset(pair) for pair in zip(table.source, table.target)}
    wanted = [("person 1", "person 3"), ("person 0", "person 7"), ("person 4", "person 12")]
    assert pairs == {frozenset(pair) for pair in wanted}
    assert (np.diff(table.probability) <= 0).all()


def test_all_dyads_come_with_what_is_known_of_them(fitted):
    model, graph = fitted
    hidden = graph.with_unknown([(0, 1)])
    table = model.predict_edges(hidden, pairs="all")
    assert len(table) == graph.n_dyads == 105
    assert table.linked.sum() == hidden.n_edges and table.linked.isna().sum() == 1
    free = model.predict_edges(hidden, pairs="unlinked")
    assert len(free) == 105 - hidden.n_edges
    top = model.predict_edges(hidden, pairs="all", top=4)
    assert top.equals(table.head(4))


def test_only_some_rows_are_held_of_a_large_graph(fitted, monkeypatch):
    model, graph = fitted
    monkeypatch.setattr("ancestral.graph.edge_predictions.BLOCK", 20)
    table = model.predict_edges(graph, pairs="all")
    assert model.predict_edges(graph, pairs="all", top=9).equals(table.head(9))
    monkeypatch.setattr("ancestral.graph.edge_predictions.MAX_SAMPLE_BYTES", 1000)
    with pytest.raises(ModelError, match="Pass top=1000"):
        model.predict_edges(graph, pairs="all")


def test_what_cannot_be_predicted_is_refused(fitted):
    model, graph = fitted
    with pytest.raises(ModelError, match="every dyad of this graph is known"):
        model.predict_edges(graph)
    with pytest.raises(ModelError, match="pairs must be one of"):
        model.predict_edges(graph, pairs="some")
    with pytest.raises(DataError, match="expected one graph; got 2"):
        model.predict_edges([graph, graph])


def test_scores_of_hidden_dyads_are_scikit_learns(fitted):
    model, graph = fitted
    i, j = np.triu_indices(15, 1)
    some = np.random.default_rng(0).permutation(len(i))[:60]
    found = scores.hidden_dyads(model, graph, zip(i[some].tolist(), j[some].tolist()))
    p, linked = model.probabilities(graph)[i, j][some], graph.adjacency[i, j][some]
    assert found.auc == pytest.approx(roc_auc_score(linked, p))
    assert found.log_score == pytest.approx(-log_loss(linked, p))
    assert found.brier == pytest.approx(brier_score_loss(linked, p))
    assert (found.n_dyads, found.n_links) == (60, linked.sum())
    share = linked.mean()
    assert found.gain == pytest.approx(
        found.log_score - (share * np.log(share) + (1 - share) * np.log(1 - share))
    )
    assert "AUC" in repr(found)


def test_hidden_dyads_are_those_of_the_fits_graph(fitted):
    model, graph = fitted
    pairs = [("person 1", "person 12"), (3, 4), (4, 3)]
    by_pairs = scores.hidden_dyads(model, graph, pairs)
    assert by_pairs == scores.hidden_dyads(model, graph, graph.with_unknown(pairs))
    assert by_pairs.n_dyads == 2 and by_pairs.n_links == 1
    with pytest.raises(DataError, match="no dyad is hidden"):
        scores.hidden_dyads(model, graph, [])
    with pytest.raises(DataError, match="unknown in graph too"):
        scores.hidden_dyads(model, graph.with_unknown(pairs), pairs)
    with pytest.raises(DataError, match="other nodes"):
        scores.hidden_dyads(model, graph, Graph(None, np.zeros((3, 3))))
    with pytest.raises(ModelError, match="model must be a graph model"):
        scores.hidden_dyads(3, graph, pairs)

    class Alone(GraphDensity):
        def _checked(self, graphs): ...
        def _n_pairs_of(self, graphs): ...
        def _fit(self, graphs): ...
        def log_density(self, graphs): ...
        def sample(self, n_samples=1): ...

    with pytest.raises(
        ModelError, match=r"PredictsEdges to its bases.*_one_graph\(graph\) and _pair_prob"
    ):
        scores.hidden_dyads(Alone(), graph, pairs)


def test_dyads_alike_in_all_terms_tie():
    rng = np.random.default_rng(1)
    x = np.array([0.1, 0.2, 0.3, 0.4, 0.7, 0.8] * 3)  # 0.3 - 0.2 is not 0.2 - 0.1 to the bit
    p = 1 / (1 + np.exp(3 * abs(x[:, None] - x) - 1))
    links = np.triu(rng.random((18, 18)) < p, 1)
    graph = Graph(x[:, None], links | links.T, ["u"])
    model = DyadicGraph(["absdiff:u"]).fit(graph)
    i, j = np.triu_indices(18, 1)
    found = scores.hidden_dyads(model, graph, zip(i.tolist(), j.tolist()))
    nearness = -abs(x[i] - x[j]).round(9)
    assert found.auc == pytest.approx(roc_auc_score(links[i, j], nearness))
    assert found.auc == pytest.approx(held_out(model, [graph]).auc[0])


def test_dyads_that_nobody_observed_are_not_scored(fitted):
    model, graph = fitted
    i, j = (ends.tolist() for ends in graph.edges())
    hidden = [(i[0], j[0]), (i[1], j[1]), (2, 3), (4, 5), (0, 7)]
    survey = graph.with_unknown([(i[2], j[2])])
    found = scores.hidden_dyads(model, survey, survey.with_unknown(hidden))
    assert found == scores.hidden_dyads(model, graph, hidden)
