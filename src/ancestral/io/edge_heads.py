"""Which columns of a table hold the ids of links and of nodes, by their names.

Tables name them as they like: Source and Target, from and to, FromNodeId, ego and alter. Where
names do not tell, two columns alone do; a first line may also be no names but a link.
"""

from __future__ import annotations

import re

from ancestral._checks.missing import is_missing_text
from ancestral.errors import DataError
from ancestral.io.attributes import ROW_NAMES
from ancestral.io.edge_weights import NO_WEIGHTS, WEIGHTS
from ancestral.io.numbers import number_in

# Names of the two columns of ids, in small letters.
ENDS = (
    ("source", "target"),
    ("from", "to"),
    ("src", "dst"),
    ("src", "tgt"),
    ("sender", "receiver"),
    ("tail", "head"),
    ("ego", "alter"),
    ("start", "end"),
    ("node1", "node2"),
    ("node_1", "node_2"),
    ("id1", "id2"),
    ("id_1", "id_2"),
    ("one", "two"),
    ("u", "v"),
    ("i", "j"),
    ("nominator", "nominee"),
    ("citing", "cited"),
    ("follower", "followed"),
    ("person1", "person2"),
    ("actor1", "actor2"),
    ("origin", "destination"),
    ("v1", "v2"),
    ("von", "nach"),
    ("von", "zu"),
    ("de", "à"),
    ("origen", "destino"),
    ("origine", "destination"),
)

# What stands beside the ends of links in tables of theirs.
BESIDE_ENDS = NO_WEIGHTS.union(WEIGHTS)

# Beside these, where two columns are all there are, and words that say no more than "id" does.
_LETTERS = (("a", "b"), ("p", "q"), ("s", "t"), ("u", "v"), ("x", "y"), ("i", "j"))

_FILLERS = frozenset({"id", "node", "vertex", "name", "key"})

KEYS = ("id", "node", "node_id", "name", "vertex", "key", "label")

KEYS_ALONE = ("id", "node_id", "nodeid")  # wherever they stand


def weighs(lines: list[list[str]]) -> bool:
    """Tell whether lines without names are two ids and a number."""
    if len(lines[0]) != 3:
        return False
    weights = [cells[2] for cells in lines]
    ids = {cell for cells in lines for cell in cells[:2]}
    return all(number_in(w) is not None for w in weights) and len(ids) > 1 and len(lines) > 2


def ends_among(
    names: list[str], ends: tuple[str, str] | None, name: str, weight: str | None = None
) -> tuple[int, int]:
    """Return which two columns hold the ids of the ends; DataError where names do not tell.

    `weight` is the column that holds weights, where the user named it.
    """
    if ends is not None:
        wanted = [ends] if isinstance(ends, str) else list(ends)
        absent = [key for key in wanted if key not in names]
        if len(wanted) != 2 or absent:
            raise DataError(
                f"{name}: ends must name two of its columns {', '.join(names)}; got {ends!r}."
            )
        return names.index(wanted[0]), names.index(wanted[1])
    low = [column.strip().lower() for column in names]
    bare = [_bare(column) for column in names]
    left = [k for k, column in enumerate(low) if column not in ROW_NAMES and names[k] != weight]
    if len(left) == 2:
        return left[0], left[1]
    for words in (low, bare):
        found = [pair for pair in ENDS if words.count(pair[0]) == words.count(pair[1]) == 1]
        if len(found) == 1:
            return words.index(found[0][0]), words.index(found[0][1])
    left = [k for k in left if low[k] not in BESIDE_ENDS]
    if len(left) == 2:
        return left[0], left[1]
    raise DataError(
        f"{name}: has the columns {', '.join(map(repr, names))}, and it is not clear which two "
        "hold the ids of the ends of each edge. Give only two columns, or name two of them source "
        'and target, or from and to, or pass ends=("...", "...").'
    )


def _bare(column: str) -> str:
    """Return a name of ends without words that say no more than "id" does: FromNodeId is from."""
    words = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.strip()))
    return " ".join(word.lower() for word in words if word.lower() not in _FILLERS)


def is_named(
    first: list[str], rows: list[list[str]], known_ids: set[str] | None, name: str
) -> bool:
    """Tell a first line of names from an edge; DataError where it may be either."""
    if len(first) != 2 and not weighs([first, *rows]):
        return not all(
            cell.isdecimal() for cell in first
        )  # which columns hold the ends, names alone can tell
    first, rows = first[:2], [cells[:2] for cells in rows]
    low = [cell.lower() for cell in first]
    bare = tuple(map(_bare, first))
    letters = tuple(low) in _LETTERS
    known = letters or tuple(low) in ENDS or bare in (*ENDS, *_LETTERS)
    table = known_ids if known_ids is not None else {cell for cells in rows for cell in cells}
    ids = [cell in table for cell in first]
    if any(ids) and (letters or not (all(ids) and known)):
        return False
    numbers = bool(rows) and all(cell.isdecimal() for cells in rows for cell in cells)
    words = not any(cell.isdecimal() or is_missing_text(cell) for cell in first)
    if not any(ids) and (known or (numbers and words)):
        return True
    if known_ids is None and (numbers or not rows) and not words:
        return False  # numbers among numbers, without a table to look them up in
    if known_ids is None:
        raise DataError(
            f"{name}: its first line, {first[0]!r}, {first[1]!r}, may hold names or an edge. Pass "
            "header=True if they are names, header=False if they are an edge."
        )
    which = "ids of nodes, and names of ends, too" if all(ids) else "no ids of nodes"
    raise DataError(
        f"{name}: its first line, {first[0]!r}, {first[1]!r}, may hold names or an edge; they are "
        f"{which}. Pass header=True if they are names, header=False if they are an edge."
    )


def listed(cells: list[str]) -> str:
    return ", ".join(map(repr, cells[:20])) + ", ..." * (len(cells) > 20)


def column_of_ids(names: list[str], key: str | None, name: str) -> int:
    """Return which column holds the ids."""
    if key is None:
        if names[0].strip().lower() not in ROW_NAMES:
            return 0
        ids = [k for k, column in enumerate(names) if column.strip().lower() in KEYS]
        if len(ids) == 1:
            return ids[0]
        raise DataError(
            f"{name}: its first column, {names[0]!r}, holds row numbers, and it is not "
            f"clear which of {', '.join(names[1:])} holds the ids: pass key=..."
        )
    if key not in names:
        raise DataError(f"{name}: has no column {key!r}; it has {', '.join(names)}.")
    return names.index(key)
