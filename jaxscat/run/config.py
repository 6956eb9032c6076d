"""The settings of one experiment, read from TOML and checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import Field, ValidationError, field_validator, model_validator

from jaxscat.minimization.lbfgs import MOST_CORRECTIONS
from jaxscat.run.config_types import BadData, Column, Nside, Section, Seeds, Select, Threshold
from jaxscat.run.overrides import (
    ConfigError,
    describe_problems,
    merge_alternatives,
    override_entry,
    parse_toml,
)
from jaxscat.run.task_checks import check_task, foreign_sections
from jaxscat.run.task_config import (
    ChannelsConfig,
    GapsConfig,
    NoiseConfig,
    PolarizationConfig,
    ReconstructionConfig,
    TaskConfig,
    TruthConfig,
)


class DataConfig(Section):
    """The original, or the data: a dataset by name or a file by path (see `load_map`), not both.

    `unseen` "refuse" refuses pixels without data, "mask" gives them weight zero. `field`
    and `hdu` say which column (or variable) of which table is the map; `unit`, `bad_data`,
    `zero_hits` and `select` are those of `load_sky`.
    `transform` "standardise" subtracts the mean and divides by the standard deviation before
    anything else; "exp" takes the exponential of that, a map with a long tail.
    """

    dataset: str | None = None
    path: str | None = None
    nside: Nside | None = None
    order: Literal["RING", "NESTED"] | None = None
    field: Column = None
    hdu: Column = None
    unit: str | None = None
    unseen: Literal["refuse", "mask"] = "refuse"
    bad_data: BadData | None = None
    zero_hits: Literal["data", "bad"] = "data"
    select: Select = None
    transform: Literal["none", "standardise", "exp"] = "none"


class PyramidConfig(Section):
    """The wavelets and their scales (see `build_pyramid`)."""

    orientations: int = Field(default=4, ge=1)
    kernel_size: Literal[3, 5, 7] = 3
    scales: int | None = Field(default=None, ge=1)
    geometry: Literal["exact", "foscat"] = "exact"


class TargetConfig(Section):
    """The target statistics, their uncertainties, and how maps are measured (see `make_target`).

    `mask` is the path of a map of weights, which is in `data.order` if its file states none, and
    `mask_field` and `mask_hdu` are its column and table; `mask_threshold` is one number or one for
    every scale. `hidden` is what becomes of pixels without data or weight: "exclude" keeps them out
    (see `make_target`), "patch" does so with the wavelets of the other pixels alone, "interior"
    leaves out all that they disturb, "include" reads what stands there.
    `second` is a dataset or the path of a second map, with which every map is measured; it is read
    and transformed as the original is, from `second_field` and `second_hdu` if they are given.
    `reduction` "isotropic" is `IsotropicMean`, "harmonics" is
    `FourierHarmonics` with a number of `harmonics` (default one). `alignment` "target"
    counts the orientations of every map from those that dominate the original.
    """

    sigma: Literal["pixels", "foscat"] = "pixels"
    sigma_floor: float = Field(default=0.01, ge=0, lt=1)
    coarsest_nside: Nside | None = None
    weights: Literal["balanced", "plain"] = "balanced"
    mask: str | None = None
    mask_field: Column = None
    mask_hdu: Column = None
    mask_threshold: Threshold | None = None
    hidden: Literal["exclude", "include", "interior", "patch"] = "exclude"
    normalization: Literal["none", "target", "own"] = "none"
    reduction: Literal["none", "isotropic", "harmonics"] = "none"
    harmonics: int | None = Field(default=None, ge=1)
    second: str | None = None
    second_field: Column = None
    second_hdu: Column = None
    alignment: Literal["none", "target"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _one_harmonic(cls, entries: Any) -> Any:
        if isinstance(entries, dict) and entries.get("reduction") == "harmonics":
            return {"harmonics": 1} | entries
        return entries

    @model_validator(mode="after")
    def _harmonics_of_a_reduction(self) -> TargetConfig:
        if self.harmonics is not None and self.reduction != "harmonics":
            raise ValueError("target.harmonics only with target.reduction = 'harmonics'")
        return self


class SynthesisConfig(Section):
    """The synthesis of new maps (see `synthesize_many`): one map per seed.

    `seeds` is a list, or in a file a number N for 0 to N - 1; `batch_size` is the number of maps
    that are changed at once. `start` is a Gaussian map with the original's power spectrum, white
    noise, or the reference experiment's white noise (see `jaxscat.fields.starts`).

    A synthesis ends after `max_steps`, after `max_evaluations`, or once 25 steps have lowered the
    loss by less than the fraction `stagnation`. `form` "harmonic" changes a field that is filtered
    to the original's power spectrum (see `harmonic_form`) instead of the pixels. With `first_nside`
    maps are made at that nside first, and refined from one nside to the next (see
    `synthesize_levels`); limits hold for each.

    New maps have no data (UNSEEN) in hidden pixels; with `hidden_part` "free" they keep what the
    synthesis leaves there, a continuation that nothing constrains.

    `gaussianize` has them made from the original with a Gaussian histogram, which is taken back
    from every new map (see `jaxscat.gaussianize`).
    """

    seeds: Seeds = (1234,)
    start: Literal["gaussian_noise", "white_noise", "reference_noise"] = "gaussian_noise"
    batch_size: int | None = Field(default=None, ge=1)
    max_steps: int = Field(default=300, ge=1)
    max_evaluations: int | None = Field(default=None, ge=1)
    stagnation: float | None = Field(default=None, ge=0, lt=1)
    memory: int = Field(default=50, ge=1, le=MOST_CORRECTIONS)
    form: Literal["pixels", "harmonic"] = "pixels"
    first_nside: Nside | None = None
    gaussianize: bool = False
    hidden_part: Literal["unseen", "free"] = "unseen"

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds that differ from one another")
        return seeds


class CheckpointConfig(Section):
    """The intervals at which a run keeps its state, in steps and minutes; 0 is never."""

    every_steps: int = Field(default=0, ge=0)
    every_minutes: float = Field(default=5.0, ge=0, lt=inf)


class RunConfig(Section):
    """The name of the run, and the platform and the precision of its computations.

    With `pyramid_cache` wavelets are kept in the user's cache folder, and loaded from there.
    """

    # No default here: `load_config` takes the file's own name.
    name: str = Field(default="run", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    precision: Literal["float32", "float64"] = "float32"
    platform: Literal["default", "cpu", "gpu", "tpu"] = "default"
    pyramid_cache: bool = False


class Config(Section):
    """One whole experiment; every section but `data` has defaults.

    Of sections that its task does not use, nothing may be set.
    """

    task: TaskConfig = TaskConfig()
    data: DataConfig
    polarization: PolarizationConfig = PolarizationConfig()
    channels: ChannelsConfig = ChannelsConfig()
    noise: NoiseConfig = NoiseConfig()
    contaminant: NoiseConfig = NoiseConfig()
    gaps: GapsConfig = GapsConfig()
    truth: TruthConfig = TruthConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    pyramid: PyramidConfig = PyramidConfig()
    target: TargetConfig = TargetConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="before")
    @classmethod
    def _data_elsewhere(cls, tree: Any) -> Any:
        """Let channels or half missions stand for a missing [data]."""
        elsewhere = [("channels", "paths"), ("noise", "first")]
        if isinstance(tree, dict) and "data" not in tree:
            for section, entry in elsewhere:
                if isinstance(tree.get(section), dict) and entry in tree[section]:
                    return {"data": {}} | tree
        return tree

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        check_task(self)
        target = self.target
        if target.mask_threshold is not None and target.mask is None and self.data.unseen != "mask":
            raise ValueError("target.mask_threshold only with target.mask or data.unseen = 'mask'")
        if target.hidden == "patch" and self.synthesis.form == "harmonic":
            raise ValueError("synthesis.form = 'harmonic' only if target.hidden is not 'patch'")
        if target.hidden == "patch" and self.synthesis.hidden_part == "free":
            raise ValueError("synthesis.hidden_part = 'free' only if target.hidden is not 'patch'")
        if 2 * (target.harmonics or 0) > self.pyramid.orientations:
            raise ValueError("target.harmonics of at most half the pyramid.orientations")
        return self

    def to_toml(self) -> str:
        """Write the config as TOML with all defaults, without unset entries and unused sections."""
        unused = foreign_sections(self)
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True, exclude=unused))


def load_config(path: str | Path, overrides: Mapping[str, Sequence[str]] | None = None) -> Config:
    """Read a TOML config, put the overrides on top, and check the whole.

    `overrides` maps "section.key" to its words on the command line (see `parse_overrides`).
    A dataset given there replaces the path of the file, and the other way round; "none" unsets
    an optional entry. `run.name` defaults to the file's name without its suffix.

    Raises `FileNotFoundError` when there is no such file and `ConfigError` for broken TOML, an
    unknown key, a wrong type or a value out of range.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"config file {str(path)!r} does not exist")
    if not path.is_file():
        raise ConfigError(f"config file {str(path)!r} is no file, expected one of TOML")
    try:
        tree = parse_toml(path.read_text(encoding="utf-8-sig"))  # some editors begin with a mark
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {str(path)!r} is not valid TOML: {error}") from None
    for location, words in (overrides or {}).items():
        override_entry(tree, location, words, Config)
    if isinstance(tree.setdefault("run", {}), dict):
        tree["run"].setdefault("name", re.sub(r"[^A-Za-z0-9_.-]|^[.-]", "_", path.stem))
    return config_from_tree(tree, source=str(path))


def config_from_tree(tree: Mapping[str, Any], *, source: str = "config") -> Config:
    """Check a nested mapping of settings; `source` names it in the message of a `ConfigError`."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        found = merge_alternatives(error.errors(), tree)
        raise ConfigError(f"{source}: {describe_problems(found, Config)}") from None
