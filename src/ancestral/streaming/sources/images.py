"""Folders of grey pictures, a batch of them at a time, each a row of its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral.io.images import Form, read_image
from ancestral.streaming.source import PART_BYTES, Source
from ancestral.streaming.sources.files import File, identity_of

MOST_BYTES = 512 << 20  # of one picture


@dataclass(frozen=True)
class ImagesPiece:
    """Some pictures of a folder.

    Parameters
    ----------
    files : tuple of File
    form : Form
        Of all.
    first : str
        The picture that has this form.
    start : int
    """

    files: tuple[File, ...]
    form: Form
    first: str
    start: int

    @property
    def n_rows(self) -> int:
        """Pictures."""
        return len(self.files)

    @property
    def n_bytes(self) -> int:
        """Of the pixels, as they are stored."""
        height, width, bits = self.form
        return self.n_rows * height * width * (1 + (bits > 8))

    @property
    def of(self) -> str:
        """All pictures."""
        return "all pictures"

    def read(self) -> NDArray:
        """Return the pixels, of shape (n_pictures, height * width)."""
        rows = []
        for file in self.files:
            with file.here() as path:
                _, pixels = read_image(path, max_bytes=MOST_BYTES, like=(self.form, self.first))
            rows.append(pixels.reshape(-1))
        return np.stack(rows)


class Images(Source):
    """The pictures of folders, in the natural order of their names.

    Parameters
    ----------
    files : sequence of File
    rows : int, optional
        Pictures in a part; about 32 MiB of numbers when not given.
    """

    def __init__(self, files: Sequence[File], rows: int | None = None) -> None:
        self.files = files
        with files[0].here() as path:
            self.form, _ = read_image(path, max_bytes=MOST_BYTES)
        height, width, _ = self.form
        self.rows = rows or max(1, PART_BYTES // (8 * height * width))

    def parts(self) -> list[ImagesPiece]:
        """Return the batches."""
        first = self.files[0].name
        return [
            ImagesPiece(tuple(self.files[k : k + self.rows]), self.form, first, k)
            for k in range(0, len(self.files), self.rows)
        ]

    @property
    def identity(self) -> str:
        """SHA-256 of the pictures' paths, sizes and times."""
        return identity_of(self.files)
