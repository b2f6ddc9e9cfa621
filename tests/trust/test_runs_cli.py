"""Commands that are interrupted, ended, cut off from their reader or sent to a closed place.

Rows C5, C6, C7 and C19 of the catalogue, through the real command line in processes of their own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.training.checkpoints import Checkpoints
from tests.conftest import PATIENCE
from tests.trust.same_bits import assert_same_bits

COMMAND = [sys.executable, "-m", "ancestral.cli"]


def start(*arguments: Any, **options: Any) -> subprocess.Popen:
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}

    def heed() -> None:
        """Ignore nothing, as what runs the tests may: the background Ctrl+C, `nohup` a hang-up."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen([*COMMAND, *map(str, arguments)], preexec_fn=heed, **settings)


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait while the process runs."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start `ancestral fit lstm` with checkpoints in tmp_path/"a run", once it has taken steps."""
    pytest.importorskip("torch", reason="torch is an extra")
    started: list[subprocess.Popen] = []

    def begin(*, steps: int = 200, size: int = 8, every: int = 3, **options: Any) -> Any:
        flags = ["--hidden-size", size, "--num-layers", 1, "--random-state", 0, "--tol", 0]
        flags += ["--max-steps", steps, "--patience", steps, "--checkpoint-every", every]
        process = start(
            "fit", "lstm", "@icons", "-o", tmp_path / "m", *flags,
            "--checkpoint", tmp_path / "a run", **options,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def steps_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def whole_run(steps: int) -> Any:
    settings: dict[str, Any] = {"hidden_size": 8, "num_layers": 1, "random_state": 0, "tol": 0}
    model = ancestral.LSTMAutoregressive(**settings, max_steps=steps, patience=steps)
    return model.fit(datasets.icons()[0])


# ---- C5 ------------------------------------------------------------------------------------------


def test_c5_ctrl_c_once_saves_and_says_how_to_resume(training: Any, tmp_path: Path) -> None:
    process = training()
    wait_until(lambda: bool(steps_in(tmp_path / "a run")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted: training was stopped after step ")
    assert f"--checkpoint '{tmp_path / 'a run'}'" in err  # as a shell takes it
    assert "Traceback" not in err
    assert not (tmp_path / "m").exists()
    assert not list((tmp_path / "a run").glob("training*"))  # the folder is free again
    step = int(err.partition("after step ")[2].split()[0])
    assert steps_in(tmp_path / "a run")[-1].name == f"step-{step:09d}"
    again = training()
    assert again.wait(PATIENCE) == 0
    assert_same_bits(ancestral.load(tmp_path / "m"), whole_run(200))


def test_c5_ctrl_c_twice_stops_now_and_the_last_checkpoint_is_whole(
    training: Any, tmp_path: Path
) -> None:
    process = training(steps=10**6, size=300, every=1)
    wait_until(lambda: bool(steps_in(tmp_path / "a run")), process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in err
    newest = steps_in(tmp_path / "a run")[-1]
    assert Checkpoints._read(newest)["step"] == int(newest.name[5:])
    assert not (tmp_path / "m").exists()


PTY = """
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-m", "ancestral.cli", *sys.argv[2:]])
while not any(name.startswith("step-") for name in os.listdir(sys.argv[1])):
    time.sleep(0.01)
os.write(terminal, bytes([3]))  # the key itself
said = b""
try:
    while part := os.read(terminal, 4096):
        said += part
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
sys.stdout.buffer.write(said)
"""


def test_c5_the_key_on_a_terminal(tmp_path: Path) -> None:
    """With the progress bar up, which must not swallow the words."""
    pytest.importorskip("torch", reason="torch is an extra")
    pytest.importorskip("pty", reason="no terminals here")
    folder = tmp_path / "run"
    folder.mkdir()
    flags = ["--hidden-size", "8", "--max-steps", "1000000", "--checkpoint-every", "3"]
    arguments = ["fit", "lstm", "@icons", "-o", str(tmp_path / "m"), "--checkpoint", str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", PTY, str(folder), *arguments, *flags, "--tol", "0"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    code, _, said = done.stdout.partition("\n")
    assert int(code) == 130
    said = " ".join(said.split())
    assert "interrupted: training was stopped after step" in said
    assert "run it again with --checkpoint" in said


def test_c5_without_checkpoints_ctrl_c_names_them(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is an extra")
    flags = ["--max-steps", 10**6, "--tol", 0, "--verbose", "--hidden-size", 8]
    process = start("fit", "lstm", "@icons", "-o", tmp_path / "m", *flags)
    assert "step" in process.stderr.readline()  # the bar of a training that runs
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted: nothing was saved. With --checkpoint FOLDER" in err
    assert not list(tmp_path.iterdir())


def test_c5_ctrl_c_says_so_and_leaves_no_half_report(tmp_path: Path) -> None:
    for package in ("typst", "jinja2", "matplotlib", "skimage", "torch"):
        pytest.importorskip(package, reason="the report is an extra")
    process = start("report", "-o", tmp_path / "out")
    assert "Reading the data" in process.stderr.readline()  # now in the middle of the fits
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted" in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


# ---- C6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_c6_a_request_to_end_saves_and_ends_as_asked(
    number: signal.Signals, training: Any, tmp_path: Path
) -> None:
    process = training(steps=10**6, every=10**6)
    wait_until((tmp_path / "a run" / "training.lock").exists, process)
    time.sleep(0.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -number  # what asked can see that it was obeyed
    assert "Traceback" not in err
    (kept,) = steps_in(tmp_path / "a run")  # written at the signal: none was due
    assert Checkpoints._read(kept)["step"] == int(kept.name[5:])


def test_c6_a_closed_pipe_is_silent(saved: Path) -> None:
    process = start("sample", saved / "tabular", "-n", 200_000)
    process.stdout.readline()
    process.stdout.close()
    process.wait(PATIENCE)
    assert process.stderr.read() == ""


def test_c6_a_closed_stdout_is_no_error_of_ours(saved: Path) -> None:
    command = f'"{sys.executable}" -m ancestral.cli inspect "{saved / "tabular"}" >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of saved models and of a set to score."""
    folder = tmp_path_factory.mktemp("models")
    ancestral.TabularAutoregressive().fit(datasets.icons()[0]).save(folder / "tabular")
    ancestral.TabularAutoregressive(0.5).fit(datasets.icons()[0]).save(folder / "smooth")
    ancestral.InnerProductGraph().fit(datasets.classrooms()).save(folder / "graph")
    X = (np.random.default_rng(0).random((60, 3)) < 0.3).astype(np.uint8)
    np.savez(folder / "tiny.npz", train=X[:40], valid=X[40:50], test=X[50:])
    return folder


COMMANDS = {
    "help": ["--help"],
    "fit tabular": ["fit", "tabular", "@icons", "-o", "{tmp}/m"],
    "fit linear": ["fit", "linear", "@diabetes", "-o", "{tmp}/m", "--json"],
    "fit graph": ["fit", "graph", "@classrooms", "-o", "{tmp}/m"],
    "fit lstm": ["fit", "lstm", "@icons", "-o", "{tmp}/m", "--max-steps", "2"],
    "sample": ["sample", "{saved}/tabular", "-n", "20000"],
    "sample as JSON": ["sample", "{saved}/tabular", "-n", "20000", "--json"],
    "sample graphs": ["sample", "{saved}/graph", "-n", "2000"],
    "score": ["score", "{saved}/tabular", "@icons"],
    "impute": ["impute", "{saved}/tabular", "@icons"],
    "predict": ["predict", "{saved}/graph", "@classrooms"],
    "compare": ["compare", "{saved}/tabular", "{saved}/smooth", "@icons"],
    "inspect": ["inspect", "{saved}/graph"],
    "inspect as JSON": ["inspect", "{saved}/tabular", "--json"],
    "bench": ["bench", "debd", "{saved}/tiny.npz"],
    "studio --export": ["studio", "--export", "{tmp}/page.html", "--force"],
    "report": ["report", "-o", "{tmp}/out"],
}
SLOW = ("report", "studio --export", "bench", "fit lstm")  # trained for: in the long version only
NEEDS = {"fit lstm": ["torch"], "bench": ["lightgbm"]}
NEEDS["report"] = NEEDS["studio --export"] = ["typst", "jinja2", "matplotlib", "skimage", "torch"]


@pytest.mark.parametrize("name", COMMANDS)
def test_c6_a_reader_that_goes_away_is_no_error(
    name: str, saved: Path, tmp_path: Path, long: bool
) -> None:
    """`| head -1`, and a reader gone before the first word: nothing on stderr but what is said."""
    if name in SLOW and not long:
        pytest.skip("trains for a while: in the long version")
    for package in NEEDS.get(name, []):
        pytest.importorskip(package, reason=f"{package} is an extra")
    arguments = [part.format(tmp=tmp_path, saved=saved) for part in COMMANDS[name]]
    command = " ".join(f"'{part}'" for part in [*COMMAND, *arguments])
    script = f"{{ {command}; echo code $? >&2; }} | head -1"
    one_line = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert one_line.stdout.count("\n") == 1
    read, write = os.pipe()
    os.close(read)
    gone = start(*arguments, stdout=write)
    os.close(write)
    _, err = gone.communicate(timeout=PATIENCE)
    assert gone.returncode == 0
    for said in (one_line.stderr, err):
        assert not any(word in said for word in ("Traceback", "Broken", "Exception")), said
    assert one_line.stderr.splitlines()[-1] == "code 0"


# ---- C7 ------------------------------------------------------------------------------------------

GUARDED = """
import ctypes, os, sys
if os.geteuid() == 0:  # root may write anywhere, until it gives up the capability to
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.environ.pop("HOME", None)
os.chdir(sys.argv[1])
os.execv(sys.executable, [sys.executable, "-m", "ancestral.cli", *sys.argv[2:]])
"""


@pytest.fixture
def shut(tmp_path: Path) -> Iterator[Path]:
    """A folder that may be read only."""
    folder = tmp_path / "shut"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def guarded(folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without a home and without the right to write what is shut."""
    return subprocess.run(
        [sys.executable, "-c", GUARDED, str(folder), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "tabular", "@icons", "-o", "m"],
        ["fit", "lstm", "@icons", "-o", "m", "--max-steps", 10**9],
        ["fit", "lstm", "@icons", "-o", "../m", "--max-steps", 10**9, "--checkpoint", "run"],
        ["fit", "lstm", "@icons", "-o", "../m", "--max-steps", 10**9, "--checkpoint", "."],
        ["report", "-o", "out"],
        ["sample", "{saved}/tabular", "-n", 10**6, "-o", "draws.npy"],
        ["score", "{saved}/tabular", "@icons", "-o", "scores.npy"],
        ["impute", "{saved}/tabular", "@icons", "-o", "filled.npy"],
        ["predict", "{saved}/graph", "@classrooms", "-o", "edges.csv"],
        ["studio", "--export", "page.html"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:3])),
)
def test_c7_a_place_that_may_not_be_written_is_said_first(
    arguments: list[Any], shut: Path, saved: Path
) -> None:
    """Before the work whose result it is to hold, which would take hours here."""
    if "lstm" in arguments:
        pytest.importorskip("torch", reason="torch is an extra")
    given = [part.format(saved=saved) if isinstance(part, str) else part for part in arguments]
    done = guarded(shut, *given)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "may not be written" in done.stderr or "cannot be" in done.stderr
    assert not list(shut.iterdir())


def test_c7_without_a_home_in_a_closed_folder_one_can_work(shut: Path, saved: Path) -> None:
    """What needs no place to write must not look for one."""
    done = guarded(shut, "score", saved / "tabular", "@icons", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["mean_log_density"]
    assert said == pytest.approx(-np.log(len(datasets.icons()[0])))
    assert done.stderr == ""


# ---- C19: the studio's server stopped while it trains -----


@pytest.mark.parametrize("twice", [False, True])
def test_c19_the_server_stopped_while_a_room_is_made(twice: bool) -> None:
    """Once: the room being made is finished, as is said. Twice: gone at once. No traceback."""
    for package in ("uvicorn", "starlette", "torch", "skimage"):
        pytest.importorskip(package, reason="the studio is an extra")
    process = start("studio", "--no-browser", "--port", 0)
    try:
        assert "?token=" in process.stdout.readline()
        assert "Ctrl+C closes it" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        given_up = threading.Timer(PATIENCE, process.kill)  # no line may be waited for for ever
        given_up.start()
        said = process.stdout.readline()
        given_up.cancel()
        assert said == "" or "when the room that is being made is done" in said
        if twice and said:
            process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE)
        assert process.returncode in ((130, 0) if twice else (0,))
        assert "Traceback" not in err and rest == ""
    finally:
        process.kill()
        process.communicate()
