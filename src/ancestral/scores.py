"""How good is a density? In nats, in bits, against the floor, and against another model.

    mean loss = -(1/n) sum log p(x) = H(data) + KL(data || p) >= H(data)

The entropy of the empirical distribution is the floor that no model's mean loss on the same rows
can go below; the distance to it is a Kullback-Leibler divergence. On held-out rows, two models are
compared row by row: the mean difference of log densities, with its standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.autoregressive.levels import whole_numbers
from ancestral.errors import DataError, ModelError
from ancestral.statistics import Counts


def entropy_floor(X: ArrayLike) -> float:
    """Return the entropy of the empirical distribution of discrete rows, in nats.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Integers, booleans or text.

    Returns
    -------
    float
        The least mean loss, in nats per row, that any model can have on these rows.

    Examples
    --------
    >>> entropy_floor([[0, 1], [1, 0]])
    0.6931471805599453
    """
    return Counts.of(whole_numbers(np.asarray(X))).entropy


def bits_per_dimension(model: Any, X: ArrayLike) -> float:
    """Return the mean loss of a discrete model in bits per variable.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    float
        -mean log p / (d ln 2); inf when a row is impossible.

    Raises
    ------
    ModelError
        For a continuous density, whose bits depend on the unit of X.
    """
    if not hasattr(model, "categories_"):
        raise ModelError(
            f"bits per dimension are for discrete models; {type(model).__name__} has a density, "
            "whose bits change with the unit of X. Use score, in nats."
        )
    return -model.score(X) / (model.n_features_in_ * np.log(2))


@dataclass(frozen=True)
class Comparison:
    """Held-out mean log densities of several models, and differences to the best.

    Parameters
    ----------
    names : list of str
        Best first.
    means : ndarray of shape (n_models,)
        Mean log density in nats per row.
    standard_errors : ndarray of shape (n_models,)
        Of each mean.
    behind : ndarray of shape (n_models,)
        Mean difference to the best model, row by row; 0 for the best.
    behind_errors : ndarray of shape (n_models,)
        Standard error of that difference: paired, so much smaller than of the means.
    """

    names: list[str]
    means: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    behind: NDArray[np.float64]
    behind_errors: NDArray[np.float64]


def compare(models: Mapping[str, Any], X: ArrayLike) -> Comparison:
    """Score fitted models on the same held-out rows.

    Parameters
    ----------
    models : dict of name to fitted density
    X : array-like of shape (n_samples, n_features)
        Rows that none of them was fitted to; two or more.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        When there is no model or fewer than two rows.
    """
    if not models:
        raise DataError("models is empty: give at least one fitted model by name.")
    values = {name: np.asarray(model.log_density(X)) for name, model in models.items()}
    names = sorted(values, key=lambda name: -values[name].mean())
    table = np.stack([values[name] for name in names])  # (models, n)
    n = table.shape[1]
    if n < 2:
        raise DataError(f"X has {n} row: two or more are needed for a standard error.")
    with np.errstate(invalid="ignore"):  # -inf - -inf where two models find a row impossible
        differences = np.where(table == table[0], 0.0, table[0] - table)
        root_n = np.sqrt(n)
        return Comparison(
            names=names,
            means=table.mean(axis=1),
            standard_errors=table.std(axis=1, ddof=1) / root_n,
            behind=differences.mean(axis=1),
            behind_errors=differences.std(axis=1, ddof=1) / root_n,
        )
