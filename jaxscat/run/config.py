"""The settings of one experiment, read from TOML and checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError, model_validator

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.formats import map_suffixes
from jaxscat.run.config_types import Section
from jaxscat.run.overrides import (
    ConfigError,
    describe_problems,
    merge_alternatives,
    override_entry,
    parse_toml,
)
from jaxscat.run.sections import (
    CheckpointConfig,
    DataConfig,
    PyramidConfig,
    RunConfig,
    SynthesisConfig,
    TargetConfig,
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
    return _complete(tree, overrides or {}, path.stem, str(path))


def task_of(path: str | Path) -> str:
    """Return the task that a config states, "synthesis" where it states none or cannot be read."""
    try:
        task = parse_toml(Path(path).read_text(encoding="utf-8-sig"))["task"]["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        return "synthesis"
    return task if isinstance(task, str) else "synthesis"


def config_of_map(source: str, overrides: Mapping[str, Sequence[str]] | None = None) -> Config:
    """Make the config of a map alone: a dataset by its name, or a file of maps by its path.

    `overrides` are those of `load_config`. `run.name` is the name of the dataset, or that of the
    file without its suffixes. With `channels.paths` the map is the first of the channels.

    Raises `ConfigError` as `load_config`, and for another map than the first of the channels.
    """
    dataset = source in dataset_names()
    tree: dict[str, Any] = {"data": {"dataset" if dataset else "path": source}}
    channels = list((overrides or {}).get("channels.paths", ()))
    if channels and channels != ["none"]:  # they stand for the map
        if source != channels[0]:
            raise ConfigError(
                f"got {source!r} beside --channels.paths {' '.join(channels)}, expected the first "
                "of the channels in both places"
            )
        tree = {"data": {}}
    name = Path(source).name
    known = [suffix for suffix in map_suffixes() if name.lower().endswith(suffix)]
    stem = name[: -max(map(len, known))] if known and not dataset else name
    return _complete(tree, overrides or {}, stem or "run", source)


def _complete(
    tree: dict[str, Any], overrides: Mapping[str, Sequence[str]], name: str, source: str
) -> Config:
    """Put overrides on a tree, name its run unless it has a name, and check it."""
    for location, words in overrides.items():
        override_entry(tree, location, words, Config)
    if isinstance(tree.setdefault("run", {}), dict):
        tree["run"].setdefault("name", re.sub(r"[^A-Za-z0-9_.-]|^[.-]", "_", name))
    return config_from_tree(tree, source=source)


def config_from_tree(tree: Mapping[str, Any], *, source: str = "config") -> Config:
    """Check a nested mapping of settings; `source` names it in the message of a `ConfigError`."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        found = merge_alternatives(error.errors(), tree)
        raise ConfigError(f"{source}: {describe_problems(found, Config)}") from None
