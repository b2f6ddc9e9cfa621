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
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from ancestral._checks.numbers import as_generator, as_numbers, check_integer, log_sum_exp
from ancestral.autoregressive import conditioning
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.autoregressive.sequential import Sequential
from ancestral.errors import ModelError


class OrderMixture(DiscreteDensity):
    """The mean of one autoregressive model over random orders of the variables.

    Parameters
    ----------
    model : an autoregressive model, not fitted
        What is fitted in each order: a clone, with a seed of its own where it has a `random_state`.
    n_orders : int
        Members, all with the same weight.
    orders : array-like of shape (n_orders, n_features), optional
        The orders themselves, each a permutation of the column numbers; they take the place of
        `n_orders` random ones.
    random_state : None, int, RandomState or Generator
        The orders, and each member's seed.

    Attributes
    ----------
    orders_ : ndarray of shape (n_orders, n_features)
        The i-th variable of member j is column `orders_[j, i]`. The first order is random too.
    members_ : list of fitted models
        Each on the columns in its own order.
    categories_ : list of ndarray
        The levels of each column.

    Notes
    -----
    Fitting and scoring cost `n_orders` times the model's own. A row with NaN is scored exactly,
    by each member's exact marginal, and draws `given` values come from a member chosen by how well
    it explains them. Members that are tables always can; where another's order leaves too many
    completions to sum over, both are refused before any member is walked.

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
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.n_orders = n_orders
        self.orders = orders
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, **validation: Any) -> Self:
        """Fit one member per order.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Integers, booleans or text.
        y : ignored
        X_val : array-like of shape (n_validation, n_features), optional
            Handed to members whose own `fit` takes validation rows.

        Returns
        -------
        self

        Raises
        ------
        ModelError
            When the model is not autoregressive, or takes no validation rows and is given some.
        """
        given = validation.pop("X_val", None)
        if validation:
            raise ModelError(f"fit takes X and X_val; got {', '.join(sorted(validation))} as well.")
        return self._fit_anew(X, X_val=given)

    def _fit_levels(self, levels: NDArray[np.intp], *, X_val: ArrayLike | None = None) -> None:
        rng = as_generator(self.random_state)
        rows, more = self._decode(levels), self._checked_validation(X_val)
        self.orders_ = self._chosen_orders(levels.shape[1], rng)
        self.members_ = []
        for order in self.orders_:
            self.members_.append(self._fit_member(rows, order, more, rng))

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

    def _fit_member(
        self, rows: NDArray, order: NDArray, X_val: NDArray | None, rng: np.random.Generator
    ) -> Any:
        """Return a clone of the model fitted to the columns in one order."""
        member = clone(self.model)
        if "random_state" in member.get_params(deep=False):
            member.set_params(random_state=int(rng.integers(0, 2**31 - 1)))
        if X_val is None:
            return member.fit(rows[:, order])
        return member.fit(rows[:, order], X_val=X_val[:, order])

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        levels = self._encode(X, missing=True)  # names a wrong level by its place in X
        self._refuse_many(levels)
        scores = [m.log_density(X[:, order]) for m, order in zip(self.members_, self.orders_)]
        mean: NDArray[np.float64] = log_sum_exp(np.stack(scores), axis=0) - np.log(len(scores))
        return mean

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray:
        """Draw how many rows each member gives, draw them, and shuffle."""
        counts = rng.multinomial(n_samples, np.full(len(self.members_), 1 / len(self.members_)))
        rows = []
        for member, order, n in zip(self.members_, self.orders_, counts):
            rows.append(member._draw(int(n), rng)[:, np.argsort(order)])
        return np.concatenate(rows)[rng.permutation(n_samples)]

    def _draw_given(self, n_samples: int, given: NDArray, rng: np.random.Generator) -> NDArray:
        """Weigh the members by their evidence, draw how many rows each gives, and draw them."""
        levels = self._encode(given[None], missing=True, name="given")
        self._refuse_many(levels)
        log_p = np.concatenate(
            [m.log_density(given[None, order]) for m, order in zip(self.members_, self.orders_)]
        )
        if log_p.max() == -np.inf:
            raise ModelError(
                "the given values have probability 0 under this model: nothing to draw."
            )
        p = np.exp(log_p - log_p.max())
        rows = []
        for member, order, n in zip(
            self.members_, self.orders_, rng.multinomial(n_samples, p / p.sum())
        ):
            if n:
                drawn = member._draw_given(int(n), given[order], rng)
                rows.append(drawn[:, np.argsort(order)])
        if not rows:
            return self._draw(0, rng)
        return np.concatenate(rows)[rng.permutation(n_samples)]

    def _refuse_many(self, levels: NDArray[np.intp]) -> None:
        """Raise ModelError, before any work, where a member can't sum over what is unknown."""
        for j, (member, order) in enumerate(zip(self.members_, self.orders_)):
            mend = (
                f"That is in the order of members_[{j}]: give more of the row, or take each "
                "member's estimate of its own columns, members_[j].log_evidence(X[:, orders_[j]])."
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
