"""Paths of files, folders and globs, here or at addresses, as one source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ancestral._checks.containers import shown as in_short
from ancestral._checks.numbers import check_integer
from ancestral.base import Model
from ancestral.errors import DataTypeError, FormatError, ModelError
from ancestral.io.dialect import Dialect
from ancestral.io.kinds import in_words, sniff
from ancestral.streaming.source import Source
from ancestral.streaming.sources.arrays import Arrays
from ancestral.streaming.sources.csv import csv_source
from ancestral.streaming.sources.files import File, found
from ancestral.streaming.sources.graphs import Graphs
from ancestral.streaming.sources.images import Images
from ancestral.streaming.sources.known import Known
from ancestral.streaming.sources.parquet import parquet_source

_KINDS = {
    "parquet": "Parquet",
    "text": "CSV",
    "npy": ".npy files",
    "png": "pictures",
    "zip": "graphs",
}
_NAMED = {
    **dict.fromkeys((".parquet", ".pq", ".parq"), "parquet"),
    **dict.fromkeys((".csv", ".tsv", ".txt"), "text"),
    ".npy": "npy",
    **dict.fromkeys((".png", ".jpg", ".jpeg"), "png"),
    **dict.fromkeys((".npz", ".pkl", ".pickle", ".graphml", ".gml", ".mtx", ".net"), "zip"),
}
_ALIKE = {"jpeg": "png", "pickle": "zip", "xml": "zip"}
HEAD = 4096


def source_of_paths(
    paths: Any,
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    types: Mapping[str, str] | None = None,
    dates: bool = False,
    like: Any = None,
    sep: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    graphs: bool | Mapping[str, Any] = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Source:
    """Return the contents of files as a source, which is read in parts of about 32 MiB.

    Parameters
    ----------
    paths : path-like, or list of path-like
        Files, folders (with their subfolders), patterns, or addresses that fsspec knows, such as
        s3://bucket/folder. All files are of one kind: Parquet, CSV, .npy, grey pictures or graphs.
        Hidden files, and files whose names begin with _, are ignored.
    columns : sequence of str, optional
        The columns of Parquet and CSV to read, in this order.
    rows : int, optional
        The number of rows in each part, approximately.
    types : mapping of str to {"whole", "number", "boolean", "text", "date"}, optional
        The types of columns of CSV, if the first cells of the parts do not show them. Dates are in
        the form of ISO 8601, such as 2024-01-31 or 2024-01-31 18:30. Times with a time zone are
        converted to UTC.
    dates : bool
        True reads columns of CSV as dates if their first cells are such dates; False reads them as
        text. Dates in Parquet are always dates.
    like : Model, optional
        A fitted model. Columns that were text or dates in its fit are read as text or dates from
        CSV. Columns that it does not know are kept with any type; those of CSV as text.
    sep, decimal, thousands : str, optional
        For CSV: the character between cells (by default a comma; a tab for .tsv), before decimals
        (by default a point), and between thousands (by default none).
    encoding : str, optional
        For CSV: the encoding, such as cp1252 (by default UTF-8). UTF-16 and other encodings in
        which ASCII characters are not single bytes are refused.
    graphs : bool or mapping
        True if the files hold graphs, with any names; or a mapping of options of
        `ancestral.io.read_graphs` for files of graphs.
    storage_options : mapping, optional
        Options for fsspec, such as an endpoint or credentials. They are never printed.

    Returns
    -------
    Source
        Its parts are Arrow tables, arrays, or lists of graphs.

    Raises
    ------
    FormatError
        When there is no file, when files are of several kinds, or when one is damaged.
    DataError
        For an option of a wrong kind; when columns or their types differ between files; when a
        column holds both numbers and text.
    MissingExtraError
        When a package that the files or their address need is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for k in range(2):
    ...     _ = (folder / f"part-{k}.csv").write_text("x,sky\\n1.5,sun\\n,rain\\n")
    >>> [part.read().to_pydict() for part in source_of_paths(folder, rows=2).parts()][0]
    {'x': [1.5, None], 'sky': ['sun', 'rain']}
    """
    if rows is not None:
        rows = check_integer(rows, "rows", minimum=1)
    encoding = Dialect(sep or ",", decimal or ".", thousands, encoding or "utf-8").chosen.get(
        "encoding"
    )
    columns = [columns] if isinstance(columns, str) else columns
    if columns is not None and not _are_names(columns):
        raise DataTypeError(f"columns= is a list of names; got {in_short(columns)}.")
    for option, value in {"types": types, "storage_options": storage_options}.items():
        if not (value is None or isinstance(value, Mapping)):
            raise DataTypeError(f"{option}= is a mapping; got a {type(value).__name__}.")
    if not isinstance(dates, bool):
        raise DataTypeError(f"dates= is true or false; got {in_short(dates)}.")
    if not isinstance(graphs, bool | Mapping):
        raise DataTypeError(f"graphs= is true, false or a mapping; got {in_short(graphs)}.")
    files = found(paths, storage_options)
    if like is not None:
        if not isinstance(like, Model):
            raise ModelError(f"like= is a fitted model; got {in_short(like)}.")
        like._check_fitted()
    known = None if like is None else Known.of(like)
    text = {"types": types, "sep": sep, "decimal": decimal}
    text |= {"thousands": thousands, "encoding": encoding}
    source = _source_of(files, columns, rows, graphs, known, text, dates=dates)
    source.named = list(paths) if isinstance(paths, list | tuple) else [paths]
    return source


def _source_of(
    files: Sequence[File],
    columns: Sequence[str] | None,
    rows: int | None,
    graphs: bool | Mapping[str, Any],  # noqa: FBT001 - of the caller
    known: Known | None,
    text: dict[str, Any],
    *,
    dates: bool,
) -> Source:
    """Return the source of files of one kind."""
    kind = "zip" if graphs or isinstance(graphs, Mapping) else _kind_of_all(files)
    if kind != "text":
        _refuse(kind, **text)
    if kind not in ("text", "parquet"):
        _refuse(kind, columns=columns)
    if kind == "text":
        return csv_source(files, columns=columns, rows=rows, dates=dates, known=known, **text)
    if kind == "parquet":
        return parquet_source(files, columns=columns, rows=rows, known=known)
    if kind == "npy":
        return Arrays(files, rows)
    if kind == "png":
        return Images(files, rows)
    return Graphs(files, graphs if isinstance(graphs, Mapping) else None)


def _kind_of_all(files: Sequence[File]) -> str:
    """Return the kind of all files; FormatError for several, or one that is not read."""
    kind = _kind_of(files[0])
    for file in files[1:]:
        if (other := _kind_of(file)) != kind:
            raise FormatError(
                f"{file.name}: holds {_KINDS[other]}, and {files[0].name} holds {_KINDS[kind]}: "
                "give files of one kind, such as folder/*.parquet."
            )
    return kind


def _kind_of(file: File) -> str:
    """Return what a file holds, by its name or else by its first bytes."""
    name = PurePath(file.path.lower().partition("?")[0].removesuffix(".gz"))
    if (named := _NAMED.get(name.suffix)) is not None:
        return named
    kind = sniff(file.read(0, min(file.size, HEAD)))
    kind = _ALIKE.get(kind, kind)
    if kind not in _KINDS:
        raise FormatError(
            f"{file.name}: looks like {in_words(kind)}; what is read here: Parquet, CSV, .npy "
            "files, pictures and graphs."
        )
    return kind


def _are_names(columns: Any) -> bool:
    is_list = isinstance(columns, Sequence) and not isinstance(columns, bytes)
    return is_list and all(isinstance(name, str) for name in columns)


def _refuse(kind: str, **options: Any) -> None:
    """Raise ModelError for an option that means nothing for these files."""
    for option, value in options.items():
        if value is not None:
            raise ModelError(f"{option}= means nothing for {_KINDS[kind]}. Leave it out.")
