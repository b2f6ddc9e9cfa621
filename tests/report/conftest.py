"""One report, made once, on the course's files where they are at hand, else on built-in data."""

from __future__ import annotations

import json
import os

import pytest

from tests.conftest import ROOT

pytest.importorskip("typst", reason="the report is an extra")
pytest.importorskip("torch", reason="the report trains an LSTM")


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Return (folder of the report, its numbers)."""
    from pathlib import Path

    from ancestral.report.build import build_report

    folder = Path(os.environ.get("ANCESTRAL_DATA", ROOT.parent / "shared" / "data")) / "course"
    out = tmp_path_factory.mktemp("report") / "out"
    build_report(folder if folder.is_dir() else None, out)
    return out, json.loads((out / "report.json").read_text("utf-8"))
