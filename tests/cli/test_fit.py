"""`ancestral fit`: every model by its word, its parameters as options."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import ancestral
from ancestral import datasets


@pytest.mark.parametrize(
    ("model", "data", "flags"),
    [
        ("tabular", "@icons", ["--smoothing", "0.5"]),
        ("PPCA", "@faces", ["--n-components", "3"]),
        ("ppca", "@faces", ["--n-components=3", "--no-standardize"]),
        ("linear", "@diabetes", ["--no-fit-intercept"]),
        ("graph", "@classrooms", ["--solver", "gradient_ascent", "--random-state", "0"]),
        ("dyadic", "@classrooms", ["--terms", "inner_product"]),
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


@pytest.mark.parametrize(
    ("command", "first_guess", "ours"),
    [
        ("fit tabular @icons -o m", "--alpha", "--smoothing"),
        ("fit orders @icons -o m --model tabular", "--smoothing", "--model-with smoothing=..."),
        ("fit lstm @icons -o m", "--epochs", "--max-steps"),
        ("sample m", "--seed", "--random-state"),
        ("sample m", "--evidence", "--given"),
    ],
)
def test_an_option_of_another_library_is_answered_with_ours(run, command, first_guess, ours):
    code, _, err = run(*command.split(), first_guess, "1")
    assert code == 2
    assert f"No such option '{first_guess}'. Did you mean '{ours}'?" in " ".join(err.split())


def test_a_gap_in_a_table_of_levels_names_the_option_that_takes_it(run, tmp_path):
    data = tmp_path / "gaps.csv"
    data.write_text("sky,wind\nrain,1\n,2\nsun,1\n")
    code, _, err = run("fit", "tabular", data, "-o", tmp_path / "m")
    assert code == 1 and err.rstrip().endswith("drop the row, or pass --missing level.")
    assert run("fit", "tabular", data, "--missing", "level", "-o", tmp_path / "m")[0] == 0


def test_a_gap_is_not_mended_by_an_option_that_the_command_lacks(run, tmp_path):
    data = tmp_path / "gaps.csv"
    data.write_text("size,price\n1,2\n,3\n3,5\n4,4\n")
    code, _, err = run("fit", "linear", data, "-o", tmp_path / "m")
    assert code == 1 and err.rstrip().endswith("empty cell; fill it or drop the row.")
    code, _, err = run("fit", "ppca", data, "--n-components", "1", "-o", tmp_path / "m")
    assert code == 1 and err.rstrip().endswith("drop the row, or pass --missing.")


def test_options_of_a_model_are_explained(run):
    out = " ".join(run("fit", "linear", "--help")[1].split())
    assert "False forces the line through the origin." in out


@pytest.mark.parametrize("model", ["tabular", "lstm", "chain"])
def test_a_pickle_of_rows_is_read_as_rows(run, tmp_path, model):
    pytest.importorskip("torch" if model == "lstm" else "numpy", reason="torch is an extra")
    rows, path = np.random.default_rng(0).integers(0, 2, size=(30, 3)), tmp_path / "rows.pkl"
    path.write_bytes(pickle.dumps(rows))
    small = {"lstm": ["--hidden-size", 2, "--max-steps", 2], "chain": ["--estimator", "marginal"]}
    assert run("fit", model, path, *small.get(model, []), "-o", tmp_path / "m")[0] == 0
    fitted = ancestral.load(tmp_path / "m")
    assert fitted.n_features_in_ == 3
    if model == "tabular":
        wanted = ancestral.TabularAutoregressive().fit(rows)
        np.testing.assert_array_equal(fitted.log_density(rows), wanted.log_density(rows))
    path.write_bytes(pickle.dumps([np.array([0.5, 0.6])]))
    code, _, err = run("fit", "tabular", path, "-o", tmp_path / "m")
    assert code == 1 and "table 0" in err


def test_help_shows_the_words_and_numbers_that_options_take(run):
    said = {word: " ".join(run("fit", word, "--help")[1].split()) for word in ("graph", "ppca")}
    assert "--solver [newton|gradient_ascent]" in said["graph"]
    assert "--l2 NUMBER" in said["graph"] and "--max-iter INTEGER" in said["graph"]
    assert "bic" in said["ppca"] and "n_components" not in said["ppca"].partition("Options")[0]
    assert "--missing [refuse|level]" in " ".join(run("fit", "tabular", "--help")[1].split())


def test_what_was_chosen_is_said(run, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(200, 5))
    np.save(tmp_path / "x.npy", X)
    fit = ("fit", "ppca", tmp_path / "x.npy", "-o", tmp_path / "m")
    code, out, err = run(*fit, "--n-components", "bic")
    assert code == 0 and "n-components: 2, chosen by bic" in err and "n_components_" in out
    assert "chosen" not in run(*fit, "--n-components", 1)[2]


def test_the_iterations_of_an_ascent_are_shown(run, tmp_path):
    fit = ("fit", "graph", "@classrooms", "--random-state", 0, "-o", tmp_path / "m")
    err = run(*fit, "--solver", "gradient_ascent")[2].splitlines()
    assert err[0].split()[:3] == ["iteration", "a", "b"]
    steps = ancestral.load(tmp_path / "m").history_
    assert err[-1].split()[0] == str(len(steps) - 1) and 10 <= len(err) <= 23
    likelihoods = [float(line.split()[3]) for line in err[1:]]
    assert likelihoods == sorted(likelihoods)
    assert run(*fit, "--solver", "gradient_ascent", "--json")[2] == ""


def test_parameters_of_a_model_within_a_model_are_set(run, tmp_path):
    model = tmp_path / "m"
    fit = ("fit", "orders", "@icons", "--model", "tabular", "--n-orders", 2, "--random-state", 0)
    assert run(*fit, "--model-with", "smoothing=0.25", "-o", model)[0] == 0
    assert ancestral.load(model).model.smoothing == 0.25
    for wrong in ("smooth=1", "smoothing"):
        code, _, err = run(*fit, "--model-with", wrong, "-o", model)
        assert code == 2 and "smoothing" in err


def test_rows_held_out_reach_the_training(run, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, size=(90, 3))
    for name, some in (("fit", rows[:60]), ("held", rows[60:])):
        lines = ["a,b,c", *(",".join(map(str, row)) for row in some.tolist())]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    model = tmp_path / "m"
    fit = ("fit", "chain", tmp_path / "fit.csv", "--estimator", "auto", "--n-components", 2)
    fit = (*fit, "--random-state", 0, "-o", model)
    pytest.importorskip("lightgbm", reason="an extra")
    held = ("--validation", tmp_path / "held.csv")
    assert run(*fit, *held)[0] == 0
    python = ancestral.ChainAutoregressive("auto", n_components=2, random_state=0)
    python.fit(rows[:60], X_val=rows[60:])
    assert ancestral.load(model).validation_score_ == pytest.approx(python.validation_score_)
    code, _, err = run("fit", "chain", *held, "--validation", tmp_path / "absent.csv")
    assert code in (1, 2)
    code, _, err = run(*fit, "--validation", tmp_path / "absent.csv")
    assert code == 1 and "absent.csv" in err
