"""Figures: arrays or fitted models in, matplotlib axes out.

A function that draws one panel takes `ax=None` (made if absent) and returns the Axes; one that
draws several returns the Figure. Nothing is shown and pyplot is not used: save with
`figure.savefig(path)` (an Axes has its `figure`). matplotlib is imported at the first call.

    images          collage, probability_collage, difference_images
    autoregressive  training_curve, step_entropies
    ppca            spectrum, latent_scatter, reconstruction_error, heldout_curve
    graph           draw_graph, draw_graphs, degree_distribution, clustering_distribution
    fit             fit_panel, inner_product_histogram
    likelihood      likelihood_contour, ascent_curve
    linear          density_shade
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ancestral.viz.autoregressive import step_entropies, training_curve
    from ancestral.viz.fit import fit_panel, inner_product_histogram
    from ancestral.viz.graph import (
        clustering_distribution,
        degree_distribution,
        draw_graph,
        draw_graphs,
    )
    from ancestral.viz.images import collage, difference_images, probability_collage
    from ancestral.viz.likelihood import ascent_curve, likelihood_contour
    from ancestral.viz.linear import density_shade
    from ancestral.viz.ppca import heldout_curve, latent_scatter, reconstruction_error, spectrum

_HOMES = {
    "ascent_curve": "likelihood",
    "clustering_distribution": "graph",
    "collage": "images",
    "degree_distribution": "graph",
    "density_shade": "linear",
    "difference_images": "images",
    "draw_graph": "graph",
    "draw_graphs": "graph",
    "fit_panel": "fit",
    "heldout_curve": "ppca",
    "inner_product_histogram": "fit",
    "latent_scatter": "ppca",
    "likelihood_contour": "likelihood",
    "probability_collage": "images",
    "reconstruction_error": "ppca",
    "spectrum": "ppca",
    "step_entropies": "autoregressive",
    "training_curve": "autoregressive",
}

__all__ = [
    "ascent_curve",
    "clustering_distribution",
    "collage",
    "degree_distribution",
    "density_shade",
    "difference_images",
    "draw_graph",
    "draw_graphs",
    "fit_panel",
    "heldout_curve",
    "inner_product_histogram",
    "latent_scatter",
    "likelihood_contour",
    "probability_collage",
    "reconstruction_error",
    "spectrum",
    "step_entropies",
    "training_curve",
]


def __getattr__(name: str) -> Any:
    """Import a drawing function where it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the drawing functions."""
    return sorted({*globals(), *__all__})
