"""The room of faces by mouse, finger and keyboard, and what it makes of files."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ancestral import PPCA
from ancestral.studio.bundle import page_html
from ancestral.studio.rooms.faces import PAGE, ROOM
from ancestral.studio.shelf import Item, Shelf
from tests.studio.conftest import Page, started, wait_until
from tests.studio.reading import address, as_greys, fact, field, number, pixels_of, settled

BIG = "#room-faces .canvas .picture"


def thumb(page, k: int):
    return page.get_by_role("button", name=f"Face {k} of ", exact=False).first


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
    page.get_by_role("button", name="Back to the original").click()
    assert np.abs(pixels_of(page, "The face") - before).max() == 0
    page.keyboard.press("Control+z")
    wait_until(lambda: np.abs(pixels_of(page, "The face") - moved).max() <= 1)
    page.keyboard.press("Control+z")  # the run of keys is one change
    wait_until(lambda: np.abs(pixels_of(page, "The face") - before).max() == 0)


def test_the_ends_of_a_slider_are_the_mean_face_moved_by_two(visit, faces):
    page = visit("faces?d=6")
    model = PPCA(6).fit(faces)
    for place, at in (("first", -2), ("last", 2)):
        end = page.locator(".sliders .slider").nth(1).locator("canvas")
        shown = getattr(end, place).evaluate(
            "c => Array.from(c.getContext('2d').getImageData(0, 0, 24, 24).data)"
        )[::4]
        expected = as_greys(model.mean_ + at * model.loadings_[:, 1])
        assert np.abs(np.array(shown) - expected).max() <= 1


def test_the_equation_adds_its_pictures_to_the_face(visit, faces):
    """What stands in it: the mean, the four largest terms with their amounts, and the rest."""
    page = visit("faces?d=6&z=1.5,-2,0.5,3,-0.25,0")
    page.locator("#room-faces .equation summary").click()
    shown = page.locator(".face-sum")
    assert re.sub(r"\s+", " ", shown.inner_text().replace("−", "-")).strip() == (
        "face = mean μ + 1.5 × w₁ - 2.0 × w₂ + 0.5 × w₃ + 3.0 × w₄ + the rest"
    )
    page.get_by_role("slider", name="z 6", exact=True).fill("-3")
    settled(page)
    assert "3.0 ×\nw₆" in shown.inner_text() and "w₃" not in shown.inner_text()


def test_a_link_shows_the_same_face(visit):
    page = visit("faces?d=12")
    page.get_by_role("button", name="New face", exact=True).click()
    shown, link = pixels_of(page, "The face"), address(page)
    again = visit(link[1:])
    assert np.abs(pixels_of(again, "The face") - shown).max() <= 1


def test_a_picked_face_gets_its_posterior(visit, faces):
    page = visit("faces?d=16")
    thumb(page, 8).click()
    assert field(page, "face") == "8"
    model = PPCA(16).fit(faces)
    expected = model.reconstruct(faces[[7]])[0]
    assert np.abs(pixels_of(page, "The face") - as_greys(expected)).max() <= 1
    assert np.abs(pixels_of(page, "The original") - as_greys(faces[7])).max() <= 1
    assert number(fact(page, "faces", "log p(original)")) == pytest.approx(
        model.log_density(faces[[7]])[0], abs=0.06
    )
    page.keyboard.press("ArrowRight")  # Tab stops once at the faces; arrow keys go on from there
    page.keyboard.press("Enter")
    assert field(page, "face") == "9"
    assert page.locator(".thumb[tabindex='0']").count() == 1
    page.get_by_label("Number of the face").fill("97")
    page.keyboard.press("Enter")
    assert np.abs(pixels_of(page, "The original") - as_greys(faces[96])).max() <= 1
    assert thumb(page, 97).is_visible()


def test_one_face_is_turned_into_another(visit, faces):
    """The slider walks the line between two posterior means; t is where z is nearest to it."""
    page = visit("faces?d=8&face=1", reduced_motion="reduce")
    model = PPCA(8).fit(faces)
    page.locator("label", has_text="turn into it").click()
    thumb(page, 5).click()
    wait_until(lambda: field(page, "other") == "5")
    a, b = model.posterior_mean(faces[[0, 4]])
    slider = page.get_by_role("slider", name="t, from this face to the other")
    assert slider.input_value() == "1"  # at once, for those who want no motion
    for t, z in (("1", b), ("0.5", (a + b) / 2), ("0", a)):
        slider.fill(t)
        assert np.abs(pixels_of(page, "The face") - as_greys(model.decode([z])[0])).max() <= 1
    page.get_by_role("slider", name="z 1", exact=True).fill("2")
    z = np.r_[2, a[1:]]
    settled(page)
    expected = np.clip((z - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    assert float(slider.input_value()) == pytest.approx(expected, abs=0.006)
    page.get_by_role("button", name="Play").click()
    shown = pixels_of(page, "The face")
    assert np.abs(shown - as_greys(model.decode([b])[0])).max() <= 1
    again = visit(address(page)[1:])
    assert np.abs(pixels_of(again, "The face") - shown).max() <= 1


def test_a_face_dropped_on_another_turns_it(visit, faces):
    page = visit("faces?d=8&face=1")
    before = pixels_of(page, "The face")
    source, target = thumb(page, 6).bounding_box(), page.locator(BIG).bounding_box()
    page.mouse.move(source["x"] + 20, source["y"] + 20)
    page.mouse.down()
    page.mouse.move(source["x"] - 30, source["y"] + 30)
    page.mouse.move(target["x"] + 90, target["y"] + 90, steps=4)
    assert page.locator(".canvas.over").count() == 1 and page.locator(".ghost").count() == 1
    page.mouse.up()
    slider = page.get_by_role("slider", name="t, from this face to the other")
    wait_until(lambda: slider.input_value() == "1")  # it plays by itself
    assert page.locator(".ghost").count() == 0
    expected = PPCA(8).fit(faces).reconstruct(faces[[5]])[0]
    assert np.abs(pixels_of(page, "The face") - as_greys(expected)).max() <= 1
    assert field(page, "face") == "" and field(page, "other") == "6"
    page.wait_for_timeout(150)
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: np.abs(pixels_of(page, "The face") - before).max() == 0)
    page.mouse.move(source["x"] + 20, source["y"] + 20)
    page.mouse.down()
    page.mouse.move(source["x"] + 60, source["y"] + 90, steps=3)
    page.mouse.up()  # beside the face: nothing
    assert field(page, "other") == "" and field(page, "face") == ""


def finger(page):
    """Touches of one finger, as the browser gets them from a screen."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *at: float) -> None:
        points = [{"x": at[0], "y": at[1]}] if at else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return touch


def test_a_finger_drags_a_face_sideways_first_and_paints_at_once(visit):
    page = visit("faces?d=8", viewport={"width": 390, "height": 844}, has_touch=True)
    thumb(page, 3).scroll_into_view_if_needed()
    source, target = thumb(page, 3).bounding_box(), page.locator(BIG).bounding_box()
    touch = finger(page)
    touch("touchStart", source["x"] + 20, source["y"] + 20)
    touch("touchMove", source["x"] + 45, source["y"] + 22)
    page.locator(".ghost").wait_for()
    for k in range(1, 9):
        way = k / 8
        x = source["x"] + 20 + way * (target["x"] + 60 - source["x"] - 20)
        touch("touchMove", x, source["y"] + 20 + way * (target["y"] + 60 - source["y"] - 20))
    touch("touchEnd")
    wait_until(lambda: field(page, "other") == "3")
    touch("touchStart", target["x"] + 40, target["y"] + 40)
    for k in range(1, 6):
        touch("touchMove", target["x"] + 40, target["y"] + 40 + 20 * k)
    touch("touchEnd")
    page.locator(".could").wait_for()
    assert "hidden=" in address(page)


def test_a_hidden_part_is_filled_and_shown_again(visit, faces):
    page = visit("faces?d=16&face=1")
    canvas = page.locator(BIG)
    box = canvas.bounding_box()
    at = lambda u, v: (box["x"] + u * box["width"], box["y"] + v * box["height"])  # noqa: E731
    page.mouse.move(*at(0.3, 0.7))
    page.mouse.down()
    page.mouse.move(*at(0.7, 0.7))  # at one stroke: what lies between is hidden, too
    page.mouse.up()
    page.locator(".could").wait_for()
    settled(page)
    model, r, c = PPCA(16).fit(faces), *np.divmod(np.arange(576), 24)
    hidden = (np.abs(r - 16) <= 1) & (c >= 6) & (c <= 17)
    assert page.evaluate("document.querySelector('.canvas path').getAttribute('d').length") > 50
    W, known = model.loadings_, ~hidden
    M = W[known].T @ W[known] + model.noise_variance_ * np.eye(16)
    z = np.linalg.solve(M, W[known].T @ (faces[0] - model.mean_)[known])
    assert np.abs(pixels_of(page, "The face") - as_greys(model.decode([z])[0])).max() <= 1
    shown = pixels_of(page, "Draw 1")
    np.testing.assert_array_equal(shown[known], as_greys(faces[0])[known])
    page.get_by_role("button", name="Show all", exact=True).click()
    settled(page)
    assert not page.locator(".could").is_visible()
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.locator(".could").wait_for()
    assert "hidden=" in address(page)
    before = pixels_of(page, "Draw 1")
    page.get_by_role("button", name="Draw again").click()
    assert np.abs(pixels_of(page, "Draw 1") - before).max() > 0


def test_a_face_without_an_original_is_its_own_when_painted_on(visit):
    page = visit("faces?d=8")
    page.get_by_role("button", name="New face", exact=True).click()
    shown = pixels_of(page, "The face")
    assert page.get_by_text("No original").is_visible()
    page.get_by_role("button", name="Eyes", exact=True).click()
    page.locator(".prompts li.done", has_text="Cover the eyes").wait_for()
    again = visit(address(page)[1:])
    for each in (page, again):
        visible = pixels_of(each, "Draw 1").reshape(24, 24)[14:]
        assert np.abs(visible - shown.reshape(24, 24)[14:]).max() <= 1


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
    settled(page)
    assert page.get_by_role("slider", name=re.compile(r"^z \d+$")).count() == 2


def test_the_fewest_latents_that_are_near_the_original_are_ticked(visit, faces):
    def difference(d):
        model = PPCA(d).fit(faces)
        return np.sqrt(
            np.mean((model.inverse_transform(model.transform(faces[:1])) - faces[0]) ** 2)
        )

    few = next(d for d in range(1, 64) if difference(d) < 0.1)
    page = visit(f"faces?d={few + 2}")
    done = page.locator(".prompts li.done", has_text="Fewest latents")
    page.get_by_role("slider", name="Number of latents d").focus()
    page.keyboard.press("ArrowLeft")
    assert field(page, "d") == str(few + 1) and not done.count()
    page.keyboard.press("ArrowLeft")
    done.wait_for(timeout=20_000)


def test_the_plane_decodes_where_it_is_pressed(visit):
    page = visit("faces?d=2")
    plane = page.locator("svg[aria-label^='The first two latents']")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    z1, z2 = map(float, field(page, "z").split(","))
    assert 0.5 < z1 < 3 and 0.5 < z2 < 2
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
    page.get_by_text("notes.txt is not an image that this browser can read").wait_for()
    assert set(pixels_of(page, "The original")) == {200}


def drop(page, name: str, kind: str, content: bytes) -> None:
    page.evaluate(
        """([name, type, bytes]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector("main").dispatchEvent(event);
        }""",
        [name, kind, list(content)],
    )


def test_dropped_files_are_opened_or_said_to_be_wrong(visit):
    page = visit("compare", complaint="422")
    drop(page, "me.png", "image/png", png(40, 90))  # an image opens the room of faces
    page.wait_for_function("() => location.hash.includes('image=')")
    assert set(pixels_of(page, "The original")) == {90}
    drop(page, "x.model", "", b"no model")
    page.locator("dialog .wrong", has_text="x.model: is not a model file").wait_for()
    drop(page, "table.npy", "", b"no rows")
    page.locator("dialog .wrong", has_text="table.npy").wait_for()
    assert set(pixels_of(page, "The original")) == {90}


# ---- files --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(faces):
    """1,234 images, more than are sent unasked, of 20 rows and 30 columns."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(6, 600))
    return (0.5 + 0.06 * rng.normal(size=(1234, 6)) @ basis).clip(0, 1).reshape(-1, 20, 30)


def test_each_file_of_images_is_a_subject_with_the_models_of_its_size(tmp_path, faces, many):
    np.save(tmp_path / "small.npy", faces[:40])
    np.save(tmp_path / "wide.npy", many)
    PPCA(4).fit(faces).save(tmp_path / "four.model")
    PPCA(9).fit(faces[:, :400]).save(tmp_path / "nine.model")
    PPCA(3, standardize=True).fit(many.reshape(-1, 600)).save(tmp_path / "three.model")
    found = {one.name: one for one in ROOM.subjects(Shelf.of([tmp_path]))}
    assert list(found) == ["small.npy", "wide.npy", "nine"]
    sent = {name: one.make() for name, one in found.items()}
    assert [[m["name"] for m in one["models"]] for one in sent.values()] == [
        ["four"],
        ["three"],
        ["nine"],
    ]
    assert [one["shape"] for one in sent.values()] == [(24, 24), (20, 30), (20, 20)]
    assert [one["n"] for one in sent.values()] == [40, 1234, 0]


def test_images_beyond_those_kept_come_when_asked_for(tmp_path, chromium, many):
    np.save(tmp_path / "wide.npy", many)
    shelf = Shelf.of([tmp_path / "wide.npy"])
    subject = ROOM.subjects(shelf)[0]
    first = subject.make()
    assert first["kept"] == 166 and len(subject.asked) == 11 and PAGE == 100
    assert subject.asked["page-10"]()["images"]["values"]["shape"] == [68, 600]
    studio, running, thread = started(shelf)
    page = Page(chromium)
    shown = page.open(f"{studio.entrance}#faces?face=1234")
    expected = as_greys(many[-1].ravel())
    wait_until(lambda: np.abs(pixels_of(shown, "The original") - expected).max() <= 1)
    assert "page-10" in next(url for url in page.requests if "page-" in url)
    running.should_exit = True
    thread.join()
    page.context.close()
    path = tmp_path / "page.html"
    path.write_text(page_html(shelf, ["faces"]), "utf-8")
    page = Page(chromium)
    shown = page.open(f"file://{path}#faces?face=1234")
    shown.get_by_text("of 166", exact=True).wait_for()  # what the file holds, from the start
    shown.wait_for_function("() => document.querySelectorAll('.thumb').length >= 166")
    assert shown.locator(".thumb:not([hidden])").count() == 166
    assert not page.problems
    page.context.close()


def item(model) -> Item:
    return Item.of_model("saved", model)


def test_models_that_are_of_no_images_are_refused_with_the_reason(faces):
    rng = np.random.default_rng(0)
    assert ROOM.refuses(item(PPCA(4).fit(faces))) is None
    assert "10 columns do not make a square image" in ROOM.refuses(
        item(PPCA(2).fit(rng.random((30, 10))))
    )
    assert "nothing to move" in ROOM.refuses(item(PPCA(0).fit(faces)))
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rng.random((30, 16)), columns=[f"weight {k}" for k in range(16)])
    assert "(weight 0, weight 1 …), so they belong to a table" in ROOM.refuses(
        item(PPCA(2).fit(frame))
    )
    assert not ROOM.shows(PPCA(2).fit(frame)) and ROOM.shows(PPCA(4).fit(faces))


def test_pixels_up_to_255_are_drawn_so_and_said_so(tmp_path, faces):
    np.save(tmp_path / "faces.npy", np.round(255 * faces).astype(np.uint8))
    sent = ROOM.subjects(Shelf.of([tmp_path / "faces.npy"]))[0].make()
    assert sent["grey"] == (0.0, 255.0) and "from 0 to 255" in sent["note"]
    assert ROOM.subjects(Shelf())[0].make()["note"] is None


def test_images_of_64_by_64_fit_one_file(tmp_path):
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(70, 4096))
    np.save(tmp_path / "large.npy", (0.5 + 0.03 * rng.normal(size=(400, 70)) @ basis).clip(0, 1))
    assert len(page_html(Shelf.of([tmp_path / "large.npy"]), ["faces"])) < 1_600_000
