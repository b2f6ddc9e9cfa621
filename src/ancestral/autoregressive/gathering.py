"""Rows of parts as level codes, end to end in one memory: for models that need all of them at once.

Each part brings the levels it saw and codes into these; what all saw becomes the levels of the fit,
and the codes are made codes into those. The parts are looked at once, wherever they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.autoregressive.codes import Coding
from ancestral.autoregressive.levels import DiscreteDensity, SeenLevels
from ancestral.errors import ModelError
from ancestral.training.parts import Part, Parts

MOST = 256 << 20  # bytes of codes
CODED_AT_ONCE = 1 << 16  # rows
MEND = (
    "Give a random sample of the rows; or fit TabularAutoregressive or LSTMAutoregressive, which "
    "take any number of rows in parts."
)
Codes = NDArray[Any]  # of integers


def codes_of(model: DiscreteDensity, parts: Parts[Part], **options: Any) -> Codes:
    """Return the codes of all rows, in as few bytes as hold them; the model learns its levels.

    Raises ModelError where they take more than 256 MiB, and for a checkpoint.
    """
    name = type(model).__name__
    if options:
        raise ModelError(
            f"{name} looks at its data once, and keeps nothing. Leave checkpoint= out."
        )
    coded = parts.total(Code(name, MOST))
    model.categories_ = model._categories_of(coded.seen.table)
    kind = _kind_of(max(map(len, model.categories_)))
    found = []
    for table, codes in coded.parts:
        own = model._encode(table).astype(kind)  # what the codes of this part are in the fit
        found.append(np.take_along_axis(own, codes.astype(np.intp), axis=0))
    return np.concatenate(found)


def _kind_of(n_levels: int) -> Any:
    return np.min_scalar_type(-n_levels)


@dataclass(frozen=True)
class Code:
    """A look that gives a part's codes, for a model of this name."""

    name: str
    most: int

    def __call__(self, part: Part) -> Coded:
        X = part.model._rows_of_levels(part.data[0])
        seen = SeenLevels.of(X)
        coding, kind = Coding(list(map(_distinct, seen.table.T))), _kind_of(len(seen.table))
        codes = [  # few rows at a time: codes take eight bytes each
            coding.codes(X[i : i + CODED_AT_ONCE])[0].astype(kind)
            for i in range(0, len(X), CODED_AT_ONCE)
        ]
        return Coded(((seen.table, np.concatenate(codes)),), seen, self).within()


def _distinct(column: NDArray) -> NDArray:
    """Return a column of `SeenLevels` without what is repeated at its end."""
    repeated = column[1:] == column[0]
    return column[: int(np.argmax(repeated)) + 1] if repeated.any() else column


@dataclass(frozen=True)
class Coded:
    """Codes of parts, and all levels: merged by `+`, in the order of the parts.

    Parameters
    ----------
    parts : tuple of (table, codes)
        A part's `SeenLevels.table`, and the places of its values in the columns of that.
    seen : SeenLevels
    look : Code
        That bounds them.
    """

    parts: tuple[tuple[NDArray, Codes], ...]
    seen: SeenLevels
    look: Code

    def __add__(self, other: Coded) -> Coded:
        return Coded(self.parts + other.parts, self.seen + other.seen, self.look).within()

    def within(self) -> Coded:
        """Return these codes; ModelError where they are too many to be held."""
        size = sum(codes.nbytes for _, codes in self.parts)
        if size > self.look.most:
            rows = sum(len(codes) for _, codes in self.parts)
            raise ModelError(
                f"{self.look.name} is fitted to all rows at once, but {rows} of them are "
                f"{size >> 20} MiB of codes, above the {self.look.most >> 20} MiB that are kept. "
                f"{MEND}"
            )
        return self
