"""Whether a graph model fits: distributions inside bands of draws; inner products of links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ancestral._checks.numbers import check_integer
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.graphs_taken import graphs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ancestral.graph.fit_checks import FitCheck, StatisticCheck
    from ancestral.graph.predictions import Calibration

TITLES = {
    "degree": ("degree (edges of a node)", "share of nodes"),
    "out-degree": ("out-degree (links from a node)", "share of nodes"),
    "in-degree": ("in-degree (links to a node)", "share of nodes"),
    "mutual dyads": ("links between two nodes", "share of pairs"),
    "shared partners": ("neighbours that two ends share", "share of edges"),
    "clustering": ("clustering of a node, up to", "share of nodes"),
    "distance": ("edges between two nodes", "share of pairs"),
}
MOST_TICKS = 8


@styled
def fit_panel(
    check: Any,
    graphs: Any = None,
    *,
    level: float = 0.95,
    n_draws: int = 100,
    random_state: Any = None,
) -> Figure:
    """Draw distributions of the data with bands of draws from the model, and the calibration.

    Parameters
    ----------
    check : fitted InnerProductGraph or DyadicGraph, or FitCheck
        A model, or what `ancestral.graph.fit_checks.check_fit(model, graphs)` returned.
    graphs : list of Graph, of (features, adjacency), or of graphs of networkx or igraph, optional
        With a model: the graphs to compare with its draws.
    level : float
        Share of the draws inside a band, for each value.
    n_draws : int
        With a model: the number of draws of the whole set of graphs, 20 or more.
    random_state : None, int, RandomState or Generator
        With a model.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> graphs = datasets.classrooms(10, random_state=0)
    >>> model = InnerProductGraph().fit(graphs)
    >>> len(fit_panel(model, graphs, n_draws=20, random_state=0).axes)
    6
    """
    from ancestral.graph.fit_checks import FitCheck, check_fit

    if _taken.is_a(check, "InnerProductGraph", "DyadicGraph"):
        seen = _graphs_beside(graphs)
        check = check_fit(check, seen, n_draws=n_draws, random_state=random_state)
    if not isinstance(check, FitCheck):
        wants = "a fitted InnerProductGraph or DyadicGraph and graphs, or what check_fit() returns"
        _taken.refuse("fit_panel", wants, check)
    panels = len(check.comparisons) + 2
    n_cols = -(-panels // 2)
    figure = _style.new_figure(_style.TEXT_WIDTH * 1.15 * max(1.0, n_cols / 3), 4.7)
    axes = np.ravel(figure.subplots(2, n_cols))
    for ax, comparison in zip(axes, check.comparisons.values(), strict=False):
        _draw_comparison(ax, comparison, level)
    _draw_calibration(axes[panels - 2], check.calibration)
    _draw_legend(axes[panels - 1], check, level)
    return figure


def _graphs_beside(graphs: Any) -> list[Any]:
    """Return the graphs that were given beside a model."""
    if graphs is None:
        raise DataError("graphs are needed with a model, as in (model, graphs).")
    return [one.graph for one in graphs_of(graphs)]


def _draw_comparison(ax: Axes, comparison: StatisticCheck, level: float) -> None:
    """Draw bands and median of the draws, and the data, value by value."""
    low, high = comparison.band(level) / comparison.widths  # so that wide groups do not stand out
    place = np.arange(len(comparison.labels))
    ax.bar(
        place,
        high - low,
        bottom=low,
        width=0.8,
        color="#A9D3EE",
        edgecolor=_style.SKY,
        linewidth=0.5,
    )
    median = np.median(comparison.draws, axis=0) / comparison.widths
    ax.hlines(median, place - 0.4, place + 0.4, color=_style.BLUE, linewidth=1.0)
    ax.plot(
        place,
        comparison.observed / comparison.widths,
        "o",
        ms=3.4,
        color=_style.VERMILLION,
        zorder=3,
    )
    grouped = bool((comparison.widths > 1).any())
    step = -(-len(place) // (5 if grouped else MOST_TICKS))
    shown = place[::step]
    if comparison.labels[-1] == "∞":  # always named
        shown = np.unique([*place[: -max(1, step)][::step], place[-1]])
    ax.set_xticks(shown, [comparison.labels[k] for k in shown], fontsize=_style.TEXT_SIZE - 2)
    across, up = TITLES[comparison.name]
    ax.set(xlabel=across, ylabel=up + " per number" * grouped)
    ax.set_ylim(bottom=0)
    ax.set_title(f"p = {comparison.p_value:.2g}", fontsize=_style.TEXT_SIZE - 1, loc="right")


# What links are counted by.
ACROSS = {
    "inner product": "inner product $x_i \\cdot x_j$",
    "logit": "logit of the model's probability",
}


def _draw_calibration(ax: Axes, calibration: Calibration) -> None:
    """Draw the model's curve, and the frequency of links with two standard errors, in [0, 1]."""
    order = np.argsort(calibration.s)
    s, p = calibration.s[order], calibration.predicted[order]
    share, reach = calibration.observed[order], 2 * calibration.standard_errors[order]
    ax.plot(s, p, "-", color=_style.BLUE, linewidth=1.2)
    ax.errorbar(
        s,
        share,
        yerr=np.maximum(np.minimum(reach, [share, 1 - share]), 0.0),
        fmt="o",
        ms=3.4,
        color=_style.VERMILLION,
        elinewidth=0.9,
        capsize=1.5,
    )
    ax.set(xlabel=ACROSS[calibration.of], ylabel="share of linked pairs")
    ax.set_ylim(bottom=0.0)


def _draw_legend(ax: Axes, check: FitCheck, level: float) -> None:
    """Say in the sixth place what the marks are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    graphs = f"{check.n_graphs} graph{'s' * (check.n_graphs != 1)}"
    handles: list[Any] = [
        Line2D([], [], marker="o", ms=4, linestyle="none", color=_style.VERMILLION),
        Patch(facecolor="#A9D3EE", edgecolor=_style.SKY),
        Line2D([], [], color=_style.BLUE),
    ]
    names = [
        f"data ({graphs})",
        f"{level:.0%} of {check.n_draws} draws\ngiven the same features",
        "median of the draws;\nthe model's probability",
    ]
    ax.legend(handles, names, loc="center left", labelspacing=1.1)
    ax.axis("off")
    ax.text(
        0.0,
        0.0,
        "p: probability of data this far\nfrom the draws, if the model is right",
        transform=ax.transAxes,
        fontsize=_style.TEXT_SIZE - 1,
        color=_style.GREY,
    )


@styled
def inner_product_histogram(graphs: Any, *, n_bins: int = 60, ax: Axes | None = None) -> Axes:
    """Draw the densities of x_i . x_j over linked pairs and over the other pairs.

    Parameters
    ----------
    graphs : list of Graph, of (features, adjacency), of networkx or igraph graphs, or one
    n_bins : int
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from ancestral import datasets
    >>> inner_product_histogram(datasets.classrooms(5, random_state=0)).get_ylabel()
    'density'
    """
    from ancestral.graph.pairs.gather import gather
    from ancestral.graph.pairs.passes import products

    if _taken.how_drawn(graphs) not in (None, "viz.draw_graph(graph)", "viz.draw_graphs(graphs)"):
        _taken.refuse("inner_product_histogram", "graphs", graphs)
    checked = [one.graph for one in graphs_of(graphs)]
    linked = np.concatenate([products(g.features, *g.edges()) for g in checked])
    s, weights = gather(checked).histogram(0.0, 0.0)
    held = s[np.abs(weights) > 1e-9]
    if not len(held):
        raise DataError("there are no pairs of nodes; there is nothing to draw.")
    n_bins = check_integer(n_bins, "n_bins", minimum=1)
    low, high = float(held.min()), float(held.max())
    edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
    everywhere = np.histogram(s, edges, weights=weights)[0]
    joined = np.histogram(linked, edges)[0]
    ax = _style.axes_or_new(ax, width=4.6, height=2.9)
    for counts, colour, name in (
        (np.maximum(everywhere - joined, 0.0), _style.BLUE, "pairs without an edge"),
        (joined, _style.VERMILLION, "linked pairs"),
    ):
        total = counts.sum()
        share = counts / (max(total, 1.0) * np.diff(edges))
        ax.stairs(share, edges, color=colour, fill=True, alpha=0.25)
        ax.stairs(share, edges, color=colour, linewidth=1.2, label=f"{name}: {total:,.0f}")
    ax.set(xlabel=ACROSS["inner product"], ylabel="density")
    ax.set_ylim(bottom=0.0)
    ax.legend(loc="upper right")
    return ax


@styled
def heldout_by_graph(found: Any, graphs: Any = None, *, ax: Axes | None = None) -> Axes:
    """Draw each held-out graph as a point: the gain of its log score, and its AUC.

    Parameters
    ----------
    found : fitted InnerProductGraph, or HeldOut
        A model, or what `ancestral.graph.predictions.held_out(model, graphs)` returned.
    graphs : list of Graph, of (features, adjacency), or of graphs of networkx or igraph, optional
        With a model: graphs that it was not fitted to.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from ancestral import InnerProductGraph, datasets
    >>> graphs = datasets.classrooms(10, random_state=0)
    >>> model = InnerProductGraph().fit(graphs[:8])
    >>> heldout_by_graph(model, graphs[8:]).get_ylabel()
    'AUC'
    """
    from ancestral.graph.predictions import HeldOut, held_out

    if _taken.is_a(found, "InnerProductGraph"):
        found = held_out(found, _graphs_beside(graphs))
    if not isinstance(found, HeldOut):
        wants = "a fitted InnerProductGraph and other graphs, or what held_out(model, graphs) gives"
        _taken.refuse("heldout_by_graph", wants, found)
    ax = _style.axes_or_new(ax, width=_style.TEXT_WIDTH * 0.75, height=2.9)
    known = np.isfinite(found.auc)
    ax.axhline(0.5, color=_style.GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.axvline(0.0, color=_style.GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.plot(found.gain[known], found.auc[known], "o", ms=4.5, mfc=_style.SKY, mec=_style.BLUE,
            mew=0.5, alpha=0.8, clip_on=False)  # fmt: skip
    ax.set(xlabel="gain over the graph's own density (nats per pair)", ylabel="AUC")
    low = min(0.48, float(found.auc[known].min(initial=0.5)) - 0.02)
    ax.set_ylim(low, 1.0)
    ax.annotate("chance", (1.0, 0.5), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                textcoords="offset points", ha="right", color=_style.GREY,
                fontsize=_style.TEXT_SIZE - 1)  # fmt: skip
    return ax
