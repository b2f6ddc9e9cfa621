"""Gaps filled by LatentTree, against IterativeImputer on one-hot columns and chained regressions.

A table is cut into four fifths to fit and one fifth to fill, ten times. Of the known cells of the
latter a fifth is hidden. Numbers are judged by the root mean square error of their means, in
standard deviations of the training rows; levels by their mean -log p, in nats; all pooled over the
cuts. Beside each row: how many hidden numbers lie in the model's 90% intervals.

The peers see what a user would give them: numbers standardised, levels one-hot, gaps as NaN, in all
columns of a level at once. `IterativeImputer` is scikit-learn's, a Bayesian ridge regression for
each column; what it gives for a level's columns is clipped and made to sum to one. The chain is of
ten rounds: a Bayesian ridge for each column of numbers, a logistic regression for each of levels,
given all other columns as filled by the round before, the levels by their probabilities.

    python -m benchmarks imputation
    python -m benchmarks.imputation FILE.csv ...        other tables, dates as ISO 8601
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge, LogisticRegression

from ancestral import LatentTree, read_table
from ancestral.io import dates_as_numbers
from benchmarks.timing import Row, Timer

HIDDEN = 0.2
SPLITS = 10
ROUNDS = 10  # of the chain
LEAST_P = 1e-3  # of a level by IterativeImputer, whose columns are no probabilities
REPEATED = {"titanic": ["class", "who", "adult_male", "embark_town", "alive", "alone"]}


def rows(timer: Timer) -> Iterator[Row]:
    """One row for each table, judge and peer; the amounts are errors, so that less is better."""
    tables = {"made": made(80)} if timer.tiny else dict(real())
    for name, table in tables.items():
        found = contest(table, 2 if timer.tiny else SPLITS)
        note = (
            f"90% intervals of LatentTree cover {found.coverage:.3f}; CPU s a cut: "
            f"{', '.join(f'{who} {seconds:.2f}' for who, seconds in found.seconds.items())}"
        )
        for judge, unit in (("rmse", "sd"), ("log_loss", "nats")):
            amounts = getattr(found, judge)
            for peer in PEERS:
                yield Row(f"{name}, {judge}", amounts[OURS], peer, amounts[peer], note, unit)
                note = ""


def real() -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables of the data folder that are there."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("ANCESTRAL_DATA", root.parent / "shared" / "data")) / "mixed"
    for name in ("penguins", "titanic"):
        if (folder / f"{name}.csv").exists():
            yield name, read(folder / f"{name}.csv")


def read(path: Path) -> pd.DataFrame:
    """Return a table without the columns that repeat others, dates as days."""
    table = read_table(path, missing=True, dates=True)
    return dates_as_numbers(table.drop(columns=REPEATED.get(path.stem, [])))


def made(n: int) -> pd.DataFrame:
    """Return a small table of two groups, with gaps."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, n)
    table = pd.DataFrame(
        {
            "kind": np.array(["a", "b"], dtype=object)[np.where(rng.random(n) < 0.9, group, 0)],
            "size": rng.normal(3 * group, 1.0),
            "price": np.exp(rng.normal(group, 0.3)),
            "grade": rng.integers(0, 3, n) + group,
        }
    )
    return table.mask(rng.random(table.shape) < 0.05)


# ---- the contest ---------------------------------------------------------------------------------

OURS = "LatentTree"


@dataclass
class Found:
    """Errors by contestant, pooled over the cuts."""

    rmse: dict[str, float] = field(default_factory=dict)
    log_loss: dict[str, float] = field(default_factory=dict)
    coverage: float = np.nan
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    """What a contestant gives: means of numbers and probabilities of levels, by column."""

    means: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]  # (n, L), in the order of the levels
    low: dict[str, np.ndarray] = field(default_factory=dict)
    high: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema:
    """Which columns are numbers, and the levels of the others."""

    numbers: list[str]
    levels: dict[str, list[Any]]


def contest(
    table: pd.DataFrame, n_splits: int = SPLITS, *, seed: int = 0, tell: Any = None
) -> Found:
    """Return the errors of all contestants over cuts of one table."""
    errors: dict[str, list[np.ndarray]] = {}
    losses: dict[str, list[np.ndarray]] = {}
    inside: list[np.ndarray] = []
    spent: dict[str, float] = {}
    for k in range(n_splits):
        rng = np.random.default_rng(seed + k)
        order = rng.permutation(len(table))
        cut = round(0.8 * len(table))
        train = table.iloc[order[:cut]].reset_index(drop=True)
        whole = table.iloc[order[cut:]].reset_index(drop=True)
        hidden = (rng.random(whole.shape) < HIDDEN) & whole.notna().to_numpy()
        rows = whole.mask(hidden)
        for who, fill in {OURS: ours, **PEERS}.items():
            began = time.process_time()
            schema, filled = fill(train, rows, seed + k)
            spent[who] = spent.get(who, 0.0) + (time.process_time() - began) / n_splits
            if who == OURS:
                judged = schema  # its kinds of columns are everybody's
                inside += _inside(whole, hidden, judged, filled)
            errors.setdefault(who, []).extend(_errors(train, whole, hidden, judged, filled))
            losses.setdefault(who, []).extend(_losses(whole, hidden, judged, filled))
        if tell is not None:
            tell(f"cut {k}: {_pooled(errors, losses, inside, spent)}")
    return _pooled(errors, losses, inside, spent)


def _pooled(errors: Any, losses: Any, inside: Any, spent: Any) -> Found:
    def mean(parts: list[np.ndarray]) -> float:
        return float(np.concatenate(parts).mean()) if parts else np.nan

    return Found(
        {who: mean(parts) ** 0.5 for who, parts in errors.items()},
        {who: mean(parts) for who, parts in losses.items()},
        mean(inside),
        spent,
    )


def _errors(train: Any, whole: Any, hidden: Any, schema: Schema, filled: Filled) -> list[Any]:
    """Return squared errors of hidden numbers, in training variances."""
    found = []
    for name in schema.numbers:
        here = hidden[:, whole.columns.get_loc(name)]
        gap = whole[name][here].to_numpy(float) - filled.means[name][here]
        found.append((gap / train[name].astype(float).std(ddof=0)) ** 2)
    return found


def _losses(whole: Any, hidden: Any, schema: Schema, filled: Filled) -> list[Any]:
    """Return -log p of hidden levels."""
    found = []
    for name, levels in schema.levels.items():
        here = np.flatnonzero(hidden[:, whole.columns.get_loc(name)])
        codes = np.array([levels.index(v) if v in levels else -1 for v in whole[name].iloc[here]])
        here, codes = here[codes >= 0], codes[codes >= 0].astype(int)  # of levels seen in the fit
        found.append(-np.log(filled.probabilities[name][here, codes]))
    return found


def _inside(whole: Any, hidden: Any, schema: Schema, filled: Filled) -> list[Any]:
    found = []
    for name in schema.numbers:
        here = hidden[:, whole.columns.get_loc(name)]
        value = whole[name][here].to_numpy(float)
        found.append((filled.low[name][here] <= value) & (value <= filled.high[name][here]))
    return found


# ---- ours ----------------------------------------------------------------------------------------


def ours(train: pd.DataFrame, rows: pd.DataFrame, seed: int) -> tuple[Schema, Filled]:
    """Fill by the default model."""
    model = LatentTree(random_state=seed).fit(train)
    schema = schema_of(model)
    unseen = {name: ~rows[name].isin(levels) for name, levels in schema.levels.items()}
    rows = rows.assign(**{name: rows[name].mask(odd) for name, odd in unseen.items()})
    marginals, ends = model.marginals(rows), model.intervals(rows, 0.9)
    means = {name: marginals[name][:, 0] for name in schema.numbers}
    low = {name: ends[name][:, 0] for name in schema.numbers}
    high = {name: ends[name][:, 1] for name in schema.numbers}
    probabilities = {name: marginals[name] for name in schema.levels}
    return schema, Filled(means, probabilities, low, high)


def schema_of(model: LatentTree) -> Schema:
    """Return which columns the model found to be numbers, and the levels of the others."""
    levels = {c["name"]: c["levels"].tolist() for c in model.columns_ if len(c["levels"])}
    return Schema([c["name"] for c in model.columns_ if c["name"] not in levels], levels)


# ---- peers ---------------------------------------------------------------------------------------


class Coded:
    """A table as peers take it: standardised numbers, and a column for each level."""

    def __init__(self, train: pd.DataFrame) -> None:
        self.schema = found_in(train)
        numbers = train[self.schema.numbers].astype(float)
        self.mean, self.sd = numbers.mean(), numbers.std(ddof=0).replace(0.0, 1.0)
        self.places: dict[str, slice] = {}
        start = len(self.schema.numbers)
        for name, levels in self.schema.levels.items():
            self.places[name] = slice(start, start + len(levels))
            start += len(levels)
        self.width = start

    def __call__(self, table: pd.DataFrame) -> np.ndarray:
        X = np.full((len(table), self.width), np.nan)
        numbers = (table[self.schema.numbers].astype(float) - self.mean) / self.sd
        X[:, : len(self.schema.numbers)] = numbers.to_numpy()
        for name, place in self.places.items():
            levels = self.schema.levels[name]
            known = table[name].isin(levels).to_numpy()
            X[known, place] = 0.0
            codes = [levels.index(value) for value in table[name][known]]
            X[np.flatnonzero(known), place.start + np.array(codes, dtype=int)] = 1.0
        return X

    def filled(self, X: np.ndarray) -> Filled:
        """Return means in the table's units, and the probabilities that stand in the columns."""
        means = {
            name: X[:, j] * self.sd[name] + self.mean[name]
            for j, name in enumerate(self.schema.numbers)
        }
        return Filled(means, {name: X[:, place] for name, place in self.places.items()})


def found_in(train: pd.DataFrame) -> Schema:
    """Return numbers and levels by the model's own rule, so that all contestants see the same."""
    return schema_of(LatentTree(n_states=1, n_trees=1).fit(train))


def iterative(train: pd.DataFrame, rows: pd.DataFrame, seed: int) -> tuple[Schema, Filled]:
    """Fill by scikit-learn's IterativeImputer, all columns of a level unknown together."""
    coded = Coded(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer = IterativeImputer(random_state=seed, max_iter=ROUNDS).fit(coded(train))
        X = imputer.transform(coded(rows))
    for place in coded.places.values():
        clipped = np.clip(X[:, place], LEAST_P, 1.0)
        X[:, place] = clipped / clipped.sum(axis=1, keepdims=True)
    return coded.schema, coded.filled(X)


def chained(train: pd.DataFrame, rows: pd.DataFrame, seed: int) -> tuple[Schema, Filled]:
    """Fill by rounds of regressions, each fitted on the training rows whose own cell is known."""
    coded = Coded(train)
    A, B = coded(train), coded(rows)
    gaps, holes = np.isnan(A), np.isnan(B)
    start = np.nanmean(A, axis=0)  # means, and the levels' shares
    A, B = np.where(gaps, start, A), np.where(holes, start, B)
    places = [slice(j, j + 1) for j in range(len(coded.schema.numbers))]
    for _ in range(ROUNDS):
        for place in [*places, *coded.places.values()]:
            own = np.zeros(coded.width, dtype=bool)
            own[place] = True
            known = ~gaps[:, place.start]
            predict = _regression(A[known][:, ~own], A[known][:, place])
            for X, missing in ((A, gaps), (B, holes)):
                here = missing[:, place.start]
                if here.any():
                    X[here, place] = predict(X[here][:, ~own])
    return coded.schema, coded.filled(B)


def _regression(X: np.ndarray, y: np.ndarray) -> Any:
    """Return what predicts numbers, (n, 1), or the probabilities of levels, (n, L)."""
    if y.shape[1] == 1:
        line = BayesianRidge().fit(X, y[:, 0])
        return lambda Z: line.predict(Z)[:, None]
    codes = y.argmax(axis=1)
    if len(set(codes.tolist())) < 2:
        return lambda Z: np.broadcast_to(y[0], (len(Z), y.shape[1]))
    logistic = LogisticRegression(max_iter=500).fit(X, codes)

    def predict(Z: np.ndarray) -> np.ndarray:
        p = np.full((len(Z), y.shape[1]), 1e-6)  # of a level that no known training row has
        p[:, logistic.classes_] = logistic.predict_proba(Z)
        return p / p.sum(axis=1, keepdims=True)

    return predict


PEERS = {"IterativeImputer on one-hot": iterative, "chained ridge and logistic": chained}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(argument, contest(read(Path(argument)), tell=print))
