"""Figures of probabilistic PCA: spectrum, latent space, and quality by latent dimension.

Written as the course writes it: x in R^m, z in R^d, eigenvalues lambda_1 >= ... >= lambda_m.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import check_integer
from ancestral.errors import DataError
from ancestral.viz import _style
from ancestral.viz._style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

D_LABEL = "latent dimension d"


@styled
def spectrum(
    eigenvalues: Any,
    noise_variance: float | None = None,
    n_components: int | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Return the eigenvalues on a log axis, with sigma^2 where it replaces them.

    Parameters
    ----------
    eigenvalues : array-like of shape (m,), or a fitted PPCA
        Of the covariance (divisor n), in falling order. Zeros are counted, not drawn.
    noise_variance : float, optional
        sigma^2; needed unless a model is given.
    n_components : int, optional
        d; needed unless a model is given.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> spectrum([4.0, 2.0, 1.1, 0.9], 1.0, 2).get_yscale()
    'log'
    """
    from ancestral import PPCA

    if isinstance(eigenvalues, PPCA):
        model = eigenvalues
        eigenvalues = model.eigenvalues_
        noise_variance = model.noise_variance_ if noise_variance is None else noise_variance
        n_components = model.n_components_ if n_components is None else n_components
    if noise_variance is None or n_components is None:
        raise DataError(
            "noise_variance and n_components are needed beside eigenvalues. "
            "Pass both, or a fitted PPCA."
        )
    lam = _style.numbers(eigenvalues, "eigenvalues")
    d = check_integer(n_components, "n_components", maximum=lam.size)
    if not noise_variance > 0:
        raise DataError(f"noise_variance must be above 0; got {noise_variance:g}.")
    ax = _style.axes_or_new(ax, width=_style.TEXT_WIDTH, height=3.0)
    index = np.arange(1, lam.size + 1)
    seen = lam > max(float(lam.max()), 0.0) * 1e-13  # rounding leaves null directions near 1e-16
    kept = index <= d
    size = float(np.clip(300 / lam.size, 1.8, 5.0))
    ax.plot(index[seen & kept], lam[seen & kept], "o", ms=max(size, 3), color=_style.BLUE,
            label=f"kept: the {d} largest" if d > 1 else "kept: the largest")  # fmt: skip
    ax.plot(index[seen & ~kept], lam[seen & ~kept], "o", ms=size, color=_style.HAIRLINE,
            mec=_style.GREY, mew=0.4, label="averaged into σ²")  # fmt: skip
    ax.plot([d + 0.5, lam.size], [noise_variance] * 2, color=_style.VERMILLION, linewidth=1.6,
            label=f"σ² = {noise_variance:.4g}")  # fmt: skip
    ax.axvline(d + 0.5, color=_style.HAIRLINE, linewidth=0.8, zorder=0)
    ax.set_yscale("log")
    ax.grid(axis="y")
    ax.set(xlabel="index i", ylabel="eigenvalue λᵢ (squared data units)")
    ax.set_xlim(1 - 0.02 * lam.size, lam.size * 1.02)
    n_zero = int((~seen).sum())
    title = f"{n_zero} of {lam.size} eigenvalues are 0 and not drawn" if n_zero else None
    ax.legend(loc="upper right", title=title, title_fontsize=_style.TEXT_SIZE - 1, alignment="left",
              markerscale=5.0 / max(size, 3.0))  # fmt: skip
    _style.whole_numbers(ax.xaxis)
    return ax


@styled
def latent_scatter(Z: ArrayLike, covariance: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Return the posterior means with the ellipses of their covariance and of the prior.

    Parameters
    ----------
    Z : array-like of shape (n, 2)
        E[z | x], one row per data point.
    covariance : array-like of shape (2, 2)
        Their exact covariance, I - sigma^2 diag(1 / lambda); drawn at 1 and 2 standard deviations
        about the mean of Z. The identity's circles about 0 are dashed.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = latent_scatter([[0.0, 1.0], [1.0, -1.0], [-1.0, 0.0]], [[0.9, 0.0], [0.0, 0.8]])
    >>> ax.get_xlabel()
    'E[z₁ | x]'
    """
    Z = _style.numbers(Z, "Z", 2)
    C = _style.numbers(covariance, "covariance", 2)
    if Z.shape[1] != 2 or C.shape != (2, 2):
        raise DataError(
            f"Z must be (n, 2) and covariance (2, 2); got {Z.shape} and {C.shape}. "
            "Pass two columns and their block of the covariance."
        )
    if not np.allclose(C, C.T) or np.linalg.eigvalsh(C)[0] < 0:
        raise DataError(
            f"covariance must be symmetric with no negative variance; got {C.tolist()}."
        )
    ax = _style.axes_or_new(ax, width=4.4, height=4.4)
    small = float(np.clip(4000 / len(Z), 6, 22))
    ax.scatter(
        Z[:, 0],
        Z[:, 1],
        s=small,
        color=_style.SKY,
        edgecolors=_style.BLUE,
        linewidths=0.4,
        alpha=0.8,
    )
    centre = Z.mean(axis=0)
    for k in (1, 2):
        x, y = _ellipse(np.eye(2), np.zeros(2), k)
        ax.plot(x, y, color=_style.INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=4,
                label="identity, 1 and 2 sd" if k == 1 else None)  # fmt: skip
        x, y = _ellipse(C, centre, k)
        ax.plot(x, y, color=_style.VERMILLION, linewidth=2.4, zorder=3,
                label="covariance of E[z | x], 1 and 2 sd" if k == 1 else None)  # fmt: skip
    reach = 1.06 * max(2.1, float(np.abs(Z).max()))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel="E[z₁ | x]", ylabel="E[z₂ | x]")
    ax.xaxis.set_major_locator(_style.unit_ticks(reach))
    ax.yaxis.set_major_locator(_style.unit_ticks(reach))
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, columnspacing=1.4,
              borderaxespad=0.2)  # fmt: skip
    return ax


def _ellipse(C: NDArray[np.float64], centre: NDArray[np.float64], k: float) -> NDArray[np.float64]:
    """Points at k standard deviations of N(centre, C), (2, 181)."""
    angle = np.linspace(0.0, 2 * np.pi, 181)
    lam, V = np.linalg.eigh(C)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return centre[:, None] + k * (V * np.sqrt(np.clip(lam, 0, None))) @ circle


@styled
def reconstruction_error(
    n_components: ArrayLike,
    errors: ArrayLike,
    *,
    label: str = "root mean squared error per pixel",
    ax: Axes | None = None,
) -> Axes:
    """Return the error of reconstruction by latent dimension, each value written beside its point.

    Parameters
    ----------
    n_components, errors : array-like of shape (k,)
    label : str
        What the error is, with its unit.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> reconstruction_error([16, 32, 64], [0.08, 0.06, 0.04]).get_ylabel()
    'root mean squared error per pixel'
    """
    d, error = _style.numbers(n_components, "n_components"), _style.numbers(errors, "errors")
    _style.same_length(n_components=d, errors=error)
    ax = _style.axes_or_new(ax)
    ax.plot(d, error, "o-", color=_style.BLUE, clip_on=False)
    if len(d) <= 12:
        for x, y in zip(d, error):
            ax.annotate(f"{y:#.3g}", (x, y), xytext=(4, 5), textcoords="offset points",
                        fontsize=_style.TEXT_SIZE - 1)  # fmt: skip
        ax.set_xticks(d, [f"{x:g}" for x in d])
    ax.grid(axis="y")
    ax.margins(x=0.1)
    ax.set(xlabel=D_LABEL, ylabel=label)
    ax.set_ylim(0.0, 1.15 * float(error.max()) or 1.0)
    return ax


@styled
def heldout_curve(
    n_components: ArrayLike,
    train: ArrayLike,
    heldout: ArrayLike,
    chosen: int,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Return training and held-out log density by latent dimension, the chosen one marked.

    Parameters
    ----------
    n_components : array-like of shape (k,)
    train, heldout : array-like of shape (k,)
        Mean log densities, nats per row.
    chosen : int
        One of `n_components`.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> heldout_curve([1, 2, 4], [1.0, 2.0, 3.0], [0.9, 1.5, 1.2], 2).get_xlabel()
    'latent dimension d'
    """
    d = _style.numbers(n_components, "n_components")
    curves = {
        "train": _style.numbers(train, "train"),
        "heldout": _style.numbers(heldout, "heldout"),
    }
    _style.same_length(n_components=d, **curves)
    place = np.flatnonzero(d == chosen)
    if place.size == 0:
        raise DataError(f"chosen must be one of n_components; got {chosen}.")
    ax = _style.axes_or_new(ax, width=5.0, height=3.1)
    best = float(curves["heldout"][place[0]])
    ax.axvline(chosen, color=_style.HAIRLINE, linewidth=0.9, zorder=0)
    marks = ("s", "o") if len(d) <= 40 else ("", "")  # more would hide the line
    ax.plot(d, curves["train"], f"{marks[0]}--", ms=4, color=_style.ORANGE, label="training rows")
    ax.plot(d, curves["heldout"], f"{marks[1]}-", ms=4.5, color=_style.BLUE, label="held-out rows")
    ax.plot(chosen, best, "o", ms=10, mfc="none", mec=_style.VERMILLION, mew=1.6,
            linestyle="none", label=f"chosen: d = {chosen}, {best:.1f} nats")  # fmt: skip
    if len(d) > 2 and d.min() > 0 and d.max() >= 16 * d.min():
        ax.set_xscale("log", base=2)
        _style.plain_ticks(ax.xaxis)
    ax.grid(axis="y")
    ax.set(xlabel=D_LABEL, ylabel="mean log density (nats per row)")
    # A model with nearly no noise scores held-out rows so low that the maximum would look flat.
    span = curves["train"].max() - curves["train"].min()
    ax.set_ylim(bottom=max(ax.get_ylim()[0], best - span))
    ax.legend(loc="best")
    return ax


@styled
def every_d_panel(curve: Any, heldout: Any = None, *, chosen: int | None = None) -> Figure:
    """Return what each latent dimension gives: log-likelihood, BIC, evidence and held-out density.

    Parameters
    ----------
    curve : EveryD
        From `PPCA.every_d()`: of all training rows.
    heldout : EveryD, optional
        From `PPCA.every_d(X)` on held-out rows, perhaps of a fit to fewer rows: a fourth panel.
    chosen : int, optional
        A latent dimension to mark in every panel.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(50, 6))
    >>> len(every_d_panel(PPCA(2).fit(X).every_d()).axes)
    3
    """
    panels: list[tuple[str, Any, Any, Any]] = [
        ("log-likelihood", curve.n_components, curve.log_likelihood, np.argmax),
        ("BIC (least is best)", curve.n_components, curve.bic, np.argmin),
        ("Minka's log evidence", curve.n_components, curve.evidence, np.argmax),
    ]
    if heldout is not None:
        panels.append(
            ("held-out log density per row", heldout.n_components, heldout.heldout, np.argmax)
        )
    n_rows = -(-len(panels) // 2)
    figure = _style.new_figure(_style.TEXT_WIDTH, 1.95 * n_rows + 0.2)
    axes = np.ravel(figure.subplots(n_rows, 2))
    for ax in axes[len(panels) :]:
        ax.remove()
    for ax, (title, d, values, best_of) in zip(axes, panels, strict=False):
        best = int(best_of(values))
        ax.plot(d, values, color=_style.BLUE)
        if chosen is not None:
            ax.axvline(chosen, color=_style.GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        ax.plot(d[best], values[best], "o", ms=7, mfc="none", mec=_style.VERMILLION, mew=1.5)
        ax.set_title(f"{title}: d = {d[best]}", loc="left")
        ax.set(xlabel=D_LABEL, ylabel="nats" if best_of is np.argmax else "")
        ax.set_ylim(*_readable(np.asarray(values), best))
        _style.whole_numbers(ax.xaxis)
        ax.grid(axis="y")
    return figure


def _readable(values: NDArray[np.float64], best: int) -> tuple[float, float]:
    """Return limits that hold the best value and d = 0, and no cliff far beyond them."""
    span = abs(float(values[best] - values[0])) or float(np.ptp(values)) or 1.0
    low = max(float(values.min()), min(float(values[best]), float(values[0])) - 0.5 * span)
    high = min(float(values.max()), max(float(values[best]), float(values[0])) + 0.5 * span)
    return low - 0.05 * span, high + 0.05 * span
