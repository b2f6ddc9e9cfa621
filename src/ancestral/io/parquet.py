"""Parquet tables of numbers, through pyarrow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import (
    AncestralError,
    DataError,
    DataTypeError,
    FormatError,
    MissingExtraError,
)
from ancestral.io.dtypes import to_native
from ancestral.io.files import Source, as_size


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
        When a column has nulls and `missing` is False.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError(
            f'{source.name}: Parquet needs pyarrow: pip install "ancestral[tables]".'
        ) from None
    if source.gzipped:
        raise FormatError(f"{source.name}: a gzipped Parquet file: gunzip it first.")
    source.file.seek(0)
    try:
        # On this thread alone: arrow's own would call back into Python for each piece of the file.
        file = pq.ParquetFile(source.file, pre_buffer=False)
        fields = _numeric_fields(file, source, pa.types)
        table = file.read(columns=[field.name for field in fields], use_threads=False)
        table.validate(full=True)
    except AncestralError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        why = (str(error).splitlines() or [""])[0][:120]
        raise FormatError(f"{source.name}: damaged Parquet file ({why}); copy it again.") from None
    if table.num_rows == 0:
        raise DataError(f"{source.name}: holds columns and no rows.")
    columns = [_column(table, field.name, source.name, missing=missing) for field in fields]
    if np.result_type(*columns).kind == "f":
        for field, column in zip(fields, columns):
            _refuse_rounding(column, field.name, source.name)
    return [field.name for field in fields], to_native(np.column_stack(columns))


def _numeric_fields(file: Any, source: Source, types: Any) -> list[Any]:
    """Return the columns, all numeric; refuse more cells than `max_bytes` holds."""
    fields = [field for field in file.schema_arrow if not field.name.startswith("__index_level_")]
    names = [field.name for field in fields]
    if not fields:
        raise DataError(f"{source.name}: has no columns.")
    for field in fields:
        numeric = types.is_integer(field.type) or types.is_floating(field.type)
        if not numeric and not types.is_boolean(field.type):
            kind = "dictionary" if types.is_dictionary(field.type) else str(field.type)
            raise DataTypeError(
                f"{source.name}: column {field.name!r} holds {kind[:60]} values: "
                "convert it to numbers, or leave it out."
            )
        if names.count(field.name) > 1:
            raise FormatError(f"{source.name}: two columns are named {field.name!r}: rename one.")
    expanded = file.metadata.num_rows * len(fields) * 8
    if expanded > source.limit:
        raise FormatError(
            f"{source.name}: expands to {as_size(expanded)} > max_bytes "
            f"{as_size(source.max_bytes)}; pass max_bytes= if you trust it."
        )
    return fields


def _column(table: Any, column: str, name: str, *, missing: bool) -> NDArray:
    """Return one column; nulls become NaN where missing values are allowed."""
    values = table.column(column)
    if values.null_count and not missing:
        row = values.is_null().to_pylist().index(True)
        raise DataError(
            f"{name}: column {column!r} is null at row {row} ({values.null_count} nulls); "
            "fill them, drop the rows, or pass missing=True."
        )
    if values.null_count:
        _refuse_rounding(values.drop_null().to_numpy(), column, name)
        return values.cast("float64").to_numpy(zero_copy_only=False).astype(np.float64)
    return values.to_numpy(zero_copy_only=False)


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
