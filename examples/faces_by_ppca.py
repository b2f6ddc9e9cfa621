"""Probabilistic PCA: half of a face is known; what is the other half, and how sure is that?

Fitted to 90 faces of 24 x 24 pixels, scored on 10 others for several latent dimensions. Then the
lower half of a new face is drawn given the upper half, and compared with the truth.

    python examples/faces_by_ppca.py            (needs the extra "report" for the faces)
"""

from __future__ import annotations

import numpy as np

from ancestral import PPCA, datasets

SIDE = 24


def main() -> None:
    faces = datasets.faces()
    order = np.random.default_rng(0).permutation(len(faces))
    train, new = faces[order[:90]], faces[order[90:]]

    print("latent dimension d    sigma     log density per face, nats: training      new")
    models = {d: PPCA(n_components=d).fit(train) for d in (0, 2, 5, 10, 20, 40)}
    for d, model in models.items():
        sigma = np.sqrt(model.noise_variance_)
        print(f"{d:18d} {sigma:8.4f} {model.score(train):44.1f} {model.score(new):8.1f}")
    best = max(models, key=lambda d: models[d].score(new))
    print(f"\nNew faces are most probable under d = {best}.")

    model, hidden = models[best], np.arange(SIDE * SIDE) >= SIDE * SIDE // 2
    rng = np.random.default_rng(1)
    errors, blind, inside = [], [], []
    for face in new:
        given = np.where(hidden, np.nan, face)
        drawn = model.sample(1000, given=given, random_state=rng)[:, hidden]
        mean, spread = drawn.mean(axis=0), drawn.std(axis=0)
        errors.append((mean - face[hidden]) ** 2)
        blind.append((model.mean_ - face)[hidden] ** 2)
        inside.append(np.abs(face[hidden] - mean) < 1.96 * spread)
    print(f"The lower halves of the {len(new)} new faces, drawn given the upper halves:")
    print(f"  error per pixel {np.sqrt(np.mean(errors)):.3f}", end="")
    print(f" (the mean face: {np.sqrt(np.mean(blind)):.3f})")
    print(f"  {np.mean(inside):.0%} of the pixels lie in the 95% intervals of the draws")


if __name__ == "__main__":
    main()
