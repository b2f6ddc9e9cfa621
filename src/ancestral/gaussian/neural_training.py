"""How the network behind `NeuralGaussian` is trained: Adam over standardised rows, in PyTorch.

The loss is the mean of -log p(y | x) of the standardised target, in nats, plus the prior's share;
a row's precision (one on average) divides its variance;
the rate rises over a short warm-up and falls along half a cosine. Checkpoints and the best weights
are kept as `ancestral.training.descent` says.
"""

from __future__ import annotations

import hashlib
import math
import os
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

    from ancestral.gaussian.neural import NeuralGaussian

Float = NDArray[np.float64]
FLOOR = 1e-3  # of s(x), in standard deviations of y
WARM_UP = 20  # steps over which the learning rate rises
LAST_RATE = 0.01  # of the full rate, reached at the last step along a cosine
SMALL = 4_000_000  # numbers held by a layer of all rows: below, a second thread only costs


class Training(Descent):
    """One run of Adam over standardised rows."""

    def __init__(
        self,
        model: NeuralGaussian,
        Z: Float,
        t: Float,
        precision: Float,
        start: Weights,
        settings: dict[str, Any],
        rng: np.random.Generator,
    ) -> None:
        torch = import_torch()
        self.model, self.device = model, as_device(model.device)
        # Apple's devices have no float64.
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        self.Z, self.t, self.precision = (
            torch.tensor(a, dtype=kind, device=self.device) for a in (Z, t, precision)
        )
        self.weights = {
            name: torch.tensor(value, dtype=kind, device=self.device, requires_grad=True)
            for name, value in start.items()
        }
        given = (Z, t) if (precision == 1).all() else (Z, t, precision)
        data = hashlib.sha256(b"".join(a.tobytes() for a in given)).hexdigest()
        seed = seed_in_words(model.random_state)
        settings = {**settings, "data": data, "random_state": seed}
        super().__init__(self.weights.values(), start, settings, rng)
        self.size = min(settings["batch_size"] or len(Z), len(Z))

    def run(
        self, folder: str | os.PathLike[str] | None, every: int
    ) -> tuple[Weights, list[dict[str, float]]]:
        work = len(self.Z) * (self.Z.shape[1] + self.model.hidden_size)
        with repeatable(self.device, one_thread=work < SMALL):
            return super().run(folder, every)

    def _weights(self) -> Weights:
        return {
            name: value.detach().cpu().numpy().astype(np.float64)  # a copy of its own
            for name, value in self.weights.items()
        }

    def _set_weights(self, weights: Weights) -> None:
        torch = import_torch()
        with torch.no_grad():
            for name, value in self.weights.items():
                value.copy_(torch.as_tensor(weights[name]))

    # ---- a step ---------------------------------------------------------------------------------

    def _batches(self) -> list[NDArray[np.intp]]:
        n = len(self.Z)
        order = np.arange(n) if self.size == n else self.rng.permutation(n)
        return [order[i : i + self.size] for i in range(0, n, self.size)]

    def _loss(self, rows: Any) -> torch.Tensor:
        """Return the mean of -log p over some rows and the penalty's share, differentiable."""
        torch = import_torch()
        w, Z, t = self.weights, self.Z[rows], self.t[rows]
        out, h = Z @ w["line.weight"].T + w["head.bias"], Z
        for k in range(self.model.num_layers):
            h = torch.tanh(h @ w[f"hidden.{k}.weight"].T + w[f"hidden.{k}.bias"])
        if "head.weight" in w:
            out = out + h @ w["head.weight"].T
        variance = (torch.exp(out[:, 1]) + FLOOR**2) / self.precision[rows]
        fit = 0.5 * (math.log(2 * math.pi) + torch.log(variance) + (t - out[:, 0]) ** 2 / variance)
        squares = sum((v**2).sum() for name, v in w.items() if name.endswith("weight"))
        return fit.mean() + 0.5 * self.model.penalty / len(self.Z) * squares

    def _whole_loss(self) -> torch.Tensor:
        torch = import_torch()
        with torch.set_grad_enabled(self.size == len(self.Z)):
            return self._loss(slice(None))

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step: a linear warm-up, then half a cosine."""
        most, full = self.settings["max_steps"], self.settings["learning_rate"]
        way = step / max(1, most)
        fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * way)) / 2
        return float(full * min(1.0, (step + 1) / WARM_UP) * fall)

    def _is_done(self) -> bool:
        return bool(self.at.step - self.at.gained_at >= self.settings["patience"])
