"""`ancestral sample`: draws in files, on stdout and as pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ancestral
from ancestral import datasets


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


def test_options_without_effect_are_refused(run, icons_model, tmp_path):
    for flags in (("--n-nodes", 4), ("--inputs", "@diabetes")):
        code, _, err = run("sample", icons_model, *flags)
        assert code == 2 and "has no use" in err
    assert run("sample", icons_model, "--collage", tmp_path / "a.png", "--shape", "4x4")[0] == 2


def test_edges_are_printed_and_a_target_without_use_is_refused(run, icons_model, tmp_path):
    run("fit", "graph", "@classrooms", "-o", tmp_path / "g.model")
    arguments = ("sample", tmp_path / "g.model", "--n-nodes", 6, "--random-state", 1)
    (graph,) = ancestral.load(tmp_path / "g.model").sample(1, n_nodes=6, random_state=1)
    assert sum("-" in word for word in run(*arguments)[1].split()) == graph.n_edges
    np.save(tmp_path / "x.npy", datasets.icons()[0])
    assert run("score", icons_model, tmp_path / "x.npy", "--target", 3)[0] == 2


def test_graphs_are_drawn_for_given_features_or_uniform_ones(run, tmp_path):
    model, places = tmp_path / "g.model", tmp_path / "places.csv"
    run("fit", "graph", "@classrooms", "-o", model)
    features = np.random.default_rng(0).uniform(-1, 1, size=(7, 3))
    np.savetxt(places, features, delimiter=",", header="a,b,c", comments="")
    arguments = ("sample", model, "--random-state", 1, "--json")
    (drawn,) = json.loads(run(*arguments, "--features", places)[1])["samples"]
    np.testing.assert_allclose(drawn["features"], features)
    (wanted,) = ancestral.load(model).sample(features=drawn["features"], random_state=1)
    np.testing.assert_array_equal(drawn["adjacency"], wanted.adjacency)
    code, _, err = run("sample", model, "--n-features", 5)
    assert code == 1 and "--features uniform" in err and err.count("\n") == 1
    (drawn,) = json.loads(run(*arguments, "--n-features", 5, "--features", "uniform")[1])["samples"]
    assert np.shape(drawn["features"]) == (15, 5)
    code, _, err = run("sample", model, "--features", places, "-o", places, "--force")
    assert code == 1 and "is an input of this command" in err
