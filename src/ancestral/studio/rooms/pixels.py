"""The room of pixels: models of black and white images, one conditional at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral import LSTMAutoregressive, TabularAutoregressive
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.errors import AncestralError
from ancestral.inputs import find_source
from ancestral.studio.payload import packed
from ancestral.studio.shelf import Shelf

MOST_CONTEXTS = 40_000
MOST_WEIGHTS = 300_000
MOST_TRAINED = 5_000  # contexts of tables that an LSTM is trained on


def pixels(shelf: Shelf) -> dict[str, Any]:
    """Models of binary rows, stepped by the page; the LSTM that must be trained comes apart."""
    found = _sequential_models(shelf)
    if not found:
        raise AncestralError(
            "Models of black and white images have two levels in each of at most 400 variables. "
            "Start the studio with tables or an LSTM of such images."
        )
    m = found[0][1].n_features_in_
    return {
        "m": m,
        "shape": _image_shape(m),
        "models": [_sequence(name, model) for name, model in found],
        "names": _icon_names() if m == 25 and not shelf.bits and not shelf.files else {},
        "lstm_follows": _lstm_is_wanted(shelf, found),
    }


def lstm(shelf: Shelf) -> dict[str, Any]:
    """An LSTM trained to the tables' own distribution (a few seconds)."""
    found = _sequential_models(shelf)
    if not _lstm_is_wanted(shelf, found):
        return {"problem": "Models were given: none is trained beside them."}
    tables = found[0][1]
    model = LSTMAutoregressive(tol=0.01, random_state=0).fit(_rows_in_proportion(tables))
    return {**_sequence("LSTM", model), "loss": model.loss_, "floor": model.floor_}


def _sequential_models(shelf: Shelf) -> list[tuple[str, Any]]:
    """Return saved models of binary rows, or the tables of the data; all of one width."""
    found = [(k, v) for k, v in shelf.models.items() if isinstance(v, DiscreteDensity)]
    if shelf.bits or "tables" in shelf.files or not found:
        found.append(_tables(shelf))
    found = [(name, model) for name, model in found if can_be_stepped(model)]
    return [(n, v) for n, v in found if v.n_features_in_ == found[0][1].n_features_in_]


def _tables(shelf: Shelf) -> tuple[str, Any]:
    if shelf.bits is not None:
        name, rows = shelf.bits
        return f"Tables of {name}", TabularAutoregressive().fit(rows)
    return "Tables", find_source("tables", shelf.files).data


def can_be_stepped(model: Any) -> bool:
    """Tell whether the page can hold this model: binary, and not too large."""
    if any(len(known) != 2 for known in model.categories_) or len(model.categories_) > 400:
        return False
    if isinstance(model, TabularAutoregressive):
        return bool(model.n_contexts_ <= MOST_CONTEXTS)
    return isinstance(model, LSTMAutoregressive) and model.n_parameters_ <= MOST_WEIGHTS


def _lstm_is_wanted(shelf: Shelf, found: list[tuple[str, Any]]) -> bool:
    """Tell whether the page shows tables of the data alone, small enough to train on."""
    saved = any(isinstance(model, DiscreteDensity) for model in shelf.models.values())
    return shelf.built_in and not saved and bool(found) and found[0][1].n_contexts_ <= MOST_TRAINED


def _rows_in_proportion(tables: Any) -> NDArray:
    """Return the support's rows, each as often as its probability asks (once, if all are equal)."""
    support = tables.support_
    p = np.exp(tables.log_density(support))
    return np.repeat(support, np.maximum(1, np.round(p / p.min())).clip(max=50).astype(int), axis=0)


def _sequence(name: str, model: Any) -> dict[str, Any]:
    """Return a model of binary rows: a trie of tables, or an LSTM's weights."""
    about = {"name": name, "n_parameters": model.n_parameters_}
    if isinstance(model, TabularAutoregressive):
        return {
            **about,
            "kind": "tables",
            "entropy": model.entropy_,
            "log_p": [packed(log_p, "float64") for log_p in model.log_probabilities_],
            "child": [packed(child, "int32") for child in model.children_],
        }
    weights = {key: packed(value) for key, value in model.weights_.items()}
    return {**about, "kind": "lstm", "weights": weights}


def _image_shape(m: int) -> tuple[int, int]:
    """Return height and width: a square, or else one row."""
    side = round(m**0.5)
    return (side, side) if side * side == m else (1, m)


def _icon_names() -> dict[str, str]:
    from ancestral import datasets

    images, names = datasets.icons()
    return {"".join(map(str, row)): name for row, name in zip(images.tolist(), names, strict=True)}


def shows(model: Any) -> bool:
    """Tell whether the room can show this model by itself."""
    return can_be_stepped(model) and model.n_features_in_ > 1


PARTS = {"pixels": pixels, "lstm": lstm}
