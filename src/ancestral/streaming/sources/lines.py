"""Where the lines of a text file end, and its bytes as text."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ancestral.errors import FormatError
from ancestral.streaming.sources.files import File

MOST_EXPANDED = 1 << 30  # of a gzipped file, which is read at once


def cuts_outside_quotes(stream: Any, begin: int, step: int, size: int) -> Iterator[int]:
    """Yield ends of lines, each some bytes after the one before, from a look at all of the file."""
    stream.seek(begin)
    at, odd, wanted = begin, False, begin + step
    while block := stream.read(1 << 22):
        after = 0
        while wanted < at + len(block):
            place = max(after, wanted - at)
            odd ^= block.count(b'"', after, place) % 2 == 1
            end = line_end(block, place, odd=odd)
            if end < 0:
                after = place
                break
            if at + end < size:
                yield at + end
            odd, after, wanted = False, end, at + end + step
        odd ^= block.count(b'"', after) % 2 == 1
        at += len(block)


def line_end(text: bytes, start: int, *, odd: bool = False) -> int:
    """Return where the line that begins at a place ends, -1 where it does not."""
    at = start
    while (end := text.find(b"\n", at)) >= 0:
        odd ^= text.count(b'"', at, end) % 2 == 1
        if not odd:
            return end + 1
        at = end + 1
    return -1


def whole_lines(text: bytes) -> bytes:
    """Return a text up to the last end of a line."""
    end = text.rfind(b"\n")
    while end >= 0 and text.count(b'"', 0, end) % 2:
        end = text.rfind(b"\n", 0, end)
    return text[: end + 1]


def bytes_of_rows(sample: bytes, rows: int) -> int:
    """Return about how many bytes so many rows take."""
    lines = max(1, sample.count(b"\n"))
    return max(1, len(sample) * rows // lines)


def is_gzipped(file: File) -> bool:
    return file.path.lower().endswith(".gz")


def content_of(file: File, begin: int, end: int) -> bytes:
    """Return bytes of the text; of a gzipped file all that follow."""
    if not is_gzipped(file):
        return file.read(begin, end)
    inflater = zlib.decompressobj(wbits=31)
    try:
        text = inflater.decompress(file.read(), MOST_EXPANDED)
    except zlib.error as error:
        raise FormatError(f"{file.name}: damaged gzip ({error}); copy it again.") from None
    if inflater.unconsumed_tail:
        raise FormatError(
            f"{file.name}: expands to more than {MOST_EXPANDED >> 30} GiB, and gzipped files are "
            "read at once. Gunzip it: then it is read in parts."
        )
    if not inflater.eof:
        raise FormatError(f"{file.name}: the gzip has no end: it is cut short; copy it again.")
    return text[begin:]


def lines_before(file: File, begin: int) -> int:
    """Return how many lines end before a place in a file."""
    if begin == 0 or is_gzipped(file):
        return min(begin, 1)
    step = 1 << 24
    ends = (min(at + step, begin) for at in range(0, begin, step))
    return sum(file.read(end - (end % step or step), end).count(b"\n") for end in ends)


def line_of(content: bytes, sep: str, row: int) -> int:
    """Return the number of the line, from 1, on which a row of some lines ends."""
    reader = csv.reader(io.StringIO(content.decode(errors="replace"), newline=""), delimiter=sep)
    return next(islice((reader.line_num for cells in reader if cells), row, None), row + 1)
