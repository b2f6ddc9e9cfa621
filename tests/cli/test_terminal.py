"""How a command ends and what it leaves."""

from __future__ import annotations

import logging
import warnings


def test_a_command_leaves_the_process_as_it_was(run, tmp_path):
    logger = logging.getLogger("ancestral")
    before = logger.level, list(logger.handlers), warnings.showwarning
    assert run("score", tmp_path / "absent.model", "@icons")[0] == 1
    assert (logger.level, list(logger.handlers), warnings.showwarning) == before
