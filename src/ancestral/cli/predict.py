"""`ancestral predict`: the mean of a target given inputs, or the probabilities of edges."""

from __future__ import annotations

import inspect
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
from ancestral.cli.terminal import CONTEXT, json_option

if TYPE_CHECKING:
    from numpy.typing import NDArray

OF_GRAPHS = (
    *("nodes", "attributes", "categorical", "header", "directed", "unknown"),
    *("multiple", "loops", "weights", "weight"),
)


@click.command("predict", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option(
    "-o",
    "--output",
    type=RowsPlace(),
    help="A .csv, .tsv, .parquet, .npy or .npz file, or an address. Without it the rows are "
    "printed.",
)
@click.option(
    "--std", is_flag=True, help="Add the standard deviation of y given x (regression models)."
)
@click.option(
    "--pairs",
    type=click.Choice(["unknown", "unlinked", "all"]),
    help="Graphs: unknown dyads; unknown dyads and those without a link; or all.  "
    "[default: unknown, if there are any]",
)
@click.option("--top", type=click.IntRange(min=1), help="Graphs: the most pairs to print.")
@force_option
@reading_options("conditional", "graphs", but="--target")
@json_option
def command(
    file: Path,
    data: str | None,
    *,
    output: Path | Address | None,
    std: bool,
    force: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Predict from the model in FILE for each row of DATA.

    Regression models give the mean of y given the inputs in DATA, whose other columns are ignored.
    Models of graphs give pairs of nodes with the probability of their link, the most probable
    first: of the graphs in DATA, or of the nodes of the fit, if the model has learnt their
    positions.

    Inputs in a folder of tables, at a pattern such as 'rows/*.parquet' or an address such as
    s3://bucket/rows, or in a file larger than memory are read part by part, and the results are
    written to a file part by part.

    \b
    Examples:
      ancestral predict price.model houses.csv --std -o prices.csv
      ancestral predict friends.model ties.csv --nodes pupils.csv --unknown absent.csv
    """
    of_pairs = {name: asked.pop(name) for name in ("pairs", "top")}
    reading = Reading.taken(asked)
    inputs = (file, data, reading.nodes)
    ask_for(files=inputs, output=output)
    check_places(output, inputs=inputs, force=force)
    check_report(reading.rejects, output, inputs=inputs, force=force)
    model = ancestral.load(file)
    face = entry_of(model).face
    if face == "conditional":
        for name in OF_GRAPHS:
            refuse(model, **{name: getattr(reading, name)})
        refuse(model, **of_pairs)
        if data is None:
            raise click.UsageError(f"{type(model).__name__} predicts y given X: name DATA.")
        take_rows_as_named()
        if is_large(data):
            from ancestral.streaming import writing

            source = source_of(data, reading, face, own_names(model), model)
            show = shows(as_json=as_json)
            answers = writing.predicted(model, source, return_std=std, verbose=show)
            write_answers(output, answers, data=data, what="predictions", as_json=as_json)
            return
        rows, names = _of_rows(model, rows_of(data, reading, model=model), std=std)
        what = "predictions"
    elif face == "graphs":
        refuse(model, std=std or None)
        rows, names = _of_graphs(model, data, reading, of_pairs)
        what = "pairs"
    else:
        raise click.UsageError(
            f"{type(model).__name__} has no target to predict: fill gaps with impute, or draw with "
            "sample --given NAME=VALUE."
        )
    give_rows(rows, names, output, what=what, as_json=as_json, key="predictions")


def _of_rows(model: Any, X: Any, *, std: bool) -> tuple[NDArray, list[str]]:
    """Return the mean of y for each row, and on request its standard deviation."""
    from ancestral.streaming.writing import predictions

    found, names = predictions(model, X, return_std=std)
    return found.reshape(len(found), -1), names


def _of_graphs(
    model: Any, data: str | None, reading: Reading, asked: dict[str, Any]
) -> tuple[NDArray, list[str]]:
    """Return pairs of nodes with the probability of their link, the most probable first."""
    import numpy as np

    if not inspect.signature(model.probabilities).parameters and data is None:
        graphs = [_of_fit(model)]  # the nodes are those of the fit
    elif data is None:
        raise click.UsageError(f"{type(model).__name__} predicts edges of graphs: name DATA.")
    else:
        (graphs,) = observed_by(model, data, reading).data
    pairs, top = asked["pairs"], asked["top"]
    if pairs is None:
        pairs = "unknown" if any(graph.n_unknown for graph in graphs) else "all"
    if pairs == "unknown" and len(graphs) > 1:
        graphs_with = [(k, graph) for k, graph in enumerate(graphs) if graph.n_unknown]
    else:
        graphs_with = list(enumerate(graphs))
    parts, names = [], ["graph"] * (len(graphs) > 1)
    for k, graph in graphs_with:
        found = model._predicted_edges(graph, pairs, top)
        columns = [column.astype(object) for column in found.values()]
        if len(graphs) > 1:
            columns.insert(0, np.full(len(columns[0]), k, dtype=object))
        parts.append(np.column_stack(columns))
    names += list(found)
    return np.concatenate(parts), names


def _of_fit(model: Any) -> Any:
    """Return the nodes of a fit that has learnt their positions, as a graph without links."""
    from scipy import sparse

    from ancestral import Graph

    n = len(model.positions_)
    return Graph(None, sparse.csr_array((n, n)), node_names=getattr(model, "node_labels_", None))
