"""Figures of autoregressive models: how training falls to the entropy, and where entropy sits.

    cross-entropy = H(data) + KL(data || model) >= H(data)

so the loss has a floor, the entropy, and the chain rule divides that floor among the steps:
H(x) = sum_i H(x_i | x_1 .. x_{i-1}).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.images import LISTING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def training_curve(
    history: Any,
    floor: float | None = None,
    *,
    unit: str = "row",
    ax: Sequence[Axes] | None = None,
) -> Figure:
    """Draw the loss by step, and its excess over the floor on a log axis if the floor is known.

    Parameters
    ----------
    history : fitted LSTMAutoregressive or NeuralGaussian, or sequence of dict
        Each dict has "step" (optimiser step) and "loss" (nats per row). A "validation_loss" is
        drawn too.
    floor : float, optional
        The entropy of the data, in nats per row. An LSTMAutoregressive knows it. Without it, one
        panel is drawn.
    unit : str
        The word for a row in labels, such as "image".
    ax : pair of Axes, optional
        The Axes for the loss and for the excess.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    The excess is the Kullback-Leibler divergence from the data to the model.

    Examples
    --------
    >>> history = [{"step": 1, "loss": 17.3}, {"step": 100, "loss": 3.3}]
    >>> len(training_curve(history, 3.258).axes)
    2
    """
    if _taken.is_a(history, "LSTMAutoregressive"):
        floor = history.floor_ if floor is None else floor
        history = history.history_
    elif _taken.is_a(history, "NeuralGaussian"):
        history = history.history_
    _taken.refuse_others("training_curve", "the history of a trained network", history)
    records = getattr(history, "history_", history)
    step = _style.column(records, "step")
    loss = _style.column(records, "loss")
    top, bottom = _panels(ax, with_excess=floor is not None)
    top.plot(step, loss, color=_style.BLUE, label="training rows")
    checked = [record for record in records if record.get("validation_loss") is not None]
    if checked:
        top.plot(_style.column(checked, "step"), _style.column(checked, "validation_loss"),
                 color=_style.ORANGE, linestyle=(0, (4, 1.5)), label="validation rows")  # fmt: skip
        top.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    top.set(ylabel=f"loss (nats per {unit})")
    if floor is None:
        top.set(xlabel="optimiser step")
        return _style.figure_of(top)
    top.axhline(floor, color=_style.VERMILLION, linestyle=(0, (4, 2)), linewidth=1.2)
    low, high = top.get_ylim()
    top.set_ylim(min(low, floor - 0.25 * (high - floor)), high)  # the words stand below the line
    top.annotate(
        f"entropy floor {floor:.4f} nats", (1.0, floor), xycoords=("axes fraction", "data"),
        xytext=(-2, -4), textcoords="offset points", ha="right", va="top",
        color=_style.VERMILLION, fontsize=_style.TEXT_SIZE - 1,
    )  # fmt: skip
    excess = loss - floor
    above = excess > 0
    bottom.plot(step[above], excess[above], color=_style.BLUE)
    bottom.set_yscale("log")
    bottom.grid(axis="y")
    bottom.set(xlabel="optimiser step", ylabel="loss − floor = KL (nats)")
    if above[-1]:
        _mark_end(bottom, step[above], excess[above])
    return _style.figure_of(top)


def _panels(ax: Sequence[Axes] | None, *, with_excess: bool) -> tuple[Axes, Any]:
    """Return the axes of the loss, and those of its excess where there is one."""
    if ax is not None:
        given = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(given) != 1 + with_excess:
            raise DataError(f"ax must be {1 + with_excess} Axes here; got {len(given)}.")
        return given[0], given[-1]
    if not with_excess:
        return _style.new_figure(_style.TEXT_WIDTH, 2.6).subplots(), None
    top, bottom = _style.new_figure(_style.TEXT_WIDTH, 4.0).subplots(2, 1, sharex=True)
    return top, bottom


def _mark_end(ax: Axes, step: NDArray[np.float64], excess: NDArray[np.float64]) -> None:
    """Put a dot at the last excess and write its value in the free corner."""
    ax.plot(step[-1], excess[-1], "o", color=_style.BLUE, clip_on=False, zorder=3)
    ax.annotate(
        f"at the end {excess[-1]:.2g} nats", (1.0, 0.92), xycoords="axes fraction",
        ha="right", va="top", color=_style.BLUE, fontsize=_style.TEXT_SIZE - 1,
    )  # fmt: skip


@styled
def step_entropies(
    values: Any,
    shape: tuple[int, int] | None = None,
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the entropy of each column given those before it: as bars, or as a heat map of pixels.

    Parameters
    ----------
    values : fitted TabularAutoregressive, or array-like of shape (n_features,)
        A model, or conditional entropies in bits, by step. The title shows their sum, the entropy.
    shape : (height, width), optional
        Draws the steps as pixels of an image, row by row, with each value written in its pixel.
    names : sequence of str, optional
        Names of the steps, below the bars. A model that was fitted to a dataframe knows them.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> step_entropies([1.0, 0.5, 0.25]).get_title()
    'H(x) = 1.7500 bits = 1.2130 nats'
    """
    if _taken.is_a(values, "TabularAutoregressive"):
        names = names or _taken.column_names(values)
        values = values.step_entropies_ / math.log(2)
    _taken.refuse_others("step_entropies", "fitted tables, or entropies in bits", values)
    bits = _style.numbers(values, "values")
    if (bits < -1e-9).any():
        raise DataError(f"entropies cannot be negative; got {bits.min():g} at {bits.argmin()}.")
    bits = np.clip(bits, 0.0, None)
    total = f"H(x) = {bits.sum():.4f} bits = {bits.sum() * math.log(2):.4f} nats"
    if shape is not None:
        if shape[0] * shape[1] != bits.size:
            raise DataError(f"shape {tuple(shape)} does not hold {bits.size} values.")
        ax = _style.axes_or_new(ax, width=3.9, height=3.4)
        _heat_map(ax, bits.reshape(shape))
    else:
        ax = _style.axes_or_new(ax, width=_style.TEXT_WIDTH, height=2.6)
        ax.bar(np.arange(1, bits.size + 1), bits, color=_style.BLUE, width=0.8)
        ax.set(xlabel="step i", ylabel="H(xᵢ | x₁ … xᵢ₋₁)  (bits)", xlim=(0.3, bits.size + 0.7))
        if names is None:
            _style.whole_numbers(ax.xaxis)
        else:
            _style.same_length(values=bits, names=names)
            _style.named_ticks(ax, [str(name) for name in names])
            ax.set(xlabel="column xᵢ, in the order of the model")
    ax.set_title(total)
    return ax


def _heat_map(ax: Axes, bits: NDArray[np.float64]) -> None:
    """Draw entropies as pixels with their values."""
    drawn = ax.imshow(bits, cmap=_style.sequential(), vmin=0.0, vmax=max(1.0, bits.max()))
    height, width = bits.shape
    ax.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=_style.HAIRLINE, linewidth=0.5)
    ax.tick_params(which="both", length=0)
    ax.set_xticks(range(width), [str(i + 1) for i in range(width)])
    ax.set_yticks(range(height), [str(i + 1) for i in range(height)])
    ax.set(xlabel="column", ylabel="row")
    ax.spines[:].set_visible(False)
    if bits.size <= 100:
        for (row, column), value in np.ndenumerate(bits):
            text = "0" if value < 5e-4 else f"{value:.2f}"
            colour = (
                _style.contrasting(drawn.cmap(float(value) / max(1.0, bits.max())))
                if value >= 5e-4
                else _style.GREY
            )
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    ax.figure.colorbar(drawn, ax=ax, label="H(xᵢ | x₁ … xᵢ₋₁)  (bits)", shrink=0.85, aspect=18)


@styled
def certificate(
    log_probabilities: Any,
    rest: float | None = None,
    expected: ArrayLike | None = None,
    *,
    k: int = 24,
    unit: str = "row",
    ax: Axes | None = None,
) -> Axes:
    """Draw the probabilities of the most probable rows, and the total probability of all others.

    Parameters
    ----------
    log_probabilities : fitted model with `most_probable`, or array-like of shape (k,)
        A TabularAutoregressive, LSTMAutoregressive or ChainAutoregressive; or the log probabilities
        that `most_probable(k)` returned, in nats, in falling order, together with `rest`.
    rest : float
        Total probability of all rows that are not listed. Not needed with a model.
    expected : array-like of bool, shape (k,), optional
        True for the rows that the model was meant to learn.
    k : int
        With a model: the number of rows.
    unit : str
        The word for a row in labels, such as "image".
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> certificate(TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1]])).get_yscale()
    'log'
    """
    if _taken.is_a(log_probabilities, *LISTING):
        _, log_probabilities, rest = log_probabilities.most_probable(k)
    wants = "a model with most_probable, or the log probabilities and the rest that it returned"
    _taken.refuse_others("certificate", wants, log_probabilities)
    if rest is None:
        raise DataError("rest is needed: the third of what model.most_probable(k) returns.")
    log_p = _style.numbers(log_probabilities, "log_probabilities")
    p = np.exp(log_p)
    known = np.ones(len(p), bool) if expected is None else np.asarray(expected, dtype=bool)
    _style.same_length(log_probabilities=p, expected=known)
    after = np.cumsum(np.append(p, max(float(rest), 0.0))[::-1])[::-1]  # k = 0, 1, ...: not listed
    rank = np.arange(1, len(p) + 1)
    article = "an" if unit[:1] in "aeiou" else "a"
    ax = _style.axes_or_new(ax, width=_style.TEXT_WIDTH, height=2.9)
    ax.step(np.arange(len(after)), after, where="post", color=_style.ORANGE, linewidth=1.2,
            label=f"all {unit}s that come later, together")  # fmt: skip
    ax.plot(rank[known], p[known], "o", ms=4.5, color=_style.BLUE,
            label=f"one {unit}" if expected is None else f"{article} {unit} of the support",
            )  # fmt: skip
    if not known.all():
        ax.plot(rank[~known], p[~known], "s", ms=4.5, mfc=_style.PAPER, mec=_style.VERMILLION,
                mew=1.1, label=f"{article} {unit} outside the support")  # fmt: skip
    ax.set_yscale("log")
    ax.grid(axis="y")
    ax.set(xlabel=f"rank of the {unit}, most probable first", ylabel="probability")
    ax.set_xlim(0, len(p) + 1)
    _style.whole_numbers(ax.xaxis)
    ax.legend(loc="best")
    return ax
