"""Partly known images and what they can be: the exact conditional, image by image.

Each line of the figure is one condition: the known pixels, the mean of every unknown pixel given
all known ones, and the most probable completions with their probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_numbers
from ancestral.errors import DataError, DataTypeError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.images import ink_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT = 7.5  # points
TALLEST_TILE = 0.66  # inches
MOST = 6  # completions drawn
N_DRAWS = 500  # among which the most probable are looked for
WANTS = "a fitted density and rows X with NaN where unknown, or a list of Condition"
UNKNOWN = "#F6DFB8"  # told from every grey, also without colour vision, by its stroke


@dataclass(frozen=True)
class Condition:
    """A partly known image and the conditional distribution of the whole.

    Parameters
    ----------
    name : str
        What is known, in words.
    given : ndarray of shape (n_features,)
        NaN where unknown; values between 0 and 1 elsewhere.
    mean : ndarray of shape (n_features,)
        Of each pixel given all known ones.
    images : ndarray of shape (k, n_features)
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
def inpainting(
    conditions: Any,
    X: Any = None,
    shape: tuple[int, int] | None = None,
    *,
    random_state: Any = None,
) -> Figure:
    """Draw one line of images for each condition: the known pixels, the mean, and completions.

    Parameters
    ----------
    conditions : sequence of Condition, or a fitted density that conditions
        Models are those of discrete rows, PPCA and PPCAMixture.
    X : array-like or dataframe of shape (n_images, height * width)
        With a model: images with NaN for unknown pixels. Their completions are drawn from the exact
        conditional distribution. For discrete models the most probable of 500 draws are shown, each
        with its exact probability; for models of real numbers six draws. Without a model, the shape
        may be given here.
    shape : (height, width), optional
        Shape of the images; by default a square.
    random_state : None, int, RandomState or Generator
        Seed of the draws.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        When the shape does not fit the images, or levels are not numbers.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> model = TabularAutoregressive().fit([[1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0]])
    >>> figure = inpainting(model, [[1, np.nan, np.nan, np.nan]], random_state=0)
    >>> len(figure.axes[0].images)  # the known pixels, the mean, and two completions
    4
    """
    heading = "most probable, given what is known"
    binary = True
    if _taken.has_face(conditions, "discrete") or _taken.has_face(conditions, "continuous"):
        binary = _taken.has_face(conditions, "discrete")
        heading = f"most probable of {N_DRAWS} draws" if binary else "draws, given what is known"
        make = _of_levels if binary else _of_numbers
        conditions = make(conditions, X, random_state)
    else:
        _taken.refuse_unless(conditions, _are_conditions, "inpainting", WANTS)
        shape = shape if X is None else X
    if not len(conditions):
        raise DataError("conditions is empty; there is nothing to draw.")
    if shape is None:
        size = conditions[0].given.size
        side = math.isqrt(size)
        shape = (side, side)
        if side * side != size:
            raise DataError(
                f"rows of {size} values are no square image, and this figure draws images. Pass "
                "shape=(height, width), or rows of an image."
            )
    for one in conditions:
        if one.given.shape != (shape[0] * shape[1],):
            raise DataError(
                f"shape {tuple(shape)} does not hold {one.given.size} values. "
                "Pass shape=(height, width)."
            )
    models = list(conditions[0].probabilities)
    columns = 2 + min(MOST, max(len(one.images) for one in conditions))
    names = [line for one in conditions for line in one.name.split("\n")]
    left = max(_style.text_width(text, TEXT + 0.5) for text in names) + 0.16
    gap, wide_gap = 0.12, 0.34
    beside = max((_style.text_width(f"{model}  ", TEXT) for model in models), default=0.0)
    wide_gap = max(wide_gap, beside + 0.1)
    room = _style.TEXT_WIDTH - left - 0.06 - wide_gap - gap * (columns - 2)
    width = min(room / columns, TALLEST_TILE * shape[1] / shape[0])
    height = width * shape[0] / shape[1]
    words = 0.08 + 0.13 * len(models)
    pitch, top = height + words + 0.1, 0.3
    tall = top + pitch * len(conditions)
    starts = left + np.arange(columns) * (width + gap) + (np.arange(columns) > 1) * (wide_gap - gap)
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
        _tile(ax, one.given, shape, (starts[0], y), box, binary=binary)
        _tile(ax, one.mean, shape, (starts[1], y), box, binary=binary)
        for m, model in enumerate(models):
            below = y + height + 0.1 + 0.13 * m
            ax.text(starts[2] - 0.06, below, model, ha="right", va="center", fontsize=TEXT,
                    color=_style.GREY)  # fmt: skip
        for k, image in enumerate(one.images[:MOST]):
            _tile(ax, image, shape, (starts[k + 2], y), box, binary=binary)
            for m, model in enumerate(models):
                ax.text(starts[k + 2] + width / 2, y + height + 0.1 + 0.13 * m,
                        _share(one.probabilities[model][k]), ha="center", va="center",
                        fontsize=TEXT)  # fmt: skip
    ax.set(xlim=(0, wide), ylim=(tall, 0), aspect="auto")
    return figure


def _are_conditions(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, Condition) for one in value)


def _unknown_rows(model: Any, X: Any) -> tuple[Any, NDArray[np.float64], list[str]]:
    """Return rows as the model takes them, as numbers with NaN, and what each is called."""
    if X is None:
        raise DataError("X is needed with a model: images with NaN where unknown.")
    X = _taken.columns_of_model(model, X)
    rows = as_numbers(X, name="X", ndim=2).astype(np.float64)
    labels = _taken.row_names(X) or [f"row {k}" for k in range(len(rows))]
    n_unknown = np.isnan(rows).sum(axis=1)
    names = [f"{label}:\n{n} unknown" for label, n in zip(labels, n_unknown, strict=True)]
    return X, rows, names


def _of_levels(model: Any, X: Any, random_state: Any) -> list[Condition]:
    """Return what unknown pixels of levels can be, with exact probabilities."""
    X, rows, names = _unknown_rows(model, X)
    levels = [np.asarray(known) for known in model.categories_]
    for j, known in enumerate(levels):
        if known.dtype.kind not in "biuf":
            raise DataTypeError(
                f"column {j} of the model has the levels {known.tolist()[:4]}, which are no shades "
                "of a pixel. See viz.prefix_tree(model), which names them."
            )
    least = min(float(known.min()) for known in levels)
    span = (max(float(known.max()) for known in levels) - least) or 1.0
    marginals = list(model.marginals(X).values())
    mean = np.column_stack([p @ k.astype(np.float64) for p, k in zip(marginals, levels)])
    tables = model.impute_draws(X, N_DRAWS, random_state=random_state)
    draws = np.stack([as_numbers(table, name="draws") for table in tables])  # (n_draws, n, m)
    known = np.asarray(model.log_density(X))
    found = []
    for i, name in enumerate(names):
        different, first = np.unique(draws[:, i], axis=0, return_index=True)
        log_p = np.asarray(model.log_density(_rows_at(tables, first, i))) - known[i]
        order = np.argsort(-log_p, kind="stable")[:MOST]
        p = {"p": np.exp(log_p[order]).tolist()}
        image = (different[order] - least) / span
        row, middle = (rows[i] - least) / span, (mean[i] - least) / span
        found.append(Condition(name, row, middle, image, p, len(different)))
    return found


def _rows_at(tables: Any, draws: NDArray[np.intp], row: int) -> Any:
    """Return one row of some of several tables, as one table of their kind."""
    if isinstance(tables, np.ndarray):
        return tables[draws, row]
    import narwhals

    frames = [narwhals.from_native(tables[k])[[row]] for k in draws]
    return narwhals.concat(frames).to_native()


def _of_numbers(model: Any, X: Any, random_state: Any) -> list[Condition]:
    """Return what unknown pixels of greys can be: their means, and draws."""
    X, rows, names = _unknown_rows(model, X)
    mean = as_numbers(model.impute(X), name="X")
    tables = model.impute_draws(X, MOST, random_state=random_state)
    draws = np.stack([as_numbers(table, name="draws") for table in tables])
    least, most = np.nanmin(rows), np.nanmax(rows)
    least, most = min(least, mean.min(), draws.min()), max(most, mean.max(), draws.max())
    span = (most - least) or 1.0
    return [
        Condition(name, (rows[i] - least) / span, (mean[i] - least) / span,
                  (draws[:, i] - least) / span, {}, len(draws))
        for i, name in enumerate(names)
    ]  # fmt: skip


def _share(p: float) -> str:
    """Return a probability as per cent, small ones with their order."""
    return f"{100 * p:.1f}%" if p >= 5e-4 else f"{p:.0e}" if p > 0 else "0"


def _tile(
    ax: Axes,
    pixels: NDArray[np.float64],
    shape: tuple[int, int],
    corner: tuple[float, float],
    box: tuple[float, float],
    *,
    binary: bool,
) -> None:
    """Draw an image in its frame; unknown pixels are tinted and struck through."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    (x, y), (width, height) = corner, box
    picture = pixels.reshape(shape)
    import matplotlib

    ink = ink_map(binary=True) if binary else matplotlib.colormaps["gray"]
    ink = ink.with_extremes(bad=UNKNOWN)
    ax.imshow(np.ma.masked_invalid(picture), cmap=ink, vmin=0, vmax=1, interpolation="nearest",
              extent=(x, x + width, y + height, y))  # fmt: skip
    rows, columns = np.nonzero(np.isnan(picture))
    size = np.array([width / shape[1], height / shape[0]])
    starts = np.column_stack([x + columns * size[0], y + (rows + 1) * size[1]])
    strokes = np.stack([starts, starts + size * [1, -1]], axis=1)
    ax.add_collection(LineCollection(list(strokes), colors=_style.GREY, linewidths=0.5))
    ax.add_patch(Rectangle((x, y), width, height, facecolor="none", edgecolor=_style.GREY,
                           linewidth=0.5, zorder=3))  # fmt: skip
