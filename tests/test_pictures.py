"""The picture that is kept in the tree is the one that its script draws."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "make_pictures.py"


def test_the_landing_picture_is_what_its_script_draws(tmp_path: Path) -> None:
    for module in ("matplotlib", "skimage", "pandas"):
        pytest.importorskip(module)
    image = pytest.importorskip("PIL.Image")
    script = runpy.run_path(str(SCRIPT))
    kept, drawn = script["PICTURE"], tmp_path / "drawn.png"
    script["main"].__globals__["PICTURE"] = drawn
    script["main"]()
    old, new = (np.asarray(image.open(p).convert("L"), float) for p in (kept, drawn))
    assert old.shape == new.shape
    # Fonts and the last digits of draws differ between machines, what is drawn does not.
    assert np.abs(old - new).mean() < 2
