"""Figures of graphs whose nodes carry features: drawings, degrees, clustering.

Three features in [-1, 1] colour a node directly, RGB = (x + 1) / 2; any other number of features
is summarised by its first principal component, on one colour scale for all graphs of a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import check_integer
from ancestral.errors import DataError, MissingExtraError
from ancestral.viz import _style
from ancestral.viz._style import styled
from ancestral.viz.graph_colours import add_legend, colour_by_feature, only_group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ancestral.graph.graphs import Graph

LABELLED = 40  # graphs of more nodes are drawn without numbers
MOST_DRAWN = 2_000  # nodes; larger graphs are shown by their distributions
COMPONENT_MAP = "viridis"


@styled
def draw_graph(features: ArrayLike, adjacency: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Return a spring layout of one graph, nodes coloured by their features.

    Parameters
    ----------
    features : array-like of shape (n, m)
        For m = 3, in [-1, 1], the colour is RGB = (x + 1) / 2; otherwise the first principal
        component on the colour map "viridis".
    adjacency : array-like of shape (n, n)
        Symmetric, 0 or 1; the diagonal is ignored.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    The layout is networkx's (Fruchterman & Reingold 1991) from a fixed start, with a weak pull to
    the middle so that unlinked nodes stay near.

    Examples
    --------
    >>> ax = draw_graph([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    >>> [text.get_text() for text in ax.texts]
    ['1', '2', '3']
    """
    from ancestral.graph.graphs import Graph

    graph = Graph(features, adjacency)  # type: ignore[arg-type]
    A = links_to_draw(graph)
    ax = _style.axes_or_new(ax, width=3.6, height=3.6)
    _draw(ax, A, node_colours([graph.features])[0], 1.0)
    return ax


@styled
def draw_graphs(
    graphs: Any,
    n_cols: int = 5,
    *,
    titles: Sequence[str] | None = None,
    colour_by: str | None = None,
) -> Figure:
    """Return several graphs in a grid, their nodes coloured on one scale, which is explained below.

    Parameters
    ----------
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either
    n_cols : int
    titles : sequence of str, optional
        By default the number of nodes and edges of each.
    colour_by : str, optional
        A categorical attribute ("Race", of features "Race=White" and so on), whose levels a legend
        names, or a numeric feature, of graphs with `feature_names`. By default the only
        categorical attribute, where graphs have nothing else; then three features as red, green
        and blue; then the first principal component.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = draw_graphs([([[0.1], [0.9]], [[0, 1], [1, 0]])])
    >>> figure.axes[0].get_title()
    '2 nodes, 1 edge'
    """
    from ancestral.graph.graphs import as_graphs

    graphs = as_graphs(graphs)
    links = [links_to_draw(graph, f"graph {k}: ") for k, graph in enumerate(graphs)]
    if titles is not None:
        _style.same_length(graphs=graphs, titles=titles)
    n_cols = min(check_integer(n_cols, "n_cols", minimum=1), len(graphs))
    n_rows = math.ceil(len(graphs) / n_cols)
    side = max(2.05, _style.TEXT_WIDTH / n_cols)
    chosen = colour_by or only_group(graphs)
    note = 0.3 if chosen is None else 0.5  # inches for what explains the colours
    # a figure wider than the page will be shrunk to it: its words are made larger beforehand
    size = _style.TEXT_SIZE * max(1.0, 0.85 * n_cols * side / _style.TEXT_WIDTH)
    figure = _style.new_figure(n_cols * side, n_rows * (side + 0.25) + note)
    axes = np.atleast_1d(figure.subplots(n_rows, n_cols)).ravel()
    colouring = None if chosen is None else colour_by_feature(graphs, chosen, COMPONENT_MAP)
    tones = node_colours([g.features for g in graphs]) if colouring is None else colouring.tones
    for k, ax in enumerate(axes):
        if k >= len(graphs):
            ax.axis("off")
            continue
        _draw(ax, links[k], tones[k], side / 3.6)
        ax.set_title(_count(graphs[k]) if titles is None else titles[k], fontsize=size)
    if colouring is None:
        figure.supxlabel(colour_note(graphs[0].features.shape[1]), fontsize=size)
    else:
        add_legend(figure, colouring, size)
    return figure


def colour_note(n_features: int) -> str:
    """Say in words how nodes are coloured."""
    if n_features == 3:
        return "node colour: red = (x₁ + 1)/2, green = (x₂ + 1)/2, blue = (x₃ + 1)/2"
    if n_features == 1:
        return f"node colour: the feature, dark (low) to light (high), map “{COMPONENT_MAP}”"
    return (
        f"node colour: first principal component of the {n_features} features, "
        f"dark (low) to light (high), map “{COMPONENT_MAP}”"
    )


def _count(graph: Graph) -> str:
    """'15 nodes, 23 edges'."""
    n, edges = graph.n_nodes, graph.n_edges
    return f"{n} node{'s' * (n != 1)}, {edges} edge{'s' * (edges != 1)}"


def links_to_draw(graph: Graph, name: str = "") -> NDArray[np.bool_]:
    """Return the adjacency of a graph without its diagonal; refuse one too large for a drawing."""
    if graph.n_nodes > MOST_DRAWN:
        raise DataError(
            f"{name}a drawing of {graph.n_nodes} nodes would show nothing; at most {MOST_DRAWN} "
            "are drawn. See degree_distribution, inner_product_histogram and fit_panel."
        )
    A = graph.to_dense().astype(bool)
    np.fill_diagonal(A, 0)
    return A


def node_colours(features: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return RGB colours (n, 3) for the nodes of every graph, on one scale."""
    if features[0].shape[1] == 3:
        return [np.clip((X + 1.0) / 2.0, 0.0, 1.0) for X in features]
    import matplotlib

    stacked = np.concatenate(features)
    centred = stacked - stacked.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    direction = direction * np.sign(direction[np.abs(direction).argmax()])  # one sign, always
    t = centred @ direction
    t = (t - t.min()) / (np.ptp(t) or 1.0)
    tones = matplotlib.colormaps[COMPONENT_MAP](t)[:, :3]
    return np.split(tones, np.cumsum([len(X) for X in features])[:-1])


def _draw(ax: Axes, A: NDArray[np.bool_], tones: NDArray[np.float64], scale: float) -> None:
    """Draw edges, nodes and numbers in a thin frame; scale is 1 at 3.6 inches."""
    from matplotlib.collections import LineCollection

    n = len(A)
    xy = layout(A)
    rows, columns = np.nonzero(np.triu(A, 1))
    thin = 0.9 if n <= LABELLED else 0.4
    ax.add_collection(
        LineCollection(
            list(np.stack([xy[rows], xy[columns]], axis=1)),
            colors=_style.GREY,
            linewidths=thin,
            zorder=1,
        )
    )
    diameter = 110 / n**0.5 * min(scale, 1.0)
    if n <= LABELLED:
        diameter = (19 if n <= 20 else 15) * scale**0.5
    ax.scatter(
        xy[:, 0], xy[:, 1], s=diameter**2, c=tones, edgecolors=_style.INK, linewidths=0.9, zorder=2
    )
    if n <= LABELLED:
        for k, (x, y) in enumerate(xy):
            ax.text(x, y, str(k + 1), ha="center", va="center_baseline", zorder=3,
                    fontsize=0.54 * diameter, color=_style.contrasting(tones[k]))  # fmt: skip
    ax.set(xlim=(-1.18, 1.18), ylim=(-1.18, 1.18), aspect="equal", xticks=(), yticks=())
    ax.spines[:].set(visible=True, color=_style.HAIRLINE)


def layout(A: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return positions (n, 2) in [-1, 1]^2: springs, a pull to the middle, no two touching."""
    try:
        import networkx
    except ImportError:
        raise MissingExtraError(
            "drawing graphs needs networkx, which is not installed. "
            'Install it: pip install "ancestral[report]".'
        ) from None
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
    graph.add_weighted_edges_from((hub, k, weight) for k, weight in pull.items())
    steps = 200 if n <= 200 else 50
    places = networkx.spring_layout(graph, seed=4, iterations=steps, k=1.7 / math.sqrt(n))
    xy = _fit(np.array([places[k] for k in range(n)]))
    if n <= 200:
        for _ in range(60):
            xy = _fit(_spread(xy, 0.30 if n <= 20 else 1.3 / math.sqrt(n)))
    return xy


def _fit(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretch positions to fill [-1, 1]^2, each axis by itself."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    return 2 * (xy - low) / np.where(high > low, high - low, 1.0) - np.where(high > low, 1.0, 0.0)


def _spread(xy: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Move apart every two nodes nearer than `least`, half of the lack each."""
    gap = xy[:, None] - xy[None]  # (n, n, 2)
    distance = np.sqrt((gap**2).sum(axis=-1))
    np.fill_diagonal(distance, np.inf)
    lack = np.clip(least - distance, 0.0, None)
    push = gap / np.maximum(distance, 1e-9)[..., None] * (0.5 * lack)[..., None]
    return xy + push.sum(axis=1)


@styled
def degree_distribution(data_graphs: Any, sampled_graphs: Any, *, ax: Axes | None = None) -> Axes:
    """Return the share of nodes of each degree: data as bars, samples as points.

    Parameters
    ----------
    data_graphs, sampled_graphs : list of Graph, or of (features, adjacency), or one of either
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
    degrees, counts = _of_both(data_graphs, sampled_graphs, lambda graph: graph.degrees)
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
    ax: Axes | None = None,
) -> Axes:
    """Return the share of graphs by mean clustering coefficient: data as bars, samples as line.

    Parameters
    ----------
    data_graphs, sampled_graphs : list of Graph, or of (features, adjacency), or one of either
    n_bins : int
        Over the range of both.
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

    values, counts = _of_both(data_graphs, sampled_graphs, mean_clustering)
    both = np.concatenate(values)
    low, high = float(both.min()), float(both.max())
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


def _of_both(
    data: Any, sampled: Any, measure: Callable[[Graph], Any]
) -> tuple[list[NDArray[np.float64]], list[int]]:
    """Return a measure of all graphs of either list, and how many graphs they hold."""
    from ancestral.graph.graphs import as_graphs

    measures, counts = [], []
    for graphs, name in ((data, "data_graphs"), (sampled, "sampled_graphs")):
        try:
            checked = as_graphs(graphs)
        except DataError as error:
            raise type(error)(f"{name}: {error}") from None
        measures.append(np.concatenate([np.atleast_1d(measure(graph)) for graph in checked]))
        counts.append(len(checked))
    return measures, counts


def _named(name: str, count: int, mean: float) -> str:
    """'data: 100 graphs, mean 2.34'."""
    return f"{name}: {count} graph{'s' * (count != 1)}, mean {mean:.3g}"
