"""A table is checked once, here; what comes out is what scikit-learn's own checker gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array

from ancestral import PPCA, AncestralError, LinearGaussian, TabularAutoregressive
from ancestral._checks.columns import check_table
from ancestral._checks.containers import as_floats, as_levels, opened
from ancestral.errors import DataError, DataTypeError

Make = Callable[[], Any]
X = np.random.default_rng(0).normal(size=(6, 4))

TABLES: dict[str, Make] = {
    **{kind: lambda kind=kind: X.astype(kind) for kind in ("f8", "f4", "f2", ">f8", ">f4", "g")},
    **{kind: lambda kind=kind: (10 * X).astype(kind) for kind in ("i1", "i8", ">i4", "?")},
    "unsigned": lambda: np.arange(24, dtype="u4").reshape(6, 4),
    "fortran": lambda: np.asfortranarray(X),
    "single in fortran's order": lambda: np.asfortranarray(X.astype("f4")),
    "every other row": lambda: np.repeat(X, 2, axis=0)[::2],
    "reversed": lambda: X[::-1, ::-1],
    "read-only": lambda: np.broadcast_to(X[0], (6, 4)),
    "unaligned": lambda: np.frombuffer(b"\0" + X.tobytes(), offset=1).reshape(6, 4),
    "matrix": lambda: np.asmatrix(X),
    "masked": lambda: np.ma.MaskedArray(X, mask=X > 9),
    "masked in part": lambda: np.ma.MaskedArray(X, mask=X > 1),
    "lists": X.tolist,
    "tuples": lambda: tuple(map(tuple, X.tolist())),
    "lists of integers": lambda: [[1, 2, 3, 4], [5, 6, 7, 8]],
    "objects": lambda: X.astype(object),
    "with a gap": lambda: np.where(X[2, 1] == X, np.nan, X),
    "with infinity": lambda: np.where(X[3, 2] == X, -np.inf, X),
    "huge": lambda: np.full((3, 4), 1e308),
    "one row": lambda: X[:1],
    "one column": lambda: X[:, :1],
    "no rows": lambda: X[:0],
    "no columns": lambda: X[:, :0],
    "five dimensions": lambda: np.ones((2, 2, 2, 2, 2)),
    "three dimensions": lambda: np.ones((2, 2, 2)),
    "a row": lambda: X[0],
    "a scalar": lambda: np.float64(3.0),
    "text": lambda: np.full((6, 4), "a"),
    "complex": lambda: X + 1j,
    "dates": lambda: np.full((6, 4), "2020-01-01", "M8[D]"),
    "records": lambda: np.zeros(3, [("a", "f8"), ("b", "f8")]),
}


class Plain(BaseEstimator):
    """Remembers columns."""


def outcome(check: Make) -> Any:
    """Return an array with its dtype and memory order, or the error's own words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = check()
        except (AncestralError, ValueError, TypeError) as error:
            return str(error)
    flags = found.flags.c_contiguous, found.flags.f_contiguous, type(found)
    said = [str(warning.message) for warning in caught]
    return repr(found.tolist()), found.dtype, found.shape, flags, said  # NaN is NaN in words


@pytest.mark.parametrize("numeric", [True, False])
@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_comes_out_as_from_scikit_learns_checker(make: Make, *, numeric: bool) -> None:
    read = as_floats if numeric else as_levels
    kinds: Any = (np.float64, np.float32) if numeric else None

    def theirs() -> np.ndarray:
        values = read(opened(make(), "X"), "X")
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        if native.dtype.kind == "f" and native.dtype not in (np.float64, np.float32):
            native = native.astype(np.float64)
        return check_array(native, dtype=kinds, ensure_all_finite=False, estimator=Plain())

    ours = outcome(lambda: check_table(Plain(), make(), reset=True, numeric=numeric, finite=False))
    if "dimensions" in ours or "Expected 2D" in ours or "dim 3" in ours:
        assert isinstance(outcome(theirs), str)  # in words that say how to mend it
    elif type(ours) is str and "minimum of 1" not in ours and "dim 5" not in ours:
        assert not numeric or ours == outcome(lambda: read(opened(make(), "X"), "X"))
    else:
        assert ours == outcome(theirs)


PLAIN = (
    "f8", ">f8", "fortran", "reversed", "every other row", "read-only", "unaligned", "with a gap",
    "with infinity", "huge", "one row", "one column", "a row", "no rows",
)  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_model_says_the_same_of_a_table_however_it_lies(name: str) -> None:
    """A plain array, and the same values in lists, which go a longer way."""
    y = X @ [1.0, 2.0, -1.0, 0.5] + np.array([0.1, -0.2, 0.3, 0.0, -0.1, 0.2])
    line, latent, values = LinearGaussian().fit(X, y), PPCA(1).fit(X), TABLES[name]()
    for ask in (line.predict, latent.log_density, latent.transform, latent.impute):
        said = [
            outcome(lambda ask=ask, form=form: ask(form))
            for form in (values, values.tolist(), np.array(values, order="F"))
        ]
        if name == "no rows":  # a list of no rows has no columns either
            said.pop(1)
        assert said.count(said[0]) == len(said)


def test_what_is_not_finite_is_named_with_its_place_in_tables_of_any_size() -> None:
    for n in (3, 70_000):
        for value, word in ((np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")):
            table = np.zeros((n, 2))
            table[n - 1, 1] = value
            with pytest.raises(AncestralError, match=f"X holds {word} at row {n - 1}, column 1"):
                check_table(Plain(), table, reset=True)
    assert (check_table(Plain(), np.full((70_000, 2), 1e308), reset=True) == 1e308).all()


def test_a_sparse_table_is_refused_with_its_size_when_dense() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.random(20_000, 2_000, density=1e-4, format="csr", random_state=0)
    for fit in (PPCA(2).fit, lambda X: LinearGaussian().fit(X, np.zeros(20_000))):
        with pytest.raises(DataTypeError, match=r"sparse matrix.* 320 MB .*X\.toarray\(\)"):
            fit(X)


def test_a_row_by_name_is_shown_how_to_be_a_table() -> None:
    pd = pytest.importorskip("pandas")
    rows = pd.DataFrame({"sky": ["sun", "rain"] * 9, "windy": ["no", "no", "yes"] * 6})
    model = TabularAutoregressive(smoothing=0.5).fit(rows)
    with pytest.raises(DataError, match=r"pandas\.DataFrame\(\[known\], columns=model\.feature"):
        model.marginals({"sky": "sun"})
    known = pd.DataFrame([{"sky": "sun"}], columns=model.feature_names_in_)
    assert model.marginals(known)["windy"].sum() == pytest.approx(1)
