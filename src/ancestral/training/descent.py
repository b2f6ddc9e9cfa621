"""Adam down a network's loss, for every model that trains one.

Passes over the rows, each a few steps of one batch. At the head of a pass the loss of all rows is
noted; the best weights seen are kept, and stand at the end whatever happened after them. Where rows
are held out, the best weights are those of the lowest loss of these, and training stops once that
has not fallen for `n_iter_no_change` passes. A training that its steps ended while the loss still
fell says so.

Of parts larger than memory each is a pass of its own: `ancestral.training.batches` says in which
order, and by which rows training is judged.

With a folder for checkpoints, all that the next step depends on is saved every so many steps:
weights, Adam's moments, the generator, what is left of the pass. A run resumed from there takes
the same steps to the bit as one that was never stopped. This and what derives from it is where
PyTorch is met; it is imported when something is trained.
"""

from __future__ import annotations

import math
import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import check_integer, check_number, warn
from ancestral._extras import import_extra
from ancestral.errors import DataError, ModelError
from ancestral.training.batches import Draw, Feed, FirstLook, Seen
from ancestral.training.checkpoints import KEPT, Checkpoints, end_by, interruptible
from ancestral.training.parts import Part, Parts

if TYPE_CHECKING:
    import torch

Weights = dict[str, NDArray[np.float64]]
LARGEST = float(np.finfo(np.float32).max)
ROOM = 1 << 16  # bytes of a checkpoint beside its arrays: names, settings
STILL = 1 / 20  # of all gains: so much in the last quarter is twice that quarter's share of rates


@dataclass
class Progressed:
    """Where a run stands, apart from the network and its optimiser."""

    step: int
    best: Weights
    best_loss: float = math.inf  # of the rows held out, where there are any
    gained_at: int = 0  # the last step that gained something worth waiting for
    last: float = math.nan  # what was judged last; no number where the loss is lost
    history: list[dict[str, float]] = field(default_factory=list)
    pending: list[NDArray[np.intp]] = field(default_factory=list)  # batches left of this pass
    left: list[int] = field(default_factory=list)  # parts of this pass over all, this one first


class Descent(ABC):
    """One run of Adam; a model says what its loss, rate and batches are.

    Parameters
    ----------
    tensors : iterable of torch.Tensor
        What is trained.
    start : dict of ndarray
        Their values by name.
    settings : dict of plain values
        What a run must share with another to be the same: all parameters that matter, and a
        digest of the data. "max_steps", "learning_rate" and "tol" are read here, and
        "n_iter_no_change" where rows are held out.
    rng : numpy.random.Generator
        Draws the batches.
    feed : Feed, optional
        Gives the parts that are trained on, where memory does not hold them: "batch_size" is then
        a number.
    """

    betas = (0.9, 0.999)
    clip = 1.0  # gradient norm

    def __init__(
        self,
        tensors: Iterable[torch.Tensor],
        start: Weights,
        settings: dict[str, Any],
        rng: np.random.Generator,
        feed: Feed | None = None,
    ) -> None:
        torch = import_torch()
        self.tensors, self.settings, self.rng, self.feed = list(tensors), settings, rng, feed
        self.optimiser = torch.optim.Adam(self.tensors, lr=1.0, betas=self.betas)
        self.at = Progressed(0, start)

    # ---- what a model says ----------------------------------------------------------------------

    @abstractmethod
    def _weights(self) -> Weights:
        """Return the weights as they stand, in float64 arrays of their own."""

    @abstractmethod
    def _set_weights(self, weights: Weights) -> None:
        """Put weights into the network."""

    @abstractmethod
    def _take(self, part: tuple[NDArray, ...]) -> None:
        """Train on the rows of this part from here on: a feed gave it."""

    @abstractmethod
    def _batches(self) -> list[NDArray[np.intp]]:
        """Return which rows each step of one pass takes."""

    @abstractmethod
    def _loss(self, rows: Any) -> torch.Tensor:
        """Return the loss of some rows, differentiable."""

    @abstractmethod
    def _whole_loss(self) -> torch.Tensor:
        """Return the loss of all rows, differentiable where one batch holds them all.

        With a feed, of those by which the training is judged.
        """

    def _held_out_loss(self) -> float | None:
        """Return the loss of the rows held out, None where there are none."""
        return None

    @abstractmethod
    def _rate(self, step: int) -> float:
        """Return the learning rate of a step."""

    @abstractmethod
    def _is_done(self) -> bool:
        """Tell whether more training would not help; asked where no rows are held out."""

    def _record(self, step: int, loss: float) -> dict[str, float]:
        """Return what the history says of a pass."""
        return {"step": step, "loss": loss}

    def _least_gain(self) -> float:
        """Return how much lower a loss must be for its step to have gained something."""
        return float(self.settings["tol"])

    def _fell_short(self) -> str:
        """Return where training ended short of what it could reach, and the mend; "" if nowhere."""
        most, noted, name = self.settings["max_steps"], self.at.history, self._judged
        early = [row[name] for row in noted if row["step"] <= 0.75 * most]
        if self.at.step < most or not early:
            return ""
        best = min(row[name] for row in noted)
        gained, late = noted[0][name] - best, min(early) - best
        if not late > max(STILL * gained, self._least_gain()):
            return ""
        more = "Pass a larger max_steps= or learning_rate="
        if name == "loss":
            more += "; early_stopping=True holds rows out, which show when more steps do harm"
        return (
            f"max_steps={most} ended the training while the {name.replace('_', ' ')} still fell, "
            f"by {late:.3g} nats per row in the last quarter of the steps. {more}."
        )

    def _progress(self) -> AbstractContextManager[Callable[[int, float], None]]:
        """Give a function that shows step and loss."""
        return nullcontext(lambda step, loss: None)

    # ---- the run --------------------------------------------------------------------------------

    def run(
        self, folder: str | os.PathLike[str] | None, every: int
    ) -> tuple[Weights, list[dict[str, float]]]:
        """Train; return the best weights and the history.

        Parameters
        ----------
        folder : path-like or None
            Where checkpoints are kept; a run found there is resumed.
        every : int
            Steps between two of them.

        Raises
        ------
        SaveError
            Before training, when the folder cannot be written or its disk is full.
        KeyboardInterrupt
            After Ctrl-C, with a folder: the step is finished and saved, and the message says how
            to resume.
        """
        every = check_integer(every, "checkpoint_every", minimum=1)
        held = None if folder is None else Checkpoints(folder, self.settings, self._room())
        catch = interruptible() if held else nullcontext(lambda: None)
        with held or nullcontext(), catch as signalled:
            if held and (state := held.latest()):
                self._resume(state)
            with self._progress() as show:
                stopped = self._run(show, held, every, signalled)
        ended = stopped is None and math.isfinite(self.at.last)
        if ended and (short := self._unseen() or self._fell_short()):
            warn(short)
        if stopped is not None and held:
            end_by(
                stopped,
                f"training was stopped after step {self.at.step} and saved. To resume, fit again "
                f"with checkpoint={str(held.folder)!r}.",
            )
        return self.at.best, self.at.history

    def _run(self, show: Any, held: Checkpoints | None, every: int, signalled: Any) -> int | None:
        """Take steps until nothing is gained; return the signal that ended it early, if any."""
        at, most = self.at, self.settings["max_steps"]
        loss = None
        while True:
            if not at.pending:  # a pass begins
                loss = self._whole_loss()
                if not self._keep(float(loss.detach())):
                    return None
                show(at.step, at.history[-1]["loss"])
                if at.step >= most or self._is_over():
                    return None
                if self.feed is not None:
                    part, at.left = self.feed.next(at.left, self.rng)
                    self._take(part)
                at.pending = self._batches()[: most - at.step]
            batch = at.pending.pop(0)
            # With one batch the loss that was noted is also the one that is descended.
            self._descend(loss if loss is not None and loss.requires_grad else self._loss(batch))
            at.step += 1
            stopped = signalled()
            if held and (stopped is not None or at.step % every == 0):
                held.save(at.step, self._state())
            if stopped is not None:
                return stopped

    def _descend(self, loss: torch.Tensor) -> None:
        """Take one step of Adam down the gradient of `loss`."""
        torch = import_torch()
        rate = self._rate(self.at.step)
        if rate > LARGEST * (1 - self.betas[0]):  # Adam's step, larger at first, would overflow
            rate = math.inf  # so that the loss is lost, and said, instead of PyTorch refusing
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tensors, self.clip)
        self.optimiser.step()

    def _keep(self, loss: float) -> bool:
        """Note the loss, keep the weights if they are the best; False ends the training."""
        at, held_out = self.at, self._held_out_loss()
        at.last = judged = loss if held_out is None or not math.isfinite(loss) else held_out
        if not math.isfinite(judged):
            warn(
                f"the loss is {judged} at step {at.step}: training stopped, the best weights (loss "
                f"{at.best_loss:g}) were restored. Lower learning_rate="
                f"{self.settings['learning_rate']:g}."
            )
            return False
        at.history.append(self._record(at.step, loss))
        if held_out is not None:
            at.history[-1]["validation_loss"] = held_out
        if judged < at.best_loss - self._least_gain():
            at.gained_at = at.step
        if judged < at.best_loss:
            at.best_loss, at.best = judged, self._weights()
        return True

    def _unseen(self) -> str:
        """Say that a training ended before it had seen all rows, and the mend; "" if not so."""
        most, size = self.settings["max_steps"], self.settings["batch_size"]
        if self.feed is None or not most or (seen := self.at.step * size) >= self.feed.n_rows:
            return ""
        return (
            f"the training ended at step {self.at.step} of {most}, of {size} rows each: it used "
            f"about {seen} of {self.feed.n_rows} rows. Pass a larger max_steps= or batch_size=."
        )

    @property
    def _judged(self) -> str:
        """What of the history tells which weights are the best."""
        return "validation_loss" if "validation_loss" in self.at.history[0] else "loss"

    def _is_over(self) -> bool:
        """Tell whether more training would not help."""
        if self._judged == "loss":
            return self._is_done()
        since = sum(row["step"] > self.at.gained_at for row in self.at.history)
        return bool(since >= self.settings["n_iter_no_change"])

    # ---- what a checkpoint holds ----------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        """Return all that the next step depends on, as arrays and plain values."""
        moments = self.optimiser.state_dict()["state"]
        return {
            "weights": self._weights(),
            "moments": [
                {name: np.asarray(value.cpu()) for name, value in moments[i].items()}
                for i in range(len(moments))
            ],
            "generator": self.rng.bit_generator.state,
            "best": self.at.best,
            "best_loss": self.at.best_loss,
            "gained_at": self.at.gained_at,
            "history": self.at.history,
            "pending": list(self.at.pending),
            "left": list(self.at.left),
        }

    def _resume(self, state: dict[str, Any]) -> None:
        """Take up where a checkpoint was written."""
        torch = import_torch()
        self._set_weights(state["weights"])
        whole = self.optimiser.state_dict()
        whole["state"] = {
            i: {name: torch.as_tensor(value) for name, value in moments.items()}
            for i, moments in enumerate(state["moments"])
        }
        self.optimiser.load_state_dict(whole)
        self.rng.bit_generator.state = state["generator"]
        names = ("step", "best", "best_loss", "gained_at", "history", "pending", "left")
        self.at = Progressed(**{name: state[name] for name in names if name in state})
        if self.feed is not None and self.at.pending:
            self._take(self.feed.resumed(self.at.left))

    def _room(self) -> int:
        """Return the bytes that checkpoints take at once: weights, best ones, two moments each."""
        return (KEPT + 1) * (4 * sum(value.nbytes for value in self.at.best.values()) + ROOM)


@dataclass(frozen=True)
class Validation:
    """Whether and how a fit holds rows out.

    Parameters
    ----------
    early_stopping : bool
        Hold out a share of the rows of `fit`, where the caller gives none.
    validation_fraction : float
        That share.
    n_iter_no_change : int
        Passes without a gain that end the training.
    """

    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int

    @classmethod
    def of(cls, model: Any) -> Validation:
        """Return the checked parameters of a model."""
        share = check_number(model.validation_fraction, "validation_fraction")
        if not 0 < share < 1:
            raise ModelError(
                f"validation_fraction must be above 0 and below 1; got {share:g}. Pass 0.1 to hold "
                "out every tenth row."
            )
        waited = check_integer(model.n_iter_no_change, "n_iter_no_change", minimum=1)
        return cls(bool(model.early_stopping), share, waited)

    def split(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which of n rows are trained on and which are held out, each in order."""
        n_out = math.ceil(self.validation_fraction * n)
        if n - n_out < 2:
            raise ModelError(
                f"validation_fraction={self.validation_fraction:g} holds out {n_out} of {n} rows "
                "and leaves fewer than 2 to train on. Lower it, add rows, or pass X_val=."
            )
        order = rng.permutation(n)
        return np.sort(order[n_out:]), np.sort(order[:n_out])

    def seen_in(
        self,
        parts: Parts[Part],
        own: Callable[[Part, tuple[NDArray, ...]], Any],
        rng: np.random.Generator,
        random_state: Any,
        checkpoint: Any,
    ) -> tuple[Seen[Any], Draw]:
        """Return what a first look at parts finds, and which of their rows it held out."""
        draw = Draw(0, 0.0)
        if self.early_stopping:
            self.refuse_other_rows(random_state, checkpoint)
            draw = Draw(int(rng.integers(1 << 62)), self.validation_fraction)
        seen = parts.total(FirstLook(draw, own))
        seen.refuse_too_few(draw.share)
        return seen, draw

    def refuse_other_rows(self, random_state: Any, checkpoint: Any) -> None:
        """Raise ModelError where a run that is resumed would hold out other rows."""
        if checkpoint is not None and not isinstance(random_state, numbers.Integral):
            raise ModelError(
                "with early_stopping=True and a checkpoint, random_state must be an integer, so "
                f"that a run that is resumed holds out the same rows; got {random_state!r}. Pass "
                "random_state=0."
            )


@contextmanager
def of_validation() -> Iterator[None]:
    """Let errors of checks of X and y say that these are X_val and y_val."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"in the validation rows (X_val=): {error}") from None


def import_torch() -> Any:
    """Return the torch module, or say which extra brings it."""
    return import_extra("torch", "training a network", "neural")


def as_device(name: Any) -> torch.device:
    """Return a device PyTorch can reach."""
    torch = import_torch()
    if str(name).startswith("cuda"):  # read when CUDA starts; without it LSTM steps vary in bits
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, TypeError, AssertionError, ValueError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise ModelError(f'device={name!r} cannot be used ({why}). Pass device="cpu".') from None
    return device


@contextmanager
def repeatable(device: torch.device, *, one_thread: bool) -> Iterator[None]:
    """Train so that a seed gives the same bits every time.

    Small networks on one thread, which is faster, too. On a GPU by cuDNN's deterministic kernels,
    and in whole float32: its short form (TF32) has three digits.
    """
    torch = import_torch()
    before = torch.get_num_threads()
    if device.type == "cpu" and one_thread:
        torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


def seed_in_words(random_state: Any) -> int | str | None:
    """Return what tells one seed from another in a checkpoint's settings."""
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return None if random_state is None else type(random_state).__name__
