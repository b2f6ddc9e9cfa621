"""Tables of text, booleans and gaps: fitted, drawn, given, filled, scored and compared."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import ancestral

SKIES = ("rain", "snow", "sun")


@pytest.fixture
def weather(tmp_path):
    """Two hundred days: frost where there is snow, and nowhere else."""
    rng = np.random.default_rng(0)
    path = tmp_path / "weather.csv"
    skies = rng.choice(SKIES, size=200)
    winds = rng.integers(0, 4, size=200)
    rows = [f"{s},{w},{str(s == 'snow').lower()},0{w}" for s, w in zip(skies, winds)]
    path.write_text("\n".join(["sky,wind,frost,code", *rows]) + "\n")
    return path


@pytest.fixture
def model(run, weather, tmp_path):
    path = tmp_path / "w.model"
    code, _, err = run("fit", "tabular", weather, "--smoothing", 0.5, "-o", path)
    assert code == 0, err
    return path


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_of_text_is_fitted_with_its_names_and_levels(model):
    fitted = ancestral.load(model)
    assert list(fitted.feature_names_in_) == ["sky", "wind", "frost", "code"]
    kinds = [levels.tolist() for levels in fitted.categories_]
    assert kinds == [list(SKIES), [0, 1, 2, 3], [False, True], ["00", "01", "02", "03"]]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_draws_are_a_table_of_the_same_kind(run, model, weather, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="an extra")
    drawn, sep = tmp_path / f"d.{ending}", ["--sep", "tab"] if ending == "tsv" else []
    assert run("sample", model, "-n", 500, "--random-state", 1, "-o", drawn)[0] == 0
    scored = json.loads(run("score", model, drawn, *sep, "--json")[1])
    assert scored["n"] == 500 and scored["n_impossible"] == 0
    again = tmp_path / "again.model"
    assert run("fit", "tabular", drawn, *sep, "-o", again)[0] == 0
    one, two = ancestral.load(model), ancestral.load(again)
    assert [c.tolist() for c in one.categories_] == [c.tolist() for c in two.categories_]
    assert run("compare", model, again, weather)[0] == 0


def test_draws_are_printed_with_a_header(run, model):
    out = run("sample", model, "-n", 3, "--random-state", 0)[1].splitlines()
    assert out[0] == "sky,wind,frost,code" and len(out) == 4
    said = json.loads(run("sample", model, "-n", 2, "--json")[1])
    assert said["columns"] == ["sky", "wind", "frost", "code"] and len(said["samples"]) == 2


@pytest.mark.parametrize(
    ("given", "column", "value"),
    [("sky=snow", "sky", "snow"), ("wind=2", "wind", "2"), ("frost=TRUE", "frost", "true"),
     ("code=03", "code", "03")],
)  # fmt: skip
def test_what_is_given_by_name_stays(run, model, tmp_path, given, column, value):
    drawn = tmp_path / "d.csv"
    assert run("sample", model, "-n", 20, "--given", given, "-o", drawn)[0] == 0
    assert {row[column] for row in rows_of(drawn)} == {value}
    draws = rows_of(drawn)
    if column == "sky":  # all is 0.5 of a count away from frost in snow alone
        assert sum(row["frost"] == "true" for row in draws) > 15


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["cloud=1"], 1, ["'cloud' is no column", "sky, wind, frost, code"]),
        (["sky=hail"], 1, ["'hail' is no level", "rain, snow, sun"]),
        (["wind=high"], 1, ["'high' is no level"]),
        (["sky"], 2, ["NAME=VALUE"]),
        (["sky=sun", "sky=rain"], 2, ["more than once"]),
    ],
)
def test_what_cannot_be_given_is_named(run, model, given, code, words):
    flags = [part for pair in given for part in ("--given", pair)]
    got, out, err = run("sample", model, *flags)
    assert (got, out) == (code, "") and all(word in err for word in words), err


def test_numbers_are_given_by_name_and_by_number(run, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 1)) @ [[1.0, 2.0, -1.0]] + 0.1 * rng.normal(size=(50, 3))
    np.save(tmp_path / "x.npy", X)
    np.savetxt(tmp_path / "x.csv", X, delimiter=",", header="a=b,b,c", comments="")
    for name, file in (("0", "x.npy"), ("a=b", "x.csv")):
        model = tmp_path / "p.model"
        assert run("fit", "ppca", tmp_path / file, "-o", model)[0] == 0
        out = run("sample", model, "-n", 4, "--given", f"{name}=1.5", "--json")[1]
        assert {row[0] for row in json.loads(out)["samples"]} == {1.5}
        code, _, err = run("sample", model, "--given", f"{name}=tall")
        assert code == 1 and "is no number" in err
    assert run("fit", "linear", tmp_path / "x.csv", "--target", "c", "-o", model)[0] == 0
    code, _, err = run("sample", model, "--inputs", tmp_path / "x.csv", "--given", "b=1")
    assert code == 2 and "--given has no use" in err


def test_levels_are_declared(run, weather, tmp_path):
    model = tmp_path / "w.model"
    fit = ("fit", "tabular", weather, "--smoothing", 1, "-o", model)
    declared = ("--categories", "sky=sun,rain,snow,hail", "--categories", "wind=0,1,2,3,4")
    assert run(*fit, *declared)[0] == 0
    fitted = ancestral.load(model)
    assert fitted.categories_[0].tolist() == ["sun", "rain", "snow", "hail"]
    assert fitted.categories_[1].tolist() == [0, 1, 2, 3, 4]
    assert run("sample", model, "--given", "sky=hail")[0] == 0
    for wrong, code, word in (
        ("sky", 2, "COLUMN=LEVEL"),
        ("cloud=1,2", 1, "'cloud'"),
        ("sky=sun,rain", 1, "snow"),
    ):
        got, _, err = run(*fit, "--categories", wrong)
        assert got == code and word in err, err


def test_missing_answers_may_be_a_level(run, tmp_path):
    table, model = tmp_path / "a.csv", tmp_path / "a.model"
    table.write_text("sex,vote\n" + "f,yes\nm,no\n,yes\nf,\n" * 5)
    code, _, err = run("fit", "tabular", table, "-o", model)
    assert code == 1 and "line 4, column 'sex': empty cell" in err
    assert run("fit", "tabular", table, "--missing", "level", "-o", model)[0] == 0
    said = json.loads(run("score", model, table, "--missing", "--json")[1])
    assert said["n"] == 20 and said["bits_per_dimension"] == pytest.approx(1.0)
    drawn = tmp_path / "d.csv"
    assert run("sample", model, "-n", 60, "--random-state", 0, "-o", drawn)[0] == 0
    assert "" in {row["sex"] for row in rows_of(drawn)}


def test_text_that_looks_like_numbers_is_read_as_the_model_has_it(run, tmp_path):
    table, model = tmp_path / "a.csv", tmp_path / "a.model"
    table.write_text("zip,vote\n" + "12345,1\n98765,0\n" * 5)
    assert run("fit", "tabular", table, "--text", "zip", "-o", model)[0] == 0
    assert ancestral.load(model).categories_[0].tolist() == ["12345", "98765"]
    assert run("score", model, table)[0] == 0
    code, _, err = run("fit", "tabular", table, "--text", "zap", "-o", model)
    assert code == 1 and "'zap'" in err
    table.write_text("zip,vote\n12345,1\nx,0\n")
    code, _, err = run("fit", "tabular", table, "-o", model)
    assert code == 1 and "--text zip" in err and "line 3" in err


# ---- impute --------------------------------------------------------------------------------------


@pytest.fixture
def gaps(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("id,sky,wind,frost,code\nk1,,2,true,02\nk2,rain,,,01\nk3,sun,1,false,01\n")
    return path


def test_gaps_are_filled_and_other_columns_stay(run, model, gaps, tmp_path):
    filled = tmp_path / "f.csv"
    code, _, err = run("impute", model, gaps, "-o", filled)
    assert code == 0 and "3 gaps in 2 rows filled" in err
    one, two, three = rows_of(filled)
    assert list(one) == ["id", "sky", "wind", "frost", "code"]
    assert (one["sky"], one["wind"], one["id"]) == ("snow", "2", "k1")
    assert (two["wind"], two["frost"]) == ("1", "false")
    assert three == {"id": "k3", "sky": "sun", "wind": "1", "frost": "false", "code": "01"}
    out = run("impute", model, gaps)[1]
    assert out == filled.read_text()


def test_draws_of_gaps_are_numbered_tables(run, model, gaps, tmp_path):
    drawn = tmp_path / "d.csv"
    assert run("impute", model, gaps, "--draws", 40, "--random-state", 0, "-o", drawn)[0] == 0
    rows = rows_of(drawn)
    assert [row["draw"] for row in rows] == [str(k) for k in range(1, 41) for _ in range(3)]
    assert [row["id"] for row in rows] == ["k1", "k2", "k3"] * 40
    assert {row["wind"] for row in rows[::3]} == {"2"}
    assert len({row["wind"] for row in rows[1::3]}) >= 1
    before = drawn.read_text()
    assert run("impute", model, gaps, "--draws", 40, "--random-state", 0, "-o", drawn)[0] == 1
    assert drawn.read_text() == before


def test_real_numbers_are_filled_by_their_mean(run, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 1)) @ [[1.0, 2.0, -1.0]] + 0.1 * rng.normal(size=(80, 3))
    np.save(tmp_path / "x.npy", X)
    model = tmp_path / "p.model"
    assert run("fit", "ppca", tmp_path / "x.npy", "-o", model)[0] == 0
    holes = X[:5].copy()
    holes[0, 1] = holes[3, 2] = np.nan
    np.save(tmp_path / "holes.npy", holes)
    filled = tmp_path / "f.npy"
    assert run("impute", model, tmp_path / "holes.npy", "-o", filled)[0] == 0
    wanted = ancestral.load(model).impute(holes)
    np.testing.assert_array_equal(np.load(filled), wanted)
    drawn = tmp_path / "d.npy"
    seeded = ("--draws", 3, "--random-state", 1)
    assert run("impute", model, tmp_path / "holes.npy", *seeded, "-o", drawn)[0] == 0
    assert np.load(drawn).shape == (3, 5, 3)
    out = run("impute", model, tmp_path / "holes.npy", *seeded)[1].splitlines()
    assert out[0] == "draw,x0,x1,x2" and len(out) == 1 + 15
    named = tmp_path / "n.csv"
    named.write_text("who,x0,x1,x2\nann,1.5,,\nbob,,,\n")
    np.savetxt(tmp_path / "x.csv", X, delimiter=",", header="x0,x1,x2", comments="")
    assert run("fit", "ppca", tmp_path / "x.csv", "-o", model)[0] == 0
    out = run("impute", model, named)[1].splitlines()
    assert (
        out[0] == "who,x0,x1,x2" and out[1].startswith("ann,1.5,") and "" not in out[1].split(",")
    )
    scored = run("score", model, named, "--missing", "--json")[1]
    assert json.loads(scored)["n"] == 2


def test_a_model_that_fills_no_gaps_says_what_does(run, model, tmp_path):
    for fit in (("linear", "@diabetes"), ("graph", "@classrooms")):
        assert run("fit", *fit, "-o", tmp_path / "m.model")[0] == 0
        code, _, err = run("impute", tmp_path / "m.model", "@icons")
        assert code == 2 and "predict" in err
    code, _, err = run("impute", model, tmp_path / "absent.csv")
    assert code == 1 and "absent.csv" in err and err.count("\n") == 1
    (tmp_path / "other.csv").write_text("sky,wind\nrain,\n")
    code, _, err = run("impute", model, tmp_path / "other.csv")
    assert code == 1 and "no column 'frost', 'code'" in err


def test_an_input_is_never_written_over(run, model, gaps):
    before = gaps.read_text()
    code, _, err = run("impute", model, gaps, "-o", gaps, "--force")
    assert code == 1 and "is an input" in err and gaps.read_text() == before
