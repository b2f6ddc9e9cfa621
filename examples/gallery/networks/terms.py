"""
Why do these people work together?
==================================

Sixty lawyers, simulated: those of one office work together more often, and so do those of
similar age. ``DyadicGraph`` gives each reason a coefficient with its standard error.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ancestral import DyadicGraph, Graph

rng = np.random.default_rng(0)
people = pd.DataFrame(
    {"age": rng.integers(26, 65, 60), "office": rng.choice(["Boston", "Hartford"], 60)}
)
apart = np.abs(people["age"].to_numpy()[:, None] - people["age"].to_numpy())
same = people["office"].to_numpy()[:, None] == people["office"].to_numpy()
chance = 1 / (1 + np.exp(1.5 + 0.08 * apart - 1.8 * same))
links = np.triu(rng.random((60, 60)) < chance, 1)
firm = Graph(people, links | links.T)

# %%
# Each coefficient is a change of the log odds of a link.

model = DyadicGraph(["match:office", "absdiff:age"]).fit(firm)
print(model.summary())

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
names, truth = ["same office", "a year of age apart"], [1.8, -0.08]
errors = 1.96 * model.standard_errors_[1:]
ax.errorbar(model.coef_, names, xerr=errors, fmt="o", label="95%")
ax.plot(truth, names, "x", color="C1", zorder=3, label="simulated with")
ax.axvline(0, color="gray", linewidth=0.8)
ax.set_xlabel("change of the log odds of a link")
ax.set_title("Both reasons are found")
ax.margins(y=0.5)
ax.legend()
plt.show()
