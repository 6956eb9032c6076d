"""The denoising of polarized maps: data read, wavelets built, E and B estimated together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.pairs import pair_name
from jaxscat.fields.polarization_noise import PolarizationNoise
from jaxscat.minimization.minimize import Batching
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Observer
from jaxscat.reconstruction.denoise_fields import denoise_fields
from jaxscat.reconstruction.field_result import FieldReconstruction
from jaxscat.reconstruction.field_term import check_unknown_pairs
from jaxscat.run.config import Config
from jaxscat.run.folder import RunFolder
from jaxscat.run.polarized_denoising_checks import UNKNOWN
from jaxscat.run.polarized_inputs import Fields, PolarizedInputs, read_polarized
from jaxscat.run.polarized_noise import build_polarized_noise, eb_of, read_truth
from jaxscat.run.provenance import Clock, array_sha256
from jaxscat.run.reconstruction import build_renewals
from jaxscat.run.run_checkpoints import build_checkpoints
from jaxscat.run.targets import build_run_pyramid


@dataclass(frozen=True)
class PolarizedData:
    """All that a denoising of polarized maps knows, and apart from that a truth.

    Attributes:
        inputs: the data E and B, T if it is a template, and where they are from.
        noise: of E and B.
        truth: E and B in the values of the data, or None; no reconstruction sees it.
        checksums_of_truth: SHA-256 of its file, by name; empty where it is the map of `[data]`.
    """

    inputs: PolarizedInputs
    noise: PolarizationNoise
    truth: Fields | None
    checksums_of_truth: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Fields:
        """E and B of the data."""
        return {name: self.inputs.fields[name] for name in UNKNOWN}

    @property
    def templates(self) -> Fields | None:
        """T, or None where it is not among the fields."""
        return {"T": self.inputs.fields["T"]} if "T" in self.inputs.fields else None


@dataclass(frozen=True)
class PolarizedDenoising:
    """Estimates of E and B, all in the values of the data and within their band limit.

    Attributes:
        given: data, noise, and truth.
        pyramid: the wavelets.
        result: as `denoise_fields` has returned it.
        pairs: names of the pairs that were imposed.
        estimates: E and B of the data and of all linear filters by name, and of a single solution
            as "reconstruction".
        seeds: E and B [B p] of several solutions, or None.
    """

    given: PolarizedData
    pyramid: Pyramid
    result: FieldReconstruction
    pairs: tuple[str, ...]
    estimates: dict[str, Fields]
    seeds: dict[str, Float[np.ndarray, "B p"]] | None


def denoise_polarized(
    config: Config, observer: Observer, run: RunFolder, clock: Clock
) -> PolarizedDenoising:
    """Read the polarized data of a config and estimate E and B, or go on with that.

    Args:
        config: the settings.
        observer: receives the progress.
        run: the run that is begun, for checkpoints.
        clock: records the seconds of "load" and "pyramid".

    Raises:
        ValueError: as `read_polarized_data`, `build_pyramid` and `denoise_fields`; a checkpoint of
            another run.
        OSError: a file cannot be read or written.
    """
    settings = config.reconstruction
    with clock.measure("load"):
        observer.stage(f"reading {config.data.dataset or config.data.path}")
        given = read_polarized_data(config)
    with clock.measure("pyramid"):
        observer.stage("building the wavelets")
        pyramid = build_run_pyramid(config, given.inputs.nside, progress=observer.building)
    shown = "" if settings.seeds is None else f": {len(settings.seeds)} seeds"
    observer.stage(f"denoising E and B{shown}")
    observer.compiling()
    options: dict[str, Any] = {} if settings.start is None else {"start": settings.start}
    result = denoise_fields(
        given.data,
        pyramid,
        given.noise,
        templates=given.templates,
        pairs=config.polarization.pairs,
        seeds=settings.seeds,
        renewals=build_renewals(config),
        batching=Batching(batch_size=settings.batch_size),
        checkpoints=build_checkpoints(config, run, given.inputs.checksums),
        callback=observer.step,
        **options,
    )
    pairs = check_unknown_pairs(config.polarization.pairs, UNKNOWN, given.templates or {})
    return _restored(given, pyramid, result, tuple(map(pair_name, pairs)))


def read_polarized_data(config: Config) -> PolarizedData:
    """Read or make polarized data, the noise of their Q and U, and a truth.

    Raises:
        ValueError: a file that cannot be read, or maps that do not fit each other.
        OSError: a file cannot be read.
    """
    inputs = read_polarized(config)
    noise = build_polarized_noise(config, inputs)
    checksums = inputs.checksums | noise.checksums
    inputs = replace(inputs, notes=(*inputs.notes, *noise.notes))
    truth, of_truth = None, {}
    if noise.added is not None:
        truth = {name: inputs.originals[name] for name in UNKNOWN}
        noisy = {
            name: (inputs.fields[name] + map).astype(config.run.precision)
            for name, map in eb_of(noise.added, inputs).items()
        }
        inputs = replace(inputs, fields=inputs.fields | noisy)
        # What was added is in no file.
        checksums |= {f"data_{name}": array_sha256(map) for name, map in noisy.items()}
    found = read_truth(config, inputs)
    if found is not None:
        truth, of_truth = found
    return PolarizedData(replace(inputs, checksums=checksums), noise.noise, truth, of_truth)


def _restored(
    given: PolarizedData, pyramid: Pyramid, result: FieldReconstruction, pairs: tuple[str, ...]
) -> PolarizedDenoising:
    """Take all estimates to the values of the data, and to their band limit."""

    def restored(maps: Any) -> Fields:
        found = given.inputs.restore(given.inputs.limit(dict(maps)))
        return {name: found[name] for name in UNKNOWN}

    # The only template is T.
    estimates = {
        name.replace("with templates", "with T"): restored(maps)
        for name, maps in result.baselines.items()
    }
    if result.seeds is None:
        estimates["reconstruction"] = restored(result.maps)
        return PolarizedDenoising(given, pyramid, result, pairs, estimates, None)
    each = [restored(result.of_seed(seed).maps) for seed in result.seeds]
    seeds = {name: np.stack([maps[name] for maps in each]) for name in UNKNOWN}
    return PolarizedDenoising(given, pyramid, result, pairs, estimates, seeds)
