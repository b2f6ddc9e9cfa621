"""Curves: every model's fit, scores, draws and conditioning over sizes, peers and floors beside.

`python -m benchmarks curves` measures all of them in about ten minutes and prints each point.

    --only WORD        the curves whose model or work has this in its name; may be repeated
    --sizes 20,70      another grid, of which each curve takes what is in its own range
    --columns 2,40     other widths, likewise
    --json FILE        keep what was measured
    --from FILE        measure nothing: tables and figures of what was kept
    --figures FOLDER   draw a sheet for each family
    --markdown         the tables of docs/models/speed.md
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.curves import autoregressive, circuit, everyday, gaussian, graphs
from benchmarks.curves.curve import FLOOR, Curve, Line, Point, finite
from benchmarks.curves.judge import markdown, progress
from benchmarks.curves.measure import Plan, lines
from benchmarks.timing import Row, Timer

NETWORKS = ("LSTMAutoregressive", "NeuralGaussian")
# Each family is a sheet: its word stands in the file's name.
FAMILIES: dict[str, list[Curve]] = {
    "fits": gaussian.FITS,
    "gaussian": [*everyday.RESAMPLING, *gaussian.CALLS],
    "autoregressive": autoregressive.CURVES,
    "circuit": circuit.CURVES,
    "graphs": graphs.CURVES,
    "everyday": everyday.CURVES,
}
if importlib.util.find_spec("torch") is None:
    for family, curves in FAMILIES.items():
        FAMILIES[family] = [curve for curve in curves if curve.model not in NETWORKS]
UNDRAWN = ("everyday",)  # its tables say it all


def rows(timer: Timer) -> Iterator[Row]:
    """Yield every point against each of its peers, or the floor where it has none."""
    for line in measured(Plan(tiny=timer.tiny)):
        yield from _rows(line, line.points)


def _rows(line: Line, points: Iterable[Point]) -> Iterator[Row]:
    for point in points:
        case = f"{line.name}, {point.size:,} {line.unit}"
        for name in point.peers():
            yield Row(case, point.median(), name, point.median(name), line.note)
        if not point.peers() and FLOOR in point.times:
            yield Row(case, point.median(), f"floor: {line.floor}", point.median(FLOOR), line.note)


def measured(plan: Plan, only: tuple[str, ...] = (), *, said: bool = False) -> Iterator[Line]:
    """Measure and yield every line whose name has one of the words in it."""
    say = _say if said else lambda line: None
    for family, curves in FAMILIES.items():
        for curve in curves:
            name = f"{family} {curve.model}: {curve.work}".lower()
            if not only or any(word.lower() in name for word in only):
                yield from lines(curve, family, plan, say)


def _say(line: Line) -> None:
    print(progress(line), file=sys.stderr, flush=True)


def run(
    plan: Plan,
    only: tuple[str, ...],
    *,
    kept: Path | None,
    source: Path | None,
    figures: Path | None,
    as_markdown: bool,
    machine: list[str],
) -> int:
    """Measure, or read what was kept; keep, draw and print what is asked for."""
    if source is None:
        if hasattr(
            os, "getloadavg"
        ):  # what else ran: much of it makes times of two threads worthless
            machine = [*machine, f"load average {os.getloadavg()[0]:.1f} at the start"]
        found = list(measured(plan, only, said=True))
    else:
        stored = json.loads(source.read_text("utf-8"))
        machine, found = stored["machine"], [Line.of_json(line) for line in stored["lines"]]
    if not found:
        print(f"no curve has any of {', '.join(only)} in its name.", file=sys.stderr)
        return 2
    if kept is not None:
        content = {"machine": machine, "lines": [finite(asdict(line)) for line in found]}
        kept.write_text(json.dumps(content, indent=1), "utf-8")
    if figures is not None:
        from benchmarks.curves.figure import sheets

        for path in sheets([line for line in found if line.family not in UNDRAWN], figures):
            print(f"drawn: {path}", file=sys.stderr)
    where = ["; ".join(machine) + "."] if as_markdown else machine
    print("\n".join([*where, "", *(markdown(found) if as_markdown else ())]))
    return 0
