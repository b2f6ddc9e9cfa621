"""An LSTM learns the same icons, its loss watched against the floor that none can pass.

The mean loss is the entropy of the data plus a Kullback-Leibler divergence; the floor is the
entropy, ln 32 nats. At the end, a hundred thousand draws: how many are icons, pixel by pixel?

    python examples/icons_by_lstm.py
"""

from __future__ import annotations

import numpy as np

from ancestral import LSTMAutoregressive, TabularAutoregressive, datasets

DRAWS = 100_000


def main() -> None:
    icons, _ = datasets.icons()
    model = LSTMAutoregressive(tol=0.01, random_state=0).fit(icons)
    print(f"{model.n_parameters_:,} weights, floor {model.floor_:.4f} nats\n")
    print(" step      loss    excess over the floor (nats)")
    last = len(model.history_) - 1
    for place in sorted({*range(0, last, max(1, last // 8)), last}):
        record = model.history_[place]
        print(f"{record['step']:5d}  {record['loss']:8.4f}  {record['excess']:8.4f}")

    tables = TabularAutoregressive().fit(icons)
    rows, counts = model.sample_counts(DRAWS, random_state=0)
    valid = np.isfinite(tables.log_density(rows))
    print(f"\nOf {DRAWS:,} draws, {counts[valid].sum() / DRAWS:.2%} are icons;")
    print(f"{int(valid.sum())} of the {len(icons)} icons were drawn.")

    rows, log_p, rest = model.most_probable(len(icons))
    print(
        f"The {len(rows)} most probable images have {np.exp(log_p).sum():.2%} of the probability,"
    )
    print(f"all others together {rest:.2%}.")


if __name__ == "__main__":
    main()
