"""Scores of fitted models: in nats, in bits, above the entropy floor, and against each other.

    mean loss = -(1/n) sum log p(x) = H(data) + KL(data || p) >= H(data)

The entropy of the empirical distribution is the floor that no model's mean loss on the same rows
can go below; the distance to it is a Kullback-Leibler divergence. On held-out rows, two models are
compared row by row: the mean difference of log densities, with its standard error. Where rows are
too few to hold some out, each is scored by a model fitted to all the others. What was made by a
model is judged here as well: estimates from imputed tables are pooled, and the rows of a synthetic
table are held beside those it was learnt from.

    floors          entropy_floor, bits_per_dimension, kl_from_data, support_mass
    comparison      compare, compare_log_densities
    leave_one_out   leave_one_out
    dyads           hidden_dyads
    pooling         pool
    nearest         nearest_rows
"""

from ancestral.scores.comparison import MEASURES as MEASURES
from ancestral.scores.comparison import Comparison as Comparison
from ancestral.scores.comparison import compare as compare
from ancestral.scores.comparison import compare_log_densities as compare_log_densities
from ancestral.scores.comparison import unlike_measures as unlike_measures
from ancestral.scores.dyads import hidden_dyads as hidden_dyads
from ancestral.scores.floors import bits_per_dimension as bits_per_dimension
from ancestral.scores.floors import bits_per_value as bits_per_value
from ancestral.scores.floors import entropy_floor as entropy_floor
from ancestral.scores.floors import kl_from_data as kl_from_data
from ancestral.scores.floors import support_mass as support_mass
from ancestral.scores.leave_one_out import LeaveOneOut as LeaveOneOut
from ancestral.scores.leave_one_out import leave_one_out as leave_one_out
from ancestral.scores.nearest import NearestRows as NearestRows
from ancestral.scores.nearest import nearest_rows as nearest_rows
from ancestral.scores.pooling import Pooled as Pooled
from ancestral.scores.pooling import pool as pool

__all__ = [
    "Comparison",
    "LeaveOneOut",
    "NearestRows",
    "Pooled",
    "bits_per_dimension",
    "bits_per_value",
    "compare",
    "compare_log_densities",
    "entropy_floor",
    "hidden_dyads",
    "kl_from_data",
    "leave_one_out",
    "nearest_rows",
    "pool",
    "support_mass",
]
