"""Thousands of tables as people hand them over: right, or refused in words that help.

Each table (`frames.py`) knows what it holds. A model asked with it must answer as it does when the
same values come in a plain array, or refuse by one `AncestralError` that says where or what to do.
What comes in usual types must not be refused where the plain array is not.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import BernoulliNB
from threadpoolctl import threadpool_limits

from ancestral import (
    PPCA,
    AncestralError,
    ChainAutoregressive,
    HeteroscedasticGaussian,
    LinearGaussian,
    OrderMixture,
    PPCAMixture,
    TabularAutoregressive,
)
from ancestral._checks.frames import declared_levels, form_of
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.base import ConditionalDensity
from ancestral.conditions import Conditions
from tests.trust.frames import Frame, column, frame

FEW, MANY, PARTS = 2_000, 20_000, 8
# A place, or what to do: one of them stands in every refusal.
HELPS = re.compile(
    r"\b(row|column|index|part|shape|dim) ?\(?\d|column '|at least|must (be|have)|wanted|"
    r"\b(give|drop|recode|rename|name|convert|encode|decode|make|reshape|draw|fit|use|choose|ask|pass|required)\b",
    re.IGNORECASE,
)
MODELS: list[tuple[float, Callable[[], Any]]] = [
    (0.30, lambda: TabularAutoregressive(smoothing=0.5)),
    (0.05, TabularAutoregressive),
    (0.02, lambda: OrderMixture(TabularAutoregressive(smoothing=0.5), n_orders=2, random_state=0)),
    (0.02, lambda: ChainAutoregressive(BernoulliNB(), n_components=1, random_state=0)),
    (0.15, lambda: PPCA(1)),
    (0.10, lambda: PPCA(0)),
    (0.03, lambda: PPCAMixture(1, 0, n_starts=1, random_state=0)),
    (0.30, LinearGaussian),
    (0.03, HeteroscedasticGaussian),
]
Answer = tuple[str, Any]


def answer(call: Callable[[], Any]) -> Answer:
    """Return ("gave", what a call gives) or ("refused", its words); other errors pass through."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "gave", call()
    except AncestralError as error:
        return "refused", str(error)


def same(one: Any, two: Any) -> bool:
    """Tell whether two answers are the same values, numbers within rounding."""
    one, two = np.asarray(one), np.asarray(two)
    if one.shape != two.shape:
        return False
    if one.dtype.kind in "biuf" and two.dtype.kind in "biuf":
        with np.errstate(all="ignore"):
            return bool(np.allclose(one, two, rtol=1e-6, atol=1e-9, equal_nan=True))
    pairs = zip(one.ravel().tolist(), two.ravel().tolist())
    return all(a == b or (a != a and b != b) for a, b in pairs)


def plain_forms(table: Frame, *, levels: bool) -> list[np.ndarray]:
    """Return the table's values as plain arrays, any of which is its equal; [] if it has none."""
    if table.is_odd or not table.columns:
        return []
    if levels:
        return [table.objects()]
    numbers = table.numbers()
    if numbers is None:
        return []
    # Sums depend on the order of memory, in their last bits: so does what is nearly singular.
    forms = [numbers, np.asfortranarray(numbers)]
    return forms + [form.astype(np.float32) for form in forms if table.single]


def filled(X: np.ndarray) -> np.ndarray:
    """Return an array with its gaps filled by what its columns hold."""
    whole = X.copy()
    for j in range(X.shape[1]):
        gaps = np.array([v != v for v in X[:, j]], dtype=bool)
        known = X[~gaps, j]
        whole[gaps, j] = known[0] if len(known) else 1
    return whole


def one_row(table: Frame, i: int) -> list[Any]:
    """Return row i in the forms that its container gives rows in."""
    held = table.held
    try:
        if hasattr(held, "iloc"):
            return [held.iloc[i], held.iloc[[i]]]
        if hasattr(held, "to_pylist"):
            return [held.slice(i, 1), held.slice(i, 1).to_pylist()[0]]
        if hasattr(held, "row"):
            return [held.row(i, named=True), held[i : i + 1], held.row(i)]
        return [held[i]]
    except Exception:  # no table, one not computed, or a row that pandas can't give
        return [held]


def verdict(found: Answer, wanted: list[Answer], *, must_take: bool) -> str | None:
    """Say what is wrong with an answer; None where nothing is."""
    word, value = found
    if word == "refused":
        if not HELPS.search(value):
            return f"a refusal without a place or a mend: {value}"
        if must_take and wanted and all(word == "gave" for word, _ in wanted):
            return f"refused, though the plain array is taken: {value}"
        return None
    if any(word == "gave" and same(value, other) for word, other in wanted):
        return None
    return f"gave {str(value)[:150]}, where the plain array {wanted and str(wanted[0])[:150]}"


def drawn_of(tables: Any) -> np.ndarray:
    """Return the last of completed tables as an array."""
    return np.asarray(tables[-1])


class Trial:
    """What one seed's table becomes in one model.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([7, seed])
        self.table = frame(seed)
        shares = [share for share, _ in MODELS]
        self.make = MODELS[int(self.rng.choice(len(MODELS), p=shares))][1]
        model = self.make()
        self.levels = isinstance(model, DiscreteDensity)
        self.plain = plain_forms(self.table, levels=self.levels)
        self.wrong: list[str] = []
        self.gave = 0
        if isinstance(model, ConditionalDensity):
            self.y = column(seed, len(self.table))
            self._pairs(model)
        else:
            self._rows(model)

    def ask(self, what: str, call: Callable[[Any], Any], held: Any, plain: list[Any]) -> None:
        """Ask with the table, and with each of its plain forms."""
        try:
            found = answer(lambda: call(held))
        except Exception as error:
            self.wrong.append(f"{what}: a foreign {type(error).__name__}: {str(error)[:200]}")
            return
        self.gave += found[0] == "gave"
        wanted = [answer(lambda form=form: call(form)) for form in plain]
        if (wrong := verdict(found, wanted, must_take=self.table.plain)) is not None:
            self.wrong.append(f"{what}: {wrong}")

    def _complete(self, X: Any) -> Any:
        """Return complete rows to ask with: of the plain array, else what was handed over."""
        return filled(self.plain[0]) if self.plain else X

    def _fitted(self, model: Any, *rest: Any) -> Any:
        """Return a model fitted to the values of the table, its gaps filled; None where refused."""
        if not self.plain:
            d = max(1, len(self.table.columns))
            X = self.rng.normal(size=(20, d))
            X = np.arange(20 * d).reshape(-1, d) * 7 % 3 if self.levels else X
            rest = tuple(self.rng.normal(size=20) for _ in rest)
        else:
            X = filled(self.plain[0])
        names = self.table.names
        if names and len(set(names)) == len(names) and all(isinstance(n, str) for n in names):
            pl = pytest.importorskip("polars")
            X = pl.DataFrame({name: X[:, j].tolist() for j, name in enumerate(names)}, strict=False)
        word, model = answer(lambda: model.fit(X, *rest))
        return model if word == "gave" else None

    def _rows(self, model: Any) -> None:
        held = self.table.held
        if self.rng.random() < 0.5:

            def fit(X: Any) -> Any:
                model = self.make()
                if self.levels and isinstance(X, np.ndarray):  # which has no type to declare them
                    levels = declared_levels(form_of(held), len(self.table.columns))
                    model.set_params(categories=levels if any(map(np.ndim, levels)) else None)
                return model.fit(X).log_density(self._complete(X))

            self.ask("fit", fit, held, self.plain)
            return
        if (model := self._fitted(model)) is None:
            return
        calls: dict[str, Callable[[Any], Any]] = {"log_density": model.log_density}
        if isinstance(model, Conditions):
            calls["impute"] = model.impute
            calls["draws"] = lambda X: drawn_of(model.impute_draws(X, 2, random_state=0))
            calls["marginals"] = lambda X: np.hstack(list(model.marginals(X).values()))
        what = str(self.rng.choice([*calls, "sample", "sample"]))
        if what != "sample":
            self.ask(what, calls[what], held, self.plain)
        elif len(self.table) and "no table" not in self.table.form:  # whose items may be rows
            i = int(self.rng.integers(len(self.table)))
            rows = one_row(self.table, i)
            row = Frame(None, [[c[i]] for c in self.table.columns], None, "", plain=True)
            self.ask(
                "sample",
                lambda given: model.sample(3, given=given, random_state=0),
                rows[int(self.rng.integers(len(rows)))],
                [form[0] for form in plain_forms(row, levels=self.levels)],
            )

    def _pairs(self, model: Any) -> None:
        held, y = self.table.held, self.y
        numbers = y.numbers()
        targets = [] if y.is_odd or numbers is None else [numbers[:, 0]]
        if self.rng.random() < 0.6:
            both = [(X, t) for X in self.plain for t in targets]
            self.table.plain &= y.plain
            self.ask(
                f"fit with {y.form}",
                lambda Xy: self.make().fit(*Xy).predict(self._complete(Xy[0])),
                (held, y.held),
                both,
            )
            return
        n = len(self.plain[0]) if self.plain else 0
        if (model := self._fitted(model, self.rng.normal(size=n))) is None:
            return
        if self.rng.random() < 0.7:
            self.ask("predict", lambda X: model.predict(X, return_std=True), held, self.plain)
        elif self.plain:
            X = filled(self.plain[0])
            self.table.plain = y.plain
            self.ask(f"log_density of {y.form}", lambda t: model.log_density(X, t), y.held, targets)


def failures(seeds: range) -> tuple[list[str], Counter[str]]:
    """Return what went wrong, each with its seed, and how many answers there were of each kind."""
    wrong, seen = [], Counter[str]()
    for seed in seeds:
        trial = Trial(seed)
        name = type(trial.make()).__name__
        seen["tables"] += 1
        seen["answered"] += trial.gave
        wrong += [f"seed {seed}, {name}, {trial.table.form}: {text}" for text in trial.wrong]
    return wrong, seen


@pytest.mark.parametrize("part", range(PARTS))
def test_tables_in_any_form_are_right_or_refused(
    part: int, long: bool, note: Callable[[str, str], None]
) -> None:
    size = (MANY if long else FEW) // PARTS
    with threadpool_limits(1):
        wrong, seen = failures(range(part * size, (part + 1) * size))
    note(f"fuzz of frames, part {part}", f"{len(wrong)} wrong of {seen['tables']:,}")
    assert not wrong, "\n".join(wrong[:20])
    # Neither a model that refuses all nor one that takes all would be tested by this.
    assert 0.25 * size < seen["answered"] < 0.75 * size, seen


# ---- what comes out ------------------------------------------------------------------------------


OUT: list[Callable[[], Any]] = [
    lambda: TabularAutoregressive(smoothing=0.5),
    lambda: TabularAutoregressive(smoothing=0.5, missing="level"),
    lambda: OrderMixture(TabularAutoregressive(smoothing=0.5), n_orders=2, random_state=0),
    lambda: PPCA(1),
    lambda: PPCA(0),
]


def types_of(held: Any) -> list[Any]:
    return list(held.dtypes) if hasattr(held, "dtypes") else list(held.schema)


def labels_of(held: Any) -> list[str]:
    return [str(name) for name in (held.columns if hasattr(held, "dtypes") else held.schema.names)]


def wrongly_given_back(seed: int) -> tuple[list[str], int]:
    """Say what is wrong with what a model of one table gives back; and how often it gave frames."""
    table, wrong, n = frame(seed), [], 0
    make = OUT[int(np.random.default_rng([5, seed]).integers(len(OUT)))]
    word, model = answer(lambda: make().fit(table.held))
    if word == "refused" or model._frame_in is None:
        return [], 0
    asked: dict[str, Callable[[], Any]] = {
        "sample": lambda: model.sample(30, random_state=0),
        "impute": lambda: model.impute(table.held),
        "impute_draws": lambda: model.impute_draws(table.held, 1, random_state=0)[0],
    }
    for what, call in asked.items():
        word, given = answer(call)
        if word == "refused":
            wrong.append(f"{what} is refused: {given}")
            continue
        n += 1
        if type(given) is not type(table.held) or labels_of(given) != labels_of(table.held):
            wrong.append(f"{what} gives {type(given).__name__} {labels_of(given)}")
        if isinstance(model, DiscreteDensity) and types_of(given) != types_of(table.held):
            wrong.append(f"{what} gives {types_of(given)}")
        word, again = answer(lambda given=given: make().fit(given))
        if word == "refused" and not re.search("rows|variance|rank|in every row", again):
            wrong.append(f"what {what} gives is not fitted again: {again}")
    word, found = answer(lambda: model.marginals(table.held))
    if word == "refused" or len(found) != len(table.columns):
        wrong.append(f"marginals: {found}")
    return [f"seed {seed}, {type(model).__name__}, {table.form}: {text}" for text in wrong], n


@pytest.mark.parametrize("part", range(PARTS))
def test_frames_of_any_kind_come_back(
    part: int, long: bool, note: Callable[[str, str], None]
) -> None:
    size = (MANY if long else FEW) // PARTS
    wrong, n = [], 0
    with threadpool_limits(1):
        for seed in range(part * size, (part + 1) * size):
            found, given = wrongly_given_back(seed)
            wrong, n = wrong + found, n + given
    note(f"frames given back, part {part}", f"{len(wrong)} wrong of {n:,}")
    assert not wrong, "\n".join(wrong[:20])
    assert n > 0.5 * size
