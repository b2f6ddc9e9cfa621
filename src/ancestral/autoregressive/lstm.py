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
# Length: the network stands here twice, in NumPy for scores and in PyTorch for training.

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, log_softmax

from ancestral._checks.numbers import (
    as_generator,
    check_integer,
    check_number,
    check_weights,
)
from ancestral._numerics.costs import ALONE
from ancestral._numerics.products import BLOCK_ROWS
from ancestral._numerics.threads import blocks_of, in_threads, one_thread
from ancestral.autoregressive.levels import SeenLevels, whole_numbers
from ancestral.autoregressive.sequential import Sequential
from ancestral.autoregressive.steps import known_columns, known_terms
from ancestral.base import FromBatches
from ancestral.errors import DataError
from ancestral.statistics import distinct_rows
from ancestral.training.batches import BATCH, GATHERED, STEP_BYTES, Draw, Feed, gathered, narrow
from ancestral.training.descent import (
    Descent,
    Validation,
    Weights,
    as_device,
    import_torch,
    of_validation,
    repeatable,
    seed_in_words,
)
from ancestral.training.parts import Part, Parts

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress

SCORED_AT_ONCE = 8192  # rows, in PyTorch
ENCODED_AT_ONCE = 1 << 16  # rows of a part
KEPT_BYTES = 48  # of a step for its gradient, for each unit, layer, variable and row
GATES_AT_ONCE = 1 << 16  # values of all gates of a layer: more leave the cache
FAR = 0.25  # nats per row above the floor at which an end at max_steps is said
SMALLER = (
    "Pass batch_size= (distinct rows per step, all of them by default), or a smaller network: "
    "hidden_size=, num_layers=."
)
# Of the training:
WARM_UP = 30  # steps over which the learning rate rises
HOLD = 1 / 16  # share of the steps before it falls (a cosine)
LAST_RATE = 0.02  # of the full rate, reached at the last step
ROUNDING = 2e-6  # of the loss in float32, which is summed over variables and rows: 16 last places
SMALL = 100_000  # weights: below, a second thread only costs
Shares = tuple[NDArray[np.intp], NDArray[np.float64]]  # distinct rows, each one's share of all
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """The fitted weights as they are multiplied: each layer's by [x, 1, h], the head's by [1, h].

    The gates stand in the order input, forget, output, cell; those that are sigmoids are halved, as
    sigmoid(z) = (1 + tanh(z / 2)) / 2, so that one tanh serves all four.
    """

    layers: list[Floats]  # (n_inputs + 1 + hidden, 4 hidden)
    head: Floats  # (1 + hidden, n_inputs)

    @classmethod
    def of(cls, w: dict[str, Floats], n_layers: int) -> Network:
        layers = []
        for k in range(n_layers):
            bias = w[f"lstm.bias_ih_l{k}"] + w[f"lstm.bias_hh_l{k}"]
            weights = [w[f"lstm.weight_ih_l{k}"], bias[:, None], w[f"lstm.weight_hh_l{k}"]]
            gates = np.concatenate(weights, axis=1).reshape(4, len(bias) // 4, -1)
            gates = gates[[0, 1, 3, 2]]  # input, forget, output, cell
            gates[:3] *= 0.5
            layers.append(np.ascontiguousarray(gates.reshape(len(bias), -1).T))
        head = np.concatenate([w["head.bias"][None], w["head.weight"].T])
        return cls(layers, np.ascontiguousarray(head))

    @property
    def threads(self) -> AbstractContextManager[None]:
        """What keeps its products to one thread: those so small take one by themselves."""
        largest = max(weights.size for weights in self.layers)
        return one_thread() if BLOCK_ROWS * largest > ALONE else nullcontext()

    @property
    def hidden(self) -> int:
        return len(self.head) - 1


class Forward:
    """The network stepped for some rows, all in place: one array of [x, 1, h] for each layer.

    Rows go through the products in blocks of one shape, and all else is done value by value: no
    row's bits depend on the rows beside it.
    """

    def __init__(self, network: Network, n: int, h: Floats | None = None, c: Floats | None = None):
        blocks, hidden = -(-n // BLOCK_ROWS), network.hidden
        whole = blocks * BLOCK_ROWS
        self.n, self.h, self.c, self._steps = n, list[Floats](), list[Floats](), list[Any]()
        gates = np.empty((whole, 4 * hidden))
        enter, keep, leave, fresh = (gates[:n, j * hidden : (j + 1) * hidden] for j in range(4))
        sigmoids, spare = gates[:n, : 3 * hidden], np.empty((n, hidden))
        below: Floats = np.empty((0, 0))
        for k, weights in enumerate(network.layers):
            n_inputs = len(weights) - 1 - hidden
            values = np.zeros((whole, len(weights)))
            values[:, n_inputs] = 1.0
            own, cell = values[:n, n_inputs + 1 :], np.zeros((n, hidden))
            if h is not None and c is not None:
                own[...], cell[...] = h[k], c[k]
            inputs = values[:n, :n_inputs]
            self.h.append(own)
            self.c.append(cell)
            product = values.reshape(blocks, BLOCK_ROWS, -1), weights
            self._steps.append((below if k else None, inputs, product, cell, own))
            below = own
            if not k:
                self.inputs = inputs
            top = values[:, n_inputs:]
        self._gates = gates.reshape(blocks, BLOCK_ROWS, -1), gates[:n], sigmoids
        self._parts = enter, keep, leave, fresh, spare
        self._top, self._head = top.reshape(blocks, BLOCK_ROWS, -1), network.head
        self._logits = np.empty((blocks, BLOCK_ROWS, network.head.shape[1]))
        self._own_logits = self._logits.reshape(whole, -1)[:n]

    def step(self) -> Floats:
        """Read `inputs`, and return the next value's logits, which the next step overwrites."""
        (blocks, gates, sigmoids), (enter, keep, leave, fresh, spare) = self._gates, self._parts
        for below, inputs, (values, weights), cell, own in self._steps:
            if below is not None:
                inputs[...] = below
            np.matmul(values, weights, out=blocks)
            np.tanh(gates, out=gates)
            sigmoids += 1.0
            sigmoids *= 0.5
            cell *= keep
            enter *= fresh
            cell += enter
            np.tanh(cell, out=spare)
            np.multiply(leave, spare, out=own)
        np.matmul(self._top, self._head, out=self._logits)
        return self._own_logits


@dataclass(frozen=True)
class LSTMState:
    """Where each row stands: hidden and cell values, each of shape (num_layers, n, hidden)."""

    position: int
    h: Floats
    c: Floats
    network: Network


class LSTMAutoregressive(FromBatches, Sequential):
    """A recurrent network (LSTM) that predicts each value of a row from the values before it.

    Parameters
    ----------
    hidden_size : int
        Units of each layer.
    num_layers : int
        Number of layers. Each layer reads the output of the one below it.
    learning_rate : float
        Learning rate of the optimiser Adam. It rises linearly to this value in a short warm-up, and
        then falls along a cosine.
    max_steps : int
        The most optimiser steps. 0 keeps the random start, with a warning. There is also a warning
        if the loss still falls at the last step, or if it ends more than 0.25 nats (or `tol`, if
        that is larger) above its floor.
    batch_size : int or None
        Number of distinct rows for each step; None takes all of them.
    tol : float
        Training stops when the loss is within `tol` nats of its floor, the entropy of the rows.
    patience : int
        Training also stops after this many steps in which the loss fell by less than `tol / 10`
        nats.
    early_stopping : bool
        Hold out a share of the rows of `fit`. The weights with the best score on the held-out rows
        are kept, and training stops when this score no longer improves. If `fit` is given `X_val`,
        those rows are used in this way and no share is held out.
    validation_fraction : float
        The share that is held out, above 0 and below 1. `random_state` chooses the rows.
    n_iter_no_change : int
        When rows are held out, training stops after this many passes over the training rows (steps,
        without `batch_size`) in which the validation score gained less than `tol / 10` nats. It
        replaces `patience`.
    device : str
        Where PyTorch trains: "cpu", "cuda", "cuda:1", "mps".
    categories : list or mapping, optional
        Levels declared before the fit: a list with the levels of each column (None for those to be
        learnt), or a mapping of columns' names to their levels. The categorical types of dataframes
        declare levels too.
    random_state : None, int, RandomState or Generator
        Seed of the random start and of the batches. An int gives identical weights on one machine.
    verbose : bool
        Show loss, floor and time left on stderr.

    Attributes
    ----------
    weights_ : dict of ndarray
        Under the names of PyTorch's `nn.LSTM` and `nn.Linear` ("lstm.weight_ih_l0", ...).
    history_ : list of dict
        One entry for each optimiser step (for each pass over the data, with `batch_size`): "step",
        "loss" (nats per row), "floor", "excess" (the loss minus the floor, which is the
        Kullback-Leibler divergence from the data to the model) and "learning_rate"; also
        "validation_loss" if rows are held out.
    floor_ : float
        Entropy of the training rows, in nats: the mean loss cannot be lower.
    loss_ : float
        Loss of the weights that are kept, computed in float64, in nats per row. These weights are
        the best ones seen, or the best ones for the held-out rows.
    best_validation_score_ : float
        Mean log density of the held-out rows, in nats; only if there are any.
    n_parameters_ : int
        Number of stored weights.
    categories_ : list of ndarray
        The levels of each variable. The network reads and predicts one set of levels, the union
        over all variables. Levels that a variable does not have get probability 0 there.

    Notes
    -----
    Equal rows are used once, with their count as weight. A step costs O(rows * n_features *
    num_layers * hidden_size^2).

    From parts (`ancestral.streaming.fit_chunks`), rows that take up to 64 MiB are gathered and used
    as by `fit`. If they would take more, equal rows are counted first. If one step over all of them
    would take more than 1 GiB and `batch_size` is None, each step takes 1,024 rows. If there are
    still more rows, the parts are used one after another, in an order that is drawn anew for each
    pass over all parts, and the rows of a part are shuffled. Losses are then those of a sample of
    16,384 rows (and of as many held-out rows), and the floor is 0. A batch never mixes rows of two
    parts, so shuffle sorted rows before the fit.

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

    _fields: tuple[str, ...] = (
        "floor_", "weights_", "history_", "loss_", "best_validation_score_",
    )  # fmt: skip
    _where_memory_is_short = SMALLER

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
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 100,
        device: str = "cpu",
        categories: Any = None,
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.categories = categories
        self.random_state = random_state
        self.verbose = verbose

    # ---- fit ----------------------------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        frequencies: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 50,
    ) -> Self:
        """Train the network on the rows of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
            Integers, booleans or text.
        y : ignored
        frequencies : array-like of shape (n_samples,), optional
            How often each row counts, in any unit. A row of frequency 0 only makes its levels
            known. To fit the network to a given distribution, give all its possible rows and their
            probabilities.
        X_val : array-like or dataframe of shape (n_validation, n_features), optional
            Validation rows, which are not used for training. The weights that give them the highest
            mean log density are kept, and training stops when it no longer improves. They may hold
            only levels that X holds.
        checkpoint : path-like, optional
            A folder, which is made if it is missing. The training is saved in it every
            `checkpoint_every` steps. If it holds a stopped training with the same data and
            parameters, that training is resumed. Its result is the same, bit for bit, as without
            the stop. Ctrl-C finishes the step, saves it and tells how to resume. A second Ctrl-C
            stops at once.
        checkpoint_every : int
            Steps between two checkpoints.

        Returns
        -------
        self

        Raises
        ------
        DataError
            For frequencies that are negative or all 0, or whose number is not that of the rows; for
            X_val with other columns or levels than X.
        ModelError
            For a parameter out of bounds, or a checkpoint folder that holds another training or is
            in use by another process.
        SaveError
            When the checkpoint folder cannot be written. This is checked before training.
        KeyboardInterrupt
            After Ctrl-C, once the checkpoint is written.

        Examples
        --------
        >>> X = [[0, 0, 1], [0, 1, 1], [1, 1, 0]]
        >>> model = LSTMAutoregressive(random_state=0).fit(X)
        >>> bool(model.floor_ - 1e-9 <= -model.score(X))  # no loss is below the entropy of the rows
        True
        """
        return self._fit_anew(
            X, frequencies=frequencies, X_val=X_val, checkpoint=checkpoint, every=checkpoint_every
        )

    def _wants(self) -> tuple[str, ...]:
        return ("neural",)

    def _fit_levels(
        self,
        levels: NDArray[np.intp],
        *,
        frequencies: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 50,
        batch_size: int | None = None,
    ) -> None:
        rng = as_generator(self.random_state)
        settings, validation = self._checked_settings(), Validation.of(self)
        settings["batch_size"] = settings["batch_size"] or batch_size
        self._set_alphabet()
        counts, held_out = _counts(frequencies, len(levels)), None
        if X_val is not None:
            with of_validation():
                out = self._encode(whole_numbers(self._check_rows(X_val, reset=False)))
            held_out = _weighted(out, None)
        elif validation.early_stopping:
            validation.refuse_other_rows(self.random_state, checkpoint)
            kept, rest = validation.split(len(levels), rng)
            held_out = _weighted(levels[rest], None if counts is None else counts[rest])
            levels, counts = levels[kept], None if counts is None else counts[kept]
        if held_out is not None:
            settings["n_iter_no_change"] = validation.n_iter_no_change
        trained = _weighted(levels, counts)
        self.floor_ = float(-(trained[1] * np.log(trained[1])).sum())
        self.weights_ = self._random_weights(rng)
        self._train(LSTMDescent(self, trained, held_out, settings, rng), checkpoint, every)

    def _train(self, training: LSTMDescent, checkpoint: Any, every: int) -> None:
        """Take the weights that a training finds, and what it says of them."""
        self.weights_, self.history_ = training.run(checkpoint, every)
        rows, share = training.judged
        self.loss_ = float(-(share @ self._log_density_levels(rows)))
        if training.judged_out is not None:
            rows, share = training.judged_out
            self.best_validation_score_ = float(share @ self._log_density_levels(rows))

    # ---- from parts ---------------------------------------------------------------------------

    def _check_part(  # type: ignore[override]
        self, X: Any, y: Any = None, sample_weight: Any = None, *, reset: bool
    ) -> tuple[NDArray, NDArray[np.float64]]:
        rows = self._rows_of_levels(self._check_rows(X, reset=reset))
        counts = _counts(sample_weight, len(rows), may_be_zero=True)
        return narrow(rows), np.ones(len(rows)) if counts is None else counts

    def _fit_parts(
        self,
        parts: Parts[Part],
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 50,
    ) -> None:
        condensed = None if self.early_stopping else _condensed
        if (whole := gathered(parts, GATHERED, condensed)) is not None:
            X, counts = whole
            step = X.size * self.num_layers * self.hidden_size * KEPT_BYTES
            self._fit(
                X,
                frequencies=counts,
                checkpoint=checkpoint,
                every=every,
                batch_size=None if step <= STEP_BYTES else BATCH,
            )
            return
        rng = as_generator(self.random_state)
        settings, validation = self._checked_settings(), Validation.of(self)
        settings["batch_size"] = settings["batch_size"] or BATCH
        seen, draw = validation.seen_in(parts, _levels_of, rng, self.random_state, checkpoint)
        self.categories_ = self._categories_of(self._rows_of_levels(seen.own.table))
        self._set_alphabet()
        held_out = None
        if validation.early_stopping:
            settings["n_iter_no_change"] = validation.n_iter_no_change
            held_out = self._shares_of(seen.held_out.data)
        self.floor_ = 0.0
        self.weights_ = self._random_weights(rng)
        feed = Feed(parts.prepared(Encoded(self, draw)), seen.numbers, seen.n_rows)
        judged = self._shares_of(seen.sample.data)
        training = LSTMDescent(self, judged, held_out, settings, rng, feed)
        self._train(training, checkpoint, every)

    def _shares_of(self, data: tuple[NDArray, ...]) -> Shares:
        """Return the distinct rows of some data, and their shares."""
        rows, counts = data
        return _weighted(self._encode(rows), counts)

    def _checked_settings(self) -> dict[str, Any]:
        """Return the checked parameters of the training."""
        batch = self.batch_size
        return {
            "hidden_size": check_integer(self.hidden_size, "hidden_size", minimum=1),
            "num_layers": check_integer(self.num_layers, "num_layers", minimum=1),
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
        self._spelt = all((own == np.arange(len(own))).all() for own in self._letters)
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
    def _rules_nothing_out(self) -> bool:
        return True

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

        Examples
        --------
        >>> model = LSTMAutoregressive(random_state=0).fit([[0, 0, 1], [0, 1, 1], [1, 1, 0]])
        >>> sorted(model.to_torch())
        ['head', 'lstm']
        """
        self._check_fitted()
        layers, hidden = self._sizes
        network = network_of(self._n_inputs, hidden, layers)
        set_weights(network, self.weights_)
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
        return LSTMState(0, zeros, zeros, self._network)

    def step(
        self, state: LSTMState, previous: NDArray[np.intp] | None
    ) -> tuple[LSTMState, NDArray[np.float64]]:
        i, network = state.position, state.network
        forward = Forward(network, state.h.shape[1], state.h, state.c)
        if previous is not None:
            forward.inputs[...] = self._read(self._letters[i - 1][previous])
        with network.threads:
            log_p = self._log_probabilities(i, forward.step())
        return LSTMState(i + 1, np.stack(forward.h), np.stack(forward.c), network), log_p

    def take(self, state: LSTMState, index: NDArray[np.intp]) -> LSTMState:
        return LSTMState(state.position, state.h[:, index], state.c[:, index], state.network)

    @property
    def _network(self) -> Network:
        return Network.of(self.weights_, self._sizes[0])

    def _read(self, letters: NDArray[np.intp]) -> Any:
        """Return letters as the network reads them, of shape (n, n_inputs)."""
        return letters[:, None] if self._is_binary else letters[:, None] == self._numbers

    @property
    def _numbers(self) -> NDArray[np.intp]:
        return np.arange(len(self._alphabet))

    def _log_probabilities(self, i: int, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log probabilities of variable i's own levels, shape (n, n_levels)."""
        if self._is_binary:
            both = np.concatenate([log_expit(-logits), log_expit(logits)], axis=1)
            return both if self._spelt else both[:, self._letters[i]]
        own = np.ascontiguousarray(logits[:, self._letters[i]])  # sums in one order, for any n
        values: NDArray[np.float64] = log_softmax(own, axis=1)
        return values

    def _blocks(self, n: int, network: Network) -> list[slice]:
        """Return slices of as many rows as are stepped at once."""
        rows = max(1, GATES_AT_ONCE // (4 * network.hidden * BLOCK_ROWS)) * BLOCK_ROWS
        return blocks_of(slice(0, n), rows)

    def _draw_on(self, rows: NDArray[np.intp], first: int, rng: np.random.Generator) -> bool:
        network, noise = self._network, rng.random((rows.shape[1] - first, len(rows)))
        parts, work = self._blocks(len(rows), network), rows.size * 4 * network.hidden
        with network.threads:
            in_threads(
                lambda part: self._draw_rows(rows[part], first, noise[:, part], network),
                parts,
                work,
            )
        return True

    def _draw_rows(
        self, rows: NDArray[np.intp], first: int, noise: NDArray[np.float64], network: Network
    ) -> None:
        """Draw the levels of rows from variable `first` on, by uniform numbers of shape (d, n)."""
        forward = Forward(network, len(rows))
        for i in range(rows.shape[1]):
            if i:
                previous = rows[:, i - 1]
                letters = previous if self._spelt else self._letters[i - 1][previous]
                forward.inputs[...] = self._read(letters)
            logits = forward.step()
            if i < first:
                continue
            if self._is_binary:
                letters = (noise[i - first] < expit(logits[:, 0])).astype(np.intp)
                rows[:, i] = (
                    letters if self._spelt else self._letters[i][letters]
                )  # a swap, or none
            else:
                ends = np.cumsum(np.exp(self._log_probabilities(i, logits)), axis=1)
                ends /= ends[:, -1:]
                rows[:, i] = (noise[i - first][:, None] >= ends).sum(axis=1)

    def _log_density_levels(self, levels: NDArray[np.intp]) -> NDArray[np.float64]:
        if len(levels) < 2:
            rows, inverse = levels, None
        else:
            rows, inverse = distinct_rows(levels)  # equal rows are scored once
        network = self._network
        parts, work = self._blocks(len(rows), network), rows.size * 4 * network.hidden
        with network.threads:
            scores = in_threads(lambda part: self._scores(rows[part], network), parts, work)
        total = np.concatenate([np.zeros(0), *scores])
        return total if inverse is None else total[inverse]

    def _scores(self, levels: NDArray[np.intp], network: Network) -> NDArray[np.float64]:
        """Return log p of rows, to the bit whatever rows stand beside them."""
        columns = known_columns(levels)  # (k, n)
        letters = np.maximum(columns, 0)
        if not self._spelt:
            letters = np.stack([own[row] for own, row in zip(self._letters, letters)])
        forward, terms = Forward(network, len(levels)), np.empty(columns.T.shape)
        if self._is_binary:
            for i in range(len(columns)):
                if i:
                    forward.inputs[:, 0] = letters[i - 1]
                terms[:, i] = forward.step()[:, 0]
            terms *= 2.0 * letters.T - 1.0
            log_expit(terms, out=terms)
            terms[columns.T < 0] = 0.0
        else:
            for i, column in enumerate(columns):
                if i:
                    forward.inputs[...] = self._read(letters[i - 1])
                terms[:, i] = known_terms(self._log_probabilities(i, forward.step()), column)
        return np.asarray(np.add.reduce(terms, axis=1))

    # ---- a saved model ------------------------------------------------------------------------

    def _restore(self, state: dict[str, Any], data_fingerprint: str = "") -> None:
        self.categories_ = state["categories_"]
        self._set_alphabet()
        super()._restore(state, data_fingerprint)

    def _check_state(self) -> None:
        super()._check_state()
        shapes = {name: value.shape for name, value in self.weights_.items()}
        if len(shapes) != 4 * self.num_layers + 2 or shapes != self._weight_shapes():
            raise ValueError("the weights have other shapes than the parameters say")
        if not all(np.isfinite(value).all() for value in self.weights_.values()):
            raise ValueError("a weight is not finite")


def _counts(
    frequencies: ArrayLike | None, n: int, *, may_be_zero: bool = False
) -> NDArray[np.float64] | None:
    """Return how often each row counts; all may be 0 of a part."""
    try:
        return check_weights(frequencies, n, may_be_zero=may_be_zero)
    except DataError as error:
        raise DataError(str(error).replace("sample_weight", "frequencies")) from None


def _weighted(levels: NDArray[np.intp], counts: NDArray[np.float64] | None) -> Shares:
    """Return the distinct rows that count, and each one's share of all weights."""
    rows, place = distinct_rows(levels)
    weights = np.bincount(place, counts, minlength=len(rows))
    counted = weights > 0
    if not counted.any():
        raise DataError("all held-out rows, or all others, have the frequency 0. Pass X_val=.")
    return rows[counted], weights[counted] / weights.sum()


def _condensed(data: tuple[NDArray, ...]) -> tuple[NDArray, ...]:
    """Return distinct rows and how often each counts, of rows and how often these do."""
    rows, place = distinct_rows(data[0])
    return rows, np.bincount(place, data[1], minlength=len(rows))


def _levels_of(part: Part, trained: tuple[NDArray, ...]) -> SeenLevels:
    """Return the levels of a part, of rows that are held out, too."""
    return SeenLevels.of(part.data[0])


@dataclass(frozen=True)
class Encoded:
    """Makes letters, and how often they count, of the rows of a part that are trained on."""

    model: LSTMAutoregressive
    draw: Draw

    def __call__(self, part: Part) -> tuple[NDArray, ...]:
        rows, counts = self.draw.trained(part)
        counted = np.flatnonzero(counts)
        letters = [  # few at a time: codes take eight bytes each
            narrow(_letters_of(self.model, self.model._encode(rows[some])))
            for some in np.split(counted, range(ENCODED_AT_ONCE, len(counted), ENCODED_AT_ONCE))
        ]
        return np.concatenate(letters), counts[counted]


def _letters_of(model: LSTMAutoregressive, levels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return level codes as letters of the common alphabet."""
    return np.stack([model._letters[i][levels[:, i]] for i in range(levels.shape[1])], axis=1)


# ---- the training ----------------------------------------------------------------------------


class LSTMDescent(Descent):
    """One run of Adam over weighted distinct rows, in PyTorch.

    The loss is the mean of -log p(x) in nats. The rate rises over a short warm-up, holds, and falls
    along half a cosine. Checkpoints and the best weights are kept as `ancestral.training.descent`
    says.
    """

    betas = (0.9, 0.99)
    clip = 0.5

    def __init__(
        self,
        model: LSTMAutoregressive,
        rows: Shares,
        held_out: Shares | None,
        settings: dict[str, Any],
        rng: np.random.Generator,
        feed: Feed | None = None,
    ) -> None:
        self.judged, self.judged_out = rows, held_out
        self.model, self.device = model, as_device(model.device)
        self.network = network_of(model._n_inputs, model.hidden_size, model.num_layers)
        set_weights(self.network, model.weights_)
        self.network.to(self.device)
        parts = [
            (_letters_of(model, part), share) for part, share in filter(None, (rows, held_out))
        ]
        digest = hashlib.sha256(b"".join(a.tobytes() for part in parts for a in part))
        if feed is not None:
            digest.update(feed.parts.identity.encode())
        seed = seed_in_words(model.random_state)
        settings = {**settings, "data": digest.hexdigest(), "random_state": seed}
        super().__init__(self.network.parameters(), model.weights_, settings, rng, feed)
        self.whole, *rest = map(self._tensors, parts)
        self.held_out = rest[0] if rest else None
        self.barred = self._barred()
        self.letters, self.share = self.whole

    def _tensors(self, rows: Shares) -> tuple[torch.Tensor, torch.Tensor]:
        """Return letters, of shape (n, d), and their shares where PyTorch trains."""
        torch, (letters, share) = import_torch(), rows
        return (
            torch.as_tensor(letters, device=self.device),
            torch.as_tensor(share, dtype=torch.float32, device=self.device),
        )

    def _take(self, part: tuple[NDArray, ...]) -> None:
        letters, counts = part
        self.letters, self.share = self._tensors((letters, counts / counts.max()))

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

    @property
    def n_batches(self) -> int:
        """Steps of one pass."""
        n = len(self.letters)
        return math.ceil(n / (self.settings["batch_size"] or n))

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
        if self.n_batches == 1 and self.feed is None:
            return self._loss(slice(None))
        return self._scored(*self.whole)

    def _scored(self, letters: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean of -log p of rows, in nats, without its gradient."""
        torch = import_torch()
        with torch.no_grad():
            losses = [self._row_losses(part) for part in letters.split(SCORED_AT_ONCE)]
            return torch.cat(losses) @ share

    def _held_out_loss(self) -> float | None:
        return None if self.held_out is None else float(self._scored(*self.held_out))

    def _row_losses(self, letters: torch.Tensor) -> torch.Tensor:
        """Return -log p of each row in nats, shape (n,)."""
        torch = import_torch()
        functional = torch.nn.functional
        n, d = letters.shape
        if self.model._is_binary:
            values = letters.to(torch.float32)[:, :, None]  # (n, d, 1)
        else:
            letters = letters.long()
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

    def _fell_short(self) -> str:
        most, at, floor = self.settings["max_steps"], self.at, self.model.floor_
        if not most:
            return "max_steps=0: the LSTM is untrained, its weights are the random start."
        losses, name = [row[self._judged] for row in at.history], self._judged.replace("_", " ")
        if at.step >= WARM_UP and min(losses) >= losses[0]:
            return (
                f"no step of {at.step} brought the {name} below its start "
                f"({losses[0]:g}): the weights are the random start. Change learning_rate="
                f"{self.settings['learning_rate']:g}."
            )
        far = at.best_loss > floor + max(FAR, self.settings["tol"])
        if far and self.held_out is None and self.feed is None:
            patient = at.step < most
            why = f"patience={self.settings['patience']}" if patient else f"max_steps={most}"
            return (
                f"the LSTM stopped at {why} with a loss of {at.best_loss:.4g} nats per row, "
                f"{at.best_loss - floor:.3g} above its floor of {floor:.4g}. Pass a larger "
                f"{'patience= or hidden_size=' if patient else 'max_steps='}; with many different "
                "rows the floor cannot be reached, and the score on held-out rows shows how good "
                "the model is (early_stopping=True)."
            )
        return super()._fell_short()

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


def network_of(n_inputs: int, hidden_size: int, num_layers: int) -> torch.nn.ModuleDict:
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
