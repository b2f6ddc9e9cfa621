"""The pages hold together: links lead somewhere, examples run, nothing public goes unmentioned.

The examples themselves run in tests/test_pages.py; those of README.md are doctests.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import ancestral
from tests.digits import FLAGS, ShownDigits
from tests.trust import test_catalogue

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs"
MADE = SITE / "reference"  # by Sphinx: a fresh clone has none
DOCS = sorted(p for p in SITE.rglob("*.md") if "_build" not in p.parts)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
FENCED = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """Return the targets of Markdown links that stay within the project."""
    plain = FENCED.sub("", text)
    return [t for t in re.findall(r"\]\(([^)\s]+)\)", plain) if "://" not in t]


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings give, as code hosts write them."""
    headings = re.findall(r"^#+ +(.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@EACH
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert MADE not in target.parents, f"{page.name}: {link} is made by Sphinx; use {{doc}}"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{page.name} links to {link}"


@EACH
def test_python_blocks_are_run(page: Path) -> None:
    """A block without prompts would be shown and never run; one that runs on hides what follows."""
    for language, block in FENCED.findall(page.read_text("utf-8")):
        if language == "python":
            assert doctest.DocTestParser().get_examples(block), f"{page.name}: {block}"
            assert block.endswith("\n\n"), f"{page.name}: end the block with an empty line: {block}"


def test_pytest_collects_the_examples(pytestconfig: pytest.Config) -> None:
    assert {"README.md", "src"} <= set(pytestconfig.getini("testpaths"))
    assert "README.md" in pytestconfig.getoption("doctestglob")
    assert pytestconfig.getoption("doctestmodules")


def test_shown_digits_are_the_rounded_ones() -> None:
    """Fewer digits may be shown than Python prints; wrong ones may not."""
    check = ShownDigits().check_output
    assert check("(1.67, 4.0)\n", "(1.6655, 3.9501)\n", FLAGS)
    assert check("[ 1.7e-03, ...]\n", "[0.0017, 2, 3]\n", FLAGS) is False  # other places
    assert check("1.7e-03\n", "1.6645e-03\n", FLAGS) and not check("1.6\n", "1.7\n", FLAGS)
    assert not check("1.6\n", "1.6645\n", FLAGS) and not check("3\n", "4\n", FLAGS)


def test_every_page_is_reached_from_the_landing_page() -> None:
    waiting, reached = [SITE / "index.md"], set[Path]()
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for kind, block in FENCED.findall(page.read_text("utf-8")):
            if kind == "{toctree}":
                names = [line for line in block.split() if not line.startswith(":")]
                pages = (page.parent / f"{name}.md" for name in names)
                waiting += [p for p in pages if p.exists() and p not in reached]
    assert set(DOCS) == reached


def test_every_public_name_is_mentioned() -> None:
    text = "\n".join(page.read_text("utf-8") for page in [ROOT / "README.md", *DOCS])
    silent = [name for name in ancestral.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not silent


def test_what_trust_names_is_there() -> None:
    text = (SITE / "trust.md").read_text("utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).is_file()]
    n_rows = sum(test_catalogue.LETTERS.values())
    assert f"a catalogue of {n_rows} rows" in text


def test_no_page_names_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(home|tmp|work|opt|root)/", page.read_text("utf-8"))
