"""What each room of the page is told, as JSON.

    faces, faces-rest   PPCA of images: directions, eigenvalues, example images
    pixels, lstm        models of black and white images, one conditional at a time
    classroom           inner products of linked and unlinked pairs, example graphs
    line                points (x, y)
    compare             held-out log densities, one per row and model

A room that has nothing to show holds "problem", a sentence that says what to do. Rooms are made
when the page asks for them: fitting and training cost seconds, opening the page should not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import AncestralError
from ancestral.inputs import find_source
from ancestral.studio.compare import compare
from ancestral.studio.faces import faces, faces_rest
from ancestral.studio.payload import packed
from ancestral.studio.shelf import Shelf

MOST_CONTEXTS = 40_000
MOST_WEIGHTS = 300_000
MOST_TRAINED = 5_000  # contexts of tables that an LSTM is trained on
MOST_PAIRS = 60_000
MOST_POINTS = 600
MOST_GRAPHS = 12


def part(shelf: Shelf, name: str) -> dict[str, Any]:
    """Return what the page asks for by name; a problem is said, not raised."""
    try:
        return PARTS[name](shelf)
    except AncestralError as error:
        return {"problem": str(error)}


# ---- pixels -------------------------------------------------------------------------------------


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
    from ancestral import LSTMAutoregressive

    found = _sequential_models(shelf)
    if not _lstm_is_wanted(shelf, found):
        return {"problem": "Models were given: none is trained beside them."}
    tables = found[0][1]
    model = LSTMAutoregressive(tol=0.01, random_state=0).fit(_rows_in_proportion(tables))
    return {**_sequence("LSTM", model), "loss": model.loss_, "floor": model.floor_}


def _sequential_models(shelf: Shelf) -> list[tuple[str, Any]]:
    """Return saved models of binary rows, or the tables of the data; all of one width."""
    found = [(k, v) for k, v in shelf.models.items() if hasattr(v, "categories_")]
    if shelf.bits or "tables" in shelf.files or not found:
        found.append(_tables(shelf))
    found = [(name, model) for name, model in found if can_be_stepped(model)]
    return [(n, v) for n, v in found if v.n_features_in_ == found[0][1].n_features_in_]


def _tables(shelf: Shelf) -> tuple[str, Any]:
    from ancestral import TabularAutoregressive

    if shelf.bits is not None:
        name, rows = shelf.bits
        return f"Tables of {name}", TabularAutoregressive().fit(rows)
    return "Tables", find_source("tables", shelf.files).data


def can_be_stepped(model: Any) -> bool:
    """Tell whether the page can hold this model: binary, and not too large."""
    if any(len(known) != 2 for known in model.categories_) or len(model.categories_) > 400:
        return False
    if hasattr(model, "children_"):
        return bool(model.n_contexts_ <= MOST_CONTEXTS)
    return hasattr(model, "weights_") and bool(model.n_parameters_ <= MOST_WEIGHTS)


def _lstm_is_wanted(shelf: Shelf, found: list[tuple[str, Any]]) -> bool:
    """Tell whether the page shows tables of the data alone, small enough to train on."""
    saved = any(hasattr(model, "categories_") for model in shelf.models.values())
    return shelf.built_in and not saved and bool(found) and found[0][1].n_contexts_ <= MOST_TRAINED


def _rows_in_proportion(tables: Any) -> NDArray:
    """Return the support's rows, each as often as its probability asks (once, if all are equal)."""
    support = tables.support_
    p = np.exp(tables.log_density(support))
    return np.repeat(support, np.maximum(1, np.round(p / p.min())).clip(max=50).astype(int), axis=0)


def _sequence(name: str, model: Any) -> dict[str, Any]:
    """Return a model of binary rows: a trie of tables, or an LSTM's weights."""
    about = {"name": name, "n_parameters": model.n_parameters_}
    if hasattr(model, "children_"):
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


# ---- classroom ----------------------------------------------------------------------------------


def classroom(shelf: Shelf) -> dict[str, Any]:
    """Inner products of linked and unlinked pairs, the fit, and some graphs as they are."""
    from ancestral import InnerProductGraph
    from ancestral.graph.pairs.gather import keep

    saved = {k: v for k, v in shelf.models.items() if isinstance(v, InnerProductGraph)}
    if not shelf.built_in and "graphs" not in shelf.files:
        return _classroom_without_data(saved)
    source = find_source("graphs", shelf.files)
    graphs = _first_pairs(source.data)
    fitted = InnerProductGraph().fit(graphs)
    statistics = keep(graphs)
    return {
        "source": source.sentence,
        "n_graphs": len(graphs),
        "n_all": len(source.data),
        "n_features": fitted.n_features_,
        "edges": packed(statistics.edges),
        "gaps": packed(statistics.unlinked),
        "fit": _graph_fit("Maximum likelihood", fitted),
        "log_likelihood": fitted.log_likelihood_,
        "models": [_graph_fit(name, model) for name, model in saved.items()],
        "graphs": [
            {
                "features": packed(graph.features, "float64"),
                "links": packed(np.argwhere(np.triu(graph.adjacency, 1)), "int32"),
            }
            for graph in graphs[:MOST_GRAPHS]
            if graph.n_nodes <= 80
        ],
    }


def _classroom_without_data(models: dict[str, Any]) -> dict[str, Any]:
    """A class ruled by the first model; no likelihood, since there are no graphs to score."""
    (name, model), *others = models.items()
    return {
        "source": None,
        "n_features": model.n_features_,
        "edges": None,
        "fit": _graph_fit(name, model),
        "models": [_graph_fit(*other) for other in others],
        "graphs": [],
    }


def _first_pairs(graphs: list[Any]) -> list[Any]:
    """Return as many graphs as have few enough pairs for the page, one at least."""
    pairs = np.cumsum([g.n_nodes * (g.n_nodes - 1) // 2 for g in graphs])
    return graphs[: max(1, int((pairs <= MOST_PAIRS).sum()))]


def _graph_fit(name: str, model: Any) -> dict[str, Any]:
    return {
        "name": name,
        "a": model.slope_,
        "b": model.intercept_,
        "standard_errors": [float(s) for s in model.standard_errors_],
    }


# ---- line ---------------------------------------------------------------------------------------


def line(shelf: Shelf) -> dict[str, Any]:
    """Points, and saved lines with one input."""
    source = find_source("line", shelf.files)
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


def _is_line(model: Any) -> bool:
    """Tell whether a model is a straight line of one input, of either kind of variance."""
    if type(model).__name__ == "LinearGaussian" and model.degree != 1:
        return False
    kinds = ("LinearGaussian", "HeteroscedasticGaussian")
    return type(model).__name__ in kinds and model.n_features_in_ == 1 and np.ndim(model.coef_) == 1


def _saved_line(name: str, model: Any) -> dict[str, Any]:
    """Return y = w x + b with log variance v0 + v1 x."""
    if hasattr(model, "variance_coef_"):
        v = [float(model.variance_intercept_), float(model.variance_coef_[0])]
    else:
        v = [float(np.log(model.noise_variance_)), 0.0]
    return {"name": name, "w": float(model.coef_[0]), "b": float(model.intercept_), "v": v}


PARTS: dict[str, Callable[[Shelf], dict[str, Any]]] = {
    "faces": faces,
    "faces-rest": faces_rest,
    "pixels": pixels,
    "lstm": lstm,
    "classroom": classroom,
    "line": line,
    "compare": compare,
}
