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
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.graphs_taken import graphs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# -log(1 - p) is half the chi-square quantile with two degrees of freedom: the drop in nats
CONFIDENCE = (0.5, 0.9, 0.99)
CLIMBING = (
    "InnerProductGraph", "LatentPositionGraph", "PPCAMixture", "HeteroscedasticGaussian"
)  # fmt: skip
DROPS = tuple(-math.log1p(-p) for p in CONFIDENCE)


@styled
def likelihood_contour(
    log_likelihood: Any,
    a_range: Any = None,
    b_range: ArrayLike | None = None,
    *,
    graphs: Any = None,
    path: Any = None,
    maximum: tuple[float, float] | None = None,
    standard_errors: tuple[float, float] | None = None,
    n_grid: int = 81,
    ax: Axes | None = None,
) -> Axes:
    """Draw filled contours of how far the log-likelihood is below its maximum, in nats.

    Parameters
    ----------
    log_likelihood : fitted InnerProductGraph, callable or array-like of shape (n_b, n_a)
        A model, a function of (a, b) in nats, or its values on the grid of the two ranges. The
        maximum and the standard errors of a model are drawn too.
    a_range, b_range : array-like
        (low, high), or the values of the grid. With a model they may be left out (the default is 4
        standard errors on both sides of the maximum), and the graphs may be the second argument.
    graphs : list of Graph, of (features, adjacency), or of graphs of networkx or igraph, optional
        With a model: the graphs whose likelihood is drawn.
    path : array-like of shape (n, 2), sequence of dict, or a fitted model, optional
        (a, b) by iteration, or dicts with "a" and "b", or a model with such a `history_`. The path
        is drawn from its start, a square, to its end.
    maximum : (a, b), optional
        By default the best point of the grid.
    standard_errors : (of a, of b), optional
        Drawn as bars of one standard error on both sides of the maximum.
    n_grid : int
        Number of points along each axis, if a range is (low, high).
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
    if _taken.is_a(log_likelihood, "InnerProductGraph"):
        model = log_likelihood
        if graphs is None:
            a_range, graphs = None, a_range
        log_likelihood = _likelihood_of(model, graphs)
        maximum = maximum or (float(model.slope_), float(model.intercept_))
        if standard_errors is None:
            standard_errors = float(model.standard_errors_[0]), float(model.standard_errors_[1])
        a_range = _about(maximum[0], standard_errors[0]) if a_range is None else a_range
        b_range = _about(maximum[1], standard_errors[1]) if b_range is None else b_range
    wants = "a fitted InnerProductGraph and its graphs, or a log-likelihood of (a, b)"
    _taken.refuse_others("likelihood_contour", wants, log_likelihood)
    if a_range is None or b_range is None:
        raise DataError("a_range and b_range are needed, as (low, high), unless a model is given.")
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


N_ERRORS = 4.0  # standard errors that are shown to either side of a maximum


def _likelihood_of(model: Any, graphs: Any) -> Callable[[float, float], float]:
    """Return the log-likelihood of graphs as a function of (a, b)."""
    if graphs is None:
        raise DataError("graphs are needed with a model, as in (model, graphs).")
    statistics = model.pair_statistics([one.graph for one in graphs_of(graphs)])
    value: Callable[[float, float], float] = statistics.log_likelihood
    return value


def _about(centre: float, error: float) -> tuple[float, float]:
    if not (np.isfinite(error) and error > 0):
        raise DataError(
            f"the standard error at the maximum is {error:g}, which gives no range: pass a_range "
            "and b_range as (low, high)."
        )
    return centre - N_ERRORS * error, centre + N_ERRORS * error


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
    """Draw how far the log-likelihood is below its maximum at each iteration, on a log axis.

    Parameters
    ----------
    history : fitted model, array-like of shape (n,), or sequence of dict
        An InnerProductGraph, LatentPositionGraph, PPCAMixture or HeteroscedasticGaussian; or
        log-likelihoods in nats by iteration, or dicts with "log_likelihood".
    final : float, optional
        The maximum; by default the largest value of the history (this point itself is not drawn,
        because its distance is 0).
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ascent_curve([-10.0, -4.0, -3.1, -3.0]).get_yscale()
    'log'
    """
    if _taken.is_a(history, *CLIMBING):
        history = history.history_
    _taken.refuse_others("ascent_curve", "the history of a climb", history)
    records = getattr(history, "history_", history)
    if isinstance(records, list | tuple) and len(records) and isinstance(records[0], dict):
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
