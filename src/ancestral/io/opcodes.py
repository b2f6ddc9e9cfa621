"""The instructions of a pickle: one small action for each opcode that may occur.

An opcode that is not in the table is refused. The names and meanings are those of CPython's
`pickletools`; the actions that need the machine's state are its methods.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ancestral.io.pickles import Machine


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
            m.fail("a tuple of more than there is")
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
