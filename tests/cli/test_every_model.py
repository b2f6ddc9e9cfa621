"""Every model of the catalogue, and one that it does not have, from its data to its draws."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import ancestral
from ancestral import _catalogue
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.base import ConditionalDensity, Density, GraphDensity
from ancestral.cli.fit import command as fit
from tests import toy

MODELS = [*(row for row in _catalogue.MODELS if row is not toy.ROW), toy.ROW]
EVERY = pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.word)
EXTRA = {"lstm": "torch", "neural": "torch"}
SMALL = {  # what keeps the fit short, and its outcome the same
    "lstm": "--hidden-size 4 --num-layers 1 --max-steps 5 --random-state 0",
    "chain": "--estimator logistic --n-components 2 --random-state 0",
    "orders": "--model tabular --n-orders 3 --random-state 0",
    "mixture": "--n-models 2 --n-starts 2 --random-state 0",
    "neural": "--hidden-size 4 --max-steps 20 --random-state 0",
    "positions": "--n-components 1 --l2 1",
    "tree": "--n-states 2 --n-trees 1 --n-sweeps 4 --random-state 0",
    "dyadic": "--terms inner_product",
    "diagonal": "--same-variance",
}
FACES = {
    "discrete": DiscreteDensity,
    "continuous": Density,
    "mixed": Density,
    "conditional": ConditionalDensity,
    "graphs": GraphDensity,
}


@pytest.fixture(autouse=True)
def with_the_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model beside the package's own: its file, and one row of the catalogue."""
    monkeypatch.setattr(_catalogue, "MODELS", MODELS)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A small file for each face."""
    rng = np.random.default_rng(0)
    found = {face: tmp_path / f"{face}.csv" for face in FACES if face != "graphs"}
    levels = rng.integers(0, 2, size=(40, 4))
    _write(found["discrete"], "a,b,c,d", levels)
    cloud = rng.normal(size=(60, 3)) @ [[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.1, 0.0, 0.3]]
    for face in ("continuous", "mixed"):
        _write(found[face], "height,weight,age", cloud)
    y = cloud @ [1.0, -1.0, 0.5] + 0.3 * rng.normal(size=60)
    _write(found["conditional"], "height,weight,age,y", np.column_stack([cloud, y]))
    links = np.triu(rng.random((5, 12, 12)) < 0.3, 1)
    found["graphs"] = tmp_path / "graphs.npz"
    features = rng.uniform(-1, 1, size=(5, 12, 2))
    np.savez(found["graphs"], features=features, adjacency=links | links.transpose(0, 2, 1))
    return found


def _write(path: Path, names: str, rows: np.ndarray) -> None:
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    path.write_text("\n".join([names, *lines]) + "\n")


def _needs(word: str) -> None:
    if word in EXTRA:
        pytest.importorskip(EXTRA[word], reason=f"{EXTRA[word]} is an extra")


def _said(run: Any, *arguments: Any) -> Any:
    """Run a command that must succeed, and read its JSON."""
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


@EVERY
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_file_becomes_a_model_its_facts_its_scores_and_its_draws(
    run: Any, files: dict[str, Path], tmp_path: Path, entry: _catalogue.Entry
) -> None:
    _needs(entry.word)
    data, model = files[entry.face], tmp_path / "a.model"
    fitted = _said(run, "fit", entry.word, data, *SMALL.get(entry.word, "").split(), "-o", model)
    loaded = ancestral.load(model)
    assert type(loaded) is entry.load() and fitted["model"] == entry.name

    inspected = _said(run, "inspect", model)
    assert {**inspected, "learnt": None} == {**fitted, "learnt": None}
    assert set(inspected["learnt"]) == set(loaded._fitted_state())
    for name in entry.headlines:
        shown = inspected["n_parameters" if name == "n_parameters_" else name]
        np.testing.assert_array_equal(shown, getattr(loaded, name))

    scored = _said(run, "score", model, data)
    if entry.face == "graphs":
        values = loaded.log_density(ancestral.read_graphs(data))
    else:
        rows = np.loadtxt(data, delimiter=",", skiprows=1)
        rows = rows.astype(int) if entry.face == "discrete" else rows
        y = [rows[:, 3]] if entry.face == "conditional" else []
        values = loaded.log_density(rows[:, :3] if y else rows, *y)
    assert scored["n"] == len(values)
    assert scored["total_log_density"] == pytest.approx(values.sum(), rel=1e-12)
    assert ("bits_per_dimension" in scored) == (entry.face == "discrete")

    asked = ["--inputs", data] if entry.face == "conditional" else ["-n", 3]
    draw = ("sample", model, *asked, "--random-state", 1)
    drawn = _said(run, *draw)["samples"]
    assert drawn == _said(run, *draw)["samples"]
    assert len(drawn) == (60 if entry.face == "conditional" else 3)
    written = tmp_path / ("drawn.npz" if entry.face == "graphs" else "drawn.csv")
    assert run(*draw, "-o", written)[0] == 0
    if entry.face == "graphs":
        assert len(ancestral.read_graphs(written)) == 3
    else:
        header = data.read_text().splitlines()[0]
        header = "y" if entry.face == "conditional" else header
        assert written.read_text().splitlines()[0] == header
        np.testing.assert_array_equal(ancestral.read_array(written).squeeze(), drawn)


@EVERY
@pytest.mark.filterwarnings("ignore:.*links of a node with itself")
def test_what_is_wrong_is_said_in_one_line(
    run: Any, files: dict[str, Path], tmp_path: Path, entry: _catalogue.Entry
) -> None:
    _needs(entry.word)
    small, model = SMALL.get(entry.word, "").split(), tmp_path / "a.model"
    assert run("fit", entry.word, files[entry.face], *small, "-o", model)[0] == 0
    bare = tmp_path / "one.npy"
    np.save(bare, np.ones(3))
    other = files["continuous" if entry.face == "graphs" else "graphs"]
    unlike = tmp_path / "unlike.csv"
    unlike.write_text("q,r\n0,1\n1,1\n0,0\n")
    before = model.read_bytes()
    for command in (
        ("fit", entry.word, tmp_path / "absent.npy", *small, "-o", model),
        ("fit", entry.word, bare, *small, "-o", model),
        ("fit", entry.word, other, *small, "-o", model),
        ("score", model, other),
        ("score", model, unlike),
        ("score", model, tmp_path / "absent.csv"),
        ("score", tmp_path / "absent.model", files[entry.face]),
    ):
        code, out, err = run(*command)
        assert code in (1, 2) and out == "", (command, out, err)
        assert "Traceback" not in err
        said = err.splitlines()
        if entry.face == "graphs":  # what a reader did with links is said as it reads them
            said = [line for line in said if not line.startswith("note: ")]
        assert code == 2 or (len(said) == 1 and said[0].startswith("ancestral: ")), err
    assert model.read_bytes() == before


@EVERY
def test_help_names_each_parameter_and_an_example_that_is_understood(
    run: Any, entry: _catalogue.Entry
) -> None:
    code, out, _ = run("fit", entry.word, "--help")
    assert code == 0
    for parameter in inspect.signature(entry.load()).parameters:
        assert "--" + parameter.replace("_", "-") in out
    words = shlex.split(re.search(r"Example:\n\s+ancestral fit (.*)\n", out)[1])
    chosen = fit.get_command(click.Context(fit), words[0])
    given = chosen.make_context(words[0], words[1:]).params
    assert given["data"] in words and given["output"] == Path(f"{entry.word}.model")
    assert ("--checkpoint" in out) == (
        "checkpoint" in inspect.signature(entry.load().fit).parameters
    )
    takes = "missing" in inspect.signature(entry.load()).parameters
    asked = entry.gaps and entry.face != "mixed"  # whose tables have gaps in any case
    assert ("--missing" in out) == (asked or takes)
    assert ("--target" in out) == (entry.face == "conditional")
    assert ("--nodes" in out) == (entry.face == "graphs")


@EVERY
def test_the_face_of_the_catalogue_is_that_of_the_class(entry: _catalogue.Entry) -> None:
    cls = entry.load()
    assert issubclass(cls, FACES[entry.face])
    assert (entry.face == "discrete") == issubclass(cls, DiscreteDensity)
    assert entry.inner is None or entry.inner in inspect.signature(cls).parameters


def test_models_are_listed_by_what_they_take(run: Any) -> None:
    out = run("fit", "--help")[1]
    places = [out.index(f"\n  {entry.word} ") for entry in MODELS]
    heads = [
        out.index(f"Models of {kind}")
        for kind in ("rows of l", "rows of r", "tab", "a t", "graphs")
    ]
    assert heads == sorted(heads)
    for entry, place in zip(MODELS, places, strict=True):
        face = sum(head < place for head in heads) - 1
        assert face == list(FACES).index(entry.face)
    by_class, by_word = (run("fit", name, "--help")[1] for name in ("DiagonalGaussian", "diagonal"))
    assert by_class.splitlines()[1:] == by_word.splitlines()[1:]


@pytest.mark.parametrize("inner", ["tabular", "chain", "lstm"])
def test_a_model_of_orders_takes_another_by_its_word(
    run: Any, files: dict[str, Path], tmp_path: Path, inner: str
) -> None:
    if inner != "tabular" and find_spec({"chain": "lightgbm", "lstm": "torch"}[inner]) is None:
        pytest.skip("an extra")
    model = tmp_path / "a.model"
    flags = ("--n-orders", 2, "--random-state", 0, "-o", model)
    fitted = _said(run, "fit", "orders", files["discrete"], "--model", inner, *flags)
    assert fitted["parameters"]["model"].startswith(type(ancestral.load(model).model).__name__)
    assert _catalogue.entry_of(ancestral.load(model).model).word == inner


def test_orders_are_given_as_lists(run: Any, files: dict[str, Path], tmp_path: Path) -> None:
    model = tmp_path / "a.model"
    flags = ("--model", "tabular", "-o", model)
    assert run("fit", "orders", files["discrete"], "--orders", "[[3,2,1,0]]", *flags)[0] == 0
    np.testing.assert_array_equal(ancestral.load(model).orders_, [[3, 2, 1, 0]])
    for wrong in ("[[0]]", "up"):
        code, _, err = run("fit", "orders", files["discrete"], "--orders", wrong, *flags)
        assert code == 1 and err.count("\n") == 1, err


def test_orders_need_a_model_that_has_them(run: Any, tmp_path: Path) -> None:
    for flags in ([], ["--model", "ppca"], ["--model", "orders"]):
        code, _, err = run("fit", "orders", "@icons", *flags, "-o", tmp_path / "m")
        assert code == 2 and all(word in err for word in ("tabular", "lstm", "chain"))
