"""Autoregression by a chain of classifiers, one for each variable given those before it.

    p(x_i = k | x_<i) = floor + (1 - K_i floor) q_i(k | f(x_<i))

q_i is any classifier's predicted probability, from a family of `conditionals` or from scikit-learn;
f(x_<i) holds the earlier variables and, for some families, the posterior of a mixture's component
given them (`prefix_mixture`). The small floor, chosen on validation rows, keeps every row possible.

Which family, and how strongly it is held back, is found by a race on validation rows: candidates
are fitted to variables spread over the chain, one that falls behind the leader by more than 2.5
standard errors drops out, and the leader at the end fits the other variables. A variable whose
smoothed marginal does better on the validation rows keeps that.

Symbols: q_i `conditionals_`, floor `floor_`, mixture `mixture_`.
Larochelle & Murray (2011), The neural autoregressive distribution estimator, for the chain;
Frey (1998), Graphical models for machine learning, for chains of logistic regressions.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.numbers import as_generator, check_integer, check_number, warn, within_memory
from ancestral._numerics.threads import blocks_of, in_threads, one_thread
from ancestral.autoregressive import costs
from ancestral.autoregressive.chain import conditionals, race
from ancestral.autoregressive.chain.budget import Budget, never
from ancestral.autoregressive.chain.linear import Linear
from ancestral.autoregressive.chain.prefix_mixture import (
    PrefixMixture,
    column_ends,
    fit_mixture,
    one_hot,
)
from ancestral.autoregressive.gathering import codes_of
from ancestral.autoregressive.sequential import Sequential
from ancestral.autoregressive.steps import known_columns, known_terms
from ancestral.base import FromParts
from ancestral.errors import ModelError, SaveError
from ancestral.training.parts import Part, Parts

MIXTURE_SHARE = 0.1  # of a budget, for the mixture
BUDGETED_ROWS = 10_000  # validation rows looked at, at most, where time is bounded


@dataclass(frozen=True)
class ChainState:
    """Where each row stands: its features so far, and log p(component, prefix)."""

    position: int
    features: NDArray[np.float32]
    joint: NDArray[np.float64]


class ChainAutoregressive(FromParts, Sequential):
    """A chain of classifiers, each predicting one variable from those before it.

    Parameters
    ----------
    estimator : None, "auto", "trees", "logistic", "marginal", or a scikit-learn classifier
        Which classifiers predict each variable. None and "auto" compare boosted trees and
        L1-penalised logistic regressions of several strengths, and keep the best. The name of a
        family compares the strengths of this family. A scikit-learn classifier with `predict_proba`
        is cloned for each variable; its inputs are the earlier variables, as one indicator column
        for each level but the first.
    n_components : int
        Components of a mixture model. Its posterior given the earlier variables is a further input
        of some candidates. 0 leaves the mixture out.
    max_parents : int or None
        The most columns of earlier variables that a named family uses as inputs. They are the
        columns with the largest mutual information with the predicted variable. None means all.
    validation_fraction : float
        Share of the rows that is held out for choices, when `fit` is given no validation rows.
    n_raced : int
        The number of variables on which the candidates are compared.
    cpu_seconds : float or None
        Processor seconds that the fit may take. With a number, the candidates are compared on at
        most 20,000 rows, and the best one is fitted to as many rows as the time allows. A variable
        for which no time is left keeps its smoothed marginal, and a warning names how many. The
        seconds are those of this process, so `n_jobs` cannot be given too. The model then depends
        on the speed of the machine. None: no limit, and every fit uses all rows.
    n_jobs : int or None
        How many conditionals are fitted at the same time, by joblib. Its backends, such as Dask's,
        can spread them over machines.
    categories : list or mapping, optional
        Levels declared before the fit: a list with the levels of each column (None for those to be
        learnt), or a mapping of columns' names to their levels. The categorical types of dataframes
        declare levels too.
    random_state : None, int, RandomState or Generator
        An int gives the same model for every `n_jobs`, if `cpu_seconds` is None.
    verbose : bool
        Show progress on stderr.

    Attributes
    ----------
    conditionals_ : list of dict
        One for each variable: the arrays of its family, by name.
    chosen_ : str
        The candidate that was best in the comparison.
    race_ : dict of str to tuple (int, float)
        For each candidate: on how many variables it was compared, and its mean validation log
        density there, in nats.
    choices_ : list of str
        For each variable, the candidate that predicts it.
    floor_ : float
        The least probability that any level has.
    validation_score_ : float
        Mean log density of the validation rows, in nats. It is a little too high, because choices
        were made with the same rows.
    mixture_ : dict or None
        "log_weights" of the components, and "log_theta": log probabilities of levels, one array for
        each variable.
    categories_ : list of ndarray

    Notes
    -----
    The fit trains one classifier for each variable and each candidate that is still compared. From
    parts (`ancestral.streaming`) all rows are gathered as integer codes, up to 256 MiB. With
    `fit_dask` the workers read and code the parts, each worker then gets all codes once, and the
    conditionals are spread over the workers. The model has no `aic`, because the parameters of a
    boosted tree cannot be counted. Constant columns cost nothing.

    References
    ----------
    Larochelle & Murray (2011), AISTATS. Ke et al. (2017), LightGBM, NeurIPS.

    Examples
    --------
    >>> X = [[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]] * 20
    >>> model = ChainAutoregressive("logistic", n_components=0, random_state=0).fit(X)
    >>> bool(model.log_density([[1, 1]])[0] > model.log_density([[1, 0]])[0] + 2)
    True
    """

    conditionals_: list[dict[str, Any]]
    mixture_: dict[str, Any] | None
    floor_: float
    _fields: tuple[str, ...] = (
        "conditionals_", "chosen_", "race_", "choices_", "floor_", "validation_score_", "mixture_",
    )  # fmt: skip

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_components: int = 8,
        max_parents: int | None = 128,
        validation_fraction: float = 0.1,
        n_raced: int = 8,
        cpu_seconds: float | None = None,
        n_jobs: int | None = None,
        categories: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.estimator = estimator
        self.n_components = n_components
        self.max_parents = max_parents
        self.validation_fraction = validation_fraction
        self.n_raced = n_raced
        self.cpu_seconds = cpu_seconds
        self.n_jobs = n_jobs
        self.categories = categories
        self.random_state = random_state
        self.verbose = verbose

    # ---- fit ----------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: Any = None, *, X_val: ArrayLike | None = None) -> Self:
        """Fit one conditional per variable, in the order of the columns.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Integers, booleans or text.
        y : ignored
        X_val : array-like or dataframe of shape (n_validation, n_features), optional
            Rows by which the family, its strength, the least probability (`floor_`) and the number
            of trees are chosen. Without them a random `validation_fraction` of the rows of X is
            held out.

        Returns
        -------
        self

        Raises
        ------
        DataError
            When X_val holds a level that X does not.
        ModelError
            For a parameter out of bounds, an estimator without `predict_proba`, or one that
            cannot be fitted to a variable's rows.
        MissingExtraError
            For boosted trees without LightGBM.

        Examples
        --------
        >>> X = np.random.default_rng(0).integers(0, 2, size=(200, 3))
        >>> model = ChainAutoregressive("logistic", random_state=0).fit(X[:150], X_val=X[150:])
        >>> bool(model.score(X) < 0)
        True
        """
        return self._fit_anew(X, X_val=X_val)

    _instead = ', or pass estimator="logistic" or a scikit-learn classifier'

    def _wants(self) -> tuple[str, ...]:
        chosen = "auto" if self.estimator is None else self.estimator
        return ("boost",) if isinstance(chosen, str) and chosen in ("auto", "trees") else ()

    @within_memory("Give fewer rows, or a smaller n_components or max_parents.")
    def _fit_levels(self, levels: NDArray[np.intp], *, X_val: ArrayLike | None = None) -> None:
        rng, budget = as_generator(self.random_state), self._budget()
        candidates = self._candidates()
        training, validation = self._split(levels, X_val, rng)
        if budget and len(validation) > BUDGETED_ROWS:
            validation = validation[np.sort(rng.permutation(len(validation))[:BUDGETED_ROWS])]
        self.mixture_ = None
        n_components = check_integer(self.n_components, "n_components")
        if n_components and any(c.parents == "mixture" for c in candidates):
            late = budget.late_after(MIXTURE_SHARE * budget.seconds) if budget else never
            with one_thread():  # products so narrow are no faster on more, and keep their bits
                fitted = fit_mixture(training, self._n_levels, n_components, rng, validation, late)
            self.mixture_ = {
                "log_weights": fitted.log_weights,
                "log_theta": list(fitted.log_theta),
            }
        found = race.Race(
            candidates,
            training,
            validation,
            self._n_levels,
            rng,
            mixture=self._mixture,
            budget=budget,
            max_parents=self.max_parents,
            n_raced=self.n_raced,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        ).run()
        if found.n_without_time:
            warn(
                f"cpu_seconds={self.cpu_seconds:g} ran out: {found.n_without_time} of "
                f"{levels.shape[1]} variables keep their smoothed marginals or a fit to few rows. "
                "Give more seconds, or name a cheaper estimator."
            )
        self.conditionals_ = found.conditionals
        self.choices_, self.chosen_, self.race_ = found.choices, found.chosen, found.race
        self.floor_, self.validation_score_ = found.floor, found.score
        if not any(conditional["sees_mixture"] for conditional in self.conditionals_):
            self.mixture_ = None

    def _fit_parts(self, parts: Parts[Part], **options: Any) -> None:
        levels = codes_of(self, parts, **options)
        with parts.spread() if self.cpu_seconds is None else nullcontext():  # counted in here
            self._fit_levels(levels)

    def _budget(self) -> Budget | None:
        """Return the budget of this fit, which begins now."""
        if self.cpu_seconds is None:
            return None
        seconds = check_number(self.cpu_seconds, "cpu_seconds", minimum=0.0, inclusive=False)
        if self.n_jobs not in (None, 1):
            raise ModelError(
                f"cpu_seconds={seconds:g} counts the seconds of this process, but "
                f"n_jobs={self.n_jobs} "
                "works in other processes. Leave out one of the two."
            )
        return Budget(seconds)

    def _candidates(self) -> tuple[race.Candidate, ...]:
        """Return the entrants that `estimator` names."""
        chosen = "auto" if self.estimator is None else self.estimator
        if isinstance(chosen, str):
            if chosen not in race.CANDIDATES:
                raise ModelError(
                    f"estimator={chosen!r} is no family; take one of "
                    f"{', '.join(race.CANDIDATES)}, or a scikit-learn classifier."
                )
            return race.CANDIDATES[chosen]
        if isinstance(chosen, type) or not hasattr(chosen, "fit"):
            raise ModelError(
                f"estimator={chosen!r} is no classifier: pass an instance, such as "
                "LogisticRegression()."
            )
        if not hasattr(chosen, "predict_proba"):
            raise ModelError(
                f"{type(chosen).__name__} has no predict_proba: a chain multiplies probabilities. "
                "Pass a classifier that predicts them, or wrap it in CalibratedClassifierCV."
            )
        return (race.Candidate(type(chosen).__name__, race.Estimator(chosen), parents="all"),)

    def _split(
        self, levels: NDArray[np.intp], X_val: ArrayLike | None, rng: np.random.Generator
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return training and validation rows."""
        share = check_number(
            self.validation_fraction, "validation_fraction", minimum=0.0, inclusive=False
        )
        if X_val is not None:
            return levels, self._encode(self._check_rows(X_val, reset=False), name="X_val")
        if share >= 1:
            raise ModelError(f"validation_fraction must be below 1; got {share:g}.")
        if len(levels) < 2:
            return levels, levels  # nothing to hold out: the smoothed marginals are safe
        held = min(max(1, round(share * len(levels))), len(levels) - 1)
        order = rng.permutation(len(levels))
        return levels[np.sort(order[held:])], levels[np.sort(order[:held])]

    @property
    def _rules_nothing_out(self) -> bool:
        return self.floor_ > 0

    @property
    def _n_levels(self) -> list[int]:
        return [len(known) for known in self.categories_]

    @property
    def _column_ends(self) -> NDArray[np.intp]:
        """Where each variable's feature columns start, and at last where all end."""
        return column_ends(self._n_levels)

    @property
    def _mixture(self) -> PrefixMixture | None:
        if self.mixture_ is None:
            return None
        return PrefixMixture(self.mixture_["log_weights"], tuple(self.mixture_["log_theta"]))

    # ---- the step-state protocol: the features of each prefix ----------------------------------

    def start(self, n_samples: int) -> ChainState:
        features = np.zeros((n_samples, self._linear.ends[-1]), np.float32)
        mixture = self._mixture
        joint = mixture.start(n_samples) if mixture else np.zeros((n_samples, 0))
        return ChainState(0, features, joint)

    def step(
        self, state: ChainState, previous: NDArray[np.intp] | None
    ) -> tuple[ChainState, NDArray[np.float64]]:
        i, features, joint = state.position, state.features, state.joint
        if previous is not None:
            start, end = self._linear.ends[i - 1 : i + 1]
            features = features.copy()
            features[:, start:end] = previous[:, None] == np.arange(1, end - start + 1)
            if mixture := self._mixture:
                joint = mixture.told(joint, i - 1, previous)
        return ChainState(i + 1, features, joint), self._log_conditional(i, features, joint)

    def take(self, state: ChainState, index: NDArray[np.intp]) -> ChainState:
        return ChainState(state.position, state.features[index], state.joint[index])

    def _log_conditional(
        self, i: int, features: NDArray[np.float32], joint: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return log p(x_i = level | prefix) from whole-width features, shape (n, K_i)."""
        conditional = self.conditionals_[i]
        seen = features[:, : self._linear.ends[i]]
        if conditional["sees_mixture"] and (mixture := self._mixture):
            seen = np.concatenate([seen, mixture.features(joint, i)], axis=1)
        log_p = conditionals.log_probabilities(conditional, seen)
        return race.floored(log_p, self.floor_, log_p.shape[1])

    @property
    def _linear(self) -> Linear:
        """The linear conditionals as one; made once for each fit."""
        held: Linear | None = vars(self).get("_scored_by")
        if held is None or held.of is not self.conditionals_:
            held = Linear(self.conditionals_, self._n_levels, self.floor_, self._mixture)
            self._scored_by = held
        return held

    def _told(self, levels: NDArray[np.intp]) -> tuple[ChainState, NDArray[np.float64]]:
        n, k = levels.shape
        state, mixture, before = self.start(n), self._mixture, levels[:, :-1]
        state.features[:, : self._linear.ends[k - 1]] = one_hot(before, self._n_levels[: k - 1])
        joint = state.joint
        if mixture:
            for i, level in enumerate(before.T):
                joint = mixture.told(joint, i, level)
        rest = np.full((n, self.n_features_in_ - k), -1)
        log_p = self._log_density_levels(np.concatenate([levels, rest], axis=1))
        return ChainState(k, state.features, joint), log_p

    def _draw_on(self, rows: NDArray[np.intp], first: int, rng: np.random.Generator) -> bool:
        linear = self._linear
        if not linear.is_all:
            return False
        noise = rng.random((rows.shape[1] - first, len(rows)))
        for part in blocks_of(slice(0, len(rows)), costs.chain_rows(max(linear.weights.shape))):
            linear.draw_on(rows[part], first, noise[:, part])
        return True

    def _log_density_levels(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        linear = self._linear
        rows = costs.chain_rows(linear.row_values)
        if len(levels) <= rows:
            total = linear.log_density(levels)
        else:
            parts = blocks_of(slice(0, len(levels)), rows)
            scores = in_threads(lambda part: linear.log_density(levels[part]), parts, levels.size)
            total = np.concatenate(scores)
        if len(linear.others):
            with one_thread():
                total = total + self._log_density_of(linear.others, levels)
        return total

    def _log_density_of(
        self, variables: NDArray[np.intp], levels: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the sum of some conditionals' log p of each row, one after another."""
        features, mixture = one_hot(levels, self._n_levels), self._mixture
        joint, known = np.zeros((len(levels), 0)), len(known_columns(levels))
        wanted = set(variables[variables < known].tolist())
        if mixture and wanted:
            joint = mixture.start(len(levels))
        total = np.zeros(len(levels))
        for i, level in enumerate(levels[:, : max(wanted, default=-1) + 1].T):
            if i in wanted:
                total += known_terms(self._log_conditional(i, features, joint), level)
            if mixture:
                joint = mixture.told(joint, i, level)
        return total

    # ---- a saved model -------------------------------------------------------------------------

    def _fitted_state(self) -> dict[str, Any]:
        if not (self.estimator is None or isinstance(self.estimator, str)):
            raise SaveError(
                f"a chain of {type(self.estimator).__name__} has no saved form: only the named "
                "families (trees, logistic, marginal) are kept as arrays."
            )
        return super()._fitted_state()

    def _check_state(self) -> None:
        super()._check_state()
        ends, n_mixture = self._column_ends, 0
        if self.mixture_ is not None:
            n_mixture = _checked_mixture(self.mixture_, self._n_levels)
        for i, (conditional, k) in enumerate(zip(self.conditionals_, self._n_levels, strict=True)):
            if conditional["sees_mixture"] not in ((True, False) if n_mixture else (False,)):
                raise ValueError("a conditional asks for a mixture that is not there")
            extra = n_mixture + k - 1 if conditional["sees_mixture"] else 0
            conditionals.check_conditional(conditional, k, int(ends[i]) + extra)
        if not 0 <= self.floor_ <= max(race.FLOORS):
            raise ValueError("the floor is no small probability")


def _checked_mixture(mixture: dict[str, Any], n_levels: list[int]) -> int:
    """Return the number of components of a restored mixture; ValueError where it is broken."""
    log_weights, log_theta = mixture["log_weights"], mixture["log_theta"]
    shapes = [(len(log_weights), k) for k in n_levels]
    good = log_weights.ndim == 1 and [theta.shape for theta in log_theta] == shapes
    for log_p in (log_weights[None], *log_theta):
        good = good and bool(np.allclose(np.exp(log_p).sum(axis=1), 1.0, rtol=0, atol=1e-9))
    if not good:
        raise ValueError("the mixture is broken")
    return len(log_weights)
