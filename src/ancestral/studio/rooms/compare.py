"""The room of distributions: log densities of rows that no model has seen, model by model.

The rows are the first of these that saved models can score: a table of numbers that was given, a
CSV as rows, the target of a CSV given its other columns, the held-out images. Without any saved
model, fits of several sizes to four fifths of the table or images are scored on the last fifth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import ancestral
from ancestral.base import ConditionalDensity, Density
from ancestral.errors import AncestralError
from ancestral.inputs import counted, find_source
from ancestral.studio.payload import packed
from ancestral.studio.rooms.faces import split
from ancestral.studio.shelf import Shelf

MOST_ROWS = 5_000
SIZES = (2, 8, 16, 32, 64)  # of PPCA, where no model is given
SMOOTHINGS = (0.0, 0.01, 0.1, 1.0)  # of tables, the same
LEAST_TRAINED = 4


def compare(shelf: Shelf) -> dict[str, Any]:
    """Log densities of held-out rows under every model that can score them."""
    tables = _tables(shelf)
    for name, rows in tables:
        models = _densities(shelf, rows.shape[1])
        if models:
            return _comparison(_scored(models, rows), f"{name}: {len(rows)} rows")
    found = _conditional(shelf) or _images(shelf, tables)
    if found is not None:
        return found
    name, rows = tables[0]
    if shelf.models:
        raise AncestralError(
            f"None of the saved models is a density over the {rows.shape[1]} columns of {name}."
        )
    train, out = split(rows)
    models = _fits(train, is_binary=bool(np.isin(rows, (0, 1)).all()))
    if not models:
        raise AncestralError(
            f"{name} ({counted(len(rows), 'row')}, {counted(rows.shape[1], 'column')}) is too "
            "small to fit models to four fifths of it and score them on the rest: open a saved "
            "model beside it."
        )
    sentence = f"{len(out)} of the {len(rows)} rows of {name}, held out of the fits"
    return _comparison(_scored(models, out), sentence, fitted=True)


def _tables(shelf: Shelf) -> list[tuple[str, NDArray]]:
    """Return the user's tables, (name, rows), as they are to be scored."""
    tables = [shelf.rows] if shelf.rows is not None else []
    if "regression" in shelf.files:
        path = shelf.files["regression"]
        tables.append((shelf.name_of(path), ancestral.read_array(path)))
    return tables


def _densities(shelf: Shelf, width: int) -> dict[str, Any]:
    """Return the saved densities over rows of that many columns."""
    return {
        name: model
        for name, model in shelf.models.items()
        if isinstance(model, Density) and model.n_features_in_ == width
    }


def _conditional(shelf: Shelf) -> dict[str, Any] | None:
    """Return saved regressions compared on the target of a CSV; None without either."""
    if "regression" not in shelf.files:
        return None
    models = {
        name: model for name, model in shelf.models.items() if isinstance(model, ConditionalDensity)
    }
    if not models:
        return None
    learnt = {getattr(model, "target_name_", None) for model in models.values()}
    target = learnt.pop() if len(learnt) == 1 else None  # as the models' fits were told
    pairs = find_source(
        "regression", shelf.files, target=target if isinstance(target, str) else None
    ).data
    models = {
        name: model for name, model in models.items() if model.n_features_in_ == pairs.X.shape[1]
    }
    if not models or any(np.ndim(m.predict(pairs.X[:1])) > 1 for m in models.values()):
        return None
    X, y = pairs.X[:MOST_ROWS], pairs.y[:MOST_ROWS]
    values = {name: (model, model.log_density(X, y)) for name, model in models.items()}
    name = shelf.name_of(shelf.files["regression"])
    sentence = f"{name}: “{pairs.target}” given the other columns, {len(y)} rows"
    return _comparison(values, sentence)


def _images(shelf: Shelf, tables: list[tuple[str, NDArray]]) -> dict[str, Any] | None:
    """Return models compared on held-out images; None where the user's table comes first."""
    if tables and ("faces" not in shelf.files or shelf.has_rows_beside_faces):
        return None
    source = find_source("faces", shelf.files)
    X = source.data.X
    train, out = split(X)
    saved = _densities(shelf, X.shape[1])
    models = saved or _fits(train, is_binary=False)
    sentence = f"{len(out)} of the {source.sentence}"
    sentence += "; a saved model may have seen them" if saved else ", held out of the fits"
    scored = _scored(models, out)
    return _comparison(scored, sentence, fitted=not saved, images=out, shape=source.data.shape)


def _fits(train: NDArray, *, is_binary: bool) -> dict[str, Any]:
    """Return fits of several sizes, for want of saved models; none where rows are too few."""
    from ancestral import PPCA, TabularAutoregressive

    if len(train) < LEAST_TRAINED:
        return {}
    if is_binary:
        rows = train.astype(int)
        return {
            f"Tables, smoothing {s:g}": TabularAutoregressive(smoothing=s).fit(rows)
            for s in SMOOTHINGS
        }
    most = int(np.linalg.matrix_rank(train - train.mean(axis=0))) - 1
    sizes = SIZES if most >= SIZES[1] else range(1, most + 1)
    return {f"PPCA, d = {d}": PPCA(d).fit(train) for d in sizes if d <= most}


def _scored(models: dict[str, Any], rows: NDArray) -> dict[str, tuple[Any, NDArray]]:
    """Return each model with its log density of every row, in nats."""
    return {name: (model, model.log_density(rows[:MOST_ROWS])) for name, model in models.items()}


def _comparison(
    scored: dict[str, tuple[Any, NDArray]],
    sentence: str,
    *,
    fitted: bool = False,
    images: NDArray[np.float64] | None = None,
    shape: tuple[int, int] | None = None,
) -> dict[str, Any]:
    n = len(next(iter(scored.values()))[1])
    if n < 2:
        raise AncestralError(f"{sentence}: two rows or more are needed for a standard error.")
    models = [
        {
            "name": name,
            "kind": type(model).__name__,
            "n_parameters": getattr(model, "n_parameters_", None),
            # -inf (an impossible row) does not pass through JSON, but passes through base64
            "values": packed(values, "float64"),
        }
        for name, (model, values) in scored.items()
    ]
    return {
        "source": sentence,
        "fitted_here": fitted,
        "n": n,
        "models": models,
        "shape": shape,
        "images": None if images is None else packed(_as_bytes(images[:MOST_ROWS]), "uint8"),
    }


def _as_bytes(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return images in 256 greys, for looking at only."""
    low, high = float(images.min()), float(images.max())
    return np.round(255 * (images - low) / (high - low or 1.0)).astype(np.uint8)


def shows(model: Any) -> bool:
    """Tell whether the room can show a model by itself: it compares models on rows."""
    return False


PARTS = {"compare": compare}
