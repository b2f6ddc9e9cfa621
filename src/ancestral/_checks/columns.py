"""Checks of tables: rows of features in whatever container, held to what `fit` has seen.

What is no table goes through scikit-learn's own checker, so that its wording stands where its
users look for it; values are checked here, because a message must name the place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.containers import (
    Opened,
    as_floats,
    as_levels,
    describe_ragged,
    opened,
    shape_of,
    shown,
)
from ancestral._checks.frames import form_of
from ancestral._checks.numbers import (
    MEND_OF_MISSING,
    as_ancestral_errors,
    refuse_non_finite,
    warn,
)
from ancestral.errors import DataError, DataTypeError


def check_table(
    estimator: Any,
    X: ArrayLike,
    *,
    reset: bool,
    missing: bool = False,
    numeric: bool = True,
    finite: bool = True,
    mend: str = MEND_OF_MISSING,
) -> NDArray:
    """Return `X` as a 2-D array checked against the estimator's features.

    Parameters
    ----------
    estimator : BaseEstimator
        Remembers the number and names of features when `reset`, is held to them otherwise.
    X : array-like or dataframe of shape (n_samples, n_features)
    reset : bool
        True in `fit`.
    missing : bool
        NaN allowed (it means missing); infinity never is.
    numeric : bool
        True asks for float32 or float64; False leaves the dtype (discrete levels).
    finite : bool
        False leaves NaN and infinity to the caller, whose own pass over the values shows them.
    mend : str
        What to do about a missing value, where it is refused.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        float64 where `numeric` unless the input was float32.
    """
    found, names = _opened_table(estimator, X, reset=reset)
    checked = _usual_float((as_floats if numeric else as_levels)(found, "X"))
    if numeric and checked.dtype.kind != "f":
        checked = checked.astype(np.float64)
    if checked.ndim != 2 or not checked.size:
        _refuse_no_table(checked, estimator)
    _hold_to(estimator, X, found, checked.shape[1], reset=reset)
    if finite:
        refuse_non_finite(checked, missing=missing, names=names, mend=mend)
    return checked


def check_columns(estimator: Any, X: Any, *, reset: bool) -> list[NDArray]:
    """Return the columns of a table of mixed kinds, each as it came, for models that read these.

    Parameters
    ----------
    estimator, X, reset
        As `check_table` takes them.

    Returns
    -------
    list of ndarray of shape (n_samples,)
        Of any kind of numpy's, dates and objects included.
    """
    found, _ = _opened_table(estimator, X, reset=reset)
    table = found.values
    if isinstance(table, np.ndarray):
        if table.dtype.kind == "V":
            raise DataTypeError("X is an array of records: give a dataframe of their columns.")
        if table.ndim != 2 or not table.size:
            _refuse_no_table(table, estimator)
    elif not (table and found.n_rows):
        _refuse_no_table(np.empty((found.n_rows, len(table))), estimator)
    columns = list(table.T) if isinstance(table, np.ndarray) else table
    _hold_to(estimator, X, found, len(columns), reset=reset)
    return columns


def _opened_table(estimator: Any, X: Any, *, reset: bool) -> tuple[Opened, list[str] | None]:
    """Return the values of a table and the names of its columns, which are those of fit."""
    found = opened(X, "X")
    if isinstance(found.values, np.ndarray):
        _refuse_odd_shapes(found.values)
    names = _text_names(found.names)
    if not reset:
        _check_names(estimator, names)
    return found, names


def _hold_to(estimator: Any, X: Any, found: Opened, width: int, *, reset: bool) -> None:
    """Remember the columns of a fit, or refuse another number of them."""
    if reset:
        _remember_columns(estimator, width, _text_names(found.names))
        if hasattr(estimator, "_frame_in") and (form := form_of(X, found.names)) is not None:
            estimator._frame_in = form
    elif width != estimator.n_features_in_:
        raise DataError(
            f"X has {width} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input. "
            f"{_width_mend(width, found.n_rows, estimator)}"
        )


# ---- names --------------------------------------------------------------------------------------


def _text_names(names: list[Any] | None) -> list[str] | None:
    """Return the names of columns where they are text; None where there are none, or no texts."""
    if names is None:
        return None
    texts = [isinstance(name, str) for name in names]
    if True not in texts:
        return None
    if False in texts:
        other = names[texts.index(False)]
        raise DataTypeError(
            f"X names some columns by text and others not, such as {other!r}: name all by text, "
            "X.columns = X.columns.astype(str)."
        )
    return [str(name) for name in names]


def _remember_columns(estimator: Any, width: int, names: list[str] | None) -> None:
    estimator.n_features_in_ = width
    if names:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    elif "feature_names_in_" in vars(estimator):
        del estimator.feature_names_in_


def _check_names(estimator: Any, names: list[str] | None) -> None:
    """Raise DataError where columns are named otherwise than in `fit`; scikit-learn's wording."""
    fitted = vars(estimator).get("feature_names_in_")
    kind = type(estimator).__name__
    if fitted is None:
        if names is not None:
            warn(f"X has feature names, but {kind} was fitted without feature names.")
        return
    if names is None:
        warn(
            f"X does not have valid feature names, but {kind} was fitted with feature names: its "
            "columns are taken in the order of fit."
        )
        return
    if (mend := unlike_names(fitted, names)) is not None:
        wanted = ""
        if not set(fitted) <= set(names):
            wanted = (
                "\nGive every column of fit. To a model that takes missing values, a column "
                "without known values may hold only None."
            )
        elif len(names) > len(fitted):
            wanted = "\nGive X[list(model.feature_names_in_)]."
        raise DataError(
            f"The feature names should match those that were passed during fit.\n{mend}{wanted}"
        )


def names_of(table: Any) -> list[Any] | None:
    """Return the names of a dataframe's columns, or of a series; None for what has none."""
    if table is None or isinstance(table, np.ndarray | list | tuple):
        return None
    if hasattr(table, "iloc") and hasattr(table, "columns"):  # whose columns are attributes too
        return list(table.columns)
    if hasattr(table, "collect_schema"):  # of polars, lazy or not
        return list(table.collect_schema().names())
    columns = getattr(table, "columns", None)
    if columns is None:
        name = getattr(table, "name", None)
        return [name] if isinstance(name, str) and name else None
    return list(getattr(table, "column_names", columns))  # Arrow's columns are values


def unlike_names(fitted: Any, names: Any) -> str | None:
    """Say how names of columns differ from those of `fit`; None where they do not."""
    fitted, names = list(fitted), list(names)
    if names == fitted:
        return None
    unseen = sorted(set(names) - set(fitted), key=str)
    gone = sorted(set(fitted) - set(names), key=str)
    lines: list[str] = []
    for title, some in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", gone),
    ):
        lines += (
            [title] * bool(some) + [f"- {name}" for name in some[:5]] + ["- ..."] * (len(some) > 5)
        )
    if lines:
        return "\n".join(lines)
    j = next(j for j, (one, two) in enumerate(zip(names, fitted)) if one != two)
    return (
        "Feature names must be in the same order as they were in fit.\n"
        f"Column {j} is {names[j]!r} and was {fitted[j]!r}: give X[list(model.feature_names_in_)]."
    )


# ---- one row ------------------------------------------------------------------------------------


def check_row(estimator: Any, given: Any, *, name: str = "given", numeric: bool = True) -> NDArray:
    """Return one partly known row, NaN where unknown, its values by name where they have names.

    Parameters
    ----------
    estimator : fitted model
    given : array-like of shape (n_features,), mapping of names to values, named Series or
        dataframe of one row
        What a mapping, Series or frame does not name is unknown. A model without names takes
        the numbers of columns in a mapping.
    name : str
        Of the argument, for messages.
    numeric : bool
        True refuses what is no real number; False keeps levels of any kind.

    Returns
    -------
    ndarray of shape (n_features,)
    """
    fitted = vars(estimator).get("feature_names_in_")
    named = _by_name(given, name)
    if named is None:
        row = _by_place(estimator, given, name)
    else:
        row = np.full(estimator.n_features_in_, np.nan, dtype=object)
        for place, value in _placed(named, fitted, len(row), name).items():
            single = _is_single(value)
            if numeric and not single:
                column = place if fitted is None else repr(fitted[place])
                raise DataTypeError(
                    f"{name} holds {shown(value)} for column {column}: give a single number, not a "
                    "range or a list."
                )
            row[place] = value if single else _held(value)
    if not numeric:
        return as_levels(Opened(row[None], fitted, 1), name)[0]
    return as_floats(Opened(row, fitted, len(row)), name)


def values_by_place(estimator: Any, given: Any, *, name: str = "given") -> dict[int, Any]:
    """Return what is said of columns of one row, by their places: values of any kind, or sets of
    values and ranges, as they came.

    `given` is as `check_row` takes it.
    """
    fitted, d = vars(estimator).get("feature_names_in_"), estimator.n_features_in_
    named = _by_name(given, name)
    if named is not None:
        return _placed(named, fitted, d, name)
    if isinstance(given, list | tuple) and len(given) == d and not all(map(_is_single, given)):
        return dict(enumerate(given))
    return dict(enumerate(_by_place(estimator, given, name)))


def _is_single(value: Any) -> bool:
    """Tell whether a value is no list, tuple or array."""
    try:
        return np.ndim(value) == 0
    except ValueError:  # a ragged list
        return False


def _held(value: Any) -> NDArray:
    """Return a list, set or array as one object."""
    box = np.empty((), dtype=object)
    box[()] = value
    return box


def _by_place(estimator: Any, given: Any, name: str) -> NDArray:
    """Return the values of a row, or of a frame of one row, without names."""
    found, d = opened(given, name), estimator.n_features_in_
    row = found.values
    if found.names is not None and found.n_rows == 1:
        row = _first_row(row)
    if not isinstance(row, np.ndarray) or row.shape != (d,):
        shape = row.shape if isinstance(row, np.ndarray) else (found.n_rows, len(row))
        raise DataError(
            f"{name} must be one row of {d} values, NaN where unknown; got shape {shape}, and "
            f"the model is expecting {d} features."
        )
    return row


def _first_row(values: NDArray | list[NDArray]) -> NDArray:
    """Return the first row of a table or of columns, as objects."""
    columns = values.T if isinstance(values, np.ndarray) else values
    row = np.empty(len(columns), dtype=object)
    for j, column in enumerate(columns):
        row[j] = column[0]
    return row


def _by_name(given: Any, name: str) -> dict[Any, Any] | None:
    """Return values by the names that come with them; None where none do."""
    if hasattr(given, "as_py"):  # one row of Arrow's
        given = given.as_py()
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        return dict(given._asdict())
    if isinstance(given, np.void) and given.dtype.names:
        return dict(zip(given.dtype.names, given.item()))
    if isinstance(given, Mapping):
        return dict(given)
    if hasattr(given, "index") and hasattr(given, "iloc") and not hasattr(given, "columns"):
        names, values = list(given.index), opened(given, name).values  # a Series of pandas
        if not any(isinstance(key, str) for key in names):
            return None
    elif hasattr(given, "columns"):
        found = opened(given, name)
        if _text_names(found.names) is None or found.names is None:
            return None
        if found.n_rows != 1:
            raise DataError(f"{name} must be one row; got a dataframe of {found.n_rows} rows.")
        names, values = found.names, _first_row(found.values)
    else:
        return None
    if len(set(names)) < len(names):
        twice = next(key for key in names if names.count(key) > 1)
        raise DataError(f"{name} names {twice!r} more than once: give each value one name.")
    return dict(zip(names, values))


def _placed(named: dict[Any, Any], fitted: Any, d: int, name: str) -> dict[int, Any]:
    """Return values by the places of their columns."""
    if fitted is None:
        whole = [type(key) is int and 0 <= key < d for key in named]
        if all(whole):
            return named
        odd = list(named)[whole.index(False)]
        raise DataError(
            f"{name} names {odd!r}, and the model was fitted without names: give one row of {d} "
            f"values, NaN where unknown, or name columns by number, 0 to {d - 1}."
        )
    place = {column: j for j, column in enumerate(fitted)}
    odd = [key for key in named if key not in place]
    if odd:
        known = ", ".join(map(repr, list(fitted)[:8])) + (", ..." if d > 8 else "")
        raise DataError(f"{name} names {odd[0]!r}, which is no column of fit: those are {known}.")
    return {place[key]: value for key, value in named.items()}


# ---- shapes -------------------------------------------------------------------------------------


def _refuse_no_table(X: NDArray, estimator: Any) -> None:
    """Raise scikit-learn's error for more dimensions than two, and for no row or no column."""
    from sklearn.utils.validation import check_array

    with as_ancestral_errors():
        check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator)


def _usual_float(X: NDArray) -> NDArray:
    """Return half and extended precision as float64, the precision that every routine has."""
    if X.dtype == np.float64:
        return X
    odd = X.dtype == np.float16 or (X.dtype.kind == "f" and X.dtype.itemsize > 8)
    X = X.astype(np.float64) if odd else X
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def _width_mend(found: int, rows: int, estimator: Any) -> str:
    """Say what to do about another number of columns."""
    wanted = estimator.n_features_in_
    sides = [math.isqrt(width) for width in (found, wanted)]
    if [side * side for side in sides] == [found, wanted] and min(sides) > 2:
        side, own = sides
        return (
            f"Are these images of {side} x {side} pixels? The model's are {own} x {own}: "
            f"resize them, X.reshape({rows}, {side}, {side}) first."
        )
    return "Give the columns that fit was given."


def _refuse_odd_shapes(X: NDArray) -> None:
    """Say how to make a table of what is none: a single row, rows of lists, a stack of pictures."""
    if X.ndim == 0:
        by_name = (
            " A row by name is a dataframe of one row, with gaps where nothing is known: "
            "pandas.DataFrame([known], columns=model.feature_names_in_)."
        )
        raise DataError(
            f"Expected 2D array, got scalar array instead: X is {shown(X[()])}. Give rows of a "
            "table, of shape (n_samples, n_features)." + by_name * isinstance(X[()], Mapping)
        )
    if X.ndim == 1:
        if X.dtype.kind == "O" and len({shape_of(row) for row in X}) > 1:
            raise DataError(f"X is {describe_ragged(X)} Every row needs the same shape.")
        raise DataError(
            f"Expected 2D array, got 1D array instead: shape {X.shape}. Reshape your data: "
            "X.reshape(1, -1) if it is one row, X.reshape(-1, 1) if it is one column."
        )
    if X.ndim == 3:
        n, height, width = X.shape
        if width in (3, 4) and height > 4:
            hint = f"this looks like one {'RGBA'[:width]} image: convert it to grey"
        else:
            hint = f"flatten each image: X.reshape({n}, {height * width})"
        raise DataError(
            f"Found array with dim 3, shape {X.shape}; rows of a table are 1-D: {hint}."
        )
    if X.ndim == 4:
        raise DataError(
            f"Found array with dim 4, shape {X.shape}; colour images are not modelled: "
            "convert them to grey and flatten each to a row."
        )
