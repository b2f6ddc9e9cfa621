"""The one error family, and the one warning.

Every message names what was wrong, the value seen and the mend. All errors are `ValueError`s;
the few subclasses that callers elsewhere catch by another type are that type as well.
"""

from __future__ import annotations

from ancestral._printable import printable


class AncestralError(ValueError):
    """Base of every error this package raises on purpose.

    Names that a message takes from a file are shown with their control characters spelt out.
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
    """A model that cannot be fitted or asked this: unbounded likelihood, bad parameter."""


class UndeterminedError(ModelError):
    """What was seen leaves the model open or its likelihood unbounded; more rows may settle it."""


class SaveError(AncestralError):
    """A model could not be written or a saved model is not whole."""


class MissingExtraError(AncestralError, ImportError):
    """An optional package is absent; also an `ImportError`, naming the extra to install."""


class AncestralWarning(UserWarning):
    """The result is right, but something about the data deserves a look."""

    def __init__(self, *message: object) -> None:
        super().__init__(*map(printable, message))
