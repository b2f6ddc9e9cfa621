"""Images in even grids: samples, faces, signed differences.

An image is a row of pixels, row-major, or a (height, width) array; a dataframe of rows is as good
as an array, and so is what `sample`, `impute` and `impute_draws` return. Every image of one figure
is drawn on one range of greys, so that brightness can be compared from tile to tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import as_numbers, check_integer, refuse_non_finite
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_SIZE = 8.0  # points
LINE = 0.17  # inches that one line of labels takes
MARGIN = 0.06  # inches around the whole
MOST_PROBABLE = 24  # rows of a model that are listed
LISTING = ("TabularAutoregressive", "LSTMAutoregressive", "ChainAutoregressive")  # most_probable
MEND_OF_UNKNOWN = (
    "fill it by model.impute(images), or draw what is known and what it can be by "
    "viz.inpainting(model, images)"
)
IMAGES = "images, rows of pixels or (n, height, width)"


@styled
def collage(
    images: ArrayLike,
    shape: tuple[int, int] | None = None,
    *,
    n_rows: int | None = None,
    n_cols: int | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    cmap: Any = "gray",
) -> Figure:
    """Draw images in an even grid, row by row.

    Parameters
    ----------
    images : array-like or dataframe of shape (n, height * width), or array (n, height, width)
        Binary images (all values 0 or 1) are drawn as ink (1) on paper (0), in thin frames. Results
        of `impute_draws` (a list of dataframes, or an array (n_draws, n, height * width) together
        with `shape`) are drawn one draw after another.
    shape : (height, width), optional
        Needed for flat images that are not square.
    n_rows, n_cols : int, optional
        By default the grid is nearly square. Places that are left over stay empty.
    vmin, vmax : float, optional
        The values that are drawn black and white; by default the smallest and largest over all
        images.
    titles : sequence of str, optional
        One above each image.
    row_labels, column_labels : sequence of str, optional
        One to the left of each row, one above each column.
    cmap : str or Colormap, default "gray"

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        When the images do not fit in the grid or have another shape, or hold NaN or infinity.
    DataTypeError
        For a model, a graph or a result; the message names the function that draws it.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> from ancestral.datasets import icons
    >>> model = TabularAutoregressive().fit(icons()[0])
    >>> figure = collage(model.sample(32, random_state=0), n_rows=4, n_cols=8)
    >>> len(figure.axes[0].images)
    32
    """
    _taken.refuse_others("collage", IMAGES, images)
    stack = as_images(images, shape)
    n_rows, n_cols = grid_shape(len(stack), n_rows, n_cols)
    grid = _Grid(stack, n_rows, n_cols, titles, None, row_labels, column_labels)
    figure, ax = grid.new_axes()
    low, high = _range(stack, vmin, vmax)
    if grid.binary and cmap == "gray":
        cmap = ink_map(binary=True)
    grid.draw(ax, vmin=low, vmax=high, cmap=cmap)
    return figure


@styled
def probability_collage(
    images: Any,
    probabilities: ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    *,
    n_cols: int | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw images, each with its probability below.

    Parameters
    ----------
    images : array-like or dataframe of shape (n, height * width), or array (n, height, width)
        Or a fitted TabularAutoregressive, LSTMAutoregressive or ChainAutoregressive: its 24 most
        probable rows are drawn.
    probabilities : array-like of shape (n,)
        In [0, 1]. If all are fractions such as 1/26, they are written as fractions. Not needed with
        a model.
    shape : (height, width), optional
    n_cols : int, optional
    names : sequence of str, optional
        One above each image.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = probability_collage([[0, 1, 1, 0], [1, 0, 0, 1]], [0.5, 0.5])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1/2', '1/2']
    """
    if _taken.is_a(images, *LISTING):
        images, log_p, _ = images.most_probable(MOST_PROBABLE)
        probabilities = np.exp(log_p)
    _taken.refuse_others("probability_collage", f"{IMAGES}, with their probabilities", images)
    if probabilities is None:
        raise DataError(
            "probabilities are needed with images. Pass them, as in "
            "numpy.exp(model.log_density(images)), or a fitted model alone."
        )
    stack = as_images(images, shape)
    p = _style.numbers(probabilities, "probabilities")
    _style.same_length(images=stack, probabilities=p)
    wrong = np.flatnonzero((p < 0) | (p > 1 + 1e-9))
    if wrong.size:
        raise DataError(
            f"probabilities must lie in [0, 1]; got {p[wrong[0]]:g} at index {wrong[0]}. "
            "Pass exp(log density)."
        )
    if n_cols is None and len(stack) > 7:  # across the page, with the fewest empty places
        n_cols = min((9, 8, 7), key=lambda columns: -len(stack) % columns)
    n_rows, n_cols = grid_shape(len(stack), None, n_cols or len(stack))
    grid = _Grid(stack, n_rows, n_cols, names, _as_written(p), None, None)
    figure, ax = grid.new_axes()
    low, high = _range(stack, None, None)
    grid.draw(ax, vmin=low, vmax=high, cmap=ink_map(binary=grid.binary))
    return figure


@styled
def difference_images(
    differences: Any,
    shape: tuple[int, int] | None = None,
    *,
    n_rows: int | None = 1,
    n_cols: int | None = None,
    limit: float | None = None,
    titles: Sequence[str] | None = None,
    label: str | None = None,
) -> Figure:
    """Draw signed differences in colour: vermilion is brighter, blue is darker, white is unchanged.

    Parameters
    ----------
    differences : array-like or dataframe of shape (n, height * width), or array (n, height, width)
        Or a fitted PPCA: the change that one unit of each of the first eight latents makes (columns
        of W).
    shape : (height, width), optional
    n_rows, n_cols : int, optional
        One row by default.
    limit : float, optional
        The colours run from -limit to +limit; by default the largest absolute difference.
    titles : sequence of str, optional
    label : str, optional
        The label of the colour bar; by default "change of grey level".

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = difference_images([[0.1, -0.2, 0.0, 0.05]])
    >>> figure.axes[0].images[0].get_clim()
    (-0.2, 0.2)
    """
    if _taken.is_a(differences, "PPCA"):
        differences = _loadings(differences)
        titles = titles or [f"w{_style.subscript(k + 1)}" for k in range(len(differences))]
        label = label or "change for one unit of the latent (units of the data)"
    _taken.refuse_others("difference_images", "differences of images", differences)
    stack = as_images(differences, shape)
    n_rows, n_cols = grid_shape(len(stack), n_rows, n_cols)
    grid = _Grid(stack, n_rows, n_cols, titles, None, None, None, framed=True)
    bar = 0.52  # inches for the colour bar with its numbers and label
    figure, ax = grid.new_axes(below=bar, width=3.2)
    extreme = float(np.abs(stack).max()) if limit is None else float(limit)
    extreme = extreme or 1.0  # all zero: any range shows white
    drawn = grid.draw(ax, vmin=-extreme, vmax=extreme, cmap=_style.diverging())
    width, height = figure.get_size_inches()
    length = min(2.6, 0.8 * width)
    cax = figure.add_axes(
        ((width - length) / 2 / width, (bar - 0.1) / height, length / width, 0.09 / height)
    )
    figure.colorbar(drawn, cax=cax, orientation="horizontal",
                    label=label or "change of grey level")  # fmt: skip
    cax.tick_params(length=2, pad=2)
    cax.xaxis.labelpad = 1
    cax.locator_params(nbins=5)
    return figure


def _loadings(model: Any) -> NDArray[np.float64]:
    """Return the first columns of W as rows, (at most 8, m)."""
    if not model.n_components_:
        raise DataError("the PPCA has no latent: there is no change to draw. Fit n_components=1.")
    W: NDArray[np.float64] = model.loadings_[:, :8].T
    return W


def ink_map(*, binary: bool) -> Any:
    """Return ink on paper for binary images, greys for others."""
    return _style.colours("ink", [_style.PAPER, _style.INK]) if binary else "gray"


def as_images(images: ArrayLike, shape: tuple[int, int] | None) -> NDArray[np.float64]:
    """Return images as (n, height, width), whatever way they came."""
    if isinstance(images, list) and images and all(map(_taken.is_frame, images)):
        images = np.concatenate([as_numbers(frame, name="images") for frame in images])
    array = as_numbers(images, name="images")
    if array.ndim == 3 and shape is not None and tuple(shape) != array.shape[1:]:
        is_draws = shape[0] * shape[1] == array.shape[2]  # of rows, (n_draws, n, m)
        array = array.reshape(-1, array.shape[2]) if is_draws else array
    if array.ndim not in (2, 3):
        raise DataError(
            f"images must be (n, height * width) or (n, height, width); got shape {array.shape}."
        )
    if array.shape[0] == 0 or array.size == 0:
        raise DataError(f"images is empty (shape {array.shape}); there is nothing to draw.")
    refuse_non_finite(array, name="images", mend=MEND_OF_UNKNOWN)
    array = array.astype(np.float64)
    if array.ndim == 3:
        if shape is not None and tuple(shape) != array.shape[1:]:
            raise DataError(f"shape is {tuple(shape)}, but the images are {array.shape[1:]}.")
        return array
    n, d = array.shape
    side = math.isqrt(d)
    if shape is None:
        if side * side != d:
            raise DataError(
                f"images have {d} pixels, which is no square; pass shape=(height, width)."
            )
        shape = (side, side)
    if shape[0] * shape[1] != d:
        raise DataError(
            f"shape {tuple(shape)} has {shape[0] * shape[1]} pixels; the images have {d}."
        )
    return array.reshape(n, *shape)


def grid_shape(n: int, n_rows: int | None, n_cols: int | None) -> tuple[int, int]:
    """Return rows and columns for n tiles, filling in what is not given."""
    rows = None if n_rows is None else check_integer(n_rows, "n_rows", minimum=1)
    cols = None if n_cols is None else check_integer(n_cols, "n_cols", minimum=1)
    if cols is None:
        cols = math.ceil(math.sqrt(n)) if rows is None else math.ceil(n / rows)
    if rows is None:
        rows = math.ceil(n / cols)
    if n > rows * cols:
        raise DataError(
            f"{n} images do not fit a grid of {rows} x {cols} = {rows * cols}. "
            "Pass fewer images, or larger n_rows or n_cols."
        )
    return rows, cols


def _range(
    stack: NDArray[np.float64], vmin: float | None, vmax: float | None
) -> tuple[float, float]:
    """The values drawn first and last in the colour map, never equal."""
    low = float(stack.min()) if vmin is None else float(vmin)
    high = float(stack.max()) if vmax is None else float(vmax)
    if np.isin(stack, (0.0, 1.0)).all():
        low, high = (0.0 if vmin is None else low), (1.0 if vmax is None else high)
    if low > high:
        raise DataError(f"vmin must be below vmax; got {low:g} and {high:g}.")
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _as_written(p: NDArray[np.float64]) -> list[str]:
    """Probabilities as text: unit fractions where all of them are, decimals otherwise."""
    with np.errstate(divide="ignore"):
        inverse = 1.0 / p
    if np.all(inverse < 9999) and np.allclose(inverse, np.round(inverse), rtol=1e-6, atol=0):
        return [f"1/{round(value)}" if round(value) > 1 else "1" for value in inverse]
    return [f"{value:.4f}" if value >= 1e-3 or value == 0 else _small(value) for value in p]


def _small(value: float) -> str:
    """Return a small number in scientific notation: 2.6·10⁻⁵."""
    digits, power = f"{value:.1e}".split("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}·10{raised}"


class _Grid:
    """Where each tile and each label goes, in inches from the top left."""

    def __init__(
        self,
        stack: NDArray[np.float64],
        n_rows: int,
        n_cols: int,
        above: Sequence[str] | None,
        beneath: Sequence[str] | None,
        row_labels: Sequence[str] | None,
        column_labels: Sequence[str] | None,
        *,
        framed: bool = False,
    ) -> None:
        for name, labels, wanted in (
            ("titles", above, len(stack)),
            ("row_labels", row_labels, n_rows),
            ("column_labels", column_labels, n_cols),
        ):
            if labels is not None and len(labels) != wanted:
                raise DataError(f"{name} must have {wanted} entries; got {len(labels)}.")
        self.stack, self.n_rows, self.n_cols = stack, n_rows, n_cols
        self.above, self.beneath = above, beneath
        self.row_labels, self.column_labels = row_labels, column_labels
        self.binary = bool(np.isin(stack, (0.0, 1.0)).all())
        self.framed = framed or self.binary
        self._measure()

    def _measure(self) -> None:
        """Fix the size of a tile, the gaps and the margins."""
        height, width = self.stack.shape[1:]
        self.left = MARGIN
        if self.row_labels is not None:
            self.left += max(_style.text_width(t, LABEL_SIZE) for t in self.row_labels) + 0.08
        self.top = MARGIN + (LINE if self.column_labels is not None else 0.0)
        # a binary image stands on paper, half a pixel in from its frame: ink never touches it
        self.pad = 0.5 / (width + 1) if self.binary else 0.0
        share = 0.16 if self.binary else 0.05  # gap as a share of the tile
        room = _style.TEXT_WIDTH - self.left - MARGIN
        largest = 0.5 if self.binary else 1.1
        words = [*(self.above or ()), *(self.beneath or ()), *(self.column_labels or ())]
        text = max((_style.text_width(t, LABEL_SIZE) for t in words), default=0.0)
        self.width = min(room / (self.n_cols + share * (self.n_cols - 1)), largest)
        self.gap = max(share * self.width, 0.02, text + 0.05 - self.width)
        self.height = self.width * height / width
        self.line_above = LINE if self.above is not None else 0.0
        self.line_beneath = LINE if self.beneath is not None else 0.0
        extra = self.line_above + self.line_beneath
        self.pitch = (self.width + self.gap, self.height + extra + (0.09 if extra else self.gap))

    def new_axes(self, *, below: float = 0.0, width: float = 0.0) -> tuple[Figure, Axes]:
        """Return a figure just large enough, with one axes in inches over all of it."""
        used = self.left + self.n_cols * self.pitch[0] - self.gap + MARGIN
        gap = self.pitch[1] - self.height - self.line_above - self.line_beneath
        tall = self.top + self.n_rows * self.pitch[1] - gap + MARGIN + below
        wide = max(used, width)
        self.left += (wide - used) / 2
        figure = _style.new_figure(wide, tall, layout=None)
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, wide), ylim=(tall, 0))
        ax.axis("off")
        return figure, ax

    def draw(self, ax: Axes, *, vmin: float, vmax: float, cmap: Any) -> Any:
        """Draw tiles, frames and labels; return the last image, for a colour bar."""
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Rectangle

        limits = ax.get_xlim(), ax.get_ylim()
        frames, drawn = [], None
        for k, image in enumerate(self.stack):
            row, column = divmod(k, self.n_cols)
            x = self.left + column * self.pitch[0]
            y = self.top + row * self.pitch[1] + self.line_above
            pad_x, pad_y = self.pad * self.width, self.pad * self.height
            extent = (x + pad_x, x + self.width - pad_x, y + self.height - pad_y, y + pad_y)
            drawn = ax.imshow(
                image, cmap=cmap, vmin=vmin, vmax=vmax, extent=extent, interpolation="nearest"
            )
            frames.append(Rectangle((x, y), self.width, self.height))
            centre = x + self.width / 2
            if self.above is not None:
                _label(ax, centre, y - 0.035, self.above[k], "center", "bottom")
            if self.beneath is not None:
                _label(ax, centre, y + self.height + 0.045, self.beneath[k], "center", "top")
        if self.framed:
            ax.add_collection(
                PatchCollection(
                    frames, facecolor="none", edgecolor=_style.HAIRLINE, linewidth=0.5, zorder=3
                )
            )
        for row, text in enumerate(self.row_labels or ()):
            y = self.top + row * self.pitch[1] + self.line_above + self.height / 2
            _label(ax, self.left - 0.07, y, text, "right", "center")
        for column, text in enumerate(self.column_labels or ()):
            x = self.left + column * self.pitch[0] + self.width / 2
            _label(ax, x, self.top - 0.05, text, "center", "bottom")
        ax.set(xlim=limits[0], ylim=limits[1], aspect="auto")
        return drawn


def _label(ax: Axes, x: float, y: float, text: str, ha: str, va: str) -> None:
    """Write a label of the grid."""
    ax.text(x, y, text, ha=ha, va=va, fontsize=LABEL_SIZE, color=_style.INK)
