"""Arrays and graphs to files that the readers take back."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import as_levels, opened
from ancestral._checks.missing import missing_mask
from ancestral._files import as_path, shown, write_atomically
from ancestral.errors import DataTypeError, FormatError, SaveError
from ancestral.io.dtypes import parse_dtype
from ancestral.io.parquet import pyarrow_for
from ancestral.io.sources import PathLike

DAY = 86_400 * 10**6  # microseconds
TABLE_ENDINGS = (".csv", ".tsv", ".parquet", ".npy", ".npz")


def write_array(path: PathLike, array: NDArray, names: Sequence[str] | None = None) -> Path:
    """Write an array to a file. If this fails, no part of it is written.

    Parameters
    ----------
    path : str or path-like
        Ends in `.npy`, `.npz` or `.csv`.
    array : ndarray of shape (n_rows,) or (n_rows, n_columns)
        Arrays of text need `.csv`. In a `.csv`, booleans are written as 0 and 1.
    names : sequence of str, optional
        The header of a `.csv`; x0, x1, ... by default.

    Returns
    -------
    Path

    Raises
    ------
    SaveError
        For another ending, for text in `.npy` or `.npz`, or when the file cannot be written. An old
        file is then unchanged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = write_array(pathlib.Path(tempfile.mkdtemp()) / "rows.csv", np.eye(2), ["a", "b"])
    >>> path.read_text().split()
    ['a,b', '1.0,0.0', '0.0,1.0']
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
        raise SaveError(f"{path}: end the name in .npy, .npz or .csv to choose the format.")
    write_atomically(path, buffer.getvalue())
    return path


def write_table(path: PathLike, table: Any, names: Sequence[str] | None = None) -> Path:
    """Write a table of mixed columns to a file that `read_table` can read.

    Parameters
    ----------
    path : str or path-like
        Ends in `.csv`, `.tsv` or `.parquet`; tables of numbers may also end in `.npy` or `.npz`.
    table : dataframe, or ndarray of shape (n,) or (n, d)
        In text files, missing values are empty cells, and booleans are true and false.
    names : sequence of str, optional
        Names of the columns of an array; x0, x1, ... by default.

    Returns
    -------
    Path

    Raises
    ------
    SaveError
        For another ending, for text in `.npy` or `.npz`, or when the file cannot be written. An old
        file is then unchanged.
    MissingExtraError
        For Parquet if pyarrow is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = write_table(pathlib.Path(tempfile.mkdtemp()) / "rows.csv", np.eye(2), ["a", "b"])
    >>> path.read_text().split()
    ['a,b', '1.0,0.0', '0.0,1.0']
    """
    path = as_path(path)
    if path.suffix not in TABLE_ENDINGS:
        raise SaveError(
            f"{shown(path)}: end the name in {', '.join(TABLE_ENDINGS[:-1])} or "
            f"{TABLE_ENDINGS[-1]} to choose the format."
        )
    if path.suffix in (".npy", ".npz"):
        return write_array(path, as_levels(opened(table, "table"), "table"))
    labels, columns = columns_of(table, names)
    if path.suffix == ".parquet":
        write_atomically(path, _as_parquet(table, labels, columns, str(path)))
    else:
        sep = "\t" if path.suffix == ".tsv" else ","
        write_atomically(path, as_text(labels, columns, sep).encode())
    return path


def columns_of(table: Any, names: Sequence[str] | None = None) -> tuple[list[str], list[NDArray]]:
    """Return the names of a table's columns, x0, x1, ... by default, and their values."""
    found = opened(table, "table")
    values, held = found.values, found.names or names
    if hasattr(table, "iloc") and hasattr(table, "columns"):  # pandas' columns, each in its type
        parts = [opened(table.iloc[:, [j]], "table").values for j in range(table.shape[1])]
        values = [np.ravel(part[0] if isinstance(part, list) else part) for part in parts]
    elif isinstance(values, np.ndarray):
        values = [values] if values.ndim == 1 else list(values.T)
    return [f"x{k}" for k in range(len(values))] if held is None else [*map(str, held)], values


def as_text(labels: list[str], columns: list[NDArray], sep: str = ",") -> str:
    """Return a header line and the rows, cells quoted where they must be, gaps empty."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
    writer.writerow(labels)
    if columns:
        writer.writerows(zip(*map(_cells, columns), strict=True))
    return text.getvalue()


def _cells(column: NDArray) -> list[Any]:
    """Return what stands in the cells of a column."""
    words = {True: "true", False: "false"}
    return [
        "" if value is None else words[value] if isinstance(value, bool) else value
        for value in plain_values(column)
    ]


def plain_values(column: NDArray) -> list[Any]:
    """Return a column's values as text and JSON have them: None in gaps, dates by ISO 8601."""
    gaps = missing_mask(column)
    known = column[~gaps].tolist() if column.dtype.kind == "O" else []
    if known and all(isinstance(value, dt.date) and not _zone(value) for value in known):
        held = column.copy()
        held[gaps] = None
        column = held.astype("M8[us]")
    if column.dtype.kind == "M":
        column = _iso(column)
    return [
        None if gap else value.isoformat() if isinstance(value, dt.date) else value
        for value, gap in zip(column.tolist(), gaps.tolist(), strict=True)
    ]


def _zone(value: dt.date) -> Any:
    return getattr(value, "tzinfo", None)


def _iso(moments: NDArray) -> NDArray:
    """Return dates as text, as short as they are exact: days, seconds or microseconds."""
    held = moments.astype("M8[us]")
    known = held[~np.isnat(held)].astype(np.int64)
    unit = "D" if not (known % DAY).any() else "s" if not (known % 10**6).any() else "us"
    return held.astype(f"M8[{unit}]").astype(str).astype(object)


def _as_parquet(table: Any, labels: list[str], columns: list[NDArray], name: str) -> bytes:
    """Return a table in Parquet; a dataframe's types are kept."""
    pa, pq = pyarrow_for(name)
    if isinstance(table, pa.Table):
        held = table
    elif hasattr(table, "to_arrow"):  # of polars
        held = table.to_arrow()
    elif hasattr(table, "iloc"):
        held = pa.Table.from_pandas(table, preserve_index=False)
    else:
        plain = [c.tolist() if c.dtype.kind in "OU" else c for c in columns]
        held = pa.table([pa.array(values) for values in plain], names=labels)
    buffer = io.BytesIO()
    pq.write_table(held, buffer)
    return buffer.getvalue()


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
    """Write graphs to a file that `read_graphs` can read.

    Parameters
    ----------
    path : str or path-like
        Ends in `.npz`, which keeps everything that a Graph holds, or in `.graphml`, for other
        programs (Gephi, igraph, networkx, Cytoscape). A `.graphml` holds names, attributes with
        their types, links, and a list of the unknown dyads, which other programs ignore.
    graphs : list of Graph, or of (features, adjacency) tuples, or one of either

    Returns
    -------
    Path

    Raises
    ------
    DataError
        For an item that is no graph.
    SaveError
        For another ending, or when the file cannot be written. An old file is then unchanged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from ancestral import datasets, read_graphs
    >>> path = write_graphs(pathlib.Path(tempfile.mkdtemp()) / "rooms.npz", datasets.classrooms(3))
    >>> len(read_graphs(path))
    3
    """
    from ancestral.graph.graphs import as_graphs
    from ancestral.io.graph_archives import arrays_of

    path, graphs = as_path(path), as_graphs(graphs, directed=True, missing=True)
    if path.suffix.lower() == ".graphml":
        from ancestral.io.graph_writing import graphml_of, say_left_out

        say_left_out(graphs)
        write_atomically(path, graphml_of(graphs))
        return path
    if path.suffix != ".npz":
        raise SaveError(
            f"{path}: graphs are written as .npz or .graphml; end the name so. Two tables for "
            "other programs are written by write_edge_list."
        )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays_of(graphs))  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())
    return path
