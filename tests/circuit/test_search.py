"""The most probable completion, and the bound that says how far it may be from the best."""

import itertools

import numpy as np
import pytest

from ancestral.circuit import queries, search
from ancestral.circuit.leaves import Allowed
from ancestral.circuit.queries import Condition

from .reference import mixture_of
from .test_queries import trees_of


@pytest.mark.parametrize("n_trees", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_the_most_probable_completion_and_its_bound_stand_against_enumeration(seed, n_trees):
    trees, weights = trees_of("lblbl", n_trees, seed=seed, k=2)
    mixture = mixture_of(trees, weights)
    row = np.full(5, np.nan)
    if seed % 2:
        row[1] = 1.0
    condition = Condition(row, {2: Allowed(np.array([0.0, 1.0]))} if seed > 3 else {})
    levels = [[row[i]] if not np.isnan(row[i]) else range(n) for i, n in enumerate((3, 2, 3, 2, 3))]
    if seed > 3:
        levels[2] = [0, 1]
    space = np.array(list(itertools.product(*levels)), float)
    log_p = queries.log_density(mixture, space) - queries.log_evidence(mixture, condition)
    found = search.most_probable(mixture, condition)
    own = np.flatnonzero((space == found.row).all(axis=1))
    assert log_p[own] == pytest.approx(found.log_probability, abs=1e-10)
    assert log_p.max() <= found.upper_bound + 1e-10
    assert found.log_probability == pytest.approx(log_p.max(), abs=1e-9)
    assert found.upper_bound == pytest.approx(log_p.max(), abs=1e-8)


def test_a_search_that_is_cut_short_has_a_bound_that_holds(monkeypatch):
    monkeypatch.setattr(search, "MOST_EXPANDED", 1)
    for seed in range(8):
        trees, weights = trees_of("lblbl", 2, seed=seed)
        mixture = mixture_of(trees, weights)
        space = np.array(list(itertools.product(*map(range, (3, 2, 3, 2, 3)))), float)
        best = queries.log_density(mixture, space).max()
        found = search.most_probable(mixture, Condition(np.full(5, np.nan)))
        assert found.log_probability <= best + 1e-10
        assert found.upper_bound >= best - 1e-10
        assert found.log_probability <= found.upper_bound


def test_the_most_probable_counts_are_those_of_enumeration():
    trees, weights = trees_of("cxlc", 2, seed=12)
    mixture = mixture_of(trees, weights)
    row = np.array([np.nan, np.nan, np.nan, np.nan])
    found = search.most_probable(mixture, Condition(row, {1: Allowed(None, 0.0, 4.0)}))
    condition = {1: Allowed(None, 0.0, 4.0)}
    best = -np.inf
    for a, level, b in itertools.product(range(12), range(3), range(12)):
        one_row = np.array([a, np.nan, level, b], float)
        best = max(best, queries.log_evidence(mixture, Condition(one_row, condition)))
    best -= queries.log_evidence(mixture, Condition(row, condition))
    assert found.log_probability == pytest.approx(best, abs=1e-9)
    assert found.upper_bound >= best - 1e-9
    full = np.array([found.row[0], np.nan, found.row[2], found.row[3]])
    mean, _ = queries.mean_and_covariance(mixture, Condition(full, condition), [1])
    assert found.row[1] == pytest.approx(mean[0], rel=1e-12)
