"""`ancestral score`: the exact log density of data under a saved model."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import click

import ancestral
from ancestral.cli.data import (
    entry_of,
    observed_by,
    refuse,
    take_rows_as_named,
)
from ancestral.cli.facts import (
    left_out_of,
    odd_cells,
    scores_of,
    scores_of_levels,
    units_of,
)
from ancestral.cli.large import Tally, is_large, refuse_of_parts, scored, shows, write_answers
from ancestral.cli.outputs import (
    Address,
    RowsPlace,
    ask_for,
    check_places,
    check_report,
    force_option,
    write_rows,
)
from ancestral.cli.reading import Reading, reading_options
from ancestral.cli.terminal import CONTEXT, json_option, print_table, show
from ancestral.errors import DataError


@click.command("score", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "-o",
    "--output",
    type=RowsPlace(),
    help="One log density per row, in a .csv, .npy, .npz or .parquet file, or at an address; with "
    "--surprise one surprise per cell.",
)
@click.option(
    "--leave-one-out",
    is_flag=True,
    help="Fit the model again without each row in turn, and tell whether it generalises.",
)
@click.option(
    "--surprise",
    is_flag=True,
    help="Print how surprising each cell is given the rest of its row: -log p of each, in nats.",
)
@force_option
@reading_options("discrete", "continuous", "mixed", "conditional", "graphs")
@json_option
def command(
    file: Path,
    data: str,
    *,
    output: Path | Address | None,
    leave_one_out: bool,
    surprise: bool,
    force: bool,
    as_json: bool,
    **read: Any,
) -> None:
    """Print the exact log density, in nats, of DATA under the model in FILE.

    For discrete models also: bits per dimension, the entropy of DATA (the lowest possible mean
    loss), the difference to it (KL divergence), and the total probability of the rows of DATA.

    A folder of tables, a pattern such as 'rows/*.parquet', an address such as s3://bucket/rows and
    a file larger than memory are read part by part. Only their log densities are given, and written
    part by part.

    \b
    Examples:
      ancestral score letters.model images.npy
      ancestral score houses.model houses.csv --surprise
    """
    reading = Reading.taken(read)
    inputs = (file, data, reading.nodes)
    ask_for(files=inputs, output=output)
    check_places(output, inputs=inputs, force=force)
    check_report(reading.rejects, output, inputs=inputs, force=force)
    model = ancestral.load(file)
    face = entry_of(model).face
    discrete = face == "discrete"
    if not discrete:
        refuse(model, leave_one_out=leave_one_out or None)
    if surprise and face != "mixed":
        raise click.UsageError(
            f"--surprise has no use with {type(model).__name__}: it is for LatentTree "
            "(ancestral fit tree)."
        )
    if leave_one_out:
        ask_for(*model._wants(), files=())
    take_rows_as_named()
    if is_large(data):
        refuse_of_parts(data, surprise=surprise, leave_one_out=leave_one_out)
        tally = Tally()
        answers = tally.of(scored(model, data, reading, verbose=shows(as_json=as_json)))
        if output is None:
            deque(answers, 0)
        else:
            write_answers(output, answers, data=data)
        show(tally.facts(), as_json=as_json, units=units_of(face))
        return
    seen = observed_by(model, data, reading)
    values = model.log_density(*seen.data)
    if len(values) == 0:
        raise DataError(f"{data}: holds nothing to score.")
    facts = scores_of(values)
    if surprise:
        found = model.surprise(seen.data[0])
        if output is not None:
            write_rows(output, found, getattr(model, "feature_names_in_", None))
        facts["odd_cells"] = odd_cells(model, seen.data[0], found)
    elif output is not None:
        write_rows(output, values, ["log_density"])
    if discrete:
        facts |= scores_of_levels(model, seen.data[0], values)
    if leave_one_out:
        facts |= left_out_of(model, seen.data[0])
    cells = [] if as_json else facts.pop("odd_cells", [])
    show(facts, as_json=as_json, units=units_of(face))
    if cells:
        print_table({name: [cell[name] for cell in cells] for name in cells[0]})
