"""Which data a report is made from: the user's files, built-in data where they lack."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._files import as_path, entries_of
from ancestral.errors import AncestralError, DataError
from ancestral.io import Pairs, read_pairs

TABLES = ("image_cpts.pkl.gz", "image_cpts.pkl", "*cpt*.pkl*", "*table*.pkl*")
FACES = ("eigenfaces.npy", "eigenfaces.npy.gz", "*face*.np[yz]*", "*image*.np[yz]*", "*.np[yz]*")
GRAPHS = (
    "classroom_graphs.pkl",
    "classroom_graphs.pkl.gz",
    "*graph*.pkl*",
    "*graph*.npz",
    "*.graphml*",
)
PAIRS = ("*.csv", "*.csv.gz", "*.parquet")
LEAST_FACES = 4  # a split into training and held-out images, and two latents
KINDS = ("tables", "faces", "graphs", "regression", "line")


@dataclass(frozen=True)
class Source:
    """Data, and where they come from.

    `origin` is a file name or "built-in"; `sentence` describes the data in words.
    """

    origin: str
    sentence: str
    data: Any

    def described(self) -> dict[str, Any]:
        """Return origin and sentence for report.json."""
        built_in = self.origin == "built-in"
        return {"origin": self.origin, "built_in": built_in, "sentence": self.sentence}


@dataclass(frozen=True)
class Faces:
    """Grey images as rows of X, their (height, width), and the range drawn black to white."""

    X: NDArray[np.float64]
    shape: tuple[int, int]
    grey_range: tuple[float, float]


@dataclass(frozen=True)
class Sources:
    """What each problem is answered on: tables (a TabularAutoregressive), Faces, graphs, Pairs."""

    tables: Source
    faces: Source
    graphs: Source
    regression: Source
    line: Source

    def described(self) -> dict[str, Any]:
        """Return origins and sentences for report.json."""
        return {name: source.described() for name, source in vars(self).items()}


def find_sources(folder: Path | None, *, target: str | None = None) -> Sources:
    """Return the data of a folder, and built-in data for what it lacks.

    Parameters
    ----------
    folder : Path or None
        None takes built-in data throughout.
    target : str, optional
        The target's column of the folder's table; as `read_pairs` chooses it by default.

    Raises
    ------
    FormatError
        When there is no such folder, or one of its files is damaged.
    DataError
        When it has none of the files that are looked for.
    """
    files: dict[str, Path] = {} if folder is None else find_files(as_path(folder))
    if target is not None and "regression" not in files:
        raise DataError(f"target={target!r} needs a table with that column in the folder.")
    return Sources(**{kind: find_source(kind, files, target=target) for kind in KINDS})


def find_source(kind: str, files: dict[str, Path], *, target: str | None = None) -> Source:
    """Return the data of one kind: from its file, or built in where there is none.

    Parameters
    ----------
    kind : {"tables", "faces", "graphs", "regression", "line"}
    files : dict of Path
        As `find_files` returns it.
    target : str, optional
        The target's column of a table.

    Raises
    ------
    FormatError
        When the file is damaged.
    MissingExtraError
        When the built-in data need a package that is absent.
    """
    if kind in ("regression", "line") and "regression" in files:
        pairs = _read_pairs(files["regression"], target)
        return _one_input(pairs) if kind == "line" else pairs
    if kind == "line":
        return _line()
    read, built_in = _READERS[kind]
    return read(files[kind]) if kind in files else built_in()


def find_files(folder: Path) -> dict[str, Path]:
    """Return the file of each kind that a folder has, by name; the first pattern that matches wins.

    Raises
    ------
    FormatError
        When there is no such folder.
    DataError
        When it has none of the files that are looked for.
    """
    entries_of(folder)  # a closed one holds nothing that is seen
    wanted = {"graphs": GRAPHS, "tables": TABLES, "faces": FACES, "regression": PAIRS}
    found: dict[str, Path] = {}
    for kind, patterns in wanted.items():
        matches = [p for pattern in patterns for p in sorted(folder.glob(pattern))]
        fresh = [p for p in matches if os.path.isfile(p) and p not in found.values()]
        if fresh:
            found[kind] = fresh[0]
    if not found:
        raise DataError(
            f"{folder}: holds none of the files that are looked for: image_cpts.pkl.gz (tables), "
            "eigenfaces.npy (images), classroom_graphs.pkl (graphs), or a .csv with a target "
            "column. Leave the folder out to use built-in data."
        )
    return found


# ---- the user's files ---------------------------------------------------------------------------


def _read_tables(path: Path) -> Source:
    from ancestral import TabularAutoregressive, read_tables

    model = TabularAutoregressive.from_tables(read_tables(path))
    sentence = f"conditional probability tables of {model.n_features_in_} variables"
    return Source(path.name, sentence, model)


def _read_faces(path: Path) -> Source:
    from ancestral import read_array

    faces = as_faces(read_array(path), str(path))
    n, (height, width) = len(faces.X), faces.shape
    if n < LEAST_FACES:
        raise DataError(f"{path}: holds {n} images; {LEAST_FACES} or more are needed.")
    if (faces.X[0] == faces.X).all():
        raise DataError(f"{path}: all its {n} images are the same: there is nothing to learn.")
    sentence = f"{n} grey images of {height} by {width} pixels"
    return Source(path.name, sentence, faces)


def as_faces(images: NDArray, name: str) -> Faces:
    """Return images, (n, height, width) or (n, pixels) where they are square, as `Faces`.

    Raises
    ------
    DataError
        Naming them, where their shape is no images', or a value is missing.
    """
    if images.ndim == 2:
        side = round(images.shape[1] ** 0.5)
        if side * side != images.shape[1]:
            raise DataError(
                f"{name}: its rows have {images.shape[1]} values, which is no square image. "
                "Save an array of shape (n, height, width)."
            )
        images = images.reshape(len(images), side, side)
    if images.ndim != 3:
        raise DataError(
            f"{name}: has shape {images.shape}; images are (n, height, width) or (n, pixels)."
        )
    n, height, width = images.shape
    X = images.reshape(n, height * width).astype(np.float64)
    if np.isnan(X).any():
        raise DataError(
            f"{name}: {counted(int(np.isnan(X).sum()), 'pixel')} of its images are missing (NaN). "
            "Fill them, or drop those images."
        )
    return Faces(X, (height, width), _grey_range(X))


def _grey_range(X: NDArray[np.float64]) -> tuple[float, float]:
    """Return what is drawn black and white: 0 to 1, 0 to 255, or else the extremes."""
    low, high = float(X.min()), float(X.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and 1 < high <= 255:
        return 0.0, 255.0
    return low, high


def _read_graphs(path: Path) -> Source:
    from ancestral import InnerProductGraph, read_graphs

    graphs = read_graphs(path)
    try:
        InnerProductGraph().fit(graphs)  # separable or edgeless graphs are refused now, by name
    except AncestralError as error:
        raise type(error)(f"{path}: {error}") from None
    return Source(path.name, graphs_in_words(graphs), graphs)


def graphs_in_words(graphs: list[Any]) -> str:
    """Return "100 graphs of 15 nodes with 3 features each"."""
    nodes = sorted({graph.n_nodes for graph in graphs})
    size = f"{nodes[-1]:,} node" + "s" * (nodes[-1] != 1)
    if len(nodes) > 1:
        size = f"{nodes[0]:,} to {size}"
    width = graphs[0].features.shape[1]
    features = f"with {counted(width, 'feature')} each" if width else "without features"
    return f"{counted(len(graphs), 'graph')} of {size} {features}"


def counted(n: int, noun: str) -> str:
    """Return "1 graph", "2 graphs"."""
    return f"{n} {noun}" + "s" * (n != 1)


def _read_pairs(path: Path, target: str | None = None) -> Source:
    pairs = read_pairs(path, target)
    if np.ptp(pairs.y) == 0:
        raise DataError(
            f"{path}: its target {pairs.target!r} is constant ({pairs.y[0]:g}): nothing to fit. "
            "Name another column as the target."
        )
    sentence = f"{len(pairs.y)} rows; target “{pairs.target}”, {counted(len(pairs.names), 'input')}"
    return Source(path.name, sentence, pairs)


def _one_input(source: Source) -> Source:
    """Return the input that is most correlated with the target, for the one-input figure."""
    pairs = source.data
    X, y = pairs.X - pairs.X.mean(axis=0), pairs.y - pairs.y.mean()
    spread = np.sqrt((X**2).sum(axis=0))
    correlation = np.abs(X.T @ y) / np.where(spread > 0, spread, np.inf)
    best = int(correlation.argmax())
    sentence = f"The input “{pairs.names[best]}” of {source.origin}."
    data = Pairs(pairs.X[:, [best]], pairs.y, [pairs.names[best]], pairs.target)
    return Source(source.origin, sentence, data)


# ---- built-in data ------------------------------------------------------------------------------


def _built_in_tables() -> Source:
    from ancestral import TabularAutoregressive, datasets

    images, _ = datasets.icons()
    sentence = f"{len(images)} hand-drawn icons of 5 by 5 pixels, each equally likely"
    return Source("built-in", sentence, TabularAutoregressive().fit(images))


def _built_in_faces() -> Source:
    from ancestral import datasets

    X = datasets.faces()
    sentence = (
        f"{len(X)} grey photographs of 24 by 24 pixels, scikit-image's subset of Labeled Faces in "
        "the Wild (Huang et al., 2007)"
    )
    return Source("built-in", sentence, Faces(X, (24, 24), (0.0, 1.0)))


def _built_in_graphs() -> Source:
    from ancestral import datasets

    graphs = datasets.classrooms()
    sentence = f"{graphs_in_words(graphs)}, simulated with a = 5.5 and b = −5.4"
    return Source("built-in", sentence, graphs)


def _built_in_pairs() -> Source:
    from ancestral import datasets

    X, y, names = datasets.diabetes()
    sentence = f"scikit-learn's diabetes data, {len(y)} patients (Efron et al., 2004)"
    return Source("built-in", sentence, Pairs(X, y, names, "disease progression"))


def _line() -> Source:
    from ancestral import datasets

    X, y, _ = datasets.line()
    sentence = "One column of the diabetes data: disease progression by body mass index (kg/m²)."
    pairs = Pairs(X, y, ["body mass index (kg/m²)"], "disease progression")
    return Source("built-in", sentence, pairs)


_READERS: dict[str, tuple[Callable[[Path], Source], Callable[[], Source]]] = {
    "tables": (_read_tables, _built_in_tables),
    "faces": (_read_faces, _built_in_faces),
    "graphs": (_read_graphs, _built_in_graphs),
    "regression": (_read_pairs, _built_in_pairs),
}
