"""`ancestral predict`: means of a target, and probabilities of edges."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ancestral
from ancestral import datasets


def test_means_and_deviations_are_pythons(run, prices, tmp_path):
    table, path, model = prices
    assert run("fit", "linear", path, "--target", "price", "-o", model)[0] == 0
    inputs, found = tmp_path / "x.csv", tmp_path / "p.csv"
    rows = [f"a{k},{age!r},{size!r}" for k, (_, size, age) in enumerate(table.tolist())]
    inputs.write_text("\n".join(["who,age,size", *rows]) + "\n")  # no target, other order, text
    assert run("predict", model, inputs, "--std", "-o", found)[0] == 0
    assert found.read_text().splitlines()[0] == "price,std"
    fitted = ancestral.load(model)
    with pytest.warns(UserWarning, match="valid feature names"):
        mean, std = fitted.predict(table[:, 1:], return_std=True)
    np.testing.assert_allclose(ancestral.read_array(found), np.column_stack([mean, std]))
    out = run("predict", model, path)[1].splitlines()
    assert out[0] == "price" and len(out) == 31
    said = json.loads(run("predict", model, path, "--json")[1])
    assert said["columns"] == ["price"]
    np.testing.assert_allclose(np.ravel(said["predictions"]), mean)


def test_probabilities_of_edges_are_pythons(run, tmp_path):
    model, found = tmp_path / "g.model", tmp_path / "e.csv"
    assert run("fit", "graph", "@classrooms", "-o", model)[0] == 0
    assert run("predict", model, "@classrooms", "-o", found)[0] == 0
    assert found.read_text().splitlines()[0] == "graph,i,j,probability"
    rows, graphs = ancestral.read_array(found), datasets.classrooms()
    k, i, j = (int(v) for v in rows[777, :3])
    expected = ancestral.load(model).probabilities(graphs[k].features)[i, j]
    assert rows[777, 3] == pytest.approx(expected, rel=1e-12)
    n = [graph.n_nodes for graph in graphs]
    assert len(rows) == sum(k * (k - 1) // 2 for k in n)


def test_features_that_have_names_are_predicted_from(run, tmp_path):
    nodes, edges, model = (tmp_path / name for name in ("nodes.csv", "edges.csv", "g.model"))
    nodes.write_text("id,house\n" + "".join(f"p{k},{'ab'[k % 2]}\n" for k in range(6)))
    edges.write_text("from,to\np0,p2\np1,p3\np0,p1\np4,p5\n")
    data = (edges, "--nodes", nodes, "--categorical", "house")
    assert run("fit", "graph", *data, "-o", model)[0] == 0
    said = json.loads(run("predict", model, *data, "--json")[1])
    graph = ancestral.io.read_edge_list(edges, nodes, categorical=["house"])
    p = ancestral.load(model).probabilities(graph)
    assert said["predictions"] == [[i, j, p[i, j]] for i in range(6) for j in range(i + 1, 6)]


def test_learnt_positions_need_no_data(run, tmp_path):
    links = np.triu(np.random.default_rng(0).random((12, 12)) < 0.3, 1)
    fitted = ancestral.LatentPositionGraph(1, l2=1).fit(links | links.T)
    model = tmp_path / "p.model"
    fitted.save(model)
    said = json.loads(run("predict", model, "--json")[1])
    assert said["columns"] == ["i", "j", "probability"] and len(said["predictions"]) == 66
    i, j, p = said["predictions"][5]
    assert p == pytest.approx(fitted.probabilities()[i, j])
    code, _, err = run("predict", model, "@classrooms")
    assert code == 2 and "DATA has no use" in err


def test_what_has_nothing_to_predict_says_what_does(run, icons_model, tmp_path):
    code, _, err = run("predict", icons_model, "@icons")
    assert code == 2 and "impute" in err and "--given" in err
    assert run("fit", "graph", "@classrooms", "-o", tmp_path / "g")[0] == 0
    for flags, word in (((), "name DATA"), (("@classrooms", "--std"), "--std has no use")):
        code, _, err = run("predict", tmp_path / "g", *flags)
        assert code == 2 and word in err
    assert run("fit", "linear", "@diabetes", "-o", tmp_path / "l")[0] == 0
    assert run("predict", tmp_path / "l")[0] == 2
    code, _, err = run("predict", tmp_path / "l", "@diabetes", "--nodes", "a.csv")
    assert code == 2 and "--nodes has no use" in err
    assert run("predict", tmp_path / "l", tmp_path / "absent.csv")[0] == 1
