"""Modules that 0.1.0 had elsewhere: their old names still import, with a warning, for one version.

Model files name classes, never modules, so that they read as before. This is for code that names a
module, and for Python's own pickles of models.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from collections.abc import Callable
from typing import Any

MOVED = {
    "_entry": "cli.__main__",
    "autoregressive.budget": "autoregressive.chain.budget",
    "autoregressive.families": "autoregressive.chain.conditionals",
    "autoregressive.lstm_training": "autoregressive.lstm",
    "autoregressive.mixture": "autoregressive.chain.prefix_mixture",
    "autoregressive.race": "autoregressive.chain.race",
    "checkpoints": "training.checkpoints",
    "descent": "training.descent",
    "gaussian.degenerate": "gaussian.ppca.degenerate",
    "gaussian.double_double": "_numerics.double_double",
    "gaussian.frequencies": "gaussian.ppca.frequencies",
    "gaussian.reflections": "gaussian.ppca.reflections",
    "gaussian.folds": "gaussian.ppca.folds",
    "gaussian.inference": "gaussian.linear.inference",
    "gaussian.latents": "gaussian.ppca.latents",
    "gaussian.least_squares": "gaussian.linear.least_squares",
    "gaussian.missing": "gaussian.ppca.missing_em",
    "gaussian.neural_training": "gaussian.neural",
    "gaussian.patterns": "gaussian.ppca.missing_patterns",
    "gaussian.ppca_mixture": "gaussian.ppca.mixture",
    "gaussian.projections": "gaussian.ppca.projections",
    "gaussian.refinement": "gaussian.linear.refinement",
    "gaussian.scoring": "gaussian.heteroscedastic",
    "gaussian.selection": "gaussian.ppca.selection",
    "graph.edge_kernels": "graph.edges.kernels",
    "graph.edge_sampling": "graph.edges.sampling",
    "graph.latent_positions": "graph.latent.model",
    "graph.many_graphs": "graph.inference",
    "graph.one_graph": "graph.latent.adjacencies",
    "graph.position_likelihood": "graph.latent.likelihood",
    "graph.spectral": "graph.latent.spectral",
    "graph.unbounded": "graph.latent.unbounded",
    "graph.walk_kernels": "graph.edges.walks",
    "io.opcodes": "io.pickles",
    "io.files": "io.sources",
    "io.pairs": "io.targets",
    "io.tables": "io.cpts",
    "io.text": "io.csv",
    "report.place": "report.folder",
    "report.sources": "inputs",
    "studio.compare": "studio.rooms.compare",
    "studio.faces": "studio.rooms.faces",
}


class _Finder:
    """Stands last among the finders, so that it is asked only for what no file holds."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.removeprefix("ancestral.") not in MOVED:
            return None
        return importlib.machinery.ModuleSpec(name, self)  # type: ignore[arg-type]  # by its methods

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        home = "ancestral." + MOVED[spec.name.removeprefix("ancestral.")]
        _say_moved(spec.name, home)
        return _Elsewhere(spec.name, importlib.import_module(home))

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module as it is: all of its names are another's."""


class _Elsewhere(types.ModuleType):
    """A module whose every name is looked up in the one that took its place."""

    def __init__(self, name: str, home: types.ModuleType) -> None:
        super().__init__(name, home.__doc__)
        self.__home = home

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__home, name)

    def __dir__(self) -> list[str]:
        return dir(self.__home)


def names_of(home: str, *names: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that was a file: the file's names, now in `home`."""
    package = home.rpartition(".")[0]

    def lookup(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        _say_moved(package, home)
        return value

    return lookup


def _say_moved(old: str, new: str) -> None:
    import warnings

    warnings.warn(
        f"{old} is now {new}; the public names are in `ancestral` itself.",
        DeprecationWarning,
        stacklevel=3,
    )


sys.meta_path.append(_Finder())
