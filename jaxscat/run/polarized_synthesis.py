"""The new polarized maps of a run: its fields read, its target measured, its seeds made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np

from jaxscat.fields.field_starts import gaussian_fields, white_fields
from jaxscat.io.masks import build_footprint
from jaxscat.minimization.result import Result
from jaxscat.objectives.field_scattering import fields_loss
from jaxscat.objectives.field_target import FieldTarget
from jaxscat.objectives.make_field_target import make_field_target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.harmonic import check_form_nside
from jaxscat.parametrizations.harmonic_fields import harmonic_fields_form
from jaxscat.progress import Observer
from jaxscat.run.config import Config
from jaxscat.run.folder import RunFolder
from jaxscat.run.polarized_inputs import Fields, PolarizedInputs, read_polarized
from jaxscat.run.provenance import Clock
from jaxscat.run.run_checkpoints import build_checkpoints
from jaxscat.run.targets import (
    build_reduction,
    build_run_pyramid,
    read_threshold,
    treat_hidden,
)
from jaxscat.synthesis.fields import synthesize_fields


@dataclass(frozen=True)
class PolarizedSynthesis:
    """The polarized maps of a run, all in the values of the originals, and how they came about.

    Attributes:
        inputs: the originals and where they are from.
        pyramid: the wavelets.
        target: what new maps share with the originals.
        made: for every seed its result, whose maps are the fields.
        starts: the fields from which every seed started.
        written_losses: for every seed the loss of `made`, which lack what the minimization has put
            beyond the band limit of E and B.
    """

    inputs: PolarizedInputs
    pyramid: Pyramid
    target: FieldTarget
    made: Mapping[int, Result]
    starts: Mapping[int, Fields]
    written_losses: Mapping[int, float]


def synthesize_polarized(
    config: Config, observer: Observer, run: RunFolder, clock: Clock
) -> PolarizedSynthesis:
    """Read the map of a config, measure its fields and make new ones, or go on with that.

    Args:
        config: the settings.
        observer: receives the progress.
        run: the run that is begun, for checkpoints.
        clock: records the seconds of "load", "pyramid" and "target".

    Raises:
        ValueError: as `read_polarized`, `build_pyramid`, `make_field_target` and
            `synthesize_fields`; a checkpoint of another run.
        OSError: a file cannot be read or written.
    """
    settings = config.synthesis
    with clock.measure("load"):
        observer.stage(f"reading {config.data.dataset or config.data.path}")
        inputs = read_polarized(config)
    harmonic = settings.form == "harmonic"
    if harmonic:
        check_form_nside(inputs.nside, name="synthesis.form: 'harmonic' at nside")
    with clock.measure("pyramid"):
        observer.stage("building the wavelets")
        pyramid = build_run_pyramid(config, inputs.nside, progress=observer.building)
    footprint = build_footprint(inputs.mask)
    with clock.measure("target"):
        observer.stage("measuring the map")
        observer.compiling()
        target = measure_target(config, inputs, pyramid)
        form = None
        if harmonic:
            form = harmonic_fields_form(
                inputs.fields,
                dtype=np.dtype(config.run.precision),
                footprint=footprint,
                pairs=config.polarization.pairs,
                parity=config.polarization.parity,
            )
    draw = draw_of(config, inputs)
    count = len(settings.seeds)
    shown = f"seed {settings.seeds[0]}" if count == 1 else f"{count} seeds"
    observer.stage(f"synthesizing {', '.join(inputs.fields)}: {shown}")
    observer.compiling()
    result = synthesize_fields(
        target,
        pyramid,
        settings.seeds,
        start=draw,
        form=form,
        batch_size=settings.batch_size,
        checkpoints=build_checkpoints(config, run, inputs.checksums),
        callback=observer.step,
        max_steps=settings.max_steps,
        max_evaluations=settings.max_evaluations,
        stagnation=settings.stagnation,
        memory=settings.memory,
    )
    seeds = result.seeds or ()
    made = {seed: result.of_seed(seed) for seed in seeds}
    limited = {seed: inputs.limit(one.map) for seed, one in made.items()}
    loss_of: Any = eqx.filter_jit(fields_loss)
    return PolarizedSynthesis(
        inputs,
        pyramid,
        target,
        {seed: one._replace(map=inputs.restore(limited[seed])) for seed, one in made.items()},
        {seed: inputs.restore(inputs.limit(draw(seed))) for seed in seeds},
        {seed: float(loss_of(maps, pyramid, target)) for seed, maps in limited.items()},
    )


def draw_of(config: Config, inputs: PolarizedInputs) -> Callable[[int], Fields]:
    """Return the function from a seed to the fields of its start."""
    footprint = build_footprint(inputs.mask)
    if config.synthesis.start == "white_noise":
        return partial(white_fields, inputs.fields, footprint=footprint)
    # The loss does not see other spectra, which would stay as they are.
    settings = config.polarization
    return partial(
        gaussian_fields,
        inputs.fields,
        footprint=footprint,
        pairs=settings.pairs,
        parity=settings.parity,
    )


def measure_target(config: Config, inputs: PolarizedInputs, pyramid: Pyramid) -> FieldTarget:
    """Measure the fields of a polarized map as a config says.

    Raises:
        ValueError: as `make_field_target`.
    """
    settings = config.target
    fields: Any = inputs.fields
    mask: Any = inputs.mask
    target = make_field_target(
        fields,
        pyramid,
        pairs=config.polarization.pairs,
        parity=config.polarization.parity,
        mask=mask,
        mask_threshold=read_threshold(settings),
        hidden=treat_hidden(config),
        sigma=settings.sigma,
        sigma_floor=settings.sigma_floor,
        coarsest_nside=settings.coarsest_nside,
        weights=settings.weights,
        normalization="target" if settings.normalization == "target" else None,
    )
    reduction = build_reduction(settings)
    return target if reduction is None else target.reduced(reduction)
