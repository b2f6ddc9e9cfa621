"""Where commands write: never over their input, over other files only when told to."""

from __future__ import annotations

import os

import numpy as np

import ancestral
from ancestral import datasets


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
