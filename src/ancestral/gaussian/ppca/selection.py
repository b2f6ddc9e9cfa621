"""How many latent dimensions: every d from one decomposition.

With eigenvalues lambda_1 >= ... >= lambda_m of the covariance (divisor n) and v_d the mean of the
m - d smallest, the maximised log-likelihood is

    L(d) = -n/2 [ m log 2 pi + sum_{i<=d} log lambda_i + (m - d) log v_d + m ],

so one decomposition gives it for every d, and with it BIC and Minka's approximation of the
evidence (2000, eq. 30). The leading d directions are the same for every larger d: projections on
them give the log density of held-out rows for every d by cumulative sums.
With missing values the fits differ in d and their likelihood flatters large d: there, entries are
held out and predicted from the known ones of their row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from ancestral._checks.numbers import check_integer, one_sample_message, warn
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import ModelError
from ancestral.gaussian.ppca import missing_em, missing_patterns
from ancestral.gaussian.ppca.folds import FOLDS, Folds, folds_of_entries
from ancestral.gaussian.ppca.missing_columns import Columns, Rows
from ancestral.gaussian.ppca.projections import Frame
from ancestral.statistics import Moments
from ancestral.training.parts import Parts
from ancestral.training.passes import Passes

LOOSE = 1e-6  # nats per known entry: fits that are only compared
LOG_UNIT = math.log(2 * math.pi) + 1  # -2 times the log density of a unit normal, on average
CRITERIA = ("bic", "minka", "cv")
SAME = {None: "cv", "mle": "minka"}  # scikit-learn's spellings


@dataclass(frozen=True, repr=False)
class EveryD(Printed):
    """What each latent dimension would give, from one decomposition.

    Shown as a table; `to_frame()` gives it as a dataframe of pandas.

    Parameters
    ----------
    n_components : ndarray of shape (k,)
        0, 1, 2, ...
    log_likelihood : ndarray of shape (k,)
        Of the training rows at each maximum, in nats.
    bic : ndarray of shape (k,)
        Schwarz's criterion: lower is better.
    evidence : ndarray of shape (k,)
        Minka's approximate log evidence, in nats: higher is better.
    heldout : ndarray of shape (k,) or None
        Mean log density of the rows handed in, in nats per row.
    heldout_errors : ndarray of shape (k,) or None
        Its standard error.
    """

    n_components: NDArray[np.int64]
    log_likelihood: NDArray[np.float64]
    bic: NDArray[np.float64]
    evidence: NDArray[np.float64]
    heldout: NDArray[np.float64] | None = None
    heldout_errors: NDArray[np.float64] | None = None

    def _table(self) -> Table:
        columns: dict[str, Any] = {
            "n_components": self.n_components,
            "log-likelihood": self.log_likelihood,
            "BIC": self.bic,
            "log evidence": self.evidence,
        }
        if self.heldout is not None:
            columns |= {"held out": self.heldout, "std. error": self.heldout_errors}
        return one_table(columns, "nats; of BIC, twice as many; held out, per row")

    def best(self, criterion: str) -> int:
        """Return the n_components of the least BIC ("bic"), of the most evidence ("minka"), or of
        the highest held-out density ("heldout").
        """
        curves = {"bic": -self.bic, "minka": self.evidence, "heldout": self.heldout}
        curve = curves.get(criterion)
        if curve is None:
            known = [name for name, values in curves.items() if values is not None]
            raise ModelError(f"criterion must be one of {known}; got {criterion!r}.")
        return int(self.n_components[np.argmax(curve)])


def every_d(
    eigenvalues: NDArray[np.float64],
    n: float,
    top: int,
    scale: NDArray[np.float64] | None = None,
) -> EveryD:
    """Return the likelihood, BIC and evidence of d = 0 .. top.

    Parameters
    ----------
    eigenvalues : ndarray of shape (m,)
        All of them, falling; more than `top` above 0.
    n : float
        Number of rows.
    top : int
    scale : ndarray of shape (m,), optional
        What the columns were divided by: as many parameters more.
    """
    m, d = len(eigenvalues), np.arange(top + 1)
    likelihood = log_likelihoods(eigenvalues, n, top) - n * log_scale(scale)
    parameters = m + m * d - d * (d - 1) // 2 + 1 + (0 if scale is None else m)
    return EveryD(
        n_components=d,
        log_likelihood=likelihood,
        bic=parameters * np.log(n) - 2 * likelihood,
        evidence=likelihood + _occam(eigenvalues, n, top),
    )


def log_scale(scale: NDArray[np.float64] | None) -> float:
    """Return what the log density of a row loses by the units its columns were given."""
    return 0.0 if scale is None else float(np.log(scale).sum())


def log_density_at_maximum(leading: NDArray[np.float64], noise: float, m: int) -> float:
    """Return the mean log density of the rows at the maximum, in nats: L(d) / n."""
    beside = m - len(leading)
    return -0.5 * (m * LOG_UNIT + float(np.log(leading).sum()) + beside * math.log(noise))


def log_likelihoods(eigenvalues: NDArray[np.float64], n: float, top: int) -> NDArray[np.float64]:
    """Return the maximised log-likelihood L(d) of d = 0 .. top, in nats."""
    m = len(eigenvalues)
    return -0.5 * n * (m * LOG_UNIT + log_determinants(eigenvalues, top))


def log_determinants(eigenvalues: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return log|C| of the fitted covariance for d = 0 .. top."""
    left = len(eigenvalues) - np.arange(top + 1)
    leading = np.concatenate([[0.0], np.cumsum(np.log(eigenvalues[:top]))])
    return leading + left * np.log(noise_variances(eigenvalues, top))


def noise_variances(eigenvalues: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return sigma^2 of d = 0 .. top: the means of ever shorter tails."""
    tails = np.cumsum(eigenvalues[::-1])[::-1][: top + 1]
    return tails / (len(eigenvalues) - np.arange(top + 1))


def _occam(eigenvalues: NDArray[np.float64], n: float, top: int) -> NDArray[np.float64]:
    """Return what Minka's evidence adds to the log-likelihood, for d = 0 .. top.

    Laplace's approximation around the maximum: log p(U) + (f + d)/2 log 2 pi - 1/2 log|A|
    - d/2 log n, where f counts the angles of d directions, p(U) is uniform over them, and A is
    the curvature of the likelihood along them, a product over pairs of eigenvalues.
    """
    m, d = len(eigenvalues), np.arange(top + 1)
    angles = m * d - d * (d + 1) / 2
    half = (m - np.arange(top)) / 2
    prior = np.concatenate([[0.0], np.cumsum(gammaln(half) - half * np.log(np.pi))])
    curvature = _pairs(eigenvalues, top) + angles * np.log(n)
    return (
        prior
        - d * np.log(2)
        + (angles + d) / 2 * np.log(2 * np.pi)
        - curvature / 2
        - d * np.log(n) / 2
    )


def _pairs(eigenvalues: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return sum over i <= d, j > i of log[(lambda_i - lambda_j)(1/l_j - 1/lambda_i)], d = 0 ..

    Here l_j is lambda_j up to d and sigma^2 of d beyond, so that 1/l_j - 1/lambda_i is
    (lambda_i - l_j) / (lambda_i l_j).
    """
    m = len(eigenvalues)
    noise, logs = noise_variances(eigenvalues, top), np.log(eigenvalues[:top])
    eps = np.finfo(np.float64).eps  # equal eigenvalues: no direction is best

    def log_gaps(high: NDArray, low: NDArray) -> NDArray:
        return np.log(np.maximum(high - low, eps * high))

    later, among = np.zeros(top + 1), np.zeros(top + 1)
    for i in range(top):
        later[i + 1] = log_gaps(eigenvalues[i], eigenvalues[i + 1 :]).sum()
        among[i + 1] = (log_gaps(eigenvalues[:i], eigenvalues[i]) - logs[:i] - logs[i]).sum()
    beyond = [
        (m - k) * (log_gaps(eigenvalues[:k], noise[k]) - logs[:k] - np.log(noise[k])).sum()
        for k in range(top + 1)
    ]
    return np.cumsum(later) + np.cumsum(among) + np.array(beyond)


def heldout_of_rows(
    rest: NDArray[np.float64], along: NDArray[np.float64], eigenvalues: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log density of rows for every d = 0 .. q, shape (n, q + 1).

    Parameters
    ----------
    rest : ndarray of shape (n,)
        The square of what lies beside the q leading directions.
    along : ndarray of shape (n, q)
        The rows along these, or the square roots of mean squares along them.
    eigenvalues : ndarray of shape (m,)
    """
    m, q = len(eigenvalues), along.shape[1]
    weighed = np.zeros((len(along), q + 1))
    np.cumsum(along**2 / eigenvalues[:q], axis=1, out=weighed[:, 1:])
    beside = np.concatenate([along**2, rest[:, None]], axis=1)  # summed from the end: no difference
    beside = np.cumsum(beside[:, ::-1], axis=1)[:, ::-1] / noise_variances(eigenvalues, q)
    return -0.5 * (m * np.log(2 * np.pi) + log_determinants(eigenvalues, q) + weighed + beside)


def beside_directions(
    mean: NDArray[np.float64],
    directions: NDArray[np.float64],
    eigenvalues: NDArray[np.float64],
    scale: NDArray[np.float64] | None = None,
) -> Frame:
    """Return the frame whose squares are those beside the directions, of shape (q, m)."""
    return Frame(mean, directions.T * np.sqrt(eigenvalues[: len(directions)]), 0.0, scale)


def with_heldout(curve: EveryD, table: NDArray[np.float64]) -> EveryD:
    """Return the curve with the mean log density of held-out rows, from a table (n, k) of them."""
    n = len(table)
    errors = table.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(table.shape[1], np.nan)
    return replace(curve, heldout=table.mean(axis=0), heldout_errors=errors)


# ---- choosing ----------------------------------------------------------------------------------


def way_to_choose(n_components: Any) -> str | float | None:
    """Return the criterion or the share of variance that q is chosen by; None where it is given."""
    if n_components is None or isinstance(n_components, str):
        return SAME.get(n_components, n_components)
    if isinstance(n_components, Real) and not isinstance(n_components, Integral):
        share = float(n_components)
        return share if 0 < share < 1 else None
    return None


def check_how(n_components: Any, max_components: Any) -> None:
    """Raise ModelError for an unknown way to choose, or a bound without effect."""
    way = way_to_choose(n_components)
    if not isinstance(way, str):
        if max_components is not None:
            raise ModelError(
                f"max_components={max_components!r} has no effect with "
                f"n_components={n_components!r}. Drop it, or let the data choose."
            )
        is_real = isinstance(n_components, Real) and not isinstance(n_components, Integral)
        if way is None and is_real and not float(n_components).is_integer():
            raise ModelError(_wanted(n_components))
        return
    if way not in CRITERIA:
        raise ModelError(_wanted(n_components))
    if max_components is not None:
        check_integer(max_components, "max_components")


def _wanted(n_components: Any) -> str:
    names = ", ".join(repr(name) for name in CRITERIA)
    return (
        "n_components must be an integer, a share of the variance above 0 and below 1, or one of "
        f'{names} ("mle" is "minka", None is "cv"); got {n_components!r}.'
    )


def by_share(eigenvalues: NDArray[np.float64], share: float) -> int:
    """Return the fewest components that hold more than a share of the variance; noise is left."""
    held = np.cumsum(eigenvalues) / eigenvalues.sum()
    q, top = int(np.searchsorted(held, share, side="right")) + 1, largest(eigenvalues, None)
    if q <= top:
        return q
    if top < 0:  # refused by who asks for as many as that
        return 0
    warn(
        f"n_components={share!r} of the variance needs all components, and sigma^2 would be 0: "
        f"n_components_={top} hold {100 * held[top - 1] if top else 0.0:.4g}%. Pass a "
        'smaller share, or "bic", "minka" or "cv".'
    )
    return top


def checked_n_components(n_components: Any, n: int, d: int) -> int:
    """Return the integer n_components, checked against n rows and d columns."""
    q = check_integer(n_components, "n_components")
    most = min(n - 2, d - 1)
    if q >= d:
        mend = f"Pass n_components={most} or fewer." if most > 0 else "Add rows."
        mend = mend if d > 1 else "Give two columns or more."
        raise ModelError(
            "n_components must be below the number of features; "
            f"got {q} with {d} feature(s). {mend}"
        )
    if n < q + 2:
        why = f"with fewer n_components={q} leaves sigma^2 = 0 and the likelihood unbounded"
        mend = f" Pass n_components={most} or fewer, or add rows." if most > 0 else " Add rows."
        raise ModelError(one_sample_message(n, q + 2, why) + mend)
    return q


def warn_unless_by_entries(criterion: str | float) -> None:
    """Warn where another way was asked for than missing values allow."""
    if criterion != "cv":
        why = "the likelihood favours many components too much"
        if not isinstance(criterion, str):
            why = "no variance is known before the fit"
        warn(
            f"n_components={criterion!r} needs complete rows: with missing values {why}. It was "
            'chosen by entries held out, as with "cv".'
        )


def largest(eigenvalues: NDArray[np.float64], cap: int | None) -> int:
    """Return the largest d that leaves sigma^2 above 0, `cap` at most."""
    top = int((eigenvalues > 0).sum()) - 1
    return top if cap is None else min(top, cap)


def warn_of_rank(q: int, rank: int, d: int) -> None:
    """Warn where the d chosen is the most that the rank of the data leaves to choose from."""
    if q == rank - 1 and rank < d:
        warn(
            f"n_components_={q} was chosen because no more can be: the centred data have rank "
            f"{rank} in {d} columns, and with n_components={rank} or more sigma^2 is 0 and the "
            "likelihood unbounded. Drop columns that are combinations of others, or give more rows."
        )


def by_folds(folds: Folds, cap: int | None) -> NDArray[np.float64]:
    """Score every d on rows held out, fold by fold, from moments alone.

    Parameters
    ----------
    folds : Folds
    cap : int or None
        The largest d to score.

    Returns
    -------
    ndarray of shape (k,)
        Mean held-out log density, in nats per row, of d = 0 .. k - 1.
    """
    curves = [test.total_weight * _mean_density(test, train, cap) for train, test in folds.splits()]
    k = min(len(curve) for curve in curves)
    return np.sum([curve[:k] for curve in curves], axis=0) / folds.total.total_weight


def _mean_density(test: Moments, train: Moments, cap: int | None) -> NDArray[np.float64]:
    """Return the mean log density of one fold's rows for every d, from its moments."""
    m = train.n_features
    eigenvalues, U = train.eigen(cap)
    top = largest(eigenvalues, cap)
    if top < 0:
        raise ModelError(
            "the rows left to fit do not vary, and the likelihood is unbounded. Give rows that "
            "differ, or pass an integer n_components."
        )
    eigenvalues, U = np.concatenate([eigenvalues, np.zeros(m - len(eigenvalues))]), U[:top]
    # Rows whose squares sum to the fold's mean squares about the training mean.
    step = test.mean - train.mean
    rows = np.vstack([test.as_root() / np.sqrt(test.total_weight), step])
    along = np.sqrt(((rows @ U.T) ** 2).sum(axis=0))
    rest = beside_directions(train.mean, U, eigenvalues).squares(rows).sum()
    return heldout_of_rows(np.array([rest]), along[None], eigenvalues)[0]


def by_entries(
    rows: Parts[Rows],
    limit: int,
    *,
    max_iter: int,
    seed: int,
    scale: NDArray[np.float64] | None = None,
    run: Passes | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Score d by known entries held out and predicted from the others of their row.

    Tries d = 0, 1, 2, 4, 8, ... until the score has fallen, then every d between the neighbours
    of the best, halving the gaps. `scale` is what columns are divided by, and `seed` deals entries.

    Returns
    -------
    tried : ndarray of shape (k,)
        In rising order.
    scores : ndarray of shape (k,)
        Mean log density of the held-out entries given the rest, in nats per entry.
    """
    folds = _entries_held_out(rows, seed)
    scores: dict[int, float] = {}

    def score(d: int) -> float:
        if d not in scores:
            scores[d] = _entry_score(rows, folds, d, max_iter, scale, run)
        return scores[d]

    d = 0
    while True:
        score(min(d, limit))
        if d >= limit or scores[d] < max(scores.values()):
            break
        d = max(1, 2 * d)
    _refine(score, scores)
    tried = sorted(k for k in scores if np.isfinite(scores[k]))
    if not tried:
        raise ModelError(
            "too few known entries to hold some out: not even n_components=0 can be scored. "
            "Pass an integer, or give more values."
        )
    return np.array(tried), np.array([scores[k] for k in tried])


def _refine(score: Callable[[int], float], scores: dict[int, float]) -> None:
    """Try the middles of the gaps beside the best d until there are none."""
    while True:
        tried = sorted(scores)
        place = tried.index(max(tried, key=lambda d: scores[d]))
        best = tried[place]
        beside = [tried[place - 1]] if place else []
        beside += tried[place + 1 : place + 2]
        middles = [(best + other) // 2 for other in beside if abs(best - other) > 1]
        if not middles:
            return
        for d in middles:
            score(d)


@dataclass(frozen=True)
class HeldOut:
    """Rows without the entries of one fold.

    Parameters
    ----------
    seed : int
        Deals entries to folds.
    fold : int
    columns : ndarray of shape (d,)
        Which columns entries are taken from: not from one that all would be taken of.
    """

    seed: int
    fold: int
    columns: NDArray[np.bool_]

    def __call__(self, rows: Rows) -> Rows:
        return Rows.known(self.without(rows.X), rows.weights)

    def without(self, X: NDArray) -> NDArray:
        """Return a table with NaN in the place of what is held out."""
        taken = (folds_of_entries(X, self.seed) == self.fold) & self.columns
        return np.where(taken, X.dtype.type(np.nan), X)


@dataclass(frozen=True)
class _ByFold:
    """What is known of the columns without each fold's entries, merged by `+`."""

    left: tuple[Columns, ...]

    def __add__(self, other: _ByFold) -> _ByFold:
        return _ByFold(tuple(a + b for a, b in zip(self.left, other.left, strict=True)))


@dataclass(frozen=True)
class _EachFold:
    """A look at what is left of the columns without each fold."""

    folds: tuple[HeldOut, ...]

    def __call__(self, rows: Rows) -> _ByFold:
        return _ByFold(tuple(Columns.of(fold(rows)) for fold in self.folds))


def _entries_held_out(rows: Parts[Rows], seed: int) -> list[tuple[HeldOut, Columns]]:
    """Deal the known entries into folds; return each, and what is known of the columns without it.

    A fold that would take all a column has leaves that column alone.
    """
    folds = tuple(HeldOut(seed, fold, np.ones(1, bool)) for fold in range(FOLDS))
    found = rows.total(_EachFold(folds)).left
    kept = [columns.count > 0 for columns in found]
    if not np.all(kept):
        folds = tuple(replace(fold, columns=some) for fold, some in zip(folds, kept, strict=True))
        found = rows.total(_EachFold(folds)).left
    return list(zip(folds, found, strict=True))


@dataclass(frozen=True)
class _Predicted:
    """A look at held-out entries: their log density given the others, and how many there are."""

    fold: HeldOut
    factors: missing_patterns.Factors

    def __call__(self, rows: Rows) -> NDArray[np.float64]:
        sums = np.zeros(2)
        for X, weights in rows.blocks():
            w, rest = np.ones(len(X)) if weights is None else weights, self.fold.without(X)
            both = missing_patterns.log_density(X, self.factors)
            sums[0] += w @ (both - missing_patterns.log_density(rest, self.factors))
            sums[1] += w @ (np.isnan(rest) & ~np.isnan(X)).sum(axis=1)
        return sums


def _entry_score(
    rows: Parts[Rows],
    folds: list[tuple[HeldOut, Columns]],
    d: int,
    max_iter: int,
    scale: NDArray[np.float64] | None,
    run: Passes | None,
) -> float:
    """Return the mean log density of held-out entries given the others; -inf if d does not fit."""
    sums = np.zeros(2)
    for fold, columns in folds:
        table = missing_em.Table.of(rows.prepared(fold), columns, scale)
        try:
            found = missing_em.fit(table, d, tol=LOOSE, max_iter=max_iter, run=run)
        except ModelError:  # sigma^2 = 0: too many components for what is left
            return -np.inf
        sums += rows.total(_Predicted(fold, found.factors))
    return float(sums[0] / sums[1])
