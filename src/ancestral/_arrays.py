"""Other libraries' arrays (torch, CuPy, ...), under scikit-learn's array-API dispatch: the door.

With `sklearn.config_context(array_api_dispatch=True)` such arrays come in and go out on the device
where they lie. Products over rows are done there, in float64 where the device has it; what has the
size of the model (an eigendecomposition, EM) is done by numpy on the host. A method behind
`on_host` sees numpy alone; one behind `near` has a second form, for complete rows elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from ancestral._checks.columns import check_table
from ancestral._checks.numbers import as_ancestral_errors, as_numbers, refuse_non_finite
from ancestral._numerics.accumulation import STEEP, about_mean, is_steep, sums_of_blocks
from ancestral._numerics.threads import blocks_of
from ancestral.errors import DataError
from ancestral.statistics import Moments

F = TypeVar("F", bound=Callable[..., Any])
ROWS_AT_A_TIME = 8192
_PLAIN = frozenset({np.ndarray, np.float64, bool, int, float, str, tuple, list, dict, type(None)})


# ---- the door ------------------------------------------------------------------------------------


def on_host(method: F) -> F:
    """Let a method of a model see numpy's arrays alone, and send what it returns back.

    Arguments and fitted values of other libraries come in as numpy's. Arrays go out to where the
    first argument lies, if that is an array, and else to where the model's own lie.
    """

    @wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = next((value for value in vars(self).values() if _lies_elsewhere(value)), None)
        if own is None and not any(map(_lies_elsewhere, (*args, *kwargs.values()))):
            return method(self, *args, **kwargs)
        first = args[0] if args else next(iter(kwargs.values()), None)
        place = first if hasattr(first, "shape") else own
        named = {name: to_host(value) for name, value in kwargs.items()}
        found = method(host_of(self), *map(to_host, args), **named)
        return tuple(like(f, place) for f in found) if type(found) is tuple else like(found, place)

    return run  # type: ignore[return-value]


def near(there: Callable[[Any, Any], Any], called: str, name: str = "X") -> Callable[[F], F]:
    """Let a method of one table be done by `there(model, table)` where a foreign table lies.

    One that holds NaN goes by the host. A table of another library than the fit's is refused, in
    the name of the method that was `called`.
    """

    def decorate(method: F) -> F:
        hosted = on_host(method)

        @wraps(method)
        def run(self: Any, X: Any) -> Any:
            _refuse_other_kind(X, self.mean_, f"{type(self).__name__}.{called}")
            if is_foreign(X) and not has_gaps(X, name, vars(self).get("feature_names_in_")):
                return there(self, X)
            return hosted(self, X)

        return run  # type: ignore[return-value]

    return decorate


def host_of(model: Any) -> Any:
    """Return a model whose fitted arrays are numpy's: itself, where they are."""
    if not any(map(_lies_elsewhere, vars(model).values())):
        return model
    host = object.__new__(type(model))
    host.__dict__ = {name: to_host(value) for name, value in vars(model).items()}
    return host


def checked_rows(model: Any, X: Any, *, reset: bool) -> Any:
    """Return a table of numbers checked against the model's features, foreign or not.

    Its values are not looked at.
    """
    if not is_foreign(X):
        return check_table(model, X, reset=reset, finite=False)
    from sklearn.utils.validation import validate_data

    if hasattr(X, "detach"):
        X = X.detach()
    if "int" in str(X.dtype):
        as_numbers(X, name="X")  # refuses what a float would round
    xp = namespace(X)
    with as_ancestral_errors():
        return validate_data(
            model, X, reset=reset, dtype=[xp.float64, xp.float32], ensure_all_finite=False
        )


def numbers(values: Any, *, name: str) -> Any:
    """Return a table of numbers, foreign or not."""
    if not is_foreign(values):
        return as_numbers(values, name=name, ndim=2)
    if values.ndim != 2:
        raise DataError(f"{name} must have 2 dimensions; got shape {tuple(values.shape)}.")
    return values


def as_narrow_as(given: Any, values: Any) -> Any:
    """Return values as float32 where the given array is float32, untouched otherwise."""
    if isinstance(given, np.ndarray):
        single = given.dtype.newbyteorder("=") == np.float32
        return np.asarray(values, dtype=np.float32) if single else values
    return cast(values, given.dtype) if str(given.dtype).endswith("float32") else values


def is_foreign(X: Any) -> bool:
    """Tell whether X is an array of another library that dispatch is asked to keep."""
    if isinstance(X, np.ndarray) or not get_config()["array_api_dispatch"]:
        return False
    return _lies_elsewhere(X)


def _lies_elsewhere(value: Any) -> bool:
    """Tell whether a value is an array of another library."""
    if type(value) in _PLAIN or isinstance(value, np.ndarray | np.generic):
        return False
    return hasattr(value, "__array_namespace__") or hasattr(
        value, "detach"
    )  # torch lacks the first


def to_host(values: Any) -> NDArray:
    """Return a numpy array of the same values; numpy's own, and all else, come back as they are."""
    if isinstance(values, np.ndarray) or not _lies_elsewhere(values):
        return values
    if getattr(values, "is_sparse", False) is True:  # for the check to refuse
        return values
    if hasattr(values, "detach"):  # torch: away from the graph and from the device
        return np.asarray(values.detach().cpu())
    return np.asarray(values.get() if hasattr(values, "get") else values)  # CuPy's by `get`


def template_of(X: Any) -> Any:
    """Return an empty array that remembers X's library and device; None for numpy."""
    if not is_foreign(X):
        return None
    return namespace(X).empty((0,), dtype=X.dtype, device=X.device)


def like(values: Any, template: Any) -> Any:
    """Return a numpy array in the library and on the device of `template`; else the values."""
    if not (isinstance(values, np.ndarray) and _lies_elsewhere(template)):
        return values
    dtype = _widest(template) if values.dtype == np.float64 else None
    place = template.device
    return namespace(template).asarray(np.ascontiguousarray(values), dtype=dtype, device=place)


def has_gaps(X: Any, name: str = "X", names: Any = None) -> bool:
    """Tell whether an array, of numpy or not, holds NaN.

    Raises
    ------
    DataError
        At the first infinity, its column by name where there are `names`.
    """
    if isinstance(X, np.ndarray):
        if X.dtype.kind != "f":
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(X.sum()):  # one pass, no temporary
                return False
    elif bool(namespace(X).all(namespace(X).isfinite(X))):
        return False
    host = to_host(X)
    refuse_non_finite(host, name=name, missing=True, names=names)
    return bool(np.isnan(host).any())


def _refuse_other_kind(X: Any, fitted: Any, name: str) -> None:
    """Raise DataError where X and the fitted arrays are of different libraries or devices."""
    if not get_config()["array_api_dispatch"]:
        return
    one, other = (
        f"{namespace(array).__name__} on {array.device}" if is_foreign(array) else "numpy on cpu"
        for array in (X, fitted)
    )
    if one != other:
        raise DataError(
            f"Inputs passed to {name}() must use the same namespace and the same device as those "
            f"passed to fit(): got {one}, fitted with {other}. Convert the rows, or fit again."
        )


# ---- computed where it lies ----------------------------------------------------------------------


def moments_of(X: Any, weights: NDArray[np.float64] | None = None) -> Moments:
    """Return the moments of a table; a foreign one's products are done where it lies."""
    if weights is not None or not is_foreign(X):
        return Moments.of(to_host(X), weights=weights)
    xp, place = namespace(X), X.device
    n, d = X.shape
    wide = _widest(X)
    if n < d or wide != xp.float64:  # small, or a device that would lose digits
        return Moments.of(to_host(X))
    parts = blocks_of(slice(0, n), ROWS_AT_A_TIME)
    shift = xp.mean(cast(X[parts[0], :], wide), axis=0)
    ones = xp.ones((min(n, ROWS_AT_A_TIME), 1), dtype=wide, device=place)
    blocks = (
        xp.concat([cast(X[rows, :], wide) - shift, ones[: rows.stop - rows.start, :]], axis=1)
        for rows in parts
    )
    sums = to_host(sums_of_blocks(blocks, xp.zeros((d + 1, d + 1), dtype=wide, device=place)))
    offset, scatter = about_mean(sums[:-1, :-1], sums[-1, :-1], n)
    if is_steep(scatter, STEEP):  # products lose digits: by a root, on the host
        return Moments.of(to_host(X))
    return Moments(n, to_host(shift) + offset, scatter=scatter, single=X.dtype == xp.float32)


def namespace(X: Any) -> Any:
    """Return the module of a foreign array's functions; torch's own stands in for a standard's."""
    if hasattr(X, "__array_namespace__"):
        return X.__array_namespace__()
    return sys.modules[type(X).__module__.partition(".")[0]]


def cast(X: Any, dtype: Any) -> Any:
    """Return a foreign array with another dtype."""
    return X.to(dtype) if hasattr(X, "detach") else namespace(X).astype(X, dtype)


def _widest(X: Any) -> Any:
    """Return the widest floating dtype of a foreign array's device: Apple's have no float64."""
    xp = namespace(X)
    return xp.float32 if str(X.device).startswith("mps") else xp.float64
