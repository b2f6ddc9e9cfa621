"""Names that other libraries have for what a model has here: what an error then recommends.

One table for attributes and methods, one for keywords. A hint is given where the model, or the
method, has what it names; the first that it has. Nothing else answers to these names: `hasattr`
stays False, as scikit-learn's duck typing wants it.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any

from ancestral.errors import UnknownKeywordError

# What others call it: how it is spelt here, the most fitting first.
ATTRIBUTES: dict[str, tuple[str, ...]] = {}
KEYWORDS: dict[str, tuple[str, ...]] = {}


def _called(table: dict[str, tuple[str, ...]], others: str, *ours: str) -> None:
    table.update((name, table.get(name, ()) + ours) for name in others.split())


_called(
    ATTRIBUTES,
    "log_prob logprob log_probs logpdf logpmf log_pdf log_pmf log_p loglik loglike log_likelihood "
    "log_proba forward",
    "log_density",
)
_called(
    ATTRIBUTES,
    "pdf pmf prob probability density likelihood eval_density",
    "log_density, of which it is the exponential",
)
_called(
    ATTRIBUTES,
    "predict_proba predict_log_proba predict_probs posterior_probs",
    "responsibilities(X)",
    "marginals(X)",
    "predict(X, return_std=True)",
    "probabilities, of each pair of nodes",
)
_called(
    ATTRIBUTES,
    "predict fit_predict labels_",
    "responsibilities(X).argmax(axis=1)",
    "impute(X), which fills what is unknown",
    "probabilities, of each pair of nodes",
)
_called(
    ATTRIBUTES,
    "predict_links edge_probabilities link_prediction",
    "predict_edges(graph), a ranked table",
    "probabilities, of each pair of nodes",
)
_called(
    ATTRIBUTES,
    "rsample rvs draw draws sample_n samples simulate generate resample random sample_posterior",
    "sample",
)
_called(ATTRIBUTES, "condition conditional condition_on given", "sample(given=...)")
_called(ATTRIBUTES, "fill fillna fill_missing fit_impute complete", "impute(X)")
_called(
    ATTRIBUTES,
    "impute_samples multiple_imputation multiply_impute sample_missing posterior_samples",
    "impute_draws(X, n_draws)",
)
_called(
    ATTRIBUTES,
    "marginal predict_marginals posterior_marginals query infer belief",
    "marginals(X)",
)
_called(ATTRIBUTES, "mpe map map_query mode most_likely argmax", "most_probable(k)", "impute(X)")
_called(ATTRIBUTES, "evidence log_evidence logz", "log_density(X) of rows with NaN where unknown")
_called(ATTRIBUTES, "coef_ coefs_ coefficients_", "loadings_", "slope_")
_called(
    ATTRIBUTES,
    "params params_ beta_ betas_ coef coefs_ coefficients theta_ theta w_",
    "coef_",
    "loadings_",
    "slope_",
    "probabilities_",
    "weights_",
)
_called(ATTRIBUTES, "components_ loadings factor_loadings_ W_ W factors_", "loadings_")
_called(ATTRIBUTES, "means_ mu_ mu loc_ loc location_ centers_", "mean_", "means_")
_called(ATTRIBUTES, "mean_ cluster_centers_", "means_")
_called(ATTRIBUTES, "covariance_ covariances_ covariance cov_ cov", "get_covariance()")
_called(ATTRIBUTES, "precision_ precisions_ precision", "get_precision()")
_called(
    ATTRIBUTES,
    "noise_ noise_var_ sigma2_ sigma_ sigma sigma2 noise_variance scale",
    "noise_variance_",
    "noise_variances_",
)
_called(ATTRIBUTES, "std_ residual_std sigma_hat rmse_", "residual_std_", "noise_variance_ ** 0.5")
_called(ATTRIBUTES, "singular_values_", "eigenvalues_")
_called(ATTRIBUTES, "eigenvectors_ principal_axes_", "components_", "loadings_")
_called(ATTRIBUTES, "n_components_ n_latent_ n_factors_", "n_components")
_called(ATTRIBUTES, "n_clusters n_clusters_ n_mixtures", "n_models")
_called(ATTRIBUTES, "bic_ BIC bic_score", "bic(X)")
_called(ATTRIBUTES, "aic_ AIC aic_score", "aic(X)")
_called(
    ATTRIBUTES, "llf loglik_ loglike_ loglikelihood_ lower_bound_ ll_", "log_likelihood_", "score"
)
_called(ATTRIBUTES, "nobs n_obs n_samples", "n_samples_")
_called(ATTRIBUTES, "bse std_err_ se_ stderr_ standard_errors", "standard_errors_")
_called(
    ATTRIBUTES,
    "pvalues pvalues_ tvalues tvalues_ summary2 fvalue f_pvalue rsquared_adj",
    "summary()",
)
_called(ATTRIBUTES, "conf_int confint", "coefficient_intervals()", "confidence_intervals")
_called(ATTRIBUTES, "rsquared r2_ r2 r2_score", "score(X, y)")
_called(ATTRIBUTES, "fittedvalues predict_mean predict_dist pred_dist", "predict(X)")
_called(
    ATTRIBUTES,
    "classes_ levels_ levels categories cardinalities_ n_categories_ alphabet_ vocabulary_",
    "categories_",
)
_called(ATTRIBUTES, "columns columns_ feature_names feature_names_ names_", "feature_names_in_")
_called(ATTRIBUTES, "n_features_ n_features n_dims dim n_columns_", "n_features_in_")
_called(
    ATTRIBUTES,
    "n_params n_params_ n_parameters num_parameters num_params n_free_parameters df_model",
    "n_parameters_",
)
_called(ATTRIBUTES, "loss_curve_ loss_history_ history losses_ training_history_", "history_")
_called(ATTRIBUTES, "state_dict parameters", "to_torch()", "save(path)")
_called(ATTRIBUTES, "save_model dump to_pickle to_disk save_pretrained to_json", "save(path)")
_called(
    ATTRIBUTES,
    "load load_model from_pretrained from_disk",
    "save(path), which ancestral.load reads",
)
_called(ATTRIBUTES, "cpts cpts_ cpds cpds_ get_cpds tables get_cpts", "tables_")
_called(ATTRIBUTES, "entropy", "entropy_")
_called(ATTRIBUTES, "encode project embed latent", "transform(X)", "compress(X)")
_called(
    ATTRIBUTES,
    "compress decompress most_probable sample_counts log_evidence",
    "members_, each of which has it",
)
_called(ATTRIBUTES, "train learn fit_model", "fit")
_called(ATTRIBUTES, "evaluate", "score")

_called(KEYWORDS, "n size num_samples n_draws count num_draws shape N", "n_samples", "n_draws")
_called(KEYWORDS, "n_samples n_imputations m", "n_draws")
_called(
    KEYWORDS,
    "seed rng random_seed random generator key np_random rand_state",
    "random_state",
)
_called(KEYWORDS, "evidence condition conditions conditioned_on observed known fixed", "given")
_called(
    KEYWORDS,
    "n_latent n_latents latent_dim n_factors q d dim num_components n_comp n_component k rank",
    "n_components",
    "k",
)
_called(KEYWORDS, "n_clusters n_mixtures K n_models_ num_models", "n_models")
_called(KEYWORDS, "alpha pseudocount pseudo_count laplace smooth", "smoothing", "level")
_called(KEYWORDS, "lr eta step_size learning_rate_init", "learning_rate")
_called(
    KEYWORDS,
    "epochs n_epochs num_epochs max_epochs n_iter n_iterations iterations steps n_steps max_iter "
    "max_steps n_iters num_steps",
    "max_steps",
    "max_iter",
)
_called(
    KEYWORDS,
    "hidden hidden_dim hidden_units units n_hidden hidden_layer_sizes n_units hidden_layers",
    "hidden_size",
)
_called(KEYWORDS, "layers n_layers", "num_layers")
_called(KEYWORDS, "weights sample_weights w weight precisions", "sample_weight", "frequencies")
_called(KEYWORDS, "frequency counts sample_weight freq_weights", "frequencies", "sample_weight")
_called(KEYWORDS, "validation_data eval_set X_valid X_validation valid val", "X_val")
_called(KEYWORDS, "val_fraction validation_split test_size", "validation_fraction")
_called(KEYWORDS, "early_stopping_rounds n_iter_no_change patience", "n_iter_no_change", "patience")
_called(KEYWORDS, "levels classes cardinalities n_categories vocabulary domains", "categories")
_called(KEYWORDS, "na nan missing_values handle_missing dropna", "missing")
_called(KEYWORDS, "standardise normalize normalise scale", "standardize")
_called(KEYWORDS, "file filename filepath fname path_or_buf", "path")
_called(KEYWORDS, "tolerance eps epsilon rtol", "tol")
_called(KEYWORDS, "base_estimator classifier clf base_model estimator", "estimator", "model")
_called(KEYWORDS, "bias fit_bias intercept add_constant", "fit_intercept")
_called(KEYWORDS, "polynomial_degree order poly", "degree", "orders")
_called(KEYWORDS, "return_sd return_cov return_uncertainty with_std", "return_std")
_called(KEYWORDS, "confidence conf_level coverage", "level")
_called(KEYWORDS, "progress verbosity show_progress progress_bar", "verbose")
_called(KEYWORDS, "n_init n_restarts restarts num_starts", "n_starts")
_called(KEYWORDS, "penalty ridge l2_penalty weight_decay", "l2")
_called(KEYWORDS, "top top_k n_best n", "k")
_called(KEYWORDS, "particles num_particles", "n_particles")
_called(KEYWORDS, "data df x inputs rows", "X")


def hint(name: str, kind: type, instance_names: Iterable[str]) -> str:
    """Say what a class has in the place of an attribute that it has not; "" for what nobody knows.

    Parameters
    ----------
    name : of the attribute
    kind : the class
    instance_names : what its instances may have beside what the class has
    """
    own = {*instance_names, *dir(kind)}
    if name in own:
        return " This fit brought none."
    for ours in ATTRIBUTES.get(name, ()):
        if re.split(r"\W", ours)[0] in own:
            return f" Here it is {ours}."
    public = [other for other in own if not other.startswith("_")]
    near = difflib.get_close_matches(name, public, n=1, cutoff=0.8)
    return f" Did you mean {near[0]}?" if near else ""


def refuse_unknown_keywords(method: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    """Raise UnknownKeywordError for the first keyword that a method does not take, if any."""
    code: CodeType | None = getattr(inspect.unwrap(method), "__code__", None)
    if code is None:  # of a class without an __init__ of its own
        return
    if code.co_flags & inspect.CO_VARKEYWORDS:
        return
    taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    names = [name for name in taken if name != "self"]
    for name in kwargs:
        if name in names:
            continue
        title = method.__name__
        title = method.__qualname__.split(".")[0] if title == "__init__" else f"{title}()"
        ours = next((own for own in KEYWORDS.get(name, ()) if own in names), None)
        if ours is None:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
            ours = near[0] if near else None
        mend = f"here it is {ours}" if ours else f"it takes {', '.join(names) or 'none'}"
        raise UnknownKeywordError(f"{title} has no parameter {name!r}: {mend}.") from None
