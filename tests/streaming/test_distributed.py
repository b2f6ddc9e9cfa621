"""Parquet larger than a worker's memory, on two of them: 200 MB, and 4 GB in the long version."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, HeteroscedasticGaussian, LatentTree, LinearGaussian
from ancestral.errors import AncestralWarning
from ancestral.streaming import fit_chunks, fit_dask
from tests.streaming.test_cluster import cluster

pa = pytest.importorskip("pyarrow", reason='needs pyarrow: pip install "ancestral[tables]"')
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow without Parquet")
pytest.importorskip("distributed", reason="distributed is an extra")

D = 40
NUMBERS = [f"x{j}" for j in range(D)]
ROWS = 25_000  # of a file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, *, long: bool) -> Path:
    """Write numbers, a target of which the truth is known, gaps and a column of text."""
    found = tmp_path_factory.mktemp("rows")
    n_files = (4_000_000_000 if long else 200_000_000) // (8 * (2 * D + 1) * ROWS)
    for number in range(n_files):
        rng = np.random.default_rng(number)
        X = rng.standard_normal((ROWS, D)) + rng.standard_normal((ROWS, 1))
        y = 3 * X[:, 0] - X[:, 1] + np.exp(X[:, 2] / 4) * rng.standard_normal(ROWS)
        gappy = np.where(rng.random(X.shape) < 0.1, np.nan, X)
        columns = {"y": y, "kind": np.where(X[:, 3] > 0, "up", "down")}
        columns |= {name: X[:, j] for j, name in enumerate(NUMBERS)}
        columns |= {f"g{j}": gappy[:, j] for j in range(D)}
        pq.write_table(pa.table(columns), found / f"{number:04d}.parquet")
    return found


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster(2, "1GiB") as found:
        yield found


CASES = {
    "linear": (lambda: LinearGaussian(), ["y", *NUMBERS]),
    "ppca": (lambda: PPCA(2), NUMBERS),
    "heteroscedastic": (lambda: HeteroscedasticGaussian(), ["y", *NUMBERS[:5]]),
    "gaps": (lambda: PPCA(1, max_iter=4), [f"g{j}" for j in range(D)]),
    "tree": (lambda: LatentTree(4, 1, random_state=0), ["kind", "x3", "x4", "g0"]),
}


@pytest.mark.parametrize("name", CASES)
def test_two_workers_give_the_bits_of_one_machine(
    name: str, folder: Path, client: Any, *, long: bool
) -> None:
    make, columns = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)  # four passes are few
        here = fit_chunks(make(), folder, columns=columns)
        there = fit_dask(make(), folder, columns=columns, client=client)
    if name == "tree" and long:  # a sum may take a 32nd of such a worker: its sample is smaller
        rows = pq.read_table(next(iter(sorted(folder.glob("*")))), columns=columns).to_pandas()
        assert there.score(rows) == pytest.approx(here.score(rows), abs=0.02)
        return
    state, other = here._fitted_state(), there._fitted_state()
    assert state.keys() == other.keys()
    for key, value in state.items():
        np.testing.assert_equal(other[key], value, err_msg=key)
    n = sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))
    if name == "heteroscedastic":
        truth = np.r_[3.0, -1.0, np.zeros(3)]
        assert (abs(there.coef_ - truth) < 5 * there.standard_errors_[1:]).all()  # 6e-7 each
        assert abs(there.variance_coef_[2] - 0.5) < 5 * there.variance_standard_errors_[3]
    if name in ("linear", "ppca"):
        assert there.n_samples_ == n
