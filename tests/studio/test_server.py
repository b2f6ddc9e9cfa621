"""What the server gives, from which files, and what it says of files it cannot use."""

from __future__ import annotations

import base64
import io
import json
import pickle
import threading

import numpy as np
import pytest

import ancestral
from ancestral import datasets
from ancestral.errors import AncestralError, DataError, FormatError
from ancestral.studio import rooms
from ancestral.studio.payload import packed, to_json
from ancestral.studio.rooms.faces import MOST_LATENTS, split
from ancestral.studio.server import Rooms, _open, page_files
from ancestral.studio.shelf import Shelf


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def unpacked(sent):
    data = np.frombuffer(
        base64.b64decode(sent["base64"]), np.dtype(sent["dtype"]).newbyteorder("<")
    )
    return data.reshape(sent["shape"])


def test_the_page_and_its_modules_are_served(studio):
    page = studio.request("/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    for name in page_files():
        if name != "index.html":
            answer = studio.request(f"/page/{name}")
            kind = "css" if name.endswith(".css") else "javascript"
            assert answer.status == 200 and kind in answer.headers["Content-Type"]


def test_the_first_view_is_small(studio):
    """The page, its modules and the faces' first part come to less than 200 kB, compressed."""
    names = [f"/page/{name}" for name in page_files() if name != "index.html"]
    sizes = [
        len(studio.request(path, Accept_Encoding="gzip").content)
        for path in ("/", *names, "/data/faces.json")
    ]
    assert sum(sizes) < 200_000


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32"])
def test_packing_keeps_values_and_shape(dtype):
    values = np.asfortranarray(np.arange(12).reshape(3, 4)).astype(">f8")
    np.testing.assert_array_equal(unpacked(packed(values, dtype)), values)
    with pytest.raises(ValueError, match="float16"):
        packed(values, "float16")


def test_json_never_says_nan():
    said = to_json({"a": [np.float64("nan"), float("inf"), np.int64(3)], 5: (1.5, None)})
    assert json.loads(said) == {"a": [None, None, 3], "5": [1.5, None]}


def test_every_room_has_something_to_show(studio):
    for name in rooms.PARTS:
        sent = studio.json(f"/data/{name}.json")
        assert ("problem" in sent) == (name == "lstm")  # an LSTM was given: none is trained


def test_rooms_hold_what_the_models_are(studio, faces, models):
    sent = studio.json("/data/faces.json")
    model = ancestral.PPCA(MOST_LATENTS).fit(faces)
    np.testing.assert_allclose(unpacked(sent["models"][0]["mean"]), model.mean_, atol=1e-6)
    np.testing.assert_allclose(
        unpacked(sent["models"][0]["plane"]),
        (faces - model.mean_) @ model.components_[:2].T,
        atol=1e-5,
    )
    pixels = studio.json("/data/pixels.json")
    assert [sent["name"] for sent in pixels["models"]] == ["Tables", "LSTM"]
    assert pixels["models"][1]["n_parameters"] == models["LSTM"].n_parameters_
    line = studio.json("/data/line.json")
    X, y, _ = datasets.line()
    np.testing.assert_array_equal(unpacked(line["x"]), X[:, 0])
    np.testing.assert_array_equal(unpacked(line["y"]), y)


# ---- shelves ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, faces):
    icons = datasets.icons()[0]
    ancestral.TabularAutoregressive().fit(icons).save(tmp_path / "letters.model")
    ancestral.PPCA(4).fit(faces).save(tmp_path / "four.model")
    ancestral.PPCA(9).fit(faces).save(tmp_path / "nine.model")
    np.save(tmp_path / "faces.npy", faces[:40])
    return tmp_path


def test_a_folder_gives_its_models_and_data(folder):
    shelf = Shelf.of([folder])
    assert list(shelf.models) == ["four", "letters", "nine"] and "faces" in shelf.files
    sent = rooms.part(shelf, "faces")
    assert [model["name"] for model in sent["models"]] == ["four", "nine"] and sent["n"] == 40
    assert rooms.part(shelf, "pixels")["models"][0]["name"] == "letters"


def test_saved_models_are_compared_on_a_table(folder, faces):
    np.save(folder / "held-out.npy", faces[60:])
    shelf = Shelf.of([folder / "four.model", folder / "nine.model", folder / "held-out.npy"])
    sent = rooms.part(shelf, "compare")
    scored = {model["name"]: unpacked(model["values"]) for model in sent["models"]}
    for name in ("four", "nine"):
        expected = shelf.models[name].log_density(faces[60:])
        np.testing.assert_allclose(scored[name], expected, rtol=1e-12)
    assert not sent["fitted_here"]


def test_a_table_beside_a_folder_of_images_is_what_is_compared(folder, tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 7))
    np.save(tmp_path / "rows.npy", rows)
    images = folder / "faces.npy"
    assert "held out" in rooms.part(Shelf.of([images]), "compare")["source"]
    saved = rooms.part(Shelf.of([folder]), "compare")["source"]
    assert "may have seen them" in saved and "held out" not in saved
    sent = rooms.part(Shelf.of([images, tmp_path / "rows.npy"]), "compare")
    assert sent["source"] == "10 of the 50 rows of rows.npy, held out of the fits"


def test_rows_no_model_can_score_are_said_so(folder):
    np.save(folder / "narrow.npy", np.random.default_rng(0).normal(size=(9, 3)))
    shelf = Shelf.of([folder / "four.model", folder / "narrow.npy"])
    assert "3 columns of narrow.npy" in rooms.part(shelf, "compare")["problem"]


def scores(sent):
    return {model["name"]: unpacked(model["values"]) for model in sent["models"]}


def test_a_csv_is_scored_as_rows_or_as_a_target(tmp_path):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 4)).round(6)
    lines = "\n".join(",".join(map(str, row)) for row in table.tolist())
    (tmp_path / "own.csv").write_text(f"a,b,c,y\n{lines}\n")
    density = ancestral.PPCA(2).fit(table)
    regression = ancestral.LinearGaussian().fit(table[:, :3], table[:, 3])
    density.save(tmp_path / "rows.model")
    regression.save(tmp_path / "target.model")
    found = rooms.part(Shelf.of([tmp_path / "own.csv", tmp_path / "rows.model"]), "compare")
    np.testing.assert_array_equal(scores(found)["rows"], density.log_density(table))
    found = rooms.part(Shelf.of([tmp_path / "own.csv", tmp_path / "target.model"]), "compare")
    expected = regression.log_density(table[:, :3], table[:, 3])
    np.testing.assert_array_equal(scores(found)["target"], expected)
    assert "“y” given the other columns" in found["source"] and not found["fitted_here"]


def test_a_target_that_the_names_do_not_tell_is_the_models_own(tmp_path):
    table = np.random.default_rng(0).normal(size=(30, 3)).round(6)
    lines = "\n".join(",".join(map(str, row)) for row in table.tolist())
    (tmp_path / "own.csv").write_text(f"price,b,c\n{lines}\n")
    regression = ancestral.LinearGaussian().fit(table[:, 1:], table[:, 0])
    regression.target_name_ = "price"
    regression.save(tmp_path / "target.model")
    found = rooms.part(Shelf.of([tmp_path / "own.csv", tmp_path / "target.model"]), "compare")
    expected = regression.log_density(table[:, 1:], table[:, 0])
    np.testing.assert_array_equal(scores(found)["target"], expected)
    drawn = rooms.part(Shelf.of([tmp_path / "own.csv", tmp_path / "target.model"]), "line")
    assert drawn["y_name"] == "price" and drawn["x_name"] in ("b", "c")
    other = ancestral.LinearGaussian().fit(table[:, 1:2], table[:, 0])  # of other columns
    other.target_name_ = "price"
    other.save(tmp_path / "target.model")
    refused = rooms.part(Shelf.of([tmp_path / "own.csv", tmp_path / "target.model"]), "line")
    assert "which column is the target is not clear" in refused["problem"]


def test_a_table_without_models_is_split_and_fitted(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 5))
    np.save(tmp_path / "own.npy", rows)
    sent = rooms.part(Shelf.of([tmp_path / "own.npy"]), "compare")
    train, out = split(rows)
    assert sent["fitted_here"] and sent["n"] == len(out) == 10 and sent["images"] is None
    assert list(scores(sent)) == [f"PPCA, d = {d}" for d in (1, 2, 3, 4)]
    for d, values in enumerate(scores(sent).values(), start=1):
        np.testing.assert_array_equal(values, ancestral.PPCA(d).fit(train).log_density(out))
    np.save(tmp_path / "bits.npy", (rows > 0).astype(int))
    sent = rooms.part(Shelf.of([tmp_path / "bits.npy"]), "compare")
    assert [model["kind"] for model in sent["models"]] == 4 * ["TabularAutoregressive"]
    np.save(tmp_path / "few.npy", rows[:3])
    said = rooms.part(Shelf.of([tmp_path / "few.npy"]), "compare")["problem"]
    assert "few.npy (3 rows, 5 columns)" in said


def test_impossible_rows_reach_the_page_as_minus_infinity(folder):
    rows = datasets.icons()[0].copy()
    rows[3] = 1 - rows[3]
    np.save(folder / "icons.npy", rows)
    sent = rooms.part(Shelf.of([folder / "letters.model", folder / "icons.npy"]), "compare")
    values = unpacked(sent["models"][0]["values"])
    assert values[3] == -np.inf and np.isfinite(np.delete(values, 3)).all()


def test_binary_rows_make_tables(tmp_path):
    rows = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]])
    np.save(tmp_path / "bits.npy", rows)
    sent = rooms.part(Shelf.of([tmp_path / "bits.npy"]), "pixels")
    assert sent["m"] == 4 and sent["shape"] == (2, 2) and "bits.npy" in sent["models"][0]["name"]


def test_pixels_up_to_255_are_drawn_so_and_said_so(tmp_path, faces):
    np.save(tmp_path / "faces.npy", np.round(255 * faces).astype(np.uint8))
    sent = rooms.part(Shelf.of([tmp_path / "faces.npy"]), "faces")
    assert sent["grey"] == (0.0, 255.0) and "from 0 to 255" in sent["note"]
    assert rooms.part(Shelf(), "faces")["note"] is None


def test_a_csv_gives_the_line_its_points(tmp_path):
    (tmp_path / "pairs.csv").write_text("size,price\n1,2\n2,3\n3,5\n4,4\n")
    sent = rooms.part(Shelf.of([tmp_path / "pairs.csv"]), "line")
    assert sent["x_name"] == "size" and unpacked(sent["y"]).tolist() == [2, 3, 5, 4]


def test_many_points_are_thinned_and_said_so(tmp_path):
    x = np.arange(3000.0)
    table = "\n".join(f"{a},{b}" for a, b in zip(x, x**0.5, strict=True))
    (tmp_path / "pairs.csv").write_text(f"x,y\n{table}\n")
    sent = rooms.part(Shelf.of([tmp_path / "pairs.csv"]), "line")
    assert sent["n_all"] == 3000 and len(unpacked(sent["x"])) == rooms.line.MOST_POINTS


def test_graphs_beyond_the_pages_reach_are_left_out(monkeypatch):
    monkeypatch.setattr(rooms.classroom, "MOST_PAIRS", 1000)
    sent = rooms.part(Shelf(), "classroom")
    assert sent["n_graphs"] == 9 and sent["n_all"] == 100  # 105 pairs each
    fitted = ancestral.InnerProductGraph().fit(datasets.classrooms()[:9])
    assert sent["fit"]["a"] == fitted.slope_


def test_paths_that_are_nothing_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.model: no such file"):
        Shelf.of([tmp_path / "gone.model"])
    with pytest.raises(DataError, match="saved models"):
        Shelf.of([tmp_path])
    (tmp_path / "x.model").write_text("no")
    with pytest.raises(AncestralError, match=r"x\.model"):
        Shelf.of([tmp_path / "x.model"])


def test_models_of_one_name_are_numbered(folder):
    shelf = Shelf.of([folder / "four.model", folder / "four.model"])
    assert list(shelf.models) == ["four", "four (2)"]


# ---- files given to the page --------------------------------------------------------------------


def test_an_uploaded_model_joins_the_others(folder):
    kept = Rooms(Shelf())
    kept.close()  # nothing is made behind the page
    assert "models" in json.loads(kept.text("faces"))
    content = base64.b64encode((folder / "nine.model").read_bytes()).decode()
    body = json.dumps({"name": "../../nine.model", "base64": content}).encode()
    status, said = _open(kept, body)
    assert status == 200 and said["kind"] == "PPCA"
    assert list(kept.shelf.models) == ["nine"]
    assert json.loads(kept.text("faces"))["models"][0]["name"] == "nine"


@pytest.mark.parametrize("moment", ["while it is made", "while it is handed out"])
def test_a_part_comes_whole_though_the_shelf_changes(moment, monkeypatch):
    kept, made = Rooms(Shelf()), []

    def forget_now(when):
        if moment == when:
            changing = threading.Thread(target=kept.forget)
            changing.start()
            changing.join(0.2)  # it may have to wait

    def part(shelf, name):
        made.append(name)
        if len(made) == 1:
            forget_now("while it is made")
        return {"made": len(made)}

    class Texts(dict):
        def __contains__(self, name):
            return self.get(name) is not None

        def get(self, name):
            found = super().get(name)
            if found is not None:
                forget_now("while it is handed out")
            return found

    kept._texts = Texts()
    monkeypatch.setattr(rooms, "part", part)
    for _ in range(2):
        assert json.loads(kept.text("faces"))["made"] == len(made)
    assert len(made) == (2 if moment == "while it is made" else 1)


def test_uploads_that_are_wrong_are_named_as_the_user_knows_them():
    kept = Rooms(Shelf())
    for name, content in [
        ("notes.csv", b"a,b\n1,x\n"),
        ("a.npy", b"zzzz"),
        ("pic.model", b"\x89PNG"),
        ("tables.pkl", pickle.dumps(print)),
        ("graphs.pkl", pickle.dumps([1, 2])),
        ("faces.npy", npy(np.ones((5, 10, 10)))),
        ("cube.npy", npy(np.zeros((2, 3, 4, 5)))),
    ]:
        body = json.dumps({"name": name, "base64": base64.b64encode(content).decode()}).encode()
        status, said = _open(kept, body)
        assert status == 422 and said["problem"].startswith(name)
        assert "ancestral-studio-" not in said["problem"]
    assert not kept.shelf.files and kept.shelf.rows is None  # what was there goes on
    body = json.dumps({"name": "letter.txt", "base64": base64.b64encode(b"dear").decode()})
    assert "The studio opens saved models, images" in _open(kept, body.encode())[1]["problem"]


def test_an_upload_keeps_its_users_name():
    kept = Rooms(Shelf())
    kept.close()
    table = base64.b64encode(b"size,price\n1,2\n2,3\n3,5\n4,4\n").decode()
    assert _open(kept, json.dumps({"name": "own.csv", "base64": table}).encode())[0] == 200
    assert "“size” of own.csv" in json.loads(kept.text("line"))["source"]


# ---- the command --------------------------------------------------------------------------------


def test_the_report_has_a_room_for_each_problem(tmp_path, models):
    from ancestral.cli.report import _rooms

    (tmp_path / "models").mkdir()
    for name, model in models.items():
        model.save(tmp_path / "models" / f"{name}.model")
    rooms = _rooms(None, tmp_path)
    assert set(rooms) == {"pixels", "faces", "classroom", "line"}
    assert all(f'id="room-{name}"' in page for name, page in rooms.items())
    assert '"name": "LSTM"' in rooms["pixels"]


def test_a_missing_extra_is_named(monkeypatch):
    import sys

    from ancestral.errors import MissingExtraError
    from ancestral.studio import server

    for package, call in (
        ("uvicorn", lambda: server.run(Shelf())),
        ("starlette.applications", lambda: server.make_app(Rooms(Shelf()), port=1)),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=r"ancestral\[studio\]"):
            call()
