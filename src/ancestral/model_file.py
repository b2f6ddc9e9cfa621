"""The saved format: one file, no code in it, checksummed, written atomically.

A model file is a safetensors file. Its metadata hold the format's name and version, the version of
the package that wrote it, the class, a JSON document (parameters, and fitted values in which arrays
are named), a fingerprint of the data that it was fitted to, and a SHA-256 of the whole file with
the digest's own 64 characters read as zeros. Loading checks the digest before it builds anything,
and builds only classes of the catalogue, and those that the program itself registered.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral import __version__, _catalogue
from ancestral._files import PathLike, as_path, open_regular, shown, write_atomically
from ancestral.errors import AncestralError, FormatError, SaveError

FORMAT = "ancestral-model"
FORMAT_VERSION = 1
MAX_BYTES = 4 << 30
# What may be parsed: JSON of brackets alone takes a hundred times its own room. An array is ten
# items, a name one.
MAX_HEADER_BYTES = 32 << 20
MAX_HEADER_ITEMS = 750_000
MAX_TEXT_BYTES = 128 << 20  # an array of text gives each of its items the room of the longest

# Of the data of a fit, for its fingerprint.
MOST_NUMBERS = 1 << 14  # looked at of a table or a column: rows in stretches evenly spaced
MOST_TEXTS = 1 << 11
MOST_OF_GRAPHS = 1 << 17  # whose fingerprint alone says that they are those of a fit
STRETCHES = 16
DIGESTED = 1 << 13  # bytes by SHA-256; of more than these, a CRC-32 of all stands beside the first
MOST_GRAPHS = 256
MOST_NODES = 200  # of a graph whose every link is looked at

_ZEROS = "0" * 64


def save(model: Any, path: PathLike, *, force: bool = False) -> Path:
    """Write a fitted model to `path`, whole or not at all.

    Parameters
    ----------
    model : a fitted model, of the package or of a class that was registered
    path : path-like
        Replaced atomically if it is a model file, or empty.
    force : bool
        Whether any other file is replaced, too.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    SaveError
        When the class has no saved form, a value cannot be stored, the disk refuses, or a file of
        this name is no model.
    """
    name = type(model).__name__
    if not _is_kept(model):
        known = ", ".join(entry.name for entry in _catalogue.MODELS)
        raise SaveError(
            f"{name} has no saved form; models that have: {known}. A class of your own gets one by "
            "ancestral.base.register."
        )
    path = as_path(path)
    params, state = model._kept_params(), model._fitted_state()
    packed = pack(name, params, state, model.data_fingerprint_)
    if not (force or may_replace(path)):
        raise SaveError(
            f"{shown(path)}: is there already, and is no model file, so it would be lost. Name "
            "another file, or remove this one first."
        )
    write_atomically(path, packed)
    return path


def load(path: PathLike) -> Any:
    """Read a saved model. No code in the file is run.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    model
        The fitted model, of the class that was saved.

    Raises
    ------
    FormatError
        When the file is missing, is no model file, is damaged, or has a newer format.

    Examples
    --------
    >>> import ancestral, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.model"
    >>> _ = ancestral.PPCA(1).fit(np.random.default_rng(0).normal(size=(50, 3))).save(path)
    >>> ancestral.load(path)
    PPCA()
    """
    packed = unpack(path)
    name, path = packed.kind, shown(path)
    entry = _catalogue.entry_named(name)
    if entry is None:
        is_ours = packed.writer == f"ancestral {__version__}"
        update = "" if is_ours else f"Update ancestral: {_written_by(packed.writer)}. "
        raise FormatError(
            f"{path}: holds a {name!r}, which this version does not know. "
            f"{update}If the class is your own, register it before: ancestral.base.register."
        )
    with _whole(path, name):
        model = entry.load()(**packed.params)
        model._restore(packed.state, checked_fingerprint(packed.data_fingerprint))
    return model


class Packed(NamedTuple):
    """What a file of this format holds."""

    kind: str  # the class of a model, or what else it is
    params: dict[str, Any]
    state: dict[str, Any]
    data_fingerprint: str
    writer: str = ""  # the version of the package; none in files of 0.1.0


def pack(
    kind: str, params: dict[str, Any], state: dict[str, Any], data_fingerprint: str = ""
) -> bytes:
    """Return a whole file in this format, of a model or of anything else made of plain values.

    Parameters
    ----------
    kind : what it is; for a model, its class
    params, state : dict
        None, bool, int, float, str, arrays, and lists, tuples and dicts of these; models.
    data_fingerprint : str

    Raises
    ------
    SaveError
        For a value that has no form here, naming it.
    """
    arrays: dict[str, NDArray] = {}
    params = _without_generators(params)
    document = {
        "params": _encode(params, arrays, "params"),
        "state": _encode(state, arrays, "state"),
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "writer": f"ancestral {__version__}",
        "class": kind,
        "document": json.dumps(document, allow_nan=False),
        "data_fingerprint": data_fingerprint,
    }
    whole = _signed(arrays, metadata)
    try:
        _check_header(whole[8 : 8 + _header_length(whole)])
        _check_header(metadata["document"])
    except ValueError as error:
        raise SaveError(f"{kind} is too large to be saved: {error}. Fit fewer columns.") from None
    return whole


def unpack(path: PathLike) -> Packed:
    """Read what `pack` made, its checksum first; no code in it is ever run.

    Raises
    ------
    FormatError
        When the file is missing, is none of this format, is damaged, or is of a newer one.
    """
    header, arrays = _read_checked(path)
    kind = header.get("class", "")
    with _whole(shown(path), kind):
        document = json.loads(header["document"])
        params, state = (_decode(document[part], arrays) for part in ("params", "state"))
        if not (isinstance(params, dict) and isinstance(state, dict)):
            raise ValueError("its parameters or values have no names")
    return Packed(kind, params, state, header.get("data_fingerprint", ""), header.get("writer", ""))


@contextmanager
def _whole(path: str, name: str) -> Iterator[None]:
    """Turn what a file that lacks something raises into one FormatError."""
    try:
        yield
    except (FormatError, ImportError):
        raise
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:
        raise FormatError(f"{path}: is not a whole {name} ({error}). Save it again.") from None


def _signed(arrays: dict[str, NDArray], metadata: dict[str, str]) -> bytes:
    """Return a whole file, its digest in place."""
    from safetensors.numpy import save as to_safetensors

    blank = to_safetensors(arrays, {**metadata, "sha256": _ZEROS})
    place = _digest_place(blank, _ZEROS)
    digest = hashlib.sha256(blank).hexdigest()
    return blank[:place] + digest.encode() + blank[place + 64 :]


def may_replace(path: Path) -> bool:
    """Tell whether a model may be saved to a path unasked: nothing else would be lost."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return True
    return not stat.S_ISREG(status.st_mode) or status.st_size == 0 or is_model_file(path)


def is_model_file(path: PathLike) -> bool:
    """Tell whether a file says of itself, in its header, that it holds a model of this package."""
    try:
        with open_regular(path) as file:
            _read_header(file)
    except (AncestralError, OSError, ValueError):
        return False
    return True


def _read_header(file: IO[bytes]) -> tuple[bytes, dict[str, Any]]:
    """Return the first bytes of a model file, to the header's end, and its metadata.

    Raises ValueError for what is no model file, before more than its header is read.
    """
    size = os.fstat(file.fileno()).st_size
    start = _read_exactly(file, 8)
    length = _header_length(start)
    if length > min(size - 8, MAX_HEADER_BYTES):
        raise ValueError("no header")
    header = _read_exactly(file, length)
    _check_header(header)
    try:
        metadata = json.loads(header)["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError("another format")
        _check_header(metadata["document"])  # which its escapes may have hidden so far
    except (KeyError, TypeError, RecursionError):
        raise ValueError("no header") from None
    return start + header, metadata


def _header_length(start: bytes) -> int:
    """Return the length of a header from the eight bytes before it."""
    return int.from_bytes(start[:8], "little")


def _check_header(text: bytes | str) -> None:
    """Raise ValueError for JSON that `save` does not write, before it is parsed."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    items = sum(map(text.count, "[{,"))
    if len(text) > MAX_HEADER_BYTES or items > MAX_HEADER_ITEMS:
        raise ValueError(
            f"its names, levels and arrays are {items:,} items in {len(text):,} bytes, of at most "
            f"{MAX_HEADER_ITEMS:,} and {MAX_HEADER_BYTES:,}"
        )


def _read_exactly(file: IO[bytes], n_bytes: int) -> bytes:
    """Return the next bytes of an unbuffered file; ValueError where there are fewer."""
    pieces = []
    while n_bytes and (piece := file.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    if n_bytes:
        raise ValueError("cut short")
    return b"".join(pieces)


def _read_checked(path: PathLike) -> tuple[dict[str, str], dict[str, NDArray]]:
    """Return the metadata and arrays of a file whose digest holds."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_safetensors

    name = shown(as_path(path))
    not_a_model = (
        f"{name}: is not a model file of this package. Models are written by model.save()."
    )
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise FormatError(
                    f"{name}: {size} bytes are more than a model file has ({MAX_BYTES})."
                )
            head, header = _read_header(file)
            version, digest = int(header["format_version"]), header["sha256"]
            place = _digest_place(head, digest)
            if version > FORMAT_VERSION:
                raise FormatError(
                    f"{name}: is of format {version}; this version reads up to {FORMAT_VERSION}. "
                    f"Update ancestral: {_written_by(header.get('writer', ''))}."
                )
            body = _read_exactly(file, size - len(head))
        except FormatError:
            raise
        except (ValueError, KeyError, TypeError):
            raise FormatError(not_a_model) from None
        except OSError as error:
            raise FormatError(f"{name}: cannot be read ({error.strerror}).") from None
    found = hashlib.sha256(head[:place] + _ZEROS.encode() + head[place + 64 :])
    found.update(body)
    if found.hexdigest() != digest:
        if _is_cut_short(head, body):
            raise FormatError(f"{name}: ends early: it is cut short; copy it again.")
        raise FormatError(
            f"{name}: its SHA-256 does not match: the file is damaged. Copy or save it again."
        )
    try:
        return header, from_safetensors(head + body)
    except SafetensorError:
        raise FormatError(not_a_model) from None


def _is_cut_short(head: bytes, body: bytes) -> bool:
    """Tell whether a header tells of arrays beyond a file's end."""
    header = json.loads(head[8:])
    try:
        ends = [one["data_offsets"][1] for key, one in header.items() if key != "__metadata__"]
        return bool(max(ends, default=0) > len(body))
    except (KeyError, TypeError, IndexError):
        return False


def _written_by(writer: str) -> str:
    """Return who wrote a file, for messages."""
    return f"{writer or 'another version'} wrote it, and this is {__version__}"


def _digest_place(data: bytes, digest: str) -> int:
    """Return where the digest's 64 characters stand in the file; ValueError if not once."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("no digest")
    mark = rb'"sha256":"(?=' + digest.encode() + b'")'
    found = [m.end() for m in re.finditer(mark, data[: 8 + _header_length(data)])]
    if len(found) != 1:
        raise ValueError("no digest")
    return found[0]


def _without_generators(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with None for live generators: they are no part of the fitted model."""
    live = np.random.Generator | np.random.RandomState
    return {key: None if isinstance(value, live) else value for key, value in params.items()}


def _encode(value: Any, arrays: dict[str, NDArray], name: str) -> Any:
    """Return a JSON form of `value`; numeric arrays go into `arrays` and leave their name."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, np.ndarray):
        if _is_object(value) and None in value.ravel().tolist():  # levels, missing ones among them
            return {"$objects": [_encode(v, arrays, name) for v in value.ravel()]}
        if value.dtype.kind in "UO":
            texts = [_text(v, name) for v in value.ravel()]
            try:
                _check_text(texts)
            except ValueError as error:
                raise SaveError(f"{name}: {error}. Shorten them.") from None
            return {
                "$strings": texts,
                "object": _is_object(value),
            }
        # safetensors writes Fortran-ordered memory as if it were C-ordered: make it contiguous.
        arrays[name] = np.ascontiguousarray(value)
        return {"$array": name}
    if isinstance(value, list | tuple):
        items = [_encode(v, arrays, f"{name}.{i}") for i, v in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, dict) and all(isinstance(k, str) and k[:1] != "$" for k in value):
        return {k: _encode(v, arrays, f"{name}.{k}") for k, v in value.items()}
    if isinstance(value, dict) and name.endswith(".categories"):  # by the numbers of columns
        return {
            "$pairs": [
                [_encode(v, arrays, f"{name}.{i}") for v in pair]
                for i, pair in enumerate(value.items())
            ]
        }
    if _is_kept(value):
        return _encode_model(value, arrays, name)
    raise SaveError(f"{name}: a {type(value).__name__} has no saved form.")


def _is_kept(model: Any) -> bool:
    """Tell whether a model is of the catalogue itself: a class made from one may hold more."""
    kind, entry = type(model), _catalogue.entry_of(model)
    return entry is not None and (entry.name, entry.module) == (kind.__name__, kind.__module__)


def _encode_model(model: Any, arrays: dict[str, NDArray], name: str) -> Any:
    """Return the form of a model inside a model: a parameter (not fitted) or a member (fitted)."""
    params = _without_generators(model._kept_params())
    state = model._fitted_state() if model._learnt() else None
    return {
        "$model": type(model).__name__,
        "params": _encode(params, arrays, f"{name}.params"),
        "state": _encode(state, arrays, f"{name}.state"),
    }


def _decode_model(value: dict[str, Any], arrays: dict[str, NDArray]) -> Any:
    """Undo `_encode_model`."""
    entry = _catalogue.entry_named(value["$model"])
    if entry is None:
        raise ValueError(f"it holds a {value['$model']!r}, which this version does not know")
    model = entry.load()(**_decode(value["params"], arrays))
    state = _decode(value["state"], arrays)
    if state is not None:
        model._restore(state)
    return model


def _is_object(value: NDArray) -> bool:
    return value.dtype.kind == "O"


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise SaveError(f"{name}: a {type(value).__name__} among text has no saved form.")
    return str(value)


def _check_text(values: list[Any]) -> None:
    """Raise ValueError for text that would take far more room as an array than in a file."""
    longest = max((len(value) for value in values if isinstance(value, str)), default=0)
    if 4 * longest * len(values) > MAX_TEXT_BYTES:
        raise ValueError(f"{len(values):,} texts of up to {longest:,} characters are too many")


def _decode(value: Any, arrays: dict[str, NDArray]) -> Any:
    """Undo `_encode`."""
    if isinstance(value, list):
        return [_decode(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$float" in value:
        return float(value["$float"])
    if "$tuple" in value:
        return tuple(_decode(v, arrays) for v in value["$tuple"])
    if "$model" in value:
        return _decode_model(value, arrays)
    if "$pairs" in value:
        return {_decode(k, arrays): _decode(v, arrays) for k, v in value["$pairs"]}
    if "$objects" in value:
        held = value["$objects"]
        if any(type(v) not in (type(None), bool, int, str) for v in held):
            raise ValueError("a list of levels holds what is none")
        found = np.empty(len(held), dtype=object)
        found[:] = held
        return found
    if "$strings" in value:
        _check_text(value["$strings"])
        return np.array(value["$strings"], dtype=object if value["object"] else np.str_)
    return {k: _decode(v, arrays) for k, v in value.items()}


# ---- what tells the data of one fit from those of another ---------------------------------------


def fingerprint(*data: Any) -> str:
    """Return a hash of shapes and values, the same whatever dtype or memory order holds them.

    Parameters
    ----------
    *data : ndarray of shape (n,) or (n, d), list of graphs, or None
        Checked by the model. Every value of up to 2**14 numbers, or 2**11 texts, is looked at; of
        more, as many in 16 stretches of rows, evenly spaced, and of wide rows in columns evenly
        spaced: that tells data sets apart, not one changed value in a large one. Of graphs 256 at
        most are looked at, and 2**17 values.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in data:
        if isinstance(part, list):
            _add_graphs(digest, part)
        elif part is not None:
            _add(digest, part)
    return digest.hexdigest()


def checked_fingerprint(text: str) -> str:
    """Return a fingerprint that a file names, or the "" of none; raise ValueError for another."""
    if text and not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("what it names as the data's fingerprint is none")
    return text


def _add(digest: Any, values: Any, most: int = MOST_NUMBERS) -> None:
    """Hash an array's shape, and its values as float64 or as text."""
    digest.update(f"{tuple(values.shape)};".encode())
    found = _bytes_of(_some_of(values, most))
    digest.update(found[:DIGESTED])
    if len(found) > DIGESTED:
        digest.update(_crc32(found).to_bytes(4, "little"))


def _some_of(values: Any, most: int) -> NDArray:
    """Return an array, or some stretches of its rows, of wide ones some columns, as numpy's."""
    if type(values) is np.ndarray and values.size <= min(most, MOST_TEXTS):
        return values
    from ancestral import _arrays  # scikit-learn's: reading a model file does without

    n, *columns = values.shape
    if isinstance(values, np.ndarray) and values.dtype.kind in "OUS":
        most = min(most, MOST_TEXTS)
    if n * math.prod(columns) <= most:
        return _arrays.to_host(values)
    widest = most // STRETCHES  # of the columns that are looked at
    apart = tuple(slice(None, None, -(-width // widest)) for width in columns)
    width = math.prod(-(-width // gap.step) for width, gap in zip(columns, apart))
    stretches = min(n, STRETCHES)
    rows = max(1, min(most // width, n) // stretches)
    starts = [(n - rows) * k // max(1, stretches - 1) for k in range(stretches)]
    found = [_arrays.to_host(values[(slice(a, a + rows), *apart)]) for a in starts]
    return np.concatenate(found)


def _bytes_of(values: NDArray) -> bytes:
    if values.dtype.kind in "OUS":
        return "\x1f".join(map(str, values.ravel().tolist())).encode("utf-8", "surrogatepass")
    if values.dtype.kind in "biu" and values.dtype.itemsize < 8:
        return np.asarray(values, "<f8").tobytes()
    numbers = np.ascontiguousarray(values, "<f8") + 0.0  # one zero
    if values.dtype.kind in "iu" and values.size and np.abs(numbers).max() > 1 << 53:
        return str(values.ravel().tolist()).encode()  # what float64 would round
    if (gaps := np.isnan(numbers)).any():
        numbers[gaps] = np.nan  # one NaN
    return numbers.tobytes()


def _crc32(data: bytes) -> int:
    """Return the CRC-32, by the faster of two libraries that give the same."""
    try:
        from zlib_ng.zlib_ng import crc32
    except ImportError:
        from zlib import crc32
    return int(crc32(data))


def _add_graphs(digest: Any, graphs: list[Any]) -> None:
    """Hash how many graphs there are, and the features and links of some of them."""
    chosen = graphs[:: -(-len(graphs) // MOST_GRAPHS)]
    digest.update(f"{len(graphs)} graphs;{[graph.n_nodes for graph in chosen]};".encode())
    features = np.concatenate([graph.numbers.ravel() for graph in chosen])
    links = np.concatenate([_links_of(graph.adjacency) for graph in chosen])
    _add(digest, features, MOST_OF_GRAPHS)
    _add(digest, links, MOST_OF_GRAPHS)
    for k, graph in enumerate(chosen):
        if graph.directed or graph.unknown is not None:
            digest.update(f"{k};{graph.directed};".encode())
            for ends in graph.unknown_dyads():
                _add(digest, ends, MOST_OF_GRAPHS)


def _links_of(adjacency: Any) -> NDArray:
    """Return the entries of a small adjacency, the degrees of a large one."""
    n = adjacency.shape[0]
    if n > MOST_NODES and isinstance(adjacency, np.ndarray) and adjacency.dtype == np.int8:
        # 127 rows of 0 and 1 add up to a byte, ten times as fast as to a whole number
        parts = [adjacency[k : k + 127].sum(axis=0, dtype=np.int8) for k in range(0, n, 127)]
        return np.asarray(np.sum(parts, axis=0, dtype=np.int64))
    if n > MOST_NODES:
        return np.asarray(adjacency.sum(axis=0)).ravel()
    return (adjacency.toarray() if hasattr(adjacency, "toarray") else adjacency).ravel()
