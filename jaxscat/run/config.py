"""The settings of one experiment: read from TOML, overridden on the command line, checked once."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from jaxscat.fields.seeds import MAX_SEEDS


class ConfigError(ValueError):
    """A config that cannot be used; the message says where, what came and what was expected."""


def _power_of_two(value: int) -> int:
    if value < 1 or value & (value - 1):
        raise ValueError("a power of two: 1, 2, 4, 8, ...")
    return value


def _thresholds(value: Any) -> Any:
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not given or any(type(part) not in (int, float) or not 0 <= part < inf for part in given):
        raise ValueError("a number from 0 up or a list of one for every scale")
    return given if isinstance(value, list | tuple) else value


def _counted(value: Any) -> Any:
    if type(value) is int and not 1 <= value <= MAX_SEEDS:
        raise ValueError(f"a list of seeds, or a number of them from 1 up to {MAX_SEEDS}")
    return tuple(range(value)) if type(value) is int else value


Nside = Annotated[int, AfterValidator(_power_of_two)]
Threshold = Annotated[float | tuple[float, ...], BeforeValidator(_thresholds)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_counted), Field(min_length=1, strict=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataConfig(_Section):
    """Which map is the original: a dataset by name or a file by path (see `load_map`), not both.

    `unseen` says what becomes of pixels without data: refused, or zeros of the mask. `transform`
    "standardise" takes the mean off and divides by the standard deviation before anything else;
    "exp" takes the exponential of that, a map with a long tail.
    """

    dataset: str | None = None
    path: str | None = None
    nside: Nside | None = None
    order: Literal["RING", "NESTED"] | None = None
    field: Annotated[int, Field(ge=0)] | str = 0
    unseen: Literal["refuse", "mask"] = "refuse"
    transform: Literal["none", "standardise", "exp"] = "none"

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.dataset is None) == (self.path is None):
            raise ValueError("exactly one of data.dataset and data.path")
        return self


class PyramidConfig(_Section):
    """The wavelets and the scales at which they look (see `build_pyramid`)."""

    orientations: int = Field(default=4, ge=1)
    kernel_size: Literal[3, 5, 7] = 3
    scales: int | None = Field(default=None, ge=1)
    geometry: Literal["exact", "foscat"] = "exact"


class TargetConfig(_Section):
    """What the new map is held to, and how maps are measured for it (see `make_target`).

    `mask` is the path of a map of weights, which is in `data.order` if it is a `.npy` file;
    `mask_threshold` is one number or one for every scale.
    `second` is a dataset or the path of a second map, with which every map is measured; it is read
    and transformed as the original is. `reduction` "isotropic" is `IsotropicMean`, "harmonics" is
    `FourierHarmonics` with that many `harmonics` (one if it does not say). `alignment` "target"
    counts the orientations of every map from those that dominate the original.
    """

    sigma: Literal["pixels", "foscat"] = "pixels"
    sigma_floor: float = Field(default=0.01, ge=0, lt=1)
    coarsest_nside: Nside | None = None
    weights: Literal["balanced", "plain"] = "balanced"
    mask: str | None = None
    mask_threshold: Threshold | None = None
    normalization: Literal["none", "target", "own"] = "none"
    reduction: Literal["none", "isotropic", "harmonics"] = "none"
    harmonics: int | None = Field(default=None, ge=1)
    second: str | None = None
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


class SynthesisConfig(_Section):
    """How new maps are made (see `synthesize_many`): one map per seed.

    `seeds` is a list, or in a file a number N for 0 to N - 1; `batch_size` is how many of them are
    changed at once. `start` is a Gaussian map with the original's power spectrum, white noise, or
    the reference experiment's white noise (see `jaxscat.fields.noise`).

    A synthesis ends after `max_steps`, after `max_evaluations`, or once 25 steps have lowered the
    loss by less than the fraction `stagnation`. `form` "harmonic" changes a field that is filtered
    to the original's power spectrum (see `harmonic_form`) instead of the pixels. With `first_nside`
    maps are made at that nside first, and refined from one nside to the next (see
    `synthesize_levels`); limits hold for each.

    `gaussianize` has them made from the original with a Gaussian histogram, which is taken back
    from every new map (see `jaxscat.gaussianize`).
    """

    seeds: Seeds = (1234,)
    start: Literal["gaussian_noise", "white_noise", "reference_noise"] = "gaussian_noise"
    batch_size: int | None = Field(default=None, ge=1)
    max_steps: int = Field(default=300, ge=1)
    max_evaluations: int | None = Field(default=None, ge=1)
    stagnation: float | None = Field(default=None, ge=0, lt=1)
    memory: int = Field(default=50, ge=1)
    form: Literal["pixels", "harmonic"] = "pixels"
    first_nside: Nside | None = None
    gaussianize: bool = False

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds that differ from one another")
        return seeds


class CheckpointConfig(_Section):
    """When a run keeps its state: after so many steps or minutes, 0 is never (`Checkpoints`)."""

    every_steps: int = Field(default=0, ge=0)
    every_minutes: float = Field(default=5.0, ge=0, lt=inf)


class RunConfig(_Section):
    """What the run is called and where and how precisely it computes."""

    # No default here: `load_config` takes the file's own name.
    name: str = Field(default="run", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    precision: Literal["float32", "float64"] = "float32"
    platform: Literal["default", "cpu", "gpu", "tpu"] = "default"


class Config(_Section):
    """One whole experiment; every section but `data` has defaults."""

    data: DataConfig
    pyramid: PyramidConfig = PyramidConfig()
    target: TargetConfig = TargetConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    checkpoints: CheckpointConfig = CheckpointConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        target = self.target
        if target.mask_threshold is not None and target.mask is None and self.data.unseen != "mask":
            raise ValueError("target.mask_threshold only with target.mask or data.unseen = 'mask'")
        if 2 * (target.harmonics or 0) > self.pyramid.orientations:
            raise ValueError("target.harmonics of at most half the pyramid.orientations")
        return self

    def to_toml(self) -> str:
        """The config as TOML, all defaults written out and unset entries left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


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
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {str(path)!r} is not valid TOML: {error}") from None
    for location, words in (overrides or {}).items():
        _override(tree, location, words)
    if isinstance(tree.setdefault("run", {}), dict):
        tree["run"].setdefault("name", re.sub(r"[^A-Za-z0-9_.-]|^[.-]", "_", path.stem))
    return config_from_tree(tree, source=str(path))


def config_from_tree(tree: Mapping[str, Any], *, source: str = "config") -> Config:
    """Check a nested mapping of settings; `source` names it in the message of a `ConfigError`."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigError(f"{source}: {problems}") from None


def parse_overrides(words: Sequence[str]) -> dict[str, list[str]]:
    """Sort command-line words `--section.key value ...` (or `--section.key=value`) by key.

    Raises `ConfigError` for a word that belongs to no key and for a key without a value.
    """
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            location, separator, value = word[2:].partition("=")
            current = found[location] = [value] if separator else []
        elif current is None:
            raise ConfigError(f"unexpected {word!r}; expected --section.key value")
        else:
            current.append(word)
    for location, values in found.items():
        if not values:
            raise ConfigError(f"--{location} has no value; expected --{location} value")
    return found


def _override(tree: dict[str, Any], location: str, words: Sequence[str]) -> None:
    """Set one entry of the tree from its command-line words, read as the entry's type asks."""
    section, _, key = location.partition(".")
    if section not in Config.model_fields or not key:
        raise ConfigError(_unknown(f"--{location}", section, list(Config.model_fields)))
    model = Config.model_fields[section].annotation
    assert isinstance(model, type) and issubclass(model, _Section)
    if key not in model.model_fields:
        raise ConfigError(_unknown(f"--{location}", key, list(model.model_fields)))
    kinds = _kinds(model.model_fields[key].annotation)
    values = [_read(word, kinds) for word in words]
    table = tree.setdefault(section, {})
    if not isinstance(table, dict):
        return  # the wrong type of the section itself is reported by the validation
    if tuple in kinds and (len(values) > 1 or kinds == {tuple}):
        table[key] = values
    elif len(values) > 1:
        raise ConfigError(f"--{location} {' '.join(words)}: expected one value")
    elif values[0] is None:
        table.pop(key, None)
    else:
        table[key] = values[0]
        if location in ("data.path", "data.dataset"):
            table.pop("dataset" if key == "path" else "path", None)


def _kinds(annotation: Any) -> set[type]:
    """The plain types that an annotation lets through."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return set().union(*(_kinds(option) for option in get_args(annotation)))
    if origin is Literal:
        return {type(option) for option in get_args(annotation)}
    return {origin or annotation}


def _read(word: str, kinds: set[type]) -> Any:
    if type(None) in kinds and word.lower() == "none":
        return None
    if str in kinds and not (int in kinds and word.isdigit()):
        return word
    try:
        return tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


def _describe(problem: Mapping[str, Any]) -> str:
    """One problem that pydantic found, as `section.key = value: expected ...`."""
    *parents, last = [str(part) for part in problem["loc"]] or ["config"]
    location = ".".join([*parents, last])
    if problem["type"] == "extra_forbidden":
        model: Any = Config.model_fields[parents[0]].annotation if parents else Config
        return _unknown(location, last, list(model.model_fields))
    if problem["type"] == "missing":
        return f"{location} is missing"
    expected = problem["msg"]
    for opening in ("Input should be ", "Value error, "):
        expected = expected.removeprefix(opening)
    if problem["type"] == "value_error" and isinstance(problem["input"], dict | _Section):
        return f"expected {expected}"  # entries contradict each other
    if problem["type"] == "model_type":
        expected = f"a table [{location}]"
    return f"{location} = {problem['input']!r}: expected {expected}"


def _unknown(location: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    return f"{location} is not a setting; {hint}"
