"""From the user's files to the finished report, in one call.

Everything is made in a hidden folder beside the target and moved into place at the end: an
interrupted report leaves the old files whole, or none.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ancestral.errors import SaveError

if TYPE_CHECKING:
    from rich.console import Console


def build_report(source: Path | None, out: Path, *, console: Console | None = None) -> Path:
    """Fit every model and write the whole report.

    Parameters
    ----------
    source : Path or None
        A folder with some of the course's files; built-in data stand in for those it lacks.
        None takes built-in data for all.
    out : Path
        The folder to write: report.pdf, report.html, report.json, submission.zip, figures/ and
        models/. Other files in it are left alone.
    console : rich.console.Console, optional
        Where progress is shown; nowhere by default.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    AncestralError
        For a folder without usable files, a damaged file, or a place that cannot be written.
    """
    from ancestral.report import figures, render, submission, summarise
    from ancestral.report.sources import find_sources

    steps = _Steps(console)
    with _workshop(Path(out)) as folder:
        with steps("Reading the data"):
            sources = find_sources(source)
        with steps("1 Autoregression: tables and LSTM", spinner=False):
            autoregression = summarise.summarise_autoregression(sources, verbose=steps.are_seen)
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
        with steps("Drawing the figures") as say:
            figures.draw_figures(summaries, folder / "figures", say)
        with steps("Saving models and numbers"):
            _save_models(summaries, folder / "models")
            _write_numbers(sources, summaries, folder / "report.json")
        with steps("Writing PDF, HTML and zip"):
            render.write_pdf(folder)
            render.write_html(folder)
            submission.write_submission(folder)
        _move_into_place(folder, Path(out))
    return Path(out)


class _Steps:
    """Shows which step runs, and how long each finished one took."""

    def __init__(self, console: Console | None) -> None:
        self.console = console

    @property
    def are_seen(self) -> bool:
        """Tell whether someone watches a terminal."""
        return self.console is not None and self.console.is_terminal

    @contextmanager
    def __call__(self, name: str, *, spinner: bool = True) -> Iterator[Callable[[str], None]]:
        """Time a step; what is yielded shows a detail of it. A bar of its own wants no spinner."""
        if self.console is None:
            yield lambda detail: None
            return
        started = perf_counter()
        if spinner:
            with self.console.status(name) as status:
                yield lambda detail: status.update(f"{name}: {detail}")
        else:
            yield lambda detail: None
        self.console.print(f"[green]✓[/green] {name} [dim]{perf_counter() - started:.1f} s[/dim]")


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Give a hidden folder on the target's own disk; removed whatever happens."""
    if out.exists() and not out.is_dir():
        raise SaveError(f"{out}: is a file; the report is a folder. Name another with -o.")
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=parent))
    except OSError as error:
        raise SaveError(f"{out}: cannot be written ({error.strerror}).") from None
    try:
        yield folder
    except OSError as error:
        raise SaveError(f"{out}: cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _save_models(summaries: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    for summary in summaries.values():
        for name, model in summary.models.items():
            model.save(folder / f"{name}.model")


def _write_numbers(sources: Any, summaries: dict[str, Any], path: Path) -> None:
    """Write every number of the report as JSON."""
    from ancestral import __version__

    document = {
        "version": __version__,
        "sources": sources.described(),
        **{name: summary.numbers for name, summary in summaries.items()},
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")


def _move_into_place(folder: Path, out: Path) -> None:
    """Move finished files to the target one by one; each is old or new, never half."""
    folder.chmod(0o755)
    if not out.exists():
        os.replace(folder, out)
        return
    for entry in sorted(folder.rglob("*")):
        target = out / entry.relative_to(folder)
        if entry.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(entry, target)
