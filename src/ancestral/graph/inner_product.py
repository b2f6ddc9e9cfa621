"""The inner-product graph model.

    p(e_ij = 1 | x_i, x_j) = sigmoid(a x_i . x_j + b),   pairs i < j independent

With s_ij = x_i . x_j, p_ij = sigmoid(a s_ij + b) and sums over all pairs of all graphs,

    l(a, b)  = sum e_ij (a s_ij + b) - log(1 + exp(a s_ij + b))
    dl/da    = sum (e_ij - p_ij) s_ij,    dl/db = sum (e_ij - p_ij)
    Fisher information I = sum p_ij (1 - p_ij) [s_ij, 1] [s_ij, 1]^T  (= minus the Hessian)

l is concave. Newton's method solves it in a few steps; gradient ascent with the gradient above is
there to be watched. Standard errors are the roots of the diagonal of I^-1. The sums need the
features only through the distribution of s: `pair_sums` finds it by the cheapest of several ways.
Symbols: a slope_, b intercept_.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import clone

from ancestral._fingerprint import fingerprint
from ancestral._validation import (
    FEWER_GRAPHS,
    as_generator,
    check_integer,
    check_n_samples,
    check_number,
    warn,
    within_memory,
)
from ancestral.base import FromStatistics, GraphDensity, MaximumLikelihood, unchanged_by_errors
from ancestral.errors import ModelError
from ancestral.graph.edge_sampling import draw_graph, drawn_shape
from ancestral.graph.graphs import (
    DENSE_NODES,
    Graph,
    as_graphs,
    checked_features,
    refuse_large,
    say_ignored_loops,
    warn_of_odd_graphs,
)
from ancestral.graph.many_graphs import by_size, clustered_covariance, profile_intervals
from ancestral.graph.pair_sums import gather
from ancestral.graph.pairs import (
    KEPT_PAIRS,
    InnerProducts,
    PairStatistics,
    Penalised,
    tolerable_error,
)
from ancestral.graph.solvers import climb, gradient_ascent, newton, settled

if TYPE_CHECKING:
    from ancestral.graph.latent_positions import LatentPositionGraph

__all__ = ["Graph", "InnerProductGraph", "InnerProducts", "as_graphs", "gradient_ascent", "newton"]

MOST_KEPT = 20_000_000  # pairs whose products are kept after all where a grid is too coarse


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
        The ascent's start, and which pairs are sampled where pairs are.
    pairs : {"auto", "products", "visited", "compressed", "sampled"}
        How sums over all pairs are found. "auto" takes the cheapest of the first four that is
        exact or nearly so (`approximation_error_`), and compresses no graph below 20,000 nodes;
        "sampled" takes a stratified sample of the pairs, for many features and nodes, and its
        error is part of the standard errors.
    l2 : float
        Penalty: (l2 / 2)(a^2 + b^2) is taken off the log-likelihood. Above 0 there is a maximum
        whatever the data, separable, empty or complete; it is then no maximum likelihood.
    offset : {None, "log_nodes"}
        "log_nodes" takes log n off the logit in a graph of n nodes, so that degrees, and not
        densities, keep their scale over graphs of differing size.
    n_jobs : int, optional
        Threads for large graphs; by default one for each core. Results do not depend on it.

    Attributes
    ----------
    slope_, intercept_ : float
        a and b.
    standard_errors_ : ndarray of shape (2,)
        Of a and of b, from the Fisher information; see `clustered_standard_errors`.
    covariance_ : ndarray of shape (2, 2)
        The inverse Fisher information.
    log_likelihood_ : float
        At the maximum, in nats, without the penalty.
    approximation_error_ : ndarray of shape (2,)
        How far a and b may be off because pairs were not all visited, in standard errors: an
        upper estimate, 0 while every inner product is kept.
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
    Pairs i < j only. Up to a million pairs in all are kept as inner products; beyond, a pass over
    the pairs costs some nanoseconds each, and any (a, b) then less than a millisecond. With up to
    three features and more than 20,000 nodes a pass over the nodes does, tuned to the (a, b) that
    is asked about. Graphs are drawn exactly at a cost that goes with their edges.

    See Also
    --------
    LatentPositionGraph : the same model where features are not observed but learnt.

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

    @staticmethod
    def with_latent_positions(n_components: int = 2, **settings: Any) -> LatentPositionGraph:
        """Return the same model for a graph whose features nobody observed, not yet fitted.

        Parameters
        ----------
        n_components : int
            Dimension of the positions that stand in for features.
        **settings
            The other parameters of `LatentPositionGraph`.

        Returns
        -------
        LatentPositionGraph
        """
        from ancestral.graph.latent_positions import LatentPositionGraph

        return LatentPositionGraph(n_components, **settings)

    @within_memory(FEWER_GRAPHS)
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
        with unchanged_by_errors(self):
            self._seen = None
            (graphs,) = self._check_chunk(graphs, y, reset=True)
            warn_of_odd_graphs(graphs)
            self._solve(self._settled(graphs))
            self._data_fingerprint = fingerprint(graphs)
        return self

    def _settled(self, graphs: list[Graph]) -> PairStatistics:
        """Return statistics that hold where their own estimate lies."""
        statistics = self._statistics(graphs)
        few = KEPT_PAIRS < statistics.n_pairs <= MOST_KEPT and self.pairs == "auto"
        if statistics.holds_everywhere and not few:
            return statistics
        self._check_solvable(statistics)
        anew = clone(self).set_params(pairs="products") if few else self
        return settled(statistics, lambda at: anew._statistics(graphs, at), l2=self.l2)

    def _check_chunk(self, graphs: Any, y: Any, *, reset: bool) -> tuple[list[Graph]]:
        """Return graphs of one feature width, remembered when `reset`."""
        checked = as_graphs(graphs, n_features=None if reset else self.n_features_)
        say_ignored_loops(checked)
        self.n_features_ = checked[0].features.shape[1]
        return (checked,)

    def _is_enough(self, statistics: PairStatistics) -> bool:
        try:
            self._check_solvable(statistics)
        except ModelError:
            return False
        return True

    def _check_solvable(self, statistics: PairStatistics) -> None:
        """Raise ModelError when there is nothing to maximise, or no maximum and no penalty."""
        if not check_number(self.l2, "l2", minimum=0.0) or not statistics.n_pairs:
            statistics.check_maximum_exists()

    def _statistics(  # type: ignore[override]
        self, graphs: Sequence[Graph], at: tuple[float, float] | None = None
    ) -> PairStatistics:
        if self.offset is None:
            return self._gathered(graphs, at)
        if self.offset != "log_nodes":
            raise ModelError(f'offset must be None or "log_nodes"; got {self.offset!r}.')
        return by_size(graphs, self._gathered, at)

    def _gathered(
        self, graphs: Sequence[Graph], at: tuple[float, float] | None = None
    ) -> PairStatistics:
        return gather(
            graphs, pairs=self.pairs, at=at, n_jobs=self.n_jobs, random_state=self.random_state
        )

    def pair_statistics(self, graphs: Any) -> PairStatistics:
        """Return the sufficient statistic of graphs, as `fit` solves it.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either

        Returns
        -------
        PairStatistics
            With log_likelihood(a, b), gradient(a, b) and information(a, b), and merged by `+`.
            Of compressed graphs they hold near the model's (a, b), or before it is fitted near the
            graphs' own: see `approximation_error(a, b)`; pass pairs="visited" elsewhere.
        """
        checked = as_graphs(graphs, n_features=getattr(self, "n_features_", None))
        at = (self.slope_, self.intercept_) if hasattr(self, "slope_") else None
        return self._statistics(checked, at)

    def _solve(self, statistics: PairStatistics) -> None:
        self._check_solvable(statistics)
        objective = self._objective(statistics)
        settings = {"max_iter": self.max_iter, "tol": self.tol, "random_state": self.random_state}
        self.history_ = history = climb(objective, self.solver, **settings)
        a, b = history[-1]["a"], history[-1]["b"]
        self.slope_, self.intercept_ = a, b
        self.log_likelihood_ = statistics.log_likelihood(a, b)
        self.covariance_ = objective.covariance(a, b)
        self.standard_errors_ = np.sqrt(np.diag(self.covariance_))
        self.approximation_error_ = tolerable_error(objective, a, b)
        self.n_pairs_ = statistics.n_pairs
        last = history[-1]["gradient_norm"]
        if len(history) > self.max_iter and last > self.tol:
            warn(
                f"max_iter={self.max_iter} iterations ended with a gradient of {last:.2g}: not "
                'converged, the maximum is elsewhere. Raise max_iter, or use solver="newton".'
            )

    def _objective(self, statistics: PairStatistics) -> PairStatistics:
        """Return what is maximised: the log-likelihood, less the penalty where there is one."""
        return Penalised(statistics, self.l2) if self.l2 else statistics

    @within_memory(FEWER_GRAPHS)
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
        checked = as_graphs(graphs, n_features=self.n_features_)
        at = self.slope_, self.intercept_
        return np.array([self._statistics([graph], at).log_likelihood(*at) for graph in checked])

    def clustered_standard_errors(self, graphs: Any) -> NDArray[np.float64]:
        """Return standard errors of (a, b) that hold when pairs within a graph are dependent.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples
            What the model was fitted to; two graphs or more.

        Returns
        -------
        ndarray of shape (2,)
            See `many_graphs.clustered_covariance`.
        """
        self._check_fitted()
        checked = as_graphs(graphs, n_features=self.n_features_)
        a, b = self.slope_, self.intercept_
        parts = [self._statistics([graph], (a, b)) for graph in checked]
        return np.sqrt(np.diag(clustered_covariance(parts, a, b)))

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
            A row (low, high) for a, then for b: where twice the drop of the log-likelihood (less
            the penalty, with l2), maximised over the other, is the chi-square quantile.

        Raises
        ------
        ModelError
            For another level, or when the likelihood of these graphs has no finite maximum.
        """
        self._check_fitted()
        statistics = self.pair_statistics(graphs)
        self._check_solvable(statistics)
        objective = self._objective(statistics)
        return profile_intervals(objective, self.slope_, self.intercept_, level=level)

    def _logit(self, s: NDArray[np.float64], n_nodes: int) -> NDArray[np.float64]:
        """Return a s + b, less the offset, in a graph of so many nodes."""
        return self.slope_ * s + self._intercept(n_nodes)

    def _intercept(self, n_nodes: int) -> float:
        return self.intercept_ - (np.log(n_nodes) if self.offset == "log_nodes" else 0.0)

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
        X = checked_features(features)
        refuse_large(
            len(X),
            matrices=3,
            what="the matrix of probabilities",
            mend="Ask for some of the nodes, or draw edges with sample.",
        )
        p = expit(self._logit(X @ X.T, len(X)))
        np.fill_diagonal(p, 0.0)
        return p

    @within_memory(FEWER_GRAPHS)
    def sample(
        self,
        n_samples: int = 1,
        *,
        n_nodes: int | None = None,
        n_features: int | None = None,
        features: ArrayLike | None = None,
        random_state: Any = None,
    ) -> list[Graph]:
        """Draw graphs ancestrally: features first (unless given), then edges.

        Parameters
        ----------
        n_samples : int
        n_nodes : int, optional
            Nodes of each graph; 15 when neither it nor features are given.
        n_features : int, optional
            Width of the features drawn; as in `fit` when not given.
        features : array-like of shape (n_nodes, n_features), optional
            Fixed features for every graph; otherwise uniform on [-1, 1].
        random_state : None, int, RandomState or Generator

        Returns
        -------
        list of Graph
            Of more than 2,000 nodes with a sparse adjacency, drawn without visiting every pair.

        Raises
        ------
        ModelError
            When `features` are of another shape than `n_nodes` and `n_features` say.
        """
        self._check_fitted()
        rng = as_generator(random_state)
        fixed = None if features is None else checked_features(features)
        shape = (15, self.n_features_) if fixed is None else fixed.shape
        nodes, width = drawn_shape(shape, n_nodes, n_features, is_fixed=fixed is not None)
        row_bytes = 16 * nodes * (nodes if nodes <= DENSE_NODES else width)
        n_samples = check_n_samples(n_samples, row_bytes=row_bytes)
        graphs = []
        for _ in range(n_samples):
            X = rng.uniform(-1.0, 1.0, size=(nodes, width)) if fixed is None else fixed
            intercept = self._intercept(len(X))
            graphs.append(draw_graph(X, self.slope_, intercept, rng, n_jobs=self.n_jobs))
        return graphs

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        graphs = as_graphs(X)
        pairs = sum(g.n_nodes * (g.n_nodes - 1) // 2 for g in graphs)
        return float(np.sum(self.log_density(graphs))), pairs

    def _check_state(self) -> None:
        check_integer(self.n_features_, "n_features_", minimum=1)
        finite = np.isfinite([self.slope_, self.intercept_, *self.standard_errors_]).all()
        if not finite or np.shape(self.standard_errors_) != (2,):
            raise ValueError("slope, intercept and two standard errors must be finite")
