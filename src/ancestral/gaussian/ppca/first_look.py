"""A first look at rows: their moments, or that some of them have gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ancestral import _arrays
from ancestral._checks.numbers import check_weights
from ancestral.errors import DataError
from ancestral.gaussian.ppca.folds import Folds
from ancestral.gaussian.ppca.missing_columns import Rows, refuse_unknown_columns
from ancestral.statistics import Moments
from ancestral.training.parts import Part


@dataclass(frozen=True)
class Seen:
    """What a first look gives: moments as long as rows are complete.

    Parameters
    ----------
    moments : Moments, Folds or None
    counted : bool
        Whether some row counts.
    gaps : bool
        Whether some row has gaps.
    """

    moments: Moments | Folds | None
    counted: bool
    gaps: bool

    def of_complete_rows(self, n_features: int) -> Moments | Folds:
        """Return the moments; DataError where no row counts, or nothing is known of any."""
        if not self.counted:
            check_weights([0.0], 1)
        if self.moments is None:
            refuse_unknown_columns(np.zeros(n_features))
        return cast("Moments | Folds", self.moments)

    def __add__(self, other: Seen) -> Seen:
        counted, gaps = self.counted or other.counted, self.gaps or other.gaps
        one, more = self.moments, other.moments
        if gaps:
            return Seen(None, counted, gaps)
        merged = one + more if one is not None and more is not None else one or more
        return Seen(merged, counted, gaps)


@dataclass(frozen=True)
class FirstLook:
    """Takes the moments of rows, dealt to folds by a seed where there is one.

    Raises DataError at the first gap of data that cannot be read `again`.
    """

    seed: int | None
    again: bool

    def __call__(self, part: Part) -> Seen:
        X, *given = part.data
        weights = given[0] if given else None
        if weights is not None and not weights.all():
            X, weights = _arrays.to_host(X)[weights > 0], weights[weights > 0]
        if not len(X):
            return Seen(None, counted=False, gaps=False)
        moments = self.moments_of(X, weights)
        if moments.are_finite or not _arrays.has_gaps(X):
            return Seen(moments, counted=True, gaps=False)
        rows = Rows.known(_arrays.to_host(X), weights)
        if not len(rows.X):
            return Seen(None, counted=True, gaps=False)
        if not np.isnan(rows.X).any():
            return Seen(self.moments_of(*rows), counted=True, gaps=False)
        if not self.again:
            raise DataError(
                "X holds missing values, which need several passes over the data, and these can "
                "be read only once. Give a list, a path, or a callable that yields chunks anew."
            )
        return Seen(None, counted=True, gaps=True)

    def moments_of(self, X: NDArray, weights: NDArray[np.float64] | None) -> Moments | Folds:
        """Return the moments of complete rows."""
        if self.seed is None:
            return _arrays.moments_of(X, weights)
        return Folds.of(_arrays.to_host(X), self.seed, weights)
