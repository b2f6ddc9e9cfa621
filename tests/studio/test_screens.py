"""The kept pictures of the rooms: one of each room, size and theme, as the page still looks."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from ancestral.studio.shelf import Shelf
from tests.conftest import PATIENCE
from tests.studio.conftest import started
from tests.studio.make_screens import (
    FOLDER,
    FONTS,
    LARGEST,
    SIZES,
    THEMES,
    font_of,
    name_of,
    picture_of,
)
from tests.studio.reading import ROOMS

GRID = (32, 32)  # cells over each of which greys are averaged: text that moves by a pixel is alike
MEAN, MOST = 2, 25  # of 255: how far the cells may be apart, together and each; seen: 0.1 and 4

EXPECTED = {
    name_of(room, size, theme): size for room in ROOMS for size in SIZES for theme in THEMES
}


def test_each_room_has_its_pictures():
    """A picture that no room has any more goes: run `make screens`."""
    assert {path.name for path in FOLDER.glob("*.png")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_picture_is_small_and_of_its_size(name):
    content = (FOLDER / name).read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) < LARGEST
    assert struct.unpack(">II", content[16:24]) == EXPECTED[name]


@pytest.fixture(scope="module")
def plain():
    studio, running, thread = started(Shelf())
    yield studio
    running.should_exit = True
    thread.join(PATIENCE)


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_still_looks_like_its_picture(chromium, plain, faces, room):
    """Coarsely, and where the fonts are those of the picture; `make screens` takes it anew."""
    Image = pytest.importorskip("PIL.Image", reason="pictures are read by pillow")
    if font_of(chromium) != json.loads(FONTS.read_text()):
        pytest.skip("other fonts than where the pictures were made")

    def cells(image):
        greys = image.convert("L").resize(GRID, Image.Resampling.BOX)
        return np.asarray(greys, dtype=float)

    size, theme = (1280, 720), "light"
    now = picture_of(chromium, f"{plain.entrance}#{room}", size, theme)
    before = Image.open(FOLDER / name_of(room, size, theme))
    apart = np.abs(cells(Image.open(io.BytesIO(now))) - cells(before))
    assert apart.mean() < MEAN and apart.max() < MOST, (apart.mean(), apart.max())
