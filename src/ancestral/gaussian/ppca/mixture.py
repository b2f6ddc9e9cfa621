"""A mixture of probabilistic principal component analysers.

    c ~ Categorical(pi),   z ~ N(0, I_q),   x | z, c ~ N(W_c z + mu_c, sigma_c^2 I_d)

so that p(x) = sum_c pi_c N(x; mu_c, W_c W_c^T + sigma_c^2 I): flat pieces laid along a curved
cloud, or one for each kind of row. Fitted by expectation-maximisation (Tipping & Bishop 1999): with
the responsibilities r_nc = p(c | x_n),

    pi_c = mean of r_nc,   mu_c, W_c, sigma_c^2 = PPCA's closed form from rows weighted by r_nc,

z being integrated out in both steps, which makes each step as large as it can be. The loop is that
of `training.passes`: moments of rows weighted by r_nc are summed, and solved. The likelihood never
falls. It has several maxima, so that several starts (k-means) are climbed from and the highest
kept; and it has no bound where one component closes in on too few rows, which is refused.
Of many rows a sample decides where to start: its highest maximum is where all rows climb from.
Of rows with missing values the known entries count, and their expected moments (`missing_mixture`).
With standardize=True all this is said of x / s, s the columns' standard deviations.
Symbols: pi weights_, mu_c means_, W_c loadings_, sigma_c^2 noise_variances_, falling in weight;
s scale_.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral._checks.columns import check_table
from ancestral._checks.numbers import (
    FEWER_ROWS,
    as_generator,
    as_numbers,
    check_integer,
    check_number,
    log_sum_exp,
    refuse_non_finite,
    warn,
    within_memory,
)
from ancestral._numerics.threads import LEAST_NUMBERS, one_thread
from ancestral.base import FromParts
from ancestral.errors import DataError, ModelError
from ancestral.gaussian.ppca import degenerate, missing_patterns, projections
from ancestral.gaussian.ppca.imputation import GaussianConditions
from ancestral.gaussian.ppca.latents import factors_of, frame_of
from ancestral.gaussian.ppca.missing_patterns import Factors
from ancestral.gaussian.ppca.mixture_sums import Collapsed, Making, Part, Rows, Shares
from ancestral.gaussian.ppca.projections import Frame
from ancestral.gaussian.ppca.sampled import Known, Sampling, columns_of
from ancestral.gaussian.ppca.selection import checked_n_components
from ancestral.statistics import distinct_rows
from ancestral.training.parts import Held, Parts
from ancestral.training.passes import Fit, FromPasses, Passes, passes_of

LEAST_ROWS, ROWS_EACH = 5_000, 100  # of a sample: in all, and for each latent of each model
ROUGH = 1e-4  # nats per row that may be left to gain on a sample, before all rows go on
TRIED = 2  # partitions for each start that is asked for
TRIAL = 10  # steps from every partition, after which the best half of the starts asked for go on
LEAST_STARTS = 5  # that go on, where there are so many
APART = 10.0  # largest over smallest spread of a column, from which k-means sees only the largest


class PPCAMixture(FromPasses, GaussianConditions, FromParts):
    """A mixture of PPCA models, by maximum likelihood: each row comes from one of the models.

    Parameters
    ----------
    n_models : int
        The number of PPCA models.
    n_components : int
        Latent dimensions of each model, from 0 to n_features - 1.
    n_starts : int
        The number of starts. EM runs for some steps from 2 * n_starts partitions by k-means. It
        goes on from the best n_starts / 2 of them, and the highest maximum is kept. If the columns
        have very different scales, as many partitions of scaled columns are added. If there are
        more than 5,000 rows, and more than 100 for each latent of each model, the starts use a
        sample of this many rows; all rows are then fitted from the highest maximum of the sample.
    standardize : bool
        Divide each column by its standard deviation, which is kept as `scale_`. Use this if columns
        have different units. Otherwise the columns with the largest spread decide what counts as
        noise.
    tol : float
        EM stops when the gain that is still to come, estimated from its last steps, is less than
        this, in nats per row.
    max_iter : int
        The most EM steps from each start. A warning tells if they did not suffice.
    random_state : None, int, RandomState or Generator
        Draws the starts.
    verbose : bool
        Show each pass over the data on stderr, with the log-likelihood in nats per row.

    Attributes
    ----------
    weights_ : ndarray of shape (n_models,)
        The probability of each model, in falling order.
    means_ : ndarray of shape (n_models, n_features)
        Means of the models, in the units of X, also with standardize=True.
    loadings_ : ndarray of shape (n_models, n_features, n_components)
        Loadings W_c of each model, in the units of X, with rotation and signs as for `PPCA`.
    noise_variances_ : ndarray of shape (n_models,)
        Noise variance of each model, in squared units of X. With standardize=True it is that of X /
        scale_: the noise of column j has the standard deviation scale_[j] * noise_variances_[c] **
        0.5.
    scale_ : ndarray of shape (n_features,)
        Only with standardize=True: the columns' standard deviations, 1 for a constant column.
    log_likelihood_ : float
        Log-likelihood of the training data, in nats.
    history_ : list of dict
        "log_likelihood" and "increase" of each step, in nats. The increase is never negative,
        except by rounding.
    n_iter_ : int
    n_parameters_ : int
        n_models - 1 weights, the parameters of each PPCA, and n_features with standardize=True.

    Notes
    -----
    NaN always means missing. A row without known entries does not count. `sample_weight` is how
    often a row counts. A step costs n_models times a PPCA fit. With missing values it also costs
    n_models times d q^2 and d^2 q for each set of known columns, with d = n_features and q =
    n_components. `predict` returns the model with the largest responsibility, and `predict_proba`
    returns all responsibilities.

    References
    ----------
    Tipping & Bishop (1999), Mixtures of probabilistic principal component analyzers, Neural
    Computation 11, section 3 and appendix C.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> lines = rng.normal(size=(2, 200, 1)) * [[[1.0, 1.0]], [[1.0, -1.0]]]
    >>> X = np.concatenate(lines) + 0.1 * rng.normal(size=(400, 2))
    >>> PPCAMixture(2, 1, random_state=0).fit(X).weights_.round(1)
    array([0.5, 0.5])
    """

    _fields: tuple[str, ...] = (
        "weights_", "means_", "loadings_", "noise_variances_", "scale_", "history_",
        "log_likelihood_", "n_iter_",
    )  # fmt: skip

    weights_: NDArray[np.float64]
    means_: NDArray[np.float64]
    loadings_: NDArray[np.float64]
    noise_variances_: NDArray[np.float64]
    scale_: NDArray[np.float64]  # absent unless standardised
    _gappy: bool = False  # whether the rows of the fit had gaps

    def __init__(
        self,
        n_models: int = 2,
        n_components: int = 1,
        *,
        n_starts: int = 20,
        standardize: bool = False,
        tol: float = 1e-7,
        max_iter: int = 2000,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_models = n_models
        self.n_components = n_components
        self.n_starts = n_starts
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    # ---- fit --------------------------------------------------------------------------------

    def _fit(self, *data: Any, **kept: Any) -> None:
        self._fit_parts(Held.whole(self, data), **kept)

    def _fit_parts(self, parts: Parts[Any], **kept: Any) -> None:
        n_models = check_integer(self.n_models, "n_models", minimum=1)
        q = check_integer(self.n_components, "n_components")
        known = parts.prepared(Known.of)
        columns = known.total(columns_of)
        names = vars(self).get("feature_names_in_")
        if not columns.n_rows:
            columns.refuse_what_cannot_be_fitted(names)
        n, least = columns.n_rows, n_models * (q + 2)
        checked_n_components(q, n, columns.n_features)
        check_number(self.tol, "tol", minimum=0.0)
        max_iter = check_integer(self.max_iter, "max_iter", minimum=1)
        n_starts = check_integer(self.n_starts, "n_starts", minimum=1)
        if n < least:
            raise ModelError(
                f"{n_models} models of {q} components need at least {least} rows; got {n}. "
                "Pass fewer models or components."
            )
        columns.refuse_what_cannot_be_fitted(names)
        self._gappy = columns.n_missing > 0
        scale, units = np.where(columns.spread > 0, columns.spread, 1.0), None
        if self.standardize:
            self.scale_ = units = scale
            scale = np.ones_like(units)
        else:
            degenerate.warn_of_scales(columns.spread, getattr(self, "feature_names_in_", None))
        make = Making(columns.mean, units)
        size = max(LEAST_ROWS, ROWS_EACH * n_models * (q + 2))
        some = make(known.total(Sampling(size)).known)
        sample = Held([some])
        rows = sample if n == len(some.values) else known.prepared(make)
        rng = as_generator(self.random_state)
        small = n * columns.n_features < LEAST_NUMBERS
        few = one_thread() if small else nullcontext()  # once, not at each step
        with passes_of(self, parts, rng=rng, **kept) as run, few:
            starts = _starts(some, scale, n_models, n_starts, rng)
            best = self._highest(run, rows, sample, starts)
            if best is None and not self._gappy and len(distinct_rows(some.values)[0]) < least:
                alike = np.full((len(some.values), n_models), 1 / n_models)
                best = self._climb(run, rows, Shares.of(some, alike, -np.inf))
                if best is not None:
                    warn(
                        f"too few different rows for {n_models} models of {q} components: a model "
                        "would have no noise, so all models are the same. Pass n_models=1."
                    )
        if best is None:
            raise ModelError(
                f"from each of {sum(map(len, starts))} starts, a model fitted a few rows without "
                "noise, and its likelihood has no bound. Pass fewer models or components, "
                "or more rows."
            )
        best.warn_if_cut_short(max_iter)
        self._set(best, 0.0 if units is None else float(columns.count @ np.log(units)))

    def _highest(
        self, run: Passes, rows: Parts[Rows], sample: Held[Rows], starts: list[list[NDArray]]
    ) -> Fit | None:
        """Return the highest maximum from all starts; None where a model collapses from each.

        Where a sample is not all rows, these are climbed with from the highest of the sample.
        """
        tol = self.tol if rows is sample else max(self.tol, ROUGH)
        found = [fit for kind in starts for fit in self._maxima(run, sample, kind, tol)]
        found.sort(key=lambda fit: -fit.history[-1])
        if rows is not sample:
            climbs = (self._climb(run, rows, Fit(fit.parameters)) for fit in found)
            return next((fit for fit in climbs if fit is not None), None)
        return found[0] if found else None

    def _maxima(
        self, run: Passes, sample: Held[Rows], starts: list[NDArray], tol: float
    ) -> list[Fit]:
        """Return the maxima from starts of a kind, but for those from which a model collapses.

        Every start is tried for some passes; the best go on, and the others where these collapse.
        """
        shares, tried, maxima = np.eye(self.n_models), list[Fit](), list[Fit]()
        for start in starts:
            begun = Shares.of(sample.parts[0], shares[start], -np.inf)
            fit = self._climb(run, sample, begun, tol, min(TRIAL, self.max_iter))
            tried += [] if fit is None else [fit]
        tried.sort(key=lambda fit: -fit.history[-1])
        for i, fit in enumerate(tried):
            if maxima and i >= max(LEAST_STARTS, len(starts) // (2 * TRIED)):
                break
            higher = fit if fit.converged else self._climb(run, sample, fit, tol)
            maxima += [] if higher is None else [higher]
        return maxima

    def _climb(
        self,
        run: Passes,
        parts: Parts[Rows],
        start: Fit | Shares,
        tol: float | None = None,
        max_iter: int | None = None,
    ) -> Fit | None:
        """Return where EM comes to, from sums by shares or a fit; None if a model collapses."""
        try:
            if not isinstance(start, Fit):
                start = Fit(self._begin(start))
            found = run.climb(
                self,
                parts,
                start,
                tol=self.tol if tol is None else tol,
                max_iter=self.max_iter if max_iter is None else max_iter,
            )
            return replace(found, statistics=None)  # of many starts they would take much room
        except Collapsed:
            return None

    def _begin(self, summary: Shares) -> tuple[Part, ...]:
        return self._update((), summary)

    def _statistics(self, X: Rows, parameters: tuple[Part, ...]) -> Shares:
        return Shares.under(X, parameters)

    def _update(self, parameters: tuple[Part, ...], statistics: Shares) -> tuple[Part, ...]:
        n, q = statistics.n_observations, self.n_components
        return tuple(Part.of(moments, n, q) for moments in statistics.moments)

    def _to_gain(self, parameters: tuple[Part, ...], history: list[float]) -> float:
        """One model of complete rows is at its maximum at once."""
        at_once = len(parameters) == 1 and not self._gappy
        return 0.0 if at_once else super()._to_gain(parameters, history)

    def _set(self, found: Fit, shift: float) -> None:
        """Set the fitted attributes in the units of X, which take `shift` from log likelihoods."""
        parts = sorted(found.parameters, key=lambda part: -part.weight)
        scale = 1.0 if self._scale is None else self._scale
        self.weights_ = np.array([part.weight for part in parts])
        self.means_ = np.array([part.frame.mean for part in parts]) * scale
        self.loadings_ = np.array([part.frame.loadings.T * scale for part in parts]).swapaxes(1, 2)
        self.loadings_ = np.ascontiguousarray(self.loadings_)
        self.noise_variances_ = np.array([part.frame.noise for part in parts])
        self.history_ = [
            {"log_likelihood": value - shift, "increase": value - before}
            for before, value in pairwise([np.nan, *found.history])
        ]
        self.log_likelihood_, self.n_iter_ = found.history[-1] - shift, len(found.history)

    @property
    def _scale(self) -> NDArray[np.float64] | None:
        """The scale of the columns, None where they have none of their own."""
        return vars(self).get("scale_")

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Free parameters: each W counts up to rotation, the weights sum to one."""
        k, d, q = self.loadings_.shape
        scales = 0 if self._scale is None else d
        return k - 1 + k * (d + d * q - q * (q - 1) // 2 + 1) + scales

    # ---- density ----------------------------------------------------------------------------

    def _joint(self, X: NDArray) -> NDArray[np.float64]:
        """Return log p(c, known entries of x) of each row and model, shape (n, n_models)."""
        whole = ~np.isnan(X).any(axis=1)
        rows, others = (X, X[:0]) if whole.all() else (X[whole], X[~whole])
        joint = np.empty((len(X), len(self.weights_)))
        values = self.means_, self.loadings_, self.noise_variances_, self._scale
        for c, (factors, frame) in enumerate(self._made_of(values, _parts_of)):
            if len(rows):
                joint[whole, c] = projections.log_density(rows, frame)
            if len(others):
                joint[~whole, c] = missing_patterns.log_density(others, factors)
        return joint + np.log(self.weights_)

    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        return log_sum_exp(self._joint(X))

    @within_memory(FEWER_ROWS)
    def responsibilities(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return p(c | x) of each row: the probability that it came from model c.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples, n_models)
            Rows sum to one.

        Raises
        ------
        DataError
            For a row so far from all models that every density is 0 in float64.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> X = np.concatenate([rng.normal(m, 1, size=(50, 3)) for m in (-5, 5)])
        >>> model = PPCAMixture(2, 1, random_state=0).fit(X)
        >>> bool((model.responsibilities(X).max(axis=1) > 0.99).all())
        True
        """
        self._check_fitted()
        return self._responsibilities(self._check_rows(X, reset=False))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return `responsibilities(X)`: scikit-learn's name for it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples, n_models)

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> X = np.concatenate([rng.normal(m, 1, size=(50, 3)) for m in (-5, 5)])
        >>> PPCAMixture(2, 1, random_state=0).fit(X).predict_proba(X).shape
        (100, 2)
        """
        return self.responsibilities(X)

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the model that each row most probably came from.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            The number of the model, in the order of `weights_`: 0 has the largest weight.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> X = np.concatenate([rng.normal(m, 1, size=(50, 3)) for m in (-5, 5)])
        >>> parts = PPCAMixture(2, 1, random_state=0).fit(X).predict(X)
        >>> len(set(parts[:50])), len(set(parts[50:]))
        (1, 1)
        """
        return self.responsibilities(X).argmax(axis=1)

    def _responsibilities(self, X: NDArray) -> NDArray[np.float64]:
        joint = self._joint(X)
        log_p = log_sum_exp(joint)
        lost = np.flatnonzero(np.isneginf(log_p))
        if len(lost):
            raise DataError(
                f"row {lost[0]} is so far from every model that all its densities are 0 in "
                "float64. Check that its units are those of the fit."
            )
        return np.exp(joint - log_p[:, None])

    @property
    def _factors(self) -> list[Factors]:
        values = self.means_, self.loadings_, self.noise_variances_, self._scale
        return [factors for factors, _ in self._made_of(values, _parts_of)]

    # ---- sampling ---------------------------------------------------------------------------

    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw c, then z, then the values: as if given a row of which nothing is known."""
        values = self.means_, self.loadings_, self.noise_variances_, self._scale
        joint = np.log(self.weights_)
        counts = rng.multinomial(n_samples, np.exp(joint - log_sum_exp(joint)))
        row = np.full((1, self.n_features_in_), np.nan)
        drawn = [
            missing_patterns.draw_given(prior, row, count, factors, rng)[:, 0]
            for count, factors, prior in zip(counts, self._factors, self._made_of(values, _priors))
        ]
        return rng.permutation(np.concatenate(drawn))

    def _draw_given(
        self, n_samples: int, given: NDArray, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw c given the known values, then z given both, then the unknown values."""
        row = as_numbers(given, name="given").astype(np.float64)[None]
        refuse_non_finite(row[0], name="given", missing=True)
        counts = rng.multinomial(n_samples, self._responsibilities(row)[0])
        drawn = [
            missing_patterns.draw_unknown(row, count, factors, rng)[:, 0]
            for count, factors in zip(counts, self._factors)
        ]
        return rng.permutation(np.concatenate(drawn))

    # ---- unknown entries given known ones ---------------------------------------------------

    def _shares(self, X: NDArray) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return which rows have gaps, and p(c | known entries) of those."""
        gaps = np.flatnonzero(np.isnan(X).any(axis=1))
        return gaps, self._responsibilities(X[gaps])

    def _means_of_entries(self, rows: NDArray) -> NDArray[np.float64]:
        gaps, share = self._shares(rows)
        filled = rows.copy()
        means = [missing_patterns.filled(rows[gaps], factors) for factors in self._factors]
        mean = np.einsum("nc,cnd->nd", share, np.array(means))
        filled[gaps] = np.where(np.isnan(rows[gaps]), mean, rows[gaps])
        return filled

    def _deviations(self, rows: NDArray) -> NDArray[np.float64]:
        gaps, share = self._shares(rows)
        holes, found = rows[gaps], np.zeros(rows.shape)
        means = np.array([missing_patterns.filled(holes, factors) for factors in self._factors])
        spreads = np.array([missing_patterns.deviations(holes, f) for f in self._factors])
        apart = means - np.einsum("nc,cnd->nd", share, means)
        squares = np.einsum("nc,cnd->nd", share, spreads**2 + apart**2)
        found[gaps] = np.where(np.isnan(holes), np.sqrt(squares), 0.0)
        return found

    def _draw_unknown(
        self, rows: NDArray, n_draws: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        gaps, share = self._shares(rows)
        holes, draws = rows[gaps], np.repeat(rows[None], n_draws, axis=0)
        ends = np.cumsum(share, axis=1)[:, :-1]  # (n_gaps, n_models - 1)
        chosen = (rng.random((n_draws, len(gaps), 1)) >= ends).sum(axis=2)
        for c, factors in enumerate(self._factors):
            k, i = np.nonzero(chosen == c)
            if len(i):
                draws[k, gaps[i]] = missing_patterns.draw_unknown(holes[i], 1, factors, rng)[0]
        return draws

    # ---- input and state --------------------------------------------------------------------

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        return check_table(self, X, reset=reset, missing=True).astype(np.float64, copy=False)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_state(self) -> None:
        if self.loadings_.ndim != 3:
            raise ValueError("loadings must have three axes")
        k, d, _ = self.loadings_.shape
        shapes = (self.weights_.shape, self.means_.shape, self.noise_variances_.shape)
        if shapes != ((k,), (k, d), (k,)) or self.n_features_in_ != d:
            raise ValueError("weights, means, loadings and noises do not fit together")
        parts = (self.weights_, self.means_, self.loadings_, self.noise_variances_)
        positive = (self.noise_variances_ > 0).all() and (self.weights_ > 0).all()
        if not all(part.dtype.kind == "f" and np.isfinite(part).all() for part in parts) or (
            not positive
        ):
            raise ValueError("parameters must be finite, weights and noises above 0")
        if abs(self.weights_.sum() - 1) > 1e-9:
            raise ValueError("weights must sum to one")
        scale = self._scale
        if self.standardize and scale is None:
            raise ValueError("standardize=True, and there is no scale")
        if scale is not None and not (
            scale.shape == (d,)
            and np.isfinite(scale).all()
            and (scale >= np.finfo(float).tiny).all()
        ):
            raise ValueError("the scale must be one finite number above 0 for each column")


# ---- where it starts -----------------------------------------------------------------------------


def _starts(
    rows: Rows,
    scale: NDArray[np.float64],
    n_models: int,
    n_starts: int,
    rng: np.random.Generator,
) -> list[list[NDArray]]:
    """Return partitions of the rows by k-means, as labels: of the table and of scaled columns."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    X, weights = rows.values, rows.weights
    if n_models == 1:
        return [[np.zeros(len(X), np.intp)]]
    centre = X.mean(axis=0) if rows.gaps is None else rows.gaps.shift
    tables = [np.nan_to_num(X - centre, nan=0.0)]
    if scale.max() > APART * scale.min():
        tables.append(tables[0] / scale)
    seeds = rng.integers(2**31, size=TRIED * n_starts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer rows differ: EM will show it
        return [
            [
                KMeans(n_models, n_init=1, random_state=int(seed))
                .fit(table, sample_weight=weights)
                .labels_.astype(np.intp)
                for seed in seeds
            ]
            for table in tables
        ]


def _priors(*parameters: Any) -> list[tuple[NDArray, NDArray]]:
    """Return each model's posterior of z for a row of which nothing is known."""
    row = np.full((1, parameters[0].shape[1]), np.nan)
    return [
        missing_patterns.posterior_of_rows(row, factors, root=True)
        for factors, _ in _parts_of(*parameters)
    ]


def _parts_of(
    means: NDArray[np.float64],
    loadings: NDArray[np.float64],
    noises: NDArray[np.float64],
    scale: NDArray[np.float64] | None,
) -> list[tuple[Factors, Frame]]:
    """Return the parameters of each model, and the same as complete rows meet them."""
    each = [(mean, W, float(noise), scale) for mean, W, noise in zip(means, loadings, noises)]
    return [(factors_of(*own), frame_of(*own)) for own in each]
