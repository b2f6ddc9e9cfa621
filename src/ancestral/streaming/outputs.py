"""Where answers go that come part by part: a file or an address, whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from ancestral._extras import import_extra
from ancestral._files import as_path, check_destination, refuse_input, replacing
from ancestral.errors import AncestralError, FormatError, SaveError
from ancestral.io.row_files import ending_of, row_file
from ancestral.streaming.columns import Place, in_part
from ancestral.streaming.source import Source
from ancestral.streaming.sources.files import File

PathLike = str | os.PathLike[str]


class Answer(NamedTuple):
    """What a model says of one part.

    Parameters
    ----------
    rows : dataframe or ndarray
    place : Place
    names : sequence of str, optional
        Of an array's columns.
    n_gaps, n_rows_with_gaps : int
        Cells that were filled, and the rows that had any.
    """

    rows: Any
    place: Place
    names: Sequence[str] | None = None
    n_gaps: int = 0
    n_rows_with_gaps: int = 0


def write(out: PathLike, answers: Iterable[Answer]) -> PathLike:
    """Write answers to a file as they come.

    Raises
    ------
    SaveError
        When the file cannot be written, or its name says no kind; an old one is then untouched.
    """
    path = str(check_out(out))
    with _opened(path) as file:
        rows = row_file(file, path)
        try:
            for answer in answers:
                with in_part(answer.place):
                    rows.write(answer.rows, answer.names)
            rows.end()
        except BaseException:
            rows.drop()
            raise
    return out


def is_address(path: PathLike) -> bool:
    """Tell whether this is an address of fsspec rather than a path here."""
    return "://" in os.fspath(path)


def check_out(out: PathLike) -> PathLike:
    """Refuse a place that cannot be written, before the work whose result it is to hold.

    Raises
    ------
    SaveError
    """
    ending_of(str(as_path(out)))
    if not is_address(out):
        check_destination(out)
    elif (path := _local(os.fspath(out))) is not None:
        check_destination(path)
    return out


def refuse_over(out: PathLike, source: Any) -> None:
    """Refuse a place that cannot be written, or where a source is read from, before any work.

    Raises
    ------
    SaveError
    """
    check_out(out)
    refuse_input(out, named_in(source))


def named_in(source: Any) -> list[Any]:
    """Return the paths, folders and patterns that a source names."""
    if isinstance(source, Source):
        return list(source.named)
    if isinstance(source, str | os.PathLike):
        return [source]
    items = source if isinstance(source, list | tuple) else ()
    paths = [path for item in items for path in (item if isinstance(item, tuple) else (item,))]
    return [path for path in paths if isinstance(path, str | os.PathLike)]


def is_there(out: PathLike) -> bool:
    """Tell whether a place holds a file already."""
    if not is_address(out):
        return Path(out).exists()
    files, path = _filesystem(os.fspath(out))
    with _refusing(os.fspath(out)):
        return bool(files.exists(path))


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """Give an open file, which is at its place once all went well, and nowhere otherwise."""
    here = path if not is_address(path) else _local(path)
    if here is not None:
        with replacing(here) as file:
            yield file
        return
    files, key = _filesystem(path)
    with _refusing(path), files.transaction, files.open(key, "wb") as file:
        yield file


def _local(address: str) -> str | None:
    """Return the path of an address on this machine."""
    protocol, _, path = address.partition("://")
    return path if protocol in ("file", "local") else None


def _filesystem(address: str) -> tuple[Any, str]:
    """Return the files that an address is among, for one use, and its path there."""
    core = import_extra("fsspec.core", f"{File(address, 0, '').name}: an address", "remote")
    with _refusing(address):
        files, path = core.url_to_fs(address, skip_instance_cache=True)
    return files, path


@contextmanager
def _refusing(address: str) -> Iterator[None]:
    """Turn whatever a place raises into an error that names it."""
    try:
        yield
    except (AncestralError, MemoryError):
        raise
    except Exception:
        try:
            with File(address, 0, "").told():
                raise
        except FormatError as said:
            message = str(said).replace("cannot be read", "cannot be written")
            raise SaveError(message) from None  # what it says may hold a secret
