"""Readers of users' files. None of them runs code from a file."""

from __future__ import annotations

from ancestral.io.arrays import read_array, read_columns
from ancestral.io.graphs import from_networkx, read_graphs
from ancestral.io.tables import read_tables

__all__ = ["from_networkx", "read_array", "read_columns", "read_graphs", "read_tables"]
