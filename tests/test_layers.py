"""Imports go downwards only, none go in circles, and nothing heavy loads before it is needed.

The parts of the package stand in one order, that of the design: each may import itself and those
that stand before it. The model families share a place and never import each other. No two files
import each other, not even for a type's name, and no longer circle leads back to a file.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ancestral
from ancestral._moved import MOVED

PACKAGE = Path(ancestral.__file__).parent
FAMILIES = ("autoregressive", "gaussian", "circuit", "graph")
FLOORS = (
    ("_moved", "errors", "_extras", "_hints", "_printed", "_catalogue", "_methods"),
    ("_numerics", "_files"),
    ("_checks",),
    ("statistics",),
    ("_arrays", "model_file"),
    ("base", "conditions", "training"),
    FAMILIES,
    ("scores", "io", "datasets", "viz"),
    ("streaming", "bench"),
    ("inputs",),
    ("report", "studio"),
    ("cli", "__main__"),
)  # each floor ordered within itself
PLACE = {name: place for place, name in enumerate(name for names in FLOORS for name in names)}
TORCH_FILES = (
    "ancestral.training.descent",
    "ancestral.autoregressive.lstm",
    "ancestral.gaussian.neural",
)
NUMBA_FILES = ("ancestral.graph.compiled", "ancestral.graph.kernel_cache")
KERNELS = ("ancestral.graph.edges.kernels", "ancestral.graph.pairs.kernels")  # load it
# What the bare import must leave alone; model modules may load the first of these only.
HEAVY = ("sklearn", "torch", "matplotlib", "dask", "numba", "jinja2", "starlette")


def modules(package: Path = PACKAGE) -> dict[str, str]:
    """Return the source of every module of the package by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def imports(name: str, source: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of all that a module imports, wherever in it that stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = name.split(".")[: len(name.split(".")) - node.level + is_package]
            base = ".".join([*(home if node.level else []), *filter(None, [node.module])])
            yield from ((node.lineno, resolved(base, alias.name)) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = (
                node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            )
            target = node.args[0]
            is_text = isinstance(target, ast.Constant) and isinstance(target.value, str)
            if is_text and called in ("import_module", "__import__", "import_extra"):
                yield node.lineno, target.value


def resolved(base: str, name: str) -> str:
    """Return the module behind `from base import name`, through the package's public names."""
    if base == "ancestral" and name in ancestral._MODULE_OF:
        return f"{ancestral._MODULE_OF[name]}.{name}"
    return f"{base}.{name}"


def violations(sources: dict[str, str]) -> list[str]:
    """Return every import that goes up, across families, or past a fence."""
    wrong = []
    for name, source in sources.items():
        for line, target in imports(name, source, is_package=has_parts(name, sources)):
            reason = why_forbidden(name, target)
            if reason:
                wrong.append(f"{name}:{line} imports {target}: {reason}")
    return wrong


def why_forbidden(name: str, target: str) -> str | None:
    """Return what an import breaks, or None."""
    own, top = part(name), target.split(".")[0]
    if top == "torch" and name not in TORCH_FILES:
        return "torch is for the neural models' own files only"
    if top == "numba" and name not in NUMBA_FILES:
        return "numba is for the one file that compiles, and its cache"
    if own in FAMILIES and top in ("matplotlib", "dask"):
        return "models neither draw nor distribute"
    if top != "ancestral" or target == "ancestral.__version__":
        return None
    other = part(target)
    if other not in PLACE:  # the package itself: its public names reach up to viz
        return "the public names lie above" if PLACE[own] < PLACE["viz"] else None
    if own in FAMILIES and other in FAMILIES and own != other:
        return "families do not know each other"
    return "upwards" if PLACE[other] > PLACE[own] else None


def has_parts(name: str, sources: Iterable[str]) -> bool:
    """Tell whether a module is a folder of others, from where its dots count."""
    return any(other.startswith(f"{name}.") for other in sources)


def circle(sources: dict[str, str]) -> list[str]:
    """Return modules of which each imports the next and the last is the first; [] if none do."""
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        found = imports(name, source, is_package=has_parts(name, sources))
        graph[name] = {file_of(target, sources) for _, target in found} - {name, ""}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def file_of(target: str, sources: dict[str, str]) -> str:
    """Return the module that holds a dotted name; an empty text where none does."""
    while target and target not in sources:
        target = target.rpartition(".")[0]
    return target


def part(dotted: str) -> str:
    """Return the second name of a dotted one: which part of the package it lies in."""
    return dotted.partition(".")[2].partition(".")[0]


def test_every_module_has_a_layer() -> None:
    homeless = {name for name in modules() if name != "ancestral" and part(name) not in PLACE}
    assert not homeless


def test_imports_go_downwards_only() -> None:
    sources = modules()
    del sources["ancestral"]  # lists the public names of all layers, and loads none: see below
    assert len(sources) > 20
    assert not violations(sources)


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("ancestral.statistics", "from ancestral.base import Model", "upwards"),
        ("ancestral.model_file", "from ancestral.base import Model", "upwards"),
        ("ancestral.base", "from ancestral.training import descent", "upwards"),
        ("ancestral._numerics.products", "from ancestral._files import shown", "upwards"),
        ("ancestral.report.build", "from ancestral.studio import server", "upwards"),
        ("ancestral.base", "def f():\n    import ancestral.gaussian.ppca.model", "upwards"),
        ("ancestral.gaussian.ppca.model", "from ancestral import io", "upwards"),
        ("ancestral.gaussian.ppca.model", "from ancestral import read_array", "upwards"),
        ("ancestral.gaussian.neural", "from ..graph import inner_product", "families"),
        ("ancestral.graph.inner_product", "from ancestral import PPCA", "families"),
        ("ancestral.graph.inner_product", "import ancestral", "public names"),
        ("ancestral.gaussian.linear.model", "def f():\n    import torch.nn", "torch"),
        ("ancestral.viz.images", "from torch import nn", "torch"),
        ("ancestral.autoregressive.lstm", "import matplotlib.pyplot", "draw"),
        ("ancestral.graph.pairs.gather", "def f():\n    from numba import njit", "numba"),
        ("ancestral.graph.inner_product", "from dask import delayed", "distribute"),
        ("ancestral.viz.graph", "from importlib import import_module as i\n"
         "import importlib\nimportlib.import_module('ancestral.report')", "upwards"),
    ],
)  # fmt: skip
def test_a_made_up_violation_is_found(name: str, source: str, reason: str) -> None:
    (found,) = violations({name: source})
    assert reason in found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("ancestral.gaussian.ppca.model", "from ancestral.statistics import Moments\nimport scipy"),
        ("ancestral.gaussian.neural", "from . import linear"),
        ("ancestral.autoregressive.lstm", "import torch"),
        ("ancestral.report.build", "from ancestral import PPCA, viz\nimport ancestral"),
        ("ancestral.streaming", "import dask\nfrom ancestral import InnerProductGraph"),
    ],
)
def test_what_goes_downwards_passes(name: str, source: str) -> None:
    assert not violations({name: source})


# ---- no circles ---------------------------------------------------------------------------------


def test_no_files_import_each_other() -> None:
    sources = modules()
    del sources["ancestral"]  # as above
    assert not circle(sources)


TYPES_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ancestral.b import B"


@pytest.mark.parametrize(
    ("sources", "reaches"),
    [
        ({"ancestral.a": "import ancestral.b", "ancestral.b": "import ancestral.a"}, "ab"),
        ({"ancestral.a": TYPES_ONLY, "ancestral.b": "from ancestral import a"}, "ab"),
        (
            {
                "ancestral.a": "def f():\n    from ancestral.b import g",
                "ancestral.b": "from .c import h",
                "ancestral.c": "import importlib\nimportlib.import_module('ancestral.a')",
            },
            "abc",
        ),
        ({"ancestral.a": "from . import b", "ancestral.a.b": "import ancestral.a"}, "ab"),
        ({"ancestral.a": "import ancestral.b", "ancestral.b": "import ancestral.c"}, ""),
        ({"ancestral.a": "from ancestral.b import a", "ancestral.b": "import math"}, ""),
    ],
)
def test_a_made_up_circle_is_found(sources: dict[str, str], reaches: str) -> None:
    found = circle({**sources, "ancestral.d": "import ancestral.a"})
    assert {name[-1] for name in found} == set(reaches)


# ---- what loads when ---------------------------------------------------------------------------


def heavy_after(names: list[str], watched: tuple[str, ...]) -> dict[str, list[str]]:
    """Import modules in turn in a new process; return which watched packages each brought in."""
    script = (
        "import importlib, json, sys\n"
        "names, watched = json.loads(sys.argv[1])\n"
        "brought = {}\n"
        "for name in names:\n"
        "    before = set(sys.modules)\n"
        "    importlib.import_module(name)\n"
        "    brought[name] = [w for w in watched if w in sys.modules and w not in before]\n"
        "print(json.dumps(brought))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, json.dumps([names, watched])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_light_modules_load_nothing_heavy() -> None:
    """The bare import first of all; then what needs numpy alone, sklearn included in the ban."""
    light = ["", ".errors", ".statistics", ".model_file", ".io", ".datasets", ".viz", ".report"]
    brought = heavy_after(["ancestral" + name for name in light], (*HEAVY, "scipy"))
    assert not {name: found for name, found in brought.items() if found}


def test_a_model_module_loads_only_what_it_computes_with() -> None:
    loading = ("ancestral.graph.kernel_cache", *KERNELS)
    names = [name for name in modules() if part(name) in FAMILIES and name not in loading]
    # Last, so that what they bring hides nothing; torch only when something is trained.
    names.sort(key=lambda name: name in TORCH_FILES)
    unwanted = (*HEAVY[1:], "networkx", "skimage", "typst", "ancestral.io", "ancestral.viz")
    brought = heavy_after(["sklearn.base", *names], unwanted)
    assert len(names) > 8
    assert not {name: found for name, found in brought.items() if found}


def test_names_for_those_who_read_without_running_are_those_of_the_catalogue() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    static = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0
        for alias in node.names
        if alias.name in ancestral.__all__ and alias.name not in ancestral._MODULES
    }
    assert static == ancestral._MODULE_OF


def test_public_names_exist_and_load_on_first_use() -> None:
    for name, home in ancestral._MODULE_OF.items():
        assert getattr(importlib.import_module(home), name) is getattr(ancestral, name)
    assert set(ancestral.__all__) <= set(dir(ancestral))
    with pytest.raises(AttributeError, match="no attribute 'PPPCA'"):
        ancestral.PPPCA


@pytest.mark.parametrize(("old", "new"), list(MOVED.items()))
def test_a_moved_module_is_found_under_its_old_name_with_a_warning(old: str, new: str) -> None:
    pytest.importorskip("torch" if old == "descent" else "numpy")
    pytest.importorskip("numba" if "kernels" in old else "numpy")
    home = importlib.import_module(f"ancestral.{new}")
    sys.modules.pop(f"ancestral.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"is now ancestral.{new}"):
        found = importlib.import_module(f"ancestral.{old}")
    names = [name for name in dir(home) if not name.startswith("__")]
    assert names
    assert all(getattr(found, name) is getattr(home, name) for name in names)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("gaussian.ppca", "PPCA"),
        ("gaussian.linear", "LinearGaussian"),
        ("autoregressive.chain", "ChainAutoregressive"),
    ],
)
def test_a_file_that_became_a_folder_still_gives_its_model(package: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match="is now"):
        found = getattr(importlib.import_module(f"ancestral.{package}"), name)
    assert found is getattr(ancestral, name)


def code_lines(path: Path) -> int:
    """Count the lines that hold code: no docstrings, comments or blank lines."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return sum(bool(line.strip()) for line in text.splitlines())
    prose: set[int] = set()
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node):
            prose |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return sum(
        number not in prose and not line.strip().startswith("#") and bool(line.strip())
        for number, line in enumerate(text.splitlines(), 1)
    )


def test_no_file_is_too_long_to_read_in_one_go() -> None:
    """The package and its page: 400 lines of code, or a cause in a comment `Length: ...` on top."""
    paths = [p for kind in ("*.py", "*.js", "*.css") for p in PACKAGE.rglob(kind)]
    long = {
        p.name: n
        for p in paths
        if (n := code_lines(p)) > (450 if p.suffix == ".css" else 400)
        and "\n# Length: " not in p.read_text("utf-8")[:4000]
    }
    assert len(paths) > 100
    assert not long


def test_nothing_is_asked_of_a_network_but_one_set_of_faces() -> None:
    """Which `datasets.faces(source="olivetti")` has scikit-learn fetch, for who asks."""
    clients = {"urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib", "urllib3"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            else:
                continue
            found |= {name for name in names if name in clients or ".fetch_" in str(name)}
    assert found == {"sklearn.datasets.fetch_olivetti_faces"}
