"""New maps of several fields together: a caller of `minimize` with the loss of all their pairs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import jax
import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_draw, check_seeds
from jaxscat.fields.starts import noise
from jaxscat.maps import check_kind, describe
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import minimize, starts_digest
from jaxscat.minimization.result import Result
from jaxscat.objectives.field_scattering import FieldScattering
from jaxscat.objectives.field_target import FieldTarget, check_field_target
from jaxscat.objectives.objective import Objective
from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.parametrizations.components import Components
from jaxscat.parametrizations.parametrization import Parametrization, check_parametrization
from jaxscat.parametrizations.pixels import Pixels, power_of_two_near
from jaxscat.progress import Progress
from jaxscat.statistics.checks import check_map_of
from jaxscat.synthesis.options import SynthesisOptions, minimizer_options
from jaxscat.synthesis.synthesize import TERM

Fields = Mapping[str, Float[np.ndarray, "*seeds p"]]
FieldStart = Callable[[int], Fields] | Fields


def synthesize_fields(
    target: FieldTarget,
    pyramid: Pyramid,
    seeds: int | Sequence[int],
    *,
    start: FieldStart | None = None,
    form: Parametrization | Mapping[str, Parametrization] | None = None,
    batch_size: int | None = None,
    devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
    **options: Unpack[SynthesisOptions],
) -> Result:
    """Make new maps of several fields together, such as T, E and B, for many seeds.

    The maps of a seed are the unknowns of one minimization: all pairs of the target count in its
    loss. Every seed has its own start, loss, L-BFGS and status.

    Args:
        target: from `make_field_target`.
        pyramid: operators of the target.
        seeds: different numbers from 0 to 2^32 - 1, or the number of seeds: 3 is short for
            `[0, 1, 2]`.
        start: function from a seed to a dictionary of maps by field, such as
            `functools.partial(jaxscat.gaussian_fields, originals)`; or such a dictionary with a
            leading axis of seeds; None for white noise with the mean and standard deviation of
            every field.
        form: parametrization of all fields, such as `jaxscat.harmonic_fields_form(originals)`, or a
            dictionary of one for each; None for their pixels.
        batch_size, devices, checkpoints, callback, options: as for `synthesize_many`.

    Returns:
        result whose `maps` are a dictionary by field, with a leading axis of seeds.

    Raises:
        ValueError: as `synthesize_many`; a start without one of the fields.
        OSError: a checkpoint cannot be read or written.

    Examples:
        >>> import functools, jaxscat, numpy as np
        >>> t, e = np.random.default_rng(0).gamma(2.0, size=(2, 192))  # any NESTED maps
        >>> originals = {"T": t, "E": e + t}
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> target = jaxscat.make_field_target(originals, pyramid)
        >>> draw = functools.partial(jaxscat.gaussian_fields, originals)
        >>> new = jaxscat.synthesize_fields(target, pyramid, [0, 7], start=draw, max_steps=5)
        >>> new.maps["E"].shape, new.of_seed(7).maps["T"].shape
        ((2, 192), (192,))

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/polarization.md`, "Synthesis".
    """
    listed = check_seeds(seeds)
    check_kind(checkpoints, Checkpoints | None, "checkpoints", "Checkpoints, or None")
    arguments = minimizer_options(
        options, "synthesize_fields", batch_size=batch_size, devices=devices
    )
    check_field_target(target, pyramid)
    if checkpoints is not None:
        identity = {"pyramid": dataclasses.asdict(pyramid.spec), "fields": list(target.fields)}
        checkpoints = checkpoints.of({**identity, "starts of seeds": starts_digest(start)})
    return minimize(
        Objective({TERM: FieldScattering(pyramid, target)}),
        _draw_starts(start, listed, target, pyramid.spec),
        parametrization=_build_unknowns(form, target, pyramid.spec),
        seeds=listed,
        checkpoints=checkpoints,
        callback=callback,
        **arguments,
    )


def _build_unknowns(
    form: Parametrization | Mapping[str, Parametrization] | None,
    target: FieldTarget,
    spec: PyramidSpec,
) -> Parametrization:
    """Return the unknowns of all fields: their pixels in the unit of each, or the given form."""
    if form is None:
        number = np.dtype(spec.dtype).type
        spreads = {field: float(target.levels[field][1]) for field in target.fields}
        return Components(
            {
                field: Pixels(spec.npix, number(power_of_two_near(spread)))
                for field, spread in spreads.items()
            }
        )
    if isinstance(form, Mapping):
        if set(form) != set(target.fields):
            raise ValueError(
                f"form: got {', '.join(map(str, form))}, expected a parametrization for each of "
                f"{', '.join(target.fields)}"
            )
        form = Components(dict(form))
    made = check_parametrization(form, spec.dtype, "form")
    expected = {field: (spec.npix,) for field in target.fields}
    shapes = jax.tree.map(lambda leaf: leaf.shape, made)
    if not isinstance(made, Mapping) or dict(shapes) != expected:
        raise ValueError(f"form: got maps of shapes {shapes}, expected {expected}")
    return form


def _draw_starts(
    start: Any, seeds: tuple[int, ...], target: FieldTarget, spec: PyramidSpec
) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the function from a seed to its checked start, in the type of the pyramid.

    Raises:
        ValueError: starts of another number than there are seeds, or a function of other arguments
            than a seed; when it is called, a bad start.
    """
    fields = target.fields
    draw: Callable[[int], Any]
    if start is None:
        draw = lambda seed: _white(seed, target, spec)  # noqa: E731
    elif callable(start):
        check_draw(start)
        draw = start
    else:
        _check_names(start, fields, "start")
        for field in fields:
            if np.ndim(start[field]) != 2 or len(start[field]) != len(seeds):
                raise ValueError(
                    f"start[{field!r}]: got shape {np.shape(start[field])}, expected "
                    f"({len(seeds)}, {spec.npix}): a map for each seed"
                )
        draw = lambda seed: {f: start[f][seeds.index(seed)] for f in fields}  # noqa: E731

    def checked(seed: int) -> dict[str, np.ndarray]:
        name, drawn = f"start of seed {seed}", draw(seed)
        _check_names(drawn, fields, name)
        return {
            field: check_map_of(drawn[field], spec, name=f"{name}[{field!r}]").astype(spec.dtype)
            for field in fields
        }

    return checked


def _check_names(maps: Any, fields: tuple[str, ...], name: str) -> None:
    if not isinstance(maps, Mapping) or any(field not in maps for field in fields):
        got = ", ".join(map(str, maps)) if isinstance(maps, Mapping) else describe(maps)
        raise ValueError(f"{name}: got {got}, expected maps of the fields {', '.join(fields)}")


def _white(seed: int, target: FieldTarget, spec: PyramidSpec) -> dict[str, np.ndarray]:
    fields = sorted(target.fields)  # as white_fields: the same numbers for the same fields
    drawn = noise(seed, len(fields) * spec.npix).reshape(-1, spec.npix)
    levels = [np.asarray(target.levels[field], np.float64) for field in fields]
    return {
        field: (mean + spread * one).astype(spec.dtype)
        for field, (mean, spread), one in zip(fields, levels, drawn, strict=True)
    }
