"""What each room shows of what is open, and why not where it does not.

A subject is known by `of`: a hash over the room and the contents that it is made from. Data of one
file are thus never taken for those of another, whatever was opened or closed meanwhile.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ancestral import _catalogue
from ancestral.errors import AncestralError
from ancestral.studio.room import Subject
from ancestral.studio.rooms import ROOMS
from ancestral.studio.shelf import UNREAD, Item, Shelf, identity

MOST_REASONS = 3  # that an empty room gives; the panel of files gives all


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
    failed : dict of str
        By room and `of`, why a subject could not be made, once that was tried.
    """

    def __init__(self, shelf: Shelf, names: Iterable[str] = ROOMS) -> None:
        self.shelf = shelf.copy()  # what is open now, whatever comes later
        self.version = self.shelf.version
        self.subjects: dict[str, dict[str, Subject]] = {}
        self.problems: dict[str, str] = {}
        self.failed: dict[tuple[str, str], str] = {}
        self._left_out: dict[str, list[tuple[Subject, str]]] = {}
        for name in names:
            try:
                found = ROOMS[name].subjects(self.shelf)
                if not found and self.shelf.built_in:  # nothing of the user's can be shown
                    found = ROOMS[name].subjects(replace(self.shelf, items=[]))
            except AncestralError as error:
                found, self.problems[name] = [], str(error)
            except Exception as error:  # a slip of one room costs that room alone
                traceback.print_exc()
                found, self.problems[name] = [], f"This room failed on what is open: {error!r}."
            self.subjects[name] = _identified(name, found)

    def made(self, room: str, of: str, part: str = "") -> dict[str, Any]:
        """Return what the page asks for: a subject or one of its parts; a problem is said."""
        try:
            return self.subjects[room][of].parts[part]()
        except AncestralError as error:
            if not part:
                self.failed[room, of] = str(error)
            return {"problem": str(error)}

    def named(self) -> set[tuple[str, str, tuple[str, ...]]]:
        """Return (room, of, names) of each subject: what is told of it has the names in it."""
        return {
            (room, of, tuple(item.name for item in subject.items))
            for room, subjects in self.subjects.items()
            for of, subject in subjects.items()
        }

    def leave_out(self, room: str, of: str, why: str) -> None:
        """Drop a subject, and say why of all that it was made from."""
        self._left_out.setdefault(room, []).append((self.subjects[room].pop(of), why))

    def described(self) -> dict[str, Any]:
        """Return what the page is told of all that is open."""
        return {
            "version": self.version,
            "items": [self._described(item) for item in self._items()],
            "rooms": {
                name: {
                    "verb": ROOMS[name].verb,
                    "subjects": [_named(of, subject) for of, subject in subjects.items()],
                    "wants": self.problems.get(name) or self._wanted(name),
                    "takes_images": ROOMS[name].takes_images,
                }
                for name, subjects in self.subjects.items()
            },
        }

    def _wanted(self, room: str) -> str:
        """Return what to open, after why the room shows nothing of what is open."""
        left_out = [
            f"{subject.name} is left out here. {why}"
            for subject, why in self._left_out.get(room, [])
        ]
        reasons = [(item.name, ROOMS[room].refuses(item)) for item in self._mine()]
        said = [f"{name} is not shown here. {why}" for name, why in reasons if why]
        return " ".join([*(left_out or said)[:MOST_REASONS], ROOMS[room].wants])

    def _mine(self) -> list[Item]:
        """Return the user's items that were read."""
        return [item for item in self.shelf.items if item.kind != UNREAD]

    def _items(self) -> list[Item]:
        """Return the user's items, then the built-in ones that stand in."""
        found = {item.id: item for item in self.shelf.items}
        for subjects in self.subjects.values():
            for subject in subjects.values():
                found.update((item.id, item) for item in subject.items if item.id not in found)
        return list(found.values())

    def _described(self, item: Item) -> dict[str, Any]:
        shown: list[dict[str, str | None]] = []
        not_shown: list[dict[str, str | None]] = []
        for room, subjects in self.subjects.items():
            said: list[str | None] = [
                why for subject, why in self._left_out.get(room, []) if _is_of(item, subject)
            ]
            for of, subject in subjects.items():
                if _is_of(item, subject) and (room, of) in self.failed:
                    said.append(self.failed[room, of])
                elif _is_of(item, subject):
                    used = subject.used.get(item.id)
                    shown.append({"room": room, "of": of, "used": used})
                    said.append(None)
            if not said and item.kind != UNREAD and not item.built_in:
                said = [ROOMS[room].refuses(item)]
            not_shown += [{"room": room, "why": why} for why in dict.fromkeys(said) if why]
        if not shown and not not_shown:
            not_shown.append({"room": None, "why": _without_room(item)})
        return {
            "id": item.id,
            "name": item.name,
            "kind": item.kind,
            "about": item.about,
            "built_in": item.built_in,
            "shown": shown,
            "not_shown": not_shown,
        }


def _named(of: str, subject: Subject) -> dict[str, Any]:
    """Return what the page calls a subject."""
    built_in = all(item.built_in for item in subject.items)
    name = f"{subject.name}, built in" if built_in else subject.name
    return {"of": of, "name": name, "built_in": built_in}


def _is_of(item: Item, subject: Subject) -> bool:
    """Tell whether a subject is made from an item."""
    return any(used.id == item.id for used in subject.items)


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
    made_from = [room, *(item.id for item in subject.items), number]
    return identity(repr(made_from).encode())


def _without_room(item: Item) -> str:
    """Return why no room has anything to say of an item."""
    if item.kind == UNREAD:
        return str(item.data)
    entry = _catalogue.entry_of(item.data) if item.kind == "model" else None
    if entry is None:
        return f"No room shows this: {item.about}."
    return f"No room shows {entry.name} ({entry.about}). Use it on the command line or in Python."
