"""Fits of several looks: the same from memory, chunks, files, callables and workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import PPCA
from ancestral.errors import DataError, ModelError
from ancestral.streaming import Source, fit_chunks, fit_dask
from ancestral.streaming import local as local_parts
from tests.streaming.passing import TwoNormals
from tests.trust.guard import refused

RNG = np.random.default_rng(3)
X = np.concatenate([RNG.normal(-1, 1, (400, 3)), RNG.normal(1, [1, 2, 0.8], (600, 3))])
X = RNG.permutation(X)


def chunks() -> Iterator[np.ndarray]:
    """Yield parts that each overwrite the one before."""
    room = np.empty((170, 3))
    for start in range(0, 1000, 170):
        part = X[start : start + 170]
        room[: len(part)] = part
        yield room[: len(part)]


def same(one: TwoNormals, other: TwoNormals) -> bool:
    names = ("weights_", "means_", "variances_", "log_likelihood_", "n_iter_")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_every_way_of_giving_the_same_parts_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TwoNormals().fit(X)
    listed = fit_chunks(TwoNormals(), [X[a : a + 170] for a in range(0, 1000, 170)])
    np.testing.assert_allclose(listed.means_, whole.means_, rtol=1e-8)
    np.testing.assert_allclose(listed.log_likelihood_, whole.log_likelihood_, rtol=1e-10)
    assert listed.n_iter_ == whole.n_iter_ > 10
    np.save(tmp_path / "x.npy", X)
    assert same(listed, fit_chunks(TwoNormals(), chunks))
    assert same(listed, fit_chunks(TwoNormals(), tmp_path / "x.npy", rows=170))
    monkeypatch.setattr(local_parts, "KEPT_BYTES", 0)  # read anew at each look
    assert same(listed, fit_chunks(TwoNormals(), tmp_path / "x.npy", rows=170))
    dask = pytest.importorskip("dask", reason='needs dask: pip install "ancestral[dask]"')
    import dask.array as da

    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            assert same(listed, fit_dask(TwoNormals(), da.from_array(X, chunks=(170, 3))))
            assert same(listed, fit_dask(TwoNormals(), tmp_path / "x.npy", rows=170))
            assert same(listed, fit_dask(TwoNormals(), chunks_copied))


def chunks_copied() -> list[np.ndarray]:
    return [chunk.copy() for chunk in chunks()]


def test_an_iterator_is_refused_before_the_first_pass_with_the_mend() -> None:
    stream = iter([X[:500], X[500:]])
    refused(
        lambda: fit_chunks(TwoNormals(), stream),
        "TwoNormals looks at its data several times",
        "read only once",
        "list of chunks, a path, or a callable",
        kind=DataError,
    )
    assert len(list(stream)) == 2  # none was drawn
    pytest.importorskip("dask", reason="dask is an extra")
    refused(lambda: fit_dask(PPCA(1), iter([X])), "read only once", kind=DataError)


@pytest.mark.parametrize(
    ("later", "says"),
    [
        ([X[:500], X[500:900]], "500 rows in part 1 before, 400 now"),
        ([X], "500 rows in part 0 before, 1000 now"),
        ([X[:500]], "2 parts before, 1 now"),
        ([X[:500], X[500:], X[:10]], "2 parts before, more now"),
    ],
)
def test_data_that_change_between_passes_are_refused(later: Any, says: str) -> None:
    calls = []

    def make() -> Any:
        calls.append(1)
        return [X[:500], X[500:]] if len(calls) < 4 else later

    model = TwoNormals().fit(X)
    before = model.means_
    refused(lambda: fit_chunks(model, make), "changed between two passes", says, kind=DataError)
    assert model.means_ is before


def test_a_part_that_changes_in_a_later_pass_is_named(tmp_path: Path) -> None:
    class Odd:
        n_rows = n_bytes = start = None
        of = "odd rows"
        looks = 0

        def read(self) -> np.ndarray:
            Odd.looks += 1
            if Odd.looks > 3:
                raise OSError("the disk is gone")
            return X[:300]

    class Sometimes(Source):
        def parts(self) -> list[Any]:
            return [Odd()]

    with pytest.raises(DataError, match="part 0: odd rows could not be read: OSError: the disk is"):
        fit_chunks(TwoNormals(), Sometimes())


def test_checkpoints_of_parts_go_on_to_the_same_bits(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    wanted = fit_chunks(TwoNormals(), tmp_path / "x.npy", rows=300)
    code = f"""
import os, signal
from ancestral.streaming import fit_chunks
from tests.streaming.passing import TwoNormals
looks = 0
class Killed(TwoNormals):
    def _update(self, parameters, statistics):
        global looks
        looks += 1
        if looks == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._update(parameters, statistics)
Killed.__name__ = "TwoNormals"
fit_chunks(Killed(), {str(tmp_path / "x.npy")!r}, rows=300, checkpoint={str(tmp_path / "c")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(tmp_path / "c")
    counted = Counting()
    found = fit_chunks(counted, tmp_path / "x.npy", rows=300, checkpoint=tmp_path / "c")
    assert same(found, wanted)
    assert 0 < Counting.updates <= wanted.n_iter_ - 8
    with pytest.raises(ModelError):  # other data are no continuation
        fit_chunks(TwoNormals(), [X[:500], X[500:]], checkpoint=tmp_path / "c")


class Counting(TwoNormals):
    updates = 0

    def _update(self, parameters: Any, statistics: Any) -> Any:
        Counting.updates += 1
        return super()._update(parameters, statistics)


def test_targets_and_weights_are_columns_by_name() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is an extra")
    from ancestral import LinearGaussian

    frame = pd.DataFrame(X, columns=["a", "price", "w"]).abs()
    wanted = LinearGaussian().fit(frame[["a"]], frame["price"], sample_weight=frame["w"])
    parts = [frame.iloc[:300], frame.iloc[300:][["price", "w", "a"]]]
    found = fit_chunks(LinearGaussian(), parts, "price", "w")
    np.testing.assert_allclose(found.coef_, wanted.coef_, rtol=1e-12)
    assert list(found.feature_names_in_) == ["a"]
    renamed = [part.rename(columns={"price": "y"}) for part in parts]
    found = fit_chunks(LinearGaussian(), renamed, weight="w")
    np.testing.assert_allclose(found.coef_, wanted.coef_, rtol=1e-12)
    refused(lambda: fit_chunks(LinearGaussian(), parts), "target='y' is no column", "'price'")
    refused(lambda: fit_chunks(LinearGaussian(), parts, "price", "v"), "weight='v' is no column")
    refused(lambda: fit_chunks(LinearGaussian(), [X], weight="w"), "no names|brings no targets")
    refused(lambda: fit_chunks(PPCA(1), [X], weight="w"), "weight='w' names a column", "no names")
    two = fit_chunks(LinearGaussian(), parts, ["price", "w"])
    assert two.coef_.shape == (2, 1)
    pytest.importorskip("dask", reason="dask is an extra")
    import dask
    import dask.dataframe as dd

    with dask.config.set(scheduler="synchronous"):
        found = fit_dask(LinearGaussian(), dd.from_pandas(frame, npartitions=3), "price", "w")
    np.testing.assert_allclose(found.coef_, wanted.coef_, rtol=1e-12)


def test_looks_are_shown_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [X[:500], X[500:]]
    fit_chunks(TwoNormals(), parts)
    assert not capsys.readouterr().err
    fit_chunks(TwoNormals(), parts, verbose=True)
    assert "TwoNormals look 2: 1,000 rows" in capsys.readouterr().err


def weighted_line() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 2))
    return rows, rows[:, 0] + rng.normal(size=400), np.repeat([1.0, 9.0], 200)


@pytest.mark.parametrize("door", ["chunks", "dask"])
@pytest.mark.parametrize("first", [True, False])
def test_weights_in_some_parts_only_are_refused(door: str, first: bool) -> None:
    from ancestral import HeteroscedasticGaussian

    rows, y, w = weighted_line()
    parts: list[Any] = [(rows[:200], y[:200]), (rows[200:], y[200:], w[200:])]
    parts = parts[::-1] if first else parts
    if door == "dask":
        pytest.importorskip("dask", reason="dask is an extra")
    fit = fit_chunks if door == "chunks" else fit_dask
    refused(
        lambda: fit(HeteroscedasticGaussian(), parts),
        "brings weights, and part . has none: give them in every part",
        kind=DataError,
    )


def other_sources() -> dict[str, Any]:
    pd = pytest.importorskip("pandas", reason="pandas is an extra")
    frame = pd.DataFrame(X, columns=list("abc"))
    other = pd.DataFrame(X[:, ::-1], columns=list("abc"))
    found: dict[str, Any] = {
        "callable": (lambda: iter([X[:500], X[500:]]), lambda: iter([X[:500], -X[500:]])),
        "frames": ([frame[:500], frame[500:]], [other[:500], other[500:]]),
        "lists": ([X[:500].tolist(), X[500:].tolist()], [X[500:].tolist(), X[:500].tolist()]),
    }
    return found


@pytest.mark.parametrize("kind", ["callable", "frames", "lists"])
def test_a_checkpoint_of_other_data_is_refused_whatever_brings_them(
    kind: str, tmp_path: Path
) -> None:
    one, other = other_sources()[kind]
    found = fit_chunks(TwoNormals(), one, checkpoint=tmp_path / "c")
    assert same(found, fit_chunks(TwoNormals(), one, checkpoint=tmp_path / "c"))
    refused(lambda: fit_chunks(TwoNormals(), other, checkpoint=tmp_path / "c"), kind=ModelError)


def test_a_checkpoint_of_another_target_is_refused(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is an extra")
    from ancestral import HeteroscedasticGaussian

    rows, y, w = weighted_line()
    frame = pd.DataFrame({"a": rows[:, 0], "y1": y, "y2": w - y + rows[:, 1]})
    parts = [frame[:200], frame[200:]]
    fit_chunks(HeteroscedasticGaussian(), parts, "y1", checkpoint=tmp_path / "c")
    refused(
        lambda: fit_chunks(HeteroscedasticGaussian(), parts, "y2", checkpoint=tmp_path / "c"),
        kind=ModelError,
    )


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    from ancestral import LinearGaussian

    rows, y, _ = weighted_line()
    refused(
        lambda: fit_chunks(LinearGaussian(), [(rows, y)], checkpoint=tmp_path),
        "looks at its data once, and keeps no checkpoints",
        kind=ModelError,
    )
    refused(lambda: fit_chunks(TwoNormals(), [X], checkpoint_every=3), "give checkpoint=")
    refused(lambda: fit_chunks(TwoNormals(), [X], columns=["a"]), "columns= chooses columns")


def test_what_yields_chunks_may_fail() -> None:
    def chunks_that_end() -> Iterator[np.ndarray]:
        yield X
        raise RuntimeError("the line is dead")

    refused(
        lambda: fit_chunks(TwoNormals(), chunks_that_end),
        "part 1 could not be made: RuntimeError: the line is dead. Mend",
        kind=DataError,
    )


def test_empty_parts_have_their_place_in_the_sums() -> None:
    """So that workers and one machine add the same pairs."""
    dask = pytest.importorskip("dask", reason="dask is an extra")
    parts = [X[:100], X[:0], X[100:130], X[:0], X[:0], X[130:600], X[600:], X[:0]]
    here = fit_chunks(TwoNormals(), parts)
    with dask.config.set(scheduler="synchronous"):
        assert same(here, fit_dask(TwoNormals(), parts))
        assert (
            fit_chunks(PPCA(1), parts).noise_variance_ == fit_dask(PPCA(1), parts).noise_variance_
        )


def test_parts_of_no_weight_have_their_place_too() -> None:
    dask = pytest.importorskip("dask", reason="dask is an extra")
    from ancestral import HeteroscedasticGaussian, LinearGaussian

    rows, y, w = weighted_line()
    cuts = [0, 60, 100, 170, 200, 310, 400]
    parts = [(rows[a:b], y[a:b], w[a:b] * (a not in (60, 200))) for a, b in pairwise(cuts)]
    for make in (LinearGaussian, HeteroscedasticGaussian):
        here = fit_chunks(make(), parts)
        with dask.config.set(scheduler="synchronous"):
            there = fit_dask(make(), parts)
        np.testing.assert_array_equal(here.coef_, there.coef_)
        kept = w * ~np.isin(np.arange(400), [*range(60, 100), *range(200, 310)])
        np.testing.assert_allclose(here.coef_, make().fit(rows, y, kept).coef_, rtol=1e-8)
