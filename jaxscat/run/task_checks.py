"""What the sections of a config must have in common for its task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from jaxscat.reconstruction.inpaint import GapStart
from jaxscat.reconstruction.starts import Start
from jaxscat.run.polarization_checks import check_polarization
from jaxscat.run.polarized_denoising_checks import check_polarized_denoising
from jaxscat.run.task_config import MOST_SEEDS, NoiseConfig

if TYPE_CHECKING:
    from jaxscat.run.config import Config

# Sections by the tasks that use them; all others serve every task.
_TASKS = {
    "target": ("synthesis", "polarization", "denoise"),
    "synthesis": ("synthesis", "polarization"),
    "polarization": ("polarization", "denoise-polarization"),
    "channels": ("separate",),
    "noise": ("denoise", "separate", "denoise-polarization"),
    "contaminant": ("separate",),
    "gaps": ("inpaint",),
    "truth": ("denoise", "inpaint", "separate", "denoise-polarization"),
    "reconstruction": ("denoise", "inpaint", "separate", "denoise-polarization"),
}
_TERMS = {
    "denoise": ("scattering", "cross", "power", "fidelity", "residual"),
    "denoise-polarization": ("scattering",),
    "inpaint": ("scattering", "cross"),
    "separate": ("scattering", "cross", "power", "residual"),
}
# Entries of [noise] and [contaminant] by the kinds that read them.
_KINDS = {
    "standard_deviation": ("white", "spectrum"),
    "deviation_map": ("white",),
    "spectrum": ("spectrum",),
    "slope": ("spectrum",),
    "first": ("halves",),
    "second": ("halves",),
    "paths": ("maps",),
    "fields": ("maps",),
    "field": ("white", "halves", "maps"),
    "hdu": ("white", "halves", "maps"),
}
# Of [target], what is not how maps are measured but of the original alone.
_ONLY_SYNTHESIS = (
    *("sigma", "sigma_floor", "hidden", "second", "second_field", "second_hdu"),
    "second_order",
    *("mask_threshold",),
)


def foreign_sections(config: Config) -> set[str]:
    """Return the names of the sections that the task of a config does not use."""
    return {name for name, tasks in _TASKS.items() if config.task.kind not in tasks}


def sections_of(kind: str) -> set[str]:
    """Return the names of the sections that a task uses, of those that not every task does.

    Those of every task are among them.
    """
    every = {"task", "data", "pyramid", "checkpoints", "run"}
    return every | {name for name, tasks in _TASKS.items() if kind in tasks}


def check_task(config: Config) -> None:
    """Check that sections fit the task and each other.

    Raises:
        ValueError: they do not; the message says what is expected.
    """
    kind = config.task.kind
    for name in _TASKS:
        default = type(config).model_fields[name].default
        if kind not in _TASKS[name] and getattr(config, name) != default:
            raise ValueError(f"[{name}] only with task.kind = {_either(_TASKS[name])}")
    _check_source(config)
    columns = config.polarization.columns
    if columns is not None and not 2 <= len(set(columns)) == len(columns) <= 3:
        raise ValueError("polarization.columns of I, Q and U, or of Q and U: different ones")
    if kind == "synthesis":
        return
    if config.data.transform == "log":
        raise ValueError("data.transform = 'log' only with task.kind = 'synthesis'")
    if kind == "polarization":
        check_polarization(config)
        return
    if kind == "denoise-polarization":
        check_polarized_denoising(config)
    _check_reconstruction(config)
    if config.truth.path is not None and config.truth.dataset is not None:
        raise ValueError("one of truth.dataset and truth.path")
    has_truth = config.truth.path is not None or config.truth.dataset is not None
    if has_truth and config.data.transform != "none":
        raise ValueError("[truth] only with data.transform = 'none'")
    if kind == "denoise":
        _check_target(config)
    simulated = config.noise.add_to_data or config.contaminant.add_to_data
    if has_truth and simulated:
        raise ValueError("no [truth] with add_to_data = true: the map of [data] is the truth")
    if kind == "inpaint":
        _check_gaps(config, has_truth)
    for section in ("noise", "contaminant"):
        if kind in _TASKS[section]:
            needed = section == "noise" and kind != "separate"
            _check_noise(config, section, getattr(config, section), needed=needed)
    if kind == "separate":
        _check_separation(config)


def _check_source(config: Config) -> None:
    """Check that there is exactly one source of data."""
    kind, data = config.task.kind, config.data
    named = [f"data.{name}" for name in ("dataset", "path") if getattr(data, name) is not None]
    if kind == "separate" and config.channels.paths is not None:
        named.append("channels.paths")
    if len(named) == 1 or (kind == "denoise" and config.noise.kind == "halves" and not named):
        return
    other = " and channels.paths" if kind == "separate" else ""
    join = ", " if other else " and "
    raise ValueError(f"exactly one of data.dataset{join}data.path{other}")


def _check_reconstruction(config: Config) -> None:
    kind, settings = config.task.kind, config.reconstruction
    if settings.seeds is not None and len(settings.seeds) > MOST_SEEDS:
        raise ValueError(f"reconstruction.seeds of at most {MOST_SEEDS} solutions")
    if settings.seeds is not None and len(set(settings.seeds)) < len(settings.seeds):
        raise ValueError("reconstruction.seeds that differ from one another")
    known = get_args(GapStart) if kind == "inpaint" else get_args(Start)
    if settings.start is not None and settings.start not in known:
        raise ValueError(f"reconstruction.start = {_either(known)} with task.kind = {kind!r}")
    for name in settings.terms:
        if name not in _TERMS[kind]:
            raise ValueError(
                f"reconstruction.terms among {', '.join(map(repr, _TERMS[kind]))} with task.kind = "
                f"{kind!r}"
            )
    if len(set(settings.terms)) < len(settings.terms):
        raise ValueError("reconstruction.terms that differ from one another")
    if ("cross" in settings.terms) != (settings.template is not None):
        raise ValueError("reconstruction.template together with the term 'cross'")
    for name in ("weights", "levels"):
        for term in getattr(settings, name) or {}:
            if term not in settings.terms:
                raise ValueError(f"reconstruction.{name}.{term} only with the term {term!r}")
    if kind == "inpaint":
        for name in ("levels", "realizations"):
            if getattr(settings, name) is not None:
                raise ValueError(f"reconstruction.{name} only with noise, not for gaps")
    elif settings.reach != type(settings).model_fields["reach"].default:
        raise ValueError("reconstruction.reach only with task.kind = 'inpaint'")


def _check_target(config: Config) -> None:
    default = type(config).model_fields["target"].default
    for name in _ONLY_SYNTHESIS:
        if getattr(config.target, name) != getattr(default, name):
            raise ValueError(f"target.{name} only with task.kind = 'synthesis'")


def _check_gaps(config: Config, has_truth: bool) -> None:
    gaps = config.gaps
    simulated = gaps.discs is not None or gaps.band is not None
    if gaps.path is None and not simulated and config.data.unseen != "mask":
        raise ValueError("gaps.path, gaps.discs, gaps.band or data.unseen = 'mask'")
    if simulated and (gaps.path is not None or config.data.unseen == "mask"):
        raise ValueError(
            "gaps.discs and gaps.band only in a map without gaps: no gaps.path and no data.unseen "
            "= 'mask'"
        )
    if simulated and has_truth:
        raise ValueError("no [truth] with gaps.discs or gaps.band: the map of [data] is the truth")


def _check_noise(config: Config, section: str, noise: NoiseConfig, *, needed: bool) -> None:
    """Check that the entries of a kind are there, and no others."""
    if noise.kind is None:
        for name in type(noise).model_fields:
            if getattr(noise, name) != type(noise).model_fields[name].default or needed:
                raise ValueError(
                    f"{section}.kind = 'white', 'spectrum', 'halves' or 'maps', which says what "
                    f"the {section} is"
                )
        return
    for name, kinds in _KINDS.items():
        if noise.kind not in kinds and getattr(noise, name) is not None:
            raise ValueError(f"{section}.{name} only with {section}.kind = {_either(kinds)}")
    for problem in _missing_entries(section, noise):
        raise ValueError(problem)
    if config.data.transform != "none" and noise.kind in ("halves", "maps"):
        raise ValueError(
            f"{section}.kind = 'white' or 'spectrum' with data.transform = "
            f"{config.data.transform!r}: maps of noise are not transformed"
        )
    if config.data.transform != "none" and not noise.add_to_data:
        raise ValueError(
            f"data.transform = 'none' for data that have noise already, not "
            f"{config.data.transform!r}, which would change their noise as well "
            f"({section}.add_to_data = true is for a map without noise)"
        )
    if noise.add_to_data and config.data.path is None and config.data.dataset is None:
        raise ValueError(f"{section}.add_to_data only with data.path or data.dataset")
    solved = config.reconstruction.seeds or (0,)
    if noise.add_to_data and noise.add_seed in solved:
        raise ValueError(
            f"{section}.add_seed other than the seeds of the reconstruction ({noise.add_seed}): it "
            "must not know the realization that was added"
        )


def _missing_entries(section: str, noise: NoiseConfig) -> Iterator[str]:
    """Say what the kind of a noise lacks."""

    def has(name: str) -> bool:
        return getattr(noise, name) is not None

    kind = f"{section}.kind = {noise.kind!r}"
    if noise.kind == "white" and has("standard_deviation") == has("deviation_map"):
        yield f"{section}.standard_deviation or {section}.deviation_map with {kind}"
    power_law = has("slope") and has("standard_deviation")
    if noise.kind == "spectrum":
        part = has("slope") or has("standard_deviation")
        if has("spectrum") == part or (part and not power_law):
            yield (
                f"{section}.spectrum, or {section}.slope and {section}.standard_deviation, with "
                f"{kind}"
            )
    if noise.kind == "halves":
        for name, other in (("first", "second"), ("second", "first")):
            if not has(name):
                yield f"{section}.{name} beside {section}.{other} with {kind}"
    if noise.kind == "maps":
        if not noise.paths:
            yield f"{section}.paths with {kind}"
        elif has("fields") and (len(noise.paths) > 1 or has("field")):
            yield f"{section}.fields with one path in {section}.paths, and without {section}.field"


def _check_separation(config: Config) -> None:
    channels = config.channels
    if config.data.unseen == "mask":
        raise ValueError("data.unseen = 'refuse' with task.kind = 'separate': it needs whole maps")
    if channels.mixing is None or len(channels.mixing) < 2:
        raise ValueError("channels.mixing with the strength of the signal in two channels or more")
    named, count = "channels.paths", None if channels.paths is None else len(channels.paths)
    if channels.fields is not None:
        if count != 1:
            raise ValueError("channels.fields with one path in channels.paths")
        if config.data.field is not None:
            raise ValueError("channels.fields without data.field")
        named, count = "channels.fields", len(channels.fields)
    if count is not None and count != len(channels.mixing):
        raise ValueError(f"channels.mixing of {count} numbers, one for each of {named}")
    given = [name for name in ("noise", "contaminant") if getattr(config, name).kind is not None]
    if not given:
        raise ValueError("[contaminant] or [noise], or both, with task.kind = 'separate'")
    for name in given:
        if channels.paths is None and not getattr(config, name).add_to_data:
            raise ValueError(
                f"{name}.add_to_data = true without channels.paths: channels are made of the map "
                "of [data]"
            )
    if channels.paths is not None and config.data.transform != "none":
        raise ValueError("data.transform = 'none' with channels.paths")


def _either(names: tuple[str, ...]) -> str:
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last
