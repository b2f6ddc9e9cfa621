"""Grids of images: the pixels drawn are the pixels given, in order, on one range."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ancestral import viz
from ancestral.datasets import icons
from ancestral.errors import DataError, DataTypeError


def test_a_hundred_binary_images_in_ten_rows(draw):
    images = icons()[0][np.random.default_rng(0).integers(0, 32, 100)]
    ax = draw(viz.collage(images, n_rows=10, n_cols=10)).axes[0]
    assert len(ax.images) == 100
    np.testing.assert_array_equal(ax.images[37].get_array(), images[37].reshape(5, 5))
    extents = np.array([tile.get_extent() for tile in ax.images])
    assert (np.diff(extents[:10, 0]) > 0).all()  # the first ten run from left to right
    assert (np.diff(extents[::10, 3]) > 0).all()  # and rows from the top down


def test_ink_is_dark_on_light_paper(draw):
    figure = draw(viz.collage([[0, 1, 1, 0]]))
    paper, ink = (figure.axes[0].images[0].to_rgba(np.array(v))[:3] for v in (0.0, 1.0))
    assert np.min(paper) > 0.9 and np.max(ink) < 0.25


def test_grey_images_share_one_range_and_even_gaps(draw):
    rng = np.random.default_rng(1)
    faces = rng.random((50, 24, 24)) * np.linspace(0.1, 1, 50)[:, None, None]
    offsets = [f"{v:+.2f}".replace("-", "−") for v in np.linspace(-3, 3, 10)]
    figure = draw(
        viz.collage(faces, n_rows=5, n_cols=10, row_labels=list("abcde"), column_labels=offsets)
    )
    tiles = figure.axes[0].images
    assert {tile.get_clim() for tile in tiles} == {(faces.min(), faces.max())}
    left = np.array([tile.get_extent()[0] for tile in tiles[:10]])
    np.testing.assert_allclose(np.diff(left), np.diff(left)[0])
    assert figure.get_size_inches()[0] == pytest.approx(6.3)


def test_tiles_are_square_and_labels_stay_inside_the_figure(draw):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw(
        viz.collage(np.random.default_rng(0).random((6, 576)), n_rows=2, n_cols=3,
                    titles=["a rather long title"] * 6, row_labels=["d = 16", "originals"])
    )  # fmt: skip
    x0, x1, y0, y1 = figure.axes[0].images[0].get_extent()
    assert x1 - x0 == pytest.approx(y0 - y1)
    renderer = FigureCanvasAgg(figure).get_renderer()
    frame = figure.bbox
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    for box in boxes:
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1
    titles = boxes[:3]
    assert all(a.x1 < b.x0 for a, b in pairwise(titles))


def test_probabilities_stand_beneath_as_fractions_or_decimals(draw):
    images = icons()[0][:26]
    texts = draw(viz.probability_collage(images, np.full(26, 1 / 26))).axes[0].texts
    assert [text.get_text() for text in texts] == ["1/26"] * 26
    texts = draw(viz.probability_collage(images[:3], [0.7, 0.2999, 1e-4])).axes[0].texts
    assert [text.get_text() for text in texts] == ["0.7000", "0.2999", "1.0·10⁻⁴"]


def test_differences_are_symmetric_about_white(draw):
    figure = draw(viz.difference_images([[0.1, -0.4, 0.0, 0.2], [0.0, 0.3, 0.1, 0.0]]))
    tile = figure.axes[0].images[0]
    assert tile.get_clim() == (-0.4, 0.4)
    np.testing.assert_allclose(tile.to_rgba(np.array(0.0))[:3], 1.0, atol=0.02)
    assert draw(viz.difference_images(np.zeros((1, 4)))) is not None


@pytest.mark.parametrize(
    ("images", "arguments", "words"),
    [
        (np.zeros((3, 6)), {}, "no square"),
        (np.zeros((3, 6)), {"shape": (2, 4)}, "8 pixels; the images have 6"),
        (np.zeros((5, 4)), {"n_rows": 2, "n_cols": 2}, "5 images do not fit"),
        (np.zeros((0, 4)), {}, "empty"),
        (np.full((1, 4), np.nan), {}, "NaN at row 0, column 0"),
        (np.zeros(4), {}, "shape"),
        (np.zeros((2, 4)), {"titles": ["one"]}, "titles must have 2"),
        (np.zeros((2, 4)), {"vmin": 2.0, "vmax": 1.0}, "vmin must be below"),
    ],
)
def test_bad_images_are_refused(images, arguments, words):
    with pytest.raises(DataError, match=words):
        viz.collage(images, **arguments)


def test_text_and_impossible_probabilities_are_refused():
    with pytest.raises(DataTypeError):
        viz.collage([["a", "b", "c", "d"]])
    with pytest.raises(DataError, match=r"1\.5 at index 0"):
        viz.probability_collage([[0, 1, 1, 0]], [1.5])
    with pytest.raises(DataError, match="equal lengths"):
        viz.probability_collage([[0, 1, 1, 0]], [0.5, 0.5])


def test_one_grey_image_of_one_level_draws(draw):
    draw(viz.collage(np.full((1, 4), 0.5)))
