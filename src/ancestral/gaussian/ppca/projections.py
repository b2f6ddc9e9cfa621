"""Complete rows beside the directions of a latent Gaussian, a block of rows at a time.

Density and posterior mean need two products with q vectors for each row instead of one with a
(d, d) precision: what is left of a row beside W is formed itself (`reflections`), then squared; or
one product, where a difference of squares provably loses nothing. A block stays in the cache
meanwhile, so that main memory is read once. Squares are summed in float64, those of float32 rows a
few at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.threads import blocks_of, in_threads, parts_of
from ancestral.gaussian.ppca.reflections import Reflections, reflections

BLOCK_ROWS = 128
SHORT_SUM = 64
MOST_DOUBT = 3e-10  # of a log density, relative or in nats
Use = Callable[[slice, NDArray[np.float64]], None]


@dataclass(frozen=True)
class Frame:
    """A latent Gaussian as complete rows see it: x / scale = W z + (mu + noise) / scale.

    Parameters
    ----------
    mean : ndarray of shape (d,)
        In the units of the rows.
    loadings : ndarray of shape (d, q)
        In units of the scale, as the noise is.
    noise : float
        0 leaves the prior of z out: the squares are then those beside W.
    scale : ndarray of shape (d,) or None
        None is 1.
    """

    mean: NDArray[np.float64]
    loadings: NDArray[np.float64]
    noise: float
    scale: NDArray[np.float64] | None = None

    @cached_property
    def reflected(self) -> Reflections:
        """The reflections of [W; sigma I], a stack of one."""
        return reflections(self.loadings[None], self.noise)

    @cached_property
    def forward(self) -> NDArray[np.float64]:
        """What a centred row is multiplied with for y, shape (d, q)."""
        return self.vectors @ self.reflected.forward[0].T

    @property
    def vectors(self) -> NDArray[np.float64]:
        """The rows' part of V, shape (d, q)."""
        return self.reflected.vectors[0, : len(self.mean)]

    @property
    def pivots(self) -> NDArray[np.intp]:
        """The columns of the rows that h is read from."""
        pivots = self.reflected.pivots[0]
        return pivots[pivots < len(self.mean)]

    @cached_property
    def beside(self) -> NDArray[np.float64]:
        """The part of V below the rows, without pivots: -y times it are squares as well, (q, q)."""
        d = len(self.mean)
        below, pivots = self.reflected.vectors[0, d:].copy(), self.reflected.pivots[0]
        below[pivots[pivots >= d] - d] = 0.0
        return below.T

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """E[z | x] is a centred row times these, shape (d, q): K h, h being the first q of H c."""
        found, d = self.reflected, len(self.mean)
        V, pivots = found.vectors[0], found.pivots[0]
        heads = -self.forward @ V[pivots].T  # h of each unit row, (d, q)
        inside = np.flatnonzero(pivots < d)
        heads[pivots[inside], inside] += 1.0
        return heads @ found.root[0].T

    @cached_property
    def shared(self) -> float:
        """The part of log p that all rows share."""
        d, q = self.loadings.shape
        log_scale = 0.0 if self.scale is None else float(np.log(self.scale).sum())
        log_determinant = (d - q) * np.log(self.noise) + float(self.reflected.log_determinant[0])
        return -0.5 * (d * np.log(2 * np.pi) + log_determinant) - log_scale

    @property
    def single_is_enough(self) -> bool:
        """Whether float32 products leave log densities as right as float32 rows are."""
        steepness = (self.loadings**2).sum() + self.loadings.shape[1] * self.noise
        eps = np.finfo(np.float32).eps
        return bool(self.scale is None and eps * steepness < 2e-3 * self.noise)

    def centred(self, X: NDArray, out: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (x - mu) / scale in place of `out`."""
        np.subtract(X, self.mean, out=out)
        return out if self.scale is None else np.divide(out, self.scale, out=out)

    def reflect(self, c: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn centred rows into the upper part of H [c; 0], in place; return y, (n, q)."""
        y = c @ self.forward
        c -= y @ self.vectors.T
        return y

    def reflected_back(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the upper part of H^T [t; 0], shape (n, d)."""
        return t - (t @ self.vectors) @ self.forward.T

    @cached_property
    def along(self) -> NDArray[np.float64] | None:
        """B, shape (d, q), for which S is |c|^2 - |c B|^2; None where noise is 0."""
        if self.noise == 0:
            return None
        U, lengths, _ = np.linalg.svd(self.loadings, full_matrices=False)
        return U * (lengths / np.hypot(lengths, np.sqrt(self.noise)))

    def squares(self, c: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return S of centred rows, shape (n,); overwrites them.

        By a difference of squares, which costs one product, where its rounding provably leaves the
        log density its digits; else what is left of a row is formed, then squared.
        """
        if self.along is not None:
            total = squares_of(c)
            found = total - squares_of(c @ self.along)
            # A sum of m products is off by at most m eps of its absolute sum, |c| for each of c B.
            d, q = self.loadings.shape
            doubt = (d * (1 + np.sqrt(q)) + q) * np.finfo(float).eps * (total / self.noise)
            wanted = np.maximum(1.0, np.abs(self.shared - 0.5 * found / self.noise))
            if (doubt <= MOST_DOUBT * wanted).all():
                return found
        y = self.reflect(c)
        c[:, self.pivots] = 0.0
        return squares_of(c) + squares_of(y @ self.beside)

    def precision_root(self) -> NDArray[np.float64]:
        """Return A with A A^T the inverse of the covariance of x / scale, shape (d, d + q)."""
        rows = np.eye(len(self.mean))
        y = self.reflect(rows)
        rows[:, self.pivots] = 0.0
        return np.hstack([rows, y @ self.beside]) / np.sqrt(self.noise)


def each_block(X: NDArray, frame: Frame, use: Use) -> None:
    """Call use(rows, centred rows as float64) for every block of rows.

    Blocks are dealt to threads: `use` writes to places of its own, and may overwrite the block.
    """

    def run(part: slice) -> None:
        block = np.empty((min(BLOCK_ROWS, part.stop - part.start), X.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite shows in the result
            for rows in blocks_of(part, BLOCK_ROWS):
                use(rows, frame.centred(X[rows], block[: rows.stop - rows.start]))

    in_threads(run, parts_of(len(X), X.size), X.size)


def log_density(X: NDArray, frame: Frame) -> NDArray[np.float64]:
    """Return log p of each row under the normal density of the frame, in nats.

    A row with NaN or infinity has a result that is not finite; a row whose squares overflow has a
    density of 0.
    """
    squares = np.empty(len(X))

    def use(rows: slice, c: NDArray) -> None:
        squares[rows] = frame.squares(c)

    if X.dtype == np.float32 and frame.single_is_enough:
        _in_single(X, frame, squares)
    else:
        frame.forward, frame.beside, frame.along  # noqa: B018 - once, before threads ask for them
        each_block(X, frame, use)
    with np.errstate(over="ignore", invalid="ignore"):
        result = frame.shared - 0.5 * (squares / frame.noise)
    odd = np.flatnonzero(np.isnan(result))
    if len(odd):
        result[odd[np.isfinite(X[odd]).all(axis=1)]] = -np.inf
    return result


def means(X: NDArray, frame: Frame) -> NDArray[np.float64]:
    """Return E[z | x] of each row, shape (n, q)."""
    weights = frame.weights
    result = np.empty((len(X), weights.shape[1]))

    def use(rows: slice, c: NDArray) -> None:
        np.matmul(c, weights, out=result[rows])

    each_block(X, frame, use)
    return result


def _in_single(X: NDArray, frame: Frame, squares: NDArray[np.float64]) -> None:
    """Fill in S of float32 rows by float32 products.

    What the mean lost in float32 is taken off what is left, in float64.
    """
    centre = frame.mean.astype(np.float32)
    lost = frame.mean - centre
    y_lost = frame.reflect(lost)
    lost[frame.pivots] = 0.0
    forward, vectors = frame.forward.astype(np.float32), frame.vectors.T.astype(np.float32)
    lost_single, least = lost.astype(np.float32), float(lost @ lost)
    pivots, beside = frame.pivots, frame.beside

    def run(part: slice) -> None:
        block = np.empty((min(2 * BLOCK_ROWS, part.stop - part.start), X.shape[1]), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in blocks_of(part, 2 * BLOCK_ROWS):
                c = block[: rows.stop - rows.start]
                np.subtract(X[rows], centre, out=c)
                y = c @ forward
                c -= y @ vectors
                c[:, pivots] = 0.0
                found = _squares_of_single(c) + (least - 2.0 * (c @ lost_single))
                found += squares_of((y - y_lost) @ beside)
                if not np.isfinite(found).all():  # overflowed, or missing: which, float64 shows
                    found = frame.squares(np.subtract(X[rows], frame.mean))
                squares[rows] = found

    in_threads(run, parts_of(len(X), X.size), X.size)


def squares_of(c: NDArray) -> NDArray:
    """Return |c|^2 along the last axis."""
    if hasattr(np, "vecdot"):  # NumPy 2
        return np.vecdot(c, c)
    return np.asarray(np.einsum("...i,...i->...", c, c))


def _squares_of_single(c: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return |c|^2 of each float32 row: a few squares at a time in float32, their sums in float64.

    Short sums round no worse than the products along the directions do.
    """
    n, d = c.shape
    whole = d - d % SHORT_SUM
    parts = squares_of(c[:, :whole].reshape(n, whole // SHORT_SUM, SHORT_SUM))
    return parts.sum(axis=1, dtype=np.float64) + squares_of(c[:, whole:])
