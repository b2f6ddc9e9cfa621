"""Saved models: damage, other versions, values that are none, and files that stay readable.

A28, A57 to A59. The files in `format_1` were written when the format was version 1. They are read
for ever: never write them anew.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ancestral
from ancestral import PPCA, LinearGaussian, TabularAutoregressive, model_file
from ancestral.errors import FormatError
from tests.trust.files import refuse, write_model
from tests.trust.guard import accepted
from tests.zoo import CLOUD, INPUTS, TARGET, WIDE, ZOO, Entry

SAVED = ZOO
EVERY = pytest.mark.parametrize("entry", SAVED, ids=lambda e: e.name)
FORMAT_1 = Path(__file__).with_name("format_1")
STORED = sorted(FORMAT_1.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model"


def parts(model: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return what a file of the model holds, to be tampered with."""
    state = copy.deepcopy(model._fitted_state())
    return type(model).__name__, model.get_params(deep=False), state


def refuse_model(path: Path, *says: str) -> None:
    """A model file must be refused, naming it."""
    refuse(path, *says, readers=ancestral.load)


# ---- damage --------------------------------------------------------------------------------------


def silently_wrong(
    files: list[Path], path: Path, damage: Callable[[bytearray], None], n: int
) -> int:
    """Return how many of n damaged copies load; the others must be refused by name."""
    loaded, errors = 0, []
    originals = [file.read_bytes() for file in files]
    for k in range(n):
        content = bytearray(originals[k % len(files)])
        damage(content)
        path.write_bytes(content)
        try:
            ancestral.load(path)
        except FormatError as error:
            errors.append(str(error))
        else:
            loaded += 1
    assert all(str(path) in error for error in errors)
    return loaded


def test_a28_one_bit_flipped_in_a_model_file(
    path: Path, long: bool, note: Callable[[str, str], None]
) -> None:
    rng = random.Random(1)
    large = PPCA(3).fit(WIDE).save(path.with_name("large"))

    def flip(content: bytearray) -> None:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)

    n = 20_000 if long else 400
    wrong = silently_wrong([large, *STORED], path, flip, n)
    note("A28 model files with one bit flipped, loaded", f"{wrong} of {n:,}")
    assert wrong == 0


def test_a59_every_byte_changed_once(path: Path) -> None:
    data = PPCA(1).fit(CLOUD).save(path).read_bytes()
    rng = random.Random(0)
    assert len(data) > 800
    places = iter(range(len(data)))

    def change(content: bytearray) -> None:
        place = next(places)
        content[place] = (content[place] + rng.randrange(1, 256)) % 256

    assert silently_wrong([path], path.with_name("damaged"), change, len(data)) == 0


def test_a59_seeded_changes_of_one_byte(
    path: Path, long: bool, note: Callable[[str, str], None]
) -> None:
    rng = random.Random(2)

    def change(content: bytearray) -> None:
        place = rng.randrange(len(content))
        content[place] = (content[place] + rng.randrange(1, 256)) % 256

    n = 20_000 if long else 1_000
    wrong = silently_wrong(STORED, path, change, n)
    note("A59 model files with one byte changed, loaded", f"{wrong} of {n:,}")
    assert wrong == 0


# ---- versions and classes ------------------------------------------------------------------------


def test_a57_files_of_format_1_are_read_for_ever() -> None:
    """What they say was worked out by hand."""
    ppca = accepted(lambda: ancestral.load(FORMAT_1 / "ppca.model"))
    assert ppca.noise_variance_ == pytest.approx(0.5, abs=1e-15)
    np.testing.assert_allclose(ppca.log_density([[0, 0]]), -math.log(2 * math.pi), atol=1e-14)
    tables = accepted(lambda: ancestral.load(FORMAT_1 / "tables.model"))
    np.testing.assert_allclose(
        tables.log_density([[0, 1], [1, 0], [0, 0]]), [-math.log(3), -math.log(3), -np.inf]
    )
    line = accepted(lambda: ancestral.load(FORMAT_1 / "line.model"))
    np.testing.assert_allclose(line.predict([[4]]), [9.5], atol=1e-13)
    np.testing.assert_allclose(line.log_density([[1]], [1]), [-0.5 * math.log(math.pi) - 1])
    graph = accepted(lambda: ancestral.load(FORMAT_1 / "graph.model"))
    assert graph.slope_ == pytest.approx(2 * math.log(2), abs=1e-12)
    assert graph.intercept_ == pytest.approx(-math.log(2), abs=1e-12)


def test_a57_a_newer_format_names_both_versions(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = model_file.FORMAT_VERSION + 1
    with monkeypatch.context() as patch:
        patch.setattr(model_file, "FORMAT_VERSION", newer)
        patch.setattr(model_file, "__version__", "9.8.7")
        PPCA(1).fit(CLOUD).save(path)
    refuse_model(path, rf"format {newer}; this version reads up to {newer - 1}. Update ancestral")
    refuse_model(path, f"ancestral 9.8.7 wrote it, and this is {ancestral.__version__}")


def test_a57_another_class_is_refused(path: Path) -> None:
    _, params, state = parts(PPCA(1).fit(CLOUD))
    for name in ("Popen", "os.system", "", "GaussianMixture"):
        write_model(path, name, params, state)
        refuse_model(path, f"holds a {name!r}, which this version does not know", "register it")
    for name in ("LinearGaussian", "TabularAutoregressive", "InnerProductGraph"):
        for held in (params, {}):
            write_model(path, name, held, state)
            refuse_model(path, f"is not a whole {name}", "Save it again")


@EVERY
def test_a57_a_missing_or_unknown_field_is_refused(entry: Entry, path: Path) -> None:
    name, params, state = parts(entry.fit())
    scores = entry.fit().log_density(*entry.data)
    for field in state:
        without = {key: value for key, value in state.items() if key != field}
        check_refused_or_equal(write_model(path, name, params, without), entry, scores)
    for unknown in ("_check_fitted", "log_density", "__class__", "n_parameters_"):
        refuse_model(write_model(path, name, params, {**state, unknown: 1}), f"not a whole {name}")
    unknown_parameter = {**params, "no_such_parameter": 1}
    refuse_model(write_model(path, name, unknown_parameter, state), f"not a whole {name}")
    refuse_model(write_model(path, name, params, {}), f"not a whole {name}")


def check_refused_or_equal(path: Path, entry: Entry, scores: np.ndarray) -> None:
    """A tampered file is refused, unless what was changed has no part in the density."""
    try:
        model = ancestral.load(path)
    except FormatError:
        return
    np.testing.assert_array_equal(model.log_density(*entry.data), scores)


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every array and number in a nest of lists and dicts, and where it stands."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inner:
            yield from leaves(part, (*at, key))
    elif isinstance(value, np.ndarray | float | int):
        yield at, value


def replaced(state: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the state with another value at one place."""
    changed = copy.deepcopy(state)
    home = changed
    for key in at[:-1]:
        home = home[key]
    home[at[-1]] = value
    return changed


def tampered(value: Any) -> Iterator[Any]:
    """Yield what a value must not be: NaN, infinite, of another shape or type."""
    if not isinstance(value, np.ndarray):
        yield from (float("nan"), float("-inf"), "0.5", None)
        return
    if value.dtype.kind == "f" and value.size:
        for bad in (np.nan, np.inf):
            other = value.copy()
            other.flat[other.size // 2] = bad
            yield other
    if value.dtype.kind == "f":  # fewer levels might be another whole model
        yield value[:-1]
    yield from (np.concatenate([value, value]), value[None], None, 0.5)


# ---- values --------------------------------------------------------------------------------------


@EVERY
def test_a58_no_tampered_value_changes_a_score(entry: Entry, path: Path) -> None:
    model = entry.fit()
    name, params, state = parts(model)
    scores = model.log_density(*entry.data)
    everything = list(leaves(state))
    few = [leaf for leaf in everything if leaf[0][0] != "history_" or leaf[0][1] == 0]
    for at, value in few:
        for bad in tampered(value):
            write_model(path, name, params, replaced(state, at, bad))
            check_refused_or_equal(path, entry, scores)


@pytest.mark.parametrize("variance", [-0.1, -1e-300, -np.inf, np.nan, np.inf, 2**70])
def test_a58_no_variance_below_zero(variance: float, path: Path) -> None:
    for model in (PPCA(1).fit(CLOUD), LinearGaussian().fit(INPUTS, TARGET)):
        name, params, state = parts(model)
        state["noise_variance_"] = variance
        refuse_model(write_model(path, name, params, state), "variance", "Save it again")


def test_a58_values_of_another_kind(path: Path) -> None:
    name, params, state = parts(LinearGaussian().fit(INPUTS, TARGET))
    write_model(path, name, params, {**state, "n_features_in_": True})
    refuse_model(path, "'n_features_in_' is no whole number")
    name, params, state = parts(TabularAutoregressive().fit([[0, 1], [1, 1], [1, 0]]))
    children = [child.astype(np.float32) for child in state["children_"]]
    refuse_model(write_model(path, name, params, {**state, "children_": children}), "wrong shape")


def test_a58_a_table_whose_rows_are_no_distributions_is_refused(path: Path) -> None:
    name, params, state = parts(TabularAutoregressive().fit([[0, 1], [1, 1], [1, 0]]))
    for row in ([0.6, 0.6], [1.5, -0.5], [np.nan, 1.0]):
        tables = [np.array([row]), *state["probabilities_"][1:]]
        write_model(path, name, params, {**state, "probabilities_": tables})
        refuse_model(path, "does not sum to one", "Save it again")
