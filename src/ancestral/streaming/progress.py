"""How far a run over rows has come: rows, rows a second, and the time left where that is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def rows_shown(
    name: str, n_rows: int | None = None, *, shown: bool = True
) -> Iterator[Callable[[int], None]]:
    """Give a function that is told of further rows, and shows them on stderr.

    Parameters
    ----------
    name : str
        What is done, and by what.
    n_rows : int, optional
        How many rows there are in all.
    shown : bool
    """
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    text = TextColumn("{task.description}")
    known = () if n_rows is None else (BarColumn(), TimeRemainingColumn(), TextColumn("left"))
    started, done = time.monotonic(), 0
    with Progress(text, TimeElapsedColumn(), *known, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{name} 0 rows", total=n_rows)

        def show(more: int) -> None:
            nonlocal done
            done += more
            rate = done / max(time.monotonic() - started, 1e-9)
            line = f"{name} {done:,} rows, {rate:,.0f} rows/s"
            bar.update(task, completed=done, description=line)

        yield show
