"""Problem 1: the tables, the LSTM that learns their images, and the floor of its loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import finite
from ancestral.errors import ModelError
from ancestral.inputs import Sources
from ancestral.report.summarise.inpainting import summarise_inpainting
from ancestral.report.summarise.summary import Summary

N_DRAWS = 100  # in a collage
N_CHECKED = 10_000  # draws whose validity is counted
N_SHOWN = 100  # images drawn and listed one by one, at most
N_KEPT = 10_000  # images whose numbers are kept one by one, at most
N_TREE = 40  # images in the picture of the tree, at most
N_BEYOND = 14  # images beyond the support in the certificate
N_CERTIFIED = 1_000  # images listed in a certificate, at most
N_LEFT_OUT = 200  # images left out one by one by the tables, at most
HELD_OUT = 0.2
CLOSE = 0.01  # nats above the floor at which the network of fewer images stops
MOST_TRAINED = 500  # images beyond which no second network is trained
BITS = 1 / math.log(2)  # per nat


def summarise_autoregression(sources: Sources) -> Summary:
    """Return the tables and a trained LSTM, compared."""
    from ancestral import LSTMAutoregressive

    tables = sources.tables.data
    images = tables.support_
    log_p = tables.log_density(images)
    lstm = LSTMAutoregressive(random_state=0).fit(images)
    draws = tables.sample(N_DRAWS, random_state=0)
    lstm_draws = lstm.sample(N_DRAWS, random_state=0)
    shape = _shape(images.shape[1])
    tree = np.sort(np.argsort(-np.round(log_p, 12), kind="stable")[:N_TREE])
    certificate = _certificate(tables, lstm, len(images))
    inpainting = summarise_inpainting(tables, lstm, shape)
    numbers = {
        **_about_tables(tables, np.exp(log_p)),
        **_about_lstm(tables, lstm, images),
        **_per_image(lstm, images, np.exp(log_p)),
        "n_tree": len(tree),
        "certificate": certificate["numbers"],
        "inpainting": inpainting["numbers"],
        "left_out": _left_out(images),
        "n_draws": N_DRAWS,
        "n_distinct_draws": len(np.unique(draws, axis=0)),
        "n_valid_shown": int(np.isfinite(tables.log_density(lstm_draws)).sum()),
    }
    arrays = {
        "shape": shape,
        "tree": tree,
        "certificate": certificate["arrays"],
        "inpainting": inpainting["arrays"],
        "draws": draws,
        "lstm_draws": lstm_draws,
        "images": images[:N_SHOWN],
        "tree_images": images[tree],
        "probabilities": np.exp(log_p)[:N_SHOWN],
        "step_entropies": numbers["step_entropies"],
    }
    return Summary({"tables": tables, "lstm": lstm}, numbers, arrays)


def _shape(m: int) -> tuple[int, int]:
    """Return height and width of images of m pixels: square, or one row."""
    side = math.isqrt(m)
    return (side, side) if side * side == m else (1, m)


def _about_tables(tables: Any, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    height, width = _shape(tables.n_features_in_)
    return {
        "n_pixels": tables.n_features_in_,
        "height": height,
        "width": width,
        "n_images": len(probabilities),
        "n_shown": min(N_SHOWN, len(probabilities)),
        "binary": all(len(known) == 2 for known in tables.categories_),
        "n_levels": [len(known) for known in tables.categories_],
        "uniform": bool(np.ptp(probabilities) < 1e-9),
        "min_probability": float(probabilities.min()),
        "max_probability": float(probabilities.max()),
        "total_probability": float(probabilities.sum()),
        "entropy": tables.entropy_,
        "entropy_bits": tables.entropy_ * BITS,
        "n_contexts": tables.n_contexts_,
        # each context is a row of a dense table: K cells, K - 1 of them free
        "n_dense_contexts": tables.n_dense_cells_ - tables.n_dense_free_,
        "n_branching": tables.n_branching_contexts_,
        "table_parameters": tables.n_parameters_,
        "n_dense_cells": tables.n_dense_cells_,
        "n_dense_free": tables.n_dense_free_,
        "dense_bytes": tables.n_dense_cells_ * 8,
    }


def _about_lstm(tables: Any, lstm: Any, images: NDArray) -> dict[str, Any]:
    from ancestral import TabularAutoregressive

    log_q, log_p = lstm.log_density(images), tables.log_density(images)
    excess = lstm.loss_ - lstm.floor_
    checked = lstm.sample(N_CHECKED, random_state=1)
    m = images.shape[1]
    # Of the training images, each once: these add up to the floor.
    steps = TabularAutoregressive().fit(images).step_entropies_
    return {
        "step_entropies": [float(h) for h in steps],
        "n_certain_pixels": int((steps < 1e-12).sum()),
        "lstm_parameters": lstm.n_parameters_,
        "lstm_levels": len(np.unique(np.concatenate(lstm.categories_))),
        "lstm_layers": lstm.num_layers,
        "lstm_hidden": lstm.hidden_size,
        "cells_per_weight": tables.n_dense_cells_ / lstm.n_parameters_,
        "lstm_start_excess": lstm.history_[0]["excess"] if len(lstm.history_) > 1 else None,
        "lstm_steps": lstm.history_[-1]["step"] if lstm.history_ else 0,
        "lstm_step_001": next((h["step"] for h in lstm.history_ if h["excess"] <= 0.01), None),
        "lstm_floor": lstm.floor_,
        "lstm_floor_bits": lstm.floor_ * BITS,
        "lstm_loss": lstm.loss_,
        "lstm_loss_bits": lstm.loss_ * BITS,
        "lstm_excess": excess,
        "lstm_excess_bits": excess * BITS,
        "lstm_mass": float(np.exp(log_q).sum()),
        "tables_divergence": float((np.exp(log_p) * (log_p - log_q)).sum()),
        "n_checked": N_CHECKED,
        "valid_share": float(np.isfinite(tables.log_density(checked)).mean()),
        "mean_bce": lstm.loss_ / m,
        "mean_bce_floor": lstm.floor_ / m,
        "mean_bce_floor_bits": lstm.floor_ / m * BITS,
        "lstm_history": [
            {"step": record["step"], "loss": record["loss"], "excess": record["excess"]}
            for record in lstm.history_
        ],
    }


def _per_image(lstm: Any, images: NDArray, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Return what the network pays for each image, and which are its cheapest and dearest."""
    nats = -lstm.log_density(images)
    records = [
        {"image": i, "probability": float(p), "nats": float(cost), "bits": float(cost * BITS)}
        for i, (p, cost) in enumerate(zip(probabilities, nats, strict=True))
    ]
    return {
        "cheapest": records[int(nats.argmin())],
        "dearest": records[int(nats.argmax())],
        "per_image": records[:N_KEPT],
    }


def _certificate(tables: Any, lstm: Any, n_images: int) -> dict[str, Any]:
    """Return the network's most probable images, and the proven mass of all others."""
    k = min(n_images, N_CERTIFIED)
    try:
        rows, log_p, rest = lstm.most_probable(k + N_BEYOND)
    except ModelError:  # too flat to prove a list
        return {"numbers": None, "arrays": None}
    valid = np.isfinite(tables.log_density(rows))
    p = np.exp(log_p)
    listed = float(p[:k].sum())
    numbers = {
        "k": k,
        "n_valid": int(valid[:k].sum()),
        "listed": listed,
        "rest": float(p[k:].sum()) + rest,
        "least_listed": float(p[:k].min()),
        "next": float(p[k]) if len(p) > k else None,
        "n_shown": len(p),
        "rest_shown": rest,
        "probabilities": p.tolist(),
    }
    others = np.flatnonzero(~valid)[: N_BEYOND // 2]
    return {
        "numbers": {**numbers, "n_others": len(others)},
        "arrays": {
            "log_p": log_p,
            "rest": rest,
            "valid": valid,
            "others": rows[others],
            "others_p": p[others],
        },
    }


def _left_out(images: NDArray) -> dict[str, Any] | None:
    """Return the bits an image costs that was left out of training; None for one image."""
    from ancestral import TabularAutoregressive
    from ancestral.scores import leave_one_out

    if len(images) < 2:
        return None
    models = {"tables": TabularAutoregressive()} if len(images) <= N_LEFT_OUT else {}
    found = leave_one_out(models, images)
    records = [
        {"name": name, "bits": finite(bits), "error": finite(error)}
        for name, bits, error in zip(found.names, found.bits, found.standard_errors)
    ]
    return {
        "codes": records,
        "verdict": found.verdict,
        "network": _network_left_out(images),
    }


def _network_left_out(images: NDArray) -> dict[str, Any] | None:
    """Return the bits of a fifth of the images under a network trained on the others."""
    from ancestral import LSTMAutoregressive

    n_out = round(HELD_OUT * len(images))
    if n_out < 2 or len(images) > MOST_TRAINED:
        return None
    order = np.random.default_rng(0).permutation(len(images))
    out, inside = images[order[:n_out]], images[order[n_out:]]
    if any((~np.isin(a, b)).any() for a, b in zip(out.T, inside.T)):
        return None  # a level that only left-out images have
    network = LSTMAutoregressive(random_state=0, tol=CLOSE).fit(inside)
    bits = -network.log_density(out) * BITS
    return {
        "n_train": len(inside),
        "n_out": n_out,
        "bits": float(bits.mean()),
        "error": float(bits.std(ddof=1) / math.sqrt(n_out)),
        "least": float(bits.min()),
        "train_bits": network.loss_ * BITS,
        "excess": network.loss_ - network.floor_,
    }
