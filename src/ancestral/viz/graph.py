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
from ancestral._extras import import_extra
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.graph_colours import Colouring, colour_by_feature, only_group, write_legend
from ancestral.viz.graphs_taken import Drawable, drawable, graphs_of, of_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ancestral.graph.graphs import Graph

LONGEST_NAME = 18  # characters; longer ones are cut
LABELLED = 40  # graphs of more nodes are drawn without numbers
MOST_DRAWN = 2_000  # nodes; larger graphs are shown by their distributions
COMPONENT_MAP = "viridis"


@styled
def draw_graph(
    graph: Any,
    adjacency: ArrayLike | None = None,
    *,
    colour_by: str | None = None,
    node_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Return a spring layout of one graph, nodes named and coloured by their features.

    Parameters
    ----------
    graph : Graph, (features, adjacency), or a graph of networkx or igraph
        Or the features alone, array-like or dataframe of shape (n_nodes, n_features). A graph of
        networkx or igraph needs no attributes; of those it has, text and booleans are groups.
    adjacency : array-like of shape (n_nodes, n_nodes), optional
        After features: symmetric, 0 or 1; the diagonal is ignored.
    colour_by : str, optional
        As in `draw_graphs`.
    node_names : sequence of str, optional
        One for each node; by default the graph's own: the labels of a dataframe's rows, the nodes
        of networkx, the vertex attribute "name" of igraph. Nodes without names are numbered from 1.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataTypeError
        For a model or a result, naming the function that draws it.

    Notes
    -----
    The layout is networkx's (Fruchterman & Reingold 1991) from a fixed start, with a weak pull to
    the middle so that unlinked nodes stay near.

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
    names = one.names if node_names is None else [str(name) for name in node_names]
    A = links_to_draw(one.graph)
    if names is not None and len(names) != len(A):
        raise DataError(f"node_names must have {len(A)} entries; got {len(names)}.")
    side = 3.6 if names is None else 4.6
    ax = _style.axes_or_new(ax, width=side, height=side)
    colouring, note = _colours([one], colour_by)
    _draw(ax, A, colouring.tones[0], side / 3.6, names)
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
) -> Figure:
    """Return several graphs in a grid, their nodes coloured on one scale, which is explained below.

    Parameters
    ----------
    graphs : list of Graph, of (features, adjacency), or of graphs of networkx or igraph
        Or one of these: what `sample` of a graph model returns.
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

    Raises
    ------
    DataTypeError
        For a model or a result, naming the function that draws it.

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
        _draw(ax, links[k], colouring.tones[k], side / 3.6, drawn[k].names)
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
            f"{name}a drawing of {graph.n_nodes} nodes would show nothing; at most {MOST_DRAWN} "
            "are drawn. See degree_distribution, inner_product_histogram and fit_panel."
        )
    A = graph.to_dense().astype(bool)
    np.fill_diagonal(A, 0)
    return A


def node_colours(features: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return RGB colours (n, 3) for the nodes of every graph, on one scale."""
    if features[0].shape[1] == 3 and _in_range(features):
        return [(X + 1.0) / 2.0 for X in features]
    if features[0].shape[1] == 3:
        whole = np.concatenate(features)
        low, high = whole.min(axis=0), whole.max(axis=0)
        span = np.where(high > low, high - low, 1.0)
        return [(X - low) / span for X in features]
    import matplotlib

    stacked = np.concatenate(features)
    centred = stacked - stacked.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    direction = direction * np.sign(direction[np.abs(direction).argmax()])  # one sign, always
    t = centred @ direction
    t = (t - t.min()) / (np.ptp(t) or 1.0)
    tones = matplotlib.colormaps[COMPONENT_MAP](t)[:, :3]
    return np.split(tones, np.cumsum([len(X) for X in features])[:-1])


def _draw(
    ax: Axes,
    A: NDArray[np.bool_],
    tones: NDArray[np.float64],
    scale: float,
    names: Sequence[str] | None = None,
) -> None:
    """Draw edges, nodes and their names or numbers in a thin frame; scale is 1 at 3.6 inches."""
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
    widest = 0 if names is None else max(map(len, names))
    is_beside = widest > 3  # else they stand inside
    if n <= LABELLED:
        diameter = (10 if is_beside else 19 if n <= 20 else 15) * scale**0.5
    ax.scatter(
        xy[:, 0], xy[:, 1], s=diameter**2, c=tones, edgecolors=_style.INK, linewidths=0.9, zorder=2
    )
    if n <= LABELLED and is_beside:
        _write_names(ax, xy, names or (), diameter, scale)
    elif n <= LABELLED:
        for k, (x, y) in enumerate(xy):
            ax.text(x, y, names[k] if names else str(k + 1), ha="center", va="center_baseline",
                    zorder=3, fontsize=(0.54 if widest < 3 else 0.42) * diameter,
                    color=_style.contrasting(tones[k]))  # fmt: skip
    ax.set(xlim=(-1.18, 1.18), ylim=(-1.18, 1.18), aspect="equal", xticks=(), yticks=())
    ax.spines[:].set(visible=True, color=_style.HAIRLINE)


def _write_names(
    ax: Axes, xy: NDArray[np.float64], names: Sequence[str], diameter: float, scale: float
) -> None:
    """Write names under their nodes, on paper, so that edges do not cross them."""
    from matplotlib.patheffects import withStroke

    size = float(np.clip(8.0 * scale**0.5 - 0.05 * len(names), 5.5, 8.5))
    for (x, y), name in zip(xy, names, strict=True):
        edge = "left" if x < -0.9 else "right" if x > 0.9 else "center"
        shown = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        ax.annotate(
            shown, (x, y), xytext=(0, -0.5 * diameter - 1.5), textcoords="offset points",
            ha=edge, va="top", fontsize=size, color=_style.INK, zorder=4,
            path_effects=[withStroke(linewidth=1.8, foreground=_style.PAPER)],
        )  # fmt: skip


def layout(A: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return positions (n, 2) in [-1, 1]^2: springs, a pull to the middle, no two touching."""
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
def degree_distribution(
    data_graphs: Any,
    sampled_graphs: Any,
    *,
    random_state: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Return the share of nodes of each degree: data as bars, samples as points.

    Parameters
    ----------
    data_graphs : list of Graph, of (features, adjacency), of networkx or igraph graphs, or one
    sampled_graphs : the same, or a fitted graph model
        Of a model one graph is drawn for each of the data, given the same features.
    random_state : None, int, RandomState or Generator
        Of a model's draws.
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
    """Return the share of graphs by mean clustering coefficient: data as bars, samples as line.

    Parameters
    ----------
    data_graphs : list of Graph, of (features, adjacency), of networkx or igraph graphs, or one
    sampled_graphs : the same, or a fitted graph model
        Of a model one graph is drawn for each of the data, given the same features.
    n_bins : int
        Over the range of both.
    random_state : None, int, RandomState or Generator
        Of a model's draws.
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
