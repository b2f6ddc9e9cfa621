"""A file larger than one wants in memory: its moments, in one process and on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, Timer

COLUMNS = 576
BYTES, TINY_BYTES = 4 << 30, 4 << 20

# Each in a process of its own, so that its peak of memory is its own.
OURS = """
from ancestral import PPCA, streaming
model = PPCA(4)
def work():
    streaming.fit_chunks(model, path)
    return model.noise_variance_, model.score(first)
"""
PLAIN = """
def work():
    n, d = n_rows, first.shape[1]
    step = (32 << 20) // (8 * d)
    gram, total = np.zeros((d, d)), np.zeros(d)
    with open(path, "rb") as file:
        file.seek(offset)
        for start in range(0, n, step):
            rows = np.fromfile(file, dtype=np.float64, count=min(step, n - start) * d)
            rows = rows.reshape(-1, d)
            gram += rows.T @ rows
            total += rows.sum(axis=0)
    covariance = gram / n - np.outer(total, total) / n**2
    return float(np.linalg.eigvalsh(covariance)[:-4].mean()), 0.0
"""
CLUSTER = """
import dask
from dask.distributed import Client, LocalCluster
from ancestral import PPCA, streaming
dask.config.set({"distributed.worker.memory.spill": False})
model = PPCA(4)
cluster = LocalCluster(
    n_workers=2, threads_per_worker=1, memory_limit="1GiB", dashboard_address=None
)
client = Client(cluster)
def work():
    streaming.fit_dask(model, path, client=client)
    return model.noise_variance_, model.score(first)
"""
FRAME = """
import json, resource, sys
from time import perf_counter
import numpy as np
if __name__ == "__main__":
    path = sys.argv[1]
    table = np.load(path, mmap_mode="r")
    n_rows, offset, first = len(table), table.offset, np.array(table[:1000])
    del table
    {setup}
    np.linalg.eigh(np.eye(600) + np.ones((600, 600)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(int(sys.argv[2])):
        started = perf_counter()
        found = work()
        times.append(perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([min(times), (peak - before) / 1024, *found]))
"""


def rows(timer: Timer) -> Iterator[Row]:
    """The file is warm in the page cache: what is compared is the work, not the disk."""
    size = TINY_BYTES if timer.tiny else BYTES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        n = write(path, size)
        repeats = 1 if timer.tiny else 3
        plain = run(PLAIN, path, repeats)
        ours = run(OURS, path, repeats)
        name = f"PPCA from a file of {size / 2**30:.3g} GiB, {n:,} rows"
        yield Row(
            name,
            ours[0],
            "numpy's products of its chunks, uncentred",
            plain[0],
            f"peak {ours[1]:.0f} MiB above the interpreter, against {plain[1]:.0f}; "
            f"sigma^2 equal to {abs(ours[2] / plain[2] - 1):.0e}",
        )
        if timer.tiny:  # a cluster takes longer to start than all rehearsals together
            return
        try:
            cluster = run(CLUSTER, path, 1)
        except ImportError:
            return
        apart = max(abs(a / b - 1) for a, b in zip(cluster[2:], ours[2:]))
        yield Row(
            f"{name}, 2 workers",
            cluster[0],
            "one process",
            ours[0],
            f"Dask's LocalCluster, 1 GiB a worker; sigma^2 and score equal to {apart:.0e}",
        )


def write(path: Path, size: int) -> int:
    """Write rows of float64 of about `size` bytes; return how many."""
    n = max(100, size // (8 * COLUMNS))
    rng = np.random.default_rng(0)
    W = rng.normal(size=(4, COLUMNS))
    table = np.lib.format.open_memmap(path, "w+", np.float64, (n, COLUMNS))
    for start in range(0, n, 20_000):
        k = min(20_000, n - start)
        noise = rng.standard_normal((k, COLUMNS), np.float32)
        table[start : start + k] = rng.normal(size=(k, 4)) @ W + noise + 2.0
    table.flush()
    return n


def run(setup: str, path: Path, repeats: int) -> list[float]:
    """Return seconds, peak MiB above the start, sigma^2 and a score, from a new process."""
    script = FRAME.replace("{setup}", setup.strip().replace("\n", "\n    "))
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [sys.executable, file.name, str(path), str(repeats)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr:
            raise ImportError(done.stderr.strip().splitlines()[-1])
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])
