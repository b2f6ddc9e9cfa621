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
    assert found.read_text().splitlines()[0] == "graph,source,target,probability,linked"
    rows, graphs = ancestral.read_array(found), datasets.classrooms()
    k, i, j = (int(v) for v in rows[777, :3])
    assert rows[777, 4] == graphs[k].adjacency[i, j]
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
    found = {(u, v): q for u, v, q, _ in said["predictions"]}
    wanted = {(f"p{i}", f"p{j}"): p[i, j] for i in range(6) for j in range(i + 1, 6)}
    assert found == pytest.approx(wanted)
    ranked = [row[2] for row in said["predictions"]]
    assert ranked == sorted(ranked, reverse=True)


def test_unknown_dyads_are_predicted_by_name(run, tmp_path):
    nodes, edges, absent, model = (tmp_path / n for n in ("n.csv", "e.csv", "u.csv", "g.model"))
    nodes.write_text("id,house\n" + "".join(f"p{k},{'ab'[k % 2]}\n" for k in range(6)))
    edges.write_text("from,to\np0,p2\np1,p3\np0,p1\np4,p5\n")
    absent.write_text("from,to\np5,p0\np2,p4\n")
    data = (edges, "--nodes", nodes, "--unknown", absent)
    assert run("fit", "dyadic", *data, "--terms", "match:house", "-o", model)[0] == 0
    code, out, _ = run("predict", model, *data)
    assert code == 0 and out.splitlines()[0] == "source,target,probability"
    assert {tuple(line.split(",")[:2]) for line in out.splitlines()[1:]} == {
        ("p0", "p5"), ("p2", "p4")
    }  # fmt: skip
    code, out, _ = run("predict", model, *data, "--pairs", "unlinked", "--top", 3)
    assert code == 0 and len(out.splitlines()) == 4
    code, _, err = run("predict", model, edges, "--nodes", nodes, "--pairs", "unknown")
    assert code == 1 and "every dyad of this graph is known" in err


def test_learnt_positions_need_no_data(run, tmp_path):
    links = np.triu(np.random.default_rng(0).random((12, 12)) < 0.3, 1)
    fitted = ancestral.LatentPositionGraph(1, l2=1).fit(links | links.T)
    model = tmp_path / "p.model"
    fitted.save(model)
    said = json.loads(run("predict", model, "--json")[1])
    assert said["columns"] == ["source", "target", "probability", "linked"]
    assert len(said["predictions"]) == 66
    i, j, p, _ = said["predictions"][5]
    assert p == pytest.approx(fitted.probabilities()[i, j])
    code, _, err = run("predict", model, "@classrooms")
    assert code == 1 and "positions belong to nodes" in err


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


def test_draws_of_graphs_are_opened_elsewhere(run, tmp_path):
    networkx = pytest.importorskip("networkx")
    pytest.importorskip("defusedxml")
    nodes, edges, model = (tmp_path / n for n in ("n.csv", "e.csv", "g.model"))
    names = [f"p{k}" for k in range(12)]
    nodes.write_text("id,house,age\n" + "".join(f"p{k},{'ab'[k % 2]},{k}\n" for k in range(12)))
    rng = np.random.default_rng(0)
    links = [(u, v) for u in names for v in names if u != v and rng.random() < 0.3]
    edges.write_text("from,to\n" + "".join(f"{u},{v}\n" for u, v in links))
    data = (edges, "--nodes", nodes, "--directed", "yes")
    terms = ("--terms", "match:house,absdiff:age,sender:age")
    assert run("fit", "dyadic", *data, *terms, "-o", model)[0] == 0
    drawn = tmp_path / "d.graphml"
    given = ("--features", tmp_path / "whole.graphml")
    ancestral.io.write_graphs(given[1], ancestral.io.read_edge_list(edges, nodes, directed=True))
    code, _, err = run("sample", model, *given, "-n", 2, "-o", drawn, "--random-state", 0)
    assert code == 0 and "2 graphs written" in err
    theirs = networkx.read_graphml(drawn)
    assert theirs.is_directed() and list(theirs) == names
    assert theirs.nodes["p3"]["house"] == "b" and theirs.nodes["p3"]["age"] == 3
    table = tmp_path / "d.csv"
    assert run("sample", model, *given, "-n", 2, "-o", table)[0] == 2
    assert run("sample", model, *given, "-o", table, "--random-state", 0)[0] == 0
    back = ancestral.io.read_edge_list(table, tmp_path / "d-nodes.csv")
    first = ancestral.read_graphs(drawn)[0]
    assert back.directed and np.array_equal(back.adjacency, first.adjacency)
    assert run("sample", model, *given, "-o", table)[0] == 1  # it is there
    code, out, _ = run("sample", model, *given, "--random-state", 0)
    assert code == 0 and "->" in out


def test_what_becomes_of_weights_and_repeated_links_is_chosen(run, tmp_path):
    edges, nodes = tmp_path / "e.csv", tmp_path / "n.csv"
    nodes.write_text("id,age\n" + "".join(f"p{k},{k * k % 7}\n" for k in range(8)))
    links = [(0, 1), (1, 2), (2, 6), (3, 4), (5, 7), (0, 1), (6, 6)]
    edges.write_text("from,to,weight\n" + "".join(f"p{u},p{v},2\n" for u, v in links))
    fit = ("fit", "dyadic", edges, "--nodes", nodes, "--terms", "absdiff:age", "-o")
    chosen = ("--weights", "binarise", "--multiple", "merge", "--loops", "drop")
    code, _, err = run(*fit, tmp_path / "a", *chosen)  # said nothing, since all was asked for
    assert code == 0 and "not kept" not in err
    for flag in ("weights", "multiple", "loops"):
        code, _, err = run(*fit, tmp_path / "b", *chosen, f"--{flag}", "refuse")
        assert code == 1 and f'{flag}="refuse"' in err


def test_the_column_of_weights_is_named(run, tmp_path):
    edges, nodes, model = tmp_path / "calls.csv", tmp_path / "n.csv", tmp_path / "m"
    nodes.write_text("id,age\na,1\nb,2\nc,4\nd,3\n")
    edges.write_text("from,to,hours\na,b,2\nb,c,0\na,c,\nc,d,1\nb,d,0.5\n")
    of_tables = (edges, "--nodes", nodes, "--weights", "binarise")
    fit = ("fit", "dyadic", *of_tables, "--terms", "absdiff:age", "--l2", "1", "-o", model)
    code, _, err = run(*fit)
    assert code == 1 and "--weights binarise was given" in err and "as in --weight hours" in err
    assert "else leave --weights out" in err
    code, _, err = run(*fit, "--weight", "days")
    assert code == 1 and "'days'; they have numbers in 'hours'" in err
    code, _, err = run(*fit, "--weight", "hours")
    assert code == 0, err
    code, out, _ = run("predict", model, *of_tables, "--weight", "hours", "--pairs", "unknown")
    assert code == 0 and "a" in out and len(out.strip().splitlines()) == 2  # a, c
