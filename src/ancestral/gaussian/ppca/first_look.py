"""A first look at rows: their moments, or that some of them have gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ancestral import _arrays
from ancestral._checks.numbers import check_weights, refuse_non_finite
from ancestral.errors import DataError
from ancestral.gaussian.ppca.folds import Folds
from ancestral.gaussian.ppca.missing_columns import Columns, Rows, refuse_unknown_columns
from ancestral.statistics import Moments
from ancestral.training.parts import Part

GLANCE = 64  # rows that are looked at for gaps before all of them


@dataclass(frozen=True)
class Seen:
    """What a first look gives: moments as long as rows are complete, else what is known of columns.

    Parameters
    ----------
    moments : Moments, Folds or None
        Of complete rows, where there are any.
    columns : Columns or None
        Where some row has gaps.
    counted : bool
        Whether some row counts.
    """

    moments: Moments | Folds | None = None
    columns: Columns | None = None
    counted: bool = True

    def of_complete_rows(self, n_features: int, names: Any = None) -> Moments | Folds:
        """Return the moments; DataError where no row counts, or nothing is known of any."""
        if not self.counted:
            check_weights([0.0], 1)
        if self.moments is None:
            refuse_unknown_columns(np.zeros(n_features), names)
        return cast("Moments | Folds", self.moments)

    def __add__(self, other: Seen) -> Seen:
        moments = _added(self.moments, other.moments)
        columns = _added(self.columns, other.columns)
        return Seen(moments, columns, counted=self.counted or other.counted)

    def of_all_columns(self) -> Columns | None:
        """Return what is known of the columns of all rows; None where all rows are complete."""
        if self.columns is None or self.moments is None:
            return self.columns
        moments = self.moments
        total = moments.total if isinstance(moments, Folds) else moments
        return self.columns + Columns.of_complete_rows(total)


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
            return Seen(counted=False)
        names = vars(part.model).get("feature_names_in_")
        if not _arrays.has_gaps(X[:GLANCE], names=names):  # most tables with gaps have some there
            moments = self.moments_of(X, weights)
            if moments.are_finite or not _arrays.has_gaps(X, names=names):
                return Seen(moments)
        refuse_non_finite(_arrays.to_host(X), missing=True, names=names)
        rows = Rows.known(_arrays.to_host(X), weights)
        if not len(rows.X):
            return Seen()
        if len(rows.X) < len(X) and not np.isnan(rows.X).any():
            return Seen(self.moments_of(*rows))
        if not self.again:
            raise DataError(
                "X holds missing values, which need several passes over the data, but these data "
                "can be read only once. Give a list, a path, or a callable that yields chunks "
                "anew."
            )
        return Seen(columns=Columns.of(rows))

    def moments_of(self, X: NDArray, weights: NDArray[np.float64] | None) -> Moments | Folds:
        """Return the moments of complete rows."""
        if self.seed is None:
            return _arrays.moments_of(X, weights)
        return Folds.of(_arrays.to_host(X), self.seed, weights)


def _added(one: Any, other: Any) -> Any:
    """Return the sum of what is there."""
    return one + other if one is not None and other is not None else one or other
