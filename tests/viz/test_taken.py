"""Figures take fitted models and what these return, by name; what one can't draw says who can."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import (
    PPCA,
    AncestralError,
    DyadicGraph,
    Graph,
    HeteroscedasticGaussian,
    InnerProductGraph,
    LatentPositionGraph,
    LatentTree,
    LinearGaussian,
    OrderMixture,
    PPCAMixture,
    TabularAutoregressive,
    datasets,
    viz,
)
from ancestral._catalogue import MODELS
from ancestral.errors import DataError
from ancestral.viz import _taken

pd = pytest.importorskip("pandas")
networkx = pytest.importorskip("networkx")

COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


def flowers() -> object:
    """Three groups of rows in four named columns, and the group's name in a fifth."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 30)
    X = rng.normal(size=(90, 4)) * [0.5, 0.3, 0.6, 0.2] + groups[:, None] * [1.0, -0.2, 2.0, 0.8]
    return pd.DataFrame(X, columns=COLUMNS).assign(species=[*map("abc".__getitem__, groups)])


def pictures() -> object:
    images = datasets.icons()[0]
    return pd.DataFrame(images, columns=[f"pixel {k}" for k in range(images.shape[1])])


def classrooms(n: int = 8, seed: int = 0) -> list[Graph]:
    return datasets.classrooms(n, random_state=seed)


def areas() -> tuple[object, object]:
    rng = np.random.default_rng(0)
    area = rng.uniform(20, 80, 60)
    price = pd.Series(3 * area + area * rng.normal(size=60), name="price (1000 €)")
    return pd.DataFrame({"area (m²)": area}), price


def points_of(ax: object) -> np.ndarray:
    return np.concatenate([np.asarray(mark.get_offsets()) for mark in ax.collections])


# ---- latents -------------------------------------------------------------------------------------


def test_latents_of_a_frame_are_the_posterior_means_coloured_by_a_column(draw):
    table = flowers()
    model = PPCA(2).fit(table[COLUMNS])
    ax = viz.latent_scatter(model, table, colour_by="species")
    draw(ax)
    Z = np.asarray(model.transform(table[COLUMNS]))
    np.testing.assert_allclose(points_of(ax), Z)  # group after group, as the table has them
    (legend,) = ax.artists
    assert legend.get_title().get_text() == "species"
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    assert ax.get_xlabel().startswith("E[z₁ | x]  (") and "of the variance" in ax.get_xlabel()


def test_the_ellipse_is_the_covariance_of_the_posterior_means():
    """At the maximum they have the covariance I - sigma^2 M^-1 exactly, whatever the data."""
    table = flowers()[COLUMNS]
    model = PPCA(3).fit(table)
    ax = viz.latent_scatter(model, table, components=(0, 2))
    ellipse = ax.lines[3].get_xydata()
    Z = np.asarray(model.transform(table))[:, [0, 2]]
    C = np.cov(Z.T, bias=True)
    gap = ellipse - Z.mean(axis=0)
    np.testing.assert_allclose(np.einsum("ij,jk,ik->i", gap, np.linalg.inv(C), gap), 4.0, rtol=1e-6)
    assert ax.get_ylabel().startswith("E[z₃ | x]")


@pytest.mark.parametrize("kind", ["numbers", "missing", "many", "booleans"])
def test_labels_are_named_numbers_are_scaled_and_missing_ones_said(draw, kind):
    table = flowers()
    rng = np.random.default_rng(1)
    labels, names = {
        "numbers": (np.append(rng.normal(size=89), np.nan), None),
        "missing": (
            np.where(np.arange(90) < 9, None, table["species"]),
            ["a", "b", "c", "missing"],
        ),
        "many": (np.arange(90) // 8, None),
        "booleans": (np.arange(90) > 40, ["False", "True"]),
    }[kind]
    ax = viz.latent_scatter(PPCA(2).fit(table[COLUMNS]), table[COLUMNS], colour_by=labels)
    draw(ax)
    if names is None:
        assert len(ax.figure.axes) == 2  # a colour bar
        said = [text.get_text() for text in ax.get_legend().get_texts()]
        assert ("number missing" in said) == (kind == "numbers")
    else:
        assert [text.get_text() for text in ax.artists[0].get_texts()] == names
    assert len(points_of(ax)) == 90


def test_rare_text_labels_share_a_colour(draw):
    table = flowers()
    labels = [f"group {k // 8}" for k in range(90)]
    ax = viz.latent_scatter(PPCA(2).fit(table[COLUMNS]), table[COLUMNS], colour_by=labels)
    draw(ax)
    assert ax.artists[0].get_texts()[-1].get_text() == "5 others"
    assert len(points_of(ax)) == 90


@pytest.mark.parametrize("standardize", [False, True])
def test_a_mixture_is_drawn_in_one_plane_each_row_by_its_model(draw, standardize):
    table = flowers()
    model = PPCAMixture(3, 1, standardize=standardize, random_state=0).fit(table[COLUMNS])
    ax = viz.latent_scatter(model, table)
    draw(ax)
    counts = np.bincount(model.responsibilities(table[COLUMNS]).argmax(axis=1), minlength=3)
    assert [len(mark.get_offsets()) for mark in ax.collections] == counts.tolist()
    (legend,) = ax.artists
    assert [text.get_text() for text in legend.get_texts()] == ["piece 1", "piece 2", "piece 3"]
    assert legend.get_window_extent().x1 <= ax.figure.bbox.x1  # seen whole
    scale = model.scale_ if standardize else 1.0
    X = (table[COLUMNS].to_numpy() - model.weights_ @ model.means_) / scale
    order = np.argsort(model.responsibilities(table[COLUMNS]).argmax(axis=1), kind="stable")
    Z = points_of(ax)
    # a projection: no two rows are farther apart than they are
    drawn, whole = np.linalg.norm(Z[1:] - Z[:-1], axis=1), np.diff(X[order], axis=0)
    assert (drawn <= np.linalg.norm(whole, axis=1) + 1e-9).all()
    assert "columns scaled" in ax.get_xlabel() if standardize else "units of the data"


def test_rows_with_gaps_are_drawn(draw):
    table = flowers()[COLUMNS]
    model = PPCA(2).fit(table)
    mixture = PPCAMixture(2, 1, random_state=0).fit(table)
    table.iloc[3, 1] = np.nan
    for one in (model, mixture):
        ax = viz.latent_scatter(one, table)
        draw(ax)
        assert np.isfinite(points_of(ax)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour_by": "kind"}, "'kind' is no column of X: the columns are sepal length"),
        ({"colour_by": [1, 2]}, "one label or number for each of the 90 rows"),
        ({"components": (0, 2)}, "components"),
        ({"X": None}, "X is needed"),
    ],
)
def test_what_does_not_fit_the_rows_is_refused(change, words):
    table = flowers()
    arguments = {"X": table, **change}
    with pytest.raises(AncestralError, match=words):
        viz.latent_scatter(PPCA(2).fit(table[COLUMNS]), **arguments)
    with pytest.raises(DataError, match="needs two"):
        viz.latent_scatter(PPCA(1).fit(table[COLUMNS]), table)


def test_curves_of_d_take_models_and_rows(draw):
    table = flowers()
    model = PPCA(3).fit(table[COLUMNS][::2])
    ax = viz.heldout_curve(model, table[1::2])
    draw(ax)
    held = model.every_d(table[COLUMNS][1::2]).heldout
    np.testing.assert_allclose(ax.lines[2].get_ydata(), held)
    draw(viz.every_d_panel(model, table[1::2]))
    models = [PPCA(d).fit(table[COLUMNS]) for d in (1, 2, 3)]
    ax = viz.reconstruction_error(models, table)
    gaps = [np.asarray(m.reconstruct(table[COLUMNS])) - table[COLUMNS].to_numpy() for m in models]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [np.sqrt((gap**2).mean()) for gap in gaps])
    assert "units of the data" in ax.get_ylabel()


# ---- discrete rows and images --------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "pandas", "polars", "pyarrow"])
def test_draws_of_every_container_are_the_same_pictures(draw, library):
    table = pictures()
    if library == "numpy":
        data = table.to_numpy()
    elif library == "pandas":
        data = table
    else:
        module = pytest.importorskip(library)
        data = module.from_pandas(table) if library == "polars" else module.Table.from_pandas(table)
    model = TabularAutoregressive().fit(data)
    drawn = draw(viz.collage(model.sample(9, random_state=0))).axes[0].images
    plain = TabularAutoregressive().fit(table.to_numpy()).sample(9, random_state=0)
    for tile, row in zip(drawn, plain, strict=True):
        np.testing.assert_array_equal(tile.get_array(), row.reshape(5, 5))


def test_completions_are_drawn_one_after_another(draw):
    table = pictures()
    holes = table.astype(float).head(2)
    holes.iloc[:, 10:] = np.nan
    for model, rows in (
        (TabularAutoregressive().fit(table), holes),
        (TabularAutoregressive().fit(table.to_numpy()), holes.to_numpy()),
    ):
        draws = model.impute_draws(rows, 3, random_state=0)
        assert len(draw(viz.collage(draws, (5, 5))).axes[0].images) == 6
    with pytest.raises(DataError, match=r"viz\.inpainting"):
        viz.collage(holes)


@pytest.mark.parametrize("kind", ["tables", "orders", "ppca", "mixture"])
def test_inpainting_takes_models_and_rows_with_holes(draw, kind):
    table = pictures()
    model = {
        "tables": TabularAutoregressive(),
        "orders": OrderMixture(TabularAutoregressive(), n_orders=2, random_state=0),
        "ppca": PPCA(3),
        "mixture": PPCAMixture(2, 2, random_state=0),
    }[kind].fit(table if kind in ("tables", "orders") else table.astype(float))
    holes = table.astype(float).head(2)
    holes.iloc[:, 15:] = np.nan
    figure = draw(viz.inpainting(model, holes, random_state=0))
    tiles = figure.axes[0].images
    assert tiles[0].get_array().mask.sum() == 10
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "0:\n10 unknown" not in texts and "row 0:\n10 unknown" in texts
    if kind in ("ppca", "mixture"):
        assert len(tiles) == 2 * (2 + 6)


def test_inpainting_writes_the_exact_conditional_probability(draw):
    rows = np.array([[0, 0, 0, 1]] * 3 + [[0, 0, 1, 1]] + [[1, 1, 1, 1]])
    model = TabularAutoregressive().fit(rows)
    figure = draw(viz.inpainting(model, [[0, np.nan, np.nan, np.nan]], random_state=0))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "75.0%" in texts and "25.0%" in texts


def test_a_tree_takes_levels_of_text_models_and_names(draw):
    table = pd.DataFrame(
        {"weather": ["rain", "rain", "sun", "fog"], "umbrella": [True, True, False, True],
         "mood": [1, 2, 3, 1]}
    )  # fmt: skip
    of_rows = draw(viz.prefix_tree(table))
    texts = {text.get_text() for text in of_rows.axes[0].texts}
    assert {"weather", "umbrella", "mood", "rain", "sun", "fog"} <= texts
    of_model = draw(viz.prefix_tree(TabularAutoregressive().fit(table)))
    widths = [np.array(one.axes[0].collections[0].get_linewidths()) for one in (of_rows, of_model)]
    np.testing.assert_allclose(widths[1] / widths[1].min(), widths[0] / widths[0].min())
    assert any("probability" in text.get_text() for text in of_model.axes[0].texts)
    with pytest.raises(DataError, match="NaN at row 1"):
        viz.prefix_tree(pd.DataFrame({"a": ["x", None], "b": ["y", "z"]}))


def test_tables_are_drawn_by_their_columns(draw):
    model = TabularAutoregressive().fit(pictures())
    ax = viz.step_entropies(model)
    draw(ax)
    assert ax.get_title().startswith("H(x) = 5.0000 bits")
    assert [text.get_text() for text in ax.get_xticklabels()][:2] == ["pixel 0", "pixel 1"]
    ax = viz.certificate(model, k=32)
    draw(ax)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 1 / 32)
    figure = draw(viz.probability_collage(model))
    assert {text.get_text() for text in figure.axes[0].texts} == {"1/32"}


# ---- lines and graphs ----------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_lines_are_labelled_by_their_columns_and_warn_of_nothing(draw, library):
    X, y = areas()
    if library == "polars":
        polars = pytest.importorskip("polars")
        X, y = polars.from_pandas(X), polars.Series("price (1000 €)", y.to_numpy())
    for model in (LinearGaussian().fit(X, y), HeteroscedasticGaussian().fit(X, y)):
        ax = viz.interval_bands(model, X, y)
        draw(ax)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("area (m²)", "price (1000 €)")
        left = draw(viz.density_shade(model, X, y)).axes[0]
        assert (left.get_xlabel(), left.get_ylabel()) == ("area (m²)", "price (1000 €)")
    assert viz.interval_bands(model, X, y, x_label="A").get_xlabel() == "A"


def test_a_line_is_drawn_from_a_wider_table():
    X, y = areas()
    model = LinearGaussian().fit(X, y)
    ax = viz.interval_bands(model, X.assign(rooms=3.0), y)
    assert ax.get_xlabel() == "area (m²)"
    with pytest.raises(DataError, match="one column"):
        viz.interval_bands(LinearGaussian().fit(X.assign(rooms=X * X), y), X.assign(rooms=1.0), y)


def test_nodes_keep_their_names(draw):
    graph = networkx.Graph([("ann", "bob"), ("bob", "cyd")])
    frame = pd.DataFrame({"x": [0.1, 0.2, -0.3]}, index=["ann", "bob", "cyd"])
    A = networkx.to_numpy_array(graph)
    for given in ((graph,), (frame, A), ((frame, A),)):
        ax = viz.draw_graph(*given)
        draw(ax)
        assert [text.get_text() for text in ax.texts] == ["ann", "bob", "cyd"]
    ax = viz.draw_graph(Graph(frame, A), node_names=["a", "b", "c"])
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    with pytest.raises(DataError, match="node_names must have 3"):
        viz.draw_graph(graph, node_names=["a"])


def test_a_networkx_graph_is_coloured_by_what_its_nodes_have(draw):
    ax = viz.draw_graph(networkx.karate_club_graph())
    draw(ax)
    legend = ax.get_legend()
    assert legend.get_title().get_text() == "club"
    assert [text.get_text() for text in legend.get_texts()] == ["Mr. Hi", "Officer"]
    assert ax.texts[0].get_text() == "0"  # networkx calls it so
    plain = networkx.path_graph(4)
    draw(viz.draw_graph(plain))
    networkx.set_node_attributes(plain, {k: float(k) for k in range(4)}, "height (cm)")
    ax = viz.draw_graph(plain)
    assert "height (cm)" in ax.get_xlabel()
    figure = draw(viz.draw_graphs([plain, plain]))
    assert "height (cm)" in figure.get_supxlabel()


def test_three_features_of_any_range_are_told_apart(draw):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8, 3)) * [10.0, 1.0, 1.0] + [120.0, 0.0, 0.0]
    A = np.ones((8, 8)) - np.eye(8)
    ax = viz.draw_graph(pd.DataFrame(X, columns=["height", "b", "c"]), A)
    draw(ax)
    red = ax.collections[1].get_facecolors()[:, 0]
    assert red.argmax() == X[:, 0].argmax() and np.ptp(red) == pytest.approx(1.0)
    assert "red\u00a0=\u00a0height" in ax.get_xlabel()


def test_what_networkx_graphs_cannot_be_drawn_are_refused():
    directed = viz.draw_graph(networkx.DiGraph([(1, 2), (2, 1), (2, 3)]))
    lines, heads, _ = directed.collections
    assert len(lines.get_segments()) == 2 and len(heads.get_paths()) == 3
    with pytest.raises(DataError, match="no nodes"):
        viz.draw_graph(networkx.Graph())
    loops = networkx.MultiGraph([(1, 1), (1, 2), (2, 1)])
    assert len(viz.draw_graph(loops).collections[0].get_segments()) == 1


def test_long_names_stay_in_the_picture(draw):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names = [f"a person of the very long name {k}" for k in range(9)]
    graph = networkx.complete_graph(9)
    networkx.set_node_attributes(graph, dict(enumerate(names)), "family name")
    figure = draw(viz.draw_graphs([networkx.relabel_nodes(graph, dict(enumerate(names)))] * 2))
    legend = figure.legends[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert legend.x0 >= figure.bbox.x0 and legend.x1 <= figure.bbox.x1


def test_graph_figures_take_models(draw):
    graphs = classrooms()
    model = InnerProductGraph().fit(graphs)
    draw(viz.draw_graphs(model.sample(2, random_state=0)))
    ax = viz.degree_distribution(graphs, model, random_state=0)
    draw(ax)
    assert "samples: 8 graphs" in ax.get_legend().get_texts()[1].get_text()
    draw(viz.clustering_distribution(graphs, model, random_state=0))
    panel = draw(viz.fit_panel(model, graphs, n_draws=20, random_state=0))
    assert "x_i" in panel.axes[4].get_xlabel()
    terms = DyadicGraph(["inner_product"]).fit(graphs)
    panel = draw(viz.fit_panel(terms, graphs, n_draws=20, random_state=0))
    assert "logit" in panel.axes[4].get_xlabel()
    draw(viz.heldout_by_graph(model, classrooms(4, 1)))
    draw(viz.ascent_curve(model))
    ax = viz.likelihood_contour(model, graphs)
    draw(ax)
    low, high = ax.get_xlim()
    assert low < model.slope_ < high
    text = ax.get_legend().get_texts()[0].get_text()
    assert f"{model.slope_:.3f}" in text and "± 1 se" in text


# ---- what is drawn by another --------------------------------------------------------------------

FITTED = {
    "TabularAutoregressive": lambda: TabularAutoregressive().fit([[0, 1], [1, 0]]),
    "PPCA": lambda: PPCA(1).fit(flowers()[COLUMNS]),
    "PPCAMixture": lambda: PPCAMixture(2, 1, random_state=0).fit(flowers()[COLUMNS]),
    "LinearGaussian": lambda: LinearGaussian().fit(*areas()),
    "InnerProductGraph": lambda: InnerProductGraph().fit(classrooms()),
    "DyadicGraph": lambda: DyadicGraph(["inner_product"]).fit(classrooms()),
    "LatentTree": lambda: LatentTree(2, 1, n_sweeps=2, random_state=0).fit(flowers()),
}
TAKES = {
    "ascent_curve": ("PPCAMixture", "InnerProductGraph"),
    "certificate": ("TabularAutoregressive",),
    "clustering_distribution": (),
    "collage": (),
    "degree_distribution": (),
    "density_shade": ("LinearGaussian",),
    "difference_images": ("PPCA",),
    "draw_graph": (),
    "draw_graphs": (),
    "every_d_panel": ("PPCA",),
    "fit_panel": ("InnerProductGraph", "DyadicGraph"),
    "heldout_by_graph": ("InnerProductGraph",),
    "heldout_curve": ("PPCA",),
    "inner_product_histogram": (),
    "inpainting": ("TabularAutoregressive", "PPCA", "PPCAMixture"),
    "interval_bands": ("LinearGaussian",),
    "latent_scatter": ("PPCA", "PPCAMixture"),
    "latent_tree": ("LatentTree",),
    "likelihood_contour": ("InnerProductGraph",),
    "marginals": ("LatentTree",),
    "prefix_tree": ("TabularAutoregressive",),
    "probability_collage": ("TabularAutoregressive",),
    "reconstruction_error": ("PPCA",),
    "spectrum": ("PPCA",),
    "step_entropies": ("TabularAutoregressive",),
    "training_curve": (),
}
SECOND = {"clustering_distribution", "degree_distribution", "density_shade", "interval_bands"}


def call(name: str, value: object) -> object:
    """Draw a model by itself, with whatever else the function must be given."""
    more = [value] * (name in SECOND) + [[0.0]] * (name in ("density_shade", "interval_bands"))
    more += [[1.0]] * (name in ("heldout_curve", "reconstruction_error"))
    return getattr(viz, name)(value, *more)


@pytest.mark.parametrize("name", viz.__all__)
def test_a_model_that_a_figure_does_not_take_is_sent_to_one_that_does(name):
    assert set(TAKES) == set(viz.__all__)
    for kind, make in FITTED.items():
        if kind in TAKES[name]:
            continue
        with pytest.raises(AncestralError, match=rf"viz\.{name} draws .* got an? {kind}\. It is"):
            call(name, make())


@pytest.mark.parametrize("name", [n for n in viz.__all__ if TAKES[n]])
def test_an_unfitted_model_is_said_to_be_unfitted(name):
    kind = TAKES[name][0]
    with pytest.raises(AncestralError, match="not fitted"):
        call(name, type(FITTED[kind]())())


def test_every_model_is_drawn_by_functions_that_exist():
    import re

    for entry in MODELS:
        how = _taken._MODELS.get(entry.name, _taken._FACES[entry.face])
        called = re.findall(r"viz\.(\w+)", how)
        assert called and set(called) <= set(viz.__all__)


def test_results_and_graphs_are_sent_to_their_figures():
    from ancestral.graph.fit_checks import check_fit

    graphs = classrooms()
    model = InnerProductGraph().fit(graphs)
    check = check_fit(model, graphs, n_draws=20, random_state=0)
    curve = PPCA(2).fit(flowers()[COLUMNS]).every_d()
    for value, function in (
        (graphs[0], "draw_graph"), (graphs, "draw_graphs"), (check, "fit_panel"),
        (curve, "every_d_panel"), (networkx.path_graph(3), "draw_graph"),
    ):  # fmt: skip
        with pytest.raises(AncestralError, match=rf"It is drawn by viz\.{function}\("):
            viz.collage(value)
    with pytest.raises(AncestralError, match=r"viz\.draw_graphs\(model\.sample"):
        viz.collage(LatentPositionGraph(2))
