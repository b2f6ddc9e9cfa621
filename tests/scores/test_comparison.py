"""Floors, bits and comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import PPCA, ChainAutoregressive, LatentTree, TabularAutoregressive, scores
from ancestral.errors import DataError, DataTypeError, ModelError


def test_the_floor_is_the_loss_of_the_best_model() -> None:
    X = np.random.default_rng(0).integers(0, 3, size=(200, 4))
    model = TabularAutoregressive().fit(X)
    assert scores.entropy_floor(X) == pytest.approx(-model.score(X), rel=1e-12)
    assert scores.entropy_floor(X) == pytest.approx(model.entropy_, rel=1e-12)


def test_the_gap_and_the_mass_on_the_rows_are_exact() -> None:
    """By hand: rows 00, 00, 11; smoothed by 1, so p(00) = 3/5 3/4, p(11) = 2/5 2/3."""
    X = np.array([[0, 0], [0, 0], [1, 1]])
    model = TabularAutoregressive(smoothing=1.0).fit(X)
    p, share = np.array([0.45, 4 / 15]), np.array([2 / 3, 1 / 3])
    assert scores.support_mass(model, X) == pytest.approx(p.sum(), rel=1e-12)
    kl = (share * np.log(share / p)).sum()
    assert scores.kl_from_data(model, X) == pytest.approx(kl, rel=1e-12)
    learnt = TabularAutoregressive().fit(X)
    assert scores.kl_from_data(learnt, X) == pytest.approx(0.0, abs=1e-15)
    assert scores.support_mass(learnt, X) == pytest.approx(1.0, abs=1e-15)
    assert scores.kl_from_data(learnt, np.array([[0, 1]])) == np.inf
    for function in (scores.kl_from_data, scores.support_mass):
        with pytest.raises(ModelError, match="PPCA has a density"):
            function(PPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3))), X)


def test_bits_of_fair_coins_are_one() -> None:
    X = np.array(list(np.ndindex(2, 2, 2)))
    assert scores.bits_per_dimension(TabularAutoregressive().fit(X), X) == pytest.approx(1.0)
    with pytest.raises(ModelError, match="bits per dimension are for discrete models"):
        scores.bits_per_dimension(PPCA(0).fit(X + 0.0), X)


def test_n12_bits_count_known_values_only() -> None:
    """One fair bit known of ten columns takes one bit; and by hand over a mixed table."""
    X = np.random.default_rng(0).integers(0, 2, (40, 10))
    X = np.concatenate([X, 1 - X])  # every column is fair
    model = TabularAutoregressive().fit(X)
    row = np.full((1, 10), np.nan)
    for j in (0, 9):
        one = row.copy()
        one[0, j] = 1
        assert scores.bits_per_dimension(model, one) == pytest.approx(1.0, rel=1e-12)
    rows = np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.nan, X)
    rows[0] = np.nan  # of which nothing is known counts for nothing
    wanted = -model.log_density(rows).sum() / np.log(2) / (~np.isnan(rows)).sum()
    assert scores.bits_per_dimension(model, rows) == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(DataError, match="no value of X is known"):
        scores.bits_per_dimension(model, row)


def test_comparison_is_paired_and_best_first() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) * [5.0, 1.0, 1.0]
    models = {"isotropic": PPCA(0).fit(X[:200]), "one axis": PPCA(1).fit(X[:200])}
    result = scores.compare(models, X[200:])
    assert result.names == ["one axis", "isotropic"]
    a, b = (models[name].log_density(X[200:]) for name in result.names)
    assert result.behind[1] == pytest.approx((a - b).mean())
    assert result.behind_errors[1] == pytest.approx((a - b).std(ddof=1) / np.sqrt(200))
    assert result.behind[0] == result.behind_errors[0] == 0
    with pytest.raises(DataError, match="models is empty"):
        scores.compare({}, X)


# ---- leaving one out ---------------------------------------------------------------------------


def test_what_cannot_be_compared_is_refused_before_it_is_scored() -> None:
    X = np.random.default_rng(0).integers(0, 2, (30, 3))  # which either model takes
    tables, ppca = TabularAutoregressive(1.0).fit(X), PPCA(1).fit(X)
    with pytest.raises(ModelError, match="tables gives probabilities of levels, ppca gives dens"):
        scores.compare({"tables": tables, "ppca": ppca}, X)
    for models in (tables, [tables, tables]):
        with pytest.raises(DataTypeError, match="give fitted models by name"):
            scores.compare(models, X)  # type: ignore[arg-type]


def test_each_baseline_is_the_fit_to_the_other_rows() -> None:
    """Against refits: the tables' own smoothing, and tables of one variable each."""
    X = np.random.default_rng(0).integers(0, 3, size=(40, 4))
    X[:3] = [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2]]  # every level twice or more
    X[3:6] = X[:3]
    result = scores.leave_one_out({"tables": TabularAutoregressive(smoothing=0.5)}, X)
    assert result.names == ["tables", "uniform", "independent", "smoothed tables"]
    np.testing.assert_allclose(result.rows[0], result.rows[3], rtol=1e-12)
    np.testing.assert_allclose(result.rows[1], 4 * np.log2(3), rtol=1e-12)
    for i in (0, 7):
        others = np.delete(X, i, axis=0)
        alone = [TabularAutoregressive(smoothing=0.5).fit(others[:, [j]]) for j in range(4)]
        nats = sum(model.log_density(X[[i]][:, [j]])[0] for j, model in enumerate(alone))
        assert result.rows[2, i] == pytest.approx(-nats / np.log(2), rel=1e-12)
    np.testing.assert_allclose(result.bits, result.rows.mean(axis=1))
    np.testing.assert_allclose(result.standard_errors, result.rows.std(axis=1, ddof=1) / 40**0.5)


def test_what_only_memorises_is_said_plainly() -> None:
    coins = np.random.default_rng(1).integers(0, 2, size=(30, 8))
    memory = scores.leave_one_out({"memory": TabularAutoregressive()}, coins)
    assert memory.bits[0] == np.inf
    assert memory.verdict.startswith("Nothing generalises")
    leaning = (np.random.default_rng(2).random((60, 8)) < 0.1).astype(int)
    result = scores.leave_one_out({"memory": TabularAutoregressive()}, leaning)
    assert result.verdict.startswith("No model beats the baselines, of which 'independent'")
    assert scores.leave_one_out({}, leaning).verdict.startswith("'independent' generalises")
    chained = np.repeat(np.random.default_rng(3).integers(0, 2, size=(60, 4)), 2, axis=1)
    chain = ChainAutoregressive("logistic", n_components=0, n_raced=1, random_state=0)
    result = scores.leave_one_out({"chain": chain}, chained[:, ::-1])
    assert result.verdict.startswith("'chain' generalises")


def test_a_level_of_one_row_alone_costs_a_model_everything() -> None:
    X = np.array([["a", "x"], ["a", "x"], ["b", "x"], ["a", "x"]])
    result = scores.leave_one_out({"tables": TabularAutoregressive(smoothing=1.0)}, X)
    assert np.isinf(result.rows[0, 2])
    assert np.isfinite(result.rows[1:]).all()
    with pytest.raises(DataError, match="1 row"):
        scores.leave_one_out({}, X[:1])
    with pytest.raises(DataError, match="no whole number"):
        scores.leave_one_out({}, [[0.5], [1.0]])
    with pytest.raises(DataError, match=r"Expected 2D array, got 1D array instead"):
        scores.leave_one_out({}, [0, 1])


def test_equal_rows_are_left_out_by_one_fit() -> None:
    fits = []

    class Counted(TabularAutoregressive):
        def fit(self, X, y=None):
            fits.append(len(X))
            return super().fit(X)

    X = [[0, 0], [1, 1], [0, 0], [0, 0]]
    result = scores.leave_one_out({"tables": Counted(smoothing=0.5)}, X)
    assert fits == [3, 3]
    np.testing.assert_allclose(result.rows[0], result.rows[3], rtol=1e-12)


@pytest.mark.parametrize("X", [[0.5, 1.0], [1, 0, 1], np.array([1, "a"], object)])
def test_the_floor_is_that_of_a_table(X: object) -> None:
    with pytest.raises(DataError, match=r"Expected 2D array, got 1D array instead"):
        scores.entropy_floor(X)


# ---- on screen ---------------------------------------------------------------------------------


def test_a_comparison_is_a_table_that_a_person_reads() -> None:
    pd = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(400, 3)) * [5.0, 1.0, 1.0]
    models = {"isotropic": PPCA(0).fit(X[:200]), "one\x1b axis": PPCA(1).fit(X[:200])}
    found = scores.compare(models, X[200:])
    lines = repr(found).splitlines()
    assert "in nats" in lines[0]
    assert lines[2].split("  ")[0] == "model" and lines[4].startswith("isotropic ")
    assert "'" not in repr(found) and "\x1b" not in repr(found) and "array" not in repr(found)
    assert all(len(cell.strip("-.")) <= 7 for cell in lines[4].split()[1:])
    frame = found.to_frame()
    assert isinstance(frame, pd.DataFrame) and list(frame["model"]) == found.names
    np.testing.assert_array_equal(frame["log density"], found.means)
    assert "<table" in found._repr_html_() and "\x1b" not in found._repr_html_()
    left_out = scores.leave_one_out({}, np.eye(8, dtype=int))
    assert left_out.verdict in repr(left_out)
    np.testing.assert_array_equal(left_out.to_frame()["bits"], left_out.bits)


# ---- measures ----------------------------------------------------------------------------------


def with_zeros(n: int, seed: int = 0) -> np.ndarray:
    """Two columns of numbers that go together, a third of the second exactly 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal([3.0, 5.0], 1.0, size=(n, 2))
    X[:, 1] += X[:, 0]
    X[rng.random(n) < 0.3, 1] = 0.0
    return X


def test_a_tree_with_atoms_is_not_compared_with_a_density_of_numbers() -> None:
    X = with_zeros(200)
    tree, ppca = LatentTree(2, 1, random_state=0).fit(X), PPCA(1).fit(X)
    assert tree.columns_[1]["atoms"].tolist() == [0.0]
    with pytest.raises(ModelError, match=r"for column 1, tree gives .* of 0, and ppca gives a d"):
        scores.compare({"tree": tree, "ppca": ppca}, X)
    other = LatentTree(1, 1, random_state=0).fit(with_zeros(200, 1) + np.array([0.0, 1.0]))
    with pytest.raises(ModelError, match=r"probabilities of 0, and other gives .* of 1:"):
        scores.compare({"tree": tree, "other": other}, X)


def test_models_of_one_measure_are_compared_whatever_their_kind() -> None:
    """Numbers without atoms beside PPCA, levels beside tables, trees of the same rows."""
    X = np.delete(with_zeros(300), 1, axis=1)
    X = np.column_stack([X, X[:, 0] + np.random.default_rng(1).normal(size=300)])
    tree = LatentTree(2, 1, random_state=0).fit(X)
    assert set(scores.compare({"tree": tree, "ppca": PPCA(1).fit(X)}, X).names) == {"tree", "ppca"}
    bits = (with_zeros(200)[:, :1] > [[2.0, 3.0, 4.0]]).astype(int)
    levels = {"tree": LatentTree(2, 1, random_state=0).fit(bits)}
    levels["tables"] = TabularAutoregressive(1.0).fit(bits)
    assert len(scores.compare(levels, bits).names) == 2
    zeros = with_zeros(200)
    trees = {str(k): LatentTree(k, 1, random_state=0).fit(zeros) for k in (1, 3)}
    assert scores.compare(trees, with_zeros(200, 2)).names[0] == "3"
    with pytest.raises(ModelError, match=r"for column 0, tables gives prob.*, and tree gives a d"):
        scores.compare(
            {"tables": levels["tables"], "tree": LatentTree(2, 1).fit(X[:, [0, 1, 1]])}, X
        )


def test_models_of_different_columns_are_told_by_name() -> None:
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(with_zeros(200), columns=["size", "rent"]).assign(rooms=[1, 2, 3, 4] * 50)
    trees = {
        name: LatentTree(1, 1, n_sweeps=1, random_state=0).fit(X[columns])
        for name, columns in (("one", ["size", "rent"]), ("other", ["size", "rooms"]))
    }
    with pytest.raises(ModelError, match=r"different columns: one alone knows 'rent'.*'rooms'"):
        scores.compare(trees, X[["size", "rent"]])
    whole = LatentTree(1, 1, n_sweeps=1, random_state=0).fit(X[["size", "rent"]] + 1.0)
    with pytest.raises(ModelError, match="for column 'rent', one gives"):
        scores.compare({"one": trees["one"], "whole": whole}, X[["size", "rent"]])
