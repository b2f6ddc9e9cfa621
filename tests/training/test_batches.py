"""Rows of parts: gathered where they are few, else drawn by keys and given part by part."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from ancestral.training.batches import Draw, Feed, FirstLook, Sample, gathered
from ancestral.training.parts import Held, Part

X = np.arange(40).reshape(20, 2) * 7 - 100


def cut(*edges: int) -> Held[Part]:
    """The rows, cut at these edges."""
    pairs = zip((0, *edges), (*edges, len(X)))
    return Held([Part((X[a:b], X[a:b, 0] * 0.5), None, i, a) for i, (a, b) in enumerate(pairs)])


def n_rows(part: Part, trained: tuple[np.ndarray, ...]) -> int:
    return len(part.data[0])


@pytest.mark.parametrize("edges", [(), (3,), (1, 2, 3, 19)])
def test_few_rows_are_gathered_as_they_are(edges: tuple[int, ...]) -> None:
    whole = gathered(cut(*edges), 20 * (2 * 2 + 8))  # of two bytes, and eight for each target
    assert whole is not None and whole[0].dtype == np.int64
    np.testing.assert_array_equal(whole[0], X)
    np.testing.assert_array_equal(whole[1], X[:, 0] * 0.5)
    assert gathered(cut(*edges), 100) is None


def test_the_ends_of_integers_are_gathered_as_they_are() -> None:
    ends = np.array([[2**63 - 1, -(2**63)], [200, -1]])
    for rows in (ends, ends[1:], np.array([[True]]), np.array([["a", "b"]])):
        whole = gathered(Held([Part((rows,), None), Part((rows[:1],), None)]), 1000)
        assert whole is not None and whole[0].dtype == rows.dtype
        np.testing.assert_array_equal(whole[0], np.concatenate([rows, rows[:1]]))


def test_too_many_rows_are_made_fewer_where_they_can_be() -> None:
    def first(data: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(a[:1] for a in data)

    whole = gathered(cut(5, 10, 15), 130, first)
    assert whole is not None and (whole[0][0] == X[0]).all() and len(whole[0]) < len(X)
    assert gathered(cut(5, 10, 15), 130, lambda data: data) is None


def test_a_sample_is_the_same_however_its_rows_were_cut() -> None:
    keys = np.random.default_rng(0).random(20)
    whole = Sample.of(keys, (X,), 6)
    np.testing.assert_array_equal(whole.data[0], X[np.argsort(keys)[:6]])
    halves = Sample.of(keys[:9], (X[:9],), 6) + Sample.of(keys[9:], (X[9:],), 6)
    np.testing.assert_array_equal(halves.data[0], whole.data[0])
    assert len((Sample.of(keys[:0], (X[:0],), 6) + whole).keys) == 6


def test_rows_are_trained_on_or_held_out_and_the_same_at_each_look() -> None:
    look = pickle.loads(pickle.dumps(FirstLook(Draw(3, 0.3), n_rows)))
    parts = cut(4, 4, 11)  # one of no rows
    seen = parts.total(look)
    trained = np.concatenate([look.draw.trained(part)[0] for part in parts])
    assert (seen.numbers, seen.own) == ((0, 1, 2, 3), 20)
    assert seen.n_rows == len(trained) == len(seen.sample.keys) == 20 - len(seen.held_out.keys)
    both = np.concatenate([trained, seen.held_out.data[0]])
    np.testing.assert_array_equal(np.sort(both[:, 0]), X[:, 0])
    assert 0 < len(seen.held_out.keys) < 20
    np.testing.assert_array_equal(np.sort(seen.sample.data[0][:, 0]), np.sort(trained[:, 0]))


class OneWay(Held[Any]):
    """Parts that are passed over on the way to those after them."""

    at_random = property(lambda self: False)


@pytest.mark.parametrize("kind", [Held, OneWay])
def test_a_feed_gives_every_part_once_in_each_pass_and_goes_on_where_it_was(kind: Any) -> None:
    data = [(X[4 * i : 4 * i + 4],) for i in range(5)] + [(X[:0],)]

    def given(feed: Feed, left: list[int], rng: np.random.Generator, n: int) -> list[Any]:
        found = []
        for _ in range(n):
            part, left = feed.next(left, rng)
            found.append((int(part[0][0, 0] + 100) // 56, left, rng.bit_generator.state))
        return found

    rng = np.random.default_rng(0)
    whole = given(Feed(kind(data), range(6), 20), [], rng, 17)
    numbers = [number for number, *_ in whole]
    assert all(sorted(numbers[i : i + 5]) == [0, 1, 2, 3, 4] for i in (0, 5, 10))
    assert (numbers[:5] == numbers[5:10] == numbers[10:15]) == (kind is OneWay)
    for i in range(16):
        feed, rng = Feed(kind(data), range(6), 20), np.random.default_rng()
        _, left, rng.bit_generator.state = whole[i]
        np.testing.assert_array_equal(feed.resumed(left)[0], data[left[0]][0])
        again = given(feed, left, rng, 16 - i)
        assert [one[:2] for one in again] == [one[:2] for one in whole[i + 1 :]]
        feed, rng = (
            Feed(kind(data), range(6), 20),
            np.random.default_rng(),
        )  # saved after its last batch
        _, left, rng.bit_generator.state = whole[i]
        assert [n for n, *_ in given(feed, left, rng, 16 - i)] == numbers[i + 1 :]
