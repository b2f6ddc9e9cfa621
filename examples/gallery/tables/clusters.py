"""
Groups that nobody named
========================

A mixture of two-dimensional shapes is fitted to flowers, without their species. Each flower
gets the probability of each group.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from ancestral import PPCAMixture

iris = load_iris(as_frame=True)
model = PPCAMixture(n_models=3, n_components=1, random_state=0).fit(iris.data)
group = model.predict(iris.data)
sure = model.predict_proba(iris.data).max(axis=1)

# %%
# The surer the group of a point is, the larger the point.

fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
x, y = iris.data.columns[[0, 2]]
for k, marker in enumerate("os^"):
    rows = iris.data[group == k]
    size = 40 * sure[group == k]
    ax.scatter(rows[x], rows[y], s=size, marker=marker, label=f"group {k + 1}")
ax.set_xlabel(x)
ax.set_ylabel(y)
most = [np.bincount(group[iris.target == species]).max() for species in range(3)]
ax.set_title(f"{sum(most)} of 150 flowers are with most of their species")
ax.legend()
plt.show()
