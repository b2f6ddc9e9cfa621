"""The saved format: one file, no code in it, checksummed, written atomically.

A model file is a safetensors file. Its metadata hold the format's name and version, the class,
a JSON document (parameters, and fitted values in which arrays are named), a fingerprint of the data
that it was fitted to, and a SHA-256 of the whole file with the digest's own 64 characters read as
zeros. Loading checks the digest before it
builds anything, and builds only classes in the registry below.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import itertools
import json
import math
import os
import re
import shutil
import struct
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ancestral._fingerprint import checked_fingerprint
from ancestral.errors import FormatError, SaveError

FORMAT = "ancestral-model"
FORMAT_VERSION = 1
MAX_BYTES = 4 << 30

# Class name -> module, both as strings: a file can name nothing else, and nothing loads early.
REGISTRY = {
    "TabularAutoregressive": "ancestral.autoregressive.tabular",
    "LSTMAutoregressive": "ancestral.autoregressive.lstm",
    "ChainAutoregressive": "ancestral.autoregressive.chain",
    "OrderMixture": "ancestral.autoregressive.orders",
    "PPCA": "ancestral.gaussian.ppca",
    "PPCAMixture": "ancestral.gaussian.ppca_mixture",
    "LinearGaussian": "ancestral.gaussian.linear",
    "HeteroscedasticGaussian": "ancestral.gaussian.heteroscedastic",
    "NeuralGaussian": "ancestral.gaussian.neural",
    "InnerProductGraph": "ancestral.graph.inner_product",
    "LatentPositionGraph": "ancestral.graph.latent_positions",
}

_ZEROS = "0" * 64
_SERIAL = itertools.count()  # tells the temporary files of one process apart


def save(model: Any, path: str | os.PathLike[str]) -> Path:
    """Write a fitted model to `path`, whole or not at all.

    Parameters
    ----------
    model : one of the package's models, fitted
    path : path-like
        Replaced atomically if it exists.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    SaveError
        When the class has no saved form, a value cannot be stored, or the disk refuses.
    """
    name = type(model).__name__
    if name not in REGISTRY:
        raise SaveError(f"{name} has no saved form; models that have: {', '.join(REGISTRY)}.")
    path = Path(path)
    params, state = model.get_params(deep=False), model._fitted_state()
    write_atomically(path, _to_bytes(name, params, state, model.data_fingerprint_))
    return path


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model saved by this package; nothing in the file is ever run.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    model
        Fitted, of the class that was saved.

    Raises
    ------
    FormatError
        When the file is missing, is no model file, is damaged, or is of a newer format.
    """
    path = Path(path)
    header, arrays = _read_checked(path)
    name = header.get("class")
    if name not in REGISTRY:
        raise FormatError(
            f"{path}: holds a {name!r}, which this version does not know. "
            "Update ancestral if a newer one wrote it."
        )
    try:
        document = json.loads(header["document"])
        params = _decode(document["params"], arrays)
        state = _decode(document["state"], arrays)
        cls = getattr(importlib.import_module(REGISTRY[name]), name)
        model = cls(**params)
        model._restore(state)
        model._data_fingerprint = checked_fingerprint(header.get("data_fingerprint", ""))
    except FormatError:
        raise
    except ImportError:
        raise
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:
        raise FormatError(
            f"{path}: is not a whole {name} ({error}). Save the model again."
        ) from None
    return model


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, sync it, rename it over `path`, sync the folder.

    Raises
    ------
    SaveError
        The old file, if any, is then untouched and the temporary file is gone.

    Notes
    -----
    A link to a file is followed: the file it names is replaced, the link stays.
    """
    check_destination(path, wanted=0)  # stale files may be what fills the disk
    if path.is_symlink():
        path = _followed(path)
    _sweep(path)
    temporary = _temporary(path)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():  # a private model stays private
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise SaveError(_why_not_written(path, len(data), error)) from None
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path)


def check_destination(path: Path, *, wanted: int = 1) -> None:
    """Refuse a path that cannot be written, before the work whose result it is to hold.

    Parameters
    ----------
    path : Path
    wanted : int
        Bytes that the result will take at least.

    Raises
    ------
    SaveError
        When its folder is missing or closed, its disk has less room, or it is itself a folder, a
        device, a pipe or a read-only file.
    """
    if path.is_symlink():
        path = _followed(path)
    folder = path.parent
    if not folder.is_dir():
        raise SaveError(f"{folder}: no such folder. Make it first, or name another path.")
    if path.is_dir():
        raise SaveError(f"{path}: is a folder. Name a file in it.")
    if path.exists() and not path.is_file():  # a renaming would put a file in its place
        raise SaveError(f"{path}: is a device or a pipe, not a file. Name a file.")
    if not os.access(folder, os.W_OK):
        raise SaveError(f"{folder}: may not be written. Name a path elsewhere.")
    if path.exists() and not os.access(path, os.W_OK):  # a renaming would not ask
        raise SaveError(f"{path}: may not be written. Make it writable, or name another path.")
    if (free := shutil.disk_usage(folder).free) < wanted:
        raise SaveError(
            f"{path}: no room: {wanted} bytes or more wanted, {free} free. Free some space or save "
            "elsewhere."
        )


def _followed(path: Path) -> Path:
    """Return where a link leads."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise SaveError(f"{path}: is a link that leads nowhere. Name another path.") from None


def _why_not_written(path: Path, wanted: int, error: OSError) -> str:
    """Word a failed write; a full disk says what is free and what is wanted."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(path.parent).free
        return (
            f"{path}: no room: {wanted} bytes wanted, {free} free ({error.strerror}). "
            "Free some space or save elsewhere; nothing was changed."
        )
    return f"{path}: cannot be written ({error.strerror}). Nothing was changed."


def _temporary(path: Path) -> Path:
    """Return a name beside `path` that no other writer uses, in this process or another."""
    return path.with_name(f".{_stem(path.name)}.{os.getpid()}.{next(_SERIAL)}.tmp")


def _stem(name: str) -> str:
    """Return as much of a file's name as leaves room for a suffix within 255 bytes."""
    return os.fsdecode(os.fsencode(name)[:200]).encode(errors="ignore").decode()


def _sweep(path: Path) -> None:
    """Remove temporary files of `path` whose writer is no longer running."""
    pattern = re.compile(re.escape(f".{_stem(path.name)}.") + r"(\d+)\.\d+\.tmp")
    for entry in path.parent.iterdir():
        found = pattern.fullmatch(entry.name)
        if found and not is_running(int(found.group(1))):
            entry.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Tell whether a process of this number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _sync_folder(path: Path) -> None:
    """Make the renaming of `path` durable where the system can sync a folder."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise SaveError(
                f"{path}: is written, but its folder could not be synced ({error.strerror}): "
                "a power cut may undo it. Save again."
            ) from None
    finally:
        os.close(descriptor)


def _to_bytes(name: str, params: dict[str, Any], state: dict[str, Any], data: str = "") -> bytes:
    """Return the whole file of a model."""
    arrays: dict[str, NDArray] = {}
    params = _without_generators(params)
    document = {
        "params": _encode(params, arrays, "params"),
        "state": _encode(state, arrays, "state"),
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "class": name,
        "document": json.dumps(document, allow_nan=False),
        "data_fingerprint": data,
    }
    return _signed(arrays, metadata)


def _signed(arrays: dict[str, NDArray], metadata: dict[str, str]) -> bytes:
    """Return a whole file, its digest in place."""
    from safetensors.numpy import save as to_safetensors

    blank = to_safetensors(arrays, {**metadata, "sha256": _ZEROS})
    place = _digest_place(blank, _ZEROS)
    digest = hashlib.sha256(blank).hexdigest()
    return blank[:place] + digest.encode() + blank[place + 64 :]


def _read_checked(path: Path) -> tuple[dict[str, str], dict[str, NDArray]]:
    """Return the metadata and arrays of a file whose digest holds."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_safetensors

    data = _read_bytes(path)
    not_a_model = (
        f"{path}: is not a model file of this package. Models are written by model.save()."
    )
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])["__metadata__"]
        if header["format"] != FORMAT:
            raise KeyError("format")
        version, digest = int(header["format_version"]), header["sha256"]
        place = _digest_place(data, digest)
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(not_a_model) from None
    if version > FORMAT_VERSION:
        raise FormatError(
            f"{path}: is of format {version}; this version reads up to {FORMAT_VERSION}. "
            "Update ancestral."
        )
    blank = data[:place] + _ZEROS.encode() + data[place + 64 :]
    if hashlib.sha256(blank).hexdigest() != digest:
        raise FormatError(
            f"{path}: its SHA-256 does not match: the file is damaged. Copy or save it again."
        )
    try:
        return header, from_safetensors(data)
    except SafetensorError:
        raise FormatError(not_a_model) from None


def _read_bytes(path: Path) -> bytes:
    """Return a regular file's bytes, with errors that name it."""
    if not path.exists():
        raise FormatError(f"{path}: no such file.")
    if not path.is_file():
        raise FormatError(f"{path}: is not a regular file. Name a saved model.")
    size = path.stat().st_size
    if size == 0:
        raise FormatError(f"{path}: file is empty (0 bytes).")
    if size > MAX_BYTES:
        raise FormatError(f"{path}: {size} bytes are more than a model file has ({MAX_BYTES}).")
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}).") from None


def _digest_place(data: bytes, digest: str) -> int:
    """Return where the digest's 64 characters stand in the file; ValueError if not once."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("no digest")
    (length,) = struct.unpack("<Q", data[:8])
    found = [
        m.end()
        for m in re.finditer(rb'"sha256":"(?=' + digest.encode() + b'")', data[: 8 + length])
    ]
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
        if value.dtype.kind in "UO":
            return {
                "$strings": [_text(v, name) for v in value.ravel()],
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
    if type(value).__name__ in REGISTRY and hasattr(value, "_fitted_state"):
        return _encode_model(value, arrays, name)
    raise SaveError(f"{name}: a {type(value).__name__} has no saved form.")


def _encode_model(model: Any, arrays: dict[str, NDArray], name: str) -> Any:
    """Return the form of a model inside a model: a parameter (not fitted) or a member (fitted)."""
    params = _without_generators(model.get_params(deep=False))
    state = model._fitted_state() if hasattr(model, "n_features_in_") else None
    return {
        "$model": type(model).__name__,
        "params": _encode(params, arrays, f"{name}.params"),
        "state": _encode(state, arrays, f"{name}.state"),
    }


def _decode_model(value: dict[str, Any], arrays: dict[str, NDArray]) -> Any:
    """Undo `_encode_model`."""
    name = value["$model"]
    cls = getattr(importlib.import_module(REGISTRY[name]), name)
    model = cls(**_decode(value["params"], arrays))
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


def _decode(value: Any, arrays: dict[str, NDArray]) -> Any:
    """Undo `_encode`."""
    if isinstance(value, list):
        return [_decode(v, arrays) for v in value]
    if _is_tagged(value, "$array"):
        return arrays[value["$array"]]
    if _is_tagged(value, "$float"):
        return float(value["$float"])
    if _is_tagged(value, "$tuple"):
        return tuple(_decode(v, arrays) for v in value["$tuple"])
    if _is_tagged(value, "$model"):
        return _decode_model(value, arrays)
    if _is_tagged(value, "$strings"):
        return np.array(value["$strings"], dtype=object if value["object"] else np.str_)
    if isinstance(value, dict):
        return {k: _decode(v, arrays) for k, v in value.items()}
    return value


def _is_tagged(value: Any, tag: str) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and tag in value
