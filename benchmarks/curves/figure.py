"""Draw lines: a sheet for each family, one panel for each line, on logarithmic axes.

Above, seconds against size: ours, each peer's, the floor. Below, how many times as fast as each
peer, and the aim as a line. Colours are Okabe and Ito's, and every kind of line has its own
mark and dashes.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from ancestral.viz import _style
from benchmarks.curves.curve import FLOOR, OURS, Line
from benchmarks.timing import as_time

ACROSS = 3  # panels
WIDTH, PANEL = 7.5, 2.7  # inches: of the sheet, as wide as a page's text, and a panel's height
SMALL = 7.3  # points
PEERS = ((_style.BLUE, "s", (0, (4, 1.5))), (_style.PURPLE, "^", (0, (4, 1.2, 1, 1.2))))
AIM: dict[str, Any] = {"color": _style.INK, "linewidth": 0.9, "zorder": 2}
LOOKS: dict[str, Any] = {"ms": 3.2, "mew": 0, "linewidth": 1.2}


def sheets(lines: list[Line], folder: Path) -> list[Path]:
    """Write speed_curves_FAMILY.svg for each family into a folder; return the files."""
    families = list(dict.fromkeys(line.family for line in lines))
    files = []
    for family in families:
        path = folder / f"speed_curves_{family}.svg"
        of_family = [line for line in lines if line.family == family]
        with rc_context({"svg.hashsalt": path.name}):
            sheet(of_family).savefig(path, metadata={"Date": None})
        files.append(path)
    return files


@_style.styled
def sheet(lines: list[Line]) -> Any:
    """Return a figure with a panel for each line."""
    cells = _cells(lines)
    down = cells[-1][0] + 1
    height = PANEL * down + 0.35
    figure = _style.new_figure(WIDTH, height, layout=None)
    grid = figure.add_gridspec(
        down,
        ACROSS,
        left=0.08,
        right=0.99,
        top=1 - 0.95 / height,
        bottom=0.42 / height,
        wspace=0.34,
        hspace=0.62,
    )
    for (row, column), line in zip(cells, lines):
        upper, lower = grid[row, column].subgridspec(2, 1, height_ratios=(2.2, 1), hspace=0.1)
        above = figure.add_subplot(upper)
        below = figure.add_subplot(lower, sharex=above)
        _seconds(above, line)
        _ratios(below, line)
        if column == 0:
            above.set_ylabel("time of a call", fontsize=SMALL)
            below.set_ylabel("times\nas fast", fontsize=SMALL)
    _legend(figure, height)
    return figure


def _cells(lines: list[Line]) -> list[tuple[int, int]]:
    """Return row and column of each panel: a model begins a new row where two stand in it."""
    cells = [(0, 0)]
    for before, line in pairwise(lines):
        row, column = cells[-1]
        full = column + 1 == ACROSS or (column > 0 and before.model != line.model)
        cells.append((row + 1, 0) if full else (row, column + 1))
    return cells


def _seconds(ax: Any, line: Line) -> None:
    for name, (colour, mark, dashes) in _looks(line).items():
        points = [(p.size, p.median(name)) for p in line.points if name in p.times]
        order = 3 if name == OURS else 2
        ax.plot(*zip(*points), color=colour, marker=mark, ls=dashes, zorder=order, **LOOKS)
    for aim in line.aims:
        if not aim.peer and aim.until >= line.points[0].size:
            ax.plot((line.points[0].size / 1.4, aim.until * 1.4), [aim.seconds] * 2, **AIM)
    ax.set(xscale="log", yscale="log")
    ax.yaxis.set_major_locator(LogLocator(numticks=5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: as_time(value)))
    _quiet(ax)
    ax.tick_params(labelbottom=False)
    # From the axes upwards: the floor, the peers, the work, the model.
    names = [(f"floor: {line.floor}", _style.GREY)] if FLOOR in _looks(line) else []
    names += [(peer, PEERS[k][0]) for k, peer in reversed(list(enumerate(line.peers)))]
    for row, (text, colour) in enumerate(names):
        _above(ax, row, text, colour)
    _above(ax, len(names), line.what, _style.INK)
    _above(ax, len(names) + 1, line.model, _style.INK, weight="bold")


def _above(ax: Any, row: int, text: str, colour: str, **look: Any) -> None:
    """Write one line of text over a panel, row 0 next to it."""
    ax.annotate(
        text,
        (0, 1),
        xytext=(0, 3 + 9 * row),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=SMALL,
        color=colour,
        va="bottom",
        **look,
    )


def _ratios(ax: Any, line: Line) -> None:
    ax.axhline(1, color=_style.HAIRLINE, linewidth=0.8, zorder=1)
    values = [1.0]
    for k, peer in enumerate(line.peers):
        colour, mark, dashes = PEERS[k]
        points = [(p.size, p.times_as_fast(peer)) for p in line.points if peer in p.times]
        values += [ratio for _, ratio in points]
        ax.plot(*zip(*points), color=colour, marker=mark, ls=dashes, zorder=3, **LOOKS)
    sizes = [p.size for p in line.points]
    for aim in line.aims:
        if not aim.peer or aim.peer not in line.peers:
            continue
        per = max(1, line.width) if aim.by_numbers else 1
        ends = max(sizes[0], aim.since / per), min(sizes[-1], aim.until / per)
        if ends[0] <= ends[1]:
            x = (ends[0] / 1.4, ends[1] * 1.4) if ends[0] == ends[1] else ends
            ax.plot(x, [aim.least] * 2, **AIM)
            values.append(aim.least)
    low, high = min(values) / 1.6, max(values) * 1.6
    ax.set(yscale="log", ylim=(low, high))
    ax.yaxis.set_major_locator(LogLocator(numticks=4))
    ticks = [10.0**k for k in range(-3, 7) if low <= 10.0**k <= high]
    if len(ticks) < 2:
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= t <= high]
    ax.set_yticks(ticks[:: math.ceil(len(ticks) / 4)])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if not line.peers:
        ax.text(
            0.5, 0.5, "no peer", transform=ax.transAxes, fontsize=SMALL, color=_style.GREY,
            ha="center", va="bottom",
        )  # fmt: skip
        ax.yaxis.set_major_locator(NullLocator())
    _quiet(ax)
    ax.set_xlabel(line.unit, fontsize=SMALL, labelpad=1)


def _quiet(ax: Any) -> None:
    """Few ticks, small labels, a light grid."""
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(NullLocator())
    ax.tick_params(labelsize=SMALL - 0.3, length=2, pad=2)
    ax.grid(alpha=0.8)


def _looks(line: Line) -> dict[str, tuple[str, str, Any]]:
    """Return colour, mark and dashes of all that was measured on a line; ours last."""
    looks: dict[str, tuple[str, str, Any]] = {}
    if any(FLOOR in point.times for point in line.points):
        looks[FLOOR] = (_style.GREY, "", (0, (1, 1.2)))
    looks |= dict(zip(line.peers, PEERS))
    return looks | {OURS: (_style.VERMILLION, "o", "-")}


def _legend(figure: Any, height: float) -> None:
    from matplotlib.lines import Line2D

    kinds = [
        ("ancestral", _style.VERMILLION, "o", "-"),
        ("peer, named above each panel", *PEERS[0]),
        ("a second peer", *PEERS[1]),
        ("floor", _style.GREY, "", (0, (1, 1.2))),
        ("aim", AIM["color"], "", "-"),
    ]
    handles = [
        Line2D([], [], color=colour, marker=mark, ls=dashes, label=name, **LOOKS)
        for name, colour, mark, dashes in kinds
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.055, 1 - 0.03 / height),
        ncols=len(handles),
        fontsize=SMALL,
        handlelength=2.6,
        columnspacing=1.4,
    )
