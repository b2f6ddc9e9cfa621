"""Training that is stopped, killed or robbed of a file ends with the bits of one that was not.

Rows C4 to C7, C9 and C20 of the catalogue, for every model that descends a loss.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import AncestralWarning, LSTMAutoregressive, NeuralGaussian, model_file
from ancestral.base import NotFittedError
from ancestral.checkpoints import LOCK, Checkpoints
from ancestral.descent import Descent
from ancestral.errors import FormatError, ModelError, SaveError
from tests.trust.same_bits import assert_same_bits

pytest.importorskip("torch", reason="PyTorch is an extra")

ROWS = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 1]])
SETTINGS = {"hidden_size": 6, "num_layers": 1, "max_steps": 60, "random_state": 0}


class Trained:
    """A model that is trained by steps, and data for it."""

    def __init__(self, cls: Any, *data: Any, **settings: Any) -> None:
        self.cls, self.data, self.settings = cls, data, {**SETTINGS, **settings}

    def make(self, **parameters: Any) -> Any:
        return self.cls(**{**self.settings, **parameters})

    def fit(self, data: Any = None, **options: Any) -> Any:
        """Fit with parameters of the model and options of fit, told apart by name."""
        kept = {name: options.pop(name) for name in list(options) if name.startswith("checkpoint")}
        return self.make(**options).fit(*(data or self.data), **kept)


LSTM = Trained(LSTMAutoregressive, ROWS)
X = np.linspace(-1, 1, 14).reshape(7, 2)
NETWORK = Trained(NeuralGaussian, X, np.sin(3 * X[:, 0]))
EVERY = pytest.mark.parametrize("of", [LSTM, NETWORK], ids=lambda of: of.cls.__name__)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Send this process signals while a given step is being taken."""

    def arrange(step: int, *numbers: int) -> None:
        descend = Descent._descend

        def with_signal(self: Any, loss: Any) -> None:
            if self.at.step == step:
                for number in numbers:
                    os.kill(os.getpid(), number)
            descend(self, loss)

        monkeypatch.setattr(Descent, "_descend", with_signal)

    return arrange


# ---- C4: killed ----------------------------------------------------------------------------------

KILLS = """
import hashlib, json, os, random, signal, sys, time
import numpy as np, torch
from ancestral import LSTMAutoregressive, NeuralGaussian
torch.set_num_threads(1)
name, data, settings, n_kills = json.loads(sys.argv[1])
data = [np.array(part) for part in data]

def fitted(**kept):
    cls = {"LSTM": LSTMAutoregressive, "network": NeuralGaussian}[name]
    return cls(**settings).fit(*data, **kept)

def digest(model):
    parts = [key.encode() + value.tobytes() for key, value in sorted(model.weights_.items())]
    said = repr((model.history_, model.loss_, model.score(*data)))
    return hashlib.sha256(b"".join(parts) + said.encode()).hexdigest()

def in_a_child(work):
    "Start a process that does the work and ends."
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child

def note(place, **kept):
    open(place, "w").write(digest(fitted(**kept)))

def has_reached(folder, step):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return any(name[5:].isdigit() and int(name[5:]) >= step for name in names)

def has_ended(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

note("whole")  # loads all that the children would load, each for itself
whole = open("whole").read()
rng, same, midway = random.Random(0), 0, 0
for k in range(n_kills):
    kept = {"checkpoint": f"run{k}", "checkpoint_every": 1}
    child = in_a_child(lambda: note("unused", **kept))
    step = rng.randrange(1, settings["max_steps"] - 4)
    while not has_reached(f"run{k}", step) and not has_ended(child):
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.01))  # into the steps and the saving after it
    os.kill(child, signal.SIGKILL)
    midway += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    resumed = in_a_child(lambda: note("resumed", **kept))
    same += os.waitpid(resumed, 0)[1] == 0 and open("resumed").read() == whole
print(json.dumps([same, midway]))
"""


@pytest.mark.parametrize(("of", "name"), [(LSTM, "LSTM"), (NETWORK, "network")])
def test_c4_killed_in_training_and_resumed_to_the_bit(
    of: Trained, name: str, in_memory: Path, long: bool, note: Any
) -> None:
    """Weights, history, loss and score after `kill -9` and resuming are the uninterrupted run's."""
    kills = 100 if long else 4
    settings = {**of.settings, "max_steps": 40, "batch_size": 2, "tol": 0.0}
    given = [name, [part.tolist() for part in of.data], settings, kills]
    done = subprocess.run(
        [sys.executable, "-c", KILLS, json.dumps(given)],
        cwd=in_memory,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    same, midway = json.loads(done.stdout)
    note(f"C4 {of.cls.__name__} killed in training: resumed to the bit", f"{same} of {kills}")
    assert same == kills
    assert midway >= 0.9 * kills  # hardly any had ended before it was killed


# ---- C5: Ctrl-C ----------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("step", [0, 7, 30])
def test_c5_ctrl_c_finishes_the_step_and_the_run_resumes_to_the_bit(
    of: Trained,
    tmp_path: Path,
    signal_at: Any,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    batch_size: Any,
) -> None:
    whole = of.fit(batch_size=batch_size)
    signal_at(step, signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=rf"after step {step + 1} .*checkpoint="):
        of.fit(batch_size=batch_size, checkpoint=tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()
    assert names(tmp_path) == [f"step-{step + 1:09d}"]
    assert_same_bits(of.fit(batch_size=batch_size, checkpoint=tmp_path), whole)


@EVERY
def test_c5_a_second_ctrl_c_stops_at_once_and_the_last_checkpoint_holds(
    of: Trained, tmp_path: Path, signal_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = of.fit()
    signal_at(25, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        of.fit(checkpoint=tmp_path, checkpoint_every=10)
    assert names(tmp_path) == ["step-000000010", "step-000000020"]
    monkeypatch.undo()
    assert_same_bits(of.fit(checkpoint=tmp_path), whole)


@EVERY
def test_c5_checkpoints_change_nothing_and_a_finished_run_repeats(
    of: Trained, tmp_path: Path
) -> None:
    whole = of.fit()
    for _ in range(2):
        assert_same_bits(of.fit(checkpoint=tmp_path, checkpoint_every=7), whole)
    assert len(names(tmp_path)) == 2  # the newest two, and no lock


@EVERY
@pytest.mark.parametrize("kept", [False, True])
def test_c5_an_interrupted_training_leaves_no_half_trained_model(
    of: Trained, kept: bool, tmp_path: Path, signal_at: Any
) -> None:
    """A new model is not fitted; one fitted before keeps what it had learnt then."""
    fitted, fresh = of.fit(max_steps=20), of.make()
    wanted = of.fit(max_steps=20)
    signal_at(5, signal.SIGINT)
    for model, name in ((fitted.set_params(max_steps=60), "again"), (fresh, "first")):
        with pytest.raises(KeyboardInterrupt):
            model.fit(*of.data, checkpoint=tmp_path / name if kept else None)
    assert_same_bits(fitted, wanted)
    with pytest.raises(NotFittedError):
        fresh.score(*of.data)
    with pytest.raises(NotFittedError):
        fresh.save(tmp_path / "model")


@EVERY
def test_c6_a_request_to_end_is_honoured_after_saving(
    of: Trained, tmp_path: Path, signal_at: Any
) -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        signal_at(5, signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt, match="after step 6"):  # no half-trained model
            of.fit(checkpoint=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert asked == [signal.SIGTERM]
    assert names(tmp_path) == ["step-000000006"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_c6_a_signal_that_is_ignored_stays_ignored(
    tmp_path: Path, signal_at: Any, number: int
) -> None:
    """As under `nohup`, or in the background of a script."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        signal_at(5, number)
        fitted = LSTM.fit(checkpoint=tmp_path)
        assert fitted.history_[-1]["step"] == SETTINGS["max_steps"]
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


@EVERY
@pytest.mark.parametrize("batch_size", [None, 2])
def test_c4_a_lost_loss_stops_a_resumed_run_as_it_does_a_whole_one(
    of: Trained, batch_size: Any, tmp_path: Path
) -> None:
    """Diverging again to the same end: the best weights are kept, and they are finite."""
    settings = {"learning_rate": 1e38, "hidden_size": 8, "batch_size": batch_size, "max_steps": 200}
    found = []
    for kept in ({}, {"checkpoint": tmp_path, "checkpoint_every": 1}, {"checkpoint": tmp_path}):
        with pytest.warns(AncestralWarning, match=r"loss is (nan|inf) at step \d+.*best weights"):
            found.append(of.fit(**settings, **kept))
    assert_same_bits(found[0], found[1])
    assert_same_bits(found[0], found[2])
    assert all(np.isfinite(value).all() for value in found[0].weights_.values())


# ---- C2, C7: no room, no place: said before training ---------------------------------------------

Usage = namedtuple("Usage", "total used free")


@EVERY
def test_c2_a_full_disk_is_said_before_training(
    of: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 1000))
    with pytest.raises(SaveError, match=r"no room: \d{6} bytes or more wanted, 1000 free"):
        of.fit(max_steps=10**9, checkpoint=tmp_path)
    assert not names(tmp_path)


@EVERY
def test_c2_checkpoints_fit_in_the_room_that_was_asked_for(of: Trained, tmp_path: Path) -> None:
    asked: list[int] = []

    class Asking(Checkpoints):
        def __init__(self, folder: Any, settings: Any, room: int) -> None:
            asked.append(room)
            super().__init__(folder, settings, room)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ancestral.descent.Checkpoints", Asking)
        of.fit(checkpoint=tmp_path, checkpoint_every=1, batch_size=2)
    largest = max(path.stat().st_size for path in tmp_path.iterdir())
    assert 3 * largest <= asked[0] < 1 << 20  # two are kept while a third is written


@EVERY
def test_c2_a_disk_that_fills_up_in_training_leaves_the_last_checkpoint(
    of: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls, sync = of.fit(), [0], os.fsync

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > 4:  # two to a checkpoint: the file's and the folder's
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match=r"no room: \d+ bytes wanted, \d+ free"):
        of.fit(checkpoint=tmp_path, checkpoint_every=10)
    monkeypatch.undo()
    assert names(tmp_path)[-1] == "step-000000020"
    assert_same_bits(of.fit(checkpoint=tmp_path), whole)


@EVERY
def test_c7_a_folder_that_cannot_be_is_named_before_training(of: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "no" / "such"):
        with pytest.raises(SaveError, match=str(path)):
            of.fit(max_steps=10**9, checkpoint=path)
    with pytest.raises(ModelError, match="checkpoint_every"):
        of.fit(checkpoint=tmp_path, checkpoint_every=0)


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
        said = rivals[0].communicate(timeout=60)[1]
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
