"""Loops that numba compiles where it is installed, and that run in blocks of NumPy where it is not.

    @compiled(otherwise=blocks.pair_moments, fastmath=...)      an entrance: called from Python
    def pair_moments(...): ...

    @compiled()                                                 called from other loops only
    def _place(...): ...

Both forms of an entrance give the same result: sums to 1e-12 of their size, whole numbers exactly,
draws of the same law (not the same draw). Which of them runs is decided here; `costs` says for how
many pairs the loops are worth loading, below which callers go to the blocks at once. The
extra `large` brings numba; `NUMBA_DISABLE_JIT=1`, its own switch, turns it off.

Files of loops are imported by functions only: numba takes half a second to load, and the first call
ever compiles for some seconds. Later processes find the result in numba's cache, if that is any
good: see `kernel_cache`. The loops hold no lock (`nogil`), so plain threads run them side by side.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from ancestral._checks.numbers import warn

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("ancestral")

MATTERS = 1.0  # seconds lost for want of numba that are worth a warning


def numba() -> Any | None:
    """Return the package numba, or None where it is absent, unfit for this NumPy or turned off."""
    return _numba()[0]


@cache
def _numba() -> tuple[Any | None, str]:
    """Return the package, or None and why."""
    try:
        import numba as package
    except ModuleNotFoundError:
        return None, 'numba is not installed (pip install "ancestral[large]")'
    except Exception as error:  # made for another NumPy, for one
        return None, f"numba cannot be loaded ({error})"
    off = getattr(package.config, "DISABLE_JIT", 0)
    return (None, "numba is turned off by NUMBA_DISABLE_JIT") if off else (package, "")


def compiled(*, otherwise: Callable[..., Any] | None = None, **options: Any) -> Callable[[F], F]:
    """Return a decorator that compiles a loop with numba.

    Parameters
    ----------
    otherwise : callable, optional
        What takes the same arguments and does the same in NumPy. A loop that has one is an entrance
        for Python, and what is compiled for it is kept in numba's cache.
    **options
        Of `numba.njit`.
    """

    def decorate(loop: F) -> F:
        package = numba()
        dispatcher = loop if package is None else package.njit(nogil=True, **options)(loop)
        if otherwise is None:  # part of what it is called from, and kept with that
            return dispatcher
        if package is not None:
            _keep(dispatcher)

        @wraps(loop)
        def run(*args: Any) -> Any:
            if numba() is not None:
                return dispatcher(*args)
            say_slower(0.0)
            return otherwise(*args)

        return run  # type: ignore[return-value]

    return decorate


def _keep(dispatcher: Any) -> None:
    """Let numba keep what it compiles for this loop, where it can."""
    try:
        from ancestral.graph.kernel_cache import KernelCache

        dispatcher._cache = KernelCache(dispatcher.py_func, _say_uncached)
    except Exception as error:  # no folder that can be written, or a numba that works otherwise
        _say_uncached(error)


_said: set[str] = set()  # by this process


def _say_uncached(error: Exception) -> None:
    """Say once that loops are compiled without numba's cache, and why."""
    if "uncached" not in _said:
        _said.add("uncached")
        logger.info(
            "numba's cache is of no use (%s: %s): loops over graphs are compiled anew, for some "
            "seconds. NUMBA_CACHE_DIR names another folder for it.",
            type(error).__name__,
            error,
        )


def say_slower(seconds: float) -> None:
    """Say once, where numba is absent: as a warning if that costs seconds, else as a note.

    Parameters
    ----------
    seconds : float
        How much longer a fit takes for it, roughly.
    """
    package, why = _numba()
    how = "warning" if seconds > MATTERS else "note"
    if package is not None or how in _said:
        return
    _said.update(("note", how))  # what was warned of needs no note
    message = (
        f"{why}: loops over graphs run in NumPy, which gives the same result but is several times "
        "slower"
    )
    if how == "warning":
        warn(f"{message}. This fit takes about {seconds:.1g} seconds longer because of this.")
    else:
        logger.info("%s.", message)
