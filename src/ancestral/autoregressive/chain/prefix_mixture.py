"""A mixture of independent discrete variables, and what a prefix says about its component.

    p(x) = sum_c w_c prod_i theta_c,i(x_i)
    p(c | x_1 .. x_{i-1})  proportional to  w_c prod_{j<i} theta_c,j(x_j)

Fitted by expectation-maximisation (EM; Dempster, Laird & Rubin 1977), stopped when validation
rows gain nothing more. The posterior of the component given a prefix, and the prediction it makes
of the next variable, are a few numbers that sum up the whole prefix: good features for a
classifier of the next variable (`ancestral.autoregressive.chain.model`).

Symbols: w exp(`log_weights`), theta exp(`log_theta`), c components, i variables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.autoregressive.chain.budget import never

MAX_STEPS = 200
LOOK_EVERY = 5  # EM steps between two looks at the validation rows
PATIENCE = 3  # looks without gain before EM stops
GAIN = 1e-4  # nats per row that count as a gain
PRIOR = 1.0  # pseudo-rows per component, spread as the margins are
ROWS_AT_ONCE = 1 << 15
# Values looked at, at most: a few components are found as well in a part of many rows.
CELLS = 1 << 22
CELLS_VALIDATED = 1 << 20


@dataclass(frozen=True)
class PrefixMixture:
    """A fitted mixture.

    Parameters
    ----------
    log_weights : ndarray of shape (n_components,)
    log_theta : tuple of ndarray of shape (n_components, n_levels)
        One per variable; nats.
    """

    log_weights: NDArray[np.float64]
    log_theta: tuple[NDArray[np.float64], ...]

    def start(self, n_rows: int) -> NDArray[np.float64]:
        """Return log w_c for rows of which nothing is known yet, shape (n_rows, n_components)."""
        return np.tile(self.log_weights, (n_rows, 1))

    def told(
        self, joint: NDArray[np.float64], i: int, levels: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return log p(c, prefix) after variable i took these levels."""
        return joint + self.log_theta[i].T[levels]

    def features(self, joint: NDArray[np.float64], i: int) -> NDArray[np.float32]:
        """Return the posterior of each component and log p(x_i = level | prefix), level 0 left out.

        Parameters
        ----------
        joint : ndarray of shape (n, n_components)
            log p(c, prefix).
        i : int
            The variable that comes next.

        Returns
        -------
        ndarray of shape (n, n_components + n_levels - 1)
            The predictions as log odds against level 0.
        """
        posterior = np.exp(joint - joint.max(axis=1, keepdims=True))  # (n, c)
        posterior /= _summed(posterior.T)[:, None]
        # Summed by components, not by a matrix product: a row's bits must not depend on how many
        # rows there are, or a threshold could fall between them.
        predicted = _summed(posterior.T[:, :, None] * np.exp(self.log_theta[i])[:, None])  # (n, K)
        odds = np.log(predicted[:, 1:] / predicted[:, :1])
        return np.concatenate([posterior, odds], axis=1).astype(np.float32)

    def log_density(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return log p of complete rows of level codes, shape (n,)."""
        joint = self.start(len(levels))
        for i in range(levels.shape[1]):
            joint = self.told(joint, i, levels[:, i])
        return log_sum_exp(joint)


class PrefixFeatures:
    """The features of some variables, for whole rows at once: those of `PrefixMixture`, to the bit.

    Parameters
    ----------
    mixture : PrefixMixture
    variables : ndarray
    """

    def __init__(self, mixture: PrefixMixture, variables: NDArray[np.intp]) -> None:
        self.n_components, last = len(mixture.log_weights), int(variables[-1])
        # The weights stand as if they were the one level of a variable before all others.
        told = [mixture.log_weights[:, None], *mixture.log_theta[:last]]
        self.first = np.cumsum([0, *(theta.shape[1] for theta in told)])[:-1]
        self.of_level = np.concatenate(told, axis=1)
        self.each, self.log_theta = variables, mixture.log_theta
        all_seen = len(variables) == last + 1
        self.variables = slice(None) if all_seen else variables
        own_sizes = np.array([mixture.log_theta[i].shape[1] for i in variables])
        self.n_features = self.n_components + int(own_sizes.max()) - 1
        self.groups = []  # of variables with the same number of levels
        for k in np.unique(own_sizes):
            own = np.flatnonzero(own_sizes == k)
            theta = np.exp(np.stack([mixture.log_theta[i] for i in variables[own]]))  # (own, c, k)
            theta = np.ascontiguousarray(theta.transpose(2, 1, 0))[:, :, None]  # (k, c, 1, own)
            self.groups.append((own if len(own) < len(variables) else slice(None), theta))

    def of(self, levels: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return posteriors and predictions, (n_components + most levels - 1, n, n_variables).

        Unknown levels, negative, say nothing of what comes before them; predictions of levels that
        a variable has not are 0.
        """
        n, n_told = len(levels), len(self.first)
        places = np.zeros((n, n_told), np.intp)
        np.maximum(levels[:, : n_told - 1], 0, out=places[:, 1:])
        places += self.first
        joint = self.of_level.take(places, axis=1)  # (c, n, n_told)
        np.add.accumulate(joint, axis=2, out=joint)  # in order, as `told` adds
        joint = joint[:, :, self.variables]
        joint -= np.maximum.reduce(joint, axis=0)
        posterior = np.exp(joint, out=joint)
        posterior /= _summed(posterior)
        features = np.zeros((self.n_features, *posterior.shape[1:]), np.float32)
        features[: self.n_components] = posterior
        for own, theta in self.groups:
            part = posterior[:, :, own]
            predicted = [_summed(part * level) for level in theta]  # (n, own), level by level
            for k, level in enumerate(predicted[1:], start=self.n_components):
                features[k][:, own] = np.log(level / predicted[0])
        return features

    def weights(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return w_c p_c of beginnings of rows, the largest 1 in each, shape (n, n_components)."""
        n_told = min(levels.shape[1], len(self.first) - 1)
        joint = np.tile(self.of_level[:, 0], (len(levels), 1))
        for first, level in zip(self.first[1:], levels[:, :n_told].T):
            joint += self.of_level.T[first + level]
        joint -= joint.max(axis=1, keepdims=True)
        return np.asarray(np.exp(joint, out=joint))

    def told(self) -> list[NDArray[np.float64]]:
        """Return theta of the levels of each variable before the last one seen, (K_i, c) each."""
        return [np.exp(theta.T) for theta in self.log_theta[: len(self.first) - 1]]

    def of_variable(self) -> list[tuple[int, NDArray[np.float64]]]:
        """Return each of the variables, and its theta, (c, K_i)."""
        return [(i, np.exp(self.log_theta[i])) for i in self.each.tolist()]


def _summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a sum over the first axis, in order: NumPy adds a lone row of numbers in pairs."""
    if values.size > len(values):
        return np.asarray(np.add.reduce(values, axis=0))
    return np.asarray(sum(values[1:], start=values[0]))


def fit_mixture(
    levels: NDArray[np.intp],
    n_levels: list[int],
    n_components: int,
    rng: np.random.Generator,
    validation: NDArray[np.intp],
    is_late: Callable[[], bool] = never,
) -> PrefixMixture:
    """Fit a mixture by EM and return the best seen on the validation rows.

    Parameters
    ----------
    levels : ndarray of shape (n, d)
    n_levels : list of int
    n_components : int
        Fewer are used where there are fewer rows.
    rng : numpy.random.Generator
        The start: components near rows drawn at random.
    validation : ndarray of shape (n_validation, d)
    is_late : callable
        Whether EM must end with what it has.

    Returns
    -------
    PrefixMixture
    """
    d = max(1, levels.shape[1])
    levels = _some(levels, CELLS // d, rng)
    validation = _some(validation, CELLS_VALIDATED // d, rng)
    X = one_hot(levels, n_levels)
    margins = (X.mean(axis=0) * len(X) + 0.5) / (len(X) + 1)
    n_components = min(n_components, len(X))
    near = X[rng.choice(len(X), n_components, replace=False)]
    theta = margins + 0.3 * (near - margins)
    mixture = _named(np.full(n_components, 1 / n_components), theta, n_levels)
    best, best_score, looks = mixture, -np.inf, 0
    for step in range(1, MAX_STEPS + 1):
        mixture = _em_step(mixture, X, margins, n_levels)
        late = is_late()
        if step % LOOK_EVERY and not late:
            continue
        score = float(mixture.log_density(validation).mean())
        looks = 0 if score > best_score + GAIN else looks + 1
        if score > best_score:
            best, best_score = mixture, score
        if looks >= PATIENCE or late:
            break
    return best


def _some(rows: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return all rows, or at most so many random ones (never fewer than 1,000)."""
    most = max(most, 1000)
    return rows if len(rows) <= most else rows[np.sort(rng.choice(len(rows), most, replace=False))]


def one_hot(levels: NDArray[np.intp], n_levels: list[int]) -> NDArray[np.float32]:
    """Return one column for each level but the first of each variable, shape (n, sum(K_i - 1))."""
    variable_of, level_of, _ = one_hot_columns(n_levels)
    return np.equal(levels.take(variable_of, axis=1), level_of).astype(np.float32)


def one_hot_columns(
    n_levels: list[int],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return of which variable and level each column of `one_hot` is, and `column_ends`."""
    ends = column_ends(n_levels)
    variable_of = np.repeat(np.arange(len(n_levels)), np.diff(ends))
    return variable_of, np.arange(1, ends[-1] + 1) - ends[variable_of], ends


def column_ends(n_levels: list[int]) -> NDArray[np.intp]:
    """Return where each variable's columns of `one_hot` start, and at last where all end."""
    return np.concatenate([[0], np.cumsum([k - 1 for k in n_levels])]).astype(np.intp)


def _em_step(
    mixture: PrefixMixture, X: NDArray[np.float32], margins: NDArray, n_levels: list[int]
) -> PrefixMixture:
    """Return the mixture after one E and one M step over one-hot rows."""
    n_components = len(mixture.log_weights)
    first = sum(theta[:, 0] for theta in mixture.log_theta)  # log p of level 0 everywhere
    slopes = np.concatenate([t[:, 1:] - t[:, :1] for t in mixture.log_theta], axis=1)  # (c, p)
    mass, sums = np.zeros(n_components), np.zeros((n_components, X.shape[1]))
    for i in range(0, len(X), ROWS_AT_ONCE):
        part = X[i : i + ROWS_AT_ONCE]
        joint = part @ slopes.T.astype(np.float32) + (mixture.log_weights + first)
        share = np.exp(joint - log_sum_exp(joint)[:, None])  # (rows, c)
        mass += share.sum(axis=0)
        sums += share.T.astype(np.float32) @ part
    theta = (sums + PRIOR * margins) / (mass[:, None] + PRIOR)
    return _named((mass + 1) / (mass.sum() + n_components), theta, n_levels)


def _named(weights: NDArray, theta: NDArray, n_levels: list[int]) -> PrefixMixture:
    """Return a mixture from the probabilities of all levels but the first, shape (c, p)."""
    ends = np.cumsum([k - 1 for k in n_levels])[:-1]
    log_theta = []
    for others in np.split(theta, ends, axis=1):
        rest = np.maximum(1 - others.sum(axis=1, keepdims=True), 1e-6)
        p = np.maximum(np.concatenate([rest, others], axis=1), 1e-6)
        log_theta.append(np.log(p / p.sum(axis=1, keepdims=True)))
    return PrefixMixture(np.log(weights), tuple(log_theta))
