"""Where commands write: never over their own input, and over other files only when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from ancestral._files import check_destination, refuse_same, shown
from ancestral.errors import SaveError

FORCE: dict[str, Any] = {"is_flag": True, "help": "Replace a file that is there already."}
force_option = click.option("--force", **FORCE)


def check_places(
    *outputs: Path | None,
    inputs: Iterable[Any],
    force: bool,
    replaces: Callable[[Path], bool] = lambda path: False,
) -> None:
    """Refuse files that cannot or must not be written, before the work whose result they hold.

    An input is never written over; another file that is there only with `force`, or where
    `replaces` says that this command may.
    """
    refuse_same(outputs, _files_of(inputs))
    for path in outputs:
        if path is None:
            continue
        place = check_destination(path)
        if place.exists() and not force and not replaces(place):
            raise SaveError(
                f"{shown(path)}: is there already. Pass --force to replace it, or name another "
                "file."
            )


def check_report(
    report: Path | None, *outputs: Path | None, inputs: Iterable[Any], force: bool
) -> None:
    """Refuse a report of rejects that would take the place of an input, or of another file."""
    if report is not None:
        check_places(report, inputs=inputs, force=force)
        refuse_same((*outputs, report), ())


def _files_of(inputs: Iterable[Any]) -> Iterator[Path]:
    """Yield the paths of inputs, and the files in those that are folders."""
    for name in inputs:
        if isinstance(name, str | Path):
            yield Path(name)
            try:
                yield from Path(name).iterdir()
            except (OSError, ValueError):  # a file, or nothing
                continue
