"""Every step of a chapter has a test of its number, and every test its step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHAPTERS = HERE.parents[1] / "docs" / "models"


@pytest.mark.parametrize(
    "name",
    [
        "linear_gaussian",
        "heteroscedastic_gaussian",
        "neural_gaussian",
        "tabular_autoregressive",
        "lstm_autoregressive",
        "chain_autoregressive",
        "order_mixture",
        "latent_tree",
        "inner_product_graph",
        "dyadic_graph",
        "latent_position_graph",
    ],
)
def test_steps_and_tests_go_together(name: str) -> None:
    page = (CHAPTERS / f"{name}.md").read_text("utf-8")
    tests = (HERE / f"test_{name}.py").read_text("utf-8")
    steps = [int(k) for k in re.findall(r"^\*\*Step (\d+)[:\w ]", page, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert steps == [int(k) for k in re.findall(r"^def test_step_(\d+)_", tests, re.MULTILINE)]
    assert f"tests/derivations/test_{name}.py" in page
