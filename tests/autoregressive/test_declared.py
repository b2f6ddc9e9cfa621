"""Levels that are declared: kept in their order, unused ones too, wherever they are declared."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

import ancestral
from ancestral import ChainAutoregressive, LSTMAutoregressive, OrderMixture, TabularAutoregressive
from ancestral.errors import DataError
from ancestral.streaming import fit_chunks

SKY = ["sun", "rain", "snow"]  # not in the order of letters; no row holds snow
WORDS = np.array([["sun", "no"], ["rain", "yes"], ["sun", "yes"], ["rain", "yes"]] * 5)
NUMBERS = (WORDS == "yes").astype(int)
MAKERS = {
    "tables": lambda **k: TabularAutoregressive(smoothing=0.5, **k),
    "chain": lambda **k: ChainAutoregressive("logistic", n_components=0, random_state=0, **k),
    "orders": lambda **k: OrderMixture(
        TabularAutoregressive(smoothing=0.5), n_orders=2, random_state=0, **k
    ),
    "lstm": lambda **k: LSTMAutoregressive(4, 1, max_steps=5, random_state=0, **k),
}


@pytest.fixture(params=sorted(MAKERS))
def make(request: Any) -> Any:
    if request.param == "lstm":
        pytest.importorskip("torch")
    return MAKERS[request.param]


def frames() -> list[Any]:
    """Return the same rows as frames whose types declare the levels of the first column."""
    made = []
    pd = pytest.importorskip("pandas")
    sky = pd.Categorical(WORDS[:, 0].tolist(), categories=SKY)
    made.append(pd.DataFrame({"sky": sky, "wet": WORDS[:, 1].tolist()}))
    pl = pytest.importorskip("polars")
    enum = pl.Series(WORDS[:, 0].tolist(), dtype=pl.Enum(SKY))
    made.append(pl.DataFrame({"sky": enum, "wet": WORDS[:, 1].tolist()}))
    pa = pytest.importorskip("pyarrow")
    codes = pa.array([SKY.index(v) for v in WORDS[:, 0].tolist()], pa.int32())
    dictionary = pa.DictionaryArray.from_arrays(codes, pa.array(SKY))
    made.append(pa.table({"sky": dictionary, "wet": WORDS[:, 1].tolist()}))
    arrow = pd.array(dictionary, dtype=pd.ArrowDtype(dictionary.type))
    made.append(pd.DataFrame({"sky": arrow, "wet": WORDS[:, 1].tolist()}))
    return made


def space_sums_to_one(model: Any) -> float:
    rows = np.array([[s, w] for s in model.categories_[0] for w in model.categories_[1]])
    names = getattr(model, "feature_names_in_", None)
    X = rows if names is None else pytest.importorskip("pandas").DataFrame(rows, columns=names)
    return float(np.exp(model.log_density(X)).sum())


def test_declared_levels_are_kept_and_possible(make: Any) -> None:
    for model in (
        make(categories=[SKY, None]).fit(WORDS),
        *(make().fit(frame) for frame in frames()),
    ):
        assert model.categories_[0].tolist() == SKY
        assert model.categories_[1].tolist() == ["no", "yes"]
        assert space_sums_to_one(model) == pytest.approx(1.0, abs=1e-9)
        unknown = np.array([[np.nan, "yes"]], dtype=object)
        if model._frame_in is not None:
            unknown = pytest.importorskip("pandas").DataFrame(unknown, columns=["sky", "wet"])
        p = next(iter(model.marginals(unknown).values()))[0]
        assert 0 < p[2] < 0.5  # snow, of which no row was
        given = ["snow", None] if model._frame_in is None else {"sky": "snow"}
        drawn = np.asarray(model.sample(3, given=given, random_state=0), dtype=object)
        assert drawn[:, 0].tolist() == ["snow"] * 3


def test_a_declared_level_has_the_probability_that_smoothing_gives() -> None:
    model = TabularAutoregressive(smoothing=1.0, categories=[SKY, None]).fit(WORDS)
    # 10 suns, 10 rains, 0 snows, one more of each; after snow every word is as likely.
    assert np.exp(model.log_density([["snow", "yes"]]))[0] == pytest.approx(1 / 23 / 2)
    assert TabularAutoregressive(categories=[SKY, None]).fit(WORDS).log_density(
        [["snow", "yes"]]
    ) == [-np.inf]


@pytest.mark.parametrize("kind", ["mapping", "by number", "numbers", "flags", "a type"])
def test_ways_to_declare(kind: str) -> None:
    pd = pytest.importorskip("pandas")
    if kind == "mapping":
        frame = pd.DataFrame(WORDS, columns=["sky", "wet"])
        model = TabularAutoregressive(1.0, {"sky": SKY}).fit(frame)
        assert model.categories_[0].tolist() == SKY
    elif kind == "by number":
        assert TabularAutoregressive(1.0, {0: SKY}).fit(WORDS).categories_[0].tolist() == SKY
    elif kind == "numbers":
        model = TabularAutoregressive(1.0, [[3, 1, 0], np.arange(4.0)]).fit(NUMBERS)
        assert [known.tolist() for known in model.categories_] == [[3, 1, 0], [0, 1, 2, 3]]
        np.testing.assert_array_equal(model.sample(50, random_state=0) >= 0, True)
        assert space_of_numbers(model) == pytest.approx(1.0)
    elif kind == "flags":
        model = TabularAutoregressive(1.0, [[True, False], None]).fit(NUMBERS == 1)
        assert model.categories_[0].tolist() == [True, False]
    else:
        model = TabularAutoregressive(1.0, [pd.CategoricalDtype(SKY), None]).fit(WORDS)
        assert model.categories_[0].tolist() == SKY


def space_of_numbers(model: Any) -> float:
    rows = np.array([[a, b] for a in model.categories_[0] for b in model.categories_[1]])
    return float(np.exp(model.log_density(rows)).sum())


def test_every_declaration_can_be_kept_in_a_file(tmp_path: Any) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(WORDS, columns=["sky", "wet"])
    for X, categories in (
        (WORDS, {0: SKY}),
        (WORDS, {0: pd.Index(SKY)}),
        (WORDS, [np.array(SKY), None]),
        (frame, {"sky": pd.CategoricalDtype(SKY)}),
        (frame, {"sky": tuple(SKY), "wet": {"yes", "no"}}),
        (NUMBERS, [range(3), np.arange(2)]),
    ):
        for model in (
            TabularAutoregressive(0.5, categories),
            OrderMixture(TabularAutoregressive(0.5, categories), 2, random_state=0),
        ):
            again = ancestral.load(model.fit(X).save(tmp_path / "model"))
            np.testing.assert_array_equal(again.log_density(X), model.log_density(X))
            refitted = again.fit(X)
            assert all(map(np.array_equal, refitted.categories_, model.categories_))


def test_levels_stay_declared_in_files_parts_and_draws(tmp_path: Any) -> None:
    frame = frames()[0]
    whole = TabularAutoregressive(smoothing=0.5).fit(frame)
    parts = fit_chunks(TabularAutoregressive(smoothing=0.5), [frame[:7], frame[7:]])
    loaded = ancestral.load(whole.save(tmp_path / "model"))
    for model in (parts, loaded):
        assert model.categories_[0].tolist() == SKY
        np.testing.assert_array_equal(model.log_density(frame), whole.log_density(frame))
        assert model.sample(3)["sky"].dtype == frame["sky"].dtype
    again = whole.fit(whole.sample(50, random_state=0))
    assert again.categories_[0].tolist() == SKY


def test_a_type_speaks_for_its_part_alone() -> None:
    """Levels of later parts come after those that the first declares; `categories=` is final."""
    frame = frames()[0]
    later = frame.assign(sky=["hail", *frame["sky"][1:]]).astype({"sky": "category"})
    model = fit_chunks(TabularAutoregressive(smoothing=0.5), [frame, later])
    assert model.categories_[0].tolist() == [*SKY, "hail"]
    assert model.sample(3)["sky"].cat.categories.tolist() == [*SKY, "hail"]
    with pytest.raises(DataError, match="'hail' at row 0"):
        fit_chunks(TabularAutoregressive(categories={"sky": SKY}), [frame, later])


def test_categories_go_before_the_types() -> None:
    frame = frames()[0]
    model = TabularAutoregressive(1.0, {"sky": ["hail", *SKY]}).fit(frame)
    drawn = model.sample(400, random_state=0)
    assert drawn["sky"].cat.categories.tolist() == ["hail", *SKY]
    assert (drawn["sky"] == "hail").any()


def test_a_polars_categorical_declares_nothing() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": pl.Series(["b", "a", "b", "a"], dtype=pl.Categorical)})
    model = TabularAutoregressive().fit(frame)
    assert model.categories_[0].tolist() == ["a", "b"]
    assert model.sample(2).schema == frame.schema


def test_searches_over_smoothing_give_numbers() -> None:
    """A level that only one row holds is missing from the training rows of one fold."""
    rare = np.vstack([WORDS, [["snow", "yes"]]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = TabularAutoregressive(categories=[SKY, None])
        search = GridSearchCV(made, {"smoothing": [0.1, 1.0]}, cv=3).fit(rare)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(rare, columns=["sky", "wet"]).astype("category")
        assert np.isfinite(cross_val_score(TabularAutoregressive(0.5), frame, cv=3)).all()
        mixture = OrderMixture(TabularAutoregressive(0.5), 2, random_state=0)
        assert np.isfinite(cross_val_score(mixture, frame, cv=3)).all()


@pytest.mark.parametrize(
    ("categories", "words"),
    [
        ({"ski": SKY}, "'ski', which is no column of X: those are 'sky', 'wet'"),
        ([SKY], "1 entries, and X has 2 columns"),
        ("abc", "holds no levels"),
        ({"sky": "abc"}, "column 'sky' are 'abc': give a list"),
        ({"sky": []}, "none: declare one or more"),
        ({"sky": ["sun", "sun", "rain"]}, "'sun' more than once"),
        ({"sky": ["sun", 1]}, "hold .sun. beside 1"),
        ({"sky": [0.5, 1]}, "hold 0.5"),
        ({"sky": ["sun", None]}, 'missing="level"'),
        ({"sky": ["sun", float("nan")]}, 'missing="level"'),
        ({"sky": ["sun", "hail"]}, "'rain' at row 1, column 'sky', a level that is not declared"),
        (3, "holds no levels"),
        ({"sky": [2**70]}, "64 bits"),
    ],
)
def test_odd_declarations_are_refused(categories: Any, words: str) -> None:
    frame = pytest.importorskip("pandas").DataFrame(WORDS, columns=["sky", "wet"])
    with pytest.raises(DataError, match=words):
        TabularAutoregressive(categories=categories).fit(frame)


def test_an_undeclared_level_says_what_to_do() -> None:
    frame = pytest.importorskip("pandas").DataFrame(WORDS, columns=["sky", "wet"])
    model = TabularAutoregressive(1.0).fit(frame)
    for call in (
        lambda: model.log_density(frame.assign(sky="hail")),
        lambda: model.sample(given={"sky": "hail"}),
    ):
        with pytest.raises(DataError, match=r"hail at .*column 'sky'.*categories="):
            call()


# ---- missing answers as a level ------------------------------------------------------------------


HOLES = [["sun", "no"], [None, "yes"], ["rain", "yes"], ["sun", "no"], [None, "no"]]


def with_level(X: Any, **parameters: Any) -> TabularAutoregressive:
    return TabularAutoregressive(0.5, missing="level", **parameters).fit(X)


def test_missing_answers_are_refused_with_the_mend_or_count_as_a_level() -> None:
    with pytest.raises(DataError, match=r"NaN at row 1, column 0; .*missing=\"level\""):
        TabularAutoregressive().fit(HOLES)
    with pytest.raises(DataError, match=r'NaN at row 0, column 0; .*missing="level"'):
        TabularAutoregressive().fit([[np.nan], [1.0]])
    model = with_level(HOLES)
    assert model.categories_[0].tolist() == ["rain", "sun", None]
    rows = [[s, w] for s in ("rain", "sun", None) for w in ("no", "yes")]
    assert np.exp(model.log_density(rows)).sum() == pytest.approx(1.0)
    # two of five answers are missing, half a count more for each of three levels
    p = np.exp(model.log_density([[None, "no"], [None, "yes"]])).sum()
    assert p == pytest.approx(2.5 / 6.5)
    with pytest.raises(ancestral.AncestralError, match='must be "refuse" or "level"'):
        TabularAutoregressive(missing="drop").fit(HOLES)


def test_numbers_with_missing_answers_stay_numbers(tmp_path: Any) -> None:
    X = np.array([[0, 1.0], [np.nan, 1], [1, 0], [0, 0]])
    model = with_level(X)
    drawn = model.sample(200, random_state=0)
    assert drawn.dtype == np.float64 and np.isnan(drawn[:, 0]).any()
    assert not np.isnan(drawn[:, 1]).any()
    again = ancestral.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.log_density(X), model.log_density(X))
    np.testing.assert_array_equal(model.impute(X), X)  # there is nothing unknown in them
    parts = TabularAutoregressive(0.5, missing="level")
    parts.partial_fit(X[2:]).partial_fit(X[:2])
    np.testing.assert_array_equal(parts.log_density(X), model.log_density(X))


def test_what_a_condition_names_is_known_and_may_be_missing() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(HOLES, columns=["sky", "wet"])
    model = with_level(frame)
    drawn = model.sample(30, given={"wet": "no"}, random_state=0)
    assert set(drawn["wet"]) == {"no"} and drawn["sky"].isna().any() and drawn["sky"].notna().any()
    assert model.sample(30, given={"sky": None}, random_state=0)["sky"].isna().all()
    row = model.sample(30, given=[None, "no"], random_state=0)  # of a row, what is unknown
    assert row["sky"].notna().any()
    again = with_level(drawn)
    assert again.categories_[0].tolist()[-1] is None


def test_a_column_without_missing_answers_sums_them_out() -> None:
    model = with_level(HOLES)
    whole = np.exp(model.log_density([["sun", "no"], ["sun", "yes"]])).sum()
    assert np.exp(model.log_density([["sun", None]]))[0] == pytest.approx(whole)


def test_a_mixture_of_orders_counts_them_as_its_model_does() -> None:
    model = OrderMixture(TabularAutoregressive(0.5, missing="level"), n_orders=3, random_state=0)
    model.fit(HOLES)
    rows = [[s, w] for s in ("rain", "sun", None) for w in ("no", "yes")]
    assert np.exp(model.log_density(rows)).sum() == pytest.approx(1.0)


def test_types_of_frames_come_back_with_their_gaps() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "c": pd.Categorical(["a", None, "b", "a"], categories=["b", "a", "z"]),
            "I": pd.array([1, None, 2, 1], dtype="Int64"),
            "B": pd.array([True, False, None, True], dtype="boolean"),
            "f": [0.0, np.nan, 1.0, 0.0],
            "s": ["x", None, "y", "x"],
        }
    )
    drawn = with_level(frame).sample(300, random_state=0)
    assert drawn.dtypes.tolist() == frame.dtypes.tolist()
    assert drawn.isna().any().all()
