"""Write the steps of the chapters that the report prints, too: report/text/derivations.typ.

    python docs/make_derivations.py

A chapter of docs/models is the one source of its derivation. Pandoc turns its steps into Typst.
"""

from __future__ import annotations

import re
from pathlib import Path

import pypandoc

DOCS = Path(__file__).resolve().parent
WRITTEN = DOCS.parent / "src" / "ancestral" / "report" / "text" / "derivations.typ"

# The chapters whose derivations the report prints, and the steps that it takes.
REPORTED = {
    "lstm_autoregressive": [7, 8, 11],
    "tabular_autoregressive": [10],
    "ppca": [*range(1, 12)],
    "inner_product_graph": [1, 2, 3, 4, 5, 7, 8, 9, 10],
    "linear_gaussian": [1, 2, 3],
}

HEAD = """\
// Steps of the derivations in docs/models, by number, as (title, body).
// Made by docs/make_derivations.py.
#let derivations = (
"""
STEP = re.compile(r"^\*\*Step (\d+): (.+?)\.\*\*\s+", re.MULTILINE)
END = re.compile(r"^(?:```|#{1,6} |:::|\*\*Step )", re.MULTILINE)


def steps(page: str) -> list[tuple[str, str]]:
    """Give the title and the Markdown of each step of a page, without the code that follows it."""
    found = []
    for match in STEP.finditer(page):
        rest = page[match.end() :]
        end = END.search(rest)
        title = match[2].replace("\n", " ")
        found.append((title[0].upper() + title[1:], rest[: end.start() if end else None].strip()))
    return found


def typst(markdown: str) -> str:
    """Convert a step; brackets grow with what they hold."""
    grown = re.sub(
        r"\\[bB]ig{1,2}([lr])", lambda m: {"l": r"\left", "r": r"\right"}[m[1]], markdown
    )
    made = pypandoc.convert_text(
        grown, "typst", "markdown+tex_math_dollars-smart", extra_args=["--wrap=none"]
    )
    for mark, cause in {"#link": "a link", "#scale": "a bracket of fixed size"}.items():
        if mark in made:
            raise ValueError(f"{cause} has no place in a step that the report prints: {markdown}")
    return str(made).strip().replace("\r\n", "\n")


def written() -> str:
    """Give the text of the file."""
    parts = [HEAD]
    for name, taken in REPORTED.items():
        found = steps((DOCS / "models" / f"{name}.md").read_text("utf-8"))
        parts.append(f"  {name}: (\n")
        for k in taken:
            title, body = found[k - 1]
            parts.append(f'    "{k}": (\n[{typst(title)}],\n[\n{typst(body)}\n],\n    ),\n')
        parts.append("  ),\n")
    return "".join([*parts, ")\n"])


if __name__ == "__main__":
    WRITTEN.write_text(written(), "utf-8", newline="\n")
    print(WRITTEN)
