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
