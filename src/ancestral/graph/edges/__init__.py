"""The edges of a graph: drawn exactly, and the loops along them."""
