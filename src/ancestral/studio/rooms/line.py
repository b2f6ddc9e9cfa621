"""The room of points (x, y): a line moved by hand, and saved lines with one input."""

from __future__ import annotations

from typing import Any

import numpy as np

from ancestral import HeteroscedasticGaussian, LinearGaussian
from ancestral.base import ConditionalDensity
from ancestral.errors import DataError
from ancestral.gaussian.linear.inference import Line
from ancestral.inputs import find_source
from ancestral.io import read_pairs
from ancestral.studio.payload import packed
from ancestral.studio.shelf import Shelf

MOST_POINTS = 600


def line(shelf: Shelf) -> dict[str, Any]:
    """Points, and saved lines with one input."""
    source = find_source("line", shelf.files, target=_target_of(shelf))
    pairs = source.data
    chosen = np.arange(len(pairs.y))
    if len(chosen) > MOST_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MOST_POINTS, replace=False))
    saved = [_saved_line(name, model) for name, model in shelf.models.items() if _is_line(model)]
    sentence = source.sentence
    if "regression" in shelf.files:  # an upload lies under another name
        path = shelf.files["regression"]
        sentence = sentence.replace(path.name, shelf.name_of(path))
    return {
        "source": sentence,
        "n_all": len(pairs.y),
        "x": packed(pairs.X[chosen, 0], "float64"),
        "y": packed(pairs.y[chosen], "float64"),
        "x_name": pairs.names[0],
        "y_name": pairs.target,
        "models": saved,
    }


def _target_of(shelf: Shelf) -> str | None:
    """Return the target that saved regressions agree on, where the CSV has it and their width."""
    models = [model for model in shelf.models.values() if isinstance(model, ConditionalDensity)]
    learnt = {getattr(model, "target_name_", None) for model in models}
    target = learnt.pop() if len(learnt) == 1 else None
    if not isinstance(target, str) or "regression" not in shelf.files:
        return None
    try:
        inputs = read_pairs(shelf.files["regression"], target).names
    except DataError:  # of other columns, or for the room's own reader to refuse
        return None
    return target if any(model.n_features_in_ == len(inputs) for model in models) else None


def _is_line(model: Any) -> bool:
    """Tell whether a model is a straight line of one input, of either kind of variance."""
    if not isinstance(model, Line) or (isinstance(model, LinearGaussian) and model.degree != 1):
        return False
    return model.n_features_in_ == 1 and np.ndim(model.coef_) == 1


def _saved_line(name: str, model: Any) -> dict[str, Any]:
    """Return y = w x + b with log variance v0 + v1 x."""
    if isinstance(model, HeteroscedasticGaussian):
        v = [float(model.variance_intercept_), float(model.variance_coef_[0])]
    else:
        v = [float(np.log(model.noise_variance_)), 0.0]
    return {"name": name, "w": float(model.coef_[0]), "b": float(model.intercept_), "v": v}


def shows(model: Any) -> bool:
    """Tell whether the room can show a model by itself: a line has no points of its own."""
    return False


PARTS = {"line": line}
