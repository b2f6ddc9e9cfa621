"""Fits to fewer rows than coefficients say nothing but the library's own warnings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ancestral import AncestralWarning, LinearGaussian


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e150])
def test_sizes_whose_squares_are_out_of_reach_are_fitted_in_silence(scale: float) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2, 3)) * scale, rng.standard_normal(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", AncestralWarning)
        model = LinearGaussian().fit(X, y)
        np.testing.assert_allclose(model.predict(X), y, rtol=1e-12)


def test_targets_of_zeros_are_refused_in_silence_or_fitted() -> None:
    X = np.eye(2, 3)
    Y = np.column_stack([np.zeros(2), [1.0, 2.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", AncestralWarning)
        model = LinearGaussian(fit_intercept=False)
        with pytest.raises(ValueError, match="column 0 of y is constant"):
            model.fit(X, Y)
