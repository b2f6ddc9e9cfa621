"""Pickles read as data: an opcode machine that builds plain values and never calls a name.

A pickle is a program for a stack machine, and two of its instructions call whatever function the
file names. Here those names are compared with a short list of exact spellings that numpy's own
arrays use; each stands for a few lines of ours that build the array from dtype, shape and bytes.
Nothing is imported or called on the file's behalf, so there is nothing a file could run.

Read: numpy arrays and scalars of real numbers, lists, tuples, dicts, strings, bytes, ints,
floats, booleans and None, in protocols 0 to 5. Bounded: expanded bytes, bytes built, number of
objects, depth of nesting. The opcodes are those of CPython's `pickletools`.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any, NoReturn

import numpy as np

from ancestral.errors import AncestralError, FormatError
from ancestral.io.dtypes import count_cells, parse_dtype, to_native
from ancestral.io.files import Source, as_size
from ancestral.io.opcodes import ACTIONS

MAX_NODES = 500_000  # a second's work and 100 MiB, whatever they are
MAX_DEPTH = 64
_BULK = 1 << 16  # byte strings from here on are read straight into an array
_MEND = "Save plain arrays instead: np.savez(path, name=array)."


class Name(Enum):
    """The names a pickle of arrays needs; each is a marker, never the thing it names."""

    RECONSTRUCT = "_reconstruct"
    FROMBUFFER = "_frombuffer"
    SCALAR = "scalar"
    NDARRAY = "ndarray"
    DTYPE = "dtype"
    ENCODE = "encode"


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): Name.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): Name.RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): Name.FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): Name.FROMBUFFER,
    ("numpy.core.multiarray", "scalar"): Name.SCALAR,
    ("numpy._core.multiarray", "scalar"): Name.SCALAR,
    ("numpy", "ndarray"): Name.NDARRAY,
    ("numpy", "dtype"): Name.DTYPE,
    ("_codecs", "encode"): Name.ENCODE,
}


class Shell:
    """An array announced by the file, its content still to come."""


class DType:
    """A dtype being described: first its kind and size, then its byte order."""

    def __init__(self, text: str) -> None:
        self.text, self.order = text, "="


class Bulk:
    """A long byte string, held as an array that can become the data without a copy."""

    def __init__(self, cells: np.ndarray) -> None:
        self.cells, self.used = cells, False

    def __len__(self) -> int:
        return len(self.cells)


def read_pickle(source: Source, *, max_nodes: int = MAX_NODES) -> Any:
    """Return the plain value that a pickle holds, nothing run.

    Parameters
    ----------
    source : Source
        Read to its end; its `max_bytes` also caps the bytes of all arrays built.
    max_nodes : int
        More instructions than this are refused.

    Raises
    ------
    FormatError
        When the pickle is damaged, too large, or would run code (the name is given).
    DataTypeError
        When an array holds objects, complex numbers, dates, text or records.
    """
    value = Machine(source, max_nodes=max_nodes).run()
    source.finish()
    check_plain(value, source.name)
    return value


class Machine:
    """The stack machine; one pass over a source."""

    def __init__(self, source: Source, *, max_nodes: int = MAX_NODES) -> None:
        self.source: Source = source
        self.name, self.max_nodes = source.name, max_nodes
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # one stack for every open mark
        self.memo: dict[int, Any] = {}
        self.shell_keys: dict[int, list[int]] = {}  # memo slots to fill once an array is whole
        self.built = 0

    def run(self) -> Any:
        """Return what the program leaves on the stack."""
        read, actions = self.source.read, ACTIONS
        for _ in range(self.max_nodes):
            code = read(1)
            if code == b".":
                return self._result()
            action = actions.get(code)
            if action is None:
                self._refuse_opcode(code)
            try:
                action(self)
            except AncestralError:
                raise
            except (IndexError, KeyError, TypeError, AttributeError):
                self.fail(f"instruction {code!r} finds nothing it can work on")
            except (ValueError, struct.error, OverflowError, Warning):
                self.fail(f"instruction {code!r} is malformed")
        raise FormatError(
            f"{self.name}: the pickle holds more than {self.max_nodes:,} objects. "
            "Save numbers as numpy arrays (np.save), not as lists."
        )

    def fail(self, why: str) -> NoReturn:
        """Raise FormatError for a damaged program."""
        raise FormatError(
            f"{self.name}: damaged pickle, {why} (near byte {self.source.position}). "
            "Copy it again, or save the arrays with np.savez."
        )

    def refuse(self, what: str) -> NoReturn:
        """Raise FormatError for a program that asks to run something."""
        raise FormatError(
            f"{self.name}: {what}; only numpy arrays, lists, tuples, dicts, numbers and strings "
            f"are read. Nothing was run. {_MEND}"
        )

    def _refuse_opcode(self, code: bytes) -> NoReturn:
        if code in b"PQ":
            self.refuse("refers to objects outside the file (a persistent id)")
        if code in b"\x82\x83\x84":
            self.refuse("would run a registered extension code")
        if code in b"\x81\x92o":
            self.refuse("would create an object of a class")
        if code in b"\x8f\x90\x91":
            self.refuse("holds a set")
        if code in b"\x97\x98":
            self.refuse("keeps its buffers outside the file (out-of-band data)")
        self.fail(f"{code!r} is no pickle instruction")

    def _result(self) -> Any:
        if self.below or len(self.stack) != 1:
            self.fail("it stops with its stack in disorder")
        return self.stack[0]

    # -- arrays -------------------------------------------------------------------------------

    def payload(self, n: int) -> Any:
        """Read a byte string of n bytes."""
        if n < _BULK:
            return self.source.read(n)
        self.source.claim(n)
        cells = np.empty(n, np.uint8)
        self.source.readinto(cells.data)
        return Bulk(cells)

    def make_array(self, data: Any, dtype: Any, shape: Any, *, fortran: bool) -> Any:
        """Return the array of these bytes, native, writable and our own."""
        if isinstance(data, str):  # Python 2 wrote byte strings as text
            data = data.encode("latin-1")
        if not isinstance(dtype, DType):
            self.fail("an array without a dtype")
        kind = self.resolve(dtype)  # before its data: those of an object array are a list
        if not isinstance(data, bytes | Bulk):
            self.fail("an array without data")
        wanted = count_cells(shape, self.name) * kind.itemsize
        if len(data) != wanted:
            self.fail(f"an array of shape {shape} {kind} needs {wanted} bytes, has {len(data)}")
        if isinstance(data, Bulk) and not data.used:
            data.used, flat = True, data.cells.view(kind)
        else:
            self.spend(wanted)
            flat = np.frombuffer(data.cells if isinstance(data, Bulk) else data, kind).copy()
        return to_native(flat.reshape(shape, order="F" if fortran else "C"))

    def resolve(self, dtype: DType) -> np.dtype:
        """Return numpy's dtype for a described one."""
        return parse_dtype(dtype.order + dtype.text, self.name)

    def spend(self, n: int) -> None:
        """Count bytes built: a small file can name one long string many times."""
        self.built += n
        if self.built > self.source.limit:
            raise FormatError(
                f"{self.name}: its arrays together exceed max_bytes = "
                f"{as_size(self.source.max_bytes)}; pass a larger max_bytes= if you trust it."
            )

    # -- the instructions that need more than a line ---------------------------------------------

    def find(self, module: Any, attribute: Any) -> Name:
        """Return the marker of an allowed name; refuse any other, in full."""
        if not isinstance(module, str) or not isinstance(attribute, str):
            self.fail("a name is not text")
        marker = _ALLOWED.get((module, attribute))
        if marker is None:
            asked = f"{module}.{attribute}"[:200]
            self.refuse(f"would run {asked if asked.isprintable() else ascii(asked)}")
        return marker

    def reduce(self) -> None:
        """REDUCE: do what the allowed name stands for."""
        args = self.stack.pop()
        marker = self.stack.pop()
        if not isinstance(marker, Name) or not isinstance(args, tuple):
            self.fail("a call of something that is not a name")
        self.stack.append(self._call(marker, args))

    def _call(self, marker: Name, args: tuple[Any, ...]) -> Any:
        match marker, args:
            case Name.RECONSTRUCT, (Name.NDARRAY, tuple(), bytes() | str()):
                return Shell()
            case Name.DTYPE, (str() as text, _, _):
                return DType(text)
            case Name.FROMBUFFER, (data, dtype, shape, "C" | "F" as order):
                return self.make_array(data, dtype, shape, fortran=order == "F")
            case Name.SCALAR, (DType() as dtype, data):
                return self.make_array(data, dtype, (), fortran=False)[()]
            case Name.ENCODE, (str() as text, "latin1" | "latin-1"):
                self.spend(len(text))
                return text.encode("latin-1")
            case _:
                return self.refuse(
                    f"would run {marker.value} with arguments that no numpy array uses"
                )

    def build(self) -> None:
        """BUILD: the byte order of a dtype, or the content of an array."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, DType):
            match state:
                case (3 | 4, "<" | ">" | "=" | "|" as order, None, None, None, *_):
                    target.order = order
                case (int(), str(), _, tuple(), dict(), *_):
                    parse_dtype({}, self.name)
                case _:
                    self.fail("a dtype in a form that is not known")
        elif isinstance(target, Shell) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            array = self.make_array(data, dtype, shape, fortran=bool(fortran))
            self.stack[-1] = array
            for key in self.shell_keys.pop(id(target), ()):
                self.memo[key] = array
        else:
            self.refuse("would set the state of an object")

    def put(self, key: int) -> None:
        """PUT, MEMOIZE: remember the top of the stack."""
        value = self.stack[-1]
        self.memo[key] = value
        if isinstance(value, Shell):
            self.shell_keys.setdefault(id(value), []).append(key)

    def pop_mark(self) -> list[Any]:
        """Return what was stacked since the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def set_items(self, pairs: list[Any]) -> None:
        """SETITEM(S): keys are text or smaller ints, which hash apart."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(pairs) % 2:
            self.fail("items set on something that is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < 1 << 60):
                self.refuse(f"a dict has a key of type {type(key).__name__}")
            target[key] = value

    def extend(self, items: list[Any]) -> None:
        """APPEND(S)."""
        target = self.stack[-1]
        if not isinstance(target, list):
            self.fail("items appended to something that is no list")
        target.extend(items)

    def pop_or_mark(self) -> None:
        """POP: drop the top, or an open mark with nothing above it."""
        if self.stack:
            self.stack.pop()
        else:
            self.stack = self.below.pop()

    def unsigned(self, n: int) -> int:
        """Read an unsigned little-endian integer of n bytes."""
        return int.from_bytes(self.source.read(n), "little")

    def text(self, n: int) -> str:
        """Read a string of n bytes of UTF-8."""
        self.source.claim(n)
        return self.source.read(n).decode("utf-8", "surrogatepass")

    def long(self, n: int) -> int:
        """Read a signed little-endian integer of n bytes."""
        if n > 1 << 10:
            self.fail(f"an integer of {as_size(n)}")
        return int.from_bytes(self.source.read(n), "little", signed=True)

    def line(self) -> str:
        """Read a line of text (protocol 0)."""
        return self.source.readline().decode("ascii")


def check_plain(value: Any, name: str) -> None:
    """Refuse what is no finished plain value: leftovers, cycles, very deep nesting."""
    trail: list[tuple[int, Any]] = [(0, iter((value,)))]
    open_ids: set[int] = set()
    done: set[int] = set()
    while trail:
        if len(trail) > MAX_DEPTH:
            raise FormatError(
                f"{name}: lists nested more than {MAX_DEPTH} deep: not arrays. {_MEND}"
            )
        key, children = trail[-1]
        for child in children:
            if isinstance(child, Shell | DType | Name | Bulk):
                raise FormatError(
                    f"{name}: damaged pickle, holds an unfinished {type(child).__name__.lower()}. "
                    f"Copy it again. {_MEND}"
                )
            if not isinstance(child, list | tuple | dict) or not child or id(child) in done:
                continue
            if id(child) in open_ids:
                raise FormatError(f"{name}: a list that holds itself: not arrays. {_MEND}")
            open_ids.add(id(child))
            trail.append((id(child), iter(child.values() if isinstance(child, dict) else child)))
            break
        else:
            trail.pop()
            open_ids.discard(key)
            done.add(key)
