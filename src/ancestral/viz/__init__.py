"""Figures of fitted models, of data and of graphs, drawn with matplotlib.

Data are arrays or dataframes, also those that `sample` or `impute` returned; columns, nodes and
groups keep their names. If a function cannot draw what it is given, the error names the function
that can. A function that draws one panel takes `ax=None` (a new Axes) and returns the Axes; one
that draws several panels returns the Figure. pyplot is not used: a notebook shows the result of the
last line of a cell, and elsewhere `figure.savefig(path)` saves it (for an Axes,
`ax.figure.savefig(path)`). matplotlib is imported at the first call.

    images          collage, probability_collage, difference_images
    autoregressive  training_curve, step_entropies, certificate
    tree            prefix_tree
    mixed           latent_tree, marginals
    conditions      inpainting
    ppca            spectrum, latent_scatter, reconstruction_error, heldout_curve, every_d_panel
    graph           draw_graph, draw_graphs, degree_distribution, clustering_distribution
    fit             fit_panel, heldout_by_graph, inner_product_histogram
    likelihood      likelihood_contour, ascent_curve
    linear          density_shade, interval_bands
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ancestral.viz.autoregressive import certificate, step_entropies, training_curve
    from ancestral.viz.conditions import inpainting
    from ancestral.viz.fit import fit_panel, heldout_by_graph, inner_product_histogram
    from ancestral.viz.graph import (
        clustering_distribution,
        degree_distribution,
        draw_graph,
        draw_graphs,
    )
    from ancestral.viz.images import collage, difference_images, probability_collage
    from ancestral.viz.likelihood import ascent_curve, likelihood_contour
    from ancestral.viz.linear import density_shade, interval_bands
    from ancestral.viz.mixed import latent_tree, marginals
    from ancestral.viz.ppca import (
        every_d_panel,
        heldout_curve,
        latent_scatter,
        reconstruction_error,
        spectrum,
    )
    from ancestral.viz.tree import prefix_tree

_HOMES = {
    "ascent_curve": "likelihood",
    "certificate": "autoregressive",
    "clustering_distribution": "graph",
    "collage": "images",
    "degree_distribution": "graph",
    "density_shade": "linear",
    "difference_images": "images",
    "draw_graph": "graph",
    "draw_graphs": "graph",
    "every_d_panel": "ppca",
    "fit_panel": "fit",
    "heldout_by_graph": "fit",
    "heldout_curve": "ppca",
    "inner_product_histogram": "fit",
    "inpainting": "conditions",
    "interval_bands": "linear",
    "latent_scatter": "ppca",
    "latent_tree": "mixed",
    "likelihood_contour": "likelihood",
    "marginals": "mixed",
    "prefix_tree": "tree",
    "probability_collage": "images",
    "reconstruction_error": "ppca",
    "spectrum": "ppca",
    "step_entropies": "autoregressive",
    "training_curve": "autoregressive",
}

__all__ = [
    "ascent_curve",
    "certificate",
    "clustering_distribution",
    "collage",
    "degree_distribution",
    "density_shade",
    "difference_images",
    "draw_graph",
    "draw_graphs",
    "every_d_panel",
    "fit_panel",
    "heldout_by_graph",
    "heldout_curve",
    "inner_product_histogram",
    "inpainting",
    "interval_bands",
    "latent_scatter",
    "latent_tree",
    "likelihood_contour",
    "marginals",
    "prefix_tree",
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
