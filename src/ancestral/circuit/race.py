"""How many states, from which start, for how long and in how many trees: what rows held out say.

One tree is tried with more and more states, from either start and with narrower normals, on rows
held out; then a mixture of such trees is fitted, each by itself and then all at once, and also with
fewer states where the rows, and not the work, bound these. Trees that share the rows need fewer
states each. Small tables are then fitted once more to all rows. All that bounds the work is a count
(`work_of`), never the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import warn
from ancestral.circuit.columns import Column
from ancestral.circuit.em import Joint, MixtureEM, Parameters, Priors, TreeEM
from ancestral.circuit.learning import Learner, Member, has_density, split
from ancestral.circuit.rows import Encode, Rows
from ancestral.circuit.starts import MOST_ROWS, MOST_WORK
from ancestral.errors import ModelError
from ancestral.training.parts import Held, Part, Parts
from ancestral.training.passes import Fit, Passes

HELD_OUT = 0.15  # of the rows, in the race
FEWEST = 40  # rows from which some are held out
STATES = (8, 16, 32, 64, 96, 128)
STARTS = ("clusters", "noise")
VARIANCES = (0.03, 0.01)
LEAST_GAIN = 1e-3  # nats per row that count as a gain
JOINT_SWEEPS = 10  # over all trees at once, at most
MOST_JOINT = 30  # the same over a sample, whose sweeps are as many as over all rows up to this
RACE_SHARE = 0.4  # of the work
NOISE = 0.2  # of the information of other trees than the first
MOST_TREES, FEWEST_TREES = 12, 3.5  # several trees do better than one of more states
USUAL_JOINT = 6  # sweeps over all trees at once
FURTHER = 2  # updates by all rows, where the trees were fitted to a sample of them
TOL = 1e-6  # nats per row that passes over all rows may still gain, where they end
LARGE = 5e5  # cells from which few sweeps are enough, since each has many batches
LONG, SHORT = (30, 20), (12, 8)  # sweeps of the mixture's trees, and of the race's
RACE_CELLS = 1.5e6  # that the race looks at, where there are more than twice as many
FULL_CELLS = 6e6  # from which the mixture's sweeps are fewer: their batches are as many
SPLIT_ROWS = 4000.0  # over all splits of the race
MOST_HELD_OUT = 2000.0  # rows, where there is no second fit
MOST_BYTES = 1 << 30  # of the transitions of all trees that the plan chooses
LARGEST = 8 << 30  # of those that a caller asks for
TREE_BYTES = 32  # for each entry of a transition, in the steps of a fit
MOST_COLUMNS = 10_000


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Parameters
    ----------
    states : tuple of int
        Numbers of states to try, rising.
    n_trees : int or None
        None: as many as the work allows.
    n_sweeps, race_sweeps : int
        Over all rows, of each tree of the mixture and of the race, at most.
    max_iter : int or None
        Passes over all rows at the end; None: as the rows held out say.
    priors : Priors
    batch : int
        Rows of a batch.
    work : float
        All of it, as `work_of` counts it.
    refit : bool
        Whether the mixture is fitted once more, to all rows.
    joint_sweeps : int
        Over all trees at once, at most.
    further : float
        Rows that are looked at in the end, where all others are a sample of them.
    """

    states: tuple[int, ...]
    n_trees: int | None
    n_sweeps: int
    race_sweeps: int
    max_iter: int | None
    priors: Priors
    batch: int
    work: float
    refit: bool
    joint_sweeps: int = JOINT_SWEEPS
    further: float = 0.0


@dataclass
class Found:
    """What came of it so far."""

    members: list[Member]
    weights: NDArray[np.float64]
    information: NDArray[np.float64]
    tried: list[dict[str, Any]] = field(default_factory=list)
    log_likelihood: float = np.nan
    penalised: list[float] = field(default_factory=list)

    def keep(self, em: MixtureEM, parameters: Joint) -> None:
        """Take a mixture in the place of what was there."""
        self.members = [Member(*pair) for pair in zip(em.trees, parameters.trees, strict=True)]
        self.weights = parameters.weights


# ---- the race ------------------------------------------------------------------------------------


def work_of(n_rows: float, n_columns: int, n_states: int, n_sweeps: float, batch: int) -> float:
    """Return about how many microseconds of one core a tree takes: a count, for a plan.

    Its start from clusters, and sweeps of so many batches.
    """
    k = n_states
    started = min(n_rows, MOST_ROWS, max(MOST_WORK / n_columns, 4.0 * k)) * k * 0.06
    row, of_batch = work_of_row(k), 12 + 0.004 * k**2
    return n_columns * (started + n_sweeps * (n_rows * row + n_rows / batch * of_batch))


def work_of_row(n_states: int) -> float:
    """Return about how many microseconds a look at one value takes."""
    return 0.01 + 0.0032 * n_states + 3.2e-5 * n_states**2


def units_of(weights: NDArray[np.float64]) -> float:
    """Return how many rows a sweep looks at."""
    return min(float(weights.sum()), 4.0 * len(weights))


def plan_for(
    columns: list[Column],
    weights: NDArray[np.float64],
    *,
    n_states: int | None,
    n_trees: int | None,
    n_sweeps: int | None,
    max_iter: int | None,
    n_rows: float | None = None,
) -> Plan:
    """Return how much is done for a table, by its size and what the caller asks.

    `n_rows` are all rows, where these are a sample of them.
    """
    n, d = units_of(weights), len(columns)
    cells = n * d
    states = [k for k in STATES if TREE_BYTES * d * k**2 <= MOST_BYTES] or [STATES[0]]
    if cells > 2 * LARGE:
        states = states[1:] or states
    binary = all(column.has_levels and len(column.levels) <= 2 for column in columns)
    batch = int(np.clip(n / 10, 50, 200 if binary else 500))
    large = cells > LARGE
    sweeps, race_sweeps = SHORT if large else LONG
    fewer = min(1.0, FULL_CELLS / cells)
    work = 1e6 * (30 + 75 * min(1.0, cells / 1.2e6))
    work += 2.0 * max(0.0, (n_rows or n) * d - 1.2e6)
    n_looks = 1 + (FURTHER if max_iter is None else max_iter)
    return Plan(
        states=tuple(states) if n_states is None else (n_states,),
        n_trees=n_trees,
        n_sweeps=n_sweeps or max(2, round(fewer * sweeps)),
        race_sweeps=min(n_sweeps or race_sweeps, race_sweeps),
        max_iter=max_iter,
        priors=Priors(0.3, 0.3) if binary else Priors(1.0, 0.5),
        batch=batch,
        work=work,
        refit=not large and work_of(n, d, 32, 2 * LONG[0], batch) < 0.1 * work,
        joint_sweeps=int(np.clip(JOINT_SWEEPS * (n_rows or n) / n, JOINT_SWEEPS, MOST_JOINT)),
        further=n_looks * (n_rows or 0.0),
    )


def refuse_too_large(n_columns: int, n_states: int, n_trees: int) -> None:
    """Raise ModelError for what memory does not hold, before it is taken."""
    if n_columns > MOST_COLUMNS:
        raise ModelError(
            f"{n_columns} columns are more than {MOST_COLUMNS}, the most whose pairs can be "
            "compared. Select columns, or fit parts of them."
        )
    needed = TREE_BYTES * n_columns * n_states**2 * n_trees
    if needed > LARGEST:
        most = int(np.sqrt(LARGEST / (TREE_BYTES * n_columns * n_trees)))
        raise ModelError(
            f"n_states={n_states} with {n_trees} trees over {n_columns} columns need "
            f"{needed / 2**30:.1f} GiB, over the limit of {LARGEST >> 30} GiB. Pass n_states="
            f"{max(1, most)} or fewer, or fewer trees."
        )


def work_of_tree(plan: Plan, n_rows: float, n_columns: int, n_states: int, n_sweeps: int) -> float:
    """Return what a tree of a mixture takes: its own sweeps, those over all, and passes."""
    in_float64 = 0 if plan.further else 2 * (plan.max_iter or 1)
    n_sweeps += USUAL_JOINT * plan.joint_sweeps // JOINT_SWEEPS + in_float64
    found = work_of(n_rows, n_columns, n_states, n_sweeps, plan.batch)
    return found + plan.further * n_columns * work_of_row(n_states)


@dataclass(frozen=True)
class Candidate:
    """What a race is about."""

    n_states: int
    start: str
    variance: float


class Race:
    """Tries what one tree should be, on rows held out; stops where the work is done.

    Parameters
    ----------
    learner : Learner
    plan : Plan
    rest, held_out : list of ndarray
        Weights of the rows fitted to and of those held out, in each of some splits.
    """

    def __init__(
        self,
        learner: Learner,
        plan: Plan,
        rest: list[NDArray[np.float64]],
        held_out: list[NDArray[np.float64]],
    ) -> None:
        self.learner, self.plan, self.rest, self.held_out = learner, plan, rest, held_out
        self.tree = learner.tree(0.0)
        self.history: list[dict[str, Any]] = []
        self.best: tuple[float, Candidate, int] | None = None
        self.kept: Member | None = None
        self.spent = 0.0
        self.largest = 0  # number of states that was tried

    def run(self) -> tuple[Candidate, int]:
        """Return the candidate that does best, and for how many sweeps."""
        starts, variance, since = list(STARTS), self.plan.priors.variance, 0
        for number, k in enumerate(self.plan.states if self.held_out else ()):
            gained = False
            for start in starts:
                gained |= self.tried(Candidate(k, start, variance))
            since = 0 if gained else since + 1
            if self.best is None or since >= 2:
                break
            if number == 1 and not self.plan.refit:
                starts = [self.best[1].start]
            if number == min(2, len(self.plan.states) - 1):
                variance = self.narrower(self.best[1])
        if self.best is None:
            return Candidate(self.plan.states[0], STARTS[0], variance), self.plan.n_sweeps
        return self.best[1], self.best[2]

    def narrower(self, best: Candidate) -> float:
        """Return the prior variance of normals that does best, tried with the best so far."""
        found = best.variance
        for variance in VARIANCES if len(self.learner.layout.smooth) else ():
            if not self.tried(replace(best, variance=variance)):
                break
            found = variance
        return found

    def tried(self, candidate: Candidate) -> bool:
        """Fit one tree to each split; tell whether it is the best so far."""
        plan, learner, d = self.plan, self.learner, len(self.learner.columns)
        n_sweeps = plan.race_sweeps
        n = units_of(self.rest[0])
        each = work_of(n, d, candidate.n_states, n_sweeps, plan.batch)
        work = each * len(self.rest)
        if self.best is not None:
            if self.spent + work > RACE_SHARE * plan.work:
                return False
            left = (1 - RACE_SHARE) * plan.work
            if FEWEST_TREES * work_of_tree(plan, n, d, candidate.n_states, plan.n_sweeps) > left:
                return False
        self.spent += work
        self.largest = max(self.largest, candidate.n_states)
        found = []
        for rest, held_out in zip(self.rest, self.held_out):
            em = learner.em(self.tree, candidate.n_states, candidate.variance)
            start = learner.started(em, candidate.start, rest)
            name = f"{candidate.n_states} states from {candidate.start}"
            found.append(learner.climb(em, start, rest, n_sweeps, held_out=held_out, name=name))
            if self.kept is None:
                self.kept = Member(em, found[-1][0])
        value = float(np.mean([one[1] for one in found]))
        done = float(np.median([one[2] for one in found])) / n_sweeps
        tried = {"n_states": candidate.n_states, "start": candidate.start}
        tried |= {"variance": candidate.variance, "held_out": value, "done": done}
        self.history.append(tried)
        if self.best is not None and value <= self.best[0] + LEAST_GAIN:
            return False
        # Where it was best before the end, a whole schedule of about that length is better still.
        share = 1.0 if done >= 0.7 else 1.25 * done
        self.best = value, candidate, max(2, round(share * plan.n_sweeps))
        self.kept = Member(em, found[-1][0])
        return True


# ---- the mixture ---------------------------------------------------------------------------------


def learn(
    table: NDArray[np.float64],
    columns: list[Column],
    weights: NDArray[np.float64],
    plan: Plan,
    rng: np.random.Generator,
    run: Passes,
    parts: Parts[Part] | None = None,
) -> Found:
    """Return a mixture of trees of distinct rows, by a plan; `parts` are all, if these are some."""
    show = run.show
    learner = Learner(table, columns, weights, plan.priors, plan.batch, rng, show)
    found = Found([], np.ones(1), learner.information)
    total = float(weights.sum())
    n_splits = int(np.clip(SPLIT_ROWS / total, 1, 5)) if plan.refit else 1
    share = HELD_OUT if plan.refit else min(HELD_OUT, MOST_HELD_OUT / total)
    apart = has_density(table, columns) if weights.max() > 1 else None
    drawn = range(n_splits if total >= FEWEST else 0)
    splits = [split(weights, share, rng, apart) for _ in drawn]
    splits = [held for held in splits if held.any() and (weights - held).any()]
    rests = [weights - held for held in splits]
    if (cells := units_of(weights) * len(columns)) > 2 * RACE_CELLS:
        rests = [split(rest, RACE_CELLS / cells, rng) for rest in rests]
    race = Race(learner, plan, rests, splits)
    try:
        candidate, n_sweeps = race.run()
        found.tried = race.history
        mixing = Mixing(learner, plan, race, found)
        mixing.choose(candidate, n_sweeps, weights, splits[0] if splits else None)
        mixing.passes(weights, run, parts)
    except KeyboardInterrupt:
        if not found.members:
            if race.kept is None:
                raise
            found.members, found.weights = [race.kept], np.ones(1)
        warn("the fit was interrupted: the best model so far is kept.")
    return found


class Mixing:
    """Fits a mixture of trees, each by itself and then all at once.

    Parameters
    ----------
    learner : Learner
    plan : Plan
    race : Race
        That chose one tree.
    found : Found
        Is given what there is so far.
    """

    def __init__(self, learner: Learner, plan: Plan, race: Race, found: Found) -> None:
        self.learner, self.plan, self.found = learner, plan, found
        self.left = plan.work - race.spent
        self.largest, self.n_joint = race.largest, 0

    def choose(
        self,
        candidate: Candidate,
        n_sweeps: int,
        weights: NDArray[np.float64],
        held_out: NDArray[np.float64] | None,
    ) -> None:
        """Fit the mixture of the candidate, and of fewer states where these may do better.

        Trees that share the rows among them need fewer states each than one alone: but not where
        the work, and not the rows, bound these.
        """
        plan = self.plan
        if held_out is None:
            self.fit(candidate, n_sweeps, self.n_trees(candidate, n_sweeps, 1.0), weights, 2)
            return
        rest, best = weights - held_out, -np.inf
        bound = candidate.n_states >= self.largest
        fewer = [k for k in plan.states if k < candidate.n_states][::-1]
        tries = [candidate.n_states] if bound else [candidate.n_states, *fewer]
        share = (0.5 if len(tries) > 1 else 1.0) / (2.0 if plan.refit else 1.0)
        chosen = None
        for k in tries:
            one = replace(candidate, n_states=k)
            n_trees = self.n_trees(one, n_sweeps, share)
            so_far = self.found.members, self.found.weights
            n_joint, value = self.fit(one, n_sweeps, n_trees, rest, plan.joint_sweeps, held_out)
            self.found.tried.append({"n_states": k, "n_trees": n_trees, "held_out": value})
            if value <= best:
                self.found.members, self.found.weights = so_far
                break
            chosen, best, self.n_joint = (one, n_sweeps, n_trees, n_joint), value, n_joint
        if plan.refit and chosen is not None:
            one, n_sweeps, n_trees, n_joint = chosen
            self.fit(one, n_sweeps, n_trees, weights, n_joint)

    def n_trees(self, candidate: Candidate, n_sweeps: int, share: float) -> int:
        """Return how many trees a share of the work that is left allows."""
        if self.plan.n_trees is not None:
            return self.plan.n_trees
        d, k = len(self.learner.columns), candidate.n_states
        each = work_of_tree(self.plan, units_of(self.learner.weights), d, k, n_sweeps)
        room = MOST_BYTES // (TREE_BYTES * d * k**2)
        found = int(np.clip(share * self.left / each, 1, max(1, min(MOST_TREES, room))))
        self.left -= found * each
        return found

    def fit(
        self,
        candidate: Candidate,
        n_sweeps: int,
        n_trees: int,
        weights: NDArray[np.float64],
        n_joint: int,
        held_out: NDArray[np.float64] | None = None,
    ) -> tuple[int, float]:
        """Fit to rows; return how many sweeps over all trees at once the rows held out gain by,
        and what they give.
        """
        learner, k = self.learner, candidate.n_states
        ems: list[TreeEM] = []
        parameters: list[Parameters] = []
        for m in range(n_trees):
            em = learner.em(learner.tree(NOISE if m else 0.0), k, candidate.variance)
            start = learner.started(em, candidate.start, weights)
            name = f"tree {m + 1} of {n_trees}, {k} states"
            parameters.append(learner.climb(em, start, weights, n_sweeps, name=name)[0])
            ems.append(em)
            whole = Joint(np.full(m + 1, 1 / (m + 1)), tuple(parameters))
            if not self.found.members or n_trees == m + 1:
                self.found.keep(MixtureEM(list(ems)), whole)
        whole, n_done, value = learner.joint(MixtureEM(ems), whole, weights, n_joint, held_out)
        self.found.keep(MixtureEM(ems), whole)
        return n_done, value

    def passes(self, weights: NDArray[np.float64], run: Passes, parts: Parts[Part] | None) -> None:
        """Look at all rows at once some times more: the likelihood rises.

        Unless the plan says how often, once where the trees gained by sharing the rows, else never;
        and always where others than these rows are to be looked at. Those are looked at in float32,
        since they are many, and summed in float64.
        """
        found, max_iter = self.found, self.plan.max_iter
        if max_iter is None:
            max_iter = int(self.n_joint > 0) if parts is None else FURTHER
        em = MixtureEM(
            [member.em for member in found.members], None if parts is None else np.float32
        )
        trees = tuple(member.parameters.astype(np.float64) for member in found.members)
        rows: Parts[Rows] = Held([self.learner.rows_of(weights)])
        if parts is not None:
            rows = parts.prepared(Encode(self.learner.columns, self.learner.layout))
        start = Fit(Joint(found.weights, trees))
        fit = run.climb(em, rows, start, tol=TOL, max_iter=max_iter + 1)
        found.keep(em, fit.parameters)
        shift = em._objective(fit.parameters, fit.statistics) - fit.statistics.log_likelihood
        found.log_likelihood = fit.history[-1] - shift
        found.penalised = fit.history
