"""Features from the attributes of nodes: numbers as they are, named categories as indicators.

A categorical attribute of k levels becomes k columns of 0 and 1, one for each level, named
"Race=White" and so on, levels in sorted order. With indicators, x_i . x_j counts the attributes in
which two nodes agree. No attribute is guessed to be categorical: grades 7 to 12 may be meant as
numbers or as groups, and only the caller knows. Nor is an id a feature, nor what programs write to
draw a node: where nobody chose, these are left out and named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.containers import EXACT
from ancestral._checks.missing import is_missing, is_missing_text
from ancestral._checks.numbers import warn
from ancestral.errors import DataError
from ancestral.io.numbers import is_infinite, is_rounded, number_in

Nodes = Mapping[Any, Mapping[str, Any]]
Categorical = Sequence[str] | Mapping[str, Sequence[Any]]
MOST_LEVELS = 1_000
_WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)

ROW_NAMES = frozenset(
    {"", "unnamed: 0", "...1", "rownames", "row.names", "row_names", "index", "__index_level_0__"}
)
_IDS = frozenset(
    {"id", "_id", "node_id", "nodeid", "label", "name", "uid", "uuid"}
    | {"_nx_name", "_igraph_index", "vertex.names", "vertex_name", *ROW_NAMES}
)
_DRAWN = frozenset(
    {"size", "color", "colour", "shape", "pos", "opacity"}
    | {"frame.color", "label.color", "label.cex", "viz"}
)
# A place, a colour and a box: only where all of these are there, and then with what follows.
_DRAWN_TOGETHER = ((("x", "y"), "z"), (("r", "g", "b"), "a"), (("width", "height"), "depth"))


def features_of(
    nodes: Nodes,
    attributes: Sequence[str] | None,
    categorical: Categorical,
    name: str,
) -> tuple[NDArray[np.float64], list[str]]:
    """Return features (n_nodes, n_features) and the names of their columns.

    Parameters
    ----------
    nodes : mapping of id to attributes
    attributes : sequence of str, optional
        Which are features, in this order; all in the order in which they first occur when None,
        but ids and what programs write to draw a node.
    categorical : sequence of str, or mapping of str to levels
        Which of them are groups, and of which levels: those that occur, where none are given.
    name : str
        Of the graph, for messages.

    Raises
    ------
    DataError
        Naming the node: an attribute is missing, not a number, not finite, or of no given level.
    """
    attributes = [attributes] if isinstance(attributes, str) else attributes
    groups = [categorical] if isinstance(categorical, str) else list(categorical)
    given = categorical if isinstance(categorical, Mapping) else {}
    if attributes is None:
        found = list(dict.fromkeys(key for values in nodes.values() for key in values))
        attributes = _chosen(found, groups, name)
    if not attributes:
        raise DataError(f"{name}: its nodes have no attributes; each needs at least one number.")
    unknown = [key for key in groups if key not in attributes]
    if unknown:
        raise DataError(
            f"{name}: categorical attribute {unknown[0]!r} is none of {', '.join(attributes)}."
        )
    blocks, names = [], []
    for key in attributes:
        values = _values(nodes, key, name)
        if key in groups:
            block, labels = _indicators(values, key, name, given.get(key))
        else:
            block, labels = _numbers(values, key, name)
        blocks.append(block)
        names.extend(labels)
    return np.column_stack(blocks), names


def without_missing_text(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes from a file, None where a cell says that there is no value."""
    return {
        key: None if isinstance(value, str) and is_missing_text(value) else value
        for key, value in held.items()
    }


def _chosen(found: list[Any], groups: Sequence[str], name: str) -> list[Any]:
    """Return the attributes that are features where nobody chose; warn of those that are not."""
    left = [key for key in ids_and_drawing(found) if key not in groups]
    if not left:
        return found
    kept = [key for key in found if key not in left]
    listed = ", ".join(repr(key) for key in left)
    if not kept:
        raise DataError(
            f"{name}: its nodes have {listed}, which look like ids or like what a program writes "
            f"to draw them. Choose features with attributes=[...], for example "
            f"attributes=[{left[-1]!r}]."
        )
    warn(
        f"{name}: left out as ids, or as what a program writes to draw nodes: {listed}. "
        "Choose features with attributes=[...] to take them."
    )
    return kept


def ids_and_drawing(found: Iterable[Any]) -> list[Any]:
    """Return those of some attributes that look like ids, or like what a program writes to draw."""
    found = list(found)
    low = {str(key).lower() for key in found}
    drawn = set(_DRAWN)
    for together, other in _DRAWN_TOGETHER:
        if low >= set(together):
            drawn |= {*together, other}
    return [key for key in found if str(key).lower() in _IDS | drawn]


def _values(nodes: Nodes, key: str, name: str) -> dict[Any, Any]:
    """Return an attribute of every node."""
    values = {}
    for node, held in nodes.items():
        if key not in held:
            raise DataError(f"{name}: node {node!r} has no attribute {key!r}.")
        values[node] = held[key]
    return values


def _numbers(values: Mapping[Any, Any], key: str, name: str) -> tuple[NDArray, list[str]]:
    """Return a numeric attribute, vectors laid end to end."""
    rows = []
    for node, value in values.items():
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            raise DataError(f"{name}: node {node!r} has no value for {key!r}: drop or impute it.")
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
        if not all(math.isfinite(v) for v in row):
            raise DataError(f"{name}: node {node!r} has {key!r} = {row}: drop or impute it.")
        rows.append(row)
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise DataError(
            f"{name}: nodes differ in their number of features: {key!r} has {sorted(widths)} "
            "values. Give every node the same."
        )
    width = widths.pop()
    names = [key] if width == 1 else [f"{key}[{k}]" for k in range(width)]
    return np.array(rows, np.float64), names


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
                if key in held
            )
        )
        for key in ([categorical] if isinstance(categorical, str) else categorical)
    }


def _indicators(
    values: Mapping[Any, Any], key: str, name: str, given: Sequence[Any] | None
) -> tuple[NDArray, list[str]]:
    """Return a column of 0 and 1 for each level of a categorical attribute."""
    texts = [_level(value, node, key, name) for node, value in values.items()]
    known = texts if given is None else [_level(level, "given", key, name) for level in given]
    levels = sorted(set(known), key=_numbers_first)
    place = {level: k for k, level in enumerate(levels)}
    odd = next((k for k, text in enumerate(texts) if text not in place), None)
    if odd is not None:
        raise DataError(
            f"{name}: node {list(values)[odd]!r} has {key!r} = {texts[odd]!r}, none of the levels "
            f"given: {', '.join(levels[:8])}. Add it to them."
        )
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"{name}: {key!r} has {len(levels)} levels, over the limit of {MOST_LEVELS}: "
            "group them."
        )
    block = np.zeros((len(texts), len(levels)))
    block[np.arange(len(texts)), [place[text] for text in texts]] = 1.0
    return block, [f"{key}={level}" for level in levels]


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


def _numbers_first(level: str) -> tuple[bool, float, str]:
    """Sort levels that are numbers by their size, before words."""
    number = number_in(level)
    return number is None, number or 0.0, level
