"""axe-core finds nothing serious in any room or among the files, light or dark, wide or narrow."""

from __future__ import annotations

import pytest

from tests.studio.reading import ROOMS, settled

# What a room shows beside its first state.
STATES = {
    "faces": "?face=1&d=8&hidden=" + "_" * 20,
    "line": "?variance=x&degree=3",
    "tree": "?fixed=sex:male&seed=1",
    "mixture": "?n=5",
}
SCREENS = (("light", 1280, 720), ("dark", 390, 844))
FADED = "Promise.allSettled(document.getAnimations().map((fade) => fade.finished))"


@pytest.fixture
def serious():
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="no axe-core: pip install axe-playwright-python",
    )

    def found(page) -> list:
        every = []
        for scheme, width, height in SCREENS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            settled(page)
            page.evaluate(FADED)
            every += [
                (scheme, width, wrong["id"], [node["html"][:120] for node in wrong["nodes"]][:3])
                for wrong in axe.Axe().run(page).response["violations"]
                if wrong["impact"] in ("serious", "critical")
            ]
        return every

    return found


@pytest.mark.parametrize("room", ROOMS)
def test_axe_finds_nothing_serious(visit, serious, room):
    page = visit(room + STATES.get(room, ""))
    folds = f"document.querySelectorAll('#room-{room} details')"
    page.evaluate(f"{folds}.forEach((fold) => (fold.open = true))")
    assert not serious(page)


def test_axe_finds_nothing_serious_among_the_files(visit, serious):
    page = visit("compare")
    page.locator(".tools").get_by_role("button", name="Files").click()
    assert not serious(page)
