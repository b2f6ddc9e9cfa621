"""The inner-product graph model whose features nobody observed.

    p(e_ij = 1 | x_i, x_j) = sigmoid(x_i . x_j + b),   pairs i < j independent

The positions x_i in R^d are learnt from who is linked with whom. A slope a > 0 would only stretch
them (a x_i . x_j = sqrt(a) x_i . sqrt(a) x_j), so it is 1: part of the positions. With
eta = X X^T + b and P = sigmoid(eta), diagonals left out,

    l(X, b) = sum_{i<j} e_ij eta_ij - log(1 + exp(eta_ij))
    dl/dX   = (E - P) X,     dl/db = sum_{i<j} e_ij - p_ij

Where they are asked for, a node's own effect and terms of what is known of pairs stand beside,

    logit p(e_ij = 1) = x_i . x_j + a_i + a_j + sum_k theta_k t_k(i, j) + b

and dyads that nobody observed are left out of the sums.

Fitted from the adjacency spectral embedding (`spectral`) by L-BFGS on l, less a penalty when one
is asked for (`position_likelihood` has the sums). l depends on X only through X X^T: of all
rotations and reflections of X the one is kept that makes X^T X diagonal with falling entries, and
the largest entry of each column positive.
Symbols: X positions_, b intercept_, a node_effects_, theta coef_.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm

from ancestral._checks.numbers import (
    FEWER_GRAPHS,
    as_generator,
    check_integer,
    check_n_samples,
    check_number,
    warn,
    within_memory,
)
from ancestral._printed import Summary, one_table
from ancestral.base import GraphDensity, MaximumLikelihood
from ancestral.errors import DataError, ModelError
from ancestral.graph.adjacency import DENSE_NODES, symmetric
from ancestral.graph.attributes import Attribute
from ancestral.graph.edge_predictions import PredictsEdges
from ancestral.graph.edges.dyads import blocks, draw_links
from ancestral.graph.edges.sampling import draw_graph
from ancestral.graph.graph import Graph, column_names, refuse_large
from ancestral.graph.identification import refuse_dependent
from ancestral.graph.latent.adjacencies import as_networks
from ancestral.graph.latent.errors import coefficient_covariance, position_errors
from ancestral.graph.latent.likelihood import NO_TERMS, Places, PositionLikelihood, pair_pass
from ancestral.graph.latent.placing import NewNodes, links_to, place_nodes, placed_by_name, stacked
from ancestral.graph.latent.spectral import canonical, spectral_embedding
from ancestral.graph.latent.unbounded import (
    FAR,
    longest,
    refuse_empty_or_complete,
    refuse_far_terms,
    refuse_sums,
    refuse_unbounded,
)
from ancestral.graph.pairs.dyad_sums import dyad_sums
from ancestral.graph.pairs.dyads import Grid, visit
from ancestral.graph.pairs.logistic import logistic
from ancestral.graph.terms import Evaluation, Inner, Term, attributes_of, evaluations, parsed
from ancestral.model_file import fingerprint

Float = NDArray[np.float64]

MEMORY = 20  # pairs of (gradient, step) that L-BFGS keeps
ROUNDING = 1e-15  # of the likelihood: a gain by less is none


class LatentPositionGraph(PredictsEdges, MaximumLikelihood, GraphDensity):
    """Edges with probability sigmoid(x_i . x_j + b), with positions x_i that are learnt.

    Parameters
    ----------
    n_components : int
        The number of dimensions of the positions, below the number of nodes.
    terms : list of str, optional
        Terms of dyads, such as ["match:house", "absdiff:age"], as in `DyadicGraph`. Each has a
        coefficient, in addition to the positions. The attributes of nodes are those of the first
        graph.
    node_effect : bool
        Give each node an effect a_i, which is added to the logit of all its dyads.
    l2 : float
        Penalty: (l2 / 2)(|X|^2 + |a|^2 + b^2) is subtracted from the log-likelihood, as if
        positions and effects had normal priors of variance 1 / l2. Coefficients of terms are not
        penalised. With the terms sum:, product:, pair: and inner_product of numbers, which are
        taken less a constant near their mean, the b of the penalty is the logit at these constants,
        and not `intercept_`; so the origin of an attribute makes no difference. For small and
        sparse graphs the likelihood often has no maximum without a penalty (see Notes); l2=1 is a
        weak penalty. With l2 above 0, and without terms, there is a maximum for any graph.
    max_iter : int
        The most iterations of the optimiser L-BFGS.
    tol : float
        L-BFGS stops when positions are within about this number of standard errors of the maximum,
        or when the likelihood no longer rises in float64.
    n_jobs : int, optional
        The number of threads for large graphs; by default one for each core. Results do not depend
        on it.

    Attributes
    ----------
    positions_ : ndarray of shape (n_nodes, n_components)
        X, with rows in the order of the nodes. The rotation is fixed: X^T X is diagonal, in falling
        order.
    intercept_ : float
        The number b.
    slope_ : float
        Always 1: the slope is part of the positions.
    standard_errors_ : ndarray of shape (n_nodes, n_components)
        Standard errors of each position from its own Fisher information, to whose diagonal l2 is
        added, as if the other positions and b were known.
    node_effects_ : ndarray of shape (n_nodes,), or None
        The effects a. Without a penalty they sum to 0, and so do the positions.
    terms_ : list of str
    coef_ : ndarray of shape (n_terms,)
        theta.
    coef_errors_ : ndarray of shape (n_terms,)
        Standard errors of theta. They include the uncertainty of positions, effects and b. There is
        no standard error of b.
    log_likelihood_ : float
        Log-likelihood at the maximum, in nats, without the penalty.
    history_ : list of dict
        For each iteration: "intercept", "log_likelihood" minus the penalty, and "increase".
    n_pairs_ : int
        The number of known dyads in `fit`.
    node_labels_ : list of str, or None
        Names of the nodes, in their order: row labels of a dataframe, nodes of networkx, or names
        of igraph.
    node_attributes_, node_levels_, node_values_
        The attributes that terms use: their names, their levels (None for numbers), and their
        values, of shape (n_nodes, n_attributes), where a level is a number, its place among the
        levels.
    pair_features_ : dict
        The matrices that terms "pair:" use, each of shape (n_nodes, n_nodes).
    n_parameters_ : int
        n d - d (d - 1) / 2 + 1 for n nodes and d = n_components: positions up to rotation, and b.
        Node effects add n - 1 - d, because only differences of positions then count. Each term adds
        1.

    Notes
    -----
    The matrix X X^T is positive semidefinite, so nodes with similar positions are linked more
    often. Graphs in which different nodes are linked (predators and prey) do not fit this model.

    The likelihood has no finite maximum if some plane through the origin separates the nodes that a
    node is linked with from those that it is not linked with: its position then grows without end.
    Such a fit is refused. The error names the node, and suggests l2=: LatentPositionGraph(2, l2=1)
    fits any graph.

    Coefficients of terms are fitted together with one position for each node. This biases them away
    from 0, by up to about a standard error. A penalty, and more nodes, make the bias smaller.

    An iteration visits every pair once, in some ten nanoseconds each on one core. About 30
    iterations are needed, so 10,000 nodes take about half a minute. With fewer than about five
    links for each node the likelihood is flat, and several hundred iterations are needed. Memory is
    proportional to nodes and edges, not to pairs. The likelihood is not concave in X, so another
    start may lead to another maximum; in simulations random starts never led to a higher one.

    See Also
    --------
    InnerProductGraph : the same model with known features instead of positions.

    References
    ----------
    Hoff, Raftery & Handcock (2002), JASA 97: latent space models of networks.
    Sussman, Tang, Fishkind & Priebe (2012), JASA 107: adjacency spectral embedding.
    Ma, Ma & Yuan (2020), JMLR 21, eq. 3: the inner-product model and gradient ascent on it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1.5, 1.5, (200, 2))
    >>> links = np.triu(rng.random((200, 200)) < expit(X @ X.T - 1), 1)
    >>> model = LatentPositionGraph(2).fit(links | links.T)
    >>> U, _, V = np.linalg.svd(model.positions_.T @ X)  # up to rotation
    >>> bool(np.abs(model.positions_ @ U @ V - X).mean() < 0.3)
    True
    """

    _needs_whole = (
        "dyads at once, as each node has a position of its own, which all its dyads move. Where "
        "nodes have attributes, DyadicGraph is trained from parts (streaming.graph_by_blocks). Else"
        " give all of a graph to fit, or some of its nodes."
    )
    _fields: tuple[str, ...] = (
        "positions_", "intercept_", "standard_errors_", "log_likelihood_", "history_", "n_pairs_",
        "node_labels_", "node_effects_", "terms_", "coef_", "coef_errors_", "node_attributes_",
        "node_levels_", "node_values_", "pair_features_",
    )  # fmt: skip

    slope_ = 1.0
    positions_: Float
    intercept_: float
    node_effects_: Float | None
    terms_: Sequence[str]
    coef_: Float

    def __init__(
        self,
        n_components: int = 2,
        *,
        terms: Sequence[str] | None = None,
        node_effect: bool = False,
        l2: float = 0.0,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.terms = terms
        self.node_effect = node_effect
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Number of free parameters: positions up to rotation, intercept, and what is beside."""
        n, m = self.positions_.shape
        effects = 0 if self.node_effects_ is None else n - 1 - m  # m: positions may move together
        return n * m - m * (m - 1) // 2 + 1 + effects + len(self.coef_)

    def fit(self, graphs: Any, y: Any = None) -> Self:
        """Learn the positions of the nodes of a graph.

        Parameters
        ----------
        graphs : adjacency, or list of them
            One graph: an array, dataframe or scipy sparse matrix of shape (n_nodes, n_nodes), 0 or
            1 and symmetric; a networkx or igraph graph, with its order of nodes; or a Graph, or a
            tuple (features, adjacency), whose features only terms use. A list is of independent
            graphs on the same nodes.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            When an item is no graph, or graphs differ in their number of nodes.
        ModelError
            When the likelihood has no finite maximum. The message names a node whose position grows
            without end.

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> model = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T)
        >>> model.positions_.shape
        (12, 2)
        """
        return self._fit_anew(graphs)

    def _checked(self, graphs: Any) -> tuple[list[Graph], list[str] | None]:
        """Return the graphs, their nodes in one order, and the nodes' labels."""
        return as_networks(graphs, with_features=bool(self.terms))

    def _fingerprint_of(self, graphs: list[Graph], *more: Any) -> str:
        if self.terms or any(graph.unknown is not None for graph in graphs):
            return fingerprint(graphs)
        links = _sum_of([graph.to_sparse() for graph in graphs])
        return fingerprint(links.data, links.indices, links.indptr)

    def _fit(self, graphs: list[Graph], labels: list[str] | None) -> None:
        m = self._check_parameters(graphs[0].n_nodes)
        terms = self._take_terms(graphs[0])
        gaps = [graph.unknown for graph in graphs if graph.unknown is not None]
        likelihood = PositionLikelihood(
            _sum_of([graph.to_sparse() for graph in graphs]),
            len(graphs),
            self.l2,
            self.n_jobs,
            unknown=_sum_of(gaps) if gaps else None,
            terms=terms,
        )
        if not likelihood.n_pairs:
            raise DataError("no dyad is known: give a graph some of whose pairs were observed.")
        if not self.l2:
            refuse_empty_or_complete(likelihood)
        start = Places(
            spectral_embedding(likelihood.completed, likelihood.share, m),
            float(np.log(likelihood.share / (1 - likelihood.share))),
            np.zeros(graphs[0].n_nodes) if self.node_effect else None,
            np.zeros(len(self.terms_)),
        )
        found, self.history_ = self._climb(likelihood, start)
        self.log_likelihood_ = likelihood.log_likelihood_at(found)
        found = found if self.l2 else found.centred()
        found = replace(found, X=canonical(found.X))
        self.positions_, self.node_effects_, self.coef_ = found.X, found.effects, found.coef
        self.intercept_ = found.b - (float(found.coef @ terms.shift) if terms else 0.0)
        self.standard_errors_ = position_errors(found, likelihood)[:, :m]
        self.coef_errors_ = np.zeros(0)
        if terms is not None:
            self.coef_errors_ = np.sqrt(coefficient_covariance(found, likelihood).diagonal())
        self.n_pairs_, self.node_labels_ = likelihood.n_pairs, labels

    def _take_terms(self, graph: Graph) -> Evaluation | None:
        """Remember what the terms need of the nodes, and return their values."""
        parsed_terms = parsed(self.terms) if self.terms is not None else []
        self.terms_ = [term.text for term in parsed_terms]
        attributes = attributes_of(graph) if self.terms_ else []
        self.node_attributes_ = [one.name for one in attributes]
        self.node_levels_ = [None if a.levels is None else list(a.levels) for a in attributes]
        values = [a.values.astype(np.float64) for a in attributes]
        self.node_values_ = np.column_stack(values) if values else np.zeros((graph.n_nodes, 0))
        wanted = {term.name for term in parsed_terms if term.kind == "pair"}
        self.pair_features_ = {
            name: M.toarray() if sparse.issparse(M) else M
            for name, M in graph.pair_features.items()
            if name in wanted
        }
        if not parsed_terms:
            return None
        refuse_sums(parsed_terms if self.node_effect and not self.l2 else [])
        (terms,) = evaluations(parsed_terms, [graph])
        sums = dyad_sums(parsed_terms, [graph]).centred()
        refuse_dependent(sums, sums, self.terms_)
        return terms

    def _check_parameters(self, n_nodes: int) -> int:
        """Return the dimension; raise ModelError for parameters that cannot be."""
        check_number(self.l2, "l2", minimum=0.0)
        check_integer(self.max_iter, "max_iter", minimum=1)
        check_number(self.tol, "tol", minimum=0.0, inclusive=False)
        m = check_integer(self.n_components, "n_components", minimum=1)
        if m >= n_nodes:
            raise ModelError(
                f"n_components must be below the number of nodes; got {m} with {n_nodes} "
                f"node{'s' * (n_nodes != 1)}. "
                + (f"Pass n_components={n_nodes - 1} or fewer." * (n_nodes > 1))
            )
        return m

    def _climb(
        self, likelihood: PositionLikelihood, start: Places
    ) -> tuple[Places, list[dict[str, float]]]:
        """Return the places at the maximum, and every iteration on the way."""
        n, m = start.X.shape
        share = likelihood.share
        # scaled by the root of about its information, every parameter is known alike: 3 to 4
        # times fewer iterations than without
        own = 1.0 + likelihood.l2
        scale = np.sqrt(
            np.concatenate(
                [
                    own + np.repeat(likelihood.spread, m),
                    own + likelihood.spread[: 0 if start.effects is None else n],
                    np.maximum(likelihood.term_spread * share * (1 - share), 1e-300),
                    [own + likelihood.n_pairs * share * (1 - share)],
                ]
            )
        )
        theta = start.packed() * scale
        history = [{"intercept": start.b}]

        def parts(theta: Float) -> Places:
            return start.unpacked(theta / scale)

        def descent(theta: Float) -> tuple[float, Float]:
            value, slopes = likelihood.slopes(parts(theta))
            history[0].setdefault("log_likelihood", value)
            return -value, -slopes.packed() / scale

        def record(intermediate_result: Any) -> None:
            at, value = parts(intermediate_result.x), -float(intermediate_result.fun)
            increase = value - history[-1]["log_likelihood"]
            history.append({"intercept": at.b, "log_likelihood": value, "increase": increase})
            if not likelihood.l2 and longest(at.X) > FAR:
                raise StopIteration  # to be refused: the rest of the way has no end

        found = minimize(
            descent,
            theta,
            jac=True,
            method="L-BFGS-B",
            callback=record,
            options={
                "maxcor": MEMORY,
                "maxiter": self.max_iter,
                "maxfun": 20 * self.max_iter,
                "gtol": self.tol,
                "ftol": ROUNDING,
            },
        )
        at = parts(found.x)
        if not likelihood.l2:
            refuse_unbounded(likelihood, at, history[-1]["log_likelihood"])
        refuse_far_terms(likelihood, at.coef, self.terms_)
        last = float(np.abs(found.jac).max())
        if found.nit >= self.max_iter and last > self.tol:
            warn(
                f"max_iter={self.max_iter} iterations ended about {last:.2g} standard errors short "
                "of the maximum: not converged. Raise max_iter."
            )
        return at, history

    @within_memory(FEWER_GRAPHS)
    def log_density(self, graphs: Any) -> Float:
        """Return log p(E | X) of graphs on the fitted nodes, at the fitted positions, in nats.

        Parameters
        ----------
        graphs : adjacency, or list of them
            As in `fit`. If these graphs and those of the fit have names of nodes, nodes are matched
            by name. Otherwise they must be in the same order.

        Returns
        -------
        ndarray of shape (n_graphs,)

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> model = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T)
        >>> model.log_density(ring + ring.T).shape
        (1,)
        """
        self._check_fitted()
        found = self._networks_of(graphs)
        terms, theta = self._evaluation()
        soft = self._soft_total(terms)  # the same for every graph
        values = []
        for graph in found:
            eta = [theta @ terms.at(*ends) for ends in (graph.edges(), graph.unknown_dyads())]
            values.append(float(eta[0].sum() - soft + logistic(eta[1])[0].sum()))
        return np.array(values)

    def _soft_total(self, terms: Evaluation) -> float:
        """Return the sum of log(1 + exp(eta)) over all pairs of the fitted nodes."""
        at = self._places()
        if at.effects is None and not len(at.coef):
            return pair_pass(at.X, at.b, n_jobs=self.n_jobs)[0]
        grid = Grid(terms)
        return visit([grid], np.array([self.intercept_, *self.coef_, 1.0]), self.n_jobs).value

    def _places(self) -> Places:
        """Return where the nodes are."""
        return Places(self.positions_, self.intercept_, self.node_effects_, self.coef_)

    def _evaluation(self) -> tuple[Evaluation, Float]:
        """Return the logits of pairs as terms, the last of which is of places, and coefficients."""
        graph = self._nodes()
        (terms,) = evaluations(self._parsed(), [graph])
        theta = np.array([self.intercept_ + self.coef_ @ terms.shift, *self.coef_, 1.0])
        places = Inner(0.0, *self._places().sides())
        return replace(terms, pieces=[*terms.pieces, places]), theta

    def _parsed(self) -> list[Term]:
        return parsed(self.terms_) if len(self.terms_) else []

    def _nodes(self) -> Graph:
        """Return the fitted nodes and what their terms need, without links."""
        n = len(self.positions_)
        empty = sparse.csr_array((n, n), dtype=np.int8)
        if not len(self.terms_):
            return Graph(None, empty)
        graph = Graph(self.node_values_, empty, self.node_attributes_)
        columns = tuple(
            Attribute(name, v)
            if levels is None
            else Attribute(name, v.astype(np.int64), tuple(levels))
            for name, v, levels in zip(
                self.node_attributes_, self.node_values_.T, self.node_levels_, strict=True
            )
        )
        return graph.replaced(_columns=columns, pair_features=self.pair_features_)

    def probabilities(self) -> Float:
        """Return p_ij of every pair of the fitted nodes.

        Returns
        -------
        ndarray of shape (n_nodes, n_nodes)
            Symmetric; zero on the diagonal.

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> p = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T).probabilities()
        >>> p.shape, bool((np.diag(p) == 0).all())
        ((12, 12), True)
        """
        self._check_fitted()
        refuse_large(
            len(self.positions_),
            matrices=3,
            what="the matrix of probabilities",
            mend="Use positions_ and intercept_ for some of the nodes.",
        )
        terms, theta = self._evaluation()
        p: Float = expit(np.concatenate([eta for _, eta in blocks(terms, theta)]))
        p = (p + p.T) / 2  # rounding apart, it is symmetric
        np.fill_diagonal(p, 0.0)
        return p

    def _one_graph(self, graph: Any) -> Graph:
        found = self._networks_of(graph)
        if len(found) != 1:
            raise DataError(f"expected one graph; got {len(found)}. Give each by itself.")
        labels = getattr(self, "node_labels_", None)
        return found[0].replaced(node_names=None if labels is None else tuple(labels))

    def _pair_probabilities(
        self, graph: Graph, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> Float:
        terms, theta = self._evaluation()
        p: Float = expit(theta @ terms.at(i, j))
        return p

    def summary(self) -> Summary:
        """Return a table to print: the coefficients of the terms and their standard errors.

        The intercept has no standard error, so its cells show "-".

        Returns
        -------
        Summary
            Text, which a notebook shows as a table; `to_frame()` has all digits.

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> model = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T)
        >>> list(model.summary().to_frame()["term"])
        ['intercept']
        """
        self._check_fitted()
        errors = self.coef_errors_ if len(self.coef_) else NO_TERMS
        z = self.coef_ / errors
        columns = {
            "term": ["intercept", *self.terms_],
            "estimate": np.append(self.intercept_, self.coef_),
            "std. error": np.append(np.nan, errors),
            "z": np.append(np.nan, z),
            "p": np.append(np.nan, 2 * norm.sf(np.abs(z))),
        }
        n, m = self.positions_.shape
        beside = " and an effect each" if self.node_effects_ is not None else ""
        above = f"LatentPositionGraph: {n} nodes in {m} dimensions{beside}, {self.n_pairs_} dyads"
        below = f"log-likelihood {self.log_likelihood_:.6f}"
        return Summary(one_table(columns, above, below, p=".3g", z=".3f"))

    def aligned_positions(self, reference: Any) -> Float:
        """Return the positions, rotated to be as close as possible to given ones.

        Parameters
        ----------
        reference : array-like or dataframe of shape (n_nodes, n_components)
            Other positions of the nodes, such as those on a map or of another fit. NaN in the rows
            of nodes without a position. A dataframe is matched by its row labels, and may lack some
            nodes.

        Returns
        -------
        ndarray of shape (n_nodes, n_components)
            X Q, where Q is the rotation or reflection with the smallest sum of squared distances to
            the given rows (orthogonal Procrustes). Probabilities do not change.

        Raises
        ------
        DataError
            For a wrong shape, or labels that no node has.

        References
        ----------
        Schönemann (1966), Psychometrika 31.

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> model = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T)
        >>> angle = np.arange(12) * np.pi / 6
        >>> turned = model.aligned_positions(np.c_[np.cos(angle), np.sin(angle)])
        >>> bool(np.allclose(turned @ turned.T, model.positions_ @ model.positions_.T))
        True
        """
        self._check_fitted()
        X = self.positions_
        given = placed_by_name(reference, getattr(self, "node_labels_", None), X.shape)
        known = ~np.isnan(given).any(axis=1)
        U, _, V = np.linalg.svd(X[known].T @ given[known])
        turned: Float = X @ (U @ V)
        return turned

    def place(self, links: Any, features: Any = None, *, l2: float | None = None) -> NewNodes:
        """Find the positions of new nodes from their links to the fitted nodes, which do not move.

        Parameters
        ----------
        links : array-like or dataframe of shape (n_new, n_nodes)
            1 if the new node is linked with the fitted node, 0 if not, NaN if this is unknown. The
            columns of a dataframe are matched by the names of the fitted nodes.
        features : dataframe or array-like of shape (n_new, n_attributes), optional
            The attributes of the new nodes, if the model has terms.
        l2 : float, optional
            Penalty on each new position (and effect); by default that of the fit.

        Returns
        -------
        NewNodes
            With `positions`, `effects` and `probabilities` of links to the fitted nodes.

        Raises
        ------
        DataError
            For links or features that do not fit the nodes.
        ModelError
            When the likelihood of a node has no finite maximum, because a plane separates its links
            from its other pairs. This is frequent with few links. With l2=1 there is always a
            maximum.

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> model = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T)
        >>> model.place([[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]).positions.shape
        (1, 2)
        """
        self._check_fitted()
        penalty = self.l2 if l2 is None else check_number(l2, "l2", minimum=0.0)
        labels = getattr(self, "node_labels_", None)
        E = links_to(links, labels, len(self.positions_))
        offset = np.full(E.shape, self.intercept_)
        if len(self.terms_):
            offset += self._terms_between(features, len(E))
        elif features is not None:
            raise DataError("a model without terms does not use features: leave them out.")
        if self.node_effects_ is not None:
            offset = offset + self.node_effects_
        return place_nodes(E, offset, self.positions_, penalty, self.node_effects_ is not None)

    def _terms_between(self, features: Any, n_new: int) -> Float:
        """Return what terms add to the logits of new nodes and fitted ones, (n_new, n_nodes)."""
        if features is None:
            raise DataError(
                f"the model has the terms {', '.join(self.terms_)}: give features= of the new "
                "nodes too."
            )
        if self.pair_features_:
            raise DataError(
                f"the term 'pair:{next(iter(self.pair_features_))}' is a term of pairs, which new "
                "nodes do not have: fit without it to place new nodes."
            )
        names = None if column_names(features) is not None else self._nodes().feature_names
        new = Graph(features, sparse.csr_array((n_new, n_new), dtype=np.int8), names)
        (terms,) = evaluations(self._parsed(), [stacked(self._nodes(), new)])
        n = len(self.positions_)
        i, j = np.repeat(np.arange(n, n + n_new), n), np.tile(np.arange(n), n_new)
        T = terms.at(i, j)[1:]
        found: Float = (self.coef_ @ T + self.coef_ @ terms.shift).reshape(n_new, n)
        return found

    @within_memory(FEWER_GRAPHS)
    def sample(
        self, n_samples: int = 1, *, n_nodes: int | None = None, random_state: Any = None
    ) -> list[Graph]:
        """Draw graphs: new edges among the fitted nodes, or among new nodes.

        Parameters
        ----------
        n_samples : int
        n_nodes : int, optional
            The number of new nodes. Each gets the position, effect and attributes of a fitted node,
            drawn with replacement (Levin & Levina 2019, arXiv:1907.10821). By default the graphs
            have the fitted nodes, with their positions and names.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        list of Graph
            Their features are the positions. Graphs of more than 2,000 nodes have a sparse
            adjacency; every pair is visited only if that is cheaper.

        Examples
        --------
        >>> ring = np.roll(np.eye(12, dtype=int), 1, axis=1)
        >>> model = LatentPositionGraph(2, l2=1.0).fit(ring + ring.T)
        >>> [graph.n_nodes for graph in model.sample(2, random_state=0)]
        [12, 12]
        """
        self._check_fitted()
        rng = as_generator(random_state)
        X, m = self.positions_, self.positions_.shape[1]
        count = len(X) if n_nodes is None else check_integer(n_nodes, "n_nodes", minimum=1)
        row_bytes = 16 * count * (count if count <= DENSE_NODES else m)
        labels = getattr(self, "node_labels_", None) if n_nodes is None else None
        names = None if labels is None else tuple(labels)
        is_plain = self.node_effects_ is None and not len(self.terms_)
        graphs = []
        for _ in range(check_n_samples(n_samples, row_bytes=row_bytes)):
            chosen = np.arange(len(X)) if n_nodes is None else rng.integers(0, len(X), count)
            if is_plain:
                drawn = draw_graph(X[chosen], 1.0, self.intercept_, rng, n_jobs=self.n_jobs)
            else:
                terms, theta = self._evaluation()
                links = symmetric(*draw_links(terms.of(chosen), theta, rng), count)
                E = links.toarray() if count <= DENSE_NODES else links
                drawn = Graph.of_checked(X[chosen], E)
            graphs.append(drawn.replaced(node_names=names))
        return graphs

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        return float(self.log_density(X).sum()), sum(self._n_pairs_of(X))

    def _n_pairs_of(self, graphs: Any) -> list[int]:
        return [graph.n_pairs for graph in self._networks_of(graphs)]

    def _networks_of(self, graphs: Any) -> list[Graph]:
        """Return graphs on the fitted nodes, matched by their labels where both have any."""
        labels = getattr(self, "node_labels_", None)
        return as_networks(graphs, n_nodes=len(self.positions_), labels=labels)[0]

    def _check_state(self) -> None:
        # Files of 0.1.0 know nothing beside positions.
        self.__dict__ = {"node_effects_": None, "terms_": (), "coef_": NO_TERMS} | vars(self)
        X, errors = self.positions_, self.standard_errors_
        if np.ndim(X) != 2 or np.shape(errors) != np.shape(X) or not X.shape[1]:
            raise ValueError("positions and standard errors must be tables of one shape")
        finite = all(part.dtype.kind == "f" and np.isfinite(part).all() for part in (X, errors))
        labels = getattr(self, "node_labels_", None)
        if labels is not None and (
            len(labels) != len(X) or not all(isinstance(label, str) for label in labels)
        ):
            raise ValueError("labels must be one text for each node")
        if not (finite and np.isfinite(self.intercept_)):
            raise ValueError("positions, standard errors and intercept must be finite")
        effects, k = self.node_effects_, len(self.terms_)
        if effects is not None and (
            np.shape(effects) != (len(X),) or not np.isfinite(effects).all()
        ):
            raise ValueError("effects must be finite, one for each node")
        if np.shape(self.coef_) != (k,) or not np.isfinite(self.coef_).all():
            raise ValueError("coefficients must be finite, one for each term")
        if k and np.shape(self.node_values_) != (len(X), len(self.node_attributes_)):
            raise ValueError("attributes must have a value for each node")
        if k:  # the terms must be found again
            self._evaluation()


def _sum_of(matrices: list[sparse.csr_array]) -> sparse.csr_array:
    """Return the sum of sparse matrices, as float64."""
    return sparse.csr_array(sum(matrices[1:], matrices[0].astype(np.float64)))
