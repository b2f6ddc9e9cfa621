"""
Fit a table with gaps
=====================

Rows with gaps are fitted as they are: the likelihood is that of what is known. No row is
dropped, and no gap is filled first.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import PPCA, datasets

rng = np.random.default_rng(0)
X, _, names = datasets.diabetes()
X = (X - X.mean(axis=0)) / X.std(axis=0)  # (442, 10)

# %%
# A share of the cells is hidden at random. The filled cells are compared with what was hidden.

shares = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
errors, blind = [], []
for share in shares:
    hidden = rng.random(X.shape) < share
    holed = np.where(hidden, np.nan, X)
    filled = PPCA(n_components=4).fit(holed).impute(holed)
    means = np.broadcast_to(np.nanmean(holed, axis=0), X.shape)
    errors.append(np.sqrt(np.mean((filled - X)[hidden] ** 2)))
    blind.append(np.sqrt(np.mean((means - X)[hidden] ** 2)))

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(shares, errors, marker="o", label="PPCA, given the rest of the row")
ax.plot(shares, blind, marker="s", linestyle="--", label="the column's mean")
ax.set_xlabel("share of cells that are hidden")
ax.set_ylabel("error of filled cells (standard deviations)")
ax.set_ylim(0, 1.1 * max(blind))
ax.set_title("What is known in a row fills its gaps")
ax.legend()
plt.show()
