"""Rows and batches, and one tree or several fitted to them.

Rows that are equal are one row of their joint weight, and stand in an order that depends on neither
their order in the table nor the units of its columns: a row of weight 2 is a row twice, to the last
bit. A weight is split into *units* of 1, which fall into batches, and into the rows held out, by
chance: as repeated rows would.

    S <- (1 - eta) S + eta n / b sum over a batch,   theta <- update(S)

with eta falling linearly (Cappe & Moulines 2009), for one tree or for all of a mixture at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit import tree as trees
from ancestral.circuit.columns import Column
from ancestral.circuit.em import (
    ROOM,
    Joint,
    MixtureEM,
    Parameters,
    Priors,
    TreeEM,
)
from ancestral.circuit.rows import Layout, Rows
from ancestral.circuit.seen import mixed
from ancestral.circuit.starts import from_clusters, from_noise
from ancestral.circuit.tree import Tree
from ancestral.training.passes import Fit, Passes

FIRST_RATE, LAST_RATE = 0.6, 0.03
JOINT_RATE = 0.1  # of the first step of all trees at once
PATIENCE = 4  # looks at the rows held out without a gain
LOOKED = 2  # sweeps between two looks


Show = Callable[[str], None] | None


@dataclass
class Member:
    """One tree of the mixture, as it was fitted."""

    em: TreeEM
    parameters: Parameters

    def as_plain(self) -> dict[str, Any]:
        """Return what a model keeps of it, in float64: shares sum to 1 there."""
        found, layout = self.parameters, self.em.layout
        real = np.ones(int(layout.starts[-1]), bool)
        real[layout.gaps] = False
        for node in layout.counts:
            real[layout.starts[node]] = False
        tables, columns = found.tables.astype(np.float64)[real], self.em.columns
        sizes = np.array([column.n_rows for column in columns], np.intp)
        sizes = sizes[sizes > 0]
        if len(sizes):
            starts = np.r_[0, np.cumsum(sizes)[:-1]]
            tables /= np.repeat(np.add.reduceat(tables, starts, axis=0), sizes, axis=0)
        transitions = found.transitions.astype(np.float64)
        root = found.root.astype(np.float64)
        counts = [[leaf.mean, leaf.size] for leaf in found.counts]
        return {
            "parent": self.em.tree.parent,
            "root": root / root.sum(),
            "transitions": transitions / transitions.sum(axis=2, keepdims=True),
            "tables": tables,
            "means": found.means.astype(np.float64),
            "spreads": found.spreads.astype(np.float64),
            "counts": np.array(counts).reshape(len(counts), 2, self.em.n_states),
        }


# ---- rows, once each -----------------------------------------------------------------------------


def distinct(
    table: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return which rows to keep, one of each that are equal, in an order of their own; their
    weights.

    The order hangs on the ranks of values within columns alone.
    """
    n = len(table)
    keys = np.zeros(n, np.uint64)
    for j in range(table.shape[1]):
        _, ranks = np.unique(table[:, j], return_inverse=True)
        keys = mixed(keys, ranks.reshape(-1).astype(np.uint64))
    order = np.argsort(keys, kind="stable")
    order = order[weights[order] > 0]
    keys = keys[order]
    first = np.r_[True, keys[1:] != keys[:-1]]
    starts = np.flatnonzero(first)
    return order[starts], np.add.reduceat(weights[order], starts)


def split(
    weights: NDArray[np.float64],
    share: float,
    rng: np.random.Generator,
    apart: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return how much of each row's weight is held out: of its units, each by chance.

    Rows `apart` are held out as a whole or not at all: a copy among the rows of the fit would tell
    what they are.
    """
    whole = np.floor(weights)
    held = rng.binomial(whole.astype(np.int64), share).astype(np.float64)
    held += (rng.random(len(weights)) < share) * (weights - whole)
    if apart is not None and (several := apart & (weights > 1)).any():
        held[several] = weights[several] * (rng.random(int(several.sum())) < share)
    return held


def has_density(table: NDArray[np.float64], columns: list[Column]) -> NDArray[np.bool_]:
    """Tell which rows hold a number that has a density, and so does not repeat by chance."""
    found = np.zeros(len(table), bool)
    for column, values in zip(columns, table.T, strict=True):
        if column.kind == "continuous":
            found |= ~np.isnan(values) & ~np.isin(values, column.atoms)
    return found


class Batches:
    """The rows in batches, drawn anew for each sweep.

    Parameters
    ----------
    rows : Rows
    weights : ndarray
        Those of the rows that count here.
    size : int
        Units in a batch, about.
    rng : numpy.random.Generator
    """

    def __init__(
        self, rows: Rows, weights: NDArray[np.float64], size: int, rng: np.random.Generator
    ) -> None:
        self.rows, self.rng = rows, rng
        there = np.flatnonzero(weights > 0)
        held = weights[there]
        self.total = float(held.sum())
        most = min(self.total, 4.0 * len(there))
        self.n_batches = max(1, round(most / size))
        # What a row has for every batch, and its units beyond that.
        each = np.floor(held / self.n_batches)
        self.always, self.of_always = there[each > 0], each[each > 0]
        rest = held - each * self.n_batches
        n_units = np.ceil(rest).astype(np.intp)
        self.unit = np.repeat(there, n_units)
        last = np.cumsum(n_units)[n_units > 0] - 1
        self.of_unit = np.ones(len(self.unit))
        self.of_unit[last] = (rest - (n_units - 1))[n_units > 0]

    def __call__(self, sweep: int) -> Iterator[Rows]:
        order = self.rng.permutation(len(self.unit))
        for some in np.array_split(order, self.n_batches):
            which = np.concatenate([self.always, self.unit[some]])
            if len(which):
                yield self.rows.take(which, np.concatenate([self.of_always, self.of_unit[some]]))


# ---- one tree ------------------------------------------------------------------------------------


class Learner:
    """Fits trees to one table.

    Parameters
    ----------
    table : ndarray of shape (n, d)
        Encoded, each row once.
    columns : list of Column
    weights : ndarray of shape (n,)
    priors : Priors
    batch : int
    rng : numpy.random.Generator
    show : callable
        Shows a line of progress.
    """

    def __init__(
        self,
        table: NDArray[np.float64],
        columns: list[Column],
        weights: NDArray[np.float64],
        priors: Priors,
        batch: int,
        rng: np.random.Generator,
        show: Show,
    ) -> None:
        self.columns, self.weights, self.priors = columns, weights, priors
        self.batch, self.rng = batch, rng
        self.show = show or (lambda line: None)
        self.layout = Layout.of(columns)
        self.rows = Rows.of(table, columns, self.layout, weights)
        some = slice(0, trees.MOST_ROWS)  # of an order that is as good as chance
        codes, sizes = trees.codes_of(table[some], [c.has_levels for c in columns], weights[some])
        self.information = trees.information(codes, sizes, weights[some])
        self.marginals, self.mean_counts = _marginals(self.rows, self.layout)

    def em(self, tree: Tree, n_states: int, variance: float) -> TreeEM:
        return TreeEM(
            tree,
            self.columns,
            self.layout,
            self.marginals,
            self.mean_counts,
            n_states,
            replace(self.priors, variance=variance),
        )

    def tree(self, noise: float) -> Tree:
        """Return the tree of the information, each pair's times 1 and some noise."""
        if not noise:
            return trees.spanning(self.information)
        d = len(self.information)
        drawn = np.triu(self.rng.exponential(size=(2, d, d)).mean(axis=0), 1)
        return trees.spanning(self.information * (1 - noise + noise * (drawn + drawn.T)))

    def started(self, em: TreeEM, kind: str, weights: NDArray[np.float64]) -> Fit:
        if kind == "noise":
            return Fit(from_noise(em, self.rng))
        sums = from_clusters(em, self.rows, weights, self.rng)
        return Fit(em._begin(sums).astype(np.float32), statistics=sums)

    def climb(
        self,
        em: TreeEM,
        start: Fit,
        weights: NDArray[np.float64],
        n_sweeps: int,
        *,
        held_out: NDArray[np.float64] | None = None,
        name: str = "",
    ) -> tuple[Parameters, float, int]:
        """Return the parameters after sweeps of a falling rate, those of the best look at the rows
        held out where there are any, what these gave, and after how many sweeps.
        """
        batches = Batches(self.rows, weights, self._batch_of(em), self.rng)
        steps = max(1, n_sweeps * batches.n_batches - 1)
        best: list[Any] = [start.parameters, -np.inf, 0]
        looks = 0

        def after(sweep: int, parameters: Parameters) -> bool:
            nonlocal looks
            if held_out is None:
                best[:] = [parameters, np.nan, sweep + 1]
                self.show(f"{name}: sweep {sweep + 1} of {n_sweeps}")
                return False
            if (sweep + 1) % LOOKED and sweep + 1 < n_sweeps:
                return False
            value = self.mean_log_density(em, parameters, held_out)
            self.show(f"{name}: sweep {sweep + 1} of {n_sweeps}, {value:.4f} nats per row held out")
            looks = 0 if value > best[1] else looks + 1
            if value > best[1]:
                best[:] = [parameters, value, sweep + 1]
            return looks >= PATIENCE

        Passes().sweep(
            em,
            batches,
            start,
            n_observations=batches.total,
            n_sweeps=n_sweeps,
            rate=lambda step: FIRST_RATE + (LAST_RATE - FIRST_RATE) * step / steps,
            after=after,
        )
        return best[0], best[1], best[2]

    def _batch_of(self, em: TreeEM) -> int:
        """Return how many rows a batch has: fewer, where their messages take much room."""
        per_row = 8 * len(self.columns) * em.n_states
        return max(16, min(self.batch, ROOM // per_row))

    def rows_of(self, weights: NDArray[np.float64]) -> Rows:
        """Return the rows that count."""
        if (weights > 0).all():
            return replace(self.rows, weights=weights)
        there = np.flatnonzero(weights > 0)
        return self.rows.take(there, weights[there])

    def mean_log_density(
        self, em: TreeEM | MixtureEM, parameters: Any, weights: NDArray[np.float64]
    ) -> float:
        """Return the mean log density of rows, in nats."""
        rows = self.rows_of(weights)
        return float(rows.weights @ em.log_density(rows, parameters)) / float(weights.sum())

    def joint(
        self,
        em: MixtureEM,
        start: Joint,
        weights: NDArray[np.float64],
        n_sweeps: int,
        held_out: NDArray[np.float64] | None = None,
    ) -> tuple[Joint, int, float]:
        """Return the parameters of a mixture after sweeps over all trees at once, how many, and
        what the rows held out give.

        They begin at the sums of all rows, and go on while rows held out gain by it.
        """
        if len(em.trees) == 1 or not n_sweeps:
            value = np.nan if held_out is None else self.mean_log_density(em, start, held_out)
            return start, 0, value
        sums = em._statistics(self.rows_of(weights), start)
        batches = Batches(self.rows, weights, self._batch_of(em.trees[0]), self.rng)
        steps = max(1, n_sweeps * batches.n_batches - 1)
        best: list[Any] = [start, -np.inf, 0]
        if held_out is not None:
            best[1] = self.mean_log_density(em, start, held_out)
        worse = 0

        def after(sweep: int, parameters: Joint) -> bool:
            nonlocal worse
            line = f"all trees: sweep {sweep + 1} of {n_sweeps}"
            if held_out is None:
                best[:] = [parameters, np.nan, sweep + 1]
                self.show(line)
                return False
            value = self.mean_log_density(em, parameters, held_out)
            self.show(f"{line}, {value:.4f} nats per row held out")
            worse = 0 if value > best[1] else worse + 1
            if value > best[1]:
                best[:] = [parameters, value, sweep + 1]
            return worse >= 2

        Passes().sweep(
            em,
            batches,
            Fit(start, statistics=sums),
            n_observations=batches.total,
            n_sweeps=n_sweeps,
            rate=lambda step: JOINT_RATE + (LAST_RATE - JOINT_RATE) * step / steps,
            after=after,
        )
        return best[0], best[2], best[1]


def _marginals(rows: Rows, layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares of levels and atoms, one column above the other, and means of counts."""
    found = np.zeros(int(layout.starts[-1]))
    for j, size in enumerate(layout.sizes.tolist()):
        counts = np.bincount(rows.codes[:, j], rows.weights, size + 1)[:size] + 1e-9
        if size > 1:  # what was never seen, but declared, may come
            counts = counts + 0.5 / size
        found[layout.starts[j] : layout.starts[j] + size] = counts / counts.sum()
    known = ~np.isnan(rows.numbers)
    sums = (np.where(known, rows.numbers, 0) * rows.weights[:, None]).sum(axis=0)
    return found, sums / np.maximum((known * rows.weights[:, None]).sum(axis=0), 1e-9)
