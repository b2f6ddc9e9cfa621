"""The site is written without a warning, asks no other place for anything, and describes every
public name.

The cells do not run here (tests/test_pages.py runs them); `make docs` writes the site with its
figures. Skipped without Sphinx.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import ancestral
from ancestral import _catalogue
from ancestral._methods import TASKS, methods_of

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("sphinx", "myst_nb", "pydata_sphinx_theme", "numpydoc", "math_core")
MODULES = ("datasets", "io", "scores", "streaming", "viz", "errors")
MODELS = [entry for entry in _catalogue.MODELS if entry.module.startswith("ancestral.")]
# What a page loads by itself, without a click of its reader.
LOADED = {("link", "href"), *((tag, "src") for tag in ("script", "img", "iframe", "source"))}
LOADED |= {("object", "data"), ("img", "srcset"), ("video", "src"), ("use", "href")}
ELSEWHERE = re.compile(r"^\s*(\w+:)?//")
# Addresses that a script only shows, or compares with: it asks them for nothing.
NAMES = ("http://www.w3.org/",)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` writes it, without figures."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-q", "-b", "html", "-D", "nb_execution_mode=off"]
    # Which language a cell is in is known from running it.
    options += ["-D", "suppress_warnings=myst.header,myst-nb.lexer"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return folder


class Asked(HTMLParser):
    """The addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev", "search", "index"):
            return
        self.found += [v for name, v in values.items() if v and (tag, name) in LOADED]
        self.found += re.findall(r"url\(['\"]?([^)'\"]+)", values.get("style") or "")


def asked_by(path: Path) -> Iterator[str]:
    """Yield the addresses that a file of the site loads."""
    text = path.read_text("utf-8")
    if path.suffix == ".html":
        parser = Asked()
        parser.feed(text)
        yield from parser.found
        text = "".join(re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL))
    yield from re.findall(r"url\(['\"]?([^)'\"]+)", text)
    yield from re.findall(r"@import ['\"]([^'\"]+)", text)


def test_no_page_asks_another_place(site: Path) -> None:
    files = [p for p in site.rglob("*") if p.suffix in (".html", ".css")]
    assert len(files) > 40
    asked = {(p.name, address) for p in files for address in asked_by(p)}
    assert not [
        (name, address)
        for name, address in asked
        if ELSEWHERE.match(address) and not address.startswith(NAMES)
    ]


def test_what_a_page_loads_is_there(site: Path) -> None:
    for page in (p for p in site.rglob("*.html") if "_static" not in p.parts):
        for address in asked_by(page):
            if not address.startswith(("data:", "#", "http://www.w3.org/")):
                assert (page.parent / re.split(r"[?#]", address)[0]).exists(), (page.name, address)


def test_no_link_stands_in_a_link(site: Path) -> None:
    """A reader would follow the inner one, which is not what the page wrote."""
    within = re.compile(r"<a\b[^>]*>(?:(?!</a>).)*<a\b", re.DOTALL)
    for page in site.rglob("*.html"):
        found = within.search(page.read_text("utf-8"))
        assert not found, (page.name, found and found[0])


def targets(site: Path) -> set[str]:
    """Return every anchor of every page of the reference."""
    pages = (site / "reference").glob("*.html")
    return {
        name for page in pages for name in re.findall(r'id="([\w.]+)"', page.read_text("utf-8"))
    }


def test_every_public_name_and_method_is_described(site: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        from reference import reference
    finally:
        sys.path.pop(0)
    ref, there = reference(), targets(site)
    public = {*ancestral.__all__} - {*MODULES}
    assert public <= {*ref.models, *ref.others}
    for name in MODULES:
        assert (site / "reference" / f"{name}.html").exists()
    for name in (*ref.models, *ref.others):
        assert ref.place(name).target in there, name
        page = site / "reference" / f"{ref.place(name).page}.html"
        assert page.exists(), name
        value = ref.models.get(name) or ref.others[name][1]
        for method in methods_of(value) if inspect.isclass(value) else ():
            assert ref.place(name, method).target in there, f"{name}.{method}"


def test_the_landing_page_and_the_search_know_the_models(site: Path) -> None:
    index = (site / "searchindex.js").read_text("utf-8")
    assert index.startswith("Search.setIndex(")  # a script, which opens from disk as well
    for entry in MODELS:
        assert entry.name.lower() in index.lower()


# ---- without Sphinx ------------------------------------------------------------------------------


def test_every_model_has_a_chapter_and_the_guides_are_there() -> None:
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        from reference import GUIDES, chapter_of
    finally:
        sys.path.pop(0)
    ours = [entry.name for entry in MODELS if entry.module.startswith("ancestral.")]
    pages = [*map(chapter_of, ours), *(page for guides in GUIDES.values() for page in guides)]
    assert not [page for page in pages if not (ROOT / "docs" / f"{page}.md").exists()]


def test_every_method_of_a_model_has_one_task() -> None:
    tasks = [name for names in TASKS.values() for name in names]
    assert len(tasks) == len(set(tasks))
    for entry in MODELS:
        assert not {*methods_of(entry.load())} - {*tasks}, entry.name


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_help_lists_the_methods_before_the_parameters(entry: _catalogue.Entry) -> None:
    cls = entry.load()
    doc = inspect.getdoc(cls) or ""
    listed, _, _ = doc.partition("\nParameters\n")
    places = [re.search(rf"^{name} ", listed, re.MULTILINE) for name in methods_of(cls)]
    assert places and all(places)
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts)
    assert next(iter(methods_of(cls))) == "fit"
    lines = re.sub(".\x08", "", pydoc.render_doc(cls)).splitlines()
    assert any(re.match(r" \|  fit  ", line) for line in lines[:16])
    assert not [line for line in lines if re.match(r" \|  _[a-z]\w*\(", line)]


def public() -> dict[str, object]:
    """Return every public class, function and method of the package, by its place."""
    found: dict[str, object] = {}
    homes = [ancestral, *(importlib.import_module(f"ancestral.{name}") for name in MODULES)]
    for home in homes:
        for name in home.__all__:
            value = getattr(home, name)
            if inspect.ismodule(value) or not value.__module__.startswith("ancestral."):
                continue
            found[f"{value.__module__}.{value.__qualname__}"] = value
            for method in methods_of(value).values() if inspect.isclass(value) else ():
                written = inspect.unwrap(getattr(method, "__func__", method))
                found[f"{written.__module__}.{written.__qualname__}"] = method
    return found


PUBLIC = public()


def section(doc: str, title: str) -> str | None:
    """Return what stands below a title of a docstring."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", doc, re.MULTILINE | re.DOTALL)
    return found and found[1]


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_says_what_it_takes_and_gives(name: str) -> None:
    value = PUBLIC[name]
    doc = inspect.getdoc(value) or ""
    assert doc, name
    assert section(doc, "Examples") or is_simple(value), f"{name} has no example"
    if inspect.isclass(value):
        return
    signature = inspect.signature(value)
    taken = [p for p in signature.parameters if p not in ("self", "cls")]
    entries = re.findall(r"^\S.*$", section(doc, "Parameters") or "", re.MULTILINE)
    described = {word for line in entries for word in re.findall(r"\w+", line.split(" : ")[0])}
    # One entry may stand for the options that a method hands on.
    named = {p for p in taken if signature.parameters[p].kind is not inspect.Parameter.VAR_KEYWORD}
    assert named <= described, f"{name} says nothing of {named - described}"
    if signature.return_annotation not in (None, "None", inspect.Signature.empty):
        given = section(doc, "Returns") or section(doc, "Yields")
        assert given, f"{name} does not say what it returns"


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_what_a_fit_learns_is_described(entry: _catalogue.Entry) -> None:
    cls = entry.load()
    learnt = {n for n in [*cls._all_fields, *dir(cls)] if n.endswith("_") and n[0] != "_"}
    learnt -= {"n_features_in_", "feature_names_in_", "data_fingerprint_", "target_name_"}
    entries = section(inspect.getdoc(cls) or "", "Attributes") or ""
    lines = re.findall(r"^\S.*$", entries, re.MULTILINE)
    described = {word for line in lines for word in re.findall(r"\w+", line.split(" : ")[0])}
    assert not learnt - described


def is_simple(value: object) -> bool:
    """Tell whether a class only holds what a function returned, or names a kind of error."""
    if not inspect.isclass(value):
        return False
    return issubclass(value, Exception | Warning) or not issubclass(value, BaseEstimator)
