"""Autoregression: training the LSTM, drawing from it, and counting draws from tables."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ancestral import (
    AncestralWarning,
    LSTMAutoregressive,
    TabularAutoregressive,
    datasets,
    read_tables,
)
from ancestral.autoregressive import sampling
from benchmarks.timing import Row, Timer

KL = 0.01  # nats above the entropy of the data
EPOCHS = 2000
MANY = 10_000
MILLION = 1_000_000
COURSE = "course/image_cpts.pkl.gz"  # in the folder of real data
ALONE = 100  # images that a loop over images draws: its time is scaled up


def rows(timer: Timer) -> Iterator[Row]:
    """The peers are the homework's usual recipe and the loops one would write first."""
    icons = images()
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(1)
        yield training(icons, timer)
        yield from lstm_draws(icons, timer)
    tables = TabularAutoregressive().fit(icons[:, :8] if timer.tiny else icons)
    yield from table_draws(tables, timer)
    p = np.exp(tables.log_density(tables.support_))
    rng = np.random.default_rng(0)
    yield timer.race(
        "tables, 1e9 draws as counts",
        lambda: tables.sample_counts(10**9, random_state=rng),
        "numpy's multinomial over the listed rows",
        lambda: rng.multinomial(10**9, p / p.sum()),
        note="the peer is given the distinct rows and their probabilities",
    )


def images() -> np.ndarray:
    """Return the course's 26 letters where they are at hand, else the built-in icons."""
    course = Path(os.environ.get("ANCESTRAL_DATA", "../shared/data")) / COURSE
    if course.is_file():
        return TabularAutoregressive.from_tables(read_tables(course)).support_
    return datasets.icons()[0].reshape(-1, 25)


def table_draws(tables: TabularAutoregressive, timer: Timer) -> Iterator[Row]:
    """Yield draws from tables against loops over images and pixels that look dense tables up."""
    many, alone = (20, 2) if timer.tiny else (MANY, ALONE)
    dense, rng = tables.to_tables(), np.random.default_rng(0)

    def by_choice() -> list[int]:
        image: list[int] = []
        for table in dense:
            image.append(int(rng.choice(2, p=table[tuple(image)])))
        return image

    def by_uniform() -> list[int]:
        image: list[int] = []
        for table in dense:
            image.append(int(rng.random() < table[tuple(image)][1]))
        return image

    for peer, one in (
        ("a loop over images and pixels, rng.choice", by_choice),
        ("the same loop, comparing one rng.random", by_uniform),
    ):
        yield scaled(
            timer.race(
                f"tables, {many:,} draws as shuffled rows",
                lambda: tables.sample(many, random_state=rng),
                peer,
                lambda one=one: [one() for _ in range(alone)],
            ),
            many / alone,
            f"the peer's time is that of {alone} images, times {many // alone}",
        )


# ---- training --------------------------------------------------------------------------------


def training(icons: np.ndarray, timer: Timer) -> Row:
    """Return the time to a KL divergence of 0.01, against 2,000 epochs of the usual recipe."""
    epochs, steps = (2, 3) if timer.tiny else (EPOCHS, 800)
    model = LSTMAutoregressive(tol=KL, max_steps=steps, random_state=0)
    began = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        model.fit(icons)
    ours = perf_counter() - began
    began = perf_counter()
    reached = usual_recipe(icons, epochs)
    theirs = perf_counter() - began
    return Row(
        f"LSTM to KL {KL} on {len(icons)} images",
        ours,
        f"Adam at 1e-3, batches of 16, {epochs:,} epochs",
        theirs,
        note=f"ours: KL {model.loss_ - model.floor_:.4f} after {model.history_[-1]['step']} steps; "
        f"the peer: KL {reached:.4f}, at best, after {epochs * math.ceil(len(icons) / 16):,}",
    )


def usual_recipe(icons: np.ndarray, epochs: int) -> float:
    """Train the same network as the homework usually is; return the least KL of any epoch."""
    import torch

    torch.manual_seed(0)
    X = torch.as_tensor(icons, dtype=torch.float32)[:, :, None]  # (n, d, 1)
    lstm, head = torch.nn.LSTM(1, 32, 2, batch_first=True), torch.nn.Linear(32, 1)
    optimiser = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=1e-3)
    loss_of = torch.nn.BCEWithLogitsLoss(reduction="none")

    def loss(rows: Any) -> Any:
        before = torch.cat([torch.zeros_like(rows[:, :1]), rows[:, :-1]], dim=1)
        return loss_of(head(lstm(before)[0]), rows).sum(dim=(1, 2)).mean()

    best = math.inf
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(16):
            optimiser.zero_grad()
            loss(X[batch]).backward()
            optimiser.step()
        with torch.no_grad():
            best = min(best, float(loss(X)))
    return best - math.log(len(X))


# ---- draws -----------------------------------------------------------------------------------


def lstm_draws(icons: np.ndarray, timer: Timer) -> Iterator[Row]:
    """Yield draws from a trained LSTM against plainer ways to the same distribution."""
    many, million, alone = (20, 50, 2) if timer.tiny else (MANY, MILLION, ALONE)
    model = LSTMAutoregressive(max_steps=3 if timer.tiny else 800, random_state=0).fit(icons)
    network = model.to_torch()
    rng = np.random.default_rng(0)
    yield timer.race(
        f"LSTM, {many:,} draws",
        lambda: model.sample(many, random_state=rng),
        "the whole prefix run again at each step",
        lambda: prefix_again(network, many, rng),
    )
    yield scaled(
        timer.race(
            f"LSTM, {many:,} draws",
            lambda: model.sample(many, random_state=rng),
            "one image at a time",
            lambda: [one_image(network, rng) for _ in range(alone)],
        ),
        many / alone,
        f"the peer's time is that of {alone} images, times {many // alone}",
    )
    part = million // 20
    yield scaled(
        timer.race(
            f"LSTM, {million:,} draws as shuffled rows",
            lambda: model.sample(million, random_state=rng),
            "batched stepping, carrying the state",
            lambda: batched(model, part, rng),
        ),
        million / part,
        f"the peer's time is that of {part:,} rows, times {million // part}",
    )


def scaled(row: Row, factor: float, note: str) -> Row:
    """Return a row whose peer did only a part of the work."""
    return replace(row, theirs=row.theirs * factor, note=note)


def prefix_again(network: Any, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw images by running the network over all earlier pixels for each new one."""
    import torch

    X = torch.zeros((n, 26, 1))  # a start symbol, then the pixels
    with torch.no_grad():
        for i in range(25):
            hidden, _ = network["lstm"](X[:, : i + 1])
            p = torch.sigmoid(network["head"](hidden[:, -1]))[:, 0].numpy()
            X[:, i + 1, 0] = torch.as_tensor(rng.random(n) < p, dtype=torch.float32)
    return X[:, 1:, 0].numpy()


def one_image(network: Any, rng: np.random.Generator) -> np.ndarray:
    """Draw one image, carrying the state from pixel to pixel."""
    import torch

    pixel, state, image = torch.zeros((1, 1, 1)), None, np.empty(25, np.int64)
    with torch.no_grad():
        for i in range(25):
            hidden, state = network["lstm"](pixel, state)
            image[i] = rng.random() < float(torch.sigmoid(network["head"](hidden))[0, 0, 0])
            pixel = torch.full((1, 1, 1), float(image[i]))
    return image


def batched(model: LSTMAutoregressive, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw images by stepping one state per image through all pixels."""
    rows = np.empty((n, 25), np.intp)
    state, previous = model.start(n), None
    for i in range(25):
        state, log_p = model.step(state, previous)
        rows[:, i] = previous = sampling._draw_levels(log_p, rng)
    return rows
