"""Pickles read as data: an opcode machine that builds plain values and never calls a name.

A pickle is a program for a stack machine, and two of its instructions call whatever function the
file names. Here those names are compared with a short list of exact spellings that numpy's own
arrays use; each stands for a few lines of ours that build the array from dtype, shape and bytes.
Nothing is imported or called on the file's behalf, so there is nothing a file could run.

Read: numpy arrays and scalars of real numbers, lists, tuples, dicts, strings, bytes, ints,
floats, booleans and None, in protocols 0 to 5. Bounded: expanded bytes, bytes built, number of
objects, depth of nesting. The opcodes are those of CPython's `pickletools`; one that is not in the
table is refused.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn

import numpy as np

from ancestral.errors import AncestralError, FormatError
from ancestral.io.dtypes import count_cells, parse_dtype, to_native
from ancestral.io.sources import Source, as_size

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


# ---- the instructions: one small action for each that may occur -----------------------------


def _protocol(m: Machine) -> None:
    version = m.unsigned(1)
    if version > 5:
        m.fail(f"protocol {version} is not known (0 to 5 are)")


def _integer_line(m: Machine) -> None:
    line = m.line()
    m.stack.append(line == "01" if line in ("00", "01") else int(line))


def _string_line(m: Machine) -> None:
    quoted = m.source.readline().strip()
    if len(quoted) < 2 or quoted[:1] not in (b"'", b'"') or quoted[-1:] != quoted[:1]:
        m.fail("a string without quotes")
    m.stack.append(codecs.escape_decode(quoted[1:-1])[0].decode("latin-1"))


def _tuple(n: int) -> Callable[[Machine], None]:
    def act(m: Machine) -> None:
        if len(m.stack) < n:
            m.fail("a tuple of more items than there are")
        m.stack[len(m.stack) - n :] = [tuple(m.stack[len(m.stack) - n :])]

    return act


def _push(read: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    def act(m: Machine) -> None:
        value = read(m)  # first: reading may change which stack is on top
        m.stack.append(value)

    return act


def _dict_of(m: Machine) -> None:
    pairs = m.pop_mark()
    m.stack.append({})
    m.set_items(pairs)


def _mark(m: Machine) -> None:
    m.below.append(m.stack)
    m.stack = []


def _drop_mark(m: Machine) -> None:
    m.pop_mark()


def _stack_global(m: Machine) -> None:
    attribute = m.stack.pop()
    m.stack.append(m.find(m.stack.pop(), attribute))


def _name_line(m: Machine) -> str:
    return m.source.readline().decode("utf-8")


def _signed(m: Machine) -> int:
    return int.from_bytes(m.source.read(4), "little", signed=True)


def _append(m: Machine) -> None:
    m.extend([m.stack.pop()])


def _set_item(m: Machine) -> None:
    value = m.stack.pop()
    m.set_items([m.stack.pop(), value])


def _byte_string(m: Machine) -> str:
    """Python 2's str: text here, latin-1 so that every byte survives."""
    return m.source.read(_counted(m, _signed(m))).decode("latin-1")


def _counted(m: Machine, n: int) -> int:
    """Return a length that can be there."""
    if n < 0:
        m.fail(f"a string of {n} bytes")
    m.source.claim(n)
    return n


ACTIONS: dict[bytes, Callable[[Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: m.source.claim(m.unsigned(8)),  # a frame: its length is only a hint
    b"(": _mark,
    b"0": lambda m: m.pop_or_mark(),
    b"1": _drop_mark,
    b"2": lambda m: m.stack.append(m.stack[-1]),
    # constants and numbers
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"I": _integer_line,
    b"L": _push(lambda m: int(m.line().removesuffix("L"))),
    b"F": _push(lambda m: float(m.line())),
    b"J": _push(_signed),
    b"K": _push(lambda m: m.unsigned(1)),
    b"M": _push(lambda m: m.unsigned(2)),
    b"G": _push(lambda m: struct.unpack(">d", m.source.read(8))[0]),
    b"\x8a": _push(lambda m: m.long(m.unsigned(1))),
    b"\x8b": _push(lambda m: m.long(_counted(m, _signed(m)))),
    # strings and bytes
    b"S": _string_line,
    b"T": _push(_byte_string),
    b"U": _push(lambda m: m.source.read(m.unsigned(1)).decode("latin-1")),
    b"V": _push(lambda m: m.source.readline().decode("raw-unicode-escape")),
    b"\x8c": _push(lambda m: m.text(m.unsigned(1))),
    b"X": _push(lambda m: m.text(m.unsigned(4))),
    b"\x8d": _push(lambda m: m.text(m.unsigned(8))),
    b"C": _push(lambda m: m.payload(m.unsigned(1))),
    b"B": _push(lambda m: m.payload(m.unsigned(4))),
    b"\x8e": _push(lambda m: m.payload(m.unsigned(8))),
    b"\x96": _push(lambda m: m.payload(m.unsigned(8))),
    # containers
    b"]": _push(lambda m: []),
    b"}": _push(lambda m: {}),
    b")": _push(lambda m: ()),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"t": _push(lambda m: tuple(m.pop_mark())),
    b"l": _push(lambda m: m.pop_mark()),
    b"d": _dict_of,
    b"a": _append,
    b"e": lambda m: m.extend(m.pop_mark()),
    b"s": _set_item,
    b"u": lambda m: m.set_items(m.pop_mark()),
    # memo
    b"\x94": lambda m: m.put(len(m.memo)),
    b"q": lambda m: m.put(m.unsigned(1)),
    b"r": lambda m: m.put(m.unsigned(4)),
    b"p": lambda m: m.put(int(m.line())),
    b"h": _push(lambda m: m.memo[m.unsigned(1)]),
    b"j": _push(lambda m: m.memo[m.unsigned(4)]),
    b"g": _push(lambda m: m.memo[int(m.line())]),
    # names, and what is done with them
    b"c": _push(lambda m: m.find(_name_line(m), _name_line(m))),
    b"i": lambda m: m.find(_name_line(m), _name_line(m)) and m.fail("an old-style instance"),
    b"\x93": _stack_global,
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
}
