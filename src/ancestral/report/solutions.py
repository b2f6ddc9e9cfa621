"""The four worked solutions, run as their reader would run them, for their figures and numbers.

Each is handed the report's data in the course's three formats, written afresh: whatever form the
user's files had, and none of their bytes. A script whose data are not of the course's kind does not
run, and says why; the report then tells that problem by the library alone.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from ancestral.inputs import Sources, counted
from ancestral.report.figures import readable_on_dark
from ancestral.report.render import PARTS
from ancestral.report.submission import course_folder

SCRIPTS = {
    "problem_1": "problem_1_autoregression.py",
    "problem_2": "problem_2_ppca.py",
    "problem_3": "problem_3_graphs.py",
    "problem_4": "problem_4_linear_gaussian.py",
}
FIGURES = {
    "problem_1": ("1a_samples", "1a_unique", "1b_samples", "1c_loss"),
    "problem_2": (
        "2b_scatter",
        "2c_originals",
        "2c_reconstructions_16",
        "2c_reconstructions_32",
        "2c_reconstructions_64",
        "2d_new_faces",
        "2e_traversal_asked",
        "2e_traversal_wide",
    ),
    "problem_3": ("3b_ascent", "3c_graphs"),
    "problem_4": (),
}
SIDE, FACE_SIDE, WIDTH = 5, 24, 3  # of the course's letters, faces and pupils' features
LARGEST_D = 64
LONGEST = 300  # seconds one script may take
# `python SCRIPT FOLDER`, with the report's font at hand.
RUN = """\
import runpy, sys
from pathlib import Path
from matplotlib import font_manager
fonts, script, folder = sys.argv[1:]
for path in sorted(Path(fonts).glob("*.otf")):
    font_manager.fontManager.addfont(path)
sys.argv = [script, folder]
sys.path.insert(0, str(Path(script).parent))
runpy.run_path(script, run_name="__main__")
"""


@dataclass(frozen=True)
class Solution:
    """What one script gave: its numbers and printed lines, or the reason why it did not run."""

    script: str
    reason: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        """Tell whether there is anything to show."""
        return self.reason is None

    def described(self) -> dict[str, Any]:
        """Return all of it for report.json."""
        return {"ran": self.ran, **asdict(self)}


def run_solutions(
    sources: Sources, figures: Path, stopped: Event | None = None
) -> dict[str, Solution]:
    """Run every script whose data are of the course's kind, and keep its figures.

    Parameters
    ----------
    sources : Sources
    figures : Path
        The folder for the figures, one SVG each; made if need be.
    stopped : threading.Event, optional
        No further script is started once it is set.

    Returns
    -------
    dict of Solution
        By problem: "problem_1" to "problem_4".
    """
    figures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        data = Path(made) / "data"
        data.mkdir()
        reasons = {
            problem: write(source, data)
            for problem, (source, write) in {
                "problem_1": (sources.tables, _write_tables),
                "problem_2": (sources.faces, _write_faces),
                "problem_3": (sources.graphs, _write_graphs),
            }.items()
        }
        solved = {}
        for problem, script in SCRIPTS.items():
            if stopped is not None and stopped.is_set():
                reasons[problem] = "the report was stopped"
            if reason := reasons.get(problem):
                solved[problem] = Solution(script, reason)
            else:
                solved[problem] = _run(problem, data, Path(made) / problem, figures)
        return solved


def _run(problem: str, data: Path, here: Path, figures: Path) -> Solution:
    """Run one script in an empty folder."""
    here.mkdir()
    script = SCRIPTS[problem]
    settings = {"MATPLOTLIBRC": str(PARTS / "matplotlibrc"), "PYTHONIOENCODING": "utf-8"}
    with resources.as_file(PARTS / "fonts") as fonts:
        code = course_folder() / script
        command = [sys.executable, "-c", RUN, str(fonts), str(code), str(data)]
        try:
            done = subprocess.run(
                command,
                cwd=here,
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Solution(script, f"it did not end within {LONGEST} seconds")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Solution(script, f"it stopped with “{last}”")
    wanted = (*(f"{name}.svg" for name in FIGURES[problem]), f"{problem}.json")
    if lacking := [name for name in wanted if not (here / name).is_file()]:
        return Solution(script, f"it wrote no {lacking[0]}")
    for name in FIGURES[problem]:
        svg = (here / f"{name}.svg").read_text("utf-8")
        (figures / f"{name}.svg").write_text(readable_on_dark(svg), "utf-8")
    numbers = json.loads((here / f"{problem}.json").read_text("utf-8"))
    return Solution(script, None, numbers, done.stdout.splitlines())


# ---- data, in the course's formats --------------------------------------------------------------
# Each writer returns why the data are not of the course's kind, or None.


def _write_tables(source: Any, folder: Path) -> str | None:
    model = source.data
    if model.n_features_in_ != SIDE**2:
        return (
            f"it draws images of {SIDE} by {SIDE} pixels, and these images have "
            f"{model.n_features_in_} pixels"
        )
    if any(list(known) != [0, 1] for known in model.categories_):
        return "it draws black and white pixels, and these pixels take other values"
    with gzip.open(folder / "image_cpts.pkl.gz", "wb", compresslevel=1) as file:
        pickle.dump(model.to_tables(), file, protocol=4)
    return None


def _write_faces(source: Any, folder: Path) -> str | None:
    faces = source.data
    if faces.shape != (FACE_SIDE, FACE_SIDE):
        height, width = faces.shape
        return (
            f"it is written for {FACE_SIDE} by {FACE_SIDE} pixels, and these images have "
            f"{height} by {width}"
        )
    if np.linalg.matrix_rank(faces.X - faces.X.mean(axis=0)) <= LARGEST_D:
        found = counted(len(faces.X), "image")
        return f"it fits d = {LARGEST_D}, and {found} of so low a rank leave no noise at this d"
    np.save(folder / "eigenfaces.npy", faces.X)
    return None


def _write_graphs(source: Any, folder: Path) -> str | None:
    graphs = source.data
    width = graphs[0].features.shape[1]
    if width != WIDTH:
        found = counted(width, "feature")
        return f"it colours nodes by {WIDTH} features, and these nodes have {found}"
    pairs = [(np.asarray(g.features, float), np.asarray(g.adjacency, float)) for g in graphs]
    if any(np.isnan(adjacency).any() for _, adjacency in pairs):
        return "it needs to know every pair of nodes, and some pairs of these graphs are unknown"
    whole = [(features, adjacency.astype(np.int32)) for features, adjacency in pairs]
    with (folder / "classroom_graphs.pkl").open("wb") as file:
        pickle.dump(whole, file, protocol=4)
    return None
