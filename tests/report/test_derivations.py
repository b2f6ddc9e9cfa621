"""The report's derivations are the chapters' own."""

from __future__ import annotations

import pytest

pytest.importorskip("pypandoc", reason="the steps are converted by pandoc")

from docs import make_derivations as made


def test_the_file_is_what_the_chapters_say() -> None:
    said = made.WRITTEN.read_text("utf-8")
    assert said == made.written(), "run python docs/make_derivations.py"


@pytest.mark.parametrize("name", made.REPORTED)
def test_every_reported_step_is_found_whole(name: str) -> None:
    page = (made.DOCS / "models" / f"{name}.md").read_text("utf-8")
    for k in made.REPORTED[name]:
        title, body = made.steps(page)[k - 1]
        assert f"**Step {k}: {title}.**".lower() in page.replace("\n", " ").lower()
        assert body and "```" not in body and "**Step" not in body


def test_what_the_report_cannot_print_is_refused() -> None:
    for step in ("A [link](page.md).", r"A bracket $\Big| x \Big|$ of fixed size."):
        with pytest.raises(ValueError, match="no place in a step"):
            made.typst(step)
