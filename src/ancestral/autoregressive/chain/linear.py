"""All conditionals of a chain that are linear, scored at once.

    z_i = b_i + sum_{j<i} w_ij . f(x_j) + v_i . g_i,   p(x_i | x_<i) = sigmoid(z_i), normalised

f(x_j) has one column for each level of x_j but the first, so the scores of all variables are one
product of the rows' features with a triangular matrix. g_i is what the mixture says of the prefix,
where a conditional sees it. A marginal of two levels has w = 0, and others are looked up. What is
left (trees, other classifiers, many levels beside a mixture) is scored one by one by whoever asks.

Blocks of rows of one shape go through the product, and all else is done value by value or row by
row: no row's bits depend on the rows beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property, reduce
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from ancestral._checks.numbers import log_sum_exp
from ancestral._numerics.costs import ALONE
from ancestral._numerics.products import BLOCK_ROWS
from ancestral._numerics.threads import one_thread
from ancestral.autoregressive import costs
from ancestral.autoregressive.chain.conditionals import Conditional, as_logistic
from ancestral.autoregressive.chain.prefix_mixture import (
    PrefixFeatures,
    PrefixMixture,
    one_hot_columns,
)
from ancestral.autoregressive.steps import level_at

Floats = NDArray[np.float64]
Levels = NDArray[np.intp]
NARROW, FEW = 8, 64  # columns of more rows than few, below which they are added up one by one
LARGE = 700.0  # exp of it is finite, and a probability of exp(-LARGE) is 0 beside a floor
VANISHING = 1e-100  # a sum of components' weights below which they are made anew from logarithms
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
        self.of, self.n_levels = conditionals, n_levels
        conditionals = [_as_linear(one, k) for one, k in zip(conditionals, n_levels)]
        self.conditionals = conditionals
        self.variable_of, self.level_of, self.ends = one_hot_columns(n_levels)
        self.is_binary = set(n_levels) == {2}
        marginal, linear, others = list[int](), list[int](), list[int]()
        for i, (conditional, k) in enumerate(zip(conditionals, n_levels)):
            if conditional["family"] == "marginal":  # of one level, or more than two
                marginal.append(i)
            elif conditional["family"] == "logistic" and (
                not conditional["sees_mixture"] or k <= costs.MIXED_LEVELS
            ):
                linear.append(i)
            else:
                others.append(i)
        self.marginal = _few(np.array(marginal, np.intp))
        self.n_marginal = len(marginal)
        self.linear = np.array(linear, np.intp)
        self.others = np.array(others, np.intp)
        self.least = np.array([min(floor, 0.5 / k) for k in n_levels])
        self.n_outputs = np.array([1 if n_levels[i] == 2 else n_levels[i] for i in linear], np.intp)
        self.first = np.cumsum([0, *self.n_outputs])[:-1]  # each linear variable's first score
        self._set_marginals(marginal)
        self._set_weights(mixture)

    def _set_marginals(self, marginal: list[int]) -> None:
        """Keep the logarithms of floored marginals, one variable after another."""
        sizes = [self.n_levels[i] for i in marginal]
        self.marginal_at = np.cumsum([0, *sizes])[:-1]
        terms = [
            np.log(least + (1 - k * least) * np.exp(self.conditionals[i]["log_p"])) if k > 1
            else np.zeros(1)
            for i, k, least in zip(marginal, sizes, self.least[marginal])
        ]  # fmt: skip
        self.marginal_terms = np.concatenate([np.zeros(0), *terms])

    def _set_weights(self, mixture: PrefixMixture | None) -> None:
        """Make one matrix of all weights on levels, and one of those on the mixture."""
        n_outputs = int(self.n_outputs.sum())
        self.weights = np.zeros((1 + self.ends[-1], n_outputs))
        self.bias, self.W = self.weights[0], self.weights[1:]
        sees = np.array([self.conditionals[i]["sees_mixture"] for i in self.linear], bool)
        self.mixed = None
        if mixture is not None and sees.any():
            self.mixed = PrefixFeatures(mixture, self.linear[sees])
            self.mixed_at = _few(np.flatnonzero(np.repeat(sees, self.n_outputs)))
            self.mixed_of = np.repeat(np.arange(sees.sum()), self.n_outputs[sees])
        n_seen = 0 if self.mixed is None else self.mixed.n_features
        W_mixed = np.zeros((n_seen, n_outputs))
        for i, first, n in zip(self.linear, self.first, self.n_outputs):
            conditional, own = self.conditionals[i], slice(first, first + n)
            self.bias[own] = conditional["bias"]
            columns, weights = np.asarray(conditional["columns"]), conditional["weights"]
            plain = columns < self.ends[i]
            self.W[columns[plain], own] = weights[plain]
            W_mixed[columns[~plain] - self.ends[i], own] = weights[~plain]
        self.W_mixed = W_mixed[:, np.repeat(sees, self.n_outputs)]
        binary = self.n_outputs == 1
        self.bits, self.bit_at = _few(self.linear[binary]), _few(self.first[binary])
        self.n_bits = int(binary.sum())
        self.bit_least = self.least[self.linear[binary]].min(initial=0.5)  # one for them all
        self.many = self.linear[~binary]
        self.many_least, self.many_sizes = self.least[self.many], self.n_outputs[~binary]
        many_at = [np.arange(a, a + n) for a, n in zip(self.first, self.n_outputs) if n > 1]
        self.many_at = _few(np.concatenate([np.zeros(0, np.intp), *many_at]))
        self.many_first = np.cumsum([0, *self.many_sizes])[:-1]
        self.parts = self._parts()
        # A product so small takes one thread by itself.
        largest = max((n * (part.stop - part.start) for n, part in self.parts), default=0)
        self.threads = one_thread() if BLOCK_ROWS * largest > ALONE else nullcontext()
        d = len(self.n_levels)
        self.score_at, self.output_after = [0] * d, [n_outputs] * d
        for i, at in zip(_numbers(self.marginal), self.marginal_at.tolist()):
            self.score_at[i] = -1 - at  # where its terms are looked up
        for i, at in zip(self.linear.tolist(), self.first.tolist()):
            self.score_at[i] = at
        ends = dict(zip(self.linear.tolist(), (self.first + self.n_outputs).tolist()))
        passed = 0
        for i in range(d):
            passed = self.output_after[i] = ends.get(i, passed)

    def _parts(self) -> list[tuple[int, slice]]:
        """Return slices of the scores, and how many features each can need: a triangle's steps."""
        parts, start = list[tuple[int, slice]](), 0
        for i, end in zip(self.linear, self.first + self.n_outputs):
            if end - start >= costs.PRODUCT_COLUMNS or i == self.linear[-1]:
                parts.append((1 + int(self.ends[i]), slice(start, int(end))))
                start = int(end)
        return parts

    @property
    def row_values(self) -> int:
        """How many values the widest array holds for each row."""
        return max(*self.weights.shape, self.W_mixed.size)

    def log_density(self, levels: Levels) -> Floats:
        """Return the sum of these conditionals' log p of each row; unknown levels say nothing."""
        sums = []
        known = None if np.minimum.reduce(levels, axis=None, initial=0) >= 0 else levels >= 0
        if self.n_marginal:
            places = levels[:, self.marginal] + self.marginal_at
            terms = self.marginal_terms.take(places, mode="clip")
            sums.append(_summed(terms, known, self.marginal))
        if len(self.linear):
            scores = self.scores(levels)
            if self.n_bits:
                sums.append(_summed(self._bit_terms(scores, levels), known, self.bits))
            if len(self.many):
                sums.append(_summed(self._many_terms(scores, levels), known, self.many))
        return reduce(np.add, sums) if sums else np.zeros(len(levels))

    @property
    def is_all(self) -> bool:
        """Whether these are all conditionals."""
        return not len(self.others)

    def draw_on(self, rows: Levels, first: int, noise: Floats) -> None:
        """Draw the levels of rows from variable `first` on, by uniform numbers of shape (d, n).

        Each level that came adds its weights to the scores of all that follow, and multiplies the
        mixture's: no product is made anew. The conditionals are all here. What the mixture says is
        not rounded to float32 here, as it is in scores, which moves them by 1e-7 of themselves.
        """
        scores, w = np.tile(self.bias, (len(rows), 1)), None
        if first:
            scores = self._plain(np.where(np.arange(rows.shape[1]) < first, rows, -1))
        if self.mixed is not None:
            w = self.mixed.weights(rows[:, :first])
        if costs.chain_draws_by_value(len(rows), mixed=w is not None):
            for j, own in enumerate(noise.T.tolist()):
                self._draw_one(rows[j], first, scores[j], None if w is None else w[j], own)
            return
        for i in range(first, rows.shape[1]):
            if w is not None and (step := self._mixed_steps[i]):
                w = self._add_mixed(step, i, rows, scores, w)
            level = rows[:, i] = _drawn(self._probabilities(i, scores), noise[i - first])
            if w is not None and i < len(self._told):
                w = w * self._told[i][level]
            start, end = self.ends[i], self.ends[i + 1]
            after = self.output_after[i]
            if end > start and after < len(self.bias):
                weights = self.W[start:end, after:]  # (levels - 1, outputs)
                if end - start == 1:
                    scores[:, after:] += level[:, None] * weights
                else:
                    came = np.flatnonzero(level)
                    scores[came, after:] += weights[level[came] - 1]

    def _draw_one(
        self, row: Levels, first: int, z: Floats, w: Floats | None, noise: list[float]
    ) -> None:
        """Draw the levels of one row."""
        told = [] if w is None else self._told
        for i, u in enumerate(noise, start=first):
            if w is not None and (step := self._mixed_steps[i]):
                w = self._add_mixed_to_one(step, i, row, z, w)
            level = level_at(self._few_probabilities(i, z), u)
            row[i] = level
            if w is not None and i < len(told):
                w = w * told[i][level]
            if level and (after := self.output_after[i]) < len(z):
                z[after:] += self.W[self.ends[i] + level - 1, after:]

    @cached_property
    def _told(self) -> list[Floats]:
        """What each level makes of the components' weights, (K_i, c) each."""
        return [] if self.mixed is None else self.mixed.told()

    @cached_property
    def _mixed_steps(self) -> list[tuple[Floats, list[list[float]]] | None]:
        """What the components' weights say of each variable, None where it does not see them.

        By a product they make p of each level, their sum, and what they add to the scores, (c, ...)
        in all; beside it are the weights of the log odds, score by score.
        """
        steps: list[tuple[Floats, list[list[float]]] | None] = [None] * len(self.n_levels)
        if self.mixed is not None:
            first, c = 0, self.mixed.n_components
            for i, theta in self.mixed.of_variable():
                k = theta.shape[1]
                own = self.W_mixed[:, first : (first := first + (k if k > 2 else 1))]
                product = np.concatenate([theta, np.ones((c, 1)), own[:c]], axis=1)
                steps[i] = product, own[c : c + k - 1].T.tolist()
        return steps

    def _add_mixed(self, step: Any, i: int, rows: Levels, scores: Floats, w: Floats) -> Floats:
        """Add what the mixture says of variable i to its scores; return the weights, (n, c)."""
        (product, odds), k, at = step, self.n_levels[i], self.score_at[i]
        seen = w @ product
        if seen[:, k].min() < VANISHING and self.mixed is not None:
            w = self.mixed.weights(rows[:, :i])
            seen = w @ product
        own = seen[:, k + 1 :] / seen[:, k : k + 1]
        own += np.log(seen[:, 1:k] / seen[:, :1]) @ np.transpose(odds)
        scores[:, at : at + own.shape[1]] += own
        return w

    def _add_mixed_to_one(self, step: Any, i: int, row: Levels, z: Floats, w: Floats) -> Floats:
        """Add what the mixture says of variable i to one row's scores; return the weights, (c,)."""
        (product, odds), k = step, self.n_levels[i]
        seen = w.dot(product).tolist()
        if seen[k] < VANISHING and self.mixed is not None:
            w = self.mixed.weights(row[None, :i])[0]
            seen = w.dot(product).tolist()
        logs = [math.log(p / seen[0]) for p in seen[1:k]]
        for at, own, weights in zip(range(self.score_at[i], len(z)), seen[k + 1 :], odds):
            z[at] += own / seen[k] + sum(map(mul, logs, weights))
        return w

    def _few_probabilities(self, i: int, z: Floats) -> list[float]:
        """Return p of each level of variable i, given one row's scores."""
        k = self.n_levels[i]
        if (at := self.score_at[i]) < 0:
            start = -1 - at
            return [math.exp(v) for v in self.marginal_terms[start : start + k].tolist()]
        if k == 2:
            q = _sigmoid(z.item(at))
            odds = [1 - q, q]
        else:
            odds = [_sigmoid(value) for value in z[at : at + k].tolist()]
        total = sum(odds)
        if total < VANISHED:
            log_p = log_expit(z[at : at + k])
            odds, total = np.exp(log_p - log_sum_exp(log_p)).tolist(), 1.0
        least = self.least.item(i)
        return [least + (1 - k * least) * value / total for value in odds]

    def _probabilities(self, i: int, z: Floats) -> Floats:
        """Return p of each level of variable i, of shape (n, K_i)."""
        k = self.n_levels[i]
        if (at := self.score_at[i]) < 0:
            start = -1 - at
            return np.broadcast_to(np.exp(self.marginal_terms[start : start + k]), (len(z), k))
        own = z[:, at : at + (k if k > 2 else 1)]
        if k == 2:
            q = expit(own)
            p = np.concatenate([1 - q, q], axis=1)
        else:
            log_p = log_expit(own)
            p = np.exp(log_p - log_sum_exp(log_p)[:, None])
        return np.asarray(self.least[i] + (1 - k * self.least[i]) * p)

    def scores(self, levels: Levels) -> Floats:
        """Return z of each row, shape (n, n_outputs)."""
        scores = self._plain(levels)
        if self.mixed is not None:
            seen = self.mixed.of(levels)  # (features, n, variables)
            if len(self.mixed_of) > seen.shape[2]:
                seen = seen.take(self.mixed_of, axis=2)
            scores[:, self.mixed_at] += np.add.reduce(seen * self.W_mixed[:, None], axis=0)
        return scores

    def _plain(self, levels: Levels) -> Floats:
        """Return z of each row without what the mixture says, shape (n, n_outputs)."""
        n, blocks = len(levels), -(-len(levels) // BLOCK_ROWS)
        X = np.ones((blocks * BLOCK_ROWS, len(self.weights)))  # a column of ones for the bias
        if self.is_binary:
            np.maximum(levels, 0, out=X[:n, 1:])
        else:
            X[:n, 1:] = np.equal(levels.take(self.variable_of, axis=1), self.level_of)
        whole = X.reshape(blocks, BLOCK_ROWS, len(self.weights))
        with self.threads:
            if len(self.parts) == 1:
                scores = np.matmul(whole, self.weights)
            else:
                scores = np.empty((blocks, BLOCK_ROWS, len(self.bias)))
                for n_seen, part in self.parts:
                    np.matmul(
                        whole[:, :, :n_seen], self.weights[:n_seen, part], out=scores[:, :, part]
                    )
        return scores.reshape(blocks * BLOCK_ROWS, len(self.bias))[:n]

    def _bit_terms(self, scores: Floats, levels: Levels) -> Floats:
        """Return log p of the levels of binary variables."""
        signs = levels[:, self.bits] * -2.0
        signs += 1.0
        terms = np.multiply(scores[:, self.bit_at], signs, out=signs)  # -z of the level that came
        if not self.bit_least:  # no floor
            return np.asarray(log_expit(-terms))
        np.minimum(terms, LARGE, out=terms)
        np.exp(terms, out=terms)
        terms += 1.0
        np.divide(1 - 2 * self.bit_least, terms, out=terms)
        terms += self.bit_least
        return np.asarray(np.log(terms, out=terms))

    def _many_terms(self, scores: Floats, levels: Levels) -> Floats:
        """Return log p of the levels of variables of more than two."""
        z, first = scores[:, self.many_at], self.many_first
        sizes, least = self.many_sizes, self.many_least
        p = np.negative(z)
        with np.errstate(over="ignore"):
            np.exp(p, out=p)
        p += 1.0
        np.divide(1.0, p, out=p)  # sigmoid
        sums = np.add.reduceat(p, first, axis=1)
        places = np.maximum(levels[:, self.many], 0) + first
        places += (np.arange(len(levels)) * p.shape[1])[:, None]
        own = p.take(places)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = own / sums
            terms *= 1 - sizes * least
            terms += least
            np.log(terms, out=terms)
        for i, j in np.argwhere(sums < VANISHED):
            log_p = log_expit(z[i, first[j] : first[j] + sizes[j]])
            q = np.exp(log_p[max(levels[i, self.many[j]], 0)] - log_sum_exp(log_p))
            with np.errstate(divide="ignore"):
                terms[i, j] = np.log(least[j] + (1 - sizes[j] * least[j]) * q)
        return terms


def _as_linear(conditional: Conditional, n_levels: int) -> Conditional:
    """Return a conditional as a logistic one, where it is one sigmoid of two levels."""
    if conditional["family"] == "estimator":
        return as_logistic(conditional, n_levels)
    if conditional["family"] != "marginal" or n_levels != 2:
        return conditional
    odds = conditional["log_p"][1:] - conditional["log_p"][:1]
    none = {"columns": np.zeros(0, np.intp), "weights": np.zeros((0, 1)), "bias": odds}
    return {"family": "logistic", "sees_mixture": False, **none}


def _sigmoid(z: float) -> float:
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    small = math.exp(z)
    return small / (1 + small)


def _drawn(p: Floats, noise: Floats) -> Levels:
    """Return one level for each row of probabilities, none of them 0 where it is drawn."""
    if p.shape[1] == 2:
        return (noise >= p[:, 0]).astype(np.intp)
    ends = np.cumsum(p, axis=1)
    ends /= ends[:, -1:]  # the last is one exactly, and a uniform number is below it
    return (noise[:, None] >= ends).sum(axis=1)


def _numbers(index: Levels | slice) -> list[int]:
    """Return the numbers of an index that `_few` gave."""
    return list(range(index.start, index.stop)) if isinstance(index, slice) else index.tolist()


def _few(numbers: Levels) -> Levels | slice:
    """Return an index, as a slice where its numbers follow each other."""
    if len(numbers) and numbers[-1] - numbers[0] == len(numbers) - 1:
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def _summed(terms: Floats, known: NDArray[np.bool_] | None, variables: Levels | slice) -> Floats:
    """Return each row's sum of terms, those of unknown levels left out."""
    if known is not None:
        terms = np.where(known[:, variables], terms, 0.0)
    if terms.shape[1] >= NARROW or len(terms) < FEW:
        return np.asarray(np.add.reduce(terms, axis=1))
    total = terms[:, 0].copy()
    for j in range(1, terms.shape[1]):
        total += terms[:, j]
    return total
