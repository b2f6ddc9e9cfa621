"""The zip: the PDF, the homework's own code, which stands alone, and the course's rules."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ancestral.errors import AncestralError

FILES = (
    "README.md",
    "requirements.txt",
    "problem_1_autoregression.py",
    "problem_2_ppca.py",
    "problem_3_graphs.py",
    "problem_4_linear_gaussian.py",
    "graph_viz.py",
)
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
        Holds report.pdf, one script per problem, what they need, and how to run them.
    """
    path = folder / "submission.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "report.pdf", (folder / "report.pdf").read_bytes())
        for name in FILES:
            _add(archive, name, (course_folder() / name).read_bytes())
    return path


def course_folder() -> Path:
    """Return the folder of the worked solutions: in the package, or in a checkout beside it."""
    here = Path(__file__)
    for folder in (here.with_name("course"), here.parents[3] / "examples" / "course"):
        if (folder / FILES[0]).is_file():
            return folder
    raise AncestralError(
        "the homework's worked solutions are not installed. Install ancestral from its wheel or "
        "from a checkout of its repository."
    )


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
