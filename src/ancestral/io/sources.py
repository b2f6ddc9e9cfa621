"""A user's file as a source of bytes: what it is, and its content read to the very end.

What a file is gets decided by its first bytes, never by its name alone. Gzip is expanded on the
way, counted against a cap, and read through its trailer: a reader that stops at the last byte it
needs would load a truncated or damaged file without noticing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import zlib as _standard_zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ancestral._checks.numbers import warn
from ancestral._files import PathLike, as_size, open_regular, shown
from ancestral.errors import FormatError

_zlib: Any = _standard_zlib
with contextlib.suppress(ImportError):  # several times faster, same results
    _zlib = importlib.import_module("zlib_ng.zlib_ng")

# Bytes expanded at a time (fits the second-level cache), and compressed bytes read at a time.
_PIECE = 1 << 18
_STEP = 1 << 14

__all__ = ["PathLike", "Source", "as_size", "open_regular", "shown"]


class Source:
    """The bytes of a regular file, expanded if gzipped, capped, and checked at their end.

    Parameters
    ----------
    path : str or path-like
    max_bytes : int
        A gzip that expands further is refused; what does not expand is not capped.

    Notes
    -----
    A raw file whose name ends in .gz is read all the same, with one `AncestralWarning`.
    """

    def __init__(self, path: PathLike, *, max_bytes: int) -> None:
        self._file = open_regular(path)
        self.path = Path(path)
        self.name = shown(path)
        self.size = os.fstat(self._file.fileno()).st_size
        self.max_bytes = max_bytes
        self.limit = max(max_bytes, self.size)  # what does not expand is not capped
        try:
            self.gzipped = self._read(2) == b"\x1f\x8b"
            self.rewind()
            self._look_inside()
        except BaseException:  # a warning may have been made an error
            self._file.close()
            raise

    def rewind(self) -> None:
        """Start again at the first byte."""
        self._file.seek(0)
        self._buffer, self._at = b"", 0
        self._pulled = 0  # expanded bytes handed to the buffer so far
        self._tail = b""
        self._inflater: Any = _zlib.decompressobj(wbits=31) if self.gzipped else None

    def _look_inside(self) -> None:
        """Refuse gzip in gzip and empty gzip; warn of a raw file called .gz."""
        head = self.peek(2)
        if self.gzipped and head == b"\x1f\x8b":
            raise FormatError(f"{self.name}: gzipped twice: gunzip once.")
        if not head:
            raise FormatError(f"{self.name}: the gzip holds nothing (0 bytes).")
        if self.path.suffix.lower() == ".gz" and not self.gzipped:
            message = f"{self.name}: is not gzipped, though its name says so; read as it is."
            warn(message)

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Expanded bytes read so far."""
        return self._pulled - len(self._buffer) + self._at

    @property
    def file(self) -> IO[bytes]:
        """The raw file itself, for readers that seek (not gzipped)."""
        return self._file

    def peek(self, n: int) -> bytes:
        """Return the next n bytes (fewer at the end) without passing them."""
        while len(self._buffer) - self._at < n:
            piece = self._pull()
            if not piece:
                break
            self._buffer, self._at = self._buffer[self._at :] + piece, 0
        return self._buffer[self._at : self._at + n]

    def read(self, n: int) -> bytes:
        """Return exactly the next n bytes."""
        stop = self._at + n
        if stop <= len(self._buffer):
            piece = self._buffer[self._at : stop]
            self._at = stop
            return piece
        self.claim(n)
        return b"".join(bytes(piece) for piece in self.chunks(n))

    def readline(self) -> bytes:
        """Return the bytes up to the next newline, which is passed."""
        pieces = []
        while True:
            end = self._buffer.find(b"\n", self._at)
            if end >= 0:
                pieces.append(self._buffer[self._at : end])
                self._at = end + 1
                return b"".join(pieces)
            pieces.append(self._buffer[self._at :])
            self._refill()

    def chunks(self, n: int) -> Iterator[memoryview]:
        """Pass the next n bytes, a piece at a time."""
        while n:
            if self._at == len(self._buffer):
                self._refill()
            piece = memoryview(self._buffer)[self._at : self._at + n]
            self._at += len(piece)
            n -= len(piece)
            yield piece

    def readinto(self, view: memoryview) -> None:
        """Fill a writable buffer of bytes."""
        at = 0
        for piece in self.chunks(len(view)):
            view[at : at + len(piece)] = piece
            at += len(piece)

    def read_all(self) -> bytes:
        """Return everything that is left, the end checked."""
        pieces = [self._buffer[self._at :]]
        while piece := self._pull():
            pieces.append(piece)
        self._buffer, self._at = b"", 0
        return b"".join(pieces)

    def claim(self, n: int) -> None:
        """Refuse, before anything is allocated, n bytes that cannot be there."""
        if self.position + n > self.limit:
            self._refuse_size(f"expands to at least {as_size(self.position + n)}")
        left = self.size - self.position
        if not self.gzipped and n > left:
            raise FormatError(
                f"{self.name}: promises {as_size(n)} at byte {self.position}, but only "
                f"{as_size(left)} are left: it is cut short or damaged; copy it again."
            )

    def finish(self) -> None:
        """Check that nothing follows and that a gzip ends as it should, its CRC right."""
        if self.peek(1):
            raise FormatError(
                f"{self.name}: more bytes follow after its content ends, at byte {self.position}. "
                "Keep one object to a file."
            )

    def _refill(self) -> None:
        """Replace the used-up buffer by the next piece."""
        piece = self._pull()
        if not piece:
            raise FormatError(
                f"{self.name}: ends early, at byte {self._pulled}: it is cut short; copy it again."
            )
        self._buffer, self._at = piece, 0

    def _pull(self) -> bytes:
        """Return the next expanded bytes; none at a proper end."""
        piece = self._inflate() if self.gzipped else self._read(_PIECE)
        self._pulled += len(piece)
        if self._pulled > self.limit:
            self._refuse_size(f"expands to at least {as_size(self._pulled)}")
        return piece

    def _read(self, n: int) -> bytes:
        """Return some bytes of the raw file, n at most."""
        try:
            return self._file.read(n)
        except OSError as error:
            raise FormatError(f"{self.name}: cannot be read ({error.strerror}).") from None

    def _refuse_size(self, what: str) -> None:
        raise FormatError(
            f"{self.name}: {what}, over max_bytes = {as_size(self.max_bytes)}; "
            "pass a larger max_bytes= if you trust it."
        )

    def _inflate(self) -> bytes:
        """Return the next bytes of the gzip, its members one after another."""
        while True:
            if self._inflater.eof and not self._next_member():
                return b""
            data = self._tail or self._read(_STEP)
            if not data:
                raise FormatError(
                    f"{self.name}: gzip ends early, after {as_size(self.size)}: "
                    "it is cut short; copy it again."
                )
            try:
                piece: bytes = self._inflater.decompress(data, _PIECE)
            except _zlib.error as error:
                wrong_sum = "incorrect" in str(error) and "check" in str(error)
                why = "its CRC or length is wrong" if wrong_sum else f"{error}".split(": ")[-1]
                raise FormatError(f"{self.name}: damaged gzip, {why}; copy it again.") from None
            self._tail = self._inflater.unconsumed_tail
            if piece:
                return piece

    def _next_member(self) -> bool:
        """Start the next gzip member, if one follows the padding allowed after the last."""
        rest = self._inflater.unused_data
        while rest.strip(b"\0") == b"":
            rest = self._read(_STEP)
            if not rest:
                return False
        rest = rest.lstrip(b"\0")
        if len(rest) < 2:
            rest += self._read(_STEP)
        if not rest.startswith(b"\x1f\x8b"):
            raise FormatError(f"{self.name}: other data follow the gzip's end; copy it again.")
        self._inflater, self._tail = _zlib.decompressobj(wbits=31), rest
        return True
