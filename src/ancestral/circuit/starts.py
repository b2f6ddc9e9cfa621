"""Where the EM of a tree starts: from noise, or from clusters of rows around each column."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit.em import Parameters, TreeEM, TreeSums
from ancestral.circuit.leaves import CountsLeaf, Scale
from ancestral.circuit.rows import Rows

NOISE = 1.5  # standard deviation of a table's logarithms around those of the marginals
PEAKED = 0.3  # of the Dirichlet that half of each transition comes from
NEAREST = 12  # columns by which rows are clustered for one of them
OWN, FALLING = 2.0, 0.7  # weight of the column itself, and of the others by their distance
SOFTENED = 0.1  # of the counts that are spread by the marginals
MOST_ROWS, MOST_WORK = 4000, 400_000  # rows that are clustered, and rows times columns
LLOYD = 10  # steps of k-means


def from_noise(em: TreeEM, rng: np.random.Generator) -> Parameters:
    """Return parameters drawn around the marginals."""
    k, d, layout = em.n_states, len(em.columns), em.layout
    tables = em.marginals[:, None] * np.exp(NOISE * rng.standard_normal((len(em.marginals), k)))
    total = np.add.reduceat(tables, layout.starts[:-1], axis=0)
    tables /= np.repeat(total, layout.sizes + 1, axis=0)
    tables[layout.gaps] = 1
    transitions = 0.5 * np.eye(k) + 0.5 * rng.dirichlet(np.full(k, PEAKED), size=(d, k))
    means = rng.standard_normal((len(layout.smooth), k))
    counts = tuple(
        CountsLeaf(np.maximum(mean, 0.1) * np.exp(rng.standard_normal(k)), np.full(k, 1.0))
        for mean in em.mean_counts.tolist()
    )
    spreads = np.maximum(np.full(means.shape, 0.7), em.floors(means))
    found = Parameters(np.full(k, 1 / k), transitions, tables, means, spreads, counts)
    return found.astype(np.float32)


def from_clusters(
    em: TreeEM, rows: Rows, weights: NDArray[np.float64], rng: np.random.Generator
) -> TreeSums:
    """Return the sums of rows whose state at each node is their cluster by the columns near it."""
    k, layout, d = em.n_states, em.layout, len(em.columns)
    there = np.flatnonzero(weights > 0)
    total = float(weights[there].sum())
    most = int(np.clip(MOST_WORK // d, 4 * k, MOST_ROWS))
    if len(there) > most:
        there = there[np.sort(rng.permutation(len(there))[:most])]
    some = rows.take(there, weights[there])
    w = some.weights * (total / some.weights.sum())
    features = [_features(em, some, j) for j in range(d)]
    states = np.empty((d, len(some)), np.intp)
    for node in range(d):
        near = em.tree.nearest(node, NEAREST)
        parts = [features[j] * (OWN if not at else FALLING ** (at - 1)) for j, at in near]
        states[node] = clusters(np.concatenate(parts, axis=1), k, w, rng)
    kind = np.float32
    pairs = np.zeros((d, k, k), kind)
    tables = np.zeros((len(em.marginals), k), kind)
    moments = np.zeros((3, len(layout.smooth), k), kind)
    counts = np.zeros((len(layout.counts), k, 3))
    held = np.stack([np.bincount(states[node], w, k) for node in range(d)])
    for node in range(d):
        own = states[node]
        parent = int(em.tree.parent[node])
        if parent >= 0:
            found = np.bincount(states[parent] * k + own, w, k * k).reshape(k, k)
            pairs[node] = _softened(found, np.outer(held[parent], held[node]) / total)
        size = int(layout.sizes[node]) + 1
        codes = some.codes[:, node].astype(np.intp)
        found = np.bincount(codes * k + own, w, size * k).reshape(size, k)
        rows_of = slice(layout.starts[node], layout.starts[node + 1])
        tables[rows_of] = _softened(found, np.outer(found.sum(axis=1), held[node]) / total)
        if node in em._smooth_of:
            j = em._smooth_of[node]
            y = some.y[:, j].astype(np.float64)
            real = codes == size - 2
            for power in range(3):
                sums = np.bincount(own, w * real * y**power, k)
                moments[power, j] = _softened(sums, sums.sum() * held[node] / total)
        elif node in em._count_of:
            counts[em._count_of[node]] = _count_sums(em, some, node, own, w, held[node] / total)
    return TreeSums(0.0, total, held[em.tree.order[0]].astype(kind), pairs, tables, moments, counts)


def _softened(found: NDArray, spread: NDArray) -> NDArray:
    return (1 - SOFTENED) * found + SOFTENED * spread


def _count_sums(
    em: TreeEM, some: Rows, node: int, own: NDArray, w: NDArray, shares: NDArray
) -> NDArray[np.float64]:
    """Return the sums of a column of counts, as its leaf takes them."""
    k, j = em.n_states, em._count_of[node]
    mean = max(float(em.mean_counts[j]), 0.1)
    leaf = CountsLeaf(np.full(k, mean), np.ones(k))
    hard = np.zeros((len(some), k))
    hard[np.arange(len(some)), own] = w
    sums = leaf.statistics(some.numbers[:, j], hard)
    return _softened(sums, sums.sum(axis=0) * shares[:, None])


def _features(em: TreeEM, rows: Rows, node: int) -> NDArray[np.float32]:
    """Return a column as numbers of about unit variance together, 0 where missing."""
    layout, size = em.layout, int(em.layout.sizes[node])
    codes = rows.codes[:, node]
    if node in em._count_of:
        x = np.log1p(np.nan_to_num(rows.numbers[:, em._count_of[node]]))
        x = (x - x.mean()) / (x.std() or 1.0)
        return np.where(codes == 1, 0.0, x)[:, None].astype(np.float32)
    if node in em._smooth_of:
        column = em.columns[node]
        y = np.clip(rows.y[:, em._smooth_of[node]], -3, 3)
        if len(column.atoms):
            at = np.r_[np.clip(cast(Scale, column.scale).forward(column.atoms), -3, 3), 0.0, 0.0]
            y = np.where(codes < size - 1, at[codes], y)
        return y[:, None].astype(np.float32)
    p = em.marginals[layout.starts[node] : layout.starts[node] + size]
    kept = np.argsort(-p, kind="stable")[:32]
    hot = (codes[:, None] == kept).astype(np.float32) - p[kept].astype(np.float32)
    hot[codes == size] = 0
    return hot / np.float32(np.sqrt(max(1 - float((p**2).sum()), 1e-3)))


def clusters(
    X: NDArray[np.float32], k: int, weights: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the cluster of each row, by k-means."""
    n = len(X)
    centres = X[rng.choice(n, size=k, replace=n < k, p=weights / weights.sum() if n >= k else None)]
    centres = centres + np.float32(1e-3) * rng.standard_normal(centres.shape).astype(np.float32)
    found = np.zeros(n, np.intp)
    for _ in range(LLOYD):
        distance = (centres**2).sum(axis=1) - 2 * (X @ centres.T)
        found = distance.argmin(axis=1)
        hot = np.zeros((n, k), np.float32)
        hot[np.arange(n), found] = weights
        size = hot.sum(axis=0)
        means = hot.T @ X / np.maximum(size, 1e-9)[:, None]
        centres = np.where(size[:, None] > 0, means, centres)
    return found
