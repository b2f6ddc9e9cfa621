"""What the command line reads: files by name, or built-in data as @name.

A table's column names travel with it, so that a model fitted to a file knows its columns: other
files are then read by those names, in whatever order they stand.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import click

import ancestral
from ancestral import _catalogue
from ancestral._catalogue import Face
from ancestral.cli.reading import Reading, reading_parameters
from ancestral.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ancestral.io.columns import Columns

# What stands for data of each face where nothing is at hand.
BUILT_IN: dict[Face, str] = {
    "discrete": "@icons",
    "continuous": "@faces",
    "mixed": "@diabetes",
    "graphs": "@classrooms",
    "conditional": "@diabetes",
}
TEXT_ENDINGS = tuple(f"{text}{gz}" for text in (".csv", ".tsv", ".txt") for gz in ("", ".gz"))
TABLE_ENDINGS = (*TEXT_ENDINGS, ".parquet", ".pq")


def entry_of(model: Any) -> _catalogue.Entry:
    """Return what the catalogue says of a model from a file: only its models have files."""
    return cast(_catalogue.Entry, _catalogue.entry_of(model))


def refuse(model: Any, **options: Any) -> None:
    """Refuse options that were given and that this kind of model has no use for."""
    for name, value in options.items():
        if value is not None:
            flag = "-n" if name == "n_samples" else "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} has no use with {type(model).__name__}.")


# ---- what a face reads ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Observed:
    """What a file holds for a model: rows, inputs and targets, or graphs, as `fit` takes them."""

    data: tuple[Any, ...]
    names: list[str] | None = None
    target: str | None = None


def observed(face: Face, data: str, reading: Reading, *, model: Any = None) -> Observed:
    """Return a file's or a built-in set's data; for a fitted `model`, in its own columns."""
    if data in BUILT_IN.values() and not os.path.exists(data) and reading != Reading():
        raise click.UsageError(f"{data} is built in and taken as it is: no options on reading.")
    if face == "graphs":
        return Observed((graphs_of(data, reading),))
    if face == "conditional":
        pairs = pairs_of(data, reading, model=model)
        return Observed((pairs.X, pairs.y), pairs.names, pairs.target)
    rows = {"discrete": discrete_rows_of, "mixed": mixed_rows_of}.get(face, rows_of)
    return Observed((rows(data, reading, model=model),))


def observed_by(model: Any, data: str, reading: Reading) -> Observed:
    """Return data to ask a fitted model about; options that its face has no use for are refused."""
    face = entry_of(model).face
    for flag, faces, _ in reading_parameters():
        name = flag.partition("/")[0].strip("-").replace("-", "_")
        if face not in faces and getattr(reading, name) != getattr(Reading, name):
            refuse(model, **{name: True})
    return observed(face, data, reading, model=model)


@dataclass(frozen=True)
class NamedTable:
    """Rows with column names: a dataframe, or where no library of them is installed an array."""

    values: Any
    names: list[str]

    @classmethod
    def of_numbers(cls, values: NDArray, names: list[str]) -> NamedTable:
        """Return a table of numbers of one type."""
        from ancestral._checks.containers import NamedArray

        try:
            import pandas as pd
        except ImportError:
            return cls(NamedArray.of(values, names), names)
        return cls(pd.DataFrame(values, columns=names), names)

    @classmethod
    def of_columns(cls, table: Columns) -> NamedTable:
        """Return a table of columns of any kind."""
        from ancestral._checks.containers import NamedArray

        values = table.frame()
        if values is None:
            values = NamedArray.of(table.array(), table.names)
        return cls(values, table.names)


def fit_to(model: Any, X: Any, *y: Any, **kept: Any) -> Any:
    """Return the model fitted to rows, their column names kept where they have them."""
    if not isinstance(X, NamedTable):
        return model.fit(X, *y, **kept)
    import numpy as np

    model.fit(X.values, *y, **kept)
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
        return NamedTable.of_numbers(X, names) if model is None else X
    path = _path(data, "rows")
    if path.lower().endswith(TABLE_ENDINGS) and reading.key is None:
        wanted = None if model is None else getattr(model, "feature_names_in_", None)
        try:
            names, table = read_columns(path, missing=reading.missing, **reading.of_table)
        except DataError:
            if wanted is None or reading.rejects is not None:
                raise
            found = _beside_text(path, reading, list(wanted))
            if found is None:
                raise
            return found
        if model is None:
            return NamedTable.of_numbers(table, names)
        return table if wanted is None else _columns(path, names, table, wanted)
    array = ancestral.read_array(path, key=reading.key, missing=reading.missing, **reading.of_table)
    _refuse_colours(array, path)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def _beside_text(path: str, reading: Reading, wanted: list[str]) -> NDArray | None:
    """Return the columns wanted of a table in which others hold text; None where they do not."""
    import numpy as np

    table = table_of(path, reading)
    held = dict(zip(table.names, table.columns, strict=True))
    if not all(name in held and held[name].values.dtype.kind in "if" for name in wanted):
        return None
    return np.column_stack([np.array(held[name].plain(), dtype=np.float64) for name in wanted])


def discrete_rows_of(data: str, reading: Reading, *, model: Any = None) -> Any:
    """Return rows for a model of discrete values; 0 and 255 are refused where 0 and 1 are meant."""
    if is_table(data) and reading.key is None:
        table = table_of(_path(data, "rows"), reading, model=model)
        wanted = None if model is None else getattr(model, "feature_names_in_", None)
        table = table if wanted is None else chosen_of(data, table, wanted)
        _refuse_grey(data, [column.values for column in table.columns], model)
        named = NamedTable.of_columns(table)
        return named if model is None else named.values if wanted is not None else table.array()
    if reading.text is not None:
        raise click.UsageError(f"--text has no use with {data}: it is for tables with names.")
    rows = rows_of(data, reading, model=model)
    _refuse_grey(data, [getattr(rows, "values", rows)], model)
    return rows


def mixed_rows_of(data: str, reading: Reading, *, model: Any = None) -> Any:
    """Return rows of columns of any kind, gaps and dates among them."""
    from ancestral import datasets

    reading = replace(reading, missing=True)
    if data == "@diabetes":
        rows = NamedTable.of_numbers(*datasets.diabetes()[::2])
        return rows if model is None else rows.values
    if not is_table(data) or reading.key is not None:
        if reading.text is not None:
            raise click.UsageError(f"--text has no use with {data}: it is for tables with names.")
        return rows_of(data, reading, model=model)
    table = table_of(_path(data, "rows"), reading, model=model, dates=True)
    wanted = None if model is None else getattr(model, "feature_names_in_", None)
    named = NamedTable.of_columns(table if wanted is None else chosen_of(data, table, wanted))
    return named if model is None else named.values if wanted is not None else table.array()


def is_table(data: str) -> bool:
    """Tell whether a name is that of a table with names."""
    return data.lower().endswith(TABLE_ENDINGS)


def table_of(path: str, reading: Reading, *, model: Any = None, dates: bool = False) -> Columns:
    """Return a table of columns of any kind; those that are text to a fitted model are text."""
    from ancestral.io.mixed import read_mixed

    text = [] if reading.text is None else listed(reading.text)
    return read_mixed(
        path,
        missing=reading.missing,
        text=text,
        levels=_text_columns(model),
        dates=dates,
        **reading.of_table,
    )


def _text_columns(model: Any) -> list[str]:
    """Return the names of the columns that are text to a fitted model of levels, or of a table."""
    from ancestral.streaming.sources.known import Known

    known = None if model is None else Known.of(model)
    return [] if known is None else [n for n, kind in known.kinds.items() if kind == "text"]


def chosen_of(data: str, table: Columns, wanted: Any) -> Columns:
    """Return the model's own columns of a table, in the model's order."""
    return table.chosen(_refuse_absent(data, table.names, wanted))


def _refuse_grey(data: str, columns: list[NDArray], model: Any) -> None:
    """Refuse grey pictures where levels are wanted."""
    if model is not None and any(255 in set(levels) for levels in model.categories_):
        return
    for j, values in enumerate(columns):
        if values.dtype.kind in "uif" and values.size and values.max() == 255:
            place = [int(k[0]) for k in (values == 255).nonzero()]
            i, column = place if len(place) == 2 else (place[0], j)
            raise DataError(
                f"{data}: holds 255 at row {i}, column {column}: grey values up to 255 would be "
                "taken for 256 unordered levels. Make them black and white first: X > 127."
            )


def _refuse_colours(array: NDArray, path: str) -> None:
    """Refuse colour images, whose channels are no further pixels."""
    if array.ndim > 3 or (array.ndim == 3 and array.shape[2] in (3, 4) and array.shape[1] > 4):
        raise DataError(
            f"{path}: has shape {array.shape}, which looks like colour images: convert them to "
            "grey, of shape (n, height, width)."
        )


def _columns(path: str, names: list[str], table: NDArray, wanted: Any) -> NDArray:
    """Return the model's own columns of a table, in the model's order."""
    return table[:, _refuse_absent(path, names, wanted)]


def _refuse_absent(path: str, names: list[str], wanted: Any) -> list[int]:
    """Return the places of the model's columns; refuse a table without one of them."""
    wanted = [str(name) for name in wanted]
    place = {name: k for k, name in enumerate(names)}
    absent = [name for name in wanted if name not in place]
    if absent:
        raise DataError(
            f"{path}: has no column {', '.join(map(repr, absent[:5]))}, which the model was fitted "
            f"to; it has {', '.join(names[:20])}. Rename its columns, or take the right file."
        )
    return [place[name] for name in wanted]


def pairs_of(data: str, reading: Reading, *, model: Any = None) -> Any:
    """Return inputs and target of a file (or the built-in regression data).

    The inputs come as `NamedTable` where columns have names. With a fitted `model`, its columns
    are the inputs; its target, or else the one column left over, is the target.
    """
    from ancestral.io import Pairs, read_columns, read_pairs

    if data == "@diabetes":
        from ancestral import datasets

        inputs, y, names = datasets.diabetes()
        rows: Any = NamedTable.of_numbers(inputs, names) if model is None else inputs
        return Pairs(rows, y, names, "progression")
    path = _path(data, "a target")
    if not path.lower().endswith(TABLE_ENDINGS):
        return _last_column(path, reading)
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is None:
        pairs = read_pairs(path, reading.target, **reading.of_table)
        X: Any = NamedTable.of_numbers(pairs.X, pairs.names) if model is None else pairs.X
        return Pairs(X, pairs.y, pairs.names, pairs.target)
    names, table = read_columns(path, **reading.of_table)
    X = _columns(path, names, table, wanted)
    chosen = target_among(
        path, reading.target, getattr(model, "target_name_", None), names, list(wanted)
    )
    return Pairs(X, table[:, names.index(chosen)], list(wanted), chosen)


def target_among(
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


def _last_column(path: str, reading: Reading) -> Any:
    """Return the pairs of a file without names: its last column is the target."""
    from ancestral._checks.containers import Opened, as_floats
    from ancestral.io import Pairs

    if reading.target is not None:
        raise click.UsageError(f"{path}: has no column names: its last column is the target.")
    array = ancestral.read_array(path, key=reading.key, **reading.of_table)
    if array.ndim != 2 or array.shape[1] < 2:
        raise DataError(
            f"{path}: has shape {array.shape}; inputs and a target are wanted, (n, k + 1), the "
            "target in the last column."
        )
    floats = as_floats(Opened(array, None, len(array)), path).astype(float)
    X, y = floats[:, :-1], floats[:, -1].copy()
    return Pairs(X, y, [], "last column")


def graphs_of(data: str, reading: Reading) -> Any:
    """Return the graphs of a file, of an edge list with a table of nodes, or the built-in ones."""
    from ancestral.io import read_edge_list

    if data == "@classrooms":
        from ancestral import datasets

        return datasets.classrooms()
    chosen: dict[str, Any] = {**reading.capped, **graph_options(reading)}
    path = _path(data, "graphs")
    of_tables = reading.header is not None or reading.unknown is not None or reading.dialect
    if reading.nodes is not None or (of_tables and path.lower().endswith(TABLE_ENDINGS)):
        nodes = None if reading.nodes is None else _path(reading.nodes, "nodes")
        unknown = None if reading.unknown is None else _path(reading.unknown, "unknown pairs")
        chosen |= {"header": reading.header, "unknown": unknown, **reading.dialect}
        return [read_edge_list(path, nodes, **chosen)]
    reading.refuse_text("a file of graphs: it is for edge lists")
    for name in ("header", "unknown"):
        if getattr(reading, name) is not None:
            raise click.UsageError(
                f"--{name} has no use with a file of graphs: it is for edge lists."
            )
    return ancestral.read_graphs(path, **chosen)


def graph_options(reading: Reading) -> dict[str, Any]:
    """Return what the user said of how graphs are read, as readers of graphs take it."""
    chosen: dict[str, Any] = {}
    if reading.attributes is not None:
        chosen["attributes"] = listed(reading.attributes)
    if reading.categorical is not None:
        chosen["categorical"] = listed(reading.categorical)
    if reading.directed is not None:
        chosen["directed"] = True if reading.directed == "yes" else reading.directed
    for name in ("multiple", "loops", "weights", "weight"):
        if getattr(reading, name) is not None:
            chosen[name] = getattr(reading, name)
    return chosen


def listed(names: str) -> list[str]:
    """Return the names in 'Race,Sex'."""
    return [name.strip() for name in names.split(",") if name.strip()]


def _path(data: str, wanted: str) -> str:
    """Return a file name; a built-in set of another kind is refused."""
    if data.startswith("@") and not os.path.exists(data):
        names = BUILT_IN.values()
        known = "not the kind wanted here" if data in names else "not one of the built-in sets"
        raise click.UsageError(f"{data} is {known} ({wanted}); built in: {', '.join(names)}.")
    return data
