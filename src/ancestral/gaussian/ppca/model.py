"""Probabilistic PCA.

    z ~ N(0, I_q),   x | z ~ N(W z + mu, sigma^2 I_d)

Fitted in closed form from Moments (Tipping & Bishop 1999, eq. 7-8): with S the covariance
(divisor n), U its eigenvectors and Lambda its eigenvalues, both falling,

    mu = the mean,   sigma^2 = mean of the d - q smallest eigenvalues,
    W = U_q (Lambda_q - sigma^2 I)^(1/2).

Then x ~ N(mu, C) with C = W W^T + sigma^2 I, whose leading eigenpairs are those of S; and
z | x ~ N(M^-1 W^T (x - mu), sigma^2 M^-1) with M = W^T W + sigma^2 I (`latents`). W counts up to a
rotation; in this one M = Lambda_q is diagonal, and each column's largest entry is positive.
Rows with missing values are fitted by EM (`missing_em`), then turned to that rotation and signs.
Every q comes from one decomposition (`selection`). With standardize=True all this is said of
x / s, s the columns' standard deviations, and p(x) is the density of x / s over the product of s.
Symbols: W loadings_, mu mean_, sigma^2 noise_variance_, U_q^T components_, Lambda eigenvalues_,
s scale_.
"""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags

from ancestral import _arrays
from ancestral._checks.numbers import (
    FEWER_ROWS,
    as_generator,
    as_numbers,
    check_integer,
    check_number,
    refuse_far,
    refuse_non_finite,
    within_memory,
)
from ancestral._numerics.decomposition import eigen_of_root
from ancestral.base import FromStatistics
from ancestral.errors import ModelError, UndeterminedError
from ancestral.gaussian.ppca import (
    array_api,
    degenerate,
    missing_em,
    missing_patterns,
    projections,
    selection,
)
from ancestral.gaussian.ppca.first_look import FirstLook
from ancestral.gaussian.ppca.folds import Folds
from ancestral.gaussian.ppca.frequencies import number_of_rows
from ancestral.gaussian.ppca.latents import LatentGaussian
from ancestral.gaussian.ppca.missing_columns import Columns, known_rows
from ancestral.gaussian.ppca.projections import each_block
from ancestral.gaussian.ppca.selection import EveryD
from ancestral.gaussian.ppca.spectrum import Spectrum
from ancestral.statistics import Moments
from ancestral.training.parts import Held, Part, Parts
from ancestral.training.passes import passes_of


class PPCA(LatentGaussian, FromStatistics):
    """Probabilistic principal component analysis, by maximum likelihood.

    Parameters
    ----------
    n_components : int, float, {"bic", "minka", "mle", "cv"} or None
        Latent dimensions, from 0 (an isotropic Gaussian) to n_features - 1, and below the rank of
        the centred data: otherwise sigma^2 would be 0 and the likelihood unbounded. Or a way to
        choose them. A number above 0 and below 1: the fewest components that hold more than this
        share of the variance. "bic": the least BIC. "minka" or "mle": the largest evidence by
        Minka's formula. "cv" or None: the highest log density of held-out rows in five folds. With
        missing values only "cv" can choose, by held-out entries. `repr` of the fitted model shows
        the number that was chosen.
    max_components : int, optional
        The largest n_components to choose from; only if n_components is a way to choose.
    standardize : bool
        Divide each column by its standard deviation, which is kept as `scale_`. Use this if columns
        have different units: the model has one noise variance for all columns, and otherwise the
        columns with the largest spread decide it.
    tol : float
        EM stops when a step gains less than this, in nats per known entry. EM runs only if values
        are missing; otherwise the maximum has a closed form.
    max_iter : int
        The most EM steps. A warning tells if they did not suffice.
    random_state : None, int, RandomState or Generator
        Assigns rows, or entries of rows with gaps, to the folds of "cv". The fold depends on a hash
        of the row's values, so that equal rows, also in different parts, are in the same fold. One
        seed is used for the whole fit. None is a fixed seed; a RandomState or Generator draws the
        seed once.
    verbose : bool
        Show on stderr the passes of EM, with the log-likelihood in nats per known entry, and how
        many components were chosen.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        mu, in the units of X, also with standardize=True.
    loadings_ : ndarray of shape (n_features, n_components)
        W, in the units of X, so that x = W z + mu + noise. Columns are in the order of falling
        eigenvalue. The largest entry of each column (before it is multiplied by `scale_`) is
        positive.
    scale_ : ndarray of shape (n_features,)
        Only with standardize=True: the standard deviations of the columns, with divisor n (1 for a
        constant column). `components_`, `eigenvalues_`, `explained_variance_` and `noise_variance_`
        are then those of X / scale_: the noise of column j has the standard deviation scale_[j] *
        noise_variance_ ** 0.5.
    components_ : ndarray of shape (n_components, n_features)
        The orthonormal directions, as in scikit-learn's PCA.
    noise_variance_ : float
        sigma^2, in squared units of X: the mean of the n_features - n_components smallest
        eigenvalues. It is the maximum-likelihood estimate, which that of scikit-learn's PCA is not.
    eigenvalues_ : ndarray of shape (n_features,)
        Eigenvalues of the covariance with divisor n, in falling order. If values were missing,
        those of the model's covariance.
    explained_variance_, explained_variance_ratio_ : ndarray of shape (n_components,)
    n_components_ : int
    n_parameters_ : int
        m + m d - d (d - 1) / 2 + 1 with m = n_features and d = n_components, and m more with
        standardize=True.
    n_samples_ : int or float
        The number of training rows with a known entry, each counted with its weight.
    n_missing_ : int
        The number of missing entries in these rows.
    log_likelihood_ : float
        Log-likelihood of the training data at the maximum, in nats.
    n_iter_ : int
        The number of EM steps; 1 for the closed form.
    cv_components_, cv_scores_ : ndarray of shape (k,)
        With n_components="cv": the numbers of components that were tried, and the mean log density
        of the held-out rows for each, in nats per row (with missing values, of the held-out
        entries, in nats per entry).

    Notes
    -----
    NaN means missing, except in `partial_fit`, which refuses it. A row without known entries does
    not count. `sample_weight` is how often a row counts. Names are those of scikit-learn's PCA.
    They have the same meaning, except where a model fitted by maximum likelihood must differ:

    =============================  ============================  ================================
    name                           PCA                           PPCA
    =============================  ============================  ================================
    transform                      projection U^T (x - mu)       posterior mean, which shrinks it
    inverse_transform(transform)   orthogonal projection         shrinks towards the mean
    `explained_variance_`          divisor n - 1                 divisor n
    `noise_variance_`              mean over min(n, m) - d       mean over m - d
    score_samples                  a normal density, not the     the maximum of the likelihood
                                   maximum
    sign of a component            largest entry positive        the same
    n_components                   fraction, "mle"; None: all    these, "bic", "cv"; None: "cv"
    NaN                            refused                       missing
    =============================  ============================  ================================

    The fit costs n m^2. If there are fewer rows than columns it costs n^2 m, and no (m, m) matrix
    is made. If it is cheaper and safe, the fit computes only the leading eigenpairs. The other
    eigenvalues are computed when `eigenvalues_` is first read or the model is saved, at a cost of
    min(n, m)^3. Until then the model keeps an (m, m) matrix, or the n centred rows if they are
    fewer than the columns. Log densities cost n m d, by reflections that keep the digits of each
    column. With missing values an EM step costs n m d^2. With
    `sklearn.config_context(array_api_dispatch=True)`, arrays of other libraries (torch, CuPy) stay
    in their library and on their device.

    References
    ----------
    Tipping & Bishop (1999), Probabilistic principal component analysis, JRSS B 61, eq. 4-8.
    Bishop (2006), Pattern Recognition and Machine Learning, section 12.2.
    Minka (2000), Automatic choice of dimensionality for PCA, NIPS 13, eq. 30.
    Liu, Rubin & Wu (1998), Parameter expansion to accelerate EM, Biometrika 85.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 1.0, 1.0]
    >>> X[::9, 0] = np.nan
    >>> model = PPCA(n_components=1).fit(X)
    >>> bool(abs(model.noise_variance_ - 1.0) < 0.2)
    True
    """

    _fields: tuple[str, ...] = (
        "mean_", "components_", "loadings_", "eigenvalues_", "noise_variance_", "scale_",
        "log_likelihood_", "n_samples_", "n_missing_", "n_iter_", "cv_components_", "cv_scores_",
    )  # fmt: skip

    _template: Any = None  # an empty array of the library that fit was given, None for numpy
    _drawn: tuple[Any, int] | None = None  # a RandomState or Generator, and the seed it gave

    def __init__(
        self,
        n_components: int | float | str | None = 1,
        *,
        max_components: int | None = None,
        standardize: bool = False,
        tol: float = 1e-9,
        max_iter: int = 1000,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.max_components = max_components
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    # ---- fit --------------------------------------------------------------------------------

    def _statistics(
        self, X: NDArray, weights: NDArray[np.float64] | None = None
    ) -> Moments | Folds:
        seed = self._seed_of_folds() if self._chosen_by == "cv" else None
        return FirstLook(seed, again=True).moments_of(X, weights)

    @property
    def _chosen_by(self) -> str | float | None:
        """What q is chosen by; None where it is given."""
        return selection.way_to_choose(self.n_components)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text = str(super().__repr__(N_CHAR_MAX))
        if self._chosen_by is None or "components_" not in vars(self):
            return text
        return f"{text}  # {self.n_components_} of {self.n_features_in_} components"

    def _say_how_many(self, q: int, d: int, held: float) -> None:
        """Say on stderr what was chosen."""
        if self.verbose:
            share = f", which hold {100 * held:.4g}% of the variance"
            sys.stderr.write(f"n_components={self.n_components!r}: {q} of {d}{share}\n")

    def _seed_of_folds(self) -> int:
        """Return one seed for all parts of a fit, also where each is dealt by another worker."""
        source = self.random_state
        if source is None:
            return 0
        if not isinstance(source, np.random.Generator | np.random.RandomState):
            return source
        if self._drawn is None or self._drawn[0] is not source:
            self._drawn = source, int(as_generator(source).integers(2**63))
        return self._drawn[1]

    def _fit(self, *data: Any, **kept: Any) -> None:
        self._fit_parts(Held.whole(self, data), **kept)

    def _fit_parts(self, parts: Parts[Part], **kept: Any) -> None:
        self._check_parameters()
        self._drawn = None
        seed = self._seed_of_folds() if self._chosen_by == "cv" else None
        seen = parts.total(FirstLook(seed, again=parts.again))
        if (columns := seen.of_all_columns()) is not None:
            self._fit_with_gaps(parts, columns, **kept)
            return
        moments = seen.of_complete_rows(self.n_features_in_, vars(self).get("feature_names_in_"))
        self._solve_checked(moments)
        if not self.standardize:
            total = moments.total if isinstance(moments, Folds) else moments
            degenerate.warn_of_scales(
                total.standard_deviations, getattr(self, "feature_names_in_", None)
            )

    def _solve(self, statistics: Moments | Folds) -> None:
        self._check_parameters()
        self._solve_checked(statistics)

    def _solve_checked(self, statistics: Moments | Folds) -> None:
        """Set the maximum, with parameters that were checked."""
        dealt = statistics if isinstance(statistics, Folds) else None
        total = statistics.total if isinstance(statistics, Folds) else statistics
        total.refuse_overflow()
        d, n = total.n_features, number_of_rows(total.total_weight)
        chosen_by = self._chosen_by
        q = selection.checked_n_components(
            self.n_components if chosen_by is None else 0, total.count, d
        )
        spread = total.standard_deviations
        names = vars(self).get("feature_names_in_")
        degenerate.refuse_no_variance(total.mean, spread, single=total.single, names=names)
        scale = self._fitted_scale(spread)
        moments = total if scale is None else total.scaled(scale)
        if chosen_by is not None:
            eigenvalues, directions = _eigen(moments)
            top = selection.largest(eigenvalues, self.max_components)
            if not isinstance(chosen_by, str):
                q = selection.by_share(eigenvalues, chosen_by)
            elif dealt is None:
                curve = selection.every_d(_all_of(eigenvalues, d), n, top, scale)
                q = curve.best(chosen_by)
            else:
                folds = dealt if scale is None else dealt.scaled(scale)
                scores = selection.by_folds(folds, self.max_components)
                self.cv_scores_ = scores - selection.log_scale(scale)
                self.cv_components_, q = np.arange(len(scores)), int(np.argmax(scores))
            if isinstance(chosen_by, str):
                selection.warn_of_rank(q, int((eigenvalues > 0).sum()), d)
            self._say_how_many(q, d, float(eigenvalues[:q].sum() / eigenvalues.sum()))
        else:
            eigenvalues, directions = _eigen(moments, q, leading=self._template is None)
        self._set_closed_form(moments, spread, scale, q, eigenvalues, directions)

    def _fitted_scale(self, spread: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return what columns of these standard deviations are divided by, None for nothing."""
        return np.where(spread > 0, spread, 1.0) if self.standardize else None

    def _set_closed_form(
        self,
        moments: Moments,
        spread: NDArray[np.float64],
        scale: NDArray[np.float64] | None,
        q: int,
        eigenvalues: NDArray[np.float64],
        directions: NDArray[np.float64],
    ) -> None:
        """Set the maximum of the likelihood of complete rows, from moments of scaled columns."""
        n, d = number_of_rows(moments.total_weight), moments.n_features
        degenerate.warn_of_odd_columns(
            moments.mean,
            spread,
            single=moments.single,
            names=getattr(self, "feature_names_in_", None),
        )
        spectrum: Any
        if len(eigenvalues) < moments.n_eigenvalues:  # the rest is known by its sum
            spectrum = Spectrum(eigenvalues, moments)
            left = spectrum.total - float(eigenvalues.sum())
        else:
            rank = int(np.count_nonzero(eigenvalues))
            if q >= rank and rank < d:
                raise UndeterminedError(
                    f"n_components={q} leaves sigma^2 = 0 and the likelihood unbounded: the "
                    f"centred data have rank {rank}. Pass n_components={rank - 1} or fewer."
                )
            spectrum = eigenvalues = _all_of(eigenvalues, d)
            left = float(eigenvalues[q:].sum())
            degenerate.warn_of_equal_eigenvalues(eigenvalues, q, n)
        noise = left / (d - q)
        density = selection.log_density_at_maximum(eigenvalues[:q], noise, d)
        self.log_likelihood_ = n * (density - selection.log_scale(scale))
        self.n_samples_ = n
        self.n_missing_ = 0
        self.n_iter_ = 1
        self._set(moments.mean.copy(), noise, directions[:q], eigenvalues[:q], scale)
        self.eigenvalues_ = _arrays.like(spectrum, self._template)

    def _set(
        self,
        mean: NDArray[np.float64],
        noise: float,
        directions: NDArray[np.float64],
        eigenvalues: NDArray[np.float64],
        scale: NDArray[np.float64] | None,
    ) -> None:
        """Set mean, loadings and noise from leading eigenpairs, in canonical signs."""
        self.noise_variance_ = noise
        U, W = axes(eigenvalues, directions, noise)
        found = {"mean_": mean, "components_": U, "loadings_": W}
        if scale is not None:
            W *= scale[:, None]
            found["scale_"] = scale
        for name, values in found.items():
            setattr(self, name, _arrays.like(values, self._template))

    def _fit_with_gaps(self, parts: Parts[Part], columns: Columns, **kept: Any) -> None:
        """Fit by EM, q chosen by entries held out where it is to be chosen."""
        rows = parts.prepared(known_rows)
        columns.refuse_what_cannot_be_fitted(vars(self).get("feature_names_in_"))
        d, spread = columns.n_features, columns.spread
        scale, rng = self._fitted_scale(spread), None
        if (chosen_by := self._chosen_by) is not None:
            selection.warn_unless_by_entries(chosen_by)
            limit = d - 1 if self.max_components is None else min(self.max_components, d - 1)
            rng = as_generator(0 if self.random_state is None else self.random_state)
        else:
            q = selection.checked_n_components(self.n_components, columns.n_rows, d)
        with passes_of(self, parts, rng=rng, **kept) as run:
            shared: dict[str, Any] = {"max_iter": self.max_iter, "run": run}
            if rng is not None:
                seed = int(rng.integers(2**63))
                tried, scores = selection.by_entries(rows, limit, seed=seed, scale=scale, **shared)
                self.cv_components_, self.cv_scores_ = tried, scores
                q = int(tried[np.argmax(scores)])
            table = missing_em.Table.of(rows, columns, scale)
            found = missing_em.fit(table, q, tol=self.tol, n_starts=missing_em.STARTS, **shared)
        found.warn_if_cut_short(self.max_iter, "Raise max_iter, or pass fewer components.")
        names = getattr(self, "feature_names_in_", None)
        degenerate.warn_of_odd_columns(columns.mean, spread, single=columns.single, names=names)
        if scale is None:
            degenerate.warn_of_scales(spread, names)
        squares, directions = eigen_of_root(found.factors.loadings.T, None)
        eigenvalues = np.full(d, found.factors.noise)
        eigenvalues[:q] += squares
        if chosen_by is not None:
            self._say_how_many(q, d, float(eigenvalues[:q].sum() / eigenvalues.sum()))
        log_scale = 0.0 if scale is None else float(columns.count @ np.log(scale))
        self.log_likelihood_ = float(found.history[-1]) - log_scale
        self.n_samples_ = number_of_rows(columns.n_samples)
        self.n_missing_ = columns.n_missing
        self.n_iter_ = len(found.history)
        self._set(found.factors.mean, found.factors.noise, directions, eigenvalues[:q], scale)
        self.eigenvalues_ = _arrays.like(eigenvalues, self._template)

    # ---- how many components ----------------------------------------------------------------

    @within_memory(FEWER_ROWS)
    @_arrays.on_host
    def every_d(self, X: ArrayLike | None = None) -> EveryD:
        """Return log-likelihood, BIC and evidence for every number of components, without new fits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Complete held-out rows. Their mean log density is added to the result.

        Returns
        -------
        EveryD
            Log-likelihood, BIC and Minka's evidence for n_components = 0, 1, ..., in nats (BIC:
            twice nats). Without X up to the rank of the training rows, with X up to
            `n_components_`.

        Raises
        ------
        ModelError
            When the model was fitted to missing values: each number of components then needs its
            own fit.
        DataError
            When X holds NaN.

        Notes
        -----
        All values come from the one eigendecomposition of `fit`, at a cost of n_components_**2.
        Held-out densities cost as much as one `score`.

        Examples
        --------
        >>> X = np.random.default_rng(0).normal(size=(500, 4)) * [3.0, 2.0, 1.0, 1.0]
        >>> int(np.argmin(PPCA(3).fit(X).every_d().bic))
        2
        """
        self._check_fitted()
        if self.n_missing_:
            raise ModelError(
                "the model was fitted to missing values, where each d needs its own fit. Choose d "
                'by n_components="cv", which holds out entries.'
            )
        eigenvalues, U = self.eigenvalues_, self.components_
        if X is None:
            top = selection.largest(eigenvalues, None)
            return selection.every_d(eigenvalues, self.n_samples_, top, self._scale)
        rows = self._check_rows(X, reset=False)
        refuse_non_finite(rows, names=vars(self).get("feature_names_in_"))
        table = np.empty((len(rows), self.n_components_ + 1))
        frame = selection.beside_directions(self.mean_, U, eigenvalues, self._scale)

        def use(part: slice, c: NDArray) -> None:
            along = c @ U.T
            table[part] = selection.heldout_of_rows(frame.squares(c), along, eigenvalues)

        with np.errstate(over="ignore", invalid="ignore"):
            each_block(rows, frame, use)
        refuse_far(table, "its log density")
        table -= selection.log_scale(self._scale)
        curve = selection.every_d(eigenvalues, self.n_samples_, self.n_components_, self._scale)
        return selection.with_heldout(curve, table)

    def _check_parameters(self) -> None:
        """Raise ModelError for parameters that are wrong or without effect."""
        selection.check_how(self.n_components, self.max_components)
        check_number(self.tol, "tol", minimum=0.0)
        check_integer(self.max_iter, "max_iter", minimum=1)

    def _is_enough(self, statistics: Moments | Folds) -> bool:
        if isinstance(statistics, Folds):
            return statistics.are_enough
        q = self.n_components if isinstance(self.n_components, Integral) else 1
        return statistics.count >= q + 2

    @property
    def eigenvalues_(self) -> NDArray[np.float64]:
        """All eigenvalues, falling, shape (n_features,): those beyond the fit's when asked for."""
        if (held := vars(self).get("eigenvalues_")) is None:
            raise AttributeError(f"{type(self).__name__} has no eigenvalues_ before fit.")
        return held.values if isinstance(held, Spectrum) else held

    @eigenvalues_.setter
    def eigenvalues_(self, values: Any) -> None:
        self.__dict__["eigenvalues_"] = values

    @eigenvalues_.deleter
    def eigenvalues_(self) -> None:
        del self.__dict__["eigenvalues_"]

    @property
    def _leading(self) -> NDArray[np.float64]:
        held = vars(self).get("eigenvalues_")
        return held.leading if isinstance(held, Spectrum) else super()._leading

    @property
    def explained_variance_(self) -> NDArray[np.float64]:
        """Leading eigenvalues of the covariance (divisor n), shape (n_components,)."""
        return self._leading

    @property
    def explained_variance_ratio_(self) -> NDArray[np.float64]:
        """Share of the total variance along each component, shape (n_components,)."""
        held = vars(self).get("eigenvalues_")
        total = held.total if isinstance(held, Spectrum) else float(self.eigenvalues_.sum())
        return self._leading / total

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Free parameters: W counts up to rotation."""
        q, d = self.components_.shape
        scales = 0 if self._scale is None else d
        return d + d * q - q * (q - 1) // 2 + 1 + scales

    # ---- density and sampling ---------------------------------------------------------------

    @_arrays.near(array_api.log_density, "log_density")
    def _log_density(self, X: NDArray) -> NDArray[np.float64]:
        result = projections.log_density(X, self._frame)
        odd = ~np.isfinite(result)  # infinity and NaN in a row show here
        if odd.any() and _arrays.has_gaps(X, names=vars(self).get("feature_names_in_")):
            result[odd] = missing_patterns.log_density(X[odd], self._factors)
        return result

    @_arrays.on_host
    def _draw(self, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        factors = self._factors
        z = rng.standard_normal((n_samples, factors.n_components))
        noise = rng.standard_normal((n_samples, len(factors.mean)))
        rows = factors.in_units(z @ factors.loadings.T + np.sqrt(factors.noise) * noise)
        return rows + factors.mean

    @_arrays.on_host
    def _draw_given(
        self, n_samples: int, given: NDArray, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw z from its posterior given the known values, then the unknown ones given z."""
        given = as_numbers(given, name="given").astype(np.float64)
        refuse_non_finite(given, name="given", missing=True)
        return missing_patterns.draw_unknown(given[None], n_samples, self._factors, rng)[:, 0]

    # ---- input and state --------------------------------------------------------------------

    def _check_rows(self, X: ArrayLike, *, reset: bool) -> NDArray:
        if reset:
            self._template = _arrays.template_of(X)
        return _arrays.checked_rows(self, X, reset=reset)

    def _fitted_state(self) -> dict[str, Any]:
        return {
            name: value.values if isinstance(value, Spectrum) else _arrays.to_host(value)
            for name, value in super()._fitted_state().items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: numbers, no moments to make them of."""
        state = dict(super().__getstate__())
        if isinstance(held := state.get("eigenvalues_"), Spectrum):
            state["eigenvalues_"] = held.values
        return state

    def _check_state(self) -> None:
        q, d = self.components_.shape
        shapes = self.mean_.shape == (d,) and self.loadings_.shape == (d, q)
        parts: tuple[Any, ...] = (self.mean_, self.loadings_, self.eigenvalues_, self.components_)
        if not shapes or self.n_features_in_ != d or self.eigenvalues_.shape != (d,):
            raise ValueError("mean, loadings and eigenvalues do not fit together")
        positive = type(self.noise_variance_) is float and 0 < self.noise_variance_ < np.inf
        if not all(part.dtype.kind == "f" and np.isfinite(part).all() for part in parts) or (
            not positive
        ):
            raise ValueError("parameters must be finite and the noise variance above 0")
        scale = self._scale
        if self.standardize and scale is None:
            raise ValueError("standardize=True, and there is no scale")
        if scale is not None and not (
            scale.shape == (d,)
            and np.isfinite(scale).all()
            and (scale >= np.finfo(float).tiny).all()
        ):
            raise ValueError("the scale must be one finite number above 0 for each column")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def axes(
    eigenvalues: NDArray[np.float64], directions: NDArray[np.float64], noise: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return directions in canonical signs (q, d) and W (d, q), from the q leading eigenpairs."""
    # In C order, as a saved model comes back: the same bits whatever made them.
    U = np.ascontiguousarray(directions * _signs(directions)[:, None])
    W = np.ascontiguousarray(U.T * np.sqrt(np.maximum(eigenvalues - noise, 0.0)))
    return U, W


def _eigen(
    moments: Moments, q: int | None = None, *, leading: bool = False
) -> tuple[NDArray, NDArray]:
    """Return eigenvalues, 0 in place of those with few digits left, and the leading directions."""
    eigenvalues, directions = moments.eigen(q, leading=leading)
    if len(eigenvalues) and not eigenvalues[-1] > degenerate.LEAST_VARIANCE:
        eigenvalues = np.where(eigenvalues > degenerate.LEAST_VARIANCE, eigenvalues, 0.0)
    return eigenvalues, directions


def _all_of(eigenvalues: NDArray[np.float64], d: int) -> NDArray[np.float64]:
    """Return d eigenvalues: the given ones and zeros."""
    missing = d - len(eigenvalues)
    return np.concatenate([eigenvalues, np.zeros(missing)]) if missing else eigenvalues.copy()


def _signs(U: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return +-1 per row so that its entry largest in size comes out positive."""
    if not U.size:
        return np.ones(len(U))
    largest = np.abs(U).argmax(axis=1)
    return np.where(U[np.arange(len(U)), largest] < 0, -1.0, 1.0)
