"""Every result that a public call gives is a table on screen, and in a dataframe, and short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, Counts, InnerProductGraph, Moments, datasets, io
from ancestral._printed import MOST_ROWS, Printed
from ancestral.graph.fit_checks import check_fit
from ancestral.graph.predictions import calibrate, held_out


def results() -> dict[str, Any]:
    X = np.random.default_rng(0).normal(size=(50, 4)) * [3.0, 2.0, 1.0, 1.0]
    graphs = datasets.classrooms(30, random_state=0)
    model = InnerProductGraph().fit(graphs)
    check = check_fit(model, graphs, n_draws=20, random_state=0)
    return {
        "moments": Moments.of(X),
        "no moments": Moments.empty(3),
        "wide moments": Moments.of(np.zeros((5, 576))),
        "every d": PPCA(2).fit(X).every_d(),
        "every d held out": PPCA(2).fit(X).every_d(X),
        "calibration": calibrate(model, graphs),
        "held out": held_out(model, graphs),
        "fit check": check,
        "degrees": check.comparisons["degree"],
    }


def test_results_are_tables() -> None:
    pd = pytest.importorskip("pandas")
    for name, result in results().items():
        assert isinstance(result, Printed), name
        text, frame = repr(result), result.to_frame()
        lines = text.splitlines()
        assert "array(" not in text and len(lines) <= MOST_ROWS + 6, name
        assert max(map(len, lines)) <= 110, name
        assert isinstance(frame, pd.DataFrame) and len(frame) == max(
            map(len, result._table().blocks[0].columns.values())
        )
        assert result._repr_html_().count("<tr>") <= MOST_ROWS + 2


def test_what_is_no_table_is_one_line() -> None:
    pairs = io.Pairs(np.zeros((7, 2)), np.zeros(7), ["age", "b\x1bmi"], "price")
    assert repr(pairs) == r"Pairs(7 rows; X: age, b\x1bmi; y: price)"
    counts = Counts.of([[0, 1], [1, 1], [0, 1]])
    assert repr(counts) == "Counts(2 distinct rows of 2 columns, 3 rows in all)"
