"""The density estimation benchmark: fit, select on validation rows, score the test rows.

The data are those of Lowd & Davis (2010) and Van Haaren & Davis (2012), and sets in the same
layout: binary tables in three parts. One recipe with one set of defaults serves them all, a
mixture over random orders of chains of classifiers (`OrderMixture` of `ChainAutoregressive`):
orders are added while the processor time allows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral._validation import as_generator, check_integer, check_number, log_sum_exp
from ancestral.autoregressive.chain import ChainAutoregressive
from ancestral.errors import DataError, FormatError
from ancestral.io import read_array

PARTS = ("train", "valid", "test")
TEXT_NAMES = {"train": ("train", "ts"), "valid": ("valid",), "test": ("test",)}
MAX_ORDERS = 8
CPU_SECONDS = 150.0  # a set's budget: new orders are begun only where they should end within it
WIDE = 600  # variables above which each sees half as many others, or one order takes too long
# Mean test log-likelihoods of hidden Chow-Liu trees, in nats.
PUBLISHED = {
    "nltcs": -5.999,
    "plants": -14.265,
    "jester": -52.376,
    "accidents": -26.736,
    "dna": -79.051,
}
PUBLISHED_SOURCE = (
    "HCLT: hidden Chow-Liu trees; figures from the logs of "
    "github.com/UCLA-StarAI/Tractable-PC-Regularization"
)


@dataclass(frozen=True)
class Splits:
    """One benchmark set: three binary tables with the same columns."""

    name: str
    train: NDArray
    valid: NDArray
    test: NDArray


@dataclass(frozen=True)
class Result:
    """How a set came out.

    Parameters
    ----------
    name : str
    n_train, n_variables, n_test : int
    log_density : float
        Mean over the test rows, in nats.
    standard_error : float
        Of that mean.
    cpu_seconds : float
        Of fitting, selection and scoring, all threads of this process.
    n_orders : int
    chosen : tuple of str
        Each order's winner on the validation rows.
    published : float or None
        Another model's mean test log-likelihood on the same rows.
    """

    name: str
    n_train: int
    n_variables: int
    n_test: int
    log_density: float
    standard_error: float
    cpu_seconds: float
    n_orders: int
    chosen: tuple[str, ...]
    published: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def bench_debd(
    sources: Sequence[str | Path],
    *,
    max_orders: int = MAX_ORDERS,
    cpu_seconds: float = CPU_SECONDS,
    random_state: Any = 0,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Result]:
    """Fit and score benchmark sets, one result at a time.

    Parameters
    ----------
    sources : sequence of path-like
        Each a `.npz` file with the arrays train, valid and test; a file of the original layout
        (`NAME.train.data` or `NAME.ts.data`, commas between zeros and ones) whose `NAME.valid.data`
        and `NAME.test.data` lie beside it; or a folder of either.
    max_orders : int
        Orders mixed at most.
    cpu_seconds : float
        A further order is begun only where, by the cost of those before, it should end within so
        many processor seconds. The first is always finished.
    random_state : None, int, RandomState or Generator
        An int gives the same orders; how many are mixed depends on the machine's speed.
    tell : callable, optional
        Given a line of progress now and then.

    Yields
    ------
    Result

    Raises
    ------
    FormatError
        When a file or folder holds no benchmark set.
    DataError
        When the three parts differ in width, or hold other values than 0 and 1.
    """
    max_orders = check_integer(max_orders, "max_orders", minimum=1)
    cpu_seconds = check_number(cpu_seconds, "cpu_seconds", minimum=0.0)
    for paths in [found for source in sources for found in find_sets(source)]:
        rng = as_generator(random_state)
        yield _scored(read_splits(paths), max_orders, cpu_seconds, rng, tell or (lambda line: None))


def _scored(
    splits: Splits,
    max_orders: int,
    cpu_seconds: float,
    rng: np.random.Generator,
    tell: Callable[[str], None],
) -> Result:
    """Add orders while time allows; the mixture's density is the mean of the members'."""
    began = time.process_time()
    scores: list[NDArray[np.float64]] = []
    chosen: list[str] = []
    slowest = 0.0
    while len(scores) < max_orders:
        used = time.process_time() - began
        if scores and used + 1.2 * slowest > cpu_seconds:
            break
        order = rng.permutation(splits.train.shape[1])
        member = ChainAutoregressive(
            max_parents=64 if len(order) > WIDE else 128,
            random_state=int(rng.integers(0, 2**31 - 1)),
        )
        member.fit(splits.train[:, order], X_val=splits.valid[:, order])
        scores.append(member.log_density(splits.test[:, order]))
        chosen.append(member.chosen_)
        slowest = max(slowest, time.process_time() - began - used)
        tell(f"{splits.name}: order {len(scores)}, {member.chosen_}: {scores[-1].mean():.4f} nats")
    values = log_sum_exp(np.stack(scores), axis=0) - np.log(len(scores))
    return Result(
        name=splits.name,
        n_train=len(splits.train),
        n_variables=splits.train.shape[1],
        n_test=len(splits.test),
        log_density=float(values.mean()),
        standard_error=float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0,
        cpu_seconds=time.process_time() - began,
        n_orders=len(scores),
        chosen=tuple(chosen),
        published=PUBLISHED.get(splits.name),
    )


# ---- reading the sets ------------------------------------------------------------------------


def find_sets(source: str | Path) -> list[dict[str, Path]]:
    """Return the files of each set that a path names: one file for all parts, or one for each."""
    source = Path(source)
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())
        found = [sets for path in files if _names_a_set(path) for sets in find_sets(path)]
        if not found:
            raise FormatError(
                f"{source}: holds no benchmark set. Wanted: NAME.npz files with train, valid and "
                "test, or NAME.train.data, NAME.valid.data and NAME.test.data."
            )
        return found
    if not source.exists():
        raise FormatError(f"{source}: no such file or folder. Name a .npz file or a folder.")
    if source.suffix == ".npz":
        return [dict.fromkeys(PARTS, source)]
    stem = re.sub(r"\.(ts|train|valid|test)\.data$", "", source.name)
    if stem == source.name:
        raise FormatError(f"{source}: is no .npz file and is not named NAME.train.data.")
    paths = {}
    for part, spellings in TEXT_NAMES.items():
        candidates = [source.with_name(f"{stem}.{spelling}.data") for spelling in spellings]
        there = [path for path in candidates if path.is_file()]
        if not there:
            raise FormatError(f"{candidates[0]}: is missing; a set has train, valid and test.")
        paths[part] = there[0]
    return [paths]


def _names_a_set(path: Path) -> bool:
    """Tell whether a file found in a folder is a set, or the first of a set's three."""
    return path.suffix == ".npz" or path.name.endswith((".train.data", ".ts.data"))


def read_splits(paths: dict[str, Path]) -> Splits:
    """Read the three parts of a set.

    Raises
    ------
    FormatError, DataError
        As `bench_debd` says.
    """
    tables = {}
    for part in PARTS:
        path = paths[part]
        is_archive = path.suffix == ".npz"
        table = read_array(path, key=part) if is_archive else _read_zeros_and_ones(path)
        if table.ndim != 2 or not len(table):
            raise DataError(f"{path}: {part} has shape {table.shape}; a table of rows is wanted.")
        wrong = (table != 0) & (table != 1)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{path}: {part} holds {table[row, column]:g} at row {row}, column {column}; the "
                "benchmark's sets hold 0 and 1."
            )
        tables[part] = table.astype(np.uint8)
    widths = {part: table.shape[1] for part, table in tables.items()}
    if len(set(widths.values())) > 1:
        raise DataError(f"{paths['train']}: its parts differ in width: {widths}.")
    return Splits(paths["train"].name.split(".")[0], **tables)


def _read_zeros_and_ones(path: Path) -> NDArray:
    """Read the original text layout: one row a line, single digits, commas (or blanks) between."""
    data = path.read_bytes()
    if not data.strip():
        raise FormatError(f"{path}: file is empty ({len(data)} bytes).")
    rows = data.replace(b" ", b",").split()
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise FormatError(
                f"{path}: line {number} has {len(row)} characters, line 1 has {width}. Rows of "
                "single digits with commas between are wanted."
            )
    characters = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
    table = characters[:, ::2].astype(np.int16) - ord("0")
    if (characters[:, 1::2] != ord(",")).any() or (table < 0).any() or (table > 9).any():
        raise FormatError(f"{path}: holds more than single digits with commas between.")
    return table


# ---- printing --------------------------------------------------------------------------------


def print_results(results: Iterable[Result], console: Any = None) -> list[Result]:
    """Print a table of results as they come, then the source of the published figures.

    Parameters
    ----------
    results : iterable of Result
        As `bench_debd` yields them.
    console : rich.console.Console, optional
        Where to; stdout if None.

    Returns
    -------
    list of Result
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    head = f"{'set':12s} {'rows':>7s} {'vars':>5s} {'test LL':>9s} {'s.e.':>6s}"
    console.print(f"{head} {'CPU s':>6s} {'orders':>6s} {'HCLT':>9s}  chosen on validation")
    done = []
    for r in results:
        done.append(r)
        published = "-" if r.published is None else f"{r.published:.3f}"
        counts = {name: r.chosen.count(name) for name in dict.fromkeys(r.chosen)}
        chosen = "; ".join(f"{n} x {name}" if n > 1 else name for name, n in counts.items())
        console.print(
            f"{r.name:12s} {r.n_train:7d} {r.n_variables:5d} {r.log_density:9.4f} "
            f"{r.standard_error:6.4f} {r.cpu_seconds:6.1f} {r.n_orders:6d} {published:>9s}  "
            + chosen,
            soft_wrap=True,
        )
    console.print("Mean test log-likelihood in nats, with its standard error over the test rows.")
    console.print(PUBLISHED_SOURCE, soft_wrap=True)
    return done
