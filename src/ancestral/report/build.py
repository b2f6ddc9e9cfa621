"""From the user's files to the finished report, in one call.

Everything is made in a hidden folder beside the target and exchanged with it at the end: an
interrupted report leaves the last one whole, or none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ancestral._checks.numbers import finite
from ancestral._extras import need
from ancestral._files import as_path, same_file, shown
from ancestral.errors import AncestralError, SaveError
from ancestral.report.folder import folder_in_place

if TYPE_CHECKING:
    from rich.console import Console

    from ancestral.report.render import Heading
    from ancestral.report.solutions import Solution


def build_report(
    source: Path | None,
    out: Path,
    *,
    target: str | None = None,
    heading: Heading | None = None,
    full: bool = False,
    rooms: Callable[[Path], Mapping[str, str]] | None = None,
    console: Console | None = None,
) -> Path:
    """Answer the assignment, item by item, and write the whole report.

    Parameters
    ----------
    source : Path or None
        A folder with some of the course's files; built-in data stand in for those it lacks.
        None takes built-in data for all.
    out : Path
        The folder to write: report.pdf, report.html, report.json, submission.zip, figures/,
        models/ and manifest.json, the mark of a report. Only an earlier report, or an empty folder,
        is replaced; what others put into it or changed there stays.
    target : str, optional
        The target's column of the source's table; as `read_pairs` chooses it by default.
    heading : Heading, optional
        Title, authors, course and paper; a title alone by default.
    full : bool
        Add an appendix with all that the library knows beyond what the assignment asks.
    rooms : callable, optional
        Given the folder of the fitted models and numbers; returns whole HTML pages by name
        ("pixels", "faces", "classroom", "line"), each to stand in its problem of report.html.
    console : rich.console.Console, optional
        Where progress is shown; nowhere by default.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    MissingExtraError
        Without the packages of the extras `report` and `neural`, before anything is read.
    AncestralError
        For a folder without usable files, a damaged file, or a place that cannot be written.
    """
    from ancestral.inputs import find_files, find_sources
    from ancestral.io.kinds import wants_of
    from ancestral.report import figures, render, solutions, submission, summarise

    source, out = None if source is None else as_path(source), as_path(out)
    files: dict[str, Any] = {}
    if source is not None:
        with suppress(AncestralError):  # said below, once the report has a place
            files = find_files(source)
    wants = [want for file in files.values() for want in wants_of(file)]
    need("the report, whose problem 1(b) trains a network,", "report", "neural", *wants)
    if source is not None and same_file(source, out):
        raise SaveError(f"{shown(out)}: is the folder of the data. Name another folder with -o.")
    document = (heading or render.Heading()).described(full=full)
    steps, stopped = _Steps(console), Event()
    with (
        folder_in_place(out, kind="report") as folder,
        ThreadPoolExecutor(1) as beside,
        _set_at_end(stopped),
    ):
        beside.submit(bool).result()  # its thread stands: an interrupt can't come while it starts
        with steps("Reading the data"):
            sources = find_sources(source, target=target)
        # The scripts are processes of their own: they run while the library's models are fitted.
        running = beside.submit(solutions.run_solutions, sources, folder / "figures", stopped)
        with steps("1 Autoregression: tables and LSTM"):
            autoregression = summarise.summarise_autoregression(sources)
        with steps("2 Probabilistic PCA"):
            ppca = summarise.summarise_ppca(sources)
        with steps("3 Graphs"):
            graphs = summarise.summarise_graphs(sources)
        with steps("4 Linear-Gaussian model"):
            linear = summarise.summarise_linear(sources)
        summaries = {
            "autoregression": autoregression,
            "ppca": ppca,
            "graphs": graphs,
            "linear": linear,
        }
        with steps("Running the four worked solutions"):
            solved = running.result()
        with steps("Drawing the figures") as say:
            wanted = [
                name
                for name, problem in zip(summaries, solved.values(), strict=True)
                if full or not problem.ran
            ]
            figures.draw_figures(
                {name: summaries[name] for name in wanted}, folder / "figures", say
            )
        with steps("Saving models and numbers"):
            _save_models(summaries, folder / "models")
            _write_numbers(document, sources, summaries, solved, folder / "report.json")
        with steps("Writing PDF, HTML and zip"):
            render.write_pdf(folder)
            render.write_html(folder, rooms(folder) if rooms else {})
            submission.write_submission(folder)
    return out


@contextmanager
def _set_at_end(event: Event) -> Iterator[None]:
    """Set an event whatever happens: what waits for a thread then waits for its step alone."""
    try:
        yield
    finally:
        event.set()


class _Steps:
    """Shows which step runs, and how long each finished one took."""

    def __init__(self, console: Console | None) -> None:
        self.console = console

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a step; what is yielded shows a detail of it."""
        if self.console is None:
            yield lambda detail: None
            return
        started = perf_counter()
        with self.console.status(name) as status:
            yield lambda detail: status.update(f"{name}: {detail}")
        self.console.print(f"[green]✓[/green] {name} [dim]{perf_counter() - started:.1f} s[/dim]")


def _save_models(summaries: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    for summary in summaries.values():
        for name, model in summary.models.items():
            model.save(folder / f"{name}.model")


def _write_numbers(
    heading: dict[str, Any],
    sources: Any,
    summaries: dict[str, Any],
    solved: dict[str, Solution],
    path: Path,
) -> None:
    """Write every number of the report as JSON."""
    from ancestral import __version__

    document = {
        "version": __version__,
        "document": heading,
        "sources": sources.described(),
        "solutions": {problem: solution.described() for problem, solution in solved.items()},
        **{name: summary.numbers for name, summary in summaries.items()},
    }
    path.write_text(json.dumps(finite(document), indent=1, allow_nan=False) + "\n", "utf-8")
