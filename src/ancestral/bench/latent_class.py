"""A latent class model with the leaves of a hidden tree: one class behind all columns of a row.

    p(x) = sum over c of w_c prod_i p(x_i | c)

It is a hidden tree whose states all equal that of the root: every transition is the identity. The
columns, scales, atoms and priors are those of a fitted `LatentTree`, so that only the tree makes a
difference; one class is a table of independent columns. Fitted by EM over all rows, from several
starts of random classes, the number of classes by rows held out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import log_sum_exp
from ancestral.circuit.leaves import ContinuousLeaf, CountsLeaf, Leaf, LevelsLeaf, Prior
from ancestral.circuit.messages import Mixture

CLASSES = (2, 4, 8, 16, 32, 64)
STARTS = 3  # of small tables; one where more rows than MANY tell the classes apart
MANY = 2000
STEPS = 150
TOL = 2e-4  # nats per row by which a step must gain
HELD_OUT = 0.15


@dataclass(frozen=True)
class LatentClass:
    """Shares of classes, and a leaf of as many states for each column."""

    weights: NDArray[np.float64]
    leaves: tuple[Leaf, ...]

    def log_density(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log p of encoded rows, in nats; what is missing is summed out."""
        return log_sum_exp(self._joint(rows))

    def _joint(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log p(class, row), (n, k)."""
        with np.errstate(divide="ignore"):
            total = np.tile(np.log(self.weights), (len(rows), 1))
        for j, leaf in enumerate(self.leaves):
            total += leaf.log_density(rows[:, j])
        return total

    def responsibilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        joint = self._joint(rows)
        return np.asarray(np.exp(joint - log_sum_exp(joint)[:, None]))

    def stepped(
        self, rows: NDArray[np.float64], shares: NDArray[np.float64], priors: list[Prior]
    ) -> LatentClass:
        """Return the model that responsibilities make the most probable."""
        weights = shares.sum(axis=0) + 1.0 / shares.shape[1]
        leaves = [
            leaf.updated(leaf.statistics(rows[:, j], shares), prior)
            for j, (leaf, prior) in enumerate(zip(self.leaves, priors, strict=True))
        ]
        return LatentClass(weights / weights.sum(), tuple(leaves))


def independent(mixture: Mixture, rows: NDArray[np.float64]) -> LatentClass:
    """Return the model of one class, with the columns of a mixture of trees."""
    return _fitted(mixture, rows, 1, np.random.default_rng(0))


def chosen(mixture: Mixture, rows: NDArray[np.float64], rng: np.random.Generator) -> LatentClass:
    """Return the model whose number of classes rows held out prefer, fitted to all rows."""
    held = rng.random(len(rows)) < HELD_OUT
    scores = {
        k: float(_fitted(mixture, rows[~held], k, rng).log_density(rows[held]).mean())
        for k in CLASSES
        if k < len(rows)
    }
    return _fitted(mixture, rows, max(scores, key=lambda k: scores[k]), rng)


def _fitted(
    mixture: Mixture, rows: NDArray[np.float64], k: int, rng: np.random.Generator
) -> LatentClass:
    """Return the best of some climbs with k classes."""
    n_starts = STARTS if k > 1 and len(rows) <= MANY else 1
    found = [_climbed(mixture, rows, k, rng) for _ in range(n_starts)]
    return max(found, key=lambda model: float(model.log_density(rows).mean()))


def _climbed(
    mixture: Mixture, rows: NDArray[np.float64], k: int, rng: np.random.Generator
) -> LatentClass:
    leaves = tuple(_of_states(leaf, k) for leaf in mixture.circuits[0].leaves)
    priors = [_prior_of(leaf, rows[:, j]) for j, leaf in enumerate(leaves)]
    model = LatentClass(np.full(k, 1 / k), leaves)
    shares = 0.9 * np.eye(k)[rng.integers(0, k, len(rows))] + 0.1 / k
    last = -np.inf
    for _ in range(STEPS):
        model = model.stepped(rows, shares, priors)
        value = float(model.log_density(rows).mean())
        if value < last + TOL:
            break
        last, shares = value, model.responsibilities(rows)
    return model


def _of_states(leaf: Leaf, k: int) -> Leaf:
    """Return a leaf of the same column with k states that are alike."""
    if isinstance(leaf, LevelsLeaf):
        return LevelsLeaf(np.repeat(leaf.p[:1], k, axis=0))
    if isinstance(leaf, CountsLeaf):
        return CountsLeaf(np.full(k, leaf.mean.mean()), np.full(k, 1.0))
    assert isinstance(leaf, ContinuousLeaf)
    return replace(
        leaf,
        choice=np.repeat(leaf.choice[:1], k, axis=0),
        mean=np.zeros(k),
        spread=np.ones(k),
    )


def _prior_of(leaf: Leaf, values: NDArray[np.float64]) -> Prior:
    """Return the prior that trees give a column: half a row of its marginal for each state."""
    known = values[~np.isnan(values)]
    if isinstance(leaf, LevelsLeaf):
        counts = np.bincount(known.astype(np.intp), minlength=leaf.p.shape[1]) + 0.5
        return Prior(counts / counts.sum())
    if isinstance(leaf, ContinuousLeaf):
        atoms = np.array([(known == atom).sum() for atom in leaf.atoms], dtype=np.float64)
        counts = np.append(atoms, len(known) - atoms.sum()) + 1e-3
        return Prior(counts / counts.sum())
    return Prior(np.array([max(float(known.mean()), 1e-3)]))
