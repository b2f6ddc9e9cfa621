"""Problem 1: images drawn pixel by pixel, from tables and from an LSTM.

    p(x_1, ..., x_25) = p(x_1) p(x_2 | x_1) ... p(x_25 | x_1, ..., x_24),   each x_i 0 or 1

Run: python problem_1_autoregression.py [FOLDER WITH image_cpts.pkl.gz]
"""

import gzip
import json
import math
import pickle
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
SEED = 0


def load_tables():
    """Return the 25 tables: table i has i axes, and table[x_1, ..., x_i] = p(x_i | the rest)."""
    for path in (FOLDER / "image_cpts.pkl.gz", FOLDER / "image_cpts.pkl"):
        if path.exists():
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
                # A pickle can run any code: open only the course's own file like this.
                return pickle.load(file)
    sys.exit(f"No image_cpts.pkl.gz in {FOLDER.resolve()}: name its folder after the script.")


def collage(images, columns, name):
    """Save images as a grid; a pixel of 1 is ink."""
    rows = math.ceil(len(images) / columns)
    room = {"wspace": 0.4, "hspace": 0.4}
    _, axes = plt.subplots(rows, columns, figsize=(3, 3 * rows / columns), gridspec_kw=room)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image in zip(axes.flat, images):
        ax.imshow(image.reshape(5, 5), cmap="gray_r", vmin=0, vmax=1)
    plt.savefig(name, bbox_inches="tight")
    plt.close()


# ---- 1(a) draw from the tables -------------------------------------------------------------------


def draw_from(tables):
    """Return one image: each pixel given those before it."""
    x = []
    for table in tables:
        x.append(int(np.random.rand() < table[tuple(x)][1]))  # p(x_i = 1 | x_1, ..., x_(i-1))
    return x


np.random.seed(SEED)
tables = load_tables()
images = np.array([draw_from(tables) for _ in range(100)])
unique = np.unique([draw_from(tables) for _ in range(10_000)], axis=0)
collage(images, 10, "1a_samples")
collage(unique, 6, "1a_unique")
n_distinct = len(np.unique(images, axis=0))
print(f"1(a) seed {SEED}: 100 images, {n_distinct} of them different")
print(f"     10,000 further images, {len(unique)} of them different")

# ---- 1(b) an LSTM learns the different images ----------------------------------------------------


class PixelLSTM(torch.nn.Module):
    """p(x_i = 1 | x_1, ..., x_(i-1)) = sigmoid(logit of the LSTM's state), which has read them."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(input_size=1, hidden_size=32, num_layers=2, batch_first=True)
        self.output = torch.nn.Linear(32, 1)

    def forward(self, previous, state=None):  # previous: (n, steps, 1)
        hidden, state = self.lstm(previous, state)
        return self.output(hidden).squeeze(-1), state  # logits: (n, steps)


def train(x, floor, seed):
    """Return an LSTM and its losses, in nats per image, until they are 0.002 above their floor."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # threads would wait for each other: the matrices are small
    model = PixelLSTM()
    previous = torch.cat([torch.zeros(len(x), 1), x[:, :-1]], dim=1)  # x_(i-1), and x_0 = 0
    loader = DataLoader(TensorDataset(previous.unsqueeze(-1), x), batch_size=len(x))
    criterion = torch.nn.BCEWithLogitsLoss(reduction="sum")  # summed over the 25 pixels
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, betas=(0.9, 0.99))
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 50))
    losses = []
    while len(losses) < 2000 and (not losses or losses[-1] > floor + 0.002):
        for inputs, targets in loader:
            loss = criterion(model(inputs)[0], targets) / len(targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        warm_up.step()
    return model, losses


@torch.no_grad()
def draw_from_lstm(model, n):
    """Return n images; the state (h, c) is carried from pixel to pixel."""
    pixel, state, pixels = torch.zeros(n, 1), None, []
    for _ in range(25):
        logits, state = model(pixel.unsqueeze(-1), state)
        pixel = (torch.rand(n, 1) < torch.sigmoid(logits)).float()
        pixels.append(pixel)
    return torch.cat(pixels, dim=1).byte().numpy()


floor = math.log(len(unique))  # 1(c): the entropy of the images, each once
x = torch.tensor(unique, dtype=torch.float32)
for seed in range(SEED, SEED + 5):  # a start that gets stuck is left for the next seed
    model, losses = train(x, floor, seed)
    if (loss := losses[-1]) <= floor + 0.002:
        break
collage(draw_from_lstm(model, 100), 10, "1b_samples")
known = set(map(bytes, unique.astype(np.uint8)))
valid_share = np.mean([bytes(image) in known for image in draw_from_lstm(model, 10_000)])
n_weights = sum(weight.numel() for weight in model.parameters())
n_cells = sum(table.size for table in tables)  # half of them free: a row sums to 1
n_contexts = sum(len(np.unique(unique[:, :i], axis=0)) for i in range(25))
print(f"1(b) seed {seed}: {len(losses)} steps, loss {loss:.4f} nats per image")
print(f"     {valid_share:.2%} of 10,000 further draws are among the {len(unique)} images")
print(f"     {n_weights:,} weights; the tables: {n_cells // 2:,} free, in use {n_contexts}")

# ---- 1(c) the floor of the loss ------------------------------------------------------------------

# loss = -mean log p = entropy + KL(data || model), and KL is never negative.
print(f"1(c) the loss can't pass ln {len(unique)} = {floor:.4f} nats; KL = {loss - floor:.4f}")
plt.figure(figsize=(4.5, 2.6), layout="constrained")
plt.plot(losses, label="loss")
plt.axhline(floor, color="C1", linestyle="--", label=f"floor, log {len(unique)}")
plt.xlabel("training step")
plt.ylabel("nats per image")
plt.legend()
plt.savefig("1c_loss")

numbers = {"seed": SEED, "lstm_seed": seed, "n_distinct_100": n_distinct, "n_unique": len(unique)}
numbers |= {"steps": len(losses), "loss": loss, "floor": floor, "valid_share": valid_share}
numbers |= {"lstm_parameters": n_weights, "table_cells": n_cells, "contexts": n_contexts}
Path("problem_1.json").write_text(json.dumps(numbers, indent=1))
