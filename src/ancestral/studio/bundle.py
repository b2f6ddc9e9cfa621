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
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ancestral._files import check_destination, write_atomically
from ancestral.errors import AncestralError, AncestralWarning
from ancestral.studio.listing import Listing
from ancestral.studio.pages import (
    IMPORT,
    MAIN,
    bundled_files,
    document,
    modules_behind,
    resolved,
    styles_of,
)
from ancestral.studio.payload import to_json
from ancestral.studio.rooms import ROOMS
from ancestral.studio.shelf import Shelf

MOST_SUBJECTS = 6  # of a room, in one file
MOST_BYTES = 6_000_000  # of data; a browser reads it at once

_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const|let) (\w+))", re.M)
_OF_SERVER = re.compile(r'<script type="module"[^>]*></script>\n')


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
    KeyboardInterrupt
        When a fit is interrupted, also one that would keep the best so far.
    """
    path = check_destination(path)
    with _ended_by_interrupt():
        page = page_html(shelf)
    write_atomically(path, page.encode())
    return path


@contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """Let Ctrl+C end everything: a model that is half fitted is none to be shown."""
    with warnings.catch_warnings():
        # What would make a fit longer are options of Python, which nobody has here.
        warnings.filterwarnings("ignore", ".*Pass a larger", AncestralWarning)
        warnings.filterwarnings("error", "the fit was interrupted", AncestralWarning)
        try:
            yield
        except AncestralWarning as stopped:
            raise KeyboardInterrupt from stopped


def page_html(shelf: Shelf, rooms: Iterable[str] = tuple(ROOMS)) -> str:
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
    wanted = [name for name in ROOMS if name in set(rooms)]
    return assemble(wanted, data_of(shelf, wanted))


def data_of(shelf: Shelf, rooms: list[str]) -> dict[str, str]:
    """Return the JSON of all that the page will ask for, by name; what is too much is left out."""
    listing = Listing(Shelf(shelf.items, shelf.built_in, is_served=False), rooms)
    found: dict[str, str] = {}
    size = 0
    for room in rooms:
        n_held = 0
        for of, subject in list(listing.subjects[room].items()):
            if n_held >= MOST_SUBJECTS:
                listing.leave_out(
                    room,
                    of,
                    f"A page without a server shows the first {MOST_SUBJECTS} files of a room: "
                    "run “ancestral studio” to see all.",
                )
                continue
            parts = {f"{room}-{of}": to_json(listing.made(room, of))}
            for part in subject.later:
                parts[f"{room}.{part}-{of}"] = to_json(listing.made(room, of, part))
            added = sum(map(len, parts.values()))
            if found and size + added > MOST_BYTES:
                listing.leave_out(
                    room, of, f"It would make this file larger than {MOST_BYTES // 10**6} MB."
                )
                continue
            size += added
            n_held += (room, of) not in listing.failed
            found.update(parts)
    return {"shelf": to_json(listing.described()), **found}


def assemble(rooms: list[str], data: dict[str, Any]) -> str:
    """Return the page of some rooms, given the JSON that they will ask for, by name."""
    pages = bundled_files(rooms)
    style = "\n".join(pages[name] for name in styles_of(rooms, pages))
    script = one_script(pages)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    found = document(rooms, pages, styles=f"<style>{style}</style>", preloads="")
    found = _OF_SERVER.sub("", found)
    one = ' data-one-room=""' if len(rooms) == 1 else ""
    found = found.replace('<html lang="en">', f'<html lang="en" data-offline=""{one}>')
    # The policy comes before anything it governs.
    found = found.replace(
        '<meta charset="utf-8">\n',
        '<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" '
        f'content="{html.escape(policy)}">\n',
        1,
    )
    scripts = "".join(
        f'<script type="application/json" id="data-{name}">{_inert(text)}</script>\n'
        for name, text in data.items()
    )
    return found.replace("</body>", f"{scripts}<script>{script}</script>\n</body>")


def one_script(pages: dict[str, str]) -> str:
    """Return all modules that main.js reaches as one classic script."""
    order = modules_behind([MAIN], pages)
    bodies = "\n".join(_wrapped(name, pages[name]) for name in order)
    script = f'"use strict";\n{bodies}\n'
    if "</script" in script.lower() or "<!--" in script:
        raise AncestralError("the page's modules hold markup that would end the script early.")
    return script


def _wrapped(name: str, source: str) -> str:
    """Return a module as a function called once, its exports as the result."""
    exported = [found[1] for found in _EXPORT.findall(source)]

    def named(found: re.Match[str]) -> str:
        names = found[1].replace(" as ", ": ")
        return f"const {{{names}}} = {_variable(resolved(name, found[2]))};\n"

    body = _EXPORT.sub(r"\1", IMPORT.sub(named, source))
    given = f"return {{ {', '.join(exported)} }};"
    return f"const {_variable(name)} = (() => {{\n{body}\n{given}\n}})();"


def _variable(name: str) -> str:
    """Return what holds a module's exports: "faces/ppca.js" is module_faces_ppca."""
    return "module_" + re.sub(r"\W", "_", name.removesuffix(".js"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(text: str) -> str:
    """Return JSON in which no mark can end the script that holds it."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
