"""
Draw an icon pixel by pixel
===========================

Conditional probability tables give each pixel its probability, given the pixels before it. To
draw an image is to draw its pixels in that order.
"""

import matplotlib.pyplot as plt

from ancestral import TabularAutoregressive, datasets, viz

icons, names = datasets.icons()  # (32, 25) zeros and ones
model = TabularAutoregressive().fit(icons)
print(f"entropy {model.entropy_ / 0.6931:.2f} bits: {len(icons)} icons, each equally likely")

# %%
# Fix what is known by its place, and draw the rest.

upper = {k: int(icons[0, k]) for k in range(10)}  # two rows of the first icon
drawn = model.sample(12, given=upper, random_state=0)
figure = viz.collage(drawn, (5, 5), n_rows=2, cmap="gray_r")
figure.suptitle("Twelve draws given the two upper rows", y=1, va="bottom", size="medium")
plt.show()
