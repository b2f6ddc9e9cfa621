"""One report, made once, on the course's files where they are at hand, else on built-in data."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("typst", reason="the report is an extra")
pytest.importorskip("torch", reason="the report trains an LSTM")

COURSE = Path(os.environ.get("ANCESTRAL_DATA", ROOT.parent / "shared" / "data")) / "course"


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Return (folder of the report, its numbers)."""
    from ancestral.report import figures
    from ancestral.report.build import build_report
    from ancestral.report.render import Heading
    from ancestral.viz import _style

    out = tmp_path_factory.mktemp("report") / "out"
    with pytest.MonkeyPatch.context() as patch:
        # nobody looks at these figures: small ones will do
        patch.setattr(figures, "DPI", 40)
        patch.setattr(_style, "DPI", 40)
        build_report(
            COURSE if COURSE.is_dir() else None,
            out,
            heading=Heading(authors=("Ada Lovelace", "Carl Gauss"), course="A course"),
            rooms=lambda models: {name: f"<p>{name}" for name in ("pixels", "line")},
        )
    return out, json.loads((out / "report.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def pages(report):
    """Return the text of each page of the PDF."""
    pypdf = pytest.importorskip("pypdf")
    return [page.extract_text() for page in pypdf.PdfReader(report[0] / "report.pdf").pages]
