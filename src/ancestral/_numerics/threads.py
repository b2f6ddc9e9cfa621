"""Blocks of rows on as many threads as the linear algebra library has, each with one of its own.

A product of a short block on all threads waits for the slowest each time, and what stands between
the products (centring, squares) runs on one. Whole blocks, or whole chunks, in parallel do neither.
The library's limit is the process's: one such section runs at a time, and any other finds no
threads to spare.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

from ancestral._numerics import costs

S = TypeVar("S")
T = TypeVar("T")
MOST_AHEAD = 6  # chunks that are held at once
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
        workers = n_threads()  # before it is limited
        with one_thread():
            return in_order(task, parts, workers)
    finally:
        _busy.release()


def in_order(task: Callable[[S], T], items: Sequence[S], workers: int) -> list[T]:
    """Return task(item) for each item, in order, by at most so many threads."""
    if (workers := min(len(items), workers)) < 2:
        return [task(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(task, items))


def ahead(task: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield task(item) for each item, in order, some items ahead on threads of their own.

    Parameters
    ----------
    task : callable
        Releases the interpreter in numpy.
    items : iterable
        Drawn from on the calling thread, so that the next is read while others are worked on.
        Each must stay as it is when the next is drawn; up to `MOST_AHEAD` are held at once.
    """
    workers = min(n_threads(), MOST_AHEAD - 1)
    if workers < 2 or not _busy.acquire(blocking=False):
        yield from map(task, items)
        return
    waiting = deque[Future[T]]()
    try:
        with one_thread(), ThreadPoolExecutor(workers) as pool:
            for item in items:
                waiting.append(pool.submit(task, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            for result in waiting:
                yield result.result()
    finally:
        _busy.release()


class _OneThread:
    """The library's limit of one thread, kept until the last of those who asked for it leaves."""

    def __init__(self) -> None:
        self._lock, self._holders = threading.Lock(), 0
        self._limiter: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._holders:
                self._limiter = _libraries().limit(limits=1)
            self._holders += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._limiter.restore_original_limits()


_one_thread = _OneThread()


def one_thread() -> AbstractContextManager[None]:
    """Keep the linear algebra library to one thread, so that bits do not depend on their number."""
    return _one_thread


def threads_for(n_numbers: int, work: float) -> AbstractContextManager[None]:
    """Keep the library to one thread where products are so short that a second only waits.

    `work` counts their multiply-adds.
    """
    short = costs.ALONE < work < costs.SHARED and n_numbers < LEAST_NUMBERS
    return one_thread() if short else nullcontext()


def even_parts(n: int, n_parts: int) -> list[slice]:
    """Return at most `n_parts` slices of n rows, of nearly equal length."""
    edges = [n * i // n_parts for i in range(n_parts + 1)]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def parts_of(n_rows: int, n_numbers: int) -> list[slice]:
    """Return slices of rows that hold so many values: one for each thread that saves time."""
    return even_parts(n_rows, n_threads()) if n_numbers >= LEAST_NUMBERS else [slice(0, n_rows)]


def blocks_of(part: slice, rows: int) -> list[slice]:
    """Return slices of at most `rows` rows of a part."""
    starts = range(part.start, part.stop, rows)
    return [slice(start, min(start + rows, part.stop)) for start in starts]


def n_threads() -> int:
    """Return how many threads the linear algebra library may use now."""
    found = [library.num_threads for library in _libraries().lib_controllers]
    return max(found, default=1)


@cache
def _libraries() -> Any:
    """Return the controller of the linear algebra libraries that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
