"""
A density from boosted trees
============================

Any classifier that gives probabilities becomes a density: one for each pixel, given those
before it. Their product is the probability of the image, exactly.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier

from ancestral import ChainAutoregressive, viz

X, digit = load_digits(return_X_y=True)
ink = X.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)) > 8  # 4 by 4 black and white pixels
zeros = ink[digit == 0].reshape(-1, 16).astype(int)

# %%
# scikit-learn's boosted trees predict each pixel from the pixels before it.

trees = HistGradientBoostingClassifier(max_iter=20, random_state=0)
model = ChainAutoregressive(trees, random_state=0).fit(zeros[:150])
print(f"held out: {model.score(zeros[150:]):.2f} nats per image")

drawn = model.sample(24, random_state=0)
figure = viz.collage(np.vstack([zeros[:24], drawn]), (4, 4), n_rows=4, cmap="gray_r")
title = "Zeros of 4 by 4 pixels: two rows of data, two rows of draws"
figure.suptitle(title, y=1, va="bottom")
plt.show()
