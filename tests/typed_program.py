"""A program that uses the public names, as a type checker sees it: nothing here is ever run.

`test_release.py` has mypy read it, strictly, against the installed wheel: names that load on first
use must be found, and results must have types. A comment that silences a right complaint is itself
complained about where the complaint does not come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import ancestral
from ancestral import (
    PPCA,
    AncestralError,
    ChainAutoregressive,
    Counts,
    Graph,
    HeteroscedasticGaussian,
    InnerProductGraph,
    LatentPositionGraph,
    LinearGaussian,
    LSTMAutoregressive,
    Moments,
    NeuralGaussian,
    OrderMixture,
    PPCAMixture,
    Tables,
    TabularAutoregressive,
    datasets,
    io,
    scores,
    streaming,
)

Floats = NDArray[np.float64]


def rows_of_levels() -> None:
    icons, names = datasets.icons()
    assert_type(names, list[str])
    tables = TabularAutoregressive(smoothing=0.5).fit(icons)
    assert_type(tables, TabularAutoregressive)
    assert_type(tables.log_density(icons), Floats)
    assert_type(tables.score(icons), float)
    assert_type(tables.entropy_, float)
    assert_type(tables.n_parameters_, int)
    assert_type(tables.aic(icons), float)
    assert_type(tables.save("icons.model"), Path)
    assert_type(LSTMAutoregressive(random_state=0).fit(icons), LSTMAutoregressive)
    assert_type(ChainAutoregressive("logistic").fit(icons), ChainAutoregressive)
    assert_type(OrderMixture(tables, n_orders=2).fit(icons), OrderMixture)
    assert_type(ancestral.read_tables("image_cpts.pkl.gz"), Tables)


def rows_of_numbers(X: Floats) -> None:
    model = PPCA(n_components=2).fit(X)
    assert_type(model, PPCA)
    assert_type(model.posterior_mean(X), Floats)
    assert_type(model.loadings_, Floats)
    assert_type(model.noise_variance_, float)
    assert_type(PPCAMixture(2, 1).fit(X).log_density(X), Floats)
    assert_type(streaming.fit_chunks(PPCA(1), [X]), PPCA)
    assert_type(Moments.of(X) + Moments.of(X), Moments)
    assert_type(scores.compare_log_densities({"ppca": model.log_density(X)}), scores.Comparison)


def targets(X: Floats, y: Floats) -> None:
    line = LinearGaussian(degree=2).fit(X, y)
    assert_type(line, LinearGaussian)
    assert_type(line.coef_, Floats)
    assert_type(line.predict(X), Floats)
    mean, std = line.predict(X, return_std=True)
    assert_type((mean, std), tuple[Floats, Floats])
    assert_type(line.sample(X, 3), Floats)
    assert_type(HeteroscedasticGaussian().fit(X, y).predict(X), Floats)
    assert_type(NeuralGaussian().fit(X, y).log_density(X, y), Floats)
    pairs = io.read_pairs("prices.csv")
    assert_type(pairs.names, list[str])


def graphs() -> None:
    classrooms = datasets.classrooms()
    assert_type(classrooms, list[Graph])
    model = InnerProductGraph().fit(classrooms)
    assert_type(model, InnerProductGraph)
    assert_type(model.sample(2), list[Graph])
    assert_type(model.slope_, float)
    assert_type(LatentPositionGraph(2).fit(classrooms[:1]), LatentPositionGraph)


def files() -> None:
    try:
        assert_type(ancestral.load("faces.model"), Any)
    except (AncestralError, ancestral.errors.FormatError) as error:
        print(error)
    assert_type(ancestral.read_array("faces.npy"), NDArray[Any])
    assert_type(ancestral.__version__, str)
    Counts.of([[0, 1]])


def mistakes(X: Floats) -> None:
    ancestral.PPPCA  # type: ignore[attr-defined]
    PPCA(n_component=2)  # type: ignore[call-arg]
    datasets.icons(1)  # type: ignore[call-arg]
    PPCA(2).fit(X).score(X).upper()  # type: ignore[attr-defined]
