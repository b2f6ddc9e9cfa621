"""Judge lines: aims met or not, the lowest ratio of each line, and cliffs; as Markdown tables.

A cliff is a time that falls by more than a third as the size grows, or one that grows more than
twice as much as the sizes beside it explain: the growth explained between two sizes is that of the
steeper neighbouring stretch, carried over. Cliffs compare least times, which what else the machine
does disturbs little; ratios are of medians, interleaved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.curves.curve import FLOOR, OURS, Aim, Line, Point
from benchmarks.timing import as_time

FALL = 2 / 3  # a larger size that takes less than that of the time before
JUMP = 2.0  # times as much as the growth of size explains
QUIET = 2e-6  # seconds: below, a time is the clock's


@dataclass(frozen=True)
class Cliff:
    """A step between two sizes, and how many times the time changes beyond what is explained."""

    line: Line
    before: int
    after: int
    seconds: tuple[float, float]
    falls: bool
    times: float


@dataclass(frozen=True)
class Verdict:
    """How an aim stands over all lines of one curve."""

    lines: tuple[Line, ...]
    aim: Aim
    worst: float  # the lowest ratio, or our longest time where the aim is one of seconds
    at: tuple[Line, Point]

    @property
    def met(self) -> bool:
        if self.aim.peer:
            return self.worst >= self.aim.least
        return self.worst <= self.aim.seconds


def cliffs(line: Line) -> list[Cliff]:
    """Return a line's cliffs."""
    points = line.points
    slopes = [_slope(a, b) for a, b in pairwise(points)]
    found = []
    for k, (a, b) in enumerate(pairwise(points)):
        times = b.least() / a.least()
        near = slopes[max(0, k - 1) : k] + slopes[k + 1 : k + 2]
        at_end = k in (0, len(slopes) - 1)
        explained = max([0.0, *near, *([line.power] if at_end else [])])
        beyond = times / (b.size / a.size) ** explained
        if max(a.least(), b.least()) < QUIET:
            continue
        if times < FALL or beyond > JUMP:
            falls = times < FALL
            both = (a.least(), b.least())
            found.append(Cliff(line, a.size, b.size, both, falls, times if falls else beyond))
    return found


def _slope(a: Point, b: Point) -> float:
    """Return how time grows between two sizes, as a power of the size."""
    return math.log(b.least() / a.least()) / math.log(b.size / a.size)


def verdicts(lines: list[Line]) -> Iterator[Verdict]:
    """Yield every aim once, judged over all the lines of its curve."""
    curves: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        curves.setdefault((line.family, line.model, line.work), []).append(line)
    for group in curves.values():
        for aim in group[0].aims:
            found = []
            for line in group:
                for point in line.points:
                    if not _is_meant(aim, line, point):
                        continue
                    if not aim.peer:
                        found.append((point.median(), line, point))
                    elif aim.peer in point.times:
                        found.append((point.times_as_fast(aim.peer), line, point))
            if found:
                choose = min if aim.peer else max
                worst, line, point = choose(found, key=lambda item: item[0])
                yield Verdict(tuple(group), aim, worst, (line, point))


def _is_meant(aim: Aim, line: Line, point: Point) -> bool:
    amount = point.size * max(1, line.width) if aim.by_numbers else point.size
    return aim.since <= amount <= aim.until


# ---- Markdown --------------------------------------------------------------------------------


def markdown(lines: list[Line]) -> Iterator[str]:
    """Yield the tables of docs/speed.md, as lines of text."""
    yield "| model and work | against | aim | lowest | at | |"
    yield "|---|---|---|---|---|---|"
    for v in verdicts(lines):
        first, (line, point) = v.lines[0], v.at
        worst = times(v.worst) if v.aim.peer else as_time(v.worst)
        verdict = "met" if v.met else f"**not met**: {v.aim.reason or 'reason to be written'}"
        yield (
            f"| `{first.model}`, {first.work} | {v.aim.peer or 'a time'} | {aim_in_words(v)} "
            f"| {worst} | {_place(line, point)} | {verdict} |"
        )
    yield ""
    yield "Every line, against the fastest peer at each size, and its floor:"
    yield ""
    yield "| model and work | sizes | our time | lowest | against | at | floor's share |"
    yield "|---|---|---|---|---|---|---|"
    yield from (_row(line) for line in lines)
    yield ""
    yield from _cliff_table([cliff for line in lines for cliff in cliffs(line)])


def aim_in_words(v: Verdict) -> str:
    """Return an aim such as "2 times from 100,000 numbers on"."""
    aim, unit = v.aim, v.lines[0].unit
    what = "numbers" if aim.by_numbers else unit
    words = f"{aim.least:.2g} times" if aim.peer else f"{as_time(aim.seconds)} at most"
    if aim.until == 1:
        return f"{words}, one {unit.removesuffix('s')}"
    if aim.until < math.inf:
        words += f" up to {aim.until:,.0f} {what}"
    if aim.since > 0:
        words += f" from {aim.since:,.0f} {what} on"
    return words


def times(ratio: float) -> str:
    """Return a ratio with the digits a reader can use."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"


def _place(line: Line, point: Point) -> str:
    return f"{point.size:,} x {line.width:,}" if line.width else f"{point.size:,} {line.unit}"


def _row(line: Line) -> str:
    first, last = line.points[0], line.points[-1]
    sizes = f"{first.size:,} to {last.size:,} {line.unit}"
    ours = f"{as_time(first.median())} to {as_time(last.median())}"
    against = [(p.times_as_fast(peer), peer, p) for p in line.points if (peer := p.fastest())]
    lowest, peer, at = "", "no peer", ""
    if against:
        ratio, peer, point = min(against, key=lambda item: item[0])
        lowest, at = times(ratio), f"{point.size:,}"
    shares = [p.times_as_fast(FLOOR) for p in line.points if FLOOR in p.times]
    share = f"{shares[-1]:.0%} of {line.floor}" if shares else ""
    if shares and FLOOR not in last.times:
        size = [p.size for p in line.points if FLOOR in p.times][-1]
        share += f", at {size:,}"
    cells = (f"`{line.model}`, {line.what}", sizes, ours, lowest, peer, at, share)
    return f"| {' | '.join(cells)} |"


def _cliff_table(found: list[Cliff]) -> Iterator[str]:
    if not found:
        yield "No cliffs: no time falls by more than a third as its size grows, and none grows by "
        yield "more than twice what the sizes beside it explain."
        return
    yield "Cliffs:"
    yield ""
    yield "| model and work | between | from | to | |"
    yield "|---|---|---|---|---|"
    for c in found:
        said = f"falls to {c.times:.0%}" if c.falls else f"{c.times:.1f} times what size explains"
        between = f"{c.before:,} and {c.after:,} {c.line.unit}"
        seconds = " | ".join(as_time(s) for s in c.seconds)
        yield f"| `{c.line.model}`, {c.line.what} | {between} | {seconds} | {said} |"


def progress(line: Line) -> str:
    """Return one line of text about the last point of a line."""
    point = line.points[-1]
    text = f"{line.name}, {point.size:,} {line.unit}: {as_time(point.median(OURS))}"
    for name in [*point.peers(), *([FLOOR] if FLOOR in point.times else [])]:
        text += f"; {name} {as_time(point.median(name))} ({times(point.times_as_fast(name))})"
    return text
