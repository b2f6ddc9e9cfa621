"""axe-core finds nothing serious in any room, light or dark, wide or narrow."""

from __future__ import annotations

import pytest

from tests.studio.reading import settled

ROOMS = (
    "faces?face=1&d=8",
    "pixels",
    "classroom",
    "line?variance=x",
    "compare",
    "tree?fixed=sex:male&seed=1",
    "mixture?n=5",
)


@pytest.mark.parametrize("state", ROOMS)
def test_axe_finds_nothing_serious(visit, state):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="no axe-core: pip install axe-playwright-python",
    )
    page = visit(state)
    if state.startswith("faces"):
        page.get_by_role("button", name="Lower half").click()
    for scheme, width in (("light", 1280), ("dark", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        settled(page)
        faded = "Promise.allSettled(document.getAnimations().map((fade) => fade.finished))"
        page.evaluate(faded)
        found = axe.Axe().run(page).response["violations"]
        serious = [
            (scheme, width, v["id"], [node["html"][:120] for node in v["nodes"]][:3])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert not serious
