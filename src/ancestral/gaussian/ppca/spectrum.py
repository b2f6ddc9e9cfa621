"""Eigenvalues of a fitted covariance, of which the leading ones are known and the rest wait.

The fit needs the leading pairs and the trace alone. What else there is comes out of the moments
when someone asks for it, and is what it would have been at once: moments never change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.statistics import Moments


class Spectrum:
    """All eigenvalues of moments, computed when first asked for.

    Parameters
    ----------
    leading : ndarray of shape (q,)
        Those that the fit has found.
    moments : Moments
        Held until then.
    """

    def __init__(self, leading: NDArray[np.float64], moments: Moments) -> None:
        self.leading = leading
        self.total = float(moments.spreads.sum()) / moments.total_weight
        self._held: Moments | NDArray[np.float64] = moments

    @property
    def values(self) -> NDArray[np.float64]:
        """The eigenvalues, falling, shape (d,)."""
        held = self._held  # once: another thread may put the values in its place
        if isinstance(held, Moments):
            eigenvalues, _ = held.eigen(0)
            held = self._held = np.concatenate(
                [
                    self.leading,
                    eigenvalues[len(self.leading) :],
                    np.zeros(held.n_features - len(eigenvalues)),
                ]
            )
        return held
