"""Optional packages: the extra that brings each, and one refusal that names all that are absent.

What a call wants is said as `"neural"`, every package of that extra, or `"report:matplotlib"`, one
package of it. A door (a command, a fit) asks for all that it will want by `need`, before it reads
or computes anything; the function that uses a package takes it by `import_extra`.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from ancestral.errors import MissingExtraError

# Each extra of the distribution, the packages that it brings as they are imported, and their names.
EXTRAS: dict[str, dict[str, str]] = {
    "neural": {"torch": "PyTorch"},
    "large": {"numba": "Numba"},
    "boost": {"lightgbm": "LightGBM"},
    "coding": {"constriction": "constriction"},
    "report": {
        "typst": "typst",
        "jinja2": "Jinja2",
        "matplotlib": "Matplotlib",
        "networkx": "NetworkX",
        "skimage": "scikit-image",
        "pandas": "pandas",
    },
    "tables": {"pyarrow": "pyarrow", "pandas": "pandas"},
    "images": {"PIL": "Pillow"},
    "graphs": {"networkx": "NetworkX", "defusedxml": "defusedxml", "igraph": "igraph"},
    "studio": {"starlette": "Starlette", "uvicorn": "uvicorn", "pandas": "pandas"},
    "dask": {"dask": "Dask", "distributed": "distributed"},
    "remote": {"fsspec": "fsspec"},
}


def need(what: str, *wants: str, otherwise: str = "") -> None:
    """Refuse a call some of whose packages are not installed: all of them, in one message.

    Parameters
    ----------
    what : str
        What needs them, at the start of a sentence.
    *wants : str
        `"extra"` or `"extra:package"`.
    otherwise : str
        What else mends it, at the end of the sentence.

    Raises
    ------
    MissingExtraError
        Naming every absent package once, and the one command that installs them all.
    """
    absent: dict[str, str] = {}
    extras: dict[str, None] = {}
    for want in wants:
        extra, _, package = want.partition(":")
        for name in [package] if package else EXTRAS[extra]:
            if find_spec(name) is None and name not in absent:
                absent[name] = EXTRAS[extra][name]
                extras[extra] = None
    if not absent:
        return
    *names, last = absent.values()
    listed = f"{', '.join(names)} and {last}" if names else last
    are, them = ("are", "them") if names else ("is", "it")
    raise MissingExtraError(
        f"{what} needs {listed}, which {are} not installed. "
        f'Install {them}: pip install "ancestral[{",".join(extras)}]"{otherwise}.'
    )


def import_extra(module: str, what: str, extra: str, *, otherwise: str = "") -> Any:
    """Return a module of an optional package, or say which extra brings it.

    Raises
    ------
    MissingExtraError
        Where the package is not installed, or is and cannot be loaded.
    """
    package = module.partition(".")[0]
    need(what, f"{extra}:{package}", otherwise=otherwise)
    try:
        return importlib.import_module(module)
    except ImportError as error:  # of another version, for one
        name = EXTRAS[extra][package]
        raise MissingExtraError(
            f"{what} needs {name}, which is installed and cannot be loaded ({error}). "
            f'Install it again: pip install --force-reinstall "ancestral[{extra}]"{otherwise}.'
        ) from error
