"""Columns of a table, each of one kind and perhaps with gaps; any library's dataframe of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIBRARIES = ("pandas", "polars", "pyarrow")


@dataclass(frozen=True)
class Column:
    """A column's values, and where it has gaps: None where it has none.

    Values are int64, float64 (NaN in gaps), bool, datetime64 in microseconds (NaT in gaps), or
    objects: text, None in gaps.
    """

    values: NDArray
    gaps: NDArray[np.bool_] | None = None
    levels: list[Any] | None = None  # declared by the file's own type

    def plain(self) -> NDArray:
        """Return one array, None or NaN in gaps."""
        if self.gaps is None or self.values.dtype.kind in "fMO":
            return self.values
        values = self.values.astype(object)
        values[self.gaps] = None
        return values


@dataclass(frozen=True)
class Columns:
    """A table that needs no dataframe's library."""

    names: list[str]
    columns: list[Column]

    def chosen(self, places: list[int]) -> Columns:
        """Return the columns at these places, in that order."""
        return Columns([self.names[k] for k in places], [self.columns[k] for k in places])

    def array(self) -> NDArray:
        """Return one array: of numbers where all are numbers, else of objects."""
        columns = [column.plain() for column in self.columns]
        kinds = {column.dtype.kind for column in columns}
        if kinds <= {"i", "f"}:
            return np.column_stack(columns)
        rows = np.empty((len(columns[0]), len(columns)), dtype=object)
        for j, column in enumerate(columns):
            rows[:, j] = column
        return rows

    def frame(self, library: str | None = None) -> Any:
        """Return a dataframe of this library, or of the first that is installed; None without."""
        for name in LIBRARIES if library is None else [library]:
            try:
                package = importlib.import_module(name)
            except ImportError:
                continue
            return _FRAMES[name](package, self)
        return None


# ---- frames --------------------------------------------------------------------------------------


def _pandas(pd: Any, table: Columns) -> Any:
    made = {}
    for name, column in zip(table.names, table.columns, strict=True):
        values: Any = column.values
        if column.levels is not None:
            values = pd.Categorical(column.plain().tolist(), categories=column.levels)
        elif column.gaps is not None and values.dtype.kind == "i":
            values = pd.arrays.IntegerArray(values, column.gaps)
        elif column.gaps is not None and values.dtype.kind == "b":
            values = pd.arrays.BooleanArray(values, column.gaps)
        made[name] = values
    return pd.DataFrame(made)


def _polars(pl: Any, table: Columns) -> Any:
    made = []
    for name, column in zip(table.names, table.columns, strict=True):
        dtype = None if column.levels is None else pl.Enum(column.levels)
        values = column.plain()
        series = pl.Series(name, values.tolist() if values.dtype == object else values, dtype=dtype)
        made.append(series.fill_nan(None) if series.dtype.is_float() else series)
    return pl.DataFrame(made)


def _arrow(pa: Any, table: Columns) -> Any:
    made = []
    for column in table.columns:
        values = column.plain()
        if column.levels is not None:
            place: dict[Any, int | None] = {level: k for k, level in enumerate(column.levels)}
            codes = [None if value is None else place[value] for value in values.tolist()]
            made.append(
                pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(column.levels))
            )
        else:
            made.append(pa.array(values.tolist() if values.dtype == object else values))
    return pa.table(made, names=table.names)


_FRAMES: dict[str, Callable[[Any, Columns], Any]] = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
}
