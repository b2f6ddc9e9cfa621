"""Rooms by mouse and by keyboard: what is touched moves, and can be undone and linked."""

from __future__ import annotations

import pytest

from tests.studio.reading import address, fact, field, settled

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
