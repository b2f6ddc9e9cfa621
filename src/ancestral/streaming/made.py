"""A source whose parts are made of those of another, each as it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ancestral.streaming.source import Piece, Source


@dataclass(frozen=True)
class MadePiece:
    """A part, and what is made of it: a function that travels."""

    piece: Any
    make: Callable[[Any], Any]

    @property
    def n_rows(self) -> int | None:
        """Of the part."""
        return self.piece.n_rows

    @property
    def n_bytes(self) -> int | None:
        """Of the part."""
        return self.piece.n_bytes

    @property
    def start(self) -> int | None:
        """Of the part."""
        return self.piece.start

    @property
    def of(self) -> str:
        """Of the part."""
        return str(self.piece.of)

    def place_of(self, row: int) -> str | None:
        """Return where a row stands, in words; None where the part does not tell."""
        tells = getattr(self.piece, "place_of", None)
        return None if tells is None else tells(row)

    def read(self) -> Any:
        """Return what is made of the rows."""
        return self.make(self.piece.read())


class Made(Source):
    """Another source's parts, of the same rows.

    Parameters
    ----------
    source : Source
    make : callable
        Takes what a part reads; pickles.
    """

    def __init__(self, source: Source, make: Callable[[Any], Any]) -> None:
        self.source, self.make = source, make
        self.again, self.fresh, self.named = source.again, source.fresh, source.named

    def parts(self) -> list[Piece]:
        """Return the parts."""
        return [MadePiece(piece, self.make) for piece in self.source.parts()]

    @property
    def identity(self) -> str:
        """That of the source, and of what is made of it."""
        return f"{self.source.identity} {self.make.__qualname__}"
