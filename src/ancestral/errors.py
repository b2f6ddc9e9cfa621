"""The errors and the warning of this package.

Every message names what was wrong, the value seen and the mend. All errors are `ValueError`s;
the few subclasses that callers elsewhere catch by another type are that type as well. Names from
files are made safe to print here, since a name in a file must not steer a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = [
    "AncestralError",
    "AncestralWarning",
    "DataError",
    "DataTypeError",
    "FormatError",
    "MissingExtraError",
    "ModelError",
    "SaveError",
    "UndeterminedError",
    "UnknownKeywordError",
    "UnknownNameError",
]

# What terminals obey and no eye sees: control characters (but tab and newline), marks of direction,
# separators of lines and paragraphs, tags, and halves of surrogate pairs, which cannot be encoded.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: object) -> str:
    r"""Return text in which what a terminal would obey is spelt out.

    Examples
    --------
    >>> print(printable("age\x1b[2J"))
    age\x1b[2J
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], str(text))


def printable_json(text: str) -> str:
    """Return JSON in which such characters are written as JSON escapes them."""
    return _UNSEEN.sub(lambda found: "".join(_units(found[0])), text)


def _units(character: str) -> list[str]:
    r"""Return \uXXXX for each UTF-16 unit of a character."""
    units = character.encode("utf-16-be", "surrogatepass")
    return [f"\\u{units[k : k + 2].hex()}" for k in range(0, len(units), 2)]


class AncestralError(ValueError):
    """Base of every error this package raises on purpose.

    Control characters in names from a file are shown as escape sequences.

    Examples
    --------
    >>> import ancestral
    >>> try:
    ...     ancestral.PPCA(9).fit([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
    ... except ancestral.AncestralError as error:
    ...     print(type(error).__name__)
    ModelError
    """

    def __init__(self, *message: object) -> None:
        super().__init__(*map(printable, message))


class FormatError(AncestralError):
    """A file is not what it should be: truncated, of another kind, unsafe or damaged."""


class DataError(AncestralError):
    """Values that the model cannot take: NaN, infinity, wrong shape, unknown level."""


class DataTypeError(DataError, TypeError):
    """Data of a type that cannot be read as numbers; also a `TypeError`."""


class ModelError(AncestralError):
    """A fit or a question that is not possible: an unbounded likelihood, or a wrong parameter."""


class UndeterminedError(ModelError):
    """The rows so far do not determine the model, or leave its likelihood unbounded."""


class UnknownNameError(ModelError, AttributeError):
    """A model was asked for an attribute that it does not have; also an `AttributeError`.

    The message is computed only when it is read, because most callers never read it.
    """

    def __init__(self, say: Callable[[], str]) -> None:
        super().__init__()
        self._say = say

    def __str__(self) -> str:
        return printable(self._say())


class UnknownKeywordError(ModelError, TypeError):
    """A model or method was given a keyword that it does not take; also a `TypeError`."""


class SaveError(AncestralError):
    """A model could not be saved, or a saved model is not complete."""


class MissingExtraError(AncestralError, ImportError):
    """An optional package is not installed; also an `ImportError`, naming the extra to install."""


class AncestralWarning(UserWarning):
    """The result is correct, but the data have a property that you should check.

    Examples
    --------
    >>> import warnings
    >>> import ancestral
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ancestral.AncestralWarning)  # warnings are then errors
    """

    def __init__(self, *message: object) -> None:
        super().__init__(*map(printable, message))
