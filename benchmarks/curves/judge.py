"""Judge lines: aims met or not, the lowest ratio of each line, and cliffs; as Markdown tables.

A cliff is a time that falls by more than a third as the size grows, or one that grows more than
twice as much as the sizes beside it explain: the growth explained between two sizes is that of the
steeper neighbouring stretch, carried over, up to the power of the size that the work has. A step
that a peer or the floor takes too, between the same sizes, is the machine's: caches, fresh memory.
Cliffs compare least times, which what else the machine does disturbs little; ratios are of medians,
interleaved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.curves.curve import FLOOR, OURS, Aim, Line, Point
from benchmarks.curves.reasons import REASONS
from benchmarks.timing import as_time

FALL = 2 / 3  # a larger size that takes less than that of the time before
JUMP = 2.0  # times as much as the growth of size explains
DISTURBED = 2.0  # times the least that a median is where other work ran beside it
QUIET = 2e-6  # seconds: below, a time is the clock's


@dataclass(frozen=True)
class Cliff:
    """A step between two sizes: how many times the time changes, or grows beyond what it may."""

    before: int
    after: int
    seconds: tuple[float, float]
    falls: bool
    times: float


def cliffs(line: Line) -> list[Cliff]:
    """Return the cliffs of our own time."""
    others = [step for name in (*line.peers, FLOOR) for step in _steps(line, name)]
    machine = {(step.before, step.after, step.falls) for step in others}
    ours = _steps(line, OURS)
    return [step for step in ours if (step.before, step.after, step.falls) not in machine]


def _steps(line: Line, name: str) -> list[Cliff]:
    """Return the steps of one name's times, whoever's cause they are."""
    points = [(p.size, p.least(name)) for p in line.points if name in p.times]
    slopes = [math.log(b[1] / a[1]) / math.log(b[0] / a[0]) for a, b in pairwise(points)]
    found = []
    for k, ((size, seconds), (larger, then)) in enumerate(pairwise(points)):
        near = slopes[max(0, k - 1) : k] + slopes[k + 1 : k + 2]
        at_end = [line.power] if k in (0, len(slopes) - 1) else []
        times = then / seconds
        explained = min(max(0.0, *near, *at_end), line.power)
        beyond = times / (larger / size) ** explained
        falls = times < FALL
        if max(seconds, then) > QUIET and (falls or beyond > JUMP):
            found.append(Cliff(size, larger, (seconds, then), falls, times if falls else beyond))
    return found


# ---- aims ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """How an aim stands over the lines of one curve, at the size where it stands worst."""

    aim: Aim
    worst: float  # the lowest ratio, or our longest time where the aim is one of seconds
    line: Line
    point: Point

    @property
    def met(self) -> bool:
        return self.worst >= self.aim.least if self.aim.peer else self.worst <= self.aim.seconds

    @property
    def reason(self) -> str:
        """Return why it is not met, as someone wrote it."""
        curve = f"{self.line.model}: {self.line.work}"
        against = f"{curve}, against {self.aim.peer or 'a time'}"
        names = against, curve, self.aim.together
        return next((REASONS[name] for name in names if name in REASONS), "reason to be written")

    @property
    def amount(self) -> str:
        return ratio(self.worst) if self.aim.peer else as_time(self.worst)

    @property
    def place(self) -> str:
        line, size = self.line, self.point.size
        return f"{size:,} x {line.width:,}" if line.width else f"{size:,} {line.unit}"


def verdicts(lines: list[Line]) -> Iterator[Verdict]:
    """Yield every aim of every curve once, judged over all the lines of the curve."""
    curves: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        curves.setdefault((line.model, line.work), []).append(line)
    for group in curves.values():
        for aim in group[0].aims:
            found = [
                Verdict(aim, p.times_as_fast(aim.peer) if aim.peer else p.median(), line, p)
                for line in group
                for p in line.points
                if _is_meant(aim, line, p) and (aim.peer or OURS) in p.times
            ]
            if found:
                worst = min if aim.peer else max
                yield worst(found, key=lambda verdict: verdict.worst)


def _is_meant(aim: Aim, line: Line, point: Point) -> bool:
    amount = point.size * max(1, line.width) if aim.by_numbers else point.size
    return aim.since <= amount <= aim.until


# ---- Markdown --------------------------------------------------------------------------------


def markdown(lines: list[Line]) -> Iterator[str]:
    """Yield the tables of docs/models/speed.md, as lines of text."""
    yield "| work | against | at least | lowest | at | met |"
    yield "|---|---|---|---|---|---|"
    rows: dict[tuple[str, ...], list[Verdict]] = {}
    reasons: dict[str, list[str]] = {}
    for v in verdicts(lines):
        of = v.aim.together or f"`{v.line.model}`, {v.line.work}"
        peer = "scikit-learn's counterpart" if v.aim.together and v.aim.until == 1 else v.aim.peer
        rows.setdefault((of, peer if v.aim.peer else "a time", _in_words(v)), []).append(v)
    for cells, found in rows.items():
        yield f"| {' | '.join((*cells, *_verdict_cells(found, reasons)))} |"
    yield ""
    if reasons:
        yield "The numbers in the last column name the reasons why an aim is not met:"
        yield ""
    for k, (reason, names) in enumerate(reasons.items(), 1):
        yield f"{k}. {', '.join(dict.fromkeys(names))}: {reason}."
    if reasons:
        yield ""
    yield from _cliff_table(lines)
    yield ""
    yield "| model and work | sizes | our time | lowest | against | at | floor / ours |"
    yield "|---|---|---|---|---|---|---|"
    yield from (_row(line) for line in lines if not any(a.together == FRAME for a in line.aims))
    points = [point for line in lines for point in line.points]
    disturbed = [p for p in points if any(p.median(n) > DISTURBED * p.least(n) for n in p.times)]
    yield ""
    yield f"In {len(disturbed)} of {len(points)} points a median is more than twice the least time:"
    yield "other work on the machine disturbed them."


FRAME = "a dataframe in, any model"


def _verdict_cells(found: list[Verdict], reasons: dict[str, list[str]]) -> tuple[str, str, str]:
    """Return amount, place and verdict of an aim over its curves; note who misses it, and why."""
    worst = (min if found[0].aim.peer else max)(found, key=lambda verdict: verdict.worst)
    missed = [verdict for verdict in found if not verdict.met]
    for v in missed:
        amount = f" ({v.amount})" if len(found) > 1 else ""
        reasons.setdefault(v.reason, []).append(f"`{v.line.model}` {v.line.work}{amount}")
    why = sorted({list(reasons).index(v.reason) + 1 for v in missed})
    numbers = f" ({', '.join(map(str, why))})" if why else ""
    if len(found) == 1:
        return worst.amount, worst.place, f"{'yes' if worst.met else '**no**'}{numbers}"
    place = f"`{worst.line.model}`, {worst.line.work}, {worst.place}"
    return worst.amount, place, f"{len(found) - len(missed)} of {len(found)}{numbers}"


def _in_words(v: Verdict) -> str:
    """Return an aim such as "2 times from 100,000 numbers on"."""
    aim, unit = v.aim, v.line.unit
    what = "numbers" if aim.by_numbers else unit
    words = f"{aim.least:.2g} times" if aim.peer else f"{as_time(aim.seconds)} at most"
    if aim.until == 1:
        return words
    if aim.since == aim.until:
        return f"{words} at {aim.until:,.0f} {what}"
    if aim.until < math.inf:
        words += f" up to {aim.until:,.0f} {what}"
    if aim.since > 0:
        words += f" from {aim.since:,.0f} {what} on"
    return words


def ratio(value: float) -> str:
    """Return a ratio with the digits that a reader can use."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _plain(value: float) -> str:
    """Return a ratio of two digits without an exponent."""
    return f"{float(f'{value:.2g}'):.12f}".rstrip("0").rstrip(".")


def _row(line: Line) -> str:
    first, last = line.points[0], line.points[-1]
    sizes = f"{first.size:,} to {last.size:,} {line.unit}"
    ours = f"{as_time(first.median())} to {as_time(last.median())}"
    against = [(p.times_as_fast(peer), peer, p) for p in line.points if (peer := p.fastest())]
    lowest, peer, at = "", "no peer", ""
    if against:
        value, peer, point = min(against, key=lambda item: item[0])
        lowest, at = ratio(value), f"{point.size:,}"
    share = ""
    if floors := [p for p in line.points if FLOOR in p.times]:
        share = f"{_plain(floors[-1].times_as_fast(FLOOR))}: {line.floor}"
        share += "" if floors[-1] is last else f", at {floors[-1].size:,}"
    cells = (f"`{line.model}`, {line.what}", sizes, ours, lowest, peer, at, share)
    return f"| {' | '.join(cells)} |"


def _cliff_table(lines: list[Line]) -> Iterator[str]:
    found = [(line, cliff) for line in lines for cliff in cliffs(line)]
    if not found:
        yield "No jumps: no time falls by more than a third as its size grows, and none grows by"
        yield "more than twice what the sizes beside it explain."
        return
    yield "| jump | between | seconds | |"
    yield "|---|---|---|---|"
    for line, cliff in found:
        many = f"{cliff.times:.1f} times what the size explains"
        said = f"falls to {cliff.times:.0%}" if cliff.falls else many
        between = f"{cliff.before:,} and {cliff.after:,} {line.unit}"
        seconds = " and ".join(as_time(s) for s in cliff.seconds)
        yield f"| `{line.model}`, {line.what} | {between} | {seconds} | {said} |"


def progress(line: Line) -> str:
    """Return one line of text about the last point of a line."""
    point = line.points[-1]
    text = f"{line.name}, {point.size:,} {line.unit}: {as_time(point.median())}"
    for name in [*point.peers(), *([FLOOR] if FLOOR in point.times else [])]:
        text += f"; {name} {as_time(point.median(name))} ({ratio(point.times_as_fast(name))})"
    return text
