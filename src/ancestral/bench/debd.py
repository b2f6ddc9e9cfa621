"""The density estimation benchmark: fit, select on validation rows, score the test rows.

The data are those of Lowd & Davis (2010) and Van Haaren & Davis (2012), and sets in the same
layout: binary tables in three parts. One recipe with one set of defaults serves them all, for
either of two models: a mixture over random orders of chains of classifiers (`OrderMixture` of
`ChainAutoregressive`), to which orders are added while the processor time allows, or hidden trees
(`LatentTree` with its defaults), whose work is counted and not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_generator, check_integer, check_number, log_sum_exp
from ancestral._extras import need
from ancestral.autoregressive.chain.model import ChainAutoregressive
from ancestral.circuit.latent_tree import LatentTree
from ancestral.errors import ModelError, printable
from ancestral.io.splits import Published, Splits, find_all, published, read_splits

MAX_ORDERS = 8
CPU_SECONDS = 150.0  # a set's budget
FIRST = 0.75  # of it, that the fit of the first order may take
MANY_ROWS = 20_000  # above, some of the rows and a second order gain more than all rows and one:
FIRST_OF_MANY = 0.4
SLOWER = 1.1  # than those before, as the scoring of an order is allowed for
ENOUGH = 0.7  # of the slowest order's fit: another is begun, on fewer rows if need be
WIDE = 600  # variables above which each sees half as many others, or one order takes too long


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
        Members of the mixture: orders, or trees.
    chosen : tuple of str
        What each is: an order's winner on the validation rows, or a tree's states.
    published : float or None
        Another model's mean test log-likelihood on the same rows.
    published_by, published_source : str or None
        Which model's, and who says so.
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
    published_by: str | None = None
    published_source: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def bench_debd(
    sources: Sequence[str | Path],
    *,
    model: Literal["orders", "tree"] = "orders",
    max_orders: int = MAX_ORDERS,
    cpu_seconds: float = CPU_SECONDS,
    random_state: Any = 0,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Result]:
    """Fit and score benchmark sets, one result at a time.

    Parameters
    ----------
    sources : sequence of path-like
        Each a set's name, such as "nltcs", looked for in `$ANCESTRAL_DATA/debd` and the usual
        places beside the working folder; a `.npz` file with the arrays train, valid and test; a
        file of the original layout (`NAME.train.data` or `NAME.ts.data`, commas between zeros and
        ones) whose `NAME.valid.data` and `NAME.test.data` lie beside it; or a folder of either.
        None at all: every set in the first of those places that has any.
    model : {"orders", "tree"}
        Chains of classifiers in several orders, or hidden trees fitted to the training rows.
    max_orders : int
        Orders mixed at most.
    cpu_seconds : float
        Processor seconds that a set may take. Where all its rows would take longer, each order is
        fitted to fewer of them; a further order is begun where there is time for most of one like
        those before.
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
        When a name is not found, or a file or folder holds no benchmark set.
    DataError
        When the three parts differ in width, or hold other values than 0 and 1.
    ModelError
        For another model.
    MissingExtraError
        Without LightGBM, for ``"orders"``.
    """
    if model not in ("orders", "tree"):
        raise ModelError(f'model must be "orders" or "tree"; got {model!r}.')
    max_orders = check_integer(max_orders, "max_orders", minimum=1)
    cpu_seconds = check_number(cpu_seconds, "cpu_seconds", minimum=0.0, inclusive=False)
    if model == "orders":
        need("the benchmark, which grows trees,", "boost")
    for paths in find_all(sources):
        rng, others = as_generator(random_state), published(paths)
        splits = read_splits(paths)
        began = time.process_time()
        if model == "tree":
            values, chosen = _by_trees(splits, rng)
        else:
            values, chosen = _by_orders(
                splits, max_orders, cpu_seconds, rng, tell or (lambda line: None)
            )
        yield _result(splits, others, values, chosen, time.process_time() - began)


def _by_trees(
    splits: Splits, rng: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return log densities of the test rows by the default model, and what its members are."""
    width = splits.train.shape[1]
    model = LatentTree(categories=[[0, 1]] * width, random_state=int(rng.integers(2**31 - 1)))
    values = model.fit(splits.train).log_density(splits.test)
    return values, (f"tree of {model.n_states_} states",) * model.n_trees_


def _by_orders(
    splits: Splits,
    max_orders: int,
    cpu_seconds: float,
    rng: np.random.Generator,
    tell: Callable[[str], None],
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Add orders while time allows; the mixture's density is the mean of the members'."""
    began = time.process_time()
    scores: list[NDArray[np.float64]] = []
    chosen: list[str] = []
    fitting = scoring = 0.0  # the slowest so far
    first = cpu_seconds * (FIRST_OF_MANY if len(splits.train) > MANY_ROWS else FIRST)
    while len(scores) < max_orders:
        started = time.process_time()
        left = cpu_seconds - (started - began) - SLOWER * scoring
        if scores and left < ENOUGH * fitting:
            break
        order = rng.permutation(splits.train.shape[1])
        member = ChainAutoregressive(
            max_parents=64 if len(order) > WIDE else 128,
            cpu_seconds=left if scores else first,
            random_state=int(rng.integers(0, 2**31 - 1)),
        )
        member.fit(splits.train[:, order], X_val=splits.valid[:, order])
        fitted = time.process_time()
        scores.append(member.log_density(splits.test[:, order]))
        chosen.append(member.chosen_)
        now = time.process_time()
        fitting, scoring = max(fitting, fitted - started), max(scoring, now - fitted)
        tell(
            f"{splits.name}: order {len(scores)}, {member.chosen_}: {scores[-1].mean():.4f} nats, "
            f"{now - began:.0f} CPU s so far"
        )
    return log_sum_exp(np.stack(scores), axis=0) - np.log(len(scores)), tuple(chosen)


def _result(
    splits: Splits,
    others: Published | None,
    values: NDArray[np.float64],
    chosen: tuple[str, ...],
    cpu_seconds: float,
) -> Result:
    return Result(
        name=splits.name,
        n_train=len(splits.train),
        n_variables=splits.train.shape[1],
        n_test=len(splits.test),
        log_density=float(values.mean()),
        standard_error=float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0,
        cpu_seconds=cpu_seconds,
        n_orders=len(chosen),
        chosen=chosen,
        published=others.log_density if others else None,
        published_by=others.method if others else None,
        published_source=others.source if others else None,
    )


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
    head += f" {'CPU s':>6s} {'orders':>6s} {'published':>14s}  chosen on validation"
    done: list[Result] = []
    for r in results:
        if not done:  # what cannot be read is said before any table
            console.print(head, soft_wrap=True)
        done.append(r)
        published = "-" if r.published is None else f"{r.published_by} {r.published:.3f}"
        counts = {name: r.chosen.count(name) for name in dict.fromkeys(r.chosen)}
        chosen = "; ".join(f"{n} x {name}" if n > 1 else name for name, n in counts.items())
        console.print(
            f"{printable(r.name):12s} {r.n_train:7d} {r.n_variables:5d} {r.log_density:9.4f} "
            f"{r.standard_error:6.4f} {r.cpu_seconds:6.1f} {r.n_orders:6d} {published:>14s}  "
            + chosen,
            soft_wrap=True,
            markup=False,
        )
    console.print("Mean test log-likelihood in nats, with its standard error over the test rows.")
    for method, source in {r.published_by: r.published_source for r in done}.items():
        if method is not None:
            console.print(f"{method}: {source}", soft_wrap=True)
    return done
