"""Small trees and their answers by enumeration, written apart from the package's own sums.

A tree is plain data here. Its hidden states are enumerated, and each p(x | z) is SciPy's density,
or a formula written out.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import stats

from ancestral.circuit.leaves import ContinuousLeaf, CountsLeaf, LevelsLeaf, Scale
from ancestral.circuit.messages import Circuit, Mixture

TAIL = 0.01


def tau(leaf: dict[str, Any]) -> float:
    """Return the spread of the part that all states share: a factor e, where a scale bends."""
    return 2.5 if leaf["kind"] == "identity" else float(np.clip(1 / leaf["width"], 1, 2.5))


def random_tree(rng: Any, kinds: str, k: int = 3) -> dict[str, Any]:
    """Return a tree with a leaf for each letter: b, l (levels), c (counts), x, g, a (continuous:
    identity, log, asinh, the last with two atoms).
    """
    d = len(kinds)
    leaves = []
    for kind in kinds:
        if kind in "bl":
            leaves.append({"p": rng.dirichlet(np.full({"b": 2, "l": 3}[kind], 0.7), k)})
        elif kind == "c":
            leaves.append({"m": rng.uniform(0.3, 4, k), "r": rng.uniform(0.5, 5, k)})
        else:
            atoms = np.array([0.0, 2.5]) if kind == "a" else np.empty(0)
            leaves.append(
                {
                    "kind": {"x": "identity", "g": "log", "a": "asinh"}[kind],
                    "unit": float(rng.uniform(0.5, 2)),
                    "centre": float(rng.normal()),
                    "width": float(rng.uniform(0.3, 0.8)),
                    "atoms": atoms,
                    "choice": rng.dirichlet(np.ones(len(atoms) + 1), k),
                    "mu": rng.normal(size=k),
                    "sigma": rng.uniform(0.2, 0.9, k),
                }
            )
    parent = [-1] + [int(rng.integers(i)) for i in range(1, d)]
    order = rng.permutation(d)  # so that parents may come after their children
    shuffled = [-1] * d
    for i, j in enumerate(parent):
        shuffled[order[i]] = -1 if j < 0 else int(order[j])
    return {
        "parent": shuffled,
        "root": rng.dirichlet(np.ones(k)),
        "T": rng.dirichlet(np.full(k, 0.6), (d, k)),
        "leaves": leaves,
    }


def circuit_of(tree: dict[str, Any]) -> Circuit:
    leaves: list[Any] = []
    for leaf in tree["leaves"]:
        if "p" in leaf:
            leaves.append(LevelsLeaf(leaf["p"]))
        elif "r" in leaf:
            leaves.append(CountsLeaf(leaf["m"], leaf["r"]))
        else:
            scale = Scale(leaf["kind"], leaf["unit"], leaf["centre"], leaf["width"])
            made = scale, leaf["atoms"], leaf["choice"], leaf["mu"], leaf["sigma"]
            leaves.append(ContinuousLeaf(*made))
    return Circuit(np.array(tree["parent"]), tree["root"], tree["T"], tuple(leaves))


def mixture_of(trees: list[dict[str, Any]], weights: Any) -> Mixture:
    return Mixture(np.array(weights, float), tuple(map(circuit_of, trees)))


def density(leaf: dict[str, Any], z: int, x: float) -> float:
    """Return p(x | z); 1 where x is NaN."""
    if np.isnan(x):
        return 1.0
    if "p" in leaf:
        return float(leaf["p"][z, int(x)])
    if "r" in leaf:
        m, r = leaf["m"][z], leaf["r"][z]
        return float(stats.nbinom.pmf(x, r, r / (m + r)))
    if x in leaf["atoms"].tolist():
        return float(leaf["choice"][z, leaf["atoms"].tolist().index(x)])
    unit, centre, width = leaf["unit"], leaf["centre"], leaf["width"]
    if leaf["kind"] == "identity":
        h, slope = x / unit, 1 / unit
    elif leaf["kind"] == "log":
        if x <= 0:
            return 0.0
        h, slope = np.log(x / unit), 1 / x
    else:
        h, slope = np.arcsinh(x / unit), 1 / np.sqrt(x**2 + unit**2)
    y = (h - centre) / width
    smooth = (1 - TAIL) * stats.norm.pdf(y, leaf["mu"][z], leaf["sigma"][z])
    smooth += TAIL * stats.norm.pdf(y, 0, tau(leaf))
    return float(leaf["choice"][z, -1] * smooth * slope / width)


def value(leaf: dict[str, Any], y: float) -> float:
    """Return the number x of a continuous column at y on its scale."""
    return float(_value(leaf, y))


def _value(leaf: dict[str, Any], y: Any) -> Any:
    h = leaf["centre"] + leaf["width"] * y
    return leaf["unit"] * {"identity": lambda t: t, "log": np.exp, "asinh": np.sinh}[leaf["kind"]](
        h
    )


def joint(tree: dict[str, Any], leaf_values: Any) -> float:
    """Return the sum over hidden states of the prior times a product of leaf_values(i, z_i)."""
    k, d = len(tree["root"]), len(tree["parent"])
    table = [[leaf_values(i, z) for z in range(k)] for i in range(d)]
    total = 0.0
    for z in itertools.product(range(k), repeat=d):
        p = 1.0
        for i, j in enumerate(tree["parent"]):
            p *= tree["root"][z[i]] if j < 0 else tree["T"][i][z[j], z[i]]
            p *= table[i][z[i]]
        total += p
    return total


def probability(tree: dict[str, Any], row: Any) -> float:
    """Return p of what is known of a row."""
    return joint(tree, lambda i, z: density(tree["leaves"][i], z, row[i]))


def mixed(trees: list[dict[str, Any]], weights: Any, row: Any) -> float:
    return float(sum(w * probability(tree, row) for w, tree in zip(weights, trees, strict=True)))


def leaf_integral(leaf: dict[str, Any], z: int, f: Any, low: float, high: float) -> float:
    """Return the sum and integral of f(x) p(x | z) over low <= x <= high."""
    if "p" in leaf:
        return float(sum(f(x) * p for x, p in enumerate(leaf["p"][z]) if low <= x <= high))
    if "r" in leaf:
        xs = np.arange(max(np.ceil(low), 0), np.floor(min(high, 2000)) + 1)
        m, r = leaf["m"][z], leaf["r"][z]
        return float(sum(f(x) * p for x, p in zip(xs, stats.nbinom.pmf(xs, r, r / (m + r)))))
    total = sum(f(a) * p for a, p in zip(leaf["atoms"], leaf["choice"][z, :-1]) if low <= a <= high)

    def y_of(x: float) -> float:
        with np.errstate(divide="ignore"):
            if leaf["kind"] == "identity":
                h = x / leaf["unit"]
            elif leaf["kind"] == "log":
                h = np.log(max(x, 0.0) / leaf["unit"])
            else:
                h = np.arcsinh(x / leaf["unit"])
        return float((h - leaf["centre"]) / leaf["width"])

    for weight, mu, sigma in (
        (1 - TAIL, leaf["mu"][z], leaf["sigma"][z]),
        (TAIL, 0.0, tau(leaf)),
    ):
        shift = 2 * leaf["width"] * sigma**2  # of x^2 times a Gaussian, on scales that bend
        a = max(y_of(low), mu - shift - 12 * sigma)
        b = min(y_of(high), mu + shift + 12 * sigma)
        if a >= b:
            continue
        nodes, weights = np.polynomial.legendre.leggauss(12)
        half = (b - a) / 80  # of 40 panels
        y = a + half * (2 * np.arange(40)[:, None] + 1 + nodes)
        held = f(_value(leaf, y)) * stats.norm.pdf(y, mu, sigma) * weights * half
        total += weight * leaf["choice"][z, -1] * held.sum()
    return float(total)
