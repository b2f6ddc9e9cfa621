"""Hostile files by the hundred, each with the answer or the refusal that it ought to have.

What is expected is worked out here, from how a file was made, and never by the library. A case is
one file and one call; the kinds are paths, whole numbers, numbers as text, indexes and targets,
pictures, graphs in GraphML, and tables of text.
"""

from __future__ import annotations

import io
import os
import re
import string
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import ancestral
from ancestral._checks.missing import MISSING_TEXT
from ancestral.io import read_array, read_columns, read_edge_list, read_graphs, read_pairs
from tests.io.hostile_files import png_bytes

ASCII_NUMBER = re.compile(r" *[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)? *")


@dataclass
class Case:
    """One call on one file: it gives `expected`, or is refused in words that match `says`."""

    kind: str
    call: Callable[[], Any]
    expected: Any = None
    says: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        return self.expected is None


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- paths ------------------------------------------------------------------------------------


def paths(rng: Random, folder: Path) -> Case:
    """What is no file, at every reader."""
    reader = rng.choice(
        (read_array, read_columns, read_graphs, read_pairs, ancestral.load, ancestral.read_tables)
    )
    ending = rng.choice((".npy", ".npz", ".csv", ".parquet", ".graphml", ".pkl", ""))
    word = "".join(rng.choices(string.ascii_letters + " é漢", k=5))
    kind = rng.randrange(9)
    path: Any = folder / (word + ending)
    if kind == 0:
        path = rng.choice((None, 3, b"bytes", 2.5, object(), [path]))
    elif kind == 1:
        path = f"{word}\0{ending}"
    elif kind == 2:
        path = folder / (word * rng.randrange(60, 2000) + ending)
    elif kind == 3:
        path.mkdir()
        if reader is read_array:  # which reads folders of pictures
            put(path, word, "x")
    elif kind == 4:
        os.mkfifo(path)
    elif kind == 5:
        path.symlink_to(folder / rng.choice((word + ending, "gone")))
    elif kind == 6:
        path = put(folder, word + ending, b"")
    elif kind == 7:
        path = put(folder, "file", "x") / word
    named = kind not in (0, 1)
    return Case("path", lambda: reader(path), says=(re.escape(word[:3]),) if named else ())


# ---- whole numbers ----------------------------------------------------------------------------


def whole_numbers(rng: Random, folder: Path) -> Case:
    """A number about 2**53, or of 17 digits and more, at one of the doors: exact, or refused."""
    value = rng.choice(
        (2**53 + rng.randrange(-3, 4), rng.randrange(10**16, 10**18), rng.randrange(2**52, 2**54))
    ) * rng.choice((1, -1))
    exact = abs(value) <= 2**53
    column = [1, value, rng.randrange(9), 4]
    others = [rng.random() for _ in column]
    expected = np.column_stack([np.array(column, float), others]) if exact else None
    says = (str(value),)
    door = rng.randrange(6)
    if door == 0:
        rows = "".join(f"{a},{b!r}\n" for a, b in zip(column, others))
        path = put(folder, "a.csv", "id,x\n" + rows)
        return Case("whole number", lambda: read_columns(path)[1], expected, says)
    if door == 1:
        import pandas as pd

        path = folder / "a.parquet"
        pd.DataFrame({"id": column, "x": others}).to_parquet(path)
        return Case("whole number", lambda: _floats(read_pairs(path, "x")), expected, says)
    if door == 2:
        import pandas as pd

        frame = pd.DataFrame({"id": column, "x": others})
        fit = ancestral.PPCA(0).fit
        mean = expected.mean(axis=0) if exact else None
        return Case("whole number", lambda: fit(frame).mean_, mean, says)
    if door == 3:
        X = np.arange(4.0)[:, None]
        fit = ancestral.LinearGaussian().fit
        mean = np.mean(np.array(column, float)) if exact else None
        y = rng.choice((list, lambda c: np.array(c, object), lambda c: np.array(c, np.int64)))(
            column
        )
        return Case("whole number", lambda: fit(X, y).predict([[1.5]])[0], mean, says)
    if door == 4:
        E = np.zeros((4, 4), int)
        E[0, 1] = E[1, 0] = 1
        path = folder / "g.npz"
        np.savez(path, features=np.array(column)[:, None], adjacency=E)
        features = np.array(column, float)[:, None] if exact else None
        return Case("whole number", lambda: read_graphs(path)[0].features, features, says)
    ids = [f"{value}", f"{value + 1}", "x"]  # names of nodes stay as they are written
    edges = put(folder, "edges.csv", f"source,target\n{ids[0]},{ids[2]}\n{ids[1]},{ids[2]}\n")
    nodes = put(folder, "nodes.csv", "id,age\n" + "".join(f"{i},{k}\n" for k, i in enumerate(ids)))
    return Case("whole number", lambda: _edges(read_edge_list(edges, nodes)), {(0, 2), (1, 2)})


def _floats(pairs: Any) -> np.ndarray:
    return np.column_stack([pairs.X[:, 0], pairs.y])


def _edges(graph: Any) -> set[tuple[int, int]]:
    graph = graph[0] if isinstance(graph, list) else graph
    i, j = graph.edges()
    return {(min(a, b), max(a, b)) for a, b in zip(i.tolist(), j.tolist())}


# ---- numbers as text --------------------------------------------------------------------------


def spelt(rng: Random) -> str:
    """Return a number as some program or somebody might write it."""
    digits = str(rng.randrange(10**6))
    script = rng.choice((0xFF10, 0x0660, 0x0966, 0x1D7CE))  # full width, Arabic, Devanagari, bold
    return rng.choice(
        (
            digits, f"-{digits}.25", f"+{digits}", f".{digits}", f"{digits}.", f" {digits} ",
            f"{digits}e2", f"{digits}E-3", f"{digits[0]}_{digits}", f"_{digits}", f"0x{digits}",
            "".join(chr(script + int(d)) for d in digits), f"{digits}d2", f"{digits}f",
            f"--{digits}", f"{digits}-", f"1 {digits}", f"{digits}%", f"${digits}", "½", "TRUE",
            f"{digits[0]}.{digits}.1", f"1e{digits}1e", "Infinity", "-inf", "NaN", "None", "null",
            "", f"\N{MINUS SIGN}{digits}", f"{digits}\N{NO-BREAK SPACE}000", f"1'{digits}",
        )
    )  # fmt: skip


def numbers_as_text(rng: Random, folder: Path) -> Case:
    """One spelling in a table, or of a node's attribute: its number, or a refusal that shows it."""
    text = spelt(rng)
    value = float(text) if ASCII_NUMBER.fullmatch(text) else None
    if rng.random() < 0.5:
        rows = [[1.0, 2.0], [3.0, value], [5.0, 6.0]]
        path = put(folder, "a.csv", f'a,b\n1,2\n3,"{text}"\n5,6\n')
        says = (r"a\.csv: line 3, column 'b'",)
        expected = np.array(rows) if value is not None else None
        return Case("number as text", lambda: read_columns(path)[1], expected, says)
    path = put(folder, "a.graphml", graphml([text, "2"], [(0, 1)]))
    if text.strip().lower() in MISSING_TEXT:
        value = np.nan
    expected = np.array([[value], [2.0]]) if value is not None else None
    call = lambda: read_graphs(path)[0].features  # noqa: E731
    return Case("number as text", call, expected, (r"a\.graphml", "n0"))


# ---- index and target -------------------------------------------------------------------------


def indexes_and_targets(rng: Random, folder: Path) -> Case:
    """A pandas index is no column; a target is taken where its name or place tells, else asked."""
    import pandas as pd

    words = ["age", "size", "cost", "customer_id", "weight", "höhe", "year"]
    names = rng.sample(words, rng.randrange(2, 5))
    if rng.random() < 0.5:
        names[rng.randrange(len(names))] = rng.choice(("y", "Target", "label", "RESPONSE"))
    if rng.random() < 0.2:
        names.append("y" if "y" not in names else "label")
    frame = pd.DataFrame({name: [rng.random() for _ in range(6)] for name in names})
    marked = [k for k, n in enumerate(names) if n.lower() in ("y", "target", "label", "response")]
    place = marked[0] if len(marked) == 1 else 1 if not marked and len(names) == 2 else None
    table = frame.to_numpy()
    if rng.random() < 0.5:
        index = rng.choice(("customer", "id", None, "y"))
        index = None if index in names else index
        frame.index = pd.Index(np.arange(6) + rng.randrange(1, 10**6), name=index)
        path = folder / "a.parquet"
        frame.to_parquet(path)
    else:
        path = folder / "a.csv"
        frame.to_csv(path, index=False)
    expected = None
    if place is not None:
        expected = [np.delete(table, place, axis=1), table[:, place]]
    says = (r"a\.(csv|parquet)", "not clear", *map(re.escape, names))
    return Case("index or target", lambda: _parts(read_pairs(path)), expected, says)


def _parts(pairs: Any) -> list[np.ndarray]:
    return [pairs.X, pairs.y]


# ---- pictures ---------------------------------------------------------------------------------


def pictures(rng: Random, folder: Path) -> Case:
    """Whole pictures come as they are; short, damaged, coloured and mixed ones are refused."""
    from PIL import Image

    draw = np.random.default_rng(rng.randrange(2**32))
    size = (rng.randrange(9, 60), rng.randrange(9, 60))
    pixels = draw.integers(0, 256, size, dtype=np.uint8)
    smooth = (np.add.outer(np.arange(size[0]) * 3, np.arange(size[1]) * 2) % 256).astype(np.uint8)
    says = (r"a\.(png|jpg|gif|tiff)",)
    kind = rng.randrange(9)

    def case(content: bytes, name: str = "a.png", expected: Any = None) -> Case:
        put(folder, name, content)
        return Case("picture", lambda: read_array(folder)[0], expected, says)

    if kind == 0:
        return case(png_bytes(pixels), expected=pixels)
    if kind == 1:  # fewer rows than the header says, checksums right
        rows = b"".join(b"\0" + row.tobytes() for row in pixels)
        data = zlib.compress(rows[: rng.randrange(len(rows))])
        whole = png_bytes(pixels)
        start, stop = whole.index(b"IDAT") - 4, whole.index(b"IEND") - 4
        chunk = b"IDAT" + data
        body = len(data).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        return case(whole[:start] + body + whole[stop:])
    if kind == 2:
        damaged = bytearray(png_bytes(pixels))
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        return case(bytes(damaged))
    if kind == 3:
        mode = rng.choice(("RGB", "P", "RGBA", "LA"))
        return case(_saved(Image.fromarray(pixels).convert(mode), "png"))
    if kind == 4:
        other = rng.choice(("gif", "tiff"))
        return case(_saved(Image.fromarray(pixels), other), f"a.{other}")
    if kind == 5:
        put(folder, "0.png", png_bytes(pixels.astype(np.uint16) * 257))
        return case(png_bytes(pixels))
    jpeg = _saved(Image.fromarray(smooth), "jpeg", quality=rng.choice((40, 75, 95)))
    start = jpeg.rindex(b"\xff\xda") + 10
    if kind == 6:
        return case(jpeg, "a.jpg", np.asarray(Image.open(io.BytesIO(jpeg))))
    if kind == 7:  # cut, and closed again
        cut = rng.randrange(start + 1, len(jpeg) - 2)
        return case(jpeg[:cut].rstrip(b"\xff") + b"\xff\xd9", "a.jpg")
    return case(jpeg[: -rng.randrange(1, len(jpeg) - 20)], "a.jpg")


def _saved(picture: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


# ---- GraphML ----------------------------------------------------------------------------------


def graphml(
    values: list[str],
    edges: list[tuple[int, int]],
    *,
    default: str = "undirected",
    of_edge: str = "",
) -> str:
    """Return a document of nodes n0, n1, ... with one attribute, x."""
    nodes = "".join(
        f'<node id="n{k}"><data key="x">{value}</data></node>' for k, value in enumerate(values)
    )
    links = "".join(f'<edge source="n{a}" target="n{b}" {of_edge}/>' for a, b in edges)
    return (
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        '<key id="x" for="node" attr.name="x" attr.type="double"/>'
        f'<graph edgedefault="{default}">{nodes}{links}</graph></graphml>'
    )


def graphs(rng: Random, folder: Path) -> Case:
    """Plain graphs come with their edges; what the format does not have is refused."""
    n = rng.randrange(3, 9)
    values = [str(rng.randrange(100)) for _ in range(n)]
    pairs = [(a, b) for a in range(n) for b in range(a)]
    edges = rng.sample(pairs, rng.randrange(1, len(pairs) + 1))
    text, good = graphml(values, edges), {(min(e), max(e)) for e in edges}
    kind = rng.randrange(9)
    expected: Any = None
    if kind == 0:
        expected = good
    elif kind == 1:
        default, word = rng.choice((("undirected", ""), ("undirected", 'directed="false"')))
        text, expected = graphml(values, edges, default=default, of_edge=word), good
    elif kind == 2:
        text = text.replace('id="n1"', 'id="n0"')
    elif kind == 3:
        text = text.replace(f'target="n{edges[0][1]}"', 'target="nowhere"')
    elif kind == 4:
        text = text.replace('<data key="x">', '<data key="z">', 1)
    elif kind == 5:
        text = rng.choice(('<!DOCTYPE a [<!ENTITY b "c">]>', "<!DOCTYPE graphml>")) + text
    elif kind == 6:
        text = text[: rng.randrange(20, len(text) - 1)]
    elif kind == 7:
        text = text.replace("</graph>", rng.choice(("</nodes>", "</graph", "&nbsp;</graph>", "<a")))
    else:
        text = text.replace(f'<data key="x">{values[0]}</data>', "", 1)
    path = put(folder, "a.graphml", text)
    return Case("GraphML", lambda: _edges(read_graphs(path)[0]), expected, (r"a\.graphml",))


# ---- tables of text ---------------------------------------------------------------------------


def tables(rng: Random, folder: Path) -> Case:
    """A table of text, long or short, whole or with one thing wrong: the place of it is named."""
    n, d = rng.choice((5, 40, 3000)), rng.randrange(2, 6)
    draw = np.random.default_rng(rng.randrange(2**32))
    values = draw.normal(size=(n, d))
    lines = [
        ",".join(f"c{j}" for j in range(d)),
        *(",".join(map(repr, r)) for r in values.tolist()),
    ]
    row, column = rng.randrange(1, n + 1), rng.randrange(d)
    cells = lines[row].split(",")
    line = rf"a\.csv: line {row + 1}\b"
    end = rng.choice(("\n", "\r\n"))
    kind = rng.randrange(8)
    expected: Any = None
    says: tuple[str, ...] = (line, rf"'c{column}'")
    before, after = "", ""
    if kind == 0:
        expected, before = values, rng.choice(("", "\ufeff"))
    elif kind == 1:
        cells[column] = ""
    elif kind == 2:
        cells[column] = rng.choice(("oops", "1_0", "12kg", "#DIV/0!", "-", "1;2", "2020-01-01"))
    elif kind == 3:
        cells[column] = rng.choice(("inf", "-Infinity", "1e999", "nan", "NA", "null"))
    elif kind == 4:
        del cells[column]
        says = (line,)
    elif kind == 5:
        cells.append("7")
        says = (line,)
    elif kind == 6:
        lines[0] = lines[0].replace(f"c{column}", f"c{(column + 1) % d}")
        says = (r"a\.csv", rf"'c{(column + 1) % d}'")
    else:
        after, says = "\0", (r"a\.csv",)
    lines[row] = ",".join(cells)
    path = put(folder, "a.csv", before + end.join(lines) + after + end)
    return Case("table of text", lambda: read_columns(path)[1], expected, says)


KINDS = (paths, whole_numbers, numbers_as_text, indexes_and_targets, pictures, graphs, tables)


def cases(n: int, folder: Path) -> Iterator[Case]:
    """Yield n cases, each in a new folder, of all kinds in turn."""
    for k in range(n):
        home = folder / str(k)
        home.mkdir()
        yield KINDS[k % len(KINDS)](Random(f"hostile {k}"), home)
