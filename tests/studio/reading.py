"""What the page shows, read by the tests of its rooms."""

from __future__ import annotations

import re

import numpy as np

from ancestral.studio import rooms

ROOMS = tuple(rooms.ROOMS)  # in the page's order


def settled(page) -> None:
    """Wait for what was asked for to be drawn: pictures follow once per frame."""
    page.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


def address(page) -> str:
    """The address, which follows after 120 ms: the page's own timers fire in order."""
    read = "decodeURIComponent(location.hash)"
    return page.evaluate(f"new Promise((done) => setTimeout(() => done({read}), 130))")


def field(page, name: str) -> str:
    match = re.search(rf"[?&]{name}=([^&]*)", address(page))
    return match[1] if match else ""


def fact(page, room: str, name: str) -> str:
    """The value of one of a room's facts."""
    settled(page)
    found = page.locator(f"#room-{room} .facts div", has=page.locator(f"dt:text-is('{name}')"))
    return found.locator("dd").first.inner_text().replace("−", "-")


def number(text: str) -> float:
    return float(re.search(r"-?[\d.]+", text.replace("−", "-").replace(",", ""))[0])


def pixels_of(page, label: str) -> np.ndarray:
    """The greys a canvas shows, by the beginning of its label."""
    settled(page)
    return np.array(
        page.evaluate(
            """(label) => {
              const canvas = document.querySelector(`canvas[aria-label^="${label}"]`);
              const context = canvas.getContext("2d");
              const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
              return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
            }""",
            label,
        )
    )


def as_greys(x: np.ndarray) -> np.ndarray:
    return np.clip(np.round(255 * x), 0, 255)
