"""Write fresh data for the homework, in the course's three formats, and the answer key.

Run: python make_variant.py SEED FOLDER

FOLDER then holds image_cpts.pkl.gz, eigenfaces.npy and classroom_graphs.pkl for the students, and
answer_key.json and answer_key.txt for their teacher. Another seed gives another set of images,
other faces, and classrooms with another a and b.
"""

import gzip
import json
import pickle
import sys
from pathlib import Path

import numpy as np

N_IMAGES, N_FACES, N_GRAPHS, N_NODES, SIDE = 20, 400, 100, 15, 24


def make_images(rng):
    """Return 5 x 5 images of 0 and 1: random halves, mirrored, all different."""
    half = rng.random((4 * N_IMAGES, 5, 3)) < 0.5
    images = np.concatenate([half, half[:, :, 1::-1]], axis=2).reshape(len(half), 25).astype(int)
    return rng.permutation(np.unique(images, axis=0))[:N_IMAGES]


def make_tables(images):
    """Return 25 tables: table i has i axes, [x_1, ..., x_i] = p(x_i | x_1, ..., x_(i-1)).

    Every image is as likely as every other. A row that no image can reach is NaN.
    """
    tables = []
    for i in range(1, 26):
        counts = np.zeros((2,) * i)
        np.add.at(counts, tuple(images[:, :i].T), 1.0)
        with np.errstate(invalid="ignore"):  # 0 / 0
            tables.append(counts / counts.sum(axis=-1, keepdims=True))
    return tables


def make_faces(rng):
    """Return simple faces of 24 x 24 in [0, 1]: light, head, eyes, brows, nose and mouth vary."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]

    def spot(at_x, at_y, wide, high):
        return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2)

    faces = []
    for _ in range(N_FACES):
        v = rng.standard_normal(8)
        face = 0.65 * spot(0, 0, 0.9 + 0.05 * v[0], 1.1 + 0.05 * v[1]) + 0.12 * v[2] * x
        apart, mouth = 0.38 + 0.03 * v[3], 0.5 + 0.04 * v[4]
        for eye in (-apart, apart):
            face -= 0.30 * spot(eye, -0.25, 0.13, 0.08)
            face -= (0.12 + 0.06 * v[5]) * spot(eye, -0.42, 0.18, 0.05)
        face += (0.10 + 0.04 * v[6]) * spot(0, 0.08, 0.08, 0.25)
        face -= 0.28 * spot(0, mouth, 0.28 + 0.05 * v[7], 0.06)
        faces.append(face + 0.2 + 0.02 * rng.standard_normal((SIDE, SIDE)))
    return np.clip(faces, 0, 1).reshape(N_FACES, -1).astype(np.float32)


def make_graphs(rng, a, b):
    """Return (features, adjacency) of each classroom; ones on the diagonal mean nothing."""
    graphs = []
    for _ in range(N_GRAPHS):
        X = rng.uniform(-1, 1, size=(N_NODES, 3))
        E = np.tril(rng.random((N_NODES, N_NODES)) < 1 / (1 + np.exp(-(a * X @ X.T + b))), k=-1)
        E = E | E.T | np.diag(rng.random(N_NODES) < 0.6)
        graphs.append((X, E.astype(np.int32)))
    return graphs


def maximum_likelihood(graphs):
    """Return a, b, their standard errors and the log-likelihood, by Newton's method."""
    lower = np.tril_indices(N_NODES, k=-1)
    s = np.concatenate([(X @ X.T)[lower] for X, _ in graphs])
    e = np.concatenate([E[lower] for _, E in graphs])
    D, theta = np.column_stack([s, np.ones_like(s)]), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-D @ theta))
        information = (D * (p * (1 - p))[:, None]).T @ D
        theta = theta + np.linalg.solve(information, D.T @ (e - p))
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    eta = D @ theta
    return theta, errors, float(np.sum(e * eta - np.logaddexp(0, eta)))


def ppca_key(X):
    """Return sigma^2 and the log-likelihood for each d, from the eigenvalues of the covariance."""
    n, m = X.shape
    eigenvalues = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2 / n
    eigenvalues = np.append(eigenvalues, np.zeros(m - len(eigenvalues)))
    key = {}
    for d in (2, 16, 32, 64):
        sigma2 = eigenvalues[d:].mean()
        log_det = np.log(eigenvalues[:d]).sum() + (m - d) * np.log(sigma2)
        key[d] = {
            "sigma2": sigma2,
            "log_likelihood": -n / 2 * (m * np.log(2 * np.pi) + log_det + m),
        }
    return key


def main(seed, folder):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    images = make_images(rng)
    with gzip.open(folder / "image_cpts.pkl.gz", "wb", compresslevel=6) as file:
        pickle.dump(make_tables(images), file, protocol=4)
    faces = make_faces(rng)
    np.save(folder / "eigenfaces.npy", faces)
    a, b = rng.uniform(3, 7), rng.uniform(-5, -2)
    graphs = make_graphs(rng, a, b)
    (folder / "classroom_graphs.pkl").write_bytes(pickle.dumps(graphs, protocol=4))

    (best_a, best_b), (error_a, error_b), best = maximum_likelihood(graphs)
    ppca = ppca_key(faces.astype(float))
    contexts = sum(len(np.unique(images[:, :i], axis=0)) for i in range(25))
    key = {
        "seed": seed,
        "problem_1": {
            "n_unique": len(images),
            "floor": float(np.log(len(images))),
            "reachable_contexts": contexts,
            "lstm_parameters": 12961,
            "images": images.tolist(),
        },
        "problem_2": ppca,
        "problem_3": {
            "true_a": a, "true_b": b, "a": best_a, "b": best_b,
            "standard_errors": [error_a, error_b], "log_likelihood": best,
        },
    }  # fmt: skip
    (folder / "answer_key.json").write_text(json.dumps(key, indent=1) + "\n")
    lines = [
        f"Answer key of the variant with seed {seed}",
        f"1(a) {len(images)} different images, all equally likely; {contexts} reachable contexts",
        f"1(b) the LSTM has 12,961 weights; 1(c) its loss can't pass ln {len(images)} = "
        f"{np.log(len(images)):.6f} nats",
        *(
            f"2    d = {d}: sigma^2 = {found['sigma2']:.6g}, "
            f"log-likelihood {found['log_likelihood']:.2f} nats"
            for d, found in ppca.items()
        ),
        f"3    a = {best_a:.4f} +- {error_a:.4f} (drawn with {a:.4f})",
        f"     b = {best_b:.4f} +- {error_b:.4f} (drawn with {b:.4f})",
        f"     log-likelihood {best:.6f} nats",
    ]
    (folder / "answer_key.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[1].isdigit():
        sys.exit("Usage: python make_variant.py SEED FOLDER, where SEED is a whole number")
    main(int(sys.argv[1]), Path(sys.argv[2]))
