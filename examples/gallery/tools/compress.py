"""
A density is a compressor
=========================

What a model finds likely needs few bits. Arithmetic coding writes each icon in −log₂ p bits, up
to the last byte, and reads it back.
"""

import matplotlib.pyplot as plt
import numpy as np

from ancestral import TabularAutoregressive, datasets

icons, _ = datasets.icons()
rng = np.random.default_rng(0)
sizes = [1, 3, 10, 30, 100, 300]
lengths = []
for n in sizes:
    rows = icons[rng.integers(len(icons), size=n)]
    model = TabularAutoregressive().fit(icons)
    code = model.compress(rows)
    assert (model.decompress(code) == rows).all()
    lengths.append(8 * len(code) / n)

# %%
# A file begins with a head, so its first icons cost more.

fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.semilogx(sizes, lengths, marker="o", label="the file")
ax.axhline(5, color="C1", linestyle="--", label="entropy of 32 icons: 5 bits")
ax.axhline(25, color="gray", linestyle=":", label="a bit for each pixel")
ax.set_xlabel("icons in the file")
ax.set_ylabel("bits per icon")
ax.set_ylim(0)
ax.set_title("The file comes down to the entropy")
ax.legend()
plt.show()
