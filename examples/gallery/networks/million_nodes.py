"""
A network of a million people
=============================

There are half a trillion pairs of people, and no matrix of them is ever made: pairs of one kind
are counted together, and a draw touches only its links.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import sparse

from ancestral import DyadicGraph, Graph

rng = np.random.default_rng(0)
n = 1_000_000
town = rng.integers(200, size=n)
order = np.argsort(town, kind="stable")  # people by town
near = np.column_stack([order, order[(np.arange(n) + rng.integers(1, 300, n)) % n]])
far = rng.integers(n, size=(n // 2, 2))
i, j = np.vstack([near, far]).T
links = sparse.coo_array((np.ones(len(i), bool), (i, j)), (n, n)).tocsr()
links.setdiag(0)
links.eliminate_zeros()
towns = pd.DataFrame({"town": pd.Categorical(town)})
people = Graph(towns, (links + links.T).astype(bool))

# %%
# One coefficient: how much likelier are two people of one town to know each other?

start = time.perf_counter()
model = DyadicGraph(["match:town"]).fit(people)
seconds = time.perf_counter() - start
odds, error = np.exp(model.coef_[0]), model.standard_errors_[1]
print(f"{people.n_edges:,} links, fitted in {seconds:.1f} s")
print(f"in one town the odds are {odds:.0f} times as high, ± {error:.1%}")

# %%
# A new network of as many people in the same towns. The model draws each link by itself, so more
# people know very few or very many others than in the data, where each person has a few links.

drawn = model.sample(features=people, random_state=0)[0]
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for graph, label, marker in ((people, "data", "o"), (drawn, "drawn", "x")):
    people_of = np.bincount(np.asarray(graph.degrees).astype(int))
    ax.plot(people_of[:14] / n, marker, label=label)
ax.set_xlabel("people known (degree)")
ax.set_ylabel("share of people")
ax.set_title("How many people each one knows")
ax.legend()
plt.show()
