"""Sums over hidden states equal their enumeration, whatever is known and however unlikely it is."""

import itertools

import numpy as np
import pytest

from ancestral.circuit import messages
from ancestral.circuit.leaves import Allowed, ContinuousLeaf, LevelsLeaf, Scale
from ancestral.circuit.messages import Circuit, Upward, log_density, sweeps

from .reference import (
    circuit_of,
    density,
    joint,
    leaf_integral,
    probability,
    random_tree,
    value,
)


def rows_of(tree, kinds, n, rng, known=0.6):
    """Return rows of plausible values with gaps."""
    rows = np.full((n, len(kinds)), np.nan)
    for i, kind in enumerate(kinds):
        for row in np.flatnonzero(rng.random(n) < known):
            if kind in "bl":
                rows[row, i] = rng.integers({"b": 2, "l": 3}[kind])
            elif kind == "c":
                rows[row, i] = rng.integers(6)
            elif kind == "a" and rng.random() < 0.4:
                rows[row, i] = rng.choice(tree["leaves"][i]["atoms"])
            else:
                rows[row, i] = value(tree["leaves"][i], rng.normal())
    return rows


@pytest.mark.parametrize("kinds", ["bbbbb", "lbl", "xgac", "blxca", "a"])
@pytest.mark.parametrize("seed", [0, 1])
def test_log_densities_are_those_of_enumeration(kinds, seed):
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, kinds)
    rows = rows_of(tree, kinds, 25, rng)
    rows[0] = np.nan
    expected = np.log([probability(tree, row) for row in rows])
    circuit = circuit_of(tree)
    np.testing.assert_allclose(log_density(circuit, rows), expected, rtol=1e-11, atol=1e-12)
    by_logs = Upward(circuit, rows, None, messages._Logs(circuit)).log_p
    np.testing.assert_allclose(by_logs, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("pattern", list(itertools.product([True, False], repeat=3)))
def test_masses_sum_to_one_for_every_pattern_of_gaps(pattern):
    rng = np.random.default_rng(2)
    tree = random_tree(rng, "bll")
    circuit = circuit_of(tree)
    levels = [range(2), range(3), range(3)]
    space = [levels[i] if known else [np.nan] for i, known in enumerate(pattern)]
    rows = np.array(list(itertools.product(*space)), float)
    assert np.exp(log_density(circuit, rows)).sum() == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("kind", ["x", "g", "a"])
def test_densities_integrate_to_the_density_without_the_column(kind):
    """By Gauss and Legendre's rule on the column's own numbers, atoms added."""
    rng = np.random.default_rng(3)
    tree = random_tree(rng, f"l{kind}b")
    circuit, leaf = circuit_of(tree), tree["leaves"][1]
    row = np.array([2.0, np.nan, 1.0])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    cuts = np.array([value(leaf, y) for y in np.linspace(-35, 35, 1401)])
    half = 0.5 * np.diff(cuts)
    x = ((cuts[:-1] + half)[:, None] + half[:, None] * nodes).ravel()
    rows = np.repeat(row[None], len(x), axis=0)
    rows[:, 1] = x
    total = (np.exp(log_density(circuit, rows)) * (half[:, None] * weights).ravel()).sum()
    for atom in leaf["atoms"]:
        rows[0, 1] = atom
        total += np.exp(log_density(circuit, rows[:1]))[0]
    assert total == pytest.approx(np.exp(log_density(circuit, row[None])[0]), rel=1e-9)


def test_conditions_are_sums_over_what_they_allow():
    rng = np.random.default_rng(4)
    tree = random_tree(rng, "lcxa")
    circuit = circuit_of(tree)
    row = np.array([np.nan, np.nan, value(tree["leaves"][2], 0.3), np.nan])
    ends = {1: (1, 3), 3: (-1.0, 2.6)}

    def leaf_values(i, z):
        if i == 0:
            return tree["leaves"][0]["p"][z, [0, 2]].sum()
        if i in ends:
            return leaf_integral(tree["leaves"][i], z, lambda x: 1.0, *ends[i])
        return density(tree["leaves"][i], z, row[i])

    held = {i: circuit.leaves[i].log_mass(Allowed(None, *pair)) for i, pair in ends.items()}
    held[0] = circuit.leaves[0].log_mass(Allowed(np.array([0.0, 2.0])))
    found = log_density(circuit, row[None], held)[0]
    assert found == pytest.approx(np.log(joint(tree, leaf_values)), rel=1e-10)


@pytest.mark.parametrize("lost", [False, True])
def test_states_given_rows_and_given_the_rest_are_those_of_enumeration(lost, monkeypatch):
    """By scaled numbers, and by logarithms, to which every second row is sent."""
    if lost:
        monkeypatch.setattr(
            messages._Linear, "is_lost", lambda self, scale, low: np.arange(len(scale)) % 2 == 0
        )
    rng = np.random.default_rng(5)
    kinds, k = "blxcb", 3
    tree = random_tree(rng, kinds)
    rows = rows_of(tree, kinds, 8, rng)
    circuit = circuit_of(tree)
    seen = 0
    for part, up in sweeps(circuit, rows):
        if lost and len(part) > 1 and not (part % 2 == part[0] % 2).all():
            continue
        for rest, query in ((False, up.states()), (True, up.rests())):
            for i, p in query:
                p = np.broadcast_to(p, (len(part), k))
                for row, found in zip(part, p, strict=True):

                    def of(j, z, i=i, row=row, rest=rest, at=0):
                        if j == i and z != at:
                            return 0.0
                        return (
                            1.0 if rest and j == i else density(tree["leaves"][j], z, rows[row, j])
                        )

                    expected = np.array(
                        [joint(tree, lambda j, z, at=at, of=of: of(j, z, at=at)) for at in range(k)]
                    )
                    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-10)
                    seen += 1
    assert seen == 2 * 5 * 8


def hub(n, k=2):
    """Return a star: n columns of two levels under one root that all but decides them."""
    p = np.array([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]])
    T = np.repeat(np.eye(k)[None], n, axis=0)
    return Circuit(np.r_[-1, np.zeros(n - 1, int)], np.full(k, 0.5), T, (LevelsLeaf(p),) * n)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_contradictory_evidence_keeps_its_density(n):
    """Half of the columns say one state and half the other, each at odds of a thousand million."""
    circuit = hub(n)
    row = (np.arange(n) % 2).astype(float)
    exact = n / 2 * np.log(1e-9) + n / 2 * np.log1p(-1e-9)
    assert log_density(circuit, row[None])[0] == pytest.approx(exact, rel=1e-12)
    in_order = np.sort(row)
    assert log_density(circuit, in_order[None])[0] == pytest.approx(exact, rel=1e-12)
    one_sided = np.zeros((1, n))
    expected = np.log(0.5) + n * np.log1p(-1e-9)
    assert log_density(circuit, one_sided)[0] == pytest.approx(expected, rel=1e-9)
    ((_, up),) = sweeps(circuit, in_order[None])
    for _, p in up.states():
        np.testing.assert_allclose(np.asarray(p)[0], 0.5, rtol=1e-6)


def test_an_impossible_row_has_minus_infinity_and_its_neighbour_keeps_its_density():
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    circuit = Circuit(np.array([-1, 0]), np.array([0.3, 0.7]), np.eye(2)[None].repeat(2, 0),
                      (LevelsLeaf(p), LevelsLeaf(p)))  # fmt: skip
    found = log_density(circuit, np.array([[0.0, 1.0], [1.0, 1.0], [np.nan, 0.0]]))
    assert found[0] == -np.inf
    np.testing.assert_allclose(found[1:], np.log([0.7, 0.3]), rtol=1e-15)


def test_extreme_numbers_have_densities_or_none():
    leaves = tuple(
        ContinuousLeaf(Scale(kind), np.empty(0), np.ones((2, 1)), np.array([-1.0, 1.0]), np.ones(2))
        for kind in ("identity", "log", "asinh")
    )
    T = np.full((3, 2, 2), 0.5)
    circuit = Circuit(np.array([-1, 0, 0]), np.full(2, 0.5), T, leaves)
    extremes = [1e300, -1e300, 5e-324, 0.0, -5e-324, np.nan, 1.0]
    rows = np.array(list(itertools.product(extremes, repeat=3)))
    found = log_density(circuit, rows)
    assert not np.isnan(found).any()
    assert (found < np.inf).all()
    below = ~np.isnan(rows[:, 1]) & (rows[:, 1] <= 0)
    assert np.isneginf(found[below]).all()


def test_rows_in_blocks_have_the_densities_of_all_at_once(monkeypatch):
    rng = np.random.default_rng(6)
    tree = random_tree(rng, "blxca")
    rows = rows_of(tree, "blxca", 300, rng)
    circuit = circuit_of(tree)
    whole = log_density(circuit, rows)
    monkeypatch.setattr(messages, "BLOCK_BYTES", 1 << 10)
    np.testing.assert_allclose(log_density(circuit, rows), whole, rtol=1e-13)
