"""What is open: what a file is taken for, each content once, where it shows or why it does not."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from unittest.mock import patch

import numpy as np
import pytest

import ancestral
from ancestral import datasets, model_file
from ancestral.errors import AncestralError, AncestralWarning, DataError, FormatError
from ancestral.studio.listing import Listing
from ancestral.studio.payload import to_json
from ancestral.studio.rooms import ROOMS
from ancestral.studio.shelf import UNREAD, Shelf
from tests.studio.conftest import shelf_of
from tests.zoo import ZOO

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, size=(6, 100))
GRAPHS = [(graph.features, graph.adjacency) for graph in datasets.classrooms(3)]
GRAPHML = b"""<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<graph edgedefault="undirected"><node id="a"/><node id="b"/><node id="c"/>
<edge source="a" target="b"/></graph></graphml>"""


def opened(folder, name, content):
    """Return what the shelf makes of a file."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    return Shelf().add(path, name)


@pytest.mark.parametrize(
    ("name", "content", "kind", "about"),
    [
        ("a.csv", b"age,sky\n1,rain\n,sun\n", "table", "2 rows × 2 columns"),
        ("a.tsv", b"age\tsky\n1\train\n", "table", "1 row × 2 columns"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0), "table", "1 row × 2 columns"),
        ("a.npy", RNG.normal(size=(12_000, 2)), "table", "12,000 rows × 2 columns"),
        ("line.npy", RNG.normal(size=7), "table", "7 rows × 1 column"),
        ("gaps.npy", np.array([[1, np.nan], [2, 3]]), "table", "2 rows × 2 columns"),
        ("one.npy", RNG.normal(size=(1, 100)), "table", "1 row × 100 columns"),
        ("small.npy", BITS[:, :25], "table", "6 rows × 25 columns"),
        ("cube.npy", RNG.random((2, 5, 4)), "images", "2 grey images of 5 × 4 pixels"),
        ("bits.npy", BITS.reshape(6, 10, 10), "images", "6 grey images of 10 × 10 pixels"),
        ("flat.npy", BITS, "images", "6 grey images of 10 × 10 pixels, taken for images since "
         "100 values a row make a square; saved as .csv they are a table"),
        ("own.pkl", pickle.dumps(GRAPHS), "graphs", "3 graphs of 15 nodes with 3 features each"),
        ("own_graphs.pkl", pickle.dumps(GRAPHS[:1]), "graphs",
         "1 graph of 15 nodes with 3 features each"),
        ("cpts.pkl", pickle.dumps([np.array([0.4, 0.6]), np.full((2, 2), 0.5)]), "tables",
         "conditional probability tables of 2 variables"),
        ("array.pkl", pickle.dumps(np.arange(6.0).reshape(3, 2)), "table", "3 rows × 2 columns"),
        ("bare.graphml", GRAPHML, "graphs", "1 graph of 3 nodes without features"),
        ("large.npz", {"features": RNG.random((2000, 2)), "adjacency": np.zeros((2000, 2000))},
         "graphs", "1 graph of 2,000 nodes with 2 features each"),
    ],
)  # fmt: skip
def test_each_file_is_taken_for_what_it_is(tmp_path, name, content, kind, about):
    item = opened(tmp_path, name, content)
    assert (item.name, item.kind, item.about) == (name, kind, about)
    assert not item.built_in


def test_text_stays_text_gaps_stay_and_rows_are_the_numbers(tmp_path):
    item = opened(tmp_path, "a.csv", b"age,sky,day,old\n1,rain,2024-01-31,true\n,,2024-02-01,\n")
    assert list(item.data.columns) == ["age", "sky", "day", "old"]
    assert item.data["sky"].tolist()[0] == "rain" and item.data["sky"].isna().tolist() == [0, 1]
    assert item.data["day"].dtype.kind == "M"
    assert item.columns == ["age", "old"]
    np.testing.assert_array_equal(item.rows, [[1, 1], [np.nan, np.nan]])
    assert not item.is_binary
    assert opened(tmp_path, "n.npy", np.eye(3)).columns == ["column 1", "column 2", "column 3"]


def test_binary_images_and_tables_say_so(tmp_path):
    assert opened(tmp_path, "flat.npy", BITS).is_binary
    assert opened(tmp_path, "small.npy", BITS[:, :5]).is_binary
    assert opened(tmp_path, "b.csv", b"a,b\n0,1\n1,1\n").is_binary
    assert not opened(tmp_path, "c.csv", b"a,b\n0,x\n1,y\n").is_binary  # not all of it is
    assert not opened(tmp_path, "grey.npy", BITS / 2).is_binary


def test_an_archive_of_several_arrays_is_as_many_tables(tmp_path):
    np.savez(tmp_path / "rows.npz", train=np.ones((4, 2)), test=np.zeros((3, 2)))
    shelf = Shelf.of([tmp_path / "rows.npz"])
    assert [item.name for item in shelf.items] == ["rows.npz, train", "rows.npz, test"]
    assert len({item.id for item in shelf.items}) == 2


def test_a_folder_of_pictures_is_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "mine"
    folder.mkdir()
    for k in range(3):
        image.fromarray(RNG.integers(0, 256, (6, 4), dtype=np.uint8)).save(folder / f"{k}.png")
    (item,) = Shelf.of([folder]).items
    assert (item.name, item.about) == ("mine", "3 grey images of 6 × 4 pixels")


def test_pictures_beside_other_files_are_images_and_a_wrong_one_is_named(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for k in range(3):
        image.fromarray(RNG.integers(0, 256, (6, 4), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    image.new("L", (9, 9)).save(tmp_path / "large.png")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "notes.txt").write_text("not for the studio")
    with pytest.warns(AncestralWarning, match=r"large\.png: is 9 x 9"):
        shelf = Shelf.of([tmp_path])
    about = {item.name: item.about for item in shelf.items}
    assert about == {
        "a.csv": "2 rows × 2 columns",
        tmp_path.name: "3 grey images of 6 × 4 pixels",
        "large.png": "cannot be read",
    }


# ---- each content once ---------------------------------------------------------------------------


def test_the_same_content_is_open_once_whatever_it_is_called(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n3,4\n")
    with pytest.warns(
        AncestralWarning, match=r"^b\.csv has the same content as a\.csv, which is open\.$"
    ):
        shelf = Shelf.of([tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "a.csv"])
    assert [item.name for item in shelf.items] == ["a.csv"]
    assert shelf.add_upload("c.csv", b"x,y\n1,2\n3,4\n") is shelf.items[0]
    other = shelf.add_upload("a.csv", b"x,y\n1,2\n3,5\n")
    assert other.name == "a.csv (2)" and other.id != shelf.items[0].id


def test_models_of_one_name_are_numbered(tmp_path):
    for folder, d in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        ancestral.PPCA(d).fit(RNG.normal(size=(20, 5))).save(tmp_path / folder / "m.model")
    shelf = Shelf.of([tmp_path / "one" / "m.model", tmp_path / "two" / "m.model"])
    assert [item.name for item in shelf.items] == ["m", "m (2)"]
    assert shelf.items[1].about == "PPCA, 5 columns, d = 2"
    assert shelf.models(ancestral.PPCA) == shelf.models() == shelf.items
    assert not shelf.models(ancestral.LatentTree)


def test_the_version_tells_what_is_open_apart():
    shelf = Shelf()
    versions = [shelf.version]
    item = shelf.add_upload("a.csv", b"x,y\n1,2\n")
    versions.append(shelf.version)
    shelf.add_upload("b.csv", b"x,y\n1,3\n")
    versions += [shelf.version, Shelf(built_in=False).version]
    assert len(set(versions)) == 4
    shelf.close(item.id)
    assert [left.name for left in shelf.items] == ["b.csv"] and shelf.version not in versions
    shelf.close("no such id")


def test_built_in_data_stand_in_for_kinds_of_which_nothing_is_open(faces):
    shelf = Shelf()
    assert [item.name for item in shelf.of_kind("table")] == ["diabetes"]
    own = shelf.add_upload("own.csv", b"x,y\n1,2\n3,4\n")
    assert shelf.of_kind("table") == shelf.of_kind("images", "table") == [own]
    assert [item.name for item in shelf.of_kind("images")] == ["faces"]
    assert [item.built_in for item in shelf.of_kind("graphs", "tables")] == [True]
    assert not Shelf(built_in=False).of_kind("images")
    kinds = ("images", "table", "tables", "graphs")
    assert len({Shelf().of_kind(kind)[0].id for kind in kinds}) == len(kinds)
    assert Shelf().of_kind("table")[0].data.shape == (442, 11)


# ---- what cannot be read -------------------------------------------------------------------------


def test_a_folder_opens_what_it_can_and_names_the_rest(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("x,y\n1,2\n3,5\n")
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n3\n")
    (tmp_path / "notes.txt").write_text("not for the studio")
    with pytest.warns(AncestralWarning, match=r"bad\.csv: line 3"):
        shelf = Shelf.of([tmp_path])
    assert [item.name for item in shelf.of_kind("table")] == ["a.csv", "b.csv"]
    said = {item["name"]: item for item in Listing(shelf).described()["items"]}
    assert [why["room"] for why in said["bad.csv"]["not_shown"]] == [None]
    assert said["bad.csv"]["not_shown"][0]["why"].startswith("bad.csv: line 3")
    assert next(item for item in shelf.items if item.name == "bad.csv").kind == UNREAD


def test_paths_that_are_nothing_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.model: no such file"):
        Shelf.of([tmp_path / "gone.model"])
    with pytest.raises(DataError, match="saved models"):
        Shelf.of([tmp_path])
    (tmp_path / "x.model").write_text("no")
    with pytest.raises(AncestralError, match=r"x\.model"):
        Shelf.of([tmp_path / "x.model"])
    with pytest.raises(AncestralError, match=r"x\.model"):
        Shelf.of([tmp_path])  # nothing else is left


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.csv", b"a,b\n1,x\n2,3\n", "is text, and the column holds numbers, too"),
        ("semicolons.csv", b"a;b\n1;2\n", "';'-separated"),
        ("ragged.csv", b"a,b\n1\n", "ragged"),
        ("a.npy", b"zzzz", "a.npy"),
        ("pic.model", b"\x89PNG", "not a model file"),
        ("tables.pkl", pickle.dumps(print), "would run"),
        ("graphs.pkl", pickle.dumps([1, 2]), "graphs.pkl"),
        ("empty.npy", b"", "file is empty"),
        ("letter.txt", b"dear", "The studio opens saved models, images"),
        ("paper.pdf", b"%PDF-1.7", "It looks like a PDF document. The studio opens"),
        ("../../up.csv", b"a\n", "up.csv"),
    ],
)
def test_uploads_that_are_wrong_are_named_as_the_user_knows_them(name, content, words):
    shelf = Shelf()
    with pytest.raises(AncestralError) as refused:
        shelf.add_upload(name, content)
    said = str(refused.value)
    assert said.startswith(name.rpartition("/")[2]) and words in said
    assert "ancestral-studio-" not in said and not re.search("pass |text=", said)
    assert not shelf.items


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4, 5)), np.full((5, 4, 4), np.nan)])
def test_arrays_that_are_neither_rows_nor_images_are_refused(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=r"x\.npy: (has shape|80 pixels)"):
        Shelf.of([tmp_path / "x.npy"])


def test_a_model_of_a_newer_version_is_refused_in_its_files_own_words(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(model_file, "FORMAT_VERSION", model_file.FORMAT_VERSION + 1)
        path = ancestral.PPCA(1).fit(RNG.normal(size=(9, 3))).save(tmp_path / "new.model")
    with pytest.raises(FormatError) as loading:
        ancestral.load(path)
    with pytest.raises(FormatError, match="Update ancestral") as opening:
        Shelf.of([path])
    assert str(opening.value) == str(loading.value)


def test_a_model_that_is_cut_short_is_said_to_be(tmp_path):
    path = ancestral.PPCA(1).fit(RNG.normal(size=(9, 30))).save(tmp_path / "half.model")
    whole = path.read_bytes()
    with pytest.raises(AncestralError, match=r"half\.model: ends early: it is cut short; copy it"):
        Shelf().add_upload("half.model", whole[:-9])


def test_a_folder_may_be_named_beside_what_it_holds(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    shelf = Shelf.of([tmp_path / "a.csv", tmp_path, tmp_path])
    assert [item.name for item in shelf.items] == ["a.csv"]


def test_a_long_name_keeps_its_ending():
    item = Shelf().add_upload(300 * "n" + " of 2024.csv", b"x,y\n1,2\n3,4\n")
    assert item.kind == "table" and len(item.name) == 200 and item.name.endswith(" of 2024.csv")


# ---- where it shows, or why not ------------------------------------------------------------------


def test_built_in_data_stand_in_where_a_room_shows_nothing_of_the_users():
    """In every room alike; the file is not said to show, and its reasons are told."""
    shelf = Shelf()
    shelf.add_upload("one row.csv", b"a,b\n1,2\n")
    described = Listing(shelf).described()
    for name, room in described["rooms"].items():
        assert room["subjects"] and all(one["built_in"] for one in room["subjects"]), name
    assert not described["items"][0]["shown"]


def test_an_empty_room_says_why_first():
    shelf = Shelf(built_in=False)
    shelf.add_upload("one row.csv", b"a,b\n1,2\n")
    for name in ("line", "compare"):
        wants = Listing(shelf).described()["rooms"][name]["wants"]
        assert wants.startswith("one row.csv is not shown here. ") and " 1" in wants
        assert wants.endswith(ROOMS[name].wants)


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.name)
def test_no_model_is_open_in_silence(entry):
    """Every model shows in a room, or a sentence says why it does not."""
    described = Listing(shelf_of({"mine": entry.fit()}, built_in=False)).described()
    (item,) = described["items"]
    assert item["shown"] or item["not_shown"]
    for said in item["not_shown"]:
        assert re.fullmatch(r"[A-Z“0-9].*[.:]", said["why"], re.S), said["why"]
    json.dumps(described)


def test_what_no_room_is_for_is_said_in_the_catalogues_words():
    with patch.dict(ROOMS, clear=True):
        shelf = shelf_of({"mine": ancestral.PPCA(1).fit(RNG.normal(size=(9, 3)))})
        shelf.add_upload("own.csv", b"x,y\n1,2\n")
        model, table = Listing(shelf).described()["items"]
    assert "probabilistic principal component analysis" in model["not_shown"][0]["why"]
    assert "1 row × 2 columns" in table["not_shown"][0]["why"]


ODD = {
    "constant.csv": b"a,b\n" + 6 * b"1,2\n",
    "empty column.csv": b"a,b,c\n" + b"".join(b",%d,%d\n" % (k, k * k % 5) for k in range(50)),
    "words.csv": b"a,b\nx,y\nz,w\n",
    "far.csv": b"a,b\n1e300,2\n-1e300,5\n3,4\n5,5\n6,7\n8,9\n",
    "days.csv": b"day,b\n" + b"".join(b"2024-01-%02d,%d\n" % (k, k % 7) for k in range(1, 29)),
    "booleans.csv": b"a,b\n" + 20 * b"true,false\nfalse,true\ntrue,true\n",
    "markup.csv": b"<b>,&amp;\n" + 20 * b"<img>,1\n</script>,2\n<!--,4\n",
    "ids.csv": b"id,v\n" + b"".join(b"name %d,%d\n" % (k, k) for k in range(60)),
    "names.csv": b"id,v\n" + b"".join(b"name %d,word %d\n" % (k, k) for k in range(60)),
    "equal.npy": np.tile(RNG.random((1, 8, 8)), (20, 1, 1)),
    "two.npy": RNG.random((2, 8, 8)),
    "constant.npy": np.ones((6, 10, 10)),
    "one image.npy": RNG.random((1, 8, 8)),
    "one pixel.npy": RNG.random((9, 1, 1)),
    "wide.npy": RNG.random((3, 600)),
    "wide bits.npy": RNG.integers(0, 2, (20, 1300)),
    "beyond.npy": 1e200 * RNG.random((12, 10, 10)),
    "zeros.npy": np.zeros((5, 5)),
    "bare.graphml": GRAPHML,
}


@pytest.mark.filterwarnings("ignore")  # what a model leaves out, its room says
@pytest.mark.parametrize("name", ODD)
def test_odd_data_show_or_are_refused_in_words(tmp_path, name):
    """Never in silence, and never by an error that is not ours."""
    shelf = Shelf([opened(tmp_path, name, ODD[name])], built_in=False)
    listing = Listing(shelf)
    for room, subjects in listing.subjects.items():
        for of in subjects:
            to_json(listing.made(room, of))
    assert not listing.failed or name == "beyond.npy"  # known beforehand, but where sums overflow
    (item,) = listing.described()["items"]
    assert item["shown"] or item["not_shown"]
    assert {said["room"] for said in item["not_shown"]}.isdisjoint(
        {at["room"] for at in item["shown"]}
    )
