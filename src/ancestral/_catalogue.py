"""Every model once: what it is called, where it lives, what it takes, and who shows it.

Public names, the saved format, the command line and the studio read this list; nothing else tells
models apart by name. A model is imported when it is asked for, so that the list itself costs
nothing. Beside it stand the models that a program registered for itself: their files can be read
there.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

# What a model takes: rows of levels, of real numbers or of both, y given X, or graphs.
Face = Literal["discrete", "continuous", "mixed", "conditional", "graphs"]


@dataclass(frozen=True)
class Entry:
    """One model.

    Parameters
    ----------
    name : the class
    module : where it is written
    face : what it takes
    word : what users of the command line type
    about : one line, for people who choose
    room : the studio's room that moves it by hand; None: only compared with others
    headlines : the fitted values that are said of it first, beside what its face and its type have
    gaps : whether `fit` takes missing values
    inner : the parameter that is a model of the same face, in models made from another
    example : data and flags of an example on the command line; "": its face's built-in data
    registered : the class itself, of a model that a program registered
    """

    name: str
    module: str
    face: Face
    word: str
    about: str
    room: str | None = None
    headlines: tuple[str, ...] = ()
    gaps: bool = False
    inner: str | None = None
    example: str = ""
    registered: type | None = None

    def load(self) -> Any:
        """Return the class."""
        if self.registered is not None:
            return self.registered
        return getattr(importlib.import_module(self.module), self.name)


_ROWS = "ancestral.autoregressive"
_REAL = "ancestral.gaussian"

MODELS = [
    Entry(
        "TabularAutoregressive",
        f"{_ROWS}.tabular",
        "discrete",
        "tabular",
        "conditional probability tables of discrete rows",
        "pixels",
        headlines=("entropy_",),
    ),
    Entry(
        "LSTMAutoregressive",
        f"{_ROWS}.lstm",
        "discrete",
        "lstm",
        "LSTM over discrete rows, e.g. black and white images",
        "pixels",
        headlines=("n_parameters_", "loss_", "floor_"),
    ),
    Entry(
        "ChainAutoregressive",
        f"{_ROWS}.chain.model",
        "discrete",
        "chain",
        "a classifier for each column of discrete rows, given those before it",
        "pixels",
        headlines=("chosen_", "validation_score_", "floor_"),
        example="@icons --estimator logistic",
    ),
    Entry(
        "OrderMixture",
        f"{_ROWS}.orders",
        "discrete",
        "orders",
        "an autoregressive model in several orders of the columns",
        "pixels",
        inner="model",
        example="@icons --model tabular",
    ),
    Entry(
        "PPCA",
        f"{_REAL}.ppca.model",
        "continuous",
        "ppca",
        "probabilistic principal component analysis of real rows",
        "faces",
        headlines=("n_components_", "noise_variance_"),
        gaps=True,
        example="@faces --n-components 16",
    ),
    Entry(
        "PPCAMixture",
        f"{_REAL}.ppca.mixture",
        "continuous",
        "mixture",
        "several PPCAs, each for a part of the rows",
        "mixture",
        headlines=("weights_", "noise_variances_"),
        gaps=True,
        example="@faces --n-models 2 --n-components 4",
    ),
    Entry(
        "LatentTree",
        "ancestral.circuit.latent_tree",
        "mixed",
        "tree",
        "a hidden tree over a table of any columns, with missing values",
        "tree",
        headlines=("n_states_", "n_trees_", "n_parameters_"),
        gaps=True,
    ),
    Entry(
        "LinearGaussian",
        f"{_REAL}.linear.model",
        "conditional",
        "linear",
        "linear regression with Gaussian noise",
        "line",
        headlines=("noise_variance_",),
    ),
    Entry(
        "HeteroscedasticGaussian",
        f"{_REAL}.heteroscedastic",
        "conditional",
        "heteroscedastic",
        "linear regression whose noise depends on the inputs",
        "line",
    ),
    Entry(
        "NeuralGaussian",
        f"{_REAL}.neural",
        "conditional",
        "neural",
        "regression by a network that gives mean and noise",
        "line",
        headlines=("n_parameters_", "loss_"),
    ),
    Entry(
        "InnerProductGraph",
        "ancestral.graph.inner_product",
        "graphs",
        "graph",
        "graphs whose edges follow node features",
        "classroom",
        headlines=("slope_", "intercept_", "standard_errors_"),
    ),
    Entry(
        "DyadicGraph",
        "ancestral.graph.dyadic",
        "graphs",
        "dyadic",
        "graphs whose edges follow terms of pairs: same house, difference of age, ...",
        headlines=("terms_", "coef_", "intercept_", "standard_errors_"),
        example="@classrooms --terms inner_product",
    ),
    Entry(
        "LatentPositionGraph",
        "ancestral.graph.latent.model",
        "graphs",
        "positions",
        "graphs on the same nodes, whose places in space are learnt",
        headlines=("slope_", "intercept_"),
        example="friends.graphml --n-components 2 --l2 1",
    ),
]

REGISTERED: dict[str, Entry] = {}  # by name: what `ancestral.base.register` was given


def entry_named(name: Any) -> Entry | None:
    """Return the entry of a class's name, or None."""
    return next((entry for entry in MODELS if entry.name == name), REGISTERED.get(name))


def entry_of(model: Any) -> Entry | None:
    """Return the entry of a model, or of what its class is made from; None for a stranger."""
    for cls in type(model).__mro__:
        entry = entry_named(cls.__name__)
        if entry is not None and entry.module == cls.__module__:
            return entry
    return None
