"""Rooms by mouse and by keyboard: what is touched moves, and can be undone and linked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ancestral import PPCA, datasets
from ancestral.autoregressive.conditioning import completions
from tests.studio.conftest import wait_until
from tests.studio.reading import address, as_greys, fact, field, number, pixels_of, settled

# ---- pixels -------------------------------------------------------------------------------------


def cells(page, side: str):
    return page.locator(f"#room-pixels .panel.{side} .cell")


def test_a_half_drawn_image_is_finished(visit, models):
    """Cells show the exact posterior; a completion can be taken; both models are told."""
    icons, _ = datasets.icons()
    known = np.where(np.arange(25) < 10, icons[20].astype(int), -1)
    page = visit("pixels?set=" + "".join("-" if v < 0 else str(v) for v in known))
    rows, log_p = completions(models["Tables"], known)
    p = np.exp(log_p) @ rows / np.exp(log_p).sum()
    for i in range(10, 25):
        shown = cells(page, "first").nth(i).inner_text()
        assert number(shown) == pytest.approx(100 * p[i], abs=1)
        assert "unknown" in cells(page, "second").nth(i).get_attribute("aria-label")
    page.locator(".completion").first.click()
    levels = field(page, "set")
    assert [int(c) for c in levels] in rows.tolist()
    page.get_by_role("button", name="Undo").click()
    assert field(page, "set").count("-") == 15


def test_listed_images_have_the_probability_of_either_model(visit):
    """With nothing known each icon has 1/32 by the tables, on whichever list it stands."""
    page = visit("pixels?set=" + "-" * 25)
    page.get_by_text("Certified").wait_for()
    listed = page.locator(".completion")
    assert listed.count() == 18
    for label in listed.evaluate_all("nodes => nodes.map((n) => n.getAttribute('aria-label'))"):
        assert "Tables 3.1 %" in label.replace("\xa0", " ")
    page.get_by_text("Tables: everything else together has at most 44 %.").wait_for()


def test_pixels_are_set_by_mouse_and_keyboard(visit):
    page = visit("pixels")
    page.get_by_role("button", name="All unknown").click()
    cells(page, "second").nth(7).click()
    assert field(page, "set") == "-" * 7 + "1" + "-" * 17
    cells(page, "first").nth(7).click()
    assert field(page, "set") == "-" * 7 + "0" + "-" * 17
    first = cells(page, "first").nth(0).bounding_box()
    fourth = cells(page, "first").nth(3).bounding_box()
    middle = first["y"] + first["height"] / 2
    page.mouse.move(first["x"] + 10, middle)
    page.mouse.down()
    page.mouse.move(fourth["x"] + 10, middle, steps=15)
    page.mouse.up()
    assert field(page, "set")[:5] == "1111-"
    cells(page, "first").nth(3).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("1")
    assert field(page, "set")[4] == "0" and field(page, "set")[9] == "1"
    page.keyboard.press("Delete")
    assert field(page, "set")[9] == "-"


def test_impossible_pixels_say_so(visit):
    page = visit("pixels?set=10100" + "-" * 20)
    page.get_by_text("No image of this model has these pixels").wait_for()
    assert page.locator(".panel.second .cell").nth(12).inner_text()  # the LSTM allows them


def test_a_draw_fills_the_image_pixel_by_pixel(visit):
    page = visit("pixels?set=" + "-" * 25)
    drawn = page.locator(".panel.first .cell[data-state=drawn]")
    page.get_by_role("button", name="One pixel").click()
    assert drawn.count() == 1
    page.get_by_role("button", name="Draw", exact=True).click()
    drawn.nth(1).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Draw", exact=True).click()
    assert drawn.count() == 25
    assert page.locator(".tree .branch.drawn").count() >= 5
    again = visit(address(page)[1:])  # the link shows the same draw
    shades = """() => Array.from(document.querySelectorAll(".panel.first .cell"),
      (cell) => getComputedStyle(cell).backgroundColor)"""
    assert again.evaluate(shades) == page.evaluate(shades)


# ---- distribution -------------------------------------------------------------------------------


def test_rows_are_picked_and_models_chosen(visit):
    page = visit("compare")
    names = page.locator("#room-compare tbody th").all_inner_texts()
    assert len(names) == 5
    page.get_by_label("Across").select_option("3")
    plot = page.locator("svg[aria-label^='Log density of each']")
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert field(page, "row") == "2" and field(page, "across") == "4"
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.7 * box["height"])
    page.get_by_role("button", name="Hardest row").click()
    assert fact(page, "compare", "Row").endswith("of 20")


# ---- the page around ----------------------------------------------------------------------------


def test_rooms_are_reached_by_keyboard(visit):
    page = visit("faces")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the room"
    for name in ("Faces", "Pixels", "Classroom"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == name
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Classroom", exact=True).wait_for()
    assert page.evaluate("document.title").startswith("Classroom")


def test_a_tab_is_followed_though_the_room_left_writes_its_address_late(visit):
    """On a busy machine the address of the room left can come between the click and its event."""
    page = visit("line")
    address(page)  # written
    page.evaluate(
        """() => {
          const left = location.hash;
          document.querySelector(".tabs a[data-room=compare]").click();
          history.replaceState(null, "", left);
        }"""
    )
    page.wait_for_selector("#room-compare:not([hidden]) .panel")
    assert address(page).startswith("#compare")
    page.go_back()
    page.wait_for_selector("#room-line:not([hidden]) .panel")


@pytest.mark.parametrize("room", ["faces", "pixels", "classroom", "line", "compare"])
def test_rooms_fit_their_screen_and_save_pictures_and_data(visit, room):
    page = visit(room)
    for width, height in ((360, 740), (768, 1024), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for kind, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"")):
        page.locator(".menu summary").click()
        with page.expect_download() as saving:
            page.locator(".menu-list button", has_text=kind).first.click()
        content = saving.value.path().read_bytes()
        assert content.startswith(start) and len(content) > 100
        assert saving.value.suggested_filename.startswith(f"{room}-")
        if kind == "SVG":
            from xml.etree import ElementTree

            assert ElementTree.fromstring(content).tag.endswith("svg")


SENSELESS = (
    "nowhere",
    "faces?d=x&z=a,b&face=-3&hidden=%%%",
    "pixels?set=2",
    "classroom?a=NaN&moved=9:1&graph=77&n=-4",
    "line?points=1;2,3;x,y&line=,",
    "compare?row=0&up=x",
)


@pytest.mark.parametrize("state", SENSELESS)
def test_addresses_that_make_no_sense_still_open_a_room(visit, state):
    page = visit(state)
    assert page.locator(".room:not([hidden]) .panel").count() > 1
