"""Parquet tables of numbers, or of numbers, text and levels, through pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import warn
from ancestral._extras import import_extra
from ancestral.errors import (
    AncestralError,
    DataError,
    DataTypeError,
    FormatError,
)
from ancestral.io.dtypes import to_native
from ancestral.io.sources import Source, as_size


def read_parquet(source: Source, *, missing: bool) -> tuple[list[str], NDArray]:
    """Return the column names and the numbers, in the smallest dtype that holds every column.

    Raises
    ------
    MissingExtraError
        Without pyarrow.
    FormatError
        When the file is damaged or has two columns of one name.
    DataTypeError
        When a column is nested, a dictionary, text or a date, by name.
    DataError
        When a column has nulls and `missing` is False, or a float64 would round whole numbers.

    Notes
    -----
    The index of a pandas frame is left out, with a warning that names it.
    """
    names, columns = _read(source, _refuse_no_number)
    held = [_column(*pair, source.name, missing=missing) for pair in zip(columns, names)]
    if np.result_type(*held).kind == "f":
        for name, column in zip(names, held):
            _refuse_rounding(column, name, source.name)
    return names, to_native(np.column_stack(held))


def read_parquet_columns(
    source: Source, *, missing: bool, dates: bool = False
) -> tuple[list[str], list[Any]]:
    """Return the column names, and Arrow's columns of numbers, booleans, text or levels of these.

    With `dates` also columns of dates.

    Raises
    ------
    MissingExtraError, FormatError
        As `read_parquet`.
    DataTypeError
        When a column is nested, or holds dates or bytes, by name.
    DataError
        When a column has nulls and `missing` is False, or holds infinity.
    """
    names, columns = _read(source, _refuse_no_level_or_date if dates else _refuse_no_level)
    for name, column in zip(names, columns):
        values = column
        if str(values.type) in ("halffloat", "float", "double"):
            floats = values.drop_null().to_numpy()
            if np.isinf(floats).any():
                raise DataError(
                    f"{source.name}: column {name!r} holds infinity, which cannot be modelled: "
                    "drop or clip it."
                )
            if not missing and np.isnan(floats).any():
                raise DataError(
                    f"{source.name}: column {name!r} holds NaN; fill it, drop the rows, or pass "
                    "missing=True."
                )
        if not missing:
            _refuse_nulls(values, name, source.name)
    return names, columns


def pyarrow_for(name: str) -> tuple[Any, Any]:
    """Return pyarrow and its module of Parquet, for a file of this name."""
    modules = ("pyarrow", "pyarrow.parquet")
    arrow, parquet = (import_extra(each, f"{name}: Parquet", "tables") for each in modules)
    return arrow, parquet


def _read(source: Source, refuse: Callable[[Any, Any], str | None]) -> tuple[list[str], list[Any]]:
    """Return names and columns, all of the types that are not refused."""
    pa, pq = pyarrow_for(source.name)
    if source.gzipped:
        raise FormatError(f"{source.name}: a gzipped Parquet file: gunzip it first.")
    source.file.seek(0)
    try:
        # On this thread alone: arrow's own would call back into Python for each piece of the file.
        file = pq.ParquetFile(source.file, pre_buffer=False)
        fields = _fields(file, source, refuse, pa.types)
        table = file.read(columns=[field.name for field in fields], use_threads=False)
        table.validate(full=True)
    except AncestralError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        why = (str(error).splitlines() or [""])[0][:120]
        raise FormatError(f"{source.name}: damaged Parquet file ({why}); copy it again.") from None
    if table.num_rows == 0:
        raise DataError(f"{source.name}: holds columns and no rows.")
    held = dict(zip(table.column_names, table.columns))
    names = [field.name for field in fields]
    return names, [held[name] for name in names]


def _refuse_no_number(dtype: Any, types: Any) -> str | None:
    """Return what a type is that holds no numbers, and the mend."""
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_boolean(dtype):
        return None
    kind = "dictionary" if types.is_dictionary(dtype) else str(dtype)
    return f"holds {kind[:60]} values: convert it to numbers, or leave it out."


def _refuse_no_level(dtype: Any, types: Any) -> str | None:
    """Return what a type is that holds neither numbers nor levels, and the mend."""
    of = dtype.value_type if types.is_dictionary(dtype) else dtype
    text = types.is_string(of) or types.is_large_string(of) or str(of) == "string_view"
    if text or _refuse_no_number(of, types) is None:
        return None
    mend = "pass dates=True, convert it" if _is_date(dtype, types) else "convert it"
    return f"holds {str(dtype)[:60]} values: {mend} to numbers or text, or leave it out."


def _is_date(dtype: Any, types: Any) -> bool:
    return bool(types.is_timestamp(dtype) or types.is_date(dtype))


def _refuse_no_level_or_date(dtype: Any, types: Any) -> str | None:
    """Return what a type is that holds neither numbers, levels nor dates, and the mend."""
    return None if _is_date(dtype, types) else _refuse_no_level(dtype, types)


def _fields(file: Any, source: Source, refuse: Callable[[Any, Any], str | None], types: Any) -> Any:
    """Return the columns, of types that are not refused; no more cells than `max_bytes` holds."""
    fields = without_index(list(file.schema_arrow), file.schema_arrow.metadata, source.name)
    seen = set()
    for field in fields:
        if (why := refuse(field.type, types)) is not None:
            raise DataTypeError(f"{source.name}: column {field.name!r} {why}")
        if field.name in seen:
            raise FormatError(f"{source.name}: two columns are named {field.name!r}: rename one.")
        seen.add(field.name)
    expanded = file.metadata.num_rows * len(fields) * 8
    if expanded > source.limit:
        raise FormatError(
            f"{source.name}: expands to {as_size(expanded)} > max_bytes "
            f"{as_size(source.max_bytes)}; pass max_bytes= if you trust it."
        )
    return fields


def without_index(fields: list[Any], metadata: Any, name: str, *, say: bool = True) -> list[Any]:
    """Return the columns but the index of a pandas frame, which is named in a warning."""
    try:
        held = json.loads((metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError, RecursionError):
        held = []  # other programs' files, and what pandas never wrote
    index = {key for key in held if isinstance(key, str)} if isinstance(held, list) else set()
    left = [f.name for f in fields if f.name in index or f.name.startswith("__index_level_")]
    if len(left) == len(fields):
        besides = (
            f" besides {', '.join(map(repr, left))}, the index of a pandas frame" if left else ""
        )
        raise DataError(f"{name}: has no columns{besides}.")
    if left and say:
        warn(
            f"{name}: left out {', '.join(map(repr, left))}, the index of the pandas frame that "
            "was saved. To take it as a column, save frame.reset_index()."
        )
    index = set(left)
    return [field for field in fields if field.name not in index]


def _column(values: Any, column: str, name: str, *, missing: bool) -> NDArray:
    """Return one column; nulls become NaN where missing values are allowed."""
    if not missing:
        _refuse_nulls(values, column, name)
    if values.null_count:
        _refuse_rounding(values.drop_null().to_numpy(), column, name)
        return values.cast("float64").to_numpy(zero_copy_only=False).astype(np.float64)
    return values.to_numpy(zero_copy_only=False)


def _refuse_nulls(values: Any, column: str, name: str) -> None:
    if values.null_count:
        row = values.is_null().to_pylist().index(True)
        raise DataError(
            f"{name}: column {column!r} is null at row {row} ({values.null_count} nulls); "
            "fill them, drop the rows, or pass missing=True."
        )


def _refuse_rounding(column: NDArray, label: str, name: str) -> None:
    """Refuse whole numbers that a float64 beside them, or for a null, would round."""
    if column.dtype.kind not in "iu" or column.dtype.itemsize < 8:
        return
    beyond = (column > 1 << 53) | (column < -(1 << 53))
    if beyond.any():
        row = int(np.argmax(beyond))
        raise DataError(
            f"{name}: column {label!r} holds {column[row]} at row {row}, which as a float64 would "
            "be rounded: leave the column out, or subtract what its numbers share."
        )
