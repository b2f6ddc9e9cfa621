"""One rule for integers and for what is missing, in every container; evidence and parts by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, LinearGaussian, TabularAutoregressive
from ancestral.errors import DataError
from ancestral.io import read_pairs
from ancestral.streaming import fit_chunks, fit_dask
from tests.trust.guard import refused

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

# A column of integers in every container.
COLUMNS: dict[str, Callable[[list[int]], Any]] = {
    "array": lambda v: np.array(v)[:, None],
    "objects": lambda v: np.array(v, dtype=object)[:, None],
    "list": lambda v: [[k] for k in v],
    "list beside floats": lambda v: [[k, 0.5] for k in v],
    "pandas": lambda v: pd.DataFrame({"id": v}),
    "pandas beside floats": lambda v: pd.DataFrame({"id": v, "x": 0.5}),
    "pandas Int64": lambda v: pd.DataFrame({"id": pd.array(v, dtype="Int64")}),
    "pandas objects": lambda v: pd.DataFrame({"id": pd.Series(v, dtype=object)}),
    "pandas on Arrow": lambda v: pd.DataFrame({"id": pd.array(v, dtype="int64[pyarrow]")}),
    "polars": lambda v: pl.DataFrame({"id": v}),
    "Arrow": lambda v: pa.table({"id": v}),
}
BEYOND = [5, 2**53 + 1, 7, 11]
EVERY_COLUMN = pytest.mark.parametrize("form", COLUMNS)


@EVERY_COLUMN
def test_n5_t4_integers_beyond_2_53_are_refused_where_numbers_are_wanted(form: str) -> None:
    X, y = COLUMNS[form](BEYOND), [0.0, 1.0, 3.0, 2.0]
    for call in (lambda: PPCA(0).fit(X), lambda: LinearGaussian().fit(X, y)):
        refused(call, "9007199254740993 at row 1.*beyond 2\\*\\*53", "subtract an offset")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units, and of a constant beside it
        PPCA(0).fit(COLUMNS[form]([5, 2**53, 7, 11]))  # the last that is held for sure


@EVERY_COLUMN
def test_n5_they_are_refused_in_a_target(form: str) -> None:
    if "beside" in form:
        pytest.skip("a table of two columns is no target")
    X = np.arange(4.0)[:, None]
    says = "y holds 9007199254740993 at row 1.*beyond 2\\*\\*53"
    refused(lambda: LinearGaussian().fit(X, COLUMNS[form](BEYOND)), says)


@EVERY_COLUMN
def test_n5_they_are_levels_to_the_last_digit(form: str) -> None:
    ids = [2**53, 2**53 + 1, 2**53 + 1]
    if "floats" in form:
        pytest.skip("a half is no level")
    model = TabularAutoregressive().fit(COLUMNS[form](ids))
    p = np.exp(model.log_density(COLUMNS[form](ids)))
    np.testing.assert_allclose(p, [1 / 3, 2 / 3, 2 / 3])
    with pytest.raises(DataError, match="a level not seen in fit"):
        model.log_density(COLUMNS[form]([2**53 - 1]))


def test_n5_t4_read_pairs_rounds_no_integer(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": BEYOND, "y": [0.0, 1.0, 3.0, 2.0]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        refused(lambda name=name: read_pairs(tmp_path / name), "9007199254740993")


@pytest.mark.parametrize(
    "given",
    [
        pd.Series({"b": 0, "a": np.nan}),
        pd.Series({"b": 0}),
        {"b": 0},
        pd.DataFrame({"b": [0], "a": [None]}),
        pl.DataFrame({"b": [0]}),
        pa.table({"b": [0]}),
    ],
)
def test_n10_evidence_given_by_name_is_read_by_name(given: Any) -> None:
    model = TabularAutoregressive().fit(pd.DataFrame({"a": [0, 1, 1], "b": [1, 0, 0]}))
    drawn = model.sample(20, given=given, random_state=0)
    np.testing.assert_array_equal(drawn, np.tile([1, 0], (20, 1)))


@pytest.mark.parametrize("gap", [None, float("nan"), np.float16("nan"), pd.NA, pd.NaT])
def test_n13_what_is_missing_is_no_level(gap: Any) -> None:
    rows = pd.DataFrame({"house": pd.Series(["red", gap, "blue"], dtype=object)})
    refused(lambda: TabularAutoregressive().fit(rows), "at row 1, column 'house'", "[Dd]rop")
    model = TabularAutoregressive().fit(rows.iloc[[0, 2]])
    assert list(model.categories_[0]) == ["blue", "red"]
    np.testing.assert_allclose(np.exp(model.log_density(rows)), [0.5, 1, 0.5])


def parts_of(names: list[str]) -> list[Any]:
    """Return two parts of pairs, the second with other names."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    return [
        (pd.DataFrame(X[:20], columns=list("abc")), y[:20]),
        (pd.DataFrame(X[20:], columns=names), y[20:]),
    ]


def test_n15_t3_parts_with_other_names_are_refused() -> None:
    dask = pytest.importorskip("dask")
    parts = parts_of(list("abz"))
    says = "unseen at fit time:\n- z"
    refused(lambda: fit_chunks(LinearGaussian(), parts), "part 1", says)
    later = [dask.delayed(part) for part in parts]
    refused(lambda: fit_dask(LinearGaussian(), later), "part 1", says)
    model = LinearGaussian().partial_fit(*parts[0])
    refused(lambda: model.partial_fit(*parts[1]), says)
    model.partial_fit(*parts[0])  # as scikit-learn has it, an estimator keeps to one order
    refused(lambda: model.partial_fit(*parts_of(list("acb"))[1]), "Column 1 is 'c' and was 'b'")


def test_tensors_that_require_grad_are_numbers() -> None:
    torch = pytest.importorskip("torch")
    X = np.random.default_rng(0).normal(size=(20, 3))
    model = PPCA(1).fit(torch.tensor(X, requires_grad=True))
    np.testing.assert_allclose(model.log_density(X), PPCA(1).fit(X).log_density(X), rtol=1e-12)


def test_lazy_frames_and_whole_frames_as_chunks_are_refused_with_the_mend() -> None:
    X = pl.DataFrame({"a": [0, 1]})
    refused(lambda: TabularAutoregressive().fit(X.lazy()), "not computed yet: give X.collect")
    refused(lambda: fit_chunks(TabularAutoregressive(), X), r"give \[X\]")


def test_frames_of_text_and_booleans_are_kept(tmp_path: Path) -> None:
    from ancestral import load

    X = pd.DataFrame({"t": ["x", "y", "y"], "b": [True, False, True]})
    model = TabularAutoregressive(smoothing=1.0).fit(X)
    again = load(model.save(tmp_path / "a.model"))
    np.testing.assert_array_equal(again.log_density(X), model.log_density(X))
