"""A latent tree and what it says of each column: the tree of columns, and their distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.2  # inches from one column's line to the next
INDENT = 0.26  # inches from a parent to its children, less where the tree is deep
MOST_COLUMNS = 300  # lines of a picture that is not too tall to be kept
LONGEST = 34  # characters of a name
THIN, THICK = 0.8, 5.0  # points: edges of little and of the most information
DOT = {"continuous": _style.BLUE, "count": _style.SKY, "categorical": _style.ORANGE,
       "binary": _style.VERMILLION}  # fmt: skip


@styled
def latent_tree(model: Any, ax: Axes | None = None) -> Axes:
    """Draw the tree of a fitted LatentTree: each column a line, its children below it.

    Parameters
    ----------
    model : fitted LatentTree
        Of a mixture the first tree.
    ax : matplotlib.axes.Axes, optional
        A new figure, as tall as the columns need, by default.

    Returns
    -------
    matplotlib.axes.Axes
        Nodes are coloured by the kind of column; an edge is the wider, the more two columns tell
        about each other in the training rows: their mutual information stands behind the child's
        name, in nats.

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
    height = LINE * (len(names) + 2.2)
    texts = [_style.shortened(name, LONGEST) for name in names]
    widest = max(_style.text_width(text, _style.TEXT_SIZE - 1) for text in texts) + 0.75
    step = min(INDENT, (_style.TEXT_WIDTH - 0.3 - widest) / max(1, int(depth.max())))
    if ax is None:
        figure = _style.new_figure(
            0.3 + step * int(depth.max()) + widest + 0.25, height, layout=None
        )
        ax = figure.add_axes((0, 0, 1, 1))
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
            told = "   nats"
        ax.plot(x[i], y[i], "o", color=DOT[kinds[i]], markersize=6, zorder=2)
        ax.annotate(texts[i], (x[i], y[i]), (7, 0), textcoords="offset points", va="center",
                    fontsize=_style.TEXT_SIZE - 1)  # fmt: skip
        wide = _style.text_width(texts[i], _style.TEXT_SIZE - 1) * 72
        ax.annotate(told, (x[i], y[i]), (8 + wide, 0), textcoords="offset points", va="center",
                    fontsize=_style.TEXT_SIZE - 2, color=_style.GREY)  # fmt: skip
    right = 0.3 + step * int(depth.max()) + widest
    ax.set(xlim=(0, right + 0.25), ylim=(height, 0))
    ax.axis("off")
    handles = [ax.plot([], [], "o", color=DOT[kind], markersize=6, label=kind)[0] for kind in seen]
    ax.legend(handles=handles, loc="lower left", ncols=len(seen), columnspacing=1.0,
              handletextpad=0.1, borderaxespad=0.2)  # fmt: skip
    return ax


def _outline(
    parent: NDArray[np.intp], strength: NDArray[np.float64]
) -> tuple[list[int], NDArray[np.intp]]:
    """Return the columns line by line, children below their parent, small subtrees first; depths."""
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
