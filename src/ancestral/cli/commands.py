"""The command line: parse, call, print.

Data go to stdout (as JSON with --json), messages to stderr. Exit codes: 0 done, 1 an error said in
one line, 2 wrong usage, 130 interrupted. Here are the commands' names; the file of that name beside
this one holds each, as `command`, and is read when it is called for. Everything heavy is imported
inside the commands, so that `ancestral --help` answers at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

import ancestral
from ancestral.cli import terminal

COMMANDS = {
    "report": "Answer the assignment; write PDF, HTML and zip.",
    "fit": "Fit a model to data and save it.",
    "sample": "Draw from a saved model.",
    "score": "Print the exact log density of data under a model.",
    "impute": "Fill the gaps of a table, or draw them.",
    "predict": "Predict y given inputs, or edges.",
    "compare": "Compare models on the same held-out data.",
    "inspect": "Show what is in a model file.",
    "bench": "Score public benchmarks.",
    "studio": "Change the models by hand in a browser.",
}


class _Commands(click.Group):
    """Reads the file of a command when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"ancestral.cli.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings=terminal.CONTEXT)
@click.version_option(ancestral.__version__, prog_name="ancestral")
def cli() -> None:
    """Generative models whose probability you can write down.

    Fitted by maximum likelihood, scored exactly, sampled parents first.

    \b
    Example:
      ancestral report
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; never a traceback for what a user can mend."""
    with terminal.warnings_in_one_line():
        code = terminal.exit_code_of(
            lambda: _run(sys.argv[1:] if arguments is None else list(arguments)),
            ends_process=arguments is None,
        )
    sys.exit(code)


def _run(arguments: list[str]) -> Any:
    """Run as `cli.main` does, which would answer Ctrl+C by an empty line of its own."""
    if wanted := os.environ.get("_ANCESTRAL_COMPLETE"):
        return shell_complete(cli, {}, "ancestral", "_ANCESTRAL_COMPLETE", wanted)
    with cli.make_context("ancestral", arguments) as context:
        return cli.invoke(context)
