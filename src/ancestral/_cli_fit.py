"""`ancestral fit`: one command per model, its options made from the model's own parameters."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import click

import ancestral
from ancestral._cli_data import (
    Reading,
    discrete_rows_of,
    fit_to,
    graph_parameters,
    graphs_of,
    pairs_of,
    reading_parameters,
    rows_of,
)
from ancestral._cli_facts import facts_of
from ancestral._cli_places import FORCE, check_places
from ancestral._cli_terminal import show

MODELS = {  # what users type: the class, and what it is
    "tabular": ("TabularAutoregressive", "conditional probability tables of discrete rows"),
    "lstm": ("LSTMAutoregressive", "LSTM over discrete rows, e.g. black and white images"),
    "ppca": ("PPCA", "probabilistic principal component analysis of real rows"),
    "linear": ("LinearGaussian", "linear regression with Gaussian noise"),
    "graph": ("InnerProductGraph", "graphs whose edges follow node features"),
}
_NOT_KEPT = "nothing was saved. With --checkpoint FOLDER a training can be stopped and resumed."
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _FitGroup(click.Group):
    """One command per model, made from the model's own parameters when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODELS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        plain = cmd_name.lower().replace("-", "").replace("_", "")
        for short, (name, _) in MODELS.items():
            if plain in (short, name.lower()):
                return _fit_command(short)
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no model {args[0]!r}; there are {', '.join(MODELS)}.", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Models"):
            formatter.write_dl([(short, about) for short, (_, about) in MODELS.items()])


@click.group(
    cls=_FitGroup,
    context_settings=CONTEXT,
    options_metavar="",
    subcommand_metavar="MODEL DATA -o FILE [OPTIONS]",
    short_help="Fit a model to data and save it.",
)
def fit() -> None:
    """Fit a model to data by maximum likelihood and save it.

    DATA is a file, gzipped or not: rows in .npy, .npz, .csv, .parquet or .pkl (linear: the target
    is the column named y or target, or the second of two; else name it with --target), tables in
    .pkl (tabular, lstm), graphs in .pkl, .npz or .graphml, or an edge list with --nodes (graph); or
    built-in: @icons, @faces, @classrooms, @diabetes.

    `ancestral fit MODEL --help` lists the model's own parameters.

    \b
    Example:
      ancestral fit ppca @faces --n-components 16 -o faces.model
    """


def _fit_command(short: str) -> click.Command:
    """Return the command that fits one model, its parameters as options."""
    name, about = MODELS[short]
    cls = getattr(ancestral, name)
    is_conditional = hasattr(cls, "predict")
    parameters = inspect.signature(cls).parameters.values()
    options: list[click.Parameter] = [
        click.Argument(["data"]),
        click.Option(
            ["-o", "--output"], required=True, type=click.Path(path_type=Path), help="Model file."
        ),
        click.Option(["--force"], **FORCE),
    ]
    if is_conditional:
        options.append(
            click.Option(
                ["--target"],
                help="The target's column. Default: y or target, or the second of two.",
            )
        )
    for names, settings in reading_parameters():
        useful = {"--missing": short == "ppca", "--key": short != "graph"}
        if useful.get(names[0], True):
            options.append(click.Option(names, **settings))
    resumable = "checkpoint" in inspect.signature(cls.fit).parameters
    if resumable:
        options += _checkpoint_options()
    if short == "graph":
        options += [click.Option(names, **settings) for names, settings in graph_parameters()]
    helps = _helps(cls)
    options += [_option_of(parameter, helps.get(parameter.name)) for parameter in parameters]
    options.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout."))

    def run(
        *,
        data: str,
        output: Path,
        as_json: bool,
        force: bool,
        target: str | None = None,
        key: str | None = None,
        missing: bool = False,
        max_bytes: int | None = None,
        checkpoint: Path | None = None,
        checkpoint_every: int | None = None,
        nodes: str | None = None,
        attributes: str | None = None,
        categorical: str | None = None,
        **given: Any,
    ) -> None:
        from ancestral.model_file import is_model_file

        inputs = (data, nodes)  # checked before the training, not after
        check_places(output, inputs=inputs, force=force, replaces=is_model_file)
        if "verbose" in given and not as_json and given["verbose"] is False:
            given["verbose"] = sys.stderr.isatty()
        if checkpoint_every is not None and checkpoint is None:
            raise click.UsageError("--checkpoint-every has no use without --checkpoint.")
        kept = {"checkpoint": checkpoint, "checkpoint_every": checkpoint_every}
        kept = {name: value for name, value in kept.items() if value is not None}
        read = Reading(key, missing, max_bytes, nodes, attributes, categorical)
        try:
            model = _fitted(cls(**given), data, target, read, kept)
        except KeyboardInterrupt as stopped:
            if resumable and not kept:
                raise KeyboardInterrupt(_NOT_KEPT) from stopped
            raise
        model.save(output)
        facts = {"file": str(output), **facts_of(model)}
        show(facts, as_json=as_json)

    example = {"tabular": "@icons", "lstm": "@icons", "graph": "@classrooms"}.get(short)
    example = example or ("@diabetes" if is_conditional else "@faces")
    text = (
        f"Fit {name}: {about}.\n\n\b\nExample:\n  ancestral fit {short} {example} -o {short}.model"
    )
    return click.Command(short, params=options, callback=run, help=text, context_settings=CONTEXT)


def _checkpoint_options() -> list[click.Parameter]:
    """Return the options of a training that can be stopped and taken up again."""
    return [
        click.Option(
            ["--checkpoint"],
            metavar="FOLDER",
            type=click.Path(path_type=Path),
            help="Save the training in FOLDER, and go on from what is there. Ctrl-C stops it so.",
        ),
        click.Option(
            ["--checkpoint-every"],
            type=click.IntRange(min=1),
            help="Steps between two checkpoints.  [default: 50]",
        ),
    ]


def _helps(cls: Any) -> dict[str, str]:
    """Return the first sentence on each parameter, from the class's docstring."""
    text = inspect.getdoc(cls) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", text, re.S)
    entries = re.findall(r"^(\w+) : .*\n((?:    .*\n?|\n)*)", section[1] if section else "", re.M)
    return {
        name: re.split(r"(?<=\.)\s", " ".join(about.split()), maxsplit=1)[0].replace("`", "")
        for name, about in entries
    }


def _option_of(parameter: inspect.Parameter, about: str | None) -> click.Option:
    """Return a model's parameter as an option, under scikit-learn's name."""
    flag = "--" + parameter.name.replace("_", "-")
    default = None if parameter.default is parameter.empty else parameter.default
    if isinstance(default, bool):
        return click.Option(
            [f"{flag}/--no-{flag[2:]}", parameter.name],
            default=default,
            show_default=True,
            help=about,
        )
    return click.Option(
        [flag, f"--{parameter.name}"] if "_" in parameter.name else [flag],
        default=default,
        show_default=default is not None,
        type=_Value(),
        help=about,
    )


class _Value(click.ParamType):
    """A Python number, None, or else text: the model itself says what it can take."""

    name = "value"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        return read if isinstance(read, int | float | type(None)) else value


def _fitted(
    model: Any, data: str, target: str | None, reading: Reading, kept: dict[str, Any]
) -> Any:
    """Return the model fitted to a file or to built-in data; `kept` says where it is trained."""
    import numpy as np

    name = type(model).__name__
    if name == "InnerProductGraph":
        return model.fit(graphs_of(data, reading))
    if hasattr(model, "predict"):
        pairs = pairs_of(data, target, reading)
        fit_to(model, pairs.X, pairs.y, **kept)
        inputs = pairs.names or [f"column {j}" for j in range(model.n_features_in_)]
        more = f", ... ({len(inputs)} in all)" if len(inputs) > 20 else ""
        click.echo(f"target: {pairs.target}; inputs: {', '.join(inputs[:20])}{more}", err=True)
        model._remember(target_name_=pairs.target)  # goes into the file, is looked for in others
        return model
    if name == "PPCA":
        return fit_to(model, rows_of(data, reading))
    if not _is_pickle(data):
        return fit_to(model, discrete_rows_of(data, reading), **kept)
    tables = ancestral.TabularAutoregressive.from_tables(
        ancestral.read_tables(data, **reading.capped)
    )
    if name != "TabularAutoregressive":
        possible = tables.support_  # each row that the tables can give, as often as they give it
        return model.fit(possible, frequencies=np.exp(tables.log_density(possible)), **kept)
    if model.get_params() != type(model)().get_params():
        raise click.UsageError(f"{data} holds tables, which are taken as they are: no options.")
    return tables


def _is_pickle(data: str) -> bool:
    return data.endswith((".pkl", ".pkl.gz", ".pickle", ".pickle.gz"))
