"""Half an image given: the exact distribution of the rest, and what raster filling makes of it.

    conditional   p(unknown | known) = p(whole) / sum over all completions of p(whole)
    raster fill   q(unknown) = product over unknown i of p(x_i | x_1 .. x_{i-1})

Filling pixels in order looks at the known pixels before i only. It is walked here over every
completion, so that its distance from the conditional is exact as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.autoregressive.steps import Walk
from ancestral.viz.conditions import MOST, Condition

LIMIT = 1 << 14  # completions of a network that are walked
N_IMAGES = 100  # images over which the tables' raster fills are averaged, at most


@dataclass(frozen=True)
class Completions:
    """Every completion of a partly known row that raster filling can reach.

    `log_joint` and `log_fill` are log p of the whole row and log q of the unknown part, in nats;
    `stuck` is the probability that filling meets a known pixel that can no longer be.
    """

    levels: NDArray[np.intp]
    log_joint: NDArray[np.float64]
    log_fill: NDArray[np.float64]
    stuck: float

    @property
    def posterior(self) -> NDArray[np.float64]:
        """The exact conditional probability of each completion."""
        p = np.exp(self.log_joint - self.log_joint.max())
        return p / p.sum()

    @property
    def distance(self) -> float:
        """Total variation between raster fill and the conditional; being stuck is its own event."""
        return 0.5 * (float(np.abs(np.exp(self.log_fill) - self.posterior).sum()) + self.stuck)


def complete(model: Any, known: NDArray[np.intp]) -> Completions:
    """Walk every completion of level codes, negative where unknown, with both probabilities."""
    walk, log_fill = Walk(model, known[None]), np.zeros(1)
    for level in known:
        log_p = walk.conditionals()
        joint = walk.joint(log_p)  # (prefixes, levels)
        parent, grown = np.nonzero(joint > -np.inf)
        log_fill = log_fill[parent] + (log_p[parent, grown] if level < 0 else 0.0)
        walk.grow(grown, joint[parent, grown], parent)
    stuck = max(0.0, 1 - float(np.exp(log_fill).sum()))
    return Completions(walk.rows(), walk.log_p, log_fill, stuck if stuck > 1e-9 else 0.0)


def halves(shape: tuple[int, int]) -> dict[str, NDArray[np.bool_]]:
    """Return which pixels are known, (m,), by the name of each half."""
    height, width = shape
    m = height * width
    half = (m + 1) // 2
    raster = np.arange(m)
    across = np.argsort(np.argsort(raster % width * height + raster // width))  # column by column
    every = (raster // width + raster % width) % 2 == 0
    if height == 1 or width == 1:
        found = {
            "first half": raster < half,
            "last half": raster >= m - half,
            "every other": every,
        }
    else:
        found = {
            "top half": raster < half,
            "bottom half": raster >= m - half,
            "left half": across < half,
            "right half": across >= m - half,
            "every other": every,
        }
    return {name: known for name, known in found.items() if not known.all()}


def summarise_inpainting(tables: Any, lstm: Any, shape: tuple[int, int]) -> dict[str, Any]:
    """Return numbers and figures' arrays of images seen through each half.

    For each half the image is the one that the tables are most in doubt about. None for both when
    an image is a single pixel.
    """
    images = tables.support_[:N_IMAGES]
    levels, masks = tables._encode(images), halves(shape)
    if not masks:
        return {"numbers": None, "arrays": None}
    records, conditions, fills = [], [], {}
    for name, known in masks.items():
        found = [complete(tables, np.where(known, row, -1)) for row in levels]
        doubt = np.round([_entropy(one.posterior) for one in found], 9)
        shown = int(np.argmax(doubt))
        by_lstm = _by_network(lstm, images[shown], known)
        condition = _condition(
            name, levels[shown], known, found[shown], tables, _by_image(lstm, by_lstm)
        )
        records.append(
            {
                "half": name,
                "image": shown,
                "n_known": int(known.sum()),
                **_about_tables(found[shown], found),
                **_about_network(by_lstm, lstm, tables),
                "probabilities": condition.probabilities,
                "mean": condition.mean.tolist(),
            }
        )
        conditions.append(condition)
        fills[name] = by_lstm
    farthest = max(
        (record for record in records if record["lstm_distance"] is not None),
        key=lambda record: record["lstm_distance"],
        default=None,
    )
    numbers: dict[str, Any] = {"n_images": len(images), "halves": records, "farthest": farthest}
    arrays: dict[str, Any] = {"conditions": conditions, "fills": None}
    completions = None if farthest is None else fills[farthest["half"]]
    if completions is not None:
        numbers["fills"], arrays["fills"] = _likeliest_fills(completions, lstm, tables)
    return {"numbers": numbers, "arrays": arrays}


def _by_network(lstm: Any, image: NDArray, known: NDArray[np.bool_]) -> Completions | None:
    """Return the network's completions, None where there are too many to walk."""
    free = [len(lstm.categories_[i]) for i in np.flatnonzero(~known)]
    if math.prod(free) > LIMIT:
        return None
    return complete(lstm, np.where(known, lstm._encode(image[None])[0], -1))


def _by_image(lstm: Any, found: Completions | None) -> dict[tuple[Any, ...], float] | None:
    """Return the network's posterior by image: its level codes need not be the tables'."""
    if found is None:
        return None
    images = lstm._decode(found.levels).tolist()
    return {tuple(image): float(p) for image, p in zip(images, found.posterior)}


def _entropy(p: NDArray[np.float64]) -> float:
    """Return the entropy of a distribution in bits."""
    positive = p[p > 0]
    return float(-(positive * np.log2(positive)).sum()) + 0.0


def _about_tables(shown: Completions, found: list[Completions]) -> dict[str, Any]:
    """Return what the tables say of the image shown, and of raster filling over all images."""
    return {
        "n_possible": len(shown.levels),
        "entropy_bits": _entropy(shown.posterior),
        "stuck": shown.stuck,
        "distance": shown.distance,
        "mean_possible": float(np.mean([len(c.levels) for c in found])),
        "mean_stuck": float(np.mean([c.stuck for c in found])),
        "mean_distance": float(np.mean([c.distance for c in found])),
    }


def _about_network(found: Completions | None, lstm: Any, tables: Any) -> dict[str, Any]:
    """Return how often the network's raster fills, and its posterior, are no image."""
    if found is None:
        return {"lstm_distance": None, "lstm_fill_invalid": None, "lstm_posterior_invalid": None}
    invalid = ~np.isfinite(tables.log_density(lstm._decode(found.levels)))
    return {
        "n_completions": len(found.levels),
        "lstm_distance": found.distance,
        "lstm_fill_invalid": float(np.exp(found.log_fill[invalid]).sum()),
        "lstm_posterior_invalid": float(found.posterior[invalid].sum()),
    }


def _condition(
    name: str,
    row: NDArray[np.intp],
    known: NDArray[np.bool_],
    found: Completions,
    tables: Any,
    by_lstm: dict[tuple[Any, ...], float] | None,
) -> Condition:
    """Return a line of the figure."""
    top = np.array([max(len(c) - 1, 1) for c in tables.categories_])
    p = found.posterior
    order = np.argsort(-np.round(p, 12), kind="stable")[:MOST]
    probabilities: dict[str, Any] = {"tables": p[order].tolist()}
    if by_lstm is not None:
        images = tables._decode(found.levels[order]).tolist()
        probabilities["LSTM"] = [by_lstm.get(tuple(image), 0.0) for image in images]
    n = len(found.levels)
    return Condition(
        name=f"{name}:\n{n} image{'s' * (n != 1)}",
        given=np.where(known, row / top, np.nan),
        mean=p @ (found.levels / top),
        images=found.levels[order] / top,
        probabilities=probabilities,
        n_possible=n,
    )


def _likeliest_fills(
    found: Completions, lstm: Any, tables: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the network's likeliest raster fills: numbers, and images with their probabilities."""
    order = np.argsort(-found.log_fill, kind="stable")[: MOST + 2]
    rows = lstm._decode(found.levels[order])
    fill, posterior = np.exp(found.log_fill[order]), found.posterior[order]
    valid = np.isfinite(tables.log_density(rows))
    numbers = [
        {"fill": float(q), "posterior": float(p), "valid": bool(v)}
        for q, p, v in zip(fill, posterior, valid)
    ]
    return numbers, {"images": rows, "fill": fill, "posterior": posterior, "valid": valid}
