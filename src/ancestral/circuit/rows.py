"""Rows as training reads them: codes of levels and atoms, numbers on the columns' scales."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit.columns import Column
from ancestral.circuit.leaves import Scale
from ancestral.training.parts import Part

_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Layout:
    """Where each column's table stands among the stacked ones.

    Parameters
    ----------
    sizes : ndarray of shape (d,)
        Levels, or atoms and all else, or 1 for counts; a table has one row more, for a gap.
    starts : ndarray of shape (d + 1,)
    smooth, counts : ndarray
        Numbers of the columns that have normals, and of those of counts.
    """

    sizes: NDArray[np.intp]
    starts: NDArray[np.intp]
    smooth: NDArray[np.intp]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, columns: list[Column]) -> Layout:
        sizes = [len(c.levels) if c.has_levels else len(c.atoms) + 1 for c in columns]
        kinds = np.array([column.kind for column in columns])
        starts = np.r_[0, np.cumsum(np.array(sizes) + 1)]
        smooth, counts = np.flatnonzero(kinds == "continuous"), np.flatnonzero(kinds == "count")
        return cls(np.array(sizes), starts, smooth, counts)

    @property
    def gaps(self) -> NDArray[np.intp]:
        """The rows of the stacked tables that stand for gaps."""
        return self.starts[1:] - 1


@dataclass(frozen=True)
class Rows:
    """Rows as training reads them, each as often as its weight says.

    Parameters
    ----------
    codes : ndarray of shape (n, d)
        Of levels; of atoms, or their number for any other value; the column's size for a gap.
    y : ndarray of shape (n, number of continuous columns)
        On the columns' scales; 0 for atoms and gaps.
    numbers : ndarray of shape (n, number of counts)
    shift : ndarray of shape (n,)
        What the log density has beside that of y over the shared tail.
    weights : ndarray of shape (n,)
    """

    codes: NDArray[Any]
    y: NDArray[np.float32]
    numbers: NDArray[np.float64]
    shift: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        table: NDArray[np.float64],
        columns: list[Column],
        layout: Layout,
        weights: NDArray[np.float64],
    ) -> Rows:
        """Return encoded rows, (n, d), as training reads them."""
        return cls.of_columns(table.T, columns, layout, weights)

    @classmethod
    def of_columns(
        cls,
        encoded: Iterable[NDArray[np.float64]],
        columns: list[Column],
        layout: Layout,
        weights: NDArray[np.float64],
    ) -> Rows:
        """Return rows whose columns come one at a time; of weight 0 where nothing is known."""
        n, d = len(weights), len(columns)
        kind = np.int16 if layout.sizes.max() < 1 << 15 else np.int32
        codes = np.empty((n, d), kind)
        y = np.zeros((n, len(layout.smooth)), np.float32)
        numbers = np.zeros((n, len(layout.counts)))
        shift, known = np.zeros(n), np.zeros(n, bool)
        k = 0
        for j, (column, values) in enumerate(zip(columns, encoded, strict=True)):
            gaps = np.isnan(values)
            known |= ~gaps
            if column.has_levels:
                codes[:, j] = np.where(gaps, layout.sizes[j], values)
                continue
            if column.kind == "count":
                codes[:, j] = gaps
                numbers[:, np.searchsorted(layout.counts, j)] = values
                continue
            scale = cast(Scale, column.scale)
            place = np.searchsorted(column.atoms, values)
            found = np.zeros(n, bool)
            if len(column.atoms):
                found = column.atoms[np.minimum(place, len(column.atoms) - 1)] == values
            smooth = ~found & ~gaps
            codes[:, j] = np.where(found, place, len(column.atoms) + gaps)
            own = scale.forward(values[smooth])
            y[smooth, k] = own
            shift[smooth] += scale.log_slope(values[smooth]) - 0.5 * _LOG_2PI
            tail = scale.tail
            shift[smooth] -= 0.5 * (own / tail) ** 2 + np.log(tail)
            k += 1
        return cls(codes, y, numbers, shift, weights * known)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, which: NDArray[np.intp], weights: NDArray[np.float64]) -> Rows:
        """Return some of the rows, weighed anew."""
        return Rows(
            self.codes[which], self.y[which], self.numbers[which], self.shift[which], weights
        )

    def parts(self, size: int) -> list[Rows]:
        """Return the rows in parts of so many, as views."""
        cuts = [slice(start, start + size) for start in range(0, max(1, len(self)), size)]
        return [
            Rows(self.codes[c], self.y[c], self.numbers[c], self.shift[c], self.weights[c])
            for c in cuts
        ]


@dataclass(frozen=True)
class Encode:
    """Makes rows of a part as training reads them."""

    columns: list[Column]
    layout: Layout

    def __call__(self, part: Part) -> Rows:
        given, *weights = part.data
        counts = weights[0] if weights else np.ones(len(given))
        values = (column.encode(given.columns[column.place]) for column in self.columns)
        return Rows.of_columns(values, self.columns, self.layout, counts)
