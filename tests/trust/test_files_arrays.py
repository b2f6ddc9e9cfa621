"""Arrays in .npy and .npz: whole, cut, mislabelled and lying (A1 to A3, A17 to A39, A55, A56)."""

from __future__ import annotations

import gzip
import os
import pickle
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ancestral import PPCA, TabularAutoregressive, read_array
from ancestral.errors import AncestralError, DataError, DataTypeError
from ancestral.io import read_columns
from tests.io import hostile_files as hostile
from tests.trust.files import READERS, X, put, refuse
from tests.trust.guard import accepted, limited, refused

READ = "from ancestral.io import read_array"


@pytest.mark.parametrize(
    "name", ["a.npy", "a.npz", "a.pkl", "a.pkl.gz", "a.csv", "a.graphml", "a.parquet"]
)
def test_a1_zero_bytes(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, b"")
    refuse(path, r"file is empty \(0 bytes\)", "copy", readers=READERS)


def test_a2_npy_cut_in_half(tmp_path: Path) -> None:
    content = hostile.npy_bytes(np.zeros((2000, 10)))
    path = put(tmp_path, "a.npy", content[: len(content) // 2])
    refuse(path, r"promises 2000x10 float64 = 160,000 bytes, file has 79,936: copy it again")
    for n in range(1, 130, 9):
        refuse(put(tmp_path, "a.npy", content[:n]))
    path = put(tmp_path, "a.npy.gz", gzip.compress(content[: len(content) // 2]))
    refuse(path, "ends early", "copy it again")


def test_a3_npz_cut_in_half(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", X)
    content = (tmp_path / "b.npz").read_bytes()
    path = put(tmp_path, "a.npz", content[: len(content) // 2])
    refuse(path, "cut short", "copy it again")
    for n in range(4, len(content), 37):
        refuse(put(tmp_path, "a.npz", content[:n]))


def test_a17_object_arrays(tmp_path: Path) -> None:
    array = np.array([{}, 1], object)
    path = put(tmp_path, "a.npy", hostile.npy_bytes(array))
    np.savez(tmp_path / "a.npz", array)
    for file in (path, tmp_path / "a.npz", put(tmp_path, "a.pkl", pickle.dumps(array))):
        refuse(file, "object dtype: save as float64, or as .npz with one array", kind=DataTypeError)


def headers(path: Path, text: bytes, *says: str) -> None:
    """A header must be refused, alone and in an archive."""
    content = hostile.npy_with_header(text)
    refuse(put(path, "a.npy", content), *says)
    refuse(put(path, "a.npz", hostile.zip_bytes([("a.npy", content)])), *says)


def test_a18_a_header_that_claims_terabytes(tmp_path: Path) -> None:
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}"
    headers(tmp_path, text, r"promises 1000000x1000000 float64 = 8,000,000,000,000 bytes, file has")
    path = put(tmp_path, "a.npy.gz", gzip.compress(hostile.npy_with_header(text)))
    refuse(path, r"expands to at least 7\.3 TiB", "max_bytes")
    last = limited(READ, "read_array(sys.argv[1])", str(tmp_path / "a.npy"), memory=32 << 20)
    assert last.startswith("ancestral.errors.FormatError")


SHAPE = b"{'descr': '<f8', 'fortran_order': False, 'shape': %s}"
DAMAGED = {
    "negative": (SHAPE % b"(-3,)", r"impossible shape \(-3,\)"),
    "list": (b"['descr']", "not a dict"),
    "ascii": (SHAPE % b"(3,), '\xe9': 1", "not ASCII"),
    "code": (SHAPE % b"(__import__('os'),)", "not a literal"),
    "bool": (SHAPE % b"(True,)", "impossible shape"),
    "float": (SHAPE % b"(8.0,)", "impossible shape"),
    "extra": (SHAPE % b"(8,), 'x': 1", "not a dict of descr, fortran_order and shape"),
    "order": (b"{'descr': '<f8', 'fortran_order': 1, 'shape': (8,)}", "fortran_order is 1"),
    "dtype": (b"{'descr': '<f8,<f8', 'fortran_order': False, 'shape': (4,)}", "not a dtype"),
    "size": (b"{'descr': '<f7', 'fortran_order': False, 'shape': (4,)}", "not a numeric dtype"),
    "deep": (b"(" * 5000, "not a literal"),
    "overflow": (SHAPE % b"(0, 4611686018427387904)", "impossible shape"),
    "long": (b"{" + b" " * 20_000 + b"}", "header of 20002 bytes; at most"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a19_headers_that_are_none(tmp_path: Path, name: str) -> None:
    text, words = DAMAGED[name]
    headers(tmp_path, text, words, "copy|damaged|read")


def test_a19_versions_that_are_not_known(tmp_path: Path) -> None:
    content = bytearray(hostile.npy_bytes(X))
    content[6] = 4
    refuse(put(tmp_path, "a.npy", bytes(content)), r"version 4\.0 is not known")
    cut = hostile.zip_bytes([("x.npy", hostile.npy_bytes(X)[:60])])
    refuse(put(tmp_path, "a.npz", cut), "'x': ends inside its header", "copy it again")
    refuse(put(tmp_path, "a.npz.gz", gzip.compress(cut)), "a gzipped zip archive: gunzip it")


def test_a20_an_archive_that_expands_to_a_gibibyte(tmp_path: Path) -> None:
    path = put(tmp_path, "a.npz", hostile.npz_of_zeros(1 << 30))
    assert path.stat().st_size < 1.2e6
    for read in READERS:
        if read is not read_columns:
            refuse(path, r"expands to 1\.0 GiB", "max_bytes=", readers=read, kind=AncestralError)
    last = limited(READ, "read_array(sys.argv[1])", str(path))
    assert last.startswith("ancestral.errors.FormatError")


def test_a20_the_cap_is_the_callers(tmp_path: Path) -> None:
    bomb = hostile.zip_bytes([("a.npy", hostile.npy_bytes(np.zeros(1 << 18)))])
    path = put(tmp_path, "a.npz", bomb)
    refuse(
        path,
        r"expands to 2\.0 MiB > max_bytes 1\.0 MiB; pass max_bytes=",
        readers=lambda p: read_array(p, max_bytes=1 << 20),
    )
    assert accepted(lambda: read_array(path)).size == 1 << 18


def test_a20_an_archive_that_lies_about_its_size(tmp_path: Path) -> None:
    content = bytearray(hostile.zip_bytes([("a.npy", hostile.npy_bytes(np.zeros(1 << 18)))]))
    true = (8 * (1 << 18) + 128).to_bytes(4, "little")
    while (at := content.find(true)) >= 0:
        content[at : at + 4] = (192).to_bytes(4, "little")
    refuse(put(tmp_path, "a.npz", bytes(content)), "damaged", "copy it again")


def test_a20_compression_that_numpy_never_uses(tmp_path: Path) -> None:
    """LZMA may claim gigabytes for its dictionary before a byte is expanded."""
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
            archive.writestr("a.npy", hostile.npy_bytes(X))
        refuse(tmp_path / "a.npz", r"'a\.npy' is compressed in a way .* np\.savez_compressed")


@pytest.mark.parametrize("member", ["../../evil.npy", "/evil.npy", "c:\\evil.npy", "a/../../b.npy"])
def test_a23_members_that_point_out_of_the_archive(tmp_path: Path, member: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = put(inside, "a.npz", hostile.zip_bytes([(member, hostile.npy_bytes(X))]))
    refuse(path, "points out of the archive", readers=(READERS[0], *READERS[2:]))
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["a.npz"]


def test_a24_two_members_of_one_name(tmp_path: Path) -> None:
    one, two = hostile.npy_bytes(X), hostile.npy_bytes(X + 1)
    path = put(tmp_path, "a.npz", hostile.zip_bytes([("a.npy", one), ("a.npy", two)]))
    refuse(path, r"two members are named 'a\.npy': keep one")


def test_a25_two_arrays_none_of_them_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X, X + 1)
    refuse(tmp_path / "a.npz", r"holds 2 arrays \(arr_0, arr_1\); say which: key='arr_0'")
    second = accepted(lambda: read_array(tmp_path / "a.npz", key="arr_1"))
    np.testing.assert_array_equal(second, X + 1)
    absent = lambda path: read_array(path, key="three")  # noqa: E731
    refuse(tmp_path / "a.npz", "no array 'three'; it holds arr_0, arr_1", readers=absent)
    path = put(tmp_path, "a.npy", hostile.npy_bytes(X))
    refuse(path, "key='three' means nothing here", readers=absent)


def test_a26_an_archive_without_arrays(tmp_path: Path) -> None:
    path = put(tmp_path, "a.npz", hostile.zip_bytes([]))
    refuse(path, "holds no arrays", kind=DataError)
    for member, words in (
        ("[Content_Types].xml", "Office.*CSV"),
        ("x/data.pkl", "PyTorch.*np.savez"),
        ("x.txt", "'x.txt' in it is no array.*np.savez"),
        ("x.npy", "'x': is not a NumPy array"),
    ):
        refuse(put(tmp_path, "a.npz", hostile.zip_bytes([(member, b"<a/>")])), words)


def test_a27_an_index_that_leaves_a_member_out(tmp_path: Path) -> None:
    """The index at an archive's end has no checksum; its members must fill the file."""
    one, two = (hostile.zip_bytes([(f"{name}.npy", hostile.npy_bytes(X))]) for name in "ab")
    both = hostile.zip_bytes([(f"{name}.npy", hostile.npy_bytes(X)) for name in "ab"])
    index, entry = both.index(b"PK\x01\x02"), two[two.index(b"PK\x01\x02") : -22]
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), index, 0)
    first = one[one.index(b"PK\x01\x02") : -22]
    for left in (first, entry):  # its place: right only for the first
        content = both[:index] + left + b"PK\x05\x06" + end
        refuse(put(tmp_path, "a.npz", content), "its index does not fit its members|damaged")
    accepted(lambda: read_array(put(tmp_path, "a.npz", both), key="b"))


def test_a27_any_bit_flipped_in_the_data_of_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.random.default_rng(0).random(50))
    whole = (tmp_path / "a.npz").read_bytes()
    for at in range(200, 500, 9):
        flipped = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        refuse(put(tmp_path, "b.npz", flipped), "CRC-32", "copy it again")


# ---- what is well is taken as it is --------------------------------------------------------------


def everywhere(folder: Path, array: np.ndarray) -> None:
    """An array must come back from every kind of file as it was: dtype, shape and values."""
    np.savez(folder / "a.npz", array)
    np.savez_compressed(folder / "c.npz", array)
    put(folder, "a.npy", hostile.npy_bytes(array))
    put(folder, "a.npy.gz", gzip.compress(hostile.npy_bytes(array)))
    for protocol in range(6):
        put(folder, f"a{protocol}.pkl", pickle.dumps(array, protocol=protocol))
    put(folder, "a.pkl.gz", gzip.compress(pickle.dumps({"it": array})))
    for path in folder.iterdir():
        read = accepted(lambda: read_array(path))  # noqa: B023
        assert read.dtype == array.dtype.newbyteorder("=") and read.dtype.isnative
        assert read.flags.writeable
        np.testing.assert_array_equal(read, array)


ROWS = np.random.default_rng(0).normal(size=(9, 4))


def fitted(array: np.ndarray) -> np.ndarray:
    """Return the log densities of fixed rows under PPCA fitted to an array."""
    return accepted(lambda: PPCA(2).fit(array)).log_density(ROWS)


def test_a29_fortran_order_is_the_same_to_the_bit(tmp_path: Path) -> None:
    everywhere(tmp_path, np.asfortranarray(ROWS))
    np.save(tmp_path / "f.npy", np.asfortranarray(ROWS))
    np.testing.assert_array_equal(fitted(read_array(tmp_path / "f.npy")), fitted(ROWS))


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">f2", ">i4", ">u8"])
def test_a30_big_endian(tmp_path: Path, dtype: str) -> None:
    everywhere(tmp_path, np.arange(12).reshape(3, 4).astype(dtype))
    swapped = ROWS.astype(dtype if dtype[1] == "f" else ">f8")
    np.testing.assert_array_equal(
        fitted(swapped), fitted(swapped.astype(swapped.dtype.newbyteorder("=")))
    )


def test_a31_float16_is_computed_in_float64(tmp_path: Path) -> None:
    half = ROWS.astype(np.float16)
    everywhere(tmp_path, half)
    np.testing.assert_allclose(fitted(half), fitted(half.astype(np.float64)), rtol=1e-12)


def test_a32_long_doubles_are_refused_and_64_bits_kept(tmp_path: Path) -> None:
    long = np.array([[1, 2]], np.longdouble)
    for content in (hostile.npy_bytes(long), pickle.dumps(long)):
        path = put(tmp_path, "a", content)
        refuse(path, r"long doubles .*astype\(np.float64\)", kind=DataTypeError)
    path.unlink()
    everywhere(tmp_path, np.array([[2**64 - 1, 2**53 + 1]], np.uint64))
    for child in tmp_path.iterdir():
        child.unlink()
    everywhere(tmp_path, np.array([[-(2**63), 2**53 + 1]], np.int64))


@pytest.mark.parametrize("dtype", ["|b1", "|i1", "|u1", "<i8", "<u8", "<f4", "<f8"])
def test_a33_booleans_and_small_integers(tmp_path: Path, dtype: str) -> None:
    bits = np.array([[0, 1], [1, 1], [1, 0], [0, 0]]).astype(dtype)
    everywhere(tmp_path, bits)
    np.testing.assert_array_equal(fitted_tables(bits), fitted_tables(bits.astype(int)))


def fitted_tables(array: np.ndarray) -> np.ndarray:
    """Return log probabilities of the rows under tables fitted to them."""
    return accepted(lambda: TabularAutoregressive().fit(array).log_density(array))


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.ones(2, complex), "complex numbers: save the real part"),
        (np.zeros(2, "M8[s]"), "dates"),
        (np.zeros(2, "m8[s]"), "durations"),
        (np.zeros(2, [("a", "f8")]), "structured"),
        (np.array(["1.5", "2"]), r"text \(unicode dtype\): convert"),
        (np.array([b"1"]), r"text \(bytes dtype\): convert"),
    ],
    ids=["complex", "date", "duration", "structured", "unicode", "bytes"],
)
def test_a34_dtypes_that_are_no_real_numbers(tmp_path: Path, array: np.ndarray, word: str) -> None:
    np.savez(tmp_path / "a.npz", array)
    for path in (put(tmp_path, "a.npy", hostile.npy_bytes(array)), tmp_path / "a.npz"):
        refuse(path, word, kind=DataTypeError)
    for protocol in range(2, 6):
        path = put(tmp_path, "a.pkl", pickle.dumps([array], protocol=protocol))
        refuse(path, kind=AncestralError)


def test_a35_a_single_number(tmp_path: Path) -> None:
    for content in (hostile.npy_bytes(np.array(3.5)), pickle.dumps(np.array(3.5))):
        refuse(
            put(tmp_path, "a", content),
            r"expected \(n, d\), got a single number, 3\.5",
            kind=DataError,
        )
    refused(lambda: PPCA(1).fit(np.array(3.5)), "scalar|single number|0 dim", "[Rr]eshape|2D")


def test_a36_one_and_four_dimensions() -> None:
    for model in (PPCA(1), TabularAutoregressive()):
        refused(
            lambda: model.fit(np.arange(4)),  # noqa: B023
            r"reshape\(1, ?-1\)",
            r"reshape\(-1, ?1\)",
        )
        refused(lambda: model.fit(np.zeros((2, 2, 2, 2), int)), "dim 4|4 dim", "2")  # noqa: B023


def test_a37_no_rows_or_no_columns(tmp_path: Path) -> None:
    for shape in ((0, 3), (3, 0)):
        empty = np.ones(shape)
        for content in (hostile.npy_bytes(empty), pickle.dumps(empty)):
            path = put(tmp_path, "a", content)
            refuse(path, rf"empty, of shape \({shape[0]}, {shape[1]}\)", kind=DataError)
        refused(lambda: PPCA(1).fit(empty), "0 (sample|feature)", "minimum of 1")  # noqa: B023


def test_a38_a_read_only_map_of_a_file_is_never_written(tmp_path: Path) -> None:
    path = put(tmp_path, "a.npy", hostile.npy_bytes(ROWS))
    before = path.read_bytes()
    mapped = np.load(path, mmap_mode="r")
    np.testing.assert_array_equal(fitted(mapped), fitted(ROWS))
    bits = put(tmp_path, "b.npy", hostile.npy_bytes((ROWS > 0).astype(int)))
    np.testing.assert_array_equal(
        fitted_tables(np.load(bits, mmap_mode="r")), fitted_tables((ROWS > 0).astype(int))
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npy", b"1,2\n3,4\n", "plain text"),
        ("a.csv", hostile.npy_bytes(X), "NumPy array"),
        ("a.npy", b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        ("a.pkl", b"a,b\n1,2\n", "plain text"),
        ("a.csv", b"PK\x03\x04" + bytes(50), "zip archive"),
        ("a.npz", pickle.dumps([1]), "pickle"),
        ("a", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("a.csv", b"<!DOCTYPE html><html>", "HTML"),
        ("a.npy", bytes(range(200)), "unknown kind"),
        ("a.npy", struct.pack("<Q", 40) + b'{"a":1}', r"ancestral\.load"),
    ],
)
def test_a39_another_kind_than_the_name_says(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    refuse(put(tmp_path, name, content), f"looks like .*{words}", "what is read here|Rename")


def test_a55_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # the path of a socket may have 108 bytes
        listener.bind("socket")
    for path, words in (
        (tmp_path / "socket", "socket.*Give the path of a file"),
        (tmp_path / "folder", "directory"),
        (tmp_path / "pipe", "pipe.*Give the path of a file"),
        (Path("/dev/zero"), "device.*Give the path of a file"),
        (tmp_path / "link", "is a link to .*gone, which does not exist"),
        (tmp_path / "none.npy", "no such file"),
        (tmp_path / ("x" * 5000), "cannot be opened"),
    ):
        refuse(path, words, readers=READERS)
    refused(lambda: read_array("a\0b"), "NUL character")
    for odd in (3, None, b"bytes"):
        refused(lambda: read_array(odd), "path must be", kind=DataTypeError)  # noqa: B023


def test_a55_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a.npy", hostile.npy_bytes(X))

    def closed(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", closed)  # the tests may run as root, whom no mode stops
    refuse(path, "may not be read: check its permissions")


def test_a56_names_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b.npy", "é漢.npy", "-x.npy", "x" * 251 + ".npy", "no_extension"):
        put(tmp_path, name, hostile.npy_bytes(X))
        np.testing.assert_array_equal(accepted(lambda: read_array(name)), X)  # noqa: B023
