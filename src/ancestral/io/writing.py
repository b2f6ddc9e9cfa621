"""Arrays and graphs to files that the readers take back."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._files import as_path, write_atomically
from ancestral.errors import DataTypeError, FormatError, SaveError
from ancestral.io.dtypes import parse_dtype
from ancestral.io.sources import PathLike


def write_array(path: PathLike, array: NDArray, names: Sequence[str] | None = None) -> Path:
    """Write an array, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Ends in `.npy`, `.npz` or `.csv`.
    array : ndarray of shape (n_rows,) or (n_rows, n_columns)
        Text only to `.csv`, where booleans are written as 0 and 1.
    names : sequence of str, optional
        The header of a `.csv`; x0, x1, ... by default.

    Returns
    -------
    Path

    Raises
    ------
    SaveError
        For another ending, for text to `.npy` or `.npz`, or when the disk refuses; an old file
        is then untouched.
    """
    path = as_path(path)
    buffer = io.BytesIO()
    if path.suffix == ".npy":
        _refuse_unreadable(path, array)
        np.save(buffer, array, allow_pickle=False)
    elif path.suffix == ".npz":
        _refuse_unreadable(path, array)
        np.savez_compressed(buffer, samples=array)
    elif path.suffix == ".csv":
        buffer.write(_as_csv(array, names).encode())
    else:
        raise SaveError(f"{path}: end the name in .npy, .npz or .csv to say which is wanted.")
    write_atomically(path, buffer.getvalue())
    return path


def _refuse_unreadable(path: Path, array: NDArray) -> None:
    """Refuse a dtype that the readers would refuse in turn."""
    try:
        parse_dtype(array.dtype.str, str(path))
    except (DataTypeError, FormatError):
        raise SaveError(
            f"{path}: {path.suffix} files hold booleans, integers and floats to 8 bytes; got "
            f"dtype {array.dtype}. End the name in .csv to write text, or convert to numbers."
        ) from None


def _as_csv(array: NDArray, names: Sequence[str] | None) -> str:
    """Return a header line and the rows, cells quoted where they must be."""
    table = array[:, None] if array.ndim == 1 else array
    if table.dtype.kind == "b":
        table = table.astype(np.int8)  # the readers take no words for numbers
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names or [f"x{k}" for k in range(table.shape[1])])
    writer.writerows(table.tolist())
    return text.getvalue()


def write_graphs(path: PathLike, graphs: Any) -> Path:
    """Write graphs to an `.npz` that `read_graphs` takes back, whole or not at all.

    Those with a sparse adjacency are written as edges, two ends in a row; the features' names, if
    they have any, once.

    Parameters
    ----------
    path : str or path-like
        Ends in `.npz`.
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either

    Returns
    -------
    Path

    Raises
    ------
    DataError
        For what is no graph.
    SaveError
        For another ending, or when the disk refuses; an old file is then untouched.
    """
    from ancestral.graph.graphs import as_graphs

    path, graphs = as_path(path), as_graphs(graphs)
    if path.suffix != ".npz":
        raise SaveError(f"{path}: graphs are written as .npz; end the name so.")
    arrays: dict[str, NDArray] = {}
    names = next((graph.feature_names for graph in graphs if graph.feature_names), None)
    if names is not None:
        arrays["feature_names"] = np.array(names)
    for k, graph in enumerate(graphs):
        arrays[f"features_{k}"] = np.asarray(graph.features)
        if graph.is_sparse:
            arrays[f"edges_{k}"] = np.stack(graph.edges(), axis=1)
        else:
            arrays[f"adjacency_{k}"] = np.asarray(graph.adjacency)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())
    return path
