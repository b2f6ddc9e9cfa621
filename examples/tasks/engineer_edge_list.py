# A graph from an edge list and a table of nodes: fit, draw like it, and rank the missing links.
from pathlib import Path

import numpy as np

from ancestral import InnerProductGraph, viz
from ancestral.io import read_edge_list

Path("nodes.csv").write_text(
    "id,team\n" + "".join(f"n{i},{'red' if i < 6 else 'blue'}\n" for i in range(12))
)
pairs = [
    (0, 1),
    (0, 2),
    (1, 2),
    (3, 4),
    (2, 5),
    (6, 7),
    (7, 8),
    (8, 9),
    (9, 10),
    (10, 11),
    (6, 11),
    (0, 6),
]
Path("edges.csv").write_text("source,target\n" + "".join(f"n{i},n{j}\n" for i, j in pairs))
graph = read_edge_list("edges.csv", "nodes.csv", categorical=["team"])
model = InnerProductGraph().fit([graph])
print(model.slope_, model.intercept_, model.standard_errors_)
p = np.where(graph.adjacency, 0, model.probabilities(graph.features))
print("most probable absent link:", np.unravel_index(p.argmax(), p.shape), p.max())
viz.draw_graph(graph).figure.savefig("graph.png")
