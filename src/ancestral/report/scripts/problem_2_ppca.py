"""Problem 2: probabilistic PCA of faces.

Usage: python problem_2_ppca.py [eigenfaces.npy]
"""

import sys

import numpy as np

import ancestral


def main(path: str | None = None) -> None:
    faces = ancestral.read_array(path) if path else ancestral.datasets.faces()
    X = np.asarray(faces, dtype=float).reshape(len(faces), -1)
    print(f"2(a) {X.shape[0]} faces of {X.shape[1]} pixels")
    plane = ancestral.PPCA(2).fit(X)
    print(f"     largest eigenvalues {plane.eigenvalues_[:3].round(6)}")

    print("2(b) posterior means of z, d = 2")
    Z = plane.posterior_mean(X)
    expected = np.eye(2) - plane.posterior_covariance()
    print(
        f"     largest gap of their covariance from I - sigma^2 / Lambda: "
        f"{abs(np.cov(Z.T, bias=True) - expected).max():.1e}"
    )

    print("2(c) reconstruction W E[z|x] + mu")
    most = int(np.linalg.matrix_rank(X - X.mean(axis=0))) - 1  # some variance is left to noise
    for d in sorted({min(d, most) for d in (16, 32, 64)}):
        model = ancestral.PPCA(d).fit(X)
        error = np.sqrt(np.mean((model.reconstruct(X) - X) ** 2))
        print(
            f"     d = {d}: root mean squared error {error:.6f}, "
            f"sigma^2 {model.noise_variance_:.6g}, "
            f"log-likelihood {model.log_density(X).sum():.2f} nats"
        )

    print("2(d) and 2(e) new faces, and one face changed along its first latent")
    model = ancestral.PPCA(min(16, most)).fit(X)
    new = model.decode(np.random.default_rng(0).standard_normal((100, model.n_components_)))
    line = model.traverse(X[0], 0, np.linspace(-3, 3, 10))
    print(f"     new faces {new.shape}, brightness {new.min():.3f} to {new.max():.3f}")
    print(f"     image 1 along latent 1: {abs(line[-1] - line[0]).max():.4f} at most in a pixel")


if __name__ == "__main__":
    main(*sys.argv[1:2])
