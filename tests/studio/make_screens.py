"""Pictures of every room on built-in data, for looking at: `make screens`, or of some rooms alone.

    python -m tests.studio.make_screens [ROOM ...]

One PNG a room, size and theme lies in tests/studio/screens; test_screens.py holds them to the page.
The documents show one of each room.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

from ancestral.studio.shelf import Shelf

FOLDER = Path(__file__).parent / "screens"
SIZES = ((390, 844), (768, 1024), (1280, 720), (1920, 1080))
THEMES = ("light", "dark")
SHOWN = ((1280, 720), "light")  # what the page of the studio has
DOCS = Path(__file__).resolve().parents[2] / "docs" / "models" / "studio"
LARGEST = 80_000  # bytes of a picture
FONTS = FOLDER / "fonts.json"  # what some text measured where the pictures were made
SAMPLE = "The quick brown fox jumps over 1,234 lazy dogs"


def name_of(room: str, size: tuple[int, int], theme: str) -> str:
    return f"{room}-{size[0]}x{size[1]}-{theme}.png"


def picture_of(browser: Any, entrance: str, size: tuple[int, int], theme: str) -> bytes:
    """Return what a reader sees of a room at first, as a PNG."""
    from tests.studio.conftest import Page

    width, height = size
    page = Page(
        browser,
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion="reduce",
    )
    shown = page.open(entrance)
    shown.wait_for_load_state("networkidle")
    shown.wait_for_timeout(300)
    taken: bytes = shown.screenshot(animations="disabled", caret="hide")
    page.context.close()
    return taken


def font_of(browser: Any) -> dict[str, float]:
    """Return how wide and high a line of text is on this machine."""
    page = browser.new_page()
    page.set_content(f"<span style='font: 16px system-ui, sans-serif'>{SAMPLE}</span>")
    box = page.locator("span").bounding_box()
    page.close()
    return {"width": round(box["width"], 1), "height": round(box["height"], 1)}


def small(png: bytes) -> bytes:
    """Return a picture of few colours, as many as its size in bytes allows."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (128, 64, 32, 16):
        out = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() < LARGEST:
            break
    return out.getvalue()


def main(rooms: list[str]) -> None:
    """Take the pictures anew: of these rooms, or of all."""
    from playwright.sync_api import sync_playwright

    from ancestral.studio.rooms import ROOMS
    from tests.studio.conftest import browser_of, started

    FOLDER.mkdir(exist_ok=True)
    studio, running, thread = started(Shelf())
    with sync_playwright() as playwright:
        browser = browser_of(playwright)
        for room in rooms or ROOMS:
            for size in SIZES:
                for theme in THEMES:
                    png = picture_of(browser, f"{studio.entrance}#{room}", size, theme)
                    (FOLDER / name_of(room, size, theme)).write_bytes(small(png))
            shown = (FOLDER / name_of(room, *SHOWN)).read_bytes()
            (DOCS / f"{room}.png").write_bytes(shown)
        FONTS.write_text(json.dumps(font_of(browser)) + "\n")
        browser.close()
    running.should_exit = True
    thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
