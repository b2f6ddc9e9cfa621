"""
Complete an image from any side
===============================

An autoregressive model reads pixels in one order. A mixture over several orders can be asked
from any side, and is a density all the same.
"""

import matplotlib.pyplot as plt

from ancestral import OrderMixture, TabularAutoregressive, datasets, viz

icons, _ = datasets.icons()
model = OrderMixture(TabularAutoregressive(smoothing=0.01), 4, random_state=0).fit(icons)
print(f"{model.score(icons):.2f} nats per icon; the floor is {-3.4657:.2f}")

# %%
# The right two columns are known. What is on their left?

right = [3, 4, 8, 9, 13, 14, 18, 19, 23, 24]
drawn = model.sample(12, given={k: int(icons[5, k]) for k in right}, random_state=0)
figure = viz.collage(drawn, (5, 5), n_rows=2, cmap="gray_r")
figure.suptitle("Twelve draws given the right columns", y=1, va="bottom", size="medium")
plt.show()
