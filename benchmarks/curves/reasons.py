"""Why an aim is not met, where it is not: one sentence each, written by hand after a run.

A key is "MODEL: WORK", or "MODEL: WORK, against PEER" (PEER "a time" where the aim is one of
seconds). The sentence stands beside the verdict in the table of docs/speed.md, without full stop.
An aim that is met prints none.
"""

from __future__ import annotations

REASONS: dict[str, str] = {}
