"""Graphs in parts: many graphs, some at a time, give the model of all at once."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone

from ancestral import DyadicGraph, Graph, InnerProductGraph, datasets
from ancestral.errors import DataError, ModelError
from ancestral.graph import link_blocks, link_sums, looks
from ancestral.graph.link_blocks import LinkBlock
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

    def __iter__(self) -> Any:
        return map(self.make, self.of)


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


def assert_same(one: Any, two: Any, rtol: float = 1e-12, errors: float | None = None) -> None:
    for name in ("coef_", "slope_", "intercept_", "log_likelihood_"):
        if hasattr(one, name):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=rtol)
    np.testing.assert_allclose(one.standard_errors_, two.standard_errors_, rtol=errors or rtol)
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


# ---- one graph whose links are in parts -------------------------------------------------------


def blocks_of(graph: Graph, n_parts: int, seed: int = 0) -> list[LinkBlock]:
    """Return a graph's links in parts, in any order and written either way."""
    rng = np.random.default_rng(seed)
    i, j = graph.edges()
    order = rng.permutation(len(i))
    i, j = i[order], j[order]
    if not graph.directed:
        turned = rng.random(len(i)) < 0.5
        i, j = np.where(turned, j, i), np.where(turned, i, j)
    bare = graph.replaced(adjacency=sparse.csr_array(graph.adjacency.shape, dtype=np.int8))
    cuts = np.sort(rng.integers(0, len(i), n_parts - 1))
    return [
        LinkBlock(bare, a, b, start, "links.parquet")
        for a, b, start in zip(np.split(i, cuts), np.split(j, cuts), [0, *cuts], strict=True)
    ]


def town(n: int, seed: int = 0, *, directed: bool = False, whole: bool = False) -> Graph:
    """A graph of people of a house and an age."""
    rng = np.random.default_rng(seed)
    house = rng.choice(["a", "b", "c"], n)
    age = rng.integers(20, 60, n) * 1.0 if whole else rng.normal(40, 10, n)
    eta = -3.5 + (house[:, None] == house) - 0.1 * np.abs(age[:, None] - age) + age / 20 * directed
    E = rng.random((n, n)) < expit(eta)
    np.fill_diagonal(E, 0)
    E = E if directed else np.triu(E) | np.triu(E).T
    return Graph(pd.DataFrame({"house": house, "age": age}), sparse.csr_array(E), directed=directed)


@pytest.mark.parametrize("most", [1 << 22, 3_000])
@pytest.mark.parametrize("n", [300, 2_100])
@pytest.mark.parametrize("kind", ["plain", "directed", "whole"])
def test_terms_of_one_graph_by_blocks(monkeypatch: Any, most: int, n: int, kind: str) -> None:
    graph = town(n, directed=kind == "directed", whole=kind == "whole")
    terms = ["match:house", "absdiff:age", *["receiver:age"] * (kind == "directed")]
    monkeypatch.setattr(link_blocks, "MOST_LINKS", most if n > 300 else most // 20)
    whole = DyadicGraph(terms).fit(graph)
    found, parts = fitted(DyadicGraph(terms), blocks_of(graph, 7))
    assert_same(found, whole, rtol=1e-10, errors=4e-9)  # a last short step is not looked at again
    assert (found.n_edges_, found.directed_) == (whole.n_edges_, whole.directed_)
    assert (parts.looks == 1) == (most > 3_000)


@pytest.mark.parametrize("most", [1_000, 1 << 22])
@pytest.mark.parametrize("kind", ["plain", "directed"])
def test_parts_share_the_dyads_of_one_graph(monkeypatch: Any, kind: str, most: int) -> None:
    graph = town(900, directed=kind == "directed")
    terms = ["match:house", "absdiff:age", *["receiver:age"] * (kind == "directed")]
    whole = DyadicGraph(terms).fit(graph)
    monkeypatch.setattr(link_blocks, "MOST_LINKS", most)
    monkeypatch.setattr(link_sums, "DEAR", 1_000)
    monkeypatch.setattr(link_sums, "SHARED", 1)
    for some in (50_000, 5_000):  # with and without a start from some of them
        monkeypatch.setattr(sums_module, "SOME", some)
        found, parts = fitted(DyadicGraph(terms), blocks_of(graph, 7))
        assert_same(found, whole, rtol=1e-10, errors=4e-9)
        assert parts.looks > 6


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("offset", [None, "log_nodes"])
@pytest.mark.parametrize("steep", [False, True])
def test_slope_of_one_graph_by_blocks(
    monkeypatch: Any, width: int, offset: str | None, *, steep: bool
) -> None:
    rng = np.random.default_rng(width)
    X = rng.uniform(-1, 1, (1_500, width))
    a, b = (3e3, -4e2) if steep else (3.0, -4.0)
    E = np.triu(rng.random((1_500, 1_500)) < expit(a * (X @ X.T) + b), 1)
    graph = Graph(X, sparse.csr_array(E | E.T))
    monkeypatch.setattr(link_blocks, "MOST_LINKS", 5_000)
    model = InnerProductGraph(offset=offset)
    whole = clone(model).fit(graph)
    found, parts = fitted(model, blocks_of(graph, 5))
    assert parts.looks > 2
    if not steep:
        assert_same(found, whole, rtol=1e-10)
        return
    # sums of either are right to 1e-8
    off = np.array([found.slope_ - whole.slope_, found.intercept_ - whole.intercept_])
    assert (abs(off) < 1e-4 * whole.standard_errors_).all()
    assert found.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-7)


def test_slope_of_categories_and_of_compressed_nodes_by_blocks(monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(link_blocks, "MOST_LINKS", 5_000)
    kinds = rng.integers(0, 3, (1_500, 2)) * 1.0
    E = np.triu(rng.random((1_500, 1_500)) < expit(kinds @ kinds.T - 5), 1)
    graph = Graph(kinds, E | E.T)
    found, _ = fitted(InnerProductGraph(), blocks_of(graph, 5))
    assert_same(found, InnerProductGraph().fit(graph), rtol=1e-10)
    X = rng.uniform(-1, 1, (4_000, 1))
    E = np.triu(rng.random((4_000, 4_000)) < expit(3 * X @ X.T - 5), 1)
    graph = Graph(X, sparse.csr_array(E | E.T))
    model = InnerProductGraph(pairs="compressed")
    found, _ = fitted(model, blocks_of(graph, 5))
    whole = InnerProductGraph(pairs="visited").fit(graph)
    off = abs(np.array([found.slope_ - whole.slope_, found.intercept_ - whole.intercept_]))
    assert (off < 0.01 * whole.standard_errors_).all()
    assert found.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-8)


@pytest.mark.parametrize("most", [1 << 22, 500])
def test_links_that_stand_twice_are_named_with_part_and_row(monkeypatch: Any, most: int) -> None:
    monkeypatch.setattr(link_blocks, "MOST_LINKS", most)
    graph = town(200)
    blocks = blocks_of(graph, 4)
    one, two = blocks[0], blocks[2]
    again = replace(two, i=np.append(two.i, one.j[3]), j=np.append(two.j, one.i[3]))
    with pytest.raises(DataError, match=r"occurs at row \d+ .* of part 2, and again at row 3 .*"):
        fitted(DyadicGraph(["match:house"]), [one, blocks[1], again, blocks[3]])
    within = replace(two, i=np.append(two.i, two.j[3]), j=np.append(two.j, two.i[3]))
    with pytest.raises(DataError, match=rf"occurs at row {len(two.i)}, and again at row 3:"):
        fitted(DyadicGraph(["match:house"]), [within])
    loop = replace(two, i=np.append(two.i, 5), j=np.append(two.j, 5))
    with pytest.raises(DataError, match=f"link at row {len(two.i)} leads from node 5 to itself"):
        fitted(DyadicGraph(["match:house"]), [loop])


def test_other_parts_than_links_of_one_graph_are_refused(monkeypatch: Any) -> None:
    blocks = blocks_of(town(100), 3)
    for model in (DyadicGraph(["match:house"]), InnerProductGraph()):
        with pytest.raises(DataError, match="some parts are graphs and others have links of one"):
            fitted(model, [*blocks, [town(100)]])
        with pytest.raises(DataError, match="some parts are graphs and others have links of one"):
            fitted(model, [[town(100)], *blocks])
        with pytest.raises(DataError, match="of 100 nodes and another of 90"):
            fitted(model, [*blocks, *blocks_of(town(90), 2)])
        once, _ = fitted(model, blocks, again=False)
        assert_same(once, clone(model).fit(town(100)))
        monkeypatch.setattr(link_blocks, "MOST_LINKS", 10)
        with pytest.raises(DataError, match="can be read only once"):
            fitted(model, blocks, again=False)
        monkeypatch.undo()
    with pytest.raises(DataError, match="directed"):
        fitted(InnerProductGraph(), blocks_of(town(100, directed=True), 2))


def test_separated_links_of_blocks_are_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(link_blocks, "MOST_LINKS", 100)
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (300, 2))
    E = X @ X.T > 0.5
    np.fill_diagonal(E, 0)
    graph = Graph(X, E, ["x", "y"])
    for model in (InnerProductGraph(), DyadicGraph(["inner_product"])):
        with pytest.raises(ModelError, match=r"links are separated.*\+inf"):
            fitted(model, blocks_of(graph, 4))
