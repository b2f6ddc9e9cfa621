"""Attributes of nodes as files have them: numbers as they are, words and named groups by levels.

An attribute of k levels becomes k features of 0 and 1, one for each level, named "Race=White" and
so on, levels in sorted order. With indicators, x_i . x_j counts the attributes in which two nodes
agree. No number is guessed to be a group: grades 7 to 12 may be meant as either, and only the
caller knows. Nor is an id a feature, nor a text that differs for every node, nor what programs
write to draw a node: where nobody chose, these are left out and named. A value may be missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from ancestral._checks.containers import EXACT
from ancestral._checks.missing import is_missing, is_missing_text
from ancestral._checks.numbers import warn
from ancestral.errors import DataError
from ancestral.graph.attributes import Attribute, coded
from ancestral.io.numbers import is_infinite, is_rounded, number_in

Nodes = Mapping[Any, Mapping[str, Any]]
Categorical = Sequence[str] | Mapping[str, Sequence[Any]]
MOST_LEVELS = 1_000
FEWEST_NAMED = 10  # nodes, from which on texts that all differ are names
_TRUTH = {"true": 1.0, "false": 0.0}  # as R and others write them
_MISSPELT = re.compile(r"[\W\d_]*\d[\W\d_]*")  # digits, and no letter
_WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)

ROW_NAMES = frozenset(
    {"", "unnamed: 0", "...1", "rownames", "row.names", "row_names", "index", "__index_level_0__"}
)
_IDS = frozenset(
    {"id", "_id", "node_id", "nodeid", "label", "name", "uid", "uuid"}
    | {
        "_nx_name",
        "_igraph_index",
        "igraphnxname",
        "nxname",
        "vertex.names",
        "vertex_name",
        *ROW_NAMES,
    }
)
_DRAWN = frozenset(
    {"size", "color", "colour", "shape", "pos", "opacity"}
    | {"frame.color", "label.color", "label.cex", "viz"}
)
# A place, a colour and a box: only where all of these are there, and then with what follows.
_DRAWN_TOGETHER = ((("x", "y"), "z"), (("r", "g", "b"), "a"), (("width", "height"), "depth"))


def attributes_of(
    nodes: Nodes,
    attributes: Sequence[str] | None,
    categorical: Categorical,
    name: str,
    *,
    kinds: Mapping[str, str] | None = None,
    quiet: Collection[Any] = (),
) -> tuple[Attribute, ...]:
    """Return the attributes of nodes: numbers as they are, text and groups by their levels.

    Parameters
    ----------
    nodes : mapping of id to attributes
        What a node has not is missing.
    attributes : sequence of str, optional
        Which are taken, in this order; all in the order in which they first occur when None,
        but ids and what programs write to draw a node.
    categorical : sequence of str, or mapping of str to levels
        Which of them are groups though they may look like numbers, and of which levels: those
        that occur, where none are given.
    name : str
        Of the graph, for messages.
    kinds : mapping of str to "text" or "number", optional
        What the source declares attributes to be; the others are what they look like.
    quiet : collection
        Attributes whose values are the names of nodes: not said where they are left out.

    Raises
    ------
    DataError
        Naming the node: an attribute is not finite, is rounded, or of no given level.
    """
    attributes = [attributes] if isinstance(attributes, str) else attributes
    groups = [categorical] if isinstance(categorical, str) else list(categorical)
    given = categorical if isinstance(categorical, Mapping) else {}
    found = list(dict.fromkeys(key for values in nodes.values() for key in values))
    held = {key: [values.get(key) for values in nodes.values()] for key in found}
    for key in attributes or ():
        if key not in held:
            node = next(iter(nodes))
            raise DataError(f"{name}: node {node!r} has no attribute {key!r}.")
    if attributes is None:
        attributes = _chosen(held, groups, name, quiet)
    unknown = [key for key in groups if key not in attributes]
    if unknown:
        raise DataError(
            f"{name}: categorical attribute {unknown[0]!r} is none of {', '.join(attributes)}."
        )
    ids = list(nodes)
    made: list[Attribute] = []
    for key in attributes:
        values = held[key]
        kind = (kinds or {}).get(key)
        if key in groups or kind == "text" or (kind is None and _is_text(values, key, name, ids)):
            made.append(_levels(values, key, name, ids, given.get(key)))
        else:
            truth = _TRUTH if kind is None else {}
            made += _numbers(dict(zip(ids, values, strict=True)), key, name, truth)
    return tuple(made)


def _is_text(values: Sequence[Any], key: str, name: str, ids: Sequence[Any]) -> bool:
    """Tell whether an attribute holds words; warn where it holds numbers too."""
    known = [value for value in values if not is_missing(value)]
    texts = [value for value in known if isinstance(value, str) and value.strip()]
    odd = [value for value in texts if number_in(value) is None and not is_infinite(value)]
    if not odd or {value.strip().lower() for value in texts} <= {*_TRUTH}:
        return False
    misspelt = next((value for value in odd if _MISSPELT.fullmatch(value)), None)
    if len(odd) < len(known) and misspelt is not None:
        return False  # refused where it is read
    if len(odd) < len(known):
        node = ids[next(k for k, value in enumerate(values) if value is odd[0])]
        warn(
            f"{name}: {key!r} holds words beside numbers ({str(odd[0])[:40]!r} of node {node!r}), "
            "and is read as text, each value a level of its own. Correct the cell if these are "
            "numbers, or leave it empty if it is missing."
        )
    return True


def without_missing_text(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes from a file, None where a cell says that there is no value."""
    return {
        key: None if isinstance(value, str) and is_missing_text(value) else value
        for key, value in held.items()
    }


def _chosen(
    held: Mapping[Any, Sequence[Any]], groups: Sequence[str], name: str, quiet: Collection[Any]
) -> list[Any]:
    """Return the attributes that are taken where nobody chose; warn of those that are not."""
    left = [key for key in ids_and_drawing(held) if key not in groups]
    left += [
        key
        for key, values in held.items()
        if key not in left and key not in groups and (_all_differ(values) or _is_empty(values))
    ]
    if said := [key for key in left if key not in quiet]:
        listed = ", ".join(repr(key) for key in said)
        warn(
            f"{name}: left out as ids, as empty, or as what a program writes to draw nodes: "
            f"{listed}. Choose features with attributes=[...] to take them."
        )
    return [key for key in held if key not in left]


def _is_empty(values: Sequence[Any]) -> bool:
    """Tell whether no node has a value."""
    return all(map(_is_gap, values))


def _all_differ(values: Sequence[Any]) -> bool:
    """Tell whether these are texts, a new one for every node: names, not groups."""
    known = [value for value in values if not is_missing(value)]
    texts = {value for value in known if isinstance(value, str) and number_in(value) is None}
    return len(known) >= FEWEST_NAMED and len(texts) == len(known)


def ids_and_drawing(found: Iterable[Any]) -> list[Any]:
    """Return those of some attributes that look like ids, or like what a program writes to draw."""
    found = list(found)
    low = {str(key).lower() for key in found}
    drawn = set(_DRAWN)
    for together, other in _DRAWN_TOGETHER:
        if low >= set(together):
            drawn |= {*together, other}
    return [key for key in found if str(key).lower() in _IDS | drawn]


def _numbers(
    values: Mapping[Any, Any], key: str, name: str, truth: Mapping[str, float]
) -> list[Attribute]:
    """Return a numeric attribute, NaN where it is missing; of vectors, one for each place."""
    rows: list[list[float] | None] = []
    for node, value in values.items():
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            rows.append(None)
            continue
        if isinstance(value, str) and value.strip().lower() in truth:
            rows.append([truth[value.strip().lower()]])
            continue
        held = np.ravel(np.asarray(value, dtype=object))  # numpy rounds integers beside floats
        for v in held:
            _refuse_rounded(v, node, key, name)
        try:
            row = [_number(v) for v in held]
        except (TypeError, ValueError, OverflowError):
            raise DataError(
                f"{name}: node {node!r} has {key!r} = {str(value)[:40]!r}, a number is wanted; "
                f"pass categorical=[{key!r}] if it is a group, or attributes=[...] to choose the "
                "numeric ones."
            ) from None
        if any(math.isinf(v) for v in row):
            raise DataError(f"{name}: node {node!r} has {key!r} = {row}: drop or impute it.")
        rows.append(row)
    widths = {len(row) for row in rows if row is not None}
    if len(widths) > 1:
        raise DataError(
            f"{name}: nodes differ in their number of features: {key!r} has {sorted(widths)} "
            "values. Give every node the same."
        )
    width = widths.pop() if widths else 1
    table = np.array([[math.nan] * width if row is None else row for row in rows], np.float64)
    names = [key] if width == 1 else [f"{key}[{k}]" for k in range(width)]
    return [Attribute(str(one), table[:, k].copy()) for k, one in enumerate(names)]


def _number(value: Any) -> float:
    """Return a number, or the one that a text spells; ValueError for any other text."""
    if not isinstance(value, str | bytes):
        return float(value)
    if isinstance(value, str) and is_infinite(value):
        return math.inf  # refused by its name
    number = number_in(value) if isinstance(value, str) else None
    if number is None:
        raise ValueError(value)
    return number


def _refuse_rounded(value: Any, node: Any, key: str, name: str) -> None:
    """Raise DataError for a whole number that float64 rounds, or may have rounded."""
    whole: Any = value
    if isinstance(value, str):
        rounded, whole = is_rounded(value), value.strip()[:40]
    elif isinstance(value, Real | Decimal) and math.isfinite(value) and value == int(whole):
        whole = int(whole)
        size = abs(whole)
        # A larger float is a size, not a count or an id.
        rounded = size > EXACT and not (isinstance(value, float | np.floating) and size >= 1 << 63)
    else:
        return
    if rounded:
        raise DataError(
            f"{name}: node {node!r} has {key!r} = {whole}, which float64 rounds: whole numbers are "
            f"exact up to 2^53. Leave it out with attributes=[...], or take it as a group of text "
            f"with categorical=[{key!r}]."
        )


def common_levels(graphs: Sequence[tuple[str, Nodes]], categorical: Categorical) -> Categorical:
    """Return the levels that occur in any of several graphs, by name, unless they are given."""
    if isinstance(categorical, Mapping) or len(graphs) < 2:
        return categorical
    return {
        key: list(
            dict.fromkeys(
                _level(held[key], node, key, name)
                for name, nodes in graphs
                for node, held in nodes.items()
                if not _is_gap(held.get(key))
            )
        )
        for key in ([categorical] if isinstance(categorical, str) else categorical)
    }


def _levels(
    values: Sequence[Any], key: str, name: str, ids: Sequence[Any], given: Sequence[Any] | None
) -> Attribute:
    """Return an attribute by its levels; -1 where it is missing."""
    gaps = np.array([_is_gap(value) for value in values], bool)
    texts = [
        _level(value, node, key, name)
        for value, node, gap in zip(values, ids, gaps, strict=True)
        if not gap
    ]
    known = texts if given is None else [_level(level, "given", key, name) for level in given]
    levels = levels_in_order(known)
    odd = next((k for k, text in enumerate(texts) if text not in {*levels}), None)
    if odd is not None:
        node = [one for one, gap in zip(ids, gaps, strict=True) if not gap][odd]
        raise DataError(
            f"{name}: node {node!r} has {key!r} = {texts[odd]!r}, none of the levels "
            f"given: {', '.join(levels[:8])}. Add it to them."
        )
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"{name}: {key!r} has {len(levels)} levels, over the limit of {MOST_LEVELS}: "
            "group them, or leave it out with attributes=[...]."
        )
    return Attribute(str(key), *coded(texts, levels, gaps))


def _is_gap(value: Any) -> bool:
    return is_missing(value) or not str(value).strip()


def _level(value: Any, node: Any, key: str, name: str) -> str:
    """Return a level as text; whole numbers without their point, from text (CSV) as from floats."""
    if is_missing(value) or not str(value).strip():
        raise DataError(f"{name}: node {node!r} has no value for {key!r}: drop or impute it.")
    if isinstance(value, float):
        _refuse_rounded(value, node, key, name)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text


def levels_in_order(levels: Iterable[str]) -> list[str]:
    """Return distinct levels, numbers by their size, then words."""
    return sorted({*levels}, key=_numbers_first)


def _numbers_first(level: str) -> tuple[bool, float, str]:
    """Sort levels that are numbers by their size, before words."""
    number = number_in(level)
    return number is None, number or 0.0, level
