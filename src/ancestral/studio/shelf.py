"""What the studio has open: saved models and data, each content once, or built-in data."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import ancestral
from ancestral._checks.numbers import warn
from ancestral._extras import need
from ancestral._files import as_path, entries_of, is_folder, open_regular
from ancestral.errors import AncestralError, DataError, MissingExtraError
from ancestral.inputs import LEAST_FACES, as_faces, counted, find_source, graphs_in_words
from ancestral.io.kinds import in_words, sniff
from ancestral.io.npy import natural_order

T = TypeVar("T")

TABLES = (".csv", ".tsv", ".parquet")
ARRAYS = (".npy", ".npz", ".pkl", ".pickle")
GRAPHS = (".graphml", ".gml", ".mtx")
DATA_ENDINGS = TABLES + ARRAYS + GRAPHS
PICTURES = (".png", ".jpg", ".jpeg")
EXPECTED = (
    "The studio opens saved models, images (PNG, JPEG), and data: .npy, .npz, .csv, .tsv, "
    ".parquet, .pkl, .graphml, .gml, .mtx."
)
LEAST_IMAGE = 64  # values: a shorter square row is a table's more often than a photograph's
LONGEST_NAME = 200  # characters; of longer ones the beginning and the ending are kept
UNREAD = "unread"  # the kind of a folder's files that could not be read; `data` says why
BUILT_IN = {
    "images": ("faces", "faces"),
    "table": ("regression", "diabetes"),
    "tables": ("tables", "icons"),
    "graphs": ("graphs", "classrooms"),
}  # by kind: what `inputs` calls it, and the data's name
DIABETES = (
    "age (years)",
    "sex",
    "body mass index (kg/m²)",
    "blood pressure (mmHg)",
    "cholesterol (mg/dL)",
    "LDL (mg/dL)",
    "HDL (mg/dL)",
    "cholesterol / HDL",
    "log triglycerides",
    "blood sugar (mg/dL)",
)  # what scikit-learn calls age, sex, bmi, bp, s1 to s6


def kept_with_item(tell: Callable[[Item], T]) -> Callable[[Item], T]:
    """Compute once what is asked of an item whenever something is opened; it goes with the item."""

    @functools.wraps(tell)
    def told(item: Item) -> T:
        if tell not in item.kept:
            item.kept[tell] = tell(item)
        found: T = item.kept[tell]
        return found

    return told


@dataclass(frozen=True, eq=False)
class Item:
    """One thing that is open.

    Parameters
    ----------
    id : str
        Eight hexadecimal digits of the SHA-256 of its content.
    name : str
        As the user calls it.
    kind : {"model", "images", "table", "tables", "graphs"}
        "tables" are conditional probability tables.
    about : str
        What it is: "100 grey images of 24 × 24 pixels".
    data : any
        The fitted model; `Faces`; a dataframe of pandas; a TabularAutoregressive of the tables; a
        list of Graph.
    built_in : bool
    """

    id: str
    name: str
    kind: str
    about: str
    data: Any
    built_in: bool = False
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)  # by those who ask of it often

    @classmethod
    def of_model(cls, name: str, model: Any) -> Item:
        """Return a fitted model that lies in no file."""
        import pickle

        return cls(identity(pickle.dumps(model)), name, "model", _model_in_words(model), model)

    @cached_property
    def columns(self) -> list[str]:
        """The names of `rows`' columns."""
        if self.kind == "images":
            return [f"pixel {k + 1}" for k in range(self.data.X.shape[1])]
        return list(_numbers_of(self.data).columns)

    @cached_property
    def rows(self) -> NDArray[np.float64]:
        """The numeric columns of a table, NaN in gaps, or images as rows of pixels."""
        if self.kind == "images":
            return np.asarray(self.data.X, dtype=np.float64)
        found: NDArray[np.float64] = _numbers_of(self.data).to_numpy(np.float64, na_value=np.nan)
        return found

    @cached_property
    def is_binary(self) -> bool:
        """Whether every cell of a table or image is 0 or 1."""
        if self.kind not in ("images", "table"):
            return False
        is_whole = self.kind == "images" or len(self.columns) == self.data.shape[1]
        return is_whole and bool(np.isin(self.rows, (0, 1)).all())


@dataclass
class Shelf:
    """What is open, in the order in which it was opened.

    Attributes
    ----------
    items : list of Item
        The user's; replaced whenever it changes, so that whoever reads it has it whole.
    built_in : bool
        Whether built-in data stand in for the kinds of which nothing is open.
    is_served : bool
        Whether the page can ask for more than it was given at first.
    """

    items: list[Item] = field(default_factory=list)
    built_in: bool = True
    is_served: bool = True

    def __post_init__(self) -> None:
        self._changing = threading.Lock()

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> Shelf:
        """Return the shelf of saved models, data files and folders of them.

        A warning names each file of a folder that cannot be read.

        Raises
        ------
        AncestralError
            For a path that is not there, a damaged file, or a folder of which nothing can be read.
        """
        shelf = cls()
        for path in map(as_path, paths):
            if is_folder(path):
                shelf._add_folder(path)
            else:
                shelf._add_or_warn(path)
        return shelf

    @property
    def version(self) -> str:
        """What differs whenever something else is open."""
        return identity(
            repr([(item.id, item.name) for item in self.items] + ["+"] * self.built_in).encode()
        )

    def copy(self) -> Shelf:
        """Return the shelf as it is now."""
        return Shelf(self.items, self.built_in, self.is_served)

    # ---- what is open ----------------------------------------------------------------------------

    def of_kind(self, *kinds: str) -> list[Item]:
        """Return the user's items of these kinds; where there are none, a built-in one.

        Raises
        ------
        MissingExtraError
            Where the built-in data need a package that is absent.
        """
        found = [item for item in self.items if item.kind in kinds]
        if found or not self.built_in:
            return found
        absent: MissingExtraError | None = None
        for kind in kinds:
            try:
                return [_built_in(kind)]
            except MissingExtraError as error:
                absent = absent or error
        raise absent or DataError(f"kinds must be of {', '.join(BUILT_IN)}; got none.")

    def models(self, *classes: type) -> list[Item]:
        """Return the saved models that are instances of these classes; all where none is given."""
        saved = [item for item in self.items if item.kind == "model"]
        return [item for item in saved if not classes or isinstance(item.data, classes)]

    # ---- opening and closing ---------------------------------------------------------------------

    def add(self, path: Path, name: str) -> Item:
        """Open a saved model or a data file, which the user calls `name`; return it.

        An archive of several arrays is as many items, of which the first is returned.
        """
        with open_regular(path) as file:
            content = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
        try:
            found = _read(path, name)
        except AncestralError as error:
            raise type(error)(_without_options(str(error))) from None
        put = [
            self._put(identity(content + key.encode()), f"{name}, {key}" if key else name, *read)
            for key, read in found.items()
        ]
        return put[0]

    def add_upload(self, name: str, content: bytes) -> Item:
        """Open a file that the page was given; errors name it as the user does."""
        name = Path(name.replace("\\", "/")).name or "file"
        if len(name) > LONGEST_NAME:
            name = f"{name[: LONGEST_NAME - 21]}…{name[-20:]}"
        known = _ending(name) in DATA_ENDINGS
        suffix = _ending(name) + (".gz" if name.lower().endswith(".gz") else "")
        with tempfile.TemporaryDirectory(prefix="ancestral-studio-") as folder:
            path = Path(folder) / f"file{suffix if known else '.model'}"
            path.write_bytes(content)
            try:
                return self.add(path, name)
            except AncestralError as error:
                said = str(error).replace(str(path), name)
                looks = f" It looks like {in_words(sniff(content[:4096]))}."
                hint = "" if known or name.lower().endswith(".model") else f"{looks} {EXPECTED}"
                raise AncestralError(said + hint) from None

    def close(self, of: str) -> None:
        """Close what has this id; nothing where it is closed already."""
        with self._changing:
            self.items = [item for item in self.items if item.id != of]

    def _add_folder(self, folder: Path) -> None:
        """Open what a folder holds; what cannot be read stays on the shelf as such."""
        entries = sorted(entries_of(folder), key=lambda path: natural_order(path.name))
        models = [path for path in entries if path.suffix == ".model"]
        models += sorted(
            (folder / "models").glob("*.model"), key=lambda path: natural_order(path.name)
        )
        data = [path for path in entries if _ending(path.name) in DATA_ENDINGS]
        files = list(filter(os.path.isfile, [*models, *data]))
        pictures = [path for path in entries if path.suffix.lower() in PICTURES]
        if not (files or pictures):
            raise DataError(
                f"{folder}: holds nothing that the studio can open: saved models (*.model), data "
                f"({', '.join(DATA_ENDINGS)}), or pictures (PNG, JPEG)."
            )
        refused: dict[Path, AncestralError] = {}
        for path in files:
            try:
                self._add_or_warn(path)
            except AncestralError as error:
                refused[path] = error
        is_wrong = self._add_pictures(folder, pictures)
        if len(refused) == len(files) and len(is_wrong) == len(pictures):
            raise [*refused.values(), *is_wrong.values()][0]
        for path, why in (refused | is_wrong).items():
            warn(str(why))
            said = str(why).replace(str(path), path.name)
            self._put(identity(str(path).encode()), path.name, UNREAD, "cannot be read", said)

    def _add_pictures(self, folder: Path, files: list[Path]) -> dict[Path, AncestralError]:
        """Open pictures as the images of their folder; return why some of them are left out."""
        from ancestral.io.arrays import MAX_BYTES
        from ancestral.io.images import Form, read_image

        found: list[NDArray] = []
        first: tuple[Form, str] | None = None
        refused: dict[Path, AncestralError] = {}
        for path in files:
            try:
                form, pixels = read_image(path, max_bytes=MAX_BYTES // len(files), like=first)
            except AncestralError as error:
                refused[path] = type(error)(_without_options(str(error)))
                continue
            first = first or (form, path.name)
            found.append(pixels)
        if found:
            array = np.stack(found)
            self._put(identity(array.tobytes()), folder.name, *_of_array(array, folder.name))
        return refused

    def _add_or_warn(self, path: Path) -> None:
        """Open a file; warn where its content is open under another name."""
        before = self.items
        if said := opened_before(path.name, self.add(path, path.name), before):
            warn(said)

    def _put(self, of: str, name: str, kind: str, about: str, data: Any) -> Item:
        """Put an item on the shelf under a name not yet taken; the same content is there once."""
        with self._changing:
            same = next((item for item in self.items if item.id == of), None)
            if same is not None:
                return same
            shown = Path(name).stem if kind == "model" else name
            item = Item(of, _fresh(shown, {item.name for item in self.items}), kind, about, data)
            self.items = [*self.items, item]
            return item


def is_square(n: int) -> bool:
    """Tell whether n values make a square image."""
    return round(n**0.5) ** 2 == n


def opened_before(name: str, item: Item, before: list[Item]) -> str:
    """Say that what a file holds was open already, where it was so under another name."""
    if item not in before or item.name.startswith(name.removesuffix(".model")):
        return ""
    return f"{name} has the same content as {item.name}, which is open."


def identity(content: bytes) -> str:
    """Return eight hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:8]


# ---- reading: each returns kind, about, data ----------------------------------------------------

Read = tuple[str, str, Any]


def _read(path: Path, name: str) -> dict[str, Read]:
    """Return what a file holds: by its ending, and within that by its content."""
    ending = _ending(name)
    if ending not in DATA_ENDINGS:
        model = ancestral.load(path)
        return {"": ("model", _model_in_words(model), model)}
    if ending in TABLES:
        return {"": _read_table(path, ending)}
    if ending in GRAPHS:
        return {"": _read_graphs(path)}
    if ending == ".npy":
        return {"": _read_array(path)}
    refused: list[AncestralError] = []
    for read in _readers_of(name.lower(), ending):
        try:
            return {"": read(path)}
        except AncestralError as error:
            refused.append(error)
    keys = _keys_of(path) if ending == ".npz" else []
    if len(keys) < 2:
        raise refused[0]
    return {key: _read_array(path, key) for key in keys}


def _keys_of(path: Path) -> list[str]:
    """Return the names of an archive's arrays; none of what is no archive."""
    from ancestral.io.arrays import MAX_BYTES
    from ancestral.io.npy import Archive
    from ancestral.io.sources import Source

    with suppress(AncestralError), Source(path, max_bytes=MAX_BYTES) as source:
        return list(map(str, Archive(source).keys))
    return []


def _without_options(said: str) -> str:
    """Return a reader's words without the mends that are options of Python: there are none here."""
    return re.sub(r"(?:[,;]? or (?:pass|take it as text,)|; pass) [^.;)]*(?=[.;)]|$)", "", said)


def _readers_of(name: str, ending: str) -> list[Callable[[Path], Read]]:
    """Return what reads an archive or a pickle, the likeliest first: its error is the one told."""
    if "graph" in name:
        return [_read_graphs, _read_tables, _read_array]
    if ending == ".npz":
        return [_read_array, _read_graphs, _read_tables]
    return [_read_tables, _read_graphs, _read_array]


def _read_table(path: Path, ending: str) -> Read:
    from ancestral.io.mixed import read_mixed

    need("a table in the studio", "studio:pandas")
    sep = "\t" if ending == ".tsv" else ","
    found = read_mixed(path, missing=True, dates=True, sep=sep)
    return _of_frame(found.frame("pandas"))


def _of_frame(frame: Any) -> Read:
    n, k = frame.shape
    return "table", f"{_many(n, 'row')} × {_many(k, 'column')}", frame


def _read_tables(path: Path) -> Read:
    return _of_tables(find_source("tables", {"tables": path}).data)


def _of_tables(model: Any) -> Read:
    n = model.n_features_in_
    return "tables", f"conditional probability tables of {counted(n, 'variable')}", model


def _read_graphs(path: Path) -> Read:
    graphs = ancestral.read_graphs(path)
    return "graphs", graphs_in_words(graphs), graphs


def _read_array(path: Path, key: str | None = None) -> Read:
    array = ancestral.read_array(path, key=key, missing=True)
    if array.ndim > 3:
        raise DataError(
            f"{path}: has shape {array.shape}; rows (n, columns) or images (n, height, width) "
            "are expected."
        )
    return _of_array(array, str(path))


def _of_array(array: NDArray, name: str) -> Read:
    """Return images where rows are pictures or as long as a square one, else a table."""
    rows = array.reshape(len(array), -1)
    is_wide = rows.shape[1] >= LEAST_IMAGE and is_square(rows.shape[1])
    if array.ndim == 3 or (is_wide and len(rows) >= LEAST_FACES):
        faces = as_faces(array, name)
        height, width = faces.shape
        about = f"{_many(len(rows), 'grey image')} of {height} × {width} pixels"
        if array.ndim == 2:
            why = f"since {rows.shape[1]} values a row make a square"
            about += f", taken for images {why}; saved as .csv they are a table"
        return "images", about, faces
    need("a table in the studio", "studio:pandas")
    import pandas as pd

    return _of_frame(pd.DataFrame(rows, columns=[f"column {k + 1}" for k in range(rows.shape[1])]))


@functools.cache
def _built_in(kind: str) -> Item:
    """Return the built-in data of a kind."""
    source, name = BUILT_IN[kind]
    data = find_source(source, {}).data
    if kind == "images":
        found, content = _of_array(data.X.reshape(-1, *data.shape), name), data.X.tobytes()
    elif kind == "tables":
        found, content = _of_tables(data), data.support_.tobytes()
    elif kind == "graphs":
        found = ("graphs", graphs_in_words(data), data)
        content = b"".join(graph.features.tobytes() + graph.adjacency.tobytes() for graph in data)
    else:
        need("a table in the studio", "studio:pandas")
        import pandas as pd

        frame = pd.DataFrame(data.X, columns=list(DIABETES)).assign(**{data.target: data.y})
        frame["sex"] = frame["sex"].astype(int).astype(str)  # two groups, which nobody names
        found, content = _of_frame(frame), data.X.tobytes()
    return Item(identity(content), name, *found, built_in=True)


def _numbers_of(frame: Any) -> Any:
    """Return the columns of numbers and booleans of a dataframe."""
    return frame.select_dtypes(["number", "bool", "boolean"])


def _model_in_words(model: Any) -> str:
    """Return "PPCA, 576 columns, d = 16"."""
    words = [type(model).__name__]
    for name, noun in (("n_features_in_", "column"), ("n_features_", "feature")):
        if isinstance(n := getattr(model, name, None), int | np.integer):
            words.append(counted(int(n), noun))
            break
    d = getattr(model, "n_components_", None)
    if isinstance(d, int | np.integer):
        words.append(f"d = {d}")
    return ", ".join(words)


def _many(n: int, noun: str) -> str:
    """Return "1 row", "10,000 rows"."""
    return counted(n, noun).replace(str(n), f"{n:,}", 1)


def _ending(name: str) -> str:
    return Path(name.lower().removesuffix(".gz")).suffix


def _fresh(name: str, taken: set[str]) -> str:
    """Return the name, numbered if another item has it."""
    fresh, k = name, 2
    while fresh in taken:
        fresh, k = f"{name} ({k})", k + 1
    return fresh
