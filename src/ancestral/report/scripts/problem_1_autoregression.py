"""Problem 1: images from conditional probability tables, and an LSTM that learns them.

Usage: python problem_1_autoregression.py [image_cpts.pkl.gz]
"""

import math
import sys

import numpy as np

import ancestral


def main(path: str | None = None) -> None:
    if path:
        tables = ancestral.TabularAutoregressive.from_tables(ancestral.read_tables(path))
    else:
        icons, _ = ancestral.datasets.icons()
        tables = ancestral.TabularAutoregressive().fit(icons.reshape(len(icons), -1))

    print("1(a) a draw, pixel by pixel")
    draw = tables.sample(1, random_state=0)[0]
    side = math.isqrt(draw.size)
    for row in draw.reshape((side, side) if side * side == draw.size else (1, -1)):
        print("    ", " ".join(str(pixel) for pixel in row))
    images = tables.support_
    print(f"     unique images {len(images)}, entropy {tables.entropy_:.9f} nats")

    print("1(b) an LSTM trained on each unique image once")
    lstm = ancestral.LSTMAutoregressive(random_state=0).fit(images)
    log_p = lstm.log_density(images)
    draws = lstm.sample(10_000, random_state=1)
    valid = np.isfinite(tables.log_density(draws)).mean()
    print(f"     {lstm.history_[-1]['step']} steps, loss {lstm.loss_:.6f} nats")
    print(f"     parameters {lstm.n_parameters_}, table cells {tables.n_dense_cells_}")
    print(f"     valid samples {valid:.4f}, exact mass on the images {np.exp(log_p).sum():.6f}")

    print("1(c) the floor: cross-entropy = entropy + KL")
    print(f"     floor {lstm.floor_:.9f} nats, KL {lstm.loss_ - lstm.floor_:.6f} nats")
    print(f"     as a mean over pixels {lstm.floor_ / images.shape[1]:.5f} nats")


if __name__ == "__main__":
    main(*sys.argv[1:2])
