"""Getting it right: two ways of drawing from one joint distribution must agree.

The *marginal-conditional* simulator draws all at once: parents, then children. The *successive-
conditional* simulator starts there and then draws parts again and again, each given the rest. If
every sampler and every conditional is right, the second leaves the joint as it was; a mistake in
either moves it. (Chains run side by side, one for each start, so that they are independent.)

Means of test functions under both are compared by Hotelling's T^2 in large samples: chi-square. A
right pair fails by chance once in 10,000 seeds (`FALSE_ALARM`); the seeds are fixed. Each test must
also see a sampler whose standard deviation, or a probability of whose, is 5% off, be it the one
that draws all at once or the one that draws given the rest.

Geweke (2004), Getting it right: joint distribution tests of posterior simulators, JASA 99, 799-804.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ancestral import PPCA, HeteroscedasticGaussian, InnerProductGraph, LinearGaussian
from ancestral.graph.edge_sampling import sample_edges
from tests.zoo import ZOO

Note = Callable[[str, str], None]
Array = np.ndarray
FALSE_ALARM = 1e-4
ENTRY = {entry.name: entry for entry in ZOO}


def p_value(a: Array, b: Array) -> float:
    """Return the p-value of equal means of test functions, shapes (n, k) and (m, k)."""
    gap = a.mean(axis=0) - b.mean(axis=0)
    spread = np.cov(a.T) / len(a) + np.cov(b.T) / len(b)
    values, V = np.linalg.eigh(np.atleast_2d(spread))
    kept = values > 1e-9 * values[-1]  # cells of a table sum to one
    along = (gap @ V)[kept]
    return float(stats.chi2(kept.sum()).sf((along**2 / values[kept]).sum()))


# ---- deliberate mistakes -------------------------------------------------------------------------


def tilted(model: Any) -> Any:
    """Return the model with every variable's last level 5% likelier than it says."""
    other = copy.copy(model)

    def step(state: Any, previous: Any) -> tuple[Any, Array]:
        state, log_p = model.step(state, previous)
        p = np.exp(log_p)
        p[:, -1] *= 1.05
        return state, np.log(p / p.sum(axis=1, keepdims=True))

    other.step = step
    other._listed = lambda: None  # what is listed was not tilted
    return other


class Noisier(np.random.Generator):
    """A generator whose normal numbers are 5% too wide."""

    def standard_normal(self, *args: Any, **kwargs: Any) -> Any:
        return 1.05 * super().standard_normal(*args, **kwargs)

    def normal(self, *args: Any, **kwargs: Any) -> Any:
        return 1.05 * super().normal(*args, **kwargs)


def generator(seed: int, *, noisier: bool) -> np.random.Generator:
    return (Noisier if noisier else np.random.Generator)(np.random.PCG64(seed))


# ---- discrete rows: variables given one another --------------------------------------------------


def cells(X: Array, space: Array) -> Array:
    """Return which row of the space each row of X is."""
    place = {tuple(row): k for k, row in enumerate(space.tolist())}
    rows, inverse = np.unique(X, axis=0, return_inverse=True)
    return np.array([place[tuple(row)] for row in rows.tolist()])[inverse.ravel()]


def one_hot(cell: Array, n: int) -> Array:
    return np.eye(n)[cell]


def again_given(model: Any, X: Array, rng: np.random.Generator, **how: Any) -> Array:
    """Return rows drawn anew given one variable, for each variable in turn."""
    X = X.copy()
    for j in range(X.shape[1]):
        for value in np.unique(X[:, j]):
            rows = np.flatnonzero(X[:, j] == value)
            given = np.full(X.shape[1], np.nan, dtype=object)
            given[j] = value
            X[rows] = model.sample(len(rows), given=given, random_state=rng, **how)
    return X


def again_by_density(model: Any, space: Array, cell: Array, rng: np.random.Generator) -> Array:
    """Return cells after each variable was drawn anew given all others, by the log density."""
    p = np.exp(model.log_density(space))
    for j in range(space.shape[1]):
        rest = np.delete(space, j, axis=1)
        alike = (rest[:, None] == rest[None]).all(axis=2)  # (n, n)
        cumulative = np.cumsum(alike * p, axis=1)
        u = rng.random(len(cell)) * cumulative[cell, -1]
        cell = (u[:, None] >= cumulative[cell]).sum(axis=1)
    return cell


@cache
def fitted(name: str) -> tuple[Any, Array]:
    entry = ENTRY[name]
    return entry.fit(), np.asarray(entry.space)


def discrete(name: str, n: int, draw: str = "sample") -> Callable[[str | None], float]:
    """Return the test of a model whose conditionals are drawn by `given`."""

    def test(mistake: str | None) -> float:
        model, space = fitted(name)
        rng = np.random.default_rng(1)
        joint = tilted(model) if mistake == "joint" else model
        rest = tilted(model) if mistake == "given the rest" else model
        first, start = (drawn(joint, draw, n, rng) for _ in range(2))
        a, b = (cells(X, space) for X in (first, again_given(rest, start, rng)))
        return p_value(one_hot(a, len(space)), one_hot(b, len(space)))

    return test


def drawn(model: Any, how: str, n: int, rng: np.random.Generator) -> Array:
    if how == "sample":
        return model.sample(n, random_state=rng)
    rows, counts = model.sample_counts(n, random_state=rng)
    return np.repeat(rows, counts, axis=0)


def mixture(mistake: str | None) -> float:
    """Return the p-value of a mixture of orders, whose conditionals are those of its density."""
    model, space = fitted("mixture of orders")
    rng = np.random.default_rng(2)
    joint = copy.copy(model)
    if mistake == "joint":
        joint.members_ = [tilted(member) for member in model.members_]
    first, start = (cells(joint.sample(60_000, random_state=rng), space) for _ in range(2))
    return p_value(
        one_hot(first, len(space)),
        one_hot(again_by_density(model, space, start, rng), len(space)),
    )


def smc(mistake: str | None) -> float:
    """Return the p-value of draws from weighted particles, 48 to a run of 128 completions.

    Draws of one call share their particles, so the means of calls are what is compared; their
    distance from the exact conditional, some 1/48^2, is beneath what so many draws can see.
    """
    model, _ = fitted_deep()
    rng = np.random.default_rng(3)
    joint = tilted(model) if mistake == "joint" else model
    rest = tilted(model) if mistake == "given the rest" else model
    size, calls = 60, 400
    first, start = (joint.sample(size * calls, random_state=rng) for _ in range(2))
    ends = []
    for j in np.arange(calls) % 8:  # each call keeps another variable
        value = start[len(ends) * size % len(start), j]
        given = np.full(8, np.nan)
        given[j] = value
        ends.append(
            rest.sample(size, given=given, method="smc", n_particles=8 * 48, random_state=rng)
        )
    return p_value(
        by_call(first, size), by_call(np.concatenate(ends), size)
    )


def by_call(X: Array, size: int) -> Array:
    """Return the mean of each variable, and of each neighbours' product, over each call."""
    both = np.hstack([X, X[:, 1:] * X[:, :-1]]).astype(np.float64)
    return both.reshape(len(X) // size, size, -1).mean(axis=1)


@cache
def fitted_deep() -> tuple[Any, None]:
    from ancestral import TabularAutoregressive

    rng = np.random.default_rng(4)
    z = rng.random(300) < 0.5
    X = rng.random((300, 8)) < np.where(z[:, None], 0.65, 0.35)
    return TabularAutoregressive(smoothing=1.0).fit(X.astype(int)), None


# ---- PPCA: some entries given others -------------------------------------------------------------


@cache
def ppca() -> PPCA:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 16)) + rng.normal(size=(100, 16))
    return PPCA(2).fit(X + np.arange(16.0))


def of_rows(X: Array) -> Array:
    """Return the entries, centred, and their squares."""
    c = X - ppca().mean_
    return np.hstack([c, c**2, c[:, 1:] * c[:, :-1]])


def completed(X: Array, rng: np.random.Generator) -> Array:
    """Return all rows' entries drawn anew given others, by impute_draws."""
    for part in range(4):
        unknown = np.arange(16) % 4 != part  # a quarter is known
        X = ppca().impute_draws(np.where(unknown, np.nan, X), 1, random_state=rng)[0]
    return X


def conditioned(X: Array, rng: np.random.Generator) -> Array:
    """Return the same by sample(given=...), which takes one row."""
    known = np.where(np.arange(16) % 4 == 0, X, np.nan)
    return np.concatenate([ppca().sample(1, given=row, random_state=rng) for row in known])


def latent(again: Callable[[Array, np.random.Generator], Array], n: int) -> Any:
    def test(mistake: str | None) -> float:
        joint = generator(6, noisier=mistake == "joint")
        first, start = (ppca().sample(n, random_state=joint) for _ in range(2))
        end = again(start, generator(7, noisier=mistake == "given the rest"))
        return p_value(of_rows(first), of_rows(end))

    return test


# ---- y given x, and x given y --------------------------------------------------------------------


def two_lines(mistake: str | None) -> float:
    """Return the p-value of x and y drawn by turns, by a line and the line of x given y."""
    a, b, variance = 0.8, 0.3, 0.5
    total = a**2 + variance  # of y, for x ~ N(0, 1)
    forth = line_of(a, b, variance)
    back = line_of(a / total, -a * b / total, variance / total)
    joint = generator(8, noisier=mistake == "joint")
    rest = generator(9, noisier=mistake == "given the rest")
    right = np.random.default_rng(10)

    def pairs() -> tuple[Array, Array]:
        x = right.normal(size=60_000)
        return x, forth.sample(x[:, None], random_state=joint)

    first, (x, y) = pairs(), pairs()
    for _ in range(3):
        x = back.sample(y[:, None], random_state=rest)
        y = forth.sample(x[:, None], random_state=rest)
    return p_value(*(np.column_stack([x, y, x**2, x * y, y**2]) for x, y in (first, (x, y))))


def line_of(slope: float, intercept: float, variance: float) -> LinearGaussian:
    """Return a line with these parameters: fitted to points that have them."""
    x = np.array([-1.0, -1.0, 1.0, 1.0])
    e = np.sqrt(variance) * np.array([1.0, -1.0, 1.0, -1.0])
    return LinearGaussian().fit(x[:, None], slope * x + intercept + e)


def pairs_by_density(name: str) -> Callable[[str | None], float]:
    """Return the test of y given x, with x given y by the log density over a few x."""

    def test(mistake: str | None) -> float:
        entry = ENTRY[name]
        model, places = entry.fit(), 0.3 * entry.data[0][:3]
        joint, rng = generator(11, noisier=mistake == "joint"), np.random.default_rng(12)

        def pairs() -> tuple[Array, Array]:
            k = rng.integers(0, 3, size=60_000)
            return k, model.sample(places[k], random_state=joint)

        first, (k, y) = pairs(), pairs()
        each = [model.log_density(np.tile(x, (len(y), 1)), y) for x in places]
        k = (np.stack(each, axis=1) + rng.gumbel(size=(len(y), 3))).argmax(axis=1)
        y = model.predict(places[k]) + 0 * y if mistake == "x" else y
        return p_value(*(with_place(*pair) for pair in (first, (k, y))))

    return test


def with_place(k: Array, y: Array) -> Array:
    """Return which x it is, and the first two powers of y there."""
    where = np.eye(3)[k]
    return np.hstack([where, where * y[:, None], where * y[:, None] ** 2])


# ---- edges given features ------------------------------------------------------------------------
