"""The folder of checkpoints: who holds it, and which of its files is the newest.

Rows C9 and C20 of the catalogue, for every model that descends a loss.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import AncestralWarning, model_file
from ancestral.errors import FormatError, ModelError
from ancestral.training.checkpoints import LOCK, Checkpoints
from tests.trust.same_bits import assert_same_bits
from tests.trust.trained import EVERY, LSTM, NETWORK, ROWS, Trained, names

pytest.importorskip("torch", reason="PyTorch is an extra")

# ---- C9: whose folder ----------------------------------------------------------------------------


@EVERY
def test_c9_a_folder_in_use_names_its_holder(of: Trained, tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {}):
        with pytest.raises(
            ModelError, match=rf"process {os.getpid()} since '2.* is training into it"
        ):
            of.fit(checkpoint=tmp_path)
        assert (tmp_path / LOCK).exists()
    of.fit(max_steps=1, checkpoint=tmp_path)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize(
    "left",
    [{"pid": 2**22 + 7, "since": "2001"}, {"pid": os.getpid(), "since": "2001"}, {"pid": "x"}],
)
def test_c9_a_file_that_nobody_holds_is_no_lock(tmp_path: Path, left: dict[str, Any]) -> None:
    (tmp_path / LOCK).write_text(json.dumps(left))
    LSTM.fit(max_steps=1, checkpoint=tmp_path)
    (tmp_path / LOCK).write_text('{"pi')
    LSTM.fit(max_steps=1, checkpoint=tmp_path)
    assert not (tmp_path / LOCK).exists()


HOLDER = """import time
from ancestral.training.checkpoints import Checkpoints
Checkpoints({!r}, {{}}).__enter__()
print("held", flush=True)
time.sleep(600)"""


def holder(folder: Path, *prefix: str) -> subprocess.Popen:
    """Return a process that trains into a folder, as far as others can see."""
    command = [*prefix, sys.executable, "-c", HOLDER.format(str(folder))]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "held\n":
        _, said = process.communicate()
        pytest.skip(f"no such process here: {said}")
    return process


@pytest.mark.parametrize("prefix", [(), ("unshare", "-pf", "--mount-proc")], ids=["plain", "apart"])
def test_c9_t6_a_folder_is_held_from_every_process_until_its_holder_dies(
    tmp_path: Path, prefix: tuple[str, ...]
) -> None:
    """Also from a space of process numbers of its own, where every number means another process."""
    if prefix and (shutil.which(prefix[0]) is None or os.geteuid()):
        pytest.skip("process numbers cannot be set apart here")
    with holder(tmp_path, *prefix) as process:
        with pytest.raises(ModelError, match="is training into it"), Checkpoints(tmp_path, {}):
            pass
        kill_all(process)
    with Checkpoints(tmp_path, {}):
        pass
    assert not names(tmp_path)


def kill_all(process: subprocess.Popen) -> None:
    """Kill a process and what it has started, and wait until all have let go."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for number in [*map(int, children), process.pid]:
        os.kill(number, signal.SIGKILL)
    process.wait()
    while any(Path(f"/proc/{number}").exists() for number in children):
        time.sleep(0.01)


def test_c9_a_lock_that_another_took_since_is_left(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {}):
        (tmp_path / LOCK).unlink()
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
        pytest.warns(AncestralWarning, match="is not a whole Checkpoint"),
        pytest.raises(FormatError, match="no checkpoint in it is whole"),
        Checkpoints(tmp_path, {}) as held,
    ):
        held.latest()
