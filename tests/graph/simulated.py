"""Small simulated graphs, and their pairs by the slow, obvious loop."""

from __future__ import annotations

import numpy as np

from ancestral import Graph, datasets


def some_graphs(n_graphs: int = 12, seed: int = 3) -> list[Graph]:
    """Graphs of 5 to 9 nodes."""
    rng = np.random.default_rng(seed)
    graphs = []
    for _ in range(n_graphs):
        (graph,) = datasets.classrooms(
            1, n_nodes=int(rng.integers(5, 10)), slope=3.0, intercept=-1.0, random_state=rng
        )
        graphs.append(graph)
    return graphs


def by_pairs(graphs: list[Graph]) -> tuple[np.ndarray, np.ndarray]:
    """Return s_ij and e_ij of all pairs, by the slow, obvious loop."""
    s, e = [], []
    for graph in graphs:
        for i in range(graph.n_nodes):
            for j in range(i + 1, graph.n_nodes):
                s.append(float(graph.features[i] @ graph.features[j]))
                e.append(int(graph.adjacency[i, j]))
    return np.array(s), np.array(e)
