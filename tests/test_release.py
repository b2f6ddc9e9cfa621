"""What is released: one sdist, the wheel that it builds, and an environment with nothing else.

The environments are made without a network: links to the packages that the wheel's own metadata
ask for, extra by extra, from the environment that runs the tests.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import ancestral
from ancestral._extras import EXTRAS
from tests.ready import faults

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SMOKE = ROOT / "tests" / "smoke.py"


def _run(*command: Any, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end, and return what it printed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=clean | (env or {}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of this tree, and the wheel that the sdist builds."""
    for package in ("build", "hatchling"):
        pytest.importorskip(package)
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "-o", out, ROOT, cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def _tracked() -> set[str]:
    """Return the files that belong to the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a repository: which files belong to it cannot be asked")
    listed = _run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    return {name for name in listed if (ROOT / name).is_file()}


# ---- what is inside ------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(built[1]).namelist())
    info = f"ancestral-{ancestral.__version__}.dist-info"
    own = {name for name in names if not name.startswith(f"{info}/")}
    package = {n.removeprefix("src/") for n in _tracked() if n.startswith("src/ancestral/")}
    course = {Path(n).name for n in _tracked() if n.startswith("examples/course/")}
    assert own == package | {f"ancestral/report/course/{name}" for name in course}
    assert f"{info}/licenses/LICENSE" in names


def test_the_sdist_holds_sources_and_nothing_else(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} <= _tracked()
    wanted = {"README.md", "CITATION.cff", "Makefile", "tests/smoke.py", "docs/conf.py"}
    assert wanted | {"examples/course/graph_viz.py", "constraints.txt"} <= names


def test_neither_is_larger_than_it_needs_to_be(built: tuple[Path, Path]) -> None:
    sdist, wheel = (path.stat().st_size / 1e6 for path in built)
    assert wheel < 2 and sdist < 6  # MB


def _metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_the_metadata_are_those_of_the_project(built: tuple[Path, Path]) -> None:
    found = _metadata(built[1])
    assert found["Version"] == ancestral.__version__
    assert found["License-Expression"] == "BSD-3-Clause"
    assert set(found.get_all("Provides-Extra")) >= {*EXTRAS, "all"}
    assert found["Description-Content-Type"] == "text/markdown"
    text = found.get_payload(decode=True).decode()
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?ms)^```.*?^```$", "", text))
    assert all("://" in target or target.startswith("#") for target in targets)


def _with_whole_links() -> Callable[..., str]:
    pytest.importorskip("hatchling")
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    whole: Callable[..., str] = module.with_whole_links
    return whole


def test_links_of_readme_are_made_whole_from_one_address() -> None:
    whole, hook = _with_whole_links(), PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    forms = {"!": hook["picture"], "": hook["page"]}
    text = (
        "![A face](docs/face.png) and [a page](docs/a.md#part), [there](https://x.org), [up](#t)\n"
        "```python\n>>> f[0](x)\n```\n"
    )
    assert whole(text, "https://host/us/it", "1.2", forms) == (
        "![A face](https://host/us/it/raw/v1.2/docs/face.png) and "
        "[a page](https://host/us/it/blob/v1.2/docs/a.md#part), [there](https://x.org), [up](#t)\n"
        "```python\n>>> f[0](x)\n```\n"
    )
    assert whole(text, "", "1.2", forms).startswith(" and a page, [there](https://x.org), [up]")
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = whole(readme, "https://host/us/it", "1.2", forms)
    assert "](docs/" in readme and "](docs/" not in shown


# ---- one version ---------------------------------------------------------------------------------


def test_the_version_is_one() -> None:
    version = re.escape(ancestral.__version__)
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/ancestral/__init__.py"
    assert re.search(rf"(?m)^version: {version}$", (ROOT / "CITATION.cff").read_text("utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"(?m)^## ([\d.]+)", changelog)[0] == ancestral.__version__


def test_a_release_says_what_is_still_to_be_done(tmp_path: Path) -> None:
    version = ancestral.__version__
    for name in ("CHANGELOG.md", "pyproject.toml", "src/ancestral/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changes, project = tmp_path / "CHANGELOG.md", tmp_path / "pyproject.toml"
    changes.write_text(f"# Changelog\n\n## {version}, not yet released\n\n## 0.0.1\n")
    project.write_text("[project]\n[project.urls]\n")
    assert [fault.split()[0] for fault in faults("v0", tmp_path)] == [
        "The", "CHANGELOG.md", "[project.urls]"
    ]  # fmt: skip
    changes.write_text(f"# Changelog\n\n## {version} - 2026-12-01\n")
    project.write_text('[project.urls]\nRepository = "https://host/us/it"\n')
    assert not faults(f"v{version}", tmp_path)


def test_the_citation_has_what_its_schema_wants() -> None:
    yaml = pytest.importorskip("yaml")
    held = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(held)
    assert held["cff-version"] == "1.2.0" and held["type"] == "software"
    assert held["license"] == PROJECT["project"]["license"]
    assert [author["name"] for author in held["authors"]] == [
        author["name"] for author in PROJECT["project"]["authors"]
    ]
    assert set(held["keywords"]) <= set(PROJECT["project"]["keywords"])


# ---- the audit -----------------------------------------------------------------------------------

KNOWN = "pip 23.0 PYSEC-2023-228 23.3"


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("service", "code", "says"),
    [
        ("exit 1", 3, "Nothing was audited"),  # no network
        ("echo 'ERROR: pip: not found'; exit 1", 3, "Nothing was audited"),  # a mirror
        ("echo 'No known vulnerabilities found'", 3, "Nothing was audited"),
        (f"case $* in *known.txt) echo {KNOWN}; exit 1;; *) echo clean;; esac", 0, "clean"),
        (f"case $* in *known.txt) echo {KNOWN};; *) echo CVE-1;; esac; exit 1", 1, "CVE-1"),
    ],
)
def test_an_audit_that_reaches_no_service_says_so(
    service: str, code: int, says: str, tmp_path: Path
) -> None:
    programs = {"bin/pip": "echo numpy==2.4.6", "audit/bin/pip-audit": service}
    for name, line in programs.items():
        program = tmp_path / ".venv" / name
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in (".installed", ".installed-dev"):
        (tmp_path / ".venv" / name).touch()
    done = subprocess.run(
        ["make", "audit"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert says in done.stdout
    assert done.returncode == (2 if code else 0)
    assert not code or re.search(rf"\bError {code}\b", done.stderr)


# ---- installed -----------------------------------------------------------------------------------


def _closure(requirements: list[str], extra: str) -> dict[str, metadata.Distribution]:
    """Return the distributions that requirements ask for; skip where one is not installed here."""
    from packaging.requirements import Requirement

    found: dict[str, metadata.Distribution] = {}
    waiting = [(Requirement(line), extra) for line in requirements]
    while waiting:
        wanted, given = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": given}):
            continue
        try:
            held = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{wanted.name} is not installed")
        name = held.metadata["Name"]
        for one in {"", *wanted.extras} if name not in found else wanted.extras:
            waiting += [(Requirement(line), one) for line in held.requires or []]
        found[name] = held
    return found


@pytest.fixture(scope="module")
def environment(
    built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Make an environment with the wheel, and what one extra asks for; return its interpreter."""
    pytest.importorskip("pip")
    requires = _metadata(built[1]).get_all("Requires-Dist")

    def make(extra: str) -> Path:
        held = _closure(requires, extra)
        home = tmp_path_factory.mktemp("env") / "env"
        _run(sys.executable, "-m", "venv", "--without-pip", "--symlinks", home, cwd=home.parent)
        python = home / "bin" / "python"
        (site,) = home.glob("lib/*/site-packages")
        for one in held.values():
            for top in {file.parts[0] for file in one.files or [] if file.parts[0] != ".."}:
                if not (site / top).is_symlink() and top != "__pycache__":
                    (site / top).symlink_to(Path(str(one.locate_file(top))))
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "-q")
        _run(*pip, "--no-index", "--no-deps", "--no-compile", built[1], cwd=home)
        return python

    return make


@pytest.fixture(scope="module")
def core(environment: Callable[[str], Path]) -> Path:
    """The interpreter of an environment with the core alone."""
    return environment("")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_the_core_alone_works_from_its_wheel(core: Path, tmp_path: Path) -> None:
    said = _run(core, SMOKE, cwd=tmp_path)
    assert said.splitlines()[-1] == "absent: right"
    assert not _run(core, "-c", _LOADABLE, *sorted(_packages()), cwd=tmp_path).split()


_LOADABLE = """
import sys
from importlib.util import find_spec
print(*[name for name in sys.argv[1:] if find_spec(name) is not None])
"""


def _packages() -> set[str]:
    return {name for packages in EXTRAS.values() for name in packages}


@pytest.mark.parametrize("extra", [extra for extra in EXTRAS if extra != "neural"])
def test_each_extra_works_beside_the_core_alone(
    extra: str, environment: Callable[[str], Path], tmp_path: Path
) -> None:
    if any(find_spec(name) is None for name in EXTRAS[extra]):
        pytest.skip(f"the extra {extra} is not installed")
    said = _run(environment(extra), SMOKE, extra, cwd=tmp_path)
    assert f"{extra}: right" in said


def test_a_network_is_trained_beside_the_core_alone(
    environment: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    assert "neural: right" in _run(environment("neural"), SMOKE, "neural", cwd=tmp_path)


def test_a_program_is_type_checked_against_the_wheel(core: Path, tmp_path: Path) -> None:
    """Strictly: names that load on first use are found, and results have types."""
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text((ROOT / "tests" / "typed_program.py").read_text("utf-8"))
    mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull)
    _run(
        *mypy, "--cache-dir", tmp_path / "cache", "--python-executable", core, program, cwd=tmp_path
    )


def test_nothing_is_left_after_it_is_uninstalled(core: Path, tmp_path: Path) -> None:
    """Last in this file: the environment is no use without it."""
    (site,) = core.parents[1].glob("lib/*/site-packages")
    assert [*site.glob("ancestral*")]
    _run(core, "-c", "import ancestral.cli.commands", cwd=tmp_path)  # leaves compiled files
    _run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        core,
        "uninstall",
        "-q",
        "-y",
        "ancestral",
        cwd=tmp_path,
    )
    assert not [*site.glob("ancestral*")]
    assert not core.with_name("ancestral").exists()
