"""`ancestral compare`: models of one thing side by side; of other things, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ancestral
from ancestral.scores import compare


def _write(path, names, rows):
    path.write_text("\n".join([names, *(",".join(map(repr, row)) for row in rows.tolist())]) + "\n")


@pytest.fixture
def cloud(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3)) @ [[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.1, 0.0, 0.3]]
    _write(tmp_path / "fit.csv", "a,b,c", X[:60])
    _write(tmp_path / "held.csv", "c,b,a", X[60:, ::-1])
    return X


def test_models_are_compared_row_by_row(run, cloud, tmp_path):
    one, two, three = (tmp_path / f"{k}.model" for k in ("one", "two", "three"))
    assert run("fit", "ppca", tmp_path / "fit.csv", "-o", one)[0] == 0
    assert run("fit", "ppca", tmp_path / "fit.csv", "--n-components", 2, "-o", two)[0] == 0
    _write(tmp_path / "other.csv", "b,c,a", cloud[:60, [1, 2, 0]])  # in another order
    assert run("fit", "ppca", tmp_path / "other.csv", "--n-components", 0, "-o", three)[0] == 0
    said = json.loads(run("compare", one, two, three, tmp_path / "held.csv", "--json")[1])
    models = {
        f"{name}.model": ancestral.PPCA(q).fit(cloud[:60])
        for name, q in (("one", 1), ("two", 2), ("three", 0))
    }
    wanted = compare(models, cloud[60:])
    assert said["n"] == 30 and said["unit"] == "nats per row"
    assert [row["model"] for row in said["models"]] == wanted.names
    for key, values in (
        ("mean_log_density", wanted.means),
        ("behind", wanted.behind),
        ("standard_error_of_behind", wanted.behind_errors),
    ):
        np.testing.assert_allclose([row[key] for row in said["models"]], values, atol=1e-9)
    out = run("compare", one, two, tmp_path / "held.csv")[1]
    assert "nats per row, over 30 rows" in out and out.splitlines()[0].split()[0] == "model"
    assert all(len(cell) <= 12 for line in out.splitlines()[1:3] for cell in line.split())


def test_targets_and_graphs_are_compared(run, tmp_path):
    one, two = tmp_path / "one.model", tmp_path / "two.model"
    assert run("fit", "linear", "@diabetes", "-o", one)[0] == 0
    assert run("fit", "heteroscedastic", "@diabetes", "-o", two)[0] == 0
    said = json.loads(run("compare", one, two, "@diabetes", "--json")[1])
    assert said["models"][0]["model"] == "two.model"  # which holds the other as a case
    for path, flags in ((one, []), (two, ["--l2", 5])):
        assert run("fit", "graph", "@classrooms", *flags, "-o", path)[0] == 0
    said = json.loads(run("compare", one, two, "@classrooms", "--json")[1])
    assert said["unit"] == "nats per graph" and said["models"][0]["model"] == "one.model"


def test_models_of_other_things_are_refused_with_the_reason(run, cloud, icons_model, tmp_path):
    p, q, line = (tmp_path / k for k in ("p.model", "q.model", "line.model"))
    assert run("fit", "ppca", tmp_path / "fit.csv", "-o", p)[0] == 0
    _write(tmp_path / "two.csv", "a,b", cloud[:, :2])
    assert run("fit", "ppca", tmp_path / "two.csv", "-o", q)[0] == 0
    assert run("fit", "linear", tmp_path / "fit.csv", "--target", "c", "-o", line)[0] == 0
    for files, words in (
        ((icons_model, p), ("probabilities of levels", "densities of real numbers")),
        ((p, line), ("densities of a target", "cannot be compared")),
        ((p, q), ("a, b, c", "a, b", "other columns")),
        ((p,), ("two models or more",)),
        ((p, p), ("twice",)),
    ):
        code, out, err = run("compare", *files, tmp_path / "held.csv")
        assert (code, out) == (2, ""), err
        assert all(word in err for word in words), err


def test_a_row_that_a_model_cannot_take_is_named_with_the_model(run, tmp_path):
    for name, text in (("one", "rain\nsun\nfog\n"), ("two", "rain\nsun\nsun\n")):
        (tmp_path / f"{name}.csv").write_text("sky\n" + text)
        model = tmp_path / f"{name}.model"
        assert run("fit", "tabular", tmp_path / f"{name}.csv", "-o", model)[0] == 0
    models = (tmp_path / "one.model", tmp_path / "two.model")
    code, _, err = run("compare", *models, tmp_path / "one.csv")
    assert code == 1 and "two.model: " in err and "fog" in err and "--categories" in err
    code, _, err = run("compare", *models, tmp_path / "absent.csv")
    assert code == 1 and "absent.csv" in err
