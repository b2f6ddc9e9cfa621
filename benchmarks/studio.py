"""The studio: from hand to picture in a browser, against the time a frame has.

The peer of each latency is a budget: one frame of a 60 Hz screen where the page computes, 60 ms
where an LSTM is searched, a second for the first view. A latency runs from the event's own time
stamp to the frame that shows it; keys and mouse are the browser's, driven by Playwright.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.timing import Row, Timer

FRAME, SLOW, SECOND = 1 / 60, 0.060, 1.0
STEPS = 60
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Notes when an event of a kind was made, and when the frame that follows it has been handed over.
WATCH = """
(kinds) => {
  window.latencies = [];
  for (const kind of kinds)
    addEventListener(kind, (event) => {
      const made = event.timeStamp;
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => window.latencies.push(performance.now() - made);
        channel.port2.postMessage(0);
      });
    }, { capture: true });
}
"""


def rows(timer: Timer) -> Iterator[Row]:
    """What the page is sent, and how long each room takes to follow the hand."""
    from ancestral.studio.payload import packed, to_json

    directions = np.random.default_rng(0).normal(size=(64, 576)).astype(np.float32)
    yield timer.race(
        "64 x 576 directions as JSON",
        lambda: to_json(packed(directions)),
        "json.dumps of a list of lists",
        lambda: json.dumps(directions.tolist()),
    )
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    found = os.environ.get("ANCESTRAL_CHROMIUM") or next(
        filter(None, map(shutil.which, CHROMIUM)), None
    )
    if found is None:
        return
    with _served(tiny=timer.tiny) as entrance, sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield from _measured(browser, entrance, 3 if timer.tiny else STEPS)
        browser.close()


@contextmanager
def _served(*, tiny: bool) -> Iterator[str]:
    """Serve the built-in data and two models of pixels from a thread."""
    import uvicorn

    from ancestral.studio import server

    shelf = _shelf(tiny=tiny)
    rooms = server.Rooms(shelf)
    for room, subjects in rooms.listing().subjects.items():
        for of, subject in subjects.items():
            for part in ("", *subject.later):
                rooms.text(room, of, part)
    listening = server._listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    app = server.make_app(rooms, port=port)
    running = uvicorn.Server(server.configuration(app))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listening])))
    thread.start()
    try:
        yield lambda: f"http://127.0.0.1:{port}/?token={app.issue()}"
    finally:
        running.should_exit = True
        thread.join()


def _shelf(*, tiny: bool) -> Any:
    """Return tables of the icons and, where PyTorch is, an LSTM as the studio trains it."""
    from importlib.util import find_spec

    from ancestral import LSTMAutoregressive, TabularAutoregressive, datasets
    from ancestral.studio.shelf import Item, Shelf

    icons, _ = datasets.icons()
    models: dict[str, Any] = {"Tables": TabularAutoregressive().fit(icons)}
    if find_spec("torch"):
        lstm = LSTMAutoregressive(tol=0.01, max_steps=3 if tiny else 800, random_state=0)
        models["LSTM"] = lstm.fit(icons)
    return Shelf(items=[Item.of_model(name, model) for name, model in models.items()])


def _measured(browser: Any, entrance: Callable[[], str], steps: int) -> Iterator[Row]:
    yield _first_view(browser, entrance, steps)
    page = browser.new_page(viewport={"width": 1280, "height": 720})

    def room(state: str, kinds: list[str]) -> None:
        page.goto("about:blank")
        page.goto(f"{entrance()}#{state}")
        page.wait_for_selector(".room:not([hidden]) .panel")
        page.wait_for_timeout(800 if steps > 3 else 50)  # the rest has arrived
        page.evaluate(WATCH, kinds)

    def row(case: str, budget: float, peer: str = "one frame at 60 Hz") -> Row:
        page.wait_for_timeout(100)
        times = sorted(page.evaluate("window.latencies"))
        slowest = times[min(len(times) - 1, int(0.95 * len(times)))]
        note = f"95 in 100 within {slowest:.1f} ms, of {len(times)}"
        return Row(case, statistics.median(times) / 1000, peer, budget, note)

    def keys(key: str) -> None:
        for _ in range(steps):
            page.keyboard.press(key)
            page.wait_for_timeout(25)

    def drag(selector: str) -> None:
        box = page.locator(selector).first.bounding_box()
        x, y = box["x"] + 0.35 * box["width"], box["y"] + 0.4 * box["height"]
        page.mouse.move(x, y)
        page.mouse.down()
        for k in range(steps):
            page.mouse.move(x + 0.3 * box["width"] * k / steps, y + 0.2 * box["height"] * k / steps)
            page.wait_for_timeout(20)
        page.mouse.up()

    room("faces?d=16&face=1", ["input"])
    page.get_by_role("slider", name="z 1", exact=True).focus()
    keys("ArrowRight")
    yield row("faces: slider to face, d = 16", FRAME)
    room("faces?d=64&face=1&other=2", ["input"])
    page.get_by_role("slider", name="t, from this face to the other").focus()
    keys("ArrowRight")
    yield row("faces: on the way to another face, d = 64", FRAME)
    room("faces?d=64&face=1", ["pointermove"])
    drag("#room-faces canvas.handle")
    yield row("faces: brush to filled face, d = 64", FRAME)
    room("pixels", ["keydown"])
    page.locator("#room-pixels .cell").nth(12).focus()
    keys("Space")
    yield row("pixels: pixel to posteriors, tables and LSTM", SLOW, "the time allowed")
    room("classroom?n=15", ["input"])
    page.get_by_role("slider", name="b, how readily all link").focus()
    keys("ArrowRight")
    yield row("classroom: slider to graph, 15 pupils", FRAME)
    room("classroom?n=60", ["pointermove"])
    drag("svg[aria-label^='Contours of the log-likelihood of the data']")
    yield row("classroom: contour to graph, 60 pupils", FRAME)
    room("line?n=442", ["pointermove"])
    drag("#room-line .stage svg.plot")
    yield row("line: point to density, 442 points", FRAME)
    room("line?n=442&variance=x", ["pointermove"])
    drag("#room-line .stage svg.plot")
    yield row("line: the same, variance by scoring", FRAME)
    room("mixture", ["keydown"])
    page.get_by_role("button", name="Step", exact=True).focus()
    keys("Enter")
    yield row("mixture: half a step of EM, 150 points", FRAME)
    room("tree", ["pointermove"])
    drag("#room-tree .stage svg .drag")
    yield row("tree: a number to the marginals of the rest", FRAME)
    page.close()


def _first_view(browser: Any, entrance: Callable[[], str], steps: int) -> Row:
    """Time from the address to the first face, in a browser without a cache."""
    times, size = [], 0
    for _ in range(min(steps, 9)):
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        page = context.new_page()
        started = time.perf_counter()
        page.goto(entrance())
        page.wait_for_selector("#room-faces canvas.handle")
        times.append(time.perf_counter() - started)
        size = page.evaluate(
            "performance.getEntriesByType('resource').filter((e) => !e.name.includes('rest'))"
            ".reduce((n, e) => n + e.encodedBodySize, 0)"
        )
        context.close()
    note = f"{size / 1000:.0f} kB, compressed"
    return Row("the first view", statistics.median(times), "the time allowed", SECOND, note)
