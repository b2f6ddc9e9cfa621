"""A budget of processor time, and how many rows there is time for.

Costs are told as they come: seconds for so many rows and so much work, work in columns that a
conditional may look at, times its levels. What is left then buys the same number of rows for each
conditional still to be fitted. A fit that takes far longer than its share is told to end.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

AIM = 0.9  # of what is left: costs rise a little faster than rows
FORGET = 0.7  # weight of the costs before the latest: those at other numbers of rows mislead
LEAST_ROWS = 500  # a conditional fitted to fewer is worth less than the marginal of all


def never() -> bool:
    """Tell that no fit is late: nothing bounds its time."""
    return False


class Budget:
    """Processor seconds of this process, counted from the moment it is made.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self._began = seconds, process_time()
        self._rates: dict[str, tuple[float, float]] = {}  # per kind: seconds, rows times work

    @property
    def left(self) -> float:
        """Seconds left; negative where it is overdrawn."""
        return self.seconds - (process_time() - self._began)

    def late_after(self, seconds: float) -> Callable[[], bool]:
        """Return what tells whether so many seconds from now are over."""
        least = self.left - seconds
        return lambda: self.left < least

    def note(self, kind: str, seconds: float, rows: int, work: float) -> None:
        """Learn what conditionals of one kind cost."""
        spent, bought = self._rates.get(kind, (0.0, 0.0))
        self._rates[kind] = FORGET * spent + seconds, FORGET * bought + rows * work

    def rows_for(self, kind: str, work: float, most: int) -> int:
        """Return how many rows there is time for in all the work left; 0 where too few."""
        if self.left <= 0:
            return 0
        spent, bought = self._rates.get(kind, (0.0, 0.0))
        if AIM * self.left * bought >= spent * work * most:  # or nothing is known of the kind
            return most
        affordable = int(AIM * self.left * bought / (spent * work))
        return affordable if affordable >= min(LEAST_ROWS, most) else 0
