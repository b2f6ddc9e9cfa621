"""What the command line says of a fitted model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ancestral.cli.data import is_of_graphs
from ancestral.cli.terminal import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray


def facts_of(model: Any) -> dict[str, Any]:
    """Return class, parameters and headline numbers of a fitted model."""
    facts: dict[str, Any] = {
        "model": type(model).__name__,
        "parameters": {name: plain(value) for name, value in model.get_params().items()},
    }
    if hasattr(model, "n_parameters_"):  # trees and mixtures of orders claim no count
        facts["n_parameters"] = int(model.n_parameters_)
    for name in ("n_features_in_", "entropy_", "loss_", "floor_", "noise_variance_", "slope_"):
        if hasattr(model, name):
            facts[name] = plain(getattr(model, name))
    if is_of_graphs(model):
        facts["intercept_"] = plain(model.intercept_)
        if not hasattr(model, "positions_"):  # theirs are as many as the positions
            facts["standard_errors_"] = plain(model.standard_errors_)
    if hasattr(model, "target_name_"):
        facts["target"] = model.target_name_
    if hasattr(model, "standard_errors_") and getattr(model, "coef_", None) is not None:
        facts["coefficients"] = _coefficients(model)
    if model.data_fingerprint_:
        facts["data_fingerprint"] = model.data_fingerprint_
    return facts


def scores_of(model: Any, X: Any, values: NDArray) -> dict[str, Any]:
    """Return what log densities say of a model, in nats; X are the rows of discrete models."""
    import numpy as np

    from ancestral import scores

    facts: dict[str, Any] = {
        "n": len(values),
        "mean_log_density": float(values.mean()),
        "total_log_density": float(values.sum()),
        "n_impossible": int((values == -math.inf).sum()),
    }
    if not hasattr(model, "categories_"):
        return facts
    X = np.asarray(X)
    known = ~np.isnan(X) if X.dtype.kind == "f" else np.ones(X.shape, bool)
    facts["bits_per_dimension"] = scores.bits_per_value(values, int(known.sum()))
    if not known.all():
        return facts  # rows with gaps have no floor
    facts["entropy_floor"] = scores.entropy_floor(X)
    facts["kl_from_data"] = max(0.0, -facts["mean_log_density"] - facts["entropy_floor"])
    facts["support_mass"] = scores.support_mass(model, X)
    return facts


def left_out_of(model: Any, X: Any) -> dict[str, Any]:
    """Return the code lengths of left-out rows, in bits, beside the baselines', and a verdict."""
    from ancestral import scores

    found = scores.leave_one_out({type(model).__name__: model}, X)
    lengths = {
        name: {"value": float(bits), "standard_error": float(error)}
        for name, bits, error in zip(found.names, found.bits, found.standard_errors, strict=True)
    }
    return {"left_out_bits": lengths, "verdict": found.verdict}


def _coefficients(model: Any) -> dict[str, Any]:
    """Return each coefficient of a line of one target with its standard error."""
    import numpy as np

    if np.ndim(model.coef_) != 1:
        return {}
    inputs = getattr(model, "feature_names_in_", range(model.n_features_in_))
    named = [str(name) if isinstance(name, str) else f"column {name}" for name in inputs]
    powers = len(model.coef_) // len(named)
    names = [f"{name}^{k}" if k > 1 else name for k in range(1, powers + 1) for name in named]
    values = [float(v) for v in model.coef_]
    errors = [float(e) for e in model.standard_errors_]
    if len(errors) == len(values) + 1:
        names, values = ["intercept", *names], [float(model.intercept_), *values]
    return {
        name: {"value": value, "standard_error": error}
        for name, value, error in zip(names, values, errors, strict=True)
    }


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
