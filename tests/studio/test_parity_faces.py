"""What the browser computes of arrays and faces is what Python computes, to 1e-6.

The page is sent directions and mean in float32: both sides compute with these. (Seven digits of
576 pixels leave six of a latent, by how the last ones are rounded.)
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal

from ancestral import PPCA
from ancestral.datasets import _area_average
from ancestral.studio.payload import packed
from ancestral.studio.rooms.faces import ROOM, Portraits, small, split
from ancestral.studio.shelf import Item

EXACT = 1e-6


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(3)


# ---- arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "int32"])
def test_arrays_arrive_as_they_were_sent(script, rng, dtype):
    sent = np.asfortranarray(rng.normal(100, 40, size=(3, 5)).clip(0, 255)).astype(dtype)
    got = script(
        "const { shape, data } = arrays.unpack(given); return [shape, [...data]];",
        packed(sent, dtype),
    )
    assert got[0] == [3, 5]
    np.testing.assert_array_equal(np.reshape(got[1], (3, 5)), sent)


def test_random_numbers_are_uniform_and_normal(script):
    """Chi-squared over 50 cells, and moments; a right generator fails once in 10,000 seeds."""
    uniform, normal = script(
        """
        const random = new arrays.Random(7);
        const pairs = [];
        for (let i = 0; i < 200; i++)
          for (let j = 0; j < 100; j++) pairs.push(arrays.uniformAt(5, i, j));
        return [pairs, [...random.normals(20000)]];
        """
    )
    counts = np.histogram(uniform, bins=50, range=(0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < chi2.ppf(1 - 1e-4, 49)
    assert min(uniform) > 0 and max(uniform) < 1
    grid = np.reshape(uniform, (200, 100))
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 4 / np.sqrt(19900)
    n = len(normal)
    assert abs(np.mean(normal)) < 3.9 / np.sqrt(n) and abs(np.var(normal) - 1) < 3.9 * np.sqrt(
        2 / n
    )


def test_images_are_averaged_as_python_averages(script, rng):
    image = rng.random((64, 64))
    A = _area_average(64, 24)
    got = script(
        "return [...arrays.areaAverage(given, [64, 64], [24, 24])];", image.ravel().tolist()
    )
    np.testing.assert_allclose(np.reshape(got, (24, 24)), A @ image @ A.T, atol=1e-12)


# ---- faces --------------------------------------------------------------------------------------

MODEL = """
    const [first, rest] = given.parts;
    const sent = faces.readModel(first.models[0]);
    const directions = faces.joined(sent.directions, images.fromRows(rest.directions[0]));
    const model = new ppca.Ppca({ ...sent, directions, d: given.d });
    const x = Float64Array.from(given.x ?? []);
"""


@pytest.fixture(scope="module")
def parts(studio):
    (subject,) = ROOM.subjects(studio.shelf)
    return [subject.make(), subject.later["rest"]()]


@pytest.fixture(scope="module", params=[1, 5, 16, 40])
def fit(request, faces):
    """A fit, but for the digits that are not sent."""
    model = copy.deepcopy(PPCA(request.param).fit(faces))
    model.mean_ = model.mean_.astype(np.float32).astype(np.float64)
    model.components_ = model.components_.astype(np.float32).astype(np.float64)
    spread = np.sqrt(model.eigenvalues_[: request.param] - model.noise_variance_)
    model.loadings_ = model.components_.T * spread
    return model


def test_faces_are_decoded_and_scored(script, parts, fit, faces, rng):
    d = fit.n_components_
    z, x = rng.normal(size=d), faces[int(rng.integers(len(faces)))].astype(np.float32)
    got = script(
        MODEL
        + """
        const { z, sd } = model.posterior(x);
        const face = [...model.decode(Float64Array.from(given.z))];
        const { noise, parameters } = model;
        const logDensity = model.logDensity(x);
        return { face, z: [...z], sd: [...sd], noise, parameters, logDensity };
        """,
        {"parts": parts, "d": d, "z": z.tolist(), "x": x.tolist()},
    )
    np.testing.assert_allclose(got["face"], fit.decode([z])[0], atol=EXACT)
    np.testing.assert_allclose(got["z"], fit.posterior_mean([x])[0], atol=EXACT)
    np.testing.assert_allclose(got["sd"], np.sqrt(np.diag(fit.posterior_covariance())), atol=EXACT)
    assert got["noise"] == pytest.approx(fit.noise_variance_, rel=EXACT)
    assert got["logDensity"] == pytest.approx(fit.log_density([x])[0], rel=EXACT)
    assert got["parameters"] == fit.n_parameters_


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_hidden_pixels_have_their_exact_conditional(script, parts, fit, faces, rng, share):
    """Against the normal's own formulas with the whole covariance."""
    x = faces[int(rng.integers(len(faces)))].astype(np.float32).astype(float)
    known = rng.random(len(x)) > share
    got = script(
        MODEL
        + """
        const found = model.given(x, given.known);
        return { mean: [...found.mean], sd: [...found.pixelSd()], z: [...found.z],
                 zsd: [...found.sd], logDensity: found.logDensity };
        """,
        {"parts": parts, "d": fit.n_components_, "x": x.tolist(), "known": known.tolist()},
    )
    C, mu = fit.get_covariance(), fit.mean_
    gain = np.linalg.solve(C[np.ix_(known, known)], C[np.ix_(known, ~known)]).T
    mean = x.copy()
    mean[~known] = mu[~known] + gain @ (x - mu)[known]
    rest = C[np.ix_(~known, ~known)] - gain @ C[np.ix_(known, ~known)]
    np.testing.assert_allclose(got["mean"], mean, atol=EXACT)
    np.testing.assert_allclose(np.array(got["sd"])[~known], np.sqrt(np.diag(rest)), atol=EXACT)
    assert not np.array(got["sd"])[known].any()
    marginal = multivariate_normal(mu[known], C[np.ix_(known, known)])
    assert got["logDensity"] == pytest.approx(marginal.logpdf(x[known]), rel=EXACT)
    W = fit.loadings_[known]
    M = W.T @ W + fit.noise_variance_ * np.eye(fit.n_components_)
    z = np.linalg.solve(M, W.T @ (x - mu)[known])
    np.testing.assert_allclose(got["z"], z, atol=EXACT)
    spread = np.sqrt(fit.noise_variance_ * np.diag(np.linalg.inv(M)))
    np.testing.assert_allclose(got["zsd"], spread, atol=EXACT)


def test_draws_of_hidden_pixels_fit_the_conditional(script, parts, faces):
    """Whitened draws are standard normal: a right sampler fails once in 10,000 seeds."""
    model, x = PPCA(5).fit(faces), faces[3]
    known = np.ones(576, bool)
    hidden = np.array([100, 101, 300, 471])
    known[hidden] = False
    draws = script(
        MODEL
        + """
        const found = model.given(x, given.known), random = new arrays.Random(11);
        return Array.from({ length: 3000 }, () => {
          const row = found.draw(random, { noisy: true });
          return given.hidden.map((i) => row[i]);
        });
        """,
        {
            "parts": parts,
            "d": 5,
            "x": x.tolist(),
            "known": known.tolist(),
            "hidden": hidden.tolist(),
        },
    )
    C, mu = model.get_covariance(), model.mean_
    gain = np.linalg.solve(C[np.ix_(known, known)], C[np.ix_(known, ~known)]).T
    mean = mu[hidden] + gain @ (x - mu)[known]
    rest = C[np.ix_(hidden, hidden)] - gain @ C[np.ix_(known, hidden)]
    white = np.linalg.solve(np.linalg.cholesky(rest), (np.array(draws) - mean).T)
    low, high = chi2.ppf([5e-5, 1 - 5e-5], white.size)
    assert low < (white**2).sum() < high
    assert (np.abs(white.mean(axis=1)) < 4.4 / np.sqrt(white.shape[1])).all()


def test_scores_for_every_d_are_those_of_separate_fits(parts, faces):
    train, out = split(faces)
    heldout = parts[1]["heldout"]
    for d in (1, 7, 30):
        assert heldout["d"][d - 1] == d
        assert heldout["score"][d - 1] == pytest.approx(PPCA(d).fit(train).score(out), rel=1e-9)


def test_standardised_pixels_are_drawn_scored_and_conditioned_in_their_own_units(
    script, faces, rng
):
    fit = PPCA(7, standardize=True).fit(faces)
    fit.mean_, fit.scale_ = (
        values.astype(np.float32).astype(float) for values in (fit.mean_, fit.scale_)
    )
    fit.components_ = fit.components_.astype(np.float32).astype(np.float64)
    spread = np.sqrt(fit.explained_variance_ - fit.noise_variance_)
    fit.loadings_ = fit.scale_[:, None] * fit.components_.T * spread
    shown = Portraits(faces, (24, 24), (0.0, 1.0), (Item.of_model("saved", fit),))
    z, x, known = rng.normal(size=7), faces[5], rng.random(576) > 0.4
    got = script(
        MODEL
        + """
        const found = model.given(x, given.known);
        return { face: [...model.decode(Float64Array.from(given.z))], z: [...model.posterior(x).z],
                 logDensity: model.logDensity(x), parameters: model.parameters,
                 mean: [...found.mean], sd: [...found.pixelSd()], marginal: found.logDensity };
        """,
        {
            "parts": [shown.first(), shown.rest()],
            "d": 7,
            "x": x.tolist(),
            "z": z.tolist(),
            "known": known.tolist(),
        },
    )
    C, mu = fit.get_covariance(), fit.mean_
    np.testing.assert_allclose(got["face"], fit.decode([z])[0], atol=EXACT)
    np.testing.assert_allclose(got["z"], fit.posterior_mean([x])[0], atol=10 * EXACT)
    assert got["parameters"] == fit.n_parameters_
    assert got["logDensity"] == pytest.approx(multivariate_normal(mu, C).logpdf(x), rel=EXACT)
    gain = np.linalg.solve(C[np.ix_(known, known)], C[np.ix_(known, ~known)]).T
    np.testing.assert_allclose(
        np.array(got["mean"])[~known], mu[~known] + gain @ (x - mu)[known], atol=10 * EXACT
    )
    rest = C[np.ix_(~known, ~known)] - gain @ C[np.ix_(known, ~known)]
    np.testing.assert_allclose(np.array(got["sd"])[~known], np.sqrt(np.diag(rest)), atol=10 * EXACT)
    marginal = multivariate_normal(mu[known], C[np.ix_(known, known)])
    assert got["marginal"] == pytest.approx(marginal.logpdf(x[known]), rel=EXACT)


def test_what_few_digits_cost_in_large_images(script, faces, rng):
    """Images in 8 bits, directions in 16: a face drawn differs by less than a grey of 255.

    Measured on the faces enlarged to 48 x 48, with noise added that no two pixels share.
    """
    X = np.kron(faces.reshape(-1, 24, 24), np.ones((2, 2))).reshape(-1, 48 * 48)
    X = (X + 0.02 * rng.normal(size=X.shape)).clip(0, 1)
    fit, z = PPCA(30).fit(X), rng.normal(size=30)
    got = script(
        """
        const directions = images.fromRows(given.directions);
        const x = images.fromRows(given.images).data;
        const { mean, eigenvalues, noise } = given;
        const model = new ppca.Ppca({ mean, directions, eigenvalues, noise, d: 30 });
        const posterior = model.posterior(x);
        return { face: [...model.decode(Float64Array.from(given.z))], z: [...posterior.z],
                 again: [...model.decode(posterior.z)], x: [...x] };
        """,
        {
            "directions": small(fit.components_),
            "images": small(X[:1], (0.0, 1.0)),
            "mean": fit.mean_.tolist(),
            "eigenvalues": fit.explained_variance_.tolist(),
            "noise": fit.noise_variance_,
            "z": z.tolist(),
        },
    )
    assert np.abs(got["x"] - X[0]).max() <= 0.5 / 255 + 1e-9
    assert np.abs(got["face"] - fit.decode([z])[0]).max() < 1e-4
    assert np.abs(got["again"] - fit.reconstruct(X[:1])[0]).max() < 1e-3
    posterior_sd = np.sqrt(np.diag(fit.posterior_covariance()))
    assert (np.abs(got["z"] - fit.posterior_mean(X[:1])[0]) < 0.1 * posterior_sd).all()
