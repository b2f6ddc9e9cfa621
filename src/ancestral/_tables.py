"""Checks of tables: rows of features in whatever container, held to what `fit` has seen.

Shapes and types go through scikit-learn's own checker, so that its wording stands where its
users look for it; values are then checked here, because a message must name the place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._validation import (
    WANTED,
    as_ancestral_errors,
    describe_ragged,
    first_text,
    refuse_non_finite,
    refuse_rounded,
    refuse_text,
    shape_of,
)
from ancestral.errors import DataError, DataTypeError


def check_table(
    estimator: Any,
    X: ArrayLike,
    *,
    reset: bool,
    missing: bool = False,
    min_samples: int = 1,
    numeric: bool = True,
    finite: bool = True,
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
    min_samples : int
    numeric : bool
        True asks for float32 or float64; False leaves the dtype (discrete levels).
    finite : bool
        False leaves NaN and infinity to the caller, whose own pass over the values shows them.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        float64 where `numeric` unless the input was float32.
    """
    from sklearn.utils.validation import validate_data

    if isinstance(X, list | tuple):
        X = sequence_as_array(X)
    if isinstance(X, np.ndarray):
        X = _plain_array(X, numeric=numeric)
    elif hasattr(X, "columns"):
        _refuse_one_name_twice(X)
        if numeric:
            _refuse_text_columns(X)
    try:
        with as_ancestral_errors():
            checked = validate_data(
                estimator,
                X,
                reset=reset,
                dtype=(np.float64, np.float32) if numeric else None,
                ensure_all_finite=False,
                ensure_min_samples=min_samples,
                accept_sparse=False,
            )
    except DataError as error:
        if reset or (mend := _width_mend(X, estimator.n_features_in_)) is None:
            raise
        raise DataError(f"{error} {mend}") from None
    checked = _usual_float(checked)  # of a dataframe
    if finite:
        refuse_non_finite(checked, missing=missing)
    return checked


def _plain_array(X: NDArray, *, numeric: bool) -> NDArray:
    """Return an array in a dtype and byte order that every routine takes; refuse odd ones."""
    _refuse_odd_shapes(X)
    if np.ma.is_masked(X):  # what is masked is missing
        X = np.where(np.ma.getmaskarray(X), np.nan, np.ma.getdata(X))
    X = np.ma.getdata(X)
    if numeric and X.dtype.kind in "iu":
        refuse_rounded(X, "X")
    if numeric and X.dtype.kind in "US":
        raise DataTypeError(f"X holds {first_text(X)}; {WANTED}")
    if numeric and X.dtype.kind == "O":
        refuse_text(X, "X")
    if X.dtype.kind in "mMV":
        raise DataTypeError(f"X holds {X.dtype} values; {WANTED}")
    X = _usual_float(X)
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def _refuse_one_name_twice(X: Any) -> None:
    """Raise DataError where a dataframe has two columns of one name."""
    names = list(getattr(X, "column_names", X.columns))  # of Arrow, else of all others
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"X has more than one column named {twice!r}: rename or drop one.")


def _usual_float(X: NDArray) -> NDArray:
    """Return half and extended precision as float64, the precision that every routine has."""
    odd = X.dtype == np.float16 or (X.dtype.kind == "f" and X.dtype.itemsize > 8)
    return X.astype(np.float64) if odd else X


def _width_mend(X: Any, wanted: int) -> str | None:
    """Say what to do about another number of columns; None where the number is right."""
    shape = np.shape(X)
    if len(shape) != 2 or shape[1] == wanted:
        return None
    sides = [math.isqrt(width) for width in (shape[1], wanted)]
    if [side * side for side in sides] == [shape[1], wanted] and min(sides) > 2:
        (side, own), rows = sides, len(X)
        return (
            f"Are these images of {side} x {side} pixels? The model's are {own} x {own}: "
            f"resize them, X.reshape({rows}, {side}, {side}) first."
        )
    return "Give the columns that fit was given."


def _refuse_text_columns(X: Any) -> None:
    """Raise DataTypeError naming the first column of a dataframe that holds no numbers."""
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return
    for name, dtype in frame.schema.items():
        if dtype == nw.Object:
            refuse_text(frame[name].to_numpy(), f"column {name!r}")
        if not dtype.is_numeric() and dtype not in (nw.Boolean, nw.Object, nw.Unknown):
            seen = f", such as {frame[name][0]!r} at row 0" if len(frame) else ""
            raise DataTypeError(
                f"column {name!r} holds {dtype} values{seen}; encode them as numbers or drop it."
            )


def sequence_as_array(X: list[Any] | tuple[Any, ...]) -> NDArray:
    """Return nested lists as an array."""
    try:
        array = np.asarray(X)
    except ValueError:
        raise DataError(f"X is {describe_ragged(X)} Every row needs the same shape.") from None
    return _with_gaps(array, X) if array.dtype.kind == "U" else array


def _with_gaps(texts: NDArray, X: list[Any] | tuple[Any, ...]) -> NDArray:
    """Return texts with NaN where the lists hold it: numpy would write it out as "nan"."""
    given = np.array(X, dtype=object)
    gap = np.array([v is None or (isinstance(v, float) and v != v) for v in given.flat], bool)
    if not gap.any():
        return texts
    mixed = texts.astype(object)
    mixed[gap.reshape(texts.shape)] = np.nan
    return mixed


def _refuse_odd_shapes(X: NDArray) -> None:
    """Say how to make a table of what is none: a single row, rows of lists, a stack of pictures."""
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
