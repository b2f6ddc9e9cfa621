"""Train the small LSTM that the tests of the studio show, and store it beside this file.

    python -m tests.studio.make_lstm_of_icons

Rounding differs between processors, and training magnifies it: tests that need a well-trained
network read these weights and train none. Run this again only where the format of model files, or
the built-in icons, have changed.
"""

from __future__ import annotations

from pathlib import Path

from ancestral import LSTMAutoregressive, datasets

STORED = Path(__file__).with_name("lstm_of_icons.model")
CLOSE = 0.01  # nats above the floor


def main() -> None:
    icons, _ = datasets.icons()
    model = LSTMAutoregressive(
        hidden_size=16, max_steps=6000, patience=6000, tol=CLOSE, random_state=0
    ).fit(icons)
    excess = model.loss_ - model.floor_
    if excess > CLOSE:
        raise SystemExit(f"{excess:.4f} nats above the floor, {CLOSE} wanted: take another seed.")
    model.history_ = model.history_[-1:]  # the others take five times the room of the weights
    model.save(STORED)
    print(f"{STORED.name}: {excess:.4f} nats above the floor, {STORED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
