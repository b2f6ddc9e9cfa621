"""The command line: JSON on stdout, words on stderr, one clean line for what went wrong."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import warnings

import numpy as np
import pytest

import ancestral
from ancestral import cli, datasets, model_file
from ancestral.errors import AncestralWarning
from tests.zoo import ZOO

SAVED = [entry for entry in ZOO if type(entry.make()).__name__ in model_file.REGISTRY]


@pytest.fixture
def run(capsys):
    """Run a command in this process; return (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def icons_model(tmp_path):
    images, _ = datasets.icons()
    path = tmp_path / "icons.model"
    ancestral.TabularAutoregressive().fit(images).save(path)
    return path


@pytest.mark.parametrize(
    ("model", "data", "flags"),
    [
        ("tabular", "@icons", ["--smoothing", "0.5"]),
        ("PPCA", "@faces", ["--n-components", "3"]),
        ("ppca", "@faces", ["--n_components=3"]),
        ("linear", "@diabetes", ["--no-fit-intercept"]),
        ("graph", "@classrooms", ["--solver", "gradient_ascent", "--random-state", "0"]),
        ("lstm", "@icons", ["--hidden-size", "4", "--max-steps", "3", "--random-state", "0"]),
    ],
)
def test_fit_passes_parameters_and_score_agrees_with_python(run, tmp_path, model, data, flags):
    for package in {"@faces": ["skimage"]}.get(data, []) + {"lstm": ["torch"]}.get(model, []):
        pytest.importorskip(package, reason=f"{package} is an extra")
    path = tmp_path / "a.model"
    code, out, _ = run("fit", model, data, "-o", path, *flags, "--json")
    assert code == 0
    fitted, said = ancestral.load(path), json.loads(out)
    assert said["model"] == type(fitted).__name__
    assert said["n_parameters"] == fitted.n_parameters_
    code, out, _ = run("score", path, data, "--json")
    assert code == 0
    if model == "linear":
        X, y, _ = datasets.diabetes()
        with pytest.warns(UserWarning, match="fitted with feature names"):  # the file's
            expected = fitted.log_density(X, y)
    else:
        sets = {
            "@icons": lambda: datasets.icons()[0],
            "@faces": datasets.faces,
            "@classrooms": datasets.classrooms,
        }
        expected = fitted.log_density(sets[data]())
    assert json.loads(out)["total_log_density"] == pytest.approx(expected.sum(), rel=1e-12)


def test_samples_are_seeded_and_written(run, icons_model, tmp_path):
    pytest.importorskip("matplotlib", reason="collages are drawn by an extra")
    first, second = tmp_path / "a.npy", tmp_path / "b.csv"
    picture = tmp_path / "c.png"
    arguments = ("sample", icons_model, "-n", 7, "--random-state", 3)
    assert run(*arguments, "-o", first, "--collage", picture)[0] == 0
    assert run(*arguments, "-o", second)[0] == 0
    model = ancestral.load(icons_model)
    expected = model.sample(7, random_state=3)
    np.testing.assert_array_equal(ancestral.read_array(first), expected)
    np.testing.assert_array_equal(ancestral.read_array(second), expected)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(run(*arguments, "--json")[1])["samples"] == expected.tolist()


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
    assert "--nodes" in run("fit", "graph", tmp_path / "edges.csv", "-o", model)[2]
    assert "--key has no use" in run("score", model, file, "--key", "age")[2]
    assert "no options" in run("fit", "graph", "@classrooms", *chosen, "-o", model)[2]


def test_positions_are_inspected_scored_and_drawn(run, tmp_path):
    model, file = tmp_path / "p.model", tmp_path / "g.npz"
    links = np.triu(np.random.default_rng(0).random((30, 30)) < 0.3, 1)
    fitted = ancestral.LatentPositionGraph(2, l2=1).fit(links | links.T)
    fitted.save(model)
    np.savez(file, features=np.zeros((30, 1)), edges=np.argwhere(links))
    shown = json.loads(run("inspect", model, "--json")[1])
    assert shown["intercept_"] == pytest.approx(fitted.intercept_)
    scored = json.loads(run("score", model, file, "--json")[1])
    assert scored["total_log_density"] == pytest.approx(fitted.log_likelihood_)
    out = run("sample", model, "-n", "2", "--n-nodes", "50", "--random-state", "0")[1]
    assert out.count("50 nodes") == 2
    assert "--n-features has no use" in run("sample", model, "--n-features", "3")[2]
    large = run("sample", model, "--n-nodes", "2001", "--random-state", "0")[1]
    assert sum("-" in word for word in large.split()) == int(large.split()[4])


def test_sampled_graphs_are_read_back(run, tmp_path):
    model, drawn = tmp_path / "g.model", tmp_path / "g.npz"
    assert run("fit", "graph", "@classrooms", "-o", model)[0] == 0
    assert run("sample", model, "-n", 3, "--n-nodes", 6, "-o", drawn, "--random-state", 1)[0] == 0
    graphs = ancestral.read_graphs(drawn)
    assert [g.n_nodes for g in graphs] == [6, 6, 6]
    assert run("score", model, drawn)[0] == 0


def test_targets_are_drawn_for_given_inputs(run, tmp_path):
    model, X = tmp_path / "l.model", datasets.diabetes()[0]
    inputs = tmp_path / "x.npy"
    np.save(inputs, X)
    run("fit", "linear", "@diabetes", "-o", model)
    code, out, _ = run("sample", model, "--inputs", inputs, "--json")
    assert code == 0 and json.loads(out)["n_samples"] == len(X)
    assert run("sample", model)[0] == 2


def test_a_named_column_is_the_target(run, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("price,size\n1,2\n2,3.5\n3,6.5\n4,7\n")
    assert run("fit", "linear", table, "--target", "price", "-o", tmp_path / "m")[0] == 0
    model = ancestral.load(tmp_path / "m")
    x, y = np.array([2, 3.5, 6.5, 7]), np.arange(1.0, 5.0)
    assert model.coef_[0] == pytest.approx(np.polyfit(x, y, 1)[0])
    code, _, err = run("fit", "linear", table, "--target", "weight", "-o", tmp_path / "m")
    assert code == 1 and "weight" in err and "price, size" in err


def test_impossible_rows_are_counted_and_json_stays_json(run, icons_model, tmp_path):
    X = datasets.icons()[0].copy()
    X[0] = 1 - X[0]
    np.save(tmp_path / "x.npy", X)
    code, out, _ = run("score", icons_model, tmp_path / "x.npy", "--json")
    said = json.loads(out)
    assert code == 0 and said["n_impossible"] == 1 and said["mean_log_density"] is None
    assert said["kl_from_data"] is None  # infinite
    assert said["support_mass"] == pytest.approx(31 / 32)


def test_what_was_learnt_by_heart_is_told_from_what_generalises(run, icons_model, tmp_path):
    said = json.loads(run("score", icons_model, "@icons", "--leave-one-out", "--json")[1])
    assert said["entropy_floor"] == pytest.approx(np.log(32)) and said["kl_from_data"] < 1e-12
    assert said["left_out_bits"]["TabularAutoregressive"]["value"] is None  # infinite
    assert said["left_out_bits"]["uniform"]["value"] == pytest.approx(25)
    assert said["verdict"].startswith("No model beats the baselines")
    assert "uniform = 25 +- 0" in run("score", icons_model, "@icons", "--leave-one-out")[1]
    run("fit", "ppca", "@faces", "--n-components", 2, "-o", tmp_path / "p")
    assert run("score", tmp_path / "p", "@faces", "--leave-one-out")[0] == 2


def test_inspect_names_what_was_learnt(run, icons_model):
    said = json.loads(run("inspect", icons_model, "--json")[1])
    assert said["model"] == "TabularAutoregressive"
    assert said["entropy_"] == pytest.approx(np.log(len(datasets.icons()[0])))
    assert "categories_" in said["learnt"]


@pytest.mark.parametrize("entry", SAVED, ids=lambda entry: entry.name)
def test_every_saved_model_is_inspected(run, tmp_path, entry):
    code, out, err = run("inspect", entry.fit().save(tmp_path / "a.model"), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out).get("n_parameters") == entry.n_parameters


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Usage"),
        (("nonsense",), 2, "No such command"),
        (("fit", "nonsense", "@icons", "-o", "m"), 2, "no model 'nonsense'"),
        (("fit", "ppca", "@faces"), 2, "'-o'"),
        (("fit", "ppca", "@unknown", "-o", "m"), 2, "not one of the built-in sets"),
        (("fit", "ppca", "absent.npy", "-o", "m"), 1, "absent.npy: no such file"),
        (("fit", "ppca", "@icons", "--n-components", "x", "-o", "m"), 1, "got 'x'"),
        (("fit", "ppca", "@faces", "-o", "absent/m"), 1, "no such folder"),
        (("inspect", "absent.model"), 1, "absent.model"),
        (("report", "absent"), 1, "no such folder"),
    ],
)
def test_errors_are_one_line_with_the_right_code(
    run, tmp_path, monkeypatch, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(*arguments)
    assert (got, out if arguments else "") == (code, "")
    assert words in err + out and "Traceback" not in err
    if code == 1:
        assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_options_without_effect_are_refused(run, icons_model, tmp_path):
    for flags in (("--n-nodes", 4), ("--inputs", "@diabetes")):
        code, _, err = run("sample", icons_model, *flags)
        assert code == 2 and "has no use" in err
    assert run("sample", icons_model, "--collage", tmp_path / "a.png", "--shape", "4x4")[0] == 2


@pytest.mark.parametrize("command", [(), ("fit",), ("sample",), ("score",), ("inspect",)])
def test_help_has_an_example(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0 and "Example:" in out


# ---- columns and targets ------------------------------------------------------------------------


@pytest.fixture
def prices(tmp_path):
    """A table whose target is its first column, and the model fitted to it."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(30, 3))])
    lines = ["price,size,age", *(",".join(map(str, row)) for row in table)]
    path, model = tmp_path / "prices.csv", tmp_path / "prices.model"
    path.write_text("\n".join(lines) + "\n")
    return table, path, model


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
    assert run("sample", model, "--inputs", path, "-n", 3)[0] == 2


def test_a_target_is_asked_for_and_what_was_taken_is_said(run, prices, tmp_path):
    _, path, model = prices
    code, _, err = run("fit", "linear", path, "-o", model)
    assert code == 1 and not model.exists()
    assert "not clear: it has price, size, age" in err and "--target age" in err
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


def test_a_command_leaves_the_process_as_it_was(run, tmp_path):
    logger = logging.getLogger("ancestral")
    before = logger.level, list(logger.handlers), warnings.showwarning
    assert run("score", tmp_path / "absent.model", "@icons")[0] == 1
    assert (logger.level, list(logger.handlers), warnings.showwarning) == before


# ---- odd files and places -----------------------------------------------------------------------


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


def test_an_lstm_is_trained_on_the_support_of_tables(run, tmp_path):
    pytest.importorskip("torch", reason="torch is an extra")
    p = [np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.0, 1.0]])]
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(p))
    flags = ("--hidden-size", "4", "--max-steps", "2", "--random-state", "0")
    assert run("fit", "lstm", tmp_path / "t.pkl", *flags, "-o", tmp_path / "m")[0] == 0
    assert ancestral.load(tmp_path / "m").floor_ == pytest.approx(np.log(2))


def test_n11_an_lstm_is_fitted_to_the_probabilities_of_tables(run, tmp_path):
    """Rows of .81, .09, .01 and .09: their entropy is 0.6502 nats, not ln 4."""
    pytest.importorskip("torch", reason="torch is an extra")
    p = [np.array([0.9, 0.1]), np.array([[0.9, 0.1], [0.1, 0.9]])]
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(p))
    flags = ("--hidden-size", "8", "--num-layers", "1", "--random-state", "0")
    assert run("fit", "lstm", tmp_path / "t.pkl", *flags, "-o", tmp_path / "m")[0] == 0
    model = ancestral.load(tmp_path / "m")
    assert model.floor_ == pytest.approx(0.6502, abs=5e-5)
    assert model.loss_ - model.floor_ < 0.01
    rows = [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_allclose(np.exp(model.log_density(rows)), [0.81, 0.09, 0.01, 0.09], atol=0.05)


def test_options_of_a_model_are_explained(run):
    out = " ".join(run("fit", "linear", "--help")[1].split())
    assert "False forces the line through the origin." in out


def test_edges_are_printed_and_a_target_without_use_is_refused(run, icons_model, tmp_path):
    run("fit", "graph", "@classrooms", "-o", tmp_path / "g.model")
    arguments = ("sample", tmp_path / "g.model", "--n-nodes", 6, "--random-state", 1)
    (graph,) = ancestral.load(tmp_path / "g.model").sample(1, n_nodes=6, random_state=1)
    assert sum("-" in word for word in run(*arguments)[1].split()) == graph.n_edges
    np.save(tmp_path / "x.npy", datasets.icons()[0])
    assert run("score", icons_model, tmp_path / "x.npy", "--target", 3)[0] == 2


def test_benchmark_sets_are_scored(run, tmp_path):
    pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    X = (np.random.default_rng(0).random((60, 3)) < 0.3).astype(np.uint8)
    np.savez(tmp_path / "tiny.npz", train=X[:40], valid=X[40:50], test=X[50:])
    code, out, _ = run("bench", "debd", tmp_path / "tiny.npz", "--json")
    (said,) = json.loads(out)
    assert code == 0 and said["name"] == "tiny" and said["log_density"] < 0
    assert "Example:" in run("bench", "debd", "--help")[1]


# ---- what is written over --------------------------------------------------------------------


def test_t2_an_input_is_never_written_over_however_it_is_spelt(run, icons_model, tmp_path):
    table, rows = tmp_path / "data.csv", tmp_path / "rows.npy"
    table.write_text("x,y\n1,2\n2,3\n3,5\n4,4\n")
    np.save(rows, datasets.icons()[0])
    os.link(table, tmp_path / "hard.csv")
    (tmp_path / "soft.csv").symlink_to(table)
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("id,age\na,1\nb,2\nc,3\n")
    (tmp_path / "edges.csv").write_text("a,b\nb,c\n")
    before = {path: path.read_bytes() for path in [*tmp_path.iterdir(), icons_model]}
    for name in ("data.csv", "hard.csv", "soft.csv", "./../" + tmp_path.name + "/data.csv"):
        code, _, err = run("fit", "linear", table, "-o", tmp_path / name, "--force")
        assert code == 1 and "is an input of this command" in err
    for command in (
        ("score", icons_model, rows, "-o", rows),
        ("score", icons_model, rows, "-o", icons_model),
        ("sample", icons_model, "-o", icons_model),
        ("sample", icons_model, "--collage", icons_model),
        ("fit", "graph", tmp_path / "edges.csv", "--nodes", nodes, "-o", nodes),
        ("studio", tmp_path, "--export", rows),
    ):
        code, _, err = run(*command, "--force")
        assert code == 1 and "is an input of this command" in err, command
    one = tmp_path / "one.npy"
    assert "one file" in run("sample", icons_model, "-o", one, "--collage", one)[2]
    assert {path: path.read_bytes() for path in before} == before


def test_t2_only_a_model_is_replaced_without_force(run, icons_model, tmp_path):
    code = tmp_path / "code.py"
    code.write_text("mine")
    for command in (
        ("fit", "tabular", "@icons", "-o", code),
        ("score", icons_model, "@icons", "-o", code),
        ("sample", icons_model, "-o", code),
        ("studio", "--export", code),
    ):
        said = run(*command)
        assert said[0] == 1 and "is there already. Pass --force to replace it" in said[2], command
        assert code.read_text() == "mine"
    drawn = tmp_path / "drawn.npy"
    assert run("sample", icons_model, "-n", 2, "-o", drawn)[0] == 0
    assert run("sample", icons_model, "-n", 3, "-o", drawn)[0] == 1
    assert run("sample", icons_model, "-n", 3, "-o", drawn, "--force")[0] == 0
    assert len(ancestral.read_array(drawn)) == 3
    for _ in range(2):  # a model gives way to a model
        assert run("fit", "tabular", "@icons", "-o", tmp_path / "m")[0] == 0
    assert run("fit", "tabular", "@icons", "-o", code, "--force")[0] == 0
    assert ancestral.load(code).support_.shape == (32, 25)


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
