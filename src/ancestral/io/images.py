"""A folder of grey pictures as one array: PNG or JPEG files of one size, through Pillow.

Only what belongs to a set of pictures is taken: no colour, no transparency, no animation, and
nothing resized, rotated or converted. Sizes are read from the headers and capped before a single
pixel is decoded; the checksums of a PNG are verified, which Pillow by itself does not.
"""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import AncestralError, DataError, FormatError, MissingExtraError
from ancestral.io.files import PathLike, Source, as_size, shown
from ancestral.io.kinds import recognise
from ancestral.io.npy import natural_order

_MAX_FILES = 100_000
_KINDS = ("png", "jpeg")
# Pillow's name of a picture's kind -> the dtype of its grey values.
_GREY = {"L": np.uint8, "1": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.uint16}
_LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini")


class _Form(NamedTuple):
    """What all pictures of a folder must share."""

    height: int
    width: int
    mode: str

    def __str__(self) -> str:
        return f"{self.height} x {self.width}, {self.mode}"


def is_folder(path: PathLike) -> bool:
    """Tell whether a path names a folder that is there; anything odd is none."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError, TypeError):
        return False


def read_images(path: PathLike, *, max_bytes: int) -> NDArray:
    """Return the pictures of a folder in the natural order of their names.

    Parameters
    ----------
    path : str or path-like
        A folder of PNG or JPEG files and nothing else; hidden files are passed over.
    max_bytes : int
        Refuse pictures that take more once decoded, in bytes.

    Returns
    -------
    ndarray of shape (n_images, height, width)
        uint8 (uint16 where the pictures have 16 bits), as stored: 0 is black.

    Raises
    ------
    FormatError
        When the folder holds anything else, or a picture is damaged or too large.
    DataError
        When a picture is in colour, or differs in size or depth from the first.
    MissingExtraError
        Without Pillow.
    """
    name = shown(path)
    files = _files(Path(path), name)
    image = _pillow(name)
    form = _read_form(image, files[0], max_bytes)
    dtype = np.dtype(_GREY[form.mode])
    expanded = len(files) * form.height * form.width * dtype.itemsize
    if expanded > max_bytes:
        raise FormatError(
            f"{name}: {len(files)} pictures of {form} expand to {as_size(expanded)} > max_bytes "
            f"{as_size(max_bytes)}; pass max_bytes= if you trust them."
        )
    stack = np.empty((len(files), form.height, form.width), dtype)
    for k, file in enumerate(files):
        other = form if k == 0 else _read_form(image, file, max_bytes)
        if other != form:
            raise DataError(
                f"{shown(file)}: is {other}, but {shown(files[0].name)} is {form}: "
                "give every picture one size and depth."
            )
        stack[k] = _decode(image, file, max_bytes)
    return stack


def _files(folder: Path, name: str) -> list[Path]:
    """Return the pictures' paths, sorted so that 2 stands before 10."""
    found = []
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise FormatError(f"{name}: cannot be listed ({error.strerror}).") from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _LEFT_BY_SYSTEMS:
            continue
        if entry.is_dir():
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
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError(
            f'{name}: pictures need Pillow: pip install "ancestral[images]".'
        ) from None
    return Image


def _read_form(image: Any, path: Path, max_bytes: int) -> _Form:
    """Return size and kind of a picture from its header; verify the checksums of a PNG."""
    with Source(path, max_bytes=max_bytes) as source:
        picture = _open(image, source)
        form = _Form(picture.height, picture.width, picture.mode)
        if form.mode not in _GREY:
            raise DataError(
                f"{source.name}: is in colour or transparent ({form.mode}): convert to grey, "
                "picture.convert('L') in Pillow."
            )
        if getattr(picture, "n_frames", 1) != 1:
            raise DataError(f"{source.name}: is animated: save one frame.")
        if form.height * form.width * 2 > max_bytes:
            raise FormatError(
                f"{source.name}: a picture of {form} > max_bytes {as_size(max_bytes)}; "
                "pass max_bytes= if you trust it."
            )
        _as_format_errors(picture.verify, source.name)
    return form


def _decode(image: Any, path: Path, max_bytes: int) -> NDArray:
    """Return the pixels of a picture whose header has been checked."""
    with Source(path, max_bytes=max_bytes) as source:
        picture = _open(image, source)
        _as_format_errors(picture.load, source.name)
        return np.asarray(picture)


def _open(image: Any, source: Source) -> Any:
    """Return the picture of a source, nothing of it decoded yet."""
    if source.gzipped:
        raise FormatError(f"{source.name}: a gzipped picture: gunzip it first.")
    kind = recognise(source, _KINDS)
    source.file.seek(0)

    def read() -> Any:
        try:
            return image.open(source.file, formats=(kind.upper(),))
        except image.DecompressionBombError as error:
            raise FormatError(f"{source.name}: is too large. {error}") from None

    return _as_format_errors(read, source.name)


def _as_format_errors(act: Any, name: str) -> Any:
    """Return what a step of Pillow's gives; whatever it raises is a damaged picture."""
    try:
        with warnings.catch_warnings():  # of large pictures: max_bytes is asked instead
            warnings.simplefilter("ignore")
            return act()
    except AncestralError:
        raise
    except Exception as error:  # its decoders raise a dozen types, SyntaxError among them
        why = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise FormatError(f"{name}: damaged picture ({why}); copy it again.") from None
