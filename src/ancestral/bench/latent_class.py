"""A latent class model with the leaves of a hidden tree: one class behind all columns of a row.

    p(x) = sum over c of w_c prod_i p(x_i | c)

It is a hidden tree whose states all equal that of the root: every transition is the identity. The
columns, scales, atoms and priors are those of a `LatentTree`, so that only the tree makes a
difference; one class is a table of independent columns. Fitted by EM over all rows, from several
starts, the number of classes and the start by rows held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.circuit import learning, queries
from ancestral.circuit.columns import Column
from ancestral.circuit.em import Parameters, Priors, TreeEM
from ancestral.circuit.latent_tree import LatentTree, _circuit
from ancestral.circuit.messages import Mixture
from ancestral.circuit.rows import Layout, Rows
from ancestral.circuit.starts import from_noise
from ancestral.circuit.tree import Tree

CLASSES = (2, 4, 8, 16, 32, 64)
STARTS = 3  # of small tables; one where more rows than MANY tell the classes apart
MANY = 2000
STEPS = 150
TOL = 2e-4  # nats per row by which a step must gain
HELD_OUT = 0.15
PART = 512  # rows at once


class OneStateForAll(TreeEM):
    """The EM of a tree whose transitions stay the identity."""

    def _update(self, parameters: Any, statistics: Any) -> Parameters:
        return with_identity(super()._update(parameters, statistics))


def with_identity(found: Parameters) -> Parameters:
    """Return parameters whose states all equal that of the root."""
    same = np.broadcast_to(np.eye(len(found.root)), found.transitions.shape)
    return replace(found, transitions=same.astype(found.transitions.dtype))


@dataclass(frozen=True)
class LatentClass:
    """A fitted model of so many classes."""

    n_classes: int
    mixture: Mixture

    def log_density(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log p of encoded rows, in nats; what is missing is summed out."""
        return queries.log_density(self.mixture, rows)


@dataclass(frozen=True)
class Table:
    """Encoded rows, their columns, and the priors of the trees that they are compared with."""

    rows: NDArray[np.float64]
    columns: list[Column]
    priors: Priors

    @classmethod
    def of(cls, model: LatentTree, X: Any) -> Table:
        """Return the rows of a table as a fitted tree sees them."""
        columns = model._columns_learnt
        binary = all(column.kind == "binary" for column in columns)
        return cls(model._check_rows(X), columns, Priors(0.3, 0.3) if binary else Priors(1.0, 0.5))

    def chosen(self, rng: np.random.Generator) -> LatentClass:
        """Return the model whose number of classes rows held out prefer, fitted to all rows."""
        held = rng.random(len(self.rows)) < HELD_OUT
        part, rest = replace(self, rows=self.rows[~held]), self.rows[held]
        scores = {
            k: float(part.fitted(k, rng).log_density(rest).mean())
            for k in CLASSES
            if k < len(self.rows)
        }
        return self.fitted(max(scores, key=lambda k: scores[k]), rng)

    def fitted(self, n_classes: int, rng: np.random.Generator) -> LatentClass:
        """Return the best of some climbs."""
        em = self._em(n_classes)
        n_starts = STARTS if n_classes > 1 and len(self.rows) <= MANY else 1
        climbs = [self._climbed(em, rng) for _ in range(n_starts)]
        _, best = max(climbs, key=lambda climb: climb[0])
        circuit = _circuit(learning.Member(em, best).as_plain(), self.columns)
        return LatentClass(n_classes, Mixture(np.ones(1), (circuit,)))

    def _em(self, n_classes: int) -> OneStateForAll:
        layout, d = Layout.of(self.columns), len(self.columns)
        rows = Rows.of(self.rows, self.columns, layout, np.ones(len(self.rows)))
        marginals = learning._marginals(rows, layout)
        chain = Tree(np.arange(d) - 1)
        return OneStateForAll(chain, self.columns, layout, *marginals, n_classes, self.priors)

    def _climbed(self, em: TreeEM, rng: np.random.Generator) -> tuple[float, Parameters]:
        """Return the log-likelihood and the parameters of one climb."""
        parameters, last = with_identity(from_noise(em, rng)).astype(np.float64), -np.inf
        for _ in range(STEPS):
            sums = reduce(add, (em._statistics(part, parameters) for part in self._parts(em)))
            if sums.log_likelihood < last + TOL * len(self.rows):
                break
            last, parameters = sums.log_likelihood, em._update(parameters, sums)
        return last, parameters

    def _parts(self, em: TreeEM) -> Iterator[Rows]:
        ones = np.ones(len(self.rows))
        rows = Rows.of(self.rows, self.columns, em.layout, ones)
        for start in range(0, len(self.rows), PART):
            some = np.arange(start, min(start + PART, len(self.rows)))
            yield rows.take(some, ones[some])
