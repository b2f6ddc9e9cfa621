"""Files by their names: paths, folders, globs and addresses such as s3://bucket/part-0.parquet.

A file is remembered with its size and with when it was written (or its etag). What is read later,
here or on another machine, must still be that file. Addresses are opened by fsspec, with whatever
credentials it finds; none of them is printed, nor is what was passed to it as an option.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ancestral._extras import import_extra
from ancestral._files import PathLike, as_path, is_folder, open_regular, shown
from ancestral.errors import (
    AncestralError,
    DataError,
    DataTypeError,
    FormatError,
    MissingExtraError,
)
from ancestral.io.npy import natural_order

_LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini")
_MARKS, _STAR = re.compile(r"[*?\[]"), re.compile(r"\*")
_IS_HTTP = re.compile(r"https?://")  # where a question mark stands before options
_WRITTEN = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated",
            "modified", "created")  # fmt: skip
_REFUSED = re.compile(r"credential|permission|denied|forbidden|unauthori|accesskey|signature", re.I)
CHANGED = (
    "was changed since it was first read, or is another file on this machine. Call again when no "
    "program writes to it; copy files with `cp -p`, which keeps their times."
)


@dataclass(frozen=True)
class File:
    """One file, as it was when it was found.

    Parameters
    ----------
    path : str
        Absolute, or an address of fsspec's.
    size : int
        In bytes.
    written : str
        When, or its etag.
    below : str
        Its place below the folder that was named; "" where it was named itself.
    options : mapping
        For fsspec.
    """

    path: str
    size: int
    written: str
    below: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What messages call it: without a user's name, password or signature."""
        return _in_words(self.path)

    @property
    def is_here(self) -> bool:
        """Whether it is a file of this machine."""
        return not _is_address(self.path)

    def refuse_changed(self) -> None:
        """Raise FormatError where the file is no longer what it was."""
        with self.told():
            if self.is_here:
                status = os.stat(self.path)
                now = File(self.path, status.st_size, str(status.st_mtime_ns))
            else:
                fs, inner = _system(self.path, self.options)
                now = _of_info(self.path, fs.info(inner), self.options)
        if (now.size, now.written) != (self.size, self.written):
            raise FormatError(f"{self.name}: {CHANGED}")

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Give the file, open for reading bytes; it must be the same before and after."""
        self.refuse_changed()
        with self.told(), self.stream() as stream:
            yield stream
        self.refuse_changed()

    def stream(self) -> Any:
        """Return the file, open for reading bytes."""
        if self.is_here:
            return open_regular(self.path)
        fs, inner = _system(self.path, self.options)
        return fs.open(inner, "rb", cache_type="none")

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return these bytes of the file."""
        with self.opened() as stream:
            stream.seek(start)
            content = _all_of(stream, -1 if stop is None else stop - start)
        if stop is not None and len(content) < min(stop, self.size) - start:
            raise FormatError(f"{self.name}: ended while being read; was it changed?")
        return content

    @contextmanager
    def here(self) -> Iterator[str]:
        """Give the path of the file, or of a copy on this machine, which is then removed."""
        if self.is_here:
            self.refuse_changed()
            yield self.path
            self.refuse_changed()
            return
        with tempfile.TemporaryDirectory(prefix="ancestral-") as folder:
            path = os.path.join(folder, PurePosixPath(self.name).name)
            with self.opened() as stream, open(path, "wb") as copy:
                shutil.copyfileobj(stream, copy, 1 << 20)
            try:
                yield path
            except AncestralError as error:
                raise type(error)(str(error).replace(shown(path), self.name)) from None

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn whatever opening or reading raises into an error that names the file."""
        with _told(self.path, self.options):
            yield


def found(paths: Any, options: Mapping[str, Any] | None = None) -> list[File]:
    """Return the files that a path, an address, a folder or a glob names, or a list of these.

    Those of folders and globs come in natural order: part-2 stands before part-10.

    Raises
    ------
    FormatError
        Where nothing is there, or nothing that is not hidden.
    DataTypeError
        For what is no path.
    MissingExtraError
        For addresses without fsspec, or without what it needs for them.
    """
    options = dict(options or {})
    several = isinstance(paths, Sequence) and not isinstance(paths, str | bytes)
    files = [file for path in (paths if several else [paths]) for file in _named(path, options)]
    if not files:
        raise DataError("there are no paths: give at least one file, folder or glob.")
    for file in files:
        if file.size == 0:
            raise FormatError(f"{file.name}: file is empty (0 bytes). Was the copy interrupted?")
    return files


def identity_of(files: Sequence[File], *more: Any) -> str:
    """Return the SHA-256 of files' paths, sizes and times, and of what else tells data apart."""
    held = [(file.path, file.size, file.written) for file in files]
    return hashlib.sha256(f"{held} {more}".encode()).hexdigest()


def _named(path: PathLike, options: dict[str, Any]) -> list[File]:
    """Return the files that one path names."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text:
        raise DataTypeError(f"a path is a string or a pathlib.Path; got {path!r}.")
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    with _told(text, options):
        files = _elsewhere(text, options) if _is_address(text) else _here(text)
    return sorted(files, key=lambda file: natural_order(file.path))


def _here(text: str) -> list[File]:
    """Return the files of this machine that a path names."""
    as_path(text)
    if is_folder(text):
        names, root = _walked(text), text
        empty = "holds no files"
    elif _MARKS.search(text) and not os.path.lexists(text):
        root = text[: text.rfind("/", 0, _MARKS.search(text).start()) + 1] or "."  # type: ignore[union-attr]
        names = []
        for name in glob.glob(text, recursive=True):
            names += _walked(name) if os.path.isdir(name) else [name]
        names = [
            name
            for name in dict.fromkeys(names)
            if not any(map(_is_hidden, os.path.relpath(name, root).split(os.sep)))
        ]
        empty = f"matches no file (looked from {shown(os.getcwd())})"
    else:
        return [_on_disk(text, "")]
    if not names:
        raise FormatError(
            f"{shown(text)}: {empty}; names that begin with a point or with _ are ignored. Give "
            "the folder or the pattern of the files."
        )
    return [_on_disk(name, os.path.relpath(name, root)) for name in names]


def _walked(folder: str) -> list[str]:
    """Return the files of a folder and its folders, without hidden ones."""

    def refuse(error: OSError) -> None:
        raise error

    held = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        held += [os.path.join(root, name) for name in names if not _is_hidden(name)]
    return held


def _elsewhere(text: str, options: dict[str, Any]) -> list[File]:
    """Return the files that an address names."""
    fs, inner = _system(text, options)
    if (_MARKS if not _IS_HTTP.match(text) else _STAR).search(inner):
        infos, root = fs.glob(inner, detail=True), ""
        empty = "matches no file"
    else:
        info = fs.info(inner)
        if info["type"] != "directory":
            return [_of_info(text, info, options)]
        infos, root = fs.find(inner, detail=True), inner.rstrip("/") + "/"
        empty = "holds no files"
    files = [
        _of_info(fs.unstrip_protocol(name), info, options, name.removeprefix(root))
        for name, info in infos.items()
        if info["type"] == "file" and not any(map(_is_hidden, name.removeprefix(root).split("/")))
    ]
    if not files:
        raise FormatError(
            f"{_in_words(text)}: {empty}; names that begin with a point or with _ are ignored. "
            "Give the folder or the pattern of the files."
        )
    return files


def _is_address(text: str) -> bool:
    return "://" in text or "::" in text


def _is_hidden(name: str) -> bool:
    name = os.path.basename(name)
    return name.startswith((".", "_")) or name.lower() in _LEFT_BY_SYSTEMS


def _on_disk(path: str, below: str) -> File:
    """Return a file of this machine; FormatError for what is none, a pipe say."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
    return File(os.path.abspath(path), status.st_size, str(status.st_mtime_ns), below)


def _of_info(
    path: str, info: Mapping[str, Any], options: Mapping[str, Any], below: str = ""
) -> File:
    """Return the file that fsspec describes."""
    size = info.get("size")
    if size is None:
        raise FormatError(
            f"{_in_words(path)}: its size is not known, so it cannot be read in parts. "
            "Copy it here first."
        )
    written = next((info[key] for key in _WRITTEN if info.get(key) is not None), "")
    if hasattr(written, "timestamp"):  # a listing may tell seconds, and a file a date
        written = written.timestamp()
    words = f"{written:.3f}" if isinstance(written, float) else str(written)
    return File(path, int(size), words, below, options)


def _system(text: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and the path within."""
    core = import_extra("fsspec.core", f"{_in_words(text)}: an address", "remote")
    # Without its cache of listings, which would show a file as it once was.
    fs, inner = core.url_to_fs(text, **{"use_listings_cache": False, **options})
    return fs, inner


def _all_of(stream: Any, n: int) -> bytes:
    """Return so many bytes, or all for -1, of a stream that may give fewer at a time."""
    pieces = []
    while n and (piece := stream.read(n)):
        pieces.append(piece)
        n = n if n < 0 else n - len(piece)
    return b"".join(pieces)


# ---- words ---------------------------------------------------------------------------------------


def _in_words(path: str) -> str:
    """Return a path or address without what only its owner may know."""
    if not _is_address(path):
        return shown(path)
    plain = re.sub(r"(://)[^/@]*@", r"\1", path)
    if _IS_HTTP.match(plain):  # signatures are options
        plain = plain.partition("?")[0]
    return shown(plain)


@contextmanager
def _told(path: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Turn whatever a file system raises into an error of this package that names the path."""
    try:
        yield
    except (AncestralError, MemoryError):
        raise
    except Exception as error:
        raise _error_of(error, path, options) from None  # what it says may hold a secret


def _error_of(error: Exception, path: str, options: Mapping[str, Any]) -> AncestralError:
    name, kind = _in_words(path), type(error).__name__
    why = _without_secrets((str(error).strip().splitlines() or [""])[0], path, options)[:200]
    protocol = path.partition("://")[0] if _is_address(path) else ""
    if isinstance(error, FileNotFoundError):
        return FormatError(f"{name}: no such file or folder. Is its name right?")
    if isinstance(error, ImportError):
        wanted = re.search(r"install (\w+) to access", why, re.I)
        package = wanted[1] if wanted else "aiohttp" if protocol.startswith("http") else None
        mend = f"Install it: pip install {package}." if package else f"It says: {why}."
        return MissingExtraError(
            f"{name}: {protocol}:// needs {package or 'a package'}, which is not installed or "
            f"cannot be loaded. {mend}"
        )
    if isinstance(error, ValueError) and "not known" in why:
        return FormatError(
            f"{name}: {protocol}:// is no kind of address that fsspec knows. Is it spelt right?"
        )
    if isinstance(error, PermissionError) or _REFUSED.search(f"{kind} {why}"):
        if not protocol:
            return FormatError(f"{name}: may not be read: check its permissions.")
        return FormatError(
            f"{name}: access is refused ({kind}). Check the credentials that {protocol}:// finds "
            "in its settings or environment, and what they allow."
        )
    return FormatError(f"{name}: cannot be read ({kind}: {why.rstrip('.') or 'no reason given'}).")


def _without_secrets(text: str, path: str, options: Mapping[str, Any]) -> str:
    """Return a text without what an option or a secret part of an address holds."""
    found = re.search(r"://([^/@]*)@", path)
    secrets = [*(found[1].split(":") if found else []), path.partition("?")[2]]
    waiting: list[Any] = [options]
    while waiting:
        held = waiting.pop()
        if isinstance(held, Mapping):
            waiting += held.values()
        elif isinstance(held, str | bytes):
            secrets.append(held if isinstance(held, str) else held.decode("utf-8", "replace"))
    for secret in secrets:
        if len(secret) > 3 and not _IS_HTTP.match(secret):
            text = text.replace(secret, "***")
    return text
