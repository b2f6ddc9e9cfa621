"""Figures of a likelihood in two parameters, slope a and intercept b, and of the way to its top.

Where the likelihood is nearly Gaussian, 2 (max - LL(a, b)) is chi-square with 2 degrees of
freedom at the true (a, b): its quantiles give the contours their confidence levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.errors import DataError
from ancestral.viz import _style
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# -log(1 - p) is half the chi-square quantile with two degrees of freedom: the drop in nats
CONFIDENCE = (0.5, 0.9, 0.99)
DROPS = tuple(-math.log1p(-p) for p in CONFIDENCE)


@styled
def likelihood_contour(
    log_likelihood: Callable[[float, float], float] | ArrayLike,
    a_range: ArrayLike,
    b_range: ArrayLike,
    *,
    path: Any = None,
    maximum: tuple[float, float] | None = None,
    standard_errors: tuple[float, float] | None = None,
    n_grid: int = 81,
    ax: Axes | None = None,
) -> Axes:
    """Return filled contours of how far the log-likelihood lies below its maximum.

    Parameters
    ----------
    log_likelihood : callable or array-like of shape (n_b, n_a)
        A function of (a, b) in nats, or its values on the grid of the two ranges.
    a_range, b_range : array-like
        (low, high), or the grid's own values.
    path : array-like of shape (n, 2), sequence of dict, or a fitted model, optional
        (a, b) by iteration, or dicts with "a" and "b", or a model with such a `history_`; drawn
        from its start, a square, to its end.
    maximum : (a, b), optional
        By default the best point of the grid.
    standard_errors : (of a, of b), optional
        Drawn as bars of one standard error about the maximum.
    n_grid : int
        Points along each axis where a range is (low, high).
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = likelihood_contour(lambda a, b: -(a - 1) ** 2 - b**2, (0, 2), (-1, 1), maximum=(1, 0))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('slope a', 'intercept b')
    """
    a, b = _axis(a_range, "a_range", n_grid), _axis(b_range, "b_range", n_grid)
    top: float | None = None
    if callable(log_likelihood):
        L = np.array([[float(log_likelihood(u, v)) for u in a] for v in b])
        if maximum is not None:
            top = float(log_likelihood(*maximum))
    else:
        L = _style.numbers(log_likelihood, "log_likelihood", 2)
        if L.shape != (b.size, a.size):
            raise DataError(
                f"log_likelihood must be (len(b_range), len(a_range)) = {(b.size, a.size)}; "
                f"got {L.shape}. Pass the grid's values as ranges."
            )
    if not np.isfinite(L).any():
        raise DataError("log_likelihood is finite nowhere on the grid; choose other ranges.")
    if maximum is None:
        row, column = np.unravel_index(np.nanargmax(np.where(np.isfinite(L), L, -np.inf)), L.shape)
        maximum = float(a[column]), float(b[row])
    drop = np.clip((np.nanmax(L) if top is None else max(top, np.nanmax(L))) - L, 0.0, None)
    ax = _style.axes_or_new(ax, width=5.2, height=3.9)
    _fill(ax, a, b, drop)
    _draw_path(ax, path)
    _draw_maximum(ax, maximum, standard_errors)
    ax.set(xlabel="slope a", ylabel="intercept b", xlim=(a[0], a[-1]), ylim=(b[0], b[-1]))
    ax.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none", borderaxespad=0.3)
    return ax


def _axis(values: ArrayLike, name: str, n_grid: int) -> NDArray[np.float64]:
    """The grid along one parameter: given, or between two ends."""
    array = _style.numbers(values, name)
    if array.size < 2 or not (np.diff(array) > 0).all():
        raise DataError(f"{name} must rise, as (low, high) or a grid; got {array[:4].tolist()}.")
    return np.linspace(array[0], array[-1], n_grid) if array.size == 2 else array


def _fill(
    ax: Axes, a: NDArray[np.float64], b: NDArray[np.float64], drop: NDArray[np.float64]
) -> None:
    """Shade the drop by confidence level near the top and by decades of nats far below."""
    from matplotlib.colors import BoundaryNorm

    far = float(np.max(drop[np.isfinite(drop)]))
    beyond = [step * 10.0**k for k in range(1, 12) for step in (1, 3) if step * 10.0**k < far]
    levels = [0.0, *DROPS, *beyond]
    levels.append(max(far * 1.001, levels[-1] * 1.5))
    shades = _style.sequential().reversed()
    # dark blue at the top, white far below; the darkest fifth is left out so that marks show
    cmap = _style.colours("drop", [shades(t) for t in np.linspace(0.3, 1.0, 9)])
    filled = ax.contourf(
        a, b, drop, levels=levels, cmap=cmap, norm=BoundaryNorm(levels, cmap.N, clip=True)
    )
    names = {drop: f"{p:.0%}" for drop, p in zip(DROPS, CONFIDENCE)}
    bar = ax.figure.colorbar(filled, ax=ax, aspect=22, pad=0.03, spacing="uniform")
    bar.set_label("drop below the maximum (nats; joint confidence)")
    ticks = levels[:-1]
    bar.set_ticks(ticks, labels=[_tick(level, names) for level in ticks])
    bar.ax.minorticks_off()
    if (drop < DROPS[-1]).mean() > 0.05:  # smaller regions would be a blot under the marker
        ax.contour(a, b, drop, levels=list(DROPS), colors=_style.INK, linewidths=0.7)


def _tick(level: float, names: dict[float, str]) -> str:
    """A level as written on the bar, with its confidence."""
    text = f"{level:.2g}" if level < 10 else f"{level:,.0f}".replace(",", "\u2009")
    return f"{text}  ({names[level]})" if level in names else text


def _draw_path(ax: Axes, path: Any) -> None:
    """Draw the way of an ascent: start a square, every iteration a dot."""
    if path is None:
        return
    records = getattr(path, "history_", path)
    if len(records) and isinstance(records[0], dict):
        records = np.stack([_style.column(records, name) for name in "ab"], axis=1)
    points = _style.numbers(records, "path", 2)
    if points.shape[1] != 2:
        raise DataError(f"path must be (n, 2), columns a and b; got {points.shape}.")
    ax.plot(*points.T, "-", color=_style.ORANGE, linewidth=1.3, zorder=4)
    ax.plot(*points.T, "o", ms=2.6, color=_style.ORANGE, mec=_style.INK, mew=0.3, zorder=5,
            label=f"ascent, {len(points) - 1} iterations")  # fmt: skip
    ax.plot(*points[0], "s", ms=6, color=_style.ORANGE, mec=_style.INK, mew=0.7, zorder=6,
            label="start", linestyle="none")  # fmt: skip


def _draw_maximum(
    ax: Axes, maximum: tuple[float, float], standard_errors: tuple[float, float] | None
) -> None:
    """Mark the maximum, with bars of one standard error."""
    a, b = (float(v) for v in maximum)
    label = f"maximum ({a:.3f}, {b:.3f})".replace("-", "−")
    if standard_errors is None:
        ax.plot(a, b, "P", ms=8, color=_style.VERMILLION, mec=_style.PAPER, mew=0.8, zorder=7,
                label=label, linestyle="none")  # fmt: skip
        return
    se_a, se_b = (float(v) for v in standard_errors)
    ax.errorbar(a, b, xerr=se_a, yerr=se_b, fmt="o", ms=4.5, color=_style.VERMILLION,
                mec=_style.PAPER, mew=0.6, elinewidth=1.5, capsize=2.5, zorder=7,
                label=label + " ± 1 se")  # fmt: skip


@styled
def ascent_curve(history: Any, *, final: float | None = None, ax: Axes | None = None) -> Axes:
    """Return how far the log-likelihood lies below its maximum, by iteration, log axis.

    Parameters
    ----------
    history : array-like of shape (n,), sequence of dict, or a fitted model with `history_`
        Log-likelihoods in nats by iteration, or dicts with "log_likelihood".
    final : float, optional
        The value to measure from; by default the largest of the history (that point, whose gap
        is 0, is not drawn).
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ascent_curve([-10.0, -4.0, -3.1, -3.0]).get_yscale()
    'log'
    """
    records = getattr(history, "history_", history)
    if len(records) and isinstance(records[0], dict):
        log_likelihood = _style.column(records, "log_likelihood")
        number = _style.column(records, "iteration") if "iteration" in records[0] else None
    else:
        log_likelihood, number = _style.numbers(records, "history"), None
    iteration = np.arange(log_likelihood.size) if number is None else number
    gap = (float(log_likelihood.max()) if final is None else float(final)) - log_likelihood
    above = gap > 0
    ax = _style.axes_or_new(ax, width=5.2, height=3.0)
    marker = "o-" if above.sum() <= 60 else "-"
    ax.plot(iteration[above], gap[above], marker, ms=3.5, color=_style.BLUE)
    ax.set_yscale("log")
    ax.grid(axis="y")
    ax.set(xlabel="iteration", ylabel="below the maximum (nats)")
    _style.whole_numbers(ax.xaxis)
    return ax
