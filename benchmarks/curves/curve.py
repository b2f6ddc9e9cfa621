"""What a curve is: one work of one model over sizes, whom it runs against, and what is aimed at.

A `Curve` is data. Those with several widths, as of columns, make a `Line` of each; a line has a
`Point` for each size, and what was measured there. All of it goes to JSON and back, so that tables
and figures can be made again without measuring.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.timing import Task

OURS, FLOOR = "ours", "floor"
MOST_NUMBERS = 2e7  # of a table: 160 MB; peers hold several copies


class Tasks(NamedTuple):
    """What is run at one size: our work, the same by peers, and what nobody can do without."""

    ours: Task
    peers: dict[str, Task]
    floor: Task | None = None

    def named(self) -> dict[str, Task]:
        """Return all of them by name."""
        floor = {} if self.floor is None else {FLOOR: self.floor}
        return {OURS: self.ours, **self.peers, **floor}


@dataclass(frozen=True)
class Aim:
    """What a curve must reach at the sizes it names.

    Parameters
    ----------
    peer : str
        Against whom; "" where `seconds` stands alone.
    least : float
        The peer's time over ours, at least.
    since, until : float
        The sizes meant, both ends included.
    by_numbers : bool
        Those ends count numbers, size times width, and not sizes.
    seconds : float
        Our time is at most that.
    together : str
        Curves whose aims have this in common share one row of the table.
    """

    peer: str
    least: float = 0.0
    since: float = 0.0
    until: float = math.inf
    by_numbers: bool = False
    seconds: float = math.inf
    together: str = ""


@dataclass(frozen=True)
class Curve:
    """One work of one model.

    Parameters
    ----------
    model, work : str
    make : callable
        From size and width to `Tasks`; the width is 0 in curves without.
    sizes : tuple of int
        The default grid. Another grid is kept to the same range.
    widths : tuple of int
        As of columns; each makes a line of its own.
    unit : str
        What a size counts: "rows", "nodes", "graphs".
    width_is : str
        What follows a width, such as "columns".
    floor : str
        What the floor is.
    aims : tuple of Aim
    power : float
        Time grows with this power of the size at most: 2 for pairs of nodes.
    same : bool
        Peers return what ours does, but for rounding: the rehearsal compares them.
    note : str
        What a reader must know of the peers.
    from_width : int
        Sizes are above so many times the width: a fit may want more rows than columns.
    limit : float
        Seconds that one call may last here, where the plan allows less.
    """

    model: str
    work: str
    make: Callable[[int, int], Tasks] = field(repr=False)
    sizes: tuple[int, ...]
    floor: str
    widths: tuple[int, ...] = (0,)
    unit: str = "rows"
    width_is: str = "columns"
    aims: tuple[Aim, ...] = ()
    power: float = 1.0
    same: bool = True
    note: str = ""
    from_width: int = 0
    limit: float = 0.0

    def sizes_of(self, width: int, sizes: tuple[int, ...] | None = None) -> list[int]:
        """Return the sizes to measure at a width, of the default grid or another."""
        low = max(self.sizes[0], self.from_width * (width + 1) + 1 if self.from_width else 0)
        high = min(self.sizes[-1], MOST_NUMBERS / max(1, width))
        return sorted({n for n in sizes or self.sizes if low <= n <= high})

    def widths_of(self, widths: tuple[int, ...] | None = None) -> list[int]:
        """Return the widths to measure, of the default ones or others."""
        low, high = min(self.widths), max(self.widths)
        return sorted({w for w in widths or self.widths if low <= w <= high}) or [low]


@dataclass(frozen=True)
class Point:
    """What was measured at one size: (median, least) seconds of a call, by name."""

    size: int
    times: dict[str, tuple[float, float]]

    def median(self, name: str = OURS) -> float:
        return self.times[name][0]

    def least(self, name: str = OURS) -> float:
        return self.times[name][1]

    def peers(self) -> list[str]:
        return [name for name in self.times if name not in (OURS, FLOOR)]

    def times_as_fast(self, name: str) -> float:
        """Return the other's time over ours: above 1 we are faster."""
        return self.median(name) / self.median()

    def fastest(self) -> str | None:
        """Return the fastest peer's name; None without peers."""
        return min(self.peers(), key=self.median, default=None)


@dataclass(frozen=True)
class Line:
    """A curve at one width, measured. All that tables and figures need."""

    family: str
    model: str
    work: str
    width: int
    width_is: str
    unit: str
    floor: str
    power: float
    aims: tuple[Aim, ...]
    note: str
    points: tuple[Point, ...]

    @property
    def what(self) -> str:
        """Work and width, such as "fit, 10 columns"."""
        if not self.width:
            return self.work
        noun = self.width_is.removesuffix("s") if self.width == 1 else self.width_is
        return f"{self.work}, {self.width:,} {noun}"

    @property
    def name(self) -> str:
        return f"{self.model}: {self.what}"

    @property
    def peers(self) -> list[str]:
        """Every peer that was measured anywhere, in order."""
        return list(dict.fromkeys(name for point in self.points for name in point.peers()))

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Line:
        aims = tuple(Aim(**_numbers(aim)) for aim in stored["aims"])
        points = tuple(
            Point(p["size"], {name: (t[0], t[1]) for name, t in p["times"].items()})
            for p in stored["points"]
        )
        return cls(**{**stored, "aims": aims, "points": points})


def _numbers(aim: dict[str, Any]) -> dict[str, Any]:
    """Return an aim's fields; JSON has no infinity, and writes it as null."""
    return {name: math.inf if value is None else value for name, value in aim.items()}


def finite(value: Any) -> Any:
    """Return what JSON can hold: infinities as null."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value
