"""What a pass of a mixture looks at, and sums: moments of rows by the share each model has of them.

z is integrated out: PPCA's closed form of such moments is the next of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.errors import ModelError
from ancestral.gaussian.ppca import projections
from ancestral.gaussian.ppca.missing_mixture import Gaps
from ancestral.gaussian.ppca.model import axes
from ancestral.gaussian.ppca.projections import Frame
from ancestral.gaussian.ppca.responsibilities import Several, shared_out
from ancestral.gaussian.ppca.sampled import Known
from ancestral.statistics import Moments
from ancestral.training.passes import Sums

COLLAPSED = 1e-18  # sigma_c^2 below this share of the least variance of a column among its rows


class Collapsed(ModelError):
    """A model closed in on rows that leave it no noise."""


class Rows(NamedTuple):
    """What a pass looks at: rows, and how often each counts."""

    values: NDArray[np.float64]  # (n, d), NaN where unknown
    weights: NDArray[np.float64]  # (n,)
    gaps: Gaps | None = None

    def log_density(self, frame: Frame) -> NDArray[np.float64]:
        """Return log p of the known entries of each row."""
        if self.gaps is None:
            return projections.log_density(self.values, frame)
        gaps, found = self.gaps.place, np.empty(len(self.values))
        found[gaps] = self.gaps.log_density(frame)
        if not gaps.all():
            found[~gaps] = projections.log_density(self.values[~gaps], frame)
        return found

    def moments(self, share: NDArray[np.float64], part: Part | None = None) -> Moments:
        """Return the moments of the rows by their shares, expected of what is unknown."""
        weights = self.weights * share
        if self.gaps is None or not weights.any():
            return Moments.of(self.values, weights=weights)
        if part is None:
            return self.gaps.first(self.values, weights)
        return self.gaps.expected(self.values, weights, part.frame)


@dataclass(frozen=True)
class Making:
    """Makes of a part what a pass looks at: rows about a shift, in units of the scale."""

    shift: NDArray[np.float64]
    scale: NDArray[np.float64] | None

    def __call__(self, known: Known) -> Rows:
        X, shift = known.X, self.shift
        if self.scale is not None:
            X, shift = X / self.scale, shift / self.scale
        weights = np.ones(len(X)) if known.weights is None else known.weights
        return Rows(X, weights, Gaps.of(X, shift) if np.isnan(X).any() else None)


@dataclass(frozen=True)
class Part:
    """One PPCA of a mixture while it is fitted."""

    weight: float
    frame: Frame

    @classmethod
    def of(cls, moments: Moments, n: float, q: int) -> Part:
        """Solve the PPCA of rows weighted by their share; Collapsed where they leave no noise."""
        if moments.total_weight:
            eigenvalues, directions = moments.eigen(q, leading=True)
            left = float(eigenvalues[q:].sum())
            if len(eigenvalues) < moments.n_eigenvalues:
                left = moments.spreads.sum() / moments.total_weight - float(eigenvalues.sum())
            if len(directions) == q and left > 0:
                noise = left / (moments.n_features - q)
                _, W = axes(eigenvalues[:q], directions, noise)
                variances = moments.spreads[moments.spreads > 0] / moments.total_weight
                if noise > COLLAPSED * variances.min():
                    return cls(moments.total_weight / n, Frame(moments.mean, W, noise))
        raise Collapsed("a model fitted a few rows without noise.")


@dataclass(frozen=True)
class Shares(Sums):
    """Moments of the rows, weighted by the share that each model has of them."""

    moments: tuple[Moments, ...]
    merged_by: ClassVar = {"moments": lambda one, other: tuple(map(add, one, other))}

    @classmethod
    def of(
        cls,
        rows: Rows,
        share: NDArray[np.float64],
        log_likelihood: float,
        parts: tuple[Part, ...] = (),
    ) -> Shares:
        """Sum rows by their shares, (n, n_models), under these models where there are some yet."""
        moments = tuple(map(rows.moments, share.T, parts or [None] * share.shape[1]))
        return cls(log_likelihood, float(rows.weights.sum()), moments)

    @classmethod
    def under(cls, rows: Rows, parts: tuple[Part, ...]) -> Shares:
        """Sum rows by the shares that these models have of them."""
        frames, n = [part.frame for part in parts], float(rows.weights.sum())
        if rows.gaps is None and len(rows.values) > rows.values.shape[1]:
            models = Several.of([part.weight for part in parts], frames)
            log_likelihood, moments = shared_out(rows.values, rows.weights, models)
            return cls(log_likelihood, n, tuple(moments))
        joint = np.stack([np.log(p.weight) + rows.log_density(p.frame) for p in parts], axis=1)
        log_p = log_sum_exp(joint)
        share = np.exp(joint - log_p[:, None])
        return cls.of(rows, share, float(rows.weights @ log_p), parts)
