"""Options on reading: how files are read, for which kind of data, the same for every command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from ancestral import _catalogue
from ancestral._catalogue import Face

Command = Callable[..., Any]
_TABS = {"\\t": "\t", "tab": "\t"}  # as shells let it be written


@dataclass(frozen=True)
class Reading:
    """How files are read: which array of several, NaN allowed or not, the cap on expanding.

    Of text: the marks between cells and within numbers, the encoding, where rows are reported that
    cannot be read, and which columns are text whatever stands in them. For pairs: the target's
    column. For graphs: the table of nodes that belongs to an edge list, and which of their
    attributes are features, which of these are groups, whether the edges have names, what is done
    with their directions, and a table of unknown dyads.
    """

    target: str | None = None
    key: str | None = None
    missing: bool = False
    max_bytes: int | None = None
    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    rejects: Path | None = None
    text: str | None = None
    nodes: str | None = None
    attributes: str | None = None
    categorical: str | None = None
    header: bool | None = None
    directed: str | None = None
    multiple: str | None = None
    loops: str | None = None
    weights: str | None = None
    weight: str | None = None
    unknown: str | None = None

    @classmethod
    def taken(cls, options: dict[str, Any]) -> Reading:
        """Return how files are read, its options taken out of a command's."""
        held = [field.name for field in fields(cls) if field.name in options]
        return cls(**{name: options.pop(name) for name in held})

    @property
    def capped(self) -> dict[str, Any]:
        """The cap, where the user gave one."""
        return {} if self.max_bytes is None else {"max_bytes": self.max_bytes}

    @property
    def dialect(self) -> dict[str, Any]:
        """What the user said of how text is spelt."""
        names = ("sep", "decimal", "thousands", "encoding", "rejects")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def of_table(self) -> dict[str, Any]:
        """What readers of tables are told."""
        return {**self.capped, **self.dialect}

    def refuse_text(self, seen: str) -> None:
        """Refuse options of text where there is none."""
        for name in self.dialect:
            raise click.UsageError(f"--{name} has no use with {seen}.")


def reading_parameters() -> list[tuple[str, tuple[Face, ...], dict[str, Any]]]:
    """Return each option of `Reading`: its flag, the faces it is for, and its settings."""
    rows: tuple[Face, ...] = ("discrete", "continuous")
    files: tuple[Face, ...] = (*rows, "mixed", "conditional")
    texts: tuple[Face, ...] = (*files, "graphs")
    return [
        (
            "--target",
            ("conditional",),
            {"help": "The column of the target. Default: y or target, or the second of two."},
        ),
        ("--key", files, {"help": "Which array to read, if an .npz or pickle holds several."}),
        (
            "--missing",
            rows,
            {"is_flag": True, "help": "Read NaN and empty cells as missing values."},
        ),
        (
            "--max-bytes",
            texts,
            {
                "type": click.IntRange(min=1),
                "help": "The most bytes to which a compressed file may expand.",
            },
        ),
        (
            "--sep",
            texts,
            {
                "callback": lambda _, __, mark: _TABS.get(mark, mark),
                "help": "Text: the character between cells, as in ';' or tab.  [default: ,]",
            },
        ),
        ("--decimal", texts, {"help": "Text: the character before decimals.  [default: .]"}),
        (
            "--thousands",
            texts,
            {"help": "Text: the character between thousands, as in 1,000.  [default: none]"},
        ),
        (
            "--encoding",
            texts,
            {"help": "Text: the encoding, such as cp1252 or utf-16.  [default: utf-8]"},
        ),
        (
            "--rejects",
            files,
            {
                "type": click.Path(path_type=Path),
                "help": "Text: leave out rows that cannot be read, and list their cells in a .csv.",
            },
        ),
        (
            "--text",
            ("discrete", "mixed"),
            {"help": "Columns to read as text, even if they look like numbers: zip,code."},
        ),
        (
            "--nodes",
            ("graphs",),
            {"help": "Graphs: the table of nodes, if DATA is a table of links."},
        ),
        (
            "--attributes",
            ("graphs",),
            {
                "help": "Graphs: the node attributes to use as features, as in age,Sex. Default: "
                "all."
            },
        ),
        (
            "--categorical",
            ("graphs",),
            {
                "help": "Graphs: attributes whose numbers are codes of groups, as in Grade,Year. "
                "Text always is."
            },
        ),
        (
            "--header/--no-header",
            ("graphs",),
            {
                "default": None,
                "help": "Graphs: whether the first line of an edge list holds names or is an "
                "edge.  "
                "[default: found from the lines]",
            },
        ),
        (
            "--directed",
            ("graphs",),
            {
                "type": click.Choice(["keep", "union", "intersection", "refuse", "yes"]),
                "help": "Graphs: keep the directions in the file; union: link nodes if a link "
                "leads either way; intersection: if links lead both ways; refuse "
                "directions; yes: the links of a table have a direction.  "
                "[default: keep]",
            },
        ),
        *[
            (
                f"--{name}",
                ("graphs",),
                {
                    "type": click.Choice([first, "refuse"]),
                    "help": f"Graphs: {text}, or refuse them.  [default: {first}, and say so]",
                },
            )
            for name, first, text in (
                ("multiple", "merge", "count repeated links once"),
                ("loops", "drop", "leave out links of a node with itself"),
                (
                    "weights",
                    "binarise",
                    "read any weight except 0 as a link, a missing weight as unknown",
                ),
            )
        ],
        (
            "--weight",
            ("graphs",),
            {
                "help": "Graphs: the column of a table of links, or the attribute of edges, that "
                "holds the weights.  [default: weight, weights, value, count, strength, "
                "frequency or tie]"
            },
        ),
        (
            "--unknown",
            ("graphs",),
            {"help": "Graphs: a table of unknown dyads (pairs of nodes that nobody observed)."},
        ),
    ]


def reading_options(*faces: Face, but: str = "") -> Callable[[Command], Command]:
    """Return what adds the options of `Reading` that models of any of these faces have."""

    def add(command: Command) -> Command:
        for flag, its, settings in reversed(reading_parameters()):
            if flag != but and {*its} & {*faces}:
                command = click.option(flag, **settings)(command)
        return command

    return add


def reading_options_of(entry: _catalogue.Entry) -> list[click.Option]:
    """Return the options of `Reading` that a fit of this model has."""
    return [
        click.Option([flag], **settings)
        for flag, faces, settings in reading_parameters()
        if entry.face in faces and (flag != "--missing" or entry.gaps)
    ]
