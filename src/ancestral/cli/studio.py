"""`ancestral studio`: the models in a browser, or on one page."""

from __future__ import annotations

from pathlib import Path

import click

from ancestral.cli.outputs import ask_for, check_places, force_option
from ancestral.cli.terminal import CONTEXT, say


@click.command("studio", context_settings=CONTEXT)
@click.argument("paths", metavar="[FILES OR FOLDER]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--export",
    metavar="PAGE",
    type=click.Path(path_type=Path),
    help="Write the page as one HTML file.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port. Default: 8320, or a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--browser/--no-browser", default=True, help="Open the page.  [default: browser]")
@force_option
def command(
    paths: tuple[Path, ...],
    *,
    export: Path | None,
    port: int | None,
    host: str,
    browser: bool,
    force: bool,
) -> None:
    """Open the studio: a page on which you change every model by hand.

    FILES are saved models, and data of the kinds that `fit` and `report` take. A FOLDER holds any
    number of them. Built-in data are used for the kinds that are not given. With --export, the page
    is written as one file that needs no server and no network.

    \b
    Example:
      ancestral studio letters.model --no-browser
    """
    from ancestral.studio.shelf import Shelf

    ask_for("studio:pandas" if export else "studio", files=paths or ["@faces"])
    check_places(export, inputs=paths, force=force)
    shelf = Shelf.of(paths)
    if export is not None:
        from ancestral.studio.bundle import export_page

        say(export_page(shelf, export))
        return
    from ancestral.studio.server import run

    run(shelf, host=host, port=port, open_browser=browser, say=say)
