"""`ancestral inspect`: what is in a model file."""

from __future__ import annotations

from pathlib import Path

import click

import ancestral
from ancestral.cli.facts import facts_of, learnt
from ancestral.cli.terminal import CONTEXT, json_option, show


@click.command("inspect", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def command(file: Path, *, as_json: bool) -> None:
    """Print what the model in FILE is: class, parameters, size, what it learnt.

    \b
    Example:
      ancestral inspect letters.model
    """
    model = ancestral.load(file)
    show({"file": str(file), **facts_of(model), "learnt": learnt(model)}, as_json=as_json)
