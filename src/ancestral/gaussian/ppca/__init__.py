"""Probabilistic PCA: closed form, missing values by EM, choice of width, and the mixture."""

from ancestral._moved import names_of

__getattr__ = names_of("ancestral.gaussian.ppca.model", "PPCA")
