"""Dataframes and their columns, as numpy arrays with their names.

pandas, polars and Arrow are read natively where that is plain: numbers without a copy where they
lie so, text and categories by their levels. All other frames, and columns, are read by narwhals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError

FEW = 1 << 16  # values for which a call for each column costs more than another copy
EXACT = 1 << 53  # beyond it float64 does not hold every whole number
# Types of narwhals whose columns come as numpy's own, without nulls.
_PLAIN = frozenset(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64))
_PLAIN |= {"Float32", "Float64", "Boolean"}
_ARROW_PLAIN = frozenset({kind.lower() for kind in _PLAIN} - {"boolean"}) | {"float", "double"}


def columns_of(data: Any, name: str) -> tuple[list[Any], NDArray | list[NDArray]] | NDArray | None:
    """Return names and columns of a dataframe, the values of a series, or None for neither.

    Columns of one type may come as a table.

    Raises
    ------
    DataError
        For frames that are not computed, and columns of one name.
    """
    if (found := _pandas(data)) is None and (found := _other_frames(data, name)) is None:
        return None
    if not isinstance(found, np.ndarray) and len(set(names := found[0])) < len(names):
        twice = next(column for column in names if names.count(column) > 1)
        raise DataError(f"{name} has more than one column named {twice!r}: rename or drop one.")
    return found


def _pandas(data: Any) -> tuple[list[Any], Any] | NDArray | None:
    """Return names and columns of a pandas frame, or the values of a series."""
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(data, pd.DataFrame | pd.Series | pd.Index):
        return None
    if not isinstance(data, pd.DataFrame):
        return _pandas_column(data)
    names, kinds = data.columns.tolist(), pandas_types(data)
    distinct = set(kinds)
    if kinds and all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in distinct):
        if len(distinct) == 1:
            return names, data.to_numpy()  # without a copy, where it is one block
        if (values := _pandas_mixed(data, kinds)) is not None:
            return names, values
    return names, [_pandas_column(series) for _, series in data.items()]


def pandas_types(data: Any) -> list[Any]:
    """Return the types of a pandas frame's columns.

    From where `dtypes` has them, which makes a series of them: for few rows that is most of the
    work of reading a frame.
    """
    held = getattr(getattr(data, "_mgr", None), "get_dtypes", None)
    found: list[Any] = (data.dtypes if held is None else held()).tolist()
    return found


def _pandas_mixed(data: Any, kinds: list[np.dtype]) -> NDArray | None:
    """Return few values of several numeric types as one table; None where one may be changed."""
    if data.size > FEW or any(kind.kind == "b" for kind in kinds):
        return None
    values: NDArray = data.to_numpy()
    large = [j for j, kind in enumerate(kinds) if kind.kind in "iu" and kind.itemsize == 8]
    return None if values.dtype.kind == "O" or rounds(values[:, large]) else values


def _pandas_column(series: Any) -> NDArray:
    """Return the values of a pandas series."""
    kind = series.dtype
    if isinstance(kind, np.dtype):
        return np.asarray(series.to_numpy())
    if type(kind).__module__.partition(".")[0] == "pandas" and str(kind) in _PLAIN:  # with a mask
        if str(kind)[:5] == "Float":
            return np.asarray(series.to_numpy(kind.numpy_dtype, na_value=np.nan))
        if not series.hasnans:
            return np.asarray(series.to_numpy(kind.numpy_dtype))
    if str(kind) == "category" and hasattr(series, "cat"):
        return _of_levels(series.cat.categories.tolist(), series.cat.codes.to_numpy(), np.nan)
    if str(kind) in ("str", "string") and hasattr(series, "factorize"):
        codes, levels = series.factorize()
        return _of_levels(levels.tolist(), codes, kind.na_value)
    import narwhals as nw

    try:
        return _column(nw.from_native(series, series_only=True))
    except TypeError:  # an index
        return objects(series.tolist())


def _other_frames(data: Any, name: str) -> tuple[list[Any], Any] | NDArray | None:
    """Return names and columns of any other dataframe, or the values of a series."""
    module = type(data).__module__.partition(".")[0]
    if module == "polars":
        import polars as pl

        if isinstance(data, pl.DataFrame):
            if data.width * data.height <= FEW and _is_plain_polars(data):
                return data.columns, data.to_numpy(order="c")
            return data.columns, [_polars_column(series) for series in data.get_columns()]
    if module == "pyarrow":
        import pyarrow as pa

        if isinstance(data, pa.Table | pa.RecordBatch):
            return list(data.schema.names), [_arrow_column(column) for column in data.columns]
        if isinstance(data, pa.Array | pa.ChunkedArray):
            return _arrow_column(data)
    import narwhals as nw

    native = nw.from_native(data, allow_series=True, pass_through=True)
    if isinstance(native, nw.LazyFrame):
        how = "collect" if module == "polars" else "compute"
        raise DataError(
            f"{name} is a {type(data).__module__.split('.')[0]} {type(data).__name__}, whose rows "
            f"are not computed yet: give {name}.{how}()."
        )
    if isinstance(native, nw.Series):
        return _column(native)
    if not isinstance(native, nw.DataFrame):
        return None
    return list(native.columns), [_column(series) for series in native.iter_columns()]


def _is_plain_polars(data: Any) -> bool:
    """Tell whether all columns are numbers of one type, none of them changed in one table."""
    kinds = set(map(str, data.dtypes))
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind in ("Float32", "Float64"):
        return True
    whole = kind in _PLAIN and kind != "Boolean"
    return whole and not any(series.null_count() for series in data.get_columns())


def _polars_column(series: Any) -> NDArray:
    """Return the values of a polars series."""
    kind = str(series.dtype)
    if kind in _PLAIN and (kind[:5] == "Float" or not series.null_count()):
        return np.asarray(series.to_numpy())
    import polars as pl

    if kind.partition("(")[0] in ("String", "Categorical", "Enum"):
        text = series.cast(pl.String)
        levels = text.drop_nulls().unique(maintain_order=True)
        codes = text.cast(pl.Enum(levels)).to_physical().cast(pl.Int64).fill_null(-1)
        return _of_levels(levels.to_list(), codes.to_numpy(), None)
    import narwhals as nw

    return _column(nw.from_native(series, series_only=True))


def _arrow_column(values: Any) -> NDArray:
    """Return the values of an Arrow array."""
    if str(values.type) in _ARROW_PLAIN and not values.null_count:
        return np.asarray(values.to_numpy())
    import narwhals as nw
    import pyarrow as pa
    from pyarrow import compute

    kind = values.type
    if kind in (pa.float32(), pa.float64()):
        return np.asarray(compute.fill_null(values, float("nan")).to_numpy())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        coded = values if pa.types.is_dictionary(kind) else values.dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):  # of one dictionary
            coded = coded.unify_dictionaries().combine_chunks()
        if isinstance(coded, pa.DictionaryArray):
            codes = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
            return _of_levels(coded.dictionary.to_pylist(), codes, None)
    chunked = pa.chunked_array([values]) if isinstance(values, pa.Array) else values
    return _column(nw.from_native(chunked, series_only=True))


def _column(series: Any) -> NDArray:
    """Return the values of a narwhals series: numpy's own numbers, or objects."""
    kind = str(series.dtype)
    if kind in _PLAIN:
        if not series.null_count():
            return np.asarray(series.to_numpy())
        if kind[:5] == "Float":
            return np.asarray(series.to_numpy(), dtype=kind.lower())
    return objects(series.to_list())


def _of_levels(levels: list[Any], codes: NDArray, missing: Any) -> NDArray:
    """Return the levels behind codes as objects, those of each level one; `missing` for -1."""
    return np.take(objects([*levels, missing]), codes)


def objects(values: Iterable[Any]) -> NDArray:
    """Return values, whatever they are, as a 1-D array of objects."""
    held = list(values)
    array = np.empty(len(held), dtype=object)
    array[:] = held
    return array


# ---- whole numbers among floats ------------------------------------------------------------------


def beyond(values: NDArray) -> bool:
    """Tell whether any number is larger than 2**53 in size; NaN is not."""
    if not values.size or (values.dtype.kind in "iu" and values.dtype.itemsize < 8):
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.fmax.reduce(values, axis=None) > EXACT) or bool(
            np.fmin.reduce(values, axis=None) < -EXACT
        )


def rounds(floats: NDArray) -> bool:
    """Tell whether floats may have been integers beyond 2**53, which are rounded to it at least."""
    return beyond(floats) or bool((np.abs(floats) == EXACT).any())
