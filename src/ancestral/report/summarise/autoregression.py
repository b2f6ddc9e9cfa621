"""Problem 1: the tables, the LSTM that learns their images, and the floor of its loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.report.sources import Sources
from ancestral.report.summarise.summary import Summary

N_DRAWS = 100  # in a collage
N_CHECKED = 10_000  # draws whose validity is counted
N_SHOWN = 100  # images drawn and listed one by one, at most
N_KEPT = 10_000  # images whose numbers are kept one by one, at most
BITS = 1 / math.log(2)  # per nat


def summarise_autoregression(sources: Sources, *, verbose: bool = False) -> Summary:
    """Return the tables and a trained LSTM, compared; `verbose` shows its training."""
    from ancestral import LSTMAutoregressive

    tables = sources.tables.data
    images = tables.support_
    log_p = tables.log_density(images)
    lstm = LSTMAutoregressive(random_state=0, verbose=verbose).fit(images)
    draws = tables.sample(N_DRAWS, random_state=0)
    lstm_draws = lstm.sample(N_DRAWS, random_state=0)
    numbers = {
        **_about_tables(tables, np.exp(log_p)),
        **_about_lstm(tables, lstm, images),
        **_per_image(lstm, images, np.exp(log_p)),
        "n_draws": N_DRAWS,
        "n_distinct_draws": len(np.unique(draws, axis=0)),
        "n_valid_shown": int(np.isfinite(tables.log_density(lstm_draws)).sum()),
    }
    arrays = {
        "shape": (numbers["height"], numbers["width"]),
        "draws": draws,
        "lstm_draws": lstm_draws,
        "images": images[:N_SHOWN],
        "probabilities": np.exp(log_p)[:N_SHOWN],
        "step_entropies": numbers["step_entropies"],
    }
    return Summary({"tables": tables, "lstm": lstm}, numbers, arrays)


def _about_tables(tables: Any, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    m = tables.n_features_in_
    side = math.isqrt(m)
    height, width = (side, side) if side * side == m else (1, m)
    return {
        "n_pixels": m,
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
