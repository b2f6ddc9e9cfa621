"""Passes over pairs of nodes: their products, their place on a grid, and who is linked.

A pass is dealt in groups of rows to threads, each with sums of its own, added in order: the same
bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import check_integer
from ancestral._numerics.threads import in_order, one_thread
from ancestral.graph import costs
from ancestral.graph.compiled import numba
from ancestral.graph.graphs import Graph
from ancestral.graph.pairs import blocks
from ancestral.graph.pairs.blocks import products
from ancestral.graph.pairs.grid import Cells

Float = NDArray[np.float64]
T = TypeVar("T")

GROUPS = 16  # of rows, summed apart and then in order: the same bits for any number of threads


@dataclass(frozen=True)
class Edges:
    """The edges of a graph, each once, with its s.

    Parameters
    ----------
    starts : ndarray of shape (n_nodes + 1,)
    ends : ndarray of shape (n_edges,)
        ends[starts[i] : starts[i + 1]] are the neighbours j > i of node i, sorted.
    s : ndarray of shape (n_edges,)
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    s: Float

    @classmethod
    def of(cls, graph: Graph) -> Edges:
        """Gather the edges of a graph."""
        X = graph.features
        if not graph.is_sparse:
            i, j = graph.edges()
            starts = np.searchsorted(i, np.arange(len(X) + 1))
            return cls(starts, j, products(X, i, j))
        index = graph.adjacency.indptr, graph.adjacency.indices
        loops = loops_over(len(index[1]), X.shape[1])
        X = np.ascontiguousarray(X)
        return cls(*loops.upper_edges(X, *(v.astype(np.int64, copy=False) for v in index)))

    def rows(self) -> NDArray[np.int64]:
        """Return the end i < j of every edge."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def hold(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of the pairs i < j are edges."""
        loops = loops_over(len(i))
        found: NDArray[np.bool_] = loops.are_linked(self.starts, self.ends, i, j)
        return found


def loops_over(n_pairs: int, width: int = 0) -> Any:
    """Return the loops over so many pairs: numba's, where they are worth loading, or NumPy's."""
    if not costs.pays_to_load(n_pairs, width):
        return blocks
    from ancestral.graph.pairs import kernels

    return kernels


def pass_over(
    features: Float,
    cells: Cells,
    *,
    weights: Float | None = None,
    edges: Edges | None = None,
    n_jobs: int | None = None,
) -> tuple[Float, Float]:
    """Return moments in cells over all pairs i < j of rows, and the range of s over gaps.

    Parameters
    ----------
    features : ndarray of shape (n, m)
    cells : Cells
    weights : ndarray of shape (n,), optional
        A pair counts as the product of its two weights; as one where there are none.
    edges : Edges, optional
        With it, the range of s over all other pairs is found too.
    n_jobs : int, optional

    Returns
    -------
    moments : ndarray of shape (cells of all layers, 4)
    gaps : ndarray of shape (2,)
        (inf, -inf) without edges.
    """
    n, width = features.shape
    n_pairs = n * (n - 1) // 2
    loops = loops_over(n_pairs, width)
    XT = np.ascontiguousarray(features.T)
    nobody = np.zeros(0, np.int64)
    starts, ends = (nobody, nobody) if edges is None else (edges.starts, edges.ends)
    w = np.zeros(0) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    groups = costs.groups_of(n_pairs, cells.size, most=GROUPS)

    def one(group: int) -> tuple[Float, Float]:
        moments, gaps = cells.zeros(), np.array([np.inf, -np.inf])
        loops.pair_moments(
            XT,
            w,
            starts,
            ends,
            cells.origin,
            1.0 / cells.step,
            cells.further,
            group,
            groups,
            moments,
            gaps,
        )
        return moments, gaps

    blocked = loops is blocks or numba() is None
    with one_thread() if blocked else nullcontext():  # the threads are ours, not BLAS's
        parts = dealt(one, groups, n_jobs)
    gaps = np.array([min(part[1][0] for part in parts), max(part[1][1] for part in parts)])
    moments = parts[0][0]
    for part, _ in parts[1:]:  # in order, whatever thread was first: the same bits
        moments += part
    return moments, gaps


def moments_of(s: Float, cells: Cells) -> Float:
    """Return moments in cells of many given s, by the loop that `pass_over` has."""
    moments = cells.zeros()
    loops_over(len(s)).value_moments(s, cells.origin, 1.0 / cells.step, cells.further, moments)
    return moments


def dealt(work: Callable[[int], T], count: int, n_jobs: int | None = None) -> list[T]:
    """Return work(0), ..., work(count - 1), in that order, done by `n_jobs` threads."""
    if n_jobs is not None:
        n_jobs = check_integer(n_jobs, "n_jobs", minimum=1)
    jobs = 1 if count == 1 else n_jobs or cores()
    return in_order(work, range(count), jobs)


@cache
def cores() -> int:
    """Return the number of cores this process may use."""
    import joblib

    return int(joblib.cpu_count())


def product_range(features: Float) -> tuple[float, float]:
    """Return bounds of x_i . x_j over pairs of rows: from their box, and from their norms."""
    below, above = box_range(features.min(axis=0), features.max(axis=0))
    reach = float((features * features).sum(axis=1).max())
    return max(below, -reach), min(above, reach)


def some_products(features: Float) -> Float:
    """Return x_i . x_j of some pairs of rows, always the same ones."""
    i, j = np.random.default_rng(0).integers(0, len(features), (2, min(len(features), 10_000)))
    return products(features, i, j)


def box_range(low: Float, high: Float) -> tuple[float, float]:
    """Return the range of x . y over two points of a box."""
    corners = np.stack([low * low, low * high, high * high])
    return float(corners.min(axis=0).sum()), float(corners.max(axis=0).sum())
