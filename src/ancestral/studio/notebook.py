"""A fitted model in a notebook: its room of the studio, in a frame of its own.

The page is the one `bundle` writes, with one room and the model's own numbers, given to an iframe
as `srcdoc`: nothing is served, and it works in an exported notebook.
"""

from __future__ import annotations

import html
from typing import Any

from ancestral.studio.bundle import page_html
from ancestral.studio.rooms import room_of
from ancestral.studio.shelf import Item, Shelf

MOST_BYTES = 2_000_000
HEIGHT = 640


def page_of(model: Any) -> str | None:
    """Return a fitted model as an iframe, or None where no room can show it.

    Parameters
    ----------
    model : a fitted model

    Returns
    -------
    str or None
        HTML; None for models without a room (PPCA of rows that are no square images, regression,
        discrete rows that are not binary), or too large for a notebook.
    """
    room = room_of(model)
    if room is None:
        return None
    shelf = Shelf([Item.of_model(type(model).__name__, model)], built_in=False)
    page = page_html(shelf, [room])
    if len(page) > MOST_BYTES:
        return None
    return (
        f'<iframe title="{type(model).__name__}" srcdoc="{html.escape(page)}" '
        f'width="100%" height="{HEIGHT}" style="border:0"></iframe>'
    )
