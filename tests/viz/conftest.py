"""Every figure is drawn to the end with warnings as errors: a missing glyph fails."""

from __future__ import annotations

import io
import warnings

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("networkx")


@pytest.fixture
def draw():
    """Return a function that renders a Figure or Axes to PNG and gives its figure back."""

    def render(drawn):
        figure = drawn if hasattr(drawn, "savefig") else drawn.figure
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=60)
        assert picture.getvalue().startswith(b"\x89PNG")
        return figure

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield render
