"""The site: what `make docs` writes to docs/_build/html, from this tree and without a network."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from jupyter_client.manager import KernelManager
from pygments.lexers.special import TextLexer

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent / "src"), str(DOCS / "_ext")]
# Cells of the pages run in another process, on the same code.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(DOCS.parent / "src"), os.environ.get("PYTHONPATH", "")])
)
# A notebook shows pyplot's figures only if the shell asks for no other backend.
os.environ.pop("MPLBACKEND", None)

import ancestral  # noqa: E402

project = "ancestral"
author = "The ancestral developers"
copyright = author
release = version = ancestral.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "outputs",
    "reference",
]
exclude_patterns = [
    "_build",
    "_ext",
    "conftest.py",
    "gallery/*/*.py",
    "gallery/**/*.ipynb",
    "sg_execution_times.rst",
    "**/sg_execution_times.rst",
]
nitpicky = False

# ---- pages ---------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
# Cells run at every build, so that no figure is older than the code.
nb_execution_mode = "force"
nb_execution_in_temp = True  # pages write files as their readers would
nb_output_stderr = "warn"
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # against hanging, on a machine that does other things as well
nb_merge_streams = True
if hasattr(KernelManager, "transport_encryption"):  # a kernel warns of sockets that are plain
    KernelManager.transport_encryption.default_value = "auto"
nb_render_image_options = {"loading": "lazy"}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---- gallery -------------------------------------------------------------------------------------

# `make docs` writes its pages without running them; `make book` runs each example in turn.
plot_gallery = "False"
sphinx_gallery_conf = {
    "examples_dirs": str(DOCS.parent / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\w+\.py$",
    "ignore_pattern": r"__init__\.py|conftest\.py",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("ancestral",),
    "reference_url": {"ancestral": None},
    "backreferences_dir": "gallery/of",
    "prefer_full_module": {r"ancestral\.(io|datasets|scores|streaming|viz|errors)"},
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
    "matplotlib_animations": False,
    "image_scrapers": ("figures.scrape",),
    "thumbnail_size": (400, 300),
}

# ---- reference -----------------------------------------------------------------------------------

smartquotes = False  # a text in quotes is what one types
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

# ---- looks ---------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "ancestral"
# The font of formulas is the one of the web report.
html_static_path = ["_static", "../src/ancestral/report/fonts/TeXGyreTermesMath-Regular.woff2"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # a page of file:// may not fetch others
html_theme_options = {
    "logo": {"text": "ancestral"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "back_to_top_button": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "changelog": [], "glossary": [], "trust": []}


def end_blocks(app: Any, doctree: nodes.document) -> None:
    """Leave out the empty lines at the ends of blocks."""
    for block in doctree.findall(nodes.literal_block):
        if len(block) == 1 and block.rawsource == block.astext():
            text = block.astext().rstrip()
            block.rawsource, block[0] = text, nodes.Text(text)


UNIT = re.compile(r"(?<=\d) (?=(?:µs|ms|s|kB|MB|GB|MiB|GiB)\b)")


def keep_units(app: Any, doctree: nodes.document) -> None:
    """Keep a number and its unit on one line."""
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, nodes.paragraph) and UNIT.search(text):
            text.parent.replace(text, nodes.Text(UNIT.sub("\N{NO-BREAK SPACE}", text)))


def setup(app: Any) -> None:
    """CSV is shown as it is typed, a doctest without the empty line that ends it."""
    app.add_lexer("csv", TextLexer)
    app.connect("doctree-read", end_blocks)
    app.connect("doctree-read", keep_units)
