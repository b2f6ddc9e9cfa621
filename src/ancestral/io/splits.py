"""Benchmark sets of density estimation: binary tables in three parts, found by name or by path.

    NAME.npz                                              arrays train, valid and test
    NAME.train.data (or .ts.data), NAME.valid.data, NAME.test.data    zeros, ones and commas

The second is the layout of the Density Estimation Benchmark Datasets (DEBD; Lowd & Davis 2010, Van
Haaren & Davis 2012) as they are handed around. Beside the sets a `published.json` may hold other
models' mean test log-likelihoods in nats, {"method": {"set": number}}.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ancestral._files import as_path, entries_of, is_folder, open_regular
from ancestral.errors import DataError, FormatError
from ancestral.io.arrays import read_array

PARTS = ("train", "valid", "test")
TEXT_NAMES = {"train": ("train", "ts"), "valid": ("valid",), "test": ("test",)}
PLACES = ("debd", "data/debd", "shared/data/debd", "../shared/data/debd", "DEBD/datasets")
# Mean test log-likelihoods of hidden Chow-Liu trees, in nats.
HCLT = {
    "nltcs": -5.999,
    "plants": -14.265,
    "jester": -52.376,
    "accidents": -26.736,
    "dna": -79.051,
}
HCLT_SOURCE = (
    "hidden Chow-Liu trees; figures from the logs of "
    "github.com/UCLA-StarAI/Tractable-PC-Regularization"
)


@dataclass(frozen=True)
class Splits:
    """One benchmark set: three binary tables with the same columns."""

    name: str
    train: NDArray
    valid: NDArray
    test: NDArray


@dataclass(frozen=True)
class Published:
    """Another model's mean log-likelihood of a set's test rows, in nats, and who says so."""

    method: str
    log_density: float
    source: str


# ---- finding them ----------------------------------------------------------------------------


def find_all(sources: Sequence[str | Path]) -> list[dict[str, Path]]:
    """Return the files of every set that the sources name.

    Parameters
    ----------
    sources : sequence of path-like
        Paths, as `find_sets` takes them, or names of sets, such as "nltcs", that lie in one of
        the usual places; none at all means every set there.

    Raises
    ------
    FormatError
        When a name is found in no place, or a path holds no set.
    """
    if sources:
        return [found for source in sources for found in _named_or_path(source)]
    for place in places():
        if found := list(_sets_in(place)):
            return found
    raise FormatError(f"no benchmark set was named, and none was found. {_where_looked()}")


def places() -> list[Path]:
    """Return the folders in which sets are looked for by name, best first."""
    home = os.environ.get("ANCESTRAL_DATA")
    own = [Path(home) / "debd", Path(home)] if home else []
    return [place for place in [*own, *map(Path, PLACES)] if place.is_dir()]


def _where_looked() -> str:
    home = os.environ.get("ANCESTRAL_DATA")
    variable = f"$ANCESTRAL_DATA ({home})" if home else "$ANCESTRAL_DATA (not set)"
    return (
        f"Looked in {variable}, its debd, and ./{', ./'.join(PLACES)}. Give a path instead, or set "
        "ANCESTRAL_DATA to the folder that holds debd."
    )


def _named_or_path(source: str | Path) -> list[dict[str, Path]]:
    """Return the sets of a path, or the one set of that name."""
    path = as_path(source)
    is_path = os.path.lexists(path) or path.name != str(source) or path.suffix in (".npz", ".data")
    if is_path:
        return find_sets(path)
    known: list[str] = []
    for place in places():
        here = {name_of(found): found for found in _sets_in(place)}
        if path.name in here:
            return [here[path.name]]
        known += here
    near = difflib.get_close_matches(path.name, known, n=1)
    there = f"Found were {', '.join(sorted(set(known)))}. " if known else ""
    raise FormatError(
        f"{path.name}: is no file, no folder, and no set that was found. "
        + (f"Did you mean {near[0]}? " if near else "")
        + there
        + _where_looked()
    )


def name_of(paths: dict[str, Path]) -> str:
    """Return a set's name from its files."""
    return paths["train"].name.split(".")[0]


def _sets_in(place: Path) -> Iterator[dict[str, Path]]:
    """Yield the sets in a folder and one folder below, each name once."""
    seen = set()
    for path in sorted([*place.glob("*"), *place.glob("*/*")], key=lambda p: (len(p.parts), p)):
        if os.path.isfile(path) and _names_a_set(path):
            for found in find_sets(path):
                if name_of(found) not in seen:
                    seen.add(name_of(found))
                    yield found


def find_sets(source: str | Path) -> list[dict[str, Path]]:
    """Return the files of each set that a path names: one file for all parts, or one for each.

    Parameters
    ----------
    source : path-like
        A `.npz` file, any one file of the text layout, or a folder of either, at any depth.

    Raises
    ------
    FormatError
        When it holds no set, or a set lacks a part.
    """
    source = as_path(source)
    if is_folder(source):
        entries_of(source)  # a closed one holds nothing that is seen
        files = sorted(path for path in source.rglob("*") if os.path.isfile(path))
        found = [sets for path in files if _names_a_set(path) for sets in find_sets(path)]
        if not found:
            raise FormatError(
                f"{source}: holds no benchmark set. Give NAME.npz files with train, valid and "
                "test, or NAME.train.data, NAME.valid.data and NAME.test.data."
            )
        return [paths for i, paths in enumerate(found) if paths not in found[:i]]
    open_regular(source).close()
    if source.suffix == ".npz":
        return [dict.fromkeys(PARTS, source)]
    stem = re.sub(r"\.(ts|train|valid|test)\.data$", "", source.name)
    if stem == source.name:
        raise FormatError(f"{source}: is no .npz file and is not named NAME.train.data.")
    paths = {}
    for part, spellings in TEXT_NAMES.items():
        candidates = [source.with_name(f"{stem}.{spelling}.data") for spelling in spellings]
        there = [path for path in candidates if os.path.isfile(path)]
        if not there:
            raise FormatError(f"{candidates[0]}: is missing; a set has train, valid and test.")
        paths[part] = there[0]
    return [paths]


def _names_a_set(path: Path) -> bool:
    """Tell whether a file found in a folder is a set, or the first of a set's three."""
    if path.suffix != ".npz":
        return path.name.endswith((".train.data", ".ts.data"))
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{part}.npy" for part in PARTS} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return True  # reading it will say what is wrong


# ---- what others reached ---------------------------------------------------------------------


def published(paths: dict[str, Path]) -> Published | None:
    """Return a figure published for a set: hidden Chow-Liu trees', or else the best from beside it.

    Raises
    ------
    FormatError
        When the `published.json` beside it is no JSON.
    """
    name, beside = name_of(paths), paths["train"].with_name("published.json")
    if name in HCLT:
        return Published("HCLT", HCLT[name], HCLT_SOURCE)
    if not os.path.isfile(beside):
        return None
    try:
        with open_regular(beside) as file:
            figures = json.loads(file.read())
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{beside}: is no JSON ({error}). Mend it or move it away.") from None
    values = {
        method: of_sets[name]
        for method, of_sets in (figures.items() if isinstance(figures, dict) else ())
        if isinstance(of_sets, dict) and isinstance(of_sets.get(name), int | float)
    }
    if not values:
        return None
    method = max(values, key=lambda method: values[method])
    return Published(method.upper(), float(values[method]), str(beside))


# ---- reading them ----------------------------------------------------------------------------


def read_splits(paths: dict[str, Path]) -> Splits:
    """Read the three parts of a set.

    Raises
    ------
    FormatError, DataError
        When the three parts differ in width, or hold other values than 0 and 1.
    """
    tables = {}
    for part in PARTS:
        path = paths[part]
        is_archive = path.suffix == ".npz"
        table = read_array(path, key=part) if is_archive else _read_zeros_and_ones(path)
        if table.ndim != 2 or not len(table):
            raise DataError(f"{path}: {part} has shape {table.shape}; give a table of rows.")
        wrong = (table != 0) & (table != 1)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{path}: {part} holds {table[row, column]:g} at row {row}, column {column}; the "
                "benchmark's sets hold 0 and 1."
            )
        tables[part] = table.astype(np.uint8)
    widths = {part: table.shape[1] for part, table in tables.items()}
    if len(set(widths.values())) > 1:
        raise DataError(f"{paths['train']}: its parts differ in width: {widths}.")
    return Splits(name_of(paths), **tables)


def _read_zeros_and_ones(path: Path) -> NDArray:
    """Read the original text layout: one row a line, single digits, commas (or blanks) between."""
    with open_regular(path) as file:
        data = file.read()
    if not data.strip():
        raise FormatError(f"{path}: file is empty ({len(data)} bytes).")
    rows = data.replace(b" ", b",").split()
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise FormatError(
                f"{path}: line {number} has {len(row)} characters, line 1 has {width}. Rows must "
                "be single digits with commas between them."
            )
    characters = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
    table = characters[:, ::2].astype(np.int16) - ord("0")
    if (characters[:, 1::2] != ord(",")).any() or (table < 0).any() or (table > 9).any():
        raise FormatError(f"{path}: holds more than single digits with commas between.")
    return table
