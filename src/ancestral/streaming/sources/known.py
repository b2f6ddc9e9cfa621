"""What a fitted model knows of the columns of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Known:
    """The columns that a model takes, and what those of text files hold.

    Parameters
    ----------
    names : frozenset of str
        Others are kept as they are.
    kinds : dict of str to str
        "text" or "date", of those that are so to the model.
    """

    names: frozenset[str]
    kinds: dict[str, str]

    @classmethod
    def of(cls, model: Any) -> Known | None:
        """Return what a model knows; None where its columns have no names."""
        names = getattr(model, "feature_names_in_", None)
        if names is None:
            return None
        names = [str(name) for name in names]
        if (columns := getattr(model, "columns_", None)) is not None:
            kinds = {
                str(one["name"]): one["of"] for one in columns if one["of"] in ("text", "date")
            }
            return cls(frozenset(str(one["name"]) for one in columns), kinds)
        pairs = zip(names, getattr(model, "categories_", ()))
        texts = [name for name, levels in pairs if _are_text(levels)]
        return cls(frozenset(names), dict.fromkeys(texts, "text"))


def _are_text(levels: Any) -> bool:
    known = [level for level in levels.tolist() if level is not None]
    return bool(known) and all(isinstance(level, str) for level in known)
