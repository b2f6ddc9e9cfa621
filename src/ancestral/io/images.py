"""A folder of grey pictures as one array: PNG or JPEG files of one size and depth, through Pillow.

Only what belongs to a set of pictures is taken: no colour, no palette, no transparency, no
animation, and nothing resized, rotated or converted. Sizes are read from the headers and capped
before a single pixel is decoded. The files are checked here, because Pillow fills what is missing
with zeros: a PNG's checksums, and that its data are as many bytes as its rows; a JPEG's markers to
its end, and that its coded data end with its last block. Other damage inside a JPEG's coded data
changes pixels, and nothing in the file tells of it.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._extras import import_extra
from ancestral._files import as_path, entries_of, is_folder
from ancestral.errors import AncestralError, DataError, FormatError
from ancestral.io.kinds import recognise
from ancestral.io.npy import natural_order
from ancestral.io.sources import PathLike, Source, as_size, shown

_MAX_FILES = 100_000
_KINDS = ("png", "jpeg")
# Pillow's names of grey pictures. It stretches 2 and 4 bits to 8.
_GREY = ("L", "1", "I;16", "I;16B", "I")
_STRETCHED = {2: 85, 4: 17}
_LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini")
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
_PIECE = 1 << 18
_ONE_AT_A_TIME = threading.Lock()


class Form(NamedTuple):
    """What all pictures of a folder must share."""

    height: int
    width: int
    bits: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width}, {self.bits} bit{'s' * (self.bits > 1)}"

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint16 if self.bits > 8 else np.uint8)


class _Probes(NamedTuple):
    """Altered copies of a picture's file that tell where its coded data end."""

    beyond: tuple[bytes, ...] = ()  # more data after each end: no pixel may change
    within: tuple[bytes, ...] = ()  # other data before the last end: a pixel must change


def read_images(path: PathLike, *, max_bytes: int) -> NDArray:
    """Return the pictures of a folder in the natural order of their names.

    Parameters
    ----------
    path : str or path-like
        A folder of PNG or JPEG files and nothing else; hidden files are passed over.
    max_bytes : int
        Refuse pictures that take more once decoded, and files that are larger, in bytes.

    Returns
    -------
    ndarray of shape (n_images, height, width)
        uint8 (uint16 where the pictures have 16 bits), as stored: 0 is black, and white is
        2^bits - 1.

    Raises
    ------
    FormatError
        When the folder holds anything else, or a picture is damaged or too large.
    DataError
        When a picture is in colour, or differs in size or depth from the first.
    MissingExtraError
        Without Pillow.
    """
    name = shown(as_path(path))
    files = _files(Path(path), name)
    first: tuple[Form, str] | None = None
    for k, file in enumerate(files):
        form, pixels = read_image(file, max_bytes=max_bytes, like=first)
        if first is None:
            stack, first = _room(name, len(files), form, max_bytes), (form, shown(file.name))
        stack[k] = pixels
    return stack


def read_image(
    path: PathLike, *, max_bytes: int, like: tuple[Form, str] | None = None
) -> tuple[Form, NDArray]:
    """Return the size and depth of a picture, and its pixels as they are stored.

    `like` is the form that it must have, and which picture has it. Raises as `read_images`.
    """
    image = _pillow(shown(path))
    with Source(path, max_bytes=max_bytes) as source:
        content, form, probes = _checked_content(source)
        if like is not None and form != like[0]:
            raise DataError(
                f"{source.name}: is {form}, but {like[1]} is {like[0]}: "
                "give every picture one size and depth."
            )
        pixels = _decoded(image, content, form, source.name)
        decode = partial(_decoded, image, form=form, name=source.name)
        _check_probes(probes, pixels, decode, source.name)
    return form, pixels


def _room(name: str, n: int, form: Form, max_bytes: int) -> NDArray:
    """Return the array that the pictures will fill, unless it is too large."""
    expanded = n * form.height * form.width * form.dtype.itemsize
    if expanded > max_bytes:
        raise FormatError(
            f"{name}: {n} pictures of {form} expand to {as_size(expanded)} > max_bytes "
            f"{as_size(max_bytes)}; pass max_bytes= if you trust them."
        )
    return np.empty((n, form.height, form.width), form.dtype)


def _files(folder: Path, name: str) -> list[Path]:
    """Return the pictures' paths, sorted so that 2 stands before 10."""
    found = []
    for entry in entries_of(folder):
        if entry.name.startswith(".") or entry.name.lower() in _LEFT_BY_SYSTEMS:
            continue
        if is_folder(entry):
            raise FormatError(
                f"{name}: holds the folder {shown(entry.name)!r}; give a folder of pictures only."
            )
        found.append(entry)
        if len(found) > _MAX_FILES:
            raise FormatError(f"{name}: holds more than {_MAX_FILES:,} files: save one .npy.")
    if not found:
        raise FormatError(f"{name}: is a directory without pictures. Give a file, or fill it.")
    return sorted(found, key=lambda file: natural_order(file.name))


def _pillow(name: str) -> Any:
    """Return the module that decodes."""
    return import_extra("PIL.Image", f"{name}: a folder of pictures", "images")


def _checked_content(source: Source) -> tuple[bytes, Form, _Probes]:
    """Return a picture's file, what its header says, and probes, once the whole file is checked."""
    if source.gzipped:
        raise FormatError(f"{source.name}: a gzipped picture: gunzip it first.")
    kind = recognise(source, _KINDS)
    if source.size > source.max_bytes:
        raise FormatError(
            f"{source.name}: is too large, a picture of {as_size(source.size)} > max_bytes "
            f"{as_size(source.max_bytes)}; pass max_bytes= if you trust it."
        )
    content = source.read_all()
    try:
        if kind == "png":
            form, probes = _check_png(content, source), _Probes()
        else:
            form, probes = _check_jpeg(content, source)
    except (_DamageError, IndexError) as error:
        why = str(error) if isinstance(error, _DamageError) else "it ends early"
        raise _damaged(source.name, why) from None
    return content, form, probes


class _DamageError(Exception):
    """What is wrong with a picture's file."""


def _damaged(name: str, why: str) -> FormatError:
    return FormatError(f"{name}: damaged picture ({why}); copy it again.")


def _check_form(form: Form, source: Source) -> Form:
    """Refuse a size that is none, or whose pixels take too much memory."""
    if not (form.height and form.width):
        raise _DamageError(f"its size is {form.height} x {form.width}")
    if form.height * form.width * 2 > source.max_bytes:
        raise FormatError(
            f"{source.name}: is too large, a picture of {form} > max_bytes "
            f"{as_size(source.max_bytes)}; pass max_bytes= if you trust it."
        )
    return form


# ---- PNG --------------------------------------------------------------------------------------


def _check_png(content: bytes, source: Source) -> Form:
    """Check a grey PNG: every checksum, its end, and that all its rows are there."""
    form, interlaced, data = None, False, []
    for name, chunk in _chunks(content):
        if (form is None) != (name == b"IHDR") or (name == b"IHDR" and len(chunk) != 13):
            raise _DamageError("it does not begin with one header")
        if name == b"IHDR":
            width, height = (int.from_bytes(chunk[k : k + 4], "big") for k in (0, 4))
            form, interlaced = Form(height, width, chunk[8]), bool(chunk[12])
            if chunk[9]:
                _refuse_colour(source.name, {2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}.get(chunk[9]))
        elif name == b"tRNS":
            _refuse_colour(source.name, "a transparent grey")
        elif name == b"acTL":
            raise DataError(f"{source.name}: is animated: save one frame.")
        elif name == b"IDAT":
            data.append(chunk)
    form = _check_form(form, source)  # type: ignore[arg-type]  # _chunks gives one or raises
    if form.bits not in (1, 2, 4, 8, 16):
        raise _DamageError(f"it has {form.bits} bits for a pixel")
    _check_rows(data, form, interlaced=interlaced)
    return form


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Pass the chunks of a PNG, the last of them IEND, at whose end the file ends."""
    view, at, name = memoryview(content), 8, b""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise _DamageError("its first bytes were changed, as by a transfer as text")
    while name != b"IEND":
        size, name = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        stop = at + 12 + size
        if stop > len(content):
            raise _DamageError(f"cut short after {as_size(len(content))}")
        if zlib.crc32(view[at + 4 : stop - 4]) != int.from_bytes(view[stop - 4 : stop], "big"):
            raise _DamageError(f"the checksum at byte {stop - 4} is wrong")
        yield name, view[at + 8 : stop - 4]
        at = stop
    if at != len(content):
        raise _DamageError(f"more bytes follow after its end, at byte {at}")


def _check_rows(data: list[memoryview], form: Form, *, interlaced: bool) -> None:
    """Check that the compressed data end properly, after as many bytes as the rows take."""
    wanted = 0
    for x, y, dx, dy in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        width, height = -(-(form.width - x) // dx), -(-(form.height - y) // dy)
        if width > 0 and height > 0:
            wanted += height * (1 + (width * form.bits + 7) // 8)
    inflater, found = zlib.decompressobj(), 0
    try:
        for chunk in data:
            rest: Any = chunk
            while rest is not None and not inflater.eof and found <= wanted:
                piece = inflater.decompress(rest, _PIECE)
                found += len(piece)
                rest = inflater.unconsumed_tail
                if not rest and len(piece) < _PIECE:  # a full piece may have more behind it
                    rest = None
    except zlib.error as error:
        raise _DamageError(f"its data do not expand: {error}") from None
    if found != wanted:
        rows = found * form.height // wanted
        few = f"its data end after row {rows} of {form.height}"
        raise _DamageError(few if found < wanted else "its data hold more than its rows")
    if not inflater.eof:
        raise _DamageError("its data have no end")


def _refuse_colour(name: str, mode: str | None) -> None:
    raise DataError(
        f"{name}: is in colour or transparent ({mode}): convert to grey, "
        "picture.convert('L') in Pillow."
    )


# ---- JPEG -------------------------------------------------------------------------------------

# In coded data, ff is followed by 0 or by the number of a restart; ff may be repeated.
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: what decoders agree on
_PROGRESSIVE = 0xC2
# Whatever the codes and the place of the bits in them, these are not both what was there.
_OTHER_DATA = (b"\x5b\xd2" * 8, b"\xa9\x2d" * 8)


def _check_jpeg(content: bytes, source: Source) -> tuple[Form, _Probes]:
    """Check a grey JPEG: every marker to the last, the number of restarts, one size."""
    form, interval, pieces, at, progressive = None, 0, [], 2, False
    while True:
        marker, at = _marker(content, at)
        if marker == 0xD9:
            break
        size = int.from_bytes(content[at : at + 2], "big")
        body = content[at + 2 : at + size]
        at += size
        if size < 2 or at > len(content):
            raise _DamageError(f"cut short after {as_size(len(content))}")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if form is not None or marker not in _FRAMES or len(body) < 6:
                raise _DamageError(f"of a kind that is not read, ff{marker:02x}")
            if body[5] != 1:
                _refuse_colour(source.name, {3: "RGB", 4: "CMYK"}.get(body[5]))
            height, width = (int.from_bytes(body[k : k + 2], "big") for k in (1, 3))
            form = _check_form(Form(height, width, body[0]), source)
            progressive = marker == _PROGRESSIVE
            if form.bits != 8:
                raise DataError(f"{source.name}: has {form.bits} bits for a pixel: save a PNG.")
        elif marker == 0xDD:
            interval = int.from_bytes(body[:2], "big")
        elif marker == 0xDA:
            if form is None:
                raise _DamageError("its data come before its header")
            pieces += _check_scan(content, at, form, interval)
            at = pieces[-1][1]
    if not pieces:
        raise _DamageError("it holds no picture")
    if content[at:].strip(b"\0"):  # some programs fill the last block
        raise _DamageError(f"more bytes follow after its end, at byte {at}")
    probes = _probes(content, pieces, progressive=progressive)
    return form, probes  # type: ignore[return-value]  # a scan follows a frame


def _probes(content: bytes, pieces: list[tuple[int, int]], *, progressive: bool) -> _Probes:
    """Return the probes of a JPEG with these pieces of coded data.

    Where data are missing, a decoder takes what stands beyond their end for the missing blocks; it
    looks at nothing beyond the last block.
    """
    ends = [end for _, end in pieces]
    between = [content[a:b] for a, b in zip([0, *ends], [*ends, len(content)], strict=True)]
    start, end = pieces[-1]
    start = max(start, end - len(_OTHER_DATA[0]))
    start += content[start - 1] == 0xFF  # a zero follows, which is no data
    # which bits of a progressive scan show in a pixel depends on the others
    within = () if progressive else _OTHER_DATA
    return _Probes(
        tuple(other.join(between) for other in _OTHER_DATA),
        tuple(content[:start] + other[: end - start] + content[end:] for other in within),
    )


def _marker(content: bytes, at: int) -> tuple[int, int]:
    """Return the marker that stands at a place, and where it ends."""
    found = _MARKER.match(content, at)
    if found is None:
        cut = at >= len(content.rstrip(b"\xff"))
        raise _DamageError("it ends early" if cut else f"no marker at byte {at}")
    return found[1][0], found.end()


def _check_scan(content: bytes, at: int, form: Form, interval: int) -> list[tuple[int, int]]:
    """Check that a scan's restarts are counted through; return where its pieces begin and end."""
    blocks, restarts, pieces = -(-form.height // 8) * -(-form.width // 8), 0, []
    while True:
        found = _MARKER.search(content, at)
        if found is None:
            raise _DamageError("its data have no end: it is cut short")
        pieces.append((at, found.start()))
        if found[1][0] not in _RESTARTS:
            break
        if found[1][0] != _RESTARTS[restarts % 8]:
            raise _DamageError(f"a piece is missing before byte {found.start()}")
        restarts, at = restarts + 1, found.end()
    if restarts != ((blocks - 1) // interval if interval else 0):
        raise _DamageError("pieces of its data are missing")
    if any(start == end for start, end in pieces):
        raise _DamageError("its data are empty")
    return pieces


# ---- decoding ---------------------------------------------------------------------------------


def _decoded(image: Any, content: bytes, form: Form, name: str) -> NDArray:
    """Return the pixels of a picture whose file has been checked, as they are stored."""
    try:
        with _strictly(), image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
            if picture.mode not in _GREY:
                _refuse_colour(name, picture.mode)
            if (picture.height, picture.width) != (form.height, form.width):
                raise _DamageError(f"it decodes to {picture.height} x {picture.width}")
            picture.load()
            pixels = np.asarray(picture)
    except (AncestralError, MemoryError):
        raise
    except Exception as error:  # its decoders raise a dozen types, SyntaxError among them
        why = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise _damaged(name, why) from None
    return pixels // _STRETCHED[form.bits] if form.bits in _STRETCHED else pixels


def _check_probes(
    probes: _Probes, pixels: NDArray, decode: Callable[[bytes], NDArray], name: str
) -> None:
    """Check that a picture's coded data end where its last block does."""
    if not all(np.array_equal(decode(probe), pixels) for probe in probes.beyond):
        raise _damaged(name, "its data end before its last block")
    if probes.within and pixels.min() < pixels.max():  # else one code may be all there is
        for probe in probes.within:
            try:
                if not np.array_equal(decode(probe), pixels):
                    return
            except FormatError:
                return
        raise _damaged(name, "its data go on after its last block")


@contextmanager
def _strictly() -> Iterator[None]:
    """Let Pillow take nothing that it warns of, whatever the program has told it to tolerate."""
    from PIL import Image, ImageFile

    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("error")
        before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
        # of large pictures, max_bytes was asked
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, None
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before
