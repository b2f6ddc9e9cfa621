"""A saved model is whole or refused: damage, other versions, crashes, full disks, rivals.

Slow or destructive things happen in child processes that hold no more than the writer itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ancestral
from ancestral import PPCA, model_file
from ancestral.errors import FormatError, SaveError
from tests.trust.files import write_model
from tests.trust.guard import refused
from tests.zoo import CLOUD, ZOO, Entry

SAVED = ZOO
EVERY = pytest.mark.parametrize("entry", SAVED, ids=lambda e: e.name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model"


def leftovers(path: Path) -> list[str]:
    """Return the names of the files beside a saved one."""
    return sorted(entry.name for entry in path.parent.iterdir() if entry != path)


# ---- what comes back -----------------------------------------------------------------------------


@EVERY
def test_a_loaded_model_is_the_saved_one_to_the_bit(entry: Entry, path: Path) -> None:
    model = entry.fit()
    assert model.save(path) == path
    again = ancestral.load(path)
    np.testing.assert_array_equal(again.log_density(*entry.data), model.log_density(*entry.data))
    assert not leftovers(path)


def test_only_a_model_is_replaced_unasked(path: Path) -> None:
    model = PPCA(1).fit(CLOUD)
    model.save(path)
    older = path.read_bytes()
    assert PPCA(1).fit(CLOUD[1:]).save(path) == path and path.read_bytes() != older
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SaveError, match="is no model file, so it would be lost"):
        model.save(path)
    assert path.read_text() == "a,b\n1,2\n" and not leftovers(path)
    assert model_file.save(model, path, force=True) == path
    path.write_bytes(b"")  # as tempfile leaves one
    assert ancestral.load(model.save(path)).score(CLOUD) == model.score(CLOUD)


def test_memory_order_and_names_come_back(path: Path) -> None:
    """safetensors once wrote Fortran-ordered memory as if it were in C order."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(CLOUD, columns=["länge", "width"])
    model = PPCA(1).fit(frame)
    model.loadings_ = np.asfortranarray(np.tile(model.loadings_, (1, 1)))
    model.components_ = np.asfortranarray(model.components_)
    again = ancestral.load(model.save(path))
    assert list(again.feature_names_in_) == ["länge", "width"]
    np.testing.assert_array_equal(again.loadings_, model.loadings_)
    np.testing.assert_array_equal(again.sample(3, random_state=0), model.sample(3, random_state=0))
    with pytest.raises(ancestral.AncestralError, match="names"):
        again.log_density(frame[["width", "länge"]])


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([np.float32(0.1), np.int8(3), np.bool_(True)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text().filter(lambda k: k[:1] != "$"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(value=PLAIN)
def test_plain_values_come_back_of_their_own_type(value: Any) -> None:
    document = json.dumps(model_file._encode(value, {}, "value"), allow_nan=False)
    again = model_file._decode(json.loads(document), {})
    np.testing.assert_equal(again, value)
    assert isinstance(again, type(value.item() if isinstance(value, np.generic) else value))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.zeros((0, 3)),
        np.array([True, False]),
        np.array([1, -(2**62)]),
        np.array([np.nan, np.inf, -0.0]),
        np.array(["a", "bcd", ""]),
        np.array(["a", "bcd"], dtype=object),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_come_back_with_dtype_and_shape(array: np.ndarray, path: Path) -> None:
    write_model(path, "PPCA", {}, {"array_": array})
    again = model_file.unpack(path).state["array_"]
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


def test_a_live_generator_is_stored_as_none(path: Path) -> None:
    graphs = ancestral.datasets.classrooms(20)
    model = ancestral.InnerProductGraph(random_state=np.random.default_rng(0)).fit(graphs)
    assert ancestral.load(model.save(path)).random_state is None


def test_what_has_no_saved_form_is_refused_before_anything_is_written(path: Path) -> None:
    model = PPCA(1).fit(CLOUD)
    model.mean_ = object()
    with pytest.raises(SaveError, match="mean_: a object has no saved form"):
        model.save(path)
    with pytest.raises(SaveError, match="Other has no saved form"):
        type("Other", (PPCA,), {})(1).fit(CLOUD).save(path)
    with pytest.raises(ancestral.AncestralError, match="call fit first"):
        PPCA(1).save(path)
    assert not path.exists() and not leftovers(path)


def test_a_class_named_as_one_of_ours_has_no_saved_form(path: Path) -> None:
    namesake = type("PPCA", (PPCA,), {"__module__": __name__, "_fields": ("more_",)})
    with pytest.raises(SaveError, match="PPCA has no saved form"):
        namesake(1).fit(CLOUD).save(path)


def test_what_a_version_with_fewer_parameters_pickled_is_whole() -> None:
    """Of Python's own pickles: today's parameters are filled in."""
    model = PPCA(1).fit(CLOUD)
    state = {k: v for k, v in model.__getstate__().items() if k != "verbose"}
    old = object.__new__(PPCA)
    old.__setstate__(state)
    assert old.get_params() == model.get_params() and "PPCA" in repr(old)
    np.testing.assert_array_equal(old.log_density(CLOUD), model.log_density(CLOUD))


DERIVED = {"log_probabilities_"}  # made anew from what is stored


@pytest.mark.parametrize("entry", SAVED, ids=lambda entry: entry.name)
def test_what_fit_learns_is_declared_and_nothing_else_is_kept(entry: Any, path: Path) -> None:
    model = entry.fit()
    learnt = {name for name in vars(model) if name[-1:] == "_" and name[:1] != "_"}
    assert learnt <= {*model._declared()} | DERIVED
    model.note_ = "of the user's own"
    assert not hasattr(ancestral.load(model.save(path)), "note_")


@pytest.mark.parametrize("name", ["a model.v1", "-rf", "модель ✓", "é" * 127, "x" * 255, ".tmp"])
def test_any_file_name_will_do(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for _ in range(2):
        PPCA(1).fit(CLOUD).save(path)
    assert ancestral.load(path).n_components == 1
    assert not leftovers(path)


# ---- damage --------------------------------------------------------------------------------------


def test_a_file_cut_anywhere_or_too_long_is_refused(path: Path) -> None:
    data = PPCA(1).fit(CLOUD).save(path).read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            ancestral.load(path)
    for longer in (data + b"\0", data + data, b"\0" + data):
        path.write_bytes(longer)
        with pytest.raises(FormatError):
            ancestral.load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        b"\xff" * 64,
        (2**60).to_bytes(8, "little") + b"{}",
        (6).to_bytes(8, "little") + b'["a"]]',
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
    ],
    ids=["empty", "pickle", "zip", "npy", "noise", "huge header", "no object", "deep nest"],
)
def test_what_is_no_model_file_is_named(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"model: (is not a model file|file is empty)"):
        ancestral.load(path)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_document_of_many_levels_is_refused(depth: int, path: Path) -> None:
    document = '{"params": {}, "state": ' + "[" * depth + "]" * depth + "}"
    metadata = {"format": model_file.FORMAT, "format_version": "1", "class": "PPCA"}
    path.write_bytes(model_file._signed({}, {**metadata, "document": document}))
    with pytest.raises(FormatError, match="is not a whole PPCA"):
        ancestral.load(path)


BOMBS = {  # JSON that takes up to a hundred times its own room, or long to build
    "lists": "[" + "[]," * 9_000_000 + "1]",
    "dicts": "[" + '{"a":1},' * 2_000_000 + "1]",
    "keys": "{" + ",".join(f'"{k}":1' for k in range(2_000_000)) + "}",
    "numbers": "[" + "1e9," * 7_000_000 + "1]",
    "levels": "[" + ("[" * 50 + "]" * 50 + ",") * 200_000 + "1]",
    "text": '"' + "a" * 40_000_000 + '"',
    "wide text": '{"$strings":["' + "a" * 1_000_000 + '"' + ',""' * 500_000 + '],"object":false}',
    "whole number": "9" * 1_000_000,
}


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("name", BOMBS)
def test_t11_a_header_that_expands_is_refused_soon_and_small(
    name: str, hidden: bool, path: Path
) -> None:
    """Also where its brackets are written as escapes."""
    document = '{"params":{},"state":{"history_":' + BOMBS[name] + "}}"
    header = {"format": model_file.FORMAT, "format_version": "1", "class": "PPCA"}
    content = model_file._signed({}, {**header, "document": "@", "data_fingerprint": ""})
    text = json.dumps(document)[1:-1]
    if hidden:
        text = text.replace("[", "\\u005b").replace("{", "\\u007b").replace(",", "\\u002c")
    path.write_bytes(resigned(content, b'"@"', f'"{text}"'.encode()))
    refused(lambda: ancestral.load(path), "is not a (model file|whole PPCA)", kind=FormatError)


def resigned(content: bytes, old: bytes, new: bytes) -> bytes:
    """Return a model file with another text in its header, and right digest and length."""
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].replace(old, new)
    digest = re.search(rb'"sha256":"([0-9a-f]{64})"', header)[1]  # type: ignore[index]
    blank = len(header).to_bytes(8, "little") + header.replace(digest, b"0" * 64)
    blank += content[8 + size :]
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def test_a_model_of_more_names_than_a_file_may_hold_is_not_saved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PPCA(1).fit(CLOUD)
    model.feature_names_in_ = np.array(["a" * 300_000, *"b" * 300], dtype=object)
    with pytest.raises(SaveError, match="301 texts of up to 300,000 characters are too many"):
        model.save(path)
    model = PPCA(0).fit(np.random.default_rng(0).normal(size=(4, 30_000)))
    model.feature_names_in_ = np.array([str(k) for k in range(30_000)])
    assert list(ancestral.load(model.save(path)).feature_names_in_) == list(model.feature_names_in_)
    before = path.read_bytes()
    monkeypatch.setattr(model_file, "MAX_HEADER_ITEMS", 20_000)
    with pytest.raises(SaveError, match=r"PPCA is too large to be saved: .* 30,\d+ items"):
        model.save(path)
    assert path.read_bytes() == before


def test_a_plain_safetensors_file_is_not_a_model(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"mean_": np.zeros(3)}, path)
    with pytest.raises(FormatError, match="is not a model file"):
        ancestral.load(path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero"), tmp_path / "link"):
        with pytest.raises(
            FormatError, match=r"is a (directory|named pipe|device), not a file|does not exist"
        ):
            ancestral.load(path)
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(model_file.MAX_BYTES + 1)
    with pytest.raises(FormatError, match="more than a model file has"):
        ancestral.load(tmp_path / "sparse")


def test_links_are_followed_and_pipes_refused(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_bytes(b"old")
    link.symlink_to(real)
    model_file.write_atomically(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    os.mkfifo(pipe)
    with pytest.raises(SaveError, match="not a file"):
        model_file.write_atomically(pipe, b"new")
    assert pipe.is_fifo()


def test_a_file_names_the_data_of_its_fit_whatever_form_they_had(path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    model = ancestral.PPCA(1).fit(X)
    known = model.data_fingerprint_
    for same in (X.astype(np.float64), np.asfortranarray(X), X.astype(">f8"), X.tolist()):
        assert ancestral.PPCA(1).fit(same).data_fingerprint_ == known
    assert re.fullmatch("[0-9a-f]{64}", known)
    assert ancestral.load(model.save(path)).data_fingerprint_ == known
    assert known.encode() in path.read_bytes()
    X[3, 1] += 1
    assert ancestral.PPCA(1).fit(X).data_fingerprint_ != known
    assert PPCA(1).partial_fit(X).data_fingerprint_ == ""  # a stream's is of no one set of rows


@pytest.mark.parametrize("shape", [(900, 16), (60_000, 3), (7, 40_000), (40_000,)])
def test_a_fingerprint_tells_large_data_apart_in_any_form(shape: tuple[int, ...]) -> None:
    X = np.random.default_rng(0).integers(-3, 4, size=shape).astype(np.float32)
    known = model_file.fingerprint(X)
    forms: list[np.ndarray] = [X.astype(np.float64), X.astype(">f8"), X.astype(int)]
    forms += [np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], np.where(X == 0, -0.0, X)]
    assert {model_file.fingerprint(form) for form in forms} == {known}
    others = [-X, 2 * X, X[::-1], X[..., ::-1], np.roll(X, 1, axis=0), X[:-1]]
    others += [np.where(X == 3, np.nan, X), X.astype(str).astype(object)]
    assert len({known, *map(model_file.fingerprint, others)}) == 1 + len(others) - (X.ndim == 1)
    if X.size <= model_file.MOST_NUMBERS:  # each value counts
        X[543, 7] += 1
        assert model_file.fingerprint(X) != known


@EVERY
def test_every_fit_has_a_fingerprint_of_its_data(entry: Entry, path: Path) -> None:
    model = entry.fit()
    assert model.data_fingerprint_ == entry.fit().data_fingerprint_ != ""
    assert ancestral.load(model.save(path)).data_fingerprint_ != ""


def test_a_private_model_stays_private(path: Path) -> None:
    model = PPCA(1).fit(CLOUD)
    model.save(path).chmod(0o600)
    assert model.save(path).stat().st_mode & 0o777 == 0o600
