"""The mixture over orders: an exact mean of densities, whatever the orders."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import PPCA, ChainAutoregressive, OrderMixture, TabularAutoregressive
from ancestral.errors import DataError, ModelError
from tests.test_contract import fits
from tests.zoo import LEVELS, WORDS

SPACE = np.indices((2, 3, 5)).reshape(3, -1).T


def tables(**parameters: Any) -> OrderMixture:
    settings = {"n_orders": 3, "random_state": 0}
    return OrderMixture(TabularAutoregressive(smoothing=0.5), **{**settings, **parameters})


def test_the_density_is_the_mean_of_the_members() -> None:
    model = tables().fit(LEVELS)
    each = [
        np.exp(member.log_density(SPACE[:, order]))
        for member, order in zip(model.members_, model.orders_)
    ]
    np.testing.assert_allclose(np.exp(model.log_density(SPACE)), np.mean(each, axis=0), rtol=1e-12)
    assert model.score(LEVELS) >= np.mean(
        [m.score(LEVELS[:, o]) for m, o in zip(model.members_, model.orders_)]
    )


def test_given_orders_are_kept_and_one_order_is_the_plain_model() -> None:
    model = tables(orders=[[0, 1, 2]]).fit(LEVELS)
    plain = TabularAutoregressive(smoothing=0.5).fit(LEVELS)
    np.testing.assert_allclose(model.log_density(SPACE), plain.log_density(SPACE), rtol=1e-12)
    assert tables(orders=[[2, 0, 1], [1, 0, 2]]).fit(LEVELS).orders_.tolist() == [
        [2, 0, 1],
        [1, 0, 2],
    ]


def test_unknown_values_are_summed_out_of_every_member() -> None:
    model = tables().fit(LEVELS)
    row = np.array([[np.nan, 1, np.nan]])
    p = np.exp(model.log_density(SPACE))
    assert np.exp(model.log_density(row))[0] == pytest.approx(p[SPACE[:, 1] == 1].sum(), rel=1e-12)


def test_given_values_weigh_the_members_by_their_evidence() -> None:
    """For every set of known columns, draws follow the mixture's own conditional."""
    model = tables().fit(LEVELS)
    p = np.exp(model.log_density(SPACE))
    for seed, known in enumerate(itertools.product([False, True], repeat=3)):
        given = np.where(known, LEVELS[0], np.nan)
        possible = (np.isnan(given) | (given == SPACE)).all(axis=1)
        drawn = model.sample(3_000, given=given, random_state=seed)
        if all(known):
            np.testing.assert_array_equal(drawn, np.tile(LEVELS[0], (3_000, 1)))
            continue
        place = {tuple(row): i for i, row in enumerate(SPACE[possible].tolist())}
        counts = np.bincount([place[tuple(r)] for r in drawn.tolist()], minlength=len(place))
        assert fits(counts, p[possible] / p[possible].sum())
    assert model.sample(0, given=[np.nan, 1, 2]).shape == (0, 3)


def test_what_a_member_cannot_sum_over_is_refused_before_any_is_walked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One order has the known column last; the mend names nothing that the mixture lacks."""
    X = np.random.default_rng(0).integers(0, 2, (60, 24))
    orders = [np.arange(24), np.arange(24)[::-1]]
    model = OrderMixture(ChainAutoregressive("marginal", random_state=0), orders=orders).fit(X)
    row = np.full((1, 24), np.nan)
    row[0, 0] = 1
    monkeypatch.setattr(ChainAutoregressive, "_log_density", None)  # nothing is walked
    monkeypatch.setattr(ChainAutoregressive, "step", None)
    for call in (lambda: model.log_density(row), lambda: model.sample(2, given=row[0])):
        with pytest.raises(ModelError, match=r"23 unknown .* members_\[1\].*log_evidence") as said:
            call()
        assert "method=" not in str(said.value)
    wide = OrderMixture(TabularAutoregressive(0.5), orders=orders).fit(X)  # tables always can
    alone = [m.log_density(row[:, o])[0] for m, o in zip(wide.members_, orders)]
    wanted = np.log(np.mean(np.exp(alone)))
    assert wide.log_density(row)[0] == pytest.approx(wanted, rel=1e-12)


def test_an_impossible_condition_is_refused() -> None:
    model = OrderMixture(TabularAutoregressive(), n_orders=2, random_state=0).fit([[0, 0], [1, 1]])
    with pytest.raises(ModelError, match="probability 0 under this model"):
        model.sample(3, given=[0, 1])


def test_text_levels() -> None:
    model = OrderMixture(TabularAutoregressive(), n_orders=2, random_state=0).fit(WORDS)
    drawn = model.sample(30, random_state=0)
    assert {tuple(r) for r in drawn.tolist()} <= {tuple(r) for r in WORDS.tolist()}


def test_members_differ_in_their_seeds_and_see_validation_rows() -> None:
    chain = ChainAutoregressive("logistic", n_components=0, n_raced=1)
    model = OrderMixture(chain, n_orders=2, random_state=0).fit(LEVELS, X_val=LEVELS[:20])
    assert model.members_[0].random_state != model.members_[1].random_state
    member, order = model.members_[0], model.orders_[0]
    assert member.validation_score_ == pytest.approx(member.score(LEVELS[:20][:, order]), rel=1e-9)
    again = OrderMixture(chain, n_orders=2, random_state=0).fit(LEVELS, X_val=LEVELS[:20])
    np.testing.assert_array_equal(again.log_density(LEVELS), model.log_density(LEVELS))


def test_a_loaded_mixture_can_be_fitted_again(tmp_path: Any) -> None:
    chain = ChainAutoregressive("logistic", n_components=2, n_raced=1)
    model = OrderMixture(chain, n_orders=2, random_state=0).fit(LEVELS)
    again = ancestral.load(model.save(tmp_path / "mixture"))
    np.testing.assert_array_equal(again.sample(9, random_state=1), model.sample(9, random_state=1))
    assert again.model.get_params() == chain.get_params()
    np.testing.assert_array_equal(again.fit(LEVELS).log_density(SPACE), model.log_density(SPACE))


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ([[0, 1, 1]], r"orders\[0\] is no permutation of 0 to 2: it holds 1 twice"),
        ([[0, 1, 2], [0, 1, 3]], r"orders\[1\] is no permutation of 0 to 2: it holds 3\."),
        ([[0, 1]], r"3 column numbers; got shape \(1, 2\)"),
        (np.zeros((0, 3)), r"got shape \(0, 3\)"),
        ([0, 1, 2], "orders must have 2 dimensions"),
        ([["a", "b", "c"]], "orders holds"),
    ],
)
def test_what_is_no_permutation_is_named(orders: Any, message: str) -> None:
    with pytest.raises(ancestral.AncestralError, match=message):
        tables(orders=orders).fit(LEVELS)


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ModelError, match="has no order to vary"):
        OrderMixture(PPCA(1)).fit(LEVELS)
    with pytest.raises(ModelError, match="takes no validation rows"):
        tables().fit(LEVELS, X_val=LEVELS)
    with pytest.raises(ModelError, match="got weights as well"):
        tables().fit(LEVELS, weights=LEVELS)
    with pytest.raises(ModelError, match="n_orders"):
        tables(n_orders=0).fit(LEVELS)
    with pytest.raises(DataError, match=r"X holds 9 at row 0, column 1"):
        tables().fit(LEVELS).log_density([[0, 9, 0]])
