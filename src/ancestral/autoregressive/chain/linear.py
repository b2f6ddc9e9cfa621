"""All conditionals of a chain that are linear, scored at once.

    z_i = b_i + sum_{j<i} w_ij . f(x_j) + v_i . g_i,   p(x_i | x_<i) = sigmoid(z_i), normalised

f(x_j) has one column for each level of x_j but the first, so the scores of all variables are one
product of the rows' features with a triangular matrix. g_i is what the mixture says of the prefix,
where a conditional sees it. Marginals are looked up. What is left (trees, other classifiers, many
levels beside a mixture) is scored one by one by whoever asks.

Blocks of rows of one shape go through the product, and all else is done value by value or row by
row: no row's bits depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from ancestral._checks.numbers import log_sum_exp
from ancestral._numerics.products import by_rows
from ancestral.autoregressive import costs
from ancestral.autoregressive.chain.prefix_mixture import PrefixMixture, one_hot_columns

Floats = NDArray[np.float64]
Levels = NDArray[np.intp]
VANISHED = 1e-280  # a sum of probabilities below which they are normalised as logarithms


class Linear:
    """The linear conditionals of a fitted chain.

    Parameters
    ----------
    conditionals : list of dict
    n_levels : list of int
    floor : float
        Least probability of any level.
    mixture : PrefixMixture or None

    Attributes
    ----------
    others : ndarray
        The variables that are not scored here.
    """

    def __init__(
        self,
        conditionals: Sequence[dict[str, Any]],
        n_levels: list[int],
        floor: float,
        mixture: PrefixMixture | None,
    ) -> None:
        self.conditionals, self.n_levels, self.mixture = conditionals, n_levels, mixture
        self.variable_of, self.level_of, self.ends = one_hot_columns(n_levels)
        marginal, linear, others = list[int](), list[int](), list[int]()
        for i, (conditional, k) in enumerate(zip(conditionals, n_levels)):
            if conditional["family"] == "marginal":
                marginal.append(i)
            elif conditional["family"] == "logistic" and (
                not conditional["sees_mixture"] or k <= costs.MIXED_LEVELS
            ):
                linear.append(i)
            else:
                others.append(i)
        self.marginal = np.array(marginal, np.intp)
        self.linear = np.array(linear, np.intp)
        self.others = np.array(others, np.intp)
        self.least = np.array([min(floor, 0.5 / k) for k in n_levels])
        self.n_outputs = np.array([1 if n_levels[i] == 2 else n_levels[i] for i in linear], np.intp)
        self.first = np.cumsum([0, *self.n_outputs])[:-1]  # each linear variable's first score
        self._set_marginals()
        self._set_weights()

    def _set_marginals(self) -> None:
        """Keep the logarithms of floored marginals, one variable after another."""
        sizes = [self.n_levels[i] for i in self.marginal]
        self.marginal_at = np.cumsum([0, *sizes])[:-1]
        terms = [
            np.log(least + (1 - k * least) * np.exp(self.conditionals[i]["log_p"])) if k > 1
            else np.zeros(1)
            for i, k, least in zip(self.marginal, sizes, self.least[self.marginal])
        ]  # fmt: skip
        self.marginal_terms = np.concatenate([np.zeros(0), *terms])

    def _set_weights(self) -> None:
        """Make one matrix of all weights on levels, and arrays of those on the mixture."""
        n_outputs = int(self.n_outputs.sum())
        self.W, self.bias = np.zeros((self.ends[-1], n_outputs)), np.zeros(n_outputs)
        n_components = 0 if self.mixture is None else len(self.mixture.log_weights)
        most = max((self.n_levels[i] for i in self.linear), default=1)
        self.W_mixture = np.zeros((n_components + most - 1, n_outputs))
        self.sees_mixture = False
        for i, first, n in zip(self.linear, self.first, self.n_outputs):
            conditional, own = self.conditionals[i], slice(first, first + n)
            self.bias[own] = conditional["bias"]
            columns, weights = np.asarray(conditional["columns"]), conditional["weights"]
            plain = columns < self.ends[i]
            self.W[columns[plain], own] = weights[plain]
            if not plain.all():
                self.sees_mixture = True
                self.W_mixture[columns[~plain] - self.ends[i], own] = weights[~plain]
        binary = self.n_outputs == 1
        self.bits, self.many = self.linear[binary], self.linear[~binary]
        self.bit_at = self.first[binary]
        self.many_at = self.first[~binary]
        self.of_many = np.concatenate(
            [np.zeros(0, np.intp), *(np.arange(a, a + n) for a, n in zip(self.first, self.n_outputs) if n > 1)]
        )  # fmt: skip
        self.variable_of_output = np.repeat(np.arange(len(self.linear)), self.n_outputs)
        self.parts = self._parts()

    def _parts(self) -> list[tuple[int, slice]]:
        """Return slices of the scores, and how many features each can need: a triangle's steps."""
        parts, start = list[tuple[int, slice]](), 0
        for i, end in zip(self.linear, self.first + self.n_outputs):
            if end - start >= costs.PRODUCT_COLUMNS or i == self.linear[-1]:
                parts.append((int(self.ends[i]), slice(start, int(end))))
                start = int(end)
        return parts

    def row_values(self) -> int:
        """Return how many values are held for each row."""
        n = len(self.W) + 2 * len(self.bias)
        if self.sees_mixture and self.mixture is not None:
            n += 3 * len(self.n_levels) * len(self.mixture.log_weights)
        return max(n, 1)

    def log_density(self, levels: Levels) -> Floats:
        """Return the sum of these conditionals' log p of each row; unknown levels say nothing."""
        total = np.zeros(len(levels))
        known = None if levels.min(initial=0) >= 0 else levels >= 0
        if len(self.marginal):
            own = levels[:, self.marginal]
            terms = self.marginal_terms.take(own + self.marginal_at, mode="clip")
            total += _summed(terms, known, self.marginal)
        if len(self.linear):
            scores = self.scores(levels)
            if len(self.bits):
                terms = self._bit_terms(scores, levels)
                total += _summed(terms, known, self.bits)
            if len(self.many):
                terms = self._many_terms(scores, levels)
                total += _summed(terms, known, self.many)
        return total

    def scores(self, levels: Levels) -> Floats:
        """Return z of each row, shape (n, n_outputs)."""
        n = len(levels)
        X = np.equal(levels.take(self.variable_of, axis=1), self.level_of).astype(np.float64)
        scores = np.empty((n, len(self.bias)))
        for n_seen, part in self.parts:
            scores[:, part] = by_rows(X[:, :n_seen], self.W[:n_seen, part])
        scores += self.bias
        if self.sees_mixture and self.mixture is not None:
            self._add_mixture(scores, levels, self.mixture)
        return scores

    def _add_mixture(self, scores: Floats, levels: Levels, mixture: PrefixMixture) -> None:
        """Add what the conditionals make of the mixture."""
        joint = mixture.before(levels)[:, self.linear]  # (n, variables, components)
        posterior, odds = mixture.features_of(joint, self.linear)
        n_components = joint.shape[2]
        for c in range(n_components):
            seen = posterior[:, :, c].astype(np.float64)
            scores += seen.take(self.variable_of_output, axis=1) * self.W_mixture[c]
        for k in range(odds.shape[2]):
            seen = odds[:, :, k].astype(np.float64)
            scores += seen.take(self.variable_of_output, axis=1) * self.W_mixture[n_components + k]

    def _bit_terms(self, scores: Floats, levels: Levels) -> Floats:
        """Return log p of the levels of binary variables."""
        own = scores if len(self.bits) == scores.shape[1] else scores[:, self.bit_at]
        signs = levels[:, self.bits] * -2.0
        signs += 1.0
        terms = np.multiply(own, signs, out=signs)  # -z of the level that came
        least = self.least[self.bits]
        if not least.all():
            return log_expit(-terms)  # type: ignore[no-any-return]
        with np.errstate(over="ignore"):  # of a probability that is 0 in float64
            np.exp(terms, out=terms)
        terms += 1.0
        np.divide(1 - 2 * least, terms, out=terms)
        terms += least
        return np.log(terms, out=terms)

    def _many_terms(self, scores: Floats, levels: Levels) -> Floats:
        """Return log p of the levels of variables of more than two."""
        z = scores if len(self.of_many) == scores.shape[1] else scores[:, self.of_many]
        sizes = np.array([self.n_levels[i] for i in self.many])
        first = np.cumsum([0, *sizes])[:-1]
        p = np.negative(z)
        with np.errstate(over="ignore"):
            np.exp(p, out=p)
        p += 1.0
        np.divide(1.0, p, out=p)  # sigmoid
        sums = np.add.reduceat(p, first, axis=1)
        place = np.maximum(levels[:, self.many], 0) + first
        rows = np.arange(len(levels))[:, None]
        own = p.take(place + rows * p.shape[1])
        least = self.least[self.many]
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = own / sums
        terms *= 1 - sizes * least
        terms += least
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(terms, out=terms)
        for i, j in np.argwhere(sums < VANISHED):
            log_p = log_expit(z[i, first[j] : first[j] + sizes[j]])
            q = np.exp(log_p[max(levels[i, self.many[j]], 0)] - log_sum_exp(log_p))
            with np.errstate(divide="ignore"):
                terms[i, j] = np.log(least[j] + (1 - sizes[j] * least[j]) * q)
        return terms


def _summed(terms: Floats, known: NDArray[np.bool_] | None, variables: Levels) -> Floats:
    """Return each row's sum of terms, those of unknown levels left out."""
    if known is not None:
        terms = np.where(known[:, variables], terms, 0.0)
    return np.asarray(terms.sum(axis=1))
