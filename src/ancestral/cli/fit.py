"""`ancestral fit`: one command per model, its options made from the model's own parameters."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ancestral import _catalogue
from ancestral._catalogue import Entry, Face
from ancestral.cli.data import (
    BUILT_IN,
    Reading,
    fit_to,
    observed,
    reading_options_of,
)
from ancestral.cli.facts import facts_of
from ancestral.cli.outputs import FORCE, check_places, check_report
from ancestral.cli.terminal import CONTEXT, say, show
from ancestral.errors import AncestralError

KINDS: dict[Face, str] = {
    "discrete": "rows of levels",
    "continuous": "rows of real numbers",
    "conditional": "a target given inputs",
    "graphs": "graphs",
}
_NOT_KEPT = "nothing was saved. With --checkpoint FOLDER a training can be stopped and resumed."


class _Models(click.Group):
    """One command per model, made from the model's own parameters when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.word for entry in _catalogue.MODELS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        plain = cmd_name.lower().replace("-", "").replace("_", "")
        for entry in _catalogue.MODELS:
            if plain in (entry.word, entry.name.lower()):
                return _fit_command(entry)
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            words = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no model {args[0]!r}; there are {words}.", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for face, kind in KINDS.items():
            entries = [entry for entry in _catalogue.MODELS if entry.face == face]
            with formatter.section(f"Models of {kind}, e.g. {BUILT_IN[face]}"):
                formatter.write_dl([(entry.word, entry.about) for entry in entries])


@click.group(
    "fit",
    cls=_Models,
    context_settings=CONTEXT,
    options_metavar="",
    subcommand_metavar="MODEL DATA -o FILE [OPTIONS]",
)
def command() -> None:
    """Fit a model to data by maximum likelihood and save it.

    DATA is a file, gzipped or not: rows in .npy, .npz, .csv, .tsv, .parquet or .pkl (of inputs and
    a target: the target is the column named y or target, or the second of two; else name it with
    --target), tables in .pkl (tabular, lstm), graphs in .pkl, .npz or .graphml, or an edge list
    with --nodes; or built-in: @icons, @faces, @classrooms, @diabetes.

    Text is read as UTF-8, with commas between cells and points before decimals; --sep, --decimal,
    --thousands and --encoding say otherwise. None of them is guessed.

    `ancestral fit MODEL --help` lists the model's own parameters.

    \b
    Example:
      ancestral fit ppca @faces --n-components 16 -o faces.model
    """


def _fit_command(entry: Entry) -> click.Command:
    """Return the command that fits one model, its parameters as options."""
    cls = entry.load()
    parameters = inspect.signature(cls).parameters
    options: list[click.Parameter] = [
        click.Argument(["data"]),
        click.Option(
            ["-o", "--output"], required=True, type=click.Path(path_type=Path), help="Model file."
        ),
        click.Option(["--force"], **FORCE),
    ]
    # A parameter of the model goes before an option on reading of the same name.
    options += [o for o in reading_options_of(entry) if o.name not in parameters]
    resumable = "checkpoint" in inspect.signature(cls.fit).parameters
    if resumable:
        options += _checkpoint_options()
    helps = _helps(cls)
    options += [_option_of(entry, p, helps.get(name)) for name, p in parameters.items()]
    options.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout."))

    def run(
        *,
        data: str,
        output: Path,
        as_json: bool,
        force: bool,
        checkpoint: Path | None = None,
        checkpoint_every: int | None = None,
        **given: Any,
    ) -> None:
        from ancestral.model_file import is_model_file

        settings = {name: given.pop(name) for name in parameters}
        reading = Reading.taken(given)
        if settings.get("missing") == "level":  # to the file's reader as to the model
            reading = replace(reading, missing=True)
        inputs = (data, reading.nodes)  # checked before the training, not after
        check_places(output, inputs=inputs, force=force, replaces=is_model_file)
        check_report(reading.rejects, output, inputs=inputs, force=force)
        if "verbose" in settings and not as_json and settings["verbose"] is False:
            settings["verbose"] = sys.stderr.isatty()
        if checkpoint_every is not None and checkpoint is None:
            raise click.UsageError("--checkpoint-every has no use without --checkpoint.")
        kept = {"checkpoint": checkpoint, "checkpoint_every": checkpoint_every}
        kept = {name: value for name, value in kept.items() if value is not None}
        try:
            model = _fitted(cls(**settings), entry.face, data, reading, kept)
        except KeyboardInterrupt as stopped:
            if resumable and not kept:
                raise KeyboardInterrupt(_NOT_KEPT) from stopped
            raise
        model.save(output)
        facts = {"file": str(output), **facts_of(model)}
        show(facts, as_json=as_json)

    example = f"ancestral fit {entry.word} {entry.example or BUILT_IN[entry.face]}"
    text = f"Fit {entry.name}: {entry.about}.\n\n\b\nExample:\n  {example} -o {entry.word}.model"
    return click.Command(
        entry.word, params=options, callback=run, help=text, context_settings=CONTEXT
    )


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
    """Return the first sentence on each parameter, and the words it takes, from the docstring."""
    text = inspect.getdoc(cls) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", text, re.S)
    entries = re.findall(r"^(\w+) : (.*)\n((?:    .*\n?|\n)*)", section[1] if section else "", re.M)
    helps = {}
    for name, kind, about in entries:
        first = re.split(r"(?<=\.)\s", " ".join(about.split()), maxsplit=1)[0].replace("`", "")
        words = re.findall('"(\\w+)"', kind)
        helps[name] = f"{first} Words: {', '.join(words)}." if words else first
    return helps


def _option_of(entry: Entry, parameter: inspect.Parameter, about: str | None) -> click.Option:
    """Return a model's parameter as an option, under scikit-learn's name."""
    flag = "--" + parameter.name.replace("_", "-")
    if parameter.name == entry.inner:
        return click.Option([flag], required=True, type=_Model(entry), help=about)
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


class _Model(click.Choice[str]):
    """A model of the same face by its word, with its default parameters."""

    def __init__(self, entry: Entry) -> None:
        self._entries = {
            other.word: other
            for other in _catalogue.MODELS
            if other.face == entry.face and other.inner is None
        }
        super().__init__(list(self._entries))

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return self._entries[super().convert(value, param, ctx)].load()()


class _Value(click.ParamType):
    """A Python number, list or None, or else text: the model itself says what it can take."""

    name = "value"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        return read if isinstance(read, int | float | list | tuple | None) else value


def _fitted(model: Any, face: Face, data: str, reading: Reading, kept: dict[str, Any]) -> Any:
    """Return the model fitted to a file or to built-in data; `kept` says where it is trained."""
    wanted = face == "discrete" and _is_pickle(data) and _takes_tables(model)
    tables = _tables_in(data, reading) if wanted else None
    if tables is not None:
        return _fitted_to_tables(model, tables, data, kept)
    seen = observed(face, data, reading)
    fit_to(model, *seen.data, **kept)
    if seen.target is not None:
        inputs = seen.names or [f"column {j}" for j in range(model.n_features_in_)]
        more = f", ... ({len(inputs)} in all)" if len(inputs) > 20 else ""
        say(f"target: {seen.target}; inputs: {', '.join(inputs[:20])}{more}", err=True)
        model._remember(target_name_=seen.target)  # goes into the file, is looked for in others
    return model


def _takes_tables(model: Any) -> bool:
    """Tell whether a model is tables itself, or is fitted to rows as often as tables give them."""
    from ancestral import TabularAutoregressive

    is_tables = isinstance(model, TabularAutoregressive)
    return is_tables or "frequencies" in inspect.signature(model.fit).parameters


def _tables_in(data: str, reading: Reading) -> Any:
    """Return the model that the tables of a pickle are, or None where it holds rows."""
    from ancestral import TabularAutoregressive, read_array, read_tables

    reading.refuse_text(data)
    try:
        return TabularAutoregressive.from_tables(read_tables(data, **reading.capped))
    except AncestralError as no_tables:
        try:
            is_rows = read_array(data, key=reading.key, **reading.capped).ndim > 1
        except AncestralError:
            is_rows = False
        if is_rows:
            return None
        raise no_tables from None


def _fitted_to_tables(model: Any, tables: Any, data: str, kept: dict[str, Any]) -> Any:
    """Return the model that gives what conditional probability tables give."""
    import numpy as np

    from ancestral import TabularAutoregressive

    if not isinstance(model, TabularAutoregressive):
        possible = tables.support_  # each row that the tables can give, as often as they give it
        return model.fit(possible, frequencies=np.exp(tables.log_density(possible)), **kept)
    if model.get_params() != type(model)().get_params():
        raise click.UsageError(f"{data} holds tables, which are taken as they are: no options.")
    return tables


def _is_pickle(data: str) -> bool:
    return data.endswith((".pkl", ".pkl.gz", ".pickle", ".pickle.gz"))
