"""What the command line says of a fitted model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ancestral.cli.data import entry_of
from ancestral.cli.terminal import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ancestral._catalogue import Face


def facts_of(model: Any) -> dict[str, Any]:
    """Return class, parameters and headline numbers of a fitted model."""
    from ancestral.base import MaximumLikelihood

    entry = entry_of(model)
    names = ["n_parameters_"] if isinstance(model, MaximumLikelihood) else []
    if entry.face != "graphs":
        names.append("n_features_in_")
    facts: dict[str, Any] = {
        "model": entry.name,
        "parameters": {name: plain(value) for name, value in model.get_params().items()},
    }
    for name in (*names, *entry.headlines):
        facts["n_parameters" if name == "n_parameters_" else name] = plain(getattr(model, name))
    if entry.face == "conditional":
        facts |= _of_a_regression(model)
    if entry.face == "mixed":
        facts["columns"] = {str(one["name"]): _of_a_column(one) for one in model.columns_}
        facts["left_out"] = [str(name) for name in model.left_out_]
    if model.data_fingerprint_:
        facts["data_fingerprint"] = model.data_fingerprint_
    return facts


def _of_a_regression(model: Any) -> dict[str, Any]:
    """Return the target's name, where the data had one, and a line's coefficients."""
    from ancestral.gaussian.heteroscedastic import HeteroscedasticGaussian
    from ancestral.gaussian.linear.inference import Line

    named = getattr(model, "target_name_", None)
    facts: dict[str, Any] = {} if named is None else {"target": named}
    if isinstance(model, Line):
        found = model.coef_, model.intercept_, model.standard_errors_
        facts["coefficients"] = _coefficients(model, *found)
    if isinstance(model, HeteroscedasticGaussian):
        found = model.variance_coef_, model.variance_intercept_, model.variance_standard_errors_
        facts["log_variance_coefficients"] = _coefficients(model, *found)
    return facts


def scores_of(values: NDArray) -> dict[str, Any]:
    """Return what log densities say of a model, in nats."""
    return {
        "n": len(values),
        "mean_log_density": float(values.mean()),
        "total_log_density": float(values.sum()),
        "n_impossible": int((values == -math.inf).sum()),
    }


def units_of(face: Face) -> dict[str, str]:
    """Return the units of what is said of scores."""
    one = "graph" if face == "graphs" else "row"
    per_row = f"nats per {one}"
    return {
        "n": f"{one}s",
        "mean_log_density": per_row,
        "total_log_density": "nats",
        "n_impossible": f"{one}s",
        "bits_per_dimension": "bits per known value",
        "entropy_floor": per_row,
        "kl_from_data": per_row,
        "support_mass": "(probability)",
        "left_out_bits": "bits per row",
    }


def scores_of_levels(model: Any, X: Any, values: NDArray) -> dict[str, Any]:
    """Return what log densities of discrete rows X say beside that: bits, floor and distance."""
    import numpy as np

    from ancestral import scores
    from ancestral._checks.missing import missing_mask
    from ancestral.io.writing import columns_of

    known = ~np.stack([missing_mask(column) for column in columns_of(X)[1]], axis=1)
    are_levels = model.get_params(deep=False).get("missing") == "level"  # and so known
    n_known = known.size if are_levels else int(known.sum())
    facts = {"bits_per_dimension": scores.bits_per_value(values, n_known)}
    if not known.all():
        return facts  # rows with gaps have no floor
    facts["entropy_floor"] = scores.entropy_floor(X)
    facts["kl_from_data"] = max(0.0, -float(values.mean()) - facts["entropy_floor"])
    facts["support_mass"] = scores.support_mass(model, X)
    return facts


def _of_a_column(column: dict[str, Any]) -> str:
    """Return what was found of a column, in words."""
    kind, of = column["kind"], column["of"]
    if kind in ("categorical", "binary"):
        levels = column["levels"].tolist()
        return f"{kind}: {', '.join(map(str, levels[:5]))}" + ", ..." * (len(levels) > 5)
    words = [kind if of == "number" else f"{kind} ({of}s)"]
    if len(atoms := column["atoms"]):
        values, their = ("values", "their") if len(atoms) > 1 else ("value", "its")
        words.append(f"{len(atoms)} {values} with a probability of {their} own")
    return "; ".join(words)


MOST_ODD = 20  # cells that are shown
FEWEST_ALIKE = 5  # cells with a median of their own; fewer have that of the column


def odd_cells(model: Any, X: Any, surprise: Any) -> list[dict[str, Any]]:
    """Return the oddest cells: row (from 0), column, value, and nats, the oddest first.

    They stand in the order of their nats above the median of their column, since the nats of a
    column of numbers hang on its unit. Values that have a probability of their own have a median
    of their own too: their nats are of a probability, and those of other numbers of a density.
    """
    import numpy as np

    from ancestral.io.writing import columns_of, plain_values

    labels, columns = columns_of(X, getattr(model, "feature_names_in_", None))
    _, nats = columns_of(surprise, labels)
    table = np.column_stack([np.asarray(column, dtype=np.float64) for column in nats])
    known = ~np.isnan(table)
    atoms = np.zeros(table.shape, dtype=bool)
    for codes, column in zip(model._check_rows(X).T, model.columns_, strict=True):
        atoms[:, column["place"]] = np.isin(codes, column["atoms"])
    above = np.full(table.shape, -np.inf)
    for j in range(table.shape[1]):
        whole = known[:, j]
        for part in (whole & atoms[:, j], whole & ~atoms[:, j]):
            if part.any():
                alike = part if part.sum() >= FEWEST_ALIKE else whole
                above[part, j] = table[part, j] - np.median(table[alike, j])
    order = np.argsort(-above, axis=None, kind="stable")[: min(MOST_ODD, int(known.sum()))]
    return [
        {
            "row": row,
            "column": labels[j],
            "value": plain_values(columns[j][row : row + 1])[0],
            "nats": float(table[row, j]),
            "above_median": float(above[row, j]),
        }
        for row, j in zip(*(k.tolist() for k in np.unravel_index(order, table.shape)), strict=True)
    ]


def left_out_of(model: Any, X: Any) -> dict[str, Any]:
    """Return the code lengths of left-out rows, in bits, beside the baselines', and a verdict."""
    from ancestral import scores

    found = scores.leave_one_out({type(model).__name__: model}, X)
    lengths = {
        name: {"value": float(bits), "standard_error": float(error)}
        for name, bits, error in zip(found.names, found.bits, found.standard_errors, strict=True)
    }
    return {"left_out_bits": lengths, "verdict": found.verdict}


def _coefficients(model: Any, coef: Any, intercept: Any, errors: Any) -> dict[str, Any]:
    """Return each coefficient of a line of one target with its standard error."""
    import numpy as np

    if np.ndim(coef) != 1:
        return {}
    inputs = getattr(model, "feature_names_in_", range(model.n_features_in_))
    named = [str(name) if isinstance(name, str) else f"column {name}" for name in inputs]
    powers = len(coef) // len(named)
    names = [f"{name}^{k}" if k > 1 else name for k in range(1, powers + 1) for name in named]
    values = [float(v) for v in coef]
    if len(errors) == len(values) + 1:
        names, values = ["intercept", *names], [float(intercept), *values]
    return {
        name: {"value": value, "standard_error": float(error)}
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
