"""The shared style: lazy, local, and readable."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import ancestral.viz as viz
from ancestral.errors import DataError, MissingExtraError
from ancestral.viz import _style


def test_matplotlib_is_loaded_by_the_first_call_and_pyplot_never():
    script = """
import sys
import ancestral.viz as viz
functions = [getattr(viz, name) for name in viz.__all__]
heavy = {"matplotlib", "networkx", "sklearn", "torch"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
viz.collage([[0, 1, 1, 0]])
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_is_a_documented_function_with_an_example():
    assert set(viz.__all__) == set(viz._HOMES)
    for name in viz.__all__:
        assert "Examples" in getattr(viz, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'pie'"):
        viz.pie


def test_matplotlibs_settings_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    viz.spectrum([2.0, 1.0], 1.0, 1)
    with pytest.raises(DataError):
        viz.spectrum([2.0, np.nan], 1.0, 1)
    assert dict(matplotlib.rcParams) == before


def test_a_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"ancestral\[report\]"):
        viz.collage([[0, 1, 1, 0]])


def test_a_notebook_shows_figures_and_axes_that_pyplot_does_not_show():
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    own = [viz.collage([[0, 1, 1, 0]]), viz.spectrum([2.0, 1.0], 1.0, 1)]
    own.append(viz.spectrum([2.0, 1.0], 1.0, 1, ax=Figure().subplots()))
    for drawn in own:
        picture, size = drawn._repr_png_()
        assert picture.startswith(b"\x89PNG\r\n")
        assert abs(int.from_bytes(picture[16:20]) - 2 * size["width"]) <= 2
    figure, ax = plt.subplots()
    assert not hasattr(viz.spectrum([2.0, 1.0], 1.0, 1, ax=ax), "_repr_png_")
    plt.close(figure)


def test_numbers_on_a_colour_are_readable():
    def luminance(colour):
        from matplotlib.colors import to_rgb

        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for colour in np.random.default_rng(0).random((300, 3)):
        a, b = sorted([luminance(colour), luminance(_style.contrasting(colour))])
        assert (b + 0.05) / (a + 0.05) > 3.0  # WCAG's bound for large text and graphics


def test_colour_maps_change_lightness_evenly():
    grey = np.array([0.2126, 0.7152, 0.0722])
    sequential = _style.sequential()(np.linspace(0, 1, 50))[:, :3] @ grey
    assert (np.diff(sequential) < 0).all()
    diverging = _style.diverging()(np.linspace(0, 1, 51))[:, :3] @ grey
    assert (np.diff(diverging[:26]) > 0).all() and (np.diff(diverging[25:]) < 0).all()
