"""Tables with their gaps filled: names, types and category levels stay those of the table.

Known cells are kept as they are, to the bit. A gap takes what a model says of it, in the type of
its column; a column of whole numbers that the model takes for real ones becomes one of floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.missing import missing_mask
from ancestral.io.row_files import as_arrow
from ancestral.io.writing import columns_of


def real_columns(model: Any) -> set[int]:
    """Return the places of columns that a model takes for real numbers: they may be filled so."""
    if (columns := getattr(model, "columns_", None)) is not None:
        return {one["place"] for one in columns if one["kind"] == "continuous"}
    return set() if hasattr(model, "categories_") else set(range(model.n_features_in_))


def gaps_of(X: Any) -> tuple[int, int]:
    """Return how many gaps there are in some rows, and in how many of these."""
    gaps = sum(masks_of(X).values(), np.zeros(1, dtype=np.intp))
    return int(gaps.sum()), int(np.count_nonzero(gaps))


def masks_of(X: Any) -> dict[str, NDArray[np.bool_]]:
    """Return where the columns of some rows have gaps."""
    if hasattr(X, "itercolumns"):  # of Arrow: nothing is copied
        import pyarrow.compute as pc

        nulls = [pc.is_null(column, nan_is_null=True).to_numpy() for column in X.itercolumns()]
        return dict(zip(X.column_names, nulls, strict=True))
    names, columns = columns_of(X)
    return dict(zip(names, map(missing_mask, columns), strict=True))


def filled(table: Any, names: Sequence[str], found: Any, real: set[int]) -> Any:
    """Return a table of Arrow in which the gaps of some columns hold what a model found.

    Parameters
    ----------
    table : pyarrow.Table
    names : sequence of str
        Of the columns that the model knows, in its order.
    found : dataframe or ndarray of shape (n, d)
        These columns, filled.
    real : set of int
        Which of them are real numbers to the model.
    """
    for j, values in enumerate(columns_of(found, names)[1]):
        at = table.schema.get_field_index(names[j])
        column = _filled(table.column(at), values, is_real=j in real)
        field = table.schema.field(at).with_type(column.type)
        table = table.set_column(at, field, column)
    return table


def _filled(column: Any, values: NDArray, *, is_real: bool) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = column.type
    kinds = pa.types
    if is_real and not (kinds.is_floating(dtype) or kinds.is_temporal(dtype)):
        dtype = pa.float64()
    gaps = pc.is_null(column, nan_is_null=True)
    if not pc.any(gaps).as_py():
        return column.cast(dtype)
    if kinds.is_null(dtype):
        return pa.chunked_array([pa.array(values.tolist() if values.dtype == object else values)])
    plain = dtype.value_type if kinds.is_dictionary(dtype) else dtype
    fills = pa.array(values.tolist() if values.dtype.kind in "OU" else np.ascontiguousarray(values))
    whole = pc.if_else(gaps, fills.cast(plain, safe=False), column.cast(plain))
    if not kinds.is_dictionary(dtype):
        return whole
    return pa.chunked_array(
        [_encoded(chunk, dtype, _levels_of(column, fills)) for chunk in whole.chunks], dtype
    )


def _levels_of(column: Any, fills: Any) -> Any:
    """Return the levels of a column, in their order, and those that it is filled with."""
    import pyarrow as pa

    held = column.unify_dictionaries()
    own = held.chunk(0).dictionary if held.num_chunks else pa.array([], column.type.value_type)
    known = set(own.to_pylist())
    new = [v for v in dict.fromkeys(fills.to_pylist()) if v is not None and v not in known]
    return pa.concat_arrays([own, pa.array(new, own.type)]) if new else own


def _encoded(values: Any, dtype: Any, levels: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = pc.index_in(values, value_set=levels).cast(dtype.index_type)
    return pa.DictionaryArray.from_arrays(codes, levels, ordered=dtype.ordered)


def numbered(tables: Sequence[Any], first: int, names: Sequence[str] | None) -> Any:
    """Return tables of the same rows one below the other, after two columns: draw and row.

    Parameters
    ----------
    tables : sequence of dataframe or ndarray of shape (n, d)
    first : int
        Number of the first row.
    names : sequence of str, optional
        Of the columns of arrays.
    """
    if all(isinstance(one, np.ndarray) and one.dtype.kind in "biuf" for one in tables):
        return np.concatenate(
            [
                np.column_stack([np.full(len(one), k), np.arange(first, first + len(one)), one])
                for k, one in enumerate(tables, 1)
            ]
        )
    import pyarrow as pa

    parts = []
    for k, one in enumerate(tables, 1):
        table = as_arrow(one, names)
        rows = np.arange(first, first + len(one))
        for label, numbers in (("row", rows), ("draw", np.full(len(one), k))):
            table = table.add_column(0, _free(label, table.schema.names), pa.array(numbers))
        parts.append(table)
    return pa.concat_tables(parts, promote_options="default")


def numbered_names(names: Sequence[str] | None, width: int) -> list[str]:
    """Return the names of the columns of numbered arrays."""
    own = [f"x{k}" for k in range(width)] if names is None else [str(name) for name in names]
    return [_free("draw", own), _free("row", own), *own]


def _free(label: str, taken: Sequence[str]) -> str:
    return label if label not in taken else f"{label}_"
