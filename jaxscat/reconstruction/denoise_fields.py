"""Several fields of one sky from maps with noise, together and beside known ones."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_noise import FieldNoise
from jaxscat.fields.noise import Noise, check_realizations
from jaxscat.fields.pairs import Pair
from jaxscat.fields.seeds import check_seeds
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Progress
from jaxscat.reconstruction.defaults import default_start
from jaxscat.reconstruction.field_result import FieldReconstruction
from jaxscat.reconstruction.field_starts import (
    build_field_baselines,
    build_field_starts,
    split_fields,
)
from jaxscat.reconstruction.field_term import StackPixels, StackScattering, check_unknown_pairs
from jaxscat.reconstruction.observed_fields import as_field_noise, observe_fields
from jaxscat.reconstruction.options import Renewals, TermOptions, check_settings
from jaxscat.reconstruction.result import collect
from jaxscat.reconstruction.solve import solve_from, without_signal
from jaxscat.reconstruction.starts import Start

Maps = Mapping[str, Float[np.ndarray, "*seeds p"]]
_TERM = "scattering"


def denoise_fields(
    data: Mapping[str, Float[np.ndarray, " p"]],
    pyramid: Pyramid,
    noise: Mapping[str, Noise | Float[np.ndarray, "m p"]] | FieldNoise,
    *,
    templates: Mapping[str, Float[np.ndarray, " p"]] | None = None,
    pairs: Sequence[str | Pair] | None = None,
    seeds: int | Sequence[int] | None = None,
    start: Start | Maps | None = None,
    renewals: Renewals | None = None,
    batching: Batching | None = None,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> FieldReconstruction:
    """Estimate several fields in noise, such as E and B, with what they have in common.

    The maps are changed until the scattering covariances of all pairs of fields, with noise added,
    are those of the data within the scatter that noise brings. It is `denoise` for several maps at
    once, of which each is convolved once.

    Args:
        data: real NESTED maps of signal and noise by field, such as `{"E": e, "B": b}`.
        pyramid: operators for their nside, of the whole sphere.
        noise: noise model (or at least 8 realizations) by field, such as
            `{"E": GaussianNoise.of_halves(e1, e2), ...}`; or one of all, such as
            `PolarizationNoise.of(noise_of_q, noise_of_u)`.
        templates: known maps by field, such as `{"T": t}`: pairs with them count, and help.
        pairs: names of the pairs such as `["EE", "BB", "TE"]`, each with a field of the data; None
            for every such pair. Each has the same share of the loss.
        seeds: numbers of solutions, or how many, as for `denoise`.
        start: as for `denoise`, or a dictionary of maps by field. With templates, filters act on
            what these leave of the data.
        renewals, batching, checkpoints, callback: as for `denoise`.

    Returns:
        maps by field in the unit of the data, with linear filters as baselines.

    Raises:
        ValueError: bad data, noise, templates, pairs or start, named; nothing is compiled.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> t, e, b = np.random.default_rng(0).gamma(2.0, size=(3, 192))  # any NESTED maps
        >>> noise = jaxscat.GaussianNoise.white(0.5, nside=4)
        >>> result = jaxscat.denoise_fields(
        ...     {"E": e, "B": b}, jaxscat.build_pyramid(4), {"E": noise, "B": noise},
        ...     templates={"T": t}, renewals=jaxscat.Renewals(number=1, realizations=8),
        ... )
        >>> result.maps["B"].shape, list(result.baselines)[1::2]
        ((192,), ['wiener', 'wiener with templates'])

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/polarization.md`, "Denoising".
    """
    settings = check_settings(renewals, batching, checkpoints, callback, default=Renewals())
    listed = None if seeds is None else check_seeds(seeds)
    observed = observe_fields(data, templates, pyramid)
    fields = observed.fields
    model = as_field_noise(noise, fields, pyramid.spec.npix)
    check_realizations(settings.realizations, model)
    chosen = check_unknown_pairs(pairs, fields, observed.known)
    parts = split_fields(observed, model)
    baselines = build_field_baselines(observed, parts, model)
    if start is None:
        start = default_start(seeds is not None)
    starts = build_field_starts(start, observed, parts, listed)
    together = observed.together
    terms = {_TERM: StackScattering.of(fields, observed.known, chosen, pyramid)}
    if templates is not None or any(part.cautious[1:].any() for part in parts):
        spreads = baselines["square-root wiener"].std(axis=1)
        units = np.where(spreads > 0, spreads, together.values.std(axis=1))
        state, last = solve_from(
            starts,
            together,
            model,
            {_TERM: TermOptions()},
            terms,
            parametrization=StackPixels(units.astype(pyramid.spec.dtype), pyramid.spec.npix),
            seeds=listed,
            renewals=settings,
            batching=batching,
            checkpoints=checkpoints,
            callback=callback,
        )
    else:
        state, last = without_signal(starts, terms), [None]
    restored = {name: together.restore(maps) for name, maps in baselines.items()}
    result = collect(state, last, together.restore(state.maps), restored, listed)
    return FieldReconstruction(fields, result)
