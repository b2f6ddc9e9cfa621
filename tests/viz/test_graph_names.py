"""Names of nodes stand apart, and inside the frame."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.viz.graph_names import WIDTH, places_of_names


@pytest.mark.parametrize("seed", range(4))
def test_names_cover_less_than_where_all_stand_under_their_nodes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    side, size, diameter = 265.0, 8.0, 10.0
    xy = rng.uniform(15, side - 15, (20, 2))
    names = ["n" * int(k) for k in rng.integers(2, 16, 20)]
    half = np.array([[WIDTH * size * len(name) / 2, 0.62 * size] for name in names])

    def covered(moved: np.ndarray) -> float:
        low, high = xy + moved - half, xy + moved + half
        both = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
        return float(np.triu(np.maximum(both, 0).prod(-1), 1).sum())

    moved = places_of_names(xy, names, diameter, size, side)
    under = np.column_stack([np.zeros(20), np.full(20, -0.5 * diameter) - half[:, 1]])
    assert covered(moved) < 0.5 * covered(under)
    assert (xy + moved - half > -1).all() and (xy + moved + half < side + 1).all()
    assert (places_of_names(xy, names, diameter, size, side) == moved).all()
