"""The exported file opened from disk, a model in a notebook, and the page when its server stops."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.circuit import race
from ancestral.errors import DataError
from ancestral.studio import bundle
from ancestral.studio.bundle import assemble, data_of, export_page, one_script, page_html
from ancestral.studio.notebook import page_of
from ancestral.studio.pages import bundled_files, page_files
from ancestral.studio.rooms import ROOMS
from ancestral.studio.shelf import Shelf
from tests.conftest import PATIENCE
from tests.studio.conftest import Page, in_place_of_all, plain_room, shelf_of, started
from tests.studio.reading import as_greys, pixels_of

TABLE = datasets.diabetes()[0][:, 2:6]


@pytest.fixture(scope="module")
def exported(models, faces, tmp_path_factory):
    return export_page(shelf_of(models), tmp_path_factory.mktemp("page") / "page.html")


def test_the_export_is_one_small_file(exported):
    assert exported.stat().st_size < 1_500_000
    text = exported.read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!#|data:,)', text)
    assert "http-equiv" in text and "'unsafe" not in text


def test_the_export_of_large_images_is_small_enough_to_send(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (400, 64, 64), dtype=np.uint8)
    np.save(tmp_path / "faces.npy", images)
    assert len(page_html(Shelf.of([tmp_path / "faces.npy"])).encode()) < 2_500_000


def test_the_export_works_from_disk_and_asks_for_nothing(chromium, exported, faces):
    page = Page(chromium)
    shown = page.open(f"file://{exported}#faces?d=8&face=1")
    expected = ancestral.PPCA(8).fit(faces).reconstruct(faces[:1])[0]
    assert np.abs(pixels_of(shown, "The face") - as_greys(expected)).max() <= 1
    every_room_goes(page)
    shown.locator(".top").get_by_role("button", name="Files").click()
    assert shown.get_by_text("This page contains its own data").is_visible()
    assert shown.get_by_role("button", name="Open files").count() == 0
    assert not page.problems
    assert all(url.startswith((f"file://{exported}", "data:", "blob:")) for url in page.requests)
    page.context.close()


def every_room_goes(page):
    """Open each room's tab: it has its stage and its controls."""
    for room in ROOMS:
        page.page.locator(f".tabs a[data-room={room}]").click()
        section = page.page.locator(f"#room-{room}:not([hidden])")
        section.locator(".side .panel").first.wait_for()
        page.ready()
        assert section.locator(".stage > *").count() and not section.locator(".problem").count()


def test_the_exports_policy_runs_nothing_else(chromium, exported, tmp_path):
    """The hashes let this script and this style in; a script put in beside them stays out."""
    text = exported.read_text("utf-8").replace("</body>", "<script>window.put = 1</script></body>")
    changed = tmp_path / "changed.html"
    changed.write_text(text, "utf-8")
    page = Page(chromium)
    shown = page.open(f"file://{changed}#line")
    assert shown.evaluate("window.put") is None
    assert any("Content Security Policy" in said for said in page.problems)
    page.context.close()


def test_data_cannot_end_the_script_that_holds_them(chromium, tmp_path):
    nasty = "</script><script>window.put = 1</script><!--"
    shelf = json.loads(data_of(Shelf(built_in=False), ["compare"])["shelf"])
    shelf["rooms"]["compare"]["wants"] = nasty
    path = tmp_path / "page.html"
    path.write_text(assemble(["compare"], {"shelf": json.dumps(shelf)}), "utf-8")
    page = Page(chromium)
    shown = page.open(f"file://{path}")
    assert shown.evaluate("window.put") is None
    assert nasty in shown.locator(".problem").inner_text()
    page.context.close()


def test_every_module_reaches_the_one_script():
    script = one_script(bundled_files(ROOMS))
    names = [name for name in page_files() if name.endswith(".js")] + ["rooms.js"]
    modules = {name.removesuffix(".js").replace("/", "_") for name in names}
    assert set(re.findall(r"^const module_(\w+) = ", script, re.M)) == modules
    assert not re.search(r"^(import|export) ", script, re.M)


def test_every_style_reaches_the_one_style():
    text = assemble(list(ROOMS), {})
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    for name, content in page_files().items():
        assert not name.endswith(".css") or content in style, name


def test_a_module_imports_from_above_and_beside_it():
    pages = {
        "main.js": 'import { ROOMS } from "./rooms.js";\nROOMS;\n',
        "kit.js": "export const one = 1;\n",
        "rooms.js": 'import { room as a_room } from "./a/a.js";\nexport const ROOMS = [a_room];\n',
        "a/a.js": 'import {\n  one as uno,\n} from "../kit.js";\nimport { b } from "./b.js";\n'
        "export const room = uno + b;\n",
        "a/b.js": "export const b = 2;\n",
    }
    script = one_script(pages)
    assert re.findall(r"^const module_(\w+) = ", script, re.M) == [
        "kit", "a_b", "a_a", "rooms", "main",
    ]  # fmt: skip
    assert "uno" in script and "one: uno" in re.sub(r"\s+", " ", script)
    assert "const { b } = module_a_b;" in re.sub(r"\s+", " ", script)


# ---- what one file can hold ----------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["MOST_SUBJECTS", "MOST_BYTES"])
def test_what_a_file_cannot_hold_is_left_out_and_said(monkeypatch, limit):
    monkeypatch.setattr(bundle, limit, {"MOST_SUBJECTS": 2, "MOST_BYTES": 250}[limit])
    shelf = Shelf(built_in=False)
    for k in range(4):
        shelf.add_upload(f"{k}.csv", f"x\n{k}\n".encode())
    room = plain_room(
        "table",
        lambda item: {"padding": 80 * "x", "of": item.name},
        later={"rest": dict},
        asked={"page": lambda: pytest.fail("nobody asked")},
    )
    with in_place_of_all({"only": room}):
        data = data_of(shelf, ["only"])
    described = json.loads(data.pop("shelf"))
    held = [one["of"] for one in described["rooms"]["only"]["subjects"]]
    assert len(held) == 2
    assert set(data) == {f"only-{of}" for of in held} | {f"only.rest-{of}" for of in held}
    for item in described["items"][2:]:
        assert not item["shown"] and item["not_shown"][0]["room"] == "only"
        assert re.search("page|file", item["not_shown"][0]["why"])


def test_an_interrupted_fit_writes_no_page(tmp_path, monkeypatch):
    """A tree alone would keep the best so far, with a warning."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(race.Mixing, "choose", stop)
    shelf = Shelf(built_in=False)
    rows = "".join(f"{k % 7},{'ab'[k % 2]}\n" for k in range(60))
    shelf.add_upload("own.csv", f"x,y\n{rows}".encode())
    with pytest.raises(KeyboardInterrupt):
        export_page(shelf, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_file_counts_the_images_that_it_holds(tmp_path):
    np.save(tmp_path / "faces.npy", np.random.default_rng(0).random((400, 24, 24)))
    data = data_of(Shelf.of([tmp_path / "faces.npy"]), ["faces"])
    (of,) = re.findall(r"faces-(\w+)", " ".join(data))
    told, rest = json.loads(data[f"faces-{of}"]), json.loads(data[f"faces.rest-{of}"])
    sent = sum(part["images"]["values"]["shape"][0] for part in (told, rest))
    assert told["n"] == told["kept"] == sent < 400
    (item,) = json.loads(data["shelf"])["items"]
    assert item["shown"][0]["used"].startswith(f"the first {sent} of 400 can be picked; PPCA is")


def test_what_cannot_be_made_takes_no_place_from_the_rest(monkeypatch):
    monkeypatch.setattr(bundle, "MOST_SUBJECTS", 2)
    shelf = Shelf(built_in=False)
    for k in range(5):
        shelf.add_upload(f"{k}.csv", f"x\n{k}\n".encode())

    def make(item):
        if item.name in ("0.csv", "1.csv"):
            raise DataError("It is odd.")
        return {}

    with in_place_of_all({"only": plain_room("table", make)}):
        items = json.loads(data_of(shelf, ["only"])["shelf"])["items"]
    assert [len(item["shown"]) for item in items] == [0, 0, 1, 1, 0]
    assert [why["why"] for why in items[0]["not_shown"]] == ["It is odd."]


# ---- notebooks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: ancestral.PPCA(6).fit(datasets.faces()), ".stage canvas[aria-label^='The face']"),
        (lambda: ancestral.TabularAutoregressive().fit(datasets.icons()[0]), ".cell"),
        (lambda: ancestral.InnerProductGraph().fit(datasets.classrooms(20)), ".pupil"),
        (lambda: ancestral.PPCAMixture(2, 1, random_state=0).fit(TABLE), ".stage svg"),
        (lambda: ancestral.LatentTree(4, random_state=0).fit(TABLE), ".stage svg"),
    ],
)
def test_a_fitted_model_shows_its_room_in_a_notebook(chromium, tmp_path, faces, make, wanted):
    """As a notebook does it: the HTML set into a page, which runs no script of its own."""
    shown = make()._repr_mimebundle_()["text/html"]
    assert shown.startswith("<iframe") and len(shown) < 2_000_000
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'><body>{shown}</body>", "utf-8")
    page = Page(chromium)
    page.page.goto(f"file://{path}")
    frame = page.page.frame_locator("iframe")
    frame.locator(wanted).first.wait_for()
    assert not page.problems and all(url.startswith(("file:", "about:")) for url in page.requests)
    page.context.close()


def test_models_without_a_room_keep_their_diagram():
    X, y, _ = datasets.diabetes()
    icons = datasets.icons()[0]
    for model in (
        ancestral.LinearGaussian().fit(X, y),
        ancestral.PPCA(2).fit(X),
        ancestral.PPCA(2),
        ancestral.TabularAutoregressive().fit(np.array([["a", "x"], ["b", "y"], ["c", "x"]])),
    ):
        assert "<iframe" not in model._repr_html_()
    assert page_of(ancestral.TabularAutoregressive().fit(icons)) is not None


def test_a_notebooks_page_holds_the_model_alone(faces):
    shown = html.unescape(page_of(ancestral.PPCA(3).fit(faces)))
    assert 'id="data-faces-' in shown and 'id="data-pixels-' not in shown
    assert '"n": 0' in shown  # none of the built-in faces


# ---- a server that stops ------------------------------------------------------------------------


def test_rooms_go_on_when_the_server_is_gone(chromium, models, faces):
    studio, running, thread = started(shelf_of(models))
    page = Page(chromium)
    with page.page.expect_response(re.compile(r"/compare\.json")):  # the last that is fetched ahead
        shown = page.open(f"{studio.entrance}#faces?d=5")
    shown.wait_for_function("() => document.querySelectorAll('.thumb').length > 20")
    running.should_exit = True
    thread.join(PATIENCE)
    shown.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shown.get_by_text("The server has stopped").wait_for()
    before = pixels_of(shown, "The face")
    shown.get_by_role("button", name="New face", exact=True).click()
    assert np.abs(pixels_of(shown, "The face") - before).max() > 3
    every_room_goes(page)
    page.context.close()


def test_a_room_not_yet_fetched_says_that_the_server_is_gone(chromium, models):
    studio, running, thread = started(shelf_of(models))
    page = Page(chromium)
    shown = page.open(f"{studio.entrance}#line")
    running.should_exit = True
    thread.join(PATIENCE)
    shown.locator(".tabs a[data-room=classroom]").click()
    shown.get_by_text("The server does not answer").wait_for()
    assert shown.get_by_role("button", name="Try again").is_visible()
    page.context.close()


def test_a_page_of_some_rooms_has_those_alone(models):
    text = page_html(shelf_of(models), ["pixels", "line"])
    assert re.findall(r'id="room-(\w+)"', text) == ["pixels", "line"]
    assert re.findall(r'data-room="(\w+)"', text) == ["pixels", "line"]
