"""What a fit of a line keeps, and the values that are found of it when they are first read."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.gaussian.linear.least_squares import EPS, Basis, Solution, solve
from ancestral.gaussian.linear.plain import Plain
from ancestral.gaussian.linear.sums import LineStatistics

Float = NDArray[np.float64]


class Derived:
    """A fitted value that is found when it is first read, of what the fit kept.

    One that was set, or came from a file, stands before it.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        if model is None:
            return self
        state = vars(model)
        if "coef_" in state and "_kept_fit" in state:
            return getattr(state["_kept_fit"], self._name)
        raise AttributeError(f"{type(model).__name__!r} has no {self._name!r}: call fit first.")


class Fit:
    """What a fit kept, and what follows from it; k targets.

    Each value is found once, and is the same whoever finds it.
    """

    def __init__(self, found: Solution, statistics: LineStatistics) -> None:
        self.found, self.count, self.unit = found, statistics.count, statistics.exponent
        self.has_table = bool(statistics.targets)  # of targets
        self.log_weights, self.of_few_rows = statistics.log_weights, found.basis is not None
        n, unit = self.count, self.unit
        self.free = n - found.rank - int(found.centred)
        self.unbounded = found.is_exact if self.free else np.ones_like(found.is_exact)
        residual = found.residual
        if not found.is_regular or not self.free:
            residual = residual * np.outer(~self.unbounded, ~self.unbounded)
        self.residual = residual
        self.held = residual / n  # (k, k), for weights over 4^unit
        self.covariance = np.ldexp(self.held, 2 * unit) if unit else self.held

    def of_targets(self, values: Float) -> Any:
        """Return values of shape (k, ...), the first alone where there is no table of targets."""
        if self.has_table:
            return values
        return float(values[0]) if values.ndim == 1 else values[0]

    @cached_property
    def log_determinant(self) -> float:
        return log_determinant_of(self.held)

    @property
    def _std(self) -> Float:
        """Residual standard deviations, for weights over 4^unit; shape (k,)."""
        if not self.free:
            return np.full(len(self.residual), np.nan)
        return np.asarray(np.sqrt(self.residual.diagonal() / self.free))

    @property
    def feature_means_(self) -> Float:
        return self.found.means

    @cached_property
    def condition_number_(self) -> float:
        return self.found.condition

    @cached_property
    def inverse_root_(self) -> Float:
        return np.ldexp(self.found.inverse_root, -self.unit)

    @property
    def span_(self) -> Float:
        return self._basis.span

    @property
    def span_scale_(self) -> Float:
        return self._basis.scale

    @property
    def _basis(self) -> Basis:
        basis = self.of_few_rows and self.found.basis
        if not basis:
            raise AttributeError("rows were enough: no basis of them is kept")
        return basis

    @cached_property
    def r_squared_(self) -> Any:
        spread = self.found.target_spread
        return self.of_targets(1 - (np.sqrt(self.residual.diagonal()) / spread) ** 2)

    @cached_property
    def residual_std_(self) -> Any:
        return self.of_targets(np.ldexp(self._std, self.unit))

    @cached_property
    def standard_errors_(self) -> Any:
        return self.of_targets(self._std[:, None] * self.found.unit_errors)

    @cached_property
    def log_likelihood_(self) -> float:
        """Of the parameters as they are held, rounded."""
        n, k, unit = self.count, len(self.held), self.unit
        value = -0.5 * n * (k * np.log(2 * np.pi) + self.log_determinant + k)
        if np.isfinite(self.log_determinant):
            value -= 0.5 * float(np.trace(np.linalg.solve(self.held, self.found.moved)))
            value += 0.5 * k * (self.log_weights - n * unit * np.log(4))
        return float(value)


class PlainFit(Fit):
    """The same of a plain fit, which has yet to look closer at most of it."""

    has_table, of_few_rows, unit, log_weights = False, False, 0, 0.0

    def __init__(self, plain: Plain) -> None:
        self.plain, self.count, self.residual = plain, plain.count, np.array([[plain.squares]])
        self.free = plain.count - len(plain.own)
        self.covariance = self.held = self.residual / plain.count

    @cached_property
    def found(self) -> Solution:  # type: ignore[override]
        start, W = int(self.plain.centred), self.plain.parameters
        found = solve(self.plain.statistics, centred=self.plain.centred, rounded_features=False)
        coef, intercept = W[start:, None], W[:1] if start else found.intercept
        return replace(found, coef=coef, intercept=intercept, residual=self.residual)

    @cached_property
    def standard_errors_(self) -> Float:
        return np.sqrt(self.plain.own * (self.plain.squares / self.free))


DERIVED = (
    "feature_means_", "condition_number_", "inverse_root_", "log_likelihood_", "r_squared_",
    "residual_std_", "standard_errors_", "span_", "span_scale_",
)  # fmt: skip


def log_determinant_of(covariance: NDArray[np.float64]) -> float:
    """Return log |Sigma|, -inf where it is singular to rounding."""
    variances = np.diag(covariance)
    if not variances.all():
        return -np.inf
    std = np.sqrt(variances)
    values = np.linalg.eigvalsh(covariance / np.outer(std, std))
    if values[0] <= 16 * EPS * len(std) and len(std) > 1:
        return -np.inf
    return float(np.log(values).sum() + np.log(variances).sum())
