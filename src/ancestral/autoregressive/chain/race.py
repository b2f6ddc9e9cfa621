"""The fit of a chain: a race of candidates on validation rows, then the winner for every variable.

Candidates are fitted to a few variables spread over the chain. After each, a candidate whose sum
of validation log densities is behind the leader's by more than 2.5 standard errors (paired, row by
row) drops out: a clear race costs a few fits, a close one costs more and matters less. At the end
one floor under all probabilities is chosen on the same rows.

Under a budget of processor time the race is run on some of the rows, and as many rows as there is
time for fit the winner. A variable for which no time is left keeps its marginal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import check_integer
from ancestral.autoregressive.chain import conditionals
from ancestral.autoregressive.chain.budget import LEAST_ROWS, Budget, never
from ancestral.autoregressive.chain.conditionals import Conditional, Task
from ancestral.autoregressive.chain.prefix_mixture import (
    PrefixMixture,
    column_ends,
    one_hot_columns,
)

FLOORS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
RACED_FLOOR = 1e-4  # under every candidate while they are compared
COUNTED_AT_ONCE = 1 << 14  # rows
BEHIND = 2.5  # standard errors at which a candidate leaves the race
LEAST_RACED = 3  # variables that every candidate is given
# Under a budget:
RACED_ROWS = 20_000
RACED_SHARE = 0.3  # of the budget, after which the leader wins
GROW = 2.0  # times the rows of the last fit, at most: costs may rise faster than rows
NEAR = 0.1  # relative change of the number of rows that is not worth taking others
OVERHEAD = 10.0  # of fitting one variable, in columns looked at
FEW_LEVELS = 8  # variables of more are raced only where there are no others
LONGER = 4.0  # times its share of what is left, that one fit may take
TRAINED = 0.8  # of what a fit may take, for the training; the rest for its arrays and scores
TRAINED_MANY = 0.4  # the same, for more than two levels


@dataclass(frozen=True)
class Candidate:
    """One way to fit conditionals.

    Parameters
    ----------
    name : str
    fit : callable
        Task -> conditional.
    parents : str
        "best": the `max_parents` most informative columns; "mixture": those and the mixture's
        posterior and prediction; "all": every column of the earlier variables.
    """

    name: str
    fit: Callable[[Task], Conditional]
    parents: str = "best"


# Small classes, not closures: they travel to other processes.


@dataclass(frozen=True)
class Trees:
    leaves: int

    def __call__(self, task: Task) -> Conditional:
        return conditionals.fit_trees(task, self.leaves)


@dataclass(frozen=True)
class Logistic:
    strength: float

    def __call__(self, task: Task) -> Conditional:
        return conditionals.fit_logistic(task, self.strength)


@dataclass(frozen=True)
class Estimator:
    estimator: Any

    def __call__(self, task: Task) -> Conditional:
        return conditionals.fit_estimator(task, self.estimator)


_TREES = (
    Candidate("trees, 8 leaves", Trees(8)),
    Candidate("trees, 4 leaves", Trees(4)),
    Candidate("trees, 32 leaves, mixture", Trees(32), "mixture"),
)
_LOGISTIC = tuple(
    Candidate(f"logistic, C={c:g}, mixture", Logistic(c), "mixture") for c in (0.1, 0.5, 0.03, 2.0)
)
CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    "auto": _TREES + _LOGISTIC[:2],
    "trees": _TREES,
    "logistic": _LOGISTIC,
    "marginal": (),
}


@dataclass(frozen=True)
class Found:
    """What a fit found."""

    conditionals: list[Conditional]
    choices: list[str]
    chosen: str
    race: dict[str, tuple[int, float]]
    floor: float
    score: float
    n_without_time: int  # variables that a budget did not reach


@dataclass(frozen=True)
class _Fitted:
    """A conditional, and the log probability it gives each validation row's value."""

    name: str
    conditional: Conditional
    validation: NDArray[np.float64]
    n_levels: int

    def scores(self, floor: float = RACED_FLOOR) -> NDArray[np.float64]:
        return floored(self.validation, floor, self.n_levels)


def floored(log_p: NDArray[np.float64], floor: float, n_levels: int) -> NDArray[np.float64]:
    """Return log(floor + (1 - K floor) p); a variable with one level keeps probability one."""
    if n_levels == 1:
        return np.zeros_like(log_p)
    floor = min(floor, 0.5 / n_levels)
    values: NDArray[np.float64] = np.log(floor + (1 - n_levels * floor) * np.exp(log_p))
    return values


@dataclass(frozen=True, eq=False)
class Rows:
    """What conditionals are fitted to: codes in as few bytes as hold them, for every variable.

    It is what a task is given, wherever that runs: features are made there.
    """

    training: NDArray[np.integer]  # (n, d)
    validation: NDArray[np.integer]
    n_levels: list[int]
    mixture: PrefixMixture | None
    max_parents: int | None
    _before: dict[str, Any] = field(default_factory=dict)  # joint densities of the last prefix

    @classmethod
    def of(
        cls,
        training: NDArray[np.intp],
        validation: NDArray[np.intp],
        n_levels: list[int],
        mixture: PrefixMixture | None,
        max_parents: int | None,
    ) -> Rows:
        """Return those of level codes."""
        kind = np.min_scalar_type(max(n_levels, default=1))
        return cls(training.astype(kind), validation.astype(kind), n_levels, mixture, max_parents)

    def __len__(self) -> int:
        return len(self.training)

    def __sizeof__(self) -> int:  # by which Dask tells what is worth sending once
        return self.training.nbytes + self.validation.nbytes

    def __post_init__(self) -> None:
        if self._before:  # of other rows
            object.__setattr__(self, "_before", {})

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_before": {}}

    def column(self, i: int) -> tuple[NDArray[np.intp], ...]:
        """Return the codes of one variable, of training and validation rows."""
        return tuple(rows[:, i].astype(np.intp) for rows in (self.training, self.validation))

    def task(
        self, i: int, parents: str, seed: int, is_late: Callable[[], bool]
    ) -> tuple[Task, NDArray[np.intp]]:
        """Return the task of one variable, and what its feature columns are."""
        end = int(column_ends(self.n_levels)[i])
        columns: NDArray[np.intp] = np.arange(end)
        if parents != "all" and self.max_parents is not None and end > self.max_parents:
            columns = self._most_informative(i, self.max_parents)
        seen = [self._one_hot(rows, columns) for rows in (self.training, self.validation)]
        if parents == "mixture" and self.mixture is not None:
            extra = [self.mixture.features(joint, i) for joint in self._joints_before(i)]
            seen = [np.concatenate(parts, axis=1) for parts in zip(seen, extra)]
            columns = np.concatenate([columns, end + np.arange(extra[0].shape[1])])
        training, validation = self.column(i)
        k = self.n_levels[i]
        return Task(seen[0], training, seen[1], validation, k, seed, i, is_late), columns

    def _one_hot(self, rows: NDArray[np.integer], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return some columns of `one_hot` of rows."""
        variable_of, level_of, _ = one_hot_columns(self.n_levels)
        level = level_of[columns].astype(rows.dtype)
        return np.equal(rows.take(variable_of[columns], axis=1), level).astype(np.float32)

    def _joints_before(self, i: int) -> list[NDArray[np.float64]]:
        """Return log p(component, prefix) of training and validation rows before variable i."""
        if self.mixture is None:
            return []
        position, joints = self._before.get("last", (0, None))  # in one: several threads may ask
        if joints is None or position > i:
            position = 0
            joints = [self.mixture.start(len(rows)) for rows in (self.training, self.validation)]
        for j in range(position, i):
            joints = [
                self.mixture.told(joint, j, levels) for joint, levels in zip(joints, self.column(j))
            ]
        self._before["last"] = i, joints
        return list(joints)

    def _most_informative(self, i: int, most: int) -> NDArray[np.intp]:
        """Return the earlier columns with the largest mutual information with variable i."""
        columns = np.arange(column_ends(self.n_levels)[i])
        levels = np.arange(self.n_levels[i])
        both, counts = np.zeros((len(columns), len(levels))), np.zeros(len(levels), np.intp)
        for start in range(0, len(self.training), COUNTED_AT_ONCE):
            rows = self.training[start : start + COUNTED_AT_ONCE]
            target = rows[:, i, None] == levels
            both += self._one_hot(rows, columns).T @ target.astype(np.float32)  # counts: exact
            counts += target.sum(axis=0)
        best = np.argsort(-_mutual_information(both, counts), kind="stable")[:most]
        return np.sort(best)


class Race:
    """One fit of all variables of a chain; the chain's own parameters are told by their names."""

    def __init__(
        self,
        candidates: tuple[Candidate, ...],
        training: NDArray[np.intp],
        validation: NDArray[np.intp],
        n_levels: list[int],
        rng: np.random.Generator,
        *,
        mixture: PrefixMixture | None,
        budget: Budget | None,
        max_parents: int | None,
        n_raced: int,
        n_jobs: int | None,
        verbose: bool,
    ) -> None:
        self.candidates, self.mixture, self.budget = candidates, mixture, budget
        self.n_levels, self.ends = n_levels, column_ends(n_levels)
        self.seeds = rng.integers(0, 2**31 - 1, size=len(n_levels))
        if max_parents is not None:
            max_parents = check_integer(max_parents, "max_parents", minimum=1)
        self.max_parents, self.n_jobs, self.verbose = max_parents, n_jobs, verbose
        self.rows = self.whole = Rows.of(training, validation, n_levels, mixture, max_parents)
        self.n_raced = check_integer(n_raced, "n_raced", minimum=1)
        self.rng = rng

    def run(self) -> Found:
        """Fit every variable."""
        d = len(self.n_levels)
        fitted = {i: self._marginal(i) for i in range(d)}
        varying = [i for i in range(d) if self.candidates and self._is_open(i)]
        with _progress(len(varying), verbose=self.verbose) as show:
            if self.budget:
                most_levels = max((self.n_levels[i] for i in self._raced(varying)), default=2)
                self._take_rows(min(RACED_ROWS, max(LEAST_ROWS, 2 * RACED_ROWS // most_levels)))
            chosen, standing, raced = self._race(varying)
            # Those fitted to some of the rows only stand in until there is time for more rows.
            whole = set(raced) if len(self.rows) == len(self.whole) else set()
            show(len(whole))
            jobs = [(i, chosen) for i in varying if i not in whole and chosen]
            if self.budget:
                jobs.sort(key=lambda job: self._work(job[0]))
                done = self._fit_within(self.budget, jobs, show)
            else:
                done = self._fit_all(jobs, show)
            for (i, _), other in zip(jobs, done):
                raced[i] = other
        for i, other in raced.items():
            if other.scores().mean() > fitted[i].scores().mean():
                fitted[i] = other
        floor, score = _best_floor(list(fitted.values()))
        return Found(
            conditionals=[fitted[i].conditional for i in range(d)],
            choices=[fitted[i].name for i in range(d)],
            chosen=chosen.name if chosen else "marginal",
            race=standing,
            floor=floor,
            score=score,
            n_without_time=len(jobs) - len(done),
        )

    def _is_open(self, i: int) -> bool:
        """Tell whether variable i varies and anything is known before it."""
        target = self.rows.training[:, i]
        return bool(self.ends[i] > 0 and (target != target[0]).any())

    def _marginal(self, i: int) -> _Fitted:
        training, validation = self.rows.column(i)
        empty = np.zeros((len(training), 0), np.float32)
        task = Task(empty, training, empty, validation, self.n_levels[i], 0)
        conditional = {**conditionals.fit_marginal(task), "sees_mixture": False}
        return _Fitted("marginal", conditional, conditional["log_p"][validation], task.n_levels)

    def _race(
        self, variables: list[int]
    ) -> tuple[Candidate | None, dict[str, tuple[int, float]], dict[int, _Fitted]]:
        """Return the winner, each candidate's standing, and the winner's fits so far."""
        if len(self.candidates) < 2 or not variables:
            return (self.candidates[0] if self.candidates else None), {}, {}
        variables = self._raced(variables)
        spread = np.linspace(0.1 * len(variables), len(variables) - 1, self.n_raced)
        places = sorted({int(place) for place in spread})
        totals = {c.name: np.zeros(len(self.rows.validation)) for c in self.candidates}
        standing: dict[str, tuple[int, float]] = {}
        kept: dict[str, dict[int, _Fitted]] = {c.name: {} for c in self.candidates}
        running = list(self.candidates)
        # late variables, which know most, first: they part the candidates soonest
        for n_done, place in enumerate(places[::-2] + places[-2::-2], start=1):
            i = variables[place]
            if self.budget:
                fits = self._raced_within(self.budget, i, running)
            else:
                fits = self._fit_all([(i, c) for c in running])
            for candidate, fit in zip(running, fits):
                name = candidate.name
                kept[name][i] = fit
                totals[name] += fit.scores()
                standing[name] = (n_done, float(totals[name].mean() / n_done))
            if self.budget and self.budget.left < (1 - RACED_SHARE) * self.budget.seconds:
                break
            if n_done >= LEAST_RACED:
                running = _still_in(running, totals)
        winner = _leader(running, totals)
        return winner, standing, kept[winner.name]

    def _raced(self, variables: list[int]) -> list[int]:
        """Return the variables that are raced: under a budget, those of few levels if there are."""
        few = [i for i in variables if self.n_levels[i] <= FEW_LEVELS]
        return few if few and self.budget else variables

    # ---- within a budget ----------------------------------------------------------------------

    def _raced_within(self, budget: Budget, i: int, running: list[Candidate]) -> list[_Fitted]:
        """Fit every candidate to one variable, each in its share of what the race has left."""
        fits: list[_Fitted] = []
        for n_left in range(len(running), 0, -1):
            left = max(0.0, budget.left - (1 - RACED_SHARE) * budget.seconds)
            fits += self._fit_all([(i, running[-n_left])], seconds=left / n_left)
        return fits

    def _fit_within(
        self, budget: Budget, jobs: list[tuple[int, Candidate]], show: Callable[[int], None]
    ) -> list[_Fitted]:
        """Fit variables, the cheapest first, to as many rows as there is time for.

        The costliest are left out where there is none for them.
        """
        fitted: list[_Fitted] = []
        work = [self._work(i) for i, _ in jobs]
        n = len(self.rows)
        while len(fitted) < len(work):
            i, candidate = jobs[len(fitted)]
            left_over = sum(work[len(fitted) :])
            most = min(int(GROW * n), len(self.whole))
            affordable = budget.rows_for(candidate.name, left_over, most)
            if not affordable:
                work.pop()
                continue
            if affordable == len(self.whole) > n or abs(affordable - n) > NEAR * n:
                self._take_rows(affordable)
                n = affordable
            left = budget.left
            seconds = min(left, LONGER * left * work[len(fitted)] / left_over)
            fitted += self._fit_all([(i, candidate)], show, seconds=seconds)
        return fitted

    def _take_rows(self, n: int) -> None:
        """Fit from here on to n random rows of the training part, or to all if it has fewer."""
        self.rows = self.whole
        if n < len(self.whole):
            kept = np.sort(self.rng.choice(len(self.whole), n, replace=False))
            self.rows = replace(self.whole, training=self.whole.training[kept])

    def _work(self, i: int) -> float:
        """Return what fitting variable i costs, in columns looked at."""
        n_columns = int(self.ends[i])
        seen = n_columns if self.max_parents is None else min(n_columns, self.max_parents)
        n_levels = self.n_levels[i]
        return (OVERHEAD + seen) * (n_levels if n_levels > 2 else 1)

    # ---- the tasks ----------------------------------------------------------------------------

    def _fit_all(
        self,
        jobs: list[tuple[int, Candidate]],
        show: Callable[[int], None] | None = None,
        seconds: float = math.inf,
    ) -> list[_Fitted]:
        """Fit candidates to variables, `n_jobs` at once; same results for any number.

        Under a budget, each is to take so many seconds at most.
        """
        import joblib

        results: list[_Fitted] = []
        parallel = joblib.Parallel(n_jobs=self.n_jobs)
        block = max(1, len(jobs))  # at once: what all share is sent once for each call
        if show:  # what is done is told now and then
            block = 4 * max(1, parallel._effective_n_jobs()) if self.verbose else block
        block = 1 if self.budget else block  # each is timed
        for start in range(0, len(jobs), block):
            part = jobs[start : start + block]
            tasks = (
                joblib.delayed(_fit_at)(
                    self.rows, i, c, int(self.seeds[i]), self._lateness(i, seconds)
                )
                for i, c in part
            )
            began = process_time()
            for (_, candidate), fit in zip(part, parallel(tasks)):
                sees_mixture = candidate.parents == "mixture" and self.mixture is not None
                fit.conditional["sees_mixture"] = sees_mixture
                results.append(fit)
            if self.budget:
                i, candidate = part[0]
                seconds = process_time() - began
                self.budget.note(candidate.name, seconds, len(self.rows), self._work(i))
            if show:
                show(len(part))
        return results

    def _lateness(self, i: int, seconds: float) -> Callable[[], bool]:
        """Return what tells the fit of variable i to end."""
        if not self.budget:
            return never
        return self.budget.late_after(
            seconds * (TRAINED if self.n_levels[i] == 2 else TRAINED_MANY)
        )


def _fit_at(
    rows: Rows, i: int, candidate: Candidate, seed: int, is_late: Callable[[], bool]
) -> _Fitted:
    """Fit a candidate to variable i; runs in any process."""
    return _fit_one(*rows.task(i, candidate.parents, seed, is_late), candidate)


def _fit_one(task: Task, columns: NDArray[np.intp], candidate: Candidate) -> _Fitted:
    """Fit one conditional and score the validation rows; runs in any process."""
    conditional = candidate.fit(task)
    log_p = conditionals.log_probabilities(conditional, task.validation_features)
    if "columns" in conditional:  # from the task's own numbering to the chain's
        numbers = columns[conditional["columns"]]
        conditional["columns"] = numbers.astype(conditional["columns"].dtype)
    scores = log_p[np.arange(len(log_p)), task.validation_target]
    return _Fitted(candidate.name, conditional, scores, task.n_levels)


def _still_in(running: list[Candidate], totals: dict[str, NDArray]) -> list[Candidate]:
    """Return the candidates not clearly behind the leader."""
    best = totals[_leader(running, totals).name]
    kept = []
    for candidate in running:
        behind = best - totals[candidate.name]  # (n_validation,)
        error = behind.std() / np.sqrt(len(behind))
        if behind.mean() <= BEHIND * error:
            kept.append(candidate)
    return kept


def _leader(running: list[Candidate], totals: dict[str, NDArray]) -> Candidate:
    return max(running, key=lambda c: float(totals[c.name].mean()))


def _best_floor(fitted: list[_Fitted]) -> tuple[float, float]:
    """Return the floor that suits the validation rows best, and their mean log density."""
    means = [sum(float(fit.scores(floor).mean()) for fit in fitted) for floor in FLOORS]
    best = int(np.argmax(means))
    return FLOORS[best], means[best]


def _mutual_information(both: NDArray[np.float64], levels: NDArray) -> NDArray[np.float64]:
    """Return I(column; target) in nats from counts of column = 1 by level, shape (p, K)."""
    n = levels.sum()
    p = np.stack([levels - both, both]) / n  # (2, p, K)
    apart = p.sum(axis=2, keepdims=True) * (levels / n)  # what independence would give
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / apart), 0.0)
    information: NDArray[np.float64] = terms.sum(axis=(0, 2))
    return information


@contextmanager
def _progress(n_variables: int, *, verbose: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many variables were just done."""
    if not verbose:
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("conditionals", total=n_variables)
        yield lambda n: bar.advance(task, n)
