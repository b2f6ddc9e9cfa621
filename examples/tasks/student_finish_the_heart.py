# The top two rows of an icon are known: what are the most probable ways to finish it?
import numpy as np

from ancestral import TabularAutoregressive, datasets

images, names = datasets.icons()
model = TabularAutoregressive().fit(images)
top = images[names.index("heart")].astype(float)
top[10:] = np.nan
print("log p(top):", model.log_density([top])[0])
drawn = model.sample(5, given=top, random_state=0)
for image in np.unique(drawn, axis=0):
    print("\n".join("".join(" #"[pixel] for pixel in row) for row in image.reshape(5, 5)), "\n")
