"""The density estimation benchmark: what it reads, how it scores, what it prints."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from ancestral import bench
from ancestral.errors import AncestralError, DataError, FormatError

pytest.importorskip("lightgbm", reason="LightGBM is an extra")


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.cumsum(rng.random((500, 5)) < 0.2, axis=1) % 2
    return {"train": X[:300], "valid": X[300:400], "test": X[400:]}


def write_text(folder: Path, tables: dict[str, np.ndarray], first: str = "train") -> None:
    for part, table in tables.items():
        name = f"tiny.{first if part == 'train' else part}.data"
        np.savetxt(folder / name, table, fmt="%d", delimiter=",")


@pytest.mark.parametrize("first", ["train", "ts"])
def test_both_layouts_give_the_same_set(
    tmp_path: Path, tables: dict[str, np.ndarray], first: str
) -> None:
    np.savez(tmp_path / "tiny.npz", **tables)
    (tmp_path / "text").mkdir()
    write_text(tmp_path / "text", tables, first)
    (tmp_path / "notes.txt").write_text("not a set")
    found = bench.find_sets(tmp_path)
    assert len(found) == 2
    for paths in found:
        splits = bench.read_splits(paths)
        assert splits.name == "tiny"
        for part in bench.PARTS:
            np.testing.assert_array_equal(getattr(splits, part), tables[part])


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
    (single,) = bench.bench_debd([tmp_path], cpu_seconds=0.0)
    assert single.n_orders == 1  # the first is always finished, no other begun


def test_the_table_names_its_source() -> None:
    result = bench.Result("nltcs", 10, 16, 5, -6.0123, 0.05, 12.3, 2, ("a", "a"), -5.999)
    from rich.console import Console

    out = io.StringIO()
    assert bench.print_results([result], Console(file=out, width=200)) == [result]
    text = out.getvalue()
    for word in ("nltcs", "-6.0123", "0.0500", "12.3", "-5.999", "2 x a", "HCLT", "github.com"):
        assert word in text
    assert result.as_dict()["chosen"] == ("a", "a")


def test_what_is_no_set_is_named(tmp_path: Path, tables: dict[str, np.ndarray]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="holds no benchmark set"):
        bench.find_sets(tmp_path / "empty")
    with pytest.raises(FormatError, match="no such file"):
        bench.find_sets(tmp_path / "no.npz")
    (tmp_path / "x.csv").write_text("0,1")
    with pytest.raises(FormatError, match=r"not named NAME\.train\.data"):
        bench.find_sets(tmp_path / "x.csv")
    write_text(tmp_path, tables)
    (tmp_path / "tiny.valid.data").unlink()
    with pytest.raises(FormatError, match=r"tiny\.valid\.data: is missing"):
        bench.find_sets(tmp_path / "tiny.train.data")
    np.savez(tmp_path / "two.npz", train=tables["train"], test=tables["test"])
    with pytest.raises(AncestralError, match="valid"):
        list(bench.bench_debd([tmp_path / "two.npz"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("0,1\n0\n", "line 2 has 1 characters, line 1 has 3"),
        ("0;1\n", "more than single digits"),
        ("0,x\n", "more than single digits"),
        ("0,2\n", "holds 2 at row 0, column 1"),
    ],
)
def test_bad_text_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.train.data"
    path.write_text(text)
    with pytest.raises(AncestralError, match=message):
        bench.read_splits(dict.fromkeys(bench.PARTS, path))


def test_parts_must_be_of_one_width(tmp_path: Path, tables: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "odd.npz", **{**tables, "test": tables["test"][:, :4]})
    with pytest.raises(DataError, match="differ in width"):
        list(bench.bench_debd([tmp_path / "odd.npz"]))
    np.savez(tmp_path / "flat.npz", **{**tables, "test": tables["test"][:, 0]})
    with pytest.raises(DataError, match=r"test has shape \(100,\)"):
        list(bench.bench_debd([tmp_path / "flat.npz"]))


def test_a_fifth_of_a_real_set_comes_near_its_published_figure(data: Path, tmp_path: Path) -> None:
    """nltcs with one order: within 0.12 nats of hidden Chow-Liu trees fitted to every row."""
    with np.load(data / "debd" / "nltcs.npz") as whole:
        parts = {part: whole[part] for part in bench.PARTS}
    np.savez(tmp_path / "nltcs.npz", **{**parts, "train": parts["train"][:3200]})
    (result,) = bench.bench_debd([tmp_path / "nltcs.npz"], cpu_seconds=0.0)
    assert result.published == -5.999
    assert result.log_density > result.published - 0.12
