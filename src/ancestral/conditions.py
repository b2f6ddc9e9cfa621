"""The capability of densities that can say what is unknown, given what is known.

    p(x_u | x_o)   for the unknown entries u of a row and the known ones o

From it come the fill (`impute`), independent draws (`impute_draws`) and the marginal of each
unknown (`marginals`). An author writes one method for each of the last two, of checked rows; how a
model fills by a single value is its own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral._checks.frames import labels_of
from ancestral.base import Density


class Conditions(Density):
    """A density whose unknown entries have an exact conditional distribution given the known ones.

    An author writes `impute(X)`, `impute_draws(X, n_draws)` and `marginals(X)`, which may have
    options of their own, and gives back what they found by the methods here.
    """

    @abstractmethod
    def impute(self, X: ArrayLike) -> Any:
        """Return the rows with their unknown entries filled by one value each."""

    @abstractmethod
    def impute_draws(self, X: ArrayLike, n_draws: int = 1, *, random_state: Any = None) -> Any:
        """Return independent draws of the unknown entries given the known ones of their row."""

    @abstractmethod
    def marginals(self, X: ArrayLike) -> dict[Any, NDArray[np.float64]]:
        """Return the distribution of each entry given what is known of its row, by column."""

    def _tables(self, draws: NDArray, X: Any, kept: NDArray | None = None) -> Any:
        """Return draws, (n_draws, n_rows, d), as they are or as a list of frames."""
        if self._frame_in is None:
            return draws
        return [self._framed(rows, X, kept) for rows in draws]

    def _by_column(self, found: list[NDArray[np.float64]]) -> dict[Any, NDArray[np.float64]]:
        """Return what stands for each column by the column's name, or else by its number."""
        names = getattr(self, "feature_names_in_", None)
        return dict(zip(labels_of(self._frame_in, names, len(found)), found, strict=True))
