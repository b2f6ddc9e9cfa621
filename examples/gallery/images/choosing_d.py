"""
How many latents do faces need?
===============================

More latents always fit the images better that the model was fitted to. Images that it has not
seen say when to stop.
"""

import matplotlib.pyplot as plt

from ancestral import PPCA, datasets

faces = datasets.faces()  # (100, 576)
train, held_out = faces[:80], faces[80:]

# %%
# One fit gives every smaller one: the directions of d = 8 are the first eight of d = 40.

curve = PPCA(n_components=40).fit(train).every_d(held_out)
best = curve.best("heldout")
print(f"d = {best} predicts the held-out images best")

# %%
# The mean log density of the held-out images rises, and then falls.

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(range(len(curve.heldout)), curve.heldout, marker=".", label="held-out images")
ax.axvline(best, color="C1", linestyle="--", label=f"best: d = {best}")
ax.set_xlabel("number of latents d")
ax.set_ylabel("mean log density (nats per image)")
ax.set_title("Held-out images choose d")
ax.legend()
plt.show()
