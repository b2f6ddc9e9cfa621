"""What an installed package must do: run by the interpreter of its environment, outside the tree.

    python smoke.py              the core; commands whose packages are absent say what they need
    python smoke.py EXTRA ...    what these extras are for; "all" for every one

Nothing but the package and what it brings is imported, so that no test runner need be there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

import numpy as np

import ancestral
from ancestral import _catalogue, _extras, datasets
from ancestral.cli.commands import COMMANDS
from ancestral.errors import MissingExtraError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    program = Path(sys.executable).with_name("ancestral")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=300
    )


def says(done: subprocess.CompletedProcess[str], extras: str) -> None:
    """Hold a command to one line that names the extras it needs."""
    line = done.stderr.strip()
    assert done.returncode == 1 and "\n" not in line, line
    assert line.endswith(f'pip install "ancestral[{extras}]".'), line


# ---- the core ------------------------------------------------------------------------------------


def package() -> None:
    """It is the installed one, whole, and of one version."""
    home = Path(ancestral.__file__).parent
    assert home.parent == Path(str(metadata.distribution("ancestral").locate_file(""))), home
    assert metadata.version("ancestral") == ancestral.__version__
    for name in ("py.typed", "report/course/problem_1_autoregression.py", "studio/page/index.html"):
        assert resources.files("ancestral").joinpath(name).is_file(), name
    for name in ancestral.__all__:
        getattr(ancestral, name)
    for entry in _catalogue.MODELS:
        assert entry.load().__name__ == entry.name


def models() -> None:
    """Models of each face that need no extra: fitted, scored, drawn from, saved, loaded."""
    icons, _ = datasets.icons()
    X, y, _ = datasets.diabetes()
    classrooms = datasets.classrooms()
    tables = ancestral.TabularAutoregressive().fit(icons)
    assert np.allclose(tables.log_density(icons), -np.log(32))
    ppca = ancestral.PPCA(2).fit(X)
    holes = X[:5].copy()
    holes[0, 0] = np.nan
    assert np.isfinite(ppca.impute(holes)).all()
    line = ancestral.LinearGaussian().fit(X, y)
    assert line.predict(X[:3], return_std=True)[1].shape == (3,)
    graph = ancestral.InnerProductGraph().fit(classrooms)
    kept = graph.save(Path("graph.model"))
    assert ancestral.load(kept).score(classrooms) == graph.score(classrooms)
    assert len(tables.sample(3, random_state=0)) == len(ppca.sample(3, random_state=0)) == 3


def commands() -> None:
    """The command line, as a script and as a module."""
    assert run("--version").stdout.split()[-1] == ancestral.__version__
    module = [sys.executable, "-m", "ancestral", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, check=True).stdout
    listed = run("--help").stdout
    assert all(f"  {name} " in listed for name in COMMANDS)
    assert "Example" in run("fit", "lstm", "--help").stdout
    for line in (
        "fit tabular @icons -o icons.model",
        "fit ppca @diabetes --n-components 2 -o ppca.model",
        "fit linear @diabetes -o line.model",
        "fit chain @icons --estimator logistic -o chain.model",
        "score icons.model @icons",
        "sample icons.model -n 3 -o drawn.csv",
        "compare icons.model chain.model @icons",
        "impute icons.model drawn.csv -o whole.csv",
        "predict line.model @diabetes --std -o means.csv",
        "inspect ppca.model",
    ):
        done = run(*line.split())
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def absent() -> None:
    """Commands that need what is not installed."""

    def lack(*wants: str) -> str:
        """Return those of these extras of which a package is absent."""
        found = []
        for extra in wants:
            try:
                _extras.need("this", extra)
            except MissingExtraError:
                found.append(extra.partition(":")[0])
        return ",".join(found)

    for line, wants in (
        ("report", ("report", "neural")),
        ("fit lstm @icons -o m.model", ("neural",)),
        ("fit lstm absent.parquet -o m.model", ("neural", "tables:pyarrow")),
        ("studio --no-browser", ("studio", "report:skimage")),
        ("fit ppca @faces -o m.model", ("report:skimage",)),
        ("sample icons.model --collage a.png", ("report:matplotlib",)),
        ("score icons.model absent.graphml", ("graphs:defusedxml",)),
    ):
        if extras := lack(*wants):
            says(run(*line.split()), extras)


# ---- extras --------------------------------------------------------------------------------------


def neural() -> None:
    X, y, _ = datasets.line()
    assert np.isfinite(ancestral.NeuralGaussian(max_steps=3).fit(X, y).score(X, y))


def large() -> None:
    from ancestral.graph.compiled import numba

    assert numba() is not None
    assert ancestral.InnerProductGraph().fit(datasets.classrooms()).slope_ > 0


def boost() -> None:
    icons, _ = datasets.icons()
    assert np.isfinite(ancestral.ChainAutoregressive("trees").fit(icons).score(icons))


def coding() -> None:
    icons, _ = datasets.icons()
    tables = ancestral.TabularAutoregressive(0.1).fit(icons)
    assert (tables.decompress(tables.compress(icons)) == icons).all()


def report() -> None:
    faces = datasets.faces()
    ancestral.viz.collage(faces[:4], (24, 24)).savefig("faces.png")
    ancestral.viz.draw_graphs(datasets.classrooms()[:1]).savefig("graphs.svg")
    if _extras.find_spec("torch") is not None:
        done = run("report", "-o", "whole")
        assert done.returncode == 0 and Path("whole/report.pdf").stat().st_size, done.stderr


def tables() -> None:
    Path("drawn.csv").write_text("sky,wind\nrain,3\nsun,5\n")
    frame = ancestral.read_table("drawn.csv")
    ancestral.io.write_table(Path("drawn.parquet"), frame)
    assert ancestral.read_table("drawn.parquet").equals(frame)


def images() -> None:
    from PIL import Image

    Path("pictures").mkdir()
    for k in range(2):
        Image.fromarray(np.full((4, 4), 100 * k, np.uint8)).save(f"pictures/{k}.png")
    assert ancestral.read_array("pictures").tolist() == [[[0] * 4] * 4, [[100] * 4] * 4]


def graphs() -> None:
    import networkx

    friends = networkx.path_graph(4)
    networkx.set_node_attributes(friends, {k: float(k) for k in friends}, "age")
    networkx.write_graphml(friends, "friends.graphml")
    assert ancestral.read_graphs("friends.graphml")[0].n_edges == 3


def studio() -> None:
    from ancestral.studio.server import Rooms, make_app
    from ancestral.studio.shelf import Shelf

    kept = ancestral.TabularAutoregressive().fit(datasets.icons()[0]).save("icons.model")
    assert make_app(Rooms(Shelf.of([kept])), port=1)


def dask() -> None:
    from dask import array

    X, _, _ = datasets.diabetes()
    model = ancestral.streaming.fit_dask(ancestral.PPCA(1), array.from_array(X, chunks=(100, -1)))
    assert np.allclose(model.mean_, X.mean(axis=0))


def remote() -> None:
    import fsspec

    X, _, _ = datasets.diabetes()
    with fsspec.open("memory://X.npy", "wb") as file:
        np.save(file, X)
    model = ancestral.streaming.fit_chunks(ancestral.PPCA(1), "memory://X.npy")
    assert np.allclose(model.mean_, X.mean(axis=0))


EXTRAS: tuple[Callable[[], None], ...] = (
    neural, large, boost, coding, report, tables, images, graphs, studio, dask, remote,
)  # fmt: skip


def main(wanted: list[str]) -> None:
    """Run the steps in a folder of their own."""
    known = {step.__name__: step for step in EXTRAS}
    assert set(known) == set(_extras.EXTRAS)
    wanted = list(known) if wanted == ["all"] else wanted
    with tempfile.TemporaryDirectory(prefix="ancestral-smoke-") as folder:
        os.chdir(folder)
        core = () if wanted else (models, commands, absent)
        for step in (package, *core, *(known[name] for name in wanted)):
            step()
            print(f"{step.__name__}: right", flush=True)
        os.chdir(Path(folder).parent)


if __name__ == "__main__":
    main(sys.argv[1:])
