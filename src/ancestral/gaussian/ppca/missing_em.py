"""Maximum likelihood of probabilistic PCA from rows with gaps.

The likelihood is that of the known entries alone, sum_i log p(x_i,o): right whenever which
entries are missing does not depend on the missing values themselves. It has no closed form;
expectation-maximisation raises it step by step, with z as the only latent:

    E   z | x_o for every row (`patterns`).
    M   each column's (w_j, mu_j) by least squares over the rows that know it, then sigma^2.
    PX  the second moment of z, which the model says is N(0, I), is freed as N(eta, Psi) and
        absorbed: mu <- mu + W eta, W <- W Psi^(1/2) (parameter expansion, Liu et al. 1998).

The loop is that of `training.passes`: an E step is a sum over rows, an M step an update. Pairs of
steps are extrapolated along their own direction (SQUAREM, Varadhan & Roland 2008), and where that
does not raise the likelihood the plain step is taken: no step ever lowers it.
The start is the closed-form solution of the pairwise covariance, so that complete rows are at
their maximum from the start.

Where the steps gain nothing more, EM may stand on a saddle: every stationary point of PPCA's
likelihood but the maximum is one. There, rows are completed by what the model expects of them and
of their spread; in the covariance S* of such rows, each column of W stands for one variance, and
if a direction beside W has a larger one, closed-form PPCA of S* raises the likelihood and EM climbs
on from there. Nothing hangs on the units of the columns: lengths are compared within a column, or
along one direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.decomposition import eigen_of_root
from ancestral.errors import ModelError
from ancestral.gaussian.ppca.missing_columns import Columns, Rows
from ancestral.gaussian.ppca.missing_patterns import (
    Apart,
    Factors,
    Patterns,
    constants,
    expected,
    number_of_masks,
    over_batches,
    posterior,
    triangles,
    unfolded,
)
from ancestral.gaussian.ppca.projections import Frame
from ancestral.statistics import Moments
from ancestral.training import passes
from ancestral.training.parts import Parts
from ancestral.training.passes import FromPasses, Passes

LEAST_NOISE = 1e-12  # of the variance of the columns that vary least: below it, rounding is left
VANISHED = 1e-6  # variance of a latent's column over that of the noise
MOST_ESCAPES = 20
ROUNDING = 1e-9  # of a sum of squares
STARTS = 12
FEW_ENTRIES = 100  # known entries for a parameter, below which several maxima are likely


@dataclass(frozen=True)
class Path:
    """Factors, and up to two before them, from where a step led to the next."""

    steps: tuple[Factors, ...]
    leapt: bool = False  # whether the last was extrapolated


class Fit(passes.Fit):
    """The highest maximum that was found, and how the likelihood got there."""

    @property
    def factors(self) -> Factors:
        """Parameters at the maximum."""
        last: Factors = self.parameters.steps[-1]
        return last


@dataclass(frozen=True)
class Table:
    """All rows, as an E step takes them, and what is known of their columns.

    Parameters
    ----------
    parts : Parts
        Of `Patterns`, or `Apart`, about the columns' means and in units of the scale.
    columns : Columns
    scale : ndarray of shape (d,), optional
        What columns are divided by.
    """

    parts: Parts[Any]
    columns: Columns
    scale: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        rows: Parts[Rows],
        columns: Columns | None = None,
        scale: NDArray[np.float64] | None = None,
    ) -> Table:
        """Return the table of some rows, NaN where unknown."""
        columns = rows.total(Columns.of) if columns is None else columns
        return cls(rows.prepared(_Grouping(columns.mean, scale)), columns, scale)

    @property
    def variances(self) -> NDArray[np.float64]:
        """Of the columns, in units of the scale, shape (d,)."""
        found = self.columns.variances
        return found if self.scale is None else found / self.scale**2


@dataclass(frozen=True)
class _Grouping:
    """Makes patterns of rows, about a shift and in units of a scale."""

    shift: NDArray[np.float64]
    scale: NDArray[np.float64] | None

    def __call__(self, rows: Rows) -> Patterns | Apart:
        if 2 * number_of_masks(rows.X) > len(rows.X):  # to sort them costs more than it saves
            return Apart(rows.X, rows.weights, self.shift, self.scale)
        return compressed(Patterns.of(rows.X, self.shift, self.scale, rows.weights))


def fit(
    table: Table,
    n_components: int,
    *,
    tol: float,
    max_iter: int,
    n_starts: int = 1,
    run: Passes | None = None,
) -> Fit:
    """Return the factors that maximise the likelihood of the known entries of a table.

    Parameters
    ----------
    table : Table
        Every column has a known value.
    n_components : int
    tol : float
        Stop once a step gains less than this, in nats per known entry.
    max_iter : int
        E steps at most.
    n_starts : int
        Where there are few known entries for each parameter, so many starts, the highest of
        which is kept.
    run : Passes, optional
        What shows and keeps the passes.

    Raises
    ------
    ModelError
        When the known entries are too few, so that sigma^2 = 0 and the likelihood is unbounded.
    """
    columns = table.columns
    _refuse_too_few(columns.sizes, n_components)
    first, run = _start(table, n_components), run or Passes()
    found = _climb(table, first, tol=tol, max_iter=max_iter, run=run)
    d = columns.n_features
    if n_components and columns.n_known < FEW_ENTRIES * d * (n_components + 1):
        for factors in _other_starts(first, table.variances, n_starts - 1):
            try:
                other = _climb(table, factors, tol=tol, max_iter=max_iter, run=run)
            except (ModelError, np.linalg.LinAlgError):  # this one runs to where nothing is left
                continue
            if other.history[-1] > found.history[-1] + tol * columns.n_known:
                found = other
    moved = found.factors.about(columns.mean, table.scale)
    return replace(found, parameters=Path((moved,)))


def _climb(
    table: Table, factors: Factors, *, tol: float, max_iter: int, run: Passes | None = None
) -> Fit:
    """Ascend, and leave what is no maximum, until neither gains `tol` nats for a known entry."""
    least, run = tol * table.columns.n_known, run or Passes()
    found = _ascend(table, factors, tol=tol, max_iter=max_iter, run=run)
    for _ in range(MOST_ESCAPES):
        left = max_iter - len(found.history)
        escape = _escape(table, found, least) if found.converged and left > 0 else None
        if escape is None:
            return found
        further = _ascend(table, escape, tol=tol, max_iter=left, run=run)
        if not further.history[-1] > found.history[-1] + least:
            return found
        higher = [value for value in further.history if value > found.history[-1]]
        found = replace(further, history=found.history + higher)
    return found


def _ascend(
    table: Table, factors: Factors, *, tol: float, max_iter: int, run: Passes | None = None
) -> Fit:
    """Repeat steps and extrapolations until a plain step gains `tol` nats for a known entry."""
    variances = table.variances
    varying = variances > 0
    d, q = factors.loadings.shape
    floor = LEAST_NOISE * float(np.sort(variances[varying])[: d - q].mean())
    em = WithGaps(np.sqrt(np.where(varying, variances, 1.0)), floor)
    start = Fit(em._begin(factors))
    return (run or Passes()).climb(em, table.parts, start, tol=tol, max_iter=max_iter)


@dataclass(frozen=True)
class WithGaps(FromPasses):
    """EM of rows with gaps, from one start; parts are `Patterns` or `Apart`, about one shift.

    Parameters
    ----------
    units : ndarray of shape (d,)
        Steps are measured in these, column by column.
    floor : float
        Noise at which nothing is left.
    """

    units: NDArray[np.float64]
    floor: float
    _observation = "known entry"

    def _begin(self, summary: Factors) -> Path:
        return Path((summary,))

    def _statistics(self, X: Patterns | Apart, parameters: Path) -> ExpectedSums:
        factors = parameters.steps[-1]
        d, q = factors.loadings.shape
        size = d + 2 * q * q
        return over_batches(
            X, partial(_expected, factors=factors), ExpectedSums.none(factors), size
        )

    def _update(self, parameters: Path, statistics: ExpectedSums) -> Path:
        old, sums = parameters.steps[-1], statistics
        q, slope = old.n_components, sums.slope.copy()
        slope[:, :q] -= np.einsum("jkl,jl->jk", unfolded(sums.spread, q), old.loadings)
        # Solved for the change, from misfits: its share of sigma^2 then vanishes at the maximum
        # with all its rounding, where x^2 - x E[z] theta would keep the rounding of x^2.
        change = np.linalg.solve(unfolded(sums.left, q + 1), slope[:, :, None])[:, :, 0]
        noise = (sums.squares - float((change * slope).sum())) / sums.n_observations
        solution = np.column_stack([old.loadings, old.mean]) + change  # (d, q + 1)
        following = _absorbed(solution, unfolded(sums.second, q + 1)[0], noise)
        _refuse_vanishing_noise(following, self.floor)
        return Path((*parameters.steps, following))

    def _proposals(self, parameters: Path, statistics: ExpectedSums) -> Iterator[Path]:
        """Yield the plain step; after every second one, what lies further along both before it."""
        path = self._update(parameters, statistics)
        if len(path.steps) == 3:
            leap = _extrapolated(path.steps, self.units)
            if leap is not None:
                yield Path((leap,), leapt=True)
            path = Path(path.steps[-1:])
        yield path

    def _to_gain(self, parameters: Path, history: list[float]) -> float:
        """Return what the last step gained, if it was a plain one: a leap may be a short one."""
        return np.inf if parameters.leapt or len(history) < 2 else history[-1] - history[-2]


@dataclass(frozen=True)
class ExpectedSums(passes.Sums):
    """The sums of an E step."""

    # Of symmetric matrices the lower triangles; t = (q + 1) (q + 2) / 2.
    left: NDArray[np.float64]  # (d, t), per column: of E[(z, 1) (z, 1)^T]
    spread: NDArray[np.float64]  # (d, q (q + 1) / 2), per column: of Cov[z]
    slope: NDArray[np.float64]  # (d, q + 1), per column: of (x - mu - W E[z]) (E[z], 1)
    second: NDArray[np.float64]  # (1, t): of E[(z, 1) (z, 1)^T]
    squares: float  # of E|x_o - mu_o - W_o z|^2

    @classmethod
    def none(cls, factors: Factors) -> ExpectedSums:
        """Return the sums of no rows."""
        d, q = factors.loadings.shape
        t, with_one = q * (q + 1) // 2, (q + 1) * (q + 2) // 2
        sizes = (d, with_one), (d, t), (d, q + 1), (1, with_one)
        left, spread, slope, second = map(np.zeros, sizes)
        return cls(0.0, 0.0, left, spread, slope, second, 0.0)


def _expected(batch: Patterns, factors: Factors) -> ExpectedSums:
    """Return the sums of a batch."""
    found = expected(batch, factors)
    q, noise, count, known = factors.n_components, factors.noise, batch.count, batch.known
    log_likelihood = float(
        count @ constants(batch, factors, found.log_determinant)
        - 0.5 * (found.squares / noise).sum()
    )
    # tr(Cov[z] W_o^T W_o) with W_o^T W_o = M_o - sigma^2 I
    trace = found.inverse[np.cumsum(np.arange(1, q + 1)) - 1].sum(axis=0)
    squares = float((found.misfit**2).sum() + count @ (noise * (q - noise * trace)))
    z = np.column_stack([found.mean, batch.level])  # (n_values, q + 1)
    size, with_one = len(found.inverse), (q + 1) * (q + 2) // 2
    each = np.empty((size + with_one, len(count)))  # of each pattern: Cov[z], E[(z, 1) (z, 1)^T]
    np.multiply(found.inverse, noise * count, out=each[:size])
    each[size:] = batch.summed(triangles(z.T))
    each[size : 2 * size] += each[:size]
    sums = (each @ known).T
    left, second = sums[:, size:], each[size:].sum(axis=1)[None]
    slope = found.misfit.T @ z
    n_known = float(count @ known.sum(axis=1))
    return ExpectedSums(log_likelihood, n_known, left, sums[:, :size], slope, second, squares)


def _absorbed(solution: NDArray, second: NDArray, noise: float) -> Factors:
    """Return the factors after the freed mean and covariance of z went into mu and W."""
    W, mean = solution[:, :-1], solution[:, -1]
    average = second / second[-1, -1]  # [[E z z^T, E z], [E z^T, 1]]
    eta = average[-1, :-1]
    root = np.linalg.cholesky(average[:-1, :-1] - np.outer(eta, eta))
    return Factors(mean + W @ eta, W @ root, noise)


def _extrapolated(path: tuple[Factors, ...], units: NDArray[np.float64]) -> Factors | None:
    """Return the factors further along two steps' direction, or None where there is nothing.

    Steps are measured in the units of each column, (d,).
    """
    a, b, c = (_packed(factors, units) for factors in path)
    first, bend = b - a, c - 2 * b + a
    size = float(np.linalg.norm(bend))
    length = float(np.linalg.norm(first)) / size if size else 1.0
    if length <= 1:
        return None
    leap = a + 2 * length * first + length**2 * bend
    d, q = path[0].loadings.shape
    if not np.isfinite(leap).all() or abs(leap[-1] - c[-1]) > 5:  # sigma^2 by more than e^5
        return None
    mean, W = leap[:d] * units, leap[d:-1].reshape(d, q) * units[:, None]
    return Factors(mean, W, float(np.exp(leap[-1])))


def _packed(factors: Factors, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return all parameters as one vector, sigma^2 by its logarithm."""
    W = factors.loadings / units[:, None]
    return np.concatenate([factors.mean / units, W.ravel(), [np.log(factors.noise)]])


# ---- where the steps gain nothing ---------------------------------------------------------------


def _escape(table: Table, fit: Fit, least: float) -> Factors | None:
    """Return what closed-form PPCA makes of the completed rows, or None where it gains too little.

    At a stationary point, S* has the columns of W for eigenvectors. Its other ones are looked for
    in the rows' rest beside W, so that large columns do not blur them.
    """
    factors, n = fit.factors, table.columns.n_samples
    d, q = factors.loadings.shape
    lengths, U = eigen_of_root(factors.loadings.T, None)
    # Beside W, no more than E|x - mu - W z|^2 is left; of an unknown entry that is sigma^2.
    most = fit.statistics.squares + factors.noise * (n * d - table.columns.n_known)
    if len(lengths) == q > 0 and most < n * (lengths[-1] + factors.noise) * (1 - ROUNDING):
        return None
    held = int((lengths > VANISHED * factors.noise).sum())
    W = U[:held].T * np.sqrt(lengths[:held])
    frame = Frame(factors.mean, W, 0.0)
    beside = np.delete(np.eye(d), frame.pivots, axis=0) if held else np.eye(d)
    variances, V = np.linalg.eigh(table.parts.total(_Beside(factors, frame)) / n)
    found = np.concatenate([lengths[:held] + factors.noise, variances[::-1]])
    chosen = np.sort(np.argsort(-found, kind="stable")[:q])
    noise = (found.sum() - found[chosen].sum()) / (d - q)
    if not noise > 0 or (chosen < held).all():
        return None
    before = np.log(found[:held]).sum() + (d - held) * np.log(factors.noise)
    after = np.log(found[chosen]).sum() + (d - q) * np.log(noise)
    if not 0.5 * n * (before - after) > least:
        return None
    new = V[:, ::-1].T[chosen[chosen >= held] - held] @ beside
    directions = np.concatenate([U[chosen[chosen < held]], frame.reflected_back(new)])
    scale = np.sqrt(np.maximum(found[chosen] - noise, 0.0))
    return Factors(factors.mean, directions.T * scale, float(noise))


@dataclass(frozen=True)
class _Beside:
    """A look at completed rows: their scatter beside the directions of a frame."""

    factors: Factors
    frame: Frame

    def __call__(self, patterns: Patterns | Apart) -> NDArray[np.float64]:
        d, q = self.factors.loadings.shape
        rest = over_batches(patterns, self._of_batch, np.zeros((d, d)), d * (q + 1))
        pivots = self.frame.pivots
        return np.delete(np.delete(rest, pivots, axis=0), pivots, axis=1)

    def _of_batch(self, batch: Patterns) -> NDArray[np.float64]:
        scatters = []
        for rows in _completed(batch, self.factors):
            self.frame.reflect(rows)
            scatters.append(rows.T @ rows)
        return sum(scatters[1:], scatters[0])


def _completed(batch: Patterns, factors: Factors) -> Iterator[NDArray[np.float64]]:
    """Yield rows R with R^T R the scatter of completed rows, but for what lies along W.

    What is unknown is expected at W E[z], which lies along W; it spreads by W_u K and by sigma.
    """
    d, q = factors.loadings.shape
    found, unknown = posterior(batch, factors), 1 - batch.known
    yield found.misfit
    n = len(batch)
    turned = np.swapaxes(found.root, 1, 2).reshape(n * q, q)
    along = (turned @ factors.loadings.T).reshape(n, q, d)
    along *= (np.sqrt(factors.noise * batch.count)[:, None] * unknown)[:, None, :]
    yield along.reshape(n * q, d)
    yield np.diag(np.sqrt(factors.noise * (batch.count @ unknown)))


# ---- before the first step ----------------------------------------------------------------------


def compressed(patterns: Patterns) -> Patterns:
    """Replace the many rows of a mask by few that give the same sums.

    A mask's rows enter EM through their count, mean and scatter alone. Where they outnumber its
    known columns, they become sqrt(count) times their mean (in which mu stands sqrt(count) times)
    and a root of their scatter (in which mu does not stand).
    """
    columns_of = patterns.known.sum(axis=1)
    if not (np.diff(patterns.start) > columns_of + 1).any():
        return patterns
    values, level = [], []
    for p, (a, b) in enumerate(pairwise(patterns.start)):
        rows, levels = patterns.values[a:b], patterns.level[a:b]
        if len(rows) <= columns_of[p] + 1:
            values.append(rows)
            level.append(levels)
            continue
        columns = np.flatnonzero(patterns.known[p])
        weights = None if (levels == 1).all() else levels**2
        moments = Moments.of(rows[:, columns] / levels[:, None], weights=weights, root=True)
        root = np.zeros((1 + len(np.asarray(moments.root)), rows.shape[1]))
        root[0, columns] = np.sqrt(patterns.count[p]) * moments.mean
        root[1:, columns] = moments.root
        values.append(root)
        level.append(np.concatenate([[np.sqrt(patterns.count[p])], np.zeros(len(root) - 1)]))
    start = np.concatenate([[0], np.cumsum([len(rows) for rows in values])])
    return replace(
        patterns,
        start=start,
        values=np.concatenate(values),
        level=np.concatenate(level),
        order=np.arange(start[-1]),  # no longer rows of the table
    )


def _start(table: Table, q: int) -> Factors:
    """Return the closed-form solution of the covariance of pairs that are known together."""
    d, variances = table.columns.n_features, table.variances
    eigenvalues, U = _pairwise_eigen(table, q)
    # Unequal counts can make the tail vanish: sigma^2 starts above it, and a column of W is never
    # started at 0, where it would stay. The tail is at most the least variances of the columns.
    noise = max(eigenvalues[q:].sum(), 1e-3 * np.sort(variances)[: d - q].sum()) / (d - q)
    noise = noise if noise > 0 else 1e-3 * float(variances[variances > 0].min())
    scale = np.sqrt(np.maximum(eigenvalues[:q] - noise, 0.05 * noise))
    return Factors(np.zeros(d), U[:q].T * scale, float(noise))


def _other_starts(
    first: Factors, variances: NDArray[np.float64], n_starts: int
) -> Iterator[Factors]:
    """Yield starts with more noise, and some whose loadings are drawn in each column's units."""
    d, q = first.loadings.shape
    rng = np.random.default_rng(0)  # the same fit every time
    for i in range(n_starts):
        if i < 2:
            yield replace(first, noise=first.noise * 10.0 ** (i + 1))
        else:
            W = rng.standard_normal((d, q)) * np.sqrt(variances / q)[:, None]
            yield replace(first, loadings=W, noise=first.noise * 10.0 ** rng.uniform(-1, 2))


def _pairwise_eigen(table: Table, q: int) -> tuple[NDArray, NDArray]:
    """Return eigenvalues (falling, (r,)) and q eigenvectors or more of the pairwise covariance."""
    columns, variances = table.columns, table.variances
    if columns.n_rows < columns.n_features:  # never a (d, d) matrix: rows scaled up for their gaps
        root = table.parts.total(_filled_rows).rows * np.sqrt(1 / columns.count)
        return _filled_up(*eigen_of_root(root, None), q)
    units = np.sqrt(np.where(variances > 0, variances, 1.0))
    products, pairs = table.parts.total(_Pairs(units))
    # What unequal counts turn negative is dropped among columns of one scale.
    correlations, V = np.linalg.eigh(products / np.maximum(pairs, 1))
    root = (np.sqrt(np.maximum(correlations, 0.0))[:, None] * V.T) * units
    return _filled_up(*eigen_of_root(root, None), q)


@dataclass(frozen=True)
class _Pairs:
    """A look at pairs of columns: their products, and how often both are known, (2, d, d)."""

    units: NDArray[np.float64]

    def __call__(self, patterns: Patterns | Apart) -> NDArray[np.float64]:
        d = len(self.units)
        return over_batches(patterns, self._of_batch, np.zeros((2, d, d)), 2 * d)

    def _of_batch(self, batch: Patterns) -> NDArray[np.float64]:
        scaled, counted = batch.values / self.units, batch.known * batch.count[:, None]
        return np.array([scaled.T @ scaled, counted.T @ batch.known])


@dataclass(frozen=True)
class _Stack:
    """Rows, which `+` puts below each other."""

    rows: NDArray[np.float64]

    def __add__(self, other: _Stack) -> _Stack:
        return _Stack(np.concatenate([self.rows, other.rows]))


def _filled_rows(patterns: Patterns | Apart) -> _Stack:
    """Return the rows of a part about their shift, 0 where nothing is known."""
    none = _Stack(np.zeros((0, patterns.n_features)))
    return over_batches(patterns, lambda batch: _Stack(batch.values), none)


def _filled_up(eigenvalues: NDArray, U: NDArray, q: int) -> tuple[NDArray, NDArray]:
    """Return eigenpairs with zeros added where there are fewer than q."""
    lacking = max(0, q - len(U))
    eigenvalues = np.concatenate([eigenvalues, np.zeros(lacking)])
    return eigenvalues, np.concatenate([U, np.zeros((lacking, U.shape[1]))])


def _refuse_too_few(sizes: NDArray[np.int64], q: int) -> None:
    """Raise ModelError when z and W alone can meet every known entry.

    A row of d_o known entries has d_o - q left after its own z; W and mu have
    (q + 1) (d - q) free numbers that are not a mere change of z. `sizes` counts the rows of
    0, 1, ..., d known entries.
    """
    each = np.arange(len(sizes))
    d, left = len(sizes) - 1, int(sizes @ np.maximum(each - q, 0))
    if left <= (q + 1) * (d - q):
        raise ModelError(
            f"n_components={q} leaves sigma^2 = 0 and the likelihood unbounded: the "
            f"{int(sizes @ each)} known entries can be met exactly ({left} equations beyond z for "
            f"{(q + 1) * (d - q)} free parameters). Pass fewer components or give more values."
        )


def _refuse_vanishing_noise(factors: Factors, floor: float) -> None:
    """Raise ModelError when sigma^2 has fallen to nothing."""
    if not factors.noise > floor:
        raise ModelError(
            f"n_components={factors.n_components} leaves sigma^2 = 0 and the likelihood "
            f"unbounded: every known entry can be met (sigma^2 fell to {factors.noise:g}). "
            "Pass fewer components or give more values."
        )
