"""`ancestral fit`: one command per model, its options made from the model's own parameters."""

from __future__ import annotations

import ast
import csv
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
    fit_to,
    observed,
)
from ancestral.cli.facts import facts_of
from ancestral.cli.large import fitted_in_parts, is_large, own_names, refuse_of_parts
from ancestral.cli.outputs import FORCE, ask_for, check_places, check_report
from ancestral.cli.reading import Reading, reading_options_of
from ancestral.cli.terminal import CONTEXT, print_table, say, show
from ancestral.errors import AncestralError, DataError

KINDS: dict[Face, str] = {
    "discrete": "rows of levels",
    "continuous": "rows of real numbers",
    "mixed": "tables of mixed columns, with gaps",
    "conditional": "a target given inputs",
    "graphs": "graphs",
}
_VALIDATION = "Held-out rows, as DATA. They decide when to stop, and which weights to keep."
_FORCE = "Replace a file that already exists. An old model file is replaced in any case."
_MOST_STEPS = 20  # iterations that are shown
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
            if entries:
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

    DATA is a file, gzipped or not: rows in .npy, .npz, .csv, .tsv, .parquet or .pkl (columns of
    text only for models of levels and for tree, which also takes dates and gaps; of inputs and a
    target: the target is the column named y or target, or the second of two; else name it with
    --target), tables in .pkl (tabular, lstm), graphs in .pkl, .npz or .graphml, or an edge list
    with --nodes; or built-in: @icons, @faces, @classrooms, @diabetes.

    A folder of tables, a pattern such as 'rows/*.parquet', an address such as s3://bucket/rows and
    a file larger than memory are read part by part, as often as the fit needs.

    Text is read as UTF-8, with commas between cells and points before decimals; --sep, --decimal,
    --thousands and --encoding change this. None of them is guessed.

    `ancestral fit MODEL --help` lists the model's own parameters.

    \b
    Examples:
      ancestral fit ppca @faces --n-components 16 -o faces.model
      ancestral fit tabular weather.csv --smoothing 0.5 -o weather.model
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
        click.Option(["--force"], **FORCE | {"help": _FORCE}),
    ]
    # A parameter of the model goes before an option on reading of the same name.
    options += [o for o in reading_options_of(entry) if o.name not in parameters]
    resumable = "checkpoint" in inspect.signature(cls.fit).parameters
    if resumable:
        options += _checkpoint_options()
    helps, kinds = _helps(cls)
    options += [_option_of(entry, p, helps, kinds) for p in parameters.values()]
    if entry.inner is not None:
        options.append(_inner_option(entry))
    validated = "X_val" in inspect.signature(cls.fit).parameters
    if validated:
        options.append(click.Option(["--validation"], metavar="DATA", help=_VALIDATION))
    options.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout."))

    def run(
        *,
        data: str,
        output: Path,
        as_json: bool,
        force: bool,
        checkpoint: Path | None = None,
        checkpoint_every: int | None = None,
        validation: str | None = None,
        **given: Any,
    ) -> None:
        from ancestral import model_file

        settings = {name: given.pop(name) for name in parameters}
        if entry.inner is not None:
            _set_inner(settings[entry.inner], given.pop("with_"), entry.inner)
        has_missing = "missing" in given  # an option of this command, not of its model
        reading = Reading.taken(given)
        if settings.get("missing") == "level":
            reading = replace(reading, missing=True)
        model = cls(**settings)
        inputs = (data, validation, reading.nodes)  # checked before the training, not after
        in_flags = re.sub(r'(\w+)="(\w+)".*', r"--\1 \2", model._instead)
        ask_for(*model._wants(), files=inputs, otherwise=in_flags)
        check_places(output, inputs=inputs, force=force, replaces=model_file.is_model_file)
        check_report(reading.rejects, output, inputs=inputs, force=force)
        if "verbose" in settings and not as_json and settings["verbose"] is False:
            settings["verbose"] = sys.stderr.isatty()
        if checkpoint_every is not None and checkpoint is None:
            raise click.UsageError("--checkpoint-every has no use without --checkpoint.")
        kept = {"checkpoint": checkpoint, "checkpoint_every": checkpoint_every}
        kept = {name: value for name, value in kept.items() if value is not None}
        try:
            model = _fitted(model, entry.face, data, reading, kept, validation)
        except KeyboardInterrupt as stopped:
            if resumable and not kept:
                raise KeyboardInterrupt(_NOT_KEPT) from stopped
            raise
        except DataError as error:
            said = str(error)
            if "missing" in settings:
                said = said.replace("missing=True", "--missing level")
            elif not has_missing:
                said = re.sub(r", (drop the rows?), or pass missing=True", r" or \1", said)
            if said == str(error):
                raise
            raise type(error)(said) from error
        model_file.save(model, output, force=force)
        facts = {"file": str(output), **facts_of(model)}
        if not as_json:
            _show_steps(model)
            for name, value in settings.items():
                if isinstance(value, str) and isinstance(found := facts.get(f"{name}_"), int):
                    say(f"{name.replace('_', '-')}: {found}, chosen by {value}", err=True)
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
            help="Save the training in FOLDER, and go on from a training saved there. "
            "Ctrl-C saves it and stops.",
        ),
        click.Option(
            ["--checkpoint-every"],
            type=click.IntRange(min=1),
            help="Steps between two checkpoints.  [default: 50]",
        ),
    ]


def _helps(cls: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the first sentence on each parameter, and its kind, from the docstring."""
    text = inspect.getdoc(cls) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", text, re.S)
    entries = re.findall(
        r"^(\w+(?:, \w+)*) : (.*)\n((?:    .*\n?|\n)*)", section[1] if section else "", re.M
    )
    helps, kinds = {}, {}
    for names, kind, about in entries:
        first = re.split(r"(?<=\.)\s", " ".join(about.split()), maxsplit=1)[0].replace("`", "")
        for name in names.split(", "):
            helps[name], kinds[name] = first, kind
    return helps, kinds


def _kind_in_words(kind: str, default: Any) -> str:
    """Return what an option takes, for its help: [newton|gradient_ascent], INTEGER|bic|cv."""
    words = re.findall(r'"(\w+)"', kind)
    rest = re.sub(r"\{.*?\}", "", kind)
    plain = [
        word
        for seen, word in (("int", "INTEGER"), ("float", "NUMBER"), ("bool", "BOOLEAN"))
        if re.search(rf"\b{seen}\b", rest)
    ]
    if words and not plain:
        return f"[{'|'.join(words)}]"
    if not plain and isinstance(default, int | float):
        plain = ["INTEGER" if isinstance(default, int) else "NUMBER"]
    return "|".join([*plain, *words]) or "VALUE"


def _option_of(
    entry: Entry, parameter: inspect.Parameter, helps: dict[str, str], kinds: dict[str, str]
) -> click.Option:
    """Return a model's parameter as an option, under scikit-learn's name."""
    about = helps.get(parameter.name)
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
    if parameter.name == "column_types":
        return click.Option(
            [flag],
            multiple=True,
            metavar="COLUMN=TYPE",
            callback=_types_of,
            help="The type of a column, if it is not found as you mean it: continuous, "
            "categorical, binary or count. Repeat for each column.",
        )
    if parameter.name == "categories":
        return click.Option(
            [flag],
            multiple=True,
            metavar="COLUMN=LEVEL,LEVEL",
            callback=_categories_of,
            help="Levels declared before the fit, in their order: sky=rain,sun. Repeat "
            "for each column. The levels of other columns are learnt.",
        )
    if parameter.name == "terms":
        return click.Option(
            [flag],
            required=parameter.default is parameter.empty,
            metavar="TERM,TERM",
            callback=_terms_of,
            help="The terms of pairs of nodes, separated by commas: "
            '"match:house,absdiff:age,inner_product".',
        )
    return click.Option(
        [flag],
        default=default,
        show_default=default is not None,
        type=_Value(),
        metavar=_kind_in_words(kinds.get(parameter.name, ""), default),
        help=about,
    )


def _terms_of(_: Any, __: Any, given: str | None) -> list[str] | None:
    """Return terms that stand between commas; those in quotes may hold commas."""
    if given is None:
        return None
    return [text.strip() for text in next(csv.reader([given], skipinitialspace=True), [])]


def _categories_of(_: Any, __: Any, given: tuple[str, ...]) -> Any:
    """Return declared levels by column: numbers where all of a column are, else text."""
    found: dict[Any, list[Any]] = {}
    for pair in given:
        name, mark, levels = pair.partition("=")
        if not mark or not name.strip() or not levels:
            raise click.UsageError(
                f"--categories is COLUMN=LEVEL,LEVEL, as in sky=rain,sun; got {pair!r}."
            )
        if name.strip() in found:
            raise click.UsageError(f"--categories names {name.strip()!r} more than once.")
        texts = next(csv.reader([levels], skipinitialspace=True))
        whole = all(re.fullmatch(r"[+-]?(0|[1-9]\d*)", text, re.ASCII) for text in texts)
        truth = {"true": True, "false": False}
        if {text.lower() for text in texts} <= set(truth):
            found[name.strip()] = [truth[text.lower()] for text in texts]
        else:
            found[name.strip()] = [int(text) for text in texts] if whole else texts
    return found or None


def _types_of(_: Any, __: Any, given: tuple[str, ...]) -> Any:
    """Return the types of columns by name."""
    found: dict[Any, str] = {}
    for pair in given:
        name, mark, kind = (part.strip() for part in pair.rpartition("="))
        if not mark or not name or not kind:
            raise click.UsageError(
                f"--column-types is COLUMN=TYPE, as in age=continuous; got {pair!r}."
            )
        if name in found:
            raise click.UsageError(f"--column-types names {name!r} more than once.")
        found[name] = kind
    return found or "auto"


def _inner_option(entry: Entry) -> click.Option:
    """Return the option for the parameters of the model within a model."""
    return click.Option(
        [f"--{entry.inner}-with", "with_"],
        multiple=True,
        metavar="PARAMETER=VALUE",
        help=f"A parameter of that model, as in --{entry.inner}-with smoothing=0.1; once for each.",
    )


def _set_inner(model: Any, given: tuple[str, ...], inner: str) -> None:
    """Set parameters of the model within a model."""
    known = model.get_params(deep=False)
    for pair in given:
        name, mark, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not mark or name not in known:
            names = ", ".join(known)
            raise click.UsageError(f"--{inner}-with {pair}: PARAMETER=VALUE is wanted, of {names}.")
        model.set_params(**{name: _Value().convert(value, None, None)})


def _show_steps(model: Any) -> None:
    """Print the iterations of a solver that does not show them while it climbs."""
    steps = getattr(model, "history_", None)
    watched = isinstance(steps, list) and "verbose" not in model.get_params(deep=False)
    if not (watched and steps and all(isinstance(step, dict) for step in steps)):
        return
    every = -(-len(steps) // _MOST_STEPS)
    shown = [*range(0, len(steps) - 1, every), len(steps) - 1]
    columns: dict[str, list[Any]] = {"iteration": shown}
    for name in steps[0]:
        columns[name] = [steps[k][name] for k in shown]
    print_table(columns, err=True)


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


def _fitted(
    model: Any,
    face: Face,
    data: str,
    reading: Reading,
    kept: dict[str, Any],
    validation: str | None,
) -> Any:
    """Return the model fitted to a file or to built-in data; `kept` says where it is trained."""
    from ancestral.base import FromParts

    if is_large(data) and (isinstance(model, FromParts) or not Path(data).is_file()):
        refuse_of_parts(data, validation=validation)
        target = fitted_in_parts(model, face, data, reading, kept)
        if target is not None:
            _tell_of_target(model, target, own_names(model))
        return model
    if validation is not None:
        kept = kept | _held_out(face, validation, reading)
    wanted = face == "discrete" and _is_pickle(data) and _takes_tables(model)
    tables = _tables_in(data, reading) if wanted else None
    if tables is not None:
        return _fitted_to_tables(model, tables, data, kept)
    seen = observed(face, data, reading)
    fit_to(model, *seen.data, **kept)
    if seen.target is not None:
        _tell_of_target(model, seen.target, seen.names)
    return model


def _tell_of_target(model: Any, target: str, names: list[str] | None) -> None:
    """Say what was learnt from what, and keep the target's name."""
    inputs = names or [f"column {j}" for j in range(model.n_features_in_)]
    more = f", ... ({len(inputs)} in all)" if len(inputs) > 20 else ""
    say(f"target: {target}; inputs: {', '.join(inputs[:20])}{more}", err=True)
    model._remember(target_name_=target)  # goes into the file, is looked for in others


def _held_out(face: Face, validation: str, reading: Reading) -> dict[str, Any]:
    """Return rows that stop a training, as `fit` takes them."""
    seen = observed(face, validation, replace(reading, rejects=None))
    rows, *targets = (getattr(part, "values", part) for part in seen.data)
    return {"X_val": rows, "y_val": targets[0]} if targets else {"X_val": rows}


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
