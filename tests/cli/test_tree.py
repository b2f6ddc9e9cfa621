"""A table of text, numbers, dates and gaps on the command line: fitted, asked, filled, drawn."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import ancestral
from ancestral.cli.facts import odd_cells
from ancestral.io import read_table
from ancestral.io.mixed import read_mixed

SMALL = ("--n-states", 3, "--n-trees", 1, "--n-sweeps", 6, "--random-state", 0)


@pytest.fixture(scope="module")
def flats(tmp_path_factory):
    """Three hundred flats: rent by size and town, no rent for some, gaps in every column."""
    rng = np.random.default_rng(0)
    n = 300
    town = rng.choice(["Bern", "Chur", "Genf"], n, p=[0.5, 0.3, 0.2])
    size = rng.normal(60, 15, n).round(1)
    rent = np.where(rng.random(n) < 0.2, 0, (15 * size + 400 * (town == "Genf")).round())
    rooms = np.clip(size // 20, 1, 5).astype(int)
    days = np.datetime64("2001-01-01") + rng.integers(0, 5000, n)
    cells = [town, size, rent, rooms, days, np.where(rng.random(n) < 0.5, "true", "false")]
    names = [f"flat {k}" for k in range(n)]
    rows = [list(map(str, row)) for row in zip(*cells)]
    for row, gaps in zip(rows, rng.random((n, len(cells))) < 0.05):
        row[:] = ["" if gap else cell for cell, gap in zip(row, gaps)]
    path = tmp_path_factory.mktemp("flats") / "flats.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "town", "size", "rent", "rooms", "built", "let"])
        writer.writerows([[name, *row] for name, row in zip(names, rows)])
    return path


@pytest.fixture(scope="module")
def model(flats):
    path = flats.parent / "flats.model"
    table = read_table(flats, missing=True, dates=True)
    with pytest.warns(ancestral.AncestralWarning, match="'name' is left out"):
        fitted = ancestral.LatentTree(3, 1, n_sweeps=6, random_state=0).fit(table)
    return fitted.save(path)


SAID = pytest.mark.filterwarnings("always:columns? .* (left out|written as text)")


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@SAID
def test_a_table_is_fitted_with_its_gaps_dates_and_names(run, flats, model, tmp_path):
    out = tmp_path / "a.model"
    code, said, err = run("fit", "tree", flats, *SMALL, "-o", out, "--json")
    facts = json.loads(said)
    assert code == 0, err
    assert "'name' is left out" in err and facts["left_out"] == ["name"]
    assert facts["columns"]["town"] == "categorical: Bern, Chur, Genf"
    assert facts["columns"]["built"] == "continuous (dates)"
    assert facts["columns"]["rent"].endswith("1 value with a probability of its own")
    assert facts["n_states_"] == 3 and facts["n_trees_"] == 1
    again = ancestral.load(out)
    assert [one["kind"] for one in again.columns_] == [
        "categorical", "continuous", "continuous", "categorical", "continuous", "binary",
    ]  # fmt: skip
    scored = json.loads(run("score", out, flats, "--json")[1])
    table = read_table(flats, missing=True, dates=True)
    assert scored["total_log_density"] == pytest.approx(again.log_density(table).sum(), rel=1e-12)
    shown = json.loads(run("inspect", out, "--json")[1])
    assert shown["columns"] == facts["columns"]


@SAID
def test_types_and_text_are_as_one_says(run, flats, tmp_path):
    out = tmp_path / "a.model"
    types = ("--column-types", "rooms=count", "--column-types", "name=categorical")
    assert run("fit", "tree", flats, *SMALL, *types, "--text", "built", "-o", out)[0] == 0
    found = {one["name"]: one["kind"] for one in ancestral.load(out).columns_}
    assert found["rooms"] == "count" and found["name"] == "categorical" and "built" not in found
    for wrong, words in (("rooms", "COLUMN=TYPE"), ("rooms=whole", "give one of")):
        code, _, err = run("fit", "tree", flats, "--column-types", wrong, "-o", tmp_path / "b")
        assert code in (1, 2) and words in err
    code, _, err = run("fit", "tree", flats, *types[:2], *types[:2], "-o", tmp_path / "b")
    assert code == 2 and "more than once" in err
    code, _, err = run("fit", "tree", flats, "--missing", "-o", tmp_path / "b")
    assert code == 2 and "--missing" in err


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        (["town=Genf"], lambda row: row["town"] == "Genf"),
        (["town in Genf, Chur"], lambda row: row["town"] in ("Genf", "Chur")),
        (["rent>0"], lambda row: float(row["rent"]) > 0),
        (["rent=0", "size<=60"], lambda row: row["rent"] == "0.0" and float(row["size"]) <= 60),
        (["size>50", "size<50.5"], lambda row: 50 < float(row["size"]) < 50.5),
        (["rooms>2", "rooms<=4"], lambda row: row["rooms"] in ("3", "4")),
        (["rooms in 1,4"], lambda row: row["rooms"] in ("1", "4")),
        (["built>=2010-01-01"], lambda row: row["built"] >= "2010-01-01"),
        (["built<2001-02-01 12:00"], lambda row: row["built"] < "2001-02-01T12"),
        (["let=TRUE"], lambda row: row["let"] == "true"),
    ],
)
def test_sets_and_ranges_hold_in_every_draw(run, model, tmp_path, given, holds):
    drawn = tmp_path / "d.csv"
    flags = [word for one in given for word in ("--given", one)]
    code, _, err = run("sample", model, "-n", 40, *flags, "--random-state", 1, "-o", drawn)
    assert code == 0, err
    rows = rows_of(drawn)
    assert len(rows) == 40 and all(map(holds, rows))


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["size"], 2, 'NAME=VALUE, "NAME in A,B", "NAME>LOW" or "NAME<=HIGH"'),
        (["street>4"], 1, "'street' is no column"),
        (["name=flat 3"], 1, "left out of the model"),
        (["town>Bern"], 1, "no order"),
        (["town in Bern,Oslo"], 1, "'Oslo' is no level"),
        (["town in "], 2, "name some values"),
        (["size=big"], 1, "'big' is no number"),
        (["built>1.2.2003"], 1, "write it as in 2024-01-31"),
        (["size>1", "size>=2"], 2, "one end of 'size' twice"),
        (["size>1", "size=2"], 2, "more than once"),
        (["size>70", "size<60"], 1, "low end lies above its high end"),
        (["rooms>7"], 1, "contains none of its levels"),
    ],
)
def test_a_condition_that_is_none_is_refused(run, model, given, code, words):
    found, _, err = run("sample", model, *[w for one in given for w in ("--given", one)])
    assert found == code and words in err and (code == 2 or err.count("\n") == 1)


def test_other_models_take_values_alone(run, icons_model):
    for given in ("3>0", "3 in 0,1"):
        code, _, err = run("sample", icons_model, "--given", given)
        assert code == 2 and "LatentTree (ancestral fit tree)" in err


def test_gaps_are_filled_and_drawn_as_a_table_of_the_same_kind(run, flats, model, tmp_path):
    whole, draws = tmp_path / "whole.csv", tmp_path / "draws.csv"
    code, _, err = run("impute", model, flats, "-o", whole)
    assert code == 0 and "gaps in" in err
    before, after = rows_of(flats), rows_of(whole)
    gaps = 0
    for row, filled in zip(before, after, strict=True):
        assert list(row) == list(filled) and row["name"] == filled["name"]
        for name, cell in row.items():
            assert filled[name] != ""
            gaps += not cell
            if cell and name in ("town", "let"):
                assert filled[name] == cell
            if cell and name == "built":
                assert filled[name][:10] == cell
            if cell and name in ("size", "rent", "rooms"):
                assert float(filled[name]) == float(cell)
    assert gaps > 50
    assert not any(np.any(c.gaps) for c in read_mixed(whole, dates=True).columns)
    assert run("impute", model, flats, "--draws", 3, "--random-state", 0, "-o", draws)[0] == 0
    assert [row["draw"] for row in rows_of(draws)] == [str(k) for k in (1, 2, 3) for _ in before]


def test_odd_cells_are_told(run, flats, model, tmp_path):
    """A rent of ten times too much, and a flat of three rooms on 20 square metres."""
    rows = rows_of(flats)
    rows[7] |= {"size": "60.0", "rent": "9000", "rooms": "3"}
    odd = tmp_path / "odd.csv"
    with odd.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = tmp_path / "nats.csv"
    said = json.loads(run("score", model, odd, "--surprise", "-o", out, "--json")[1])
    first = said["odd_cells"][0]
    assert (first["row"], first["column"], first["value"]) == (7, "rent", 9000)
    fitted = ancestral.load(model)
    table = read_table(odd, missing=True, dates=True)
    wanted = fitted.surprise(table)
    assert first["nats"] == pytest.approx(wanted["rent"][7], rel=1e-12)
    cells = rows_of(out)
    assert cells[7]["name"] == "" and float(cells[7]["rent"]) == pytest.approx(first["nats"])
    lines = run("score", model, odd, "--surprise")[1].splitlines()
    assert lines[4].split()[:3] == ["row", "column", "value"] and "rent" in lines[5]
    code, _, err = run("score", model, odd, "--surprise", "--leave-one-out")
    assert code == 2 and "--leave-one-out has no use" in err


def test_the_order_of_odd_cells_hangs_on_no_unit():
    """Of zeros that have a probability, beside numbers that have a density."""
    rng = np.random.default_rng(0)
    X = rng.normal(60, 15, (200, 2))
    X[:, 1] += 2 * X[:, 0]
    X[rng.random(200) < 0.2, 1] = 0.0
    told = []
    for unit in (1.0, 2.0**-10):
        model = ancestral.LatentTree(3, 1, n_sweeps=6, random_state=0).fit(X * unit)
        assert model.columns_[1]["atoms"].tolist() == [0.0]
        told.append(odd_cells(model, X * unit, model.surprise(X * unit)))
    one, other = ([(cell["row"], cell["column"]) for cell in cells] for cells in told)
    assert one == other and len(one) == 20
    above = [[cell["above_median"] for cell in cells] for cells in told]
    np.testing.assert_allclose(*above, rtol=1e-6)


def test_other_models_have_no_surprise(run, icons_model, tmp_path):
    np.save(tmp_path / "rows.npy", ancestral.datasets.icons()[0])
    code, _, err = run("score", icons_model, tmp_path / "rows.npy", "--surprise")
    assert code == 2 and "LatentTree" in err


@SAID
def test_trees_are_compared_with_what_has_their_measure(run, flats, model, tmp_path):
    one = tmp_path / "one.model"
    assert run("fit", "tree", flats, "--n-states", 1, "--n-trees", 1, "-o", one)[0] == 0
    said = json.loads(run("compare", one, model, flats, "--json")[1])
    assert [row["model"] for row in said["models"]] == ["flats.model", "one.model"]
    numbers = tmp_path / "n.csv"
    numbers.write_text(
        "a,b\n" + "".join(f"{k % 7 + k / 9},{k % 5 * (k % 3 > 0)}\n" for k in range(99))
    )
    assert run("fit", "tree", numbers, *SMALL, "-o", tmp_path / "t.model")[0] == 0
    assert run("fit", "ppca", numbers, "-o", tmp_path / "p.model")[0] == 0
    code, _, err = run("compare", tmp_path / "t.model", tmp_path / "p.model", numbers)
    assert code == 2 and "different measures" in err
