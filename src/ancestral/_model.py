"""What the three faces share: a fitted state and a file; and what a model can do besides.

`base` is the page to read first; it hands on all that is here.
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import check_is_fitted

from ancestral import _arrays, model_file
from ancestral._checks.numbers import (
    FEWER_ROWS,
    STREAM_ROWS,
    each_warning_once,
    warn,
    within_memory,
)
from ancestral.errors import AncestralError, ModelError, UndeterminedError

# Who draws a fitted model in a notebook: named, not imported, and loaded only when one is shown.
NOTEBOOK = "ancestral.studio.notebook"


# What a model knows of the columns of its data: with these alone it is not fitted yet.
WIDTHS = ("n_features_in_", "feature_names_in_", "n_features_")


class NotFittedError(ModelError, SklearnNotFittedError):
    """The model was asked something before `fit`."""


@contextmanager
def unchanged_by_errors(model: Any) -> Iterator[None]:
    """Leave a model as it was before where its fit raises anything, Ctrl-C included.

    A fit sets values anew and changes none in place: it is enough to keep which they were.
    """
    before = dict(vars(model))
    try:
        yield
    except BaseException:
        model.__dict__ = before  # all at once, whatever interrupts this
        raise


class Model(BaseEstimator, ABC):
    """What every model has: parameters, a fitted state, a file."""

    _fields: tuple[str, ...] = ("n_features_in_", "feature_names_in_")  # what files keep, by class
    _seen: Any = None  # statistics so far, between calls of partial_fit
    _undetermined: str = ""  # why these do not determine the parameters yet
    _data_fingerprint: str = ""
    _where_memory_is_short: str = FEWER_ROWS  # what helps a fit

    @property
    def data_fingerprint_(self) -> str:
        """What `fit` was given, as 64 hexadecimal digits; "" after streams, and of older files.

        Equal data give equal fingerprints in every dtype, memory order and container.
        """
        return self._data_fingerprint

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted model to one file: no code in it, checksummed, replaced atomically.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Path

        Raises
        ------
        SaveError
            When the disk refuses; the old file, if any, is untouched.
        """
        self._check_fitted()
        return model_file.save(self, path)

    def _html_repr(self) -> str:
        """Return what a notebook shows: the model's room of the studio, else its diagram."""
        try:
            self._check_fitted()
            page = importlib.import_module(NOTEBOOK).page_of(self)
        except AncestralError:  # not fitted, or nothing to draw it from
            page = None
        return super()._html_repr() if page is None else str(page)

    def _check_fitted(self) -> None:
        try:
            check_is_fitted(self)
        except SklearnNotFittedError:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: "
                f"{self._undetermined or 'call fit first.'}"
            ) from None

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self._learnt())

    def _learnt(self) -> list[str]:
        """Return the names of fitted values, those of the columns left out."""
        return [
            name
            for name in vars(self)
            if name.endswith("_") and not name.startswith("_") and name not in WIDTHS
        ]

    def _fitted_state(self) -> dict[str, Any]:
        """Return what `fit` learnt, as arrays and plain values, by attribute name."""
        held = vars(self)
        return {name: held[name] for name in self._declared() if name in held}

    @classmethod
    def _declared(cls) -> dict[str, None]:
        """Return the names of fitted values that its classes declare, in their order."""
        lines = [vars(kind).get("_fields", ()) for kind in reversed(cls.__mro__)]
        return dict.fromkeys(name for line in lines for name in line)

    def _restore(self, state: dict[str, Any]) -> None:
        """Take back what `_fitted_state` gave; raise ValueError if it is not a whole model."""
        declared = self._declared()
        for name, value in state.items():
            if name not in declared:
                raise ValueError(f"{name!r} is no fitted value")
            if isinstance(value, int) and abs(value) >= 1 << 63:  # numpy computes with none
                raise ValueError(f"{name!r} is a whole number of more than 64 bits")
            if name == "n_features_in_" and type(value) is not int:
                raise ValueError(f"{name!r} is no whole number")
            setattr(self, name, value)
        self._check_state()

    def _check_state(self) -> None:
        """Raise ValueError when restored values cannot be a fitted model (shape, sign, NaN)."""


class MaximumLikelihood(ABC):
    """A model whose parameters maximise the likelihood of its training data."""

    n_parameters_: int

    def aic(self, X: Any, y: Any = None) -> float:
        """Return Akaike's criterion on the data, in nats times two: lower is better.

        Parameters
        ----------
        X : rows (density), inputs (conditional) or graphs, as `log_density` takes them
        y : targets, for a conditional density

        Returns
        -------
        float
            2 k - 2 log L, with k = `n_parameters_`.
        """
        total, _ = self._total_log_density(X, y)
        return float(2 * self.n_parameters_ - 2 * total)

    def bic(self, X: Any, y: Any = None) -> float:
        """Return Schwarz's criterion on the data, in nats times two: lower is better.

        Parameters
        ----------
        X, y : as for `aic`

        Returns
        -------
        float
            k log n - 2 log L, with n the number of rows (graphs: of dyads).
        """
        total, n = self._total_log_density(X, y)
        return float(self.n_parameters_ * np.log(n) - 2 * total)

    def _total_log_density(self, X: Any, y: Any) -> tuple[float, int]:
        """Return log L in nats and the number of observations."""
        values = self.log_density(X) if y is None else self.log_density(X, y)  # type: ignore[attr-defined]
        return float(np.sum(_arrays.to_host(values))), len(values)


class FromStatistics(ABC):
    """A model solved in closed form from a sum of sufficient statistics.

    Its fit is `_solve(_statistics(data))`; statistics of parts merge by `+`, so that
    `partial_fit`, and everything in `ancestral.streaming`, gives the same model as `fit`.
    """

    _seen: Any
    _undetermined: str
    _data_fingerprint: str
    _said: Any = ()  # the warnings so far, between calls of partial_fit
    _where_memory_is_short: str = STREAM_ROWS

    @abstractmethod
    def _statistics(self, *data: NDArray) -> Any:
        """Return the statistics of checked data."""

    @abstractmethod
    def _solve(self, statistics: Any) -> None:
        """Set the fitted attributes."""

    def _is_enough(self, statistics: Any) -> bool:
        """Tell whether the statistics determine the parameters yet."""
        return True

    @within_memory(FEWER_ROWS)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Add a chunk of data to what earlier calls gave, and solve again.

        Parameters
        ----------
        X : rows, inputs or graphs
            As `fit` takes them. NaN is refused, also where `fit` takes it for missing: sums of
            statistics are exact only for whole rows.
        y : array-like of shape (n_samples,)
            Targets of a conditional density; ignored otherwise.

        Returns
        -------
        self
            Fitted once enough rows were seen to determine the parameters: until then it waits,
            also where rows so far leave the likelihood unbounded.

        Notes
        -----
        After all chunks, the model is that of `fit` on all rows at once. `fit` starts over, and so
        does the first call after it, or after loading, with a warning. A chunk that is refused
        counts for nothing, and each kind of warning is given once.
        """
        return self._add(X, y)

    def _add(self, *chunk: Any) -> Self:
        """Add the statistics of one chunk, and solve where they are enough."""
        said = set() if self._seen is None else set(self._said)
        with unchanged_by_errors(self), each_warning_once(said):
            self._said = said
            fresh = self._statistics(*self._check_chunk(*chunk, reset=self._seen is None))  # type: ignore[attr-defined]
            if self._seen is None and self._learnt():  # type: ignore[attr-defined]
                warn(
                    "partial_fit starts anew: an earlier fit, or a model from a file, keeps no "
                    "statistics to add to, and is dropped. Stream all rows through partial_fit."
                )
                self._forget()
            self._seen = fresh if self._seen is None else self._seen + fresh
            self._undetermined = self._data_fingerprint = ""
            if self._is_enough(self._seen):
                try:
                    self._solve(self._seen)
                except UndeterminedError as error:
                    self._forget()
                    self._undetermined = f"partial_fit has yet to see more. {error}"
        return self

    def _forget(self) -> None:
        """Drop what was learnt."""
        for name in self._learnt():  # type: ignore[attr-defined]
            delattr(self, name)
