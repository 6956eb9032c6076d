"""The sections of a config that say what is made of a map, and what is known of its noise."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from jaxscat.fields.noise import MOST_REALIZATIONS
from jaxscat.minimization.lbfgs import MOST_CORRECTIONS
from jaxscat.reconstruction.inpaint import GapStart
from jaxscat.reconstruction.options import TermName
from jaxscat.reconstruction.starts import Start
from jaxscat.run.config_types import Column, Section, Seed, Seeds

TaskKind = Literal[
    "synthesis", "polarization", "denoise", "denoise-polarization", "inpaint", "separate"
]

# Files of one seed each would be needed beyond, as a synthesis writes them.
MOST_SEEDS = 64


def _several(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names(value: Any) -> Any:
    """Return a single name as a tuple, too: on the command line it is no list."""
    return (value,) if isinstance(value, str) else _several(value)


def _columns(value: Any) -> Any:
    listed = _several(value)
    good = isinstance(listed, tuple) and listed
    if listed is None or (
        good and all(isinstance(of, str) or (type(of) is int and of >= 0) for of in listed)
    ):
        return listed
    raise ValueError("a list of columns, by their numbers from 0 or by their names")


def _by_term(value: Any) -> Any:
    real = isinstance(value, dict) and all(type(of) in (int, float) for of in value.values())
    if value is None or (real and set(value) <= set(get_args(TermName))):
        return value
    raise ValueError(f"a table of numbers by the names of terms ({', '.join(get_args(TermName))})")


Paths = Annotated[tuple[str, ...] | None, BeforeValidator(_several)]
Columns = Annotated[tuple[int | str, ...] | None, BeforeValidator(_columns)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names), Field(min_length=1)]
Numbers = Annotated[tuple[float, ...] | None, BeforeValidator(_several)]
Terms = Annotated[tuple[TermName, ...], BeforeValidator(_several), Field(min_length=1)]
ByTerm = Annotated[dict[str, float] | None, BeforeValidator(_by_term)]


class TaskConfig(Section):
    """What is made of the map of `[data]`.

    "synthesis" makes new maps with its statistics, "polarization" new polarized maps with those of
    T, E and B (see `[polarization]`), "denoise" takes noise off it, "denoise-polarization" takes it
    off the E and B of a polarized map, "inpaint" fills its gaps, and "separate" takes a contaminant
    off that several channels share.
    """

    kind: TaskKind = "synthesis"


class PolarizationConfig(Section):
    """The fields of a polarized map, and the pairs of them that new maps share with it.

    `fields` are E and B, or Q and U as scalars, with T or without. `pairs` are names such as "TT"
    and "TE"; unset, each field alone and every two together. `parity` "even" leaves out what a
    mirror changes (see `make_field_target`). `lmax` is the last multipole of T, E and B, at most
    and if it is unset 2 nside.

    Of "denoise-polarization", E and B are estimated, T is known without noise if it is among the
    fields, and `pairs` are those that count, each with E or B.
    """

    fields: Names = ("T", "E", "B")
    pairs: Names | None = None
    parity: Literal["all", "even"] = "all"
    lmax: int | None = Field(default=None, ge=2)


class ChannelsConfig(Section):
    """The channels of a separation, and the strength of the signal in each (`mixing`).

    Without `paths` the map of `[data]` is the signal, of which channels are made.
    """

    paths: Paths = None
    mixing: Numbers = None


class NoiseConfig(Section):
    """The noise of the data, or a contaminant; in the unit of the data.

    `kind` is "white" (`standard_deviation` of a pixel at the working nside, or `deviation_map`, the
    path of a map of it), "spectrum" (the path of a file of C_l from l = 0 on, as text, .npy or
    .fits; or a power law l^`slope` from l = 2 of a `standard_deviation`), "halves" (paths of the
    `first` and `second` half-mission map, of whose mean it is the noise), or "maps" (`paths` of
    realizations, or one path with `fields`). `field` and `hdu` say which column of which table.

    With `add_to_data` the map of `[data]` is a truth without it: the realization of `add_seed` is
    added to make the data.

    Of "denoise-polarization" it is the noise of Q and U: "white" with the same deviation in both,
    or polarized files of "halves" or "maps".
    """

    kind: Literal["white", "spectrum", "halves", "maps"] | None = None
    standard_deviation: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    deviation_map: str | None = None
    spectrum: str | None = None
    slope: float | None = Field(default=None, allow_inf_nan=False)
    first: str | None = None
    second: str | None = None
    paths: Paths = None
    fields: Columns = None
    field: Column = None
    hdu: Column = None
    add_to_data: bool = False
    add_seed: Seed = 2**31


class GapsConfig(Section):
    """The gaps of a map: all of those that are given, and with `data.unseen` "mask" what it lacks.

    `path` is a map that is one (or True) in the pixels to fill and zero in all others; with
    `data.unseen` "mask" its own pixels without a value are no gaps. `discs` is
    the fraction of the sky that discs of `radius` degrees cover, at places of `seed`, and `band`
    the half width in degrees of a band around the equator of the map. Discs and bands are gaps in
    a map without any, which is then the truth.
    """

    path: str | None = None
    field: Column = None
    hdu: Column = None
    discs: float | None = Field(default=None, gt=0, lt=1)
    radius: float = Field(default=10.0, gt=0, le=90)
    seed: Seed = 0
    band: float | None = Field(default=None, gt=0, lt=90)


class TruthConfig(Section):
    """A map with which figures and tables compare: a dataset or a file.

    What is reconstructed does not depend on it.
    """

    dataset: str | None = None
    path: str | None = None
    field: Column = None
    hdu: Column = None


class ReconstructionConfig(Section):
    """How the signal is estimated (see `denoise`, `denoise_fields`, `inpaint` and `separate`).

    `seeds` is a list, or a number N for 0 to N - 1: each is another solution; unset is a single
    one. `weights` and `levels` are tables by the names of `terms`; `template` is the path of the
    map of the term "cross". `renewals` is the largest number of times that targets are measured
    anew (unset: 5, and 3 for gaps), with `steps` between two of them and with `realizations` of the
    noise each. `reach` is the distance in degrees within which the surroundings of gaps count most;
    with 0 all of the map counts alike. "denoise-polarization" has no terms but that of all pairs.
    """

    seeds: Seeds | None = None
    start: Start | GapStart | None = None
    terms: Terms = ("scattering",)
    weights: ByTerm = None
    levels: ByTerm = None
    template: str | None = None
    renewals: int | None = Field(default=None, ge=1)
    steps: int = Field(default=20, ge=1)
    realizations: int | None = Field(default=None, ge=8, le=MOST_REALIZATIONS)
    tolerance: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    memory: int = Field(default=20, ge=1, le=MOST_CORRECTIONS)
    batch_size: int | None = Field(default=None, ge=1)
    reach: float = Field(default=60.0, ge=0, le=180)
