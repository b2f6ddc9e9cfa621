"""Measure lines: every point interleaved, within a budget, and suspected cliffs once more.

Each task is called once beforehand. Then rounds in turn, the order rotated and reversed, until the
point's budget is spent; a median and a least time of each come back. A task whose next call would
last longer than the limit, by its last two sizes, is left out from there on, for it can only
be slower.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from ancestral import AncestralWarning
from benchmarks.curves.curve import OURS, Curve, Line, Point, Tasks
from benchmarks.curves.judge import cliffs
from benchmarks.timing import Task

ROUNDS = 15  # at most
CALL = 0.01  # seconds that quick tasks are called for at once


@dataclass(frozen=True)
class Plan:
    """How, and how much, is measured.

    Parameters
    ----------
    budget : float
        Seconds a point may take, its first calls and three rounds aside.
    limit : float
        Seconds that one call may last.
    sizes, widths : tuple of int, optional
        Another grid than each curve's own, kept to the same range.
    tiny : bool
        The smallest size and width, one call of each; peers must return what ours does.
    """

    budget: float = 0.6
    limit: float = 1.2
    sizes: tuple[int, ...] | None = None
    widths: tuple[int, ...] | None = None
    tiny: bool = False


def lines(curve: Curve, family: str, plan: Plan, said: Callable[[Line], None]) -> Iterator[Line]:
    """Yield a curve's lines, measured; `said` hears of each line after each of its points."""
    widths = curve.widths_of(plan.widths)
    for width in widths[:1] if plan.tiny else widths:
        line = Line(
            family,
            curve.model,
            curve.work,
            width,
            curve.width_is,
            curve.unit,
            curve.floor,
            curve.power,
            curve.aims,
            curve.note,
            (),
        )
        sizes = curve.sizes_of(width, plan.sizes)
        limit = max(plan.limit, curve.limit)
        for size in sizes[:1] if plan.tiny else sizes:
            if _predicted(OURS, size, line) > limit:
                break
            tasks = curve.make(size, width)
            if plan.tiny and curve.same:
                _compare(tasks, line)
            named = tasks.named()
            named = {n: task for n, task in named.items() if _predicted(n, size, line) <= limit}
            point = Point(size, race(named, plan))
            line = replace(line, points=(*line.points, point))
            said(line)
        if line.points:
            yield line if plan.tiny else _again(line, curve, plan)


def _compare(tasks: Tasks, line: Line) -> None:
    """Hold the peers to our results."""
    ours = tasks.ours()
    for name, task in tasks.peers.items():
        theirs = task()
        if not np.allclose(ours, theirs, rtol=1e-5, atol=1e-8, equal_nan=True):
            raise ArithmeticError(f"{line.name}: ours is {ours}, {name} has {theirs}.")


def race(named: dict[str, Task], plan: Plan) -> dict[str, tuple[float, float]]:
    """Return each task's (median, least) seconds, from interleaved rounds."""
    names, seen, calls = list(named), {}, {}
    for name in names:
        once = _seconds(named[name], 1)  # imports and caches
        seen[name] = [once] if once > plan.budget and not plan.tiny else []
        if not plan.tiny and once < plan.budget:
            once = min(once, _seconds(named[name], 1))
        calls[name] = 1 if plan.tiny else max(1, math.ceil(CALL / max(once, 1e-7)))
    started = perf_counter()
    for turn in range(1 if plan.tiny else ROUNDS):
        if turn >= 3 and perf_counter() - started > plan.budget:
            break
        if turn >= 1 and perf_counter() - started > 5 * plan.limit:
            break  # slower than was foreseen
        if turn == 2 and perf_counter() - started > 3 * plan.budget:
            break  # slow ones: two rounds, and the first call
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for name in order if turn % 2 == 0 else reversed(order):
            seen[name].append(_seconds(named[name], calls[name]))
    return {name: (statistics.median(times), min(times)) for name, times in seen.items()}


def _seconds(task: Task, calls: int) -> float:
    """Return seconds per call; what models and peers warn of is no part of the measurement."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        started = perf_counter()
        for _ in range(calls):
            task()
        return (perf_counter() - started) / calls


def _predicted(name: str, size: int, line: Line) -> float:
    """Return the seconds that a call would last by the last sizes; 0 where nothing is known."""
    known = [point for point in line.points if name in point.times]
    if not known:
        return 0.0 if not line.points else math.inf  # left out before: it stays out
    if known[-1] is not line.points[-1]:
        return math.inf
    last, slope = known[-1], line.power / 2
    if len(known) > 1:
        before = known[-2]
        slope = math.log(last.least(name) / before.least(name)) / math.log(last.size / before.size)
    return last.least(name) * (size / last.size) ** min(max(slope, 0.0), line.power + 0.5)


def _again(line: Line, curve: Curve, plan: Plan) -> Line:
    """Return the line, both ends of each suspected cliff measured once more, against each other."""
    points = {point.size: point for point in line.points}
    for cliff in cliffs(line):
        ends = [curve.make(size, line.width).ours for size in (cliff.before, cliff.after)]
        named = dict(zip(("before", "after"), ends, strict=True))
        found = race(named, plan)
        for size, times in ((cliff.before, found["before"]), (cliff.after, found["after"])):
            point = points[size]
            least = min(times[1], point.least())
            points[size] = replace(point, times={**point.times, OURS: (point.median(), least)})
    return replace(line, points=tuple(points.values()))
