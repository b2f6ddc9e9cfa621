"""The scale of a continuous column, its grid, and the values that stand out of it.

    g(x) = (h(x) - centre) / spread,   h(x) = x / unit,   log(x / unit)   or   asinh(x / unit)

is where the states of a column are normal. All of it is found relative to the column's own
spacing, so that a column in other units has the same g. A *grid* is what the values are multiples
of (cents, whole years): no density may be narrower than it. An *atom* is a value that repeats far
more often than its neighbours let one expect (0, a cap, a rounded number): it has a probability of
its own, beside the density of all else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit.leaves import Scale

MOST_ATOMS = 20
MOST_VALUES = 2000  # of a column, at quantiles, by which its scale is chosen
ON_GRID = 0.98  # of the distinct values
DIFFERENT = 0.5  # of the gaps between them, that lie between two multiples
STEPS = (1000, 500, 250, 200, 100, 50, 25, 20, 10, 5, 4, 2, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10)
GAIN = 0.01  # nats per value that a scale must gain over a plainer one
NARROWEST = 0.05  # spread of a normal in the choice of a scale, of the spread of all


def _bent(kind: str, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return h of values over their unit; NaN where a logarithm has none."""
    if kind == "identity":
        return z
    if kind == "asinh":
        return np.arcsinh(z)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(z > 0, np.log(z), np.nan)


def _log_slope(kind: str, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log dh/dz."""
    if kind == "identity":
        return np.zeros_like(z)
    if kind == "asinh":
        return -np.log(np.hypot(1.0, z))
    return -np.log(z)


def learn(
    values: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[Scale, float, NDArray[np.float64]]:
    """Return the scale of a column, its grid (0 for none) and its atoms.

    Parameters
    ----------
    values : ndarray of shape (m,)
        Distinct and rising.
    counts : ndarray of shape (m,)
        How many rows have each.
    """
    # In a power of two of their size, which rounds nothing and neither overflows nor vanishes.
    size = float(2.0 ** (np.frexp(np.abs(values).max())[1] - 1)) if values.any() else 1.0
    values = values / size
    grid = grid_of(values)
    atoms = atoms_of(values, counts)
    rest = ~np.isin(values, atoms)
    if rest.sum() < 2:
        rest[:] = True
    scale = _chosen(values[rest], counts[rest], grid)
    return replace(scale, unit=scale.unit * size), grid * size, atoms * size


def grid_of(values: NDArray[np.float64]) -> float:
    """Return the largest step that nearly all of distinct, rising values are multiples of, or 0.

    Nearly all are different multiples: beside one value far off, all others are 0 times a large
    step.
    """
    if len(values) < 3:
        return 0.0
    gaps = np.diff(values)
    # What rounding leaves between two sums that are one number is no gap.
    middle = values[[len(values) // 10, -1 - len(values) // 10]]
    rounding = 4 * np.spacing(np.maximum(np.abs(values[1:]), np.abs(values[:-1])))
    gaps = gaps[gaps > np.maximum(1e-9 * (middle[1] - middle[0]), rounding)]
    if not len(gaps):
        return 0.0
    least = float(gaps.min())
    starts = [0.0, values[len(values) // 2], values[len(values) // 3]]
    for step in STEPS:
        for start in starts:
            grid = _refined(values - start, least * step)
            multiples = (values - start) / grid
            whole = np.rint(multiples)
            if np.mean(np.abs(multiples - whole) < 1e-3) < ON_GRID:
                continue
            if (np.diff(whole) > 0).sum() >= DIFFERENT * len(gaps):
                return grid
    return 0.0


def _refined(values: NDArray[np.float64], grid: float) -> float:
    """Return a step near another by which more distant values, too, are multiples of it."""
    multiples = np.abs(values / grid)
    far = 10.0
    while far < 10 * multiples.max() and far < 1e12:
        some = (multiples > far / 10) & (multiples <= far)
        if some.any():
            whole = np.rint(values[some] / grid)
            found = float(np.median(values[some] / whole))
            if abs(found / grid - 1) > 1 / far:
                break
            grid = found
        far *= 10
    return grid


def atoms_of(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that repeat far more often than their neighbours, rising."""
    n = counts.sum()
    often = np.flatnonzero(counts >= max(8.0, 0.01 * n))
    found = []
    for i in often:
        around = np.r_[counts[max(0, i - 5) : i], counts[i + 1 : i + 6]]
        expected = float(np.median(around)) if len(around) else 0.0
        if counts[i] > 4 * expected and counts[i] > expected + 6 * np.sqrt(expected):
            found.append(i)
    most = sorted(found, key=lambda i: (-counts[i], i))[:MOST_ATOMS]
    return values[np.sort(np.array(most, dtype=np.intp))]


def _chosen(values: NDArray[np.float64], counts: NDArray[np.float64], grid: float) -> Scale:
    """Return the scale on which three normals describe the values best, of halves held out."""
    n = min(MOST_VALUES, max(2, int(counts.sum())))
    places = (np.arange(n) + 0.5) / n
    cumulated = np.cumsum(counts)
    picked = values[np.minimum(np.searchsorted(cumulated, places * cumulated[-1]), len(values) - 1)]
    middle = float(np.median(picked))
    deviation = float(np.median(np.abs(picked - middle)))
    if deviation == 0.0:
        deviation = float(np.mean(np.abs(picked - middle))) or abs(middle) or 1.0
    unit = max(0.1 * deviation, grid)
    # The plainer first: a logarithm keeps draws positive, asinh takes numbers of either sign.
    kinds = ["identity", "log", "asinh"] if values[0] > 0 else ["identity", "asinh"]
    scores = []
    for kind in kinds:
        z = picked / unit
        h = _bent(kind, z)
        spread = float(h.std()) or 1.0
        slope = _log_slope(kind, z) - np.log(spread)
        floor = NARROWEST
        if grid:
            floor = max(floor, 0.4 * grid / unit * float(np.exp(np.median(slope))))
        g = (h - h.mean()) / spread
        folds = [g[0::2], g[1::2]]
        score = sum(_held_out(a, b, floor) for a, b in (folds, folds[::-1])) / len(g)
        scores.append(score + float(slope.mean()))
    best = int(np.argmax(np.array(scores) - GAIN * np.arange(len(kinds))))
    h = _bent(kinds[best], values / unit)
    share = counts / counts.sum()
    location = float(share @ h)
    spread = float(np.sqrt(share @ (h - location) ** 2))
    return Scale(kinds[best], unit, location, spread or abs(location) or 1.0)


def _held_out(train: NDArray, test: NDArray, floor: float) -> float:
    """Return the log density of values under three normals fitted to others, summed."""
    if len(train) < 2 or not len(test):
        return 0.0
    means = np.quantile(train, [1 / 6, 1 / 2, 5 / 6])
    deviations, weights = np.full(3, max(float(train.std()) / 2, floor)), np.full(3, 1 / 3)
    for _ in range(30):
        share = np.exp(_log_normals(train, means, deviations, weights))
        share /= share.sum(axis=0)
        total = share.sum(axis=1) + 1e-9
        means = share @ train / total
        variances = (share * (train - means[:, None]) ** 2).sum(axis=1) / total
        deviations, weights = np.sqrt(np.maximum(variances, floor**2)), total / total.sum()
    joint = _log_normals(test, means, deviations, weights)
    top = joint.max(axis=0)
    return float((top + np.log(np.exp(joint - top).sum(axis=0))).sum())


def _log_normals(x: NDArray, means: NDArray, deviations: NDArray, weights: NDArray) -> NDArray:
    """Return log of weight times normal density of each component, (3, n), none below e^-700."""
    z = (x - means[:, None]) / deviations[:, None]
    joint = (
        np.log(weights)[:, None] - 0.5 * (np.log(2 * np.pi) + z * z) - np.log(deviations)[:, None]
    )
    return np.maximum(joint, -700.0)
