"""Arrays of other libraries (torch, CuPy, ...), under scikit-learn's array-API dispatch.

With `sklearn.config_context(array_api_dispatch=True)` such arrays come in and go out on the device
where they lie. Products over rows are done there, in float64 where the device has it; what has the
size of the model (an eigendecomposition, EM) is done by numpy on the host.
This is the one place that knows of it: elsewhere an array is either numpy's or `foreign`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils import _array_api

from ancestral._checks.numbers import as_ancestral_errors, as_numbers, refuse_non_finite
from ancestral._numerics.accumulation import STEEP, about_mean, is_steep, sums_of_blocks
from ancestral.errors import DataError
from ancestral.statistics import Moments

ROWS_AT_A_TIME = 8192


def is_foreign(X: Any) -> bool:
    """Tell whether X is an array of another library that dispatch is asked to keep."""
    if isinstance(X, np.ndarray) or not get_config()["array_api_dispatch"]:
        return False
    return hasattr(X, "__array_namespace__") or type(X).__module__.split(".")[0] == "torch"


def to_host(values: Any) -> NDArray:
    """Return a numpy array of the same values; numpy's own, and lists, come back as they are."""
    if isinstance(values, np.ndarray):
        return values
    if not hasattr(values, "__array_namespace__") and not hasattr(values, "detach"):
        return values
    if hasattr(values, "detach"):  # torch: away from the graph and from the device
        return np.asarray(values.detach().cpu())
    return np.asarray(_array_api._convert_to_numpy(values, values.__array_namespace__()))


def template_of(X: Any) -> Any:
    """Return an empty array that remembers X's library and device; None for numpy."""
    if not is_foreign(X):
        return None
    xp, _ = _array_api.get_namespace(X)
    return xp.empty((0,), dtype=X.dtype, device=_array_api.device(X))


def like(values: NDArray, template: Any, *, dtype: Any = None) -> Any:
    """Return numpy values in the library and on the device of `template`; None leaves them."""
    if template is None or isinstance(template, np.ndarray):
        return values
    xp = _namespace(template)
    place = _array_api.device(template)
    if dtype is None and values.dtype == np.float64:
        dtype = _widest(xp, place)
    return xp.asarray(np.ascontiguousarray(values), dtype=dtype, device=place)


def check_rows(model: Any, X: Any, *, reset: bool) -> Any:
    """Return a foreign 2-D array of floats checked against the model's features, not its values."""
    from sklearn.utils.validation import validate_data

    if hasattr(X, "detach"):
        X = X.detach()
    xp = _namespace(X)
    if xp.isdtype(X.dtype, "integral"):
        as_numbers(X, name="X")  # refuses what a float would round
    with as_ancestral_errors():
        return validate_data(
            model, X, reset=reset, dtype=[xp.float64, xp.float32], ensure_all_finite=False
        )


def has_gaps(X: Any) -> bool:
    """Tell whether an array, of numpy or not, holds NaN.

    Raises
    ------
    DataError
        At the first infinity.
    """
    if isinstance(X, np.ndarray):
        if X.dtype.kind != "f":
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(X.sum()):  # one pass, no temporary
                return False
    elif bool(_namespace(X).all(_namespace(X).isfinite(X))):
        return False
    host = to_host(X)
    refuse_non_finite(host, missing=True)
    return bool(np.isnan(host).any())


def refuse_other_kind(X: Any, fitted: Any, name: str) -> None:
    """Raise DataError where X and the fitted arrays are of different libraries or devices."""
    if not get_config()["array_api_dispatch"]:
        return
    kinds = []
    for array in (X, fitted):
        if is_foreign(array):
            kinds.append((_namespace(array).__name__, str(_array_api.device(array))))
        else:
            kinds.append(("numpy", "cpu"))
    if kinds[0] != kinds[1]:
        raise DataError(
            f"Inputs passed to {name}() must use the same namespace and the same device as those "
            f"passed to fit(): got {' on '.join(kinds[0])}, fitted with {' on '.join(kinds[1])}. "
            "Convert the rows, or fit again."
        )


def moments_of(X: Any) -> Moments:
    """Return the moments of a foreign table, its products done where it lies."""
    xp, place = _namespace(X), _array_api.device(X)
    n, d = X.shape
    wide = _widest(xp, place)
    if n < d or wide != xp.float64:  # small, or a device that would lose digits
        return Moments.of(to_host(X))
    shift = xp.mean(xp.astype(X[:ROWS_AT_A_TIME, :], wide), axis=0)
    ones = xp.ones((min(n, ROWS_AT_A_TIME), 1), dtype=wide, device=place)
    parts = (X[start : start + ROWS_AT_A_TIME, :] for start in range(0, n, ROWS_AT_A_TIME))
    blocks = (
        xp.concat([xp.astype(part, wide) - shift, ones[: part.shape[0], :]], axis=1)
        for part in parts
    )
    sums = to_host(sums_of_blocks(blocks, xp.zeros((d + 1, d + 1), dtype=wide, device=place)))
    offset, scatter = about_mean(sums[:-1, :-1], sums[-1, :-1], n)
    if is_steep(scatter, STEEP):  # products lose digits: by a root, on the host
        return Moments.of(to_host(X))
    return Moments(n, to_host(shift) + offset, scatter=scatter, single=X.dtype == xp.float32)


def blockwise(X: Any, mean: Any, scale: Any, task: Callable[[Any], Any]) -> Any:
    """Return task((x - mu) / scale) of a foreign table, some rows at a time, where X lies."""
    parts = []
    for start in range(0, X.shape[0], ROWS_AT_A_TIME):
        centred = widened(X[start : start + ROWS_AT_A_TIME, :], mean) - mean
        parts.append(task(centred if scale is None else centred / scale))
    return _namespace(X).concat(parts)


def squares(values: Any) -> Any:
    """Return the sum of squares of each row."""
    return _namespace(values).sum(values * values, axis=1)


def widened(X: Any, fitted: Any) -> Any:
    """Return a foreign array in the precision of a fitted one."""
    return _namespace(X).astype(X, fitted.dtype)


def narrowed(values: Any) -> Any:
    """Return an array as float32."""
    if not is_foreign(values):
        return np.asarray(values, dtype=np.float32)
    xp = _namespace(values)
    return xp.astype(values, xp.float32)


def _namespace(X: Any) -> Any:
    return _array_api.get_namespace(X)[0]


def _widest(xp: Any, place: Any) -> Any:
    return _array_api._max_precision_float_dtype(xp, place)
