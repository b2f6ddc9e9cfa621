"""
Places for people of whom only the links are known
==================================================

Nothing is known about these people but who knows whom. Positions are found that make the links
likely, and the two groups that made the network stand apart.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import LatentPositionGraph

rng = np.random.default_rng(0)
group = np.repeat([0, 1], 60)
chance = np.where(group[:, None] == group, 0.25, 0.03)
links = np.triu(rng.random((120, 120)) < chance, 1)
links = links | links.T

model = LatentPositionGraph(n_components=2, l2=1).fit(links)

# %%
# The fit was not told the groups.

fig, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
for k, marker in enumerate("o^"):
    ax.scatter(*model.positions_[group == k].T, marker=marker, label=f"group {k + 1}")
ax.set_xlabel("first latent position")
ax.set_ylabel("second latent position")
ax.set_title("Two groups, found from links alone")
ax.legend()
plt.show()
