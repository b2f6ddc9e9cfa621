"""The analysis as data: one module per problem, each gives models, arrays and numbers."""

from __future__ import annotations

from ancestral.report.summarise.autoregression import summarise_autoregression
from ancestral.report.summarise.graphs import summarise_graphs
from ancestral.report.summarise.linear import summarise_linear
from ancestral.report.summarise.ppca import summarise_ppca

__all__ = ["summarise_autoregression", "summarise_graphs", "summarise_linear", "summarise_ppca"]
