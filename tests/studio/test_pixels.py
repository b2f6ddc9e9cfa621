"""The room of pixels, used as a reader would: pressed, painted, drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ancestral import datasets
from ancestral.autoregressive.conditioning import completions
from tests.studio.conftest import wait_until
from tests.studio.reading import address, field, number, settled

NOTHING = "-" * 25


def cell(page, i: int):
    return page.locator("#room-pixels .cell").nth(i)


def answers(page, i: int) -> dict[str, float]:
    """The percentage with which each model says that a pixel is on, by its cell's words."""
    settled(page)
    found = re.findall(r"(\w+) ([\d.<>±]+) %", cell(page, i).get_attribute("aria-label"))
    return {name: number(text) for name, text in found}


def pictures(page) -> list[str]:
    settled(page)
    return page.evaluate(
        "Array.from(document.querySelectorAll('.answer canvas'), (c) => c.toDataURL())"
    )


def test_a_half_drawn_image_is_finished(visit, models):
    """Answers are the exact posterior; a completion can be taken; both models are told."""
    icons, _ = datasets.icons()
    known = np.where(np.arange(25) < 10, icons[20].astype(int), -1)
    page = visit("pixels?set=" + "".join("-" if v < 0 else str(v) for v in known))
    rows, log_p = completions(models["Tables"], known)
    p = np.exp(log_p) @ rows / np.exp(log_p).sum()
    page.get_by_text("Exact to 0.1 %.").wait_for()
    for i in range(10, 25):
        assert answers(page, i)["Tables"] == pytest.approx(100 * p[i], abs=1)
        assert "LSTM" in answers(page, i)
    page.locator(".completion").first.click()
    levels = field(page, "set")
    assert [int(c) for c in levels] in rows.tolist()
    page.get_by_role("button", name="Undo").click()
    assert field(page, "set").count("-") == 15


def test_listed_images_have_the_probability_of_either_model(visit):
    """With nothing known each icon has 1/32 by the tables, on whichever list it stands."""
    page = visit("pixels?set=" + NOTHING)
    page.get_by_text("Exact to 0.1 %.").wait_for()
    listed = page.locator(".completion")
    assert listed.count() == 12
    for label in listed.evaluate_all("nodes => nodes.map((n) => n.getAttribute('aria-label'))"):
        assert "Tables 3.1 %" in label.replace("\xa0", " ")
    page.get_by_text("Tables: all other images together have at most 63 % (20 found).").wait_for()


def test_pixels_are_set_by_mouse_and_keyboard(visit):
    page = visit("pixels")
    page.get_by_role("button", name="Clear").click()
    cell(page, 7).click()
    assert field(page, "set") == "-" * 7 + "1" + "-" * 17
    cell(page, 7).click()
    assert field(page, "set") == "-" * 7 + "0" + "-" * 17
    page.locator(".choice label", has_text="unknown").click()
    cell(page, 7).click()
    assert field(page, "set") == NOTHING
    page.get_by_text("next", exact=True).click()
    first, fourth = cell(page, 0).bounding_box(), cell(page, 3).bounding_box()
    middle = first["y"] + first["height"] / 2
    page.mouse.move(first["x"] + 10, middle)
    page.mouse.down()
    page.mouse.move(fourth["x"] + 10, middle, steps=15)
    page.mouse.up()
    assert field(page, "set")[:5] == "1111-"
    page.get_by_role("button", name="Undo").click()
    assert field(page, "set") == NOTHING  # a stroke is one change
    page.get_by_role("button", name="Redo").click()
    cell(page, 3).focus()
    for key in ("ArrowRight", "0", "ArrowDown", "1"):
        page.keyboard.press(key)
    assert field(page, "set")[4] == "0" and field(page, "set")[9] == "1"
    page.keyboard.press("Delete")
    assert field(page, "set")[9] == "-"


def test_a_finger_paints_in_any_direction(visit):
    page = visit(
        "pixels?set=" + NOTHING,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    boxes = [cell(page, i).bounding_box() for i in (2, 7, 12)]
    places = [{"x": b["x"] + b["width"] / 2, "y": b["y"] + b["height"] / 2} for b in boxes]
    touch = page.context.new_cdp_session(page)
    for kind, place in zip(("touchStart", "touchMove", "touchMove"), places, strict=True):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert [i for i, c in enumerate(field(page, "set")) if c == "1"] == [2, 7, 12]


def test_impossible_pixels_say_so(visit):
    page = visit("pixels?set=10100" + "-" * 20)
    page.get_by_text("No image has these pixels").wait_for()
    assert set(answers(page, 12)) == {"LSTM"}  # which rules nothing out


def test_a_draw_fills_the_image_pixel_by_pixel(visit):
    page = visit("pixels?set=" + NOTHING)
    page.get_by_text("Exact to 0.1 %.").wait_for()
    dots = page.locator("#room-pixels .dot.first")
    blank = pictures(page)
    page.get_by_role("button", name="One pixel").click()
    settled(page)
    assert dots.count() == 1 and pictures(page)[0] != blank[0]
    page.get_by_role("button", name="Draw again").click()
    dots.nth(1).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Draw again").click()
    settled(page)
    assert dots.count() == 25
    page.get_by_text("The images as a tree").click()
    wait_until(lambda: page.locator(".tree .branch.drawn").count() >= 3)
    again = visit(address(page)[1:])  # the link shows the same draw
    again.get_by_text("Exact to 0.1 %.").wait_for()
    assert pictures(again) == pictures(page)


def test_images_drawn_are_counted_until_one_comes_twice(visit):
    page = visit("pixels", reduced_motion="reduce")
    page.get_by_text("Exact to 0.1 %.").wait_for()
    page.get_by_role("button", name="Draw", exact=True).click()
    for n in range(2, 7):  # four images are possible: the fifth was seen before
        page.get_by_text(f"{n - 1} drawn").first.wait_for()
        page.get_by_role("button", name="Draw again").click()
    page.get_by_text(re.compile(r"possible. 6\sdrawn, [1-4]\sdifferent.")).wait_for()
    page.locator(".prompts li.done", has_text="how many differ").wait_for()
    page.get_by_role("button", name="Clear").click()
    settled(page)
    assert not page.get_by_text("drawn, ").count()


def test_other_models_are_chosen_and_undone(visit):
    page = visit("pixels")
    page.get_by_text("Exact to 0.1 %.").wait_for()
    tables, lstm = pictures(page)
    page.get_by_label("Second").select_option("0")
    assert pictures(page) == [tables, tables]
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Exact to 0.1 %.").wait_for()
    assert pictures(page) == [tables, lstm]


def test_leaving_one_image_is_ticked(visit):
    page = visit("pixels?set=" + NOTHING)
    for i in (0, 6, 6):  # on, and off: one icon alone is so
        cell(page, i).click()
    page.locator(".prompts li.done", has_text="only one image").wait_for()
