"""`ancestral bench`: public benchmarks, fitted and scored."""

from __future__ import annotations

from typing import Any

import click

from ancestral.cli.terminal import CONTEXT, json_option, print_json, say


@click.group("bench", context_settings=CONTEXT)
def command() -> None:
    """Fit and score public benchmarks of density estimation.

    \b
    Examples:
      ancestral bench debd nltcs plants
      ancestral bench mixed penguins
    """


@command.command(
    "debd",
    context_settings=CONTEXT,
    short_help="Binary tables with training, validation and test rows.",
)
@click.argument("sources", metavar="[SETS, FILES OR FOLDERS]", nargs=-1)
@click.option(
    "--model",
    type=click.Choice(["orders", "tree"]),
    default="orders",
    show_default=True,
    help="Chains of classifiers in several orders, or hidden trees (LatentTree).",
)
@json_option
def bench_debd(sources: tuple[str, ...], *, model: Any, as_json: bool) -> None:
    """Fit each set's training rows, select on its validation rows, score its test rows.

    SETS are names, such as nltcs, looked for in $ANCESTRAL_DATA/debd and the usual places beside
    this folder (none: all that are there). FILES are NAME.npz (arrays train, valid, test) or
    NAME.train.data with NAME.valid.data and NAME.test.data beside it; a FOLDER holds either.

    A set takes at most 150 processor seconds, or less if eight orders are finished sooner. Hidden
    trees have no time limit; their amount of work is fixed.

    \b
    Example:
      ancestral bench debd nltcs plants
    """
    from ancestral.bench import bench_debd as scored
    from ancestral.bench import print_results

    results = scored(sources, model=model, tell=lambda line: say(line, err=True))
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        print_results(results)


@command.command("mixed", context_settings=CONTEXT, short_help="Tables of mixed columns.")
@click.argument("sources", metavar="[NAMES OR FILES]", nargs=-1)
@json_option
def bench_mixed(sources: tuple[str, ...], *, as_json: bool) -> None:
    """Fit LatentTree to four fifths of each table's rows, score the rest.

    NAMES, such as penguins, are looked for in $ANCESTRAL_DATA/mixed and the usual places beside
    this folder (none: all that are there). FILES are .csv, .tsv or .parquet, with gaps and dates.

    For comparison: independent columns and latent classes, with the same columns and units.

    \b
    Example:
      ancestral bench mixed penguins
    """
    from ancestral.bench import bench_mixed as scored
    from ancestral.bench import print_mixed

    results = scored(sources, tell=lambda line: say(line, err=True))
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        print_mixed(results)
