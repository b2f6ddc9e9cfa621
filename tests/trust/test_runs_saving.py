"""Saving is all or nothing: full disks, guarded places, killed processes, rivals.

Slow or destructive things happen in child processes that hold no more than the writer itself.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import PPCA, _files, model_file
from ancestral.errors import SaveError
from ancestral.io import write_array
from tests.conftest import PATIENCE
from tests.test_model_file import leftovers
from tests.trust.faults import each_fault, need_strace
from tests.zoo import CLOUD


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model"


# ---- the disk says no ----------------------------------------------------------------------------


def failing(number: int, *, after: int = 0) -> Callable[..., Any]:
    """Return a function that raises an OSError of this number on its call after `after` others."""
    calls = itertools.count()

    def fail(*args: Any) -> None:
        if next(calls) >= after:
            raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("function", "number"),
    [("fsync", errno.EIO), ("fsync", errno.ENOSPC), ("replace", errno.EXDEV)],
)
def test_c3_a_failing_disk_leaves_the_old_model(
    function: str, number: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = PPCA(1).fit(CLOUD).save(path).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, failing(number))
        with pytest.raises(SaveError, match=re.escape(os.strerror(number))) as caught:
            PPCA(1).fit(2 * CLOUD).save(path)
    assert str(path) in str(caught.value)
    assert "othing was changed" in str(caught.value)
    assert path.read_bytes() == before
    assert not leftovers(path)


def test_c3_no_space_half_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = PPCA(1).fit(CLOUD).save(path).read_bytes()

    def full(file: Any, data: bytes) -> None:
        file.write(data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_files, "_write_all", full)
    with pytest.raises(SaveError, match=r"no room: \d+ bytes wanted, \d+ free"):
        PPCA(1).fit(2 * CLOUD).save(path)
    assert path.read_bytes() == before
    assert not leftovers(path)


def test_c3_a_folder_that_cannot_be_synced_is_not_called_unchanged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename has happened: the new model is there, though a power cut might undo it."""
    monkeypatch.setattr(os, "fsync", failing(errno.EIO, after=1))
    with pytest.raises(SaveError, match="is written, but") as caught:
        PPCA(1).fit(CLOUD).save(path)
    assert "othing was changed" not in str(caught.value)
    assert ancestral.load(path).n_components == 1
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL, after=1))  # folders that know no sync
    PPCA(1).fit(CLOUD).save(path)


@pytest.mark.parametrize("name", ["", "no/such/model", "old/model"])
def test_c7_a_place_that_cannot_be_written_is_named(name: str, path: Path) -> None:
    PPCA(1).fit(CLOUD).save(path.with_name("old"))
    with pytest.raises(SaveError, match=r"is a folder|no such folder"):
        PPCA(1).fit(CLOUD).save(path.parent / name)


CHILD = """
import os, resource, signal, sys
from pathlib import Path
from ancestral import _files, model_file
from ancestral.errors import SaveError
from ancestral.io import write_array
old, new = Path("old.bytes").read_bytes(), Path("new.bytes").read_bytes()
path = Path("model")
def kill(*args): os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def memory_child(in_memory: Path) -> Callable[[str], subprocess.Popen]:
    """The same as `child`, in a folder whose syncing is quick."""
    return starter(in_memory / "model")


@pytest.fixture
def child(path: Path) -> Callable[[str], subprocess.Popen]:
    """A starter of processes in the model's folder that can save an old and a new model."""
    return starter(path)


def starter(path: Path) -> Callable[[str], subprocess.Popen]:
    PPCA(3).fit(np.random.default_rng(0).normal(size=(8, 4000))).save(path)
    path.rename(path.with_name("old.bytes"))
    PPCA(4).fit(np.random.default_rng(1).normal(size=(8, 5000))).save(path)
    path.rename(path.with_name("new.bytes"))
    path.write_bytes(path.with_name("old.bytes").read_bytes())
    environment = {"PYTHONPATH": str(Path(ancestral.__file__).parents[1]), "LANG": "C"}

    def start(code: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-O", "-c", CHILD + code],
            cwd=path.parent,
            env=environment,  # no HOME
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(process: subprocess.Popen) -> str:
    """Return what a child printed; it must have ended well."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out


def is_old_or_new(path: Path) -> bool:
    kept = [path.with_name(name).read_bytes() for name in ("old.bytes", "new.bytes")]
    return path.read_bytes() in kept and ancestral.load(path).n_components in (3, 4)


def test_c2_a_full_disk_leaves_the_old_model(path: Path, child: Any) -> None:
    code = """
limit = len(new) // 2
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    model_file.write_atomically(path, new)
except SaveError as error:
    print(error)
"""
    said = finish(child(code))
    assert re.search(rf"no room: {path.with_name('new.bytes').stat().st_size} bytes wanted", said)
    assert re.search(r"\d+ free", said)
    assert path.read_bytes() == path.with_name("old.bytes").read_bytes()
    assert leftovers(path) == ["new.bytes", "old.bytes"]


def test_c2_a_disk_of_one_megabyte(path: Path, child: Any) -> None:
    """A real full disk, where the tests may mount one."""
    disk = path.with_name("disk")
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    try:
        before = PPCA(1).fit(CLOUD).save(disk / "model").read_bytes()
        (disk / "other").write_bytes(bytes(900_000))
        with pytest.raises(SaveError, match=r"no room: \d{6} bytes wanted, \d+ free"):
            model_file.write_atomically(disk / "model", bytes(500_000))
        assert (disk / "model").read_bytes() == before
        assert leftovers(disk / "model") == ["other"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_c2_the_device_that_is_always_full_is_no_file() -> None:
    with pytest.raises(SaveError, match="is a device or a pipe, not a file"):
        PPCA(1).fit(CLOUD).save("/dev/full")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("guarded", ["folder", "file"])
def test_c7_what_is_read_only_is_refused(guarded: str, path: Path, child: Any) -> None:
    """Also when root runs the tests: the child then becomes nobody first."""
    code = """
os.chmod("." if sys.argv[0] and GUARDED == "folder" else "model", 0o555)
if GUARDED == "file":
    os.chmod(".", 0o777)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    model_file.write_atomically(path, new)
except SaveError as error:
    print(error)
"""
    said = finish(child(f"GUARDED = {guarded!r}" + code))
    path.parent.chmod(0o755)
    path.chmod(0o644)
    assert re.search(r"may not be written\. (Make it writable|Name a path)", said)
    assert path.read_bytes() == path.with_name("old.bytes").read_bytes()
    assert leftovers(path) == ["new.bytes", "old.bytes"]


# ---- the process dies ----------------------------------------------------------------------------

DEATHS = {
    "before writing": "_files._write_all = kill",
    "half written": (
        "def half(file, data): file.write(data[: len(data) // 2]); kill()\n_files._write_all = half"
    ),
    "before it is synced": "os.fsync = kill",
    "before it is renamed": "os.replace = kill",
    "after it is renamed": "_files._sync_parent = kill",
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_c1_killed_while_saving_at_each_stage(death: str, path: Path, child: Any) -> None:
    process = child(f"{death}\nmodel_file.write_atomically(path, new)")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert is_old_or_new(path)
    path.write_bytes(path.with_name("old.bytes").read_bytes())
    PPCA(1).fit(CLOUD).save(path)  # sweeps what the dead process left
    assert leftovers(path) == ["new.bytes", "old.bytes"]


FORKS = """
import json, random, time
rng = random.Random(0)

def save(kill_after):
    # Fork a writer, kill it so long after it has begun, or at its end; return what saving took.
    path.write_bytes(old)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"begun")
        model_file.write_atomically(path, new)
        os.write(tell, b"ended")
        while True:
            time.sleep(1)
    os.read(told, 5)
    begun = time.perf_counter()
    if kill_after is None:
        os.read(told, 5)
    else:
        time.sleep(kill_after)
    took = time.perf_counter() - begun
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(told), os.close(tell)
    return took

whole, kinds, took = 0, set(), sorted(save(None) for _ in range(9))[4]
for _ in range(ROUNDS):
    save(rng.uniform(0, 2 * took))
    left = path.read_bytes()
    whole += left in (old, new) and model_file.load(path).n_components in (3, 4)
    kinds.add("new" if left == new else "old")
print(json.dumps([whole, sorted(kinds)]))
"""


def test_c1_killed_at_any_time_while_saving(
    in_memory: Path, memory_child: Any, note: Any, long: bool
) -> None:
    """Killed at random points of one save: from before it begins to after its end."""
    rounds = 200 if long else 50
    path = in_memory / "model"
    whole, kinds = json.loads(finish(memory_child(f"ROUNDS = {rounds}" + FORKS)))
    note("C1 kill -9 during a save: the model is the old or the new", f"{whole} of {rounds}")
    assert whole == rounds
    assert kinds == ["new", "old"]  # the points span the renaming
    PPCA(1).fit(CLOUD).save(path)  # sweeps what the dead have left
    assert leftovers(path) == ["new.bytes", "old.bytes"]


def test_c1_only_temporary_files_that_nobody_holds_are_swept(path: Path) -> None:
    model = PPCA(1).fit(CLOUD)
    of_living = path.with_name(_files.hidden_name(path))
    held = os.open(of_living, os.O_CREAT | os.O_RDWR)
    assert _files.hold(held)
    of_dead = path.with_name(_files.hidden_name(path))
    of_another = path.with_name(_files.hidden_name(path.with_name("models")))
    for name in (of_dead, of_another):
        name.write_bytes(b"half")
    model.save(path)
    assert leftovers(path) == sorted([of_living.name, of_another.name])
    os.close(held)
    model.save(path)
    assert leftovers(path) == [of_another.name]


# ---- rivals --------------------------------------------------------------------------------------


def test_c8_t6_two_processes_saving_one_path_leave_a_whole_model(
    path: Path, child: Any, note: Any
) -> None:
    """The last wins whole; whoever reads meanwhile finds a whole model, too."""
    code = """
for _ in range(50):
    model_file.write_atomically(path, DATA)
"""
    rivals = [child(f"DATA = {name}" + code) for name in ("old", "new")]
    seen, whole = 0, 0
    while any(process.poll() is None for process in rivals):
        seen, whole = seen + 1, whole + is_old_or_new(path)
    for process in rivals:
        finish(process)
    note("C8 reads during 50 rounds of two writers: a whole model", f"{whole} of {seen}")
    assert whole == seen > 0
    assert is_old_or_new(path)
    assert leftovers(path) == ["new.bytes", "old.bytes"]


def test_c8_threads_saving_one_path_leave_a_whole_model(path: Path) -> None:
    contents = [bytes([i]) * 300_000 for i in range(4)]
    errors: list[BaseException] = []

    def save_often(data: bytes) -> None:
        try:
            for _ in range(25):
                model_file.write_atomically(path, data)
                assert path.read_bytes() in contents
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=save_often, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert path.read_bytes() in contents
    assert not leftovers(path)


# ---- rivals of other namespaces, as containers that share a disk ----------------------------


def in_a_namespace(code: str, folder: Path) -> subprocess.Popen:
    """Run Python as process 1 of a process namespace of its own; skip where that is not allowed."""
    alone = ["unshare", "-Urpf", "--mount-proc"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no namespaces may be made here")
    return subprocess.Popen(
        [*alone, sys.executable, "-c", "import os; assert os.getpid() == 1\n" + code],
        cwd=folder,
        env={"PYTHONPATH": str(Path(ancestral.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_t6_two_namespaces_saving_one_path(in_memory: Path, note: Any, long: bool) -> None:
    saves = 5_000 if long else 200
    code = f"""
import numpy as np
import ancestral
X = np.random.default_rng(0).normal(size=(9, SIZE))
model, failed = ancestral.PPCA(1).fit(X), 0
print("ready", flush=True)
input()
for _ in range({saves}):
    try:
        model.save("model")
    except ancestral.AncestralError:
        failed += 1
print(failed)
"""
    rivals = [in_a_namespace(code.replace("SIZE", size), in_memory) for size in ("20", "3000")]
    for process in rivals:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in rivals:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    seen, whole = 0, 0
    while any(process.poll() is None for process in rivals):
        if (in_memory / "model").exists():
            seen += 1
            whole += ancestral.load(in_memory / "model").n_features_in_ in (20, 3000)
        time.sleep(0.01)  # the processor is theirs
    failed = [int(finish(process)) for process in rivals]
    note(
        "T6 saves of one path from two namespaces that failed; reads meanwhile that did",
        f"{sum(failed)} of {2 * saves:,}; {seen - whole} of {seen:,}",
    )
    assert failed == [0, 0]
    assert whole == seen > 0
    assert os.listdir(in_memory) == ["model"]


def test_t6_the_temporary_of_a_private_model_is_private_at_every_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)
    try:
        for mode in (0o600, 0o640, 0o664):
            PPCA(1).fit(CLOUD).save(path)
            path.chmod(mode)
            seen: list[int] = []

            def spy(name: str, seen: list[int] = seen) -> Callable[..., Any]:
                real = getattr(os, name)

                def call(*args: Any, **options: Any) -> Any:
                    result = real(*args, **options)
                    seen.extend(
                        entry.stat().st_mode & 0o777
                        for entry in path.parent.iterdir()
                        if entry.name.endswith(".tmp")
                    )
                    return result

                return call

            with monkeypatch.context() as patch:
                for name in ("open", "fsync", "chmod"):
                    patch.setattr(os, name, spy(name))
                PPCA(1).fit(CLOUD).save(path)
            assert seen
            assert all(there & ~mode == 0 for there in seen)
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


# ---- every system call -----------------------------------------------------------------------


def test_t6_every_system_call_of_a_save_may_fail_or_be_the_last(
    in_memory: Path, note: Any, long: bool
) -> None:
    need_strace()
    code = """
from ancestral import _files
begin()
try:
    _files.write_atomically("model", b"new" * 1000)
    said = 0
except ValueError:
    said = 3
end()
sys.exit(said)
"""
    old, new = b"old" * 1000, b"new" * 1000

    def reset() -> Path:
        folder = in_memory / "save"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "model").write_bytes(old)
        (folder / "model").chmod(0o600)
        return folder

    tried = lost = 0
    for what, folder, done in each_fault(code, reset, every=1 if long else 3):
        left = (folder / "model").read_bytes()
        told = left == new if done.returncode == 0 else done.returncode in (3, -9, 137)
        harmed = left not in (old, new) or not told or (folder / "model").stat().st_mode & 0o77
        tried, lost = tried + 1, lost + bool(harmed)
        assert not harmed, (what, done.returncode, left[:9], done.stderr[-500:])
        _files.write_atomically(folder / "model", new)  # sweeps what the dead left
        assert [entry.name for entry in folder.iterdir()] == ["model"], what
    note("each system call of a save failed or was the last: models lost", f"{lost} of {tried}")
    assert tried > 10


def test_t2_every_system_call_of_sampling_into_a_file_may_fail_or_be_the_last(
    in_memory: Path, note: Any, long: bool
) -> None:
    """The old draws stay whole, or the new ones are: `ancestral sample -o ... --force`."""
    need_strace()
    name = "drawn.csv"
    code = f"""
from ancestral import cli
def sample(name):
    try:
        cli.main(["sample", "a.model", "-n", "300", "--random-state", "0", "-o", name, "--force"])
    except SystemExit as end:
        return end.code
sample("first-{name}")  # imports
begin()
said = sample({name!r})
end()
os._exit(said)
"""
    model = PPCA(1).fit(CLOUD)
    before = {"a.model": model.save(in_memory / "a.model").read_bytes(), name: b"old draws"}
    drawn = f"first-{name}"

    def reset() -> Path:
        folder = in_memory / "sample"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file, content in before.items():
            (folder / file).write_bytes(content)
        return folder

    tried = lost = 0
    for what, folder, done in each_fault(code, reset, every=1 if long else 19):
        left = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
        new = left[drawn]  # the same draws, written undisturbed
        told = left[name] == new if done.returncode == 0 else left[name] in (b"old draws", new)
        hidden = [entry for entry in left if entry.startswith(".")]
        harmed = not told or left["a.model"] != before["a.model"]
        harmed = harmed or (bool(hidden) and done.returncode not in (-9, 137))
        tried, lost = tried + 1, lost + harmed
        assert not harmed, (what, done.returncode, done.stderr[-800:])
        assert done.returncode in (0, 1, -9, 137), (what, done.returncode, done.stderr[-800:])
        assert "Traceback" not in done.stderr, (what, done.stderr)
        write_array(folder / name, np.ones((2, 2)))  # sweeps what the dead left
        assert {entry.name for entry in folder.iterdir()} == {"a.model", drawn, name}, what
    note("each system call of `sample -o` failed or was the last: lost", f"{lost} of {tried}")
    assert tried > 3
