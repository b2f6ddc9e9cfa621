"""`ancestral score`: the exact log density of data under a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import ancestral
from ancestral.cli.data import (
    Reading,
    entry_of,
    observed_by,
    reading_options,
    refuse,
    take_rows_as_named,
)
from ancestral.cli.facts import left_out_of, scores_of, scores_of_levels, units_of
from ancestral.cli.outputs import ask_for, check_places, check_report, force_option, write_rows
from ancestral.cli.terminal import CONTEXT, json_option, show
from ancestral.errors import DataError


@click.command("score", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="One log density per row, in a .csv, .npy, .npz or .parquet file.",
)
@click.option(
    "--leave-one-out",
    is_flag=True,
    help="Fit the model anew without each row in turn, and say whether it generalises.",
)
@force_option
@reading_options("discrete", "continuous", "conditional", "graphs")
@json_option
def command(
    file: Path,
    data: str,
    *,
    output: Path | None,
    leave_one_out: bool,
    force: bool,
    as_json: bool,
    **read: Any,
) -> None:
    """Print the exact log density, in nats, of DATA under the model in FILE.

    For discrete models beside it: bits per dimension, the entropy of DATA (no model's mean loss is
    below it), the distance to it (KL), and the probability the model gives to the rows of DATA.

    \b
    Example:
      ancestral score letters.model images.npy
    """
    reading = Reading.taken(read)
    inputs = (file, data, reading.nodes)
    ask_for(files=(*inputs, output))
    check_places(output, inputs=inputs, force=force)
    check_report(reading.rejects, output, inputs=inputs, force=force)
    model = ancestral.load(file)
    face = entry_of(model).face
    discrete = face == "discrete"
    if not discrete:
        refuse(model, leave_one_out=leave_one_out or None)
    if leave_one_out:
        ask_for(*model._wants(), files=())
    take_rows_as_named()
    seen = observed_by(model, data, reading)
    values = model.log_density(*seen.data)
    if len(values) == 0:
        raise DataError(f"{data}: holds nothing to score.")
    if output is not None:
        write_rows(output, values, ["log_density"])
    facts = scores_of(values)
    if discrete:
        facts |= scores_of_levels(model, seen.data[0], values)
    if leave_one_out:
        facts |= left_out_of(model, seen.data[0])
    show(facts, as_json=as_json, units=units_of(face))
