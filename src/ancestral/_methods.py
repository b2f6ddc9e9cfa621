"""What the public methods of models are for, in the order in which one needs them.

`help` of a model, and the reference, list methods so. A method that no task names is listed last.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

TASKS = {
    "fit": ("fit", "partial_fit", "from_tables", "fit_transform"),
    "score": (
        "log_density",
        "score_samples",
        "score",
        "aic",
        "bic",
        "every_d",
        "mahalanobis",
        "outliers",
        "surprise",
        "mutual_information",
    ),
    "draw": ("sample", "sample_counts", "most_probable"),
    "condition": (
        "impute",
        "impute_draws",
        "impute_covariance",
        "marginals",
        "log_evidence",
        "intervals",
        "mean_and_covariance",
    ),
    "predict": (
        "predict",
        "prediction_interval",
        "confidence_interval",
        "variance_intervals",
        "probabilities",
        "predict_edges",
        "predict_proba",
        "responsibilities",
    ),
    "say how sure the parameters are": (
        "summary",
        "coefficient_intervals",
        "confidence_intervals",
        "robust_standard_errors",
        "clustered_standard_errors",
        "likelihood_ratio_test",
        "bootstrap",
        "pair_statistics",
    ),
    "work with latent variables": (
        "transform",
        "inverse_transform",
        "posterior_mean",
        "posterior_covariance",
        "reconstruct",
        "decode",
        "traverse",
        "aligned_positions",
        "place",
        "get_covariance",
        "get_precision",
        "get_feature_names_out",
    ),
    "save": ("save", "to_tables", "to_torch", "compress", "decompress"),
    "walk over prefixes, step by step": ("start", "step", "take"),
    "set parameters": ("get_params", "set_params", "set_output", "get_metadata_routing"),
}
_PLACE = {name: i for i, name in enumerate(name for names in TASKS.values() for name in names)}
OURS = __name__.partition(".")[0]


def methods_of(cls: type) -> dict[str, Any]:
    """Return the public methods of a class that this package wrote, in the order of their tasks."""
    found = {}
    for name in dir(cls):
        method = getattr(cls, name, None)
        if not name.startswith("_") and (inspect.isfunction(method) or inspect.ismethod(method)):
            written = inspect.unwrap(getattr(method, "__func__", method))
            if (getattr(written, "__module__", None) or "").partition(".")[0] == OURS:
                found[name] = method
    return dict(sorted(found.items(), key=lambda item: (_PLACE.get(item[0], len(_PLACE)), item[0])))


def doc_of(cls: type, method: str) -> str:
    """Return the docstring of a method, that of the class above where a class writes none."""
    found = (getattr(vars(kind).get(method), "__doc__", None) for kind in cls.__mro__)
    return next(filter(None, found), "")


def summary_of(doc: str | None) -> str:
    """Return the first line of a docstring."""
    return inspect.cleandoc(doc or "").partition("\n")[0]


def index_of(cls: type) -> str:
    """Return the section of a class's docstring that lists its methods, a line for each."""
    methods = methods_of(cls)
    width = max(map(len, methods), default=0)
    lines = (f"{name:{width}}  {summary_of(doc_of(cls, name))}" for name in methods)
    return "\n".join(["Methods", "-------", *lines])


def with_index(cls: type) -> str | None:
    """Return the docstring of a class with the list of its methods after the first line."""
    if cls.__doc__ is None:  # under python -OO
        return None
    first, _, rest = inspect.cleandoc(cls.__doc__).partition("\n\n")
    return f"{first}\n\n{index_of(cls)}\n\n{rest}"


def tasks_of(names: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each task with those of the names that are for it; last what no task names."""
    for task, methods in TASKS.items():
        if here := [name for name in methods if name in names]:
            yield task, here
    if rest := sorted(names - set(_PLACE)):
        yield "other", rest
