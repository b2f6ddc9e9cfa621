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
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ancestral._numerics.decomposition import eigen_of_root
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.ppca import degenerate
from ancestral.gaussian.ppca.missing_patterns import (
    Factors,
    Patterns,
    Posterior,
    constants,
    posterior,
    symmetric_sums,
)
from ancestral.gaussian.ppca.projections import Frame
from ancestral.statistics import Moments, refuse_overflow
from ancestral.training import passes
from ancestral.training.passes import FromPasses, Passes

LEAST_NOISE = 1e-12  # of the variance of the columns that vary least: below it, rounding is left
VANISHED = 1e-6  # variance of a latent's column over that of the noise
MOST_ESCAPES = 20
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


def fit(
    X: NDArray,
    n_components: int,
    *,
    tol: float,
    max_iter: int,
    weights: NDArray[np.float64] | None = None,
    n_starts: int = 1,
    run: Passes | None = None,
) -> Fit:
    """Return the factors that maximise the likelihood of the known entries of X.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN where missing; every column has a known value.
    n_components : int
    tol : float
        Stop once a step gains less than this, in nats per known entry.
    max_iter : int
        E steps at most.
    weights : ndarray of shape (n,), optional
        How often each row counts.
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
    known = ~np.isnan(X)
    counted = known.any(axis=1) if weights is None else known.any(axis=1) & (weights > 0)
    X, known = X[counted], known[counted]
    weights = None if weights is None else weights[counted]
    _refuse_too_few(known, n_components)
    shift = weighted_means(X, known, weights)
    patterns = Patterns.of(X, shift, weights=weights)
    entries = patterns.count @ patterns.known
    variances = (patterns.values**2).sum(axis=0) / entries
    first = _start(patterns, variances, n_components)
    short, run = compressed(patterns), run or Passes()
    found = _climb(short, variances, first, tol=tol, max_iter=max_iter, run=run)
    d = X.shape[1]
    if n_components and entries.sum() < FEW_ENTRIES * d * (n_components + 1):
        for factors in _other_starts(first, variances, n_starts - 1):
            try:
                other = _climb(short, variances, factors, tol=tol, max_iter=max_iter, run=run)
            except (ModelError, np.linalg.LinAlgError):  # this one runs to where nothing is left
                continue
            if other.history[-1] > found.history[-1] + tol * entries.sum():
                found = other
    moved = replace(found.factors, mean=found.factors.mean + shift)
    return replace(found, parameters=Path((moved,)))


def _climb(
    patterns: Patterns,
    variances: NDArray,
    factors: Factors,
    *,
    tol: float,
    max_iter: int,
    run: Passes | None = None,
) -> Fit:
    """Ascend, and leave what is no maximum, until neither gains `tol` nats for a known entry."""
    least, run = tol * patterns.n_known, run or Passes()
    found = _ascend(patterns, variances, factors, least=least, max_iter=max_iter, run=run)
    for _ in range(MOST_ESCAPES):
        left = max_iter - len(found.history)
        escape = _escape(patterns, found.factors, least) if found.converged and left > 0 else None
        if escape is None:
            return found
        further = _ascend(patterns, variances, escape, least=least, max_iter=left, run=run)
        if not further.history[-1] > found.history[-1] + least:
            return found
        higher = [value for value in further.history if value > found.history[-1]]
        found = replace(further, history=found.history + higher)
    return found


def _ascend(
    patterns: Patterns,
    variances: NDArray,
    factors: Factors,
    *,
    least: float,
    max_iter: int,
    run: Passes | None = None,
) -> Fit:
    """Repeat steps and extrapolations until a plain step gains less than `least` nats."""
    varying = variances > 0
    d, q = factors.loadings.shape
    floor = LEAST_NOISE * float(np.sort(variances[varying])[: d - q].mean())
    em = WithGaps(np.sqrt(np.where(varying, variances, 1.0)), floor)
    start, tol = Fit(em._begin(factors)), least / patterns.n_known
    return (run or Passes()).climb(em, [patterns], start, tol=tol, max_iter=max_iter)


@dataclass(frozen=True)
class WithGaps(FromPasses):
    """EM of rows with gaps, from one start; a part is `Patterns` about one shift.

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

    def _statistics(self, X: Patterns, parameters: Path) -> ExpectedSums:
        factors = parameters.steps[-1]
        d, q = factors.loadings.shape
        left = np.zeros((d, q + 1, q + 1))
        spread = np.zeros((d, q, q))  # per column: sums of Cov[z]
        slope = np.zeros((d, q + 1))
        second = np.zeros((q + 1, q + 1))
        log_likelihood = squares = 0.0
        for batch in X.batches(q):
            found = posterior(batch, factors)
            log_likelihood += float(
                batch.count @ constants(batch, factors, found.log_determinant)
                - 0.5 * (found.squares / factors.noise).sum()
            )
            squares += _expected_squares(batch, found, factors)
            z = np.column_stack([found.mean, batch.level])  # (n_values, q + 1)
            covariance = batch.count[:, None, None] * (factors.noise * found.inverse)
            moments = _second_moments(batch, z, covariance)
            left += symmetric_sums(batch.known.T, moments)
            spread += symmetric_sums(batch.known.T, covariance)
            slope += found.misfit.T @ z
            second += moments.sum(axis=0)
        slope[:, :q] -= np.einsum("jkl,jl->jk", spread, factors.loadings)
        return ExpectedSums(log_likelihood, X.n_known, left, slope, second, squares)

    def _update(self, parameters: Path, statistics: ExpectedSums) -> Path:
        old, sums = parameters.steps[-1], statistics
        # Solved for the change, from misfits: its share of sigma^2 then vanishes at the maximum
        # with all its rounding, where x^2 - x E[z] theta would keep the rounding of x^2.
        change = np.linalg.solve(sums.left, sums.slope[:, :, None])[:, :, 0]  # (d, q + 1)
        noise = (sums.squares - float((change * sums.slope).sum())) / sums.n_observations
        solution = np.column_stack([old.loadings, old.mean]) + change
        following = _absorbed(solution, sums.second, noise)
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

    left: NDArray[np.float64]  # (d, q + 1, q + 1), per column: of E[(z, 1) (z, 1)^T]
    slope: NDArray[np.float64]  # (d, q + 1), per column: of E[(x - E[x | z]) (z, 1)]
    second: NDArray[np.float64]  # (q + 1, q + 1): of E[(z, 1) (z, 1)^T]
    squares: float  # of E|x_o - mu_o - W_o z|^2


def _expected_squares(batch: Patterns, found: Posterior, factors: Factors) -> float:
    """Return the sum of E|x_o - mu_o - W_o z|^2 over a batch."""
    q, noise = factors.n_components, factors.noise
    # tr(Cov[z] W_o^T W_o) with W_o^T W_o = M_o - sigma^2 I
    spread = noise * (q - noise * np.trace(found.inverse, axis1=1, axis2=2))
    return float((found.misfit**2).sum() + batch.count @ spread)


def _second_moments(batch: Patterns, z: NDArray, covariance: NDArray) -> NDArray[np.float64]:
    """Return the sums of E[(z, 1) (z, 1)^T] over the rows of each pattern, (p, q + 1, q + 1).

    `covariance` holds the sums of Cov[z], (p, q, q).
    """
    q = z.shape[1] - 1
    first = z[batch.start[:-1]]
    moments = first[:, :, None] * first[:, None, :]
    for p in np.flatnonzero(np.diff(batch.start) > 1):
        rows = z[batch.start[p] : batch.start[p + 1]]
        moments[p] = rows.T @ rows
    moments[:, :q, :q] += covariance
    return moments


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


def _escape(patterns: Patterns, factors: Factors, least: float) -> Factors | None:
    """Return what closed-form PPCA makes of the completed rows, or None where it gains too little.

    At a stationary point, S* has the columns of W for eigenvectors. Its other ones are looked for
    in the rows' rest beside W, so that large columns do not blur them.
    """
    d, q = factors.loadings.shape
    n = float(patterns.count.sum())
    lengths, U = eigen_of_root(factors.loadings.T, None)
    held = int((lengths > VANISHED * factors.noise).sum())
    W = U[:held].T * np.sqrt(lengths[:held])
    frame = Frame(factors.mean, W, 0.0)
    beside = np.delete(np.eye(d), frame.pivots, axis=0) if held else np.eye(d)
    rest = np.zeros((len(beside), len(beside)))
    for rows in _completed(patterns, factors):
        frame.reflect(rows)
        kept = np.delete(rows, frame.pivots, axis=1)
        rest += kept.T @ kept
    variances, V = np.linalg.eigh(rest / n)
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


def _completed(patterns: Patterns, factors: Factors) -> Iterator[NDArray[np.float64]]:
    """Yield rows R with R^T R the scatter of completed rows, but for what lies along W.

    What is unknown is expected at W E[z], which lies along W; it spreads by W_u K and by sigma.
    """
    d, q = factors.loadings.shape
    unknown = np.zeros(d)
    for batch in patterns.batches(q):
        found = posterior(batch, factors)
        yield found.misfit
        along = np.matmul(factors.loadings, found.root) * (1 - batch.known)[:, :, None]
        along *= np.sqrt(factors.noise * batch.count)[:, None, None]
        yield np.swapaxes(along, 1, 2).reshape(-1, d)
        unknown += batch.count @ (1 - batch.known)
    yield np.diag(np.sqrt(factors.noise * unknown))


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


def _start(patterns: Patterns, variances: NDArray[np.float64], q: int) -> Factors:
    """Return the closed-form solution of the covariance of pairs that are known together."""
    d = patterns.known.shape[1]
    eigenvalues, U = _pairwise_eigen(patterns, variances, q)
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


def _pairwise_eigen(
    patterns: Patterns, variances: NDArray[np.float64], q: int
) -> tuple[NDArray, NDArray]:
    """Return eigenvalues (falling, (r,)) and q eigenvectors or more of the pairwise covariance."""
    n, d = patterns.values.shape
    known = patterns.known
    counts = patterns.count @ known  # (d,)
    if n < d:  # never a (d, d) matrix: the zero-filled rows, scaled up for their gaps
        return _filled_up(*eigen_of_root(patterns.values * np.sqrt(1 / counts), None), q)
    pairs = (known * patterns.count[:, None]).T @ known  # rows that know both columns
    units = np.sqrt(np.where(variances > 0, variances, 1.0))
    scaled = patterns.values / units
    # What unequal counts turn negative is dropped among columns of one scale.
    correlations, V = np.linalg.eigh(scaled.T @ scaled / np.maximum(pairs, 1))
    root = (np.sqrt(np.maximum(correlations, 0.0))[:, None] * V.T) * units
    return _filled_up(*eigen_of_root(root, None), q)


def _filled_up(eigenvalues: NDArray, U: NDArray, q: int) -> tuple[NDArray, NDArray]:
    """Return eigenpairs with zeros added where there are fewer than q."""
    lacking = max(0, q - len(U))
    eigenvalues = np.concatenate([eigenvalues, np.zeros(lacking)])
    return eigenvalues, np.concatenate([U, np.zeros((lacking, U.shape[1]))])


def checked_columns(
    X: NDArray, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the known values of each column of X.

    Raises
    ------
    DataError
        For a column of which nothing is known, and for values too large to be squared.
    ModelError
        When every column is constant, or only rounding makes it vary.
    """
    known = ~np.isnan(X)
    _refuse_empty_columns(known)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = weighted_means(X, known, weights)
        values = np.where(known, X - mean, 0.0)
    refuse_overflow(values)
    squares = values**2 if weights is None else values**2 * weights[:, None]
    spread = np.sqrt(squares.sum(axis=0) / _counts(known, weights))
    degenerate.refuse_no_variance(mean, spread, single=X.dtype == np.float32)
    return mean, spread


def weighted_means(
    X: NDArray, known: NDArray[np.bool_], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return each column's mean about its first known value: exact where it is constant."""
    first = X[known.argmax(axis=0), np.arange(X.shape[1])].astype(np.float64)
    steps = np.where(known, X - first, 0.0)
    total = steps.sum(axis=0) if weights is None else weights @ steps
    return first + total / _counts(known, weights)


def _counts(known: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return how often each column is known."""
    return known.sum(axis=0).astype(np.float64) if weights is None else weights @ known


def _refuse_empty_columns(known: NDArray[np.bool_]) -> None:
    """Raise DataError naming the first column of which nothing is known."""
    empty = np.flatnonzero(~known.any(axis=0))
    if len(empty):
        raise DataError(
            f"column {empty[0]} holds no known value ({len(empty)} such column(s)): nothing can "
            "be learnt of it. Drop it."
        )


def _refuse_too_few(known: NDArray[np.bool_], q: int) -> None:
    """Raise ModelError when z and W alone can meet every known entry.

    A row of d_o known entries has d_o - q left after its own z; W and mu have
    (q + 1) (d - q) free numbers that are not a mere change of z.
    """
    d = known.shape[1]
    left = int(np.maximum(known.sum(axis=1) - q, 0).sum())
    if left <= (q + 1) * (d - q):
        raise ModelError(
            f"n_components={q} leaves sigma^2 = 0 and the likelihood unbounded: the "
            f"{int(known.sum())} known entries can be met exactly ({left} equations beyond z for "
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
