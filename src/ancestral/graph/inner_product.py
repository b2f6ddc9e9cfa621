"""The inner-product graph model.

    p(e_ij = 1 | x_i, x_j) = sigmoid(a x_i . x_j + b),   pairs i < j independent

With s_ij = x_i . x_j, p_ij = sigmoid(a s_ij + b) and sums over all pairs of all graphs,

    l(a, b)  = sum e_ij (a s_ij + b) - log(1 + exp(a s_ij + b))
    dl/da    = sum (e_ij - p_ij) s_ij,    dl/db = sum (e_ij - p_ij)
    Fisher information I = sum p_ij (1 - p_ij) [s_ij, 1] [s_ij, 1]^T  (= minus the Hessian)

l is concave. Newton's method solves it in a few steps; gradient ascent with the gradient above is
there to be watched. Standard errors are the roots of the diagonal of I^-1.
Symbols: a slope_, b intercept_.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ancestral._validation import (
    MAX_SAMPLE_BYTES,
    as_generator,
    as_numbers,
    check_integer,
    check_n_samples,
    check_number,
    refuse_non_finite,
)
from ancestral.base import FromStatistics, GraphDensity, MaximumLikelihood
from ancestral.errors import AncestralWarning, DataError, DataTypeError, ModelError

logger = logging.getLogger("ancestral")


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """An undirected graph with a row of features for each node.

    Parameters
    ----------
    features : array-like of shape (n_nodes, n_features)
    adjacency : array-like of shape (n_nodes, n_nodes)
        0 or 1 and symmetric. The diagonal, if it is not zero, is ignored: only pairs of
        different nodes have a probability.

    Raises
    ------
    DataError
        When the shapes do not fit, or an entry is not 0 or 1, or the matrix is not symmetric.

    Examples
    --------
    >>> g = Graph([[0.1, 0.2], [0.3, -0.5], [1.0, 0.0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    >>> g.n_nodes, g.n_edges
    (3, 1)
    """

    features: NDArray[np.float64]
    adjacency: NDArray[np.int8]

    def __post_init__(self) -> None:
        X = as_numbers(self.features, name="features", ndim=2).astype(np.float64)
        refuse_non_finite(X, name="features")
        if not len(X):
            raise DataError("features have no rows: a graph without nodes is no graph. Drop it.")
        E = self.adjacency
        if type(E).__module__.startswith("networkx"):
            raise DataTypeError(
                "adjacency is a networkx graph, whose nodes have an order of their own: give a "
                "matrix in the order of the features, networkx.to_numpy_array(graph, nodelist)."
            )
        E = as_numbers(E.toarray() if hasattr(E, "toarray") else E, name="adjacency", ndim=2)
        _check_adjacency(E, len(X))
        object.__setattr__(self, "features", X)
        object.__setattr__(self, "adjacency", E.astype(np.int8))

    def __repr__(self) -> str:
        width = self.features.shape[1]
        return f"Graph({self.n_nodes} nodes with {width} features, {self.n_edges} edges)"

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.features)

    @property
    def n_edges(self) -> int:
        """Number of edges between different nodes."""
        return int(np.triu(self.adjacency, 1).sum())

    @property
    def density(self) -> float:
        """Share of node pairs that are linked (nan without a pair)."""
        pairs = self.n_nodes * (self.n_nodes - 1) // 2
        return self.n_edges / pairs if pairs else float("nan")


def _check_adjacency(E: NDArray, n_nodes: int) -> None:
    """Raise DataError unless E is (n_nodes, n_nodes), 0/1 and symmetric."""
    if E.shape != (n_nodes, n_nodes):
        swapped = " Are features and adjacency swapped?" if E.shape[0] == n_nodes else ""
        raise DataError(
            f"features have {n_nodes} rows, so adjacency must have shape ({n_nodes}, {n_nodes}); "
            f"got {E.shape}.{swapped}"
        )
    wrong = (E != 0) & (E != 1)
    if wrong.any():
        i, j = (int(k) for k in np.argwhere(wrong)[0])
        raise DataError(f"adjacency holds {E[i, j]} at ({i}, {j}); entries must be 0 or 1.")
    uneven = E != E.T
    if uneven.any():
        i, j = (int(k) for k in np.argwhere(uneven)[0])
        raise DataError(
            f"adjacency is not symmetric: ({i}, {j}) is {E[i, j]:g}, ({j}, {i}) is {E[j, i]:g}. "
            "Symmetrise it, for example with numpy.maximum(E, E.T)."
        )


@dataclass(frozen=True)
class InnerProducts:
    """The sufficient statistic of a set of graphs: all s_ij, and which belong to edges.

    Parameters
    ----------
    edges : ndarray of shape (n_edges,)
        s_ij of the linked pairs.
    gaps : ndarray of shape (n_pairs - n_edges,)
        s_ij of the unlinked pairs.
    """

    edges: NDArray[np.float64]
    gaps: NDArray[np.float64]

    @classmethod
    def empty(cls) -> InnerProducts:
        """Return the statistics of no graph: the identity of `+`."""
        return cls(np.zeros(0), np.zeros(0))

    @classmethod
    def of(cls, graphs: Iterable[Graph]) -> InnerProducts:
        """Gather the inner products over the pairs i < j of each graph."""
        edges, gaps = [np.zeros(0)], [np.zeros(0)]
        for graph in graphs:
            i, j = np.triu_indices(graph.n_nodes, 1)
            s = (graph.features @ graph.features.T)[i, j]
            linked = graph.adjacency[i, j] == 1
            edges.append(s[linked])
            gaps.append(s[~linked])
        return cls(np.concatenate(edges), np.concatenate(gaps))

    def __add__(self, other: InnerProducts) -> InnerProducts:
        if not isinstance(other, InnerProducts):
            return NotImplemented
        return InnerProducts(
            np.concatenate([self.edges, other.edges]), np.concatenate([self.gaps, other.gaps])
        )

    @property
    def n_pairs(self) -> int:
        """Number of node pairs (dyads)."""
        return len(self.edges) + len(self.gaps)

    def log_likelihood(self, a: float, b: float) -> float:
        """Return l(a, b) in nats, summed without loss so that small increases show."""
        # log p of an edge is -softplus(-eta); of a gap, -softplus(eta).
        return -fsum(_softplus(-(a * self.edges + b))) - fsum(_softplus(a * self.gaps + b))

    def gradient(self, a: float, b: float) -> NDArray[np.float64]:
        """Return (dl/da, dl/db)."""
        residual_edges = expit(-(a * self.edges + b))  # e - p = 1 - p on edges
        residual_gaps = expit(a * self.gaps + b)  # e - p = -p on gaps
        return np.array(
            [
                residual_edges @ self.edges - residual_gaps @ self.gaps,
                residual_edges.sum() - residual_gaps.sum(),
            ]
        )

    def information(self, a: float, b: float) -> NDArray[np.float64]:
        """Return the Fisher information of (a, b), of shape (2, 2)."""
        s = np.concatenate([self.edges, self.gaps])
        p = expit(a * s + b)
        weight = p * (1 - p)
        first = weight @ s
        return np.array([[weight @ (s * s), first], [first, weight.sum()]])

    def check_maximum_exists(self) -> None:
        """Raise ModelError when l(a, b) has no finite maximum, saying in which direction."""
        mend = "Add graphs until links and gaps overlap in x_i.x_j."
        if self.n_pairs == 0:
            raise ModelError("there are no pairs of nodes: give a graph with two nodes or more.")
        if not len(self.edges) or not len(self.gaps):
            side = (
                "no pair is linked: b -> -inf"
                if not len(self.edges)
                else "every pair is linked: b -> +inf"
            )
            raise ModelError(f"{side}, so the likelihood has no finite maximum. {mend}")
        low_edge, high_edge = self.edges.min(), self.edges.max()
        low_gap, high_gap = self.gaps.min(), self.gaps.max()
        if max(high_edge, high_gap) == min(low_edge, low_gap):
            raise ModelError(
                f"all inner products equal {low_edge:g}: a is not identified. "
                "Give features that vary."
            )
        separated = "the links are separated, so the likelihood has no finite maximum"
        if low_edge >= high_gap:
            raise ModelError(
                f"{separated}: a -> +inf, since every linked pair has x_i.x_j >= {low_edge:g} and "
                f"every unlinked one <= {high_gap:g}. {mend}"
            )
        if high_edge <= low_gap:
            raise ModelError(
                f"{separated}: a -> -inf, since every linked pair has x_i.x_j <= {high_edge:g} and "
                f"every unlinked one >= {low_gap:g}. {mend}"
            )


def _softplus(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(1 + exp(eta)) without overflow."""
    return np.logaddexp(0.0, eta)


class InnerProductGraph(MaximumLikelihood, FromStatistics, GraphDensity):
    """Edges between nodes with probability sigmoid(a x_i . x_j + b), by maximum likelihood.

    Parameters
    ----------
    solver : {"newton", "gradient_ascent"}
        Newton's method converges in a few steps; gradient ascent starts at random and rises at
        every step, for those who want to see the path.
    max_iter : int
        Most iterations of either solver.
    tol : float
        Gradient ascent stops when no component of the gradient exceeds it, in nats per unit.
        Newton always runs to the limit of float64.
    random_state : None, int, RandomState or Generator
        The ascent's start.

    Attributes
    ----------
    slope_, intercept_ : float
        a and b.
    standard_errors_ : ndarray of shape (2,)
        Of a and of b, from the Fisher information.
    covariance_ : ndarray of shape (2, 2)
        The inverse Fisher information.
    log_likelihood_ : float
        At the maximum, in nats.
    history_ : list of dict
        Each iteration's a, b, log_likelihood, increase and gradient_norm (largest component).
    n_pairs_ : int
        Dyads seen in `fit`.
    n_features_ : int
        Width of the features seen in `fit`.
    n_parameters_ : int
        2.

    Notes
    -----
    Pairs i < j only. The cost is linear in the number of pairs, which are kept as inner products.

    References
    ----------
    Albert & Anderson (1984), Biometrika 71: when logistic likelihoods have a finite maximum.

    Examples
    --------
    >>> from ancestral import datasets
    >>> model = InnerProductGraph().fit(datasets.classrooms(200, random_state=1))
    >>> bool(abs(model.slope_ - 5.5) < 3 * model.standard_errors_[0])
    True
    """

    n_parameters_ = 2
    n_features_: int

    def __init__(
        self,
        solver: str = "newton",
        *,
        max_iter: int = 1000,
        tol: float = 1e-5,
        random_state: Any = None,
    ) -> None:
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, graphs: Any, y: Any = None) -> Self:
        """Fit a and b to graphs.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            When a graph is not one, or widths of features differ.
        ModelError
            When the likelihood has no finite maximum (separable, empty or complete graphs).
        """
        self._seen = None
        (graphs,) = self._check_chunk(graphs, y, reset=True)
        _warn_of_odd_graphs(graphs)
        self._solve(self._statistics(graphs))
        return self

    def _check_chunk(self, graphs: Any, y: Any, *, reset: bool) -> tuple[list[Graph]]:
        """Return graphs of one feature width, remembered when `reset`."""
        checked = as_graphs(graphs, n_features=None if reset else self.n_features_)
        _say_ignored_loops(checked)
        self.n_features_ = checked[0].features.shape[1]
        return (checked,)

    def _is_enough(self, statistics: InnerProducts) -> bool:
        return bool(len(statistics.edges) and len(statistics.gaps))

    def _statistics(self, graphs: Sequence[Graph]) -> InnerProducts:  # type: ignore[override]
        return InnerProducts.of(graphs)

    def _solve(self, statistics: InnerProducts) -> None:
        statistics.check_maximum_exists()
        max_iter = check_integer(self.max_iter, "max_iter", minimum=1)
        tol = check_number(self.tol, "tol", minimum=0.0, inclusive=False)
        if self.solver == "newton":
            history = newton(statistics, max_iter=max_iter)
        elif self.solver == "gradient_ascent":
            start = as_generator(self.random_state).normal(size=2)
            history = gradient_ascent(statistics, start, tol=tol, max_iter=max_iter)
        else:
            raise ModelError(f'solver must be "newton" or "gradient_ascent"; got {self.solver!r}.')
        last = history[-1]
        if len(history) > max_iter and last["gradient_norm"] > tol:
            _warn(
                f"max_iter={max_iter} iterations ended with a gradient of "
                f"{last['gradient_norm']:.2g}: not converged, the maximum is elsewhere. Raise "
                'max_iter, or use solver="newton".'
            )
        self.history_ = history
        self.slope_, self.intercept_ = last["a"], last["b"]
        self.log_likelihood_ = last["log_likelihood"]
        self.covariance_ = np.linalg.inv(statistics.information(self.slope_, self.intercept_))
        self.standard_errors_ = np.sqrt(np.diag(self.covariance_))
        self.n_pairs_ = statistics.n_pairs

    def log_density(self, graphs: Any) -> NDArray[np.float64]:
        """Return log p(E | X) of each graph, in nats; the features' own density is left out.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either

        Returns
        -------
        ndarray of shape (n_graphs,)
        """
        self._check_fitted()
        values = []
        for graph in as_graphs(graphs, n_features=self.n_features_):
            values.append(InnerProducts.of([graph]).log_likelihood(self.slope_, self.intercept_))
        return np.array(values)

    def probabilities(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return p_ij of every pair of nodes.

        Parameters
        ----------
        features : array-like of shape (n_nodes, n_features)

        Returns
        -------
        ndarray of shape (n_nodes, n_nodes)
            Symmetric; zero on the diagonal.
        """
        self._check_fitted()
        X = self._check_features(features)
        p = expit(self.slope_ * (X @ X.T) + self.intercept_)
        np.fill_diagonal(p, 0.0)
        return p

    def sample(
        self,
        n_samples: int = 1,
        *,
        n_nodes: int = 15,
        n_features: int | None = None,
        features: ArrayLike | None = None,
        random_state: Any = None,
    ) -> list[Graph]:
        """Draw graphs ancestrally: features first (unless given), then edges.

        Parameters
        ----------
        n_samples : int
        n_nodes : int
            Nodes of each graph, when features are drawn.
        n_features : int, optional
            Width of the features drawn; as in `fit` when not given.
        features : array-like of shape (n_nodes, n_features), optional
            Fixed features for every graph; otherwise uniform on [-1, 1].
        random_state : None, int, RandomState or Generator

        Returns
        -------
        list of Graph
        """
        self._check_fitted()
        rng = as_generator(random_state)
        n_nodes = check_integer(n_nodes, "n_nodes", minimum=1)
        width = (
            self.n_features_
            if n_features is None
            else check_integer(n_features, "n_features", minimum=1)
        )
        if features is not None:
            fixed = self._check_features(features)
            n_samples = check_n_samples(n_samples, row_bytes=_dense_bytes(len(fixed)))
            return [self._draw_graph(fixed, rng) for _ in range(n_samples)]
        n_samples = check_n_samples(n_samples, row_bytes=_dense_bytes(n_nodes))
        return [
            self._draw_graph(rng.uniform(-1.0, 1.0, size=(n_nodes, width)), rng)
            for _ in range(n_samples)
        ]

    def _draw_graph(self, X: NDArray[np.float64], rng: np.random.Generator) -> Graph:
        """Draw the edges of one graph given its features."""
        i, j = np.triu_indices(len(X), 1)
        p = expit(self.slope_ * (X @ X.T)[i, j] + self.intercept_)
        adjacency = np.zeros((len(X), len(X)), np.int8)
        adjacency[i, j] = adjacency[j, i] = rng.random(len(p)) < p
        return Graph(X, adjacency)

    def _check_features(self, features: ArrayLike) -> NDArray[np.float64]:
        X = as_numbers(features, name="features", ndim=2).astype(np.float64)
        refuse_non_finite(X, name="features")
        return X

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        graphs = as_graphs(X)
        pairs = sum(g.n_nodes * (g.n_nodes - 1) // 2 for g in graphs)
        return float(np.sum(self.log_density(graphs))), pairs

    def _check_state(self) -> None:
        check_integer(self.n_features_, "n_features_", minimum=1)
        finite = np.isfinite([self.slope_, self.intercept_, *self.standard_errors_]).all()
        if not finite or np.shape(self.standard_errors_) != (2,):
            raise ValueError("slope, intercept and two standard errors must be finite")


def _dense_bytes(n_nodes: int) -> int:
    """Return about how many bytes one drawn graph takes; ModelError if that alone is too much."""
    needed = 16 * n_nodes * n_nodes
    if needed > MAX_SAMPLE_BYTES:
        raise ModelError(
            f"n_nodes={n_nodes} needs {needed / 2**30:.1f} GiB for one graph's matrix of pairs, "
            f"over the limit of {MAX_SAMPLE_BYTES >> 30} GiB. Draw smaller graphs."
        )
    return needed


def newton(statistics: InnerProducts, *, max_iter: int = 100) -> list[dict[str, float]]:
    """Maximise l(a, b) by damped Newton steps from the independent-edges start.

    Returns
    -------
    list of dict
        The iterations, the last at the maximum to the limit of float64.
    """
    share = len(statistics.edges) / statistics.n_pairs
    theta = np.array([0.0, np.log(share / (1 - share))])
    history = [_iteration(statistics, theta, None)]
    for _ in range(max_iter):
        step = np.linalg.solve(statistics.information(*theta), statistics.gradient(*theta))
        best = history[-1]["log_likelihood"]
        scale = 1.0
        while scale > 1e-10 and statistics.log_likelihood(*(theta + scale * step)) < best:
            scale /= 2
        small = np.abs(step).max() <= 1e-15 * (1 + np.abs(theta).max())
        if small or scale <= 1e-10:
            break
        theta = theta + scale * step
        history.append(_iteration(statistics, theta, best))
        if np.abs(scale * step).max() < 1e-12 * np.abs(theta).max():
            break
    return history


def gradient_ascent(
    statistics: InnerProducts,
    start: NDArray[np.float64],
    *,
    tol: float = 1e-5,
    max_iter: int = 1000,
) -> list[dict[str, float]]:
    """Maximise l(a, b) by steps along the gradient that raise the likelihood every time.

    Parameters
    ----------
    statistics : InnerProducts
    start : ndarray of shape (2,)
        The first (a, b).
    tol : float
        Stop when no component of the gradient exceeds it.
    max_iter : int

    Returns
    -------
    list of dict
        The start and every iteration; `log_likelihood` strictly rises.

    Notes
    -----
    The step length is Barzilai & Borwein's (1988) from the last two gradients, halved until the
    gain is at least a tenth of a thousandth of step * |gradient|^2 (Armijo's rule). It also stops
    when no step raises the likelihood any more in float64.
    """
    theta = np.asarray(start, dtype=np.float64)
    gradient = statistics.gradient(*theta)
    history = [_iteration(statistics, theta, None)]
    step = 1.0 / np.trace(statistics.information(0.0, 0.0))  # below 1/curvature anywhere
    for _ in range(max_iter):
        if np.abs(gradient).max() <= tol:
            break
        best = history[-1]["log_likelihood"]
        squared = gradient @ gradient
        while True:
            value = statistics.log_likelihood(*(theta + step * gradient))
            if value > best and value >= best + 1e-4 * step * squared:
                break
            step /= 2
            if step * np.abs(gradient).max() < 1e-16 * (1 + np.abs(theta).max()):
                return history
        moved = step * gradient
        theta = theta + moved
        fresh = statistics.gradient(*theta)
        history.append(_iteration(statistics, theta, best))
        bend = moved @ (gradient - fresh)  # positive: l is concave
        step = (moved @ moved) / bend if bend > 0 else 2 * step
        gradient = fresh
    return history


def _iteration(
    statistics: InnerProducts, theta: NDArray[np.float64], before: float | None
) -> dict[str, float]:
    """Return one row of `history_`."""
    a, b = float(theta[0]), float(theta[1])
    value = statistics.log_likelihood(a, b)
    return {
        "a": a,
        "b": b,
        "log_likelihood": value,
        "increase": float("nan") if before is None else value - before,
        "gradient_norm": float(np.abs(statistics.gradient(a, b)).max()),
    }


def as_graphs(graphs: Any, *, n_features: int | None = None) -> list[Graph]:
    """Return a list of `Graph` from graphs, (features, adjacency) tuples, or one of either.

    Raises
    ------
    DataError
        Naming the graph's index: not a graph, swapped, or of another feature width.
    """
    if isinstance(graphs, Graph) or _is_pair(graphs):
        graphs = [graphs]
    try:
        items = list(graphs)
    except TypeError:
        raise DataTypeError(
            "graphs must be a list of Graph or of (features, adjacency); "
            f"got {type(graphs).__name__}."
        ) from None
    if not items:
        raise DataError("graphs is empty: give at least one graph.")
    result = [_as_graph(item, index) for index, item in enumerate(items)]
    wanted = result[0].features.shape[1] if n_features is None else n_features
    for index, graph in enumerate(result):
        if graph.features.shape[1] != wanted:
            raise DataError(
                f"graph {index} has {graph.features.shape[1]} features per node where {wanted} "
                "are expected. Every graph needs the same features."
            )
    return result


def _is_pair(item: Any) -> bool:
    """Tell a single (features, adjacency) pair of arrays from a list of graphs."""
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and all(np.ndim(part) == 2 for part in item if not isinstance(part, Graph | tuple))
        and not any(isinstance(part, Graph | tuple) for part in item)
    )


def _as_graph(item: Any, index: int) -> Graph:
    """Return one graph, its index named in any error."""
    if isinstance(item, Graph):
        return item
    if not isinstance(item, list | tuple) or len(item) != 2:
        kind = type(item)
        family = "networkx " * kind.__module__.startswith("networkx")
        raise DataError(
            f"graph {index} is a {family}{kind.__name__}; give a Graph or (features, adjacency)."
        )
    X, E = item
    if _looks_swapped(X, E):
        raise DataError(
            f"graph {index} looks like (adjacency, features): shapes {np.shape(X)} and "
            f"{np.shape(E)}. Give (features, adjacency)."
        )
    try:
        return Graph(X, E)
    except DataTypeError as error:
        raise DataTypeError(f"graph {index}: {error}") from None
    except DataError as error:
        raise DataError(f"graph {index}: {error}") from None


def _looks_swapped(X: Any, E: Any) -> bool:
    """Tell whether the first is a square 0/1 matrix and the second cannot be one."""
    try:
        first, second = np.shape(X), np.shape(E)
    except ValueError:  # ragged: to be named where it is read
        return False
    return (
        len(first) == 2 == len(second)
        and first[0] == first[1] == second[0]
        and second[0] != second[1]
    )


def _warn_of_odd_graphs(graphs: Sequence[Graph]) -> None:
    """Warn of graphs without a pair, and of features that `sample` would not draw."""
    single = sum(g.n_nodes == 1 for g in graphs)
    if single:
        _warn(
            f"{single} of {len(graphs)} graphs have a single node and so no pair: they say "
            "nothing about a and b."
        )
    sizes = [float(np.abs(g.features).max(initial=0.0)) for g in graphs]
    largest = max(sizes)
    if largest > 1:
        _warn(
            f"features reach {largest:g} in size (graph {sizes.index(largest)}): the fit is right, "
            "but `sample` draws features from [-1, 1]. Rescale them, or give `sample` features."
        )


def _warn(message: str) -> None:
    warnings.warn(message, AncestralWarning, stacklevel=4)


def _say_ignored_loops(graphs: Sequence[Graph]) -> None:
    """Log once that diagonal entries are ignored: a fact about real data, no warning."""
    loops = sum(bool(np.diag(g.adjacency).any()) for g in graphs)
    if loops:
        logger.info(
            "%d of %d graphs have ones on the diagonal of the adjacency; they are ignored: only "
            "pairs of different nodes have a probability.",
            loops,
            len(graphs),
        )
