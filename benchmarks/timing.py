"""How the benchmarks measure: medians of interleaved repeats, in one process, and their ratio.

A time alone says more about the machine and its other work than about the code. So each case is
run against a named peer in turn, ours, theirs, theirs, ours, ..., and what counts is the ratio of
the two medians: what slows the machine down slows both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

Task = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table: seconds are medians per call, or bytes are a peak."""

    case: str
    ours: float
    peer: str
    theirs: float
    note: str = ""
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """The peer's time, or memory, over ours: above 1 ours is less."""
        return self.theirs / self.ours


@dataclass(frozen=True)
class Timer:
    """Measures cases.

    Parameters
    ----------
    tiny : bool
        Benchmarks make their data small and every case runs once: a rehearsal, not a measurement.
    repeats : int
        Measurements of each side of a case; as few as three where `most` would be passed.
    least : float
        Seconds that one measurement lasts at least; quick tasks are called several times in it.
    most : float
        Seconds that a case lasts at most, its first three repeats aside.
    """

    tiny: bool = False
    repeats: int = 9
    least: float = 0.05
    most: float = 6.0

    def race(self, case: str, ours: Task, peer: str, theirs: Task, *, note: str = "") -> Row:
        """Return our median time and a peer's, from interleaved repeats.

        Parameters
        ----------
        case : str
            What is measured, and on how much data.
        ours, theirs : callable without arguments
            Both are called once beforehand, so that imports and caches are warm.
        peer : str
            Who the peer is, and which call.
        note : str
            What a reader must know, such as that the two do not give quite the same.
        """
        tasks = (ours, theirs)
        calls = [self._calls(task) for task in tasks]
        times: tuple[list[float], list[float]] = ([], [])
        started = perf_counter()
        for repeat in range(1 if self.tiny else self.repeats):
            if repeat >= 3 and perf_counter() - started > self.most:
                break
            for side in (0, 1) if repeat % 2 == 0 else (1, 0):
                times[side].append(_seconds(tasks[side], calls[side]))
        return Row(case, statistics.median(times[0]), peer, statistics.median(times[1]), note)

    def _calls(self, task: Task) -> int:
        """Warm up, and return how many calls make one measurement."""
        once = _seconds(task, 1)
        if self.tiny:
            return 1
        once = min(once, _seconds(task, 1))
        return max(1, round(self.least / max(once, 1e-7)))


def _seconds(task: Task, calls: int) -> float:
    """Return seconds per call."""
    started = perf_counter()
    for _ in range(calls):
        task()
    return (perf_counter() - started) / calls


def as_amount(value: float, unit: str) -> str:
    """Return a time, a size of memory or another amount: "3.21 ms", "35 MB", "0.41 sd"."""
    if unit == "s":
        return as_time(value)
    return f"{value / 1e6:.3g} MB" if unit == "B" else f"{value:.3g} {unit}"


def as_time(seconds: float) -> str:
    """Return a time in the unit that suits it: "3.21 ms"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
