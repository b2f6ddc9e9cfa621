"""Trees of prefixes, certificates, conditionals, every d, intervals and held-out graphs."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import PPCA, InnerProductGraph, LinearGaussian, TabularAutoregressive, datasets, viz
from ancestral.errors import DataError
from ancestral.graph.predictions import held_out
from ancestral.viz.conditions import Condition

ROWS = np.array([[0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0]])


def bands(figure):
    return figure.axes[0].collections[0]


def test_widths_of_the_tree_are_counts():
    widths = np.array(bands(viz.prefix_tree(ROWS)).get_linewidths())
    counts = widths / widths.min()
    # by depth: 3 rows begin with 0 and 1 with 1; then 00, 01, 10; then four leaves
    assert counts == pytest.approx([3, 1, 1, 2, 1, 1, 1, 1, 1])
    repeated = np.array(bands(viz.prefix_tree(ROWS, counts=[5, 1, 1, 1])).get_linewidths())
    assert repeated / repeated.min() == pytest.approx([7, 1, 5, 2, 1, 5, 1, 1, 1])
    twice = viz.prefix_tree(np.concatenate([ROWS, ROWS]))
    assert np.array(bands(twice).get_linewidths()) == pytest.approx(widths)


def test_the_tree_marks_exactly_the_contexts_that_branch(draw):
    icons, _ = datasets.icons()
    names = [str(k) for k in range(len(icons))]
    figure = draw(viz.prefix_tree(icons, shape=(5, 5), names=names))
    circled = [text for text in figure.axes[0].texts if text.get_bbox_patch() is not None]
    tables = TabularAutoregressive().fit(icons)
    assert len(circled) == tables.n_branching_contexts_
    assert len(bands(figure).get_linewidths()) + 1 == tables.n_contexts_ + len(icons)
    assert len(figure.axes[0].images) == len(icons)


@pytest.mark.parametrize("shape", [None, (2, 2)])
def test_what_stands_above_a_tree_is_not_cut(shape, draw):
    figure = draw(viz.prefix_tree(np.eye(4, dtype=int), shape=shape))
    kind = next(t for t in figure.axes[0].texts if t.get_text() == ("pixel" if shape else "column"))
    assert kind.get_window_extent().x0 >= 0


def test_words_and_key_of_a_tree_of_text_stay_in_the_picture_and_off_the_lines(draw):
    rng = np.random.default_rng(0)
    levels = [["yes", "no"], ["yes", "no", "don't know"], ["Oslo", "Rome"], ["weekly", "daily"]]
    for used in (levels, levels[:3], levels[:2]):  # 7, 5 and 3 values
        figure = draw(viz.prefix_tree(np.column_stack([rng.choice(one, 300) for one in used])))
        ax = figure.axes[0]
        for text in ax.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0, text.get_text()
        said = [text.get_text() for text in ax.texts]
        assert "300" in said and "circle: the column at which rows differ" in said
        assert ("value yes" in said) == (len(used) < 4) == ("weekly" not in said)
        if len(used) == 4:
            ends = [text for text in ax.texts if text.get_text() == "weekly"]
            furthest = max(path.vertices[:, 0].max() for path in bands(figure).get_paths())
            assert ends and all(text.get_position()[0] > furthest for text in ends)
            inner = next(text for text in ax.texts if text.get_text() == "no")
            assert inner.get_path_effects()  # an edge of paper: read on a dark band too


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rows": np.eye(61, dtype=int)}, "too many"),
        ({"rows": ROWS, "shape": (2, 2)}, "does not hold"),
        ({"rows": ROWS, "names": ["a"]}, "names must have 4"),
        ({"rows": ROWS, "counts": [1, 0, 1, 1]}, "above 0"),
        ({"rows": np.zeros((0, 3))}, "empty"),
    ],
)
def test_trees_that_cannot_be_drawn_are_refused(arguments, words):
    with pytest.raises(DataError, match=words):
        viz.prefix_tree(**arguments)


def test_the_certificate_ends_at_the_bound(draw):
    p = np.array([0.5, 0.3, 0.15])
    ax = viz.certificate(np.log(p), 0.05, [True, True, False])
    draw(ax)
    later = ax.lines[0].get_ydata()
    assert later == pytest.approx([1.0, 0.5, 0.2, 0.05])  # nothing listed, then one by one
    assert ax.lines[1].get_ydata() == pytest.approx(p[:2])
    assert ax.lines[2].get_ydata() == pytest.approx(p[2:])


def test_inpainting_draws_what_is_known_the_mean_and_each_completion(draw):
    given = np.array([1.0, np.nan, 0.0, np.nan])
    images = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]], float)
    shares = {"tables": [0.6, 0.3, 0.1], "LSTM": [0.5999, 0.4, 1e-5]}
    condition = Condition("half:\n3 images", given, np.array([1, 0.4, 0, 0.1]), images, shares, 3)
    figure = draw(viz.inpainting([condition, condition], (2, 2)))
    drawn = figure.axes[0].images
    assert len(drawn) == 2 * (2 + 3)
    assert drawn[0].get_array().mask.tolist() == [[False, True], [False, True]]
    assert "1e-05" in [text.get_text() for text in figure.axes[0].texts]
    with pytest.raises(DataError, match="does not hold"):
        viz.inpainting([condition], (1, 3))
    with pytest.raises(DataError, match="nothing to draw"):
        viz.inpainting([], (2, 2))
    table = np.random.default_rng(0).normal(size=(20, 8))
    with pytest.raises(DataError, match=r"rows of 8 values are no square image.* rows of an image"):
        viz.inpainting(PPCA(1).fit(table), table[:2])


def test_every_panel_of_d_rings_its_best(draw):
    X = np.random.default_rng(0).normal(size=(60, 6)) * [5, 4, 1, 1, 1, 1]
    model = PPCA(4).fit(X[:50])
    curve, heldout = model.every_d(), model.every_d(X[50:])
    figure = draw(viz.every_d_panel(curve, heldout, chosen=2))
    best = [curve.n_components[-1], curve.best("bic"), curve.best("minka"), heldout.best("heldout")]
    for ax, d in zip(figure.axes, best, strict=True):
        assert ax.lines[-1].get_xdata() == [d]
        assert ax.get_title(loc="left").endswith(f"d = {d}")


def test_bands_of_new_points_hold_those_of_the_mean(draw):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1))
    y = 2 * x[:, 0] + rng.normal(size=40)
    model = LinearGaussian().fit(x, y)
    ax = viz.interval_bands(model, x, y, level=0.9)
    draw(ax)
    new, mean = (band.get_paths()[0].vertices[:, 1] for band in ax.collections[:2])
    assert new.min() < mean.min() < mean.max() < new.max()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["90%: a new point", "90%: the mean", "E[y | x]"]


def test_held_out_graphs_without_both_kinds_of_pairs_are_left_out():
    graphs = datasets.classrooms(12, random_state=0)
    empty = (graphs[0].features, np.zeros_like(graphs[0].adjacency))
    found = held_out(InnerProductGraph().fit(graphs[:8]), [*graphs[8:], empty])
    points = viz.heldout_by_graph(found).lines[-1]
    assert len(points.get_xdata()) == np.isfinite(found.auc).sum() < len(found.auc)
