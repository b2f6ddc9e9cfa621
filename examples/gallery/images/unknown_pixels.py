"""
The probability of each unknown pixel
=====================================

A few pixels are known, in any place. Tables say exactly how probable it is that each other
pixel is on.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import TabularAutoregressive, datasets

icons, _ = datasets.icons()
model = TabularAutoregressive().fit(icons)

# %%
# NaN marks what is unknown. Three pixels are known here: two on, one off.

known = np.full(25, np.nan)
known[[2, 12, 20]] = [1, 1, 0]
marginals = model.marginals(known[None])
on = np.array([p[0, 1] for p in marginals.values()])  # probabilities of a one

colours = plt.get_cmap("viridis").with_extremes(bad="lightgray")
fig, axes = plt.subplots(1, 2, figsize=(6.5, 3.2), layout="constrained")
titles = ["known (grey: unknown)", "probability to be on"]
for ax, values, title in zip(axes, [known, on], titles, strict=True):
    picture = ax.imshow(values.reshape(5, 5), cmap=colours, vmin=0, vmax=1)
    ax.set_title(title)
    ax.set_axis_off()
fig.colorbar(picture, ax=axes, label="probability")
plt.show()
