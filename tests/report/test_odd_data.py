"""The report on data unlike the course's: summaries stay finite, and the text follows them."""

from __future__ import annotations

import base64
import copy
import functools
import gzip
import json
import logging
import math
import pickle
import re

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.inputs import find_files, find_source, find_sources
from ancestral.report import figures, render, summarise
from ancestral.report.solutions import Solution, run_solutions
from ancestral.report.summarise.graphs import _held_out
from ancestral.report.summarise.inpainting import complete, halves

pytest.importorskip("skimage", reason="built-in faces are an extra")
pytest.importorskip("torch", reason="the report trains an LSTM")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


def write_faces(folder, n, side=8):
    np.save(folder / "eigenfaces.npy", np.random.default_rng(0).random((n, side, side)))


def write_tables(folder):
    rng = np.random.default_rng(0)
    tables = [rng.dirichlet(np.ones(3), size=(3,) * i if i else None) for i in range(4)]
    with gzip.open(folder / "image_cpts.pkl.gz", "wb") as file:
        pickle.dump(tables, file)


def write_graph(folder):
    graph = datasets.classrooms(1, n_features=1, slope=0.1, intercept=1.2, random_state=3)[0]
    np.savez(folder / "my_graphs.npz", features_0=graph.features, adjacency_0=graph.adjacency)


def write_pairs(folder, columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(repr(float(x)) for x in row) for row in rows)]
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")


def columns(*, exact):
    a, b, noise = np.random.default_rng(1).normal(size=(3, 30))
    if exact:
        return {"a": a, "y": 2 * a + 1}
    return {"a": a, "b": b, "sum": a + b, "y": a - b + noise}


@pytest.fixture(scope="module")
def short_training():
    """Two steps of training: what is tested is the text, not the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ancestral,
            "LSTMAutoregressive",
            functools.partial(ancestral.LSTMAutoregressive, max_steps=2),
        )
        yield


def write_pictures(folder, dims):
    """Write a white pixel under every name that the text shows: only words are tested here."""
    folder.mkdir()
    text = "".join(p.read_text("utf-8") for p in (render.PARTS / "text").iterdir())
    names = set(re.findall(r'"([a-z-]+\.(?:svg|png))"', text))
    for name in names | {f"faces-{d}.png" for d in dims}:
        if name.endswith("svg"):
            (folder / name).write_text(
                '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'
            )
        else:
            (folder / name).write_bytes(base64.b64decode(PIXEL))


@pytest.fixture(scope="module")
def odd_summaries(tmp_path_factory, short_training):
    """Return the sources and summaries of small odd data."""
    source = tmp_path_factory.mktemp("source")
    write_tables(source)
    write_faces(source, 4)
    write_graph(source)
    write_pairs(source, columns(exact=False))
    sources = find_sources(source)
    with pytest.warns(ancestral.errors.AncestralWarning):
        summaries = {
            name: getattr(summarise, f"summarise_{name}")(sources)
            for name in ("autoregression", "ppca", "graphs", "linear")
        }
    return sources, summaries


@pytest.fixture(scope="module")
def odd(tmp_path_factory, odd_summaries):
    """Return the laid-out folder of a report on small odd data, and its numbers."""
    folder = tmp_path_factory.mktemp("odd")
    sources, summaries = odd_summaries
    write_pictures(folder / "figures", [x["d"] for x in summaries["ppca"].numbers["fits"]])
    numbers = {
        "version": "0",
        "document": render.Heading().described(full=True),
        "sources": sources.described(),
        "solutions": {
            f"problem_{k}": Solution("a script", "these data are odd").described()
            for k in (1, 2, 3, 4)
        },
        **{name: summary.numbers for name, summary in summaries.items()},
    }
    return folder, numbers


def text_of(folder, numbers):
    """Compile report.html from numbers; return its words."""
    pytest.importorskip("typst", reason="the report is an extra")
    (folder / "report.json").write_text(json.dumps(numbers, allow_nan=False))
    page = render.write_html(folder).read_text("utf-8")
    page = re.sub(r"<style>.*?</style>|data:image[^\"]*", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def numbers_of(tmp_path, kind, write, summary):
    """Return the numbers of one problem on a file of its kind alone."""
    return summary_of(tmp_path, kind, write, summary).numbers


def summary_of(tmp_path, kind, write, summary):
    """Summarise one problem on a file of its kind alone."""
    write(tmp_path)
    files = find_files(tmp_path)
    kinds = ("regression", "line") if kind == "regression" else (kind,)

    class Some:
        pass

    for name in kinds:
        setattr(Some, name, find_source(name, files))
    return summary(Some)


def test_the_text_of_odd_data_follows_from_its_numbers(odd):
    folder, numbers = odd
    text = text_of(folder, numbers)
    for wrong in (
        "Almost none",
        "certain. These prefixes",
        "the saving that the course asks for",
        "each pair sums to one",
        "Binary cross-entropy",
        "The same 25 images",
        "look Gaussian",
        "falls by",
        "friends",
        "sparse",
        "nodes with similar",
        "gives –",
        "1 graphs, ",
        "gradient norm",
        "no evidence against",
        "third line",
        "heldout",
        "none",
    ):
        assert wrong not in text, wrong
    for right in (
        "KL(tables ‖ LSTM)",
        "not the tables’ own",
        "Every one of these prefixes can be reached",
        "All 4 images",
        "too few to tell",
        "do not show whether similarity matters",
        "no pair of these data",
        "2 degrees of freedom",
        "only 2 of the 3 inputs are linearly independent",
        "Graphs cannot be held out here",
        "one graph cannot be compared with others",
        "all 9 completions for the network",
        "LSTM, 16 left out at once",
    ):
        assert right in text, right


def test_other_conditions_of_the_text_compile(odd):
    folder, numbers = odd
    numbers = copy.deepcopy(numbers)
    numbers["autoregression"] |= {"lstm_levels": 2, "n_shown": 5, "width": 12, "height": 1}
    numbers["autoregression"] |= {"n_pixels": 12, "step_entropies": [0.25] * 12}
    numbers["autoregression"] |= {"lstm_start_excess": None, "lstm_steps": 0, "lstm_floor": 0.0}
    numbers["ppca"] |= {"enough_for_shape": True, "departures": ["latent 1 has heavier tails"]}
    numbers["autoregression"] |= {"certificate": None, "left_out": None, "n_tree": 40}
    numbers["autoregression"]["inpainting"] |= {"farthest": None}
    numbers["graphs"] |= {"slope_is_clear": True, "similarity_at_half": 0.1, "n_loops": 1}
    numbers["graphs"] |= {"sampled_edge_similarity": None, "largest_feature": 7.0}
    text = text_of(folder, numbers)
    assert "The first 5 of the 81 unique images" in text
    assert "no step of it was taken" in text
    assert "too flat to prove" in text and "One image says nothing about others" in text
    assert "The 40 most probable images as a tree" in text
    assert "too many completions to add up" in text and "LSTM: fails" not in text
    assert "not quite Gaussian" in text and "similar pupils are more often friends" in text
    assert "The sampled graphs have no edge" in text
    table = text[text.index("From pixel") : text.index("What a training script")]
    assert table.count("0.250000") == 12  # every pixel, also beyond the ninth


def test_every_figure_of_odd_data_can_be_drawn(odd_summaries):
    names = [
        name
        for problem in ("autoregression", "ppca", "graphs", "linear")
        for name, _ in getattr(figures, f"_{problem}")(odd_summaries[1][problem])
    ]
    assert {"tree", "certificate", "inpainting", "raster", "every-d", "intervals"} <= set(names)
    assert "held-out-graphs" not in names  # there is one graph


@pytest.mark.parametrize("levels", [(2, 3, 2), (2,)])
def test_images_in_one_row_with_levels_of_their_own(tmp_path, short_training, levels):
    rng = np.random.default_rng(0)
    tables = [rng.dirichlet(np.ones(k), size=levels[:i] or None) for i, k in enumerate(levels)]

    def write(folder):
        with gzip.open(folder / "image_cpts.pkl.gz", "wb") as file:
            pickle.dump(tables, file)

    summary = summary_of(tmp_path, "tables", write, summarise.summarise_autoregression)
    numbers = summary.numbers
    json.dumps(numbers, allow_nan=False)
    assert (numbers["height"], numbers["n_images"]) == (1, math.prod(levels))
    drawn = dict(figures._autoregression(summary))
    assert {"tree", "certificate"} <= set(drawn)
    if len(levels) == 1:  # a pixel has no half
        assert numbers["inpainting"] is None and "inpainting" not in drawn
        return
    for half in numbers["inpainting"]["halves"]:
        assert half["mean_stuck"] == 0  # every combination is possible
        assert (half["mean_distance"] > 1e-3) == (half["half"] != "first half")


def test_raster_filling_is_walked_exactly():
    rows = [[0, 0], [0, 1], [1, 1], [1, 1]]
    tables = ancestral.TabularAutoregressive().fit(rows)
    first = complete(tables, np.array([0, -1]))
    assert first.posterior.tolist() == [0.5, 0.5] and first.distance == 0.0
    last = complete(tables, np.array([-1, 0]))  # q puts 1/2 on each value of the first pixel
    assert last.levels.tolist() == [[0, 0]] and last.posterior.tolist() == [1.0]
    assert last.stuck == pytest.approx(0.5) and last.distance == pytest.approx(0.5)


def test_each_half_knows_half_the_pixels():
    for shape in ((5, 5), (2, 2), (1, 7), (4, 3)):
        m = shape[0] * shape[1]
        found = halves(shape)
        assert {int(known.sum()) for name, known in found.items() if name != "every other"} == {
            (m + 1) // 2
        }
    square = halves((4, 4))
    assert (square["left half"].reshape(4, 4)[:, :2]).all()
    assert (square["bottom half"] == ~square["top half"]).all()
    assert halves((1, 1)) == {}


def test_graphs_are_held_out_where_others_can_be_fitted(caplog):
    caplog.set_level(logging.INFO, logger="ancestral")
    graphs = datasets.classrooms(6, random_state=0)
    A = graphs[0].adjacency.copy()
    np.fill_diagonal(A, 1)
    graphs[0] = ancestral.Graph(graphs[0].features, A)
    found = _held_out(graphs)
    assert len(found.auc) == 6
    assert "diagonal" not in caplog.text  # said by the fit to all of them, not by each part
    model = ancestral.InnerProductGraph().fit(graphs)
    total = sum(model.log_density(graphs))
    assert found.log_density.sum() < total  # a fit to all of them is best on all of them
    assert _held_out(graphs[:1]) is None


def test_tables_with_other_probabilities_than_the_network_learns(odd):
    numbers = odd[1]["autoregression"]
    assert not numbers["uniform"] and not numbers["binary"]
    assert numbers["n_dense_contexts"] == numbers["n_contexts"] == 1 + 3 + 9 + 27
    assert numbers["table_parameters"] == numbers["n_dense_free"] == 80
    p = np.array([x["probability"] for x in numbers["per_image"]])
    nats = np.array([x["nats"] for x in numbers["per_image"]])
    assert numbers["tables_divergence"] == pytest.approx(
        float((p * (np.log(p) + nats)).sum()), abs=1e-12
    )
    assert numbers["cheapest"]["nats"] == nats.min()
    assert numbers["dearest"]["nats"] == nats.max()


def test_the_numbers_of_the_figures_are_kept(odd):
    numbers = odd[1]
    graphs, ppca = numbers["graphs"], numbers["ppca"]
    assert len(graphs["history"]) == graphs["n_iterations"] + 1
    assert sum(graphs["nodes_by_degree"]) == 15
    assert all(sum(x["observed"]) == pytest.approx(1) for x in graphs["fit_shares"])
    for half in numbers["autoregression"]["inpainting"]["halves"]:
        assert sum(half["probabilities"]["tables"]) <= 1 + 1e-12
    assert len(graphs["clustering_by_graph"]) == 1
    assert len(ppca["eigenvalues"]) == ppca["m"]
    assert [x["step"] for x in numbers["autoregression"]["lstm_history"]] == [0, 1, 2]


@pytest.mark.parametrize("n", [4, 12, 30])
def test_few_faces_give_numbers_that_json_can_hold(tmp_path, n):
    numbers = numbers_of(
        tmp_path, "faces", lambda folder: write_faces(folder, n), summarise.summarise_ppca
    )
    json.dumps(numbers, allow_nan=False)
    assert (numbers["heldout_best_error"] is None) == (numbers["n_heldout"] == 1)
    assert numbers["n_shown"] == min(25, n)
    assert numbers["chosen_d"] != numbers["compare_d"]
    assert not numbers["enough_for_shape"]


def test_an_exact_fit_is_told_without_a_density(tmp_path, odd):
    with pytest.warns(ancestral.errors.AncestralWarning, match="exact"):
        summary = summary_of(
            tmp_path,
            "regression",
            lambda folder: write_pairs(folder, columns(exact=True)),
            summarise.summarise_linear,
        )
    numbers = summary.numbers
    [(name, figure)] = figures._linear(summary)
    assert name == "line" and len(figure.axes) == 1
    assert numbers["exact"] and numbers["line_exact"]
    assert numbers["log_likelihood"] is numbers["aic"] is numbers["bic"] is None
    weights = [x["weight"] for x in numbers["weights"]]
    assert weights == pytest.approx([1.0, 2.0], abs=1e-12)
    assert all(x["standard_error"] == 0 and x["low"] is None for x in numbers["weights"])
    folder, others = odd
    text = text_of(folder, {**others, "linear": numbers})
    assert "The fit is exact: all residuals are 0" in text
    assert "an exact fit, which has no likelihood" in text


def test_dependent_inputs_are_compared_by_their_predictions(tmp_path):
    with pytest.warns(ancestral.errors.AncestralWarning, match="collinear"):
        numbers = numbers_of(
            tmp_path,
            "regression",
            lambda folder: write_pairs(folder, columns(exact=False)),
            summarise.summarise_linear,
        )
    assert (numbers["rank"], numbers["n_inputs"]) == (2, 3)
    assert numbers["breusch_pagan_degrees"] == 2
    assert numbers["least_squares_gap"] is None
    assert numbers["prediction_gap"] < 1e-12
    assert math.isfinite(numbers["log_likelihood"])


def test_scripts_do_not_run_on_data_of_another_form(tmp_path, odd_summaries):
    solved = run_solutions(odd_summaries[0], tmp_path / "figures")
    assert "5 by 5" in solved["problem_1"].reason
    assert "24 by 24" in solved["problem_2"].reason
    assert "1 feature" in solved["problem_3"].reason
    assert solved["problem_4"].ran  # draws its own data
    assert list((tmp_path / "figures").iterdir()) == []


def test_a_problem_without_its_script_says_why(odd):
    text = text_of(*odd)
    assert text.count("did not run on these data: these data are odd") == 4
    places = [text.index(f"{k} ", text.index("The data are")) for k in ("1(a)", "2(e)", "3(c)")]
    assert places == sorted(places)
