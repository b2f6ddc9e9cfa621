"""One tree's expectation-maximisation: sums over rows, and the parameters that they make likeliest.

Up the tree and down again, for each row and with all k states at once,

    B_i[c]  = p(x_i | c) prod over children j of M_j[c],     M_i[a] = sum_c T_i[a, c] B_i[c]
    p(a, c | x) = p(a | x) / M_i[a]  T_i[a, c]  B_i[c]

(a the state of the parent of i, c that of i). B is divided by its largest entry in each row, so
that no product over many columns vanishes. States stand on the first axis and rows on the last:
each line above is then one matrix product, or runs along memory. The leaves are those of
`leaves.py`, stacked: codes of levels or atoms with their tables one above the other, and normals on
the columns' scales. What is maximised is the log-likelihood plus the logarithm of the prior:
Dirichlet on the transitions and tables, inverse-gamma on the variances, and of counts rows of the
column's mean.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ancestral._checks.numbers import log_sum_exp
from ancestral.circuit.columns import Column
from ancestral.circuit.leaves import (
    FLOOR,
    FLOOR_IN_GRIDS,
    TAIL,
    CountsLeaf,
    Prior,
)
from ancestral.circuit.rows import Layout, Rows
from ancestral.circuit.tree import Tree
from ancestral.training.parts import added
from ancestral.training.passes import FromPasses, Sums

PART = 512  # rows of a pass at once
ROOM = 64 << 20  # bytes of a batch's messages
WIDE = 64  # levels above which a table's rows are picked one by one
RESCALED = 16  # messages after which a product is rescaled: each may fall to 1/1000
TINY = {np.dtype(np.float32): 1e-30, np.dtype(np.float64): 1e-280}
FARTHEST = 80.0  # largest exponent of a normal over the tail that all states share


# ---- parameters ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameters:
    """Those of one tree.

    Parameters
    ----------
    root : ndarray of shape (k,)
    transitions : ndarray of shape (d, k, k)
        T_i[a, c]; that of the root is not used.
    tables : ndarray of shape (rows of all tables, k)
        One above the other; 1 for gaps.
    means, spreads : ndarray of shape (number of continuous columns, k)
    counts : tuple of CountsLeaf
    """

    root: NDArray[Any]
    transitions: NDArray[Any]
    tables: NDArray[Any]
    means: NDArray[Any]
    spreads: NDArray[Any]
    counts: tuple[CountsLeaf, ...]

    def astype(self, kind: Any) -> Parameters:
        """Return them in another precision."""
        names = ("root", "transitions", "tables", "means", "spreads")
        return replace(self, **{name: getattr(self, name).astype(kind) for name in names})


@dataclass(frozen=True)
class TreeSums(Sums):
    """What EM sums: expected counts of states, of pairs of states, and of values by state."""

    root: Any
    pairs: Any
    tables: Any
    moments: Any  # (3, continuous columns, k): 1, y and y^2 of a state's own normal
    counts: Any

    def astype(self, kind: Any) -> TreeSums:
        """Return them in another precision."""
        names = ("root", "pairs", "tables", "moments")
        return replace(self, **{name: getattr(self, name).astype(kind) for name in names})


@dataclass(frozen=True)
class Priors:
    """What is added to the sums, as `leaves.Prior` says.

    Parameters
    ----------
    transitions : float
        Rows that are added to each state of a parent, evenly.
    emissions : float
        Rows of the column's marginal that are added to each state.
    variance, strength : float
    """

    transitions: float
    emissions: float
    variance: float = 0.1
    strength: float = 2.0


@dataclass(frozen=True)
class Upward:
    """A sweep up over some rows.

    Parameters
    ----------
    log_p : ndarray of shape (n,)
    root : ndarray of shape (k, n)
        p(z_root | x).
    below, messages : ndarray of shape (d, k, n)
        B and M.
    hot : ndarray
        Indicators of the codes, one row for each row of the stacked tables that are not wide.
    own : dict of ndarray (k, n)
        By column, the share of a state's own normal in its density.
    """

    log_p: NDArray[np.float64]
    root: NDArray[Any]
    below: NDArray[Any]
    messages: NDArray[Any]
    hot: NDArray[Any]
    own: dict[int, NDArray[Any]]


class TreeEM(FromPasses):
    """The EM of one tree with k states.

    Parameters
    ----------
    tree : Tree
    columns : list of Column
    layout : Layout
    marginals : ndarray of shape (rows of all tables,)
        Shares of levels in each column.
    mean_counts : ndarray of shape (number of counts,)
    n_states : int
    priors : Priors
    """

    def __init__(
        self,
        tree: Tree,
        columns: list[Column],
        layout: Layout,
        marginals: NDArray[np.float64],
        mean_counts: NDArray[np.float64],
        n_states: int,
        priors: Priors,
    ) -> None:
        self.tree, self.columns, self.layout = tree, columns, layout
        self.marginals, self.mean_counts = marginals, mean_counts
        self.n_states, self.priors = n_states, priors
        d = len(columns)
        self.tails = [columns[node].scale.tail for node in layout.smooth.tolist()]
        self._smooth_of = dict(zip(layout.smooth.tolist(), range(d)))
        self._count_of = dict(zip(layout.counts.tolist(), range(d)))
        narrow = np.repeat(layout.sizes <= WIDE, layout.sizes + 1)
        self._column_of = np.repeat(np.arange(d), layout.sizes + 1)[narrow]
        self._level_of = np.concatenate([np.arange(size + 1) for size in layout.sizes])[narrow]
        place = np.cumsum(narrow) - 1
        self._hot_at = [
            slice(int(place[a]), int(place[a]) + int(b - a)) if size <= WIDE else None
            for a, b, size in zip(layout.starts, layout.starts[1:], layout.sizes)
        ]
        self._room = threading.local()  # of each thread, since several may look at parts

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels: all but the room."""
        return {name: held for name, held in vars(self).items() if name != "_room"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_room": threading.local()}

    # ---- expectation ------------------------------------------------------------------------

    def _begin(self, summary: TreeSums) -> Parameters:
        return self._update(None, summary)

    @property
    def at_once(self) -> int:
        """Rows whose messages take little room."""
        return int(np.clip(ROOM // (4 * len(self.columns) * self.n_states), 32, PART))

    def log_density(self, rows: Rows, parameters: Parameters) -> NDArray[np.float64]:
        """Return log p of each row, in nats."""
        parts = rows.parts(self.at_once)
        return np.concatenate([self.upward(some, parameters).log_p for some in parts])

    def _statistics(self, X: Rows, parameters: Parameters) -> TreeSums:
        return added(
            self.sums(some, parameters, self.upward(some, parameters), some.weights)
            for some in X.parts(self.at_once)
        )

    def sums(
        self, X: Rows, parameters: Parameters, up: Upward, row_weights: NDArray[np.float64]
    ) -> TreeSums:
        """Return the sums of rows, with these weights, from the sweep up over them."""
        kind, k, tree = parameters.root.dtype, self.n_states, self.tree
        B, M = up.below, up.messages
        weights = row_weights.astype(kind)
        root = tree.order[0]
        pairs = np.zeros(parameters.transitions.shape, kind)
        tables = np.zeros(parameters.tables.shape, kind)
        moments = np.zeros((3, *parameters.means.shape), kind)
        counts = np.zeros((len(parameters.counts), k, 3))
        D = self._buffer("D", (k, len(X)), kind)
        at = {root: up.root * weights}
        totals = at[root].sum(axis=1)
        for node in tree.order:
            if node != root:
                above = at[int(tree.parent[node])]
                np.divide(above, M[node], out=D)
                T = parameters.transitions[node]
                np.multiply(D @ B[node].T, T, out=pairs[node])
                found = T.T @ D
                found *= B[node]
                at[node] = found
            self._add_leaf(node, X, at[node], up, parameters, tables, moments, counts)
        total = float(row_weights.sum())
        return TreeSums(
            float(row_weights @ up.log_p), total, totals, pairs, tables, moments, counts
        )

    def upward(self, X: Rows, parameters: Parameters) -> Upward:
        """Return the sweep up over rows; the next one takes its room."""
        kind, k, n, d = parameters.root.dtype, self.n_states, len(X), len(self.columns)
        codes = np.ascontiguousarray(X.codes.T)
        hot = (codes[self._column_of] == self._level_of[:, None]).astype(kind)
        B, M = self._buffer("B", (d, k, n), kind), self._buffer("M", (d, k, n), kind)
        top = self._buffer("top", (d, n), kind)
        own: dict[int, NDArray[Any]] = {}
        starts, tiny = self.layout.starts, kind.type(TINY[kind])
        root = self.tree.order[0]
        log_p = X.shift.copy()
        for node in reversed(self.tree.order):
            table = parameters.tables[starts[node] : starts[node + 1]]
            here = B[node]
            if (at := self._hot_at[node]) is not None:
                np.dot(table.T, hot[at], out=here)
            else:
                np.take(table.T, codes[node], axis=1, out=here)
            if node in self._smooth_of:
                own[node] = self._times_normals(node, X, codes[node], parameters, here)
            elif node in self._count_of:
                j = self._count_of[node]
                likelihood, scale = parameters.counts[j].likelihood(X.numbers[:, j])
                here *= likelihood.T.astype(kind)
                if scale is not None:
                    log_p += scale
            for number, child in enumerate(self.tree.children[node], start=1):
                here *= M[child]
                if number % RESCALED == 0:
                    largest = np.maximum(here.max(axis=0), tiny)
                    here /= largest
                    log_p += np.log(largest)
            np.max(here, axis=0, out=top[node])
            np.maximum(top[node], tiny, out=top[node])
            here /= top[node]
            if node != root:
                np.dot(parameters.transitions[node], here, out=M[node])
                np.maximum(M[node], tiny, out=M[node])
        post = parameters.root[:, None] * B[root]
        p = post.sum(axis=0)
        post /= p
        log_p += np.log(top, dtype=np.float64).sum(axis=0)
        log_p += np.log(p)
        return Upward(log_p, post, B, M, hot, own)

    def _times_normals(
        self,
        node: int,
        X: Rows,
        codes: NDArray[Any],
        parameters: Parameters,
        here: NDArray[Any],
    ) -> NDArray[Any]:
        """Multiply by the density over the shared tail; return the share of the state's own."""
        j = self._smooth_of[node]
        kind = here.dtype
        y = X.y[:, j].astype(kind, copy=False)
        mean, spread = parameters.means[j][:, None], parameters.spreads[j][:, None]
        factor = y - mean
        factor *= np.sqrt(kind.type(0.5)) / spread
        factor *= factor
        tail = kind.type(self.tails[j])
        np.subtract(0.5 * (y / tail) ** 2, factor, out=factor)
        np.minimum(factor, FARTHEST, out=factor)
        np.exp(factor, out=factor)
        factor *= kind.type(1 - TAIL) * tail / spread
        share = factor / (factor + kind.type(TAIL))
        factor += kind.type(TAIL)
        atoms = codes != self.layout.sizes[node] - 1
        if atoms.any():
            factor[:, atoms], share[:, atoms] = 1, 0
        here *= factor
        return share

    def _add_leaf(
        self,
        node: int,
        X: Rows,
        share: NDArray[Any],
        up: Upward,
        parameters: Parameters,
        tables: NDArray[Any],
        moments: NDArray[Any],
        counts: NDArray[Any],
    ) -> None:
        """Put the sums of one column where they belong, given p(z | x), (k, n), of its node."""
        starts, kind = self.layout.starts, share.dtype
        rows = slice(starts[node], starts[node + 1])
        if (at := self._hot_at[node]) is not None:
            np.dot(up.hot[at], share.T, out=tables[rows])
        else:
            n, size = len(X), int(self.layout.sizes[node]) + 1
            held = np.ones(n, kind), X.codes[:, node].astype(np.int32), np.arange(n + 1)
            tables[rows] = csr_array(held, shape=(n, size)).T @ share.T
        if node in up.own:
            j = self._smooth_of[node]
            r = up.own[node]
            r *= share
            y = X.y[:, j].astype(kind, copy=False)
            powers = np.stack([np.ones_like(y), y, y * y])
            moments[:, j] = powers @ r.T
        elif node in self._count_of:
            j = self._count_of[node]
            counts[j] = parameters.counts[j].statistics(X.numbers[:, j], share.T)

    def _buffer(self, name: str, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """Return room for an array, kept from one batch to the next."""
        size = int(np.prod(shape))
        rooms: dict[Any, Any] = self._room.__dict__
        held = rooms.get((name, kind))
        if held is None or held.size < size:
            held = rooms[name, kind] = np.empty(size, kind)
        return held[:size].reshape(shape)

    # ---- maximisation -----------------------------------------------------------------------

    def _update(self, parameters: Any, statistics: TreeSums) -> Parameters:
        k, priors, layout = self.n_states, self.priors, self.layout
        kind = statistics.pairs.dtype
        root = statistics.root + priors.transitions / k
        transitions = statistics.pairs + kind.type(priors.transitions / k)
        transitions /= transitions.sum(axis=2, keepdims=True)
        tables = statistics.tables + (priors.emissions * self.marginals)[:, None].astype(kind)
        tables[layout.gaps] = 0
        tables /= np.repeat(
            np.add.reduceat(tables, layout.starts[:-1], axis=0), layout.sizes + 1, axis=0
        )
        tables[layout.gaps] = 1
        n, first, second = statistics.moments
        means = first / np.maximum(n, 1e-6)
        squares = np.maximum(second - n * means**2, 0)
        variances = (squares + priors.strength * priors.variance) / (n + priors.strength)
        spreads = np.maximum(np.sqrt(variances), self.floors(means)).astype(kind)
        plain = CountsLeaf(np.ones(k), np.ones(k))
        counts = tuple(
            plain.updated(sums, one) for sums, one in zip(statistics.counts, self._count_priors())
        )
        return Parameters(
            (root / root.sum()).astype(kind), transitions, tables, means, spreads, counts
        )

    def _count_priors(self) -> list[Prior]:
        """Return what is added to the sums of each column of counts."""
        return [Prior(np.array([mean]), self.priors.emissions) for mean in self.mean_counts]

    def floors(self, means: NDArray[Any]) -> NDArray[np.float64]:
        """Return the least spread of states of these means."""
        found = np.full(means.shape, FLOOR)
        for j, node in enumerate(self.layout.smooth.tolist()):
            column = self.columns[node]
            if column.grid and column.scale is not None:
                at = column.scale.inverse(means[j].astype(np.float64))
                log_slope = column.scale.log_slope(at)
                with np.errstate(over="ignore", invalid="ignore"):
                    step = column.grid * np.exp(log_slope)
                    far = np.exp(log_slope + np.log(column.grid))  # in units near no number
                step = np.where(np.isfinite(step), step, far)
                found[j] = np.minimum(np.maximum(FLOOR, FLOOR_IN_GRIDS * step), column.scale.tail)
        return found

    def _objective(self, parameters: Parameters, statistics: TreeSums) -> float:
        return statistics.log_likelihood + self.log_prior(parameters)

    def log_prior(self, parameters: Parameters) -> float:
        """Return the logarithm of the prior that the pseudo-counts stand for, up to a constant."""
        k, priors = self.n_states, self.priors
        nodes = np.array(self.tree.order[1:], np.intp)
        total = priors.transitions / k * float(np.log(parameters.root).sum())
        total += priors.transitions / k * float(np.log(parameters.transitions[nodes]).sum())
        real = np.ones(len(self.marginals), bool)
        real[self.layout.gaps] = False
        with np.errstate(divide="ignore"):
            logs = np.log(parameters.tables[real])
        shares = self.marginals[real][:, None]
        total += priors.emissions * float(np.where(shares > 0, shares * logs, 0.0).sum())
        variances = parameters.spreads.astype(np.float64) ** 2
        total -= (
            priors.strength / 2 * float((np.log(variances) + priors.variance / variances).sum())
        )
        for leaf, prior in zip(parameters.counts, self._count_priors(), strict=True):
            total += leaf.log_prior(prior)
        return total


# ---- several trees -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joint:
    """Parameters of a mixture: those of each tree, and its weight."""

    weights: NDArray[np.float64]
    trees: tuple[Parameters, ...]


@dataclass(frozen=True)
class JointSums(Sums):
    """Sums of each tree over all rows, each weighed by how likely the tree made it."""

    trees: Any

    merged_by: ClassVar[dict[str, Callable[[Any, Any], Any]]] = {
        "trees": lambda one, two: tuple(a + b for a, b in zip(one, two, strict=True))
    }

    def times(self, factor: float) -> JointSums:
        return JointSums(
            factor * self.log_likelihood,
            factor * self.n_observations,
            tuple(sums.times(factor) for sums in self.trees),
        )


class MixtureEM(FromPasses):
    """The EM of a mixture of trees.

    Parameters
    ----------
    trees : list of TreeEM
    kind : type, optional
        Precision in which rows are looked at, if not that of the parameters; sums are of float64.
    """

    def __init__(self, trees: list[TreeEM], kind: Any = None) -> None:
        self.trees, self.kind = trees, kind

    def _begin(self, summary: JointSums) -> Joint:
        return self._update(None, summary)

    def log_density(self, rows: Rows, parameters: Joint) -> NDArray[np.float64]:
        """Return log p of each row, in nats."""
        found = [tree.log_density(rows, own) for tree, own in zip(self.trees, parameters.trees)]
        return log_sum_exp(np.stack(found) + np.log(parameters.weights)[:, None], axis=0)

    def _statistics(self, X: Rows, parameters: Joint) -> JointSums:
        own = parameters.trees
        if self.kind is not None:
            own = tuple(one.astype(self.kind) for one in own)
        with np.errstate(divide="ignore"):
            weights = np.log(parameters.weights)[:, None]
        return added(self._sums(some, own, weights) for some in X.parts(self.trees[0].at_once))

    def _sums(self, X: Rows, parameters: tuple[Parameters, ...], log_weights: NDArray) -> JointSums:
        """Return the sums of few rows."""
        ups = [tree.upward(X, own) for tree, own in zip(self.trees, parameters)]
        joint = np.stack([up.log_p for up in ups]) + log_weights
        log_p = log_sum_exp(joint, axis=0)
        shares = np.exp(joint - log_p) * X.weights
        found = tuple(
            tree.sums(X, own, up, share)
            for tree, own, up, share in zip(self.trees, parameters, ups, shares)
        )
        if self.kind is not None:
            found = tuple(sums.astype(np.float64) for sums in found)
        return JointSums(float(X.weights @ log_p), float(X.weights.sum()), found)

    def _update(self, parameters: Any, statistics: JointSums) -> Joint:
        weights = np.array([sums.n_observations for sums in statistics.trees])
        found = tuple(tree._update(None, sums) for tree, sums in zip(self.trees, statistics.trees))
        weights = np.maximum(weights, 1e-12 * weights.sum())
        return Joint(weights / weights.sum(), found)

    def _objective(self, parameters: Joint, statistics: JointSums) -> float:
        priors = [tree.log_prior(own) for tree, own in zip(self.trees, parameters.trees)]
        return statistics.log_likelihood + sum(priors)
