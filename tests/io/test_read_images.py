"""Folders of grey pictures: exact pixels in the order of names, or an error that names one."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from ancestral import PPCA, read_array
from ancestral.errors import AncestralError, DataError, FormatError, MissingExtraError
from ancestral.io import images
from tests.io.hostile_files import png_bytes
from tests.trust.files import put, refuse
from tests.trust.guard import accepted, refused

Image = pytest.importorskip("PIL.Image")
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
    words = r"face2\.png: is 5 x 20, L, but face0\.png is 24 x 20, L: give every picture one size"
    refused(lambda: read_array(folder), words, kind=DataError)
    folder = folder_of(tmp_path / "depths", FACES[0], FACES[1] > 127)
    refused(lambda: read_array(folder), r"face1\.png: is 24 x 20, 1, but", kind=DataError)


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
    refuse(folder, r"5 pictures of 400 x 400, L expand to 781\.2 KiB > max_bytes", readers=capped)
    folder = folder_of(tmp_path / "one", np.zeros((1000, 1000), np.uint8))
    refused(lambda: capped(folder), r"face0\.png: a picture of 1000 x 1000, L > max_bytes")
    content = bytearray(png_bytes(FACES[0]))
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # a size that only the header claims
    content[29:33] = png_crc(content[12:29])
    folder = tmp_path / "claims"
    folder.mkdir()
    put(folder, "a.png", bytes(content))
    refused(lambda: read_array(folder), r"a\.png", "too large", memory=4 << 20)


def png_crc(chunk: bytes) -> bytes:
    """Return the checksum of a chunk's name and content."""
    import zlib

    return zlib.crc32(chunk).to_bytes(4, "big")


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
