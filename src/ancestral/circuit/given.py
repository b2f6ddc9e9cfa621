"""What a caller says of one row, as a condition on the columns of a tree.

value            the column has it
set, list        the column has one of these values
(low, high)      it lies between these, both included; either may be None
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.columns import values_by_place
from ancestral._checks.containers import shown
from ancestral._checks.missing import is_missing
from ancestral.circuit.columns import Column
from ancestral.circuit.leaves import Allowed, ContinuousLeaf
from ancestral.circuit.messages import Mixture
from ancestral.circuit.queries import Condition
from ancestral.errors import DataError, DataTypeError, ModelError

Floats = NDArray[np.float64]


def condition_of(model: Any, columns: list[Column], given: Any) -> Condition:
    """Return what `given` says of a row.

    Parameters
    ----------
    model : LatentTree
        Fitted.
    columns : list of Column
        Those that it models.
    given : mapping, Series, dataframe of one row, or array-like of shape (n_features,); or None

    Raises
    ------
    DataError
        For unknown columns, values that a column cannot have, and empty sets and ranges.
    """
    row = np.full(len(columns), np.nan)
    allowed: dict[int, Allowed] = {}
    if given is None:
        return Condition(row)
    number = {column.place: i for i, column in enumerate(columns)}
    said = values_by_place(model, given)
    is_row = len(said) == model.n_features_in_  # and so names no column in particular
    for place, value in said.items():
        if _says_nothing(value):
            continue
        if place not in number and is_row:
            continue  # as in log_density
        if place not in number:
            names = vars(model).get("feature_names_in_")
            label = place if names is None else names[place]
            raise DataError(
                f"given names {label!r}, which fit left out, because it holds names or ids: leave "
                "it out here too, or fit anew with "
                f'column_types={{{label!r}: "categorical"}}.'
            )
        i = number[place]
        column = columns[i]
        if type(value) is tuple:
            allowed[i] = _range(column, value)
        elif _is_several(value):
            allowed[i] = _set(column, value)
        else:
            row[i] = _encoded(column, [value])[0]
    return Condition(row, allowed)


def _says_nothing(value: Any) -> bool:
    """Tell whether a value, or both ends of a range, are missing."""
    if type(value) is tuple:
        return len(value) == 2 and all(map(is_missing, value))
    return not _is_several(value) and is_missing(value)


def _is_several(value: Any) -> bool:
    """Tell whether a value is a set or list of values."""
    if isinstance(value, str | bytes) or np.isscalar(value) or not isinstance(value, Iterable):
        return False
    return not (isinstance(value, np.ndarray) and value.ndim == 0)


def _encoded(column: Column, values: list[Any]) -> Floats:
    """Return values of a column as a leaf reads them; text of a date column is read as a date."""
    held = np.empty(len(values), dtype=object)
    for k, value in enumerate(values):
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if column.of == "date" and isinstance(value, str):
            value = _date(column, value)
        held[k] = value
    return column.encode(held, name="given")


def _date(column: Column, text: str) -> Any:
    text = text.strip()
    try:
        if not text[:1].isdecimal():  # numpy also reads "now", "today" and "NaT"
            raise ValueError(text)
        return np.datetime64(text)
    except ValueError:
        raise DataError(
            f"given holds {shown(text)} for column {column.name!r}, which is no date: give one as "
            'in "2024-01-31".'
        ) from None


def _set(column: Column, value: Iterable[Any]) -> Allowed:
    values = list(value)
    if not values:
        raise DataError(
            f"given allows column {column.name!r} no value: its set is empty. Give some values, or "
            "leave the column out."
        )
    if any(_is_several(one) for one in values):
        raise DataTypeError(
            f"given holds {shown(value)} for column {column.name!r}: a set is of single values."
        )
    if any(map(is_missing, values)):
        raise DataError(
            f"given holds a missing value in the set of column {column.name!r}: a condition can "
            "only hold values. Leave it out; a column that is not named may have any value."
        )
    return Allowed(np.unique(_encoded(column, values)))


def _range(column: Column, ends: tuple[Any, ...]) -> Allowed:
    """Return an interval of numbers or dates; of levels that are numbers, those that lie in it."""
    if len(ends) != 2:
        raise DataError(
            f"given holds {shown(ends)} for column {column.name!r}: a range is (low, high), where "
            "either end may be None; a set of values is a set, {...}."
        )
    if column.has_levels and column.of != "number":
        some = ", ".join(map(repr, column.levels[:2].tolist()))  # a set has no order
        raise DataTypeError(
            f"given holds the range {shown(ends)} for column {column.name!r}, whose levels are no "
            f"numbers: give a set of levels, as in {{{some}}}."
        )
    if any(isinstance(end, Iterable) and not isinstance(end, str) for end in ends):
        raise DataTypeError(
            f"given holds {shown(ends)} for column {column.name!r}: the ends of a range are "
            "single values."
        )
    low, high = (_end(column, end, sign) for end, sign in zip(ends, (-1, 1), strict=True))
    if low > high:
        raise DataError(
            f"given holds the range {shown(ends)} for column {column.name!r}, whose low end lies "
            "above its high end. Give (low, high)."
        )
    if not column.has_levels:
        return Allowed(None, low, high)
    levels = column.levels.astype(np.float64)
    codes = np.flatnonzero((levels >= low) & (levels <= high)).astype(np.float64)
    if not len(codes):
        known = ", ".join(str(level) for level in column.levels[:8])
        raise DataError(
            f"given holds the range {shown(ends)} for column {column.name!r}, which contains none "
            f"of its levels: these are {known}{', ...' * (len(levels) > 8)}."
        )
    return Allowed(codes)


def _end(column: Column, end: Any, sign: int) -> float:
    """Return one end of a range, infinite where there is none."""
    if is_missing(end):
        return sign * np.inf
    if column.of in ("date", "duration"):
        return float(_encoded(column, [end])[0])
    if isinstance(end, str | bytes | bool | np.bool_) or not np.isscalar(end):
        raise DataTypeError(
            f"given holds {shown(end)} as an end of a range of column {column.name!r}: give a "
            "number, or None."
        )
    try:
        found = float(end)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        raise DataTypeError(
            f"given holds {shown(end)} as an end of a range of column {column.name!r}, which is no "
            "number that float64 holds: give another, or None."
        ) from None
    if found == -sign * np.inf:
        raise DataError(
            f"given holds {found} as the {'low' if sign < 0 else 'high'} end of a range of column "
            f"{column.name!r}: no value is beyond it. Give a number, or None."
        )
    return found


def refuse_impossible(mixture: Mixture, columns: list[Column], condition: Condition) -> ModelError:
    """Return the error for a condition of probability 0, which says what is impossible in it."""
    for i, column in enumerate(columns):
        leaves = [circuit.leaves[i] for circuit in mixture.circuits]
        value, what = condition.row[i : i + 1], condition.allowed.get(i)
        if not np.isnan(value[0]) and all(np.isneginf(f.log_density(value)).all() for f in leaves):
            return ModelError(
                f"given: {column.name!r} = {_shown(column, value[0])} has probability 0 under the "
                "model, so nothing can be drawn or computed given it. Leave it out, or give a "
                "value like those of the fit."
            )
        if what is None or not all(np.isneginf(leaf.log_mass(what)).all() for leaf in leaves):
            continue
        if what.values is not None and isinstance(leaves[0], ContinuousLeaf):
            atoms = [_shown(column, atom) for atom in column.atoms[:8]]
            mend = "Give a range (low, high), or one value alone"
            if atoms:
                mend += f"; values with a probability of their own are {', '.join(atoms)}"
            return ModelError(
                f"given: single values of {column.name!r} have probability 0, because it is "
                f"continuous. {mend}."
            )
        return ModelError(
            f"given: the values that it allows for {column.name!r} have probability 0 under the "
            "model. Allow more values, or leave the column out."
        )
    return ModelError(
        "given: its values are possible one by one, but have probability 0 together. Leave one of "
        "them out."
    )


def refuse_row(mixture: Mixture, columns: list[Column], rows: Floats, row: int) -> ModelError:
    """Return the error for a row whose known values have probability 0."""
    for i, column in enumerate(columns):
        value = rows[row, i : i + 1]
        if np.isnan(value[0]):
            continue
        if all(np.isneginf(c.leaves[i].log_density(value)).all() for c in mixture.circuits):
            return ModelError(
                f"row {row} has probability 0 under the model: no state allows "
                f"{_shown(column, value[0])} in column {column.name!r}. Mark it as missing."
            )
    return ModelError(
        f"row {row} has probability 0 under the model, though each of its values is possible by "
        "itself. Mark one of them as missing, or leave the row out."
    )


def _shown(column: Column, value: float) -> str:
    return shown(column.decode(np.array([value])).tolist()[0])
