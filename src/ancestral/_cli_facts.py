"""What the command line says of a fitted model."""

from __future__ import annotations

from typing import Any

from ancestral._cli_data import is_of_graphs
from ancestral._cli_terminal import plain


def facts_of(model: Any) -> dict[str, Any]:
    """Return class, parameters and headline numbers of a fitted model."""
    facts: dict[str, Any] = {
        "model": type(model).__name__,
        "parameters": {name: plain(value) for name, value in model.get_params().items()},
        "n_parameters": int(model.n_parameters_),
    }
    for name in ("n_features_in_", "entropy_", "loss_", "floor_", "noise_variance_", "slope_"):
        if hasattr(model, name):
            facts[name] = plain(getattr(model, name))
    if is_of_graphs(model):
        facts["intercept_"] = plain(model.intercept_)
        facts["standard_errors_"] = plain(model.standard_errors_)
    return facts


def learnt(model: Any) -> dict[str, str]:
    """Return each stored value's shape, or the value itself where it is one number."""
    import numpy as np

    learnt = {}
    for name, value in model._fitted_state().items():
        if isinstance(value, np.ndarray):
            learnt[name] = f"{value.dtype} {value.shape}"
        elif isinstance(value, list | tuple | dict):
            learnt[name] = f"{type(value).__name__} of {len(value)}"
        else:
            learnt[name] = str(value)
    return learnt
