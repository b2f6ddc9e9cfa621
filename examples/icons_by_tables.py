"""Conditional probability tables: what can the rest of this icon be?

Thirty-two icons of 5 x 5 pixels are counted into tables. Then only the bottom row of one is shown,
and the rest is drawn from the exact conditional distribution: pixels that come earlier in the order
adapt to what is known below them.

    python examples/icons_by_tables.py
"""

from __future__ import annotations

import numpy as np

from ancestral import TabularAutoregressive, datasets

KNOWN = "boat"
HIDDEN = 20  # pixels: the upper four rows


def main() -> None:
    icons, names = datasets.icons()
    model = TabularAutoregressive().fit(icons)
    print(f"{len(icons)} icons, entropy {model.entropy_ / np.log(2):g} bits.")
    print(
        f"Dense tables would have {model.n_dense_cells_:,} cells; {model.n_contexts_} contexts "
        f"can be reached, {model.n_branching_contexts_} of them with a choice.\n"
    )

    given = icons[names.index(KNOWN)].astype(float)
    given[:HIDDEN] = np.nan
    share = np.exp(model.log_density([given])[0])
    print(f"The bottom row of the {KNOWN}, and six draws of the whole given it")
    print(f"(such a row has probability {share:g}: {share * len(icons):g} of the icons end so):\n")
    drawn = model.sample(6, given=given, random_state=0)
    print(side_by_side([given, *drawn]))
    found = [names[np.flatnonzero((icons == row).all(axis=1))[0]] for row in drawn]
    print("given   " + "".join(name.ljust(8) for name in found))


def side_by_side(images: list[np.ndarray]) -> str:
    """Return 5 x 5 images as text: # is ink, . is paper, ? is unknown."""
    lines = []
    for row in range(5):
        cells = [image[5 * row : 5 * row + 5] for image in images]
        texts = ["".join("?" if c != c else ".#"[int(c)] for c in cell) for cell in cells]
        lines.append("   ".join(texts))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
