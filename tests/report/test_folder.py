"""A report's folder replaces the last one whole, and nothing that others put there is lost."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from ancestral.errors import SaveError
from ancestral.report import folder as replacing
from ancestral.report.folder import MANIFEST, folder_in_place
from tests.trust.faults import each_fault, need_strace


def write(out: Path, text: str, *names: str) -> None:
    """Write a folder of some files, all with one text."""
    with folder_in_place(out, kind="report") as folder:
        for name in names or ("report.html", "models/a.model", "figures/1.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


def texts(out: Path) -> dict[str, str]:
    """Return what lies in a folder by name, its mark left out."""
    return {
        str(path.relative_to(out)): path.read_text()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


FIRST = {"figures/1.png": "one", "models/a.model": "one", "report.html": "one"}
SECOND = dict.fromkeys(FIRST, "two")


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    write(out, "one")
    assert texts(out) == FIRST
    out.chmod(0o750)
    write(out, "two", "report.html")
    assert texts(out) == {"report.html": "two"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o750
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    write(tmp_path / "out", "one")
    assert (tmp_path / "out").is_symlink()
    assert texts(tmp_path / "real") == FIRST


def test_t1_a_folder_without_the_mark_is_refused_and_untouched(tmp_path: Path) -> None:
    out = tmp_path / "p"
    (out / "models").mkdir(parents=True)
    (out / "report.json").write_text("{}")
    (out / "models" / "mine.pt").write_text("x")
    before = texts(out)
    with pytest.raises(
        SaveError, match=r"not empty, and is not an earlier report .* Name another folder"
    ):
        write(out, "one")
    (out / MANIFEST).write_text(json.dumps({"kind": "ancestral other", "files": {}}))
    with pytest.raises(SaveError, match="not empty"):
        write(out, "one")
    assert texts(out) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]


def test_t1_what_others_put_there_or_changed_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "one")
    (out / "models" / "mine.pt").write_text("mine")
    (out / "report.html").write_text("edited")
    (out / "later.txt").write_text("a name of the next report")
    (out / "link").symlink_to("nowhere")
    (out / "empty").mkdir()
    write(out, "two", "report.html", "later.txt")
    assert texts(out) == {
        "later.txt": "two",
        "later.txt.kept": "a name of the next report",
        "models/mine.pt": "mine",
        "report.html": "two",
        "report.html.kept": "edited",
    }
    assert os.readlink(out / "link") == "nowhere"
    assert (out / "empty").is_dir()
    write(out, "three")
    assert texts(out)["models/mine.pt"] == "mine"
    assert texts(out)["report.html.kept"] == "edited"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_of_a_folder_is_kept_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "one", "report.html")
    (out / "models").write_text("a file of mine")
    write(out, "two")
    assert texts(out) == SECOND | {"models.kept": "a file of mine"}


def test_what_comes_while_the_report_is_made_stays_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "one")
    exchange = replacing._exchange

    def with_a_late_file(folder: Path, out: Path) -> None:
        (out / "late.txt").write_text("late")
        exchange(folder, out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replacing, "_exchange", with_a_late_file)
        write(out, "two")
    assert texts(out) == SECOND | {"late.txt": "late"}


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(28, "full")])
def test_a_report_that_fails_leaves_the_last_one(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    write(out, "one")

    def fail() -> None:
        with folder_in_place(out, kind="report") as folder:
            (folder / "report.html").write_text("two")
            raise error

    with pytest.raises((type(error), SaveError)):
        fail()
    assert texts(out) == FIRST
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_files_and_the_present_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SaveError, match="is a file"):
        write(tmp_path / "file", "one")
    with pytest.raises(SaveError, match="cannot be written"):
        write(tmp_path / "file" / "out", "one")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SaveError, match="the folder you are in"):
        write(Path(), "one")
    with pytest.raises(SaveError, match="root of a disk"):
        write(Path("/proc"), "one")


@pytest.mark.parametrize("two_steps", [False, True])
def test_t1_every_system_call_may_fail_or_be_the_last(
    in_memory: Path, note: Any, long: bool, two_steps: bool
) -> None:
    """Also where the system cannot exchange two names in one step: the next run then finishes."""
    need_strace()
    code = f"""
from ancestral.report import folder as replacing
if {two_steps}:
    replacing._renameat2 = lambda one, other: False
begin()
try:
    with replacing.folder_in_place("out", kind="report") as folder:
        for name in ("report.html", "models/a.model", "figures/1.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("two")
    said = 0
except ValueError:
    said = 3
except OSError:
    said = 4  # of the writing itself, above
end()
sys.exit(said)
"""
    mine = {"mine.txt": "mine", "report.html.kept": "edited"}

    def reset() -> Path:
        home = in_memory / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        write(home / "out", "one")
        (home / "out" / "mine.txt").write_text("mine")
        (home / "out" / "report.html").write_text("edited")
        return home

    old, new = FIRST | {"mine.txt": "mine", "report.html": "edited"}, SECOND | mine
    tried = lost = 0
    for what, home, done in each_fault(code, reset, every=1 if long else 17):
        if not (home / "out").exists():
            assert two_steps and done.returncode in (-9, 137), what
            replacing._finish_interrupted(home / "out")
        left = texts(home / "out")
        harmed = left not in (old, new) or (done.returncode == 0 and left != new)
        tried, lost = tried + 1, lost + harmed
        assert not harmed, (what, done.returncode, left, done.stderr[-800:])
        write(home / "out", "two")  # sweeps what the dead left
        assert texts(home / "out") == new, what
        assert [entry.name for entry in home.iterdir()] == ["out"], what
    steps = "two steps" if two_steps else "one step"
    note(
        f"each system call of a report ({steps}) failed or was the last: lost", f"{lost} of {tried}"
    )
    assert tried > 8
