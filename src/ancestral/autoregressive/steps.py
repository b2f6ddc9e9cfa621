"""The protocol by which autoregressive models are stepped, and the one walk over prefixes.

    p(x) = p(x_1) p(x_2 | x_1) ... p(x_d | x_1 ... x_{d-1})

A model writes down one conditional at a time:

    state = model.start(n)                      # n rows, nothing seen yet
    state, log_p = model.step(state, None)      # log p(x_1 = level), shape (n, K_1)
    state, log_p = model.step(state, x_1)       # log p(x_2 = level | x_1), shape (n, K_2)
    state = model.take(state, index)            # repeat, drop and reorder the n rows

A `Walk` holds prefixes of one length (beginnings x_1 .. x_i of rows) with log p of each, and grows
them variable by variable. Sampling, search, conditioning, particles and coding all walk so; they
differ in which prefixes they let grow.

Where a state says that it has forgotten what it was told (a prefix that tables never saw: all is
uniform from there on), prefixes of one row that have forgotten are alike from here on. *Joined*,
they are one prefix whose probability is their sum, so that a walk over tables holds no more
prefixes than there are stored contexts, and one. This is the forward pass of a hidden Markov
model; drawing from it goes back through the joints and picks one of those that were joined.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_generator

Levels = NDArray[np.intp]
Floats = NDArray[np.float64]


class Stepped(ABC):
    """A model that gives its conditionals step by step."""

    categories_: list[NDArray]
    n_features_in_: int
    # Whether `_forgotten` bounds the number of prefixes, however many are possible.
    _forgets = False

    @abstractmethod
    def start(self, n_samples: int) -> Any:
        """Return the state of `n_samples` empty rows, before their first value.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        state
            The input of `step` and `take`: an array for tables, an object of their own for other
            models.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> state, log_p = model.step(model.start(1), None)
        >>> np.exp(log_p)  # p(x_1 = 0), p(x_1 = 1)
        array([[0.5, 0.5]])
        """

    @abstractmethod
    def step(self, state: Any, previous: Levels | None) -> tuple[Any, Floats]:
        """Add the latest value to each row, and return the conditional of the next one.

        Parameters
        ----------
        state : as returned by `start`, `step` or `take`
        previous : ndarray of shape (n,) of level codes, or None at the first step

        Returns
        -------
        state
        log_probabilities : ndarray of shape (n, n_levels)
            Nats; float64; each row's exponentials sum to one.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> state, _ = model.step(model.start(2), None)
        >>> state, log_p = model.step(state, np.array([0, 1]))
        >>> np.exp(log_p)  # p(x_2 | x_1 = 0), p(x_2 | x_1 = 1)
        array([[0.5, 0.5],
               [0. , 1. ]])
        """

    @abstractmethod
    def take(self, state: Any, index: Levels) -> Any:
        """Return the state of the rows at `index`, which may repeat.

        Parameters
        ----------
        state : as returned by `start`, `step` or `take`
        index : ndarray of shape (m,) of int

        Returns
        -------
        state
            The state of m rows.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
        >>> state, _ = model.step(model.start(1), None)
        >>> _, log_p = model.step(model.take(state, np.array([0, 0])), np.array([0, 1]))
        >>> np.exp(log_p)  # one prefix, continued in two ways
        array([[0.5, 0.5],
               [0. , 1. ]])
        """

    def _forgotten(self, state: Any) -> NDArray[np.bool_] | None:
        """Return which rows are alike in all that may still come; None where none ever are."""
        return None

    @property
    def _rules_nothing_out(self) -> bool:
        """Whether every row is known to be possible, before any is looked at."""
        return False

    def _listed(self) -> tuple[Levels, Floats] | None:
        """Return all possible rows in lexicographic order and their probabilities, where few."""
        return None

    def _told(self, levels: Levels) -> tuple[Any, Floats]:
        """Return the state of rows that were told all values but the last, and log p of them all.

        `levels`, of shape (n, k) with k above 0, are the known beginnings of rows.
        """
        state, log_p = self.step(self.start(len(levels)), None)
        total = known_terms(log_p, levels[:, 0])
        for previous, level in zip(levels.T[:-1], levels.T[1:]):
            state, log_p = self.step(state, previous)
            total += known_terms(log_p, level)
        return state, total

    def _draw_on(self, rows: Levels, first: int, rng: np.random.Generator) -> bool:
        """Draw rows' levels from variable `first` on, given those before; False leaves it to steps.

        Where steps would draw the same: one uniform number for each row, variable by variable.
        """
        return False

    def _log_density_levels(self, levels: Levels) -> Floats:
        """Return log p of rows of which a beginning is known: what follows it sums to one.

        An override leaves out the terms of negative levels, as this does.
        """
        walk, total = Walk(self, levels), np.zeros(len(levels))
        for level in known_columns(levels):
            total += known_terms(walk.conditionals(), level)
            walk.grow(level, None)
        return total


def level_at(p: list[float], u: float) -> int:
    """Return the level at which cumulative probabilities pass a share u below 1 of their sum."""
    at, level, passed = u * sum(p), 0, p[0]
    while passed <= at and level + 1 < len(p):
        level += 1
        passed += p[level]
    while not p[level]:  # rounding has gone past the last that is possible
        level -= 1
    return level


def known_columns(levels: Levels) -> Levels:
    """Return the columns of level codes up to the last that any row knows, shape (k, n)."""
    known = np.flatnonzero((levels >= 0).any(axis=0))
    return levels[:, : known[-1] + 1 if len(known) else 0].T


def known_terms(log_p: Floats, level: Levels) -> Floats:
    """Return the log probability of each row's level, 0 where it is unknown."""
    values: Floats = log_p[np.arange(len(level)), level]
    values[level < 0] = 0.0
    return values


@dataclass(frozen=True)
class _Grown:
    """Each prefix came from `parent` (None: all in their order) by one more level."""

    parent: Levels | None
    level: Levels
    owner: Levels


@dataclass(frozen=True)
class _Kept:
    """Some prefixes were dropped, or named again."""

    kept: Levels


@dataclass(frozen=True)
class _Joined:
    """Some prefixes stand for several: which were kept, and what the others weighed beside them."""

    kept: Levels  # the number, before, of each prefix after
    group: Levels  # of each prefix after; -1 where it stands for itself
    members: Levels  # numbers, before, group by group
    of: Levels  # the group of each member
    shares: Floats  # of each member in its group

    def before(self, index: Levels, rng: np.random.Generator) -> Levels:
        """Return which prefixes before stand behind those at `index`: drawn where several."""
        found, group = self.kept[index], self.group[index]
        several = np.flatnonzero(group >= 0)
        own = group[several]
        at = np.minimum(own + rng.random(len(several)), np.nextafter(own + 1.0, 0.0))
        ends = ends_of_shares(self.shares, self.of)
        found[several] = self.members[np.searchsorted(ends, at, side="right")]
        return found


class Walk:
    """Prefixes of one length, grown variable by variable.

    Parameters
    ----------
    model : Stepped
        Fitted.
    known : ndarray of shape (n, d), optional
        Rows of level codes, negative where unknown: the walk begins with one empty prefix for
        each, and `branch` keeps to them. Without, with one prefix of which nothing is known.

    Attributes
    ----------
    depth : int
        Length of the prefixes.
    owner : ndarray of shape (n_prefixes,)
        Of which row of `known` each is a beginning; never falling.
    log_p : ndarray of shape (n_prefixes,)
        Log probability of each in nats, or whatever weight the caller gives it.
    """

    def __init__(self, model: Stepped, known: Levels | None = None) -> None:
        if known is None:
            known = np.full((1, model.n_features_in_), -1)
        self.model, self.known, self.depth = model, known, 0
        self.owner, self.log_p = np.arange(len(known)), np.zeros(len(known))
        self.state = model.start(len(known))
        self._previous: Levels | None = None
        self._trail: list[_Grown | _Kept | _Joined] = []

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def has_joined(self) -> bool:
        """Whether a prefix may stand for several."""
        return any(isinstance(step, _Joined) for step in self._trail)

    @property
    def level(self) -> Levels:
        """The latest level of each prefix."""
        if self._previous is None:
            raise IndexError("the prefixes are empty")
        return self._previous

    def conditionals(self, *, joined: bool = False) -> Floats:
        """Return log p of the next variable's levels given each prefix; once for each length.

        `joined` makes one prefix of a row's prefixes that have forgotten what they were told.
        """
        self.state, log_p = self.model.step(self.state, self._previous)
        forgotten = self.model._forgotten(self.state) if joined else None
        if forgotten is not None and (kept := self._join(forgotten)) is not None:
            self.state = self.model.take(self.state, kept)
            self.owner, log_p = self.owner[kept], log_p[kept]
        return log_p

    def joint(self, log_p: Floats) -> Floats:
        """Return log p of each prefix and level; -inf where the row has another level."""
        joint = self.log_p[:, None] + log_p  # (prefixes, K)
        wanted = self.known[self.owner, self.depth]
        fixed = np.flatnonzero(wanted >= 0)
        values = joint[fixed, wanted[fixed]]
        joint[fixed] = -np.inf
        joint[fixed, wanted[fixed]] = values
        return joint

    def follow(self) -> None:
        """Grow a new walk as far as every row is known; drop those of probability 0."""
        unknown = np.flatnonzero((self.known < 0).any(axis=0))
        end = int(unknown[0]) if len(unknown) else self.known.shape[1]
        if not end or not len(self):
            return
        beginnings = self.known[:, :end]
        self.state, self.log_p = self.model._told(beginnings)
        self._previous = beginnings[:, -1]
        self._trail += [_Grown(None, level, self.owner) for level in beginnings.T]
        self.depth = end
        if not (self.log_p > -np.inf).all():
            self.keep(np.flatnonzero(self.log_p > -np.inf))

    def branch(self, *, joined: bool = False) -> Levels | None:
        """Grow each prefix to every possible level, or to the row's own; return their parents."""
        log_p = self.conditionals(joined=joined)
        wanted = self.known[self.owner, self.depth]
        if (wanted >= 0).all():
            values = self.log_p + log_p[np.arange(len(self)), wanted]
            if (values > -np.inf).all():
                self.grow(wanted, values)
                return None
        joint = self.joint(log_p)
        parent, level = np.nonzero(joint > -np.inf)
        self.grow(level, joint[parent, level], parent)
        return parent

    def grow(self, level: Levels, log_p: Floats | None, parent: Levels | None = None) -> None:
        """Make prefixes one longer: those at `parent`, or each; None leaves log p to the caller."""
        if parent is not None:
            self.state, self.owner = self.model.take(self.state, parent), self.owner[parent]
        if log_p is not None:
            self.log_p = log_p
        self._previous = level
        self._trail.append(_Grown(parent, level, self.owner))
        self.depth += 1

    def keep(self, kept: Levels) -> None:
        """Drop all prefixes but those at `kept`."""
        self.state, self.owner = self.model.take(self.state, kept), self.owner[kept]
        self.log_p = self.log_p[kept]
        if self._previous is not None:
            self._previous = self._previous[kept]
        self._trail.append(_Kept(kept))

    def part(self, kept: Levels | slice) -> Walk:
        """Return a walk that goes on with some of the prefixes, and knows not how they came."""
        other = copy(self)
        other._trail = []
        other.keep(np.arange(len(self))[kept])
        return other

    def rows(self, index: Levels | None = None, rng: np.random.Generator | None = None) -> Levels:
        """Return the prefixes at `index`, or all, as level codes of shape (n, depth).

        Where prefixes were joined, one of those behind each is drawn.
        """
        index = np.arange(len(self)) if index is None else index
        rows = np.empty((len(index), self.depth), np.intp)
        column = self.depth
        for step in reversed(self._trail):
            if isinstance(step, _Joined):
                index = step.before(index, as_generator(rng))
            elif isinstance(step, _Kept):
                index = step.kept[index]
            else:
                column -= 1
                rows[:, column] = step.level[index]
                index = index if step.parent is None else step.parent[index]
        return rows

    def traced_part(self, kept: slice) -> Walk:
        """Return a walk that goes on with some of the prefixes, and knows how they came."""
        other = copy(self)
        other._trail = self._trail.copy()
        other.keep(np.arange(len(self))[kept])
        return other

    def sums_by_level(self, weights: Floats, shapes: list[tuple[int, int]]) -> list[Floats]:
        """Return the summed weights of the prefixes that have each level, of each known row.

        Parameters
        ----------
        weights : ndarray of shape (n_prefixes,)
        shapes : list of (n_rows, n_levels), one for each variable so far

        Returns
        -------
        list of ndarray of those shapes
        """
        sums: list[Floats] = [np.zeros(shape) for shape in shapes]
        column = self.depth
        # Going back, what has no descendants has no weight; where it would stand last, no place.
        for step in reversed(self._trail):
            size = len(weights)
            if isinstance(step, _Joined):
                kept, group = step.kept[:size], step.group[:size]
                several = group >= 0
                of_group = np.zeros(step.of[-1] + 1)
                of_group[group[several]] = weights[several]
                before = np.zeros(max(int(kept.max()), int(step.members.max())) + 1)
                before[kept[~several]] = weights[~several]
                before[step.members] = of_group[step.of] * step.shares
                weights = before
            elif isinstance(step, _Kept):
                weights = _summed(step.kept[:size], weights)
            else:
                column -= 1
                n, k = shapes[column]
                cell = step.owner[:size] * k + step.level[:size]
                sums[column] = _summed(cell, weights, n * k).reshape(n, k)
                if step.parent is not None:
                    weights = _summed(step.parent[:size], weights)
        return sums

    def _join(self, forgotten: NDArray[np.bool_]) -> Levels | None:
        """Sum up what was forgotten, row by row; return which prefixes stand on, if fewer."""
        members = np.flatnonzero(forgotten)
        owners = self.owner[members]
        first = np.flatnonzero(np.diff(owners, prepend=-1))  # the first of each row
        if len(first) == len(members):
            return None
        group = np.cumsum(np.bincount(first, minlength=len(members))) - 1  # (members,)
        top = np.maximum.reduceat(self.log_p[members], first)
        weights = np.exp(self.log_p[members] - top[group])
        sums = np.add.reduceat(weights, first)
        stands = ~forgotten
        stands[members[first]] = True
        kept = np.flatnonzero(stands)
        groups = np.full(len(forgotten), -1)
        groups[members[first]] = np.arange(len(first))
        self.log_p[members[first]] = top + np.log(sums)
        self.log_p = self.log_p[kept]
        shares = weights / sums[group]
        self._trail.append(_Joined(kept, groups[kept], members, group, shares))
        return kept


def _summed(place: Levels, weights: Floats, size: int = 0) -> Floats:
    """Return the sum of the weights at each place."""
    return np.asarray(np.bincount(place, weights, size), np.float64)


def ends_of_shares(shares: Floats, group: Levels) -> Floats:
    """Return sums of shares that add up to one in each group, g to g + 1 in the g-th, exactly."""
    sums = np.cumsum(shares)
    last = np.flatnonzero(np.diff(group, append=-1))
    start = np.concatenate([[0.0], sums[last[:-1]]])
    ends = np.minimum(group + (sums - start[group]), group + 1)
    ends[last] = group[last] + 1.0
    return ends
