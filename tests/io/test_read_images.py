"""Folders of grey pictures: exact pixels in the order of names, or an error that names one."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA, read_array
from ancestral.errors import AncestralError, DataError, FormatError, MissingExtraError
from ancestral.io import images
from tests.io.hostile_files import png_bytes
from tests.trust.files import put, refuse
from tests.trust.guard import accepted, refused

Image = pytest.importorskip("PIL.Image")
ImageFile = pytest.importorskip("PIL.ImageFile")
RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (12, 24, 20), dtype=np.uint8)


def folder_of(folder: Path, *arrays: np.ndarray) -> Path:
    """Return a folder of numbered pictures."""
    folder.mkdir()
    for k, array in enumerate(arrays):
        put(folder, f"face{k}.png", png_bytes(array))
    return folder


@pytest.mark.parametrize(
    "faces",
    [FACES, RNG.integers(0, 1 << 16, (3, 5, 4), dtype=np.uint16), FACES[:3] > 127],
    ids=["8 bits", "16 bits", "1 bit"],
)
def test_pixels_come_as_they_are_in_natural_order(tmp_path: Path, faces: np.ndarray) -> None:
    folder = folder_of(tmp_path / "faces", *faces)
    put(folder, ".DS_Store", "x")
    put(folder, "Thumbs.db", "x")
    read = accepted(lambda: read_array(folder))
    assert read.dtype == (np.uint16 if faces.itemsize == 2 else np.uint8)
    assert read.flags.writeable
    np.testing.assert_array_equal(read, faces)


def test_a_model_takes_them_as_rows(tmp_path: Path) -> None:
    read = read_array(folder_of(tmp_path / "faces", *FACES))
    rows = read.reshape(len(read), -1)
    np.testing.assert_array_equal(
        PPCA(2).fit(rows).mean_, PPCA(2).fit(FACES.reshape(12, -1).astype(float)).mean_
    )


def test_jpeg_comes_as_pillow_decodes_it(tmp_path: Path) -> None:
    Image.fromarray(FACES[0]).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as picture:
        np.testing.assert_array_equal(read_array(tmp_path)[0], np.asarray(picture))


def colour(mode: str) -> np.ndarray:
    """Return a picture in colour, or transparent, or of indices into a palette."""
    depth = {"RGB": 3, "RGBA": 4, "LA": 2}[mode]
    return RNG.integers(0, 256, (5, 4, depth), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colour_is_refused(tmp_path: Path, mode: str) -> None:
    folder = folder_of(tmp_path / "faces", FACES[0], colour(mode))
    refused(lambda: read_array(folder), r"face1\.png", mode, "convert to grey", kind=DataError)


def test_a_palette_is_refused(tmp_path: Path) -> None:
    Image.fromarray(FACES[0]).convert("P").save(tmp_path / "a.png")
    refused(lambda: read_array(tmp_path), r"a\.png", r"\(P\)", "convert to grey", kind=DataError)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(face) for face in FACES[:3]]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    refused(lambda: read_array(tmp_path), r"a\.png", "animated: save one frame", kind=DataError)


def test_sizes_and_depths_must_agree(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "sizes", FACES[0], FACES[1], FACES[2, :5])
    words = r"face2\.png: is 5 x 20, 8 bits, but face0\.png is 24 x 20, 8 bits: give every picture"
    refused(lambda: read_array(folder), words, kind=DataError)
    folder = folder_of(tmp_path / "depths", FACES[0], FACES[1] > 127)
    refused(lambda: read_array(folder), r"face1\.png: is 24 x 20, 1 bit, but", kind=DataError)


@pytest.mark.parametrize("at", range(8, 140, 7))
def test_a_damaged_png_is_named(tmp_path: Path, at: int) -> None:
    content = bytearray(png_bytes(FACES[0]))
    content[at] ^= 4
    put(tmp_path, "a.png", bytes(content))
    refused(lambda: read_array(tmp_path), r"a\.png", kind=AncestralError)


def test_a_cut_png_is_named(tmp_path: Path) -> None:
    content = png_bytes(FACES[0])
    for n in range(1, len(content), 31):
        put(tmp_path, "a.png", content[:n])
        refused(lambda: read_array(tmp_path), r"a\.png", kind=FormatError)


def test_what_is_decoded_is_capped_before_it_is(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "many", *[np.zeros((400, 400), np.uint8)] * 5)
    capped = lambda path: read_array(path, max_bytes=1 << 19)  # noqa: E731
    refuse(
        folder, r"5 pictures of 400 x 400, 8 bits expand to 781\.2 KiB > max_bytes", readers=capped
    )
    folder = folder_of(tmp_path / "one", np.zeros((1000, 1000), np.uint8))
    refused(lambda: capped(folder), r"face0\.png: is too large, a picture of 1000 x 1000, 8 bits >")
    content = bytearray(png_bytes(FACES[0]))
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # a size that only the header claims
    content[29:33] = png_crc(content[12:29])
    folder = tmp_path / "claims"
    folder.mkdir()
    put(folder, "a.png", bytes(content))
    refused(lambda: read_array(folder), r"a\.png", "too large", memory=4 << 20)


def png_crc(chunk: bytes) -> bytes:
    """Return the checksum of a chunk's name and content."""
    return zlib.crc32(chunk).to_bytes(4, "big")


def png_of(rows: np.ndarray, bits: int, *more: tuple[bytes, bytes], data: bytes = b"") -> bytes:
    """Return a grey PNG of any depth with right checksums; `data` in place of its own rows."""
    high, width = rows.shape
    packed = np.unpackbits(rows.astype(">u2").view(np.uint8).reshape(high, width, 2), axis=2)
    lines = np.packbits(packed[:, :, 16 - bits :].reshape(high, -1), axis=1)
    raw = b"".join(b"\0" + line.tobytes() for line in lines)
    header = struct.pack(">IIBBBBB", width, high, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", data or zlib.compress(raw)), (b"IEND", b"")]
    content = b"".join(
        len(body).to_bytes(4, "big") + name + body + png_crc(name + body) for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + content


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_t9_every_depth_keeps_its_values(tmp_path: Path, bits: int) -> None:
    rows = RNG.integers(0, 1 << bits, (7, 13))
    put(tmp_path, "a.png", png_of(rows, bits))
    np.testing.assert_array_equal(accepted(lambda: read_array(tmp_path))[0], rows)
    put(tmp_path, "b.png", png_of(rows & 1, 8 if bits < 8 else 2))
    refused(lambda: read_array(tmp_path), r"b\.png: is 7 x 13, . bits?, but", kind=DataError)


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_t9_every_row_must_be_in_the_file(
    tmp_path: Path, bits: int, tolerant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
    rows = RNG.integers(0, 1 << bits, (512, 40))
    line = 1 + 40 * bits // 8
    for missing in (1, line - 1, line, 256 * line, 512 * line - 1):
        short = zlib.compress(bytes(512 * line - missing))
        put(tmp_path, "a.png", png_of(rows, bits, data=short))
        row = f"after row {512 - -(-missing // line)} of 512"
        refused(lambda: read_array(tmp_path), r"a\.png: damaged", row)
    whole = zlib.compress(bytes(512 * line))
    for data in (whole[:-4], whole[:-1], zlib.compress(bytes(512 * line + 1)), b"x" + whole):
        put(tmp_path, "a.png", png_of(rows, bits, data=data))
        refused(lambda: read_array(tmp_path), r"a\.png: damaged", "its data")
    assert tolerant == ImageFile.LOAD_TRUNCATED_IMAGES
    put(tmp_path, "a.png", png_of(rows, bits) + b"more")
    refused(lambda: read_array(tmp_path), r"a\.png: damaged", "more bytes follow")
    put(tmp_path, "a.png", png_of(rows, bits, data=whole))
    assert not accepted(lambda: read_array(tmp_path)).any()


def test_interlaced_rows_are_counted(tmp_path: Path) -> None:
    """PNG's seven passes over the places of 8 x 8 (PNG specification, section 8.2)."""
    for high, width in ((1, 1), (3, 5), (8, 8), (13, 21)):
        where = np.array(
            [
                [1, 6, 4, 6, 2, 6, 4, 6], [7] * 8, [5, 6] * 4, [7] * 8,
                [3, 6, 4, 6, 3, 6, 4, 6], [7] * 8, [5, 6] * 4, [7] * 8,
            ]
        )  # fmt: skip
        tiled = np.tile(where, (2, 3))[:high, :width]
        raw = b""
        for k in range(1, 8):
            for row in tiled:
                n = int((row == k).sum())
                raw += (b"\0" + bytes(n)) if n else b""
        header = struct.pack(">IIBBBBB", width, high, 8, 0, 0, 0, 1)
        for data, whole in ((raw, True), (raw[:-1], False)):
            plain = png_of(np.zeros((high, width), int), 8, data=zlib.compress(data))
            content = plain[:16] + header + png_crc(b"IHDR" + header) + plain[33:]
            put(tmp_path, "a.png", content)
            if whole:
                assert accepted(lambda: read_array(tmp_path)).shape == (1, high, width)
            else:
                refused(lambda: read_array(tmp_path), r"a\.png: damaged")


def test_transparent_grey_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", png_of(FACES[0], 8, (b"tRNS", b"\0\0")))
    refused(lambda: read_array(tmp_path), r"a\.png", "transparent", kind=DataError)


def jpeg_bytes(**options: Any) -> bytes:
    """Return a grey JPEG of 40 x 48."""
    stream = io.BytesIO()
    smooth = np.add.outer(np.arange(40) * 3, np.arange(48) * 2).astype(np.uint8)
    Image.fromarray(smooth + FACES[0, 0, 0] % 8).save(stream, "jpeg", **options)
    return stream.getvalue()


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_a_cut_jpeg_is_refused(
    tmp_path: Path, options: dict[str, Any], tolerant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
    content = jpeg_bytes(**options)
    put(tmp_path, "a.jpg", content)
    assert accepted(lambda: read_array(tmp_path)).shape == (1, 40, 48)
    for n in range(1, len(content)):
        put(tmp_path, "a.jpg", content[:n])
        refused(lambda: read_array(tmp_path), r"a\.jpg", kind=FormatError)
    put(tmp_path, "a.jpg", content + content)
    refused(lambda: read_array(tmp_path), r"a\.jpg", "more bytes follow", kind=FormatError)


def test_a_jpeg_that_lacks_a_piece_is_refused(tmp_path: Path) -> None:
    content = jpeg_bytes(restart_marker_blocks=3)
    first, second, last = (content.index(bytes([0xFF, 0xD0 + k])) for k in (0, 1, 6))
    without = content[:first] + content[second:]
    put(tmp_path, "a.jpg", without)
    refused(lambda: read_array(tmp_path), r"a\.jpg", "a piece is missing", kind=FormatError)
    put(tmp_path, "a.jpg", content[:last] + b"\xff\xd9")
    refused(lambda: read_array(tmp_path), r"a\.jpg", "pieces of its data", kind=FormatError)
    put(tmp_path, "a.jpg", content.replace(b"\xff\xdd", b"\xff\xfe"))
    refused(lambda: read_array(tmp_path), r"a\.jpg", "pieces of its data", kind=FormatError)


def coded_data(content: bytes) -> tuple[int, int]:
    """Return where the coded data of a JPEG's last scan begin and end."""
    start = content.rindex(b"\xff\xda")
    return start + 2 + int.from_bytes(content[start + 2 : start + 4], "big"), len(content) - 2


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_t9_a_jpeg_whose_data_end_early_is_refused_though_it_is_closed_again(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    content = jpeg_bytes(quality=90, **options)
    start, end = coded_data(content)
    for cut in range(start + 1, end):
        if not {0xFF} & set(content[cut - 2 : cut]):  # nor is a marker cut in two
            put(tmp_path, "a.jpg", content[:cut] + b"\xff\xd9")
            refused(lambda: read_array(tmp_path), r"a\.jpg: damaged", kind=FormatError)
    put(tmp_path, "a.jpg", content)
    assert accepted(lambda: read_array(tmp_path)).shape == (1, 40, 48)


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_t9_a_jpeg_half_of_whose_data_are_zeros_is_refused(tmp_path: Path, quality: int) -> None:
    content = jpeg_bytes(quality=quality)
    start, end = coded_data(content)
    middle = (start + end) // 2
    for a, b in ((middle, end), (start, middle), (start + 9, end - 9)):
        put(tmp_path, "a.jpg", content[:a] + bytes(b - a) + content[b:])
        refused(lambda: read_array(tmp_path), r"a\.jpg: damaged", "last block", kind=FormatError)
    put(tmp_path, "a.jpg", content[:end] + bytes(40) + content[end:])
    words = "its data go on after its last block"
    refused(lambda: read_array(tmp_path), r"a\.jpg: damaged", words, kind=FormatError)


@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 2}],
    ids=str,
)
@pytest.mark.parametrize("quality", [1, 50, 100])
def test_whole_jpegs_of_every_kind_are_read(
    tmp_path: Path, options: dict[str, Any], quality: int
) -> None:
    """Flat and saturated ones as well, whose blocks take two bits."""
    down, right = np.mgrid[:40, :33]
    page = np.where(RNG.random((40, 33)) < 0.02, 0, 255)
    for k, rows in enumerate((down * 0, down * 0 + 128, page, down * 9 % 256, right * 7, FACES[0])):
        picture = Image.fromarray(rows.astype(np.uint8))
        folder = tmp_path / str(k)
        folder.mkdir()
        picture.save(folder / "a.jpg", quality=quality, **options)
        with Image.open(folder / "a.jpg") as decoded:
            np.testing.assert_array_equal(accepted(lambda: read_array(folder))[0], decoded)  # noqa: B023


@pytest.mark.parametrize("kind", ["gif", "tiff"])
def test_other_kinds_of_pictures_are_refused(tmp_path: Path, kind: str) -> None:
    Image.fromarray(FACES[0]).save(tmp_path / f"a.{kind}")
    words = {"gif": "a GIF picture", "tiff": "a TIFF picture"}[kind]
    refused(lambda: read_array(tmp_path), rf"a\.{kind}", words, kind=FormatError)


def test_folders_of_other_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(tmp_path, "a directory without pictures")
    folder = folder_of(tmp_path / "faces", FACES[0])
    refuse(folder, "is a folder, so key='x' means", readers=lambda path: read_array(path, key="x"))
    refuse(tmp_path, "holds the folder 'faces'; give a folder of pictures only")
    for name, content, words in (
        ("labels.csv", b"1,2\n", "looks like plain text"),
        ("b.png", b"\xff\xd8\xff" + bytes(9), r"is named \.png but looks like a JPEG"),
        ("b.png", gzip.compress(png_bytes(FACES[0])), "a gzipped picture: gunzip it first"),
        ("b.png", b"\x89PNG\r\n\x1a\n", "damaged picture"),
        ("b.png", b"", "empty"),
    ):
        path = put(folder, name, content)
        refused(lambda: read_array(folder), path.name, words, kind=FormatError)
        path.unlink()
    refuse(folder / "face0.png", "a PNG picture.*Pictures are read by the folder")
    monkeypatch.setattr(images, "_MAX_FILES", 0)
    refuse(folder, "more than 0 files: save one .npy")


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "faces", FACES[0])
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ancestral\[images\]"'):
        read_array(folder)
