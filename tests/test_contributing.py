"""The steps of CONTRIBUTING.md, and the model of the page that they name, taken and run."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import _catalogue
from ancestral.cli.commands import main

ROOT = Path(__file__).resolve().parents[1]
STEPS, PAGE = ROOT / "CONTRIBUTING.md", ROOT / "docs" / "internals" / "adding_a_model.md"
X = np.random.default_rng(0).normal([1.0, -2.0, 5.0], [1.0, 3.0, 0.5], size=(200, 3))


def the_file() -> str:
    """Return the cell of the page that has the whole class."""
    return re.findall(r"```{code-cell} python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]


def the_entry() -> str:
    """Return the one indented block of the six steps."""
    text = STEPS.read_text("utf-8").partition("## Add a model in six steps")[2].partition("## ")[0]
    (block,) = re.findall(r"\n\n((?:       .*\n)+)", text)
    return textwrap.dedent(block)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model of the page: its file, and its entry."""
    (tmp_path / "independent.py").write_text(the_file())
    monkeypatch.syspath_prepend(tmp_path)
    entry = eval(the_entry(), {"Entry": _catalogue.Entry})
    monkeypatch.setattr(_catalogue, "MODELS", [*_catalogue.MODELS, entry])
    yield entry.load()()
    sys.modules.pop("independent")


def test_the_model_of_the_page_fits_scores_draws_and_is_kept(model: Any, tmp_path: Path) -> None:
    model.fit(X)
    normal = -0.5 * (np.log(2 * np.pi * X.var(0)) + (X - X.mean(0)) ** 2 / X.var(0)).sum(1)
    np.testing.assert_allclose(model.log_density(X), normal, rtol=1e-12)
    assert model.bic(X) == pytest.approx(6 * np.log(200) - 2 * normal.sum())
    draws = model.sample(10_000, random_state=0)
    # Four standard errors: one false alarm in 5,000 seeds for the three columns.
    assert (np.abs(draws.mean(0) - X.mean(0)) < 4 * X.std(0) / 100).all()
    again = ancestral.load(model.save(tmp_path / "a.model"))
    np.testing.assert_array_equal(again.log_density(X), model.log_density(X))
    with pytest.raises(ancestral.AncestralError, match="row 1, column 2"):
        model.log_density([[0.0, 1.0, 2.0], [0.0, 1.0, np.nan]])


def test_the_command_line_has_the_model_of_the_page(
    model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "rows.npy", X)
    file = str(tmp_path / "a.model")
    for arguments in (
        ["fit", "independent", str(tmp_path / "rows.npy"), "-o", file, "--json"],
        ["inspect", file, "--json"],
        ["score", file, str(tmp_path / "rows.npy"), "--json"],
        ["sample", file, "-n", "3", "--json"],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        said = json.loads(capsys.readouterr().out)
    assert np.shape(said["samples"]) == (3, 3)
