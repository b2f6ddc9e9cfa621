"""What complete rows say of a fitted PPCA, computed where the rows lie: on a GPU, say.

The model is one whose fitted arrays lie there too; its frame (`projections`) is of the size of the
model, and is made on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ancestral._arrays import ROWS_AT_A_TIME, cast, host_of, like, namespace
from ancestral._numerics.threads import blocks_of


def log_density(model: Any, X: Any) -> Any:
    """Return log p(x) of each row, in nats."""
    frame = host_of(model)._frame
    kept = np.ones(len(frame.mean))
    kept[frame.pivots] = 0.0
    forward, back, beside, kept = (
        like(np.asarray(part), model.mean_)
        for part in (frame.forward, frame.vectors.T, frame.beside, kept)
    )

    def squares(c: Any) -> Any:
        y = c @ forward
        return _squares((c - y @ back) * kept) + _squares(y @ beside)

    squared = _by_blocks(model, X, squares) / float(frame.noise)
    return float(frame.shared) - 0.5 * squared  # a NumPy scalar would make NumPy of it


def means(model: Any, X: Any) -> Any:
    """Return E[z | x] of each row."""
    weights = like(host_of(model)._frame.weights, model.mean_)
    return _by_blocks(model, X, lambda c: c @ weights)


def decoded(model: Any, Z: Any) -> Any:
    """Return E[x | z] of each row."""
    return cast(Z, model.mean_.dtype) @ model.loadings_.T + model.mean_


def _by_blocks(model: Any, X: Any, task: Callable[[Any], Any]) -> Any:
    """Return task((x - mu) / scale), some rows at a time."""
    mean, scale, parts = model.mean_, getattr(model, "scale_", None), []
    for rows in blocks_of(slice(0, X.shape[0]), ROWS_AT_A_TIME):
        centred = cast(X[rows, :], mean.dtype) - mean
        parts.append(task(centred if scale is None else centred / scale))
    return namespace(X).concat(parts)


def _squares(values: Any) -> Any:
    """Return the sum of squares of each row."""
    return namespace(values).sum(values * values, axis=1)
