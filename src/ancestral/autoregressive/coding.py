"""A likelihood you can hold: rows compressed by a model to the bits it says they hold.

    file size  =  header + sum over rows of -log2 p(x), to within the coder's rounding

A range coder turns each value into -log2 p(x_i | x_<i) bits. The decoder steps the same model
through the values it has decoded so far and meets the same conditionals. That only works where no
conditional looks ahead, so a file that decodes is a proof of it.

The coder is that of the package constriction (Bamler 2022), written once against the walk over
prefixes. Rows go in blocks; within a block the values of one variable are coded for all its rows.
Martin (1979), Range encoding.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import check_n_samples
from ancestral._extras import import_extra
from ancestral.autoregressive.steps import Stepped, Walk
from ancestral.errors import DataError, FormatError

MAGIC = b"ancz"
HEADER = struct.Struct("<4sIQII")  # magic, columns, rows, checksum of rows, of what follows
BLOCK = 8192  # rows stepped together: the decoder must take the same, so it never changes


def compress_levels(model: Stepped, levels: NDArray[np.intp]) -> bytes:
    """Return rows of level codes, shape (n, d), as bytes.

    Raises
    ------
    DataError
        At the first row of probability 0.
    MissingExtraError
        Without constriction.
    """
    coder, family = _coder()
    encoder = coder.RangeEncoder()
    n, d = levels.shape
    for start in range(0, n, BLOCK):
        block = levels[start : start + BLOCK]
        walk = Walk(model, block)
        for level in block.T:
            log_p = walk.conditionals()
            impossible = np.isneginf(log_p[np.arange(len(block)), level])
            if impossible.any():
                row = start + int(np.flatnonzero(impossible)[0])
                raise DataError(
                    f"row {row} has probability 0 under this model, so it has no code: leave it "
                    "out, or use a model that gives it a probability above 0 (smoothing=)."
                )
            if log_p.shape[1] > 1:
                encoder.encode(level.astype(np.int32), family, _probabilities(log_p))
            walk.grow(level, None)
    words = encoder.get_compressed().astype("<u4").tobytes()
    return HEADER.pack(MAGIC, d, n, _checksum(levels), zlib.crc32(words)) + words


def decompress_levels(model: Stepped, data: bytes) -> NDArray[np.intp]:
    """Return the rows of level codes behind bytes, shape (n, d).

    Raises
    ------
    FormatError
        When the bytes are no such file, are damaged, or were made with another model.
    MissingExtraError
        Without constriction.
    """
    n, checksum, words = _opened(model, data)
    coder, family = _coder()
    decoder = coder.RangeDecoder(words)
    levels = np.zeros((n, model.n_features_in_), np.intp)
    for start in range(0, n, BLOCK):
        block = levels[start : start + BLOCK]
        walk = Walk(model, block)
        for level in block.T:  # views: what is decoded stands in the rows
            log_p = walk.conditionals()
            if log_p.shape[1] > 1:
                level[:] = _decoded(decoder, family, _probabilities(log_p))
            walk.grow(level, None)
    if _checksum(levels) != checksum:
        raise FormatError(_other_model(model))
    return levels


def _opened(model: Stepped, data: bytes) -> tuple[int, int, NDArray[np.uint32]]:
    """Return the number of rows, their checksum and the coded words of a checked file."""
    if len(data) < HEADER.size or data[:4] != MAGIC:
        raise FormatError("the data were not made by compress: they begin with other bytes.")
    _, d, n, checksum, payload_checksum = HEADER.unpack_from(data)
    payload = data[HEADER.size :]
    if len(payload) % 4 or zlib.crc32(payload) != payload_checksum:
        raise FormatError("the compressed data are damaged or cut short: copy them again.")
    if d != model.n_features_in_:
        raise FormatError(
            f"the compressed rows have {d} variables, this model has {model.n_features_in_}: "
            "decompress with the model that compressed them."
        )
    check_n_samples(n, row_bytes=8 * d)
    return n, checksum, np.frombuffer(payload, "<u4").astype(np.uint32)


def _probabilities(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities in C order: constriction takes other memory as if it were in C order."""
    return np.ascontiguousarray(np.exp(log_p))


def _decoded(decoder: Any, family: Any, p: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return one level per row; a coder that meets words it cannot have written says so."""
    try:
        return np.asarray(decoder.decode(family, p)).astype(np.intp)
    except (ValueError, AssertionError) as error:
        raise FormatError(f"the data are no code of this model ({error}).") from None


def _other_model(model: Stepped) -> str:
    return (
        f"the compressed data do not decode with this {type(model).__name__}: they were made by "
        "another model, or on a machine that rounds differently. Use the same model on the same "
        "kind of machine."
    )


def _checksum(levels: NDArray[np.intp]) -> int:
    return zlib.crc32(np.ascontiguousarray(levels, dtype="<i8").tobytes())


def _coder() -> tuple[Any, Any]:
    """Return the range coder and the family of categorical distributions it codes by."""
    constriction = import_extra("constriction", "compressing", "coding")
    return constriction.stream.queue, constriction.stream.model.Categorical(perfect=False)
