"""The exported file opened from disk, a model in a notebook, and the page when its server stops."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.studio.bundle import assemble, export_page, one_script, one_style, page_html
from ancestral.studio.notebook import page_of
from ancestral.studio.server import page_files
from ancestral.studio.shelf import Shelf
from tests.conftest import PATIENCE
from tests.studio.conftest import Page, started
from tests.studio.reading import as_greys, pixels_of

ROOMS = ("faces", "pixels", "classroom", "line", "compare")


@pytest.fixture(scope="module")
def exported(models, faces, tmp_path_factory):
    return export_page(Shelf(models=dict(models)), tmp_path_factory.mktemp("page") / "page.html")


def test_the_export_is_one_small_file(exported):
    assert exported.stat().st_size < 1_500_000
    text = exported.read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!#|data:,)', text)
    assert "http-equiv" in text and "'unsafe" not in text


def test_the_export_works_from_disk_and_asks_for_nothing(chromium, exported, faces):
    page = Page(chromium)
    shown = page.open(f"file://{exported}#faces?d=8&face=1")
    expected = ancestral.PPCA(8).fit(faces).reconstruct(faces[:1])[0]
    assert np.abs(pixels_of(shown, "The face") - as_greys(expected)).max() <= 1
    for room in ROOMS:
        shown.locator(f".tabs a[data-room={room}]").click()
        shown.wait_for_selector(f"#room-{room}:not([hidden]) .panel")
        page.ready()
        assert shown.locator(f"#room-{room} .panel").count() > 1
    assert shown.get_by_role("button", name="Open file").count() == 0
    assert not page.problems
    assert all(url.startswith((f"file://{exported}", "data:", "blob:")) for url in page.requests)
    page.context.close()


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
    parts = {"compare": {"problem": nasty}}
    path = tmp_path / "page.html"
    path.write_text(assemble(["compare"], parts), "utf-8")
    page = Page(chromium)
    shown = page.open(f"file://{path}")
    assert shown.evaluate("window.put") is None
    assert nasty in shown.locator(".problem").inner_text()
    page.context.close()


def test_every_module_reaches_the_one_script():
    pages = page_files()
    script = one_script(pages)
    modules = {name.removesuffix(".js") for name in pages if name.endswith(".js")}
    assert set(re.findall(r"^const module_(\w+) = ", script, re.M)) == modules
    assert not re.search(r"^(import|export) ", script, re.M)


def test_every_style_reaches_the_one_style():
    pages = page_files()
    styles = {name for name in pages if name.endswith(".css")}
    linked = re.findall(r'href="page/(.*?\.css)"', pages["index.html"])
    assert len(linked) == len(styles) and set(linked) == styles
    assert one_style(pages) == "\n".join(pages[name] for name in linked)


# ---- notebooks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: ancestral.PPCA(6).fit(datasets.faces()), "canvas[aria-label^='The face']"),
        (lambda: ancestral.TabularAutoregressive().fit(datasets.icons()[0]), ".cell"),
        (lambda: ancestral.InnerProductGraph().fit(datasets.classrooms(20)), ".pupil"),
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
    assert 'id="data-faces"' in shown and 'id="data-pixels"' not in shown
    assert '"n": 0' in shown  # none of the built-in faces


# ---- a server that stops ------------------------------------------------------------------------


def test_rooms_go_on_when_the_server_is_gone(chromium, models, faces):
    studio, running, thread = started(Shelf(models=dict(models)))
    page = Page(chromium)
    with page.page.expect_response("**/compare.json"):  # the last of what is fetched ahead
        shown = page.open(f"{studio.entrance}#faces?d=5")
    shown.wait_for_function("() => document.querySelectorAll('.thumb').length > 20")
    running.should_exit = True
    thread.join(PATIENCE)
    shown.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shown.get_by_text("The server has stopped").wait_for()
    before = pixels_of(shown, "The face")
    shown.get_by_role("button", name="New face").click()
    assert np.abs(pixels_of(shown, "The face") - before).max() > 3
    for room in ROOMS:
        shown.locator(f".tabs a[data-room={room}]").click()
        shown.wait_for_selector(f"#room-{room}:not([hidden]) .panel")
        page.ready()
        assert shown.locator(f"#room-{room} .panel").count() > 1
    page.context.close()


def test_a_room_not_yet_fetched_says_that_the_server_is_gone(chromium, models):
    studio, running, thread = started(Shelf(models=dict(models)))
    page = Page(chromium)
    shown = page.open(f"{studio.entrance}#line")
    running.should_exit = True
    thread.join(PATIENCE)
    shown.locator(".tabs a[data-room=classroom]").click()
    shown.get_by_text("The server does not answer").wait_for()
    assert shown.get_by_role("button", name="Try again").is_visible()
    page.context.close()


def test_a_page_of_some_rooms_has_those_alone(models):
    text = page_html(Shelf(models=dict(models)), ["pixels", "line"])
    assert re.findall(r'id="room-(\w+)"', text) == ["pixels", "line"]
    assert re.findall(r'data-room="(\w+)"', text) == ["pixels", "line"]
