"""The room of tables: a hidden tree over a table's columns, of which any may be fixed."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ancestral import LatentTree
from ancestral.circuit import queries
from ancestral.circuit.leaves import TAIL, ContinuousLeaf, LevelsLeaf
from ancestral.circuit.messages import Mixture
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf, identity, kept_with_item
from ancestral.studio.tables import in_words, left_out

MOST_COLUMNS = 500  # the page holds the information of each pair, and a density of each column
MOST_NUMBERS = 1_000_000  # transition probabilities: 8 MB, and 10 ms an answer in the browser
MOST_CELLS = 200_000  # of the rows that a tree is fitted to: a few seconds
MOST_STATES, ROWS_A_STATE = 16, 20
SHOWN = 0.998  # of a column's probability, over which its density is drawn
SOURCES = {
    "penguins": "344 penguins of the Palmer archipelago (Gorman, Williams & Fraser, 2014)",
    "diabetes": "442 patients with diabetes (Efron et al., 2004)",
}
PENGUINS = Path(__file__).parents[1] / "penguins.csv"


def _subjects(shelf: Shelf) -> list[Subject]:
    """Return one for each table and each saved tree; built-in tables where there is neither."""
    saved = [item for item in shelf.models(LatentTree) if _refuses(item) is None]
    tables = shelf.of_kind("table")
    if tables and tables[0].built_in:
        tables = [] if saved else [_penguins(), *tables]
    found = [_of_table(item) for item in tables if _refuses(item) is None]
    return found + [
        Subject(item.name, (item,), functools.partial(_document, item.data)) for item in saved
    ]


@functools.cache
def _penguins() -> Item:
    """Return penguins of the Palmer archipelago, as Gorman, Williams & Fraser (2014) measured them.

    Public domain (CC0), by way of Horst, Hill & Gorman (2020), palmerpenguins.
    """
    from ancestral.io.mixed import read_mixed

    frame = read_mixed(PENGUINS, missing=True).frame("pandas")
    about = f"{len(frame)} rows × {len(frame.columns)} columns"
    of = identity(PENGUINS.read_bytes())
    return Item(of, "penguins", "table", about, frame, built_in=True)


def _of_table(item: Item) -> Subject:
    n, d = item.data.shape
    used = _used(n, MOST_CELLS // d)
    return Subject(
        item.name, (item,), functools.partial(_fitted, item), used={item.id: used} if used else {}
    )


def _fitted(item: Item) -> dict[str, Any]:
    """Return one tree, fitted to a table's rows or some of them."""
    whole, most = item.data, MOST_CELLS // item.data.shape[1]
    frame = whole
    if len(frame) > most:
        rows = np.random.default_rng(0).choice(len(frame), most, replace=False)
        frame = frame.iloc[np.sort(rows)]
    frame = frame.dropna(axis="columns", how="all")
    n_states = int(np.clip(len(frame) // ROWS_A_STATE, 2, MOST_STATES))
    model = LatentTree(n_states, 1, random_state=0).fit(frame)
    empty = [str(name) for name in whole.columns if name not in frame.columns]
    found = _document(model)
    return found | {
        "left_out": found["left_out"] + empty,
        "source": SOURCES.get(item.name) if item.built_in else None,
        "used": _used(len(whole), most) or f"{len(frame):,} rows",
    }


def _used(n: int, most: int) -> str | None:
    """Return which rows are used, where not all are."""
    return f"{most:,} of {n:,} rows, drawn at random (seed 0)" if n > most else None


def _document(model: LatentTree) -> dict[str, Any]:
    """Return all of a fitted tree that answers need."""
    mixture, columns = model._mixture, model._columns_learnt
    ends = _ends(mixture)
    described = []
    for i, column in enumerate(columns):
        low, high = ends.get(i, (0.0, 0.0))
        described.append(
            {
                "name": str(column.name),
                "kind": column.kind,
                "of": column.of,
                "levels": [str(level) for level in column.levels.tolist()],
                "scale": column.scale and vars(column.scale) | {"tail": column.scale.tail},
                "grid": column.grid,
                "atoms": column.atoms.tolist(),
                "low": low,
                "high": high,
            }
        )
    members = []
    for member, circuit in zip(model.members_, mixture.circuits, strict=True):
        leaves = [leaf for leaf in circuit.leaves if not isinstance(leaf, LevelsLeaf)]
        moments = np.reshape([leaf.moments() for leaf in leaves], (-1, 2, model.n_states_))
        members.append(
            {"parent": packed(member["parent"], "int32"), "moments": packed(moments, "float64")}
            | {name: packed(held, "float64") for name, held in member.items() if name != "parent"}
        )
    return {
        "columns": described,
        "left_out": [str(name) for name in model.left_out_],
        "tail": TAIL,
        "weights": model.weights_.tolist(),
        "members": members,
        "information": packed(model.information_),
    }


def _ends(mixture: Mixture) -> dict[int, tuple[float, float]]:
    """Return between which numbers the density of each column of numbers is drawn.

    On a logarithmic scale those above 0: an atom that lies there is no place on it.
    """
    nothing = np.full((1, len(mixture.circuits[0].leaves)), np.nan)
    tail = (1 - SHOWN) / 2
    found = {}
    usual = queries.quantiles(mixture, nothing, np.array([tail, 1 - tail]))
    for i, ends in usual.items():
        low, high = ends[0].tolist()
        leaf = mixture.circuits[0].leaves[i]
        if isinstance(leaf, ContinuousLeaf) and leaf.scale.kind == "log" and low <= 0:
            below = sum(
                weight * (circuit.marginals[i] @ circuit.leaves[i].cdf(np.zeros(1))[0])
                for weight, circuit in zip(mixture.weights, mixture.circuits, strict=True)
            )
            low = queries.quantiles(mixture, nothing, np.array([below + tail * (1 - below)]))[i][
                0, 0
            ]
        found[i] = (float(low), float(high) if high > low else float(low) + 1.0)
    return found


@kept_with_item
def _refuses(item: Item) -> str | None:
    """Return why a table or a saved tree is not shown."""
    if item.kind == "table":
        n, d = item.data.shape
        if d < 2:
            return f"A tree needs 2 columns or more, and this table has {d}."
        if d > MOST_COLUMNS:
            return f"The room shows trees of up to {MOST_COLUMNS} columns; this table has {d:,}."
        if n < 2 * ROWS_A_STATE:
            return f"A tree needs {2 * ROWS_A_STATE} rows or more, and this table has {n}."
        if d - len(without := left_out(item.data)) < 2:
            return (
                f"A tree needs 2 columns or more from which it can learn; this table has "
                f"{d - len(without)}: {in_words(without)}."
            )
    if item.kind == "model" and isinstance(item.data, LatentTree):
        model = item.data
        k, d, n_trees = model.n_states_, len(model.columns_), model.n_trees_
        if d > MOST_COLUMNS:
            return f"The room shows trees of up to {MOST_COLUMNS} columns; this tree has {d:,}."
        if n_trees * d * k * k > MOST_NUMBERS:
            return (
                f"The room shows up to {MOST_NUMBERS:,} transition probabilities; this model has "
                f"{n_trees * d * k * k:,}. Fit fewer than {n_trees} trees of {k} states."
            )
    return None


def _shows(model: Any) -> bool:
    return isinstance(model, LatentTree) and _refuses(Item("", "", "model", "", model)) is None


EQUATION = """
<math display="block"><mi>p</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>=</mo>
<msub><mo>∑</mo><mi>z</mi></msub><mi>p</mi><mo>(</mo><msub><mi>z</mi><mtext>root</mtext></msub>
<mo>)</mo><msub><mo>∏</mo><mi>i</mi></msub><mi>p</mi><mo>(</mo><msub><mi>z</mi><mi>i</mi></msub>
<mo>∣</mo><msub><mi>z</mi><mrow><mtext>parent</mtext><mo>(</mo><mi>i</mi><mo>)</mo></mrow></msub>
<mo>)</mo><mspace width="0.3em"/><mi>p</mi><mo>(</mo><msub><mi>x</mi><mi>i</mi></msub><mo>∣</mo>
<msub><mi>z</mi><mi>i</mi></msub><mo>)</mo></math>
"""

ROOM = Room(
    order=7,
    verb="Ask a table",
    sentence=(
        "Fix any column of the table: press a bar, or drag on a curve, and see how the others "
        "change."
    ),
    equation=EQUATION,
    wants="Open a table of 2 columns or more, or a saved LatentTree.",
    words={
        "○": "a hidden state: each column depends on its own, and the states on each other",
        "marginal": "how probable each value of a column is, given what is fixed",
        "outline": "a column as it was before anything was fixed",
        "◆": "a row drawn at random; “odder than 95 % of draws” means that 95 % are more probable",
        "mutual information": "how much one column tells about another, in nats; 0 is nothing",
        "Kullback–Leibler": "how much a column's probabilities changed, in nats; 0 is no change",
        "log p(fixed)": "the log probability density of all fixed values together",
        "0.2 × as likely together as apart": "they occur together a fifth as often as they would "
        "if columns were independent: they contradict each other; above 1 × they go together",
        "nats": "the unit of log p: one nat more is 2.7 times as probable",
    },
    subjects=_subjects,
    refuses=_refuses,
    shows=_shows,
)
