"""What `ancestral sample` gives: numbers in a file or on stdout, pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.cli.terminal import print_json, say
from ancestral.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def give_rows(
    rows: NDArray, names: Any, output: Path | None, *, quiet: bool, as_json: bool
) -> None:
    from ancestral.io import write_array

    if output is not None:
        write_array(output, rows, None if names is None else [str(name) for name in names])
        say(f"{len(rows)} draws written to {output}", err=True)
    if as_json:
        print_json({"n_samples": len(rows), "samples": rows.tolist()})
    elif output is None and not quiet:
        for row in rows.tolist():
            say(" ".join(map(str, row if isinstance(row, list) else [row])))


def give_graphs(
    graphs: list[Any], output: Path | None, collage: Path | None, *, as_json: bool
) -> None:
    from ancestral.io import write_graphs

    if output is not None:
        write_graphs(output, graphs)
        say(f"{len(graphs)} graphs written to {output}", err=True)
    if collage is not None:
        from ancestral import viz

        _write_figure(viz.draw_graphs(graphs, n_cols=3), collage)
    if as_json:
        print_json(
            {
                "n_samples": len(graphs),
                "samples": [_as_json(graph) for graph in graphs],
            }
        )
    elif output is None and collage is None:
        for k, graph in enumerate(graphs):
            say(f"graph {k}: {graph.n_nodes} nodes, {graph.n_edges} edges")
            i, j = graph.edges()
            say("  " + " ".join(f"{a}-{b}" for a, b in zip(i.tolist(), j.tolist())))


def draw_collage(rows: NDArray, shape: str | None, path: Path) -> None:
    """Write draws as a collage of images."""
    from ancestral import viz

    if len(rows) == 0:
        raise DataError("n_samples=0 leaves nothing to draw. Pass -n 1 or more.")
    _write_figure(viz.collage(rows, _image_shape(rows.shape[1], shape)), path)


def _image_shape(n_pixels: int, shape: str | None) -> tuple[int, int]:
    """Return height and width as given, or a square."""
    if shape is None:
        side = math.isqrt(n_pixels)
        if side * side != n_pixels:
            raise click.UsageError(f"{n_pixels} values are no square image: pass --shape HxW.")
        return side, side
    parts = shape.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise click.UsageError(f"--shape is height x width, as in 24x24; got {shape!r}.")
    height, width = (int(part) for part in parts)
    if height * width != n_pixels:
        raise click.UsageError(f"--shape {shape} holds {height * width} pixels, not {n_pixels}.")
    return height, width


def _write_figure(figure: Any, path: Path) -> None:
    """Write a picture, whole or not at all."""
    import io

    from ancestral._files import write_atomically

    kind = path.suffix.lstrip(".").lower()
    if kind not in ("png", "svg", "pdf"):
        raise click.UsageError(f"{path}: end the name in .png, .svg or .pdf.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=200)
    write_atomically(path, buffer.getvalue())
    say(f"drawn in {path}", err=True)


def _as_json(graph: Any) -> dict[str, Any]:
    """Return a graph as lists; a large one by its edges."""
    if graph.is_sparse:
        edges = [[int(i), int(j)] for i, j in zip(*graph.edges(), strict=True)]
        return {"features": graph.features.tolist(), "edges": edges}
    return {"features": graph.features.tolist(), "adjacency": graph.adjacency.tolist()}
