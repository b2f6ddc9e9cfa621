"""Rooms by mouse and by keyboard: what is touched moves, and can be undone and linked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ancestral import PPCA
from tests.studio.conftest import wait_until
from tests.studio.reading import address, as_greys, fact, field, number, pixels_of, settled

# ---- faces --------------------------------------------------------------------------------------


def test_the_face_on_the_screen_is_the_face_that_z_draws(visit, faces):
    page = visit("faces?d=6&z=1.5,-2,0.5,3,-0.25,0")
    expected = PPCA(6).fit(faces).decode([[1.5, -2, 0.5, 3, -0.25, 0]])[0]
    assert np.abs(pixels_of(page, "The face") - as_greys(expected)).max() <= 1  # ties of rounding


def test_a_slider_moves_the_face_and_can_be_undone(visit):
    page = visit("faces?d=4&face=1")
    before = pixels_of(page, "The face")
    slider = page.get_by_role("slider", name="z 1", exact=True)
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    moved = pixels_of(page, "The face")
    assert np.abs(moved - before).max() > 5
    assert "z=" in address(page)
    page.get_by_role("button", name="Posterior mean").click()
    assert np.abs(pixels_of(page, "The face") - before).max() == 0
    page.keyboard.press("Control+z")  # three decimals are kept
    wait_until(lambda: np.abs(pixels_of(page, "The face") - moved).max() <= 1)
    page.keyboard.press("Control+Shift+z")
    wait_until(lambda: np.abs(pixels_of(page, "The face") - before).max() == 0)


def test_a_link_shows_the_same_face(visit):
    page = visit("faces?d=12")
    page.get_by_role("button", name="New face").click()
    shown, link = pixels_of(page, "The face"), address(page)
    again = visit(link[1:])
    assert np.abs(pixels_of(again, "The face") - shown).max() <= 1


def test_a_picked_face_gets_its_posterior(visit, faces):
    page = visit("faces?d=16")
    page.get_by_role("button", name=re.compile(r"Face \d+ of 100")).nth(7).click()
    k = int(field(page, "face")) - 1
    model = PPCA(16).fit(faces)
    expected = model.reconstruct(faces[[k]])[0]
    assert np.abs(pixels_of(page, "The face") - as_greys(expected)).max() <= 1
    assert np.abs(pixels_of(page, "The original") - as_greys(faces[k])).max() <= 1
    assert number(fact(page, "faces", "log p(original)")) == pytest.approx(
        model.log_density(faces[[k]])[0], abs=0.06
    )
    page.keyboard.press("ArrowRight")  # Tab stops once at the faces; arrow keys go on from there
    page.keyboard.press("Enter")
    assert int(field(page, "face")) - 1 > k
    assert page.locator(".thumb[tabindex='0']").count() == 1


def test_one_face_is_turned_into_another(visit, faces):
    """The slider walks the line between two posterior means; t is where z is nearest to it."""
    page = visit("faces?d=8&face=1")
    model = PPCA(8).fit(faces)
    page.locator("label", has_text="the other").click()
    page.get_by_role("button", name=re.compile(r"Face \d+ of 100")).nth(4).click()
    k = int(field(page, "other")) - 1
    a, b = model.posterior_mean(faces[[0, k]])
    slider = page.get_by_role("slider", name="t, from this face to the other")
    for t, z in (("1", b), ("0.5", (a + b) / 2), ("0", a)):
        slider.fill(t)
        assert np.abs(pixels_of(page, "The face") - as_greys(model.decode([z])[0])).max() <= 1
    assert field(page, "z") == ""  # at the start it is the posterior mean itself
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("slider", name="z 1", exact=True).fill("2")
    z = a + 0.01 * (b - a)
    z[0] = 2
    settled(page)
    expected = np.clip((z - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    assert float(slider.input_value()) == pytest.approx(expected, abs=0.006)
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Play").click()
    shown = pixels_of(page, "The face")
    assert np.abs(shown - as_greys(model.decode([b])[0])).max() <= 1
    again = visit(address(page)[1:])
    assert np.abs(pixels_of(again, "The face") - shown).max() <= 1
    page.emulate_media(reduced_motion="no-preference")
    page.get_by_role("button", name="New face").click()
    drawn = pixels_of(page, "The face")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Stop").click()
    slider.fill("0")
    assert np.abs(pixels_of(page, "The face") - drawn).max() <= 1


def test_a_hidden_part_is_filled_and_shown_again(visit, faces):
    page = visit("faces?d=16&face=1")
    canvas = page.locator("canvas.paintable")
    box = canvas.bounding_box()
    at = lambda u, v: (box["x"] + u * box["width"], box["y"] + v * box["height"])  # noqa: E731
    page.mouse.move(*at(0.3, 0.7))
    page.mouse.down()
    page.mouse.move(*at(0.7, 0.7), steps=12)
    page.mouse.up()
    page.locator(".five").wait_for()
    settled(page)
    hidden = int(re.search(r"the other (\d+)", page.locator("#room-faces").inner_text())[1])
    assert 20 < hidden < 60
    shown = pixels_of(page, "Conditional mean").reshape(24, 24)
    np.testing.assert_array_equal(shown[:10], as_greys(faces[0]).reshape(24, 24)[:10])
    page.get_by_role("button", name="Show all", exact=True).click()
    assert not page.locator(".five").is_visible()
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert page.locator(".five").is_visible()
    assert "hidden=" in address(page)
    before = pixels_of(page, "Draw 1")
    page.get_by_role("button", name="Draw again").click()
    assert np.abs(pixels_of(page, "Draw 1") - before).max() > 0
    page.get_by_role("button", name="Mean face").click()  # no original: the first face is taken
    page.get_by_role("button", name="Lower half").click()
    assert field(page, "face") == "1"


def test_d_is_chosen_by_slider_and_in_the_plot(visit, faces):
    page = visit("faces?d=5")
    page.get_by_role("slider", name="Number of latents d").focus()
    page.keyboard.press("ArrowRight")
    assert field(page, "d") == "6"
    noise = PPCA(6).fit(faces).noise_variance_
    assert number(fact(page, "faces", "σ²")) == pytest.approx(noise, abs=1e-5)
    plot = page.locator("svg[aria-label^='Eigenvalues']")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"])
    assert 25 < int(field(page, "d")) < 50
    page.get_by_role("button", name="Use d = 2").click()
    assert page.get_by_role("slider", name=re.compile(r"^z \d+$")).count() == 2


def test_the_plane_decodes_where_it_is_pressed(visit):
    page = visit("faces?d=2")
    plane = page.locator("svg[aria-label^='The first two latents']")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    z1, z2 = map(float, field(page, "z").split(","))
    assert 0.5 < z1 < 2 and 0.5 < z2 < 2
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    moved = [float(z) for z in field(page, "z").split(",")]
    assert moved == pytest.approx([z1 - 0.05, z2 - 0.5], abs=2e-3)


def png(side: int, value: int) -> bytes:
    from io import BytesIO

    image = pytest.importorskip("PIL.Image")
    out = BytesIO()
    image.new("L", (side, 2 * side), value).save(out, "PNG")
    return out.getvalue()


def test_an_image_of_ones_own_and_a_file_that_is_none(visit):
    page = visit("faces?d=8")
    chooser = page.locator("#room-faces input[type=file]")
    chooser.set_input_files({"name": "me.png", "mimeType": "image/png", "buffer": png(97, 200)})
    page.wait_for_function("() => location.hash.includes('image=')")
    assert set(pixels_of(page, "The original")) == {200}
    again = visit(address(page)[1:])
    assert set(pixels_of(again, "The original")) == {200}
    chooser.set_input_files({"name": "notes.txt", "mimeType": "image/png", "buffer": b"no"})
    page.get_by_text("notes.txt is no image this browser can read").wait_for()
    assert set(pixels_of(page, "The original")) == {200}


def drop(page, selector: str, name: str, kind: str, content: bytes) -> None:
    page.evaluate(
        """([selector, name, type, bytes]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector(selector).dispatchEvent(event);
        }""",
        [selector, name, kind, list(content)],
    )


def test_dropped_files_are_opened_or_said_to_be_wrong(visit):
    page = visit("line", complaint="422")
    drop(page, "main", "me.png", "image/png", png(40, 90))  # an image opens the room of faces
    page.wait_for_function("() => location.hash.includes('image=')")
    assert set(pixels_of(page, "The original")) == {90}
    drop(page, ".faces-main", "table.csv", "text/csv", b"a,b\n1,two\n")
    page.locator(".notice.problem", has_text="table.csv").wait_for()
    drop(page, "main", "x.model", "", b"no model")
    page.locator(".notice.problem", has_text="x.model").wait_for()
    assert set(pixels_of(page, "The original")) == {90}


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
