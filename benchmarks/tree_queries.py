"""Queries of LatentTree: densities, draws given a rare event, against SPFlow, loops and rejection.

A tree of 69 columns of two levels and 32 states, of random parameters. SPFlow computes the density
of a circuit made of the same parameters: the note says by how much the two differ at most, and the
run fails where that is more than 1e-9 of the density. It wants PyTorch and an environment of its
own:

    python -m venv oracle && oracle/bin/pip install . pandas statsmodels spflow==1.1.0
    oracle/bin/python -m benchmarks tree_queries

Without it that row is left out. Rejection draws rows until one meets the condition: its time is
that of a draw over the probability of the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit import queries
from ancestral.circuit.leaves import Allowed, LevelsLeaf
from ancestral.circuit.messages import Circuit, Mixture
from ancestral.circuit.queries import Condition
from benchmarks.timing import Row, Timer

DIFFERENCE = 1e-9


def rows(timer: Timer) -> Iterator[Row]:
    """One row for each query and peer."""
    d, k, n = (6, 3, 20) if timer.tiny else (69, 32, 5000)
    rng = np.random.default_rng(0)
    circuit = random_circuit(d, k, rng)
    mixture = Mixture(np.ones(1), (circuit,))
    whole = rng.integers(2, size=(n, d)).astype(float)
    half = np.where(rng.random(whole.shape) < 0.5, np.nan, whole)
    few = half[: max(1, n // 50)]
    yield timer.race(
        f"log density, {len(few)} rows, half unknown",
        lambda: queries.log_density(mixture, few),
        "NumPy, a row at a time",
        lambda: [by_row(circuit, row) for row in few],
        note=_apart(queries.log_density(mixture, few), [by_row(circuit, row) for row in few]),
    )
    if (theirs := _spflow(circuit)) is not None:
        for name, table in (("complete", whole), ("half unknown", half)):
            ours = queries.log_density(mixture, table)
            yield timer.race(
                f"log density, {n} rows, {name}",
                lambda table=table: queries.log_density(mixture, table),
                "SPFlow, log_likelihood",
                lambda table=table: theirs(table),
                note=_apart(ours, theirs(table)),
            )
    event = {i: Allowed(np.ones(1)) for i in range(min(d, 20))}
    condition = Condition(np.full(d, np.nan), event)
    n_draws, p = (20 if timer.tiny else 10_000), np.exp(queries.log_evidence(mixture, condition))
    free = Condition(np.full(d, np.nan))
    row = timer.race(
        f"{n_draws} draws given an event of {p:.1g}",
        lambda: queries.drawn(mixture, condition, n_draws, np.random.default_rng(0)),
        "rejection, by its rate",
        lambda: queries.drawn(mixture, free, n_draws, np.random.default_rng(0)),
    )
    yield Row(row.case, row.ours, row.peer, row.theirs / float(p))


def random_circuit(d: int, k: int, rng: np.random.Generator) -> Circuit:
    """Return a tree of columns of two levels."""
    parent = np.array([-1] + [int(rng.integers(max(0, i - 5), i)) for i in range(1, d)])
    leaves = tuple(LevelsLeaf(rng.dirichlet(np.ones(2), k)) for _ in range(d))
    return Circuit(parent, rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), (d, k)), leaves)


def by_row(circuit: Circuit, row: NDArray[np.float64]) -> float:
    """Return log p of one row, by the plain recursion."""
    below = [np.ones(circuit.n_states) for _ in row]
    for i in reversed(circuit.order):
        leaf = circuit.leaves[i]
        assert isinstance(leaf, LevelsLeaf)
        if not np.isnan(row[i]):
            below[i] = below[i] * leaf.p[:, int(row[i])]
        if (parent := int(circuit.parent[i])) >= 0:
            below[parent] = below[parent] * (circuit.transitions[i] @ below[i])
    return float(np.log(circuit.root @ below[circuit.order[0]]))


def _apart(ours: NDArray[np.float64], theirs: Any) -> str:
    """Return how far apart densities are at most; fail where they differ."""
    apart = float(np.abs(np.expm1(ours - np.asarray(theirs))).max())
    if not apart <= DIFFERENCE:
        raise SystemExit(f"the densities differ by {apart:.2g} of themselves, not {DIFFERENCE:g}")
    return f"densities differ by {apart:.1g} of themselves at most"


def _spflow(circuit: Circuit) -> Any:
    """Return SPFlow's log density of the circuit, a function of rows; None without SPFlow."""
    try:
        import torch
        from spflow.modules.leaves import Categorical
        from spflow.modules.products import Product
        from spflow.modules.sums import Sum
    except ImportError:
        return None
    torch.set_default_dtype(torch.float64)
    made: dict[int, Any] = {}
    for i in reversed(circuit.order):
        leaf = circuit.leaves[i]
        assert isinstance(leaf, LevelsLeaf)
        k, n_levels = leaf.p.shape
        p = torch.tensor(leaf.p).reshape(1, k, 1, n_levels)
        parts: list[Any] = [Categorical(scope=i, out_channels=k, K=n_levels, probs=p)]
        for child in circuit.children[i]:
            weights = torch.tensor(circuit.transitions[child].T.copy()).reshape(1, k, k, 1)
            parts.append(Sum(inputs=made[child], weights=weights))  # (1, z_child, z_i, 1)
        made[i] = Product(inputs=parts)
    root = torch.tensor(circuit.root).reshape(1, -1, 1, 1)
    whole = Sum(inputs=made[circuit.order[0]], weights=root)

    def log_density(table: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.no_grad():
            return np.asarray(whole.log_likelihood(torch.tensor(table)).reshape(-1).numpy())

    return log_density
