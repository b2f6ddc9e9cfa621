"""Problem 3: graphs whose edges follow their nodes' features.

    p(e_ij = 1) = sigmoid(a x_i . x_j + b),   each pair i < j for itself

Run: python problem_3_graphs.py [FOLDER WITH classroom_graphs.pkl]
"""

import json
import pickle
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from graph_viz import draw_graph

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
SEED = 0

path = FOLDER / "classroom_graphs.pkl"
if not path.exists():
    sys.exit(f"No classroom_graphs.pkl in {FOLDER.resolve()}: name its folder after the script.")
with open(path, "rb") as file:
    graphs = pickle.load(file)  # a pickle can run any code: open only the course's own like this

# ---- 3(a) the log-likelihood and its gradient ----------------------------------------------------

# Every pair once: the lower triangle without the diagonal, whose ones are not friendships.
s, e = [], []
for X, E in graphs:
    rows, columns = np.tril_indices(len(X), k=-1)
    s.append((X @ X.T)[rows, columns])
    e.append(E[rows, columns])
s, e = np.concatenate(s).astype(float), np.concatenate(e).astype(float)


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def log_likelihood(a, b):
    """Return sum of e log p + (1 - e) log(1 - p) = sum of e eta - log(1 + exp(eta)), in nats."""
    eta = a * s + b
    return np.sum(e * eta - np.logaddexp(0, eta))


def gradient(a, b):
    """Return d/da = sum of (e - p) s and d/db = sum of (e - p)."""
    error = e - sigmoid(a * s + b)
    return np.sum(error * s), np.sum(error)


# ---- 3(b) gradient ascent ------------------------------------------------------------------------

# Every step rises whose size is below 2 / the largest curvature: p (1 - p) is at most 1/4.
moments = np.array([[np.mean(s * s), np.mean(s)], [np.mean(s), 1]])
step_size = 1.9 / (np.linalg.eigvalsh(moments).max() / 4)
rng = np.random.default_rng(SEED)
a, b = a_start, b_start = rng.standard_normal(2)
print(f"3(b) {len(graphs)} graphs, {len(s)} pairs, {int(e.sum())} edges")
print(f"     seed {SEED}: start at a = {a:.4f}, b = {b:.4f}; step size {step_size:.3f} / {len(s)}")
history, gain = [log_likelihood(a, b)], np.inf
lines = []
while gain >= 1e-6:
    slope_a, slope_b = gradient(a, b)
    a, b = a + step_size / len(s) * slope_a, b + step_size / len(s) * slope_b
    history.append(log_likelihood(a, b))
    gain = history[-1] - history[-2]
    lines.append(
        f"{len(lines) + 1:6d}  a = {a:.7f}  b = {b:.7f}  "
        f"log-likelihood = {history[-1]:.7f}  increase = {gain:.2e}"
    )
print("\n".join(lines[-10:]))
_, ax = plt.subplots(figsize=(4.5, 2.4))
ax.semilogx(np.arange(1, len(history)), history[1:])
ax.set(xlabel="iteration", ylabel="log-likelihood (nats)")
plt.tight_layout()
plt.savefig("3b_ascent")
plt.close()

# ---- 3(c) five new classrooms --------------------------------------------------------------------

_, axes = plt.subplots(1, 5, figsize=(6.3, 1.4))
n_nodes, n_features, n_edges = 15, graphs[0][0].shape[1], []
for ax in axes:
    X = rng.uniform(-1, 1, size=(n_nodes, n_features))  # parents first: the features,
    E = np.tril(rng.random((n_nodes, n_nodes)) < sigmoid(a * X @ X.T + b), k=-1)  # then the edges
    draw_graph(X, E | E.T, ax)
    n_edges.append(int(E.sum()))
plt.tight_layout(pad=0.3)
plt.savefig("3c_graphs")
print(f"3(c) five graphs of {n_nodes} nodes with", *n_edges, "edges")

numbers = {"seed": SEED, "step_size": step_size, "a_start": a_start, "b_start": b_start}
numbers |= {"a": a, "b": b, "log_likelihood": history[-1], "iterations": len(lines)}
numbers |= {"least_increase": float(np.diff(history).min()), "edges": n_edges}
numbers |= {"last_lines": lines[-10:]}
Path("problem_3.json").write_text(json.dumps(numbers, indent=1))
