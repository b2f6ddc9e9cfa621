"""Data larger than memory: fits from Parquet and from chunks, on one machine and on two workers."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Row, Timer

GIB = 1 << 30
PART = 250_000  # rows of a file


@dataclass(frozen=True)
class Ran:
    """What a process of its own found: seconds, MiB above the interpreter, and what it printed."""

    seconds: float
    cpu: float
    peak: float
    value: float


def rows(timer: Timer) -> Iterator[Row]:
    """The files are warm in the page cache: what is compared is the work, not the disk."""
    for case in (linear_and_ppca, gaps, heteroscedastic, mixture, tree, workers):
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield from case(Path(folder), tiny=timer.tiny)
            except ImportError as error:
                print(f"left out: {error}")
        if timer.tiny and case is gaps:  # the others take longer to start than all rehearsals
            return


# ---- the cases -----------------------------------------------------------------------------------

READ = """
import pyarrow.parquet as pq
from pathlib import Path
def work():
    total = 0.0
    for file in sorted(Path(path).glob("*.parquet")):
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=65536):
                total += batch.num_rows
    return total
"""


def linear_and_ppca(folder: Path, *, tiny: bool) -> Iterator[Row]:
    """LinearGaussian and PPCA from Parquet of 4 GiB, against reading it."""
    d = 100
    n = 4_000 if tiny else 4 * GIB // (8 * d)
    rng = np.random.default_rng(0)
    W, w = rng.normal(size=(4, d - 1)), rng.normal(size=d - 1)

    def part(k: int) -> dict[str, Any]:
        X = rng.normal(size=(k, 4)) @ W + rng.standard_normal((k, d - 1), np.float32) + 2.0
        return named(X) | {"y": X @ w + rng.normal(size=k)}

    write(folder, n, part)
    repeats = 1 if tiny else 3
    ours = {
        "LinearGaussian": """
from ancestral import LinearGaussian, streaming
def work():
    return streaming.fit_chunks(LinearGaussian(), path).noise_variance_
""",
        "PPCA": """
from ancestral import PPCA, streaming
def work():
    return streaming.fit_chunks(PPCA(4), path).noise_variance_
""",
    }
    for name, code in ours.items():
        found, plain = race(code, READ, folder, repeats)
        yield row(
            f"{name} from Parquet, {size(folder)}, {n:,} rows",
            found,
            "pyarrow's reading alone",
            plain,
        )


def gaps(folder: Path, *, tiny: bool) -> Iterator[Row]:
    """PPCA of a tenth of gaps, from Parquet against memory."""
    n, d = (2_000, 10) if tiny else (1_000_000, 100)
    rng = np.random.default_rng(0)
    W = rng.normal(size=(10, d))

    def part(k: int) -> dict[str, Any]:
        X = rng.normal(size=(k, 10)) @ W + rng.standard_normal((k, d))
        X[rng.random((k, d)) < 0.1] = np.nan
        return named(X)

    write(folder, n, part)
    q = 2 if tiny else 10
    ours = f"""
from ancestral import PPCA, streaming
def work():
    return streaming.fit_chunks(PPCA({q}), path).log_likelihood_
"""
    memory = f"""
import pyarrow.parquet as pq
from ancestral import PPCA
def work():
    X = pq.read_table(path).to_pandas().to_numpy()
    return PPCA({q}).fit(X).log_likelihood_
"""
    found, plain = race(ours, memory, folder, 1)
    yield row(
        f"PPCA({q}) with 10% gaps from Parquet, {n:,} x {d}", found, "the same in memory", plain
    )


def heteroscedastic(folder: Path, *, tiny: bool) -> Iterator[Row]:
    """A variance that depends on x, against weighted least squares in memory."""
    n, d = (2_000, 4) if tiny else (10_000_000, 20)
    data = f"""
import numpy as np
def chunk(i, n=100_000):
    rng = np.random.default_rng(i)
    X = rng.standard_normal((n, {d}))
    y = X @ np.linspace(-1, 1, {d}) + np.exp(X[:, 0] / 4 + X[:, 1] / 8) * rng.standard_normal(n)
    return X, y
def chunks():
    return (chunk(i) for i in range({n} // 100_000))
"""
    ours = (
        data
        + """
from ancestral import HeteroscedasticGaussian, streaming
def work():
    return streaming.fit_chunks(HeteroscedasticGaussian(), chunks).log_likelihood_
"""
    )
    plain = (
        data
        + """
def work():
    parts = list(chunks())
    X, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    del parts
    Z = np.column_stack([np.ones(len(X)), X])
    w = np.linalg.solve(Z.T @ Z, Z.T @ y)
    g = np.zeros(Z.shape[1])
    g[0] = np.log(np.mean((y - Z @ w) ** 2))
    G = np.linalg.inv(Z.T @ Z)
    g = G @ (Z.T @ (np.log((y - Z @ w) ** 2) + 1.2703628454614782))
    for _ in range(100):  # weighted least squares, and Fisher's scoring of the log variance
        precision = np.exp(-(Z @ g))
        B = Z * precision[:, None]
        step = np.linalg.solve(B.T @ Z, B.T @ (y - Z @ w))
        w = w + step
        move = G @ (Z.T @ (precision * (y - Z @ w) ** 2 - 1))
        g = g + move
        size = step @ (B.T @ Z) @ step + move @ (Z.T @ Z) @ move / 2
        if size < 1e-12:
            break
    h = Z @ g
    return float(-0.5 * (np.log(2 * np.pi) + h + (y - Z @ w) ** 2 * np.exp(-h)).sum())
"""
    )
    found, theirs = race(ours, plain, folder, 1)
    yield row(
        f"HeteroscedasticGaussian from chunks, {n:,} x {d}",
        found,
        "weighted least squares and Fisher scoring in memory",
        theirs,
        "both make the rows, each pass anew against once",
    )


def mixture(folder: Path, *, tiny: bool) -> Iterator[Row]:
    """A mixture of eight, against scikit-learn's of full covariances."""
    for n, d in ((10_000, 10), (100_000, 20), (1_000_000, 50)):
        data = f"""
import numpy as np
rng = np.random.default_rng(0)
centres, W = rng.normal(size=(8, {d})) * 3, rng.normal(size=(8, 3, {d}))
of = rng.integers(8, size={n})
X = centres[of] + np.einsum("nk,nkd->nd", rng.standard_normal(({n}, 3)), W[of])
X += rng.standard_normal(X.shape)
test, X = X[: {n} // 10], X[{n} // 10 :]
"""
        ours = (
            data
            + """
from ancestral import PPCAMixture
def work():
    return PPCAMixture(8, 3, tol=1e-3, random_state=0).fit(X).score(test)
"""
        )
        theirs = (
            data
            + """
from sklearn.mixture import GaussianMixture
def work():
    return GaussianMixture(8, tol=1e-3, max_iter=1000, random_state=0).fit(X).score(test)
"""
        )
        if tiny:
            return
        found, plain = race(ours, theirs, folder, 1)
        yield row(
            f"PPCAMixture(8, 3) in memory, {n:,} x {d}",
            found,
            "GaussianMixture(8, full)",
            plain,
            f"held out {found.value:.4f} nats a row against {plain.value:.4f}",
        )


def tree(folder: Path, *, tiny: bool) -> Iterator[Row]:
    """A tree over fifty mixed columns, from Parquet against memory."""
    n = 1_000 if tiny else 1_000_000
    rng = np.random.default_rng(0)

    def part(k: int) -> dict[str, Any]:
        z = rng.integers(4, size=(k, 5))
        found: dict[str, Any] = {}
        for j in range(50):
            own = z[:, j % 5]
            if j % 3 == 0:
                found[f"number{j}"] = rng.normal(own * (1 + j / 50), 1.0)
            elif j % 3 == 1:
                found[f"binary{j}"] = (rng.random(k) < 0.2 + 0.15 * own).astype(np.int8)
            else:
                level = (own + (rng.random(k) < 0.3)) % 4
                found[f"text{j}"] = np.array(["north", "south", "east", "west"])[level]
        return found

    write(folder, n, part)
    ours = """
from ancestral import LatentTree, streaming
def work():
    model = streaming.fit_chunks(LatentTree(32, 1, random_state=0), path)
    return model.log_likelihood_
"""
    memory = """
import pyarrow.parquet as pq
from ancestral import LatentTree
def work():
    return LatentTree(32, 1, random_state=0).fit(pq.read_table(path).to_pandas()).log_likelihood_
"""
    found, plain = race(ours, memory, folder, 1)
    nats = f"{found.value / n:.4f} nats a row against {plain.value / n:.4f}"
    yield row(
        f"LatentTree(32, 1) from Parquet, {n:,} x 50", found, "the same in memory", plain, nats
    )


def workers(folder: Path, *, tiny: bool) -> Iterator[Row]:
    """An iterated fit of 4 GiB on two workers, against one."""
    n, d = (2_000, 4) if tiny else (4 * GIB // (8 * 50), 49)
    rng = np.random.default_rng(0)

    def part(k: int) -> dict[str, Any]:
        X = rng.standard_normal((k, d))
        return named(X) | {"y": X[:, 0] + np.exp(X[:, 1] / 4) * rng.standard_normal(k)}

    write(folder, n, part)
    code = """
import dask
from dask.distributed import Client, LocalCluster
from ancestral import HeteroscedasticGaussian, streaming
dask.config.set({"distributed.worker.memory.spill": False})
cluster = LocalCluster(
    n_workers=WORKERS, threads_per_worker=1, memory_limit="1GiB", dashboard_address=":0"
)
client = Client(cluster)
def work():
    return streaming.fit_dask(HeteroscedasticGaussian(), path, client=client).log_likelihood_
"""
    two, one = race(code.replace("WORKERS", "2"), code.replace("WORKERS", "1"), folder, 1)
    yield row(
        f"HeteroscedasticGaussian on 2 workers, {size(folder)}, {n:,} x {d}", two, "1 worker", one
    )


# ---- how they are run ----------------------------------------------------------------------------

FRAME = """
import json, re, sys
from pathlib import Path
from time import perf_counter, process_time
import numpy as np
def peak():  # KiB; unlike getrusage's, none of what the process was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
if __name__ == "__main__":
    path = sys.argv[1]
    {setup}
    np.linalg.eigh(np.eye(600) + np.ones((600, 600)))
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    started, used = perf_counter(), process_time()
    found = work()
    taken = perf_counter() - started, process_time() - used
    print(json.dumps([*taken, (peak() - before) / 1024, float(found)]))
"""


def race(ours: str, theirs: str, folder: Path, repeats: int) -> tuple[Ran, Ran]:
    """Run both in turn, each in a process of its own; return the runs of median time."""
    found: tuple[list[Ran], list[Ran]] = ([], [])
    for repeat in range(repeats):
        for side in (0, 1) if repeat % 2 == 0 else (1, 0):
            found[side].append(run((ours, theirs)[side], folder))
    return median(found[0]), median(found[1])


def median(runs: list[Ran]) -> Ran:
    """Return the run of median time."""
    middle = statistics.median_low([one.seconds for one in runs])
    return next(one for one in runs if one.seconds == middle)


def run(setup: str, folder: Path) -> Ran:
    """Return what one run in a new process found."""
    script = FRAME.replace("{setup}", setup.strip().replace("\n", "\n    "))
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [sys.executable, file.name, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr:
            raise ImportError(done.stderr.strip().splitlines()[-1])
        raise RuntimeError(done.stderr)
    return Ran(*json.loads(done.stdout.strip().splitlines()[-1]))


def row(case: str, ours: Ran, peer: str, theirs: Ran, note: str = "") -> Row:
    """Return a line of the table, with peaks of memory."""
    peaks = f"peak {ours.peak:.0f} MiB above the interpreter, against {theirs.peak:.0f}"
    cpu = f"CPU {ours.cpu:.3g} s against {theirs.cpu:.3g}"
    return Row(
        case, ours.seconds, peer, theirs.seconds, "; ".join(filter(None, (peaks, cpu, note)))
    )


def named(X: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns by name."""
    return {f"x{j}": column for j, column in enumerate(X.T)}


def write(folder: Path, n: int, part: Callable[[int], dict[str, Any]]) -> None:
    """Write so many rows to Parquet files, in groups of some 30 MiB."""
    pa = import_arrow()
    import pyarrow.parquet as pq

    for number, start in enumerate(range(0, n, PART)):
        table = pa.table(part(min(PART, n - start)))
        group = max(1, (32 << 20) // max(1, table.nbytes // table.num_rows))
        pq.write_table(table, folder / f"{number:04d}.parquet", row_group_size=group)


def import_arrow() -> Any:
    """Return pyarrow; ImportError where it is not installed."""
    import pyarrow

    return pyarrow


def size(folder: Path) -> str:
    """Return what the files take, in words."""
    total = sum(file.stat().st_size for file in folder.glob("*.parquet"))
    return f"{total / GIB:.2g} GiB" if total > GIB / 10 else f"{total / 2**20:.2g} MiB"
