"""What every row of the catalogue of bad inputs is held to.

refused   one AncestralError whose message names file or argument, value with its index, and mend
warned    exactly one AncestralWarning, and the result
accepted  no warning at all, and the result
limited   the same in a child process that cannot map 200 MiB more than it has after its imports

All are held to 2 s of processor time and 200 MiB of memory, after import. An alarm ends what waits
for ever.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from ancestral.errors import AncestralError, AncestralWarning
from tests.conftest import PATIENCE

SECONDS = 2.0 if sys.gettrace() is None else 20.0  # what is traced for coverage is slower
MEMORY = 200 << 20


class Hanging(BaseException):
    """Raised by the alarm; no reader that turns other errors into its own may catch it."""


class Accepted(AssertionError):
    """What must be refused gave a result."""


class Outcome(NamedTuple):
    """What a call gave or raised, the warnings, and what it cost."""

    value: Any
    error: Exception | None
    warnings: list[str]
    seconds: float
    memory: int


def refused(
    call: Callable[[], Any],
    *says: str,
    kind: type[AncestralError] = AncestralError,
    memory: int | None = MEMORY,
) -> AncestralError:
    """Return the error of `call`, whose message must match every one of the regular expressions.

    Parameters
    ----------
    call : callable without arguments
    says : str
        Regular expressions: the file or argument, the value and its index, the mend.
    kind : type
        The class, or a base of it.
    memory : int, optional
        Bytes allowed; above the size of the input, where that is large. None watches no memory,
        where millions of small objects would make that slow: see `limited`.
    """
    outcome = _measured(call, memory)
    if outcome.error is None:
        raise Accepted(f"accepted in silence, giving {str(outcome.value)[:200]}")
    if not isinstance(outcome.error, AncestralError):
        raise AssertionError(f"a foreign error: {outcome.error!r}") from outcome.error
    assert isinstance(outcome.error, kind), repr(outcome.error)
    _check_words(str(outcome.error), says)
    return outcome.error


def warned(call: Callable[[], Any], *says: str, memory: int | None = MEMORY) -> Any:
    """Return what `call` gives; it must warn exactly once, in words that match."""
    outcome = _measured(call, memory)
    if outcome.error is not None:
        raise outcome.error
    assert len(outcome.warnings) == 1, outcome.warnings
    _check_words(outcome.warnings[0], (AncestralWarning.__name__, *says))
    return outcome.value


def accepted(call: Callable[[], Any], *, memory: int | None = MEMORY) -> Any:
    """Return what `call` gives; it must warn of nothing."""
    outcome = _measured(call, memory)
    if outcome.error is not None:
        raise outcome.error
    assert not outcome.warnings, outcome.warnings
    return outcome.value


def limited(imports: str, code: str, *arguments: str, memory: int = MEMORY) -> str:
    """Run code in a child that can map so many bytes more; return its last line of stderr.

    Parameters
    ----------
    imports : str
        Python that is run before the limit is set.
    code : str
        Python that is run under it; `arguments` are its `sys.argv[1:]`.

    Returns
    -------
    str
        "ancestral.errors.FormatError: ..." where it raises that; "" where it raises nothing.
    """
    program = (
        f"import sys, resource\n{imports}\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"limit = pages * resource.getpagesize() + {memory}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        f"resource.setrlimit(resource.RLIMIT_CPU, (int(time_used()) + 3,) * 2)\n{code}"
    ).replace("time_used()", "sum(resource.getrusage(resource.RUSAGE_SELF)[:2])")
    child = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert child.returncode in (0, 1), f"ended by signal {-child.returncode}"
    return (child.stderr.strip().splitlines() or [""])[-1]


def _check_words(message: str, says: tuple[str, ...]) -> None:
    for pattern in says:
        assert re.search(pattern, message), f"no {pattern!r} in: {message}"


def _measured(call: Callable[[], Any], memory: int | None) -> Outcome:
    """Return the outcome, held to the bounds.

    Watching memory takes time and the first call may import: what is over is called again.
    """
    outcome = _once(call, watch_memory=memory is not None)
    if memory is not None and outcome.memory > memory:
        again = _once(call)
        assert again.memory <= memory, f"took {again.memory / (1 << 20):.0f} MiB"
    if outcome.seconds > SECONDS:
        again = _once(call, watch_memory=False)
        assert again.seconds <= SECONDS, f"took {again.seconds:.1f} s"
    return outcome


def _once(call: Callable[[], Any], *, watch_memory: bool = True) -> Outcome:
    """Call, with everything watched."""
    value, error, peak = None, None, 0
    with _alarm(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if watch_memory:
            tracemalloc.start()
        start = time.process_time()
        try:
            value = call()
        except Exception as raised:
            error = raised
        finally:
            seconds = time.process_time() - start
            if watch_memory:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
    words = [f"{w.category.__name__}: {w.message}" for w in caught]
    return Outcome(value, error, words, seconds, peak)


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise Hanging in what waits for ever."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hanging(f"still waiting after {PATIENCE} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
