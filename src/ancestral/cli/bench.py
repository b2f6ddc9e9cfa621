"""`ancestral bench`: public benchmarks, fitted and scored."""

from __future__ import annotations

import click

from ancestral.cli.terminal import CONTEXT, json_option, print_json, say


@click.group("bench", context_settings=CONTEXT)
def command() -> None:
    """Fit and score public benchmarks of density estimation.

    \b
    Example:
      ancestral bench debd nltcs plants
    """


@command.command("debd", context_settings=CONTEXT, short_help="Binary tables in three parts.")
@click.argument("sources", metavar="[SETS, FILES OR FOLDERS]", nargs=-1)
@json_option
def bench_debd(sources: tuple[str, ...], *, as_json: bool) -> None:
    """Fit each set's training rows, select on its validation rows, score its test rows.

    SETS are names, such as nltcs, looked for in $ANCESTRAL_DATA/debd and the usual places beside
    this folder (none: all that are there). FILES are NAME.npz (arrays train, valid, test) or
    NAME.train.data with NAME.valid.data and NAME.test.data beside it; a FOLDER holds either.

    A set takes at most 150 processor seconds, less where eight orders are done sooner.

    \b
    Example:
      ancestral bench debd nltcs plants
    """
    from ancestral.bench import bench_debd as scored
    from ancestral.bench import print_results

    results = scored(sources, tell=lambda line: say(line, err=True))
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        print_results(results)
