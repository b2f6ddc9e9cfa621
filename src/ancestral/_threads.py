"""Blocks of rows on as many threads as the linear algebra library has, each with one of its own.

A product of a short block on all threads waits for the slowest each time, and what stands between
the products (centring, squares) runs on one. Whole blocks, or whole chunks, in parallel do neither.
The library's limit is the process's: one such section runs at a time, and any other finds no
threads to spare.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, reduce
from itertools import groupby, pairwise
from operator import add
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
LEAST_NUMBERS = 1 << 21  # below so many values a thread costs more than it saves

_busy = threading.Lock()


def in_threads(task: Callable[[slice], T], parts: Sequence[slice], n_numbers: int) -> list[T]:
    """Return task(part) for each part, in order.

    Parameters
    ----------
    task : callable
        Takes a slice of rows; releases the interpreter in numpy.
    parts : sequence of slice
    n_numbers : int
        How many values all parts hold together: few are done on the calling thread.
    """
    if len(parts) < 2 or n_numbers < LEAST_NUMBERS or not _busy.acquire(blocking=False):
        return [task(part) for part in parts]
    try:
        workers = min(len(parts), n_threads())
        if workers < 2:
            return [task(part) for part in parts]
        with _libraries().limit(limits=1), ThreadPoolExecutor(workers) as pool:
            return list(pool.map(task, parts))
    finally:
        _busy.release()


def summed(
    task: Callable[[S], T], items: Iterable[S], start: T, *, is_small: Callable[[S], bool]
) -> T:
    """Return start + task(item) + ..., in order, the tasks some items ahead on threads.

    Parameters
    ----------
    task : callable
        Releases the interpreter in numpy.
    items : iterable
        Drawn from on the calling thread, so that the next is read while others are worked on.
    start : any
        What the first is added to.
    is_small : callable
        Tells of an item whether a few like it may be held at once; another is taken alone.
    """
    for several, run in groupby(items, is_small):
        start = (_summed_ahead if several else _summed_in_turn)(task, run, start)
    return start


def _summed_in_turn(task: Callable[[S], T], items: Iterable[S], start: T) -> T:
    """Return start + task(item) + ..., one at a time."""
    return reduce(add, map(task, items), start)


def _summed_ahead(task: Callable[[S], T], items: Iterable[S], start: T) -> T:
    """Return start + task(item) + ..., as many at a time as there are threads."""
    workers = n_threads()
    if workers < 2 or not _busy.acquire(blocking=False):
        return _summed_in_turn(task, items, start)
    total, waiting = start, deque[Future[T]]()
    try:
        with _libraries().limit(limits=1), ThreadPoolExecutor(workers) as pool:
            for item in items:
                waiting.append(pool.submit(task, item))
                if len(waiting) > workers:
                    total = add(total, waiting.popleft().result())
            return reduce(add, (result.result() for result in waiting), total)
    finally:
        _busy.release()


def even_parts(n: int, n_parts: int) -> list[slice]:
    """Return at most `n_parts` slices of n rows, of nearly equal length."""
    edges = [n * i // n_parts for i in range(n_parts + 1)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def n_threads() -> int:
    """Return how many threads the linear algebra library may use now."""
    found = [library.num_threads for library in _libraries().lib_controllers]
    return max(found, default=1)


@cache
def _libraries() -> Any:
    """Return the controller of the linear algebra libraries that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
