"""What is known of a row, as NAME=VALUE: levels by their text, numbers as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from ancestral.cli.data import Command
from ancestral.errors import DataError

given_option = click.option(
    "--given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A column's known value; once for each. Columns without names go by number, from 0.",
)


def method_options(*, n_particles: str) -> Callable[[Command], Command]:
    """Return what adds the options of queries that may be sampled instead of summed."""

    def add(command: Command) -> Command:
        command = click.option(
            "--n-particles", type=click.IntRange(min=1), help=f"With smc: {n_particles}"
        )(command)
        return click.option(
            "--method",
            type=click.Choice(["exact", "smc"]),
            help="exact, or by weighted particles (smc), where exact is refused.  [default: exact]",
        )(command)

    return add


def given_of(model: Any, pairs: Sequence[str]) -> dict[Any, Any] | None:
    """Return the known values of a row by name, or by number in models without names.

    Raises
    ------
    click.UsageError
        For what is no NAME=VALUE, or a name given twice.
    DataError
        For a name that the model does not have, or a value of another kind than the column's.
    """
    if not pairs:
        return None
    names = getattr(model, "feature_names_in_", None)
    labels = [str(k) for k in range(model.n_features_in_)] if names is None else [*map(str, names)]
    found: dict[Any, Any] = {}
    for pair in pairs:
        name, value = _split(pair, labels)
        if name not in labels:
            known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
            raise DataError(f"--given {pair}: {name!r} is no column of the model; it has {known}.")
        place = labels.index(name)
        key = place if names is None else name
        if key in found:
            raise click.UsageError(f"--given names {name!r} more than once: give one value.")
        found[key] = _value(model, place, value, pair)
    return found


def _split(pair: str, labels: list[str]) -> tuple[str, str]:
    """Return name and value; the longest name that fits, where names hold "=" themselves."""
    for name in sorted(labels, key=len, reverse=True):
        if pair.startswith(f"{name}="):
            return name, pair[len(name) + 1 :]
    name, mark, value = pair.partition("=")
    if not mark or not name:
        raise click.UsageError(f"--given is NAME=VALUE, as in --given {labels[0]}=1; got {pair!r}.")
    return name.strip(), value


def _value(model: Any, place: int, value: str, pair: str) -> Any:
    """Return a value as the column has it: one of its levels, or a number."""
    from ancestral._checks.missing import is_missing_text
    from ancestral.io.numbers import number_in

    text, number = value.strip(), number_in(value)
    if not hasattr(model, "categories_"):
        if number is None:
            raise DataError(f"--given {pair}: {text!r} is no number, and the column holds numbers.")
        return number
    levels = model.categories_[place].tolist()
    if is_missing_text(value) and None in levels:
        return None
    for level in levels:
        if value == level or text == str(level):
            return level
        if isinstance(level, bool) and text.lower() == str(level).lower():
            return level
        if number is not None and not isinstance(level, str | None) and number == level:
            return level
    known = ", ".join(map(str, levels[:20])) + (", ..." if len(levels) > 20 else "")
    raise DataError(f"--given {pair}: {text!r} is no level of that column; it has {known}.")
