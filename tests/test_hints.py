"""Errors that name what is meant, and nothing else that answers to another library's names."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ancestral import PPCA, LinearGaussian, OrderMixture, PPCAMixture, TabularAutoregressive
from ancestral._hints import ATTRIBUTES, KEYWORDS
from ancestral.base import WIDTHS, ConditionalDensity, Density
from ancestral.errors import AncestralError, UnknownKeywordError, UnknownNameError
from tests.toy import DiagonalGaussian
from tests.zoo import ZOO, Entry

EVERY = pytest.mark.parametrize("entry", ZOO, ids=lambda e: e.name)
BITS = np.array([[0, 0], [0, 1], [1, 1], [1, 1]])


def says(call: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, AncestralError)
    return str(caught.value)


@EVERY
def test_what_is_recommended_is_there(entry: Entry) -> None:
    """Whatever name another library has, `hasattr` is False, and the hint leads to something."""
    model = entry.fit()
    for name in ATTRIBUTES:
        if name in dir(model) or name in vars(model):
            continue
        assert not hasattr(model, name)
        found = re.search(
            r"Here it is (\w+)", says(lambda name=name: getattr(model, name), AttributeError)
        )
        own = {*dir(model), *type(model)._declared(), *model.get_params()}
        assert found is None or found[1] in own


@EVERY
def test_a_keyword_of_another_library_is_answered_with_ours(entry: Entry) -> None:
    model = entry.fit()
    methods = [model.fit] if isinstance(model, DiagonalGaussian) else [type(model), model.fit]
    methods += [model.sample] if isinstance(model, Density | ConditionalDensity) else []
    for method in methods:
        taken = inspect.signature(method).parameters
        for name in [*KEYWORDS, "no_such_thing"]:
            if name in taken or name == "sample_weight":  # which some do not show
                continue
            if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
                continue
            text = says(
                lambda name=name, method=method: method(*entry.data, **{name: 1}), TypeError
            )
            found = re.search(r"here it is (\w+)\.", text)
            assert (found is None or found[1] in {*taken, "sample_weight"}) and (
                found or "it takes" in text
            ), text


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("log_prob", "log_density"),
        ("coef_", "loadings_"),
        ("bic_", r"bic\(X\)"),
        ("predict_proba", r"marginals\(X\)"),
        ("rvs", "sample"),
        ("covariance_", r"get_covariance\(\)"),
        ("log_densty", "log_density"),
        ("components", "components_"),
    ],
)
def test_a_pca_users_names(name: str, ours: str) -> None:
    model = PPCA(1).fit(np.random.default_rng(0).normal(size=(20, 3)))
    text = says(lambda: getattr(model, name), UnknownNameError)
    assert re.search(rf"'PPCA' object has no attribute '{name}'\. .*\b{ours}", text)
    with pytest.raises(AttributeError, match="brought none"):
        _ = model.scale_


def test_names_of_other_models() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    mixture = PPCAMixture(2, 1, n_starts=1, random_state=0).fit(X)
    line = LinearGaussian().fit(X[:, :2], X[:, 2])
    orders = OrderMixture(TabularAutoregressive(0.5), n_orders=2, random_state=0).fit(BITS)
    for model, name, ours in (
        (mixture, "n_components_", "n_components"),
        (mixture, "posterior_probs", "responsibilities"),
        (line, "bse", "standard_errors_"),
        (line, "params", "coef_"),
        (line, "rsquared_adj", "summary()"),
        (orders, "compress", "members_"),
        (orders, "predict_proba", "marginals"),
    ):
        assert f"Here it is {ours}" in says(lambda m=model, n=name: getattr(m, n), AttributeError)


def test_keywords() -> None:
    tables = TabularAutoregressive().fit(BITS)
    for call, ours in (
        (lambda: PPCA(n_comps=2), "n_components"),
        (lambda: PPCA(seed=1), "random_state"),
        (lambda: TabularAutoregressive(alpha=1.0), "smoothing"),
        (lambda: PPCA().set_params(n_latent=2), "n_components"),
        (lambda: tables.sample(n=3), "n_samples"),
        (lambda: tables.sample(3, seed=0), "random_state"),
        (lambda: tables.sample(evidence=[0, np.nan]), "given"),
        (lambda: tables.most_probable(n=2), "k"),
        (lambda: tables.impute_draws(BITS, n_samples=2), "n_draws"),
        (lambda: LinearGaussian().fit(BITS, [0, 1, 2, 4], weights=[1, 1, 1, 1]), "sample_weight"),
    ):
        assert says(call, UnknownKeywordError).endswith(f": here it is {ours}.")


def test_errors_within_a_method_stay_what_they_are() -> None:
    class Broken(TabularAutoregressive):
        def sample(self, n_samples: int = 1, **kwargs: Any) -> Any:
            raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):
        Broken().fit(BITS).sample(n_samples=3)
    with pytest.raises(TypeError, match="positional"):
        PPCA(1, 2)


@EVERY
def test_before_the_fit_what_a_fit_learns_is_not_fitted(entry: Entry) -> None:
    model = entry.make()
    for name in model._declared():
        if name.endswith("_") and name not in WIDTHS:
            assert not hasattr(model, name)
            assert "call fit first" in says(lambda name=name: getattr(model, name), NotFittedError)


def test_copies_need_no_names() -> None:
    model = PPCA(1).fit(np.random.default_rng(0).normal(size=(20, 3)))
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.noise_variance_ == model.noise_variance_
    assert not hasattr(clone(model), "noise_variance_")
    assert not hasattr(model, "__array__") and not hasattr(model, "_repr_png_")


def test_a_row_by_name_and_a_frame_of_other_columns_are_told_what_to_give() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(BITS, columns=["a", "b"])
    wider = frame.assign(c=0)
    model = TabularAutoregressive().fit(frame)
    for method in (model.log_density, model.marginals, model.impute):
        assert "a dataframe of one row" in says(lambda m=method: m({"a": 1}), AncestralError)
        assert "may hold only None" in says(lambda m=method: m(frame[["a"]]), AncestralError)
        assert "X[list(model.feature_names_in_)]" in says(lambda m=method: m(wider), AncestralError)
    assert np.isfinite(model.log_density(frame[["a"]].assign(b=None))).all()  # as it says
