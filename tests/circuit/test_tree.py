"""The tree of a table: its information, and that it is the best tree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import entropy

from ancestral.circuit import tree


def table_of(n: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 3, n)
    b = np.where(rng.random(n) < 0.8, a, rng.integers(0, 3, n))
    c = np.where(rng.random(n) < 0.6, b, rng.integers(0, 3, n))
    d = a + rng.normal(0, 0.5, n)
    table = np.stack([a, b, c, d], axis=1).astype(float)
    table[rng.random(table.shape) < 0.1] = np.nan
    return table


def test_information_is_that_of_the_rows_where_both_are_known() -> None:
    table = table_of()
    levels = [True, True, True, False]
    codes, sizes = tree.codes_of(table, levels, np.ones(len(table)))
    found = tree.information(codes, sizes, np.ones(len(table)))
    for i, j in itertools.combinations(range(4), 2):
        both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
        joint = np.zeros((sizes[i], sizes[j]))
        np.add.at(joint, (codes[both, i], codes[both, j]), 1.0)
        n = joint.sum()
        nats = entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint.ravel())
        bias = ((joint.sum(1) > 0).sum() - 1) * ((joint.sum(0) > 0).sum() - 1) / (2 * n)
        right = max(nats - bias, 0.0) * n / len(table)
        assert found[i, j] == pytest.approx(right, rel=1e-6)
        assert found[j, i] == found[i, j]


def test_blocks_give_the_information_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, sizes = tree.codes_of(table_of(), [True] * 3 + [False], np.ones(400))
    whole = tree.information(codes, sizes, np.ones(400))
    monkeypatch.setattr(tree, "BLOCK", 5)
    assert tree.information(codes, sizes, np.ones(400)) == pytest.approx(whole, rel=1e-9)


def test_weights_are_repeated_rows() -> None:
    table = table_of(100)
    weights = np.random.default_rng(1).integers(1, 4, 100).astype(float)
    again = np.repeat(table, weights.astype(int), axis=0)
    one = tree.codes_of(table, [True] * 3 + [False], weights)
    two = tree.codes_of(again, [True] * 3 + [False], np.ones(len(again)))
    assert (np.repeat(one[0], weights.astype(int), axis=0) == two[0]).all()
    assert tree.information(*one, weights) == pytest.approx(
        tree.information(*two, np.ones(len(again))), rel=1e-6, abs=1e-9
    )


def test_no_tree_has_a_larger_sum() -> None:
    """Against all 125 trees over five nodes, by Pruefer's codes."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights = rng.random((5, 5))
        weights = weights + weights.T
        np.fill_diagonal(weights, 0)
        found = tree.spanning(weights)
        total = sum(weights[i, p] for i, p in enumerate(found.parent) if p >= 0)
        best = max(
            sum(weights[i, j] for i, j in edges_of(code))
            for code in itertools.product(range(5), repeat=3)
        )
        assert total == pytest.approx(best)
        assert (found.parent < 0).sum() == 1
        assert sorted(found.order) == list(range(5))
        place = {node: k for k, node in enumerate(found.order)}
        assert all(place[p] < place[i] for i, p in enumerate(found.parent.tolist()) if p >= 0)


def edges_of(code: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the edges of the tree of a Pruefer code."""
    degree = [1 + code.count(i) for i in range(len(code) + 2)]
    edges = []
    for j in code:
        i = next(i for i, left in enumerate(degree) if left == 1)
        edges.append((i, j))
        degree[i] -= 1
        degree[j] -= 1
    last = [i for i, left in enumerate(degree) if left == 1]
    return [*edges, (last[0], last[1])]


def test_the_nearest_nodes_come_by_their_distance() -> None:
    chain = tree.Tree(np.array([-1, 0, 1, 2, 3]))
    assert chain.nearest(2, 4) == [(2, 0), (3, 1), (1, 1), (4, 2)]


def test_columns_without_information_are_a_tree_all_the_same() -> None:
    found = tree.spanning(np.zeros((6, 6)))
    assert (found.parent < 0).sum() == 1
    assert len(found.order) == 6
