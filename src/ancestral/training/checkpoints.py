"""Training that can be killed: checkpoints by step, one holder of a folder, Ctrl-C that saves.

A checkpoint is a file `step-000000123` in the format of `ancestral.model_file`: no code in it,
checksummed, written atomically. The newest is the one with the largest step in its name; clocks
and file times have no say. A folder has one holder at a time: the system holds `training.lock` for
it, and lets go when it ends, however that comes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Self

from ancestral import model_file
from ancestral._checks.numbers import warn
from ancestral._files import (
    as_path,
    check_destination,
    entries_of,
    held_file,
    release,
    shown,
    write_atomically,
)
from ancestral.errors import DataTypeError, FormatError, ModelError, SaveError

KIND = "Checkpoint"
KEPT = 2  # newest files: the last but one is there if the last is damaged
LOCK = "training.lock"


class Checkpoints:
    """A folder of checkpoints of one training run; a context manager that holds the folder.

    Parameters
    ----------
    folder : path-like
        Made if missing (its parent must exist).
    settings : dict of plain values
        What must be the same for a run to be resumed: parameters, a digest of the data.
    room : int
        Bytes that the files will take.

    Raises
    ------
    SaveError
        When the folder cannot be made or written, or its disk has not that much room: said before
        training, not after.
    ModelError
        When another running process holds the folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], settings: dict[str, Any], room: int = 1
    ) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise DataTypeError(f"checkpoint must be the path of a folder; got {folder!r}.")
        self.folder, self.settings, self.room = as_path(folder), settings, room

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SaveError(
                f"{shown(self.folder)}: cannot be made a folder of checkpoints ({error.strerror}). "
                "Name another."
            ) from None
        check_destination(self.folder / "step-0", wanted=self.room)
        path = self.folder / LOCK
        note = json.dumps({"pid": os.getpid(), "since": _now()})
        try:
            lock = held_file(path, note)
        except OSError as error:
            raise SaveError(f"{shown(path)}: cannot be written ({error.strerror}).") from None
        if lock is None:
            raise ModelError(
                f"{shown(self.folder)}: {_holder(path)} is training into it. Wait for it, or name "
                "another folder."
            )
        self._lock = lock
        return self

    def __exit__(self, *error: object) -> None:
        release(self.folder / LOCK, self._lock)

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after a step, then remove all but the newest files."""
        path = self.folder / f"step-{step:09d}"
        document = {"step": step, "settings": self.settings, **state}
        write_atomically(path, model_file.pack(KIND, {}, document))
        for old in self._files()[KEPT:]:
            with suppress(OSError):  # one too many does no harm
                old.unlink()
        return path

    def latest(self) -> dict[str, Any] | None:
        """Return the newest whole state, or None in an empty folder.

        Raises
        ------
        ModelError
            When it is of another run: other data or parameters.
        FormatError
            When there are files and none is whole.
        """
        files = self._files()
        for path in files:
            try:
                state = self._read(path)
            except FormatError as error:
                warn(f"{error} An older checkpoint is tried.")
                continue
            self._refuse_another_run(path, state["settings"])
            return state
        if files:
            raise FormatError(
                f"{shown(self.folder)}: no checkpoint in it is whole. Empty it, start over."
            )
        return None

    def _files(self) -> list[Path]:
        """Return the checkpoints, newest first by the step in their names."""
        named = [
            (int(found.group(1)), path)
            for path in entries_of(self.folder)
            if (found := re.fullmatch(r"step-(\d+)", path.name))
        ]
        return [path for _, path in sorted(named, reverse=True)]

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        packed = model_file.unpack(path)
        if packed.kind != KIND or not {"step", "settings"} <= set(packed.state):
            raise FormatError(f"{shown(path)}: is no checkpoint.")
        return packed.state

    def _refuse_another_run(self, path: Path, settings: dict[str, Any]) -> None:
        """Raise ModelError naming the first setting that differs."""
        for name in sorted({*settings, *self.settings}):
            was, now = settings.get(name), self.settings.get(name)
            if was != now:
                seen = "" if name == "data" else f" ({was!r} there, {now!r} now)"
                raise ModelError(
                    f"{shown(path)}: is of another run: other {name}{seen}. Train with the same "
                    f"{name}, or name another folder."
                )


def _holder(path: Path) -> str:
    """Say who holds a folder: the number is its own system's, which may not be this one."""
    try:
        holder = json.loads(path.read_text())
        return f"process {int(holder['pid'])} since {str(holder['since'])!r}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ---- interrupts ------------------------------------------------------------------------------


@contextmanager
def interruptible() -> Iterator[Callable[[], int | None]]:
    """Hold back Ctrl-C and the system's requests to end; give a function that tells of one.

    The first signal is only noted, so that the step under way can be finished and saved; a second
    Ctrl-C stops at once. In a thread, where signals cannot be caught, nothing is held back. What is
    ignored, as the hang-up is under `nohup`, stays so.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        noted.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is None:
                continue
            # `nohup` is heeded; but every job in the background ignores Ctrl-C, and still has to
            # save where someone sends it
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
                before[number] = signal.signal(number, note)
    try:
        yield lambda: noted[0] if noted else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def end_by(number: int, message: str) -> None:
    """End as the signal asked, now that everything is saved; raise KeyboardInterrupt at last."""
    if number != signal.SIGINT:
        os.kill(os.getpid(), number)
    raise KeyboardInterrupt(message)
