"""The same numbers on other machines' terms: threads, workers, little memory, odd interpreters.

Rows C21 to C24 of the catalogue. Each runs in a process of its own, set up as the row says.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import PPCA, LinearGaussian, TabularAutoregressive
from ancestral._checks.numbers import within_memory
from ancestral.errors import ModelError
from tests.conftest import PATIENCE
from tests.zoo import BITS, CLOUD, ZOO

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(ancestral.__file__).parents[1]


def python(code: str, *flags: str, cwd: Any = None, **environment: str) -> str:
    """Return what code prints in a process of its own; it must end well and say nothing else."""
    return interpreted(*flags, "-c", code, cwd=cwd, **environment)


def interpreted(*arguments: str, cwd: Any = None, **environment: str) -> str:
    """Return what an interpreter prints, which must end well and say nothing on stderr.

    A fit of inputs and a target says there which it took, in one line.
    """
    path = os.pathsep.join([str(PACKAGE), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if ("fit", "linear") in itertools.pairwise(arguments):
        assert re.fullmatch(r"target: .*; inputs: .*\n", done.stderr)
    else:
        assert done.stderr == ""
    return done.stdout


# ---- C21: threads --------------------------------------------------------------------------------

CLOSED_FORMS = """
import json, numpy as np
from ancestral import *
from ancestral import datasets
rng = np.random.default_rng(0)
X = rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 60)) + rng.normal(size=(4000, 60)) + 100
y = X[:, :8] @ np.arange(8.0) + rng.normal(size=4000)
gaps = X[:300, :12].copy()
gaps[rng.random(gaps.shape) < 0.2] = np.nan
icons = datasets.icons()[0]
said = {}
for name, model, data in [
    ("ppca", PPCA(6), (X,)),
    ("wide ppca", PPCA(6), (X[:40].copy(),)),
    ("ppca with gaps", PPCA(3), (gaps,)),
    ("line", LinearGaussian(), (X[:, :8], y)),
    ("parabola", LinearGaussian(degree=2), (X[:, :3], y)),
    ("heteroscedastic", HeteroscedasticGaussian(), (X[:, :3], y)),
    ("graph", InnerProductGraph(), (datasets.classrooms(),)),
    ("tables", TabularAutoregressive(), (icons,)),
]:
    said[name] = model.fit(*data).log_density(*data).tolist()
fitted = PPCA(6).fit(X)
said["ppca coefficients"] = [fitted.noise_variance_, *fitted.mean_, *fitted.eigenvalues_]
line = LinearGaussian().fit(X[:, :8], y)
said["line coefficients"] = [line.noise_variance_, line.intercept_, *line.coef_]
print(json.dumps(said))
"""


def test_c21_closed_forms_are_the_same_on_one_thread_and_two(note: Any) -> None:
    counted = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    one, two = (
        json.loads(python(CLOSED_FORMS, **dict.fromkeys(counted, number))) for number in "12"
    )
    assert one.keys() == two.keys()
    worst = 0.0
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-10, atol=1e-10, err_msg=name)
        a, b = np.array(values), np.array(two[name])
        worst = max(worst, float((np.abs(a - b) / np.maximum(1, np.abs(a))).max()))
    note("C21 closed forms on 1 and 2 threads: largest difference", f"{worst:.1e}")


LSTM_SCORE = """
import warnings
warnings.filterwarnings("ignore", "the LSTM stopped|max_steps=")  # few steps, on purpose
import numpy as np
from ancestral import LSTMAutoregressive, datasets
icons = datasets.icons()[0]
model = LSTMAutoregressive(random_state=0, max_steps=25, tol=0.0).fit(icons)
print(model.log_density(np.tile(icons, (40, 1))[:1000]).sum().hex(), model.loss_.hex())
print(model.sample(50, random_state=0).sum(axis=0).tolist())
"""


def test_c21_an_lstm_is_the_same_to_the_bit_on_one_machine() -> None:
    """Trained, scored and sampled in two processes, with one thread and with two."""
    pytest.importorskip("torch", reason="torch is an extra")
    counted = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    first, again, other = (
        python(LSTM_SCORE, **dict.fromkeys(counted, number)) for number in ("1", "1", "2")
    )
    assert first == again == other


# ---- C22: workers --------------------------------------------------------------------------------


def drawn(seed: np.random.SeedSequence) -> list[float]:
    """Draw in a worker from its own stream."""
    rng = np.random.default_rng(seed)
    gaussian, tables = PPCA(1).fit(CLOUD), TabularAutoregressive().fit(BITS)
    return [*gaussian.sample(4, random_state=rng).ravel(), *tables.sample(9, random_state=rng).flat]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_c22_workers_with_spawned_seeds_draw_their_own(method: str) -> None:
    """Streams differ between workers, repeat with the seed, and are those of one process."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    code = f"""
import json, multiprocessing, numpy as np
from tests.trust.test_runs_machine import drawn
if __name__ == "__main__":
    seeds = np.random.SeedSequence(5).spawn(4)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(json.dumps([list(map(float, d)) for d in pool.map(drawn, seeds, chunksize=1)]))
"""
    apart = json.loads(python(code, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"))
    together = [drawn(seed) for seed in np.random.SeedSequence(5).spawn(4)]
    np.testing.assert_array_equal(apart, together)
    assert len({tuple(stream) for stream in apart}) == 4
    correlations = np.corrcoef(np.array(apart)[:, :8])[np.triu_indices(4, 1)]
    assert (np.abs(correlations) < 0.9999).all()


def test_c22_one_generator_is_used_up_by_what_is_drawn_and_an_int_is_not() -> None:
    """So that a loop with one generator draws anew each time, and one with an int repeats."""
    model, rng = PPCA(1).fit(CLOUD), np.random.default_rng(0)
    assert (model.sample(3, random_state=rng) != model.sample(3, random_state=rng)).all()
    np.testing.assert_array_equal(model.sample(3, random_state=0), model.sample(3, random_state=0))


# ---- C23: little memory --------------------------------------------------------------------------

LITTLE = """
import resource, sys
import numpy as np
import ancestral
from ancestral import *
from ancestral import streaming
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    {job}
except AncestralError as error:
    print(error)
"""
TWO_GIB = 2 << 30


def on_little(job: str, *, cwd: Any = None) -> str:
    """Run one job where 1 GiB can be mapped; return what it says."""
    code = LITTLE.format(job=job.replace("\n", "\n    "))
    return python(code, cwd=cwd, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")


@pytest.mark.parametrize(
    "job",
    [
        "PPCA(1).fit(np.diag([4.0, 3.0, 2.0, 1.0])).sample(2 << 26, random_state=0)",
        "LinearGaussian().fit(np.eye(9)[:, :4], np.arange(9.0) % 4).sample(np.broadcast_to("
        "np.zeros(4), (1 << 26, 4)))",
        "TabularAutoregressive().fit(np.eye(30, dtype=int)).to_tables()",
        "TabularAutoregressive().fit(np.eye(8, dtype=int)).sample(1 << 28, random_state=0)",
        "read_array('large.npy')",
    ],
    ids=["draws", "targets", "dense tables", "rows of tables", "a file"],
)
def test_c23_what_does_not_fit_is_said_with_an_estimate(job: str, tmp_path: Path) -> None:
    if "large.npy" in job:
        with open(tmp_path / "large.npy", "wb") as file:  # sparse: no disk is filled
            header = {"descr": "<f8", "fortran_order": False, "shape": (TWO_GIB // 80, 10)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + TWO_GIB // 80 * 80)
    said = on_little(job, cwd=tmp_path)
    assert any(unit in said for unit in ("GiB", "MiB", "GB", "bytes")), said
    assert any(char.isdigit() for char in said)


def test_c23_what_torch_cannot_hold_is_said_as_well() -> None:
    torch = pytest.importorskip("torch")
    wanted = 1 << 50

    @within_memory("Buy more.")
    def ask() -> None:
        torch.empty(wanted, dtype=torch.uint8)

    with pytest.raises(ModelError, match=rf"memory \(tried to allocate {wanted} bytes\)\. Buy"):
        ask()

    @within_memory("Buy more.")
    def ask_on_cuda() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has")

    with pytest.raises(ModelError, match=r"memory \(tried to allocate 20\.00 GiB\)\. Buy"):
        ask_on_cuda()

    @within_memory("Buy more.")
    def mistake() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        mistake()


@pytest.mark.parametrize(
    ("cls", "method", "data", "options"),
    [
        (LinearGaussian, "fit", (CLOUD, CLOUD[:, 0]), {}),
        (LinearGaussian, "partial_fit", (CLOUD, CLOUD[:, 0]), {}),
        (TabularAutoregressive, "log_density", (BITS,), {"method": "smc"}),
        (TabularAutoregressive, "sample", (), {"given": BITS[0], "method": "smc"}),
        (TabularAutoregressive, "sample_counts", (9,), {}),
        *[
            (TabularAutoregressive, name, (BITS,), {})
            for name in ("log_evidence", "impute", "most_probable", "compress", "decompress")
        ],
        *[(PPCA, name, (), {}) for name in ("get_covariance", "get_precision", "every_d")],
        *[
            (PPCA, name, (CLOUD,), {})
            for name in (
                *("posterior_mean", "posterior_covariance", "transform", "reconstruct", "decode"),
                *("inverse_transform", "impute", "impute_covariance", "impute_draws"),
            )
        ],
    ],
)
def test_c23_every_door_to_a_model_says_that_memory_is_short(
    cls: Any, method: str, data: Any, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_for_too_much(*args: Any, **kwargs: Any) -> None:
        raise MemoryError("Unable to allocate 8.00 TiB")

    for step in ("_check_chunk", "_check_fitted"):
        monkeypatch.setattr(cls, step, ask_for_too_much)
    with pytest.raises(ModelError, match=r"memory \(Unable to allocate 8\.00 TiB\)\. \w+"):
        getattr(cls(), method)(*data, **options)


def test_c23_a_file_of_two_gib_is_fitted_in_chunks(tmp_path: Path, long: bool) -> None:
    """Moments need one chunk at a time, whatever the file's size."""
    n_bytes = TWO_GIB if long else 5 << 28  # 1.25 GiB is more than there is, too
    n = n_bytes // 80
    with open(tmp_path / "large.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (n, 10)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.random.default_rng(0).normal(size=(1000, 10)).tobytes())
        file.truncate(file.tell() + (n - 1000) * 80)
    job = "model = streaming.fit_chunks(PPCA(2), 'large.npy')\nprint(model.noise_variance_ * 1e6)"
    said = float(on_little(job, cwd=tmp_path))
    # All but the first 1000 rows are zero: the variances are 1000 / n of a unit normal's.
    assert said == pytest.approx(1e9 / n, rel=0.1)


# ---- C24: -W error, -O, no place to write, another locale ----------------------------------------

EVERY_MODEL = """
import json, pathlib
import warnings
warnings.filterwarnings("ignore", "the LSTM stopped|max_steps=")  # few steps, on purpose
import numpy as np
import ancestral
from tests.conftest import PATIENCE
from tests.zoo import ZOO
folder, said = pathlib.Path(folder), {}
for entry in ZOO:
    if entry.name in SKIPPED:
        continue
    model = entry.fit()
    again = ancestral.load(model.save(folder / "modele.model"))
    score = again.log_density(*entry.data)
    if not np.array_equal(score, model.log_density(*entry.data)):
        raise SystemExit(entry.name + " changes when it is saved")
    draws = again.sample(entry.data[0], random_state=0) if len(entry.data) == 2 else (
        again.sample(3, random_state=0))
    if len(draws) != (len(entry.data[0]) if len(entry.data) == 2 else 3):
        raise SystemExit(entry.name + " draws another number")
    said[entry.name] = float(np.sum(score))
print(json.dumps(said))
"""
WANTING = [e.name for e in ZOO if e.extra is not None and find_spec(e.extra) is None]
NOT_UTF8 = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
INTERPRETERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "all at once": (["-O", "-W", "error"], NOT_UTF8),
    "-W error": (["-W", "error"], {}),
    "-O": (["-O"], {}),
    "LANG=C": ([], NOT_UTF8),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What every model scores in this process."""
    return {
        entry.name: float(np.sum(entry.fit().log_density(*entry.data)))
        for entry in ZOO
        if entry.name not in WANTING
    }


@pytest.mark.parametrize("name", INTERPRETERS)
def test_c24_every_model_is_fitted_saved_loaded_scored_and_drawn(
    name: str, plain: dict[str, float], tmp_path: Path, long: bool
) -> None:
    """Nothing is written to the folder one works in."""
    flags, environment = interpreter(name, long=long)
    saved, here = tmp_path / "saved", tmp_path / "here"
    saved.mkdir()
    here.mkdir()
    code = f"SKIPPED, folder = {WANTING}, {str(saved)!r}\n" + EVERY_MODEL
    said = json.loads(python(code, *flags, cwd=here, **environment))
    assert said == pytest.approx(plain, rel=1e-9)
    assert not list(here.iterdir())
    assert len(list(saved.iterdir())) == 1


def interpreter(name: str, *, long: bool) -> tuple[list[str], dict[str, str]]:
    """Return the flags and the environment; one by one in the long version only."""
    if name != "all at once" and not long:
        pytest.skip("one by one in the long version")
    return INTERPRETERS[name]


@pytest.mark.parametrize("name", INTERPRETERS)
def test_c24_the_command_line(name: str, tmp_path: Path, long: bool) -> None:
    flags, environment = interpreter(name, long=long)

    def run(*arguments: Any) -> str:
        command = ["-m", "ancestral.cli", *map(str, arguments)]
        return interpreted(*flags, *command, cwd=tmp_path, **environment)

    for short, data in (("tabular", "@icons"), ("linear", "@diabetes")):
        model = tmp_path / f"é {short}.model"
        assert "n_parameters" in run("fit", short, data, "-o", model, "--json")
        assert "mean_log_density" in run("score", model, data, "--json")
        assert f"{short}.model" in run("inspect", model)
    assert len(run("sample", tmp_path / "é tabular.model", "-n", 5).splitlines()) == 5
    assert "ancestral" in run("--help")


def test_c24_no_assert_guards_anything_in_the_package() -> None:
    """Under -O an assert is not there: what it guarded would pass."""
    import ast

    found = [
        f"{path.name}:{node.lineno}"
        for path in (PACKAGE / "ancestral").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not found


def test_c24_refusals_stand_under_o() -> None:
    code = """
import numpy as np
from ancestral import *
for bad in (
    lambda: PPCA(9).fit(np.eye(3)),
    lambda: LinearGaussian().fit([[1.0], [np.nan]], [1, 2]),
    lambda: TabularAutoregressive().fit([[0.5, 1.0]]),
    lambda: Graph(np.eye(2), [[0, 1], [0, 0]]),
    lambda: InnerProductGraph().log_density([]),
    lambda: load("nowhere"),
):
    try:
        bad()
    except AncestralError:
        print("refused")
"""
    assert python(code, "-O").split() == ["refused"] * 6
