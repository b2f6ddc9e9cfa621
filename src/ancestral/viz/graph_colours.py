"""Colours of nodes by one named feature: a colour for each level of a group, a scale for a number.

A categorical attribute stands in the features as indicators named "Race=White" (`io.attributes`);
its levels are told apart by Okabe and Ito's colours, which colour-blind readers tell apart too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError
from ancestral.viz import _style

Tones = list[NDArray[np.float64]]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
OTHER, MISSING = "#999999", "#FFFFFF"


@dataclass(frozen=True)
class Colouring:
    """Colours of the nodes of some graphs by one feature.

    Parameters
    ----------
    tones : list of ndarray of shape (n_nodes, 3)
        RGB, for each graph.
    name : str
    levels : list of (str, colour)
        For a legend; empty for a number.
    span : tuple of float
        The least and the largest value of a number.
    """

    tones: Tones
    name: str
    levels: list[tuple[str, str]]
    span: tuple[float, float] = (0.0, 0.0)


def colour_by_feature(graphs: Sequence[Any], name: str, colour_map: str) -> Colouring:
    """Return colours by a categorical attribute, or by a numeric feature, of named features.

    Parameters
    ----------
    graphs : sequence of Graph
        With `feature_names`.
    name : str
        "Race" for the indicators "Race=White", ..., or the name of a feature.
    colour_map : str
        Of matplotlib, for numbers.
    """
    known = next((names for g in graphs if (names := getattr(g, "feature_names", None))), ())
    sizes = [g.n_nodes for g in graphs] if known else []
    columns = [k for k, column in enumerate(known) if column.startswith(f"{name}=")]
    if columns:
        indicators = np.concatenate([g.features[:, columns] for g in graphs])
        colours, levels = _by_level(indicators, [known[k][len(name) + 1 :] for k in columns])
        return Colouring(_split(colours, sizes), name, levels)
    if name in known:
        import matplotlib
        from matplotlib.colors import to_rgb

        values = np.concatenate([g.features[:, known.index(name)] for g in graphs])
        seen = values[~np.isnan(values)]
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 0.0)
        share = (values - low) / ((high - low) or 1.0)
        tones = matplotlib.colormaps[colour_map](share)[:, :3]
        tones[np.isnan(values)] = to_rgb(MISSING)
        return Colouring(_split(tones, sizes), name, [], (low, high))
    groups = list(dict.fromkeys(column.split("=")[0] for column in known))
    seen = f"there are {', '.join(groups)}" if groups else "these graphs do not name their features"
    raise DataError(f"colour_by={name!r} is no attribute: {seen}.")


def only_group(graphs: Sequence[Any]) -> str | None:
    """Return the attribute whose levels are all the features there are, or the first of text."""
    known = getattr(graphs[0], "feature_names", None) or ()
    keys = {column.split("=")[0] for column in known if "=" in column}
    grouped = all("=" in column for column in known)
    if len(keys) == 1 and grouped and len(known) > 1:
        return keys.pop()
    columns = getattr(graphs[0], "_columns", None) or ()
    return next((one.name for one in columns if one.levels is not None), None)


def _by_level(
    indicators: NDArray[np.float64], labels: list[str]
) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    """Return a colour for each row, and the levels by colour; rare ones share one."""
    from matplotlib.colors import to_rgb

    gaps = np.isnan(indicators).any(axis=1)
    level = np.nan_to_num(indicators).argmax(axis=1)
    counts = np.bincount(level[~gaps], minlength=len(labels))
    own = np.arange(len(labels))
    if len(labels) > len(PALETTE):
        own = np.sort(np.argsort(-counts, kind="stable")[: len(PALETTE)])
    colours = [OTHER] * len(labels)
    for k, colour in zip(own, PALETTE, strict=False):
        colours[k] = colour
    levels = [(labels[k], colours[k]) for k in own]
    if len(own) < len(labels):
        levels.append((f"{len(labels) - len(own)} others", OTHER))
    rgb = np.array([to_rgb(colour) for colour in colours])[level]
    if gaps.any():
        rgb[gaps] = to_rgb(MISSING)
        levels.append(("missing", MISSING))
    return rgb, levels


def _split(tones: NDArray[np.float64], sizes: list[int]) -> Tones:
    return list(np.split(tones, np.cumsum(sizes)[:-1]))


def write_legend(where: Any, colouring: Colouring, note: str, size: float) -> None:
    """Name the colours below a figure, or below axes."""
    from matplotlib.lines import Line2D

    is_figure = hasattr(where, "supxlabel")
    figure = where if is_figure else _style.figure_of(where)
    if not colouring.levels:
        if is_figure:
            where.supxlabel(note, fontsize=size)
        else:
            width = 0.95 * _width_of(where)
            whole = note.replace(" + ", "\u00a0+\u00a0").replace(" = ", "\u00a0=\u00a0")
            where.set_xlabel(_style.broken(whole, size, width), fontsize=size)
        return
    marks = [
        Line2D([], [], marker="o", ms=0.8 * size, linestyle="none", markerfacecolor=colour,
               markeredgecolor=_style.INK, markeredgewidth=0.7)
        for _, colour in colouring.levels
    ]  # fmt: skip
    names = [_style.shortened(label) for label, _ in colouring.levels]
    room = (figure.get_size_inches()[0] if is_figure else _width_of(where)) * 72 - 8 * size
    widest = max(_style.text_width(label, size) for label in names) * 72 + 3.5 * size
    place: dict[str, Any] = {"loc": "outside lower center"}
    if not is_figure:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
    where.legend(
        marks,
        names,
        title=_style.shortened(colouring.name),
        ncols=max(1, min(len(names), int(room // widest))),
        fontsize=size,
        title_fontsize=size,
        handletextpad=0.2,
        columnspacing=1.2,
        **place,
    )


def _width_of(ax: Any) -> float:
    """Return the inches that a figure has for axes, and for the words below them."""
    wide = float(_style.figure_of(ax).get_size_inches()[0])
    spec = ax.get_subplotspec()
    if spec is None:
        return wide * float(ax.get_position().width)
    return wide * len(spec.colspan) / float(spec.get_gridspec().ncols)
