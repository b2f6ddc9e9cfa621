"""Problem 2: probabilistic PCA of images, for several latent dimensions."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import kurtosis, skew

from ancestral._checks.numbers import finite
from ancestral.errors import DataError
from ancestral.inputs import Faces, Sources
from ancestral.report.summarise.summary import Summary

ASKED = (16, 32, 64)  # latent dimensions the assignment asks for
HELD_OUT = 0.2
N_SHOWN = 25
N_NEW = 100
N_OFFSETS = 10
N_TRAVERSED = 5
SMALL, LARGE = 0.05, 3.0  # ends of the two walks, in latent units
OTHER_SPLITS = range(2, 22)  # seeds: how much the choice of d owes to the split
ENOUGH = 50  # images, for skewness and kurtosis to have about the errors of large samples
SEEN = 0.2  # share of a pattern's energy from which it is named
PORTRAIT = (24, 24)  # pixels of the course's faces, cropped so that eyes and mouths lie alike
TOLD, AT_MOST = 0.45, 3  # contrasts told of one latent: this share of the largest, so many
# Regions of such a face as boxes (top, bottom, left, right), and what a person sees when the first
# region becomes lighter against the second, and when it becomes darker.
Boxes = tuple[tuple[int, int, int, int], ...]
SIGHTS: tuple[tuple[str, Boxes, Boxes, str, str], ...] = (
    (
        "all pixels",
        ((0, 24, 0, 24),),
        (),
        "the whole face becomes lighter",
        "the whole face becomes darker",
    ),
    (
        "left third − right third",
        ((0, 24, 0, 8),),
        ((0, 24, 16, 24),),
        "the light comes from the left",
        "the light comes from the right",
    ),
    (
        "forehead − jaw",
        ((0, 3, 4, 20),),
        ((18, 24, 4, 20),),
        "the forehead becomes lighter and the jaw darker",
        "the forehead becomes darker and the jaw lighter",
    ),
    (
        "brows − forehead",
        ((3, 5, 4, 9), (3, 5, 15, 20)),
        ((0, 2, 4, 20),),
        "the brows fade",
        "the brows stand out darker",
    ),
    (
        "eyes − cheeks",
        ((5, 7, 3, 9), (5, 7, 15, 21)),
        ((8, 12, 2, 8), (8, 12, 16, 22)),
        "the eyes fade",
        "the eyes stand out darker",
    ),
    (
        "upper lip − cheeks",
        ((14, 16, 7, 17),),
        ((10, 14, 2, 7), (10, 14, 17, 22)),
        "a dark upper lip, like a moustache, disappears",
        "the upper lip becomes dark, like a moustache",
    ),
    (
        "mouth − chin",
        ((16, 19, 7, 17),),
        ((20, 23, 8, 16),),
        "the mouth fades",
        "the mouth stands out darker",
    ),
    (
        "nose − beside the nose",
        ((5, 12, 11, 13),),
        ((7, 12, 7, 9), (7, 12, 15, 17)),
        "the ridge of the nose stands out lighter",
        "the ridge of the nose fades",
    ),
    (
        "edges − middle",
        ((6, 24, 0, 2), (6, 24, 22, 24)),
        ((6, 20, 6, 18),),
        "the edges become lighter, and the face looks broader",
        "the edges become darker, and the face looks narrower",
    ),
)


def summarise_ppca(sources: Sources) -> Summary:
    """Return the fits, reconstructions, new images and walks along the latents."""
    from ancestral import PPCA

    faces = sources.faces.data
    X, rng = faces.X, np.random.default_rng(0)
    dims = _dimensions(X)
    models = {d: PPCA(d).fit(X) for d in dims}
    heldout = _held_out(X)
    chosen = heldout["chosen"]
    compare = _other(dims, chosen)
    for d in (2, chosen, compare):
        models.setdefault(d, PPCA(d).fit(X))
    shown = np.sort(rng.choice(len(X), size=min(N_SHOWN, len(X)), replace=False))
    reconstructions = {d: models[d].reconstruct(X) for d in dims}
    new = {d: _new_images(models[d], d) for d in (chosen, compare)}
    walk = _walk(models[dims[0]], X, int(rng.integers(len(X))), faces)
    plane = _plane(models[2], X)
    every = models[chosen].every_d()
    numbers = {
        "n": len(X),
        "n_shown": len(shown),
        "m": X.shape[1],
        "height": faces.shape[0],
        "width": faces.shape[1],
        "grey_span": faces.grey_range[1] - faces.grey_range[0],
        "eigenvalues": models[chosen].eigenvalues_.tolist(),
        "fits": [_about_fit(models[d], X) for d in sorted(models)],
        "reconstructions": [
            {
                **_about_reconstruction(models[d], X, reconstructions[d], shown),
                **_coarse_and_fine(X, reconstructions[d], faces.shape),
            }
            for d in dims
        ],
        "block": _block(faces.shape),
        "chosen_d": chosen,
        "compare_d": compare,
        **heldout["numbers"],
        "heldout_compare": heldout["heldout"].get(compare),
        **_choices(every),
        **_density_check(models[dims[0]], X),
        **plane["numbers"],
        **walk["numbers"],
    }
    arrays = {
        "faces": faces,
        "model": models[chosen],
        "shown": shown,
        "reconstructions": {d: reconstructions[d][shown] for d in dims},
        "new": new,
        "chosen": chosen,
        "compare": compare,
        "heldout": heldout,
        "every_d": every,
        "latents": plane["Z"],
        "latent_covariance": plane["expected"],
        **walk["arrays"],
    }
    return Summary({f"ppca-{d}": models[d] for d in sorted(models)}, numbers, arrays)


def _dimensions(X: NDArray[np.float64]) -> list[int]:
    """Return the latent dimensions asked for, as far as the data allow them."""
    most = _most_components(X)
    if most < 2:
        raise DataError(
            f"{len(X)} images of rank {most + 1} are too few for probabilistic PCA with d = 2; "
            "give at least 4 different ones."
        )
    return sorted({min(d, most) for d in ASKED})


def _other(dims: list[int], chosen: int) -> int:
    """Return the latent dimension to set beside the chosen one: the largest asked for, or less."""
    return next((d for d in (dims[-1], dims[0]) if d != chosen), chosen - 1)


def _most_components(X: NDArray[np.float64]) -> int:
    """Return the largest d that leaves some variance to the noise."""
    return int(np.linalg.matrix_rank(X - X.mean(axis=0))) - 1


def _held_out(X: NDArray[np.float64]) -> dict[str, Any]:
    """Return training and held-out log density for every d, over one fixed split."""
    curve, n_train, n_out = _split_curve(X, seed=1)
    inside = curve.log_likelihood / n_train
    heldout, errors = np.asarray(curve.heldout), np.asarray(curve.heldout_errors)
    best = _best(curve)
    every = dict(zip(curve.n_components.tolist(), heldout.tolist(), strict=True))
    drawn = slice(1, max(4 * best, ASKED[-1]) + 1)  # beyond, the curve only falls
    return {
        "curve": curve,
        "grid": curve.n_components[drawn],
        "train": inside[drawn],
        "outside": heldout[drawn],
        "chosen": best,
        "heldout": every,
        "numbers": {
            "n_heldout": n_out,
            "n_train": n_train,
            "drawn_d": int(curve.n_components[drawn][-1]),
            "heldout_best": every[best],
            "heldout_best_error": finite(errors[best]),  # one image has no spread
            "heldout_curve": [
                {"d": d, "train": float(inside[d]), "heldout": value} for d, value in every.items()
            ],
            "other_splits": _other_choices(X),
        },
    }


def _split_curve(X: NDArray[np.float64], seed: int) -> tuple[Any, int, int]:
    """Return every d of a fit to one part of the images, scored on the rest, and both counts."""
    from ancestral import PPCA

    order = np.random.default_rng(seed).permutation(len(X))
    n_out = max(1, round(HELD_OUT * len(X)))
    out, train = X[order[:n_out]], X[order[n_out:]]
    most = _most_components(train)
    if most < 1:
        raise DataError(
            f"without the {n_out} images held out, the other {len(train)} are too much alike for "
            "probabilistic PCA; give more different ones."
        )
    return PPCA(most).fit(train).every_d(out), len(train), n_out


def _other_choices(X: NDArray[np.float64]) -> list[int]:
    """Return the d that other splits choose, as far as their training images differ enough."""
    chosen = []
    for seed in OTHER_SPLITS:
        with suppress(DataError):
            chosen.append(_best(_split_curve(X, seed)[0]))
    return chosen


def _best(curve: Any) -> int:
    """Return the d of the highest held-out density; d = 0 has no latents to look at."""
    return int(curve.n_components[1:][np.argmax(curve.heldout[1:])])


def _choices(curve: Any) -> dict[str, Any]:
    """Return every d of the fit to all images, and what criteria that see only those choose."""
    table = zip(curve.n_components, curve.log_likelihood, curve.bic, curve.evidence, strict=True)
    return {
        "largest_d": int(curve.n_components[-1]),
        "bic_d": curve.best("bic"),
        "minka_d": curve.best("minka"),
        "every_d": [
            {
                "d": int(d),
                "log_likelihood": float(likelihood),
                "bic": float(bic),
                "evidence": float(e),
            }
            for d, likelihood, bic, e in table
        ],
    }


def _about_fit(model: Any, X: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "d": model.n_components_,
        "n_parameters": model.n_parameters_,
        "noise_variance": float(model.noise_variance_),
        "variance_kept": float(model.explained_variance_ratio_.sum()),
        "log_likelihood": float(model.log_density(X).sum()),
        "bic": model.bic(X),
    }


def _about_reconstruction(
    model: Any, X: NDArray[np.float64], again: NDArray[np.float64], shown: NDArray[np.intp]
) -> dict[str, Any]:
    return {
        "d": model.n_components_,
        "rmse": float(np.sqrt(np.mean((again - X) ** 2))),
        "rmse_shown": float(np.sqrt(np.mean((again[shown] - X[shown]) ** 2))),
        "variance_kept": float(model.explained_variance_ratio_.sum()),
    }


def _block(shape: tuple[int, int]) -> int:
    """Return the side of the blocks whose means are the coarse picture; 0 for tiny images."""
    return 4 if min(shape) >= 16 else 2 if min(shape) >= 4 else 0


def _coarse_and_fine(
    X: NDArray[np.float64], again: NDArray[np.float64], shape: tuple[int, int]
) -> dict[str, float | None]:
    """Return how much of the variance of block means, and within blocks, is reconstructed."""
    block = _block(shape)
    if not block:
        return {"coarse_kept": None, "fine_kept": None}
    height, width = (side // block * block for side in shape)

    def parts(images: NDArray[np.float64]) -> tuple[float, float]:
        """Return the sums of squares of the block means and of what is left."""
        cut = images.reshape(-1, *shape)[:, :height, :width]
        tiles = cut.reshape(len(cut), height // block, block, width // block, block)
        means = tiles.mean(axis=(2, 4), keepdims=True)
        return float((means**2).sum() * block**2), float(((tiles - means) ** 2).sum())

    lost, whole = parts(X - again), parts(X - X.mean(axis=0))
    kept = [1 - a / b if b > 0 else None for a, b in zip(lost, whole, strict=True)]
    return {"coarse_kept": kept[0], "fine_kept": kept[1]}


def _density_check(model: Any, X: NDArray[np.float64]) -> dict[str, Any]:
    """Return the largest relative gap from the full multivariate normal log density."""
    factor = cho_factor(model.get_covariance(), lower=True)
    centred = X - model.mean_
    quadratic = (centred * cho_solve(factor, centred.T).T).sum(axis=1)
    log_det = 2 * np.log(np.diag(factor[0])).sum()
    direct = -0.5 * (X.shape[1] * math.log(2 * math.pi) + log_det + quadratic)
    gap = np.abs(model.log_density(X) - direct) / np.abs(direct)
    return {"density_check": float(gap.max()), "density_check_d": model.n_components_}


def _plane(model: Any, X: NDArray[np.float64]) -> dict[str, Any]:
    """Return posterior means for d = 2, their covariance, and how Gaussian they are."""
    Z, n = model.posterior_mean(X), len(X)
    expected = np.eye(2) - np.diag(model.noise_variance_ / model.eigenvalues_[:2])
    measured = np.cov(Z.T, bias=True)
    skews, kurts = skew(Z), kurtosis(Z)
    skew_error, kurtosis_error = math.sqrt(6 / n), math.sqrt(24 / n)
    departures = _departures(skews, kurts, 2 * skew_error, 2 * kurtosis_error)
    numbers = {
        "latent_covariance": measured.tolist(),
        "latent_covariance_expected": expected.tolist(),
        "latent_covariance_gap": float(np.abs(measured - expected).max()),
        "latent_noise": np.diag(np.eye(2) - expected).tolist(),
        "latent_skew": [finite(value) for value in skews],
        "latent_kurtosis": [finite(value) for value in kurts],
        "skew_error": skew_error,
        "kurtosis_error": kurtosis_error,
        "enough_for_shape": n >= ENOUGH,
        "departures": departures,
        # of the prior: 1 - exp(-1/2) and 1 - exp(-2)
        "within_radius": [float((np.square(Z).sum(axis=1) <= reach**2).mean()) for reach in (1, 2)],
    }
    return {"Z": Z, "expected": expected, "numbers": numbers}


def _departures(skews: Any, kurts: Any, skew_limit: float, kurtosis_limit: float) -> list[str]:
    """Say in words which latent is skewed or has other tails than a Gaussian."""
    words = []
    for k, (s, t) in enumerate(zip(skews, kurts, strict=True), start=1):
        if abs(s) > skew_limit:
            words.append(f"latent {k} has a long tail to the {'right' if s > 0 else 'left'}")
        if abs(t) > kurtosis_limit:
            words.append(f"latent {k} has {'heavier' if t > 0 else 'lighter'} tails")
    return words


def _new_images(model: Any, seed: int) -> NDArray[np.float64]:
    """Return W z + mu for draws of z from the prior: no observation noise."""
    Z = np.random.default_rng(seed).standard_normal((N_NEW, model.n_components_))
    images: NDArray[np.float64] = model.decode(Z)
    return images


def _walk(model: Any, X: NDArray[np.float64], image: int, faces: Faces) -> dict[str, Any]:
    """Return one image changed along each of the first latents, and what that changes."""
    n_latents = min(N_TRAVERSED, model.n_components_)
    walks, numbers = {}, dict[str, Any]()
    for name, reach in (("small", SMALL), ("large", LARGE)):
        offsets = np.linspace(-reach, reach, N_OFFSETS)
        steps = np.stack([model.traverse(X[image], k, offsets) for k in range(n_latents)])
        middle = model.reconstruct(X[[image]])[0]
        change = float(np.abs(steps - middle).max())
        span = faces.grey_range[1] - faces.grey_range[0]
        walks[name] = (offsets, steps.reshape(n_latents * N_OFFSETS, -1))
        numbers[f"traversal_{name}"] = {
            "from": -reach,
            "to": reach,
            "largest_change": change,
            "largest_change_255": change / span * 255,
        }
    W = model.loadings_[:, :n_latents].T  # (latents, m)
    latents = [_about_latent(k, w, faces.shape) for k, w in enumerate(W)]
    for latent, w in zip(latents, W, strict=True):
        latent["seen"] = _seen(w / span, faces.shape)
    numbers |= {
        "traversal_image": image,
        "traversal_d": model.n_components_,
        "n_offsets": N_OFFSETS,
        "n_traversed": n_latents,
        "latents": latents,
    }
    return {"numbers": numbers, "arrays": {"walks": walks, "differences": W}}


def _about_latent(k: int, w: NDArray[np.float64], shape: tuple[int, int]) -> dict[str, Any]:
    """Measure one difference image: its size, its contrasts, and which pattern holds its energy."""
    picture = w.reshape(shape)
    height, width = shape
    half_width, half_height = max(1, width // 2), max(1, height // 2)
    left_right = picture[:, :half_width].mean() - picture[:, -half_width:].mean()
    top_bottom = picture[:half_height].mean() - picture[-half_height:].mean()
    overall = picture.mean()
    energy = float(np.mean(w**2)) or 1.0  # a latent at the noise level changes nothing
    patterns = [  # (share of the energy, words)
        (overall**2 / energy, f"{_brighter(overall)} the whole image"),
        (
            (left_right / 2) ** 2 / energy,
            f"brightens the {_side(left_right, 'left', 'right')}",
        ),
        ((top_bottom / 2) ** 2 / energy, f"brightens the {_side(top_bottom, 'top', 'bottom')}"),
    ]
    named = [words for share, words in sorted(patterns, reverse=True) if share >= SEEN]
    return {
        "latent": k + 1,
        "norm": float(np.linalg.norm(w)),
        "overall": float(overall),
        "left_right": float(left_right),
        "top_bottom": float(top_bottom),
        "overall_share": float(patterns[0][0]),
        "left_right_share": float(patterns[1][0]),
        "top_bottom_share": float(patterns[2][0]),
        "words": " and ".join(named)
        or "changes finer details, but no half of the image as a whole",
    }


def _seen(w: NDArray[np.float64], shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Return what a person sees from one end of the wide walk to the other, largest first.

    Each sight is a contrast of named regions of a face; pictures of another size have none.
    """
    if shape != PORTRAIT:
        return []
    found: list[tuple[float, str, str]] = []
    for regions, first, second, lighter, darker in SIGHTS:
        contrast = _mean_in(w, first) - (_mean_in(w, second) if second else 0.0)
        change = 2 * LARGE * 255 * contrast  # grey levels, from one end of the walk to the other
        found.append((change, lighter if contrast > 0 else darker, regions))
    found.sort(key=lambda sight: -abs(sight[0]))
    least = TOLD * abs(found[0][0])
    return [
        {"words": words, "regions": regions, "change_255": change}
        for change, words, regions in found[:AT_MOST]
        if abs(change) >= least
    ]


def _mean_in(w: NDArray[np.float64], boxes: Boxes) -> float:
    """Return the mean of a picture over some boxes."""
    picture = w.reshape(PORTRAIT)
    return float(np.concatenate([picture[t:b, x:y].ravel() for t, b, x, y in boxes]).mean())


def _brighter(amount: float) -> str:
    return "brightens" if amount > 0 else "darkens"


def _side(contrast: float, first: str, second: str) -> str:
    """Name the brighter half, then the darker."""
    bright, dark = (first, second) if contrast > 0 else (second, first)
    return f"{bright} half relative to the {dark} half"
