"""Curves and maps of the autoregressive, PPCA, likelihood and regression figures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ancestral import PPCA, viz
from ancestral.errors import DataError

HISTORY = [{"step": k, "loss": 3.258 + 14 * np.exp(-k / 25)} for k in range(1, 200)]


def test_training_curve_draws_the_loss_its_floor_and_the_excess(draw):
    loss, excess = draw(viz.training_curve(HISTORY, 3.258, unit="image")).axes
    assert "nats per image" in loss.get_ylabel() and excess.get_xlabel() == "optimiser step"
    assert excess.get_yscale() == "log"
    np.testing.assert_allclose(
        excess.lines[0].get_ydata(), [r["loss"] - 3.258 for r in HISTORY], rtol=1e-9
    )
    assert np.all(np.asarray(loss.lines[1].get_ydata()) == 3.258)


def test_names_of_a_training_curve_stand_beside_the_curves(draw):
    step = range(1, 2000, 20)
    history = [
        {"step": s, "loss": 3.78 + np.exp(-s / 300), "validation_loss": 3.8 + np.exp(-s / 280)}
        for s in step
    ]
    figure = draw(viz.training_curve(history, 3.7719))
    top = figure.axes[0]
    low, high = top.get_ylim()
    assert 3.0 < low < 3.7719 and high < 6  # the curve fills the axes
    (floor,) = top.texts
    end = top.transData.transform((0, 3.7719))[1]
    assert top.bbox.y0 <= floor.get_window_extent().y0 and floor.get_window_extent().y1 <= end
    assert top.get_legend().get_window_extent().y0 >= top.bbox.y1 - 1


def test_training_curve_takes_a_model_and_leaves_out_what_a_log_axis_cannot_show(draw):
    model = SimpleNamespace(history_=[*HISTORY, {"step": 200, "loss": 3.2}])
    _, excess = draw(viz.training_curve(model, 3.258)).axes
    assert len(excess.lines[0].get_xdata()) == len(HISTORY)
    with pytest.raises(DataError, match='"loss"'):
        viz.training_curve([{"step": 1}], 3.0)


def test_step_entropies_sum_to_the_entropy(draw):
    values = np.zeros(25)
    values[:5] = 1.0
    heat = viz.step_entropies(values, (5, 5))
    draw(heat)
    assert heat.get_title().startswith("H(x) = 5.0000 bits = 3.4657 nats")
    assert [t.get_text() for t in heat.texts].count("0") == 20
    bars = viz.step_entropies(values)
    draw(bars)
    assert [bar.get_height() for bar in bars.patches] == values.tolist()
    with pytest.raises(DataError, match="negative"):
        viz.step_entropies([-0.1, 0.2])
    with pytest.raises(DataError, match="does not hold"):
        viz.step_entropies(values, (4, 5))


def test_spectrum_counts_zero_eigenvalues_and_takes_a_model(draw):
    lam = np.array([4.0, 2.0, 1.0, 0.5, 0.0, 1e-17])
    model = PPCA(2)
    model.eigenvalues_, model.noise_variance_, model.components_ = lam, 0.375, np.eye(2, 6)
    ax = viz.spectrum(model)
    draw(ax)
    assert ax.lines[0].get_ydata().tolist() == [4.0, 2.0]
    assert ax.lines[1].get_ydata().tolist() == [1.0, 0.5]
    assert "2 of 6" in ax.get_legend().get_title().get_text()
    with pytest.raises(DataError, match="needed"):
        viz.spectrum(lam)
    with pytest.raises(DataError, match="above 0"):
        viz.spectrum(lam, 0.0, 2)


def test_latent_ellipses_have_the_covariance_given(draw):
    rng = np.random.default_rng(0)
    C = np.array([[0.9, 0.2], [0.2, 0.4]])
    Z = rng.multivariate_normal([0, 0], C, size=200)
    ax = viz.latent_scatter(Z, C)
    draw(ax)
    assert ax.get_aspect() == 1.0
    points = ax.lines[3].get_xydata() - Z.mean(axis=0)  # the ellipse at two standard deviations
    distance = np.einsum("ij,jk,ik->i", points, np.linalg.inv(C), points)
    np.testing.assert_allclose(distance, 4.0)
    np.testing.assert_allclose(np.hypot(*ax.lines[2].get_xydata().T), 2.0)
    with pytest.raises(DataError, match="two columns"):
        viz.latent_scatter(np.zeros((4, 3)), np.eye(3))
    with pytest.raises(DataError, match="no negative variance"):
        viz.latent_scatter(Z, [[1.0, 2.0], [2.0, 1.0]])


def test_errors_and_heldout_curves(draw):
    ax = viz.reconstruction_error([16, 32, 64], [0.07, 0.05, 0.03])
    draw(ax)
    assert [t.get_text() for t in ax.texts] == ["0.0700", "0.0500", "0.0300"]
    ax = viz.heldout_curve([2, 4, 8, 16, 32, 64], np.arange(6.0), [0, 2, 3, 4, 3, 1], 16)
    draw(ax)
    assert ax.get_xlabel() == "latent dimension d"
    with pytest.raises(DataError, match="chosen must be one"):
        viz.heldout_curve([1, 2], [0, 1], [0, 1], 3)
    with pytest.raises(DataError, match="equal lengths"):
        viz.reconstruction_error([1, 2], [0.1])


def _quadratic(a, b):
    return -50.0 * (2 * (a - 5.5) ** 2 + 2 * (a - 5.5) * (b + 5.4) + (b + 5.4) ** 2)


def test_contour_levels_are_chi_square_quantiles(draw):
    from scipy.stats import chi2

    from ancestral.viz.likelihood import CONFIDENCE, DROPS

    np.testing.assert_allclose(DROPS, chi2.ppf(CONFIDENCE, df=2) / 2)
    ax = viz.likelihood_contour(
        _quadratic, (5.0, 6.0), (-6.0, -4.8), maximum=(5.5, -5.4), standard_errors=(0.1, 0.15)
    )
    draw(ax)
    drawn = [c for c in ax.collections if hasattr(c, "levels")]
    np.testing.assert_allclose(drawn[1].levels, DROPS)


def test_contour_takes_a_grid_a_path_and_a_history(draw):
    a, b = np.linspace(0, 8, 30), np.linspace(-8, 1, 40)
    grid = _quadratic(a[None, :], b[:, None])
    path = [{"a": t * 5.5, "b": t * -5.4, "log_likelihood": 0.0} for t in np.linspace(0, 1, 9)]
    ax = viz.likelihood_contour(grid, a, b, path=path)
    draw(ax)
    line = next(line for line in ax.lines if len(line.get_xdata()) == 9)
    np.testing.assert_allclose(line.get_xdata(), [row["a"] for row in path])
    draw(viz.likelihood_contour(grid, a, b, path=[(0, 0), (5.5, -5.4)]))
    with pytest.raises(DataError, match="must be"):
        viz.likelihood_contour(grid.T, a, b)
    with pytest.raises(DataError, match="must rise"):
        viz.likelihood_contour(_quadratic, (1, 0), (0, 1))


def test_ascent_curve_measures_from_the_final_value(draw):
    ax = viz.ascent_curve([{"log_likelihood": v} for v in (-10.0, -4.0, -3.0)])
    draw(ax)
    assert ax.lines[0].get_ydata().tolist() == [7.0, 1.0]
    ax = viz.ascent_curve(np.array([-10.0, -4.0]), final=-3.5)
    draw(ax)
    assert ax.lines[0].get_ydata().tolist() == [6.5, 0.5]


def test_density_shade_is_the_gaussian_density(draw):
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 10, (80, 1))
    y = 2 * X[:, 0] + rng.normal(size=80)
    figure = viz.density_shade(lambda x: (2 * x[:, 0], 1.0), X, y)
    draw(figure)
    left, _, right = figure.axes
    density = left.images[0].get_array()
    assert density.max() == pytest.approx(1 / np.sqrt(2 * np.pi), rel=0.01)
    _, _, y0, y1 = left.images[0].get_extent()
    column = density[:, density.shape[1] // 2].sum() * (y1 - y0) / (density.shape[0] - 1)
    assert column == pytest.approx(1.0, abs=0.01)  # it integrates to one at every x
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()


def test_density_shade_takes_a_model_and_refuses_what_has_no_density(draw):
    class Line:
        def predict(self, X, *, return_std):
            assert return_std
            return X[:, 0], 0.5 + 0.1 * np.abs(X[:, 0])

    x = np.linspace(-2, 2, 9)
    draw(viz.density_shade(Line(), x, x, x_label="x (m)", y_label="y (s)"))
    with pytest.raises(DataError, match="zero residual"):
        viz.density_shade(lambda X: (X[:, 0], 0.0), x, x)
    with pytest.raises(DataError, match="one column"):
        viz.density_shade(Line(), np.zeros((4, 2)), np.zeros(4))
