"""Complete rows beside several latent Gaussians at once: their shares, and moments by these.

    r_nc = pi_c p(x_n | c) / p(x_n),    sum_n w_n r_nc (x_n - mu_c, 1)(x_n - mu_c, 1)^T

A block of rows stays in the cache while all models look at it. Its products with all of them are
one, about one centre, where a difference of squares provably leaves log densities their digits
(`projections`); else each model is asked by itself. Moments are summed about the old means, and of
rows whose share a sum would not show nothing is summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.accumulation import NEAR, STEEP, about_mean, is_steep
from ancestral._numerics.double_double import two_sum
from ancestral._numerics.threads import blocks_of, even_parts, in_threads, n_threads
from ancestral.gaussian.ppca.projections import MOST_DOUBT, Frame, squares_of
from ancestral.gaussian.ppca.reflections import reflections
from ancestral.statistics import Moments

BLOCK_BYTES = 1 << 18
LEAST_ROWS = 256
UNSEEN = 1e-30  # a share below it: less than the rounding of a sum of squares that leave no doubt
GATHERED = 0.8  # share of a block's rows up to which those seen are copied out

Float = NDArray[np.float64]


class Several(NamedTuple):
    """Latent Gaussians, and what they share: centred rows meet them in one product."""

    frames: Sequence[Frame]
    fixed: Float  # (k,): log pi_c and what all rows share of log p
    centre: Float  # (d,)
    steps: Float  # (d, k): mu_c less the centre
    lengths: Float  # (k,): their squares
    directions: Float  # (k q, d): B_c of each
    offsets: Float  # (k q,): the steps along these
    noises: Float  # (k,)

    @classmethod
    def of(cls, weights: Sequence[float], frames: Sequence[Frame]) -> Several:
        """Stack models of noise above 0."""
        means = np.array([frame.mean for frame in frames])
        loadings = np.array([frame.loadings for frame in frames])
        noises = np.array([frame.noise for frame in frames])
        centre = np.average(means, axis=0, weights=weights)
        steps = means - centre
        k, d, q = loadings.shape
        log_determinants = reflections(loadings, noises).log_determinant
        log_determinants += (d - q) * np.log(noises)
        U, lengths, _ = np.linalg.svd(loadings, full_matrices=False)
        U *= (lengths / np.hypot(lengths, np.sqrt(noises)[:, None]))[:, None]
        return cls(
            frames,
            np.log(weights) - 0.5 * (d * np.log(2 * np.pi) + log_determinants),
            centre,
            steps.T,
            squares_of(steps),
            U.swapaxes(1, 2).reshape(k * q, d),
            np.matmul(steps[:, None], U).ravel(),
            noises,
        )

    def joint(self, X: Float, room: Float) -> Float:
        """Return log p(c, x) of a block of rows, (k, n); overwrites the room, (n, d)."""
        d, k, q = *self.steps.shape, self.frames[0].loadings.shape[1]
        np.subtract(X, self.centre, out=room)
        length = np.square(room) @ np.ones(d)
        along = self.directions @ room.T  # (k q, n)
        along -= self.offsets[:, None]
        found = np.einsum("kqn,kqn->kn", *[along.reshape(k, q, len(X))] * 2)
        found += 2 * (self.steps.T @ room.T)
        found -= length
        found -= self.lengths[:, None]
        found /= 2 * self.noises[:, None]
        found += self.fixed[:, None]
        # As for one model, but of |x - centre| and |mu - centre| together.
        doubt = 2 * (d * (1 + np.sqrt(q)) + q) * np.finfo(float).eps
        if doubt * (length.max() + self.lengths.max()) > MOST_DOUBT * self.noises.min():
            doubts = doubt * (length + self.lengths[:, None]) / self.noises[:, None]
            if not (doubts <= MOST_DOUBT * np.maximum(1.0, np.abs(found))).all():
                for c, frame in enumerate(self.frames):
                    squares = frame.squares(frame.centred(X, room))
                    found[c] = self.fixed[c] - 0.5 * (squares / frame.noise)
        return found


def shared_out(X: Float, weights: Float, models: Several) -> tuple[float, list[Moments]]:
    """Return log L of rows that count as often as their weights say, and each model's moments."""
    n, d = X.shape
    k, width = len(models.frames), d + 2 - d % 2  # odd widths are slow in BLAS
    means = [frame.mean for frame in models.frames]
    size = max(LEAST_ROWS, BLOCK_BYTES // (8 * width))
    shares = np.empty((k, n))

    def look(part: slice) -> tuple[float, Float]:
        total, products = 0.0, np.zeros((k, width, width))
        rows = min(part.stop - part.start, size)
        room, seen = np.zeros((rows, width)), np.empty((rows, d))
        for block in blocks_of(part, size):
            values, share = X[block], shares[:, block]
            share[:] = models.joint(values, seen[: len(values)])
            log_p = _to_shares(share)
            total += float(weights[block] @ log_p)
            share *= weights[block]
            for c in range(k):
                some, some_share = values, share[c]
                shown = some_share > UNSEEN
                n_shown = int(np.count_nonzero(shown))
                if n_shown < GATHERED * len(values):
                    some_share = some_share[shown]
                    some = np.compress(shown, values, axis=0, out=seen[:n_shown])
                B = room[: len(some)]
                np.subtract(some, means[c], out=B[:, :d])
                B[:, d] = 1.0
                B *= np.sqrt(some_share)[:, None]
                products[c] += B.T @ B
        return total, products

    n_parts = min(n_threads(), max(1, n // (4 * width)))
    found = in_threads(look, even_parts(n, n_parts), n * d)
    log_likelihood = sum(total for total, _ in found)
    products = found[0][1]
    for _, more in found[1:]:
        products += more
    return log_likelihood, [
        _moments(X, share, mean, product) for share, mean, product in zip(shares, means, products)
    ]


def _to_shares(joint: Float) -> Float:
    """Turn log p(c, x), (k, n), into p(c | x) in place; return log p(x)."""
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint /= total
    return np.asarray(np.log(total) + top)


def _moments(X: Float, share: Float, mean: Float, product: Float) -> Moments:
    """Return moments of rows by their shares, from sums about a mean where these keep the digits.

    They do where the new mean is near that mean and no direction varies too little, as for
    `Moments.of`, which else is asked.
    """
    d = X.shape[1]
    weight = float(product[d, d])
    if not weight > 0:
        return Moments.empty(d)
    offset, scatter = about_mean(product[:d, :d], product[d, :d], weight)
    variances = scatter.diagonal() / weight
    if (offset**2 > NEAR**2 * variances).any() or is_steep(scatter, STEEP):
        return Moments.of(X, weights=share)
    mean, tail = two_sum(mean, offset)
    return Moments(len(X), mean, scatter, weight=weight, tail=tail)
