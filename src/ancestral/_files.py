"""Files that are whole or absent, written where nothing else is lost.

A file is written beside its place under a random name, synced, and renamed over what it replaces.
A temporary name is held by a lock of the kernel for as long as its writer lives: what nobody holds
may be swept away, whichever process, container or machine wrote it.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

from ancestral.errors import DataTypeError, FormatError, SaveError

try:
    import fcntl
except ImportError:  # Windows: nothing is held there, and nothing swept
    fcntl = None  # type: ignore[assignment]

HOLDS = fcntl is not None
PathLike = str | os.PathLike[str]


# ---- paths -----------------------------------------------------------------------------------


def as_path(path: Any) -> Path:
    """Return a path as a `Path`, or raise DataTypeError for what is none."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise DataTypeError(f"path must be a string or a pathlib.Path; got {path!r}.")
    text = os.fspath(path)
    if not text:
        raise DataTypeError("path is empty, ''. Give the name of a file or folder.")
    if "\0" in text:
        raise DataTypeError(f"{path!r} is not a possible path: it holds a NUL character.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise DataTypeError(f"{path!r} holds characters that no name can.") from None
    return Path(path)


def shown(path: PathLike) -> str:
    """Return a path as it reads best in a message: as it is, or quoted where it has odd marks."""
    text = os.fspath(path)
    return text if text.isprintable() else ascii(text)


def as_size(n_bytes: int) -> str:
    """Return a size in words: "79 bytes", "1.0 GiB"."""
    if n_bytes < 1 << 10:
        return f"{n_bytes} bytes"
    for unit, power in (("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50)):
        if n_bytes < 1 << (power + 10):
            return f"{n_bytes / (1 << power):.1f} {unit}"
    return f"{n_bytes / (1 << 60):.1f} EiB"


def open_regular(path: PathLike) -> IO[bytes]:
    """Open an ordinary, non-empty file for reading bytes; never waits on a pipe or a device.

    Raises
    ------
    FormatError
        When nothing is there, or a directory, pipe, device or an empty file is.
    """
    as_path(path)
    name = shown(path)
    try:
        _refuse_irregular(name, os.stat(path).st_mode)
        # a pipe put in the file's place after the check must not block the open
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb", buffering=0)
    except FormatError:
        raise
    except (OSError, ValueError) as error:
        raise FormatError(f"{name}: {_why_not_opened(path, error)}.") from None
    status = os.fstat(file.fileno())
    try:
        _refuse_irregular(name, status.st_mode)
        if status.st_size == 0:
            raise FormatError(f"{name}: file is empty (0 bytes). Was the copy interrupted?")
    except FormatError:
        file.close()
        raise
    return file


def is_folder(path: Any) -> bool:
    """Tell whether a path names a folder that is there; anything odd is none."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode) and not isinstance(path, int)
    except (OSError, ValueError, TypeError):
        return False


def entries_of(path: PathLike) -> list[Path]:
    """Return what a folder holds.

    Raises
    ------
    FormatError
        When it is missing, closed, or no folder.
    """
    folder = as_path(path)
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        raise FormatError(f"{shown(folder)}: no such folder (looked from {_here()}).") from None
    except NotADirectoryError:
        raise FormatError(f"{shown(folder)}: is a file; name the folder that holds it.") from None
    except PermissionError:
        raise FormatError(
            f"{shown(folder)}: may not be listed: check its permissions, and those of its folders."
        ) from None
    except OSError as error:
        raise FormatError(f"{shown(folder)}: cannot be listed ({error.strerror}).") from None


def _refuse_irregular(name: str, mode: int) -> None:
    """Raise FormatError unless the mode is that of a regular file."""
    if stat.S_ISREG(mode):
        return
    words = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }.get(stat.S_IFMT(mode), "something else")
    raise FormatError(f"{name}: is {words}, not a file. Give the path of a file.")


def _why_not_opened(path: PathLike, error: Exception) -> str:
    """Word the failure of stat or open."""
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            return f"is a link to {shown(os.readlink(path))}, which does not exist"
        return f"no such file (looked from {_here()})"
    if isinstance(error, PermissionError):
        return "may not be read: check its permissions, and those of its folders"
    if isinstance(error, OSError):
        return f"cannot be opened ({error.strerror})"
    return f"is not a possible path ({error})"


def _here() -> str:
    """Return the folder that relative paths start from, if it still exists."""
    try:
        return shown(os.getcwd())
    except OSError:
        return "a folder that no longer exists"


def absolute(out: Path) -> Path:
    """Return where a path leads, links followed."""
    try:
        return Path(os.path.realpath(out))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise SaveError(f"{shown(out)}: cannot be written ({why}).") from None


def same_file(one: PathLike, other: PathLike | int) -> bool:
    """Tell whether paths (or open files) lead to one file, however they are spelt."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


# ---- destinations ----------------------------------------------------------------------------


def check_destination(path: PathLike, *, wanted: int = 1) -> Path:
    """Refuse a path that cannot be written, before the work whose result it is to hold.

    Parameters
    ----------
    path : path-like
    wanted : int
        Bytes that the result will take at least.

    Returns
    -------
    Path
        The file to write: a link to a file is followed, and stays.

    Raises
    ------
    SaveError
        When its folder is missing or closed, its disk has less room, or it is itself a folder, a
        device, a pipe or a read-only file.
    """
    path = as_path(path)
    try:
        if path.is_symlink():
            path = path.resolve()
        folder = path.parent
        mode = mode_of(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise SaveError(f"{shown(path)}: is a folder. Name a file in it.")
        if not folder.is_dir():
            raise SaveError(
                f"{shown(folder)}: no such folder. Make it first, or name another path."
            )
        if mode is not None and not stat.S_ISREG(mode):  # a renaming would put a file in its place
            raise SaveError(f"{shown(path)}: is a device or a pipe, not a file. Name a file.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SaveError(f"{shown(folder)}: may not be written. Name a path elsewhere.")
        if mode is not None and not os.access(path, os.W_OK):  # a renaming would not ask
            raise SaveError(
                f"{shown(path)}: may not be written. Make it writable, or name another path."
            )
        usage = shutil.disk_usage(folder)
        if not usage.total:  # of a disk that tells no size, such as /proc
            _refuse_closed(folder)
    except RuntimeError:
        raise SaveError(
            f"{shown(path)}: is a link that leads nowhere. Name another path."
        ) from None
    except OSError as error:
        raise SaveError(
            f"{shown(path)}: cannot be written ({error.strerror}). Name another path."
        ) from None
    if usage.total and usage.free < wanted:
        raise SaveError(
            f"{shown(path)}: no room: {wanted} bytes or more wanted, {usage.free} free. Free some "
            "space or save elsewhere."
        )
    return path


def _refuse_closed(folder: Path) -> None:
    """Raise SaveError for a folder in which no file can be made, whatever its mode says."""
    probe = folder / hidden_name(folder)
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        probe.unlink()
    except OSError as error:
        raise SaveError(
            f"{shown(folder)}: may not be written ({error.strerror}). Name a path elsewhere."
        ) from None


def mode_of(path: Path) -> int | None:
    """Return the mode of what a path leads to; None where nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_atomically(path: PathLike, data: bytes | IO[bytes]) -> None:
    """Write `data` beside `path`, sync it, rename it over `path`, sync the folder.

    Parameters
    ----------
    path : path-like
    data : bytes, or an open file that is copied from its start

    Raises
    ------
    SaveError
        The old file, if any, is then untouched and the temporary file is gone.

    Notes
    -----
    A link to a file is followed: the file it names is replaced, the link stays. A file that is
    replaced keeps its permissions, and at no moment is its successor open to more.
    """
    size = len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
    with replacing(path, size) as file:
        for piece in _pieces(data):
            _write_all(file, piece)


@contextmanager
def replacing(path: PathLike, size: int | None = None) -> Iterator[IO[bytes]]:
    """Give an open file that takes the place of `path` at the end: whole, or not at all.

    Parameters
    ----------
    path : path-like
    size : int, optional
        Bytes that are wanted, where that is known.

    Raises
    ------
    SaveError
        As `write_atomically`, for any error of the system on the way.
    """
    path = check_destination(path, wanted=0)  # stale files may be what fills the disk
    sweep(path)
    try:
        kept = mode_of(path)
        written = False
        while not written:
            temporary = path.with_name(hidden_name(path))
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
            try:  # named before it is there: an interrupt at any moment leaves none
                descriptor = os.open(temporary, flags, 0o666 if kept is None else 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    if not (hold(descriptor) and os.fstat(descriptor).st_nlink):
                        continue  # another swept it before it was held
                    yield file
                    file.flush()
                    os.fsync(descriptor)
                    if kept is not None:  # a private model stays private
                        os.chmod(temporary, stat.S_IMODE(kept))
                    if not HOLDS:  # Windows renames no open file
                        file.close()
                    os.replace(temporary, path)
                    written = True
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SaveError(_why_not_written(path, size, error)) from None
    _sync_parent(path)


def _pieces(data: bytes | IO[bytes]) -> Iterator[bytes]:
    """Give what is to be written, a file's content by pieces."""
    if isinstance(data, bytes):
        yield data
        return
    data.seek(0)
    while piece := data.read(1 << 20):
        yield piece


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write all of `data` to a file."""
    file.write(data)


def _why_not_written(path: Path, wanted: int | None, error: OSError) -> str:
    """Word a failed write; a full disk says what is free and what is wanted."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            asked = "more" if wanted is None else f"{wanted} bytes"
            return (
                f"{shown(path)}: no room: {asked} wanted, {free} free ({error.strerror}). "
                "Free some space or save elsewhere; nothing was changed."
            )
    return f"{shown(path)}: cannot be written ({error.strerror}). Nothing was changed."


def _sync_parent(path: Path) -> None:
    """Make the renaming of `path` durable where the system can sync a folder."""
    try:
        sync(path.parent)
    except OSError as error:
        raise SaveError(
            f"{shown(path)}: is written, but its folder could not be synced ({error.strerror}): "
            "a power cut may undo it. Save again."
        ) from None


def sync(path: Path) -> None:
    """Sync a file or a folder; systems and disks that cannot sync folders are left alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def refuse_same(outputs: Iterable[Path | None], inputs: Iterable[Any]) -> None:
    """Refuse an output that is also an input of the command, however it is spelt, or twice there.

    Raises
    ------
    SaveError
    """
    wanted = [path for path in outputs if path is not None]
    for place, path in enumerate(wanted):
        if any(same_file(path, other) for other in inputs if other is not None):
            raise SaveError(
                f"{shown(path)}: is an input of this command, and would be lost. Name another file."
            )
        if any(absolute(path) == absolute(other) for other in wanted[:place]):
            raise SaveError(f"{shown(path)}: two outputs would be one file. Name another.")


def refuse_input(out: PathLike, inputs: Iterable[Any], *, door: str = "call") -> None:
    """Refuse to write where data are read from: an input, or what would be data the next time.

    Parameters
    ----------
    out : path-like
        A path, or an address.
    inputs : iterable
        Paths, folders, patterns and addresses; anything else counts for nothing.
    door : str
        What the inputs are of, in words.

    Raises
    ------
    SaveError
        When `out` is one of the files, lies in one of the folders, or matches one of the patterns.
    """
    place = _components(out)
    for name in inputs:
        if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
            continue
        try:
            wanted = _components(name, of_files=True)
        except SaveError:  # no possible path, as whoever reads it says
            continue
        is_read = same_file(out, name) or _reads(wanted, place) or _holds(name, out)
        if is_read and (os.path.isfile(out) or place == wanted):
            raise SaveError(
                f"{shown(out)}: is an input of this {door}, and would be lost. Name another file."
            )
        if is_read:
            raise SaveError(
                f"{shown(out)}: is in {shown(name)}, and would be read as data the next time. "
                "Name a file elsewhere."
            )


def _components(path: PathLike, *, of_files: bool = False) -> list[str]:
    """Return the parts of a path or an address, links followed; of files, as patterns of each."""
    text = os.fspath(path)
    for scheme in ("file://", "local://"):
        text = text.removeprefix(scheme)
    if "://" in text:
        parts = [part for part in text.rpartition("::")[2].split("/") if part]
        return parts if not of_files else [*map(glob.escape, parts[:1]), *parts[1:]]
    named = list(Path(text).parts)
    plain = len(named)  # of the parts, how many have no marks of a pattern
    if of_files and not os.path.lexists(text):
        plain = next((k for k, part in enumerate(named) if glob.has_magic(part)), plain)
    real = list(absolute(Path(*named[:plain])).parts)
    return [*(map(glob.escape, real) if of_files else real), *named[plain:]]


def _reads(wanted: list[str], place: list[str]) -> bool:
    """Tell whether a pattern matches a place, or a folder that holds it."""
    if not wanted:
        return True
    if wanted[0] == "**":
        return any(_reads(wanted[1:], place[k:]) for k in range(len(place) + 1))
    return bool(place) and fnmatchcase(place[0], wanted[0]) and _reads(wanted[1:], place[1:])


def _holds(name: PathLike, out: PathLike) -> bool:
    """Tell whether a file that is there is in a folder or a pattern by another name."""
    if not os.path.lexists(out):
        return False
    if is_folder(name):
        held: Iterable[str] = (
            os.path.join(at, one) for at, _, found in os.walk(name) for one in found
        )
    else:
        held = glob.iglob(os.fspath(name), recursive=True)
    return any(same_file(out, one) for one in held)


# ---- what is held, and what may be swept -----------------------------------------------------


def _lock(descriptor: int) -> bool | None:
    """Lock an open file or folder while it stays open; False: another has. None: no locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk that knows none
        return None
    return True


def hold(descriptor: int) -> bool:
    """Lock an open file or folder for as long as it stays open; False if another holds it.

    Where a disk knows no locks, it is held by nobody, and True.
    """
    return _lock(descriptor) is not False


def held_file(path: Path, note: str) -> int | None:
    """Return a held file of this name with `note` in it, open; None if another process holds it.

    `release` ends it; the end of the process does so as well, however it comes.
    """
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        if not hold(descriptor):
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink and same_file(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, note.encode())
            return descriptor
        os.close(descriptor)  # its last holder has just removed it


def release(path: Path, descriptor: int) -> None:
    """Remove a held file and let go of it."""
    with suppress(OSError):
        if same_file(path, descriptor):
            path.unlink()
    os.close(descriptor)


def hidden_name(path: Path) -> str:
    return f".{stem(path.name)}.{secrets.token_hex(8)}.tmp"


def stem(name: str) -> str:
    """Return as much of a file's name as leaves room for a suffix within 255 bytes."""
    return os.fsdecode(os.fsencode(name)[:200]).encode(errors="ignore").decode()


def sweep(path: Path, remove: Callable[[Path], None] = Path.unlink) -> None:
    """Remove what lies under temporary names of `path` and no writer holds."""
    pattern = re.compile(re.escape(f".{stem(path.name)}.") + r"[0-9a-f]{16}\.tmp")
    with suppress(OSError):  # a folder that may be written, and not listed
        for entry in list(os.scandir(path.parent)):
            if pattern.fullmatch(entry.name) and not entry.is_symlink():
                _sweep_one(Path(entry.path), remove)


def _sweep_one(temporary: Path, remove: Callable[[Path], None]) -> None:
    try:
        descriptor = os.open(temporary, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    try:
        if _lock(descriptor):  # nobody's, for certain
            with suppress(OSError):
                remove(temporary)
    finally:
        os.close(descriptor)
