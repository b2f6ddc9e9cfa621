"""Where the names of nodes stand beside them: under each, or wherever they meet least.

Every name is tried under, over, right and left of its node, and, of these places, takes the one
in which it covers least of the nodes, of the names that stand already, and of what lies outside the
frame. Names of the most crowded nodes are placed first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

WIDTH = 0.61  # of a letter, in sizes of the font
SIDES = ((0.0, -1.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0))  # under, over, right, left
CORNERS = ((0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8))


def places_of_names(
    xy: Float, names: Sequence[str], diameter: float, size: float, side: float
) -> Float:
    """Return where the middles of names stand, relative to their nodes.

    Parameters
    ----------
    xy : ndarray of shape (n, 2)
        Middles of nodes, in points, the frame's lower left corner at 0.
    names : sequence of str
    diameter, size, side : float
        Of nodes, of the font and of the frame, in points.

    Returns
    -------
    ndarray of shape (n, 2), points
    """
    half = np.array([[WIDTH * size * len(name) / 2, 0.62 * size] for name in names])
    reach = 0.5 * diameter + 1.0
    nodes = np.column_stack([xy - diameter / 2, xy + diameter / 2])
    taken = np.zeros((0, 4))
    found = np.zeros((len(xy), 2))
    near = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    crowd = (near < (4 * diameter + 4 * size) ** 2).sum(1)
    for k in np.argsort(-crowd, kind="stable"):
        ways = np.array([*SIDES, *CORNERS])
        moved = ways * (reach + half[k])
        inside = np.clip(xy[k] + moved, half[k] + 1, side - half[k] - 1)
        sideways = ways[:, 1] != 0  # what stands under or over may move along
        moved[sideways, 0] = (inside - xy[k])[sideways, 0]
        boxes = np.column_stack([xy[k] + moved - half[k], xy[k] + moved + half[k]])
        outside = np.maximum(0, np.column_stack([-boxes[:, :2], boxes[:, 2:] - side])).sum(1)
        cost = 3.0 * _covered(boxes, taken) + _covered(boxes, np.delete(nodes, k, axis=0))
        cost += 4 * size * outside + np.arange(len(ways)) * 0.5
        best = int(np.argmin(cost))
        found[k] = moved[best]
        taken = np.vstack([taken, boxes[best]])
    return found


def _covered(boxes: Float, others: Float) -> Float:
    """Return how much of other boxes each of some boxes covers."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    covered: Float = np.maximum(0, high - low).prod(-1).sum(-1)
    return covered
