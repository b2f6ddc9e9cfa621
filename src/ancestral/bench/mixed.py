"""Tables of mixed columns with gaps: nats a row on held-out rows, above independent columns.

A table is cut into four fifths to fit and one fifth to score, by a seed. `LatentTree` with its
defaults is scored beside two models of the same columns, scales and atoms, and so of the same
measure: independent columns, and latent classes (a hidden tree whose transitions are the identity).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ancestral._files import as_path
from ancestral.bench import latent_class
from ancestral.circuit.latent_tree import LatentTree
from ancestral.errors import DataError, FormatError, printable
from ancestral.io.mixed import read_mixed

PLACES = ("mixed", "data/mixed", "shared/data/mixed", "../shared/data/mixed")
ENDINGS = (".csv", ".csv.gz", ".tsv", ".parquet")
TRAINED = 0.8
FEWEST = 20  # rows
# Columns that repeat others of the same table, or name places by the hundred.
LEFT_OUT = {
    "titanic": ("class", "who", "adult_male", "embark_town", "alive", "alone"),
    "taxis": ("pickup", "dropoff", "total", "pickup_zone", "dropoff_zone"),
}


@dataclass(frozen=True)
class MixedResult:
    """How a table came out; log densities are means over the test rows, in nats.

    Parameters
    ----------
    name : str
    n_train, n_columns, n_test : int
    log_density : float
        Of `LatentTree`.
    standard_error : float
        Of its gain over independent columns, by the paired differences.
    independent, latent_class : float
        Of independent columns, and of latent classes.
    n_classes, n_states, n_trees : int
    cpu_seconds : float
        Of fitting and scoring the tree, all threads of this process.
    """

    name: str
    n_train: int
    n_columns: int
    n_test: int
    log_density: float
    standard_error: float
    independent: float
    latent_class: float
    n_classes: int
    n_states: int
    n_trees: int
    cpu_seconds: float

    @property
    def gain(self) -> float:
        """Nats per row above independent columns."""
        return self.log_density - self.independent

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, and the gain, for JSON."""
        return asdict(self) | {"gain": self.gain}


def bench_mixed(
    sources: Sequence[str | Path],
    *,
    random_state: int = 0,
    tell: Callable[[str], None] | None = None,
) -> Iterator[MixedResult]:
    """Fit and score tables of mixed columns, one result at a time.

    Parameters
    ----------
    sources : sequence of path-like
        Each a table (`.csv`, `.tsv` or `.parquet`), or the name of one, such as "penguins", looked
        for in `$ANCESTRAL_DATA/mixed` and the usual places beside the working folder. None at all:
        every table in the first of those places that has any.
    random_state : int
        Of the cut and of the fits.
    tell : callable, optional
        Given a line of progress now and then.

    Yields
    ------
    MixedResult

    Raises
    ------
    FormatError
        When a name is not found, or a file holds no table.
    DataError
        For a table of fewer than twenty rows.
    """
    for path in find_tables(sources):
        found = scored(cut_of(path, random_state), random_state)
        if tell is not None:
            tell(
                f"{found.name}: {found.n_trees} trees of {found.n_states} states, "
                f"{found.cpu_seconds:.0f} CPU s"
            )
        yield found


def find_tables(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files of tables, by path or by name; FormatError where one is not found."""
    home = os.environ.get("ANCESTRAL_DATA")
    places = [*([Path(home) / "mixed"] if home else []), *map(Path, PLACES)]
    there = {place: _tables_in(place) for place in places if place.is_dir()}
    if not sources:
        found = next((list(tables.values()) for tables in there.values() if tables), None)
        if found is None:
            raise FormatError(f"no table was named, and none was found. {_looked(places)}")
        return found
    return [_found(source, there, places) for source in sources]


def _tables_in(place: Path) -> dict[str, Path]:
    files = sorted(path for path in place.iterdir() if path.name.endswith(ENDINGS))
    return {path.name.partition(".")[0]: path for path in files if path.is_file()}


def _found(source: str | Path, there: dict[Path, dict[str, Path]], places: list[Path]) -> Path:
    path = as_path(source)
    if path.name.endswith(ENDINGS) or os.path.lexists(path):
        return path
    for tables in there.values():
        if path.name in tables:
            return tables[path.name]
    known = sorted({name for tables in there.values() for name in tables})
    seen = f"Found were {', '.join(known)}. " if known else ""
    raise FormatError(f"{path.name}: is no table that was found. {seen}{_looked(places)}")


def _looked(places: list[Path]) -> str:
    return (
        f"Looked in {', '.join(map(str, places))}. Give a path instead, or set ANCESTRAL_DATA to "
        "the folder that holds mixed."
    )


@dataclass(frozen=True)
class Cut:
    """A table's rows to fit and to score, and the kinds and levels of its columns."""

    name: str
    train: Any
    test: Any
    schema: dict[str, Any]


def cut_of(path: Path, random_state: int) -> Cut:
    """Return four fifths of a table's rows, and the rest."""
    name = path.name.partition(".")[0]
    table = read_mixed(path, missing=True, dates=True)
    kept = [j for j, label in enumerate(table.names) if label not in LEFT_OUT.get(name, ())]
    rows = table.chosen(kept).array()
    if len(rows) < FEWEST:
        raise DataError(f"{path}: has {len(rows)} rows; {FEWEST} or more are needed to split them.")
    order = np.random.default_rng(random_state).permutation(len(rows))
    cut = round(TRAINED * len(rows))
    probe = LatentTree(n_states=1, n_trees=1, n_sweeps=1, max_iter=0).fit(rows)
    return Cut(name, rows[order[:cut]], rows[order[cut:]], _schema(probe))


def scored(cut: Cut, random_state: int) -> MixedResult:
    """Fit to a table's training rows, and score the others."""
    train, test = cut.train, cut.test
    began = time.process_time()
    model = LatentTree(random_state=random_state, **cut.schema).fit(train)
    values = model.log_density(test)
    spent = time.process_time() - began
    rng, held = np.random.default_rng(random_state), model._check_rows(test)
    seen = latent_class.Table.of(model, train)
    apart = seen.fitted(1, rng).log_density(held)
    classes = seen.chosen(rng)
    return MixedResult(
        name=cut.name,
        n_train=len(train),
        n_columns=len(model.columns_),
        n_test=len(test),
        log_density=float(values.mean()),
        standard_error=float((values - apart).std(ddof=1) / np.sqrt(len(values))),
        independent=float(apart.mean()),
        latent_class=float(classes.log_density(held).mean()),
        n_classes=classes.n_classes,
        n_states=model.n_states_,
        n_trees=model.n_trees_,
        cpu_seconds=spent,
    )


def _schema(probe: LatentTree) -> dict[str, Any]:
    """Return kinds and levels of all columns, which are the table's own, not the contest's."""
    kinds: list[str] = ["auto"] * probe.n_features_in_
    levels: list[Any] = [None] * probe.n_features_in_
    for column in probe.columns_:
        kinds[column["place"]] = column["kind"]
        if len(column["levels"]) and column["levels"].dtype.kind != "f":
            levels[column["place"]] = column["levels"]
    return {"column_types": kinds, "categories": levels}


# ---- printing ------------------------------------------------------------------------------------


def print_mixed(results: Iterable[MixedResult], console: Any = None) -> list[MixedResult]:
    """Print a table of results as they come.

    Parameters
    ----------
    results : iterable of MixedResult
        As `bench_mixed` yields them.
    console : rich.console.Console, optional
        Where to; stdout if None.

    Returns
    -------
    list of MixedResult
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    head = f"{'table':12s} {'rows':>7s} {'cols':>5s} {'independent':>11s} {'classes':>14s}"
    head += f" {'tree':>14s} {'gain':>7s} {'s.e.':>6s} {'CPU s':>6s}"
    done: list[MixedResult] = []
    for r in results:
        if not done:  # what cannot be read is said before any table
            console.print(head, soft_wrap=True)
        done.append(r)
        classes = f"{r.latent_class:.3f} ({r.n_classes})"
        tree = f"{r.log_density:.3f} ({r.n_trees} x {r.n_states})"
        console.print(
            f"{printable(r.name):12s} {r.n_train:7d} {r.n_columns:5d} {r.independent:11.3f} "
            f"{classes:>14s} {tree:>14s} {r.gain:7.3f} {r.standard_error:6.3f} "
            f"{r.cpu_seconds:6.1f}",
            soft_wrap=True,
            markup=False,
        )
    console.print(
        "Mean log density of the test rows in nats, by independent columns, latent classes (how "
        "many) and LatentTree (trees x states), all of the same columns, scales and atoms; the "
        "tree's gain over independent columns, with its standard error.",
        soft_wrap=True,
    )
    return done
