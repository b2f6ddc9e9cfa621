"""Ctrl+C at any moment ends a command with 130 and one line; it may have ended by itself before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ancestral

# A byte is written once the handler stands; what comes before is the interpreter's own start.
START = (
    "import os; from ancestral.cli.__main__ import main, take_over as t; t(); os.write(1, b'.')\n"
)
COMMANDS = {
    "help": ["--help"],
    "inspect": ["inspect", "absent.model"],
    "fit": ["fit", "tabular", "@icons", "-o", "a.model", "--force"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_interrupt_at_any_point(tmp_path: Path, command: list[str], long: bool) -> None:
    code = START + f"import sys; sys.argv = ['ancestral', *{command!r}]; main()"
    environment = os.environ | {"PYTHONPATH": str(Path(ancestral.__file__).parents[1])}
    points, ends = (300 if long else 10), []
    for k in range(points):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # the shells of background jobs ignore the signal, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        time.sleep(0.6 * (k / points) ** 2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        ends.append(process.returncode)
        assert b"Traceback" not in said, said
        if process.returncode == 130:
            assert len(said.split(b"\n")) <= 3, said
            assert said.strip().startswith(b"interrupted"), said  # "^C" ends with a line of its own
        else:
            assert process.returncode == (command[0] == "inspect"), said
    assert 130 in ends
