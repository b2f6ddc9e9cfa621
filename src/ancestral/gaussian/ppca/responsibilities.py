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

from ancestral._numerics.accumulation import STEEP, about_mean, is_steep
from ancestral._numerics.double_double import two_sum
from ancestral._numerics.threads import blocks_of, even_parts, in_threads
from ancestral.gaussian import costs
from ancestral.gaussian.ppca.projections import MOST_DOUBT, Frame, squares_of
from ancestral.gaussian.ppca.reflections import reflections
from ancestral.statistics import Moments

BLOCK_BYTES = 1 << 19
LEAST_ROWS = 256
UNSEEN = 1e-30  # a share below it: less than the rounding of a sum of squares that leave no doubt
FAR = 1e4  # squared distance of means over a variance, up to which sums about one lose four digits
PAIRED = 24  # columns up to which products of all pairs cost less than one model after another
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
        centre = means[0] + np.average(
            means - means[0], axis=0, weights=weights
        )  # a constant stays
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

    def joint(self, X: Float, c: Float) -> Float:
        """Return log p(c, x) of a block of rows, (k, n), given them about the centre, (d, n)."""
        d, k, q = *self.steps.shape, self.frames[0].loadings.shape[1]
        length = np.ones(d) @ np.square(c)
        along = self.directions @ c  # (k q, n)
        along -= self.offsets[:, None]
        found = np.einsum("kqn,kqn->kn", *[along.reshape(k, q, len(X))] * 2)
        found += 2 * (self.steps.T @ c)
        found -= length
        found -= self.lengths[:, None]
        found /= 2 * self.noises[:, None]
        found += self.fixed[:, None]
        # As for one model, but of |x - centre| and |mu - centre| together.
        doubt = 2 * (d * (1 + np.sqrt(q)) + q) * np.finfo(float).eps
        if doubt * (length.max() + self.lengths.max()) > MOST_DOUBT * self.noises.min():
            doubts = doubt * (length + self.lengths[:, None]) / self.noises[:, None]
            if not (doubts <= MOST_DOUBT * np.maximum(1.0, np.abs(found))).all():
                for i, frame in enumerate(self.frames):
                    squares = frame.squares(frame.centred(X, np.empty(X.shape)))
                    found[i] = self.fixed[i] - 0.5 * (squares / frame.noise)
        return found

    @property
    def are_near(self) -> bool:
        """Whether sums about the centre keep the digits of those about each mean."""
        return bool(self.lengths.max() < FAR * self.noises.min())


def shared_out(X: Float, weights: Float, models: Several) -> tuple[float, list[Moments]]:
    """Return log L of rows that count as often as their weights say, and each model's moments."""
    n, d = X.shape
    k, width = len(models.frames), d + 2 - d % 2  # odd widths are slow in BLAS
    means = [frame.mean for frame in models.frames]
    in_pairs = d <= PAIRED and models.are_near
    if in_pairs:
        means = [models.centre] * k
    size = max(LEAST_ROWS, BLOCK_BYTES // (8 * width))
    shares = np.empty((k, n))

    def look(part: slice) -> tuple[float, Float]:
        rows = min(part.stop - part.start, size)
        c, total = np.ones((d + 1, rows)), 0.0
        sums = _Pairs(k, d, rows) if in_pairs else _Squares(means, rows)
        for block in blocks_of(part, size):
            values, share = X[block], shares[:, block]
            about = c[:, : len(values)]
            np.subtract(values.T, models.centre[:, None], out=about[:d])
            with np.errstate(over="ignore", invalid="ignore"):  # of rows very far out
                share[:] = models.joint(values, about[:d])
            total += float(weights[block] @ _to_shares(share))
            share *= weights[block]
            sums.add(values, about, share)
        return total, sums.products

    n_parts = min(costs.PARTS, max(1, n // (4 * width)))  # however many threads there are
    found = in_threads(look, even_parts(n, n_parts), n * d)
    products = found[0][1]
    for _, more in found[1:]:
        products += more
    if in_pairs:
        products = _unfolded(products, d + 1)
    moments = [_moments(X, *own) for own in zip(shares, means, products)]
    return sum(total for total, _ in found), moments


class _Squares:
    """Sums of squares of rows about each model's mean, one model after another."""

    def __init__(self, means: Sequence[Float], rows: int) -> None:
        d = len(means[0])
        width = d + 2 - d % 2  # odd widths are slow in BLAS
        self.means, self.products = means, np.zeros((len(means), width, width))
        self.room, self.seen = np.zeros((rows, width)), np.empty((rows, d))

    def add(self, X: Float, c: Float, shares: Float) -> None:
        """Add a block of rows."""
        d = X.shape[1]
        for mean, product, share in zip(self.means, self.products, shares):
            rows, shown = X, share > UNSEEN
            n_shown = int(np.count_nonzero(shown))
            if n_shown < GATHERED * len(X):
                share = share[shown]
                rows = np.compress(shown, X, axis=0, out=self.seen[:n_shown])
            B = self.room[: len(rows)]
            np.subtract(rows, mean, out=B[:, :d])
            B[:, d] = 1.0
            B *= np.sqrt(share)[:, None]
            product += B.T @ B


class _Pairs:
    """Sums of products of pairs of few columns about the centre, for all models by one product."""

    def __init__(self, k: int, d: int, rows: int) -> None:
        n_pairs = (d + 1) * (d + 2) // 2
        self.products, self.room = np.zeros((k, n_pairs)), np.empty((n_pairs, rows))

    def add(self, X: Float, c: Float, shares: Float) -> None:
        """Add a block of rows, given about the centre, a one below each."""
        pairs, first = self.room[:, : len(X)], 0
        for i in range(len(c)):
            np.multiply(c[i], c[i:], out=pairs[first : first + len(c) - i])
            first += len(c) - i
        self.products += shares @ pairs.T


def _unfolded(pairs: Float, m: int) -> Float:
    """Return symmetric matrices, (k, m, m), from the rows of their upper triangles."""
    i, j = np.triu_indices(m)
    found = np.empty((len(pairs), m, m))
    found[:, i, j] = found[:, j, i] = pairs
    return found


def _to_shares(joint: Float) -> Float:
    """Turn log p(c, x), (k, n), into p(c | x) in place; return log p(x)."""
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint /= total
    return np.asarray(np.log(total) + top)


def _moments(X: Float, share: Float, about: Float, product: Float) -> Moments:
    """Return moments of rows by their shares, from sums about a point where these keep the digits.

    They do where no direction varies too little beside them, as for `Moments.of`, which else is
    asked.
    """
    d = X.shape[1]
    weight = float(product[d, d])
    if not weight > 0:
        return Moments.empty(d)
    offset, scatter = about_mean(product[:d, :d], product[d, :d], weight)
    far = (offset**2 > FAR * scatter.diagonal() / weight).any()
    if far or is_steep(scatter, STEEP):
        return Moments.of(X, weights=share)
    mean, tail = two_sum(about, offset)
    return Moments(len(X), mean, scatter, weight=weight, tail=tail)
