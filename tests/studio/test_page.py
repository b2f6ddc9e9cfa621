"""The page around the rooms: tabs, undo, links, light and dark, files, two windows, a restart."""

from __future__ import annotations

import re
from contextlib import contextmanager
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from ancestral.studio.shelf import Item, Shelf
from tests.conftest import PATIENCE
from tests.studio.conftest import Page, modules_by_name, started, told, wait_until
from tests.studio.reading import ROOMS, address, field, settled

RNG = np.random.default_rng(0)
ONE = b"a,b,c\n" + b"\n".join(b"%.3f,%.3f,%.3f" % tuple(row) for row in RNG.normal(size=(30, 3)))


def table(of: str, name: str, n: int = 40) -> Item:
    """A table as the user would have opened it."""
    rows = np.random.default_rng(n).normal(size=(n, 4))
    return Item(
        of, name, "table", f"{n} rows × 4 columns", pd.DataFrame(rows, columns=list("abcd"))
    )


@contextmanager
def served(*items: Item, port: int = 0):
    """A studio of its own, whose files may change."""
    studio, running, thread = started(Shelf(list(items)), port=port)
    try:
        yield studio
    finally:
        running.should_exit = True
        thread.join(PATIENCE)


@pytest.fixture
def window(chromium):
    """Open pages of any studio; afterwards none has complained."""
    opened: list[Page] = []

    def go(where: str) -> Page:
        page = Page(chromium, viewport={"width": 1280, "height": 720})
        opened.append(page)
        page.open(where)
        return page

    yield go
    for page in opened:
        page.context.close()


def tool(page, name: str):
    return page.locator(".tools").get_by_role("button", name=name, exact=True)


def heading(page) -> str:
    return page.locator(".room:not([hidden]) h2").text_content()


# ---- tabs and addresses -------------------------------------------------------------------------


def test_rooms_are_reached_by_keyboard(visit):
    page = visit(ROOMS[0])
    verbs = page.locator(".tabs a").all_text_contents()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the room"
    for verb in verbs:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == verb
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#room-{ROOMS[-1]}:not([hidden]) .panel")
    assert heading(page) == verbs[-1]
    assert page.evaluate("document.title").startswith(verbs[-1])


def test_a_tab_is_followed_though_the_room_left_writes_its_address_late(visit):
    """On a busy machine the address of the room left can come between the click and its event."""
    page = visit(ROOMS[0])
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
    page.wait_for_selector(f"#room-{ROOMS[0]}:not([hidden]) .panel")


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_pictures_and_data_are_saved(visit, room):
    page = visit(room)
    for kind, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"")):
        page.locator(".menu summary").click()
        with page.expect_download() as saving:
            page.locator(".menu-list button", has_text=kind).first.click()
        content = saving.value.path().read_bytes()
        assert content.startswith(start) and len(content) > 100
        assert saving.value.suggested_filename.startswith(f"{room}-")
        if kind == "SVG":
            assert ElementTree.fromstring(content).tag.endswith("svg")


SENSELESS = ("", "x", "NaN", "-1e99", "1e99", "%%%", "9:9;;,,:", "1,2;3", "__proto__:1")


@pytest.mark.parametrize("room", ROOMS)
def test_addresses_that_make_no_sense_still_open_a_room(visit, script, studio, room):
    """Each value of the state is misspelt; what is shown is in range, and spelt anew as it is."""
    module = room if room in modules_by_name() else f"{room}_{room}"
    data = told(studio.shelf, room)
    keys = script(f"return Object.keys({module}.room.state(given));", data)
    page = visit(room)
    for wrong in SENSELESS:
        page.evaluate(
            "(hash) => { location.hash = hash; }",
            f"#{room}?" + "&".join(f"{key}={wrong}" for key in keys),
        )
        settled(page)
        page.wait_for_selector(f"#room-{room}:not([hidden]) .panel")
        once = address(page)
        page.evaluate(
            "(hash) => { location.hash = hash; }", once + ("&" if "?" in once else "?") + "again="
        )
        settled(page)
        assert address(page) == once


@pytest.mark.parametrize("room", ROOMS)
def test_a_first_state_is_not_in_the_address(visit, script, studio, room):
    """What is spelt is read as it was: by each type, of its first value."""
    assert re.fullmatch(rf"#{room}(\?data=[^&]*)?", address(visit(room)))
    module = room if room in modules_by_name() else f"{room}_{room}"
    other = script(
        f"""
        const types = Object.entries({module}.room.state(given));
        const again = (type) => type.write(type.hold(type.read(type.write(type.first))));
        const isSame = ([, type]) => again(type) === type.write(type.first);
        return types.filter((one) => !isSame(one)).map(([key]) => key);
        """,
        told(studio.shelf, room),
    )
    assert not other


def test_an_address_of_no_room_opens_the_first(visit):
    assert address(visit("nowhere")) == f"#{ROOMS[0]}"


# ---- undo, redo, reset --------------------------------------------------------------------------


def dragged(page, slider, *shares: float) -> None:
    """Drag a slider through shares of its track, in one press."""
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + shares[0] * box["width"], y)
    page.mouse.down()
    for share in shares[1:]:
        page.mouse.move(box["x"] + share * box["width"], y, steps=5)
        page.wait_for_timeout(150)  # longer than what ends a press
    page.mouse.up()


def test_one_drag_is_one_undo(visit):
    page = visit("compare")
    slider = page.get_by_role("slider", name="Image")
    dragged(page, slider, 0.2, 0.6, 0.9)
    first = field(page, "row")
    assert int(first) > 14
    dragged(page, slider, 0.9, 0.5)
    wait_until(lambda: tool(page, "Undo").is_enabled())
    assert 5 < int(field(page, "row")) < int(first)
    tool(page, "Undo").click()
    assert field(page, "row") == first
    tool(page, "Undo").click()
    assert field(page, "row") == "" and tool(page, "Undo").is_disabled()
    tool(page, "Redo").click()
    assert field(page, "row") == first
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+z")
    assert field(page, "row") == first


def test_one_run_of_arrow_keys_is_one_undo(visit):
    page = visit("compare")
    page.get_by_role("slider", name="Image").focus()
    for _ in range(2):
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(1000)  # longer than within a run
    assert field(page, "row") == "9"
    page.keyboard.press("Control+z")
    assert field(page, "row") == "5"
    page.keyboard.press("Control+z")
    assert field(page, "row") == "" and tool(page, "Undo").is_disabled()


def test_each_room_undoes_its_own_changes(visit):
    page = visit("compare")
    page.get_by_role("button", name="Hardest image").click()
    row = field(page, "row")
    page.locator(f".tabs a[data-room={ROOMS[0]}]").click()
    page.wait_for_selector(f"#room-{ROOMS[0]}:not([hidden]) .panel")
    assert tool(page, "Undo").is_disabled()
    page.locator(".tabs a[data-room=compare]").click()
    wait_until(lambda: field(page, "row") == row)  # a room is as it was left
    tool(page, "Undo").click()
    assert address(page) == "#compare"


def test_reset_puts_a_room_back_and_can_be_undone(visit):
    page = visit("compare?first=3&second=7&row=12")
    tool(page, "Reset").click()
    assert address(page) == "#compare" and tool(page, "Reset").is_disabled()
    tool(page, "Undo").click()
    # What has a state names its data, built in or not: beside others it would say something else.
    assert re.fullmatch(
        r"#compare\?data=[0-9a-f]{8}~faces, built in&first=3&second=7&row=12", address(page)
    )


# ---- light and dark -----------------------------------------------------------------------------


def test_light_and_dark_are_the_systems_until_chosen(visit):
    page = visit("compare", color_scheme="dark")
    theme = "document.documentElement.dataset.theme"
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(theme) == "dark"
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    wait_until(lambda: page.evaluate(theme) == "light")
    assert page.evaluate(ground) != dark
    tool(page, "Dark").click()
    assert page.evaluate(theme) == "dark" and page.evaluate(ground) == dark
    page.reload()
    page.wait_for_selector("#room-compare .panel")
    assert page.evaluate(theme) == "dark"


# ---- files --------------------------------------------------------------------------------------


def test_files_are_opened_told_and_closed(window):
    """Where a file shows, why it does not, and what could not be opened; then it is gone."""
    with served() as studio:
        page = window(f"{studio.entrance}#compare").page
        tool(page, "Files").click()
        dialog = page.get_by_role("dialog", name="Files")
        files = [("one.csv", ONE), ("few.csv", b"a,b\n1,2\n3,4\n"), ("x.model", b"no model")]
        dialog.locator("input[type=file]").set_input_files(
            [{"name": name, "mimeType": "", "buffer": content} for name, content in files]
        )
        dialog.locator(".wrong", has_text="x.model").wait_for()
        few = dialog.locator("li", has=page.get_by_title("Close few.csv"))
        assert "2 rows; 5 or more" in few.inner_text()
        one = dialog.locator("li", has=page.get_by_title("Close one.csv"))
        one.get_by_role("button", name="Compare models").click()
        data = page.locator("#room-compare .about")
        wait_until(lambda: "one.csv" in data.inner_text())
        assert field(page, "data").endswith("~one.csv")
        tool(page, "Files").click()
        page.get_by_title("Close one.csv").click()
        wait_until(lambda: dialog.get_by_title("Close one.csv").count() == 0)
        dialog.get_by_role("button", name="Done").click()
        wait_until(lambda: "one.csv" not in data.inner_text())
        assert studio.shelf.items[0].name == "few.csv"


def test_an_upload_leaves_the_other_rooms_as_they_are(window):
    with served(table("a" * 8, "mine.csv")) as studio:
        page = window(f"{studio.entrance}#compare").page
        page.get_by_role("button", name="Hardest row").click()
        before = address(page)
        page.evaluate(
            """(bytes) => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([new Uint8Array(bytes)], "other.csv"));
              const options = { dataTransfer, bubbles: true, cancelable: true };
              document.querySelector("main").dispatchEvent(new DragEvent("drop", options));
            }""",
            list(ONE),
        )
        page.get_by_text("other.csv is open.").wait_for()
        chooser = page.locator("#room-compare .about select")
        assert chooser.locator("option").all_text_contents() == ["mine.csv", "other.csv"]
        assert "other.csv" in field(page, "data")
        chooser.select_option("mine.csv")
        settled(page)
        assert address(page) == before
        tool(page, "Undo").click()
        assert field(page, "row") == ""


def test_a_link_opens_the_data_it_was_made_with_or_says_so(window):
    """A link carries its data's identity; the state of other data would mean nothing here."""
    mine, other = table("a" * 8, "mine.csv"), table("b" * 8, "other.csv", n=90)
    with served(mine, other) as studio:
        page = window(f"{studio.entrance}#compare").page
        page.locator("#room-compare .about select").select_option("other.csv")
        page.get_by_role("button", name="Hardest row").click()
        link = address(page)
        again = window(f"{studio.entrance}{link}").page
        assert address(again) == link
        studio.shelf.close(other.id)
        gone = window(f"{studio.entrance}{link}").page
        gone.get_by_text("This link was made with other.csv").wait_for()
        assert "mine.csv" in field(gone, "data") and field(gone, "row") == ""


def test_two_windows_do_not_mix(window):
    """What one closes the other learns of; its room goes, and is not filled with other data."""
    mine, other = table("a" * 8, "mine.csv"), table("b" * 8, "other.csv", n=90)
    with served(mine, other) as studio:
        one = window(f"{studio.entrance}#compare").page
        two = window(f"{studio.entrance}#compare").page
        two.get_by_role("button", name="Hardest row").click()
        tool(one, "Files").click()
        one.get_by_title("Close mine.csv").click()
        wait_until(lambda: len(studio.shelf.items) == 1)
        two.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        two.get_by_text("Files were opened or closed in another window.").wait_for()
        wait_until(lambda: "other.csv" in field(two, "data"))
        assert field(two, "row") == "" and tool(two, "Undo").is_disabled()


def test_after_a_restart_the_page_says_how_it_is_found(chromium):
    """Another session at the same address does not know this page, which goes on as it is."""
    page = Page(chromium)
    with served(table("a" * 8, "mine.csv")) as studio:
        shown = page.open(f"{studio.entrance}#compare")
    shown.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shown.get_by_text("The server has stopped").wait_for()
    with served(table("a" * 8, "mine.csv"), port=studio.port):
        shown.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        shown.get_by_text("The studio was started again").wait_for()
        shown.get_by_role("button", name="Hardest row").click()
        assert field(shown, "row")
    page.context.close()


# ---- styles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_is_dressed_by_anothers_styles(visit, room):
    """Names of classes are free in a room, where its styles begin with what is its own."""
    page = visit(room)
    reached = page.evaluate(
        """(room) => {
          const nodes = [...document.querySelectorAll(`#room-${room} *`)];
          const rules = (list) =>
            [...list].flatMap((rule) => (rule.selectorText ? [rule] : rules(rule.cssRules ?? [])));
          const others = [...document.styleSheets].filter(
            ({ href }) => /page\\/\\w+\\/\\w+\\.css/.test(href) && !href.includes(`/${room}/`),
          );
          const all = others.flatMap((sheet) => rules(sheet.cssRules).map((r) => r.selectorText));
          return [others.length, all.filter((one) => nodes.some((node) => node.matches(one)))];
        }""",
        room,
    )
    assert reached == [len(ROOMS) - 1, []]
