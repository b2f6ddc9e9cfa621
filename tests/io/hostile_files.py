"""Broken and hostile files, made on the spot.

The hostile ones are inert: were a guard to fail, all that any of them does is create the marker
file that it is given, and the test that looks for the marker fails.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np


class Calls:
    """Pickles as a call of a function: what a hostile pickle is."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args


def touch(marker: Path) -> str:
    """The shell command that creates the marker."""
    return f"touch {marker}"


def calling_system(marker: Path) -> dict[str, bytes]:
    """A9, A10: os.system, bare and hidden, in every protocol."""
    call = Calls(os.system, touch(marker))
    files = {f"bare{p}": pickle.dumps(call, protocol=p) for p in range(6)}
    hidden = [np.ones(1), (1, {"a": (call,)})]
    files["hidden"] = pickle.dumps(hidden)
    files["hidden_gzipped"] = gzip.compress(pickle.dumps(hidden))
    files["in_array"] = pickle.dumps(np.array([call, None], dtype=object))
    return files


def gadgets(marker: Path) -> dict[str, tuple[bytes, str]]:
    """A11 to A14: name of each, its bytes, and what the message must say."""
    code = f"open({str(marker)!r}, 'w')"
    short = lambda text: b"\x8c" + bytes([len(text)]) + text.encode()  # noqa: E731
    stack_global = lambda module, name: short(module) + short(name) + b"\x93"  # noqa: E731
    call = lambda module, name, arg: (  # noqa: E731
        b"\x80\x04" + stack_global(module, name) + short(arg) + b"\x85R."
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01bt"
    f8 = b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R"
    return {
        "eval": (call("builtins", "eval", code), "builtins.eval"),
        "exec2": (b"c__builtin__\neval\n(V" + code.encode() + b"\ntR.", "__builtin__.eval"),
        "getattr": (call("builtins", "getattr", "x"), "builtins.getattr"),
        "import": (call("builtins", "__import__", "os"), "builtins.__import__"),
        "numpy_load": (call("numpy", "load", str(marker)), "numpy.load"),
        "runstring": (call("numpy.testing._private.utils", "runstring", code), "runstring"),
        "f2py": (call("numpy.f2py", "compile", code), "numpy.f2py.compile"),
        "dotted": (call("numpy", "ndarray.tofile", str(marker)), "numpy.ndarray.tofile"),
        "dotted_module": (call("numpy.core", "multiarray._reconstruct", "x"), "would run"),
        "matrix": (call("numpy", "matrix", "1 2"), "numpy.matrix"),
        "inst": (b"(S'x'\niposix\nsystem\n.", "posix.system"),
        "obj": (b"\x80\x02(cnumpy\nndarray\nK\x03o.", "object of a class"),
        "newobj": (b"\x80\x02cnumpy\nndarray\nK\x03\x85\x81.", "object of a class"),
        "extension": (b"\x80\x02\x82\x01.", "extension code"),
        "persistent": (b"\x80\x02K\x01Q.", "persistent id"),
        "persistent0": (b"(lp0\nPdoor\n.", "persistent id"),
        "set": (b"\x80\x04\x8f.", "a set"),
        "out_of_band": (b"\x80\x05\x97.", "outside the file"),
        "reconstruct_other": (array.replace(b"cnumpy\nndarray\n", b"K\x01") + b"R.", "arguments"),
        "ndarray_called": (b"\x80\x04" + stack_global("numpy", "ndarray") + b"K\x03\x85R.", "argu"),
        "codec": (b"\x80\x04" + stack_global("_codecs", "encode") + short("x") + short("zip")
                  + b"\x86R.", "arguments"),
        "build_list": (b"\x80\x04]}b.", "set the state"),
        "build_state": (b"\x80\x04" + array + b"R}b.", "set the state"),
        "build_short": (b"\x80\x04" + array + b"R(K\x01K\x03\x85t" + b"b.", "set the state"),
        "call_number": (b"\x80\x04K\x01K\x01\x85R.", "not a name"),
        "missing_memo": (b"\x80\x04h\x07.", "damaged"),
        "empty_stack": (b"\x80\x04\x85.", "damaged"),
        "no_mark": (b"\x80\x04t.", "damaged"),
        "open_mark": (b"\x80\x04(K\x01.", "disorder"),
        "unfinished": (b"\x80\x04" + array + b"R.", "unfinished"),
        "bare_name": (b"\x80\x04" + stack_global("numpy", "ndarray") + b".", "unfinished"),
        "protocol": (b"\x80\x1fN.", "protocol 31"),
        "no_opcode": (b"\x80\x04\x00.", "no pickle instruction"),
        "no_quotes": (b"(lp0\nSx\na.", "a string without quotes"),
        "no_number": (b"(lp0\nI1x\na.", "is malformed"),
        "long_number": (b"\x80\x04\x8b" + struct.pack("<i", 2000) + bytes(2000), "integer of"),
        "name_of_numbers": (b"\x80\x04K\x01K\x01\x93.", "a name is not text"),
        "no_dtype": (b"\x80\x04" + array + b"R(K\x01K\x01\x85K\x01\x89C\x01xtb.",
                     "without a dtype"),
        "no_data": (b"\x80\x04" + array + b"R(K\x01K\x01\x85" + f8 + b"\x89Ntb.", "without data"),
        "short_data": (b"\x80\x04" + array + b"R(K\x01K\x01\x85" + f8 + b"\x89C\x01xtb.",
                       "needs 8 bytes, has 1"),
        "dtype_state": (b"\x80\x04" + f8 + b"K\x01b.", "a dtype in a form that is not known"),
        "record": (b"\x80\x04" + f8 + b"(K\x03\x8c\x01|N)}tb.", "structured"),
        "items_of_list": (b"\x80\x04]K\x01K\x01s.", "set on something that is no dict"),
        "append_to_dict": (b"\x80\x04}K\x01a.", "appended to something that is no list"),
        "dropped_mark": (b"\x80\x04(K\x011.", "disorder"),
        "popped_mark": (b"\x80\x04(0.", "disorder"),
        "list_key": (b"\x80\x04}]K\x01s.", "key of type list"),
        "cycle": (b"\x80\x04]\x94h\x00a.", "holds itself"),
    }  # fmt: skip


# A14: those of the gadgets that name nothing, or nothing that could be run.
MALFORMED = (
    "obj", "newobj", "extension", "persistent", "persistent0", "set", "out_of_band",
    "reconstruct_other", "codec", "build_list", "build_state", "build_short", "call_number",
    "missing_memo", "empty_stack", "no_mark", "open_mark", "unfinished", "bare_name", "protocol",
    "no_opcode", "list_key", "cycle", "no_quotes", "no_number", "long_number", "name_of_numbers",
    "no_dtype", "no_data", "short_data", "dtype_state", "record", "items_of_list",
    "append_to_dict", "dropped_mark", "popped_mark",
)  # fmt: skip


def huge_claims() -> dict[str, bytes]:
    """A15: lengths that cannot be there."""
    return {
        "bytes8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62),
        "bytearray8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 62),
        "text8": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62),
        "bytes4": b"\x80\x04B" + struct.pack("<I", (1 << 32) - 1),
        "long4": b"\x80\x04\x8b" + struct.pack("<i", (1 << 31) - 1),
        "long4_negative": b"\x80\x04\x8b" + struct.pack("<i", -1),
        "frame": b"\x80\x04\x95" + struct.pack("<Q", (1 << 64) - 1),
    }


def nested(depth: int) -> dict[str, bytes]:
    """A16: lists and tuples, one in another."""
    return {
        "lists": b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".",
        "tuples": b"\x80\x04)" + b"\x85" * depth + b".",
        "dicts": b"\x80\x04" + b"}K\x00" * depth + b"N" + b"s" * depth + b".",
    }


def gzip_of_zeros(n_bytes: int) -> bytes:
    """A21: a whole, right gzip of so many MiB of zeros, made without compressing them all."""
    packed, crc = deflated_zeros(n_bytes)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return head + packed + struct.pack("<II", crc, n_bytes)


def npz_of_zeros(n_bytes: int) -> bytes:
    """A20: a whole, right .npz of about a thousandth of the size of the array in it."""
    head = npy_bytes(np.zeros(0)).replace(b"(0,)", f"({n_bytes // 8},)".encode())
    length = int.from_bytes(head[8:10], "little")
    head = head[: 10 + length - 1].rstrip(b" ").ljust(10 + length - 1)[: 10 + length - 1] + b"\n"
    stored = zlib.compressobj(0, wbits=-15)
    opening = stored.compress(head) + stored.flush(zlib.Z_FULL_FLUSH)
    packed, crc = deflated_zeros(n_bytes, zlib.crc32(head))
    packed, size = opening + packed, len(head) + n_bytes
    name = b"arr_0.npy"
    sizes = struct.pack("<IIIHH", crc, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes + name
    entry = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    entry += struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    return local + packed + entry + b"PK\x05\x06" + end


def deflated_zeros(n_bytes: int, crc: int = 0) -> tuple[bytes, int]:
    """Return so many MiB of zeros as raw deflate, and the CRC continued over them."""
    zeros = bytes(1 << 20)
    block = zlib.compressobj(9, wbits=-15)
    piece = block.compress(zeros) + block.flush(zlib.Z_FULL_FLUSH)
    for _ in range(n_bytes >> 20):
        crc = zlib.crc32(zeros, crc)
    return piece * (n_bytes >> 20) + b"\x03\x00", crc


def npy_bytes(array: np.ndarray) -> bytes:
    """The .npy file of an array."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npy_with_header(header: bytes, data: bytes = b"\0" * 64) -> bytes:
    """An .npy file with any header at all."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zip_bytes(members: list[tuple[str, bytes]]) -> bytes:
    """A zip of members in this order, duplicates and odd names allowed."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def png_bytes(array: np.ndarray) -> bytes:
    """The .png file of a picture."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    return stream.getvalue()


_HEAD = '<?xml version="1.0"?>{dtd}<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
_KEYS = '<key id="d0" for="node" attr.name="x" attr.type="double"/>'


def graphml(body: str, *, dtd: str = "", keys: str = _KEYS, edgedefault: str = "undirected") -> str:
    """A document of one graph."""
    return (
        f'{_HEAD.format(dtd=dtd)}{keys}<graph edgedefault="{edgedefault}">{body}</graph></graphml>'
    )


def node(name: str, x: object = 0.5) -> str:
    """A node with the attribute x."""
    return f'<node id="{name}"><data key="d0">{x}</data></node>'


def edge(u: str, v: str, more: str = "") -> str:
    """An edge between two nodes."""
    return f'<edge source="{u}" target="{v}"{more}/>'


def dense_tables(levels: tuple[int, ...], seed: int = 0, *, zeros: float = 0.4) -> list[np.ndarray]:
    """Random dense CPTs with impossible levels, NaN in every unreachable row."""
    rng = np.random.default_rng(seed)
    tables, mass = [], np.ones(())
    for i, k in enumerate(levels):
        p = rng.random((*levels[:i], k)) + 0.1
        p[rng.random(p.shape) < zeros] = 0
        p[..., 0] += p.sum(axis=-1) == 0
        p /= p.sum(axis=-1, keepdims=True)
        p[mass == 0] = np.nan
        tables.append(p)
        mass = np.nan_to_num(mass[..., None] * p)
    return tables
