"""Drawings of graphs: colours, layout, and distributions of degree and clustering."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ancestral import Graph, viz
from ancestral.errors import DataError, MissingExtraError
from ancestral.graph.fit_checks import mean_clustering
from ancestral.viz import graph as graph_figures
from ancestral.viz import graph_layout


def random_graph(seed: int, n: int = 15, m: int = 3, density: float = 0.12):
    rng = np.random.default_rng(seed)
    A = np.triu(rng.random((n, n)) < density, 1)
    return rng.uniform(-1, 1, (n, m)), (A | A.T).astype(int)


def test_three_features_are_the_colour(draw):
    X, A = random_graph(0)
    ax = viz.draw_graph(X, A)
    draw(ax)
    nodes = ax.collections[1]
    np.testing.assert_allclose(nodes.get_facecolors()[:, :3], (X + 1) / 2)
    assert len(ax.collections[0].get_segments()) == A.sum() // 2
    assert [t.get_text() for t in ax.texts] == [str(k) for k in range(15)]  # as rows are


def placed(A, layout="springs"):
    """Return the places of nodes, and the diameter that is drawn, in units of the square."""
    return graph_layout.with_room(graph_layout.layout_of(A, layout), A, 0.188, apart=1.3)


def test_layout_repeats_stays_in_the_square_and_keeps_nodes_apart():
    for seed in range(6):
        A = random_graph(seed, density=0.08)[1].astype(bool)
        xy, again = (placed(A)[0] for _ in range(2))
        np.testing.assert_array_equal(xy, again)
        assert np.abs(xy).max() <= 1 + 1e-12
        gap = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + 9 * np.eye(15)
        assert gap.min() > 0.2  # a node's drawn radius is below 0.1


def test_unlinked_nodes_stay_near():
    A = np.zeros((15, 15), bool)
    A[:12, :12] = True  # one clique and three loners
    np.fill_diagonal(A, False)
    xy, _ = placed(A)
    clique = xy[:12].max(axis=0) - xy[:12].min(axis=0)
    assert clique.max() > 0.8  # the clique is not squeezed to a blot by far loners


def pupils(n: int = 12, levels: str = "abc") -> list[Graph]:
    """Two graphs whose features are an age and the indicators of a house."""
    names = ("age", *(f"house={level}" for level in levels))
    graphs = []
    for seed in range(2):
        X, A = random_graph(seed, n=n, m=1)
        house = np.eye(len(levels))[np.arange(n) % len(levels)]
        graphs.append(Graph(np.hstack([X, house]), A, names))
    return graphs


def faces_of(figure):
    return [ax.collections[1].get_facecolors()[:, :3] for ax in figure.axes]


def test_groups_are_coloured_apart_and_named(draw):
    figure = viz.draw_graphs(pupils(), colour_by="house")
    draw(figure)
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "house"
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    marks = [to_rgb(mark.get_markerfacecolor()) for mark in legend.legend_handles]
    assert len(set(marks)) == 3
    for colours in faces_of(figure):
        np.testing.assert_allclose(colours, [marks[k % 3] for k in range(12)])


def test_rare_groups_share_a_colour(draw):
    figure = viz.draw_graphs(pupils(n=13, levels="abcdefghijk"), colour_by="house")
    draw(figure)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*"abcdefg", "4 others"]
    assert len({tuple(c) for c in faces_of(figure)[0]}) == 8


def test_a_number_is_coloured_by_its_size(draw):
    graphs = pupils()
    figure = viz.draw_graphs(graphs, colour_by="age")
    draw(figure)
    ages = np.concatenate([g.features[:, 0] for g in graphs])
    brightness = np.concatenate(faces_of(figure)).sum(axis=1)
    assert brightness[ages.argmax()] == brightness.max()
    assert f"age, dark ({ages.min():g}) to light" in figure.get_supxlabel()


def test_the_only_group_is_the_colour(draw):
    graphs = [Graph(g.features[:, 1:], g.adjacency, g.feature_names[1:]) for g in pupils()]
    figure = viz.draw_graphs(graphs)
    draw(figure)
    assert figure.legends[0].get_title().get_text() == "house"


def test_attributes_that_are_not_there_are_named():
    with pytest.raises(DataError, match="'sex' is no attribute: there are age, house"):
        viz.draw_graphs(pupils(), colour_by="sex")
    with pytest.raises(DataError, match="do not name their features"):
        viz.draw_graphs([random_graph(0)], colour_by="sex")


@pytest.mark.parametrize("m", [1, 2, 5])
def test_other_widths_use_the_first_principal_component(draw, m):
    graphs = [random_graph(seed, n=8, m=m) for seed in range(3)]
    figure = viz.draw_graphs(graphs, n_cols=3)
    draw(figure)
    tones = graph_figures.node_colours([X for X, _ in graphs])
    assert [t.shape for t in tones] == [(8, 3)] * 3
    assert "viridis" in figure.get_supxlabel()
    stacked = np.concatenate([X for X, _ in graphs])
    centred = stacked - stacked.mean(axis=0)
    score = np.abs(centred @ np.linalg.svd(centred)[2][0])
    brightness = np.concatenate(tones).sum(axis=1)
    assert brightness[score.argmax()] in (brightness.min(), brightness.max())


def test_five_classrooms_in_a_row_and_titles(draw):
    graphs = [random_graph(seed) for seed in range(5)]
    figure = viz.draw_graphs(graphs)
    draw(figure)
    assert len(figure.axes) == 5
    assert figure.axes[0].get_title() == f"15 nodes, {graphs[0][1].sum() // 2} edges"
    assert "red = (x₁ + 1)/2" in figure.get_supxlabel()
    draw(viz.draw_graphs(graphs, n_cols=3, titles=list("abcde")))


def test_graph_objects_diagonals_single_nodes_and_large_graphs_draw(draw):
    from ancestral.graph.inner_product import Graph

    X, A = random_graph(3)
    draw(viz.draw_graphs([Graph(X, A)]))
    looped = Graph(X, A + np.diag(np.arange(15) % 2))
    np.testing.assert_array_equal(graph_figures.links_to_draw(looped), A.astype(bool))
    draw(viz.draw_graph([[0.0, 0.0, 0.0]], [[0]]))
    ax = viz.draw_graph(*random_graph(0, n=120, m=2, density=0.03))
    draw(ax)
    assert not ax.texts


@pytest.mark.parametrize("as_pair", [False, True])
def test_one_graph_stands_for_a_list_of_one(as_pair):
    X, A = random_graph(3)
    graph = (X, A) if as_pair else Graph(X, A)
    assert viz.draw_graphs(graph).axes[0].get_title() == f"15 nodes, {A.sum() // 2} edges"
    for show in (viz.degree_distribution, viz.clustering_distribution):
        assert "data: 1 graph," in show(graph, [graph]).get_legend().get_texts()[0].get_text()


def test_what_is_no_graph_is_named_with_the_list_it_stands_in():
    with pytest.raises(DataError, match=r"got int"):
        viz.draw_graphs(5)
    with pytest.raises(DataError, match=r"sampled_graphs: graph 0 is a str"):
        viz.degree_distribution(random_graph(0), ["no"])


def test_degrees_are_counted(draw):
    path = ([[0.0]] * 3, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])  # degrees 1, 2, 1
    empty = ([[0.0]] * 3, np.zeros((3, 3)))
    ax = viz.degree_distribution([path], [empty])
    draw(ax)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [0, 2 / 3, 1 / 3])
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.0, 0.0]


def test_clustering_agrees_with_networkx(draw):
    import networkx

    graphs = [random_graph(seed, density=0.3) for seed in range(5)]
    for X, A in graphs:
        expected = networkx.average_clustering(networkx.from_numpy_array(A))
        assert mean_clustering(Graph(X, A)) == pytest.approx(expected, abs=1e-12)
    ax = viz.clustering_distribution(graphs, graphs[:2])
    draw(ax)
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("features", "adjacency", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 3)), "must have shape"),
        (np.zeros((2, 3)), [[0, 1], [0, 0]], "not symmetric"),
        (np.zeros((2, 3)), [[0, 2], [2, 0]], "holds 2 at .* must be 0 or 1"),
        (np.zeros((2, 3)), [[0, np.nan], [0, 0]], "known or unknown on both sides"),
    ],
)
def test_bad_graphs_are_refused(features, adjacency, words):
    with pytest.raises(DataError, match=words):
        viz.draw_graph(features, adjacency)


def test_no_graphs_mixed_widths_and_a_missing_networkx_are_named(monkeypatch):
    with pytest.raises(DataError, match="empty"):
        viz.draw_graphs([])
    with pytest.raises(DataError, match="graph 1 has 3 features per node where 2"):
        viz.draw_graphs([random_graph(0, m=2), random_graph(0, m=3)])
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(MissingExtraError, match=r"ancestral\[report\]"):
        viz.draw_graph(*random_graph(0))


# ---- networks of any size ---------------------------------------------------------------------


def network(n, *, directed=False, seed=0):
    """Some five links a node among near ones, text with gaps, and numbers of unlike scales."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(n, 2))
    near = np.exp(-1.5 * ((place[:, None] - place[None]) ** 2).sum(axis=-1))
    E = (rng.random((n, n)) < 5 * n * near / near.sum() / 2).astype(float)
    E = E if directed else np.triu(E, 1) + np.triu(E, 1).T
    house = [None if k % 7 == 0 else "abc"[k % 3] for k in range(n)]
    table = pandas.DataFrame(
        {"income": rng.lognormal(10, 1, n), "house": house, "age": rng.random(n)}
    )
    return Graph(table, E, node_names=[f"p{k}" for k in range(n)], directed=directed)


@pytest.mark.parametrize("n", [15, 100, 300])
def test_links_are_as_long_as_nodes_and_drawn(draw, n):
    graph = network(n)
    ax = viz.draw_graph(graph)
    figure = draw(ax)
    lines, nodes = ax.collections
    assert len(lines.get_segments()) == graph.n_edges
    ends = ax.transData.transform(np.concatenate(lines.get_segments())).reshape(-1, 2, 2)
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    diameter = np.sqrt(nodes.get_sizes()[0]) * figure.dpi / 72
    assert np.quantile(lengths, 0.01) > 1.25 * diameter and lengths.min() > diameter
    assert len(ax.texts) == (15 if n == 15 else 0)


def test_names_are_written_or_not_as_asked(draw):
    for n, given, count in ((15, False, 0), (100, True, 100), (100, None, 0), (60, False, 0)):
        ax = viz.draw_graph(network(n), node_names=given)
        assert len(ax.texts) == count
        draw(ax)
    with pytest.raises(DataError, match="node_names must have 15 entries; got 2"):
        viz.draw_graph(network(15), node_names=["a", "b"])


@pytest.mark.parametrize("n", [15, 100])
def test_directions_are_shown(draw, n):
    graph = network(n, directed=True)
    ax = viz.draw_graph(graph)
    lines, heads, _ = ax.collections
    A = graph.to_dense()
    assert len(heads.get_paths()) == graph.n_edges
    assert len(lines.get_segments()) == np.triu(A | A.T, 1).sum()
    draw(ax)


def test_unknown_dyads_are_dashed_on_request(draw):
    graph = network(20).with_unknown([(0, 1), (2, 9), (5, 6)])
    assert len(viz.draw_graph(graph).collections) == 2
    ax = viz.draw_graph(graph, unknown=True)
    dashed = ax.collections[0]
    assert len(dashed.get_segments()) == 3 and dashed.get_linestyle()[0][1] is not None
    draw(ax)
    assert len(viz.draw_graphs([graph], unknown=True).axes[0].collections) == 3


def test_layouts_have_names_or_places(draw):
    graph = network(30)
    for layout in ("springs", "circle", "distances", np.random.default_rng(0).random((30, 2))):
        draw(viz.draw_graph(graph, layout=layout))
    with pytest.raises(DataError, match="layout must be one of springs, circle, distances"):
        viz.draw_graph(graph, layout="star")
    with pytest.raises(DataError, match=r"shape \(30, 2\), a place for each node; got \(3, 2\)"):
        viz.draw_graph(graph, layout=np.zeros((3, 2)))


def test_given_places_keep_their_distances(draw):
    places = np.array([[10.0, 5.0], [14.0, 5.0], [14.0, 6.0], [10.0, 6.0]])  # 4 by 1
    A = np.zeros((4, 4))
    A[[0, 1, 2, 3], [1, 0, 3, 2]] = 1
    ax = viz.draw_graph(np.zeros((4, 1)), A, layout=places)
    draw(ax)
    drawn = np.asarray(ax.collections[1].get_offsets())
    np.testing.assert_allclose(drawn, (places - [12, 5.5]) / 2, atol=1e-12)
    assert ax.get_aspect() == 1
    line = viz.draw_graph(np.zeros((4, 1)), A, layout=places * [1, 0]).collections[1]
    assert np.ptp(np.asarray(line.get_offsets())[:, 1]) == 0
    circle = viz.draw_graph(np.zeros((5, 1)), np.zeros((5, 5)), layout="circle").collections[1]
    five = np.asarray(circle.get_offsets())
    sides = np.linalg.norm(five - np.roll(five, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, sides[0])


def test_text_is_the_colour_and_gaps_are_white(draw):
    graph = network(15)
    figure = draw(viz.draw_graph(graph))
    ax = figure.axes[0]
    tones = ax.collections[1].get_facecolors()[:, :3]
    assert (tones[[0, 7, 14]] == 1).all() and len(np.unique(tones, axis=0)) == 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c", "missing"]
    ages = viz.draw_graph(graph, colour_by="income").collections[1].get_facecolors()
    assert len(np.unique(ages, axis=0)) == 15


def test_features_of_unlike_scales_share_a_colour(draw):
    rng = np.random.default_rng(0)
    X = np.c_[1e6 * np.arange(8), rng.random(8), rng.random(8), np.arange(8) % 2]
    tones = graph_figures.node_colours([X])
    np.testing.assert_allclose(tones, graph_figures.node_colours([X * [1e-9, 5, 1e3, 1]]))


def test_what_explains_colours_stays_below_its_own_panel(draw):
    from matplotlib.figure import Figure

    X = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    graph = Graph(X, np.zeros((6, 6)), feature_names=["music", "sport", "travel"])
    left, right = Figure(figsize=(7, 3.4), layout="constrained").subplots(1, 2)
    draw(viz.draw_graph(graph, ax=left))
    note = left.xaxis.label
    assert "green\u00a0=\u00a0sport" in note.get_text()
    assert note.get_window_extent().x0 >= 0 and note.get_window_extent().x1 < right.bbox.x0
