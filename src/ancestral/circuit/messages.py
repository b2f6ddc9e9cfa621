"""Sums over the hidden states of a tree, one sweep up and one down.

    p(x)      = sum over z of root[z_r] prod_i T_i[z_parent(i), z_i] prod_i p(x_i | z_i)
    up:    b_i(z) = p(x_i | z) prod over children c of m_c(z),   m_i(z') = sum_z T_i[z', z] b_i(z)
    down:  a_i(z) = p(z_parent(i) = z, all that is known outside the subtree of i)
           o_i(z) = sum_z' a_i(z') T_i[z', z],   p(z_i | x) ~ o_i(z) b_i(z)

What is unknown drops out: its b is 1. A product over a subtree of which nothing is known is left
out. Products are of numbers that are scaled to 1 row by row; rows in which such a product is lost
below the smallest float are summed once more in logarithms, so that the result is that of exact
sums, whatever the evidence. Rows are taken in blocks, whose messages fit in a core's own cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral._numerics import costs
from ancestral._numerics.threads import one_thread
from ancestral.circuit.leaves import Leaf, choose

Floats = NDArray[np.float64]
Held = Mapping[int, Floats]  # log p(condition | z) of columns, (k,): the same for all rows

BLOCK_BYTES = 4 << 20  # of the messages of a block of rows; of all that is kept, four times it
AT_ONCE = 8  # children whose messages are multiplied before the product is scaled again
LOST = 600.0  # nats, see `_Linear.is_lost`
TINY = float(np.finfo(np.float64).tiny / np.finfo(np.float64).eps)


def _alone(n_numbers: int) -> AbstractContextManager[None]:
    """Keep products of a block to one thread: a second would wait more than it works."""
    return one_thread() if n_numbers >= costs.ALONE_NUMBERS else nullcontext()


@dataclass(frozen=True)
class Circuit:
    """A tree of hidden states, and a leaf for each.

    Parameters
    ----------
    parent : ndarray of shape (d,)
        The parent of each column; -1 for the root.
    root : ndarray of shape (k,)
        p(z_root).
    transitions : ndarray of shape (d, k, k)
        T[i, z', z] = p(z_i = z | z_parent(i) = z'); that of the root is not used.
    leaves : tuple of Leaf
        One for each column, of k states.
    """

    parent: NDArray[np.intp]
    root: Floats
    transitions: Floats
    leaves: tuple[Leaf, ...]
    _as: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n_columns(self) -> int:
        return len(self.parent)

    @property
    def n_states(self) -> int:
        return len(self.root)

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each column."""
        found: list[list[int]] = [[] for _ in self.parent]
        for i, j in enumerate(self.parent.tolist()):
            if j >= 0:
                found[j].append(i)
        return found

    @cached_property
    def order(self) -> list[int]:
        """The columns, parents before their children, each subtree in one stretch."""
        found, waiting = [], [int(np.flatnonzero(self.parent < 0)[0])]
        while waiting:
            found.append(i := waiting.pop())
            waiting += self.children[i]
        return found

    @cached_property
    def marginals(self) -> list[Floats]:
        """p(z_i) of each column, (k,), with nothing known."""
        found = [self.root] * self.n_columns
        for i in self.order[1:]:
            found[i] = found[int(self.parent[i])] @ self.transitions[i]
        return found

    def n_free(self) -> int:
        """Return the number of free parameters."""
        k = self.n_states
        return (
            k - 1 + (self.n_columns - 1) * k * (k - 1) + sum(leaf.n_free() for leaf in self.leaves)
        )


@dataclass(frozen=True)
class Mixture:
    """p(x) = sum_m w_m p_m(x): circuits and their weights, (M,)."""

    weights: Floats
    circuits: tuple[Circuit, ...]


# ---- two ways to multiply ------------------------------------------------------------------------


class _Linear:
    """Numbers, scaled so that those of each row add up to 1."""

    def __init__(self, circuit: Circuit) -> None:
        self.root, self.transitions = circuit.root, circuit.transitions
        self.ones = np.ones(circuit.n_states)

    def likelihood(self, leaf: Leaf, values: Floats) -> tuple[NDArray[Any], Floats | None]:
        return leaf.likelihood(values)

    def held(self, log_p: Floats) -> tuple[NDArray[Any], Floats]:
        top = log_p.max()
        top = top if np.isfinite(top) else 0.0
        return np.exp(log_p - top)[None], np.array([top])

    def times(self, a: Any, b: Any) -> Any:
        return a * b

    def scaled(self, b: NDArray[Any]) -> tuple[NDArray[Any], Floats, Any]:
        """Return b over the sum of each row, its log, and where some of a row is next to 0."""
        total = self._sums(b)
        low = b.min(axis=1) < TINY if b.min() < TINY else np.zeros(len(b), bool)
        with np.errstate(divide="ignore"):
            log_total = np.log(total)
        return b / np.where(total > 0, total, 1)[:, None], log_total, low

    def _sums(self, b: NDArray[Any]) -> NDArray[Any]:
        """Return the sums of rows: by a product, which is much faster than a sum of short rows."""
        with _alone(b.size):
            return np.asarray(b @ self.ones)

    def is_lost(self, log_scale: Floats, low: NDArray[np.bool_]) -> Any:
        """Tell where what fell below the smallest float may count.

        All scales together magnify it by exp(-log_scale) at most.
        """
        return low & (log_scale < -LOST)

    def up(self, i: int, b: NDArray[Any]) -> NDArray[Any]:
        with _alone(b.size):
            return b @ self.transitions[i].T

    def down(self, i: int, a: NDArray[Any]) -> NDArray[Any]:
        with _alone(a.size):
            return a @ self.transitions[i]

    def log_sum(self, b: NDArray[Any]) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(b @ self.root))

    def shares(self, b: NDArray[Any]) -> NDArray[Any]:
        """Return rows over their sums."""
        total = self._sums(b)
        return b / np.where(total > 0, total, 1)[:, None]


class _Logs:
    """Logarithms: for rows in which scaled numbers vanish."""

    def __init__(self, circuit: Circuit) -> None:
        if "log" not in circuit._as:
            with np.errstate(divide="ignore"):
                circuit._as["log"] = np.log(circuit.root), np.log(circuit.transitions)
        self.root, self.transitions = circuit._as["log"]

    def likelihood(self, leaf: Leaf, values: Floats) -> tuple[Floats, None]:
        return leaf.log_density(values), None

    def held(self, log_p: Floats) -> tuple[Floats, None]:
        return log_p[None], None

    def times(self, a: Any, b: Any) -> Any:
        return a + b

    def scaled(self, b: Floats) -> tuple[Floats, Floats, Any]:
        top = b.max(axis=1)
        top = np.where(np.isfinite(top), top, 0.0)
        return b - top[:, None], top, np.zeros(len(b), bool)

    def is_lost(self, log_scale: Floats, low: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return low

    def _through(self, b: Floats, log_t: Floats) -> Floats:
        """Return log sum_z exp(b[n, z] + log_t[z, z'])."""
        step = max(1, BLOCK_BYTES // (8 * log_t.size))
        parts = [
            log_sum_exp(b[k : k + step, :, None] + log_t, axis=1) for k in range(0, len(b), step)
        ]
        return np.concatenate(parts)

    def up(self, i: int, b: Floats) -> Floats:
        return self._through(b, self.transitions[i].T)

    def down(self, i: int, a: Floats) -> Floats:
        return self._through(a, self.transitions[i])

    def log_sum(self, b: Floats) -> Floats:
        return log_sum_exp(self.root + b, axis=1)

    def shares(self, b: Floats) -> Floats:
        total = log_sum_exp(b, axis=1)[:, None]
        return np.exp(b - np.where(np.isfinite(total), total, 0.0))


# ---- sweeps --------------------------------------------------------------------------------------


class Upward:
    """The sweep up over some rows: what queries read the tree from.

    Arrays have one row for each row, or one alone where all rows say the same. None stands for 1.

    Parameters
    ----------
    circuit : Circuit
    rows : ndarray of shape (n, d)
        NaN where unknown.
    held : mapping, optional
        Conditions on columns: log p(condition | z), (k,), for all rows.
    keep : bool
        False keeps `log_p` alone.

    Attributes
    ----------
    log_p : ndarray of shape (n,)
    own, inner, below : list of ndarray (n, k)
        p(x_i | z), the product of the children's messages, and the product of the two, scaled.
    message : list of ndarray (n, k)
    """

    def __init__(
        self,
        circuit: Circuit,
        rows: Floats,
        held: Held | None = None,
        algebra: _Linear | _Logs | None = None,
        *,
        keep: bool = True,
    ) -> None:
        self.circuit, self.rows, self.algebra = circuit, rows, algebra or _Linear(circuit)
        way, d = self.algebra, circuit.n_columns
        self.own: list[Any] = [None] * d
        self.inner: list[Any] = [None] * d
        self.below: list[Any] = [None] * d
        self.message: list[Any] = [None] * d
        log_scale: Any = np.zeros(len(rows))
        low: Any = np.zeros(len(rows), bool)
        known = np.asarray(~np.isnan(rows).all(axis=0))
        multiplied = [0] * d
        top: Any
        few: Any
        for i in reversed(circuit.order):
            own, scale = None, None
            if known[i]:
                own, scale = way.likelihood(circuit.leaves[i], rows[:, i])
            if scale is not None:
                log_scale = log_scale + scale
            if held is not None and i in held:
                more, scale = way.held(held[i])
                log_scale = log_scale if scale is None else log_scale + scale
                own = more if own is None else way.times(own, more)
            below = self._product(own, self.inner[i])
            if below is None:
                continue
            below, top, few = way.scaled(below)
            log_scale, low = log_scale + top, np.logical_or(low, few)
            parent = int(circuit.parent[i])
            if keep:
                self.own[i], self.below[i] = own, below
            else:
                self.inner[i] = None
            if parent < 0:
                root = below
                continue
            message = way.up(i, below)
            if keep:
                self.message[i] = message
            multiplied[parent] += 1
            inner = self._product(message, self.inner[parent])
            if multiplied[parent] % AT_ONCE == 0:
                inner, top, few = way.scaled(inner)
                log_scale, low = log_scale + top, np.logical_or(low, few)
            self.inner[parent] = inner
        with np.errstate(invalid="ignore"):
            found = way.log_sum(root) + log_scale if known.any() or held else np.zeros(len(rows))
        self.log_p: Floats = np.broadcast_to(found, (len(rows),)).copy()
        self.lost: NDArray[np.bool_] = np.broadcast_to(way.is_lost(log_scale, low), (len(rows),))

    def _product(self, a: Any, b: Any) -> Any:
        if a is None or b is None:
            return b if a is None else a
        return self.algebra.times(a, b)

    def downward(self) -> Iterator[tuple[int, Any, Any]]:
        """Yield columns, parents first, with a_i (None for the root) and o_i, scaled."""
        circuit, way = self.circuit, self.algebra
        outside: list[Any] = [None] * circuit.n_columns
        above: list[Any] = [None] * circuit.n_columns
        for i in circuit.order:
            if circuit.parent[i] < 0:
                outside[i] = way.root[None]
            yield i, above[i], outside[i]
            children = circuit.children[i]
            before = self._product(outside[i], self.own[i])
            outside[i] = above[i] = None
            after: list[Any] = [None] * (len(children) + 1)
            for c in range(len(children) - 1, 0, -1):  # products of the messages of later siblings
                found = self._product(self.message[children[c]], after[c + 1])
                after[c] = found if found is None else way.scaled(found)[0]
            for c, child in enumerate(children):
                above[child], _, _ = way.scaled(self._product(before, after[c + 1]))
                outside[child] = way.down(child, above[child])
                before = self._product(before, self.message[child])
                if c % AT_ONCE == AT_ONCE - 1:
                    before, _, _ = way.scaled(before)

    def states(self) -> Iterator[tuple[int, Floats]]:
        """Yield columns with p(z_i | row), of shape (n, k) or (1, k)."""
        for i, _, outside in self.downward():
            yield i, self.algebra.shares(self._product(outside, self.below[i]))

    def rests(self) -> Iterator[tuple[int, Floats]]:
        """Yield columns with p(z_i | all of the row but its own value), likewise."""
        for i, _, outside in self.downward():
            yield i, self.algebra.shares(self._product(outside, self.inner[i]))

    def draw_states(
        self, rng: np.random.Generator, rows: NDArray[np.intp]
    ) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield columns with one state drawn for each of some rows, which may stand there twice."""
        circuit, way, n = self.circuit, self.algebra, len(rows)
        drawn: list[Any] = [None] * circuit.n_columns
        left = [len(children) for children in circuit.children]
        for i in circuit.order:
            parent, below = int(circuit.parent[i]), self.below[i]
            if parent < 0:
                given, z = way.root[None], np.zeros(n, np.intp)
            else:
                given, z = way.transitions[i], drawn[parent]
                left[parent] -= 1
            if below is not None and len(below) > 1:
                z = _chosen(way.shares(way.times(given[z], below[rows])), rng)
            else:
                z = choose(way.shares(self._product(given, below)), z, rng)
            drawn[i] = z
            if parent >= 0 and not left[parent]:
                drawn[parent] = None
            yield i, z


def _chosen(p: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw one of k by each row of p, (n, k), whose rows sum to 1; never one of p = 0."""
    columns = np.ascontiguousarray(p.T)
    u = rng.random(len(p)) * p.sum(axis=1)
    below, found = np.zeros(len(p)), np.zeros(len(p), np.intp)
    for column in columns:
        below += column
        found += below <= u
    if (over := found == len(columns)).any():  # by rounding
        found[over] = p[over].argmax(axis=1)
    return found


def sweeps(
    circuit: Circuit,
    rows: Floats,
    held: Held | None = None,
    *,
    keep: bool = True,
) -> Iterator[tuple[NDArray[np.intp], Upward]]:
    """Yield numbers of rows, in blocks, with the sweep up over them."""
    width = circuit.n_columns * circuit.n_states if keep else 16 * circuit.n_states
    size = int(np.clip(BLOCK_BYTES // (2 * width if keep else 8 * width), 16, 1 << 12))
    way = _Linear(circuit)
    for start in range(0, len(rows), size):
        part = np.arange(start, min(start + size, len(rows)))
        with _alone(len(part) * circuit.n_states), np.errstate(under="ignore"):
            up = Upward(circuit, rows[part], held, way, keep=keep)
        if not up.lost.any():
            yield part, up
            continue
        for some, how in ((part[~up.lost], way), (part[up.lost], _Logs(circuit))):
            if len(some):
                yield some, Upward(circuit, rows[some], held, how, keep=keep)


def log_density(circuit: Circuit, rows: Floats, held: Held | None = None) -> Floats:
    """Return log p of what is known of each row, and of the conditions, (n,), in nats."""
    found = np.empty(len(rows))
    for part, up in sweeps(circuit, rows, held, keep=False):
        found[part] = up.log_p
    return found


def member_log_densities(mixture: Mixture, rows: Floats, held: Any = None) -> Floats:
    """Return log w_m + log p_m(row) of each row and member, (n, M).

    `held` gives the conditions for each member.
    """
    found = np.empty((len(rows), len(mixture.circuits)))
    for m, circuit in enumerate(mixture.circuits):
        found[:, m] = log_density(circuit, rows, None if held is None else held[m])
    with np.errstate(divide="ignore"):
        return found + np.log(mixture.weights)
