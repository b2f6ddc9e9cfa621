"""Pickles are read as data: what the file names is never run (A4 to A16 of the catalogue)."""

import contextlib
import gzip
import pickle
import tracemalloc

import numpy as np
import pytest

from ancestral.errors import AncestralError, AncestralWarning, DataTypeError, FormatError
from ancestral.io import read_array, read_graphs, read_tables
from ancestral.io.files import Source
from ancestral.io.pickles import read_pickle
from tests.io import hostile_files as hostile


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


def test_A4_pickle_cut_anywhere(tmp_path):
    whole = pickle.dumps(VALUES["graph"])
    for n in range(1, len(whole), 7):
        with pytest.raises(FormatError, match=r"ends early|promises|cut short"):
            load(put(tmp_path, whole[:n]))


@pytest.mark.parametrize("kind", ["no_trailer", "half_trailer", "half"])
def test_A5_gzip_ends_early(tmp_path, kind):
    whole = gzip.compress(pickle.dumps(np.random.default_rng(0).random(5000)))
    cut = {"no_trailer": whole[:-8], "half_trailer": whole[:-4], "half": whole[: len(whole) // 2]}
    for read in (read_array, load):
        with pytest.raises(FormatError, match="gzip ends early"):
            read(put(tmp_path, cut[kind], "x.pkl.gz"))


@pytest.mark.parametrize("at", [-8, -5, -4, -1])
def test_A6_gzip_of_wrong_crc_or_length(tmp_path, at):
    whole = bytearray(gzip.compress(pickle.dumps(np.zeros(5000))))
    whole[at] ^= 1
    with pytest.raises(FormatError, match="CRC"):
        read_array(put(tmp_path, whole, "x.pkl.gz"))


def test_A7_gzip_in_gzip(tmp_path):
    twice = gzip.compress(gzip.compress(pickle.dumps(np.zeros(5))))
    with pytest.raises(FormatError, match="gzipped twice: gunzip once"):
        read_array(put(tmp_path, twice, "x.pkl.gz"))


def test_A8_raw_pickle_named_gz_is_read_with_one_warning(tmp_path):
    path = put(tmp_path, pickle.dumps(np.arange(3.0)), "x.pkl.gz")
    with pytest.warns(AncestralWarning, match="not gzipped") as caught:
        np.testing.assert_array_equal(read_array(path), np.arange(3.0))
    assert len(caught) == 1
    path = put(tmp_path, pickle.dumps(hostile.dense_tables((2, 3))), "t.pkl.gz")
    with pytest.warns(AncestralWarning) as caught:
        read_tables(path)
    assert len(caught) == 1


def test_gzip_members_and_padding_are_one_file(tmp_path):
    raw = pickle.dumps(np.arange(5.0))
    joined = gzip.compress(raw[:50]) + gzip.compress(raw[50:]) + b"\0" * 100
    np.testing.assert_array_equal(read_array(put(tmp_path, joined)), np.arange(5.0))
    with pytest.raises(FormatError, match="follow"):
        read_array(put(tmp_path, gzip.compress(raw) + b"more"))
    with pytest.raises(FormatError, match="follow"):
        read_array(put(tmp_path, raw + raw))


READERS = [read_array, read_tables, read_graphs, load]


@pytest.mark.parametrize("read", READERS)
def test_A9_A10_pickle_calling_os_system(tmp_path, read):
    marker = tmp_path / "marker"
    for name, content in hostile.calling_system(marker).items():
        with pytest.raises(AncestralError, match=r"posix\.system|object dtype") as caught:
            read(put(tmp_path, content))
        if name != "in_array":
            assert "only numpy arrays, lists, tuples, dicts, numbers and str" in str(caught.value)
        assert not marker.exists()


@pytest.mark.parametrize("name", hostile.gadgets(None))
def test_A11_to_A14_gadgets(tmp_path, name):
    marker = tmp_path / "marker"
    content, words = hostile.gadgets(marker)[name]
    for read in READERS:
        with pytest.raises(AncestralError) as caught:
            read(put(tmp_path, content))
        assert not marker.exists()
        if read is load:
            assert words in str(caught.value)


@pytest.mark.parametrize("name", hostile.huge_claims())
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_A15_lengths_claimed_but_not_there(tmp_path, name, pack):
    path = put(tmp_path, pack(hostile.huge_claims()[name]))
    tracemalloc.start()
    with pytest.raises(FormatError):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("name", ["lists", "tuples"])
def test_A16_nested_100_000_deep(tmp_path, name):
    with pytest.raises(FormatError, match="nested more than"):
        load(put(tmp_path, hostile.nested(100_000)[name]))


def test_A17_A34_arrays_of_other_than_real_numbers(tmp_path):
    others = [
        np.array([{}, None], object), np.ones(2, complex), np.array(["a"]), np.array([b"a"]),
        np.zeros(2, "M8[D]"), np.zeros(2, "m8[s]"), np.zeros(2, [("a", "f8")]),
        np.ones(2, np.longdouble),
    ]  # fmt: skip
    for array in others:
        for protocol in (2, 4, 5):
            with pytest.raises(AncestralError) as caught:
                load(put(tmp_path, pickle.dumps([array], protocol=protocol)))
            if array.dtype.kind != "V":
                assert isinstance(caught.value, DataTypeError), (array.dtype, protocol)


def test_A21_gzip_of_zeros_stops_at_the_first_bytes(tmp_path):
    path = put(tmp_path, gzip.compress(bytes(1 << 24), 9), "x.pkl.gz")
    with pytest.raises(FormatError, match="no pickle instruction"):
        load(path)


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


def test_any_byte_changed_gives_a_value_or_one_of_our_errors(tmp_path):
    whole = pickle.dumps([(np.eye(2), np.ones((2, 2), np.int32)), {"a": [1, 2.5, "b"]}])
    rng = np.random.default_rng(0)
    for _ in range(3000):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        with contextlib.suppress(AncestralError):
            load(put(tmp_path, changed))
