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
from ancestral.viz import _style
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def training_curve(history: Any, floor: float, *, ax: Sequence[Axes] | None = None) -> Figure:
    """Return two panels: the loss with its floor, and the excess over the floor on a log axis.

    Parameters
    ----------
    history : sequence of dict, or a fitted model with `history_`
        Each with "step" (optimiser step) and "loss" (nats per image).
    floor : float
        The entropy of the data, in nats per image.
    ax : pair of Axes, optional
        Where to draw the loss and the excess.

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
    records = getattr(history, "history_", history)
    step = _style.column(records, "step")
    loss = _style.column(records, "loss")
    if ax is None:
        top, bottom = _style.new_figure(_style.TEXT_WIDTH, 4.0).subplots(
            2, 1, sharex=True, height_ratios=(1.0, 1.0)
        )
    else:
        top, bottom = ax
    top.plot(step, loss, color=_style.BLUE)
    top.axhline(floor, color=_style.VERMILLION, linestyle=(0, (4, 2)), linewidth=1.2)
    top.annotate(
        f"entropy floor {floor:.4f} nats", (1.0, floor), xycoords=("axes fraction", "data"),
        xytext=(-2, 4), textcoords="offset points", ha="right", va="bottom",
        color=_style.VERMILLION, fontsize=_style.TEXT_SIZE - 1,
    )  # fmt: skip
    top.set(ylabel="loss (nats per image)")
    top.set_ylim(bottom=min(0.0, float(loss.min())))
    excess = loss - floor
    above = excess > 0
    bottom.plot(step[above], excess[above], color=_style.BLUE)
    bottom.set_yscale("log")
    bottom.grid(axis="y")
    bottom.set(xlabel="optimiser step", ylabel="loss − floor = KL (nats)")
    if above.any():
        _mark_end(bottom, step[above], excess[above])
    return _style.figure_of(top)


def _mark_end(ax: Axes, step: NDArray[np.float64], excess: NDArray[np.float64]) -> None:
    """Put a dot at the last excess and write its value in the free corner."""
    ax.plot(step[-1], excess[-1], "o", color=_style.BLUE, clip_on=False, zorder=3)
    ax.annotate(
        f"at the end {excess[-1]:.2g} nats", (1.0, 0.92), xycoords="axes fraction",
        ha="right", va="top", color=_style.BLUE, fontsize=_style.TEXT_SIZE - 1,
    )  # fmt: skip


@styled
def step_entropies(
    values: ArrayLike, shape: tuple[int, int] | None = None, *, ax: Axes | None = None
) -> Axes:
    """Return a heat map (given the image's shape) or bars of H(x_i | x_1 .. x_{i-1}).

    Parameters
    ----------
    values : array-like of shape (d,)
        Conditional entropies in bits, by step. Their sum, the entropy, stands in the title.
    shape : (height, width), optional
        Draws the steps as pixels, row-major, with each value written in its pixel.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> step_entropies([1.0, 0.5, 0.25]).get_title()
    'H(x) = 1.7500 bits = 1.2130 nats'
    """
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
        _style.whole_numbers(ax.xaxis)
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
    log_probabilities: ArrayLike,
    rest: float,
    expected: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Return the most probable rows by rank, and the proven probability of all that come after.

    Parameters
    ----------
    log_probabilities : array-like of shape (k,)
        Nats, falling; with `rest`, what `most_probable(k)` returned.
    rest : float
        Probability of everything not listed.
    expected : array-like of bool, shape (k,), optional
        Which of the rows were to be learnt.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> certificate(np.log([0.5, 0.3, 0.1]), 0.1).get_yscale()
    'log'
    """
    log_p = _style.numbers(log_probabilities, "log_probabilities")
    p = np.exp(log_p)
    known = np.ones(len(p), bool) if expected is None else np.asarray(expected, dtype=bool)
    _style.same_length(log_probabilities=p, expected=known)
    after = np.cumsum(np.append(p, max(float(rest), 0.0))[::-1])[::-1]  # k = 0, 1, ...: not listed
    rank = np.arange(1, len(p) + 1)
    ax = _style.axes_or_new(ax, width=_style.TEXT_WIDTH, height=2.9)
    ax.step(np.arange(len(after)), after, where="post", color=_style.ORANGE, linewidth=1.2,
            label="all images that come later, together")  # fmt: skip
    ax.plot(rank[known], p[known], "o", ms=4.5, color=_style.BLUE,
            label="one image" if expected is None else "an image of the support")  # fmt: skip
    if not known.all():
        ax.plot(rank[~known], p[~known], "s", ms=4.5, mfc=_style.PAPER, mec=_style.VERMILLION,
                mew=1.1, label="an image outside the support")  # fmt: skip
    ax.set_yscale("log")
    ax.grid(axis="y")
    ax.set(xlabel="rank of the image, most probable first", ylabel="probability")
    ax.set_xlim(0, len(p) + 1)
    _style.whole_numbers(ax.xaxis)
    ax.legend(loc="best")
    return ax
