"""Hundreds of hostile files, each with the answer or the refusal worked out beside it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ancestral.errors import AncestralWarning
from tests.trust.guard import Accepted, refused
from tests.trust.hostile import KINDS, Case, cases


def same(found: Any, expected: Any) -> bool:
    """Tell whether an answer is the one worked out, to the last bits of arithmetic."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, set):
        return bool(found == expected)
    return np.shape(found) == np.shape(expected) and np.allclose(
        found, expected, rtol=1e-15, equal_nan=True
    )


def judged(case: Case) -> str:
    """Return "" where a case is met; "silent", or what is wrong."""
    if case.is_refused:
        try:
            refused(case.call, *case.says)
        except Accepted:
            return "silent"
        except AssertionError as error:
            return str(error)
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AncestralWarning)
        try:
            found = case.call()
        except Exception as error:
            return f"refused, or foreign: {error!r}"
    return "" if same(found, case.expected) else f"silent: {found!r:.200}"


def test_t4_t5_t9_t10_t11_t13_hostile_files_are_refused_or_read_rightly(
    tmp_path: Path, long: bool, note: Callable[[str, str], None]
) -> None:
    for package in ("pandas", "pyarrow", "PIL", "defusedxml"):
        pytest.importorskip(package, reason=f"{package} is an extra")
    files = 500 if long else 140
    kinds: Counter[tuple[str, bool]] = Counter()
    silent, foreign = [], []
    for k, case in enumerate(cases(files, tmp_path)):
        wrong = judged(case)
        kinds[case.kind, case.is_refused] += 1
        if wrong:
            (silent if wrong.startswith("silent") else foreign).append(f"{k} {case.kind}: {wrong}")
    note(
        "hostile files by generator: accepted in silence; foreign errors, or refused though right",
        f"{len(silent)}; {len(foreign)} of {files}",
    )
    assert not silent + foreign, (silent + foreign)[:9]
    # Neither a reader that refuses all nor one that takes all would be tested by this.
    assert len({kind for kind, _ in kinds}) == len(KINDS)
    assert {kind for kind, is_refused in kinds if not is_refused} >= {"picture", "GraphML"}
