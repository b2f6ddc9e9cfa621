"""Figures of graphs whose nodes carry features: drawings, degrees, clustering.

Three features colour a node directly, each a share of red, green and blue, (x + 1) / 2 where all
lie in [-1, 1]; any other number of features is summarised by its first principal component, on one
colour scale for all graphs of a figure. An attribute chosen by name colours nodes by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import as_generator, check_integer
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.graph_colours import Colouring, colour_by_feature, only_group, write_legend
from ancestral.viz.graph_layout import LABELLED, layout_of, with_room
from ancestral.viz.graph_names import places_of_names
from ancestral.viz.graphs_taken import Drawable, drawable, graphs_of, of_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ancestral.graph.graphs import Graph

LONGEST_NAME = 18  # characters; longer ones are cut
MOST_DRAWN = 2_000  # nodes; larger graphs are shown by their distributions
COMPONENT_MAP = "viridis"
WIDEST = 14.0  # inches of a drawing with many names


@styled
def draw_graph(
    graph: Any,
    adjacency: ArrayLike | None = None,
    *,
    colour_by: str | None = None,
    node_names: Sequence[str] | bool | None = None,
    layout: Any = "springs",
    unknown: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw one graph, with nodes named and coloured by their features.

    Parameters
    ----------
    graph : Graph, (features, adjacency), or a graph of networkx or igraph
        A graph, or only its features, array-like or dataframe of shape (n_nodes, n_features). A
        graph of networkx or igraph needs no attributes. Its attributes of text and booleans are
        groups.
    adjacency : array-like of shape (n_nodes, n_nodes), optional
        If the first argument is features: symmetric, 0 or 1; the diagonal is ignored.
    colour_by : str, optional
        As in `draw_graphs`.
    node_names : sequence of str, or bool, optional
        One name for each node. By default the names of the graph, if there are at most 40 nodes:
        row labels of a dataframe, nodes of networkx, or the vertex attribute "name" of igraph.
        Nodes without names are numbered from 0, like rows. True shows names for any number of
        nodes, False never.
    layout : {"springs", "circle", "distances"}, or array-like of shape (n_nodes, 2)
        Positions of the nodes. "springs" puts linked nodes close together; "circle" puts nodes on a
        circle, in their order; "distances" makes distances similar to the number of links on the
        shortest path. Given positions are drawn with the same scale on both axes.
    unknown : bool
        Draw unknown dyads, as dashed lines.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataTypeError
        For a model or a result; the message names the function that draws it.

    Notes
    -----
    "springs" is the layout of Fruchterman & Reingold (1991) from networkx, with a fixed start, and
    a weak force towards the middle that keeps unlinked nodes near. "distances" is the layout of
    Kamada & Kawai (1989). Nodes are drawn so small that links between them stay visible, if there
    is room. Directed links have an arrowhead at the node where they end.

    Examples
    --------
    >>> import networkx
    >>> ax = draw_graph(networkx.Graph([("ann", "bob"), ("bob", "cyd")]))
    >>> sorted(text.get_text() for text in ax.texts)
    ['ann', 'bob', 'cyd']
    """
    if _taken.how_drawn(graph) not in (None, "viz.draw_graph(graph)"):
        _taken.refuse("draw_graph", "one graph", graph)
    one = drawable(graph, colour_by=colour_by) if adjacency is None else of_pair(graph, adjacency)
    A = links_to_draw(one.graph)
    names, is_written = _names_to_write(node_names, one.names, len(A))
    side = 3.6 if names is None or is_written is False else 4.6
    if is_written and len(A) > LABELLED:
        side = min(4.6 * math.sqrt(len(A) / LABELLED), WIDEST)
    ax = _style.axes_or_new(ax, width=side, height=side)
    colouring, note = _colours([one], colour_by)
    gaps = one.graph.unknown_dyads() if unknown else None
    places = layout_of(A, layout)
    how = places, one.graph.directed, gaps
    _draw(ax, A, colouring.tones[0], side / 3.6, names, how, is_written=is_written)
    if note or colouring.levels:
        write_legend(ax, colouring, note, _style.TEXT_SIZE - 1)
    return ax


@styled
def draw_graphs(
    graphs: Any,
    n_cols: int = 5,
    *,
    titles: Sequence[str] | None = None,
    colour_by: str | None = None,
    layout: str = "springs",
    unknown: bool = False,
) -> Figure:
    """Draw several graphs in a grid, with one colour scale for all nodes.

    Parameters
    ----------
    graphs : list of Graph, of (features, adjacency), or of graphs of networkx or igraph
        A list, or one graph: what `sample` of a graph model returns.
    n_cols : int
    titles : sequence of str, optional
        By default the number of nodes and edges of each.
    colour_by : str, optional
        The attribute that gives the colours, for graphs with `feature_names`: a categorical
        attribute ("Race", from features "Race=White" and so on), whose levels are shown in a
        legend, or a numeric feature. By default the categorical attribute, if graphs have only one
        attribute; else, of three features, red, green and blue; else the first principal component.
    layout, unknown
        As in `draw_graph`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataTypeError
        For a model or a result; the message names the function that draws it.

    Examples
    --------
    >>> figure = draw_graphs([([[0.1], [0.9]], [[0, 1], [1, 0]])])
    >>> figure.axes[0].get_title()
    '2 nodes, 1 edge'
    """
    if _taken.how_drawn(graphs) not in (None, "viz.draw_graph(graph)", "viz.draw_graphs(graphs)"):
        _taken.refuse("draw_graphs", "graphs", graphs)
    drawn = graphs_of(graphs, colour_by)
    links = [links_to_draw(one.graph, f"graph {k}: ") for k, one in enumerate(drawn)]
    if titles is not None:
        _style.same_length(graphs=drawn, titles=titles)
    n_cols = min(check_integer(n_cols, "n_cols", minimum=1), len(drawn))
    n_rows = math.ceil(len(drawn) / n_cols)
    side = max(2.05, _style.TEXT_WIDTH / n_cols)
    colouring, note = _colours(drawn, colour_by)
    below = 0.5 if colouring.levels else 0.3  # inches for what explains the colours
    # a figure wider than the page will be shrunk to it: its words are made larger beforehand
    size = _style.TEXT_SIZE * max(1.0, 0.85 * n_cols * side / _style.TEXT_WIDTH)
    figure = _style.new_figure(n_cols * side, n_rows * (side + 0.25) + below)
    axes = np.atleast_1d(figure.subplots(n_rows, n_cols)).ravel()
    for k, ax in enumerate(axes):
        if k >= len(drawn):
            ax.axis("off")
            continue
        graph = drawn[k].graph
        gaps = graph.unknown_dyads() if unknown else None
        how = layout_of(links[k], layout), graph.directed, gaps
        _draw(ax, links[k], colouring.tones[k], side / 3.6, drawn[k].names, how)
        ax.set_title(_count(drawn[k].graph) if titles is None else titles[k], fontsize=size)
    write_legend(figure, colouring, note, size)
    return figure


def _colours(drawn: Sequence[Drawable], colour_by: str | None) -> tuple[Colouring, str]:
    """Return the colours of all nodes, and what says in words how they came about."""
    graphs = [one.graph for one in drawn]
    if not drawn[0].has_features:
        plain = np.tile(np.array([0x56, 0xB4, 0xE9]) / 255, (1, 1))
        return Colouring([np.repeat(plain, g.n_nodes, axis=0) for g in graphs], "", []), ""
    chosen = colour_by or only_group(graphs)
    if chosen is not None:
        colouring = colour_by_feature(graphs, chosen, COMPONENT_MAP)
        low, high = colouring.span
        return colouring, f"node colour: {chosen}, dark ({low:g}) to light ({high:g})"
    X = [graph.features for graph in graphs]
    names = next((graph.feature_names for graph in graphs if graph.feature_names), None)
    note = colour_note(X[0].shape[1], names, in_range=_in_range(X))
    return Colouring(node_colours(X), "", []), note


def colour_note(
    n_features: int, names: Sequence[str] | None = None, *, in_range: bool = True
) -> str:
    """Say in words how nodes are coloured."""
    if n_features == 3:
        parts = list(names or ("x₁", "x₂", "x₃"))
        if in_range and names is None:
            parts = [f"({part} + 1)/2" for part in parts]
        ends = "" if in_range and names is None else ", none (least) to full (most)"
        ends = ", none (−1) to full (1)" if in_range and names is not None else ends
        return f"node colour: red = {parts[0]}, green = {parts[1]}, blue = {parts[2]}{ends}"
    if n_features == 1:
        what = names[0] if names else "the feature"
        return f"node colour: {what}, dark (low) to light (high), map “{COMPONENT_MAP}”"
    return (
        f"node colour: first principal component of the {n_features} features, "
        f"dark (low) to light (high), map “{COMPONENT_MAP}”"
    )


def _in_range(features: Sequence[NDArray[np.float64]]) -> bool:
    """Tell whether all features lie in [-1, 1]."""
    return all(bool((np.abs(X) <= 1.0).all()) for X in features)


def _count(graph: Graph) -> str:
    """'15 nodes, 23 edges'."""
    n, edges = graph.n_nodes, int(graph.n_edges)
    return f"{n} node{'s' * (n != 1)}, {edges} edge{'s' * (edges != 1)}"


def links_to_draw(graph: Graph, name: str = "") -> NDArray[np.bool_]:
    """Return the adjacency of a graph without its diagonal; refuse one too large for a drawing."""
    if graph.n_nodes > MOST_DRAWN:
        raise DataError(
            f"{name}a drawing of {graph.n_nodes} nodes would show no detail; at most {MOST_DRAWN} "
            "are drawn. See degree_distribution(graph, model), inner_product_histogram(graph) and "
            "fit_panel(model, graph)."
        )
    A = graph.to_dense().astype(bool)
    np.fill_diagonal(A, 0)
    return A


def node_colours(features: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return RGB colours (n, 3) for the nodes of every graph, on one scale."""
    stacked = np.concatenate(features)
    gaps = np.isnan(stacked).any(axis=1)
    if gaps.any():  # nodes of which something is missing are white
        sizes = np.cumsum([len(X) for X in features])[:-1]
        some = [X[~gap] for X, gap in zip(features, np.split(gaps, sizes), strict=True)]
        tones = np.ones((len(stacked), 3))
        if not gaps.all():
            tones[~gaps] = np.concatenate(node_colours(some))
        return np.split(tones, sizes)
    if features[0].shape[1] == 3 and _in_range(features):
        return [(X + 1.0) / 2.0 for X in features]
    low, high = stacked.min(axis=0), stacked.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    if features[0].shape[1] == 3:
        return [(X - low) / span for X in features]
    import matplotlib

    if not _in_range(features):
        stacked = (stacked - low) / span  # each feature by its own range
    centred = stacked - stacked.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    direction = direction * np.sign(direction[np.abs(direction).argmax()])  # one sign, always
    t = centred @ direction
    t = (t - t.min()) / (np.ptp(t) or 1.0)
    tones = matplotlib.colormaps[COMPONENT_MAP](t)[:, :3]
    return np.split(tones, np.cumsum([len(X) for X in features])[:-1])


def _names_to_write(
    given: Any, own: list[str] | None, n: int
) -> tuple[list[str] | None, bool | None]:
    """Return the names of nodes, and whether they are written: None where their number decides."""
    if given is None or isinstance(given, bool):
        return own, given
    names = [str(name) for name in given]
    if len(names) != n:
        raise DataError(f"node_names must have {n} entries; got {len(names)}.")
    return names, None if n <= LABELLED else True


How = tuple[NDArray[np.float64], bool, Any]  # places, whether links are directed, unknown dyads


def _draw(
    ax: Axes,
    A: NDArray[np.bool_],
    tones: NDArray[np.float64],
    scale: float,
    names: Sequence[str] | None,
    how: How,
    *,
    is_written: bool | None = None,
) -> None:
    """Draw edges, nodes and their names or numbers in a thin frame; scale is 1 at 3.6 inches."""
    n = len(A)
    xy, directed, gaps = how
    is_written = n <= LABELLED if is_written is None else is_written
    widest = 0 if names is None else max(map(len, names))
    is_beside = is_written and (widest > 3 or n > LABELLED)  # else they stand inside
    size = _size_of(n, scale, is_beside=is_beside, is_written=is_written)
    unit = 3.6 * scale * 72 * 0.92 / 2.36  # points of a unit of the layout
    xy, size = with_room(xy, A | A.T, size / unit, apart=2.6 if is_beside else 1.3)
    size *= unit
    if gaps is not None:
        _draw_lines(ax, xy, *gaps, width=0.6, style=(0, (2.2, 2.2)), colour=_style.VERMILLION)
    thin = 0.9 if n <= LABELLED else 0.5
    if directed:
        _draw_arrows(ax, xy, A, size / 2 / unit, min(5.5, 0.45 * size + 1.6) / unit, thin)
    else:
        _draw_lines(ax, xy, *np.nonzero(np.triu(A, 1)), width=thin)
    edge = 0.9 if n <= LABELLED else max(0.3, 0.05 * size)
    ax.scatter(
        xy[:, 0], xy[:, 1], s=size**2, c=tones, edgecolors=_style.INK, linewidths=edge, zorder=2
    )
    if is_beside:
        _write_names(ax, xy, names or [str(k) for k in range(n)], size, scale)
    elif is_written:
        for k, (x, y) in enumerate(xy):
            ax.text(x, y, names[k] if names else str(k), ha="center", va="center_baseline",
                    zorder=3, fontsize=(0.54 if widest < 3 else 0.42) * size,
                    color=_style.contrasting(tones[k]))  # fmt: skip
    ax.set(xlim=(-1.18, 1.18), ylim=(-1.18, 1.18), aspect="equal", xticks=(), yticks=())
    ax.spines[:].set(visible=True, color=_style.HAIRLINE)


def _size_of(n: int, scale: float, *, is_beside: bool, is_written: bool) -> float:
    """Return the diameter of nodes in points, where there is room."""
    if is_written and n <= LABELLED:
        return (10 if is_beside else 19 if n <= 20 else 15) * scale**0.5
    return float(max(2.4, 62 / n**0.5) * (scale if is_written else min(scale, 1.0)))


def _draw_lines(
    ax: Axes,
    xy: NDArray[np.float64],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    *,
    width: float,
    style: Any = "solid",
    colour: str = _style.GREY,
) -> None:
    """Draw straight lines between nodes, below them."""
    from matplotlib.collections import LineCollection

    ends = list(np.stack([xy[i], xy[j]], axis=1))
    ax.add_collection(
        LineCollection(ends, colors=colour, linewidths=width, linestyles=style, zorder=1)
    )


def _draw_arrows(
    ax: Axes,
    xy: NDArray[np.float64],
    A: NDArray[np.bool_],
    radius: float,
    head: float,
    width: float,
) -> None:
    """Draw directed links: a line for two nodes, and a head at each end that one leads to."""
    from matplotlib.collections import PolyCollection

    either = np.triu(A | A.T, 1)
    _draw_lines(ax, xy, *np.nonzero(either), width=width)
    i, j = np.nonzero(A)
    along = xy[j] - xy[i]
    along /= np.maximum(np.sqrt((along**2).sum(axis=1, keepdims=True)), 1e-12)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    tip = xy[j] - radius * along
    base = tip - head * along
    corners = np.stack([tip, base + 0.42 * head * across, base - 0.42 * head * across], axis=1)
    ax.add_collection(
        PolyCollection(list(corners), facecolors=_style.INK, edgecolors="none", zorder=1.5)
    )


def _write_names(
    ax: Axes, xy: NDArray[np.float64], names: Sequence[str], diameter: float, scale: float
) -> None:
    """Write names beside their nodes, on paper, so that edges do not cross them."""
    from matplotlib.patheffects import withStroke

    size = float(np.clip(8.0 * scale**0.5 - 0.05 * len(names), 5.5, 8.5))
    cut = LONGEST_NAME - 1
    shown = [name if len(name) <= LONGEST_NAME else name[:cut] + "…" for name in names]
    side = 3.6 * scale * 72 * 0.8  # a legend takes some of it
    moved = places_of_names((xy + 1.18) * side / 2.36, shown, diameter, size, side)
    for place, by, name in zip(xy, moved, shown, strict=True):
        ax.annotate(
            name, tuple(place), xytext=tuple(by), textcoords="offset points",
            ha="center", va="center", fontsize=size, color=_style.INK, zorder=4,
            path_effects=[withStroke(linewidth=1.8, foreground=_style.PAPER)],
        )  # fmt: skip


@styled
def degree_distribution(
    data_graphs: Any,
    sampled_graphs: Any,
    *,
    random_state: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of nodes with each degree: data as bars, samples as points.

    Parameters
    ----------
    data_graphs : list of Graph, of (features, adjacency), of networkx or igraph graphs, or one
    sampled_graphs : the same, or a fitted graph model
        For a model, one graph is drawn for each graph of the data, given the same features.
    random_state : None, int, RandomState or Generator
        Seed of the draws from a model.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> graph = ([[0.1], [0.9]], [[0, 1], [1, 0]])
    >>> degree_distribution([graph], [graph]).get_xlabel()
    'degree (edges of a node)'
    """
    both = (data_graphs, sampled_graphs)
    degrees, counts = _of_both("degree_distribution", both, _degrees, random_state)
    size = int(max(d.max() for d in degrees)) + 1
    share = [np.bincount(d, minlength=size) / d.size for d in degrees]
    ax = _style.axes_or_new(ax, width=4.4, height=2.9)
    ax.bar(np.arange(size), share[0], width=0.82, color="#A9D3EE", edgecolor=_style.SKY,
           linewidth=0.6, label=_named("data", counts[0], degrees[0].mean()))  # fmt: skip
    ax.plot(np.arange(size), share[1], "o-", ms=4, linewidth=1.0, color=_style.VERMILLION,
            label=_named("samples", counts[1], degrees[1].mean()))  # fmt: skip
    ax.set(xlabel="degree (edges of a node)", ylabel="share of nodes")
    _style.whole_numbers(ax.xaxis)
    _legend(ax)
    return ax


@styled
def clustering_distribution(
    data_graphs: Any,
    sampled_graphs: Any,
    *,
    n_bins: int = 12,
    random_state: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of graphs by mean clustering coefficient: data as bars, samples as a line.

    Parameters
    ----------
    data_graphs : list of Graph, of (features, adjacency), of networkx or igraph graphs, or one
    sampled_graphs : the same, or a fitted graph model
        For a model, one graph is drawn for each graph of the data, given the same features.
    n_bins : int
        Over the range of both.
    random_state : None, int, RandomState or Generator
        Seed of the draws from a model.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    A node's coefficient is the share of pairs of its neighbours that are linked (0 with fewer
    than two neighbours); a graph's is the mean over its nodes (Watts & Strogatz 1998).

    Examples
    --------
    >>> graph = ([[0.1], [0.9]], [[0, 1], [1, 0]])
    >>> clustering_distribution([graph], [graph]).get_ylabel()
    'share of graphs'
    """
    from ancestral.graph.fit_checks import mean_clustering

    both = (data_graphs, sampled_graphs)
    values, counts = _of_both("clustering_distribution", both, mean_clustering, random_state)
    held = np.concatenate(values)
    low, high = float(held.min()), float(held.max())
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    edges = np.linspace(low, high, check_integer(n_bins, "n_bins", minimum=1) + 1)
    share = [np.histogram(v, edges)[0] / v.size for v in values]
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    ax = _style.axes_or_new(ax, width=4.4, height=2.9)
    ax.bar(middle, share[0], width=0.86 * width, color="#A9D3EE", edgecolor=_style.SKY,
           linewidth=0.6, label=_named("data", counts[0], values[0].mean()))  # fmt: skip
    ax.plot(middle, share[1], "o-", ms=4, linewidth=1.0, color=_style.VERMILLION,
            label=_named("samples", counts[1], values[1].mean()))  # fmt: skip
    ax.set(xlabel="mean clustering coefficient of a graph", ylabel="share of graphs")
    ax.set_ylim(0, 1.32 * float(max(s.max() for s in share)))
    _legend(ax)
    return ax


def _legend(ax: Axes) -> None:
    """Name the data first, the samples second."""
    handles, names = ax.get_legend_handles_labels()
    order = np.argsort(names)
    ax.legend([handles[k] for k in order], [names[k] for k in order], loc="upper right")


def _degrees(graph: Graph) -> NDArray[np.int64]:
    return graph.degrees


def _of_both(
    function: str, both: tuple[Any, Any], measure: Callable[[Graph], Any], random_state: Any
) -> tuple[list[NDArray[np.float64]], list[int]]:
    """Return a measure of all graphs of either side, and how many graphs they hold."""
    data, sampled = both
    wants = "graphs of the data, and draws or the model that draws them"
    found: list[list[Graph]] = []
    for side, name in ((data, "data_graphs"), (sampled, "sampled_graphs")):
        if name == "sampled_graphs" and _taken.has_face(side, "graphs"):
            rng = as_generator(random_state)
            if _taken.is_a(side, "LatentPositionGraph"):  # which has nodes of its own
                found.append(side.sample(len(found[0]), random_state=rng))
                continue
            like = [g.features for g in found[0]]
            found.append([side.sample(features=X, random_state=rng)[0] for X in like])
            continue
        if _taken.how_drawn(side) not in (None, "viz.draw_graph(graph)", "viz.draw_graphs(graphs)"):
            _taken.refuse(function, wants, side)
        try:
            found.append([one.graph for one in graphs_of(side)])
        except DataError as error:
            raise type(error)(f"{name}: {error}") from None
    measures = [
        np.concatenate([np.atleast_1d(measure(graph)) for graph in graphs]) for graphs in found
    ]
    return measures, [len(graphs) for graphs in found]


def _named(name: str, count: int, mean: float) -> str:
    """'data: 100 graphs, mean 2.34'."""
    return f"{name}: {count} graph{'s' * (count != 1)}, mean {mean:.3g}"
