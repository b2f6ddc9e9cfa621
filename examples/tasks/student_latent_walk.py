# What does each of the two first latent dimensions of the digits do? Walk along them.
import numpy as np
from sklearn.datasets import load_digits

from ancestral import PPCA, viz

X, label = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8)[:, :, 1:7].reshape(-1, 48)  # the outer pixels are never inked
model = PPCA(2).fit(X)
walk = [model.traverse(X[0], component=k, offsets=np.linspace(-2, 2, 5)) for k in (0, 1)]
viz.collage(np.vstack(walk), n_rows=2, n_cols=5, shape=(8, 6)).savefig("walk.png")
viz.latent_scatter(model, X, colour_by=label).figure.savefig("latent.png")
print(model.posterior_mean(X[:2]), model.posterior_covariance())
