"""Every control of every room is in sight together with what it changes, and changes it.

One room:    python -m pytest -q tests/studio/test_controls.py -k mixture -p no:cacheprovider
On a phone:  ... -k "mixture and phone"
A failure names each control and what is wrong with it (walking.py says what is asked of them).
"""

from __future__ import annotations

import pytest

from tests.studio.reading import ROOMS, settled
from tests.studio.walking import Walk

SCREENS = {
    "laptop": {"viewport": {"width": 1280, "height": 720}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
    },
}


@pytest.fixture(params=SCREENS)
def screen(request):
    return request.param


@pytest.mark.parametrize("room", ROOMS)
def test_every_control_is_in_sight_with_what_it_changes(visit, room, screen):
    page = visit(room, reduced_motion="reduce", **SCREENS[screen])
    found = Walk(page, room, tap=screen == "phone").violations()
    assert not found, "\n".join([f"{room}, {screen}:", *found])


@pytest.mark.parametrize("room", ROOMS)
def test_a_vertical_swipe_changes_nothing(visit, room):
    page = visit(room, reduced_motion="reduce", **SCREENS["phone"])
    found = Walk(page, room, tap=True).moved_by_swipes()
    assert not found, "\n".join([f"{room}:", *found])


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_scrolls_sideways(visit, room):
    page = visit(room)
    for width, height in ((320, 640), (390, 844), (768, 1024), (1280, 720), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        settled(page)
        wide = page.evaluate(
            """(room) => ["html", `#room-${room} .stage`, `#room-${room} .side`]
              .map((place) => document.querySelector(place))
              .filter((node) => node.scrollWidth > node.clientWidth + 1)
              .map((node) => [node.className || "page", node.scrollWidth, node.clientWidth])""",
            room,
        )
        assert not wide, f"{room} at {width}: {wide}"


def test_the_header_is_48_pixels_high(visit):
    page = visit(ROOMS[0], viewport={"width": 1280, "height": 720})
    assert page.locator(".top").bounding_box()["height"] <= 48


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_all_tabs_are_reached_at_every_width(visit, width):
    page = visit(ROOMS[0], viewport={"width": width, "height": 700})
    tabs = page.locator(".tabs a")
    assert tabs.count() == len(ROOMS)
    for tab in tabs.all():
        box = tab.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        hit = """([x, y]) => document.elementFromPoint(x, y)?.closest("a")?.dataset.room"""
        at = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        assert page.evaluate(hit, at) == tab.get_attribute("data-room")
