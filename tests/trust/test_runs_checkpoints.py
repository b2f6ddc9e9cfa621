"""The folder of checkpoints: who holds it, and which of its files is the newest.

Rows C9 and C20 of the catalogue, for every model that descends a loss.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import AncestralWarning, model_file
from ancestral.checkpoints import LOCK, Checkpoints
from ancestral.errors import FormatError, ModelError
from tests.conftest import PATIENCE
from tests.trust.same_bits import assert_same_bits
from tests.trust.trained import EVERY, LSTM, NETWORK, ROWS, Trained, names

pytest.importorskip("torch", reason="PyTorch is an extra")

# ---- C9: whose folder ----------------------------------------------------------------------------


@EVERY
def test_c9_a_folder_in_use_names_its_holder(of: Trained, tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {}):
        with pytest.raises(
            ModelError, match=rf"process {os.getpid()} has been training .* since 2"
        ):
            of.fit(checkpoint=tmp_path)
        assert (tmp_path / LOCK).exists()
    of.fit(max_steps=1, checkpoint=tmp_path)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize(
    "holder",
    [
        {"pid": 2**22 + 7, "start": None, "since": "2001"},  # above any process number
        {"pid": os.getpid(), "start": "1", "since": "2001"},  # the number, used again
        {"pid": "x"},
    ],
)
def test_c9_a_stale_lock_is_broken(tmp_path: Path, holder: dict[str, Any]) -> None:
    if holder.get("start") and not Path("/proc/self/stat").exists():
        pytest.skip("no start times of processes here")
    (tmp_path / LOCK).write_text(json.dumps(holder))
    LSTM.fit(max_steps=1, checkpoint=tmp_path)
    (tmp_path / LOCK).write_text('{"pi')
    LSTM.fit(max_steps=1, checkpoint=tmp_path)
    assert not (tmp_path / LOCK).exists()


RIVAL = """from ancestral.checkpoints import Checkpoints
print("ready", flush=True)
Checkpoints({!r}, {{}}).__enter__()"""


def test_c9_of_two_that_break_a_stale_lock_at_once_one_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / LOCK).write_text(json.dumps({"pid": 2**22 + 7, "start": None, "since": "2001"}))
    is_running, rivals = model_file.is_running, []

    def overtaken(pid: int) -> bool:
        """Let a rival come between the look at the stale lock and its breaking."""
        if not rivals:
            command = [sys.executable, "-c", RIVAL.format(str(tmp_path))]
            rivals.append(subprocess.Popen(command, stdout=-1, stderr=-1, text=True))
            rivals[0].stdout.readline()
            time.sleep(0.3)
        return is_running(pid)

    monkeypatch.setattr(model_file, "is_running", overtaken)
    with Checkpoints(tmp_path, {}):
        said = rivals[0].communicate(timeout=PATIENCE)[1]
        assert f"process {os.getpid()} has been training into it" in said
    assert not names(tmp_path)


def test_c9_a_lock_that_another_took_since_is_left(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {}):
        (tmp_path / LOCK).write_text("another's")
    assert (tmp_path / LOCK).read_text() == "another's"


def test_c9_another_run_is_refused_by_name(tmp_path: Path) -> None:
    LSTM.fit(checkpoint=tmp_path, checkpoint_every=10)
    with pytest.raises(ModelError, match=r"other learning_rate \(0.03 there, 0.01 now\)"):
        LSTM.fit(learning_rate=0.01, checkpoint=tmp_path)
    with pytest.raises(ModelError, match=r"other random_state \(0 there, 1 now\)"):
        LSTM.fit(random_state=np.int64(1), checkpoint=tmp_path)
    with pytest.raises(ModelError, match="other data"):
        LSTM.fit([ROWS[:4]], checkpoint=tmp_path)
    with pytest.raises(ModelError, match="other data"):
        NETWORK.fit(checkpoint=tmp_path)


# ---- C20: which checkpoint is the newest ---------------------------------------------------------


@pytest.mark.parametrize("times", [(2_000_000_000, 0), (1_000_000_000, 1_000_000_000)])
def test_c20_the_newest_is_told_by_its_step_whatever_the_clock_says(
    times: tuple[int, int], tmp_path: Path
) -> None:
    """The clock set back, and times that are equal."""
    with Checkpoints(tmp_path, {}) as held:
        for step, when in zip((9, 10), times, strict=True):
            held.save(step, {})
            os.utime(tmp_path / f"step-{step:09d}", (when, when))
        assert held.latest()["step"] == 10
        held.save(11, {})
        assert names(tmp_path) == ["step-000000010", "step-000000011", LOCK]


@EVERY
def test_c20_a_damaged_checkpoint_gives_way_to_the_one_before(of: Trained, tmp_path: Path) -> None:
    whole = of.fit(checkpoint=tmp_path, checkpoint_every=10)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(AncestralWarning, match="older checkpoint"):
        assert_same_bits(of.fit(checkpoint=tmp_path, checkpoint_every=1000), whole)
    for path in tmp_path.iterdir():
        path.write_bytes(b"x")
    with (
        pytest.warns(AncestralWarning, match="older checkpoint"),
        pytest.raises(FormatError, match="no checkpoint in it is whole"),
    ):
        of.fit(checkpoint=tmp_path)


def test_c20_a_model_in_the_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    LSTM.fit(max_steps=1).save(tmp_path / "step-000000001")
    assert ancestral.load(tmp_path / "step-000000001").history_
    with (
        pytest.warns(AncestralWarning, match="is no checkpoint"),
        pytest.raises(FormatError, match="no checkpoint in it is whole"),
    ):
        LSTM.fit(checkpoint=tmp_path)


def test_c20_a_checkpoint_of_many_levels_is_refused(tmp_path: Path) -> None:
    metadata = {"format": model_file.FORMAT, "format_version": "1", "class": "Checkpoint"}
    document = '{"state": ' + "[" * 100_000 + "]" * 100_000 + "}"
    file = model_file._signed({}, {**metadata, "document": document})
    (tmp_path / "step-000000001").write_bytes(file)
    with (
        pytest.warns(AncestralWarning, match="is no checkpoint"),
        pytest.raises(FormatError, match="no checkpoint in it is whole"),
        Checkpoints(tmp_path, {}) as held,
    ):
        held.latest()
