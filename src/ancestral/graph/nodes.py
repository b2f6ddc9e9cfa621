"""The nodes that a fit has seen: the attributes that all its graphs have, as rows to draw from.

Levels stand as their places among the levels that occur, sorted; rows of other graphs merge by
their levels' names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.graph.attributes import Attribute
from ancestral.graph.features import FeatureRows
from ancestral.graph.graph import Graph
from ancestral.graph.terms import attributes_of

Float = NDArray[np.float64]


@dataclass(frozen=True)
class NodeRows:
    """An empirical distribution of attributes.

    Parameters
    ----------
    names : tuple of str
        Of the attributes; "0", "1", ... of features without names.
    levels : tuple
        Of each attribute its levels, or None for numbers.
    rows : FeatureRows
        Distinct rows and how often each occurred.
    are_named : bool
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...] | None, ...]
    rows: FeatureRows
    are_named: bool = True

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> NodeRows:
        """Return the attributes of the nodes of graphs, those that every graph has."""
        tables = [{one.name: one for one in attributes_of(graph)} for graph in graphs]
        names = [name for name in tables[0] if all(name in table for table in tables)]
        columns, levels = [], []
        for name in names:
            of_name = [table[name] for table in tables]
            kinds = _union([one.levels for one in of_name])
            levels.append(kinds)
            columns.append(np.concatenate([_recoded(one, kinds) for one in of_name]))
        n_nodes = sum(graph.n_nodes for graph in graphs)
        X = np.column_stack(columns) if columns else np.zeros((n_nodes, 0))
        rows = FeatureRows.of_rows(np.ascontiguousarray(X, np.float64))
        are_named = all(bool(graph.attribute_names) for graph in graphs)
        return cls(tuple(names), tuple(levels), rows, are_named)

    def __add__(self, other: NodeRows) -> NodeRows:
        if not isinstance(other, NodeRows):
            return NotImplemented
        names = tuple(name for name in self.names if name in other.names)
        held = [[side.names.index(name) for name in names] for side in (self, other)]
        levels = tuple(
            _union([self.levels[a], other.levels[b]]) for a, b in zip(*held, strict=True)
        )
        rows = [
            FeatureRows(side._moved(places, levels), side.rows.counts)
            for side, places in zip((self, other), held, strict=True)
        ]
        are_named = self.are_named and other.are_named
        return NodeRows(names, levels, rows[0] + rows[1], are_named)

    def _moved(self, places: Sequence[int], levels: Sequence[Any]) -> Float:
        """Return the rows of some attributes, with places among other levels."""
        columns = [
            _recoded(self._attribute(k, self.rows.rows), kinds)
            for k, kinds in zip(places, levels, strict=True)
        ]
        none = np.zeros((len(self.rows.rows), 0))
        return np.ascontiguousarray(np.column_stack(columns) if columns else none)

    def _attribute(self, k: int, rows: Float) -> Attribute:
        """Return one attribute of nodes whose rows are given."""
        levels, values = self.levels[k], rows[:, k]
        return Attribute(
            self.names[k], values if levels is None else values.astype(np.int64), levels
        )

    def draw(self, n_nodes: int, rng: np.random.Generator) -> dict[str, Attribute]:
        """Return attributes of so many nodes, each those of a node of the fit."""
        rows = self.rows.draw(n_nodes, rng)
        return {name: self._attribute(k, rows) for k, name in enumerate(self.names)}


def _union(levels: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """Return the levels that occur in any of several attributes; None of numbers."""
    if any(one is None for one in levels):
        return None
    first = levels[0]
    if all(one == first for one in levels):
        return first
    return tuple(sorted({level for one in levels for level in one or ()}))


def _recoded(attribute: Attribute, levels: tuple[str, ...] | None) -> Float:
    """Return an attribute's values as numbers, places among other levels; NaN where unlike."""
    if levels is None:
        if attribute.levels is None:
            return attribute.values
        return np.full(len(attribute.values), np.nan)
    if attribute.levels == levels:
        return attribute.values.astype(np.float64)
    return attribute.with_levels(levels).values.astype(np.float64)
