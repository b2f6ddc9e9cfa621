"""The rooms of the page, one file each.

A file NAME.py declares `ROOM = Room(...)`; the folder page/NAME holds its modules and styles. There
is no list to join: what lies in the folder is a room.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from ancestral import _catalogue
from ancestral.studio.room import Room


def _found() -> dict[str, Room]:
    """Return the rooms of this folder in the page's order."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    rooms: dict[str, Room] = {name: module.ROOM for name, module in modules.items()}
    return dict(sorted(rooms.items(), key=lambda named: named[1].order))


ROOMS = _found()


def room_of(model: Any) -> str | None:
    """Return the name of the room that shows a model by itself, or None."""
    entry = _catalogue.entry_of(model)
    if entry is None or entry.room not in ROOMS:
        return None
    return entry.room if ROOMS[entry.room].shows(model) else None
