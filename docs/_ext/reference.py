"""The pages of the reference, written from the package: one for each class and each module.

What a page shows is the docstrings; this file says where each stands. A method that several models
share is described once, on the page of the class that brings it, and every model's page links it.
The written pages stand beside `reference/index.md` and are no part of the repository.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes

import ancestral
from ancestral import _catalogue
from ancestral._methods import doc_of, methods_of, summary_of, tasks_of

FACES = {
    "discrete": "Rows of levels",
    "continuous": "Rows of real numbers",
    "mixed": "Tables of mixed columns",
    "conditional": "A target given inputs",
    "graphs": "Graphs",
}
MODULES = ("io", "datasets", "scores", "streaming", "viz", "errors")
# Public names that are imported from a module of their own, each with a page.
APART = {
    "calibrate": "graph.predictions",
    "Calibration": "graph.predictions",
    "held_out": "graph.predictions",
    "HeldOut": "graph.predictions",
    "check_fit": "graph.fit_checks",
    "FitCheck": "graph.fit_checks",
    "fit_graph_intercepts": "graph.inference",
    "GraphIntercepts": "graph.inference",
    "register": "base",
}
# Pages of the site that show what is described here; a model's chapter is found by its name.
GUIDES = {
    "io": ("start/files", "start/your_network"),
    "scores": ("start/choosing", "start/ties_with_gaps"),
    "streaming": ("start/larger_than_memory",),
    "viz": ("models/pictures",),
    "Graph": ("start/your_network",),
    "Tables": ("models/tabular_autoregressive",),
    "load": ("start/saving",),
    "register": ("internals/adding_a_model",),
    "calibrate": ("models/inner_product_graph",),
    "held_out": ("models/inner_product_graph",),
    "check_fit": ("start/ties_with_gaps",),
    "fit_graph_intercepts": ("models/inner_product_graph",),
}


# Fitted values that every model has.
COMMON = (
    "Every fitted model also has ``n_features_in_`` and, where the columns had names, "
    "``feature_names_in_``, as in scikit-learn; ``data_fingerprint_``, which tells what it was "
    "fitted to; and, fitted by the command line, ``target_name_``.",
)


@dataclass(frozen=True)
class Place:
    """Where a name is described: its page, and the name that it has there."""

    page: str
    target: str

    def link(self, text: str = "", *, kind: str = "obj") -> str:
        """Return a link of reStructuredText."""
        return f":py:{kind}:`{text or self.target} <{self.target}>`"


@dataclass
class Reference:
    """Every public name, and where it is described.

    Parameters
    ----------
    models : the models' classes, by name
    others : the other public classes and functions, by name, with the module that shows them
    shared : the classes that bring methods to several models, and these models
    """

    models: dict[str, type]
    others: dict[str, tuple[str, Any]]
    shared: dict[type, list[str]] = field(default_factory=dict)

    def place(self, name: str, method: str = "") -> Place:
        """Return where a public name, or a method of it, is described."""
        dot = f".{method}" if method else ""
        if name in self.models:
            owner = owner_of(self.models[name], method) if method else None
            if owner in self.shared:
                return Place(owner.__name__, f"{owner.__module__}.{owner.__name__}{dot}")
            return Place(name, f"ancestral.{name}{dot}")
        module, _ = self.others[name]
        short = module.partition(".")[2]
        return Place(short if short in MODULES else name, f"{module}.{name}{dot}")


def owner_of(cls: type, method: str) -> type:
    """Return the class that brings a method to another."""
    return next(kind for kind in cls.__mro__ if method in vars(kind))


def reference() -> Reference:
    """Return what the package has."""
    ours = [entry for entry in _catalogue.MODELS if entry.module.startswith("ancestral.")]
    models = {entry.name: entry.load() for entry in ours}
    others: dict[str, tuple[str, Any]] = {}
    for name in MODULES:
        module = importlib.import_module(f"ancestral.{name}")
        others |= {n: (module.__name__, getattr(module, n)) for n in module.__all__}
    for name, place in APART.items():
        module = importlib.import_module(f"ancestral.{place}")
        others[name] = (module.__name__, getattr(module, name))
    for name in ancestral.__all__:
        if name not in (*models, *MODULES, *others):
            others[name] = ("ancestral", getattr(ancestral, name))
    bringing: dict[type, dict[str, None]] = {}
    for name, cls in models.items():
        for method in methods_of(cls):
            bringing.setdefault(owner_of(cls, method), {})[name] = None
    shared = {owner: [*names] for owner, names in bringing.items() if len(names) > 1}
    return Reference(models, others, {k: v for k, v in shared.items() if k not in models.values()})


# ---- pages ---------------------------------------------------------------------------------------


def title(text: str, line: str = "=") -> list[str]:
    """Return a heading."""
    return [text, line * len(text), ""]


def table(rows: list[tuple[str, str]], widths: str = "25 75") -> list[str]:
    """Return a table of two columns without a head."""
    lines = [".. list-table::", f"   :widths: {widths}", "   :class: reference-table", ""]
    for left, right in rows:
        lines += [f"   * - {left}", f"     - {right}"]
    return [*lines, ""]


def in_words(text: str) -> str:
    """Return a docstring's line as reStructuredText: what stands in backticks is code."""
    return text.replace("`", "``").replace("*", r"\*").replace("|", r"\|").replace("_ ", r"\_ ")


def chapter_of(name: str) -> str:
    """Return the page of a model's chapter."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+|[A-Z]+", name)
    return f"models/{'_'.join(words).lower()}"


def see(pages: tuple[str, ...], what: str) -> Iterator[str]:
    """Yield a line that links pages of the site."""
    if pages:
        links = ", ".join(f":doc:`/{page}`" for page in pages)
        yield from [f"{what}: {links}.", ""]


def model_page(ref: Reference, name: str) -> Iterator[str]:
    """Yield the lines of a model's page."""
    cls = ref.models[name]
    methods = methods_of(cls)
    yield from title(name)
    yield from see((chapter_of(name),), "The chapter, with derivation, cost and examples")
    rows = [
        (task.capitalize(), ", ".join(ref.place(name, n).link(n, kind="meth") for n in names))
        for task, names in tasks_of({*methods})
    ]
    yield from table(rows)
    yield from [f".. autoclass:: ancestral.{name}", "", *COMMON, ""]
    yield from in_gallery(f"ancestral.{name}")
    yield from title("Methods", "-")
    for task, names in tasks_of({*methods}):
        yield from [f".. rubric:: {task.capitalize()}", ""]
        yield from table(
            [
                (ref.place(name, n).link(n, kind="meth"), in_words(summary_of(doc_of(cls, n))))
                for n in names
            ]
        )
    yield from from_scikit_learn(cls, {*methods})
    own = [n for n in methods if ref.place(name, n).page == name]
    if own:
        yield from title(f"Methods of {name} alone", "-")
        for n in own:
            yield from [f".. automethod:: ancestral.{name}.{n}", ""]


def in_gallery(*targets: str) -> Iterator[str]:
    """Yield the examples of the gallery that use one of these names, or nothing."""
    yield from [
        f".. minigallery:: {' '.join(targets)}",
        "   :add-heading: In the gallery",
        "   :heading-level: -",
        "",
    ]


def from_scikit_learn(cls: type, ours: set[str]) -> Iterator[str]:
    """Yield what scikit-learn gives to a model, folded away."""
    theirs = [
        n
        for n in dir(cls)
        if n not in ours and not n.startswith("_") and inspect.isroutine(getattr(cls, n, None))
    ]
    yield from [
        ".. dropdown:: From scikit-learn",
        "",
        "   scikit-learn gives these to all its estimators, and describes them: "
        + ", ".join(f"``{n}``" for n in theirs)
        + ". Those called ``set_…_request`` matter only with its metadata routing.",
        "",
    ]


def shared_page(ref: Reference, owner: type) -> Iterator[str]:
    """Yield the lines of the page of a class that brings methods to several models."""
    where = f"{owner.__module__}.{owner.__name__}"
    methods = [n for n in methods_of(owner) if owner_of(owner, n) is owner]
    yield from title(owner.__name__)
    links = ", ".join(ref.place(n).link(n, kind="class") for n in ref.shared[owner])
    yield from [f"Methods that these models share: {links}.", ""]
    yield from [f".. autoclass:: {where}", "   :no-undoc-members:", ""]
    yield from title("Methods", "-")
    for n in methods:
        yield from [f".. automethod:: {where}.{n}", ""]


def described(target: str, value: Any) -> Iterator[str]:
    """Yield the lines that describe a function, or a class and its methods."""
    if not inspect.isclass(value):
        yield from [f".. autofunction:: {target}", ""]
        return
    kind = "autoexception" if issubclass(value, Exception) else "autoclass"
    yield from [f".. {kind}:: {target}", ""]
    for n in methods_of(value):
        yield from [f"   .. automethod:: {target}.{n}", ""]


def module_page(ref: Reference, name: str) -> Iterator[str]:
    """Yield the lines of a module's page."""
    module = importlib.import_module(f"ancestral.{name}")
    yield from title(f"ancestral.{name}")
    yield from [f".. module:: {module.__name__}", "", summary_of(module.__doc__), ""]
    yield from see(GUIDES.get(name, ()), "Pages with examples")
    here = {n: value for n, (where, value) in ref.others.items() if where == module.__name__}
    yield from table(
        [(ref.place(n).link(n), in_words(summary_of(value.__doc__))) for n, value in here.items()]
    )
    yield from in_gallery(*(f"{module.__name__}.{n}" for n in here))
    for n, value in here.items():
        yield from title(n, "-")
        yield from described(f"{module.__name__}.{n}", value)


def plain_page(ref: Reference, name: str) -> Iterator[str]:
    """Yield the lines of the page of one class or function."""
    module, value = ref.others[name]
    yield from title(name)
    yield from see(GUIDES.get(name, ()), "Pages with examples")
    yield from described(f"{module}.{name}", value)
    yield from in_gallery(f"{module}.{name}")


def contents(ref: Reference) -> Iterator[str]:
    """Yield the lines of the page that leads to all others."""
    yield from title("Reference")
    yield from [
        "Every public name. Each description has shapes, units, what is raised, and an example "
        "that runs in the tests.",
        "",
    ]
    yield from title("By class", "-")
    faces: dict[str, list[tuple[str, str]]] = {}
    for entry in (e for e in _catalogue.MODELS if e.name in ref.models):
        about = in_words(summary_of(entry_doc(ref.models[entry.name])))
        row = (ref.place(entry.name).link(entry.name, kind="class"), about)
        faces.setdefault(entry.face, []).append(row)
    for face, rows in faces.items():
        yield from [f".. rubric:: {FACES.get(face, face)}", "", *table(rows)]
    plain = [n for n, (module, _) in ref.others.items() if module == "ancestral"]
    rows = [(ref.place(n).link(n), in_words(summary_of(ref.others[n][1].__doc__))) for n in plain]
    yield from [".. rubric:: Data, statistics and files", "", *table(rows)]
    rows = [(ref.place(n).link(n), in_words(summary_of(ref.others[n][1].__doc__))) for n in APART]
    yield from [".. rubric:: Checks of graph models, and classes of your own", "", *table(rows)]
    rows = [
        (
            f":doc:`ancestral.{n} <{n}>`",
            summary_of(importlib.import_module(f"ancestral.{n}").__doc__),
        )
        for n in MODULES
    ]
    yield from [".. rubric:: Modules", "", *table(rows)]
    yield from title("By task", "-")
    yield from by_task(ref)
    groups = {
        "Models": [*ref.models],
        "Data, statistics, files": plain,
        "Checks of graphs, own classes": [*APART],
        "Modules": [*MODULES],
        "Shared methods": [owner.__name__ for owner in ref.shared],
    }
    for caption, pages in groups.items():
        yield from [".. toctree::", "   :hidden:", "   :maxdepth: 1", f"   :caption: {caption}", ""]
        yield from [*(f"   {page}" for page in pages), ""]


def entry_doc(cls: type) -> str:
    """Return the docstring of a model."""
    return cls.__doc__ or ""


def by_task(ref: Reference) -> Iterator[str]:
    """Yield a table for each task: its methods, and the classes that describe them."""
    found: dict[str, dict[Place, None]] = {}
    for name, cls in ref.models.items():
        for method in methods_of(cls):
            found.setdefault(method, {})[ref.place(name, method)] = None
    beside = {
        "fit": ["fit_chunks", "fit_dask"],
        "score": ["compare", "leave_one_out", "bits_per_dimension", "held_out", "calibrate"],
        "say how sure the parameters are": ["check_fit", "fit_graph_intercepts"],
        "save": ["load", "register", "write_table", "write_array", "write_graphs"],
    }
    for task, methods in tasks_of({*found}):
        rows = [
            (f"``{n}``", ", ".join(place.link(place.page, kind="meth") for place in found[n]))
            for n in methods
        ]
        rows += [
            (f"``{n}``", ref.place(n).link(ref.others[n][0].replace("ancestral", "", 1) or n))
            for n in beside.get(task, [])
            if n in ref.others
        ]
        yield from [f".. rubric:: {task.capitalize()}", "", *table(rows)]


def pages() -> dict[str, str]:
    """Return the text of every page by its name."""
    ref = reference()
    found = {"index": contents(ref)}
    found |= {name: model_page(ref, name) for name in ref.models}
    found |= {owner.__name__: shared_page(ref, owner) for owner in ref.shared}
    found |= {name: module_page(ref, name) for name in MODULES}
    plain = [n for n, (module, _) in ref.others.items() if module == "ancestral"] + [*APART]
    found |= {name: plain_page(ref, name) for name in plain}
    return {name: "\n".join(lines) for name, lines in found.items()}


def write(app: Any) -> None:
    """Write the pages that changed, and remove those that are no more."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    texts = pages()
    for path in folder.glob("*.rst"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def without_index(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Leave out of a class's docstring the list of methods, which its page shows as tables."""
    if what == "class" and "Methods" in lines:
        start = lines.index("Methods")
        if lines[start + 1 : start + 2] == ["-------"]:
            end = next((i for i in range(start, len(lines)) if not lines[i]), len(lines))
            del lines[start : end + 1]


# ---- docstrings ----------------------------------------------------------------------------------

OF_ENTRIES = {"Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also"}
FITTED = re.compile(r"(?<![\w./])(\w*[a-z]_)(?!\w)")
ESCAPED = r"\_"
# Endings of files, such as `.npz`: as names they would lose their point.
DOTTED = re.compile(r"(?<![`\w])`(\.\w[^`\s]*)`(?!`)")


def as_written(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Show a docstring as a reader of the code sees it.

    Names of fitted values stand without marks, formulas are set off by their indent alone, and
    bars are absolute values: all three mean something else in reStructuredText.
    """
    section, above, done = "", "", list[str]()
    code = formula = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and below and set(below) == {"-"}:
            section = line
        indented, entries = line.startswith(" "), section in OF_ENTRIES
        code = bool(line) and (code or line.lstrip().startswith(">>>"))
        if line and not indented:
            formula = False
        elif indented and not (entries or code or formula or done[-1]):
            formula = True
            if not above.endswith("::"):
                done += ["::", ""]
        if entries and not indented and " : " in line:
            names, _, kind = line.partition(" : ")
            line = f"{names} : {re.sub(FITTED, lambda m: m[1][:-1] + ESCAPED, kind)}"
        is_prose = not (code or formula) and (indented or not entries)
        if is_prose and not re.search(r"\S {3,}\S", line):  # not the row of a table
            parts = line.split("`")
            for mark in ("|", "**"):
                parts[::2] = [part.replace(mark, "\\" + "\\".join(mark)) for part in parts[::2]]
            parts[::2] = [FITTED.sub(r"\ ``\1``\ ", part) for part in parts[::2]]
            line = DOTTED.sub(r"``\1``", "`".join(parts))
        done.append(line)
        above = line or above
    lines[:] = done


# ---- links ---------------------------------------------------------------------------------------


def names_of(ref: Reference) -> dict[str, Place]:
    """Return where everything is described that a page may name in code."""
    found = {name: ref.place(name) for name in (*ref.models, *ref.others)}
    for name, cls in ref.models.items():
        found |= {f"{name}.{method}": ref.place(name, method) for method in methods_of(cls)}
    for name, (module, _) in ref.others.items():
        if name in APART:
            found[f"{module}.{name}"] = ref.place(name)
        elif (short := module.partition(".")[2]) and name not in ancestral.__all__:
            found[f"{short}.{name}"] = found.pop(name)
    return found | {f"ancestral.{name}": place for name, place in found.items()}


def link_names(app: Any, doctree: nodes.document) -> None:
    """Make links of the public names that stand as code in sentences: `PPCA`, `viz.spectrum`.

    A name within a link leads where that leads, as do titles and terms.
    """
    here = app.env.docname.rpartition("/")[2]
    kept = (addnodes.pending_xref, nodes.reference, nodes.title, nodes.term)
    for literal in [*doctree.findall(nodes.literal)]:
        place = app.places.get(literal.astext().partition("(")[0])
        if place is None or place.page == here or _within(literal, kept):
            continue
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=place.target, refexplicit=True
        )
        link["refdoc"] = app.env.docname
        literal.replace_self(link)
        link += literal


def _within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    """Tell whether a node stands in one of some kinds, at any depth."""
    while (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before Sphinx reads any."""
    app.places = names_of(reference())
    app.connect("builder-inited", write)
    app.connect("doctree-read", link_names)
    app.connect("autodoc-process-docstring", without_index, priority=100)
    app.connect("autodoc-process-docstring", as_written, priority=200)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
