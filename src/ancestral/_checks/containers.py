"""Whatever holds numbers or levels, as numpy arrays: no integer rounded, nothing missing lost.

Arrays of numpy and of other libraries, nested lists, and dataframes (plain columns of pandas,
polars and Arrow natively, all others by narwhals) are opened here, and here alone. A frame is
opened by columns, since each has a type of its own. What is opened then becomes numbers
(`as_floats`) or levels (`as_levels`) by one rule:

    numbers   booleans, integers up to 2**53, real floats, Decimal and Fraction; missing is NaN
    levels    booleans, integers of 64 bits, text; missing is NaN
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from decimal import Decimal
from numbers import Integral, Rational, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.missing import is_missing, missing_mask
from ancestral.errors import AncestralError, DataError, DataTypeError

EXACT = 1 << 53  # beyond it float64 does not hold every whole number
WANTED = "real numbers are wanted: convert or encode it."
_SCALARS = frozenset({bool, int, float, str, bytes, type(None), np.float64, np.int64, np.bool_})
_REALS = frozenset({bool, int, float, type(None), np.float64, np.float32, np.int64, np.bool_})
_WHOLE = frozenset({bool, int, np.bool_, np.int64, np.int32})
# Types of narwhals whose columns come as numpy's own, without nulls.
_PLAIN = frozenset(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64))
_PLAIN |= {"Float32", "Float64", "Boolean"}
_ARROW_PLAIN = frozenset({kind.lower() for kind in _PLAIN} - {"boolean"}) | {"float", "double"}


class Opened(NamedTuple):
    """Values as numpy holds them: one array, or of a frame its columns, with their names."""

    values: NDArray | list[NDArray]
    names: list[Any] | None
    n_rows: int


class Where(NamedTuple):
    """Says where a value stands: in what, and its column by name where there are names."""

    name: str
    names: Any = None

    @classmethod
    def in_column(cls, name: str, names: list[Any] | None, j: int) -> Where:
        """Return the place of one column, whose values are told by their rows."""
        of = "" if name == "X" else f" of {name}"
        return cls(f"column {j if names is None else repr(names[j])}{of}")

    def __call__(self, place: tuple[int, ...]) -> str:
        """Return "row 3, column 'age'" for an index."""
        return describe_place(place, self.names)


def describe_place(place: tuple[int, ...], names: Any = None) -> str:
    """Return "row 3, column 7" for an index of one or two parts, "index (1, 2, 3)" beyond."""
    if len(place) == 1:
        return f"row {place[0]}" if names is None else f"column {names[place[0]]!r}"
    if len(place) == 2:
        column = place[1] if names is None else repr(names[place[1]])
        return f"row {place[0]}, column {column}"
    return f"index {place}"


def shown(value: Any) -> str:
    """Return a value as Python writes it, cut where it is long: 'a', not np.str_('a')."""
    value = value.item() if isinstance(value, np.generic) and value.dtype.kind in "biufU" else value
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---- opening ------------------------------------------------------------------------------------


def opened(data: Any, name: str) -> Opened:
    """Return the values of any container as numpy arrays, their types kept.

    Parameters
    ----------
    data : array-like, dataframe, or column of one
    name : str
        Of the argument, for messages.

    Raises
    ------
    DataTypeError
        For what cannot be read as an array.
    DataError
        For rows of differing lengths, frames that are not computed, columns of one name.
    """
    if isinstance(data, np.ndarray):
        return _of_array(_plain(data))
    if isinstance(data, list | tuple):
        return _of_array(_sequence(data, name))
    try:
        return _frame(data, name) or _of_array(_array(data, name))
    except (AncestralError, MemoryError):
        raise
    except Exception as error:  # of whatever library wrote the container
        why = (str(error).splitlines() or [""])[0][:100]
        raise DataTypeError(
            f"{name} is a {type(data).__name__}, which cannot be read ({why}). "
            "Give a numpy array, nested lists or a dataframe."
        ) from None


def _of_array(values: NDArray) -> Opened:
    return Opened(values, None, len(values) if values.ndim else 0)


def _plain(array: NDArray) -> NDArray:
    """Return numpy's array as its base class, missing where masked; text of any width as `str`."""
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array)
    if array.dtype.kind == "T":  # of variable width, with a word of its own for missing
        return array.astype(object)
    return array if type(array) is np.ndarray else np.asarray(array)


def _unmasked(array: Any) -> NDArray:
    """Return a masked array's values, with NaN or None where they are masked."""
    mask, data = np.ma.getmaskarray(array), np.ma.getdata(array)
    if not mask.any():
        return data
    kind = data.dtype.kind
    if (kind in "iu" and not _beyond(np.where(mask, 0, data))) or kind == "b":
        data = data.astype(np.float64)
    elif kind in "fcmM":
        data = data.copy()
    else:
        data = data.astype(object)
    data[mask] = None if data.dtype.kind == "O" else np.nan if data.dtype.kind in "fc" else "NaT"
    return data


def _sequence(rows: list[Any] | tuple[Any, ...], name: str) -> NDArray:
    """Return nested lists as an array that holds just what they hold."""
    if not _SCALARS.issuperset(map(type, rows)):
        rows = [row if type(row) in (list, tuple) else _row(row, name) for row in rows]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # masked elements become NaN
            array = np.asarray(rows)
            if array.dtype.kind in "biuc":
                return array
            if array.dtype.kind == "f" and not _rounds(array):
                return array
            # numpy writes numbers as text beside text, and rounds integers beside floats.
            objects = np.array(rows, dtype=object)
    except (MemoryError, AncestralError):
        raise
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise DataError(f"{name} cannot be read as rows: {error}") from None
        raise DataError(
            f"{name} is {describe_ragged(rows)} Give a rectangle: every row needs the same shape."
        ) from None
    except Exception as error:
        raise DataTypeError(f"{name} cannot be read as rows: {str(error)[:100]}") from None
    if objects.shape != array.shape:  # what numpy takes apart as one, but not as the other
        return array
    if array.dtype.kind == "U" and all(isinstance(v, str) for v in objects.flat):
        return array
    return objects


def _row(row: Any, name: str) -> Any:
    """Return one row of a list as numpy's, a number as it is."""
    if type(row) in _SCALARS or (np.ndim(row) == 0 and not hasattr(row, "detach")):
        return row
    values = opened(row, name).values
    return values if isinstance(values, np.ndarray) else row


def describe_ragged(rows: Any) -> str:
    """Word where the first row is that has another shape than row 0."""
    shapes = [shape_of(row) for row in rows]
    odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), 0)
    if not odd:  # deeper down
        return "ragged: its rows are of differing lengths."
    return f"ragged: row {odd} has shape {shapes[odd]} where row 0 has {shapes[0]}."


def shape_of(row: Any) -> tuple[int, ...] | None:
    """Return the shape of a row, None where that row is itself ragged."""
    try:
        return np.shape(row)
    except ValueError:
        return None


def _array(data: Any, name: str) -> NDArray:
    """Return an array of another library, or of anything that numpy can read."""
    if hasattr(data, "toarray") or getattr(data, "is_sparse", False) is True:
        dense = "toarray" if hasattr(data, "toarray") else "to_dense"
        raise DataTypeError(f"{name} is a sparse matrix: give it dense, {name}.{dense}().")
    if hasattr(data, "detach"):  # torch: away from the graph and from the device
        data = data.detach().cpu()
        if data.is_floating_point() and data.element_size() < 4:
            data = data.float()  # numpy has no bfloat16
        data = data.resolve_conj().resolve_neg()
    return _plain(np.asarray(data))


# ---- dataframes and their columns ---------------------------------------------------------------


def _frame(data: Any, name: str) -> Opened | None:
    """Return the columns of a dataframe, or the one of a series; None for what is neither."""
    if (found := _pandas(data)) is None and (found := _other_frames(data, name)) is None:
        return None
    if isinstance(found, np.ndarray):
        return _of_array(found)
    names, values = found
    if len(set(names)) < len(names):
        twice = next(column for column in names if names.count(column) > 1)
        raise DataError(f"{name} has more than one column named {twice!r}: rename or drop one.")
    return Opened(values, names, len(data))


def _pandas(data: Any) -> tuple[list[Any], Any] | NDArray | None:
    """Return names and columns of a pandas frame, or the values of a series."""
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(data, pd.DataFrame | pd.Series | pd.Index):
        return None
    if not isinstance(data, pd.DataFrame):
        return _pandas_column(data)
    names, kinds = data.columns.tolist(), data.dtypes.tolist()
    if kinds and all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in kinds):
        if len(set(kinds)) == 1:
            return names, data.to_numpy()  # without a copy, where it is one block
        if (values := _pandas_mixed(data, kinds)) is not None:
            return names, values
    return names, [_pandas_column(series) for _, series in data.items()]


def _pandas_mixed(data: Any, kinds: list[np.dtype]) -> NDArray | None:
    """Return columns of several numeric types as one table; None where that may change a value."""
    if any(kind.kind == "b" for kind in kinds):
        return None
    values: NDArray = data.to_numpy()
    large = [j for j, kind in enumerate(kinds) if kind.kind in "iu" and kind.itemsize == 8]
    return None if values.dtype.kind == "O" or _rounds(values[:, large]) else values


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
    import narwhals as nw

    try:
        return _column(nw.from_native(series, series_only=True))
    except TypeError:  # an index
        return _objects(series.tolist())


def _other_frames(data: Any, name: str) -> tuple[list[Any], list[NDArray]] | NDArray | None:
    """Return names and columns of any other dataframe, or the values of a series."""
    module = type(data).__module__.partition(".")[0]
    if module == "polars":
        import polars as pl

        if isinstance(data, pl.DataFrame):
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


def _polars_column(series: Any) -> NDArray:
    """Return the values of a polars series."""
    kind = str(series.dtype)
    if kind in _PLAIN and (kind[:5] == "Float" or not series.null_count()):
        return np.asarray(series.to_numpy())
    import narwhals as nw

    return _column(nw.from_native(series, series_only=True))


def _arrow_column(values: Any) -> NDArray:
    """Return the values of an Arrow array."""
    if str(values.type) in _ARROW_PLAIN and not values.null_count:
        return np.asarray(values.to_numpy())
    import narwhals as nw
    import pyarrow as pa

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
    return _objects(series.to_list())


def _objects(values: Iterable[Any]) -> NDArray:
    """Return values, whatever they are, as a 1-D array of objects."""
    held = list(values)
    array = np.empty(len(held), dtype=object)
    array[:] = held
    return array


# ---- numbers ------------------------------------------------------------------------------------


def as_floats(found: Opened, name: str) -> NDArray:
    """Return booleans, integers and floats as numpy holds them, and NaN where missing.

    Raises
    ------
    DataTypeError
        For text, complex numbers, dates and other objects, naming the first.
    DataError
        For an integer that float64 does not hold for sure: one beyond 2**53.
    """
    if isinstance(found.values, np.ndarray):
        if found.values.dtype.kind == "f":
            return found.values
        return _floats(found.values, Where(name, found.names))
    columns = [
        _floats(column, Where.in_column(name, found.names, j))
        for j, column in enumerate(found.values)
    ]
    if not columns:
        return np.empty((found.n_rows, 0))
    kind = np.result_type(*(column.dtype for column in columns))
    table = np.empty((found.n_rows, len(columns)), kind, order="F")  # as the columns lie
    for j, column in enumerate(columns):
        table[:, j] = column
    return table


def _floats(values: NDArray, where: Where) -> NDArray:
    """Return an array of booleans, integers or floats."""
    kind = values.dtype.kind
    if kind in "iu":
        if _beyond(values):
            place = _first(np.abs(values) > EXACT if kind == "u" else _outside(values))
            raise DataError(_rounded(values[place], where(place), where.name))
        return values
    if kind == "O":
        return _floats_of_objects(values, where)
    if kind == "c":
        raise DataTypeError(_complex(values, where))
    if kind not in "bf":
        seen = f"{values.dtype} values"
        if kind in "US" and values.size:
            seen = _first_text(values, where)
        elif kind in "mM" and values.size:
            seen += f" ({values.flat[0]} at {where((0,) * values.ndim)})"
        raise DataTypeError(f"{where.name} holds {seen}; {WANTED}")
    return values


def _complex(values: NDArray, where: Where) -> str:
    """Word the error for complex numbers (scikit-learn's checks look for its own words)."""
    return (
        f"{where.name} holds {values.dtype} values; {WANTED} (Complex data not supported: give the "
        "real part, or the modulus.)"
    )


def _first_text(values: NDArray, where: Where) -> str:
    """Describe the first text that is no number, or of numbers alone the first of all."""
    for place, value in np.ndenumerate(values):
        try:
            float(value)
        except ValueError:
            return f"{shown(value)} at {where(place)}"
    return f"text ({shown(values.flat[0])} at {where((0,) * values.ndim)})"


def _floats_of_objects(values: NDArray, where: Where) -> NDArray[np.float64]:
    """Return real numbers among objects as float64, NaN where one is missing."""
    kinds = set(map(type, values.flat))
    if kinds <= _REALS:
        try:
            floats = values.astype(np.float64)
        except OverflowError:  # of an integer
            pass
        else:
            if not _rounds(floats):
                return floats
    floats = np.empty(values.shape)
    for place, value in np.ndenumerate(values):
        floats[place] = _float(value, place, where)
    return floats


def _float(value: Any, place: tuple[int, ...], where: Where) -> float:
    """Return one object as a float."""
    if is_missing(value):
        return np.nan
    if isinstance(value, str | bytes):
        seen = f"text ({shown(value)} at {where(place)})"
        raise DataTypeError(f"{where.name} holds {seen}; {WANTED}")
    if hasattr(value, "item") and np.ndim(value) == 0:  # of numpy, of torch
        value = value.item()
    if isinstance(value, Real | Decimal):
        try:
            number = float(value)
        except OverflowError:  # of an integer or a Fraction beyond all floats
            number = np.inf
        exact: Any = value if isinstance(value, Integral | Rational | Decimal) else 0
        if abs(exact) > EXACT:
            raise DataError(_rounded(value, where(place), where.name))
        return number
    raise DataTypeError(
        f"{where.name} holds {shown(value)} at {where(place)}; {WANTED} (The argument must be a "
        f"string or a real number for float(); not a {type(value).__name__}.)"
    )


def _rounded(value: Any, where: str, name: str) -> str:
    """Word the error for an integer that float64 may round."""
    return (
        f"{name} holds {shown(value)} at {where}, beyond 2**53, where float64 rounds whole "
        "numbers: subtract an offset, or drop it if it is an identifier."
    )


def _beyond(values: NDArray) -> bool:
    """Tell whether any number is larger than 2**53 in size; NaN is not."""
    if not values.size or (values.dtype.kind in "iu" and values.dtype.itemsize < 8):
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.fmax.reduce(values, axis=None) > EXACT) or bool(
            np.fmin.reduce(values, axis=None) < -EXACT
        )


def _rounds(floats: NDArray) -> bool:
    """Tell whether floats may have been integers beyond 2**53, which are rounded to it at least."""
    return _beyond(floats) or bool((np.abs(floats) == EXACT).any())


def _outside(values: NDArray) -> NDArray[np.bool_]:
    return (values > EXACT) | (values < -EXACT)


def _first(where: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(where)[0])


# ---- levels -------------------------------------------------------------------------------------


def as_levels(found: Opened, name: str) -> NDArray:
    """Return values as they are in one array, of objects where their columns differ in kind.

    Objects are then booleans, integers, text, or NaN where missing; what is no level stays what it
    is, for `fit` to refuse with its place.

    Raises
    ------
    DataTypeError
        For arrays of bytes, complex numbers, dates and records, naming the first.
    """
    values = found.values
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "biufU":
            return values
        if values.ndim != 2:  # for the checker of shapes
            return values
        values = list(values.T)
    columns = [
        _levels(column, Where.in_column(name, found.names, j)) for j, column in enumerate(values)
    ]
    if not columns:
        return np.empty((found.n_rows, 0))
    return _side_by_side(columns)


def _levels(values: NDArray, where: Where) -> NDArray:
    """Return one column as booleans, integers or floats where it holds these alone."""
    kind = values.dtype.kind
    if kind in "biufU":
        return values
    if kind == "c":
        raise DataTypeError(_complex(values, where))
    if kind != "O":
        seen = f" ({shown(values[0])} at {where((0,))})" if len(values) else ""
        mend = f"decode it, {where.name}.astype(str)" if kind == "S" else "encode or drop it"
        raise DataTypeError(
            f"{where.name} holds {values.dtype} values{seen}; levels are integers, booleans or "
            f"text: {mend}."
        )
    kinds = set(map(type, values))
    if kinds == {str}:
        return values
    if len(values) and kinds <= {bool, np.bool_}:
        return values.astype(bool)
    if len(values) and kinds <= _WHOLE:
        try:
            return values.astype(np.int64)
        except OverflowError:
            return values
    gaps = missing_mask(values)
    if gaps.any():
        values = np.where(gaps, np.nan, values)
    if kinds <= {float, np.float64, np.float32, type(None)}:
        return values.astype(np.float64)
    return values


def _side_by_side(columns: list[NDArray]) -> NDArray:
    """Return columns as one table, of objects where a common type would change a value."""
    kinds = {"f" if column.dtype.kind in "iuf" else column.dtype.kind for column in columns}
    common = np.dtype(object)
    if len(kinds) == 1 and kinds != {"O"}:
        common = np.result_type(*(column.dtype for column in columns))
        if common.kind == "f" and any(c.dtype.kind in "iu" and _beyond(c) for c in columns):
            common = np.dtype(object)
    table = np.empty((len(columns[0]), len(columns)), common)
    for j, column in enumerate(columns):
        table[:, j] = column
    return table
