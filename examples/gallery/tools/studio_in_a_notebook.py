"""
A model that you can move, in a notebook
========================================

A fitted model at the end of a cell is its room of the studio. Move the sliders: the page
computes in your browser, and the notebook may be closed.
"""

import matplotlib.pyplot as plt

from ancestral import PPCA, datasets, viz

faces = datasets.faces()
model = PPCA(n_components=8).fit(faces)

ax = viz.spectrum(model)
ax.set_title("The spectrum of the faces")
plt.show()

# %%
# The room of the same model:

model
