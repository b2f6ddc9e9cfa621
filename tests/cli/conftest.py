"""A command of the command line, run in this process."""

from __future__ import annotations

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.cli import commands as cli


@pytest.fixture
def run(capsys):
    """Run a command in this process; return (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def icons_model(tmp_path):
    images, _ = datasets.icons()
    path = tmp_path / "icons.model"
    ancestral.TabularAutoregressive().fit(images).save(path)
    return path


@pytest.fixture
def prices(tmp_path):
    """A table whose target is its first column, and the model fitted to it."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(30, 3))])
    lines = ["price,size,age", *(",".join(map(str, row)) for row in table)]
    path, model = tmp_path / "prices.csv", tmp_path / "prices.model"
    path.write_text("\n".join(lines) + "\n")
    return table, path, model
