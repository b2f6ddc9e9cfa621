"""The tree of prefixes of a set of discrete rows, drawn as rivers that part.

    width of a branch = how many rows begin with it

A model of the rows walks this tree from the left: at a node where it parts the model must choose,
and the shares of the widths are the conditional probabilities of equally likely rows. Elsewhere
the next value is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.containers import as_levels, describe_place, opened
from ancestral._checks.missing import missing_mask
from ancestral._checks.numbers import MEND_OF_MISSING, refuse_non_finite
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.images import LABEL_SIZE, LISTING, ink_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 60  # more would leave no room between the branches
MOST_STEPS = 200
LEAF = 0.205  # inches from one leaf to the next
TILE = 0.165  # inches, the height of a leaf's image
TALLEST = 8.2  # inches
ROOT = 0.36  # inches, the width of the whole at the left
CERTAIN = 0.35  # width of a column in which no branch parts, in those of one where some do
MOST_KEYS = 6  # values whose colours are named below
HEAD_SIZE = 6.5  # points, of what stands above a column
SMOOTH = np.linspace(0.0, 1.0, 17)


@styled
def prefix_tree(
    rows: Any,
    counts: ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw the tree of prefixes: width is the number of rows, colour the value, a circle a choice.

    Parameters
    ----------
    rows : array-like or dataframe of shape (n, n_features), or a fitted model
        Levels: numbers, text or booleans. Equal rows are counted together. At most 60 different
        rows of 200 values can be drawn. Columns of a dataframe are named at the top. For a
        TabularAutoregressive, LSTMAutoregressive or ChainAutoregressive the 60 most probable rows
        are drawn, with widths proportional to their probabilities.
    counts : array-like of shape (n,), optional
        How often each row occurs; by default once.
    shape : (height, width), optional
        Draws each row as an image at its leaf, and a line after each line of pixels.
    names : sequence of str, optional
        One name for each leaf, in the order of `rows`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        When there are too many rows to draw, or lengths do not fit.

    Examples
    --------
    >>> figure = prefix_tree([[0, 0], [0, 1], [1, 1]])
    >>> [text.get_text() for text in figure.axes[0].texts[:3]]  # two choices, three rows
    ['1', '2', '3']
    """
    wide, columns = "number of rows", _taken.column_names(rows)
    if _taken.is_a(rows, *LISTING):
        wide = "probability"
        rows, log_p, _ = rows.most_probable(MOST_ROWS)
        counts = np.exp(log_p) if counts is None else counts
    _taken.refuse_others("prefix_tree", "rows of levels, or a model of them", rows)
    codes, labels_of_values = _rows(rows)
    tree = _Tree(codes, labels_of_values, _counts(len(codes), counts))
    _check_labels(tree, shape, names)
    leaf = min(LEAF, TALLEST / tree.n)
    heads = _heads(tree.d, columns, shape)
    is_written = tree.n_values > MOST_KEYS and not all(map(_is_number, tree.values))
    colours = _value_colours(tree.n_values, is_pale=is_written)
    key = _key(tree, colours, wide, is_image=shape is not None, is_written=is_written)
    top, bottom = 0.34 + heads.height, 0.24 + KEY_LINE * len(key)
    height = top + bottom + leaf * tree.n
    figure = _style.new_figure(_style.TEXT_WIDTH, height, layout=None)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, _style.TEXT_WIDTH), ylim=(height, 0))
    ax.axis("off")
    labels = [] if names is None else [str(names[k]) for k in tree.first]
    room = max((_style.text_width(label, LABEL_SIZE) for label in labels), default=0.0)
    tile = 0.0 if shape is None else TILE * shape[1] / shape[0] * leaf / LEAF
    ends = _texts_of_leaves(tree) if is_written else []
    beside = max((_style.text_width(text, HEAD_SIZE) + 0.1 for text in ends), default=0.0)
    right = _style.TEXT_WIDTH - 0.06 - (room + 0.08 if room else 0.0) - (tile + 0.08) - beside
    of_all = _style.text_width(f"{tree.counts.sum():.3g}", LABEL_SIZE + 1)
    left = max(0.3, _style.text_width(heads.kind, HEAD_SIZE) + 0.12, of_all + 0.2)
    x = left + (right - left) * tree.columns()
    y = top + leaf * (tree.places() + 0.5)
    scale = min(ROOT, 0.9 * leaf * tree.n) / tree.counts.sum()
    _draw_rivers(ax, tree, x, y, scale, colours)
    _draw_choices(ax, tree, x, y, scale)
    leaves = y[tree.depth == tree.d]
    if is_written:
        _write_values(ax, tree, x, y)
        for text, place in zip(ends, leaves, strict=True):
            ax.text(right + 0.06, place, text, va="center", fontsize=HEAD_SIZE)
    _draw_scale(ax, x, heads, top, top + leaf * tree.n, shape)
    if shape is not None:
        for row, place in zip(tree.rows, leaves, strict=True):
            _draw_tile(ax, row, shape, right + beside + 0.08, place, tile, tree.n_values)
    for label, place in zip(labels, leaves, strict=False):
        ax.text(
            right + beside + tile + 0.14,
            place,
            label,
            va="center",
            fontsize=min(LABEL_SIZE, 62 * leaf),
            color=_style.INK,
        )
    for k, line in enumerate(key):
        _draw_key(ax, line, height - bottom + 0.24 + KEY_LINE * k)
    return figure


def _rows(rows: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Return rows as places of their levels, and what the levels are called, the lowest first."""
    found = as_levels(opened(rows, "rows"), "rows")
    if found.ndim != 2:
        raise DataError(f"rows must have 2 dimensions; got shape {found.shape}.")
    if found.size == 0:
        raise DataError(f"rows is empty (shape {found.shape}); there is nothing to draw.")
    if found.dtype.kind == "f":
        refuse_non_finite(found, name="rows")
    elif missing_mask(found).any():
        place = tuple(int(k) for k in np.argwhere(missing_mask(found))[0])
        raise DataError(f"rows holds NaN at {describe_place(place)}; {MEND_OF_MISSING}.")
    if found.dtype.kind != "O":
        values, codes = np.unique(found, return_inverse=True)
        return codes.reshape(found.shape).astype(np.float64), [_text(v) for v in values.tolist()]
    by_text = {_text(value): value for value in found.ravel().tolist()}  # True is not 1
    texts = sorted(by_text, key=lambda text: (isinstance(by_text[text], str), by_text[text]))
    place_of = {text: float(k) for k, text in enumerate(texts)}
    held = [place_of[_text(value)] for value in found.ravel().tolist()]
    return np.array(held).reshape(found.shape), texts


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _counts(n: int, counts: ArrayLike | None) -> NDArray[np.float64]:
    if counts is None:
        return np.ones(n)
    checked = _style.numbers(counts, "counts")
    if len(checked) != n or (checked <= 0).any():
        raise DataError(
            f"counts must be {n} numbers above 0, one for each row; got {len(checked)}, "
            f"the least {checked.min():g}."
        )
    return checked


@dataclass(frozen=True)
class _Heads:
    """What stands above the columns of the tree, and how high it is in inches."""

    kind: str
    names: list[str]
    upright: bool
    height: float


def _heads(d: int, columns: list[str] | None, shape: tuple[int, int] | None) -> _Heads:
    """Return the columns' names where they have any, else their numbers."""
    if columns is None or shape is not None:
        numbers = [str(i + 1) for i in range(d)]
        return _Heads("pixel" if shape else "column", numbers, upright=False, height=0.0)
    names = [name if len(name) <= 24 else name[:23] + "…" for name in columns]
    widest = max(_style.text_width(name, HEAD_SIZE) for name in names)
    upright = widest > 0.8 * _style.TEXT_WIDTH / d
    return _Heads("", names, upright, widest if upright else 0.0)


def _check_labels(tree: _Tree, shape: Any, names: Sequence[str] | None) -> None:
    if tree.n > MOST_ROWS or tree.d > MOST_STEPS:
        raise DataError(
            f"{tree.n} different rows of {tree.d} values are too many for this figure; at most "
            f"{MOST_ROWS} rows of {MOST_STEPS} values can be drawn. Pass the most probable ones."
        )
    if shape is not None and shape[0] * shape[1] != tree.d:
        raise DataError(f"shape {tuple(shape)} does not hold {tree.d} values.")
    if names is not None and len(names) != len(tree.group):
        raise DataError(f"names must have {len(tree.group)} entries; got {len(names)}.")


class _Tree:
    """Nodes are distinct prefixes, in order of depth, then lexicographically."""

    def __init__(
        self, codes: NDArray[np.float64], values: list[str], counts: NDArray[np.float64]
    ) -> None:
        self.values, self.n_values = values, len(values)
        self.rows, self.first, self.group = np.unique(
            codes.astype(int), axis=0, return_index=True, return_inverse=True
        )
        self.group = self.group.reshape(-1)
        self.n, self.d = self.rows.shape
        self.counts = np.bincount(self.group, weights=counts)
        members, parents, levels, depths = [np.arange(self.n) * 0], [-1], [-1], [0]
        start = 0
        for i in range(self.d):
            _, first, node = np.unique(
                members[-1] * self.n_values + self.rows[:, i],
                return_index=True,
                return_inverse=True,
            )
            parents += (start + members[-1][first]).tolist()
            levels += self.rows[first, i].tolist()
            depths += [i + 1] * len(first)
            start += int(members[-1].max()) + 1
            members.append(node.reshape(-1))
        self.parent, self.level, self.depth = map(np.array, (parents, levels, depths))
        self.members = members  # by depth: the node, within its depth, that each row is in

    def columns(self) -> NDArray[np.float64]:
        """Return where each depth stands from 0 to 1: wide where a branch parts."""
        children = np.bincount(self.parent[1:], minlength=len(self.parent))
        parts = np.zeros(self.d, bool)
        parts[self.depth[children > 1]] = True
        ends = np.concatenate([[0.0], np.cumsum(np.where(parts, 1.0, CERTAIN))])
        return ends / ends[-1]

    def places(self) -> NDArray[np.float64]:
        """Return the height of each node: in the middle of its leaves."""
        places = []
        for node in self.members:
            size = np.bincount(node)
            places.append(np.bincount(node, weights=np.arange(self.n)) / size)
        return np.concatenate(places)

    def sizes(self) -> NDArray[np.float64]:
        """Return the count of each node."""
        return np.concatenate([np.bincount(node, weights=self.counts) for node in self.members])


def _value_colours(n_values: int, *, is_pale: bool) -> list[Any]:
    """Return a colour for each value, the lowest lightest; all are pale under words."""
    if n_values == 2:
        return ["#BBD4E6", _style.BLUE]
    low, high = (0.28, 0.55) if is_pale else (0.2, 0.95)
    shades = _style.sequential()
    return [shades(low + (high - low) * k / max(n_values - 1, 1)) for k in range(n_values)]


KEY_LINE = 0.18  # inches

Key = list[tuple[Any, str]]  # a colour, or None, and the words beside it


def _key(
    tree: _Tree, colours: list[Any], wide: str, *, is_image: bool, is_written: bool
) -> list[Key]:
    """Return the lines below the tree that say what colour, width and circles are."""
    what = ("images", "pixel") if is_image else ("rows", "column")
    shown: Iterable[int] = range(tree.n_values)
    if tree.n_values > MOST_KEYS:
        shown = () if is_written else (0, tree.n_values - 1)
    key: Key = [(colours[k], f"value {_style.shortened(tree.values[k], 28)}") for k in shown]
    if is_written:
        key.append((None, "colour: the value, written at the end of each branch"))
    key.append((None, f"width: {wide.replace('rows', what[0])}"))
    key.append((None, f"circle: the {what[1]} at which {what[0]} differ"))
    lines: list[Key] = [[]]
    for one in key:
        longer = [*lines[-1], one]
        if lines[-1] and sum(map(_key_width, longer)) > _style.TEXT_WIDTH - 0.3:
            lines.append([one])
        else:
            lines[-1] = longer
    return lines


def _key_width(one: tuple[Any, str]) -> float:
    return (0.0 if one[0] is None else 0.26) + _style.text_width(one[1], LABEL_SIZE) + 0.2


def _texts_of_leaves(tree: _Tree) -> list[str]:
    """Return the last value of each row, as it is written at the end of its branch."""
    return [_style.shortened(tree.values[row[-1]], 24) for row in tree.rows]


def _draw_rivers(
    ax: Axes, tree: _Tree, x: NDArray, y: NDArray, scale: float, colours: list[Any]
) -> None:
    """Draw every edge as a band that leaves its parent stacked beside its siblings."""
    from matplotlib.collections import LineCollection

    sizes = tree.sizes()
    taken = y - scale * sizes / 2  # where the next child leaves its parent
    bend = SMOOTH * SMOOTH * (3 - 2 * SMOOTH)
    curves, colour = [], []
    for node in range(1, len(tree.parent)):
        parent, width = tree.parent[node], scale * sizes[node]
        start = taken[parent] + width / 2
        taken[parent] += width
        left, right = x[tree.depth[parent]], x[tree.depth[node]]
        # a hair too long, so that no seam shows between bands
        along = left + (right - left + 0.004) * SMOOTH
        curves.append(np.column_stack([along, start + (y[node] - start) * bend]))
        colour.append(colours[tree.level[node]])
    widths = 72 * scale * sizes[1:]  # points: measured across, also where a band is steep
    ax.add_collection(
        LineCollection(curves, colors=colour, linewidths=widths, capstyle="butt", zorder=2)
    )


def _draw_choices(ax: Axes, tree: _Tree, x: NDArray, y: NDArray, scale: float) -> None:
    """Mark the nodes that part, each with the pixel that is chosen there."""
    children = np.bincount(tree.parent[1:], minlength=len(tree.parent))
    sizes = tree.sizes()
    for node in np.flatnonzero(children > 1):
        ax.text(
            x[tree.depth[node]],
            y[node],
            str(tree.depth[node] + 1),
            ha="center",
            va="center",
            fontsize=6.5,
            color=_style.INK,
            bbox={
                "boxstyle": "circle,pad=0.18",
                "facecolor": _style.PAPER,
                "edgecolor": _style.INK,
                "linewidth": 0.6,
            },
            zorder=4,
        )
    ax.text(x[0] - 0.12, y[0], f"{sizes[0]:.3g}", ha="right", va="center", fontsize=LABEL_SIZE + 1)


def _draw_scale(
    ax: Axes, x: NDArray, heads: _Heads, top: float, bottom: float, shape: tuple[int, int] | None
) -> None:
    """Write the name or number of each step above its column; rule off the lines of the image."""
    last = -1.0
    for i, name in enumerate(heads.names):
        centre = (x[i] + x[i + 1]) / 2
        room = 0.12 if heads.upright else _style.text_width(name, HEAD_SIZE) + 0.05
        if centre - last < room:
            continue
        ax.text(centre, top - 0.06, name, ha="center", va="bottom", fontsize=HEAD_SIZE,
                color=_style.GREY, rotation=90 if heads.upright else 0)  # fmt: skip
        last = centre
    ax.text(x[0] - 0.06, top - 0.06, heads.kind, ha="right", va="bottom", fontsize=HEAD_SIZE,
            color=_style.GREY)  # fmt: skip
    if shape is None or shape[0] == 1:
        return
    for row in range(1, shape[0]):
        place = x[row * shape[1]]
        ax.plot([place, place], [top - 0.2, bottom], color=_style.HAIRLINE, linewidth=0.6, zorder=0)
    for row in range(shape[0]):
        centre = (x[row * shape[1]] + x[(row + 1) * shape[1]]) / 2
        ax.text(centre, top - 0.2, f"row {row + 1}", ha="center", fontsize=7, color=_style.INK)


def _draw_tile(
    ax: Axes,
    row: NDArray,
    shape: tuple[int, int],
    left: float,
    centre: float,
    width: float,
    n_values: int,
) -> None:
    """Draw the image of a leaf."""
    height = width * shape[0] / shape[1]
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(
        row.reshape(shape),
        cmap=ink_map(binary=n_values <= 2),
        vmin=0,
        vmax=max(n_values - 1, 1),
        extent=(left, left + width, centre + height / 2, centre - height / 2),
        interpolation="nearest",
        aspect="auto",
    )
    ax.set(xlim=limits[0], ylim=limits[1])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _write_values(ax: Axes, tree: _Tree, x: NDArray, y: NDArray) -> None:
    """Write the value of each inner branch at its end: colours of many names tell nothing apart."""
    for node in np.flatnonzero((tree.depth > 0) & (tree.depth < tree.d)):
        right, left = x[tree.depth[node]], x[tree.depth[tree.parent[node]]]
        text = str(tree.values[tree.level[node]])
        while text and _style.text_width(text, HEAD_SIZE) > right - left - 0.1:
            text = text[:-2] + "…" if len(text) > 2 else ""
        ax.text(right - 0.14, y[node], text, ha="right", va="center", fontsize=HEAD_SIZE,
                path_effects=_style.halo(), zorder=5)  # fmt: skip


def _draw_key(ax: Axes, line: Key, y: float) -> None:
    """Write one line of the key."""
    from matplotlib.patches import Rectangle

    x = 0.3
    for colour, text in line:
        beside = 0.0 if colour is None else 0.26
        if colour is not None:
            ax.add_patch(Rectangle((x, y - 0.07), 0.2, 0.1, facecolor=colour, linewidth=0))
        ax.text(x + beside, y, text, fontsize=LABEL_SIZE, va="center")
        x += _key_width((colour, text))
