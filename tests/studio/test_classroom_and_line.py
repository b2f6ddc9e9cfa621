"""The room of points, by mouse, finger and keyboard."""

from __future__ import annotations

from tests.studio.conftest import wait_until
from tests.studio.reading import address, fact, number

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
