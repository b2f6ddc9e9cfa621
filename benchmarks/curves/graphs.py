"""Curves of the graph models: nodes from a classroom's to a city's, and many small graphs."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import eigsh
from scipy.special import expit

from ancestral import DyadicGraph, Graph, InnerProductGraph, LatentPositionGraph, datasets
from ancestral.graph.edges.sampling import sample_edges
from benchmarks.curves.curve import Aim, Curve, Tasks
from benchmarks.graphs import (
    SLOPE,
    TERMS,
    a_city,
    a_town,
    draw_in_blocks,
    dyads,
    evaluate_in_blocks,
    logit,
    logit_of_terms,
    one_pass_over_some,
    sparse_intercept,
    uniform,
)
from benchmarks.timing import Task

Array = NDArray[Any]
LOGIT = "statsmodels Logit on dyads"
DEGREE = 10.0  # mean
BLOCK = 500  # rows of pairs
NODES = (20, 50, 150, 300, 700, 1_400, 1_500, 3_000, 10_000, 30_000, 100_000)
L2 = 1.0
TOWNS = (20, 50, 150, 300, 1_000, 2_000)


@cache
def drawn(n: int) -> tuple[Array, sparse.csr_array]:
    """Return features and a sparse adjacency of mean degree about 10."""
    X, b = uniform(n), sparse_intercept(n, min(DEGREE, n / 4))
    return X, sparse.csr_array(sample_edges(X, SLOPE, b, random_state=0))


def intercept(n: int) -> float:
    return sparse_intercept(n, min(DEGREE, n / 4))


def all_pairs(X: Array) -> Task:
    """Return the sum over dyads of one value each, in blocks of rows."""
    n = len(X)
    return lambda: sum(float(expit(X[i : i + BLOCK] @ X[i:].T).sum()) for i in range(0, n, BLOCK))


# ---- one graph -------------------------------------------------------------------------------


def fit_one(n: int, *, dense: bool) -> Tasks:
    """The graph is built in the time that is taken, on both sides."""
    X, A = drawn(n)
    # A dense adjacency of bytes: 100 MB at 10,000 nodes.
    E: Any = A.astype(np.int8).toarray() if dense else A

    def ours() -> Any:
        model = InnerProductGraph().fit(Graph(X, E))
        return np.r_[model.slope_, model.intercept_, model.standard_errors_]

    def from_sparse() -> Any:
        return InnerProductGraph().fit(Graph(X, A)).standard_errors_

    def by_logit() -> Any:
        return np.concatenate(logit(*dyads([Graph(X, E)])))

    peers: dict[str, Task] = {}
    if importlib.util.find_spec("statsmodels") is not None:
        peers[LOGIT] = by_logit
    if dense:
        peers["the same, sparse"] = from_sparse
    return Tasks(ours, peers, all_pairs(X))


def fit_sparse(n: int, _: int) -> Tasks:
    return fit_one(n, dense=False)


def fit_dense(n: int, _: int) -> Tasks:
    return fit_one(n, dense=True)


@cache
def fitted(n: int) -> InnerProductGraph:
    return InnerProductGraph().fit(Graph(*drawn(n)))


def log_density(n: int, _: int) -> Tasks:
    (X, A), model = drawn(n), fitted(300)
    a, b = model.slope_, model.intercept_
    return Tasks(
        lambda: model.log_density([Graph(X, A)])[0],
        {"numpy in blocks": lambda: evaluate_in_blocks(X, A, a, b)[0]},
        all_pairs(X),
    )


def draw(n: int, _: int) -> Tasks:
    (X, _A), rng, b = drawn(n), np.random.default_rng(0), intercept(n)
    model = InnerProductGraph().fit(Graph(*drawn(300)))
    model.slope_, model.intercept_ = SLOPE, b
    return Tasks(
        lambda: model.sample(features=X, random_state=rng),
        {"numpy in blocks": lambda: draw_in_blocks(X, SLOPE, b)},
        all_pairs(X),
    )


# ---- many small graphs -----------------------------------------------------------------------


def fit_many(n: int, _: int) -> Tasks:
    graphs = datasets.classrooms(n)
    pairs = [(graph.features, graph.to_dense()) for graph in graphs]
    peers: dict[str, Task] = {}

    def ours() -> Any:
        model = InnerProductGraph().fit(pairs)
        return np.r_[model.slope_, model.intercept_, model.standard_errors_]

    if importlib.util.find_spec("statsmodels") is not None:
        peers[LOGIT] = lambda: np.concatenate(logit(*dyads([Graph(X, E) for X, E in pairs])))
    return Tasks(ours, peers, lambda: [expit(X @ X.T).sum() for X, _ in pairs])


# ---- terms of pairs --------------------------------------------------------------------------


@cache
def town(n: int) -> Graph:
    return a_town(n)


@cache
def city(n: int) -> Graph:
    return a_city(n)


@cache
def fitted_terms(n: int) -> DyadicGraph:
    return DyadicGraph(TERMS).fit(town(n))


def fit_terms(n: int, _: int) -> Tasks:
    graph = town(n)

    def ours() -> Any:
        model = DyadicGraph(TERMS).fit(graph)
        return np.r_[model.coef_, model.intercept_, np.roll(model.standard_errors_, -1)]

    peers: dict[str, Task] = {}
    if importlib.util.find_spec("statsmodels") is not None:
        peers[LOGIT] = lambda: np.concatenate(logit_of_terms(graph))
    return Tasks(ours, peers, all_pairs(graph.features))


def fit_kinds(n: int, _: int) -> Tasks:
    graph = city(n)
    terms = ["match:street", "match:trade"]
    return Tasks(
        lambda: DyadicGraph(terms).fit(graph).coef_,
        {"one pass over sampled dyads": lambda: one_pass_over_some(graph)[1]},
        lambda: np.bincount(graph.edges()[0]).sum(),
    )


def terms_log_density(n: int, _: int) -> Tasks:
    graph, model = town(n), fitted_terms(300)
    return Tasks(lambda: model.log_density(graph)[0], {}, all_pairs(graph.features))


def terms_sample(n: int, _: int) -> Tasks:
    graph, model, rng = town(n), fitted_terms(300), np.random.default_rng(0)
    return Tasks(
        lambda: model.sample(features=graph, random_state=rng), {}, all_pairs(graph.features)
    )


# ---- positions that nobody observed ----------------------------------------------------------


def positions() -> LatentPositionGraph:
    return LatentPositionGraph(2, l2=L2)


def fit_positions(n: int, _: int) -> Tasks:
    X, A = drawn(n)
    return Tasks(
        lambda: [positions().fit(A).log_likelihood_],
        {"numpy, and SciPy's L-BFGS": lambda: [climb(A.toarray().astype(float), 2)]},
        all_pairs(X),
    )


def climb(E: Array, m: int) -> float:
    """Return the penalised maximum's log-likelihood, from the spectral embedding, by hand."""
    n = len(E)
    values, vectors = eigsh(E, m, which="LA", v0=np.ones(n))
    start = np.r_[(vectors * np.sqrt(np.maximum(values, 0.01))).ravel(), -2.0]

    def parts(theta: Array) -> tuple[float, Array]:
        X, b = theta[:-1].reshape(n, m), theta[-1]
        eta = X @ X.T + b
        np.fill_diagonal(eta, -np.inf)
        R = E - expit(eta)
        np.fill_diagonal(eta, 0.0)
        # The diagonal adds n times log 2, taken off again.
        value = 0.5 * ((E * eta).sum() - np.logaddexp(0, eta).sum() + n * np.log(2))
        gradient = np.r_[(R @ X).ravel(), 0.5 * R.sum()]
        return -(value - L2 / 2 * theta @ theta), -(gradient - L2 * theta)

    found = minimize(parts, start, jac=True, method="L-BFGS-B", options={"maxcor": 20})
    return float(-found.fun + L2 / 2 * found.x @ found.x)


@cache
def fitted_positions(n: int) -> LatentPositionGraph:
    return positions().fit(drawn(n)[1])


def positions_log_density(n: int, _: int) -> Tasks:
    (_X, A), model = drawn(n), fitted_positions(n)
    X, b = model.positions_, model.intercept_
    return Tasks(
        lambda: model.log_density(A)[0],
        {"numpy in blocks": lambda: evaluate_in_blocks(X, A, 1.0, b)[0]},
        all_pairs(X),
    )


def positions_sample(n: int, _: int) -> Tasks:
    model, rng = fitted_positions(n), np.random.default_rng(0)
    X, b = model.positions_, model.intercept_
    return Tasks(
        lambda: model.sample(random_state=rng),
        {"numpy in blocks": lambda: draw_in_blocks(X, 1.0, b)},
        all_pairs(X),
    )


# ---- the curves ------------------------------------------------------------------------------


def curve(model: str, work: str, make: Any, sizes: tuple[int, ...], **more: Any) -> Curve:
    more = {"unit": "nodes", "power": 2.0, **more}
    return Curve(model, work, make, sizes, "one sum over dyads", **more)


FIT_AIMS = (Aim(LOGIT, 5.0), Aim(LOGIT, 10.0, since=300))
CURVES = [
    curve("InnerProductGraph", "fit, sparse adjacency", fit_sparse, NODES, aims=FIT_AIMS),
    curve(
        "InnerProductGraph",
        "fit, dense adjacency",
        fit_dense,
        tuple(n for n in NODES if n <= 10_000),
        aims=(*FIT_AIMS, Aim("the same, sparse", 0.5)),
        same=False,
    ),
    curve(
        "InnerProductGraph",
        "fit, graphs of 15 nodes",
        fit_many,
        (1, 10, 100, 1_000, 10_000),
        unit="graphs",
        power=1.0,
        aims=(Aim(LOGIT, 1.0),),
    ),
    curve("InnerProductGraph", "log_density", log_density, NODES),
    curve("InnerProductGraph", "sample", draw, NODES, same=False),
    curve(
        "DyadicGraph",
        "fit, 5 terms",
        fit_terms,
        TOWNS,
        aims=(Aim(LOGIT, 1.0, since=300), Aim(LOGIT, 20.0, since=2_000)),
    ),
    curve(
        "DyadicGraph",
        "fit, 2 terms of levels",
        fit_kinds,
        (1_000, 10_000, 100_000, 1_000_000),
        power=1.0,
        same=False,
    ),
    curve("DyadicGraph", "log_density, 5 terms", terms_log_density, TOWNS),
    curve("DyadicGraph", "sample, 5 terms", terms_sample, TOWNS, same=False),
    curve(
        "LatentPositionGraph", "fit", fit_positions, (20, 50, 150, 500, 1_500, 3_000), same=False
    ),
    curve(
        "LatentPositionGraph",
        "log_density",
        positions_log_density,
        (20, 50, 150, 500, 1_500, 3_000),
    ),
    curve(
        "LatentPositionGraph",
        "sample",
        positions_sample,
        (20, 50, 150, 500, 1_500, 3_000),
        same=False,
    ),
]
