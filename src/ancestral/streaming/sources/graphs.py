"""Folders of graphs: the graphs of one file at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ancestral.io.graphs import read_graphs
from ancestral.streaming.source import Source
from ancestral.streaming.sources.files import File, identity_of


@dataclass(frozen=True)
class GraphsPiece:
    """The graphs of one file.

    Parameters
    ----------
    file : File
    how : mapping
        Options of `ancestral.io.read_graphs`.
    """

    file: File
    how: Mapping[str, Any] = field(default_factory=dict)
    n_rows: int | None = None
    start: int | None = None

    @property
    def n_bytes(self) -> int:
        """Of the file."""
        return self.file.size

    @property
    def of(self) -> str:
        """The file."""
        return self.file.name

    def read(self) -> list[Any]:
        """Return the graphs."""
        with self.file.here() as path:
            return read_graphs(path, **self.how)


class Graphs(Source):
    """The graphs of files.

    Parameters
    ----------
    files : sequence of File
    how : mapping, optional
        Options of `ancestral.io.read_graphs`. Levels of groups are those that occur in a file:
        name them by `categorical`, where files differ.
    """

    def __init__(self, files: Sequence[File], how: Mapping[str, Any] | None = None) -> None:
        self.files, self.how = files, dict(how or {})

    def parts(self) -> list[GraphsPiece]:
        """Return the files."""
        return [GraphsPiece(file, self.how) for file in self.files]

    @property
    def identity(self) -> str:
        """SHA-256 of the files' paths, sizes and times, and of how they are read."""
        return identity_of(self.files, self.how)
