"""Names in files never steer the terminal: what is printed, warned of or raised has none of it."""

from __future__ import annotations

import json
import logging
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import model_file
from ancestral.cli import commands as cli
from ancestral.errors import (
    AncestralError,
    AncestralWarning,
    MissingExtraError,
    printable,
    printable_json,
)

# Clears the screen, writes the window's title, rings, turns letters round, begins a forged line.
EVIL = (
    "a\x1b[2J\x1b]0;owned\x07", "\x9b31mred", "txt\u202eexe", "x\r\nancestral: all is well",
    "half\ud800", "bell\x07\x08\x08", "line\u2028two", "\U000e0041tag", "[bold]b[/bold]\x1b[1m",
)  # fmt: skip
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\ud800-\udfff\U000e0041]")
X = np.random.default_rng(0).normal(size=(40, 2))


def safe(text: str) -> None:
    """A text that is printed holds nothing that a terminal obeys, and no forged line."""
    assert not (found := OBEYED.search(text)), ascii(found)
    assert not re.search("^ancestral: all is well", text, re.M)


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code and all that it printed."""

    def call(*arguments: Any) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        printed = "".join(capfd.readouterr())
        safe(printed)
        return int(end.value.code or 0), printed

    return call


@pytest.mark.parametrize("name", EVIL)
def test_printable_text_is_safe_and_stays(name: str) -> None:
    safe(printable(name).replace("\n", " "))
    assert printable(printable(name)) == printable(name)
    document = json.dumps({name: [name]}, ensure_ascii=False)
    safe(printable_json(document))
    assert json.loads(printable_json(document)) == json.loads(document)


def test_words_of_every_language_stay_as_they_are() -> None:
    words = "größe, возраст, 身長, سِن, می‌خواهم, 👩‍👧, a\u00a0b, é\ttab\nline"
    assert printable(words) == words == str(AncestralError(words))


@pytest.mark.parametrize("name", EVIL)
def test_t13_errors_and_warnings_spell_them_out(name: str) -> None:
    for kind in (AncestralError, MissingExtraError, AncestralWarning):
        error = kind(f"no column {name}.")
        safe(str(error).replace("\n", " "))
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("name", EVIL)
def test_t13_a_models_names(tmp_path: Path, run: Run, name: str) -> None:
    path = tmp_path / "a.model"
    model = ancestral.LinearGaussian().fit(X, X @ [1.0, 2.0] + X[:, 0] ** 2)
    model.feature_names_in_ = np.array([name, "b"], dtype=object)
    model.target_name_ = name
    state = model._fitted_state()
    encodable = "\ud800" not in name
    if not encodable:  # JSON holds it all the same
        state = {**state, "target_name_": name}
    path.write_bytes(model_file.pack("LinearGaussian", model.get_params(), state))
    rows = tmp_path / "rows.csv"
    rows.write_text("one,b,y\n1,2,3\n")
    for command in (["inspect", path], ["inspect", path, "--json"]):
        code, said = run(*command)
        assert code == 0, said
    code, said = run("score", path, rows)
    assert code == 1
    assert "no column" in said
    code, said = run("inspect", path)
    assert len(re.findall(r"^file|^model", said, re.M)) == 2
    name_of_class = model_file._signed({}, {
        "format": "ancestral-model", "format_version": "1", "class": name.replace("\ud800", ""),
        "document": "{}",
    })  # fmt: skip
    path.write_bytes(name_of_class)
    assert run("inspect", path)[0] == 1


@pytest.mark.parametrize("name", [name for name in EVIL if "\ud800" not in name])
def test_t13_names_in_tables_and_archives(tmp_path: Path, run: Run, name: str) -> None:
    model = tmp_path / "m.model"
    quoted = '"' + name + '"'
    (tmp_path / "a.csv").write_bytes(f"{quoted},b\n1,2\n3,4\n5,oops\n".encode())
    (tmp_path / "twice.csv").write_bytes(f"{quoted},{quoted}\n1,2\n3,4\n5,4\n".encode())
    np.savez(tmp_path / "a.npz", **{name.replace("/", ""): X, "other": X})
    (tmp_path / "level.pkl").write_bytes(pickle.dumps({name: X, name + "2": X}))
    files = ["a.csv", "twice.csv", "a.npz", "level.pkl"]
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        pass
    else:
        pq.write_table(pa.table({name: ["x", "y"], "b": [1, 2]}), tmp_path / "a.parquet")
        pq.write_table(pa.table({name: [1.0, None], "b": [1, 2]}), tmp_path / "b.parquet")
        files += ["a.parquet", "b.parquet"]
    for file in files:
        for fit in ("ppca", "tabular", "linear"):
            code, said = run("fit", fit, tmp_path / file, "-o", model)
            levels = file == "a.parquet" and fit == "tabular"  # text is what it takes
            assert code in ((0,) if levels else (1, 2)), said
            if levels:
                assert run("sample", model, "-n", 3)[0] == 0
                assert run("score", model, tmp_path / file)[0] == 0
                assert run("sample", model, "--given", f"{name}=z")[0] == 1
                assert run("inspect", model)[0] == 0
                model.unlink()
        code, said = run("fit", "linear", tmp_path / file, "--target", name, "-o", model)
        assert code in (1, 2), said
    assert run("score", model, tmp_path / name)[0] in (1, 2)
    assert run("inspect", tmp_path / name)[0] in (1, 2)
    assert run("fit", name, tmp_path / "a.csv", "-o", model)[0] == 2


def test_warnings_and_notes_of_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ancestral.cli.terminal import warnings_in_one_line

    # what pytest itself keeps of the log travels between its processes, and must be text
    monkeypatch.setattr(logging.getLogger("ancestral"), "propagate", False)
    with warnings_in_one_line():
        for name in EVIL:
            warnings.warn(f"named {name}", UserWarning, stacklevel=1)
            logging.getLogger("ancestral").info("named %s", name)
    said = capsys.readouterr().err
    assert said.count("warning: ") == len(EVIL)
    for line in said.splitlines():
        safe(line)
