"""Benchmark sets: found by name or path, read from both layouts, what is broken named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import AncestralError, DataError, FormatError
from ancestral.io import splits


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
    found = splits.find_sets(tmp_path)
    assert len(found) == 2
    for paths in found:
        read = splits.read_splits(paths)
        assert read.name == "tiny"
        for part in splits.PARTS:
            np.testing.assert_array_equal(getattr(read, part), tables[part])


def test_what_is_no_set_is_named(tmp_path: Path, tables: dict[str, np.ndarray]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="holds no benchmark set"):
        splits.find_sets(tmp_path / "empty")
    with pytest.raises(FormatError, match="no such file"):
        splits.find_sets(tmp_path / "no.npz")
    (tmp_path / "x.csv").write_text("0,1")
    with pytest.raises(FormatError, match=r"not named NAME\.train\.data"):
        splits.find_sets(tmp_path / "x.csv")
    write_text(tmp_path, tables)
    (tmp_path / "tiny.valid.data").unlink()
    with pytest.raises(FormatError, match=r"tiny\.valid\.data: is missing"):
        splits.find_sets(tmp_path / "tiny.train.data")
    np.savez(tmp_path / "two.npz", train=tables["train"], test=tables["test"])
    with pytest.raises(AncestralError, match="valid"):
        splits.read_splits(splits.find_sets(tmp_path / "two.npz")[0])


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
        splits.read_splits(dict.fromkeys(splits.PARTS, path))


def test_parts_must_be_of_one_width(tmp_path: Path, tables: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "odd.npz", **{**tables, "test": tables["test"][:, :4]})
    with pytest.raises(DataError, match="differ in width"):
        splits.read_splits(splits.find_sets(tmp_path / "odd.npz")[0])
    np.savez(tmp_path / "flat.npz", **{**tables, "test": tables["test"][:, 0]})
    with pytest.raises(DataError, match=r"test has shape \(100,\)"):
        splits.read_splits(splits.find_sets(tmp_path / "flat.npz")[0])


@pytest.fixture
def home(tmp_path: Path, tables: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two sets, one in each layout, that ANCESTRAL_DATA names; elsewhere nothing."""
    (tmp_path / "data" / "debd" / "tiny").mkdir(parents=True)
    write_text(tmp_path / "data" / "debd" / "tiny", tables)
    np.savez(tmp_path / "data" / "debd" / "small.npz", **tables)
    monkeypatch.setenv("ANCESTRAL_DATA", str(tmp_path / "data"))
    (tmp_path / "empty" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty" / "here")
    return tmp_path / "data" / "debd"


def test_sets_are_found_by_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert splits.find_all(["small", "tiny"]) == [
        dict.fromkeys(splits.PARTS, home / "small.npz"),
        {part: home / "tiny" / f"tiny.{part}.data" for part in splits.PARTS},
    ]
    assert [splits.name_of(found) for found in splits.find_all([])] == ["small", "tiny"]
    # without the variable: beside the working folder
    monkeypatch.delenv("ANCESTRAL_DATA")
    monkeypatch.chdir(home.parent)
    assert [splits.name_of(found) for found in splits.find_all(["tiny"])] == ["tiny"]
    # a folder of that name here comes first
    monkeypatch.chdir(home)
    assert splits.find_all(["tiny"])[0]["train"] == Path("tiny/tiny.train.data")


def test_a_name_that_is_not_found_says_where_it_was_looked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FormatError) as said:
        splits.find_all(["smal"])
    for words in ("Did you mean small?", "small, tiny", str(home.parent), "../shared/data/debd"):
        assert words in str(said.value)
    monkeypatch.delenv("ANCESTRAL_DATA")
    for sources in (["nltcs"], []):
        with pytest.raises(FormatError, match=r"ANCESTRAL_DATA \(not set\)"):
            splits.find_all(sources)


def test_a_folder_gives_each_set_once_and_leaves_other_archives(
    tmp_path: Path, tables: dict[str, np.ndarray]
) -> None:
    write_text(tmp_path, tables, "train")
    write_text(tmp_path, tables, "ts")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    assert len(splits.find_sets(tmp_path)) == 1
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(FormatError, match="broken"):
        splits.read_splits(splits.find_sets(tmp_path)[0])


def test_published_figures_come_with_who_says_so(
    tmp_path: Path, tables: dict[str, np.ndarray]
) -> None:
    for name in ("nltcs", "mine", "theirs"):
        np.savez(tmp_path / f"{name}.npz", **tables)
    beside = tmp_path / "published.json"
    figures = {"hclt": {"mine": -3.5}, "other": {"mine": -3.25}, "notes": "measured twice"}
    beside.write_text(json.dumps(figures))

    def of(name: str) -> splits.Published | None:
        return splits.published(splits.find_sets(tmp_path / f"{name}.npz")[0])

    assert of("nltcs") == splits.Published("HCLT", -5.999, splits.HCLT_SOURCE)
    assert of("mine") == splits.Published("OTHER", -3.25, str(beside))
    assert of("theirs") is None
    beside.write_text("{")
    with pytest.raises(FormatError, match=r"published\.json: is no JSON"):
        of("mine")
