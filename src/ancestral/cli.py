"""The command line: parse, call, print.

Data go to stdout (as JSON with --json), messages to stderr. Exit codes: 0 done, 1 an error said in
one line, 2 wrong usage, 130 interrupted. Everything heavy is imported inside the commands, so that
`ancestral --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import shell_complete

import ancestral
from ancestral import _cli_terminal
from ancestral._cli_data import (
    Reading,
    discrete_rows_of,
    graph_options,
    graphs_of,
    inputs_of,
    is_conditional,
    is_of_graphs,
    pairs_of,
    reading_options,
    rows_of,
    take_rows_as_named,
)
from ancestral._cli_draws import draw_collage, give_graphs, give_rows
from ancestral._cli_facts import facts_of, learnt, left_out_of, scores_of
from ancestral._cli_fit import CONTEXT, fit
from ancestral._cli_places import check_places, force_option
from ancestral._cli_terminal import console, print_json, say, show
from ancestral.errors import DataError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
seed_option = click.option(
    "--random-state", type=int, metavar="INT", help="Seed: the same one draws the same."
)


@click.group(context_settings=CONTEXT)
@click.version_option(ancestral.__version__, prog_name="ancestral")
def cli() -> None:
    """Generative models whose probability you can write down.

    Fitted by maximum likelihood, scored exactly, sampled parents first.

    \b
    Example:
      ancestral report
    """


# ---- report -----------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Answer the assignment; write PDF, HTML and zip.")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="report",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder to write.",
)
@click.option("--author", "authors", multiple=True, help="Who hands it in; once for each.")
@click.option("--title", help="The report's title.")
@click.option("--course", help="The course's name.")
@click.option("--paper", type=click.Choice(["a4", "letter"]), default="a4", show_default=True)
@click.option("--full", is_flag=True, help="Add an appendix with all beyond the assignment.")
@click.option("--target", help="The target's column of the .csv.")
@json_option
def report(
    folder: Path | None,
    output: Path,
    *,
    authors: tuple[str, ...],
    title: str | None,
    course: str | None,
    paper: str,
    full: bool,
    target: str | None,
    as_json: bool,
) -> None:
    """Answer the assignment item by item: PDF, HTML, figures, models, numbers, and a zip.

    The figures and numbers are what four short scripts give, which are in the zip. In the HTML the
    fitted models can be moved by hand. It takes one to two minutes.

    DIR holds your files, any of: image_cpts.pkl.gz (tables), eigenfaces.npy (images),
    classroom_graphs.pkl (graphs), a .csv with a target column (for --full). Built-in data stand in
    for what it lacks; without DIR, for all.

    \b
    Examples:
      ancestral report homework -o report
      ancestral report homework --author "Ada Lovelace" --author "Carl Gauss" --course CS552
    """
    from ancestral.report.build import build_report
    from ancestral.report.render import TITLE, Heading

    written = build_report(
        folder,
        output,
        target=target,
        heading=Heading(title or TITLE, authors, course, paper),
        full=full,
        rooms=lambda models: _rooms(folder, models),
        console=console(),
    )
    numbers = json.loads((written / "report.json").read_text("utf-8"))
    if as_json:
        print_json(numbers)
        return
    for name, source in numbers["sources"].items():
        where = "built-in" if source["built_in"] else source["origin"]
        say(f"{name}: {where} ({source['sentence']})", err=True)
    for name in ("report.pdf", "report.html", "report.json", "submission.zip"):
        say(written / name)


def _rooms(folder: Path | None, models: Path) -> dict[str, str]:
    """Return a page for each room in which the report's models are moved by hand."""
    from ancestral.studio.bundle import page_html
    from ancestral.studio.shelf import Shelf

    shelf = Shelf.of([models] if folder is None else [models, folder])
    return {name: page_html(shelf, (name,)) for name in ("pixels", "faces", "classroom", "line")}


# ---- fit ----------------------------------------------------------------------------------------

cli.add_command(fit)


# ---- sample -----------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Draw from a saved model.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-n", "--n-samples", type=int, help="How many draws.  [default: 1]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .npz or .csv file.")
@click.option("--collage", type=click.Path(path_type=Path), help="A picture of the draws (.png).")
@click.option("--shape", metavar="HxW", help="Of the images in a collage. Default: square.")
@click.option("--n-nodes", type=int, help="Nodes of each graph (graph models).  [default: 15]")
@click.option("--n-features", type=int, help="Features of each node (graph models).")
@click.option("--inputs", metavar="DATA", help="Inputs X to draw y for (regression models).")
@force_option
@seed_option
@json_option
def sample(
    file: Path,
    *,
    n_samples: int | None,
    output: Path | None,
    collage: Path | None,
    shape: str | None,
    inputs: str | None,
    force: bool,
    random_state: int | None,
    as_json: bool,
    **size: int | None,
) -> None:
    """Draw from the model in FILE, parents first. Without -o or --collage, draws are printed.

    \b
    Example:
      ancestral sample letters.model -n 100 --collage letters.png
    """
    check_places(output, collage, inputs=(file, inputs), force=force)
    model = ancestral.load(file)
    size = {name: value for name, value in size.items() if value is not None}
    if is_of_graphs(model):
        _refuse(model, shape=shape, inputs=inputs)
        if hasattr(model, "positions_"):
            _refuse(model, n_features=size.pop("n_features", None))
        graphs = model.sample(
            1 if n_samples is None else n_samples, random_state=random_state, **size
        )
        give_graphs(graphs, output, collage, as_json=as_json)
        return
    _refuse(model, **size)
    if is_conditional(model):
        _refuse(model, collage=collage, shape=shape, n_samples=n_samples)
        take_rows_as_named()
        rows = model.sample(_inputs(model, inputs), random_state=random_state)
    else:
        _refuse(model, inputs=inputs)
        rows = model.sample(1 if n_samples is None else n_samples, random_state=random_state)
    if collage is not None:
        draw_collage(rows, shape, collage)
    named = getattr(model, "feature_names_in_", None)
    names = named if rows.ndim > 1 else [getattr(model, "target_name_", "y")]
    give_rows(rows, names, output, quiet=collage is not None, as_json=as_json)


def _refuse(model: Any, **options: Any) -> None:
    """Refuse options that this kind of model has no use for."""
    for name, value in options.items():
        if value is not None:
            flag = "-n" if name == "n_samples" else "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} has no use with {type(model).__name__}.")


def _inputs(model: Any, inputs: str | None) -> Any:
    """Return the inputs to draw targets for."""
    if inputs is None:
        raise click.UsageError(f"{type(model).__name__} draws y given X: name X with --inputs.")
    return inputs_of(inputs, model, Reading())


# ---- score ------------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Exact log density of data under a model.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="One log density per row.")
@click.option("--target", help="The target's column (regression models).")
@click.option(
    "--leave-one-out",
    is_flag=True,
    help="Fit the model anew without each row in turn, and say whether it generalises.",
)
@force_option
@reading_options
@graph_options
@json_option
def score(
    file: Path,
    data: str,
    *,
    output: Path | None,
    target: str | None,
    leave_one_out: bool,
    force: bool,
    as_json: bool,
    **read: Any,
) -> None:
    """Print the exact log density, in nats, of DATA under the model in FILE.

    For discrete models beside it: bits per dimension, the entropy of DATA (no model's mean loss is
    below it), the distance to it (KL), and the probability the model gives to the rows of DATA.

    \b
    Example:
      ancestral score letters.model images.npy
    """
    check_places(output, inputs=(file, data, read["nodes"]), force=force)
    model = ancestral.load(file)
    reading = Reading(**read)
    take_rows_as_named()
    if not is_conditional(model):
        _refuse(model, target=target)
    discrete, X = hasattr(model, "categories_"), None
    if not discrete:
        _refuse(model, leave_one_out=leave_one_out or None)
    if not is_of_graphs(model):
        _refuse(model, **{name: read[name] for name in ("nodes", "attributes", "categorical")})
    if is_of_graphs(model):
        values = model.log_density(graphs_of(data, reading))
    elif is_conditional(model):
        pairs = pairs_of(data, target, reading, model=model)
        values = model.log_density(pairs.X, pairs.y)
    else:
        X = (discrete_rows_of if discrete else rows_of)(data, reading, model=model)
        values = model.log_density(X)
    if len(values) == 0:
        raise DataError(f"{data}: holds nothing to score.")
    if output is not None:
        from ancestral.io import write_array

        write_array(output, values, ["log_density"])
    facts = scores_of(model, X, values)
    if leave_one_out:
        facts.update(left_out_of(model, X))
    show(facts, as_json=as_json)


# ---- inspect ----------------------------------------------------------------------------------


@cli.command("inspect", context_settings=CONTEXT, short_help="What is in a model file.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def inspect_file(file: Path, *, as_json: bool) -> None:
    """Say what the model in FILE is: class, parameters, size, what it learnt.

    \b
    Example:
      ancestral inspect letters.model
    """
    model = ancestral.load(file)
    show({"file": str(file), **facts_of(model), "learnt": learnt(model)}, as_json=as_json)


# ---- bench ------------------------------------------------------------------------------------


@cli.group(context_settings=CONTEXT, short_help="Score public benchmarks.")
def bench() -> None:
    """Fit and score public benchmarks of density estimation.

    \b
    Example:
      ancestral bench debd nltcs plants
    """


@bench.command("debd", context_settings=CONTEXT, short_help="Binary tables in three parts.")
@click.argument("sources", metavar="[SETS, FILES OR FOLDERS]", nargs=-1)
@json_option
def bench_debd(sources: tuple[str, ...], *, as_json: bool) -> None:
    """Fit each set's training rows, select on its validation rows, score its test rows.

    SETS are names, such as nltcs, looked for in $ANCESTRAL_DATA/debd and the usual places beside
    this folder (none: all that are there). FILES are NAME.npz (arrays train, valid, test) or
    NAME.train.data with NAME.valid.data and NAME.test.data beside it; a FOLDER holds either.

    A set takes at most 150 processor seconds, less where eight orders are done sooner.

    \b
    Example:
      ancestral bench debd nltcs plants
    """
    from ancestral.bench import bench_debd as scored
    from ancestral.bench import print_results

    results = scored(sources, tell=lambda line: say(line, err=True))
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        print_results(results)


# ---- studio -----------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Touch the models in a browser.")
@click.argument("paths", metavar="[FILES OR FOLDER]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--export", metavar="PAGE", type=click.Path(path_type=Path), help="Write one HTML.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: 8320, or a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--browser/--no-browser", default=True, help="Open the page.  [default: browser]")
@force_option
def studio(
    paths: tuple[Path, ...],
    *,
    export: Path | None,
    port: int | None,
    host: str,
    browser: bool,
    force: bool,
) -> None:
    """Open the studio: every model on one page, moved by hand.

    FILES are saved models and data (as `fit` and `report` take them), a FOLDER holds either.
    Built-in data stand in for what is not given. With --export, the page is written as one file
    that needs no server and no network.

    \b
    Example:
      ancestral studio letters.model --no-browser
    """
    from ancestral.studio.shelf import Shelf

    check_places(export, inputs=paths, force=force)
    shelf = Shelf.of(paths)
    if export is not None:
        from ancestral.studio.bundle import export_page

        say(export_page(shelf, export))
        return
    from ancestral.studio.server import run

    run(shelf, host=host, port=port, open_browser=browser, say=say)


# ---- the way in -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; never a traceback for what a user can mend."""
    with _cli_terminal.warnings_in_one_line():
        code = _cli_terminal.exit_code_of(
            lambda: _run(sys.argv[1:] if arguments is None else list(arguments)),
            ends_process=arguments is None,
        )
    sys.exit(code)


def _run(arguments: list[str]) -> Any:
    """Run as `cli.main` does, which would answer Ctrl+C by an empty line of its own."""
    if wanted := os.environ.get("_ANCESTRAL_COMPLETE"):
        return shell_complete(cli, {}, "ancestral", "_ANCESTRAL_COMPLETE", wanted)
    with cli.make_context("ancestral", arguments) as context:
        return cli.invoke(context)


if __name__ == "__main__":
    main()
