"""The room of faces: PPCA of images, its directions and eigenvalues, and images to try it on.

The first view gets a few directions and examples; the rest follows while it is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import AncestralError, MissingExtraError
from ancestral.inputs import Source, find_source
from ancestral.studio.payload import packed
from ancestral.studio.shelf import Shelf, is_square

MOST_LATENTS = 64
DEFAULT_LATENTS = 16
FIRST_DIRECTIONS, FIRST_EXAMPLES = 16, 12  # sent before the rest, for a quick first view
MOST_EXAMPLES = 60
HELD_OUT = 0.2


def faces(shelf: Shelf) -> dict[str, Any]:
    """The first directions and examples: enough for the first view."""
    whole = _faces(shelf)
    models = [
        {
            "name": name,
            "mean": packed(model.mean_),
            "directions": packed(model.components_[:FIRST_DIRECTIONS]),
            "eigenvalues": packed(model.explained_variance_, "float64"),
            "noise": model.noise_variance_,
            "d": d,
            "plane": packed((whole["X"] - model.mean_) @ model.components_[:2].T),
        }
        for name, model, d in whole["models"]
    ]
    source, X, chosen = whole["source"], whole["X"], whole["examples"]
    return {
        "source": source.sentence if len(X) else None,
        "shape": whole["shape"],
        "grey": whole["grey"],
        "note": _note(whole["grey"]),
        "models": models,
        "n": len(X),
        "examples": packed(X[chosen[:FIRST_EXAMPLES]]),
        "index": [int(i) for i in chosen],
        "heldout": whole["heldout"](),
    }


def _note(grey: tuple[float, float]) -> str | None:
    """Say so where pixels have not the usual unit: log densities depend on it."""
    if grey == (0.0, 1.0):
        return None
    low, high = grey
    return (
        f"The pixels run from {low:.4g} to {high:.4g}, not from 0 to 1: they are drawn on that "
        "range, and log densities and σ² are in that unit."
    )


def faces_rest(shelf: Shelf) -> dict[str, Any]:
    """The directions and examples that the first view did without."""
    whole = _faces(shelf)
    return {
        "directions": [packed(m.components_[FIRST_DIRECTIONS:]) for _, m, _ in whole["models"]],
        "examples": packed(whole["X"][whole["examples"][FIRST_EXAMPLES:]]),
    }


def _faces(shelf: Shelf) -> dict[str, Any]:
    """Return models of images, (name, model, default d), and the images they are shown with."""
    from ancestral import PPCA

    saved = {
        name: model
        for name, model in shelf.models.items()
        if isinstance(model, PPCA) and is_square(model.n_features_in_) and model.n_components_
    }
    source = _faces_source(shelf, needed=not saved)
    if saved:
        first = next(iter(saved.values()))
        m = first.n_features_in_
        models = [(k, v, v.n_components_) for k, v in saved.items() if v.n_features_in_ == m]
        if source is not None and source.origin == "built-in" and not _looks_like(source, first):
            source = None
    elif source is not None:
        models = [_fitted(source.data.X)]
    else:
        raise AncestralError("There are neither images nor a model of images to show.")
    m = len(models[0][1].mean_)
    if source is None or source.data.X.shape[1] != m:
        source = Source("", "", None)
        X, shape = np.zeros((0, m)), (round(m**0.5), round(m**0.5))
        grey = _grey_of(models[0][1])
    else:
        X, shape, grey = source.data.X, source.data.shape, source.data.grey_range
    n_shown = min(MOST_EXAMPLES, len(X))
    return {
        "models": models,
        "source": source,
        "X": X,
        "shape": shape,
        "grey": grey,
        "examples": np.unique(np.linspace(0, len(X) - 1, n_shown).round().astype(int)),
        "heldout": lambda: _held_out_by_d(X, models[0][1].n_components_),
    }


def _fitted(X: NDArray[np.float64]) -> tuple[str, Any, int]:
    """Return a name, PPCA with as many latents as the page takes, and how many to show first."""
    from ancestral import PPCA

    most = min(MOST_LATENTS, int(np.linalg.matrix_rank(X - X.mean(axis=0))) - 1)
    name = f"PPCA, fitted to these {len(X)} images"
    return name, PPCA(most).fit(X), min(DEFAULT_LATENTS, most)


def _looks_like(source: Source, model: Any) -> bool:
    """Tell whether a model can be of such images: as many pixels, in the same range of grey."""
    return len(model.mean_) == source.data.X.shape[1] and _grey_of(model) == source.data.grey_range


def _grey_of(model: Any) -> tuple[float, float]:
    """Return what a model without images draws black and white, as far as its mean tells."""
    low, high = float(model.mean_.min()), float(model.mean_.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    spread = np.sqrt((model.loadings_**2).sum(axis=1) + model.noise_variance_)
    return float((model.mean_ - 2 * spread).min()), float((model.mean_ + 2 * spread).max())


def _faces_source(shelf: Shelf, *, needed: bool) -> Source | None:
    """Return the images; None where models can do without and none are to be had."""
    if not shelf.built_in and "faces" not in shelf.files:
        return None
    try:
        return find_source("faces", shelf.files)
    except MissingExtraError:
        if needed:
            raise
        return None


def _held_out_by_d(X: NDArray[np.float64], most: int) -> dict[str, Any] | None:
    """Return the mean log density of held-out images for every d, fitted to the others."""
    from ancestral import PPCA

    train, out = split(X)
    if len(train) < 4:
        return None
    most = min(most, int(np.linalg.matrix_rank(train - train.mean(axis=0))) - 1)
    if most < 1:
        return None
    curve = PPCA(most).fit(train).every_d(out)
    scores = np.asarray(curve.heldout)[1:]  # the first is that of d = 0
    return {"d": list(range(1, most + 1)), "score": scores.tolist(), "n": len(out)}


def split(X: NDArray) -> tuple[NDArray, NDArray]:
    """Return the rows to fit to and those held out, by one fixed shuffle."""
    order = np.random.default_rng(1).permutation(len(X))
    n_out = max(1, round(HELD_OUT * len(X)))
    return X[order[n_out:]], X[order[:n_out]]


def shows(model: Any) -> bool:
    """Tell whether the room can show this PPCA by itself: of square images, with latents."""
    width = model.n_features_in_
    return is_square(width) and width >= 16 and model.n_components_ > 0


PARTS = {"faces": faces, "faces-rest": faces_rest}
