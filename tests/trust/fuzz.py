"""Broken files of every format, read one after another in a process of little memory.

    python -m tests.trust.fuzz N [FORMAT ...]

reads N files of each format and prints, as one line of JSON for each, how many were refused, how
many were read, and every one that was neither refused by an AncestralError nor read rightly, that
took more than 2 s, or that ended for want of memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

import ancestral
from ancestral import model_file
from ancestral.errors import AncestralError
from ancestral.io import read_array, read_columns, read_graphs, read_tables
from ancestral.io.mixed import read_mixed
from tests.io import hostile_files as hostile
from tests.trust import mutations
from tests.zoo import ZOO

SECONDS, MEMORY = 2.0, 200 << 20
CAP = 32 << 20  # max_bytes of the readers: what may be expanded is part of the 200 MiB
FORMAT_1 = Path(__file__).with_name("format_1")


class TooSlow(BaseException):
    """Raised by the alarm; no reader that turns other errors into its own may catch it."""


LINKS = [
    b"from,to,weight\na,b,1\nb,c,2\nc,a,0\n",
    b"Source;Target;Type\n1;2;Directed\n2;3;Directed\n",
    b",a,b,c\na,0,1,NA\nb,1,0,0\nc,NA,0,0\n",
    b"# a\n1 2\n2 3\n3 1\n",
]
GMLS = [
    b'graph [ directed 1 node [ id 1 label "a" x 1.5 ] node [ id 2 label "b" ] '
    b"edge [ source 1 target 2 weight 2 ] ]\n",
    b'Creator "x"\ngraph\n[\nnode\n[\nid 0\nhouse "red"\n]\nnode\n[\nid 1\n]\n'
    b"edge\n[\nsource 0\ntarget 1\n]\n]\n",
]
MATRICES = [
    b"%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 2\n",
    b"%%MatrixMarket matrix coordinate real general\n3 3 2\n2 1 0.5\n3 2 1\n",
    b"%%MatrixMarket matrix array integer general\n2 2\n0\n1\n1\n0\n",
]


class Format(NamedTuple):
    """Whole files of a format, how they are damaged and read, and when a reading is right."""

    name: str  # of the file
    whole: list[bytes]
    damage: Callable[[Random, bytes, bytes], bytes]  # of what the format is made of
    readers: tuple[Callable[[Path], Any], ...]
    right: Callable[[Any], bool]
    checksummed: bool = False  # raw damage must be found, or change nothing
    raw: float = 0.5  # of so much of the files, the bytes themselves are damaged


# ---- what a right reading is ---------------------------------------------------------------------


def well_formed(value: Any) -> bool:
    """Tell whether a value is what the readers promise: finite numbers, graphs, distributions."""
    if isinstance(value, np.ndarray):
        return bool(value.dtype.kind in "biuf" and value.size and np.isfinite(value).all())
    if isinstance(value, tuple) and isinstance(value[0], list):  # names and values
        return len(value[0]) == value[1].shape[1] and well_formed(value[1])
    if isinstance(value, list):
        return bool(value) and all(map(_is_graph, value))
    return all(  # tables
        np.allclose(rows.sum(axis=1), 1, atol=1e-9) and (rows >= 0).all()
        for rows in value.probabilities
    )


def _is_graph(graph: Any) -> bool:
    E = graph.adjacency.toarray() if graph.is_sparse else np.asarray(graph.adjacency)
    X = graph.features
    U = np.zeros(E.shape, int) if graph.unknown is None else graph.unknown.toarray()
    even = graph.directed or ((E == E.T).all() and (U == U.T).all())
    same = E.shape == (len(X), len(X)) and even and np.isin(E, (0, 1)).all()
    named = graph.node_names is None or len({*graph.node_names}) == len(X)
    return bool(same and named and not (E * U).any() and not np.isinf(X).any())


def is_a_table(value: Any) -> bool:
    """Tell whether a value is a table of mixed columns, which every kind of frame can hold."""
    n_rows = {len(column.values) for column in value.columns}
    finite = all(
        np.isfinite(column.values[~np.isnan(column.values)]).all()
        for column in value.columns
        if column.values.dtype.kind == "f"
    )
    value.frame()
    return len(n_rows) == 1 and finite and len(set(value.names)) == len(value.names)


def same(a: Any, b: Any) -> bool:
    """Tell whether two readings are equal to the bit."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "adjacency") and hasattr(b, "adjacency"):
        held = ("features", "adjacency", "node_names", "directed", "feature_names")
        sides = [[getattr(one, name) for name in held] for one in (a, b)]
        return all(map(_alike, *sides))
    if hasattr(a, "contexts") and hasattr(b, "contexts"):
        return same(a.contexts, b.contexts) and same(a.probabilities, b.probabilities)
    if hasattr(a, "get_params"):
        return type(a) is type(b) and repr(a._fitted_state()) == repr(b._fitted_state())
    return False


def _alike(one: Any, two: Any) -> bool:
    """Tell whether two parts of graphs are equal, NaN equal to NaN."""
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        floats = one.dtype.kind == "f"
        return one.dtype == two.dtype and np.array_equal(one, two, equal_nan=floats)
    return bool(np.all(one == two))


def is_a_model(model: Any) -> bool:
    """Tell whether a model answers what it is asked, or says why not."""
    try:
        if hasattr(model, "intercept_") and not hasattr(model, "slope_"):
            return bool(np.isfinite(model.predict(np.ones((2, model.n_features_in_)))).all())
        return len(model.sample(2, random_state=0)) == 2
    except AncestralError:
        return True


def obeys_its_own_numbers(model: Any) -> bool:
    """Tell whether what a model answers is what its parameters say, or it says why it cannot."""
    try:
        return is_a_model(model) and _obeys(model)
    except AncestralError:
        return True


def _obeys(model: Any) -> bool:
    rng = np.random.default_rng(0)
    if hasattr(model, "categories_"):
        space = np.array(list(itertools.product(*model.categories_)), dtype=object)
        if len(space) > 1000:
            return True
        plain = space if isinstance(space[0, 0], str) else space.astype(int)
        return abs(np.exp(model.log_density(plain)).sum() - 1) < 1e-6
    if hasattr(model, "slope_") or hasattr(model, "positions_"):
        (graph,) = model.sample(1, random_state=0)
        return bool(model.log_density([graph])[0] <= 0)
    X = rng.normal(size=(3, model.n_features_in_))
    if hasattr(model, "predict"):
        y = rng.normal(size=3)
        mean, std = model.predict(X, return_std=True)
        expected = -0.5 * ((y - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
        return _agree(model.log_density(X, y), expected)
    if isinstance(model, ancestral.PPCAMixture):
        return bool(np.isfinite(model.log_density(X)).all())
    X = X + model.mean_
    if isinstance(model, ancestral.PPCA):
        W, noise = model.loadings_, model.noise_variance_ * getattr(model, "scale_", 1.0) ** 2
    else:  # the toy
        W, noise = np.zeros((len(model.mean_), 0)), model.variances_
    covariance = W @ W.T + noise * np.eye(len(W))
    off = X - model.mean_
    expected = -0.5 * (off * np.linalg.solve(covariance, off.T).T).sum(axis=1)
    expected -= 0.5 * (np.linalg.slogdet(covariance)[1] + len(W) * np.log(2 * np.pi))
    return _agree(model.log_density(X), expected)


def _agree(found: np.ndarray, expected: np.ndarray) -> bool:
    """Tell whether log densities are what plain float64 gives, wherever it does not overflow."""
    plain = np.isfinite(expected)
    return not np.isnan(found).any() and np.allclose(found[plain], expected[plain], rtol=1e-6)


def as_python_reads_it(raw: bytes, values: np.ndarray) -> bool:
    """Tell whether the numbers of a CSV are those that Python's own csv and float find."""
    text = io.StringIO(raw.decode("utf-8-sig"), newline=None)
    rows = [row for row in csv.reader(text) if len(row) > 1 or (row and row[0].strip())]
    for start in (0, 1):
        try:
            table = np.array([[float(cell) for cell in row] for row in rows[start:]])
        except ValueError:
            continue
        if same(table, values) or (table.ndim == 2 and same(table[:, 1:], values)):
            return True
    return False


TABLES = [
    b"sky,n\nrain,2\nsun,01\n,3\n",
    b"a,b,ok\n1,2.5,true\n3,x,false\n4,y,\n",
    b',x\n0,"r,s"\n1,"6"\n',
    "é,z\r\nü,1\r\n".encode(),
]


# ---- the formats ---------------------------------------------------------------------------------


def arrays(path: Path) -> Any:
    return read_array(path, max_bytes=CAP)


def columns(path: Path) -> Any:
    return read_columns(path, max_bytes=CAP)


def mixed(path: Path) -> Any:
    return read_mixed(path, missing=True, max_bytes=CAP)


def tables(path: Path) -> Any:
    return read_tables(path, max_bytes=CAP)


def graphs(path: Path) -> Any:
    return read_graphs(path, max_bytes=CAP)


def pictures(path: Path) -> Any:
    return read_array(path.parent, max_bytes=CAP)


def formats() -> dict[str, Format]:
    """Return every format by its name; those whose package is missing are left out."""
    rng = np.random.default_rng(0)
    X, E = rng.uniform(-1, 1, (5, 3)), np.array([[0, 1, 0, 0, 1]] * 5)
    E = np.triu(E, 1) + np.triu(E, 1).T
    pairs = [(X, E), (X[:3], E[:3, :3])]
    dense = hostile.dense_tables((2, 3, 2, 2))
    npys = [hostile.npy_bytes(a) for a in (X, np.arange(6), X.astype(">f4").T, E > 0)]
    npzs = [_npz(X), _npz(features=X, adjacency=E), _npz(*dense), _npz(a=X, b=E)]
    pickles = [pickle.dumps(v, p) for v in (X, {"a": X}, pairs, dense) for p in (0, 2, 4, 5)]
    hidden = [hostile.calling_system(Path("marker"))[f"bare{p}"] for p in (0, 4)]
    csvs = [b"a,b\n1,2\n3,4.5\n-1e3,8\n", b"1,2\n3,4\n", b',x\n0,5\n1,"6"\n', "é\r\n1\r\n".encode()]
    documents = [hostile.graphml(hostile.node("a") + hostile.node("b") + hostile.edge("a", "b"))]
    documents.append(documents[0].replace('encoding="x"', "").replace("double", "string"))
    found = {
        "npy": Format("a.npy", npys, mutations.damaged, (arrays,), well_formed),
        "npz": Format("a.npz", npzs, mutations.of_zip, (arrays, graphs, tables), well_formed, True),
        "pkl": Format(
            "a.pkl", pickles + hidden, mutations.of_pickle, (arrays, graphs, tables), well_formed
        ),
        "pkl.gz": Format(
            "a.pkl.gz",
            [gzip.compress(pickle.dumps(dense, p), 1) for p in (2, 4, 5)],
            mutations.of_gzip(mutations.of_pickle),
            (tables,),
            well_formed,
            True,
        ),
        "csv": Format("a.csv", csvs, mutations.of_csv, (columns, arrays), well_formed),
        "table": Format("a.csv", TABLES, mutations.of_csv, (mixed,), is_a_table),
        "model": Format(
            "a.model",
            [file.read_bytes() for file in sorted(FORMAT_1.iterdir())],
            mutations.of_model,
            (ancestral.load,),
            is_a_model,
            True,
        ),
    }
    with suppress(ImportError):
        import defusedxml.ElementTree  # noqa: F401

        found["graphml"] = Format(
            "a.graphml", [d.encode() for d in documents], mutations.of_xml, (graphs,), well_formed
        )
    with suppress(ImportError):
        faces = rng.integers(0, 256, (4, 9, 7), dtype=np.uint8)
        whole = [hostile.png_bytes(face) for face in faces]
        found["png"] = Format("a.png", whole, mutations.of_png, (pictures,), well_formed, True)
    with suppress(ImportError):
        found["table.parquet"] = Format(
            "a.parquet", _mixed_parquets(), mutations.damaged, (mixed,), is_a_table
        )
        found["parquet"] = Format(
            "a.parquet", _parquets(X), mutations.damaged, (columns, arrays), well_formed
        )
    return found


def networks() -> dict[str, Format]:
    """Return the formats of networks as text, which are named where they are wanted."""
    return {
        "links": Format("a.csv", LINKS, mutations.of_csv, (graphs,), well_formed),
        "gml": Format("a.gml", GMLS, mutations.of_csv, (graphs,), well_formed),
        "mtx": Format("a.mtx", MATRICES, mutations.of_csv, (graphs,), well_formed),
    }


def _npz(*unnamed: np.ndarray, **named: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, *unnamed, **named)  # type: ignore[arg-type]
    return stream.getvalue()


def _models() -> Iterator[bytes]:
    """Yield a file of every model that can be fitted here."""
    for entry in ZOO:
        if entry.extra and find_spec(entry.extra) is None:
            continue
        yield _packed(entry.fit())
    rows = [["sun", 1, True], [None, 0, False], ["rain", 1, True]]
    yield _packed(ancestral.TabularAutoregressive(0.5, {1: [1, 0, 2]}, "level").fit(rows))
    for library in ("pandas", "polars", "pyarrow"):  # whose frames a model remembers
        with suppress(ImportError):
            package = import_module(library)
            columns = {"a": ["x", "y", "x", "x"], "b": [0, 1, 1, 0], "c": [0.5, 1.0, 0.0, 2.0]}
            made = package.table if library == "pyarrow" else package.DataFrame
            whole = made({name: columns[name] for name in ("a", "b")})
            yield _packed(ancestral.TabularAutoregressive(0.5).fit(whole))
            yield _packed(ancestral.PPCA(0).fit(made({name: columns[name] for name in ("b", "c")})))


def _packed(model: Any) -> bytes:
    """Return the file of a model, its class listed or not."""
    parts = type(model).__name__, model._kept_params(), model._fitted_state()
    return model_file.pack(*parts, model.data_fingerprint_)


def _parquets(X: np.ndarray) -> list[bytes]:
    """Return tables of floats, of whole numbers, in several encodings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    files = []
    for table, how in (
        (pa.table({"a": X[:, 0], "b": X[:, 1]}), {}),
        (pa.table({"a": np.arange(5), "b": X[:, 0] > 0}), {"compression": "none"}),
        (pa.table({"a": X[:, 0]}), {"use_dictionary": False, "write_page_checksum": True}),
        (pa.table({"a": np.arange(300) // 7}), {"compression": "zstd"}),
    ):
        stream = io.BytesIO()
        pq.write_table(table, stream, **how)
        files.append(stream.getvalue())
    return files


def _mixed_parquets() -> list[bytes]:
    """Return tables of text, levels, booleans and gaps."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = []
    for table in (
        pa.table({"s": ["a", "b", None], "n": [1, None, 3], "ok": [True, None, False]}),
        pa.table({"d": pa.array(["x", "y", "x"]).dictionary_encode(), "f": [1.5, None, 2.0]}),
    ):
        stream = io.BytesIO()
        pq.write_table(table, stream)
        files.append(stream.getvalue())
    return files


# ---- the run -------------------------------------------------------------------------------------


def fuzz(kind: str, form: Format, n: int, folder: Path) -> dict[str, Any]:
    """Return what became of n broken files."""
    path = folder / form.name
    originals = [_read(form, path, content) for content in form.whole]
    counts = {"format": kind, "n": n, "refused": 0, "read": 0, "bad": []}
    slowest, start = 0.0, time.process_time()
    for k in range(n):
        rng = Random(f"{kind} {k}")
        whole, other = rng.choice(form.whole), rng.choice(form.whole)
        raw = rng.random() < form.raw
        content = (mutations.damaged if raw else form.damage)(rng, whole, other)
        before = time.process_time()
        for value in _read(form, path, content):
            verdict = _verdict(value, form, originals, content, raw=raw)
            counts["refused"] += verdict == "refused"
            counts["read"] += verdict == "right"
            if verdict not in ("refused", "right"):
                counts["bad"].append(f"{kind} {k}: {verdict}")
        slowest = max(slowest, time.process_time() - before)
    if (folder / "marker").exists():
        counts["bad"].append(f"{kind}: code was run")
    spent = time.process_time() - start
    return {**counts, "seconds": round(spent, 2), "slowest": round(slowest, 3)}


def _read(form: Format, path: Path, content: bytes) -> list[Any]:
    """Return what every reader makes of a file: a value or an exception."""
    path.write_bytes(content)
    outcomes = []
    for read in form.readers:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            outcomes.append(read(path))
        except Exception as error:
            outcomes.append(error)
        except TooSlow as error:
            outcomes.append(error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return outcomes


def _verdict(
    value: Any, form: Format, originals: list[list[Any]], content: bytes, *, raw: bool
) -> str:
    """Return "refused", "right", or what is wrong."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return _judged(value, form, originals, content, raw=raw)
    except Exception as error:
        return f"cannot be used: {error!r}"
    except TooSlow as error:
        return f"cannot be used: {error!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _judged(
    value: Any, form: Format, originals: list[list[Any]], content: bytes, *, raw: bool
) -> str:
    if isinstance(value, AncestralError):
        return "refused" if form.name.split(".")[0] in str(value) else f"unnamed: {value}"
    if isinstance(value, BaseException):
        last = traceback.extract_tb(value.__traceback__)[-1]
        return f"{value!r} at {Path(last.filename).name}:{last.lineno}"
    if raw and form.checksummed:
        known = any(same(value, whole) for reads in originals for whole in reads)
        return "right" if known else f"silently wrong: {value!r:.200}"
    if form.name == "a.csv" and isinstance(value, np.ndarray):
        return "right" if as_python_reads_it(content, value) else f"not as written: {value!r:.200}"
    return "right" if form.right(value) else f"malformed: {value!r:.200}"


def ring(_signal: int, _frame: Any) -> None:
    raise TooSlow(f"more than {SECONDS} s")


def of_models() -> Format:
    """Return the format of saved models, every one of them, as others might write it."""
    damage = mutations.resigned
    return Format(
        "a.model", list(_models()), damage, (ancestral.load,), obeys_its_own_numbers, raw=0
    )


def main(n: int, kinds: list[str]) -> None:
    """Fuzz the formats named, or all but that of models, which are fitted first."""
    forms = {"re-signed model": of_models()} if kinds == ["re-signed model"] else formats()
    forms |= networks() if kinds else {}
    signal.signal(signal.SIGPROF, ring)
    warnings.simplefilter("ignore")
    for kind in kinds or forms:  # once without a limit: imports map memory
        with _place() as folder:
            fuzz(kind, forms[kind], 20, folder)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for kind in kinds or forms:
        with _place() as folder:
            print(json.dumps(fuzz(kind, forms[kind], n, folder)), flush=True)


@contextmanager
def _place() -> Iterator[Path]:
    """Give a folder, made the working one: a hostile file that is run leaves its marker there."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
