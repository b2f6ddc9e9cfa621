"""The page's own files: styles, modules, and the one document with a section for each room.

A room's folder page/NAME has its modules and NAME.css, whose rules hold in that room alone. Which
rooms there are is written into three places here: the document's tabs and sections, its links, and
the module rooms.js, by which the page opens a room.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from ancestral.studio.rooms import ROOMS

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
INDEX, MAIN, REGISTRY = "index.html", "main.js", "rooms.js"
SHARED_STYLES = ("base.css", "elements.css", "layout.css")
IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]*\.js)";\n', re.M)

_SECTION = """\
  <section class="room" id="room-{name}" aria-labelledby="title-{name}" hidden>
    <header class="head">
      <h2 id="title-{name}" class="out-of-sight">{verb}</h2>
      <p class="sentence">{sentence}</p>
      <div class="about"></div>
      <details class="equation"><summary>Explain</summary>
        <div class="unfolded" tabindex="0" role="region" aria-label="Explanation">
          {equation}{words}
        </div>
      </details>
      <div class="prompts"></div>
    </header>
    <div class="stage" id="stage-{name}" aria-label="{verb}"></div>
    <div class="side"></div>
  </section>
"""


def page_files() -> dict[str, str]:
    """Return the files that lie in the folder, by their path in it."""
    return dict(_files_in(files("ancestral.studio") / "page", ""))


def _files_in(folder: Traversable, path: str) -> Iterable[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _files_in(entry, f"{path}{entry.name}/")
        elif PurePosixPath(entry.name).suffix in KINDS:
            text = entry.read_text("utf-8")
            is_rooms = path and entry.name.endswith(".css")
            yield path + entry.name, f"#room-{path[:-1]} {{\n{text}}}\n" if is_rooms else text


def served_files() -> dict[str, str]:
    """Return what a server gives, by path, index.html and rooms.js filled in."""
    pages = page_files()
    opening = (
        f'  {name}: () => import("./{_module(name)}").then((m) => m.room),' for name in ROOMS
    )
    pages[REGISTRY] = "\n".join(["export const ROOMS = {", *opening, "};", ""])
    first = modules_behind([MAIN, *map(_module, list(ROOMS)[:1])], pages)
    links = [f'<link rel="stylesheet" href="page/{name}">' for name in styles_of(ROOMS, pages)]
    ahead = [f'<link rel="modulepreload" href="page/{name}">' for name in first if name != MAIN]
    pages[INDEX] = document(ROOMS, pages, styles="\n".join(links), preloads="\n".join(ahead))
    return pages


def bundled_files(rooms: Iterable[str]) -> dict[str, str]:
    """Return the files of one page of some rooms, rooms.js importing those alone."""
    names = list(rooms)
    pages = page_files()
    imports = [f'import {{ room as {name}_room }} from "./{_module(name)}";' for name in names]
    opening = [f"  {name}: async () => {name}_room," for name in names]
    pages[REGISTRY] = "\n".join([*imports, "export const ROOMS = {", *opening, "};", ""])
    return pages


def document(rooms: Iterable[str], pages: dict[str, str], *, styles: str, preloads: str) -> str:
    """Return index.html with its four marks filled in."""
    names = list(rooms)
    tabs = (f'    <a href="#{n}" data-room="{n}">{html.escape(ROOMS[n].verb)}</a>' for n in names)
    found = pages[INDEX]
    for mark, text in (
        ("styles", styles),
        ("preloads", preloads),
        ("tabs", "\n".join(tabs).strip()),
        ("rooms", "".join(map(_section, names)).strip()),
    ):
        found = found.replace(f"<!-- {mark} -->", text)
    return found


def styles_of(rooms: Iterable[str], pages: dict[str, str]) -> list[str]:
    """Return the names of the styles in their order: later rules set earlier ones aside."""
    own = [f"{name}/{name}.css" for name in rooms]
    return [*SHARED_STYLES, *(name for name in own if name in pages)]


def modules_behind(starts: Iterable[str], pages: dict[str, str]) -> list[str]:
    """Return modules and all that they import, each after what it imports."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for _, target in IMPORT.findall(pages[name]):
                visit(resolved(name, target))
            order[name] = None

    for start in starts:
        visit(start)
    return list(order)


def resolved(importer: str, target: str) -> str:
    """Return the path of an imported module: "../kit.js" of "faces/faces.js" is "kit.js"."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), target))


def _module(room: str) -> str:
    return f"{room}/{room}.js"


def _section(name: str) -> str:
    room = ROOMS[name]
    return _SECTION.format(
        name=name,
        verb=html.escape(room.verb),
        sentence=html.escape(room.sentence),
        equation=room.equation,
        words=_words(room.words),
    )


def _words(words: Mapping[str, str]) -> str:
    """Return words and their meanings as a list."""
    rows = (
        f"<div><dt>{html.escape(word)}</dt><dd>{html.escape(meaning)}</dd></div>"
        for word, meaning in words.items()
    )
    return f'<dl class="words">{"".join(rows)}</dl>' if words else ""
