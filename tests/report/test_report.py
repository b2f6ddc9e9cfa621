"""The finished report: whole files, right numbers, nothing fetched, reloadable models."""

from __future__ import annotations

import html.parser
import io
import json
import math
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import ancestral
from ancestral.errors import AncestralError
from ancestral.report import build

HEADINGS = ["1", "1(a)", "1(b)", "1(c)", "2", "2(a)", "2(b)", "2(c)", "2(d)", "2(e)"]
HEADINGS += ["3", "3(a)", "3(b)", "3(c)", "4"]
FILES = ["report.pdf", "report.html", "report.json", "submission.zip", "figures", "models"]


def pdf_text(folder):
    pypdf = pytest.importorskip("pypdf")
    reader = pypdf.PdfReader(folder / "report.pdf")
    return [page.extract_text() for page in reader.pages]


def numbers_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from numbers_in(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_every_part_is_there_and_nothing_else(report):
    folder, _ = report
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    assert [p for p in folder.parent.iterdir() if p != folder] == []


def test_numbers_are_finite(report):
    assert all(math.isfinite(x) for x in numbers_in(report[1]))


def test_the_letters_of_the_course(report):
    numbers = report[1]["autoregression"]
    if report[1]["sources"]["tables"]["built_in"]:
        pytest.skip("the course's tables are not at hand")
    assert numbers["n_images"] == 26 and numbers["uniform"]
    assert numbers["entropy"] == pytest.approx(3.258096538, abs=1e-9)
    assert numbers["lstm_parameters"] == 12_961
    assert numbers["n_dense_cells"] == 67_108_862
    assert numbers["n_dense_free"] == 33_554_431
    assert (numbers["n_contexts"], numbers["n_branching"]) == (454, 25)
    assert numbers["mean_bce_floor"] == pytest.approx(0.13032, abs=5e-6)


def test_the_classrooms_of_the_course(report):
    numbers = report[1]["graphs"]
    if report[1]["sources"]["graphs"]["built_in"]:
        pytest.skip("the course's graphs are not at hand")
    assert numbers["slope"] == pytest.approx(5.551297758, abs=1e-9)
    assert numbers["intercept"] == pytest.approx(-5.362233419, abs=1e-9)
    assert numbers["log_likelihood"] == pytest.approx(-1332.250791705, abs=1e-9)
    assert numbers["standard_errors"] == pytest.approx([0.170593954, 0.136444549], abs=1e-9)
    assert max(numbers["ascent_gap"]) < 1e-6


def test_the_lstm_comes_down_to_its_floor(report):
    numbers = report[1]["autoregression"]
    assert 0 <= numbers["lstm_excess"] <= 0.005
    assert numbers["lstm_step_001"] <= 400
    assert numbers["lstm_mass"] >= 0.995
    assert numbers["valid_share"] >= 0.99
    assert sum(numbers["step_entropies"]) == pytest.approx(numbers["lstm_floor"], abs=1e-12)


def test_ppca_numbers_obey_their_laws(report):
    numbers = report[1]["ppca"]
    assert numbers["density_check"] < 1e-9
    assert numbers["latent_covariance_gap"] < 1e-9
    errors = [x["rmse"] for x in numbers["reconstructions"]]
    assert errors == sorted(errors, reverse=True)
    small, large = numbers["traversal_small"], numbers["traversal_large"]
    # affine in the offset
    assert large["largest_change"] / small["largest_change"] == pytest.approx(60)
    best = max(numbers["heldout_curve"], key=lambda point: point["heldout"])
    assert best["d"] == numbers["chosen_d"]


def test_the_ascent_rises_at_every_iteration(report):
    numbers = report[1]["graphs"]
    assert numbers["strictly_rising"]
    assert len(numbers["last_iterations"]) == 10
    assert all(x["increase"] > 0 for x in numbers["last_iterations"])


def test_likelihood_weights_are_least_squares_weights(report):
    numbers = report[1]["linear"]
    assert numbers["least_squares_gap"] < 1e-9
    assert numbers["noise_variance"] == pytest.approx(numbers["mean_squared_error"], rel=1e-12)


def test_the_pdf_has_the_headings_of_the_assignment_in_order(report):
    pages = pdf_text(report[0])
    text = " ".join(re.sub(r"\s+", " ", page) for page in pages[1:])
    places = [text.find(f"{heading} ") for heading in HEADINGS if "(" in heading]
    assert -1 not in places
    assert places == sorted(places)


def test_prose_quotes_the_numbers_of_this_run(report):
    numbers, text = report[1], " ".join(pdf_text(report[0]))
    flat = re.sub(r"\s+", "", text).replace("−", "-")
    assert f"{numbers['graphs']['slope']:.9f}" in flat
    assert f"{numbers['graphs']['intercept']:.9f}" in flat
    assert f"{numbers['autoregression']['lstm_floor']:.9f}" in flat
    assert f"{numbers['autoregression']['lstm_mass']:.9f}" in flat
    assert f"{numbers['linear']['log_likelihood']:.6f}" in flat


def test_the_page_is_one_file_that_asks_for_nothing(report):
    class Page(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.links, self.tags, self.ids, self.unnamed = [], set(), [], 0

        def handle_starttag(self, tag, attrs):
            attrs = dict(attrs)
            self.tags.add(tag)
            self.links += [attrs[name] for name in ("src", "href") if attrs.get(name)]
            self.ids += [attrs["id"]] if "id" in attrs else []
            self.unnamed += tag == "img" and not attrs.get("alt")

    page = Page()
    page.feed((report[0] / "report.html").read_text("utf-8"))
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "math" in page.tags and "script" not in page.tags
    assert page.unnamed == 0
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_figure_is_there_twice(report):
    figures = list((report[0] / "figures").iterdir())
    names = {p.stem for p in figures}
    assert {(n, s) for n in names for s in (".png", ".svg")} == {
        (p.stem, p.suffix) for p in figures
    }
    assert {"draws", "lstm-training", "latent-scatter", "contour", "classrooms", "line"} <= names


def test_models_are_reloadable(report):
    folder, numbers = report
    models = {p.stem: ancestral.load(p) for p in (folder / "models").iterdir()}
    assert models["graph"].slope_ == numbers["graphs"]["slope"]
    assert models["tables"].entropy_ == numbers["autoregression"]["entropy"]
    mass = np.exp(models["lstm"].log_density(models["tables"].support_)).sum()
    assert mass == pytest.approx(numbers["autoregression"]["lstm_mass"], rel=1e-12)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("problem_1_autoregression", "exact mass"),
        ("problem_2_ppca", "d = 64"),
        ("problem_3_graphs", "Newton"),
        ("problem_4_linear", "log-likelihood"),
    ],
)
def test_scripts_of_the_zip_run(report, tmp_path, script, words):
    archive = zipfile.ZipFile(io.BytesIO((report[0] / "submission.zip").read_bytes()))
    assert archive.testzip() is None
    assert "collaboration policy" in archive.read("README.md").decode()
    assert archive.read("report.pdf").startswith(b"%PDF")
    path = tmp_path / f"{script}.py"
    path.write_bytes(archive.read(f"code/{script}.py"))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


def test_a_failed_report_leaves_the_old_one_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.pdf").write_text("old")

    def fail(*_, **__):
        raise AncestralError("no")

    monkeypatch.setattr(build, "_save_models", fail)
    monkeypatch.setattr("ancestral.report.figures.draw_figures", lambda *_: [])
    monkeypatch.setattr(
        "ancestral.report.summarise.summarise_autoregression", lambda *_, **__: None
    )
    with pytest.raises(AncestralError):
        build.build_report(None, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (out / "report.pdf").read_text() == "old"


def test_the_numbers_are_valid_json(report):
    def refuse(name):
        raise AssertionError(name)

    json.loads((report[0] / "report.json").read_text("utf-8"), parse_constant=refuse)
