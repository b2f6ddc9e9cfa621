"""An exact mixture over orders of the variables.

    p(x) = (1/m) sum_j p_j(x),   p_j = prod_i p_j(x_{o_j(i)} | x_{o_j(1)} .. x_{o_j(i-1)})

Each member is the same kind of model, fitted to the columns in its own random order o_j. A mean of
densities is a density: its logarithm is a log-mean-exp of the members'. Conditionals that one
order makes hard another makes easy, so the mixture scores better than its mean member, and by
Jensen's inequality never worse.

The mixture has no conditionals of its own to step by (they would need every other order summed
out): it draws a member and steps that.
Uria, Murray & Larochelle (2014), A deep and tractable density estimator, for ensembles of orders.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from ancestral._checks.declared import Declared, declared
from ancestral._checks.numbers import as_generator, as_numbers, check_integer, log_sum_exp
from ancestral.autoregressive import conditioning, marginals, search, smc
from ancestral.autoregressive.gathering import codes_of
from ancestral.autoregressive.queries import DiscreteConditions
from ancestral.autoregressive.sequential import Sequential
from ancestral.autoregressive.tabular import TabularAutoregressive
from ancestral.base import FromParts, fitting
from ancestral.errors import ModelError
from ancestral.statistics import Counts
from ancestral.training.parts import Part, Parts

FEW = 1 << 12  # completions of a row that are all scored
MOST_LISTED = 1 << 12  # by each member, in search of the most probable


def _counts_of(part: Part) -> Counts:
    """Return the distinct rows of a part, and how often each was seen."""
    return Counts.of(part.model._rows_of_levels(part.data[0]))


class OrderMixture(FromParts, DiscreteConditions):
    """A mixture of autoregressive models, each with the variables in another random order.

    Parameters
    ----------
    model : an autoregressive model, not fitted
        The model that is fitted in each order. Each member is a clone of it, with its own seed if
        it has a `random_state`.
    n_orders : int
        Number of orders, and so of members. All members have the same weight.
    orders : array-like of shape (n_orders, n_features), optional
        The orders, each a permutation of the column numbers, instead of `n_orders` random ones.
    categories : list or mapping, optional
        Levels declared before the fit, in the order of the columns of X; see
        `TabularAutoregressive`. None takes those of `model`.
    random_state : None, int, RandomState or Generator
        Draws the orders and the seed of each member.

    Attributes
    ----------
    orders_ : ndarray of shape (n_orders, n_features)
        The i-th variable of member j is column `orders_[j, i]`. The first order is also random.
    members_ : list of fitted models
        Each is fitted to the columns in its own order.
    categories_ : list of ndarray
        The levels of each column.

    Notes
    -----
    The fit and each score cost `n_orders` times those of one model. From parts
    (`ancestral.streaming`), tables are fitted to one count of all rows. For other members the rows
    are gathered as integer codes, up to 256 MiB. A row with NaN is scored exactly, by the exact
    marginal of each member. Draws with `given`, completions and marginals weight each member by the
    probability that it gives the known values. Members that are tables can always do this. Other
    members need a sum over completions; if a member's order leaves too many of them, the call is
    refused before any work is done. There is no `compress`, because a mixture has no conditionals
    to code with; its members have one.

    References
    ----------
    Uria, Murray & Larochelle (2014), ICML.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> X = [[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    >>> model = OrderMixture(TabularAutoregressive(smoothing=1.0), n_orders=3, random_state=0)
    >>> every = np.indices((2, 2, 2)).reshape(3, 8).T
    >>> bool(np.isclose(np.exp(model.fit(X).log_density(every)).sum(), 1.0))
    True
    """

    _fields: tuple[str, ...] = ("orders_", "members_")

    def __init__(
        self,
        model: Any,
        n_orders: int = 4,
        *,
        orders: ArrayLike | None = None,
        categories: Any = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.n_orders = n_orders
        self.orders = orders
        self.categories = categories
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, **validation: Any) -> Self:
        """Fit one member per order.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Integers, booleans or text.
        y : ignored
        X_val : array-like of shape (n_validation, n_features), optional
            Validation rows, for members whose `fit` takes them.

        Returns
        -------
        self

        Raises
        ------
        ModelError
            When the model is not autoregressive, or when X_val is given and its `fit` takes no
            validation rows.

        Examples
        --------
        >>> from ancestral import TabularAutoregressive
        >>> X = [[0, 0], [0, 1], [1, 1], [1, 1]]
        >>> model = OrderMixture(TabularAutoregressive(), n_orders=2, random_state=0).fit(X)
        >>> np.exp(model.log_density(X)).round(3)
        array([0.25, 0.25, 0.5 , 0.5 ])
        """
        given = validation.pop("X_val", None)
        if validation:
            raise ModelError(f"fit takes X and X_val; got {', '.join(sorted(validation))} as well.")
        return self._fit_anew(X, X_val=given)

    def _wants(self) -> tuple[str, ...]:
        return tuple(getattr(self.model, "_wants", tuple)())

    def _fit_levels(self, levels: NDArray[np.intp], *, X_val: ArrayLike | None = None) -> None:
        rng = as_generator(self.random_state)
        rows, more = self._decode(levels), self._checked_validation(X_val)
        self.orders_ = self._chosen_orders(levels.shape[1], rng)
        self.members_ = []
        for order in self.orders_:
            member = self._member(order, rng)
            val = {} if more is None else {"X_val": more[:, order]}
            self.members_.append(member.fit(rows[:, order], **val))

    def _fit_parts(self, parts: Parts[Part], **options: Any) -> None:
        """Fit tables to one count of all rows; other members to rows that are gathered."""
        if not isinstance(self.model, TabularAutoregressive):
            levels = codes_of(self, parts, **options)
            with parts.spread():
                self._fit_levels(levels)
            return
        total = parts.total(_counts_of)
        self.categories_ = self._categories_of(total.rows)
        rng, rows = as_generator(self.random_state), self._decode(self._encode(total.rows))
        self.orders_ = self._chosen_orders(rows.shape[1], rng)
        self.members_ = []
        for order in self.orders_:
            member = self._member(order, rng)
            with fitting(member) as new:
                new._check_rows(rows[:, order], reset=True)
                new._solve(Counts._merged(rows[:, order], total.counts))
            self.members_.append(member)

    @property
    def _counts_missing(self) -> bool:  # type: ignore[override]
        return bool(getattr(self.model, "_counts_missing", False))

    def _declared_levels(self, width: int) -> list[Declared | None]:
        own = self.categories
        return declared(
            getattr(self.model, "categories", None) if own is None else own,
            self._frame_in,
            getattr(self, "feature_names_in_", None),
            width,
            missing=self._counts_missing,
        )

    def _chosen_orders(self, d: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return the given orders, or random ones, shape (m, d)."""
        if self.orders is None:
            n_orders = check_integer(self.n_orders, "n_orders", minimum=1)
            return np.stack([rng.permutation(d) for _ in range(n_orders)])
        orders = as_numbers(self.orders, name="orders", ndim=2)
        if orders.shape[1] != d or not len(orders):
            raise ModelError(
                f"orders must have one row or more of {d} column numbers; got shape {orders.shape}."
            )
        for j, order in enumerate(orders):
            if not np.array_equal(np.sort(order), np.arange(d)):
                values, times = np.unique(order, return_counts=True)
                wrong = [v for v in values if v not in range(d)] or list(values[times > 1])
                raise ModelError(
                    f"orders[{j}] is no permutation of 0 to {d - 1}: it holds {wrong[0]:g} "
                    f"{'twice' if wrong[0] in range(d) else ''}".rstrip()
                    + ". Name every column once."
                )
        return orders.astype(np.intp)

    def _checked_validation(self, X_val: ArrayLike | None) -> NDArray | None:
        """Return the validation rows, if any, as values of known levels."""
        if not isinstance(self.model, Sequential):
            raise ModelError(
                f"model={self.model!r} has no order to vary: pass an autoregressive model, such "
                "as ChainAutoregressive()."
            )
        if X_val is None:
            return None
        if "X_val" not in inspect.signature(self.model.fit).parameters:
            raise ModelError(
                f"{type(self.model).__name__} takes no validation rows. Leave out X_val."
            )
        return self._decode(self._encode(self._check_rows(X_val, reset=False), name="X_val"))

    def _member(self, order: NDArray, rng: np.random.Generator) -> Any:
        """Return a clone of the model, for the columns in one order."""
        member = clone(self.model)
        if "categories" in member.get_params(deep=False):
            known = any(levels is not None for levels in self._declared_levels(len(order)))
            member.set_params(categories=[self.categories_[j] for j in order] if known else None)
        if "random_state" in member.get_params(deep=False):
            member.set_params(random_state=int(rng.integers(0, 2**31 - 1)))
        return member

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        levels = self._encode(X, missing=True)
        self._refuse_many(levels)
        mean: NDArray[np.float64] = log_sum_exp(self._evidence(levels), axis=0)
        return mean

    def _evidence(
        self,
        levels: NDArray[np.intp],
        rng: np.random.Generator | None = None,
        n_particles: int | None = None,
    ) -> NDArray[np.float64]:
        """Return log p(member, known values) of each member and row, shape (m, n)."""
        scores = []
        for member, order in zip(self.members_, self.orders_):
            own = levels[:, order]
            if n_particles is None or rng is None:
                scores.append(conditioning.log_known(member, own))
            else:
                scores.append(smc.log_evidence(member, own, n_particles, rng)[0])
        return np.stack(scores) - np.log(len(scores))

    def _weights_given(
        self,
        levels: NDArray[np.intp],
        rng: np.random.Generator,
        n_particles: int | None,
    ) -> NDArray[np.float64]:
        """Return p(member | known values) of each member and row, shape (m, n)."""
        if n_particles is None:
            self._refuse_many(levels)
        joint = self._evidence(levels, rng, n_particles)
        total = log_sum_exp(joint, axis=0)
        if (lost := np.flatnonzero(np.isneginf(total))).size:
            raise marginals.impossible(int(lost[0]))
        return np.exp(joint - total)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray:
        """Draw how many rows each member gives, draw them, and shuffle."""
        counts = rng.multinomial(n_samples, np.full(len(self.members_), 1 / len(self.members_)))
        rows = []
        for member, order, n in zip(self.members_, self.orders_, counts):
            rows.append(member._draw(int(n), rng)[:, np.argsort(order)])
        return np.concatenate(rows)[rng.permutation(n_samples)]

    # ---- given known values: each member weighed by its evidence --------------------------------

    def _drawn_given(
        self,
        levels: NDArray[np.intp],
        n_samples: int,
        rng: np.random.Generator,
        n_particles: int | None,
    ) -> NDArray[np.intp]:
        try:
            weights = self._weights_given(levels[None], rng, n_particles)[:, 0]
        except ModelError as error:
            if "probability 0" not in str(error):
                raise
            raise ModelError(conditioning.NOTHING_TO_DRAW) from None
        rows = [np.zeros((0, len(levels)), np.intp)]
        counts = rng.multinomial(n_samples, weights / weights.sum())
        for member, order, n in zip(self.members_, self.orders_, counts):
            if n:
                drawn = member._drawn_given(levels[order], int(n), rng, n_particles)
                rows.append(drawn[:, np.argsort(order)])
        return np.concatenate(rows)[rng.permutation(n_samples)]

    def _completed(
        self,
        levels: NDArray[np.intp],
        n_draws: int,
        rng: np.random.Generator,
        n_particles: int | None,
    ) -> NDArray[np.intp]:
        completed = np.repeat(levels[None], n_draws, axis=0)
        gaps = np.flatnonzero((levels < 0).any(axis=1))
        ends = np.cumsum(self._weights_given(levels, rng, n_particles)[:, gaps], axis=0)[:-1]
        chosen = (rng.random((n_draws, 1, len(gaps))) >= ends).sum(axis=1)  # (n_draws, n_gaps)
        for j, (member, order) in enumerate(zip(self.members_, self.orders_)):
            counts = (chosen == j).sum(axis=0)
            if not counts.any():
                continue
            drawn = member._completed(levels[gaps][:, order], int(counts.max()), rng, n_particles)
            back = np.argsort(order)
            for i in np.flatnonzero(counts):
                completed[chosen[:, i] == j, gaps[i]] = drawn[: counts[i], i][:, back]
        return completed

    def _level_marginals(
        self, levels: NDArray[np.intp], rng: np.random.Generator, n_particles: int | None
    ) -> list[NDArray[np.float64]]:
        if n_particles is None:
            for member, order in zip(self.members_, self.orders_):
                marginals.refuse_many(member, levels[:, order])
        weights = self._weights_given(levels, rng, n_particles)
        found = [np.zeros((len(levels), len(known))) for known in self.categories_]
        for w, member, order in zip(weights, self.members_, self.orders_):
            some = np.flatnonzero(w)  # a member that rules a row out has no say in it
            own = member._level_marginals(levels[some][:, order], rng, n_particles)
            for j, p in zip(order, own):
                found[j][some] += w[some, None] * p
        exact = marginals.degenerate(self, levels)
        for p, one, level in zip(found, exact, levels.T):
            p[level >= 0] = one[level >= 0]
        return found

    def _filled(
        self, levels: NDArray[np.intp], rng: np.random.Generator, n_particles: int | None
    ) -> NDArray[np.intp]:
        filled = levels.copy()
        for i, row in enumerate(levels):
            found = self._best(row) if n_particles is None else None
            if n_particles is not None:
                lists = [
                    smc.best_completion(member, row[order], n_particles, rng)[:, np.argsort(order)]
                    for member, order in zip(self.members_, self.orders_)
                ]
                found = self._highest(np.concatenate(lists))[0]
            if found is not None:
                filled[i] = found
        return filled

    def _best(self, row: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Return the most probable completion of a row, proven so; None where none is possible.

        No completion that a member does not list is more probable under it than the last it lists,
        so none that no member lists is more probable than the mean of these (Fagin's threshold).
        """
        k, most = 16, conditioning.MAX_COMPLETIONS
        unknown = np.flatnonzero(row < 0)
        n_ways = [len(self.categories_[j]) for j in unknown]
        if math.prod(n_ways) <= FEW:
            rows = np.repeat(row[None], math.prod(n_ways), axis=0)
            rows[:, unknown] = np.indices(n_ways).reshape(len(unknown), -1).T
            return self._highest(rows)[0]
        while k <= MOST_LISTED:
            lists, last = [], []
            for member, order in zip(self.members_, self.orders_):
                rows, log_p, _ = search.most_probable_levels(member, k, row[order])
                lists.append(rows[:, np.argsort(order)])
                last.append(log_p[-1] if len(log_p) == k else -np.inf)
            best, value = self._highest(np.concatenate(lists))
            if value >= log_sum_exp(np.array(last), axis=0) - np.log(len(last)) - 1e-12:
                return best
            k *= 16
        raise ModelError(
            f"{len(unknown)} unknown variables leave more completions, of up to {most}, than can "
            "be compared: none is proven to be the most probable. Give more known values, fit "
            'LatentTree, or pass method="smc" for the best of particles.'
        )

    def _highest(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp] | None, float]:
        """Return the most probable of whole rows, the first of equals, and its log probability."""
        if not len(rows):
            return None, -np.inf
        rows = np.unique(rows, axis=0)
        values = log_sum_exp(self._evidence(rows), axis=0)
        k = int(np.argmax(np.round(values, 12)))
        return (None if np.isneginf(values[k]) else rows[k]), float(values[k])

    def _refuse_many(self, levels: NDArray[np.intp]) -> None:
        """Raise ModelError, before any work, where a member can't sum over what is unknown."""
        for j, (member, order) in enumerate(zip(self.members_, self.orders_)):
            mend = (
                f"That is in the order of members_[{j}]: give more known values, or use the "
                "estimate of each member, members_[j].log_evidence(X[:, orders_[j]])."
            )
            conditioning.refuse_many(member, levels[:, order], mend)

    def _check_state(self) -> None:
        super()._check_state()
        d = self.n_features_in_
        if self.orders_.shape != (len(self.members_), d) or not len(self.members_):
            raise ValueError("one order per member is wanted")
        if not (np.sort(self.orders_, axis=1) == np.arange(d)).all():
            raise ValueError("an order is no permutation")
        if any(member.n_features_in_ != d for member in self.members_):
            raise ValueError("a member has another number of variables")
        for member, order in zip(self.members_, self.orders_):
            if not all(
                map(np.array_equal, member.categories_, [self.categories_[j] for j in order])
            ):
                raise ValueError("a member has other categories")
