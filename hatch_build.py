"""README as the package page shows it: its links made whole from the one place of addresses.

README's links and pictures are paths within the repository. On a package page they need the
repository's address, which stands in `[project.urls]` of pyproject.toml and nowhere else. Where it
is not filled in yet, a picture is left out and a link is its text: nothing there is broken.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s]+)\)")


class Readme(MetadataHookInterface):
    """Sets `readme`; `pyproject.toml` says which file, and what addresses of files look like."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the whole text into the metadata."""
        text = (Path(self.root) / self.config["file"]).read_text("utf-8")
        repository = metadata.get("urls", {}).get("Repository", "").rstrip("/")
        forms = {mark: self.config[name] for mark, name in (("!", "picture"), ("", "page"))}
        shown = with_whole_links(text, repository, metadata["version"], forms)
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}


def with_whole_links(text: str, repository: str, version: str, forms: dict[str, str]) -> str:
    """Return Markdown whose links within the repository lead there from anywhere.

    Parameters
    ----------
    text : str
    repository : str
        Its address; an empty one leaves the pictures out, and of links the text.
    version : str
    forms : dict of str
        The address of a picture ("!") and of any other file (""), in which {repository}, {version}
        and {path} stand.
    """

    def whole(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        if "://" in target or target.startswith("#"):
            return found[0]
        if not repository:
            return "" if mark else words
        address = forms[mark].format(repository=repository, version=version, path=target)
        return f"{mark}[{words}]({address})"

    parts = FENCED.split(text)  # what stands in code stays
    return "".join(part if k % 2 else LINK.sub(whole, part) for k, part in enumerate(parts))
