"""A latent tree and what it says of each column: the tree of columns, and their distributions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit import queries
from ancestral.circuit.given import condition_of
from ancestral.circuit.leaves import Allowed, CountsLeaf, LevelsLeaf
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 0.2  # inches from one column's line to the next
INDENT = 0.26  # inches from a parent to its children, less where the tree is deep
MOST_COLUMNS = 300  # lines of a picture that is not too tall to be kept
LONGEST = 34  # characters of a name
THIN, THICK = 0.8, 5.0  # points: edges of little and of the most information
DOT = {"continuous": _style.BLUE, "count": _style.SKY, "categorical": _style.ORANGE,
       "binary": _style.VERMILLION}  # fmt: skip


@styled
def latent_tree(model: Any, ax: Axes | None = None) -> Axes:
    """Draw the tree of a fitted LatentTree: one line for each column, with its children below it.

    Parameters
    ----------
    model : fitted LatentTree
        For a mixture, its first tree is drawn.
    ax : matplotlib.axes.Axes, optional
        By default a new figure of the height that the columns need.

    Returns
    -------
    matplotlib.axes.Axes
        Nodes are coloured by the type of the column. The width of an edge shows the mutual
        information of the two columns in the training rows. Its value, in nats, is written after
        the name of the child.

    Raises
    ------
    DataError
        For more than 300 columns.

    Examples
    --------
    >>> from ancestral import LatentTree
    >>> X = np.random.default_rng(0).normal(size=(60, 1)) + [[0.0, 0.1, 5.0]]
    >>> ax = latent_tree(LatentTree(n_states=2, n_trees=1, random_state=0).fit(X))
    >>> len(ax.texts) >= 3
    True
    """
    if not _taken.is_a(model, "LatentTree"):
        _taken.refuse("latent_tree", "a fitted LatentTree", model)
    parent, names = np.asarray(model.tree_), [str(one["name"]) for one in model.columns_]
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"the model has {len(names)} columns, and {MOST_COLUMNS} fit in a picture: look at "
            "model.tree_ and model.information_, or fit the columns of interest."
        )
    strength = np.asarray(model.information_)
    order, depth = _outline(parent, strength)
    kinds = [one["kind"] for one in model.columns_]
    seen = [kind for kind in DOT if kind in kinds]
    height = LINE * (len(names) + 0.6) + 0.6
    texts = [_style.shortened(name, LONGEST) for name in names]
    widest = max(_style.text_width(text, _style.TEXT_SIZE - 1) for text in texts) + 0.75
    step = min(INDENT, (_style.TEXT_WIDTH - 0.3 - widest) / max(1, int(depth.max())))
    width = max(3.6, 0.3 + step * int(depth.max()) + widest)
    if ax is None:
        ax = _style.new_figure(width, height, layout=None).add_axes((0, 0, 1, 1))
    line = np.empty(len(names))
    line[order] = np.arange(len(names))
    x, y = 0.15 + step * depth, LINE * (line + 0.8)
    most = max((float(strength[i, p]) for i, p in enumerate(parent) if p >= 0), default=1.0)
    for i in order:
        p = int(parent[i])
        if p >= 0:
            share = max(0.0, float(strength[i, p])) / (most or 1.0)
            ax.plot([x[p], x[p], x[i]], [y[p], y[i], y[i]], color=_style.HAIRLINE, zorder=1,
                    linewidth=THIN + (THICK - THIN) * share, solid_joinstyle="round")  # fmt: skip
            told = f"   {strength[i, p]:.2f}"
        else:
            told = ""
        ax.plot(x[i], y[i], "o", color=DOT[kinds[i]], markersize=6, zorder=2)
        ax.annotate(texts[i], (x[i], y[i]), (7, 0), textcoords="offset points", va="center",
                    fontsize=_style.TEXT_SIZE - 1)  # fmt: skip
        wide = _style.text_width(texts[i], _style.TEXT_SIZE - 1) * 72
        ax.annotate(told, (x[i], y[i]), (8 + wide, 0), textcoords="offset points", va="center",
                    fontsize=_style.TEXT_SIZE - 2, color=_style.GREY)  # fmt: skip
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    ax.text(0.1, height - 0.36, "numbers: information about the column above, in nats",
            fontsize=_style.TEXT_SIZE - 2, color=_style.GREY)  # fmt: skip
    handles = [ax.plot([], [], "o", color=DOT[kind], markersize=6, label=kind)[0] for kind in seen]
    ax.legend(handles=handles, loc="lower left", ncols=len(seen), columnspacing=1.0,
              handletextpad=0.1, borderaxespad=0.2)  # fmt: skip
    return ax


def _outline(
    parent: NDArray[np.intp], strength: NDArray[np.float64]
) -> tuple[list[int], NDArray[np.intp]]:
    """Return the columns line by line, small subtrees before large ones, and how deep each is."""
    d = len(parent)
    children: list[list[int]] = [[] for _ in range(d)]
    root = 0
    for i, p in enumerate(parent.tolist()):
        if p < 0:
            root = i
        else:
            children[p].append(i)
    walk, waiting = [], [root]
    depth = np.zeros(d, dtype=np.intp)
    while waiting:
        i = waiting.pop()
        walk.append(i)
        for child in children[i]:
            depth[child] = depth[i] + 1
        waiting += children[i]
    size = np.ones(d)
    for i in reversed(walk):
        if parent[i] >= 0:
            size[parent[i]] += size[i]
    order, waiting = [], [root]
    while waiting:
        i = waiting.pop()
        order.append(i)
        waiting += sorted(children[i], key=lambda c: (-size[c], strength[i, c]))
    return order, depth


# ---- distributions of columns --------------------------------------------------------------------

ACROSS = 3  # panels in a row
PANEL = (2.05, 1.3)  # inches
MOST_PANELS = 30
MOST_BARS = 9  # levels of a panel; of more, the most probable
POINTS = 400  # of a curve
TAIL = 1e-3  # of a distribution on either side that is left out
STATE = 1e-6  # share of a state below which its place does not widen a panel

Shares = list[tuple[float, list[NDArray[np.float64]]]]  # members' weights, and states by column


@styled
def marginals(model: Any, given: Any = None, *, columns: Sequence[Any] | None = None) -> Figure:
    """Draw the exact distribution of each column, with and without a condition.

    Parameters
    ----------
    model : fitted LatentTree
    given : row, mapping, Series or one-row frame, optional
        The condition, as for `sample`: values, sets of levels and ranges. Distributions given the
        condition are drawn in colour, those without it in grey.
    columns : sequence of names or numbers, optional
        The columns to draw; by default all, if there are at most thirty.

    Returns
    -------
    matplotlib.figure.Figure
        Levels and counts are drawn by their probabilities, and numbers by their densities. A number
        with a probability of its own is drawn as a stem. A stem of probability 1 would be as high
        as the curve; the probability is written beside the most probable stem.

    Raises
    ------
    DataError
        For a column that the model does not have, for more than thirty columns, or for a `given`
        that is not a condition.

    Examples
    --------
    >>> from ancestral import LatentTree
    >>> X = np.random.default_rng(0).normal(size=(60, 1)) + [[0.0, 0.1, 5.0]]
    >>> model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(X)
    >>> len(marginals(model, {0: 1.0}).axes)
    3
    """
    if not _taken.is_a(model, "LatentTree"):
        _taken.refuse("marginals", "a fitted LatentTree", model)
    chosen = _chosen(model, columns)
    mixture = model._mixture
    plain = queries.Condition(np.full(len(model.columns_), np.nan))
    conditions = [plain]
    if given is not None:
        conditions.append(condition_of(model, model._columns_learnt, given))
    with model._possible(conditions[-1]):
        shares = [queries.states_given(mixture, condition) for condition in conditions]
    n_lines = -(-len(chosen) // ACROSS)
    across = min(ACROSS, len(chosen))
    says = _words(model, conditions[-1]) if given is not None else {}
    width = PANEL[0] * across + 0.2
    figure = _style.new_figure(width, (PANEL[1] + 0.6) * n_lines + 0.3)
    panels = figure.subplots(n_lines, across, squeeze=False).ravel()
    for ax in panels[len(chosen) :]:
        ax.remove()
    for j, ax in zip(chosen, panels, strict=False):
        column = model.columns_[j]
        leaves = [circuit.leaves[j] for circuit in mixture.circuits]
        ax.set_title(_style.shortened(str(column["name"]), 28), loc="left", pad=4)
        ax.tick_params(labelsize=_style.TEXT_SIZE - 2)
        said = [
            (colour, _Column(leaves, [(w, p[j]) for w, p in one], condition, j))
            for colour, one, condition in zip(COLOURS, shares, conditions)
        ]
        if isinstance(leaves[0], LevelsLeaf):
            _draw_levels(ax, column, said)
        elif isinstance(leaves[0], CountsLeaf):
            _draw_counts(ax, said)
        else:
            _draw_numbers(ax, column, said)
    has_stems = any(len(model.columns_[j]["atoms"]) for j in chosen)
    _name_lines(figure, width, list(says.values()), has_stems=has_stems)
    return figure


COLOURS = ("#A9AFB6", _style.BLUE)


def _name_lines(figure: Figure, width: float, says: list[str], *, has_stems: bool) -> None:
    """Say below the panels what the colours and the stems are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    room, size = width - 0.6, _style.TEXT_SIZE - 1
    handles: list[Any] = []
    if says:
        words = "given " + ", ".join(says[:MOST_SAID]) + ", …" * (len(says) > MOST_SAID)
        labels = ("without the condition", _style.broken(words, size, room))
        handles = [Patch(color=c, label=w) for c, w in zip(COLOURS, labels, strict=True)]
    if has_stems:
        words = "probability of this one value (the curves are densities)"
        label = _style.broken(words, size, room)
        colour = COLOURS[1 if says else 0]
        handles.append(Line2D([], [], color=colour, marker="o", markersize=3.5, label=label))
    if handles:
        figure.legend(handles=handles, loc="outside lower left", alignment="left")


MOST_SAID = 6  # columns of a condition that are named


def _words(model: Any, condition: queries.Condition) -> dict[int, str]:
    """Return what a condition says of each column that it names."""
    said = {}
    for j, column in enumerate(model.columns_):
        value, allowed = float(condition.row[j]), condition.allowed.get(j)
        name = _style.shortened(str(column["name"]), 24)
        if not np.isnan(value):
            said[j] = f"{name} = {_value(column, value)}"
        elif allowed is not None and allowed.values is not None:
            some = [_value(column, float(one)) for one in allowed.values[:3]]
            said[j] = f"{name}: {' or '.join(some)}" + " or …" * (len(allowed.values) > 3)
        elif allowed is not None:
            low, high = (_value(column, end) for end in (allowed.low, allowed.high))
            said[j] = f"{name} from {low} to {high}"
            if not np.isfinite(allowed.low):
                said[j] = f"{name} up to {high}"
            elif not np.isfinite(allowed.high):
                said[j] = f"{name} from {low}"
    return said


def _value(column: dict[str, Any], code: float) -> str:
    """Return one value of a column in words."""
    if not np.isfinite(code):
        return ""
    if len(column["levels"]):
        return _style.shortened(str(column["levels"].tolist()[int(code)]), 20)
    if column["of"] == "date":
        moment = np.datetime64(round(code * 86400), "s")
        return str(moment).removesuffix("T00:00:00").replace("T", " ")
    return f"{code:.6g}"


def _chosen(model: Any, columns: Sequence[Any] | None) -> list[int]:
    """Return the places of columns among those that are modelled."""
    names = [one["name"] for one in model.columns_]
    if columns is None:
        wanted = list(range(len(names)))
    else:
        for name in columns:
            if name not in names:
                known = ", ".join(map(str, names[:20])) + (", ..." if len(names) > 20 else "")
                raise DataError(
                    f"columns names {name!r}, which the model does not have; it has {known}."
                )
        wanted = [names.index(name) for name in columns]
    if not 0 < len(wanted) <= MOST_PANELS:
        raise DataError(
            f"{len(wanted)} columns are asked for; 1 to {MOST_PANELS} fit in a picture: name some "
            "in columns=."
        )
    return wanted


class _Column:
    """One column's distribution: a mixture over members and states of its leaves."""

    def __init__(
        self,
        leaves: list[Any],
        shares: list[tuple[float, NDArray[np.float64]]],
        condition: queries.Condition,
        place: int,
    ) -> None:
        self.leaves, self.shares = leaves, shares
        self.value = float(condition.row[place])
        self.allowed: Allowed | None = condition.allowed.get(place)

    def density(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of codes, counts and atoms, densities of other numbers."""
        if not np.isnan(self.value):
            return np.asarray((x == self.value).astype(np.float64))
        total = np.zeros(len(x))
        for leaf, (weight, p) in zip(self.leaves, self.shares, strict=True):
            mass = 0.0 if self.allowed is None else leaf.log_mass(self.allowed)
            with np.errstate(invalid="ignore"):
                of_state = np.where(p > 0, p * np.exp(-mass), 0.0)
            total += weight * (np.exp(leaf.log_density(x)) @ of_state)
        if self.allowed is not None:
            inside = (x >= self.allowed.low) & (x <= self.allowed.high)
            if self.allowed.values is not None:
                inside = np.isin(x, self.allowed.values)
            total = np.where(inside, total, 0.0)
        return total

    def span(self) -> tuple[float, float]:
        """Return where all but the tails lie, for numbers."""
        if not np.isnan(self.value):
            return self.value, self.value
        x = np.unique(np.concatenate([*self._places()]))
        if self.allowed is not None and self.allowed.values is None:
            x = np.unique(np.clip(x, self.allowed.low, self.allowed.high))
        below = np.zeros(len(x))
        for leaf, (weight, p) in zip(self.leaves, self.shares, strict=True):
            below += weight * (leaf.cdf(x) @ p)
        if self.allowed is not None:
            low, high = below[0], below[-1]
            below = (below - low) / (high - low) if high > low else below
        low = x[max(int(np.searchsorted(below, TAIL)) - 1, 0)]
        high = x[min(int(np.searchsorted(below, 1 - TAIL)), len(x) - 1)]
        return float(low), float(high)

    def _places(self) -> Iterator[NDArray[np.float64]]:
        """Yield numbers from where each state that counts lies."""
        for leaf, (weight, p) in zip(self.leaves, self.shares, strict=True):
            counts = weight * p > STATE
            if isinstance(leaf, CountsLeaf):
                mean, spread = leaf.moments()
                top = math.ceil(float((mean + 6 * spread)[counts].max()))
                yield np.unique(np.linspace(0, top, 2 * POINTS).round())
                continue
            at = np.linspace(-3.5, 3.5, 29)
            y = leaf.mean[counts, None] + leaf.spread[counts, None] * at
            yield leaf.scale.inverse(y.ravel())
            yield leaf.atoms


Said = list[tuple[str, _Column]]


def _draw_levels(ax: Axes, column: dict[str, Any], said: Said) -> None:
    levels = column["levels"].tolist()
    p = [one.density(np.arange(len(levels), dtype=np.float64)) for _, one in said]
    shown = list(range(len(levels)))
    if len(levels) > MOST_BARS:
        shown = sorted(np.argsort(-p[-1], kind="stable")[:MOST_BARS].tolist())
    height = 0.8 / len(said)
    for k, (colour, _) in enumerate(said):
        y = np.arange(len(shown)) + (k - (len(said) - 1) / 2) * height
        ax.barh(y, p[k][shown], height=height, color=colour)
    ax.set_yticks(range(len(shown)), [_style.shortened(str(levels[k]), 14) for k in shown])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set_xlim(0, None)
    ax.locator_params(axis="x", nbins=3)
    ax.set_xlabel("probability", fontsize=_style.TEXT_SIZE - 2, labelpad=1)


def _draw_counts(ax: Axes, said: Said) -> None:
    top = max(one.span()[1] for _, one in said)
    x = np.arange(0, top + 1)
    for k, (colour, one) in enumerate(said):
        ax.plot(x, one.density(x), ".-", color=colour, markersize=3, linewidth=0.8, zorder=k)
    ax.set_ylim(0, None)
    ax.locator_params(nbins=4)
    ax.set_ylabel("probability", fontsize=_style.TEXT_SIZE - 2, labelpad=2)


def _draw_numbers(ax: Axes, column: dict[str, Any], said: Said) -> None:
    spans = [one.span() for _, one in said]
    low, high = min(s[0] for s in spans), max(s[1] for s in spans)
    pad = 0.03 * (high - low) or max(abs(low), 1.0) * 0.05
    atoms = np.asarray(column["atoms"], dtype=np.float64)
    x = np.setdiff1d(np.linspace(low - pad, high + pad, POINTS), atoms)
    curves = [one.density(x) for _, one in said]
    top = max(float(curve.max()) for curve in curves) or 1.0
    for k, (colour, one) in enumerate(said):
        if not np.isnan(one.value):
            ax.axvline(one.value, color=colour, linewidth=1.6)
            continue
        ax.fill_between(x, curves[k], color=colour, alpha=0.25, linewidth=0)
        ax.plot(x, curves[k], color=colour, linewidth=1.2)
        mass = one.density(atoms)
        for atom, share in zip(atoms, mass, strict=True):
            if share >= 0.005:
                ax.plot([atom, atom], [0, share * top], color=colour, linewidth=1.6)
                ax.plot(atom, share * top, "o", color=colour, markersize=3.5)
    _name_stem(ax, atoms, [one.density(atoms) for _, one in said], top)
    ax.set(xlim=(low - pad, high + pad), ylim=(0, 1.08 * top))
    ax.locator_params(axis="y", nbins=3)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    ax.set_ylabel("density", fontsize=_style.TEXT_SIZE - 2, labelpad=2)
    if column["of"] == "date":
        ax.xaxis_date()
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(maxticks=4)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        ax.locator_params(axis="x", nbins=4)


def _name_stem(
    ax: Axes, atoms: NDArray[np.float64], masses: list[NDArray[np.float64]], top: float
) -> None:
    """Write the probabilities of the most probable stem beside its heads, apart from each other."""
    if not len(atoms) or not 0.05 <= masses[-1].max() < 1.0:
        return
    at = int(masses[-1].argmax())
    heights = [float(mass[at]) for mass in masses]
    places = list(heights)
    if len(heights) > 1 and abs(heights[0] - heights[1]) < APART:
        middle, away = sum(heights) / 2, math.copysign(APART / 2, heights[0] - heights[1])
        middle = min(max(middle, APART), 1.0 - APART / 2)
        places = [middle + away, middle - away]
    is_right = atoms[at] > np.mean(ax.get_xlim())
    for colour, height, place in zip((_style.GREY, COLOURS[1]), heights, places, strict=False):
        ax.annotate(f"{100 * height:.0f}%", (atoms[at], place * top), (-4 if is_right else 4, 0),
                    textcoords="offset points", ha="right" if is_right else "left", va="center",
                    color=colour, fontsize=_style.TEXT_SIZE - 2, path_effects=_style.halo(),
                    zorder=5)  # fmt: skip


APART = 0.13  # of a panel's height, between two lines of text
