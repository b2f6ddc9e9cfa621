"""The room of pixels: models of black and white images, one conditional at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral import ChainAutoregressive, LSTMAutoregressive, OrderMixture, TabularAutoregressive
from ancestral.autoregressive.chain.conditionals import as_logistic
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.autoregressive.tabular import UNSEEN
from ancestral.errors import AncestralError
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf, kept_with_item

MOST_PIXELS = 1024  # each is pressed by itself: smaller ones are not hit
MOST_CELLS = 4_000_000  # of rows that tables are counted from: the count holds 32 bytes for each
MOST_VALUES = 2_000_000  # numbers of a model: the page holds and searches them all
MOST_WEIGHTS = 300_000  # of a network, which is stepped thousands of times at every press
MOST_TRAINED = 5_000  # contexts of tables that an LSTM is trained on: seconds
LINE = 24  # columns of a table that is no square stand in lines of so many
OFF_ON = ("off", "on")

# What a chain's conditional is sent as.
LOGISTIC = {"columns": "int32", "weights": "float64", "bias": "float64"}
TREES = {
    "columns": "int32", "thresholds": "float64", "split": "int32", "child": "int32",
    "value": "float64", "root": "int32",
}  # fmt: skip

EQUATION = (
    '<math display="block"><mi>p</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>=</mo>'
    "<msubsup><mo>∏</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>m</mi></msubsup>"
    "<mi>p</mi><mo>(</mo><msub><mi>x</mi><mi>i</mi></msub><mo>|</mo><msub><mi>x</mi><mn>1</mn>"
    "</msub><mo>,</mo><mi>…</mi><mo>,</mo><msub><mi>x</mi><mrow><mi>i</mi><mo>−</mo><mn>1</mn>"
    "</mrow></msub><mo>)</mo></math>"
)


@dataclass(frozen=True)
class Pixels:
    """What the columns of data or of a model are: how many, what levels and columns are called.

    `words` is one pair for all columns or one for each; `columns` is empty where they have no names
    of their own; `rows` are zeros and ones, none of a model; `used` says how many are left out.
    """

    m: int
    words: list[list[str]]
    columns: list[str]
    shape: tuple[int, int]
    rows: NDArray | None = None
    used: str | None = None

    def is_like(self, other: Pixels | None) -> bool:
        """Tell whether others mean the same: only then two models can stand side by side."""
        if other is None or (self.m, self.words) != (other.m, other.words):
            return False
        return not self.columns or not other.columns or self.columns == other.columns


def subjects(shelf: Shelf) -> list[Subject]:
    """Return data of two levels, each with the saved models of its width; then other models."""
    saved = [(one, _pixels(one)) for one in shelf.models(DiscreteDensity) if not refuses(one)]
    data = [item for item in shelf.items if item.kind != "model" and _is_shown(item)]
    if not data and not saved:
        data = [item for item in shelf.of_kind("tables") if _is_shown(item)]
    found = []
    for item in data:
        pixels = _pixels(item)
        beside = [one for one, its in saved if its and its.is_like(pixels)]
        trains, tables = shelf.built_in and not beside, cache(partial(_tables, item))
        found.append(
            Subject(
                item.name,
                (item, *beside),
                partial(_told, item, beside, tables, trains=trains),
                later={"lstm": partial(_lstm, tables)} if trains else {},
                used={item.id: pixels.used} if pixels and pixels.used else {},
            )
        )
    placed = {one for subject in found for one in subject.items}
    for one, its in saved:
        if one not in placed and its:
            group = [each for each, form in saved if each not in placed and its.is_like(form)]
            placed.update(group)
            name = ", ".join(each.name for each in group)
            found.append(Subject(name, tuple(group), partial(_told, None, group)))
    return found


@kept_with_item
def refuses(item: Item) -> str | None:
    """Say which limit an item of two levels passes; None where it is shown, or is of others."""
    if isinstance(item.data, DiscreteDensity):
        return _limit_of(item.data)
    pixels = _pixels(item)
    return None if pixels is None else _too_wide(pixels.m)


def _is_shown(item: Item) -> bool:
    return _pixels(item) is not None and refuses(item) is None


def shows(model: Any) -> bool:
    """Tell whether a fitted model by itself fills the room."""
    return isinstance(model, DiscreteDensity) and _limit_of(model) is None


# ---- what is told ------------------------------------------------------------------------------


def _told(
    item: Item | None,
    saved: list[Item],
    tables: Callable[[], Any] | None = None,
    *,
    trains: bool = False,
) -> dict[str, Any]:
    """Return the models of the same pixels, the tables of the data first."""
    models = [(one.name, one.data) for one in saved]
    if tables is not None:
        models.insert(0, ("Tables", tables()))
    first, pixels = models[0][1], _pixels(item or saved[0])
    if pixels is None:
        raise AncestralError("these are no pixels of two levels.")
    return {
        "m": pixels.m,
        "shape": pixels.shape,
        "words": pixels.words,
        "columns": pixels.columns,
        "models": [_sequence(name, model) for name, model in models],
        "names": _icon_names() if item is not None and item.built_in else {},
        "start": _begun(first),
        "note": pixels.used,
        "lstm_follows": trains and first.n_contexts_ <= MOST_TRAINED,
    }


def _lstm(tables: Callable[[], Any]) -> dict[str, Any]:
    """Return an LSTM trained to the tables' own distribution (a few seconds)."""
    of = tables()
    if of.n_contexts_ > MOST_TRAINED:
        raise AncestralError(
            f"An LSTM is trained here on at most {MOST_TRAINED:,} contexts of tables; these have "
            f"{of.n_contexts_:,}. Fit one in Python, save it, and open it beside the data."
        )
    model = LSTMAutoregressive(tol=0.01, random_state=0).fit(_rows_in_proportion(of))
    return {**_sequence("LSTM", model), "excess": model.loss_ - model.floor_}


def _rows_in_proportion(tables: Any) -> NDArray:
    """Return the support's rows, each as often as its probability asks (once, if all are equal)."""
    support = tables.support_
    p = np.exp(tables.log_density(support))
    return np.repeat(support, np.maximum(1, np.round(p / p.min())).clip(max=50).astype(int), axis=0)


def _begun(model: Any) -> list[int]:
    """Return levels to begin with, -1 where unknown: as much, up to half, as three images share."""
    drawn = model.sample(200, random_state=0)
    rows = np.unique(model._encode(model._check_rows(drawn, reset=False)), axis=0)
    for end in range(rows.shape[1] // 2, 0, -1):
        tops, sizes = np.unique(rows[:, :end], axis=0, return_counts=True)
        if len(shared := np.flatnonzero(sizes > 2)):
            return [*tops[shared[0]].tolist(), *[-1] * (rows.shape[1] - end)]
    return [-1] * rows.shape[1]


def _icon_names() -> dict[str, str]:
    from ancestral import datasets

    images, names = datasets.icons()
    return {"".join(map(str, row)): name for row, name in zip(images.tolist(), names, strict=True)}


# ---- data of two levels ------------------------------------------------------------------------


@kept_with_item
def _pixels(item: Item) -> Pixels | None:
    """Return what an item's pixels are; None for what has not two levels in each column."""
    if isinstance(item.data, DiscreteDensity):
        levels, names = item.data.categories_, getattr(item.data, "feature_names_in_", [])
        return Pixels(len(levels), _words(levels), _named(names), _lines(len(levels)))
    if item.kind == "images":
        X, (low, high) = item.data.X, (item.data.X.min(), item.data.X.max())
        if low == high or not ((low == X) | (high == X)).all():
            return None
        rows, used = _some((high == X).astype(np.int8))
        return Pixels(rows.shape[1], [[*OFF_ON]], [], item.data.shape, rows, used)
    if item.kind != "table":
        return None
    frame, every = item.data.dropna(), list[list[Any]]()
    for name in frame.columns:
        every.append(_ordered(frame[name].unique().tolist()))
        if len(every[-1]) > 2:
            return None
    common = _ordered({level for own in every for level in own})
    pairs = [common] * frame.shape[1] if len(common) == 2 else every
    if len(frame) < 2 or any(len(pair) != 2 for pair in pairs):
        return None
    codes = [frame[name] == pair[1] for name, pair in zip(frame.columns, pairs, strict=True)]
    rows, used = _some(np.column_stack(codes).astype(np.int8), len(item.data))
    words, m = _words(pairs), len(pairs)
    return Pixels(m, words, _named(frame.columns), _lines(m), rows, used)


def _ordered(levels: Iterable[Any]) -> list[Any]:
    try:
        return sorted(levels)
    except TypeError:  # text beside numbers
        return sorted(levels, key=str)


def _some(rows: NDArray, n_given: int | None = None) -> tuple[NDArray, str | None]:
    """Return as many rows as are counted, and what was left out."""
    n_given, most = n_given or len(rows), MOST_CELLS // rows.shape[1]
    whole = len(rows) == n_given
    if len(rows) > most:
        kept = np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False))
        return rows[kept], f"{most:,} of {n_given:,} rows, drawn at random (seed 0)"
    return rows, None if whole else f"{len(rows):,} of {n_given:,} rows: those without gaps"


def _tables(item: Item) -> Any:
    """Return the tables that an item is, or those counted from its rows."""
    pixels = _pixels(item)
    rows = pixels.rows if pixels else None
    return item.data if rows is None else TabularAutoregressive().fit(rows)


def _words(levels: Iterable[Any]) -> list[list[str]]:
    """Return what each column's levels are called: one pair, where all have the same."""
    pairs = [
        [*OFF_ON] if list(pair) in ([0, 1], [False, True]) else [str(level) for level in pair]
        for pair in levels
    ]
    return pairs[:1] if all(pair == pairs[0] for pair in pairs) else pairs


def _named(columns: Iterable[Any]) -> list[str]:
    """Return the columns' names, where they are not only numbered."""
    names = [str(name) for name in columns]
    return [] if names == [f"column {k + 1}" for k in range(len(names))] else names


def _lines(m: int) -> tuple[int, int]:
    """Return height and width of m pixels: a square, or else lines."""
    side = round(m**0.5)
    return (side, side) if side * side == m else (-(-m // LINE), min(m, LINE))


# ---- models of two levels ----------------------------------------------------------------------


def _limit_of(model: Any) -> str | None:
    """Say why the page can't hold a model of discrete rows."""
    for j, known in enumerate(model.categories_):
        if len(known) != 2:
            name = [*getattr(model, "feature_names_in_", []), *range(1, j + 2)][j]
            return f"Pixels have two levels; column {name} of this model has {len(known)}."
    if (wide := _too_wide(len(model.categories_))) is not None:
        return wide
    members = model.members_ if isinstance(model, OrderMixture) else [model]
    n_values = 0
    for member in members:
        if isinstance(member, LSTMAutoregressive) and member.n_parameters_ > MOST_WEIGHTS:
            return (
                f"The page runs networks of at most {MOST_WEIGHTS:,} weights; this network has "
                f"{member.n_parameters_:,}."
            )
        if isinstance(member, ChainAutoregressive):
            for conditional in member.conditionals_:
                if as_logistic(conditional, 2)["family"] == "estimator":
                    kind = type(conditional["model"]).__name__
                    return (
                        "The page computes chains of logistic regressions, boosted trees and "
                        f"marginals; this one's classifiers are of the kind {kind}."
                    )
        n_values += _n_values(member)
    if n_values > MOST_VALUES:
        return f"The page holds models of up to {MOST_VALUES:,} numbers; this one has {n_values:,}."
    return None


def _too_wide(m: int) -> str | None:
    if 1 < m <= MOST_PIXELS:
        return None
    return f"Images here have 2 to {MOST_PIXELS:,} pixels; these have {m:,}."


def _n_values(model: Any) -> int:
    """Return how many numbers the page would be sent."""
    if isinstance(model, LSTMAutoregressive):
        return int(model.n_parameters_)
    if isinstance(model, TabularAutoregressive):
        n_stops = sum(map(np.sum, map(_stops, model.log_probabilities_, model.children_)))
        return int(n_stops) * (3 + model.n_features_in_ // 64)
    arrays = (value for one in model.conditionals_ for value in one.values())
    return sum(value.size for value in arrays if isinstance(value, np.ndarray))


def _sequence(name: str, model: Any) -> dict[str, Any]:
    """Return a model of binary rows as the page steps it."""
    about = {"name": name, "n_parameters": getattr(model, "n_parameters_", None)}
    if isinstance(model, OrderMixture):
        members = [_sequence(name, member) for member in model.members_]
        return {
            **about,
            "kind": "orders",
            "orders": packed(model.orders_, "int32"),
            "members": members,
        }
    if isinstance(model, TabularAutoregressive):
        return {**about, "kind": "tables", "entropy": model.entropy_, **_packed_trie(model)}
    if isinstance(model, ChainAutoregressive):
        return {**about, "kind": "chain", **_packed_chain(model)}
    weights = {key: packed(value) for key, value in model.weights_.items()}
    return {**about, "kind": "lstm", "weights": weights}


def _stops(log_p: NDArray, child: NDArray) -> NDArray[np.bool_]:
    """Return which contexts leave open what comes next, shape (n,)."""
    certain = ((log_p == 0) & (child != UNSEEN)).any(axis=1)
    return ~(certain & np.isneginf(log_p).any(axis=1))


def _packed_trie(model: TabularAutoregressive) -> dict[str, Any]:
    """Return the contexts at which more than one level is possible, and the certain runs to them.

    Whole rows are stops, too; the last stop is where the empty prefix leads. `run` holds, for each
    stop, the levels of the run before it in the places of their variables, in bits.
    """
    m, tables = model.n_features_in_, zip(model.log_probabilities_, model.children_, strict=True)
    below = np.arange((model.children_[-1] != UNSEEN).sum())  # the stop that each context leads to
    n = len(below)
    depth, terms, children = [np.full(n, m)], [np.zeros((n, 2))], [np.full((n, 2), UNSEEN)]
    runs: list[tuple[int, NDArray, NDArray]] = []
    for i, (log_p, child) in reversed([*enumerate(tables)]):
        reached = np.where(child == UNSEEN, UNSEEN, below[child] if len(below) else UNSEEN)
        stops = _stops(log_p, child)
        level = (log_p[:, 1] == 0).astype(np.intp)
        below = np.take_along_axis(reached, level[:, None], axis=1)[:, 0]
        runs.append((i, below[~stops], level[~stops]))
        below[stops] = n + np.arange(stops.sum())
        depth.append(np.full(int(stops.sum()), i))
        terms.append(log_p[stops])
        children.append(reached[stops])
        n += int(stops.sum())
    bits = np.zeros((n, -(-m // 8)), np.uint8)
    for i, stop, level in runs:
        bits[stop, i // 8] |= (level << (7 - i % 8)).astype(np.uint8)
    return {
        "depth": packed(np.concatenate(depth), "int32"),
        "log_p": packed(np.concatenate(terms), "float64"),
        "child": packed(np.concatenate(children), "int32"),
        "run": packed(bits, "uint8"),
    }


def _packed_chain(model: ChainAutoregressive) -> dict[str, Any]:
    """Return each conditional's arrays, marginals as regressions on nothing."""
    conditionals = []
    for one in model.conditionals_:
        one = as_logistic(one, 2)
        if one["family"] == "marginal":
            none = {"columns": np.zeros(0), "weights": np.zeros(0)}
            one = {**one, **none, "family": "logistic", "bias": np.diff(one["log_p"])}
        kinds = LOGISTIC if one["family"] == "logistic" else TREES
        arrays = {name: packed(one[name], dtype) for name, dtype in kinds.items()}
        conditionals.append({"sees_mixture": bool(one["sees_mixture"]), **arrays})
    mixture = model.mixture_ and {
        "log_weights": packed(model.mixture_["log_weights"], "float64"),
        "log_theta": packed(np.stack(model.mixture_["log_theta"]), "float64"),
    }
    return {"floor": model.floor_, "conditionals": conditionals, "mixture": mixture}


ROOM = Room(
    order=2,
    verb="Fill pixels",
    sentence="Set pixels on or off: each model tells how probable the others are, and draws them.",
    equation=EQUATION,
    wants=(
        "Open rows of columns with two values each (.npy, .csv), conditional probability tables, "
        "or a saved model of such rows: each column is a pixel."
    ),
    words={
        "m": "the number of pixels, row by row; i is one of them",
        "Tables": "p of each pixel, given all pixels before it, counted from the images",
        "LSTM": "a small neural network that computes the same p from what it remembers of those "
        "pixels",
        "exact to 0.1 %": "the search stopped; all that it left out has at most this probability",
        "log p": "the log probability of what you set; one nat more is 2.7 times as probable",
    },
    subjects=subjects,
    refuses=refuses,
    shows=shows,
)
