"""The line: least squares with refinement, and what can be said of its coefficients."""

from ancestral._moved import names_of

__getattr__ = names_of("ancestral.gaussian.linear.model", "LinearGaussian")
