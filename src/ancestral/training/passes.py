"""Fits that look at their data several times: a sum of statistics and an update, repeated.

    theta <- begin(summary)
    S      = sum over parts of statistics(part, theta)
    theta <- update(theta, S), as long as that raises log L(theta)

This is EM, and as well Fisher scoring: whatever finds its next parameters from sums over the rows.
Sums of parts merge by `+`, so that rows may come in one table, in chunks, from files or from other
machines, and one batch is a part like any other. A sum holds the log-likelihood of its rows at the
parameters it was taken at, and from pass to pass that must rise: parameters that do not raise it
are not taken. A model may propose several, the boldest first (a long step, then half of it; an
extrapolation, then the plain step): the first that rises is taken.

Several starts are several climbs of one run, and what a run has done can be written to checkpoints:
one that is killed goes on from the last of them to the same bits.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from operator import add
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import check_integer, warn
from ancestral.training.checkpoints import Checkpoints, end_by, interruptible
from ancestral.training.descent import seed_in_words
from ancestral.training.parts import Look, Parts, added, digest_of

FALL = 1e-9  # of the log-likelihood, or nats per observation: rounding explains no larger fall
ROOM = 1 << 20  # bytes of the parameters that checkpoints keep


@dataclass(frozen=True)
class Sums:
    """What one look at some rows gives, and with `+` what a look at more rows would have given.

    A model adds fields of its own: numbers and arrays, or what `merged_by` says how to merge.

    Parameters
    ----------
    log_likelihood : float
        Of the rows, at the parameters they were looked at with, in nats.
    n_observations : float
        Rows, or known entries: what `tol` is a gain for.
    """

    log_likelihood: float
    n_observations: float

    merged_by: ClassVar[dict[str, Callable[[Any, Any], Any]]] = {}  # fields that are no plain sum

    def __add__(self, other: Self) -> Self:
        names = [part.name for part in fields(self)]
        merges = [self.merged_by.get(name, add) for name in names]
        return type(self)(
            *(merge(getattr(self, k), getattr(other, k)) for merge, k in zip(merges, names))
        )

    def times(self, factor: float) -> Self:
        """Return the sums of as many times the rows."""
        return type(self)(*(factor * getattr(self, part.name) for part in fields(self)))


@dataclass(frozen=True)
class Fit:
    """Where a climb has come to.

    Parameters
    ----------
    parameters : any
        The best so far: a dataclass of arrays, numbers and further ones, or a tuple of such.
    history : list of float
        What was maximised, in nats, at the start and after each pass taken; it rises.
    converged : bool
        Whether there is no more than `tol` to gain.
    short_of : str
        How far it is from there, where `max_iter` passes ended it.
    statistics : Sums, optional
        Of all parts at the parameters.
    """

    parameters: Any
    history: list[float] = field(default_factory=list)
    converged: bool = False
    short_of: str = ""
    statistics: Any = None

    def warn_if_cut_short(self, max_iter: int, mend: str = "Raise max_iter.") -> None:
        """Warn where `max_iter` ended the fit."""
        if not self.converged:
            warn(f"the fit stopped after max_iter={max_iter} steps{self.short_of}. {mend}")


F = TypeVar("F", bound=Fit)


class FromPasses(ABC):
    """A model, or one fit of a model, that finds its parameters in passes over its data.

    An author writes three methods. A *part* is what `_statistics` is handed at a time: rows, or
    what the fit made of them beforehand. Accelerations are `_proposals`; a model that knows better
    than by its last gains how far the maximum is says so in `_to_gain`, or proposes nothing more.
    """

    _observation = "row"  # what tol is a gain for, in words

    @abstractmethod
    def _begin(self, summary: Any) -> Any:
        """Return the first parameters, from what a first look at the data gave."""

    @abstractmethod
    def _statistics(self, X: Any, parameters: Any) -> Any:
        """Return the sums of one part at these parameters."""

    @abstractmethod
    def _update(self, parameters: Any, statistics: Any) -> Any:
        """Return the next parameters, given the sums of all parts at these.

        Raises ModelError where they run to where the likelihood has no bound.
        """

    def _proposals(self, parameters: Any, statistics: Any) -> Iterable[Any]:
        """Yield the parameters to try next, the boldest first; none where there is no need to."""
        yield self._update(parameters, statistics)

    def _objective(self, parameters: Any, statistics: Any) -> float:
        """Return what is maximised: the log-likelihood, less a penalty where there is one."""
        return float(statistics.log_likelihood)

    def _to_gain(self, parameters: Any, history: list[float]) -> float:
        """Return how many nats more passes may still gain: what geometrically falling gains add up
        to, the last one included.
        """
        if len(history) < 3:
            return np.inf
        before, last = history[-2] - history[-3], history[-1] - history[-2]
        return last / (1 - last / before) if last < before else np.inf

    def _short_of(self, fit: Fit) -> str:
        """Say how far the last pass was from the maximum."""
        if len(fit.history) < 2:
            return ""
        gain = (fit.history[-1] - fit.history[-2]) / fit.statistics.n_observations
        return f", the last of which gained {gain:.2g} nats per {self._observation}"


class Passes:
    """The passes of one fit, over one start or several.

    Parameters
    ----------
    held : Checkpoints, optional
    every : int
        Passes between two checkpoints.
    signalled : callable
        Gives the signal to end that has come, or None.
    show : callable, optional
        Shows a line of progress.
    generator : dict, optional
        State of the random generator before the fit drew from it.
    state : dict, optional
        Of a checkpoint to go on from.
    """

    def __init__(
        self,
        held: Checkpoints | None = None,
        every: int = 50,
        *,
        signalled: Callable[[], int | None] = lambda: None,
        show: Callable[[str], None] | None = None,
        generator: Mapping[str, Any] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.held, self.every, self.signalled, self.show = held, every, signalled, show
        self.generator, self.n_climbs = generator, 0
        state = state or {}
        self.n_passes = state.get("step", 0)
        self.ended: dict[str, Any] = state.get("ended", {})  # climbs, by their number
        self.now: dict[str, Any] = state.get("now", {})  # the one under way, likewise

    def climb(
        self,
        model: FromPasses,
        parts: Parts[Any] | Iterable[Any],
        start: F,
        *,
        tol: float,
        max_iter: int,
    ) -> F:
        """Repeat passes until they gain no more.

        Parameters
        ----------
        model : FromPasses
        parts : Parts, or iterable
            Looked at in each pass.
        start : Fit
            Of the first parameters, or of an earlier climb to go on from.
        tol : float
            Stop where there is no more than this to gain, in nats per observation: the meaning
            does not change with the number of rows, nor with the units of their columns.
        max_iter : int
            Stop after so many passes, the one at the start among them; proposals that were not
            taken do not count.

        Returns
        -------
        Fit

        Warns
        -----
        AncestralWarning
            Where the last proposal lowers what is maximised by more than rounding does (`FALL`):
            the best parameters are kept.
        """
        fit, number = start, str(self.n_climbs)
        self.n_climbs += 1
        if (state := self.ended.get(number) or self.now.get(number)) is not None:
            fit = _alike(fit, state)
        while number not in self.ended and not fit.converged:
            fit = self._looked_at(model, parts, fit)
            n = fit.statistics.n_observations
            if model._to_gain(fit.parameters, fit.history) <= tol * n:
                fit = replace(fit, converged=True)
            elif len(fit.history) >= max_iter:
                fit = replace(fit, short_of=model._short_of(fit))
                break
            else:
                fit = self._further(model, parts, fit)
                self._note(number, fit, model._observation)
        if self.held is not None:
            self.ended[number] = _plain(fit)
        return self._looked_at(model, parts, fit)

    def sweep(
        self,
        model: FromPasses,
        batches: Sequence[Any] | Callable[[int], Iterable[Any]],
        start: F,
        *,
        n_observations: float,
        n_sweeps: int = 1,
        rate: Callable[[int], float] = lambda step: (step + 1) ** -0.7,
        after: Callable[[int, Any], bool] = lambda sweep, parameters: False,
    ) -> F:
        """Update after every batch, before the first pass over all rows.

        Parameters
        ----------
        model : FromPasses
            Whose sums are plain ones.
        batches : sequence, or callable
            Parts that together are all rows, in an order drawn beforehand; or those of each sweep,
            given its number.
        start : Fit
            Its statistics, where it has any, are those before the first step.
        n_observations : float
            Of all batches.
        n_sweeps : int
            How often all are looked at.
        rate : callable
            Step t takes rate(t) of its batch's sums, scaled up to all observations, and what is
            left to 1 of those before it. Without statistics at the start the first is taken whole.
        after : callable
            Given the number of a sweep and the parameters after it; True ends the sweeps.

        Returns
        -------
        Fit
            Without a history: no pass over all rows has told the likelihood.

        References
        ----------
        Cappe & Moulines (2009), On-line expectation-maximization algorithm for latent data models,
        JRSS B 71, section 2.
        """
        number = str(self.n_climbs)
        self.n_climbs += 1
        if number in self.ended:
            return _alike(start, self.ended[number])
        parameters, blended, step = start.parameters, start.statistics, 0
        for sweep in range(n_sweeps):
            for batch in batches(sweep) if callable(batches) else batches:
                found = model._statistics(batch, parameters)
                share, step = rate(step), step + 1
                whole = n_observations / found.n_observations
                if blended is None:
                    blended = found.times(whole)
                else:
                    blended = blended.times(1 - share) + found.times(share * whole)
                parameters = model._update(parameters, blended)
                self.end_if_signalled()
            if after(sweep, parameters):
                break
        fit = replace(start, parameters=parameters, statistics=None)
        self.ended[number] = _plain(fit)
        return fit

    def _looked_at(self, model: FromPasses, parts: Parts[Any] | Iterable[Any], fit: F) -> F:
        """Return a fit with the sums of its parameters."""
        if fit.statistics is not None:
            return fit
        statistics = _total(model, parts, fit.parameters)
        history = fit.history or [model._objective(fit.parameters, statistics)]
        return replace(fit, statistics=statistics, history=history)

    def _further(self, model: FromPasses, parts: Parts[Any] | Iterable[Any], fit: F) -> F:
        """Return the fit after the first proposal that rises; the same one, converged, if none."""
        before, value = fit.history[-1], None
        for parameters in model._proposals(fit.parameters, fit.statistics):
            statistics = _total(model, parts, parameters)
            value = model._objective(parameters, statistics)
            if value > before:
                history = [*fit.history, value]
                return replace(fit, parameters=parameters, history=history, statistics=statistics)
        slack = FALL * max(abs(before), fit.statistics.n_observations)
        if value is not None and not value >= before - slack:
            warn(
                f"the log-likelihood fell from {before:.10g} to {value:.10g} nats in pass "
                f"{len(fit.history)}, by more than rounding explains. The parameters before it are "
                "kept. Scale the columns to similar units."
            )
        return replace(fit, converged=True)

    # ---- shown, and kept ------------------------------------------------------------------------

    def _note(self, number: str, fit: Fit, observation: str) -> None:
        """Show a pass, and write a checkpoint where one is due or a signal came."""
        self.n_passes, self.now = self.n_passes + 1, {}
        if self.show is not None:
            start = f"start {self.n_climbs}, " * (self.n_climbs > 1)
            value = fit.history[-1] / fit.statistics.n_observations
            self.show(f"{start}pass {len(fit.history)}: {value:.6f} nats per {observation}")
        if self.held is not None:
            self.now = {number: fit}
            if self.n_passes % self.every == 0:
                self.save()
            self.end_if_signalled()

    def save(self) -> None:
        """Write a checkpoint."""
        if self.held is not None:
            now = {number: _plain(fit) for number, fit in self.now.items()}
            state = {"ended": self.ended, "now": now, "generator": self.generator}
            self.held.save(self.n_passes, state)

    def end_if_signalled(self) -> None:
        """Save and stop, where a signal to end has come."""
        if (number := self.signalled()) is not None:
            self.save()
            raise _Stopped(number)


class _Stopped(BaseException):
    """A signal to end came, and all is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def passes_of(
    model: Any,
    *data: NDArray | Parts[Any] | None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 50,
    rng: np.random.Generator | None = None,
) -> Iterator[Passes]:
    """Give the passes of one public fit: shown where the model is verbose, kept in a folder.

    Parameters
    ----------
    model : scikit-learn estimator
        Its parameters are what a fit must share with another to go on from its checkpoints.
    *data : Parts, ndarray or None
        And so are these.
    checkpoint : path-like, optional
        A folder, held meanwhile. Ctrl-C then ends the pass under way, saves and stops.
    every : int
        Passes between two checkpoints.
    rng : numpy.random.Generator, optional
        What the fit will draw from. A fit that goes on draws what it drew the first time.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, once the checkpoint is written.
    """
    every = check_integer(every, "checkpoint_every", minimum=1)
    generator = None if rng is None else rng.bit_generator.state
    with progress(type(model).__name__, shown=getattr(model, "verbose", False)) as show:
        if checkpoint is None:
            yield Passes(show=show)
            return
        held = Checkpoints(checkpoint, _settings(model, data), ROOM)
        try:
            with held, interruptible() as signalled:
                state = held.latest() or {}
                if rng is not None and state:
                    rng.bit_generator.state = generator = state["generator"]
                run = Passes(
                    held, every, signalled=signalled, show=show, generator=generator, state=state
                )
                yield run
                run.end_if_signalled()
        except _Stopped as stopped:
            end_by(
                stopped.number,
                f"the fit was stopped after pass {run.n_passes} and saved. To resume, fit again "
                f"with checkpoint={str(held.folder)!r}.",
            )


def _settings(model: Any, data: tuple[Any, ...]) -> dict[str, Any]:
    """Return what a fit must share with another to be the same: parameters, and the data's bits."""
    of_parts = [part.identity for part in data if isinstance(part, Parts)]
    digest = of_parts[0] if of_parts else digest_of(data)
    settings = {k: v for k, v in model.get_params(deep=False).items() if k != "verbose"}
    if "random_state" in settings:
        settings["random_state"] = seed_in_words(settings["random_state"])
    return {**settings, "data": digest}


@contextmanager
def progress(name: str, *, shown: bool) -> Iterator[Callable[[str], None] | None]:
    """Give a function that shows a line on stderr, None where nothing is to be shown."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}")
    with Progress(text, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda line: bar.update(task, description=f"{name} {line}")


def _total(model: FromPasses, parts: Parts[Any] | Iterable[Any], parameters: Any) -> Any:
    """Return the sums of all parts at some parameters."""
    look = Look(model, parameters)
    return parts.total(look) if isinstance(parts, Parts) else added(map(look, parts))


def _plain(value: Any) -> Any:
    """Return what a checkpoint holds of parameters, or of a fit without its sums."""
    if is_dataclass(value):
        names = [part.name for part in fields(value) if part.name != "statistics"]
        return {name: _plain(getattr(value, name)) for name in names}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _alike(template: Any, plain: Any) -> Any:
    """Undo `_plain`, given a value of the same classes."""
    if is_dataclass(template) and not isinstance(template, type):
        found = {name: _alike(getattr(template, name), one) for name, one in plain.items()}
        return type(template)(**found)
    return (
        tuple(_alike(template[0], one) for one in plain) if isinstance(template, tuple) else plain
    )
