"""Where the nodes of a drawing stand: layouts by name, and room for every link to be seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._extras import import_extra
from ancestral.errors import DataError
from ancestral.viz import _style

LABELLED = 40  # graphs of more nodes are drawn without numbers
SPREAD = 600  # nodes up to which they are moved apart
LAYOUTS = ("springs", "circle", "distances")


def layout_of(A: NDArray[np.bool_], layout: Any) -> NDArray[np.float64]:
    """Return positions (n, 2) in [-1, 1]^2, by the name of a layout or as they are given."""
    n = len(A)
    if not isinstance(layout, str):
        places = _style.numbers(layout, "layout", 2)
        if places.shape != (n, 2):
            raise DataError(
                f"layout must name a layout, or have shape ({n}, 2), a place for each node; got "
                f"{places.shape}."
            )
        return _fit_equally(places)
    if layout not in LAYOUTS:
        raise DataError(f"layout must be one of {', '.join(LAYOUTS)}, or places; got {layout!r}.")
    if layout == "circle":
        angle = np.pi / 2 - 2 * np.pi * np.arange(n) / n
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _springs(A | A.T, by_distance=layout == "distances")


def _springs(A: NDArray[np.bool_], *, by_distance: bool) -> NDArray[np.float64]:
    """Return positions of springs, with a pull to the middle; or by the lengths of paths."""
    networkx = import_extra("networkx", "drawing graphs", "report")
    n = len(A)
    if n == 1:
        return np.zeros((1, 2))
    graph = networkx.from_numpy_array(A.astype(float))
    hub = n  # an unseen node that holds the parts together; unlinked nodes hang on it alone
    if n <= LABELLED:
        pull = {k: 0.12 if A[k].any() else 0.45 for k in range(n)}
    else:  # a pull on every node would leave a hole in the middle
        parts = list(networkx.connected_components(graph))
        pull = {max(part, key=lambda k: A[k].sum()): 0.45 for part in parts}
    if by_distance:
        parts = list(networkx.connected_components(graph))
        if len(parts) > 1:
            graph.add_edges_from((hub, max(part, key=lambda k: A[k].sum())) for part in parts)
        found = networkx.kamada_kawai_layout(graph, weight=None)
        return _fit(np.array([found[k] for k in range(n)]))
    graph.add_weighted_edges_from((hub, k, weight) for k, weight in pull.items())
    steps = 200 if n <= 200 else 80
    places = networkx.spring_layout(graph, seed=4, iterations=steps, k=1.7 / math.sqrt(n))
    xy = np.array([places[k] for k in range(n)])
    return _fit(xy if n <= LABELLED else _opened(xy))


def _opened(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move places along their rays, half way to an even disc: a few far ones leave room for all."""
    away = xy - np.median(xy, axis=0)
    far = np.maximum(np.sqrt((away**2).sum(axis=1)), 1e-9)
    even = np.sqrt((1 + np.argsort(np.argsort(far))) / len(xy))
    return away * ((0.6 * even + 0.4 * far / far.max()) / far)[:, None]


def _fit(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretch positions to fill [-1, 1]^2, each axis by itself."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    return 2 * (xy - low) / np.where(high > low, high - low, 1.0) - np.where(high > low, 1.0, 0.0)


def _fit_equally(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move given positions into [-1, 1]^2, both axes by one scale, so that distances keep."""
    fitted, span = _fit(xy), np.ptp(xy, axis=0)
    return fitted * (span / (span.max() or 1.0))


def _spread(xy: NDArray[np.float64], least: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move apart every two nodes nearer than `least`, (n, n), half of the lack each."""
    gap = xy[:, None] - xy[None]  # (n, n, 2)
    distance = np.sqrt((gap**2).sum(axis=-1))
    np.fill_diagonal(distance, np.inf)
    lack = np.clip(least - distance, 0.0, None)
    push = gap / np.maximum(distance, 1e-9)[..., None] * (0.5 * lack)[..., None]
    return xy + push.sum(axis=1)


def with_room(
    xy: NDArray[np.float64], linked: NDArray[np.bool_], size: float, *, apart: float
) -> tuple[NDArray[np.float64], float]:
    """Return places, and a diameter of nodes, that leave each link as long as a node.

    Nodes are moved apart, any two to so many diameters, and made smaller, at most by half, where
    that does not do.
    """
    n = len(xy)
    if n < 2:
        return xy, size
    if n <= SPREAD:
        least = np.where(linked, max(2.05, apart), apart) * size
        reach = np.ptp(xy, axis=0) / 2  # of given places one axis is shorter, and stays so
        for _ in range(120):
            xy = _fit(_spread(xy, least)) * reach
    i, j = np.nonzero(np.triu(linked, 1))
    if not len(i):
        return xy, size
    lengths = np.sqrt(((xy[i] - xy[j]) ** 2).sum(axis=1))
    return xy, float(np.clip(lengths.min() / 2, 0.5 * size, size))
