"""The inner-product graph model.

    p(e_ij = 1 | x_i, x_j) = sigmoid(a x_i . x_j + b),   pairs i < j independent

With s_ij = x_i . x_j, p_ij = sigmoid(a s_ij + b) and sums over all pairs of all graphs,

    l(a, b)  = sum e_ij (a s_ij + b) - log(1 + exp(a s_ij + b))
    dl/da    = sum (e_ij - p_ij) s_ij,    dl/db = sum (e_ij - p_ij)
    Fisher information I = sum p_ij (1 - p_ij) [s_ij, 1] [s_ij, 1]^T  (= minus the Hessian)

l is concave. Newton's method solves it in a few steps; gradient ascent with the gradient above is
there to be watched. Standard errors are the roots of the diagonal of I^-1. The sums need the
features only through the distribution of s: `pairs.gather` finds it in the cheapest of several
ways.
Symbols: a slope_, b intercept_.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import expit

from ancestral._checks.numbers import (
    FEWER_GRAPHS,
    as_generator,
    check_integer,
    check_level,
    check_n_samples,
    check_number,
    warn,
    within_memory,
)
from ancestral.base import FromStatistics, GraphDensity, MaximumLikelihood
from ancestral.errors import DataError, ModelError
from ancestral.graph.adjacency import DENSE_NODES
from ancestral.graph.edge_predictions import PredictsEdges
from ancestral.graph.edges.sampling import draw_graph, drawn_shape
from ancestral.graph.features import FeatureRows
from ancestral.graph.graphs import (
    Graph,
    as_graphs,
    checked_features,
    column_names,
    refuse_large,
    say_ignored_loops,
    warn_of_odd_graphs,
)
from ancestral.graph.inference import (
    clustered_covariance,
    profile_intervals,
    refuse_other_graphs,
    tolerable_error,
)
from ancestral.graph.looks import checked_part, pairs_of
from ancestral.graph.pairs.gather import STACKED, gather, keep, likelihoods
from ancestral.graph.pairs.passes import products
from ancestral.graph.pairs.sums import RELATIVE, TOLERANCE, PairSums
from ancestral.graph.solvers import climb, gradient_ascent, newton

__all__ = [
    "Graph",
    "InnerProductGraph",
    "PairSums",
    "as_graphs",
    "gradient_ascent",
    "keep",
    "newton",
]

ROUNDS = 3  # of gathering sums anew, for the estimates that the last ones gave
UNIFORM = "uniform"


class InnerProductGraph(PredictsEdges, MaximumLikelihood, FromStatistics, GraphDensity):
    """Edges between nodes with probability sigmoid(a x_i . x_j + b), by maximum likelihood.

    Parameters
    ----------
    solver : {"newton", "gradient_ascent"}
        Newton's method converges in a few steps. Gradient ascent takes many: it starts at a random
        point, and the likelihood rises at every step. It is for showing the path.
    max_iter : int
        The most iterations of either solver.
    tol : float
        Gradient ascent stops when no component of the gradient is larger, in nats per unit of a or
        b. Newton's method always runs to the limit of float64.
    random_state : None, int, RandomState or Generator
        Draws the start of gradient ascent, and the pairs if pairs="sampled".
    pairs : {"auto", "products", "visited", "compressed", "sampled"}
        How sums over all pairs are computed. "products" keeps every inner product. "visited" visits
        every pair. "compressed" replaces groups of nodes by a few, for many nodes with few
        features. "auto" takes the cheapest of these that is exact or nearly exact (see
        `approximation_error_`). "sampled" takes a stratified sample of the pairs, for many nodes
        with many features; the sampling error is included in the standard errors.
    l2 : float
        Penalty: (l2 / 2)(a^2 + b^2) is subtracted from the log-likelihood. With l2 above 0 there is
        a maximum for any data, also for separable, empty or complete graphs. It is then not the
        maximum of the likelihood.
    offset : {None, "log_nodes"}
        "log_nodes" subtracts log n from the logit in a graph of n nodes. Then mean degrees, instead
        of densities, are comparable between graphs of different sizes.
    n_jobs : int, optional
        The number of threads for large graphs; by default one for each core. Results do not depend
        on it.

    Attributes
    ----------
    slope_, intercept_ : float
        a and b.
    standard_errors_ : ndarray of shape (2,)
        Standard errors of a and of b from the Fisher information, if dyads are independent. If they
        are not, see `clustered_standard_errors`.
    covariance_ : ndarray of shape (2, 2)
        Covariance of a and b: the inverse Fisher information, to whose diagonal l2 is added.
    log_likelihood_ : float
        Log-likelihood at the maximum, in nats, without the penalty.
    approximation_error_ : ndarray of shape (2,)
        How far a and b may be off because not all pairs were visited, in standard errors. It is an
        upper estimate, and 0 if every inner product was kept.
    history_ : list of dict
        For each iteration: "a", "b", "log_likelihood", "increase" and "gradient_norm" (the largest
        component of the gradient).
    n_pairs_ : int
        The number of known dyads in `fit`.
    n_features_ : int
        The number of features.
    feature_names_in_ : ndarray of str of shape (n_features_,)
        Names of the features, if the graphs have names.
    feature_rows_ : ndarray of shape (n_rows, n_features_)
        Up to 2,000 distinct rows of features of the fit. `sample` draws new nodes from them.
    feature_counts_ : ndarray of shape (n_rows,)
        How many nodes had each of these rows.
    n_parameters_ : int
        2.

    Notes
    -----
    Each pair i < j counts once. Up to about 30,000 pairs, all inner products are kept. With more
    pairs, one pass over them, at a few nanoseconds each, puts the inner products on a grid;
    the likelihood at any (a, b) then costs some microseconds. In large graphs (more than about
    4,000 nodes with one feature, 5,000 with two, 40,000 with three) a pass over the nodes is
    enough, for the (a, b) in question. Draws of graphs are exact, and their cost is proportional to
    the number of edges.

    See Also
    --------
    LatentPositionGraph : the same model with positions that are learnt instead of features.

    References
    ----------
    Albert & Anderson (1984), Biometrika 71: when logistic likelihoods have a finite maximum.
    Krivitsky, Handcock & Morris (2011), Statistical Methodology 8: the offset by network size.

    Examples
    --------
    >>> from ancestral import datasets
    >>> model = InnerProductGraph().fit(datasets.classrooms(200, random_state=1))
    >>> bool(abs(model.slope_ - 5.5) < 3 * model.standard_errors_[0])
    True
    """

    _fields: tuple[str, ...] = (
        "n_features_", "history_", "slope_", "intercept_", "log_likelihood_", "covariance_",
        "standard_errors_", "approximation_error_", "n_pairs_", "feature_rows_", "feature_counts_",
    )  # fmt: skip

    _where_memory_is_short = FEWER_GRAPHS
    n_parameters_ = 2
    n_features_: int

    def __init__(
        self,
        solver: str = "newton",
        *,
        max_iter: int = 1000,
        tol: float = 1e-5,
        random_state: Any = None,
        pairs: str = "auto",
        l2: float = 0.0,
        offset: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.pairs = pairs
        self.l2 = l2
        self.offset = offset
        self.n_jobs = n_jobs

    def _checked(self, graphs: Any) -> tuple[list[Graph]]:
        return self._check_chunk(graphs, None, reset=True)

    def _fit(self, graphs: list[Graph]) -> None:
        warn_of_odd_graphs(graphs)
        self._solve(self._statistics(graphs))

    def _check_chunk(self, graphs: Any, y: Any, *, reset: bool) -> tuple[list[Graph]]:
        """Return graphs of one feature width and names, remembered when `reset`."""
        checked = as_graphs(graphs) if reset else self._check_graphs(graphs)
        say_ignored_loops(checked)
        if reset:
            self.n_features_ = checked[0].n_features
            if not self.n_features_:
                raise DataError(
                    "the nodes have no features for x_i . x_j: give a table of their "
                    "attributes, or fit LatentPositionGraph, which learns positions from the links."
                )
        names = next((graph.feature_names for graph in checked if graph.feature_names), None)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        return (checked,)

    def _check_graphs(self, graphs: Any) -> list[Graph]:
        """Return graphs of the features of the fit, in their order."""
        names = [str(name) for name in getattr(self, "feature_names_in_", [])]
        return as_graphs(graphs, n_features=self.n_features_, feature_names=names)

    def _is_enough(self, statistics: PairSums) -> bool:
        try:
            self._check_solvable(statistics)
        except ModelError:
            return False
        return True

    def _check_solvable(self, statistics: PairSums) -> None:
        """Raise ModelError when there is nothing to maximise, or no maximum and no penalty."""
        if not check_number(self.l2, "l2", minimum=0.0) or not statistics.n_pairs:
            statistics.check_maximum_exists()

    def _statistics(self, graphs: Sequence[Graph]) -> PairSums:
        return self._gathered(graphs).beside(features=FeatureRows.of(graphs))

    def _check_part(self, *given: Any, reset: bool) -> tuple[Any, ...]:
        return checked_part(self._check_chunk, *given, reset=reset)

    def _fit_parts(self, parts: Any) -> None:
        self._solve(pairs_of(parts, self))

    def _gathered(
        self,
        graphs: Sequence[Graph],
        at: tuple[float, float] | None = None,
        pairs: str | None = None,
    ) -> PairSums:
        """Return the sums over pairs of graphs, which hold at (a, b) or near their maximum."""
        if self.offset not in (None, "log_nodes"):
            raise ModelError(f'offset must be None or "log_nodes"; got {self.offset!r}.')
        return gather(
            graphs,
            pairs=pairs or self.pairs,
            at=at,
            by_size=self.offset is not None,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def pair_statistics(self, graphs: Any) -> PairSums:
        """Return the sums over pairs that `fit` uses to find a and b.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either

        Returns
        -------
        PairSums
            With `log_likelihood(a, b)`, `gradient(a, b)` and `information(a, b)`. Each agrees with
            the sum over all pairs to 1e-8 (with pairs="sampled", up to the sampling error). Sums of
            two sets of graphs are merged by `+`.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> model = InnerProductGraph().fit(graphs)
        >>> sums = model.pair_statistics(graphs)
        >>> bool(np.allclose(sums.gradient(model.slope_, model.intercept_), 0, atol=1e-6))
        True
        """
        if not hasattr(self, "slope_"):
            return self._gathered(as_graphs(graphs))
        return self._gathered(self._check_graphs(graphs), (self.slope_, self.intercept_))

    def _solve(self, statistics: PairSums) -> None:
        self._check_solvable(statistics)
        settings = {"max_iter": self.max_iter, "tol": self.tol, "random_state": self.random_state}
        objective = self._objective(statistics)
        for _ in range(ROUNDS):
            history = climb(objective, self.solver, **settings)
            a, b = history[-1]["a"], history[-1]["b"]
            if objective.source is None or objective.holds_everywhere:
                break
            if objective.approximation_error(a, b).max() <= TOLERANCE:
                break
            objective = self._objective(objective.source.gathered((a, b)))
        self.history_, self.slope_, self.intercept_ = history, a, b
        self.log_likelihood_ = self._likelihood_at(objective.penalised(0.0), a, b)
        self.covariance_ = objective.covariance(a, b)
        self.standard_errors_ = np.sqrt(self.covariance_.diagonal())
        self.approximation_error_ = tolerable_error(objective, a, b)
        self.n_pairs_ = statistics.n_pairs
        if statistics.features is not None:
            self.feature_rows_ = statistics.features.rows
            self.feature_counts_ = statistics.features.counts
        last = history[-1]["gradient_norm"]
        if len(history) > self.max_iter and last > self.tol:
            warn(
                f"max_iter={self.max_iter} iterations ended with a gradient of {last:.2g}: not "
                'converged, the maximum is elsewhere. Raise max_iter, or use solver="newton".'
            )

    def _likelihood_at(self, statistics: PairSums, a: float, b: float) -> float:
        """Return l(a, b); warn of what it may be off by, where graphs are no longer held."""
        loose = statistics.source is None and statistics.doubted(a, b) > RELATIVE
        if loose:
            warn(
                "the graphs of this stream were compressed and too large to be kept: "
                f"log_likelihood_ may be off by {statistics.doubted(a, b):.1g} of itself. Use "
                "log_density, graph by graph, or fit all graphs in one call of fit."
            )
        return statistics.at(a, b, maximised=loose).scores(a, b)[0]

    def _objective(self, statistics: PairSums) -> PairSums:
        """Return what is maximised: the log-likelihood, less the penalty where there is one."""
        return statistics.penalised(self.l2)

    @within_memory(FEWER_GRAPHS)
    def log_density(self, graphs: Any) -> NDArray[np.float64]:
        """Return log p(E | X) of each graph, in nats, without a density of the features.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either

        Returns
        -------
        ndarray of shape (n_graphs,)

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> model = InnerProductGraph().fit(graphs)
        >>> bool(np.isclose(model.log_density(graphs).sum(), model.log_likelihood_))
        True
        """
        self._check_fitted()
        at = self.slope_, self.intercept_
        checked = self._check_graphs(graphs)
        values = np.empty(len(checked))
        kept = self.pairs in ("auto", "products")
        small = [kept and graph.n_nodes <= STACKED for graph in checked]
        some = [graph for graph, is_small in zip(checked, small, strict=True) if is_small]
        values[small] = likelihoods(some, *at, by_size=self.offset is not None)
        for k in np.flatnonzero(~np.array(small)):
            values[k] = self._gathered([checked[k]], at).log_likelihood(*at)
        return values

    def clustered_standard_errors(self, graphs: Any) -> NDArray[np.float64]:
        """Return standard errors of (a, b) that stay valid when pairs within a graph are dependent.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples
            What the model was fitted to; two graphs or more.

        Returns
        -------
        ndarray of shape (2,)
            Of a and of b.

        Raises
        ------
        DataError
            For fewer than two graphs with a pair of nodes, and for graphs that are not those of the
            fit.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> InnerProductGraph().fit(graphs).clustered_standard_errors(graphs).shape
        (2,)
        """
        self._check_fitted()
        checked = self._check_graphs(graphs)
        a, b = self.slope_, self.intercept_
        self._refuse_other_graphs(checked, self._gathered(checked, (a, b)))
        parts = [self._objective(self._gathered([graph], (a, b))) for graph in checked]
        return np.sqrt(np.diag(clustered_covariance(parts, a, b)))

    def _refuse_other_graphs(self, graphs: list[Graph], statistics: PairSums) -> None:
        """Raise DataError for graphs that are not those of the fit."""
        theta = self.slope_, self.intercept_
        refuse_other_graphs(self, graphs, statistics, self._objective(statistics), theta)

    def confidence_intervals(self, graphs: Any, *, level: float = 0.95) -> NDArray[np.float64]:
        """Return profile-likelihood intervals of a and of b.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either
            What the model was fitted to.
        level : float
            Between 0 and 1.

        Returns
        -------
        ndarray of shape (2, 2)
            A row (low, high) for a, then for b. The ends are where the log-likelihood (minus the
            penalty, with l2), maximised over the other parameter, is lower than its maximum by half
            the chi-square quantile.

        Raises
        ------
        DataError
            For graphs that are not those of the fit.
        ModelError
            For a `level` outside 0 to 1, or when an interval has no end because the likelihood does
            not fall enough.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> model = InnerProductGraph().fit(graphs)
        >>> (low, high), _ = model.confidence_intervals(graphs)
        >>> bool(low < model.slope_ < high)
        True
        """
        self._check_fitted()
        check_level(level)
        checked = self._check_graphs(graphs)
        statistics = self._gathered(checked, (self.slope_, self.intercept_))
        self._refuse_other_graphs(checked, statistics)
        objective = self._objective(statistics)
        return profile_intervals(objective, self.slope_, self.intercept_, level=level)

    def _logit(self, s: NDArray[np.float64], n_nodes: int) -> NDArray[np.float64]:
        """Return a s + b, less the offset, in a graph of so many nodes."""
        return self.slope_ * s + self._intercept(n_nodes)

    def _intercept(self, n_nodes: int) -> float:
        return self.intercept_ - (np.log(n_nodes) if self.offset == "log_nodes" else 0.0)

    def probabilities(self, features: ArrayLike | Graph) -> NDArray[np.float64]:
        """Return p_ij of every pair of nodes.

        Parameters
        ----------
        features : array-like or dataframe of shape (n_nodes, n_features), or Graph
            The columns of a dataframe are matched by name, and text becomes features of 0 and 1, as
            in `fit`. Of a Graph only the features are used.

        Returns
        -------
        ndarray of shape (n_nodes, n_nodes)
            Symmetric; zero on the diagonal.

        Raises
        ------
        DataError
            When the features are not those of the fit.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> p = InnerProductGraph().fit(graphs).probabilities(graphs[0])
        >>> p.shape, bool((p == p.T).all())
        ((15, 15), True)
        """
        self._check_fitted()
        nodes: Any = features
        if not isinstance(nodes, Graph):
            held = nodes if column_names(nodes) is not None else checked_features(nodes)
            nodes = Graph(held, sparse.csr_array((len(held), len(held))))
        X = self._check_graphs(nodes)[0].features
        refuse_large(
            len(X),
            matrices=3,
            what="the matrix of probabilities",
            mend="Ask for some of the nodes, or draw edges with sample.",
        )
        p = expit(self._logit(X @ X.T, len(X)))
        np.fill_diagonal(p, 0.0)
        return p

    def _one_graph(self, graph: Any) -> Graph:
        checked = self._check_graphs(graph)
        if len(checked) != 1:
            raise DataError(f"expected one graph; got {len(checked)}. Give each by itself.")
        return checked[0]

    def _pair_probabilities(
        self, graph: Graph, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        found: NDArray[np.float64] = expit(
            self._logit(products(graph.features, i, j), graph.n_nodes)
        )
        return found

    @within_memory(FEWER_GRAPHS)
    def sample(
        self,
        n_samples: int = 1,
        *,
        n_nodes: int | None = None,
        n_features: int | None = None,
        features: ArrayLike | Graph | None = None,
        random_state: Any = None,
    ) -> list[Graph]:
        """Draw graphs ancestrally: features first (unless given), then edges.

        Parameters
        ----------
        n_samples : int
        n_nodes : int, optional
            Nodes of each graph; 15 when neither it nor features are given.
        n_features : int, optional
            The number of features to draw; by default as in `fit`.
        features : array-like of shape (n_nodes, n_features), Graph, or "uniform", optional
            The features of every graph: given ones, those of a Graph, or "uniform" for uniform
            draws on [-1, 1]. Without it, each node gets the features of a node of the fit, drawn
            with replacement.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        list of Graph
            Graphs of more than 2,000 nodes have a sparse adjacency; every pair is visited only if
            that is cheaper. Their features have the names of those of the fit.

        Raises
        ------
        DataError
            For a dataframe whose features are not those of the fit, and for features without rows.
        ModelError
            When the shape of `features` is not (n_nodes, n_features); when no `features` are given
            and the model keeps none, or keeps rows of another number of features.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> model = InnerProductGraph().fit(graphs)
        >>> drawn = model.sample(2, features=graphs[0].features, random_state=0)
        >>> [graph.n_nodes for graph in drawn]
        [15, 15]
        """
        self._check_fitted()
        rng = as_generator(random_state)
        is_drawn = features is None or (isinstance(features, str) and features == UNIFORM)
        given, fixed = (None, None) if is_drawn else self._given_nodes(features)
        shape = (15, self.n_features_) if fixed is None else fixed.shape
        nodes, width = drawn_shape(shape, n_nodes, n_features, is_fixed=fixed is not None)
        row_bytes = 16 * nodes * (nodes if nodes <= DENSE_NODES else width)
        n_samples = check_n_samples(n_samples, row_bytes=row_bytes)
        seen = None if fixed is not None or features is not None else self._seen_features(width)
        held = getattr(self, "feature_names_in_", None)
        names = None if held is None or len(held) != width else tuple(map(str, held))
        settings: dict[str, Any] = {"n_jobs": self.n_jobs, "feature_names": names}
        graphs = []
        for _ in range(n_samples):
            if fixed is not None:
                X = fixed
            elif seen is not None:
                X = seen.draw(nodes, rng)
            else:
                X = rng.uniform(-1.0, 1.0, size=(nodes, width))
            intercept = self._intercept(len(X))
            drawn = draw_graph(X, self.slope_, intercept, rng, **settings)
            graphs.append(drawn if given is None else given.replaced(adjacency=drawn.adjacency))
        return graphs

    def _given_nodes(self, features: Any) -> tuple[Graph | None, NDArray[np.float64]]:
        """Return what is given of nodes, and their features in the fit's order.

        That is a graph without links, or None where only numbers are given.
        """
        if isinstance(features, Graph):
            one = self._one_graph(features)
            return one.replaced(unknown=None, pair_features={}), one.features
        if column_names(features) is None:
            X = checked_features(features)
            if not len(X):
                raise DataError("features have no rows: a graph needs at least one node.")
            return None, X
        nodes = Graph(features, sparse.csr_array((len(features), len(features))))
        if nodes.n_features == self.n_features_ or nodes.has_levels:
            nodes = self._check_graphs(nodes)[0]
        return nodes, nodes.features

    def _seen_features(self, width: int) -> FeatureRows:
        """Return the features that draws are made from; ModelError where they are not known."""
        mend = 'Pass features= for the nodes, or features="uniform" to draw them from [-1, 1].'
        if not hasattr(self, "feature_rows_"):
            raise ModelError(f"this model keeps no features of its fit to draw from. {mend}")
        if width != self.n_features_:
            raise ModelError(
                f"n_features={width}, but nodes of the fit have {self.n_features_} features. {mend}"
            )
        return FeatureRows(self.feature_rows_, self.feature_counts_)

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        graphs = as_graphs(X)
        pairs = sum(graph.n_pairs for graph in graphs)
        if not pairs:
            raise DataError("there is no pair of nodes: give a graph with two nodes or more.")
        return float(np.sum(self.log_density(graphs))), pairs

    def _n_pairs_of(self, graphs: Any) -> list[int]:
        return [graph.n_pairs for graph in as_graphs(graphs)]

    def _check_state(self) -> None:
        check_integer(self.n_features_, "n_features_", minimum=1)
        finite = np.isfinite([self.slope_, self.intercept_, *self.standard_errors_]).all()
        if not finite or np.shape(self.standard_errors_) != (2,):
            raise ValueError("slope, intercept and two standard errors must be finite")
        held = [hasattr(self, f"feature_{kind}_") for kind in ("rows", "counts")]
        if any(held) and not all(held):
            raise ValueError("rows of features and their counts belong together")
        if all(held) and not self._is_distribution(self.feature_rows_, self.feature_counts_):
            raise ValueError("features must be finite, one row for each count above 0")

    def _is_distribution(self, rows: Any, counts: Any) -> bool:
        """Tell whether these can be rows of features, and how often each occurred."""
        whole = isinstance(counts, np.ndarray) and counts.dtype.kind in "iu" and counts.ndim == 1
        if not whole or not len(counts) or not (counts > 0).all():
            return False
        wide = isinstance(rows, np.ndarray) and rows.shape == (len(counts), self.n_features_)
        return wide and rows.dtype == np.float64 and bool(np.isfinite(rows).all())
