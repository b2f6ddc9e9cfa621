"""What commands read: columns by name, targets, graphs, one array of several."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import ancestral
from ancestral.errors import AncestralWarning


def test_graphs_of_edges_and_groups_are_fitted_and_scored(run, tmp_path):
    rng = np.random.default_rng(0)
    edges = np.argwhere(np.triu(rng.random((12, 12)) < 0.3, 1))
    groups, file, model = np.array(list("aabbccddabcd")), tmp_path / "g.npz", tmp_path / "g.model"
    np.savez(file, edges=edges, age=rng.random(12), group=groups)
    assert run("fit", "graph", file, "--categorical", "group", "-o", model)[0] == 0
    rows = "\n".join(f"p{k},{group}" for k, group in enumerate(groups))
    (tmp_path / "nodes.csv").write_text(f"id,group\n{rows}\n")
    (tmp_path / "edges.csv").write_text("".join(f"p{i},p{j}\n" for i, j in edges))
    table = ("--nodes", tmp_path / "nodes.csv", "--categorical", "group")
    lists = ("fit", "graph", tmp_path / "edges.csv", *table, "-o", model, "--json")
    fitted = json.loads(run(*lists)[1])
    chosen = ("--attributes", "group", "--categorical", " group ")
    assert json.loads(run("fit", "graph", file, *chosen, "-o", model, "--json")[1]) == fitted
    one = json.loads(run("score", model, file, *chosen, "--json")[1])
    two = json.loads(run("score", model, tmp_path / "edges.csv", *table, "--json")[1])
    assert one == two
    alone = run("fit", "graph", tmp_path / "edges.csv", "--no-header", "-o", model)
    assert alone[0] == 1 and "no features" in alone[2]
    assert "--key has no use" in run("score", model, file, "--key", "age")[2]
    assert "no options" in run("fit", "graph", "@classrooms", *chosen, "-o", model)[2]


def test_a_named_column_is_the_target(run, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("price,size\n1,2\n2,3.5\n3,6.5\n4,7\n")
    assert run("fit", "linear", table, "--target", "price", "-o", tmp_path / "m")[0] == 0
    model = ancestral.load(tmp_path / "m")
    x, y = np.array([2, 3.5, 6.5, 7]), np.arange(1.0, 5.0)
    assert model.coef_[0] == pytest.approx(np.polyfit(x, y, 1)[0])
    code, _, err = run("fit", "linear", table, "--target", "weight", "-o", tmp_path / "m")
    assert code == 1 and "weight" in err and "price, size" in err


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_saved_line_knows_its_columns_and_its_target(run, prices, tmp_path):
    table, path, model = prices
    assert run("fit", "linear", path, "--target", "price", "-o", model)[0] == 0
    fitted = ancestral.load(model)
    expected = fitted.log_density(np.asarray(table[:, 1:]), table[:, 0]).sum()
    shuffled, other = tmp_path / "shuffled.csv", tmp_path / "other.csv"
    rows = [",".join(map(str, row)) for row in table[:, [2, 0, 1]]]
    shuffled.write_text("\n".join(["age,price,size", *rows]) + "\n")
    other.write_text("\n".join(["age,cost,weight", *rows]) + "\n")
    for data in (path, shuffled):
        said = json.loads(run("score", model, data, "--json")[1])
        assert said["total_log_density"] == pytest.approx(expected, rel=1e-12)
    code, _, err = run("score", model, other)
    assert code == 1 and "no column 'size'" in err
    said = json.loads(run("inspect", model, "--json")[1])
    assert said["target"] == "price"
    assert said["coefficients"]["size"]["value"] == fitted.coef_[0]
    assert said["coefficients"]["age"]["standard_error"] == fitted.standard_errors_[2]
    assert run("sample", model, "--inputs", path, "-o", tmp_path / "drawn.csv")[0] == 0
    assert (tmp_path / "drawn.csv").read_text().startswith("price\n")
    assert run("sample", model, "--inputs", path, "-n", 3, "-o", tmp_path / "three.csv")[0] == 0
    three = (tmp_path / "three.csv").read_text().splitlines()
    assert three[0] == "price_1,price_2,price_3" and len(three) == 1 + 30


def test_a_target_is_asked_for_and_what_was_taken_is_said(run, prices, tmp_path):
    _, path, model = prices
    code, _, err = run("fit", "linear", path, "-o", model)
    assert code == 1 and not model.exists()
    assert "the target: it has price, size, age" in err and "--target age" in err
    code, out, err = run("fit", "linear", path, "--target", "age", "-o", model, "--json")
    assert code == 0 and "target: age; inputs: price, size" in err
    assert json.loads(out)["target"] == "age"


def test_whole_numbers_of_an_array_are_not_rounded(run, tmp_path):
    np.save(tmp_path / "a.npy", np.array([[2**53 + 1, 1], [2, 3], [4, 4]]))
    code, _, err = run("fit", "linear", tmp_path / "a.npy", "-o", tmp_path / "m")
    assert code == 1 and "9007199254740993" in err


def test_the_last_column_of_an_array_is_the_target(run, prices, tmp_path):
    table, _, model = prices
    np.save(tmp_path / "a.npy", table)
    assert run("fit", "linear", tmp_path / "a.npy", "-o", model)[0] == 0
    expected = np.linalg.lstsq(np.c_[np.ones(30), table[:, :2]], table[:, 2], rcond=None)[0]
    assert ancestral.load(model).coef_ == pytest.approx(expected[1:])
    assert run("score", model, tmp_path / "a.npy")[0] == 0


def test_names_of_columns_are_said_and_written(run, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,twice,y\n1,2,1\n2,4,3\n3,6,2\n5,10,4\n")
    pytest.importorskip("pandas", reason="names reach warnings of the fit through an extra")
    with warnings.catch_warnings():
        warnings.simplefilter("always", AncestralWarning)
        code, _, err = run("fit", "linear", table, "-o", tmp_path / "l.model")
    assert code == 0
    assert re.search("^warning: .*'twice'.*$", err, re.MULTILINE)
    table.write_text("a,b,y\n1,2,1\n2,5,3\n3,3,2\n5,1,4\n4,4,9\n")
    assert run("fit", "ppca", table, "--n-components", "1", "-o", tmp_path / "p.model")[0] == 0
    run("sample", tmp_path / "p.model", "-n", 2, "-o", tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().startswith("a,b,y\n")


def test_a_table_without_a_header_is_read_with_a_word(run, tmp_path):
    (tmp_path / "t.csv").write_text("1,2\n2,3.5\n3,6.5\n4,7\n")
    with warnings.catch_warnings():
        warnings.simplefilter("always", AncestralWarning)
        code, _, err = run("fit", "linear", tmp_path / "t.csv", "-o", tmp_path / "m")
    assert code == 0
    assert re.search("^warning: .*no header.*$", err, re.MULTILINE)


def test_colour_images_are_refused_with_the_mend(run, tmp_path):
    np.save(tmp_path / "colour.npy", np.ones((20, 6, 6, 3)))
    code, _, err = run("fit", "ppca", tmp_path / "colour.npy", "-o", tmp_path / "m")
    assert code == 1 and "convert them to grey" in err


def test_one_array_of_several_is_chosen_by_key(run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "two.npz", A=rng.normal(size=(9, 3)), B=rng.normal(size=(9, 4)))
    code, _, err = run("fit", "ppca", tmp_path / "two.npz", "-o", tmp_path / "m")
    assert code == 1 and "--key A" in err
    flags = ("--key", "B", "--n-components", "1")
    assert run("fit", "ppca", tmp_path / "two.npz", *flags, "-o", tmp_path / "m")[0] == 0
    assert ancestral.load(tmp_path / "m").n_features_in_ == 4


@pytest.mark.parametrize("model", ["tabular", "ppca", "linear", "graph"])
def test_built_in_data_are_taken_as_they_are(run, tmp_path, model):
    data = {"tabular": "@icons", "ppca": "@faces", "linear": "@diabetes", "graph": "@classrooms"}
    path = tmp_path / "a.model"
    code, _, err = run("fit", model, data[model], "--max-bytes", 10, "-o", path)
    assert code == 2 and "no options on reading" in err and not path.exists()


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("tabular", ["--target", "a"]),
        ("tabular", ["--nodes", "a.csv"]),
        ("line", ["--missing"]),
        ("line", ["--categorical", "a"]),
        ("graph", ["--key", "a"]),
        ("graph", ["--missing"]),
        ("graph", ["--target", "a"]),
    ],
)
def test_an_option_on_reading_that_a_face_has_no_use_for_is_refused(run, tmp_path, model, flags):
    stored = Path(__file__).parents[1] / "trust" / "format_1"
    models = {name: tmp_path / name for name in ("tabular", "line", "graph")}
    ancestral.TabularAutoregressive().fit([[0, 1], [1, 0]]).save(models["tabular"])
    for name in ("line", "graph"):
        models[name].write_bytes((stored / f"{name}.model").read_bytes())
    code, _, err = run("score", models[model], tmp_path / "absent", *flags)
    assert code == 2 and f"{flags[0]} has no use with" in err


# ---- text of another dialect ---------------------------------------------------------------------

ROOMS = "rooms;price\n4;1.200,5\n5;1.300,25\n6;1.450\n7;zwei\n8;1.600,1\n"
GERMAN = ("--sep", ";", "--decimal", ",", "--thousands", ".")


@pytest.mark.filterwarnings("always:.*left out 1 row")
def test_text_of_another_dialect_is_read_under_its_options(run, tmp_path):
    path, model, report = tmp_path / "a.csv", tmp_path / "a.model", tmp_path / "r.csv"
    path.write_text(ROOMS)
    fit = ("fit", "linear", path, "-o", model)
    code, _, err = run(*fit)
    assert code == 1 and "looks ';'-separated (--sep ';', --decimal ,)" in err
    code, _, err = run(*fit, "--sep", ";")
    assert code == 1 and "1200.5 with --decimal , and --thousands ." in err
    code, _, err = run(*fit, *GERMAN)
    assert code == 1 and "line 5, column 'price': 'zwei' is text" in err
    code, out, err = run(*fit, *GERMAN, "--rejects", report, "--json")
    assert code == 0 and f"left out 1 row, in which 1 cell could not be read: see {report}" in err
    assert report.read_text().splitlines()[1].startswith("5,price,zwei,")
    line = np.polyfit([4, 5, 6, 8], [1200.5, 1300.25, 1450, 1600.1], 1)
    assert json.loads(out)["coefficients"]["rooms"]["value"] == pytest.approx(line[0], rel=1e-12)
    again = tmp_path / "again.csv"
    code, out, _ = run("score", model, path, *GERMAN, "--rejects", again, "--json")
    assert code == 0 and json.loads(out)["n"] == 4
    assert again.read_text() == report.read_text()
    code, out, _ = run("sample", model, "--inputs", path, *GERMAN, "--rejects", report, "--force")
    assert code == 0 and len(out.split()) == 4


def test_tabs_and_encodings_are_named_as_shells_allow(run, tmp_path):
    text, model = "größe\ty\n1\t2\n2\t3\n3\t5\n", tmp_path / "a.model"
    (tmp_path / "a.tsv").write_text(text, encoding="utf-16")
    fit = ("fit", "linear", tmp_path / "a.tsv", "-o", model)
    assert "pass --encoding utf-16" in run(*fit)[2]
    assert r"(--sep '\t')" in run(*fit, "--encoding", "utf-16")[2]
    for mark in ("tab", "\\t", "\t"):
        code, _, err = run(*fit, "--encoding", "utf-16", "--sep", mark)
        assert code == 0 and "inputs: größe" in err
    assert list(ancestral.load(model).feature_names_in_) == ["größe"]


def test_a_report_of_rejects_replaces_nothing_unasked(run, tmp_path, icons_model):
    path, model = tmp_path / "a.csv", tmp_path / "a.model"
    path.write_text("x,y\n1,2\n2,z\n3,5\n4,4\n")
    fit = ("fit", "linear", path, "-o", model)
    old = icons_model.read_bytes()
    assert "is an input of this command" in run(*fit, "--rejects", path, "--force")[2]
    assert "Pass --force" in run(*fit, "--rejects", icons_model)[2]
    assert "two outputs would be one file" in run(*fit, "--rejects", model)[2]
    assert path.read_text().startswith("x,y") and icons_model.read_bytes() == old
    assert not model.exists()


@pytest.mark.parametrize("flag", [["--sep", ";"], ["--encoding", "latin-1"], ["--decimal", ","]])
def test_options_of_text_are_refused_where_there_is_none(run, tmp_path, icons_model, flag):
    np.save(tmp_path / "a.npy", np.eye(3))
    code, _, err = run("fit", "ppca", tmp_path / "a.npy", "-o", tmp_path / "m", *flag)
    assert code == 1 and f"{flag[0]} " in err and "means nothing here" in err
    for arguments in (
        ("fit", "tabular", "@icons", "-o", tmp_path / "m"),
        ("fit", "linear", "@diabetes", "-o", tmp_path / "m"),
        ("fit", "graph", "@classrooms", "-o", tmp_path / "m"),
        ("score", icons_model, "@icons"),
        ("sample", icons_model),
    ):
        assert run(*arguments, *flag)[0] == 2
    assert not (tmp_path / "m").exists()


def test_what_the_first_line_of_edges_was_taken_for_is_printed(run, tmp_path):
    (tmp_path / "nodes.csv").write_text("id,age\nann,1\nbob,2\neve,4\n")
    table = ("--nodes", tmp_path / "nodes.csv")
    for first, flag, said in (
        ("from,to\n", [], "'from', 'to', was taken for names (--no-header: an edge)"),
        ("", [], "'ann', 'bob', was taken for an edge (--header: names)"),
        ("x1,x2\n", ["--header"], None),
        ("", ["--no-header"], None),
    ):
        (tmp_path / "edges.csv").write_text(f"{first}ann,bob\nbob,eve\n")
        fit = ("fit", "graph", tmp_path / "edges.csv", "-o", tmp_path / "m", *table)
        code, _, err = run(*fit, *flag)
        assert code == 0
        assert "first line" not in err if said is None else f"its first line, {said}" in err
    (tmp_path / "edges.csv").write_text("x1,x2\nann,bob\nbob,eve\n")
    code, _, err = run(*fit)
    assert code == 1 and "Pass --header if they are names, --no-header if they are an edge" in err
