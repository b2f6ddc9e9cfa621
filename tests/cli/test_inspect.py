"""`ancestral inspect`: what is in a model file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ancestral import datasets
from tests.zoo import ZOO


def test_inspect_names_what_was_learnt(run, icons_model):
    said = json.loads(run("inspect", icons_model, "--json")[1])
    assert said["model"] == "TabularAutoregressive"
    assert said["entropy_"] == pytest.approx(np.log(len(datasets.icons()[0])))
    assert "categories_" in said["learnt"]


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.name)
def test_every_saved_model_is_inspected(run, tmp_path, entry):
    code, out, err = run("inspect", entry.fit().save(tmp_path / "a.model"), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out).get("n_parameters") == entry.n_parameters
