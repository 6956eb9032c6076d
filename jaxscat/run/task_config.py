"""The sections of a config that say what is made of a map, and what is known of its noise."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from jaxscat.fields.noise import MOST_REALIZATIONS
from jaxscat.minimization.lbfgs import MOST_CORRECTIONS
from jaxscat.reconstruction.inpaint import GapStart
from jaxscat.reconstruction.options import TermName
from jaxscat.reconstruction.starts import Start
from jaxscat.run.config_types import Column, FileName, Kind, Section, Seed, Seeds, Source

TaskKind = Literal[
    "synthesis", "polarization", "denoise", "denoise-polarization", "inpaint", "separate"
]

# Files of one seed each would be needed beyond, as a synthesis writes them.
MOST_SEEDS = 64


def _several(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names(value: Any) -> Any:
    """Return a list as a tuple, and a single name as a tuple of one."""
    return (value,) if isinstance(value, str) else _several(value)


def _columns(value: Any) -> Any:
    single = isinstance(value, str) or type(value) is int
    listed = (value,) if single else _several(value)
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


Paths = Annotated[tuple[str, ...] | None, BeforeValidator(_names), Kind("list of paths of files")]
Columns = Annotated[
    tuple[int | str, ...] | None,
    BeforeValidator(_columns),
    Kind("list of names, or of numbers from 0"),
]
Names = Annotated[
    tuple[str, ...], BeforeValidator(_names), Field(min_length=1), Kind("list of names")
]
Numbers = Annotated[tuple[float, ...] | None, BeforeValidator(_several), Kind("list of numbers")]
Terms = Annotated[tuple[TermName, ...], BeforeValidator(_several), Field(min_length=1)]
ByTerm = Annotated[
    dict[str, float] | None, BeforeValidator(_by_term), Kind("table, as {scattering = 2}")
]


class TaskConfig(Section):
    """What is made of the map of `[data]`."""

    kind: TaskKind = "synthesis"
    """What a run makes: new maps with the statistics of a map ("synthesis") or of a polarized one
    ("polarization"), a map without its noise ("denoise", "denoise-polarization"), without its gaps
    ("inpaint"), or without a contaminant that several channels share ("separate")."""


class PolarizationConfig(Section):
    """The fields of a polarized map, and the pairs of them that count."""

    fields: Names = ("T", "E", "B")
    """Fields that are measured: E and B, or Q and U as scalars, with T or without."""
    columns: Columns = None
    """Columns of I, Q and U in the file of `[data]`, in this order, or of Q and U alone. Unset,
    they are found by their names."""
    pairs: Names | None = None
    """Pairs of fields whose statistics new maps share with the original, such as "TT" and "TE".
    Unset, each field alone and every two together."""
    parity: Literal["all", "even"] = "all"
    """Whether all statistics count, or only those that a mirror leaves as they are ("even")."""
    lmax: int | None = Field(default=None, ge=2)
    """Last multipole of T, E and B, at most twice the nside. Unset, twice the nside."""


class ChannelsConfig(Section):
    """The channels of a separation, and the strength of the signal in each."""

    paths: Paths = None
    """Files of the channels, or the one that has all of them. Unset, channels are made of the map
    of `[data]`, which is the signal."""
    fields: Columns = None
    """Columns of a single file that has all channels."""
    mixing: Numbers = None
    """Strength of the signal in each channel."""


class NoiseConfig(Section):
    """The noise of the data, or a contaminant; in the unit of the data."""

    kind: Literal["white", "spectrum", "halves", "maps"] | None = None
    """What is known of it: the standard deviation of its pixels ("white"), its power spectrum
    ("spectrum"), two maps of the same sky with independent noise, such as half missions, whose mean
    is the data ("halves"), or maps of simulated noise ("maps")."""
    standard_deviation: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Standard deviation of a pixel at the working nside, with "white" and with a power law."""
    deviation_map: FileName | None = None
    """Map of the standard deviation of every pixel, with "white"."""
    spectrum: FileName | None = None
    """File of C_l from l = 0 on, as text, `.npy` or FITS, with "spectrum"."""
    slope: float | None = Field(default=None, allow_inf_nan=False)
    """Slope of a power law C_l from l = 2 on in place of a file, with "spectrum"."""
    first: FileName | None = None
    """The first of the two maps of the same sky, with "halves"."""
    second: FileName | None = None
    """The second of the two maps of the same sky, with "halves"."""
    paths: Paths = None
    """Files of the realizations, with "maps": one in each, or all in one that has several
    columns."""
    fields: Columns = None
    """Columns of a single file that has all realizations."""
    field: Column = None
    """Column or variable of the files. Unset, that of the data."""
    hdu: Column = None
    """Table of the FITS files. Unset, that of the data."""
    add_to_data: bool = False
    """Whether it is added to the map of `[data]`, which then counts as the truth: for a trial with
    a map that has none. False for a map that has it already."""
    add_seed: Seed = 2**31
    """Seed of the realization that is added."""


class GapsConfig(Section):
    """The gaps of a map: all of those that are given, and with `data.unseen` "mask" what it lacks.

    Discs and bands are gaps in a map without any, which is then the truth.
    """

    path: FileName | None = None
    """Map that is one (or True) in the pixels to fill and zero in all others."""
    order: Literal["RING", "NESTED"] | None = None
    """Order of the pixels in that file, if it does not state it. Unset, `data.order`."""
    field: Column = None
    """Column or variable of that file. Unset, the only one."""
    hdu: Column = None
    """Table of that FITS file. Unset, the only one that holds maps."""
    discs: float | None = Field(default=None, gt=0, lt=1)
    """Fraction of the sky that discs at random places cover."""
    radius: float = Field(default=10.0, gt=0, le=90)
    """Radius of the discs in degrees."""
    seed: Seed = 0
    """Seed of the places of the discs."""
    band: float | None = Field(default=None, gt=0, lt=90)
    """Half width in degrees of a band around the equator of the map."""


class TruthConfig(Section):
    """A map with which figures and tables compare; what is reconstructed does not depend on it."""

    dataset: str | None = None
    """Name of a dataset that is the truth."""
    path: FileName | None = None
    """File of the truth."""
    field: Column = None
    """Column or variable of the truth. Unset, that of the data."""
    hdu: Column = None
    """Table of the FITS file of the truth. Unset, that of the data."""


class ReconstructionConfig(Section):
    """How the signal is estimated (see `denoise`, `denoise_fields`, `inpaint` and `separate`)."""

    seeds: Seeds | None = None
    """Seeds of several solutions. Unset, there is a single one."""
    start: Start | GapStart | None = None
    """Map from which it starts: the data filtered to the power of the signal ("square-root
    wiener"), to the least error ("wiener") or not at all ("data"), or the least error with a random
    part where noise hides the signal ("constrained"); in gaps a random Gaussian fill ("gaussian
    realization"), the mean of such fills ("gaussian mean") or one that is smooth ("diffusive").
    Unset, "square-root wiener", "constrained" for several seeds or the term "residual", and in gaps
    "gaussian realization"."""
    terms: Terms = ("scattering",)
    """What must be as the data say: scattering covariances of the map ("scattering"), or of the map
    with `template` ("cross"); its power spectrum ("power"); its distance from the data, pixel by
    pixel ("fidelity"); the scattering covariances of what is left of the data, which must be those
    of the noise ("residual")."""
    weights: ByTerm = None
    """Factors of the terms in the loss, by their names. Unset, one."""
    levels: ByTerm = None
    """Values of the terms below which nothing is gained, by their names; 0 is none. Unset, one,
    which is what the truth has on average."""
    template: Source | None = None
    """Map together with which maps are measured in the term "cross"."""
    renewals: int | None = Field(default=None, ge=1)
    """Largest number of times that targets are measured anew. Unset, 5, and 3 for gaps."""
    steps: int = Field(default=20, ge=1)
    """Number of steps of the minimization between two renewals."""
    realizations: int | None = Field(default=None, ge=8, le=MOST_REALIZATIONS)
    """Number of realizations of the noise of which a target is measured. Unset, 64, or 32 for each
    of several seeds, or as many as are given."""
    tolerance: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    """It ends once no term is above its level by more than this fraction of it."""
    memory: int = Field(default=20, ge=1, le=MOST_CORRECTIONS)
    """Number of former steps from which L-BFGS estimates the curvature."""
    batch_size: int | None = Field(default=None, ge=1)
    """Number of solutions that are changed at once. Unset, as many as memory holds, at most 8 on a
    CPU."""
    reach: float = Field(default=60.0, ge=0, le=180)
    """Distance in degrees within which the surroundings of gaps count most; with 0 all of the map
    counts alike."""
