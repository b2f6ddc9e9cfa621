"""How the LSTM is trained: Adam over weighted distinct rows, in PyTorch.

The loss is the mean of -log p(x) in nats; its floor is the entropy of the training rows. The rate
rises over a short warm-up, holds, and falls along half a cosine. The best weights seen are kept,
and stand at the end whatever happened after them.

With a folder for checkpoints, all that the next step depends on is saved every so many steps:
weights, Adam's moments, the generator, what is left of the pass. A run resumed from there takes
the same steps to the bit as one that was never stopped.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.checkpoints import Checkpoints, end_by, interruptible
from ancestral.errors import AncestralWarning, MissingExtraError, ModelError

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress

    from ancestral.autoregressive.lstm import LSTMAutoregressive

WARM_UP = 30  # steps over which the learning rate rises
HOLD = 1 / 16  # share of the steps before it falls (a cosine)
LAST_RATE = 0.02  # of the full rate, reached at the last step
BETAS = (0.9, 0.99)
CLIP = 0.5  # gradient norm
SCORED_AT_ONCE = 8192  # rows
SMALL = 100_000  # weights: below, a second thread only costs

Weights = dict[str, NDArray[np.float64]]


@dataclass
class Progressed:
    """Where a run stands, apart from the network and its optimiser."""

    step: int
    best: Weights
    best_loss: float = math.inf
    gained_at: int = 0  # the last step that gained something worth waiting for
    history: list[dict[str, float]] = field(default_factory=list)
    pending: list[NDArray[np.intp]] = field(default_factory=list)  # batches left of this pass


class Training:
    """One run of Adam over weighted distinct rows; keeps the best weights it has seen."""

    def __init__(
        self,
        model: LSTMAutoregressive,
        rows: NDArray[np.intp],
        share: NDArray[np.float64],
        settings: dict[str, Any],
        rng: np.random.Generator,
    ) -> None:
        torch = import_torch()
        self.model, self.settings, self.rng = model, settings, rng
        self.device = _device(model.device)
        self.network = network(model._n_inputs, model.hidden_size, model.num_layers)
        set_weights(self.network, model.weights_)
        self.network.to(self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=1.0, betas=BETAS)
        letters = np.stack([model._letters[i][rows[:, i]] for i in range(rows.shape[1])], axis=1)
        self.data = hashlib.sha256(letters.tobytes() + share.tobytes()).hexdigest()
        self.letters = torch.as_tensor(letters, device=self.device)  # (n, d)
        self.share = torch.as_tensor(share, dtype=torch.float32, device=self.device)
        self.barred = self._barred()
        self.n_batches = math.ceil(len(rows) / (settings["batch_size"] or len(rows)))
        self.at = Progressed(0, model.weights_)

    def run(
        self, folder: str | os.PathLike[str] | None, every: int
    ) -> tuple[Weights, list[dict[str, float]]]:
        """Train; return the best weights and the history.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, with a folder: the step is finished and saved, and the message says how
            to resume.
        """
        held = Checkpoints(folder, self._identity()) if folder is not None else None
        catch = interruptible() if held else nullcontext(lambda: None)
        with held or nullcontext(), catch as signalled:
            if held and (state := held.latest()):
                self._resume(state)
            with _threads(self.model.n_parameters_, self.device), self._progress() as show:
                stopped = self._run(show, held, every, signalled)
        if stopped is not None and held:
            end_by(
                stopped,
                f"training was stopped after step {self.at.step} and saved. To resume, fit again "
                f"with checkpoint={str(held.folder)!r}.",
            )
        if self.settings["max_steps"] == 0:
            _warn("max_steps=0: the LSTM is untrained, its weights are the random start.")
        return self.at.best, self.at.history

    def _run(self, show: Any, held: Checkpoints | None, every: int, signalled: Any) -> int | None:
        """Take steps until nothing is gained; return the signal that ended it early, if any."""
        at, most = self.at, self.settings["max_steps"]
        loss = None
        while True:
            if not at.pending:  # a pass begins
                # With one batch the loss that is shown is also the one that is descended.
                loss = self._loss(slice(None)) if self.n_batches == 1 else self._whole_loss()
                if not self._keep(float(loss.detach())):
                    return None
                show(at.step, at.history[-1]["loss"])
                if at.step >= most or self._is_done():
                    return None
                at.pending = self._batches()[: most - at.step]
            batch = at.pending.pop(0)
            if loss is None or self.n_batches > 1:
                loss = self._loss(batch)
            self._descend(loss)
            at.step += 1
            stopped = signalled()
            if held and (stopped is not None or at.step % every == 0):
                held.save(at.step, self._state())
            if stopped is not None:
                return stopped

    # ---- what a checkpoint holds ----------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """Return what a run must share with another to be the same."""
        seed = self.model.random_state
        return {
            "data": self.data,
            "hidden_size": self.model.hidden_size,
            "num_layers": self.model.num_layers,
            "random_state": seed if isinstance(seed, int | None) else type(seed).__name__,
            **self.settings,
        }

    def _state(self) -> dict[str, Any]:
        """Return all that the next step depends on, as arrays and plain values."""
        moments = self.optimiser.state_dict()["state"]
        return {
            "weights": weights_of(self.network),
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
        }

    def _resume(self, state: dict[str, Any]) -> None:
        """Take up where a checkpoint was written."""
        torch = import_torch()
        set_weights(self.network, state["weights"])
        whole = self.optimiser.state_dict()
        whole["state"] = {
            i: {name: torch.as_tensor(value) for name, value in moments.items()}
            for i, moments in enumerate(state["moments"])
        }
        self.optimiser.load_state_dict(whole)
        self.rng.bit_generator.state = state["generator"]
        self.at = Progressed(
            state["step"],
            state["best"],
            state["best_loss"],
            state["gained_at"],
            state["history"],
            state["pending"],
        )

    # ---- a step ---------------------------------------------------------------------------------

    def _descend(self, loss: torch.Tensor) -> None:
        """Take one step of Adam down the gradient of `loss`."""
        torch = import_torch()
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(self.at.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, level, then half a cosine."""
        most, full = self.settings["max_steps"], self.settings["learning_rate"]
        held = max(WARM_UP, round(HOLD * most))
        if step < held:
            return float(full * min(1.0, (step + 1) / WARM_UP))
        way = (step - held) / max(1, most - held)
        return float(full * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * way)) / 2))

    def _batches(self) -> list[NDArray[np.intp]]:
        """Return which rows each step of one pass takes."""
        if self.n_batches == 1:
            return [np.arange(len(self.letters))]
        return list(np.array_split(self.rng.permutation(len(self.letters)), self.n_batches))

    def _loss(self, rows: Any) -> torch.Tensor:
        """Return the weighted mean of -log p over some rows, in nats, differentiable."""
        share = self.share[rows]
        return self._row_losses(self.letters[rows]) @ (share / share.sum())

    def _whole_loss(self) -> torch.Tensor:
        """Return the loss of all rows, without a gradient."""
        torch = import_torch()
        with torch.no_grad():
            losses = [self._row_losses(part) for part in self.letters.split(SCORED_AT_ONCE)]
            return torch.cat(losses) @ self.share

    def _row_losses(self, letters: torch.Tensor) -> torch.Tensor:
        """Return -log p of each row in nats, shape (n,)."""
        torch = import_torch()
        functional = torch.nn.functional
        n, d = letters.shape
        if self.model._is_binary:
            values = letters.to(torch.float32)[:, :, None]  # (n, d, 1)
        else:
            values = functional.one_hot(letters, len(self.model._alphabet)).to(torch.float32)
        before = torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], dim=1)
        hidden, _ = self.network["lstm"](before)
        logits = self.network["head"](hidden)  # (n, d, n_inputs)
        if self.model._is_binary:
            losses = functional.binary_cross_entropy_with_logits(logits, values, reduction="none")
            return losses.sum(dim=(1, 2))
        logits = logits + self.barred
        flat = functional.cross_entropy(
            logits.reshape(n * d, -1), letters.reshape(-1), reduction="none"
        )
        return flat.reshape(n, d).sum(dim=1)

    def _barred(self) -> torch.Tensor:
        """Return 0 for a variable's own letters and -inf for all others, shape (d, letters)."""
        torch = import_torch()
        barred = np.full((len(self.model._letters), len(self.model._alphabet)), -np.inf)
        for i, own in enumerate(self.model._letters):
            barred[i, own] = 0.0
        return torch.as_tensor(barred, dtype=torch.float32, device=self.device)

    def _keep(self, loss: float) -> bool:
        """Note the loss, keep the weights if they are the best; False ends the training."""
        at, floor = self.at, self.model.floor_
        if not math.isfinite(loss):
            _warn(
                f"the loss is {loss} at step {at.step}: training stopped, the best weights (loss "
                f"{at.best_loss:g}) were restored. Lower learning_rate="
                f"{self.settings['learning_rate']:g}."
            )
            return False
        at.history.append(
            {
                "step": at.step,
                "loss": loss,
                "floor": floor,
                "excess": loss - floor,
                "learning_rate": self._rate(at.step),
            }
        )
        if loss < at.best_loss - self.settings["tol"] / 10:
            at.gained_at = at.step
        if loss < at.best_loss:
            at.best_loss, at.best = loss, weights_of(self.network)
        return True

    def _is_done(self) -> bool:
        """Tell whether more training would not help."""
        reached = self.at.best_loss - self.model.floor_ < self.settings["tol"]
        return reached or self.at.step - self.at.gained_at >= self.settings["patience"]

    @contextmanager
    def _progress(self) -> Iterator[Any]:
        """Give a function that shows step and loss, on stderr where `verbose`."""
        if not self.model.verbose:
            yield lambda step, loss: None
            return
        with _progress_bar() as bar:
            floor = self.model.floor_
            task = bar.add_task(
                "LSTM", total=self.settings["max_steps"], loss=math.nan, floor=floor
            )
            yield lambda step, loss: bar.update(task, completed=step, loss=loss)


def _progress_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description} step {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=24),
        TextColumn("loss {task.fields[loss]:.4f}, floor {task.fields[floor]:.4f} nats"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def import_torch() -> Any:
    """Return the torch module, or say which extra brings it."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            'training an LSTM needs PyTorch. Install it: pip install "ancestral[neural]".'
        ) from None
    return torch


def network(n_inputs: int, hidden_size: int, num_layers: int) -> torch.nn.ModuleDict:
    """Return the modules without spending random numbers on a start they won't keep."""
    torch = import_torch()
    with torch.device("meta"):
        lstm = torch.nn.LSTM(n_inputs, hidden_size, num_layers, batch_first=True)
        head = torch.nn.Linear(hidden_size, n_inputs)
        network = torch.nn.ModuleDict({"lstm": lstm, "head": head})
    return network.to_empty(device="cpu")


def set_weights(network: torch.nn.ModuleDict, weights: Weights) -> None:
    torch = import_torch()
    network.load_state_dict(
        {name: torch.as_tensor(value, dtype=torch.float32) for name, value in weights.items()}
    )


def weights_of(network: torch.nn.ModuleDict) -> Weights:
    """Return the weights as float64 arrays of their own."""
    return {
        name: value.detach().cpu().numpy().astype(np.float64)
        for name, value in network.state_dict().items()
    }


def _device(name: Any) -> torch.device:
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
def _threads(n_parameters: int, device: torch.device) -> Iterator[None]:
    """Train small networks on one thread: faster, and the same bits every time.

    On a GPU, the same bits by cuDNN's deterministic kernels, and whole float32: its short form
    (TF32) has three digits.
    """
    torch = import_torch()
    before = torch.get_num_threads()
    if device.type == "cpu" and n_parameters < SMALL:
        torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


def _warn(message: str) -> None:
    warnings.warn(message, AncestralWarning, stacklevel=2)
