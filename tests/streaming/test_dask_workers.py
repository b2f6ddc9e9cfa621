"""What goes wrong in Dask's workers arrives as one error of this package, and changes no model."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, LinearGaussian
from ancestral.errors import DataError, DataTypeError, ModelError
from ancestral.streaming import NpyTable, fit_dask
from tests.conftest import PATIENCE
from tests.trust.guard import refused

dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
distributed = pytest.importorskip("distributed", reason="distributed is an extra")

X = np.random.default_rng(0).normal(size=(80, 4))


@contextmanager
def cluster(n_workers: int = 1) -> Iterator[Any]:
    """Start a cluster of processes that gives a task up with the first worker it ends."""
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.comm.timeouts.connect": "3s",
        "distributed.admin.log-format": "%(message)s",
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
        ) as started,
        distributed.Client(started) as client,
    ):
        yield client


def fail(error: Exception) -> Any:
    raise error


def end() -> Any:
    os._exit(3)


def wait(marker: str) -> Any:
    """Say that the work has begun, and go on for long."""
    Path(marker).touch()
    time.sleep(PATIENCE)


def _until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)


def once_begun(marker: Path, act: Callable[[], Any]) -> threading.Thread:
    """Act from another thread once a worker has begun."""

    def run() -> None:
        _until(marker.exists)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def unchanged(model: Any, before: dict[str, Any]) -> bool:
    now = vars(model)
    return now.keys() == before.keys() and all(now[name] is before[name] for name in before)


# ---- local schedulers ----------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OSError("no disk"), DataError, "OSError: no disk"),
        (TypeError("odd"), DataTypeError, "TypeError: odd"),
        (ValueError(), DataError, "ValueError: no reason given"),
    ],
)
def test_what_makes_a_part_may_fail(scheduler: str, error: Any, kind: Any, says: str) -> None:
    model = PPCA(1).fit(X)
    before = dict(vars(model))
    parts = [X[:20], dask.delayed(np.copy)(X[20:40]), dask.delayed(fail)(error), X[40:]]
    with dask.config.set(scheduler=scheduler):
        refused(lambda: fit_dask(model, parts), f"part 2 could not be made: {says}", kind=kind)
    assert unchanged(model, before)


def test_the_part_that_failed_is_named_among_those_that_ran_beside_it(tmp_path: Path) -> None:
    """Threads have several parts in hand: the one that failed is not the one that still runs."""
    begun, failed = tmp_path / "begun", tmp_path / "failed"

    def go_on() -> Any:
        begun.touch()
        _until(failed.exists)
        return X

    def fail_beside() -> Any:
        _until(begun.exists)
        failed.touch()
        raise OSError("no disk")

    parts = [dask.delayed(go_on)(), dask.delayed(fail_beside)()]
    with dask.config.set(scheduler="threads", num_workers=2), pytest.raises(DataError) as said:
        fit_dask(PPCA(1), parts)
    assert str(said.value).startswith("part 1 could not be made: OSError: no disk")


def test_too_little_memory_for_a_part_is_said_with_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def statistics(self: Any, rows: Any, *rest: Any) -> Any:
        raise MemoryError("Unable to allocate 8.00 TiB")

    monkeypatch.setattr(LinearGaussian, "_statistics", statistics)
    pair = X[:, 1:], X[:, 0]
    with dask.config.set(scheduler="synchronous"):
        refused(
            lambda: fit_dask(LinearGaussian(), [pair]),
            r"part 0: there is not enough memory",
            "smaller chunks",
        )


def test_a_part_that_ends_its_process_is_one_error() -> None:
    code = """
import gc
import os
import dask, numpy as np
from ancestral import PPCA, AncestralError
from ancestral.streaming import NpyTable, fit_dask
def end():
    os._exit(3)
if __name__ == "__main__":
    with dask.config.set(scheduler="processes", num_workers=1):
        try:
            fit_dask(PPCA(1), [np.eye(4), dask.delayed(end)()])
        except AncestralError as error:
            print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ModelError the process that worked")
    assert "smaller parts" in done.stdout and "BrokenProcessPool" in done.stdout


@pytest.mark.parametrize("client", ["tcp://127.0.0.1:1", 7, object()])
def test_what_is_no_client_is_refused(client: Any) -> None:
    refused(lambda: fit_dask(PPCA(1), [X], client=client), "distributed.Client", kind=ModelError)


# ---- a cluster -----------------------------------------------------------------------------------


def test_t3_workers_in_another_folder_read_the_callers_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, factor in ((here, 1.0), (there, 5.0)):
        folder.mkdir()
        np.save(folder / "x.npy", factor * X)
        np.save(folder / "y.npy", factor * X.sum(axis=1) + np.sin(X[:, 0]))
    monkeypatch.chdir(here)
    with cluster(2) as client:
        client.run(os.chdir, str(there))
        wanted = PPCA(1).fit(X)
        for source in ("x.npy", Path("x.npy"), ["x.npy"]):
            found = fit_dask(PPCA(1), source, rows=30, client=client)
            assert found.score(X) == pytest.approx(wanted.score(X), rel=1e-12)
        line = fit_dask(LinearGaussian(), ("x.npy", "y.npy"), rows=30)  # by the client in use
        whole = LinearGaussian().fit(X, np.load("y.npy"))
        np.testing.assert_allclose(line.coef_, whole.coef_, rtol=1e-9)

        # errors of workers, with part, row and file
        bad = X.copy()
        bad[47, 2] = np.inf
        np.save("bad.npy", bad)
        refused(
            lambda: fit_dask(PPCA(1), ["x.npy", "bad.npy"], rows=40, client=client),
            r"part 3: X holds inf at row 7 \(row 47 of .*here/bad\.npy\), column 2",
            kind=DataError,
        )
        parts = [X[:40], dask.delayed(fail)(OSError("no disk"))]
        refused(lambda: fit_dask(PPCA(1), parts, client=client), "part 1 .*OSError: no disk")

        # a worker that sees another file by that path
        table = NpyTable.of("x.npy")
        os.replace(there / "x.npy", here / "x.npy")
        error = client.submit(_error_of, table).result()
        assert error is not None and "x.npy: is another file, on" in error


def _error_of(table: Any) -> str | None:
    try:
        table.read(0, 10)
    except ValueError as error:
        return str(error)
    return None


def test_a_part_that_ends_its_workers_is_one_error_with_the_mend() -> None:
    model = PPCA(1).fit(X)
    before = dict(vars(model))
    with cluster() as client:
        refused(
            lambda: fit_dask(model, [dask.delayed(end)()], client=client),
            "that worked on part 0 ended, because of too little memory or a crash",
            "smaller parts",
            "more memory",
            kind=ModelError,
        )
    assert unchanged(model, before)


@pytest.mark.parametrize("how", ["cancelled", "client closed", "cluster closed"])
def test_work_that_is_given_up_is_one_error(how: str, tmp_path: Path) -> None:
    model, marker = PPCA(1).fit(X), tmp_path / "begun"
    before = dict(vars(model))

    def act() -> None:
        if how == "cancelled":
            futures = [distributed.Future(key, client) for key in list(client.futures)]
            client.cancel(futures, force=True)
        elif how == "client closed":
            client.close()
        else:
            client.cluster.close()

    with cluster() as client:
        thread = once_begun(marker, act)
        refused(
            lambda: fit_dask(model, [X, dask.delayed(wait)(str(marker))], client=client),
            "is gone, or gave the work up|because of too little memory or a crash",
            "model is unchanged",
            kind=ModelError,
        )
        thread.join()
        if how != "cancelled":
            refused(lambda: fit_dask(model, [X], client=client), "cluster is gone", "new Client")
    assert unchanged(model, before)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl+C interrupt: jobs in the background begin with the signal ignored.

    And no garbage collector: what is raised where Hypothesis listens to it is lost.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_work_and_changes_no_model(tmp_path: Path) -> None:
    model, marker = PPCA(1).fit(X), tmp_path / "begun"
    before = dict(vars(model))
    with cluster() as client:
        thread = once_begun(marker, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            fit_dask(model, [X, dask.delayed(wait)(str(marker))], client=client)
        thread.join()
        _until(lambda: not any(client.processing().values()))
        assert not any(client.processing().values())
    assert unchanged(model, before)
