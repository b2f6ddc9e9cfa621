"""Short texts, and rows of small whole numbers, as single numbers in the same order.

Numbers are compared, sorted and looked up many times faster than texts or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORD = 63  # bits of a number without its sign


@dataclass(frozen=True)
class Packing:
    """Text of few letters as whole numbers in the same order: `bits` for each of `width` letters.

    Of one width, or as long as both fit in 63 bits, numbers are compared, sorted and looked up many
    times faster than text.
    """

    width: int
    bits: int

    @classmethod
    def of(cls, tables: Sequence[NDArray]) -> Packing | None:
        """Return the packing that holds all of some arrays of text; None where it would not fit."""
        width = max((table.dtype.itemsize // 4 for table in tables), default=0)
        if not 0 < width < 64:
            return None
        bits = max(int(_letters(table).max(initial=1)).bit_length() for table in tables)
        return cls(width, bits) if width * bits <= WORD else None

    def packed(self, X: NDArray) -> NDArray[np.int64]:
        """Return text of letters that fit as numbers, -1 where it does not; of X's shape."""
        letters = _letters(X)  # (..., width of X)
        numbers = np.zeros(X.shape, np.int64)
        odd = np.zeros(X.shape, bool)
        for place in range(max(self.width, letters.shape[-1])):
            letter = letters[..., place] if place < letters.shape[-1] else np.uint32(0)
            if place < self.width:
                numbers <<= self.bits
                numbers |= letter
                odd |= letter >= (1 << self.bits)
            else:
                odd |= letter > 0
        numbers[odd] = -1
        return numbers

    def unpacked(self, numbers: NDArray[np.int64]) -> NDArray:
        """Return the text behind numbers."""
        shifts = self.bits * np.arange(self.width - 1, -1, -1)
        letters = (numbers[..., None] >> shifts) & ((1 << self.bits) - 1)
        text = np.ascontiguousarray(letters.astype(np.uint32)).view(f"<U{self.width}")
        return np.asarray(text[..., 0], f"U{self.width}")


def _letters(X: NDArray) -> NDArray[np.uint32]:
    """Return the code points of text, shape (..., width)."""
    X = np.ascontiguousarray(X, X.dtype.newbyteorder("="))
    return X.view(np.uint32).reshape(*X.shape, X.dtype.itemsize // 4)


def packed_rows(rows: NDArray) -> NDArray[np.int64] | None:
    """Return each row as numbers in lexicographic order, as few as hold it; None where none do.

    Parameters
    ----------
    rows : ndarray of shape (n, d) of integers or booleans, n and d above 0

    Returns
    -------
    ndarray of shape (n_words, n)
        The first word counts most.
    """
    low, high = rows.min(axis=0), rows.max(axis=0)
    bits = [(int(b) - int(a)).bit_length() for a, b in zip(low.tolist(), high.tolist())]
    if max(bits) > WORD:
        return None
    parts, first, left = list[slice](), 0, WORD
    weights = [0] * len(bits)  # of a constant column
    for j, n_bits in enumerate(bits):
        if n_bits > left:
            parts.append(slice(first, j))
            first, left = j, WORD
        left -= n_bits
        if n_bits:
            weights[j] = 1 << left
    parts.append(slice(first, len(bits)))
    shift = low.astype(np.int64) if low.any() else None
    words = np.empty((len(parts), len(rows)), np.int64)
    for word, part in zip(words, parts):
        least = min(filter(None, weights[part]), default=1)  # words are as small as can be
        own = np.array([weight // least for weight in weights[part]])
        numbers = rows[:, part].astype(np.int64, copy=False)
        np.matmul(numbers if shift is None else numbers - shift[part], own, out=word)
    return words
