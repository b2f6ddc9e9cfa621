"""Data that are read part by part: folders, patterns and addresses, and files beyond memory."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ancestral._catalogue import Face
from ancestral._files import is_folder
from ancestral.cli.data import entry_of, graph_options, listed, target_among
from ancestral.cli.reading import Reading
from ancestral.cli.terminal import say
from ancestral.errors import DataError, ModelError

SHARE = 8  # a file above this part of the machine's memory is not read at once
TABLES = (".parquet", ".pq", ".csv", ".tsv", ".npy")
OF_PARTS = {"target", "missing", "sep", "decimal", "thousands", "encoding", "text"}
OF_GRAPHS = {"attributes", "categorical", "directed", "multiple", "loops", "weights", "weight"}


def is_large(data: str | None) -> bool:
    """Tell whether data are read part by part: what has no name of its own, or is too large."""
    if data is None or data.startswith("@"):
        return False
    if "://" in data:
        return True
    if is_folder(data):
        return not _holds_pictures(Path(data))
    if not os.path.lexists(data):
        return glob.has_magic(data)
    return data.lower().endswith(TABLES) and os.path.getsize(data) * SHARE > _memory()


def _holds_pictures(folder: Path) -> bool:
    """Tell whether a folder is one of pictures, which are read at once."""
    try:
        names = {entry.suffix.lower() for entry in folder.iterdir()}
    except OSError:
        return False
    return bool(names & {".png", ".jpg", ".jpeg"}) and not names & set(TABLES)


def _memory() -> int:
    """Return the bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not told
        return 8 << 30


def source_of(
    data: str,
    reading: Reading,
    face: Face,
    columns: Sequence[str] | None = None,
    model: Any = None,
) -> Any:
    """Return data as a source of parts, as a fitted model wants them where there is one; columns
    are those to be read where data have names.
    """
    from ancestral.streaming.made import Made
    from ancestral.streaming.sources.paths import source_of_paths

    taken = OF_GRAPHS if face == "graphs" else OF_PARTS
    for one in fields(Reading):
        given = getattr(reading, one.name)
        if given != one.default and one.name not in taken:
            raise click.UsageError(
                f"--{one.name.replace('_', '-')} has no use with {data}, which is read part by "
                "part."
            )
    if face == "graphs":
        return source_of_paths(data, graphs=graph_options(reading) or True)
    how: dict[str, Any] = {
        name: value for name, value in reading.dialect.items() if name in OF_PARTS
    }
    if reading.text is not None:
        how["types"] = dict.fromkeys(listed(reading.text), "text")
    how |= {"dates": True} if face == "mixed" and model is None else {"like": model}
    try:
        source = source_of_paths(data, columns=columns, **how)
    except ModelError:
        if columns is None:
            raise
        source = source_of_paths(data, **how)  # without names
    gaps = reading.missing or face not in ("discrete", "continuous")
    return source if gaps else Made(source, complete)


def pairs_in(data: str, reading: Reading, model: Any = None) -> tuple[Any, str]:
    """Return a source of inputs and a target, and the target's name; of arrays the last column."""
    from ancestral.io.targets import place_of_target
    from ancestral.streaming.made import Made

    source = source_of(data, reading, "conditional")
    names = getattr(getattr(source, "schema", None), "names", None)
    if names is None:
        if reading.target is not None:
            raise click.UsageError(f"{data}: has no column names: its last column is the target.")
        return Made(source, last_column), "last column"
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is None:
        return source, names[place_of_target(reading.target, names, data)]
    learnt = getattr(model, "target_name_", None)
    return source, target_among(data, reading.target, learnt, names, [*map(str, wanted)])


def complete(rows: Any) -> Any:
    """Return rows, or say where they have a gap."""
    import numpy as np

    from ancestral.streaming.filling import masks_of

    for name, gaps in masks_of(rows).items():
        if gaps.any():
            raise DataError(
                f"column {name!r} is missing at row {int(np.argmax(gaps))} ({int(gaps.sum())} "
                "gaps); fill them, drop the rows, or pass missing=True."
            )
    return rows


def last_column(rows: Any) -> tuple[Any, Any]:
    """Return inputs and target."""
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise DataError(
            f"rows have shape {rows.shape}; inputs and a target are wanted, (n, k + 1), the target "
            "in the last column."
        )
    return rows[:, :-1], rows[:, -1]


def fitted_in_parts(
    model: Any, face: Face, data: str, reading: Reading, kept: dict[str, Any]
) -> str | None:
    """Fit a model to data part by part; return the name of the target where there is one."""
    from ancestral.streaming import fit_chunks

    if face != "conditional":
        fit_chunks(model, source_of(data, reading, face), verbose=sys.stderr.isatty(), **kept)
        return None
    source, target = pairs_in(data, reading)
    fit_chunks(model, source, target=target, verbose=sys.stderr.isatty(), **kept)
    return target


class Tally:
    """What log densities say of a model, of parts one after the other."""

    def __init__(self) -> None:
        self.n = self.n_impossible = 0
        self.total = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what `scores_of` says of all of them."""
        return {
            "n": self.n,
            "mean_log_density": self.total / self.n,
            "total_log_density": self.total,
            "n_impossible": self.n_impossible,
        }

    def of(self, answers: Any) -> Any:
        """Yield answers, and count them."""
        for answer in answers:
            self.n += len(answer.rows)
            self.total += float(answer.rows.sum())
            self.n_impossible += int((answer.rows == -float("inf")).sum())
            yield answer


def own_names(model: Any) -> list[str] | None:
    """Return the names of a model's columns, where they have any."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [*map(str, names)]


def scored(model: Any, data: str, reading: Reading, *, verbose: bool) -> Any:
    """Yield the log densities of data part by part."""
    from ancestral.streaming import writing

    face = entry_of(model).face
    if face == "conditional":
        source, target = pairs_in(data, reading, model)
        return writing.scored(model, source, target=target, verbose=verbose)
    source = source_of(data, reading, face, own_names(model), model)
    return writing.scored(model, source, verbose=verbose)


def shows(*, as_json: bool) -> bool:
    """Tell whether progress is shown."""
    return not as_json and sys.stderr.isatty()


def refuse_of_parts(data: str, **options: Any) -> None:
    """Refuse options that need all rows at once."""
    for name, given in options.items():
        if given:
            raise click.UsageError(
                f"--{name.replace('_', '-')} has no use with {data}, which is read part by part."
            )


def write_answers(
    output: Any, answers: Any, *, data: str, what: str = "", as_json: bool = False
) -> tuple[int, int]:
    """Write answers as they come, and say so; return the gaps that were filled, and their rows."""
    from ancestral.streaming.outputs import write

    if output is None:
        raise click.UsageError(
            f"{data} is read part by part, and so written: name a file, as in -o x.parquet."
        )
    refuse_of_parts(data, json=as_json and what)
    n = [0, 0, 0]

    def counted() -> Any:
        for answer in answers:
            found = len(answer.rows), answer.n_gaps, answer.n_rows_with_gaps
            n[:] = [one + more for one, more in zip(n, found, strict=True)]
            yield answer

    write(output, counted())
    if what:
        say(f"{n[0]} {what} written to {output}", err=True)
    return n[1], n[2]
