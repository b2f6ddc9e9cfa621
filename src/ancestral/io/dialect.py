"""How a text file spells its cells: the mark between them, the marks within numbers, its encoding.

By default cells stand between commas, numbers have a point and no thousands marks, and the text is
UTF-8. Anything else is asked for, under pandas' names: "1,234" is 1.234 with decimal="," and 1234
with thousands=",", and no number without either.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from ancestral.errors import DataError, FormatError
from ancestral.io.numbers import is_plain

_DIGIT = re.compile(r"\d")
_DIGITS = ("", r"\d", r"\d\d")
# Blanks that no eye tells from one another, and the two forms of an apostrophe.
_ALIKE = {mark: alike for alike in (" \u00a0\u2009\u202f", "'\u2019") for mark in alike}
# Byte-order marks, the longer ones first.
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8"),
)


class Options(NamedTuple):
    """The options of a `Dialect`, at their defaults."""

    sep: str = ","
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"


class Dialect:
    """How a text file spells its cells.

    Parameters
    ----------
    sep : str
        The one character between cells.
    decimal : str
        The one character before decimals.
    thousands : str, optional
        The one character between groups of three digits; none when not given. A blank stands for
        blanks of every width.
    encoding : str
        Any that Python knows.

    Raises
    ------
    DataError
        When a mark is no single character, or one that numbers need, or two are the same; when
        the encoding is not known.
    """

    def __init__(
        self,
        sep: str = ",",
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self.options = Options(sep, decimal, thousands, encoding)
        self.sep, self.decimal, self.thousands = sep, decimal, thousands
        for option, value in self.options._asdict().items():
            if option != "encoding" and (option, value) != ("thousands", None):
                _check_mark(option, value)
        if decimal.isspace():
            raise DataError(f"decimal={decimal!r} is a blank; pass a point or a comma.")
        if thousands is not None and not _of_thousands(thousands, decimal):
            mend = "decimal=','" if decimal == "." else "thousands=None"
            raise DataError(
                f"thousands={thousands!r} and decimal={decimal!r} are one mark, and no number "
                f"would be clear: pass {mend}, too."
            )
        self.encoding = _codec(encoding)

    @property
    def chosen(self) -> dict[str, Any]:
        """The options that are not at their defaults, by name."""
        held = self.options._asdict()
        held["encoding"] = self.encoding
        return {k: held[k] for k, default in Options._field_defaults.items() if held[k] != default}

    @cached_property
    def _number(self) -> re.Pattern[str] | None:
        """What a number looks like, in three parts; None where it is spelt as Python does."""
        if self.decimal == "." and self.thousands is None:
            return None
        return re.compile(self.pattern, re.ASCII)

    @property
    def pattern(self) -> str:
        """What a number looks like, as engines without a look ahead read it, too."""
        whole, point = r"\d+", re.escape(self.decimal)
        if self.thousands is not None:
            mark = _of_thousands(self.thousands, self.decimal)
            whole = rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|\d+"
        return rf"\s*([+-]?)(?:({whole})(?:{point}(\d*))?|{point}(\d+))((?:[eE][+-]?\d+)?)\s*"

    @property
    def between(self) -> str:
        """What stands between groups of three digits, as a pattern; "" for nothing."""
        return "" if self.thousands is None else _of_thousands(self.thousands, self.decimal)

    @property
    def is_plain(self) -> bool:
        """Whether numbers are spelt as Python spells them."""
        return self._number is None

    def spelt(self, cell: str) -> str | None:
        """Return the number in a cell as Python spells it; None where the cell holds none.

        Examples
        --------
        >>> swiss = Dialect(thousands="'")
        >>> [swiss.spelt(cell) for cell in ("1'234.5", "12'34", "0'123", "1,5")]
        ['1234.5', None, None, None]
        >>> Dialect(decimal=",", thousands=".").spelt("-1.234,5")
        '-1234.5'
        """
        if self._number is None:
            return cell if is_plain(cell) else None
        match = self._number.fullmatch(cell)
        if match is None:
            return None
        sign, whole, decimals, alone, exponent = match.groups()
        digits = re.sub(r"\D", "", whole or "")
        point = "." if decimals is not None or alone is not None else ""
        return f"{sign}{digits}{point}{decimals or alone or ''}{exponent}"

    def plain_lines(self, text: str) -> str | None:
        """Return lines with their numbers as Python spells them; None where cells must be seen.

        What is a number in a cell here is the same number there, and nothing else is one.
        """
        if self.sep in (self.decimal, *_ALIKE.get(self.thousands or "", self.thousands or "")):
            return None  # quotes tell them apart
        marks, misplaced = self._lines
        if any(pattern.search(f"\n{text}") for pattern in misplaced):
            return None
        return text.translate(marks)

    @cached_property
    def _lines(self) -> tuple[dict[int, str], list[re.Pattern[str]]]:
        """What marks become in lines of plain numbers, and what no such lines have."""
        marks = {ord(self.decimal): "."}
        misplaced = [] if "." in (self.decimal, self.thousands) else [r"\."]
        t, d = _of_thousands(self.thousands or "", self.decimal), re.escape(self.decimal)
        if self.thousands is not None:
            marks |= {ord(mark): "" for mark in _ALIKE.get(self.thousands, self.thousands)}
            # three digits follow it, one to three precede it, which begin with no nought
            noughts = "|".join(rf"(?<=[^\d{t[1:-1]}]0{more}{t})" for more in _DIGITS)
            misplaced.append(rf"{t}(?:(?!\d{{3}}(?!\d))|(?<!\d{t})|(?<=\d{{4}}{t})|{noughts})")
            misplaced += [rf"{d}\d*{t}", rf"[eE][+-]?\d*{t}"]
        return marks, [re.compile(pattern, re.ASCII) for pattern in misplaced]

    def number_in(self, cell: str) -> float | None:
        """Return the number in a cell, infinite where it is too large; None for none."""
        plain = self.spelt(cell)
        return None if plain is None else float(plain)

    def as_utf8(self, raw: bytes, name: str, *, before: int = 0) -> bytes:
        """Return a file's bytes in UTF-8; `before` is how many lines stand before them.

        Raises
        ------
        FormatError
            When the text is in another encoding, with the option that would read it.
        """
        marked = next((known for mark, known in _MARKS if raw.startswith(mark)), None)
        if marked is not None and re.sub("-[lb]e$", "", self.encoding) != marked:
            words = marked.upper()
            asked = "" if self.encoding == "utf-8" else f", and not {self.encoding}"
            raise FormatError(
                f"{name}: is {words} text{asked}: save it as UTF-8, or pass encoding={marked!r}."
            )
        if self.encoding == "utf-8":
            self._refuse_other_bytes(raw, name, before)
            return raw
        try:
            text = raw.decode(self.encoding).encode()
        except UnicodeError as error:
            at = getattr(error, "start", 0)
            place = f"at byte {at}"
            with suppress(UnicodeError):  # of the few that know no "ignore"
                line = before + raw[:at].decode(self.encoding, "ignore").count("\n") + 1
                place = f"on line {line}, {place}"
            raise FormatError(
                f"{name}: is not {self.encoding} {place}: pass the encoding that it was saved in, "
                "or save it as UTF-8."
            ) from None
        except (ValueError, LookupError, AssertionError) as error:
            raise FormatError(f"{name}: cannot be read as {self.encoding} ({error}).") from None
        if self.encoding in ("iso8859-1", "iso8859-15"):
            self._refuse_controls(raw, name, before)
        return text

    def _refuse_other_bytes(self, raw: bytes, name: str, before: int) -> None:
        """Raise FormatError at the first byte that is not UTF-8, with all that would read it."""
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            likely = "cp1252" if _of_windows(raw) else "latin-1"
            head = [line for line in raw[:_HEAD].decode(likely).split("\n") if line.strip()][:5]
            options = ", ".join([f"encoding={likely!r}", *marks_in(head, self)[1]])
            raise FormatError(
                f"{name}: byte 0x{raw[error.start]:02x} on line "
                f"{before + line_of(raw, error.start)} is not UTF-8 ({likely}?): save it as UTF-8, "
                f"or pass {options}, or the encoding that it was saved in."
            ) from None

    def _refuse_controls(self, raw: bytes, name: str, before: int) -> None:
        """Raise FormatError at the first byte that is text in Windows' encoding alone."""
        if (place := _C1.search(raw)) is not None:
            byte, is_text = place[0], _of_windows(raw)
            mend = "the encoding that it was saved in"
            if is_text:
                mend = f"encoding='cp1252', which reads it as {byte.decode('cp1252')!r}"
            raise FormatError(
                f"{name}: byte 0x{byte[0]:02x} on line {before + line_of(raw, place.start())} is "
                f"no character in {self.encoding}, but a control code: pass {mend}."
            )


def _check_mark(option: str, value: Any) -> None:
    """Raise DataError unless a mark is one character that stands in no plain number or quote."""
    if not isinstance(value, str) or len(value) != 1:
        what = "A tab is written '\\t'. " if option == "sep" else ""
        raise DataError(f"{option}={value!r} must be one character. {what}Pass {option}=','.")
    if value.isalnum() or value in '"+-' or (ord(value) < 32 and value != "\t"):
        raise DataError(
            f"{option}={value!r} may be part of a number, or ends a cell or a line: pass another "
            f"character, such as {option}=','."
        )


def _of_thousands(mark: str, decimal: str) -> str:
    """Return the pattern of a mark between groups; "" where it is the mark of decimals."""
    alike = _ALIKE.get(mark, mark)
    return "" if decimal in alike else f"[{re.escape(alike)}]"


def _codec(encoding: Any) -> str:
    """Return Python's own name of an encoding of text."""
    try:
        "a".encode(encoding)  # refuses what is no encoding of text
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except (LookupError, TypeError, ValueError):
        raise DataError(
            f"encoding={encoding!r} is no text encoding that Python knows: pass "
            "encoding='latin-1', "
            "'cp1252', 'utf-16' or alike."
        ) from None


_HEAD = 1 << 16
_C1 = re.compile(rb"[\x80-\x9f]")  # control codes in ISO 8859, most of them text in Windows
_NO_C1 = bytes(byte for byte in range(256) if not 0x80 <= byte <= 0x9F)


def _of_windows(raw: bytes) -> bool:
    """Tell whether bytes may be Windows' encoding of western text, and no ISO 8859."""
    held = set(raw.translate(None, _NO_C1))
    return bool(held) and not held & {0x81, 0x8D, 0x8F, 0x90, 0x9D}


def line_of(raw: bytes, at: int) -> int:
    """Return the number, from 1, of the line in which a byte stands."""
    return raw.count(b"\n", 0, at) + 1


# Numbers of both marks, as in 1.234,5.
_GROUPED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+,\d", re.ASCII)


def marks_in(head: list[str], dialect: Dialect) -> tuple[str, list[str]]:
    """Return the mark that stands between cells of the first lines, and the options that read it.

    The mark is in words; there are none where the dialect's own may stand there.

    Examples
    --------
    >>> marks_in(["size;rent", "75;1.234,50"], Dialect())
    ("';'", ["sep=';'", "decimal=','", "thousands='.'"])
    """
    if not head or (dialect.sep != "," and all(dialect.sep in line for line in head)):
        return "", []
    for mark, words in ((";", "';'"), ("\t", "tab"), ("|", "'|'"), (",", "','")):
        among = (dialect.sep, dialect.decimal, dialect.thousands)
        if mark not in among and all(mark in line for line in head):
            options = [f"sep={mark!r}"]
            if mark == ";" and dialect.decimal == "." and any("," in line for line in head):
                options.append("decimal=','")
                if dialect.thousands is None and any(map(_GROUPED.search, head)):
                    options.append("thousands='.'")
            return words, options
    return "", []


# What might have been meant by a cell that is no number as it stands.
_SPELLINGS = (
    ("decimal='.'", Dialect()),
    ("decimal=','", Dialect(decimal=",")),
    ("thousands=','", Dialect(thousands=",")),
    ("decimal=',' and thousands='.'", Dialect(decimal=",", thousands=".")),
    ("thousands=' '", Dialect(thousands=" ")),
    ("decimal=',' and thousands=' '", Dialect(decimal=",", thousands=" ")),
    ('thousands="\'"', Dialect(thousands="'")),
    ("thousands='_'", Dialect(thousands="_")),
)
_PLAIN = Dialect()


def spellings_of(cell: str, dialect: Dialect = _PLAIN) -> str:
    """Return which options would read a cell, and as which number; "" where none would.

    Examples
    --------
    >>> spellings_of("1,234")
    "1.234 with decimal=',', 1234 with thousands=','"
    >>> spellings_of("1.234", Dialect(";", ","))
    "1.234 with decimal='.', 1234 with decimal=',' and thousands='.'"
    """
    if len(cell) > 60 or not _DIGIT.search(cell) or dialect.number_in(cell) is not None:
        return ""
    found: dict[float, str] = {}
    for words, other in _SPELLINGS:
        value = other.number_in(cell)
        if value is not None:
            found.setdefault(value, words)
    return ", ".join(
        f"{value!r} with {words}".replace(".0 ", " ") for value, words in found.items()
    )
