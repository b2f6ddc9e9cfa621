"""What is asked of a mixture of trees, on encoded rows: each answer exact, from sweeps of messages.

    p(condition)         every column's evidence is a vector over its states: p(value | z), or the
                         mass of a set or an interval given z; what is unknown drops out
    p(x_i | the rest)    the sweep down, without the column's own evidence
    p_m | row  ~  w_m p_m(row)     the members of a mixture weigh in each answer by what they say of
                                   what is known

Rows are (n, d) of floats as the leaves read them, NaN where unknown. A `Condition` is one such row,
and sets and intervals for some of the columns that it leaves unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.circuit.leaves import (
    Allowed,
    ContinuousLeaf,
    CountsLeaf,
    Leaf,
    LevelsLeaf,
    choose,
    mixed_moments,
)
from ancestral.circuit.messages import (
    Circuit,
    Mixture,
    Upward,
    member_log_densities,
    sweeps,
)

Floats = NDArray[np.float64]

BISECTIONS = 150
FARTHEST = 1e4  # on a column's scale, beyond which no quantile is looked for
MOST_PAIRS = 1 << 13  # of rows and draws that are drawn at once


class Impossible(Exception):
    """What is known of a row has probability 0."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass(frozen=True)
class Condition:
    """What is known of one row.

    Parameters
    ----------
    row : ndarray of shape (d,)
        NaN where no value is given.
    allowed : mapping of int to Allowed
        Sets and intervals, by column.
    """

    row: Floats
    allowed: Mapping[int, Allowed] = field(default_factory=dict)

    def held(self, circuit: Circuit) -> dict[int, Floats]:
        """Return log p(condition | z) of the sets and intervals, by column."""
        return {i: circuit.leaves[i].log_mass(what) for i, what in self.allowed.items()}


# ---- densities -----------------------------------------------------------------------------------


def log_density(mixture: Mixture, rows: Floats) -> Floats:
    """Return log p of what is known of each row, (n,), in nats."""
    return log_sum_exp(member_log_densities(mixture, rows))


def log_evidence(mixture: Mixture, condition: Condition) -> float:
    """Return log p of a condition; a density where it gives values of continuous columns."""
    return float(log_sum_exp(_member_evidence(mixture, condition)))


def _member_evidence(mixture: Mixture, condition: Condition) -> Floats:
    held = [condition.held(circuit) for circuit in mixture.circuits]
    return member_log_densities(mixture, condition.row[None], held)[0]


def weights_of(log_p: Floats) -> Floats:
    """Return the members' probabilities given each row, (n, M); raise Impossible where none has."""
    total = log_sum_exp(log_p)
    if (bad := np.flatnonzero(np.isneginf(total))).size:
        raise Impossible(int(bad[0]))
    return np.asarray(np.exp(log_p - total[:, None]))


def states_given(mixture: Mixture, condition: Condition) -> list[tuple[float, list[Floats]]]:
    """Return each member's probability given a condition, and its p(z_i | condition), (k,) each.

    Raises
    ------
    Impossible
        For a condition of probability 0.
    """
    weights = weights_of(_member_evidence(mixture, condition)[None])[0]
    found = []
    for weight, circuit in zip(weights.tolist(), mixture.circuits, strict=True):
        states = dict(_one_sweep(circuit, condition).states())
        found.append((weight, [states[i][0] for i in range(circuit.n_columns)]))
    return found


def surprise(mixture: Mixture, rows: Floats) -> Floats:
    """Return -log p(x_i | all else that is known of the row), (n, d), in nats; NaN where unknown.

    A value that no state allows has the surprise inf, and says nothing about the rest of its row.

    Raises
    ------
    Impossible
        For a row whose values are possible each by itself, and the rest of one is not.
    """
    rows = rows.copy()
    found = np.full(rows.shape, np.nan)
    never = np.zeros(rows.shape, bool)
    for i in range(rows.shape[1]):
        best = [c.leaves[i].log_density(rows[:, i]).max(axis=1) for c in mixture.circuits]
        never[:, i] = np.isneginf(np.max(best, axis=0))
    rows[never] = np.nan
    joint, rests = [], []
    for circuit, weight in zip(mixture.circuits, mixture.weights, strict=True):
        cells, total = _log_cells(circuit, rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            joint.append(np.log(weight) + total)
            rest = np.log(weight) + total[:, None] - cells
        # Where a row has no probability, that of its rest is not a difference.
        for row in np.flatnonzero(np.isneginf(total)):
            known = np.flatnonzero(~np.isnan(rows[row]))
            without = np.repeat(rows[row][None], len(known), axis=0)
            without[np.arange(len(known)), known] = np.nan
            with np.errstate(divide="ignore"):
                rest[row, known] = np.log(weight) + _log_density_of(circuit, without)
        rests.append(rest)
    whole = log_sum_exp(np.stack(joint), axis=0)
    rest = log_sum_exp(np.stack(rests), axis=0)
    known = ~np.isnan(rows)
    if (bad := np.flatnonzero((np.isneginf(rest) & known).any(axis=1))).size:
        raise Impossible(int(bad[0]))
    found[known] = (rest - whole[:, None])[known]
    found[never] = np.inf
    return found


def _log_density_of(circuit: Circuit, rows: Floats) -> Floats:
    return member_log_densities(Mixture(np.ones(1), (circuit,)), rows)[:, 0]


def _log_cells(circuit: Circuit, rows: Floats) -> tuple[Floats, Floats]:
    """Return log p(x_i | the rest), (n, d), and log p of the rows, (n,)."""
    cells, total = np.zeros(rows.shape), np.empty(len(rows))
    for part, up in sweeps(circuit, rows):
        total[part] = up.log_p
        for i, rest in up.rests():
            if np.isnan(up.rows[:, i]).all():
                continue
            log_p = circuit.leaves[i].log_density(up.rows[:, i])
            top = log_p.max(axis=1, keepdims=True)
            top = np.where(np.isfinite(top), top, 0.0)
            with np.errstate(divide="ignore", under="ignore"):
                cells[part, i] = np.log((rest * np.exp(log_p - top)).sum(axis=1)) + top[:, 0]
    return cells, total


# ---- marginals -----------------------------------------------------------------------------------


def marginals(mixture: Mixture, rows: Floats) -> list[Floats]:
    """Return the distribution of each cell given its row: levels (n, L), others (n, 2).

    Mean and standard deviation of numbers; known cells are degenerate.
    """
    found = [_known(leaf, rows[:, i]) for i, leaf in enumerate(mixture.circuits[0].leaves)]
    for i, where, weights, states in _unknown_states(mixture, rows):
        leaves = [circuit.leaves[i] for circuit in mixture.circuits]
        if isinstance(leaves[0], LevelsLeaf):
            p = sum(w[:, None] * (z @ leaf.p) for w, z, leaf in _members(weights, states, leaves))
            found[i][where] = p / p.sum(axis=1, keepdims=True)
            continue
        parts = [mixed_moments(z, *leaf.moments()) for z, leaf in zip(states, leaves, strict=True)]
        mean, sd = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        found[i][where] = np.stack(mixed_moments(weights, mean, sd), axis=1)
    return found


def _members(weights: Floats, states: list[Floats], leaves: list[Any]) -> Iterator[Any]:
    return zip(weights.T, states, leaves, strict=True)


def _known(leaf: Leaf, values: Floats) -> Floats:
    """Return the marginals of known cells."""
    if isinstance(leaf, LevelsLeaf):
        return np.asarray(values[:, None] == np.arange(leaf.n_levels), np.float64)
    return np.stack([values, np.zeros(len(values))], axis=1)


def _unknown_states(
    mixture: Mixture, rows: Floats
) -> Iterator[tuple[int, NDArray[np.intp], Floats, list[Floats]]]:
    """Yield columns with the rows that do not know them, the members' weights there (n, M) and,
    by member, p(z_i | row), (n, k).
    """
    gaps = np.isnan(rows)
    some = np.flatnonzero(gaps.any(axis=1))
    width = sum(circuit.n_columns * circuit.n_states for circuit in mixture.circuits)
    step = int(np.clip((16 << 20) // (8 * width), 1, 1 << 12))
    for start in range(0, len(some), step):
        part = some[start : start + step]
        log_p = np.empty((len(part), len(mixture.circuits)))
        held = []
        for m, circuit in enumerate(mixture.circuits):
            log_p[:, m], states = _states_where_unknown(circuit, rows[part])
            held.append(states)
        with np.errstate(divide="ignore"):
            log_p += np.log(mixture.weights)
        try:
            weights = weights_of(log_p)
        except Impossible as error:
            raise Impossible(int(part[error.row])) from None
        for i in np.flatnonzero(gaps[part].any(axis=0)).tolist():
            at = np.flatnonzero(gaps[part, i])
            yield i, part[at], weights[at], [states[i] for states in held]


def _states_where_unknown(circuit: Circuit, rows: Floats) -> tuple[Floats, list[Any]]:
    """Return log p of the rows, and by column p(z_i | row) of those with a gap there, (n_i, k)."""
    gaps = np.isnan(rows)
    log_p = np.empty(len(rows))
    found: list[Any] = [
        np.empty((n, circuit.n_states)) if n else None for n in gaps.sum(axis=0).tolist()
    ]
    place = np.cumsum(gaps, axis=0) - 1  # of a row among those that do not know a column
    for part, up in sweeps(circuit, rows):
        log_p[part] = up.log_p
        for i, states in up.states():
            at = np.flatnonzero(gaps[part, i])
            if len(at):
                found[i][place[part[at], i]] = states[at] if len(states) > 1 else states
    return log_p, found


def quantiles(mixture: Mixture, rows: Floats, probabilities: Floats) -> dict[int, Floats]:
    """Return quantiles of each cell of numbers given its row, (n, m), by column.

    The least value up to which at least this probability lies.
    """
    first = mixture.circuits[0].leaves
    found = {
        i: np.repeat(rows[:, [i]], len(probabilities), axis=1)
        for i, leaf in enumerate(first)
        if not isinstance(leaf, LevelsLeaf)
    }
    for i, where, weights, states in _unknown_states(mixture, rows):
        if i not in found:
            continue
        leaves = [circuit.leaves[i] for circuit in mixture.circuits]
        p = [w[:, None] * z for w, z, _ in _members(weights, states, leaves)]

        def below(
            x: Floats, at: Any = slice(None), p: list[Floats] = p, leaves: list[Any] = leaves
        ) -> Floats:
            """Return p(X <= x | row) at one number for each of some rows."""
            return np.sum([(q[at] * f.cdf(x)).sum(axis=1) for q, f in zip(p, leaves)], axis=0)

        for m, q in enumerate(probabilities.tolist()):
            found[i][where, m] = _quantile(leaves[0], below, q, len(where))
    return found


def _quantile(leaf: Any, below: Callable[..., Floats], q: float, n: int) -> Floats:
    """Return the least x with below(x) >= q, for n rows."""
    if isinstance(leaf, CountsLeaf):
        low, high = np.full(n, -1.0), np.full(n, 1.0)
        while (short := below(high) < q).any():
            high = np.where(short, 2 * high, high)
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            enough = below(middle) >= q
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return high
    scale = leaf.scale

    def over(y: Floats) -> Floats:
        return below(scale.inverse(y)) - q

    low, high = np.full(n, -8.0), np.full(n, 8.0)
    at_low, at_high = over(low), over(high)
    while (short := (at_low >= 0) & (low > -FARTHEST)).any():
        low = np.where(short, 2 * low, low)
        at_low = over(low)
    while (short := (at_high < 0) & (high < FARTHEST)).any():
        high = np.where(short, 2 * high, high)
        at_high = over(high)
    for step in range(BISECTIONS):
        at = np.flatnonzero(high - low > 1e-13 * np.maximum(np.abs(high), 1e-3))
        if not len(at):
            break
        a, b, at_a, at_b = low[at], high[at], at_low[at], at_high[at]
        # The secant's point, a hair beyond it so that the ends close from both sides; every third
        # time the middle.
        share = np.full(len(at), 0.5)
        if step % 3 < 2:
            share = np.clip(at_a / np.minimum(at_a - at_b, -1e-300), 1e-6, 1 - 1e-6)
            share += (1e-3 if step % 2 else -1e-3) * np.minimum(share, 1 - share)
        middle = a + share * (b - a)
        value = below(scale.inverse(middle), at) - q
        enough = value >= 0
        low[at], at_low[at] = np.where(enough, a, middle), np.where(enough, at_a, value)
        high[at], at_high[at] = np.where(enough, middle, b), np.where(enough, value, at_b)
    x = scale.inverse(high)
    for atom in leaf.atoms:  # one of them, where the probability jumps over q at it
        at = np.full(n, atom)
        jumps = (below(at) >= q) & (below(np.nextafter(at, -np.inf)) < q)
        x = np.where(jumps, atom, x)
    return np.asarray(x)


def imputed(mixture: Mixture, rows: Floats) -> Floats:
    """Return rows filled: levels by the most probable, numbers by their mean, counts by the whole
    number next to it.
    """
    filled = rows.copy()
    leaves = mixture.circuits[0].leaves
    for i, found in enumerate(marginals(mixture, rows)):
        gaps = np.isnan(rows[:, i])
        if isinstance(leaves[i], LevelsLeaf):
            filled[gaps, i] = found[gaps].argmax(axis=1)
        elif isinstance(leaves[i], CountsLeaf):
            filled[gaps, i] = np.rint(found[gaps, 0])
        else:
            filled[gaps, i] = found[gaps, 0]
    return filled


# ---- draws ---------------------------------------------------------------------------------------


def drawn(mixture: Mixture, condition: Condition, n: int, rng: np.random.Generator) -> Floats:
    """Return n rows drawn given a condition, (n, d)."""
    weights = weights_of(_member_evidence(mixture, condition)[None])
    member = choose(weights, np.zeros(n, np.intp), rng)
    found = np.repeat(condition.row[None], n, axis=0)
    for m, circuit in enumerate(mixture.circuits):
        at = np.flatnonzero(member == m)
        if not len(at):
            continue
        up = _one_sweep(circuit, condition)
        for i, z in up.draw_states(rng, np.zeros(len(at), np.intp)):
            if np.isnan(condition.row[i]):
                found[at, i] = circuit.leaves[i].draw(z, rng, condition.allowed.get(i))
    return found


def _one_sweep(circuit: Circuit, condition: Condition) -> Upward:
    """Return the sweep up over a condition."""
    ((_, up),) = sweeps(circuit, condition.row[None], condition.held(circuit))
    return up


def completed(mixture: Mixture, rows: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
    """Return rows with their unknown values drawn given the known ones, (n_draws, n, d)."""
    found = np.repeat(rows[None], n_draws, axis=0)
    gaps = np.isnan(rows)
    some = np.flatnonzero(gaps.any(axis=1))
    if not len(some) or not n_draws:
        return found
    try:
        weights = weights_of(member_log_densities(mixture, rows[some]))
    except Impossible as error:
        raise Impossible(int(some[error.row])) from None
    # The member of each draw of each row: a row is swept once for all of its draws.
    repeated = np.repeat(np.arange(len(some)), n_draws)
    member = choose(weights, repeated, rng).reshape(len(some), n_draws)
    for m, circuit in enumerate(mixture.circuits):
        mine = np.flatnonzero((member == m).any(axis=1))
        for part, up in sweeps(circuit, rows[some[mine]]):
            pairs = np.argwhere(member[mine[part]] == m)  # of a row of the block and a draw
            for start in range(0, len(pairs), MOST_PAIRS):
                at, draw = pairs[start : start + MOST_PAIRS].T
                where = some[mine[part[at]]]
                for i, z in up.draw_states(rng, at):
                    here = np.flatnonzero(gaps[where, i])
                    if len(here):
                        values = circuit.leaves[i].draw(z[here], rng)
                        found[draw[here], where[here], i] = values
    return found


# ---- mean and covariance -------------------------------------------------------------------------


def mean_and_covariance(
    mixture: Mixture, condition: Condition, columns: list[int]
) -> tuple[Floats, Floats]:
    """Return mean (q,) and covariance (q, q) of some columns' numbers given a condition."""
    weights = weights_of(_member_evidence(mixture, condition)[None])[0]
    parts = [
        _moments_of_tree(circuit, condition, columns)
        for circuit, weight in zip(mixture.circuits, weights, strict=True)
        if weight > 0
    ]
    w = weights[weights > 0]
    means = np.stack([mean for mean, _ in parts])
    mean, _ = mixed_moments(np.broadcast_to(w, means.T.shape), means.T, 0 * means.T)
    off = means - mean
    with np.errstate(over="ignore", under="ignore"):
        covariance = np.einsum("m,mij->ij", w, np.stack([found for _, found in parts]))
        covariance = covariance + (w * off.T) @ off
    # What is known is itself, to the last bit.
    row = condition.row[columns]
    known = ~np.isnan(row)
    covariance[known] = covariance[:, known] = 0.0
    return np.where(known, row, mean), covariance


def _moments_of_tree(
    circuit: Circuit, condition: Condition, columns: list[int]
) -> tuple[Floats, Floats]:
    """Return mean and covariance under one tree.

    Two columns hang together by the state where their branches meet: given it they are independent,
    each with its conditional mean.
    """
    up = _one_sweep(circuit, condition)
    k, place = circuit.n_states, {i: a for a, i in enumerate(columns)}
    states = {i: np.broadcast_to(p[0], (k,)) for i, p in up.states()}
    mean, covariance = np.empty(len(columns)), np.zeros((len(columns), len(columns)))
    off: dict[int, Floats] = {}  # E[x_i | z_i] - E[x_i]
    for i, a in place.items():
        value = condition.row[i]
        if not np.isnan(value):
            mean[a], off[i] = value, np.zeros(k)
            continue
        m, s = circuit.leaves[i].moments(condition.allowed.get(i))
        found, sd = mixed_moments(states[i], m, s)
        off[i] = np.where(states[i] > 0, m - found, 0.0)
        with np.errstate(over="ignore"):
            mean[a], covariance[a, a] = found, sd**2
    # By node: the columns of its subtree so far, and their means given its state, (k, .)
    held: list[tuple[list[int], Floats] | None] = [None] * circuit.n_columns
    for i in reversed(circuit.order):
        branches = [] if i not in place else [([place[i]], off[i][:, None])]
        for child in circuit.children[i]:
            if (branch := held[child]) is not None:
                branches.append((branch[0], _given_parent(up, child) @ branch[1]))
                held[child] = None
        if not branches:
            continue
        met, values = branches[0]
        for more, others in branches[1:]:
            with np.errstate(over="ignore", under="ignore"):
                cross = (values * states[i][:, None]).T @ others
            covariance[np.ix_(met, more)] = cross
            covariance[np.ix_(more, met)] = cross.T
            met, values = met + more, np.concatenate([values, others], axis=1)
        held[i] = met, values
    return mean, covariance


def _given_parent(up: Upward, i: int) -> Floats:
    """Return p(z_i | z_parent, condition), (k, k); zeros where the parent's is impossible."""
    way, below = up.algebra, up.below[i]
    return np.asarray(way.shares(up._product(way.transitions[i], below)), np.float64)


# ---- information ---------------------------------------------------------------------------------


def mutual_information(mixture: Mixture, one: int, other: int, *, tol: float = 1e-6) -> float:
    """Return the mutual information of two columns under the model, in nats.

    Sums over levels and counts; over continuous columns by a quadrature that is refined until two
    of its results are within `tol` of each other.
    """
    joints = [_joint_states(circuit, one, other) for circuit in mixture.circuits]
    before, fine = np.inf, 4
    while True:
        f = [_nodes([c.leaves[i] for c in mixture.circuits], fine) for i in (one, other)]
        found = _information(mixture.weights, joints, *f)
        leaves = [mixture.circuits[0].leaves[i] for i in (one, other)]
        exact = all(isinstance(leaf, LevelsLeaf) for leaf in leaves)
        if exact or abs(found - before) <= tol or fine >= 64:
            return max(found, 0.0)
        before, fine = found, 2 * fine


def _information(
    weights: Floats, joints: list[Floats], rows: list[Floats], columns: list[Floats]
) -> float:
    """Return the sum of p log p / (p_a p_b), p = sum_m w_m a_m' J_m b_m, in blocks of rows."""
    given = [w * (joint @ b) for w, joint, b in zip(weights, joints, columns, strict=True)]
    p_b = np.sum([a.sum(axis=1) @ g for a, g in zip(rows, given, strict=True)], axis=0)
    step, total, found = max(1, (1 << 20) // len(p_b)), p_b.sum(), 0.0
    for start in range(0, rows[0].shape[1], step):
        part = slice(start, start + step)
        p = np.sum([a[:, part].T @ g for a, g in zip(rows, given, strict=True)], axis=0)
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            # By logarithms: a product of two small marginals may be none that float64 holds.
            ratio = np.log(p) - np.log(p.sum(axis=1))[:, None] - np.log(p_b / total)
            found += float(np.where(p > 0, p * ratio, 0.0).sum())
    return found / float(total)


def _joint_states(circuit: Circuit, one: int, other: int) -> Floats:
    """Return p(z_one, z_other), (k, k)."""
    lines = []
    for i in (one, other):
        line = [i]
        while circuit.parent[line[-1]] >= 0:
            line.append(int(circuit.parent[line[-1]]))
        lines.append(line)
    met = next(i for i in lines[0] if i in set(lines[1]))
    given = []
    for line in lines:
        found = np.eye(circuit.n_states)
        for i in reversed(line[: line.index(met)]):
            found = found @ circuit.transitions[i]
        given.append(found)  # p(z_end | z_met)
    return np.asarray((given[0] * circuit.marginals[met][:, None]).T @ given[1])


def _nodes(leaves: list[Any], fine: int) -> list[Floats]:
    """Return by member p of a column's values, or of the nodes of a quadrature, (k, m)."""
    first = leaves[0]
    if isinstance(first, LevelsLeaf):
        return [leaf.p for leaf in leaves]
    if isinstance(first, CountsLeaf):
        last = max(leaf.last() for leaf in leaves)
        ends = np.unique(np.rint(np.linspace(0, last, min(int(last), 500 * fine) + 1)))
        if len(ends) == last + 1:
            return [np.exp(leaf.log_density(ends)).T for leaf in leaves]
        return [np.diff(leaf.cdf(np.r_[-1.0, ends]), axis=0).T for leaf in leaves]
    cuts = [np.array([-9.0, 9.0]) * cast(ContinuousLeaf, first).scale.tail]
    for leaf in leaves:
        cuts += [leaf.mean + by * leaf.spread for by in (-8, -4, -2, 0, 2, 4, 8)]
    at = np.unique(np.concatenate(cuts))
    x, w = np.polynomial.legendre.leggauss(fine)
    half = 0.5 * np.diff(at)
    y = ((at[:-1] + half)[:, None] + half[:, None] * x).ravel()
    weights = (half[:, None] * w).ravel()
    found = []
    for leaf in leaves:
        smooth = np.exp(leaf.log_density_on_scale(y)).T * weights * leaf.choice[:, -1:]
        found.append(np.concatenate([leaf.choice[:, :-1], smooth], axis=1))
    return found
