"""What figures are drawn of, whatever it came as, and which function draws what.

A model is known by its entry in the catalogue, a result by its type. What a function does not draw
is refused by the name of the function that does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._catalogue import entry_of
from ancestral._checks.columns import names_of
from ancestral._checks.containers import as_levels, opened
from ancestral._checks.frames import form_of, framed
from ancestral._checks.missing import missing_mask
from ancestral.errors import DataError, DataTypeError

_ROWS = (
    "viz.certificate(model); or, where rows are images, viz.probability_collage(model), "
    "viz.inpainting(model, X)"
)
_IMAGES = "viz.collage(model.sample(25)) where rows are images"
_LINE = "viz.density_shade(model, X, y)"
_MODELS = {
    "TabularAutoregressive": f"viz.step_entropies(model), viz.prefix_tree(model), {_ROWS}",
    "LSTMAutoregressive": f"viz.training_curve(model), {_ROWS}",
    "ChainAutoregressive": f"viz.prefix_tree(model), {_ROWS}",
    "OrderMixture": "viz.inpainting(model, X) and viz.collage(model.sample(25)) where rows are "
    "images; else draw model.marginals(X) as bars",
    "PPCA": "viz.spectrum(model), viz.latent_scatter(model, X), viz.every_d_panel(model), "
    f"viz.difference_images(model), {_IMAGES}",
    "PPCAMixture": f"viz.latent_scatter(model, X), viz.ascent_curve(model), {_IMAGES}",
    "LinearGaussian": f"{_LINE}, viz.interval_bands(model, X, y)",
    "HeteroscedasticGaussian": f"{_LINE}, viz.interval_bands(model, X, y), viz.ascent_curve(model)",
    "NeuralGaussian": f"viz.training_curve(model), {_LINE}",
    "InnerProductGraph": "viz.draw_graphs(model.sample(4)), viz.fit_panel(model, graphs), "
    "viz.likelihood_contour(model, graphs), viz.degree_distribution(graphs, model)",
    "DyadicGraph": "viz.draw_graphs(model.sample(4)), viz.fit_panel(model, graphs), "
    "viz.degree_distribution(graphs, model)",
}
_FACES = {
    "discrete": _IMAGES,
    "continuous": _IMAGES,
    "mixed": "viz.latent_tree(model), viz.marginals(model)",
    "conditional": _LINE,
    "graphs": "viz.draw_graphs(model.sample())",
}
_RESULTS = {
    "ancestral.graph.graph.Graph": "viz.draw_graph(graph)",
    "ancestral.graph.fit_checks.FitCheck": "viz.fit_panel(check)",
    "ancestral.graph.predictions.HeldOut": "viz.heldout_by_graph(found)",
    "ancestral.gaussian.ppca.selection.EveryD": "viz.every_d_panel(curve)",
    "ancestral.viz.conditions.Condition": "viz.inpainting(conditions, shape)",
}


def is_a(value: Any, *names: str) -> bool:
    """Tell whether something is a fitted model of one of these names; NotFittedError if not yet."""
    entry = entry_of(value)
    if entry is None or entry.name not in names:
        return False
    value._check_fitted()
    return True


def has_face(value: Any, face: str) -> bool:
    """Tell whether something is a fitted model that takes what a face takes."""
    entry = entry_of(value)
    return entry is not None and entry.face == face and is_a(value, entry.name)


def how_drawn(value: Any) -> str | None:
    """Return the calls that draw a model, a graph or a result; None for data and strangers."""
    entry = entry_of(value)
    if entry is not None:
        return _MODELS.get(entry.name, _FACES[entry.face])
    if isinstance(value, list | tuple) and value:
        how = how_drawn(value[0])
        return "viz.draw_graphs(graphs)" if how == "viz.draw_graph(graph)" else how
    homes = [f"{base.__module__}.{base.__name__}" for base in type(value).__mro__]
    if any(home.partition(".")[0] in ("networkx", "igraph") for home in homes):
        return "viz.draw_graph(graph)"
    return next((_RESULTS[home] for home in homes if home in _RESULTS), None)


def refuse(function: str, wants: str, value: Any) -> None:
    """Raise DataTypeError for what a function does not draw, naming the functions that do."""
    how = how_drawn(value)
    mend = f"It is drawn by {how}." if how else f"Give {wants}."
    kind = type(value).__name__
    article = "an" if kind[:1] in "AEIOaeio" or kind.startswith("LSTM") else "a"
    raise DataTypeError(f"viz.{function} draws {wants}; got {article} {kind}. {mend}")


def refuse_others(function: str, wants: str, value: Any) -> None:
    """Raise DataTypeError where another function draws this."""
    if how_drawn(value) is not None:
        refuse(function, wants, value)


def refuse_unless(value: Any, test: Callable[[Any], bool], function: str, wants: str) -> None:
    """Raise DataTypeError for what does not pass a test."""
    if not test(value):
        refuse(function, wants, value)


# ---- names --------------------------------------------------------------------------------------


def column_names(value: Any) -> list[str] | None:
    """Return what the columns of a fitted model, a frame or a series are called, where they are."""
    if entry_of(value) is not None:
        names = vars(value).get("feature_names_in_")
        return None if names is None else [str(name) for name in names]
    names = names_of(value)
    if names is None or list(names) == list(range(len(names))):
        return None
    return [str(name) for name in names]


def is_frame(value: Any) -> bool:
    """Tell whether something is a dataframe."""
    return form_of(value) is not None


def row_names(value: Any) -> list[str] | None:
    """Return what the rows of a pandas dataframe are called, where they do not only count."""
    if not is_frame(value) or form_of(value)["library"] != "pandas":  # type: ignore[index]
        return None
    labels = list(value.index)
    return None if labels == list(range(len(labels))) else [str(label) for label in labels]


def columns_of_model(model: Any, X: Any) -> Any:
    """Return the columns of a frame that a model was fitted to, where it has others beside them."""
    names = column_names(model)
    if names is None or not is_frame(X) or not {*names} < {*(column_names(X) or ())}:
        return X
    return X.loc[:, names] if form_of(X)["library"] == "pandas" else X.select(names)  # type: ignore[index]


def grid_like(model: Any, X: Any, grid: NDArray[np.float64]) -> Any:
    """Return new inputs, (n, m), as a frame with the names of X where the model knows names."""
    form = form_of(X)
    names = column_names(model) if entry_of(model) is not None else None
    return grid if form is None or names is None else framed(form, names, grid)


# ---- colours ------------------------------------------------------------------------------------


class Grouping(NamedTuple):
    """What colours points: the level of each, or a number; a point without either is missing."""

    name: str
    levels: list[str]  # empty for a number
    values: NDArray[np.float64]  # the place of a level, or the number; NaN where missing


MOST_LEVELS = 7  # as many as there are colours that everybody tells apart


def grouping_of(colour_by: Any, X: Any, n_rows: int) -> Grouping:
    """Return what colours the rows of X: a column by its name, or one label or number for each.

    Raises
    ------
    DataError
        For another length, naming it, and for a name that is no column, naming those there are.
    """
    name = ""
    if isinstance(colour_by, str):
        known = column_names(X) if is_frame(X) else None
        if known is None or colour_by not in known:
            listed = f"the columns are {', '.join(known)}" if known else "X names no columns"
            raise DataError(
                f"colour_by={colour_by!r} is no column of X: {listed}. Give one of them, or a label"
                " for each row."
            )
        name, values = colour_by, as_levels(opened(X, "X"), "X")[:, known.index(colour_by)]
    else:
        refuse_others("latent_scatter", "labels in colour_by", colour_by)
        found = as_levels(opened(colour_by, "colour_by"), "colour_by")
        values = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
        name = (column_names(colour_by) or [""])[0]
    if values.shape != (n_rows,):
        raise DataError(
            f"colour_by must hold one label or number for each of the {n_rows} rows; got shape "
            f"{values.shape}."
        )
    return _grouped(name, values)


def _grouped(name: str, values: NDArray) -> Grouping:
    gaps = missing_mask(values)
    held = values[~gaps]
    kinds = set(map(type, held.tolist()))
    distinct = sorted(set(held.tolist()), key=lambda level: (isinstance(level, str), level))
    are_numbers = kinds <= {int, float}
    if are_numbers and (len(distinct) > MOST_LEVELS or any(v % 1 for v in distinct)):
        numbers = np.full(values.shape, np.nan)
        numbers[~gaps] = held.astype(np.float64)
        return Grouping(name, [], numbers)
    places = {level: k for k, level in enumerate(distinct)}
    codes = np.full(values.shape, np.nan)
    codes[~gaps] = [places[level] for level in held.tolist()]
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in distinct]
    return Grouping(name, texts, codes)
