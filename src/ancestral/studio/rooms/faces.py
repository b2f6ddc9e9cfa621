"""The room of faces: PPCA of images, its directions and eigenvalues, and images to try it on.

The first view gets a few directions and images; the rest follows while it is looked at, and images
beyond those by hundreds, when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ancestral.inputs import counted
from ancestral.studio.payload import packed
from ancestral.studio.room import Room, Subject
from ancestral.studio.shelf import Item, Shelf, kept_with_item

MOST_LATENTS = 64  # more sliders than anyone moves; a saved model keeps its own
DEFAULT_LATENTS = 16
FIRST_DIRECTIONS, FIRST_IMAGES = 16, 12  # sent before the rest, for a quick first view
KEPT = 400_000  # bytes of images in a file without a server: 173 of 24 x 24, 97 of 64 x 64
PAGE = 100  # images at a time beyond those
MOST_FITTED = 2**23  # pixels in all: with more a fit takes longer than its reader waits
MOST_DOTS = 1000  # of the plane: more are one blot
EXACT = 1024  # pixels: larger images are sent in fewer digits than float32 has
LEAST_NAMED, LEAST = 64, 16  # a shorter square row is a table's more often than an image's
HELD_OUT = 0.2


@dataclass(frozen=True, eq=False)
class Portraits:
    """Images of one size, possibly none, and models of them."""

    X: NDArray[np.float64]
    shape: tuple[int, int]
    grey: tuple[float, float]
    saved: tuple[Item, ...]
    is_served: bool = True

    @property
    def n_kept(self) -> int:
        """How many images are sent without being asked for."""
        m = self.X.shape[1]
        return min(len(self.X), max(FIRST_IMAGES, KEPT // (4 * m if m <= EXACT else m)))

    @property
    def n_reached(self) -> int:
        """How many images the page can come by."""
        return len(self.X) if self.is_served else self.n_kept

    @cached_property
    def fitted_to(self) -> NDArray[np.float64]:
        n = max(2, MOST_FITTED // self.X.shape[1])
        if n >= len(self.X):
            return self.X
        return self.X[np.sort(np.random.default_rng(0).permutation(len(self.X))[:n])]

    @property
    def used(self) -> str:
        """Which images can be picked and are fitted to, where that is not all."""
        n, reached, fitted = len(self.X), self.n_reached, len(self.fitted_to)
        some = f"{fitted:,} of them, drawn at random (seed 0)" if fitted < n else "all of them"
        if reached == n and (fitted == n or self.saved):
            return ""
        can = f"all {n:,}" if reached == n else f"the first {reached:,} of {n:,}"
        return f"{can} can be picked" + ("" if self.saved else f"; PPCA is fitted to {some}")

    @cached_property
    def models(self) -> list[tuple[str, Any, int]]:
        """Name, model, and with how many latents it is first shown."""
        if self.saved:
            return [(item.name, item.data, item.data.n_components_) for item in self.saved]
        from ancestral import PPCA

        X = self.fitted_to
        most = max(1, min(MOST_LATENTS, _rank(X) - 1))
        name = f"PPCA, fitted to {'these' if X is self.X else 'some'} {len(X):,} images"
        return [(name, PPCA(most).fit(X), min(DEFAULT_LATENTS, most))]

    def first(self) -> dict[str, Any]:
        """Enough for the first view."""
        dots = self.X[:: max(1, -(-len(self.X) // MOST_DOTS))]
        return {
            "shape": self.shape,
            "grey": self.grey,
            "note": _note(self.grey),
            "models": [
                {
                    "name": name,
                    "mean": packed(model.mean_),
                    "scale": packed(_scale(model)) if model.standardize else None,
                    "directions": small(model.components_[:FIRST_DIRECTIONS]),
                    "eigenvalues": packed(model.explained_variance_, "float64"),
                    "noise": model.noise_variance_,
                    "d": d,
                    "plane": packed((dots - model.mean_) / _scale(model) @ model.components_[:2].T),
                }
                for name, model, d in self.models
            ],
            "n": self.n_reached,
            "kept": self.n_kept,
            "page": PAGE,
            "images": self._images(0, min(FIRST_IMAGES, self.n_kept)),
        }

    def rest(self) -> dict[str, Any]:
        """What the first view did without, and what held-out images say about d."""
        models = [model for _, model, _ in self.models]
        return {
            "directions": [small(model.components_[FIRST_DIRECTIONS:]) for model in models],
            "images": self._images(min(FIRST_IMAGES, self.n_kept), self.n_kept),
            "heldout": _held_out_by_d(self.fitted_to, models[0].n_components_),
        }

    def page(self, k: int) -> dict[str, Any]:
        """The k-th hundred of the images that are not kept."""
        start = self.n_kept + k * PAGE
        return {"images": self._images(start, start + PAGE)}

    def _images(self, start: int, end: int) -> dict[str, Any]:
        return small(self.X[start:end], self.grey)


def small(rows: ArrayLike, grey: tuple[float, float] | None = None) -> dict[str, Any]:
    """Return rows as float32; longer ones as whole numbers, each "low" + its row's "step" times.

    Images take 8 bits between black and white, directions 16 of their largest entry: the faces
    drawn then differ by less than a 255th of the range, which tests/studio measures.
    """
    X = np.asarray(rows, dtype=np.float64)
    if X.shape[1] <= EXACT:
        return {"values": packed(X)}
    low, dtype = (0.0, "int16") if grey is None else (grey[0], "uint8")
    most = np.abs(X).max(axis=1, initial=1e-300) / 32767
    steps = most if grey is None else np.full(len(X), (grey[1] - grey[0]) / 255)
    counts = np.rint((X - low) / steps[:, None])
    return {"values": packed(counts, dtype), "low": low, "steps": packed(steps, "float64")}


# ---- which images, which models -----------------------------------------------------------------


def subjects(shelf: Shelf) -> list[Subject]:
    """Each file of images with the saved models of its size, and models without images."""
    from ancestral import PPCA

    models = [item for item in shelf.models(PPCA) if item.data.n_components_]
    found = []
    for item in shelf.of_kind("images"):
        of_size = [model for model in models if _can_draw(model.data, item)]
        if item.built_in and models and not of_size:
            continue  # the reader's models come without images then
        if not of_size and _why_not_fitted(item):
            continue
        found.append(_subject(item, of_size, is_served=shelf.is_served))
        models = [model for model in models if model not in of_size]
    return found + [_subject(None, [item]) for item in models if not _why_no_image(item.data)]


def _subject(images: Item | None, saved: list[Item], *, is_served: bool = True) -> Subject:
    if images is None:
        model = saved[0].data
        side = _side(model.n_features_in_)
        X, shape, grey = np.zeros((0, side**2)), (side, side), _grey_of(model)
    else:
        X, shape, grey = images.data.X, images.data.shape, images.data.grey_range
    shown = Portraits(X, shape, grey, tuple(saved), is_served)
    items = ([] if images is None else [images]) + saved
    pages = range(-(-(shown.n_reached - shown.n_kept) // PAGE))
    return Subject(
        name=items[0].name,
        items=tuple(items),
        make=shown.first,
        later={"rest": shown.rest},
        asked={f"page-{k}": partial(shown.page, k) for k in pages},
        used={images.id: shown.used} if images is not None and shown.used else {},
    )


def refuses(item: Item) -> str | None:
    """Say why images or a saved PPCA are not shown."""
    from ancestral import PPCA

    if item.kind == "images":
        return _why_not_fitted(item)
    if item.kind != "model" or not isinstance(item.data, PPCA):
        return None
    if not item.data.n_components_:
        return "It has no latents (n_components = 0), so there is nothing to move."
    return _why_no_image(item.data)


@kept_with_item
def _why_not_fitted(images: Item) -> str | None:
    """Say why PPCA has nothing to learn of images: it wants two directions in which they differ."""
    X = images.data.X
    n, m = X.shape
    mend = "Open 3 or more that differ, or a saved PPCA of images of this size."
    if n < 3 or m < 2:
        few = counted(n, "image") if n < 3 else "images of 1 pixel"
        return f"PPCA needs 3 or more images of 2 or more pixels, and this file has {few}. {mend}"
    differences = X - X[0]
    sizes = np.abs(differences).max(axis=1)
    if not sizes.max():
        return f"Its {n:,} images are all equal, so PPCA has nothing to learn. {mend}"
    one = differences[sizes.argmax()] / sizes.max()
    apart = differences - np.outer(differences @ one / (one @ one), one)
    if np.abs(apart).max() > 1e-12 * np.abs(X).max():
        return None
    return (
        f"Its {n:,} images differ in one direction only: each is a mix of two images. PPCA needs a "
        "second direction here. Open more images."
    )


def shows(model: Any) -> bool:
    """Tell whether the room can show this model by itself: a PPCA of square images."""
    from ancestral import PPCA

    return isinstance(model, PPCA) and model.n_components_ > 0 and not _why_no_image(model)


def _why_no_image(model: Any) -> str | None:
    """Say why a PPCA's rows are no images as far as it can tell without them."""
    m, names = model.n_features_in_, getattr(model, "feature_names_in_", None)
    mend = "Open its images, an array (n, height, width), too."
    if names is not None and m < LEAST_NAMED:
        some = ", ".join(map(str, names[:2]))
        return (
            f"Its {m} columns have names ({some} …), so they belong to a table and are not "
            f"pixels. {mend}"
        )
    if m < LEAST or _side(m) ** 2 != m:
        if m < LEAST:
            return f"Its {m} columns do not make a square image of {LEAST} pixels or more."
        return f"Its {m} columns do not make a square image. {mend}"
    return None


def _side(m: int) -> int:
    return round(m**0.5)


def _can_draw(model: Any, images: Item) -> bool:
    """Tell whether a model can be of such images: as wide, and of the built-in ones' greys."""
    if len(model.mean_) != images.data.X.shape[1]:
        return False
    return not images.built_in or _grey_of(model) == images.data.grey_range


def _grey_of(model: Any) -> tuple[float, float]:
    """Return what a model without images draws black and white, as far as its mean tells."""
    low, high = float(model.mean_.min()), float(model.mean_.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    noise = model.noise_variance_ * _scale(model) ** 2
    spread = np.sqrt((model.loadings_**2).sum(axis=1) + noise)
    return float((model.mean_ - 2 * spread).min()), float((model.mean_ + 2 * spread).max())


def _scale(model: Any) -> NDArray[np.float64]:
    """Return what each column was divided by."""
    return model.scale_ if model.standardize else np.ones(model.n_features_in_)


def _note(grey: tuple[float, float]) -> str | None:
    """Say so where pixels have not the usual unit: log densities depend on it."""
    if grey == (0.0, 1.0):
        return None
    low, high = grey
    return f"Pixels run from {low:.4g} to {high:.4g}; log densities and σ² use this unit."


# ---- held out -----------------------------------------------------------------------------------


def _held_out_by_d(X: NDArray[np.float64], most: int) -> dict[str, Any] | None:
    """Return the mean log density of held-out images for every d, fitted to the others."""
    from ancestral import PPCA

    if len(X) < 5:
        return None
    train, out = split(X)
    most = min(most, _rank(train) - 1)
    if most < 1:
        return None
    curve = PPCA(most).fit(train).every_d(out)
    scores = np.asarray(curve.heldout)[1:]  # the first is that of d = 0
    return {"d": list(range(1, most + 1)), "score": scores.tolist(), "n": len(out)}


def split(X: NDArray) -> tuple[NDArray, NDArray]:
    """Return the rows to fit to and those held out, by one fixed shuffle."""
    order = np.random.default_rng(1).permutation(len(X))
    n_out = max(1, round(HELD_OUT * len(X)))
    return X[order[n_out:]], X[order[:n_out]]


def _rank(X: NDArray[np.float64]) -> int:
    return int(np.linalg.matrix_rank(X - X.mean(axis=0)))


def _bold(letter: str) -> str:
    return f"<mi mathvariant='normal' class='b'>{letter}</mi>"


_Z = _bold("z")
ROOM = Room(
    order=1,
    verb="Draw faces",
    sentence="Move a slider, or paint on the face to hide a part: the model draws that part.",
    equation=(
        f"<math>{_Z}<mo>∼</mo><mi>N</mi><mo>(</mo><mn>0</mn><mo>,</mo>"
        f"<msub>{_bold('I')}<mi>d</mi></msub><mo>)</mo><mo>,</mo></math> "
        f"<math>{_bold('x')}<mo form='infix' stretchy='false'>|</mo>{_Z}<mo>∼</mo><mi>N</mi>"
        f"<mo>(</mo>{_bold('W')}{_Z}<mo>+</mo>{_bold('μ')}<mo>,</mo>"
        f"<msup><mi>σ</mi><mn>2</mn></msup><msub>{_bold('I')}<mi>m</mi></msub><mo>)</mo></math>"
    ),
    wants="Open grey images (.npy of shape n, height, width) or a saved PPCA of images.",
    words={
        "latents z": "the numbers that draw a face: 0 on average, usually between −2 and 2",
        "posterior": "which z are probable, given the image",
        "log p": "the log probability density of the image: higher is more usual",
        "nats": "the unit of log p: one nat more is 2.7 times as probable",
        "σ²": "the variance of the noise of each pixel",
        "d": "how many latents there are",
    },
    subjects=subjects,
    refuses=refuses,
    shows=shows,
    takes_images=True,
)
