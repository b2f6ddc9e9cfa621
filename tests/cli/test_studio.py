"""`ancestral studio`: what it refuses before it serves or writes."""

from __future__ import annotations

import pytest


def test_the_command_exports_and_refuses(run, tmp_path):
    code, _, err = run("studio", tmp_path / "gone.model")
    assert code == 1 and "gone.model" in err and err.count("\n") == 1
    code, _, err = run("studio", "--port", 1 << 20)
    assert code == 2
    code, _, err = run("studio", "--export", tmp_path / "no" / "page.html", tmp_path)
    assert code == 1


@pytest.mark.filterwarnings("default")
def test_what_a_folder_holds_and_cannot_be_read_is_warned_of(run, tmp_path):
    folder, page = tmp_path / "mine", tmp_path / "page.html"
    folder.mkdir()
    (folder / "good.csv").write_text("x,y\n" + "".join(f"{k},{k * k % 7}\n" for k in range(20)))
    (folder / "bad.csv").write_text("x,y\n1,2\n3\n")
    code, out, err = run("studio", "--export", page, folder)
    assert (code, out) == (0, f"{page}\n")
    assert err.startswith("warning: ") and "bad.csv: line 3" in err
    assert '"name": "bad.csv"' in page.read_text("utf-8")
    page.unlink()
    (folder / "good.csv").unlink()  # nothing else is left
    code, _, err = run("studio", "--export", page, folder)
    assert code == 1 and "bad.csv: line 3" in err.splitlines()[-1]
