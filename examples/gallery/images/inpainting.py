"""
What a hidden half can be
=========================

A density over images answers a question that no reconstruction does: given the upper half of a
face, what can the lower half be?
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import PPCA, datasets

# %%
# The last face is held out. ``given`` takes a row in which NaN marks what is unknown.

faces = datasets.faces()  # (100, 576): 24 by 24 pixels
model = PPCA(n_components=20).fit(faces[:-1])
known = faces[-1].copy()
known[288:] = np.nan  # the lower half

# %%
# Each draw is a face that the model holds possible. They agree above, and differ below.

draws = model.sample(4, given=known, random_state=0)
greys = plt.get_cmap("gray").with_extremes(bad="tan")
fig, axes = plt.subplots(1, 5, figsize=(9, 2.2))
titles = ["known", "draw 1", "draw 2", "draw 3", "draw 4"]
for ax, image, title in zip(axes, [known, *draws], titles, strict=True):
    ax.imshow(image.reshape(24, 24), cmap=greys, vmin=0, vmax=1)
    ax.set_title(title)
    ax.set_axis_off()
plt.show()
