"""Tables and arrays of numbers from a user's file, whatever its kind."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import SMALLER_FILE, refuse_non_finite, within_memory
from ancestral._files import is_folder
from ancestral.errors import DataError, FormatError
from ancestral.io.csv import parse_csv
from ancestral.io.dialect import Dialect
from ancestral.io.images import read_images
from ancestral.io.kinds import in_words, recognise
from ancestral.io.npy import Archive, read_npy
from ancestral.io.parquet import read_parquet
from ancestral.io.pickles import read_pickle
from ancestral.io.rejects import Reject, Rejects
from ancestral.io.sources import PathLike, Source, shown

# Only what expands is capped: a plain .npy of any size is the user's own.
MAX_BYTES = 512 << 20


@within_memory(SMALLER_FILE)
def read_array(
    path: PathLike,
    *,
    key: str | None = None,
    missing: bool = False,
    max_bytes: int = MAX_BYTES,
    sep: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    rejects: PathLike | list[Reject] | None = None,
) -> NDArray:
    """Read one array of numbers.

    Parameters
    ----------
    path : str or path-like
        A `.npy`, `.npz`, `.csv`, `.parquet` or pickle (`.pkl`) file, gzipped or not; or a folder of
        grey pictures (PNG, JPEG) of one size. The content of a file decides how it is read. A file
        whose name does not match its content is refused.
    key : str, optional
        Which array to read, if an `.npz` or a pickled dict holds several.
    missing : bool
        True reads NaN, empty cells and nulls as missing values; False refuses them.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    sep, decimal, thousands, encoding : str
        For text (`.csv`, `.tsv`): the character between cells (default a comma), before decimals
        (default a point) and between groups of three digits (default none), and the encoding
        (default UTF-8). They are never guessed. If a file needs another one, the error names it.
    rejects : path-like or list, optional
        For text: leave out rows that cannot be read, because a cell is not a number (or is missing,
        without `missing`) or there are too many or too few cells. Each such cell is reported, with
        its line, column, content and the reason: in a new `.csv` of this name, or as named tuples
        that are appended to this list (100,000 at most). A warning tells how many rows were left
        out. By default the first such cell is an error.

    Returns
    -------
    ndarray
        In the dtype of the file (float64 for text), in native byte order. Pictures have shape
        (n_images, height, width), in the natural order of their names.

    Raises
    ------
    FormatError
        When the file is missing, truncated, damaged, of another kind or too large when expanded;
        when it would run code; when it holds several arrays and no `key` is given.
    DataTypeError
        When it holds objects, text, complex numbers, dates or records.
    DataError
        When it holds infinity, NaN without `missing`, no values, or pictures in colour or of
        several sizes; when `sep`, `decimal` or `thousands` is not a single character; when the
        encoding is unknown.
    SaveError
        When `rejects` cannot be written, or is the input file.
    MissingExtraError
        For Parquet if pyarrow is not installed, for pictures if Pillow is not installed.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "faces.npy"
    >>> np.save(path, np.eye(2, dtype=np.float32))
    >>> read_array(path).dtype
    dtype('float32')
    >>> path = path.with_name("prices.csv")
    >>> _ = path.write_text("net;gross\\n1.000,5;1.190,6\\n", encoding="utf-16")
    >>> read_array(path, sep=";", decimal=",", thousands=".", encoding="utf-16")
    array([[1000.5, 1190.6]])
    """
    dialect = Dialect(sep, decimal, thousands, encoding)
    report = None if rejects is None else Rejects(rejects)
    if is_folder(path):
        if key is not None:
            raise FormatError(f"{shown(path)}: is a folder, so key={key!r} means nothing here.")
        _refuse_text_options(f"{shown(path)}: is a folder of pictures", dialect, report)
        return read_images(path, max_bytes=max_bytes)
    with Source(path, max_bytes=max_bytes) as source:
        kinds = ("npy", "zip", "pickle", "text", "parquet")
        kind = recognise(source, kinds, is_text="encoding" in dialect.chosen)
        if key is not None and kind not in ("zip", "pickle"):
            raise FormatError(f"{source.name}: holds one array, so key={key!r} means nothing here.")
        if kind != "text":
            _refuse_text_options(f"{source.name}: is {in_words(kind)}", dialect, report)
        if kind == "npy":
            array = read_npy(source)
        elif kind == "zip":
            archive = Archive(source)
            array = archive.read(_choose(archive.keys, key, source.name))
        elif kind == "pickle":
            array = _only_array(read_pickle(source), key, source.name)
        else:
            _, array = _columns(source, kind, dialect, report, missing=missing)
        return _checked(array, source.name, missing=missing)


@within_memory(SMALLER_FILE)
def read_columns(
    path: PathLike,
    *,
    missing: bool = False,
    max_bytes: int = MAX_BYTES,
    sep: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    rejects: PathLike | list[Reject] | None = None,
) -> tuple[list[str], NDArray]:
    """Read a table with the names of its columns.

    Parameters
    ----------
    path : str or path-like
        A `.csv` (gzipped or not) or `.parquet` file whose columns are all numeric.
    missing : bool
        True reads empty cells, NaN and nulls as missing values; False refuses them.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    sep, decimal, thousands, encoding, rejects
        For a `.csv`, as for `read_array`.

    Returns
    -------
    names : list of str
        From the header; x0, x1, ... if a CSV has no header.
    values : ndarray of shape (n_rows, n_columns)

    Raises
    ------
    FormatError, DataError, DataTypeError, SaveError, MissingExtraError
        As `read_array`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rooms.tsv"
    >>> _ = path.write_text("rooms\\tarea\\n4\\t1,234.5\\n")
    >>> read_columns(path, sep="\\t", thousands=",")
    (['rooms', 'area'], array([[   4. , 1234.5]]))
    """
    dialect = Dialect(sep, decimal, thousands, encoding)
    report = None if rejects is None else Rejects(rejects)
    with Source(path, max_bytes=max_bytes) as source:
        kind = recognise(source, ("text", "parquet"), is_text="encoding" in dialect.chosen)
        names, values = _columns(source, kind, dialect, report, missing=missing)
        return names, _checked(values, source.name, missing=missing)


def _columns(
    source: Source, kind: str, dialect: Dialect, rejects: Rejects | None, *, missing: bool
) -> tuple[list[str], NDArray]:
    """Read names and numbers of a table."""
    if kind == "parquet":
        _refuse_text_options(f"{source.name}: is {in_words(kind)}", dialect, rejects)
        return read_parquet(source, missing=missing)
    cap = source.max_bytes if source.gzipped else None  # what does not expand is not capped
    with nullcontext() if rejects is None else rejects.report(source.path):
        table = parse_csv(
            source.read_all(),
            source.name,
            missing=missing,
            max_bytes=cap,
            dialect=dialect,
            rejects=rejects,
        )
    if rejects is not None:
        rejects.warn_of(source.name)
    return table


def _refuse_text_options(seen: str, dialect: Dialect, rejects: Rejects | None) -> None:
    """Refuse options that say how text is read where there is none."""
    options = [f"{option}={value!r}" for option, value in dialect.chosen.items()]
    if rejects is not None:
        options.append("rejects=")
    if options:
        raise FormatError(
            f"{seen}, and {options[0]} is of text alone (.csv, .tsv): it means nothing here. "
            "Leave it out."
        )


def _choose(keys: list[Any], key: str | None, name: str) -> Any:
    """Return the key to read; ask where there is a choice."""
    shown = ", ".join(str(k) for k in keys[:20]) + (", ..." if len(keys) > 20 else "")
    if not keys:
        raise DataError(f"{name}: holds no arrays.")
    if key is None and len(keys) > 1:
        raise FormatError(
            f"{name}: holds {len(keys)} arrays ({shown}); say which: key={str(keys[0])!r}."
        )
    if key is not None and key not in keys:
        raise FormatError(f"{name}: has no array {key!r}; it holds {shown}.")
    return keys[0] if key is None else key


def _only_array(value: Any, key: str | None, name: str) -> NDArray:
    """Return the one array of an unpickled value."""
    if isinstance(value, dict):
        value = value[_choose(list(value), key, name)]
    elif key is not None:
        raise FormatError(f"{name}: holds no dict, so key={key!r} means nothing here.")
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, np.ndarray):
        return value
    what = f"a {type(value).__name__}"
    if isinstance(value, list | tuple):
        kind = type(value[0]).__name__ if value else "thing"
        what = f"a {type(value).__name__} of {len(value)} {kind}s"
    raise DataError(
        f"{name}: holds {what}, not one array. Tables are read by read_tables, graphs by "
        "read_graphs; save an array with np.save."
    )


def _checked(array: NDArray, name: str, *, missing: bool) -> NDArray:
    """Return the array unless it is a single number, empty or not finite."""
    if array.ndim == 0:
        raise DataError(f"{name}: expected (n, d), got a single number, {array[()]}.")
    if array.size == 0:
        raise DataError(f"{name}: the array is empty, of shape {array.shape}.")
    refuse_non_finite(array, name=name, missing=missing)
    return array
