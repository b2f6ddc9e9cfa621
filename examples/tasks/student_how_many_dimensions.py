# How many latent dimensions do the digits have: by BIC, by held-out rows, by share of variance?
from sklearn.datasets import load_digits

from ancestral import PPCA, viz

digits = load_digits().data[:400]
digits = digits[:, digits[:300].std(axis=0) > 0]  # pixels at the edge are never inked
train, rest = digits[:300], digits[300:]
curve = PPCA(30).fit(train).every_d(rest)
print(curve.best("bic"), curve.best("heldout"))
print(PPCA(0.9).fit(train).n_components_)
ax = viz.heldout_curve(PPCA(30).fit(train), rest)
ax.figure.savefig("heldout.png")
