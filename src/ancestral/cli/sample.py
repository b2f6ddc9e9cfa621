"""`ancestral sample`: draws from a saved model, in files, on stdout or as pictures."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ancestral
from ancestral.cli.data import (
    Reading,
    entry_of,
    reading_options,
    refuse,
    rows_of,
    take_rows_as_named,
)
from ancestral.cli.outputs import check_places, check_report, force_option
from ancestral.cli.terminal import CONTEXT, json_option, print_json, say
from ancestral.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@click.command("sample", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-n", "--n-samples", type=int, help="How many draws.  [default: 1]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .npz or .csv file.")
@click.option("--collage", type=click.Path(path_type=Path), help="A picture of the draws (.png).")
@click.option("--shape", metavar="HxW", help="Of the images in a collage. Default: square.")
@click.option(
    "--n-nodes", type=int, help="Nodes of each graph (graph models).  [default: 15; positions: all]"
)
@click.option("--n-features", type=int, help="Features of each node (graph models).")
@click.option(
    "--features",
    metavar="DATA",
    help="Features of the nodes, or: uniform (graph models). Default: as in the fit.",
)
@click.option("--inputs", metavar="DATA", help="Inputs X to draw y for (regression models).")
@force_option
@reading_options("conditional", but="--target")
@click.option("--random-state", type=int, metavar="INT", help="Seed: the same one draws the same.")
@json_option
def command(
    file: Path,
    *,
    output: Path | None,
    collage: Path | None,
    shape: str | None,
    inputs: str | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Draw from the model in FILE, parents first. Without -o or --collage, draws are printed.

    \b
    Example:
      ancestral sample letters.model -n 100 --collage letters.png
    """
    reading = Reading.taken(given)
    files = (file, inputs, given["features"])
    check_places(output, collage, inputs=files, force=force)
    check_report(reading.rejects, output, collage, inputs=files, force=force)
    if inputs is None and given["features"] is None and reading != Reading():
        raise click.UsageError("without --inputs, options on reading have no use.")
    model = ancestral.load(file)
    taken = inspect.signature(model.sample).parameters
    refuse(model, **{name: value for name, value in given.items() if name not in taken})
    options = {name: value for name, value in given.items() if value is not None}
    face = entry_of(model).face
    if face == "graphs":
        refuse(model, shape=shape, inputs=inputs)
        if options.get("features", "uniform") != "uniform":
            options["features"] = rows_of(options["features"], reading, model=model)
        give_graphs(model.sample(**options), output, collage, as_json=as_json)
        return
    if face == "conditional":
        refuse(model, collage=collage, shape=shape, n_samples=given["n_samples"])
        if inputs is None:
            raise click.UsageError(f"{type(model).__name__} draws y given X: name X with --inputs.")
        take_rows_as_named()
        rows = model.sample(rows_of(inputs, reading, model=model), **options)
        names = [getattr(model, "target_name_", "y")] if rows.ndim == 1 else None
    else:
        refuse(model, inputs=inputs)
        from ancestral._checks.containers import as_levels, opened

        rows = as_levels(opened(model.sample(**options), "draws"), "draws")
        names = getattr(model, "feature_names_in_", None)
    if collage is not None:
        draw_collage(rows, shape, collage)
    give_rows(rows, names, output, quiet=collage is not None, as_json=as_json)


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
