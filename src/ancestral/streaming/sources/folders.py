"""Columns that stand in the names of folders: year=2024/part-0.parquet has a column `year`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

from ancestral.errors import DataError
from ancestral.streaming.sources.files import File

_NONE = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)


def named_by_folders(file: File) -> dict[str, str | None]:
    """Return what a file's folders, below the one that was named, say of all its rows."""
    pairs = [part.partition("=") for part in PurePath(file.below).parts[:-1] if "=" in part]
    return {unquote(key): None if value == _NONE else unquote(value) for key, _, value in pairs}


def with_folders(files: Sequence[File], schemas: Sequence[Any]) -> list[Any]:
    """Return the columns of each file, and those that its folders name: whole numbers or text.

    A column of that name in the file itself is taken instead.
    """
    import pyarrow as pa

    found = [named_by_folders(file) for file in files]
    for file, one in zip(files, found):
        if list(one) != list(found[0]):
            raise DataError(
                f"{file.name}: its folders name {_listed(one)} and those of {files[0].name} "
                f"{_listed(found[0])}. Give one level of folders."
            )
    held = list(schemas)
    for key in found[0]:
        values = [one[key] for one in found]
        whole = all(value is None or _WHOLE.fullmatch(value) for value in values)
        field = pa.field(key, pa.int64() if whole and any(values) else pa.string())
        held = [own if key in own.names else own.append(field) for own in held]
    return held


def folder_column(file: File, field: Any, n_rows: int) -> Any:
    """Return a column of what a file's folders say."""
    import pyarrow as pa

    value = named_by_folders(file)[field.name]
    scalar = pa.scalar(
        int(value) if value and pa.types.is_integer(field.type) else value, field.type
    )
    return pa.chunked_array([pa.repeat(scalar, n_rows)], type=field.type)


def _listed(found: dict[str, str | None]) -> str:
    return ", ".join(map(repr, found)) or "no columns"
