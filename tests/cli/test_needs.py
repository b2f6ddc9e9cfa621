"""Commands where optional packages are absent: the whole need in one line, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import asked_for


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with files that are not what their names say: nobody may read them."""
    monkeypatch.chdir(tmp_path)
    for name in ("rows.parquet", "friends.graphml", "image_cpts.pkl.gz", "any.model"):
        (tmp_path / name).write_bytes(b"broken")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.PNG").write_bytes(b"broken")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "extras"),
    [
        ("report", "report,neural"),
        ("report .", "report,neural,tables,graphs"),
        ("studio --no-browser", "studio,report"),
        ("studio --export page.html", "studio,report"),
        ("studio any.model rows.parquet --no-browser", "studio,tables"),
        ("bench debd nltcs", "boost"),
        ("fit lstm @icons -o m.model", "neural"),
        ("fit lstm rows.parquet -o m.model", "neural,tables"),
        ("fit lstm @icons --validation rows.parquet -o m.model", "neural,tables"),
        ("fit lstm pictures -o m.model", "neural,images"),
        ("fit neural @diabetes -o m.model", "neural"),
        ("fit chain rows.parquet -o m.model", "boost,tables"),
        ("fit orders @icons --model lstm -o m.model", "neural"),
        ("fit ppca @faces -o m.model", "report"),
        ("fit ppca rows.parquet -o m.model", "tables"),
        ("fit graph friends.graphml -o m.model", "graphs"),
        ("sample any.model -o rows_2.parquet --collage rows.png", "report,tables"),
        ("sample any.model --inputs rows.parquet", "tables"),
        ("score any.model rows.parquet", "tables"),
        ("score any.model @faces -o scores.parquet", "report,tables"),
        ("compare any.model any.model rows.parquet", "tables"),
        ("impute any.model rows.parquet", "tables"),
        ("predict any.model friends.graphml -o pairs.parquet", "graphs,tables"),
    ],
)
def test_a_command_names_its_whole_need_before_it_reads(
    core_only: None, files: Path, run: Any, arguments: str, extras: str
) -> None:
    before = sorted(files.rglob("*"))
    code, out, err = run(*arguments.split())
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert asked_for(err) == set(extras.split(","))
    assert sorted(files.rglob("*")) == before


def test_commands_that_need_no_extra_ask_for_none(
    core_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        "fit tabular @icons -o icons.model",
        "fit ppca @diabetes --n-components 2 -o ppca.model",
        "fit linear @diabetes -o line.model",
        "fit graph @classrooms -o graph.model",
        "fit chain @icons --estimator logistic -o chain.model",
        "score icons.model @icons",
        "compare icons.model chain.model @icons",
        "sample icons.model -n 2 -o rows.csv",
        "impute icons.model rows.csv -o whole.csv",
        "predict line.model @diabetes -o means.csv",
        "inspect graph.model",
        "sample graph.model -n 2 -o drawn.graphml",
    ):
        code, _, err = run(*line.split())
        assert code == 0, err


def test_columns_keep_their_names_without_a_library_of_dataframes(
    core_only: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    """A table's names are parameters' and conditions' names, whatever holds it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    n = 200
    skies, winds, ships = rng.choice(["rain", "sun"], n), rng.normal(5, 2, n), rng.poisson(2, n)
    days = [f"{sky},{wind:.2f},{ship}" for sky, wind, ship in zip(skies, winds, ships, strict=True)]
    Path("days.csv").write_text("\n".join(["sky,wind,ships", *days]))
    fit = "fit tree days.csv --column-types ships=count --categories sky=rain,sun,fog -o t.model"
    for line, wanted in (
        (fit, "ships = count"),
        ("inspect t.model", "wind = continuous"),
        ("sample t.model -n 2 --given sky=fog", "sky,wind,ships\nfog,"),
        ("score t.model days.csv", "200 rows"),
        ("fit tabular days.csv --text wind --categories sky=rain,sun,fog -o l.model", "l.model"),
        ("inspect l.model", "sky"),
        ("fit ppca days.csv -o p.model", ""),
    ):
        code, out, err = run(*line.split())
        assert wanted in out + err, f"{line}\n{out}{err}"
        assert code == (line.startswith("fit ppca")), err
    assert "column 'sky'" in err


def test_the_mend_is_in_the_words_of_the_command_line(core_only: None, run: Any) -> None:
    _, _, err = run("fit", "chain", "@icons", "-o", "m.model")
    assert "or pass --estimator logistic." in err
