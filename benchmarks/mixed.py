"""Tables of mixed columns: nats lost a row on held-out rows, beside simpler models and StepMix.

`LatentTree` with its defaults, fitted to four fifths of a table's rows, beside independent columns
and latent classes with the same leaves (`ancestral bench mixed`). The amounts are mean losses, -log
density of the test rows, so that less is better: what counts is the difference.

StepMix is given what the tree sees: levels and counts as categories, each continuous column on its
scale (the slope is added to its density) and, where it has atoms, a category beside it for which of
them it is, or none. Of 2 to 32 classes it keeps the number that rows held out prefer among those
whose likelihood stays a number.
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ancestral import LatentTree
from ancestral.bench import mixed
from benchmarks.imputation import made
from benchmarks.timing import Row, Timer

CLASSES = (2, 4, 8, 16, 32)
STARTS = 3
HELD_OUT = 0.15


def rows(timer: Timer) -> Iterator[Row]:
    """One row for each table and peer."""
    if timer.tiny:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "made.csv"
            made(80).to_csv(path, index=False)
            yield from _rows([path])
    else:
        yield from _rows([])


def _rows(sources: list[Path]) -> Iterator[Row]:
    for path in mixed.find_tables(sources):
        cut = mixed.cut_of(path, 0)
        found = mixed.scored(cut, 0)
        note = f"{found.n_trees} trees of {found.n_states} states, {found.cpu_seconds:.0f} CPU s"
        peers = {
            "independent columns": found.independent,
            f"{found.n_classes} latent classes": found.latent_class,
        }
        if importlib.util.find_spec("stepmix") is not None:
            peers |= _stepmix(cut)
        for peer, value in peers.items():
            yield Row(f"{found.name}", -found.log_density, peer, -value, note, "nats")
            note = ""


def _stepmix(cut: mixed.Cut) -> dict[str, float]:
    """Return StepMix's mean log density of the test rows, by a name that says how many classes."""
    from stepmix.stepmix import StepMix

    schema = LatentTree(n_states=1, n_trees=1, **cut.schema).fit(cut.train)
    (train, _), (test, of_test) = (_coded(schema, part) for part in (cut.train, cut.test))
    kinds = [name[0] for name in train]
    order = sorted(range(len(kinds)), key=lambda j: kinds[j])
    X, Z = train.iloc[:, order].to_numpy(), test.iloc[:, order].to_numpy()
    parts = {"a": "categorical_nan", "b": "gaussian_diag_nan"}
    measurement = {
        kind: {"model": model, "n_columns": kinds.count(kind)}
        for kind, model in parts.items()
        if kind in kinds
    }
    held = np.random.default_rng(0).random(len(X)) < HELD_OUT
    best, chosen = -np.inf, 0
    for k in CLASSES:
        value = _fit(StepMix, k, measurement, X[~held], X[held])
        if np.isfinite(value) and value > best:
            best, chosen = value, k
    if not chosen:
        return {}
    value = _fit(StepMix, chosen, measurement, X, Z) + float(of_test.mean())
    return {f"StepMix, {chosen} classes": value} if np.isfinite(value) else {}


def _fit(cls: Any, k: int, measurement: Any, X: np.ndarray, Z: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"n_init": STARTS, "max_iter": 300, "random_state": 0, "progress_bar": 0}
        model = cls(n_components=k, measurement=measurement, verbose=0, **options)
        try:
            return float(model.fit(X).score(Z))
        except (ValueError, np.linalg.LinAlgError, FloatingPointError):
            return np.nan


def _coded(schema: LatentTree, part: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Return columns named a... of categories and b... of numbers, and log slopes of the scales."""
    encoded, found = schema._check_rows(part), {}
    slopes = np.zeros(len(encoded))
    for j, column in enumerate(schema._columns_learnt):
        x = encoded[:, j]
        if column.scale is None:
            found[f"a{j}"] = x
            continue
        which = np.searchsorted(column.atoms, x) if len(column.atoms) else np.zeros(len(x), int)
        own = np.append(column.atoms, np.nan)
        is_atom = own[which] == x
        if len(column.atoms):
            codes = np.where(is_atom, which, len(column.atoms)).astype(float)
            found[f"a{j}"] = np.where(np.isnan(x), np.nan, codes)
        real = ~is_atom & ~np.isnan(x)
        found[f"b{j}"] = np.where(real, column.scale.forward(x), np.nan)
        slopes[real] += column.scale.log_slope(x[real])
    return pd.DataFrame(found), slopes
