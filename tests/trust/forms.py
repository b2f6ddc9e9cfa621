"""The same numbers in every form that callers hand them in: dtype, memory, container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
DTYPES = (
    *(np.float16, np.float32, np.float64, np.longdouble),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.bool_),
)


# ---- memory: the same array of the same dtype, laid out otherwise -----------------------------


def _strided(x: Array) -> Array:
    """Return every second row, and all columns but the outer ones, of a larger array."""
    larger = np.zeros((2 * len(x), *(n + 3 for n in x.shape[1:])), x.dtype)
    view = larger[(slice(None, None, 2), *(slice(1, n + 1) for n in x.shape[1:]))]
    view[...] = x
    return view


def _backwards(x: Array) -> Array:
    """Return a view whose strides are all negative."""
    turn = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[turn])[turn]


def _odd_address(x: Array) -> Array:
    """Return an array whose numbers straddle the machine's words, as records in a file do."""
    if x.dtype.kind in "OU":
        return x
    room = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    room[...] = x
    return room


def _read_only(x: Array) -> Array:
    x.flags.writeable = False
    return x


def _swapped(x: Array) -> Array:
    return x.astype(x.dtype.newbyteorder("S"))


MEMORY: dict[str, Callable[[Array], Array]] = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "every second row": _strided,
    "negative strides": _backwards,
    "odd address": _odd_address,
}


# ---- containers -----------------------------------------------------------------------------


def _pandas(x: Array, _: Path) -> Any:
    import pandas as pd

    if x.shape[-1:] == (0,):  # a table without columns has no dtype
        return x
    x = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    return pd.Series(x) if x.ndim == 1 else pd.DataFrame(x, columns=_names(x))


def _pandas_by_column(x: Array, folder: Path) -> Any:
    """Return a frame that holds each column apart."""
    import pandas as pd

    if x.ndim == 1 or not x.shape[1]:
        return _pandas(x, folder)
    whole = _pandas(x, folder)
    return pd.concat([whole[[name]].copy() for name in whole], axis=1)


def _pyarrow(x: Array, _: Path) -> Any:
    import pyarrow as pa

    x = x.astype(np.float64) if x.dtype == np.longdouble else x  # arrow has none wider
    if x.shape[-1:] == (0,):  # a table without columns has no rows
        return x
    if x.ndim == 1:
        return pa.array(x.tolist(), from_pandas=True)
    return pa.table(
        {name: pa.array(c.tolist(), from_pandas=True) for name, c in zip(_names(x), x.T)}
    )


def _polars(x: Array, _: Path) -> Any:
    import polars as pl

    if x.shape[-1:] == (0,):
        return x

    def column(values: Array) -> Any:  # words beside NaN have null for it
        plain = values.tolist()
        return pl.Series([None if v != v else v for v in plain] if x.dtype.hasobject else plain)

    return column(x) if x.ndim == 1 else pl.DataFrame(dict(zip(_names(x), map(column, x.T))))


def _memmap(x: Array, folder: Path) -> Any:
    if not x.size or x.dtype.hasobject:  # neither nothing nor references can be mapped
        return x
    path = folder / "held.dat"
    path.write_bytes(x.tobytes())
    held = np.memmap(path, dtype=x.dtype, mode="r", shape=x.shape)
    path.unlink()  # its content stays for as long as it is mapped
    return held


def _names(x: Array) -> list[str]:
    return [f"c{j}" for j in range(x.shape[1])]


CONTAINERS: dict[str, Callable[[Array, Path], Any]] = {
    "list": lambda x, _: x.tolist(),
    "tuple": lambda x, _: tuple(map(tuple, x.tolist())) if x.ndim > 1 else tuple(x.tolist()),
    "memmap": _memmap,
    "objects": lambda x, _: x.astype(object),
    "pandas": _pandas,
    "pandas by column": _pandas_by_column,
    "polars": _polars,
    "pyarrow": _pyarrow,
}
NEEDS = {"pandas": "pandas", "pandas by column": "pandas", "polars": "polars", "pyarrow": "pyarrow"}


# ---- the grid ---------------------------------------------------------------------------------


@dataclass
class Form:
    """One form, as a function of plain values; it remembers what it made."""

    name: str
    dtype: Any  # None: as the values are
    make: Callable[[Array], Any]
    made: list[tuple[Any, Any]] = field(default_factory=list)

    def __call__(self, values: Any) -> Any:
        """Return values, or the features and adjacencies of graphs, in this form."""
        if isinstance(values, list):
            return [(self(graph.features), self(graph.adjacency)) for graph in values]
        with np.errstate(invalid="ignore"):
            x = values if self.dtype is None else values.astype(self.dtype)
        if x.dtype != values.dtype and not np.array_equal(x, values):
            x = values  # NaN in integers, fractions in booleans: the form without the dtype
        given = self.make(np.array(x, order="C"))
        self.made.append((given, _snapshot(given)))
        return given

    def refuse_changes(self) -> None:
        """Assert that nothing made so far was written to."""
        for given, before in self.made:
            assert _snapshot(given) == before, f"{self.name}: the input was changed"
        self.made.clear()


def _snapshot(given: Any) -> Any:
    """Return what equals a later snapshot only if no value, nor a value beside it, changed."""
    if isinstance(given, np.ndarray):
        whole = given
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        return given.dtype.str, whole.tobytes()
    if hasattr(given, "to_numpy"):  # a frame or a column
        return repr(np.asarray(given).tolist())
    return repr(given)


def forms(dtype: Any, folder: Path, *, whole: bool) -> Iterator[tuple[Form, bool]]:
    """Yield the forms of a dtype, each with whether numpy still holds it in that dtype.

    Parameters
    ----------
    dtype : numpy dtype, or None for that of the values
    folder : Path
        For files.
    whole : bool
        Every memory order in both byte orders, read-only and not; else each of them once.
    """
    for place, (name, lay) in enumerate(MEMORY.items()):
        for swap in (False, True):
            for lock in (False, True):
                if not whole and (swap, lock) != divmod(place % 4, 2):
                    continue
                marks = f"{', swapped' * swap}{', read-only' * lock}"
                yield Form(name + marks, dtype, _stacked(lay, swap=swap, lock=lock)), True
    for name, hold in CONTAINERS.items():
        if name not in NEEDS or find_spec(NEEDS[name]):
            kept = name in ("memmap", "pandas", "pandas by column")
            yield Form(name, dtype, lambda x, hold=hold: hold(x, folder)), kept


def _stacked(lay: Callable[[Array], Array], *, swap: bool, lock: bool) -> Callable[[Array], Array]:
    def make(x: Array) -> Array:
        x = lay(_swapped(x) if swap else x)
        return _read_only(x) if lock else x

    return make
