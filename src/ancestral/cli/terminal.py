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
from collections.abc import Callable, Iterator
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


def show(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print facts as JSON, or as lines of name and value."""
    if as_json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if isinstance(value, dict):
            say(f"{name}:")
            for inner, content in value.items():
                say(f"  {_in_one_line(inner)} = {_in_one_line(_in_words(content))}")
        else:
            say(f"{name:{width}}  {_in_one_line(value)}")


def _in_one_line(value: object) -> str:
    """Return a name or value that cannot begin a line of its own."""
    return str(value).replace("\n", "\\n")


def _in_words(content: Any) -> str:
    """Return a value for a line; an estimate as value +- standard error."""
    if isinstance(content, dict) and set(content) == {"value", "standard_error"}:
        return f"{content['value']:.8g} +- {content['standard_error']:.3g}"
    return str(content)


def print_json(document: Any) -> None:
    from ancestral._checks.numbers import finite

    text = json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False)
    click.echo(printable_json(text))


def plain(value: Any) -> Any:
    """Return a number, list or text that JSON can hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
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
        error.show(told)
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


def _fail(message: str) -> int:
    say(f"ancestral: {_in_flags(' '.join(message.split()))}", err=True)
    return 1


def _in_flags(message: str) -> str:
    """Return a message whose mends are the command line's: --key A, not key='A'."""
    flag = re.compile(r"""\b(key|checkpoint|sep|decimal|thousands|encoding)=(?:'([^']*)'|"(')")""")
    message = flag.sub(lambda m: f"--{m[1]} {shlex.quote(m[2] or m[3] or '')}", message)
    message = re.sub(r"\brejects=", "--rejects", message)
    message = message.replace("header=True", "--header").replace("header=False", "--no-header")
    message = message.replace("fit again with --checkpoint", "run it again with --checkpoint")
    message = message.replace("missing=True", "--missing")
    message = message.replace('features="uniform"', "--features uniform")
    message = message.replace("features= ", "--features ")
    return re.sub(r"(?<!-)\bmax_bytes=", "--max-bytes", message)


class _Notes(logging.Handler):
    """Writes to what stderr is by then: above a line of progress, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {_in_flags(' '.join(record.getMessage().split()))}", err=True)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show warnings and notes as lines of their own, without source code."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        say(f"warning: {' '.join(str(message).split())}", err=True)

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
