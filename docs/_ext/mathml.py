"""Mathematics as MathML, written at build time: no script, no font, no network.

A page's TeX (`$x$`, or a block between `$$`) becomes MathML Core, which browsers draw themselves.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

_WRITER = LatexToMathML()
_LOG = logging.getLogger(__name__)


def _mathml(translator: Any, node: nodes.Element, *, block: bool) -> str:
    """Return the MathML of a node's TeX; what cannot be written warns, and stands as it was."""
    text = node.astext()
    try:
        return str(_WRITER.convert_with_local_state(text, displaystyle=block))
    except LatexError as error:
        _LOG.warning("mathematics cannot be written: %s: %s", text, error, location=node)
        return f"<code>{translator.encode(text)}</code>"


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(translator, node, block=False))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    anchor = f' id="{node["ids"][0]}"' if node["ids"] else ""
    text = _mathml(translator, node, block=True)
    translator.body.append(f'<div class="math-block"{anchor}>{number}{text}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("config-inited", lambda _, config: setattr(config, "html_math_renderer", "mathml"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
