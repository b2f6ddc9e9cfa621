"""Pickles and gzip: read as data to their last byte, nothing they name is run (A4 to A16, A21)."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ancestral.errors import AncestralError
from ancestral.io import read_array, read_graphs, read_tables
from tests.io import hostile_files as hostile
from tests.trust.files import OF_PICKLES, put, refuse
from tests.trust.guard import limited, refused, warned

GRAPH = [(np.eye(3), np.ones((3, 3), np.int32)), (np.eye(2), np.zeros((2, 2), bool))]
SYSTEM = (r"would run \w+\.system", "only numpy arrays, lists, tuples, dicts, numbers and str")


def test_a4_a_pickle_cut_anywhere(tmp_path: Path) -> None:
    whole = pickle.dumps(GRAPH)
    cut = r"ends early, at byte|promises .* at byte"
    for n in (len(whole) // 2, *range(2, len(whole), 41)):
        path = put(tmp_path, "a.pkl", whole[:n])
        refuse(path, cut, "copy it again", readers=(read_array, read_graphs))
        refuse(path, cut + "|expected", readers=read_tables, kind=AncestralError)


@pytest.mark.parametrize("kept", ["no_trailer", "half_trailer", "half"])
def test_a5_gzip_that_ends_early(tmp_path: Path, kept: str) -> None:
    for value, read in (
        (np.random.default_rng(0).random(5000), read_array),
        (hostile.dense_tables((2,) * 9), read_tables),
        (GRAPH, read_graphs),
    ):
        whole = gzip.compress(pickle.dumps(value))
        stop = {"no_trailer": -8, "half_trailer": -4, "half": len(whole) // 2}[kept]
        path = put(tmp_path, "a.pkl.gz", whole[:stop])
        refuse(path, "gzip ends early, after", "copy it again", readers=read)


@pytest.mark.parametrize("at", [-8, -5, -4, -1])
def test_a6_gzip_of_wrong_crc_or_length(tmp_path: Path, at: int) -> None:
    for value, read in (
        (np.zeros(5000), read_array),
        (hostile.dense_tables((2,) * 9), read_tables),
        (GRAPH, read_graphs),
    ):
        whole = bytearray(gzip.compress(pickle.dumps(value)))
        whole[at] ^= 1
        refuse(put(tmp_path, "a.pkl.gz", bytes(whole)), "CRC", "copy it again", readers=read)


def test_a7_gzip_in_gzip(tmp_path: Path) -> None:
    twice = gzip.compress(gzip.compress(pickle.dumps(np.zeros(5))))
    refuse(put(tmp_path, "a.pkl.gz", twice), "gzipped twice: gunzip once", readers=OF_PICKLES)


def test_a8_a_raw_pickle_named_gz_is_read_with_one_warning(tmp_path: Path) -> None:
    path = put(tmp_path, "a.pkl.gz", pickle.dumps(np.arange(3.0)))
    read = warned(lambda: read_array(path), r"a\.pkl\.gz", "not gzipped")
    np.testing.assert_array_equal(read, np.arange(3.0))
    dense = hostile.dense_tables((2, 3), zeros=0.0)
    path = put(tmp_path, "t.pkl.gz", pickle.dumps(dense))
    tables = warned(lambda: read_tables(path), r"t\.pkl\.gz", "not gzipped")
    np.testing.assert_array_equal(tables.probabilities[1], dense[1])


def test_a9_a_pickle_calling_os_system(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name, content in hostile.calling_system(marker).items():
        if name.startswith("bare"):
            refuse(put(tmp_path, "a.pkl", content), *SYSTEM, readers=OF_PICKLES)
            assert not marker.exists()


def test_a10_the_same_hidden_in_a_list_and_gzipped(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    files = hostile.calling_system(marker)
    for name in ("hidden", "hidden_gzipped"):
        refuse(put(tmp_path, "a.pkl", files[name]), *SYSTEM, readers=(read_array, read_graphs))
    path = put(tmp_path, "a.pkl", files["in_array"])
    refuse(path, "object dtype|would run", readers=OF_PICKLES, kind=AncestralError)
    assert not marker.exists()


def gadget(tmp_path: Path, name: str) -> None:
    """A gadget must be refused by name, and leave no marker."""
    marker = tmp_path / "marker"
    content, words = hostile.gadgets(marker)[name]
    path = put(tmp_path, "a.pkl", content)
    refuse(path, words, "np.savez|save its fields", kind=AncestralError)
    refuse(path, readers=OF_PICKLES, kind=AncestralError)
    refuse(put(tmp_path, "a.pkl.gz", gzip.compress(content)), words, kind=AncestralError)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.pkl", "a.pkl.gz"]


@pytest.mark.parametrize("name", ["eval", "exec2", "getattr", "import", "inst"])
def test_a11_python_functions_by_name(tmp_path: Path, name: str) -> None:
    gadget(tmp_path, name)


@pytest.mark.parametrize("name", ["numpy_load", "runstring", "f2py", "matrix", "ndarray_called"])
def test_a12_gadgets_inside_numpy(tmp_path: Path, name: str) -> None:
    gadget(tmp_path, name)


@pytest.mark.parametrize("name", ["dotted", "dotted_module"])
def test_a13_dotted_names(tmp_path: Path, name: str) -> None:
    gadget(tmp_path, name)


@pytest.mark.parametrize("name", hostile.MALFORMED)
def test_a14_bad_states_missing_memo_keys_persistent_ids(tmp_path: Path, name: str) -> None:
    gadget(tmp_path, name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", hostile.huge_claims())
def test_a15_lengths_claimed_but_not_there(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    path = put(tmp_path, "a.pkl", pack(hostile.huge_claims()[name]))
    for read in OF_PICKLES:
        refused(lambda: read(path), r"a\.pkl", "[Cc]opy it again|max_bytes=", memory=4 << 20)  # noqa: B023


@pytest.mark.parametrize("name", ["lists", "tuples", "dicts"])
def test_a16_nested_100_000_deep(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, "a.pkl", hostile.nested(100_000)[name])
    for read in OF_PICKLES:
        refused(lambda: read(path), r"a\.pkl", "nested more than 64 deep", memory=None)  # noqa: B023
    if name == "dicts":  # the largest of the three
        last = limited("from ancestral.io import read_array", "read_array(sys.argv[1])", str(path))
        assert last.startswith("ancestral.errors.FormatError")


def test_a16_more_objects_than_any_file_of_arrays_has(tmp_path: Path) -> None:
    path = put(tmp_path, "a.pkl", b"\x80\x04](" + b"]" * 1_000_000 + b"e.")
    words = ("more than 500,000 objects", r"np\.save")
    refused(lambda: read_array(path), r"a\.pkl", *words, memory=None)


def test_a21_gzip_of_zeros_stops_at_the_first_bytes(tmp_path: Path) -> None:
    path = put(tmp_path, "a.pkl.gz", hostile.gzip_of_zeros(256 << 20))
    refuse(path, "no pickle instruction", "byte 1", "Copy it again", readers=OF_PICKLES)
    program = "for read in (read_array, read_tables, read_graphs):\n    read(sys.argv[1])"
    last = limited("from ancestral.io import *", program, str(path), memory=64 << 20)
    assert last.startswith("ancestral.errors.FormatError")
