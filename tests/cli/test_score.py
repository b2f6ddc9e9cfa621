"""`ancestral score`: exact log densities, and what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ancestral import datasets


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


def test_numbers_have_units_and_six_digits_at_most(run, icons_model, tmp_path):
    said = json.loads(run("score", icons_model, "@icons", "--json")[1])
    out = run("score", icons_model, "@icons")[1]
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["mean_log_density"] == "-3.46574 nats per row"
    assert said["mean_log_density"] == pytest.approx(-np.log(32), rel=1e-14)
    assert lines["total_log_density"].endswith(" nats") and lines["n"] == "32 rows"
    assert lines["bits_per_dimension"] == "0.2 bits per known value"
    for line in lines.values():
        number = line.split()[0]
        assert len(number.lstrip("-").replace(".", "").split("e")[0].lstrip("0")) <= 6
    run("fit", "graph", "@classrooms", "-o", tmp_path / "g")
    assert "nats per graph" in run("score", tmp_path / "g", "@classrooms")[1]
