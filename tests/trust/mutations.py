"""Seeded damage: to bytes, to numbers, and to what a format is made of, its checksums put right.

Every function takes a `random.Random` and whole files, and gives one broken file. The same seed
gives the same file.
"""

from __future__ import annotations

import gzip
import io
import json
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load as from_safetensors

from ancestral import _catalogue, model_file
from tests.io.hostile_files import zip_bytes

EXTREMES = (0, 1, -1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53)
WORDS = (
    b"", b"0", b"-1", b"1e309", b"-1e309", b"1e-400", b"nan", b"inf", b"-inf", b"None", b"True",
    b"99999999999999999999", b"0x10", b"1_0", b"1,000", b"\xd9\xa1", b"\0", b"\xff", b"'", b'"',
    b"()", b"a" * 300, b"9" * 5000, b"&x;", b"<", b"../../evil", b"\xe2\x80\xa8", b"\r", b"\n",
)  # fmt: skip
OPCODES = tuple(code.code.encode("latin-1") for code in pickletools.opcodes)
NAMES = (b"posix", b"system", b"builtins", b"eval", b"numpy", b"load", b"os", b"ndarray.tofile")
ODD = (None, True, -1, 0, 1e300, 2**70, "x", [], {}, [[]], {"$array": "no"}, {"$float": "nan"},
       {"$tuple": [1]}, {"$model": "PPCA"}, {"$strings": ["a"]}, {"$array": []})  # fmt: skip


# ---- bytes ---------------------------------------------------------------------------------------


def damaged(rng: Random, whole: bytes, other: bytes = b"") -> bytes:
    """Return a file with one to three kinds of damage to its bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        whole = rng.choice(_BYTES)(rng, whole, other)
    return whole


def _span(rng: Random, whole: bytes) -> tuple[int, int]:
    start = rng.randrange(len(whole) + 1)
    return start, min(len(whole), start + rng.choice((1, 2, 4, 8, 16, 64, 256)))


def _flip(rng: Random, whole: bytes, _: bytes) -> bytes:
    content = bytearray(whole)
    for _k in range(rng.randrange(1, 5) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _change(rng: Random, whole: bytes, _: bytes) -> bytes:
    start, stop = _span(rng, whole)
    return whole[:start] + rng.randbytes(stop - start) + whole[stop:]


def _cut(rng: Random, whole: bytes, _: bytes) -> bytes:
    return whole[: rng.randrange(len(whole) + 1)]


def _insert(rng: Random, whole: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(whole) + 1)
    return whole[:at] + rng.randbytes(rng.randrange(1, 33)) + whole[at:]


def _repeat(rng: Random, whole: bytes, _: bytes) -> bytes:
    start, stop = _span(rng, whole)
    return whole[:stop] + whole[start:stop] * rng.choice((1, 1, 7, 200)) + whole[stop:]


def _drop(rng: Random, whole: bytes, _: bytes) -> bytes:
    start, stop = _span(rng, whole)
    return whole[:start] + whole[stop:]


def _swap(rng: Random, whole: bytes, _: bytes) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(whole) + 1) for _k in range(4))
    return whole[:a] + whole[c:d] + whole[b:c] + whole[a:b] + whole[d:]


def _splice(rng: Random, whole: bytes, other: bytes) -> bytes:
    return whole[: rng.randrange(len(whole) + 1)] + other[rng.randrange(len(other) + 1) :]


def _extreme(rng: Random, whole: bytes, _: bytes) -> bytes:
    """Overwrite a binary number."""
    width = rng.choice((1, 2, 4, 8))
    value = (rng.choice((*EXTREMES, 2**62, 2**63, 2**64 - 1)) % (1 << 8 * width)).to_bytes(
        width, rng.choice(("little", "big"))
    )
    at = rng.randrange(len(whole) + 1)
    return whole[:at] + value + whole[at + width :]


def _number(rng: Random, whole: bytes, _: bytes) -> bytes:
    """Replace a number written as text."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", whole[:20_000]))
    if not found:
        return whole
    match = rng.choice(found)
    word = rng.choice((*WORDS, *(str(value).encode() for value in EXTREMES)))
    return whole[: match.start()] + word + whole[match.end() :]


_BYTES: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    _flip, _flip, _change, _cut, _insert, _repeat, _drop, _swap, _splice, _extreme, _number
)  # fmt: skip


# ---- what formats are made of --------------------------------------------------------------------


def tokens(rng: Random, parts: list[bytes], words: tuple[bytes, ...]) -> list[bytes]:
    """Return the parts of a text with a few replaced, repeated, dropped, or in other places."""
    parts = list(parts)
    for _ in range(rng.randrange(1, 4)):
        i, j = (rng.randrange(len(parts)) for _k in range(2))
        match rng.randrange(5):
            case 0:
                parts[i] = rng.choice(words)
            case 1:
                parts[i], parts[j] = parts[j], parts[i]
            case 2:
                parts[i:i] = parts[min(i, j) : max(i, j)] * rng.choice((1, 1, 20))
            case 3:
                del parts[i : i + rng.choice((1, 1, 3))]
                parts = parts or [b""]
            case 4:
                parts[i] = damaged(rng, parts[i])
    return parts


def of_pickle(rng: Random, whole: bytes, other: bytes) -> bytes:
    """Instructions replaced, repeated, dropped, exchanged; names put in."""
    starts = []
    for _, _, at in pickletools.genops(whole):
        starts.append(at)
    parts = [whole[a:b] for a, b in zip(starts, [*starts[1:], len(whole)])]
    named = tuple(b"\x8c" + bytes([len(name)]) + name for name in NAMES)
    made = b"".join(tokens(rng, parts, (*OPCODES, *named)))
    return made if rng.random() < 0.7 else damaged(rng, made, other)


def of_gzip(inner: Callable[[Random, bytes, bytes], bytes]) -> Callable[..., bytes]:
    """Damage within a gzip whose checksum is right."""

    def act(rng: Random, whole: bytes, other: bytes) -> bytes:
        return gzip.compress(inner(rng, gzip.decompress(whole), gzip.decompress(other)), 1)

    return act


def of_zip(rng: Random, whole: bytes, other: bytes) -> bytes:
    """Members damaged under a right checksum, renamed, doubled, dropped."""
    members = []
    for file in (whole, other):
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            members.append([(name, archive.read(name)) for name in archive.namelist()])
    made, spare = members
    at = rng.randrange(len(made))
    name, data = made[at]
    match rng.randrange(4):
        case 0 | 1:
            made[at] = name, damaged(rng, data, rng.choice(spare)[1])
        case 2:
            made[at] = rng.choice((name.upper(), name + "x", "../" + name, "", "é.npy")), data
        case 3:
            made.insert(at, rng.choice(spare))
    return zip_bytes([(n or "x", d) for n, d in made])


def of_png(rng: Random, whole: bytes, other: bytes) -> bytes:
    """Chunks damaged under a right checksum, repeated, dropped; pixels damaged before packing."""
    chunks, spare = _chunks(whole), _chunks(other)
    at = rng.randrange(len(chunks))
    kind, data = chunks[at]
    match rng.randrange(5):
        case 0:
            chunks[at] = kind, damaged(rng, data)
        case 1:
            head = bytearray(chunks[0][1])
            place = rng.choice((0, 4, 8, 9, 10, 11, 12))
            width = 4 if place < 8 else 1
            value = rng.choice((*EXTREMES, 1_000, 20_000)) % (1 << 8 * width)
            head[place : place + width] = value.to_bytes(width, "big")
            chunks[0] = chunks[0][0], bytes(head)
        case 2:
            pixels = damaged(rng, zlib.decompress(b"".join(d for k, d in chunks if k == b"IDAT")))
            chunks = [(k, zlib.compress(pixels) if k == b"IDAT" else d) for k, d in chunks]
        case 3:
            chunks.insert(rng.randrange(len(chunks)), rng.choice(spare))
        case 4:
            del chunks[at]
    body = b"".join(
        len(d).to_bytes(4, "big") + k + d + zlib.crc32(k + d).to_bytes(4, "big") for k, d in chunks
    )
    return whole[:8] + body


def _chunks(whole: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and content of every chunk of a PNG."""
    at, found = 8, []
    while at < len(whole):
        n = int.from_bytes(whole[at : at + 4], "big")
        found.append((whole[at + 4 : at + 8], whole[at + 8 : at + 8 + n]))
        at += 12 + n
    return found


def of_xml(rng: Random, whole: bytes, other: bytes) -> bytes:
    """Tags exchanged, repeated, dropped; attributes of strange values."""
    parts = re.findall(rb'<[^>]*>|[^<"]+|"', whole)
    words = (
        *WORDS,
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b"<![CDATA[1]]>",
        b"&#0;",
        b"<!--",
        b'<node id="a">',
        b"</node>",
        b"<graph>",
        b"</graph>",
        b'<edge source="a" target="b"/>',
        *re.findall(rb"<[^>]*>", other),
    )
    return b"".join(tokens(rng, parts, words))


def of_csv(rng: Random, whole: bytes, _: bytes) -> bytes:
    """Cells, separators and ends of lines exchanged."""
    parts = re.findall(rb"[^,\n]+|[,\n]", whole)
    words = (*WORDS, b",", b";", b"\t", b"\n", b"\r\n", b'"', b" ", b"\xef\xbb\xbf", b"\xff\xfe")
    return b"".join(tokens(rng, parts, words))


def of_model(rng: Random, whole: bytes, _: bytes) -> bytes:
    """The document or the arrays of a model file damaged under a right digest."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])["__metadata__"]
    arrays, document = from_safetensors(whole), json.loads(header["document"])
    match rng.randrange(4):
        case 0:
            text = damaged(rng, header["document"].encode())
            header["document"] = text.decode("utf-8", "replace")
        case 1:
            held = document[rng.choice(("params", "state"))]
            held[rng.choice((*held, "fit", "__class__", "_x"))] = rng.choice(ODD)
            header["document"] = json.dumps(document)
        case 2:
            at = rng.choice(sorted(arrays))
            values = arrays[at].copy()
            if values.size:
                values.flat[rng.randrange(values.size)] = rng.choice(
                    (-1, 0, 2, np.iinfo(np.int64).max)
                    if values.dtype.kind in "iu"
                    else (np.nan, np.inf, -1.0, 0.0, 1e308, 5e-324)
                )
            arrays[at] = rng.choice((values, values.ravel(), values[:-1], values.astype("f4")))
        case 3:
            header["class"] = rng.choice(("PPCA", "TabularAutoregressive", "Popen", ""))
    return model_file._signed(arrays, header)


HUGE = (-1, 0, 2**16, 2**31 - 1, 2**40, 2**62, 1e300, -0.5, True)
CLASSES = [entry.name for entry in _catalogue.MODELS]
HEADERS = {
    "format_version": ("0", "-1", "1.5", "2", "9" * 5000, "", "x", "\u0661"),
    "data_fingerprint": ("x", "0" * 63, "A" * 64, "\x1b[2J", "0" * 64),
    "class": (*CLASSES, "Checkpoint", "Popen", "", "__builtins__"),
    "format": ("", "ancestral-model ", "pickle"),
    "document": ("", "[]", "null", "{}", '{"params":{},"state":{}}', "9" * 9000, "[" * 9000),
}


def resigned(rng: Random, whole: bytes, other: bytes) -> bytes:
    """A model file with other parameters, values, arrays or header, under a right digest."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])["__metadata__"]
    arrays, document = from_safetensors(whole), json.loads(header["document"])
    for _ in range(rng.choice((1, 1, 1, 2))):
        match rng.randrange(8):
            case 0:
                field = rng.choice(sorted(HEADERS))
                header[field] = rng.choice(HEADERS[field])
                if field == "document":
                    return model_file._signed(arrays, header)
            case 1:
                text = damaged(rng, json.dumps(document).encode()).decode("utf-8", "replace")
                return model_file._signed(arrays, {**header, "document": text})
            case 2 | 3:
                home, key = rng.choice(list(_places(document)))
                home[key] = rng.choice((*ODD, *HUGE))
            case 4:
                held = document.get(rng.choice(("params", "state")))
                if isinstance(held, dict) and held:
                    name = rng.choice(sorted(held))
                    held[rng.choice((name, name + "x", "fit", "_x_"))] = held.pop(name)
            case 5 | 6:
                if arrays:
                    at = rng.choice(sorted(arrays))
                    arrays[at] = _altered(rng, arrays[at])
            case 7:
                if arrays:
                    held = {**from_safetensors(other), **arrays}
                    pool = [held[name] for name in sorted(held)]
                    arrays[rng.choice(sorted(arrays))] = rng.choice(pool)
    return model_file._signed(arrays, {**header, "document": json.dumps(document)})


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every dict and list in a document with each of its keys."""
    for key, inner in list(part.items() if isinstance(part, dict) else enumerate(part)):
        yield part, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _altered(rng: Random, array: np.ndarray) -> np.ndarray:
    """Return an array with one other value, or of another shape or dtype."""
    values = array.copy()
    if values.size and rng.random() < 0.6:
        whole = (-1, 0, 2, np.iinfo(np.int64).max)
        real = (np.nan, np.inf, -1.0, 0.0, 1e308, 5e-324, 1e-9, 7.5)
        with np.errstate(over="ignore"):
            values.flat[rng.randrange(values.size)] = np.array(
                rng.choice(whole if values.dtype.kind in "iu" else real)
            ).astype(values.dtype)
        return values
    return rng.choice(
        (
            values.ravel(), values[None], values[:-1] if values.ndim else values, values.T,
            np.concatenate([values.ravel()] * 2), values.ravel()[:0], values.astype("f4"),
            values.astype("f8"), values.astype("i8"), values > 0, np.zeros(0), np.zeros((0, 2**40)),
        )
    )  # fmt: skip
