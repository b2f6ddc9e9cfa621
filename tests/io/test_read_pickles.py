"""Pickles that are well are read as they are; those that are not stand in tests/trust."""

import gzip
import pickle

import numpy as np
import pytest

from ancestral.errors import FormatError
from ancestral.io import read_array, read_graphs, read_tables
from ancestral.io.pickles import read_pickle
from ancestral.io.sources import Source


def load(path, **caps):
    with Source(path, max_bytes=1 << 28) as source:
        return read_pickle(source, **caps)


def put(folder, content, name="file.pkl"):
    path = folder / name
    path.write_bytes(content)
    return path


VALUES = {
    "numbers": [1, -5, 2**70, -(2**70), 1.5, True, False, None, 255, 65535, 2**31 - 1],
    "text": {"a": "é", "b": b"\x00\xff", "c": ("x", "", b""), 3: [()]},
    "array": np.arange(12.0).reshape(3, 4),
    "large": np.arange(40_000.0).reshape(2, -1),
    "graph": [(np.eye(3), np.ones((3, 3), np.int32)), (np.eye(2), np.zeros((2, 2), bool))],
    "scalar": [np.float64(1.5), np.int32(3), np.bool_(True)],
    "shared": [np.ones(3)] * 2,
    "kinds": [np.ones(3, t) for t in "?bhilBHILefd"],
    "odd": [np.zeros((0, 3)), np.ones(()), np.asfortranarray(np.arange(6.0).reshape(2, 3))],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_what_numpy_and_python_write_is_read_back(tmp_path, name, protocol):
    value = VALUES[name]
    path = put(tmp_path, pickle.dumps(value, protocol=protocol))
    if protocol < 3 and b"\nbytes\n" in path.read_bytes():
        with pytest.raises(FormatError, match="bytes"):  # only empty bytes are spelt so
            load(path)
        return
    np.testing.assert_equal(load(path), value)


def test_arrays_are_native_writable_and_keep_their_dtype(tmp_path):
    for n in (3, 30_000):
        given = [np.arange(n, dtype=t) for t in ("<f4", ">f8", ">i2")]
        read = load(put(tmp_path, pickle.dumps(given)))
        for g, r in zip(given, read):
            assert r.dtype == g.dtype.newbyteorder("=") and r.flags.writeable
            np.testing.assert_array_equal(g, r)


def test_one_byte_string_named_twice_gives_two_arrays(tmp_path):
    head = b"\x80\x05\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93\x94"
    dtype = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f8\x89\x88\x87R\x94"
    data = b"\x8e" + (80_000).to_bytes(8, "little") + np.arange(1e4).tobytes() + b"\x94"
    call = b"h\x00h\x02h\x01M\x10\x27\x85\x8c\x01C"
    program = head + dtype + data + b"0" * 3 + b"(" + (b"h\x00(" + call[2:] + b"tR") * 2 + b"t."
    first, second = load(put(tmp_path, program))
    first[0] = -1
    assert second[0] == 0


def test_gzip_members_and_padding_are_one_file(tmp_path):
    raw = pickle.dumps(np.arange(5.0))
    joined = gzip.compress(raw[:50]) + gzip.compress(raw[50:]) + b"\0" * 100
    np.testing.assert_array_equal(read_array(put(tmp_path, joined)), np.arange(5.0))
    with pytest.raises(FormatError, match="follow"):
        read_array(put(tmp_path, gzip.compress(raw) + b"more"))
    with pytest.raises(FormatError, match="follow"):
        read_array(put(tmp_path, raw + raw))


READERS = [read_array, read_tables, read_graphs, load]


def test_expansion_is_capped_in_bytes_not_ratio(tmp_path):
    path = put(tmp_path, gzip.compress(pickle.dumps(np.zeros(1 << 18))), "x.pkl.gz")
    assert read_array(path).size == 1 << 18
    with pytest.raises(FormatError, match=r"max_bytes = 1\.0 MiB"):
        read_array(path, max_bytes=1 << 20)


def test_small_file_cannot_build_much(tmp_path):
    array = b"\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93"
    dtype = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f8\x89\x88\x87R"
    head = b"\x80\x05]" + array + b"q\x00" + dtype + b"q\x01B" + (64000).to_bytes(4, "little")
    head += bytes(64000) + b"q\x020" + b"0" + b"0"
    once = b"h\x00(h\x02h\x01M\x40\x1f\x85\x8c\x01CtRa"
    path = put(tmp_path, head + once * 50 + b".")
    refusal = pytest.raises(FormatError, match="together exceed max_bytes")
    with Source(path, max_bytes=1 << 20) as source, refusal:
        read_pickle(source)
    with pytest.raises(FormatError, match="more than 100 objects"):
        load(put(tmp_path, pickle.dumps(list(range(1000)))), max_nodes=100)
