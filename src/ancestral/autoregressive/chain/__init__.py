"""A chain of classifiers: the race of families, and the mixture of prefixes."""

from ancestral._moved import names_of

__getattr__ = names_of("ancestral.autoregressive.chain.model", "ChainAutoregressive")
