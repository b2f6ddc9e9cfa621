"""Graphs in parts: many graphs, some at a time, give the model of all at once."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from ancestral import DyadicGraph, Graph, InnerProductGraph, datasets
from ancestral.errors import DataError, ModelError
from ancestral.graph import looks
from ancestral.graph.looks import Gathered, InParts
from ancestral.graph.pairs import dyad_sums as sums_module
from ancestral.training.parts import Held, Part, Parts

TERMS = ["match:house", "absdiff:age", "product:age"]


class Sent(Held[Any]):
    """Parts elsewhere: each look and what it gives is pickled, and what is made of them is anew."""

    looks = 0

    def total(self, look: Any) -> Any:
        self.looks += 1
        sent = pickle.loads(pickle.dumps(look))
        return super().total(lambda part: pickle.loads(pickle.dumps(sent(part))))

    def prepared(self, make: Any) -> Parts[Any]:
        return Made(self, make)


class Made(Sent):
    def __init__(self, of: Sent, make: Any) -> None:
        self.of, self.make = of, make

    def total(self, look: Any) -> Any:
        return self.of.total(_Of(self.make, look))


class _Of:
    def __init__(self, make: Any, look: Any) -> None:
        self.make, self.look = make, look

    def __call__(self, part: Any) -> Any:
        return self.look(self.make(part))


def fitted(model: Any, chunks: Sequence[Any], *, again: bool = True) -> tuple[Any, Sent]:
    """Return the model fitted to chunks that stand elsewhere, and how they were looked at."""
    made: list[Sent] = []

    def parts_of(new: Any) -> Sent:
        checked = [new._check_part(c, None, reset=k == 0) for k, c in enumerate(chunks)]
        made.append(Sent([Part(data, new, k, None) for k, data in enumerate(checked)]))
        made[0].again = again
        return made[0]

    return clone(model)._fit_from(parts_of), made[0]


def cut(graphs: Sequence[Graph], *places: int) -> list[Sequence[Graph]]:
    ends = [0, *places, len(graphs)]
    return [graphs[a:b] for a, b in pairwise(ends)]


def assert_same(one: Any, two: Any, rtol: float = 1e-12) -> None:
    for name in ("coef_", "slope_", "intercept_", "standard_errors_", "log_likelihood_"):
        if hasattr(one, name):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=rtol)
    assert one.n_pairs_ == two.n_pairs_
    for name in ("feature_rows_", "feature_counts_", "node_counts_"):
        if hasattr(one, name):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def families(n_graphs: int, seed: int = 0, *, whole: bool = True, n: int = 14) -> list[Graph]:
    """Graphs of people of a house and an age, of few kinds where ages are whole."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n_graphs):
        house = rng.choice(["a", "b", "c"], n)
        age = rng.integers(20, 30, n) * 1.0 if whole else rng.normal(25, 3, n)
        eta = -0.5 + (house[:, None] == house) - 0.3 * np.abs(age[:, None] - age)
        E = np.triu(rng.random((n, n)) < expit(eta), 1)
        frame = pd.DataFrame({"house": house, "age": age})
        A = (E | E.T).astype(float)
        i, j = np.triu_indices(n, 1)
        hidden = rng.random(len(i)) < 0.05
        A[i[hidden], j[hidden]] = A[j[hidden], i[hidden]] = np.nan
        made.append(Graph(frame, A))
    return made


# ---- the model of all ------------------------------------------------------------------------


@pytest.mark.parametrize(("n_graphs", "n_nodes"), [(40, 15), (40, 300), (1500, 40)])
def test_graphs_in_parts_give_the_slope_of_all(n_graphs: int, n_nodes: int) -> None:
    graphs = datasets.classrooms(n_graphs, n_nodes=n_nodes, random_state=1)
    whole = InnerProductGraph().fit(graphs)
    for places in ((), (1, 2, n_graphs // 2, n_graphs - 1)):
        assert_same(fitted(InnerProductGraph(), cut(graphs, *places))[0], whole)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("held", [None, (1_000, 10)])
def test_dyads_in_parts_give_the_coefficients_of_all(
    monkeypatch: Any, held: Any, *, whole: bool
) -> None:
    graphs = families(60, whole=whole)
    model = DyadicGraph(TERMS).fit(graphs)
    if held is not None:
        monkeypatch.setattr(looks, "HELD", held)
    for places in ((), (1, 2, 30, 31, 59)):
        found, parts = fitted(DyadicGraph(TERMS), cut(graphs, *places))
        assert_same(found, model)
        assert (parts.looks == 1) == (held is None)
        assert list(found.feature_names_in_) == ["house", "age"]


def test_a_start_comes_of_some_dyads_of_every_part(monkeypatch: Any) -> None:
    graphs = families(40, whole=False, n=40)
    model = DyadicGraph(TERMS).fit(graphs)
    monkeypatch.setattr(looks, "HELD", (1_000, 10))
    _, parts = fitted(DyadicGraph(TERMS), cut(graphs, 10, 20))
    monkeypatch.setattr(sums_module, "SOME", 2_000)
    found, fewer = fitted(DyadicGraph(TERMS), cut(graphs, 10, 20))
    assert_same(found, model, rtol=1e-10)
    assert fewer.looks < parts.looks + 2  # the start costs looks, and saves as many


def test_few_kinds_of_dyads_take_no_more_memory_with_more_graphs() -> None:
    sizes = []
    for n_graphs in (50, 200):
        chunks = cut(families(n_graphs), *range(10, n_graphs, 10))
        total = None
        for graphs in chunks:
            model = DyadicGraph(TERMS)
            (checked,) = model._check_part(graphs, None, reset=True)
            sums = model._statistics(checked)
            total = sums if total is None else total + sums
        assert (
            total is not None
            and total.holds_all
            and total.n_pairs == sum(graph.n_pairs for graphs in chunks for graph in graphs)
        )
        sizes.append(sum(pile.n_bytes for pile in total.piles))
        assert sum(part.n_dyads for part in total.parts) == total.n_pairs
    assert sizes[1] < 1.6 * sizes[0] < 20_000  # of 18,000 dyads, as many bytes


def test_what_is_refused_of_all_is_refused_of_parts(monkeypatch: Any) -> None:
    graphs = families(12)
    for held in (looks.HELD, (100, 1)):
        monkeypatch.setattr(looks, "HELD", held)
        with pytest.raises(ModelError, match="linearly dependent"):
            fitted(DyadicGraph(["sum:age", "sum:house=a", "sum:house=b", "sum:house=c"]),
                   cut(graphs, 5))  # fmt: skip
        close = [
            Graph(g.numbers[:, 1:], (np.abs(g.numbers[:, 1:] - g.numbers[:, 1]) < 3), ["age"])
            for g in graphs
        ]
        with pytest.raises(ModelError, match="separated from the other dyads by the term"):
            fitted(DyadicGraph(["absdiff:age"]), cut(close, 5))
    arcs = [graphs[0], Graph(graphs[0].numbers, np.triu(np.ones((14, 14))), directed=True)]
    with pytest.raises(DataError, match="directed"):
        fitted(
            DyadicGraph(["match:1"]), [[Graph(graphs[0].numbers, graphs[0].adjacency)], arcs[1:]]
        )


# ---- sums that hold near some estimates only --------------------------------------------------


def test_steep_slopes_are_gathered_anew_of_the_parts() -> None:
    rng = np.random.default_rng(0)
    graphs = []
    for _ in range(3):
        X = rng.uniform(-1, 1, (200, 2))
        s = X @ X.T
        E = np.triu(rng.random(s.shape) < expit(5e3 * (s - 0.5)), 1)
        graphs.append(Graph(X, E | E.T))
    model = InnerProductGraph(pairs="visited")
    whole = clone(model).fit(graphs)
    found, parts = fitted(model, cut(graphs, 1, 2))
    assert_same(found, whole, rtol=1e-7)
    assert parts.looks > 1
    once, parts = fitted(model, cut(graphs, 1, 2), again=False)
    assert_same(once, whole, rtol=1e-7)
    assert parts.looks == 1  # their graphs are kept, as these are not large


def test_looks_carry_no_data() -> None:
    graphs = datasets.classrooms(30, n_nodes=20, random_state=0)
    for look in (looks._pairs_of, Gathered((1.0, 2.0)), looks._few_of):
        assert len(pickle.dumps(look)) < 500
    part = Part((graphs,), InnerProductGraph().fit(graphs), 0, None)
    assert looks._pairs_of(part).source is None
    assert InParts(Held([part])) + None is None
