"""Figures of linear-Gaussian regression with one input: p(y | x) = N(y; f(x), sigma(x)^2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._catalogue import entry_of
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


WITH_INTERVALS = ("LinearGaussian", "HeteroscedasticGaussian")


@styled
def density_shade(
    predict: Any,
    X: Any,
    y: Any,
    *,
    x_label: str | None = None,
    y_label: str | None = None,
    n_grid: int = 300,
) -> Figure:
    """Draw two panels: p(y | x) as shades on the left, the line and the points on the right.

    Parameters
    ----------
    predict : fitted model or callable
        LinearGaussian, HeteroscedasticGaussian, NeuralGaussian or any other model with
        `predict(X, return_std=True)`, or a function of X (n, 1) that returns the means (n,) and
        standard deviations (n,, or one number).
    X : array-like or dataframe of shape (n, 1), or (n,)
    y : array-like, series or dataframe of shape (n,) or (n, 1)
    x_label, y_label : str, optional
        Labels with units; by default the names of the columns of X and y, or else "x" and "y".
    n_grid : int
        Points along each axis of the shade.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from ancestral import LinearGaussian
    >>> x, y = [[0.0], [1.0], [2.0]], [0.5, 1.5, 4.5]
    >>> figure = density_shade(LinearGaussian().fit(x, y), x, y)
    >>> [ax.get_title() for ax in figure.axes[::2]]
    ['conditional density p(y | x)', 'the line E[y | x] and the data']
    """
    if not _taken.has_face(predict, "conditional"):
        wants = "a fitted conditional model such as LinearGaussian, or a function"
        _taken.refuse_others("density_shade", wants, predict)
        if not callable(predict) and not hasattr(predict, "predict"):  # no model of this package
            _taken.refuse("density_shade", wants, predict)
    pairs = _Pairs.of(predict, X, y, x_label, y_label)
    x, y, x_label, y_label = pairs.x, pairs.y, pairs.x_label, pairs.y_label
    padding = 0.04 * (np.ptp(x) or 1.0)
    grid_x = np.linspace(x.min() - padding, x.max() + padding, n_grid)
    mean, std = _mean_and_std(predict, pairs, grid_x)
    low = min(y.min(), (mean - 3 * std).min())
    high = max(y.max(), (mean + 3 * std).max())
    grid_y = np.linspace(low, high, n_grid)
    z = (grid_y[:, None] - mean) / std  # (n_grid, n_grid), rows are y
    density = np.exp(-0.5 * z**2) / (std * math.sqrt(2 * math.pi))

    figure = _style.new_figure(_style.TEXT_WIDTH, 3.1)
    # the bar stands between: beside the panel it explains, and both panels keep one width
    left, bar, right = figure.subplots(1, 3, width_ratios=(1.0, 0.04, 1.0))
    right.sharex(left)
    right.sharey(left)
    shade = left.imshow(
        density, cmap=_style.sequential(), origin="lower", aspect="auto", vmin=0.0,
        extent=(grid_x[0], grid_x[-1], low, high), interpolation="bilinear",
    )  # fmt: skip
    left.set(title="conditional density p(y | x)", xlabel=x_label, ylabel=y_label)
    size = float(np.clip(2500 / len(x), 5, 26))
    right.scatter(x, y, s=size, color=_style.SKY, edgecolors=_style.BLUE, linewidths=0.4, alpha=0.8)
    right.plot(grid_x, mean, color=_style.VERMILLION, label="E[y | x]")
    for sign in (-2, 2):
        right.plot(grid_x, mean + sign * std, color=_style.VERMILLION, linewidth=0.9,
                   linestyle=(0, (4, 2)), label="± 2 sd" if sign > 0 else None)  # fmt: skip
    right.set(title="the line E[y | x] and the data", xlabel=x_label)
    right.legend(loc="upper left", borderaxespad=0.2)
    right.set(xlim=(grid_x[0], grid_x[-1]), ylim=(low, high))
    figure.colorbar(shade, cax=bar, label="p(y | x), per unit of y")
    return figure


@dataclass(frozen=True)
class _Pairs:
    """One input and its target, what they are called, and inputs as the model takes them."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_label: str
    y_label: str
    inputs: Callable[[NDArray[np.float64]], Any]

    @classmethod
    def of(cls, model: Any, X: Any, y: Any, x_label: str | None, y_label: str | None) -> _Pairs:
        """Return checked pairs; of a frame the only column the model was fitted to."""
        known = _taken.column_names(model) if entry_of(model) is not None else None
        if known is not None:
            X = _taken.columns_of_model(model, X)
        x, target = one_input(X), _style.numbers(y, "y", None)
        if target.ndim == 2 and target.shape[1] == 1:
            target = target[:, 0]
        if target.ndim != 1:
            raise DataError(f"y must have one value for each row; got shape {target.shape}.")
        _style.same_length(X=x, y=target)
        names = known or _taken.column_names(X) or ["x"]
        said = _taken.column_names(y) or ["y"]
        return cls(
            x,
            target,
            x_label or _style.shortened(names[0], 60),
            y_label or _style.shortened(said[0], 60),
            lambda grid: _taken.grid_like(model, X, grid[:, None]),
        )


def one_input(X: ArrayLike) -> NDArray[np.float64]:
    """Return the single column of X, (n,)."""
    array = _style.numbers(X, "X", None)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"X must have one column for this figure; got shape {array.shape}. "
            "Fit and draw one column, such as X[:, [2]]."
        )
    return array


def _mean_and_std(
    predict: Any, pairs: _Pairs, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ask for mean and standard deviation along x, both (n,)."""
    if callable(predict):
        mean, std = predict(x[:, None])
    else:
        mean, std = predict.predict(pairs.inputs(x), return_std=True)
    mean = np.broadcast_to(np.asarray(mean, dtype=np.float64), x.shape)
    std = np.broadcast_to(np.asarray(std, dtype=np.float64), x.shape)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise DataError(
            "the predicted mean and standard deviation must be finite and the latter above 0; "
            f"the smallest standard deviation is {std.min():g}. With zero residuals there is no "
            "density."
        )
    return mean, std


@styled
def interval_bands(
    model: Any,
    X: Any,
    y: Any,
    *,
    level: float = 0.95,
    x_label: str | None = None,
    y_label: str | None = None,
    n_grid: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Draw the line with its confidence band and with the prediction band of new points.

    Parameters
    ----------
    model : fitted LinearGaussian or HeteroscedasticGaussian
    X : array-like or dataframe of shape (n, 1), or (n,)
    y : array-like, series or dataframe of shape (n,) or (n, 1)
    level : float
        Probability of both bands, at each point.
    x_label, y_label : str, optional
        Labels with units; by default the names of the columns of X and y, or else "x" and "y".
    n_grid : int
        Points along the line.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> from ancestral import LinearGaussian
    >>> x, y = np.arange(5.0)[:, None], np.array([0.1, 0.9, 2.2, 2.8, 4.1])
    >>> len(interval_bands(LinearGaussian().fit(x, y), x, y).collections)
    3
    """
    if not _taken.is_a(model, *WITH_INTERVALS):
        wants = f"a fitted {' or '.join(WITH_INTERVALS)}"
        _taken.refuse("interval_bands", wants, model)
    pairs = _Pairs.of(model, X, y, x_label, y_label)
    x, y, x_label, y_label = pairs.x, pairs.y, pairs.x_label, pairs.y_label
    padding = 0.04 * (np.ptp(x) or 1.0)
    grid = np.linspace(x.min() - padding, x.max() + padding, n_grid)
    ax = _style.axes_or_new(ax, width=_style.TEXT_WIDTH, height=3.0)
    for interval, colour, name in (
        (model.prediction_interval, "#DCEAF4", "a new point"),
        (model.confidence_interval, _style.SKY, "the mean"),
    ):
        low, high = interval(pairs.inputs(grid), level)
        ax.fill_between(grid, low, high, color=colour, linewidth=0, label=f"{level:.0%}: {name}")
    size = float(np.clip(2500 / len(x), 5, 26))
    ax.scatter(x, y, s=size, color=_style.GREY, edgecolors="none", alpha=0.7, zorder=1.5)
    ax.plot(grid, model.predict(pairs.inputs(grid)), color=_style.VERMILLION, label="E[y | x]")
    ax.set(xlabel=x_label, ylabel=y_label, xlim=(grid[0], grid[-1]))
    ax.legend(loc="upper left", borderaxespad=0.2)
    return ax
