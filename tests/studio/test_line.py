"""The room of points: what it shows of tables and saved models, by mouse, finger and keyboard."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pandas as pd
import pytest

from ancestral import HeteroscedasticGaussian, LinearGaussian, NeuralGaussian, datasets, load
from ancestral.studio.rooms import line
from ancestral.studio.shelf import Shelf
from tests.studio.conftest import Page, shelf_of, started, told, wait_until
from tests.studio.reading import address, fact, field, number, settled


def unpacked(packed):
    import base64

    data = np.frombuffer(base64.b64decode(packed["base64"]), packed["dtype"])
    return data.reshape(packed["shape"])


def table_of(folder, file="own.csv", /, **columns):
    path = folder / file
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


# ---- what it is told ----------------------------------------------------------------------------


def test_the_built_in_table_is_shown_by_its_nearest_input():
    sent = told(Shelf(), "line")
    X, y, _ = datasets.line()
    columns = sent["columns"]
    np.testing.assert_array_equal(unpacked(columns[sent["x"]]["values"]), X[:, 0])
    np.testing.assert_array_equal(unpacked(columns[sent["y"]]["values"]), y)
    assert "kg/m²" in columns[sent["x"]]["name"]
    assert [c["levels"] for c in columns if c["name"] == "sex"] == [["1", "2"]]


def test_columns_of_every_kind_have_an_axis_or_a_reason(tmp_path):
    rng = np.random.default_rng(0)
    path = table_of(
        tmp_path,
        age=np.where(np.arange(40) % 7, rng.integers(18, 80, 40), np.nan),
        town=[f"town {k % 11}" for k in range(40)],
        name=[f"person {k}" for k in range(40)],
        constant=1.0,
        day=pd.date_range("2001-01-01", periods=40, freq="30D").strftime("%Y-%m-%d"),
        income=rng.normal(30_000, 5_000, 40).round(),
    )
    sent = told(Shelf.of([path]), "line")
    columns = {c["name"]: c for c in sent["columns"]}
    assert list(columns) == ["age", "town", "day (years)", "income"]
    assert columns["town"]["levels"][:3] == ["town 0", "town 1", "town 2"]
    assert columns["town"]["levels"][-1] == "town 10"  # 2 comes before 10
    np.testing.assert_array_equal(unpacked(columns["town"]["values"]), np.arange(40) % 11)
    assert np.isnan(unpacked(columns["age"]["values"])).sum() == 6
    days = unpacked(columns["day (years)"]["values"])
    assert days[0] == pytest.approx(2001, abs=0.01) and np.allclose(np.diff(days), 30 / 365.2425)
    assert any("“name” has 40 values that are not numbers" in said for said in sent["left_out"])
    assert any("“constant”" in said for said in sent["left_out"])
    assert sent["columns"][sent["y"]]["name"] == "income"


def test_a_large_table_is_shown_in_part_and_says_so(tmp_path):
    x = np.arange(line.MOST_ROWS + 1000.0)
    shelf = Shelf.of([table_of(tmp_path, x=x, y=np.sin(x))])
    (subject,) = line.subjects(shelf)
    (item,) = shelf.items
    assert subject.used[item.id].startswith("5,000 of 6,000 rows, drawn at random")
    sent = subject.make()
    assert len(unpacked(sent["columns"][0]["values"])) == line.MOST_ROWS
    assert np.unique(unpacked(sent["columns"][0]["values"])).size == line.MOST_ROWS


def test_what_is_refused_has_its_reason(tmp_path):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    with pytest.warns(UserWarning, match="the fit is exact"):
        exact = LinearGaussian().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    for model, said in (
        (LinearGaussian().fit(X, y), "It has 3 inputs"),
        (LinearGaussian().fit(X[:, :1], X[:, 1:]), "It has 2 targets"),
        (exact, "variance is 0"),
    ):
        shelf = shelf_of({"saved": model}, built_in=False)
        assert line.subjects(shelf) == []
        assert said in line.refuses(shelf.items[0])
    one = Shelf.of([table_of(tmp_path, x=[1.0, 2, 3], word=["a", "a", "a"])])
    assert line.subjects(one) == [] and "1 column" in line.refuses(one.items[0])
    assert "only one value" in line.refuses(one.items[0])
    few = Shelf.of([table_of(tmp_path, "few.csv", x=[1.0, 2], y=[1.0, 3])])
    assert "2 rows" in line.refuses(few.items[0])


def test_a_saved_model_stands_beside_the_table_that_has_its_columns(tmp_path):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"a": rng.normal(size=50), "b": rng.normal(size=50)})
    frame["c"] = 3 * frame.b + rng.normal(size=50)
    frame["d"] = frame.c + 0.01 * rng.normal(size=50)
    frame.to_csv(tmp_path / "own.csv", index=False)
    LinearGaussian(degree=2).fit(frame[["a"]], frame.c).save(tmp_path / "of a.model")
    other = LinearGaussian().fit(pd.DataFrame({"z": frame.a}), frame.b)
    other.save(tmp_path / "of z.model")
    shelf = Shelf.of([tmp_path / name for name in ("own.csv", "of a.model", "of z.model")])
    table, alone = line.subjects(shelf)
    assert [item.name for item in table.items] == ["own.csv", "of a"]
    sent = table.make()
    assert [sent["columns"][sent[axis]]["name"] for axis in "xy"] == ["a", "d"]  # x as in its fit
    assert [item.name for item in alone.items] == ["of z"]
    sent = alone.make()
    assert [c["name"] for c in sent["columns"]] == ["z", "y"] and "drawn from the model" in sent[
        "note"
    ]
    low, high = sent["columns"][0]["range"]
    assert low < frame.a.mean() - frame.a.std() and high > frame.a.mean() + frame.a.std()


@pytest.mark.parametrize(
    "make", [LinearGaussian, lambda: LinearGaussian(degree=3), HeteroscedasticGaussian]
)
def test_the_range_of_a_curve_without_points_is_that_of_its_fit(make):
    rng = np.random.default_rng(3)
    x = rng.normal(400, 20, size=200)
    y = x / 10 + rng.normal(size=200)
    (subject,) = line.subjects(shelf_of({"saved": make().fit(x[:, None], y)}, built_in=False))
    low, high = subject.make()["columns"][0]["range"]
    assert (low + high) / 2 == pytest.approx(x.mean(), rel=1e-6)
    assert (high - low) / (2 * line.REACH) == pytest.approx(x.std(), rel=0.1)


def test_a_network_is_trained_on_the_points_or_said_to_be_absent(monkeypatch):
    absent = importlib.util.find_spec("torch") is None
    (subject,) = line.subjects(Shelf())
    if not absent:
        sent = subject.later["network"]()
        assert sent["n"] == 442 and sent["x"].startswith("body mass index")
    monkeypatch.setattr(line, "find_spec", lambda name: None)
    (subject,) = line.subjects(Shelf())
    assert "PyTorch" in subject.make()["network"] and not subject.later


# ---- by hand ------------------------------------------------------------------------------------

PLOT = "#room-line .stage svg.plot"


def at(page, u, v):
    box = page.locator(PLOT).bounding_box()
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def log_likelihood(page):
    return number(fact(page, "line", "log-likelihood"))


def test_points_are_added_moved_and_removed(visit):
    page = visit("line")
    assert fact(page, "line", "Points") == "12"
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("needs 3 points or more").wait_for()
    for u, v in ((0.3, 0.7), (0.5, 0.4), (0.8, 0.3)):
        page.mouse.click(*at(page, u, v))
    assert fact(page, "line", "Points") == "3"
    slope = number(fact(page, "line", "slope w"))
    assert slope > 0
    page.mouse.move(*at(page, 0.8, 0.3))
    page.mouse.down()
    page.mouse.move(*at(page, 0.8, 0.7), steps=5)
    page.mouse.up()
    wait_until(lambda: number(fact(page, "line", "slope w")) < slope)
    page.keyboard.press("Delete")
    page.get_by_text("needs 3 points or more").wait_for()
    page.keyboard.press("a")
    assert fact(page, "line", "Points") == "3"
    page.keyboard.press("n")
    page.keyboard.press("ArrowUp")
    again = visit(address(page)[1:])
    assert fact(again, "line", "slope w") == fact(page, "line", "slope w")
    page.get_by_role("button", name="Remove point").click()
    assert fact(page, "line", "Points") == "2"
    page.get_by_role("button", name="As in the data").click()
    assert fact(page, "line", "Points") == "12"


def test_a_drag_is_one_change(visit):
    page = visit("line")
    before = log_likelihood(page)
    page.mouse.move(*at(page, 0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*at(page, 0.3, 0.4), steps=8)
    page.mouse.up()
    wait_until(lambda: fact(page, "line", "Points") == "13")
    page.get_by_text("To try: 1 of 3").wait_for()
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: fact(page, "line", "Points") == "12")
    assert log_likelihood(page) == before


def test_a_finger_moves_a_point_and_elsewhere_scrolls(visit):
    page = visit("line", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    session = page.context.new_cdp_session(page)

    def swipe(x, y):
        for k in range(9):
            kind = "touchMove" if k else "touchStart"
            touch = {"type": kind, "touchPoints": [{"x": x, "y": y - 10 * k}]}
            session.send("Input.dispatchTouchEvent", touch)
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        settled(page)

    d = page.locator(f"{PLOT} .datum").get_attribute("d")
    x, y = map(float, d[1:].split("h")[0].split())
    box = page.locator(PLOT).bounding_box()
    swipe(box["x"] + x + 8, box["y"] + y)  # beside it will do
    wait_until(lambda: re.match(r"\d+:[\d.]+,[\d.]+$", field(page, "edits")))
    held = field(page, "edits")
    assert page.evaluate("scrollY") == 0
    swipe(*at(page, 0.3, 0.75))  # no point is near
    wait_until(lambda: page.evaluate("scrollY") > 0)
    assert field(page, "edits") == held


def test_more_points_are_shown_and_others_drawn(visit):
    page = visit("line")
    first = log_likelihood(page)
    page.get_by_role("button", name="Draw 12 others").click()
    wait_until(lambda: log_likelihood(page) != first)
    page.locator("label", has_text="all 442").click()
    assert fact(page, "line", "Points") == "442"
    X, y, _ = datasets.line()
    model = LinearGaussian().fit(X, y)
    assert log_likelihood(page) == pytest.approx(model.log_likelihood_, abs=0.006)
    squares = number(fact(page, "line", "sum of squares"))
    assert squares == pytest.approx(442 * model.noise_variance_, rel=1e-3)
    assert number(fact(page, "line", "σ")) == pytest.approx(model.noise_variance_**0.5, rel=1e-2)
    page.get_by_label("residuals as squares").check()
    page.locator(f"{PLOT} .squares").wait_for(state="attached")
    page.get_by_role("button", name="Draw a dozen").click()
    wait_until(lambda: fact(page, "line", "Points") == "12")


def test_a_degree_and_a_spread_that_depends_on_x(visit):
    page = visit("line?n=442")
    X, y, _ = datasets.line()
    slider = page.get_by_role("slider", name="Degree")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    cubic = LinearGaussian(degree=3).fit(X, y)
    wait_until(lambda: abs(log_likelihood(page) - cubic.log_likelihood_) < 0.006)
    page.keyboard.press("Home")
    page.locator("label", has_text="depends on x").click()
    spread = HeteroscedasticGaussian().fit(X, y)
    wait_until(lambda: abs(log_likelihood(page) - spread.log_likelihood_) < 0.006)


def test_the_line_leaves_its_maximum_and_returns(visit):
    page = visit("line")
    best = log_likelihood(page)
    plot = page.locator("svg[aria-label^='Contours of the log-likelihood over slope']")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"])
    wait_until(lambda: log_likelihood(page) < best - 1)
    plot.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="To the maximum").click()
    wait_until(lambda: log_likelihood(page) == best)


def test_columns_are_chosen_and_are_never_the_same(visit):
    page = visit("line")
    x, y = (page.get_by_label(axis, exact=True) for axis in "xy")
    x.select_option(label="sex")  # two groups, by their names
    wait_until(lambda: page.locator(f"{PLOT} .axes .name", has_text="sex").count() == 1)
    assert number(fact(page, "line", "Points")) == 12
    x.select_option(label="disease progression")
    wait_until(lambda: y.evaluate("(s) => s.selectedOptions[0].text") == "age (years)")
    y.select_option(label="disease progression")
    wait_until(lambda: x.evaluate("(s) => s.selectedOptions[0].text") != "disease progression")


def test_curves_beside_the_fit_have_their_likelihood(chromium, tmp_path):
    pytest.importorskip("torch", reason="the network is an extra")
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.uniform(0, 6, 60)})
    frame["y"] = np.sin(frame.x) + 0.1 * rng.normal(size=60)
    frame.to_csv(tmp_path / "own.csv", index=False)
    model = NeuralGaussian(hidden_size=8, max_steps=100, random_state=0)
    model.fit(frame[["x"]], frame.y).save(tmp_path / "waves.model")
    studio, running, thread = started(Shelf.of([tmp_path / "own.csv", tmp_path / "waves.model"]))
    page = Page(chromium)
    shown = page.open(f"{studio.entrance}#line?n=60")
    value = shown.locator(".line-other", has_text="waves").locator("output")
    expected = load(tmp_path / "waves.model").log_density(frame[["x"]], frame.y).sum()
    wait_until(lambda: abs(number(value.inner_text()) - expected) < 0.006)
    assert shown.locator(f"{PLOT} .saved-line").count() == 1
    shown.get_by_label("waves").uncheck()
    wait_until(lambda: shown.locator(f"{PLOT} .saved-line").count() == 0)
    shown.get_by_label("NeuralGaussian", exact=True).check()
    shown.get_by_text("trained on 60 points").wait_for()
    assert shown.locator(f"{PLOT} .saved-line").count() == 1
    assert not page.problems
    page.context.close()
    running.should_exit = True
    thread.join(60)
