"""The list of commands: help, usage, and one clean line for what went wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import types

import click
import pytest

from ancestral.cli.commands import COMMANDS, cli, main


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Usage"),
        (("nonsense",), 2, "No such command"),
        (("fit", "nonsense", "@icons", "-o", "m"), 2, "no model 'nonsense'"),
        (("fit", "ppca", "@faces"), 2, "'-o'"),
        (("fit", "ppca", "@unknown", "-o", "m"), 2, "not one of the built-in sets"),
        (("fit", "ppca", "absent.npy", "-o", "m"), 1, "absent.npy: no such file"),
        (("fit", "ppca", "@icons", "--n-components", "x", "-o", "m"), 1, "got 'x'"),
        (("fit", "ppca", "@faces", "-o", "absent/m"), 1, "no such folder"),
        (("inspect", "absent.model"), 1, "absent.model"),
        (("report", "absent"), 1, "no such folder"),
        (("impute", "absent.model", "@icons"), 1, "absent.model"),
        (("predict", "absent.model", "@diabetes"), 1, "absent.model"),
        (("compare", "a.model", "b.model", "@icons"), 1, "a.model"),
        (("sample", "absent.model", "--given", "a=1"), 1, "absent.model"),
        (("impute", "absent.model"), 2, "DATA"),
        (("compare",), 2, "Missing argument"),
        (("fit", "ppca", "@faces", "--n_components", "3", "-o", "m"), 2, "--n-components"),
    ],
)
def test_errors_are_one_line_with_the_right_code(
    run, tmp_path, monkeypatch, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(*arguments)
    assert (got, out if arguments else "") == (code, "")
    assert words in err + out and "Traceback" not in err
    if code == 1:
        assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), ("bench", "debd")])
def test_help_has_an_example(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0 and "Example" in out


def _every_command():
    group = click.Context(cli)
    for name in COMMANDS:
        found = cli.get_command(group, name)
        yield name, found
        if isinstance(found, click.Group):
            inner = click.Context(found)
            for word in found.list_commands(inner):
                yield f"{name} {word}", found.get_command(inner, word)


@pytest.mark.parametrize(("name", "command"), list(_every_command()), ids=lambda x: str(x)[:30])
def test_every_option_is_explained_and_spelt_once(name, command):
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help and option.help.strip(), (name, option.opts)
            assert not any("_" in flag for flag in option.opts), (name, option.opts)
            long = [flag for flag in option.opts if flag.startswith("--")]
            assert len(long) == 1, (name, option.opts)


HEAVY = ("numpy", "sklearn", "torch", "matplotlib", "rich.console", "jinja2", "starlette")
LOADED = """
import json, sys
from ancestral.cli.commands import main
try:
    main(sys.argv[1:])
except SystemExit:
    print("\\n" + json.dumps(list(sys.modules)))
"""


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_help_reads_no_file_of_another_command_and_nothing_heavy(command):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {name for name in COMMANDS if f"ancestral.cli.{name}" in loaded} == set(command)
    assert not loaded & set(HEAVY)


def test_every_command_is_listed_with_its_one_line(run):
    out = run("--help")[1]
    lines = [line.split(maxsplit=1) for line in out.partition("Commands:\n")[2].splitlines()]
    assert lines == [[name, about] for name, about in COMMANDS.items()]
    for name in COMMANDS:
        assert run(name, "--help")[1].startswith(f"Usage: ancestral {name} ")


def test_a_new_command_is_one_file_and_one_row(run, monkeypatch):
    greet = types.ModuleType("ancestral.cli.greet")  # the file
    greet.command = click.command("greet")(lambda: click.echo("hello"))
    monkeypatch.setitem(sys.modules, "ancestral.cli.greet", greet)
    assert run("greet")[0] == 2
    monkeypatch.setitem(COMMANDS, "greet", "Say hello.")
    assert run("greet") == (0, "hello\n", "")
    assert "greet    Say hello." in run("--help")[1]


def test_a_command_called_inspect_leaves_pythons_own_module_alone(run, tmp_path):
    assert run("inspect", "--help")[0] == 0
    assert sys.modules["ancestral.cli.inspect"] is not inspect
    assert sys.modules["inspect"] is inspect and inspect.signature(run) is not None


def test_what_was_one_file_still_gives_its_way_in():
    import ancestral.cli

    with pytest.warns(DeprecationWarning, match=r"is now ancestral\.cli\.commands"):
        assert ancestral.cli.main is main
    with pytest.raises(AttributeError):
        ancestral.cli.mainly
