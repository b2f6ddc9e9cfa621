"""Conditional probability tables (CPTs), held as a prefix trie.

    p(x) = prod_i table_i[x_1, ..., x_i],   table_i[x_1, ..., x_{i-1}, :] = p(x_i | x_1 ... x_{i-1})

The i-th dense table has K_1 x ... x K_i cells: for 25 binary pixels, 67 million in all. Almost
all belong to prefixes of probability zero. The trie keeps one row per *reachable* prefix (context):
log p of each level, and the number of the next depth's context that each level leads to.

Maximum likelihood is counting: p(level | prefix) = count(prefix, level) / count(prefix), or with
additive smoothing alpha, (count + alpha) / (count(prefix) + alpha K). Under smoothing a prefix that
was never seen is uniform from there on; without it, impossible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import check_number
from ancestral._numerics.threads import even_parts, in_threads
from ancestral.autoregressive import costs
from ancestral.autoregressive.sequential import Sequential
from ancestral.autoregressive.steps import Walk, level_at
from ancestral.autoregressive.tables import Tables
from ancestral.base import FromStatistics, MaximumLikelihood
from ancestral.errors import ModelError
from ancestral.statistics import Counts

UNSEEN = -1  # child of a level that leads to no stored context
MAX_SUPPORT = 1 << 20
COLUMNS = 8  # of codes, that are read side by side


class TabularAutoregressive(MaximumLikelihood, FromStatistics, Sequential):
    """One conditional probability table per variable, each given all the variables before it.

    Parameters
    ----------
    smoothing : float
        A number that is added to every count: 0 is maximum likelihood, 1 is Laplace's rule. With
        smoothing, all levels have the same probability after a prefix that no row of the fit has.
    categories : list or mapping, optional
        Levels declared before the fit: a list with the levels of each column (None for those to be
        learnt), or a mapping of columns' names to their levels. A level that no row of the fit
        holds gets its probability from `smoothing` alone. The categorical types of dataframes
        (pandas categories, polars' Enum, Arrow's dictionaries) declare levels too.
    missing : {"refuse", "level"}
        What `fit` does with missing values. "refuse": raise an error. "level": treat missing as one
        more level of its column: None, the last of its `categories_`. In columns with this level,
        `log_density` and `impute` then also read a missing value as this level. To leave a value
        unknown, omit it from `given`.

    Attributes
    ----------
    categories_ : list of ndarray
        The levels of each variable: integers, booleans or text, declared or learnt in `fit`. A
        column of zeros and ones (or of booleans) has both levels, even if it is constant.
    tables_ : Tables
        The conditional probability tables: the reachable prefixes, and p(x_i | prefix) for each.
    probabilities_, log_probabilities_ : list of ndarray
        The i-th, of shape (n_i, K_i): p(x_i = level | prefix) of each stored prefix, in
        lexicographic order, and its logarithm in nats.
    children_ : list of ndarray
        Of the same shapes: the number of the longer prefix that each level leads to; below 0 if no
        row has it.
    n_parameters_ : int
        The sum over the stored contexts of (levels - 1).
    n_contexts_, n_branching_contexts_ : int
        The number of reachable prefixes, and of those after which more than one level is possible.
    n_dense_cells_, n_dense_free_ : int
        The number of cells of the dense tables, and how many of them are free (each row sums to
        one).
    entropy_ : float
        Entropy of the model's distribution, in nats. It is the least mean loss that any model can
        have on draws of this model.
    step_entropies_ : ndarray of shape (n_features,)
        The conditional entropies `H(x_i | x_1 ... x_{i-1})`, in nats. Their sum is `entropy_`.
    support_ : ndarray of shape (n_rows, n_features)
        Every row of positive probability, in lexicographic order.

    Notes
    -----
    Memory grows with the number of distinct prefixes, which is at most rows times variables. (Dense
    tables would grow exponentially with the variables.) A row with NaN is scored by the exact
    probability of its known values.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, section 8.1.

    Examples
    --------
    >>> model = TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]])
    >>> model.log_density([[1, 1], [1, 0]])
    array([-0.69314718, -inf])
    >>> model.n_parameters_
    3
    """

    _fields: tuple[str, ...] = ("probabilities_", "children_")

    _forgets = True
    _few: Any  # the possible rows and their probabilities; None if many; False if not looked for

    def __init__(
        self, smoothing: float = 0.0, categories: Any = None, missing: str = "refuse"
    ) -> None:
        self.smoothing = smoothing
        self.categories = categories
        self.missing = missing

    _mend_of_missing = (
        'drop or impute it, count it as a level of its own (missing="level"), or fit LatentTree, '
        "which takes missing values"
    )

    @property
    def _counts_missing(self) -> bool:  # type: ignore[override]
        if self.missing not in ("refuse", "level"):
            raise ModelError(f'missing must be "refuse" or "level"; got {self.missing!r}.')
        return self.missing == "level"

    @classmethod
    def from_tables(cls, tables: Tables | Sequence[ArrayLike]) -> Self:
        """Return the model whose conditionals are the given tables.

        Parameters
        ----------
        tables : Tables, or list of array-like
            Dense: the i-th of shape (K_1, ..., K_i) with `p(x_i | x_1 ... x_{i-1})` along the
            last axis; rows of impossible prefixes may be NaN. Levels are 0, 1, ..., K_i - 1.

        Raises
        ------
        DataError
            When a table has the wrong shape, or a reachable row does not hold probabilities that
            sum to one.

        Returns
        -------
        TabularAutoregressive
            Fitted: its parameters are the tables.

        Examples
        --------
        >>> model = TabularAutoregressive.from_tables([[0.9, 0.1], [[0.9, 0.1], [0.1, 0.9]]])
        >>> np.exp(model.log_density([[0, 0], [0, 1]]))
        array([0.81, 0.09])
        """
        if not isinstance(tables, Tables):
            tables = Tables.from_dense(tables)
        model = cls()
        model.categories_ = [np.arange(k) for k in tables.n_levels]
        model.n_features_in_ = len(tables.n_levels)
        model._set_trie(list(tables.probabilities))
        return model

    def to_tables(self) -> list[NDArray[np.float64]]:
        """Return the dense tables, the i-th of shape (K_1, ..., K_i).

        Returns
        -------
        list of ndarray
            Rows of prefixes that were never seen are NaN, or uniform with smoothing.

        Raises
        ------
        ModelError
            When they would take more than 4 GiB.

        Examples
        --------
        >>> TabularAutoregressive().fit([[0, 0], [0, 1], [1, 1], [1, 1]]).to_tables()[1]
        array([[0.5, 0.5],
               [0. , 1. ]])
        """
        dense = self.tables_.to_dense()
        if not self._unseen_is_possible:
            return dense
        return [np.where(np.isnan(table), 1 / table.shape[-1], table) for table in dense]

    @property
    def tables_(self) -> Tables:
        """The stored conditionals as `Tables`."""
        self._check_fitted()
        contexts = [np.zeros((1, 0), np.intp)]
        for child in self.children_[:-1]:
            parent, level = np.nonzero(child != UNSEEN)
            contexts.append(np.column_stack([contexts[-1][parent], level]))
        return Tables(tuple(contexts), tuple(self.probabilities_))

    # ---- fit: count prefixes ----------------------------------------------------------------

    def _statistics(self, X: NDArray) -> Counts:
        return Counts.of(self._rows_of_levels(X))

    def _solve(self, statistics: Counts) -> None:
        self.categories_ = self._categories_of(statistics.rows)
        self._count_prefixes(self._encode(statistics.rows), statistics.counts)

    def _fit_levels(self, levels: NDArray[np.intp]) -> None:
        self._count_prefixes(levels, np.ones(len(levels), np.int64))

    def _count_prefixes(self, rows: NDArray[np.intp], counts: NDArray[np.int64]) -> None:
        """Turn rows of level codes, each seen `counts` times, into conditionals."""
        alpha = check_number(self.smoothing, "smoothing", minimum=0.0)
        group = np.zeros(len(rows), np.intp)  # each distinct row's context at this depth
        weights, total = counts.astype(np.float64), np.array([float(counts.sum())])
        probabilities, children = list[Any](), list[NDArray[np.intp]]()
        for i, known in enumerate(self.categories_):
            n_groups, k = len(total), len(known)
            if n_groups == len(rows):  # each row goes on alone
                break
            cell = group * k + rows[:, i]
            count = np.bincount(cell, weights=weights, minlength=n_groups * k)
            p = count.reshape(n_groups, k) + alpha
            p /= (total + alpha * k)[:, None]
            probabilities.append(p)
            seen = np.flatnonzero(count)
            child = np.full(n_groups * k, UNSEEN)
            child[seen] = np.arange(len(seen))
            children.append(child.reshape(n_groups, k))
            group, total = child[cell], count[seen]
        for one, other in self._lone(rows, group, total, alpha, len(children)):
            probabilities.append(one)
            children.append(other)
        self._set_trie(probabilities, children)

    def _lone(
        self,
        rows: NDArray[np.intp],
        group: NDArray[np.intp],
        total: NDArray[np.float64],
        alpha: float,
        first: int,
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.intp]]]:
        """Yield the tables of variable `first` and on, each context of which one row has seen."""
        n, sizes = len(total), [len(known) for known in self.categories_]
        level = np.empty_like(rows[:, first:].T, order="C")  # (variables, contexts)
        level[:, group] = rows[:, first:].T
        start, most = first, costs.lone_variables(n)
        while start < len(sizes):  # runs of variables of as many levels at once
            k, end = sizes[start], start + 1
            while end < len(sizes) and sizes[end] == k and end - start < most:
                end += 1
            own = level[start - first : end - first]
            places = own + np.arange(own.size).reshape(own.shape) * k
            p, child = np.empty((end - start, n, k)), np.full((end - start, n, k), UNSEEN)
            p[:] = (alpha / (total + alpha * k))[:, None]
            p.ravel()[places] = (total + alpha) / (total + alpha * k)
            child.ravel()[places] = np.arange(n)
            yield from zip(p, child)
            start = end

    def _set_trie(
        self,
        probabilities: list[NDArray[np.float64]],
        children: list[NDArray[np.intp]] | None = None,
    ) -> None:
        """Store the trie; without `children`, every level of positive probability has one."""
        if children is None:
            children = [_children(p) for p in probabilities]
        self.probabilities_ = probabilities
        self.children_ = children
        self._few = False  # not looked for yet

    @property
    def _trie(self) -> Trie:
        """The conditionals as they are walked; made once for each fit."""
        kept = {} if self._derived is None else self._derived
        held: Trie | None = kept.get("trie")
        if held is None or held.of is not self.children_:
            held = kept["trie"] = Trie.made(self.probabilities_, self.children_)
        return held

    @property
    def log_probabilities_(self) -> list[NDArray[np.float64]]:
        """Logarithms of `probabilities_`, in nats."""
        return [log_p[:-1] for log_p in self._trie.log_p]

    # ---- what it is -------------------------------------------------------------------------

    @property
    def _unseen_is_possible(self) -> bool:
        """Whether a level without a stored context has positive probability."""
        return any(
            bool(p[child == UNSEEN].any()) for p, child in zip(self.probabilities_, self.children_)
        )

    @property
    def n_contexts_(self) -> int:
        """Number of stored prefixes, the empty one included."""
        return sum(len(p) for p in self.probabilities_)

    @property
    def n_branching_contexts_(self) -> int:
        """Number of stored prefixes after which more than one level is possible."""
        return sum(int((np.count_nonzero(p, axis=1) > 1).sum()) for p in self.probabilities_)

    @property
    def _rules_nothing_out(self) -> bool:
        return self.smoothing > 0

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Stored contexts times (levels - 1)."""
        return sum(p.shape[0] * (p.shape[1] - 1) for p in self.probabilities_)

    @property
    def n_dense_cells_(self) -> int:
        """Number of cells of the dense tables."""
        cells, total = 1, 0
        for known in self.categories_:
            cells *= len(known)
            total += cells
        return total

    @property
    def n_dense_free_(self) -> int:
        """Number of free cells of the dense tables: each row of K sums to one."""
        prefixes, total = 1, 0
        for known in self.categories_:
            total += prefixes * (len(known) - 1)
            prefixes *= len(known)
        return total

    @property
    def step_entropies_(self) -> NDArray[np.float64]:
        """Conditional entropies H(x_i | x_<i) in nats, shape (n_features,)."""
        entropies = np.zeros(self.n_features_in_)
        reach, unseen = np.ones(1), 0.0  # probability of each stored context, and of none
        for i, (log_p, child) in enumerate(zip(self.log_probabilities_, self.children_)):
            p = self.probabilities_[i]
            own = -np.where(p > 0, p * np.where(p > 0, log_p, 0.0), 0.0).sum(axis=1)
            entropies[i] = reach @ own + unseen * np.log(p.shape[1])
            joint = reach[:, None] * p
            unseen += joint[child == UNSEEN].sum() if i + 1 < len(entropies) else 0.0
            reach = joint[child != UNSEEN]  # in the order of the next depth's contexts
        return entropies

    @property
    def entropy_(self) -> float:
        """Entropy of the distribution in nats."""
        return float(self.step_entropies_.sum())

    @property
    def support_(self) -> NDArray:
        """Every row of positive probability, in lexicographic order.

        Raises
        ------
        ModelError
            When smoothing makes more than 2**20 rows possible.
        """
        self._check_fitted()
        if self._unseen_is_possible:
            size = float(np.prod([float(len(known)) for known in self.categories_]))
            if size > MAX_SUPPORT:
                raise ModelError(
                    f"smoothing={self.smoothing} makes all {size:.3g} rows possible. "
                    "Fit with smoothing=0 to list the support."
                )
            rows = np.indices([len(known) for known in self.categories_])
            return self._decode(rows.reshape(self.n_features_in_, -1).T)
        return self._decode(self._possible_rows()[0])

    def _possible_rows(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return all possible rows in order, and log p, where all of them are stored."""
        walk = Walk(self)
        while walk.depth < self.n_features_in_:
            walk.branch()
        return walk.rows(), walk.log_p

    def _listed(self) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        if self._few is False:
            few, last = None, self.probabilities_[-1]
            if not self._unseen_is_possible and np.count_nonzero(last) <= costs.MAX_LISTED:
                rows, log_p = self._possible_rows()
                few = rows, np.exp(log_p)
            self._few = few  # at once: other threads look here too
        return self._few

    # ---- the step-state protocol: a state is each row's context number -----------------------

    def start(self, n_samples: int) -> NDArray[np.intp]:
        return np.zeros((n_samples, 2), np.intp)  # (depth, context at that depth)

    def step(
        self, state: NDArray[np.intp], previous: NDArray[np.intp] | None
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        depth = int(state[0, 0]) if len(state) else 0
        context, trie = state[:, 1], self._trie
        if previous is not None:
            context = trie.child[depth][context, previous].astype(np.intp)
            depth += 1
        told = np.empty((len(context), 2), np.intp)
        told[:, 0], told[:, 1] = depth, context
        return told, trie.log_p[depth][context]

    def _told(self, levels: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        context = np.zeros(len(levels), np.intp)
        for level, child in zip(levels.T[:-1], self._trie.child):
            context = child[context, level]
        told = np.empty((len(levels), 2), np.intp)
        told[:, 0], told[:, 1] = levels.shape[1] - 1, context
        return told, self._log_density_levels(levels)

    def _draw_on(self, rows: NDArray[np.intp], first: int, rng: np.random.Generator) -> bool:
        if not costs.table_draws_by_value(len(rows)):
            return False
        noise = rng.random((rows.shape[1] - first, len(rows))).T.tolist()
        for row, own in zip(rows, noise):
            row[first:] = self._trie.drawn(row[:first].tolist(), own)
        return True

    def _log_density_levels(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        if costs.tables_by_value(len(levels)):
            return np.array(list(map(self._trie.log_density_of, levels.tolist())), float)
        parts = even_parts(len(levels), -(-len(levels) // costs.TABLE_ROWS))
        trie, some = self._trie, bool(levels.min(initial=0) < 0)
        scores = in_threads(
            lambda part: trie.log_density(levels[part], some=some), parts, levels.size
        )
        return np.concatenate(scores)

    def take(self, state: NDArray[np.intp], index: NDArray[np.intp]) -> NDArray[np.intp]:
        return state[index]

    def _forgotten(self, state: NDArray[np.intp]) -> NDArray[np.bool_]:
        return state[:, 1] == UNSEEN  # uniform from here on

    def _restore(self, state: dict[str, Any], data_fingerprint: str = "") -> None:
        super()._restore(state, data_fingerprint)
        self._set_trie(self.probabilities_, self.children_)

    def _check_state(self) -> None:
        super()._check_state()
        n = 1
        for p, child, known in zip(
            self.probabilities_, self.children_, self.categories_, strict=True
        ):
            if child.dtype.kind != "i" or p.shape != child.shape or p.shape != (n, len(known)):
                raise ValueError("a table has the wrong shape")
            if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1.0, atol=1e-9)):
                raise ValueError("a row of a table does not sum to one")
            n = int((child != UNSEEN).sum())
            if not np.array_equal(child[child != UNSEEN], np.arange(n)):
                raise ValueError("the trie is broken")


@dataclass(frozen=True)
class Trie:
    """Conditionals as they are walked: one more row at the end is that of what was never seen.

    Its number, UNSEEN, is the last as Python counts: a walk that leaves the stored contexts goes on
    there, level by level uniform, without being told apart.

    Parameters
    ----------
    of : list of ndarray
        The children that it was made of.
    log_p : list of ndarray of shape (n_contexts + 1, n_levels)
    child : list of ndarray of shape (n_contexts + 1, n_levels)
        Of half the width: what is looked up stays longer in the cache.
    """

    of: list[NDArray[np.intp]]
    log_p: list[NDArray[np.float64]]
    child: list[NDArray[np.int32]]

    @classmethod
    def made(cls, probabilities: list[NDArray], children: list[NDArray]) -> Trie:
        """Return conditionals and children with a row for what was never seen."""
        log_p, child = [], []
        for p, to in zip(probabilities, children):
            k = p.shape[1]
            longer = np.empty((len(p) + 1, k))
            with np.errstate(divide="ignore"):
                np.log(p, out=longer[:-1])
            longer[-1] = -np.log(k)
            log_p.append(longer)
            child.append(np.concatenate([to, np.full((1, k), UNSEEN)], dtype=np.int32))
        return cls(children, log_p, child)

    def log_density(self, levels: NDArray[np.intp], *, some: bool) -> NDArray[np.float64]:
        """Return log p of the known beginnings of rows; `some` where there are values beyond."""
        n = len(levels)
        total, term = np.zeros(n), np.empty(n)
        context, cell = np.zeros(n, np.int32), np.empty(n, np.intp)
        tables = zip(self.log_p[: levels.shape[1]], self.child)
        for i, (log_p, child) in enumerate(tables):
            if i % COLUMNS == 0:
                columns = np.ascontiguousarray(levels[:, i : i + COLUMNS].T)
            level = columns[i % COLUMNS]
            np.multiply(context, log_p.shape[1], out=cell)
            cell += level
            log_p.take(cell, out=term, mode="wrap")
            if some:
                term[level < 0] = 0.0
            total += term
            child.take(cell, out=context, mode="wrap")
        return total

    def log_density_of(self, row: list[int]) -> float:
        """Return log p of the known beginning of one row."""
        total, context = 0.0, 0
        for level, (log_p, child) in zip(row, self._items):
            if level < 0:
                break
            total += log_p(context, level)
            context = child(context, level)
        return total

    @cached_property
    def _items(self) -> list[tuple[Any, Any]]:
        """How one value of each table is looked up."""
        return [(log_p.item, child.item) for log_p, child in zip(self.log_p, self.child)]

    def drawn(self, row: list[int], noise: list[float]) -> list[int]:
        """Return what follows the beginning of one row, drawn by a uniform number for each level.

        As `sampling` draws levels of many rows: the first whose cumulative probability is above.
        """
        context, first = 0, len(row)
        for level, child in zip(row, self.child):
            context = child.item(context, level)
        levels = []
        for u, log_p, child in zip(noise, self.log_p[first:], self.child[first:]):
            level = level_at([math.exp(value) for value in log_p[context].tolist()], u)
            levels.append(level)
            context = child.item(context, level)
        return levels


def _children(p: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the levels of positive probability in order: the next depth's contexts."""
    possible = p.ravel() > 0
    return np.where(possible, np.cumsum(possible) - 1, UNSEEN).reshape(p.shape).astype(np.intp)
