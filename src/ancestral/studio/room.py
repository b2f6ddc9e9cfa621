"""What a room's Python file declares: its words, and what it can show of what is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ancestral.studio.shelf import Item, Shelf


def never(_: Any) -> bool:
    """Tell that no fitted model by itself fills the room."""
    return False


@dataclass(frozen=True)
class Subject:
    """One thing that a room shows at a time.

    Parameters
    ----------
    name : str
        For people: "eigenfaces.npy". That data are built in is added to it.
    items : tuple of Item
        Everything that its data are made from: data first, then saved models.
    make : callable
        Returns what the page is told, of which `payload.to_json` makes JSON. An AncestralError is
        said in the room.
    later : mapping of callables
        Parts that the page asks for afterwards, by name.
    asked : mapping of callables
        Parts that are made only when the page asks for them, by name; a file without a server has
        none of them.
    used : mapping of str
        By an item's id, where not all of it is used: "600 of 10,000 rows, drawn at random".
    """

    name: str
    items: tuple[Item, ...]
    make: Callable[[], dict[str, Any]]
    later: Mapping[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    asked: Mapping[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)
    used: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """All that the page can ask for, by name; "" is what it asks for first."""
        return {"": self.make, **self.later, **self.asked}


@dataclass(frozen=True)
class Room:
    """One room of the page.

    Parameters
    ----------
    order : int
        Its place among the tabs.
    verb : str
        Its tab: "Draw faces".
    sentence : str
        What to do, in one sentence of plain text.
    equation : str
        MathML.
    words : mapping of str
        What its words mean: each in a line that a beginner understands.
    wants : str
        What to open where there is nothing to show, in one sentence.
    subjects : callable
        What it shows of a shelf; an empty list where that is nothing.
    refuses : callable
        Why it does not show an item, in one true sentence; None where it does, or where the item
        is nothing for this room.
    shows : callable
        Whether a fitted model by itself fills the room, as in a notebook.
    takes_images : bool
        Whether pictures (PNG, JPEG) that are dropped on the page are opened here.
    """

    order: int
    verb: str
    sentence: str
    equation: str
    wants: str
    subjects: Callable[[Shelf], list[Subject]]
    refuses: Callable[[Item], str | None]
    words: Mapping[str, str] = field(default_factory=dict)
    shows: Callable[[Any], bool] = never
    takes_images: bool = False
