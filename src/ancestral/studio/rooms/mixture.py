"""The room of clusters: two columns of a table, and the mixture of PPCAs that EM fits to them.

The page takes the steps of EM by itself; a saved PPCAMixture is told by its covariances, of which
those of two columns are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral import PPCAMixture
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf, identity

MOST_POINTS = 600  # more hide each other in the plane, and EM is run again while one is dragged
MOST_COLUMNS = 40  # to choose from: a list of more is no choice
DRAWN = 200  # rows from a saved model without a table
FEW = 10  # a column of no more values than this is rather a list of levels: not shown first
KINDS = (  # of the built-in beaks: how many, centre, spread along and across, angle in degrees
    (60, (11.0, 9.5), (2.0, 0.45), 35),
    (45, (17.5, 13.0), (1.6, 0.5), 70),
    (45, (17.0, 8.2), (2.0, 0.5), -12),
)
BEAKS = ["beak length in mm", "beak depth in mm"]
BEAKS_SEED = 7  # of a start that ends at the highest maximum


@dataclass(frozen=True)
class _Table:
    """The columns of an item that can be shown, and some of its rows."""

    names: list[str]
    values: NDArray[np.float64]  # (n, m), NaN in gaps
    n_all: int
    n_columns: int  # that vary

    @property
    def used(self) -> str | None:
        """What of the table is used, where that is not all."""
        said = []
        if len(self.values) < self.n_all:
            said.append(f"{len(self.values)} of {self.n_all:,} rows, drawn at random (seed 0)")
        if len(self.names) < self.n_columns:
            said.append(f"the first {len(self.names)} of {self.n_columns} columns that vary")
        return ", ".join(said) or None


def _table(names: Sequence[str], rows: NDArray[np.float64]) -> _Table:
    known = np.isfinite(rows)
    low = np.where(known, rows, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, rows, -np.inf).max(axis=0, initial=-np.inf)
    varying = np.flatnonzero(high > low)
    shown, chosen = varying[:MOST_COLUMNS], np.arange(len(rows))
    if len(rows) > MOST_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MOST_POINTS, replace=False))
    values = rows[np.ix_(chosen, shown)]
    return _Table([str(names[j]) for j in shown], values, len(rows), len(varying))


def _subjects(shelf: Shelf) -> list[Subject]:
    saved, found = shelf.models(PPCAMixture), []
    tables = [item for item in shelf.items if item.kind == "table" and not _why_not(item)]
    alone = {item.id: item for item in saved}
    for item in tables:
        fitting = [model for model in saved if _places(model.data, item) is not None]
        for model in fitting:
            alone.pop(model.id, None)
        table = _table(item.columns, item.rows)
        used = {} if table.used is None else {item.id: table.used}
        make = partial(_of_table, item, table, fitting)
        found.append(Subject(item.name, (item, *fitting), make, used=used))
    found += [
        Subject(f"{DRAWN} rows drawn from {item.name}", (item,), partial(_of_model, item))
        for item in alone.values()
        if shows(item.data)
    ]
    if not found and shelf.built_in:
        found = [Subject("beaks, simulated", (_beaks(),), _of_beaks)]
    return found


def _refuses(item: Item) -> str | None:
    if item.kind == "table":
        return _why_not(item)
    if isinstance(item.data, PPCAMixture) and not shows(item.data):
        m = item.data.n_features_in_
        if m == 1:
            return "The plane has two columns; this model has 1."
        return (
            f"The plane shows two columns, chosen from at most {MOST_COLUMNS}; this model has {m}, "
            "and no table of these columns is open."
        )
    return None


def _why_not(item: Item) -> str | None:
    """Say why a table makes no plane of points."""
    table = _table(item.columns, item.rows)
    if len(table.names) < 2:
        return (
            f"The plane needs two columns of numbers that vary; this table has {len(table.names)}."
        )
    if table.n_all < 3:
        return f"A component needs 3 rows or more; this table has {table.n_all}."
    return None


def shows(model: Any) -> bool:
    """Tell whether a model by itself fills the room: rows drawn from it are its points."""
    return isinstance(model, PPCAMixture) and 2 <= model.n_features_in_ <= MOST_COLUMNS


# ---- what the page is told -----------------------------------------------------------------------


def _of_table(item: Item, table: _Table, models: list[Item]) -> dict[str, Any]:
    places = {model.id: _places(model.data, item) for model in models}
    saved = [_saved(model, table.names, places[model.id] or {}) for model in models]
    return _told(table, models=saved, note=table.used)


def _of_model(item: Item) -> dict[str, Any]:
    """Rows drawn from a saved model, over which it lies."""
    names = _names(item.data) or [f"column {j + 1}" for j in range(item.data.n_features_in_)]
    table = _table(names, np.asarray(item.data.sample(DRAWN, random_state=0), np.float64))
    saved = _saved(item, table.names, {name: j for j, name in enumerate(names)})
    return _told(table, models=[saved], k=len(item.data.weights_))


def _of_beaks() -> dict[str, Any]:
    source = "Simulated: 150 beaks of three kinds of birds."
    table = _table(BEAKS, _beaks().data)
    return {**_told(table, source=source, seed=BEAKS_SEED), "scaled": False, "is_table": False}


@cache
def _beaks() -> Item:
    """Return points of three kinds, two of which overlap where only one column is looked at."""
    rng, rows = np.random.default_rng(0), []
    for n, centre, spread, degrees in KINDS:
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        rows.append(centre + (rng.normal(size=(n, 2)) * spread) @ turn.T)
    X = np.concatenate(rows).round(1)
    about = "150 simulated birds × 2 columns"
    return Item(identity(X.tobytes()), "beaks", "table", about, X, built_in=True)


def _told(table: _Table, *, k: int = 3, seed: int = 0, **more: Any) -> dict[str, Any]:
    fine = [j for j, column in enumerate(table.values.T) if len(np.unique(column)) > FEW]
    first = [*fine, *(j for j in range(len(table.names)) if j not in fine)]
    return {
        "names": table.names,
        "values": packed(table.values, "float64"),
        "x": table.names[first[0]],
        "y": table.names[first[1]],
        "k": min(k, 6),
        "seed": seed,
        "scaled": True,
        "is_table": True,
        "models": [],
        **more,
    }


def _saved(item: Item, names: list[str], places: dict[str, int]) -> dict[str, Any]:
    """Return a saved model in the columns that are shown."""
    model, at = item.data, [places[name] for name in names if name in places]
    scale = getattr(model, "scale_", np.ones(model.n_features_in_))[at]
    W = model.loadings_[:, at]  # (k, m, d)
    covariances = W @ W.swapaxes(1, 2)
    covariances += model.noise_variances_[:, None, None] * np.diag(scale**2)
    return {
        "name": item.name,
        "columns": [name for name in names if name in places],
        "weights": packed(model.weights_, "float64"),
        "means": packed(model.means_[:, at], "float64"),
        "covariances": packed(covariances, "float64"),
    }


def _names(model: Any) -> list[str] | None:
    names = vars(model).get("feature_names_in_")
    return None if names is None else [str(name) for name in names]


def _places(model: Any, item: Item) -> dict[str, int] | None:
    """Return where the model has a table's columns; None where it is no model of them."""
    names = _names(model)
    if names is None:
        if model.n_features_in_ != len(item.columns):
            return None
        names = [str(name) for name in item.columns]
    if not set(names) <= set(map(str, item.columns)):
        return None
    return {name: j for j, name in enumerate(names)}


ROOM = Room(
    order=6,
    verb="Cluster points",
    sentence=(
        "Press Step: each point takes the colour of a ring, then each ring moves to its points."
    ),
    equation=(
        '<math displaystyle="true"><mi>p</mi><mo form="prefix" stretchy="false">(</mo>'
        '<mi mathvariant="normal" class="b">x</mi><mo form="postfix" stretchy="false">)</mo>'
        '<mo>=</mo><msubsup><mo movablelimits="false">∑</mo><mrow><mi>c</mi><mo>=</mo>'
        "<mn>1</mn></mrow><mi>K</mi></msubsup><msub><mi>π</mi><mi>c</mi></msub><mi>N</mi>"
        '<mo form="prefix" stretchy="false">(</mo><mi mathvariant="normal" class="b">x</mi>'
        '<mo separator="true">;</mo><msub><mi mathvariant="normal" class="b">μ</mi><mi>c</mi>'
        '</msub><mo separator="true">,</mo><msub><mi mathvariant="normal" class="b">W</mi>'
        '<mi>c</mi></msub><msubsup><mi mathvariant="normal" class="b">W</mi><mi>c</mi>'
        "<mi>T</mi></msubsup><mo>+</mo><msubsup><mi>σ</mi><mi>c</mi><mn>2</mn></msubsup>"
        '<mi mathvariant="normal" class="b">I</mi><mo form="postfix" stretchy="false">)</mo></math>'
    ),
    wants="Open a table with two columns of numbers, or a saved PPCAMixture.",
    words={
        "component": "one group, drawn as a ring; each point comes from one of them",
        "π": "a component's weight: the share of points that come from it",
        "rings": "1 and 2 standard deviations around a component's mean μ",
        "E": "each point takes the colours of the components that may have made it",
        "M": "each component moves to its points",
        "EM": "the steps E and M in turn; the log-likelihood never falls",
        "log-likelihood": "the log probability density of all the points, under the components",
        "nats": "the unit of log p: one nat more is 2.7 times as probable",
        "d": "0: rings are circles; 1: they have a long axis W, and σ across it",
        "maximum": "where no step moves anything; another start may end at a higher one",
    },
    subjects=_subjects,
    refuses=_refuses,
    shows=shows,
)
