"""Rows B30, B31, B38, B40, B41 and B43 to B48 of the catalogue of bad input: discrete values."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral import (
    ChainAutoregressive,
    LSTMAutoregressive,
    OrderMixture,
    TabularAutoregressive,
    datasets,
    scores,
)
from ancestral.autoregressive.levels import DiscreteDensity
from ancestral.autoregressive.sequential import Sequential
from ancestral.cli import commands as cli
from ancestral.errors import DataError
from tests.trust.guard import accepted, refused, warned
from tests.zoo import ZOO, Entry

Note = Callable[[str, str], None]
STEPPED = pytest.mark.parametrize(
    "entry",
    [e for e in ZOO if isinstance(e.make(), Sequential) and e.data[0].dtype.kind != "U"],
    ids=lambda e: e.name,
)
EVERY = pytest.mark.parametrize(
    "entry", [e for e in ZOO if isinstance(e.make(), DiscreteDensity)], ids=lambda e: e.name
)
ICONS = datasets.icons()[0]


def lstm(**parameters: Any) -> LSTMAutoregressive:
    pytest.importorskip("torch")
    settings = {"hidden_size": 4, "num_layers": 1, "max_steps": 5, "random_state": 0}
    return LSTMAutoregressive(**{**settings, **parameters})


# ---- values that are no level --------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("dtype", [np.float64, np.float32, object])
def test_b30_grey_pixels_in_fit(entry: Entry, dtype: Any) -> None:
    images = ICONS.astype(dtype)
    images[3, 11] = 0.5
    says = ["X holds 0.5 at row 3, column 11", "levels are integers, booleans or text"]
    if dtype is not object:
        says += [r"\(pixel at row 2, column 1\)", "Binarise grey pixels with X >= 0.5"]
    refused(lambda: entry.make().fit(images), *says, kind=DataError)


@pytest.mark.parametrize("value", [1e300, -1e19, np.inf])
def test_b30_numbers_that_are_no_integers_of_64_bits(value: float) -> None:
    for X in (np.array([[0, 1], [value, 1]]), np.array([[0, 1], [value, "a"]], dtype=object)):
        refused(lambda X=X: TabularAutoregressive().fit(X), "X holds .* at row 1, column [01]")
    large = np.array([[0, 1], [2**64 - 1, 1]], np.uint64)
    says = "X holds 18446744073709551615 at row 1, column 0, .*no integer of 64 bits. Recode"
    refused(lambda: TabularAutoregressive().fit(large), says)


@pytest.mark.parametrize("value", [2, 1.0, b"red"])
def test_b30_text_and_numbers_in_one_column(value: Any) -> None:
    X = np.array([["no", "red"], ["yes", "red"], ["no", "blue"]], dtype=object)
    X[2, 1] = value
    says = r"X holds .* at row 2, column 1 where row 0 holds 'red'", "one kind"
    refused(lambda: TabularAutoregressive().fit(X), *says, kind=DataError)


def test_b31_pixels_of_0_and_255_are_two_levels() -> None:
    """Levels are learnt: exact values, and draws of the same kind."""
    plain = TabularAutoregressive().fit(ICONS)
    for other in (255 * ICONS, (255 * ICONS).astype(np.uint8), ICONS.astype(bool), 1.0 * ICONS):
        model = accepted(lambda X=other: TabularAutoregressive().fit(X))
        assert model.entropy_ == plain.entropy_ == pytest.approx(np.log(32), rel=1e-12)
        np.testing.assert_array_equal(model.log_density(other), plain.log_density(ICONS))
        drawn = model.sample(50, random_state=0)
        assert {*np.unique(drawn).tolist()} <= {*np.unique(other).tolist()}


def test_b31_pixels_of_0_and_255_to_a_model_of_0_and_1() -> None:
    model = TabularAutoregressive().fit(ICONS)
    says = r"X holds 255 at row \d+, column \d+ \(pixel at row", "levels 0, 1", "with X > 127"
    refused(lambda: model.log_density((255 * ICONS).astype(np.uint8)), *says, kind=DataError)


@pytest.mark.parametrize("kind", [np.uint8, float])
def test_b31_pixels_of_0_and_255_on_the_command_line(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "grey.npy", np.array([[0, 255], [255, 0]], kind))
    with pytest.raises(SystemExit) as end:
        cli.main(["fit", "tabular", str(tmp_path / "grey.npy"), "-o", str(tmp_path / "m")])
    assert end.value.code == 1 and not (tmp_path / "m").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "grey.npy: holds 255 at row 0, column 1" in said and "X > 127" in said


@STEPPED
@pytest.mark.parametrize("value", [99, -1, 255, 0.5, -0.0001, 2**40])
def test_b41_a_level_not_seen_in_fit(entry: Entry, value: float) -> None:
    """-1 above all: it would index the last level."""
    model = entry.fit()
    X = entry.data[0].astype(float)
    X[1, -1] = value
    known = ", ".join(str(k) for k in model.categories_[-1])
    says = rf"holds {X[1, -1]} at row \d, column {X.shape[1] - 1}", f"levels {known}", "(Bin|R)e?"
    for call in (model.log_density, model.score_samples, model.score):
        refused(lambda call=call: call(X), "X " + says[0], *says[1:], kind=DataError)
    given = X[1].copy()
    given[0] = np.nan
    for call in (lambda: model.sample(1, given=given), lambda: model.impute(given[None])):
        refused(call, *says, kind=DataError)


# ---- impossible, even and lonely rows ------------------------------------------------------------


def test_b38_an_impossible_row() -> None:
    tables = [[0.5, 0.5, 0.0], [[0.5, 0.5], [1.0, 0.0], [np.nan, np.nan]]]
    model = TabularAutoregressive.from_tables(tables)
    rows = [[0, 1], [1, 1], [2, 0]]
    densities = accepted(lambda: model.log_density(rows))
    np.testing.assert_array_equal(densities, [np.log(0.25), -np.inf, -np.inf])
    assert accepted(lambda: model.score(rows)) == -np.inf
    assert accepted(lambda: scores.bits_per_dimension(model, rows)) == np.inf
    assert accepted(lambda: model.aic(rows)) == np.inf
    assert np.exp(-accepted(lambda: model.score(rows))) == np.inf  # perplexity
    assert accepted(lambda: model.log_density([[2, np.nan]]))[0] == -np.inf
    partly = accepted(lambda: model.log_density([[np.nan, 1]]))[0]
    assert partly == pytest.approx(np.log(0.25))


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_b40_numbers_of_levels_that_differ(smoothing: float) -> None:
    """2, 3 and 5 levels, against counting by hand."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, k, size=80) for k in (2, 3, 5)])
    model = accepted(lambda: TabularAutoregressive(smoothing).fit(X))
    rows = [tuple(row) for row in X.tolist()]
    for row, found in zip(rows, model.log_density(X)):
        wanted = 0.0
        for i, k in enumerate((2, 3, 5)):
            seen = Counter(other[: i + 1] for other in rows)
            before = Counter(other[:i] for other in rows)
            p = (seen[row[: i + 1]] + smoothing) / (before[row[:i]] + smoothing * k)
            wanted += np.log(p)
        assert found == pytest.approx(wanted, rel=1e-12)
    drawn = model.sample(200, random_state=0)
    assert [int(column.max()) for column in drawn.T] == [1, 2, 4]


class Extreme(np.random.Generator):
    """A generator whose every uniform number is the same."""

    def __init__(self, u: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.u = u

    def random(self, size: Any = None, **_: Any) -> Any:  # type: ignore[override]
        return np.full(size, self.u)


@pytest.mark.parametrize("u", [0.0, 1 - 2.0**-53])
def test_b43_uniform_numbers_at_the_ends(u: float) -> None:
    """Sums of ten tenths, or thirds, fall short of one; impossible levels stand at both ends."""
    for inner in ([0.1] * 10, [1 / 3] * 3, [1 - 1e-16, 1e-16], [1.0]):
        p = np.array([0.0, *inner, 0.0])
        model = TabularAutoregressive.from_tables([p, np.tile(p, (len(p), 1))])
        model._few = None  # as a model that cannot list its rows: every row is stepped
        levels = model.sample(50, random_state=Extreme(u))
        assert np.isfinite(model.log_density(levels)).all()
        assert ((levels >= 1) & (levels <= len(inner))).all()


def test_b43_what_is_impossible_is_never_drawn_however_often() -> None:
    """Ten tenths do not sum to one in binary: the last level must not take what is left over."""
    model = TabularAutoregressive.from_tables([[*[0.1] * 10, 0.0]])
    for seed in range(20):
        rows, counts = model.sample_counts(2**61, random_state=seed)
        assert rows.max() == 9
        assert counts.sum() == 2**61


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("n", [1, 7])
def test_b44_equal_images(value: int, n: int) -> None:
    X = np.full((n, 9), value)
    model = accepted(lambda: TabularAutoregressive().fit(X))
    assert (model.score(X), model.entropy_) == (0.0, 0.0)
    np.testing.assert_array_equal(model.sample(3, random_state=0), np.full((3, 9), value))
    assert model.log_density(1 - X[:1])[0] == -np.inf
    words = np.full((n, 3), "on")
    for make in (lambda: ChainAutoregressive("logistic"), lambda: OrderMixture(
        TabularAutoregressive(), n_orders=2)):  # fmt: skip
        single = accepted(lambda make=make: make().fit(words))
        assert single.score(words) == 0.0 and (single.sample(2) == "on").all()


@pytest.mark.parametrize("n", [1, 5])
def test_b44_equal_images_and_an_lstm(n: int) -> None:
    """Its floor, the entropy, is zero; training ends within tol of it."""
    X = np.tile([[0, 1, 1]], (n, 1))
    model = lstm(hidden_size=16, max_steps=800).fit(X)
    assert model.floor_ == 0.0
    assert 0 <= model.loss_ < 1e-3 and model.score(X) == pytest.approx(-model.loss_)
    assert (model.sample(50, random_state=0) == X[0]).all(axis=1).mean() > 0.9
    single = lstm().fit(np.full((n, 3), "on"))  # one level in all: nothing to learn
    assert (single.floor_, single.loss_, single.score([["on"] * 3])) == (0.0, 0.0, 0.0)


@EVERY
def test_b45_images_of_differing_size(entry: Entry) -> None:
    fit = entry.make().fit
    ragged = r"X is ragged: row 1 has shape \(3,\) where row 0 has \(2,\).*same shape"
    refused(lambda: fit([[0, 1], [0, 1, 1]]), ragged, kind=DataError)
    rows = np.empty(2, dtype=object)
    rows[:] = [[0, 1], [0, 1, 1]]
    refused(lambda: fit(rows), ragged, kind=DataError)
    two_sizes = [np.zeros((5, 5), int), np.zeros((5, 5), int), np.zeros((4, 4), int)]
    ragged = r"X is ragged: row 2 has shape \(4, 4\) where row 0 has \(5, 5\)"
    refused(lambda: fit(two_sizes), ragged, kind=DataError)
    refused(lambda: fit(np.zeros((4, 5, 5), int)), r"X.reshape\(4, 25\)", kind=DataError)
    model = entry.make().fit(ICONS)
    says = "X has 16 features.*expecting 25 features", "4 x 4 .* 5 x 5: resize"
    refused(lambda: model.log_density(np.zeros((1, 16), int)), *says, kind=DataError)


# ---- training ------------------------------------------------------------------------------------

ROWS = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 1, 0]])


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        (1e38, r"loss is (nan|inf) at step \d+.*best weights.*Lower learning_rate=1e\+38"),
        # saturated from the first step: the first variable, no constant, costs 1e28 nats
        (1e30, r"no step of \d+ brought the loss below its start.*Change learning_rate=1e\+30"),
        (1e60, r"loss is (nan|inf) at step 1: .*Lower learning_rate=1e\+60"),  # beyond float32
    ],
)
def test_b46_a_learning_rate_that_loses_the_loss(rate: float, says: str) -> None:
    model = warned(lambda: lstm(learning_rate=rate, max_steps=60).fit(ROWS), says)
    assert np.isfinite(model.log_density(ROWS)).all()
    assert model.loss_ == pytest.approx(min(row["loss"] for row in model.history_), abs=1e-4)


def test_b47_batches_of_one_of_more_than_all_and_no_steps() -> None:
    early = r"stopped at max_steps=\d+ with a loss of .* above its floor of 1.386. Pass a larger"
    single = warned(lambda: lstm(batch_size=1, max_steps=40).fit(ROWS), early)
    assert np.isfinite(single.log_density(ROWS)).all()
    whole, over = lstm().fit(ROWS), warned(lambda: lstm(batch_size=99).fit(ROWS), early)
    np.testing.assert_array_equal(whole.log_density(ROWS), over.log_density(ROWS))
    model = warned(lambda: lstm(max_steps=0).fit(ROWS), "max_steps=0: .* untrained")
    assert [row["step"] for row in model.history_] == [0]
    assert np.isfinite(model.log_density(ROWS)).all()


def test_b48_sequences_of_one() -> None:
    X = np.array([[0], [1], [1], [1]])
    model = lstm(max_steps=800, hidden_size=8).fit(X)
    p = np.exp(model.log_density([[0], [1]]))
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    assert model.loss_ - model.floor_ < model.tol
    np.testing.assert_allclose(p, [0.25, 0.75], atol=(model.tol / 2) ** 0.5)  # Pinsker


CHILD = """
import resource, sys
import numpy as np
from ancestral import LSTMAutoregressive
for d in map(int, sys.argv[1:]):
    X = np.random.default_rng(0).integers(0, 2, size=(2, d))
    model = LSTMAutoregressive(4, 1, max_steps=1, random_state=0).fit(X)
    assert np.isfinite(model.log_density(X)).all() and model.sample(2).shape == X.shape
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_b48_sequences_of_ten_thousand(long: bool, note: Note) -> None:
    """Memory is linear in the length: a matrix of 10,000 x 10,000 float32 alone takes 381 MiB."""
    pytest.importorskip("torch")
    lengths = [10, 10_000, 20_000, 40_000] if long else [10, 10_000]
    command = [sys.executable, "-c", CHILD, *map(str, lengths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peaks = [float(line) for line in done.stdout.splitlines()]  # MiB
    assert peaks[-1] - peaks[0] < 200
    if long:
        shown = ", ".join(f"{peak - peaks[0]:.0f} MiB" for peak in peaks[1:])
        note("LSTM over 10,000, 20,000 and 40,000 variables: peak above 10", shown)
