"""What a pass over rows says of where their likelihood rises: gradients, information, steps.

    log L = -1/2 sum_i [ log 2 pi + h_i + r_i^2 exp(-h_i) ],   r = y - Q alpha,   h = S gamma

of rows in orthonormal columns Q and S, as `heteroscedastic` has them: there are the derivatives.
Rows are summed in blocks that stay in cache, the blocks in order, so that no bit depends on how
many threads there are.
References: Nocedal (1980), Mathematics of Computation 35, on limited-memory BFGS; Yamamoto et al.
(2015), Electronic Transactions on Numerical Analysis 44, on roots from two sums of products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, reduce
from math import isfinite, sqrt
from operator import add
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf

from ancestral._numerics.threads import blocks_of, even_parts, in_threads
from ancestral._numerics.triangles import solved
from ancestral.errors import ModelError
from ancestral.gaussian import costs
from ancestral.training.passes import Sums

Float = NDArray[np.float64]
V = TypeVar("V")
FAR = 1e-3  # squared standard errors a row: longer steps say little of the next, and are Fisher's
MEMORY = 20  # steps that one more is found from
# Log variances so far apart leave 12 of 16 digits of the information's root to one sum of products,
# and so far apart to two.
MILD, WIDE = 8.0, 30.0
QR_ROWS = 1 << 15
LOG_2_PI = float(np.log(2 * np.pi))
LOG_OF_SQUARE = 1.2703628454614782  # Euler's constant + log 2: less the mean log of chi-square

NONE = np.zeros((0, 0))


class Vanishing(ModelError):
    """The variance of a row runs to zero: the likelihood has no bound."""

    def __init__(self, row: int) -> None:
        super().__init__(f"the variance at row {row} runs to 0.")
        self.row = row


class Look(Enum):
    """What a pass sums beside the gradient."""

    GRADIENT = 0
    FISHER = 1  # the information of the mean
    NEWTON = 2  # and what is observed of it: the second derivatives


@dataclass(frozen=True)
class Rows:
    """Rows in orthonormal columns; those of mean and target times the roots of their precisions."""

    Q: Float  # (n, r), of the mean
    S: Float  # (n, s), of the log variance
    y: Float  # (n,)
    log_weights: Float | float = 0.0  # (n,), of the precisions
    floor: float = -np.inf  # log variance at which nothing of a row is left but rounding
    first: int = 0  # which row of the table is the first

    @cached_property
    def longest(self) -> float:
        """Square of the longest row of S."""
        return float(np.einsum("ij,ij->i", self.S, self.S).max())

    @cached_property
    def heights(self) -> Float:
        """Sums of the columns of S."""
        return np.asarray(np.add.reduce(self.S, axis=0))

    @property
    def width(self) -> int:
        return int(self.Q.shape[1] + self.S.shape[1])

    def regressed(self, alpha: Float, least: float) -> Float:
        """Return gamma by least squares of the log squared residuals, `least` the least of them."""

        def of(block: slice) -> Float:
            residual = self.y[block] - self.Q[block] @ alpha
            return np.asarray(np.log(np.maximum(residual * residual, least)) @ self.S[block])

        found: Float = reduce(add, in_blocks(of, len(self.y), self.width))
        return found + LOG_OF_SQUARE * self.heights

    def slopes(self, at: Weights) -> Slopes:
        """Return the likelihood and its slopes, summed over all rows."""
        total = self.sums(at)
        mean, both = len(at.alpha), total.products
        of_mean, of_variance = total.gradient[:mean], total.gradient[mean:] - self.heights
        root = NONE
        if at.look is not Look.GRADIENT and isfinite(total.sum):
            if total.range[1] - total.range[0] <= WIDE:  # digits enough for a step
                root = cholesky(both[:mean, :mean])
            if not len(root):
                root = self.root(at.gamma)
        return Slopes(
            -0.5 * (len(self.y) * LOG_2_PI + total.sum),
            float(len(self.y)),
            of_mean,
            root,
            of_variance,
            (total.least[0] - self.floor, self.first + total.least[1]),
            self.longest,
            both if at.look is Look.NEWTON else NONE,
            total.range,
        )

    def sums(self, at: Weights) -> Looked:
        """Return the plain sums of all rows."""
        found = in_blocks(lambda block: self._sums(block, at), len(self.y), self.width)
        return reduce(add, found)

    def _sums(self, block: slice, at: Weights) -> Looked:
        Q, S = self.Q[block], self.S[block]
        residual, h = self.y[block] - Q @ at.alpha, S @ at.gamma
        own = h
        if isinstance(self.log_weights, np.ndarray):
            own = h - self.log_weights[block]
        least = int(own.argmin())
        found = (float(own[least]), block.start + least)
        total, ends, products = float(np.add.reduce(own)), (0.0, 0.0), NONE
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far: its likelihood is 0
            if at.look is Look.NEWTON:
                return self._derivatives(Q, S, residual, h, total, found)
            precision = np.exp(-h)
            weighted = precision * residual
            squares = weighted * residual
            total += float(np.add.reduce(squares))
            gradient = np.concatenate([weighted @ Q, squares @ S])
            if at.look is not Look.GRADIENT:
                B = Q * np.sqrt(precision)[:, None]
                products = B.T @ B
                ends = float(np.minimum.reduce(h)), float(np.maximum.reduce(h))
        return Looked(total, gradient, found, ends, products)

    @staticmethod
    def _derivatives(
        Q: Float, S: Float, residual: Float, h: Float, total: float, found: tuple[float, int]
    ) -> Looked:
        """Return the sums with the second derivatives: all products of these columns at once."""
        r, s = Q.shape[1], S.shape[1]
        root = np.exp(-0.5 * h)
        standardised = root * residual
        B = np.empty((len(Q), r + s + 1), order="F")
        np.multiply(Q, root[:, None], out=B[:, :r])
        np.multiply(S, standardised[:, None], out=B[:, r:-1])
        B[:, -1] = standardised
        products = B.T @ B
        gradient, curvature = products[-1, :-1].copy(), products[:-1, :-1]
        curvature[r:, r:] *= 0.5
        ends = float(np.minimum.reduce(h)), float(np.maximum.reduce(h))
        return Looked(total + float(products[-1, -1]), gradient, found, ends, curvature)

    def root(self, gamma: Float) -> Float:
        """Return R with R^T R = I_ww, with all its digits however far apart precisions are.

        From a sum of products; where that has too few digits, from a second one, of the rows that
        it makes nearly orthonormal; by QR where there is no other way.
        """

        def weighted(block: slice) -> Float:
            return self._weighted(block, gamma)[0]

        def products(block: slice) -> tuple[Float, float, float]:
            B, h = self._weighted(block, gamma)
            return B.T @ B, float(np.minimum.reduce(h)), float(np.maximum.reduce(h))

        def again(block: slice) -> Float:
            B = weighted(block) @ inverse
            return B.T @ B

        with np.errstate(over="ignore", invalid="ignore"):
            found, least, most = zip(*in_blocks(products, len(self.y), self.width))
            apart, rough = max(most) - min(least), NONE
            if len(self.y) >= self.Q.shape[1] and apart <= WIDE:
                rough = cholesky(reduce(add, found))
            if len(rough):
                if apart <= MILD:
                    return rough
                inverse = solved(rough, np.eye(len(rough)))
                finer = cholesky(reduce(add, in_blocks(again, len(self.y), self.width)))
                if len(finer):
                    return finer @ rough
            R = np.zeros((0, self.Q.shape[1]))
            for block in blocks_of(slice(0, len(self.y)), QR_ROWS):
                R = np.asarray(np.linalg.qr(np.vstack([R, weighted(block)]), mode="r"))
        return R

    def _weighted(self, block: slice, gamma: Float) -> tuple[Float, Float]:
        """Return rows of the mean over their standard deviations, and their log variances."""
        h = self.S[block] @ gamma
        return self.Q[block] * np.exp(-0.5 * h)[:, None], h


@dataclass(frozen=True)
class Looked:
    """The plain sums of some rows."""

    sum: float  # of log variances and squares: the log-likelihood times -2, but for a constant
    gradient: Float  # (r + s,): for the mean, and twice for the log variance, but for `heights`
    least: tuple[float, int]  # a row's own log variance, and which
    range: tuple[float, float]  # of the log variances
    products: Float  # (r, r), or (r + s, r + s) of all second derivatives, or none

    def __add__(self, other: Looked) -> Looked:
        return Looked(
            self.sum + other.sum,
            self.gradient + other.gradient,
            min(self.least, other.least),
            (min(self.range[0], other.range[0]), max(self.range[1], other.range[1])),
            self.products + other.products,
        )


@dataclass(frozen=True)
class Weights:
    """Mean Q alpha and log variance S gamma."""

    alpha: Float  # (r,)
    gamma: Float  # (s,)
    look: Look = Look.FISHER  # what is summed there
    came: Way | None = None

    def ways(self, statistics: Slopes) -> Iterator[Way]:
        """Yield where to go from here: Newton's way or BFGS's, and Fisher's should it fail."""
        gradient = np.concatenate([statistics.of_mean, 0.5 * statistics.of_variance])
        root = statistics.root if len(statistics.root) or self.came is None else self.came.root
        if len(factor := statistics.newton_factor()):
            whitened = solved(factor, gradient, transposed=True)
            yield Way(solved(factor, whitened), gradient, root, sqrt(whitened @ whitened))
        step = two_loops(gradient, root, ())
        size = sqrt(gradient @ step)
        near = size**2 <= FAR * statistics.n_observations
        if self.came is not None and self.look is not Look.NEWTON and near:
            steps, change = self.came.steps, self.came.gradient - gradient
            if (curvature := float(self.came.step @ change)) > 0:
                steps = (*steps[-MEMORY:], Past(self.came.step, change, curvature))
            bent = two_loops(gradient, root, steps)
            yield Way(bent, gradient, root, sqrt(gradient @ bent), steps, far=False)
        yield Way(step, gradient, root, size)


class Past(NamedTuple):
    """A step that was taken."""

    step: Float  # (r + s,)
    change: Float  # (r + s,), what the gradient lost by it
    curvature: float  # step @ change


@dataclass(frozen=True)
class Way:
    """A step from some weights, and what was known there."""

    step: Float  # (r + s,)
    gradient: Float  # (r + s,), at its start
    root: Float  # (r, r), of the information of the mean there or before
    size: float  # of the whole step, in standard errors
    steps: tuple[Past, ...] = ()  # before it
    far: bool = True  # so that the information will be another after it


@dataclass(frozen=True)
class Slopes(Sums):
    """Gradient and information at some weights; I_vv is half the identity."""

    of_mean: Float  # (r,): Q^T diag(precision) residual
    root: Float  # (r, r): R^T R = I_ww
    of_variance: Float  # (s,), twice: the step of gamma
    least: tuple[float, int]  # a row's log variance over the floor, and which
    longest: float  # square of the longest row of S
    curvature: Float  # (r + s, r + s): second derivatives, less their sign, or none
    range: tuple[float, float]  # of the log variances, where there are information or derivatives
    merged_by: ClassVar = {
        "root": lambda R, more: np.linalg.qr(np.vstack([R, more]), mode="r") if len(R) else R,
        "least": min,
        "longest": max,
        "range": lambda own, more: (min(own[0], more[0]), max(own[1], more[1])),
    }

    @cached_property
    def whitened(self) -> Float:
        """The step of alpha in standard errors."""
        return solved(self.root, self.of_mean, transposed=True)

    @property
    def root_is_exact(self) -> bool:
        """Tell whether the root has the digits that standard errors want."""
        return len(self.root) > 0 and self.range[1] - self.range[0] <= MILD

    @property
    def step_size(self) -> float:
        """The whole step of Fisher's scoring in standard errors."""
        return float(
            np.sqrt(self.whitened @ self.whitened + 0.5 * self.of_variance @ self.of_variance)
        )

    def newton_factor(self) -> Float:
        """Return the root of the second derivatives; none where the likelihood is not concave."""
        if not len(self.curvature) or self.range[1] - self.range[0] <= WIDE:
            return cholesky(self.curvature)
        r = len(self.of_mean)
        B = solved(self.root, self.curvature[:r, r:], transposed=True)
        if not len(rest := cholesky(self.curvature[r:, r:] - B.T @ B)):
            return NONE
        return np.block([[self.root, B], [np.zeros_like(B.T), rest]])

    def refuse_vanishing(self) -> None:
        """Raise Vanishing where the variance of a row has run to zero."""
        if self.least[0] <= 0:
            raise Vanishing(self.least[1])


def two_loops(gradient: Float, root: Float, steps: tuple[Past, ...]) -> Float:
    """Return the step of limited-memory BFGS from Fisher's: after no others, it is that."""
    q, shares, r = gradient, [], len(root)
    for past in reversed(steps):
        shares.append(float(past.step @ q) / past.curvature)
        q = q - shares[-1] * past.change
    mean = solved(root, solved(root, q[:r], transposed=True))
    q = np.concatenate([mean, 2 * q[r:]])
    for past, share in zip(steps, reversed(shares)):
        q += (share - float(past.change @ q) / past.curvature) * past.step
    return q


def cholesky(A: Float) -> Float:
    """Return upper triangular R with R^T R = A; none where A is not positive definite."""
    R, info = dpotrf(A) if len(A) else (A, 0)
    return NONE if info else R


def in_blocks(task: Callable[[slice], V], n: int, n_columns: int) -> list[V]:
    """Return task(block) for blocks of n rows that stay in cache, in order, maybe by threads."""
    size = costs.block_rows(n_columns)
    if n <= size:
        return [task(slice(0, n))]

    def of_part(part: slice) -> list[V]:
        return [task(block) for block in blocks_of(part, size)]

    found = in_threads(of_part, even_parts(n, min(costs.PARTS, -(-n // size))), n * n_columns)
    return [value for part in found for value in part]
