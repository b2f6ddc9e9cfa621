"""The tree of columns, and distributions of columns: what is drawn is what the model says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ancestral import PPCA, LatentTree, viz
from ancestral.errors import DataError, DataTypeError

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402

from ancestral.viz._style import figure_of  # noqa: E402


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    town = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    size = rng.normal(50, 10, n) + 30 * (town == "b")
    price = np.where(rng.random(n) < 0.2, 0.0, size * np.exp(0.2 * rng.normal(size=n)))
    built = pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "D")
    visits = rng.poisson(1.0 + 2 * (town == "a"))
    found = pd.DataFrame(
        {"town": town, "size": size, "price": price, "built": built, "visits": visits}
    )
    return found.mask(rng.random(found.shape) < 0.05)


@pytest.fixture(scope="module")
def model() -> LatentTree:
    types = {"visits": "count"}
    return LatentTree(3, 2, column_types=types, n_sweeps=5, random_state=0).fit(table())


def test_the_tree_names_each_column_once_below_its_parent(model, draw):
    ax = viz.latent_tree(model)
    figure = draw(ax)
    names = [one["name"] for one in model.columns_]
    at = {text.get_text(): text.xy for text in ax.texts if text.get_text() in names}
    assert set(at) == set(names)
    for i, parent in enumerate(model.tree_):
        if parent >= 0:
            (x, y), (x0, y0) = at[names[i]], at[names[parent]]
            assert x > x0 and y > y0  # to the right, and on a lower line
            told = f"{model.information_[i, parent]:.2f}"
            assert any(t.get_text().strip() == told and t.xy == (x, y) for t in ax.texts)
    assert len({y for _, y in at.values()}) == len(names)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["continuous", "count", "categorical"]
    assert figure.get_size_inches()[0] <= 6.5


@pytest.mark.parametrize("shape", ["chain", "star", "tree"])
@pytest.mark.parametrize("d", [9, 27, 69])
def test_no_name_stands_on_another_nor_leaves_the_picture(shape, d):
    rng = np.random.default_rng(d)
    parent = {
        "chain": np.arange(d) - 1,
        "star": np.r_[-1, np.zeros(d - 1, int)],
        "tree": np.r_[-1, [rng.integers(0, i) for i in range(1, d)]],
    }[shape]
    one = LatentTree(1, 1, n_sweeps=1, max_iter=0).fit(rng.integers(0, 2, (30, d)))
    one.columns_ = [{**c, "name": f"a column of the number {c['place']}"} for c in one.columns_]
    one.tree_ = parent
    ax = viz.latent_tree(one)
    figure = figure_of(ax)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in ax.texts if t.get_text().startswith("a col")]
    assert len(boxes) == d
    inside = figure.bbox
    assert all(inside.x0 <= b.x0 and b.x1 <= inside.x1 for b in boxes)
    assert all(inside.y0 <= b.y0 and b.y1 <= inside.y1 for b in boxes)
    boxes.sort(key=lambda b: -b.y1)
    assert all(lower.y1 <= upper.y0 + 0.5 for upper, lower in itertools.pairwise(boxes))


def curves(ax):
    """The lines of an Axes that have an area below them, the first without the condition."""
    return [line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 50]


def test_distributions_are_those_of_the_model(model, draw):
    """Bars against marginals; each curve's area against the mass of an interval."""
    given = {"town": {"a", "b"}, "price": (0.0, 60.0)}
    figure = viz.marginals(model, given)
    draw(figure)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert list(panels) == ["town", "size", "price", "built", "visits"]
    evidence = model.log_evidence(given)
    bars = [bar.get_width() for bar in panels["town"].patches]
    for k, level in enumerate("abc"):
        assert bars[k] == pytest.approx(np.exp(model.log_evidence({"town": level})), rel=1e-9)
        joint = np.exp(model.log_evidence({**given, "town": level}) - evidence)
        assert bars[3 + k] == pytest.approx(joint if level != "c" else 0.0, rel=1e-9)
    for held, known in zip(curves(panels["size"]), ({}, given), strict=True):
        low, high = held[100, 0], held[300, 0]
        part = held[100:301]
        mass = np.exp(model.log_evidence({**known, "size": (low, high)}))
        mass /= np.exp(model.log_evidence(known)) if known else 1.0
        assert np.trapezoid(part[:, 1], part[:, 0]) == pytest.approx(mass, rel=5e-3)
    (atom,) = model.columns_[2]["atoms"]
    stems = [line.get_ydata()[1] for line in panels["price"].lines if len(line.get_xdata()) == 2]
    top = max(float(held[:, 1].max()) for held in curves(panels["price"]))
    share = np.exp(model.log_evidence({**given, "price": atom}) - evidence)
    assert stems[-1] / top == pytest.approx(share, rel=1e-9)
    outside = curves(panels["price"])[1]
    assert (outside[outside[:, 0] > 60.0, 1] == 0).all()
    counts = panels["visits"].lines[-1].get_xydata()
    k = int(counts[2, 0])
    joint = np.exp(model.log_evidence({**given, "visits": k}) - evidence)
    assert counts[2, 1] == pytest.approx(joint, rel=1e-9)


def test_chosen_columns_and_what_is_given_by_value(model, draw):
    figure = viz.marginals(model, {"size": 55.0}, columns=["built", "size"])
    draw(figure)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["built", "size"]
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert any(text.startswith(("19", "20")) for text in ticks)  # years, not days since 1970
    assert [line.get_xdata()[0] for line in figure.axes[1].lines][-1] == 55.0
    assert len(figure.legends) == 1
    assert not viz.marginals(model, columns=["town"]).legends


def test_axes_the_condition_and_the_stems_are_named(model, draw):
    given = {"town": {"a", "b"}, "size": (None, 80.0), "built": ("1995-01-01", "2005-01-31")}
    figure = viz.marginals(model, given)
    draw(figure)
    of = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert of["town"].get_xlabel() == "probability" == of["visits"].get_ylabel()
    assert {of[name].get_ylabel() for name in ("size", "price", "built")} == {"density"}
    (legend,) = figure.legends
    words = " ".join(text.get_text().replace("\n", " ") for text in legend.get_texts())
    said = "town: a or b, size up to 80, built from 1995-01-01 to 2005-01-31"
    assert f"without the condition given {said} probability of this one value" in words
    (atom,) = model.columns_[2]["atoms"]
    shares = [np.exp(model.log_evidence({"price": atom}))]
    shares.append(np.exp(model.log_evidence({**given, "price": atom}) - model.log_evidence(given)))
    assert [t.get_text() for t in of["price"].texts] == [f"{100 * p:.0f}%" for p in shares]
    renderer = FigureCanvasAgg(figure).get_renderer()
    first, second = (t.get_window_extent(renderer) for t in of["price"].texts)
    assert min(first.y1, second.y1) <= max(first.y0, second.y0) + 1  # one below the other


def test_what_is_not_drawn_is_refused(model):
    with pytest.raises(DataTypeError, match=r"got a PPCA. It is drawn by viz.spectrum"):
        viz.latent_tree(PPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3))))
    with pytest.raises(DataTypeError, match=r"drawn by viz.latent_tree\(model\)"):
        viz.spectrum(model)
    with pytest.raises(DataError, match="columns names 'street', which the model does not"):
        viz.marginals(model, columns=["street"])
    with pytest.raises(DataError, match="0 columns are asked for; 1 to 30"):
        viz.marginals(model, columns=[])
    with pytest.raises(DataError, match="low end lies above its high end"):
        viz.marginals(model, {"price": (9.0, 8.0)})
