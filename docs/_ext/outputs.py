"""Code that is kept whole, and code that may be folded.

A printed block of one line, or with a line of more than 100 characters, gets the class
`long-lines`: it holds words, not a table, and the style folds it. Code in a sentence that is short
gets the class `whole`, so that no line ends within an option such as `--force`.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes

LONGEST = 100
SHORT = 24


def mark(app: Any, doctree: nodes.document, docname: str) -> None:
    """Mark printed blocks that are no table, and short code in sentences."""
    for block in doctree.findall(nodes.literal_block):
        lines = block.astext().splitlines()
        if len(lines) == 1 or max(map(len, lines), default=0) > LONGEST:
            block["classes"].append("long-lines")
    for code in doctree.findall(nodes.literal):
        if len(code.astext()) <= SHORT:
            code["classes"].append("whole")


def setup(app: Any) -> dict[str, bool]:
    """Register the marks."""
    app.connect("doctree-resolved", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
