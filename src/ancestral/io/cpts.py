"""Conditional probability tables read as a stream, their reachable rows only.

The i-th dense table has K_1 ... K_i cells in C order: row r, of K_i cells, belongs to the prefix
whose levels are the digits of r. A prefix is reachable when every level on the way to it has
positive probability. As the bytes of table i pass by, the rows of the reachable prefixes are kept
and the rest forgotten; level k of kept row r leads to row r K_i + k of table i + 1.

So a file that expands to 537 MB of float64 is read in the memory of its few hundred live rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import SMALLER_FILE, within_memory
from ancestral.autoregressive.tables import Tables, checked_rows, extend_prefixes
from ancestral.errors import DataError, FormatError
from ancestral.io.dtypes import count_cells
from ancestral.io.kinds import recognise
from ancestral.io.npy import Archive, natural_order
from ancestral.io.pickles import DType, Machine, Name, Shell, check_plain
from ancestral.io.sources import PathLike, Source, as_size

_log = logging.getLogger(__name__)


@within_memory(SMALLER_FILE)
def read_tables(path: PathLike, *, max_bytes: int = 1 << 30) -> Tables:
    """Read conditional probability tables, and keep the rows of reachable contexts.

    Parameters
    ----------
    path : str or path-like
        A pickle (`.pkl`, gzipped or not) of a list of arrays, or an `.npz` of arrays taken in
        the natural order of their names (arr_0, arr_1, ..., arr_10). The i-th array has shape
        (K_1, ..., K_i): `table[x_1, ..., x_i] = p(x_i | x_1, ..., x_{i-1})`. Any float type, byte
        order and number of levels.
    max_bytes : int
        The most bytes to which a file may expand (default 1 GiB). Much less memory is used, because
        only reachable rows are kept.

    Returns
    -------
    Tables
        Contexts and probabilities of the reachable prefixes.

    Raises
    ------
    FormatError
        When the file is missing, truncated, damaged, of another kind, or would run code.
    DataError
        When a table has the wrong shape, or a reachable row holds NaN or a negative number, or does
        not sum to one. Sums that differ from one by at most 1e-6 are rescaled. The rows of
        unreachable prefixes are never read and may be NaN.

    Notes
    -----
    The time is that of expanding the file. Arrays in Fortran order, and all arrays of pickle
    protocols 0 to 2, are built as a whole, one after another, within the same `max_bytes`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tables.npz"
    >>> np.savez(path, [0.9, 0.1], [[0.9, 0.1], [0.1, 0.9]])
    >>> read_tables(path)
    Tables(2 variables, 3 reachable contexts)
    """
    with Source(path, max_bytes=max_bytes) as source:
        if recognise(source, ("pickle", "zip")) == "zip":
            return _from_archive(source)
        return _from_pickle(source)


class Collector:
    """Keeps the reachable rows of tables whose bytes are fed in order."""

    def __init__(self, name: str, max_bytes: int) -> None:
        self.name, self.budget = name, max_bytes
        self.levels: tuple[int, ...] = ()
        self.ids = np.zeros(1, np.int64)  # reachable rows of the next table, ascending
        self.prefixes = np.zeros((1, 0), np.intp)
        self.contexts: list[NDArray[np.intp]] = []
        self.probabilities: list[NDArray[np.float64]] = []

    @property
    def n_prefixes(self) -> int:
        """Rows of the next dense table, reachable or not."""
        return count_cells(self.levels, self.name)

    def collect(
        self, shape: tuple[int, ...], dtype: np.dtype, pieces: Iterable[memoryview | bytes]
    ) -> None:
        """Take the next table, its bytes in pieces."""
        self.begin(shape, dtype)
        for piece in pieces:
            self.feed(piece)
        self.end()

    def begin(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Start the next table."""
        i = len(self.levels)
        if len(shape) != i + 1 or shape[:-1] != self.levels or shape[-1] == 0:
            wanted = "".join(f"{k}, " for k in self.levels)
            raise DataError(
                f"{self.name}: table {i} has shape {shape}; expected ({wanted}K): one axis for "
                "each earlier variable, then its own levels. Are tables missing or out of order?"
            )
        self.spend(len(self.ids) * shape[-1] * (dtype.itemsize + 8))
        self.levels = shape
        self.kept = np.empty((len(self.ids), shape[-1]), dtype)
        self.row = shape[-1] * dtype.itemsize  # bytes
        self.next_row = 0
        self.rest = b""

    def feed(self, piece: memoryview | bytes) -> None:
        """Take the next bytes of the table."""
        piece = memoryview(piece)
        if self.rest:  # first complete the row cut by the end of the last piece
            missing = self.row - len(self.rest)
            self.rest += bytes(piece[:missing])
            piece = piece[missing:]
            if len(self.rest) < self.row:
                return
            self._take_rows(memoryview(self.rest))
        whole = len(piece) // self.row * self.row
        self._take_rows(piece[:whole])
        self.rest = bytes(piece[whole:])

    def _take_rows(self, rows: memoryview) -> None:
        """Keep the reachable ones of whole rows."""
        start, stop = self.next_row, self.next_row + len(rows) // self.row
        first, last = np.searchsorted(self.ids, (start, stop))
        if first < last:
            block = np.frombuffer(rows, self.kept.dtype).reshape(-1, self.levels[-1])
            self.kept[first:last] = block[self.ids[first:last] - start]
        self.next_row = stop

    def end(self) -> None:
        """Check the table's kept rows and find where they lead."""
        rows = self.kept.astype(np.float64)
        try:
            checked = checked_rows(rows, len(self.levels) - 1, self.prefixes)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from None
        if not np.array_equal(rows, checked):
            _log.info("%s: table %d rescaled to sum to one", self.name, len(self.levels) - 1)
        self.contexts.append(self.prefixes)
        self.probabilities.append(checked)
        parent, level = np.nonzero(checked)
        self.spend(len(parent) * 8 * (len(self.levels) + 1))
        self.ids = self.ids[parent] * self.levels[-1] + level
        self.prefixes = extend_prefixes(self.prefixes, checked)

    def spend(self, n: int) -> None:
        """Count bytes kept."""
        self.budget -= n
        if self.budget < 0:
            raise FormatError(
                f"{self.name}: too many reachable prefixes for max_bytes (table "
                f"{len(self.levels)} alone needs {as_size(n)}); pass a larger max_bytes=."
            )

    def tables(self) -> Tables:
        """Return what was kept."""
        if not self.contexts:
            raise DataError(f"{self.name}: holds no table; give one per variable.")
        return Tables(tuple(self.contexts), tuple(self.probabilities))


class _Passed:
    """Stands for the bytes of a table that have passed, then for the table itself."""

    def __init__(self, index: int, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.index, self.dtype, self.shape = index, dtype, shape


class _WrongGuess(Exception):
    """Bytes were passed under a type or shape that turned out not to be theirs."""


class _TableMachine(Machine):
    """A pickle machine whose arrays go through a collector instead of being built.

    Up to protocol 4 an array's type and shape stand before its bytes. Protocol 5 puts them
    after: there the bytes are passed under the type of the table before, and checked later.
    """

    def __init__(self, source: Source, *, streaming: bool = True) -> None:
        super().__init__(source)
        self.collector = Collector(source.name, source.limit)
        self.streaming = streaming
        self.guess: np.dtype | None = None
        self.guessed = False

    def payload(self, n: int) -> Any:
        """Pass the data of a table; read any other bytes."""
        above = self.below[-1][-1:] if self.below else []
        if self.streaming and len(self.stack) == 4 and above and isinstance(above[0], Shell):
            _, shape, dtype, fortran = self.stack
            if isinstance(dtype, DType) and not fortran:
                return self._pass(n, shape, self.resolve(dtype))
        if self.streaming and self.guess and not self.stack and above == [Name.FROMBUFFER]:
            cells = self.collector.n_prefixes * self.guess.itemsize
            if n and n % cells == 0:
                self.guessed = True
                return self._pass(n, (*self.collector.levels, n // cells), self.guess)
        return super().payload(n)

    def _pass(self, n: int, shape: Any, dtype: np.dtype) -> _Passed:
        """Let a table's bytes pass."""
        if count_cells(shape, self.name) * dtype.itemsize != n:
            self.fail(f"a table of shape {shape} {dtype} has {n} bytes")
        self.source.claim(n)
        return self._collect(shape, dtype, self.source.chunks(n))

    def _collect(
        self, shape: tuple[int, ...], dtype: np.dtype, pieces: Iterable[memoryview]
    ) -> _Passed:
        self.collector.collect(shape, dtype, pieces)
        self.guess = dtype
        return _Passed(len(self.collector.levels) - 1, dtype, shape)

    def make_array(self, data: Any, dtype: Any, shape: Any, *, fortran: bool) -> Any:
        """Check what has passed, or build the array and let it pass."""
        if not isinstance(data, _Passed):
            array = super().make_array(data, dtype, shape, fortran=fortran)
            return self._collect(array.shape, array.dtype, [as_bytes(array)])
        if self.resolve(dtype) != data.dtype or shape != data.shape:
            raise _WrongGuess
        if fortran and len(data.shape) > 1:
            raise _WrongGuess
        return data


def as_bytes(array: NDArray) -> memoryview:
    """Return the bytes of an array in C order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _from_pickle(source: Source) -> Tables:
    """Stream a pickle; build its arrays one by one where its layout misleads."""
    machine = _TableMachine(source)
    try:
        return _run(machine)
    except _WrongGuess:
        pass
    except DataError:
        if not machine.guessed:  # numbers read under the right type, and wrong
            raise
    source.rewind()
    return _run(_TableMachine(source, streaming=False))


def _run(machine: _TableMachine) -> Tables:
    """Return the tables of a pickled list, checked to its end."""
    value = machine.run()
    machine.source.finish()
    check_plain(value, machine.name)
    count = len(machine.collector.contexts)
    seen = "one array" if isinstance(value, _Passed) else f"a {type(value).__name__}"
    if isinstance(value, list | tuple):
        if [getattr(item, "index", None) for item in value] == list(range(count)):
            return machine.collector.tables()
        seen = f"a list of {len(value)} things, {count} of them arrays in order"
    raise FormatError(
        f"{machine.name}: holds {seen}; a list of arrays is expected, one table per variable."
    )


def _from_archive(source: Source) -> Tables:
    """Stream the members of an .npz in the natural order of their names."""
    archive = Archive(source)
    collector = Collector(source.name, source.limit)
    for key in sorted(archive.keys, key=natural_order):
        with archive.open(key) as (header, stream):
            if not header.fortran or len(header.shape) < 2:
                collector.collect(header.shape, header.dtype, archive.pieces(stream))
                continue
        array = archive.read(key)
        collector.collect(array.shape, array.dtype, [as_bytes(array)])
    return collector.tables()
