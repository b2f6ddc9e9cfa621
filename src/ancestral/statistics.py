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
    tail : ndarray of shape (d,), optional
        What rounding took from the mean: mean + tail is right to twice the digits, so that
        moments of parts far from zero merge without loss.
    pinned : bool
        Whether the form was asked for, and stays; otherwise `+` chooses as `of` does.

    Notes
    -----
    Exactly one of `scatter` and `root` is held. Two of a kind merge by the formula of Chan,
    Golub & LeVeque (1983): scatters add, with a rank-one term for the distance of the means;
    roots are stacked with that term as one more row and reduced by QR once they exceed d rows.

    The form is chosen in one place, `_is_steep`, beside the shape: fewer rows than columns are
    held as a root, so that wide data never form a (d, d) matrix; more rows as a scatter, unless
    some direction varies so little beside the largest that squaring would lose its digits.

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
    tail: NDArray[np.float64] | None = None
    pinned: bool = False

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
            True for a root, False for a scatter, kept by `+`; None chooses by shape and
            condition (see Notes of the class).

        Raises
        ------
        DataError
            When X is no table, or weights are negative or of another length.
        """
        X = np.asarray(X)
        if X.ndim != 2:
            raise DataError(f"moments are of a table of shape (n, d); got shape {X.shape}.")
        n, d = X.shape
        w = None if weights is None else _checked_weights(weights, n)
        pinned = root is not None
        if n == 0 or (w is not None and not w.any()):
            return cls.empty(d, root=n < d if root is None else root)
        shift = _pilot_mean(X)
        form: dict[str, NDArray[np.float64]] = {}
        if not (n < d if root is None else root):
            offset, scatter = _scatter_about(X, shift, w)
            if pinned or not _is_steep(scatter, STEEP):
                form = {"scatter": scatter}
        if not form:
            offset, form["root"] = _root_about_mean(X, shift, w)
        mean, tail = _exact_sum(shift, offset)
        weight = None if w is None else float(w.sum())
        return cls(n, mean, weight=weight, tail=tail, pinned=pinned, **form)

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
        step = (other.mean - self.mean) + (_tail(other) - _tail(self))
        share = other.total_weight / weight
        mean, tail = _exact_sum(self.mean, _tail(self) + step * share)
        between = step * np.sqrt(self.total_weight * share)  # rank-one term, (d,)
        return Moments(
            count,
            mean,
            weight=weight,
            tail=tail,
            pinned=self.pinned or other.pinned,
            **_merged_form(self, other, between),
        )

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

    def as_root(self) -> NDArray[np.float64]:
        """Return a root R with R^T R the centred scatter, of shape (r, d), r <= d."""
        if self.root is not None:
            return self.root
        try:
            return np.asarray(np.linalg.cholesky(self.as_scatter()).T)
        except np.linalg.LinAlgError:  # singular: by eigenvectors
            eigenvalues, U = np.linalg.eigh(self.as_scatter())
            return np.sqrt(np.maximum(eigenvalues, 0.0))[:, None] * U.T

    @property
    def spreads(self) -> NDArray[np.float64]:
        """Centred sum of squares of each column, of shape (d,)."""
        if self.root is not None:
            return np.einsum("ij,ij->j", self.root, self.root)
        return np.diag(self.as_scatter()).copy()

    def spread_along(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the centred sum of squares along directions of shape (k, d), of shape (k,)."""
        if self.root is not None:
            along = self.root @ directions.T
            return np.einsum("ij,ij->j", along, along)
        return np.einsum("ij,ij->i", directions @ self.as_scatter(), directions)

    def eigen(self, n_vectors: int | None = None) -> tuple[NDArray, NDArray]:
        """Return the covariance's non-trivial eigenvalues (falling) and eigenvectors as rows.

        Parameters
        ----------
        n_vectors : int, optional
            How many leading eigenvectors are wanted; all when not given.

        Returns
        -------
        eigenvalues : ndarray of shape (r,)
            Of scatter / total weight; the remaining d - r are exactly zero, and so are those
            here that rounding alone could have made.
        eigenvectors : ndarray of shape (n_vectors, d)
        """
        if self.root is not None:
            eigenvalues, V, rounding = _eigen_of_root(self.root, n_vectors)
        else:
            eigenvalues, U = np.linalg.eigh(self.as_scatter())
            eigenvalues, V = eigenvalues[::-1], U[:, ::-1].T[:n_vectors]
            rounding = EPS * (len(eigenvalues) + self.count**0.5)
        floor = rounding * eigenvalues[0] if len(eigenvalues) else 0.0
        return np.where(eigenvalues > floor, eigenvalues, 0.0) / self.total_weight, V


def _tail(moments: Moments) -> NDArray[np.float64] | float:
    return 0.0 if moments.tail is None else moments.tail


def _exact_sum(
    a: NDArray[np.float64], b: NDArray[np.float64] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a + b rounded, and what the rounding took (Knuth's two-sum)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


# ---- the choice of form -------------------------------------------------------------------------

EPS = float(np.finfo(np.float64).eps)
# Largest variance over the least variance of a column given the others, up to which products in
# float64 and in float32 leave the least eigenvalues 7 right digits.
STEEP = 1e8
STEEP_SINGLE = 1e2


def _is_steep(scatter: NDArray[np.float64], limit: float) -> bool:
    """Tell whether some direction varies `limit` times less than the largest column.

    The pivots of Cholesky's factor are the variances of each column given the earlier ones;
    constant columns lose nothing and are passed over.
    """
    variances = np.diag(scatter)
    varying = variances > 0
    if not varying.all():
        scatter, variances = scatter[np.ix_(varying, varying)], variances[varying]
    if not len(variances):
        return False
    try:
        pivots = np.diag(np.linalg.cholesky(scatter)) ** 2
    except np.linalg.LinAlgError:
        return True
    return not variances.max() < limit * pivots.min()


def _merged_form(a: Moments, b: Moments, between: NDArray) -> dict[str, NDArray[np.float64]]:
    """Return the merged scatter or root, the form chosen as for one table."""
    both_roots = a.root is not None and b.root is not None
    pinned = a.pinned or b.pinned
    rows = len(a.as_root()) + len(b.as_root()) + 1 if both_roots else 0
    if not both_roots or (not pinned and rows > len(between)):
        scatter = a.as_scatter() + b.as_scatter() + np.outer(between, between)
        if pinned or not _is_steep(scatter, STEEP):
            return {"scatter": scatter}
    return {"root": _reduced(np.vstack([a.as_root(), b.as_root(), between]))}


# ---- accumulation ------------------------------------------------------------------------------

PILOT_ROWS = 256
BLOCK_BYTES = 32 << 20
SINGLE_ROWS = 4096  # float32 products over more rows than this would lose digits in the sum


def _pilot_mean(X: NDArray) -> NDArray[np.float64]:
    """Return the mean of some rows, spread over the table: a shift that is near enough."""
    some = X[:: max(1, len(X) // PILOT_ROWS)][: 2 * PILOT_ROWS]
    first = some[0].astype(np.float64)
    shift = first + (some.astype(np.float64) - first).mean(axis=0)
    return shift.astype(X.dtype).astype(np.float64) if X.dtype == np.float32 else shift


def _blocks(n: int, rows: int) -> Iterator[slice]:
    """Yield slices of at most `rows` rows."""
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def _scatter_about(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter; float32 rows by short products where that does."""
    if X.dtype == np.float32 and weights is None and _safe_in_single(X, shift):
        # A first block that is steep saves the rest of a pass that would be thrown away.
        first = _scatter_single(X[:SINGLE_ROWS], shift)[1] if len(X) > 2 * SINGLE_ROWS else None
        if first is None or not _is_steep(first, STEEP_SINGLE):
            offset, scatter = _scatter_single(X, shift)
            if np.isfinite(scatter).all() and not _is_steep(scatter, STEEP_SINGLE):
                return offset, scatter
    return _scatter(X, shift, weights)


def _scatter(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter in one pass, with a rank-one correction."""
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
    return offset, product


def _safe_in_single(X: NDArray, shift: NDArray[np.float64]) -> bool:
    """Tell whether squares of centred float32 values neither overflow, vanish nor lean.

    Far from zero, float32 values are few steps apart; sums of their squares then round upwards
    more often than not, by some 1e-7 of the variance, which no averaging takes out.
    """
    spread = np.abs(X[:: max(1, len(X) // PILOT_ROWS)] - shift.astype(np.float32)).max(axis=0)
    near = np.abs(shift) < 30 * spread
    return bool(spread.max() < 1e12 and (spread > 1e-12).all() and near.all())


def _scatter_single(
    X: NDArray, shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and the scatter: short float32 products, summed in float64."""
    n, d = X.shape
    block = np.empty((min(n, SINGLE_ROWS), d), np.float32)
    product, total = np.zeros((d, d)), np.zeros(d)
    single_shift = shift.astype(np.float32)
    for part in _blocks(n, SINGLE_ROWS):
        B = block[: part.stop - part.start]
        np.subtract(X[part], single_shift, out=B)  # exact where values are near the shift
        total += np.ones(len(B), np.float32) @ B
        product += B.T @ B
    offset = total / n
    product -= np.outer(offset * n, offset)
    return offset, product


def _root_about_mean(
    X: NDArray, shift: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean minus shift and a root in two passes, so that centring loses nothing."""
    n, d = X.shape
    rows = max(2 * d, 256, BLOCK_BYTES // (8 * d))
    w = np.ones(n) if weights is None else weights
    if n <= rows:
        B = X - shift
        offset = w @ B / w.sum()
        B -= offset
        return offset, _reduced(B if weights is None else B * np.sqrt(w)[:, None])
    total = np.zeros(d)
    for part in _blocks(n, rows):
        total += w[part] @ (X[part] - shift)
    offset = total / w.sum()
    R = np.zeros((0, d))
    for part in _blocks(n, rows):
        B = X[part] - shift
        B -= offset
        if weights is not None:
            B *= np.sqrt(w[part])[:, None]
        R = _reduced(np.vstack([R, B]) if len(R) else B)
    return offset, R


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
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return eigenvalues of R^T R (falling), leading eigenvectors as rows, relative rounding.

    A large root goes through the small side R R^T, unless its eigenvalues fall so steeply that
    squaring would lose them; then, and for small roots, through the SVD of R.
    """
    rounding = EPS * max(root.shape)
    if 128 < len(root) < root.shape[1]:
        eigenvalues, U = np.linalg.eigh(root @ root.T)
        eigenvalues, U = np.maximum(eigenvalues[::-1], 0.0), U[:, ::-1][:, :n_vectors]
        kept = eigenvalues[: U.shape[1]]
        steep = np.median(eigenvalues) < 1e-7 * eigenvalues[0]
        if not steep and (len(kept) == 0 or kept[-1] > 1e-7 * eigenvalues[0]):
            return eigenvalues, (U / np.sqrt(kept)).T @ root, rounding
    _, singular, V = np.linalg.svd(root, full_matrices=False)
    return singular**2, V[:n_vectors], rounding**2


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
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(n, bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    inverse = np.empty(n, np.intp)
    inverse[order] = np.cumsum(new) - 1
    return ordered[new], inverse
