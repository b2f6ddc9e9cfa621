"""Floors and bits of discrete rows: what no model's mean loss can go below, and the gap to it.

mean loss = -(1/n) sum log p(x) = H(data) + KL(data || p) >= H(data)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.autoregressive.codes import MISSING
from ancestral.autoregressive.levels import DiscreteDensity, whole_numbers
from ancestral.autoregressive.tabular import TabularAutoregressive
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

    Raises
    ------
    DataError
        When X is no table, is empty, or holds values that cannot be levels.

    Examples
    --------
    >>> entropy_floor([[0, 1], [1, 0]])
    0.6931471805599453
    """
    return Counts.of(rows_of_levels(X)).entropy


def rows_of_levels(X: ArrayLike) -> NDArray:
    """Return rows of discrete values, shape (n, d), checked as a model's `fit` would."""
    return whole_numbers(TabularAutoregressive()._check_rows(X, reset=True))


def bits_per_dimension(model: Any, X: ArrayLike) -> float:
    """Return the mean loss of a discrete model in bits per known value.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)
        NaN (or None) marks an unknown value. The probability is summed over it, and it does not
        count.

    Returns
    -------
    float
        -sum log p / (n_known ln 2), with n_known the number of known values; inf if a row has
        probability 0.

    Raises
    ------
    ModelError
        For a continuous density, whose bits depend on the unit of X.
    DataError
        When no value of X is known.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> bits_per_dimension(TabularAutoregressive().fit(X), X)  # fair bits
    1.0
    """
    if not isinstance(model, DiscreteDensity):
        raise ModelError(
            f"bits per dimension are for discrete models; {type(model).__name__} has a density, "
            "whose bits change with the unit of X. Use score, in nats."
        )
    log_p = model.log_density(X)
    levels = model._encode(model._check_rows(X, reset=False), missing=True)
    return bits_per_value(log_p, int((levels != MISSING).sum()))


def bits_per_value(log_p: NDArray[np.float64], n_known: int) -> float:
    """Return the mean number of bits for each known value, from log densities in nats.

    Raises
    ------
    DataError
        When `n_known` is 0.

    Parameters
    ----------
    log_p : ndarray
        Log densities of rows, in nats.
    n_known : int
        The number of known values in these rows.

    Returns
    -------
    float
        Bits.

    Examples
    --------
    >>> round(bits_per_value(np.log([0.25, 0.25]), 4), 12)
    1.0
    """
    if not n_known:
        raise DataError("no value of X is known: bits are counted per known value. Give some.")
    return float(-log_p.sum() / (n_known * np.log(2))) + 0.0  # no minus zero


def kl_from_data(model: Any, X: ArrayLike) -> float:
    """Return the mean loss of a discrete model on rows minus their entropy, in nats per row.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)
        Complete rows.

    Returns
    -------
    float
        The Kullback-Leibler divergence from the empirical distribution of X to the model, in nats;
        inf if a row has probability 0.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> kl_from_data(TabularAutoregressive().fit([[0, 1], [1, 0]]), [[0, 1], [1, 0]])
    0.0
    """
    _refuse_continuous(model, "the floor is for discrete rows")
    return max(0.0, -model.score(X) - entropy_floor(X))  # no minus 1e-16


def support_mass(model: Any, X: ArrayLike) -> float:
    """Return the exact probability that a draw of a discrete model is one of the rows of X.

    Parameters
    ----------
    model : fitted model of discrete rows
    X : array-like of shape (n_samples, n_features)
        Complete rows; equal ones count once.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> from ancestral import TabularAutoregressive
    >>> support_mass(TabularAutoregressive().fit([[0, 1], [1, 0]]), [[0, 1], [0, 1]])
    0.5
    """
    _refuse_continuous(model, "the mass on given rows is for discrete models")
    distinct = Counts.of(rows_of_levels(X)).rows
    return min(1.0, float(np.exp(model.log_density(distinct)).sum()))


def _refuse_continuous(model: Any, why: str) -> None:
    if not isinstance(model, DiscreteDensity):
        raise ModelError(
            f"{why}; {type(model).__name__} has a density. Use score, in nats, on held-out rows."
        )
