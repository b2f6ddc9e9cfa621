"""Training that is stopped, killed or robbed of a file ends with the bits of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import AncestralWarning, LSTMAutoregressive
from ancestral.autoregressive import lstm_training
from ancestral.checkpoints import LOCK, Checkpoints
from ancestral.errors import FormatError, ModelError, SaveError

pytest.importorskip("torch", reason="PyTorch is an extra")

ROWS = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 1]])


def small(**parameters: Any) -> LSTMAutoregressive:
    settings = {"hidden_size": 6, "num_layers": 1, "max_steps": 60, "random_state": 0}
    return LSTMAutoregressive(**{**settings, **parameters})


def assert_same_bits(one: LSTMAutoregressive, other: LSTMAutoregressive) -> None:
    assert one.weights_.keys() == other.weights_.keys()
    for name, value in one.weights_.items():
        np.testing.assert_array_equal(value, other.weights_[name])
    assert one.history_ == other.history_


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Send this process signals while a given step is being taken."""

    def arrange(step: int, *numbers: int) -> None:
        descend = lstm_training.Training._descend

        def with_signal(self: Any, loss: Any) -> None:
            if self.at.step == step:
                for number in numbers:
                    os.kill(os.getpid(), number)
            descend(self, loss)

        monkeypatch.setattr(lstm_training.Training, "_descend", with_signal)

    return arrange


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("step", [0, 7, 30])
def test_ctrl_c_finishes_the_step_and_the_run_resumes_to_the_bit(
    tmp_path: Path, signal_at: Any, monkeypatch: pytest.MonkeyPatch, step: int, batch_size: Any
) -> None:
    whole = small(batch_size=batch_size).fit(ROWS)
    signal_at(step, signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=rf"after step {step + 1} .*checkpoint="):
        small(batch_size=batch_size).fit(ROWS, checkpoint=tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [f"step-{step + 1:09d}"]
    resumed = small(batch_size=batch_size).fit(ROWS, checkpoint=tmp_path)
    assert_same_bits(resumed, whole)


def test_a_second_ctrl_c_stops_at_once_and_the_last_checkpoint_holds(
    tmp_path: Path, signal_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small().fit(ROWS)
    signal_at(25, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        small().fit(ROWS, checkpoint=tmp_path, checkpoint_every=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000020"]
    monkeypatch.undo()
    assert_same_bits(small().fit(ROWS, checkpoint=tmp_path), whole)


def test_checkpoints_change_nothing_and_a_finished_run_repeats(tmp_path: Path) -> None:
    whole = small().fit(ROWS)
    for _ in range(2):
        assert_same_bits(small().fit(ROWS, checkpoint=tmp_path, checkpoint_every=7), whole)
    assert len(list(tmp_path.iterdir())) == 2  # the newest two, and no lock


def test_a_request_to_end_is_honoured_after_saving(tmp_path: Path, signal_at: Any) -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        signal_at(5, signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt, match="after step 6"):  # no half-trained model
            small().fit(ROWS, checkpoint=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert asked == [signal.SIGTERM]
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000006"]


SCRIPT = """
import sys, numpy as np
from ancestral import LSTMAutoregressive
model = LSTMAutoregressive(6, 1, max_steps=150, batch_size=2, tol=0.0, random_state=0)
model.fit(np.array({rows}), checkpoint=sys.argv[1], checkpoint_every=1)
"""


def test_a_killed_process_resumes_to_the_bit(tmp_path: Path) -> None:
    parameters = {"max_steps": 150, "batch_size": 2, "tol": 0.0}
    folder = tmp_path / "run"
    script = SCRIPT.format(rows=ROWS.tolist())
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)])
    deadline = time.monotonic() + 120
    while not any(folder.glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait(60)
    assert any(folder.glob("step-*"))
    resumed = small(**parameters).fit(ROWS, checkpoint=folder)  # a lock left behind is broken
    assert_same_bits(resumed, small(**parameters).fit(ROWS))


# ---- which checkpoint, and whose ---------------------------------------------------------------


def test_the_newest_is_told_by_its_step_whatever_the_clock_says(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {}) as held:
        for step in (9, 10):
            held.save(step, {})
        for step, when in ((9, 2_000_000_000), (10, 0)):
            os.utime(tmp_path / f"step-{step:09d}", (when, when))
        assert held.latest()["step"] == 10


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    whole = small().fit(ROWS, checkpoint=tmp_path, checkpoint_every=10)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(AncestralWarning, match="older checkpoint"):
        assert_same_bits(small().fit(ROWS, checkpoint=tmp_path, checkpoint_every=1000), whole)
    for path in tmp_path.iterdir():
        path.write_bytes(b"x")
    with (
        pytest.warns(AncestralWarning, match="older checkpoint"),
        pytest.raises(FormatError, match="no checkpoint in it is whole"),
    ):
        small().fit(ROWS, checkpoint=tmp_path)


def test_another_run_is_refused_by_name(tmp_path: Path) -> None:
    small().fit(ROWS, checkpoint=tmp_path, checkpoint_every=10)
    with pytest.raises(ModelError, match=r"other learning_rate \(0.03 there, 0.01 now\)"):
        small(learning_rate=0.01).fit(ROWS, checkpoint=tmp_path)
    with pytest.raises(ModelError, match="other data"):
        small().fit(ROWS[:4], checkpoint=tmp_path)


def test_a_folder_in_use_names_its_holder(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {}):
        with pytest.raises(
            ModelError, match=rf"process {os.getpid()} has been training .* since 2"
        ):
            small().fit(ROWS, checkpoint=tmp_path)
        assert (tmp_path / LOCK).exists()
    small(max_steps=1).fit(ROWS, checkpoint=tmp_path)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize(
    "holder",
    [
        {"pid": 2**22 + 7, "start": None, "since": "2001"},  # above any process number
        {"pid": os.getpid(), "start": "1", "since": "2001"},  # the number, used again
        {"pid": "x"},
    ],
)
def test_a_stale_lock_is_broken(tmp_path: Path, holder: dict[str, Any]) -> None:
    if holder.get("start") and not Path("/proc/self/stat").exists():
        pytest.skip("no start times of processes here")
    (tmp_path / LOCK).write_text(json.dumps(holder))
    small(max_steps=1).fit(ROWS, checkpoint=tmp_path)
    (tmp_path / LOCK).write_text('{"pi')
    small(max_steps=1).fit(ROWS, checkpoint=tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_a_folder_that_cannot_be_is_named_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "no" / "such"):
        with pytest.raises(SaveError, match=str(path)):
            small(max_steps=10**9).fit(ROWS, checkpoint=path)
    with pytest.raises(ModelError, match="checkpoint_every"):
        small().fit(ROWS, checkpoint=tmp_path, checkpoint_every=0)
