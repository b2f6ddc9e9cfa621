"""What each room shows of what is open, and why not where it does not.

A subject is known by `of`: a hash over the room and the contents that it is made from. Data of one
file are thus never taken for those of another, whatever was opened or closed meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from ancestral import _catalogue
from ancestral.errors import AncestralError
from ancestral.studio.room import Subject
from ancestral.studio.rooms import ROOMS
from ancestral.studio.shelf import UNREAD, Item, Shelf


class Listing:
    """The subjects of some rooms, as one shelf gives them.

    Parameters
    ----------
    shelf : Shelf
    names : names of rooms

    Attributes
    ----------
    subjects : dict of dict of Subject
        By room, then by `of`; the first is shown first.
    problems : dict of str
        By room, why its subjects could not be told.
    left_out : dict of str
        By room, why it has not all of its subjects.
    """

    def __init__(self, shelf: Shelf, names: Iterable[str] = ROOMS) -> None:
        self.shelf = shelf.copy()  # what is open now, whatever comes later
        self.version = self.shelf.version
        self.subjects: dict[str, dict[str, Subject]] = {}
        self.problems: dict[str, str] = {}
        self.left_out: dict[str, tuple[str, list[Subject]]] = {}
        for name in names:
            try:
                found = ROOMS[name].subjects(self.shelf)
            except AncestralError as error:
                found, self.problems[name] = [], str(error)
            self.subjects[name] = _identified(name, found)

    def leave_out(self, room: str, of: str, why: str) -> None:
        """Drop a subject, and say why of all that it was made from."""
        subject = self.subjects[room].pop(of)
        self.left_out.setdefault(room, (why, []))[1].append(subject)

    def described(self) -> dict[str, Any]:
        """Return what the page is told of all that is open."""
        return {
            "version": self.version,
            "items": [self._described(item) for item in self._items()],
            "rooms": {
                name: {
                    "verb": ROOMS[name].verb,
                    "subjects": [
                        {
                            "of": of,
                            "name": subject.name,
                            "built_in": all(item.built_in for item in subject.items),
                        }
                        for of, subject in subjects.items()
                    ],
                    "wants": self.problems.get(name, ROOMS[name].wants),
                    "takes_images": ROOMS[name].takes_images,
                }
                for name, subjects in self.subjects.items()
            },
        }

    def _items(self) -> list[Item]:
        """Return the user's items, then the built-in ones that stand in."""
        found = {item.id: item for item in self.shelf.items}
        for subjects in self.subjects.values():
            for subject in subjects.values():
                found.update((item.id, item) for item in subject.items if item.id not in found)
        return list(found.values())

    def _described(self, item: Item) -> dict[str, Any]:
        places = [
            (room, of, subject.used.get(item.id))
            for room, subjects in self.subjects.items()
            for of, subject in subjects.items()
            if any(used.id == item.id for used in subject.items)
        ]
        not_shown = [] if item.built_in else self._refusals(item, {room for room, _, _ in places})
        return {
            "id": item.id,
            "name": item.name,
            "kind": item.kind,
            "about": item.about,
            "built_in": item.built_in,
            "shown": [{"room": room, "of": of, "used": used} for room, of, used in places],
            "not_shown": not_shown,
        }

    def _refusals(self, item: Item, shown: set[str]) -> list[dict[str, str | None]]:
        """Return why rooms do not show an item: one sentence at least where none does."""
        if item.kind == UNREAD:
            return [{"room": None, "why": str(item.data)}]
        found: list[dict[str, str | None]] = []
        for room in self.subjects:
            if room in shown:
                continue
            why, subjects = self.left_out.get(room, ("", []))
            if not any(used.id == item.id for subject in subjects for used in subject.items):
                why = ROOMS[room].refuses(item) or ""
            if why:
                found.append({"room": room, "why": why})
        if not shown and not found:
            found.append({"room": None, "why": _without_room(item)})
        return found


def part_of(subject: Subject, part: str) -> dict[str, Any]:
    """Return what the page asks for: the subject ("") or a part by name; a problem is said."""
    try:
        return subject.parts[part]()
    except AncestralError as error:
        return {"problem": str(error)}


def _identified(room: str, subjects: list[Subject]) -> dict[str, Subject]:
    """Return the subjects by identity; those made from the same are numbered."""
    found: dict[str, Subject] = {}
    for subject in subjects:
        of, k = _identity(room, subject, 1), 1
        while of in found:
            k += 1
            of = _identity(room, subject, k)
        found[of] = subject
    return found


def _identity(room: str, subject: Subject, number: int) -> str:
    made_from = [room, *(item.id for item in subject.items), *([str(number)] if number > 1 else [])]
    return hashlib.sha256(" ".join(made_from).encode()).hexdigest()[:8]


def _without_room(item: Item) -> str:
    """Return what an item is that no room is for."""
    entry = _catalogue.entry_of(item.data) if item.kind == "model" else None
    if entry is None:
        return f"No room is for this: {item.about}."
    return f"{entry.name} ({entry.about}) has no room here; the command line and Python use it."
