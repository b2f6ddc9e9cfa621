"""A saved model is whole or refused: damage, other versions, crashes, full disks, rivals.

Slow or destructive things happen in child processes that hold no more than the writer itself.
"""

from __future__ import annotations

import copy
import errno
import itertools
import json
import os
import random
import re
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
from hypothesis import given, settings
from hypothesis import strategies as st

import ancestral
from ancestral import PPCA, LinearGaussian, TabularAutoregressive, model_file
from ancestral.errors import FormatError, SaveError
from tests.zoo import CLOUD, INPUTS, TARGET, WIDE, ZOO, Entry

SAVED = [entry for entry in ZOO if type(entry.make()).__name__ in model_file.REGISTRY]
EVERY = pytest.mark.parametrize("entry", SAVED, ids=lambda e: e.name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model"


def write(path: Path, name: str, params: dict[str, Any], state: dict[str, Any]) -> Path:
    """Write a file with a right digest, whatever it says."""
    path.write_bytes(model_file._to_bytes(name, params, state))
    return path


def parts(model: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return what a file of the model holds, to be tampered with."""
    state = copy.deepcopy(model._fitted_state())
    return type(model).__name__, model.get_params(deep=False), state


def leftovers(path: Path) -> list[str]:
    """Return the names of the files beside a saved one."""
    return sorted(entry.name for entry in path.parent.iterdir() if entry != path)


# ---- what comes back -----------------------------------------------------------------------------


@EVERY
def test_a_loaded_model_is_the_saved_one_to_the_bit(entry: Entry, path: Path) -> None:
    model = entry.fit()
    assert model.save(path) == path
    again = ancestral.load(path)
    np.testing.assert_array_equal(again.log_density(*entry.data), model.log_density(*entry.data))
    assert not leftovers(path)


def test_memory_order_and_names_come_back(path: Path) -> None:
    """safetensors once wrote Fortran-ordered memory as if it were in C order."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(CLOUD, columns=["länge", "width"])
    model = PPCA(1).fit(frame)
    model.loadings_ = np.asfortranarray(np.tile(model.loadings_, (1, 1)))
    model.components_ = np.asfortranarray(model.components_)
    again = ancestral.load(model.save(path))
    assert list(again.feature_names_in_) == ["länge", "width"]
    np.testing.assert_array_equal(again.loadings_, model.loadings_)
    np.testing.assert_array_equal(again.sample(3, random_state=0), model.sample(3, random_state=0))
    with pytest.raises(ancestral.AncestralError, match="names"):
        again.log_density(frame[["width", "länge"]])


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([np.float32(0.1), np.int8(3), np.bool_(True)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text().filter(lambda k: k[:1] != "$"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(value=PLAIN)
def test_plain_values_come_back_of_their_own_type(value: Any) -> None:
    document = json.dumps(model_file._encode(value, {}, "value"), allow_nan=False)
    again = model_file._decode(json.loads(document), {})
    np.testing.assert_equal(again, value)
    assert isinstance(again, type(value.item() if isinstance(value, np.generic) else value))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.zeros((0, 3)),
        np.array([True, False]),
        np.array([1, -(2**62)]),
        np.array([np.nan, np.inf, -0.0]),
        np.array(["a", "bcd", ""]),
        np.array(["a", "bcd"], dtype=object),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_come_back_with_dtype_and_shape(array: np.ndarray, path: Path) -> None:
    write(path, "PPCA", {}, {"array_": array})
    header, arrays = model_file._read_checked(path)
    again = model_file._decode(json.loads(header["document"])["state"], arrays)["array_"]
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


def test_a_live_generator_is_stored_as_none(path: Path) -> None:
    graphs = ancestral.datasets.classrooms(20)
    model = ancestral.InnerProductGraph(random_state=np.random.default_rng(0)).fit(graphs)
    assert ancestral.load(model.save(path)).random_state is None


def test_what_has_no_saved_form_is_refused_before_anything_is_written(path: Path) -> None:
    model = PPCA(1).fit(CLOUD)
    model.note_ = object()
    with pytest.raises(SaveError, match="note_: a object has no saved form"):
        model.save(path)
    with pytest.raises(SaveError, match="Other has no saved form"):
        type("Other", (PPCA,), {})(1).fit(CLOUD).save(path)
    with pytest.raises(ancestral.AncestralError, match="call fit first"):
        PPCA(1).save(path)
    assert not path.exists() and not leftovers(path)


@pytest.mark.parametrize("name", ["a model.v1", "-rf", "модель ✓", "é" * 127, "x" * 255, ".tmp"])
def test_any_file_name_will_do(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for _ in range(2):
        PPCA(1).fit(CLOUD).save(path)
    assert ancestral.load(path).n_components == 1
    assert not leftovers(path)


# ---- damage --------------------------------------------------------------------------------------


def test_one_changed_byte_anywhere_is_refused(path: Path) -> None:
    """Every byte of the file once, each to another seeded value."""
    data = PPCA(1).fit(CLOUD).save(path).read_bytes()
    rng = random.Random(0)
    assert len(data) > 800
    for place, byte in enumerate(data):
        damaged = bytearray(data)
        damaged[place] = (byte + rng.randrange(1, 256)) % 256
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=re.escape(str(path))):
            ancestral.load(path)


def test_one_changed_bit_in_a_larger_file_is_refused(path: Path) -> None:
    data = PPCA(3).fit(WIDE).save(path).read_bytes()
    rng = random.Random(1)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            ancestral.load(path)


def test_a_file_cut_anywhere_or_too_long_is_refused(path: Path) -> None:
    data = PPCA(1).fit(CLOUD).save(path).read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            ancestral.load(path)
    for longer in (data + b"\0", data + data, b"\0" + data):
        path.write_bytes(longer)
        with pytest.raises(FormatError):
            ancestral.load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        b"\xff" * 64,
        (2**60).to_bytes(8, "little") + b"{}",
        (6).to_bytes(8, "little") + b'["a"]]',
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
    ],
    ids=["empty", "pickle", "zip", "npy", "noise", "huge header", "no object", "deep nest"],
)
def test_what_is_no_model_file_is_named(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"model: (is not a model file|file is empty)"):
        ancestral.load(path)


def test_a_plain_safetensors_file_is_not_a_model(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"mean_": np.zeros(3)}, path)
    with pytest.raises(FormatError, match="is not a model file"):
        ancestral.load(path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero"), tmp_path / "link"):
        with pytest.raises(FormatError, match=r"not a regular file|no such file"):
            ancestral.load(path)
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(model_file.MAX_BYTES + 1)
    with pytest.raises(FormatError, match="more than a model file has"):
        ancestral.load(tmp_path / "sparse")


# ---- files with a right digest that hold no model ------------------------------------------------


def test_another_class_is_refused(path: Path) -> None:
    _, params, state = parts(PPCA(1).fit(CLOUD))
    for name in ("Popen", "os.system", "", "GaussianMixture"):
        with pytest.raises(FormatError, match="this version does not know"):
            ancestral.load(write(path, name, params, state))
    for name in ("LinearGaussian", "TabularAutoregressive", "InnerProductGraph"):
        with pytest.raises(FormatError, match=f"not a whole {name}"):
            ancestral.load(write(path, name, params, state))
        with pytest.raises(FormatError, match=f"not a whole {name}"):
            ancestral.load(write(path, name, {}, state))


def test_a_newer_format_names_both_versions(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = model_file.FORMAT_VERSION + 1
    with monkeypatch.context() as patch:
        patch.setattr(model_file, "FORMAT_VERSION", newer)
        PPCA(1).fit(CLOUD).save(path)
    with pytest.raises(FormatError, match=rf"format {newer}; .* up to {newer - 1}.*Update"):
        ancestral.load(path)


@EVERY
def test_a_missing_or_unknown_field_is_refused(entry: Entry, path: Path) -> None:
    name, params, state = parts(entry.fit())
    scores = entry.fit().log_density(*entry.data)
    for field in state:
        without = {key: value for key, value in state.items() if key != field}
        check_refused_or_equal(write(path, name, params, without), entry, scores)
    for unknown in ("_check_fitted", "log_density", "__class__", "n_parameters_"):
        with pytest.raises(FormatError, match=f"not a whole {name}"):
            ancestral.load(write(path, name, params, {**state, unknown: 1}))
    with pytest.raises(FormatError, match=f"not a whole {name}"):
        ancestral.load(write(path, name, {**params, "no_such_parameter": 1}, state))
    with pytest.raises(FormatError, match=f"not a whole {name}"):
        ancestral.load(write(path, name, params, {}))


def check_refused_or_equal(path: Path, entry: Entry, scores: np.ndarray) -> None:
    """A tampered file is refused, unless what was changed has no part in the density."""
    try:
        model = ancestral.load(path)
    except FormatError:
        return
    np.testing.assert_array_equal(model.log_density(*entry.data), scores)


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every array and number in a nest of lists and dicts, and where it stands."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inner:
            yield from leaves(part, (*at, key))
    elif isinstance(value, np.ndarray | float | int):
        yield at, value


def replaced(state: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the state with another value at one place."""
    changed = copy.deepcopy(state)
    home = changed
    for key in at[:-1]:
        home = home[key]
    home[at[-1]] = value
    return changed


def tampered(value: Any) -> Iterator[Any]:
    """Yield what a value must not be: NaN, infinite, of another shape or type."""
    if not isinstance(value, np.ndarray):
        yield from (float("nan"), float("-inf"), "0.5", None)
        return
    if value.dtype.kind == "f" and value.size:
        for bad in (np.nan, np.inf):
            other = value.copy()
            other.flat[other.size // 2] = bad
            yield other
    if value.dtype.kind == "f":  # fewer levels might be another whole model
        yield value[:-1]
    yield from (np.concatenate([value, value]), value[None], None, 0.5)


@EVERY
def test_no_tampered_value_changes_a_score(entry: Entry, path: Path) -> None:
    model = entry.fit()
    name, params, state = parts(model)
    scores = model.log_density(*entry.data)
    everything = list(leaves(state))
    few = [leaf for leaf in everything if leaf[0][0] != "history_" or leaf[0][1] == 0]
    for at, value in few:
        for bad in tampered(value):
            write(path, name, params, replaced(state, at, bad))
            check_refused_or_equal(path, entry, scores)


@pytest.mark.parametrize("variance", [-0.1, -1e-300, -np.inf, np.nan, np.inf])
def test_no_variance_below_zero(variance: float, path: Path) -> None:
    for model in (PPCA(1).fit(CLOUD), LinearGaussian().fit(INPUTS, TARGET)):
        name, params, state = parts(model)
        state["noise_variance_"] = variance
        with pytest.raises(FormatError, match="variance"):
            ancestral.load(write(path, name, params, state))


def test_a_table_whose_rows_are_no_distributions_is_refused(path: Path) -> None:
    name, params, state = parts(TabularAutoregressive().fit([[0, 1], [1, 1], [1, 0]]))
    for row in ([0.6, 0.6], [1.5, -0.5], [np.nan, 1.0]):
        tables = [np.array([row]), *state["probabilities_"][1:]]
        with pytest.raises(FormatError, match="does not sum to one"):
            ancestral.load(write(path, name, params, {**state, "probabilities_": tables}))


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
def test_a_failing_disk_leaves_the_old_model(
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


def test_no_space_when_the_file_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = PPCA(1).fit(CLOUD).save(path).read_bytes()

    class Full:
        def __init__(self, *args: Any) -> None:
            self.file = open(*args)  # noqa: SIM115 - closed below

        def __enter__(self) -> Any:
            return self.file

        def __exit__(self, *args: Any) -> None:
            self.file.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(model_file, "open", Full, raising=False)
    with pytest.raises(SaveError, match=r"no room: \d+ bytes wanted, \d+ free"):
        PPCA(1).fit(2 * CLOUD).save(path)
    assert path.read_bytes() == before
    assert not leftovers(path)


def test_a_folder_that_cannot_be_synced_is_not_called_unchanged(
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
def test_a_place_that_cannot_be_written_is_named(name: str, path: Path) -> None:
    PPCA(1).fit(CLOUD).save(path.with_name("old"))
    with pytest.raises(SaveError, match=r"is a folder|no such folder"):
        PPCA(1).fit(CLOUD).save(path.parent / name)


CHILD = """
import os, resource, signal, sys
from pathlib import Path
from ancestral import model_file
from ancestral.errors import SaveError
old, new = Path("old.bytes").read_bytes(), Path("new.bytes").read_bytes()
path = Path("model")
def kill(*args): os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def child(path: Path) -> Callable[[str], subprocess.Popen]:
    """A starter of processes in the model's folder that can save an old and a new model."""
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
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def is_old_or_new(path: Path) -> bool:
    kept = [path.with_name(name).read_bytes() for name in ("old.bytes", "new.bytes")]
    return path.read_bytes() in kept and ancestral.load(path).n_components in (3, 4)


def test_a_full_disk_leaves_the_old_model(path: Path, child: Any) -> None:
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


@pytest.mark.parametrize("guarded", ["folder", "file"])
def test_what_is_read_only_is_refused(guarded: str, path: Path, child: Any) -> None:
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
    "before writing": "model_file.open = kill",
    "half written": (
        "class Half:\n"
        "    def __init__(self, *args): self.file = open(*args)\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *error): pass\n"
        "    def write(self, data):\n"
        "        self.file.write(data[: len(data) // 2]); self.file.flush(); kill()\n"
        "model_file.open = Half"
    ),
    "before it is synced": "os.fsync = kill",
    "before it is renamed": "os.replace = kill",
    "after it is renamed": "model_file._sync_folder = kill",
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_process_killed_while_saving_leaves_old_or_new(
    death: str, path: Path, child: Any
) -> None:
    process = child(f"{death}\nmodel_file.write_atomically(path, new)")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert is_old_or_new(path)
    path.write_bytes(path.with_name("old.bytes").read_bytes())
    PPCA(1).fit(CLOUD).save(path)  # sweeps what the dead process left
    assert leftovers(path) == ["new.bytes", "old.bytes"]


def test_processes_killed_at_any_time_leave_old_or_new(path: Path, child: Any) -> None:
    code = """
print("ready", flush=True)
while True:
    for data in (new, old):
        model_file.write_atomically(path, data)
"""
    rng = random.Random(0)
    for _ in range(12):
        process = child(code)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.communicate(timeout=60)
        assert is_old_or_new(path)
    PPCA(1).fit(CLOUD).save(path)
    assert leftovers(path) == ["new.bytes", "old.bytes"]


def test_only_temporary_files_of_dead_writers_of_this_model_are_swept(path: Path) -> None:
    model = PPCA(1).fit(CLOUD)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = model_file._temporary(path)
    of_dead = stale.with_name(stale.name.replace(f".{os.getpid()}.", f".{dead.pid}."))
    of_living = stale.with_name(stale.name.replace(f".{os.getpid()}.", f".{os.getppid()}."))
    of_another = of_dead.with_name(of_dead.name.replace("model", "models"))
    assert len({stale, of_dead, of_living, of_another}) == 4
    for name in (of_dead, of_living, of_another):
        name.write_bytes(b"half")
    model.save(path)
    assert leftovers(path) == sorted([of_living.name, of_another.name])


# ---- rivals --------------------------------------------------------------------------------------


def test_two_processes_saving_one_path_leave_a_whole_model(path: Path, child: Any) -> None:
    code = """
for _ in range(50):
    model_file.write_atomically(path, DATA)
"""
    rivals = [child(f"DATA = {name}" + code) for name in ("old", "new")]
    while any(process.poll() is None for process in rivals):
        assert is_old_or_new(path)
    for process in rivals:
        finish(process)
    assert is_old_or_new(path)
    assert leftovers(path) == ["new.bytes", "old.bytes"]


def test_threads_saving_one_path_leave_a_whole_model(path: Path) -> None:
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
