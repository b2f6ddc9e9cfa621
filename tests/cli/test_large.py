"""Commands on data larger than memory: folders, patterns, addresses; read and written in parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import ancestral
from ancestral import datasets
from ancestral.cli import large

pytest.importorskip("pyarrow")


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"p{k}" for k in range(240)],
            "age": rng.normal(40, 10, 240).round(2),
            "size": rng.normal(170, 8, 240).round(2),
            "town": pd.Categorical(rng.choice(["Oslo", "Bonn"], 240)),
        }
    )
    frame["size"] += frame["age"] / 2
    return frame


@pytest.fixture
def folder(tmp_path, people):
    """The table in three Parquet files."""
    path = tmp_path / "rows"
    path.mkdir()
    for k, (a, b) in enumerate([(0, 100), (100, 110), (110, 240)]):
        people[a:b].to_parquet(path / f"part-{k}.parquet", index=False)
    return path


@pytest.fixture
def numbers(tmp_path, people):
    """The columns of numbers in a folder of CSV files and in one file, and a fitted model."""
    path = tmp_path / "numbers"
    path.mkdir()
    for k in range(3):
        people[80 * k : 80 * k + 80][["age", "size"]].to_csv(path / f"{k}.csv", index=False)
    people[["age", "size"]].to_csv(tmp_path / "numbers.csv", index=False)
    return path


def test_a_folder_is_fitted_scored_and_drawn_as_a_file_is(run, numbers, tmp_path):
    one, many = tmp_path / "one.model", tmp_path / "many.model"
    whole = tmp_path / "numbers.csv"
    assert run("fit", "ppca", whole, "--n-components", 1, "-o", one)[0] == 0
    for data in (numbers, f"{numbers}/*.csv", f"file://{numbers}"):
        assert run("fit", "ppca", data, "--n-components", 1, "-o", many, "--force")[0] == 0
        a, b = ancestral.load(one), ancestral.load(many)
        assert list(b.feature_names_in_) == ["age", "size"]
        assert np.allclose(a.get_covariance(), b.get_covariance(), rtol=1e-12)
    facts = json.loads(run("score", one, whole, "--json")[1])
    found = json.loads(run("score", one, numbers, "--json")[1])
    assert facts == {k: pytest.approx(v) for k, v in found.items()}
    out = tmp_path / "nats.parquet"
    assert run("score", one, numbers, "-o", out)[0] == 0
    model = ancestral.load(one)
    rows = pd.read_csv(whole)
    assert np.allclose(pd.read_parquet(out)["log_density"], model.log_density(rows))


def test_a_pattern_is_a_table_of_mixed_columns(run, folder, people, tmp_path):
    model = tmp_path / "people.model"
    drop = people.drop(columns="id")
    ancestral.LatentTree(n_states=2, n_trees=1, random_state=0).fit(drop).save(model)
    people.loc[::7, "age"] = None
    people.loc[3::11, "town"] = None
    for k, (a, b) in enumerate([(0, 100), (100, 110), (110, 240)]):
        people[a:b].to_parquet(folder / f"part-{k}.parquet", index=False)
    out = tmp_path / "whole.parquet"
    code, _, err = run("impute", model, f"{folder}/*.parquet", "-o", out)
    assert code == 0, err
    gaps = people.isna().to_numpy()
    assert "240 rows written" in err
    assert f"{gaps.sum()} gaps in {gaps.any(axis=1).sum()} rows filled" in err
    found = pd.read_parquet(out)
    assert dict(found.dtypes) == dict(people.dtypes)
    assert not found.isna().any().any()
    assert (found["id"] == people["id"]).all()
    assert run("impute", model, folder, "-o", out)[0] == 1  # is there already
    assert run("impute", model, folder, "-o", out, "--force", "--draws", 2)[0] == 0
    drawn = pd.read_parquet(out)
    assert list(drawn.columns) == ["draw", "row", *people.columns]
    assert len(drawn) == 480


def test_dates_and_text_of_a_folder_of_csv_are_those_of_one_file(run, people, tmp_path):
    rng = np.random.default_rng(1)
    days = np.datetime64("2024-01-01") + rng.integers(0, 60, 240).astype("m8[D]")
    people["day"], people["code"] = days.astype(str), rng.choice([17, 23], 240)
    people["id"] = [f"{10**19 + k}" for k in range(240)]
    people.loc[::9, "day"] = None
    one, many, folder = tmp_path / "one.csv", tmp_path / "many", tmp_path / "seen"
    seen = people.drop(columns="id")
    seen.to_csv(one, index=False)
    for place, table in ((many, people), (folder, seen)):
        place.mkdir()
        for k in range(3):
            table[80 * k : 80 * k + 80].to_csv(place / f"{k}.csv", index=False)
    models = [tmp_path / "one.model", tmp_path / "many.model"]
    how = ("--n-states", 2, "--n-trees", 1, "--random-state", 0, "--text", "code")
    for model, data in zip(models, (one, folder), strict=True):
        code, _, err = run("fit", "tree", data, *how, "-o", model)
        assert code == 0, err
        assert "dates written as text" not in err
    a, b = map(ancestral.load, models)
    assert [c["of"] for c in a.columns_] == [c["of"] for c in b.columns_]
    assert {c["name"]: c["of"] for c in b.columns_} == {
        "age": "number", "size": "number", "town": "text", "day": "date", "code": "text"
    }  # fmt: skip
    facts = [json.loads(run("score", models[0], data, "--json")[1]) for data in (one, folder)]
    assert facts[0]["mean_log_density"] == pytest.approx(facts[1]["mean_log_density"])
    out, whole = tmp_path / "many.csv", tmp_path / "whole.csv"
    assert run("impute", models[0], many, "-o", out)[0] == 0
    assert run("impute", models[0], one, "-o", whole)[0] == 0
    found, wanted = pd.read_csv(out, dtype=str), pd.read_csv(whole, dtype=str)
    assert (found["id"] == people["id"]).all()
    pd.testing.assert_frame_equal(found[wanted.columns.tolist()], wanted)
    code, _, err = run("fit", "tree", many, "-o", models[1], "--force")
    assert code == 1
    assert "beyond 64 bits. Leave the column out, or take it as text: --text id." in err


def test_a_target_is_named_or_told(run, folder, people, tmp_path):
    model, out = tmp_path / "size.model", tmp_path / "size.parquet"
    plain = tmp_path / "plain"
    plain.mkdir()
    people[["age", "size"]][:100].to_parquet(plain / "0.parquet", index=False)
    people[["age", "size"]][100:].to_parquet(plain / "1.parquet", index=False)
    code, _, err = run("fit", "linear", plain, "--target", "size", "-o", model)
    assert code == 0, err
    assert "target: size; inputs: age" in err
    held = ancestral.load(model)
    fitted = ancestral.LinearGaussian().fit(people[["age"]], people["size"])
    assert np.allclose(held.coef_, fitted.coef_, rtol=1e-12)
    assert run("predict", model, folder, "--std", "-o", out)[0] == 0  # by name, whatever else
    assert list(pd.read_parquet(out).columns) == ["size", "std"]
    assert np.allclose(pd.read_parquet(out)["size"], fitted.predict(people[["age"]]))
    facts = json.loads(run("score", model, plain, "--json")[1])
    found = fitted.log_density(people[["age"]], people["size"]).mean()
    assert facts["mean_log_density"] == pytest.approx(found)
    assert run("sample", model, "--inputs", folder, "-n", 3, "-o", out, "--force")[0] == 0
    assert pd.read_parquet(out).shape == (240, 3)


def test_an_array_beyond_memory_is_read_by_offset(run, tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(300, 3))
    np.save(tmp_path / "rows.npy", X)
    monkeypatch.setattr(large, "_memory", lambda: 1)
    assert large.is_large(str(tmp_path / "rows.npy"))
    model = tmp_path / "m.model"
    assert run("fit", "ppca", tmp_path / "rows.npy", "--n-components", 1, "-o", model)[0] == 0
    assert np.allclose(ancestral.load(model).mean_, X.mean(axis=0))
    assert run("fit", "linear", tmp_path / "rows.npy", "-o", model, "--force")[0] == 0
    held = ancestral.LinearGaussian().fit(X[:, :2], X[:, 2])
    assert np.allclose(ancestral.load(model).coef_, held.coef_, rtol=1e-12)


def test_graphs_in_a_folder(run, tmp_path):
    rooms = datasets.classrooms()[:12]
    (tmp_path / "rooms").mkdir()
    ancestral.io.write_graphs(tmp_path / "rooms" / "0.npz", rooms[:5])
    ancestral.io.write_graphs(tmp_path / "rooms" / "1.npz", rooms[5:])
    model, out = tmp_path / "g.model", tmp_path / "g.csv"
    assert run("fit", "graph", tmp_path / "rooms", "-o", model)[0] == 0
    held = ancestral.InnerProductGraph().fit(rooms)
    assert ancestral.load(model).slope_ == pytest.approx(held.slope_)
    assert run("score", model, tmp_path / "rooms", "-o", out)[0] == 0
    assert np.allclose(pd.read_csv(out)["log_density"], held.log_density(rooms))
    fit = ("fit", "graph", tmp_path / "rooms", "-o", tmp_path / "h.model")
    assert run(*fit, "--weights", "refuse", "--directed", "refuse")[0] == 0
    code, _, err = run(*fit, "--weight", "hours", "--force")
    assert code == 1 and "--weight hours names a column of links" in err


def test_many_draws_are_written_in_blocks(run, tmp_path, monkeypatch):
    from ancestral.streaming import writing

    X = np.random.default_rng(0).normal(size=(300, 3))
    model, out = tmp_path / "m.model", tmp_path / "draws.csv"
    ancestral.PPCA(1).fit(X).save(model)
    monkeypatch.setattr(writing, "BLOCK_VALUES", 300)
    assert run("sample", model, "-n", 1000, "-o", out, "--random-state", 3)[0] == 0
    found = pd.read_csv(out)
    assert found.shape == (1000, 3)
    assert np.allclose(found[:100], ancestral.load(model).sample(100, random_state=3))


def test_an_address_may_be_written_to(run, numbers, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    model = tmp_path / "m.model"
    ancestral.PPCA(1).fit(pd.read_csv(tmp_path / "numbers.csv")).save(model)
    out = "memory://cli/nats.parquet"
    assert run("score", model, numbers, "-o", out)[0] == 0
    assert fsspec.filesystem("memory").exists(out)
    code, _, err = run("score", model, tmp_path / "numbers.csv", "-o", out)
    assert code == 1
    assert "--force" in err
    assert run("score", model, tmp_path / "numbers.csv", "-o", out, "--force")[0] == 0
    with fsspec.open(out) as file:
        assert len(pd.read_parquet(file)) == 240


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("score", "{model}", "{none}/*.parquet"), "matches no file"),
        (("score", "{model}", "{empty}"), "no files"),
        (("score", "{model}", "{numbers}", "--leave-one-out"), "has no use"),
        (("score", "{model}", "{numbers}", "--key", "a"), "--key has no use"),
        (
            ("score", "{model}", "{numbers}", "-o", "{numbers}/x.parquet"),
            "and would be read as data",
        ),
        (
            ("score", "{model}", "{numbers}/*.csv", "-o", "{numbers}/new.csv"),
            "and would be read as data",
        ),
        (("score", "{model}", "{numbers}", "-o", "{none}/x.xlsx"), "end the name in"),
        (("score", "{model}", "{numbers}", "-o", "nowhere://x.csv"), "nowhere"),
        (("impute", "{model}", "{numbers}"), "name a file, as in -o"),
        (("impute", "{model}", "{numbers}", "-o", "{none}/x.csv", "--json"), "--json has no use"),
        (("impute", "{model}", "{numbers}/*.csv", "-o", "{numbers}/0.csv"), "would be lost"),
        (("fit", "ppca", "{gaps}", "--n-components", "1", "-o", "{none}/m.model"), "--missing"),
        (("fit", "lstm", "{numbers}", "--validation", "x", "-o", "{none}/m"), "--validation"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, numbers, tmp_path, arguments, why):
    places = {"model": tmp_path / "m.model", "numbers": numbers, "none": tmp_path}
    places |= {"empty": tmp_path / "empty", "gaps": tmp_path / "gaps"}
    for name in ("empty", "gaps"):
        places[name].mkdir()
    (places["gaps"] / "0.csv").write_text("age,size\n1,2\n3,4\n2,\n2,1\n")
    ancestral.PPCA(1).fit(pd.read_csv(tmp_path / "numbers.csv")).save(places["model"])
    before = sorted(path.name for path in tmp_path.rglob("*"))
    code, out, err = run(*[one.format(**places) for one in arguments])
    assert code in (1, 2)
    assert not out
    assert why in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("before", [None, b"old"])
def test_ctrl_c_leaves_a_whole_file_or_none(before, numbers, tmp_path):
    model, out = tmp_path / "m.model", tmp_path / "nats.parquet"
    ancestral.PPCA(1).fit(pd.read_csv(tmp_path / "numbers.csv")).save(model)
    if before is not None:
        out.write_bytes(before)
    slow = (
        "import sys, time\nfrom ancestral.streaming import writing\nown = writing._own\n"
        "def late(*given):\n    print('going', flush=True); time.sleep(3); return own(*given)\n"
        "writing._own = late\nfrom ancestral.cli.__main__ import main\nmain()"
    )
    arguments = ["score", model, numbers, "-o", out, "--force"]
    with subprocess.Popen(
        [sys.executable, "-c", slow, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
    ) as child:
        assert child.stdout.readline() == "going\n"
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert "interrupted" in said
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert out.exists() == (before is not None)
    assert before is None or out.read_bytes() == before


def test_a_folder_in_another_spelling_is_read_under_its_options(run, tmp_path):
    (tmp_path / "w").mkdir()
    text = "name;price\nO\u2019Brien;1.145,72\n" + 8 * "Zo\u00eb;2,5\nAnn;3\n"
    (tmp_path / "w" / "a.csv").write_bytes(text.encode("cp1252"))
    fit = ("fit", "tree", tmp_path / "w", "--n-states", 1, "-o", tmp_path / "m")
    code, _, err = run(*fit)
    assert code == 1 and "pass --encoding cp1252, --sep ';', --decimal ,, --thousands ., or" in err
    assert "source_of_paths" not in err
    german = ("--encoding", "cp1252", "--sep", ";", "--decimal", ",", "--thousands", ".")
    assert "looks ';'-separated (--sep ';', --decimal ,)" in run(*fit, *german[:2])[2]
    assert run(*fit, *german)[0] == 0
    assert "O\u2019Brien" in ancestral.load(tmp_path / "m").columns_[0]["levels"]
