"""A walk over the controls of a room, as a reader with a mouse or a finger would take it.

Each control is scrolled into sight and must then be wholly on the screen, uncovered, with at least
`LEAST_STAGE` of the stage in sight beside it; then it is used, and the stage or the control's own
panel must show something else than before. What is wrong comes back by name, a sentence each.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.studio.reading import address, settled

LEAST_STAGE = 0.6  # of the stage's area, while a control is used
UNCHANGED = "changes nothing that is seen"
PATIENCE = 20  # looks, a tenth of a second apart, for what is computed or fetched first
SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")


class Walk:
    """One room of an open page; `tap` uses a finger in the place of a mouse."""

    def __init__(self, page: Any, room: str, *, tap: bool) -> None:
        self.page, self.room, self.tap = page, room, tap
        page.set_default_timeout(10_000)
        page.evaluate(SCRIPT)
        self.open_folds()

    def ask(self, function: str, *given: Any) -> Any:
        return self.page.evaluate(
            "([name, given]) => walking[name](...given)", [function, [self.room, *given]]
        )

    def open_folds(self) -> None:
        self.ask("openFolds")
        settled(self.page)

    def violations(self) -> list[str]:
        """Walk every control, those included that appear when another is used."""
        lasting = self.ask("lasting")
        first = [key for key in self.ask("keys") if key not in lasting]
        paths: dict[str, tuple[str, ...]] = dict.fromkeys(first, ())  # what to use before
        queue = list(paths)
        found: list[str] = []
        for key in queue:
            found += self._tried(key, paths[key])
            for fresh in self.ask("keys") if not paths[key] else ():
                if fresh not in paths and fresh not in lasting and not _stands_for(fresh, paths):
                    paths[fresh] = (key,)
                    queue.append(fresh)
        return found + [wrong for key in lasting for wrong in self._tried(key, ())]

    def _tried(self, key: str, path: tuple[str, ...]) -> list[str]:
        self._follow(path)
        if path and self.ask("find", key) is None:
            return []  # it came by chance, or has another name this time
        wrong = self._walk(key)
        if wrong == UNCHANGED:  # where it stood already, perhaps
            self._stir(key)
            wrong = self._walk(key)
        return [f"{key}{''.join(f' (after {before})' for before in path)} {wrong}"] if wrong else []

    def _follow(self, path: tuple[str, ...]) -> None:
        """Put the room back to its first state, then use what leads to a control."""
        if self.page.locator("dialog[open]").count():
            self.page.keyboard.press("Escape")
        self.page.locator("main").focus()  # what was done is one change from here on
        settled(self.page)
        reset = self.page.get_by_role("button", name="Reset", exact=True)
        if reset.is_enabled():
            reset.click()
        self.open_folds()
        for key in path:
            if self.ask("find", key) is not None:
                self.ask("inSight", key, 0)
                self._use(key)
                settled(self.page)

    def _stir(self, key: str) -> None:
        """Use the room's main button and its first slider, so that there is something to change."""
        lasting = self.ask("lasting")
        for other in self.ask("keys"):
            if other != key and other not in lasting and other.startswith(("button", "range")):
                self.ask("inSight", other, 0)
                self._use(other)
                settled(self.page)
                if self.page.locator("dialog[open]").count():
                    self.page.keyboard.press("Escape")
                if other.startswith("range"):
                    return

    def _walk(self, key: str) -> str | None:
        wrong = self.ask("inSight", key, LEAST_STAGE)
        settled(self.page)
        if wrong:
            return wrong
        about = self.ask("about", key)
        if about["kind"] == "radio" and about["checked"]:
            return None
        before = self.ask("looks", key)
        for way in self._ways(about):
            self._use(key, way)
            for k in range(PATIENCE):
                settled(self.page)
                if self.ask("looks", key) != before:
                    return None
                self.page.wait_for_timeout(20 if k < PATIENCE / 2 else 100)
        return UNCHANGED

    def _ways(self, about: dict[str, Any]) -> tuple[str, ...]:
        if about["kind"] in ("button", "summary", "range", "radio", "checkbox", "select"):
            return ("press",)
        return ("press", "ArrowRight", "ArrowUp", "Enter")

    def _use(self, key: str, way: str = "press") -> None:
        if self.ask("find", key) is None:
            return
        about = self.ask("about", key)
        node = self.page.evaluate_handle(
            "([room, key]) => walking.find(room, key)", [self.room, key]
        ).as_element()
        if about["kind"] == "select":
            node.select_option(index=(about["chosen"] + 1) % about["options"])
        elif about["kind"] in ("number", "text"):
            node.focus()
            self.page.keyboard.press("ArrowUp")
        elif way != "press":
            node.focus()
            self.page.keyboard.press(way)
        elif self.tap:
            self.page.touchscreen.tap(about["x"], about["y"])
        else:
            self.page.mouse.click(about["x"], about["y"])

    # ---- swipes ----------------------------------------------------------------------------------

    def moved_by_swipes(self) -> list[str]:
        """Swipe up across every slider and plot with a finger; name those that a swipe changes."""
        found = []
        touch = self.page.context.new_cdp_session(self.page)
        for key in self.ask("swiped"):
            self.ask("inSight", key, 0)
            settled(self.page)
            start = self.ask("swipeFrom", key)
            if start is None:
                continue
            before = address(self.page), self.ask("stageLooks")
            x, y = start["x"], start["y"]
            touch.send("Input.dispatchTouchEvent", _touch("touchStart", x, y))
            for k in range(1, 11):
                at = _touch("touchMove", x + (k % 2), y - 12 * k)
                touch.send("Input.dispatchTouchEvent", at)
                self.page.wait_for_timeout(8)
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            settled(self.page)
            if (address(self.page), self.ask("stageLooks")) != before:
                found.append(f"a vertical swipe changes {key}")
        return found


def _touch(kind: str, x: float, y: float) -> dict[str, Any]:
    return {"type": kind, "touchPoints": [{"x": x, "y": y}]}


def _stands_for(key: str, known: dict[str, Any]) -> bool:
    """Whether enough controls of the same name but for numbers are known already."""
    stem, *stems = (re.sub(r", number \d+$", "", one) for one in (key, *known))
    return stems.count(stem) >= 3
