"""A studio to test: a server on a free port, and the system's Chromium to open it with."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.studio.listing import Listing
from ancestral.studio.pages import page_files
from ancestral.studio.room import Room, Subject
from ancestral.studio.rooms import ROOMS
from ancestral.studio.shelf import Item, Shelf
from tests.conftest import PATIENCE
from tests.studio.make_lstm_of_icons import STORED

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Studio:
    """A running server; requests carry the session's secret unless told otherwise."""

    port: int
    shelf: Shelf
    guard: Any

    @property
    def entrance(self) -> str:
        """An address that opens the page once."""
        return f"{self.address}/?token={self.guard.issue()}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        session: bool = True,
        **headers: str,
    ) -> http.client.HTTPResponse:
        """Send one request as it is; header names are given with underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in sent, skip_accept_encoding=True)
        if session:
            sent.setdefault("X-Ancestral-Session", self.guard.session)
        if body is not None:
            sent.setdefault("Content-Length", str(len(body)))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        answer.content = answer.read()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def json(self, path: str, **given: Any) -> Any:
        return json.loads(self.request(path, **given).content)  # type: ignore[attr-defined]

    def post(self, path: str, document: Any, **headers: str) -> http.client.HTTPResponse:
        headers.setdefault("Content_Type", "application/json")
        return self.request(path, method="POST", body=json.dumps(document).encode(), **headers)


def shelf_of(models: dict[str, Any], **given: Any) -> Shelf:
    """Return a shelf of models that lie in no file."""
    return Shelf([Item.of_model(name, model) for name, model in models.items()], **given)


def told(shelf: Shelf, room: str, part: str = "", *, subject: str | None = None) -> dict[str, Any]:
    """Return what the page is told in a room: of the first subject, or of the one of this name."""
    listing = Listing(shelf, [room])
    subjects = listing.subjects[room].items()
    return listing.made(room, next(of for of, it in subjects if subject in (None, it.name)), part)


def plain_room(kind: str, make: Callable[[Item], dict[str, Any]], **given: Any) -> Room:
    """Return a room that shows each item of a kind by itself; its subjects have `given`, too."""

    def subjects(shelf: Shelf) -> list[Subject]:
        items = shelf.of_kind(kind)
        return [Subject(item.name, (item,), partial(make, item), **given) for item in items]

    def refuses(item: Item) -> str | None:
        return f"It is of {item.kind}, not of {kind}." if item.kind != kind else None

    return Room(1, f"See {kind}", "Look.", "<math></math>", "Open some.", subjects, refuses)


@contextmanager
def in_place_of_all(rooms: dict[str, Room]) -> Iterator[None]:
    """Let these be the rooms that there are, of which the page has nothing."""
    pages = {"index.html": "<head>", "main.js": ""}
    with (
        patch.dict(ROOMS, rooms, clear=True),
        patch("ancestral.studio.server.served_files", lambda: dict(pages)),
    ):
        yield


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what must come, however busy the machine is."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until, f"still waiting after {PATIENCE} s"
        time.sleep(0.01)


def started(shelf: Shelf, *, port: int = 0) -> tuple[Studio, Any, threading.Thread]:
    """Serve a shelf in a thread."""
    uvicorn = pytest.importorskip("uvicorn", reason="the studio is an extra")
    pytest.importorskip("starlette", reason="the studio is an extra")
    from ancestral.studio import server

    listening = server._listen("127.0.0.1", port)
    port = listening.getsockname()[1]
    app = server.make_app(server.Rooms(shelf), port=port)
    running = uvicorn.Server(server.configuration(app))
    thread = threading.Thread(
        target=lambda: asyncio.run(running.serve(sockets=[listening])), daemon=True
    )
    thread.start()
    wait_until(lambda: running.started)
    return Studio(port, shelf, app), running, thread


@pytest.fixture(scope="session")
def models() -> dict[str, Any]:
    """Tables of the icons, and a small LSTM that was trained on them: the same on any processor."""
    icons, _ = datasets.icons()
    tables = ancestral.TabularAutoregressive().fit(icons)
    return {"Tables": tables, "LSTM": ancestral.load(STORED)}


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    pytest.importorskip("skimage", reason="the built-in faces come with an extra")
    return datasets.faces()


@pytest.fixture(scope="package")
def studio(models: dict[str, Any], faces: np.ndarray) -> Iterator[Studio]:
    """A studio of built-in data and two models of pixels."""
    found, running, thread = started(shelf_of(models))
    yield found
    running.should_exit = True
    thread.join(PATIENCE)


@pytest.fixture(scope="package")  # Playwright's loop must be gone before others start theirs
def chromium() -> Iterator[Any]:
    """The system's browser, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with api.sync_playwright() as playwright:
        browser = browser_of(playwright)
        if browser is None:
            pytest.skip("no Chromium: install it (Debian: apt install chromium) for these tests")
        yield browser
        browser.close()


def browser_of(playwright: Any) -> Any:
    """Return the system's Chromium, started; None where there is none."""
    named = os.environ.get("ANCESTRAL_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, CHROMIUM)), None)
    arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    return found and playwright.chromium.launch(executable_path=found, args=arguments)


class Page:
    """A page of the studio, with all it asked for and complained of."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(1000 * PATIENCE)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.problems.append(said.text) if said.type == "error" else None,
        )

    def open(self, address: str) -> Any:
        self.page.goto(address)
        return self.ready()

    def ready(self) -> Any:
        """Wait for the room shown to be built."""
        self.page.wait_for_selector(".room:not([hidden]) .stage:not([aria-busy]) > *")
        self.page.wait_for_function("() => !document.querySelector('.loading')")
        return self.page


@pytest.fixture
def visit(chromium: Any, studio: Studio) -> Iterator[Any]:
    """Open a room of the studio; afterwards nothing may have gone wrong or outside."""
    opened: list[Page] = []
    expected: list[str] = []

    def go(state: str = "faces", *, complaint: str | None = None, **options: Any) -> Any:
        expected.extend([complaint] if complaint else [])
        options.setdefault("viewport", {"width": 1280, "height": 900})
        page = Page(chromium, **options)
        opened.append(page)
        return page.open(f"{studio.entrance}#{state}")

    yield go
    for page in opened:
        page.context.close()
        assert not [said for said in page.problems if not any(e in said for e in expected)]
        outside = [url for url in page.requests if not url.startswith(studio.address)]
        assert not [url for url in outside if not url.startswith(("data:", "blob:"))]


@pytest.fixture(scope="package")
def script(chromium: Any, studio: Studio) -> Iterator[Any]:
    """Run a function of the page's modules: script(body, argument).

    A module is there under its name where no other has that, and else with its folder's name
    before it: `ppca`, `pixels_tree`.
    """
    page = Page(chromium)
    page.open(f"{studio.entrance}#compare")
    modules = modules_by_name()

    def run(body: str, argument: Any = None) -> Any:
        used = {
            name: modules[name] for name in modules if re.search(rf"(?<!\w)(?<!\w\.){name}\.", body)
        }
        imports = ", ".join(f"import('{studio.address}/page/{path}')" for path in used.values())
        function = (
            f"async (given) => {{ const parts = await Promise.all([{imports}]);"
            f"const [{', '.join(used)}] = parts; {{ {body} }} }}"
        )
        return page.page.evaluate(function, argument)

    yield run
    page.context.close()


def modules_by_name() -> dict[str, str]:
    """Return the paths of the page's modules by what `script` calls them."""
    paths = [path for path in page_files() if path.endswith(".js") and path != "main.js"]
    short = [path.removesuffix(".js").rpartition("/")[2] for path in paths]
    return {
        name if short.count(name) == 1 else path.removesuffix(".js").replace("/", "_"): path
        for name, path in zip(short, paths, strict=True)
    }
