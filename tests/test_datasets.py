"""Built-in data: what they are, that they are stable, and that their truths can be recovered."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import datasets
from ancestral.errors import AncestralError, DataError, DataTypeError, MissingExtraError, ModelError


def test_icons_are_distinct_binary_and_named():
    images, names = datasets.icons()
    assert images.dtype == np.uint8 and images.shape == (32, 25)
    assert set(np.unique(images)) == {0, 1}
    assert len(np.unique(images, axis=0)) == len(set(names)) == 32


def test_icons_are_row_major_with_the_top_row_first():
    images, names = datasets.icons()
    up, down = (images[names.index(name)].reshape(5, 5) for name in ("up", "down"))
    left, right = (images[names.index(name)].reshape(5, 5) for name in ("left", "right"))
    np.testing.assert_array_equal(up, down[::-1])
    np.testing.assert_array_equal(left, right[:, ::-1])
    np.testing.assert_array_equal(up, left.T)
    assert up[1].tolist() == [0, 1, 1, 1, 0]


def test_icons_handed_out_are_copies():
    datasets.icons()[0][:] = 7
    assert datasets.icons()[0].max() == 1


def test_faces_are_the_first_hundred_of_lfw_cropped():
    skimage_data = pytest.importorskip("skimage.data")
    faces = datasets.faces()
    assert faces.shape == (100, 576) and faces.dtype == np.float64
    assert faces.min() >= 0 and faces.max() <= 1
    source = skimage_data.lfw_subset()
    np.testing.assert_array_equal(faces[99].reshape(24, 24), source[99, :24, :24])


def test_olivetti_faces_keep_their_mean_grey(monkeypatch):
    class Bunch:
        images = np.random.default_rng(0).random((3, 64, 64)).astype(np.float32)

    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", lambda: Bunch)
    faces = datasets.faces(source="olivetti")
    assert faces.shape == (3, 576)
    np.testing.assert_allclose(faces.mean(axis=1), Bunch.images.mean(axis=(1, 2)), rtol=1e-6)


def test_a_failed_download_names_the_mend(monkeypatch):
    def fail():
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", fail)
    with pytest.raises(AncestralError, match=r'no route to host.*source="lfw"'):
        datasets.faces(source="olivetti")


def test_an_unknown_source_and_a_missing_extra_are_named(core_only):
    with pytest.raises(DataError, match="got 'mnist'"):
        datasets.faces(source="mnist")
    with pytest.raises(MissingExtraError, match=r"pip install \"ancestral\[report\]\""):
        datasets.faces()


def _newton(s: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of e on (s, 1) and its standard errors, independent of the package."""
    D = np.stack([s, np.ones_like(s)], axis=1)
    theta = np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-D @ theta))
        information = (D * (p * (1 - p))[:, None]).T @ D
        theta = theta + np.linalg.solve(information, D.T @ (e - p))
    return theta, np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize(("slope", "intercept"), [(5.5, -5.4), (-2.0, 0.5)])
def test_classrooms_have_the_slope_and_intercept_they_claim(slope, intercept):
    graphs = datasets.classrooms(300, slope=slope, intercept=intercept, random_state=1)
    pair = np.triu_indices(15, 1)
    s = np.concatenate([(g.features @ g.features.T)[pair] for g in graphs])
    e = np.concatenate([g.adjacency[pair] for g in graphs])
    theta, error = _newton(s, e)
    assert np.all(np.abs(theta - [slope, intercept]) < 4 * error)
    assert error[0] < 0.2


def test_classrooms_are_simple_graphs_with_features_in_the_cube():
    graphs = datasets.classrooms(20, n_nodes=7, n_features=4)
    assert len(graphs) == 20
    for graph in graphs:
        E = np.asarray(graph.adjacency)
        assert graph.features.shape == (7, 4) and np.abs(graph.features).max() <= 1
        assert E.shape == (7, 7) and (E == E.T).all() and not np.diag(E).any()
        assert set(np.unique(E)) <= {0, 1}


def test_classrooms_repeat_with_a_seed_and_differ_without():
    def edges(seed):
        return np.stack([g.adjacency for g in datasets.classrooms(5, random_state=seed)])

    np.testing.assert_array_equal(edges(3), edges(3))
    assert (edges(3) != edges(4)).any()
    assert datasets.classrooms(0) == []


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_graphs": -1}, ModelError, "n_graphs"),
        ({"n_nodes": 0}, ModelError, "n_nodes"),
        ({"n_features": 2.5}, ModelError, "n_features"),
        ({"slope": float("nan")}, ModelError, "slope"),
        ({"random_state": "seed"}, DataTypeError, "random_state"),
    ],
)
def test_classrooms_refuse_bad_parameters(arguments, error, words):
    with pytest.raises(error, match=words):
        datasets.classrooms(**arguments)


def test_diabetes_is_in_its_original_units_and_line_is_its_bmi():
    X, y, names = datasets.diabetes()
    assert X.shape == (442, 10) and y.shape == (442,) and len(names) == 10
    assert X[:, 0].min() >= 19 and X[:, 0].max() <= 79  # years
    x, target, name = datasets.line()
    assert name == ["bmi"] and x.shape == (442, 1)
    np.testing.assert_array_equal(x[:, 0], X[:, names.index("bmi")])
    np.testing.assert_array_equal(target, y)
