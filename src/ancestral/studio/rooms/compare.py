"""The room of comparisons: log densities of the same rows under several models, row by row.

Each table, images or graphs that are open are scored by the saved models that know their columns;
models of the same columns and of one unit (`scores.unlike_measures`) make a subject. Where no saved
model does, fits of several sizes to four fifths of the rows are scored on the last fifth.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral import _catalogue
from ancestral.base import ConditionalDensity
from ancestral.errors import AncestralError, DataError
from ancestral.inputs import counted
from ancestral.io.targets import TARGETS
from ancestral.scores.comparison import MEASURES, unlike_measures
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf, kept_with_item
from ancestral.studio.tables import in_words, left_out

MOST_ROWS = 5_000  # that a plot shows apart, and that models score while one waits
MOST_BYTES = 1_000_000  # of rows, which the page shows one at a time
MOST_COLUMNS = 40  # of a table, the same
LEAST_ROWS = 5  # of which four are fitted to
TRIED = 100  # rows on which a model without names tells whether it is of their columns
SIZES = (1, 2, 4, 8, 16, 32, 64)  # of PPCA, where no saved model is there
STATES = (1, 2, 4, 8, 16)  # of LatentTree, the same
SMOOTHINGS = (0.0, 0.01, 0.1, 1.0)  # of tables, the same


@dataclass(frozen=True)
class Scored:
    """A model with its log density of each row; its mean over the rows of its fit where known."""

    name: str
    model: Any
    values: NDArray[np.float64]
    train: float | None = None
    is_of_these: bool = False  # whether it was fitted to these very rows


# ---- which models know which data ---------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What models are asked: the density of some columns, or of a target given inputs."""

    item: Item
    inputs: tuple[str, ...] | None  # names; None: all columns, by their places
    target: tuple[str, ...] = ()

    def given(self, chosen: NDArray[np.intp]) -> tuple[Any, ...]:
        """Return some rows as models take them."""
        if self.item.kind == "graphs":
            return ([self.item.data[i] for i in chosen],)
        if self.item.kind == "images":
            return (self.item.rows[chosen],)
        frame = self.item.data.iloc[chosen]
        if self.target:
            one = self.target[0] if len(self.target) == 1 else list(self.target)
            inputs = [c for c in frame.columns if c not in self.target]
            X = frame[inputs].to_numpy() if self.inputs is None else frame[list(self.inputs)]
            return X, frame[one].to_numpy()
        if self.inputs is not None:
            return (frame[list(self.inputs)],)
        return (self.item.rows[chosen] if _is_numeric(self.item) else frame.to_numpy(),)


def _is_numeric(item: Item) -> bool:
    return item.kind == "images" or item.rows.shape[1] == item.data.shape[1]


def _question(model: Any, item: Item) -> Question | None:
    """Return what a model can be asked of an item; None where it does not know its columns."""
    entry = _catalogue.entry_of(model)
    if entry is None or (entry.face == "graphs") != (item.kind == "graphs"):
        return None
    if item.kind == "graphs":
        return Question(item, None)
    width = item.rows.shape[1] if item.kind == "images" else item.data.shape[1]
    names = getattr(model, "feature_names_in_", None)
    if not isinstance(model, ConditionalDensity):
        if item.kind == "table" and names is not None:
            return Question(item, tuple(names)) if set(names) <= set(item.data.columns) else None
        return Question(item, None) if model.n_features_in_ == width else None
    if item.kind == "images":
        return None
    target = _target(model, item)
    if names is not None:
        known = target and {*names, *target} <= set(item.data.columns)
        return Question(item, tuple(names), target) if known else None
    fits = target and model.n_features_in_ == width - len(target)
    return Question(item, None, target) if fits else None


def _can_score(model: Any, asked: Question) -> bool:
    """Tell whether a model without names, which may be of any columns, knows such values."""
    kept = asked.item.kept
    if (model, asked) not in kept:
        kept[model, asked] = _scores(model, asked)
    return bool(kept[model, asked])


def _scores(model: Any, asked: Question) -> bool:
    if getattr(model, "feature_names_in_", None) is not None:
        return True
    item = asked.item
    if item.kind == "graphs":
        return True
    some = np.arange(min(TRIED, len(item.rows)))
    if item.kind == "table":
        whole = np.flatnonzero(item.data.iloc[:TRIED].notna().all(axis=1))
        some = whole if len(whole) else some
    try:
        model.log_density(*asked.given(some))
    except AncestralError:
        return False
    return True


def _target(model: Any, item: Item) -> tuple[str, ...]:
    """Return the target's columns: as the fit was told, or by what they are called."""
    told = getattr(model, "target_name_", None)
    columns = list(item.data.columns)
    if isinstance(told, str):
        return (told,) if told in columns else ()
    if told is not None:
        return tuple(told) if set(told) <= set(columns) else ()
    named = [c for c in columns if str(c).lower() in TARGETS]
    return tuple(named) if len(named) == 1 else tuple(columns[1:]) if len(columns) == 2 else ()


def _groups(shelf: Shelf, item: Item) -> list[tuple[Question, list[Item]]]:
    """Return the saved models that know an item, those that can be compared together."""
    found: list[tuple[Question, list[Item]]] = []
    tables = [other for other in shelf.items if other.kind == "tables"]
    for saved in [*shelf.models(), *tables]:
        asked = _question(saved.data, item)
        if asked is None or not _can_score(saved.data, asked):
            continue
        for known, group in found:
            if _are_alike(known, asked, {"a": group[0].data, "b": saved.data}):
                group.append(saved)
                break
        else:
            found.append((asked, [saved]))
    return found


def _are_alike(one: Question, other: Question, models: dict[str, Any]) -> bool:
    if one.target != other.target or unlike_measures(models) is not None:
        return False
    every = one.item.data.columns if one.item.kind == "table" else ()
    columns = [set(q.inputs or every) for q in (one, other)]
    return bool(one.target) or columns[0] == columns[1]  # any inputs may predict a target


# ---- what is shown of an item --------------------------------------------------------------------


def subjects(shelf: Shelf) -> list[Subject]:
    """Return each table, images and graphs with the models that know them."""
    graphs = [item for item in shelf.items if item.kind == "graphs"]
    found: list[Subject] = []
    for item in [*shelf.of_kind("images", "table"), *graphs]:
        groups = _groups(shelf, item)
        for question, saved in groups:
            view = View(question, saved)
            about = f": {view.about}" if len(groups) > 1 else ""
            found.append(view.subject(item.name + about))
        if not groups and item.kind != "graphs" and _why_not_fitted(item) is None:
            found.append(View(Question(item, None)).subject(item.name))
    return found


def refuses(item: Item) -> str | None:
    """Return why an item is not compared here."""
    if item.kind in ("images", "table"):
        return _why_not_fitted(item)
    if item.kind == "graphs":
        return "No saved model of graphs is open to compare."
    entry = _catalogue.entry_of(item.data) if item.kind in ("model", "tables") else None
    if entry is None:
        return None
    if entry.face == "graphs":
        return "No graphs are open to compare it on."
    names = getattr(item.data, "feature_names_in_", None)
    columns = counted(item.data.n_features_in_, "column")
    if names is not None:
        columns += f" ({', '.join(map(str, names[:4]))}{', …' if len(names) > 4 else ''})"
    kind = " with values that it knows" if names is None else ""
    return f"It needs {columns}, and nothing that is open has these columns{kind}."


@kept_with_item
def _why_not_fitted(item: Item) -> str | None:
    """Return why no model is fitted to an item, where none is saved."""
    n = len(item.rows)
    if n < LEAST_ROWS:
        return (
            f"It has {counted(n, 'row')}; {LEAST_ROWS} or more are needed: models are fitted to "
            "four fifths of them, and scored on the rest."
        )
    if item.kind == "table":
        without = View(Question(item, None)).without
        if len(without) == item.data.shape[1]:
            return f"No model can learn from its columns: {in_words(without)}."
    return None


class View:
    """The rows of an item that are scored, and the models that score them."""

    def __init__(self, question: Question, saved: list[Item] | None = None) -> None:
        self.question, self.item, self.saved = question, question.item, saved or []

    @property
    def about(self) -> str:
        """What is compared, in words."""
        if self.question.target:
            return f"“{', '.join(self.question.target)}” given other columns"
        entry = _catalogue.entry_of(self.saved[0].data)
        words = MEASURES[entry.face] if entry is not None else "densities"
        n = len(self.question.inputs or ())
        return f"{words}, {counted(n, 'column')}" if n else words

    def subject(self, name: str) -> Subject:
        return Subject(
            name,
            (self.item, *self.saved),
            self.make,
            later={"rows": self.rows},
            used={self.item.id: self._used} if self._used else {},
        )

    @property
    def _used(self) -> str:
        """What of the rows and columns is scored or fitted to, where it is not all of them."""
        n, said = len(self.out) + len(self.train), []
        if n < self._n:
            said.append(f"{n:,} of {self._n:,} rows, drawn at random (seed 0)")
        if self.without:
            said.append(f"left out: {in_words(self.without)}")
        return "; ".join(said)

    @cached_property
    def without(self) -> dict[Hashable, str]:
        """The columns of a table that are not fitted to, and why."""
        is_fitted = self.item.kind == "table" and not self.saved
        return left_out(self.item.data.iloc[self.train]) if is_fitted else {}

    @cached_property
    def fitted(self) -> Item:
        """What is fitted to: the item, a table without those columns."""
        if not self.without:
            return self.item
        return replace(self.item, data=self.item.data.drop(columns=list(self.without)))

    @property
    def _n(self) -> int:
        return len(self.item.data) if self.item.kind == "graphs" else len(self.item.rows)

    @cached_property
    def out(self) -> NDArray[np.intp]:
        """The rows that are scored, by their places."""
        drawn, n = self._drawn, self._most
        return np.sort(drawn[-max(2, len(drawn) // 5) :][:n] if not self.saved else drawn[:n])

    @cached_property
    def train(self) -> NDArray[np.intp]:
        """The rows that are fitted to where no saved model is there."""
        drawn = self._drawn
        return np.sort(drawn[: -max(2, len(drawn) // 5)]) if not self.saved else drawn[:0]

    @cached_property
    def _drawn(self) -> NDArray[np.intp]:
        return np.random.default_rng(0).permutation(self._n)[:MOST_ROWS]

    @property
    def _most(self) -> int:
        """How many rows the page can be sent."""
        if self.item.kind == "graphs":
            return MOST_ROWS
        is_table = self.item.kind == "table"
        width = min(MOST_COLUMNS, self.item.data.shape[1]) * 8 if is_table else 0
        return max(20, MOST_BYTES // (width or self.item.rows.shape[1]))

    def make(self) -> dict[str, Any]:
        """Return every model's log density of every row."""
        if len(self.out) < 2:
            raise DataError(
                f"{self.item.name} has {counted(self._n, 'row')}: two or more are needed, to tell "
                "how certain a mean is."
            )
        left_out: list[str] = []
        scored = list(self._of_saved(left_out) if self.saved else self._of_fits())
        if not scored:
            raise DataError(
                " ".join(left_out)
                or f"No two columns of {self.item.name} vary in its rows: there is nothing to fit."
            )
        order = sorted(scored, key=lambda s: (np.isneginf(s.values).sum(), -_finite_mean(s.values)))
        unit = {"images": "image", "graphs": "graph"}.get(self.item.kind, "row")
        return {
            "fitted_here": not self.saved,
            "n": len(self.out),
            "n_train": len(self.train),
            "unit": unit,
            "about": self.about if self.saved else "",
            "used": self._used,
            "left_out": left_out,
            "places": packed(self.out + 1, "int32"),
            "models": [_described(s) for s in order],
        }

    def _of_saved(self, left_out: list[str]) -> Iterator[Scored]:
        for saved in self.saved:
            model = saved.data
            try:
                asked = _question(model, self.item) or self.question
                values = model.log_density(*asked.given(self.out))
            except AncestralError as error:
                left_out.append(f"{saved.name} could not score the rows: {error}")
                continue
            total = getattr(model, "log_likelihood_", np.nan)
            train = total / getattr(model, "n_samples_", np.nan)
            is_of_these = bool(np.isclose(values.sum(), total, rtol=1e-9, atol=0))
            known = train if np.isfinite(train) else None
            yield Scored(saved.name, model, values, known, is_of_these)

    def _of_fits(self) -> Iterator[Scored]:
        data = self._given(self.train), self._given(self.out)
        for name, model in self._fits().items():
            train, values = map(model.fit(data[0]).log_density, data)
            yield Scored(name, model, values, float(train.mean()))

    @cached_property
    def _columns_are(self) -> str:
        """What fits take the columns for: "bits", "numbers", or "mixed", with texts and gaps."""
        if self.fitted.is_binary:
            return "bits"
        rows = self.fitted.rows[self.train]
        if not _is_numeric(self.fitted) or not np.isfinite(self.fitted.rows).all():
            return "mixed"
        return "numbers" if np.linalg.matrix_rank(rows - rows.mean(axis=0)) > 2 else "mixed"

    def _given(self, chosen: NDArray[np.intp]) -> Any:
        """Return some rows to fit to or to score."""
        if self._columns_are == "bits":
            return self.fitted.rows[chosen].astype(int)
        is_table = self._columns_are == "mixed" and self.item.kind == "table"
        return self._declared.iloc[chosen] if is_table else self.fitted.rows[chosen]

    @cached_property
    def _declared(self) -> Any:
        """The table, its texts with the levels of all rows: some stand in the last fifth alone."""
        from pandas.api.types import is_string_dtype

        frame = self.fitted.data
        texts = [name for name, column in frame.items() if is_string_dtype(column)]
        repeated = [name for name in texts if 2 * frame[name].nunique() <= len(frame)]
        return frame.astype(dict.fromkeys(repeated, "category"))

    def _fits(self) -> dict[str, Any]:
        """Return models of several sizes, not yet fitted, by their names."""
        from ancestral import PPCA, LatentTree, TabularAutoregressive

        if self._columns_are == "bits":
            return {
                f"Tables, smoothing {s:g}": TabularAutoregressive(smoothing=s) for s in SMOOTHINGS
            }
        if self._columns_are == "numbers":
            rows = self.fitted.rows[self.train]
            most = int(np.linalg.matrix_rank(rows - rows.mean(axis=0))) - 1
            return {f"PPCA, d = {d}": PPCA(d) for d in SIZES if d <= most}
        trees = {k: LatentTree(k, 1, n_sweeps=10, random_state=0) for k in STATES}
        return {f"Tree, {counted(k, 'state')}": tree for k, tree in trees.items()}

    def rows(self) -> dict[str, Any]:
        """Return the scored rows for looking at."""
        if self.item.kind == "images":
            low, high = self.item.data.grey_range
            shares = np.clip((self.item.rows[self.out] - low) / (high - low or 1.0), 0, 1)
            pixels = packed(np.round(255 * shares), "uint8")
            return {"images": pixels, "shape": self.item.data.shape}
        if self.item.kind == "graphs":
            graphs = [self.item.data[i] for i in self.out]
            counts = {"nodes": [g.n_nodes for g in graphs], "links": [g.n_edges for g in graphs]}
            columns = {name: packed(values) for name, values in counts.items()}
            return {"columns": [{"name": n, "numbers": v} for n, v in columns.items()], "more": 0}
        frame = self.item.data.iloc[self.out]
        shown = [_column(name, frame[name]) for name in frame.columns[:MOST_COLUMNS]]
        return {"columns": shown, "more": max(0, frame.shape[1] - MOST_COLUMNS)}


def _column(name: str, values: Any) -> dict[str, Any]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(values) and not is_bool_dtype(values):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        return {"name": str(name), "numbers": packed(numbers, "float64")}
    texts = [None if missing else str(v) for v, missing in zip(values, values.isna(), strict=True)]
    return {"name": str(name), "texts": texts}


def _finite_mean(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else -np.inf


def _described(scored: Scored) -> dict[str, Any]:
    return {
        "name": scored.name,
        "kind": type(scored.model).__name__,
        "n_parameters": getattr(scored.model, "n_parameters_", None),
        # -inf (an impossible row) does not pass through JSON, but passes through base64
        "values": packed(scored.values, "float64"),
        "train": scored.train,
        "is_of_these": scored.is_of_these,
    }


ROOM = Room(
    order=50,
    verb="Compare models",
    sentence=(
        "The model with the longest bar predicts the data best. Press two bars to compare them."
    ),
    equation=(
        '<math displaystyle="true"><mtext>score</mtext><mo>=</mo>'
        "<mfrac><mn>1</mn><mi>n</mi></mfrac>"
        '<msubsup><mo movablelimits="false">∑</mo><mrow><mi>r</mi><mo>=</mo><mn>1</mn></mrow>'
        "<mi>n</mi></msubsup><mi>log</mi><mo>⁡</mo><mi>p</mi>"
        '<mo form="prefix" stretchy="false">(</mo><msub><mi mathvariant="normal" class="b">x</mi>'
        '<mi>r</mi></msub><mo form="postfix" stretchy="false">)</mo></math>'
    ),
    wants="Open a table or images, and saved models of their columns beside them.",
    words={
        "log density": "the log of the density that a model gives a row or an image; higher is "
        "better",
        "nats": "the unit of log density: one nat more is 2.7 times as likely",
        "held out": "not shown to the model when it was fitted: a fair test",
        "bar": "the mean log density of all that is scored here",
        "± and the line": "± is one standard error: how far chance may have moved the mean; the "
        "line through a bar spans two standard errors on each side",
        "○": "the mean over the data of the fit; if it is far beyond the bar, the model has learnt "
        "these data by heart",
        "grey band": "the mean difference (dashed) ± two standard errors: if it contains 0, "
        "chance may explain the difference",
        "PPCA, d": "a model with noise and the d directions in which the data vary most",
    },
    subjects=subjects,
    refuses=refuses,
)
