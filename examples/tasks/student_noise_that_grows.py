# Does the noise of y grow with x? Two models of it, compared by BIC, and a picture.
import numpy as np

from ancestral import HeteroscedasticGaussian, LinearGaussian, viz

rng = np.random.default_rng(0)
x = rng.uniform(0, 4, size=(300, 1))
y = 1 + 2 * x[:, 0] + np.exp(0.5 * x[:, 0] - 1) * rng.normal(size=300)
constant, growing = LinearGaussian().fit(x, y), HeteroscedasticGaussian().fit(x, y)
print("BIC", constant.bic(x, y), growing.bic(x, y))
print(growing.summary())
print(growing.predict([[0.0], [4.0]], return_std=True))
viz.density_shade(growing, x, y).figure.savefig("noise.png")
