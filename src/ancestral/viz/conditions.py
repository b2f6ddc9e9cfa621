"""Partly known images and what they can be: the exact conditional, image by image.

Each line of the figure is one condition: the known pixels, the mean of every unknown pixel given
all known ones, and the most probable completions with their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError
from ancestral.viz import _style
from ancestral.viz._style import styled
from ancestral.viz.images import ink_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT = 7.5  # points
TALLEST_TILE = 0.66  # inches
MOST = 6  # completions drawn
UNKNOWN = "#F6DFB8"  # told from every grey, also without colour vision, by its stroke


@dataclass(frozen=True)
class Condition:
    """A partly known image and the conditional distribution of the whole.

    Parameters
    ----------
    name : str
        What is known, in words.
    given : ndarray of shape (d,)
        NaN where unknown; values between 0 and 1 elsewhere.
    mean : ndarray of shape (d,)
        Of each pixel given all known ones.
    images : ndarray of shape (k, d)
        The most probable completions, most probable first.
    probabilities : dict of str to sequence of k floats
        Of these completions, by model.
    n_possible : int
        Completions of positive probability under the first model.
    """

    name: str
    given: NDArray[np.float64]
    mean: NDArray[np.float64]
    images: NDArray[np.float64]
    probabilities: dict[str, Sequence[float]]
    n_possible: int


@styled
def inpainting(conditions: Sequence[Condition], shape: tuple[int, int]) -> Figure:
    """Return one line for each condition: what is known, the means, the likeliest completions.

    Parameters
    ----------
    conditions : sequence of Condition
    shape : (height, width)

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> half = np.array([1.0, np.nan])
    >>> images, p = np.array([[1.0, 0.0], [1.0, 1.0]]), {"tables": [0.7, 0.3]}
    >>> condition = Condition("left half", half, np.array([1.0, 0.3]), images, p, 2)
    >>> len(inpainting([condition], (1, 2)).axes[0].images)
    4
    """
    if not conditions:
        raise DataError("conditions is empty; there is nothing to draw.")
    for one in conditions:
        if one.given.shape != (shape[0] * shape[1],):
            raise DataError(f"shape {tuple(shape)} does not hold {one.given.size} values.")
    models = list(conditions[0].probabilities)
    columns = 2 + min(MOST, max(len(one.images) for one in conditions))
    names = [line for one in conditions for line in one.name.split("\n")]
    left = max(_style.text_width(text, TEXT + 0.5) for text in names) + 0.16
    gap, wide_gap = 0.12, 0.34
    beside = max(_style.text_width(f"{model}  ", TEXT) for model in models)
    wide_gap = max(wide_gap, beside + 0.1)
    room = _style.TEXT_WIDTH - left - 0.06 - wide_gap - gap * (columns - 2)
    width = min(room / columns, TALLEST_TILE * shape[1] / shape[0])
    height = width * shape[0] / shape[1]
    words = 0.08 + 0.13 * len(models)
    pitch, top = height + words + 0.1, 0.3
    tall = top + pitch * len(conditions)
    starts = left + np.arange(columns) * (width + gap) + (np.arange(columns) > 1) * (wide_gap - gap)
    heading = "most probable, given what is known"
    wide = max(starts[-1] + width, starts[2] + _style.text_width(heading, TEXT + 0.5)) + 0.1
    figure = _style.new_figure(wide, tall, layout=None)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    for k, title in ((0, "known"), (1, "mean"), (2, heading)):
        where = starts[k] + (width / 2 if k < 2 else 0.0)
        ax.text(where, top - 0.1, title, ha="center" if k < 2 else "left", fontsize=TEXT + 0.5)
    for line, one in enumerate(conditions):
        y = top + line * pitch
        box = (width, height)
        ax.text(0.06, y + height / 2, one.name, va="center", fontsize=TEXT + 0.5, linespacing=1.3)
        _tile(ax, one.given, shape, (starts[0], y), box)
        _tile(ax, one.mean, shape, (starts[1], y), box)
        for m, model in enumerate(models):
            below = y + height + 0.1 + 0.13 * m
            ax.text(starts[2] - 0.06, below, model, ha="right", va="center", fontsize=TEXT,
                    color=_style.GREY)  # fmt: skip
        for k, image in enumerate(one.images[:MOST]):
            _tile(ax, image, shape, (starts[k + 2], y), box)
            for m, model in enumerate(models):
                ax.text(starts[k + 2] + width / 2, y + height + 0.1 + 0.13 * m,
                        _share(one.probabilities[model][k]), ha="center", va="center",
                        fontsize=TEXT)  # fmt: skip
    ax.set(xlim=(0, wide), ylim=(tall, 0), aspect="auto")
    return figure


def _share(p: float) -> str:
    """Return a probability as per cent, small ones with their order."""
    return f"{100 * p:.1f}%" if p >= 5e-4 else f"{p:.0e}" if p > 0 else "0"


def _tile(
    ax: Axes,
    pixels: NDArray[np.float64],
    shape: tuple[int, int],
    corner: tuple[float, float],
    box: tuple[float, float],
) -> None:
    """Draw an image in its frame; unknown pixels are tinted and struck through."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    (x, y), (width, height) = corner, box
    picture = pixels.reshape(shape)
    ink = ink_map(binary=True).with_extremes(bad=UNKNOWN)
    ax.imshow(np.ma.masked_invalid(picture), cmap=ink, vmin=0, vmax=1, interpolation="nearest",
              extent=(x, x + width, y + height, y))  # fmt: skip
    rows, columns = np.nonzero(np.isnan(picture))
    size = np.array([width / shape[1], height / shape[0]])
    starts = np.column_stack([x + columns * size[0], y + (rows + 1) * size[1]])
    strokes = np.stack([starts, starts + size * [1, -1]], axis=1)
    ax.add_collection(LineCollection(list(strokes), colors=_style.GREY, linewidths=0.5))
    ax.add_patch(Rectangle((x, y), width, height, facecolor="none", edgecolor=_style.GREY,
                           linewidth=0.5, zorder=3))  # fmt: skip
