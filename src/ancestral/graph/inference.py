"""What a fit says beyond its estimates: clustered errors, intervals, tests, own intercepts.

    clustered   V = I^-1 (G / (G - 1)) (sum_g u_g u_g^T) I^-1,   u_g the gradient of graph g
    profile     { a : 2 (l(a^, b^) - max_b l(a, b)) <= chi-square quantile, 1 degree }
    ratio       2 (l(larger) - l(smaller)) ~ chi-square, as many degrees as terms more
    intercepts  logit = a s + b_g

The first two take any sums with a likelihood, gradient and information: of slope and intercept, or
of the coefficients of any terms.

References: Liang & Zeger (1986), Biometrika 73; Venzon & Moolgavkar (1988), Applied Statistics 37.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

from ancestral._checks.numbers import check_level, warn
from ancestral._printed import Printed, Table, one_table
from ancestral.errors import DataError, ModelError
from ancestral.graph.graphs import as_graphs
from ancestral.graph.pairs.gather import gather
from ancestral.graph.pairs.logistic import FLAT, guarded_inverse
from ancestral.graph.pairs.sums import PairSums
from ancestral.model_file import fingerprint

Float = NDArray[np.float64]

LARGEST_ERROR = 0.02  # standard errors: an approximation beyond that is warned of
SAME = 1e-4  # standard errors from the maximum, and relative to the likelihood: the fit's graphs
MOST_STEPS = 60  # an end further out than 1.5^60 standard errors is none


def clustered_covariance(parts: Sequence[Any], *theta: float) -> Float:
    """Return the covariance of coefficients that allows for dependence within graphs.

    Parameters
    ----------
    parts : sequence of PairSums or DyadSums
        One for each graph; two or more.
    *theta : float
        At the maximum of their sum: slope and intercept, or intercept and coefficients.

    Returns
    -------
    ndarray of shape (n_coefficients, n_coefficients)

    Raises
    ------
    DataError
        For fewer than two graphs.

    Notes
    -----
    The sandwich of Liang & Zeger (1986) with the factor G / (G - 1) for G graphs: right when
    graphs are independent, however pairs within one depend on each other. It rests on the number
    of graphs: with fewer than some 20 it is itself uncertain, and with fewer than there are
    coefficients it is singular.
    """
    parts = [part for part in parts if part.n_pairs]  # a graph without a pair tells nothing
    if len(parts) < 2:
        raise DataError(
            f"clustered standard errors compare graphs; got {len(parts)} graph. "
            "Use standard_errors_, or give two graphs or more."
        )
    scores = np.array([part.gradient(*theta) for part in parts])  # (G, coefficients)
    information = np.sum([part.information(*theta) for part in parts], axis=0)
    bread = guarded_inverse(information)
    middle = scores.T @ scores * (len(parts) / (len(parts) - 1))
    covariance: Float = bread @ middle @ bread
    return covariance


def refuse_other_graphs(model: Any, graphs: Any, plain: Any, objective: Any, theta: Any) -> None:
    """Raise DataError for graphs that are not those of a fit.

    Told by the fit's fingerprint; where it differs (graphs in another order) or there is none
    (streams), by the sums: their number of pairs, likelihood and maximum.

    Parameters
    ----------
    model : InnerProductGraph or DyadicGraph
    graphs : list of Graph
    plain, objective : PairSums or DyadSums
        Their log-likelihood, and what the fit maximised.
    theta : sequence of float
        The fitted coefficients, in the order of `covariance_`.
    """
    if model.data_fingerprint_ and fingerprint(graphs) == model.data_fingerprint_:
        return
    value = plain.log_likelihood(*theta)
    off = np.abs(model.covariance_ @ objective.gradient(*theta))
    if (
        plain.n_pairs != model.n_pairs_
        or abs(value - model.log_likelihood_) > SAME * abs(model.log_likelihood_)
        or (off > SAME * model.standard_errors_).any()
    ):
        raise DataError(
            f"these graphs, of {plain.n_pairs} pairs and log-likelihood {value:.6g}, are not "
            f"those of the fit, of {model.n_pairs_} pairs and {model.log_likelihood_:.6g}: its "
            "standard errors and intervals are those of its own graphs. Give those, or fit the "
            "model to these first."
        )


# ---- profile likelihood ----------------------------------------------------------------------


def profile_intervals(
    statistics: Any, *top: float, level: float = 0.95, of: Sequence[int] | None = None
) -> Float:
    """Return profile-likelihood intervals of coefficients about their maximum.

    Parameters
    ----------
    statistics : PairSums or DyadSums
    *top : float
        The maximum.
    level : float
        Between 0 and 1.
    of : sequence of int, optional
        The coefficients whose intervals are wanted, by their places; all of them by default.

    Returns
    -------
    ndarray of shape (n_coefficients, 2)
        A row (low, high) for each.

    Raises
    ------
    ModelError
        For another level, or when the likelihood does not drop far enough on one side.
    """
    level = check_level(level)
    best_at = np.array(top)
    drop = chi2.ppf(level, 1) / 2  # nats
    best = statistics.log_likelihood(*top)
    errors = np.sqrt(np.diag(statistics.covariance(*top)))
    wanted = range(len(top)) if of is None else of

    ends = np.empty((len(wanted), 2))
    for row, k in enumerate(wanted):

        def lack(value: float, k: int = k) -> float:
            return best - _profile(statistics, best_at, k, value) - drop

        for side, sign in enumerate((-1.0, 1.0)):
            step = sign * np.sqrt(2 * drop) * errors[k]
            outside = _beyond(lack, best_at[k], step)
            ends[row, side] = brentq(lack, best_at[k], outside, rtol=1e-10)
    return ends


def _beyond(lack: Callable[[float], float], top: float, step: float) -> float:
    """Return the first of top + step, top + 1.5 step, ... at which `lack` is not negative."""
    for _ in range(MOST_STEPS):
        if lack(top + step) >= 0:
            return top + step
        step *= 1.5
    raise ModelError(
        f"the likelihood does not drop enough between {top:.3g} and {top + step:.3g} to end an "
        "interval. Give the graphs that the model was fitted to, or more of them."
    )


def _profile(statistics: Any, top: Float, k: int, value: float) -> float:
    """Return l at its maximum over the other coefficients, with the k-th held at a value.

    NaN where no maximum is found: so far out the curvature may vanish.
    """
    others = np.delete(np.arange(len(top)), k)
    theta = top.copy()
    theta[k] = value
    theta[others] -= _solved(statistics.information(*top), others, k) * (value - top[k])
    best = statistics.log_likelihood(*theta)
    for _ in range(50):
        slope = statistics.gradient(*theta)
        step = _solved(statistics.information(*theta), others, slope)
        size = 1 + np.abs(theta[others])
        if not np.isfinite(step).all():
            return np.nan
        if (np.abs(step) <= 1e-12 * size).all():
            break
        moved = theta.copy()
        moved[others] += step
        found = statistics.log_likelihood(*moved)
        while found < best and (np.abs(step) > 1e-14 * size).any():
            step = step / 2
            moved[others] = theta[others] + step
            found = statistics.log_likelihood(*moved)
        if found < best:
            break
        theta, best = moved, found
    return best


def _solved(information: Float, others: NDArray[np.int64], to: Any) -> Float:
    """Return what solves the information of some coefficients: for a gradient, or a column of it.

    In units of its diagonal; NaN where it is singular.
    """
    right = information[others, to] if isinstance(to, int) else to[others]
    own = information[np.ix_(others, others)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.sqrt(np.diag(own))
        scaled = own / np.outer(scale, scale)
        if not np.isfinite(scaled).all():
            return np.full(len(others), np.nan)
        try:
            found: Float = np.linalg.solve(scaled, right / scale) / scale
        except np.linalg.LinAlgError:
            return np.full(len(others), np.nan)
        return found


# ---- nested models ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class LikelihoodRatio(Printed):
    """Two nested models of the same graphs.

    Parameters
    ----------
    terms : list of str
        What the larger model has and the smaller has not.
    log_likelihoods : tuple of float
        Of the smaller and of the larger, in nats.
    statistic : float
        Twice their difference.
    degrees : int
        How many coefficients the larger has more.
    p_value : float
        The chance of a statistic as large, were the smaller model right: chi-square.
    """

    terms: list[str]
    log_likelihoods: tuple[float, float]
    statistic: float
    degrees: int
    p_value: float

    def _table(self) -> Table:
        smaller, larger = self.log_likelihoods
        columns = {
            "": ["without", "with"],
            "log-likelihood": [smaller, larger],
            "chi-square": [float("nan"), self.statistic],
            "degrees": [None, self.degrees],
            "p": [float("nan"), self.p_value],
        }
        return one_table(columns, f"likelihood-ratio test of {', '.join(self.terms)}")


def likelihood_ratio(smaller: Any, larger: Any) -> LikelihoodRatio:
    """Compare two fitted models of terms, the smaller of which lacks some terms of the larger.

    Parameters
    ----------
    smaller, larger : DyadicGraph
        Fitted to the same graphs, without a penalty.

    Returns
    -------
    LikelihoodRatio

    Raises
    ------
    ModelError
        For models that are not nested, that have a penalty, or that were fitted to other graphs.
    """
    few, many = smaller.terms_, larger.terms_
    odd = next((term for term in few if term not in many), None)
    if odd is not None or len(few) == len(many):
        lack = f"{odd!r} is not in both" if odd is not None else "they have the same terms"
        raise ModelError(
            f"a likelihood-ratio test compares nested models, and {lack}: call "
            "larger.likelihood_ratio_test(smaller), where the larger model has all terms of the "
            "smaller one and others."
        )
    if smaller.l2 or larger.l2:
        raise ModelError(
            "a likelihood-ratio test compares maxima of the likelihood, and l2 shifts them: fit "
            "both models with l2=0."
        )
    prints = smaller.data_fingerprint_, larger.data_fingerprint_
    sizes = [(model.n_pairs_, model.n_edges_) for model in (smaller, larger)]
    if sizes[0] != sizes[1] or (all(prints) and prints[0] != prints[1]):
        raise ModelError(
            f"the models were fitted to other graphs, one to {sizes[0][0]} known dyads and one "
            "to "
            f"{sizes[1][0]}: fit both to the same. Where a term's attribute has gaps, leave the "
            "same nodes out of both."
        )
    values = smaller.log_likelihood_, larger.log_likelihood_
    statistic, degrees = 2 * (values[1] - values[0]), len(many) - len(few)
    p_value = float(chi2.sf(max(statistic, 0.0), degrees))
    more = [term for term in many if term not in few]
    return LikelihoodRatio(more, values, statistic, degrees, p_value)


# ---- an intercept for each graph -------------------------------------------------------------


@dataclass(frozen=True)
class GraphIntercepts:
    """One slope, and an intercept for each graph.

    Parameters
    ----------
    slope, slope_error : float
        a and its standard error.
    intercepts, intercept_errors : ndarray of shape (n_graphs,)
        b_g and their standard errors.
    log_likelihood : float
        In nats.
    p_value : float
        Of the likelihood-ratio test that all graphs share one intercept, chi-square with
        n_graphs - 1 degrees of freedom.
    """

    slope: float
    slope_error: float
    intercepts: Float
    intercept_errors: Float
    log_likelihood: float
    p_value: float


def fit_graph_intercepts(graphs: Any) -> GraphIntercepts:
    """Fit one slope and an intercept for each graph: are some graphs denser than features say?

    Parameters
    ----------
    graphs : list of Graph, or of (features, adjacency) tuples
        Each with a linked pair and an unlinked one.

    Returns
    -------
    GraphIntercepts

    Raises
    ------
    ModelError
        When a graph has no pair linked or every pair (its intercept is infinite), naming it; or
        when linked and unlinked pairs are separated.

    Examples
    --------
    >>> from ancestral import datasets
    >>> fit_graph_intercepts(datasets.classrooms(20)).intercepts.shape
    (20,)
    """
    checked = as_graphs(graphs)
    parts = [gather([graph]) for graph in checked]
    for k, part in enumerate(parts):
        if part.n_edges in (0, part.n_pairs):
            seen = "no pair" if part.n_edges == 0 else "every pair"
            raise ModelError(f"graph {k} has {seen} linked: its intercept is infinite. Drop it.")
    _refuse_separated_graphs(parts)
    return _solve_intercepts(parts)


def _solve_intercepts(parts: Sequence[PairSums]) -> GraphIntercepts:
    """Return the maximum for the statistics of each graph."""
    from ancestral.graph.solvers import newton

    shared = newton(reduce(add, parts))[-1]
    a, b = shared["a"], np.full(len(parts), shared["b"])
    best = sum(part.log_likelihood(a, shared["b"]) for part in parts)
    start = best
    for _ in range(100):
        step_a, step_b, spread, within = _arrow_step(parts, a, b)
        scale = 1.0
        while True:
            trial_a, trial_b = a + scale * step_a, b + scale * step_b
            found = sum(part.log_likelihood(trial_a, v) for part, v in zip(parts, trial_b))
            if found >= best or scale < 1e-10:
                break
            scale /= 2
        if scale < 1e-10:
            break
        a, b, best = trial_a, trial_b, found
        if max(abs(step_a), np.abs(step_b).max()) < 1e-11 * (1 + abs(a)):
            break
    _, _, spread, within = _arrow_step(parts, a, b)
    return GraphIntercepts(
        slope=float(a),
        slope_error=float(np.sqrt(spread)),
        intercepts=b,
        intercept_errors=np.sqrt(within),
        log_likelihood=float(best),
        p_value=float(chi2.sf(2 * (best - start), max(len(parts) - 1, 1))),
    )


def _refuse_separated_graphs(parts: Sequence[PairSums]) -> None:
    """Raise ModelError when every graph has a threshold of its own between links and others."""
    seen = [part.extremes for part in parts]
    for sign in ("+", "-"):
        if all(
            e.low_edge >= e.high_unlinked if sign == "+" else e.high_edge <= e.low_unlinked
            for e in seen
        ):
            raise ModelError(
                f"in every graph the links are separated: a -> {sign}inf, so the likelihood has no "
                "finite maximum. Add graphs until linked and unlinked pairs overlap in x_i.x_j."
            )


def _arrow_step(parts: Sequence[PairSums], a: float, b: Float) -> tuple[float, Float, float, Float]:
    """Return the Newton step of slope and intercepts, and their variances.

    The information is an arrow: intercepts meet only through the slope, so one division each and
    one for the slope solve it.
    """
    scores = np.array([part.gradient(a, v) for part, v in zip(parts, b)])  # (G, 2)
    information = np.array([part.information(a, v) for part, v in zip(parts, b)])  # (G, 2, 2)
    cross, own = information[:, 0, 1], information[:, 1, 1]
    if not (own > 0).all():
        raise ModelError(f"graph {int(np.argmin(own))}: {FLAT}")
    left = information[:, 0, 0].sum() - (cross**2 / own).sum()
    if not left > 0:
        raise ModelError(FLAT)
    step_a = (scores[:, 0].sum() - (cross / own * scores[:, 1]).sum()) / left
    step_b = (scores[:, 1] - cross * step_a) / own
    return float(step_a), step_b, float(1 / left), 1 / own + (cross / own) ** 2 / left


def tolerable_error(sums: PairSums, a: float, b: float) -> Float:
    """Return how far (a, b) may be off, in standard errors: warned of, or refused, if far."""
    error = sums.approximation_error(a, b)
    if sums.holds_everywhere:
        return error
    mend = 'Fit all graphs in one call of fit, or pass pairs="visited" to visit every pair.'
    if error.max() > 1:
        raise ModelError(
            f"graphs were compressed, each near its own estimates, which a slope of {a:.2g} and an "
            f"intercept of {b:.2g} are too far from. {mend}"
        )
    if error.max() > LARGEST_ERROR:
        warn(
            "the sums over pairs are approximate: slope and intercept may be off by "
            f"{error.max():.2g} standard errors. {mend}"
        )
    return error
