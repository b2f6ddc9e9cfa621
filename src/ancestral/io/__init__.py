"""Readers and writers of files. No reader runs code from a file."""

from __future__ import annotations

from ancestral.io.arrays import read_array, read_columns
from ancestral.io.cpts import read_tables
from ancestral.io.dates import dates_as_numbers
from ancestral.io.edge_lists import from_frames, read_edge_list
from ancestral.io.graph_texts import read_adjacency
from ancestral.io.graph_writing import to_frames, to_igraph, to_networkx, write_edge_list
from ancestral.io.graphs import from_igraph, from_networkx, read_graphs
from ancestral.io.mixed import read_table
from ancestral.io.targets import Pairs, read_pairs
from ancestral.io.writing import write_array, write_graphs, write_table

__all__ = [
    "Pairs",
    "dates_as_numbers",
    "from_frames",
    "from_igraph",
    "from_networkx",
    "read_adjacency",
    "read_array",
    "read_columns",
    "read_edge_list",
    "read_graphs",
    "read_pairs",
    "read_table",
    "read_tables",
    "to_frames",
    "to_igraph",
    "to_networkx",
    "write_array",
    "write_edge_list",
    "write_graphs",
    "write_table",
]
