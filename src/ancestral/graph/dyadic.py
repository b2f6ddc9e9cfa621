"""Graphs whose edges follow terms of pairs of nodes.

    logit p(e_ij = 1) = b + sum_k theta_k t_k(x_i, x_j),   dyads independent

over unordered pairs, or ordered ones of directed graphs. With t_0 = 1, theta_0 = b and sums over
the known dyads of all graphs,

    l(theta)    = sum e_ij eta_ij - log(1 + exp(eta_ij))
    dl/dtheta_k = sum (e_ij - p_ij) t_k(i, j)
    I_kl        = sum p_ij (1 - p_ij) t_k(i, j) t_l(i, j)        (minus the Hessian)

l is concave: Newton's method climbs it, from the maximum over a sample of the dyads where they are
many. Standard errors are the roots of the diagonal of I^-1. The inner product is one term of many
here; `InnerProductGraph` is the model of that term alone, with faster ways to its sums.
Symbols: theta_k coef_, b intercept_.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit
from scipy.stats import norm

from ancestral._checks.containers import opened
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
from ancestral._printed import Summary, Table, one_table
from ancestral.base import FromStatistics, GraphDensity, MaximumLikelihood
from ancestral.errors import DataError, ModelError
from ancestral.graph.adjacency import DENSE_NODES, one_way, symmetric
from ancestral.graph.edge_predictions import PredictsEdges
from ancestral.graph.edges.dyads import blocks, draw_links
from ancestral.graph.graph import Graph, refuse_large
from ancestral.graph.graphs import as_graphs, say_ignored_loops
from ancestral.graph.identification import refuse_dependent, refuse_empty, refuse_separated
from ancestral.graph.inference import (
    LikelihoodRatio,
    clustered_covariance,
    likelihood_ratio,
    profile_intervals,
    refuse_other_graphs,
)
from ancestral.graph.looks import checked_part, dyads_of
from ancestral.graph.nodes import NodeRows
from ancestral.graph.pairs.dyad_sums import DyadSums, dyad_sums
from ancestral.graph.pairs.dyads import AT_ONCE, KEPT
from ancestral.graph.pairs.logistic import FLAT_TERMS, guarded_inverse
from ancestral.graph.solvers import MOST_STEPS, SAME, maximise
from ancestral.graph.terms import Evaluation, Term, evaluations, parsed

Float = NDArray[np.float64]
Index = NDArray[np.int64]

VISIT = 4e-9  # seconds of a dyad and term, at each evaluation
LONG = 120.0  # seconds that are worth a warning


class DyadicGraph(PredictsEdges, MaximumLikelihood, FromStatistics, GraphDensity):
    """Edges with probability sigmoid(b + sum of terms of the dyad), by maximum likelihood.

    Parameters
    ----------
    terms : list of str
        The terms: functions of a dyad (a pair of nodes), each with its own coefficient theta_k.

        - "inner_product": the sum over features of x_i x_j, where a level that both nodes have
          counts 1; "inner_product:age+house" is the sum over some features;
        - "match:house": 1 if both nodes have the same value;
        - "absdiff:age", "sum:age", "product:age": |x_i - x_j|, x_i + x_j and x_i x_j of a number;
        - "sender:age", "receiver:age": the value of the node where a link begins, and of the node
          where it ends (directed graphs);
        - "pair:distance": the entry of a matrix, `Graph(..., pair_features={"distance": M})`.

        NAME=LEVEL, as in "sum:sex=female", is an attribute that is 1 for that level and 0
        otherwise. Features can also be named by their column numbers: 0, 1, and so on.
    l2 : float
        Penalty: (l2 / 2)(b^2 + sum theta_k^2) is subtracted from the log-likelihood. With l2 above
        0 there is a maximum for any data. It is then not the maximum of the likelihood, and depends
        on the units of the terms.
    max_iter : int
        The most steps of Newton's method.
    n_jobs : int, optional
        The number of threads for large graphs; by default one for each core. Results do not depend
        on it.

    Attributes
    ----------
    terms_ : list of str
        The terms, in the order of `coef_`.
    coef_ : ndarray of shape (n_terms,)
        theta, in logits per unit of each term.
    intercept_ : float
        b: the logit of a dyad whose terms are all 0.
    standard_errors_ : ndarray of shape (1 + n_terms,)
        Standard errors of b, then of each coefficient, if dyads are independent. If they are not,
        see `clustered_standard_errors`.
    covariance_ : ndarray of shape (1 + n_terms, 1 + n_terms)
        Covariance of b and the coefficients: the inverse Fisher information, to whose diagonal l2
        is added.
    log_likelihood_ : float
        Log-likelihood at the maximum, in nats, without the penalty.
    history_ : list of dict
        For each iteration: "log_likelihood" minus the penalty, "increase" and "gradient_norm".
    n_pairs_, n_edges_ : int
        The number of known dyads in `fit`, and how many of them are linked.
    directed_ : bool
        Whether links have a direction.
    feature_names_in_ : ndarray of str of shape (n_attributes,)
        Names of the attributes of nodes, if they have names.
    node_rows_, node_counts_, node_levels_
        Up to 2,000 distinct rows of attributes (levels are numbers, their places in
        `node_levels_`), and how many nodes had each row. `sample` draws new nodes from them.
    n_parameters_ : int
        1 + n_terms.

    Notes
    -----
    Sums over dyads cost some nanoseconds for each dyad and term, and a fit needs about five. If
    nodes have few different values, equal dyads are counted instead, so that a million nodes cost
    only as much as their edges. Memory is proportional to the numbers of nodes, edges and unknown
    dyads. Attributes are centred before terms are computed, so that large offsets lose no digits.

    See Also
    --------
    InnerProductGraph : the term "inner_product" alone, faster for many nodes with few features.

    References
    ----------
    Holland & Leinhardt (1981), JASA 76: exponential families of directed graphs.
    Handcock, Hunter, Butts, Goodreau & Morris (2008), Journal of Statistical Software 24: the
    terms, and models of independent dyads as logistic regressions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> age, house = rng.integers(20, 60, 80), rng.integers(0, 3, 80)
    >>> eta = -1 - 0.1 * abs(age[:, None] - age) + 1.5 * (house[:, None] == house)
    >>> links = np.triu(rng.random((80, 80)) < expit(eta), 1)
    >>> graph = Graph(np.c_[age, house], links | links.T, ["age", "house"])
    >>> model = DyadicGraph(["absdiff:age", "match:house"]).fit(graph)
    >>> bool((abs(model.coef_ - [-0.1, 1.5]) < 4 * model.standard_errors_[1:]).all())
    True
    """

    _fields: tuple[str, ...] = (
        "terms_", "coef_", "intercept_", "standard_errors_", "covariance_", "log_likelihood_",
        "history_", "n_pairs_", "n_edges_", "directed_", "node_levels_", "node_rows_",
        "node_counts_",
    )  # fmt: skip

    _where_memory_is_short = FEWER_GRAPHS
    terms_: list[str]
    coef_: Float
    intercept_: float

    def __init__(
        self,
        terms: Sequence[str],
        *,
        l2: float = 0.0,
        max_iter: int = MOST_STEPS,
        n_jobs: int | None = None,
    ) -> None:
        self.terms = terms
        self.l2 = l2
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Number of coefficients, the intercept among them."""
        return 1 + len(self.coef_)

    # ---- fitting -----------------------------------------------------------------------------

    def _checked(self, graphs: Any) -> tuple[list[Graph]]:
        return self._check_chunk(graphs, None, reset=True)

    def _check_chunk(self, graphs: Any, y: Any, *, reset: bool) -> tuple[list[Graph]]:
        """Return graphs, whose attributes the terms will look up by their names."""
        checked = as_graphs(graphs, directed=True, with_features=False)
        say_ignored_loops(checked)
        names = next((graph.attribute_names for graph in checked if graph.attribute_names), ())
        return ([_named(graph, names) for graph in checked],)

    def _check_graphs(self, graphs: Any) -> list[Graph]:
        """Return graphs of the kind of the fit, attributes without names called as there."""
        checked = as_graphs(graphs, directed=True, with_features=False)
        for index, graph in enumerate(checked):
            if graph.directed and not self.directed_:
                raise DataError(
                    f"graph {index} is directed, and the model was fitted to undirected ones: give "
                    'graph.undirected("union"), or fit a model to directed graphs.'
                )
            if self.directed_ and not graph.directed:
                raise DataError(
                    f"graph {index} is undirected, and the model was fitted to directed ones: make "
                    "it Graph(features, adjacency, directed=True), each of whose edges leads both "
                    "ways, or fit another model to undirected graphs."
                )
        names = self._names() or ()
        if any(levels is not None for levels in self.node_levels_):
            names = ()  # places say nothing where columns are spread to levels
        return [_named(graph, names) for graph in checked]

    def _statistics(self, graphs: Sequence[Graph]) -> DyadSums:
        return self._sums(graphs).beside(NodeRows.of(graphs))

    def _sums(self, graphs: Sequence[Graph]) -> DyadSums:
        return dyad_sums(parsed(self.terms), graphs, n_jobs=self.n_jobs)

    def _check_part(self, *given: Any, reset: bool) -> tuple[Any, ...]:
        return checked_part(self._check_chunk, *given, reset=reset)

    def _fit_parts(self, parts: Any) -> None:
        self._solve(dyads_of(parts, self))

    def _is_enough(self, statistics: DyadSums) -> bool:
        if check_number(self.l2, "l2", minimum=0.0):
            return statistics.n_pairs > 0
        try:
            sums = statistics.centred()
            refuse_empty(sums)
            refuse_dependent(sums, sums, [term.text for term in parsed(self.terms)])
        except ModelError:
            return False
        return True

    def _fit(self, graphs: list[Graph]) -> None:
        self._solve(self._statistics(graphs))

    def _solve(self, statistics: DyadSums) -> None:
        l2 = check_number(self.l2, "l2", minimum=0.0)
        max_iter = check_integer(self.max_iter, "max_iter", minimum=1)
        names = [term.text for term in parsed(self.terms)]
        sums = statistics.penalised(l2).centred()
        refuse_empty(sums)
        seconds = 5 * VISIT * sums.n_visits * (1 + len(names))
        if seconds > LONG:
            warn(
                f"the fit visits {sums.n_visits:.2g} dyads at each of some five steps: about "
                f"{seconds / 60:.0f} minutes of a core. Terms of few different values (round "
                'numbers, levels) take no visits, and InnerProductGraph is faster for "inner_'
                'product" alone.'
            )

        def refuse(step: Float) -> None:
            refuse_separated(sums, step, names)

        theta, found, self.history_ = maximise(
            sums.evaluate,
            self._start(sums, names),
            refuse=refuse,
            max_iter=max_iter,
            same=SAME if sums.n_visits > KEPT else 0.0,
        )
        own = sums.own(theta)
        self.terms_, self.intercept_, self.coef_ = names, float(own[0]), own[1:].copy()
        covariance = guarded_inverse(found.information, FLAT_TERMS)
        self.covariance_ = sums.own_covariance(covariance)
        self.standard_errors_ = np.sqrt(self.covariance_.diagonal())
        self.log_likelihood_ = found.value + l2 / 2 * float(own @ own)
        self.n_pairs_, self.n_edges_ = sums.n_pairs, sums.n_edges
        self.directed_ = sums.directed
        nodes: NodeRows = sums.features
        self.__dict__.pop("feature_names_in_", None)
        if nodes.are_named:
            self.feature_names_in_ = np.array(nodes.names, dtype=object)
        self.node_levels_ = [None if held is None else list(held) for held in nodes.levels]
        self.node_rows_, self.node_counts_ = nodes.rows.rows, nodes.rows.counts
        left = float(found.gradient @ covariance @ found.gradient) ** 0.5
        if len(self.history_) > max_iter and left > 1e-4:
            warn(
                f"max_iter={max_iter} steps ended {left:.2g} standard errors short of the maximum: "
                "not converged. Raise max_iter."
            )

    def _start(self, sums: DyadSums, names: Sequence[str]) -> Float:
        """Return coefficients to climb from: of a sample of dyads, or of links without terms."""
        share = min(max(sums.n_edges, 0.5), sums.n_pairs - 0.5) / sums.n_pairs
        start = np.zeros(1 + len(names))
        start[0] = np.log(share / (1 - share))
        pilot = sums.pilot()
        sampled = sums if pilot is None else pilot
        told = bool(sums.l2) or refuse_dependent(sums, sampled, names)
        if pilot is None or not told:
            return start

        def refuse(step: Float) -> None:
            refuse_separated(sums, step, names)
            raise _UnfitSample

        try:
            return maximise(pilot.evaluate, start, refuse=refuse)[0]
        except _UnfitSample:
            return start

    # ---- scoring -----------------------------------------------------------------------------

    def _terms(self) -> list[Term]:
        return parsed(self.terms_)

    @property
    def _theta(self) -> Float:
        """b, then the coefficients."""
        return np.append(self.intercept_, self.coef_)

    def _local(self, terms: Evaluation) -> Float:
        """Return the coefficients of 1 and of terms less their constants."""
        theta = self._theta
        theta[0] += self.coef_ @ terms.shift
        return theta

    @within_memory(FEWER_GRAPHS)
    def log_density(self, graphs: Any) -> Float:
        """Return log p(E | X) of the known dyads of each graph, in nats.

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
        >>> model = DyadicGraph(["inner_product"]).fit(graphs)
        >>> bool(np.isclose(model.log_density(graphs).sum(), model.log_likelihood_))
        True
        """
        self._check_fitted()
        checked = self._check_graphs(graphs)
        terms, theta = self._terms(), self._theta
        sums = (dyad_sums(terms, [graph], n_jobs=self.n_jobs) for graph in checked)
        return np.array([one.log_likelihood(*theta) for one in sums])

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        self._check_fitted()
        graphs = self._check_graphs(X)
        pairs = sum(graph.n_pairs for graph in graphs)
        if not pairs:
            raise DataError("no dyad is known: give a graph with two nodes or more.")
        return float(np.sum(self.log_density(graphs))), pairs

    def _n_pairs_of(self, graphs: Any) -> list[int]:
        return [graph.n_pairs for graph in self._check_graphs(graphs)]

    def probabilities(self, graph: Any) -> Float:
        """Return p_ij of every pair of nodes of a graph, known or not.

        Parameters
        ----------
        graph : Graph, or (features, adjacency)
            Only its attributes are used, not its edges.

        Returns
        -------
        ndarray of shape (n_nodes, n_nodes)
            Probability of a link from i to j; 0 on the diagonal, and symmetric unless the model is
            directed.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> DyadicGraph(["inner_product"]).fit(graphs).probabilities(graphs[0]).shape
        (15, 15)
        """
        self._check_fitted()
        found = self._nodes_of(graph)
        refuse_large(
            found.n_nodes,
            matrices=3,
            what="the matrix of probabilities",
            mend="Ask predict_edges for some pairs, or draw edges with sample.",
        )
        (terms,) = evaluations(self._terms(), [found])
        rows = [expit(eta) for _, eta in blocks(terms, self._local(terms))]
        p: Float = np.concatenate(rows)
        np.fill_diagonal(p, 0.0)
        return p

    def _one_graph(self, graph: Any) -> Graph:
        checked = self._check_graphs(graph)
        if len(checked) != 1:
            raise DataError(f"expected one graph; got {len(checked)}. Give each by itself.")
        return checked[0]

    def _pair_probabilities(self, graph: Graph, i: Index, j: Index) -> Float:
        found: Float = expit(self._logits(graph, i, j))
        return found

    def _logits(self, graph: Graph, i: Index, j: Index) -> Float:
        """Return the logits of listed pairs."""
        (terms,) = evaluations(self._terms(), [graph])
        theta = self._local(terms)
        parts = [
            theta @ terms.at(i[k : k + AT_ONCE], j[k : k + AT_ONCE])
            for k in range(0, len(i), AT_ONCE)
        ]
        return np.concatenate([np.zeros(0), *parts])

    def _nodes_of(self, given: Any) -> Graph:
        """Return a graph of given nodes: a graph, or attributes alone."""
        if not isinstance(given, Graph) and not (isinstance(given, tuple) and len(given) == 2):
            n_nodes = opened(given, "features").n_rows
            links = sparse.csr_array((n_nodes, n_nodes), dtype=np.int8)
            given = Graph(given, links, directed=self.directed_)
        return self._one_graph(given)

    # ---- inference ---------------------------------------------------------------------------

    def summary(self, *, level: float = 0.95) -> Summary:
        """Return a table of the fit to print: coefficients, standard errors, tests and intervals.

        Parameters
        ----------
        level : float
            Probability of the intervals. They are Wald intervals, from the normal distribution;
            `confidence_intervals` has those of the profile likelihood.

        Returns
        -------
        Summary
            Text, which a notebook shows as a table; `to_frame()` has all digits.

        Examples
        --------
        >>> from ancestral import datasets
        >>> model = DyadicGraph(["inner_product"]).fit(datasets.classrooms(20))
        >>> len(model.summary().to_frame())  # intercept and one term
        2
        """
        self._check_fitted()
        level = check_level(level)
        theta, errors = self._theta, self.standard_errors_
        z = theta / errors
        reach = norm.ppf((1 + level) / 2) * errors
        columns = {
            "term": ["intercept", *self.terms_],
            "estimate": theta,
            "std. error": errors,
            "z": z,
            "p": 2 * norm.sf(np.abs(z)),
            f"{level:.0%} from": theta - reach,
            "to": theta + reach,
        }
        kind = "directed" if self.directed_ else "undirected"
        k, value = self.n_parameters_, self.log_likelihood_
        above = f"DyadicGraph: {self.n_pairs_} known dyads ({kind}), {self.n_edges_} linked"
        below = f"log-likelihood {value:.6f}"
        if not self.l2:
            bic = k * np.log(self.n_pairs_) - 2 * value
            below += f", AIC {2 * k - 2 * value:.6g}, BIC {bic:.6g}"
        else:
            below += f", with the penalty l2={self.l2:g}"
        table: Table = one_table(columns, above, below, p=".3g", z=".3f")
        return Summary(table)

    def confidence_intervals(
        self, graphs: Any = None, *, level: float = 0.95, method: str = "profile"
    ) -> Float:
        """Return intervals of the intercept and of each coefficient.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples, or one of either
            What the model was fitted to; only the profile likelihood needs them.
        level : float
            Between 0 and 1.
        method : {"profile", "wald"}
            "profile": the ends are where the log-likelihood, maximised over the other coefficients,
            is lower than its maximum by half the chi-square quantile. "wald": the estimate plus and
            minus a multiple of the standard error, from the normal distribution.

        Returns
        -------
        ndarray of shape (1 + n_terms, 2)
            A row (low, high) for the intercept, then for each term.

        Raises
        ------
        DataError
            For graphs that are not those of the fit, or none if they are needed.
        ModelError
            For a `level` outside 0 to 1, an unknown `method`, or when an interval has no end
            because the likelihood does not fall enough.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> model = DyadicGraph(["inner_product"]).fit(graphs)
        >>> low, high = model.confidence_intervals(graphs)[1]
        >>> bool(low < model.coef_[0] < high)
        True
        """
        self._check_fitted()
        level = check_level(level)
        if method not in ("profile", "wald"):
            raise ModelError(f'method must be "profile" or "wald"; got {method!r}.')
        if method == "wald":
            reach = norm.ppf((1 + level) / 2) * self.standard_errors_
            return np.column_stack([self._theta - reach, self._theta + reach])
        if graphs is None:
            raise DataError(
                "the profile likelihood needs the graphs of the fit: give them, or pass "
                'method="wald".'
            )
        sums = self._sums_of_the_fit(self._check_graphs(graphs))
        theta = self._theta
        first = profile_intervals(sums, *theta, level=level, of=[0])
        about = sums.centred()  # coefficients of terms are the same there, and better determined
        theta[0] += self.coef_ @ about.shift
        rest = profile_intervals(about, *theta, level=level, of=range(1, len(theta)))
        return np.concatenate([first, rest])

    def clustered_standard_errors(self, graphs: Any) -> Float:
        """Return standard errors that stay valid when dyads within a graph are dependent.

        Parameters
        ----------
        graphs : list of Graph, or of (features, adjacency) tuples
            What the model was fitted to; two graphs or more.

        Returns
        -------
        ndarray of shape (1 + n_terms,)
            Of the intercept, then of each coefficient.

        Raises
        ------
        DataError
            For fewer than two graphs with a known dyad, and for graphs that are not those of the
            fit.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> DyadicGraph(["inner_product"]).fit(graphs).clustered_standard_errors(graphs).shape
        (2,)
        """
        self._check_fitted()
        checked = self._check_graphs(graphs)
        whole = self._sums_of_the_fit(checked).centred()
        theta = self._theta
        theta[0] += self.coef_ @ whole.shift
        terms = self._terms()
        parts = [
            dyad_sums(terms, [graph], n_jobs=self.n_jobs).about(whole.shift) for graph in checked
        ]
        covariance = whole.own_covariance(clustered_covariance(parts, *theta))
        return np.sqrt(covariance.diagonal())

    def _sums_of_the_fit(self, graphs: list[Graph]) -> DyadSums:
        """Return the sums over graphs of the fit; DataError for others."""
        sums = dyad_sums(self._terms(), graphs, n_jobs=self.n_jobs).penalised(self.l2)
        plain = sums.penalised(0.0)
        refuse_other_graphs(self, graphs, plain, sums, self._theta)
        return sums

    def likelihood_ratio_test(self, smaller: DyadicGraph) -> LikelihoodRatio:
        """Test whether the terms that a smaller model lacks are needed.

        Parameters
        ----------
        smaller : DyadicGraph
            A model fitted to the same graphs, with some of the terms of this one.

        Returns
        -------
        LikelihoodRatio
            With `statistic` (twice the difference of the log-likelihoods), `degrees` (of freedom)
            and `p_value`.

        Raises
        ------
        ModelError
            For models that are not nested, that have a penalty, or that were fitted to other
            graphs.

        Examples
        --------
        >>> from ancestral import Graph
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(40, 2))
        >>> links = np.triu(rng.random((40, 40)) < np.exp(-np.abs(x[:, :1] - x[:, 0])), 1)
        >>> graph = Graph(x, (links | links.T).astype(int), feature_names=["age", "score"])
        >>> smaller = DyadicGraph(["sum:score"]).fit(graph)
        >>> larger = DyadicGraph(["sum:score", "absdiff:age"]).fit(graph)
        >>> bool(larger.likelihood_ratio_test(smaller).p_value < 0.01)  # age is needed
        True
        """
        self._check_fitted()
        if not isinstance(smaller, DyadicGraph):
            raise ModelError(
                "the model to compare with must be a fitted DyadicGraph; got "
                f"{type(smaller).__name__}."
            )
        smaller._check_fitted()
        return likelihood_ratio(smaller, self)

    # ---- sampling ----------------------------------------------------------------------------

    @within_memory(FEWER_GRAPHS)
    def sample(
        self,
        n_samples: int = 1,
        *,
        n_nodes: int | None = None,
        features: Any = None,
        random_state: Any = None,
    ) -> list[Graph]:
        """Draw graphs ancestrally: nodes first (unless given), then edges.

        Parameters
        ----------
        n_samples : int
        n_nodes : int, optional
            Nodes of each graph; 15 when neither it nor features are given.
        features : Graph, dataframe or array-like of shape (n_nodes, n_features), optional
            The nodes of every graph; a Graph also gives its pair features and names. Without it,
            each node has the attributes of a node of the fit, drawn with replacement.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        list of Graph
            Graphs of more than 2,000 nodes have a sparse adjacency.

        Raises
        ------
        DataError
            When the nodes lack an attribute that a term names. Terms "pair:" need a Graph.
        ModelError
            When the number of nodes of `features` is not `n_nodes`.

        Examples
        --------
        >>> from ancestral import datasets
        >>> graphs = datasets.classrooms(20)
        >>> drawn = DyadicGraph(["inner_product"]).fit(graphs).sample(2, random_state=0)
        >>> len(drawn)
        2
        """
        self._check_fitted()
        rng = as_generator(random_state)
        fixed = None if features is None else self._nodes_of(features)
        if n_nodes is not None:
            n_nodes = check_integer(n_nodes, "n_nodes", minimum=1)
        if fixed is not None and n_nodes not in (None, fixed.n_nodes):
            raise ModelError(
                f"n_nodes={n_nodes} contradicts the features given, of {fixed.n_nodes} nodes: "
                "leave it out."
            )
        nodes = 15 if n_nodes is None else n_nodes
        nodes = nodes if fixed is None else fixed.n_nodes
        row_bytes = 16 * nodes * (nodes if nodes <= DENSE_NODES else 1 + len(self.node_levels_))
        n_samples = check_n_samples(n_samples, row_bytes=row_bytes)
        graphs = []
        for _ in range(n_samples):
            empty = self._drawn_nodes(nodes, rng) if fixed is None else fixed
            graphs.append(self._redrawn(empty, rng))
        return graphs

    def _drawn_nodes(self, n_nodes: int, rng: np.random.Generator) -> Graph:
        """Return nodes of the fit, drawn with replacement, without links."""
        attributes = self._node_rows().draw(n_nodes, rng)
        features: Any = np.zeros((n_nodes, 0))
        if attributes:
            features = np.column_stack([one.values for one in attributes.values()])
        links = sparse.csr_array((n_nodes, n_nodes), dtype=np.int8)
        names = self._names()
        graph = Graph(features.astype(np.float64), links, names, directed=self.directed_)
        if any(held is not None for held in self.node_levels_):
            graph = graph.replaced(_columns=tuple(attributes.values()))
        return graph

    def _redrawn(self, graph: Graph, rng: np.random.Generator) -> Graph:
        """Return a graph with new edges in place of its own."""
        (terms,) = evaluations(self._terms(), [graph])
        i, j = draw_links(terms, self._local(terms), rng)
        links = (one_way if graph.directed else symmetric)(i, j, graph.n_nodes)
        dense = graph.n_nodes <= DENSE_NODES
        return graph.replaced(adjacency=links.toarray() if dense else links, unknown=None)

    def _names(self) -> list[str] | None:
        """Return the names of the nodes' attributes, None where they have none."""
        held = vars(self).get("feature_names_in_")
        return None if held is None else [str(name) for name in held]

    def _node_rows(self) -> NodeRows:
        from ancestral.graph.features import FeatureRows

        levels = tuple(None if held is None else tuple(held) for held in self.node_levels_)
        own = self._names()
        names = own or [str(k) for k in range(len(levels))]
        rows = FeatureRows(self.node_rows_, self.node_counts_)
        return NodeRows(tuple(names), levels, rows, own is not None)

    # ---- files -------------------------------------------------------------------------------

    def _kept_params(self) -> dict[str, Any]:
        params = super()._kept_params()
        return {**params, "terms": [str(text) for text in params["terms"]]}

    def _check_state(self) -> None:
        k = len(self.terms_)
        parsed(self.terms_)
        if not isinstance(self.directed_, bool | np.bool_):
            raise ValueError("directed must be true or false")
        finite = np.isfinite([self.intercept_, self.log_likelihood_]).all()
        shapes = {"coef_": (k,), "standard_errors_": (k + 1,), "covariance_": (k + 1, k + 1)}
        for name, shape in shapes.items():
            held = getattr(self, name)
            if np.shape(held) != shape or not np.isfinite(held).all():
                raise ValueError(f"{name} must be finite, of shape {shape}")
        if not finite:
            raise ValueError("intercept and log-likelihood must be finite")
        rows, counts, levels = self.node_rows_, self.node_counts_, self.node_levels_
        whole = isinstance(counts, np.ndarray) and counts.dtype.kind in "iu" and counts.ndim == 1
        if not whole or not len(counts) or not (counts > 0).all():
            raise ValueError("nodes must be counted, one count above 0 for each row")
        if np.shape(rows) != (len(counts), len(levels)) or rows.dtype != np.float64:
            raise ValueError("rows of nodes must have one number for each attribute")
        names = self._names()
        if names is not None and len(names) != len(levels):
            raise ValueError("attributes must have one name each")
        for column, held in zip(rows.T, levels, strict=True):
            if held is not None and not np.isin(column, np.arange(-1, len(held))).all():
                raise ValueError("levels of nodes must be places among their names")


def _named(graph: Graph, names: Sequence[str]) -> Graph:
    """Return a graph whose features, if they have no names, are named by their places."""
    if graph.attribute_names or graph.n_features != len(names):
        return graph
    return graph.replaced(feature_names=tuple(names))


class _UnfitSample(Exception):
    """A sample of the dyads has no maximum, though all of them may."""
