"""Floors, bits and comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import PPCA, TabularAutoregressive, scores
from ancestral.errors import DataError, ModelError


def test_the_floor_is_the_loss_of_the_best_model() -> None:
    X = np.random.default_rng(0).integers(0, 3, size=(200, 4))
    model = TabularAutoregressive().fit(X)
    assert scores.entropy_floor(X) == pytest.approx(-model.score(X), rel=1e-12)
    assert scores.entropy_floor(X) == pytest.approx(model.entropy_, rel=1e-12)


def test_bits_of_fair_coins_are_one() -> None:
    X = np.array(list(np.ndindex(2, 2, 2)))
    assert scores.bits_per_dimension(TabularAutoregressive().fit(X), X) == pytest.approx(1.0)
    with pytest.raises(ModelError, match="bits per dimension are for discrete models"):
        scores.bits_per_dimension(PPCA(1).fit(X + 0.0), X)


def test_comparison_is_paired_and_best_first() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) * [5.0, 1.0, 1.0]
    models = {"isotropic": PPCA(0).fit(X[:200]), "one axis": PPCA(1).fit(X[:200])}
    result = scores.compare(models, X[200:])
    assert result.names == ["one axis", "isotropic"]
    a, b = (models[name].log_density(X[200:]) for name in result.names)
    assert result.behind[1] == pytest.approx((a - b).mean())
    assert result.behind_errors[1] == pytest.approx((a - b).std(ddof=1) / np.sqrt(200))
    assert result.behind[0] == result.behind_errors[0] == 0
    with pytest.raises(DataError, match="models is empty"):
        scores.compare({}, X)
