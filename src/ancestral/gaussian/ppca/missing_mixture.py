"""What a pass of a mixture sums of rows with gaps.

z is integrated out, so that what EM lacks are the unknown entries alone. Under one model,

    x_u | x_o ~ N(E[x_u | x_o], W_u Cov[z | x_o] W_u^T + sigma^2 I)

and PPCA's closed form is taken of the expected scatter: of the rows with E[x_u | x_o] in their
gaps, plus the covariances of these, weighted by the model's share of each row. The first look
takes each column by itself, with its mean and variance among a model's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.accumulation import reduced
from ancestral.gaussian.ppca.missing_patterns import Factors, Patterns, Posterior, constants
from ancestral.gaussian.ppca.missing_patterns import posterior as posterior_of
from ancestral.statistics import Moments

Float = NDArray[np.float64]


class Gaps(NamedTuple):
    """The rows of a table that have gaps, grouped by which entries are known."""

    place: NDArray[np.bool_]  # (n,)
    patterns: Patterns  # of these rows, about the shift
    shift: Float  # (d,)

    @classmethod
    def of(cls, X: Float, shift: Float) -> Self:
        place = np.isnan(X).any(axis=1)
        return cls(place, Patterns.of(X[place], shift), shift)

    def batches(self, factors: Factors) -> Iterator[tuple[Patterns, Posterior]]:
        """Yield the rows batch by batch, with what their known entries say of z."""
        about = Factors(factors.mean - self.shift, factors.loadings, factors.noise)
        for batch in self.patterns.batches(factors.n_components):
            yield batch, posterior_of(batch, about)

    def log_density(self, factors: Factors) -> Float:
        """Return log p of the known entries of these rows."""
        result = np.empty(int(self.place.sum()))
        for batch, found in self.batches(factors):
            fixed = constants(batch, factors, found.log_determinant)
            result[batch.order] = batch.each(fixed) - 0.5 * found.squares / factors.noise
        return result

    def expected(self, X: Float, weights: Float, factors: Factors) -> Moments:
        """Return the expected moments of all rows of the table under one model."""
        own, filled = weights[self.place], X[self.place]
        roots, alone = [np.zeros((0, X.shape[1]))], np.zeros(X.shape[1])
        for batch, found in self.batches(factors):
            unknown = 1 - batch.known
            means = found.mean @ factors.loadings.T + factors.mean
            filled[batch.order] = np.where(batch.each(unknown) > 0, means, filled[batch.order])
            share = factors.noise * np.add.reduceat(own[batch.order], batch.start[:-1])
            along = np.sqrt(share)[:, None, None] * np.matmul(factors.loadings, found.root)
            along *= unknown[:, :, None]  # (p, d, q)
            roots.append(reduced(np.swapaxes(along, 1, 2).reshape(-1, X.shape[1])))
            alone += share @ unknown
        return self._with_more(X, filled, weights, [*roots, np.diag(np.sqrt(alone))])

    def first(self, X: Float, weights: Float) -> Moments:
        """Return the moments of a model's rows, with their gaps as each column alone fills them."""
        known = ~np.isnan(X)
        steps = np.where(known, X - self.shift, 0.0)
        count = weights @ known
        seen, counts = count > 0, np.where(count > 0, count, 1.0)
        mean = weights @ steps / counts
        variance = weights @ (known * (steps - mean) ** 2) / counts
        overall = (steps**2).sum(axis=0) / known.sum(axis=0)
        alone = np.where(seen, variance, overall) * (weights.sum() - count)
        filled = np.where(known, X, self.shift + mean)[self.place]
        return self._with_more(X, filled, weights, [np.diag(np.sqrt(np.maximum(alone, 0.0)))])

    def _with_more(self, X: Float, filled: Float, weights: Float, roots: list[Float]) -> Moments:
        """Return the moments of the rows, gaps filled, their scatter more by R^T R."""
        rows = X.copy()
        rows[self.place] = filled
        moments, more = Moments.of(rows, weights=weights), reduced(np.vstack(roots))
        if moments.root is not None:
            return replace(moments, root=reduced(np.vstack([moments.root, more])))
        return replace(moments, scatter=moments.as_scatter() + more.T @ more)
