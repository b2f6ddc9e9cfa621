"""What a column is, given its hidden state: the leaves of the tree.

    levels       p(x | z) = P[z, x]
    counts       x | z ~ negative binomial of mean m_z and size r_z
    continuous   x | z is one of some atoms a_1 ... a_A with probabilities C[z, 1..A], or else
                 (probability C[z, A+1]) a real number for which y = g(x) has the density
                 (1 - t) N(y; mu_z, sigma_z^2) + t N(y; 0, tau^2),   t = 0.01

g is a monotone scale (`Scale`), and its slope is part of the density, which is one per unit of the
column: against Lebesgue's measure beside the counting measure on the atoms. The second Gaussian is
the same for all states: by it, no value is far from all of them. Every leaf holds its k states on
axis 0, is never changed, and answers the same questions:

    likelihood, log_density   of values, NaN where missing: there the leaf says 1, or 0 nats
    log_mass, draw            of a condition (`Allowed`), and values drawn under it
    moments, cdf              mean and standard deviation by state, in the column's unit

A leaf's values are codes 0 .. L-1 of levels, whole counts, or numbers in the column's own unit, all
as floats.
"""

# Length: the three kinds of leaves answer the same questions, each beside the others' answers.

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ancestral._checks.numbers import log_sum_exp

TAIL = 0.01  # t: the share of a continuous leaf that all its states have in common
TAIL_SPREAD = 2.5  # tau, of a column standardised on a straight scale; see `Scale.tail`
FLOOR = 0.03  # of sigma_z, on that scale
FLOOR_IN_GRIDS = 0.4  # sigma_z in steps of the column's grid: no peak exceeds 1/grid
MOST_COMPARED = 32  # choices up to which comparing with each is faster than a search
POISSON = 1e7  # a size r at which a negative binomial is a Poisson to seven digits
_LOG_2PI = float(np.log(2 * np.pi))

Floats = NDArray[np.float64]


class Allowed(NamedTuple):
    """A condition on one column: values among some, or within an interval, its ends included.

    Parameters
    ----------
    values : ndarray of shape (m,), or None
        Distinct codes, counts or numbers; None for an interval.
    low, high : float
        Ends of the interval, -inf and inf where it has none.
    """

    values: Floats | None = None
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Prior:
    """What is added to the sums of an EM step before the maximum is taken.

    Parameters
    ----------
    marginal : ndarray of shape (1,)
        Mean of a column of counts.
    pseudo_count : float
        Rows of the marginal that are added to each state.
    """

    marginal: Floats
    pseudo_count: float = 0.5


class Leaf(ABC):
    """p(x | z) of one column, for each of k states."""

    @property
    @abstractmethod
    def n_states(self) -> int: ...

    @abstractmethod
    def likelihood(self, values: Floats) -> tuple[Floats, Floats | None]:
        """Return p(x | z) of each value as scaled numbers (n, k) and the log of their scale (n,).

        None stands for a scale of 1.
        """

    @abstractmethod
    def log_density(self, values: Floats) -> Floats:
        """Return log p(x | z) of each value, (n, k), in nats; 0 where it is missing."""

    @abstractmethod
    def log_mass(self, allowed: Allowed) -> Floats:
        """Return log p(condition | z), (k,)."""

    @abstractmethod
    def draw(
        self, states: NDArray[np.intp], rng: np.random.Generator, allowed: Allowed | None = None
    ) -> Floats:
        """Draw one value for each state, under the condition, which has probability there."""

    @abstractmethod
    def moments(self, allowed: Allowed | None = None) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of each state, (k,) each, under the condition."""

    @abstractmethod
    def cdf(self, values: Floats) -> Floats:
        """Return p(X <= x | z), (n, k)."""

    @abstractmethod
    def n_free(self) -> int:
        """Return the number of free parameters."""


# ---- levels --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LevelsLeaf(Leaf):
    """Levels by their probabilities.

    Parameters
    ----------
    p : ndarray of shape (k, L)
        P[z, x]; each row sums to 1.
    """

    p: Floats

    @property
    def n_states(self) -> int:
        return len(self.p)

    @property
    def n_levels(self) -> int:
        return self.p.shape[1]

    @cached_property
    def _rows(self) -> Floats:
        """P by levels, (L + 1, k): the last row is what is said of a gap."""
        return np.concatenate([self.p.T, np.ones((1, self.n_states))])

    @cached_property
    def _log_rows(self) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._rows))

    def _codes(self, values: Floats) -> NDArray[np.intp]:
        return np.where(np.isnan(values), self.n_levels, values).astype(np.intp)

    def likelihood(self, values: Floats) -> tuple[Floats, None]:
        return self._rows.take(self._codes(values), axis=0), None

    def log_density(self, values: Floats) -> Floats:
        return self._log_rows.take(self._codes(values), axis=0)

    def kept(self, allowed: Allowed) -> NDArray[np.bool_]:
        """Return which levels a condition allows, (L,)."""
        codes = np.arange(self.n_levels)
        if allowed.values is not None:
            return np.isin(codes, allowed.values)
        return (codes >= allowed.low) & (codes <= allowed.high)

    def log_mass(self, allowed: Allowed) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log(self.p[:, self.kept(allowed)].sum(axis=1))

    def draw(
        self, states: NDArray[np.intp], rng: np.random.Generator, allowed: Allowed | None = None
    ) -> Floats:
        p = self.p if allowed is None else self.p * self.kept(allowed)
        return choose(p, states, rng).astype(np.float64)

    def moments(self, allowed: Allowed | None = None) -> tuple[Floats, Floats]:
        """Return those of the codes."""
        p = _shares(self.p if allowed is None else self.p * self.kept(allowed), self.p)
        codes = np.arange(self.n_levels)
        mean = p @ codes
        return mean, np.sqrt((p * (codes - mean[:, None]) ** 2).sum(axis=1))

    def cdf(self, values: Floats) -> Floats:
        below = np.zeros((self.n_levels + 1, self.n_states))
        np.cumsum(self.p.T, axis=0, out=below[1:])
        place = np.clip(np.floor(values) + 1, 0, self.n_levels).astype(np.intp)
        return np.minimum(below[place], 1.0)

    def n_free(self) -> int:
        return self.n_states * (self.n_levels - 1)


# ---- counts --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CountsLeaf(Leaf):
    """Counts 0, 1, 2, ...: a negative binomial for each state.

    p(x | z) = Gamma(x + r) / (Gamma(r) x!) q^x (1 - q)^r, q = m / (m + r): the sum of N logarithmic
    numbers, N a Poisson, by which EM is exact: E[N | x] = r (psi(x + r) - psi(r)).

    Parameters
    ----------
    mean, size : ndarray of shape (k,)
        m_z and r_z, above 0.

    References
    ----------
    Adamidis (1999), An EM algorithm for estimating negative binomial parameters.
    """

    mean: Floats
    size: Floats

    @property
    def n_states(self) -> int:
        return len(self.mean)

    def _log_p(self, x: Floats) -> Floats:
        """Return log p of each number, (n, k)."""
        x, m, r = np.asarray(x, np.float64)[:, None], self.mean, self.size
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # The Gammas' quotient as a Beta: at large r both Gammas cancel.
            log_p = -special.betaln(x + 1, r) - np.log(x + r)
            log_p += special.xlogy(x, m) - x * np.log(m + r) - r * np.log1p(m / r)
            log_p = np.where(np.isfinite(log_p) | (x < 0), log_p, -np.inf)
        return np.where((x >= 0) & (x == np.floor(x)), log_p, -np.inf)

    def log_density(self, values: Floats) -> Floats:
        distinct, place = np.unique(values, return_inverse=True)  # few, among many rows
        found = self._log_p(distinct)
        found[np.isnan(distinct)] = 0.0
        return found[place.reshape(-1)]

    def likelihood(self, values: Floats) -> tuple[Floats, Floats]:
        return _scaled(self.log_density(values))

    def _number(self, x: Floats) -> Floats:
        """Return E[N | x], (n, k)."""
        x, r = x[:, None], self.size
        return r * (special.psi(x + r) - special.psi(r))

    def statistics(self, values: Floats, responsibilities: NDArray[Any]) -> Floats:
        """Return the sums of 1, x and E[N | x] by state, (k, 3)."""
        known = ~np.isnan(values)
        x, weights = values[known], responsibilities[known].astype(np.float64)
        distinct, place = np.unique(x, return_inverse=True)
        number = self._number(distinct)[place.reshape(-1)]
        sums = weights.sum(axis=0), x @ weights, np.einsum("nk,nk->k", number, weights)
        return np.stack(sums, axis=1)

    def updated(self, statistics: Floats, prior: Prior) -> CountsLeaf:
        n, total, number = (statistics + self._added(prior)).T
        ratio = np.maximum(total / np.maximum(number, 1e-300), 1.0)  # mean of a logarithmic number
        rate = _log_series(ratio)  # -log(1 - q)
        size = np.where(rate > 0, number / n / np.maximum(rate, 1e-300), POISSON)
        return CountsLeaf(total / n, np.clip(size, 1e-3, POISSON))

    @staticmethod
    def _added(prior: Prior) -> Floats:
        """Return the sums that are added to each state, (3,): rows of the column's mean.

        By them no state is empty. Their E[N | x] is that of the size 1.
        """
        x = np.maximum(prior.marginal[0], 0.5)
        own = np.array([1.0, x, special.psi(x + 1) - special.psi(1.0)])
        return np.asarray(max(prior.pseudo_count, 1e-3) * own)

    def log_prior(self, prior: Prior) -> float:
        """Return the logarithm of the prior that the added sums stand for, up to a constant."""
        n, total, number = self._added(prior)
        m, r = self.mean, self.size
        found = number * np.log(r) - n * r * np.log1p(m / r) - total * np.log1p(r / m)
        return float(found.sum())

    def _sides(self, x: Any, states: Any = slice(None)) -> tuple[Floats, Floats]:
        """Return p(X <= x) and p(X > x) of a whole number, or one for each of some states."""
        m, r = self.mean[states], self.size[states]
        x, share = np.maximum(x, -1.0), r / (m + r)
        ends = np.isinf(x), x < 0
        with np.errstate(invalid="ignore"):
            below = np.select(ends, [1.0, 0.0], special.betainc(r, np.maximum(x, 0) + 1, share))
            above = np.select(ends, [0.0, 1.0], special.betaincc(r, np.maximum(x, 0) + 1, share))
        return below, above

    def _between(self, low: Any, high: Any, states: Any = slice(None)) -> Floats:
        """Return p(low <= X <= high), from the side on which the numbers are small."""
        (a, over_a), (b, over_b) = self._sides(low - 1, states), self._sides(high, states)
        return np.where(over_a < 0.5, over_a - over_b, b - a)

    def _is_short(self, allowed: Allowed) -> bool:
        """Tell whether the counts under a condition are few, or so far off that few count."""
        if allowed.values is not None or allowed.high - allowed.low < MOST_SUMMED:
            return True
        low = max(np.ceil(allowed.low), 0.0)
        return self.last(low) - low < MOST_SUMMED or not self._between(low, allowed.high).all()

    def log_mass(self, allowed: Allowed) -> Floats:
        if self._is_short(allowed):
            return _log_sum(self._listed(allowed)[1], axis=0)
        with np.errstate(divide="ignore"):
            return np.log(self._between(np.ceil(allowed.low), np.floor(allowed.high)))

    def draw(
        self, states: NDArray[np.intp], rng: np.random.Generator, allowed: Allowed | None = None
    ) -> Floats:
        m, r = self.mean[states], self.size[states]
        if allowed is None:
            return rng.poisson(rng.gamma(r, m / r)).astype(np.float64)
        if self._is_short(allowed):
            x, log_p = self._listed(allowed)
            top = log_p.max(axis=0)
            p = np.exp(log_p - np.where(np.isfinite(top), top, 0.0))
            return x[choose(p.T, states, rng)]
        first = max(np.ceil(allowed.low), 0.0)
        last = min(np.floor(allowed.high), 2 * self.last(first))
        aim = rng.random(len(states)) * self._between(first, last, states)
        low, high = np.full(len(states), first - 1), np.full(len(states), last)
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            enough = self._between(first, middle, states) > aim
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return high

    def modes(self, allowed: Allowed | None = None) -> Floats:
        """Return the most probable count of each state, (k,), under a condition."""
        if allowed is not None and allowed.values is not None:
            return np.asarray(allowed.values)[self._log_p(allowed.values).argmax(axis=0)]
        found = np.floor(np.maximum(self.size - 1, 0) * self.mean / self.size)
        if allowed is None:
            return found
        return np.clip(found, max(np.ceil(allowed.low), 0.0), np.floor(allowed.high))

    def last(self, low: float = 0.0) -> float:
        """Return the count beyond which there is no more than e-40 of what there is from `low` on.

        Beyond the mean, each count is at most (m + (r - 1)+ m / x) / (m + r) times the one before.
        """
        start = np.maximum(low, self.mean + 12 * self.moments()[1])
        ratio = self.mean / (self.mean + self.size)
        ratio = ratio * (1 + np.maximum(self.size - 1, 0.0) / np.maximum(start, 1.0))
        return float(np.ceil((start + 40 / -np.log(np.minimum(ratio, 1 - 1e-9))).max()))

    def _listed(self, allowed: Allowed) -> tuple[Floats, Floats]:
        """Return the counts under a condition that have probability, and log p, (n, k)."""
        if allowed.values is not None:
            x = np.asarray(allowed.values, np.float64)
        else:
            low = max(np.ceil(allowed.low), 0.0)
            high = min(np.floor(allowed.high), self.last(low), low + MOST_LISTED)
            x = np.arange(low, high + 1)
        return x, self._log_p(x)

    def moments(self, allowed: Allowed | None = None) -> tuple[Floats, Floats]:
        if allowed is None:
            return self.mean, np.sqrt(self.mean + self.mean**2 / self.size)
        if self._is_short(allowed):
            x, log_p = self._listed(allowed)
            p = _shares(np.exp(log_p - np.maximum(log_p.max(axis=0), -1e300)).T, None)
            return mixed_moments(p, x, 0 * x)
        # x p(x | r) = m p(x - 1 | r + 1), of the same q.
        low, high = np.ceil(allowed.low), np.floor(allowed.high)
        total = self._between(low, high)
        found = self.mean * self._larger(1)._between(low - 1, high - 1) / total
        twice = self.mean**2 * (1 + 1 / self.size) * self._larger(2)._between(low - 2, high - 2)
        return found, np.sqrt(np.maximum(twice / total + found - found**2, 0.0))

    def _larger(self, by: int) -> CountsLeaf:
        """Return the leaf of sizes larger by a number, of the same q."""
        return CountsLeaf(self.mean * (1 + by / self.size), self.size + by)

    def cdf(self, values: Floats) -> Floats:
        return self._sides(np.floor(values)[:, None])[0]

    def n_free(self) -> int:
        return 2 * self.n_states


MOST_SUMMED = 1 << 12  # counts of an interval that are summed one by one
MOST_LISTED = 1 << 16  # of a tail that float64 does not hold: its first ones are nearly all of it


# ---- continuous ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """A monotone scale: y = (h(x) - centre) / spread, h(x) = x / unit, log(x / unit) or
    asinh(x / unit).

    Parameters
    ----------
    kind : {"identity", "log", "asinh"}
        On a "log" scale, numbers of 0 or less have no density.
    unit : float
        In the column's unit, above 0.
    centre, spread : float
        Of h; spread above 0.
    """

    kind: str = "identity"
    unit: float = 1.0
    centre: float = 0.0
    spread: float = 1.0

    @property
    def tail(self) -> float:
        """The spread tau on the scale of the part that all states have in common.

        On a scale that bends, numbers are exponentials of it: a tail of more than e there would
        govern the mean of a column, though it holds a hundredth of its rows.
        """
        if self.kind == "identity":
            return TAIL_SPREAD
        return float(np.clip(1 / self.spread, 1.0, TAIL_SPREAD))

    def forward(self, x: ArrayLike) -> Floats:
        """Return y; -inf for what lies below a log scale."""
        x = np.asarray(x, np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.kind == "identity":
                return (x / self.unit - self.centre) / self.spread
            size = np.abs(x) / self.unit
            far = np.log(np.abs(x)) - np.log(self.unit)  # of a quotient that float64 does not hold
            if self.kind == "log":
                h = np.where(x > 0, far, -np.inf)
                h = np.where(np.isnan(x), np.nan, h)
            else:
                h = np.copysign(np.where(size > 1e8, far + np.log(2.0), np.arcsinh(size)), x)
            return (h - self.centre) / self.spread

    def inverse(self, y: ArrayLike) -> Floats:
        """Return x."""
        h = np.asarray(y, np.float64) * self.spread + self.centre
        with np.errstate(over="ignore"):
            if self.kind == "identity":
                return h * self.unit
            if self.kind == "log":
                return np.exp(h + np.log(self.unit))
            # Beyond 30, sinh is half an exponential, which may hold where sinh overflows.
            far = np.copysign(np.exp(np.abs(h) + np.log(self.unit) - np.log(2.0)), h)
            return np.where(np.abs(h) > 30, far, np.sinh(np.clip(h, -31, 31)) * self.unit)

    def log_slope(self, x: ArrayLike) -> Floats:
        """Return log dy/dx."""
        x = np.asarray(x, np.float64)
        if self.kind == "identity":
            return np.full(x.shape, -np.log(self.unit) - np.log(self.spread))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.kind == "log":
                slope = np.where(x > 0, -np.log(np.abs(x)), 0.0)
            else:
                slope = -np.log(np.maximum(np.hypot(x, self.unit), self.unit))
                slope = np.where(np.isinf(x), -np.inf, slope)
        return slope - np.log(self.spread)

    def moments(self, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of x where y is normal, in closed form."""
        m, s = self.centre + self.spread * mean, self.spread * spread
        with np.errstate(over="ignore", divide="ignore", under="ignore"):
            if self.kind == "identity":
                return m * self.unit, s * self.unit
            v, unit = s**2, np.log(self.unit)
            grown = v + np.log(-np.expm1(-v))  # log(exp(v) - 1)
            if self.kind == "log":
                return np.exp(m + 0.5 * v + unit), np.exp(m + 0.5 * (v + grown) + unit)
            size = np.abs(m)
            sinh = size + np.log(-np.expm1(-2 * size)) - np.log(2.0)
            cosh = 2 * size + np.log1p(np.exp(-4 * size)) - np.log(2.0)  # of 2 m
            found = np.sign(m) * np.exp(0.5 * v + sinh + unit)
            return found, np.exp(0.5 * (grown + np.logaddexp(v + cosh, 0) - np.log(2.0)) + unit)


@dataclass(frozen=True)
class ContinuousLeaf(Leaf):
    """A choice among atoms and "continuous", and a Gaussian on a scale for the latter.

    Parameters
    ----------
    scale : Scale
    atoms : ndarray of shape (A,)
        In the column's unit, rising.
    choice : ndarray of shape (k, A + 1)
        C[z]: of each atom, and last of all other numbers; each row sums to 1.
    mean, spread : ndarray of shape (k,)
        mu_z and sigma_z on the scale.
    grid : float
        Step of the column's numbers, in its unit; 0 for none.
    """

    scale: Scale
    atoms: Floats
    choice: Floats
    mean: Floats
    spread: Floats
    grid: float = 0.0

    @property
    def n_states(self) -> int:
        return len(self.mean)

    @cached_property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        """Return weight, mean and spread of the Gaussians by state and part, (k, 2)."""
        weights = np.broadcast_to([1 - TAIL, TAIL], (self.n_states, 2))
        means = np.stack([self.mean, np.zeros(self.n_states)], axis=1)
        spreads = np.stack([self.spread, np.full(self.n_states, self.scale.tail)], axis=1)
        return weights, means, spreads

    def _atom_of(self, values: Floats) -> NDArray[np.intp]:
        """Return the number of the atom that each value is; A for those that are none."""
        n_atoms = len(self.atoms)
        if not n_atoms:
            return np.zeros(len(values), np.intp)
        place = np.searchsorted(self.atoms, values)
        same = self.atoms[np.minimum(place, n_atoms - 1)] == values
        return np.where(same, place, n_atoms)

    def _exponents(self, y: Floats) -> tuple[Floats, Floats, Floats]:
        """Return logs of the two parts, (n, k) and (n, 1), and the larger of them in a row, (n, 1).

        Without the factor that all have, 1 / sqrt(2 pi).
        """
        own = (y[:, None] - self.mean) * (1 / self.spread)
        own *= own
        own *= -0.5
        own += np.log((1 - TAIL) / self.spread)
        common = -0.5 * (y[:, None] / self.scale.tail) ** 2 + np.log(TAIL / self.scale.tail)
        return own, common, np.maximum(own.max(axis=1, keepdims=True), common)

    def likelihood(self, values: Floats) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
            y = self.scale.forward(values)
            own, common, top = self._exponents(y)
            top = np.where(np.isfinite(top), top, 0.0)
            own -= top
            np.exp(own, out=own)
            own += np.exp(common - top)
            own *= self.choice[:, -1]
            scale = top[:, 0] + self.scale.log_slope(values) - 0.5 * _LOG_2PI
        odd = ~np.isfinite(y)
        if odd.any():
            gaps = np.isnan(values)
            own[odd & ~gaps] = 0.0
            scale[odd] = 0.0
            own[gaps] = 1.0
        if len(self.atoms):
            place = self._atom_of(values)
            at = np.flatnonzero(place < len(self.atoms))
            own[at], scale[at] = self.choice.T[place[at]], 0.0
        return own, scale

    def log_density_on_scale(self, y: Floats) -> Floats:
        """Return log p(y | z, no atom), (n, k)."""
        own, common, _ = self._exponents(y)
        return np.asarray(np.logaddexp(own, common) - 0.5 * _LOG_2PI)

    def log_density(self, values: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            y = self.scale.forward(values)
            log_p = self.log_density_on_scale(y) + np.log(self.choice[:, -1])
            log_p += self.scale.log_slope(values)[:, None]
            log_p[~np.isfinite(y)] = -np.inf
            log_p[np.isnan(values)] = 0.0
            if len(self.atoms):
                place = self._atom_of(values)
                at = place < len(self.atoms)
                log_p[at] = np.log(self.choice.T[place[at]])
        return log_p

    # ---- conditions ---------------------------------------------------------------------------

    def _ends(self, allowed: Allowed) -> tuple[float, float]:
        """Return the ends of an interval on the scale; an empty one for a set of values."""
        if allowed.values is not None:
            return 0.0, 0.0
        ends = [
            end if np.isinf(end) else float(self.scale.forward(end))
            for end in (allowed.low, allowed.high)
        ]
        return ends[0], ends[1]

    def _log_masses(self, allowed: Allowed) -> tuple[Floats, Floats]:
        """Return log p of the atoms, (k, A), and of both Gaussians, (k, 2), under a condition."""
        if allowed.values is not None:
            kept = np.isin(self.atoms, allowed.values)
        else:
            kept = (self.atoms >= allowed.low) & (self.atoms <= allowed.high)
        low, high = self._ends(allowed)
        weights, means, spreads = self._parts
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            atoms = np.where(kept, np.log(self.choice[:, :-1]), -np.inf)
            within = log_normal_between((low - means) / spreads, (high - means) / spreads)
            return atoms, within + np.log(weights) + np.log(self.choice[:, -1:])

    def log_mass(self, allowed: Allowed) -> Floats:
        return _log_sum(np.concatenate(self._log_masses(allowed), axis=1), axis=1)

    def draw(
        self, states: NDArray[np.intp], rng: np.random.Generator, allowed: Allowed | None = None
    ) -> Floats:
        allowed = allowed or Allowed()
        n_atoms = len(self.atoms)
        parts = np.concatenate(self._log_masses(allowed), axis=1)
        top = parts.max(axis=1, keepdims=True)
        p = np.exp(parts - np.where(np.isfinite(top), top, 0.0))
        place = choose(p, states, rng)
        smooth = place >= n_atoms
        part, of = np.maximum(place - n_atoms, 0), states
        _, means, spreads = self._parts
        mean, spread = means[of, part], spreads[of, part]
        low, high = self._ends(allowed)
        if allowed.low == -np.inf and allowed.high == np.inf:
            y = mean + spread * rng.standard_normal(len(states))
        else:
            a, b = (low - mean) / spread, (high - mean) / spread
            y = mean + spread * normal_between(a, b, rng.random(len(states)))
        values = np.clip(self.scale.inverse(y), allowed.low, allowed.high)
        if n_atoms:
            values = np.where(smooth, values, self.atoms[np.minimum(place, n_atoms - 1)])
        return values

    def moments(self, allowed: Allowed | None = None) -> tuple[Floats, Floats]:
        _, means, spreads = self._parts
        if allowed is None:
            with np.errstate(divide="ignore"):
                parts = np.log(self.choice), np.log([1 - TAIL, TAIL]) + np.log(self.choice[:, -1:])
            logs = np.concatenate([parts[0][:, :-1], parts[1]], axis=1)
            m, s = self.scale.moments(means, spreads)
        else:
            logs = np.concatenate(self._log_masses(allowed), axis=1)
            m, s = self._moments_between(means, spreads, allowed)
        top = logs.max(axis=1, keepdims=True)
        p = _shares(np.exp(logs - np.where(np.isfinite(top), top, 0.0)), None)
        atoms = np.broadcast_to(self.atoms, (self.n_states, len(self.atoms)))
        m, s = np.concatenate([atoms, m], axis=1), np.concatenate([0 * atoms, s], axis=1)
        return mixed_moments(p, m, s)

    def _moments_between(
        self, means: Floats, spreads: Floats, allowed: Allowed
    ) -> tuple[Floats, Floats]:
        """Return those of x where y is normal between two ends, by Gauss and Legendre's rule."""
        low, high = self._ends(allowed)
        if not low < high:
            return np.full(means.shape, self.scale.inverse(low)), np.zeros(means.shape)
        # x and x^2 times a Gaussian are Gaussians moved by up to 2 s sigma^2, on scales that bend.
        bend = 0.0 if self.scale.kind == "identity" else 2 * self.scale.spread
        ends = [
            _where_it_is(means + by * spreads**2, spreads, low, high)
            for by in (-bend * (self.scale.kind == "asinh"), 0.0, bend)
        ]
        a = np.min([below for below, _ in ends], axis=0)
        b = np.max([above for _, above in ends], axis=0)
        nodes, weights = _panels()
        step = (b - a)[..., None] * nodes  # (k, 2, m)
        t = (a - means)[..., None]
        # Less the exponent at a: far from the mean the squares alone would cancel.
        log_w = np.log(weights) - step * (t + 0.5 * step) / spreads[..., None] ** 2
        w = np.exp(log_w - log_w.max(axis=-1, keepdims=True))
        w /= w.sum(axis=-1, keepdims=True)
        x = np.clip(self.scale.inverse(a[..., None] + step), allowed.low, allowed.high)
        return mixed_moments(w, x, np.zeros_like(x))

    def cdf(self, values: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            y = self.scale.forward(values)[:, None]
            smooth = (1 - TAIL) * special.ndtr((y - self.mean) / self.spread)
            smooth += TAIL * special.ndtr(y / self.scale.tail)
        below = np.zeros((self.n_states, len(self.atoms) + 1))
        np.cumsum(self.choice[:, :-1], axis=1, out=below[:, 1:])
        place = np.searchsorted(self.atoms, values, side="right")
        return np.minimum(below.T[place] + self.choice[:, -1] * smooth, 1.0)

    def n_free(self) -> int:
        return self.n_states * (len(self.atoms) + 2)


# ---- helpers -------------------------------------------------------------------------------------


def choose(p: Floats, states: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw one of m for each state, in proportion to its row of p, (k, m); never one of p = 0."""
    below = np.cumsum(p, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        below /= below[:, -1:]
    u = rng.random(len(states))
    k, m = below.shape
    if m <= MOST_COMPARED:
        found = np.zeros(len(states), np.intp)
        for column in below.T[:-1]:
            found += column[states] <= u
        return found
    flat = (below + np.arange(k)[:, None]).ravel()  # one search, the states side by side
    found = np.searchsorted(flat, u + states, side="right") - states * m
    last = m - 1 - np.argmax(p[:, ::-1] > 0, axis=1)
    return np.clip(found, 0, last[states])


def mixed_moments(p: Floats, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of mixtures along the last axis.

    Of numbers that float64 holds, also where it does not hold their squares.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        held = np.where(p > 0, np.maximum(np.abs(mean), spread), 0.0)
        size = held.max(axis=-1, keepdims=True, initial=0.0)
        unit = np.ldexp(1.0, np.where(np.isfinite(size), np.frexp(size)[1], 0))
        m, s = np.where(p > 0, mean, 0.0) / unit, np.where(p > 0, spread, 0.0) / unit
        found = (p * m).sum(axis=-1, keepdims=True)
        variance = (p * (s**2 + (m - found) ** 2)).sum(axis=-1, keepdims=True)
        sd = np.where(np.isfinite(size), np.sqrt(variance), np.inf)
        return (found * unit)[..., 0], (sd * unit)[..., 0]


def log_normal_between(a: Floats, b: Floats) -> Floats:
    """Return log(Phi(b) - Phi(a)), with its digits in both tails and in narrow intervals."""
    flip = a + b > 0
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)  # b is in the lower tail, or about 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        width, middle = b - a, 0.5 * (a + b)
        found = special.log_ndtr(b) + np.log(-np.expm1(_log_ratio(a, b)))
        flat = np.log(width) - 0.5 * (middle**2 + _LOG_2PI)
        flat = flat + np.log1p((middle**2 - 1) * width**2 / 24)
        found = np.where(width * np.maximum(np.abs(middle), 1) < 1e-3, flat, found)
        return np.where(~(a < b) | np.isnan(found), -np.inf, found)


def normal_between(a: Floats, b: Floats, u: Floats) -> Floats:
    """Return standard normal numbers between a and b, those of quantiles u of what lies there."""
    flip = a + b > 0
    a, b, u = np.where(flip, -b, a), np.where(flip, -a, b), np.where(flip, 1 - u, u)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = np.log1p((1 - u) * np.expm1(_log_ratio(a, b)))  # log Phi(y) - log Phi(b)
        y = special.ndtri_exp(special.log_ndtr(b) + below)
        y = np.where(b < -FAR, -np.sqrt(b**2 - 2 * below), y)
        narrow = (b - a) * np.maximum(np.abs(b), 1) < 1e-6
        y = np.where(narrow, a + u * (b - a), y)
    y = np.clip(y, a, b)
    return np.where(flip, -y, y)


FAR = 1e4  # standard deviations from which a tail is its leading term to 1e-8


def _log_ratio(a: Floats, b: Floats) -> Floats:
    """Return log Phi(a) - log Phi(b)."""
    near = special.log_ndtr(a) - special.log_ndtr(b)
    far = -0.5 * (a - b) * (a + b) - np.log(a / b)
    return np.where((b < -FAR) & (a > -np.inf), far, near)


def _where_it_is(mean: Floats, spread: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Return ends between which a Gaussian that is cut off has all but exp(-40) of its mass."""
    above, below = np.maximum(low - mean, 0) / spread, np.maximum(mean - high, 0) / spread
    first, last = np.clip(mean, low, high), np.clip(mean, low, high)
    b = last + spread * 80 / (np.sqrt(above**2 + 80) + above)
    a = first - spread * 80 / (np.sqrt(below**2 + 80) + below)
    return np.maximum(a, low), np.minimum(b, high)


@lru_cache(1)
def _panels() -> tuple[Floats, Floats]:
    """Return nodes in (0, 1) and weights of Gauss and Legendre's rule, 16 in each of 64 panels."""
    x, w = np.polynomial.legendre.leggauss(16)
    nodes = (np.arange(64)[:, None] + 0.5 * (x + 1)) / 64
    return nodes.ravel(), np.tile(w, 64) / 128


def _log_series(mean: Floats) -> Floats:
    """Return L = -log(1 - q) of a logarithmic distribution of this mean, (exp(L) - 1) / L."""
    aim = np.log(mean)
    rate = 2 * aim  # above the solution, from which Newton's steps come down
    for _ in range(60):
        safe = np.maximum(rate, 1e-9)
        value = safe + np.log(-np.expm1(-safe)) - np.log(safe) - aim
        rate = np.maximum(rate - value / (1 / -np.expm1(-safe) - 1 / safe), 0.0)
    return np.where(mean > 1 + 1e-8, rate, 0.0)


def _shares(counts: Floats, else_: Floats | None) -> Floats:
    """Return rows over their sums; for rows of zeros those of `else_`, or zeros."""
    total = counts.sum(axis=1, keepdims=True)
    found = counts / np.where(total > 0, total, 1.0)
    return found if else_ is None else np.where(total > 0, found, else_)


def _scaled(log_p: Floats) -> tuple[Floats, Floats]:
    """Return exp(log_p - scale) and the scale, the largest of each row."""
    top = log_p.max(axis=1)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.asarray(np.exp(log_p - top[:, None])), top


def _log_sum(log_p: Floats, axis: int) -> Floats:
    """Return log(sum(exp(log_p))); -inf for none."""
    if not log_p.shape[axis]:
        return np.full(np.delete(log_p.shape, axis), -np.inf)
    return log_sum_exp(log_p, axis=axis)
