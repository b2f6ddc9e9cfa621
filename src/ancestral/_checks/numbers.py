"""Checks of what callers hand in, the wording of the errors, and the one door for randomness."""

from __future__ import annotations

import math
import numbers
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import as_floats, opened
from ancestral._checks.containers import describe_place as describe_place
from ancestral._numerics.threads import in_threads, parts_of
from ancestral.errors import AncestralError, AncestralWarning, DataError, DataTypeError, ModelError

MAX_SAMPLE_BYTES = 16 << 30
FEWER_ROWS = "Give fewer rows at a time, or make the model smaller."
STREAM_ROWS = (
    f"{FEWER_ROWS} ancestral.streaming fits models to complete rows in parts, if they do not fit "
    "in memory."
)
MEND_OF_MISSING = "drop or impute it"
FEWER_DRAWS = "Draw fewer at a time."
FEWER_GRAPHS = "Give fewer or smaller graphs at a time."
SMALLER_FILE = (
    "Give a smaller file; rows of a .npy file are read in parts by ancestral.streaming.read_chunks."
)
FEW = 1 << 16  # values whose signs of being finite are held in a core's own cache
DRAWN_BYTES = 24  # for each value of a row that is drawn: itself, its code or noise, and a copy

F = TypeVar("F", bound=Callable[..., Any])


def as_generator(random_state: Any = None) -> np.random.Generator:
    """Return a `numpy.random.Generator` from None, an int, a `RandomState` or a `Generator`.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        None draws fresh entropy; an int (0 or more, of any size) gives the same stream each
        time; a `RandomState` seeds a new stream from its own; a `Generator` is used as it is.

    Raises
    ------
    DataError
        For a negative integer or any other type.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**32, size=4, dtype=np.uint64))
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if random_state < 0:
            raise DataError(
                f"random_state must be 0 or more; got {random_state}. Pass a non-negative integer."
            )
        return np.random.default_rng(int(random_state))
    raise DataTypeError(
        "random_state must be None, a non-negative integer, a numpy Generator or a RandomState; "
        f"got {random_state!r}."
    )


@contextmanager
def as_ancestral_errors() -> Iterator[None]:
    """Turn the `ValueError`s and `TypeError`s of a checker into this package's family."""
    try:
        yield
    except AncestralError:
        raise
    except TypeError as error:
        raise DataTypeError(str(error)) from None
    except (ValueError, OverflowError) as error:
        raise DataError(str(error)) from None


def mend_of_fit(model: Any) -> str:
    """Return what helps where memory is too small for a model's fit."""
    return str(model._where_memory_is_short)


def within_memory(mend: str | Callable[[Any], str]) -> Callable[[F], F]:
    """Turn running out of memory, which NumPy and PyTorch word with an estimate, into our error.

    The mend of a method may depend on its model. A frame of this module, and none of another's,
    then stands between a caller and a warning.
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except (MemoryError, RuntimeError) as error:
                why = str(error).rstrip(".") or "no estimate"
                if not isinstance(error, MemoryError):  # PyTorch's, on the CPU and on CUDA
                    found = re.search(r"tried to allocate [\d.]+ \w+", why, re.IGNORECASE)
                    if found is None:
                        raise
                    why = found[0].replace("Tried", "tried")
                helps = mend if isinstance(mend, str) else mend(args[0])
                raise ModelError(f"there is not enough memory ({why}). {helps}") from None

        return run  # type: ignore[return-value]

    return decorate


def refuse_non_finite(
    X: NDArray,
    *,
    name: str = "X",
    missing: bool = False,
    names: Any = None,
    mend: str = MEND_OF_MISSING,
) -> None:
    """Raise DataError at the first NaN (unless `missing`) or infinity of a float array."""
    if X.dtype.kind != "f" or all_finite(X):
        return
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    if missing:
        bad &= ~np.isnan(X)
        if not bad.any():
            return
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    value = X[place]
    seen = "NaN" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    mend = mend if seen == "NaN" else "infinity cannot be modelled: drop or clip it"
    raise DataError(f"{name} holds {seen} at {describe_place(place, names)}; {mend}.")


def all_finite(X: NDArray) -> bool:
    """Tell whether all of a float array is finite: True surely; where False, a sum may overflow."""
    if X.size < FEW:
        return bool(np.isfinite(X).all())
    # One pass, no temporary; a sum that overflows is looked into.
    parts = parts_of(len(X), X.size)
    return all(np.isfinite(in_threads(lambda part: _sum(X[part]), parts, X.size)))


def refuse_far(values: NDArray, what: str) -> None:
    """Raise DataError at the first row for which float64 does not hold what a model makes of it."""
    held = np.isfinite(values)
    if not held.all():
        row = int(np.argwhere(~held)[0][0])
        raise DataError(
            f"row {row} lies so far from the rows of the fit that float64 does not hold {what}. "
            "Check that its units are those of the fit."
        )


def _sum(X: NDArray) -> Any:
    """Return the sum of an array, whatever comes of it."""
    with np.errstate(over="ignore", invalid="ignore"):  # also on a thread of its own
        return X.sum()


def as_numbers(data: Any, *, name: str, ndim: int | None = None) -> NDArray:
    """Return `data`, in whatever container, as a real numeric array, NaN where missing.

    Raises
    ------
    DataTypeError
        For text, objects, complex numbers or dates, naming the first offender.
    DataError
        When the number of dimensions is not `ndim`, or float64 does not hold an integer.
    """
    array = as_floats(opened(data, name), name)
    if ndim is not None and array.ndim != ndim:
        raise DataError(
            f"{name} must have {ndim} dimension{'s' * (ndim != 1)}; got shape {array.shape}."
        )
    return array


def check_weights(
    weights: Any, n_rows: int, *, name: str = "sample_weight", may_be_zero: bool = False
) -> NDArray[np.float64] | None:
    """Return one weight per row as float64; None where none are given.

    Raises
    ------
    DataError
        For another shape, NaN, infinity, a negative weight, or no weight above zero.
    """
    if weights is None:
        return None
    array = as_numbers(weights, name=name).astype(np.float64)
    if array.ndim == 0:
        array = np.full(n_rows, float(array))
    if array.shape != (n_rows,):
        raise DataError(f"{name} must have shape ({n_rows},), one per row of X; got {array.shape}.")
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{name} holds {array[i]:g} at row {i}; weights must be finite, 0 or more.")
    if not (may_be_zero or array.any()):
        raise DataError(f"every {name} is zero: no row counts. Give some more than 0.")
    return array


def check_integer(value: Any, name: str, *, minimum: int = 0, maximum: float = math.inf) -> int:
    """Return `value` as an int within bounds (booleans and floats are refused).

    Raises
    ------
    ModelError
        Naming the parameter, the value and the bounds.
    """
    bounds = f"{minimum} or more" if maximum == math.inf else f"{minimum} to {int(maximum)}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ModelError(f"{name} must be an integer, {bounds}; got {value!r}.")
    if not minimum <= int(value) <= maximum:
        raise ModelError(f"{name} must be an integer, {bounds}; got {value}.")
    return int(value)


def check_number(
    value: Any, name: str, *, minimum: float = -math.inf, inclusive: bool = True
) -> float:
    """Return `value` as a finite float at or above (`inclusive`) or strictly above `minimum`."""
    bounds = (
        "finite" if minimum == -math.inf else f"{'at least' if inclusive else 'above'} {minimum:g}"
    )
    good = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if good and math.isfinite(value) and (value >= minimum if inclusive else value > minimum):
        return float(value)
    raise ModelError(f"{name} must be a number, {bounds}; got {value!r}.")


def check_level(level: Any) -> float:
    """Return the probability of an interval, strictly between 0 and 1."""
    if not 0 < check_number(level, "level") < 1:
        raise ModelError(f"level must be above 0 and below 1; got {level!r}. Pass 0.95, not 95.")
    return float(level)


def check_n_samples(n_samples: Any, row_bytes: int = 0) -> int:
    """Return `n_samples` as an int of 0 or more whose rows fit in memory."""
    n_samples = check_integer(n_samples, "n_samples")
    limit = MAX_SAMPLE_BYTES
    if n_samples * row_bytes > limit:
        raise ModelError(
            f"n_samples={n_samples} needs {n_samples * row_bytes / 2**30:.1f} GiB, over the limit "
            f"of {limit >> 30} GiB. Draw at most {limit // row_bytes} at a time."
        )
    return n_samples


_said: ContextVar[set[tuple[str, int]] | None] = ContextVar("_said", default=None)


@contextmanager
def each_warning_once(said: set[tuple[str, int]]) -> Iterator[None]:
    """Leave out warnings that are in `said`, by their place in the package; add the others."""
    token = _said.set(said)
    try:
        yield
    finally:
        _said.reset(token)


def warn(message: str) -> None:
    """Warn at the caller's own line, however deep in the package the reason was found."""
    depth, frame = 1, sys._getframe()
    if (said := _said.get()) is not None and frame.f_back is not None:
        place = frame.f_back.f_code.co_filename, frame.f_back.f_lineno
        if place in said:
            return
        said.add(place)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, AncestralWarning, stacklevel=depth)


def _is_ours(module: str | None) -> bool:
    """Tell whether code of this name is the package's; code that `exec` runs may have none."""
    return f"{module}.".startswith("ancestral.")


def one_sample_message(n: int, least: int, why: str) -> str:
    """Word the error for too few rows (scikit-learn's checks look for "n_samples = 1")."""
    return f"n_samples = {n} is too few: at least {least} rows are needed, because {why}."


def log_sum_exp(a: NDArray, axis: int = -1) -> NDArray:
    """Return log(sum(exp(a))) along an axis; all -inf gives -inf without a warning."""
    top = np.max(a, axis=axis, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(a - safe), axis=axis)) + np.squeeze(safe, axis=axis)


def finite(value: Any) -> Any:
    """Return a number or a document as JSON can say it: None for NaN and infinity, names as text.

    Numbers of NumPy become Python's.
    """
    if isinstance(value, dict):
        return {str(name): finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
