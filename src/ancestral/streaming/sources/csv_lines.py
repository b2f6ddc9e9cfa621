"""Lines of CSV as tables of Arrow, in the spelling that their options say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

from ancestral._checks.missing import MISSING_TEXT
from ancestral._extras import import_extra
from ancestral.errors import AncestralError, DataError, FormatError, ModelError
from ancestral.io.dialect import Dialect, Options
from ancestral.io.numbers import is_plain
from ancestral.streaming.sources.cells import is_beyond, spelt
from ancestral.streaming.sources.files import File
from ancestral.streaming.sources.lines import line_of, lines_before

_BOOLEANS = {word: [word, word.title(), word.upper()] for word in ("true", "false")}
_SPELT = ["".join(cell) for word in MISSING_TEXT for cell in product(*zip(word, word.upper()))]
MISSING = sorted({f"{a}{word}{b}" for word in _SPELT for a in ("", " ") for b in ("", " ")})
_WRONG = re.compile(
    r"column #(\d+): (?:Row #(\d+): )?CSV conversion error to (\w+): invalid value '(.*)'", re.S
)


@dataclass(frozen=True)
class Form:
    """How the files spell their cells, and what these are.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of all parts.
    options : Options
    """

    schema: Any
    options: Options


def arrow_for(file: File, module: str) -> Any:
    return import_extra(module, f"{file.name}: CSV in parts", "tables")


def parsed(
    content: bytes,
    names: tuple[str, ...],
    form: Form,
    quoted: bool,  # noqa: FBT001
    of: tuple[File, int],
) -> Any:
    """Return a table of lines; an error names the file, the line, the column and the cell.

    Dates are text here, which is read later.
    """
    pa, arrow = (arrow_for(of[0], name) for name in ("pyarrow", "pyarrow.csv"))
    own, options = set(names), form.options
    kinds = {field.name: field.type for field in form.schema if field.name in own}
    grouped = {
        name: kind
        for name, kind in kinds.items()
        if options.thousands is not None and (pa.types.is_integer(kind) or kind == pa.float64())
    }
    as_text = {name for name, kind in kinds.items() if pa.types.is_timestamp(kind)}
    kinds |= dict.fromkeys([*as_text, *grouped], pa.string())
    if not content.strip():
        return pa.table({name: pa.array([], kind) for name, kind in (kinds | grouped).items()})

    def read(*, threads: bool) -> Any:
        return arrow.read_csv(
            pa.BufferReader(content),
            read_options=arrow.ReadOptions(column_names=names, use_threads=threads),
            parse_options=arrow.ParseOptions(delimiter=options.sep, newlines_in_values=quoted),
            convert_options=arrow.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds),
                null_values=MISSING,
                strings_can_be_null=True,
                true_values=_BOOLEANS["true"],
                false_values=_BOOLEANS["false"],
                decimal_point=options.decimal,
            ),
        )

    try:
        table = read(threads=True)
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        try:
            table = read(threads=False)  # which tells the row
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise _error_of(str(error), names, options.sep, content, of) from None
    for name, kind in grouped.items():
        cells = table.column(name)
        try:
            numbers = _numbers(cells, options, kind)
        except pa.ArrowInvalid:
            why = _first_wrong(cells, options, kind, names.index(name))
            raise _error_of(why, names, options.sep, content, of) from None
        table = table.set_column(table.schema.get_field_index(name), name, numbers)
    return table


def _numbers(cells: Any, options: Options, kind: Any) -> Any:
    """Return cells of text with thousands marks as numbers; ArrowInvalid where one is none."""
    from pyarrow import compute

    plain = spelt(compute.utf8_trim_whitespace(cells), Dialect(*options))
    return compute.replace_substring_regex(plain, r"^\+", "").cast(kind)


def _first_wrong(cells: Any, options: Options, kind: Any, column: int) -> str:
    """Return what Arrow would say of the first cell that is no number."""
    dialect, is_whole = Dialect(*options), str(kind) == "int64"
    row, cell = 0, ""
    for row, cell in enumerate(cells.to_pylist()):  # noqa: B007 - the last one looked at is it
        plain = "0" if cell is None else dialect.spelt(cell)
        whole = plain is not None and re.fullmatch(r"\s*[+-]?\d+\s*", plain) is not None
        if plain is None or (is_whole and (not whole or is_beyond(plain))):
            break
    return (
        f"column #{column}: Row #{row + 1}: CSV conversion error to {kind}: invalid value '{cell}'"
    )


def _error_of(
    why: str, names: tuple[str, ...], sep: str, content: bytes, of: tuple[File, int]
) -> AncestralError:
    """Return the error for what Arrow says of some lines."""
    name = of[0].name
    if (found := re.search(r"Row #(\d+)", why)) is not None:
        name += f": line {lines_before(*of) + line_of(content, sep, int(found[1]) - 1)}"
    if (wrong := _WRONG.search(why)) is not None:
        column, cell = names[int(wrong[1])], wrong[4][:40]
        kind, seen = {
            "int64": ("number", "is no whole number of 64 bits, as the first ones are"),
            "double": ("text", "is no number, as the first ones are"),
            "bool": ("text", "is neither true nor false, as the first ones are"),
        }.get(wrong[3], ("text", f"cannot be read as {wrong[3]}"))
        if wrong[3] == "int64" and not is_plain(wrong[4]):
            kind, seen = "text", "is no number, as the first ones are"
        elif is_beyond(wrong[4]):
            kind = "text"
        mend = f"{MEND} {mend_of(column, kind)}"
        return DataError(f"{name}: column {column!r}: {cell!r} {seen}. {mend}")
    if (ragged := re.search(r"Expected (\d+) columns, got (\d+)", why)) is not None:
        return FormatError(
            f"{name}: has {ragged[2]} cells, line 1 has {ragged[1]}: the file is ragged. "
            "Give every line as many cells."
        )
    return FormatError(f"{name}: is no table of text ({why.splitlines()[0][:120]}).")


# ---- encodings -----------------------------------------------------------------------------------


def refuse_encoding(encoding: str) -> None:
    """Refuse an encoding in which a byte of a mark or a line's end may be part of a character."""
    plain = bytes(range(128))
    with suppress(UnicodeError):
        if plain.decode(encoding) == plain.decode("ascii"):
            return
    raise ModelError(
        f"encoding={encoding!r} cannot be read in parts, because a line's end cannot be found "
        "there: save the files as UTF-8."
    )


def as_utf8(content: bytes, options: Options, of: tuple[File, int]) -> bytes:
    """Return bytes of a file in UTF-8; an error names the line."""
    file, begin = of
    dialect = Dialect(*options)
    try:
        return dialect.as_utf8(content, file.name)
    except FormatError:
        with naming_options():
            return dialect.as_utf8(content, file.name, before=lines_before(file, begin))


@contextmanager
def naming_options() -> Iterator[None]:
    """Say of errors that recommend options whose these are."""
    try:
        yield
    except FormatError as error:
        raise FormatError(
            f"{error} These are options of ancestral.streaming.source_of_paths."
        ) from None


MEND = "Mend it, leave it empty or write NA where a value is missing, or"


def mend_of(name: str, kind: str) -> str:
    return (
        "say what the column holds: "
        f"ancestral.streaming.source_of_paths(..., types={{{name!r}: {kind!r}}})."
    )
