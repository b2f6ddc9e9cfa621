"""A cluster that misbehaves: the right answer, or one clear error, and never a wrong sum."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral.errors import FormatError, ModelError
from ancestral.streaming import fit_chunks, fit_dask
from tests.streaming.passing import Shares, TwoNormals
from tests.streaming.test_passes_of_parts import X, same

dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
distributed = pytest.importorskip("distributed", reason="distributed is an extra")

ROWS = 90
QUIET = {
    "distributed.comm.timeouts.connect": "5s",
    "distributed.admin.log-format": "%(message)s",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}


@contextmanager
def cluster(n_workers: int = 2, memory: str = "1GiB", **settings: Any) -> Iterator[Any]:
    """Start workers that are started again when they end."""
    with (
        dask.config.set(QUIET | settings),
        distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=":0",
        ) as started,
        distributed.Client(started) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster() as found:
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


class Ending(TwoNormals):
    """Ends the process that looks at rows for the `after`th time, once."""

    def __init__(self, marker: str = "", after: int = 0, how: str = "killed") -> None:
        super().__init__()
        self.marker, self.after, self.how = marker, after, how

    def _statistics(self, rows: Any, parameters: Any) -> Shares:
        looks = Path(self.marker).with_suffix(f".{os.getpid()}")
        with open(looks, "ab") as file:
            file.write(b".")
        late = looks.stat().st_size > self.after
        if late and not Path(self.marker).exists() and "SPARED" not in os.environ:
            Path(self.marker).touch()
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            held = []  # what no worker may hold: its nanny ends it
            while True:
                held.append(np.ones(1 << 24))
                time.sleep(0.05)
        return super()._statistics(rows, parameters)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("after", [2, 40])
def test_a_worker_killed_in_a_pass_changes_no_bit(
    kept: bool, after: int, path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts, and what it held of them, are made again by the others."""
    if not kept:
        monkeypatch.setattr("ancestral.streaming.workers.KEPT_SHARE", 0.0)
    wanted = fit_chunks(TwoNormals(), path, rows=ROWS)
    marker = path.parent / "ended"
    found = fit_dask(Ending(str(marker), after), path, rows=ROWS, client=client)
    assert marker.exists()
    assert same(found, wanted)


def test_a_worker_out_of_memory_is_started_again_and_changes_no_bit(
    path: Path, *, long: bool
) -> None:
    if not long:
        pytest.skip("fills the memory of a worker: in the long version")
    wanted = fit_chunks(TwoNormals(), path, rows=ROWS)
    marker = path.parent / "ended"
    with cluster(memory="700MiB") as client:
        found = fit_dask(Ending(str(marker), 3, "full"), path, rows=ROWS, client=client)
    assert marker.exists()
    assert same(found, wanted)


class Stubborn(TwoNormals):
    """Whose look at some rows ends any worker."""

    def _statistics(self, rows: Any, parameters: Any) -> Shares:
        if np.abs(rows - X[100]).sum(axis=1).min() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._statistics(rows, parameters)


def test_a_part_that_ends_every_worker_is_named(path: Path) -> None:
    settings = {"distributed.scheduler.allowed-failures": 1}
    with cluster(**settings) as client:
        with pytest.raises(ModelError, match=r"the process that worked on part \d+ ended.*parts"):
            fit_dask(Stubborn(), path, rows=ROWS, client=client)
        again = fit_dask(TwoNormals(), path, rows=ROWS, client=client)  # the cluster goes on
    assert same(again, fit_chunks(TwoNormals(), path, rows=ROWS))


def test_a_file_that_goes_between_passes_is_named(path: Path, client: Any) -> None:
    class Going(TwoNormals):
        def _update(self, parameters: Any, statistics: Any) -> Any:
            path.unlink(missing_ok=True)
            return super()._update(parameters, statistics)

    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(FormatError, match=r"part \d+: .*x\.npy"),
    ):
        fit_dask(Going(), path, rows=ROWS)


def test_a_scheduler_that_goes_is_one_error(path: Path) -> None:
    model = TwoNormals().fit(X)
    before = model.means_
    with cluster(1) as client:

        class Leaving(TwoNormals):
            def _update(self, parameters: Any, statistics: Any) -> Any:
                if not closed:
                    closed.append(threading.Thread(target=client.cluster.close))
                    closed[0].start()
                    closed[0].join()
                return super()._update(parameters, statistics)

        closed: list[threading.Thread] = []
        leaving = Leaving()
        with pytest.raises(ModelError, match=r"the cluster is gone, or gave.*unchanged"):
            fit_dask(leaving, path, rows=ROWS, client=client)
        assert not hasattr(leaving, "means_")
    assert model.means_ is before


def test_a_fit_goes_on_from_its_checkpoint_on_another_cluster(path: Path, client: Any) -> None:
    wanted = fit_chunks(TwoNormals(), path, rows=ROWS)
    folder = path.parent / "kept"

    class Interrupted(Exception):
        pass

    class Stopping(TwoNormals):
        updates = 0

        def _update(self, parameters: Any, statistics: Any) -> Any:
            Stopping.updates += 1
            if Stopping.updates == 7:
                raise Interrupted
            return super()._update(parameters, statistics)

    Stopping.__name__ = "TwoNormals"
    with pytest.raises(Interrupted):
        fit_chunks(Stopping(), path, rows=ROWS, checkpoint=folder)
    found = fit_dask(TwoNormals(), path, rows=ROWS, client=client, checkpoint=folder)
    assert same(found, wanted)


def test_parameters_travel_once_a_pass(path: Path, client: Any) -> None:
    folder, rows = path.parent / "looks", 30
    n_parts = -(-len(X) // rows)
    folder.mkdir()
    fit_dask(Counted(str(folder)), path, rows=rows, client=client)
    sent = [name for name in os.listdir(folder) if name.startswith("sent")]
    looks = sum((folder / name).stat().st_size for name in os.listdir(folder)) - len(sent)
    assert looks % n_parts == 0 and looks > 8 * n_parts
    # To each of two workers, and once more to be handed on; as what looks and as what checks.
    assert len(sent) <= 6 * (looks / n_parts + 2)


class Counted(TwoNormals):
    """Notes when it is sent, and when it looks."""

    def __init__(self, folder: str = "") -> None:
        super().__init__()
        self.folder = folder

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        Path(self.folder, f"sent-{os.getpid()}-{time.monotonic_ns()}").write_bytes(b".")

    def _statistics(self, rows: Any, parameters: Any) -> Shares:
        with open(Path(self.folder) / f"looked-{os.getpid()}", "ab") as file:
            file.write(b".")
        return super()._statistics(rows, parameters)
