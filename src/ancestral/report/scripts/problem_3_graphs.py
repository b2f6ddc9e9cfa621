"""Problem 3: classrooms, p(edge) = sigmoid(a x_i.x_j + b).

Usage: python problem_3_graphs.py [classroom_graphs.pkl]
"""

import sys

import numpy as np

import ancestral


def main(path: str | None = None) -> None:
    graphs = ancestral.read_graphs(path) if path else ancestral.datasets.classrooms(random_state=0)
    print(f"3(b) gradient ascent on {len(graphs)} graphs: the last iterations")
    ascent = ancestral.InnerProductGraph(solver="gradient_ascent", random_state=0).fit(graphs)
    for record in ascent.history_[-10:]:
        print("     {a:12.8f} {b:12.8f} {log_likelihood:18.9f}".format(**record))

    newton = ancestral.InnerProductGraph().fit(graphs)
    se = newton.standard_errors_
    print(f"     Newton: a = {newton.slope_:.9f} (standard error {se[0]:.9f})")
    print(f"             b = {newton.intercept_:.9f} (standard error {se[1]:.9f})")
    print(f"     log-likelihood {newton.history_[-1]['log_likelihood']:.9f}")

    print("3(c) five new classrooms")
    n_nodes = min(40, int(np.median([graph.n_nodes for graph in graphs])))
    width = graphs[0].features.shape[1]
    drawn = {"n_nodes": n_nodes, "n_features": width, "features": "uniform"}  # on [-1, 1]
    for graph in newton.sample(5, **drawn, random_state=0):
        degrees = np.asarray(graph.adjacency).sum(axis=1)
        print(f"     {graph.n_edges} edges, degrees {degrees.min():.0f} to {degrees.max():.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
