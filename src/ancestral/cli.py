"""The command line: parse, call, print.

Data go to stdout (as JSON with --json), messages to stderr. Exit codes: 0 done, 1 an error said in
one line, 2 wrong usage, 130 interrupted. Everything heavy is imported inside the commands, so that
`ancestral --help` answers at once.
"""

from __future__ import annotations

import ast
import inspect
import json
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ancestral
from ancestral.errors import AncestralError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

MODELS = {  # what users type: the class, and what it is
    "tabular": ("TabularAutoregressive", "conditional probability tables of discrete rows"),
    "lstm": ("LSTMAutoregressive", "LSTM over discrete rows, e.g. black and white images"),
    "ppca": ("PPCA", "probabilistic principal component analysis of real rows"),
    "linear": ("LinearGaussian", "linear regression with Gaussian noise"),
    "graph": ("InnerProductGraph", "graphs whose edges follow node features"),
}
BUILT_IN = ("@icons", "@faces", "@classrooms", "@diabetes")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

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


@cli.command(context_settings=CONTEXT, short_help="Fit every model; write PDF, HTML and zip.")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="report",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder to write.",
)
@json_option
def report(folder: Path | None, output: Path, *, as_json: bool) -> None:
    """Fit every model and write the whole report: PDF, HTML, figures, models, numbers, zip.

    Beside it studio.html, on which the fitted models can be moved by hand.

    DIR holds your files, any of: image_cpts.pkl.gz (tables), eigenfaces.npy (images),
    classroom_graphs.pkl (graphs), a .csv with a target column. Built-in data stand in for what it
    lacks; without DIR, for all.

    \b
    Example:
      ancestral report homework -o report
    """
    from ancestral.report.build import build_report

    written = build_report(folder, output, console=_console())
    _write_studio(folder, written)
    numbers = json.loads((written / "report.json").read_text("utf-8"))
    if as_json:
        _print_json(numbers)
        return
    for name, source in numbers["sources"].items():
        where = "built-in" if source["built_in"] else source["origin"]
        click.echo(f"{name}: {where} ({source['sentence']})", err=True)
    for name in ("report.pdf", "report.html", "studio.html", "report.json", "submission.zip"):
        click.echo(written / name)


def _write_studio(folder: Path | None, written: Path) -> None:
    """Write the report's models and data as a page on which they can be moved by hand."""
    from ancestral.studio.bundle import export_page
    from ancestral.studio.shelf import Shelf

    sources = [written] if folder is None else [written, folder]
    export_page(Shelf.of(sources), written / "studio.html")


# ---- fit --------------------------------------------------------------------------------------


class _FitGroup(click.Group):
    """One command per model, made from the model's own parameters when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODELS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        plain = cmd_name.lower().replace("-", "").replace("_", "")
        for short, (name, _) in MODELS.items():
            if plain in (short, name.lower()):
                return _fit_command(short)
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no model {args[0]!r}; there are {', '.join(MODELS)}.", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Models"):
            formatter.write_dl([(short, about) for short, (_, about) in MODELS.items()])


@cli.group(
    cls=_FitGroup,
    context_settings=CONTEXT,
    options_metavar="",
    subcommand_metavar="MODEL DATA -o FILE [OPTIONS]",
    short_help="Fit a model to data and save it.",
)
def fit() -> None:
    """Fit a model to data by maximum likelihood and save it.

    DATA is a file (.npy, .npz, .csv, .parquet, .pkl, .graphml; .gz or not), or built-in:
    @icons, @faces, @classrooms, @diabetes. `ancestral fit MODEL --help` lists the model's own
    parameters.

    \b
    Example:
      ancestral fit ppca @faces --n-components 16 -o faces.model
    """


def _fit_command(short: str) -> click.Command:
    """Return the command that fits one model, its parameters as options."""
    name, about = MODELS[short]
    cls = getattr(ancestral, name)
    is_conditional = hasattr(cls, "predict")
    parameters = inspect.signature(cls).parameters.values()
    options: list[click.Parameter] = [
        click.Argument(["data"]),
        click.Option(
            ["-o", "--output"], required=True, type=click.Path(path_type=Path), help="Model file."
        ),
    ]
    if is_conditional:
        options.append(
            click.Option(
                ["--target"], help="The target's column. Default: y or target, else the last."
            )
        )
    options += [_option_of(parameter) for parameter in parameters]
    options.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout."))

    def run(*, data: str, output: Path, as_json: bool, target: str | None = None, **given: Any):  # type: ignore[no-untyped-def]
        from ancestral.model_file import check_destination

        check_destination(output)  # before the training, not after
        if "verbose" in given and not as_json and given["verbose"] is False:
            given["verbose"] = sys.stderr.isatty()
        model = _fitted(cls, given, data, target)
        model.save(output)
        facts = {"file": str(output), **_facts(model)}
        _show(facts, as_json=as_json)

    example = {"tabular": "@icons", "lstm": "@icons", "graph": "@classrooms"}.get(short)
    example = example or ("@diabetes" if is_conditional else "@faces")
    text = (
        f"Fit {name}: {about}.\n\n\b\nExample:\n  ancestral fit {short} {example} -o {short}.model"
    )
    return click.Command(short, params=options, callback=run, help=text, context_settings=CONTEXT)


def _option_of(parameter: inspect.Parameter) -> click.Option:
    """Return a model's parameter as an option, under scikit-learn's name."""
    flag = "--" + parameter.name.replace("_", "-")
    default = None if parameter.default is parameter.empty else parameter.default
    if isinstance(default, bool):
        return click.Option(
            [f"{flag}/--no-{flag[2:]}", parameter.name], default=default, show_default=True
        )
    return click.Option(
        [flag, f"--{parameter.name}"] if "_" in parameter.name else [flag],
        default=default,
        show_default=default is not None,
        type=_Value(),
    )


class _Value(click.ParamType):
    """A Python number, None, or else text: the model itself says what it can take."""

    name = "value"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        return read if isinstance(read, int | float | type(None)) else value


def _fitted(cls: Any, given: dict[str, Any], data: str, target: str | None) -> Any:
    """Return the model fitted to a file or to built-in data."""
    if cls.__name__ == "InnerProductGraph":
        return cls(**given).fit(_graphs(data))
    if hasattr(cls, "predict"):
        pairs = _pairs(data, target)
        return cls(**given).fit(pairs.X, pairs.y)
    if cls.__name__ == "TabularAutoregressive" and _is_pickle(data):
        if cls(**given).get_params() != cls().get_params():
            raise click.UsageError(f"{data} holds tables, which are taken as they are: no options.")
        return cls.from_tables(ancestral.read_tables(data))
    return cls(**given).fit(_rows(data))


def _is_pickle(data: str) -> bool:
    return data.endswith((".pkl", ".pkl.gz", ".pickle", ".pickle.gz"))


# ---- sample -----------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Draw from a saved model.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-n", "--n-samples", type=int, default=1, show_default=True, help="How many draws.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .npz or .csv file.")
@click.option("--collage", type=click.Path(path_type=Path), help="A picture of the draws (.png).")
@click.option("--shape", metavar="HxW", help="Of the images in a collage. Default: square.")
@click.option("--n-nodes", type=int, help="Nodes of each graph (graph models).  [default: 15]")
@click.option("--n-features", type=int, help="Features of each node (graph models).")
@click.option("--inputs", metavar="DATA", help="Inputs X to draw y for (regression models).")
@seed_option
@json_option
def sample(
    file: Path,
    *,
    n_samples: int,
    output: Path | None,
    collage: Path | None,
    shape: str | None,
    inputs: str | None,
    random_state: int | None,
    as_json: bool,
    **size: int | None,
) -> None:
    """Draw from the model in FILE, parents first. Without -o or --collage, draws are printed.

    \b
    Example:
      ancestral sample letters.model -n 100 --collage letters.png
    """
    model = ancestral.load(file)
    size = {name: value for name, value in size.items() if value is not None}
    if _is_of_graphs(model):
        _refuse(model, shape=shape, inputs=inputs)
        graphs = model.sample(n_samples, random_state=random_state, **size)
        _give_graphs(graphs, output, collage, as_json=as_json)
        return
    _refuse(model, **size)
    if _is_conditional(model):
        _refuse(model, collage=collage, shape=shape)
        rows = model.sample(_inputs(model, inputs), random_state=random_state)
    else:
        _refuse(model, inputs=inputs)
        rows = model.sample(n_samples, random_state=random_state)
    if collage is not None:
        _draw_collage(rows, shape, collage)
    names = getattr(model, "feature_names_in_", None) if rows.ndim > 1 else ["y"]
    _give_rows(rows, names, output, quiet=collage is not None, as_json=as_json)


def _refuse(model: Any, **options: Any) -> None:
    """Refuse options that this kind of model has no use for."""
    for name, value in options.items():
        if value is not None:
            flag = "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} has no use with {type(model).__name__}.")


def _inputs(model: Any, inputs: str | None) -> NDArray:
    """Return the inputs to draw targets for."""
    if inputs is None:
        raise click.UsageError(f"{type(model).__name__} draws y given X: name X with --inputs.")
    return _rows(inputs)


def _give_rows(
    rows: NDArray, names: Any, output: Path | None, *, quiet: bool, as_json: bool
) -> None:
    from ancestral.io import write_array

    if output is not None:
        write_array(output, rows, None if names is None else [str(name) for name in names])
        click.echo(f"{len(rows)} draws written to {output}", err=True)
    if as_json:
        _print_json({"n_samples": len(rows), "samples": rows.tolist()})
    elif output is None and not quiet:
        for row in rows.tolist():
            click.echo(" ".join(map(str, row if isinstance(row, list) else [row])))


def _give_graphs(
    graphs: list[Any], output: Path | None, collage: Path | None, *, as_json: bool
) -> None:
    from ancestral.io import write_graphs

    if output is not None:
        write_graphs(output, graphs)
        click.echo(f"{len(graphs)} graphs written to {output}", err=True)
    if collage is not None:
        from ancestral import viz

        _write_figure(viz.draw_graphs(graphs, n_cols=3), collage)
    if as_json:
        _print_json(
            {
                "n_samples": len(graphs),
                "samples": [_as_json(graph) for graph in graphs],
            }
        )
    elif output is None and collage is None:
        for k, graph in enumerate(graphs):
            click.echo(f"graph {k}: {graph.n_nodes} nodes, {graph.n_edges} edges")


def _as_json(graph: Any) -> dict[str, Any]:
    """Return a graph as lists; a large one by its edges."""
    if graph.is_sparse:
        edges = [[int(i), int(j)] for i, j in zip(*graph.edges(), strict=True)]
        return {"features": graph.features.tolist(), "edges": edges}
    return {"features": graph.features.tolist(), "adjacency": graph.adjacency.tolist()}


def _draw_collage(rows: NDArray, shape: str | None, path: Path) -> None:
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

    from ancestral.model_file import write_atomically

    kind = path.suffix.lstrip(".").lower()
    if kind not in ("png", "svg", "pdf"):
        raise click.UsageError(f"{path}: end the name in .png, .svg or .pdf.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=200)
    write_atomically(path, buffer.getvalue())
    click.echo(f"drawn in {path}", err=True)


# ---- score ------------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Exact log density of data under a model.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="One log density per row.")
@click.option("--target", help="The target's column (regression models).")
@json_option
def score(file: Path, data: str, *, output: Path | None, target: str | None, as_json: bool) -> None:
    """Print the exact log density, in nats, of DATA under the model in FILE.

    \b
    Example:
      ancestral score letters.model images.npy
    """
    model = ancestral.load(file)
    if _is_of_graphs(model):
        values, n_dimensions = model.log_density(_graphs(data)), None
    elif _is_conditional(model):
        pairs = _pairs(data, target)
        values, n_dimensions = model.log_density(pairs.X, pairs.y), None
    else:
        X = _rows(data)
        values, n_dimensions = model.log_density(X), X.shape[1]
    if len(values) == 0:
        raise DataError(f"{data}: holds nothing to score.")
    if output is not None:
        from ancestral.io import write_array

        write_array(output, values, ["log_density"])
    facts: dict[str, Any] = {
        "n": len(values),
        "mean_log_density": float(values.mean()),
        "total_log_density": float(values.sum()),
        "n_impossible": int((values == -math.inf).sum()),
    }
    if hasattr(model, "categories_") and n_dimensions:
        facts["bits_per_dimension"] = -facts["mean_log_density"] / (n_dimensions * math.log(2))
    _show(facts, as_json=as_json)


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
    _show({"file": str(file), **_facts(model), "learnt": _learnt(model)}, as_json=as_json)


def _facts(model: Any) -> dict[str, Any]:
    """Return class, parameters and headline numbers of a fitted model."""
    facts: dict[str, Any] = {
        "model": type(model).__name__,
        "parameters": {name: _plain(value) for name, value in model.get_params().items()},
        "n_parameters": int(model.n_parameters_),
    }
    for name in ("n_features_in_", "entropy_", "loss_", "floor_", "noise_variance_", "slope_"):
        if hasattr(model, name):
            facts[name] = _plain(getattr(model, name))
    if _is_of_graphs(model):
        facts["intercept_"] = _plain(model.intercept_)
        facts["standard_errors_"] = _plain(model.standard_errors_)
    return facts


def _learnt(model: Any) -> dict[str, str]:
    """Return each stored value's shape, or the value itself where it is one number."""
    import numpy as np

    learnt = {}
    for name, value in model._fitted_state().items():
        if isinstance(value, np.ndarray):
            learnt[name] = f"{value.dtype} {value.shape}"
        elif isinstance(value, list | tuple | dict):
            learnt[name] = f"{type(value).__name__} of {len(value)}"
        else:
            learnt[name] = str(value)
    return learnt


# ---- studio -----------------------------------------------------------------------------------


@cli.command(context_settings=CONTEXT, short_help="Touch the models in a browser.")
@click.argument("paths", metavar="[FILES OR FOLDER]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--export", metavar="PAGE", type=click.Path(path_type=Path), help="Write one HTML.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: 8320, or a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--browser/--no-browser", default=True, help="Open the page.  [default: browser]")
def studio(
    paths: tuple[Path, ...], *, export: Path | None, port: int | None, host: str, browser: bool
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

    shelf = Shelf.of(paths)
    if export is not None:
        from ancestral.studio.bundle import export_page

        click.echo(export_page(shelf, export))
        return
    from ancestral.studio.server import run

    run(shelf, host=host, port=port, open_browser=browser, say=click.echo)


# ---- data -------------------------------------------------------------------------------------


def _rows(data: str) -> NDArray:
    """Return a file's array (or built-in images) as rows; images are flattened."""
    from ancestral import datasets

    if data == "@icons":
        return datasets.icons()[0]
    if data == "@faces":
        return datasets.faces()
    if data == "@diabetes":
        return datasets.diabetes()[0]
    array = ancestral.read_array(_path(data, "rows"))
    return array.reshape(len(array), -1) if array.ndim > 2 else array


def _pairs(data: str, target: str | None) -> Any:
    """Return inputs and target of a file (or the built-in regression data)."""
    from ancestral.io import Pairs, read_pairs

    if data == "@diabetes":
        from ancestral import datasets

        X, y, names = datasets.diabetes()
        return Pairs(X, y, names, "progression")
    return read_pairs(_path(data, "a target"), target)


def _graphs(data: str) -> Any:
    if data == "@classrooms":
        from ancestral import datasets

        return datasets.classrooms()
    return ancestral.read_graphs(_path(data, "graphs"))


def _path(data: str, wanted: str) -> str:
    """Return a file name; a built-in set of another kind is refused."""
    if data.startswith("@") and not os.path.exists(data):
        known = "not the kind wanted here" if data in BUILT_IN else "not one of the built-in sets"
        raise click.UsageError(f"{data} is {known} ({wanted}); built in: {', '.join(BUILT_IN)}.")
    return data


def _is_of_graphs(model: Any) -> bool:
    return type(model).__name__ == "InnerProductGraph"


def _is_conditional(model: Any) -> bool:
    return hasattr(model, "predict")


# ---- printing ---------------------------------------------------------------------------------


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print facts as JSON, or as lines of name and value."""
    if as_json:
        _print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for inner, content in value.items():
                click.echo(f"  {inner} = {content}")
        else:
            click.echo(f"{name:{width}}  {value}")


def _print_json(document: Any) -> None:
    click.echo(json.dumps(_finite(document), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return the document with null for what JSON cannot say (NaN and infinity)."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Return a number, list or text that JSON can hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, int | float | str | type(None)) else str(value)


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


# ---- the way in -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; never a traceback for what a user can mend."""
    _say_warnings_in_one_line()
    sys.exit(_run(lambda: cli.main(arguments, prog_name="ancestral", standalone_mode=False)))


def _run(command: Callable[[], Any]) -> int:
    """Return the exit code of a command."""
    try:
        code = command()
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except AncestralError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("out of memory. Give less data, or close other programs.")
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}.")
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    click.echo(f"ancestral: {' '.join(message.split())}", err=True)
    return 1


def _say_warnings_in_one_line() -> None:
    """Show warnings and notes as lines of their own, without source code."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        click.echo(f"warning: {' '.join(str(message).split())}", err=True)

    warnings.showwarning = show
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        """Let each note through once."""
        message = record.getMessage()
        return not (message in said or said.add(message))  # type: ignore[func-returns-value]

    handler.addFilter(is_new)
    logger = logging.getLogger("ancestral")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


if __name__ == "__main__":
    main()
