"""One Typst source to two documents: a PDF for paper, a single HTML file for the screen.

Numbers reach Typst as a JSON file and are never spliced into markup. Typst writes MathML for the
web itself; Jinja2 puts the page around it.
"""

from __future__ import annotations

import base64
import copy
import html
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ancestral._extras import import_extra
from ancestral.errors import DataError

PARTS = resources.files("ancestral.report")
PAGE_FONTS = (  # file, family, weight, style
    ("LibertinusSerif-Regular.woff2", "Libertinus Serif", 400, "normal"),
    ("LibertinusSerif-Italic.woff2", "Libertinus Serif", 400, "italic"),
    ("LibertinusSerif-Bold.woff2", "Libertinus Serif", 700, "normal"),
    ("TeXGyreTermesMath-Regular.woff2", "TeX Gyre Termes Math", 400, "normal"),
)
OPEN = "const f = this.querySelector('iframe'); if (!f.srcdoc) f.srcdoc = f.dataset.page"
FENCES = tuple("()[]{}|‖")
TALL = ("mfrac", "munder", "munderover", "msqrt", "mtable")
ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "¯"}
ON_WHITE = "svg{background:#fff}"  # a picture with this rule stands on white also on a dark page
TITLE = "Homework 1: worked solutions"


@dataclass(frozen=True)
class Heading:
    """What stands above the report and in the PDF's metadata; `paper` is "a4" or "letter"."""

    title: str = TITLE
    authors: tuple[str, ...] = ()
    course: str | None = None
    paper: str = "a4"

    def described(self, *, full: bool) -> dict[str, Any]:
        """Return all of it and the date, for report.json."""
        return {
            "title": self.title,
            "authors": list(self.authors),
            "course": self.course,
            "paper": {"a4": "a4", "letter": "us-letter"}[self.paper],
            "date": written_at().date().isoformat(),
            "full": full,
        }


def written_at() -> datetime:
    """Return now, or the time in SOURCE_DATE_EPOCH: equal data then give equal bytes."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return datetime.fromtimestamp(int(said), UTC) if said else datetime.now(UTC)
    except (ValueError, OverflowError, OSError):
        raise DataError(
            f"SOURCE_DATE_EPOCH is {said!r}; it must be a whole number of seconds since 1970. "
            "Unset it to use the present time."
        ) from None


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


def write_html(folder: Path, rooms: Mapping[str, str] | None = None) -> Path:
    """Write report.html: one file with its fonts, pictures, styles, formulas and rooms inside.

    Parameters
    ----------
    folder : Path
        Holds report.json and figures/.
    rooms : dict of str, optional
        Whole HTML pages by name, for the places that the text names; one is loaded when a reader
        opens it.

    Returns
    -------
    Path
    """
    jinja2 = import_extra("jinja2", "the report", "report")
    markup = jinja2.utils.markupsafe.Markup
    page = _compile(folder, "html", format="html").decode()
    body, sections = number_headings(_between(page, "<body>", "</body>"))
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (PARTS / "template" / name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    written = environment.get_template("page.html").render(
        document=json.loads((folder / "report.json").read_text("utf-8"))["document"],
        style=markup(_between(page, "<style>", "</style>")),
        fonts=[(*face, _base64(file)) for file, *face in PAGE_FONTS],
        body=markup(_with_rooms(_on_white(_framed(body)), rooms or {})),
        sections=[(level, slug, markup(text)) for level, slug, text in sections],
    )
    path = folder / "report.html"
    path.write_text(written, "utf-8")
    return path


def _base64(name: str) -> str:
    return base64.b64encode((PARTS / "fonts" / name).read_bytes()).decode()


def _framed(body: str) -> str:
    """Put each displayed formula into a frame that scrolls where it is too wide."""

    def put(found: re.Match[str]) -> str:
        formula = _plain(found[0])
        if 'display="block"' not in found[1]:
            return formula
        return f'<div class="frame formula" tabindex="0">{formula}</div>'

    return re.sub(r"<math([^>]*)>.*?</math>", put, body, flags=re.DOTALL)


def _plain(formula: str) -> str:
    """Write accents and fences as browsers draw them well.

    Chromium draws a combining accent beside its letter or not at all, so the accent becomes the
    character that stands alone. Parentheses around what is one line high must not stretch: browsers
    would give them room. The notes beside aligned lines come twice: the style sheet shows one.
    """
    math = ElementTree.fromstring(formula)
    for row in math.iter("mrow"):
        ends = [row[0], row[-1]] if len(row) > 1 else []
        if [end.text in FENCES for end in ends] == [True, True] and not any(
            inner.tag in TALL for inner in row.iter()
        ):
            for end in ends:
                end.set("stretchy", "false")
    for table in math.iter("mtable"):
        for row in reversed(table.findall("mtr")):
            # A line's note also stands below it, for narrow pages.
            if len(row) == 4 and len(row[3]) and not len(row[2]):
                row[3].set("class", "note")
                below = ElementTree.Element("mtr", {"class": "below"})
                ElementTree.SubElement(below, "mtd")
                ElementTree.SubElement(below, "mtd").extend(copy.deepcopy(list(row[3])))
                table.insert(list(table).index(row) + 1, below)
    for mark in math.iterfind(".//mover[@accent]/mo"):
        if alone := ACCENTS.get(mark.text or ""):
            mark.text = alone
            mark.set("stretchy", "false")
    return ElementTree.tostring(math, encoding="unicode")


def _on_white(body: str) -> str:
    """Give each picture that says so a white card on a dark page."""

    def put(found: re.Match[str]) -> str:
        svg = base64.b64decode(found[1]).decode()
        return found[0].replace("<img", '<img class="on-white"', 1) if ON_WHITE in svg else found[0]

    return re.sub(r'<img src="data:image/svg\+xml;base64,([^"]+)"', put, body)


def _with_rooms(body: str, rooms: Mapping[str, str]) -> str:
    """Put each room where the text names it; a place without a room goes."""

    def put(found: re.Match[str]) -> str:
        name, words = found[1], found[2]
        if name not in rooms:
            return ""
        title = html.escape(re.sub(r"<[^>]*>", "", words).strip())
        # A frame is given its page when the reader first opens it.
        return (
            f'<details class="room" ontoggle="{OPEN}"><summary>{words}</summary>'
            f'<iframe title="{title}" data-page="{html.escape(rooms[name])}"></iframe></details>'
        )

    return re.sub(r'<div class="room" data-room="(\w+)">(.*?)</div>', put, body, flags=re.DOTALL)


def _compile(folder: Path, target: str, **options: Any) -> bytes:
    """Run Typst on the laid-out sources; fonts are those inside the wheel, on every machine."""
    typst = import_extra("typst", "the report", "report")
    main = lay_out_sources(folder)
    try:
        return bytes(
            typst.compile(
                str(main),
                root=str(folder),
                sys_inputs={"target": target},
                ignore_system_fonts=True,
                timestamp=int(written_at().timestamp()),
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
        if same := sum(other == slug or other.startswith(f"{slug}--") for _, other, _ in sections):
            slug = f"{slug}--{same + 1}"
        sections.append((level, slug, inner))
        return f'<h{level} id="{slug}">{inner}</h{level}>'

    return re.sub(r"<h([23])>(.*?)</h\1>", name, body, flags=re.DOTALL), sections


def _between(text: str, start: str, end: str) -> str:
    """Return what stands between the first `start` and the last `end`."""
    _, _, rest = text.partition(start)
    inner, _, _ = rest.rpartition(end) if start == "<body>" else rest.partition(end)
    return inner
