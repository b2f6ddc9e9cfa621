"""Sums and products that keep their digits and their bits."""
