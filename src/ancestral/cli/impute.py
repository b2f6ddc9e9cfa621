"""`ancestral impute`: gaps of a table filled by a saved model, or drawn."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ancestral
from ancestral.cli.data import (
    BUILT_IN,
    chosen_of,
    entry_of,
    is_table,
    refuse,
    rows_of,
    table_of,
    take_rows_as_named,
)
from ancestral.cli.given import method_options
from ancestral.cli.large import is_large, shows, source_of, write_answers
from ancestral.cli.outputs import (
    Address,
    RowsPlace,
    ask_for,
    check_places,
    check_report,
    force_option,
    give_rows,
)
from ancestral.cli.reading import Reading, reading_options
from ancestral.cli.terminal import CONTEXT, json_option, say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ancestral.io.columns import Columns


@click.command("impute", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "-o",
    "--output",
    type=RowsPlace(),
    help="A .csv, .tsv, .parquet, .npy or .npz file, or an address. Without it the rows are "
    "printed.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=1),
    help="Write this number of independent draws of the gaps, one table below the "
    "other. The first column, draw, numbers them.",
)
@method_options(n_particles="the number of particles in each of 16 runs.")
@force_option
@reading_options("discrete", "continuous", "mixed", but="--missing")
@click.option(
    "--random-state", type=int, metavar="INT", help="Seed. The same seed gives the same draws."
)
@json_option
def command(
    file: Path,
    data: str,
    *,
    output: Path | Address | None,
    draws: int | None,
    force: bool,
    as_json: bool,
    random_state: int | None,
    **asked: Any,
) -> None:
    """Fill the gaps of DATA by the model in FILE, and write a table of the same kind.

    Empty cells, NA and NaN are gaps. Models of levels fill in the most probable completion of each
    row, models of real numbers the exact conditional mean, a tree the mean of numbers and dates and
    the most probable level. Columns that the model does not know stay as they are.

    A folder of tables, a pattern such as 'rows/*.parquet', an address such as s3://bucket/rows and
    a file beyond memory are read, filled and written part by part. Draws then come part by part
    too, numbered by draw and row.

    \b
    Examples:
      ancestral impute weather.model days.csv -o whole.csv
      ancestral impute weather.model days.csv --draws 20 -o draws.csv
    """
    reading = replace(Reading.taken(asked), missing=True)
    inputs = (file, data)
    ask_for(files=inputs, output=output)
    check_places(output, inputs=inputs, force=force)
    check_report(reading.rejects, output, inputs=inputs, force=force)
    model = ancestral.load(file)
    refuse_without_conditions(model)
    fill = model.impute if draws is None else model.impute_draws
    taken = inspect.signature(fill).parameters
    if draws is None and "random_state" not in taken:
        refuse(model, random_state=random_state)
    refuse(model, **{name: value for name, value in asked.items() if name not in taken})
    options = {name: value for name, value in asked.items() if value is not None}
    if random_state is not None:
        options["random_state"] = random_state
    ways = "filled" if draws is None else f"drawn {draws} times"
    take_rows_as_named()
    if is_large(data):
        from ancestral.streaming import writing

        source = source_of(data, reading, entry_of(model).face, model=model)
        options |= {"n_draws": draws, "verbose": shows(as_json=as_json)}
        answers = writing.imputed(model, source, **options)
        n_gaps, n_rows = write_answers(output, answers, data=data, what="rows", as_json=as_json)
        say(f"{n_gaps} gaps in {n_rows} rows {ways}", err=True)
        return
    if draws is not None:
        options["n_draws"] = draws
    names: Any = getattr(model, "feature_names_in_", None)
    if is_table(data) and reading.key is None:
        whole, n_gaps, n_rows = _of_table(model, data, reading, fill, options)
        frame, names = whole.frame(), whole.names
        rows = whole.array() if frame is None else frame
    else:
        rows, n_gaps, n_rows = _of_array(model, data, reading, fill, options)
    say(f"{n_gaps} gaps in {n_rows} rows {ways}", err=True)
    if getattr(rows, "ndim", 2) == 3 and (output is None or output.suffix not in (".npy", ".npz")):
        rows, names = _numbered(rows, names)
    give_rows(rows, names, output, what="rows", as_json=as_json, key="rows")


def refuse_without_conditions(model: Any) -> None:
    """Refuse a model that cannot say what is unknown, given what is known."""
    from ancestral.conditions import Conditions

    if not isinstance(model, Conditions):
        raise click.UsageError(
            f"{type(model).__name__} fills no gaps: impute takes models of rows. For a target "
            "given inputs, or edges, use predict."
        )


def _of_array(
    model: Any, data: str, reading: Reading, fill: Any, options: dict[str, Any]
) -> tuple[NDArray, int, int]:
    """Return the rows of an array filled, the number of gaps, and of rows that had any."""
    import numpy as np

    from ancestral._checks.containers import as_levels, opened
    from ancestral._checks.missing import missing_mask

    if data in BUILT_IN.values() and not Path(data).exists():
        reading = replace(reading, missing=False)
    rows = rows_of(data, reading, model=model)
    gaps = missing_mask(rows)
    filled = fill(rows, **options)
    if isinstance(filled, list):
        filled = np.stack([as_levels(opened(table, "draw"), "draw") for table in filled])
    return filled, int(gaps.sum()), int(gaps.any(axis=1).sum())


def _of_table(
    model: Any, data: str, reading: Reading, fill: Any, options: dict[str, Any]
) -> tuple[Columns, int, int]:
    """Return a table with the model's columns filled, the others as they are."""
    import numpy as np

    from ancestral.io.columns import Column, Columns

    table = table_of(data, reading, model=model, dates=entry_of(model).face == "mixed")
    wanted = getattr(model, "feature_names_in_", None)
    own = table if wanted is None else chosen_of(data, table, wanted)
    gaps = np.zeros(len(own.columns[0].values), dtype=np.intp)
    for column in own.columns:
        gaps += 0 if column.gaps is None else column.gaps
    frame = None if wanted is None else own.frame()
    found = fill(own.array() if frame is None else frame, **options)
    parts = found if isinstance(found, list) or getattr(found, "ndim", 2) == 3 else [found]
    filled = [_with_filled(table, own, part) for part in parts]
    if "n_draws" not in options:
        whole = filled[0]
    else:
        label = "draw" if "draw" not in table.names else "draw_"
        numbers = np.repeat(np.arange(1, len(filled) + 1), len(gaps))
        columns = [
            Column(np.concatenate([part.columns[k].plain() for part in filled]))
            for k in range(len(table.names))
        ]
        whole = Columns([label, *table.names], [Column(numbers), *columns])
    return whole, int(gaps.sum()), int((gaps > 0).sum())


def _numbered(draws: NDArray, names: Any) -> tuple[NDArray, list[str]]:
    """Return draws of a table one below the other, numbered from 1 in a first column."""
    import numpy as np

    n_draws, n_rows, width = draws.shape
    numbers = np.repeat(np.arange(1, n_draws + 1), n_rows).astype(object)
    rows = np.column_stack([numbers, draws.reshape(-1, width).astype(object)])
    labels = [f"x{k}" for k in range(width)] if names is None else [str(name) for name in names]
    return rows, ["draw" if "draw" not in labels else "draw_", *labels]


def _with_filled(table: Columns, own: Columns, filled: Any) -> Columns:
    """Return a table in which some columns are what a model gave."""
    from ancestral.io.columns import Column, Columns
    from ancestral.io.writing import columns_of

    values = dict(zip(*columns_of(filled, own.names), strict=True))
    columns = [
        Column(values[name], levels=column.levels) if name in values else column
        for name, column in zip(table.names, table.columns, strict=True)
    ]
    return Columns(table.names, columns)
