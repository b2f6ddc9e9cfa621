"""The terminal's side of the command line: what is printed, and how a command ends."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ancestral.errors import AncestralError, printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


def say(text: object, *, err: bool = False) -> None:
    """Print a line; what a name in it would make the terminal do is spelt out."""
    click.echo(printable(text), err=err)


def show(facts: dict[str, Any], *, as_json: bool, units: Mapping[str, str] | None = None) -> None:
    """Print facts as JSON, or as lines of name, value and unit; six digits of a number at most."""
    if as_json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        unit = f" {units[name]}" if units and name in units else ""
        if isinstance(value, dict):
            say(f"{name}:" if not unit else f"{name},{unit}:")
            for inner, content in value.items():
                say(f"  {in_one_line(inner)} = {in_one_line(in_words(content))}")
        else:
            say(f"{name:{width}}  {in_one_line(in_words(value))}{unit}")


def in_one_line(value: object) -> str:
    """Return a name or value that cannot begin a line of its own."""
    return str(value).replace("\n", "\\n")


def in_words(content: Any) -> str:
    """Return a value for a line, six digits at most; an estimate as value +- standard error."""
    if isinstance(content, dict) and set(content) == {"value", "standard_error"}:
        return f"{content['value']:.6g} +- {content['standard_error']:.3g}"
    if isinstance(content, float):
        return f"{content:.6g}"
    if isinstance(content, list | tuple):
        inner = ", ".join(map(in_words, content))
        return f"[{inner}]" if isinstance(content, list) else f"({inner})"
    return str(content)


def print_table(columns: dict[str, list[Any]], *, err: bool = False) -> None:
    """Print columns side by side: a first one of names to the left, six digits at most."""
    cells = {
        name: [in_one_line(in_words(value)) for value in some] for name, some in columns.items()
    }
    widths = {name: max(map(len, [name, *some])) for name, some in cells.items()}
    first = next(iter(columns))
    left = {first} if all(isinstance(value, str) for value in columns[first]) else set()

    def line(values: Iterable[str]) -> str:
        parts = zip(widths, values, strict=True)
        padded = [v.ljust(widths[n]) if n in left else v.rjust(widths[n]) for n, v in parts]
        return "  ".join(padded).rstrip()

    say(line(widths), err=err)
    for row in zip(*cells.values(), strict=True):
        say(line(row), err=err)


def print_json(document: Any) -> None:
    from ancestral._checks.numbers import finite

    text = json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False)
    click.echo(printable_json(text))


def plain(value: Any) -> Any:
    """Return a number, list or text that JSON can hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value  # names, such as those of terms
    return value if isinstance(value, int | float | str | type(None)) else str(value)


def console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def exit_code_of(command: Callable[[], Any], *, ends_process: bool = False) -> int:
    """Return the exit code of a command.

    Parameters
    ----------
    command : callable
    ends_process : bool
        The process ends with it: once it is interrupted, a further Ctrl+C ends it at once, with
        no traceback from the interpreter's own farewell.
    """
    try:
        code = command()
        if sys.stdout is not None:  # it is None where the shell has closed it (>&-)
            sys.stdout.flush()
    except click.ClickException as error:
        told = io.StringIO()
        (_naming_ours(error) if isinstance(error, click.NoSuchOption) else error).show(told)
        click.echo(printable(told.getvalue()), err=True, nl=False)
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except KeyboardInterrupt as stopped:
        if ends_process:
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        said = str(stopped)
        say(f"interrupted: {_in_flags(said)}" if said else "interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:
        gone = isinstance(end.__context__, BrokenPipeError)  # rich's answer to a closed pipe
        return 0 if gone else int(bool(end.code))
    except AncestralError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("out of memory. Give less data, or close other programs.")
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}.")
    return code if isinstance(code, int) else 0


def _naming_ours(error: click.NoSuchOption) -> click.NoSuchOption:
    """Return an error that recommends the option that other libraries call so, or that holds it."""
    from ancestral._hints import KEYWORDS

    parameters = [] if error.ctx is None else error.ctx.command.params
    options = [option for parameter in parameters for option in parameter.opts]
    name = error.option_name.lstrip("-").replace("-", "_")
    ours = [f"--{word.replace('_', '-')}" for word in KEYWORDS.get(name, ())]
    named = [option for option in ours if option in options]
    within = [f"{option} {name}=..." for option in options if option.endswith("-with")]
    if not (found := named or within):
        return error
    said = f"No such option {error.option_name!r}. Did you mean {found[0]!r}?"
    return click.NoSuchOption(error.option_name, said, ctx=error.ctx)


def _fail(message: str) -> int:
    say(f"ancestral: {_in_flags(' '.join(message.split()))}", err=True)
    return 1


def _in_flags(message: str) -> str:
    """Return a message whose mends are the command line's: --key A, not key='A'."""
    flag = re.compile(
        r"""\b(key|weight|checkpoint|sep|decimal|thousands|encoding)=(?:'([^']*)'|"(')")"""
    )
    message = flag.sub(lambda m: f"--{m[1]} {shlex.quote(m[2] or m[3] or '')}", message)
    message = re.sub(r"\btext=\['([^']*)'\]", lambda m: f"--text {shlex.quote(m[1])}", message)
    message = re.sub(
        r"\bsay what the column holds: ancestral\.streaming\.source_of_paths\(\.\.\., "
        r"types=\{'([^']*)': 'text'\}\)",
        lambda m: f"take it as text: --text {shlex.quote(m[1])}",
        message,
    )
    message = re.sub(r"\btypes= (?=means|names)", "--text ", message)
    message = re.sub(r"it out with columns=.*like=model", "it out of the files", message)
    message = re.sub(r'\bmethod="(\w+)"', r"--method \1", message)
    message = re.sub(r'\bweights="(\w+)" was given', r"--weights \1 was given", message)
    message = re.sub(r"(?<!-)\b(weights?)=(?= out)", r"--\1", message)
    message = re.sub(r"\brejects=", "--rejects", message)
    message = message.replace("header=True", "--header").replace("header=False", "--no-header")
    message = message.replace("fit again with --checkpoint", "run it again with --checkpoint")
    message = message.replace("missing=True", "--missing")
    of = r"ancestral\.streaming\.source_of_paths"
    message = re.sub(rf" These are options of {of}\.| to {of}(?=\.)", "", message)
    message = message.replace('features="uniform"', "--features uniform")
    message = message.replace("features= ", "--features ")
    message = re.sub(r"(?<!-)\bcategories=", "--categories", message)
    return re.sub(r"(?<!-)\bmax_bytes=", "--max-bytes", message)


class _Notes(logging.Handler):
    """Writes to what stderr is by then: above a line of progress, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {_in_flags(' '.join(record.getMessage().split()))}", err=True)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show warnings and notes as lines of their own, without source code."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        say(f"warning: {_in_flags(' '.join(str(message).split()))}", err=True)

    handler = _Notes()
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        """Let each note through once."""
        message = record.getMessage()
        return not (message in said or said.add(message))  # type: ignore[func-returns-value]

    handler.addFilter(is_new)
    logger = logging.getLogger("ancestral")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
