"""Which data a report takes: the folder's files, built-in data for the rest."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral import datasets
from ancestral.errors import AncestralError, DataError, FormatError
from ancestral.inputs import find_sources
from ancestral.report.summarise import summarise_graphs, summarise_linear, summarise_ppca

pytest.importorskip("skimage", reason="built-in faces are an extra")


def origins(sources):
    return {name: source["origin"] for name, source in sources.described().items()}


def test_without_a_folder_all_data_are_built_in():
    assert set(origins(find_sources(None)).values()) == {"built-in"}


def test_each_file_takes_its_place(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "eigenfaces.npy", rng.integers(0, 256, (30, 8, 6), dtype=np.uint8))
    (tmp_path / "pairs.csv").write_text(
        "y,a,b\n" + "".join(f"{a + b:.3f},{a},{b}\n" for a, b in rng.normal(size=(20, 2)))
    )
    sources = find_sources(tmp_path)
    assert origins(sources) == {
        "tables": "built-in",
        "faces": "eigenfaces.npy",
        "graphs": "built-in",
        "regression": "pairs.csv",
        "line": "pairs.csv",
    }
    faces = sources.faces.data
    assert faces.shape == (8, 6) and faces.grey_range == (0.0, 255.0)
    pairs = sources.regression.data
    assert (pairs.target, pairs.names) == ("y", ["a", "b"])
    numbers = summarise_ppca(sources).numbers
    assert numbers["m"] == 48
    assert summarise_linear(sources).numbers["n"] == 20


def test_graphs_with_two_features_are_summarised(tmp_path):
    arrays = {}
    for k, graph in enumerate(datasets.classrooms(30, n_features=2, slope=3.0, intercept=-1.0)):
        arrays[f"features_{k}"], arrays[f"adjacency_{k}"] = graph.features, graph.adjacency
    np.savez(tmp_path / "my_graphs.npz", **arrays)
    sources = find_sources(tmp_path)
    assert origins(sources)["graphs"] == "my_graphs.npz"
    assert summarise_graphs(sources).numbers["n_features"] == 2


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: None, FormatError, "no such folder"),
        (lambda p: p.write_text("x"), FormatError, "is a file"),
        (lambda p: p.mkdir(), DataError, "holds none of the files"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, error, words):
    folder = tmp_path / "data"
    make(folder)
    with pytest.raises(error, match=words):
        find_sources(folder)


@pytest.mark.parametrize("shape", [(3,), (4, 7), (2, 3, 4, 5)])
def test_arrays_that_are_no_images(tmp_path, shape):
    np.save(tmp_path / "eigenfaces.npy", np.ones(shape))
    with pytest.raises(AncestralError, match=r"eigenfaces\.npy"):
        find_sources(tmp_path)


def test_a_damaged_file_is_named_not_skipped(tmp_path):
    (tmp_path / "image_cpts.pkl.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(FormatError, match="image_cpts"):
        find_sources(tmp_path)


def test_data_that_no_model_can_learn_from_are_refused_early_by_name(tmp_path):
    np.save(tmp_path / "eigenfaces.npy", np.ones((9, 4, 4)))
    with pytest.raises(DataError, match=r"eigenfaces\.npy: all its 9 images"):
        find_sources(tmp_path)
    np.save(tmp_path / "eigenfaces.npy", np.eye(3)[:, [0, 1, 2, 0]])
    with pytest.raises(DataError, match=r"eigenfaces\.npy: holds 3 images"):
        find_sources(tmp_path)
    (tmp_path / "eigenfaces.npy").unlink()
    features, adjacency = np.ones((4, 1)), np.zeros((4, 4), int)
    np.savez(tmp_path / "my_graphs.npz", features=features, adjacency=adjacency)
    with pytest.raises(AncestralError, match=r"my_graphs\.npz"):
        find_sources(tmp_path)


def test_the_target_is_chosen(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,4\n2,2,3\n3,5,1\n")
    assert find_sources(tmp_path, target="a").line.data.target == "a"
    with pytest.raises(DataError, match="no column 'd'"):
        find_sources(tmp_path, target="d")
    with pytest.raises(DataError, match="needs a table"):
        find_sources(None, target="a")
