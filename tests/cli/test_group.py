"""The list of commands: help, usage, and one clean line for what went wrong."""

from __future__ import annotations

import pytest


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


@pytest.mark.parametrize("command", [(), ("fit",), ("sample",), ("score",), ("inspect",)])
def test_help_has_an_example(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0 and "Example:" in out
