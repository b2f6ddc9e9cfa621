"""Problem 2: probabilistic PCA of faces, x = W z + mu + noise.

    z ~ N(0, I_d),   x | z ~ N(W z + mu, sigma^2 I_m)

Run: python problem_2_ppca.py [FOLDER WITH eigenfaces.npy]
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
SEED = 0

# ---- 2(a) maximum likelihood ---------------------------------------------------------------------

path = FOLDER / "eigenfaces.npy"
if not path.exists():
    sys.exit(f"No eigenfaces.npy in {FOLDER.resolve()}: name its folder after the script.")
faces = np.load(path)
X = faces.reshape(len(faces), -1).astype(float)  # (n, m): (n, 24, 24) is taken as well
n, m = X.shape
side = int(np.sqrt(m))
black, white = (0, 255) if X.max() > 1 else (0, 1)
rng = np.random.default_rng(SEED)

mu = X.mean(axis=0)
S = (X - mu).T @ (X - mu) / n
eigenvalues, U = np.linalg.eigh(S)  # in rising order
eigenvalues, U = np.maximum(eigenvalues[::-1], 0), U[:, ::-1]
U = U * np.sign(U[np.abs(U).argmax(axis=0), np.arange(m)])  # fix the sign of each column


def fit(d):
    """Return W (m, d) and sigma^2, where the likelihood is largest."""
    sigma2 = eigenvalues[d:].mean()  # of all m - d that are left, zeros too
    W = U[:, :d] * np.sqrt(eigenvalues[:d] - sigma2)
    return W, sigma2


def log_likelihood(d):
    """Return log p(X): C = W W' + sigma^2 I has the eigenvalues of S, then sigma^2."""
    sigma2 = eigenvalues[d:].mean()
    log_det = np.log(eigenvalues[:d]).sum() + (m - d) * np.log(sigma2)
    return -n / 2 * (m * np.log(2 * np.pi) + log_det + m)  # trace(C^-1 S) = m at the maximum


def encode(X, W, sigma2):
    """Return E[z | x] = M^-1 W' (x - mu), with M = W' W + sigma^2 I, for each row."""
    M = W.T @ W + sigma2 * np.eye(W.shape[1])
    return np.linalg.solve(M, W.T @ (X - mu).T).T


def decode(Z, W):
    """Return E[x | z] = W z + mu for each row."""
    return Z @ W.T + mu


def collage(images, columns, name, width=3.0, rows=(), heads=()):
    """Save images as a grid, with names for its rows and columns."""
    n_rows = len(images) // columns
    size = (width, width * n_rows / columns + 0.3 * bool(len(heads)))
    room = {"wspace": 0.04, "hspace": 0.04}
    _, axes = plt.subplots(n_rows, columns, figsize=size, gridspec_kw=room)
    for ax, image in zip(axes.flat, images):
        ax.imshow(image.reshape(side, side), cmap="gray", vmin=black, vmax=white)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, text in zip(axes[:, 0], rows):
        ax.set_ylabel(text, rotation=0, ha="right", va="center")
    for ax, text in zip(axes[0, ::3], heads[::3]):
        ax.set_title(text)
    plt.savefig(name, bbox_inches="tight")
    plt.close()


print(f"2(a) seed {SEED}: {n} faces of {m} pixels; largest eigenvalues", eigenvalues[:3].round(4))

# ---- 2(b) latents for d = 2 ----------------------------------------------------------------------

W, sigma2 = fit(2)
Z = encode(X, W, sigma2)
fig, ax = plt.subplots(figsize=(3, 3))
ax.scatter(Z[:, 0], Z[:, 1], s=5)
for radius in (1, 2):
    ax.add_patch(plt.Circle((0, 0), radius, fill=False, color="C1"))
ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
plt.tight_layout()
plt.savefig("2b_scatter")
plt.close()
print("2(b) standard deviations of the two latents", Z.std(axis=0).round(3), "(a sphere: 1, 1)")

# ---- 2(c) reconstruction -------------------------------------------------------------------------

chosen = rng.choice(n, size=25, replace=False)
collage(X[chosen], 5, "2c_originals")
sigma2s, log_likelihoods, errors = {}, {}, {}
for d in (16, 32, 64):
    W, sigma2s[d] = fit(d)
    log_likelihoods[d] = log_likelihood(d)
    rebuilt = decode(encode(X, W, sigma2s[d]), W)
    errors[d] = np.sqrt(np.mean((rebuilt - X) ** 2)) * 255 / white
    collage(rebuilt[chosen], 5, f"2c_reconstructions_{d}")
    print(
        f"2(c) d = {d}: sigma^2 = {sigma2s[d]:.6g}, log-likelihood {log_likelihoods[d]:.2f} nats,"
    )
    print(f"     root mean squared error {errors[d]:.1f} of 255 grey levels")

# ---- 2(d) new faces ------------------------------------------------------------------------------

W, _ = fit(64)
collage(decode(rng.standard_normal((100, 64)), W), 10, "2d_new_faces", width=5)
print("2(d) 100 new faces: z ~ N(0, I), x = W z + mu, with d = 64")

# ---- 2(e) one latent at a time -------------------------------------------------------------------

W, sigma2 = fit(16)
image = int(rng.integers(n))
z = encode(X[[image]], W, sigma2)
changes = {}
for name, reach, digits in (("asked", 0.05, 3), ("wide", 3.0, 1)):
    offsets = np.linspace(-reach, reach, 10)
    moved = np.array([z[0] + offset * np.eye(16)[k] for k in range(5) for offset in offsets])
    heads = [f"{offset:+.{digits}f}" for offset in offsets]
    rows = [f"$z_{k + 1}$" for k in range(5)]
    collage(decode(moved, W), 10, f"2e_traversal_{name}", 6.0, rows, heads)
    changes[name] = reach * np.abs(W[:, :5]).max() * 255 / white
    print(
        f"2(e) image {image}, offsets to ±{reach}: pixels move by up to {changes[name]:.1f} of 255"
    )

numbers = {"seed": SEED, "n": n, "m": m, "chosen": chosen.tolist(), "image": image}
numbers |= {"sigma2": sigma2s, "log_likelihood": log_likelihoods, "rmse_255": errors}
numbers |= {"largest_change_asked": changes["asked"], "largest_change_wide": changes["wide"]}
Path("problem_2.json").write_text(json.dumps(numbers, indent=1))
