"""Sufficient statistics: frozen, made by `.of(data)` or `.empty(...)`, merged by `+`.

A closed-form fit is a sum of statistics and a solve, whether the rows came in one array, in
chunks or from many machines. `empty` is the identity of `+`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.errors import DataError


@dataclass(frozen=True)
class Moments:
    """Count, mean and spread of rows in R^d, as a centred scatter or a centred root.

    Parameters
    ----------
    count : int
        Number of rows.
    mean : ndarray of shape (d,)
        Weighted, where the rows were.
    scatter : ndarray of shape (d, d) or None
        sum w (x - mean)(x - mean)^T.
    root : ndarray of shape (r, d), r <= d, or None
        R with R^T R equal to the scatter: it keeps the digits that squaring loses, and for
        fewer rows than columns it is the smaller of the two.
    weight : float, optional
        Sum of the rows' weights; `count` when not given.

    Notes
    -----
    Exactly one of `scatter` and `root` is held. Two of a kind merge by the formula of Chan,
    Golub & LeVeque (1983): scatters add, with a rank-one term for the distance of the means;
    roots are stacked with that term as one more row and reduced by QR once they exceed d rows.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.array([[0.0, 1.0], [2.0, 5.0]]), np.array([[4.0, 0.0]])
    >>> (Moments.of(a) + Moments.of(b)).mean
    array([2., 2.])
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64] | None = None
    root: NDArray[np.float64] | None = None
    weight: float | None = None

    def __post_init__(self) -> None:
        if (self.scatter is None) == (self.root is None):
            raise DataError("Moments hold a scatter or a root, exactly one of the two.")
        if self.weight is None:
            object.__setattr__(self, "weight", float(self.count))

    @classmethod
    def empty(cls, n_features: int, *, root: bool = False) -> Moments:
        """Return the statistics of no rows: the identity of `+`."""
        mean = np.zeros(n_features)
        if root:
            return cls(0, mean, root=np.zeros((0, n_features)))
        return cls(0, mean, scatter=np.zeros((n_features, n_features)))

    @classmethod
    def of(
        cls, X: ArrayLike, *, weights: ArrayLike | None = None, root: bool | None = None
    ) -> Moments:
        """Return the moments of the rows of X, accumulated about a shift near their mean.

        Parameters
        ----------
        X : array-like of shape (n, d)
        weights : array-like of shape (n,), optional
            Not negative.
        root : bool or None
            True for a root, False for a scatter; None takes the root when n < d, so that wide
            data never form a (d, d) matrix.

        Raises
        ------
        DataError
            When X is no table, or weights are negative or of another length.
        """
        X = np.asarray(X)
        if X.ndim != 2:
            raise DataError(f"moments are of a table of shape (n, d); got shape {X.shape}.")
        n, d = X.shape
        if root is None:
            root = n < d
        w = None if weights is None else _checked_weights(weights, n)
        if n == 0 or (w is not None and not w.any()):
            return cls.empty(d, root=root)
        weight = None if w is None else float(w.sum())
        shift = _pilot_mean(X, w)
        with np.errstate(over="ignore", invalid="ignore"):  # `eigen` looks for what overflowed
            if root:
                mean, R = _root_about_mean(X, shift, w)
                return cls(n, mean, root=R, weight=weight)
            if X.dtype == np.float32 and w is None and _safe_in_single(X, shift):
                return cls(n, *_scatter_single(X, shift))
            return cls(n, *_scatter(X, shift, w), weight=weight)

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        if self.mean.shape != other.mean.shape:
            raise DataError(
                f"moments of {self.mean.size} and {other.mean.size} columns cannot be merged."
            )
        if other.count == 0:
            return self
        if self.count == 0:
            return other
        count, weight = self.count + other.count, self.total_weight + other.total_weight
        step = other.mean - self.mean
        share = other.total_weight / weight
        mean = self.mean + step * share
        between = step * np.sqrt(self.total_weight * share)  # rank-one term, (d,)
        if self.root is not None and other.root is not None:
            stacked = np.vstack([self.root, other.root, between])
            return Moments(count, mean, root=_reduced(stacked), weight=weight)
        scatter = self.as_scatter() + other.as_scatter() + np.outer(between, between)
        return Moments(count, mean, scatter=scatter, weight=weight)

    @property
    def n_features(self) -> int:
        """Number of columns, d."""
        return int(self.mean.size)

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(self.count if self.weight is None else self.weight)

    def as_scatter(self) -> NDArray[np.float64]:
        """Return the centred scatter, of shape (d, d)."""
        if self.scatter is not None:
            return self.scatter
        root = np.asarray(self.root)  # one of the two is held
        return root.T @ root

    def eigen(self, n_vectors: int | None = None) -> tuple[NDArray, NDArray]:
        """Return the covariance's non-trivial eigenvalues (falling) and eigenvectors as rows.

        Parameters
        ----------
        n_vectors : int, optional
            How many leading eigenvectors are wanted; all when not given.

        Returns
        -------
        eigenvalues : ndarray of shape (r,)
            Of scatter / total weight; the remaining d - r are exactly zero.
        eigenvectors : ndarray of shape (n_vectors, d)

        Raises
        ------
        DataError
            When the squares of the values are too large for float64.
        """
        self._refuse_overflow()
        if self.root is not None:
            eigenvalues, V = _eigen_of_root(self.root, n_vectors)
        else:
            eigenvalues, U = np.linalg.eigh(self.as_scatter())
            eigenvalues, V = np.maximum(eigenvalues[::-1], 0.0), U[:, ::-1].T[:n_vectors]
        return eigenvalues / self.total_weight, V

    def _refuse_overflow(self) -> None:
        """Raise DataError when the scatter is, or would be, infinite."""
        held = np.asarray(self.scatter if self.root is None else self.root)
        largest = float(np.abs(held).max(initial=0.0))
        if not largest < (np.inf if self.root is None else 1e150):
            raise DataError(
                "the values overflow when squared: float64 holds squares of spreads up to about "
                "1e150. Rescale them, for example by dividing by their largest."
            )


# ---- accumulation ------------------------------------------------------------------------------

PILOT_ROWS = 256
BLOCK_BYTES = 32 << 20
SINGLE_ROWS = 4096  # float32 products over more rows than this would lose digits in the sum


def _pilot_mean(X: NDArray, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the mean of some rows, spread over the table: a shift that is near enough."""
    step = max(1, len(X) // PILOT_ROWS)
    chosen = slice(0, 2 * PILOT_ROWS * step, step)
    # Sums over memory of one order: Fortran-ordered input gives the same bits.
    some = X[chosen].astype(np.float64, order="C")
    w = None if weights is None or not weights[chosen].any() else weights[chosen]
    shift = some[0] + np.average(some - some[0], axis=0, weights=w)
    return shift.astype(X.dtype).astype(np.float64) if X.dtype == np.float32 else shift


def _blocks(n: int, rows: int) -> Iterator[slice]:
    """Yield slices of at most `rows` rows."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def _scatter(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and scatter in one pass: shifted products, then a rank-one correction."""
    n, d = X.shape
    rows = min(n, max(256, BLOCK_BYTES // (8 * d)))
    # Blocks are copied to C order: Fortran-ordered input gives the same bits.
    block = np.empty((rows, d))
    product, total, weight = np.zeros((d, d)), np.zeros(d), 0.0
    for part in _blocks(n, rows):
        B = block[: part.stop - part.start]
        np.subtract(X[part], shift, out=B)
        if weights is None:
            total += np.ones(len(B)) @ B
            weight += len(B)
        else:
            w = weights[part]
            total += w @ B
            weight += float(w.sum())
            B *= np.sqrt(w)[:, None]
        product += B.T @ B
    offset = total / weight
    product -= np.outer(offset * weight, offset)
    return shift + offset, product


def _safe_in_single(X: NDArray, shift: NDArray[np.float64]) -> bool:
    """Tell whether squares of centred float32 values neither overflow nor vanish."""
    spread = np.abs(X[:: max(1, len(X) // PILOT_ROWS)] - shift.astype(np.float32)).max(axis=0)
    return bool(spread.max() < 1e12 and (spread > 1e-12).all())


def _scatter_single(
    X: NDArray, shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and scatter of float32 rows: short float32 products, summed in float64."""
    n, d = X.shape
    block = np.empty((min(n, SINGLE_ROWS), d), np.float32)
    product, total = np.zeros((d, d)), np.zeros(d)
    single_shift = shift.astype(np.float32)
    for part in _blocks(n, SINGLE_ROWS):
        B = block[: part.stop - part.start]
        np.subtract(X[part], single_shift, out=B)  # exact where values are near the shift
        total += np.ones(len(B), np.float32) @ B
        product += B.T @ B
    if not np.isfinite(product).all():
        return _scatter(X, shift, None)
    offset = total / n
    product -= np.outer(offset * n, offset)
    return shift + offset, product


def _root_about_mean(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and root in two passes, so that centring loses nothing."""
    n, d = X.shape
    rows = max(2 * d, 256, BLOCK_BYTES // (8 * d))
    w = np.ones(n) if weights is None else weights
    total = np.zeros(d)
    for part in _blocks(n, rows):
        total += w[part] @ np.subtract(X[part], shift, order="C")
    mean = shift + total / w.sum()
    R = np.zeros((0, d))
    for part in _blocks(n, rows):
        B = np.subtract(X[part], mean, order="C")
        if weights is not None:
            B *= np.sqrt(w[part])[:, None]
        R = _reduced(np.vstack([R, B]) if len(R) else B)
    return mean, R


def _checked_weights(weights: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return weights as float64 of shape (n,), finite and not negative."""
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,):
        raise DataError(f"weights must have shape ({n},), one per row; got {w.shape}.")
    wrong = ~(np.isfinite(w) & (w >= 0))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise DataError(f"weights hold {w[i]:g} at row {i}; they must be finite, 0 or more.")
    return w


def _reduced(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most d rows with the same R^T R, by QR."""
    n, d = rows.shape
    return rows if n <= d else np.asarray(np.linalg.qr(rows, mode="r"))


def _eigen_of_root(
    root: NDArray[np.float64], n_vectors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues of R^T R (falling) and leading eigenvectors as rows.

    A large root goes through the small side R R^T, unless its eigenvalues fall so steeply that
    squaring would lose them; then, and for small roots, through the SVD of R.
    """
    if 128 < len(root) < root.shape[1]:
        eigenvalues, U = np.linalg.eigh(root @ root.T)
        eigenvalues, U = np.maximum(eigenvalues[::-1], 0.0), U[:, ::-1][:, :n_vectors]
        kept = eigenvalues[: U.shape[1]]
        steep = np.median(eigenvalues) < 1e-7 * eigenvalues[0]
        if not steep and (len(kept) == 0 or kept[-1] > 1e-7 * eigenvalues[0]):
            return eigenvalues, (U / np.sqrt(kept)).T @ root
    _, singular, V = np.linalg.svd(root, full_matrices=False)
    return singular**2, V[:n_vectors]


@dataclass(frozen=True)
class Counts:
    """Distinct rows of discrete data, in lexicographic order, and how often each was seen.

    Parameters
    ----------
    rows : ndarray of shape (n_distinct, d)
        Integers, booleans or text; distinct and sorted.
    counts : ndarray of shape (n_distinct,)

    Examples
    --------
    >>> Counts.of([[0, 1], [1, 1], [0, 1]]).counts
    array([2, 1])
    """

    rows: NDArray
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, n_features: int) -> Counts:
        """Return the statistics of no rows: the identity of `+`."""
        return cls(np.zeros((0, n_features), np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, X: ArrayLike) -> Counts:
        """Count the distinct rows of a table of shape (n, d) of integers, booleans or text."""
        X = np.asarray(X)
        if X.ndim != 2 or X.dtype.kind not in "biuUSO":
            raise DataError(
                "counts are of a 2-D table of integers, booleans or text; "
                f"got shape {X.shape}, dtype {X.dtype}."
            )
        return cls._merged(X, np.ones(len(X), np.int64))

    @classmethod
    def _merged(cls, rows: NDArray, counts: NDArray[np.int64]) -> Counts:
        """Sort rows and add up the counts of equal ones."""
        distinct, inverse = distinct_rows(rows)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, inverse, counts)
        return cls(distinct, total)

    def __add__(self, other: Counts) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
        if not len(other.rows):
            return self
        if not len(self.rows):
            return other
        if self.rows.shape[1] != other.rows.shape[1]:
            raise DataError(
                f"counts of {self.rows.shape[1]} and {other.rows.shape[1]} columns do not merge."
            )
        return self._merged(
            np.concatenate([self.rows, other.rows]), np.concatenate([self.counts, other.counts])
        )

    @property
    def count(self) -> int:
        """Number of rows counted."""
        return int(self.counts.sum())

    @property
    def entropy(self) -> float:
        """Entropy in nats of the empirical distribution of rows: no model's mean loss is below."""
        p = self.counts / self.count
        return float(-(p * np.log(p)).sum())


def distinct_rows(rows: NDArray) -> tuple[NDArray, NDArray[np.intp]]:
    """Return the distinct rows in lexicographic order and each row's place among them.

    A plain `numpy.unique(axis=0)` compares rows as records; sorting by columns is many times
    faster on the narrow integers held here.
    """
    n, d = rows.shape
    if n == 0 or d == 0:
        return rows[: min(n, 1)], np.zeros(n, np.intp)
    try:
        order = np.lexsort(rows.T[::-1])
    except TypeError:
        raise DataError(
            "rows mix values that cannot be ordered (text and numbers in one column). "
            "Make each column of one kind."
        ) from None
    ordered = rows[order]
    new = np.ones(n, bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    inverse = np.empty(n, np.intp)
    inverse[order] = np.cumsum(new) - 1
    return ordered[new], inverse
