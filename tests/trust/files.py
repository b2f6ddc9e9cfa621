"""Broken files put in a folder, and what every reader must make of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ancestral import model_file
from ancestral.errors import AncestralError, FormatError
from ancestral.io import read_array, read_columns, read_graphs, read_tables
from tests.trust.guard import Accepted, refused

X = np.arange(12.0).reshape(4, 3) / 7

Reader = Callable[[Path], Any]
READERS: tuple[Reader, ...] = (read_array, read_columns, read_tables, read_graphs)
OF_PICKLES: tuple[Reader, ...] = (read_array, read_tables, read_graphs)


def put(folder: Path, name: str, content: bytes | str) -> Path:
    """Return the path of a new file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class Tally:
    """What became of the broken files of a test, each counted once by its content."""

    seen: ClassVar[set[str]] = set()
    accepted: ClassVar[set[str]] = set()
    run: ClassVar[set[str]] = set()

    @classmethod
    def clear(cls) -> None:
        """Begin anew."""
        for contents in (cls.seen, cls.accepted, cls.run):
            contents.clear()


def refuse(
    path: Path,
    *says: str,
    readers: Reader | Iterable[Reader] = read_array,
    kind: type[AncestralError] = FormatError,
) -> None:
    """Every reader must refuse the file, naming it, in words that match, and run nothing in it."""
    content = hashlib.sha256(_bytes_of(path)).hexdigest()
    Tally.seen.add(content)
    for read in [readers] if callable(readers) else readers:
        try:
            refused(lambda: read(path), re.escape(path.name), *says, kind=kind)  # noqa: B023
        except Accepted:
            Tally.accepted.add(content)
            raise
        if (path.parent / "marker").exists():
            Tally.run.add(content)
            raise AssertionError(f"{path.name} was run")


def _bytes_of(path: Path) -> bytes:
    """Return the content of a file; the path where it is none."""
    try:
        return path.read_bytes() if path.is_file() else bytes(path)
    except OSError:
        return bytes(path)


def write_model(path: Path, name: str, params: dict[str, Any], state: dict[str, Any]) -> Path:
    """Write a model file with a right digest, whatever it says."""
    path.write_bytes(model_file.pack(name, params, state))
    return path
