"""What the studio shows: saved models, and the user's data or built-in data."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ancestral
from ancestral._files import as_path, entries_of, is_folder, open_regular
from ancestral.errors import AncestralError, DataError
from ancestral.inputs import (
    FACES,
    GRAPHS,
    LEAST_FACES,
    PAIRS,
    TABLES,
    find_files,
    find_source,
)

DATA_ENDINGS = (".npy", ".npz", ".csv", ".parquet", ".pkl", ".pickle", ".graphml")
EXPECTED = (
    "The studio opens saved models, images (PNG, JPEG), and data: .npy, .npz, .csv, .parquet, "
    ".pkl.gz, .graphml."
)
LEAST_IMAGE = 64  # values: a shorter square row is a table's more often than a photograph's


def data_in(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the files among these, and those that folders among them have of any kind."""
    found: list[Path] = []
    for path in map(as_path, paths):
        if is_folder(path):
            with suppress(DataError):  # only models
                found += find_files(path).values()
        else:
            found.append(path)
    return found


@dataclass
class Shelf:
    """Models by name, data files by kind, and rows to score.

    Attributes
    ----------
    models : dict of fitted models, by the name shown
    files : dict of Path, by kind ("faces", "tables", "graphs", "regression")
    bits : (name, ndarray of shape (n, m)) or None
        Rows of zeros and ones to count tables from.
    rows : (name, ndarray of shape (n, k)) or None
        A table to compare densities on.
    built_in : bool
        Whether built-in data stand in for what is not given.
    names : dict of str, by Path
        What the user calls a file that lies under another name.
    """

    models: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    bits: tuple[str, NDArray] | None = None
    rows: tuple[str, NDArray] | None = None
    built_in: bool = True
    names: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> Shelf:
        """Return the shelf of saved models, data files and folders of them.

        Raises
        ------
        AncestralError
            For a path that is not there, a damaged file, or a folder without any of these.
        """
        shelf = cls()
        for path in map(as_path, paths):
            if is_folder(path):
                shelf._add_folder(path)
            else:
                open_regular(path).close()
                shelf.add_file(path, path.name)
        return shelf

    def _add_folder(self, folder: Path) -> None:
        entries_of(folder)  # a closed one holds nothing that is seen
        models = sorted([*folder.glob("*.model"), *folder.glob("models/*.model")], key=_natural)
        for path in models:
            self.add_model(path, path.stem)
        try:
            self.files.update(find_files(folder))
        except DataError as error:
            if not models:
                raise DataError(
                    f"{error} A folder of saved models (*.model) will do, too."
                ) from None

    def add_file(self, path: Path, name: str) -> str:
        """Add a saved model or a data file; return what it was taken for.

        `name` is what the user calls the file, whose content lies at `path`.
        """
        ending = name.lower().removesuffix(".gz")
        if not ending.endswith(DATA_ENDINGS):
            return self.add_model(path, Path(name).stem)
        kind = _kind_of(name)
        if kind == "faces":
            return self._add_array(path, name)
        self._add_data(kind, path, name)
        return kind

    def _add_data(self, kind: str, path: Path, name: str) -> None:
        """Take a data file that can be read: a wrong one is refused now, not in its room."""
        if kind == "regression":  # rows to score, even where its target is not clear
            ancestral.read_array(path)
        else:
            find_source(kind, {kind: path})
        self.files[kind] = path
        self.names[path] = name

    def _add_array(self, path: Path, name: str) -> str:
        array = ancestral.read_array(path)
        if array.ndim > 3:
            raise DataError(
                f"{path}: has shape {array.shape}; rows (n, columns) or images (n, height, width) "
                "are expected."
            )
        rows = array.reshape(len(array), -1) if array.ndim > 1 else array[:, None]
        if array.ndim <= 2 and bool(np.isin(rows, (0, 1)).all()):
            self.rows = self.bits = (name, rows)
            return "bits"
        is_wide = rows.shape[1] >= LEAST_IMAGE and is_square(rows.shape[1])
        if array.ndim == 3 or (is_wide and len(rows) >= LEAST_FACES):
            self._add_data("faces", path, name)
            self.rows = (name, rows)
            return "faces"
        self.rows = (name, rows)
        return "rows"

    @property
    def has_rows_beside_faces(self) -> bool:
        """Whether the rows to score are a table of their own, not the images."""
        faces = self.files.get("faces")
        return self.rows is not None and (faces is None or self.rows[0] != self.name_of(faces))

    def name_of(self, path: Path) -> str:
        """Return what the user calls a file."""
        return self.names.get(path, path.name)

    def add_model(self, path: Path, name: str) -> str:
        """Load a saved model under a name not yet taken; return its class."""
        model = ancestral.load(path)
        self.models[_fresh(name, self.models)] = model
        return type(model).__name__

    def add_upload(self, name: str, content: bytes, folder: Path) -> str:
        """Add a file sent by the page; what it is gets told as for any file.

        Errors name the file as the user knows it. Data files stay in `folder`, since rooms read
        them when they are opened.
        """
        name = Path(name.replace("\\", "/")).name or "file"
        lower = name.lower()
        ending = "".join(
            Path(lower).suffixes[-2:] if lower.endswith(".gz") else [Path(lower).suffix]
        )
        known = ending.removesuffix(".gz") in DATA_ENDINGS
        with tempfile.NamedTemporaryFile(
            dir=folder, suffix=ending if known else ".model", delete=False
        ) as file:
            file.write(content)
        path = Path(file.name)
        try:
            return self.add_file(path, name)
        except AncestralError as error:
            path.unlink(missing_ok=True)
            said = str(error).replace(str(path), name)
            hint = "" if known or lower.endswith(".model") else f" {EXPECTED}"
            raise AncestralError(said + hint) from None


def is_square(n: int) -> bool:
    """Tell whether n values make a square image."""
    return round(n**0.5) ** 2 == n


def _natural(path: Path) -> list[str]:
    """Return a sorting key by which 2 comes before 10."""
    return [part.zfill(12) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def _kind_of(name: str) -> str:
    """Return what a data file's name says it holds."""
    for kind, patterns in (("graphs", GRAPHS), ("tables", TABLES), ("faces", FACES)):
        if any(fnmatch(name.lower(), pattern) for pattern in patterns):
            return kind
    if any(fnmatch(name.lower(), pattern) for pattern in PAIRS):
        return "regression"
    return "tables"  # a pickle of another name


def _fresh(name: str, taken: dict[str, Any]) -> str:
    """Return the name, numbered if another model has it."""
    fresh, k = name, 2
    while fresh in taken:
        fresh, k = f"{name} ({k})", k + 1
    return fresh
