"""
New rows, given a rare event
============================

Few patients in the data are both lean and badly ill. A model draws as many as you like, and
says how rare they are.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ancestral import LatentTree, datasets

X, y, names = datasets.diabetes()
table = pd.DataFrame(X, columns=names).assign(progression=y)
model = LatentTree(n_states=8, n_trees=1, random_state=0).fit(table)

# %%
# A condition takes a value, or a range with one end open.

rare = {names[2]: (None, 24.0), "progression": (200, None)}
print(f"the model gives it probability {np.exp(model.log_evidence(rare)):.2%}")
seen = table[(table[names[2]] <= 24) & (table["progression"] >= 200)]
drawn = model.sample(2000, given=rare, random_state=0)
print(f"{len(seen)} of the {len(table)} patients; 2,000 are drawn")

# %%
# What is known of a row changes what its other columns can be.

other = names[8]
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
bins = np.linspace(*table[other].quantile([0, 1]), 25)
for rows, label in ((table, "all patients"), (drawn, "drawn, given the event")):
    ax.hist(rows[other], bins, density=True, histtype="stepfilled", alpha=0.5, label=label)
ax.set_xlabel("s5 (logarithm of the serum triglycerides)")
ax.set_ylabel("density")
ax.set_ylim(0, 1.25)
ax.set_title("Lean patients whose disease progresses")
ax.legend()
plt.show()
