"""Where commands write, and how: never over their own input, over other files only when told to.

Rows are written as the kind of table that they are: a dataframe, or an array whose columns have
names, as .csv, .tsv or .parquet with these names; an array also as .npy or .npz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from ancestral._extras import need
from ancestral._files import check_destination, is_folder, refuse_input, refuse_same, shown
from ancestral.cli.terminal import in_one_line, print_json, say
from ancestral.errors import SaveError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORCE: dict[str, Any] = {"is_flag": True, "help": "Replace a file that is there already."}
# Built-in sets that come with a package.
_BUILT_IN = {"@faces": ("report:skimage",)}


class Address(str):
    """An address of fsspec, such as s3://bucket/x.parquet, where a path may stand."""

    @property
    def suffix(self) -> str:
        """How it ends, as of a path."""
        return PurePosixPath(self).suffix


class RowsPlace(click.ParamType):
    """A path, or an address, to write rows to."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        return Address(value) if "://" in value else Path(value)


force_option = click.option("--force", **FORCE)


def check_places(
    *outputs: Path | Address | None,
    inputs: Iterable[Any],
    force: bool,
    replaces: Callable[[Path], bool] = lambda path: False,
) -> None:
    """Refuse files that cannot or must not be written, before the work whose result they hold.

    An input is never written over; another file that is there only with `force`, or where
    `replaces` says that this command may.
    """
    refuse_same([path for path in outputs if isinstance(path, Path)], ())
    read = list(_files_of(inputs))
    for path in outputs:
        if path is None:
            continue
        refuse_input(path, read, door="command")
        if isinstance(path, Address):
            _check_address(path, force=force)
            continue
        place = check_destination(path)
        if place.exists() and not force and not replaces(place):
            raise SaveError(
                f"{shown(path)}: is there already. Pass --force to replace it, or name another "
                "file."
            )


def _check_address(place: Address, *, force: bool) -> None:
    from ancestral.streaming.outputs import check_out, is_there

    check_out(place)
    if not force and is_there(place):
        raise SaveError(
            f"{shown(place)}: is there already. Pass --force to replace it, or name another."
        )


def ask_for(
    *wants: str, files: Iterable[Any], output: Path | Address | None = None, otherwise: str = ""
) -> None:
    """Refuse a command some of whose packages are not installed, all at once and before any work.

    Parameters
    ----------
    *wants : str
        As `need` takes them.
    files : iterable of path-like or None
        What is read, built-in sets among it.
    output : Path, optional
        What is written: of all kinds, only Parquet takes a package.
    otherwise : str
        What else mends it.
    """
    from ancestral.io.kinds import wants_of

    read = [_BUILT_IN.get(str(file)) or wants_of(file) for file in files if file is not None]
    written = () if output is None or output.suffix != ".parquet" else wants_of(output)
    need("this command", *wants, *chain(*read, written), otherwise=otherwise)


def check_report(
    report: Path | None, *outputs: Path | Address | None, inputs: Iterable[Any], force: bool
) -> None:
    """Refuse a report of rejects that would take the place of an input, or of another file."""
    if report is not None:
        check_places(report, inputs=inputs, force=force)
        refuse_same([*(path for path in outputs if isinstance(path, Path)), report], ())


def give_rows(
    rows: Any,
    names: Any,
    output: Path | Address | None,
    *,
    what: str,
    as_json: bool,
    quiet: bool = False,
    key: str = "samples",
) -> None:
    """Write rows to a file, or print them: with a header line where several columns have names.

    Parameters
    ----------
    rows : dataframe, or ndarray of shape (n,) or (n, d)
    names : sequence of str, or None
        Of an array's columns.
    output : Path or Address, optional
    what : str
        What the rows are, in words.
    as_json : bool
    quiet : bool
        Nothing is printed where nothing else is asked for.
    key : str
        What the rows are called in JSON.
    """
    import numpy as np

    from ancestral.io.writing import columns_of

    names = None if names is None else [str(name) for name in names]
    if output is not None:
        write_rows(output, rows, names)
        say(f"{len(rows)} {what} written to {output}", err=True)
    if not as_json and (output is not None or quiet):
        return
    labels, columns = columns_of(rows, names)
    if as_json:
        table = _listed(columns)
        flat = getattr(rows, "ndim", 2) == 1
        said = {"n_samples": len(rows), key: [row[0] for row in table] if flat else table}
        named = names is not None or hasattr(rows, "columns")
        print_json(said | {"columns": labels} if named else said)
    elif getattr(rows, "ndim", 2) == 1 or (names is None and not hasattr(rows, "columns")):
        for row in _listed(columns):
            say(" ".join(map(str, row)))
    else:
        from ancestral.io.writing import as_text

        cells = [
            np.array(
                [in_one_line(v) if isinstance(v, str) else v for v in c.tolist()], dtype=object
            )
            if c.dtype.kind in "OUT"
            else c
            for c in columns
        ]
        say(as_text([*map(in_one_line, labels)], cells).rstrip("\n"))


def write_rows(output: Path | Address, rows: Any, names: list[str] | None) -> None:
    """Write rows to a file of the kind that its name says."""
    import numpy as np

    if isinstance(output, Address):
        from ancestral.streaming.columns import Place
        from ancestral.streaming.outputs import Answer, write

        write(output, [Answer(rows, Place(0), names)])
        return

    from ancestral.io import write_array, write_table

    numbers = isinstance(rows, np.ndarray) and rows.dtype.kind in "biuf"
    if numbers and output.suffix in (".npy", ".npz", ".csv"):
        write_array(output, rows, names)
    else:
        write_table(output, rows, names)


def _listed(columns: list[NDArray]) -> list[list[Any]]:
    """Return rows as lists, None in gaps."""
    from ancestral.io.writing import plain_values

    return [list(row) for row in zip(*map(plain_values, columns), strict=True)]


def _files_of(inputs: Iterable[Any]) -> Iterator[str]:
    """Yield the paths of inputs; of folders that are read at once, the files in them."""
    from ancestral.cli.large import is_large

    for name in inputs:
        if not isinstance(name, str | Path) or str(name).startswith("@"):
            continue
        if is_folder(name) and not is_large(str(name)):
            yield from map(str, Path(name).iterdir())
        else:
            yield str(name)
