"""`ancestral report`: the assignment answered, written as PDF, HTML and zip."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ancestral.cli.terminal import CONTEXT, console, json_option, print_json, say

ROOMS = ("pixels", "faces", "classroom", "line")  # where the report's text has a place for one


@click.command("report", context_settings=CONTEXT)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="report",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder to write.",
)
@click.option(
    "--author", "authors", multiple=True, help="Name of an author. Repeat for each author."
)
@click.option("--title", help="The report's title.")
@click.option("--course", help="The course's name.")
@click.option(
    "--paper",
    type=click.Choice(["a4", "letter"]),
    default="a4",
    show_default=True,
    help="The size of the pages.",
)
@click.option("--full", is_flag=True, help="Add an appendix with everything beyond the assignment.")
@click.option("--target", help="The column of the .csv that is the target.")
@json_option
def command(
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

    Four short scripts, which are in the zip, make all figures and numbers. In the HTML you can
    change the fitted models by hand. It takes one to two minutes.

    DIR is the folder of your files: any of image_cpts.pkl.gz (tables), eigenfaces.npy (images),
    classroom_graphs.pkl (graphs) and a .csv with a target column (for --full). Built-in data are
    used for what is missing; without DIR, for everything.

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
    return {name: page_html(shelf, (name,)) for name in ROOMS}
