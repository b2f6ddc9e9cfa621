"""The page as one HTML file that needs no server and no network.

The same ES modules, each wrapped in a function of its own and written in the order of their
imports; the styles, in the order of the page's links; and the rooms' data as JSON. Hashes in the
file's own Content-Security-Policy allow this script and this style and nothing else: no address is
ever asked for anything.

The modules keep to two forms that this file reads: `import { a, b } from "./x.js";` and `export`
before a declaration.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ancestral._files import check_destination, write_atomically
from ancestral.errors import AncestralError
from ancestral.studio import rooms as making
from ancestral.studio.payload import to_json
from ancestral.studio.server import page_files
from ancestral.studio.shelf import Shelf

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+)\.js";\n', re.M)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const|let) (\w+))", re.M)
_STYLE = re.compile(r'<link rel="stylesheet" href="page/([\w-]+\.css)">\n')
_SECTION = re.compile(r'  <section class="room" id="room-(\w+)".*?</section>\n', re.S)
_TAB = re.compile(r'    <a href="#\w+" data-room="(\w+)">.*?</a>\n')


def export_page(shelf: Shelf, path: Path) -> Path:
    """Write every room and its data to one HTML file, whole or not at all.

    Parameters
    ----------
    shelf : Shelf
    path : Path

    Returns
    -------
    Path

    Raises
    ------
    SaveError
        When the disk refuses.
    """
    path = check_destination(path)
    write_atomically(path, page_html(shelf).encode())
    return path


def page_html(shelf: Shelf, rooms: Iterable[str] = tuple(making.ROOMS)) -> str:
    """Return the page with some rooms and all that they need.

    Parameters
    ----------
    shelf : Shelf
    rooms : names of rooms, in the page's order

    Returns
    -------
    str
        A whole HTML document.
    """
    wanted = [name for name in making.ROOMS if name in set(rooms)]
    parts = {part: making.part(shelf, part) for name in wanted for part in making.ROOMS[name].PARTS}
    return assemble(wanted, parts)


def assemble(rooms: list[str], parts: dict[str, dict[str, Any]]) -> str:
    """Return the page of some rooms, given what they will ask for."""
    pages = page_files()
    style, script = one_style(pages), one_script(pages)
    document = pages["index.html"]
    document = _SECTION.sub(lambda found: found[0] if found[1] in rooms else "", document)
    document = _TAB.sub(lambda found: found[0] if found[1] in rooms else "", document)
    document = re.sub(r'<link rel="(?:stylesheet|modulepreload)"[^>]*>\n', "", document)
    document = re.sub(r'<script type="module"[^>]*></script>\n', "", document)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        f"<style>{style}</style>\n"
    )
    data = "".join(
        f'<script type="application/json" id="data-{name}">{_inert(to_json(part))}</script>\n'
        for name, part in parts.items()
    )
    one = ' data-one-room=""' if len(rooms) == 1 else ""
    document = document.replace('<html lang="en">', f'<html lang="en" data-offline=""{one}>')
    # The policy comes before anything it governs.
    document = document.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{head}', 1)
    return document.replace("</body>", f"{data}<script>{script}</script>\n</body>")


def one_style(pages: dict[str, str]) -> str:
    """Return the styles that the page links, in its order: later rules set earlier ones aside."""
    return "\n".join(pages[name] for name in _STYLE.findall(pages["index.html"]))


def one_script(pages: dict[str, str]) -> str:
    """Return all modules that main.js reaches as one classic script."""
    order: list[str] = []
    _visit("main", pages, order)
    bodies = "\n".join(_wrapped(name, pages[f"{name}.js"]) for name in order)
    script = f'"use strict";\n{bodies}\n'
    if "</script" in script.lower() or "<!--" in script:
        raise AncestralError("the page's modules hold markup that would end the script early.")
    return script


def _visit(name: str, pages: dict[str, str], order: list[str]) -> None:
    """Append a module after all it imports."""
    if name in order:
        return
    for _, imported in _IMPORT.findall(pages[f"{name}.js"]):
        _visit(imported, pages, order)
    order.append(name)


def _wrapped(name: str, source: str) -> str:
    """Return a module as a function called once, its exports as the result."""
    exported = [found[1] for found in _EXPORT.findall(source)]

    def named(found: re.Match[str]) -> str:
        names = found[1].replace(" as ", ": ")
        return f"const {{{names}}} = module_{found[2]};\n"

    body = _EXPORT.sub(r"\1", _IMPORT.sub(named, source))
    return f"const module_{name} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(text: str) -> str:
    """Return JSON in which no mark can end the script that holds it."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
