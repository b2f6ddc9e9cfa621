"""Where optional packages are absent, a call names all that it needs, once and before any work."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import ancestral
from ancestral import _catalogue, datasets, io, streaming, viz
from ancestral._extras import EXTRAS, import_extra, need
from ancestral.base import Model
from ancestral.errors import MissingExtraError
from tests.conftest import asked_for

DISTRIBUTIONS = {"PIL": "pillow", "skimage": "scikit-image"}


def test_the_table_is_that_of_the_distribution() -> None:
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8")
    declared = tomllib.loads(text)["project"]["optional-dependencies"]
    brought = {
        extra: {re.split(r"[\[<>=]", line)[0] for line in lines}
        for extra, lines in declared.items()
        if extra not in ("all", "dev", "docs")
    }
    table = {
        extra: {DISTRIBUTIONS.get(name, name) for name in packages}
        for extra, packages in EXTRAS.items()
    }
    assert table == brought
    assert declared["all"] == [f"ancestral[{','.join(EXTRAS)}]"]


def test_one_message_names_every_package_once(core_only: None) -> None:
    with pytest.raises(MissingExtraError) as caught:
        need("this", "neural", "report:networkx", "graphs", "neural", "report:matplotlib")
    assert str(caught.value) == (
        "this needs PyTorch, NetworkX, defusedxml, igraph and Matplotlib, which are not installed. "
        'Install them: pip install "ancestral[neural,report,graphs]".'
    )
    with pytest.raises(MissingExtraError, match=r"Numba, which is not .*, or wait\.$"):
        need("this", "large", otherwise=", or wait")


def test_what_is_installed_is_not_asked_for() -> None:
    need("this")
    for extra, packages in EXTRAS.items():
        need("this", *(f"{extra}:{name}" for name in packages if find_spec(name)))


def test_a_package_that_cannot_be_loaded_is_not_called_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "igraph.py").write_text("import no_such_module_of_igraph")
    monkeypatch.delitem(sys.modules, "igraph", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"is installed and cannot be loaded \(No module"):
        import_extra("igraph", "this", "graphs")


class _Unread:
    """Data that nobody may look at before it is said what is missing."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the data was asked for")


@pytest.mark.parametrize(
    ("call", "extras"),
    [
        (lambda: ancestral.LSTMAutoregressive().fit(_Unread()), {"neural"}),
        (lambda: ancestral.NeuralGaussian().fit(_Unread(), _Unread()), {"neural"}),
        (lambda: ancestral.ChainAutoregressive().fit(_Unread()), {"boost"}),
        (lambda: ancestral.OrderMixture(ancestral.ChainAutoregressive()).fit(_Unread()), {"boost"}),
        (lambda: ancestral.OrderMixture(ancestral.LSTMAutoregressive()).fit(_Unread()), {"neural"}),
        (lambda: streaming.fit_dask(ancestral.PPCA(1), _Unread()), {"dask"}),
        (lambda: datasets.faces(), {"report"}),
        (lambda: viz.spectrum(ancestral.PPCA(1).fit([[0, 1], [2, 0], [3, 3]])), {"report"}),
        (lambda: viz.draw_graphs(datasets.classrooms()[:1]), {"report"}),
        (lambda: io.read_table("absent.csv"), {"tables"}),
    ],
)
def test_a_call_says_what_it_needs_before_it_looks_at_its_data(
    core_only: None, call: Callable[[], Any], extras: set[str]
) -> None:
    with pytest.raises(MissingExtraError) as caught:
        call()
    assert asked_for(str(caught.value)) == extras


def test_a_chain_says_what_else_would_do(core_only: None) -> None:
    with pytest.raises(MissingExtraError, match='or pass estimator="logistic"'):
        ancestral.ChainAutoregressive("trees").fit([[0, 1]])
    ancestral.ChainAutoregressive("logistic").fit([[0, 1], [1, 0], [1, 1], [0, 1]])


def test_the_models_that_may_want_a_package_say_so() -> None:
    wanting = {e.name for e in _catalogue.MODELS if e.load()._wants is not Model._wants}
    of_chains = {"ChainAutoregressive", "OrderMixture"}
    assert wanting == {"LSTMAutoregressive", "NeuralGaussian", *of_chains}
