"""What a pass over rows says of where their likelihood rises: gradients, information, steps.

    log L = -1/2 sum_i [ log 2 pi + h_i + r_i^2 exp(-h_i) ],   r = y - Q alpha,   h = S gamma

of rows in orthonormal columns Q and S, as `heteroscedastic` has them: there are the derivatives.
Rows are summed in blocks that stay in cache, the blocks in order, so that no bit depends on how
many threads there are; the sums of parts of the rows merge by `+`.
References: Nocedal (1980), Mathematics of Computation 35, on limited-memory BFGS; Yamamoto et al.
(2015), Electronic Transactions on Numerical Analysis 44, on roots from two sums of products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from math import exp, isfinite, sqrt
from operator import add, and_
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf

from ancestral._numerics.threads import blocks_of, even_parts, in_threads
from ancestral._numerics.triangles import solved
from ancestral.errors import ModelError
from ancestral.gaussian import costs
from ancestral.training.parts import Parts
from ancestral.training.passes import Sums

Float = NDArray[np.float64]
V = TypeVar("V")
EPS = float(np.finfo(np.float64).eps)
FAR = 1e-3  # squared standard errors a row: longer steps say little of the next, and are Fisher's
MEMORY = 20  # steps that one more is found from
# Log variances so far apart leave 12 of 16 digits of the information's root to one sum of products,
# and so far apart to two.
MILD, WIDE = 8.0, 30.0
UNSEEN = 128 * EPS  # of the likelihood: its rounding hides less than half
QR_ROWS = 1 << 15
LOG_2_PI = float(np.log(2 * np.pi))
LOG_OF_SQUARE = 1.2703628454614782  # Euler's constant + log 2: less the mean log of chi-square

NONE = np.zeros((0, 0))


# What a pass sums beside the gradient: nothing, the information of the mean, or what is observed of
# all information: the second derivatives.
Kind = Literal["gradient", "fisher", "newton"]


class Vanishing(ModelError):
    """The variance of a row runs to zero: the likelihood has no bound."""

    def __init__(self, part: int, row: int) -> None:
        self.row = f"{row}" if part < 0 else f"{row} of part {part}"
        super().__init__(f"the variance at row {self.row} runs to 0.")


class Columns(Protocol):
    """Columns of rows: an array, or what forms the rows that are asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


@dataclass(frozen=True)
class Rows:
    """Rows in orthonormal columns; those of mean and target times the roots of their precisions."""

    Q: Columns  # (n, r), of the mean
    S: Columns  # (n, s), of the log variance; the same object where they are the same
    y: Float  # (n,)
    log_weights: Float | float = 0.0  # (n,), of the precisions
    floor: float = -np.inf  # log variance at which nothing of a row is left but rounding
    first: int = 0  # which row of the table is the first
    part: int = -1  # or of which part of it, where that is all that is known

    @property
    def width(self) -> int:
        return int(self.Q.shape[1] + self.S.shape[1])

    @cached_property
    def heights(self) -> Float:
        """Sums of the columns of S."""
        return np.asarray(np.add.reduce(self.S[: len(self.y)], axis=0))

    def _columns(self, block: slice) -> tuple[Float, Float]:
        """Return Q and S of a block."""
        S = self.S[block]
        return S if self.Q is self.S else self.Q[block], S

    def regressed(self, alpha: Float, least: float) -> Regressed:
        """Return what regresses the log squared residuals, `least` the least of them, on S."""

        def of(block: slice) -> Regressed:
            Q, S = self._columns(block)
            residual = self.y[block] - Q @ alpha
            logs = np.log(np.maximum(residual * residual, least))
            logs += LOG_OF_SQUARE
            weights = self.log_weights
            return Regressed(
                logs @ S,
                np.ones(len(S)) @ S,
                float(np.einsum("ij,ij->i", S, S).max()),
                float(np.add.reduce(weights[block])) if isinstance(weights, np.ndarray) else 0.0,
            )

        return reduce(add, in_blocks(of, len(self.y), self.width))

    def slopes(self, at: Weights) -> Slopes:
        """Return the likelihood and its slopes, summed over all rows."""
        total = reduce(add, in_blocks(lambda block: self._sums(block, at), len(self.y), self.width))
        r, apart = len(at.alpha), total.range[1] - total.range[0]
        root, exact = NONE, False
        if at.look != "gradient" and isfinite(total.sum):
            if apart <= WIDE:  # digits enough for a step
                root, exact = cholesky(total.products[:r, :r]), apart <= MILD
            if not len(root):
                root, exact = self.triangle(at.gamma), True
        return Slopes(
            -0.5 * (len(self.y) * LOG_2_PI + total.sum),
            float(len(self.y)),
            total.gradient[:r],
            root,
            total.gradient[r:] - self.heights if at.look == "newton" else total.gradient[r:],
            (total.least[0] - self.floor, self.part, self.first + total.least[1]),
            total.products if at.look == "newton" else NONE,
            total.range,
            exact,
        )

    def _sums(self, block: slice, at: Weights) -> Looked:
        Q, S = self._columns(block)
        residual, h = self.y[block] - Q @ at.alpha, S @ at.gamma
        own = h
        if isinstance(self.log_weights, np.ndarray):
            own = h - self.log_weights[block]
        least = int(own.argmin())
        found = (float(own[least]), block.start + least)
        total, ends, products = float(np.add.reduce(own)), (0.0, 0.0), NONE
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far: its likelihood is 0
            if at.look == "newton":
                return self._derivatives(Q, S, residual, h, total, found)
            precision = np.exp(-h)
            weighted = precision * residual
            squares = weighted * residual
            total += float(np.add.reduce(squares))
            squares -= 1.0
            gradient = np.concatenate([weighted @ Q, squares @ S])
            if at.look == "fisher":
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

    def triangle(self, gamma: Float) -> Float:
        """Return R with R^T R = I_ww by QR: all its digits, however far apart precisions are."""
        R = np.zeros((0, self.Q.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            for block in blocks_of(slice(0, len(self.y)), QR_ROWS):
                R = stacked(R, self._weighted(block, gamma))
        return R

    def products(self, gamma: Float, inverse: Float) -> Float:
        """Return the products of the rows of I_ww, which an inverse makes nearly orthonormal."""

        def of(block: slice) -> Float:
            B = self._weighted(block, gamma) @ inverse
            return np.asarray(B.T @ B)

        return reduce(add, in_blocks(of, len(self.y), self.width))

    def _weighted(self, block: slice, gamma: Float) -> Float:
        """Return rows of the mean over their standard deviations."""
        Q, S = self._columns(block)
        return np.asarray(Q * np.exp(-0.5 * (S @ gamma))[:, None])


def exact_root(rows: Parts[Rows], at: Weights, found: Slopes) -> Float:
    """Return R with R^T R = I_ww, with all its digits however far apart precisions are.

    That which was found there, if it has them; else from the products of the rows that a root of
    before makes nearly orthonormal; by QR where there is no other way.
    """
    if found.root_is_exact:
        return found.root
    root = found.root if len(found.root) == len(found.of_mean) or at.came is None else at.came.root
    for _ in range(2):  # the second time it is a root of here that makes them so
        inverse = solved(root, np.eye(len(root)))
        finer = cholesky(rows.total(partial(Rows.products, gamma=at.gamma, inverse=inverse)))
        if not len(finer):
            break
        root = finer @ root
        rest = solved(finer, np.eye(len(finer)))
        if np.vdot(finer, finer) * np.vdot(rest, rest) <= exp(MILD) * len(root):
            return root
    return rows.total(partial(Rows.triangle, gamma=at.gamma))


@dataclass(frozen=True)
class Regressed:
    """Least squares of the log squared residuals, and what is known of S and of the weights."""

    gamma: Float  # (s,)
    heights: Float  # (s,), sums of the columns of S
    longest: float  # square of the longest row of S
    log_weights: float  # sum

    def __add__(self, other: Regressed) -> Regressed:
        return Regressed(
            self.gamma + other.gamma,
            self.heights + other.heights,
            max(self.longest, other.longest),
            self.log_weights + other.log_weights,
        )


@dataclass(frozen=True)
class Looked:
    """The plain sums of some rows."""

    sum: float  # of log variances and squares: the log-likelihood times -2, but for a constant
    gradient: Float  # (r + s,): for the mean, and twice for the log variance (Newton's: + heights)
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
    look: Kind = "fisher"  # what is summed there
    came: Way | None = None
    longest: float = 0.0  # square of the longest row of S

    def ways(self, statistics: Slopes) -> Iterator[Way]:
        """Yield where to go from here: Newton's way or BFGS's, and Fisher's should it fail."""
        gradient = np.concatenate([statistics.of_mean, 0.5 * statistics.of_variance])
        root = statistics.root if len(statistics.root) or self.came is None else self.came.root
        none = np.zeros((0, 2, len(gradient)))
        if len(factor := statistics.newton_factor):
            whitened = solved(factor, gradient, transposed=True)
            yield Way(solved(factor, whitened), gradient, root, sqrt(whitened @ whitened), none)
        step = two_loops(gradient, root, none)
        size = sqrt(gradient @ step)
        near = size**2 <= FAR * statistics.n_observations
        if self.came is not None and self.look != "newton" and near:
            steps, last = self.came.steps, np.stack([self.came.step, self.came.gradient - gradient])
            if last[0] @ last[1] > 0:
                steps = np.concatenate([steps[-MEMORY:], last[None]])
            bent = two_loops(gradient, root, steps)
            yield Way(bent, gradient, root, sqrt(gradient @ bent), steps, far=False)
        yield Way(step, gradient, root, size, none)


@dataclass(frozen=True)
class Way:
    """A step from some weights, and what was known there."""

    step: Float  # (r + s,)
    gradient: Float  # (r + s,), at its start
    root: Float  # (r, r), of the information of the mean there or before
    size: float  # of the whole step, in standard errors
    steps: Float  # (k, 2, r + s): those taken before it, and what the gradient lost by each
    far: bool = True  # so that the information will be another after it


@dataclass(frozen=True)
class Slopes(Sums):
    """Gradient and information at some weights; I_vv is half the identity."""

    of_mean: Float  # (r,): Q^T diag(precision) residual
    root: Float  # (r, r): R^T R = I_ww
    of_variance: Float  # (s,), twice: the step of gamma
    least: tuple[float, int, int]  # a row's log variance over the floor, and which: part, row
    curvature: Float  # (r + s, r + s): second derivatives, less their sign, or none
    range: tuple[float, float]  # of the log variances, where there are information or derivatives
    is_exact: bool  # whether the root has the digits that standard errors want
    merged_by: ClassVar = {
        "root": lambda R, more: stacked(R, more) if len(R) and len(more) else NONE,
        "least": min,
        "range": lambda own, more: (min(own[0], more[0]), max(own[1], more[1])),
        "is_exact": and_,
    }

    @cached_property
    def whitened(self) -> Float:
        """The step of alpha in standard errors."""
        return solved(self.root, self.of_mean, transposed=True)

    @property
    def root_is_exact(self) -> bool:
        """Tell whether there is a root, with the digits that standard errors want."""
        return len(self.root) == len(self.of_mean) and self.is_exact

    @property
    def step_size(self) -> float:
        """The whole step of Fisher's scoring in standard errors."""
        return float(
            np.sqrt(self.whitened @ self.whitened + 0.5 * self.of_variance @ self.of_variance)
        )

    @property
    def unseen(self) -> float:
        """Square of the size of steps whose gain the likelihood's rounding may hide."""
        return UNSEEN * max(abs(self.log_likelihood), self.n_observations)

    @cached_property
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
            raise Vanishing(*self.least[1:])


def two_loops(gradient: Float, root: Float, steps: Float) -> Float:
    """Return the step of limited-memory BFGS from Fisher's: after no others, it is that."""
    q, shares, r = gradient, [], len(root)
    for step, change in steps[::-1]:
        shares.append(float(step @ q) / float(step @ change))
        q = q - shares[-1] * change
    mean = solved(root, solved(root, q[:r], transposed=True))
    q = np.concatenate([mean, 2 * q[r:]])
    for (step, change), share in zip(steps, reversed(shares)):
        q += (share - float(change @ q) / float(step @ change)) * step
    return q


def stacked(R: Float, more: Float) -> Float:
    """Return upper triangular R, its diagonal above 0, with R^T R that of these rows together."""
    found = np.asarray(np.linalg.qr(np.vstack([R, more]), mode="r"))
    return np.where(found.diagonal() < 0, -1.0, 1.0)[:, None] * found


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
