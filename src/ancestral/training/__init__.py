"""Fits that take many steps: descent, and checkpoints."""
