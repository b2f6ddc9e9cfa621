"""The density estimation benchmark: what it reads, how it scores, what it prints."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from ancestral import bench
from ancestral.errors import AncestralWarning
from ancestral.io import splits

pytest.importorskip("lightgbm", reason="LightGBM is an extra")


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.cumsum(rng.random((500, 5)) < 0.2, axis=1) % 2
    return {"train": X[:300], "valid": X[300:400], "test": X[400:]}


def test_a_set_is_scored_on_its_test_rows(tmp_path: Path, tables: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "tiny.npz", **tables)
    lines: list[str] = []
    (result,) = bench.bench_debd([tmp_path], max_orders=2, tell=lines.append)
    assert (result.name, result.n_train, result.n_variables, result.n_test) == ("tiny", 300, 5, 100)
    assert result.n_orders == len(result.chosen) == len(lines) == 2
    assert result.published is None
    margins = np.clip(tables["train"].mean(axis=0), 1e-3, 1 - 1e-3)
    apart = (tables["test"] * np.log(margins) + (1 - tables["test"]) * np.log(1 - margins)).sum(1)
    assert result.log_density > apart.mean() + 4 * result.standard_error
    assert 0 < result.standard_error < 0.5
    assert result.cpu_seconds > 0
    (again,) = bench.bench_debd([tmp_path / "tiny.npz"], max_orders=2)
    assert again.log_density == result.log_density
    with pytest.warns(AncestralWarning, match="ran out"):
        (single,) = bench.bench_debd([tmp_path], cpu_seconds=1e-3)
    assert single.n_orders == 1  # one is always tried, no other begun
    assert np.isfinite(single.log_density)


def test_the_table_names_its_source() -> None:
    result = bench.Result(
        "nltcs", 10, 16, 5, -6.0123, 0.05, 12.3, 2, ("a", "a"), -5.999, "HCLT", splits.HCLT_SOURCE
    )
    from rich.console import Console

    out = io.StringIO()
    assert bench.print_results([result], Console(file=out, width=200)) == [result]
    text = out.getvalue()
    for word in ("nltcs", "-6.0123", "0.0500", "12.3", "-5.999", "2 x a", "HCLT", "github.com"):
        assert word in text
    assert result.as_dict()["chosen"] == ("a", "a")


def test_a_fifth_of_a_real_set_comes_near_its_published_figure(data: Path, tmp_path: Path) -> None:
    """nltcs with one order: within 0.12 nats of hidden Chow-Liu trees fitted to every row."""
    with np.load(data / "debd" / "nltcs.npz") as whole:
        parts = {part: whole[part] for part in splits.PARTS}
    np.savez(tmp_path / "nltcs.npz", **{**parts, "train": parts["train"][:3200]})
    (result,) = bench.bench_debd([tmp_path / "nltcs.npz"], max_orders=1)
    assert result.published == -5.999
    assert result.log_density > result.published - 0.12
