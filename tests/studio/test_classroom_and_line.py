"""The rooms of graphs and of points, by mouse, finger and keyboard."""

from __future__ import annotations

import pytest

from ancestral import datasets
from tests.studio.conftest import wait_until
from tests.studio.reading import address, fact, field, number, settled

# ---- classroom ----------------------------------------------------------------------------------


def test_the_class_follows_a_and_b(visit):
    page = visit("classroom?a=3&b=-3&n=15&pupils=2&links=2")
    expected = number(fact(page, "classroom", "Expected"))
    slider = page.get_by_role("slider", name="b, the readiness to link")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    assert number(fact(page, "classroom", "Expected")) > expected
    assert float(field(page, "b")) == pytest.approx(-2.4)
    page.get_by_role("slider", name="Number of pupils").focus()
    page.keyboard.press("End")
    page.locator(".pupil").nth(59).wait_for()
    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert page.locator(".pupil").count() == 15


def test_a_pupil_is_moved_by_hand_and_by_key(visit):
    page = visit("classroom?pupils=5")
    dot = page.locator(".pupil").nth(2)
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] - 40, steps=6)
    page.mouse.up()
    moved = field(page, "moved")
    assert moved.startswith("3:")
    slider = page.get_by_role("slider", name="Feature 1 of the chosen pupil")
    assert float(slider.input_value()) == pytest.approx(float(moved[2:].split(",")[0]), abs=0.01)
    page.locator("svg.network").focus()
    before = float(field(page, "moved")[2:].split(",")[0])
    page.keyboard.press("ArrowLeft")
    assert float(field(page, "moved")[2:].split(",")[0]) == pytest.approx(before - 0.02, abs=2e-3)
    page.get_by_label("Pupil", exact=True).select_option("7")
    slider.focus()
    page.keyboard.press("Home")
    assert ";7:-1," in field(page, "moved")


def test_a_finger_moves_a_pupil_and_elsewhere_scrolls(visit):
    page = visit(
        "classroom?pupils=5",
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
    )
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        touched = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    def swipe(x, y):
        touch("touchStart", (x, y))
        for k in range(1, 9):
            touch("touchMove", (x, y - 10 * k))
        touch("touchEnd")
        settled(page)

    page.locator("svg.network").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    dot, net = (page.locator(s).nth(0).bounding_box() for s in (".pupil", "svg.network"))
    swipe(dot["x"] + dot["width"] / 2 + 11, dot["y"] + dot["height"] / 2)  # beside it will do
    wait_until(lambda: field(page, "moved").startswith("1:"))
    assert page.evaluate("scrollY") == before
    moved = field(page, "moved")
    swipe(net["x"] + 6, net["y"] + net["height"] - 6)
    wait_until(lambda: page.evaluate("scrollY") > before)
    assert field(page, "moved") == moved


def test_the_ascent_ends_at_the_maximum(visit):
    page = visit("classroom?a=0&b=0")
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Climb").click()
    page.wait_for_function("() => document.querySelectorAll('.ascent-dot').length > 5")
    wait_until(lambda: number(fact(page, "classroom", "Below the maximum")) < 1e-3)
    plot = page.locator("svg[aria-label^='Contours of the log-likelihood of the data']")
    plot.focus()
    page.keyboard.press("Shift+ArrowUp")
    assert number(fact(page, "classroom", "Below the maximum")) > 1
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    assert number(fact(page, "classroom", "Below the maximum")) > 100
    page.get_by_role("button", name="To the maximum").click()
    assert number(fact(page, "classroom", "Below the maximum")) == 0


def test_graphs_of_the_data_are_shown_as_they_are(visit):
    page = visit("classroom?graph=4")
    graph = datasets.classrooms()[3]
    assert fact(page, "classroom", "Links").startswith(f"{graph.n_edges} of")
    page.get_by_text("links", exact=True).click()
    wait_until(lambda: field(page, "by") == "links")


# ---- line ---------------------------------------------------------------------------------------


def test_points_are_added_moved_and_removed(visit):
    page = visit("line")
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("wants 3 points or more").wait_for()
    plot = page.locator("#room-line svg.plot").first
    box = plot.bounding_box()
    at = lambda u, v: (box["x"] + u * box["width"], box["y"] + v * box["height"])  # noqa: E731
    for u, v in ((0.3, 0.7), (0.5, 0.4), (0.8, 0.3)):
        page.mouse.click(*at(u, v))
    assert fact(page, "line", "Points") == "3"
    slope = number(fact(page, "line", "slope w"))
    assert slope > 0
    page.mouse.move(*at(0.8, 0.3))
    page.mouse.down()
    page.mouse.move(*at(0.8, 0.85), steps=5)
    page.mouse.up()
    wait_until(lambda: number(fact(page, "line", "slope w")) < slope)
    page.keyboard.press("Delete")
    page.get_by_text("wants 3 points or more").wait_for()
    page.keyboard.press("a")
    assert fact(page, "line", "Points") == "3"
    page.keyboard.press("n")
    page.keyboard.press("ArrowUp")
    again = visit(address(page)[1:])
    assert fact(again, "line", "slope w") == fact(page, "line", "slope w")
    page.get_by_role("button", name="As in the data").click()
    assert fact(page, "line", "Points") == "442"


def test_the_line_leaves_its_maximum_and_returns(visit):
    page = visit("line")
    best = number(fact(page, "line", "log-likelihood"))
    plot = page.locator("svg[aria-label^='Contours of the log-likelihood over slope']")
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"])
    wait_until(lambda: number(fact(page, "line", "log-likelihood")) < best - 1)
    plot.focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="To the maximum").click()
    assert number(fact(page, "line", "log-likelihood")) == best
    page.locator("label", has_text="depends on x").click()
    assert number(fact(page, "line", "log-likelihood")) > best
