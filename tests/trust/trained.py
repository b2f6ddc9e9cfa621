"""Models that are trained by steps, with data for each: what the tests of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import LSTMAutoregressive, NeuralGaussian

ROWS = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 1]])
SETTINGS = {"hidden_size": 6, "num_layers": 1, "max_steps": 60, "random_state": 0}


class Trained:
    """A model that is trained by steps, and data for it."""

    def __init__(self, cls: Any, *data: Any, **settings: Any) -> None:
        self.cls, self.data, self.settings = cls, data, {**SETTINGS, **settings}

    def make(self, **parameters: Any) -> Any:
        return self.cls(**{**self.settings, **parameters})

    def fit(self, data: Any = None, **options: Any) -> Any:
        """Fit with parameters of the model and options of fit, told apart by name."""
        kept = {name: options.pop(name) for name in list(options) if name.startswith("checkpoint")}
        return self.make(**options).fit(*(data or self.data), **kept)


LSTM = Trained(LSTMAutoregressive, ROWS)
X = np.linspace(-1, 1, 14).reshape(7, 2)
NETWORK = Trained(NeuralGaussian, X, np.sin(3 * X[:, 0]))
EVERY = pytest.mark.parametrize("of", [LSTM, NETWORK], ids=lambda of: of.cls.__name__)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
