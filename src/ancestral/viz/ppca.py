"""Figures of probabilistic PCA: spectrum, latent space, and quality by latent dimension.

Data x in R^m, latents z in R^d, eigenvalues lambda_1 >= ... >= lambda_m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import as_numbers, check_integer, refuse_non_finite
from ancestral.errors import DataError
from ancestral.viz import _style, _taken
from ancestral.viz._style import styled
from ancestral.viz.graph_colours import OTHER, PALETTE

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
    """Draw the eigenvalues on a log axis, with sigma^2 for those that it replaces.

    Parameters
    ----------
    eigenvalues : fitted PPCA, or array-like of shape (n_features,)
        A model, or the eigenvalues of the covariance (divisor n) in falling order. The number of
        eigenvalues that are 0 is written, but they are not drawn.
    noise_variance : float, optional
        sigma^2; needed unless a model is given.
    n_components : int, optional
        Latent dimensions; needed unless a model is given.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> spectrum([4.0, 2.0, 1.1, 0.9], 1.0, 2).get_yscale()
    'log'
    """
    if _taken.is_a(eigenvalues, "PPCA"):
        model = eigenvalues
        eigenvalues = model.eigenvalues_
        noise_variance = model.noise_variance_ if noise_variance is None else noise_variance
        n_components = model.n_components_ if n_components is None else n_components
    _taken.refuse_others("spectrum", "a fitted PPCA, or eigenvalues", eigenvalues)
    if noise_variance is None or n_components is None:
        raise DataError(
            "noise_variance and n_components are needed with eigenvalues. "
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
def latent_scatter(
    model: Any,
    X: Any = None,
    *,
    colour_by: Any = None,
    covariance: ArrayLike | None = None,
    components: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
) -> Axes:
    """Draw two latents of every row, with the spread that the model expects.

    Parameters
    ----------
    model : fitted PPCA or PPCAMixture, or array-like of shape (n, 2)
        For a PPCA the posterior means E[z | x] are drawn. The pieces of a mixture have different
        latents, so rows are drawn in the plane with the largest spread of the mixture, each in the
        colour of the piece that it most probably came from. An array holds posterior means.
    X : array-like or dataframe of shape (n_samples, n_features)
        Rows; they may have missing values. Of a dataframe, the columns of the model are used. With
        an array of means: their covariance, as `covariance`.
    colour_by : str or array-like of shape (n_samples,), optional
        The name of a column of X (the model need not have it), or a label or number for each row.
        Labels, and up to seven different whole numbers, are shown in a legend; the seven most
        frequent have their own colours. Other numbers have a colour scale.
    covariance : array-like of shape (2, 2), optional
        With an array of means, their exact covariance, I - sigma^2 diag(1 / lambda); a model knows
        it. It is drawn as ellipses of 1 and 2 standard deviations around the mean of the rows. The
        dashed circles around 0 are those of the prior of z.
    components : (int, int)
        The numbers of the two latents, from 0.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        When there are fewer than two latents, or labels and rows do not fit.
    DataTypeError
        For another model, a graph or a result; the message names the function that draws it.

    Examples
    --------
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(50, 4)) * [4.0, 3.0, 1.0, 1.0]
    >>> ax = latent_scatter(PPCA(2).fit(X), X, colour_by=X[:, 0] > 0)
    >>> [text.get_text() for text in ax.artists[0].get_texts()]
    ['False', 'True']
    """
    wants = "a fitted PPCA or PPCAMixture and rows X, or means of two latents and their covariance"
    rows = X
    if _taken.is_a(model, "PPCA"):
        found = _of_ppca(model, _rows_of(model, X), components)
    elif _taken.is_a(model, "PPCAMixture"):
        found = _of_mixture(model, _rows_of(model, X), components)
    else:
        _taken.refuse_others("latent_scatter", wants, model)
        found = _of_means(model, X if covariance is None else covariance)
        rows = None
    groups = found.groups
    if colour_by is not None:
        groups = _taken.grouping_of(colour_by, rows, len(found.Z))
    height = 4.4
    if not found.about_zero:  # one unit is as long in both directions: no empty bands
        across, up = np.ptp(found.Z, axis=0)
        height = float(np.clip(0.9 + 4.2 * up / max(across, 1e-300), 3.6, 4.4))
    ax = _style.axes_or_new(ax, width=4.4 if groups is None else 5.4, height=height)
    if groups is not None and groups.levels:
        _name_groups(ax, groups.name, _draw_groups(ax, found.Z, groups))
    else:
        _draw_points(ax, found.Z, groups)
    for k in (1, 2):
        for ellipse in found.ellipses:
            x, y = _ellipse(ellipse.covariance, ellipse.centre, k)
            ax.plot(x, y, label=ellipse.label if k == 1 else None, **ellipse.look)
    _set_limits(ax, found)
    ax.set(xlabel=found.labels[0], ylabel=found.labels[1])
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, columnspacing=1.4,
              borderaxespad=0.2)  # fmt: skip
    return ax


@dataclass(frozen=True)
class _Spread:
    """A covariance drawn at one and two standard deviations about its centre."""

    covariance: NDArray[np.float64]
    centre: NDArray[np.float64]
    label: str | None
    look: dict[str, Any]


@dataclass(frozen=True)
class _Plane:
    """Rows in two coordinates."""

    Z: NDArray[np.float64]
    labels: tuple[str, str]
    ellipses: list[_Spread]
    groups: _taken.Grouping | None = None
    about_zero: bool = True


_EXPECTED = {"color": _style.VERMILLION, "linewidth": 2.2, "zorder": 3}
_PRIOR = {"color": _style.INK, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 4}


def _rows_of(model: Any, X: Any) -> Any:
    """Return the rows to draw, as the model takes them."""
    if X is None:
        raise DataError("X is needed with a model: the rows to draw, as in (model, X).")
    return _taken.columns_of_model(model, X)


def _of_ppca(model: Any, X: Any, components: tuple[int, int]) -> _Plane:
    """Return posterior means of two latents, and the covariance that they have at the maximum."""
    d = model.n_components_
    if d < 2:
        raise DataError(
            f"the PPCA has {d} latent dimension{'s' * (d != 1)} and this figure needs two. Fit "
            "n_components=2, or see viz.spectrum(model)."
        )
    pair = _two_of(components, d - 1)
    Z = np.asarray(model.posterior_mean(X), np.float64)[:, pair]
    expected = (np.eye(d) - model.posterior_covariance())[np.ix_(pair, pair)]
    share = 100 * model.explained_variance_ratio_[pair]
    labels = [
        f"E[z{_style.subscript(k + 1)} | x]  ({part:.3g}% of the variance)"
        for k, part in zip(pair, share, strict=True)
    ]
    return _Plane(Z, (labels[0], labels[1]), _of_latents(Z, expected))


def _two_of(components: Any, most: int) -> list[int]:
    """Return the places of two latents, checked."""
    if not isinstance(components, list | tuple) or len(components) != 2:
        raise DataError(f"components must be two places from 0 to {most}; got {components!r}.")
    return [check_integer(k, "components", maximum=most) for k in components]


def _of_latents(Z: NDArray[np.float64], covariance: NDArray[np.float64]) -> list[_Spread]:
    return [
        _Spread(np.eye(2), np.zeros(2), "prior, 1 and 2 sd", _PRIOR),
        _Spread(covariance, Z.mean(axis=0), "covariance of E[z | x], 1 and 2 sd", _EXPECTED),
    ]


def _of_means(Z: ArrayLike, covariance: Any) -> _Plane:
    """Return means that were computed before."""
    if covariance is None:
        raise DataError(
            "covariance is needed with means of latents. Pass it, or a fitted model and rows X."
        )
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
    return _Plane(Z, ("E[z₁ | x]", "E[z₂ | x]"), _of_latents(Z, C))


def _of_mixture(model: Any, X: Any, components: tuple[int, int]) -> _Plane:
    """Return rows in the plane in which the mixture spreads most, and the spread of its models.

    With columns in units of their own, the plane is that of the scaled columns. Rows are filled by
    their conditional means first.
    """
    scale = vars(model).get("scale_", 1.0)
    weights, noise = model.weights_, model.noise_variances_
    means = model.means_ / scale
    W = [loadings / np.reshape(scale, (-1, 1)) for loadings in model.loadings_]  # each (m, d)
    centre = weights @ means
    root = np.sqrt(weights)
    factor = np.hstack(
        [root[c] * np.column_stack([W[c], means[c] - centre]) for c in range(len(W))]
    )
    directions = np.linalg.svd(factor, full_matrices=False)[0]
    most = directions.shape[1] - 1
    if most < 1:
        raise DataError(
            "the mixture spreads in one direction and this figure needs two. Fit n_components=2, "
            "or give rows of more columns."
        )
    pair = _two_of(components, most)
    P = directions[:, pair]
    P = P * np.sign(P[np.abs(P).argmax(axis=0), [0, 1]])  # one sign, always
    rows = as_numbers(model.impute(X), name="X", ndim=2) / scale
    from_each = np.asarray(model.responsibilities(X)).argmax(axis=1).astype(np.float64)
    names = [f"piece {c + 1}" for c in range(len(W))]
    spreads = [
        _Spread(
            (P.T @ W[c]) @ (P.T @ W[c]).T + noise[c] * np.eye(2),
            (means[c] - centre) @ P,
            "covariance of each piece, 1 and 2 sd" if c == 0 else None,
            {"color": _colour(c, len(W)), "linewidth": 2.0, "zorder": 3},
        )
        for c in range(len(W))
    ]
    units = "units of the data" if np.ndim(scale) == 0 else "columns scaled to 1"
    labels = [f"direction {k + 1} of the mixture ({units})" for k in pair]
    groups = _taken.Grouping("most probably from", names, from_each)
    return _Plane((rows - centre) @ P, (labels[0], labels[1]), spreads, groups, about_zero=False)


def _colour(place: int, n_levels: int) -> str:
    return PALETTE[place] if n_levels <= len(PALETTE) or place < len(PALETTE) else OTHER


def _mark_size(Z: NDArray[np.float64]) -> float:
    return float(np.clip(4000 / len(Z), 6, 22))


def _draw_points(ax: Axes, Z: NDArray[np.float64], groups: _taken.Grouping | None) -> None:
    """Draw the rows in one colour, or each by its number, which a bar explains."""
    look: dict[str, Any] = {"s": _mark_size(Z), "linewidths": 0.4}
    if groups is None:
        ax.scatter(*Z.T, color=_style.SKY, edgecolors=_style.BLUE, alpha=0.8, **look)
        return
    missing = np.isnan(groups.values)
    if missing.any():
        ax.scatter(*Z[missing].T, color=_style.PAPER, edgecolors=_style.GREY,
                   label=f"{groups.name or 'number'} missing", **look)  # fmt: skip
    drawn = ax.scatter(
        Z[~missing, 0], Z[~missing, 1], c=groups.values[~missing], cmap="viridis", **look
    )
    ax.figure.colorbar(drawn, ax=ax, label=groups.name, shrink=0.8, aspect=22, pad=0.03)


def _draw_groups(
    ax: Axes, Z: NDArray[np.float64], groups: _taken.Grouping
) -> list[tuple[Any, str]]:
    """Draw the rows by their levels, in colour and shape; return the marks and their names."""
    look: dict[str, Any] = {"s": _mark_size(Z), "linewidths": 0.4}
    codes = np.where(np.isnan(groups.values), -1, groups.values).astype(int)
    counts = np.bincount(codes[codes >= 0], minlength=len(groups.levels))
    own = np.sort(np.argsort(-counts, kind="stable")[: len(PALETTE)])
    handles: list[tuple[Any, str]] = []
    for level, colour, shape in zip(own, PALETTE, MARKS, strict=False):
        mark = ax.scatter(*Z[codes == level].T, color=colour, marker=shape,
                          edgecolors=_style.INK, alpha=0.85, **look)  # fmt: skip
        handles.append((mark, groups.levels[level]))
    rest = (codes >= 0) & ~np.isin(codes, own)
    n_others = len(groups.levels) - len(own)
    for chosen, name, colour in (
        (rest, "1 other" if n_others == 1 else f"{n_others} others", OTHER),
        (codes < 0, "missing", _style.PAPER),
    ):
        if chosen.any():
            mark = ax.scatter(*Z[chosen].T, color=colour, edgecolors=_style.GREY, **look)
            handles.append((mark, name))
    return handles


def _name_groups(ax: Axes, title: str, handles: list[tuple[Any, str]]) -> None:
    """Name the groups to the right of the axes."""
    legend = ax.legend(
        [mark for mark, _ in handles],
        [name for _, name in handles],
        title=title or None,
        title_fontsize=_style.TEXT_SIZE - 1,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        handletextpad=0.2,
    )
    ax.add_artist(legend)
    legend.set_clip_on(False)  # so that the layout keeps room for it


MARKS = ("o", "s", "^", "D", "v", "P", "X")  # groups differ in shape too


def _set_limits(ax: Axes, found: _Plane) -> None:
    """One unit is as long in both directions; a latent's prior is seen whole."""
    if not found.about_zero:
        ax.set_aspect("equal", adjustable="datalim")
        return
    reach = 1.06 * max(2.1, float(np.abs(found.Z).max()))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.xaxis.set_major_locator(_style.unit_ticks(reach))
    ax.yaxis.set_major_locator(_style.unit_ticks(reach))


def _ellipse(C: NDArray[np.float64], centre: NDArray[np.float64], k: float) -> NDArray[np.float64]:
    """Points at k standard deviations of N(centre, C), (2, 181)."""
    angle = np.linspace(0.0, 2 * np.pi, 181)
    lam, V = np.linalg.eigh(C)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return centre[:, None] + k * (V * np.sqrt(np.clip(lam, 0, None))) @ circle


@styled
def reconstruction_error(
    n_components: Any,
    errors: Any,
    *,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the error of reconstruction by number of latent dimensions, with each value written.

    Parameters
    ----------
    n_components : array-like of shape (k,), or sequence of fitted PPCA
    errors : array-like of shape (k,), or rows of shape (n_samples, n_features)
        With models: the rows that each model reconstructs. The root mean squared error over all
        their entries is drawn, in the units of the data.
    label : str, optional
        The label of the error, with its unit.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(50, 4)) * [4.0, 3.0, 1.0, 1.0]
    >>> reconstruction_error([PPCA(d).fit(X) for d in (1, 2)], X).get_xlabel()
    'latent dimension d'
    """
    models = n_components if isinstance(n_components, list | tuple) else [n_components]
    if models and all(_taken.is_a(model, "PPCA") for model in models):
        n_components = [model.n_components_ for model in models]
        errors = [_rmse(model, errors) for model in models]
        label = label or "root mean squared error (units of the data)"
    wants = "fitted PPCA models and rows X, or latent dimensions and errors"
    _taken.refuse_others("reconstruction_error", wants, n_components)
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
    ax.set(xlabel=D_LABEL, ylabel=label or "root mean squared error per pixel")
    ax.set_ylim(0.0, 1.15 * float(error.max()) or 1.0)
    return ax


def _rmse(model: Any, X: Any) -> float:
    """Return the root mean squared error with which a model gives back complete rows."""
    rows = as_numbers(_taken.columns_of_model(model, X), name="X", ndim=2)
    refuse_non_finite(rows, name="X")
    again = as_numbers(model.reconstruct(_taken.columns_of_model(model, X)), name="X", ndim=2)
    return float(np.sqrt(np.mean((again - rows) ** 2)))


@styled
def heldout_curve(
    n_components: Any,
    train: Any,
    heldout: ArrayLike | None = None,
    chosen: int | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw training and held-out log density by latent dimension, and mark the chosen one.

    Parameters
    ----------
    n_components : array-like of shape (k,), or a fitted PPCA
        A model is shown at every latent dimension up to its own.
    train : array-like of shape (k,)
        Mean log densities, nats per row. With a model: held-out rows X instead, of shape
        (n_samples, n_features).
    heldout : array-like of shape (k,)
        As `train`, for held-out rows. Not needed with a model.
    chosen : int, optional
        One of `n_components`; by default that of the highest held-out density.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from ancestral import PPCA
    >>> X = np.random.default_rng(0).normal(size=(90, 6)) * [4.0, 3.0, 1.0, 1.0, 1.0, 1.0]
    >>> heldout_curve(PPCA(4).fit(X[:60]), X[60:]).get_xlabel()
    'latent dimension d'
    """
    if _taken.is_a(n_components, "PPCA"):
        model = n_components
        curve = model.every_d(_taken.columns_of_model(model, train))
        n_components, heldout = curve.n_components, curve.heldout
        train = curve.log_likelihood / model.n_samples_
    wants = "a fitted PPCA and held-out rows, or latent dimensions and densities"
    _taken.refuse_others("heldout_curve", wants, n_components)
    if heldout is None:
        raise DataError("heldout is needed with train. Pass it, or a fitted PPCA and rows X.")
    d = _style.numbers(n_components, "n_components")
    curves = {
        "train": _style.numbers(train, "train"),
        "heldout": _style.numbers(heldout, "heldout"),
    }
    _style.same_length(n_components=d, **curves)
    chosen = int(d[curves["heldout"].argmax()]) if chosen is None else chosen
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
    """Draw log-likelihood, BIC, evidence and held-out log density for each latent dimension.

    Parameters
    ----------
    curve : fitted PPCA, or EveryD
        A model, or the result of its `every_d()`.
    heldout : array-like or dataframe of shape (n_samples, n_features), or EveryD, optional
        For a fourth panel: with a model, held-out rows; or the result of `PPCA.every_d(X)` on
        held-out rows, which may be that of a fit to fewer rows.
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
    >>> len(every_d_panel(PPCA(2).fit(X)).axes)
    3
    """
    from ancestral.gaussian.ppca.selection import EveryD

    if _taken.is_a(curve, "PPCA"):
        model, curve = curve, curve.every_d()
        if heldout is not None and not isinstance(heldout, EveryD):
            heldout = model.every_d(_taken.columns_of_model(model, heldout))
    for one in (curve, heldout):
        if one is not None and not isinstance(one, EveryD):
            wants = "a fitted PPCA, perhaps with held-out rows, or what PPCA.every_d() gives"
            _taken.refuse("every_d_panel", wants, one)
    if heldout is not None and heldout.heldout is None:
        raise DataError("heldout has no held-out densities: give model.every_d(X), with rows X.")
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
