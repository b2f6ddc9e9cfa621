"""Graphs: who befriends whom? Two numbers are estimated from a hundred simulated classrooms.

Two solvers climb the same hill: Newton's method, and gradient ascent with a step that raises the
likelihood every time. Then friendships are drawn anew among the same pupils and compared with the
data: edges agree by construction, triangles need not.

    python examples/classrooms.py
"""

from __future__ import annotations

import numpy as np

from ancestral import InnerProductGraph, datasets


def main() -> None:
    graphs = datasets.classrooms()
    print(
        f"{len(graphs)} classes of {graphs[0].n_nodes} pupils, simulated with a = 5.5, b = -5.4\n"
    )
    for solver in ("newton", "gradient_ascent"):
        model = InnerProductGraph(solver=solver, random_state=0).fit(graphs)
        error_a, error_b = model.standard_errors_
        print(
            f"{solver:16s} a = {model.slope_:.4f} +- {error_a:.4f},"
            f" b = {model.intercept_:.4f} +- {error_b:.4f},"
            f" log L = {model.log_likelihood_:.6f}, {len(model.history_) - 1} iterations"
        )

    rng = np.random.default_rng(1)
    drawn = [d for g in graphs for d in model.sample(20, features=g.features, random_state=rng)]
    print("\n                 edges per class    triangles per class")
    for name, some in (("data", graphs), ("drawn", drawn)):
        edges = np.mean([g.n_edges for g in some])
        print(f"{name:16s} {edges:12.2f} {np.mean([triangles(g.adjacency) for g in some]):20.2f}")

    pupils = np.array([[0.9, 0.9, 0.9], [0.8, 0.9, 0.7], [-0.9, 0.1, 0.2]])
    p = model.probabilities(pupils)
    print(f"\nTwo much alike befriend each other with probability {p[0, 1]:.4f},")
    print(f"two unlike with {p[0, 2]:.6f}.")


def triangles(adjacency: np.ndarray) -> int:
    """Return the number of triples of nodes that are all linked."""
    A = adjacency.astype(np.int64)
    np.fill_diagonal(A, 0)
    return int(np.trace(A @ A @ A)) // 6


if __name__ == "__main__":
    main()
