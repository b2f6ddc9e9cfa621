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
