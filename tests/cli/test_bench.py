"""`ancestral bench`: benchmark sets, scored."""

from __future__ import annotations

import json

import numpy as np
import pytest


def test_benchmark_sets_are_scored(run, tmp_path):
    pytest.importorskip("lightgbm", reason="LightGBM is an extra")
    X = (np.random.default_rng(0).random((60, 3)) < 0.3).astype(np.uint8)
    np.savez(tmp_path / "tiny.npz", train=X[:40], valid=X[40:50], test=X[50:])
    code, out, _ = run("bench", "debd", tmp_path / "tiny.npz", "--json")
    (said,) = json.loads(out)
    assert code == 0 and said["name"] == "tiny" and said["log_density"] < 0
    assert "Example:" in run("bench", "debd", "--help")[1]


def test_tables_of_mixed_columns_are_scored(run, tmp_path):
    table = tmp_path / "tiny.csv"
    rows = [f"{k % 7 + k / 100},{'ab'[k % 2]}," for k in range(60)]
    table.write_text("\n".join(["x,y,z", *(f"{row}{k % 3}" for k, row in enumerate(rows))]) + "\n")
    code, out, err = run("bench", "mixed", table, "--json")
    (said,) = json.loads(out)
    assert code == 0 and said["name"] == "tiny" and said["n_test"] == 12, err
    assert said["gain"] == said["log_density"] - said["independent"]
    assert run("bench", "mixed", tmp_path / "absent.csv")[0] == 1
    assert "Example:" in run("bench", "mixed", "--help")[1]
