"""Benchmarks of density estimation: fit, and score rows that the fit did not see.

debd            binary tables in three parts, by orders of chains or by hidden trees
mixed           tables of mixed columns with gaps, beside two simpler models of the same leaves
latent_class    one of these: the same hidden class behind all columns
"""

from ancestral.bench.debd import Result as Result
from ancestral.bench.debd import bench_debd as bench_debd
from ancestral.bench.debd import print_results as print_results
from ancestral.bench.mixed import MixedResult as MixedResult
from ancestral.bench.mixed import bench_mixed as bench_mixed
from ancestral.bench.mixed import print_mixed as print_mixed
