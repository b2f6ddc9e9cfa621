"""One look for every figure, and the one door to matplotlib.

matplotlib is imported when a figure is drawn, never when this package is imported. Figures are
plain `matplotlib.figure.Figure` objects: pyplot's global state is not used and nothing is shown.
A notebook shows what the last line of a cell returns, axes too.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import as_numbers, refuse_non_finite
from ancestral._extras import import_extra
from ancestral.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

# Okabe & Ito (2008), "Color universal design": told apart by all common kinds of colour vision.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, PURPLE = "#E69F00", "#56B4E9", "#CC79A7"
INK, GREY, HAIRLINE, PAPER = "#1F2328", "#767B82", "#C4C9CF", "#FFFFFF"

TEXT_WIDTH = 6.3  # inches between the margins of an A4 page
TEXT_SIZE = 9.0  # points
DPI = 200

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": TEXT_SIZE,
    "axes.titlesize": TEXT_SIZE,
    "axes.titleweight": "regular",
    "axes.labelsize": TEXT_SIZE,
    "xtick.labelsize": TEXT_SIZE - 1,
    "ytick.labelsize": TEXT_SIZE - 1,
    "legend.fontsize": TEXT_SIZE - 1,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlepad": 7.0,
    "axes.labelpad": 4.0,
    "grid.color": "#E6E8EB",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "image.interpolation": "nearest",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "axes.formatter.use_mathtext": True,
    "axes.unicode_minus": True,
    "mathtext.fontset": "dejavusans",
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the house style, and leave matplotlib's settings alone."""

    @functools.wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        with import_extra("matplotlib", "a figure", "report").rc_context(RC):
            drawn: Any = function(*args, **kwargs)
        figure = figure_of(drawn)
        if figure.canvas.manager is None:  # pyplot's figures are shown by pyplot
            drawn._repr_png_ = functools.partial(_png, figure)
        return drawn

    return draw


def _png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """Return a figure as a notebook shows it, and how wide it is there: two dots to a pixel."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=DPI)
    return written.getvalue(), {"width": round(figure.get_size_inches()[0] * DPI / 2)}


def new_figure(width: float, height: float, *, layout: str | None = "constrained") -> Figure:
    """Return an empty figure of that many inches, outside pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]


def axes_or_new(ax: Axes | None, *, width: float = 4.6, height: float = 3.1) -> Axes:
    """Return `ax`, or the axes of a new figure."""
    return new_figure(width, height).subplots() if ax is None else ax


def figure_of(ax: Axes) -> Figure:
    """Return the outermost figure that axes stand in."""
    figure: Any = ax.figure
    return getattr(figure, "figure", figure)  # a SubFigure names the figure it belongs to


def colours(name: str, stops: list[str]) -> Any:
    """Return a colour map running evenly through `stops`."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, stops)


def sequential() -> Any:
    """White to the palette's blue and on to near black: lightness falls evenly."""
    return colours("ancestral_blue", ["#FFFFFF", "#CFE3F1", "#86B9DC", BLUE, "#06385C"])


def diverging() -> Any:
    """Blue, white, vermillion: safe for red-green colour blindness, white at zero."""
    return colours(
        "ancestral_diverging",
        ["#083A5E", BLUE, "#9CC7E2", "#FFFFFF", "#F2B68E", VERMILLION, "#6B2F00"],
    )


def numbers(data: ArrayLike, name: str, ndim: int | None = 1) -> NDArray[np.float64]:
    """Return `data` as finite float64 with `ndim` dimensions and at least one value."""
    array = as_numbers(data, name=name, ndim=ndim).astype(np.float64)
    if array.size == 0:
        raise DataError(f"{name} is empty (shape {array.shape}); there is nothing to draw.")
    refuse_non_finite(array, name=name)
    return array


def same_length(**arrays: Any) -> None:
    """Raise DataError unless all named sequences have one length."""
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        seen = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise DataError(f"these must have equal lengths: {seen}.")


def text_width(text: str, size: float) -> float:
    """Return the width of a line of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width) / 72


def shortened(text: str, most: int = 40) -> str:
    """Return a text, its end left out where it is longer than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def broken(text: str, size: float, width: float) -> str:
    """Return a text in lines of at most so many inches, broken between words."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def halo() -> list[Any]:
    """Return an edge of paper around letters, so that they are read on lines and areas too."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.2, foreground=PAPER)]


def contrasting(colour: Any) -> str:
    """Return ink or paper, whichever reads better on `colour`."""
    from matplotlib.colors import to_rgb

    linear = np.where(
        np.array(to_rgb(colour)) <= 0.04045,
        np.array(to_rgb(colour)) / 12.92,
        ((np.array(to_rgb(colour)) + 0.055) / 1.055) ** 2.4,
    )
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])  # WCAG relative luminance
    return PAPER if luminance < 0.25 else INK


def column(records: Any, name: str) -> NDArray[np.float64]:
    """Return one named number of every record of a history, in order."""
    try:
        values = [record[name] for record in records]
    except (KeyError, TypeError, IndexError):
        raise DataError(
            f'history must be a sequence of dicts, each with "{name}". '
            "Pass a fitted model or its history_."
        ) from None
    return numbers(values, f'"{name}" of history')


def whole_numbers(axis: Any) -> None:
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def unit_ticks(reach: float) -> Any:
    """Ticks at whole numbers, thinned out beyond 4."""
    from matplotlib.ticker import MultipleLocator

    return MultipleLocator(max(1.0, float(np.ceil(reach / 4))))


def named_ticks(ax: Axes, names: list[str]) -> None:
    """Write names at x = 1, 2, ...: upright where there is no room, each k-th where still none."""
    width = 0.85 * figure_of(ax).get_size_inches()[0] / len(names)
    size = TEXT_SIZE - 1
    upright = max(text_width(name, size) for name in names) + 0.06 > width
    step = max(1, int(np.ceil(0.16 / width))) if upright else 1
    shown = range(0, len(names), step)
    ax.set_xticks(
        [k + 1 for k in shown],
        [shortened(names[k], 28) for k in shown],
        rotation=90 if upright else 0,
    )


def subscript(k: int) -> str:
    """Return a number in small figures below the line: ₁₂."""
    return str(k).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def plain_ticks(axis: Any) -> None:
    """Write the ticks of a log axis as plain numbers: 16, not a power."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
