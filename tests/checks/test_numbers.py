"""Warnings stand at the caller's line, whoever the caller is."""

from __future__ import annotations

import pytest

from ancestral.errors import AncestralWarning


def test_code_without_a_module_name_is_warned_too() -> None:
    code = "from ancestral._checks.numbers import warn\nwarn('said')"
    with pytest.warns(AncestralWarning, match="said") as found:
        exec(compile(code, "typed", "exec"), {})
    assert [(one.filename, one.lineno) for one in found] == [("typed", 2)]
