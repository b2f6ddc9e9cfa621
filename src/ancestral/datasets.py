"""Small built-in and simulated data, for examples without a download.

    icons       32 drawings of 5 x 5 binary pixels, each seen once: entropy ln 32, that is 5 bits
    faces       grey 24 x 24 photographs, (n, 576) in [0, 1]
    classrooms  x_i ~ U[-1, 1]^m,  e_ij ~ Bernoulli(sigmoid(a x_i . x_j + b)) for i < j
    diabetes    ten measurements of 442 patients and their disease progression
    line        one column of it (body mass index), for figures with one input

Images are rows of pixels in row-major order: the first `width` values are the top row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ancestral._checks.numbers import as_generator, check_integer, check_number
from ancestral._extras import import_extra
from ancestral.errors import AncestralError, DataError

if TYPE_CHECKING:
    from ancestral.graph.inner_product import Graph

__all__ = ["classrooms", "diabetes", "faces", "icons", "line"]

FACE_SIDE = 24

# One band is a line of names, then the five rows of pixels of those icons, side by side.
_ICON_ART = """
heart    up       right    down     left     plus     cross    ring
.#.#.    ..#..    ..#..    ..#..    ..#..    ..#..    ##.##    .###.
#####    .###.    ...#.    ..#..    .#...    ..#..    #####    ##.##
#####    #.#.#    #####    #.#.#    #####    #####    .###.    #...#
.###.    ..#..    ...#.    .###.    .#...    ..#..    #####    ##.##
..#..    ..#..    ..#..    ..#..    ..#..    ..#..    ##.##    .###.

umbrella smiley   house    tree     mug      goblet   key      anchor
.###.    .#.#.    ..#..    .###.    ###..    #####    .....    ..#..
#####    .#.#.    .###.    #####    #####    #####    ###..    .###.
..#..    .....    #####    #####    ###.#    .###.    #.###    ..#..
#.#..    #...#    ##.##    ..#..    #####    ..#..    ###.#    #.#.#
###..    .###.    ##.##    ..#..    ###..    .###.    .....    .###.

skull    star     note     boat     fish     cat      tick     bolt
.###.    ..#..    .####    ..#..    .....    #...#    ....#    ..##.
#.#.#    #####    .#..#    ..##.    .##.#    #####    ...##    .##..
#####    .###.    .#..#    ..#..    #.###    #.#.#    #.##.    ####.
.###.    .#.#.    ##.##    #####    #####    #####    ###..    ..#..
.#.#.    #...#    ##.##    .###.    .##.#    .###.    .#...    .#...

glass    crown    flag     sun      lock     rocket   truck    duck
#####    #.#.#    #####    #.#.#    .###.    ..#..    ###..    .##..
.###.    #.#.#    ####.    .###.    .#.#.    .###.    #####    ###..
..#..    #####    #####    #####    #####    .###.    #####    .##.#
.###.    #####    #....    .###.    #####    #####    .#.#.    .####
#####    #####    #....    #.#.#    #####    #.#.#    .....    .###.
"""


def icons() -> tuple[NDArray[np.uint8], list[str]]:
    """Return the hand-drawn icons and their names.

    Returns
    -------
    images : ndarray of shape (32, 25), uint8
        0 is paper, 1 is ink; 5 x 5 pixels, row by row. All images differ.
    names : list of str

    Notes
    -----
    Each icon occurs once. So their distribution is uniform, with entropy ln 32 = 3.4657 nats = 5
    bits.

    Examples
    --------
    >>> images, names = icons()
    >>> names[0], images[0].reshape(5, 5)[0].tolist()
    ('heart', [0, 1, 0, 1, 0])
    """
    images: list[NDArray[np.uint8]] = []
    names: list[str] = []
    for band in _ICON_ART.strip().split("\n\n"):
        titles, *rows = (text.split() for text in band.splitlines())
        ink = np.array([[list(cell) for cell in row] for row in rows]) == "#"  # (row, icon, column)
        images.extend(ink.transpose(1, 0, 2).reshape(len(titles), 25).astype(np.uint8))
        names.extend(titles)
    return np.array(images), names


def faces(*, source: str = "lfw") -> NDArray[np.float64]:
    """Return grey photographs of faces, 24 x 24 pixels each.

    Parameters
    ----------
    source : {"lfw", "olivetti"}
        "lfw": 100 faces that come with scikit-image (the extra `report`), without a download.
        "olivetti": 400 faces of 40 people, downloaded once by scikit-learn.

    Returns
    -------
    ndarray of shape (n, 576), float64
        Pixels row by row; 0 is black, 1 is white.

    Raises
    ------
    MissingExtraError
        When scikit-image is not installed.
    AncestralError
        When the download fails.

    Notes
    -----
    "lfw" is scikit-image's subset of Labeled Faces in the Wild, collected at the University of
    Massachusetts, Amherst, by Huang, Ramesh, Berg and Learned-Miller: press photographs found on
    news sites, cut to 25 x 25 by scikit-image; the last row and column are dropped here. (Its
    other 100 images show no faces and are left out.) "olivetti" was photographed at AT&T
    Laboratories Cambridge between 1992 and 1994, and is averaged here from 64 x 64 to 24 x 24.

    References
    ----------
    Huang, Ramesh, Berg & Learned-Miller (2007), Labeled Faces in the Wild, UMass Amherst TR 07-49.
    Samaria & Harter (1994), Parameterisation of a stochastic model for human face identification.

    Examples
    --------
    >>> faces().shape
    (100, 576)
    """
    if source == "lfw":
        images = _lfw_faces()
    elif source == "olivetti":
        images = _olivetti_faces()
    else:
        raise DataError(f'source must be "lfw" or "olivetti"; got {source!r}.')
    return np.clip(images.reshape(len(images), FACE_SIDE**2), 0.0, 1.0)


def _lfw_faces() -> NDArray[np.float64]:
    """The 100 faces of scikit-image's subset, (100, 24, 24)."""
    lfw_subset = import_extra("skimage.data", "the built-in set of faces", "report").lfw_subset
    return np.ascontiguousarray(lfw_subset()[:100, :FACE_SIDE, :FACE_SIDE], dtype=np.float64)


def _olivetti_faces() -> NDArray[np.float64]:
    """The 400 Olivetti faces averaged down to (400, 24, 24)."""
    from sklearn.datasets import fetch_olivetti_faces

    try:
        images = fetch_olivetti_faces().images.astype(np.float64)
    except (OSError, ValueError) as error:  # URLError is an OSError; a bad checksum is either
        raise AncestralError(
            f"the Olivetti faces could not be downloaded ({type(error).__name__}: {error}). "
            'Connect to a network once, or pass source="lfw", which needs none.'
        ) from error
    A = _area_average(images.shape[1], FACE_SIDE)
    return A @ images @ A.T


def _area_average(n_from: int, n_to: int) -> NDArray[np.float64]:
    """Rows of weights that average `n_from` pixels into `n_to` equal shares, (n_to, n_from)."""
    edges = np.arange(n_to + 1) * (n_from / n_to)
    cells = np.arange(n_from)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(overlap, 0.0, None) * (n_to / n_from)


def classrooms(
    n_graphs: int = 100,
    *,
    n_nodes: int = 15,
    n_features: int = 3,
    slope: float = 5.5,
    intercept: float = -5.4,
    random_state: Any = 0,
) -> list[Graph]:
    """Return simulated classrooms: pupils with features, and friendships between similar pupils.

    Parameters
    ----------
    n_graphs, n_nodes, n_features : int
    slope, intercept : float
        The true a and b of these data.
    random_state : None, int, RandomState or Generator
        By default 0, which gives the same classrooms each time.

    Returns
    -------
    list of Graph
        `features` (n_nodes, n_features) uniform on [-1, 1]; `adjacency` symmetric, zero diagonal.

    Notes
    -----
    p(e_ij = 1 | X) = 1 / (1 + exp(-(a x_i . x_j + b))), independently for i < j.

    Examples
    --------
    >>> graph = classrooms(1)[0]
    >>> graph.features.shape, graph.adjacency.shape
    ((15, 3), (15, 15))
    """
    from ancestral.graph.inner_product import Graph

    n_graphs = check_integer(n_graphs, "n_graphs")
    n_nodes = check_integer(n_nodes, "n_nodes", minimum=1)
    n_features = check_integer(n_features, "n_features", minimum=1)
    a, b = check_number(slope, "slope"), check_number(intercept, "intercept")
    rng = as_generator(random_state)
    graphs = []
    for _ in range(n_graphs):
        X = rng.uniform(-1.0, 1.0, size=(n_nodes, n_features))
        # a logistic draw below the logit is a Bernoulli(sigmoid(logit)): no exp to overflow
        linked = np.triu(rng.logistic(size=(n_nodes, n_nodes)) < a * (X @ X.T) + b, k=1)
        graphs.append(Graph(X, (linked | linked.T).astype(np.int8)))
    return graphs


def diabetes() -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return scikit-learn's diabetes data in its original units.

    Returns
    -------
    X : ndarray of shape (442, 10)
        age (years), sex (1 or 2), bmi (kg/m^2), bp (mean blood pressure), s1 to s6 (blood serum).
    y : ndarray of shape (442,)
        Disease progression one year later (a score from 25 to 346).
    names : list of str

    References
    ----------
    Efron, Hastie, Johnstone & Tibshirani (2004), Least angle regression, Annals of Statistics 32.

    Examples
    --------
    >>> X, y, names = diabetes()
    >>> X.shape, names[:3]
    ((442, 10), ['age', 'sex', 'bmi'])
    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    return data.data.astype(np.float64), data.target.astype(np.float64), list(data.feature_names)


def line() -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return one column of the diabetes data, the body mass index, for figures with one input.

    Returns
    -------
    X : ndarray of shape (442, 1)
        Body mass index, kg/m^2.
    y : ndarray of shape (442,)
        Disease progression one year later.
    names : list of str
        ["bmi"].

    Examples
    --------
    >>> X, y, names = line()
    >>> X.shape, names
    ((442, 1), ['bmi'])
    """
    X, y, names = diabetes()
    column = names.index("bmi")
    return X[:, [column]], y, ["bmi"]
