"""New nodes among fitted ones, by their links to them; and positions handed over by name.

Given the fitted positions x_j, a new node i sees a logistic regression of its links on them,

    logit p(e_ij = 1) = x_i . x_j + a_i + o_ij,   (l2 / 2)(|x_i|^2 + a_i^2) taken off,

with what terms, the other node's effect and the intercept say as an offset: Newton's method, a
node at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from ancestral._checks.numbers import as_numbers
from ancestral.errors import DataError, ModelError
from ancestral.graph.attributes import Attribute
from ancestral.graph.graph import Graph
from ancestral.graph.labels import is_labelled
from ancestral.graph.latent.unbounded import FAR
from ancestral.graph.pairs.dyads import Sums
from ancestral.graph.pairs.logistic import logistic
from ancestral.graph.solvers import maximise
from ancestral.graph.terms import attributes_of

Float = NDArray[np.float64]


@dataclass(frozen=True)
class NewNodes:
    """Where new nodes are.

    Parameters
    ----------
    positions : ndarray of shape (n_new, n_components)
    standard_errors : ndarray of shape (n_new, n_components)
        The fitted positions taken as known.
    effects : ndarray of shape (n_new,), or None
    probabilities : ndarray of shape (n_new, n_nodes)
        Of links to the fitted nodes.
    """

    positions: Float
    standard_errors: Float
    effects: Float | None
    probabilities: Float


def place_nodes(
    E: Float,
    offset: Float,
    X: Float,
    l2: float,
    with_effects: bool,  # noqa: FBT001
) -> NewNodes:
    """Return the places of new nodes.

    Parameters
    ----------
    E : ndarray of shape (n_new, n_nodes)
        0, 1, or NaN where unknown.
    offset : ndarray of shape (n_new, n_nodes)
    X : ndarray of shape (n_nodes, n_components)
    l2 : float
    with_effects : bool

    Raises
    ------
    ModelError
        Where a likelihood has no finite maximum.
    """
    V = np.column_stack([X, np.ones(len(X))]) if with_effects else X
    found, errors = [], []
    for k, (row, beside) in enumerate(zip(E, offset, strict=True)):
        z, sums = _placed(k, row, beside, V, l2)
        found.append(z)
        errors.append(np.sqrt(np.linalg.inv(sums.information).diagonal()))
    Z, m = np.array(found), X.shape[1]
    p = expit(Z @ V.T + offset)
    return NewNodes(Z[:, :m], np.array(errors)[:, :m], Z[:, m] if with_effects else None, p)


def _placed(k: int, row: Float, offset: Float, V: Float, l2: float) -> tuple[Float, Sums]:
    """Return the place of one new node, and its sums there."""
    known = ~np.isnan(row)
    e, o, v = row[known], offset[known], V[known]

    def evaluate(z: Float) -> Sums:
        eta = v @ z + o
        soft, p, w = logistic(eta)
        value = float(e @ eta - soft.sum()) - l2 / 2 * float(z @ z)
        information = (v.T * w) @ v + l2 * np.eye(len(z))
        return Sums(value, v.T @ (e - p) - l2 * z, information)

    def refuse(_: Any) -> None:
        if not l2:
            refuse_leaving()

    def refuse_leaving() -> None:
        raise ModelError(
            f"new node {k}, with {int(e.sum())} links, can move away for ever: its links are "
            "separated from its other pairs. Pass l2=1, a normal prior on its position."
        )

    if not known.any() and not l2:
        raise ModelError(f"nothing is known of the links of new node {k}: drop it, or pass l2=1.")
    z, sums, _ = maximise(evaluate, np.zeros(V.shape[1]), refuse=refuse)
    if not l2 and np.sqrt(float(z @ z)) > FAR:
        refuse_leaving()
    return z, sums


# ---- by name ---------------------------------------------------------------------------------


def links_to(links: Any, labels: Sequence[str] | None, n_nodes: int) -> Float:
    """Return links of new nodes to the fitted ones as 0, 1 or NaN, (n_new, n_nodes)."""
    if is_labelled(links) and labels is not None:
        columns = [str(name) for name in links.columns]
        odd = next((name for name in labels if name not in columns), None)
        if odd is not None or len(columns) != len(labels):
            lack = f"no column {odd!r}" if odd is not None else f"{len(columns)} columns"
            raise DataError(
                f"links have {lack}, and the fit has {n_nodes} nodes: give a column for each."
            )
        links = links.iloc[:, [columns.index(name) for name in labels]]
    E = as_numbers(links, name="links").astype(np.float64)
    E = E[None] if E.ndim == 1 else E
    if E.ndim != 2 or E.shape[1] != n_nodes:
        raise DataError(
            f"links must have a row for each new node and a column for each of the {n_nodes} "
            f"fitted ones; got shape {E.shape}."
        )
    wrong = ~(np.isnan(E) | (E == 0) | (E == 1))
    if wrong.any():
        i, j = (int(place) for place in np.argwhere(wrong)[0])
        raise DataError(f"links hold {E[i, j]:g} at ({i}, {j}); entries must be 0, 1 or NaN.")
    return E


def placed_by_name(reference: Any, labels: Sequence[str] | None, shape: tuple[int, ...]) -> Float:
    """Return given positions in the order of the fitted nodes, NaN where they say nothing."""
    found = as_numbers(reference, name="reference", ndim=2).astype(np.float64)
    own = [str(label) for label in reference.index] if is_labelled(reference) else None
    if own is not None and labels is not None and own != list(labels):
        place = {label: k for k, label in enumerate(labels)}
        odd = next((label for label in own if label not in place), None)
        if odd is not None:
            raise DataError(
                f"reference names {odd!r}, which is no node of the fit: give rows that are called "
                "as nodes, or an array in their order."
            )
        moved = np.full((shape[0], found.shape[1]), np.nan)
        moved[[place[label] for label in own]] = found
        found = moved
    if found.shape != shape:
        raise DataError(f"reference must have the shape of positions_, {shape}; got {found.shape}.")
    if np.isnan(found).any(axis=1).all() or np.isinf(found).any():
        raise DataError("reference must hold finite numbers, for one node at least.")
    return found


def stacked(one: Graph, other: Graph) -> Graph:
    """Return the nodes of two graphs as one graph without links, attributes matched by name."""
    new = {attribute.name: attribute for attribute in attributes_of(other)}
    columns = []
    for held in attributes_of(one):
        more = new.get(held.name)
        if more is None:
            gap = -1 if held.levels is not None else np.nan
            values = np.full(other.n_nodes, gap)
        elif (more.levels is None) != (held.levels is None):
            kinds = ["numbers" if one.levels is None else "text" for one in (held, more)]
            raise DataError(
                f"{held.name!r} holds {kinds[1]} for new nodes and {kinds[0]} for fitted ones."
            )
        elif held.levels is None:
            values = more.values
        else:
            levels = (*held.levels, *(one for one in more.levels or () if one not in held.levels))
            held = held.with_levels(levels)
            values = more.with_levels(levels).values
        columns.append(Attribute(held.name, np.concatenate([held.values, values]), held.levels))
    n = one.n_nodes + other.n_nodes
    empty = sparse.csr_array((n, n), dtype=np.int8)
    return Graph(None, empty).replaced(_columns=tuple(columns))
