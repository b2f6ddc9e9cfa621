"""Whether this tree can be released under a tag: `python tests/ready.py v0.2.0`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def faults(tag: str, root: Path = ROOT) -> list[str]:
    """Return what is still to be done before a release, in sentences."""
    source = (root / "src" / "ancestral" / "__init__.py").read_text("utf-8")
    (version,) = re.findall(r'(?m)^__version__ = "(.+)"$', source)
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    heading = re.findall(r"(?m)^## (.+)$", (root / "CHANGELOG.md").read_text("utf-8"))[0]
    found = []
    if tag != f"v{version}":
        found.append(f"The tag is {tag}, and the version is {version}: tag v{version}.")
    if not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", heading):
        found.append(f"CHANGELOG.md begins with {heading!r}: write '{version} - ' and the date.")
    if "Repository" not in project.get("urls", {}):
        found.append("[project.urls] of pyproject.toml has no Repository: README's links need it.")
    return found


if __name__ == "__main__":
    for fault in (said := faults(sys.argv[1])):
        print(fault)
    sys.exit(bool(said))
