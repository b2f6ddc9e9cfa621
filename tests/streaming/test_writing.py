"""What is written part by part: equal to what the model says in memory, and whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ancestral
from ancestral import PPCA, LatentTree, LinearGaussian, TabularAutoregressive, datasets
from ancestral.base import NotFittedError
from ancestral.errors import AncestralError, DataError, ModelError, SaveError
from ancestral.io import row_files
from ancestral.streaming import Source, fit_chunks, writing


def cut(X: Any, n_parts: int = 4) -> list[Any]:
    """Return unequal parts of rows, an empty one among them."""
    n = len(X)
    edges = [0, *sorted(n * k * k // n_parts**2 for k in range(1, n_parts)), n]
    rows = X.iloc if hasattr(X, "iloc") else X
    return [rows[a:b] for a, b in pairwise(edges)] + [rows[:0]]


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(500, 5))


@pytest.fixture(scope="module")
def holed(cloud: np.ndarray) -> np.ndarray:
    X = cloud.copy()
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    return X


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """A table of mixed columns with gaps, and one that no model is told of."""
    rng = np.random.default_rng(2)
    n = 300
    frame = pd.DataFrame(
        {
            "id": [f"p{k}" for k in range(n)],
            "age": rng.normal(40, 10, n).round(1),
            "size": rng.normal(size=n).astype(np.float32),
            "sex": pd.Categorical(
                rng.choice(["f", "m"], n), categories=["m", "f", "other"], ordered=True
            ),
            "town": rng.choice(["Ghent", "Oslo", "Bonn"], n),
            "owns": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "born": pd.to_datetime("1980-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "D"),
        }
    )
    for k, name in enumerate(frame.columns[1:]):
        frame.loc[k::9, name] = None
    return frame


# ---- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", row_files.ENDINGS)
def test_log_densities_are_those_in_memory(ending: str, cloud: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(cloud)
    wanted = model.log_density(cloud)
    assert np.allclose(writing.log_density(model, cut(cloud)), wanted, rtol=1e-12)
    out = tmp_path / f"nats{ending}"
    assert writing.log_density(model, cut(cloud), out) == out
    if ending == ".npy":
        found = np.load(out)
    elif ending == ".parquet":
        found = pd.read_parquet(out)["log_density"].to_numpy()
    else:
        found = pd.read_csv(out, sep="\t" if ending == ".tsv" else ",")["log_density"].to_numpy()
    assert np.allclose(found, wanted, rtol=1e-12)
    assert os.listdir(tmp_path) == [out.name]


def test_a_file_larger_than_a_part(cloud: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", cloud)
    model = PPCA(2).fit(cloud)
    found = writing.log_density(model, tmp_path / "rows.npy", rows=37)
    assert np.allclose(found, model.log_density(cloud), rtol=1e-12)


def test_columns_are_found_by_name(people: Any) -> None:
    numbers = people[["age", "size"]].dropna()
    model = PPCA(1).fit(numbers)
    wanted = model.log_density(numbers)
    other = people.loc[numbers.index, ["size", "town", "age"]]
    assert np.allclose(writing.log_density(model, [other[:50], other[50:]]), wanted, rtol=1e-12)
    with pytest.raises(DataError, match=r"part 1: there is no column 'size'"):
        writing.log_density(model, [other[:50], other[50:][["age"]]])


def test_targets_and_weights(cloud: Any) -> None:
    X, y, w = cloud[:, :4], cloud[:, 4], np.linspace(0.5, 2, len(cloud))
    model = LinearGaussian().fit(X, y)
    pairs = [(X[:99], y[:99], w[:99]), (X[99:], y[99:], w[99:])]
    assert np.allclose(writing.log_density(model, pairs), model.log_density(X, y, w), rtol=1e-12)
    frame = pd.DataFrame(cloud, columns=[*"abcd", "price"])
    named = LinearGaussian().fit(frame[[*"abcd"]], frame["price"])
    found = writing.log_density(named, cut(frame), target="price")
    assert np.allclose(found, model.log_density(X, y), rtol=1e-12)


def test_graphs_have_a_log_density_each() -> None:
    rooms = datasets.classrooms()[:20]
    model = ancestral.InnerProductGraph().fit(rooms)
    found = writing.log_density(model, [rooms[:7], rooms[7:]])
    assert np.allclose(found, model.log_density(rooms), rtol=1e-12)


def test_progress_is_shown_with_its_rate(cloud: Any, capsys: Any) -> None:
    model = PPCA(2).fit(cloud)
    writing.log_density(model, [cloud] * 3, verbose=True)
    out, err = capsys.readouterr()
    assert not out
    assert "PPCA scored 1,500 rows" in err
    assert "rows/s" in err
    assert "left" in err
    writing.log_density(model, lambda: [cloud] * 3, verbose=True)
    assert "left" not in capsys.readouterr().err  # their number is not known


def test_of_a_folder_only_the_columns_of_the_model_are_read(people: Any, tmp_path: Path) -> None:
    numbers = people[["age", "size"]].dropna()
    model = PPCA(1).fit(numbers)
    for k in range(2):
        rows = numbers[150 * k : 150 * k + 150]
        rows.assign(odd=[[1]] * len(rows))[["odd", "size", "age"]].to_parquet(
            tmp_path / f"{k}.parquet", index=False
        )
    found = writing.log_density(model, tmp_path)  # lists are no column of a table elsewhere
    assert np.allclose(found, model.log_density(numbers), rtol=1e-12)


# ---- gaps ----------------------------------------------------------------------------------------


def test_arrays_are_filled_as_in_memory(holed: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(holed)
    out = writing.impute(model, cut(holed), tmp_path / "whole.npy")
    assert np.allclose(np.load(out), model.impute(holed), rtol=1e-12)


@pytest.mark.parametrize("library", ["pandas", "pyarrow", "polars"])
def test_tables_keep_names_types_and_levels(library: str, people: Any, tmp_path: Path) -> None:
    model = LatentTree(n_states=2, n_trees=1, random_state=0).fit(people.drop(columns="id"))
    if library == "pandas":
        parts = cut(people)
    elif library == "pyarrow":
        whole = pa.Table.from_pandas(people, preserve_index=False)
        parts = [whole.slice(0, 30), whole.slice(30)]
    else:
        whole = pytest.importorskip("polars").from_pandas(people)
        parts = [whole[:30], whole[30:]]
    out = writing.impute(model, parts, tmp_path / "whole.parquet")
    found, filled = pd.read_parquet(out), model.impute(people.drop(columns="id"))
    assert list(found.columns) == list(people.columns)
    assert (found["id"] == people["id"]).all()
    assert not found.isna().any().any()
    for name in people.columns[1:]:
        known = people[name].notna()
        pairs = zip(found.loc[known, name], people.loc[known, name], strict=True)
        assert all(one == other for one, other in pairs), name
        if name == "size":
            assert np.allclose(found[name], filled[name].astype(np.float32))
        else:
            assert (found[name].astype(object) == filled[name].astype(object)).all(), name
    if library != "polars":
        assert dict(found.dtypes) == dict(people.dtypes)


def test_whole_numbers_stay_whole_where_the_model_has_levels(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0, 1, 1, 0] * 20, "b": [3, 5, 5, 3] * 20})
    table = pa.Table.from_pandas(frame).append_column("c", pa.array([7] * 80, pa.int8()))
    holes = pa.array([None if k % 7 == 0 else v for k, v in enumerate(frame["b"])], pa.int64())
    table = table.set_column(1, "b", holes)
    model = TabularAutoregressive(smoothing=0.5).fit(frame)
    writing.impute(model, [table.slice(0, 30), table.slice(30)], tmp_path / "whole.parquet")
    found = pq.read_table(tmp_path / "whole.parquet")
    assert found.schema.types == [pa.int64(), pa.int64(), pa.int8()]
    assert found["b"].to_pylist() == frame["b"].tolist()


def test_whole_numbers_become_real_in_every_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(0, 20, (60, 2)).round(), columns=["a", "b"]).astype("Int64")
    model = PPCA(1).fit(frame.astype(float))
    frame.loc[40, "b"] = None  # in the last part
    writing.impute(model, [frame[:30], frame[30:]], tmp_path / "whole.parquet")
    found = pq.read_table(tmp_path / "whole.parquet")
    assert found.schema.types == [pa.float64(), pa.float64()]
    wanted = model.impute(frame.astype(float)).to_numpy(float)
    assert np.allclose(np.column_stack([found["a"], found["b"]]), wanted)


def test_draws_of_gaps_are_numbered(holed: Any, people: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(holed)
    writing.impute(model, cut(holed), tmp_path / "d.parquet", n_draws=3, random_state=0)
    found = pd.read_parquet(tmp_path / "d.parquet")
    assert list(found.columns) == ["draw", "row", "x0", "x1", "x2", "x3", "x4"]
    assert sorted(zip(found["draw"], found["row"])) == [
        (draw, row) for draw in (1, 2, 3) for row in range(500)
    ]
    known = ~np.isnan(holed)
    for _, one in found.groupby("draw"):
        rows = one.sort_values("row").iloc[:, 2:].to_numpy()
        assert (rows[known] == holed[known]).all()
    once = (tmp_path / "d.parquet").read_bytes()
    writing.impute(model, cut(holed), tmp_path / "d.parquet", n_draws=3, random_state=0)
    assert (tmp_path / "d.parquet").read_bytes() == once


# ---- predictions and draws -----------------------------------------------------------------------


def test_predictions(cloud: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(cloud, columns=[*"abcd", "price"])
    model = LinearGaussian().fit(frame[[*"abcd"]], frame["price"])
    out = writing.predict(model, cut(frame), tmp_path / "y.parquet", return_std=True)
    mean, std = model.predict(frame[[*"abcd"]], return_std=True)
    found = pd.read_parquet(out)
    assert np.allclose(found.to_numpy(), np.column_stack([mean, std]), rtol=1e-12)
    assert list(found.columns)[1] == "std"


def test_a_seed_draws_the_same_rows(cloud: Any, tmp_path: Path, monkeypatch: Any) -> None:
    model = PPCA(2).fit(pd.DataFrame(cloud, columns=[*"abcde"]))
    out = writing.sample(model, 700, tmp_path / "x.parquet", random_state=3)
    found = pd.read_parquet(out)
    pd.testing.assert_frame_equal(found, model.sample(700, random_state=3))
    monkeypatch.setattr(writing, "BLOCK_VALUES", 500)
    writing.sample(model, 700, out, random_state=3)
    blocks = pd.read_parquet(out)
    assert blocks.shape == (700, 5)
    assert np.allclose(blocks[:100], model.sample(100, random_state=3))
    writing.sample(model, 250, out, random_state=3)
    assert np.allclose(pd.read_parquet(out)[:200], blocks[:200])  # whole blocks of one seed


def test_draws_of_a_target(cloud: Any, tmp_path: Path) -> None:
    X, y = cloud[:, :4], cloud[:, 4]
    model = LinearGaussian().fit(X, y)
    out = tmp_path / "y.csv"
    writing.sample(model, 2, out, inputs=[X[:50], X[50:]], random_state=0)
    assert pd.read_csv(out).shape == (500, 2)
    assert list(pd.read_csv(out)) == ["y_1", "y_2"]
    with pytest.raises(ModelError, match="pass inputs="):
        writing.sample(model, 2, out)


def test_draws_given_what_is_known(cloud: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(cloud)
    given = [1.0, *[np.nan] * 4]
    writing.sample(model, 50, tmp_path / "x.npy", given=given, random_state=0)
    assert (np.load(tmp_path / "x.npy")[:, 0] == 1.0).all()
    writing.sample(model, 0, tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (0, 5)


# ---- whole or absent -----------------------------------------------------------------------------


def test_an_error_in_a_late_part_leaves_the_old_file(cloud: Any, tmp_path: Path) -> None:
    model, out = PPCA(2).fit(cloud), tmp_path / "nats.parquet"
    for before in (None, b"old"):
        if before is not None:
            out.write_bytes(before)
        with pytest.raises(DataError, match="part 1: "):
            writing.log_density(model, [cloud, cloud[:, :3]], out)
        assert os.listdir(tmp_path) == ([] if before is None else [out.name])
    assert out.read_bytes() == b"old"


INTERRUPTED = """
import sys, time
import numpy as np
from ancestral import PPCA
from ancestral.io import row_files
from ancestral.streaming import writing

row_files.GROUP_BYTES = 1
X = np.random.default_rng(0).normal(size=(1000, 4))
model = PPCA(1).fit(X)

def chunks():
    for k in range(10_000):
        if k == 5:
            print("going", flush=True)
        time.sleep(0.01)
        yield X

writing.log_density(model, chunks, sys.argv[1])
"""


@pytest.mark.parametrize(
    ("ending", "before"), [(".parquet", None), (".parquet", b"old"), (".csv", b"old")]
)
def test_ctrl_c_leaves_the_old_file_or_none(ending: str, before: Any, tmp_path: Path) -> None:
    out = tmp_path / f"nats{ending}"
    if before is not None:
        out.write_bytes(before)
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "going\n"
        assert any(name.endswith(".tmp") for name in os.listdir(tmp_path))
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
    assert "KeyboardInterrupt" in said
    assert "Exception ignored" not in said
    assert os.listdir(tmp_path) == ([] if before is None else [out.name])
    assert before is None or out.read_bytes() == before


def test_places_are_refused_before_the_work(cloud: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(cloud)

    def never() -> Any:
        raise AssertionError

    for out, why in (
        (tmp_path / "x.xlsx", r"end the name in \.parquet"),
        (tmp_path / "no" / "x.csv", "no such folder"),
        ("nowhere://x.csv", "nowhere"),
    ):
        with pytest.raises(AncestralError, match=why):
            writing.log_density(model, never, out)
    with pytest.raises(NotFittedError):
        writing.log_density(PPCA(2), never)
    with pytest.raises(ModelError, match="model must be a model"):
        writing.log_density("ppca", never)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="n_draws must be an integer, 1 or more"):
        writing.impute(model, never, tmp_path / "x.csv", n_draws=0)
    line = LinearGaussian().fit(cloud[:, :4], cloud[:, 4])
    with pytest.raises(DataError, match="target=9"):
        writing.log_density(line, [pd.DataFrame(cloud)], target=9)
    with pytest.raises(ModelError, match="fills no gaps"):
        writing.impute(LinearGaussian(), never, tmp_path / "x.csv")
    with pytest.raises(ModelError, match="no target"):
        writing.predict(model, never, tmp_path / "x.csv")
    with pytest.raises(DataError, match="no chunks with rows"):
        writing.log_density(model, [cloud[:0]], tmp_path / "x.csv")
    assert not os.listdir(tmp_path)


# ---- addresses -----------------------------------------------------------------------------------


def test_addresses_are_whole_or_absent(cloud: Any) -> None:
    fsspec = pytest.importorskip("fsspec")
    model, files = PPCA(2).fit(cloud), fsspec.filesystem("memory")
    for ending in (".parquet", ".csv", ".npy"):
        out = f"memory://writing/nats{ending}"
        with pytest.raises(DataError):
            writing.log_density(model, [cloud, cloud[:, :3]], out)
        assert not files.exists(out)
        writing.log_density(model, [cloud], out)
        before = files.cat(out)
        with pytest.raises(DataError):
            writing.log_density(model, [cloud, cloud[:, :3]], out)
        assert files.cat(out) == before
    with files.open("memory://writing/nats.parquet") as file:
        assert np.allclose(pd.read_parquet(file)["log_density"], model.log_density(cloud))


def test_a_service_is_written_to_whole_or_not(cloud: Any, monkeypatch: Any) -> None:
    """A local server that speaks S3."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    fsspec = pytest.importorskip("fsspec")
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {
            "key": "known-only-here",
            "secret": "secret-only-here",
            "client_kwargs": {"endpoint_url": f"http://{host}:{port}"},
        }
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        monkeypatch.setattr(row_files, "GROUP_BYTES", 1)
        files = fsspec.filesystem("s3", use_listings_cache=False, **options)
        files.mkdir("s3://held")
        model, out = PPCA(2).fit(cloud), "s3://held/nats.parquet"
        with pytest.raises(DataError):
            writing.log_density(model, [cloud, cloud[:, :3]], out)
        assert not files.exists(out)
        writing.log_density(model, cut(cloud), out)
        before = files.cat(out)
        with pytest.raises(DataError):
            writing.log_density(model, [cloud, cloud[:, :3]], out)
        assert files.cat(out) == before
        found = pd.read_parquet(files.open(out))["log_density"]
        assert np.allclose(found, model.log_density(cloud), rtol=1e-12)
        with pytest.raises(SaveError, match=r"this place cannot be written twice"):
            writing.log_density(model, [cloud], "s3://held/nats.npy")
        with pytest.raises(SaveError) as caught:
            writing.log_density(model, [cloud], "s3://none/nats.csv")
        assert "only-here" not in str(caught.value)
    finally:
        server.stop()


def test_an_address_of_this_machine_is_a_path(cloud: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(cloud)
    writing.log_density(model, [cloud], f"file://{tmp_path}/nats.npy")
    assert np.allclose(np.load(tmp_path / "nats.npy"), model.log_density(cloud))


# ---- files that grow -----------------------------------------------------------------------------


def test_parts_of_other_columns_or_types_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    for other, why in (
        (frame.rename(columns={"b": "c"}), "those before were a, b"),
        (frame.assign(a=["p", "q"]), "a column holds"),
    ):
        with open(tmp_path / "x.parquet", "wb") as file:
            rows = row_files.row_file(file, "x.parquet")
            rows.write(frame)
            with pytest.raises(DataError, match=why):
                rows.write(other)
    with open(tmp_path / "x.npy", "wb") as file:
        rows = row_files.row_file(file, "x.npy")
        rows.write(np.ones((2, 2), dtype=np.int64))
        rows.write(np.ones((2, 2)))
        with pytest.raises(DataError, match="cannot take values"):
            rows.write(np.full((2, 2), 0.5))
    with open(tmp_path / "y.npy", "wb") as file, pytest.raises(SaveError, match="booleans"):
        row_files.row_file(file, "y.npy").write(np.array([["a"]]))


@pytest.mark.parametrize("n_parts", [0, 1, 3])
def test_the_last_row_group_may_be_full(n_parts: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(row_files, "GROUP_BYTES", 1)
    path = tmp_path / "x.parquet"
    with open(path, "wb") as file:
        rows = row_files.row_file(file, str(path))
        for _ in range(n_parts):
            rows.write(np.ones((10, 2)))
        rows.end()
    if n_parts:
        assert pq.ParquetFile(path).num_row_groups == n_parts


def test_small_tables_are_gathered_into_one_row_group(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with open(path, "wb") as file:
        rows = row_files.row_file(file, str(path))
        for k in range(100):
            rows.write(np.full((10, 2), k))
        rows.end()
    assert pq.ParquetFile(path).num_row_groups == 1
    assert pq.read_table(path).num_rows == 1000


MEMORY = """
import resource, sys
import numpy as np
from ancestral import PPCA
from ancestral.streaming import writing

X = np.random.default_rng(0).normal(size=(50_000, 20))
model = PPCA(2).fit(X)
X[::9, 3] = np.nan
writing.impute(model, [X], sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
writing.impute(model, lambda: (X for _ in range(20)), sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("ending", [".parquet", ".npy"])
def test_memory_does_not_grow_with_the_rows(ending: str, tmp_path: Path) -> None:
    """20 parts of 8 MB."""
    code = [sys.executable, "-c", textwrap.dedent(MEMORY), str(tmp_path / f"x{ending}")]
    found = subprocess.run(code, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 120_000  # KiB


# ---- what a fit from parts keeps, and what is never written over ---------------------------------


@pytest.fixture(scope="module")
def rides(cloud: Any) -> pd.DataFrame:
    return pd.DataFrame(cloud, columns=["a", "fare", "b", "tip", "w"]).assign(
        w=lambda frame: frame["w"] ** 2
    )


def test_the_target_of_a_fit_is_known_afterwards(rides: Any, tmp_path: Path) -> None:
    path = tmp_path / "rides.parquet"
    rides.rename(columns={"w": "y"}).to_parquet(path)  # a column y, which is none of the fit
    model = fit_chunks(LinearGaussian(), path, target="fare", columns=["a", "b", "fare"], rows=99)
    assert model.target_name_ == "fare"
    loaded = ancestral.load(model.save(tmp_path / "fare.model"))
    frame = pd.read_parquet(path)
    wanted = loaded.log_density(frame[["a", "b"]], frame["fare"])
    for one in (model, loaded):
        assert np.allclose(writing.log_density(one, path), wanted, rtol=1e-12)
        writing.predict(one, path, tmp_path / "means.parquet", return_std=True)
        assert pq.read_schema(tmp_path / "means.parquet").names == ["fare", "std"]
        writing.sample(one, 1, tmp_path / "draws.parquet", inputs=path, random_state=0)
        assert pq.read_schema(tmp_path / "draws.parquet").names == ["fare"]
    asked = writing.log_density(model, path, target="y")
    assert np.allclose(asked, model.log_density(frame[["a", "b"]], frame["y"]), rtol=1e-12)
    pairs = [(frame[["a"]], frame["fare"])]
    assert getattr(fit_chunks(model, pairs), "target_name_", None) is None


def test_several_targets_keep_their_names(rides: Any, tmp_path: Path) -> None:
    model = fit_chunks(LinearGaussian(), cut(rides[["a", "tip", "b", "fare"]]), ["fare", "tip"])
    model = ancestral.load(model.save(tmp_path / "two.model"))
    assert model.target_name_ == ("fare", "tip")
    wanted = model.log_density(rides[["a", "b"]], rides[["fare", "tip"]])
    assert np.allclose(writing.log_density(model, cut(rides)), wanted, rtol=1e-12)
    out = writing.predict(model, cut(rides), tmp_path / "means.parquet", return_std=True)
    assert pq.read_schema(out).names == ["fare", "tip", "std_fare", "std_tip"]
    out = writing.sample(model, 1, tmp_path / "draws.csv", inputs=cut(rides), random_state=0)
    assert pd.read_csv(out).columns.tolist() == ["fare", "tip"]


def test_workers_keep_the_target_too(rides: Any, tmp_path: Path) -> None:
    pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    path = tmp_path / "rides.parquet"
    rides.to_parquet(path)
    assert ancestral.streaming.fit_dask(LinearGaussian(), path, "fare").target_name_ == "fare"


def test_weights_of_densities_are_columns(rides: Any, tmp_path: Path) -> None:
    path = tmp_path / "rides.parquet"
    rides.to_parquet(path)
    found = fit_chunks(PPCA(1), path, weight="w")
    rows = rides.drop(columns="w")
    wanted = PPCA(1).fit(rows, sample_weight=rides["w"]).log_density(rows)
    assert np.allclose(found.log_density(rows), wanted, rtol=1e-10)
    assert np.allclose(writing.log_density(found, path, weight="w"), wanted, rtol=1e-10)


@pytest.mark.parametrize(
    ("source", "out", "why"),
    [
        ("rows/0.npy", "rows/0.npy", "is an input of this call"),
        ("rows/0.npy", "rows/../rows/0.npy", "is an input of this call"),
        (["rows/1.npy", "rows/0.npy"], "rows/0.npy", "is an input of this call"),
        ("rows/0.npy", "link.npy", "is an input of this call"),
        ("rows", "rows/2.npy", "and would be read as data"),
        ("rows", "rows/below/2.parquet", "and would be read as data"),
        ("other", "rows/2.npy", "and would be read as data"),
        ("rows/*.npy", "rows/2.npy", "and would be read as data"),
        ("rows/*.npy", "rows/1.npy", "is an input of this call"),
        ("**/*.npy", "rows/below/2.npy", "and would be read as data"),
        ("ro*", "rows/2.npy", "and would be read as data"),
        ("memory://rows", "memory://rows/2.npy", "and would be read as data"),
        ("memory://rows/*.npy", "memory://rows/2.npy", "and would be read as data"),
        ("memory://rows/2.npy", "memory://rows/2.npy", "is an input of this call"),
        ("rows/*.npy", "rows/2.csv", None),
        ("rows", "2.npy", None),
        ("rows/0.npy", "rows/2.npy", None),
    ],
)
def test_nothing_is_written_where_data_are_read(
    source: Any, out: str, why: str | None, cloud: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows" / "below").mkdir(parents=True)
    for k in range(2):
        np.save(tmp_path / "rows" / f"{k}.npy", cloud)
    (tmp_path / "link.npy").symlink_to(tmp_path / "rows" / "0.npy")
    (tmp_path / "other").symlink_to(tmp_path / "rows")
    model, line = PPCA(2).fit(cloud), LinearGaussian().fit(cloud, cloud[:, 0] + cloud[::-1, 1])
    calls = [
        lambda: writing.log_density(model, source, out),
        lambda: writing.impute(model, source, out),
        lambda: writing.predict(line, source, out),
        lambda: writing.sample(line, 1, out, inputs=source),
    ]
    for call in calls:
        if why is None:
            assert os.path.exists(call())
            os.unlink(out)
        else:
            with pytest.raises(SaveError, match=why):
                call()
    assert np.array_equal(np.load(tmp_path / "rows" / "0.npy"), cloud)


def test_a_source_knows_what_it_was_opened_by(cloud: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", cloud)
    source = ancestral.streaming.source_of_paths(tmp_path)
    with pytest.raises(SaveError, match="and would be read as data"):
        writing.impute(PPCA(2).fit(cloud), source, tmp_path / "1.npy")


def test_a_folder_that_takes_no_files_is_named(cloud: Any, tmp_path: Path) -> None:
    model = PPCA(2).fit(cloud)
    with pytest.raises(SaveError, match="none: no such folder"):
        writing.impute(model, [cloud], tmp_path / "none" / "x.npy")
    if os.path.isdir("/proc/self"):
        with pytest.raises(SaveError, match=r"^/proc/self: may not be written"):
            writing.impute(model, [cloud], "/proc/self/x.npy")
    (tmp_path / "shut").mkdir(mode=0o500)
    if not os.access(tmp_path / "shut", os.W_OK):  # no folder is closed to root
        with pytest.raises(SaveError, match="shut: may not be written"):
            writing.impute(model, [cloud], tmp_path / "shut" / "x.npy")


def test_parts_are_matched_by_name_in_the_order_of_the_first(rides: Any, tmp_path: Path) -> None:
    holed = rides.mask(np.random.default_rng(3).random(rides.shape) < 0.1)
    parts = [holed[:200], holed[200:].iloc[:, ::-1]]
    model = PPCA(2).fit(rides)
    found = pd.read_parquet(writing.impute(model, parts, tmp_path / "whole.parquet"))
    assert found.columns.tolist() == rides.columns.tolist()
    assert np.allclose(found, model.impute(holed), rtol=1e-12)


def test_a_class_is_no_model(cloud: Any, tmp_path: Path) -> None:
    why = r"is the class PPCA: give a model, PPCA\(\), not the class"
    for call in (
        lambda: fit_chunks(PPCA, [cloud]),
        lambda: ancestral.streaming.fit_dask(PPCA, [cloud]),
        lambda: writing.log_density(PPCA, [cloud]),
        lambda: writing.impute(PPCA, [cloud], tmp_path / "x.npy"),
        lambda: writing.predict(PPCA, [cloud], tmp_path / "x.npy"),
        lambda: writing.sample(PPCA, 3, tmp_path / "x.npy"),
    ):
        with pytest.raises(ModelError, match=why):
            call()


# ---- frames of what was fitted to files ----------------------------------------------------------


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_fit_to_a_file_gives_the_frames_of_one_to_its_table(
    ending: str, people: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"people{ending}"
    whole = people.drop(columns=["id", "born"]).assign(n=np.arange(len(people)) % 4)
    whole.to_parquet(path) if ending == ".parquet" else whole.to_csv(path, index=False)
    frame = ancestral.read_table(path, missing=True)
    tree = {"n_states": 2, "n_trees": 1, "n_sweeps": 4, "random_state": 0}
    read = LatentTree(**tree).fit(frame)
    fitted = fit_chunks(LatentTree(**tree), path, rows=120)
    for model in (fitted, ancestral.load(fitted.save(tmp_path / "people.model"))):
        for one, other in (
            (model.sample(5, random_state=0), read.sample(5, random_state=0)),
            (model.impute(frame), read.impute(frame)),
        ):
            assert type(one) is pd.DataFrame and one.columns.tolist() == other.columns.tolist()
            for name in one:  # a draw has no gaps, and so no type that may have them
                kinds = {str(table[name].dtype).lower() for table in (one, other)}
                assert len(kinds) == 1 or kinds == {"bool", "boolean"}, (name, kinds)
        written = writing.sample(model, 5, tmp_path / "draws.parquet", random_state=0)
        files = ancestral.streaming.source_of_paths(path).parts()[0].read().schema
        assert pq.read_schema(written).types == files.types


def test_a_fit_to_arrow_gives_arrow(rides: Any) -> None:
    table = pa.Table.from_pandas(rides)
    model = fit_chunks(PPCA(1), [table[:300], table[300:]])
    assert isinstance(model.sample(3, random_state=0), pa.Table)


def test_numbers_of_files_come_in_their_types(rides: Any, tmp_path: Path) -> None:
    path = tmp_path / "rides.parquet"
    rides.astype("float32").assign(n=np.arange(len(rides)) % 7).to_parquet(path)
    model = fit_chunks(PPCA(1), path)
    assert model.sample(3, random_state=0).dtypes.equals(
        PPCA(1).fit(ancestral.read_table(path)).sample(3, random_state=0).dtypes
    )
    out = writing.sample(model, 3, tmp_path / "draws.parquet", random_state=0)
    assert {str(kind) for kind in pq.read_schema(out).types} == {"float", "double"}


def test_what_cannot_be_read_is_no_fault_of_the_output(tmp_path: Path) -> None:
    class Gone:
        n_rows = n_bytes = start = None
        of = "the tape"

        def read(self) -> Any:
            raise OSError("the reel is empty")

    class Tape(Source):
        def parts(self) -> list[Any]:
            return [Gone()]

    def chunks() -> Iterator[np.ndarray]:
        yield np.eye(3)
        raise RuntimeError("the line is dead")

    model, out = PPCA(1).fit(np.random.default_rng(0).normal(size=(30, 3))), tmp_path / "o.parquet"
    for ask in (
        lambda s: writing.log_density(model, s),
        lambda s: writing.impute(model, s, out),
    ):
        with pytest.raises(
            DataError, match="part 0: the tape could not be read: OSError: the reel"
        ):
            ask(Tape())
        with pytest.raises(DataError, match="part 1 could not be made: RuntimeError: the line"):
            ask(chunks)
    assert not os.listdir(tmp_path)
