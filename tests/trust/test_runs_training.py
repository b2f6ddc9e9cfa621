"""Training that is stopped, killed or robbed of a file ends with the bits of one that was not.

Rows C4 to C7 of the catalogue, for every model that descends a loss.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import AncestralWarning
from ancestral.base import NotFittedError
from ancestral.errors import ModelError, SaveError
from ancestral.training.checkpoints import Checkpoints
from ancestral.training.descent import Descent
from tests.trust.same_bits import assert_same_bits
from tests.trust.trained import EVERY, LSTM, NETWORK, SETTINGS, Trained, names

pytest.importorskip("torch", reason="PyTorch is an extra")


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Send this process signals while a given step is being taken."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background

    def arrange(step: int, *numbers: int) -> None:
        descend = Descent._descend

        def with_signal(self: Any, loss: Any) -> None:
            if self.at.step == step:
                for number in numbers:
                    os.kill(os.getpid(), number)
            descend(self, loss)

        monkeypatch.setattr(Descent, "_descend", with_signal)

    yield arrange
    signal.signal(signal.SIGINT, before)


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


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_c6_a_signal_that_is_ignored_stays_ignored(
    tmp_path: Path, signal_at: Any, number: int
) -> None:
    """As under `nohup`; Ctrl-C apart, which every job in the background of a script ignores."""
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
        patch.setattr("ancestral.training.descent.Checkpoints", Asking)
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
