"""One Typst source to two documents: a PDF for paper, a single HTML file for the screen.

Numbers reach Typst as a JSON file and are never spliced into markup. Typst writes MathML for the
web itself; Jinja2 puts the page around it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from ancestral.errors import MissingExtraError

PARTS = resources.files("ancestral.report")
# A fixed date makes equal data give an equal file.
TIMESTAMP = datetime(2000, 1, 1, tzinfo=UTC)


def lay_out_sources(folder: Path) -> Path:
    """Copy the Typst text beside report.json and figures/; return the main file."""
    text = folder / "text"
    text.mkdir(exist_ok=True)
    for part in (PARTS / "text").iterdir():
        (text / part.name).write_bytes(part.read_bytes())
    return text / "report.typ"


def write_pdf(folder: Path) -> Path:
    """Write report.pdf from the report.json and figures/ of a folder.

    Parameters
    ----------
    folder : Path
        Holds report.json and figures/.

    Returns
    -------
    Path
        PDF/A-2b, tagged: fonts inside, made to last.
    """
    pdf = folder / "report.pdf"
    pdf.write_bytes(_compile(folder, "paper", format="pdf", pdf_standards=["a-2b"]))
    return pdf


def write_html(folder: Path, beside: Mapping[str, str] | None = None) -> Path:
    """Write report.html: one file with its pictures, styles and MathML inside.

    Parameters
    ----------
    folder : Path
        Holds report.json and figures/.
    beside : dict of str, optional
        Files beside it to link to: words by name.

    Returns
    -------
    Path
    """
    jinja2 = import_extra("jinja2")
    document = _compile(folder, "html", format="html").decode()
    style = _between(document, "<style>", "</style>")
    body, sections = number_headings(_between(document, "<body>", "</body>"))
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (PARTS / "template" / name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        title=_between(document, "<title>", "</title>"),
        style=jinja2.utils.markupsafe.Markup(style),
        beside=beside or {},
        body=jinja2.utils.markupsafe.Markup(body),
        sections=[
            (level, slug, jinja2.utils.markupsafe.Markup(text)) for level, slug, text in sections
        ],
    )
    html = folder / "report.html"
    html.write_text(page, "utf-8")
    return html


def _compile(folder: Path, target: str, **options: Any) -> bytes:
    """Run Typst on the laid-out sources; fonts are those inside the wheel, on every machine."""
    typst = import_extra("typst")
    main = lay_out_sources(folder)
    try:
        return bytes(
            typst.compile(
                str(main),
                root=str(folder),
                sys_inputs={"target": target},
                ignore_system_fonts=True,
                timestamp=int(TIMESTAMP.timestamp()),
                **options,
            )
        )
    finally:
        shutil.rmtree(main.parent)


def number_headings(body: str) -> tuple[str, list[tuple[int, str, str]]]:
    """Give every h2 and h3 an id; return the body and (level, id, inner HTML) of each."""
    sections: list[tuple[int, str, str]] = []

    def name(found: re.Match[str]) -> str:
        level, inner = int(found[1]), found[2]
        plain = re.sub(r"<[^>]*>", "", inner).lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
        sections.append((level, slug, inner))
        return f'<h{level} id="{slug}">{inner}</h{level}>'

    return re.sub(r"<h([23])>(.*?)</h\1>", name, body, flags=re.DOTALL), sections


def import_extra(name: str) -> Any:
    """Import a package of the extra `report`, or say how to get it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError(
            f"the report needs {name}, which is not installed. "
            'Install it: pip install "ancestral[report]".'
        ) from None


def _between(text: str, start: str, end: str) -> str:
    """Return what stands between the first `start` and the last `end`."""
    _, _, rest = text.partition(start)
    inner, _, _ = rest.rpartition(end) if start == "<body>" else rest.partition(end)
    return inner
