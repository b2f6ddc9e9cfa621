"""What a file is, told from its first bytes, and whether its name agrees."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from ancestral._files import entries_of, is_folder
from ancestral.errors import FormatError
from ancestral.io.sources import PathLike, Source

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PAR1", "parquet"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"%PDF", "pdf"),
    (b"\x89HDF", "hdf5"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"ARROW1", "arrow"),
    (b"MATLAB 5.0", "matlab"),
    (b"SQLite format 3", "sqlite"),
    (b"\xff\xfe", "utf16"),
    (b"\xfe\xff", "utf16"),
)

_WORDS = {
    "gzip": "a gzip file",
    "npy": "a NumPy array (.npy)",
    "zip": "a zip archive (.npz)",
    "parquet": "a Parquet table",
    "pickle": "a Python pickle",
    "xml": "XML (GraphML?)",
    "text": "plain text (CSV?)",
    "binary": "binary data of an unknown kind",
    "utf16": "UTF-16 text: save it as UTF-8 (a .csv is read with encoding='utf-16')",
    "html": "an HTML page (was the download a web page?)",
    "png": "a PNG picture",
    "jpeg": "a JPEG picture",
    "gif": "a GIF picture",
    "tiff": "a TIFF picture",
    "pdf": "a PDF document",
    "hdf5": "an HDF5 file",
    "bzip2": "a bzip2 file",
    "xz": "an xz file",
    "zstd": "a Zstandard file",
    "7z": "a 7z archive",
    "rar": "a RAR archive",
    "arrow": "an Arrow file",
    "matlab": "a MATLAB file",
    "sqlite": "an SQLite database",
    "safetensors": "a safetensors file (a saved model? use ancestral.load)",
}

_EXTENSIONS = {
    ".npy": "npy",
    ".npz": "zip",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".p": "pickle",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".gml": "text",
    ".mtx": "text",
    ".net": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".graphml": "xml",
    ".xml": "xml",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}

# Pickles of protocol 0 and 1 carry no signature; these are the ways a container or array opens.
_OLD_PICKLE = re.compile(
    rb"\((?:lp|dp|l\.|d\.|S')|[(\]}]*(?:q.)?\(*c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n|[\]}]q"
)


# What reads these kinds: an optional package. Pictures are read from folders of them.
_WANTS = {"parquet": "tables:pyarrow", "xml": "graphs:defusedxml"}
_PICTURES = {ending for ending, kind in _EXTENSIONS.items() if kind in ("png", "jpeg")}


def wants_of(path: PathLike) -> tuple[str, ...]:
    """Return what a file of this name, or a folder of pictures, takes to be read or written."""
    if is_folder(path):
        endings = {entry.suffix.lower() for entry in entries_of(path)}
        return ("images:PIL",) if endings & _PICTURES else ()
    name = os.fspath(path).lower().removesuffix(".gz")
    want = _WANTS.get(_EXTENSIONS.get(os.path.splitext(name)[1], ""))
    return () if want is None else (want,)


def sniff(head: bytes) -> str:
    """Return what the first bytes look like: "npy", "zip", "pickle", "text", "png", ..."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:1] == b"\x80" and len(head) > 1 and head[1] < 32:
        return "pickle"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 30:
        return "safetensors"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if start.startswith((b"<?xml", b"<graphml", b"<gexf", b"<!doctype", b"<!--")):
        return "xml"
    if _OLD_PICKLE.match(head):
        return "pickle"
    control = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
    return "binary" if control else "text"


def in_words(kind: str) -> str:
    """Return what messages call a kind: "a Parquet table"."""
    return _WORDS[kind]


def recognise(source: Source, readable: Collection[str], *, is_text: bool = False) -> str:
    """Return the kind of the source, one of `readable`, or say what it looks like.

    With `is_text`, bytes of no known kind are text: its encoding was named.

    Raises
    ------
    FormatError
        When the kind cannot be read here, or contradicts the name's extension.
    """
    kind = sniff(source.peek(4096))
    suffixes = [suffix.lower() for suffix in source.path.suffixes]
    extension = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    named = _EXTENSIONS.get(extension)
    unsigned = kind == "pickle" and source.peek(1) != b"\x80"
    if (named == "text" or is_text) and (unsigned or kind in ("binary", "utf16")):
        kind = "text"  # the CSV reader says what is wrong with the text, and on which line
    if named == "pickle" and kind == "binary":
        kind = "pickle"  # a damaged or very old pickle: its reader says where it breaks
    if kind not in readable:
        wanted = ", ".join(_WORDS[readable_kind] for readable_kind in readable)
        folder = " Pictures are read by the folder." if kind in ("png", "jpeg") else ""
        raise FormatError(
            f"{source.name}: looks like {_WORDS[kind]}; what is read here: {wanted}.{folder}"
        )
    if named is not None and named != kind:
        raise FormatError(
            f"{source.name}: is named {extension} but looks like {_WORDS[kind]}. "
            "Rename it to what it is, or get the right file."
        )
    return kind
