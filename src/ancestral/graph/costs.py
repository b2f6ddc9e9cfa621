"""What each way to the sums over pairs, and each way to draw edges, would cost: seconds.

Each way is as cheap as its pairs, nodes or edges are few; the cheapest is taken. Its numbers were
measured once, on one core of a server, and are fixed: what is chosen, and so every digit of a
result, depends on sizes and on whether numba is installed, never on the machine's speed or on what
a process did before.

Loading numba's loops, once in a process, takes as long as thousands of small fits. That is shared
out among `FITS` fits.
"""

from __future__ import annotations

from ancestral.graph.compiled import numba

EVALUATIONS = 5  # of the likelihood, in a fit

PRODUCT = 6e-9  # a pair's product, taken out of a matrix and told links from others
TERM = 3e-9  # a pair that is kept, or a node, at each evaluation
GRID = 3.5e-4  # a grid, filled or not: its cells, nodes, and evaluations
APART = 3e-4  # the nodes of links, apart from those of other pairs
BLOCKED = 9e-9, 0.05e-9  # a pair's deposit on a grid in NumPy, and for each feature
COMPILED = 2.4e-9, 0.12e-9  # the same in numba's loops
WEIGHTED = 1.5  # times as much for pairs with weights
VALUE = 5e-9, 1.5e-9  # a deposit of a given value, in NumPy and in numba's loops
CELLS = 8e-9  # a cell, emptied and added
LOAD, FITS = 0.35, 2_000  # of numba and its loops from their cache, shared by so many fits

BASIS = 1.4e-9  # a point of the basis at a node
PILOT = 8e-3  # a pilot estimate, and a look at some pairs that are not linked
# Chebyshev points of each axis, for one feature, two and three, as they mostly turn out: for a fit,
# and where sums at a given (a, b) are wanted.
FITTED, GIVEN = (37, 18, 13), (74, 36, 26)


# Edges: a pair's draw; a candidate's among cells; and the cells, to begin with and for each node.
DRAWN, CANDIDATE, TREE, NODE = 6.4e-9, 45e-9, 3e-4, 0.5e-6


EMBEDDED = 80  # nodes up to which all eigenvectors cost less than a few, found by iteration


def pays_to_draw_by_cells(n_nodes: int, share: float = 0.0) -> bool:
    """Tell whether cells of nodes, in which this share of pairs are candidates, save time."""
    n_pairs = n_nodes * (n_nodes - 1) // 2
    return TREE + NODE * n_nodes + CANDIDATE * share * n_pairs < DRAWN * n_pairs


def kept(n_pairs: int, *, evaluations: int = EVALUATIONS) -> float:
    """Return what sums cost over inner products that are kept, one by one."""
    return n_pairs * (PRODUCT + TERM * evaluations)


def visited(n_pairs: int, width: int, *, given: bool = False) -> float:
    """Return what a pass over pairs costs that puts them on a grid, and the grid's evaluations.

    Where sums at a given (a, b) are wanted, links have nodes of their own.
    """
    return GRID + APART * given + _cheaper_pass(n_pairs, width)


def stacked(n_pairs: int) -> float:
    """Return what the same costs for many small graphs: products, then their deposit."""
    blocked, compiled = n_pairs * VALUE[0], LOAD / FITS + n_pairs * VALUE[1]
    return GRID + n_pairs * PRODUCT + (compiled if _pays(compiled, blocked) else blocked)


def compressed(n_nodes: int, n_points: int, width: int) -> float:
    """Return what sums over pairs of so many Chebyshev points cost, and of fewer to compare."""
    points = WEIGHTED * _cheaper_pass(n_points * n_points // 2, width)
    return PILOT + n_nodes * n_points * BASIS + 1.5 * points


def pays_to_compress(n_nodes: int, width: int, *, given: bool) -> bool:
    """Tell whether Chebyshev points are likely to be cheaper than a pass over pairs of nodes.

    A fit needs them twice: its maximum, and then the likelihood there to more digits, which a pass
    over all pairs would have given with it.
    """
    if width > len(FITTED):
        return False
    fitted, exact = (
        compressed(n_nodes, int(points[width - 1] ** width), width) for points in (FITTED, GIVEN)
    )
    all_pairs = visited(n_nodes * (n_nodes - 1) // 2, width)
    return (exact if given else fitted + exact) < all_pairs


def pays_to_load(n_pairs: int, width: int = 0) -> bool:
    """Tell whether a pass is worth loading numba's loops for, be they there or not."""
    return LOAD / FITS + _pass(COMPILED, n_pairs, width) < _pass(BLOCKED, n_pairs, width)


def _cheaper_pass(n_pairs: int, width: int) -> float:
    """Return what a pass costs, by numba's loops where they are there and worth loading."""
    blocked = _pass(BLOCKED, n_pairs, width)
    compiled = LOAD / FITS + _pass(COMPILED, n_pairs, width)
    return compiled if _pays(compiled, blocked) else blocked


def _pays(compiled: float, blocked: float) -> bool:
    """Tell whether numba's loops are the cheaper, and there: asked only then, as that loads it."""
    return compiled < blocked and numba() is not None


def _pass(pair: tuple[float, float], n_pairs: int, width: int) -> float:
    """Return what a pass costs."""
    return n_pairs * (pair[0] + pair[1] * width)


def groups_of(n_pairs: int, n_cells: int, *, most: int) -> int:
    """Return in how many groups a pass is dealt, each with a grid of its own, which costs too."""
    return max(1, min(most, int(n_pairs * COMPILED[0] / (10 * CELLS * n_cells))))
