"""Run benchmarks and print their tables: python -m benchmarks [NAME ...] [--tiny]."""

from __future__ import annotations

import argparse
import calendar
import datetime
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, Timer, as_amount

NOT_BENCHMARKS = ("__init__", "__main__", "timing")
VERSIONS = ("ancestral", "numpy", "scipy", "scikit-learn", "statsmodels", "torch", "numba")


def names() -> list[str]:
    """Return the benchmarks there are: every other module or package of this folder."""
    folder = Path(__file__).parent
    files = [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]
    return sorted(path.stem for path in files if path.stem not in NOT_BENCHMARKS)


def benchmark(name: str) -> tuple[str, Callable[[Timer], Iterable[Row]]]:
    """Return what a benchmark says it measures, and its function."""
    module = importlib.import_module(f"benchmarks.{name}")
    return (module.__doc__ or name).splitlines()[0], module.rows


def machine() -> Iterator[str]:
    """Yield lines that say when this is, and what kind of machine."""
    today = datetime.date.today()
    yield f"Measured on {today.day} {calendar.month_name[today.month]} {today.year}"
    yield f"{_processor()}, {_usable_cores()} of {os.cpu_count()} cores usable"
    yield f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    found = []
    for name in VERSIONS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {name}")
    yield ", ".join(found)
    import numpy as np  # noqa: F401 - so that its BLAS is loaded and can be asked
    from threadpoolctl import threadpool_info

    pools = {f"{p['internal_api']} on {p['num_threads']} threads" for p in threadpool_info()}
    yield "; ".join(sorted(pools)) or "no thread pools"


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def as_ratio(row: Row) -> str:
    """Return a ratio in three digits."""
    return f"{row.ratio:,.0f}" if row.ratio >= 100 else f"{row.ratio:.3g}"


def print_table(title: str, rows: Iterable[Row]) -> None:
    """Print a benchmark's rows as they come."""
    print(f"\n{title}\n")
    print(f"{'case':44s} {'ours':>9s} {'peer':>9s} {'peer/ours':>10s}   peer")
    for row in rows:
        ours, theirs = (as_amount(value, row.unit) for value in (row.ours, row.theirs))
        times = f"{ours:>9s} {theirs:>9s} {as_ratio(row):>10s}"
        print(f"{row.case:44s} {times}   {row.peer}", flush=True)
        if row.note:
            print(f"    {row.note}")


def print_markdown(title: str, rows: Iterable[Row]) -> None:
    """Print a benchmark's rows as a table of a Markdown page, notes below it."""
    print(f"\n**{title}**\n\n| case | ours | peer | peer / ours |\n|---|---|---|---|")
    notes = []
    for row in rows:
        mark = ""
        if row.note:
            notes.append(row.note)
            mark = f" ({len(notes)})"
        ours, theirs = (as_amount(value, row.unit) for value in (row.ours, row.theirs))
        print(f"| {row.case}{mark} | {ours} | {row.peer}, {theirs} | {as_ratio(row)} |", flush=True)
    if notes:
        print("\n" + "\n".join(f"({i}) {note}." for i, note in enumerate(notes, 1)))


def whole_numbers(text: str) -> tuple[int, ...]:
    """Return "20,70" as numbers."""
    return tuple(int(float(word)) for word in text.split(","))


def words(text: str) -> tuple[str, ...]:
    """Return "ppca,linear" as words."""
    return tuple(text.split(","))


# flag, what it takes, its metavar, its help
OF_CURVES: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("--only", words, "WORD,...", "curves whose family, model or work has a word in it"),
    ("--sizes", whole_numbers, "N,...", "another grid; each curve takes what is in its own range"),
    ("--columns", whole_numbers, "D,...", "other widths, likewise"),
    ("--budget", float, "SECONDS", "that a point may take; 0.6"),
    ("--limit", float, "SECONDS", "that one call may last: what is slower is left out; 1.2"),
    ("--json", Path, "FILE", "keep what was measured"),
    ("--from", Path, "FILE", "measure nothing: use what was kept"),
    ("--figures", Path, "FOLDER", "draw speed_curves_FAMILY.svg there"),
)


def _curves(asked: dict[str, Any], *, tiny: bool, as_markdown: bool) -> int:
    """Run the curves with options of their own."""
    from benchmarks import curves
    from benchmarks.curves.measure import Plan

    named = {"budget": "--budget", "limit": "--limit", "sizes": "--sizes", "widths": "--columns"}
    given = {name: asked[flag] for name, flag in named.items() if asked[flag] is not None}
    return curves.run(
        Plan(tiny=tiny, **given),
        asked["--only"] or (),
        kept=asked["--json"],
        source=asked["--from"],
        figures=asked["--figures"],
        as_markdown=as_markdown,
        machine=list(machine()),
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--tiny", action="store_true", help="small data, one repeat: a rehearsal")
    parser.add_argument("--markdown", action="store_true", help="tables for a page of the docs")
    of_curves = parser.add_argument_group("of curves alone")
    for flag, kind, metavar, words in OF_CURVES:
        of_curves.add_argument(flag, type=kind, metavar=metavar, help=words)
    given = parser.parse_args(arguments)
    asked = {flag: getattr(given, flag[2:]) for flag, *_ in OF_CURVES}
    if given.names == ["curves"]:
        return _curves(asked, tiny=given.tiny, as_markdown=given.markdown)
    if alone := [flag for flag, value in asked.items() if value is not None]:
        print(f"{alone[0]} goes with: python -m benchmarks curves", file=sys.stderr)
        return 2
    unknown = sorted(set(given.names) - set(names()))
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(names())}.", file=sys.stderr)
        return 2
    print("; ".join(machine()) + "." if given.markdown else "\n".join(machine()))
    if given.tiny:
        print("A rehearsal with --tiny: the figures mean nothing.")
    for name in given.names or names():
        title, rows = benchmark(name)
        show = print_markdown if given.markdown else print_table
        show(f"{name}: {title}", rows(Timer(tiny=given.tiny)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
