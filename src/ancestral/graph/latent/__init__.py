"""Latent positions: model, likelihood, first guess, and when there is no maximum."""
