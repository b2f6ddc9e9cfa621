"""`ancestral studio`: what it refuses before it serves or writes."""

from __future__ import annotations


def test_the_command_exports_and_refuses(run, tmp_path):
    code, _, err = run("studio", tmp_path / "gone.model")
    assert code == 1 and "gone.model" in err and err.count("\n") == 1
    code, _, err = run("studio", "--port", 1 << 20)
    assert code == 2
    code, _, err = run("studio", "--export", tmp_path / "no" / "page.html", tmp_path)
    assert code == 1
