"""What the command line reads: files by name, or built-in data as @name.

A table's column names travel with it, so that a model fitted to a file knows its columns: other
files are then read by those names, in whatever order they stand.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

import ancestral
from ancestral.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUILT_IN = ("@icons", "@faces", "@classrooms", "@diabetes")
TABLE_ENDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet", ".pq")


@dataclass(frozen=True)
class Reading:
    """How files are read: which array of several, NaN allowed or not, the cap on expanding.

    For graphs: the table of nodes that belongs to an edge list, and which of their attributes are
    features, and which of these are groups.
    """

    key: str | None = None
    missing: bool = False
    max_bytes: int | None = None
    nodes: str | None = None
    attributes: str | None = None
    categorical: str | None = None

    @property
    def capped(self) -> dict[str, Any]:
        """The cap, where the user gave one."""
        return {} if self.max_bytes is None else {"max_bytes": self.max_bytes}


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `Reading` to a command."""
    for option in reversed(reading_parameters()):
        command = click.option(*option[0], **option[1])(command)
    return command


def reading_parameters() -> list[tuple[list[str], dict[str, Any]]]:
    """Return the names and settings of the options of `Reading`."""
    return [
        (["--key"], {"help": "Which array, where an .npz or pickle holds several."}),
        (["--missing"], {"is_flag": True, "help": "NaN and empty cells stand for missing values."}),
        (
            ["--max-bytes"],
            {"type": click.IntRange(min=1), "help": "Read files that expand up to so many bytes."},
        ),
    ]


def graph_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `Reading` that graphs alone have to a command."""
    for option in reversed(graph_parameters()):
        command = click.option(*option[0], **option[1])(command)
    return command


def graph_parameters() -> list[tuple[list[str], dict[str, Any]]]:
    """Return the names and settings of the options that graphs alone have."""
    return [
        (
            ["--nodes"],
            {"help": "Graphs: DATA is an edge list (.csv), and this the .csv of its nodes."},
        ),
        (
            ["--attributes"],
            {"help": "Graphs: which node attributes are features, as in age,Sex. Default: all."},
        ),
        (["--categorical"], {"help": "Graphs: which of these are groups, as in Race,Sex."}),
    ]


@dataclass(frozen=True)
class NamedTable:
    """Rows with column names."""

    values: NDArray
    names: list[str]


def fit_to(model: Any, X: Any, *y: Any, **kept: Any) -> Any:
    """Return the model fitted to rows, their column names kept where they have them."""
    if not isinstance(X, NamedTable):
        return model.fit(X, *y, **kept)
    import numpy as np

    try:
        import pandas as pd
    except ImportError:  # only warnings of the fit go without the names then
        rows: Any = X.values
    else:
        rows = pd.DataFrame(X.values, columns=X.names)
    model.fit(rows, *y, **kept)
    model._remember(feature_names_in_=np.array(X.names, dtype=object))
    return model


def take_rows_as_named() -> None:
    """Silence scikit-learn on arrays without names: their columns were matched by name here."""
    warnings.filterwarnings("ignore", message="X does not have valid feature names")


def rows_of(data: str, reading: Reading, *, model: Any = None) -> Any:
    """Return a file's array (or built-in data) as rows; grey images are flattened.

    A table comes as `NamedTable`; with a fitted `model`, in the order of the model's own columns.
    """
    from ancestral import datasets
    from ancestral.io import read_columns

    if data == "@icons":
        return datasets.icons()[0]
    if data == "@faces":
        return datasets.faces()
    if data == "@diabetes":
        X, _, names = datasets.diabetes()
        return NamedTable(X, names) if model is None else X
    path = _path(data, "rows")
    if path.lower().endswith(TABLE_ENDINGS) and reading.key is None:
        names, table = read_columns(path, missing=reading.missing, **reading.capped)
        if model is None:
            return NamedTable(table, names)
        wanted = getattr(model, "feature_names_in_", None)
        return table if wanted is None else _columns(path, names, table, wanted)
    array = ancestral.read_array(path, key=reading.key, missing=reading.missing, **reading.capped)
    _refuse_colours(array, path)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def discrete_rows_of(data: str, reading: Reading, *, model: Any = None) -> Any:
    """Return rows for a model of discrete values; 0 and 255 are refused where 0 and 1 are meant."""
    rows = rows_of(data, reading, model=model)
    values = getattr(rows, "values", rows)
    knows = model is not None and any(255 in set(levels) for levels in model.categories_)
    if values.dtype.kind in "uif" and not knows and values.max() == 255:
        i, j = (int(k[0]) for k in (values == 255).nonzero())
        raise DataError(
            f"{data}: holds 255 at row {i}, column {j}: grey values up to 255 would be taken for "
            "256 unordered levels. Make them black and white first: X > 127."
        )
    return rows


def _refuse_colours(array: NDArray, path: str) -> None:
    """Refuse colour images, whose channels are no further pixels."""
    if array.ndim > 3 or (array.ndim == 3 and array.shape[2] in (3, 4) and array.shape[1] > 4):
        raise DataError(
            f"{path}: has shape {array.shape}, which looks like colour images: convert them to "
            "grey, of shape (n, height, width)."
        )


def _columns(path: str, names: list[str], table: NDArray, wanted: Any) -> NDArray:
    """Return the model's own columns of a table, in the model's order."""
    wanted = [str(name) for name in wanted]
    place = {name: k for k, name in enumerate(names)}
    absent = [name for name in wanted if name not in place]
    if absent:
        raise DataError(
            f"{path}: has no column {', '.join(map(repr, absent[:5]))}, which the model was fitted "
            f"to; it has {', '.join(names[:20])}. Rename its columns, or take the right file."
        )
    return table[:, [place[name] for name in wanted]]


def pairs_of(data: str, target: str | None, reading: Reading, *, model: Any = None) -> Any:
    """Return inputs and target of a file (or the built-in regression data).

    The inputs come as `NamedTable` where columns have names. With a fitted `model`, its columns
    are the inputs; its target, or else the one column left over, is the target.
    """
    from ancestral.io import Pairs, read_columns, read_pairs

    if data == "@diabetes":
        from ancestral import datasets

        if target is not None:
            raise click.UsageError("--target has no use with @diabetes.")
        inputs, y, names = datasets.diabetes()
        rows: Any = NamedTable(inputs, names) if model is None else inputs
        return Pairs(rows, y, names, "progression")
    path = _path(data, "a target")
    if not path.lower().endswith(TABLE_ENDINGS):
        return _last_column(path, target, reading)
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is None:
        pairs = read_pairs(path, target, **reading.capped)
        X: Any = NamedTable(pairs.X, pairs.names) if model is None else pairs.X
        return Pairs(X, pairs.y, pairs.names, pairs.target)
    names, table = read_columns(path, **reading.capped)
    X = _columns(path, names, table, wanted)
    chosen = _target(path, target, getattr(model, "target_name_", None), names, list(wanted))
    return Pairs(X, table[:, names.index(chosen)], list(wanted), chosen)


def _target(
    path: str, asked: str | None, learnt: str | None, names: list[str], inputs: list[str]
) -> str:
    """Return the target's column: the one asked for, the model's own, or the only one left."""
    taken = set(inputs)
    left = [name for name in names if name not in taken]
    if asked is not None:
        if asked not in left:
            why = "an input of the model" if asked in inputs else "not in the file"
            raise DataError(f"{path}: {asked!r} is {why}; its other columns: {', '.join(left)}.")
        return asked
    if learnt in left:
        return str(learnt)
    if len(left) == 1 and learnt is None:
        return left[0]
    missing = "" if learnt is None else f"the model's target {learnt!r} is not in it; "
    raise DataError(
        f"{path}: {missing}columns besides the inputs: {', '.join(left) or 'none'}. "
        "Say which with --target."
    )


def _last_column(path: str, target: str | None, reading: Reading) -> Any:
    """Return the pairs of a file without names: its last column is the target."""
    from ancestral._containers import Opened, as_floats
    from ancestral.io import Pairs

    if target is not None:
        raise click.UsageError(f"{path}: has no column names: its last column is the target.")
    array = ancestral.read_array(path, key=reading.key, **reading.capped)
    if array.ndim != 2 or array.shape[1] < 2:
        raise DataError(
            f"{path}: has shape {array.shape}; inputs and a target are wanted, (n, k + 1), the "
            "target in the last column."
        )
    floats = as_floats(Opened(array, None, len(array)), path).astype(float)
    X, y = floats[:, :-1], floats[:, -1].copy()
    return Pairs(X, y, [], "last column")


def inputs_of(data: str, model: Any, reading: Reading) -> Any:
    """Return inputs for a regression model; a table may hold its target, too."""
    return rows_of(data, reading, model=model)


def graphs_of(data: str, reading: Reading) -> Any:
    """Return the graphs of a file, of an edge list with a table of nodes, or the built-in ones."""
    from ancestral.io import read_edge_list

    if reading.key is not None or reading.missing:
        flag = "--missing" if reading.key is None else "--key"
        raise click.UsageError(f"{flag} has no use with graphs.")
    chosen: dict[str, Any] = dict(reading.capped)
    if reading.attributes is not None:
        chosen["attributes"] = _listed(reading.attributes)
    if reading.categorical is not None:
        chosen["categorical"] = _listed(reading.categorical)
    if data == "@classrooms":
        from ancestral import datasets

        if chosen or reading.nodes:
            raise click.UsageError("@classrooms are taken as they are: no options on reading.")
        return datasets.classrooms()
    path = _path(data, "graphs")
    if reading.nodes is not None:
        return [read_edge_list(path, _path(reading.nodes, "nodes"), **chosen)]
    if path.lower().endswith(TABLE_ENDINGS):
        raise click.UsageError(f"{path} is an edge list: name the table of its nodes with --nodes.")
    return ancestral.read_graphs(path, **chosen)


def _listed(names: str) -> list[str]:
    """Return the names in 'Race,Sex'."""
    return [name.strip() for name in names.split(",") if name.strip()]


def _path(data: str, wanted: str) -> str:
    """Return a file name; a built-in set of another kind is refused."""
    if data.startswith("@") and not os.path.exists(data):
        known = "not the kind wanted here" if data in BUILT_IN else "not one of the built-in sets"
        raise click.UsageError(f"{data} is {known} ({wanted}); built in: {', '.join(BUILT_IN)}.")
    return data


def is_of_graphs(model: Any) -> bool:
    """Tell whether a model is one of graphs."""
    return type(model).__name__ in ("InnerProductGraph", "LatentPositionGraph")


def is_conditional(model: Any) -> bool:
    """Tell whether a model is one of y given X."""
    return hasattr(model, "predict")
