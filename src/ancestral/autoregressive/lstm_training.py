"""How the LSTM is trained: Adam over weighted distinct rows, in PyTorch.

The loss is the mean of -log p(x) in nats; its floor is the entropy of the training rows. The rate
rises over a short warm-up, holds, and falls along half a cosine. Checkpoints and the best weights
are kept as `ancestral.training.descent` says.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral.training.descent import (
    Descent,
    Weights,
    as_device,
    import_torch,
    repeatable,
    seed_in_words,
)

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress

    from ancestral.autoregressive.lstm import LSTMAutoregressive

WARM_UP = 30  # steps over which the learning rate rises
HOLD = 1 / 16  # share of the steps before it falls (a cosine)
LAST_RATE = 0.02  # of the full rate, reached at the last step
SCORED_AT_ONCE = 8192  # rows
ROUNDING = 2e-6  # of the loss in float32, which is summed over variables and rows: 16 last places
SMALL = 100_000  # weights: below, a second thread only costs


class Training(Descent):
    """One run of Adam over weighted distinct rows."""

    betas = (0.9, 0.99)
    clip = 0.5

    def __init__(
        self,
        model: LSTMAutoregressive,
        rows: NDArray[np.intp],
        share: NDArray[np.float64],
        settings: dict[str, Any],
        rng: np.random.Generator,
    ) -> None:
        torch = import_torch()
        self.model, self.device = model, as_device(model.device)
        self.network = network(model._n_inputs, model.hidden_size, model.num_layers)
        set_weights(self.network, model.weights_)
        self.network.to(self.device)
        letters = np.stack([model._letters[i][rows[:, i]] for i in range(rows.shape[1])], axis=1)
        data = hashlib.sha256(letters.tobytes() + share.tobytes()).hexdigest()
        seed = seed_in_words(model.random_state)
        settings = {**settings, "data": data, "random_state": seed}
        super().__init__(self.network.parameters(), model.weights_, settings, rng)
        self.letters = torch.as_tensor(letters, device=self.device)  # (n, d)
        self.share = torch.as_tensor(share, dtype=torch.float32, device=self.device)
        self.barred = self._barred()
        self.n_batches = math.ceil(len(rows) / (settings["batch_size"] or len(rows)))

    def run(
        self, folder: str | os.PathLike[str] | None, every: int
    ) -> tuple[Weights, list[dict[str, float]]]:
        with repeatable(self.device, one_thread=self.model.n_parameters_ < SMALL):
            return super().run(folder, every)

    def _weights(self) -> Weights:
        return weights_of(self.network)

    def _set_weights(self, weights: Weights) -> None:
        set_weights(self.network, weights)

    # ---- a step ---------------------------------------------------------------------------------

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
        """Return the loss of all rows; many batches need no gradient of it."""
        torch = import_torch()
        if self.n_batches == 1:
            return self._loss(slice(None))
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

    def _record(self, step: int, loss: float) -> dict[str, float]:
        floor, rate = self.model.floor_, self._rate(step)
        excess = loss - floor
        return {"step": step, "loss": loss, "floor": floor, "excess": excess, "learning_rate": rate}

    def _least_gain(self) -> float:
        return float(self.settings["tol"] / 10)

    def _is_done(self) -> bool:
        """Tell whether more training would not help."""
        rounding = ROUNDING * abs(self.at.best_loss)  # so that `loss_`, in float64, is within tol
        reached = self.at.best_loss + rounding - self.model.floor_ < self.settings["tol"]
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
            bar.update(task, total=bar.tasks[0].completed)  # trained enough: the bar is full


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
