"""NumPy's own files: one array (.npy), or a zip of them (.npz).

The header of an array is a Python literal; it is parsed as one, compared with the bytes that are
there, and only then is anything allocated. Members of a zip are read under the sizes the archive
states, whose sum is capped, and through their CRC.
"""

from __future__ import annotations

import ast
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import AncestralError, FormatError
from ancestral.io.dtypes import count_cells, parse_dtype, parse_dtype_or_text, to_native
from ancestral.io.sources import Source, as_size

_MAX_HEADER = 10_000
_MAX_MEMBERS = 100_000


class Header(NamedTuple):
    """What an .npy header promises."""

    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]

    @property
    def n_cells(self) -> int:
        """Numbers that must follow."""
        return count_cells(self.shape, "")

    @property
    def n_bytes(self) -> int:
        """Bytes of data that must follow."""
        return self.n_cells * self.dtype.itemsize


def read_header(
    read: Callable[[int], bytes], name: str, parse: Callable[[Any, str], np.dtype] = parse_dtype
) -> Header:
    """Return the header of an .npy stream, which is passed.

    Parameters
    ----------
    read : callable
        read(n) returns exactly n bytes (or fewer at the end).
    name : str
        For messages.
    parse : callable
        `parse_dtype`, or `parse_dtype_or_text`.
    """
    magic = read(8)
    if len(magic) < 8 or not magic.startswith(b"\x93NUMPY"):
        raise FormatError(f"{name}: is not a NumPy array (.npy): its first bytes are wrong.")
    if magic[6] not in (1, 2, 3):
        raise FormatError(f"{name}: .npy version {magic[6]}.{magic[7]} is not known (1 to 3 are).")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(read(width), "little")
    if length > _MAX_HEADER:
        raise FormatError(f"{name}: a header of {length} bytes; at most {_MAX_HEADER} are read.")
    raw = read(length)
    if len(raw) < length:
        raise FormatError(f"{name}: ends inside its header: it is cut short; copy it again.")
    return _parse_header(raw, name, parse)


def _parse_header(raw: bytes, name: str, parse: Callable[[Any, str], np.dtype]) -> Header:
    """Return the fields of the header's literal."""
    damaged = f"{name}: the .npy header is damaged"
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise FormatError(f"{damaged}: it is not ASCII; copy the file again.") from None
    text = re.sub(r"(\d)L\b", r"\1", text)  # Python 2 wrote long integers so
    try:
        fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise FormatError(f"{damaged}: not a literal; copy the file again.") from None
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise FormatError(f"{damaged}: not a dict of descr, fortran_order and shape.")
    if not isinstance(fields["fortran_order"], bool):
        raise FormatError(f"{damaged}: fortran_order is {str(fields['fortran_order'])[:20]}.")
    count_cells(fields["shape"], name)
    return Header(parse(fields["descr"], name), fields["fortran_order"], fields["shape"])


def _refuse_size(name: str, header: Header, there: int) -> None:
    shape = "x".join(str(n) for n in header.shape) or "single"
    verdict = "copy it again" if there < header.n_bytes else "it is damaged"
    raise FormatError(
        f"{name}: header promises {shape} {header.dtype} = {header.n_bytes:,} bytes, "
        f"file has {there:,}: {verdict}."
    )


def read_npy(source: Source) -> NDArray:
    """Return the array of an .npy file, raw or gzipped."""
    header = read_header(source.read, source.name)
    if not source.gzipped:
        there = source.size - source.position
        if there != header.n_bytes:
            _refuse_size(source.name, header, there)
        flat = rows_at(source.file, source.name, source.position, header.dtype, header.n_cells)
    else:
        source.claim(header.n_bytes)
        flat = np.empty(count_cells(header.shape, source.name), header.dtype)
        source.readinto(flat.view(np.uint8).data)
        source.finish()
    return to_native(flat.reshape(header.shape, order="F" if header.fortran else "C"))


def rows_at(file: IO[bytes], name: str, at: int, dtype: np.dtype, count: int) -> NDArray:
    """Return so many numbers from a place in an unbuffered file."""
    try:
        file.seek(at)
        flat = np.fromfile(file, dtype, count)
    except OSError as error:
        raise FormatError(f"{name}: cannot be read ({error.strerror or error}).") from None
    if flat.size != count:
        raise FormatError(f"{name}: ended while being read; was it changed?")
    return flat


class Archive:
    """The arrays of an .npz, by name, in the archive's order."""

    def __init__(self, source: Source) -> None:
        if source.gzipped:
            raise FormatError(f"{source.name}: a gzipped zip archive: gunzip it first.")
        self.name = source.name
        with as_format_errors(source.name):
            source.file.seek(0)
            self._zip = zipfile.ZipFile(source.file)
            self._refuse_gaps(source)
        self._members = self._checked_members(source)
        self.keys = list(self._members)

    def _refuse_gaps(self, source: Source) -> None:
        """Refuse an index that leaves out or repeats a part of the file: it has no checksum."""
        at, slack = 0, 0
        infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)
        for start, info in [*((i.header_offset, i) for i in infos), (self._zip.start_dir, None)]:
            if not at <= start <= at + slack:
                raise FormatError(
                    f"{self.name}: damaged, its index does not fit its members (at byte {at}); "
                    "copy it again."
                )
            if info is not None:
                source.file.seek(start + 26)
                name, extra = struct.unpack("<HH", source.file.read(4))
                at = start + 30 + name + extra + info.compress_size
                slack = 24 if info.flag_bits & 8 else 0  # sizes may follow the data

    def _checked_members(self, source: Source) -> dict[str, zipfile.ZipInfo]:
        """Return the members by array name; refuse odd names, duplicates and bombs."""
        members: dict[str, zipfile.ZipInfo] = {}
        infos = self._zip.infolist()
        if len(infos) > _MAX_MEMBERS:
            raise FormatError(
                f"{self.name}: {len(infos)} members; at most {_MAX_MEMBERS} are read."
            )
        for info in infos:
            path = info.orig_filename
            if path.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", path) or ":" in path:
                raise FormatError(f"{self.name}: member {path!r} points out of the archive.")
            if not path.endswith(".npy") or "\0" in path:
                raise FormatError(f"{self.name}: {_what_zip(infos, path)}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FormatError(  # LZMA, for one, may claim gigabytes for its dictionary
                    f"{self.name}: member {path!r} is compressed in a way that numpy never uses: "
                    "make the file with np.savez_compressed."
                )
            key = path.removesuffix(".npy")
            if key in members:
                raise FormatError(f"{self.name}: two members are named {path!r}: keep one.")
            members[key] = info
        expanded = sum(info.file_size for info in infos)
        if expanded > source.limit:
            raise FormatError(
                f"{self.name}: expands to {as_size(expanded)} > max_bytes "
                f"{as_size(source.max_bytes)}; pass max_bytes= if you trust it."
            )
        return members

    def pieces(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Pass what is left of a member, through its CRC."""
        while piece := stream.read(1 << 18):
            yield piece

    @contextmanager
    def open(
        self, key: str, parse: Callable[[Any, str], np.dtype] = parse_dtype
    ) -> Iterator[tuple[Header, IO[bytes]]]:
        """Give the header of one array and the stream of its data."""
        name = f"{self.name}: array {key!r}"
        info = self._members[key]
        with as_format_errors(name), self._zip.open(info) as stream:
            header = read_header(stream.read, name, parse)
            there = info.file_size - stream.tell()
            if there != header.n_bytes:
                _refuse_size(name, header, there)
            yield header, stream

    def read(self, key: str, parse: Callable[[Any, str], np.dtype] = parse_dtype) -> NDArray:
        """Return one array, its CRC checked."""
        with self.open(key, parse) as (header, stream):
            flat = np.empty(count_cells(header.shape, key), header.dtype)
            view = flat.view(np.uint8).data
            at = 0
            for piece in self.pieces(stream):
                view[at : at + len(piece)] = piece
                at += len(piece)
            if at != header.n_bytes:
                _refuse_size(f"{self.name}: array {key!r}", header, at)
        return to_native(flat.reshape(header.shape, order="F" if header.fortran else "C"))

    def read_values(self, key: str) -> Any:
        """Return one array of numbers or text as lists of plain values; one value as it is."""
        array = self.read(key, parse_dtype_or_text)
        if array.dtype.kind == "U":
            codes = np.ascontiguousarray(array).reshape(-1).view(np.uint32)
            surrogates = (codes >= 0xD800) & (codes <= 0xDFFF)
            if (surrogates | (codes > 0x10FFFF)).any():  # Python would raise SystemError
                raise FormatError(f"{self.name}: array {key!r} is no text: it is damaged.")
        return array.tolist()


def _what_zip(infos: list[zipfile.ZipInfo], path: str) -> str:
    """Say what kind of zip holds a member that is no array."""
    names = [info.filename for info in infos]
    if "[Content_Types].xml" in names:
        return "is an Office document (.xlsx?): save the sheet as CSV."
    if any(name.endswith("data.pkl") for name in names):
        return "is a PyTorch file: save with np.savez(path, name=tensor.numpy())."
    return f"is a zip, but {path[:80]!r} in it is no array: make the file with np.savez."


@contextmanager
def as_format_errors(name: str) -> Iterator[None]:
    """Turn what zipfile and its decompressors raise into FormatError."""
    try:
        yield
    except AncestralError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        cut = "not a zip file" in str(error) or isinstance(error, EOFError)
        why = "its index is missing: it is cut short" if cut else f"damaged ({error})"
        raise FormatError(f"{name}: {why}; copy it again.") from None
    except (RuntimeError, NotImplementedError, OSError, ValueError, IndexError) as error:
        raise FormatError(f"{name}: this zip cannot be read ({error}); use np.savez.") from None


def natural_order(key: str) -> tuple[Any, ...]:
    """Sort key under which arr_2 comes before arr_10, by digits of any number."""
    parts = re.split(r"(\d+)", key, flags=re.ASCII)
    bare = [part.lstrip("0") for part in parts]
    return tuple((len(b), b) if k % 2 else part for k, (part, b) in enumerate(zip(parts, bare)))
