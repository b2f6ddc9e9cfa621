"""Broken files put in a folder, and what every reader must make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ancestral import model_file
from ancestral.errors import AncestralError, FormatError
from ancestral.io import read_array, read_columns, read_graphs, read_tables
from tests.trust.guard import refused

X = np.arange(12.0).reshape(4, 3) / 7

Reader = Callable[[Path], Any]
READERS: tuple[Reader, ...] = (read_array, read_columns, read_tables, read_graphs)
OF_PICKLES: tuple[Reader, ...] = (read_array, read_tables, read_graphs)


def put(folder: Path, name: str, content: bytes | str) -> Path:
    """Return the path of a new file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refuse(
    path: Path,
    *says: str,
    readers: Reader | Iterable[Reader] = read_array,
    kind: type[AncestralError] = FormatError,
) -> None:
    """Every reader must refuse the file, naming it, in words that match."""
    for read in [readers] if callable(readers) else readers:
        refused(lambda: read(path), re.escape(path.name), *says, kind=kind)  # noqa: B023


def write_model(path: Path, name: str, params: dict[str, Any], state: dict[str, Any]) -> Path:
    """Write a model file with a right digest, whatever it says."""
    path.write_bytes(model_file._to_bytes(name, params, state))
    return path
