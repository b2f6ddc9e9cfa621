"""When two trainings are the same."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_same_bits(one: Any, other: Any) -> None:
    """Compare weights, history and loss of two trained models, to the bit."""
    assert one.weights_.keys() == other.weights_.keys()
    for name, value in one.weights_.items():
        np.testing.assert_array_equal(value, other.weights_[name])
    assert one.history_ == other.history_
    assert one.loss_ == other.loss_
