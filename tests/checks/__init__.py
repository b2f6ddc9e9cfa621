"""Checks of what callers hand over."""
