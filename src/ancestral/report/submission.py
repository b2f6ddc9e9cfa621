"""The zip to hand in: the PDF, a script per problem, and a reminder of what to declare."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path

from ancestral import __version__

SCRIPTS = (
    "problem_1_autoregression.py",
    "problem_2_ppca.py",
    "problem_3_graphs.py",
    "problem_4_linear.py",
)
REQUIREMENTS = f"""\
# Install ancestral from its source first: pip install "path/to/ancestral[neural]"
ancestral[neural]=={__version__}
"""
EPOCH = (2000, 1, 1, 0, 0, 0)  # a fixed date: equal reports give equal archives


def write_submission(folder: Path) -> Path:
    """Write submission.zip from the report.pdf of a folder.

    Parameters
    ----------
    folder : Path
        Holds report.pdf.

    Returns
    -------
    Path
        Holds report.pdf, README.md, requirements.txt and code/, one script per problem.
    """
    parts = resources.files("ancestral.report") / "scripts"
    path = folder / "submission.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "report.pdf", (folder / "report.pdf").read_bytes())
        _add(archive, "README.md", (parts / "README.md").read_bytes())
        _add(archive, "requirements.txt", REQUIREMENTS.encode())
        for name in SCRIPTS:
            _add(archive, f"code/{name}", (parts / name).read_bytes())
    return path


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
