"""Tables are read as a stream and equal the dense ones (B32 to B40)."""

import gzip
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from ancestral.autoregressive.tables import Tables
from ancestral.errors import DataError, FormatError
from ancestral.io import cpts as module
from ancestral.io import read_tables
from tests.io import hostile_files as hostile

LEVELS = [(2,) * 9, (3, 2, 5, 2), (5,), (1, 2, 1, 3), (2, 3, 4, 5, 2, 3)]


def same(a, b, tolerance=0.0):
    assert len(a.contexts) == len(b.contexts)
    for x, y in zip(a.contexts, b.contexts):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(a.probabilities, b.probabilities):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


def dump(folder, value, protocol=4, pack=gzip.compress):
    path = folder / "t.pkl.gz"
    path.write_bytes(pack(pickle.dumps(value, protocol=protocol)))
    return path


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4"])
def test_stream_equals_dense(tmp_path, levels, protocol, dtype):
    dense = [table.astype(dtype) for table in hostile.dense_tables(levels)]
    path = dump(tmp_path, dense, protocol)
    same(read_tables(path), Tables.from_dense(dense))


@pytest.mark.parametrize("piece", [1, 3, 7, 8, 17, 64, 1000])
def test_rows_cut_by_the_end_of_a_piece(tmp_path, piece, monkeypatch):
    dense = hostile.dense_tables((3, 2, 5, 2, 3))
    monkeypatch.setattr("ancestral.io.sources._PIECE", piece)
    for protocol in (4, 5):
        same(read_tables(dump(tmp_path, dense, protocol)), Tables.from_dense(dense))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_fortran_order_and_mixed_types_give_the_same(tmp_path, protocol):
    dense = hostile.dense_tables((2, 3, 4, 2))
    mixed = [np.asfortranarray(t) if i % 2 else t.astype("<f4") for i, t in enumerate(dense)]
    same(read_tables(dump(tmp_path, mixed, protocol)), Tables.from_dense(mixed))
    fortran = [np.asfortranarray(t) for t in dense]
    same(read_tables(dump(tmp_path, tuple(fortran), protocol)), Tables.from_dense(dense))


def test_npz_in_natural_order(tmp_path):
    dense = hostile.dense_tables((2,) * 11)
    dense[3] = np.asfortranarray(dense[3])
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "t.npz", *dense)
        same(read_tables(tmp_path / "t.npz"), Tables.from_dense(dense))


def test_npz_members_of_odd_names_have_an_order(tmp_path):
    dense = hostile.dense_tables((2, 2, 2))
    for names in (("²", "é", "٣"), ("a", "a" + "9" * 5000, "a1" + "0" * 5000)):
        np.savez(tmp_path / "t.npz", **dict(zip(names, dense)))
        same(read_tables(tmp_path / "t.npz"), Tables.from_dense(dense))


def test_memory_is_that_of_the_reachable_rows(tmp_path):
    levels = (2,) * 20  # 16 MiB dense, one reachable row a table
    dense = hostile.dense_tables(levels, zeros=1.0)
    path = dump(tmp_path, dense)
    del dense
    tracemalloc.start()
    tables = read_tables(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tables.n_contexts == 20
    assert peak < 3 << 20


def spoil(index, place, value):
    def act(dense):
        dense[index][place] = value

    return act


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((0, 0), [0.5, 0.6], r"table 2, prefix \(0, 0\).*1\.1"),  # B32
        ((0, 0), [-0.1, 1.1], r"table 2, prefix \(0, 0\)"),  # B34
        ((0, 1), [np.nan, np.nan], r"table 2, prefix \(0, 1\)"),  # B36
        ((0, 1), [np.nan, 1.0], r"table 2, prefix \(0, 1\)"),  # B37
        ((0, 1), [np.inf, 0.0], r"table 2, prefix \(0, 1\)"),
    ],
)
def test_B32_to_B37_reachable_row_is_no_distribution(tmp_path, place, value, words, protocol):
    dense = hostile.dense_tables((2, 2, 2, 2), zeros=0.0)
    dense[2][place] = value
    with pytest.raises(DataError, match=words):
        read_tables(dump(tmp_path, dense, protocol))


def test_B33_sums_off_by_1e_7_are_scaled(tmp_path):
    dense = hostile.dense_tables((2, 2), zeros=0.0)
    dense[1][0] *= 1 + 1e-7
    read = read_tables(dump(tmp_path, dense))
    assert abs(read.probabilities[1].sum(axis=1) - 1).max() < 1e-15
    dense[1][0] *= 1 + 1e-5
    with pytest.raises(DataError, match="table 1"):
        read_tables(dump(tmp_path, dense))


def test_B35_unreachable_rows_are_never_read(tmp_path):
    dense = [np.array([1.0, 0.0]), np.array([[0.5, 0.5], [np.nan, 7.0]])]
    assert read_tables(dump(tmp_path, dense)).n_contexts == 2


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_B39_wrong_shape_missing_table_order_swapped(tmp_path, protocol):
    dense = hostile.dense_tables((2, 2, 3))
    first, second, third = dense
    for wrong in ([second, third], [second, first], [first, third], [first, np.ones((3, 2))]):
        with pytest.raises((DataError, FormatError), match="expected"):
            read_tables(dump(tmp_path, wrong, protocol))


OTHERS = [[], {}, 3, [1, 2], [np.array([0.5, 0.5]), 3], {"a": np.ones(1)}, np.ones(1)]


@pytest.mark.parametrize("value", OTHERS)
def test_other_contents_are_refused(tmp_path, value):
    with pytest.raises((DataError, FormatError), match=r"expected|no table"):
        read_tables(dump(tmp_path, value))


def test_too_many_reachable_prefixes_are_refused(tmp_path):
    dense = hostile.dense_tables((2,) * 14, zeros=0.0)
    path = dump(tmp_path, dense)
    with pytest.raises(FormatError, match="max_bytes"):
        read_tables(path, max_bytes=1 << 18)
    same(read_tables(path), Tables.from_dense(dense))


def test_collector_forgets_unreachable_rows():
    collector = module.Collector("x", 1 << 20)
    collector.collect((2,), np.dtype("<f8"), [np.array([0.0, 1.0]).tobytes()])
    assert collector.ids.tolist() == [1] and collector.prefixes.tolist() == [[1]]


def test_reading_loads_no_model(tmp_path):
    """NumPy and an inflater are all it takes: the rest would cost more than the reading."""
    path = dump(tmp_path, hostile.dense_tables((2, 2, 3)))
    script = (
        "import sys; from ancestral import read_tables; read_tables(sys.argv[1]);"
        "print(*[name for name in ('sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
