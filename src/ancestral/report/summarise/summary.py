"""What every problem's analysis gives to the rest of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """One problem, analysed.

    `models` are saved under their names; `numbers` are what the prose quotes, unrounded, ready
    for JSON; `arrays` are what the figures are drawn from.
    """

    models: dict[str, Any]
    numbers: dict[str, Any]
    arrays: dict[str, Any]
