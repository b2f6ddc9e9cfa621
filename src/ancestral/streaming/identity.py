"""What tells data from others, so that no fit goes on from the checkpoint of another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ancestral.streaming.checking import Roles
from ancestral.streaming.columns import Columns
from ancestral.streaming.source import Source
from ancestral.training.parts import Part, Parts


@dataclass(frozen=True)
class Digests:
    """The SHA-256 of each part, by its number."""

    of: tuple[tuple[int, str], ...]

    def __add__(self, other: Digests) -> Digests:
        return Digests(tuple(sorted((*self.of, *other.of))))


def digested(part: Part) -> Digests:
    """Look at a part for its digest."""
    digest = hashlib.sha256()
    _take(digest, part.data)
    return Digests(((part.number, digest.hexdigest()),))


def identity_of(parts: Parts[Part], source: Source, roles: Roles, columns: Columns | None) -> str:
    """Return what tells checked parts from others, and the same data in other roles.

    Of a source that does not tell, by one more look at all of it.
    """
    own = source.identity or parts.total(digested)
    return f"{own} {roles} {columns and (columns.names, columns.targets)}"


def _take(digest: Any, value: Any) -> None:
    """Add a value, and all that it is made of, to a digest."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.shape} {value.dtype};".encode())
        if value.dtype.kind == "O":
            digest.update(repr(value.tolist()).encode("utf-8", "surrogatepass"))
        else:
            digest.update(np.ascontiguousarray(value).view(np.uint8).data)
    elif isinstance(value, Mapping):
        for name in sorted(value, key=repr):
            digest.update(f"{name!r}:".encode())
            _take(digest, value[name])
    elif isinstance(value, list | tuple):
        digest.update(f"{len(value)}[".encode())
        for one in value:
            _take(digest, one)
    elif hasattr(value, "__dict__"):
        _take(digest, vars(value))
    else:
        digest.update(f"{value!r};".encode())
