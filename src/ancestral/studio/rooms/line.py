"""The room of points (x, y): curves fitted in the page, and saved ones with one input.

Any two columns of a table are its points; levels of text stand on the x axis as 0, 1, .... A saved
model stands beside the tables that have its columns; one that no table has is a subject of its own,
whose points are drawn from it.
"""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral import HeteroscedasticGaussian, LinearGaussian, NeuralGaussian
from ancestral.inputs import counted
from ancestral.io.npy import natural_order
from ancestral.io.targets import TARGETS
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf

MOST_ROWS = 5_000  # any of them can be dragged, and nine curves are fitted anew while it moves
MOST_NUMBERS = 250_000  # sent to the page, in 2.7 MB
MOST_LEVELS = 12  # of text, whose names find room below an axis
SECONDS = 31_556_952  # in a year, by which dates are told
LEAST_ROWS = 3  # a line and its spread
KINDS = (LinearGaussian, HeteroscedasticGaussian, NeuralGaussian)
REACH = 2.5  # standard deviations of x to either side, where a model has no points beside it


def subjects(shelf: Shelf) -> list[Subject]:
    """Return a subject for each table with two columns, and for each curve that no table holds."""
    models = [item for item in shelf.models(*KINDS) if _refused_model(item.data) is None]
    tables = [item for item in shelf.of_kind("table") if _refused_table(item) is None]
    found, beside = [], set()
    for table in tables:
        theirs = [m for m in models if not table.built_in and _holds(table, m.data)]
        beside |= {m.id for m in theirs}
        found.append(_subject(table, theirs))
    alone = [_alone(model) for model in models if model.id not in beside]
    return alone + found if all(table.built_in for table in tables) else found + alone


def refuses(item: Item) -> str | None:
    """Return why the room does not show an item; None where it does, or where it is not for it."""
    if item.kind == "table":
        return _refused_table(item)
    return _refused_model(item.data) if isinstance(item.data, KINDS) else None


# ---- tables --------------------------------------------------------------------------------------


def _subject(table: Item, models: list[Item]) -> Subject:
    total = len(table.data)
    n = min(total, max(LEAST_ROWS, min(MOST_ROWS, MOST_NUMBERS // len(table.data.columns))))
    rows = np.arange(total)
    if n < total:
        rows = np.sort(np.random.default_rng(0).choice(total, n, replace=False))

    columns, left_out = _columns(table)
    x, y = _first_pair(columns, models)
    without = _why_no_network(columns[x])

    def make() -> dict[str, Any]:
        return {
            "source": table.about,
            "columns": [{**c, "values": packed(c["values"][rows], "float64")} for c in columns],
            "n_all": total,
            "left_out": left_out,
            "x": x,
            "y": y,
            "curves": [curve_of(item.name, item.data) for item in models],
            "network": without,
        }

    def network() -> dict[str, Any]:
        points = np.column_stack([columns[k]["values"][rows] for k in (x, y)])
        points = points[np.isfinite(points).all(axis=1)]
        model = NeuralGaussian(hidden_size=16, random_state=0).fit(points[:, :1], points[:, 1])
        names = columns[x]["name"], columns[y]["name"]
        return curve_of("NeuralGaussian", model, *names) | {"n": len(points)}

    used = {table.id: f"{n:,} of {total:,} rows, drawn at random (seed 0)"} if n < total else {}
    later = {} if without else {"network": network}
    return Subject(table.name, (table, *models), make, later, used=used)


def _columns(table: Item) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the columns that an axis can show, and why it shows no others.

    A column is its name, its values (nan where missing) and the levels of text that they count.
    """
    found: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name in table.data.columns:
        series, levels = table.data[name], None
        if series.dtype.kind in "biuf":
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
            values = np.where(np.isfinite(values), values, np.nan)
        elif series.dtype.kind == "M":
            seconds = series.to_numpy("datetime64[s]").astype(np.int64)
            values = np.where(series.isna(), np.nan, 1970 + seconds / SECONDS)
            name = f"{name} (years)"
        else:
            codes, texts = series.factorize()
            names = [str(text) for text in texts]
            levels = sorted(set(names), key=natural_order)
            if len(levels) > MOST_LEVELS:
                left_out.append(
                    f"“{name}” has {len(levels):,} values that are not numbers; an axis can name "
                    f"at most {MOST_LEVELS}."
                )
                continue
            places = [float(levels.index(text)) for text in names]
            values = np.array([*places, np.nan])[codes]  # -1 is missing
        known = values[~np.isnan(values)]
        if len(known) < LEAST_ROWS or np.ptp(known) == 0:
            left_out.append(
                f"“{name}” has only one value." if len(known) else f"“{name}” is empty."
            )
            continue
        found.append({"name": str(name), "values": values, "levels": levels})
    return found, left_out


def _refused_table(table: Item) -> str | None:
    if len(table.data) < LEAST_ROWS:
        return f"It has {counted(len(table.data), 'row')}; a line needs {LEAST_ROWS} or more."
    columns, left_out = _columns(table)
    n_numbers = sum(c["levels"] is None for c in columns)
    if len(columns) >= 2 and n_numbers:
        return None
    n, which = (len(columns), "that can be an axis") if len(columns) < 2 else (0, "of numbers")
    said = f"It has {counted(n, 'column')} {which}"
    return f"{said}; a line needs an x, and a y of numbers. {' '.join(left_out[:3])}".rstrip()


def _first_pair(columns: list[dict[str, Any]], models: list[Item]) -> tuple[int, int]:
    """Return the places of x and y: a saved model's, or the target and the nearest input to it."""
    names = [c["name"] for c in columns]
    learnt = [_names_of(item.data) for item in models]
    x, y = next((pair for pair in learnt if pair[0] is not None), (None, None))
    given = None if x is None else names.index(x)
    numbers = [k for k, c in enumerate(columns) if c["levels"] is None and k != given]
    named = [k for k in numbers if names[k].strip().lower() in TARGETS]
    target = names.index(y) if y is not None else named[0] if len(named) == 1 else numbers[-1]
    if given is not None:
        return given, target
    inputs = [k for k in numbers if k != target] or [k for k in range(len(columns)) if k != target]
    nearness = [_correlation(columns[k]["values"], columns[target]["values"]) for k in inputs]
    return inputs[int(np.argmax(nearness))], target


def _correlation(x: NDArray, y: NDArray) -> float:
    """Return |r| over the rows that have both; 0 where it has no value."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < LEAST_ROWS or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return 0.0
    return abs(float(np.corrcoef(x[both], y[both])[0, 1]))


def _why_no_network(x: dict[str, Any]) -> str | None:
    """Return why no network is trained on the points; None where one is."""
    if find_spec("torch") is None:
        return (
            'NeuralGaussian needs PyTorch, which is not installed: pip install "ancestral[neural]".'
        )
    return "NeuralGaussian needs an x of numbers." if x["levels"] else None


# ---- models --------------------------------------------------------------------------------------


def _refused_model(model: Any) -> str | None:
    if model.n_features_in_ != 1:
        return f"It has {model.n_features_in_} inputs; this room draws curves of one input."
    if np.ndim(getattr(model, "coef_", [0])) > 1:
        return f"It has {len(model.coef_)} targets; this room draws curves of one target."
    if np.isposinf(getattr(model, "log_likelihood_", 0.0)):
        return (
            "Its variance is 0: there is no density to draw. Fit it to points that do not lie on "
            "one curve."
        )
    return None


def _names_of(model: Any) -> tuple[str | None, str | None]:
    """Return what a model's input and target were called in its fit, None without a name."""
    (x,) = getattr(model, "feature_names_in_", (None,))
    y = getattr(model, "target_name_", None)
    return x, y if isinstance(y, str) else None


def _holds(table: Item, model: Any) -> bool:
    """Tell whether a table has a model's columns as axes; one without names may be of any."""
    is_number = {column["name"]: column["levels"] is None for column in _columns(table)[0]}
    x, y = _names_of(model)
    if not {name for name in (x, y) if name is not None} <= set(is_number):
        return False
    return any(is_number[name] for name in is_number if name != x and y in (None, name))


def _alone(item: Item) -> Subject:
    def make() -> dict[str, Any]:
        model = item.data
        x, y = _names_of(model)
        centre, spread = _inputs_of(model)
        across = [centre - REACH * spread, centre + REACH * spread]
        none = packed([], "float64")
        return {
            "source": item.about,
            "note": "No open table has its columns, so the points are drawn from the model.",
            "columns": [
                {"name": x or "x", "values": none, "levels": None, "range": across},
                {"name": y or "y", "values": none, "levels": None},
            ],
            "n_all": 0,
            "left_out": [],
            "x": 0,
            "y": 1,
            "curves": [curve_of(item.name, model)],
            "network": "",
        }

    return Subject(item.name, (item,), make)


def _inputs_of(model: Any) -> tuple[float, float]:
    """Return mean and standard deviation of the inputs that a model was fitted to."""
    if isinstance(model, NeuralGaussian):
        return float(model.input_mean_[0]), float(model.input_scale_[0])
    means = model.feature_means_ if model.fit_intercept else np.zeros(len(model.coef_))
    if len(means) > 1 and means[1] > means[0] ** 2:
        return float(means[0]), float(np.sqrt(means[1] - means[0] ** 2))
    # The slope's error is the residuals' over spread sqrt(n); the log variance's sqrt(2) over that.
    if isinstance(model, HeteroscedasticGaussian):
        spread = np.sqrt(2 / model.n_samples_) / model.variance_standard_errors_[-1]
    else:
        spread = model.residual_std_ / model.standard_errors_[-1] / np.sqrt(model.n_samples_)
    return float(means[0]), float(spread) if 0 < spread < np.inf else 1.0


def curve_of(name: str, model: Any, x: str | None = None, y: str | None = None) -> dict[str, Any]:
    """Return what draws a model: a polynomial of x less a centre, or the layers of a network."""
    own = _names_of(model)
    curve: dict[str, Any] = {"name": name, "x": x or own[0], "y": y or own[1]}
    if isinstance(model, NeuralGaussian):
        return curve | _network(model)
    if isinstance(model, HeteroscedasticGaussian):
        v = [float(model.variance_intercept_), float(model.variance_coef_[0])]
    else:
        v = [float(np.log(model.noise_variance_)), 0.0]
    centre = float(model.feature_means_[0])
    coef = _centred([model.intercept_, *model.coef_], centre)
    return curve | {"centre": centre, "coef": coef, "v": v}


def _centred(coef: list[float], centre: float) -> list[float]:
    """Return the coefficients of the same polynomial in x - centre: exact, since powers cancel."""
    exact, shift = [Fraction(float(c)) for c in coef], Fraction(centre)
    return [
        float(sum(comb(k, j) * c * shift ** (k - j) for k, c in enumerate(exact) if k >= j))
        for j in range(len(exact))
    ]


def _network(model: NeuralGaussian) -> dict[str, Any]:
    def layer(name: str) -> dict[str, Any]:
        parts = ("weight", "bias")
        found = {part: model.weights_.get(f"{name}.{part}") for part in parts}
        return {
            part: packed(value, "float64") for part, value in found.items() if value is not None
        }

    n_layers = sum(name.startswith("hidden.") for name in model.weights_) // 2
    return {
        "layers": [layer(f"hidden.{k}") for k in range(n_layers)],
        "head": layer("head"),
        "line": model.weights_["line.weight"][:, 0].tolist(),
        "input": [float(model.input_mean_[0]), float(model.input_scale_[0])],
        "target": [model.target_mean_, model.target_scale_],
        "noise": model.noise_scale_,
    }


EQUATION = (
    '<math><mi>y</mi><mo form="infix" stretchy="false">|</mo><mi>x</mi><mo>∼</mo><mi>N</mi>'
    '<mo form="prefix" stretchy="false">(</mo><mi>c</mi><mo>+</mo><mi>w</mi><mi>u</mi><mo>+</mo>'
    "<msub><mi>w</mi><mn>2</mn></msub><msup><mi>u</mi><mn>2</mn></msup><mo>+</mo><mo>⋯</mo>"
    '<mo separator="true">,</mo><msup><mi>σ</mi><mn>2</mn></msup>'
    '<mo form="postfix" stretchy="false">)</mo></math>'
    "<math><mi>u</mi><mo>=</mo><mi>x</mi><mo>−</mo><mover><mi>x</mi><mo>¯</mo></mover></math>"
    "<math><msup><mi>σ</mi><mn>2</mn></msup><mo>=</mo><msup><mi>e</mi><mrow><msub><mi>v</mi>"
    "<mn>0</mn></msub><mo>+</mo><msub><mi>v</mi><mn>1</mn></msub><mi>x</mi></mrow></msup></math>"
)

ROOM = Room(
    order=4,
    verb="Fit a line",
    sentence="Drag a point: the line and its band move to make the points as likely as possible.",
    equation=EQUATION,
    wants="Open a table with two columns of numbers or more, or a saved regression of one input.",
    words={
        "density": "how probable each y is at each x, drawn as shade",
        "c, w": "height and slope of the curve at x̄, the mean of x",
        "v₁": "how the spread changes with x; 0 if it is constant",
        "σ": "the standard deviation of the points around the curve",
        "log-likelihood": "log p of the points; one nat more is 2.7 times as probable",
        "NeuralGaussian": "a small neural network that gives the curve and its spread",
    },
    subjects=subjects,
    refuses=refuses,
)
