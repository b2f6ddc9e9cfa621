"""Positions from eigenvectors: where a fit of latent positions starts, and how it is turned.

    A - p 1 1^T  ~  p (1 - p) X X^T     to first order in X,   p the density of links

so the leading eigenpairs (lambda_k, u_k) of the adjacency less its density give
x_k = sqrt(lambda_k / (p (1 - p))) u_k: the adjacency spectral embedding (Sussman, Tang, Fishkind &
Priebe 2012, JASA 107) on the scale of logits. Positions are known up to a rotation; the one kept
makes X^T X diagonal with falling entries, and the largest entry of each column positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ancestral.graph import costs

Float = NDArray[np.float64]

TIED = 1e-6  # entries that differ by less, relatively, are equally large
LEAST = 1e-3  # of the largest eigenvalue: no dimension starts at zero, from where it cannot move


def spectral_embedding(adjacency: sparse.csr_array, share: float, n_components: int) -> Float:
    """Return the adjacency spectral embedding on the scale of logits, in the canonical rotation.

    Parameters
    ----------
    adjacency : scipy.sparse.csr_array of shape (n_nodes, n_nodes)
        Of one graph, or the mean over graphs, with an empty diagonal.
    share : float
        p, the share of pairs that are linked, between 0 and 1.
    n_components : int
        Below the number of nodes.

    Returns
    -------
    ndarray of shape (n_nodes, n_components)
    """
    n, p = adjacency.shape[0], share

    def centred(v: Float) -> Float:
        v = v.ravel()
        product: Float = adjacency @ v - p * (v.sum() - v)
        return product

    if n <= costs.EMBEDDED or n_components >= n // 2:
        dense = adjacency.toarray() - p * (1.0 - np.eye(n))
        values, vectors = linalg.eigh(dense)
    else:
        operator = LinearOperator((n, n), matvec=centred, dtype=np.float64)
        start = np.random.default_rng(0).normal(size=n)  # fixed: the fit has no chance in it
        try:
            values, vectors = eigsh(operator, n_components, which="LA", v0=start, tol=1e-6)
        except ArpackNoConvergence as stopped:  # a start need not be exact
            values, vectors = _filled(stopped.eigenvalues, stopped.eigenvectors, n_components, n)
    order = np.argsort(values)[::-1][:n_components]
    values, vectors = values[order], vectors[:, order]
    least = LEAST * max(float(np.abs(values).max()), p * (1 - p))
    return canonical(vectors * np.sqrt(np.maximum(values, least) / (p * (1 - p))))


def _filled(values: Float, vectors: Float, wanted: int, n: int) -> tuple[Float, Float]:
    """Return the eigenpairs that were found, and random directions in place of the others."""
    lacking = wanted - len(values)
    random = np.random.default_rng(0).normal(size=(n, lacking)) / np.sqrt(n)
    return np.append(values, np.zeros(lacking)), np.hstack([vectors, random])


def canonical(X: Float) -> Float:
    """Return positions turned so that X^T X is diagonal, falling, each largest entry positive."""
    U, size, _ = linalg.svd(X, full_matrices=False)
    turned: Float = U * size
    height = np.abs(turned)
    first = (height >= (1 - TIED) * height.max(axis=0)).argmax(axis=0)  # of those that tie
    largest = turned[first, np.arange(turned.shape[1])]
    return np.ascontiguousarray(turned * np.where(largest < 0, -1.0, 1.0))
