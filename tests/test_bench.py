"""The density estimation benchmark: what it reads, how it scores, what it prints."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ancestral import LatentTree, bench
from ancestral.bench import latent_class, mixed
from ancestral.errors import AncestralWarning, DataError, FormatError, ModelError
from ancestral.io import splits

CHAINS = pytest.mark.skipif(find_spec("lightgbm") is None, reason="LightGBM is an extra")


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.cumsum(rng.random((500, 5)) < 0.2, axis=1) % 2
    return {"train": X[:300], "valid": X[300:400], "test": X[400:]}


@CHAINS
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


@CHAINS
def test_a_fifth_of_a_real_set_comes_near_its_published_figure(data: Path, tmp_path: Path) -> None:
    """nltcs with one order: within 0.12 nats of hidden Chow-Liu trees fitted to every row."""
    with np.load(data / "debd" / "nltcs.npz") as whole:
        parts = {part: whole[part] for part in splits.PARTS}
    np.savez(tmp_path / "nltcs.npz", **{**parts, "train": parts["train"][:3200]})
    (result,) = bench.bench_debd([tmp_path / "nltcs.npz"], max_orders=1)
    assert result.published == -5.999
    assert result.log_density > result.published - 0.12


# ---- trees and tables of mixed columns -----------------------------------------------------------


def test_trees_are_scored_on_the_same_rows(tmp_path: Path, tables: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "tiny.npz", **tables)
    (result,) = bench.bench_debd([tmp_path], model="tree")
    assert (result.n_train, result.n_test) == (300, 100)
    assert result.n_orders == len(result.chosen) and "states" in result.chosen[0]
    margins = np.clip(tables["train"].mean(axis=0), 1e-3, 1 - 1e-3)
    apart = (tables["test"] * np.log(margins) + (1 - tables["test"]) * np.log(1 - margins)).sum(1)
    assert result.log_density > apart.mean() + 2 * result.standard_error
    with pytest.raises(ModelError, match='model must be "orders" or "tree"'):
        next(bench.bench_debd([tmp_path], model="forest"))  # type: ignore[arg-type]


def mixed_file(path: Path, n: int = 300) -> Path:
    """Two groups behind a level, a number with zeros and a date; gaps in each."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, n)
    kind = np.array(["a", "b"])[np.where(rng.random(n) < 0.9, group, 1 - group)]
    size = np.where(rng.random(n) < 0.2, 0.0, rng.normal(3 + 4 * group, 1.0).round(2))
    day = np.datetime64("2020-01-01") + (rng.normal(300 * group, 30, n)).astype(int)
    rows = [
        ["" if rng.random() < 0.05 else str(cell) for cell in row] for row in zip(kind, size, day)
    ]
    path.write_text("\n".join(["kind,size,day", *(",".join(row) for row in rows)]) + "\n")
    return path


def test_a_table_is_scored_beside_simpler_models(tmp_path: Path) -> None:
    """What two classes explain: both models find it, and independent columns do not."""
    (result,) = bench.bench_mixed([mixed_file(tmp_path / "made.csv")])
    assert (result.name, result.n_train, result.n_test, result.n_columns) == ("made", 240, 60, 3)
    assert result.gain > 0.5 and result.latent_class - result.independent > 0.5
    assert abs(result.log_density - result.latent_class) < 4 * result.standard_error
    (again,) = bench.bench_mixed([tmp_path / "made.csv"])
    assert again.log_density == result.log_density
    assert result.as_dict()["gain"] == result.gain
    from rich.console import Console

    out = io.StringIO()
    assert bench.print_mixed([result], Console(file=out, width=200)) == [result]
    assert "made" in out.getvalue() and f"{result.gain:.3f}" in out.getvalue()


def test_latent_classes_are_a_tree_whose_states_are_all_one(tmp_path: Path) -> None:
    """By hand: log of the sum over classes of the product of what each leaf says."""
    cut = mixed.cut_of(mixed_file(tmp_path / "made.csv"), 0)
    model = LatentTree(2, 1, n_sweeps=1, random_state=0, **cut.schema).fit(cut.train)
    found = latent_class.Table.of(model, cut.train).fitted(3, np.random.default_rng(0))
    (circuit,) = found.mixture.circuits
    for i in range(1, 3):
        np.testing.assert_array_equal(circuit.transitions[i], np.eye(3))
    rows = model._check_rows(cut.test)
    joint = np.log(circuit.root) + sum(
        leaf.log_density(column) for leaf, column in zip(circuit.leaves, rows.T, strict=True)
    )
    np.testing.assert_allclose(
        found.log_density(rows), np.logaddexp.reduce(joint, axis=1), rtol=1e-12
    )


def test_tables_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mixed").mkdir()
    path = mixed_file(tmp_path / "mixed" / "made.csv", 30)
    monkeypatch.setenv("ANCESTRAL_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path / "mixed")
    assert mixed.find_tables(["made"]) == mixed.find_tables([]) == [path]
    assert mixed.find_tables(["made.csv"]) == [Path("made.csv")]
    with pytest.raises(FormatError, match=r"other: is no table that was found. Found were made"):
        mixed.find_tables(["other"])
    with pytest.raises(DataError, match="has 9 rows; 20 or more"):
        list(bench.bench_mixed([mixed_file(tmp_path / "few.csv", 9)]))
