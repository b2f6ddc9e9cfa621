"""The inner-product graph model whose features nobody observed.

    p(e_ij = 1 | x_i, x_j) = sigmoid(x_i . x_j + b),   pairs i < j independent

The positions x_i in R^d are learnt from who is linked with whom. A slope a > 0 would only stretch
them (a x_i . x_j = sqrt(a) x_i . sqrt(a) x_j), so it is 1: part of the positions. With
eta = X X^T + b and P = sigmoid(eta), diagonals left out,

    l(X, b) = sum_{i<j} e_ij eta_ij - log(1 + exp(eta_ij))
    dl/dX   = (E - P) X,     dl/db = sum_{i<j} e_ij - p_ij

Fitted from the adjacency spectral embedding (`spectral`) by L-BFGS on l, less a penalty when one
is asked for (`position_likelihood` has the sums). l depends on X only through X X^T: of all
rotations and reflections of X the one is kept that makes X^T X diagonal with falling entries, and
the largest entry of each column positive. Symbols: X positions_, b intercept_.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from ancestral._checks.numbers import (
    FEWER_GRAPHS,
    as_generator,
    check_integer,
    check_n_samples,
    check_number,
    warn,
    within_memory,
)
from ancestral.base import GraphDensity, MaximumLikelihood
from ancestral.errors import ModelError
from ancestral.graph.adjacency import DENSE_NODES
from ancestral.graph.edges.sampling import draw_graph
from ancestral.graph.graphs import Graph, refuse_large
from ancestral.graph.latent.adjacencies import as_adjacencies
from ancestral.graph.latent.likelihood import PositionLikelihood, pair_pass, position_errors
from ancestral.graph.latent.spectral import canonical, spectral_embedding
from ancestral.graph.latent.unbounded import (
    FAR,
    longest,
    refuse_empty_or_complete,
    refuse_unbounded,
)
from ancestral.model_file import fingerprint

Float = NDArray[np.float64]

MEMORY = 20  # pairs of (gradient, step) that L-BFGS keeps
ROUNDING = 1e-15  # of the likelihood: a gain by less is none


class LatentPositionGraph(MaximumLikelihood, GraphDensity):
    """Edges with probability sigmoid(x_i . x_j + b), the positions x_i learnt from the edges.

    Parameters
    ----------
    n_components : int
        Dimensions of the positions, below the number of nodes.
    l2 : float
        Penalty: (l2 / 2)(|X|^2 + b^2) is taken off the log-likelihood, as if positions came from
        a normal distribution of variance 1 / l2. Small and sparse graphs often have no maximum
        without it (see Notes); l2=1 is a gentle choice. Above 0 there is one whatever the graph.
    max_iter : int
        Most iterations of L-BFGS.
    tol : float
        It stops when positions are within about so many standard errors of the maximum (by the
        gradient over the root of the information), or when the likelihood rises no more in
        float64.
    n_jobs : int, optional
        Threads for large graphs; by default one for each core. Results do not depend on it.

    Attributes
    ----------
    positions_ : ndarray of shape (n_nodes, n_components)
        X, in the canonical rotation; rows in the order of the nodes.
    intercept_ : float
        b.
    slope_ : float
        1: it is part of the positions.
    standard_errors_ : ndarray of shape (n_nodes, n_components)
        Of each position, from its own Fisher information, the others and b taken as known.
    log_likelihood_ : float
        At the maximum, in nats, without the penalty.
    history_ : list of dict
        Each iteration's intercept, log_likelihood (less the penalty) and increase.
    n_pairs_ : int
        Dyads seen in `fit`.
    node_labels_ : list of str, or None
        The nodes, in their order: a dataframe's row labels, networkx's nodes, igraph's names.
    n_parameters_ : int
        n d - d (d - 1) / 2 + 1, d being n_components: positions up to rotation, and b.

    Notes
    -----
    With a slope above 0 the kernel X X^T is positive semidefinite: like links with like. Graphs
    in which unlike links with unlike (predators and prey) are not of this kind.

    l has no finite maximum when some node can move away for ever, its links on one side of a plane
    through the origin and its other pairs on the other. Such a fit is refused, the node named, and
    l2= offered.

    An iteration visits every pair once, at about 10 ns a core. Some 30 are needed, so 10,000
    nodes take half a minute of one core; with fewer than some five links a node the likelihood is
    flat, and several hundred are. Memory goes with nodes and edges, not with pairs. l is not
    concave in X: another start may lead to another maximum, though in simulations random ones
    never led to a higher one.

    See Also
    --------
    InnerProductGraph : the same model with features known.

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

    _fields: tuple[str, ...] = (
        "positions_", "intercept_", "standard_errors_", "log_likelihood_", "history_", "n_pairs_",
        "node_labels_",
    )  # fmt: skip

    slope_ = 1.0
    positions_: Float
    intercept_: float

    def __init__(
        self,
        n_components: int = 2,
        *,
        l2: float = 0.0,
        max_iter: int = 1000,
        tol: float = 1e-4,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Number of free parameters: positions up to rotation, and the intercept."""
        n, m = self.positions_.shape
        return n * m - m * (m - 1) // 2 + 1

    def fit(self, graphs: Any, y: Any = None) -> Self:
        """Learn the positions of the nodes of a graph.

        Parameters
        ----------
        graphs : adjacency, or list of them
            One graph: an array, dataframe or scipy sparse matrix of shape (n_nodes, n_nodes), 0 or
            1 and symmetric; a networkx or igraph graph, nodes in its order; or a Graph, or a tuple
            (features, adjacency), whose features are not looked at. Several in a list are
            independent graphs on the same nodes.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            When a graph is not one, or graphs differ in their number of nodes.
        ModelError
            When the likelihood has no finite maximum, naming a node that moves away for ever.
        """
        return self._fit_anew(graphs)

    def _checked(self, graphs: Any) -> tuple[sparse.csr_array, int, list[str] | None]:
        """Return the sum of the graphs' adjacencies, how many there are, and the nodes' labels."""
        adjacencies, labels = as_adjacencies(graphs)
        links = sparse.csr_array(sum(adjacencies[1:], adjacencies[0].astype(np.float64)))
        return links, len(adjacencies), labels

    def _fingerprint_of(self, links: sparse.csr_array, *more: Any) -> str:
        return fingerprint(links.data, links.indices, links.indptr)

    def _fit(self, links: sparse.csr_array, n_graphs: int, labels: list[str] | None) -> None:
        m = self._check_parameters(links.shape[0])
        likelihood = PositionLikelihood(links, n_graphs, self.l2, self.n_jobs)
        if not self.l2:
            refuse_empty_or_complete(likelihood)
        start = spectral_embedding(links / n_graphs, likelihood.share, m)
        X, b, self.history_ = self._climb(likelihood, start)
        self.positions_, self.intercept_ = canonical(X), b
        self.standard_errors_ = position_errors(self.positions_, b, likelihood)
        self.log_likelihood_ = likelihood.log_likelihood(X, b)
        self.n_pairs_, self.node_labels_ = likelihood.n_pairs, labels

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
        self, likelihood: PositionLikelihood, start: Float
    ) -> tuple[Float, float, list[dict[str, float]]]:
        """Return positions and intercept at the maximum, and every iteration on the way."""
        n, m = start.shape
        share = likelihood.share
        # scaled by the root of about its information, every parameter is known alike: 3 to 4
        # times fewer iterations than without
        scale = np.sqrt(
            1.0
            + likelihood.l2
            + np.append(np.repeat(likelihood.spread, m), likelihood.n_pairs * share * (1 - share))
        )
        theta = np.append(start.ravel(), np.log(share / (1 - share))) * scale
        history = [{"intercept": float(theta[-1] / scale[-1])}]

        def parts(theta: Float) -> tuple[Float, float]:
            plain = theta / scale
            return plain[:-1].reshape(n, m), float(plain[-1])

        def descent(theta: Float) -> tuple[float, Float]:
            value, by_position, by_intercept = likelihood.evaluate(*parts(theta))
            history[0].setdefault("log_likelihood", value)
            return -value, -np.append(by_position.ravel(), by_intercept) / scale

        def record(intermediate_result: Any) -> None:
            (X, b), value = parts(intermediate_result.x), -float(intermediate_result.fun)
            increase = value - history[-1]["log_likelihood"]
            history.append({"intercept": b, "log_likelihood": value, "increase": increase})
            if not likelihood.l2 and longest(X) > FAR:
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
        X, b = parts(found.x)
        if not likelihood.l2:
            refuse_unbounded(likelihood, X, history[-1]["log_likelihood"])
        last = float(np.abs(found.jac).max())
        if found.nit >= self.max_iter and last > self.tol:
            warn(
                f"max_iter={self.max_iter} iterations ended about {last:.2g} standard errors short "
                "of the maximum: not converged. Raise max_iter."
            )
        return X, b, history

    @within_memory(FEWER_GRAPHS)
    def log_density(self, graphs: Any) -> Float:
        """Return log p(E | X) of graphs on the fitted nodes, at the fitted positions, in nats.

        Parameters
        ----------
        graphs : adjacency, or list of them
            As in `fit`. Where they and the fit's graphs label their nodes, nodes are matched by
            label; else they stand in the same order.

        Returns
        -------
        ndarray of shape (n_graphs,)
        """
        self._check_fitted()
        X, b = self.positions_, self.intercept_
        adjacencies = self._adjacencies_of(graphs)
        soft, _, _ = pair_pass(X, b, n_jobs=self.n_jobs)  # the same for every graph
        return np.array(
            [float(((E @ X) * X).sum()) / 2 + b * (E.nnz // 2) - soft for E in adjacencies]
        )

    def probabilities(self) -> Float:
        """Return p_ij of every pair of the fitted nodes.

        Returns
        -------
        ndarray of shape (n_nodes, n_nodes)
            Symmetric; zero on the diagonal.
        """
        self._check_fitted()
        refuse_large(
            len(self.positions_),
            matrices=3,
            what="the matrix of probabilities",
            mend="Use positions_ and intercept_ for some of the nodes.",
        )
        p = expit(self.positions_ @ self.positions_.T + self.intercept_)
        np.fill_diagonal(p, 0.0)
        return p

    @within_memory(FEWER_GRAPHS)
    def sample(
        self, n_samples: int = 1, *, n_nodes: int | None = None, random_state: Any = None
    ) -> list[Graph]:
        """Draw graphs: new edges among the fitted nodes, or among new nodes.

        Parameters
        ----------
        n_samples : int
        n_nodes : int, optional
            Draw so many new nodes, each at the position of a fitted node drawn with replacement
            (Levin & Levina 2019, arXiv:1907.10821). By default the fitted nodes keep their places.
        random_state : None, int, RandomState or Generator

        Returns
        -------
        list of Graph
            Their features are the positions. Of more than 2,000 nodes with a sparse adjacency;
            every pair is visited only where that is the cheaper.
        """
        self._check_fitted()
        rng = as_generator(random_state)
        X, m = self.positions_, self.positions_.shape[1]
        count = len(X) if n_nodes is None else check_integer(n_nodes, "n_nodes", minimum=1)
        row_bytes = 16 * count * (count if count <= DENSE_NODES else m)
        graphs = []
        for _ in range(check_n_samples(n_samples, row_bytes=row_bytes)):
            places = X if n_nodes is None else X[rng.integers(0, len(X), count)]
            graphs.append(draw_graph(places, 1.0, self.intercept_, rng, n_jobs=self.n_jobs))
        return graphs

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        values = self.log_density(X)
        n = len(self.positions_)
        return float(values.sum()), len(values) * n * (n - 1) // 2

    def _n_pairs_of(self, graphs: Any) -> list[int]:
        return [E.shape[0] * (E.shape[0] - 1) // 2 for E in self._adjacencies_of(graphs)]

    def _adjacencies_of(self, graphs: Any) -> list[sparse.csr_array]:
        """Return adjacencies on the fitted nodes, matched by their labels where both have any."""
        labels = getattr(self, "node_labels_", None)
        return as_adjacencies(graphs, n_nodes=len(self.positions_), labels=labels)[0]

    def _check_state(self) -> None:
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
