"""Generative models whose probability you can write down.

Every model is fitted by maximum likelihood, scored exactly, and sampled ancestrally: parents
first, children given their parents. The public names load on first use (PEP 562): importing the
package alone loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ancestral import _catalogue
from ancestral import _moved as _moved

__version__ = "0.2.0"

_MODULE_OF = {entry.name: entry.module for entry in _catalogue.MODELS} | {
    "Tables": "ancestral.autoregressive.tables",
    "Graph": "ancestral.graph.graphs",
    "Moments": "ancestral.statistics",
    "Counts": "ancestral.statistics",
    "load": "ancestral.model_file",
    "read_array": "ancestral.io",
    "read_table": "ancestral.io",
    "read_tables": "ancestral.io",
    "read_graphs": "ancestral.io",
    "AncestralError": "ancestral.errors",
    "AncestralWarning": "ancestral.errors",
}
_MODULES = ("datasets", "errors", "io", "scores", "streaming", "viz")

__all__ = [*_MODULE_OF, *_MODULES]

if TYPE_CHECKING:  # for those who read without running; a test holds it to the catalogue
    from ancestral import datasets as datasets
    from ancestral import errors as errors
    from ancestral import io as io
    from ancestral import scores as scores
    from ancestral import streaming as streaming
    from ancestral import viz as viz
    from ancestral.autoregressive.chain.model import ChainAutoregressive as ChainAutoregressive
    from ancestral.autoregressive.lstm import LSTMAutoregressive as LSTMAutoregressive
    from ancestral.autoregressive.orders import OrderMixture as OrderMixture
    from ancestral.autoregressive.tables import Tables as Tables
    from ancestral.autoregressive.tabular import TabularAutoregressive as TabularAutoregressive
    from ancestral.circuit.latent_tree import LatentTree as LatentTree
    from ancestral.errors import AncestralError as AncestralError
    from ancestral.errors import AncestralWarning as AncestralWarning
    from ancestral.gaussian.heteroscedastic import (
        HeteroscedasticGaussian as HeteroscedasticGaussian,
    )
    from ancestral.gaussian.linear.model import LinearGaussian as LinearGaussian
    from ancestral.gaussian.neural import NeuralGaussian as NeuralGaussian
    from ancestral.gaussian.ppca.mixture import PPCAMixture as PPCAMixture
    from ancestral.gaussian.ppca.model import PPCA as PPCA
    from ancestral.graph.dyadic import DyadicGraph as DyadicGraph
    from ancestral.graph.graphs import Graph as Graph
    from ancestral.graph.inner_product import InnerProductGraph as InnerProductGraph
    from ancestral.graph.latent.model import LatentPositionGraph as LatentPositionGraph
    from ancestral.io import read_array as read_array
    from ancestral.io import read_graphs as read_graphs
    from ancestral.io import read_table as read_table
    from ancestral.io import read_tables as read_tables
    from ancestral.model_file import load as load
    from ancestral.statistics import Counts as Counts
    from ancestral.statistics import Moments as Moments


if not TYPE_CHECKING:  # who reads without running is told of a name that is not there

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"ancestral.{name}")
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'ancestral' has no attribute {name!r}")
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
