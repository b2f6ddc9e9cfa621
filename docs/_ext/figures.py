"""The figures of a gallery's example, those that pyplot does not know among them.

`viz` returns figures of its own, which pyplot does not hold. An example names them, and so they are
found among its names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN = "_shown"  # the mark on a figure that stands on the page


def figures_of(names: Mapping[str, Any]) -> list[Any]:
    """Return pyplot's figures and those that an example named, each once."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    found = [plt.figure(number) for number in plt.get_fignums()]
    for value in names.values():
        figure = value.figure if isinstance(value, Axes) else value
        if isinstance(figure, Figure) and figure not in found:
            found.append(figure)
    return found


def words_of(figure: Any) -> str:
    """Return what a figure's titles say it shows."""
    titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
    return ", ".join(title for title in titles if title)


def scrape(block: Any, block_vars: Any, gallery_conf: Any) -> str:
    """Write the figures that a block has drawn, and return the page's lines that show them."""
    import matplotlib.pyplot as plt
    from sphinx_gallery.scrapers import figure_rst

    written = []
    for figure in figures_of(block_vars["example_globals"]):
        if not getattr(figure, SHOWN, False):
            path = next(block_vars["image_path_iterator"])
            # A title may stand above a figure of images, outside of it.
            figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.06)
            setattr(figure, SHOWN, True)
            written.append((path, words_of(figure)))
    plt.close("all")
    return "".join(figure_rst([p], gallery_conf["src_dir"], alt) for p, alt in written)
