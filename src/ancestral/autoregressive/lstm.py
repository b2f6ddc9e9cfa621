"""Autoregression by a long short-term memory network (LSTM).

    h_i, c_i = LSTM(x_{i-1}, h_{i-1}, c_{i-1}),   x_0 = 0, h_0 = c_0 = 0
    p(x_i = 1 | x_1 .. x_{i-1}) = sigmoid(w . h_i + v)

With more than two levels x_{i-1} is one-hot and the sigmoid a softmax over the levels of x_i.

Only the previous value goes in at each step: all else the network must carry in (h, c). It is
fitted by Adam on the mean of -log p(x), which is entropy + KL(data || model): the entropy of the
training rows is a floor no training can pass. Training runs in PyTorch; scoring and sampling
step the fitted weights in NumPy and float64, so that they repeat to the last digits and a saved
model needs no PyTorch.

Symbols: (h, c) `LSTMState`, every weight `weights_` under PyTorch's names, floor `floor_`.
Hochreiter & Schmidhuber (1997); gates in PyTorch's order: input, forget, cell, output.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, log_softmax

from ancestral._validation import as_generator, check_integer, check_number
from ancestral.autoregressive.sequential import Sequential
from ancestral.errors import AncestralWarning, DataError, MissingExtraError, ModelError
from ancestral.statistics import Counts, distinct_rows

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress

WARM_UP = 30  # steps over which the learning rate rises
HOLD = 5 / 16  # share of the steps before it falls (a cosine)
LAST_RATE = 0.02  # of the full rate, reached at the last step
BETAS = (0.9, 0.99)
CLIP = 0.5  # gradient norm
SCORED_AT_ONCE = 8192  # rows
SMALL = 100_000  # weights: below, a second thread only costs


@dataclass(frozen=True)
class LSTMState:
    """Where each row stands: hidden and cell values, each of shape (num_layers, n, hidden)."""

    position: int
    h: NDArray[np.float64]
    c: NDArray[np.float64]


class LSTMAutoregressive(Sequential):
    """An LSTM that reads one value at a time and writes down the next one's probability.

    Parameters
    ----------
    hidden_size : int
        Units of each layer.
    num_layers : int
    learning_rate : float
        Adam's, after a short linear warm-up; it falls along a cosine over the last two thirds.
    max_steps : int
        Optimiser steps at most; 0 leaves the random start (and says so).
    batch_size : int or None
        Distinct rows per step; None takes them all.
    tol : float
        Training stops when the loss is within `tol` nats of its floor.
    patience : int
        It also stops after so many steps without gaining `tol / 10` nats.
    device : str
        Where PyTorch trains: "cpu", "cuda", "cuda:1", "mps".
    random_state : None, int, RandomState or Generator
        Start and batches. An int gives identical weights on one machine.
    verbose : bool
        Show loss, floor and time left on stderr.

    Attributes
    ----------
    weights_ : dict of ndarray
        Under the names of PyTorch's `nn.LSTM` and `nn.Linear` ("lstm.weight_ih_l0", ...).
    history_ : list of dict
        After each optimiser step (each pass over the data with `batch_size`): "step", "loss"
        (nats per row), "floor", "excess" (their difference, the KL divergence) and
        "learning_rate".
    floor_ : float
        Entropy of the training rows, in nats: the mean loss cannot be lower.
    loss_ : float
        Of the weights kept, the best seen, scored in float64 (nats per row).
    n_parameters_ : int
        Stored weights.
    categories_ : list of ndarray
        The levels of each variable. The network reads and writes one alphabet, their union; a
        variable's other letters have probability zero.

    Notes
    -----
    Equal rows are trained on once, with their count as weight. A step costs
    O(rows * d * num_layers * hidden_size^2).

    References
    ----------
    Hochreiter & Schmidhuber (1997), Long short-term memory, Neural Computation 9(8).

    Examples
    --------
    >>> X = [[0, 0, 1], [0, 1, 1], [1, 1, 0]]
    >>> model = LSTMAutoregressive(hidden_size=8, num_layers=1, random_state=0).fit(X)
    >>> bool(model.history_[-1]["excess"] < 0.001)
    True
    """

    def __init__(
        self,
        hidden_size: int = 32,
        num_layers: int = 2,
        *,
        learning_rate: float = 3e-2,
        max_steps: int = 800,
        batch_size: int | None = None,
        tol: float = 1e-3,
        patience: int = 200,
        device: str = "cpu",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.tol = tol
        self.patience = patience
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # ---- fit ----------------------------------------------------------------------------------

    def _fit_levels(self, levels: NDArray[np.intp]) -> None:
        rng = as_generator(self.random_state)
        settings = self._checked_settings()
        self._set_alphabet()
        counts = Counts.of(levels)
        share = counts.counts / counts.counts.sum()
        self.floor_ = float(-(share * np.log(share)).sum())
        self.weights_ = self._random_weights(rng)
        training = _Training(self, counts.rows, share, settings, rng)
        self.weights_, self.history_ = training.run()
        self.loss_ = float(-(share @ self._log_density_levels(counts.rows)))

    def _checked_settings(self) -> dict[str, Any]:
        """Return the checked parameters of the training."""
        check_integer(self.hidden_size, "hidden_size", minimum=1)
        check_integer(self.num_layers, "num_layers", minimum=1)
        batch = self.batch_size
        return {
            "learning_rate": check_number(
                self.learning_rate, "learning_rate", minimum=0.0, inclusive=False
            ),
            "max_steps": check_integer(self.max_steps, "max_steps"),
            "batch_size": None if batch is None else check_integer(batch, "batch_size", minimum=1),
            "tol": check_number(self.tol, "tol", minimum=0.0),
            "patience": check_integer(self.patience, "patience", minimum=1),
        }

    def _set_alphabet(self) -> None:
        """Gather the levels of all variables into the alphabet the network reads and writes."""
        try:
            self._alphabet = np.unique(np.concatenate(self.categories_))
        except TypeError:
            raise DataError(
                "the columns of X mix text and numbers; the LSTM shares one alphabet among all "
                "variables. Recode every column alike."
            ) from None
        kind = self._alphabet.dtype
        self._letters = [
            np.searchsorted(self._alphabet, known.astype(kind)) for known in self.categories_
        ]
        self._is_binary = all(len(known) == 2 for known in self.categories_) and (
            len(self._alphabet) == 2
        )

    @property
    def _n_inputs(self) -> int:
        return 1 if self._is_binary else len(self._alphabet)

    def _random_weights(self, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
        """Return PyTorch's usual start: uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        return {
            # What float32 can hold, so that training starts exactly here.
            name: rng.uniform(-bound, bound, size=shape).astype(np.float32).astype(np.float64)
            for name, shape in self._weight_shapes().items()
        }

    def _weight_shapes(self) -> dict[str, tuple[int, ...]]:
        gates, n_in = 4 * self.hidden_size, self._n_inputs
        shapes: dict[str, tuple[int, ...]] = {}
        for k in range(self.num_layers):
            shapes[f"lstm.weight_ih_l{k}"] = (gates, self.hidden_size if k else n_in)
            shapes[f"lstm.weight_hh_l{k}"] = (gates, self.hidden_size)
            shapes[f"lstm.bias_ih_l{k}"] = (gates,)
            shapes[f"lstm.bias_hh_l{k}"] = (gates,)
        shapes["head.weight"] = (n_in, self.hidden_size)
        shapes["head.bias"] = (n_in,)
        return shapes

    # ---- what it is ---------------------------------------------------------------------------

    @property
    def n_parameters_(self) -> int:
        """Number of stored weights."""
        return sum(value.size for value in self.weights_.values())

    def to_torch(self) -> torch.nn.ModuleDict:
        """Return the fitted weights as PyTorch modules.

        Returns
        -------
        torch.nn.ModuleDict
            "lstm", an `nn.LSTM` with `batch_first=True`, and "head", an `nn.Linear`; float32.
        """
        self._check_fitted()
        layers, hidden = self._sizes
        network = _network(self._n_inputs, hidden, layers)
        _set_weights(network, self.weights_)
        return network

    @property
    def _sizes(self) -> tuple[int, int]:
        """Layers and hidden size of the fitted weights (parameters may have been set since)."""
        layers = sum("weight_hh" in name for name in self.weights_)
        return layers, self.weights_["lstm.weight_hh_l0"].shape[1]

    # ---- the step-state protocol: (h, c) of each row ------------------------------------------

    def start(self, n_samples: int) -> LSTMState:
        layers, hidden = self._sizes
        zeros = np.zeros((layers, n_samples, hidden))
        return LSTMState(0, zeros, zeros)

    def step(
        self, state: LSTMState, previous: NDArray[np.intp] | None
    ) -> tuple[LSTMState, NDArray[np.float64]]:
        i, w = state.position, self.weights_
        below = self._input(i, previous, state.h.shape[1])  # (n, n_inputs)
        h, c = np.empty_like(state.h), np.empty_like(state.c)
        for k in range(len(h)):
            gates = below @ w[f"lstm.weight_ih_l{k}"].T + state.h[k] @ w[f"lstm.weight_hh_l{k}"].T
            gates += w[f"lstm.bias_ih_l{k}"] + w[f"lstm.bias_hh_l{k}"]
            enter, keep, fresh, leave = np.split(gates, 4, axis=1)  # (n, hidden) each
            c[k] = _sigmoid(keep) * state.c[k] + _sigmoid(enter) * np.tanh(fresh)
            h[k] = below = _sigmoid(leave) * np.tanh(c[k])
        logits = below @ w["head.weight"].T + w["head.bias"]
        return LSTMState(i + 1, h, c), self._log_probabilities(i, logits)

    def take(self, state: LSTMState, index: NDArray[np.intp]) -> LSTMState:
        return LSTMState(state.position, state.h[:, index], state.c[:, index])

    def _input(self, i: int, previous: NDArray[np.intp] | None, n: int) -> NDArray[np.float64]:
        """Return what the network reads before variable i, of shape (n, n_inputs)."""
        if previous is None:
            return np.zeros((n, self._n_inputs))  # the start symbol
        letters = self._letters[i - 1][previous]
        return letters[:, None].astype(float) if self._is_binary else self._one_hot[letters]

    @property
    def _one_hot(self) -> NDArray[np.float64]:
        return np.eye(len(self._alphabet))

    def _log_probabilities(self, i: int, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log probabilities of variable i's own levels, shape (n, n_levels)."""
        if self._is_binary:
            return np.concatenate([log_expit(-logits), log_expit(logits)], axis=1)
        values: NDArray[np.float64] = log_softmax(logits[:, self._letters[i]], axis=1)
        return values

    def _log_density_levels(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        rows, inverse = distinct_rows(levels)  # equal rows are scored once
        parts = [rows[i : i + SCORED_AT_ONCE] for i in range(0, len(rows), SCORED_AT_ONCE)]
        scores = [super(LSTMAutoregressive, self)._log_density_levels(part) for part in parts]
        return np.concatenate([np.zeros(0), *scores])[inverse]

    # ---- a saved model ------------------------------------------------------------------------

    def _restore(self, state: dict[str, Any]) -> None:
        self.categories_ = state["categories_"]
        self._set_alphabet()
        super()._restore(state)

    def _check_state(self) -> None:
        super()._check_state()
        shapes = {name: value.shape for name, value in self.weights_.items()}
        if shapes != self._weight_shapes():
            raise ValueError("the weights have other shapes than the parameters say")
        if not all(np.isfinite(value).all() for value in self.weights_.values()):
            raise ValueError("a weight is not finite")


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)); NumPy's tanh is vectorised and twice as fast as SciPy's expit."""
    y = np.tanh(0.5 * x)
    y += 1.0
    y *= 0.5
    return y


# ---- training ---------------------------------------------------------------------------------


class _Training:
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
        self.network = _network(model._n_inputs, model.hidden_size, model.num_layers)
        _set_weights(self.network, model.weights_)
        self.network.to(self.device)
        letters = np.stack([model._letters[i][rows[:, i]] for i in range(rows.shape[1])], axis=1)
        self.letters = torch.as_tensor(letters, device=self.device)  # (n, d)
        self.share = torch.as_tensor(share, dtype=torch.float32, device=self.device)
        self.barred = self._barred()
        self.n_batches = math.ceil(len(rows) / (settings["batch_size"] or len(rows)))
        self.best, self.best_loss = model.weights_, math.inf
        self.gained_at = 0  # the last step that gained something worth waiting for
        self.history: list[dict[str, float]] = []

    def run(self) -> tuple[dict[str, NDArray[np.float64]], list[dict[str, float]]]:
        """Train; return the best weights and the history."""
        with _threads(self.model.n_parameters_, self.device), self._progress() as show:
            self._run(show)
        if self.settings["max_steps"] == 0:
            _warn("max_steps=0: the LSTM is untrained, its weights are the random start.")
        return self.best, self.history

    def _run(self, show: Any) -> None:
        torch = import_torch()
        most = self.settings["max_steps"]
        optimiser = torch.optim.Adam(self.network.parameters(), lr=1.0, betas=BETAS)
        step = 0
        while True:
            # With one batch the loss that is shown is also the one that is descended.
            loss = self._loss(slice(None)) if self.n_batches == 1 else self._whole_loss()
            if not self._keep(step, float(loss.detach())):
                return
            show(step, self.history[-1]["loss"])
            if step >= most or self._is_done(step):
                return
            for batch in self._batches()[: most - step]:
                self._descend(optimiser, loss if self.n_batches == 1 else self._loss(batch), step)
                step += 1

    def _descend(self, optimiser: Any, loss: torch.Tensor, step: int) -> None:
        """Take one step of Adam down the gradient of `loss`."""
        torch = import_torch()
        for group in optimiser.param_groups:
            group["lr"] = self._rate(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        optimiser.step()

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, level, then half a cosine."""
        most, full = self.settings["max_steps"], self.settings["learning_rate"]
        held = max(WARM_UP, round(HOLD * most))
        if step < held:
            return float(full * min(1.0, (step + 1) / WARM_UP))
        way = (step - held) / max(1, most - held)
        return float(full * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * way)) / 2))

    def _batches(self) -> list[Any]:
        """Return which rows each step of one pass takes."""
        if self.n_batches == 1:
            return [slice(None)]
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

    def _keep(self, step: int, loss: float) -> bool:
        """Note the loss, keep the weights if they are the best; False ends the training."""
        if not math.isfinite(loss):
            _warn(
                f"the loss is {loss} at step {step}: training stopped, the best weights (loss "
                f"{self.best_loss:g}) were restored. Lower learning_rate="
                f"{self.settings['learning_rate']:g}."
            )
            return False
        floor = self.model.floor_
        self.history.append(
            {
                "step": step,
                "loss": loss,
                "floor": floor,
                "excess": loss - floor,
                "learning_rate": self._rate(step),
            }
        )
        if loss < self.best_loss - self.settings["tol"] / 10:
            self.gained_at = step
        if loss < self.best_loss:
            self.best_loss, self.best = loss, _weights_of(self.network)
        return True

    def _is_done(self, step: int) -> bool:
        """Tell whether more training would not help."""
        reached = self.best_loss - self.model.floor_ < self.settings["tol"]
        return reached or step - self.gained_at >= self.settings["patience"]

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


def _network(n_inputs: int, hidden_size: int, num_layers: int) -> torch.nn.ModuleDict:
    """Return the modules without spending random numbers on a start they won't keep."""
    torch = import_torch()
    with torch.device("meta"):
        lstm = torch.nn.LSTM(n_inputs, hidden_size, num_layers, batch_first=True)
        head = torch.nn.Linear(hidden_size, n_inputs)
        network = torch.nn.ModuleDict({"lstm": lstm, "head": head})
    return network.to_empty(device="cpu")


def _set_weights(network: torch.nn.ModuleDict, weights: dict[str, NDArray[np.float64]]) -> None:
    torch = import_torch()
    network.load_state_dict(
        {name: torch.as_tensor(value, dtype=torch.float32) for name, value in weights.items()}
    )


def _weights_of(network: torch.nn.ModuleDict) -> dict[str, NDArray[np.float64]]:
    """Return the weights as float64 arrays of their own."""
    return {
        name: value.detach().cpu().numpy().astype(np.float64)
        for name, value in network.state_dict().items()
    }


def _device(name: Any) -> torch.device:
    """Return a device PyTorch can reach."""
    torch = import_torch()
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, TypeError, AssertionError, ValueError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise ModelError(f'device={name!r} cannot be used ({why}). Pass device="cpu".') from None
    return device


@contextmanager
def _threads(n_parameters: int, device: torch.device) -> Iterator[None]:
    """Train small networks on one thread: faster, and the same bits every time."""
    torch = import_torch()
    before = torch.get_num_threads()
    if device.type == "cpu" and n_parameters < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _warn(message: str) -> None:
    warnings.warn(message, AncestralWarning, stacklevel=2)
