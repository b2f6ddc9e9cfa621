"""A report's folder: written whole beside its place, exchanged with the last one, none of it lost.

A folder that was written here bears a mark, `manifest.json`: the name and checksum of every file.
Only such a folder, or an empty one, is replaced, and what others put into it or changed there goes
into the new one as well.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ancestral._files import (
    HOLDS,
    PathLike,
    absolute,
    as_path,
    hidden_name,
    hold,
    mode_of,
    shown,
    stem,
    sweep,
    sync,
)
from ancestral.errors import SaveError

MANIFEST = "manifest.json"
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


@contextmanager
def folder_in_place(out: PathLike, *, kind: str) -> Iterator[Path]:
    """Give a hidden folder beside `out` to fill; put it in the place of `out`, whole, at the end.

    Parameters
    ----------
    out : path-like
        A folder that an earlier call wrote, with this `kind` in its mark; an empty one; or nothing.
    kind : str
        What the mark, `manifest.json`, says of the folder.

    Raises
    ------
    SaveError
        For a folder with anything in it and no such mark, a place that cannot be written, or a
        disk that fails. `out` is then as it was.

    Notes
    -----
    What others put into an earlier folder stays: files whose names are not in its mark under their
    own names, and files of the mark that were changed since as `NAME.kept`. Interrupted at any
    moment, `out` is the old folder whole or the new one whole, with those files in it.
    """
    out = absolute(as_path(out))
    home = out.parent
    try:
        home.mkdir(parents=True, exist_ok=True)
        _finish_interrupted(out)
        check_folder(out, kind=kind)
        sweep(out, lambda left: _discard(left, out))
    except OSError as error:
        raise SaveError(f"{shown(out)}: cannot be written ({error.strerror}).") from None
    folder, descriptor, placed = home / hidden_name(out), None, False
    try:  # named before it is there: an interrupt at any moment leaves none
        folder.mkdir(0o777 if not out.exists() else 0o700)
        if HOLDS:
            descriptor = os.open(folder, os.O_RDONLY)
            hold(descriptor)
        yield folder
        _mark(folder, kind)
        _keep_strangers(out, folder)
        _sync_tree(folder)
        if out.exists():
            folder.chmod(stat.S_IMODE(out.stat().st_mode))
        _exchange(folder, out)
        placed = True
        with suppress(OSError):
            sync(home)
    except OSError as error:
        raise SaveError(f"{shown(out)}: cannot be written ({error.strerror}).") from error
    finally:
        with suppress(OSError):  # what stays is swept by the next call
            _discard(folder, out) if placed else shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def check_folder(out: PathLike, *, kind: str) -> None:
    """Refuse, before the work, a folder that `folder_in_place` would refuse.

    Raises
    ------
    SaveError
    """
    out = absolute(as_path(out))
    name = shown(out)
    try:
        mode = mode_of(out)
        if mode is None:
            return
        if not stat.S_ISDIR(mode):
            raise SaveError(f"{name}: is a file, but a {kind} is a folder. Name another path.")
        if os.path.ismount(out):
            raise SaveError(
                f"{name}: is the root of a disk. Name a folder in it, such as {name}/new."
            )
        if out == absolute(Path.cwd()):
            raise SaveError(
                f"{name}: is the folder you are in. Name another folder, such as ./new."
            )
        if any(out.iterdir()) and _marked(out, kind) is None:
            raise SaveError(
                f"{name}: is not empty, and is not an earlier {kind} (it has no {MANIFEST} of "
                "one). Nothing was changed. Name another folder, or empty this one."
            )
    except OSError as error:
        raise SaveError(f"{name}: cannot be written ({error.strerror}).") from None


def _mark(folder: Path, kind: str) -> None:
    """Write the manifest: every file of the folder and its checksum."""
    files = {}
    for name in sorted(_entries(folder)):
        files[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    mark = {"kind": f"ancestral {kind}", "files": files}
    (folder / MANIFEST).write_text(json.dumps(mark, indent=1) + "\n", "utf-8")


def _marked(folder: Path, kind: str | None = None) -> dict[str, str] | None:
    """Return the checksums by name that a folder's mark holds; None where it bears none."""
    try:
        mark = json.loads((folder / MANIFEST).read_text("utf-8"))
        is_ours = mark["kind"] == f"ancestral {kind}" or kind is None
        files = {str(name): str(sha) for name, sha in mark["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return files if is_ours else None


def _entries(folder: Path, below: str = "") -> Iterator[str]:
    """Yield all that lies in a folder but folders, and the empty ones; links are not followed."""
    for entry in os.scandir(folder / below):
        name = f"{below}/{entry.name}" if below else entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield name
        elif any(os.scandir(entry.path)):
            yield from _entries(folder, name)
        else:
            yield name


def _strangers(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what others put into a marked folder, or changed there: its name, and the one to keep.

    An unmarked folder is unfinished work of this module: all in it is ours, or kept elsewhere.
    """
    files = _marked(folder)
    if files is None:
        return
    for name in _entries(folder):
        path = folder / name
        if name not in files:
            if name != MANIFEST:
                yield name, name
        elif path.is_symlink() or not path.is_file() or _checksum(path) != files[name]:
            yield name, f"{name}.kept"


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _keep_strangers(old: Path, new: Path) -> None:
    """Link what others put into the old folder into the new one as well."""
    if not old.is_dir():
        return
    for name, kept in _strangers(old):
        source = old / name
        if source.is_dir() and not source.is_symlink():  # an empty folder
            with suppress(FileExistsError):
                (new / name).mkdir(parents=True)
            continue
        target = _free_name(new / kept, new)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError:  # disks without links: a copy
            shutil.copy2(source, target, follow_symlinks=False)


def _free_name(target: Path, top: Path) -> Path:
    """Return a path under which nothing stands yet; a folder in the way is gone round."""
    for parent in reversed(target.relative_to(top).parents):
        if os.path.lexists(top / parent) and not (top / parent).is_dir():
            target = top / f"{parent}.kept" / target.relative_to(top / parent)
            break
    candidate, number = target, 1
    while os.path.lexists(candidate):
        candidate = target.with_name(f"{target.name}.kept{'' if number == 1 else number}")
        number += 1
    return candidate


def _discard(old: Path, out: Path) -> None:
    """Remove a folder that was replaced or never finished; what others put there since goes on."""
    if out.is_dir():
        for name, kept in list(_strangers(old)):
            there = old / name
            if there.is_dir() and not there.is_symlink():
                continue
            places = {name, kept, f"{kept}.kept", name.removesuffix(".kept")}
            if not any(_is_twin(there, out / place) for place in places):
                target = _free_name(out / kept, out)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(there, target)
    elif _marked(old) is not None:
        return  # whole, and nothing stands in its place: never removed
    shutil.rmtree(old, ignore_errors=True)


def _is_twin(one: Path, other: Path) -> bool:
    """Tell whether two paths hold the same: one inode, one link's text, or equal bytes."""
    try:
        a, b = os.lstat(one), os.lstat(other)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino):
        return True
    if stat.S_ISLNK(a.st_mode) and stat.S_ISLNK(b.st_mode):
        return os.readlink(one) == os.readlink(other)
    regular = stat.S_ISREG(a.st_mode) and stat.S_ISREG(b.st_mode)
    return regular and a.st_size == b.st_size and _checksum(one) == _checksum(other)


def _sync_tree(folder: Path) -> None:
    """Sync every file of a folder, and then every folder."""
    for top, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(top) / name
            if path.is_file() and not path.is_symlink():
                sync(path)
        sync(Path(top))


def _exchange(folder: Path, out: Path) -> None:
    """Put `folder` in the place of `out`, and `out`, if it is there, in that of `folder`."""
    if not out.exists() or not any(out.iterdir()):
        os.rename(folder, out)
        return
    if _renameat2(folder, out):
        return
    aside = folder.with_suffix(".old")  # two steps: the next call finishes what stops between
    os.rename(out, aside)
    try:
        os.rename(folder, out)
    except OSError:
        os.rename(aside, out)
        raise
    os.rename(aside, folder)


def _renameat2(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the disk cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), os.fspath(other))


def _finish_interrupted(out: Path) -> None:
    """Put back a folder that an exchange in two steps had moved aside when it was stopped."""
    pattern = glob.escape(f".{stem(out.name)}.") + "*.old"
    for aside in sorted(out.parent.glob(pattern)):
        if not os.path.lexists(out):
            os.rename(aside, out)
        else:
            os.rename(aside, aside.with_suffix(".tmp"))  # to be swept
