"""Trees of extreme parameters: every answer is a number, and keeps to its condition."""

import numpy as np
import pytest

from ancestral.circuit import queries, search
from ancestral.circuit.leaves import Allowed, ContinuousLeaf, CountsLeaf, LevelsLeaf, Scale
from ancestral.circuit.messages import Circuit, Mixture
from ancestral.circuit.queries import Condition


def shares(rng, n, shape):
    """Return probabilities, some of them 0 or next to it."""
    p = rng.dirichlet(np.full(n, 0.3), shape) if n > 1 else np.ones((*shape, 1))
    if rng.random() < 0.3:
        p = np.where(p < 0.2, 0, p)
        p /= p.sum(axis=-1, keepdims=True)
    return np.where(p < 1e-2, 1e-300, p) if rng.random() < 0.2 else p


def any_tree(rng):
    d, k = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    leaves = []
    for _ in range(d):
        kind = rng.integers(3)
        if kind == 0:
            leaves.append(LevelsLeaf(shares(rng, int(rng.integers(1, 4)), (k,))))
        elif kind == 1:
            leaves.append(CountsLeaf(10 ** rng.uniform(-3, 3, k), 10 ** rng.uniform(-2, 7, k)))
        else:
            unit = 10 ** rng.uniform(-200, 200) if rng.random() < 0.3 else 1.0
            atoms = np.array([0.0, unit]) if rng.random() < 0.5 else np.empty(0)
            scale = Scale(
                str(rng.choice(["identity", "log", "asinh"])),
                unit,
                rng.normal(),
                10 ** rng.uniform(-2, 0.5),
            )
            mean, spread = 3 * rng.normal(size=k), 10 ** rng.uniform(-1.5, 0.5, k)
            leaves.append(
                ContinuousLeaf(scale, atoms, shares(rng, len(atoms) + 1, (k,)), mean, spread)
            )
    parent = np.array([-1] + [int(rng.integers(i)) for i in range(1, d)])
    return Circuit(parent, shares(rng, k, (1,))[0], shares(rng, k, (d, k)), tuple(leaves))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", [3, 13, 40, 51, 90, 166, 180, 230])
def test_every_answer_of_any_tree_is_a_number(seed):
    rng = np.random.default_rng(seed)
    circuit = any_tree(rng)
    d, mixture = circuit.n_columns, Mixture(np.full(2, 0.5), (circuit, circuit))
    nothing = np.full(d, np.nan)
    draws = queries.drawn(mixture, Condition(nothing), 40, rng)
    assert not np.isnan(draws).any()
    held = draws[np.isfinite(draws).all(axis=1)]
    assert np.isfinite(queries.log_density(mixture, held)).all()
    rows = np.where(rng.random(held.shape) < 0.4, np.nan, held)
    for found in queries.marginals(mixture, rows):
        assert not np.isnan(found).any()
    assert not np.isnan(queries.completed(mixture, rows, 2, rng)).any()
    assert not np.isnan(queries.surprise(mixture, rows)[~np.isnan(rows)]).any()
    for found in queries.quantiles(mixture, rows, np.array([0.1, 0.9])).values():
        assert (found[:, 0] <= found[:, 1]).all()
    best = search.most_probable(mixture, Condition(rows[0]))
    assert best.log_probability <= best.upper_bound <= 0
    assert not np.isnan(best.row).any()
    numbers = [i for i, leaf in enumerate(circuit.leaves) if not isinstance(leaf, LevelsLeaf)]
    ranges = {i: Allowed(None, held[:, i].min(), held[:, i].max()) for i in numbers}
    within = Condition(nothing, ranges)
    assert -np.inf < queries.log_evidence(mixture, within) <= 1e-9
    kept = queries.drawn(mixture, within, 20, rng)
    for condition in (Condition(rows[0]), within):
        mean, covariance = queries.mean_and_covariance(mixture, condition, numbers)
        assert not np.isnan(mean).any()
        assert not np.isnan(covariance).any()
    for a, i in enumerate(numbers):
        low, high = ranges[i].low, ranges[i].high
        assert ((kept[:, i] >= low) & (kept[:, i] <= high)).all()
        slack = 1e-9 * max(abs(low), abs(high))
        assert low - slack <= mean[a] <= high + slack
    for i in range(1, d):
        nats = queries.mutual_information(mixture, int(circuit.parent[i]), i)
        assert 0 <= nats < np.inf
