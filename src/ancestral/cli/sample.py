"""`ancestral sample`: draws from a saved model, in files, on stdout or as pictures."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ancestral
from ancestral.cli.data import (
    entry_of,
    observed_by,
    refuse,
    rows_of,
    take_rows_as_named,
)
from ancestral.cli.given import given_of, given_option, method_options
from ancestral.cli.large import is_large, own_names, shows, source_of, write_answers
from ancestral.cli.outputs import (
    Address,
    RowsPlace,
    ask_for,
    check_places,
    check_report,
    force_option,
    give_rows,
)
from ancestral.cli.reading import Reading, reading_options
from ancestral.cli.terminal import CONTEXT, in_one_line, json_option, print_json, say
from ancestral.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@click.command("sample", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-n", "--n-samples", type=int, help="The number of draws.  [default: 1]")
@click.option(
    "-o",
    "--output",
    type=RowsPlace(),
    help="A .csv, .tsv, .parquet, .npy or .npz file, or an address; of graphs .npz or .graphml, or "
    "of one graph x.csv: its links, and its nodes in x-nodes.csv.",
)
@given_option
@click.option("--collage", type=click.Path(path_type=Path), help="A picture of the draws (.png).")
@click.option("--shape", metavar="HxW", help="Shape of the images in a collage. Default: square.")
@click.option(
    "--n-nodes", type=int, help="Nodes of each graph (graph models).  [default: 15; positions: all]"
)
@click.option("--n-features", type=int, help="Features of each node (graph models).")
@click.option(
    "--features",
    metavar="DATA",
    help="Features of the nodes, or the word uniform (graph models). Default: as in the fit.",
)
@click.option("--inputs", metavar="DATA", help="Inputs X to draw y for (regression models).")
@method_options(n_particles="the number of particles in each of 16 runs.")
@force_option
@reading_options("conditional", but="--target")
@click.option(
    "--random-state", type=int, metavar="INT", help="Seed. The same seed gives the same draws."
)
@json_option
def command(
    file: Path,
    *,
    output: Path | Address | None,
    given: tuple[str, ...],
    collage: Path | None,
    shape: str | None,
    inputs: str | None,
    force: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Draw from the model in FILE, parents first. Without -o or --collage, draws are printed.

    Draws are a table of the kind that the model was fitted to, with its names and levels. Draws
    that do not fit in memory are written to a .csv, .tsv, .parquet or .npy file block by block.

    \b
    Examples:
      ancestral sample letters.model -n 100 --collage letters.png
      ancestral sample weather.model -n 5 --given sky=rain -o days.csv
    """
    reading = Reading.taken(asked)
    files = (file, inputs, asked["features"])
    ask_for(*(["report:matplotlib"] if collage else []), files=files, output=output)
    check_places(output, collage, inputs=files, force=force)
    check_report(reading.rejects, output, collage, inputs=files, force=force)
    if inputs is None and asked["features"] is None and reading != Reading():
        raise click.UsageError("without --inputs, options on reading have no use.")
    model = ancestral.load(file)
    taken = inspect.signature(model.sample).parameters
    refuse(model, **{name: value for name, value in asked.items() if name not in taken})
    options = {name: value for name, value in asked.items() if value is not None}
    face = entry_of(model).face
    if face == "graphs":
        refuse(model, shape=shape, inputs=inputs, given=given or None)
        if isinstance(output, Address):
            raise click.UsageError(f"graphs are written to files of this machine, not to {output}.")
        ask_for(*(["report:networkx"] if collage else []), files=())
        if options.get("features", "uniform") != "uniform":
            options["features"] = nodes_of(options["features"], reading, model)
        check_places(nodes_beside(output), inputs=files, force=force)
        give_graphs(model.sample(**options), output, collage, as_json=as_json)
        return
    names: Any
    if face == "conditional":
        refuse(model, collage=collage, shape=shape, given=given or None)
        if inputs is None:
            raise click.UsageError(f"{type(model).__name__} draws y given X: name X with --inputs.")
        take_rows_as_named()
        if is_large(inputs):
            source = source_of(inputs, reading, face, own_names(model), model)
            _in_blocks(model, output, inputs, options | {"inputs": source}, as_json=as_json)
            return
        X = rows_of(inputs, reading, model=model)
        rows, names = _as_columns(model, model.sample(X, **options), options.get("n_samples", 1))
    else:
        refuse(model, inputs=inputs)
        if (known := given_of(model, given)) is not None:
            options["given"] = known
        if _fills_memory(model, output, options) and collage is None and not as_json:
            _in_blocks(model, output, "", options, as_json=as_json)
            return
        rows, names = model.sample(**options), getattr(model, "feature_names_in_", None)
    if collage is not None:
        draw_collage(rows, shape, collage)
    quiet = collage is not None
    give_rows(rows, names, output, what="draws", as_json=as_json, quiet=quiet)


def _fills_memory(model: Any, output: Path | Address | None, options: dict[str, Any]) -> bool:
    """Tell whether draws are so many that they are written block by block."""
    from ancestral.io.row_files import ENDINGS
    from ancestral.streaming.writing import BLOCK_VALUES

    n_values = options.get("n_samples", 1) * model.n_features_in_
    return output is not None and output.suffix in ENDINGS and n_values > BLOCK_VALUES


def _in_blocks(
    model: Any,
    output: Path | Address | None,
    data: str,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Write draws as they come."""
    from ancestral.streaming import writing

    answers = writing.drawn(model, **{"n_samples": 1} | options, verbose=shows(as_json=as_json))
    write_answers(output, answers, data=data, what="draws", as_json=as_json)


def _as_columns(model: Any, drawn: NDArray, n_samples: int) -> tuple[NDArray, list[str] | None]:
    """Return draws of y with a row for each row of X, and a column for each of several draws."""
    from ancestral.streaming.writing import draws_of_target

    if n_samples > 1 and drawn.ndim != 2:
        raise click.UsageError("-n above 1 has no use with a model of several targets.")
    return draws_of_target(model, drawn, n_samples)


def nodes_of(data: str, reading: Reading, model: Any) -> Any:
    """Return nodes to draw links among: of a table of numbers, or of a file of one graph."""
    if not data.lower().endswith((".graphml", ".gml")):
        return rows_of(data, reading, model=model)
    (graphs,) = observed_by(model, data, reading).data
    if len(graphs) != 1:
        raise click.UsageError(f"{data} holds {len(graphs)} graphs: give the nodes of one.")
    return graphs[0]


def give_graphs(
    graphs: list[Any], output: Path | None, collage: Path | None, *, as_json: bool
) -> None:
    from ancestral.io import write_edge_list, write_graphs

    if output is not None and (nodes := nodes_beside(output)) is not None:
        if len(graphs) > 1:
            raise click.UsageError(
                f"{output} holds one graph; {len(graphs)} are drawn: end the name in .npz or "
                ".graphml, or pass -n 1."
            )
        write_edge_list(output, nodes, graphs[0])
        say(f"1 graph written to {output} and {nodes}", err=True)
    elif output is not None:
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
            names = graph.node_names or range(graph.n_nodes)
            ends = zip(i.tolist(), j.tolist())
            mark = "->" if graph.directed else "-"
            say("  " + " ".join(in_one_line(f"{names[a]}{mark}{names[b]}") for a, b in ends))


def nodes_beside(output: Path | None) -> Path | None:
    """Return where the table of nodes goes that belongs to a table of links."""
    if output is None or output.suffix.lower() not in (".csv", ".tsv"):
        return None
    return output.with_name(f"{output.stem}-nodes{output.suffix}")


def draw_collage(drawn: Any, shape: str | None, path: Path) -> None:
    """Write draws as a collage of images."""
    from ancestral import viz
    from ancestral._checks.containers import as_levels, opened

    rows = as_levels(opened(drawn, "draws"), "draws")
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
    held: dict[str, Any] = {"features": graph.features.tolist()}
    if graph.node_names is not None:
        held["nodes"] = list(graph.node_names)
    if graph.directed:
        held["directed"] = True
    if graph.is_sparse:
        return held | {"edges": [[int(i), int(j)] for i, j in zip(*graph.edges(), strict=True)]}
    return held | {"adjacency": graph.adjacency.tolist()}
