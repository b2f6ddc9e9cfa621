"""One answer, whatever form the numbers come in.

Each model of the zoo is fitted to the same values in every dtype, memory order, byte order and
container, and each of its public methods is asked with values in that form:

- memory, byte order, read-only and container change no answer beyond its last bits (`LAST_BITS`),
  nor the width of its floats; of PPCA's on float32, the last digit of float32 (`LAST_DIGIT`);
- a dtype gives the answer of its values in float64, to the same bits, but for PPCA on float32,
  whose products are taken in float32 (`SINGLE`);
- what is handed in is not changed.

`ANY`, `ROWS`, `PAIRS` and `GRAPHS` say how each method is asked; one that stands neither there nor
in `EXEMPT` fails.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from ancestral import (
    PPCA,
    AncestralError,
    Graph,
    LatentPositionGraph,
    LatentTree,
    LinearGaussian,
    OrderMixture,
    TabularAutoregressive,
)
from ancestral.autoregressive.sequential import Sequential
from ancestral.base import ConditionalDensity, Density, GraphDensity
from ancestral.graph.pairs.sums import PairSums
from tests.trust.forms import DTYPES, Array, Form, forms
from tests.zoo import ZOO, Entry

ENTRIES = [
    dataclasses.replace(entry, data=(entry.data[0][:10],)) if entry.name == "graph" else entry
    for entry in ZOO
]
EVERY = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
SINGLE = 1e-4  # of the size of an answer: PPCA's, on float32
LAST_DIGIT = 2e-7  # of float32, likewise
# The linear algebra library rounds by where its operands lie in memory, which no one here decides:
# nearly every answer is the same to the bit, and some few differ in their last.
LAST_BITS = 1e-14
Ask = Callable[..., Any]

# ---- how each method is asked: of a model, with values in a form, on plain arrays ------------


def gapped(X: Array) -> Array:
    """Return some rows with every third value unknown."""
    some = X[:5].astype(object if X.dtype.kind == "U" else np.float64)
    some.reshape(-1)[::3] = np.nan
    return some


def words(text: str) -> list[str]:
    """Return a text without its widths, columns named alike with and without a dataframe."""
    return text.replace("'", "").replace("column ", "c").split()


def drawn(m: Any, given: Any) -> list[Array]:
    """Return rows drawn freely, and given known values where the model can."""
    rows = [m.sample(6, random_state=0)]
    own = isinstance(m, LatentTree) or type(m)._draw_given is not Density._draw_given
    refuses = isinstance(m, OrderMixture) or not own
    if not refuses:
        rows.append(m.sample(6, given=given, random_state=0))
    if isinstance(m, Sequential):
        how = {"method": "smc", "n_particles": 16}
        rows.append(m.sample(6, given=given, random_state=0, **how))
    return rows


def weighted(m: Any, f: Any, X: Array, y: Array) -> Any:
    """Return what the fit to the same form learnt, and a weighted one where there is one."""
    states = [m._fitted_state()]
    if isinstance(m, LinearGaussian):
        states.append(clone(m).fit(f(X), f(y), f(weights(y)))._fitted_state())
    return states


def weights(y: Array) -> Array:
    return 1.0 + np.arange(len(y)) % 2


def in_two(m: Any, f: Any, *data: Array) -> Any:
    """Return the model of partial_fit on two chunks."""
    half = len(data[0]) // 2
    for part in (slice(half), slice(half, None)):
        m.partial_fit(*(f(values[part]) for values in data))
    return m._fitted_state()


ANY: dict[str, Ask] = {
    "fit": lambda m, f, *data: m._fitted_state(),  # it was fitted to the same form
    "partial_fit": lambda m, f, *data: in_two(clone(m), f, *data),
    "log_density": lambda m, f, *data: m.log_density(*map(f, data)),
    "score": lambda m, f, *data: m.score(*map(f, data)),
    "aic": lambda m, f, *data: m.aic(*map(f, data)),
    "bic": lambda m, f, *data: m.bic(*map(f, data)),
}
ROWS: dict[str, Ask] = {
    "score_samples": lambda m, f, X: m.score_samples(f(X)),
    "sample": lambda m, f, X: drawn(m, f(gapped(X)[1])),
    # rows of discrete values
    "log_evidence": lambda m, f, X: m.log_evidence(f(gapped(X)), n_particles=16, random_state=0),
    "impute": lambda m, f, X: m.impute(
        f(gapped(X)), **({"return_std": True} if isinstance(m, PPCA) else {})
    ),
    "sample_counts": lambda m, f, X: m.sample_counts(50, random_state=0),
    "most_probable": lambda m, f, X: m.most_probable(2),
    "compress": lambda m, f, X: m.compress(f(X)),
    "decompress": lambda m, f, X: m.decompress(m.compress(f(X))),
    "to_tables": lambda m, f, X: m.to_tables(),
    "from_tables": lambda m, f, X: m.from_tables(
        [f(table) if table.ndim < 3 else table for table in m.to_tables()]
    ).to_tables(),
    # z -> x
    "fit_transform": lambda m, f, X: clone(m).fit_transform(f(X)),
    "transform": lambda m, f, X: m.transform(f(X)),
    "posterior_mean": lambda m, f, X: m.posterior_mean(f(X)),
    "posterior_covariance": lambda m, f, X: [
        m.posterior_covariance(),
        m.posterior_covariance(f(gapped(X))),
    ],
    "decode": lambda m, f, X: m.decode(f(latents(m))),
    "inverse_transform": lambda m, f, X: m.inverse_transform(f(latents(m))),
    "reconstruct": lambda m, f, X: m.reconstruct(f(X)),
    "traverse": lambda m, f, X: m.n_components_ and m.traverse(f(X[0]), 0, f(np.arange(3.0))),
    "marginals": lambda m, f, X: list(m.marginals(f(gapped(X))).values()),
    "impute_draws": lambda m, f, X: stacked(m.impute_draws(f(gapped(X)), 2, random_state=0)),
    "impute_covariance": lambda m, f, X: m.impute_covariance(f(gapped(X)[1])),
    "responsibilities": lambda m, f, X: m.responsibilities(f(X)),
    "predict": lambda m, f, X: m.predict(f(X)),
    "predict_proba": lambda m, f, X: m.predict_proba(f(X)),
    "mahalanobis": lambda m, f, X: m.mahalanobis(f(gapped(X))),
    "outliers": lambda m, f, X: m.outliers(f(gapped(X)), 0.5),
    "every_d": lambda m, f, X: None if m.n_missing_ else m.every_d(f(X)),
    "get_covariance": lambda m, f, X: m.get_covariance(),
    "get_precision": lambda m, f, X: m.get_precision(),
}
PAIRS: dict[str, Ask] = {
    "fit": weighted,
    "score": lambda m, f, X, y: [m.score(f(X), f(y)), m.score(f(X), f(y), f(weights(y)))],
    "sample": lambda m, f, X, y: m.sample(f(X), random_state=0),
    "predict": lambda m, f, X, y: m.predict(f(X), return_std=True),
    "confidence_interval": lambda m, f, X, y: m.confidence_interval(f(X)),
    "prediction_interval": lambda m, f, X, y: m.prediction_interval(f(X)),
    "coefficient_intervals": lambda m, f, X, y: m.coefficient_intervals(),
    "variance_intervals": lambda m, f, X, y: m.variance_intervals(),
    "bootstrap": lambda m, f, X, y: m.bootstrap(f(X), f(y), 5, random_state=0),
    "robust_standard_errors": lambda m, f, X, y: m.robust_standard_errors(f(X), f(y)),
    "summary": lambda m, f, X, y: words(m.summary()),
}
GRAPHS: dict[str, Ask] = {
    "sample": lambda m, f, graphs: m.sample(2, features=f(graphs[0].features), random_state=0),
    "probabilities": lambda m, f, graphs: m.probabilities(f(graphs[0].features)),
    "predict_edges": lambda m, f, graphs: m.predict_edges(f(graphs[:1]), pairs="all").to_numpy(),
    "pair_statistics": lambda m, f, graphs: m.pair_statistics(f(graphs)),
    "clustered_standard_errors": lambda m, f, graphs: m.clustered_standard_errors(f(graphs)),
    "confidence_intervals": lambda m, f, graphs: m.confidence_intervals(f(graphs)),
    "summary": lambda m, f, graphs: words(m.summary()),
}
EXEMPT = {
    "likelihood_ratio_test": "takes another model",
    "save": "writes the fitted state, which is compared",
    "to_torch": "the fitted weights, which are compared, as modules of another library",
    "start": "takes a number of rows",
    "step": "takes level codes, which the package makes itself",
    "take": "takes level codes, which the package makes itself",
    "get_params": "no data",
    "set_params": "no data",
    "get_feature_names_out": "names, no numbers",
    "set_output": "chooses the container of answers",
    "get_metadata_routing": "scikit-learn's, no data",
}


POSITIONS: dict[str, Ask] = {
    "sample": lambda m, f, graphs: m.sample(2, random_state=0),
    "probabilities": lambda m, f, graphs: m.probabilities(),
    "aligned_positions": lambda m, f, graphs: m.aligned_positions(f(graphs[0].features)),
    "place": lambda m, f, graphs: m.place(f(graphs[0].to_dense()[:2]), l2=1.0).positions,
}


def of_a_tree(m: LatentTree) -> dict[str, Any]:
    """Return what a tree learnt, but for names of columns and whether its levels are booleans."""
    state = m._fitted_state()
    columns = [dict(column) for column in state["columns_"]]
    for column in columns:
        column["levels"] = column["levels"].astype(float)
        del column["name"], column["of"]
    return state | {"columns_": columns}


TREES: dict[str, Ask] = {
    "fit": lambda m, f, X: of_a_tree(m),
    "log_evidence": lambda m, f, X: m.log_evidence(f(gapped(X)[1])),
    "most_probable": lambda m, f, X: m.most_probable(f(gapped(X)[1])),
    "mean_and_covariance": lambda m, f, X: m.mean_and_covariance(f(gapped(X)[1]))[1:],
    "intervals": lambda m, f, X: list(m.intervals(f(gapped(X)), 0.5).values()),
    "surprise": lambda m, f, X: m.surprise(f(gapped(X))),
    "transform": lambda m, f, X: m.transform(f(gapped(X))),
    "mutual_information": lambda m, f, X: [value for *_, value in m.mutual_information()],
}


def asks_of(model: Any) -> dict[str, Ask]:
    """Return how each public method of a model is asked."""
    face = ROWS
    if isinstance(model, ConditionalDensity):
        face = PAIRS
    elif isinstance(model, GraphDensity):
        face = GRAPHS
    if isinstance(model, LatentTree):
        face = {**ROWS, **TREES}
    if isinstance(model, LatentPositionGraph):  # whose nodes are those of the fit
        face = {**GRAPHS, **POSITIONS}
    return {name: ask for name, ask in {**ANY, **face}.items() if hasattr(model, name)}


def latents(m: Any) -> Array:
    return np.arange(3.0 * m.n_components_).reshape(3, -1) % 2


@EVERY
def test_every_public_method_is_in_the_grid(entry: Entry) -> None:
    model = entry.make()
    kind = type(model)
    public = {n for n in dir(kind) if n[0] != "_" and callable(getattr(kind, n))}
    public = {n for n in public if not (n.startswith("set_") and n.endswith("_request"))}
    missing = public - {*asks_of(model), *EXEMPT}
    assert not missing, "say above how it is asked, or in EXEMPT why not"


# ---- answers ----------------------------------------------------------------------------------


def stacked(draws: Any) -> Array:
    """Return completions, arrays or dataframes, as one array."""
    rows = np.stack([np.asarray(draw) for draw in draws])
    return rows.astype(np.float64) if rows.dtype.kind == "f" else rows


OF_THE_FORM = {"feature_names_in_", "_frame_in"}  # what a fit keeps of the container


def parts(answer: Any) -> Iterator[Any]:
    """Yield the arrays and plain values of an answer, in a fixed order."""
    if isinstance(answer, PairSums):
        answer = answer.evaluate(0.7, -0.3)
    elif isinstance(answer, Graph):
        answer = [answer.features, answer.adjacency]
    elif hasattr(answer, "_fitted_state"):
        answer = answer._fitted_state()
    elif dataclasses.is_dataclass(answer):
        answer = [getattr(answer, f.name) for f in dataclasses.fields(answer)]
    if isinstance(answer, dict):
        answer = [value for name, value in sorted(answer.items()) if name not in OF_THE_FORM]
    elif hasattr(answer, "to_numpy"):  # a dataframe, in the form of the fit
        answer = answer.to_numpy()
        answer = answer.astype(np.float64) if answer.dtype.kind == "f" else answer
    if isinstance(answer, list | tuple):
        for part in answer:
            yield from parts(part)
    else:
        yield answer.toarray() if sparse.issparse(answer) else answer


def answers(entry: Entry, data: tuple[Any, ...], form: Form) -> dict[str, Any]:
    """Return what each method answers, or the class of the refusal, under its name."""
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        model = entry.make()
        try:
            model.fit(*map(form, data))
        except AncestralError as refusal:
            return {"fit": type(refusal)}
        for name, ask in asks_of(model).items():
            if "compress" in name and find_spec("constriction") is None:
                continue
            try:
                found[name] = list(parts(ask(model, form, *data)))
            except AncestralError as refusal:
                found[name] = type(refusal)
    form.refuse_changes()
    return found


def refused(found: dict[str, Any]) -> set[str]:
    return {name for name, answer in found.items() if isinstance(answer, type)}


def differences(
    found: dict[str, Any], wanted: dict[str, Any], tolerance: float, *, narrow: bool = False
) -> list[str]:
    """Return the names of the methods that answer differently, with by how much.

    `narrow` asks for floats of the same width too.
    """
    wrong = [] if found.keys() == wanted.keys() else ["methods"]
    for name in found.keys() & wanted.keys():
        a, b = found[name], wanted[name]
        if isinstance(a, type) or isinstance(b, type) or len(a) != len(b):
            if a is not b:
                wrong.append(f"{name}: {a} against {b}")
            continue
        gap = max((distance(x, y) for x, y in zip(a, b)), default=0.0)
        if narrow and any(float_width(x) != float_width(y) for x, y in zip(a, b)):
            wrong.append(f"{name}: floats of another width")
        elif not gap <= tolerance:
            wrong.append(f"{name} by {gap:.2g}")
    return wrong


def float_width(value: Any) -> int:
    dtype = np.asarray(value).dtype
    return dtype.itemsize if dtype.kind == "f" else 0


def distance(a: Any, b: Any) -> float:
    """Return the largest difference, beside the size of b; infinite between unlike things."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return np.inf
    if a.dtype.kind not in "biuf" or b.dtype.kind not in "biuf":
        return 0.0 if a.tolist() == b.tolist() else np.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)[~same].max() / np.abs(b[np.isfinite(b)]).max(initial=1e-300)
    return float(np.nan_to_num(gap, nan=np.inf))


# ---- values that a dtype can hold ---------------------------------------------------------------


def takes(entry: Entry, dtype: Any) -> bool:
    """Tell whether the dtype can hold this entry's kind of data."""
    values = entry.data[0]
    kind = np.dtype(dtype).kind
    if isinstance(values, list) or values.dtype.kind == "f":
        return kind == "f" or not has_gaps(values)
    return values.dtype.kind != "U" and (kind != "b" or values.max() <= 1)


def has_gaps(values: Any) -> bool:
    return not isinstance(values, list) and bool(np.isnan(values).any())


def rounded(values: Any, dtype: Any) -> Any:
    """Return values near these (their scale apart) that the dtype holds, as plain float64."""
    if isinstance(values, list):
        return [Graph(rounded(g.features, dtype), g.adjacency) for g in values]
    if values.dtype.kind != "f":
        return values
    kind = np.dtype(dtype).kind
    if kind == "f":
        return values.astype(dtype).astype(np.float64)
    if kind == "b":
        return (values > np.median(values, axis=0)).astype(np.float64)
    whole = np.rint(values * (50 / np.abs(values).max()))
    return whole - whole.min() if kind == "u" else whole


# ---- the laws -----------------------------------------------------------------------------------


@EVERY
def test_no_memory_order_nor_container_changes_an_answer(
    entry: Entry, tmp_path: Path, long: bool, note: Callable[[str, str], None]
) -> None:
    # Quickly: the data's own dtype, and float32 where it is computed with as it is.
    some = [None, *([np.float32] if isinstance(entry.make(), PPCA) else [])]
    dtypes = ([t for t in DTYPES if takes(entry, t)] if long else []) or some  # words: their own
    compared = 0
    for dtype in dtypes:
        data = entry.data
        if dtype is not None:
            data = tuple(rounded(values, dtype) for values in data)
        plain = Form("plain", dtype, lambda x: x)
        wanted = answers(entry, data, plain)
        if dtype is None:  # else a refusal could pass for an answer
            assert refused(wanted) == (set() if entry.streamed else {"partial_fit"})
        wrong = {}
        for form, kept in forms(dtype, tmp_path, whole=long):
            found = answers(entry, data, form)
            compared += len(found)
            tolerance = LAST_BITS
            if is_single(entry, dtype):
                tolerance = LAST_DIGIT if kept else SINGLE
            if found := differences(found, wanted, tolerance, narrow=kept):
                wrong[form.name] = found
        assert not wrong, f"values as {dtype}"
    assert compared
    note(f"grid of forms, {entry.name}", f"{compared:,} answers, as those to plain arrays")


@EVERY
def test_every_dtype_gives_the_answer_of_its_values(entry: Entry) -> None:
    wrong: dict[str, list[str]] = {}
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []  # dtypes share their plain values
    for dtype in DTYPES:
        if not takes(entry, dtype):
            continue
        data = tuple(rounded(values, dtype) for values in entry.data)
        wanted = next((answer for other, answer in seen if alike(other, data)), None)
        if wanted is None:
            wanted = answers(entry, data, Form("plain", None, lambda x: x))
            seen.append((data, wanted))
        found = answers(entry, data, Form("C order", dtype, lambda x: x))
        if found := differences(found, wanted, SINGLE if is_single(entry, dtype) else LAST_BITS):
            wrong[np.dtype(dtype).name] = found
    assert not wrong


def alike(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    """Tell whether two data sets hold the same values."""
    return all(distance(a, b) == 0 for a, b in zip(parts(one), parts(two)))


def is_single(entry: Entry, dtype: Any) -> bool:
    return dtype is np.float32 and isinstance(entry.make(), PPCA)


def test_levels_of_half_precision_in_a_frame_are_taken() -> None:
    pd = pytest.importorskip("pandas")
    bits = np.array([[0, 1], [1, 1], [1, 0]], np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = TabularAutoregressive().fit(pd.DataFrame(bits))
    np.testing.assert_array_equal(
        model.log_density(bits), TabularAutoregressive().fit(bits.astype(int)).log_density(bits)
    )


def test_a_gap_in_a_list_of_texts_is_no_text() -> None:
    with pytest.raises(AncestralError, match="NaN at row 1, column 1"):
        TabularAutoregressive().fit([["no", "red"], ["yes", np.nan]])


@pytest.mark.parametrize("y", [["a", "b"], [np.nan, 1.0], [1.0]])
def test_a_score_refuses_targets_as_fit_does(y: list[Any]) -> None:
    model = LinearGaussian().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.5])
    with pytest.raises(AncestralError, match="y"):
        model.score([[0.0], [1.0]], y)
