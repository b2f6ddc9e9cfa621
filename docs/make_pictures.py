"""Draw the picture that stands in the README and on the landing page: docs/hidden_halves.png.

    python docs/make_pictures.py

Figures of all other pages are drawn by their own code when the site is built.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ancestral import PPCA, TabularAutoregressive, datasets, viz

PICTURE = Path(__file__).parent / "hidden_halves.png"
FACES = {"a face": 96, "another": 98, "a third": 99}
ICONS = ["boat", "mug"]


def faces() -> Figure:
    """Faces that were not fitted, their lower halves unknown."""
    images = datasets.faces()
    model = PPCA(n_components=30).fit(images[:96])
    half = images[list(FACES.values())]
    half[:, 288:] = np.nan
    return viz.inpainting(model, pd.DataFrame(half, index=list(FACES)), random_state=0)


def icons() -> Figure:
    """Icons whose upper three rows are unknown."""
    images, names = datasets.icons()
    model = TabularAutoregressive(smoothing=0.01).fit(images)
    low = images[[names.index(name) for name in ICONS]].astype(float)
    low[:, :15] = np.nan
    return viz.inpainting(model, pd.DataFrame(low, index=ICONS), random_state=0)


def pixels(figure: Figure) -> np.ndarray:
    """The pixels of a figure, (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def main() -> None:
    """Write the two figures one below the other, on one sheet of 256 colours."""
    sheets = [pixels(figure) for figure in (faces(), icons())]
    width = max(sheet.shape[1] for sheet in sheets)
    sheets = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets
    ]
    picture = Image.fromarray(np.concatenate(sheets))
    picture.quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
