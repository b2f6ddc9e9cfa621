"""Sufficient statistics: frozen, made by `.of(data)` or `.empty(...)`, merged by `+`.

A closed-form fit is a sum of statistics and a solve, whether the rows came in one array, in
chunks or from many machines. `empty` is the identity of `+`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import check_integer, check_weights
from ancestral._numerics.accumulation import (
    STEEP,
    centred_few,
    is_steep,
    near_zero,
    pilot_mean,
    reduced,
    root_about_mean,
    scatter_about,
)
from ancestral._numerics.decomposition import EPS, eigen_of_root, eigen_of_scatter
from ancestral._numerics.double_double import two_sum
from ancestral._numerics.packing import Packing, packed_rows
from ancestral._numerics.threads import threads_for
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import DataError

CELLS_PER_ROW = 4  # numbers that rows may be packed into, at most, for these to be counted


@dataclass(frozen=True, eq=False, repr=False)
class Moments(Printed):
    """Count, mean and spread of rows in R^m, as a centred scatter or a centred root.

    Parameters
    ----------
    count : int
        Number of rows.
    mean : ndarray of shape (n_features,)
        The mean of the rows; weighted if the rows have weights.
    scatter : ndarray of shape (n_features, n_features) or None
        The scatter: sum w (x - mean)(x - mean)^T.
    root : ndarray of shape (r, n_features), r <= n_features, or None
        R with R^T R equal to the scatter. It keeps digits that squares lose, and it is smaller than
        the scatter if there are fewer rows than columns.
    weight : float, optional
        Sum of the rows' weights; `count` when not given.
    tail : ndarray of shape (n_features,), optional
        The rounding error of the mean: mean + tail has twice the digits, so that moments of parts
        far from zero merge without loss.
    pinned : bool
        True keeps the form (scatter or root) in `+`; otherwise `+` chooses the form as `of` does.
    single : bool
        Whether some rows were float32, whose rounding may be large compared with their spread.

    Notes
    -----
    Exactly one of `scatter` and `root` is stored. Two moments are merged by the formula of Chan,
    Golub & LeVeque (1983). Scatters are added, with a rank-one term for the difference of the
    means. Roots are stacked, with this term as one more row, and reduced by QR when they have more
    than m rows, where m is n_features.

    If there are fewer rows than columns, a root is stored, so that wide data never need a (m, m)
    matrix. Otherwise a scatter is stored, unless some direction varies so little compared with the
    largest that its square would lose digits (`is_steep`).

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
    single: bool = False

    def __post_init__(self) -> None:
        if (self.scatter is None) == (self.root is None):
            raise DataError("Moments hold a scatter or a root, exactly one of the two.")
        if self.weight is None:
            object.__setattr__(self, "weight", float(self.count))
        for name in ("mean", "scatter", "root", "tail"):
            if (given := getattr(self, name)) is not None:
                frozen = np.asarray(given).view()  # the caller's own array stays writable
                frozen.flags.writeable = False
                object.__setattr__(self, name, frozen)

    @classmethod
    def empty(cls, n_features: int, *, root: bool = False) -> Moments:
        """Return the statistics of no rows: the identity of `+`.

        Parameters
        ----------
        n_features : int
        root : bool
            True for a root, False for a scatter.

        Returns
        -------
        Moments

        Examples
        --------
        >>> some = Moments.of([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
        >>> (Moments.empty(2) + some).mean
        array([2., 2.])
        """
        mean = np.zeros(check_integer(n_features, "n_features"))
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
        X : array-like of shape (n_samples, n_features)
        weights : array-like of shape (n_samples,), optional
            Not negative.
        root : bool or None
            True for a root, False for a scatter; `+` keeps this form. None chooses it (see Notes of
            the class).

        Raises
        ------
        DataError
            When X is no table of numbers, or weights are negative or not one for each row.

        Returns
        -------
        Moments

        Examples
        --------
        >>> Moments.of([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]]).mean
        array([2., 2.])
        """
        X = np.asarray(X)
        if X.ndim != 2 or X.dtype.kind not in "biuf":
            raise DataError(
                "moments are of numbers in a table of shape (n_samples, n_features); "
                f"got shape {X.shape}, dtype {X.dtype}."
            )
        n, d = X.shape
        w = check_weights(weights, n, name="weights", may_be_zero=True)
        pinned = root is not None
        as_root = n <= d if root is None else root
        if n == 0 or (w is not None and not w.any()):
            return cls.empty(d, root=as_root)
        form: dict[str, NDArray[np.float64]] = {}
        # `eigen` looks for what overflowed.
        with np.errstate(over="ignore", invalid="ignore"), threads_for(n * d, n * d * d):
            few = centred_few(X, w)
            if few is not None:
                shift, offset, rows = few
                scatter = None if as_root else rows.T @ rows
                if scatter is None or not (pinned or not is_steep(scatter, STEEP)):
                    form = {"root": reduced(rows)}
                else:
                    form = {"scatter": scatter}
            else:
                shift = pilot_mean(X, w, rows=8 if as_root else 256)  # a root's is taken off twice
                if not as_root:
                    about = near_zero(X, shift, w)
                    offset, scatter, is_flat = scatter_about(X, about, w)
                    if pinned or is_flat or not is_steep(scatter, STEEP):
                        form, shift = {"scatter": scatter}, about
                if not form:
                    offset, form["root"] = root_about_mean(X, shift, w)
            mean, tail = two_sum(shift, offset)
        weight = None if w is None else float(w.sum())
        single = X.dtype == np.float32
        return cls(n, mean, weight=weight, tail=tail, pinned=pinned, single=single, **form)

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
        mean, tail = two_sum(self.mean, _tail(self) + step * share)
        between = step * np.sqrt(self.total_weight * share)  # rank-one term, (d,)
        return Moments(
            count,
            mean,
            weight=weight,
            tail=tail,
            pinned=self.pinned or other.pinned,
            single=self.single or other.single,
            **_merged_form(self, other, between),
        )

    def _table(self) -> Table:
        d, some = self.n_features, self.total_weight > 0
        std = self.standard_deviations if some else np.full(d, np.nan)
        columns = {"column": range(d), "mean": self.mean, "std. deviation": std}
        return one_table(
            columns, f"Moments of {self.count} rows, {self.total_weight:.6g} by weight"
        )

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.mean.size)

    @property
    def n_eigenvalues(self) -> int:
        """How many eigenvalues `eigen` gives, where it gives all that may be above 0."""
        return self.n_features if self.root is None else min(self.root.shape)

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        return float(self.count if self.weight is None else self.weight)

    @property
    def are_finite(self) -> bool:
        """Whether neither NaN nor infinity was among the rows: their sum would show it."""
        return bool(np.isfinite(self.mean).all())

    def as_scatter(self) -> NDArray[np.float64]:
        """Return the centred scatter, of shape (n_features, n_features).

        Returns
        -------
        ndarray of shape (n_features, n_features)

        Examples
        --------
        >>> Moments.of([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]]).as_scatter()
        array([[ 8., -2.],
               [-2., 14.]])
        """
        if self.scatter is not None:
            return self.scatter
        root = np.asarray(self.root)  # one of the two is held
        return root.T @ root

    def as_root(self) -> NDArray[np.float64]:
        """Return a root R with R^T R the centred scatter, of shape (r, n_features).

        Returns
        -------
        ndarray of shape (r, n_features)

        Examples
        --------
        >>> root = Moments.of([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]]).as_root()
        >>> root.T @ root
        array([[ 8., -2.],
               [-2., 14.]])
        """
        if self.root is not None:
            return self.root
        try:
            return np.asarray(np.linalg.cholesky(self.as_scatter()).T)
        except np.linalg.LinAlgError:  # singular: by eigenvectors
            eigenvalues, U = np.linalg.eigh(self.as_scatter())
            return np.sqrt(np.maximum(eigenvalues, 0.0))[:, None] * U.T

    @cached_property
    def spreads(self) -> NDArray[np.float64]:
        """Centred sum of squares of each column, of shape (n_features,)."""
        if self.root is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.einsum("ij,ij->j", self.root, self.root)
        return self.as_scatter().diagonal().copy()

    @cached_property
    def standard_deviations(self) -> NDArray[np.float64]:
        """Standard deviation of each column, divisor the total weight, (n_features,)."""
        return np.sqrt(self.spreads / self.total_weight)

    def eigen(
        self, n_vectors: int | None = None, *, leading: bool = False
    ) -> tuple[NDArray, NDArray]:
        """Return the eigenvalues of the covariance, in falling order, and the eigenvectors as rows.

        Parameters
        ----------
        n_vectors : int, optional
            The number of leading eigenvectors; by default all.
        leading : bool
            True allows to return only as many eigenvalues as vectors, if this is cheaper. The
            others are smaller; their sum times the total weight is the sum of `spreads` minus what
            the returned eigenvalues explain.

        Returns
        -------
        eigenvalues : ndarray of shape (r,)
            Eigenvalues of scatter / total weight. The remaining n_features - r are exactly 0.
            Eigenvalues that are as small as rounding errors are returned as 0.
        eigenvectors : ndarray of shape (n_vectors, n_features)

        Raises
        ------
        DataError
            When the squares of the values are too large for float64.

        Examples
        --------
        >>> moments = Moments.of(np.random.default_rng(0).normal(size=(100, 3)) * [9.0, 1.0, 1.0])
        >>> eigenvalues, eigenvectors = moments.eigen(1)
        >>> len(eigenvalues), eigenvectors.shape
        (3, (1, 3))
        """
        self.refuse_overflow()
        if self.root is not None:
            eigenvalues, V = eigen_of_root(
                self.root, n_vectors, leading=leading, squares=self.spreads
            )
        else:
            eigenvalues, V = eigen_of_scatter(self.as_scatter(), n_vectors, leading=leading)
            rounding = EPS * (self.n_features + self.count**0.5)
            eigenvalues = np.where(eigenvalues > rounding * eigenvalues[:1], eigenvalues, 0.0)
        return eigenvalues / self.total_weight, V

    def scaled(self, scale: NDArray[np.float64]) -> Moments:
        """Return the moments of the same rows with each column's spread divided by its scale.

        The mean stays as it is.

        Parameters
        ----------
        scale : ndarray of shape (n_features,)
            Above 0.

        Returns
        -------
        Moments

        Examples
        --------
        >>> moments = Moments.of([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
        >>> moments.scaled(np.array([2.0, 1.0])).as_scatter()
        array([[ 2., -1.],
               [-1., 14.]])
        """
        root = None if self.root is None else self.root / scale
        scatter = None if self.scatter is None else self.scatter / scale / scale[:, None]
        return replace(self, root=root, scatter=scatter)

    def refuse_overflow(self) -> None:
        """Raise DataError if the scatter overflows float64.

        Examples
        --------
        >>> Moments.of([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]]).refuse_overflow()  # raises nothing
        """
        # No entry of a scatter is above its diagonal's largest, and no value above the root of it.
        if self.spreads.max(initial=0.0) < LARGEST_SPREAD**2:
            return
        held = np.asarray(self.scatter if self.root is None else self.root)
        refuse_overflow(held, np.inf if self.root is None else LARGEST_SPREAD)


LARGEST_SPREAD = 1e150  # of values that are to be squared and summed


def refuse_overflow(values: NDArray[np.float64], limit: float = LARGEST_SPREAD) -> None:
    """Raise DataError when the largest of the values reaches the limit or is NaN."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if not largest < limit:
        raise DataError(
            "the values overflow when squared: float64 holds squares of spreads up to about "
            "1e150. Rescale them, for example by dividing by their largest."
        )


def _tail(moments: Moments) -> NDArray[np.float64] | float:
    return 0.0 if moments.tail is None else moments.tail


def _merged_form(a: Moments, b: Moments, between: NDArray) -> dict[str, NDArray[np.float64]]:
    """Return the merged scatter or root, the form chosen as for one table."""
    both_roots = a.root is not None and b.root is not None
    pinned = a.pinned or b.pinned
    rows = len(a.as_root()) + len(b.as_root()) + 1 if both_roots else 0
    if not both_roots or (not pinned and rows > len(between)):
        scatter = a.as_scatter() + b.as_scatter() + np.outer(between, between)
        # Least variances add at least, so that parts of one scale are no steeper than they were.
        parts = sum(m.scatter.diagonal().max() for m in (a, b) if m.scatter is not None)
        if pinned or scatter.diagonal().max() <= 4 * parts or not is_steep(scatter, STEEP):
            return {"scatter": scatter}
    return {"root": reduced(np.vstack([a.as_root(), b.as_root(), between]))}


@dataclass(frozen=True, eq=False, repr=False)
class Counts:
    """Distinct rows of discrete data, in lexicographic order, and how often each occurs.

    Parameters
    ----------
    rows : ndarray of shape (n_distinct, n_features)
        Integers, booleans or text; distinct and sorted.
    counts : ndarray of shape (n_distinct,)

    Examples
    --------
    >>> Counts.of([[0, 1], [1, 1], [0, 1]]).counts
    array([2, 1])
    """

    rows: NDArray
    counts: NDArray[np.int64]

    def __repr__(self) -> str:
        n, d = self.rows.shape
        return f"Counts({n} distinct rows of {d} columns, {int(self.counts.sum())} rows in all)"

    @classmethod
    def empty(cls, n_features: int) -> Counts:
        """Return the statistics of no rows: the identity of `+`.

        Parameters
        ----------
        n_features : int

        Returns
        -------
        Counts

        Examples
        --------
        >>> (Counts.empty(2) + Counts.of([[0, 1], [0, 1]])).counts
        array([2])
        """
        return cls(np.zeros((0, n_features), np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, X: ArrayLike) -> Counts:
        """Count the distinct rows of a table of integers, booleans or text.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Counts

        Raises
        ------
        DataError
            For real numbers, and for data that are no table.

        Examples
        --------
        >>> Counts.of([["a", "b"], ["a", "b"], ["b", "b"]])
        Counts(2 distinct rows of 2 columns, 3 rows in all)
        """
        X = np.asarray(X)
        if X.ndim != 2 or X.dtype.kind not in "biuUSO":
            raise DataError(
                "counts are of a 2-D table of integers, booleans or text; "
                f"got shape {X.shape}, dtype {X.dtype}."
            )
        distinct, inverse = distinct_rows(X)
        return cls(distinct, np.bincount(inverse, minlength=len(distinct)).astype(np.int64))

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
        refuse_text_beside_numbers(self.rows, other.rows)
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


def refuse_text_beside_numbers(a: NDArray, b: NDArray) -> None:
    """Raise DataError for a column of numbers in one table and of text in the other."""
    if not {a.dtype.kind, b.dtype.kind} & set("USO"):
        return
    for j, (one, two) in enumerate(zip(a[0].tolist(), b[0].tolist())):
        if None not in (one, two) and isinstance(one, str | bytes) != isinstance(two, str | bytes):
            seen = " and ".join(
                f"rows of {'text' if isinstance(value, str | bytes) else 'numbers'} "
                f"(such as {value!s})"
                for value in (one, two)
            )
            raise DataError(f"column {j}: {seen} do not merge. Give every part as one of the two.")


def distinct_rows(rows: NDArray) -> tuple[NDArray, NDArray[np.intp]]:
    """Return the distinct rows in lexicographic order and each row's place among them.

    A plain `numpy.unique(axis=0)` compares rows as records. Whole numbers are packed into as few
    words as hold a row, and counted where these are few; other columns are sorted by one by one.
    """
    n, d = rows.shape
    if n == 0 or d == 0:
        return rows[: min(n, 1)], np.zeros(n, np.intp)
    keys = rows if rows.dtype.kind != "O" else _ranks(rows)
    if keys.dtype.kind == "U" and (packing := Packing.of([keys])):
        keys = packing.packed(keys)
    words = packed_rows(keys) if keys.dtype.kind in "biu" else None
    if words is not None and len(words) == 1:
        return _by_word(rows, words[0])
    order = np.lexsort(keys.T[::-1] if words is None else words[::-1])
    new = np.ones(n, bool)
    if words is None:
        ordered = keys[order]
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    else:
        apart = words[:, order]
        new[1:] = (apart[:, 1:] != apart[:, :-1]).any(axis=0)
    return _by_order(rows, order, new)


def _by_word(rows: NDArray, word: NDArray[np.int64]) -> tuple[NDArray, NDArray[np.intp]]:
    """Return the distinct rows and each row's place, where one number stands for each row."""
    n_cells = int(word.max()) + 1
    if n_cells <= CELLS_PER_ROW * len(word):
        one = np.full(n_cells, -1)
        one[word[::-1]] = np.arange(len(word))[::-1]  # the first of equals
        seen = one >= 0
        place = np.cumsum(seen) - 1
        return rows[one[seen]], place[word]
    order = np.argsort(word, kind="stable")
    ordered = word[order]
    new = np.ones(len(word), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return _by_order(rows, order, new)


def _by_order(
    rows: NDArray, order: NDArray[np.intp], new: NDArray[np.bool_]
) -> tuple[NDArray, NDArray[np.intp]]:
    """Return the distinct of sorted rows, of which some are new, and each row's place."""
    inverse = np.empty(len(rows), np.intp)
    inverse[order] = np.cumsum(new) - 1
    return rows[order[new]], inverse


def _ranks(rows: NDArray) -> NDArray[np.intp]:
    """Return each object's rank in its column: numbers are quicker to sort by."""
    ranks = np.empty(rows.shape, np.intp)
    for j, column in enumerate(rows.T.tolist()):
        try:
            known = sorted(set(column) - {None})  # a missing answer stands last
            rank = {value: k for k, value in enumerate([*known, None])}
        except TypeError:
            raise DataError(
                "rows mix text and numbers in one column, which cannot be ordered. "
                "Make each column of one kind."
            ) from None
        ranks[:, j] = np.fromiter(map(rank.__getitem__, column), np.intp, len(rows))
    return ranks
