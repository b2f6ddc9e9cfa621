"""The homework's worked solutions stand alone; library and answer key agree with them."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import (
    PPCA,
    InnerProductGraph,
    TabularAutoregressive,
    read_graphs,
    read_tables,
)
from ancestral.report import submission
from tests.test_pages import blocks, run_cell

PAGES = Path(__file__).resolve().parents[1] / "docs" / "course"
COURSE = Path(__file__).resolve().parents[1] / "examples" / "course"
PROBLEMS = sorted(path.name for path in COURSE.glob("problem_*.py"))
NEEDS = ("torch", "matplotlib", "networkx")


def run(script: str, folder: Path, *arguments: Any, course: Path = COURSE) -> list[str]:
    """Run a script as a student would, in a folder of its own; return its printed lines."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(course / script), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Fresh data in the course's formats, and their answer key."""
    folder = tmp_path_factory.mktemp("variant")
    run("make_variant.py", folder, 3, folder)
    return folder, json.loads((folder / "answer_key.json").read_text())


@pytest.fixture(scope="module")
def worked(
    variant: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What every script printed and wrote, on the fresh data."""
    for package in NEEDS:
        pytest.importorskip(package, reason="the worked solutions draw and train")
    folder, found = tmp_path_factory.mktemp("worked"), {}
    for script in PROBLEMS:
        printed = run(script, folder, variant[0])
        numbers = json.loads((folder / f"{script[:9]}.json").read_text())
        found[script[:9]] = {"printed": printed, **numbers}
    found["figures"] = sorted(path.stem for path in folder.glob("*.png"))
    return found


@pytest.mark.parametrize("name", [*PROBLEMS, "graph_viz.py", "make_variant.py"])
def test_a_solution_stands_alone(name: str) -> None:
    """NumPy, PyTorch and matplotlib; networkx to draw; of a readable length."""
    text = (COURSE / name).read_text("utf-8")
    tree = ast.parse(text)
    imported = {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    imported |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    allowed = {"numpy", "torch", "matplotlib", "graph_viz"} | set(sys.stdlib_module_names)
    if name == "graph_viz.py":
        allowed.add("networkx")
    assert {module.partition(".")[0] for module in imported} <= allowed
    if name.startswith("problem"):
        assert 60 <= sum(bool(line.strip()) for line in text.splitlines()) <= 120
    if name.startswith("problem_3"):
        assert "torch" not in imported  # the gradient is written out
        assert "np.tril_indices(len(X), k=-1)" in text
    if name.startswith("problem_2"):
        assert "np.linalg.solve" in text and "inv(" not in text


def test_problem_1_reaches_the_floor_and_draws_what_the_tables_allow(
    worked: dict[str, Any], variant: tuple[Path, dict[str, Any]]
) -> None:
    """Whatever the training ends with, it is within 0.002 nats of its floor.

    All images together have probability exp(-0.002) or more, by Jensen's inequality: below 98% in
    10,000 draws has no chance to speak of.
    """
    found, key = worked["problem_1"], variant[1]["problem_1"]
    assert found["n_unique"] == key["n_unique"]
    assert found["floor"] == key["floor"] == np.log(len(key["images"]))
    assert 0 <= found["loss"] - found["floor"] <= 0.002 + 1e-6  # the loss is of float32
    assert found["valid_share"] > 0.98
    assert found["lstm_parameters"] == key["lstm_parameters"] == 12_961
    assert found["table_cells"] == 2**26 - 2
    assert found["contexts"] == key["reachable_contexts"]
    tables = TabularAutoregressive.from_tables(read_tables(variant[0] / "image_cpts.pkl.gz"))
    assert sorted(map(tuple, tables.support_)) == sorted(map(tuple, key["images"]))
    assert tables.entropy_ == pytest.approx(found["floor"], abs=1e-9)


def test_problem_2_is_the_librarys_maximum(
    worked: dict[str, Any], variant: tuple[Path, dict[str, Any]]
) -> None:
    X = np.load(variant[0] / "eigenfaces.npy").astype(float)
    for d in ("16", "32", "64"):
        model = PPCA(int(d)).fit(X)
        found, key = worked["problem_2"], variant[1]["problem_2"][d]
        assert found["sigma2"][d] == pytest.approx(model.noise_variance_, rel=1e-9)
        assert key["sigma2"] == pytest.approx(model.noise_variance_, rel=1e-9)
        total = float(model.log_density(X).sum())
        assert found["log_likelihood"][d] == pytest.approx(total, rel=1e-9)
        assert key["log_likelihood"] == pytest.approx(total, rel=1e-9)


def test_problem_3_rises_at_every_step_to_the_librarys_maximum(
    worked: dict[str, Any], variant: tuple[Path, dict[str, Any]]
) -> None:
    model = InnerProductGraph().fit(read_graphs(variant[0] / "classroom_graphs.pkl"))
    found, key = worked["problem_3"], variant[1]["problem_3"]
    errors = model.standard_errors_
    for theirs, ours, error in zip(("a", "b"), (model.slope_, model.intercept_), errors):
        assert abs(found[theirs] - ours) < 0.01 * error
        assert key[theirs] == pytest.approx(ours, abs=1e-7 * error)
    assert key["standard_errors"] == pytest.approx(errors, rel=1e-6)
    assert found["least_increase"] > 0
    last = found["last_lines"]
    assert len(last) == 10
    assert all(line in found["printed"] for line in last)
    increases = [float(line.rsplit("=", 1)[1]) for line in last]
    assert all(increase > 0 for increase in increases) and increases[-1] < 1e-6
    assert all(re.search(r"log-likelihood = -\d+\.\d{7} ", line) for line in last)


def test_problem_4_agrees_three_ways(worked: dict[str, Any]) -> None:
    found = worked["problem_4"]
    assert found["gap"] < 1e-9
    assert found["mse"] == pytest.approx(found["sigma2"], rel=1e-12)
    n = found["n"]
    best = -n / 2 * (np.log(2 * np.pi * found["sigma2"]) + 1)
    assert found["log_likelihood"] == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("name", ["problem_1", "problem_2", "problem_3", "teachers"])
def test_a_page_of_the_course_takes_a_students_files(
    name: str,
    variant: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the files in its folder, the cells of the page find what the key holds."""
    for package in NEEDS:
        pytest.importorskip(package, reason="the pages draw and train")
    import matplotlib.pyplot as plt

    folder, key = variant
    monkeypatch.chdir(tmp_path)
    Path("homework").symlink_to(folder, target_is_directory=True)
    plt.switch_backend("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(PAGES / f"{name}.md"):
        if block.kind == "{code-cell} python":
            run_cell(block, PAGES / f"{name}.md", names)
    plt.close("all")
    printed = capsys.readouterr().out
    if name == "problem_1":
        assert sorted(map(tuple, names["unique"])) == sorted(map(tuple, key["problem_1"]["images"]))
        assert names["floor"] == pytest.approx(key["problem_1"]["floor"])
        assert 0 <= names["lstm"].loss_ - names["floor"] <= 0.002 + 1e-6
    elif name == "problem_2":
        for d, found in key["problem_2"].items():
            assert names["models"][int(d)].noise_variance_ == pytest.approx(found["sigma2"])
            assert f"log-likelihood {found['log_likelihood']:.1f} nats" in printed
    elif name == "problem_3":
        for model in (names["ascent"], names["newton"]):
            errors = key["problem_3"]["standard_errors"]
            assert abs(model.slope_ - key["problem_3"]["a"]) < 0.01 * errors[0]
            assert abs(model.intercept_ - key["problem_3"]["b"]) < 0.01 * errors[1]
    else:
        once = names["answers"]["each pair once"]
        assert once[:2] == pytest.approx([key["problem_3"]["a"], key["problem_3"]["b"]], rel=1e-5)
        assert names["answers"]["each pair twice"][:2] == pytest.approx(once[:2], rel=1e-5)


def test_the_key_that_teachers_see_is_that_of_its_seed(variant: tuple[Path, Any]) -> None:
    shown = [block.text for block in blocks(PAGES / "teachers.md") if block.kind == "text"]
    assert shown == [(variant[0] / "answer_key.txt").read_text("utf-8")]


def test_every_figure_is_drawn(worked: dict[str, Any]) -> None:
    assert worked["figures"] == [
        "1a_samples", "1a_unique", "1b_samples", "1c_loss", "2b_scatter", "2c_originals",
        "2c_reconstructions_16", "2c_reconstructions_32", "2c_reconstructions_64", "2d_new_faces",
        "2e_traversal_asked", "2e_traversal_wide", "3b_ascent", "3c_graphs",
    ]  # fmt: skip


@pytest.mark.parametrize("script", PROBLEMS[:3])
def test_a_missing_file_is_said_in_a_line(script: str, tmp_path: Path) -> None:
    for package in NEEDS:
        pytest.importorskip(package, reason="the worked solutions draw and train")
    for arguments in ([], [str(tmp_path / "nowhere")]):
        done = subprocess.run(
            [sys.executable, str(COURSE / script), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert re.fullmatch(r"No [\w.]+ in .*: name its folder after the script\.\n", done.stderr)


def test_a_variant_is_asked_for_by_its_seed(tmp_path: Path) -> None:
    for arguments in ([], ["x", str(tmp_path)], ["1"]):
        done = subprocess.run(
            [sys.executable, str(COURSE / "make_variant.py"), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1 and "Usage" in done.stderr


# ---- the zip -------------------------------------------------------------------------------------


def unpacked(tmp_path: Path) -> Path:
    (tmp_path / "report.pdf").write_bytes(b"%PDF-")
    with zipfile.ZipFile(submission.write_submission(tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_the_zip_stands_alone(
    tmp_path: Path, worked: dict[str, Any], variant: tuple[Path, dict[str, Any]]
) -> None:
    """Rerun from the unpacked zip, without `ancestral`: the lines and numbers agree."""
    folder = unpacked(tmp_path)
    assert {path.name for path in folder.iterdir()} == {"report.pdf", *submission.FILES}
    (folder / "ancestral.py").write_text("raise ImportError('not needed')")
    for script in PROBLEMS[1:]:
        printed = run(script, folder, variant[0], course=folder)
        numbers = json.loads((folder / f"{script[:9]}.json").read_text())
        assert {"printed": printed, **numbers} == worked[script[:9]]


def test_the_zip_runs_in_an_environment_of_its_own(
    tmp_path: Path, worked: dict[str, Any], variant: tuple[Path, dict[str, Any]], long: bool
) -> None:
    if not long:
        pytest.skip("installs PyTorch: in the long version")
    folder = unpacked(tmp_path)
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = str(home / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "torch==2.13.0", "-r", "requirements.txt"]
    subprocess.run(install, cwd=folder, check=True)
    assert subprocess.run([python, "-c", "import ancestral"], check=False).returncode
    for script in PROBLEMS:
        done = subprocess.run(
            [python, script, str(variant[0])],
            cwd=folder,
            env={**os.environ, "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
        if script != PROBLEMS[0]:  # its training may take another number of steps there
            assert done.stdout.splitlines() == worked[script[:9]]["printed"]
    found = json.loads((folder / "problem_1.json").read_text())
    assert found["loss"] - found["floor"] <= 0.002 + 1e-6
    assert len(list(folder.glob("*.png"))) == 14
