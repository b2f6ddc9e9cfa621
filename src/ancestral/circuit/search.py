"""The most probable levels and counts of a mixture of trees given a condition, with a bound.

    max over x of sum_z p(z) prod_i p(x_i | z_i)  <=  sum_z p(z) prod_i max_x p(x | z_i)

With hidden states summed out the left side is hard in general. The right side is one sweep: each
state has the value that it likes best. Branch and bound fixes one column after another, first in
the partial completion whose bound is largest, until no bound is above the best completion found.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.circuit.leaves import Allowed, ContinuousLeaf, CountsLeaf, Leaf, LevelsLeaf
from ancestral.circuit.messages import Mixture, member_log_densities, sweeps
from ancestral.circuit.queries import (
    Condition,
    Impossible,
    log_evidence,
    mean_and_covariance,
    weights_of,
)

Floats = NDArray[np.float64]

MOST_EXPANDED = 300  # partial completions that the search for the most probable one looks into
MOST_CELLS = 1_000_000  # values in the partial completions whose bounds it takes
MOST_CANDIDATES = 256  # counts of a column that it tries one by one
CLOSE = 1e-9  # nats by which a completion may fall short of the best and be called so


class MostProbable(NamedTuple):
    """A completion, log p of its levels and counts given the condition, and a bound on any's."""

    row: Floats
    log_probability: float
    upper_bound: float


def most_probable(mixture: Mixture, condition: Condition) -> MostProbable:
    """Return the most probable levels and counts given a condition, found by branch and bound.

    The bound of a partial completion lets each state have the value that it likes best in the
    columns that are left: sum_z p(z) prod_i max_x p(x | z_i). The search looks into the partial
    completion of the largest bound, until none is above the best completion found, or
    `MOST_EXPANDED` were looked into: the largest bound left is then the upper bound. Continuous
    columns are summed out, and given their mean under the completion.
    """
    evidence = log_evidence(mixture, condition)
    if np.isneginf(evidence):
        raise Impossible(0)
    search = _Search(mixture, condition)
    row, log_p, bound = search.run()
    left = {i: what for i, what in condition.allowed.items() if i not in search.candidates}
    full = Condition(row, left)
    numbers = [
        i
        for i, leaf in enumerate(mixture.circuits[0].leaves)
        if np.isnan(row[i]) and isinstance(leaf, ContinuousLeaf)
    ]
    if numbers:
        row = row.copy()
        row[numbers] = mean_and_covariance(mixture, full, numbers)[0]
    bound = max(bound, log_p)
    if bound - log_p <= CLOSE:
        bound = log_p
    return MostProbable(row, min(log_p - evidence, 0.0), min(bound - evidence, 0.0))


class _Search:
    """A search over the levels and counts that a condition leaves open.

    Each such column becomes one of levels, its candidates, and a last one that stands for "still
    open": the likelihood that each state has at best.
    """

    def __init__(self, mixture: Mixture, condition: Condition) -> None:
        self.condition = condition
        self.candidates: dict[int, Floats] = {}
        self.whole: dict[int, bool] = {}  # whether no other value can be the best
        rest = {}
        members: list[list[Leaf]] = [list(circuit.leaves) for circuit in mixture.circuits]
        for i in np.flatnonzero(np.isnan(condition.row)).tolist():
            leaves = [circuit.leaves[i] for circuit in mixture.circuits]
            what = condition.allowed.get(i)
            if isinstance(leaves[0], ContinuousLeaf):
                if what is not None:
                    rest[i] = what
                continue
            values, whole = _candidates(leaves, what)
            self.candidates[i], self.whole[i] = values, whole
            for m, leaf in enumerate(leaves):
                p = np.exp(leaf.log_density(values)).T
                best = p.max(axis=1, keepdims=True)
                if not whole:
                    modes = cast(CountsLeaf, leaf).modes(what)
                    best = np.exp(leaf.log_density(modes).max(axis=0))[:, None]
                members[m][i] = LevelsLeaf(np.concatenate([p, best], axis=1))
        circuits = tuple(
            replace(circuit, leaves=tuple(leaves), _as=circuit._as)
            for circuit, leaves in zip(mixture.circuits, members, strict=True)
        )
        self.mixture = Mixture(mixture.weights, circuits)
        self.held = [Condition(condition.row, rest).held(circuit) for circuit in circuits]
        self.open = {i: float(len(values)) for i, values in self.candidates.items()}
        self.columns = sorted(self.candidates)

    def bounds(self, rows: Floats) -> Floats:
        """Return the bound on log p of each partial completion; of a whole one, log p itself."""
        return log_sum_exp(member_log_densities(self.mixture, rows, self.held))

    def start(self) -> Floats:
        row = self.condition.row.copy()
        for i, code in self.open.items():
            row[i] = code
        return row

    def decoded(self, row: Floats) -> Floats:
        row = row.copy()
        for i, values in self.candidates.items():
            row[i] = values[int(row[i])]
        return row

    def shares(self, row: Floats, *, relative: bool = False) -> dict[int, Floats]:
        """Return p(candidate of a column | what is known, what is open summed out).

        With `relative`, over that of the column's own value in a whole row.
        """
        codes = row.copy()
        for i, code in self.open.items():
            if codes[i] == code:
                codes[i] = np.nan
        found: dict[int, Any] = dict.fromkeys(self.columns, 0.0)
        log_p = member_log_densities(self.mixture, codes[None], self.held)
        weights = weights_of(log_p)[0]
        for weight, circuit, held in zip(weights, self.mixture.circuits, self.held, strict=True):
            if not weight:
                continue
            ((_, up),) = sweeps(circuit, codes[None], held)
            for i, rest in up.rests():
                if i in found:
                    leaf = cast(LevelsLeaf, circuit.leaves[i])
                    p = rest[0] @ leaf.p[:, :-1]
                    found[i] = found[i] + weight * p / (p[int(row[i])] if relative else 1.0)
        return found

    def climbed(self, row: Floats) -> tuple[Floats, float]:
        """Return a completion that no change of one value makes more probable, and its log p."""
        best = float(self.bounds(row[None])[0])
        while True:
            gains = self.shares(row, relative=True)
            better = sorted(self.columns, key=lambda i: -float(gains[i].max()))
            better = [i for i in better if gains[i].max() > 1 + 1e-12]
            for some in (better, better[:1]):  # all at once, or else the best alone
                changed = row.copy()
                changed[some] = [float(np.argmax(gains[i])) for i in some]
                value = float(self.bounds(changed[None])[0])
                if value > best + 1e-12:
                    break
            else:
                return row, best
            row, best = changed, value

    def greedy(self) -> Floats:
        """Return a completion: the surest columns first, then again those given them."""
        row = self.start()
        while left := [i for i in self.columns if row[i] == self.open[i]]:
            shares = self.shares(row)
            sure = {i: _surety(shares[i]) for i in left}
            left.sort(key=sure.__getitem__, reverse=True)
            n = max(len(left) // 4, sum(found >= 0.99 for found in sure.values()), 1)
            for some in (left[:n], left[:1]):
                tried = row.copy()
                tried[some] = [float(np.argmax(shares[i])) for i in some]
                if np.isfinite(self.bounds(tried[None])[0]):
                    break
            row = tried
        return row

    def run(self) -> tuple[Floats, float, float]:
        """Return the best completion found, its log p and the bound on all others'."""
        if not self.columns:
            row = self.condition.row
            found = float(self.bounds(row[None])[0])
            return row, found, found
        best, value = self.climbed(self.greedy())
        first = self.start()
        counter = itertools.count()
        queue = [(-float(self.bounds(first[None])[0]), next(counter), first)]
        closed = -np.inf  # the largest bound of what is not looked into any further
        work = 0
        for _ in range(MOST_EXPANDED):
            if not queue or -queue[0][0] <= value + CLOSE or work > MOST_CELLS:
                break
            _, _, row = heapq.heappop(queue)
            left = [i for i in self.columns if row[i] == self.open[i]]
            i = self._branching(row, left)
            codes = np.arange(len(self.candidates[i]) + (not self.whole[i]), dtype=np.float64)
            rows = np.repeat(row[None], len(codes), axis=0)
            rows[:, i] = codes
            work += rows.size + 20 * row.size  # with what it takes to choose the column
            for bound, one in zip(self.bounds(rows).tolist(), rows, strict=True):
                if bound <= value + CLOSE:
                    continue
                if one[i] == self.open[i]:  # values that are no candidates
                    closed = max(closed, bound)
                elif len(left) == 1:
                    best, value = self.climbed(one)
                else:
                    heapq.heappush(queue, (-bound, next(counter), one))
        bound = max(closed, -queue[0][0] if queue else -np.inf, value)
        return self.decoded(best), value, bound

    def _branching(self, row: Floats, left: list[int]) -> int:
        """Return the open column whose best value is the least sure."""
        shares = self.shares(row)
        return min(left, key=lambda i: _surety(shares[i]))


def _surety(shares: Floats) -> float:
    """Return the share of the largest."""
    return float(shares.max() / max(float(shares.sum()), 1e-300))


def _candidates(leaves: list[Any], what: Allowed | None) -> tuple[Floats, bool]:
    """Return the values that may be the best of a column, and whether none other may."""
    if isinstance(leaves[0], LevelsLeaf):
        codes = np.arange(leaves[0].n_levels)
        return (codes if what is None else codes[leaves[0].kept(what)]).astype(np.float64), True
    # Below all states' modes each of them rises, and above all it falls.
    modes = np.unique(np.concatenate([leaf.modes(what) for leaf in leaves]))
    if what is not None and what.values is not None:
        return np.asarray(what.values, np.float64), len(what.values) <= MOST_CANDIDATES
    if modes[-1] - modes[0] < MOST_CANDIDATES:
        return np.arange(modes[0], modes[-1] + 1), True
    between = np.rint(np.linspace(modes[0], modes[-1], MOST_CANDIDATES - len(modes)))
    return np.unique(np.concatenate([modes, between])), False
