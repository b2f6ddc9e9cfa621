"""Exact links of dyadic models: dyad by dyad, or for all pairs of two kinds of nodes at once.

    e_ij ~ Bernoulli(p_ij),   p_ij = sigmoid(b + sum_k theta_k t_k(i, j)),   dyads independent

Nodes whose attributes are alike are of one kind, and all dyads between two kinds have one p: how
many of them are linked is binomial, and which ones is any choice of as many with equal chances. So
many nodes of few kinds cost what their links cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ancestral._checks.numbers import MAX_SAMPLE_BYTES
from ancestral.errors import ModelError
from ancestral.graph.pairs.dyads import AT_ONCE, kinds_of, numbers_of
from ancestral.graph.terms import Evaluation

Float = NDArray[np.float64]
Index = NDArray[np.int64]

EDGE_BYTES = 48  # at the peak, while the sparse adjacency is made
MANY = 1_000  # nodes from which it is asked whether they are of few kinds


def draw_links(terms: Evaluation, theta: Float, rng: np.random.Generator) -> tuple[Index, Index]:
    """Draw the links of one graph.

    Parameters
    ----------
    terms : Evaluation
    theta : ndarray of shape (1 + n_terms,)
        Coefficients of 1 and of the terms as `terms` gives them.
    rng : numpy.random.Generator

    Returns
    -------
    i, j : ndarray of shape (n_links,)
        i < j unless the graph is directed.
    """
    if terms.n_nodes >= MANY and not terms.has_matrices:
        kinds, first, counts = kinds_of([*numbers_of(terms), *terms.codes], terms.n_nodes)
        if len(first) < terms.n_nodes / 2:
            return _by_kinds(terms.of(first), theta, kinds, counts, rng)
    found, total = [], 0
    for top, eta in blocks(terms, theta):
        height, n = eta.shape
        left = 0 if terms.directed else top
        linked = rng.random((height, n - left)) < expit(eta[:, left:])
        a, b = np.nonzero(linked)
        i, j = a + top, b + left
        kept = i != j if terms.directed else i < j
        found.append((i[kept], j[kept]))
        total += len(i)
        _refuse_many(total)
    i, j = (np.concatenate([part[k] for part in found]) for k in range(2))
    return i, j


def blocks(terms: Evaluation, theta: Float):  # type: ignore[no-untyped-def]
    """Yield the first of some rows, and the logits of all pairs of these rows, (rows, n_nodes)."""
    n, width = terms.n_nodes, len(theta)
    height = max(1, AT_ONCE // n)
    for top in range(0, n, height):
        rows = slice(top, min(top + height, n))
        out = np.empty((width, rows.stop - top, n))
        terms.block(rows, slice(0, n), out)
        yield top, np.tensordot(theta, out, 1)


def _by_kinds(
    terms: Evaluation, theta: Float, kinds: Index, sizes: Index, rng: np.random.Generator
) -> tuple[Index, Index]:
    """Draw how many links there are between each two kinds, and which."""
    order = np.argsort(kinds, kind="stable")  # nodes, kind by kind
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    found, total = [], 0
    for top, eta in blocks(terms, theta):
        rows = np.arange(top, top + len(eta))
        cells = np.multiply.outer(sizes[rows], sizes)
        own = np.arange(len(rows)), rows
        cells[own] -= sizes[rows]
        if not terms.directed:
            cells[own] //= 2
            cells[np.arange(len(sizes)) < rows[:, None]] = 0
        counts = rng.binomial(cells, expit(eta))
        total += int(counts.sum())
        _refuse_many(total)
        a, l = np.nonzero(counts)  # noqa: E741
        if not len(a):
            continue
        k, of, count = rows[a], cells[a, l], counts[a, l]
        pair, cell = _some_cells(of, count, rng)
        i, j = _ends(cell, sizes[k[pair]], sizes[l[pair]], k[pair] == l[pair], terms.directed)
        found.append((order[starts[k[pair]] + i], order[starts[l[pair]] + j]))
    none = np.zeros(0, np.int64)
    i, j = (np.concatenate([none, *(part[k] for part in found)]) for k in range(2))
    return (i, j) if terms.directed else (np.minimum(i, j), np.maximum(i, j))


def _some_cells(of: Index, count: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Draw `count` of the numbers below `of`, without replacement, for each of several such pairs.

    Return which pair, and the number. Numbers that come twice are drawn anew, which leaves every
    choice as likely as another; where more than half are wanted, those to be left out are drawn.
    """
    few = np.minimum(count, of - count)
    bounds = np.concatenate([[0], np.cumsum(of)])
    lacking, codes = few, np.zeros(0, np.int64)  # numbers of all pairs, in one line
    while lacking.any():
        pair = np.repeat(np.arange(len(of)), lacking)
        fresh = bounds[pair] + rng.integers(0, of[pair])
        codes = np.unique(np.concatenate([codes, fresh]))
        held = np.bincount(np.searchsorted(bounds, codes, side="right") - 1, minlength=len(of))
        lacking = few - held
    pair = np.searchsorted(bounds, codes, side="right") - 1
    turned = np.flatnonzero(few < count)
    kept = ~np.isin(pair, turned)
    pairs, cells = [pair[kept]], [codes[kept] - bounds[pair[kept]]]
    for k in turned:
        left_out = np.zeros(of[k], bool)
        left_out[codes[pair == k] - bounds[k]] = True
        cells.append(np.flatnonzero(~left_out))
        pairs.append(np.full(len(cells[-1]), k))
    return np.concatenate(pairs), np.concatenate(cells)


def _ends(
    cell: Index,
    height: Index,
    width: Index,
    within: NDArray[np.bool_],
    directed: bool,  # noqa: FBT001
) -> tuple[Index, Index]:
    """Return row and column of numbered cells: of a rectangle, or of the pairs within one kind."""
    i, j = cell // width, cell % width
    if directed:  # rows of width - 1 cells, the diagonal left out
        inner = np.maximum(width - 1, 1)
        a, b = cell // inner, cell % inner
        return np.where(within, a, i), np.where(within, b + (b >= a), j)
    # the pairs b < a in the order (1, 0), (2, 0), (2, 1), ...
    a = ((1 + np.sqrt(1.0 + 8.0 * cell)) / 2).astype(np.int64)
    a -= a * (a - 1) // 2 > cell
    a += a * (a + 1) // 2 <= cell
    b = cell - a * (a - 1) // 2
    return np.where(within, a, i), np.where(within, b, j)


def _refuse_many(n_links: int) -> None:
    """Raise ModelError where the links drawn so far do not fit in memory."""
    if n_links * EDGE_BYTES > MAX_SAMPLE_BYTES:
        raise ModelError(
            f"a graph would have more than {n_links:.2g} links, which need over "
            f"{MAX_SAMPLE_BYTES >> 30} GiB. Draw smaller graphs."
        )
