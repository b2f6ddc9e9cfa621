"""Getting it right: two ways of drawing from one joint distribution must agree.

The *marginal-conditional* simulator draws all at once: parents, then children. The *successive-
conditional* simulator starts there and then draws parts again and again, each given the rest. If
every sampler and every conditional is right, the second leaves the joint as it was; a mistake in
either moves it. (Chains run side by side, one for each start, so that they are independent.)

Means of test functions under both are compared by Hotelling's T^2 in large samples: chi-square. A
right pair fails by chance once in 10,000 seeds (`FALSE_ALARM`); the seeds are fixed. Each test must
also see a sampler whose standard deviation, or a probability of whose, is 5% off, be it the one
that draws all at once or the one that draws given the rest.

Geweke (2004), Getting it right: joint distribution tests of posterior simulators, JASA 99, 799-804.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ancestral import PPCA, Graph, InnerProductGraph, LinearGaussian, TabularAutoregressive
from ancestral.autoregressive import smc
from ancestral.graph.edges.sampling import sample_edges
from tests.zoo import ZOO

Array = np.ndarray
Note = Callable[[str, str], None]
Test = Callable[[str | None], float]  # of a deliberate mistake's name; gives a p-value
Draw = Callable[[Any, int, np.random.Generator], Array]
FALSE_ALARM = 1e-4
ENTRY = {entry.name: entry for entry in ZOO}


def p_value(a: Array, b: Array) -> float:
    """Return the p-value of equal means of test functions, shapes (n, k) and (m, k)."""
    gap = a.mean(axis=0) - b.mean(axis=0)
    spread = np.cov(a.T) / len(a) + np.cov(b.T) / len(b)
    values, V = np.linalg.eigh(np.atleast_2d(spread))
    kept = values > 1e-9 * values[-1]  # cells of a table sum to one
    along = (gap @ V)[kept]
    return float(stats.chi2(kept.sum()).sf((along**2 / values[kept]).sum()))


# ---- deliberate mistakes -------------------------------------------------------------------------


def tilted(model: Any) -> Any:
    """Return the model with every variable's last level 5% likelier than it says."""
    other = copy.copy(model)

    def step(state: Any, previous: Any) -> tuple[Any, Array]:
        state, log_p = model.step(state, previous)
        p = np.exp(log_p)
        p[:, -1] *= 1.05
        with np.errstate(divide="ignore"):
            return state, np.log(p / p.sum(axis=1, keepdims=True))

    other.step = step
    other._listed = lambda: None  # what is listed was not tilted
    return other


class Noisier(np.random.Generator):
    """A generator whose normal numbers are 5% too wide."""

    def standard_normal(self, *args: Any, **kwargs: Any) -> Any:
        return 1.05 * super().standard_normal(*args, **kwargs)

    def normal(self, *args: Any, **kwargs: Any) -> Any:
        return 1.05 * super().normal(*args, **kwargs)


def generator(seed: int, *, noisier: bool) -> np.random.Generator:
    return (Noisier if noisier else np.random.Generator)(np.random.PCG64(seed))


# ---- discrete rows: variables given one another --------------------------------------------------


def cells(X: Array, space: Array) -> Array:
    """Return which row of the space each row of X is; levels count from 0."""
    return np.ravel_multi_index(tuple(X.T), tuple(space.max(axis=0) + 1))


def again_given(model: Any, X: Array, rng: np.random.Generator, **how: Any) -> Array:
    """Return rows drawn anew given one variable, for each variable in turn."""
    X = X.copy()
    for j in range(X.shape[1]):
        for value in np.unique(X[:, j]):
            rows = np.flatnonzero(X[:, j] == value)
            given = np.full(X.shape[1], np.nan, dtype=object)
            given[j] = value
            X[rows] = model.sample(len(rows), given=given, random_state=rng, **how)
    return X


def again_by_density(p: Array, space: Array, cell: Array, rng: np.random.Generator) -> Array:
    """Return cells after each variable was drawn anew given all others, from cells' p."""
    for j in range(space.shape[1]):
        rest = np.delete(space, j, axis=1)
        conditional = (rest[:, None] == rest[None]).all(axis=2) * p  # (n, n)
        conditional /= conditional.sum(axis=1, keepdims=True)
        counts = rng.multinomial(np.bincount(cell, minlength=len(space)), conditional)
        cell = np.repeat(np.arange(len(space)), counts.sum(axis=0))
    return cell


def p_of_cells(a: Array, b: Array) -> float:
    """Return the p-value of two tables of counts of the same cells, each with draws enough."""
    counts = np.stack([np.bincount(cell, minlength=max(a.max(), b.max()) + 1) for cell in (a, b)])
    order = np.argsort(counts.sum(axis=0))
    few = order[: np.searchsorted(np.cumsum(counts.sum(axis=0)[order]), 50)]
    pooled = np.column_stack([np.delete(counts, few, axis=1), counts[:, few].sum(axis=1)])
    return float(stats.chi2_contingency(pooled[:, pooled.any(axis=0)], correction=False).pvalue)


def discrete(name: str, draw: Draw, **how: Any) -> Test:
    """Return the test of a model whose conditionals are drawn by `given`."""

    def test(mistake: str | None) -> float:
        model, space = fitted(name)
        rng = np.random.default_rng(1)
        joint = tilted(model) if mistake == "joint" else model
        rest = tilted(model) if mistake == "conditional" else model
        first, start = (draw(joint, 200_000, rng) for _ in range(2))
        end = again_given(rest, start, rng, **how)
        return p_of_cells(cells(first, space), cells(end, space))

    return test


def rows(model: Any, n: int, rng: np.random.Generator) -> Array:
    return model.sample(n, random_state=rng)


def counted(model: Any, n: int, rng: np.random.Generator) -> Array:
    return np.repeat(*model.sample_counts(n, random_state=rng), axis=0)


@cache
def fitted(name: str) -> tuple[Any, Array]:
    entry = ENTRY[name]
    return entry.fit(), np.asarray(entry.space)


def mixture(mistake: str | None) -> float:
    """Return the p-value of a mixture of orders, whose conditionals are those of its density."""
    model, space = fitted("mixture of orders")
    rng = np.random.default_rng(2)
    joint = copy.copy(model)
    if mistake == "joint":
        joint.members_ = [tilted(member) for member in model.members_]
    first, start = (cells(rows(joint, 600_000, rng), space) for _ in range(2))
    p = np.exp(model.log_density(space))
    if mistake == "conditional":
        p = p * np.where(space[:, -1] == space[:, -1].max(), 1.05, 1.0)
    return p_of_cells(first, again_by_density(p, space, start, rng))


def thinned(mistake: str | None) -> float:
    """Return the p-value of particles, 16 to a run where 128 completions are possible.

    Their weights estimate p(known, completion) without bias, however few they are; the joint
    simulator's estimate is how often its draws have the known value, and what else they have.
    """
    rng = np.random.default_rng(3)
    bits = rng.random((300, 8)) < np.where(rng.random((300, 1)) < 0.5, 0.65, 0.35)
    model = TabularAutoregressive(smoothing=1.0).fit(bits.astype(int))
    model._forgotten = lambda state: None  # as a network, no prefix of which is like another
    joint = tilted(model) if mistake == "joint" else model
    rest = tilted(model) if mistake == "conditional" else model
    X = joint.sample(200_000, random_state=rng)
    known = np.array([[-1, -1, -1, -1, -1, -1, -1, 1]])
    ahead, estimates = smc.Lookahead(rest, rng), []
    for _ in range(100):
        found = smc.run(rest, known, 16, rng, ahead)
        assert found.standard_errors > 0  # some were thinned out
        weights = np.exp(found.walk.log_p) / smc.N_RUNS
        estimates.append(weights @ of_bits(found.walk.rows()))
    return p_value(of_bits(X) * X[:, -1:], np.array(estimates))


def of_bits(X: Array) -> Array:
    """Return one, each bit but the last, and each neighbours' product."""
    return np.hstack([np.ones((len(X), 1)), X[:, :-1], X[:, 1:-1] * X[:, :-2]])


# ---- PPCA: some entries given others -------------------------------------------------------------


@cache
def ppca() -> PPCA:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 16)) + rng.normal(size=(100, 16))
    return PPCA(2).fit(X + np.arange(16.0))


def of_rows(X: Array) -> Array:
    """Return the entries in the model's own units, the sum of their squares, and a product."""
    y = (X - ppca().mean_) @ np.linalg.cholesky(ppca().get_precision())
    return np.hstack([y, np.column_stack([(y**2).sum(axis=1), (y[:, 1:] * y[:, :-1]).sum(axis=1)])])


def completed(X: Array, rng: np.random.Generator) -> Array:
    """Return all rows' entries drawn anew given others, by impute_draws."""
    for part in range(4):
        unknown = np.arange(16) % 4 != part  # a quarter is known
        X = ppca().impute_draws(np.where(unknown, np.nan, X), 1, random_state=rng)[0]
    return X


def conditioned(X: Array, rng: np.random.Generator) -> Array:
    """Return the same by sample(given=...), which takes one row."""
    known = np.where(np.arange(16) % 4 == 0, X, np.nan)
    return np.concatenate([ppca().sample(1, given=row, random_state=rng) for row in known])


def latent(again: Callable[[Array, np.random.Generator], Array], n: int) -> Test:
    def test(mistake: str | None) -> float:
        joint = generator(6, noisier=mistake == "joint")
        first, start = (ppca().sample(n, random_state=joint) for _ in range(2))
        end = again(start, generator(7, noisier=mistake == "conditional"))
        return p_value(of_rows(first), of_rows(end))

    return test


# ---- y given x, and x given y --------------------------------------------------------------------


def two_lines(mistake: str | None) -> float:
    """Return the p-value of x and y drawn by turns, by a line and the line of x given y."""
    a, b, variance = 0.8, 0.3, 0.5
    total = a**2 + variance  # of y, for x ~ N(0, 1)
    forth = line_of(a, b, variance)
    back = line_of(a / total, -a * b / total, variance / total)
    joint = generator(8, noisier=mistake == "joint")
    rest = generator(9, noisier=mistake == "conditional")
    right = np.random.default_rng(10)

    def pairs() -> tuple[Array, Array]:
        x = right.normal(size=60_000)
        return x, forth.sample(x[:, None], random_state=joint)

    first, (x, y) = pairs(), pairs()
    for _ in range(3):
        x = back.sample(y[:, None], random_state=rest)
        y = forth.sample(x[:, None], random_state=rest)
    return p_value(*(np.column_stack([x, y, x**2, x * y, y**2]) for x, y in (first, (x, y))))


def line_of(slope: float, intercept: float, variance: float) -> LinearGaussian:
    """Return a line with these parameters: fitted to points that have them."""
    x = np.array([-1.0, -1.0, 1.0, 1.0])
    e = np.sqrt(variance) * np.array([1.0, -1.0, 1.0, -1.0])
    return LinearGaussian().fit(x[:, None], slope * x + intercept + e)


def pairs_by_density(name: str) -> Test:
    """Return the test of y given x, with x given y by the log density over a few x."""

    def test(mistake: str | None) -> float:
        entry = ENTRY[name]
        model, places = entry.fit(), 0.3 * entry.data[0][:3]
        joint = generator(11, noisier=mistake == "joint")
        rest = generator(12, noisier=mistake == "conditional")
        right = np.random.default_rng(13)

        def pairs() -> tuple[Array, Array]:
            k = right.integers(0, 3, size=60_000)
            return k, model.sample(places[k], random_state=joint)

        first, (k, y) = pairs(), pairs()
        each = [model.log_density(np.tile(x, (len(y), 1)), y) for x in places]
        k = (np.stack(each, axis=1) + right.gumbel(size=(len(y), 3))).argmax(axis=1)
        # Half keep the y that chose k, half draw it anew.
        y[::2] = model.sample(places[k[::2]], random_state=rest)
        return p_value(*(with_place(*pair) for pair in (first, (k, y))))

    return test


def with_place(k: Array, y: Array) -> Array:
    """Return which x it is, and the first two powers of y there."""
    where = np.eye(3)[k]
    return np.hstack([where, where * y[:, None], where * y[:, None] ** 2])


# ---- edges given features ------------------------------------------------------------------------


@cache
def graph_model() -> InnerProductGraph:
    return ENTRY["graph"].fit()


def likelier(model: InnerProductGraph, *, wrong: bool) -> InnerProductGraph:
    """Return the model, or one whose odds of every edge are 5% higher."""
    other = copy.copy(model)
    other.intercept_ += np.log(1.05) * wrong
    return other


def small_graphs(mistake: str | None) -> float:
    """Return the p-value of features and edges drawn by turns, among three sets of features."""
    model, rng = graph_model(), np.random.default_rng(14)
    joint, rest = (likelier(model, wrong=mistake == kind) for kind in ("joint", "conditional"))
    i, j = np.triu_indices(12, 1)
    # Much alike, so that edges leave it open which they are.
    sets = rng.uniform(-1, 1, size=(12, 2)) + 0.2 * rng.normal(size=(3, 12, 2))
    s = np.stack([(X @ X.T)[i, j] for X in sets])  # (3, pairs)

    def edges_given(sampler: InnerProductGraph, k: Array) -> Array:
        E = np.empty((len(k), 12, 12), np.int8)
        for which, X in enumerate(sets):
            drawn = sampler.sample(int((k == which).sum()), features=X, random_state=rng)
            E[k == which] = [graph.adjacency for graph in drawn]
        return E

    def functions(k: Array, E: Array) -> Array:
        edges = E[:, i, j]
        return np.column_stack([np.eye(3)[k], edges.sum(axis=1), (edges * s[k]).sum(axis=1)])

    first, k = (rng.integers(0, 3, size=4_000) for _ in range(2))
    E = edges_given(joint, k)
    log_p = np.stack([model.log_density([(X, e) for e in E]) for X in sets], axis=1)
    k = (log_p + rng.gumbel(size=log_p.shape)).argmax(axis=1)
    again = functions(k, edges_given(rest, k))
    return p_value(functions(first, edges_given(joint, first)), again)


def sparse_edges(mistake: str | None) -> float:
    """Return the p-value of edges by jumps among cells, beside those of every pair visited.

    A chain that drew the features of so many nodes given their edges would hardly move: features
    are drawn alike for both.
    """
    model, rng = graph_model(), np.random.default_rng(15)
    joint, rest = (likelier(model, wrong=mistake == kind) for kind in ("joint", "conditional"))

    def functions(X: Array, E: Any) -> list[float]:
        i, j = Graph(X, E).edges()
        s = np.einsum("ij,ij->i", X[i], X[j])
        return [len(i), s.sum(), (s**2).sum(), (np.abs(i - j) < 150).sum()]

    dense = [
        functions(g.features, g.adjacency)
        for g in joint.sample(60, n_nodes=300, features="uniform", random_state=rng)
    ]
    jumped = []
    for _ in range(60):
        X = rng.uniform(-1, 1, size=(300, 2))
        edges = sample_edges(X, rest.slope_, rest.intercept_, random_state=rng)
        jumped.append(functions(X, edges))
    return p_value(np.array(dense, float), np.array(jumped, float))


# ---- the laws ------------------------------------------------------------------------------------

CASES: dict[str, Test] = {
    "tables, given": discrete("tables", rows),
    "smoothed tables, given": discrete("smoothed tables", rows),
    "smoothed tables, count splitting": discrete("smoothed tables", counted),
    "smoothed tables, particles": discrete("smoothed tables", rows, method="smc"),
    "thinned particles": thinned,
    "lstm, given": discrete("lstm of 2, 3 and 5 levels", rows),
    "lstm, count splitting": discrete("lstm of 2, 3 and 5 levels", counted),
    "chain, given": discrete("chain of 2, 3 and 5 levels", rows),
    "mixture of orders": mixture,
    "ppca, given": latent(conditioned, 5_000),
    "ppca, draws of unknown values": latent(completed, 4_000),
    "line": two_lines,
    "variance that depends on x": pairs_by_density("line with a variance that depends on x"),
    "network": pairs_by_density("network"),
    "graph": small_graphs,
    "graph, edges by jumps": sparse_edges,
}
NEEDS = {"lstm": "torch", "network": "torch"}
EVERY = pytest.mark.parametrize("case", CASES)


def p_of(case: str, mistake: str | None) -> float:
    for start, package in NEEDS.items():
        if case.startswith(start):
            pytest.importorskip(package)
    return CASES[case](mistake)


@EVERY
def test_both_ways_of_drawing_agree(case: str, note: Note) -> None:
    p = p_of(case, None)
    note(f"Geweke: {case}", f"p = {p:.2g}")
    assert p > FALSE_ALARM


@EVERY
@pytest.mark.parametrize("mistake", ["joint", "conditional"])
def test_a_mistake_of_five_percent_is_seen(case: str, mistake: str, note: Note) -> None:
    p = p_of(case, mistake)
    note(f"Geweke: {case}, 5% off in the {mistake} draws", f"p = {p:.2g}")
    assert p < FALSE_ALARM
