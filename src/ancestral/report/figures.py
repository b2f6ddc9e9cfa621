"""Every figure of the report, as PNG and SVG, drawn by `ancestral.viz`."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ancestral._extras import import_extra
from ancestral.report.render import ON_WHITE, PARTS
from ancestral.report.summarise.summary import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
SVG_DATE = {"Date": None}  # equal data, equal file
N_PAST = 8  # half widths of the contour, in standard errors
INKS = {  # what is drawn dark on white, and what stands for it on a dark page
    "#000000": "#dde4ea",
    "#1b2733": "#dde4ea",
    "#1f2328": "#dde4ea",
    "#5b6773": "#9aa7b3",
    "#767b82": "#9aa7b3",
    "#0072b2": "#56b4e9",
    "#0b5a8a": "#56b4e9",
    "#e6e8eb": "#3a444e",
    "#ffffff": "#161b20",
}
_SPEAKS_OF_TYPE = re.compile(r"font\.|mathtext\.|.*(?:label|title|font)size$")
_PIXELS = re.compile(r"(data:image/png;base64,)([\sA-Za-z0-9+/=]+)")
_METADATA = re.compile(r" <metadata>.*?</metadata>\n", re.DOTALL)


def draw_figures(
    summaries: dict[str, Summary], folder: Path, say: Callable[[str], None] = lambda name: None
) -> list[str]:
    """Draw and write every figure.

    Parameters
    ----------
    summaries : dict of Summary
        Any of "autoregression", "ppca", "graphs", "linear".
    folder : Path
        Made if need be.
    say : callable
        Told the name of each figure before it is written.

    Returns
    -------
    list of str
        The names; each is written as NAME.png and NAME.svg.
    """
    import_extra("matplotlib", "the report", "report")
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    drawers = {
        "autoregression": _autoregression,
        "ppca": _ppca,
        "graphs": _graphs,
        "linear": _linear,
    }
    for problem, summary in summaries.items():
        with _the_documents_type():
            for name, figure in drawers[problem](summary):
                say(name)
                _write(figure, folder / name)
                names.append(name)
    return names


def _write(drawn: Any, stem: Path) -> None:
    """Write a figure, or the figure of an Axes, as PNG and SVG."""
    import matplotlib as mpl

    figure = getattr(drawn, "figure", drawn) or drawn
    settings: Any = {
        "svg.hashsalt": stem.name,
        "svg.fonttype": "path",
        "image.composite_image": False,
    }
    with mpl.rc_context(settings):  # tiles one by one: composing them takes four times as long
        figure.savefig(stem.with_suffix(".png"), dpi=DPI)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", metadata=SVG_DATE, transparent=True)
    stem.with_suffix(".svg").write_text(readable_on_dark(svg.getvalue()), "utf-8")


@contextmanager
def _the_documents_type() -> Iterator[None]:
    """Draw with the report's font, in its one size."""
    import matplotlib as mpl
    from matplotlib.font_manager import fontManager

    from ancestral.viz import _style

    for name in ("LibertinusSerif-Regular.otf", "LibertinusSerif-Italic.otf"):
        with resources.as_file(PARTS / "fonts" / name) as path:
            fontManager.addfont(path)
    with resources.as_file(PARTS / "matplotlibrc") as path:
        look = mpl.rc_params_from_file(path, use_default_template=False)
    kept = dict(_style.RC)
    type_of: Any = {name: value for name, value in look.items() if _SPEAKS_OF_TYPE.match(name)}
    try:
        _style.RC.update(type_of)
        with mpl.rc_context(type_of):
            yield
    finally:
        _style.RC.clear()
        _style.RC.update(kept)


Drawn = list[tuple[str, "Figure | Any"]]


def _autoregression(summary: Summary) -> Drawn:
    from ancestral import viz

    a, numbers = summary.arrays, summary.numbers
    shape = a["shape"]
    lstm = summary.models["lstm"]
    image_names = [str(k + 1) for k in range(len(a["images"]))]
    bits = np.asarray(a["step_entropies"]) / math.log(2)
    drawn: Drawn = [
        ("draws", viz.collage(a["draws"], shape, n_rows=10, n_cols=10)),
        (
            "support",
            viz.probability_collage(a["images"], a["probabilities"], shape, names=image_names),
        ),
        (
            "tree",
            viz.prefix_tree(
                a["tree_images"],
                shape=shape if shape[0] > 1 else None,
                names=[str(k + 1) for k in a["tree"]],
            ),
        ),
        ("lstm-training", viz.training_curve(lstm, numbers["lstm_floor"], unit="image")),
        ("lstm-draws", viz.collage(a["lstm_draws"], shape, n_rows=10, n_cols=10)),
        ("step-entropies", viz.step_entropies(bits, shape if shape[0] > 1 else None)),
    ]
    if (found := a["certificate"]) is not None:
        panel = viz.certificate(found["log_p"], found["rest"], found["valid"], unit="image")
        drawn.append(("certificate", panel))
        if len(found["others"]):
            others = viz.probability_collage(found["others"], found["others_p"], shape)
            drawn.append(("certificate-others", others))
    if (found := a["inpainting"]) is not None:
        drawn.append(("inpainting", viz.inpainting(found["conditions"], shape)))
        if (fills := found["fills"]) is not None:
            drawn.append(("raster", viz.probability_collage(fills["images"], fills["fill"], shape)))
    return drawn


def _ppca(summary: Summary) -> Drawn:
    from ancestral import viz
    from ancestral.viz._style import subscript

    a, numbers = summary.arrays, summary.numbers
    faces, heldout = a["faces"], a["heldout"]
    low, high = faces.grey_range

    def faces_collage(X: Any, **grid: Any) -> Any:
        return viz.collage(X, faces.shape, vmin=low, vmax=high, **grid)

    n_cols = 5
    drawn: Drawn = [
        ("spectrum", viz.spectrum(a["model"])),
        ("latent-scatter", viz.latent_scatter(a["latents"], a["latent_covariance"])),
        ("faces-original", faces_collage(faces.X[a["shown"]], n_cols=n_cols)),
    ]
    for d, X in a["reconstructions"].items():
        drawn.append((f"faces-{d}", faces_collage(X, n_cols=n_cols)))
    errors = numbers["reconstructions"]
    drawn += [
        (
            "reconstruction-error",
            viz.reconstruction_error([e["d"] for e in errors], [e["rmse"] for e in errors]),
        ),
        (
            "heldout",
            viz.heldout_curve(heldout["grid"], heldout["train"], heldout["outside"], a["chosen"]),
        ),
        ("every-d", viz.every_d_panel(a["every_d"], heldout["curve"], chosen=a["chosen"])),
        ("new-faces", faces_collage(a["new"][a["chosen"]], n_rows=10, n_cols=10)),
        ("new-faces-compared", faces_collage(a["new"][a["compare"]], n_rows=10, n_cols=10)),
    ]
    for name, (offsets, images) in a["walks"].items():
        digits = 3 if name == "small" else 1
        labels = [f"{o:+.{digits}f}".replace("-", "−") for o in offsets]
        rows = [f"z{subscript(k + 1)}" for k in range(numbers["n_traversed"])]
        grid = {"n_rows": len(rows), "n_cols": len(offsets)}
        figure = faces_collage(images, row_labels=rows, column_labels=labels, **grid)
        drawn.append((f"traversal-{name}", figure))
    titles = [f"w{subscript(k + 1)}" for k in range(numbers["n_traversed"])]
    label = "change of grey level for one unit of the latent"
    difference = viz.difference_images(a["differences"], faces.shape, titles=titles, label=label)
    return [*drawn, ("traversal-differences", difference)]


def _graphs(summary: Summary) -> Drawn:
    from ancestral import viz

    a = summary.arrays
    drawn: Drawn = [
        ("ascent", viz.ascent_curve(summary.models["graph-ascent"], final=_best(summary))),
        ("contour", _contour(summary)),
        ("classrooms", viz.draw_graphs(a["drawn"], n_cols=3)),
        ("degrees", viz.degree_distribution(a["graphs"], a["sampled"])),
        ("clustering", viz.clustering_distribution(a["graphs"], a["sampled"])),
        ("fit", viz.fit_panel(a["check"])),
    ]
    if a["held_out"] is not None:
        drawn.append(("held-out-graphs", viz.heldout_by_graph(a["held_out"])))
    return drawn


def _best(summary: Summary) -> float:
    """Return the largest log-likelihood either solver found."""
    numbers = summary.numbers
    return float(max(numbers["log_likelihood"], numbers["ascent_log_likelihood"]))


def _contour(summary: Summary) -> Any:
    """Draw the log-likelihood around its maximum, with the end of the ascent's path."""
    from ancestral import viz

    numbers = summary.numbers
    statistics = summary.models["graph"].pair_statistics(summary.arrays["graphs"])
    a, b = numbers["slope"], numbers["intercept"]
    se = tuple(numbers["standard_errors"])
    path = [(record["a"], record["b"]) for record in summary.models["graph-ascent"].history_]
    ranges = [
        _range(centre, error, [point[axis] for point in path])
        for axis, (centre, error) in enumerate(zip((a, b), se, strict=True))
    ]
    return viz.likelihood_contour(
        statistics.log_likelihood,
        *ranges,
        path=path,
        maximum=(a, b),
        standard_errors=se,
        n_grid=61,
    )


def _range(centre: float, error: float, path: list[float]) -> tuple[float, float]:
    """Return the ends of an axis: the whole path, and some standard errors about the maximum."""
    low = min(centre - N_PAST * error, *path)
    high = max(centre + N_PAST * error, *path)
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _linear(summary: Summary) -> Drawn:
    from ancestral import viz

    pairs, line = summary.arrays["line"], summary.models["line"]
    labels = {"x_label": pairs.names[0], "y_label": pairs.target}
    if summary.numbers["line_exact"]:  # no density to shade
        return [("line", _exact_line(line, pairs.X[:, 0], pairs.y, **labels))]
    return [
        ("line", viz.density_shade(line, pairs.X, pairs.y, **labels)),
        ("intervals", viz.interval_bands(line, pairs.X, pairs.y, **labels)),
    ]


def _exact_line(line: Any, x: Any, y: Any, *, x_label: str, y_label: str) -> Any:
    """Draw a line that runs through all its points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.9), layout="constrained")
    ax = figure.add_subplot()
    ends = np.array([x.min(), x.max()])
    ax.plot(ends, line.coef_[0] * ends + line.intercept_)
    ax.plot(x, y, ".", color="black")
    ax.set(xlabel=x_label, ylabel=y_label)
    return figure


def readable_on_dark(svg: str) -> str:
    """Return a figure without its date, whose inks turn light where the page is dark.

    A collage of black and white pixels keeps its white ground: on a dark page its black would be
    ground and its white ink.
    """
    rules = "".join(
        f'[style*="{kind}: {ink}"]{{{kind}:{light} !important}}'
        for ink, light in INKS.items()
        for kind in ("fill", "stroke")
    )
    svg = _METADATA.sub("", svg, count=1)
    svg = _PIXELS.sub(lambda found: found[1] + _grey(found[2]), svg)
    pixels = _PIXELS.findall(svg)
    if pixels and "<use" not in svg and all(_is_black_and_white(png) for _, png in pixels):
        rules += ON_WHITE
    style = f"<style>@media (prefers-color-scheme: dark){{svg{{fill:#dde4ea}}{rules}}}</style>\n"
    head, mark, rest = svg.partition(" <defs>")
    return head + style + mark + rest


def _is_black_and_white(encoded: str) -> bool:
    """Return whether a PNG in base64 has black and white pixels alone."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        return bool(np.isin(np.asarray(image.convert("L")), (0, 255)).all())


def _grey(encoded: str) -> str:
    """Return a PNG in base64, in one channel where all its colours are opaque greys."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        pixels = np.asarray(image.convert("RGBA"))
        if (pixels[..., :3] != pixels[..., :1]).any() or (pixels[..., 3] != 255).any():
            return encoded
        out = io.BytesIO()
        image.convert("L").save(out, "png", optimize=True)
    return min(encoded, base64.b64encode(out.getvalue()).decode(), key=len)
