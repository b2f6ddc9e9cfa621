"""Features from the attributes of nodes: numbers as they are, named categories as indicators.

A categorical attribute of k levels becomes k columns of 0 and 1, one for each level, named
"Race=White" and so on, levels in sorted order. With indicators, x_i . x_j counts the attributes in
which two nodes agree. No attribute is guessed to be categorical: grades 7 to 12 may be meant as
numbers or as groups, and only the caller knows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import DataError

Nodes = Mapping[Any, Mapping[str, Any]]
Categorical = Sequence[str] | Mapping[str, Sequence[Any]]
MOST_LEVELS = 1_000
_WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)


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
        Which are features, in this order; all in the order in which they first occur when None.
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
        attributes = list(dict.fromkeys(key for values in nodes.values() for key in values))
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
        try:
            row = [float(v) for v in np.ravel(value)]
        except (TypeError, ValueError):
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
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if missing or not str(value).strip():
        raise DataError(f"{name}: node {node!r} has no value for {key!r}: drop or impute it.")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text


def _numbers_first(level: str) -> tuple[bool, float, str]:
    """Sort levels that are numbers by their size, before words."""
    try:
        return False, float(level), level
    except ValueError:
        return True, 0.0, level
