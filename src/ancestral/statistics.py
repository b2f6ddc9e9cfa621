"""Sufficient statistics: frozen, made by `.of(data)` or `.empty(...)`, merged by `+`.

A closed-form fit is a sum of statistics and a solve, whether the rows came in one array, in
chunks or from many machines. `empty` is the identity of `+`.
"""

from __future__ import annotations

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
    scatter : ndarray of shape (d, d) or None
        sum (x - mean)(x - mean)^T.
    root : ndarray of shape (r, d), r <= d, or None
        R with R^T R equal to the scatter: it keeps the digits that squaring loses, and for
        fewer rows than columns it is the smaller of the two.

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

    def __post_init__(self) -> None:
        if (self.scatter is None) == (self.root is None):
            raise DataError("Moments hold a scatter or a root, exactly one of the two.")

    @classmethod
    def empty(cls, n_features: int, *, root: bool = False) -> Moments:
        """Return the statistics of no rows: the identity of `+`."""
        mean = np.zeros(n_features)
        if root:
            return cls(0, mean, root=np.zeros((0, n_features)))
        return cls(0, mean, scatter=np.zeros((n_features, n_features)))

    @classmethod
    def of(cls, X: ArrayLike, *, root: bool | None = None) -> Moments:
        """Return the moments of the rows of X, accumulated in float64 about a shift.

        Parameters
        ----------
        X : array-like of shape (n, d)
        root : bool or None
            True for a root, False for a scatter; None takes the root when n < d, so that wide
            data never form a (d, d) matrix.
        """
        X = np.asarray(X)
        if X.ndim != 2:
            raise DataError(f"moments are of a table of shape (n, d); got shape {X.shape}.")
        n, d = X.shape
        if root is None:
            root = n < d
        if n == 0:
            return cls.empty(d, root=root)
        mean, centred = _centred(X)
        if not root:
            return cls(n, mean, scatter=centred.T @ centred)
        return cls(n, mean, root=_reduced(centred))

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
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        between = step * np.sqrt(self.count * (other.count / count))  # rank-one term, (d,)
        if self.root is not None and other.root is not None:
            return Moments(count, mean, root=_reduced(np.vstack([self.root, other.root, between])))
        scatter = self.as_scatter() + other.as_scatter() + np.outer(between, between)
        return Moments(count, mean, scatter=scatter)

    @property
    def n_features(self) -> int:
        """Number of columns, d."""
        return int(self.mean.size)

    def as_scatter(self) -> NDArray[np.float64]:
        """Return the centred scatter, of shape (d, d)."""
        if self.scatter is not None:
            return self.scatter
        root = np.asarray(self.root)  # one of the two is held
        return root.T @ root

    def eigen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the covariance's non-trivial eigenvalues (falling) and eigenvectors as rows.

        Returns
        -------
        eigenvalues : ndarray of shape (r,)
            Of scatter / count; the remaining d - r are exactly zero.
        eigenvectors : ndarray of shape (r, d)
        """
        if self.root is not None:
            _, singular, V = np.linalg.svd(self.root, full_matrices=False)
            return singular**2 / self.count, V
        eigenvalues, U = np.linalg.eigh(self.as_scatter())
        return np.maximum(eigenvalues[::-1], 0.0) / self.count, U[:, ::-1].T


def _centred(X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (d,) and the centred rows (n, d) in float64."""
    # A pilot shift first: the mean of shifted rows loses no digits at large offsets.
    shift = X[0].astype(np.float64)
    centred = X.astype(np.float64) - shift
    offset = centred.mean(axis=0)
    centred -= offset
    return shift + offset, centred


def _reduced(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most d rows with the same R^T R, by QR."""
    n, d = rows.shape
    return rows if n <= d else np.asarray(np.linalg.qr(rows, mode="r"))


@dataclass(frozen=True)
class Counts:
    """Distinct rows of discrete data, in lexicographic order, and how often each was seen.

    Parameters
    ----------
    rows : ndarray of shape (n_distinct, d)
        Level indices (integers), distinct and sorted.
    counts : ndarray of shape (n_distinct,)

    Examples
    --------
    >>> Counts.of([[0, 1], [1, 1], [0, 1]]).counts
    array([2, 1])
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, n_features: int) -> Counts:
        """Return the statistics of no rows: the identity of `+`."""
        return cls(np.zeros((0, n_features), np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, X: ArrayLike) -> Counts:
        """Count the distinct rows of an integer table of shape (n, d)."""
        X = np.asarray(X)
        if X.ndim != 2 or X.dtype.kind not in "biu":
            raise DataError(
                f"counts are of a 2-D table of integers; got shape {X.shape}, dtype {X.dtype}."
            )
        return cls._merged(X.astype(np.int64), np.ones(len(X), np.int64))

    @classmethod
    def _merged(cls, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> Counts:
        """Sort rows and add up the counts of equal ones."""
        distinct, inverse = distinct_rows(rows)
        total = np.zeros(len(distinct), np.int64)
        np.add.at(total, inverse, counts)
        return cls(distinct, total)

    def __add__(self, other: Counts) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
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
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(n, bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    inverse = np.empty(n, np.intp)
    inverse[order] = np.cumsum(new) - 1
    return ordered[new], inverse
