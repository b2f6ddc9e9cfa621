"""Inputs and a target from a table with named columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import Opened, as_floats
from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.errors import DataError, printable
from ancestral.io.arrays import MAX_BYTES, read_columns
from ancestral.io.rejects import Reject
from ancestral.io.sources import PathLike, shown

TARGETS = ("y", "target", "label", "response")


@dataclass(frozen=True, repr=False)
class Pairs:
    """Inputs X (n, k) with their names, and a target y (n,) with its name.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "flats.csv"
    >>> _ = path.write_text("size,rent\\n40,700\\n50,810\\n")
    >>> read_pairs(path, "rent").X.shape
    (2, 1)
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    names: list[str]
    target: str

    def __repr__(self) -> str:
        n, k = self.X.shape
        shown = ", ".join(self.names[:8]) + ", ..." * (k > 8)
        return printable(f"Pairs({n} rows; X: {shown}; y: {self.target})")


@within_memory(SMALLER_FILE)
def read_pairs(
    path: PathLike,
    target: str | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    sep: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str = "utf-8",
    rejects: PathLike | list[Reject] | None = None,
) -> Pairs:
    """Read a table as inputs and one target.

    Parameters
    ----------
    path : str or path-like
        A `.csv` (gzipped or not) or `.parquet` file whose columns are all numeric.
    target : str, optional
        The column of the target. By default the only column named y, target, label or response (in
        lower or upper case), or else the second of two columns. Any other table is refused.
    max_bytes : int
        The most bytes to which a compressed file may expand (default 512 MiB). Larger files are
        refused.
    sep, decimal, thousands, encoding, rejects
        For a `.csv`, as for `read_array`.

    Returns
    -------
    Pairs

    Raises
    ------
    DataError
        When the table has fewer than two columns, when it has no column `target`, or when it is not
        clear which column is the target.
    FormatError, DataTypeError, SaveError, MissingExtraError
        As `read_array`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "flats.csv"
    >>> _ = path.write_text("size,rent\\n40,700\\n50,810\\n")
    >>> read_pairs(path, "rent")
    Pairs(2 rows; X: size; y: rent)
    """
    names, table = read_columns(
        path,
        max_bytes=max_bytes,
        sep=sep,
        decimal=decimal,
        thousands=thousands,
        encoding=encoding,
        rejects=rejects,
    )
    if len(names) < 2:
        raise DataError(f"{path}: has {len(names)} column; an input and a target are wanted.")
    place = place_of_target(target, names, path)
    floats = as_floats(Opened(table, names, len(table)), str(path)).astype(np.float64)
    return Pairs(
        X=np.delete(floats, place, axis=1),
        y=floats[:, place].copy(),
        names=[name for k, name in enumerate(names) if k != place],
        target=names[place],
    )


def place_of_target(target: str | None, names: list[str], path: PathLike) -> int:
    """Return which column is the target."""
    if target is not None:
        if target not in names:
            raise DataError(f"{shown(path)}: has no column {target!r}; it has {', '.join(names)}.")
        return names.index(target)
    named = [k for k, name in enumerate(names) if name.strip().lower() in TARGETS]
    if len(named) == 1:
        return named[0]
    if len(names) == 2 and not named:
        return 1  # an input and a target, as everybody writes them
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    example = names[named[0] if named else -1]
    raise DataError(
        f"{shown(path)}: it is not clear which column is the target: it has {listed}. Say which "
        "one "
        f"in Python with target={example!r}, on the command line with --target {example}; or call "
        "it y in the file."
    )
