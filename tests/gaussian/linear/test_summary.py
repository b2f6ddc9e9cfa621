"""The table of a linear fit: against statsmodels, and as text, page and dataframe."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from ancestral import HeteroscedasticGaussian, LinearGaussian
from ancestral.errors import DataError, MissingExtraError, ModelError
from ancestral.gaussian.linear import summary

sm = pytest.importorskip("statsmodels.api")

ROBUST = ("HC0", "HC1", "HC2", "HC3", "cluster")


def rows(n: int = 90, seed: int = 0) -> tuple[Any, ...]:
    """Return columns in different units, y whose noise grows and hangs together, and groups."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)) * [1e4, 1.0, 1e-3, 5.0] + [1e5, 3.0, 0.0, -1.0]
    groups = rng.integers(0, 12, size=n)
    noise = rng.normal(size=n) * (1 + np.abs(X[:, 1])) + rng.normal(size=12)[groups]
    return X, X @ [1e-4, 2.0, 300.0, 0.0] + 1 + noise, groups, rng.uniform(0.5, 2, size=n)


def peer(X: Any, y: Any, cov_type: str, groups: Any, weights: Any, fit_intercept: Any) -> Any:
    A = sm.add_constant(X) if fit_intercept else X
    model = sm.OLS(y, A) if weights is None else sm.WLS(y, A, weights=weights)
    if cov_type == "cluster":
        kwds = {"groups": groups, "use_correction": True}
        return model.fit(cov_type=cov_type, use_t=True, cov_kwds=kwds)
    return model.fit(cov_type=cov_type, use_t=None if cov_type == "nonrobust" else True)


@pytest.mark.filterwarnings("ignore:covariance of constraints")  # theirs, of the ill-scaled
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cov_type", ["nonrobust", *ROBUST])
def test_all_of_it_is_what_statsmodels_has(
    cov_type: str, weighted: Any, fit_intercept: Any
) -> None:
    X, y, groups, w = rows()
    weights = w if weighted else None
    model = LinearGaussian(fit_intercept=fit_intercept).fit(X, y, weights)
    theirs = peer(X, y, cov_type, groups, weights, fit_intercept)
    if cov_type == "nonrobust":
        text = model.summary(level=0.9)
    else:
        own = groups if cov_type == "cluster" else None
        text = model.summary(X, y, cov_type=cov_type, groups=own, sample_weight=weights, level=0.9)
        found = model.robust_standard_errors(X, y, weights, cov_type=cov_type, groups=own)
        np.testing.assert_allclose(found, theirs.bse, rtol=1e-10)
    table = text.to_frame()
    wanted = {
        "estimate": theirs.params,
        "std. error": theirs.bse,
        "t": theirs.tvalues,
        "P(>|t|)": theirs.pvalues,
        "90% from": theirs.conf_int(0.1)[:, 0],
        "to": theirs.conf_int(0.1)[:, 1],
    }
    for name, values in wanted.items():
        bound = theirs.bse if name in ("90% from", "to") else 0.0  # which may lie near 0
        assert (np.abs(table[name] - values) <= 1e-10 * (np.abs(values) + bound)).all(), name
    robust = None if cov_type == "nonrobust" else model._robust(X, y, weights, cov_type, own)
    # Theirs inverts a covariance, which costs it digits where columns differ in size.
    alike = peer(X / [1e5, 1.0, 1e-3, 5.0], y, cov_type, groups, weights, fit_intercept)
    assert summary.f_tests(model, robust)[0] == pytest.approx(alike.fvalue, rel=1e-10)
    assert f"R^2 {theirs.rsquared:.6f}, adjusted {theirs.rsquared_adj:.6f}" in text
    assert f" {alike.fvalue:.6g}, P(>F) {alike.f_pvalue:.2g}" in text
    assert f"{int(theirs.nobs)} rows" in text and f"{int(theirs.df_resid)} degrees" in text


def test_the_f_test_keeps_its_digits_where_hardly_anything_is_left() -> None:
    """1 - R^2 is 1e-12 here, and float64 holds four digits of it; F is found otherwise."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 3))
    noise = rng.normal(size=50)
    A = np.column_stack([np.ones(50), X])
    noise -= A @ np.linalg.lstsq(A, noise, rcond=None)[0]
    y = X @ [1.0, 2.0, 3.0] + 1e-6 * noise
    centred = X - X.mean(axis=0)
    explained = ((centred @ [1.0, 2.0, 3.0]) ** 2).sum() / 3
    wanted = explained / (1e-12 * (noise**2).sum() / 46)
    model = LinearGaussian().fit(X, y)
    assert summary.f_tests(model, None)[0] == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("cov_type", ["nonrobust", *ROBUST])
def test_tests_do_not_hang_on_units(cov_type: str) -> None:
    X, y, groups, _ = rows()
    own = groups if cov_type == "cluster" else None
    values = []
    for size in (1.0, 2.0**-300, 2.0**300):
        A = X * [1.0, size, 1.0, 1.0]
        model = LinearGaussian().fit(A, y)
        robust = None if cov_type == "nonrobust" else model._robust(A, y, None, cov_type, own)
        values.append(float(summary.f_tests(model, robust)[0]))
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_groups_may_be_words_dates_or_a_column_and_rows_without_weight_are_left_out() -> None:
    pd = pytest.importorskip("pandas")
    X, y, groups, w = rows()
    model = LinearGaussian().fit(X, y)
    wanted = model.robust_standard_errors(X, y, cov_type="cluster", groups=groups)
    words = np.array([f"school {g}" for g in groups])
    dates = np.datetime64("2024-01-01") + groups
    for same in (words, list(words), pd.Series(words), pd.DataFrame({"school": words}), dates):
        found = model.robust_standard_errors(X, y, cov_type="cluster", groups=same)
        np.testing.assert_array_equal(found, wanted)
    w[groups == 3] = 0
    kept = w > 0
    some, whole = LinearGaussian().fit(X[kept], y[kept], w[kept]), LinearGaussian().fit(X, y, w)
    np.testing.assert_allclose(
        whole.robust_standard_errors(X, y, w, cov_type="cluster", groups=groups),
        some.robust_standard_errors(
            X[kept], y[kept], w[kept], cov_type="cluster", groups=groups[kept]
        ),
        rtol=1e-12,
    )


def test_what_is_wrong_is_said() -> None:
    X, y, groups, _ = rows()
    model = LinearGaussian().fit(X, y)
    holes = [None, *map(str, groups[1:])]
    for given, error, said in (
        ({"cov_type": "HC4"}, ModelError, "cov_type must be one of"),
        ({"cov_type": "cluster"}, ModelError, "needs groups="),
        ({"cov_type": "HC1", "groups": groups}, ModelError, "groups have no effect"),
        ({"cov_type": "cluster", "groups": groups[1:]}, DataError, "each of the 90 rows"),
        ({"cov_type": "cluster", "groups": holes}, DataError, "missing at row 0"),
        ({"cov_type": "cluster", "groups": np.zeros(90, int)}, ModelError, "holds one group"),
        ({"cov_type": "cluster", "groups": [[1, 2]] * 90}, DataError, "each of the 90 rows"),
    ):
        for ask in (model.summary, model.robust_standard_errors):
            with pytest.raises(error, match=said):
                ask(X, y, **given)
    with pytest.raises(ModelError, match="pass the rows of the fit too"):
        model.summary(cov_type="HC3")
    with pytest.raises(ModelError, match="To change the level, pass level="):
        model.summary(0.9)
    with pytest.raises(ModelError, match="have no effect with standard errors of one"):
        model.summary(X, y)


def test_it_is_text_a_page_and_a_frame_without_quotes() -> None:
    pd = pytest.importorskip("pandas")
    X, y, _, _ = rows()
    frame = pd.DataFrame(X, columns=["area", "age", "a<b", "x"])
    model = LinearGaussian(degree=2).fit(frame, y)
    text = model.summary()
    assert str(text) == repr(text) == str(pickle.loads(pickle.dumps(text)))
    names = list(text.to_frame()["term"])
    assert names[:3] == ["intercept", "area", "age"] and names[5] == "area^2"
    assert "'" not in text and "a&lt;b" in text._repr_html_() and "<table" in text._repr_html_()
    several = LinearGaussian().fit(frame, np.column_stack([y, y**2])).summary().to_frame()
    assert list(several["target"]) == ["target 0"] * 5 + ["target 1"] * 5
    both = HeteroscedasticGaussian().fit(frame[["age"]], y).summary()
    assert list(both.to_frame()["of"]) == ["mean"] * 2 + ["log variance"] * 2


def test_without_pandas_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, _, _ = rows()
    text = LinearGaussian().fit(X, y).summary()
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        text.to_frame()
