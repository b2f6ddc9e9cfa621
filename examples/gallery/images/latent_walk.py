"""
A walk along the latents
========================

Each latent of probabilistic PCA is a direction in which faces differ. A walk from two standard
deviations below the mean to two above shows what it stands for.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import PPCA, datasets, viz

faces = datasets.faces()
model = PPCA(n_components=4).fit(faces)

# %%
# ``decode`` turns latents z into the image W z + μ. Latents have mean 0 and variance 1.

steps = np.linspace(-2, 2, 7)
z = np.zeros((4, 7, 4))
for k in range(4):
    z[k, :, k] = steps
walk = model.decode(z.reshape(28, 4))

figure = viz.collage(
    walk,
    (24, 24),
    n_rows=4,
    row_labels=[f"z{k + 1}" for k in range(4)],
    column_labels=[f"{step:+.1f}" for step in steps],
)
figure.suptitle("Each row moves one latent, in standard deviations", y=1, va="bottom")
plt.show()
