"""A signal from a map with noise, by the statistics that it must have."""

from collections.abc import Callable, Mapping, Sequence

from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.fields.noise import Noise, as_noise, check_realizations
from jaxscat.fields.seeds import check_seeds
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Progress
from jaxscat.reconstruction.observed import observe
from jaxscat.reconstruction.options import Renewals, TermOptions, check_settings, check_terms
from jaxscat.reconstruction.result import Reconstruction
from jaxscat.reconstruction.solve import solve_noisy
from jaxscat.reconstruction.starts import Start
from jaxscat.reconstruction.terms import build_terms

Terms = Mapping[str, TermOptions] | Sequence[str]


def denoise(
    data: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    noise: Noise | Float[ArrayLike, "m p"],
    *,
    seeds: int | Sequence[int] | None = None,
    mask: Float[ArrayLike, " p"] | None = None,
    target: Target | None = None,
    terms: Terms = ("scattering",),
    start: Start | Float[ArrayLike, "*seeds p"] | None = None,
    renewals: Renewals | None = None,
    batching: Batching | None = None,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Reconstruction:
    """Estimate a signal in noise: its structures, and the statistics that noise has hidden.

    The map is changed until its scattering covariance, with noise added, is that of the data
    within the scatter that noise brings. No spectrum has to be known: that of the signal is
    estimated from the data.

    Args:
        data: real NESTED map of signal and noise.
        pyramid: operators for its nside, of the whole sphere.
        noise: noise model, such as `GaussianNoise.white(standard_deviation, nside)` or
            `GaussianNoise.of_halves(first, second)`; or at least 8 realizations of the noise.
        seeds: numbers of solutions, or how many; each has its own realizations of the noise, and
            by default its own start. None is a single solution.
        mask: weights of the pixels in statistics, zero where there are no data; the map has an
            estimate there, but no statistic sees it. The noise is as given, whatever the weights.
        target: how maps are measured, from `make_target` (its numbers do not matter); None for
            all defaults, with the mask.
        terms: names of "scattering", "cross" (with a template), "power", "fidelity" and
            "residual"; or a dictionary with the `TermOptions` of each.
        start: "square-root wiener" (the default of a single solution, nearest to the truth),
            "constrained" (the default of several, and with the term "residual": with a Gaussian
            draw of what the noise hides, so that their spread is the uncertainty), "wiener",
            "data", or maps.
        renewals: how often targets are measured anew; None for `Renewals()`.
        batching, checkpoints, callback: as for `minimize`. The checkpoints are the caller's to
            remove.

    Returns:
        map in the unit of the data, with the Wiener filters as baselines.

    Raises:
        ValueError: bad data, noise, mask, target, terms or start, named; nothing is compiled.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> generator = np.random.default_rng(0)
        >>> truth = np.exp(jaxscat.gaussian_noise(generator.normal(size=768), seed=1))
        >>> data = truth + truth.std() * generator.normal(size=768)
        >>> noise = jaxscat.GaussianNoise.white(truth.std(), nside=8)
        >>> result = jaxscat.denoise(data, jaxscat.build_pyramid(8), noise)
        >>> result.map.shape, sorted(result.baselines)
        ((768,), ['data', 'square-root wiener', 'wiener'])

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/reconstruction.md`, "Denoising".
    """
    settings = check_settings(renewals, batching, checkpoints, callback, default=Renewals())
    listed = None if seeds is None else check_seeds(seeds)
    observed = observe(data, pyramid, mask)
    noise = as_noise(noise, observed.values.size)
    check_realizations(settings.realizations, noise)
    chosen = check_terms(terms, ("scattering", "cross", "power", "fidelity", "residual"))
    return solve_noisy(
        observed,
        noise,
        chosen,
        build_terms(chosen, observed, pyramid, noise, target),
        seeds=listed,
        start=start,
        renewals=settings,
        batching=batching,
        checkpoints=checkpoints,
        callback=callback,
    )
