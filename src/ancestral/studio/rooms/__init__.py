"""What each room of the page is told, as JSON; one file a room.

A room's file has `PARTS`, what the page asks it for by name, the first part first, and `shows`,
which tells whether the room can show a model by itself. A room that has nothing to show holds
"problem", a sentence that says what to do. Rooms are made when the page asks for them: fitting and
training cost seconds, opening the page should not.
"""

from __future__ import annotations

from typing import Any

from ancestral import _catalogue
from ancestral.errors import AncestralError
from ancestral.studio.rooms import classroom, compare, faces, line, pixels
from ancestral.studio.shelf import Shelf

# In the page's order. A new room is a row here, a section of page/index.html and a module there.
ROOMS = {
    "faces": faces,
    "pixels": pixels,
    "classroom": classroom,
    "line": line,
    "compare": compare,
}
PARTS = {name: make for room in ROOMS.values() for name, make in room.PARTS.items()}


def part(shelf: Shelf, name: str) -> dict[str, Any]:
    """Return what the page asks for by name; a problem is said, not raised."""
    try:
        return PARTS[name](shelf)
    except AncestralError as error:
        return {"problem": str(error)}


def room_of(model: Any) -> str | None:
    """Return the name of the room that shows a model by itself, or None."""
    entry = _catalogue.entry_of(model)
    if entry is None or entry.room is None:
        return None
    return entry.room if ROOMS[entry.room].shows(model) else None
