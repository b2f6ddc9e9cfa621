"""
Which cell of a table is surprising?
====================================

Each cell has a probability given all others of its row. The least probable cells are where to
look for slips of the keyboard, mixed-up units, and news.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine

from ancestral import LatentTree

wine = load_wine(as_frame=True).data
wine.loc[7, "ash"] = 24.3  # a decimal point in the wrong place
model = LatentTree(n_states=4, n_trees=1, random_state=0).fit(wine)

# %%
# ``surprise`` is −log p(cell | the others), in nats, for each cell.

surprise = model.surprise(wine)
worst = surprise.stack().sort_values(ascending=False).head(8)
print(worst.round(1))

fig, ax = plt.subplots(figsize=(6.5, 3.5), layout="constrained")
labels = [f"row {row}, {column}: {wine.loc[row, column]:g}" for row, column in worst.index]
ax.barh(labels[::-1], worst.to_numpy()[::-1])
ax.set_xlabel("surprise (nats)")
ax.set_title("The eight most surprising cells")
plt.show()
