"""`ancestral compare`: saved models side by side on the same held-out data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ancestral
from ancestral.cli.data import (
    entry_of,
    observed_by,
    take_rows_as_named,
)
from ancestral.cli.outputs import ask_for
from ancestral.cli.reading import Reading, reading_options
from ancestral.cli.terminal import CONTEXT, json_option, print_json, print_table, say
from ancestral.errors import DataError, ModelError

if TYPE_CHECKING:
    from ancestral._catalogue import Face


@click.command("compare", context_settings=CONTEXT)
@click.argument("files", metavar="MODEL MODEL...", nargs=-1, type=click.Path(path_type=Path))
@click.argument("data")
@reading_options("discrete", "continuous", "mixed", "conditional", "graphs", but="--rejects")
@json_option
def command(files: tuple[Path, ...], data: str, *, as_json: bool, **asked: Any) -> None:
    """Compare models by their exact log density of DATA, which none of them was fitted to.

    The best is first. The differences to it are computed row by row. Their standard errors are
    those of the differences, which are much smaller than those of the means. Models must be of the
    same columns. Probabilities and densities cannot be compared.

    \b
    Example:
      ancestral compare one.model two.model held_out.csv
    """
    if len(files) < 2:
        raise click.UsageError("two models or more are compared: MODEL MODEL DATA.")
    from ancestral.scores import compare_log_densities

    reading = Reading.taken(asked)
    ask_for(files=(data, reading.nodes))
    models = {name: ancestral.load(file) for name, file in _named(files).items()}
    face = _same_face(models)
    _refuse_other_columns(models, face)
    take_rows_as_named()
    values = {}
    for name, model in models.items():
        seen = observed_by(model, data, reading)
        try:
            values[name] = model.log_density(*seen.data)
        except (DataError, ModelError) as error:
            raise type(error)(f"{name}: {error}") from error
    found = compare_log_densities(values)
    one = "graph" if face == "graphs" else "row"
    held = {
        "model": found.names,
        "mean_log_density": found.means.tolist(),
        "standard_error": found.standard_errors.tolist(),
        "behind": found.behind.tolist(),
        "standard_error_of_behind": found.behind_errors.tolist(),
    }
    n = len(next(iter(values.values())))
    if as_json:
        rows = [dict(zip(held, row, strict=True)) for row in zip(*held.values(), strict=True)]
        print_json({"n": n, "unit": f"nats per {one}", "models": rows})
        return
    print_table(
        {
            "model": held["model"],
            "mean": held["mean_log_density"],
            "+-": [f"{error:.3g}" for error in held["standard_error"]],
            "behind": held["behind"],
            "+- ": [f"{error:.3g}" for error in held["standard_error_of_behind"]],
        }
    )
    say(f"nats per {one}, over {n} {one}s; +- is one standard error, behind the paired difference")


def _named(files: tuple[Path, ...]) -> dict[str, Path]:
    """Return the models' files by names that tell them apart."""
    if len({file.resolve() for file in files}) < len(files):
        raise click.UsageError("a model file is named twice: name each file once.")
    stems = [file.name for file in files]
    whole = len(set(stems)) < len(stems)
    return {str(file) if whole else file.name: file for file in files}


def _same_face(models: dict[str, Any]) -> Face:
    """Return what all models are densities of; refuse several kinds."""
    from ancestral.scores import unlike_measures

    if (unlike := unlike_measures(models)) is not None:
        raise click.UsageError(unlike)
    return entry_of(next(iter(models.values()))).face


def _refuse_other_columns(models: dict[str, Any], face: Face) -> None:
    """Refuse models of other columns, or of other targets; graphs say so themselves."""
    if face == "graphs":
        return
    first, *others = models
    for other in others:
        one, two = (_subject(models[name], face) for name in (first, other))
        if one is not None and two is not None and one != two:
            raise click.UsageError(
                f"{first} is of {_in_words(one)}, {other} of {_in_words(two)}: densities of other "
                "columns are not compared."
            )


def _subject(model: Any, face: Face) -> Any:
    """Return what a model is a density of: a target's name, names of columns, or their number."""
    if face == "conditional":
        return getattr(model, "target_name_", None)
    names = getattr(model, "feature_names_in_", None)
    return model.n_features_in_ if names is None else frozenset(map(str, names))


def _in_words(subject: Any) -> str:
    if isinstance(subject, frozenset):
        names = sorted(subject)
        return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    if isinstance(subject, tuple):
        return ", ".join(subject)
    return subject if isinstance(subject, str) else f"{subject} columns without names"
