"""The steps of docs/models/latent_tree.md, a test each, by the number that the page gives them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy as sp
from numpy.typing import NDArray
from scipy import special, stats

from ancestral import LatentTree
from ancestral.circuit import queries
from ancestral.circuit import tree as trees
from ancestral.circuit.columns import Column
from ancestral.circuit.em import Joint, MixtureEM, Parameters, Priors, TreeEM
from ancestral.circuit.latent_tree import _circuit
from ancestral.circuit.learning import Learner, Member
from ancestral.circuit.leaves import TAIL, Allowed, ContinuousLeaf, CountsLeaf, Leaf, LevelsLeaf
from ancestral.circuit.messages import Circuit, Upward
from ancestral.circuit.queries import Condition
from ancestral.circuit.starts import from_noise

Float = NDArray[np.float64]
NO_PRIOR = Priors(1e-9, 0.0, 0.1, 0.0)
K = 3  # states


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Columns of each kind that hang together, with gaps; `size` has an atom at 0."""
    rng, n = np.random.default_rng(0), 160
    kind = rng.integers(0, 3, n)
    size = np.array([1.0, 4.0, 20.0])[kind] * np.exp(0.2 * rng.standard_normal(n))
    size[rng.random(n) < 0.2] = 0.0
    table = pd.DataFrame(
        {
            "kind": np.array(["ash", "beech", "oak"])[kind],
            "size": size,
            "seeds": rng.poisson(1 + 2 * kind).astype(float),
            "height": 10.0 * kind + rng.standard_normal(n),
        }
    )
    return table.mask(rng.random(table.shape) < 0.1)


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> LatentTree:
    types = {"seeds": "count"}
    return LatentTree(K, 2, column_types=types, n_sweeps=3, random_state=0).fit(frame)


@pytest.fixture(scope="module")
def rows(model: LatentTree, frame: pd.DataFrame) -> Float:
    """The encoded rows."""
    return model._check_rows(frame)


@pytest.fixture(scope="module")
def circuit(model: LatentTree) -> Circuit:
    return model._mixture.circuits[0]


@pytest.fixture(scope="module")
def learner(model: LatentTree, rows: Float) -> Learner:
    columns = [Column.of_plain(one) for one in model.columns_]
    rng = np.random.default_rng(0)
    return Learner(rows, columns, np.ones(len(rows)), Priors(1.0, 0.5), 50, rng, None)


def em_of(learner: Learner, priors: Priors | None = None, k: int = K) -> TreeEM:
    em = learner.em(learner.tree(0.0), k, 0.1)
    em.priors = priors or em.priors
    return em


def start_of(em: TreeEM, seed: int = 0) -> Parameters:
    return from_noise(em, np.random.default_rng(seed)).astype(np.float64)


# ---- sums over all states, one by one ------------------------------------------------------------


def leaf_density(leaf: Any, x: float) -> Float:
    """Return f(x | c) of each state, written out; 1 where x is missing."""
    if np.isnan(x):
        return np.ones(leaf.n_states)
    if isinstance(leaf, LevelsLeaf):
        return leaf.p[:, int(x)]
    if isinstance(leaf, CountsLeaf):
        return np.asarray(stats.nbinom.pmf(x, leaf.size, leaf.size / (leaf.mean + leaf.size)))
    if x in leaf.atoms:
        return leaf.choice[:, leaf.atoms.tolist().index(x)]
    y, slope = float(leaf.scale.forward(x)), float(np.exp(leaf.scale.log_slope(x)))
    own = (1 - TAIL) * stats.norm.pdf(y, leaf.mean, leaf.spread)
    return np.asarray(
        leaf.choice[:, -1] * slope * (own + TAIL * stats.norm.pdf(y, 0, leaf.scale.tail))
    )


def joint_of(circuit: Circuit, evidence: list[Float]) -> Float:
    """Return p(z, what is known) of every configuration of states, (k, ..., k)."""
    k, m, root = circuit.n_states, circuit.n_columns, circuit.order[0]
    found = np.zeros((k,) * m)
    for z in itertools.product(range(k), repeat=m):
        p = circuit.root[z[root]]
        for j in range(m):
            p *= evidence[j][z[j]]
            if j != root:
                p *= circuit.transitions[j][z[circuit.parent[j]], z[j]]
        found[z] = p
    return found


def joint_of_row(circuit: Circuit, row: Float) -> Float:
    densities = [leaf_density(leaf, x) for leaf, x in zip(circuit.leaves, row.tolist())]
    return joint_of(circuit, densities)


def of_columns(joint: Float, *columns: int) -> Float:
    """Return the sum over the states of all other columns, axes in the order asked."""
    kept = sorted(columns)
    found = joint.sum(axis=tuple(set(range(joint.ndim)) - set(kept)))
    return np.asarray(found.transpose([kept.index(j) for j in columns]))


def circuit_of(em: TreeEM, parameters: Parameters) -> Circuit:
    return _circuit(Member(em, parameters).as_plain(), em.columns)


# ---- the states ----------------------------------------------------------------------------------


def test_step_1_up(circuit: Circuit, rows: Float) -> None:
    """B of each column is p(values at it and below it | its state); the root's sum is p(x)."""
    some = rows[:6]
    up = Upward(circuit, some)
    for i, row in enumerate(some):
        joint = joint_of_row(circuit, row)
        assert np.isclose(up.log_p[i], np.log(joint.sum()), rtol=1e-9)
        for j in range(circuit.n_columns):
            if up.below[j] is None:  # nothing known there
                continue
            below = {j}
            for c in circuit.order:
                if int(circuit.parent[c]) in below:
                    below.add(c)
            alone = np.where([c in below for c in range(len(row))], row, np.nan)
            expected = of_columns(joint_of_row(circuit, alone), j) / circuit.marginals[j]
            B = up.below[j][i if len(up.below[j]) > 1 else 0]
            np.testing.assert_allclose(B / B.sum(), expected / expected.sum(), rtol=1e-8)


def test_step_2_gaps_and_conditions(circuit: Circuit, rows: Float) -> None:
    """Summed over its values a level drops out; a set counts with its mass in each state."""
    kind = next(j for j, f in enumerate(circuit.leaves) if isinstance(f, LevelsLeaf))
    seeds = next(j for j, f in enumerate(circuit.leaves) if isinstance(f, CountsLeaf))
    row = rows[0].copy()
    row[kind] = np.nan
    each = [joint_of_row(circuit, np.where(np.arange(4) == kind, x, row)).sum() for x in range(3)]
    assert np.isclose(sum(each), joint_of_row(circuit, row).sum(), rtol=1e-12)
    row[seeds] = np.nan
    allowed = {kind: Allowed(np.array([0.0, 2.0])), seeds: Allowed(low=2, high=5)}
    evidence = [leaf_density(f, x) for f, x in zip(circuit.leaves, row.tolist())]
    evidence[kind] = sum(leaf_density(circuit.leaves[kind], x) for x in (0.0, 2.0))
    evidence[seeds] = sum(leaf_density(circuit.leaves[seeds], float(x)) for x in range(2, 6))
    held = Condition(row, allowed).held(circuit)
    found = Upward(circuit, row[None], held).log_p[0]
    assert np.isclose(found, np.log(joint_of(circuit, evidence).sum()), rtol=1e-9)


def test_step_3_down(circuit: Circuit, rows: Float) -> None:
    """q_j, and p(z_pa = a, z_j = c | x) = q_pa(a) T(a, c) B(c) / M(a)."""
    row = rows[[1]]
    up, joint = Upward(circuit, row), joint_of_row(circuit, rows[1])
    joint = joint / joint.sum()
    q = {j: np.broadcast_to(p[0], (K,)) for j, p in up.states()}
    for j in range(circuit.n_columns):
        np.testing.assert_allclose(q[j], of_columns(joint, j), rtol=1e-7, atol=1e-12)
        parent = int(circuit.parent[j])
        if parent < 0:
            continue
        B = np.ones(K) if up.below[j] is None else up.below[j][0]
        T = circuit.transitions[j]
        pairs = (q[parent] / (T @ B))[:, None] * T * B
        np.testing.assert_allclose(pairs, of_columns(joint, parent, j), rtol=1e-7, atol=1e-12)


# ---- expectation-maximisation --------------------------------------------------------------------


def expected_log(em: TreeEM, at: Parameters, of: Parameters, rows: Float) -> tuple[float, float]:
    """Return the mean of log p(x, z) under other parameters' states, and these states' entropy."""
    one, other = circuit_of(em, at), circuit_of(em, of)
    total = entropy = 0.0
    for row in rows:
        p = joint_of_row(one, row)
        p = p / p.sum()
        total += float(special.xlogy(p, joint_of_row(other, row)).sum())
        entropy -= float(special.xlogy(p, p).sum())
    return total, entropy


def log_likelihood(em: TreeEM, parameters: Parameters, rows: Float) -> float:
    found = circuit_of(em, parameters)
    return float(sum(np.log(joint_of_row(found, row).sum()) for row in rows))


def test_step_4_the_bound(learner: Learner, rows: Float) -> None:
    """It touches at the states given x, lies below elsewhere, and is Q of the expected counts."""
    em, some = em_of(learner), rows[:8]
    at, other = start_of(em), start_of(em, 1)
    total, entropy = expected_log(em, at, at, some)
    assert np.isclose(total + entropy, log_likelihood(em, at, some), rtol=1e-9)
    total, entropy = expected_log(em, at, other, some)
    assert total + entropy < log_likelihood(em, other, some)
    # Q: expected counts, and each value's log density weighed by q.
    found = learner.rows.take(np.arange(8), np.ones(8))
    sums, circuit = em._statistics(found, at), circuit_of(em, other)
    nodes = em.tree.order[1:]
    Q = float(sums.root @ np.log(other.root))
    Q += float((sums.pairs[nodes] * np.log(other.transitions[nodes])).sum())
    for row in some:
        joint = joint_of_row(circuit_of(em, at), row)
        for j, x in enumerate(row.tolist()):
            q = of_columns(joint, j) / joint.sum()
            Q += float(q @ np.log(leaf_density(circuit.leaves[j], x)))
    assert np.isclose(Q, total, rtol=1e-6)


def test_step_5_states() -> None:
    """Of sum_c N_c log T_c under sum_c T_c = 1 the only stationary point is N over its sum."""
    N, T = sp.symbols("N:3", positive=True), sp.symbols("T:3", positive=True)
    factor = sp.Symbol("factor", positive=True)
    lagrange = sum(n * sp.log(t) for n, t in zip(N, T)) - factor * (sum(T) - 1)
    (found,) = sp.solve([sp.diff(lagrange, x) for x in (*T, factor)], [*T, factor], dict=True)
    assert all(sp.simplify(found[t] - n / sum(N)) == 0 for n, t in zip(N, T))


def states_of(em: TreeEM, parameters: Parameters, rows: Float) -> Float:
    """Return q_j(c) of each row, (n, m, k)."""
    circuit, found = circuit_of(em, parameters), []
    for row in rows:
        joint = joint_of_row(circuit, row)
        found.append([of_columns(joint, j) / joint.sum() for j in range(len(row))])
    return np.array(found)


@pytest.fixture(scope="module")
def step(learner: Learner, rows: Float) -> tuple[TreeEM, Parameters, Parameters, Float]:
    """EM without prior, parameters, those a step later, and the states before it."""
    em = em_of(learner, NO_PRIOR)
    start = start_of(em)
    after = em._update(None, em._statistics(learner.rows, start))
    return em, start, after, states_of(em, start, rows)


def test_step_6_levels(step: Any, rows: Float) -> None:
    em, start, after, q = step
    before, circuit = circuit_of(em, start), circuit_of(em, after)
    np.testing.assert_allclose(circuit.root, q[:, em.tree.order[0]].mean(axis=0), rtol=1e-6)
    pairs = np.zeros(circuit.transitions.shape)
    for row in rows:
        joint = joint_of_row(before, row)
        for j in em.tree.order[1:]:
            pairs[j] += of_columns(joint, int(em.tree.parent[j]), j) / joint.sum()
    for j in em.tree.order[1:]:
        expected = pairs[j] / pairs[j].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(circuit.transitions[j], expected, rtol=1e-5)
    for j, leaf in enumerate(circuit.leaves):
        known = ~np.isnan(rows[:, j])
        x, share = rows[known, j], q[known, j]
        if isinstance(leaf, LevelsLeaf):
            found, groups = leaf.p, [x == level for level in range(leaf.n_levels)]
        elif isinstance(leaf, ContinuousLeaf):
            found, groups = leaf.choice, [x == atom for atom in leaf.atoms]
            groups.append(~np.isin(x, leaf.atoms))
        else:
            continue
        expected = np.stack([share[some].sum(axis=0) for some in groups], axis=1)
        np.testing.assert_allclose(found, expected / share.sum(axis=0)[:, None], rtol=1e-5)


def test_step_7_numbers(step: Any, rows: Float) -> None:
    """The weighted mean and variance, and no nudge of them does better."""
    em, start, after, q = step
    old, new = circuit_of(em, start).leaves, circuit_of(em, after).leaves
    seen = 0
    for j, leaf in enumerate(new):
        if not isinstance(leaf, ContinuousLeaf):
            continue
        x = rows[:, j]
        some = ~np.isnan(x) & ~np.isin(x, leaf.atoms)
        y, before = leaf.scale.forward(x[some])[:, None], old[j]
        own = (1 - TAIL) * stats.norm.pdf(y, before.mean, before.spread)
        u = q[some, j] * own / (own + TAIL * stats.norm.pdf(y, 0, leaf.scale.tail))
        mean = (u * y).sum(axis=0) / u.sum(axis=0)
        variance = (u * (y - mean) ** 2).sum(axis=0) / u.sum(axis=0)
        np.testing.assert_allclose(leaf.mean, mean, rtol=1e-4, atol=1e-5)
        wide = np.sqrt(variance) > em.floors(np.stack([mean]))[0]
        np.testing.assert_allclose(leaf.spread[wide], np.sqrt(variance)[wide], rtol=1e-4)
        best = (u * stats.norm.logpdf(y, mean, np.sqrt(variance))).sum()
        for by, times in ((0.02, 1.0), (-0.02, 1.0), (0.0, 1.02), (0.0, 0.98)):
            near = stats.norm.logpdf(y, mean + by, times * np.sqrt(variance))
            assert (u * near).sum() < best
        seen += 1
    assert seen == 2


def test_step_8_counts(step: Any, rows: Float) -> None:
    """E[N | x] by summing over N, and the closed maximum given it."""
    em, start, after, q = step
    j = next(j for j, leaf in enumerate(em.columns) if leaf.kind == "count")
    s, nu = 1.7, 3.2
    theta = nu / (nu + s)
    rate = -s * np.log(1 - theta)
    # p(N, x): N Poisson, x a sum of N logarithmic numbers, by convolutions
    top = 40
    single = np.zeros(top)
    single[1:] = -(theta ** np.arange(1, top)) / (np.arange(1, top) * np.log(1 - theta))
    sums, joint = np.eye(top)[0], []
    for number in range(top):
        joint.append(stats.poisson.pmf(number, rate) * sums)
        sums = np.convolve(sums, single)[:top]
    p = np.array(joint)
    np.testing.assert_allclose(p.sum(axis=0), stats.nbinom.pmf(np.arange(top), s, 1 - theta))
    number = (np.arange(top)[:, None] * p).sum(axis=0) / p.sum(axis=0)
    x = np.arange(top)
    np.testing.assert_allclose(number, s * (special.psi(x + s) - special.psi(s)), atol=1e-9)
    # the maximum, for any sums of weights, x and N
    n, total, of_n, L = sp.symbols("n X N L", positive=True)
    lam = sp.Symbol("lam", positive=True)
    value = of_n * sp.log(lam) - n * lam + total * sp.log(1 - sp.exp(-L)) - of_n * sp.log(L)
    assert sp.solve(sp.diff(value, lam), lam) == [of_n / n]
    assert (
        sp.simplify(sp.diff(value, L) * L * (sp.exp(L) - 1) - (total * L - of_n * (sp.exp(L) - 1)))
        == 0
    )
    # what the fit makes of it
    known = ~np.isnan(rows[:, j])
    leaf, new = circuit_of(em, start).leaves[j], circuit_of(em, after).leaves[j]
    each = leaf.size * (special.psi(rows[known, j][:, None] + leaf.size) - special.psi(leaf.size))
    weight = q[known, j]
    n_, X, N = weight.sum(axis=0), rows[known, j] @ weight, (weight * each).sum(axis=0)
    np.testing.assert_allclose(new.mean, X / n_, rtol=1e-3)  # a thousandth of a row is added
    L_ = N / n_ / new.size
    np.testing.assert_allclose(np.expm1(L_) / L_, X / N, rtol=1e-2)


def test_step_9_pseudo_counts(learner: Learner) -> None:
    """No bound without them; with them, each update is the maximum of Q and the prior's log."""
    v = sp.Symbol("v", positive=True)
    assert sp.limit(-sp.log(v) / 2, v, 0) == sp.oo  # a state whose mean is its one value
    n, S, v0 = sp.symbols("n S v0", positive=True)
    value = -n / 2 * sp.log(v) - S / (2 * v) - sp.log(v) - v0 / v
    assert sp.simplify(sp.solve(sp.diff(value, v), v)[0] - (S + 2 * v0) / (n + 2)) == 0
    em = em_of(learner)
    sums = em._statistics(learner.rows, start_of(em))
    best = em._update(None, sums)
    assert (best.transitions[em.tree.order[1:]] > 0).all()
    np.testing.assert_allclose(best.root, (sums.root + 1 / K) / (sums.root.sum() + 1), rtol=1e-12)

    def gain(p: Parameters) -> float:
        nodes = em.tree.order[1:]
        total = float(sums.root @ np.log(p.root))
        total += float((sums.pairs[nodes] * np.log(p.transitions[nodes])).sum())
        real = np.ones(len(em.marginals), bool)
        real[em.layout.gaps] = False
        total += float((sums.tables[real] * np.log(p.tables[real])).sum())
        weight, first, second = sums.moments
        off = second - 2 * p.means * first + weight * p.means**2
        total -= 0.5 * float((2 * weight * np.log(p.spreads) + off / p.spreads**2).sum())
        for leaf, (n, x, number) in zip(p.counts, (one.T for one in sums.counts)):
            L = np.log1p(leaf.mean / leaf.size)  # -log(1 - theta)
            total += float((number * np.log(leaf.size) - n * leaf.size * L).sum())
            total += float((x * np.log(leaf.mean / (leaf.mean + leaf.size))).sum())
        return total + em.log_prior(p)

    rng, top = np.random.default_rng(0), gain(best)
    assert (best.spreads > em.floors(best.means)).all()
    (leaf,) = best.counts
    for size in (0.01, 0.1):
        other = best.root * np.exp(size * rng.standard_normal(K))
        assert gain(replace(best, root=other / other.sum())) < top
        moved = best.means + size * rng.standard_normal(best.means.shape)
        assert gain(replace(best, means=moved)) < top
        for sign in (1, -1):
            factor = np.exp(sign * size)
            assert gain(replace(best, spreads=best.spreads * factor)) < top
            assert gain(replace(best, counts=(CountsLeaf(leaf.mean * factor, leaf.size),))) < top
            assert gain(replace(best, counts=(CountsLeaf(leaf.mean, leaf.size * factor),))) < top


@pytest.mark.parametrize("k", [K, 9])
def test_step_10_no_round_lowers_it(learner: Learner, k: int) -> None:
    em = em_of(learner, k=k)
    parameters, values = start_of(em), []
    for _ in range(150):
        sums = em._statistics(learner.rows, parameters)
        values.append(em._objective(parameters, sums))
        parameters = em._update(None, sums)
    assert (np.diff(values) > -1e-9 * abs(values[0])).all()
    assert values[-1] > values[0] + 10


def test_step_11_batches(learner: Learner) -> None:
    """Over all batches the sums of a batch, times n / b, have the mean of the sums of all rows."""
    em = em_of(learner)
    parameters = start_of(em)
    whole = em._statistics(learner.rows, parameters)
    parts = [em._statistics(part, parameters) for part in learner.rows.parts(40)]
    assert len(parts) == 4

    def mean(name: str) -> Float:
        return np.mean([len(parts) * getattr(part, name) for part in parts], axis=0)

    for name in ("root", "pairs", "tables", "moments", "counts"):
        np.testing.assert_allclose(mean(name), getattr(whole, name), rtol=1e-6, atol=1e-6)
    # So what EM leaves as it is, a step by the mean of batches leaves as it is.
    for _ in range(3):
        parameters = em._update(None, em._statistics(learner.rows, parameters))
    old = em._statistics(learner.rows, parameters)
    blended = old.times(0.7) + old.times(0.3)
    np.testing.assert_allclose(em._update(None, blended).means, em._update(None, old).means)


def test_step_12_several_trees(model: LatentTree, learner: Learner, rows: Float) -> None:
    mixture = model._mixture
    each = np.array(
        [[joint_of_row(one, row).sum() for one in mixture.circuits] for row in rows[:10]]
    )
    expected = np.log(each @ mixture.weights)
    np.testing.assert_allclose(queries.log_density(mixture, rows[:10]), expected, rtol=1e-9)
    ems = [em_of(learner), learner.em(learner.tree(0.5), K, 0.1)]
    weights, starts = np.array([0.3, 0.7]), (start_of(ems[0]), start_of(ems[1], 1))
    found = MixtureEM(ems)
    after = found._update(None, found._statistics(learner.rows, Joint(weights, starts)))
    joint = np.array(
        [
            [joint_of_row(circuit_of(em, own), row).sum() for em, own in zip(ems, starts)]
            for row in rows
        ]
    )
    shares = weights * joint / (joint @ weights)[:, None]
    np.testing.assert_allclose(after.weights, shares.mean(axis=0), rtol=1e-6)
    own = ems[0]._update(
        None, ems[0]._statistics(replace(learner.rows, weights=shares[:, 0]), starts[0])
    )
    np.testing.assert_allclose(after.trees[0].tables, own.tables, rtol=1e-5)


# ---- the tree and the number of states -----------------------------------------------------------


@pytest.fixture(scope="module")
def levels() -> NDArray[np.int16]:
    """Rows of four columns of levels, each after the one before it, or the first."""
    rng = np.random.default_rng(1)
    found = np.zeros((300, 4), np.int16)
    found[:, 0] = rng.integers(0, 3, 300)
    for j, parent in ((1, 0), (2, 1), (3, 0)):
        fresh = rng.integers(0, 3, 300)
        found[:, j] = np.where(rng.random(300) < 0.4 + 0.1 * j, found[:, parent], fresh)
    return found


def shares_of(levels: NDArray[np.int16], *columns: int) -> Float:
    found = np.zeros((3,) * len(columns))
    np.add.at(found, tuple(levels[:, j] for j in columns), 1 / len(levels))
    return found


def all_trees(m: int) -> list[list[tuple[int, int]]]:
    """Return the trees over m nodes, as pairs."""
    pairs = list(itertools.combinations(range(m), 2))
    return [
        list(some)
        for some in itertools.combinations(pairs, m - 1)
        if len(_reached(0, list(some))) == m
    ]


def _reached(start: int, pairs: list[tuple[int, int]]) -> set[int]:
    found = {start}
    for _ in pairs:
        found |= {j for pair in pairs if found & set(pair) for j in pair}
    return found


def plain_information(levels: NDArray[np.int16], i: int, j: int) -> float:
    p = shares_of(levels, i, j)
    apart = np.outer(p.sum(axis=1), p.sum(axis=0))
    return float(special.rel_entr(p, apart).sum())


def test_step_13_the_likelihood_of_a_tree_of_columns(levels: NDArray[np.int16]) -> None:
    """By the tables of shares: information of the pairs less the entropies, for every tree."""
    n = len(levels)
    entropies = sum(float(special.entr(shares_of(levels, j)).sum()) for j in range(4))
    assert len(all_trees(4)) == 16
    for pairs in all_trees(4):
        degree = np.bincount(np.array(pairs).ravel(), minlength=4)
        log_p = np.zeros(n)  # p(x) = product over pairs / product over columns^(degree - 1)
        for i, j in pairs:
            log_p += np.log(shares_of(levels, i, j)[levels[:, i], levels[:, j]])
        for j in range(4):
            log_p -= (degree[j] - 1) * np.log(shares_of(levels, j)[levels[:, j]])
        expected = sum(plain_information(levels, i, j) for i, j in pairs) - entropies
        assert np.isclose(log_p.mean(), expected, rtol=1e-10)


def test_step_14_the_best_tree(levels: NDArray[np.int16]) -> None:
    """Of all trees the one that grows pair by pair has the largest sum."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights = np.triu(rng.random((5, 5)), 1)
        weights = weights + weights.T
        parent = trees.spanning(weights).parent
        found = sum(weights[j, p] for j, p in enumerate(parent) if p >= 0)
        best = max(sum(weights[i, j] for i, j in pairs) for pairs in all_trees(5))
        assert np.isclose(found, best, rtol=1e-12)
    information = np.array(
        [[0 if i == j else plain_information(levels, i, j) for j in range(4)] for i in range(4)]
    )
    parent = trees.spanning(information).parent
    assert {frozenset((j, int(p))) for j, p in enumerate(parent) if p >= 0} == {
        frozenset(pair) for pair in ((0, 1), (1, 2), (0, 3))
    }


def test_step_15_information_of_rows_with_gaps(levels: NDArray[np.int16]) -> None:
    """Less (A - 1)(B - 1) / 2n, times the share of rows; without it, too high on average."""
    codes = levels.copy()
    codes[:90, 1] = -1
    sizes = np.full(4, 3)
    found = trees.information(codes, sizes, np.ones(300))
    plain = plain_information(levels[90:], 0, 1)
    assert np.isclose(found[0, 1], (plain - 4 / (2 * 210)) * 210 / 300, rtol=1e-6)
    rng = np.random.default_rng(0)
    apart = [plain_information(rng.integers(0, 3, (200, 2)), 0, 1) for _ in range(2000)]
    assert np.isclose(np.mean(apart), 4 / (2 * 200), rtol=0.1)


def test_step_16_hidden_trees_contain_trees_of_columns(levels: NDArray[np.int16]) -> None:
    parent = np.array([-1, 0, 1, 0])
    transitions = np.stack([np.eye(3)] * 4)
    for j in (1, 2, 3):
        p = shares_of(levels, int(parent[j]), j)
        transitions[j] = p / p.sum(axis=1, keepdims=True)
    leaves: tuple[Leaf, ...] = (LevelsLeaf(np.eye(3)),) * 4
    circuit = Circuit(parent, shares_of(levels, 0), transitions, leaves)
    expected = np.log(shares_of(levels, 0)[levels[:, 0]])
    for j in (1, 2, 3):
        expected += np.log(transitions[j][levels[:, parent[j]], levels[:, j]])
    found = Upward(circuit, levels.astype(np.float64)).log_p
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_step_17_states_and_held_out_rows(learner: Learner, rows: Float) -> None:
    """A state split in two says the same, so more states fit no worse; rows held out differ by
    divergences.
    """
    em, more = em_of(learner), em_of(learner, k=K + 1)
    p = start_of(em)
    halves = np.r_[np.ones(K - 1), 0.5, 0.5]
    copied = np.r_[np.arange(K), K - 1]
    split = replace(
        p,
        root=p.root[copied] * halves,
        transitions=p.transitions[:, copied][:, :, copied] * halves,
        tables=p.tables[:, copied],
        means=p.means[:, copied],
        spreads=p.spreads[:, copied],
        counts=tuple(CountsLeaf(leaf.mean[copied], leaf.size[copied]) for leaf in p.counts),
    )
    one, two = em.log_density(learner.rows, p), more.log_density(learner.rows, split)
    np.testing.assert_allclose(one, two, rtol=1e-6)
    truth, q = np.array([0.5, 0.3, 0.2]), np.array([[0.4, 0.4, 0.2], [0.2, 0.3, 0.5]])
    held_out = np.log(q) @ truth
    divergence = special.rel_entr(truth, q).sum(axis=1)
    assert np.isclose(held_out[0] - held_out[1], divergence[1] - divergence[0])


# ---- questions -----------------------------------------------------------------------------------


def test_step_18_conditionals(model: LatentTree, frame: pd.DataFrame, rows: Float) -> None:
    mixture, row = model._mixture, rows[3].copy()
    j = next(j for j, f in enumerate(mixture.circuits[0].leaves) if isinstance(f, LevelsLeaf))
    row[j] = np.nan
    joints = [joint_of_row(one, row) for one in mixture.circuits]
    trees_given = mixture.weights * [joint.sum() for joint in joints]
    trees_given = trees_given / trees_given.sum()
    expected = sum(
        w * (of_columns(joint, j) / joint.sum()) @ one.leaves[j].p
        for w, joint, one in zip(trees_given, joints, mixture.circuits)
    )
    np.testing.assert_allclose(queries.marginals(mixture, row[None])[j][0], expected, rtol=1e-8)
    for x in range(3):  # p(x) / p(x_O)
        whole = np.where(np.arange(4) == j, x, row)
        ratio = queries.log_density(mixture, np.stack([whole, row]))
        assert np.isclose(np.exp(ratio[0] - ratio[1]), expected[x], rtol=1e-8)
    nats = queries.surprise(mixture, np.where(np.arange(4) == j, 1.0, row)[None])[0, j]
    assert np.isclose(nats, -np.log(expected[1]), rtol=1e-8)


def test_step_19_draws(circuit: Circuit) -> None:
    """T(a, c) B(c) / M(a) is p(z_j = c | z_pa = a, what is known), and draws have these shares."""
    given = np.array([np.nan, 5.0, np.nan, 12.0])
    joint = joint_of_row(circuit, given)
    up = Upward(circuit, given[None])
    for j in circuit.order[1:]:
        pairs = of_columns(joint, int(circuit.parent[j]), j)
        B = np.ones(K) if up.below[j] is None else up.below[j][0]
        found = circuit.transitions[j] * B
        np.testing.assert_allclose(
            found / found.sum(axis=1, keepdims=True),
            pairs / pairs.sum(axis=1, keepdims=True),
            rtol=1e-8,
        )
    rng = np.random.default_rng(0)
    drawn = dict(up.draw_states(rng, np.zeros(20_000, np.intp)))
    codes = np.stack([drawn[j] for j in range(4)])
    counts = np.zeros(joint.shape)
    np.add.at(counts, tuple(codes), 1.0)
    expected = joint / joint.sum()
    assert abs(counts / 20_000 - expected).max() < 5 * np.sqrt(0.25 / 20_000)


def test_step_20_filling(model: LatentTree, rows: Float) -> None:
    """The mean and the variance of a mixture; covariance by the states, one by one."""
    mixture, row = model._mixture, np.array([1.0, np.nan, np.nan, np.nan])
    joints = [joint_of_row(one, row) for one in mixture.circuits]
    w = mixture.weights * [joint.sum() for joint in joints]
    w = w / w.sum()
    states = [joint / joint.sum() for joint in joints]
    columns = [1, 2, 3]
    means = [[one.leaves[j].moments()[0] for j in columns] for one in mixture.circuits]
    spreads = [[one.leaves[j].moments()[1] for j in columns] for one in mixture.circuits]
    mean, second = np.zeros(3), np.zeros((3, 3))
    for share, p, mu, sd in zip(w, states, means, spreads):
        for a, i in enumerate(columns):
            q = of_columns(p, i)
            mean[a] += share * (q @ mu[a])
            second[a, a] += share * (q @ (sd[a] ** 2 + mu[a] ** 2))
            for b, j in enumerate(columns):
                if a != b:
                    second[a, b] += share * (mu[a] @ of_columns(p, i, j) @ mu[b])
    expected = second - np.outer(mean, mean)
    found, covariance = queries.mean_and_covariance(mixture, Condition(row), columns)
    np.testing.assert_allclose(found, mean, rtol=1e-8)
    np.testing.assert_allclose(covariance, expected, rtol=1e-7, atol=1e-9)
    marginals = queries.marginals(mixture, row[None])
    for a, j in enumerate(columns):
        np.testing.assert_allclose(marginals[j][0], [mean[a], np.sqrt(expected[a, a])], rtol=1e-8)
    filled = queries.imputed(mixture, row[None])[0]
    assert np.isclose(filled[3], mean[2])
    # The mean has the least mean square error, and the likeliest level the fewest errors.
    c, x = sp.symbols("c x", real=True)
    m1, m2 = sp.symbols("m1 m2", real=True)
    error = sp.expand((x - c) ** 2).subs({x**2: m2, x: m1})
    assert sp.solve(sp.diff(error, c), c) == [m1]


def test_step_21_the_bound_on_the_most_probable(circuit: Circuit) -> None:
    """Each state's best value, summed over the states, is above every completion."""
    kind = next(j for j, f in enumerate(circuit.leaves) if isinstance(f, LevelsLeaf))
    seeds = next(j for j, f in enumerate(circuit.leaves) if isinstance(f, CountsLeaf))
    row = np.full(4, np.nan)
    evidence = [np.ones(K)] * 4
    evidence[kind] = circuit.leaves[kind].p.max(axis=1)
    many = np.stack([leaf_density(circuit.leaves[seeds], float(x)) for x in range(60)])
    evidence[seeds] = many.max(axis=0)
    bound = joint_of(circuit, evidence).sum()
    for x, count in itertools.product(range(3), range(20)):
        row[[kind, seeds]] = x, count
        assert joint_of_row(circuit, row).sum() <= bound * (1 + 1e-12)
