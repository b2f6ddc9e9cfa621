"""What a reader finds in a file of graphs, before it is made a graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ancestral.io.links import Links


@dataclass
class Parsed:
    """One graph of a file.

    Parameters
    ----------
    name : str
        For messages.
    nodes : dict of id to attributes
    links : Links
    kinds : dict of str to "text" or "number"
        What the file declares attributes to be.
    unknown : list of pairs of ids, optional
    levels : dict of str to list of str, optional
        Of attributes whose levels stand in an order of their own.
    """

    name: str
    nodes: dict[str, dict[str, Any]]
    links: Links
    kinds: dict[str, str] = field(default_factory=dict)
    unknown: Any = None
    levels: Any = None
