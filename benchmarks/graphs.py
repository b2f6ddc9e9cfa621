"""Graphs: fits and draws from a classroom to a million nodes, against dyads visited one by one.

python -m benchmarks.graphs FILE.svg draws time against the number of nodes.
"""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ancestral import DyadicGraph, Graph, InnerProductGraph, datasets
from ancestral.graph.adjacency import symmetric
from ancestral.graph.edges.sampling import sample_edges
from ancestral.graph.pairs.gather import visit
from benchmarks.timing import Row, Timer

SLOPE, INTERCEPT = 5.55, -5.36  # of the classrooms
BLOCK = 500  # rows of the blocked peers
INSIDE_95 = 5.991  # squared distances with two degrees of freedom


def rows(timer: Timer) -> Iterator[Row]:
    """Peers get the graphs that we get, and build their dyads in the time that is taken."""
    yield from course(timer)
    yield from one_graph(timer, 60 if timer.tiny else 3_000)
    yield from against_one_evaluation(timer, 80 if timer.tiny else 10_000)
    yield from draws(timer, 100 if timer.tiny else 10_000)
    yield from million(timer, 2_500 if timer.tiny else 1_000_000)
    yield from terms(timer, 100 if timer.tiny else 2_000)
    yield from kinds(timer, 3_000 if timer.tiny else 1_000_000)


# ---- fits ------------------------------------------------------------------------------------


def course(timer: Timer) -> Iterator[Row]:
    """The size of the course's data: 100 graphs of 15 nodes."""
    graphs = datasets.classrooms(20 if timer.tiny else 100)
    case = f"fit, {len(graphs)} graphs of 15 nodes"
    for peer, theirs in dyad_peers(graphs):
        yield timer.race(case, lambda: InnerProductGraph().fit(graphs), peer, theirs)


def one_graph(timer: Timer, n: int) -> Iterator[Row]:
    """A graph whose dyads still fit in memory: what they take is said."""
    graph = simulated(n, INTERCEPT)
    own = peak_megabytes(lambda: InnerProductGraph().fit(graph))
    for peer, theirs in dyad_peers([graph]):
        note = f"at most {own:.0f} MB more held, against {peak_megabytes(theirs):.0f} MB"
        yield timer.race(
            f"fit, n = {n:,}, {graph.n_edges:,} edges",
            lambda: InnerProductGraph().fit(graph),
            peer,
            theirs,
            note=note,
        )


def against_one_evaluation(timer: Timer, n: int) -> Iterator[Row]:
    """A whole fit, of some eight evaluations, against a single one in blocks of rows."""
    graph = simulated(n, INTERCEPT)
    adjacency = graph.to_sparse()
    yield timer.race(
        f"whole fit, n = {n:,}",
        lambda: InnerProductGraph().fit(graph),
        "one evaluation, numpy in blocks",
        lambda: evaluate_in_blocks(graph.features, adjacency, SLOPE, INTERCEPT),
        note="the peer: likelihood, gradient and information once; a fit takes some eight",
    )


def dyad_peers(graphs: list[Graph]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield logistic regressions on dyads that are built first."""
    if importlib.util.find_spec("statsmodels") is not None:
        yield "statsmodels Logit", lambda: logit(*dyads(graphs))
    yield "LogisticRegression, tol=1e-10", lambda: logistic(*dyads(graphs))


def dyads(graphs: list[Graph]) -> tuple[np.ndarray, np.ndarray]:
    """Return s and e of all pairs, graph by graph."""
    s, e = [], []
    for graph in graphs:
        i, j = np.triu_indices(graph.n_nodes, 1)
        s.append((graph.features @ graph.features.T)[i, j])
        e.append(graph.to_dense()[i, j])
    return np.concatenate(s), np.concatenate(e)


def logit(s: np.ndarray, e: np.ndarray) -> Any:
    """Return statsmodels' fit, with its standard errors."""
    import statsmodels.api as sm

    result = sm.Logit(e, np.column_stack([s, np.ones(len(s))])).fit(disp=0, tol=1e-10)
    return result.params, result.bse


def logistic(s: np.ndarray, e: np.ndarray) -> Any:
    """Return scikit-learn's fit, unpenalised; it has no standard errors."""
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000).fit(s[:, None], e).coef_


def evaluate_in_blocks(X: np.ndarray, adjacency: Any, a: float, b: float) -> tuple[Any, ...]:
    """Return likelihood, gradient and information, some rows of pairs at a time."""
    value, gradient, information = 0.0, np.zeros(2), np.zeros((2, 2))
    for start in range(0, len(X), BLOCK):
        S = X[start : start + BLOCK] @ X[start:].T
        upper = np.triu(np.ones(S.shape, bool), 1)
        s = S[upper]
        e = adjacency[start : start + BLOCK, start:].toarray()[upper]
        eta = a * s + b
        p = expit(eta)
        w = p * (1 - p)
        value += e @ eta - np.logaddexp(0, eta).sum()
        gradient += [(e - p) @ s, (e - p).sum()]
        information += [[w @ (s * s), w @ s], [w @ s, w.sum()]]
    return value, gradient, information


# ---- draws -----------------------------------------------------------------------------------


def draws(timer: Timer, n: int) -> Iterator[Row]:
    """Edges of a sparse graph: mean degree about 20."""
    X, b = uniform(n), sparse_intercept(n, 20.0)
    ours = lambda: sample_edges(X, SLOPE, b, random_state=0)  # noqa: E731 - timed as it stands
    case = f"draw, n = {n:,}, {ours().nnz // 2:,} edges"
    yield timer.race(case, ours, "numpy in blocks", lambda: draw_in_blocks(X, SLOPE, b))
    if importlib.util.find_spec("graspologic") is not None:
        from graspologic.simulations import rdpg

        yield timer.race(
            case,
            ours,
            "graspologic rdpg",
            lambda: rdpg(X / 3**0.5, rescale=False, directed=False, loops=False),
            note="rdpg links with probability x_i.x_j itself, clipped: another model, like work",
        )


def draw_in_blocks(X: np.ndarray, a: float, b: float) -> list[np.ndarray]:
    """Return the edges, some rows of pairs at a time."""
    rng, found = np.random.default_rng(0), []
    for start in range(0, len(X), BLOCK):
        p = expit(a * (X[start : start + BLOCK] @ X[start:].T) + b)
        found.append(start + np.argwhere(np.triu(rng.random(p.shape) < p, 1)))
    return found


# ---- a million nodes -------------------------------------------------------------------------


def million(timer: Timer, n: int) -> Iterator[Row]:
    """Draw and fit again: too large for any peer, whose time is extrapolated."""
    X, b = uniform(n), sparse_intercept(n, 16.0)
    few = uniform(min(n, 10_000))
    scale = (n / len(few)) ** 2
    small = Graph(few, sample_edges(few, SLOPE, sparse_intercept(len(few), 16.0)))
    drawn = once(lambda: sample_edges(X, SLOPE, b, random_state=1))
    graph = Graph.of_checked(X, drawn[1])
    yield Row(
        f"draw, n = {n:,}, mean degree {2 * graph.n_edges / n:.1f}",
        drawn[0],
        f"numpy in blocks, extrapolated from n = {len(few):,}",
        scale * once(lambda: draw_in_blocks(few, SLOPE, b))[0],
        f"{graph.n_edges / drawn[0]:,.0f} edges a second",
    )
    seconds, model = once(lambda: InnerProductGraph().fit(graph))
    distance = squared_distance(model, b)
    yield Row(
        f"fit with standard errors, n = {n:,}",
        seconds,
        f"one pass over all pairs, extrapolated from n = {len(few):,}",
        scale * once(lambda: visit([small]))[0],
        f"off the truth by {distance:.2f} (95% ellipse: {INSIDE_95:.2f}); approximation at most "
        f"{model.approximation_error_.max():.1g} standard errors; {resident():.1f} GiB at most",
    )
    repeats, n = (5, 100) if timer.tiny else (100, 4_000)
    seconds, inside = once(lambda: sum(round_trip(n, seed) for seed in range(repeats)))
    yield Row(
        f"{repeats} draws, each fitted again, n = {n:,}",
        seconds,
        "one evaluation each, numpy in blocks",
        repeats * once(lambda: evaluate_in_blocks(*round_trip_data(n), SLOPE, INTERCEPT))[0],
        f"the truth is inside the 95% ellipse in {inside} of {repeats}",
    )


def round_trip(n: int, seed: int) -> bool:
    """Draw a graph and fit it; tell whether the truth is inside the 95% ellipse."""
    X, b = uniform(n, seed), sparse_intercept(n, 16.0)
    graph = Graph.of_checked(X, sample_edges(X, SLOPE, b, random_state=seed))
    return squared_distance(InnerProductGraph().fit(graph), b) < INSIDE_95


def round_trip_data(n: int) -> tuple[np.ndarray, Any]:
    X = uniform(n)
    return X, sample_edges(X, SLOPE, sparse_intercept(n, 16.0), random_state=0)


def squared_distance(model: InnerProductGraph, b: float) -> float:
    """Return how far an estimate is from the truth, in units of its covariance."""
    off = np.array([model.slope_ - SLOPE, model.intercept_ - b])
    return float(off @ np.linalg.solve(model.covariance_, off))


# ---- terms of pairs --------------------------------------------------------------------------

TERMS = ["match:house", "absdiff:age", "sum:income", "product:rank", "absdiff:rank"]
SAMPLED = 1_000_000  # dyads


def terms(timer: Timer, n: int) -> Iterator[Row]:
    """Five terms of numbers and levels, against a logistic regression on a table of all dyads."""
    graph = a_town(n)
    own = peak_megabytes(lambda: DyadicGraph(TERMS).fit(graph))
    if importlib.util.find_spec("statsmodels") is not None:
        theirs = lambda: logit_of_terms(graph)  # noqa: E731 - timed as it stands
        yield timer.race(
            f"DyadicGraph fit, n = {n:,}, {len(TERMS)} terms",
            lambda: DyadicGraph(TERMS).fit(graph),
            "statsmodels Logit",
            theirs,
            note=f"at most {own:.0f} MB more held, against {peak_megabytes(theirs):.0f} MB",
        )


def kinds(timer: Timer, n: int) -> Iterator[Row]:
    """Two terms of levels: kinds of dyads are counted, where a peer takes a sample of them."""
    graph = a_city(n)
    yield timer.race(
        f"DyadicGraph fit, n = {n:,}, {graph.n_edges:,} edges, 2 terms of levels",
        lambda: DyadicGraph(["match:street", "match:trade"]).fit(graph),
        f"one pass over {SAMPLED:,} sampled dyads",
        lambda: one_pass_over_some(graph),
        note="the peer: values, likelihood, gradient and information of a sample, once",
    )


def a_town(n: int) -> Graph:
    """A network of people in dollars, years and text."""
    rng = np.random.default_rng(0)
    columns = {
        "house": rng.integers(0, 5, n).astype(float),
        "age": rng.normal(40, 10, n),
        "income": np.exp(rng.normal(10.5, 0.6, n)),
        "rank": rng.normal(size=n),
    }
    X = np.column_stack(list(columns.values()))
    first, second = [], []
    for i in range(n):
        j = np.arange(i + 1, n)
        eta = -4 + 1.0 * (X[i, 0] == X[j, 0]) - 0.05 * np.abs(X[i, 1] - X[j, 1])
        eta += 1e-5 * (X[i, 2] + X[j, 2])
        linked = j[rng.random(len(j)) < expit(eta)]
        first.append(np.full(len(linked), i))
        second.append(linked)
    return Graph(X, symmetric(np.concatenate(first), np.concatenate(second), n), list(columns))


def logit_of_terms(graph: Graph) -> Any:
    """Return statsmodels' fit on a table of all dyads, built in the time that is taken."""
    import statsmodels.api as sm

    i, j = np.triu_indices(graph.n_nodes, 1)
    house, age, income, rank = graph.features.T
    T = [house[i] == house[j], np.abs(age[i] - age[j]), income[i] + income[j]]
    T += [rank[i] * rank[j], np.abs(rank[i] - rank[j]), np.ones(len(i))]
    result = sm.Logit(graph.to_dense()[i, j], np.column_stack(T)).fit(disp=0, tol=1e-10)
    return result.params, result.bse


def a_city(n: int) -> Graph:
    """A sparse network in which half of the links are within a street."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 100, n), rng.integers(0, 8, n)]).astype(float)
    order = np.argsort(X[:, 0], kind="stable")
    i, near = rng.integers(0, n, 5 * n), rng.integers(1, 40, 5 * n)
    j = np.where(rng.random(5 * n) < 0.5, (i + near) % n, rng.integers(0, n, 5 * n))
    i, j = order[i[i != j]], order[j[i != j]]
    codes = np.unique(np.minimum(i, j) * n + np.maximum(i, j))
    return Graph(X, symmetric(codes // n, codes % n, n), ["street", "trade"])


def one_pass_over_some(graph: Graph) -> tuple[Any, ...]:
    """Return likelihood, gradient and information of sampled dyads at some coefficients."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, graph.n_nodes, (2, SAMPLED))
    T = np.column_stack([np.ones(SAMPLED), graph.features[i] == graph.features[j]])
    eta = T @ [-10.0, 3.0, 0.1]
    p = expit(eta)
    w = p * (1 - p)
    return np.logaddexp(0, eta).sum(), T.T @ p, (T.T * w) @ T


# ---- helpers ---------------------------------------------------------------------------------


def uniform(n: int, seed: int = 0) -> np.ndarray:
    """Return features as the model draws them."""
    return np.random.default_rng(seed).uniform(-1, 1, (n, 3))


def simulated(n: int, b: float) -> Graph:
    X = uniform(n)
    return Graph.of_checked(X, sample_edges(X, SLOPE, b, random_state=0))


@cache
def sparse_intercept(n: int, degree: float) -> float:
    """Return the intercept at which n nodes have about that mean degree."""
    X = uniform(1_000)
    s = (X @ X.T)[np.triu_indices(1_000, 1)]
    return float(brentq(lambda b: n * expit(SLOPE * s + b).mean() - degree, -60, 20, xtol=1e-6))


def once(task: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result of one call: long tasks are not repeated."""
    from time import perf_counter

    started = perf_counter()
    result = task()
    return perf_counter() - started, result


def peak_megabytes(task: Callable[[], Any]) -> float:
    """Return the most memory that numpy held at once beyond what was there."""
    task()  # imports and compilation are not counted
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def resident() -> float:
    """Return the most memory this process ever held, in GiB (0 where that is not known)."""
    try:
        import resource
    except ImportError:
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**30 if sys.platform == "darwin" else 2**20)


# ---- the figure ------------------------------------------------------------------------------


def figure(path: Path, *, tiny: bool = False) -> None:
    """Draw seconds against the number of nodes, for us and for peers, on logarithmic axes."""
    from ancestral.viz import _style

    largest = 2_000 if tiny else 1_000_000
    sizes = [n for n in (100, 300, 1_000, 3_000, 10_000, 100_000, 1_000_000) if n <= largest]
    times: dict[str, list[tuple[int, float]]] = {}

    def measure(name: str, n: int, task: Callable[[], Any]) -> None:
        task()
        times.setdefault(name, []).append((n, min(once(task)[0] for _ in range(3))))

    for n in sizes:
        X, b = uniform(n), sparse_intercept(n, 16.0)
        adjacency = sample_edges(X, SLOPE, b, random_state=0)
        graph = Graph.of_checked(X, adjacency)
        measure("fit", n, lambda g=graph: InnerProductGraph().fit(g))
        measure("draw", n, lambda X=X, b=b: sample_edges(X, SLOPE, b, random_state=0))
        if n <= 3_000:
            for peer, task in dyad_peers([graph]):
                measure(f"fit: {peer}", n, task)
        if n <= 10_000:
            measure("draw: numpy in blocks", n, lambda X=X, b=b: draw_in_blocks(X, SLOPE, b))
    ax = _style.axes_or_new(None, width=6.0, height=3.8)
    looks = {
        "fit": ("o-", _style.VERMILLION),
        "draw": ("s-", _style.BLUE),
        "fit: statsmodels Logit": ("v--", _style.ORANGE),
        "fit: LogisticRegression, tol=1e-10": ("^--", _style.PURPLE),
        "draw: numpy in blocks": ("D--", _style.SKY),
    }
    for name, points in times.items():
        mark, colour = looks[name]
        label = f"ancestral: {name}" if ":" not in name else name
        ax.plot(*zip(*points, strict=True), mark, ms=4, color=colour, linewidth=1.3, label=label)
    ax.set(xscale="log", yscale="log", xlabel="nodes (mean degree about 16)", ylabel="seconds")
    ax.grid(alpha=0.6)
    ax.legend(loc="lower right")
    _style.figure_of(ax).savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.graphs FILE.svg")
    figure(Path(sys.argv[1]))
