"""Regression whose mean and variance come from a small network.

    y | x ~ N(mu(x), s(x)^2)
    h_0 = x,   h_k = tanh(A_k h_{k-1} + a_k),   (mu, log s^2) = B h_L + D x + b

x and y are standardised first; D is a line beside the hidden layers, so that the linear model and
the heteroscedastic one are special cases. Fitted by Adam on all rows at once, to the maximum of

    sum_i log p(y_i | x_i) - penalty / 2 * (sum of squared A, B and D)

which is the mode under a normal prior on the weights; it starts from the ridge line with one
variance. s(x) has a floor, a thousandth of y's standard deviation: without it a network that
passes through a point has no bound to its likelihood. Weights omega of rows are precisions: row i
has the variance s(x)^2 / omega_i, and the floor is that of a row of average weight.

Training runs in PyTorch; predictions and densities step the fitted weights in NumPy and float64,
so that they repeat to the last digits and a saved model needs no PyTorch.
Symbols: A, a `hidden.k.weight`, `hidden.k.bias`, B, b `head.weight`, `head.bias`, D `line.weight`,
all in `weights_`. Nix & Weigend (1994), Estimating the mean and variance of the target probability
distribution, IEEE ICNN; Bishop (2006), section 5.6.
"""
# Length: the network stands here twice, in NumPy for predictions and in PyTorch for training.

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ancestral._checks.numbers import (
    as_generator,
    check_integer,
    check_level,
    check_number,
    one_sample_message,
    refuse_far,
)
from ancestral._numerics.products import by_rows
from ancestral._numerics.threads import one_thread
from ancestral.base import ConditionalDensity, FromBatches, not_counts
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.linear.least_squares import EPS
from ancestral.gaussian.linear.sums import over_power_of_four
from ancestral.gaussian.spreads import Spreads
from ancestral.training.batches import BATCH, GATHERED, STEP_BYTES, Draw, Feed, gathered
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

Float = NDArray[np.float64]
Triple = tuple[Float, Float, Float]  # inputs, target and precision, standardised
FLOOR = 1e-3  # of s(x), in standard deviations of y
WARM_UP = 20  # steps over which the learning rate rises
LAST_RATE = 0.01  # of the full rate, reached at the last step along a cosine
KEPT_BYTES = 48  # of a step for its gradient, for each unit and row
SMALL = 4_000_000  # numbers held by a layer of all rows: below, a second thread only costs
ROUGH = 1e-11  # of the least s(x): what rounding may take from a residual

SMALLER = (
    "Pass batch_size= (rows per step, all of them by default), or a smaller network: "
    "hidden_size=, num_layers=."
)


class NeuralGaussian(FromBatches, ConditionalDensity):
    """Regression by a small neural network that gives the mean and the variance of y.

    Parameters
    ----------
    hidden_size : int
        Number of units of each hidden layer.
    num_layers : int
        Number of hidden layers. With 0, the mean and the log variance are linear in x.
    penalty : float
        Precision of the normal prior on the weights. It applies to standardised inputs and targets.
    learning_rate : float
        Learning rate of the optimiser Adam. It rises linearly to this value in a short warm-up, and
        then falls along a cosine.
    max_steps : int
        The most optimiser steps. 0 keeps the start: a ridge regression with one variance.
    batch_size : int or None
        Number of rows for each step; None takes all of them.
    tol : float
        Training stops when the loss fell by less than this in the last `patience` steps, in nats
        per row.
    patience : int
        The number of steps in which the loss must fall by `tol`.
    early_stopping : bool
        Hold out a share of the rows of `fit`. The weights with the best score on the held-out rows
        are kept, and training stops when this score no longer improves. If `fit` is given `X_val`,
        those rows are used in this way and no share is held out.
    validation_fraction : float
        The share that is held out, above 0 and below 1. `random_state` chooses the rows.
    n_iter_no_change : int
        When rows are held out, training stops after this many passes over the training rows (steps,
        without `batch_size`) in which the validation score gained less than `tol` nats. It replaces
        `patience`.
    device : str
        Where PyTorch trains: "cpu", "cuda", "cuda:1", "mps".
    random_state : None, int, RandomState or Generator
        Seed of the random start and of the batches. An int gives identical weights on one machine.

    Attributes
    ----------
    weights_ : dict of ndarray
        "hidden.0.weight", "hidden.0.bias", ..., "head.weight", "head.bias", "line.weight"; the
        first row of head and line is for the mean, the second for the log variance.
    input_mean_, input_scale_ : ndarray of shape (n_features,)
        Mean and scale by which inputs are standardised.
    target_mean_, target_scale_ : float
        Mean and scale by which y is standardised.
    noise_scale_ : float
        `target_scale_` times the root of the mean weight. The network gives s(x) / `noise_scale_`,
        where s(x) is the standard deviation of a row of weight 1.
    history_ : list of dict
        "step" and "loss" before each step, or before each pass over the data with `batch_size`. The
        loss includes the penalty, and is in nats per row of the standardised y. Also
        "validation_loss", without the penalty, if rows are held out.
    loss_ : float
        Loss of the weights that are kept: the best ones seen, or the best ones for the held-out
        rows.
    best_validation_score_ : float
        Mean log density of the held-out rows, in nats; only if there are any.
    n_parameters_ : int
        Number of stored weights. They are not fitted by plain maximum likelihood, so there is no
        `aic` or `bic`.

    Notes
    -----
    A step costs O(n * hidden_size * (n_features + num_layers * hidden_size)).

    From parts (`ancestral.streaming.fit_chunks`), rows that take up to 64 MiB are gathered and used
    as by `fit`. If one step over all of them would take more than 1 GiB and `batch_size` is None,
    each step takes 1,024 rows. If there are more rows, the parts are used one after another, in an
    order that is drawn anew for each pass over all parts, and the rows of a part are shuffled.
    Losses are then those of a sample of 16,384 rows (and of as many held-out rows), and the ridge
    regression at the start is fitted to the sample. A batch never mixes rows of two parts, so
    shuffle sorted rows before the fit.

    References
    ----------
    Nix & Weigend (1994), Proc. IEEE International Conference on Neural Networks, 55-60.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-3, 3, size=(500, 1))
    >>> y = np.sin(2 * x[:, 0]) + 0.1 * (1 + x[:, 0] ** 2) * rng.normal(size=500)
    >>> model = NeuralGaussian(random_state=0).fit(x, y)
    >>> _, std = model.predict([[0.0], [3.0]], return_std=True)  # true values: 0.1 and 1
    >>> bool(std[0] < 0.2 < 0.6 < std[1])
    True
    """

    _fields: tuple[str, ...] = (
        "input_mean_", "input_scale_", "target_mean_", "target_scale_", "noise_scale_", "weights_",
        "history_", "loss_", "best_validation_score_",
    )  # fmt: skip
    _where_memory_is_short = SMALLER

    def __init__(
        self,
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        penalty: float = 1.0,
        learning_rate: float = 5e-2,
        max_steps: int = 1000,
        batch_size: int | None = None,
        tol: float = 1e-5,
        patience: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 100,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.penalty = penalty
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.tol = tol
        self.patience = patience
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.random_state = random_state

    # ---- fit ----------------------------------------------------------------------------------

    @not_counts
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 50,
    ) -> Self:
        """Train the network on pairs.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Precisions: the variance of a row of weight w is s(x)^2 / w. Rows of weight 0 are left
            out. Weights are not counts: to count a row twice, repeat it.
        X_val : array-like or dataframe of shape (n_validation, n_features), optional
            Validation rows, which are not used for training; each has weight 1. The network weights
            that give their targets the highest mean log density are kept, and training stops when
            it no longer improves.
        y_val : array-like of shape (n_validation,), optional
            The targets of X_val.
        checkpoint : path-like, optional
            A folder, which is made if it is missing. The training is saved in it, and can be
            resumed from it as described at `LSTMAutoregressive.fit`.
        checkpoint_every : int
            Steps between two checkpoints.

        Returns
        -------
        self

        Raises
        ------
        DataError
            For X_val without y_val, or with other columns than X, or with values that X may not
            have.
        ModelError
            For a parameter out of bounds, or a checkpoint folder that holds another training or is
            in use by another process.
        SaveError
            When the checkpoint folder cannot be written. This is checked before training.
        KeyboardInterrupt
            After Ctrl-C, once the checkpoint is written.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(-1, 1, size=(100, 1))
        >>> y = np.sin(3 * x[:, 0]) + 0.1 * rng.normal(size=100)
        >>> model = NeuralGaussian(max_steps=20, random_state=0).fit(x, y)
        >>> model.predict(x).shape
        (100,)
        """
        if (X_val is None) != (y_val is None):
            raise DataError("X_val and y_val go together: pass both, or neither.")
        held_out = None if X_val is None else (X_val, y_val)
        return self._fit_anew(
            X, y, sample_weight, held_out=held_out, checkpoint=checkpoint, every=checkpoint_every
        )

    def _wants(self) -> tuple[str, ...]:
        return ("neural",)

    def _fit(
        self,
        X: NDArray,
        y: NDArray,
        weights: NDArray | None = None,
        *,
        held_out: tuple[Any, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 50,
        batch_size: int | None = None,
    ) -> None:
        rng = as_generator(self.random_state)
        settings, validation = self._checked_settings(), Validation.of(self)
        settings["batch_size"] = settings["batch_size"] or batch_size
        out: tuple[NDArray, ...] | None = None
        if held_out is not None:
            with of_validation():
                out = self._check_chunk(*held_out, reset=False)
        elif validation.early_stopping:
            validation.refuse_other_rows(self.random_state, checkpoint)
            kept, rest = validation.split(len(X), rng)
            whole = (X, y) if weights is None else (X, y, weights)
            out, (X, y, *own) = tuple(a[rest] for a in whole), (a[kept] for a in whole)
            weights = own[0] if own else None
        if out is not None:
            settings["n_iter_no_change"] = validation.n_iter_no_change
        spreads = Spreads.of(X, y)
        self._standardise(spreads)
        self.noise_scale_ = self.target_scale_
        if weights is not None:
            weights, unit = over_power_of_four(weights)
            mean = float(weights.mean())
            weights = weights / mean
            self.noise_scale_ *= float(np.ldexp(np.sqrt(mean), unit))
        rows = self._standardised_rows(X, y, weights)
        start = self._start(*rows, rng)
        self._train(rows, out, start, settings, rng, checkpoint, every)

    def _train(
        self,
        rows: Triple,
        out: tuple[NDArray, ...] | None,
        start: Weights,
        settings: dict[str, Any],
        rng: np.random.Generator,
        checkpoint: str | os.PathLike[str] | None,
        every: int,
        feed: Feed | None = None,
    ) -> None:
        """Train on standardised rows, or on a feed, judged by these and by those held out."""
        judged = None
        if out is not None:
            scale = (self.target_scale_ / self.noise_scale_) ** 2  # of a row of weight 1
            precision = out[2] * scale if len(out) > 2 else np.full(len(out[1]), scale)
            judged = self._standardised_rows(out[0], out[1], precision)
        training = NeuralDescent(self, rows, judged, start, settings, rng, feed)
        self.weights_, self.history_ = training.run(checkpoint, every)
        best = min(self.history_, key=lambda row: row.get("validation_loss", row["loss"]))
        self.loss_ = best["loss"]
        if out is not None:
            self.best_validation_score_ = self._mean_log_density(*out)

    def _standardised_rows(self, X: Float, y: Float, precision: Float | None) -> Triple:
        """Return rows as they are trained on; without precisions these are 1."""
        target = (y - self.target_mean_) / self.target_scale_
        return self._inputs(X), target, np.ones(len(X)) if precision is None else precision

    # ---- from parts ---------------------------------------------------------------------------

    def _fit_parts(
        self,
        parts: Parts[Part],
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 50,
    ) -> None:
        if (whole := gathered(parts, GATHERED)) is not None:
            step = len(whole[0]) * (self.num_layers * self.hidden_size + 1) * KEPT_BYTES
            batch_size = None if step <= STEP_BYTES else BATCH
            self._fit(*whole, checkpoint=checkpoint, every=every, batch_size=batch_size)
            return
        rng = as_generator(self.random_state)
        settings, validation = self._checked_settings(), Validation.of(self)
        settings["batch_size"] = settings["batch_size"] or BATCH
        seen, draw = validation.seen_in(parts, _spreads_of, rng, self.random_state, checkpoint)
        out = None
        if validation.early_stopping:
            settings["n_iter_no_change"] = validation.n_iter_no_change
            out = seen.held_out.data
        self._standardise(seen.own)
        mean = seen.own.mean_weight
        self.noise_scale_ = self.target_scale_ * math.sqrt(mean)
        make = Standardised(self, draw, mean)
        feed = Feed(parts.prepared(make), seen.numbers, seen.n_rows)
        rows = make.rows(*seen.sample.data)
        start = self._start(*rows, rng)
        self._train(rows, out, start, settings, rng, checkpoint, every, feed)

    def _mean_log_density(self, X: Float, y: Float, weights: Float | None = None) -> float:
        """Return the mean of log p(y | x) of checked rows of weight above 0."""
        mean, std = self._predict(X)
        root = np.ones(len(X)) if weights is None else np.sqrt(weights)
        residual = self._residual(X, y, mean, std) * root
        return float((self._log_normal(X, residual, std) + np.log(root)).mean())

    def _checked_settings(self) -> dict[str, Any]:
        """Return the checked parameters of the training."""
        batch = self.batch_size
        return {
            "hidden_size": check_integer(self.hidden_size, "hidden_size", minimum=1),
            "num_layers": check_integer(self.num_layers, "num_layers"),
            "penalty": check_number(self.penalty, "penalty", minimum=0.0),
            "learning_rate": check_number(
                self.learning_rate, "learning_rate", minimum=0.0, inclusive=False
            ),
            "max_steps": check_integer(self.max_steps, "max_steps"),
            "batch_size": None if batch is None else check_integer(batch, "batch_size", minimum=1),
            "tol": check_number(self.tol, "tol", minimum=0.0),
            "patience": check_integer(self.patience, "patience", minimum=1),
        }

    def _standardise(self, spreads: Spreads) -> None:
        """Take the means and scales of inputs and target; a constant input has the scale 1."""
        X, y, n = spreads.inputs, spreads.target, spreads.inputs.n
        if n < 2:
            raise ModelError(
                one_sample_message(n, 2, "one row leaves no scatter to learn") + " Add rows."
            )
        self.input_mean_, self.target_mean_ = X.mean, float(y.mean)
        spread = X.length / math.sqrt(n)
        self.target_scale_ = float(y.length) / math.sqrt(n)
        if not (np.isfinite(spread).all() and np.isfinite(self.target_scale_)):
            raise ModelError(
                "the spread of X or y is too large for float64. Rescale them, for example by "
                "dividing by their largest."
            )
        noise = 16 * EPS * np.abs(self.input_mean_)
        self.input_scale_ = np.where(spread > noise, spread, 1.0)
        if self.target_scale_ <= 16 * EPS * abs(self.target_mean_):
            raise ModelError(
                f"y is constant ({self.target_mean_:g}): the variance is 0 and the likelihood "
                "unbounded. Give targets that vary."
            )

    def _inputs(self, X: Float) -> Float:
        return (X - self.input_mean_) / self.input_scale_

    def _start(
        self, Z: Float, t: Float, precision: Float, rng: np.random.Generator
    ) -> dict[str, Float]:
        """Return random hidden layers that the head ignores yet, and the ridge line."""
        weights: dict[str, Float] = {}
        n_in = Z.shape[1]
        for k in range(self.num_layers):
            bound = math.sqrt(3 / n_in)  # unit variance into tanh
            weights[f"hidden.{k}.weight"] = rng.uniform(-bound, bound, (self.hidden_size, n_in))
            weights[f"hidden.{k}.bias"] = rng.uniform(-1, 1, self.hidden_size)
            n_in = self.hidden_size
        line, root = np.zeros((2, Z.shape[1])), np.sqrt(precision)
        height = float(np.average(t, weights=precision))
        centre = np.average(Z, axis=0, weights=precision)
        shrink = math.sqrt(max(self.penalty, 1e-8)) * np.eye(Z.shape[1])
        ridge = np.vstack([(Z - centre) * root[:, None], shrink])
        target = np.concatenate([(t - height) * root, np.zeros(Z.shape[1])])
        line[0] = np.linalg.lstsq(ridge, target, rcond=None)[0]
        height -= float(centre @ line[0])
        residual = (t - height - Z @ line[0]) * root
        variance = max(float((residual**2).mean()), FLOOR**2)
        if self.num_layers:
            weights["head.weight"] = np.zeros((2, n_in))
        weights["head.bias"] = np.array([height, math.log(variance)])
        weights["line.weight"] = line
        return weights

    # ---- use ----------------------------------------------------------------------------------

    @property
    def n_parameters_(self) -> int:
        """Number of stored weights."""
        return sum(value.size for value in self.weights_.values())

    def prediction_interval(
        self, X: ArrayLike, level: float = 0.95, sample_weight: ArrayLike | None = None
    ) -> tuple[Float, Float]:
        """Return an interval for one new y given each row, as if the fitted network were exact.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, n_features)
        level : float
            Probability, above 0 and below 1, that the fitted density gives to the interval.
        sample_weight : array-like of shape (n_samples,), optional
            Precisions of the new y, as `fit` takes them; 1 when not given. A weight of 0 gives an
            interval without bounds.

        Returns
        -------
        low, high : ndarray of shape (n_samples,)
            In the units of y: predict(X) ± z * s(x) / sqrt(weight). The uncertainty of the
            network's weights is not included. So new rows lie outside somewhat more often than 1 -
            level, most of all after a fit to few rows.

        Raises
        ------
        ModelError
            For a `level` outside 0 to 1.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(-1, 1, size=(100, 1))
        >>> y = np.sin(3 * x[:, 0]) + 0.1 * rng.normal(size=100)
        >>> model = NeuralGaussian(max_steps=20, random_state=0).fit(x, y)
        >>> low, high = model.prediction_interval(x)
        >>> bool((low < high).all())
        True
        """
        z = float(ndtri(0.5 + check_level(level) / 2))
        mean, std = self.predict(X, return_std=True, sample_weight=sample_weight)
        if sample_weight is None:
            refuse_far(std, "its standard deviation")
        return mean - z * std, mean + z * std

    def _predict(self, X: NDArray) -> tuple[Float, Float]:
        height, std = self._standardised(X)
        return self.target_mean_ + self.target_scale_ * height, self.noise_scale_ * std

    def _residual(self, X: Float, y: Float, mean: Float, std: Float) -> Float:
        if EPS * abs(self.target_mean_) <= ROUGH * FLOOR * self.noise_scale_:
            return y - mean
        height, _ = self._standardised(X)  # which the base takes digits from
        return (y - self.target_mean_) - self.target_scale_ * height

    def _log_normal(self, X: Float, residual: Float, std: Float) -> Float:
        refuse_far(std, "its standard deviation")
        return super()._log_normal(X, residual, std)

    def _standardised(self, X: NDArray) -> tuple[Float, Float]:
        """Return mean and standard deviation of the standardised target."""
        w, Z = self.weights_, self._inputs(X)
        with one_thread():  # and row by row: the same bits in any batch
            out = by_rows(Z, w["line.weight"].T) + w["head.bias"]  # (n, 2)
            h = Z
            for k in range(_n_layers(w)):
                h = np.tanh(by_rows(h, w[f"hidden.{k}.weight"].T) + w[f"hidden.{k}.bias"])
            if "head.weight" in w:
                out = out + by_rows(h, w["head.weight"].T)
        return out[:, 0], np.sqrt(np.exp(out[:, 1]) + FLOOR**2)

    def _check_state(self) -> None:
        w, d = self.weights_, self.n_features_in_
        sizes = [d, *(w[f"hidden.{k}.bias"].size for k in range(_n_layers(w)))]
        shapes: dict[str, tuple[int, ...]] = {"head.bias": (2,), "line.weight": (2, d)}
        for k, (n_in, n_out) in enumerate(pairwise(sizes)):
            shapes |= {f"hidden.{k}.weight": (n_out, n_in), f"hidden.{k}.bias": (n_out,)}
        if len(sizes) > 1:
            shapes["head.weight"] = (2, sizes[-1])
        if {name: value.shape for name, value in w.items()} != shapes:
            raise ValueError("the weights are not those of a whole network")
        if not hasattr(self, "noise_scale_"):  # of a file from before rows had weights
            self.noise_scale_ = self.target_scale_
        scales = [*self.input_mean_, *self.input_scale_, self.target_mean_]
        scales += [self.target_scale_, self.noise_scale_]
        if len(scales) != 2 * d + 3 or not np.isfinite(scales).all():
            raise ValueError("means and scales must be finite, one per column")
        if not min(*self.input_scale_, self.target_scale_, self.noise_scale_) > 0:
            raise ValueError("scales must be above 0")
        if not all(np.isfinite(value).all() for value in w.values()):
            raise ValueError("a weight is not finite")


def _spreads_of(part: Part, trained: tuple[NDArray, ...]) -> Spreads:
    """Return what standardises the rows of a part that are trained on."""
    return Spreads.of(*trained)


@dataclass(frozen=True)
class Standardised:
    """Makes standardised rows of those of a part that are trained on."""

    model: NeuralGaussian
    draw: Draw
    mean_weight: float

    def __call__(self, part: Part) -> Triple:
        return self.rows(*self.draw.trained(part))

    def rows(self, X: Float, y: Float, weights: Float | None = None) -> Triple:
        precision = None if weights is None else weights / self.mean_weight
        return self.model._standardised_rows(X, y, precision)


def _n_layers(weights: dict[str, Float]) -> int:
    """Return how many hidden layers there are."""
    return sum(name.startswith("hidden.") and name.endswith(".bias") for name in weights)


# ---- the training ----------------------------------------------------------------------------


class NeuralDescent(Descent):
    """One run of Adam over standardised rows, in PyTorch.

    The loss is the mean of -log p(y | x) of the standardised target, in nats, plus the prior's
    share; a row's precision (one on average) divides its variance. The rate rises over a short
    warm-up and falls along half a cosine. Checkpoints and the best weights are kept as
    `ancestral.training.descent` says.
    """

    def __init__(
        self,
        model: NeuralGaussian,
        rows: Triple,
        held_out: Triple | None,
        start: Weights,
        settings: dict[str, Any],
        rng: np.random.Generator,
        feed: Feed | None = None,
    ) -> None:
        torch = import_torch()
        self.model, self.device = model, as_device(model.device)
        # Apple's devices have no float64.
        self.kind = kind = torch.float32 if self.device.type == "mps" else torch.float64
        self.whole = self.rows = self._tensors(rows)
        self.held_out = None if held_out is None else self._tensors(held_out)
        self.weights = {
            name: torch.tensor(value, dtype=kind, device=self.device, requires_grad=True)
            for name, value in start.items()
        }
        given = rows[: 2 if (rows[2] == 1).all() else 3] + (held_out or ())
        digest = hashlib.sha256(b"".join(a.tobytes() for a in given))
        if feed is not None:
            digest.update(feed.parts.identity.encode())
        seed = seed_in_words(model.random_state)
        settings = {**settings, "data": digest.hexdigest(), "random_state": seed}
        super().__init__(self.weights.values(), start, settings, rng, feed)
        self.n = len(rows[0]) if feed is None else feed.n_rows
        self.size = min(settings["batch_size"] or self.n, self.n)

    def _tensors(self, rows: Triple) -> tuple[torch.Tensor, ...]:
        """Return rows where PyTorch trains."""
        torch = import_torch()
        return tuple(torch.tensor(a, dtype=self.kind, device=self.device) for a in rows)

    def _take(self, part: tuple[NDArray, ...]) -> None:
        Z, t, precision = part
        self.rows = self._tensors((Z, t, precision))

    def run(
        self, folder: str | os.PathLike[str] | None, every: int
    ) -> tuple[Weights, list[dict[str, float]]]:
        n, d = (self.whole[0] if self.feed is None else self.whole[0][: self.size]).shape
        work = n * (d + self.model.hidden_size)
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
        n = len(self.rows[0])
        order = np.arange(n) if self.size >= n else self.rng.permutation(n)
        return [order[i : i + self.size] for i in range(0, n, self.size)]

    def _loss(self, rows: Any) -> torch.Tensor:
        return self._penalised(*(a[rows] for a in self.rows))

    def _penalised(self, *rows: torch.Tensor) -> torch.Tensor:
        """Return the mean of -log p over rows and the penalty's share, differentiable."""
        squares = sum((v**2).sum() for name, v in self.weights.items() if name.endswith("weight"))
        return self._misfit(*rows) + 0.5 * self.model.penalty / self.n * squares

    def _misfit(self, Z: torch.Tensor, t: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
        """Return the mean of -log p over rows, differentiable."""
        torch, w = import_torch(), self.weights
        out, h = Z @ w["line.weight"].T + w["head.bias"], Z
        for k in range(self.model.num_layers):
            h = torch.tanh(h @ w[f"hidden.{k}.weight"].T + w[f"hidden.{k}.bias"])
        if "head.weight" in w:
            out = out + h @ w["head.weight"].T
        variance = (torch.exp(out[:, 1]) + FLOOR**2) / precision
        fit = 0.5 * (math.log(2 * math.pi) + torch.log(variance) + (t - out[:, 0]) ** 2 / variance)
        return fit.mean()

    def _held_out_loss(self) -> float | None:
        if self.held_out is None:
            return None
        with import_torch().no_grad():
            return float(self._misfit(*self.held_out))

    def _whole_loss(self) -> torch.Tensor:
        torch = import_torch()
        with torch.set_grad_enabled(self.feed is None and self.size == self.n):
            return self._penalised(*self.whole)

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step: a linear warm-up, then half a cosine."""
        most, full = self.settings["max_steps"], self.settings["learning_rate"]
        way = step / max(1, most)
        fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * way)) / 2
        return float(full * min(1.0, (step + 1) / WARM_UP) * fall)

    def _is_done(self) -> bool:
        return bool(self.at.step - self.at.gained_at >= self.settings["patience"])
