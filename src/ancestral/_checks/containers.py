"""Whatever holds numbers or levels, as numpy arrays: no integer rounded, nothing missing lost.

Arrays of numpy and of other libraries, nested lists, and dataframes are opened here, and here
alone. A frame is opened by columns (`frames`), since each has a type of its own. What is opened
then becomes numbers (`as_floats`) or levels (`as_levels`) by one rule:

    numbers   booleans, integers up to 2**53, real floats, Decimal and Fraction; missing is NaN
    levels    booleans, integers of 64 bits, text; missing is NaN
"""

from __future__ import annotations

import datetime
import math
import warnings
from decimal import Decimal
from numbers import Integral, Rational, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.frame_reading import EXACT as EXACT
from ancestral._checks.frame_reading import beyond, columns_of, rounds
from ancestral._checks.missing import is_missing, missing_mask
from ancestral.errors import AncestralError, DataError, DataTypeError

WANTED = "real numbers are wanted: convert or encode it."
OF_DATES = "real numbers are wanted: ancestral.io.dates_as_numbers turns dates into days or years."
_SCALARS = frozenset({bool, int, float, str, bytes, type(None), np.float64, np.int64, np.bool_})
_REALS = frozenset({bool, int, float, type(None), np.float64, np.float32, np.int64, np.bool_})
_WHOLE = frozenset({bool, int, np.bool_, np.int64, np.int32})


class Opened(NamedTuple):
    """Values as numpy holds them: one array, or of a frame its columns, with their names."""

    values: NDArray | list[NDArray]
    names: list[Any] | None
    n_rows: int


class NamedArray(np.ndarray):
    """An array whose columns have names: a table where no library of dataframes is installed."""

    names: list[str]

    @classmethod
    def of(cls, values: NDArray, names: list[str]) -> NamedArray:
        """Return the array, its columns named."""
        named = values.view(cls)
        named.names = names
        return named


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
    if isinstance(data, NamedArray) and hasattr(data, "names"):  # a part of one has none
        return Opened(np.asarray(data), data.names, len(data))
    if isinstance(data, np.ndarray):
        return _of_array(_plain(data))
    if isinstance(data, list | tuple):
        return _of_array(_sequence(data, name))
    try:
        found = columns_of(data, name)
        if isinstance(found, tuple):
            names, values = found
            return Opened(values, names, len(data))
        return _of_array(_array(data, name) if found is None else found)
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
    if (kind in "iu" and not beyond(np.where(mask, 0, data))) or kind == "b":
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
            if array.dtype.kind == "f" and not rounds(array):
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
        shape = tuple(data.shape)
        size = 8 * math.prod(shape) / 1e6
        held = f"{size:,.1f}" if size < 100 else f"{size:,.0f}"
        raise DataTypeError(
            f"{name} is a sparse matrix, and zeros count like any other number here. Dense, its "
            f"shape {shape} takes {held} MB of float64: if memory holds that, "
            f"give {name}.{dense}(); else select columns first, or give parts of the rows, "
            "dense, to ancestral.streaming."
        )
    if hasattr(data, "detach"):  # torch: away from the graph and from the device
        data = data.detach().cpu()
        if data.is_floating_point() and data.element_size() < 4:
            data = data.float()  # numpy has no bfloat16
        data = data.resolve_conj().resolve_neg()
    return _plain(np.asarray(data))


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
        column
        if column.dtype.kind == "f"
        else _floats(column, Where.in_column(name, found.names, j))
        for j, column in enumerate(found.values)
    ]
    if not columns:
        return np.empty((found.n_rows, 0))
    kind = np.result_type(*(column.dtype for column in columns))
    # In C order, as products want them: copied once, where fresh memory costs more than the copy.
    table = np.empty((found.n_rows, len(columns)), kind)
    for j, column in enumerate(columns):
        table[:, j] = column
    return table


def _floats(values: NDArray, where: Where) -> NDArray:
    """Return an array of booleans, integers or floats."""
    kind = values.dtype.kind
    if kind in "iu":
        if beyond(values):
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
        raise DataTypeError(f"{where.name} holds {seen}; {OF_DATES if kind in 'mM' else WANTED}")
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
            if not rounds(floats):
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
    is_date = isinstance(value, datetime.date | datetime.timedelta | np.datetime64 | np.timedelta64)
    wanted = OF_DATES if is_date else WANTED
    raise DataTypeError(
        f"{where.name} holds {shown(value)} at {where(place)}; {wanted} (The argument must be a "
        f"string or a real number for float(); not a {type(value).__name__}.)"
    )


def _rounded(value: Any, where: str, name: str) -> str:
    """Word the error for an integer that float64 may round."""
    return (
        f"{name} holds {shown(value)} at {where}, beyond 2**53, where float64 rounds whole "
        "numbers: subtract an offset, or drop it if it is an identifier."
    )


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
        if common.kind == "f" and any(c.dtype.kind in "iu" and beyond(c) for c in columns):
            common = np.dtype(object)
    table = np.empty((len(columns[0]), len(columns)), common)
    for j, column in enumerate(columns):
        table[:, j] = column
    return table
