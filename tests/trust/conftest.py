"""A running studio and a browser for the tests of trust, as for its own tests."""

from __future__ import annotations

from tests.studio.conftest import chromium, faces, models, studio, visit

__all__ = ["chromium", "faces", "models", "studio", "visit"]
